//! From rows people typed to tasks, agencies and people: what was read, how, and what was refused.
//!
//! `table` gives rows out of a file, `cells` and `dates` give a cell's meaning. A reading is never guessed past what the
//! cell says: what cannot be read is an answer of its own, and the typed text is kept by the caller for show.

pub mod agencies;
pub mod apply;
pub mod cells;
pub mod columns;
pub mod dates;
pub mod directory;
pub mod import;
mod people;
pub mod report;
pub mod secrecy;
pub mod table;
pub mod tasks;
