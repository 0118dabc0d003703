//! What people do to a task: start, hand in, confirm, pause, extend, give to another agency …
//!
//! Each act is one transaction: the change, its line in the task's history, and the silence of reminders that no longer
//! hold. An act that makes no sense is refused and changes nothing. What must then be sent or filed is not decided here:
//! the task is only marked to be looked at. Entries of the register are not written here either.

use async_trait::async_trait;
use jiff::{
    Timestamp,
    civil::{Date, Time},
};

use super::Result;
use crate::planning::task::{AgencyId, Clock, PersonId, TaskId, TaskState, word_enum};

word_enum!(/// How an agency was urged other than by a message of ours.
ContactForm {
    /// điện thoại
    Telephone = "telephone",
    Fax = "fax",
    /// làm việc trực tiếp
    Meeting = "meeting",
    /// văn bản
    Letter = "letter",
});

/// Who acts, and by which paper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct By {
    /// Never empty.
    pub who: String,
    /// Number, symbol and date of the deciding document; empty = none given. Not stored for a classified task.
    pub paper: String,
}

/// One act on one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// đang thực hiện
    Start,
    /// đã trình, chờ xác nhận
    Submit,
    /// What was handed in is not accepted, or the extension asked for is not granted: back to work.
    Refuse,
    /// hoàn thành. `on: None` = done, the day is not known; it may be given later by the same act.
    Done {
        on: Option<Date>,
    },
    /// trả lại: the agency sends the task back
    Return,
    /// thu hồi
    Withdraw,
    /// tạm dừng
    Pause,
    /// After a pause: back to the state before it.
    Resume,
    /// A done or withdrawn task is work again.
    Reopen,
    /// A lead agency: another one, or the same one again after it sent the task back.
    Assign {
        lead: AgencyId,
    },
    SetHandler {
        person: PersonId,
    },
    /// The coordinating agencies from now on, all of them.
    SetCoordinators {
        agencies: Vec<AgencyId>,
    },
    /// Another deadline, decided: later (gia hạn) or earlier (a correction).
    Extend {
        clock: Clock,
        date: Date,
        time: Option<Time>,
        decided_on: Option<Date>,
        approver: String,
    },
    /// xin gia hạn: the old deadline holds until it is decided
    AskExtension,
    /// The report was handed in.
    Report,
    /// đã nhận: repeats rest until then
    Acknowledge {
        until: Timestamp,
    },
    /// An urging by telephone or on paper; counts as one.
    LogContact {
        clock: Clock,
        agency: AgencyId,
        form: ContactForm,
        whom: String,
        outcome: String,
    },
}

/// What an act came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acted {
    /// The task's state after it.
    pub state: TaskState,
    /// Waiting reminders that will not leave any more.
    pub silenced: u64,
    /// A deadline was moved and no paper was named: the record says so for good.
    pub without_paper: bool,
    /// The task is classified: paper, approver and free text were not stored.
    pub dropped: bool,
}

/// One line of a task's history, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventLine {
    /// The field or act: `entered`, `state`, `due_date`, `lead` …
    pub what: String,
    pub old: String,
    pub new: String,
    pub effective_on: Option<Date>,
    pub learnt_at: Timestamp,
    pub paper: String,
    pub by: String,
}

/// One line of `task list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLine {
    pub id: TaskId,
    pub code: String,
    pub work: String,
    pub state: TaskState,
    /// The lead agency's code, or its name where it has none; empty only while held.
    pub lead: String,
    /// The lead's present deadline for completion.
    pub due: Option<Date>,
    pub completed_on: Option<Date>,
    /// Empty, or why it waits for a person.
    pub held: String,
}

/// Which tasks to list; all conditions hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    pub state: Option<TaskState>,
    /// Neither done nor withdrawn.
    pub open_only: bool,
    /// Only those held for a person to mend.
    pub held_only: bool,
    pub lead: Option<AgencyId>,
    /// Only those due on or before this day.
    pub due_until: Option<Date>,
}

/// Acts and their history.
#[async_trait]
pub trait ActStore: Send + Sync {
    /// Does one act in one transaction. `today` is the office's day at `now`.
    ///
    /// Errors with [`super::StoreError::Refused`], changing nothing, when the act makes no sense for the task as it is.
    async fn act(&self, now: Timestamp, today: Date, task: TaskId, act: &Act, by: &By) -> Result<Acted>;

    /// The task's history, oldest first.
    async fn events(&self, task: TaskId) -> Result<Vec<EventLine>>;

    /// Tasks in the order of their codes, after `after` (a code; empty = from the first).
    async fn list_tasks(&self, filter: &TaskFilter, after: &str, limit: u32) -> Result<Vec<TaskLine>>;
}
