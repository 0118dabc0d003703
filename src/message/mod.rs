//! Facts become texts: the letter, the Zalo line, the notice. Pure: no store, no clock, no network.

pub mod facts;
