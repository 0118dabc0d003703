//! Rows of the register, of the notices in it and of their files, and the calls that read and append them.
//!
//! The store allocates (number, seq, previous hash) and keeps; what an entry says and how it is hashed is handed in as
//! a closure by `inspection`, because a notice's number is known only inside the transaction that files it.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;
use crate::planning::task::{AgencyId, Clock, TaskId, word_enum};

/// What makes a notice one notice: a second filing under the same key is the same notice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoticeKey {
    pub task: TaskId,
    pub clock: Clock,
    pub arming: u32,
    pub agency: AgencyId,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
}

/// Where the next entry of the chain will stand.
#[derive(Debug, Clone, Copy)]
pub struct EntryPlace {
    pub seq: i64,
    pub prev: [u8; 32],
    pub at: Timestamp,
}

/// Where a new notice will stand, and under which number of which year.
#[derive(Debug, Clone, Copy)]
pub struct NoticePlace<'a> {
    pub entry: EntryPlace,
    pub key: &'a NoticeKey,
    pub due_at: Timestamp,
    /// Local year of filing.
    pub year: i16,
    /// From 1 in each year, without gaps.
    pub number: i64,
}

/// A person's name as it is kept beside the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Personal {
    /// JSON pointer into the facts (`/head/name`), or the name of one of the entry's own fields (`by`).
    pub field: String,
    pub salt: [u8; 16],
    pub value: String,
}

/// A hashed entry, ready to be appended at the place it was sealed for.
#[derive(Debug, Clone)]
pub struct SealedEntry {
    pub kind: String,
    pub format: u32,
    pub fields: Vec<u8>,
    pub hash: [u8; 32],
    pub personal: Vec<Personal>,
}

/// A notice with its entry; `files` are relative paths, empty for a classified task.
#[derive(Debug, Clone)]
pub struct SealedNotice {
    pub entry: SealedEntry,
    /// JSON, names of persons replaced by salted hashes.
    pub facts: String,
    /// SHA-256 of `facts`, lower-case hex.
    pub facts_hash: String,
    pub files: Vec<(FileKind, String)>,
}

/// A withdrawal's entry and the files that tell of it.
#[derive(Debug, Clone)]
pub struct SealedWithdrawal {
    pub entry: SealedEntry,
    pub files: Vec<(FileKind, String)>,
}

/// Draws up a notice once its place is known; the error says why it cannot, and the whole transaction is given up.
pub type NoticeDraft = Box<dyn Fn(&NoticePlace<'_>) -> std::result::Result<SealedNotice, String> + Send + Sync>;

/// Draws up a withdrawal once its place is known.
pub type WithdrawalDraft<'a> =
    &'a (dyn Fn(&NoticeDetail, &EntryPlace) -> std::result::Result<SealedWithdrawal, String> + Send + Sync);

/// A notice to be filed.
pub struct NewNotice {
    pub key: NoticeKey,
    pub due_at: Timestamp,
    /// Local year of filing, in which it is numbered.
    pub year: i16,
    pub draft: NoticeDraft,
}

/// A notice that stands in the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The notice's id, which is also its entry's seq.
    pub notice: i64,
    pub year: i16,
    pub number: i64,
    /// `false`: it had been filed before, and nothing was allocated.
    pub new: bool,
}

word_enum!(/// A file made of a notice.
FileKind {
    Html = "html",
    Json = "json",
    /// the notice again, marked as withdrawn, beside the untouched first one
    WithdrawnHtml = "withdrawn_html",
    WithdrawnJson = "withdrawn_json",
});

/// The last entry's seq and hash (lower-case hex) as the head row has them; 0 and zeros for an empty register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterHead {
    pub seq: i64,
    pub hash: String,
}

/// A name beside an entry, as stored; both `None` once erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonalRow {
    pub field: String,
    pub salt: Option<Vec<u8>>,
    pub value: Option<String>,
}

/// A register row exactly as stored, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRow {
    pub seq: i64,
    pub kind: String,
    /// Unix milliseconds.
    pub at: i64,
    pub format: i64,
    pub prev: String,
    pub fields: Vec<u8>,
    pub hash: String,
    pub personal: Vec<PersonalRow>,
}

/// A notice row exactly as stored, unchecked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeRow {
    pub id: i64,
    pub year: i64,
    pub number: i64,
    pub task: i64,
    pub clock: String,
    pub arming: i64,
    pub agency: i64,
    pub rule: String,
    pub step: String,
    pub occurrence: i64,
    /// Unix milliseconds.
    pub due_at: i64,
    /// Unix milliseconds.
    pub filed_at: i64,
    pub facts: String,
    pub facts_hash: String,
    pub seq: i64,
    pub withdrawn_seq: Option<i64>,
}

/// What a walk through the register meets, in this order: the head, then each entry followed by its notice.
#[derive(Debug, Clone)]
pub enum RegisterItem {
    Head(RegisterHead),
    Entry(RegisterRow),
    Notice(NoticeRow),
    /// An entry's row that cannot even be read as one.
    UnreadableEntry {
        seq: i64,
        what: String,
    },
    /// A notice's row that cannot even be read as one.
    UnreadableNotice {
        id: i64,
        what: String,
    },
}

/// A notice with its entry, its withdrawal's entry if there is one, and its files.
#[derive(Debug, Clone)]
pub struct NoticeDetail {
    pub notice: NoticeRow,
    pub entry: RegisterRow,
    pub withdrawal: Option<RegisterRow>,
    pub files: Vec<FileRow>,
}

/// A line of `notice list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeLine {
    pub notice: i64,
    pub year: i64,
    pub number: i64,
    /// JSON as filed, for the number as it was printed.
    pub facts: String,
    pub step: String,
    pub filed_at: Timestamp,
    pub hash: String,
    pub withdrawn: bool,
}

/// A file of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRow {
    pub notice: i64,
    pub kind: FileKind,
    /// Below the notices directory.
    pub path: String,
    /// SHA-256 of the file as last written, lower-case hex.
    pub hash: Option<String>,
    pub written: bool,
}

/// Which files a page of [`RegisterStore::notice_files`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    Unwritten,
    Written,
}

/// The register and what belongs to it.
#[async_trait]
pub trait RegisterStore: Send + Sync {
    /// Files notices in a transaction of their own, as one block. The scan files within its own transaction instead.
    async fn file_notices(&self, filings: &[NewNotice], now: Timestamp) -> Result<Vec<Filed>>;

    /// Withdraws a notice once: a new entry, the mark on the notice, the files that will tell of it. Refused if there
    /// is no such notice or it is withdrawn already.
    async fn withdraw_notice(
        &self,
        year: i16,
        number: i64,
        now: Timestamp,
        draft: WithdrawalDraft<'_>,
    ) -> Result<NoticeDetail>;

    /// The head row.
    async fn register_head(&self) -> Result<RegisterHead>;

    /// Shows every row to `visit` in order, from one snapshot, in flat memory.
    async fn walk_register(&self, visit: &mut (dyn FnMut(RegisterItem) + Send)) -> Result<()>;

    /// Notices in the order of filing with an id above `after`, at most `limit`.
    async fn notices(&self, after: i64, limit: u32) -> Result<Vec<NoticeLine>>;

    /// A notice by its number within a year.
    async fn notice_by_number(&self, year: i16, number: i64) -> Result<Option<NoticeDetail>>;

    /// A notice by its id.
    async fn notice(&self, id: i64) -> Result<Option<NoticeDetail>>;

    /// Files after the given one in the order (notice, kind), at most `limit`.
    async fn notice_files(&self, which: Files, after: Option<(i64, FileKind)>, limit: u32) -> Result<Vec<FileRow>>;

    /// Records that files were written, each with its hash (lower-case hex), in one transaction.
    async fn mark_files_written(&self, files: &[(i64, FileKind, String)], now: Timestamp) -> Result<()>;
}
