//! What planning and sending ask of the store: tasks to look at, plans to keep, messages to claim, outcomes to record.

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::Result;
pub use super::reading::{
    AttemptRow, CarriedRow, ContactRow, Counts, DirectoryRows, DocumentRow, ExtensionRow, ReadingStore, StoryRow,
    TaskNotice, TaskTexts, UrgingRow,
};
use crate::planning::{
    bundle::Part,
    ledger::{Ledger, ReminderKey, ReminderState},
    plan::{Plan, StepsKnown},
    rules::{Audience, ChannelKind},
    task::{AgencyId, PersonId, ReminderId, Task, TaskId},
};

/// A task with all that planning needs, as read at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRecord {
    pub task: Task,
    pub ledger: Ledger,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
    pub next_look_at: Option<Timestamp>,
    /// Rises with every change of the task and of what it owes: what a plan is saved against.
    pub revision: i64,
}

/// A plan to be kept, if its task is still as it was read.
pub struct Planned {
    pub task: TaskId,
    /// The one that it was read with.
    pub revision: i64,
    /// The rules and the calendar that it was made under, as a number.
    pub under: i64,
    pub plan: Plan,
    pub notices: Vec<super::register::NewNotice>,
}

/// The turn to plan; it ends when this is dropped.
pub struct Turn(#[expect(dead_code, reason = "held, never looked at")] Option<Box<dyn std::any::Any + Send>>);

impl Turn {
    /// Nobody else could plan.
    pub fn alone() -> Self {
        Turn(None)
    }

    /// It lasts as long as what is held.
    pub fn held(by: impl std::any::Any + Send) -> Self {
        Turn(Some(Box::new(by)))
    }
}

/// What saving plans came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    pub planned: u64,
    pub superseded: u64,
    /// Notices filed, as (year, number).
    pub filed: Vec<(i16, i64)>,
    /// Tasks that had changed since they were read; they are looked at again.
    pub changed: u64,
}

/// A planned reminder whose moment has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyRow {
    pub id: ReminderId,
    pub task: TaskId,
    pub key: ReminderKey,
    pub due_at: Timestamp,
    /// When it came on record: with `due_at` it says from when on it might have left.
    pub planned_at: Timestamp,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
    pub role: crate::planning::task::Role,
    pub assigner_block: crate::planning::task::Block,
    pub secrecy: crate::planning::task::Secrecy,
    pub due_date: Option<Date>,
    /// An earlier message of unknown fate that carried it.
    pub earlier: Option<i64>,
}

/// A message to be made of reminders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    pub channel: ChannelKind,
    pub address: String,
    pub person: Option<PersonId>,
    /// `facts::Recipient` as JSON.
    pub recipient: String,
    pub classified: bool,
    pub hours: String,
    pub earlier: Option<i64>,
    pub part: Part,
    pub not_before: Timestamp,
    pub expires_at: Timestamp,
    pub reminders: Vec<ReminderId>,
}

/// What becomes of a planned reminder that goes into no message now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aside {
    /// Waits: over the cap, or outside its hours.
    Wait { reminder: ReminderId, until: Timestamp },
    /// Leads to nobody: suppressed with a reason, and listed as unreachable unless `quiet`.
    Nobody { reminder: ReminderId, why: &'static str, quiet: bool },
    /// Tried on another channel or another audience instead, under its own key.
    Fallback { reminder: ReminderId, why: &'static str, audience: String, channel: ChannelKind },
    /// Reached, but by somebody else's box: noted for the daily list.
    StandIn { reminder: ReminderId, why: &'static str },
}

/// A slot on the daily list of the unreachable, with what is needed to look it up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreachableSlot {
    pub agency: AgencyId,
    pub audience: Audience,
    pub channel: ChannelKind,
    pub task: TaskId,
    /// `refused`: the address is there and does not take mail; only an acceptance shows that it does again.
    pub why: String,
    pub role: crate::planning::task::Role,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
    pub assigner_block: crate::planning::task::Block,
    pub secrecy: crate::planning::task::Secrecy,
}

/// A pending message, enough to decide whether it is claimed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingHead {
    pub id: i64,
    pub hours: String,
    pub expires_at: Timestamp,
    /// At how many it was in work: claimed, or handed over.
    pub crashes: u32,
    /// How many reminders travel in it.
    pub reminders: u32,
    pub frozen: bool,
}

/// What a gate compares: if any of it differs between composing and handing over, the message is composed anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateRow {
    pub reminder: ReminderId,
    pub task: TaskId,
    pub reminder_state: ReminderState,
    pub rule: String,
    pub step: String,
    pub task_state: crate::planning::task::TaskState,
    pub held: bool,
    pub secrecy: crate::planning::task::Secrecy,
    pub reminder_arming: u32,
    pub arming: u32,
    pub due_date: Option<Date>,
    pub ended: bool,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
}

impl GateRow {
    /// Whether this reminder may still be sent: its task open and in a state that speaks, its arming current.
    pub fn is_current(&self) -> bool {
        use crate::planning::{
            plan::{CONFIRM_STEP, STATE_RULE},
            task::TaskState,
        };
        let speaks = match (self.rule.as_str(), self.step.as_str()) {
            (STATE_RULE, CONFIRM_STEP) => self.task_state == TaskState::Submitted,
            (STATE_RULE, _) => self.task_state == TaskState::Returned,
            _ => self.task_state.is_urged(),
        };
        speaks
            && self.reminder_state == ReminderState::InMessage
            && !self.held
            && !self.ended
            && self.arming == self.reminder_arming
    }
}

/// A claimed message: ours until its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub id: i64,
    pub token: String,
    /// Number of the attempt, over all attempts of this message.
    pub n: u32,
    pub channel: ChannelKind,
    pub address: String,
    pub person: Option<PersonId>,
    pub recipient: String,
    pub classified: bool,
    pub hours: String,
    /// Attempts that counted so far, before this one.
    pub attempts: u32,
    pub expires_at: Timestamp,
    pub earlier: Option<i64>,
    /// When the earlier message was dated.
    pub earlier_at: Option<Timestamp>,
    pub part: Part,
    /// Set when an earlier answer was lost: exactly these bytes again.
    pub frozen: Option<FrozenBytes>,
    pub rows: Vec<GateRow>,
    /// The daily list it carries instead of reminders.
    pub list: Option<super::daily::DailyList>,
}

/// A message whose bytes were fixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrozenBytes {
    pub bytes: Vec<u8>,
    pub message_id: String,
}

/// What is fixed right before a message is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    pub message: i64,
    pub token: String,
    pub bytes: Vec<u8>,
    pub message_id: String,
    pub dated_at: Timestamp,
    /// What the text was composed from.
    pub rows: Vec<GateRow>,
    pub directory_revision: i64,
}

/// The gate's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateAnswer {
    /// Committed: bytes, phase and this answer. Hand it over.
    Go,
    /// Something it was composed from has changed: not a byte may leave.
    Changed,
    /// The lease is somebody else's now.
    Lost,
}

/// An attempt's outcome and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    pub message: i64,
    pub token: String,
    pub outcome: &'static str,
    pub code: i32,
    pub reply: String,
    pub next: Next,
    /// Messages that were refused before it by what it shows to be the relay's fault, and not theirs: they go back to
    /// pending in the transaction that records it, so that no crash comes between.
    pub earlier: Vec<i64>,
}

/// Why a message goes back to pending that is among [`Recorded::earlier`].
pub const RELAY_AT_FAULT: &str = "the relay's settings were at fault";

/// Where a message goes after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Sent {
        /// Local day, for the daily cap.
        day: Date,
    },
    /// Composed anew at `at`; `spend` says whether the attempt counts.
    Retry { at: Timestamp, spend: bool },
    /// The same bytes again at `at`; `spend` says whether the attempt counts.
    Repeat { at: Timestamp, spend: bool },
    /// The gate said no: what is still current goes back to be bundled anew, nothing was handed over.
    Recompose,
    /// A lost answer, and a task changed since: stays unknown; what is still due travels in a new message.
    Unknown,
    /// Refused for good. `fallback`: each reminder goes to its agency's box under its own key.
    Dead { fallback: bool },
}

/// What rescue at start found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rescued {
    pub released: u64,
    pub unanswered: u64,
    pub poisoned: u64,
}

/// One line of `outbox list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    pub id: i64,
    pub channel: ChannelKind,
    pub to: String,
    pub state: String,
    pub reason: String,
    pub attempts: u32,
    pub not_before: Timestamp,
    pub last: String,
    /// (task code, step)
    pub reminders: Vec<(String, String)>,
    /// The day of the daily list it carries instead.
    pub list: Option<Date>,
}

/// What the planner asks.
#[async_trait]
pub trait PlanningStore: Send + Sync {
    /// Tasks whose next look has come, the longest waiting first. Reads the partial index only.
    async fn due_tasks(&self, now: Timestamp, limit: u32) -> Result<Vec<TaskRecord>>;
    /// Open tasks in order of id, after `after`: for `plan` and `status`.
    async fn open_tasks(&self, after: TaskId, limit: u32) -> Result<Vec<TaskRecord>>;
    /// Tasks by number, in order of id.
    async fn tasks(&self, ids: &[TaskId]) -> Result<Vec<TaskRecord>>;
    /// A task's number by its code.
    async fn task_by_code(&self, code: &str) -> Result<Option<TaskId>>;
    /// The earliest next look of all tasks.
    async fn next_look(&self) -> Result<Option<Timestamp>>;
    /// The earliest instant at which a planned reminder or a pending message may move.
    async fn next_move(&self) -> Result<Option<Timestamp>>;
    /// Keeps plans in one transaction: reminders, superseded ones with their reasons, notices with their register
    /// entries, bindings and next looks. A task that changed since it was read is left alone. Plans made under other rules
    /// than all others are kept too, and the mark that says so goes.
    async fn save_plans(&self, now: Timestamp, plans: Vec<Planned>) -> Result<Saved>;
    /// The turn to plan and bundle, while the answer is held; `None`: another sender on a shared database has it. Only so
    /// that two do not work in vain: what is planned twice is kept once all the same.
    async fn planning_turn(&self) -> Result<Option<Turn>> {
        Ok(Some(Turn::alone()))
    }
    /// Pushes tasks that could not be planned, each with the revision it was read with, to a later look. One that changed
    /// since keeps its own.
    async fn push(&self, tasks: &[(TaskId, i64)], to: Timestamp) -> Result<()>;
    /// A page of open tasks, in order of id after `after`, is looked at now, for rules or calendar changed; a page is
    /// one short transaction. How many they were, and the last of them: `None` when there are no more.
    async fn look_again(&self, now: Timestamp, after: TaskId, limit: u32) -> Result<(u64, Option<TaskId>)>;
    /// Every task is going to be looked at anew, under these rules and calendar: until [`end_look`](Self::end_look) nobody
    /// says under which the next looks are.
    async fn begin_look(&self, under: i64) -> Result<()>;
    /// Every task was looked at anew: from now on all next looks are under these. `false`: meanwhile another sender kept
    /// plans made under others, or began to look under others.
    async fn end_look(&self, under: i64) -> Result<bool>;
    /// Since when each step is accepted, with its definition.
    async fn steps_known(&self) -> Result<(StepsKnown, Vec<(String, String, String)>)>;
    /// Accepts steps: (rule, step, definition, since).
    async fn accept_steps(&self, steps: &[(String, String, String, Timestamp)]) -> Result<()>;
    /// A mark's value.
    async fn mark(&self, name: &str) -> Result<Option<i64>>;
    /// Sets a mark.
    async fn set_mark(&self, name: &str, value: i64) -> Result<()>;
    /// Takes a mark away.
    async fn clear_mark(&self, name: &str) -> Result<()>;
}

/// What bundling and sending ask. Instants are `now` arguments; on a shared database the store supplies them itself.
#[async_trait]
pub trait OutboxStore: Send + Sync {
    /// Planned reminders whose moment has come.
    async fn ready_reminders(&self, now: Timestamp) -> Result<Vec<ReadyRow>>;
    /// Messages that a recipient got on a local day or is about to get, by channel and address.
    async fn sent_on(&self, day: Date) -> Result<Vec<(ChannelKind, String, u32)>>;
    /// Makes messages of reminders and sets others aside, in one transaction.
    async fn save_messages(&self, now: Timestamp, messages: Vec<NewMessage>, asides: Vec<Aside>) -> Result<()>;

    /// Pending messages whose moment has come.
    async fn pending(&self, channel: ChannelKind, now: Timestamp, limit: u32) -> Result<Vec<PendingHead>>;
    /// Pending messages wait until their hours.
    async fn postpone(&self, messages: &[(i64, Timestamp)]) -> Result<()>;
    /// Pending messages that could not be sent in their time end superseded, reason `expired`.
    async fn expire(&self, now: Timestamp, messages: &[i64]) -> Result<()>;
    /// Claims pending messages: each is leased under its own token and its attempt is on record before this answers.
    async fn claim(&self, now: Timestamp, lease_until: Timestamp, messages: &[i64]) -> Result<Vec<Claimed>>;
    /// One transaction: first outcomes, then the gate for other messages, an answer for each of these in their order.
    /// An outcome: an acceptance is recorded by its attempt's own token whatever became of the lease. The gate: compares,
    /// and where nothing changed, bytes, phase and answer are committed together.
    async fn settle(&self, now: Timestamp, outcomes: Vec<Recorded>, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>>;
    /// The gate alone.
    async fn freeze(&self, now: Timestamp, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>> {
        self.settle(now, Vec::new(), freezes).await
    }
    /// Outcomes alone.
    async fn record(&self, now: Timestamp, outcomes: Vec<Recorded>) -> Result<()> {
        self.settle(now, outcomes, Vec::new()).await.map(|_| ())
    }
    /// At start: what a crash left leased or handed over. On a shared database only leases that ran out by its clock.
    async fn rescue(&self, now: Timestamp) -> Result<Rescued>;
    /// Beside the work: leases that ran out by a shared database's clock, whoever held them. Elsewhere nothing: who
    /// holds a lease there is this process itself.
    async fn rescue_lapsed(&self, _now: Timestamp) -> Result<Rescued> {
        Ok(Rescued::default())
    }
    /// Beside the work, on a database of one process: leases of a channel that ran out, while nothing in this process works
    /// on that channel; the caller knows. On a shared database nothing: see [`rescue_lapsed`](Self::rescue_lapsed).
    async fn rescue_orphaned(&self, _now: Timestamp, _channel: ChannelKind) -> Result<Rescued> {
        Ok(Rescued::default())
    }
    /// What a shared database's clock says; `None` where the machine's own holds.
    async fn time(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
    /// Messages not yet accepted, or all in a state.
    async fn outbox(&self, state: Option<&str>) -> Result<Vec<OutboxRow>>;
    /// The frozen bytes of a message.
    async fn message_bytes(&self, id: i64) -> Result<Option<Vec<u8>>>;
    /// Takes a dead or unknown message back to pending, with who and why. One that may have arrived and of which something
    /// has changed since, or goes on in a newer message, is not repeated: what of it is still due is planned again, and
    /// names it. `false`: it is in no such state, or nothing of it is due.
    async fn retry(&self, now: Timestamp, id: i64, why: &str) -> Result<bool>;
    /// Slots on the daily list whose task still calls for them.
    async fn unreachable_slots(&self) -> Result<Vec<UnreachableSlot>>;
    /// Takes slots off the daily list: they lead to somebody again.
    async fn reachable_again(&self, slots: &[UnreachableSlot]) -> Result<()>;
    /// Gives a message up: its reminders end suppressed with the reason.
    async fn discard(&self, now: Timestamp, id: i64, why: &str) -> Result<bool>;
}
