//! The meaning of single cells other than dates: state, urgency, secrecy, phone, e-mail, names, counts.
//!
//! Matching is on the folded text. A level of secrecy that cannot be read counts as the highest; elsewhere what cannot
//! be read is an error or `None`, never a default.

use crate::{
    intake::table::Cell,
    planning::{
        fold::{fold, is_invisible},
        task::{Block, Secrecy, TaskState, Urgency},
    },
};

/// A cell whose text is none of the words its column knows. It does not carry the text: the row may be classified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("không phải từ mà cột này dùng")]
pub struct Unknown;

/// The cell's words for matching: folded, punctuation at the ends dropped. A lone dash is an empty cell.
fn words(cell: &Cell) -> String {
    let text = fold(&clean_text(&cell.text()));
    text.trim_matches(|c: char| matches!(c, '.' | ',' | ';' | ':' | '-' | '_' | '*' | '"' | '\'') || c.is_whitespace())
        .to_owned()
}

/// Whether a folded text is one of these, written as people write them.
fn is_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| fold(word) == text)
}

/// What follows the first of these words a folded text begins with.
fn after_any<'a>(text: &'a str, words: &[&str]) -> Option<&'a str> {
    words.iter().find_map(|word| {
        let rest = text.strip_prefix(&fold(word))?;
        let goes_on = |c: char| c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c);
        (!rest.starts_with(goes_on)).then_some(rest)
    })
}

/// Whether `hoàn thành` is all that is said, but for how timely it was. It silences a task, so `hoàn thành 80%` and
/// `hoàn thành dự thảo` are not let through.
fn is_plainly_done(rest: &str) -> bool {
    let rest = rest.trim_matches(|c: char| c.is_whitespace() || "(),.;:-/!".contains(c));
    const TAILS: &[&str] = &[
        "",
        "100%",
        "100 %",
        "đúng hạn",
        "quá hạn",
        "trước hạn",
        "trong hạn",
        "đúng thời hạn",
        "đúng tiến độ",
        "chậm",
        "muộn",
        "trễ",
        "trễ hạn",
        "chậm hạn",
        "chậm tiến độ",
        "sớm",
        "toàn bộ",
        "nhiệm vụ",
        "ngoài hạn",
        "không đúng hạn",
    ];
    // `Hoàn thành ngày 15/12/2026`: the day is read from its own column
    let day =
        after_any(rest, &["ngày"]).is_some_and(|day| day.chars().all(|c| c.is_ascii_digit() || " /.-".contains(c)));
    day || is_any(rest, TAILS)
}

/// Reads `Tình trạng thực hiện`; `None` when empty. Timeliness in it (`quá hạn`) is stale evidence and is dropped.
pub fn read_state(cell: &Cell) -> Result<Option<TaskState>, Unknown> {
    let text = words(cell);
    // nearly every cell, without going through all the forms below
    const USUAL: &[(TaskState, &[&str])] = &[
        (TaskState::Done, &["hoàn thành"]),
        (TaskState::InProgress, &["đang thực hiện"]),
        (TaskState::NotStarted, &["chưa thực hiện"]),
    ];
    if let Some((state, _)) = USUAL.iter().find(|(_, forms)| is_any(&text, forms)) {
        return Ok(Some(*state));
    }
    // beginnings, in this order: `chưa hoàn thành` must not be found as `hoàn thành`; `đang xin gia hạn` not as `đang`
    const STATES: &[(TaskState, &[&str])] = &[
        (TaskState::NotReceived, &["chưa tiếp nhận", "chưa nhận", "chờ tiếp nhận"]),
        (
            TaskState::NotStarted,
            &["chưa thực hiện", "chưa triển khai", "chưa xử lý", "chưa bắt đầu", "chưa làm", "đã tiếp nhận", "đã nhận"],
        ),
        (
            TaskState::InProgress,
            &[
                "chưa hoàn thành",
                "chưa xong",
                "chưa HT",
                "không hoàn thành",
                "hoàn thành một phần",
                "hoàn thành 1 phần",
            ],
        ),
        (
            TaskState::ExtensionRequested,
            &[
                "đang xin gia hạn",
                "xin gia hạn",
                "đã xin gia hạn",
                "đề nghị gia hạn",
                "đang đề nghị gia hạn",
                "chờ gia hạn",
            ],
        ),
        (TaskState::Paused, &["tạm dừng", "đang tạm dừng", "tạm hoãn", "tạm ngừng", "dừng thực hiện"]),
        (TaskState::Returned, &["trả lại", "đã trả lại", "bị trả lại", "từ chối"]),
        (TaskState::Withdrawn, &["thu hồi", "đã thu hồi", "hủy", "đã hủy", "hủy bỏ", "bãi bỏ"]),
        (
            TaskState::Submitted,
            &[
                "đã trình",
                "đang trình",
                "đã báo cáo, chờ xác nhận",
                "chờ xác nhận",
                "chờ phê duyệt",
                "chờ duyệt",
                "chờ đánh giá",
                "chờ nghiệm thu",
                "đã trình duyệt",
            ],
        ),
        (
            TaskState::InProgress,
            &[
                "đang thực hiện",
                "đang triển khai",
                "đang xử lý",
                "đang TH",
                "đang làm",
                "đang tiến hành",
                "đang hoàn thiện",
                "ĐTH",
                "thực hiện",
                "quá hạn",
                "trong hạn",
                "chậm",
                "trễ hạn",
                "sắp đến hạn",
            ],
        ),
    ];
    if text.is_empty() {
        return Ok(None);
    }
    if let Some((state, _)) = STATES.iter().find(|(_, begins)| after_any(&text, begins).is_some()) {
        return Ok(Some(*state));
    }
    const DONE: &[&str] = &["hoàn thành", "đã hoàn thành", "xong", "đã xong", "HT", "đã HT", "kết thúc", "đã kết thúc"];
    match after_any(&text, DONE) {
        Some(rest) if after_any(rest.trim_start_matches([' ', ',', '-', '(', ';']), &["chờ", "đang chờ"]).is_some() => {
            Ok(Some(TaskState::Submitted))
        }
        Some(rest) if is_plainly_done(rest) => Ok(Some(TaskState::Done)),
        Some(rest) if rest.trim_end_matches([')', ' ']).ends_with('%') => Ok(Some(TaskState::InProgress)),
        _ => Err(Unknown),
    }
}

/// Reads `Độ khẩn`; empty is [`Urgency::Normal`].
pub fn read_urgency(cell: &Cell) -> Result<Urgency, Unknown> {
    let text = words(cell);
    const LEVELS: &[(Urgency, &[&str])] = &[
        (Urgency::Normal, &["", "thường", "bình thường", "không", "không khẩn", "0"]),
        (Urgency::Urgent, &["khẩn", "K", "1"]),
        (Urgency::VeryUrgent, &["thượng khẩn", "T.Khẩn", "T. khẩn", "T khẩn", "TK", "rất khẩn", "2"]),
        (Urgency::Flash, &["hỏa tốc", "H.Tốc", "H. tốc", "HT", "hỏa tốc hẹn giờ", "3"]),
    ];
    LEVELS.iter().find(|(_, forms)| is_any(&text, forms)).map(|(level, _)| *level).ok_or(Unknown)
}

/// Reads `Độ mật`, failing closed (Luật 117/2025/QH15): empty, `Thường`, `Không [mật]` are open; `Mật`, `C`; `Tối mật`,
/// `B`; `Tuyệt mật`, `A`; anything else, a number or a dash too, is [`Secrecy::TopSecret`].
pub fn read_secrecy(cell: &Cell) -> Secrecy {
    // no punctuation is trimmed and no other word is let through: only what is plainly written counts as lower
    let text = match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => fold(&clean_text(text)),
        _ => return Secrecy::TopSecret,
    };
    match text.trim() {
        t if is_any(t, &["", "thường", "không", "không mật"]) => Secrecy::Open,
        t if is_any(t, &["mật", "C"]) => Secrecy::Confidential,
        t if is_any(t, &["tối mật", "B"]) => Secrecy::Secret,
        _ => Secrecy::TopSecret,
    }
}

/// Reads `Khối`; `None` when empty.
pub fn read_block(cell: &Cell) -> Result<Option<Block>, Unknown> {
    let text = words(cell);
    let text = after_any(&text, &["khối"]).map_or(text.as_str(), str::trim_start);
    if text.is_empty() {
        return Ok(None);
    }
    const BLOCKS: &[(Block, &[&str])] = &[
        (Block::State, &["chính quyền", "nhà nước", "hành chính", "cơ quan nhà nước", "UBND", "state"]),
        (Block::Party, &["đảng", "cơ quan đảng", "Đảng, đoàn thể", "đảng - đoàn thể", "party"]),
        (
            Block::Enterprise,
            &["doanh nghiệp nhà nước", "doanh nghiệp", "DNNN", "DN nhà nước", "doanh nghiệp NN", "enterprise"],
        ),
    ];
    BLOCKS.iter().find(|(_, forms)| is_any(text, forms)).map(|(block, _)| Some(*block)).ok_or(Unknown)
}

/// Reads `có`/`không`; `None` when empty.
pub fn yes_no(cell: &Cell) -> Result<Option<bool>, Unknown> {
    if let Cell::Bool(answer) = cell {
        return Ok(Some(*answer));
    }
    match words(cell).as_str() {
        "" => Ok(None),
        t if is_any(t, &["có", "x", "yes", "y", "true", "1", "đúng", "✓", "✔", "☑"]) => Ok(Some(true)),
        t if is_any(t, &["không", "no", "n", "false", "0", "sai", "K"]) => Ok(Some(false)),
        _ => Err(Unknown),
    }
}

/// Reads a count (`Số lần đôn đốc`): empty, `-` and `không` are 0; `3`, `03`, `3 lần`, `lần 3`. At most 9,999.
pub fn count(cell: &Cell) -> Result<u32, Unknown> {
    let text = words(cell);
    let digits = fold("lần");
    let bare = text.strip_suffix(&digits).or_else(|| text.strip_prefix(&digits)).unwrap_or(&text).trim();
    if bare.is_empty() || is_any(bare, &["không", "chưa"]) {
        return Ok(0);
    }
    match bare.bytes().all(|b| b.is_ascii_digit()) && bare.len() <= 6 {
        true => bare.parse().ok().filter(|n| *n <= 9_999).ok_or(Unknown),
        false => Err(Unknown),
    }
}

/// A Vietnamese phone number as digits with the country code and without `+` (`84572365468`), or `None`.
///
/// Nine digits after the country code for mobiles (since 2018) and most landlines, ten for landlines of Hà Nội and
/// TP.HCM (`024 3825 3536`). A number without its leading zero, as Excel leaves it, is nine digits long.
pub fn read_phone(cell: &Cell) -> Option<String> {
    let text: String = cell.text().chars().filter(|c| !is_invisible(*c)).collect();
    // the first of several numbers; `(0)` after the country code is a habit of letterheads
    let first = text.split([';', '/', '\n', ',']).map(str::trim).find(|part| !part.is_empty())?.replace("(0)", "");
    if first.chars().any(|c| !c.is_ascii_digit() && !c.is_whitespace() && !"+()-.'’‘`–".contains(c)) {
        return None;
    }
    let digits: String = first.chars().filter(char::is_ascii_digit).collect();
    let plus = first.trim_start_matches(['(', '\'', '’', '‘', '`', ' ']).starts_with('+');
    let national = match digits.as_str() {
        d if plus || d.starts_with("0084") => d.trim_start_matches("00").strip_prefix("84")?,
        d if d.starts_with('0') => &d[1..],
        d if d.len() >= 11 => d.strip_prefix("84")?,
        d if d.len() == 9 => d,
        _ => return None,
    };
    let fits = matches!((national.len(), national.as_bytes().first()?), (9, b'2'..=b'9') | (10, b'2'));
    fits.then(|| format!("84{national}"))
}

/// The first valid e-mail address in the cell, in lower case, or `None`.
pub fn read_email(cell: &Cell) -> Option<String> {
    let text: String = cell.text().chars().filter(|c| !is_invisible(*c)).collect();
    text.split(|c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, ';' | ',' | '<' | '>' | '|' | '(' | ')' | '"')
    })
    .map(|part| part.trim_matches(|c| matches!(c, '.' | '\'' | ':' | '[' | ']')).to_lowercase())
    .map(|part| part.strip_prefix("mailto:").map_or(part.clone(), str::to_owned))
    .find(|part| is_address(part))
}

/// Stricter than RFC 5321 on purpose: what an office's directory holds, and nothing a relay would refuse.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let local_ok = (1..=64).contains(&local.len())
        && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let labels: Vec<&str> = domain.split('.').collect();
    let domain_ok = domain.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
        && labels.last().is_some_and(|tld| tld.len() >= 2 && tld.bytes().any(|b| b.is_ascii_alphabetic()));
    local_ok && domain_ok
}

/// The text without invisible, bidi and control characters, every run of blanks and line breaks one space, trimmed.
/// HTML stays text.
pub fn clean_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if !c.is_control() && !is_invisible(c) && !is_tag(c) {
            out.push(c);
        }
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// Unicode tag characters and the replacement character's noncharacter kin: they show nothing, and carry hidden text.
fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0000}'..='\u{e0fff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{61c}' | '\u{180e}')
}

/// A piece of a list of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameCandidate {
    /// The piece as typed, cleaned.
    pub whole: String,
    /// The same piece split at `,`, to be tried only when the whole is no known name; empty when it has no comma.
    pub commas: Vec<String>,
}

/// Splits a cell that names several agencies or people, at `;` and line breaks, and drops bullets and numbering before
/// a name. An agency's own name may hold a comma, so commas only give further candidates.
pub fn split_names(cell: &Cell) -> Vec<NameCandidate> {
    let text = cell.text();
    text.split([';', '\n', '\r', '\u{2028}', '\u{2029}', '\u{85}'])
        .filter_map(|piece| {
            let whole = without_bullet(&clean_text(piece));
            let parts: Vec<String> = whole.split(',').map(without_bullet).filter(|part| !part.is_empty()).collect();
            let commas = if whole.contains(',') { parts } else { Vec::new() };
            (!whole.is_empty()).then_some(NameCandidate { whole, commas })
        })
        .collect()
}

/// `- Sở Y tế.`, `1. Sở Y tế`, `+ Sở Y tế` as `Sở Y tế`.
fn without_bullet(piece: &str) -> String {
    let piece = piece.trim().trim_start_matches(['-', '+', '*', '•', '–', '—', '·', ',']).trim_start();
    let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
    let rest = match piece[digits..].strip_prefix(['.', ')']) {
        Some(rest) if (1..=2).contains(&digits) => rest,
        _ => piece,
    };
    rest.trim_start().trim_end_matches([',', '.', ' ']).to_owned()
}

#[cfg(test)]
mod tests;
