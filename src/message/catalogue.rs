//! Which texts there are: their names, as shipped, and what a person who changes one needs to know.
//!
//! A template lays a text out; a *sentence* template (`ask.txt.j2` …) gives one sentence that every layout uses, so that
//! one small file changes it in letter, text part and digest alike.

/// What a template is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filling {
    /// A letter of open tasks.
    Letter,
    /// Letters of open and of classified tasks.
    Both,
    /// A letter of which nothing of the task is in reach.
    Neutral,
    /// A sentence that opens or closes open and classified letters alike: the recipient and the office, no task.
    Frame,
    /// One sentence about one task.
    Sentence,
    /// A Zalo text.
    Zalo,
    /// An overdue notice.
    Notice,
    /// The daily list of those who could not be reached.
    Daily,
}

/// One shipped template.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub source: &'static str,
    /// As `{% extends %}` and `{% include %}` name the shipped one from an office's own of the same name.
    pub built_in_name: &'static str,
    pub filling: Filling,
    /// What it is for, in Vietnamese.
    pub about: &'static str,
}

macro_rules! entries {
    ($($name:literal, $filling:ident, $about:literal;)*) => {
        &[$(Entry {
            name: $name,
            source: include_str!(concat!("templates/", $name)),
            built_in_name: concat!("built-in/", $name),
            filling: Filling::$filling,
            about: $about,
        }),*]
    };
}

/// Every template, those a clerk changes most first.
pub const ENTRIES: &[Entry] = entries! {
    "subject.txt.j2", Letter, "tiêu đề thư (một dòng)";
    "greeting.txt.j2", Frame, "câu chào đầu thư (một dòng); tên người nhận tự được in đậm";
    "ask.txt.j2", Sentence, "câu đề nghị của từng nhiệm vụ: ai được đề nghị làm gì, chậm nhất khi nào";
    "next.txt.j2", Sentence, "câu cho biết việc tiếp theo nếu chưa hoàn thành; để trống thì không có câu này";
    "contact.txt.j2", Letter, "câu cho biết vướng mắc thì hỏi ai";
    "closing.txt.j2", Frame, "câu kết thư (một dòng)";
    "zalo.txt.j2", Zalo, "tin nhắn Zalo, dưới 400 ký tự; dài hơn thì dondoc dùng câu có sẵn";
    "single.html.j2", Letter, "thư về một nhiệm vụ, bản HTML";
    "single.txt.j2", Letter, "thư về một nhiệm vụ, bản chữ";
    "digest.html.j2", Letter, "thư gộp nhiều nhiệm vụ, bản HTML";
    "digest.txt.j2", Letter, "thư gộp nhiều nhiệm vụ, bản chữ";
    "layout.html.j2", Both, "khung chung của mọi thư HTML: đầu thư, chân thư; thư về việc mật cũng dùng khung này";
    "foot.txt.j2", Letter, "chân thư của bản chữ";
    "neutral_subject.txt.j2", Neutral, "tiêu đề thư trung tính về việc mật";
    "neutral.html.j2", Neutral, "thư trung tính về việc mật, bản HTML: không được nói gì về nhiệm vụ";
    "neutral.txt.j2", Neutral, "thư trung tính về việc mật, bản chữ: không được nói gì về nhiệm vụ";
    "daily_list.html.j2", Daily, "danh sách hằng ngày những ai không liên hệ được, bản HTML";
    "daily_list.txt.j2", Daily, "danh sách hằng ngày những ai không liên hệ được, bản chữ";
    "notice.html.j2", Notice, "phiếu báo nhiệm vụ quá hạn, in trên giấy A4";
};

/// Pairs of which one says in HTML what the other says in plain text.
pub const PAIRS: [(&str, &str); 4] = [
    ("single.html.j2", "single.txt.j2"),
    ("digest.html.j2", "digest.txt.j2"),
    ("neutral.html.j2", "neutral.txt.j2"),
    ("daily_list.html.j2", "daily_list.txt.j2"),
];

/// The template of this name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// What each name that a template may use stands for, in Vietnamese. One name means the same wherever it stands.
pub const WORDS: &[(&str, &str)] = &[
    ("after", "điều sẽ tới, ở chân thư; trống trong thư nhiều việc"),
    ("about", "trích yếu, khi nói thêm điều gì so với nội dung"),
    ("advice", "việc đề nghị làm để liên hệ lại được"),
    ("action", "tên của nút mở nhiệm vụ"),
    ("agency", "cơ quan được nhắc"),
    ("as_of", "thời điểm lập thư: 8 giờ 00 ngày 25/11/2026"),
    ("ask", "câu đề nghị có sẵn"),
    ("audience", "người nhận là ai: handler, agency_head, agency_contact, monitor …"),
    ("by", "chậm nhất ngày 01/12; trống khi không có"),
    ("calendar_note", "cách tính số ngày"),
    ("clock", "thời hạn hoàn thành hay thời hạn báo cáo"),
    ("closing", "câu kết"),
    ("code", "mã nhiệm vụ"),
    ("coordinators", "các cơ quan phối hợp, cách nhau dấu phẩy; trống khi không có"),
    ("copies", "các dòng Nơi nhận"),
    ("count", "số nhiệm vụ trong thư"),
    ("dark", "màu chữ của mục"),
    ("date", "ngày"),
    ("deadline", "thời hạn: 17/11/2026, có giờ và ngày được lùi nếu có"),
    ("document", "văn bản giao: loại, số, ngày, cơ quan"),
    ("duty", "người không liên hệ được giữ vai gì: Người đứng đầu cơ quan chủ trì"),
    ("effective", "ngày làm việc tính hạn: 17/11/2026"),
    ("facts", "toàn bộ dữ kiện, cho người thạo việc"),
    ("form", "Đồng chí, Ông, Bà; trống khi là hộp thư chung. Trên phiếu: hình thức đôn đốc"),
    ("greeting", "câu chào"),
    ("groups", "các trường hợp không liên hệ được"),
    ("hash", "mã băm"),
    ("head", "Nhắc việc, hoặc Đôn đốc lần 2"),
    ("hidden", "câu về những trường hợp không nêu trong thư; trống khi không có"),
    ("inspection", "cơ quan kiểm tra"),
    ("item", "một nhiệm vụ"),
    ("items", "các nhiệm vụ; viết section[\"items\"]"),
    ("key", "tên mục: overdue, due_today, upcoming, confirm, returned"),
    ("lead", "cơ quan chủ trì"),
    ("line", "tin Zalo có sẵn, đã tự rút gọn cho đủ ngắn"),
    ("link", "đường dẫn mở nhiệm vụ; trống khi không có"),
    ("n", "số thứ tự"),
    ("name", "tên người nhận; tên cơ quan khi là hộp thư chung"),
    (
        "near",
        "overdue quá hạn, due_today đến hạn hôm nay, upcoming sắp đến hạn, confirm chờ xác nhận, returned trả lại",
    ),
    ("nearness", "Quá hạn 5 ngày làm việc, Đến hạn hôm nay, Còn 3 ngày làm việc"),
    ("next", "câu cho biết việc tiếp theo, có sẵn; trống khi không có"),
    ("notes", "các câu nói trước: thư gửi thay ai, có thể đã nhận"),
    ("number", "số"),
    ("office", "tên cơ quan gửi thư"),
    ("opening", "câu mở đầu danh sách"),
    ("outcome", "kết quả"),
    ("pale", "màu nền của mục"),
    ("parent", "tên cơ quan cấp trên ở đầu phiếu"),
    ("part", "phần 2/19, khi thư nhiều nhiệm vụ được chia; trống khi không chia"),
    ("parts", "các phần của phiếu"),
    ("party", "đúng khi là khối đảng"),
    ("place", "chức vụ và cơ quan của người nhận; trên phiếu: địa danh"),
    ("preheader", "dòng xem trước trong hộp thư"),
    ("reason", "vì sao không liên hệ được"),
    ("reasoning", "cách tính, từng dòng"),
    ("recipients", "người nhận"),
    ("remarks", "điều cần nói riêng của nhiệm vụ: đổi hạn, gửi trễ"),
    ("reminded", "đơn vị được nhắc, khi không phải cơ quan chủ trì"),
    ("role", "lead chủ trì, coordinator phối hợp"),
    ("seal", "các dòng niêm phong ở chân phiếu"),
    ("sections", "các mục của thư: quá hạn, đến hạn hôm nay, sắp đến hạn …"),
    ("since", "từ ngày nào: 20/11/2026"),
    ("state", "tình trạng: còn 3 ngày làm việc (hạn 15/12/2026)"),
    ("subject", "tiêu đề thư có sẵn"),
    ("tally", "2 quá hạn, 1 đến hạn hôm nay"),
    ("tasks", "các mã nhiệm vụ, cách nhau dấu phẩy"),
    ("text", "lời của phần hoặc dòng đó"),
    ("tile_count", "quá 5 ngày, hôm nay, còn 3 ngày"),
    ("tile_day", "ngày và tháng: 17/11"),
    ("tile_year", "năm, khi khác năm của thư"),
    ("time", "giờ"),
    ("title", "tên mục, tên phần"),
    ("to", "người nhận: to.form, to.name, to.place, to.you"),
    ("urgency", "khẩn, thượng khẩn, hỏa tốc; trống khi thường"),
    ("urging", "đôn đốc lần 2; trống khi bước này không đôn đốc"),
    ("urging_n", "số lần đôn đốc: 1, 2, 3 …; 0 khi bước này không đôn đốc"),
    ("urgings", "các lần đôn đốc"),
    ("way", "gửi bằng gì: thư điện tử, Zalo"),
    ("whom", "đồng chí Nguyễn Văn A; quý cơ quan khi là hộp thư chung"),
    ("whom_to_ask", "câu cho biết hỏi ai, có sẵn"),
    ("why", "vì sao nhận thư này"),
    ("withdrawn", "lý do rút phiếu; trống khi chưa rút"),
    ("work", "nội dung nhiệm vụ"),
    ("year", "năm"),
    ("you", "cách gọi trong câu: đồng chí, Ông, Bà, quý cơ quan"),
];

/// The shipped source under a comment that says what it is for and which names it may use: what `check --preview` writes
/// for an office to start from.
pub fn annotated(entry: &Entry, names: &[&str]) -> String {
    let mut text = format!(
        "{{#- {}: {}.\n    Muốn sửa: chép tệp này vào thư mục mẫu của cơ quan ([files] templates trong dondoc.toml), giữ nguyên tên, rồi\n    chạy `dondoc check`. Chỉ cần chép những mẫu muốn sửa. Có thể viết {{% extends \"{}\" %}} để chỉ\n    thay một phần.\n    Dùng được:\n",
        entry.name, entry.about, entry.built_in_name
    );
    for name in names {
        if let Some((_, said)) = WORDS.iter().find(|(word, _)| word == name) {
            text.push_str(&format!("      {name:<14} {said}\n"));
        }
    }
    text.push_str("-#}\n");
    text.push_str(entry.source);
    text
}
