//! What operators said of the clock: that it is right although it stands before what was worked off, or has jumped.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// One confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockConfirmed {
    /// By the clock that was confirmed.
    pub at: Timestamp,
    pub by: String,
    pub why: String,
    /// Up to when everything had been worked off by then, as the mark said; the mark never stands after `at` since.
    pub worked_off: Option<Timestamp>,
}

/// Confirmations: added, never changed.
#[async_trait]
pub trait ClockStore: Send + Sync {
    /// Puts a confirmation on record. In the same transaction what a wrong clock may have put too far ahead is taken
    /// back: the mark of what was worked off, since when steps are known, when messages may be tried; and every open
    /// task is looked at again at the next start. Gives the confirmation with the mark as it was.
    async fn confirm_clock(&self, at: Timestamp, by: &str, why: &str) -> Result<ClockConfirmed>;
    /// The last confirmation.
    async fn clock_confirmed(&self) -> Result<Option<ClockConfirmed>>;
}
