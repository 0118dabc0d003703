//! What is wrong with the writing of TOML, in words for an office: the parser's own English never reaches the reader.

const DATE: &str = "viết ngày theo thứ tự năm-tháng-ngày, không ngoặc kép: 2026-12-15; có giờ: 2026-12-15T17:00:00";
const NUMBER: &str = "số viết bằng chữ số, không có số 0 ở đầu: 5, -10; giờ viết trong ngoặc kép: \"08:00\"";
const QUOTES: &str = "chữ phải nằm trong một cặp dấu ngoặc kép thẳng \"…\" trên cùng một dòng";

/// Words of the parser's descriptions (`toml_parser` 1.1), what they mean, how to mend it. The first that fits is taken.
const KNOWN: [(&str, &str, &str); 29] = [
    ("unquoted key", "tên khóa không đúng", "tên khóa chỉ gồm chữ không dấu, chữ số, dấu `-` và `_`, rồi đến dấu `=`"),
    ("key or value", "thừa chữ sau giá trị", "mỗi dòng một `khóa = giá trị`; ghi chú đặt sau dấu `#`"),
    ("duplicate key", "khóa hoặc mục này đã được viết ở trên", "mỗi khóa chỉ viết một lần trong một mục; bỏ bớt một"),
    ("recur", "các dấu ngoặc lồng nhau quá sâu", "viết thành mục riêng: [tên.mục]"),
    ("carriage return", "dấu xuống dòng lạ", "lưu lại tệp với dấu xuống dòng thường"),
    ("extra `=`", "thừa dấu `=`", "mỗi dòng một dấu `=`: tên = \"giá trị\""),
    ("extra assignment", "thừa dấu `=`", "mỗi dòng một dấu `=`: tên = \"giá trị\""),
    (
        "`=` in array",
        "dấu `=` nằm trong danh sách",
        "danh sách viết như: [\"a\", \"b\"]; bảng viết như: { tên = \"a\" }",
    ),
    ("extra comma", "thừa dấu phẩy", "bỏ bớt một dấu phẩy"),
    ("missing comma", "thiếu dấu phẩy giữa hai giá trị", "các giá trị cách nhau bằng dấu phẩy: [\"a\", \"b\"]"),
    ("missing assignment", "thiếu dấu `=` sau tên khóa", "viết như: tên = \"giá trị\""),
    ("missing array opening", "thừa dấu `]`", "danh sách viết như: [\"a\", \"b\"]"),
    ("missing inline table opening", "thừa dấu `}`", "bảng viết như: { tên = \"giá trị\" }"),
    ("missing table open", "thiếu dấu `[` trước tên mục", "viết như: [[rule]] hoặc [defaults]"),
    ("unclosed array table", "thiếu dấu `]]` sau tên mục", "viết như: [[rule]]"),
    ("unclosed array", "danh sách chưa đóng", "thêm dấu `]` ở cuối danh sách"),
    ("unclosed inline", "bảng trong ngoặc nhọn chưa đóng", "thêm dấu `}` ở cuối"),
    ("unclosed table", "thiếu dấu `]` sau tên mục", "viết như: [defaults]"),
    ("escape", "sau dấu `\\` là ký tự không dùng được", "muốn viết chính dấu `\\` thì viết `\\\\`"),
    ("unicode", "mã ký tự sau `\\u` không đúng", "viết thẳng ký tự đó vào"),
    ("key with no value", "khóa này không có giá trị", "viết như: tên = \"giá trị\""),
    ("missing value", "thiếu giá trị sau dấu `=`", "viết như: tên = \"giá trị\""),
    ("quote", "thiếu dấu ngoặc kép", QUOTES),
    ("string", "chữ chưa đóng ngoặc kép, hoặc có ký tự lạ trong đó", QUOTES),
    ("key", "tên khóa không đúng", "tên khóa chỉ gồm chữ không dấu, chữ số, dấu `-` và `_`, rồi đến dấu `=`"),
    ("date", "ngày giờ không đúng", DATE),
    ("time", "ngày giờ không đúng", DATE),
    ("comment", "ghi chú có ký tự điều khiển", "xóa ký tự lạ sau dấu `#`"),
    ("value", "giá trị không đọc được", QUOTES),
];

/// What makes a number wrong.
const NUMBERS: [&str; 7] = ["integer", "radix", "number", "leading zero", "sign", "digit", "float"];

/// A message and how to mend it, for a description given by the parser and the text it marks. What is not known here
/// gets a general answer.
pub fn explain(description: &str, marked: &str) -> (&'static str, String) {
    if description.starts_with("string values must be quoted") {
        return unquoted(marked.trim());
    }
    let (message, help) = known(description);
    (message, help.to_owned())
}

/// What somebody wrote without its quotes.
fn unquoted(marked: &str) -> (&'static str, String) {
    let first = marked.split([',', ']', '}', '#']).next().unwrap_or_default().trim();
    if marked.is_empty() {
        return ("thiếu giá trị sau dấu `=`", "viết như: tên = \"giá trị\"".to_owned());
    }
    if marked.contains(['“', '”', '„', '‘', '’', '«', '»']) {
        let help = "bộ gõ đã đổi dấu ngoặc: thay “ ” bằng dấu ngoặc kép thẳng \"…\"";
        return ("dấu ngoặc kép cong không dùng được", help.to_owned());
    }
    if let [day, month, year] = first.split(['/', '.']).collect::<Vec<_>>()[..]
        && let (Ok(day), Ok(month), Ok(year)) = (day.parse::<i8>(), month.parse::<i8>(), year.parse::<i16>())
        && jiff::civil::Date::new(year, month, day).is_ok()
    {
        return ("ngày viết không đúng thứ tự", format!("viết năm-tháng-ngày: {year:04}-{month:02}-{day:02}"));
    }
    let short = first.chars().count() <= 40 && !first.is_empty() && !first.contains(['"', '\'', '\\', '=']);
    let help = if short { format!("viết: \"{first}\"") } else { QUOTES.to_owned() };
    ("thiếu dấu ngoặc kép", help)
}

fn known(description: &str) -> (&'static str, &'static str) {
    let description = description.to_lowercase();
    // What the parser would have liked instead says nothing of what is there.
    let head = description.split(", expected").next().unwrap_or_default();
    if let Some((_, message, help)) = KNOWN[..22].iter().find(|(word, ..)| head.contains(word)) {
        return (message, help);
    }
    if NUMBERS.iter().any(|word| head.contains(word)) {
        return ("số viết không đúng", NUMBER);
    }
    if let Some((_, message, help)) = KNOWN[22..].iter().find(|(word, ..)| head.contains(word)) {
        return (message, help);
    }
    (
        "không đọc được chỗ này",
        "mỗi dòng là `khóa = giá trị`; chữ đặt trong dấu ngoặc kép, danh sách trong […], ghi chú sau dấu #",
    )
}
