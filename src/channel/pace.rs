//! How much at once, and how fast: a width that grows while a destination takes what it is given and shrinks when it
//! does not, and a rate. Both are arithmetic on an elapsed time that is passed in; neither of them waits.

use std::{sync::Mutex, time::Duration};

/// How many deliveries at once make sense: starts at one, one more after each full round of acceptances, half after a
/// failure of the site.
#[derive(Debug)]
pub struct Width {
    most: usize,
    /// How many at once, acceptances since it last grew, and what the destination was found to bear.
    now: Mutex<(usize, usize, usize)>,
}

impl Width {
    /// From 1 up to `most` (at least 1).
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), now: Mutex::new((1, 0, usize::MAX)) }
    }

    /// How many at once right now.
    pub fn get(&self) -> usize {
        self.lock().0
    }

    /// The site took something.
    pub fn well(&self) {
        let mut now = self.lock();
        now.1 += 1;
        if now.1 >= now.0 && now.0 < self.most.min(now.2) {
            (now.0, now.1) = (now.0 + 1, 0);
        }
    }

    /// The site failed, or left us in doubt.
    pub fn badly(&self) {
        let mut now = self.lock();
        (now.0, now.1) = ((now.0 / 2).max(1), 0);
    }

    /// The site takes no more at once than these: it is not asked for more before [`Width::afresh`].
    pub fn full(&self, at: usize) {
        let mut now = self.lock();
        let bears = at.clamp(1, now.2);
        *now = (now.0.min(bears), 0, bears);
    }

    /// What the site was found to bear is forgotten: a later round may find more.
    pub fn afresh(&self) {
        self.lock().2 = usize::MAX;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (usize, usize, usize)> {
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
    fn the_width_grows_by_rounds_and_halves_on_failure() {
        let width = Width::new(4);
        assert_eq!(width.get(), 1);
        let mut seen = Vec::new();
        for _ in 0..12 {
            width.well();
            seen.push(width.get());
        }
        assert_eq!(seen, [2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4]);
        width.badly();
        assert_eq!(width.get(), 2);
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
    fn a_long_pause_is_not_saved_up() {
        let rate = Rate::per_minute(600);
        rate.reserve(Duration::from_secs(10));
        let now = Duration::from_secs(10_000);
        let at_once = (0..1_000).filter(|_| rate.reserve(now).is_zero()).count();
        assert_eq!(at_once, 11);
    }
}
