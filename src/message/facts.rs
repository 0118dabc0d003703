//! What a text may say: everything a template can read, resolved beforehand by the engine.
//!
//! A classified task's facts carry no content (its fields are empty since its import), so no template can leak it.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
};
use serde::{Deserialize, Serialize};

use crate::planning::{
    bundle::Part,
    rules::{Audience, ChannelKind},
    task::{Block, Clock, Role, Secrecy, Urgency},
};

/// Whom a message addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// `ông`, `bà`, or empty.
    pub honorific: String,
    /// Empty for a shared mailbox.
    pub name: String,
    /// Chức vụ.
    pub title: String,
    pub agency: String,
    /// Enterprises are addressed Ông/Bà, others Đồng chí.
    pub enterprise: bool,
    /// Why somebody else's letter comes here (the intended audience has no living address), as a clause that can follow
    /// "vì": `chuyên viên thụ lý chưa có địa chỉ nhận thư`. Empty if it does not.
    pub stands_in_for: String,
}

/// văn bản giao việc
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentFacts {
    pub number: String,
    pub date: Option<Date>,
    pub kind: String,
    pub issuer: String,
    pub signer: String,
    /// trích yếu
    pub subject: String,
}

/// Which of a letter's sections an item belongs to, and what is asked in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    Overdue,
    DueToday,
    Upcoming,
    /// đã trình: the monitor is asked to confirm
    Confirm,
    /// trả lại: the tracking office is told
    Returned,
}

/// Why this recipient gets this item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    pub audience: String,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
}

/// What happens next if nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextStep {
    pub on: Date,
    pub step: String,
    /// Words of the audiences that the next step adds beyond the present one's.
    pub adds: Vec<String>,
    pub files_notice: bool,
    pub urging: bool,
}

/// One task in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFacts {
    pub code: String,
    /// nội dung nhiệm vụ; empty for a classified task
    pub work: String,
    pub document: DocumentFacts,
    pub secrecy: Secrecy,
    pub urgency: Urgency,
    pub lead: String,
    pub coordinators: Vec<String>,
    /// The part of the agency that is reminded.
    pub role: Role,
    /// The agency that is reminded.
    pub agency: String,
    pub clock: Clock,
    /// As decided; `effective` is the working day it rolled to.
    pub deadline: Date,
    pub deadline_time: Option<Time>,
    pub effective: Date,
    /// Why the deadline rolled (`24/11 là Ngày Văn hóa Việt Nam`); empty where it did not.
    pub rolled_because: String,
    /// Working days left (positive), or overdue (negative), from the message's day to the effective deadline.
    pub working_days_left: i64,
    pub nearness: Nearness,
    /// đôn đốc lần n, where this step urges.
    pub urging: Option<u32>,
    pub why: Why,
    /// Every rung on which this recipient gets the task (two slots that lead to one person show it once).
    pub also: Vec<Why>,
    pub next: Option<NextStep>,
    /// By when an answer is asked for: the working day before the next step.
    pub answer_by: Option<Date>,
    /// The deadline was corrected to an earlier date: from which date.
    pub corrected_from: Option<Date>,
    /// The reasoning in two lines, as `explain` gives it.
    pub reasoning: Vec<String>,
    pub link: Option<String>,
    /// The step was due at this instant.
    pub due_at: Timestamp,
    /// The local day on which the step was due, where that is earlier than the message's day (the service stood still,
    /// or a day off lay between): the letter then says so.
    #[serde(default)]
    pub late_since: Option<Date>,
}

/// Whom to ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub name: String,
    pub honorific: String,
    pub agency: String,
    pub phone: String,
    pub email: String,
}

/// Everything one message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterFacts {
    pub office: String,
    pub recipient: Recipient,
    /// The local date and time as of which it speaks.
    pub as_of: DateTime,
    pub items: Vec<ItemFacts>,
    pub contact: Contact,
    /// Days off lying between now and the deadlines named, e.g. `24/11 là ngày nghỉ`.
    pub calendar_notes: Vec<String>,
    /// The day of an earlier message whose fate is unknown: "có thể đồng chí đã nhận thư này ngày …".
    pub maybe_received_on: Option<Date>,
    /// Of a letter with more tasks than one can name: the others stand in the other parts.
    #[serde(default)]
    pub part: Part,
    /// A neutral text without any content: the items are classified.
    pub classified: bool,
    /// Replies are read by a person at this address.
    pub can_reply: bool,
}

/// A past urging as a notice tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrgingFacts {
    pub n: u32,
    pub at: DateTime,
    /// `email`, `zalo`, or the form of a recorded contact (`telephone`, `meeting` …).
    pub form: String,
    /// Words of the audiences.
    pub recipients: Vec<String>,
    pub outcome: String,
}

/// A change of deadline as a notice tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtensionFacts {
    pub from: Option<Date>,
    pub to: Option<Date>,
    pub decided_on: Option<Date>,
    /// Empty: changed without a paper.
    pub paper: String,
    pub approver: String,
}

/// What stands at the head of a draft paper (NĐ 30/2020 Phụ lục I; party papers differ).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letterhead {
    pub block: Block,
    /// The body above the office, on the line over it (`Ủy ban nhân dân thành phố Hà Nội`); empty: none.
    pub parent: String,
    /// địa danh of the date line (`Hà Nội`); empty: left open.
    pub place: String,
}

impl Default for Letterhead {
    fn default() -> Self {
        Self { block: Block::State, parent: String::new(), place: String::new() }
    }
}

/// An overdue notice's facts, as they stood when it was filed. Serialized, they are what the register hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeFacts {
    pub number: String,
    pub office: String,
    #[serde(default)]
    pub letterhead: Letterhead,
    pub inspection: String,
    pub task: String,
    pub secrecy: Secrecy,
    pub agency: String,
    pub agency_code: String,
    pub role: Role,
    pub clock: Clock,
    pub head: Recipient,
    pub document: DocumentFacts,
    pub work: String,
    pub assigner: String,
    pub original_deadline: Option<Date>,
    pub extensions: Vec<ExtensionFacts>,
    pub deadline: Date,
    pub deadline_time: Option<Time>,
    pub effective: Date,
    /// How the deadline was typed and read, and why it rolled.
    pub deadline_basis: String,
    pub days_overdue: i64,
    pub working_days_overdue: i64,
    pub calendar_notes: Vec<String>,
    pub urgings: Vec<UrgingFacts>,
    pub imported_urgings: u32,
    /// Ý kiến giải trình; empty: none.
    pub explanation: String,
    pub state: String,
    pub last_update: Option<Date>,
    pub report_deadline: Option<Date>,
    pub rule: String,
    pub rule_basis: Option<String>,
    pub step: String,
    pub occurrence: u32,
    /// When the step was due, and when the notice was filed.
    pub due_at: DateTime,
    pub filed_at: DateTime,
    /// How many tasks of the agency are overdue at filing.
    pub agency_overdue: u32,
    /// Program and version that drew it up.
    pub drawn_up_by: String,
}

/// Facts about where a notice stands in the register; printed on it, not part of what is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSeal {
    pub seq: i64,
    pub hash: String,
    pub prev: String,
    pub facts_hash: String,
}

/// Words of an audience and a channel as they stand in a fact.
pub fn word(audience: &Audience) -> String {
    audience.to_string()
}

/// Zalo's line for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZaloRecipient {
    pub name: String,
    /// `84…`
    pub phone: String,
    pub zalo_user_id: String,
}

/// The channel a text is for.
pub type Channel = ChannelKind;
