//! Whether the clock can be believed: nothing is planned, filed or sent by one that cannot.
//!
//! The wall clock is compared with the time since the machine started, which nobody sets: a suspend moves both, a jump
//! only the one. What this never does is to guess the right time; it waits for a time server's word or a person's.

use jiff::Timestamp;

use super::{Engine, LAST_PASS};
use crate::{clock::millis, store::Result};

/// A wall clock that gained this much on the time since the machine started has jumped.
const JUMP_MS: i64 = 10 * 60_000;

/// A clock that stands this much before the mark is wrong, not merely corrected.
pub const BEHIND_MS: i64 = 120_000;

/// How far a word on the clock may lie after what it shows: two readings are never of one instant.
const SLACK_MS: i64 = 60_000;

/// Why the clock is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// It went ahead of the time since the machine started: by that time it would be `expected`. What speaks for the
    /// clock must be later than `since`, the earliest instant (in its new reckoning) at which it can have jumped.
    Jumped { expected: Timestamp, since: Timestamp },
    /// It stands before what was already worked off (a battery gone, a wrong server).
    Behind { worked_off: Timestamp },
    /// It shows a year that the calendar knows nothing of: these are the years it knows.
    OutsideCalendar { first: i16, last: i16 },
}

impl Doubt {
    /// Its stable word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Doubt::Jumped { .. } => "jumped",
            Doubt::Behind { .. } => "behind",
            Doubt::OutsideCalendar { .. } => "outside_calendar",
        }
    }
}

impl std::fmt::Display for Doubt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Doubt::Jumped { expected, .. } => write!(f, "the clock jumped ahead: it should show {expected}"),
            Doubt::Behind { worked_off } => {
                write!(f, "the clock stands before what was already worked off, {worked_off}")
            }
            Doubt::OutsideCalendar { first, last } => {
                write!(f, "the clock shows a year far from those of calendar.toml, {first} to {last}")
            }
        }
    }
}

/// What the clocks show, and what else is known of the time.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    pub wall: Timestamp,
    /// Milliseconds since the machine started; read after `wall`, so that a process that is stopped between the two sees
    /// no jump.
    pub boot: i64,
    /// Up to when everything was worked off.
    pub worked_off: Option<Timestamp>,
    /// The local year of `wall`, and the first and last of the calendar's.
    pub year: i16,
    pub covered: Option<(i16, i16)>,
}

/// Remembers what the clocks showed while they were believed.
#[derive(Debug, Default)]
pub struct Watch {
    /// Wall and boot time, both in milliseconds, as last believed.
    believed: Option<(i64, i64)>,
    doubt: Option<Doubt>,
}

impl Watch {
    /// Looks at the clocks. `synchronized` is asked only where it matters.
    pub fn look(&mut self, seen: Reading, synchronized: impl FnOnce() -> Option<Timestamp>) -> Option<Doubt> {
        let wall = seen.wall.as_millisecond();
        let (doubt, apart) = match self.believed {
            Some((was, boot)) => {
                let expected = was.saturating_add(seen.boot - boot);
                let since = millis(wall.saturating_sub(seen.boot - boot));
                let ahead = wall.saturating_sub(expected);
                let jumped = ahead > JUMP_MS && !synchronized().is_some_and(|at| speaks(at, since, seen.wall));
                (jumped.then_some(Doubt::Jumped { expected: millis(expected), since }), ahead)
            }
            None => (None, 0),
        };
        let behind = seen.worked_off.filter(|mark| wall.saturating_add(BEHIND_MS) < mark.as_millisecond());
        // One year more than the calendar has: a year whose list is merely late is the planner's to report.
        let outside = seen.covered.filter(|(first, last)| seen.year < *first || seen.year > last.saturating_add(1));
        self.doubt = outside
            .map(|(first, last)| Doubt::OutsideCalendar { first, last })
            .or(doubt)
            .or(behind.map(|worked_off| Doubt::Behind { worked_off }));
        // Set back within reason it is not taken as the new truth at once: when it is set right again, that is no jump.
        if self.doubt.is_none() && (apart >= -JUMP_MS || seen.worked_off.is_some_and(|mark| seen.wall >= mark)) {
            self.believed = Some((wall, seen.boot));
        }
        self.doubt
    }

    /// Somebody says that the clock is right as it is.
    pub fn believe(&mut self, wall: Timestamp, boot: i64) {
        self.believed = Some((wall.as_millisecond(), boot));
        self.doubt = None;
    }

    /// The doubt found last.
    pub fn doubt(&self) -> Option<Doubt> {
        self.doubt
    }

    /// The best guess of the present instant: by the time since the machine started while the wall clock is in doubt.
    fn reckoned(&self, wall: Timestamp, boot: i64) -> Timestamp {
        match (self.doubt, self.believed) {
            (Some(_), Some((was, at))) => millis(was.saturating_add(boot - at)),
            (Some(_), None) => Timestamp::UNIX_EPOCH,
            (None, _) => wall,
        }
    }
}

/// Whether a word given at `at` is on the clock as it stands since `since`.
fn speaks(at: Timestamp, since: Timestamp, now: Timestamp) -> bool {
    at >= since && at.as_millisecond() <= now.as_millisecond().saturating_add(SLACK_MS)
}

impl Engine {
    fn reading(&self) -> Reading {
        let wall = self.clock.now();
        let boot = i64::try_from(self.clock.boot_time().as_millis()).unwrap_or(i64::MAX);
        let worked_off = match self.awake.load(std::sync::atomic::Ordering::SeqCst) {
            i64::MIN => None,
            awake => Some(millis(awake)),
        };
        let policy = self.policy();
        let year = policy.calendar.date_of(wall).year();
        Reading { wall, boot, worked_off, year, covered: policy.calendar.span() }
    }

    fn with_watch<T>(&self, act: impl FnOnce(&mut Watch) -> T) -> T {
        act(&mut self.watch.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The present instant, if the clock can be believed. Said once when it cannot, and once when it can again.
    pub(super) fn believed_now(&self) -> Option<Timestamp> {
        let seen = self.reading();
        let (was, doubt) = self.with_watch(|watch| {
            let was = watch.doubt();
            (was, watch.look(seen, || self.clock.synchronized()))
        });
        match (was.map(|doubt| doubt.as_str()), doubt) {
            (was, Some(doubt)) if was != Some(doubt.as_str()) => tracing::warn!(
                now = %seen.wall,
                why = doubt.as_str(),
                "{doubt}: nothing is planned, filed or sent until it is set right{}",
                match doubt {
                    Doubt::OutsideCalendar { .. } => " (or those years stand in calendar.toml)",
                    _ => ", or `dondoc clock confirm` says that it is",
                }
            ),
            (Some(_), None) => tracing::warn!(now = %seen.wall, "the clock is believed again: the work goes on"),
            _ => {}
        }
        doubt.is_none().then_some(seen.wall)
    }

    /// The best guess of the present instant, for when something is tried again.
    pub(super) fn reckoned_now(&self) -> Timestamp {
        let seen = self.reading();
        self.with_watch(|watch| watch.reckoned(seen.wall, seen.boot))
    }

    /// The present instant where the clock is believed, else the best guess of it: what waits, waits by this.
    pub(super) fn sober_now(&self) -> Timestamp {
        self.believed_now().unwrap_or_else(|| self.reckoned_now())
    }

    /// Why the clock is not believed, as last found: for `status` and the figures.
    pub fn clock_doubt(&self) -> Option<Doubt> {
        self.with_watch(|watch| watch.doubt())
    }

    /// [`Self::believed_now`], after hearing what an operator confirmed.
    pub(super) async fn confirmed_now(&self) -> Result<Option<Timestamp>> {
        use std::sync::atomic::Ordering;
        if let Some(now) = self.believed_now() {
            return Ok(Some(now));
        }
        let Some(confirmed) = self.store.clock_confirmed().await? else { return Ok(None) };
        let seen = self.reading();
        match self.clock_doubt() {
            Some(Doubt::Jumped { since, .. }) if speaks(confirmed.at, since, seen.wall) => {
                self.with_watch(|watch| watch.believe(seen.wall, seen.boot));
            }
            Some(Doubt::Behind { .. }) => {
                // Nobody but a confirmation ever lowers it.
                let mark = self.store.mark(LAST_PASS).await?.unwrap_or(i64::MIN);
                if mark >= self.marked.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                self.awake.store(mark, Ordering::SeqCst);
                self.marked.store(mark, Ordering::SeqCst);
                self.with_watch(|watch| watch.believe(seen.wall, seen.boot));
            }
            _ => return Ok(None),
        }
        let Some(now) = self.believed_now() else { return Ok(None) };
        tracing::warn!(by = %confirmed.by, why = %confirmed.why, %now, "the clock was confirmed by an operator");
        // What was put off by a wrong clock is looked at by the right one.
        self.look_again(now).await?;
        Ok(Some(now))
    }

    /// Where a start puts what an earlier run left, when the clock is not believed: before anything else.
    pub(super) fn now_or_earliest(&self) -> (Timestamp, bool) {
        match self.believed_now() {
            Some(now) => (now, true),
            None => (self.reading().worked_off.unwrap_or_default().min(self.clock.now()), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_790_000_000_000;

    /// Wall and boot in minutes after the start.
    fn seen(wall: i64, boot: i64) -> Reading {
        let wall = millis(START + wall * 60_000);
        Reading { wall, boot: boot * 60_000, worked_off: None, year: 2026, covered: Some((2025, 2027)) }
    }

    fn held(watch: &mut Watch, reading: Reading) -> &'static str {
        watch.look(reading, || None).map_or("", |doubt| doubt.as_str())
    }

    #[test]
    fn time_that_passes_awake_or_asleep_is_no_jump_and_a_wall_clock_that_runs_ahead_of_it_is() {
        let mut watch = Watch::default();
        for (wall, boot, wanted) in [
            (0, 0, ""),
            (1, 1, ""),
            // Suspended for ten days: both moved.
            (14_401, 14_401, ""),
            // Corrected by nine minutes, and by nine more.
            (14_411, 14_402, ""),
            (14_421, 14_403, ""),
            (14_433, 14_404, "jumped"),
            (14_434, 14_405, "jumped"),
            // Back where it should be.
            (14_423, 14_405, ""),
        ] {
            assert_eq!(held(&mut watch, seen(wall, boot)), wanted, "{wall} {boot}");
        }
    }

    #[test]
    fn a_jump_is_believed_by_a_time_servers_word_that_is_newer_than_it_and_by_no_other() {
        let words = [(None, false), (Some(-5), false), (Some(599), false), (Some(600), true), (Some(1_000), false)];
        for (word, believed) in words {
            let mut watch = Watch::default();
            assert_eq!(held(&mut watch, seen(0, 0)), "");
            let doubt = watch.look(seen(601, 1), || word.map(|minute: i64| millis(START + minute * 60_000)));
            assert_eq!(doubt.is_none(), believed, "{word:?}");
        }
    }

    #[test]
    fn set_back_and_set_right_again_is_no_jump() {
        let mut watch = Watch::default();
        assert_eq!(held(&mut watch, seen(120, 0)), "");
        let mark = Some(millis(START + 120 * 60_000));
        assert_eq!(held(&mut watch, Reading { worked_off: mark, ..seen(1, 1) }), "behind");
        assert_eq!(held(&mut watch, Reading { worked_off: mark, ..seen(122, 2) }), "");
        // Within the mark's tolerance it goes on.
        assert_eq!(held(&mut watch, Reading { worked_off: mark, ..seen(119, 3) }), "");
    }

    #[test]
    fn years_far_from_the_calendars_are_never_believed_and_the_next_one_is_the_planners() {
        for (year, wanted) in
            [(1970, "outside_calendar"), (2024, "outside_calendar"), (2025, ""), (2028, ""), (2036, "outside_calendar")]
        {
            let mut watch = Watch::default();
            assert_eq!(held(&mut watch, Reading { year, ..seen(0, 0) }), wanted, "{year}");
        }
        let mut watch = Watch::default();
        watch.look(Reading { year: 1970, ..seen(0, 0) }, || None);
        assert_eq!(watch.reckoned(millis(0), 0), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn while_it_is_in_doubt_time_is_reckoned_by_the_time_since_the_start() {
        let mut watch = Watch::default();
        watch.look(seen(0, 0), || None);
        watch.look(seen(14_400, 0), || None);
        assert_eq!(watch.reckoned(seen(14_402, 2).wall, 2 * 60_000), seen(2, 2).wall);
    }
}
