//! Whether a step of a plan reads a growing table from end to end.

use regex::Regex;

/// Tables that grow with tasks and with time. The directory, the accepted rules and marks do not.
pub const GROWING: [&str; 16] = [
    "letter",
    "task",
    "task_coordinator",
    "document",
    "reminder",
    "message",
    "attempt",
    "obligation",
    "task_event",
    "notice",
    "register",
    "personal_data",
    "file_export",
    "daily_count",
    "contact_log",
    "extension",
];

/// The growing table that a step of SQLite's plan walks, or builds an index of for this one statement.
pub fn sqlite_walks(sql: &str, step: &str) -> Option<&'static str> {
    let name = match step.strip_prefix("SCAN ") {
        Some(rest) => rest.split_whitespace().next()?,
        None if step.contains("AUTOMATIC") => step.strip_prefix("SEARCH ")?.split_whitespace().next()?,
        None => return None,
    };
    GROWING.into_iter().find(|table| *table == name || stands_for(sql, table, name))
}

/// Whether a table goes by another name in a statement: `FROM task t`, `JOIN task AS t`.
fn stands_for(sql: &str, table: &str, alias: &str) -> bool {
    let pattern = format!(r"(?i)(FROM|JOIN|UPDATE|INTO|,)\s+{table}(\s+AS)?\s+{}\b", regex::escape(alias));
    Regex::new(&pattern).is_ok_and(|named| named.is_match(sql))
}
