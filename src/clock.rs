//! The only place that asks what time it is. Everything else takes `now` as an argument or a [`Clock`] to ask.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;

/// Where `now` comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that is moved by hand: tests and the demo.
    Manual(Arc<Hands>),
    /// The clock of a database that several senders share, as last heard, carried on by boot time; until anything was
    /// heard, the machine's. Holds what is to be added to boot time, in milliseconds.
    Shared(Arc<AtomicI64>),
}

/// Nothing was heard yet.
const UNHEARD: i64 = i64::MIN;

/// What a manual clock shows, in milliseconds.
#[derive(Debug)]
pub struct Hands {
    wall: AtomicI64,
    boot: AtomicI64,
    /// When the wall clock was last set by a time server; `i64::MIN`: never.
    synchronized: AtomicI64,
}

/// The file that systemd-timesyncd touches each time it has set the clock by a server (systemd-timesyncd.service(8)).
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

impl Clock {
    /// A clock that stands at `at` until it is set.
    pub fn manual(at: Timestamp) -> Self {
        let at = at.as_millisecond();
        Clock::Manual(Arc::new(Hands {
            wall: AtomicI64::new(at),
            boot: AtomicI64::new(at.max(0)),
            synchronized: AtomicI64::new(i64::MIN),
        }))
    }

    /// The machine's clock, until it is told to follow a database's.
    pub fn shared() -> Self {
        Clock::Shared(Arc::new(AtomicI64::new(UNHEARD)))
    }

    /// Follows a shared database: it said `heard` between boot time `asked` and now. Other clocks follow nobody.
    pub fn follow(&self, heard: Timestamp, asked: Duration) {
        if let Clock::Shared(ahead) = self {
            let middle = (asked + boot_time()) / 2;
            let middle = i64::try_from(middle.as_millis()).unwrap_or(i64::MAX);
            ahead.store(heard.as_millisecond().saturating_sub(middle).max(UNHEARD + 1), Ordering::SeqCst);
        }
    }

    /// Whether it follows a shared database, which it has heard.
    pub fn follows(&self) -> bool {
        matches!(self, Clock::Shared(ahead) if ahead.load(Ordering::SeqCst) != UNHEARD)
    }

    /// The present instant, in whole milliseconds (what the store keeps).
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
                let now = Timestamp::now();
                millis(now.as_millisecond())
            }
            Clock::Manual(hands) => millis(hands.wall.load(Ordering::SeqCst)),
            Clock::Shared(ahead) => match ahead.load(Ordering::SeqCst) {
                UNHEARD => Clock::System.now(),
                ahead => millis(ahead.saturating_add(i64::try_from(boot_time().as_millis()).unwrap_or(i64::MAX))),
            },
        }
    }

    /// Lets time pass on a manual clock until it shows `to`: the time since the machine started grows with it. Set
    /// back, only the wall clock moves. A system clock stays as it is.
    pub fn set(&self, to: Timestamp) {
        if let Clock::Manual(hands) = self {
            let was = hands.wall.swap(to.as_millisecond(), Ordering::SeqCst);
            hands.boot.fetch_add((to.as_millisecond() - was).max(0), Ordering::SeqCst);
        }
    }

    /// Sets a manual clock's wall clock and nothing else: somebody has changed it, no time has passed.
    pub fn jump(&self, to: Timestamp) {
        if let Clock::Manual(hands) = self {
            hands.wall.store(to.as_millisecond(), Ordering::SeqCst);
        }
    }

    /// A manual clock's wall clock was set by a time server, just now.
    pub fn synchronize(&self) {
        if let Clock::Manual(hands) = self {
            hands.synchronized.store(hands.wall.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }

    /// When a time server last set the wall clock, by the wall clock: systemd-timesyncd says so by a file. `None`: never,
    /// or by another program that leaves no such word.
    pub fn synchronized(&self) -> Option<Timestamp> {
        match self {
            Clock::System => {
                let touched = std::fs::metadata(Path::new(SYNCHRONIZED)).ok()?.modified().ok()?;
                Timestamp::try_from(touched).ok()
            }
            // Which server set a database's clock, and when, is known over there.
            Clock::Shared(_) => None,
            Clock::Manual(hands) => match hands.synchronized.load(Ordering::SeqCst) {
                i64::MIN => None,
                at => Some(millis(at)),
            },
        }
    }

    /// Time since the machine started, including time asleep: unlike the wall clock nobody sets it.
    pub fn boot_time(&self) -> Duration {
        match self {
            Clock::System | Clock::Shared(_) => boot_time(),
            Clock::Manual(hands) => Duration::from_millis(hands.boot.load(Ordering::SeqCst).max(0) as u64),
        }
    }
}

/// A stored instant. Values outside what a timestamp can hold become the nearest that it can.
pub fn millis(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(if ms < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[expect(unsafe_code, reason = "clock_gettime has no safe wrapper in std; the struct it fills is ours")]
fn boot_time() -> Duration {
    let mut spec = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `spec` is a valid, writable timespec for the length of the call.
    let answered = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut spec) };
    if answered == 0 { Duration::new(spec.tv_sec as u64, spec.tv_nsec as u32) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_clock_is_the_machine_s_until_it_heard_a_database_and_that_database_s_afterwards() {
        let clock = Clock::shared();
        let before = Clock::System.now();
        assert!(clock.now() >= before && clock.now() <= Clock::System.now());
        assert!(!clock.follows());
        let heard = millis(1_000_000_000_000);
        let told = clock.clone();
        told.follow(heard, told.boot_time());
        let (earliest, now, latest) = (heard, clock.now(), heard + Duration::from_secs(60));
        assert!(earliest <= now && now < latest, "{now}");
        assert!(clock.follows());
        assert!(clock.boot_time() > Duration::ZERO);
        // It goes on by itself, and never back.
        assert!(clock.now() >= now);
    }

    #[test]
    fn other_clocks_follow_nobody() {
        let manual = Clock::manual(millis(5));
        manual.follow(millis(1_000), manual.boot_time());
        assert_eq!(manual.now(), millis(5));
    }
}
