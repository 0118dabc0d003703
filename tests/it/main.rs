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
mod e2e;
mod foresight;
mod inspection;
mod intake;
mod layering;
mod office;
mod paths;
mod planning_properties;
mod scenarios;
mod supply;
mod templates;
mod year;
