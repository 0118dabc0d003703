//! What people type as a deadline, read as a date with the rule that gave it.
//!
//! The text is cut into words, numbers and signs, and every one of them must be understood: a word that is not known,
//! a second date, a day that does not exist make the cell [`How::Unreadable`], never another day. Diacritics are not
//! needed (`truoc ngay 15/12/2026`). Working days play no part here.

use jiff::{
    ToSpan,
    civil::{Date, Time, date},
};

use crate::{
    intake::{cells::clean_text, table::Cell},
    planning::{fold::fold, task::word_enum},
};

mod parse;

word_enum!(/// The rule by which a deadline was read.
How {
    /// one day, as a text or a spreadsheet's date
    Date = "date",
    /// `trước ngày 15/12/2026`: the day before; `trước 17h00 ngày 15/12/2026`: that day, with its hour
    Before = "before",
    /// `chậm nhất ngày 15/12/2026`: that day
    NoLaterThan = "no_later_than",
    /// the month's last day
    Month = "month",
    /// the quarter's last day
    Quarter = "quarter",
    /// 30/6 or 31/12
    HalfYear = "half_year",
    /// 31/12
    Year = "year",
    /// `thường xuyên`, `hằng tháng`: no single deadline
    Recurring = "recurring",
    /// empty, `-`, `không thời hạn`
    None = "none",
    /// a text that is no date we know, or a day that does not exist
    Unreadable = "unreadable",
});

/// A deadline as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineReading {
    /// `None` for `Recurring`, `None` and `Unreadable`.
    pub date: Option<Date>,
    /// The stated hour; only ever with a date.
    pub time: Option<Time>,
    pub how: How,
    /// What whoever imports should look at (in Vietnamese): a year that was inferred, an American date, an hour left
    /// out. Holds nothing of the cell but its date and hour.
    pub note: Option<String>,
}

/// A date cell that holds something other than a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("không đọc được ngày; ghi theo dạng dd/mm/yyyy")]
pub struct Unreadable;

/// Reads a deadline cell. `assigned` is the day the task was assigned: a date typed without a year is the next such day
/// on or after it, and without it unreadable.
pub fn read_deadline(cell: &Cell, assigned: Option<Date>) -> DeadlineReading {
    let mut reading = match cell {
        Cell::Empty => nothing(How::None),
        Cell::Date(at) => stamped(at.date(), at.time()),
        Cell::Number(n) if is_serial(*n) => match from_serial(*n) {
            Some(date) => one_day(date),
            None => nothing(How::Unreadable),
        },
        Cell::Number(_) | Cell::Text(_) => parse::deadline(&plain(&cell.text()), assigned),
        Cell::Bool(_) | Cell::Error(_) => nothing(How::Unreadable),
    };
    if let (Some(due), Some(assigned)) = (reading.date, assigned)
        && due < assigned
    {
        reading.add_note("thời hạn sớm hơn ngày giao".to_owned());
    }
    reading
}

/// Reads a plain date cell (date of a document, of assignment, of completion). Empty and `-` are `Ok(None)`; a month, a
/// day without its year or `trước ngày …` is no date here.
pub fn read_date(cell: &Cell) -> Result<Option<Date>, Unreadable> {
    let reading = read_deadline(cell, None);
    match reading.how {
        How::Date => Ok(reading.date),
        How::None => Ok(None),
        _ => Err(Unreadable),
    }
}

impl DeadlineReading {
    fn add_note(&mut self, note: String) {
        match &mut self.note {
            Some(all) => {
                all.push_str("; ");
                all.push_str(&note);
            }
            none => *none = Some(note),
        }
    }
}

fn nothing(how: How) -> DeadlineReading {
    DeadlineReading { date: None, time: None, how, note: None }
}

fn one_day(date: Date) -> DeadlineReading {
    DeadlineReading { date: Some(date), time: None, how: How::Date, note: None }
}

/// A spreadsheet's or a program's time stamp. Its hour is not a stated one: programs write 17:00:00 or 00:00:00 into
/// every date column, and a notice filed an afternoon too early cannot be taken back.
fn stamped(date: Date, time: Time) -> DeadlineReading {
    let mut reading = one_day(date);
    if time != Time::midnight() && (time.hour(), time.minute()) != (23, 59) {
        let (hour, minute) = (time.hour(), time.minute());
        reading.add_note(format!(
            "không tính giờ {hour:02}:{minute:02} đi kèm ngày; nếu hạn có giờ, ghi “{hour:02}h{minute:02} ngày {}”",
            shown(date)
        ));
    }
    reading
}

fn shown(date: Date) -> String {
    format!("{:02}/{:02}/{}", date.day(), date.month(), date.year())
}

/// Days as Excel counts them, from 1970 to 2100: below and above are numbers, not dates.
fn is_serial(n: f64) -> bool {
    (25_569.0..73_416.0).contains(&n)
}

fn from_serial(n: f64) -> Option<Date> {
    date(1899, 12, 30).checked_add((n.floor() as i32).days()).ok()
}

/// Lower case without diacritics, `đ` as `d`.
fn plain(text: &str) -> String {
    fold(&clean_text(text))
        .chars()
        .filter(|c| !unicode_normalization::char::is_combining_mark(*c))
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;
