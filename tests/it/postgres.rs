//! PostgreSQL with the built binary: several daemons on one database, and what may befall any of them.
//!
//! The server is the tests' own ([`server`]); without one they are left out, unless `DONDOC_FULL` asks for all. Long runs:
//! `DONDOC_KILLS=200 cargo test --test it postgres:: -- --nocapture`.

mod copies;
mod faults;
mod fleet;
mod harness;
mod moving;
pub mod server;
mod silence;
mod together;
