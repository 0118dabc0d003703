//! The small values of rules.toml: offsets with their unit, times of day, ids.

use jiff::civil::Time;

use super::{
    line_hints::hour,
    problem::{Place, quoted},
    raw::{Data, Table},
    vietnamese::plain,
};
use crate::planning::{
    rules::{Offset, Unit},
    task::word_enum,
};

word_enum!(/// Which sign an offset may have.
    Sign { /// any, zero included
        Any = "any", /// above zero
        Positive = "positive" });

/// The largest distance a step may have from its deadline: more is a slip of the pen.
pub(super) const FARTHEST: i64 = 10_000;

impl Table<'_> {
    /// `-10wd`, `0d`, `+4h`. A bare number is refused: an office must say what it counts.
    pub fn offset(&self, key: &str, sign: Sign) -> Option<(Offset, Place)> {
        let node = self.find(key)?;
        let example = match sign {
            Sign::Any => format!("{key} = \"-10wd\" (trước hạn), \"0d\" (đúng ngày), \"+4h\" (sau hạn)"),
            Sign::Positive => format!("{key} = \"5wd\""),
        };
        let units = "đơn vị: wd ngày làm việc, d ngày, h giờ";
        let place = &node.place;
        let text = match &node.data {
            Data::Text(text) => text.trim(),
            Data::Int(Some(number)) => {
                let signed = if sign == Sign::Any && *number > 0 { format!("+{number}") } else { number.to_string() };
                let help = format!("nếu là ngày làm việc, viết: {key} = \"{signed}wd\"\n{units}");
                self.error(place, "missing-unit", format!("`{key}` thiếu đơn vị"), help);
                return None;
            }
            _ => {
                self.text(key, &example);
                return None;
            }
        };
        let at = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
        let (number, unit) = (text[..at].trim(), text[at..].trim());
        let parsed = number.strip_prefix('+').unwrap_or(number).parse::<i64>().ok();
        let Some(n) = parsed.filter(|_| !number.starts_with("+-")) else {
            let message = format!("`{key}` không đọc được: {}", quoted(text));
            let help = match meant_offset(text) {
                Some(meant) => format!("có phải ý là {meant}?\n{units}"),
                None => format!("viết như: {example}\n{units}"),
            };
            self.error(place, "bad-offset", message, help);
            return None;
        };
        let Some(unit) = Unit::from_word(unit) else {
            if unit.is_empty() {
                let help = format!("nếu là ngày làm việc, viết: {key} = \"{text}wd\"\n{units}");
                self.error(place, "missing-unit", format!("`{key}` thiếu đơn vị: {}", quoted(text)), help);
            } else {
                let message = format!("`{key}` có đơn vị lạ: {}", quoted(unit));
                let near = match plain(unit).as_str() {
                    "w" | "dw" | "wds" | "ngaylamviec" | "ngay lam viec" | "ngay lv" | "nlv" | "bd" => {
                        "có phải ý là `wd`?\n"
                    }
                    "day" | "days" | "ngay" | "n" => "có phải ý là `d` (ngày) hay `wd` (ngày làm việc)?\n",
                    "hour" | "hours" | "gio" | "g" | "hr" => "có phải ý là `h`?\n",
                    _ => "",
                };
                self.error(place, "unknown-unit", message, format!("{near}{units}"));
            }
            return None;
        };
        if n.abs() > FARTHEST || (sign == Sign::Positive && n <= 0) {
            let message = match sign {
                Sign::Positive if n <= 0 => format!("`{key}` phải lớn hơn 0"),
                _ => format!("`{key}` quá xa: {}", quoted(text)),
            };
            self.error(place, "out-of-range", message, format!("viết như: {example}"));
            return None;
        }
        if sign == Sign::Any && n > 0 && !number.starts_with('+') {
            let help = format!("sau hạn: {key} = \"+{text}\"; trước hạn: {key} = \"-{text}\"");
            let message = format!("`{key}` không có dấu: trước hay sau hạn?");
            self.error(place, "missing-sign", message, help);
            return None;
        }
        Some((Offset { n: n as i32, unit }, place.clone()))
    }

    /// A local time of day, in minutes; 1440 ("24:00") only where `midnight_end`.
    pub fn minute(&self, key: &str, midnight_end: bool) -> Option<(u16, Place)> {
        let node = self.find(key)?;
        let place = &node.place;
        let minute = match &node.data {
            Data::Moment(moment) if moment.date.is_none() && !moment.offset => {
                moment.time.map(|time| time.hour() as u16 * 60 + time.minute() as u16)
            }
            Data::Text(text) | Data::Env(text) => minute_of_text(text.trim(), midnight_end),
            Data::Moment(_) => None,
            _ => {
                let meant = hour(node.typed()).unwrap_or("08:00".to_owned());
                self.text(key, &format!("{key} = \"{meant}\""));
                return None;
            }
        };
        if minute.is_none() {
            let message = format!("`{key}` không phải giờ trong ngày");
            let last = if midnight_end { "\"24:00\"" } else { "\"23:59\"" };
            let help = match hour(node.typed().trim_matches(['"', '\''])) {
                Some(meant) => format!("viết: {key} = \"{meant}\""),
                None => format!("viết giờ:phút, từ \"00:00\" đến {last}: {key} = \"08:00\""),
            };
            self.error(place, "bad-time", message, help);
        }
        Some((minute?, place.clone()))
    }

    /// A local time of day.
    pub fn time(&self, key: &str) -> Option<(Time, Place)> {
        let (minute, place) = self.minute(key, false)?;
        Some((Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0), place))
    }

    /// An id that may stand in the ledger: letters, digits, `-`, `_`, `.`; at most 64.
    pub fn id(&self, key: &str, example: &str) -> Option<(String, Place)> {
        let (text, place) = self.filled(key, example)?;
        self.check_id(&text, &place).then_some((text, place))
    }

    /// Whether a text can be an id, reported if not.
    pub fn check_id(&self, text: &str, place: &Place) -> bool {
        let fits = !text.is_empty()
            && text.chars().count() <= 64
            && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !fits {
            let help = "chỉ dùng chữ, số, dấu `-` `_` `.`, nhiều nhất 64 ký tự, không có khoảng trắng: \"qua-han-1\"";
            self.error(place, "bad-id", format!("tên không dùng được: {}", quoted(text)), help);
        }
        fits
    }
}

/// What a distance that cannot be read was meant to be: a dash of Word, or words.
fn meant_offset(text: &str) -> Option<String> {
    let straight = text.replace(['–', '—', '−', '‒'], "-");
    if straight != text {
        return Some(format!("`{straight}` (dấu trừ ngắn; bộ gõ đã đổi thành gạch dài)"));
    }
    let words = plain(text);
    let n: u32 = words.split(' ').find_map(|word| word.parse().ok())?;
    let sign = if words.contains("truoc") {
        "-"
    } else if words.contains("sau") || words.contains("qua") {
        "+"
    } else {
        return None;
    };
    Some(match () {
        () if words.contains("ngay lam viec") => format!("`{sign}{n}wd`"),
        () if words.contains("gio") => format!("`{sign}{n}h`"),
        () => format!("`{sign}{n}wd` (ngày làm việc) hay `{sign}{n}d` (ngày)"),
    })
}

fn minute_of_text(text: &str, midnight_end: bool) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str| {
        (part.len() <= 2 && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u16>().ok())
            .flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|_| minutes.len() == 2)?);
    match (hours, minutes) {
        (24, 0) if midnight_end => Some(1440),
        (0..=23, 0..=59) => Some(hours * 60 + minutes),
        _ => None,
    }
}
