//! The grammar of typed deadlines, on lower-case text without diacritics.

use jiff::{
    ToSpan,
    civil::{Date, Time, Weekday},
};

use super::{DeadlineReading, How, from_serial, is_serial, nothing, one_day, shown, stamped};

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    /// A number and how many digits it was written with.
    Number(u32, usize),
    Sign(char),
}
use Token::{Number, Sign, Word};

/// What a date is said to be.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    On,
    Before,
    NoLaterThan,
}

/// A day or a period, before the mode is applied.
struct Found {
    first: Date,
    last: Date,
    how: How,
    note: Option<&'static str>,
}

const AMERICAN: &str = "đọc theo dạng tháng/ngày/năm (kiểu Mỹ)";
const YEAR_INFERRED: &str = "không ghi năm; suy từ ngày giao";

pub(super) fn deadline(text: &str, assigned: Option<Date>) -> DeadlineReading {
    let text = text.trim();
    if says_none(text) {
        return nothing(How::None);
    }
    let Some(tokens) = tokens(text) else { return nothing(How::Unreadable) };
    if says_recurring(&tokens) {
        // `thường xuyên, báo cáo trước 15/12/2026` says two things: a person decides
        let numbers = tokens.iter().filter(|t| matches!(t, Number(..))).count();
        let full = numbers >= 3 && tokens.iter().any(|t| matches!(t, Number(_, 4)));
        return nothing(if full { How::Unreadable } else { How::Recurring });
    }
    match tokens.as_slice() {
        [Number(n, 5)] if is_serial(f64::from(*n)) => {
            return from_serial(f64::from(*n)).map_or(nothing(How::Unreadable), one_day);
        }
        [Number(n, 5), Sign('.'), Number(..)] if is_serial(f64::from(*n)) => {
            return from_serial(f64::from(*n)).map_or(nothing(How::Unreadable), one_day);
        }
        [Number(n, 8)] => {
            let date = day(*n / 10_000, *n / 100 % 100, *n % 100);
            return date.map_or(nothing(How::Unreadable), one_day);
        }
        _ => {}
    }
    Reader { tokens: &tokens, at: 0, assigned }.read().unwrap_or(nothing(How::Unreadable))
}

fn says_none(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "-_./\\*'".contains(c));
    matches!(
        text,
        "" | "khong"
            | "khong co"
            | "khong co thoi han"
            | "khong thoi han"
            | "khong co han"
            | "khong han"
            | "khong xac dinh"
            | "khong xac dinh thoi han"
            | "khong quy dinh"
            | "khong quy dinh thoi han"
            | "chua xac dinh"
            | "chua co"
            | "khong ghi"
            | "n/a"
            | "na"
            | "none"
    )
}

fn says_recurring(tokens: &[Token]) -> bool {
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| match token {
            Word(word) => word.as_str(),
            Number(6, _) => "6",
            _ => "",
        })
        .collect();
    let spans = ["ngay", "tuan", "thang", "quy", "nam", "6"];
    words.windows(2).any(|pair| match pair {
        ["thuong", "xuyen"] | ["dinh", "ky"] | ["dinh", "ki"] | ["lien", "tuc"] => true,
        ["hang" | "moi", span] => spans.contains(span),
        _ => false,
    })
}

/// `None` for a number too long to be part of any date.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let run = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let taken = if c.is_ascii_digit() {
            let end = run(|c| c.is_ascii_digit());
            if end > 9 {
                return None;
            }
            out.push(Number(rest[..end].parse().ok()?, end));
            end
        } else if c.is_alphabetic() {
            let end = run(char::is_alphabetic);
            out.push(Word(rest[..end].to_owned()));
            end
        } else {
            if !c.is_whitespace() {
                out.push(Sign(c));
            }
            c.len_utf8()
        };
        rest = &rest[taken..];
    }
    Some(out)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    assigned: Option<Date>,
}

impl Reader<'_> {
    fn read(mut self) -> Option<DeadlineReading> {
        let (mut mode, mut found, mut time, mut weekday) = (Mode::On, None::<Found>, None, None);
        while self.at < self.tokens.len() {
            if let Some(hour) = self.time() {
                if time.replace(hour?).is_some() {
                    return None;
                }
            } else if let Some(said) = self.mode() {
                // `chậm nhất trước ngày 15/12`: the narrower reading is the earlier one
                mode = if mode == Mode::Before { mode } else { said };
            } else if let Some(day) = self.weekday() {
                weekday = Some(day);
            } else if let Some(answer) = self.expression() {
                if found.replace(answer?).is_some() {
                    return None;
                }
            } else if !self.filler(found.is_some()) {
                return None;
            }
        }
        let found = found?;
        let mut reading = match (mode, found.how, time) {
            (Mode::Before, How::Date, Some((hour, true))) => {
                DeadlineReading { date: Some(found.last), time: Some(hour), how: How::Before, note: None }
            }
            (Mode::Before, ..) => {
                DeadlineReading { date: Some(found.first.yesterday().ok()?), time: None, how: How::Before, note: None }
            }
            (mode, How::Date, hour) => {
                let mut reading = match hour {
                    Some((hour, false)) => stamped(found.last, hour),
                    Some((hour, true)) => DeadlineReading { time: Some(hour), ..one_day(found.last) },
                    None => one_day(found.last),
                };
                if mode == Mode::NoLaterThan {
                    reading.how = How::NoLaterThan;
                }
                reading
            }
            // an hour of a month or a quarter says nothing
            (_, _, Some(_)) => return None,
            (_, how, None) => DeadlineReading { date: Some(found.last), time: None, how, note: None },
        };
        if let Some(note) = found.note {
            reading.add_note(note.to_owned());
        }
        if let Some(weekday) = weekday
            && found.how == How::Date
            && found.last.weekday() != weekday
        {
            reading.add_note(format!("thứ trong tuần không khớp ngày {}", shown(found.last)));
        }
        Some(reading)
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> &str {
        match self.peek(ahead) {
            Some(Word(word)) => word,
            _ => "",
        }
    }

    fn number(&self, ahead: usize) -> Option<(u32, usize)> {
        match self.peek(ahead) {
            Some(Number(value, digits)) => Some((*value, *digits)),
            _ => None,
        }
    }

    fn sign(&self, ahead: usize) -> Option<char> {
        match self.peek(ahead) {
            Some(Sign(sign)) => Some(*sign),
            _ => None,
        }
    }

    /// `17h00`, `17 giờ 30 phút`, `17:00`, `5:00 CH`, `T17:00:00`. The flag says whether a person stated it; a clock
    /// with seconds is a program's. The inner `None` is an hour that does not exist.
    fn time(&mut self) -> Option<Option<(Time, bool)>> {
        let start = self.at;
        let lead = usize::from(self.word(0) == "t" && self.sign(2) == Some(':'));
        let (hour, digits) = self.number(lead)?;
        if digits > 2 {
            return None;
        }
        let mut minute = 0;
        let mut stated = true;
        match (self.peek(lead + 1), self.number(lead + 2)) {
            (Some(Word(unit)), follows) if matches!(unit.as_str(), "h" | "g" | "gio") => {
                self.at += lead + 2;
                // a minute, unless it is the day of `17h 15/12/2026`
                let is_date = matches!(self.sign(1), Some('/' | '-' | '.'));
                if let Some((m, 2)) = follows.filter(|_| !is_date) {
                    minute = m;
                    self.at += 1;
                }
                if matches!(self.word(0), "phut" | "p") {
                    self.at += 1;
                }
            }
            (Some(Sign(':')), Some((m, 2))) => {
                minute = m;
                self.at += lead + 3;
                if let (Some(':'), Some((_, 2))) = (self.sign(0), self.number(1)) {
                    stated = false;
                    self.at += 2;
                    if let (Some('.'), Some(_)) = (self.sign(0), self.number(1)) {
                        self.at += 2;
                    }
                }
                stated &= (hour, minute) != (0, 0);
            }
            _ => {
                self.at = start;
                return None;
            }
        }
        let afternoon = matches!(self.word(0), "pm" | "ch" | "chieu" | "toi");
        if afternoon || matches!(self.word(0), "am" | "sa" | "sang") {
            self.at += 1;
        }
        let hour = match hour {
            12 if !afternoon && self.tokens.get(self.at.wrapping_sub(1)) == Some(&Word("am".to_owned())) => 0,
            1..=11 if afternoon => hour + 12,
            // 24h00 is the end of the day, which a date without an hour means anyway
            24 if minute == 0 => return Some(Some((Time::midnight(), false))),
            hour => hour,
        };
        Some(Time::new(hour as i8, minute as i8, 0, 0).ok().map(|time| (time, stated)))
    }

    fn mode(&mut self) -> Option<Mode> {
        let (mode, length) = match (self.word(0), self.word(1), self.word(2)) {
            ("truoc", "hoac" | "va", "trong") => (Mode::NoLaterThan, 3),
            ("truoc", ..) => (Mode::Before, 1),
            ("khong", "muon" | "cham" | "tre", "hon") => (Mode::NoLaterThan, 3),
            ("khong", "qua", _) | ("cham" | "muon" | "tre", "nhat", _) => (Mode::NoLaterThan, 2),
            ("den" | "toi", ..) => (Mode::NoLaterThan, 1),
            ("het", "ngay", _) => (Mode::NoLaterThan, 1),
            _ => return None,
        };
        self.at += length;
        Some(mode)
    }

    /// `thứ Ba`, `thứ 3`, `chủ nhật`.
    fn weekday(&mut self) -> Option<Weekday> {
        let by_number = |n: u32| Weekday::from_monday_one_offset(i8::try_from(n).ok()? - 1).ok();
        let (day, length) = match (self.word(0), self.word(1), self.number(1)) {
            ("cn", ..) => (Weekday::Sunday, 1),
            ("chu", "nhat", _) => (Weekday::Sunday, 2),
            ("thu", _, Some((n @ 2..=7, 1))) if !matches!(self.sign(2), Some('/' | '-' | '.')) => (by_number(n)?, 2),
            ("thu", word, None) => {
                let place = ["hai", "ba", "tu", "nam", "sau", "bay"].iter().position(|name| *name == word)?;
                (by_number(place as u32 + 2)?, 2)
            }
            _ => return None,
        };
        self.at += length;
        Some(day)
    }

    /// Words that change nothing. Before the date: what is to be done by it; after it: that it was extended.
    fn filler(&mut self, after: bool) -> bool {
        let fits = match self.peek(0) {
            Some(Sign(',' | '.' | ';' | ':' | '(' | ')' | '\'' | '"' | '[' | ']')) => true,
            Some(Sign('-' | '*' | '+')) => self.at == 0 || self.at + 1 == self.tokens.len(),
            Some(Word(word)) => match word.as_str() {
                "ngay" | "vao" | "luc" | "trong" | "thoi" | "han" | "la" | "hoan" | "thanh" | "xong" => true,
                "bao" | "cao" | "gui" | "trinh" | "nop" | "thuc" | "hien" | "phai" | "de" | "nghi" | "ket" | "qua" => {
                    !after
                }
                "da" | "gia" | "duoc" | "lan" | "moi" | "dieu" | "chinh" => after,
                _ => false,
            },
            Some(Number(1..=9, 1)) => after && self.at > 0 && self.tokens[self.at - 1] == Word("lan".to_owned()),
            _ => false,
        };
        self.at += usize::from(fits);
        fits
    }

    /// A day or a period, if one begins here. The inner `None` is one that does not exist or cannot be told.
    fn expression(&mut self) -> Option<Option<Found>> {
        let start = self.at;
        let answer = self.period().or_else(|| {
            self.at = start;
            self.day()
        });
        if answer.is_none() {
            self.at = start;
        }
        answer
    }

    fn period(&mut self) -> Option<Option<Found>> {
        // `hết tháng 10`, `cuối quý III`: the period's last day, as without the word
        let tail = usize::from(matches!(self.word(0), "het" | "cuoi"));
        self.at += tail;
        match (self.word(0), self.number(0)) {
            ("thang" | "t", _) => {
                self.at += 1;
                let (month, digits) = self.number(0)?;
                if digits > 2 {
                    return None;
                }
                self.at += 1;
                Some(self.months(month, month, How::Month))
            }
            ("quy" | "q", _) => {
                self.at += 1;
                if self.sign(0) == Some('.') {
                    self.at += 1;
                }
                let quarter = match (self.word(0), self.number(0)) {
                    ("i", _) | (_, Some((1, _))) => 1,
                    ("ii", _) | (_, Some((2, _))) => 2,
                    ("iii", _) | (_, Some((3, _))) => 3,
                    ("iv", _) | (_, Some((4, _))) => 4,
                    _ => return Some(None),
                };
                self.at += 1;
                Some(self.months(quarter * 3 - 2, quarter * 3, How::Quarter))
            }
            ("sau", _) | (_, Some((6, _))) if self.word(1) == "thang" && matches!(self.word(2), "dau" | "cuoi") => {
                let late = self.word(2) == "cuoi";
                self.at += 3;
                Some(if late { self.months(7, 12, How::HalfYear) } else { self.months(1, 6, How::HalfYear) })
            }
            ("nua", _) if matches!(self.word(1), "dau" | "cuoi") && self.word(2) == "nam" => {
                let late = self.word(1) == "cuoi";
                self.at += 2;
                Some(if late { self.months(7, 12, How::HalfYear) } else { self.months(1, 6, How::HalfYear) })
            }
            ("nam", Option::None) => {
                self.at += 1;
                let (value, digits) = self.number(0)?;
                self.at += 1;
                Some(year(value, digits).and_then(|year| span(year, 1, 12, How::Year)))
            }
            (_, Some((value @ 2000..=2100, 4))) if self.tokens.len() == tail + 1 => {
                self.at += 1;
                Some(span(value, 1, 12, How::Year))
            }
            // `10/2026`
            (_, Some((month, 1 | 2))) if tail == 0 && matches!(self.number(2), Some((_, 4))) => {
                matches!(self.sign(1), Some('/' | '-' | '.')).then(|| {
                    self.at += 1;
                    self.months(month, month, How::Month)
                })
            }
            _ => None,
        }
    }

    /// A run of months, with the year that follows, or the year that fits the day of assignment.
    fn months(&mut self, first: u32, last: u32, how: How) -> Option<Found> {
        if !(1..=12).contains(&first) || !(1..=12).contains(&last) {
            return None;
        }
        if let Some(year) = self.year_after(true) {
            return span(year?, first, last, how);
        }
        let assigned = self.assigned?;
        let year = u32::try_from(assigned.year()).ok()?;
        let mut found = span(year, first, last, how)?;
        if found.last < assigned {
            found = span(year + 1, first, last, how)?;
        }
        Some(Found { note: Some(YEAR_INFERRED), ..found })
    }

    /// The year after a month or a day: `/2026`, `-2026`, `năm 2026`, `, 2026`. The inner `None` is no year.
    fn year_after(&mut self, loose: bool) -> Option<Option<u32>> {
        let skip = match (self.peek(0), self.peek(1)) {
            (Some(Sign('/' | '-' | '.' | ',')), Some(Word(word))) if word == "nam" => 2,
            (Some(Word(word)), _) if word == "nam" => 1,
            (Some(Sign('/' | '-' | '.' | ',')), _) if loose => 1,
            (Some(Number(_, 4)), _) => 0,
            _ => return None,
        };
        match self.number(skip) {
            Some((value, digits)) if digits == 4 || skip > 0 => {
                self.at += skip + 1;
                Some(year(value, digits))
            }
            // `6 tháng đầu năm`, without saying which
            _ => {
                if self.word(0) == "nam" {
                    self.at += 1;
                }
                None
            }
        }
    }

    fn day(&mut self) -> Option<Option<Found>> {
        let named = self.word(0) == "ngay";
        self.at += usize::from(named);
        let (a, a_digits) = self.number(0)?;
        // `15 tháng 12 năm 2026`
        if a_digits <= 2 && self.word(1) == "thang" {
            let (month, _) = self.number(2)?;
            self.at += 3;
            return Some(match self.year_after(true) {
                Some(year) => year.and_then(|year| day(year, month, a)).and_then(|date| on(date, None)),
                None => self.next_day(month, a),
            });
        }
        let sign = self.sign(1).filter(|sign| matches!(sign, '/' | '-' | '.'))?;
        let (b, b_digits) = self.number(2)?;
        let c = (self.sign(3) == Some(sign)).then(|| self.number(4)).flatten();
        if a_digits > 2 || b_digits > 2 {
            // 2026-12-15, 2026/12/15
            let c = c.filter(|(_, digits)| *digits <= 2 && a_digits == 4 && b_digits <= 2);
            self.at += 5;
            return Some(c.and_then(|(c, _)| on(day(year(a, a_digits)?, b, c)?, None)));
        }
        if let Some((c, c_digits)) = c {
            self.at += 5;
            let year = year(c, c_digits);
            let american = b > 12 && (1..=12).contains(&a) && sign == '/';
            return Some(year.and_then(|year| match american {
                true => on(day(year, a, b)?, Some(AMERICAN)),
                false => on(day(year, b, a)?, None),
            }));
        }
        self.at += 3;
        Some(match self.year_after(false) {
            Some(year) => year.and_then(|year| on(day(year, b, a)?, None)),
            None if sign == '/' || named => self.next_day(b, a),
            None => None,
        })
    }

    /// The next such day on or after the day of assignment. Not more than a year ahead: a 29/02 that comes only years
    /// later was not meant.
    fn next_day(&self, month: u32, of_month: u32) -> Option<Found> {
        let assigned = self.assigned?;
        let year = u32::try_from(assigned.year()).ok()?;
        let date =
            [year, year + 1].into_iter().filter_map(|year| day(year, month, of_month)).find(|day| *day >= assigned)?;
        on(date, Some(YEAR_INFERRED))
    }
}

fn on(date: Date, note: Option<&'static str>) -> Option<Found> {
    Some(Found { first: date, last: date, how: How::Date, note })
}

/// A year as typed, of two digits (this century) or four.
fn year(value: u32, digits: usize) -> Option<u32> {
    match (digits, value) {
        (2, _) => Some(2000 + value),
        (4, 1900..=2199) => Some(value),
        _ => None,
    }
}

fn day(year: u32, month: u32, day: u32) -> Option<Date> {
    let year = Some(year).filter(|year| (1900..=2199).contains(year))?;
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn span(year: u32, first: u32, last: u32, how: How) -> Option<Found> {
    let first = day(year, first, 1)?;
    let last = day(year, last, 1)?.checked_add(1.month()).ok()?.yesterday().ok()?;
    Some(Found { first, last, how, note: None })
}
