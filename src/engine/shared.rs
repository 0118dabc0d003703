//! What a sender does beside others on one database: it keeps the database's time, takes up leases that ran out, and
//! knows that others were awake while it was not. On a database of its own all of this is nothing.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, LAST_PASS};
use crate::{clock::millis, store::Result};

/// Older than this, what others noted as worked off is asked for.
const ASLEEP: SignedDuration = SignedDuration::from_mins(2);

impl Engine {
    /// Follows the clock of a shared database.
    pub async fn keep_time(&self) -> Result<()> {
        let asked = self.clock.boot_time();
        if let Some(heard) = self.store.time().await? {
            self.clock.follow(heard, asked);
        }
        Ok(())
    }

    /// With each heartbeat: the time, and leases whose holders are gone. Whether something came back to be sent.
    pub async fn keep_up(&self) -> Result<bool> {
        self.keep_time().await?;
        let rescued = self.store.rescue_lapsed(self.clock.now()).await?;
        let found = rescued.released + rescued.unanswered + rescued.poisoned > 0;
        if found {
            tracing::warn!(
                released = rescued.released,
                unanswered = rescued.unanswered,
                poisoned = rescued.poisoned,
                "took up messages of a sender that has stopped"
            );
        }
        Ok(found)
    }

    /// What other senders worked off while this one stood still was not missed.
    pub(super) async fn others_were_awake(&self, now: Timestamp) -> Result<()> {
        let awake = self.awake.load(std::sync::atomic::Ordering::SeqCst);
        if awake != i64::MIN
            && now.duration_since(millis(awake)) > ASLEEP
            && let Some(last) = self.store.mark(LAST_PASS).await?.map(millis).filter(|last| *last <= now)
        {
            self.stay_awake(last);
        }
        Ok(())
    }
}
