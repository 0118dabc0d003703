//! The one integration crate: one binary to link, however many files.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../sink/mod.rs"]
mod sink;

mod acts;
mod channel;
mod clock;
mod config;
mod contract;
mod e2e;
mod inspection;
mod intake;
mod layering;
mod paths;
mod planning_properties;
mod scenarios;
mod supply;
