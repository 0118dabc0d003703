//! The real store, each call of which waits for its turn, and which writes down what is committed at which step.
//!
//! A method that a store trait gains needs one line here.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use dondoc::planning::{
    plan::StepsKnown,
    rules::ChannelKind,
    task::{AgencyId, TaskId},
};
use dondoc::store::{
    Result,
    acts::{Act, ActStore, Acted, By, EventLine, TaskFilter, TaskLine},
    clock::{ClockConfirmed, ClockStore},
    daily::{DailyStore, NewDailyList, OpenList, Unreached},
    instance::{Adopted, Adoption, AdoptionRow, Identity, InstanceRow, InstanceStore},
    ledger::{
        Aside, CarriedRow, Claimed, Counts, DirectoryRows, Freeze, GateAnswer, NewMessage, OutboxRow, OutboxStore,
        PendingHead, Planned, PlanningStore, ReadingStore, ReadyRow, Recorded, Rescued, Saved, StoryRow, TaskNotice,
        TaskRecord, TaskTexts, UnreachableSlot, UrgingRow,
    },
    policy::{AcceptedPolicy, PolicyStore},
    register::{
        FileKind, FileRow, Filed, Files, NewNotice, NoticeDetail, NoticeLine, RegisterHead, RegisterItem,
        RegisterStore, WithdrawalDraft,
    },
};
use jiff::{Timestamp, civil::Date};

use super::{
    journal::HandOver,
    sim::Sim,
    turnstile::{At, Life, Turn},
};
use crate::planted::{self, Mistake};

/// The store as one run of the daemon sees it.
pub struct Watched {
    pub sim: Arc<Sim>,
    pub life: Life,
}

impl Watched {
    pub async fn turn(&self, what: &'static str) -> Turn {
        self.sim.gate.turn(self.life, At::Store(what)).await
    }

    fn mistake(&self) -> Option<Mistake> {
        self.sim.mistake
    }
}

macro_rules! watched {
    ($trait:ident { $($own:tt)* } $(fn $name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl $trait for Watched {
            $($own)*
            $(async fn $name(&self, $($arg: $type),*) -> Result<$out> {
                let _turn = self.turn(stringify!($name)).await;
                self.sim.store.$name($($arg),*).await
            })*
        }
    };
}

watched! {
    PlanningStore {
        async fn save_plans(&self, now: Timestamp, plans: Vec<Planned>) -> Result<Saved> {
            if self.mistake() == Some(Mistake::MarkApart) {
                return planted::save_plans_after_the_mark(self, now, plans).await;
            }
            let _turn = self.turn("save_plans").await;
            self.sim.store.save_plans(now, plans).await
        }
    }
    fn due_tasks(now: Timestamp, limit: u32) -> Vec<TaskRecord>;
    fn open_tasks(after: TaskId, limit: u32) -> Vec<TaskRecord>;
    fn tasks(ids: &[TaskId]) -> Vec<TaskRecord>;
    fn task_by_code(code: &str) -> Option<TaskId>;
    fn next_look() -> Option<Timestamp>;
    fn next_move() -> Option<Timestamp>;
    fn push(tasks: &[(TaskId, i64)], to: Timestamp) -> ();
    fn look_again(now: Timestamp, after: TaskId, limit: u32) -> (u64, Option<TaskId>);
    fn begin_look(under: i64) -> ();
    fn end_look(under: i64) -> bool;
    fn steps_known() -> (StepsKnown, Vec<(String, String, String)>);
    fn accept_steps(steps: &[(String, String, String, Timestamp)]) -> ();
    fn mark(name: &str) -> Option<i64>;
    fn set_mark(name: &str, value: i64) -> ();
    fn clear_mark(name: &str) -> ();
}

watched! {
    OutboxStore {
        async fn claim(&self, now: Timestamp, lease_until: Timestamp, messages: &[i64]) -> Result<Vec<Claimed>> {
            let turn = self.turn("claim").await;
            let mut claimed = self.sim.store.claim(now, lease_until, messages).await?;
            for message in &mut claimed {
                // Tokens are drawn at random; what the daemon makes of them (the spread of its retries) must replay.
                message.token = self.sim.name_token(&message.token);
                let step = self.sim.step();
                self.sim.journal().claims.insert(message.token.clone(), step);
                if self.mistake() == Some(Mistake::AnotherId) {
                    message.frozen = None;
                }
            }
            if self.sim.poison.as_ref().is_some_and(|poison| poison.in_batch(&claimed)) {
                drop(turn);
                std::future::pending::<()>().await;
            }
            Ok(claimed)
        }

        async fn settle(&self, now: Timestamp, outcomes: Vec<Recorded>, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>> {
            let _turn = self.turn("settle").await;
            let real = |token: &str| self.sim.real_token(token);
            let mut kept: Vec<Recorded> =
                outcomes.iter().map(|o| Recorded { token: real(&o.token), ..o.clone() }).collect();
            let asked: Vec<Freeze> = freezes.iter().map(|f| Freeze { token: real(&f.token), ..f.clone() }).collect();
            match self.mistake() {
                Some(Mistake::NoToken) => planted::take_the_present_token(&self.sim, &mut kept).await,
                Some(Mistake::MarkFirst) => planted::forget_what_came_after(&mut kept),
                _ => {}
            }
            let mut answers = self.sim.store.settle(now, kept, asked.clone()).await?;
            match self.mistake() {
                Some(Mistake::NoSecondLook) => planted::wave_through(&self.sim, &asked, &mut answers).await,
                Some(Mistake::MarkFirst) => planted::mark_first(&self.sim, now, &asked, &answers).await,
                _ => {}
            }
            self.sim.recorded(&outcomes);
            self.sim.journal().retried.extend(outcomes.iter().flat_map(|outcome| &outcome.earlier));
            for (freeze, answer) in freezes.iter().zip(&answers) {
                if *answer == GateAnswer::Go {
                    self.passed(freeze).await;
                }
            }
            Ok(answers)
        }

        async fn rescue(&self, now: Timestamp) -> Result<Rescued> {
            if self.mistake() == Some(Mistake::RescueById) {
                return planted::rescue_by_id(self, now).await;
            }
            let _turn = self.turn("rescue").await;
            let rescued = self.sim.store.rescue(now).await?;
            self.sim.journal().rescued += rescued.released + rescued.unanswered + rescued.poisoned;
            Ok(rescued)
        }

        async fn retry(&self, now: Timestamp, id: i64, why: &str) -> Result<bool> {
            let _turn = self.turn("retry").await;
            let done = self.sim.store.retry(now, id, why).await?;
            if done {
                self.sim.journal().retried.push(id);
            }
            Ok(done)
        }
    }
    fn ready_reminders(now: Timestamp) -> Vec<ReadyRow>;
    fn sent_on(day: Date) -> Vec<(ChannelKind, String, u32)>;
    fn save_messages(now: Timestamp, messages: Vec<NewMessage>, asides: Vec<Aside>) -> ();
    fn pending(channel: ChannelKind, now: Timestamp, limit: u32) -> Vec<PendingHead>;
    fn postpone(messages: &[(i64, Timestamp)]) -> ();
    fn expire(now: Timestamp, messages: &[i64]) -> ();
    fn outbox(state: Option<&str>) -> Vec<OutboxRow>;
    fn message_bytes(id: i64) -> Option<Vec<u8>>;
    fn unreachable_slots() -> Vec<UnreachableSlot>;
    fn reachable_again(slots: &[UnreachableSlot]) -> ();
    fn discard(now: Timestamp, id: i64, why: &str) -> bool;
}

impl Watched {
    /// A gate that said yes: what it carries, and whether it should have.
    async fn passed(&self, freeze: &Freeze) {
        let carries = freeze.rows.iter().map(|row| (row.reminder.0, row.task.0)).collect();
        self.sim.look_at_the_gate(freeze.message).await;
        let channel = self.sim.channel_of(freeze.message).await;
        let step = self.sim.step();
        let mut journal = self.sim.journal();
        let claimed = journal.claims.get(&freeze.token).copied().unwrap_or(0);
        journal.hand_overs.push(HandOver {
            life: self.life,
            message: freeze.message,
            token: freeze.token.clone(),
            channel,
            claimed,
            passed: step,
            key: freeze.message_id.clone(),
            bytes: freeze.bytes.clone(),
            carries,
            arrived: None,
            told: None,
            recorded: None,
        });
    }
}

watched! {
    ReadingStore {}
    fn directory() -> DirectoryRows;
    fn directory_revision() -> i64;
    fn texts(ids: &[TaskId]) -> Vec<TaskTexts>;
    fn story(task: TaskId) -> Vec<StoryRow>;
    fn urgings_of(tasks: &[TaskId]) -> HashMap<TaskId, Vec<UrgingRow>>;
    fn notices_of(task: TaskId) -> Vec<TaskNotice>;
    fn carried_by(message: &str) -> Option<CarriedRow>;
    fn overdue_of(agency: AgencyId, day: Date) -> u32;
    fn counts() -> Counts;
    fn unreachable() -> Vec<(String, String, String, String, Timestamp)>;
}

watched! {
    ActStore {}
    fn act(now: Timestamp, today: Date, task: TaskId, act: &Act, by: &By) -> Acted;
    fn events(task: TaskId) -> Vec<EventLine>;
    fn list_tasks(filter: &TaskFilter, after: &str, limit: u32) -> Vec<TaskLine>;
}

watched! {
    PolicyStore {}
    fn accept_policy(policy: &AcceptedPolicy) -> bool;
    fn policy_in_force() -> Option<AcceptedPolicy>;
    fn policy_at(at: Timestamp) -> Option<AcceptedPolicy>;
}

watched! {
    RegisterStore {
        async fn withdraw_notice(
            &self,
            year: i16,
            number: i64,
            now: Timestamp,
            draft: WithdrawalDraft<'_>,
        ) -> Result<NoticeDetail> {
            let _turn = self.turn("withdraw_notice").await;
            self.sim.store.withdraw_notice(year, number, now, draft).await
        }

        async fn walk_register(&self, visit: &mut (dyn FnMut(RegisterItem) + Send)) -> Result<()> {
            let _turn = self.turn("walk_register").await;
            self.sim.store.walk_register(visit).await
        }
    }
    fn file_notices(filings: &[NewNotice], now: Timestamp) -> Vec<Filed>;
    fn register_head() -> RegisterHead;
    fn notices(after: i64, limit: u32) -> Vec<NoticeLine>;
    fn notice_by_number(year: i16, number: i64) -> Option<NoticeDetail>;
    fn notice(id: i64) -> Option<NoticeDetail>;
    fn notice_files(which: Files, after: Option<(i64, FileKind)>, limit: u32) -> Vec<FileRow>;
    fn mark_files_written(files: &[(i64, FileKind, String)], now: Timestamp) -> ();
}

watched! {
    ClockStore {}
    fn confirm_clock(at: Timestamp, by: &str, why: &str) -> ClockConfirmed;
    fn clock_confirmed() -> Option<ClockConfirmed>;
}

watched! {
    InstanceStore {}
    fn cluster() -> Option<String>;
    fn instance() -> Option<InstanceRow>;
    fn found(now: Timestamp, identity: &Identity) -> InstanceRow;
    fn raise_generation(now: Timestamp) -> Option<InstanceRow>;
    fn doubtful(nothing_before: Timestamp) -> (u64, u64);
    fn adopt(now: Timestamp, adoption: &Adoption) -> Adopted;
    fn adoptions() -> Vec<AdoptionRow>;
}

watched! {
    DailyStore {}
    fn unreached() -> Vec<Unreached>;
    fn open_lists() -> Vec<OpenList>;
    fn save_lists(now: Timestamp, lists: &[NewDailyList]) -> u64;
}
