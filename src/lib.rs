//! **dondoc** sees to it that assigned work is done by its deadline: it knows every task, reminds the right people ever
//! higher up as the deadline comes and passes, and files an overdue notice that an inspection can rely on months later.
//!
//! This page is the map. Read it, then [`planning::plan`], then [`engine`]: those two are the program; the rest serves
//! them.
//!
//! # The way of a task
//!
//! ```text
//! spreadsheet ──> intake ──> store ──> engine::scan ──> planning::plan      what is due, what it supersedes, why
//!                              │  ▲         │
//!                              │  └─────────┘ one transaction: reminders, notices + register, next look
//!                              ▼
//!                        engine::gather ──> planning::{directory, bundle}   who gets what together
//!                              ▼
//!                        engine::deliver ──> message ──> channel            claim, compose, gate, hand over, record
//!                              ▼
//!                        inspection::export                                 notices' files, after the commit
//! ```
//!
//! | module | what it is for | what it may import |
//! |---|---|---|
//! | [`planning`] | decisions, pure: `now` is an argument | nothing of ours |
//! | [`message`] | facts become letters, Zalo lines, notices; pure | planning |
//! | [`config`] | TOML with every fault at once; the shipped files | planning |
//! | [`store`] | the ledger; the only SQL | planning, clock |
//! | [`channel`] | bytes leave: SMTP, Maildir, Zalo webhook | planning, message, config, clock |
//! | [`intake`] | spreadsheets come in; the gate against State secrets | planning, message, config, store, clock |
//! | [`inspection`] | the register's hash chain, notices, verification | planning, message, config, store, clock |
//! | [`engine`] | scan, bundle, deliver; the daemon's loops | all of these, doorbell, systemd |
//! | [`web`] | figures and health on 127.0.0.1 | planning, message, config, store, inspection, intake, clock |
//! | [`cli`] | a file a command; wires the rest | everything |
//! | [`clock`], [`doorbell`], [`systemd`] | the time, a ring, the service manager | – |
//!
//! `tests/it/layering.rs` reads the `use` lines and fails on a breach.
//!
//! # What always holds
//!
//! 1. A due reminder is committed before it is sent. Every reminder ends *sent*, *superseded*, *suppressed*, *dead* or
//!    *unknown*, with a reason; nothing vanishes.
//! 2. The attempt is on record before a byte leaves; bytes, phase and the gate's answer are committed together before
//!    DATA or POST. An acceptance always wins, whatever became of the lease.
//! 3. A repeated message is the same bytes under the same Message-ID with one more header, and only where the answer was
//!    lost and nothing in it has changed.
//! 4. Filing does not depend on sending: a notice and its register entry are one transaction with the scan's plan.
//! 5. What is due is decided from the database, never from a timer: a ring carries no data, a lost one costs time only.
//! 6. Content of a task that is mật or above, or of an unreadable level, is dropped before anything is written.
//! 7. Only [`clock`] asks the time.
//!
//! # Words
//!
//! *arming*: how often a ladder was armed for a task's clock and agency (raised by a moved deadline and by reopening) ·
//! *obligation*: one agency's duty on one clock, the thing that climbs a ladder · *slot*: (agency, audience); the person
//! is looked up when the message is made · *occurrence*: 1 for a step, 2 and on for its repeats · *urging n*: a counted
//! đôn đốc · *held*: stored, never reminded until a person mends it · *effective deadline*: rolled to a working day ·
//! *gate*: the last look before a message is handed over.

pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod doorbell;
pub mod engine;
pub mod inspection;
pub mod intake;
pub mod message;
pub mod planning;
pub mod store;
pub mod systemd;
pub mod web;
