//! A spreadsheet as rows of cells: CSV and XLSX give the same rows.
//!
//! It finds the header below any title rows, counts rows as the person sees them, and bounds what a hostile file may
//! cost. It never gives a cell a meaning: that is for `dates` and `cells`.

use std::path::Path;

use jiff::civil::DateTime;

use crate::intake::cells::clean_text;

mod csv;
mod guard;
mod kind;
#[cfg(test)]
mod tests;
mod xlsx;

/// One cell as stored in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Empty,
    Text(String),
    Number(f64),
    Date(DateTime),
    Bool(bool),
    /// A formula's error, as Excel shows it (`#REF!`).
    Error(String),
}

impl Cell {
    /// What a person sees: whole numbers without `.0`, dates as `dd/mm/yyyy`, with the hour when there is one.
    pub fn text(&self) -> String {
        match self {
            Cell::Empty => String::new(),
            Cell::Text(text) | Cell::Error(text) => text.clone(),
            Cell::Number(n) if n.fract() == 0.0 && n.abs() < 1e15 => (*n as i64).to_string(),
            Cell::Number(n) => n.to_string(),
            Cell::Date(at) => {
                let date = format!("{:02}/{:02}/{:04}", at.day(), at.month(), at.year());
                match (at.hour(), at.minute(), at.second()) {
                    (0, 0, 0) => date,
                    (h, m, 0) => format!("{date} {h:02}:{m:02}"),
                    (h, m, s) => format!("{date} {h:02}:{m:02}:{s:02}"),
                }
            }
            Cell::Bool(true) => "TRUE".to_owned(),
            Cell::Bool(false) => "FALSE".to_owned(),
        }
    }

    /// Whether nothing is seen in the cell: empty, or blanks and invisible characters only.
    pub fn is_blank(&self) -> bool {
        match self {
            Cell::Empty => true,
            Cell::Text(text) => text.chars().all(|c| c.is_whitespace() || crate::planning::fold::is_invisible(c)),
            _ => false,
        }
    }
}

/// One row below the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The row as a person counts it in the file or sheet, from 1. In a CSV with line breaks inside cells it is the row
    /// a spreadsheet program shows, not the line of the file.
    pub number: u32,
    /// As many cells as there are headers.
    pub cells: Vec<Cell>,
}

/// How far down the header may stand.
pub const HEADER_WITHIN: u32 = 30;
/// The longest text a cell may hold, in characters: Excel's own limit.
pub const MAX_CELL_CHARS: usize = 32_767;
/// The widest table, in columns: Excel's own limit.
pub(crate) const MAX_COLUMNS: usize = 16_384;
/// The most rows, title rows included: Excel's own limit.
pub(crate) const MAX_ROWS: u32 = 1_048_576;
/// The most cells of one file. 100,000 rows of 32 columns are 3.2 million.
pub(crate) const MAX_CELLS: u64 = 20_000_000;
/// The largest file, in bytes, as it lies on the disk.
pub(crate) const MAX_FILE: u64 = 512 << 20;

/// Why a file cannot be read as a table, in Vietnamese for whoever imports it. No cell's content is ever in it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("không mở được tệp; kiểm tra đường dẫn và quyền đọc")]
    Io(#[from] std::io::Error),
    /// The content is not CSV or XLSX, whatever the file's name says.
    #[error("nội dung tệp là {what}, không phải CSV hay XLSX; {advice}")]
    WrongKind { what: &'static str, advice: &'static str },
    #[error("tệp được đặt mật khẩu; mở bằng Excel, bỏ mật khẩu rồi lưu lại dạng .xlsx")]
    Encrypted,
    /// `offset` counts bytes from 0, `row` counts as a spreadsheet program does, from 1.
    #[error("tệp không phải {encoding} hợp lệ tại byte thứ {offset} (dòng {row}); lưu lại dạng “CSV UTF-8” hoặc .xlsx")]
    Encoding { encoding: &'static str, offset: u64, row: u32 },
    #[error("không tìm thấy dòng tiêu đề cột trong {HEADER_WITHIN} dòng đầu; kiểm tra tên các cột")]
    NoHeader,
    /// More filled cells than headers: usually a separator inside a text without quotes. Reading goes on after it.
    #[error(
        "dòng {row} có {cells} ô, nhiều hơn {columns} cột của tiêu đề; đặt nội dung có dấu phân cách trong dấu ngoặc kép"
    )]
    RowTooLong { row: u32, cells: usize, columns: usize },
    #[error("dòng {row} có ô dài quá {MAX_CELL_CHARS} ký tự; kiểm tra dấu ngoặc kép quanh ô đó hoặc rút ngắn nội dung")]
    CellTooLong { row: u32 },
    #[error("dấu ngoặc kép mở ở dòng {row} không được đóng; thêm dấu đóng hoặc lưu lại từ Excel")]
    UnclosedQuote { row: u32 },
    #[error("tệp quá lớn ({what}); chia thành nhiều tệp nhỏ hơn")]
    TooLarge { what: &'static str },
    #[error("tệp hỏng ({what}); mở bằng Excel rồi lưu lại dạng .xlsx")]
    Damaged { what: String },
}

impl TableError {
    /// The stable word for this error.
    pub fn code(&self) -> &'static str {
        match self {
            TableError::Io(_) => "file_unreadable",
            TableError::WrongKind { .. } => "file_kind",
            TableError::Encrypted => "file_encrypted",
            TableError::Encoding { .. } => "file_encoding",
            TableError::NoHeader => "no_header",
            TableError::RowTooLong { .. } => "row_too_long",
            TableError::CellTooLong { .. } => "cell_too_long",
            TableError::UnclosedQuote { .. } => "unclosed_quote",
            TableError::TooLarge { .. } => "file_too_large",
            TableError::Damaged { .. } => "file_damaged",
        }
    }

    /// The row it is about, counted as [`Row::number`].
    pub fn row(&self) -> Option<u32> {
        match self {
            TableError::Encoding { row, .. }
            | TableError::RowTooLong { row, .. }
            | TableError::CellTooLong { row }
            | TableError::UnclosedQuote { row } => Some(*row),
            _ => None,
        }
    }

    /// Whether the reader can go on with the next row. After any other error it gives no more rows.
    pub fn is_of_one_row(&self) -> bool {
        matches!(self, TableError::RowTooLong { .. })
    }
}

/// Rows before the header is known: of their own width.
type RawRows = Box<dyn Iterator<Item = Result<Row, TableError>> + Send>;

/// A table being read, row by row. It holds one row (CSV) or some hundred (XLSX) at a time.
pub struct TableReader {
    headers: Vec<String>,
    header_row: u32,
    notes: Vec<String>,
    rows: RawRows,
    /// Whether a filled cell beyond the header is a shifted row (CSV) or a scribble beside the table (XLSX).
    surplus_is_error: bool,
    surplus_noted: bool,
    ended: bool,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableReader").field("headers", &self.headers.len()).field("notes", &self.notes).finish()
    }
}

impl TableReader {
    /// Opens a CSV or XLSX file (told by its first bytes, not by its name) and finds the first row, within the first
    /// [`HEADER_WITHIN`], for which `is_header` answers yes.
    pub fn open(path: &Path, is_header: &dyn Fn(&[Cell]) -> bool) -> Result<TableReader, TableError> {
        let found = match kind::of_file(path)? {
            kind::Kind::Xlsx => xlsx::open(path, is_header)?,
            kind::Kind::Text(encoding) => csv::open(path, encoding, is_header)?,
        };
        let mut headers: Vec<String> = found.header.cells.iter().map(|cell| clean_text(&cell.text())).collect();
        while headers.last().is_some_and(String::is_empty) {
            headers.pop();
        }
        let mut notes = found.notes;
        notes.push(format!("Dòng tiêu đề: dòng {}, {} cột.", found.header.number, headers.len()));
        Ok(TableReader {
            headers,
            header_row: found.header.number,
            notes,
            rows: found.rows,
            surplus_is_error: found.surplus_is_error,
            surplus_noted: false,
            ended: false,
        })
    }

    /// The headers as typed, with line breaks and runs of blanks collapsed to one space. Unnamed columns are empty texts.
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// The row the header stands in, from 1.
    pub fn header_row(&self) -> u32 {
        self.header_row
    }

    /// What was found and decided, in Vietnamese, for whoever imports: encoding, separator, sheet, header row. May grow
    /// while rows are read.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    fn fit(&mut self, mut row: Row) -> Result<Row, TableError> {
        let columns = self.headers.len();
        if row.cells.len() > columns {
            if row.cells[columns..].iter().any(|cell| !cell.is_blank()) {
                if self.surplus_is_error {
                    return Err(TableError::RowTooLong { row: row.number, cells: row.cells.len(), columns });
                }
                if !self.surplus_noted {
                    self.surplus_noted = true;
                    self.notes.push(format!("Bỏ qua các ô nằm ngoài các cột có tiêu đề (từ dòng {}).", row.number));
                }
            }
            row.cells.truncate(columns);
        }
        row.cells.resize(columns, Cell::Empty);
        Ok(row)
    }
}

impl Iterator for TableReader {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.rows.next() {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Some(Ok(row)) if row.cells.iter().all(Cell::is_blank) => {}
                Some(Ok(row)) => match self.fit(row) {
                    Ok(row) if row.cells.iter().all(Cell::is_blank) => {}
                    answer => return Some(answer),
                },
            }
        }
        None
    }
}

/// What a format's own reader found: the header, and the rows below it at their own width.
struct Found {
    header: Row,
    rows: RawRows,
    notes: Vec<String>,
    surplus_is_error: bool,
}
