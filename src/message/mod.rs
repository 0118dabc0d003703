//! Facts become texts: the letter, the Zalo line, the notice. Pure: no store, no clock, no network.
//!
//! `view` turns facts into words by way of `phrases` (whole sentences) and `words`; the templates lay them out; `mime`
//! and `zalo` make of them what goes over the wire. Nothing of a classified task reaches a template: see
//! [`Texts::email`].

mod calendar;
pub mod catalogue;
pub mod check;
mod clean;
pub mod daily;
pub mod facts;
pub mod mime;
pub mod notice;
mod phrases;
pub mod preview;
mod quoted;
pub mod sample;
pub mod texts;
mod view;
pub mod words;
pub mod zalo;

#[cfg(test)]
mod tests;

pub use mime::{Envelope, mark_repeat, message_id, mime, root_id};
pub use notice::notice_json;
pub use texts::{EmailText, TextError, Texts};
pub use zalo::webhook_body as zalo_webhook_body;
