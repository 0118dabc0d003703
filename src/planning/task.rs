//! The assigned task as planning sees it: its state, its obligations and their deadlines.

use jiff::{
    Timestamp,
    civil::{Date, Time},
};
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);
    };
}

id!(/// A task's own number in the store.
    TaskId);
id!(/// An agency's own number in the store; its code is optional.
    AgencyId);
id!(/// A person's own number in the store.
    PersonId);
id!(/// A reminder's own number in the store.
    ReminderId);

/// Gives an enum its stable text: the word that stands in the database, in TOML and in JSON.
macro_rules! word_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every value, in the order of its declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The stable word for this value.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            /// The value a stable word stands for, or `None` for any other text.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use word_enum;

word_enum!(/// Which of a task's two deadlines.
    Clock { /// thời hạn hoàn thành
        Completion = "completion", /// thời hạn báo cáo
        Report = "report" });

word_enum!(/// An agency's part in a task.
    Role { /// cơ quan chủ trì: exactly one
        Lead = "lead", /// cơ quan phối hợp: none or several
        Coordinator = "coordinator" });

word_enum!(/// khối: each has its own focal office and may have its own rules.
    Block { State = "state", Party = "party", Enterprise = "enterprise" });

word_enum!(/// độ khẩn
    Urgency { /// thường
        Normal = "normal", /// khẩn
        Urgent = "urgent", /// thượng khẩn
        VeryUrgent = "very_urgent", /// hỏa tốc
        Flash = "flash" });

word_enum!(/// độ mật (Luật 117/2025/QH15, Điều 5). Anything that cannot be read counts as [`Secrecy::TopSecret`].
    Secrecy { /// không mật
        Open = "open", /// mật
        Confidential = "confidential", /// tối mật
        Secret = "secret", /// tuyệt mật
        TopSecret = "top_secret" });

impl Secrecy {
    /// Whether the task's content may not enter the system at all.
    pub fn is_classified(self) -> bool {
        self != Secrecy::Open
    }
}

word_enum!(/// Where the work stands. Timeliness is another axis and is computed, never stored.
TaskState {
    /// chưa tiếp nhận
    NotReceived = "not_received",
    /// chưa thực hiện
    NotStarted = "not_started",
    /// đang thực hiện
    InProgress = "in_progress",
    /// đã trình, chờ xác nhận: the lead is not urged, the clock runs on
    Submitted = "submitted",
    /// xin gia hạn: the old deadline holds until decided
    ExtensionRequested = "extension_requested",
    /// tạm dừng: nothing is sent or filed, the deadline stays
    Paused = "paused",
    /// trả lại: nothing until assigned again
    Returned = "returned",
    /// hoàn thành
    Done = "done",
    /// thu hồi
    Withdrawn = "withdrawn",
});

impl TaskState {
    /// Whether the task may still give reminders some day: everything but done and withdrawn.
    pub fn is_open(self) -> bool {
        !matches!(self, TaskState::Done | TaskState::Withdrawn)
    }

    /// Whether its agencies are urged and notices filed in this state.
    pub fn is_urged(self) -> bool {
        matches!(
            self,
            TaskState::NotReceived | TaskState::NotStarted | TaskState::InProgress | TaskState::ExtensionRequested
        )
    }

    /// How far along the work is, for the rule that an import never moves a state backwards.
    /// States beside the main line (asking, paused, returned) rank with work in progress.
    pub fn rank(self) -> u8 {
        match self {
            TaskState::NotReceived => 0,
            TaskState::NotStarted => 1,
            TaskState::InProgress | TaskState::ExtensionRequested | TaskState::Paused | TaskState::Returned => 2,
            TaskState::Submitted => 3,
            TaskState::Done | TaskState::Withdrawn => 4,
        }
    }
}

word_enum!(/// Why an obligation's ladder was armed when it was; decides what becomes of steps already past then.
ArmedBy {
    /// the task was entered: its most severe past step goes out once
    Entered = "entered",
    /// the deadline moved to a later date: past steps are superseded
    Extended = "extended",
    /// the deadline moved to an earlier date: the most severe past step goes out once
    Advanced = "advanced",
    /// reopened after completion; counts as late entry
    Reopened = "reopened",
    /// given to another agency; counts as late entry
    Reassigned = "reassigned",
});

/// A deadline as decided: a date, ending at 24:00 of it (BLDS 2015 Điều 147-148) unless an hour was stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Deadline {
    pub date: Date,
    /// The stated hour (`17h00 ngày 15/12`), from which steps in hours count.
    pub time: Option<Time>,
}

/// What the rules may ask about an agency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgencyFacts {
    pub id: AgencyId,
    /// Its code (`SNV`), or its name where it has none.
    pub code: String,
    pub name: String,
    pub block: Block,
    /// `Cấp` as typed (`Thành phố`, `Xã, phường`); matched folded.
    pub kind: String,
}

/// One agency's duty on one clock of a task: the thing that climbs a ladder of steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    pub role: Role,
    pub agency: AgencyFacts,
    pub clock: Clock,
    /// `None`: no single deadline (thường xuyên, empty); nothing is planned.
    pub deadline: Option<Deadline>,
    /// How often the ladder was armed for this task, clock and agency; from 1.
    pub arming: u32,
    /// When this arming took effect for us: steps at or before it were past already.
    pub armed_at: Timestamp,
    pub armed_by: ArmedBy,
    /// After a move to an earlier date: the day the correction was accepted. Overdue steps and filing count from the
    /// later of it and the new deadline.
    pub overdue_from: Option<Date>,
    /// The rule under which this obligation was last planned, and since when; a rule that now matches instead fires
    /// only for instants after it took over.
    pub bound: Option<(String, Timestamp)>,
    /// Until when an acknowledgement ("đã nhận") pauses repeats.
    pub acknowledged_until: Option<Timestamp>,
    /// The report was handed in, or the coordinator's part is finished: nothing more for this obligation.
    pub ended: bool,
}

/// A task as the planner needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub code: String,
    pub state: TaskState,
    /// When it came into this state, as we learnt it.
    pub state_since: Timestamp,
    /// When it last came back from a state without urging (tạm dừng, đã trình, trả lại) or from being held: what was
    /// due by then counts as late entry.
    pub resumed_at: Option<Timestamp>,
    /// How often the work was submitted, returned: the occurrence of the question that goes with it.
    pub state_count: u32,
    pub urgency: Urgency,
    pub secrecy: Secrecy,
    /// cấp giao, as typed; matched folded.
    pub assigner: String,
    /// The block whose focal office stands behind the assigner.
    pub assigner_block: Block,
    pub document_kind: String,
    pub field: String,
    pub priority: String,
    /// When the task was first known to us.
    pub known_at: Timestamp,
    /// Held: stored, never reminded until a person mends it.
    pub held: bool,
    pub obligations: Vec<Obligation>,
}
