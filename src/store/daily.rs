//! The daily list of those who could not be reached: what stands on it, and which message of a day carries it.

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};

use super::{Result, ledger::UnreachableSlot};
use crate::planning::task::word_enum;

word_enum!(/// Whom a list is for.
    ListAudience { /// who keeps the service running: everything
        Operator = "operator", /// who follows the tasks on it
        Monitor = "monitor" });

/// A slot that leads to nobody while its duty stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreached {
    pub slot: UnreachableSlot,
    pub code: String,
    pub since: Timestamp,
    /// Of a refusal: the address and what its server said last; empty otherwise.
    pub address: String,
    pub reply: String,
}

/// A list to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDailyList {
    pub day: Date,
    pub address: String,
    pub audience: ListAudience,
    /// `facts::Recipient` as JSON.
    pub recipient: String,
    /// How many slots stand on it; 0: everybody can be reached again.
    pub entries: u64,
    /// Changes with what stands on it, and says which slots these are.
    pub digest: String,
    pub hours: String,
    pub expires_at: Timestamp,
}

/// A list that a message carries instead of reminders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DailyList {
    pub day: Date,
    pub audience: ListAudience,
    pub entries: u64,
    pub digest: String,
}

/// Whose last list named somebody: they are told when everybody can be reached again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenList {
    pub day: Date,
    pub address: String,
    pub audience: ListAudience,
    pub recipient: String,
    pub digest: String,
}

/// Daily lists.
#[async_trait]
pub trait DailyStore: Send + Sync {
    /// Every slot that leads to nobody while its duty stands.
    async fn unreached(&self) -> Result<Vec<Unreached>>;
    /// Lists whose recipient was told of somebody last.
    async fn open_lists(&self) -> Result<Vec<OpenList>>;
    /// Makes a message of each list, all in one transaction; one a day and address, however often it is asked. How many
    /// were made.
    async fn save_lists(&self, now: Timestamp, lists: &[NewDailyList]) -> Result<u64>;
}
