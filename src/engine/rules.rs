//! The rules in force: accepted at the start, swapped in while the daemon runs, and every open task looked at under them.

use std::sync::{Arc, atomic::Ordering};

use jiff::Timestamp;

use super::{Engine, policy, policy::Policy};
use crate::{
    clock::millis,
    planning::task::TaskId,
    store::{
        Result,
        policy::{LOOKING_UNDER, PLANNED_UNDER},
    },
};

/// Tasks that are looked at again in one transaction.
const LOOK_AGAIN: u32 = 2000;

impl Engine {
    /// Accepts the rules' steps as of `now`, and looks at every task where that changes what was planned.
    pub(super) async fn settle_in(&self, now: Timestamp) -> Result<()> {
        policy::accept_steps(&*self.store, &self.policy(), now).await?;
        self.refresh_known().await?;
        // Files edited while the daemon was stopped count like a reload: a step may come before the look that was set.
        self.same_rules(now).await?;
        self.settled.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Sees to it that every next look is of the rules and the calendar in force here. It may be of others after an edit,
    /// after a reload that was torn off, and where another sender on the same database keeps plans by other files (one
    /// that stood still while these were changed, or was not reloaded yet).
    pub(super) async fn same_rules(&self, now: Timestamp) -> Result<()> {
        let digest = self.digest_of(&self.policy());
        if self.store.mark(PLANNED_UNDER).await? == Some(digest) {
            return Ok(());
        }
        // A reload that is under way does it.
        let Ok(_looking) = self.looking.try_lock() else { return Ok(()) };
        let tasks = self.look_under(now, digest).await?;
        tracing::info!(tasks, "looked at every task anew: not all had been planned under these rules");
        Ok(())
    }

    async fn look_under(&self, now: Timestamp, digest: i64) -> Result<u64> {
        self.store.begin_look(digest).await?;
        let looked_at = self.look_again(now).await?;
        if !self.store.end_look(digest).await? {
            match self.store.mark(PLANNED_UNDER).await?.or(self.store.mark(LOOKING_UNDER).await?) {
                Some(_) => tracing::error!(
                    "another sender plans by other rules than these: reload it, or give both the same files"
                ),
                // Also where a sender with other rules has just kept a plan.
                None => tracing::warn!(
                    "the directory changed meanwhile: the next scan looks at every task once more; if it does so again and \
                     again, two senders plan by different files"
                ),
            }
        }
        Ok(looked_at)
    }

    /// [`Policy::digest`], computed once for each policy.
    pub(super) fn digest_of(&self, policy: &Arc<Policy>) -> i64 {
        let mut known = self.digest.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*known {
            Some((of, digest)) if Arc::ptr_eq(of, policy) => *digest,
            _ => known.insert((policy.clone(), policy.digest())).1,
        }
    }

    /// Swaps in new rules, calendar and texts; what is not yet sent is planned anew.
    pub async fn take_rules(&self, mut policy: Policy) -> Result<u64> {
        let Some(now) = self.believed_now() else {
            // Steps accepted by a wrong clock would be known since a wrong day: the next pass that believes it does it.
            policy.known = self.store.steps_known().await?.0;
            self.policy.store(Arc::new(policy));
            self.forget_directory();
            self.settled.store(false, Ordering::SeqCst);
            return Ok(0);
        };
        policy::accept_steps(&*self.store, &policy, now).await?;
        policy.known = self.store.steps_known().await?.0;
        let policy = Arc::new(policy);
        let digest = self.digest_of(&policy);
        self.policy.store(policy);
        self.forget_directory();
        let _looking = self.looking.lock().await;
        self.look_under(now, digest).await
    }

    /// Every open task is looked at again, page by page: no transaction holds an outcome up for long, and the watchdog
    /// sees that work goes on. Ended half-way, it is begun anew at the next start.
    pub(super) async fn look_again(&self, now: Timestamp) -> Result<u64> {
        // Also for the scan that is under way: were the looks later than its instant, it would end with half of the
        // tasks planned, and a morning's letter would go out in two.
        let now = match self.began.load(Ordering::SeqCst) {
            i64::MIN => now,
            began => now.min(millis(began)),
        };
        let (mut after, mut tasks) = (TaskId(0), 0);
        loop {
            (self.alive)();
            let (page, last) = self.store.look_again(now, after, LOOK_AGAIN).await?;
            tasks += page;
            match last {
                Some(last) => after = last,
                None => return Ok(tasks),
            }
        }
    }

    pub(super) async fn refresh_known(&self) -> Result<()> {
        let known = self.store.steps_known().await?.0;
        let mut policy = Policy::clone(&self.policy());
        policy.known = known;
        self.policy.store(Arc::new(policy));
        Ok(())
    }
}
