//! The calendar of one agency: the office's, less the days on which the agency is closed by its own decision.
//!
//! A closure moves what the agency is told *before* a deadline, so that "three working days ahead" are three days on
//! which it works, and lets letters to it wait until it is open. It never moves the deadline, the days overdue, a step
//! after the deadline or a filing: no agency extends its own deadline by closing.

use std::collections::BTreeMap;

use jiff::{
    Timestamp,
    civil::{Date, Time},
};

use super::{Uncovered, WorkCalendar};
use crate::planning::{
    fold::fold,
    rules::{Audience, Offset, Unit},
    task::AgencyFacts,
};

/// Days on which one agency does not work although the office does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closure {
    /// The agency's code or name, as typed.
    pub agency: String,
    /// The first closed day.
    pub from: Date,
    /// The last closed day.
    pub until: Date,
    pub name: String,
    pub basis: String,
}

impl Closure {
    /// Whether a day lies in it, worked or not.
    pub fn holds(&self, day: Date) -> bool {
        self.from <= day && day <= self.until
    }

    /// Whether it is written for an agency of this code or name.
    pub fn is_of(&self, code: &str, name: &str) -> bool {
        let key = fold(&self.agency);
        key == fold(code) || key == fold(name)
    }
}

/// All closures, and for each agency its closed days that the office works.
#[derive(Debug, Clone, Default)]
pub(super) struct Closed {
    pub(super) closures: Vec<Closure>,
    /// By the folded code or name: the days, ascending and each once, with the closure each lies in.
    days: BTreeMap<String, Vec<ClosedDay>>,
}

type ClosedDay = (Date, usize);

impl Closed {
    /// `working`: every day the office works, ascending.
    fn new(closures: Vec<Closure>, working: &[Date]) -> Self {
        let mut days: BTreeMap<String, Vec<ClosedDay>> = BTreeMap::new();
        for (index, closure) in closures.iter().enumerate() {
            let start = working.partition_point(|day| *day < closure.from);
            let within = working[start..].iter().take_while(|day| **day <= closure.until);
            days.entry(fold(&closure.agency)).or_default().extend(within.map(|day| (*day, index)));
        }
        for own in days.values_mut() {
            own.sort_unstable();
            own.dedup_by_key(|(day, _)| *day);
        }
        Self { closures, days }
    }
}

fn find(days: &[ClosedDay], day: Date) -> Option<&ClosedDay> {
    days.binary_search_by_key(&day, |(day, _)| *day).ok().map(|index| &days[index])
}

impl WorkCalendar {
    /// The same calendar with agencies' own closures.
    pub fn with_closures(mut self, closures: impl IntoIterator<Item = Closure>) -> Self {
        self.closed = Closed::new(closures.into_iter().collect(), &self.working);
        self
    }

    /// The calendar as an agency works. Costs nothing where no agency has closures.
    pub fn for_agency(&self, agency: &AgencyFacts) -> View<'_> {
        self.for_names(&agency.code, &agency.name)
    }

    /// The same by the agency's code and name.
    pub fn for_names(&self, code: &str, name: &str) -> View<'_> {
        let mut view = View::of(self);
        if !self.closed.days.is_empty() {
            let of = |text: &str| self.closed.days.get(&fold(text)).map_or(&[][..], Vec::as_slice);
            (view.by_code, view.by_name) = (of(code), if code == name { &[] } else { of(name) });
        }
        view
    }

    /// Every closure, in file order.
    pub fn closures(&self) -> &[Closure] {
        &self.closed.closures
    }
}

/// The calendar of one agency.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    office: &'a WorkCalendar,
    /// Office working days on which the agency is closed, ascending: those written under its code and under its name.
    by_code: &'a [ClosedDay],
    by_name: &'a [ClosedDay],
}

impl<'a> View<'a> {
    /// The office's own: no closures.
    pub fn of(office: &'a WorkCalendar) -> Self {
        Self { office, by_code: &[], by_name: &[] }
    }

    /// The calendar by which letters to an audience leave: the agency's for its own people, the office's for those
    /// above and outside it. An agency that closes does not close its superior's letter-box.
    pub fn to(self, audience: &Audience) -> Self {
        if audience.is_of_agency() { self } else { Self::of(self.office) }
    }

    /// The office's calendar.
    pub fn office(&self) -> &'a WorkCalendar {
        self.office
    }

    /// Whether the agency closes on days of its own.
    pub fn has_closures(&self) -> bool {
        !self.by_code.is_empty() || !self.by_name.is_empty()
    }

    /// The closure a day that the office works lies in.
    pub fn closure(&self, day: Date) -> Option<&'a Closure> {
        let (_, index) = find(self.by_code, day).or_else(|| find(self.by_name, day))?;
        self.office.closures().get(*index)
    }

    /// Whether the agency works on a day.
    pub fn is_open(&self, day: Date) -> Result<bool, Uncovered> {
        Ok(self.office.is_working(day)? && self.closure(day).is_none())
    }

    /// Closed days after `from` up to and including `to`, for `from <= to`.
    fn closed_between(&self, from: Date, to: Date) -> i32 {
        let within = |days: &'a [ClosedDay]| {
            let start = days.partition_point(|(day, _)| *day <= from);
            days[start..].iter().take_while(move |(day, _)| *day <= to)
        };
        let twice = |(day, _): &&ClosedDay| find(self.by_code, *day).is_none();
        (within(self.by_code).count() + within(self.by_name).filter(twice).count()) as i32
    }

    /// The n-th day strictly after (n > 0) or strictly before (n < 0) a day on which the agency works; the day itself
    /// for 0.
    pub fn add_working(&self, day: Date, n: i32) -> Result<Date, Uncovered> {
        let mut found = self.office.add_working(day, n)?;
        if n == 0 || !self.has_closures() {
            return Ok(found);
        }
        // Each closed day passed asks for one more: until none is passed that was not counted.
        loop {
            let closed = if n > 0 {
                self.closed_between(day, found)
            } else {
                self.closed_between(found.yesterday().unwrap_or(found), day.yesterday().unwrap_or(day))
            };
            let next = self.office.add_working(day, n.saturating_add(closed * n.signum()))?;
            if next == found {
                return Ok(found);
            }
            found = next;
        }
    }

    /// Days on which the agency works after `from` up to and including `to`; negative if `to` is earlier.
    pub fn working_between(&self, from: Date, to: Date) -> Result<i64, Uncovered> {
        let office = self.office.working_between(from, to)?;
        Ok(if from <= to {
            office - i64::from(self.closed_between(from, to))
        } else {
            office + i64::from(self.closed_between(to, from))
        })
    }

    /// When a step for the agency fires: as [`WorkCalendar::fire`], but working days *before* `base` are those on which
    /// the agency works.
    pub fn fire(&self, base: Date, hour: Option<Time>, offset: Offset, at: Time) -> Result<Timestamp, Uncovered> {
        if offset.unit == Unit::WorkingDays && offset.n < 0 {
            return Ok(self.office.instant(self.add_working(base, offset.n)?, at));
        }
        self.office.fire(base, hour, offset, at)
    }

    /// The n-th working day after `from` for n > 0: the agency's own up to the deadline `base`, the office's after it.
    pub fn forward(&self, from: Date, base: Date, n: i32) -> Result<Date, Uncovered> {
        if from >= base || !self.has_closures() {
            return self.office.add_working(from, n);
        }
        let before = i32::try_from(self.working_between(from, base)?).unwrap_or(i32::MAX);
        if n <= before { self.add_working(from, n) } else { self.office.add_working(base, n - before) }
    }
}
