//! The overdue notice: what its printed form says, and its facts as JSON.
//!
//! It states; it does not accuse. What is not known is said to be not known, and nothing is left out because it speaks
//! for the unit.

use serde::Serialize;

use super::{
    clean::{clause, one_line},
    facts::{ExtensionFacts, NoticeFacts, NoticeSeal, UrgingFacts},
    phrases,
    texts::TextError,
    words,
};
use crate::planning::task::{Block, Clock, Role};

/// The notice's facts and seal, indented, keys in a fixed order, ending in a line feed. A classified task's notice has
/// no file: [`TextError::Classified`].
pub fn notice_json(facts: &NoticeFacts, seal: &NoticeSeal) -> Result<Vec<u8>, TextError> {
    #[derive(Serialize)]
    struct File<'a> {
        notice: &'a NoticeFacts,
        seal: &'a NoticeSeal,
    }
    if facts.secrecy.is_classified() {
        return Err(TextError::Classified("its notice is a register entry only"));
    }
    let mut bytes =
        serde_json::to_vec_pretty(&File { notice: facts, seal }).expect("strings, numbers and dates always serialize");
    bytes.push(b'\n');
    Ok(bytes)
}

/// What the notice's template sees.
#[derive(Debug, Serialize)]
pub struct View {
    number: String,
    party: bool,
    parent: String,
    office: String,
    place: String,
    year: i16,
    inspection: String,
    parts: Vec<Part>,
    closing: String,
    /// Nơi nhận, a line each.
    copies: Vec<String>,
    /// The lines under the rule at the foot.
    seal: Vec<SealLine>,
    withdrawn: String,
    facts: NoticeFacts,
}

#[derive(Debug, Serialize)]
struct Part {
    title: &'static str,
    text: String,
    urgings: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct SealLine {
    text: String,
    hash: String,
}

#[derive(Debug, Serialize)]
struct Row {
    n: u32,
    date: String,
    time: String,
    form: String,
    recipients: String,
    outcome: String,
}

fn part(title: &'static str, text: String) -> Part {
    Part { title, text, urgings: Vec::new() }
}

fn line(text: &str, hash: &str) -> SealLine {
    SealLine { text: text.to_owned(), hash: hash.to_owned() }
}

fn or(text: &str, limit: usize, none: &str) -> String {
    let text = one_line(text, limit);
    if text.is_empty() { none.to_owned() } else { text }
}

fn agency(facts: &NoticeFacts) -> Part {
    let title = match facts.role {
        Role::Lead => "Cơ quan chủ trì",
        Role::Coordinator => "Cơ quan phối hợp",
    };
    let head = &facts.head;
    let name = one_line(&head.name, 80);
    let head = if name.is_empty() {
        "người đứng đầu: chưa có thông tin".to_owned()
    } else {
        let post = one_line(&head.title, 120);
        let post = if post.is_empty() { post } else { format!(", {post}") };
        format!("người đứng đầu: {} {name}{post}", phrases::you(head))
    };
    part(title, format!("{}; {head}.", or(&facts.agency, 160, "chưa rõ")))
}

fn document(facts: &NoticeFacts) -> Part {
    let doc = &facts.document;
    let mut text = phrases::paper(&doc.kind, &doc.number, doc.date, &doc.issuer);
    if text.is_empty() {
        text = "chưa có thông tin".to_owned();
    }
    for (label, value) in [("người ký", &doc.signer), ("trích yếu", &doc.subject)] {
        let value = one_line(value, 400);
        if !value.is_empty() {
            text.push_str(&format!("; {label}: {value}"));
        }
    }
    let assigner = one_line(&facts.assigner, 160);
    if !assigner.is_empty() {
        text.push_str(&format!("; cấp giao: {assigner}"));
    }
    part("Văn bản giao", format!("{text}."))
}

fn deadline(facts: &NoticeFacts) -> Part {
    let title = match facts.clock {
        Clock::Completion => "Thời hạn hoàn thành",
        Clock::Report => "Thời hạn báo cáo",
    };
    let mut text = match facts.original_deadline {
        Some(day) => format!("ban đầu {}", words::date(day)),
        // Nothing moved it: the first is the one in force, said below.
        None if facts.extensions.is_empty() => String::new(),
        None => "ban đầu: không ghi nhận".to_owned(),
    };
    if facts.extensions.is_empty() {
        text.push_str(if text.is_empty() {
            "chưa gia hạn, điều chỉnh"
        } else {
            "; chưa gia hạn, điều chỉnh"
        });
    } else {
        let changes: Vec<String> = facts.extensions.iter().map(change).collect();
        text.push_str(&format!("; điều chỉnh {} lần: {}", words::two_digits(changes.len() as u64), changes.join("; ")));
    }
    let hour = facts.deadline_time.map(|hour| format!("{} ngày ", words::time(hour))).unwrap_or_default();
    text.push_str(&format!("; thời hạn đang áp dụng: {hour}{}", words::date(facts.deadline)));
    if facts.effective != facts.deadline {
        text.push_str(&format!(", tính đến hết ngày {}", words::date(facts.effective)));
    }
    let basis = clause(&facts.deadline_basis, 300);
    if !basis.is_empty() {
        text.push_str(&format!(". Căn cứ tính: {basis}"));
    }
    part(title, format!("{text}."))
}

fn change(change: &ExtensionFacts) -> String {
    let day = |day: Option<jiff::civil::Date>| day.map_or_else(|| "không thời hạn".to_owned(), words::date);
    let paper = one_line(&change.paper, 120);
    let decided = change.decided_on.map(|day| format!(" ngày {}", words::date(day))).unwrap_or_default();
    let by = if paper.is_empty() {
        format!("thay đổi không có văn bản{decided}")
    } else {
        let approver = one_line(&change.approver, 120);
        let approver = if approver.is_empty() { approver } else { format!(", {approver} duyệt") };
        format!("{paper}{decided}{approver}")
    };
    format!("từ {} đến {} ({by})", day(change.from), day(change.to))
}

fn overdue(facts: &NoticeFacts) -> Part {
    let notes: Vec<String> = facts.calendar_notes.iter().map(|note| clause(note, 120)).collect();
    let notes = if notes.is_empty() { String::new() } else { format!("; trong đó {}", notes.join("; ")) };
    part(
        "Quá hạn",
        format!(
            "{} ngày, tương ứng {} ngày làm việc, tính đến {}{notes}.",
            words::two_digits(facts.days_overdue.unsigned_abs()),
            words::two_digits(facts.working_days_overdue.unsigned_abs()),
            words::moment(facts.filed_at)
        ),
    )
}

fn urgings(facts: &NoticeFacts) -> Part {
    let mut text = match facts.urgings.len() as u64 {
        0 => "hệ thống chưa ghi nhận lần đôn đốc nào".to_owned(),
        n => format!("hệ thống ghi nhận {} lần đôn đốc", words::two_digits(n)),
    };
    if facts.imported_urgings > 0 {
        text.push_str(&format!(
            "; số liệu nhập từ trước: {} lần, không có chi tiết",
            words::two_digits(u64::from(facts.imported_urgings))
        ));
    }
    let row = |urging: &UrgingFacts| {
        let recipients: Vec<String> =
            urging.recipients.iter().map(|word| one_line(&words::audience(word, facts.role), 120)).collect();
        let at = urging.at;
        Row {
            n: urging.n,
            date: words::date(at.date()),
            time: format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second()),
            form: urging.form.split(", ").map(words::form).collect::<Vec<_>>().join(", "),
            recipients: recipients.join(", "),
            outcome: or(&words::outcome(&urging.outcome), 200, "không ghi nhận"),
        }
    };
    let end = if facts.urgings.is_empty() { "." } else { ", cụ thể:" };
    Part {
        urgings: facts.urgings.iter().map(row).collect(), ..part("Quá trình đôn đốc", format!("{text}{end}"))
    }
}

fn updates(facts: &NoticeFacts) -> Part {
    let mut text = format!("trạng thái: {}", words::state_word(&or(&facts.state, 80, "không ghi nhận")));
    match facts.last_update {
        Some(day) => text.push_str(&format!("; cập nhật gần nhất ngày {}", words::date(day))),
        None => text.push_str("; chưa cập nhật lần nào"),
    }
    if let (Some(day), Clock::Completion) = (facts.report_deadline, facts.clock) {
        text.push_str(&format!("; thời hạn báo cáo {}", words::date(day)));
    }
    part("Cập nhật, báo cáo", format!("{text}."))
}

fn proposal(facts: &NoticeFacts) -> Part {
    let n = facts.urgings.iter().map(|urging| urging.n).max().unwrap_or(0).max(facts.imported_urgings);
    let mut text = "theo dấu hiệu: nhiệm vụ quá hạn".to_owned();
    if n > 0 {
        text.push_str(&format!(" sau {} lần đôn đốc", words::two_digits(u64::from(n))));
    }
    if facts.agency_overdue > 1 {
        text.push_str(&format!(
            "; cơ quan hiện có {} nhiệm vụ quá hạn",
            words::two_digits(u64::from(facts.agency_overdue))
        ));
    }
    if let Some(basis) = facts.rule_basis.as_deref().map(|basis| one_line(basis, 200)).filter(|text| !text.is_empty()) {
        text.push_str(&format!("; căn cứ {basis}"));
    }
    part("Lý do đề nghị xem xét kiểm tra", format!("{text}."))
}

/// The notice as its template sees it. `withdrawn` is shown across its head.
pub fn view(facts: &NoticeFacts, seal: &NoticeSeal, withdrawn: Option<&str>) -> View {
    let rule = format!("quy tắc {}, bước {}, lần {}", facts.rule, facts.step, facts.occurrence);
    let late = if facts.due_at.date() < facts.filed_at.date() {
        format!(" (đến kỳ lập lúc {})", words::stamp(facts.due_at))
    } else {
        String::new()
    };
    let party = facts.letterhead.block == Block::Party;
    View {
        number: facts.number.clone(),
        party,
        parent: one_line(&facts.letterhead.parent, 160),
        office: one_line(&facts.office, 160),
        place: one_line(&facts.letterhead.place, 60),
        year: facts.filed_at.year(),
        inspection: or(&facts.inspection, 200, "Cơ quan kiểm tra"),
        parts: vec![
            agency(facts),
            document(facts),
            part(
                "Nội dung nhiệm vụ",
                format!("{} (mã {}).", or(&facts.work, 1500, "chưa có thông tin").trim_end_matches('.'), facts.task),
            ),
            deadline(facts),
            overdue(facts),
            urgings(facts),
            part(
                "Ý kiến giải trình của đơn vị",
                format!("{}.", or(&facts.explanation, 1500, "chưa có").trim_end_matches('.')),
            ),
            updates(facts),
            proposal(facts),
        ],
        closing: format!(
            "{} kính chuyển {} xem xét theo thẩm quyền./.",
            one_line(&facts.office, 160),
            or(&facts.inspection, 200, "cơ quan kiểm tra")
        ),
        copies: ["- Như trên;", "- Lưu: VT, …"].map(str::to_owned).into(),
        seal: vec![
            line(
                &format!(
                    "Số theo dõi {} · lập tự động lúc {}{late} · {}",
                    facts.number,
                    words::stamp(facts.filed_at),
                    one_line(&facts.drawn_up_by, 80)
                ),
                "",
            ),
            line(&format!("{} · mục sổ {}", one_line(&rule, 200), seal.seq), ""),
            line("SHA-256 của dữ kiện:", &seal.facts_hash),
            line("SHA-256 của mục sổ:", &seal.hash),
            line("SHA-256 của mục trước:", &seal.prev),
            line("Kiểm tra, không cần mạng: dondoc register verify", ""),
        ],
        withdrawn: withdrawn.map(|why| or(why, 500, "Không ghi lý do.")).unwrap_or_default(),
        facts: facts.clone(),
    }
}
