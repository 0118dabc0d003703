//! Which days between two dates were not counted, and why: what makes "−3wd = 20/11" understood.

use jiff::{
    ToSpan,
    civil::{Date, Weekday},
};

use super::{Closure, DayKind, SpecialDay, View, WorkCalendar};

/// A day that is not worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayOff<'a> {
    pub date: Date,
    pub why: WhyOff<'a>,
}

/// Why a day is not worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyOff<'a> {
    /// Its weekday is not worked.
    Weekly(Weekday),
    /// It is listed, with its name and basis.
    Listed(&'a SpecialDay),
    /// The office works, the agency does not.
    Closed(&'a Closure),
}

impl WorkCalendar {
    /// Listed days off from one date to another, both included, whichever is earlier.
    pub fn skipped(&self, a: Date, b: Date) -> impl Iterator<Item = &SpecialDay> {
        self.special.range(a.min(b)..=a.max(b)).map(|(_, day)| day).filter(|day| day.kind == DayKind::Off)
    }

    /// Every day that is not worked from one date to another, both included, whichever is earlier; ascending. Days of
    /// years without a list are judged by their weekday.
    pub fn days_off(&self, a: Date, b: Date) -> impl Iterator<Item = DayOff<'_>> {
        View::of(self).days_off_of(a, b, |_| None)
    }
}

impl<'a> View<'a> {
    /// Every day on which the agency `code`, `name` does not work from one date to another, both included, whichever is
    /// earlier; ascending. For steps before a deadline; after it the office's own count ([`WorkCalendar::days_off`]).
    pub fn days_off(&self, a: Date, b: Date) -> impl Iterator<Item = DayOff<'a>> + use<'a> {
        let view = *self;
        view.days_off_of(a, b, move |day| view.closure(day))
    }

    fn days_off_of(
        self,
        a: Date,
        b: Date,
        closed: impl Fn(Date) -> Option<&'a Closure>,
    ) -> impl Iterator<Item = DayOff<'a>> {
        let last = a.max(b);
        a.min(b).series(1.day()).take_while(move |day| *day <= last).filter_map(move |date| {
            let office = self.office();
            let why = match office.special(date) {
                Some(listed) if listed.kind == DayKind::Off => WhyOff::Listed(listed),
                None if !office.week().contains(&date.weekday()) => WhyOff::Weekly(date.weekday()),
                _ => WhyOff::Closed(closed(date)?),
            };
            Some(DayOff { date, why })
        })
    }
}
