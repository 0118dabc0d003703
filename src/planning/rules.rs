//! The validated rules: what an office's `rules.toml` means once every fault was found and every default filled in.

use std::{collections::BTreeMap, fmt};

use jiff::civil::{Date, Time};

use super::{
    calendar::Hours,
    fold::fold,
    task::{AgencyFacts, Block, Clock, Obligation, Role, Secrecy, Task, Urgency, word_enum},
};

word_enum!(/// Unit of an offset or a span.
    Unit { /// working days
        WorkingDays = "wd", /// calendar days
        Days = "d", /// hours
        Hours = "h" });

/// A signed distance from the effective deadline: `-10wd`, `0d`, `+4h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Offset {
    pub n: i32,
    pub unit: Unit,
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n > 0 { write!(f, "+{}{}", self.n, self.unit) } else { write!(f, "{}{}", self.n, self.unit) }
    }
}

word_enum!(/// How a message travels.
    ChannelKind { Email = "email", Zalo = "zalo" });

word_enum!(/// What a step files besides sending.
    Filing { /// phiếu báo nhiệm vụ quá hạn
        Notice = "notice", /// a draft letter for a person to sign
        Letter = "letter" });

word_enum!(/// What becomes of steps missed while the daemon was stopped.
    Late { /// the most severe missed step of each slot is sent
        Latest = "latest", /// none is sent
        Skip = "skip" });

/// Who is to be reached; the person is looked up when the message is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Audience {
    /// chuyên viên thụ lý
    Handler,
    /// người đứng đầu
    AgencyHead,
    /// cấp phó phụ trách
    AgencyDeputy,
    /// đầu mối
    AgencyContact,
    /// văn thư, the shared mailbox
    AgencyBox,
    /// người theo dõi của Văn phòng
    Monitor,
    /// head of the superior agency; the focal office's head where that agency is not in the directory
    SuperiorHead,
    /// the focal office of the assigner's block
    AssignerOffice,
    /// the agency named in the settings
    Inspection,
    /// `person:ID`, by the person's e-mail or own number
    Person(String),
    /// `email:ADDRESS`, allowed domains only
    Email(String),
    /// The box of the agency an audience belongs to, in whose place it hears: made where an address was refused, never
    /// written in rules.toml.
    BoxOf(Box<Audience>),
}

impl Audience {
    /// The fixed words, in the order in which they are offered to a person who mistyped one.
    pub const WORDS: &'static [&'static str] = &[
        "handler",
        "agency_head",
        "agency_deputy",
        "agency_contact",
        "agency_box",
        "monitor",
        "superior_head",
        "assigner_office",
        "inspection",
    ];

    /// Reads the word of the ledger's key: those of rules.toml, and what only the ledger has.
    pub fn from_ledger_word(word: &str) -> Option<Self> {
        match word.strip_prefix("box_of:") {
            Some(owner) => Some(Audience::BoxOf(Box::new(Audience::from_word(owner)?))),
            None => Audience::from_word(word),
        }
    }

    /// Whose place in the ladder it takes: a refused audience's for the box that stands in for it.
    pub fn owner(&self) -> &Audience {
        match self {
            Audience::BoxOf(owner) => owner,
            own => own,
        }
    }

    /// Reads the word of rules.toml.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "handler" => Audience::Handler,
            "agency_head" => Audience::AgencyHead,
            "agency_deputy" => Audience::AgencyDeputy,
            "agency_contact" => Audience::AgencyContact,
            "agency_box" => Audience::AgencyBox,
            "monitor" => Audience::Monitor,
            "superior_head" => Audience::SuperiorHead,
            "assigner_office" => Audience::AssignerOffice,
            "inspection" => Audience::Inspection,
            _ => match word.split_once(':') {
                Some(("person", id)) if !id.is_empty() => Audience::Person(id.to_owned()),
                Some(("email", address)) if address.contains('@') => Audience::Email(address.to_owned()),
                _ => return None,
            },
        })
    }
}

impl Audience {
    /// Whether it sits in the agency that is reminded, and so shares its closures; the others stand above or outside.
    pub fn is_of_agency(&self) -> bool {
        matches!(
            self,
            Audience::Handler
                | Audience::AgencyHead
                | Audience::AgencyDeputy
                | Audience::AgencyContact
                | Audience::AgencyBox
        )
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Audience::Handler => "handler",
            Audience::AgencyHead => "agency_head",
            Audience::AgencyDeputy => "agency_deputy",
            Audience::AgencyContact => "agency_contact",
            Audience::AgencyBox => "agency_box",
            Audience::Monitor => "monitor",
            Audience::SuperiorHead => "superior_head",
            Audience::AssignerOffice => "assigner_office",
            Audience::Inspection => "inspection",
            Audience::Person(id) => return write!(f, "person:{id}"),
            Audience::Email(address) => return write!(f, "email:{address}"),
            Audience::BoxOf(owner) => return write!(f, "box_of:{owner}"),
        })
    }
}

/// `repeat = { every = "5wd", times = 8 }`: the step again, `times` more times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Positive.
    pub every: Offset,
    pub times: u32,
}

/// One rung of a rule's ladder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub id: String,
    pub due: Offset,
    /// The local time at which a step counted in days fires.
    pub at: Time,
    /// What `add` and `only` come to at this step: never empty.
    pub audiences: Vec<Audience>,
    pub via: Vec<ChannelKind>,
    pub urging: bool,
    pub files: Vec<Filing>,
    pub repeat: Option<Repeat>,
    /// Earlier ids of this step.
    pub was: Vec<String>,
}

/// The conditions of a rule: anded, each list ored; an empty list asks nothing. Texts are kept folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct When {
    pub role: Vec<Role>,
    pub block: Vec<Block>,
    pub assigner: Vec<String>,
    pub document_kind: Vec<String>,
    pub urgency: Vec<Urgency>,
    pub secrecy: Vec<Secrecy>,
    /// Codes or names.
    pub agency: Vec<String>,
    pub agency_kind: Vec<String>,
    pub field: Vec<String>,
    pub priority: Vec<String>,
}

impl When {
    /// `Ok` where everything asked for holds, else the key (`"block"`) that did not: the reason `explain` gives.
    pub fn matches(&self, task: &Task, role: Role, agency: &AgencyFacts) -> Result<(), &'static str> {
        let any = |list: &[String], text: &str| list.is_empty() || list.contains(&fold(text));
        let checks: [(&'static str, bool); 10] = [
            ("role", self.role.is_empty() || self.role.contains(&role)),
            ("block", self.block.is_empty() || self.block.contains(&agency.block)),
            ("urgency", self.urgency.is_empty() || self.urgency.contains(&task.urgency)),
            ("secrecy", self.secrecy.is_empty() || self.secrecy.contains(&task.secrecy)),
            ("assigner", any(&self.assigner, &task.assigner)),
            ("document_kind", any(&self.document_kind, &task.document_kind)),
            ("agency", any(&self.agency, &agency.code) || any(&self.agency, &agency.name)),
            ("agency_kind", any(&self.agency_kind, &agency.kind)),
            ("field", any(&self.field, &task.field)),
            ("priority", any(&self.priority, &task.priority)),
        ];
        match checks.iter().find(|(_, holds)| !holds) {
            Some((key, _)) => Err(key),
            None => Ok(()),
        }
    }
}

/// One ladder and for whom it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: String,
    pub when: When,
    pub clock: Clock,
    /// The paper it rests on, printed on notices.
    pub basis: Option<String>,
    /// The name under `[hours.…]`, and what it stands for.
    pub hours_name: String,
    pub hours: Hours,
    /// Local time of steps in days, and at which a message that had to wait leaves.
    pub at: Time,
    pub bundle: bool,
    pub late: Late,
    /// Positive.
    pub max_lateness: Offset,
    /// Messages a person may get a day on one channel; `None` for rules with `hours.urgent`, which pass.
    pub daily_cap: Option<u32>,
    /// The earliest instant for which it fires is the start of this day.
    pub effective_from: Option<Date>,
    /// Earlier ids of this rule.
    pub was: Vec<String>,
    /// In order of their instants.
    pub steps: Vec<Step>,
}

/// All rules of an office, in file order: the first that matches an obligation wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    pub rules: Vec<Rule>,
    pub hours: BTreeMap<String, Hours>,
}

impl Rules {
    /// The rule for an obligation: the first whose clock and conditions hold.
    pub fn find(&self, task: &Task, obligation: &Obligation) -> Option<&Rule> {
        self.rules.iter().find(|rule| {
            rule.clock == obligation.clock && rule.when.matches(task, obligation.role, &obligation.agency).is_ok()
        })
    }

    /// A rule by its id.
    pub fn get(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }
}
