//! What a scenario file may say.

use jiff::civil::{Date, DateTime};
use serde::Deserialize;

/// A story.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    pub from: DateTime,
    pub until: DateTime,
    /// `shipped`, or rules as in rules.toml.
    #[serde(default = "shipped")]
    pub rules: String,
    /// `[[day]]`s added to the shipped calendar.
    #[serde(default)]
    pub calendar: String,
    /// Zalo is switched on.
    #[serde(default)]
    pub zalo: bool,
    #[serde(default)]
    pub task: Vec<TaskText>,
    #[serde(default)]
    pub when: Vec<When>,
    /// The timeline.
    #[serde(default)]
    pub expect: String,
    /// What is on record of reminders that were not sent, at the end; compared only where given.
    pub record: Option<String>,
}

fn shipped() -> String {
    "shipped".to_owned()
}

/// A task as entered.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TaskText {
    /// `NV1`, `NV2` … where not given.
    pub code: String,
    pub lead: String,
    /// `2026-12-15`, `2026-12-15T17:00`; empty: none.
    pub deadline: String,
    pub report: String,
    /// When it became known; `from` where not given.
    pub entered: Option<DateTime>,
    /// `STC`, or `STC 2026-12-10` with a date of its own.
    pub coordinators: Vec<String>,
    /// The local part of an address; `snv.handler` where not given, empty: none.
    pub handler: Option<String>,
    pub monitor: Option<String>,
    pub urgency: Option<String>,
    pub secrecy: Option<String>,
    pub state: Option<String>,
    pub assigner_block: Option<String>,
    pub field: String,
    pub held: String,
    pub imported_urgings: u32,
}

/// Something that happens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    pub at: Option<DateTime>,
    /// `leased`: while the next message after `at` is being sent, before its gate; `handed_over`: after its gate.
    #[serde(rename = "while")]
    pub during: Option<String>,
    #[serde(rename = "do")]
    pub what: String,
    /// The task's code; may be left out where there is one task.
    pub task: Option<String>,
    pub to: Option<String>,
    pub until: Option<DateTime>,
    pub code: Option<i32>,
    pub reply: Option<String>,
    pub agency: Option<String>,
    pub person: Option<String>,
    pub role: Option<String>,
    pub date: Option<Date>,
    pub kind: Option<String>,
    pub rules: Option<String>,
    pub clock: Option<String>,
    pub paper: Option<String>,
    pub times: Option<u32>,
    /// The refusals themselves are not told: there would be hundreds.
    pub quiet: bool,
}

/// Reads a file. `expect` and `record` may stand anywhere, so that a story can be told in its order.
pub fn read(text: &str) -> Result<Scenario, String> {
    let mut root: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(toml::Value::Table(_)) = root.get("task") {
        let task = root.remove("task").unwrap_or(toml::Value::Boolean(false));
        root.insert("task".into(), toml::Value::Array(vec![task]));
    }
    for key in ["task", "when"] {
        let mut found = Vec::new();
        if let Some(toml::Value::Array(tables)) = root.get_mut(key) {
            for table in tables.iter_mut().filter_map(toml::Value::as_table_mut) {
                for key in ["expect", "record"] {
                    found.extend(table.remove(key).map(|value| (key, value)));
                }
            }
        }
        for (key, value) in found {
            if root.insert(key.to_owned(), value).is_some() {
                return Err(format!("`{key}` stands twice"));
            }
        }
    }
    root.try_into().map_err(|error: toml::de::Error| error.to_string())
}
