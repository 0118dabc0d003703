//! How a deadline came about: typed, read, moved by which paper, rolled over which days off, and where it stands now.

use jiff::{Timestamp, civil::Date};

use super::{Armed, Material, days};
use crate::{
    engine::policy::Policy,
    message::words,
    planning::{
        calendar::{View, WorkCalendar},
        task::{ArmedBy, Clock, Deadline, Obligation, Role},
    },
    store::ledger::{ExtensionRow, TaskTexts},
};

/// The story of an obligation's deadline, a sentence each.
pub(super) fn story(
    policy: &Policy,
    then: &Material,
    armed: &[Armed],
    obligation: &Obligation,
    at: Timestamp,
) -> Vec<String> {
    let calendar = &policy.calendar;
    let mut told = Vec::new();
    if obligation.role == Role::Lead && obligation.clock == Clock::Completion {
        told.extend(typed(&then.texts));
    }
    let lead =
        then.record.task.obligations.iter().find(|o| o.role == Role::Lead && o.clock == obligation.clock && !o.ended);
    if obligation.role == Role::Coordinator {
        told.push(match (lead.and_then(|lead| lead.deadline), obligation.deadline) {
            (Some(lead), Some(own)) if lead != own => format!(
                "Cơ quan phối hợp có thời hạn riêng {}; cơ quan chủ trì có hạn {}.",
                days::deadline(own),
                days::deadline(lead)
            ),
            _ => "Cơ quan phối hợp theo thời hạn của cơ quan chủ trì.".to_owned(),
        });
    }
    told.extend(moves(calendar, then, armed, obligation));
    let Some(deadline) = obligation.deadline else {
        told.push("Không có một thời hạn cụ thể, nên không nhắc.".to_owned());
        return told;
    };
    match calendar.effective(deadline) {
        Err(_) => {
            let year = deadline.date.year();
            told.push(format!(
                "Thời hạn {}. Lịch làm việc chưa có năm {year}: bổ sung ngày nghỉ của năm {year} vào calendar.toml.",
                days::deadline(deadline)
            ));
            return told;
        }
        Ok(effective) => {
            told.push(rolled(calendar, deadline, effective));
            if let Some(from) = obligation.overdue_from.and_then(|day| calendar.roll(day).ok())
                && from > effective
            {
                told.push(format!(
                    "Thời hạn được đưa lên sớm hơn, chấp nhận ngày {}: các bước quá hạn đếm từ ngày này.",
                    days::day(from)
                ));
            }
            if !obligation.ended && then.record.task.state.is_open() {
                told.extend(stands(calendar, deadline, effective, at));
            }
        }
    }
    if let Some(until) = obligation.acknowledged_until.filter(|until| *until > at) {
        told.push(format!(
            "Người nhận đã xác nhận (“đã nhận”): không nhắc lại đến {}; bước nặng hơn và phiếu báo vẫn theo lịch.",
            days::moment(calendar, until)
        ));
    }
    if obligation.ended {
        told.push(match obligation.clock {
            Clock::Report => "Báo cáo đã nộp: không nhắc nữa.".to_owned(),
            Clock::Completion => "Cơ quan này không còn thực hiện nhiệm vụ: không nhắc nữa.".to_owned(),
        });
    }
    told
}

/// `Ghi trong văn bản: “trước ngày 25/11/2026”, đọc là ngày liền trước ngày ghi.`
fn typed(texts: &TaskTexts) -> Option<String> {
    let typed = texts.due_typed.trim();
    if typed.is_empty() {
        return None;
    }
    let how = match texts.due_reading.as_str() {
        "before" => ", đọc là ngày liền trước ngày ghi",
        "no_later_than" => ", đọc là chậm nhất vào ngày ghi",
        "month" => ", đọc là ngày cuối tháng",
        "quarter" => ", đọc là ngày cuối quý",
        "half_year" => ", đọc là ngày cuối kỳ sáu tháng",
        "year" => ", đọc là ngày cuối năm",
        "recurring" | "none" => ", đọc là không có một ngày cụ thể",
        "unreadable" => ", không đọc được",
        _ => "",
    };
    Some(format!("Ghi khi nhập: “{typed}”{how}."))
}

/// Each change of the deadline, the first one entered before them.
fn moves(calendar: &WorkCalendar, then: &Material, armed: &[Armed], obligation: &Obligation) -> Vec<String> {
    let ours = |one: &&Armed| one.clock == obligation.clock && one.agency.id == obligation.agency.id;
    let all: Vec<&Armed> = armed.iter().filter(ours).filter(|one| one.arming <= obligation.arming).collect();
    let mut told = Vec::new();
    let mut extended = 0;
    let mut before: Option<&Armed> = None;
    for one in all {
        let moment = days::moment(calendar, one.since);
        match (before, one.by) {
            (None, ArmedBy::Reassigned) => told.push(format!("Được giao lúc {moment}.")),
            (None, _) => {}
            (Some(old), ArmedBy::Extended | ArmedBy::Advanced) if old.deadline != one.deadline => {
                extended += u32::from(one.by == ArmedBy::Extended);
                let what = match (one.by, old.deadline) {
                    (_, None) => "Đặt thời hạn".to_owned(),
                    (ArmedBy::Extended, _) => format!("Gia hạn lần {extended}"),
                    _ => "Đưa hạn lên sớm hơn".to_owned(),
                };
                let name = |due: Option<Deadline>| due.map_or("không thời hạn".to_owned(), days::deadline);
                let paper = then.texts.extensions.iter().find(|e| e.clock == one.clock && e.recorded_at == one.since);
                told.push(format!(
                    "{what}: từ {} thành {}{}; ghi nhận lúc {moment}.",
                    name(old.deadline),
                    name(one.deadline),
                    decision(paper, then.record.task.secrecy.is_classified())
                ));
            }
            (Some(_), ArmedBy::Reopened) => told.push(format!("Mở lại lúc {moment}: bậc thang nhắc việc bắt đầu lại.")),
            (Some(_), _) => told.push(format!("Giao lại lúc {moment}: bậc thang nhắc việc bắt đầu lại.")),
        }
        before = Some(one);
    }
    told
}

fn decision(paper: Option<&ExtensionRow>, classified: bool) -> String {
    let Some(row) = paper.filter(|_| !classified) else {
        return if classified { String::new() } else { ", không nêu văn bản".to_owned() };
    };
    let mut text = match row.paper.trim() {
        "" => ", không nêu văn bản".to_owned(),
        paper => format!(", theo {paper}"),
    };
    if !row.approver.trim().is_empty() {
        text.push_str(&format!(", người quyết định: {}", row.approver.trim()));
    }
    if let Some(day) = row.decided_on {
        text.push_str(&format!(", quyết định ngày {}", words::date(day)));
    }
    text
}

/// The deadline in force, and over which days off it rolled.
fn rolled(calendar: &WorkCalendar, deadline: Deadline, effective: Date) -> String {
    let typed = format!("{} ({})", days::deadline(deadline), days::weekday(deadline.date));
    if effective == deadline.date {
        return format!("Thời hạn {typed}, là ngày làm việc.");
    }
    let off: Vec<String> = days::skipped(View::of(calendar), deadline.date, effective)
        .into_iter()
        .map(|run| match run.basis.is_empty() {
            true => format!("{} ({})", run.days(), run.name),
            false => format!("{} ({}; {})", run.days(), run.name, run.basis),
        })
        .collect();
    let end = match deadline.time {
        Some(hour) => format!("{:02}:{:02} {}", hour.hour(), hour.minute(), days::day(effective)),
        None => format!("hết {}", days::day(effective)),
    };
    format!("Thời hạn {typed} rơi vào ngày nghỉ: {}; nên tính đến {end}.", off.join(", "))
}

/// `Tính đến 25/11/2026: còn 3 ngày làm việc.`
fn stands(calendar: &WorkCalendar, deadline: Deadline, effective: Date, at: Timestamp) -> Option<String> {
    let today = calendar.date_of(at);
    let left = calendar.working_between(today, effective).ok()?;
    let over = deadline.time.is_some_and(|hour| calendar.instant(effective, hour) <= at);
    let how = match left {
        _ if today == effective && over => "đã quá giờ hạn".to_owned(),
        _ if today == effective => "đến hạn hôm nay".to_owned(),
        0 if today < effective => "sắp đến hạn".to_owned(),
        0 => "đã quá hạn".to_owned(),
        n if n > 0 => format!("còn {}", words::working_days(n)),
        n => format!("quá hạn {}", words::working_days(n)),
    };
    Some(format!("Tính đến {}: {how}.", words::date(today)))
}
