//! What an inspection team relies on: the register, the notices in it, their files, and the proof that nobody touched
//! them since.
//!
//! Nothing here edits: a wrong notice is withdrawn by a new entry. Nothing here decides when a notice is due (the
//! planner does) or how it reads (the message module does).

pub mod export;
pub mod notice;
pub mod register;
pub mod telling;
pub mod verify;
