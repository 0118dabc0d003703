//! The embedded default: SQLite in WAL mode, `synchronous=FULL`, one writer, a few readers.
//!
//! The statements stand in `store/sql`, in the words both databases understand, and are compiled once for each: there
//! they see this module's `Conn`, `DbRow` and so on as `super::`, and the words of its `dialect`.

#[macro_use]
mod dialect;

#[path = "../sql/acts.rs"]
mod acts;
#[path = "../sql/acts_duties.rs"]
mod acts_duties;
mod backup;
#[path = "../sql/bundling.rs"]
mod bundling;
pub mod check;
#[path = "../sql/clock.rs"]
mod clock;
#[path = "../sql/daily.rs"]
mod daily;
#[path = "../sql/gate.rs"]
mod gate;
#[cfg(test)]
mod indexes;
#[path = "../sql/instance.rs"]
mod instance;
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
#[path = "../sql/register_block.rs"]
mod register_block;
#[path = "../sql/rescue.rs"]
mod rescue;
#[path = "../sql/rows.rs"]
mod rows;
pub mod schema;
#[path = "../sql/settling.rs"]
mod settling;
mod writer;

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Argument, Result, StoreError, new_life};

/// Versions before this one can corrupt a WAL when it is reset (SQLite's release notes for 3.51.3).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// What the shared statements of `store/sql` are compiled against.
type Db = Sqlite;
type Conn = sqlx::SqliteConnection;
type DbRow = sqlx::sqlite::SqliteRow;
use SqliteStore as Database;
use writer::{Errand, Tx, Writer};
/// Whether other processes send from the same database.
const SHARED: bool = false;

/// A SQLite database of ours.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Which life of a sender this is: see `sql/rescue.rs`.
    life: i64,
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
            // 16 MB of log instead of 4: what changes with each letter is folded into the database a quarter as often.
            .pragma("wal_autocheckpoint", "4000")
            // Rows on their way from the connection's thread: with the driver's 50 it stops twice in each batch.
            .row_buffer_size(256)
            .pragma("temp_store", "memory")
            // What is deleted or overwritten is gone from the file: content of a task that turns out to be classified.
            .pragma("secure_delete", "on");
        let path = options.get_filename().to_owned();
        let writer = Writer::new(options.clone());
        let mut conn = writer.lend().await.map_err(|error| cannot_open(&path, error))?;
        assert_version(&mut conn).await?;
        schema::migrate(&mut conn, &path).await?;
        conn.give_back();
        // It is there now: whatever takes its place, or nothing, is none of ours.
        let options = options.create_if_missing(false);
        let writer = writer.over(options.clone());
        // Readers never write: a mistake there is an error instead of a second writer.
        let readers = SqlitePoolOptions::new()
            .max_connections(3)
            .min_connections(0)
            // A connection here is a thread of this process: there is no network behind which it might have gone.
            .test_before_acquire(false)
            .idle_timeout(Duration::from_secs(60))
            // Each has a page cache of its own, and what is read again soon is in the system's.
            .connect_with(options.pragma("query_only", "on").pragma("cache_size", "-1000"))
            .await?;
        Ok(Self { writer, readers, life: new_life() })
    }

    /// A write transaction.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        Ok(self.writer.begin().await?)
    }

    /// A write transaction that others of its kind need not wait for; here there is one writer.
    pub(crate) async fn begin_beside(&self) -> Result<Tx> {
        self.begin().await
    }

    /// A write transaction that begins with what `opening!` made, the arguments shared: what each statement gave.
    pub(crate) async fn begin_with(
        &self,
        _alone: bool,
        statements: Errand,
        arguments: Vec<Argument>,
    ) -> Result<(Tx, Vec<Vec<DbRow>>)> {
        Ok(self.writer.begin_with(statements, arguments).await?)
    }

    /// Commits a transaction with what `closing!` made.
    pub(crate) async fn commit_with(tx: Tx, statements: Errand, arguments: Vec<Argument>) -> Result<Vec<Vec<DbRow>>> {
        Ok(tx.commit_with(statements, arguments).await?)
    }

    /// A read transaction: whatever is asked in it is of one moment.
    pub(crate) async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.readers.begin().await?)
    }

    /// Rewrites the whole file, so that what was wiped is in no free page and no log; `false` while another connection
    /// keeps the log in use.
    async fn rewrite(&self) -> Result<bool> {
        let mut conn = self.writer.lend().await?;
        // Rebuilding pages may have left copies in the unused part of others: only a rewrite of the whole file is sure.
        sqlx::query("VACUUM").execute(&mut *conn).await?;
        let busy: i64 = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *conn).await?;
        conn.give_back();
        Ok(busy == 0)
    }

    /// A file's place is its path.
    async fn whereabouts(&self) -> Result<Option<String>> {
        Ok(None)
    }

    /// The machine's clock holds.
    async fn own_time(&self) -> Result<Option<jiff::Timestamp>> {
        Ok(None)
    }

    /// One daemon: it is always its turn.
    async fn turn(&self) -> Result<Option<super::ledger::Turn>> {
        Ok(Some(super::ledger::Turn::alone()))
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

async fn assert_version(conn: &mut Conn) -> Result<()> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await?;
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
        step(3, "instance", include_str!("../migrations/sqlite/0003_instance.sql")),
        step(4, "scale", include_str!("../migrations/sqlite/0004_scale.sql")),
        step(5, "clock", include_str!("../migrations/sqlite/0005_clock.sql")),
        step(7, "letter", include_str!("../migrations/sqlite/0007_letter.sql")),
        step(8, "revision", include_str!("../migrations/sqlite/0008_revision.sql")),
        step(9, "part", include_str!("../migrations/sqlite/0009_part.sql")),
        step(10, "sender", include_str!("../migrations/sqlite/0010_sender.sql")),
    ])
}
