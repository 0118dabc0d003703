//! Days and instants in the words of an office.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime},
};

use crate::{
    config::calendar_words,
    message::words,
    planning::{
        calendar::{DayKind, View, WorkCalendar},
        task::Deadline,
    },
};

/// `thứ Hai` … `Chủ nhật`
pub(crate) fn weekday(day: Date) -> &'static str {
    calendar_words::weekday_name(day.weekday())
}

/// `thứ Tư 25/11/2026`
pub(crate) fn day(day: Date) -> String {
    format!("{} {}", weekday(day), words::date(day))
}

/// `08:00 thứ Tư 25/11/2026`
pub(crate) fn moment(calendar: &WorkCalendar, at: Timestamp) -> String {
    local_moment(calendar.local(at))
}

/// `08:00`, with its day where that is another than `than`'s.
pub(crate) fn near(calendar: &WorkCalendar, at: Timestamp, than: Timestamp) -> String {
    if calendar.date_of(at) == calendar.date_of(than) {
        calendar.local(at).strftime("%H:%M").to_string()
    } else {
        moment(calendar, at)
    }
}

fn local_moment(at: DateTime) -> String {
    format!("{:02}:{:02} {}", at.hour(), at.minute(), day(at.date()))
}

/// `25/11/2026`, `17:00 ngày 25/11/2026`
pub(crate) fn deadline(due: Deadline) -> String {
    match due.time {
        Some(time) => format!("{:02}:{:02} ngày {}", time.hour(), time.minute(), words::date(due.date)),
        None => words::date(due.date),
    }
}

/// A run of days of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub first: Date,
    pub last: Date,
    /// `cuối tuần`, or the day off's own name.
    pub name: String,
    /// Empty where it is an ordinary weekend.
    pub basis: String,
}

impl Run {
    /// `24/11`, `28-29/11`, `30/11-01/12`
    pub fn days(&self) -> String {
        let short = |day: Date| format!("{:02}/{:02}", day.day(), day.month());
        if self.first == self.last {
            short(self.first)
        } else if self.first.month() == self.last.month() && self.first.year() == self.last.year() {
            format!("{:02}-{}", self.first.day(), short(self.last))
        } else {
            format!("{}-{}", short(self.first), short(self.last))
        }
    }
}

/// The days not worked from `from` to `to`, both included, as runs. A year without a list ends it.
pub(crate) fn skipped(view: View<'_>, from: Date, to: Date) -> Vec<Run> {
    runs(view, from, to, |worked, _| !worked)
}

/// The make-up days from `from` to `to`, both included.
pub(crate) fn made_up(view: View<'_>, from: Date, to: Date) -> Vec<Run> {
    runs(view, from, to, |worked, special| worked && special)
}

fn runs(view: View<'_>, from: Date, to: Date, wanted: impl Fn(bool, bool) -> bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for day in from.series(1.day()).take_while(|day| *day <= to) {
        let Ok(worked) = view.is_open(day) else { break };
        let special = view.office().special(day);
        if !wanted(worked, special.is_some_and(|special| special.kind == DayKind::Work)) {
            continue;
        }
        let (name, basis) = match (view.closure(day), special) {
            (Some(closure), _) => (format!("cơ quan nghỉ riêng: {}", closure.name), closure.basis.as_str()),
            (None, Some(special)) => (special.name.clone(), special.basis.as_str()),
            (None, None) => ("cuối tuần".to_owned(), ""),
        };
        match runs.last_mut() {
            Some(run) if run.name == name && run.last.tomorrow().ok() == Some(day) => run.last = day,
            _ => runs.push(Run { first: day, last: day, name, basis: basis.to_owned() }),
        }
    }
    runs
}
