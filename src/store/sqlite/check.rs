//! Whether a database file holds together: SQLite's own checks, and what the ledger promises of its rows. Reads only.
//!
//! SQLite keeps no checksum of its pages. Found are: pages, keys, indexes and constraints that do not fit, words no column
//! may hold, rows that contradict one another. A flipped letter inside a free text, such as a task's title, is found only
//! where a hash covers it (notices, the register, names in it); for the rest the file system must keep checksums.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};

use super::{SqliteStore, migrator, schema};
use crate::store::{Result, StoreError};

/// Faults that are listed of one kind.
const MOST: i64 = 20;

/// What the ledger promises: a word for it, and a statement that counts the rows that break it.
const PROMISES: [(&str, &str); 13] = [
    (
        "a message is in work without a lease, or leased without being in work",
        "SELECT count(*) FROM message WHERE (state IN ('leased', 'frozen')) <> (lease_token IS NOT NULL)",
    ),
    (
        "a message was handed over without its bytes and its Message-ID on record",
        "SELECT count(*) FROM message WHERE state IN ('frozen', 'sent', 'unknown') AND (bytes IS NULL OR message_id IS NULL)",
    ),
    (
        "a message is in work without an attempt under its token",
        "SELECT count(*) FROM message m WHERE m.state IN ('leased', 'frozen') AND NOT EXISTS \
         (SELECT 1 FROM attempt a WHERE a.message = m.id AND a.token = m.lease_token AND a.ended_at IS NULL)",
    ),
    (
        "a message counts as sent without an attempt that was handed over",
        "SELECT count(*) FROM message m WHERE m.state = 'sent' AND NOT EXISTS \
         (SELECT 1 FROM attempt a WHERE a.message = m.id AND a.outcome = 'accepted')",
    ),
    (
        "a message counts fewer attempts than are on record",
        "SELECT count(*) FROM message m WHERE m.tries < (SELECT max(a.n) FROM attempt a WHERE a.message = m.id)",
    ),
    (
        "a reminder waits in a message that is over",
        "SELECT count(*) FROM reminder r JOIN message m ON m.id = r.message \
         WHERE r.state = 'in_message' AND m.state NOT IN ('pending', 'leased', 'frozen')",
    ),
    (
        "a reminder counts as sent in a message that was not",
        "SELECT count(*) FROM reminder r JOIN message m ON m.id = r.message WHERE r.state = 'sent' AND m.state <> 'sent'",
    ),
    (
        "a message waits with nothing in it",
        // A day's list carries none.
        "SELECT count(*) FROM message m WHERE m.state = 'pending' AND NOT EXISTS (SELECT 1 FROM reminder r WHERE r.message = m.id) \
         AND NOT EXISTS (SELECT 1 FROM daily_list d WHERE d.message = m.id)",
    ),
    (
        "an open task is never looked at again",
        "SELECT count(*) FROM task t WHERE t.state NOT IN ('done', 'withdrawn', 'paused') AND t.held = '' \
         AND t.next_look_at IS NULL AND EXISTS (SELECT 1 FROM reminder r WHERE r.task = t.id AND r.state = 'planned')",
    ),
    (
        "a year's last notice number is not that of its notices",
        "SELECT count(*) FROM notice_number y WHERE y.last <> (SELECT coalesce(max(n.number), 0) FROM notice n WHERE n.year = y.year)",
    ),
    (
        "a notice of a year that counts no numbers",
        "SELECT count(*) FROM notice n WHERE NOT EXISTS (SELECT 1 FROM notice_number y WHERE y.year = n.year)",
    ),
    (
        "a notice has no file to be written",
        "SELECT count(*) FROM notice n WHERE NOT EXISTS (SELECT 1 FROM file_export f WHERE f.notice = n.id)",
    ),
    ("more than one identity", "SELECT CASE WHEN count(*) > 1 THEN count(*) ELSE 0 END FROM instance"),
];

/// What a check came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The file's schema and this program's.
    pub schema: i64,
    pub known: i64,
    /// (`integrity` | `foreign_key` | `ledger` | `schema`, what is wrong)
    pub faults: Vec<(&'static str, String)>,
    pub in_work: i64,
}

impl SqliteStore {
    /// Checks a database that was opened for reading.
    pub async fn check(&self) -> Result<CheckReport> {
        let mut db = self.reading().acquire().await?;
        let mut report = CheckReport { known: schema::known(), ..CheckReport::default() };
        let said: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("PRAGMA integrity_check({MOST})")))
            .fetch_all(&mut *db)
            .await
            .or_else(|error| told(error, |said| vec![said]))?;
        report.faults.extend(said.into_iter().filter(|said| said != "ok").map(|said| ("integrity", said)));
        match sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *db).await {
            Ok(rows) => {
                for row in rows.iter().take(MOST as usize) {
                    let (table, id, parent): (String, Option<i64>, String) =
                        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
                    let id = id.map_or_else(String::new, |id| format!(" {id}"));
                    report
                        .faults
                        .push(("foreign_key", format!("{table}{id} names a row of {parent} that is not there")));
                }
            }
            Err(error) => report.faults.push(told(error, |said| ("foreign_key", said))?),
        }
        let version: std::result::Result<Option<i64>, _> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *db).await;
        match version {
            Ok(version) => report.schema = version.unwrap_or_default(),
            Err(error) => report.faults.push(told(error, |said| ("schema", said))?),
        }
        report.faults.extend(schema_faults(&mut db).await.or_else(|error| told(error, |said| vec![("schema", said)]))?);
        if report.schema < report.known {
            // The promises are those of this program's tables.
            return Ok(report);
        }
        for (promise, count) in PROMISES {
            match sqlx::query_scalar::<_, i64>(count).fetch_one(&mut *db).await {
                Ok(0) => {}
                Ok(rows) => report.faults.push(("ledger", format!("{promise} ({rows})"))),
                Err(error) => report.faults.push(told(error, |said| ("ledger", format!("{promise}: {said}")))?),
            }
        }
        let in_work = "SELECT count(*) FROM message WHERE state IN ('leased', 'frozen')";
        report.in_work = sqlx::query_scalar(in_work).fetch_one(&mut *db).await.or_else(|error| told(error, |_| 0))?;
        Ok(report)
    }
}

/// Tables, indexes and triggers that are not as the migrations on record made them.
async fn schema_faults(db: &mut SqliteConnection) -> std::result::Result<Vec<(&'static str, String)>, sqlx::Error> {
    let mut faults = Vec::new();
    let history: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version").fetch_all(&mut *db).await?;
    let migrator = migrator();
    let differs = |(version, checksum): &&(i64, Vec<u8>)| {
        !migrator.iter().any(|step| step.version == *version && *step.checksum == **checksum)
    };
    if let Some((version, _)) = history.iter().find(differs) {
        faults.push(("schema", format!("the history's entry {version} is not one of this program's")));
        return Ok(faults);
    }
    let newest = history.last().map_or(0, |(version, _)| *version);
    let mut fresh = SqliteConnection::connect("sqlite::memory:").await?;
    let made = migrator.run_direct(Some(newest), &mut fresh, false).await;
    if let Err(error) = made {
        return Err(sqlx::Error::Configuration(error.into()));
    }
    const OBJECTS: &str = "SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master";
    let there: Vec<(String, String, String, String)> = sqlx::query_as(OBJECTS).fetch_all(&mut *db).await?;
    let made: Vec<(String, String, String, String)> = sqlx::query_as(OBJECTS).fetch_all(&mut fresh).await?;
    fresh.close().await?;
    for object in made.iter().filter(|object| !there.contains(object)).take(MOST as usize) {
        faults.push(("schema", format!("the {} {} is not as this program makes it", object.0, object.1)));
    }
    Ok(faults)
}

/// What SQLite says of a damaged file is an answer; anything else is not.
fn told<T>(error: sqlx::Error, answer: impl FnOnce(String) -> T) -> Result<T> {
    let said = error.to_string();
    let error = StoreError::from(error);
    // A table or column that is gone belongs to a damaged schema.
    let of_the_file = error.is_io() || matches!(&error, StoreError::Database(sqlx::Error::Database(_)));
    if of_the_file { Ok(answer(said)) } else { Err(error) }
}

/// Refuses a file of a newer program before anything else is asked of it.
pub async fn refuse_newer(path: &Path) -> Result<()> {
    schema::refuse_newer(path, schema::of_file(path).await?)
}
