//! The embedded default: SQLite in WAL mode, `synchronous=FULL`, one writer, a few readers.
//!
//! The statements stand in `store/sql`, in the words both databases understand, and are compiled once for each: there
//! they see this module's [`Conn`], [`DbRow`] and so on as `super::`.

#[path = "../sql/acts.rs"]
mod acts;
#[path = "../sql/acts_duties.rs"]
mod acts_duties;
#[cfg(test)]
mod indexes;
#[path = "../sql/intake.rs"]
mod intake;
#[path = "../sql/intake_directory.rs"]
mod intake_directory;
#[path = "../sql/intake_stored.rs"]
mod intake_stored;
#[path = "../sql/ledger_silence.rs"]
pub(crate) mod ledger_silence;
#[path = "../sql/outbox.rs"]
mod outbox;
#[path = "../sql/outcomes.rs"]
mod outcomes;
#[path = "../sql/planning.rs"]
mod planning;
#[path = "../sql/policy.rs"]
mod policy;
mod read_only;
#[path = "../sql/reading.rs"]
mod reading;
#[path = "../sql/reading_story.rs"]
mod reading_story;
#[path = "../sql/register.rs"]
pub(crate) mod register;
#[path = "../sql/rows.rs"]
mod rows;

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Result, StoreError};

/// Versions before this one can corrupt a WAL when it is reset (SQLite's release notes for 3.51.3).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// What the shared statements of `store/sql` are compiled against.
type Db = Sqlite;
type Conn = sqlx::SqliteConnection;
type DbRow = sqlx::sqlite::SqliteRow;
type Pool = SqlitePool;
type Tx = Transaction<'static, Sqlite>;
use SqliteStore as Database;

/// A SQLite database of ours.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database of a `sqlite:PATH` address, creating and migrating it where needed.
    pub async fn open(url: &str) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            // Set first: every later pragma may already have to wait for another process.
            .busy_timeout(Duration::from_secs(10))
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-4000")
            .pragma("temp_store", "memory")
            // What is deleted or overwritten is gone from the file: content of a task that turns out to be classified.
            .pragma("secure_delete", "on");
        let path = options.get_filename().to_owned();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await
            .map_err(|error| cannot_open(&path, error))?;
        assert_version(&writer).await?;
        migrate(&writer, &path).await?;
        // Readers never write: a mistake there is an error instead of a second writer.
        let readers = SqlitePoolOptions::new()
            .max_connections(3)
            .min_connections(0)
            .idle_timeout(Duration::from_secs(60))
            // Each has a page cache of its own, and what is read again soon is in the system's.
            .connect_with(options.pragma("query_only", "on").pragma("cache_size", "-1000"))
            .await?;
        Ok(Self { writer, readers })
    }

    /// A write transaction. BEGIN IMMEDIATE, because a deferred one that upgrades ignores the busy timeout
    /// (sqlx #1182).
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Connections for reading.
    pub(crate) fn reading(&self) -> &SqlitePool {
        &self.readers
    }

    /// Closes every connection; the write-ahead log is folded into the database.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn cannot_open(path: &Path, error: sqlx::Error) -> StoreError {
    StoreError::Refused(format!(
        "cannot open the database {}: {error}; check that its folder exists and that this user may write there",
        path.display()
    ))
}

async fn assert_version(pool: &SqlitePool) -> Result<()> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    if (next(), next(), next()) < OLDEST_SQLITE {
        let (major, minor, patch) = OLDEST_SQLITE;
        return Err(StoreError::Refused(format!(
            "SQLite {version} may damage its write-ahead log; {major}.{minor}.{patch} or newer is needed"
        )));
    }
    Ok(())
}

/// The schema's history. Text only, so that the same list works without macros.
fn migrator() -> Migrator {
    let step = |version: i64, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations(vec![
        step(1, "ledger", include_str!("../migrations/sqlite/0001_ledger.sql")),
        step(2, "policy", include_str!("../migrations/sqlite/0002_policy.sql")),
    ])
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<()> {
    // Two commands started together must not both create the tables: a lock on a file beside the database, for an
    // in-memory one is nobody else's.
    let _lock = if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        None
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push("-migrate");
        let file = std::fs::File::create(&name)
            .map_err(|error| StoreError::Refused(format!("cannot write {}: {error}", Path::new(&name).display())))?;
        file.lock().map_err(|error| StoreError::Refused(format!("cannot lock the database for migration: {error}")))?;
        Some(file)
    };
    migrator().run(pool).await?;
    Ok(())
}
