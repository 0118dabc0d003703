//! The Zalo line, and the JSON that a Zalo relay gets (`[zalo] mode = "webhook"`).
//!
//! Said there: the task's code, the document's number, the deadline, the lead agency, a link, and whom it addresses.
//! Never content, never anything of a classified task.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use super::{
    clean::{link, one_line},
    facts::{ItemFacts, LetterFacts, Nearness, ZaloRecipient},
    phrases,
    texts::TextError,
    words,
};
use crate::planning::rules::Audience;

/// A line has fewer characters than this, see [`length`].
pub const LIMIT: usize = 400;

fn open(facts: &LetterFacts) -> Result<(), TextError> {
    if facts.items.is_empty() {
        return Err(TextError::Empty);
    }
    if facts.classified || facts.items.iter().any(|item| item.secrecy.is_classified()) {
        return Err(TextError::Classified("Zalo carries nothing of it"));
    }
    Ok(())
}

/// One task: who, what, by when, what is asked. Several: the count, then as many tasks as fit, the most urgent first.
pub fn line(facts: &LetterFacts) -> Result<String, TextError> {
    open(facts)?;
    let office = short(&facts.office);
    Ok(match facts.items.as_slice() {
        [item] => single(facts, item, &office),
        _ => digest(facts, &office),
    })
}

/// What an office's own Zalo text sees. Nothing here is content of a task, so no template can send any.
#[derive(Debug, Serialize)]
pub struct View {
    /// As shipped, short enough whatever was typed.
    pub line: String,
    pub office: String,
    /// `đồng chí Nguyễn Văn A`
    pub whom: String,
    pub count: usize,
    pub tally: String,
    /// The most urgent first.
    pub items: Vec<ViewItem>,
}

#[derive(Debug, Serialize)]
pub struct ViewItem {
    pub code: String,
    /// Of the document; empty where it is not known.
    pub number: String,
    /// `Nhắc việc`, `Đôn đốc lần 2`
    pub head: String,
    /// `còn 3 ngày làm việc (hạn 15/12/2026)`
    pub state: String,
    pub lead: String,
    pub ask: String,
    pub by: String,
    pub near: Nearness,
    pub audience: String,
    pub link: String,
}

/// The facts as an office's own Zalo text sees them.
pub fn view(facts: &LetterFacts) -> Result<View, TextError> {
    let item = |item: &ItemFacts| ViewItem {
        code: name(&item.code, 40),
        number: name(&item.document.number, 50),
        head: head(item),
        state: state(item),
        lead: name(&item.lead, 80),
        ask: ask(facts, item),
        by: phrases::by(item, facts.as_of.year()).unwrap_or_default(),
        near: item.nearness,
        audience: item.why.audience.split(':').next().unwrap_or_default().to_owned(),
        link: link(item.link.as_deref()).unwrap_or_default(),
    };
    Ok(View {
        line: line(facts)?,
        office: short(&facts.office),
        whom: whom(facts),
        count: facts.items.len(),
        tally: phrases::tally(facts),
        items: ordered(facts).map(item).collect(),
    })
}

/// Length as the provider counts: UTF-16 units of the composed text, so that a sign outside the basic plane is two.
pub fn length(text: &str) -> usize {
    text.nfc().map(char::len_utf16).sum()
}

fn ordered(facts: &LetterFacts) -> impl Iterator<Item = &ItemFacts> {
    phrases::SECTIONS.iter().flat_map(|(nearness, _)| facts.items.iter().filter(move |item| item.nearness == *nearness))
}

fn whom(facts: &LetterFacts) -> String {
    let you = phrases::you(&facts.recipient);
    let person = name(&facts.recipient.name, 40);
    if person.is_empty() { you.to_owned() } else { format!("{you} {person}") }
}

fn head(item: &ItemFacts) -> String {
    match (item.nearness, item.urging) {
        (Nearness::Overdue, Some(n)) => format!("Đôn đốc lần {n}"),
        _ => "Nhắc việc".to_owned(),
    }
}

/// A typed name for Zalo: `[@…]` would be a mention there.
fn name(text: &str, limit: usize) -> String {
    one_line(&text.replace(['[', ']', '@'], " "), limit)
}

/// The office's name as it is said on the telephone: `VP UBND TP`.
fn short(office: &str) -> String {
    let mut text = one_line(office, 200);
    for (long, short) in [
        ("Văn phòng", "VP"),
        ("văn phòng", "VP"),
        ("Ủy ban nhân dân", "UBND"),
        ("Hội đồng nhân dân", "HĐND"),
        ("Thành phố", "TP"),
        ("thành phố", "TP"),
    ] {
        text = text.replace(long, short);
    }
    name(&text, 40)
}

fn single(facts: &LetterFacts, item: &ItemFacts, office: &str) -> String {
    let code = name(&item.code, 40);
    let number = name(&item.document.number, 50);
    let given = if number.is_empty() { String::new() } else { format!(" giao tại {number}") };
    let (head, state) = (head(item), state(item));
    let mut text = format!("[{office}] {head}: nhiệm vụ {code}{given} {state}.");
    let lead = name(&item.lead, 80);
    let lead = if lead.is_empty() { lead } else { format!(" Chủ trì: {lead}.") };
    let ask = format!(" {}", ask(facts, item));
    let link = link(item.link.as_deref()).map(|link| format!(" Chi tiết: {link}")).unwrap_or_default();
    // What does not fit is left out whole: the link before the lead, the lead before what is asked.
    for part in [[lead.as_str(), &ask, &link], [&lead, &ask, ""], ["", &ask, &link], ["", &ask, ""]] {
        if length(&text) + part.iter().map(|part| length(part)).sum::<usize>() < LIMIT {
            text.extend(part);
            break;
        }
    }
    text
}

/// `còn 3 ngày làm việc (hạn 15/12/2026)`
fn state(item: &ItemFacts) -> String {
    let limit = words::date(item.effective);
    match item.nearness {
        Nearness::DueToday => format!("đến hạn hôm nay ({limit})"),
        _ => format!("{} (hạn {limit})", lower(&phrases::nearness(item))),
    }
}

/// `quá hạn 5 ngày làm việc, hạn 17/11`
fn brief(item: &ItemFacts, year: i16) -> String {
    match item.nearness {
        Nearness::DueToday => "đến hạn hôm nay".to_owned(),
        _ => format!("{}, hạn {}", lower(&phrases::nearness(item)), words::short_date(item.effective, year)),
    }
}

fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// The letter's request, shorter, and to the person by name.
fn ask(facts: &LetterFacts, item: &ItemFacts) -> String {
    let whom = whom(facts);
    let by = phrases::by(item, facts.as_of.year());
    let report_by = by.as_ref().map_or_else(|| " ngay".to_owned(), |by| format!(" {by}"));
    let by = by.map(|by| format!(", {by}")).unwrap_or_default();
    match (Audience::from_word(&item.why.audience), item.nearness) {
        (_, Nearness::Confirm) => format!("Đề nghị {whom} xác nhận kết quả{by}."),
        (_, Nearness::Returned) => format!("Đề nghị {whom} xem xét, phân công lại{by}."),
        (Some(Audience::Inspection | Audience::AssignerOffice | Audience::Person(_) | Audience::Email(_)), _) => {
            format!("Kính báo {whom} để theo dõi.")
        }
        (Some(Audience::AgencyHead | Audience::AgencyDeputy | Audience::SuperiorHead), Nearness::Overdue) => {
            format!("Đề nghị {whom} chỉ đạo, làm rõ nguyên nhân và báo cáo{report_by}.")
        }
        (Some(Audience::AgencyHead | Audience::AgencyDeputy | Audience::SuperiorHead), _) => {
            format!("Đề nghị {whom} chỉ đạo thực hiện đúng hạn.")
        }
        (_, Nearness::Overdue) => format!("Đề nghị {whom} cập nhật kết quả, báo cáo nguyên nhân{by}."),
        (_, Nearness::DueToday) => format!("Đề nghị {whom} cập nhật kết quả trong ngày."),
        _ => format!("Đề nghị {whom} cập nhật tiến độ; nếu vướng mắc, báo cáo{report_by}."),
    }
}

fn digest(facts: &LetterFacts, office: &str) -> String {
    let day = words::short_date(facts.as_of.date(), facts.as_of.year());
    let total = facts.items.len();
    let whom = whom(facts);
    let mut text =
        format!("[{office}] Nhắc việc: đến ngày {day}, {whom} có {total} nhiệm vụ: {}.", phrases::tally(facts));
    let tail = "\nĐề nghị xử lý; chi tiết trong thư điện tử.";
    let rest = |left: usize| if left == 0 { String::new() } else { format!("\n… và {left} nhiệm vụ khác.") };
    let mut shown = 0;
    for item in ordered(facts) {
        let number = name(&item.document.number, 40);
        let number = if number.is_empty() { String::new() } else { format!(" ({number})") };
        let entry = format!("\n- {}{number}: {}", name(&item.code, 40), brief(item, facts.as_of.year()));
        let left = rest(total - shown - 1);
        if length(&text) + length(&entry) + length(&left) + length(tail) >= LIMIT {
            break;
        }
        text.push_str(&entry);
        shown += 1;
    }
    text.push_str(&rest(total - shown));
    text.push_str(tail);
    text
}

#[derive(Serialize)]
struct Body<'a> {
    delivery_id: &'a str,
    kind: &'static str,
    /// The highest n of the tasks' urgings, 0 where none urges.
    urging: u32,
    recipient: &'a ZaloRecipient,
    text: &'a str,
    tasks: Vec<Task<'a>>,
}

#[derive(Serialize)]
struct Task<'a> {
    code: &'a str,
    step: &'a str,
    /// The working day that counts, ISO.
    deadline: jiff::civil::Date,
    working_days_left: i64,
    link: Option<&'a str>,
}

/// The body of the POST, in the order of the contract. The channel signs exactly these bytes.
pub fn webhook_body(
    delivery_id: &str,
    facts: &LetterFacts,
    recipient: &ZaloRecipient,
    text: &str,
) -> Result<Vec<u8>, TextError> {
    open(facts)?;
    let tasks = facts.items.iter().map(|item| Task {
        code: &item.code,
        step: &item.why.step,
        deadline: item.effective,
        working_days_left: item.working_days_left,
        link: item.link.as_deref(),
    });
    let body = Body {
        delivery_id,
        kind: "reminder",
        urging: facts.items.iter().filter_map(|item| item.urging).max().unwrap_or(0),
        recipient,
        text,
        tasks: tasks.collect(),
    };
    Ok(serde_json::to_vec(&body).expect("strings, numbers and dates always serialize"))
}
