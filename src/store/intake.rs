//! What an import reads and writes: the directory as known, tasks as stored, and the changes decided about them.
//!
//! The store decides nothing here. A batch of rows is handed over with a function that decides about one row from what
//! is stored; it is called inside the write transaction, so that nothing changes between the look and the write.

use std::{collections::HashMap, fmt, sync::Arc};

use async_trait::async_trait;
use jiff::{
    Timestamp,
    civil::{Date, Time},
};

use super::Result;
use crate::planning::task::{
    AgencyId, ArmedBy, Block, Clock, Deadline, PersonId, Role, Secrecy, TaskId, TaskState, Urgency, word_enum,
};

/// A text that many rows share.
pub type Text = Arc<str>;

/// A value that must never be shown: the typed code of a classified task. It is compared, never stored.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

word_enum!(/// Which of an agency's names a text is.
    NameKind { Code = "code", Identifier = "identifier", Name = "name", Short = "short", Alias = "alias", /// an earlier name, or one of a predecessor
        Former = "former" });

word_enum!(/// What a person is in an agency.
    PostRole { /// người đứng đầu
        Head = "head", /// cấp phó
        Deputy = "deputy", /// chuyên viên
        Handler = "handler", /// đầu mối
        Contact = "contact", /// văn thư
        Registry = "registry" });

/// An agency as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgencyRow {
    pub id: AgencyId,
    pub code: Option<String>,
    pub identifier: String,
    pub name: String,
    pub short_name: String,
    pub block: Block,
    pub kind: String,
    pub superior: String,
    pub active: bool,
    pub status_note: String,
}

/// One name of an agency; `folded` is what is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AgencyName {
    pub agency: AgencyId,
    pub kind: NameKind,
    pub folded: String,
    pub typed: String,
}

/// A person as stored. `phone` is digits with the country code (`84…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonRow {
    pub id: PersonId,
    pub name: String,
    pub folded: String,
    pub honorific: String,
    pub email: String,
    pub phone: String,
    pub zalo_user_id: String,
    pub takes_zalo: bool,
}

/// A dated post; both days are inclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostRow {
    pub id: i64,
    pub agency: AgencyId,
    pub person: PersonId,
    pub role: PostRole,
    pub title: String,
    pub valid_from: Option<Date>,
    pub valid_to: Option<Date>,
}

impl PostRow {
    /// Whether the post is held on a day.
    pub fn holds(&self, day: Date) -> bool {
        self.valid_from.is_none_or(|from| from <= day) && self.valid_to.is_none_or(|to| day <= to)
    }
}

/// The whole directory.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    pub agencies: Vec<AgencyRow>,
    pub names: Vec<AgencyName>,
    pub people: Vec<PersonRow>,
    pub posts: Vec<PostRow>,
}

/// Rows to insert or replace by their ids; the names of an agency listed in `renamed` are replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct DirectoryChanges {
    pub agencies: Vec<AgencyRow>,
    pub renamed: Vec<AgencyId>,
    pub names: Vec<AgencyName>,
    pub people: Vec<PersonRow>,
    pub posts: Vec<PostRow>,
}

impl DirectoryChanges {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.agencies.is_empty() && self.renamed.is_empty() && self.people.is_empty() && self.posts.is_empty()
    }
}

/// A handler named in a task file who is not in the directory yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewPerson {
    pub name: String,
    pub email: String,
    pub phone: String,
    pub agency: AgencyId,
}

/// A document that assigns work; never one of a classified task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DocumentRow {
    pub number: String,
    pub symbol_folded: String,
    pub issuer: String,
    pub issuer_folded: String,
    pub year: i16,
    pub date: Option<Date>,
    pub kind: String,
    pub signer: String,
    pub summary: String,
}

impl DocumentRow {
    /// What makes it that document: symbol, issuer, year.
    pub fn key(&self) -> (&str, &str, i16) {
        (&self.symbol_folded, &self.issuer_folded, self.year)
    }
}

/// The columns of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskColumns {
    pub code: String,
    pub work: Text,
    pub field: Text,
    pub priority: Text,
    pub assigner: Text,
    pub assigner_block: Block,
    pub urgency: Urgency,
    pub secrecy: Secrecy,
    pub state: TaskState,
    pub state_since: Timestamp,
    pub completed_on: Option<Date>,
    pub result: Text,
    pub note: Text,
    pub assigned_on: Option<Date>,
    pub lead: Option<AgencyId>,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
    pub due_typed: Text,
    pub due_reading: Text,
    pub original_due: Option<Date>,
    pub report_typed: Text,
    pub report_reading: Text,
    pub report_cycle: Text,
    pub extensions: u32,
    pub imported_urgings: u32,
    pub last_update: Option<Date>,
    /// `""`, or the code of the problem that a person must mend.
    pub held: &'static str,
    pub fingerprint: String,
    pub row_digest: String,
    pub known_at: Timestamp,
    pub next_look_at: Option<Timestamp>,
}

/// An obligation as stored, and as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObligationRow {
    pub clock: Clock,
    pub agency: AgencyId,
    pub role: Role,
    pub due: Option<Deadline>,
    pub arming: u32,
    pub armed_at: Timestamp,
    pub armed_by: ArmedBy,
    pub overdue_from: Option<Date>,
    pub ended_at: Option<Timestamp>,
}

/// A task as stored, with all an import may change.
#[derive(Debug, Clone)]
pub struct StoredTask {
    pub id: TaskId,
    pub columns: TaskColumns,
    pub document: Option<DocumentRow>,
    pub coordinators: Vec<AgencyId>,
    pub obligations: Vec<ObligationRow>,
}

/// A row of a task file: interpreted, its agencies and people found, and rid of what may not be stored.
#[derive(Debug, Clone)]
pub struct TaskRow {
    /// As a person counts it in the file.
    pub row: u32,
    /// What the row proposes; `state_since`, `known_at`, `next_look_at` are the decision's to set.
    pub columns: TaskColumns,
    /// The state cell had something to say.
    pub state_given: bool,
    pub document: Option<Arc<DocumentRow>>,
    pub coordinators: Vec<AgencyId>,
    pub due: Option<Deadline>,
    pub report: Option<Deadline>,
    /// A handler to be created: its place in the list of new people.
    pub new_handler: Option<usize>,
    /// Of a classified row: the code as typed, by which the same task is found when it was open before.
    pub typed_code: Hidden,
    /// `MAT-…`, by which it is found when it was classified before.
    pub classified_code: String,
}

impl TaskRow {
    /// The code under which it is stored if its own turns out to belong to another task: the same in each import.
    pub fn spare_code(&self) -> String {
        let digest = [&self.columns.fingerprint, &self.columns.row_digest].into_iter().find(|text| !text.is_empty());
        format!("{}#{}", self.columns.code, digest.and_then(|text| text.get(..6)).unwrap_or_default())
    }

    /// Every code under which this row's task may be stored.
    pub fn codes(&self) -> Vec<String> {
        let codes =
            [self.columns.code.clone(), self.typed_code.0.clone(), self.classified_code.clone(), self.spare_code()];
        codes.into_iter().filter(|code| !code.is_empty()).collect()
    }
}

/// One line of a task's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    pub what: &'static str,
    pub old: String,
    pub new: String,
    pub effective_on: Option<Date>,
}

/// A deadline that moved; an import knows no paper for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedDeadline {
    pub clock: Clock,
    pub old_due: Option<Date>,
    pub new_due: Option<Date>,
}

/// Reminders of earlier armings that lose their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supersede {
    pub clock: Clock,
    pub agency: AgencyId,
    /// Those of armings below this one.
    pub below: u32,
    pub reason: &'static str,
}

/// What is to be written about one task.
#[derive(Debug, Clone)]
pub struct Change {
    /// `None`: a new task.
    pub id: Option<TaskId>,
    pub columns: TaskColumns,
    pub document: Option<Arc<DocumentRow>>,
    pub coordinators: Vec<AgencyId>,
    /// The obligations to insert or replace; those not named stay as they are.
    pub obligations: Vec<ObligationRow>,
    pub events: Vec<EventRow>,
    pub moved: Vec<MovedDeadline>,
    pub supersede: Vec<Supersede>,
    /// Nothing planned may leave any more, and why.
    pub silence: Option<&'static str>,
    /// The task was open and is classified now: its content is wiped everywhere.
    pub wipe: bool,
}

word_enum!(/// What became of a row.
    Fate { Created = "created", Updated = "updated", Unchanged = "unchanged", Held = "held", Refused = "refused" });

/// What was decided about a row.
#[derive(Debug, Clone)]
pub struct Decision {
    pub fate: Fate,
    /// `None`: nothing is written.
    pub change: Option<Box<Change>>,
    /// Problems that only what is stored could show: column, code, message.
    pub problems: Vec<(&'static str, &'static str, String)>,
}

/// What a write did beyond its decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiped {
    pub row: u32,
    /// Messages about the task that had been sent, or may have been.
    pub sent: u64,
    /// Messages under way at that moment: their sender looks again before it hands them over.
    pub under_way: u64,
    /// Overdue notices filed while it was open; they are never edited.
    pub notices: u64,
}

/// Decides about a row from the stored tasks that share one of its codes or its fingerprint.
pub type Decide<'a> = dyn Fn(&TaskRow, &[&StoredTask]) -> Decision + Send + Sync + 'a;

/// What imports need of the store.
#[async_trait]
pub trait IntakeStore: Send + Sync {
    /// The key of all keyed digests of this database: random, made once.
    async fn hmac_key(&self) -> Result<[u8; 32]>;

    /// The whole directory.
    async fn directory(&self) -> Result<Directory>;

    /// Writes changes of the directory in one transaction.
    async fn write_directory(&self, changes: &DirectoryChanges) -> Result<()>;

    /// Adds handlers with a post each in one transaction; their ids in the order given.
    async fn add_people(&self, people: &[NewPerson]) -> Result<Vec<PersonId>>;

    /// Whether any task is stored.
    async fn has_tasks(&self) -> Result<bool>;

    /// The row digests of the stored tasks among these codes.
    async fn digests(&self, codes: &[&str]) -> Result<HashMap<String, String>>;

    /// Decides about rows without writing.
    async fn preview(&self, rows: &[TaskRow], decide: &Decide<'_>) -> Result<Vec<Decision>>;

    /// Decides about rows and writes, in one transaction. `learnt_at` stands in each event.
    async fn write_tasks(
        &self,
        rows: &[TaskRow],
        decide: &Decide<'_>,
        learnt_at: Timestamp,
        by_whom: &str,
    ) -> Result<(Vec<Decision>, Vec<Wiped>)>;

    /// After content was wiped: makes sure that neither free pages nor the write-ahead log hold it. `false` when another
    /// connection kept the log in use: it is emptied at the next checkpoint.
    async fn scrub(&self) -> Result<bool>;
}

/// The words under which a task may be held; the store keeps them as text.
pub const HELD_CODES: &[&str] = &[
    "",
    "lead_missing",
    "lead_two",
    "deadline_unreadable",
    "agency_unknown",
    "agency_ambiguous",
    "agency_ended",
    "code_reused",
    "duplicate_work",
];

/// The stated hour as stored.
pub(crate) fn time_text(time: Option<Time>) -> Option<String> {
    time.map(|time| time.to_string())
}
