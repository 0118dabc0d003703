//! `check --effective`: every rule as it is understood, with where each value comes from: the step's own line, its
//! rule's, `[defaults]`, or the program where no line says it.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{problem::Place, rules_file::LoadedRules};
use crate::planning::{
    calendar::Hours,
    rules::{Rule, Step, Unit, When},
};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// No line says it.
    BuiltIn,
    Defaults(usize),
    Rule(usize),
    Step(usize),
    /// `[hours.…]`
    Hours(usize),
}

impl From {
    fn told(self) -> String {
        match self {
            From::BuiltIn => "mặc định".to_owned(),
            From::Defaults(line) => format!("[defaults], dòng {line}"),
            From::Rule(line) | From::Step(line) | From::Hours(line) => format!("dòng {line}"),
        }
    }

    fn json(self) -> (&'static str, Option<usize>) {
        match self {
            From::BuiltIn => ("built-in", None),
            From::Defaults(line) => ("defaults", Some(line)),
            From::Rule(line) => ("rule", Some(line)),
            From::Step(line) => ("step", Some(line)),
            From::Hours(line) => ("hours", Some(line)),
        }
    }
}

/// One value, for people and for scripts.
struct Shown {
    key: String,
    text: String,
    value: Value,
    from: From,
}

/// The whole listing for people.
pub fn show(loaded: &LoadedRules) -> String {
    let mut out = String::new();
    let mut line = |text: String, from: From| {
        let pad = 58usize.saturating_sub(text.chars().count());
        let _ = writeln!(out, "{text}{:pad$}  # {}", "", from.told());
    };
    for (name, hours) in &loaded.rules.hours {
        let from = loaded.hours_places.get(name).map_or(From::BuiltIn, |place| From::Hours(line_of(place)));
        line(format!("[hours.{name}]: {}", told_hours(hours)), from);
    }
    for rule in &loaded.rules.rules {
        line("[[rule]]".to_owned(), origin(loaded, &rule.id, None, "id"));
        for shown in rule_values(loaded, rule) {
            line(format!("{} = {}", shown.key, shown.text), shown.from);
        }
        for step in &rule.steps {
            line("  [[rule.step]]".to_owned(), origin(loaded, &rule.id, Some(&step.id), "id"));
            for shown in step_values(loaded, rule, step) {
                line(format!("  {} = {}", shown.key, shown.text), shown.from);
            }
        }
    }
    out.replace("\n[[rule]]", "\n\n[[rule]]")
}

/// The listing for scripts: `effective_rules` and the hours they name.
pub fn to_json(loaded: &LoadedRules) -> Value {
    let object = |values: Vec<Shown>| -> serde_json::Map<String, Value> {
        values
            .into_iter()
            .map(|shown| {
                let (from, line) = shown.from.json();
                (shown.key, json!({ "value": shown.value, "from": from, "line": line }))
            })
            .collect()
    };
    let rules: Vec<Value> = loaded
        .rules
        .rules
        .iter()
        .map(|rule| {
            let mut values = object(rule_values(loaded, rule));
            let steps: Vec<Value> =
                rule.steps.iter().map(|step| object(step_values(loaded, rule, step)).into()).collect();
            values.insert("steps".to_owned(), steps.into());
            values.into()
        })
        .collect();
    rules.into()
}

fn origin(loaded: &LoadedRules, rule: &str, step: Option<&str>, key: &str) -> From {
    let at = |step: &str, key: &str| loaded.origins.get(&(rule.to_owned(), step.to_owned(), key.to_owned()));
    if let Some(place) = step.and_then(|step| at(step, key)) {
        return From::Step(line_of(place));
    }
    // A step takes `at` and `via` from its rule where it has none of its own, and a rule from the defaults.
    let inherited = step.is_none() || matches!(key, "at" | "via");
    match at("", key).filter(|_| inherited) {
        Some(place) if loaded.defaults.get(key).is_some_and(|d| d.span == place.span) => From::Defaults(line_of(place)),
        Some(place) => From::Rule(line_of(place)),
        None => From::BuiltIn,
    }
}

/// The line of a place, from 1.
pub fn line_of(place: &Place) -> usize {
    place.source.line_of(place.span.start).0
}

fn words<T: ToString>(items: &[T]) -> (String, Value) {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    let text = format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "));
    (text, words.into())
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn text(text: &str) -> (String, Value) {
    (quoted(text), text.into())
}

fn conditions(when: &When) -> Vec<(&'static str, (String, Value))> {
    let all = [
        ("when.role", words(&when.role)),
        ("when.block", words(&when.block)),
        ("when.assigner", words(&when.assigner)),
        ("when.document_kind", words(&when.document_kind)),
        ("when.urgency", words(&when.urgency)),
        ("when.secrecy", words(&when.secrecy)),
        ("when.agency", words(&when.agency)),
        ("when.agency_kind", words(&when.agency_kind)),
        ("when.field", words(&when.field)),
        ("when.priority", words(&when.priority)),
    ];
    all.into_iter().filter(|(_, (text, _))| text != "[]").collect()
}

fn rule_values(loaded: &LoadedRules, rule: &Rule) -> Vec<Shown> {
    let mut values = vec![("id", text(&rule.id))];
    values.extend(conditions(&rule.when));
    values.push(("clock", text(rule.clock.as_str())));
    if let Some(basis) = &rule.basis {
        values.push(("basis", text(basis)));
    }
    values.push((
        "hours",
        (format!("\"{}\" ({})", rule.hours_name, told_hours(&rule.hours)), rule.hours_name.as_str().into()),
    ));
    values.push(("at", time(rule.at)));
    values.push(("bundle", (rule.bundle.to_string(), rule.bundle.into())));
    values.push(("late", text(rule.late.as_str())));
    values.push(("max_lateness", text(&format!("{}{}", rule.max_lateness.n, rule.max_lateness.unit))));
    values.push(match rule.daily_cap {
        Some(cap) => ("daily_cap", (cap.to_string(), cap.into())),
        None => ("daily_cap", ("không giới hạn (giờ gửi \"urgent\")".to_owned(), Value::Null)),
    });
    if let Some(from) = rule.effective_from {
        values.push(("effective_from", (from.to_string(), from.to_string().into())));
    }
    if !rule.was.is_empty() {
        values.push(("was", words(&rule.was)));
    }
    let cap_is_lifted = rule.daily_cap.is_none();
    values
        .into_iter()
        .map(|(key, (text, value))| {
            // What lifts the cap is the rule's hours, not the line that sets one.
            let from = if key == "daily_cap" && cap_is_lifted { "hours" } else { key };
            Shown { key: key.to_owned(), text, value, from: origin(loaded, &rule.id, None, from) }
        })
        .collect()
}

fn step_values(loaded: &LoadedRules, rule: &Rule, step: &Step) -> Vec<Shown> {
    let mut values = vec![("id", text(&step.id)), ("due", text(&step.due.to_string()))];
    if step.due.unit != Unit::Hours {
        values.push(("at", time(step.at)));
    }
    values.push(("to", words(&step.audiences)));
    values.push(("via", words(&step.via)));
    values.push(("urging", (step.urging.to_string(), step.urging.into())));
    if !step.files.is_empty() {
        values.push(("file", words(&step.files)));
    }
    if let Some(repeat) = step.repeat {
        let every = format!("{}{}", repeat.every.n, repeat.every.unit);
        let text = format!("{{ every = \"{every}\", times = {} }}", repeat.times);
        values.push(("repeat", (text, json!({ "every": every, "times": repeat.times }))));
    }
    if !step.was.is_empty() {
        values.push(("was", words(&step.was)));
    }
    values
        .into_iter()
        .map(|(key, (text, value))| Shown {
            key: key.to_owned(),
            text,
            value,
            from: origin(loaded, &rule.id, Some(&step.id), key),
        })
        .collect()
}

fn time(at: jiff::civil::Time) -> (String, Value) {
    text(&format!("{:02}:{:02}", at.hour(), at.minute()))
}

fn told_hours(hours: &Hours) -> String {
    let minute = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days = if hours.working_days_only { "ngày làm việc" } else { "mọi ngày" };
    format!("{days}, {} đến {}", minute(hours.from), minute(hours.until))
}
