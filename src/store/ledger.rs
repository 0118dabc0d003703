//! What planning and sending ask of the store: tasks to look at, plans to keep, messages to claim, outcomes to record.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::Result;
use crate::planning::{
    bundle::Part,
    directory::{Agency, Person, Post},
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
    /// As stored: what a plan is saved against.
    pub next_look_at: Option<Timestamp>,
}

/// A plan to be kept, if its task is still as it was read.
pub struct Planned {
    pub task: TaskId,
    pub state: crate::planning::task::TaskState,
    pub read_next_look: Option<Timestamp>,
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
}

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

/// Rows of the directory.
#[derive(Debug, Clone, Default)]
pub struct DirectoryRows {
    pub agencies: Vec<Agency>,
    pub names: Vec<(String, AgencyId)>,
    pub people: Vec<Person>,
    pub posts: Vec<Post>,
    /// Rises with each change of the directory.
    pub revision: i64,
}

/// Texts of a task, for letters and notices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskTexts {
    pub task: i64,
    pub work: String,
    pub document: DocumentRow,
    pub lead: String,
    pub coordinators: Vec<String>,
    pub due_typed: String,
    pub due_reading: String,
    pub original_due: Option<Date>,
    pub completed_on: Option<Date>,
    pub last_update: Option<Date>,
    pub result: String,
    pub note: String,
    pub imported_urgings: u32,
    pub extensions: Vec<ExtensionRow>,
    pub contacts: Vec<ContactRow>,
}

/// văn bản giao việc, as stored; empty for a classified task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentRow {
    pub number: String,
    pub date: Option<Date>,
    pub kind: String,
    pub issuer: String,
    pub signer: String,
    /// trích yếu
    pub subject: String,
}

/// A decided change of deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionRow {
    pub clock: crate::planning::task::Clock,
    pub from: Option<Date>,
    pub to: Option<Date>,
    pub decided_on: Option<Date>,
    /// Empty: changed without a paper.
    pub paper: String,
    pub approver: String,
    /// When we learnt it.
    pub recorded_at: Timestamp,
}

/// A contact by telephone or on paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContactRow {
    pub clock: crate::planning::task::Clock,
    pub agency: AgencyId,
    pub at: Timestamp,
    pub form: String,
    pub whom: String,
    pub outcome: String,
}

/// One reminder with what came of it: the story `explain` and a notice tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryRow {
    pub id: ReminderId,
    pub key: ReminderKey,
    pub urging: bool,
    pub due_at: Timestamp,
    pub not_before: Timestamp,
    pub state: ReminderState,
    pub reason: String,
    pub message: Option<i64>,
    pub address: String,
    pub answered_at: Option<Timestamp>,
    pub outcome: String,
    pub code: i32,
    pub reply: String,
    /// The reminder that could not go its way and that this one stands in for.
    pub fallback_of: Option<ReminderId>,
    pub created_at: Timestamp,
    /// When it came into its present state.
    pub changed_at: Timestamp,
    /// When its present message was made.
    pub bundled_at: Option<Timestamp>,
    /// `facts::Recipient` as JSON, as resolved when its message was made; empty without a message.
    pub recipient: String,
    /// How many other tasks travel in its message.
    pub companions: u32,
    /// Every attempt at its message, and at the earlier one of unknown fate that this names, in order of time.
    pub attempts: Vec<AttemptRow>,
}

/// One reminder that counts as an urging, as a notice tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrgingRow {
    pub key: ReminderKey,
    pub due_at: Timestamp,
    pub state: ReminderState,
    /// When its message's last attempt was answered.
    pub answered_at: Option<Timestamp>,
    pub code: i32,
    pub reply: String,
}

/// One attempt at handing a message over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub message: i64,
    /// Whom that message was for: address, and `facts::Recipient` as JSON.
    pub address: String,
    pub recipient: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Its outcome's word; empty while there is none.
    pub outcome: String,
    pub code: i32,
    pub reply: String,
}

/// A notice of one task, as its story names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskNotice {
    pub year: i16,
    pub number: i64,
    pub key: crate::planning::ledger::FiledKey,
    pub due_at: Timestamp,
    pub filed_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
}

/// A message and the tasks it carries: what "why did I get this?" starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    pub id: i64,
    pub channel: ChannelKind,
    pub address: String,
    /// `facts::Recipient` as JSON.
    pub recipient: String,
    pub state: String,
    pub dated_at: Option<Timestamp>,
    /// Each task with the reminders in this message, in the order of their instants.
    pub tasks: Vec<(TaskId, Vec<ReminderId>)>,
    /// The daily list it carries instead.
    pub list: Option<super::daily::DailyList>,
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

/// Counts for `status`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    pub open_tasks: i64,
    pub held_tasks: i64,
    pub next_look: Option<Timestamp>,
    pub backlog_email: i64,
    pub backlog_zalo: i64,
    pub dead: i64,
    pub unknown: i64,
    pub unreachable: i64,
    pub register_entries: i64,
    pub register_head: String,
    pub unwritten_files: i64,
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
    /// entries, bindings and next looks. A task that changed since it was read is left alone.
    async fn save_plans(&self, now: Timestamp, plans: Vec<Planned>) -> Result<Saved>;
    /// The turn to plan and bundle, while the answer is held; `None`: another sender on a shared database has it. Only so
    /// that two do not work in vain: what is planned twice is kept once all the same.
    async fn planning_turn(&self) -> Result<Option<Turn>> {
        Ok(Some(Turn::alone()))
    }
    /// Pushes tasks that could not be planned to a later look.
    async fn push(&self, tasks: &[TaskId], to: Timestamp) -> Result<()>;
    /// A page of open tasks, in order of id after `after`, is looked at now, for rules or calendar changed; a page is
    /// one short transaction. How many they were, and the last of them: `None` when there are no more.
    async fn look_again(&self, now: Timestamp, after: TaskId, limit: u32) -> Result<(u64, Option<TaskId>)>;
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
    /// What a shared database's clock says; `None` where the machine's own holds.
    async fn time(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }
    /// Messages not yet accepted, or all in a state.
    async fn outbox(&self, state: Option<&str>) -> Result<Vec<OutboxRow>>;
    /// The frozen bytes of a message.
    async fn message_bytes(&self, id: i64) -> Result<Option<Vec<u8>>>;
    /// Takes a dead or unknown message back to pending, with who and why. `false`: it is in no such state.
    async fn retry(&self, now: Timestamp, id: i64, why: &str) -> Result<bool>;
    /// Slots on the daily list whose task still calls for them.
    async fn unreachable_slots(&self) -> Result<Vec<UnreachableSlot>>;
    /// Takes slots off the daily list: they lead to somebody again.
    async fn reachable_again(&self, slots: &[UnreachableSlot]) -> Result<()>;
    /// Gives a message up: its reminders end suppressed with the reason.
    async fn discard(&self, now: Timestamp, id: i64, why: &str) -> Result<bool>;
}

/// What letters, notices and answers to people are made of.
#[async_trait]
pub trait ReadingStore: Send + Sync {
    /// The whole directory.
    async fn directory(&self) -> Result<DirectoryRows>;
    /// The directory's revision only.
    async fn directory_revision(&self) -> Result<i64>;
    /// Texts of tasks, by id.
    async fn texts(&self, ids: &[TaskId]) -> Result<Vec<TaskTexts>>;
    /// A task's reminders with what came of them, in order of their instants.
    async fn story(&self, task: TaskId) -> Result<Vec<StoryRow>>;
    /// The reminders of tasks that count as urgings, each task's in order of their instants; a task without any is not
    /// among them.
    async fn urgings_of(&self, tasks: &[TaskId]) -> Result<HashMap<TaskId, Vec<UrgingRow>>>;
    /// A task's notices in the order of filing.
    async fn notices_of(&self, task: TaskId) -> Result<Vec<TaskNotice>>;
    /// What a message carries: by its number, or by a Message-ID (with its angle brackets) under which it was ever
    /// handed over.
    async fn carried_by(&self, message: &str) -> Result<Option<CarriedRow>>;
    /// How many tasks of an agency (as lead) are open past their deadline on a day.
    async fn overdue_of(&self, agency: AgencyId, day: Date) -> Result<u32>;
    /// Counts for `status`.
    async fn counts(&self) -> Result<Counts>;
    /// People who cannot be reached for a duty that stands: (agency, audience, channel, why, since).
    async fn unreachable(&self) -> Result<Vec<(String, String, String, String, Timestamp)>>;
}
