//! XLSX through calamine's streaming cell reader: one row at a time, stored values of formulas, real dates.
//!
//! calamine's reader borrows from its workbook, so both live on a thread of their own that hands rows over in batches
//! and ends when nobody wants more. A panic inside it on a hostile file ends that thread, and becomes an error here.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvError, SyncSender, sync_channel},
    thread::JoinHandle,
};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};
use jiff::{
    Unit,
    civil::{Date, DateTime, Time},
};

use super::{Cell, Found, HEADER_WITHIN, MAX_CELL_CHARS, MAX_CELLS, MAX_COLUMNS, MAX_ROWS, Row, TableError, guard};
use crate::intake::cells::clean_text;

const BATCH: usize = 64;

enum Told {
    /// The rows of a sheet down to [`HEADER_WITHIN`]; the thread then waits for an answer.
    /// `others` names the sheets not looked at so far.
    Head {
        sheet: String,
        rows: Vec<Row>,
        others: Vec<String>,
    },
    Rows(Vec<Row>),
    End,
    Failed(TableError),
}

enum Asked {
    GoOn,
    NextSheet,
}

/// Takes the first visible sheet that has a header row.
pub(super) fn open(path: &Path, is_header: &dyn Fn(&[Cell]) -> bool) -> Result<Found, TableError> {
    guard::check(path)?;
    let (tell, told) = sync_channel(4);
    let (ask, asked) = sync_channel(1);
    let path = PathBuf::from(path);
    let thread = std::thread::Builder::new().name("xlsx".to_owned()).spawn(move || {
        let last = read(&path, &tell, &asked).map_or_else(Told::Failed, |()| Told::End);
        // nobody listens any more: the reader was dropped
        let _ = tell.send(last);
    })?;
    let mut rows = Rows { told: Some(told), thread: Some(thread), batch: Vec::new().into_iter() };
    // dropped before `rows`, which waits for the thread, which may wait for an answer
    let ask = ask;
    let mut skipped = Vec::new();
    loop {
        match rows.hear() {
            Ok(Told::Head { sheet, rows: mut head, others }) => {
                let Some(at) = head.iter().position(|row| is_header(&row.cells)) else {
                    skipped.push(sheet);
                    ask.send(Asked::NextSheet).map_err(|_| gone())?;
                    continue;
                };
                ask.send(Asked::GoOn).map_err(|_| gone())?;
                rows.batch = head.split_off(at + 1).into_iter();
                let header = head.remove(at);
                let mut notes = vec![format!("Đọc tệp XLSX, trang tính “{sheet}”.")];
                if !skipped.is_empty() {
                    notes.push(format!("Không đọc trang không có tiêu đề: {}.", skipped.join("; ")));
                }
                if !others.is_empty() {
                    notes.push(format!("Không đọc các trang khác: {}.", others.join("; ")));
                }
                return Ok(Found { header, rows: Box::new(rows), notes, surplus_is_error: false });
            }
            Ok(Told::Failed(error)) => return Err(error),
            Ok(Told::End) => return Err(TableError::NoHeader),
            Ok(Told::Rows(_)) | Err(_) => return Err(gone()),
        }
    }
}

fn gone() -> TableError {
    TableError::Damaged { what: "không đọc được sổ Excel".to_owned() }
}

struct Rows {
    /// `None` once the thread has said its last word.
    told: Option<Receiver<Told>>,
    thread: Option<JoinHandle<()>>,
    batch: std::vec::IntoIter<Row>,
}

impl Rows {
    fn hear(&mut self) -> Result<Told, RecvError> {
        self.told.as_ref().ok_or(RecvError)?.recv()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(Ok(row));
            }
            self.told.as_ref()?;
            match self.hear() {
                Ok(Told::Rows(rows)) => self.batch = rows.into_iter(),
                Ok(Told::End) => self.told = None,
                other => {
                    self.told = None;
                    return Some(Err(match other {
                        Ok(Told::Failed(error)) => error,
                        _ => gone(),
                    }));
                }
            }
        }
    }
}

impl Drop for Rows {
    /// The thread ends at its next word, for nobody hears it; waiting for that leaves no file open behind a reader.
    fn drop(&mut self) {
        self.told = None;
        if let Some(thread) = self.thread.take() {
            // a panic in there was already told as an error
            let _ = thread.join();
        }
    }
}

/// The thread's work. Returns early, and well, when the other end is gone.
fn read(path: &Path, tell: &SyncSender<Told>, asked: &Receiver<Asked>) -> Result<(), TableError> {
    let mut workbook = Xlsx::new(BufReader::new(File::open(path)?)).map_err(damaged)?;
    let (mut sheets, mut hidden) = (Vec::new(), Vec::new());
    for sheet in workbook.sheets_metadata() {
        match (sheet.typ, sheet.visible) {
            (SheetType::WorkSheet, SheetVisible::Visible) => sheets.push(sheet.name.clone()),
            (SheetType::WorkSheet, _) => hidden.push(format!("{} (ẩn)", shown(&sheet.name))),
            _ => {}
        }
    }
    let mut cells_seen = 0;
    for (at, name) in sheets.iter().enumerate() {
        let mut cells = match workbook.worksheet_cells_reader(name) {
            Ok(cells) => cells,
            Err(XlsxError::NotAWorksheet(_)) => continue,
            Err(error) => return Err(damaged(error)),
        };
        let mut rows = Vec::new();
        let mut current: Option<Row> = None;
        let (mut in_head, mut highest) = (true, 0);
        loop {
            let next = cells.next_cell().map_err(damaged)?;
            let number = match &next {
                Some(cell) => cell.get_position().0.checked_add(1).ok_or_else(gone)?,
                None => u32::MAX,
            };
            if current.as_ref().is_some_and(|row| row.number != number) {
                rows.extend(current.take());
            }
            if in_head && number > HEADER_WITHIN {
                in_head = false;
                let others = sheets[at + 1..].iter().map(|name| shown(name)).chain(hidden.clone()).collect();
                let head = Told::Head { sheet: shown(name), rows: std::mem::take(&mut rows), others };
                match tell.send(head).ok().and_then(|()| asked.recv().ok()) {
                    None => return Ok(()),
                    Some(Asked::NextSheet) => break,
                    Some(Asked::GoOn) => {}
                }
            }
            if !in_head
                && (rows.len() >= BATCH || next.is_none())
                && tell.send(Told::Rows(std::mem::take(&mut rows))).is_err()
            {
                return Ok(());
            }
            let Some(cell) = next else { return Ok(()) };
            cells_seen += 1;
            let (row, column) = (number, cell.get_position().1 as usize);
            if row > MAX_ROWS || column >= MAX_COLUMNS {
                return Err(TableError::Damaged { what: "ô nằm ngoài giới hạn của Excel".to_owned() });
            }
            if row < highest {
                return Err(TableError::Damaged { what: "các dòng không theo thứ tự".to_owned() });
            }
            highest = row;
            if cells_seen > MAX_CELLS {
                return Err(TableError::TooLarge { what: "quá nhiều ô" });
            }
            let value = value(cell.get_value(), row)?;
            if value == Cell::Empty {
                continue;
            }
            let current = current.get_or_insert_with(|| Row { number: row, cells: Vec::new() });
            if current.cells.len() <= column {
                current.cells.resize(column + 1, Cell::Empty);
            }
            current.cells[column] = value;
        }
    }
    Ok(())
}

/// A sheet's name, fit for a note.
fn shown(name: &str) -> String {
    clean_text(name).chars().take(60).collect()
}

/// calamine's error text may hold a cell's content, so only its kind is told.
fn damaged(error: XlsxError) -> TableError {
    let what = match error {
        XlsxError::Io(error) => return TableError::Io(error),
        XlsxError::Password => return TableError::Encrypted,
        XlsxError::Zip(_) => "phần nén không đọc được",
        XlsxError::Xml(_) | XlsxError::XmlAttr(_) | XlsxError::XmlEof(_) => "XML bên trong không đọc được",
        XlsxError::FileNotFound(_) | XlsxError::RelationshipNotFound | XlsxError::WorksheetNotFound(_) => {
            "thiếu một phần của sổ Excel"
        }
        _ => "nội dung không theo chuẩn của Excel",
    };
    TableError::Damaged { what: what.to_owned() }
}

fn value(data: &DataRef<'_>, row: u32) -> Result<Cell, TableError> {
    let text = |text: &str| -> Result<Cell, TableError> {
        // bytes first: counting characters is only needed for the rare long text
        if text.len() > MAX_CELL_CHARS && text.chars().count() > MAX_CELL_CHARS {
            return Err(TableError::CellTooLong { row });
        }
        Ok(if text.is_empty() { Cell::Empty } else { Cell::Text(text.to_owned()) })
    };
    Ok(match data {
        DataRef::Empty => Cell::Empty,
        DataRef::Int(n) => Cell::Number(*n as f64),
        DataRef::Float(n) => Cell::Number(*n),
        DataRef::String(s) => text(s)?,
        DataRef::SharedString(s) => text(s)?,
        DataRef::Bool(b) => Cell::Bool(*b),
        DataRef::Error(e) => Cell::Error(e.to_string()),
        DataRef::DateTime(at) => {
            // a time of day alone, a duration, and 29/02/1900 (a day only Excel knows) are no dates
            let civil = (at.is_datetime() && at.as_f64() >= 1.0).then(|| at.to_ymd_hms_milli());
            civil
                .and_then(|(y, m, d, h, min, s, ms)| {
                    let date = Date::new(i16::try_from(y).ok()?, m as i8, d as i8).ok()?;
                    let time = Time::new(h as i8, min as i8, s as i8, i32::from(ms) * 1_000_000).ok()?;
                    date.to_datetime(time).round(Unit::Second).ok()
                })
                .map_or(Cell::Number(at.as_f64()), Cell::Date)
        }
        DataRef::DateTimeIso(s) => match s.parse::<DateTime>().ok().or_else(|| s.trim_end_matches('Z').parse().ok()) {
            Some(at) => Cell::Date(at),
            None => text(s)?,
        },
        DataRef::DurationIso(s) => text(s)?,
    })
}
