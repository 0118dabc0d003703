//! When messages may leave: the hours an office allows, cut to the worked part of a half day.

use jiff::{
    Timestamp,
    civil::{Date, Time},
};

use super::{Part, Uncovered, View, WorkCalendar};

/// `[hours.…]`: when messages may leave. Minutes are of the local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    pub working_days_only: bool,
    pub from: u16,
    /// The last minute in which one may start; 1440 ("24:00") is the end of the day.
    pub until: u16,
}

impl WorkCalendar {
    /// When a message due at `due` may leave: at once within its hours, else on the next allowed day at `at` (kept
    /// inside that day's hours where `at` lies outside them).
    pub fn send_at(&self, due: Timestamp, hours: &Hours, at: Time) -> Result<Timestamp, Uncovered> {
        View::of(self).send_at(due, hours, at)
    }

    /// Whether a message may start at this instant.
    pub fn within(&self, at: Timestamp, hours: &Hours) -> Result<bool, Uncovered> {
        View::of(self).within(at, hours)
    }

    /// Whether messages of these hours may leave on a day at all.
    pub fn allows(&self, day: Date, hours: &Hours) -> Result<bool, Uncovered> {
        View::of(self).allows(day, hours)
    }
}

impl View<'_> {
    /// When a message to the agency due at `due` may leave: at once within its hours, else on the next allowed day at
    /// `at` (kept inside that day's hours where `at` lies outside them). Hours of all days know no closure.
    pub fn send_at(&self, due: Timestamp, hours: &Hours, at: Time) -> Result<Timestamp, Uncovered> {
        if self.within(due, hours)? {
            return Ok(due);
        }
        let mut day = self.office().date_of(due);
        loop {
            if let Some(open) = self.open(day, hours)? {
                let minute = minute_of(at).max(open.from).min(open.until.min(24 * 60 - 1));
                let leaves = Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                let candidate = self.office().instant(day, leaves);
                if candidate >= due {
                    return Ok(candidate);
                }
            }
            day = day.tomorrow().map_err(|_| Uncovered(day.year()))?;
        }
    }

    /// Whether a message to the agency may start at this instant.
    pub fn within(&self, at: Timestamp, hours: &Hours) -> Result<bool, Uncovered> {
        let local = self.office().local(at);
        let minute = minute_of(local.time());
        // Most looks fall on an hour that no day allows or forbids by itself: the day is asked only then.
        if minute < hours.from || minute > hours.until {
            self.office().is_working(local.date())?;
            return Ok(false);
        }
        Ok(self.open(local.date(), hours)?.is_some_and(|open| minute >= open.from && minute <= open.until))
    }

    /// Whether messages of these hours may leave to the agency on a day at all.
    pub fn allows(&self, day: Date, hours: &Hours) -> Result<bool, Uncovered> {
        Ok(self.open(day, hours)?.is_some())
    }

    /// The minutes of a day in which messages of these hours may start; `None` where there is none.
    fn open(&self, day: Date, hours: &Hours) -> Result<Option<Part>, Uncovered> {
        let whole = Part { from: hours.from, until: hours.until };
        if !hours.working_days_only {
            self.office().is_working(day)?;
            return Ok(Some(whole));
        }
        if !self.is_open(day)? {
            return Ok(None);
        }
        let cut = match self.office().special(day).and_then(|listed| listed.part) {
            Some(part) => Part { from: whole.from.max(part.from), until: whole.until.min(part.until) },
            None => whole,
        };
        Ok((cut.from <= cut.until).then_some(cut))
    }
}

fn minute_of(time: Time) -> u16 {
    time.hour() as u16 * 60 + time.minute() as u16
}
