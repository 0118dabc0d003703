//! From due tasks to kept plans, in bounded batches, until none is left.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan};

use super::{Engine, Event, Pass, policy::Policy};
use crate::{
    planning::{
        plan::{Plan, Stop, plan},
        task::{AgencyId, TaskId},
    },
    store::{
        Result,
        ledger::{Planned, TaskRecord},
    },
};

impl Engine {
    /// Plans every task whose look has come. A task that cannot be planned is pushed an hour ahead and reported; it
    /// never stops the others.
    pub(super) async fn scan(&self, now: Timestamp, pass: &mut Pass) -> Result<()> {
        let stopped = self.stopped(now);
        // Counted once a scan: it is a figure beside a notice's own facts, and each count reads an agency's tasks.
        let mut overdue = HashMap::new();
        while !self.stopping.is_cancelled() {
            (self.alive)();
            let batch = self.store.due_tasks(now, self.policy().settings.scan.batch).await?;
            // Asked for each batch, and after it was read: a reload swaps the rules first and has the tasks looked at anew
            // then, so what was read after that look is never planned under the rules before.
            let policy = self.policy();
            if batch.is_empty() {
                break;
            }
            pass.looked_at += batch.len() as u64;
            let tasks: Vec<TaskId> = batch.iter().map(|record| record.task.id).collect();
            match self.work_off(&policy, now, stopped, batch, &mut overdue, pass).await {
                Err(error) if error.is_of_the_row() => {
                    // One of them is refused by the database: each alone, so that only that one waits.
                    for task in tasks {
                        let alone = self.store.tasks(&[task]).await?;
                        let policy = self.policy();
                        let read: Vec<_> = alone.iter().map(|record| (record.task.id, record.revision)).collect();
                        match self.work_off(&policy, now, stopped, alone, &mut overdue, pass).await {
                            Err(error) if error.is_of_the_row() => {
                                tracing::error!(task = task.0, %error, "a task's plan cannot be kept; it is tried again in an hour");
                                pass.failed += 1;
                                self.store.push(&read, now + 1.hour()).await?;
                            }
                            answer => answer?,
                        }
                    }
                }
                answer => answer?,
            }
        }
        if pass.looked_at > 0 {
            self.tell(Event::Scanned {
                planned: pass.planned,
                superseded: pass.superseded,
                filed: pass.filed,
                failed: pass.failed,
            });
        }
        Ok(())
    }

    /// Plans a batch and keeps the plans in one transaction.
    async fn work_off(
        &self,
        policy: &Arc<Policy>,
        now: Timestamp,
        stopped: Option<Stop>,
        batch: Vec<TaskRecord>,
        overdue: &mut HashMap<AgencyId, u32>,
        pass: &mut Pass,
    ) -> Result<()> {
        let mut decided = Vec::with_capacity(batch.len());
        let mut failed = Vec::new();
        for record in batch {
            match decide(policy, now, stopped, &record) {
                Ok(plan) => decided.push((record, plan)),
                Err(why) => {
                    tracing::error!(task = %record.task.code, %why, "a task cannot be planned; it is tried again in an hour");
                    failed.push((record.task.id, record.revision));
                }
            }
        }
        if !failed.is_empty() {
            pass.failed += failed.len() as u64;
            self.store.push(&failed, now + 1.hour()).await?;
        }
        if decided.is_empty() {
            return Ok(());
        }
        let mut notices = self.notices(policy, now, &decided, overdue).await?;
        let under = self.digest_of(policy);
        let plans = decided
            .into_iter()
            .map(|(record, plan)| Planned {
                task: record.task.id,
                revision: record.revision,
                under,
                notices: notices.remove(&record.task.id).unwrap_or_default(),
                plan,
            })
            .collect();
        let saved = self.store.save_plans(now, plans).await?;
        pass.planned += saved.planned;
        pass.superseded += saved.superseded;
        pass.filed += saved.filed.len() as u64;
        for (year, number) in &saved.filed {
            self.tell(Event::Filed { number: format!("{}{number:04}/{year}", policy.settings.notices.number_prefix) });
        }
        Ok(())
    }
}

/// Plans one task; a panic is caught and belongs to that task.
fn decide(
    policy: &Policy,
    now: Timestamp,
    stopped: Option<Stop>,
    record: &TaskRecord,
) -> std::result::Result<Plan, String> {
    let setting = policy.setting(now, stopped);
    match catch_unwind(AssertUnwindSafe(|| plan(&setting, &record.task, &record.ledger))) {
        Ok(Ok(plan)) => {
            if let Some(uncovered) = plan.uncovered {
                tracing::warn!(task = %record.task.code, %uncovered, "a coming step cannot be computed");
            }
            Ok(plan)
        }
        Ok(Err(uncovered)) => Err(uncovered.to_string()),
        Err(_) => Err("planning it panicked: a fault of this program".to_owned()),
    }
}
