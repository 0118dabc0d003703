//! How a `[[test]]`'s outcome came about, line by line: the rule and why not the ones before it, the deadline and why it
//! moved, each step with its counting, what fell on the day and when it may leave.
//!
//! It only tells; what happens is decided by the planner alone.

use jiff::{ToSpan, civil::Date};

use super::explain::because;
use crate::{
    config::{calendar_words, effective::line_of, load::OfficeFiles, rule_test::RuleTest},
    planning::{
        calendar::WorkCalendar,
        plan::{Ladder, Occurrence, ladder},
        rules::{Rule, Unit, When},
        simulate::{Decided, Foreseen},
        task::Task,
    },
};

/// Rules, deadline and steps: what is known before anything is planned.
pub fn before(office: &OfficeFiles, task: &Task, test: &RuleTest) -> Vec<String> {
    let calendar = &office.calendar.calendar;
    let Some(obligation) = task.obligations.first() else { return Vec::new() };
    let mut lines = Vec::new();
    let mut matched: Option<&Rule> = None;
    for rule in &office.rules.rules.rules {
        let id = &rule.id;
        let line = office.rules.places.get(id).map(|place| format!(" (dòng {})", line_of(place))).unwrap_or_default();
        if rule.clock != obligation.clock {
            lines.push(format!("quy tắc {id}: không áp dụng, vì dành cho clock = \"{}\"", rule.clock));
            continue;
        }
        match rule.when.matches(task, obligation.role, &obligation.agency) {
            Ok(()) => {
                lines.push(format!("quy tắc {id}{line}: áp dụng, là quy tắc đầu tiên khớp"));
                matched = Some(rule);
                break;
            }
            Err(key) => {
                let (wanted, has) = condition(&rule.when, task, key);
                lines.push(format!("quy tắc {id}: không áp dụng, vì cần {key} = {wanted}; nhiệm vụ này {has}"));
            }
        }
    }
    let Some(rule) = matched else {
        lines.push("không có quy tắc nào áp dụng cho nhiệm vụ này".to_owned());
        return lines;
    };
    lines.push(deadline(calendar, test));
    if let Some(from) = rule.effective_from {
        lines.push(format!("quy tắc có hiệu lực từ {}: bước trước ngày đó không nhắc", date(from)));
    }
    match ladder(calendar, rule, obligation) {
        Ok(ladder) => lines.extend(steps(calendar, test, &ladder)),
        Err(uncovered) => lines.push(missing_year(uncovered.0)),
    }
    lines
}

/// What fell on the day, and why what one may have waited for did not.
pub fn on_the_day(office: &OfficeFiles, test: &RuleTest, decided: &[Decided]) -> Vec<String> {
    let calendar = &office.calendar.calendar;
    let mut lines: Vec<String> = Vec::new();
    for event in decided.iter().filter(|event| calendar.date_of(event.at) == test.on) {
        let line = match &event.what {
            Foreseen::Reminder(due) => {
                let leaves = match due.send_at > due.due_at.max(event.at) {
                    true => format!("chờ giờ gửi, đi lúc {}", moment(calendar, due.send_at)),
                    false => format!("đi lúc {}", moment(calendar, due.send_at)),
                };
                format!("  bước {} → {} qua {}: {leaves}", due.key.step, due.key.audience, due.key.channel)
            }
            Foreseen::Notice(filing) => format!("  bước {} lập {}", filing.key.step, filing.filing),
            Foreseen::Silent(skipped) => format!(
                "  bước {} → {} qua {}: không gửi, {}",
                skipped.key.step,
                skipped.key.audience,
                skipped.key.channel,
                because(skipped.because.as_str())
            ),
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let until =
        test.on_time.map(|time| format!(", xét đến {:02}:{:02}", time.hour(), time.minute())).unwrap_or_default();
    if lines.is_empty() {
        return vec![format!("ngày {}{until}: không có gì đến hạn", day(test.on))];
    }
    lines.insert(0, format!("ngày {}{until}:", day(test.on)));
    lines
}

/// A year without a list of days off, told to whoever can add it.
pub fn missing_year(year: i16) -> String {
    format!("lịch chưa có năm {year}: ghi ngày nghỉ của {year} vào calendar.toml rồi thêm {year} vào `covers`")
}

/// What a condition asks, and what the task has.
fn condition(when: &When, task: &Task, key: &str) -> (String, String) {
    fn list<T: ToString>(words: &[T]) -> String {
        words.iter().map(|word| format!("\"{}\"", word.to_string())).collect::<Vec<_>>().join(" hoặc ")
    }
    let Some(obligation) = task.obligations.first() else { return Default::default() };
    let agency = &obligation.agency;
    let text = |text: &str| match text.is_empty() {
        true => "không ghi".to_owned(),
        false => format!("là \"{text}\""),
    };
    match key {
        "role" => (list(&when.role), text(obligation.role.as_str())),
        "block" => (list(&when.block), text(agency.block.as_str())),
        "urgency" => (list(&when.urgency), text(task.urgency.as_str())),
        "secrecy" => (list(&when.secrecy), text(task.secrecy.as_str())),
        "assigner" => (list(&when.assigner), text(&task.assigner)),
        "document_kind" => (list(&when.document_kind), text(&task.document_kind)),
        "agency" => (list(&when.agency), text(&agency.code)),
        "agency_kind" => (list(&when.agency_kind), text(&agency.kind)),
        "field" => (list(&when.field), text(&task.field)),
        "priority" => (list(&when.priority), text(&task.priority)),
        _ => Default::default(),
    }
}

/// The deadline as typed, and the day it rolled to, with each day that was passed over.
fn deadline(calendar: &WorkCalendar, test: &RuleTest) -> String {
    let typed = test.task.deadline;
    let hour = typed.time.map(|time| format!(" {:02}:{:02}", time.hour(), time.minute())).unwrap_or_default();
    let mut line = format!("thời hạn {}{hour}", day(typed.date));
    match calendar.effective(typed) {
        Ok(effective) if effective != typed.date => {
            let passed = days_off(calendar, typed.date, effective.yesterday().unwrap_or(typed.date));
            line.push_str(&format!(", tính đến {} vì {passed}", day(effective)));
        }
        Ok(_) if typed.time.is_none() => line.push_str(", tính đến hết ngày"),
        Ok(_) => {}
        // Said where the steps are counted.
        Err(_) => {}
    }
    line
}

/// Every step once, and of its repeats those around the day; the day's own are marked.
fn steps(calendar: &WorkCalendar, test: &RuleTest, ladder: &Ladder<'_>) -> Vec<String> {
    let all = &ladder.occurrences;
    let next = all.iter().position(|one| calendar.date_of(one.at) >= test.on).unwrap_or(all.len());
    let near = |n: usize| n + 1 >= next && (n <= next || calendar.date_of(all[n].at) == test.on);
    let mut lines: Vec<String> = all
        .iter()
        .enumerate()
        .filter(|(n, one)| one.number == 1 || near(*n))
        .map(|(_, one)| step(calendar, test, one))
        .collect();
    if let Some(uncovered) = ladder.uncovered {
        lines.push(missing_year(uncovered.0));
    }
    lines
}

fn step(calendar: &WorkCalendar, test: &RuleTest, one: &Occurrence<'_>) -> String {
    let mark = if calendar.date_of(one.at) == test.on { "→ " } else { "  " };
    let repeat = if one.number > 1 { format!(", nhắc lại lần {}", one.number - 1) } else { String::new() };
    let mut line = format!("{mark}bước {} ({}{repeat}): {}", one.step.id, one.step.due, moment(calendar, one.at));
    let Ok(effective) = calendar.effective(test.task.deadline) else { return line };
    let by_working_days = match one.step.repeat {
        Some(repeat) if one.number > 1 => repeat.every.unit == Unit::WorkingDays,
        _ => one.step.due.unit == Unit::WorkingDays,
    };
    let falls = calendar.date_of(one.at);
    if by_working_days && falls != effective {
        // The deadline's own day and the step's are both worked; between them is what was not counted.
        let (low, high) = if falls < effective { (falls, effective) } else { (effective, falls) };
        let passed = days_off(calendar, low, high);
        if !passed.is_empty() {
            line.push_str(&format!("; không tính {passed}"));
        }
    }
    line
}

/// The days from `low` to `high` that are not worked: the named ones by name, weekends together.
fn days_off(calendar: &WorkCalendar, low: Date, high: Date) -> String {
    let mut named: Vec<(String, Vec<Date>)> = Vec::new();
    let mut weekends = Vec::new();
    for off in low.series(1.day()).take_while(|day| *day <= high).take(400) {
        if calendar.is_working(off) != Ok(false) {
            continue;
        }
        match calendar.special(off) {
            Some(special) => match named.iter_mut().find(|(name, _)| *name == special.name) {
                Some((_, days)) => days.push(off),
                None => named.push((special.name.clone(), vec![off])),
            },
            None => weekends.push(off),
        }
    }
    let mut parts: Vec<String> = named.iter().map(|(name, days)| format!("{} nghỉ ({name})", span(days))).collect();
    match weekends[..] {
        [] => {}
        [one] => parts.push(format!("{} là {}", short(one), weekday(one))),
        [_, _] => parts.push(format!("{} là ngày nghỉ cuối tuần", span(&weekends))),
        _ => parts.push(format!("{} ngày cuối tuần", weekends.len())),
    }
    parts.join(", ")
}

/// `24/11`, `16/2-20/2`, `12/12 và 19/12`
fn span(days: &[Date]) -> String {
    match days {
        [] => String::new(),
        [one] => short(*one),
        [first, .., last] if (*last - *first).get_days() as usize + 1 == days.len() => {
            format!("{}-{}", short(*first), short(*last))
        }
        _ => days.iter().map(|day| short(*day)).collect::<Vec<_>>().join(", "),
    }
}

fn short(day: Date) -> String {
    day.strftime("%d/%m").to_string()
}

fn date(day: Date) -> String {
    day.strftime("%d/%m/%Y").to_string()
}

/// `thứ Ba 15/12/2026`
fn day(of: Date) -> String {
    format!("{} {}", weekday(of), date(of))
}

fn moment(calendar: &WorkCalendar, at: jiff::Timestamp) -> String {
    let local = calendar.local(at);
    format!("{} {} {:02}:{:02}", weekday(local.date()), date(local.date()), local.hour(), local.minute())
}

fn weekday(day: Date) -> &'static str {
    calendar_words::weekday_name(day.weekday())
}
