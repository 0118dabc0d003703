//! The JSON schemas for editors: kept in the repository, fit for the shipped files, and of the same keys as the readers.
//!
//! The judge below knows just the keywords that the schemas use, and stops at any other: a keyword nobody judges would
//! prove nothing.

use std::{collections::BTreeSet, path::PathBuf};

use dondoc::config::schema::File;
use serde_json::Value;

use super::*;

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema").join(name)
}

#[test]
fn the_schemas_in_the_repository_are_those_that_check_prints() {
    for (file, name) in File::ALL {
        // `INSTA_UPDATE=always` writes them, like every other text kept by a test.
        if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
            fs::write(kept(name), file.text()).unwrap();
        }
        assert_eq!(fs::read_to_string(kept(name)).unwrap(), file.text(), "config/schema/{name} is out of date");
    }
}

/// Whether a text fits a pattern; each pattern is made ready once.
fn fits(pattern: &str, text: &str) -> bool {
    thread_local! {
        static READY: std::cell::RefCell<BTreeMap<String, regex::Regex>> = const { std::cell::RefCell::new(BTreeMap::new()) };
    }
    READY.with_borrow_mut(|ready| {
        ready.entry(pattern.to_owned()).or_insert_with(|| regex::Regex::new(pattern).unwrap()).is_match(text)
    })
}

/// Everything in a value that its schema does not allow, each with its path.
fn judge(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { panic!("{path}: not a schema: {schema}") };
    let mut fault = |what: String| found.push(format!("{path}: {what}"));
    for (keyword, wanted) in schema {
        match keyword.as_str() {
            "$schema" | "title" | "description" => {}
            "type" => {
                let fits = match wanted.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("{path}: unknown type {other}"),
                };
                if !fits {
                    fault(format!("{value} is no {wanted}"));
                }
            }
            "enum" if !wanted.as_array().unwrap().contains(value) => fault(format!("{value} is none of {wanted}")),
            "enum" => {}
            "minLength" => {
                if value.as_str().is_some_and(|text| (text.chars().count() as u64) < wanted.as_u64().unwrap()) {
                    fault("too short".to_owned());
                }
            }
            "pattern" => {
                if value.as_str().is_some_and(|text| !fits(wanted.as_str().unwrap(), text)) {
                    fault(format!("{value} does not fit {wanted}"));
                }
            }
            "minimum" | "maximum" => {
                let (n, limit) = (value.as_i64(), wanted.as_i64().unwrap());
                if n.is_some_and(|n| if keyword == "minimum" { n < limit } else { n > limit }) {
                    fault(format!("{value} is beyond {keyword} {limit}"));
                }
            }
            "minItems" => {
                if value.as_array().is_some_and(|items| (items.len() as u64) < wanted.as_u64().unwrap()) {
                    fault("too few".to_owned());
                }
            }
            "required" => {
                for key in wanted.as_array().unwrap().iter().filter_map(Value::as_str) {
                    if value.as_object().is_some_and(|table| !table.contains_key(key)) {
                        fault(format!("{key} is missing"));
                    }
                }
            }
            "anyOf" => {
                let fits = |one: &Value| {
                    let mut faults = Vec::new();
                    judge(one, value, path, &mut faults);
                    faults.is_empty()
                };
                if !wanted.as_array().unwrap().iter().any(fits) {
                    fault(format!("{value} fits none of the forms"));
                }
            }
            "items" | "properties" | "additionalProperties" => {}
            other => panic!("{path}: nobody judges the keyword {other}"),
        }
    }
    if let (Some(items), Some(schema)) = (value.as_array(), schema.get("items")) {
        for (n, item) in items.iter().enumerate() {
            judge(schema, item, &format!("{path}[{n}]"), found);
        }
    }
    for (key, inner) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match (schema.get("properties").and_then(|known| known.get(key)), schema.get("additionalProperties")) {
            (Some(schema), _) => judge(schema, inner, &path, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{path}: not a key")),
            (None, Some(schema)) => judge(schema, inner, &path, found),
            (None, None) => {}
        }
    }
}

/// A TOML file as a language server sees it: dates and times are texts.
fn json_of(text: &str) -> Value {
    fn value(toml: &toml::Value) -> Value {
        match toml {
            toml::Value::String(text) => text.clone().into(),
            toml::Value::Integer(n) => (*n).into(),
            toml::Value::Float(n) => (*n).into(),
            toml::Value::Boolean(flag) => (*flag).into(),
            toml::Value::Datetime(at) => at.to_string().into(),
            toml::Value::Array(items) => items.iter().map(value).collect(),
            toml::Value::Table(table) => {
                Value::Object(table.iter().map(|(key, inner)| (key.clone(), value(inner))).collect())
            }
        }
    }
    value(&toml::Value::Table(text.parse::<toml::Table>().unwrap()))
}

fn judged(file: File, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    judge(&file.schema(), &json_of(text), "", &mut found);
    found
}

#[test]
fn the_shipped_and_the_small_files_fit_their_schemas() {
    for (file, whole, small) in [
        (File::Settings, shipped::SETTINGS, SETTINGS),
        (File::Rules, shipped::RULES, RULES),
        (File::Calendar, shipped::CALENDAR, CALENDAR),
    ] {
        assert_eq!(judged(file, whole), Vec::<String>::new());
        assert_eq!(judged(file, small), Vec::<String>::new());
    }
}

#[test]
fn a_schema_refuses_what_the_reader_refuses_of_a_single_value() {
    for (from, to) in [
        ("urging = true", "urgin = true"),
        ("urging = true", "urging = \"true\""),
        ("due = \"-3wd\"", "due = -3"),
        ("due = \"-3wd\"", "due = \"-3\""),
        ("due = \"-3wd\"", "due = \"3wd\""),
        ("due = \"-3wd\"", "due = \"-3days\""),
        ("due = \"-3wd\"\n", ""),
        ("id = \"truoc-3\"", "id = \"trước hạn\""),
        ("add = [\"agency_head\"]", "add = [\"agency_haed\"]"),
        ("urging = true", "via = [\"mail\"]"),
        ("urging = true", "at = \"25:00\""),
        ("urging = true", "repeat = { every = \"-5wd\", times = 2 }"),
        ("urging = true", "repeat = { every = \"5wd\" }"),
        ("clock = \"report\"", "clock = \"reprot\""),
        ("clock = \"report\"", "clock = \"report\"\ndaily_cap = 0"),
        ("clock = \"report\"", "clock = \"report\"\nwhen = { block = [] }"),
        ("days = \"working\"", "days = \"work\""),
        ("on = 2026-12-16", "on = \"16/12/2026\""),
        ("step = \"qua-han-1\"", "send_at = \"8h\""),
    ] {
        let text = with(RULES, from, to);
        assert!(!judged(File::Rules, &text).is_empty(), "the schema takes {to:?}");
        assert!(faults(rules(&text)).has_errors(), "the reader takes {to:?}");
    }
}

/// The keys that a reader offers where it is given one it does not know.
fn offered(problems: &Problems, line: usize) -> BTreeSet<String> {
    let problem = problems.iter().find(|p| p.code == "unknown-key" && p.line == line);
    let help = &problem.unwrap_or_else(|| panic!("no unknown key in line {line}:\n{problems}")).help;
    let list = help.split("dùng được: ").nth(1).unwrap_or_else(|| panic!("{help}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(schema: &Value, pointer: &str) -> BTreeSet<String> {
    let table = schema.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
    table["properties"].as_object().unwrap_or_else(|| panic!("no keys at {pointer}")).keys().cloned().collect()
}

#[test]
fn every_key_of_a_reader_stands_in_its_schema_and_no_other() {
    // One unknown key in each table; what the reader would have taken is its own list.
    let text = "zzz = 1\n[defaults]\nzzz = 1\n[hours.normal]\nzzz = 1\n[[rule]]\nzzz = 1\nwhen = {\nzzz = 1 }\n[[rule.step]]\nzzz = 1\nrepeat = {\nzzz = 1 }\n[[test]]\nzzz = 1\ntask = {\nzzz = 1 }\nexpect = {\nzzz = 1 }\n";
    let (schema, found) = (File::Rules.schema(), faults(rules(text)));
    let step = "/properties/rule/items/properties/step/items";
    for (line, pointer) in [
        (1, String::new()),
        (3, "/properties/defaults".to_owned()),
        (5, "/properties/hours/additionalProperties".to_owned()),
        (7, "/properties/rule/items".to_owned()),
        (9, "/properties/rule/items/properties/when".to_owned()),
        (11, step.to_owned()),
        (13, format!("{step}/properties/repeat")),
        (15, "/properties/test/items".to_owned()),
        (17, "/properties/test/items/properties/task".to_owned()),
        (19, "/properties/test/items/properties/expect".to_owned()),
    ] {
        assert_eq!(keys(&schema, &pointer), offered(&found, line), "{pointer}");
    }
    let (schema, found) = (File::Calendar.schema(), calendar("zzz = 1\n[[day]]\nzzz = 1\n[[closure]]\nzzz = 1\n"));
    assert_eq!(keys(&schema, ""), offered(&found, 1));
    assert_eq!(keys(&schema, "/properties/day/items"), offered(&found, 3));
    assert_eq!(keys(&schema, "/properties/closure/items"), offered(&found, 5));
    let sections = [
        "office",
        "files",
        "store",
        "scan",
        "email",
        "email.maildir",
        "email.smtp",
        "import",
        "blocks",
        "blocks.state",
        "blocks.party",
        "blocks.enterprise",
        "inspection",
        "zalo",
        "zalo.webhook",
        "notices",
        "web",
    ];
    let text: String = sections.iter().map(|name| format!("[{name}]\nzzz = 1\n")).collect();
    let (schema, found) = (File::Settings.schema(), faults(settings(&format!("zzz = 1\n{text}"), &[])));
    assert_eq!(keys(&schema, ""), offered(&found, 1));
    for (n, section) in sections.iter().enumerate() {
        let pointer = format!("/properties/{}", section.replace('.', "/properties/"));
        assert_eq!(keys(&schema, &pointer), offered(&found, 2 * n + 3), "{section}");
    }
}

#[test]
fn everything_in_a_schema_is_described_in_vietnamese() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            if inner["description"].as_str().is_none_or(|text| text.is_ascii()) {
                found.push(path.clone());
            }
            undescribed(inner, &path, found);
        }
        for inner in [&schema["items"], &schema["additionalProperties"]] {
            if inner.is_object() {
                undescribed(inner, &format!("{path}[]"), found);
            }
        }
    }
    for (file, name) in File::ALL {
        let mut found = Vec::new();
        undescribed(&file.schema(), name, &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
