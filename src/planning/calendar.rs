//! The working calendar: which days are worked, arithmetic on them both ways, and the hours in which messages may leave.
//!
//! Days off and make-up days are data (`calendar.toml`). A year that the data does not cover is an error, never a guess:
//! the lunar and the swapped days of a year cannot be derived from its number.

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
        Work = "work" });

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
}

/// A year the calendar has no list for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the calendar does not cover the year {0}: add its days off to calendar.toml and {0} to `covers`")]
pub struct Uncovered(pub i16);

/// Working days of the covered years, ready for arithmetic in constant time.
#[derive(Debug, Clone)]
pub struct WorkCalendar {
    zone: TimeZone,
    special: BTreeMap<Date, SpecialDay>,
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
                Some(listed) => listed.kind == DayKind::Work,
                None => week.contains(&day.weekday()),
            };
            let midnight = steady(&zone, day);
            days.push(Day { covered: covers.contains(&day.year()), worked, before: working.len() as u32, midnight });
            if worked {
                working.push(day);
            }
        }
        Self { zone, special, first, days, working }
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

    /// When a message due at `due` may leave: at once within its hours, else on the next allowed day at `at` (kept
    /// inside the hours where `at` lies outside them).
    pub fn send_at(&self, due: Timestamp, hours: &Hours, at: Time) -> Result<Timestamp, Uncovered> {
        if self.within(due, hours)? {
            return Ok(due);
        }
        let minute = minute_of(at).clamp(hours.from, hours.until.min(24 * 60 - 1));
        let leaves = Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let mut day = self.date_of(due);
        loop {
            let candidate = self.instant(day, leaves);
            if candidate >= due && self.allows(day, hours)? {
                return Ok(candidate);
            }
            day = day.tomorrow().map_err(|_| Uncovered(day.year()))?;
        }
    }

    /// Whether a message may start at this instant.
    pub fn within(&self, at: Timestamp, hours: &Hours) -> Result<bool, Uncovered> {
        let local = self.local(at);
        let minute = minute_of(local.time());
        Ok(minute >= hours.from && minute <= hours.until && self.allows(local.date(), hours)?)
    }

    /// Whether messages of these hours may leave on a day at all.
    pub fn allows(&self, day: Date, hours: &Hours) -> Result<bool, Uncovered> {
        let entry = self.day(day)?;
        Ok(!hours.working_days_only || entry.worked)
    }
}

fn minute_of(time: Time) -> u16 {
    time.hour() as u16 * 60 + time.minute() as u16
}

/// `[hours.…]`: when messages may leave. Minutes are of the local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    pub working_days_only: bool,
    pub from: u16,
    /// The last minute in which one may start; 1440 ("24:00") is the end of the day.
    pub until: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::{Weekday::*, time};
    use proptest::prelude::*;

    fn off(date: Date) -> SpecialDay {
        SpecialDay { date, kind: DayKind::Off, name: String::new(), basis: String::new(), certainty: Certainty::Law }
    }

    fn calendar() -> WorkCalendar {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled zone");
        let mut days: Vec<SpecialDay> = [16, 17, 18, 19, 20].map(|d| off(date(2026, 2, d))).into();
        days.extend([date(2026, 8, 31), date(2026, 9, 1), date(2026, 9, 2), date(2026, 11, 24)].map(off));
        days.push(SpecialDay { kind: DayKind::Work, ..off(date(2026, 8, 22)) });
        WorkCalendar::new(zone, &[2025, 2026, 2027], &[Monday, Tuesday, Wednesday, Thursday, Friday], days)
    }

    #[test]
    fn the_day_before_a_wednesday_after_the_new_day_off_is_monday() {
        assert_eq!(calendar().add_working(date(2026, 11, 25), -1), Ok(date(2026, 11, 23)));
        assert_eq!(calendar().add_working(date(2026, 11, 23), 1), Ok(date(2026, 11, 25)));
    }

    #[test]
    fn a_make_up_saturday_is_worked_and_its_monday_is_not() {
        let calendar = calendar();
        assert_eq!(calendar.add_working(date(2026, 8, 21), 1), Ok(date(2026, 8, 22)));
        assert_eq!(calendar.roll(date(2026, 8, 31)), Ok(date(2026, 9, 3)));
    }

    #[test]
    fn a_year_without_a_list_is_an_error_in_both_directions() {
        let calendar = calendar();
        assert_eq!(calendar.add_working(date(2027, 12, 30), 5), Err(Uncovered(2028)));
        assert_eq!(calendar.add_working(date(2025, 1, 2), -5), Err(Uncovered(2024)));
        assert_eq!(calendar.is_working(date(2031, 1, 1)), Err(Uncovered(2031)));
        assert_eq!(calendar.roll(date(2024, 6, 1)), Err(Uncovered(2024)));
    }

    #[test]
    fn what_falls_outside_its_hours_leaves_on_the_next_allowed_day_at_eight() {
        let calendar = calendar();
        let hours = Hours { working_days_only: true, from: 450, until: 1050 };
        let at = |d, h, m| calendar.instant(d, time(h, m, 0, 0));
        for (due, leaves) in [
            (at(date(2026, 11, 24), 10, 0), at(date(2026, 11, 25), 8, 0)),
            (at(date(2026, 11, 25), 17, 30), at(date(2026, 11, 25), 17, 30)),
            (at(date(2026, 11, 25), 17, 31), at(date(2026, 11, 26), 8, 0)),
            (at(date(2026, 11, 25), 6, 0), at(date(2026, 11, 25), 8, 0)),
            (at(date(2026, 11, 27), 20, 0), at(date(2026, 11, 30), 8, 0)),
        ] {
            assert_eq!(calendar.send_at(due, &hours, time(8, 0, 0, 0)), Ok(leaves));
        }
    }

    #[test]
    fn times_are_those_of_the_zone_also_where_its_offset_changes() {
        let zone = TimeZone::get("Europe/Paris").expect("a known zone");
        let calendar = WorkCalendar::new(zone.clone(), &[2026], &[Weekday::Monday], []);
        for day in date(2026, 1, 1).series(1.day()).take(365) {
            for hour in [0, 1, 2, 3, 12, 23] {
                let local = day.at(hour, 30, 0, 0);
                let expected = zone.to_timestamp(local).expect("in range");
                assert_eq!(calendar.instant(day, local.time()), expected, "{local}");
            }
        }
    }

    #[test]
    fn hours_count_from_the_end_of_the_day_or_its_stated_hour() {
        let calendar = calendar();
        let four = Offset { n: -4, unit: Unit::Hours };
        let day = date(2026, 11, 25);
        let fire = |hour| calendar.fire(day, hour, four, time(8, 0, 0, 0)).expect("covered");
        assert_eq!(calendar.local(fire(None)), day.at(20, 0, 0, 0));
        assert_eq!(calendar.local(fire(Some(time(17, 0, 0, 0)))), day.at(13, 0, 0, 0));
    }

    proptest! {
        #[test]
        fn adding_then_subtracting_working_days_returns(start in 0..800i64, n in 1..60i32) {
            let calendar = calendar();
            let day = calendar.roll(date(2025, 4, 1).checked_add(start.days()).expect("in range")).expect("covered");
            let there = calendar.add_working(day, n).expect("covered");
            prop_assert_eq!(calendar.add_working(there, -n), Ok(day));
            prop_assert_eq!(calendar.working_between(day, there), Ok(i64::from(n)));
        }

        #[test]
        fn arithmetic_agrees_with_counting_day_by_day(start in 0..800i64, n in -60..60i32) {
            let calendar = calendar();
            let from = date(2025, 4, 1).checked_add(start.days()).expect("in range");
            let (mut day, mut left) = (from, n.abs());
            while left > 0 {
                day = if n > 0 { day.tomorrow() } else { day.yesterday() }.expect("in range");
                left -= i32::from(calendar.is_working(day).expect("covered"));
            }
            prop_assert_eq!(calendar.add_working(from, n), Ok(day));
        }

        #[test]
        fn nothing_leaves_outside_its_hours(minutes in 0..1_000_000i64, all in any::<bool>(), from in 0u16..720, span in 0u16..720, at in 0i8..24) {
            let calendar = calendar();
            let hours = Hours { working_days_only: !all, from, until: from + span };
            let due = calendar.instant(date(2025, 3, 1), time(0, 0, 0, 0)) + minutes.minutes();
            let leaves = calendar.send_at(due, &hours, time(at, 0, 0, 0)).expect("covered");
            prop_assert!(leaves >= due && calendar.within(leaves, &hours).expect("covered"));
        }
    }
}
