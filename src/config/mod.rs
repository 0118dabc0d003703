//! Settings, rules and calendar: what TOML says, and what it means.

pub mod settings;
