//! How much at once, and how fast: a width that grows while a destination takes what it is given and shrinks when it
//! does not, and a rate. Both are arithmetic on an elapsed time that is passed in; neither of them waits.

use std::{sync::Mutex, time::Duration};

/// How many deliveries at once make sense: starts at one, one more with each acceptance, so twice as many after each
/// round of them; half after a failure of the site, and from there one more a round.
#[derive(Debug)]
pub struct Width {
    most: usize,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    width: usize,
    /// Acceptances since it last grew.
    well: usize,
    /// Nothing has failed so far.
    fresh: bool,
    /// What the destination was found to bear.
    bears: usize,
}

impl Width {
    /// From 1 up to `most` (at least 1).
    pub fn new(most: usize) -> Self {
        let now = Now { width: 1, well: 0, fresh: true, bears: usize::MAX };
        Self { most: most.max(1), now: Mutex::new(now) }
    }

    /// How many at once right now.
    pub fn get(&self) -> usize {
        self.lock().width
    }

    /// The site took something.
    pub fn well(&self) {
        let mut now = self.lock();
        now.well += 1;
        if (now.fresh || now.well >= now.width) && now.width < self.most.min(now.bears) {
            (now.width, now.well) = (now.width + 1, 0);
        }
    }

    /// The site failed, or left us in doubt.
    pub fn badly(&self) {
        let mut now = self.lock();
        (now.width, now.well, now.fresh) = ((now.width / 2).max(1), 0, false);
    }

    /// The site takes no more at once than these: it is not asked for more before [`Width::afresh`].
    pub fn full(&self, at: usize) {
        let mut now = self.lock();
        now.bears = at.clamp(1, now.bears);
        (now.width, now.well) = (now.width.min(now.bears), 0);
    }

    /// What the site was found to bear is forgotten: a later round may find more.
    pub fn afresh(&self) {
        self.lock().bears = usize::MAX;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Evenly spaced starts: at most so many a minute, plus what a second's pause has saved up (timers are coarse).
#[derive(Debug)]
pub struct Rate {
    interval: Duration,
    next: Mutex<Duration>,
}

/// How much unused time a [`Rate`] remembers.
const SAVED: Duration = Duration::from_secs(1);

impl Rate {
    /// `per_minute` 0 means no limit.
    pub fn per_minute(per_minute: u32) -> Self {
        let interval = if per_minute == 0 { Duration::ZERO } else { Duration::from_secs(60) / per_minute };
        Self { interval, next: Mutex::new(Duration::ZERO) }
    }

    /// How many places there are within so long a time; none of them is taken.
    pub fn within(&self, time: Duration) -> usize {
        let places = time.as_nanos().checked_div(self.interval.as_nanos());
        places.map_or(usize::MAX, |places| usize::try_from(places).unwrap_or(usize::MAX))
    }

    /// Takes the next free place and says how long to wait for it. `now` is a time that only moves forward.
    pub fn reserve(&self, now: Duration) -> Duration {
        if self.interval.is_zero() {
            return Duration::ZERO;
        }
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let place = (*next).max(now.saturating_sub(SAVED));
        *next = place + self.interval;
        place.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_doubles_until_the_first_failure_and_grows_by_rounds_after_it() {
        let width = Width::new(5);
        assert_eq!(width.get(), 1);
        let after = |times: usize| -> Vec<usize> {
            let grown = || {
                width.well();
                width.get()
            };
            std::iter::repeat_with(grown).take(times).collect()
        };
        assert_eq!(after(6), [2, 3, 4, 5, 5, 5]);
        width.badly();
        assert_eq!(width.get(), 2);
        assert_eq!(after(11), [2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5]);
        width.badly();
        width.badly();
        width.badly();
        assert_eq!(width.get(), 1, "never none at all");
    }

    #[test]
    fn a_site_that_bears_less_is_not_asked_for_more_until_a_later_round() {
        let width = Width::new(6);
        (0..20).for_each(|_| width.well());
        assert_eq!(width.get(), 6);
        width.full(2);
        (0..20).for_each(|_| width.well());
        assert_eq!(width.get(), 2);
        width.full(5);
        assert_eq!(width.get(), 2, "what was found stays");
        width.full(0);
        assert_eq!(width.get(), 1, "never none at all");
        width.afresh();
        (0..20).for_each(|_| width.well());
        assert_eq!(width.get(), 6);
    }

    #[test]
    fn no_minute_holds_more_than_the_rate_and_a_seconds_savings() {
        let rate = Rate::per_minute(60);
        let now = Duration::from_secs(1_000);
        let starts: Vec<Duration> = (0..200).map(|_| now + rate.reserve(now)).collect();
        let within = starts.iter().filter(|start| **start < now + Duration::from_secs(60)).count();
        assert!((60..=61).contains(&within), "{within}");
        assert_eq!(starts[199] - starts[1], Duration::from_secs(198));
    }

    #[test]
    fn places_are_counted_by_the_rate_and_without_one_there_is_no_end_of_them() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        assert_eq!(Rate::per_minute(2).within(minutes(4)), 8);
        assert_eq!(Rate::per_minute(1).within(Duration::from_secs(59)), 0);
        assert_eq!(Rate::per_minute(600).within(minutes(4)), 2_400);
        assert_eq!(Rate::per_minute(0).within(minutes(4)), usize::MAX);
    }

    #[test]
    fn a_long_pause_is_not_saved_up() {
        let rate = Rate::per_minute(600);
        rate.reserve(Duration::from_secs(10));
        let now = Duration::from_secs(10_000);
        let at_once = (0..1_000).filter(|_| rate.reserve(now).is_zero()).count();
        assert_eq!(at_once, 11);
    }
}
