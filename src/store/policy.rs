//! The rules and calendar that were accepted, and when: what an edit is compared with, what the daemon starts under
//! when the files are at fault, and what was in force on a day somebody asks about.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// One set of texts, in force from `accepted_at` until the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedPolicy {
    pub accepted_at: Timestamp,
    /// SHA-256 of both texts, hex.
    pub digest: String,
    /// `rules.toml` as it was read.
    pub rules: String,
    /// `calendar.toml` as it was read.
    pub calendar: String,
}

/// What is kept of them: rows are added, never changed.
#[async_trait]
pub trait PolicyStore: Send + Sync {
    /// Keeps the texts unless they are those already in force. Whether they were kept.
    async fn accept_policy(&self, policy: &AcceptedPolicy) -> Result<bool>;
    /// The texts in force: those accepted last.
    async fn policy_in_force(&self) -> Result<Option<AcceptedPolicy>>;
    /// The texts that were in force at an instant.
    async fn policy_at(&self, at: Timestamp) -> Result<Option<AcceptedPolicy>>;
}

/// The mark of the rules and the calendar that all next looks were computed under. Not there: of several, or nobody knows.
pub const PLANNED_UNDER: &str = "planned_under";

/// The mark of those under which every task is being looked at anew.
pub const LOOKING_UNDER: &str = "looking_under";
