//! The only place that asks what time it is. Everything else takes `now` as an argument or a [`Clock`] to ask.

use std::{
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
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at` until it is set.
    pub fn manual(at: Timestamp) -> Self {
        Clock::Manual(Arc::new(AtomicI64::new(at.as_millisecond())))
    }

    /// The present instant, in whole milliseconds (what the store keeps).
    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the one place that asks")]
                let now = Timestamp::now();
                millis(now.as_millisecond())
            }
            Clock::Manual(at) => millis(at.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock; a system clock stays as it is.
    pub fn set(&self, to: Timestamp) {
        if let Clock::Manual(at) = self {
            at.store(to.as_millisecond(), Ordering::SeqCst);
        }
    }

    /// Time since the machine started, including time asleep: unlike the wall clock nobody sets it. With a manual
    /// clock it follows that clock.
    pub fn boot_time(&self) -> Duration {
        match self {
            Clock::System => boot_time(),
            Clock::Manual(at) => Duration::from_millis(at.load(Ordering::SeqCst).max(0) as u64),
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
