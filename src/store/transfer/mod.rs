//! `dondoc db move`: everything from a SQLite database into an empty PostgreSQL one, ids and bytes kept, so that nothing
//! is sent again and nothing is forgotten. Which tables there are is read from the source's schema, never listed here.
//!
//! One transaction on the target. Before it the source is marked with where it goes, and from then on refuses to serve
//! or to be written, also by a command that had opened it before; so at no moment, however this ends, do two databases think that they are the office's. A move that
//! was torn off is called again with the same address: it finds out by the move's own number whether the target has it.
//!
//! This module never opens a database and never decides where to: the caller holds the instance lock and hands over both.

mod copying;
mod schema;
mod shut;

use jiff::Timestamp;
use sqlx::{PgConnection, Row, SqliteConnection};
use uuid::Uuid;

use self::{
    copying::{copy, read_back},
    schema::{Table, check_empty, identities, lock, tables},
    shut::{shut, unshut},
};
use super::{
    Result, StoreError,
    ledger::{OutboxStore, Rescued},
    postgres::PostgresStore,
    sqlite::SqliteStore,
};

/// In `meta` of the source: where it was moved to, or is being moved to.
const TO: &str = "moved_to";
/// In `meta` of both: the number of the move.
const NUMBER: &str = "move_number";
/// In `mark` of the source: when the move was complete. Without it the move is under way, or was torn off.
const COMPLETE: &str = "moved_to";

/// What a move came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Rows by table, in the order they were carried.
    pub tables: Vec<(String, u64)>,
    pub register_entries: i64,
    pub register_head: String,
    /// What a crash had left leased or handed over before the move.
    pub rescued: Rescued,
    /// Texts in which a NUL character, which PostgreSQL does not take, became U+FFFD.
    pub replaced: u64,
    /// An earlier call had carried everything already and was torn off before it could say so.
    pub was_complete: bool,
}

/// Where a SQLite database says that its office went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    pub to: String,
    /// None: the move was begun and its end is not known.
    pub at: Option<Timestamp>,
    number: String,
}

impl Gone {
    /// What whoever opens the database is told.
    pub fn refusal(&self) -> StoreError {
        let Self { to, at, .. } = self;
        StoreError::Refused(match at {
            Some(at) => {
                format!("this database was moved to {to} on {at}: set store.url to that; nothing is sent from here")
            }
            None => format!(
                "a move of this database to {to} was begun and not finished: run `dondoc db move {to}` again, or with \
                 --cancel if it is given up; until then nothing is sent from here"
            ),
        })
    }
}

/// Whether this database was moved, and where to.
pub async fn gone(source: &SqliteStore) -> Result<Option<Gone>> {
    let row = sqlx::query(
        "SELECT (SELECT value FROM meta WHERE key = $1) AS moved_to, (SELECT value FROM meta WHERE key = $2) AS number, \
         (SELECT value FROM mark WHERE name = $3) AS at",
    )
    .bind(TO)
    .bind(NUMBER)
    .bind(COMPLETE)
    .fetch_one(source.reading())
    .await?;
    let Some(to) = row.try_get::<Option<String>, _>("moved_to")? else { return Ok(None) };
    let at = row.try_get::<Option<i64>, _>("at")?.and_then(|at| Timestamp::from_millisecond(at).ok());
    Ok(Some(Gone { to, at, number: row.try_get::<Option<String>, _>("number")?.unwrap_or_default() }))
}

/// Carries everything. `target` is migrated; `to` is its address as people are to set it, without a password.
///
/// # Errors
/// `Refused` where the source was moved elsewhere or the target holds something; then nothing was changed in either. Any
/// error before the target's commit leaves the source in service. Where the answer to that commit was lost the source
/// stays marked, and the same call again finds out.
pub async fn carry(source: &SqliteStore, target: &PostgresStore, now: Timestamp, to: &str) -> Result<Moved> {
    let begun = gone(source).await?;
    if let Some(gone) = &begun {
        if gone.to != to || gone.at.is_some() {
            return Err(gone.refusal());
        }
        if has_move(&mut *target.begin().await?, &gone.number).await? {
            complete(source, now).await?;
            return Ok(Moved { was_complete: true, ..Moved::default() });
        }
    }
    let from = tables(&mut *source.begin().await?).await?;
    check_empty(&mut *target.begin().await?, &from).await?;
    // What a crash left in hand is settled first, as at any start: the lock proves that nobody is sending.
    let rescued = source.rescue(now).await?;
    let number = Uuid::new_v4().simple().to_string();
    set_gone(source, to, &number).await?;
    // Alone: whoever serves the target already waits, and finds everything at once.
    let mut moving = match target.begin().await {
        Ok(moving) => moving,
        Err(error) => return Err(undone(source, error).await),
    };
    let moved = match fill(source, &mut moving, &from, &number).await {
        Ok(moved) => moved,
        Err(error) => {
            let _ = moving.rollback().await;
            return Err(undone(source, error).await);
        }
    };
    moving.commit().await?;
    complete(source, now).await?;
    // Without figures of its tables the first plans would read them whole. Autovacuum would do it within a minute.
    let mut tx = target.begin().await?;
    sqlx::query("ANALYZE").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(Moved { rescued, ..moved })
}

/// Nothing was committed there, whatever became of the connection: this database serves on.
async fn undone(source: &SqliteStore, error: StoreError) -> StoreError {
    match forget(source).await {
        Ok(()) => error,
        Err(also) => also,
    }
}

/// Gives a torn-off move up: this database serves again. Refused if the target has everything.
pub async fn cancel(source: &SqliteStore, target: &PostgresStore, to: &str) -> Result<()> {
    let Some(gone) = gone(source).await? else {
        return Err(StoreError::Refused("this database was not moved; there is nothing to cancel".to_owned()));
    };
    if gone.to != to || gone.at.is_some() {
        return Err(gone.refusal());
    }
    if has_move(&mut *target.begin().await?, &gone.number).await? {
        return Err(StoreError::Refused(format!(
            "{to} has everything already: run `dondoc db move {to}` without --cancel to finish"
        )));
    }
    forget(source).await
}

/// Within the target's transaction: every row, compared with what arrived; sequences; the move's number.
async fn fill(source: &SqliteStore, target: &mut PgConnection, from: &[Table], number: &str) -> Result<Moved> {
    lock(target, from).await?;
    // Again, now that nobody else can write there.
    check_empty(target, from).await?;
    // Held until all is read: no command writes meanwhile what would not be carried.
    let mut reading = source.begin().await?;
    let mut moved = Moved::default();
    for table in from {
        let sent = copy(&mut reading, target, table, &mut moved.replaced).await?;
        let there = read_back(target, table).await?;
        if sent != there {
            return Err(StoreError::Refused(format!(
                "the table {} did not arrive as it left ({} rows here, {} there): nothing was moved",
                table.name, sent.rows, there.rows
            )));
        }
        moved.tables.push((table.name.clone(), sent.rows));
    }
    for (table, column) in identities(target).await? {
        let highest = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 1), max({column}) IS NOT NULL) \
             FROM {table}"
        );
        sqlx::query(sqlx::AssertSqlSafe(highest)).execute(&mut *target).await?;
    }
    let (here, there) = (head(&mut reading).await?, target_head(target).await?);
    if here != there {
        return Err(StoreError::Refused("the register's head did not arrive as it left: nothing was moved".to_owned()));
    }
    (moved.register_entries, moved.register_head) = here;
    sqlx::query("INSERT INTO meta(key, value) VALUES ($1, $2)").bind(NUMBER).bind(number).execute(target).await?;
    reading.rollback().await?;
    Ok(moved)
}

async fn head(source: &mut SqliteConnection) -> Result<(i64, String)> {
    Ok(sqlx::query_as("SELECT seq, hash FROM register_head").fetch_one(source).await?)
}

async fn target_head(target: &mut PgConnection) -> Result<(i64, String)> {
    Ok(sqlx::query_as("SELECT seq, hash FROM register_head").fetch_one(target).await?)
}

async fn has_move(target: &mut PgConnection, number: &str) -> Result<bool> {
    let there: Option<String> =
        sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(NUMBER).fetch_optional(target).await?;
    Ok(there.is_some_and(|there| there == number))
}

async fn set_gone(source: &SqliteStore, to: &str, number: &str) -> Result<()> {
    let mut tx = source.begin().await?;
    // A move that was torn off may have shut it already.
    unshut(&mut tx).await?;
    for (key, value) in [(TO, to), (NUMBER, number)] {
        sqlx::query(
            "INSERT INTO meta(key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&mut *tx)
        .await?;
    }
    shut(&mut tx, to).await?;
    Ok(tx.commit().await?)
}

async fn complete(source: &SqliteStore, now: Timestamp) -> Result<()> {
    let mut tx = source.begin().await?;
    sqlx::query(
        "INSERT INTO mark(name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(COMPLETE)
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}

async fn forget(source: &SqliteStore) -> Result<()> {
    let mut tx = source.begin().await?;
    unshut(&mut tx).await?;
    sqlx::query("DELETE FROM meta WHERE key IN ($1, $2)").bind(TO).bind(NUMBER).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// What of a table stays behind, as a condition on its rows: only what says that it was moved.
fn stays(table: &str) -> Option<String> {
    (table == "meta").then(|| format!("key IN ('{TO}', '{NUMBER}')"))
}
