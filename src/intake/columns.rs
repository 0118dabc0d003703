//! The columns of a task file, found by their headers as offices write them.

use std::collections::{HashMap, HashSet};

use super::{cells::clean_text, table::Cell};
use crate::planning::fold::fold;

macro_rules! columns {
    ($($column:ident = [$($header:literal),+]),+ $(,)?) => {
        /// A column we know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Column { $($column),+ }

        impl Column {
            /// Every column.
            pub const ALL: &'static [Column] = &[$(Column::$column),+];

            /// Its headers: the usual one, then what else offices write.
            pub fn headers(self) -> &'static [&'static str] {
                match self { $(Column::$column => &[$($header),+]),+ }
            }
        }
    };
}

columns! {
    Number = ["STT", "TT", "Số TT", "Số thứ tự"],
    Code = ["Mã nhiệm vụ", "Mã NV", "Mã số nhiệm vụ", "Mã số"],
    DocumentNumber = ["Số, ký hiệu văn bản", "Số, ký hiệu", "Số/ký hiệu", "Số ký hiệu văn bản", "Số ký hiệu", "Số hiệu văn bản", "Số văn bản"],
    DocumentDate = ["Ngày văn bản", "Ngày ban hành", "Ngày VB"],
    DocumentKind = ["Loại văn bản", "Loại VB", "Hình thức văn bản"],
    Issuer = ["Cơ quan ban hành", "Nơi ban hành", "Đơn vị ban hành"],
    Signer = ["Người ký"],
    Summary = ["Trích yếu văn bản", "Trích yếu", "Trích yếu nội dung"],
    Work = ["Nội dung nhiệm vụ", "Nhiệm vụ", "Nội dung công việc", "Nội dung giao", "Tên nhiệm vụ"],
    Field = ["Lĩnh vực"],
    Priority = ["Trọng tâm", "Ưu tiên", "Nhiệm vụ trọng tâm"],
    Assigner = ["Cấp giao nhiệm vụ", "Cấp giao", "Người giao", "Cơ quan giao"],
    Lead = ["Cơ quan chủ trì", "Đơn vị chủ trì", "Chủ trì", "CQ chủ trì"],
    Head = ["Người đứng đầu"],
    Coordinators = ["Cơ quan phối hợp", "Đơn vị phối hợp", "Phối hợp", "CQ phối hợp"],
    Handler = ["Chuyên viên thụ lý", "Người thực hiện", "Chuyên viên", "Người thụ lý"],
    HandlerEmail = ["Email", "E-mail", "Thư điện tử", "Địa chỉ email"],
    HandlerPhone = ["Số điện thoại", "Điện thoại", "SĐT", "ĐT"],
    Monitor = ["Người theo dõi (Văn phòng)", "Người theo dõi", "Chuyên viên theo dõi"],
    AssignedOn = ["Ngày giao", "Ngày giao nhiệm vụ", "Ngày giao việc"],
    Due = ["Thời hạn hoàn thành", "Hạn hoàn thành", "Thời hạn", "Hạn xử lý", "Thời gian hoàn thành"],
    ReportDue = ["Thời hạn báo cáo", "Hạn báo cáo"],
    ReportCycle = ["Chế độ báo cáo"],
    Urgency = ["Độ khẩn", "Mức độ khẩn", "Độ khẩn cấp"],
    Secrecy = ["Độ mật", "Mức độ mật", "Độ bảo mật"],
    State = ["Trạng thái", "Tình trạng thực hiện", "Tình trạng", "Trạng thái thực hiện", "Tiến độ", "Tiến độ thực hiện"],
    CompletedOn = ["Ngày hoàn thành", "Ngày HT", "Ngày hoàn thành thực tế"],
    Result = ["Văn bản kết quả", "Kết quả", "Kết quả thực hiện", "Sản phẩm"],
    Extensions = ["Số lần gia hạn"],
    OriginalDue = ["Hạn ban đầu", "Thời hạn ban đầu"],
    Urgings = ["Số lần đôn đốc"],
    LastUpdate = ["Ngày cập nhật gần nhất", "Ngày cập nhật", "Cập nhật lần cuối"],
    Note = ["Ghi chú"],
}

/// Columns of the document that assigns: in merged cells they stand in the first row only.
pub(super) const DOCUMENT: &[Column] = &[
    Column::DocumentNumber,
    Column::DocumentDate,
    Column::DocumentKind,
    Column::Issuer,
    Column::Signer,
    Column::Summary,
    Column::Assigner,
];

/// A row with none of these is no task, whatever its first cells say: a sum, a signature.
pub(super) const BODY: &[Column] =
    &[Column::Work, Column::Lead, Column::Due, Column::DocumentNumber, Column::Summary, Column::State, Column::Handler];

/// Where each column stands in a file.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    places: HashMap<Column, usize>,
    /// Headers that are not ours; their cells are never read.
    pub unknown: Vec<String>,
    /// Columns that stand twice.
    pub twice: Vec<&'static str>,
}

impl Columns {
    /// Finds the columns of a header row.
    pub fn find(headers: &[String]) -> Self {
        let mut columns = Columns::default();
        for (at, header) in headers.iter().enumerate() {
            match column_of(header) {
                Some(column) => {
                    if columns.places.insert(column, at).is_some() {
                        columns.twice.push(column.headers()[0]);
                    }
                }
                None if header.trim().is_empty() => {}
                None => columns.unknown.push(header.clone()),
            }
        }
        columns
    }

    /// The place of a column in each row.
    pub fn place(&self, column: Column) -> Option<usize> {
        self.places.get(&column).copied()
    }

    /// Whether the file has the column.
    pub fn has(&self, column: Column) -> bool {
        self.places.contains_key(&column)
    }
}

/// Whether a row of cells is a task file's header.
pub fn is_header(cells: &[Cell]) -> bool {
    let found: HashSet<Column> = cells.iter().filter_map(|cell| column_of(&cell.text())).collect();
    found.len() >= 3
        && (found.contains(&Column::Work) || found.contains(&Column::Code))
        && (found.contains(&Column::Lead) || found.contains(&Column::Due))
}

fn column_of(header: &str) -> Option<Column> {
    static KNOWN: std::sync::OnceLock<HashMap<String, Column>> = std::sync::OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        Column::ALL.iter().flat_map(|column| column.headers().iter().map(|header| (fold(header), *column))).collect()
    });
    let folded = fold(&clean_text(header));
    known.get(folded.trim_end_matches([':', '*', ' '])).copied()
}
