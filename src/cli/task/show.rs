//! One task, told in plain words: where it stands, by when, who owes what, and what happened to it.

use std::io::Write;

use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};

use super::TaskCall;
use crate::{
    message::words,
    planning::task::{ArmedBy, Clock, Deadline, Obligation, Role, Task, TaskId, TaskState},
    store::{
        acts::EventLine,
        ledger::{DirectoryRows, DocumentRow, TaskRecord, TaskTexts},
    },
};

/// The present lead's obligation for completion.
pub fn lead(task: &Task) -> Option<&Obligation> {
    task.obligations.iter().find(|o| o.role == Role::Lead && o.clock == Clock::Completion && !o.ended)
}

/// Everything that is shown.
struct Shown {
    record: TaskRecord,
    texts: TaskTexts,
    events: Vec<EventLine>,
    directory: DirectoryRows,
}

pub(super) async fn show(call: TaskCall<'_>, id: TaskId, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let gone = || anyhow::anyhow!("the task is not in the database any more");
    let shown = Shown {
        record: call.store.tasks(&[id]).await?.pop().ok_or_else(gone)?,
        texts: call.store.texts(&[id]).await?.pop().ok_or_else(gone)?,
        events: call.store.events(id).await?,
        directory: call.store.directory().await?,
    };
    if call.json {
        writeln!(out, "{}", as_json(call, &shown))?;
    } else {
        write!(out, "{}", as_text(call, &shown))?;
    }
    Ok(())
}

fn as_json(call: TaskCall<'_>, shown: &Shown) -> Value {
    let (task, texts) = (&shown.record.task, &shown.texts);
    let at = |at: Timestamp| at.to_zoned(call.calendar.zone().clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let duties: Vec<Value> = task
        .obligations
        .iter()
        .map(|duty| {
            let due = duty.deadline;
            json!({
                "clock": duty.clock.as_str(), "role": duty.role.as_str(), "agency": duty.agency.code,
                "deadline": due.map(|due| due.date), "time": due.and_then(|due| due.time),
                "effective_deadline": due.and_then(|due| call.calendar.effective(due).ok()),
                "arming": duty.arming, "armed_by": duty.armed_by.as_str(), "armed_at": at(duty.armed_at),
                "overdue_from": duty.overdue_from,
                "acknowledged_until": duty.acknowledged_until.map(at), "ended": duty.ended,
            })
        })
        .collect();
    let extensions: Vec<Value> = texts
        .extensions
        .iter()
        .map(|one| json!({"from": one.from, "to": one.to, "decided_on": one.decided_on, "paper": one.paper, "approver": one.approver}))
        .collect();
    let contacts: Vec<Value> = texts
        .contacts
        .iter()
        .map(|one| {
            json!({"at": at(one.at), "clock": one.clock.as_str(), "agency": agency_name(&shown.directory, one.agency.0),
                   "form": one.form, "whom": one.whom, "outcome": one.outcome})
        })
        .collect();
    let events: Vec<Value> = shown
        .events
        .iter()
        .map(|one| {
            json!({"what": one.what, "old": one.old, "new": one.new, "effective_on": one.effective_on,
                   "learnt_at": at(one.learnt_at), "paper": one.paper, "by": one.by})
        })
        .collect();
    json!({
        "task": task.code, "state": task.state.as_str(), "state_since": at(task.state_since), "held": held(shown),
        "secrecy": task.secrecy.as_str(), "urgency": task.urgency.as_str(), "work": texts.work,
        "document": texts.document.number, "assigner": task.assigner, "lead": texts.lead,
        "coordinators": texts.coordinators, "handler": handler(shown),
        "deadline_typed": texts.due_typed, "deadline_reading": texts.due_reading,
        "original_deadline": texts.original_due, "completed_on": texts.completed_on, "last_update": texts.last_update,
        "next_look": shown.record.next_look_at.map(at), "obligations": duties, "extensions": extensions,
        "contacts": contacts, "events": events,
    })
}

fn as_text(call: TaskCall<'_>, shown: &Shown) -> String {
    let (task, texts) = (&shown.record.task, &shown.texts);
    let moment = |at: Timestamp| words::moment(call.calendar.local(at));
    let mut text = format!("{}: {}, từ {}\n", task.code, words::state(task.state), moment(task.state_since));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text += &format!("{name}: {value}\n");
        }
    };
    let held = held(shown);
    if !held.is_empty() {
        line("Đang giữ lại, chưa nhắc ai, chờ người sửa", &held);
    }
    if task.secrecy.is_classified() {
        line("Nhiệm vụ mật", "nội dung không được lưu trong hệ thống");
    }
    line("Nội dung", &texts.work);
    line("Văn bản giao", &paper(&texts.document));
    line("Cấp giao", &task.assigner);
    line("Chủ trì", &texts.lead);
    line("Phối hợp", &texts.coordinators.join("; "));
    line("Chuyên viên thụ lý", &handler(shown));
    line("Độ khẩn", words::urgency(task.urgency));
    if task.state == TaskState::Done {
        line("Hoàn thành ngày", &texts.completed_on.map_or("không rõ ngày".to_owned(), words::date));
    }
    line("Cập nhật gần nhất", &texts.last_update.map(words::date).unwrap_or_default());
    line("Thời hạn ghi trong văn bản", &typed(texts));
    line("Thời hạn ban đầu", &texts.original_due.map(words::date).unwrap_or_default());

    text += "\nTrách nhiệm\n";
    for duty in &task.obligations {
        text += &format!("  {}\n", of_duty(call, duty, task.state));
    }
    if task.obligations.is_empty() {
        text += "  chưa có\n";
    }
    if !texts.extensions.is_empty() {
        text += "\nThay đổi thời hạn\n";
    }
    for one in &texts.extensions {
        let day = |day: Option<Date>| day.map_or("không có hạn".to_owned(), words::date);
        let paper = if one.paper.is_empty() { "không có văn bản" } else { &one.paper };
        let approver = if one.approver.is_empty() { String::new() } else { format!("; {}", one.approver) };
        text += &format!("  {} → {} ({paper}{approver})\n", day(one.from), day(one.to));
    }
    if !texts.contacts.is_empty() {
        text += "\nĐôn đốc trực tiếp\n";
    }
    for one in &texts.contacts {
        let agency = agency_name(&shown.directory, one.agency.0);
        let outcome = if one.outcome.is_empty() { String::new() } else { format!(": {}", one.outcome) };
        text += &format!("  {}, {}, {agency}, {}{outcome}\n", moment(one.at), words::form(&one.form), one.whom);
    }
    text += "\nDiễn biến\n";
    for one in &shown.events {
        let stamp = words::stamp(call.calendar.local(one.learnt_at));
        let paper = if one.paper.is_empty() { String::new() } else { format!(", theo {}", one.paper) };
        text += &format!("  {stamp}  {} ({}{paper})\n", of_event(call, shown, one), one.by);
    }
    text
}

/// `Sở Nội vụ chủ trì, thời hạn hoàn thành: 15/12/2026, còn 14 ngày làm việc`
fn of_duty(call: TaskCall<'_>, duty: &Obligation, state: TaskState) -> String {
    let role = match duty.role {
        Role::Lead => "chủ trì",
        Role::Coordinator => "phối hợp",
    };
    let mut text = format!("{} {role}, {}: ", duty.agency.name, words::clock(duty.clock));
    let Some(due) = duty.deadline else { return text + "không có một ngày cụ thể" };
    text += &day_and_hour(due);
    let Ok(effective) = call.calendar.effective(due) else {
        return text + &format!("; lịch làm việc chưa có năm {}", due.date.year());
    };
    if effective != due.date {
        text += &format!(", tính đến hết ngày {} vì {} là ngày nghỉ", words::date(effective), words::date(due.date));
    }
    if duty.ended {
        return text + "; đã kết thúc";
    }
    if state.is_open() {
        let today = call.today();
        match call.calendar.working_between(effective, today) {
            Ok(_) if today == effective => text += ", đến hạn hôm nay",
            Ok(n) if today > effective => text += &format!(", quá hạn {}", words::working_days(n)),
            Ok(n) => text += &format!(", còn {}", words::working_days(n)),
            Err(_) => {}
        }
    }
    let why = match duty.armed_by {
        ArmedBy::Entered => "",
        ArmedBy::Extended => "hạn lùi",
        ArmedBy::Advanced => "hạn đưa lên sớm hơn",
        ArmedBy::Reopened => "mở lại",
        ArmedBy::Reassigned => "giao cho cơ quan này",
    };
    if !why.is_empty() {
        text += &format!("; {why} từ {}", words::moment(call.calendar.local(duty.armed_at)));
    }
    if let Some(day) = duty.overdue_from {
        text += &format!("; ngày quá hạn tính sớm nhất từ {}", words::date(day));
    }
    if let Some(until) = duty.acknowledged_until.filter(|until| *until > call.now) {
        text += &format!("; đã nhận, không nhắc lại đến {}", words::moment(call.calendar.local(until)));
    }
    text
}

fn day_and_hour(due: Deadline) -> String {
    match due.time {
        Some(time) => format!("{} ngày {}", words::time(time), words::date(due.date)),
        None => words::date(due.date),
    }
}

/// One line of the history in words: `trạng thái: đang thực hiện → hoàn thành`.
fn of_event(call: TaskCall<'_>, shown: &Shown, event: &EventLine) -> String {
    let agency = |word: &str| {
        word.split(',')
            .map(|id| id.parse().map_or_else(|_| id.to_owned(), |id| agency_name(&shown.directory, id)))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let day = |word: &str| match word.split_once(' ') {
        Some((date, time)) => match (date.parse(), time.parse()) {
            (Ok(date), Ok(time)) => day_and_hour(Deadline { date, time: Some(time) }),
            _ => word.to_owned(),
        },
        None => word.parse().map_or_else(|_| word.to_owned(), words::date),
    };
    let (name, read): (&str, &dyn Fn(&str) -> String) = match event.what.as_str() {
        "entered" => ("đưa vào theo dõi", &words::state_word),
        "state" => ("trạng thái", &words::state_word),
        "due_date" => ("thời hạn hoàn thành", &day),
        "report_date" => ("thời hạn báo cáo", &day),
        "completed_on" => ("ngày hoàn thành", &day),
        "last_update" => ("cập nhật gần nhất", &day),
        "assigned_on" => ("ngày giao", &day),
        "due_typed" => ("thời hạn ghi khi nhập", &str::to_owned),
        "report_typed" => ("thời hạn báo cáo ghi khi nhập", &str::to_owned),
        "original_due" => ("thời hạn ban đầu", &day),
        "lead" => ("cơ quan chủ trì", &agency),
        "coordinators" => ("cơ quan phối hợp", &agency),
        "handler" => ("chuyên viên thụ lý", &|word| person_name(&shown.directory, word)),
        "monitor" => ("người theo dõi", &|word| person_name(&shown.directory, word)),
        "held" => ("giữ lại chờ sửa", &str::to_owned),
        "report" => return "đã nộp báo cáo".to_owned(),
        "acknowledged" => {
            let until = event.new.parse::<Timestamp>().map(|at| words::moment(call.calendar.local(at)));
            return format!("đã nhận, không nhắc lại đến {}", until.unwrap_or_else(|_| event.new.clone()));
        }
        "contact" => {
            let (form, id) = event.new.split_once(' ').unwrap_or((&event.new, ""));
            return format!("đôn đốc qua {}: {}", words::form(form), agency(id));
        }
        other => (other, &str::to_owned),
    };
    match (event.old.as_str(), event.new.as_str()) {
        ("", new) => format!("{name}: {}", read(new)),
        (old, "") => format!("{name}: bỏ {}", read(old)),
        (old, new) => format!("{name}: {} → {}", read(old), read(new)),
    }
}

/// The code of the problem that a person must mend; empty unless held.
fn held(shown: &Shown) -> String {
    if !shown.record.task.held {
        return String::new();
    }
    shown.events.iter().rev().find(|event| event.what == "held").map_or("held".to_owned(), |event| event.new.clone())
}

fn handler(shown: &Shown) -> String {
    shown.record.handler.map(|id| person_name(&shown.directory, &id.0.to_string())).unwrap_or_default()
}

fn agency_name(directory: &DirectoryRows, id: i64) -> String {
    directory.agencies.iter().find(|agency| agency.id.0 == id).map_or_else(|| id.to_string(), |a| a.name.clone())
}

fn person_name(directory: &DirectoryRows, id: &str) -> String {
    let found = id.parse().ok().and_then(|id: i64| directory.people.iter().find(|person| person.id.0 == id));
    found.map_or_else(|| id.to_owned(), |person| person.name.clone())
}

/// `Thông báo 311/TB-VP, ngày 02/10/2026, Văn phòng UBND Thành phố`; what is not known is left out.
fn paper(document: &DocumentRow) -> String {
    let name = [document.kind.as_str(), document.number.as_str()].map(str::trim).join(" ");
    let day = document.date.map(|day| format!("ngày {}", words::date(day))).unwrap_or_default();
    let parts = [name.trim(), &day, document.issuer.trim()].map(str::to_owned);
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// The deadline as typed, and how it was read where that is more than a plain date.
fn typed(texts: &TaskTexts) -> String {
    let how = match texts.due_reading.as_str() {
        "before" => "đọc là ngày liền trước ngày ghi",
        "no_later_than" => "đọc là chậm nhất vào ngày ghi",
        "month" => "đọc là ngày cuối tháng",
        "quarter" => "đọc là ngày cuối quý",
        "half_year" => "đọc là ngày cuối kỳ sáu tháng",
        "year" => "đọc là ngày cuối năm",
        "recurring" | "none" => "đọc là không có một ngày cụ thể",
        "unreadable" => "không đọc được",
        _ => return texts.due_typed.clone(),
    };
    if texts.due_typed.is_empty() { String::new() } else { format!("{} ({how})", texts.due_typed) }
}
