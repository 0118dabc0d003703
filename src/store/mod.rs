//! What the program remembers, and the only place with SQL.
//!
//! Each trait is one subject; [`Store`] is all of them. SQLite implements it today; a second database implements the
//! same traits and passes the same contract suite (`tests/it/contract.rs`). Statements use `$1` and no dialect where
//! one form serves both.

pub mod acts;
pub mod intake;
pub mod ledger;
pub mod policy;
pub mod register;
pub mod sqlite;

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is not reachable, is full, or failed: nothing of the call was kept.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// Its schema is newer than this program, or damaged.
    #[error("the database's schema does not fit this program: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not one this program writes.
    #[error("damaged row in {table}: {what}")]
    Damaged { table: &'static str, what: String },
    /// Anything else, in plain words with what to do.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// Whether the fault belongs to what was being kept, and not to the database: other rows may still be kept.
    pub fn is_of_the_row(&self) -> bool {
        match self {
            StoreError::Damaged { .. } | StoreError::Refused(_) => true,
            StoreError::Database(sqlx::Error::Database(error)) => {
                error.is_unique_violation() || error.is_check_violation() || error.is_foreign_key_violation()
            }
            StoreError::Database(_) | StoreError::Migrate(_) => false,
        }
    }
}

/// What store calls answer.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The whole store.
pub trait Store:
    acts::ActStore
    + ledger::PlanningStore
    + ledger::OutboxStore
    + ledger::ReadingStore
    + policy::PolicyStore
    + register::RegisterStore
{
}

impl<T> Store for T where
    T: acts::ActStore
        + ledger::PlanningStore
        + ledger::OutboxStore
        + ledger::ReadingStore
        + policy::PolicyStore
        + register::RegisterStore
{
}
