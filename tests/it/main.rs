//! The one integration crate: one binary to link, however many files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../sink/mod.rs"]
mod sink;

mod acts;
mod calendar;
mod channel;
mod clock;
mod config;
mod contract;
mod coverage;
mod daily;
mod dice;
mod e2e;
mod faults;
mod foresight;
mod inspection;
mod intake;
mod interleave;
mod layering;
mod migrations;
mod office;
mod paths;
mod planning_properties;
mod planted;
mod postgres;
mod scenarios;
mod statements;
mod supply;
mod templates;
mod year;
