//! What letters, notices and answers to people are made of, as the store gives it.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};

use super::Result;
use crate::planning::{
    directory::{Agency, Person, Post},
    ledger::{ReminderKey, ReminderState},
    rules::ChannelKind,
    task::{AgencyId, ReminderId, TaskId},
};

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
