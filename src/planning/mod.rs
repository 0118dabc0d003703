//! Decisions, and nothing else: what is due, what it supersedes, who gets what together, when to look again.
//!
//! Everything here is a pure function of its arguments. `now` is one of them. No tokio, no sqlx, no clock and no
//! logging may be imported below this module (`tests/it/layering.rs` holds that); so any decision can be replayed from
//! a scenario file, and the same code serves the daemon, `plan`, `explain` and the `[[test]]` blocks.

pub mod bundle;
pub mod calendar;
pub mod consequences;
pub mod directory;
pub mod fold;
pub mod ledger;
pub mod lunar;
pub mod outcome;
pub mod plan;
pub mod rules;
pub mod simulate;
pub mod task;
