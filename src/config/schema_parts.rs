//! The pieces that JSON schemas of the three files are put together from: small builders, nothing of any one file.
//!
//! Draft 7, because that is what the TOML language servers in use read. A TOML date reaches them as text.

use serde_json::{Map, Value, json};

/// The words of one of the closed sets: its constants' stable words.
macro_rules! all_words {
    ($name:ty) => {
        <$name>::ALL.iter().map(|value| value.as_str()).collect::<Vec<&str>>()
    };
}
pub(super) use all_words;

/// A text that is not empty.
pub(super) fn text(description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": description })
}

/// A text that may be empty.
pub(super) fn any_text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// A text of a form.
pub(super) fn form(pattern: &str, description: &str) -> Value {
    json!({ "type": "string", "pattern": pattern, "description": description })
}

pub(super) fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

pub(super) fn whole(low: i64, high: i64, description: &str) -> Value {
    json!({ "type": "integer", "minimum": low, "maximum": high, "description": description })
}

/// One of a set of words.
pub(super) fn word(words: &[&str], description: &str) -> Value {
    json!({ "type": "string", "enum": words, "description": description })
}

/// One thing, or a list of such things.
pub(super) fn some(item: Value, description: &str) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item, "minItems": 1 }], "description": description })
}

/// One or a list, or the empty list for "none at all": what a test expects.
pub(super) fn some_or_none(item: Value, description: &str) -> Value {
    json!({ "anyOf": [item, { "type": "array", "items": item }], "description": description })
}

/// A list of things.
pub(super) fn list(item: Value, least: u64, description: &str) -> Value {
    json!({ "type": "array", "items": item, "minItems": least, "description": description })
}

/// An id as it may stand in the ledger.
pub(super) fn id(description: &str) -> Value {
    // Letters of every language, without `\p`: not every validator's patterns have it.
    form(r"^[^\s!-,/:-@\[-^`{-~]{1,64}$", description)
}

/// A distance from the deadline: its sign says before or after, its unit is obligatory.
pub(super) fn offset(description: &str) -> Value {
    form(r"^\s*(0|[+-]\s*[0-9]{1,5})\s*(wd|d|h)\s*$", description)
}

/// A span: a number above zero with its unit.
pub(super) fn span(description: &str) -> Value {
    form(r"^\s*\+?0*[1-9][0-9]{0,4}\s*(wd|d|h)\s*$", description)
}

/// A time of day; with `midnight_end` also the end of the day.
pub(super) fn time(midnight_end: bool, description: &str) -> Value {
    let end = if midnight_end { "|24:00" } else { "" };
    form(&format!(r"^\s*(([01]?[0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?{end})\s*$"), description)
}

/// A local date.
pub(super) fn date(description: &str) -> Value {
    form("^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description)
}

/// A local date, with or without a local time.
pub(super) fn moment(description: &str) -> Value {
    form("^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$", description)
}

/// A table with just these keys, some of them obligatory.
pub(super) fn table<'a>(
    description: &str,
    required: &[&str],
    properties: impl IntoIterator<Item = (&'a str, Value)>,
) -> Value {
    let properties: Map<String, Value> = properties.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let mut table = json!({
        "type": "object",
        "description": description,
        "additionalProperties": false,
        "properties": properties,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    table
}

/// A whole file.
pub(super) fn file(title: &str, mut root: Value) -> Value {
    let mut file = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": title });
    if let (Some(file), Some(root)) = (file.as_object_mut(), root.as_object_mut()) {
        file.append(root);
    }
    file
}
