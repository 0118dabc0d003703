//! What happened to a task, in one line of time: acts and imports, messages, notices, contacts.

use jiff::Timestamp;
use serde::Serialize;

use super::{Material, Rung, armings, days};
use crate::{
    engine::{KnownDirectory, policy::Policy},
    message::words,
    planning::{
        ledger::urging_number,
        plan::{CONFIRM_STEP, STATE_RULE},
        simulate::{Decided, Foreseen},
        task::{AgencyId, Clock, Obligation, PersonId, Role, Urgency},
    },
    store::acts::EventLine,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happened {
    #[serde(skip)]
    pub at: Timestamp,
    /// `event`, `foreseen`, `sent`, `refused`, `unknown`, `notice`, `withdrawal`
    pub kind: &'static str,
    pub text: String,
}

/// Everything in order of time.
pub(super) fn timeline(
    policy: &Policy,
    known: &KnownDirectory,
    then: &Material,
    rungs: &[Rung],
    coming: &[Decided],
    at: Timestamp,
) -> Vec<Happened> {
    let mut all: Vec<Happened> = then
        .events
        .iter()
        .filter_map(|event| {
            Some(Happened { at: event.learnt_at, kind: "event", text: event_text(policy, known, then, event)? })
        })
        .collect();
    all.extend(messages(then, rungs));
    for notice in &then.notices {
        let number = format!("{}{:04}/{}", policy.settings.notices.number_prefix, notice.number, notice.year);
        let mut text = format!("lập phiếu báo {number} (bước {}{})", notice.key.step, again(notice.key.occurrence));
        if notice.filed_at > notice.due_at + jiff::SignedDuration::from_mins(10) {
            text.push_str(&format!(", đến kỳ từ {}", days::moment(&policy.calendar, notice.due_at)));
        }
        all.push(Happened { at: notice.filed_at, kind: "notice", text });
        if let Some(at) = notice.withdrawn_at {
            all.push(Happened { at, kind: "withdrawal", text: format!("rút phiếu báo {number}") });
        }
    }
    for decided in coming.iter().filter(|decided| decided.at <= at) {
        if let Foreseen::Notice(filing) = &decided.what {
            let step = format!("bước {}{}", filing.key.step, again(filing.key.occurrence));
            all.push(Happened {
                at: decided.at, kind: "foreseen", text: format!("dự kiến lập phiếu báo ({step})")
            });
        }
    }
    // Stable: an act, then what it led to at the same instant.
    all.sort_by_key(|one| one.at);
    all
}

/// `, lần nhắc lại thứ 2`
pub(super) fn again(occurrence: u32) -> String {
    if occurrence > 1 { format!(", nhắc lại lần {}", occurrence - 1) } else { String::new() }
}

/// Those who got one step at one instant by one way stand together.
fn messages(then: &Material, rungs: &[Rung]) -> Vec<Happened> {
    let mut told: Vec<(Timestamp, &Rung, Vec<String>)> = Vec::new();
    for rung in rungs {
        let at = match rung.state {
            "sent" | "future" => rung.sent_at,
            "dead" | "unknown" => answered(then, rung),
            _ => None,
        };
        let Some(at) = at else { continue };
        let who = match words::audience(&rung.audience, rung.role) {
            who if rung.to.is_empty() => who,
            // Addresses stand with the steps.
            who => format!("{who} {}", rung.to.split(" <").next().unwrap_or_default()),
        };
        let same = |other: &Rung| {
            (&other.rule, &other.step, other.occurrence, other.channel, other.state, other.clock, other.agency)
                == (&rung.rule, &rung.step, rung.occurrence, rung.channel, rung.state, rung.clock, rung.agency)
        };
        // A few seconds apart, or a morning's relay taking its time: one line, at the first.
        let near = |then: Timestamp| at.duration_since(then).abs() < jiff::SignedDuration::from_mins(10);
        match told.iter_mut().find(|(first, other, _)| same(other) && near(*first)) {
            Some((_, _, whom)) => whom.push(who),
            None => told.push((at, rung, vec![who])),
        }
    }
    told.into_iter()
        .map(|(at, rung, whom)| {
            let step = match rung.rule.as_str() {
                STATE_RULE if rung.step == CONFIRM_STEP => "hỏi xác nhận".to_owned(),
                STATE_RULE => "báo bị trả lại".to_owned(),
                _ => format!("bước {}{}", rung.step, again(rung.occurrence)),
            };
            let clock = if rung.clock == Clock::Report { ", thời hạn báo cáo" } else { "" };
            let by = words::form(rung.channel.as_str());
            let urging = rung.urging.map(|n| format!(", đôn đốc lần {n}")).unwrap_or_default();
            let (kind, did) = match rung.state {
                "sent" => ("sent", "đã gửi"),
                "future" => ("foreseen", "dự kiến gửi"),
                "dead" => ("refused", "bị từ chối"),
                _ => ("unknown", "đã chuyển, không rõ kết quả"),
            };
            let text = format!("{did} {by} ({step}{clock}{urging}): {}", whom.join("; "));
            Happened { at, kind, text }
        })
        .collect()
}

fn answered(then: &Material, rung: &Rung) -> Option<Timestamp> {
    let row = then.rows.iter().find(|row| {
        (row.key.clock, row.key.agency, row.key.arming, row.key.occurrence, row.key.channel)
            == (rung.clock, rung.agency, rung.arming, rung.occurrence, rung.channel)
            && row.key.rule == rung.rule
            && row.key.step == rung.step
            && row.key.audience.to_string() == rung.audience
    })?;
    row.attempts.iter().rev().find_map(|attempt| attempt.ended_at)
}

/// `Đã đôn đốc 2 lần: …`; empty: never.
pub(super) fn urgings(policy: &Policy, _known: &KnownDirectory, then: &Material, obligation: &Obligation) -> String {
    let calendar = &policy.calendar;
    let mut all: Vec<(Timestamp, String)> = Vec::new();
    let mut counted = std::collections::HashSet::new();
    let mut rows: Vec<_> = then
        .rows
        .iter()
        .filter(|row| row.urging && row.state == crate::planning::ledger::ReminderState::Sent)
        .filter(|row| row.key.clock == obligation.clock && row.key.agency == obligation.agency.id)
        .filter_map(|row| Some((row.answered_at?, row)))
        .collect();
    rows.sort_by_key(|(at, row)| (*at, row.id));
    for (at, row) in rows {
        if counted.insert((row.key.arming, &row.key.rule, &row.key.step, row.key.occurrence)) {
            let step = format!("bước {}{}", row.key.step, again(row.key.occurrence));
            all.push((at, format!("{} ({step})", days::moment(calendar, at))));
        }
    }
    let messages = all.len() as u32;
    let contacts = then.texts.contacts.iter();
    for contact in contacts.filter(|c| c.clock == obligation.clock && c.agency == obligation.agency.id) {
        let text = format!("{} (qua {})", days::moment(calendar, contact.at), words::form(&contact.form));
        all.push((contact.at, text));
    }
    all.sort();
    let (contacts, imported) = (all.len() as u32 - messages, then.texts.imported_urgings);
    // Of the lead's completion clock: that is what a spreadsheet counts.
    let n = urging_number(messages, contacts, imported) - 1;
    let counted_elsewhere =
        messages + contacts == 0 && (obligation.role, obligation.clock) != (Role::Lead, Clock::Completion);
    if n == 0 || counted_elsewhere {
        return String::new();
    }
    let list: Vec<String> = all.iter().map(|(_, text)| text.clone()).collect();
    let mut text = format!("Đã đôn đốc {n} lần");
    if !list.is_empty() {
        text.push_str(&format!(": {}", list.join("; ")));
    }
    if imported > messages + contacts {
        text.push_str(&format!("; số lần ghi khi nhập là {imported}, lớn hơn số đã ghi ở đây, nên tính theo số ấy"));
    }
    text + "."
}

/// One event in words; `None` for what is told elsewhere or tells nothing.
fn event_text(policy: &Policy, known: &KnownDirectory, then: &Material, event: &EventLine) -> Option<String> {
    let calendar = &policy.calendar;
    let agencies = |text: &str| {
        let name = |id: &str| {
            let id = AgencyId(id.parse().ok()?);
            known.directory.agency(id).map(|agency| agency.name.clone())
        };
        text.split(',').map(|id| name(id).unwrap_or_else(|| id.to_owned())).collect::<Vec<_>>().join(", ")
    };
    let person = |text: &str| {
        let found = text.parse().ok().and_then(|id| known.directory.person(PersonId(id)));
        found.map_or_else(|| text.to_owned(), |person| person.name.clone())
    };
    let date = |text: &str| armings::due(text).map_or_else(|| text.to_owned(), days::deadline);
    let from_to = |name: &str, read: &dyn Fn(&str) -> String| match (event.old.as_str(), event.new.as_str()) {
        ("", "") => name.to_owned(),
        ("", new) => format!("{name}: {}", read(new)),
        (old, "") => format!("{name}: bỏ {}", read(old)),
        (old, new) => format!("{name}: {} → {}", read(old), read(new)),
    };
    let same = &|text: &str| text.to_owned();
    let mut text = match event.what.as_str() {
        "entered" => format!("đưa vào theo dõi, {}", words::state_word(&event.new)),
        "state" => from_to("trạng thái", &words::state_word),
        "due_date" | "report_date" => {
            let clock = if event.what == "due_date" { Clock::Completion } else { Clock::Report };
            let mut text = from_to(words::clock(clock), &date);
            let row = then.texts.extensions.iter().find(|e| e.clock == clock && e.recorded_at == event.learnt_at);
            if let Some(approver) = row.map(|row| row.approver.trim()).filter(|approver| !approver.is_empty()) {
                text.push_str(&format!(", người quyết định: {approver}"));
            }
            if event.paper.is_empty() && !event.old.is_empty() && !then.record.task.secrecy.is_classified() {
                text.push_str(", không nêu văn bản");
            }
            text
        }
        "completed_on" => from_to("ngày hoàn thành", &date),
        "assigned_on" => from_to("ngày giao", &date),
        "lead" => from_to("cơ quan chủ trì", &agencies),
        "coordinators" => from_to("cơ quan phối hợp", &agencies),
        "handler" => from_to("chuyên viên thụ lý", &person),
        "monitor" => from_to("người theo dõi", &person),
        "urgency" => from_to("độ khẩn", &|word| {
            Urgency::from_word(word).map_or_else(|| word.to_owned(), |urgency| words::urgency(urgency).to_owned())
        }),
        "secrecy" => from_to("độ mật", &|word| {
            let level = crate::planning::task::Secrecy::from_word(word);
            level.map_or_else(|| word.to_owned(), |level| super::rules::secrecy(level).to_owned())
        }),
        "held" if event.new.is_empty() => "đã sửa, nhắc việc trở lại".to_owned(),
        "held" => format!("giữ lại chờ người sửa ({})", event.new),
        "field" => from_to("lĩnh vực", same),
        "priority" => from_to("trọng tâm", same),
        "assigner" => from_to("cấp giao", same),
        "code" => from_to("mã nhiệm vụ", same),
        "work" => from_to("nội dung", same),
        "document" => from_to("văn bản giao", same),
        "imported_urgings" => from_to("số lần đôn đốc ghi khi nhập", same),
        "report" => "đã nộp báo cáo".to_owned(),
        "acknowledged" => {
            let until = event.new.parse::<Timestamp>().map(|until| days::moment(calendar, until));
            format!("đã nhận, không nhắc lại đến {}", until.unwrap_or_else(|_| event.new.clone()))
        }
        "contact" => {
            let (form, id) = event.new.split_once(' ').unwrap_or((&event.new, ""));
            let row = then.texts.contacts.iter().find(|contact| contact.at == event.learnt_at);
            let whom = row.map(|row| row.whom.trim()).filter(|whom| !whom.is_empty());
            let whom = whom.map(|whom| format!(", gặp {whom}")).unwrap_or_default();
            let outcome = row.map(|row| row.outcome.trim()).filter(|outcome| !outcome.is_empty());
            let outcome = outcome.map(|outcome| format!(": {outcome}")).unwrap_or_default();
            format!("đôn đốc qua {} {}{whom}{outcome}", words::form(form), agencies(id))
        }
        // Readings, notes and counters are told with the deadline, or change nothing of who is reminded when.
        _ => return None,
    };
    if !event.paper.is_empty() {
        text.push_str(&format!(", theo {}", event.paper));
    }
    if let Some(day) = event.effective_on.filter(|day| *day != calendar.date_of(event.learnt_at)) {
        text.push_str(&format!(", từ ngày {}", words::date(day)));
    }
    let by = if event.by == "import" { "nhập tệp" } else { event.by.as_str() };
    Some(format!("{text} ({by})"))
}
