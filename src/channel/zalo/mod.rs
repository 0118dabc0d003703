//! Zalo's ways out. Today one: the webhook of a relay that the office or its supplier runs.

pub mod webhook;
