//! What one calendar says otherwise than another: the pure comparison behind "the calendar changed, and this moved".
//!
//! It says what changed, not what follows from it; the words for people are [`config`](../../../config)'s.

use std::collections::BTreeSet;

use jiff::civil::{Date, Weekday};

use super::{Closure, DayKind, Part, SpecialDay, WorkCalendar};

/// What a day is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayIs {
    Worked,
    Off,
    Half(Part),
}

/// One difference between two calendars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DayChange {
    /// A day became another: worked, off, half.
    Became {
        date: Date,
        was: DayIs,
        is: DayIs,
        /// What is listed for it now, else what was.
        listed: Option<SpecialDay>,
    },
    /// Only what is said of a day changed: its name, its basis, how sure it is. Nothing moves.
    Said {
        was: Option<SpecialDay>,
        is: Option<SpecialDay>,
    },
    /// A year came under the list, with its listed days off and the listed days that are worked.
    YearAdded {
        year: i16,
        off: u32,
        worked: u32,
    },
    /// A year has no list any more: steps and deadlines in it cannot be computed.
    YearRemoved {
        year: i16,
    },
    /// Other weekdays are worked.
    Week {
        was: Vec<Weekday>,
        is: Vec<Weekday>,
    },
    ClosureAdded(Closure),
    ClosureRemoved(Closure),
}

impl DayChange {
    /// Whether it can move a step or a sending: all but what is only said.
    pub fn moves(&self) -> bool {
        !matches!(self, DayChange::Said { .. })
    }

    /// The first day it concerns; `None` for the week.
    pub fn from(&self) -> Option<Date> {
        match self {
            DayChange::Became { date, .. } => Some(*date),
            DayChange::Said { was, is } => is.as_ref().or(was.as_ref()).map(|day| day.date),
            DayChange::YearAdded { year, .. } | DayChange::YearRemoved { year } => Date::new(*year, 1, 1).ok(),
            DayChange::Week { .. } => None,
            DayChange::ClosureAdded(closure) | DayChange::ClosureRemoved(closure) => Some(closure.from),
        }
    }
}

/// What `new` says otherwise than `old`: the week, years, days by date, closures. A year that only one of them covers is
/// one change, not each of its days; so is a week of other days.
pub fn changes(old: &WorkCalendar, new: &WorkCalendar) -> Vec<DayChange> {
    let mut found = Vec::new();
    let week = |calendar: &WorkCalendar| {
        let mut days = calendar.week().to_vec();
        days.sort_by_key(|day| day.to_monday_zero_offset());
        days.dedup();
        days
    };
    if week(old) != week(new) {
        found.push(DayChange::Week { was: week(old), is: week(new) });
    }
    let (before, after): (BTreeSet<i16>, BTreeSet<i16>) = (old.years().collect(), new.years().collect());
    for &year in before.union(&after) {
        match (before.contains(&year), after.contains(&year)) {
            (true, false) => found.push(DayChange::YearRemoved { year }),
            (false, true) => {
                let off = new.specials().filter(|day| day.date.year() == year && day.kind == DayKind::Off).count();
                let all = new.specials().filter(|day| day.date.year() == year).count();
                found.push(DayChange::YearAdded { year, off: off as u32, worked: (all - off) as u32 });
            }
            _ => {}
        }
    }
    let listed: BTreeSet<Date> = old.specials().chain(new.specials()).map(|day| day.date).collect();
    for date in listed {
        let year = date.year();
        if !before.contains(&year) || !after.contains(&year) {
            continue;
        }
        let (was, is) = (old.special(date), new.special(date));
        if day_is(old, date) != day_is(new, date) {
            let listed = is.or(was).cloned();
            found.push(DayChange::Became { date, was: day_is(old, date), is: day_is(new, date), listed });
        } else if was != is {
            found.push(DayChange::Said { was: was.cloned(), is: is.cloned() });
        }
    }
    let missing = |of: &[Closure], from: &[Closure]| -> Vec<Closure> {
        of.iter().filter(|closure| !from.contains(closure)).cloned().collect()
    };
    found.extend(missing(old.closures(), new.closures()).into_iter().map(DayChange::ClosureRemoved));
    found.extend(missing(new.closures(), old.closures()).into_iter().map(DayChange::ClosureAdded));
    found
}

/// What a day is to a calendar; by its weekday where it is not listed.
pub fn day_is(calendar: &WorkCalendar, date: Date) -> DayIs {
    match calendar.special(date) {
        Some(SpecialDay { kind: DayKind::Off, .. }) => DayIs::Off,
        Some(SpecialDay { part: Some(part), .. }) => DayIs::Half(*part),
        Some(_) => DayIs::Worked,
        None if calendar.week().contains(&date.weekday()) => DayIs::Worked,
        None => DayIs::Off,
    }
}
