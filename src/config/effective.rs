//! `check --effective`: every rule as it is understood, with the line each value comes from.

use std::fmt::Write;

use super::{problem::Place, rules_file::LoadedRules};
use crate::planning::{
    calendar::Hours,
    rules::{Rule, Step, Unit, When},
};

/// The whole listing; `# dòng n` says which line gave a value, `# mặc định` that none did.
pub fn show(loaded: &LoadedRules) -> String {
    let mut out = String::new();
    for rule in &loaded.rules.rules {
        let origin = |key: &str| origin(loaded, &rule.id, None, key);
        let mut line = |text: String, from: &str| {
            let pad = 58usize.saturating_sub(text.chars().count());
            let _ = writeln!(out, "{text}{:pad$}  # {from}", "");
        };
        line("[[rule]]".to_owned(), &origin("id"));
        line(format!("id = \"{}\"", rule.id), &origin("id"));
        for (key, text) in conditions(&rule.when) {
            line(format!("when.{key} = {text}"), &origin("when"));
        }
        for (key, text) in values(rule) {
            line(format!("{key} = {text}"), &origin(key));
        }
        for step in &rule.steps {
            line("  [[rule.step]]".to_owned(), &self::origin(loaded, &rule.id, Some(&step.id), "id"));
            for (key, text) in step_values(step) {
                line(format!("  {key} = {text}"), &self::origin(loaded, &rule.id, Some(&step.id), key));
            }
        }
        out.push('\n');
    }
    out
}

fn origin(loaded: &LoadedRules, rule: &str, step: Option<&str>, key: &str) -> String {
    let at = |step: Option<&str>, key: &str| {
        loaded.origins.get(&(rule.to_owned(), step.unwrap_or_default().to_owned(), key.to_owned()))
    };
    // A step takes `at` and `via` from its rule where it has none of its own.
    match at(step, key).or_else(|| at(None, key)) {
        Some(place) => format!("dòng {}", line_of(place)),
        None => "mặc định".to_owned(),
    }
}

/// The line of a place, from 1.
pub fn line_of(place: &Place) -> usize {
    let text = place.source.text();
    text.as_bytes()[..place.span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

fn list<T: ToString>(items: &[T]) -> String {
    format!("[{}]", items.iter().map(|item| format!("\"{}\"", item.to_string())).collect::<Vec<_>>().join(", "))
}

fn conditions(when: &When) -> Vec<(&'static str, String)> {
    let all = [
        ("role", list(&when.role)),
        ("block", list(&when.block)),
        ("assigner", list(&when.assigner)),
        ("document_kind", list(&when.document_kind)),
        ("urgency", list(&when.urgency)),
        ("secrecy", list(&when.secrecy)),
        ("agency", list(&when.agency)),
        ("agency_kind", list(&when.agency_kind)),
        ("field", list(&when.field)),
        ("priority", list(&when.priority)),
    ];
    all.into_iter().filter(|(_, text)| text != "[]").collect()
}

fn values(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut values = vec![("clock", format!("\"{}\"", rule.clock))];
    if let Some(basis) = &rule.basis {
        values.push(("basis", format!("\"{basis}\"")));
    }
    values.push(("hours", format!("\"{}\" ({})", rule.hours_name, hours(&rule.hours))));
    values.push(("at", time(rule.at)));
    values.push(("bundle", rule.bundle.to_string()));
    values.push(("late", format!("\"{}\"", rule.late)));
    values.push(("max_lateness", format!("\"{}{}\"", rule.max_lateness.n, rule.max_lateness.unit)));
    values.push(("daily_cap", rule.daily_cap.map_or("không giữ lại (giờ urgent)".to_owned(), |cap| cap.to_string())));
    if let Some(date) = rule.effective_from {
        values.push(("effective_from", date.to_string()));
    }
    if !rule.was.is_empty() {
        values.push(("was", list(&rule.was)));
    }
    values
}

fn step_values(step: &Step) -> Vec<(&'static str, String)> {
    let mut values = vec![("id", format!("\"{}\"", step.id)), ("due", format!("\"{}\"", step.due))];
    if step.due.unit != Unit::Hours {
        values.push(("at", time(step.at)));
    }
    values.push(("to", list(&step.audiences)));
    values.push(("via", list(&step.via)));
    if step.urging {
        values.push(("urging", "true".to_owned()));
    }
    if !step.files.is_empty() {
        values.push(("file", list(&step.files)));
    }
    if let Some(repeat) = step.repeat {
        let text = format!("{{ every = \"{}{}\", times = {} }}", repeat.every.n, repeat.every.unit, repeat.times);
        values.push(("repeat", text));
    }
    if !step.was.is_empty() {
        values.push(("was", list(&step.was)));
    }
    values
}

fn time(at: jiff::civil::Time) -> String {
    format!("\"{:02}:{:02}\"", at.hour(), at.minute())
}

fn hours(hours: &Hours) -> String {
    let minute = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days = if hours.working_days_only { "ngày làm việc" } else { "mọi ngày" };
    format!("{days}, {} đến {}", minute(hours.from), minute(hours.until))
}
