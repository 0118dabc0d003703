//! What a line that TOML cannot read was meant to say: the slips of people who write Vietnamese in Word all day.
//!
//! A parser knows only where it stumbled; here the whole line is looked at. Lines come with their secrets blanked, and
//! nothing is mended silently: what is found becomes an answer.

use jiff::civil::Date;

use super::{
    problem::quoted,
    vietnamese::{ALL_KEYS, plain, stands_for},
};
use crate::planning::fold::is_invisible;

/// A message and how to mend it.
pub type Answer = (String, String);

/// Longer lines are quoted in part, and no correction of them is offered.
const LONGEST: usize = 100;

fn answer(message: impl Into<String>, help: impl Into<String>) -> Option<Answer> {
    Some((message.into(), help.into()))
}

/// An answer to a line, where one of the known slips explains it. `at` is where the parser stumbled, in the line.
pub fn explain(line: &str, at: usize, description: &str) -> Option<Answer> {
    let code = without_comment(line).trim();
    if code.chars().count() > LONGEST {
        return None;
    }
    strange_characters(line, at).or_else(|| match code.starts_with('[') {
        true => header(code, description),
        false => statement(code, description),
    })
}

fn strange_characters(line: &str, at: usize) -> Option<Answer> {
    let bare = outside_quotes(line);
    if bare.contains(['“', '”', '„', '‘', '’', '«', '»', '＂']) {
        return answer(
            "dấu ngoặc kép cong không dùng được",
            "bộ gõ đã đổi dấu ngoặc: thay “ ” bằng dấu ngoặc kép thẳng \"…\"",
        );
    }
    let unseen = |c: char| is_invisible(c) || c.is_whitespace() && !matches!(c, ' ' | '\t' | '\r');
    let there = line.get(at..).and_then(|rest| rest.chars().next()).is_some_and(unseen);
    if there || bare.contains(unseen) {
        return answer(
            "có ký tự lạ không nhìn thấy, thường do chép từ Word, Zalo hay trang web",
            "xóa chỗ đánh dấu, cả khoảng trắng quanh đó, rồi gõ lại bằng tay",
        );
    }
    None
}

fn header(code: &str, description: &str) -> Option<Answer> {
    let name = code.trim_matches(['[', ']', ' ']);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        return None;
    }
    let double = matches!(name, "rule" | "rule.step" | "test" | "day" | "closure");
    let right = if double { format!("[[{name}]]") } else { format!("[{name}]") };
    if description.contains("duplicate") {
        return match (double, code.starts_with("[[")) {
            (true, false) => {
                answer(format!("mục {} phải viết bằng hai dấu ngoặc", quoted(code)), format!("viết: {right}"))
            }
            (true, true) => answer(
                format!("mục {right} ở trên chỉ viết một dấu ngoặc, nên không viết thêm được mục thứ hai"),
                format!("sửa mục ở trên thành hai dấu ngoặc: {right}"),
            ),
            (false, _) => answer(
                format!("mục {right} đã được viết ở trên"),
                "chuyển các dòng của mục này lên mục đã có, rồi bỏ dòng này",
            ),
        };
    }
    (code != right).then(|| (format!("tên mục {} viết chưa đúng", quoted(code)), format!("viết: {right}")))
}

fn statement(code: &str, description: &str) -> Option<Answer> {
    let Some((key, value)) = split(code) else { return without_equals(code) };
    let (key, value) = (key.trim(), value.trim());
    if description.contains("duplicate") {
        let help = "mỗi khóa chỉ viết một lần trong một mục; bỏ bớt một dòng";
        return answer(format!("khóa {} đã được viết ở trên, trong cùng mục này", quoted(key)), help);
    }
    if value.starts_with('=') || value.is_empty() {
        return None;
    }
    if !key.is_empty() && !key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '"')) {
        let meant = match stands_for(key, ALL_KEYS.iter().copied()) {
            Some(meant) => format!("có phải ý là `{meant}`? viết: {meant} = {value}"),
            None => "tên khóa chỉ gồm chữ không dấu, chữ số, dấu `-` và `_`".to_owned(),
        };
        return answer(format!("tên khóa không dùng được: {}", quoted(key)), meant);
    }
    // Inside a table in braces the line says more than one thing; what is said of `key` would be about the wrong one.
    if value.starts_with('{') {
        return None;
    }
    value_hint(key, value)
}

/// A line without an equals sign.
fn without_equals(code: &str) -> Option<Answer> {
    if code.is_empty() || code.starts_with(['"', '\'', ']', '}', ',']) {
        return None;
    }
    let end = code.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(code.len());
    let (word, rest) = (&code[..end], code[end..].trim());
    let known = ALL_KEYS.contains(&word) || stands_for(word, ALL_KEYS.iter().copied()).is_some();
    if let Some(value) = rest.strip_prefix(':').filter(|_| known) {
        return answer(format!("sau {} là dấu `:`", quoted(word)), format!("dùng dấu `=`: {word} = {}", value.trim()));
    }
    let value = |c: char| c.is_ascii_digit() || matches!(c, '"' | '\'' | '[' | '{' | '-' | '+');
    if known && rest.starts_with(value) {
        return answer(format!("thiếu dấu `=` sau {}", quoted(word)), format!("viết: {word} = {rest}"));
    }
    if code.split_whitespace().count() >= 2 && !code.contains(['"', '[', '{']) {
        let help = format!("nếu là ghi chú, thêm dấu # ở đầu dòng: # {code}");
        return answer("dòng này không có dạng `khóa = giá trị`", help);
    }
    None
}

fn value_hint(key: &str, value: &str) -> Option<Answer> {
    if let Some((before, note)) = value.split_once("//")
        && before.matches('"').count().is_multiple_of(2)
    {
        let help = format!("viết: {key} = {}  # {}", before.trim(), note.trim());
        return answer("ghi chú phải bắt đầu bằng dấu #, không phải //", help);
    }
    if let Some(rest) = value.strip_suffix(';') {
        return answer("thừa dấu `;` ở cuối dòng", format!("viết: {key} = {}", rest.trim()));
    }
    if let Some(inner) = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return answer("danh sách dùng ngoặc vuông, không dùng ngoặc tròn", format!("viết: {key} = {}", listed(inner)));
    }
    match plain(value).as_str() {
        "true" | "co" | "yes" | "dung" | "x" => return answer(flag(value), format!("viết: {key} = true")),
        "false" | "khong" | "no" | "sai" => return answer(flag(value), format!("viết: {key} = false")),
        _ => {}
    }
    if !value.starts_with(['"', '\'']) {
        if let Some(time) = hour(value) {
            return answer("giờ phải viết trong dấu ngoặc kép, dạng giờ:phút", format!("viết: {key} = \"{time}\""));
        }
        if let Some(answer) = written_date(key, value) {
            return Some(answer);
        }
    }
    let bare = outside_quotes(value);
    if bare.contains(',') && !value.starts_with('[') {
        return answer("nhiều giá trị phải nằm trong một cặp ngoặc vuông", format!("viết: {key} = {}", listed(value)));
    }
    if let Some(next) = second_key(value, &bare) {
        return answer(
            "hai khóa viết trên một dòng",
            format!("xuống dòng trước {}: mỗi dòng một `khóa = giá trị`", quoted(next)),
        );
    }
    if value.matches('"').count() % 2 == 1 && !value.starts_with('[') {
        let inner = value.trim_matches(['"', '\'', ' ']);
        if !inner.contains(['"', '\'']) {
            return answer("chữ chưa đóng ngoặc kép", format!("viết: {key} = \"{inner}\""));
        }
    }
    let word = !value.contains(['"', '\'', '[', ']', '{', '}', '=', '#', '\\']) && !value.starts_with(['+', '-', '.']);
    let offset = value.starts_with(['+', '-']) && value.ends_with(['d', 'h']);
    if (word && value.starts_with(|c: char| c.is_alphabetic())) || offset {
        return answer("thiếu dấu ngoặc kép", format!("viết: {key} = \"{value}\""));
    }
    None
}

fn flag(value: &str) -> String {
    format!("{} không dùng được: chỉ có true (có) và false (không), viết thường, không ngoặc kép", quoted(value))
}

/// A date as people write it, however they write it.
fn written_date(key: &str, value: &str) -> Option<Answer> {
    let (day, rest) = value.split_once([' ', 'T']).unwrap_or((value, ""));
    let numbers: Vec<&str> = day.split(['/', '-', '.']).collect();
    let [a, b, c] = numbers[..] else { return None };
    if !numbers.iter().all(|part| !part.is_empty() && part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let (year, month, date) = if a.len() == 4 { (a, b, c) } else { (c, b, a) };
    let Some(read) = any_date(day) else {
        return answer(format!("không có ngày {date}/{month}/{year}"), "xem lại ngày và tháng");
    };
    let clock = if rest.is_empty() { None } else { Some(hour(rest.trim())?) };
    let right = match clock {
        Some(time) => format!("{read}T{time}:00"),
        None => read.to_string(),
    };
    answer("ngày viết chưa đúng dạng năm-tháng-ngày, tháng và ngày hai chữ số", format!("viết: {key} = {right}"))
}

/// `16/12/2026`, `16-12-2026`, `16.12.2026`, `2026-12-6`: the date somebody meant.
pub fn any_date(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.trim().split(['/', '-', '.']).collect();
    let [a, b, c] = parts[..] else { return None };
    let (year, month, day) = if a.len() == 4 { (a, b, c) } else { (c, b, a) };
    let year = match year.len() {
        4 => year.parse::<i16>().ok()?,
        2 => 2000 + year.parse::<i16>().ok()?,
        _ => return None,
    };
    Date::new(year, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `7h30`, `7:30`, `7.30`, `7 giờ 30`, `17h`: the time of day somebody meant, as the file wants it.
pub fn hour(text: &str) -> Option<String> {
    let text = plain(text).replace(' ', "").replace("gio", "h").replace("phut", "").replace('g', "h");
    let (hours, minutes) = text.split_once(['h', ':', '.'])?;
    let minutes = minutes.split(':').next().unwrap_or_default();
    let digits = |part: &str, most: usize| part.len() <= most && part.bytes().all(|b| b.is_ascii_digit());
    if hours.is_empty() || !digits(hours, 2) || !digits(minutes, 2) || minutes.len() == 1 {
        return None;
    }
    let (hours, minutes): (u8, u8) = (hours.parse().ok()?, if minutes.is_empty() { 0 } else { minutes.parse().ok()? });
    (hours <= 23 && minutes <= 59).then(|| format!("{hours:02}:{minutes:02}"))
}

/// `["a", "b"]` of whatever stood between commas.
pub fn listed(text: &str) -> String {
    let words = text.split(',').map(|word| word.trim().trim_matches(['"', '\'', '[', ']', ' ']));
    let words: Vec<String> = words.filter(|word| !word.is_empty()).map(|word| format!("\"{word}\"")).collect();
    format!("[{}]", words.join(", "))
}

/// The key of a second statement on the same line.
fn second_key<'a>(value: &'a str, bare: &str) -> Option<&'a str> {
    let equals = bare.find('=')?;
    let before = value.get(..equals)?.trim_end();
    let start = before.rfind([' ', '"', ']', '}']).map_or(0, |at| at + 1);
    let key = before.get(start..)?;
    (!key.is_empty() && ALL_KEYS.contains(&key) && start > 0).then_some(key)
}

/// Key and value around the first equals sign outside quotes.
fn split(code: &str) -> Option<(&str, &str)> {
    let at = outside_quotes(code).find('=')?;
    Some((&code[..at], &code[at + 1..]))
}

/// The text with what stands in straight quotes blanked, of the same length.
fn outside_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(q) if c == q => {
                quote = None;
                out.push(c);
            }
            Some(_) => out.extend(std::iter::repeat_n('_', c.len_utf8())),
            None => {
                if matches!(c, '"' | '\'') {
                    quote = Some(c);
                }
                out.push(c);
            }
        }
    }
    out
}

fn without_comment(line: &str) -> &str {
    let end = outside_quotes(line).find('#').unwrap_or(line.len());
    &line[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_dates_are_read_as_people_write_them() {
        for (typed, meant) in
            [("7h30", "07:30"), ("7:30", "07:30"), ("7.30", "07:30"), ("17h", "17:00"), ("7 giờ 30", "07:30")]
        {
            assert_eq!(hour(typed).as_deref(), Some(meant), "{typed}");
        }
        for none in ["25h00", "7h60", "7h3", "abc", "-3", "1:2:3:4x", ""] {
            assert_eq!(hour(none), None, "{none}");
        }
        let meant = jiff::civil::date(2026, 12, 6);
        for typed in ["6/12/2026", "06-12-2026", "6.12.26", "2026-12-6", "2026/12/06"] {
            assert_eq!(any_date(typed), Some(meant), "{typed}");
        }
        assert_eq!(any_date("31/11/2026"), None);
    }

    #[test]
    fn a_list_is_made_of_whatever_stood_between_commas() {
        assert_eq!(listed("a, \"b\" ,[c]"), "[\"a\", \"b\", \"c\"]");
    }
}
