//! The working calendar: which days are worked, arithmetic on them both ways, and the hours in which messages may leave.
//!
//! Days off and make-up days are data (`calendar.toml`). A year that the data does not cover is an error, never a guess:
//! the lunar and the swapped days of a year cannot be derived from its number.
//!
//! [`View`] is the calendar of one agency, which may close on days of its own; [`changes`] compares two calendars;
//! [`WorkCalendar::days_off`] says which days were not counted and why. No prose stands here: words are `config`'s.

mod agency;
pub mod changes;
mod days_off;
mod hours;
#[cfg(test)]
mod tests;

pub use agency::{Closure, View};
pub use days_off::{DayOff, WhyOff};
pub use hours::Hours;

use std::collections::BTreeMap;

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time, Weekday, date},
    tz::TimeZone,
};

use super::{
    rules::{Offset, Unit},
    task::{Deadline, word_enum},
};

word_enum!(/// What a listed day is.
    DayKind { Off = "off", /// a make-up day
        Work = "work", /// worked in part: it counts as a working day, messages leave within its part only
        Half = "half" });

word_enum!(/// How sure a listed day is.
    Certainty { Law = "law", Confirmed = "confirmed", Computed = "computed", Estimate = "estimate" });

/// A day that is not what its weekday says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialDay {
    pub date: Date,
    pub kind: DayKind,
    pub name: String,
    pub basis: String,
    pub certainty: Certainty,
    /// Of a half day: the part that is worked.
    pub part: Option<Part>,
}

/// The worked part of a half day, in minutes of the local day; `until` is the last minute in which a message may start,
/// as in [`Hours`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub from: u16,
    pub until: u16,
}

/// A year the calendar has no list for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the calendar does not cover the year {0}: add its days off to calendar.toml and {0} to `covers`")]
pub struct Uncovered(pub i16);

/// Working days of the covered years, ready for arithmetic in constant time.
#[derive(Debug, Clone)]
pub struct WorkCalendar {
    zone: TimeZone,
    week: Vec<Weekday>,
    special: BTreeMap<Date, SpecialDay>,
    closed: agency::Closed,
    first: Date,
    /// Per day from `first`: covered?, worked?, and how many working days came before it.
    days: Vec<Day>,
    working: Vec<Date>,
}

#[derive(Debug, Clone, Copy)]
struct Day {
    covered: bool,
    worked: bool,
    before: u32,
    /// Its first instant, where all its hours have one offset: then its times need no look into the zone's table.
    midnight: Option<Timestamp>,
}

/// The first instant of a day without a change of the zone's offset between it and the next day's.
fn steady(zone: &TimeZone, day: Date) -> Option<Timestamp> {
    let start = |day: Date| zone.to_ambiguous_timestamp(day.to_datetime(Time::midnight())).unambiguous().ok();
    let (midnight, end) = (start(day)?, start(day.tomorrow().ok()?)?);
    let before = midnight.checked_sub(1.nanosecond()).ok()?;
    zone.following(before).next().is_none_or(|change| change.timestamp() > end).then_some(midnight)
}

impl WorkCalendar {
    /// Builds the calendar of `covers` with its weekly working days and listed exceptions. Years in `covers` need not
    /// be contiguous; arithmetic that would cross a gap is [`Uncovered`].
    pub fn new(
        zone: TimeZone,
        covers: &[i16],
        week: &[Weekday],
        special: impl IntoIterator<Item = SpecialDay>,
    ) -> Self {
        let special: BTreeMap<Date, SpecialDay> = special.into_iter().map(|day| (day.date, day)).collect();
        let (low, high) = match (covers.iter().min(), covers.iter().max()) {
            (Some(low), Some(high)) => (*low, *high),
            _ => (1970, 1969),
        };
        let first = date(low, 1, 1);
        let mut days = Vec::new();
        let mut working = Vec::new();
        for day in first.series(1.day()).take_while(|day| day.year() <= high) {
            let worked = match special.get(&day) {
                Some(listed) => listed.kind != DayKind::Off,
                None => week.contains(&day.weekday()),
            };
            let midnight = steady(&zone, day);
            days.push(Day { covered: covers.contains(&day.year()), worked, before: working.len() as u32, midnight });
            if worked {
                working.push(day);
            }
        }
        Self { zone, week: week.to_vec(), special, closed: agency::Closed::default(), first, days, working }
    }

    /// The weekdays that are worked.
    pub fn week(&self) -> &[Weekday] {
        &self.week
    }

    /// The covered years, ascending.
    pub fn years(&self) -> impl Iterator<Item = i16> {
        let last = self.first.year().saturating_add((self.days.len() / 365) as i16);
        (self.first.year()..=last).filter(|year| self.is_working(date(*year, 1, 1)).is_ok())
    }

    /// The first and the last covered year.
    pub fn span(&self) -> Option<(i16, i16)> {
        let last = self.first.checked_add((self.days.len() as i64 - 1).days()).ok()?;
        (!self.days.is_empty()).then_some((self.first.year(), last.year()))
    }

    /// The office's time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The listed exception of a day, if it is one.
    pub fn special(&self, day: Date) -> Option<&SpecialDay> {
        self.special.get(&day)
    }

    /// Every listed exception, by date.
    pub fn specials(&self) -> impl Iterator<Item = &SpecialDay> {
        self.special.values()
    }

    fn day(&self, day: Date) -> Result<Day, Uncovered> {
        self.entry(day).filter(|entry| entry.covered).copied().ok_or(Uncovered(day.year()))
    }

    fn entry(&self, day: Date) -> Option<&Day> {
        let index = day.duration_since(self.first).as_secs() / (24 * 3600);
        self.days.get(usize::try_from(index).ok()?)
    }

    /// Whether a day is worked.
    pub fn is_working(&self, day: Date) -> Result<bool, Uncovered> {
        Ok(self.day(day)?.worked)
    }

    /// The day itself if it is worked, else the next that is (BLDS 2015 Điều 148 khoản 5).
    pub fn roll(&self, day: Date) -> Result<Date, Uncovered> {
        let entry = self.day(day)?;
        if entry.worked { Ok(day) } else { self.nth(i64::from(entry.before), day, 1) }
    }

    /// The n-th working day strictly after a day (n > 0) or strictly before it (n < 0); the day itself for 0.
    pub fn add_working(&self, day: Date, n: i32) -> Result<Date, Uncovered> {
        let entry = self.day(day)?;
        let before = i64::from(entry.before);
        match n {
            0 => Ok(day),
            n if n > 0 => self.nth(before + i64::from(entry.worked) + i64::from(n) - 1, day, n),
            n => self.nth(before + i64::from(n), day, n),
        }
    }

    /// The working day of an index; every year between it and `from` must be covered, for a gap hides working days.
    fn nth(&self, index: i64, from: Date, n: i32) -> Result<Date, Uncovered> {
        let edge = |forward: bool| {
            let last = self.days.len() as i64 - 1;
            let year =
                if forward { self.first.checked_add(last.days()).map_or(9999, Date::year) } else { self.first.year() };
            Uncovered(if forward { year.saturating_add(1) } else { year.saturating_sub(1) })
        };
        let found =
            usize::try_from(index).ok().and_then(|index| self.working.get(index)).copied().ok_or(edge(n > 0))?;
        let (low, high) = if found < from { (found, from) } else { (from, found) };
        for year in low.year()..=high.year() {
            self.day(date(year, 1, 1))?;
        }
        Ok(found)
    }

    /// Working days after `from` up to and including `to`; negative if `to` is earlier (then those after `to` up to and
    /// including `from`). From a deadline to today it is the number of working days overdue.
    pub fn working_between(&self, from: Date, to: Date) -> Result<i64, Uncovered> {
        let upto = |day: Date| self.day(day).map(|entry| i64::from(entry.before) + i64::from(entry.worked));
        Ok(upto(to)? - upto(from)?)
    }

    /// The instant of a local date and time. A time a zone skips or repeats is resolved as `jiff` documents for
    /// "compatible": forward over a gap, the earlier of two.
    pub fn instant(&self, day: Date, time: Time) -> Timestamp {
        if let Some(midnight) = self.entry(day).and_then(|entry| entry.midnight) {
            return midnight + time.duration_since(Time::midnight());
        }
        self.local_instant(day.to_datetime(time))
    }

    fn local_instant(&self, local: DateTime) -> Timestamp {
        self.zone.to_timestamp(local).unwrap_or(if local.year() < 1970 { Timestamp::MIN } else { Timestamp::MAX })
    }

    /// The local date and time of an instant.
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    /// The local date of an instant.
    pub fn date_of(&self, at: Timestamp) -> Date {
        self.local(at).date()
    }

    /// 24:00 of a day: the first instant of the next.
    pub fn end_of(&self, day: Date) -> Timestamp {
        self.instant(day.tomorrow().unwrap_or(day), Time::midnight())
    }

    /// The effective deadline: the date rolled to a working day.
    pub fn effective(&self, deadline: Deadline) -> Result<Date, Uncovered> {
        self.roll(deadline.date)
    }

    /// When a step fires: wd and d at `at` on their day counted from `base`, h from the stated hour of the deadline,
    /// else from 24:00 of `base`. A stated hour goes with its own day: a rolled deadline ends at that hour of the day
    /// it rolled to.
    pub fn fire(&self, base: Date, hour: Option<Time>, offset: Offset, at: Time) -> Result<Timestamp, Uncovered> {
        match offset.unit {
            Unit::WorkingDays => Ok(self.instant(self.add_working(base, offset.n)?, at)),
            Unit::Days => {
                let day = base.checked_add(i64::from(offset.n).days()).map_err(|_| Uncovered(base.year()))?;
                self.day(day)?;
                Ok(self.instant(day, at))
            }
            Unit::Hours => {
                let from = hour.map_or_else(|| self.end_of(base), |hour| self.instant(base, hour));
                let fires = from.checked_add(i64::from(offset.n).hours()).map_err(|_| Uncovered(base.year()))?;
                self.day(self.date_of(fires))?;
                Ok(fires)
            }
        }
    }
}
