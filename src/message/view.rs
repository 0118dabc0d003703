//! What a template sees: the facts as finished words, cleaned and in order. Templates decide layout, not meaning.

use serde::Serialize;

use super::{
    clean::{clause, link, one_line},
    facts::{Contact, ItemFacts, LetterFacts, Nearness, Recipient},
    phrases, words,
};
use crate::planning::{
    bundle::Part,
    task::{Role, Urgency},
};

/// A letter of one or several tasks.
#[derive(Debug, Serialize)]
pub struct Letter<'a> {
    pub subject: String,
    /// The first words an inbox shows beside the subject.
    pub preheader: String,
    pub office: String,
    pub to: To,
    /// The sentences that open and close it; from their templates.
    pub greeting: String,
    pub closing: String,
    /// `8 giờ 00 ngày 25/11/2026`
    pub as_of: String,
    pub count: usize,
    /// `phần 2/19` of a letter that was divided, else empty.
    pub part: String,
    /// `2 quá hạn, 1 đến hạn hôm nay`
    pub tally: String,
    /// Said before anything else: whose letter it is, that it may have come before.
    pub notes: Vec<String>,
    pub sections: Vec<Section>,
    pub whom_to_ask: String,
    pub calendar_note: String,
    /// The first line of the reasoning: whose part the reader plays, by which rule and step, and how its day came about.
    pub why: String,
    /// The second line: what comes next, when, and how much higher it goes; may be empty.
    pub after: String,
    /// Everything as it came, for an office's own templates; `None` where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<&'a LetterFacts>,
    /// The year as of which it speaks.
    #[serde(skip)]
    pub year: i16,
}

/// `Kính gửi: Đồng chí Vũ Văn Đạt, Giám đốc Sở Nội vụ`, in parts.
#[derive(Debug, Serialize)]
pub struct To {
    /// `Đồng chí`, `Ông`; empty for a shared mailbox.
    pub form: String,
    /// The person; the agency where there is none.
    pub name: String,
    /// `Giám đốc Sở Nội vụ`; may be empty.
    pub place: String,
    /// Within a sentence: `đồng chí`.
    pub you: String,
}

#[derive(Debug, Serialize)]
pub struct Section {
    pub key: Nearness,
    /// `Quá hạn`
    pub title: String,
    pub dark: &'static str,
    pub pale: &'static str,
    pub items: Vec<Item>,
}

#[derive(Debug, Serialize)]
pub struct Item {
    /// From 1, running through all sections.
    pub n: usize,
    pub code: String,
    pub work: String,
    /// `Quá hạn 5 ngày làm việc`
    pub nearness: String,
    /// `đôn đốc lần 2`; empty where this step does not urge.
    pub urging: String,
    pub document: String,
    /// trích yếu, where it says more than the work itself.
    pub about: String,
    pub lead: String,
    /// Joined with commas; empty: none.
    pub coordinators: String,
    /// `Sở Tư pháp (phối hợp)`: the agency that is reminded, where it is not the lead.
    pub reminded: String,
    /// `thời hạn hoàn thành` or `thời hạn báo cáo`
    pub clock: String,
    /// `17/11/2026`, with hour and rolled day.
    pub deadline: String,
    /// The working day that counts: `17/11/2026`.
    pub effective: String,
    /// `17/11`, and the year where it is another than the letter's.
    pub tile_day: String,
    pub tile_year: String,
    /// `quá 5 ngày`, `hôm nay`, `còn 3 ngày`
    pub tile_count: String,
    /// `hỏa tốc`; empty for ordinary work.
    pub urgency: String,
    /// Said of this task before what is asked: a corrected deadline, a step that comes late.
    pub remarks: Vec<String>,
    pub ask: String,
    pub next: String,
    pub link: Option<String>,
    pub action: &'static str,
    pub reasoning: Vec<String>,
    pub dark: &'static str,
    pub pale: &'static str,
}

/// A neutral letter: nothing of the task is in reach of its template.
#[derive(Debug, Serialize)]
pub struct Neutral {
    pub subject: String,
    pub office: String,
    pub to: To,
    /// The sentences that open and close it; from their templates.
    pub greeting: String,
    pub closing: String,
    pub notes: Vec<String>,
}

/// What the sentences that open and close a letter see, open or classified: no task, whoever writes the template.
#[derive(Debug, Serialize)]
pub struct Frame<'a> {
    pub office: &'a str,
    pub to: &'a To,
}

/// What the sentences of one task see.
#[derive(Debug, Serialize)]
pub struct Sentence<'a> {
    pub ask: &'a str,
    pub next: &'a str,
    /// `chậm nhất ngày 01/12`; empty where no answer is asked for by a day.
    pub by: String,
    pub audience: &'a str,
    pub near: Nearness,
    /// 0 where this step does not urge.
    pub urging_n: u32,
    pub role: Role,
    pub agency: String,
    pub office: &'a str,
    pub to: &'a To,
    pub item: &'a Item,
    pub facts: &'a ItemFacts,
}

impl<'a> Sentence<'a> {
    /// The sentences of one item of a letter.
    pub fn of(item: &'a Item, facts: &'a ItemFacts, letter: &'a Letter<'_>) -> Self {
        Self {
            ask: &item.ask,
            next: &item.next,
            by: phrases::by(facts, letter.year).unwrap_or_default(),
            audience: &facts.why.audience,
            near: facts.nearness,
            urging_n: facts.urging.unwrap_or(0),
            role: facts.role,
            agency: one_line(&facts.agency, 120),
            office: &letter.office,
            to: &letter.to,
            item,
            facts,
        }
    }
}

/// The neutral subject, the same for every classified task.
pub const NEUTRAL_SUBJECT: &str = "[Thông báo] Có công việc đề nghị liên hệ trực tiếp";

pub(super) fn to(recipient: &Recipient) -> To {
    let you = phrases::you(recipient).to_owned();
    let name = one_line(&recipient.name, 80);
    if name.is_empty() {
        let (title, agency) = (one_line(&recipient.title, 120), one_line(&recipient.agency, 160));
        let name = if agency.is_empty() { title } else { agency };
        return To { form: String::new(), name, place: String::new(), you };
    }
    To { form: words::capital(&you), name, place: phrases::office_of(recipient), you }
}

fn notes(facts: &LetterFacts, you: &str, with_reason: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let Part { n, of } = facts.part;
    if of > 1 && with_reason {
        notes.push(format!(
            "Đợt này {you} có nhiều nhiệm vụ nên thư được chia làm {of} phần, việc gấp nhất ở phần 1. Đây là phần {n}; mỗi \
             nhiệm vụ chỉ nêu ở một phần."
        ));
    }
    let stands_in = clause(&facts.recipient.stands_in_for, 200);
    if !stands_in.is_empty() && with_reason {
        notes.push(format!("Thư này gửi đến {you} vì {stands_in}; đề nghị chuyển đến người có trách nhiệm."));
    }
    if let Some(day) = facts.maybe_received_on {
        notes.push(format!(
            "Có thể {you} đã nhận thư này ngày {}; nếu đã nhận, thư này thay cho thư trước.",
            words::date(day)
        ));
    }
    notes
}

/// Colours of a section: dark for words and rules, pale for the ground under its dates. Each pair has a contrast of at
/// least 6:1 and is always set together, so that a mail program that darkens colours darkens both.
fn colours(nearness: Nearness) -> (&'static str, &'static str) {
    match nearness {
        Nearness::Overdue => ("#991b1b", "#fef2f2"),
        Nearness::DueToday => ("#854d0e", "#fefce8"),
        Nearness::Upcoming => ("#1e3a8a", "#eff6ff"),
        Nearness::Confirm => ("#065f46", "#ecfdf5"),
        Nearness::Returned => ("#5b21b6", "#f5f3ff"),
    }
}

fn item(facts: &ItemFacts, n: usize, year: i16) -> Item {
    let (dark, pale) = colours(facts.nearness);
    let work = one_line(&facts.work, 600);
    let about = one_line(&facts.document.subject, 300);
    let lead = one_line(&facts.lead, 160);
    let agency = one_line(&facts.agency, 160);
    let days = facts.working_days_left.unsigned_abs();
    let mut remarks = Vec::new();
    if let Some(from) = facts.corrected_from {
        remarks.push(format!(
            "Thời hạn được điều chỉnh từ ngày {} thành ngày {}.",
            words::date(from),
            words::date(facts.deadline)
        ));
    }
    if let Some(since) = facts.late_since {
        remarks.push(format!("Thông báo này đến kỳ từ ngày {}, nay mới gửi được.", words::date(since)));
    }
    Item {
        n,
        code: one_line(&facts.code, 40),
        about: if about.is_empty() || work.contains(&about) { String::new() } else { about.clone() },
        work: if work.is_empty() { about } else { work },
        nearness: phrases::nearness(facts),
        urging: facts.urging.map(|n| format!("đôn đốc lần\u{a0}{n}")).unwrap_or_default(),
        document: phrases::document(facts),
        coordinators: facts.coordinators.iter().map(|name| one_line(name, 160)).collect::<Vec<_>>().join(", "),
        reminded: if facts.role == Role::Coordinator && agency != lead { agency } else { String::new() },
        lead,
        clock: words::clock(facts.clock).to_owned(),
        deadline: phrases::deadline(facts),
        effective: words::date(facts.effective),
        tile_day: format!("{:02}/{:02}", facts.effective.day(), facts.effective.month()),
        tile_year: if facts.effective.year() == year { String::new() } else { facts.effective.year().to_string() },
        tile_count: match (facts.nearness, facts.working_days_left) {
            (Nearness::DueToday, _) => "hôm nay".to_owned(),
            (_, 0) if facts.nearness == Nearness::Overdue => "quá hạn".to_owned(),
            (_, left) if left < 0 => format!("quá {days} ngày"),
            (_, 0) => "hôm nay".to_owned(),
            _ => format!("còn {days} ngày"),
        },
        urgency: if facts.urgency == Urgency::Normal {
            String::new()
        } else {
            words::urgency(facts.urgency).to_owned()
        },
        remarks,
        ask: phrases::ask(facts, year),
        next: facts.next.as_ref().map(|next| phrases::next(facts, next, year)).unwrap_or_default(),
        link: link(facts.link.as_deref()),
        action: phrases::action(facts),
        reasoning: facts.reasoning.iter().map(|line| clause(line, 240)).collect(),
        dark,
        pale,
    }
}

fn whom_to_ask(facts: &LetterFacts) -> String {
    let Contact { name, honorific, agency, phone, email } = &facts.contact;
    let [name, honorific, agency, phone, email] =
        [name, honorific, agency, phone, email].map(|text| one_line(text, 120));
    let office = one_line(&facts.office, 120);
    let mut whom = match (name.is_empty(), facts.recipient.enterprise) {
        (true, _) if agency.is_empty() => office.clone(),
        (true, _) => agency.clone(),
        (false, false) => format!("đồng chí {name}"),
        (false, true) if honorific.is_empty() => format!("Ông/Bà {name}"),
        (false, true) => format!("{} {name}", words::capital(&honorific)),
    };
    if !name.is_empty() && !agency.is_empty() {
        whom.push_str(&format!(" ({agency})"));
    }
    if !phone.is_empty() {
        whom.push_str(&format!(", điện thoại {phone}"));
    }
    if !email.is_empty() {
        whom.push_str(&format!(", thư điện tử {email}"));
    }
    let reply = if facts.can_reply { ", hoặc trả lời thư này" } else { "" };
    // Where no link leads to the task's page, whoever is asked for progress has to be told where it goes.
    let without_page = facts.items.iter().any(|item| phrases::reports(item) && link(item.link.as_deref()).is_none());
    if without_page {
        format!("Tiến độ, kết quả hoặc khó khăn, vướng mắc, đề nghị báo cho {whom}{reply}.")
    } else {
        format!("Trường hợp có khó khăn, vướng mắc, đề nghị trao đổi với {whom}{reply}.")
    }
}

fn preheader(first: &ItemFacts, single: bool, year: i16) -> String {
    let near = phrases::nearness(first);
    let ask = phrases::ask(first, year);
    if single {
        let work = one_line(if first.work.is_empty() { &first.document.subject } else { &first.work }, 90);
        if work.is_empty() { ask } else { format!("{work}. {ask}") }
    } else {
        format!("Gấp nhất: {} – {}. {ask}", one_line(&first.code, 40), near.to_lowercase())
    }
}

/// The letter as its templates see it. `facts` has at least one item and none that is classified.
pub fn letter(facts: &LetterFacts) -> Letter<'_> {
    let year = facts.as_of.year();
    let to = to(&facts.recipient);
    let mut n = 0;
    let mut sections = Vec::new();
    for (nearness, title) in phrases::SECTIONS {
        let mut items = Vec::new();
        for found in facts.items.iter().filter(|item| item.nearness == nearness) {
            n += 1;
            items.push(item(found, n, year));
        }
        if !items.is_empty() {
            let (dark, pale) = colours(nearness);
            sections.push(Section { key: nearness, title: words::capital(title), dark, pale, items });
        }
    }
    let first =
        phrases::SECTIONS.iter().find_map(|(nearness, _)| facts.items.iter().find(|item| item.nearness == *nearness));
    let off: Vec<String> = facts.calendar_notes.iter().map(|note| clause(note, 120)).collect();
    Letter {
        subject: phrases::subject(facts),
        preheader: first.map(|item| preheader(item, facts.items.len() == 1, year)).unwrap_or_default(),
        office: one_line(&facts.office, 120),
        greeting: String::new(),
        closing: String::new(),
        as_of: words::moment(facts.as_of),
        count: facts.items.len(),
        part: phrases::part(facts).unwrap_or_default(),
        tally: phrases::tally(facts),
        notes: notes(facts, &to.you, true),
        sections,
        whom_to_ask: whom_to_ask(facts),
        calendar_note: if off.is_empty() {
            "Số ngày tính theo ngày làm việc.".to_owned()
        } else {
            format!("Số ngày tính theo ngày làm việc; {}.", off.join("; "))
        },
        why: phrases::why(facts, to.you.as_str()),
        after: phrases::after(facts),
        to,
        facts: Some(facts),
        year,
    }
}

/// The neutral letter. Of the facts it takes the office, the person's name and the day of an earlier copy; never the
/// title or agency, which would name the lead.
pub fn neutral(facts: &LetterFacts) -> Neutral {
    let person = Recipient {
        title: String::new(),
        agency: String::new(),
        stands_in_for: String::new(),
        ..facts.recipient.clone()
    };
    let to = to(&person);
    Neutral {
        subject: NEUTRAL_SUBJECT.to_owned(),
        office: one_line(&facts.office, 120),
        greeting: String::new(),
        closing: String::new(),
        notes: notes(facts, &to.you, false),
        to,
    }
}
