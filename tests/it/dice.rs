//! Numbers drawn from a seed, the same on every machine (splitmix64): what failed once can be played again.

use std::{fmt::Debug, time::Duration};

use dondoc::clock::Clock;

/// The seed, or where it has come to.
pub struct Dice(pub u64);

impl Dice {
    /// By `DONDOC_SEED`, or by another seed each time. It is shown when the test fails.
    pub fn printed() -> Self {
        let seed = asked("DONDOC_SEED").unwrap_or_else(|| Clock::System.boot_time().as_nanos() as u64);
        say(&format!("DONDOC_SEED={seed}"));
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `limit`; 0 where nothing is.
    pub fn below<N>(&mut self, limit: N) -> N
    where
        N: TryInto<u64, Error: Debug> + TryFrom<u64, Error: Debug>,
    {
        N::try_from(self.roll() % limit.try_into().unwrap().max(1)).unwrap()
    }

    /// From `low` up to and including `high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.below(high - low + 1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub fn once_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    /// Until some moment within so many milliseconds.
    pub fn moment(&mut self, within: u64) {
        let until = Clock::System.boot_time() + Duration::from_micros(self.below(within * 1000));
        while Clock::System.boot_time() < until {
            std::thread::yield_now();
        }
    }
}

/// A number that the environment may give.
pub fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Shown when a test fails, and with --nocapture.
#[expect(clippy::print_stdout, reason = "for whoever reads a failed test, or a long run")]
pub fn say(line: &str) {
    println!("{line}");
}
