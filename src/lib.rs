//! dondoc
pub mod channel;
pub mod clock;
pub mod config;
pub mod message;
pub mod planning;
pub mod store;
