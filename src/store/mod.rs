//! What the program remembers, and the only place with SQL.
//!
//! Each trait is one subject; [`Store`] is all of them. SQLite and PostgreSQL implement them by the same statements
//! (`store/sql`, in words that both understand) and pass the same contract suite (`tests/it/contract.rs`). [`open`]
//! chooses by the address.

#[macro_use]
mod words;

pub mod acts;
pub mod clock;
pub mod daily;
pub mod instance;
pub mod intake;
pub mod ledger;
pub mod policy;
#[expect(clippy::duplicate_mod, reason = "the statements of store/sql are compiled once for each database")]
pub mod postgres;
pub mod reading;
pub mod register;
pub mod sqlite;
pub mod transfer;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;

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
    /// A file beside the database could not be written.
    #[error("cannot write {}: {error}", .path.display())]
    File { path: std::path::PathBuf, error: std::io::Error },
    /// Another file was put in the place of the database while it was open: what is written now is written nowhere.
    #[error("{} was replaced by another file while it was in use", .0.display())]
    Replaced(std::path::PathBuf),
    /// Anything else, in plain words with what to do.
    #[error("{0}")]
    Refused(String),
}

impl StoreError {
    /// No answer came within so long a time.
    pub fn silent(waited: std::time::Duration) -> Self {
        let what = format!("the database has given no answer for {} seconds", waited.as_secs());
        StoreError::Database(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what)))
    }

    /// Whether the fault belongs to what was being kept, and not to the database: other rows may still be kept.
    pub fn is_of_the_row(&self) -> bool {
        match self {
            StoreError::Damaged { .. } | StoreError::Refused(_) => true,
            StoreError::Database(sqlx::Error::Database(error)) => {
                error.is_unique_violation()
                    || error.is_check_violation()
                    || error.is_foreign_key_violation()
                    // Of SQLSTATE the classes "data exception" and "integrity constraint violation"; a trigger's no, there
                    // and on SQLite.
                    || error.code().is_some_and(|code| {
                        code.len() == 5 && (code.starts_with("22") || code.starts_with("23") || code == "P0001")
                            || code == "1811"
                    })
            }
            StoreError::Database(_) | StoreError::Migrate(_) => false,
            StoreError::File { .. } | StoreError::Replaced(_) => false,
        }
    }

    /// Whether two transactions only got into each other's way: nothing was kept, and the same again may succeed.
    pub fn is_contention(&self) -> bool {
        let StoreError::Database(sqlx::Error::Database(error)) = self else { return false };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether the medium failed under an embedded database, or its content is damaged: SQLite would go on with the next
    /// transaction as if nothing had happened, so the process must end and begin anew.
    pub fn is_io(&self) -> bool {
        // SQLITE_READONLY (also: the file was moved away), SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_NOTADB.
        const FAILED: [i64; 4] = [8, 10, 11, 26];
        match self {
            StoreError::File { error, .. } => {
                matches!(error.raw_os_error(), Some(libc::EIO | libc::EROFS | libc::ENODEV | libc::ENXIO))
            }
            StoreError::Replaced(_) => true,
            _ => self.sqlite_code().is_some_and(|code| FAILED.contains(&code)),
        }
    }

    /// Whether there is no room: nothing of the call was kept, and it may be tried again when there is.
    pub fn is_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match self {
            StoreError::File { error, .. } => matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge),
            // SQLITE_FULL; PostgreSQL's disk_full.
            _ => self.sqlite_code() == Some(13) || self.code().as_deref() == Some("53100"),
        }
    }

    fn code(&self) -> Option<String> {
        let error = match self {
            StoreError::Database(error) => error,
            StoreError::Migrate(sqlx::migrate::MigrateError::Execute(error)) => error,
            StoreError::Migrate(sqlx::migrate::MigrateError::ExecuteMigration(error, _)) => error,
            _ => return None,
        };
        Some(error.as_database_error()?.code()?.into_owned())
    }

    /// SQLite's primary result code.
    fn sqlite_code(&self) -> Option<i64> {
        let StoreError::Database(error) = self else { return None };
        let error = error.as_database_error()?.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
        let code: i64 = sqlx::error::DatabaseError::code(error)?.parse().ok()?;
        Some(code & 0xff)
    }
}

/// A number that no other opening of a database has: whoever claims, claims under it.
fn new_life() -> i64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    i64::try_from(high >> 1).unwrap_or_default()
}

/// One of the numbered arguments that several statements share.
#[derive(Debug, Clone)]
pub(crate) enum Argument {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

/// What store calls answer.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The whole store.
pub trait Store:
    acts::ActStore
    + clock::ClockStore
    + instance::InstanceStore
    + daily::DailyStore
    + ledger::PlanningStore
    + ledger::OutboxStore
    + ledger::ReadingStore
    + policy::PolicyStore
    + register::RegisterStore
{
}

impl<T> Store for T where
    T: acts::ActStore
        + clock::ClockStore
        + instance::InstanceStore
        + daily::DailyStore
        + ledger::PlanningStore
        + ledger::OutboxStore
        + ledger::ReadingStore
        + policy::PolicyStore
        + register::RegisterStore
{
}

/// A database that was opened, with all that any part of the program asks of it.
#[async_trait]
pub trait Opened: Store + intake::IntakeStore {
    /// Closes every connection.
    async fn close(&self);

    /// From now on no call waits longer than `limit` for a server behind a network that says nothing.
    fn give_up_silent(&self, _limit: std::time::Duration) {}

    /// Tells every sender on a shared database that something changed.
    async fn ring(&self) -> Result<()> {
        Ok(())
    }

    /// Calls `rung` whenever somebody rings through a shared database, until it is dropped; elsewhere it ends at once.
    async fn listen(&self, _rung: &(dyn Fn() + Send + Sync)) {}
}

#[async_trait]
impl Opened for sqlite::SqliteStore {
    async fn close(&self) {
        sqlite::SqliteStore::close(self).await;
    }
}

#[async_trait]
impl Opened for postgres::PostgresStore {
    async fn close(&self) {
        postgres::PostgresStore::close(self).await;
    }

    fn give_up_silent(&self, limit: std::time::Duration) {
        postgres::PostgresStore::give_up_silent(self, limit);
    }

    async fn ring(&self) -> Result<()> {
        postgres::PostgresStore::ring(self).await
    }

    async fn listen(&self, rung: &(dyn Fn() + Send + Sync)) {
        postgres::PostgresStore::listen(self, rung).await;
    }
}

/// Where a database is, and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A file of SQLite's.
    File(PathBuf),
    /// A PostgreSQL server: the address without a password, and the password.
    Server { url: String, password: Option<String> },
}

/// Opens a database, creating (a file) and migrating it where needed. One whose office was moved elsewhere is refused.
pub async fn open(address: &Address) -> Result<Arc<dyn Opened>> {
    Ok(match address {
        Address::File(path) => {
            let store = sqlite::SqliteStore::open(&format!("sqlite:{}", path.display())).await?;
            if let Some(gone) = transfer::gone(&store).await? {
                store.close().await;
                return Err(gone.refusal());
            }
            Arc::new(store)
        }
        Address::Server { url, password } => Arc::new(postgres::PostgresStore::open(url, password.as_deref()).await?),
    })
}

/// Opens a database to look only: nothing is created or migrated, and every write fails.
pub async fn open_read_only(address: &Address) -> Result<Arc<dyn Opened>> {
    Ok(match address {
        Address::File(path) => Arc::new(sqlite::SqliteStore::open_read_only(path).await?),
        Address::Server { url, password } => {
            Arc::new(postgres::PostgresStore::open_read_only(url, password.as_deref()).await?)
        }
    })
}
