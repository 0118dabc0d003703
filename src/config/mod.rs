//! Settings, rules and calendar: what TOML says, and what it means.
//!
//! A file is read into a tree that knows its places ([`raw`]), every fault of it is collected ([`problem`]), and only a
//! file without errors becomes a validated type. Nothing here asks the time, sends, or touches the database.

pub mod calendar_file;
pub mod calendar_law;
pub mod calendar_words;
pub mod cover;
pub mod effective;
pub mod line_hints;
pub mod load;
pub mod mend;
pub mod problem;
pub mod raw;
pub mod rule_sense;
pub mod rule_test;
pub mod rules_file;
pub mod schema;
mod schema_parts;
mod schema_settings;
pub mod settings;
pub mod settings_email;
pub mod settings_file;
pub mod settings_store;
pub mod shipped;
pub mod step_file;
pub mod syntax;
pub mod values;
pub mod vietnamese;
