//! How a step's instant came about, in words an office uses: for `explain` and for the foot of a letter.

use jiff::Timestamp;

use super::policy::Policy;
use crate::planning::{
    calendar::DayKind,
    rules::{Offset, Step, Unit},
    task::Obligation,
};

/// How an occurrence's instant came about: `1 ngày làm việc sau 23/11/2026 (nghỉ 24/11)`.
pub fn arithmetic(policy: &Policy, obligation: &Obligation, step: &Step, occurrence: u32, at: Timestamp) -> String {
    let calendar = &policy.calendar;
    let Some(deadline) = obligation.deadline else { return String::new() };
    let Ok(effective) = calendar.effective(deadline) else { return String::new() };
    let day = calendar.date_of(at);
    let from = effective.strftime("%d/%m/%Y");
    let mut text = match (step.due.n, step.due.unit) {
        (0, _) => format!("đúng hạn {from}"),
        (n, Unit::Hours) => format!("{} {} giờ hạn, {from}", span(step.due), if n < 0 { "trước" } else { "sau" }),
        (n, _) => format!("{} {} {from}", span(step.due), if n < 0 { "trước" } else { "sau" }),
    };
    if occurrence > 1
        && let Some(repeat) = step.repeat
    {
        text.push_str(&format!(", thêm {} × {}", occurrence - 1, span(repeat.every)));
    }
    let repeats_by_working_days = occurrence > 1 && step.repeat.is_some_and(|r| r.every.unit == Unit::WorkingDays);
    if step.due.unit == Unit::WorkingDays || repeats_by_working_days {
        let (from, to) = if day < effective { (day, effective) } else { (effective, day) };
        let off: Vec<String> = calendar
            .specials()
            .filter(|d| d.kind == DayKind::Off && from <= d.date && d.date <= to)
            .map(|d| d.date.strftime("%d/%m").to_string())
            .collect();
        if !off.is_empty() {
            text.push_str(&format!(" (nghỉ {})", off.join(", ")));
        }
    }
    text
}

/// `5 ngày làm việc`
fn span(offset: Offset) -> String {
    let unit = match offset.unit {
        Unit::WorkingDays => "ngày làm việc",
        Unit::Days => "ngày",
        Unit::Hours => "giờ",
    };
    format!("{} {unit}", offset.n.unsigned_abs())
}
