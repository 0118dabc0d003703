//! Which of several copies of a database may send: its identity, and what becomes of doubtful rows when a copy is
//! adopted. Whether it may is decided by `engine::instance`, which also sees the file beside the database.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Result;

/// The mark up to when another copy may have sent: what is planned late for instants before it is set aside. It stands
/// until the first scan after an adoption has gone through.
pub const COPY_UNTIL: &str = "copy_until";

/// What the database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRow {
    pub id: String,
    /// Rises with each sending pass, before its first letter and after its last outcome.
    pub generation: i64,
    /// The machine's id, hashed for this program; empty where the machine has none.
    pub machine: String,
    /// The database's file with its folders; on a server `postgresql:` with the server's and the database's numbers.
    pub place: String,
    pub adopted_at: Timestamp,
    /// When the generation last rose.
    pub raised_at: Option<Timestamp>,
    /// A backup: when it was taken, and how many messages were being sent at that moment.
    pub copied: Option<(Timestamp, i64)>,
}

/// An identity to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    pub machine: String,
    pub place: String,
}

/// Somebody says that this copy is the one that sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    pub identity: Identity,
    /// The least generation it may go on with: above that of the file beside it.
    pub at_least: i64,
    pub by: String,
    pub why: String,
    /// The word for what had kept it from sending.
    pub held: String,
    /// What was due before is not sent, for another copy may have sent it. `None`: this is the last state there is.
    pub nothing_before: Option<Timestamp>,
}

/// What an adoption came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Adopted {
    pub generation: i64,
    /// Planned reminders set aside: suppressed, reason `copy`.
    pub reminders: u64,
    /// Messages set aside: dead or unknown, reason `copy`; `outbox retry` sends one after all.
    pub messages: u64,
}

/// One adoption on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptionRow {
    pub at: Timestamp,
    pub by: String,
    pub why: String,
    pub held: String,
    pub generation: i64,
    pub nothing_before: Option<Timestamp>,
    pub reminders: i64,
    pub messages: i64,
}

/// What the place of a database on a server begins with; a file's is its path.
pub const ON_SERVER: &str = "postgresql:";

/// Identity and adoption.
#[async_trait]
pub trait InstanceStore: Send + Sync {
    /// Which server and which of its databases this is, beginning with [`ON_SERVER`]; `None` for a file, or where the server
    /// does not say.
    async fn cluster(&self) -> Result<Option<String>> {
        Ok(None)
    }
    /// What the database says of itself; `None` before it was first served.
    async fn instance(&self) -> Result<Option<InstanceRow>>;
    /// Gives it an identity, at generation 0, unless it has one under which something was sent; answers the one it has. One
    /// that came from a file to a server begins anew there.
    async fn found(&self, now: Timestamp, identity: &Identity) -> Result<InstanceRow>;
    /// Raises the generation, and answers the row.
    async fn raise_generation(&self, now: Timestamp) -> Result<Option<InstanceRow>>;
    /// How many planned reminders and messages [`InstanceStore::adopt`] would set aside.
    async fn doubtful(&self, nothing_before: Timestamp) -> Result<(u64, u64)>;
    /// Takes the identity over in one transaction with everything that follows: doubtful messages end `unknown` where
    /// bytes may have left, `dead` where none are on record (both with reason `copy`, their reminders `unknown`);
    /// doubtful planned reminders end `suppressed`; what the first scan plans late is set aside too.
    async fn adopt(&self, now: Timestamp, adoption: &Adoption) -> Result<Adopted>;
    /// Every adoption, the latest first.
    async fn adoptions(&self) -> Result<Vec<AdoptionRow>>;
}
