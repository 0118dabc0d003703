//! How a step's instant came about, in words an office uses: in full for `explain`, in short for the foot of a letter.

use jiff::{Timestamp, civil::Date};

use super::{
    policy::Policy,
    story::{Armed, days},
};
use crate::{
    message::words,
    planning::{
        calendar::{View, WorkCalendar},
        rules::{Offset, Step, Unit},
        task::{AgencyFacts, Deadline, Obligation},
    },
};

/// As many days as are counted out one by one.
const COUNTED_OUT: usize = 5;

/// What a step is counted from.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// Whose closures count among the days off of steps before the deadline.
    pub agency: &'a AgencyFacts,
    pub deadline: Deadline,
    /// After a move to an earlier date: the day the correction was accepted.
    pub overdue_from: Option<Date>,
    pub step: &'a Step,
    /// 1 for the step itself, 2 and on for its repeats.
    pub occurrence: u32,
}

impl<'a> Counted<'a> {
    /// Of an obligation as it stands; `None` without a single deadline.
    pub fn of(obligation: &'a Obligation, step: &'a Step, occurrence: u32) -> Option<Self> {
        let deadline = obligation.deadline?;
        Some(Counted { agency: &obligation.agency, deadline, overdue_from: obligation.overdue_from, step, occurrence })
    }

    /// Of an arming, which may be over.
    pub fn under(armed: &'a Armed, step: &'a Step, occurrence: u32) -> Option<Self> {
        let (deadline, overdue_from) = (armed.deadline?, armed.overdue_from);
        Some(Counted { agency: &armed.agency, deadline, overdue_from, step, occurrence })
    }

    /// The effective deadline, and the day that is counted from where that is a later one.
    fn base(&self, calendar: &WorkCalendar) -> Option<(Date, Option<Date>)> {
        let effective = calendar.effective(self.deadline).ok()?;
        let accepted = self.overdue_from.filter(|_| self.step.due.n > 0).and_then(|day| calendar.roll(day).ok());
        Some((effective, accepted.filter(|accepted| *accepted > effective)))
    }

    /// The calendar a distance is counted by: the agency's own before the deadline, the office's after it.
    fn view<'c>(&self, calendar: &'c WorkCalendar, distance: Offset) -> View<'c> {
        if distance.n < 0 { calendar.for_agency(self.agency) } else { View::of(calendar) }
    }

    /// The distance in one number, where the repeats count on in the step's own unit.
    fn distance(&self) -> Option<Offset> {
        let due = self.step.due;
        match self.step.repeat.filter(|_| self.occurrence > 1) {
            None => Some(due),
            Some(repeat) if repeat.every.unit == due.unit => {
                Some(Offset { n: due.n + repeat.every.n * (self.occurrence as i32 - 1), unit: due.unit })
            }
            Some(_) => None,
        }
    }

    /// In full: `từ hạn 25/11/2026 (thứ Tư) đếm lùi 3 ngày làm việc: 23/11, 20/11, 19/11; không tính 24/11 (Ngày Văn hóa
    /// Việt Nam), 21-22/11 (cuối tuần); lúc 08:00`. Empty where a year has no list of days off.
    pub fn in_full(&self, policy: &Policy, at: Timestamp) -> String {
        let calendar = &policy.calendar;
        let Some((effective, accepted)) = self.base(calendar) else { return String::new() };
        let base = accepted.unwrap_or(effective);
        let from = match accepted {
            Some(day) => {
                format!("hạn được đưa lên sớm hơn, nên quá hạn đếm từ ngày chấp nhận {}", with_weekday(day))
            }
            None => match self.deadline.time.filter(|_| self.step.due.unit == Unit::Hours) {
                Some(hour) => format!("từ giờ hạn {:02}:{:02} {}", hour.hour(), hour.minute(), with_weekday(base)),
                None if self.step.due.unit == Unit::Hours => format!("từ 24:00 của ngày hạn {}", with_weekday(base)),
                None => format!("từ hạn {}", with_weekday(base)),
            },
        };
        let clock = calendar.local(at);
        let day = clock.date();
        let time = format!("{:02}:{:02}", clock.hour(), clock.minute());
        let Some(distance) = self.distance() else {
            // The repeats are counted in another unit, from the day of the step itself.
            let first = self.step.due;
            let every = self
                .step
                .repeat
                .map(|repeat| Offset { n: repeat.every.n * (self.occurrence as i32 - 1), ..repeat.every });
            let more = every.map(span).unwrap_or_default();
            return format!("{from} {}, rồi nhắc lại sau {more}: {time} {}", towards(first), days::day(day));
        };
        let again = if self.occurrence > 1 { self.repeats() } else { String::new() };
        match (distance.n, distance.unit) {
            (0, Unit::Hours) => format!("{from}: {time} {}", days::day(day)),
            (0, _) if accepted.is_none() => format!("đúng ngày hạn {}, lúc {time}{again}", with_weekday(base)),
            (0, _) => format!("{from}, lúc {time}{again}"),
            (_, Unit::WorkingDays) => {
                let (counted, left_out) = count_out(self.view(calendar, distance), base, distance.n, day);
                format!("{from} {}{again}: {counted}{left_out}; lúc {time}", towards(distance))
            }
            (_, Unit::Days) => format!("{from} {}{again}: {}; lúc {time}", towards(distance), days::day(day)),
            (_, Unit::Hours) => format!("{from} {}{again}: {time} {}", towards(distance), days::day(day)),
        }
    }

    /// In short, for the foot of a letter: `5 ngày làm việc sau hạn 17/11/2026, không tính 24/11 (Ngày Văn hóa Việt Nam)`.
    pub fn in_short(&self, policy: &Policy, at: Timestamp) -> String {
        let calendar = &policy.calendar;
        let Some((effective, accepted)) = self.base(calendar) else { return String::new() };
        let base = accepted.unwrap_or(effective);
        let from = match accepted {
            Some(day) => format!("ngày chấp nhận hạn mới {}", words::date(day)),
            None => format!("hạn {}", words::date(base)),
        };
        let day = calendar.date_of(at);
        let Some(distance) = self.distance() else {
            return format!("nhắc lại lần {} sau {from}", self.occurrence - 1);
        };
        let side = if distance.n < 0 { "trước" } else { "sau" };
        match (distance.n, distance.unit) {
            (0, _) if accepted.is_none() => format!("đúng {from}"),
            (0, _) => from,
            (_, Unit::Hours) => {
                let hour = self.deadline.time.filter(|_| accepted.is_none());
                let hour = hour.map_or("24:00".to_owned(), |hour| format!("{:02}:{:02}", hour.hour(), hour.minute()));
                format!("{} {side} {hour} ngày {}", span(distance), words::date(base))
            }
            (_, unit) => {
                let (low, high) = if day < base { (day, base) } else { (base, day) };
                let named = days::skipped(self.view(calendar, distance), low, high)
                    .into_iter()
                    .filter(|run| !run.basis.is_empty());
                let named: Vec<String> = named.take(2).map(|run| format!("{} ({})", run.days(), run.name)).collect();
                let left_out = if unit == Unit::WorkingDays && !named.is_empty() {
                    format!(", không tính {}", named.join(", "))
                } else {
                    String::new()
                };
                format!("{} {side} {from}{left_out}", span(distance))
            }
        }
    }

    fn repeats(&self) -> String {
        let every = self.step.repeat.map(|repeat| span(repeat.every)).unwrap_or_default();
        format!(" (lần nhắc lại thứ {}, mỗi {every} một lần)", self.occurrence - 1)
    }
}

/// The working days counted, in the order of counting, and what was passed over on the way.
fn count_out(calendar: View<'_>, base: Date, n: i32, end: Date) -> (String, String) {
    let short = |day: Date| words::short_date(day, base.year());
    let counted: Vec<Date> = (1..=n.abs()).map_while(|k| calendar.add_working(base, k * n.signum()).ok()).collect();
    let counted = match counted.as_slice() {
        [] => days::day(end),
        few if few.len() <= COUNTED_OUT => few.iter().map(|day| short(*day)).collect::<Vec<_>>().join(", "),
        [first, second, .., last] => format!("{}, {} … {}", short(*first), short(*second), short(*last)),
        [..] => days::day(end),
    };
    let (low, high) = if end < base { (end, base) } else { (base, end) };
    let mut passed = days::skipped(calendar, low, high);
    let mut made_up = days::made_up(calendar, low, high);
    if n < 0 {
        passed.reverse();
        made_up.reverse();
    }
    // Weekends are told where they are few; a day off with a name always.
    let weekends = passed.iter().filter(|run| run.basis.is_empty()).count();
    let mut told: Vec<String> = passed
        .iter()
        .filter(|run| weekends <= 2 || !run.basis.is_empty())
        .map(|run| if run.basis.is_empty() { run.days() } else { format!("{} ({})", run.days(), run.name) })
        .collect();
    if weekends > 2 {
        told.push(format!("{weekends} kỳ nghỉ cuối tuần"));
    }
    let mut text = if told.is_empty() { String::new() } else { format!("; không tính {}", told.join(", ")) };
    if !made_up.is_empty() {
        let made_up: Vec<String> = made_up.iter().map(|run| run.days()).collect();
        text.push_str(&format!("; tính cả ngày làm bù {}", made_up.join(", ")));
    }
    (counted, text)
}

/// `25/11/2026 (thứ Tư)`
fn with_weekday(day: Date) -> String {
    format!("{} ({})", words::date(day), days::weekday(day))
}

/// `đếm lùi 3 ngày làm việc`
fn towards(offset: Offset) -> String {
    format!("{} {}", if offset.n < 0 { "đếm lùi" } else { "đếm tới" }, span(offset))
}

/// `5 ngày làm việc`
fn span(offset: Offset) -> String {
    let unit = match offset.unit {
        Unit::WorkingDays => "ngày làm việc",
        Unit::Days => "ngày",
        Unit::Hours => "giờ",
    };
    format!("{} {unit}", offset.n.unsigned_abs())
}
