//! The one connection that writes, and its transactions.
//!
//! No pool: after each use it would ask a thread of this process whether it is still there, and the next transaction
//! would wait for the answer. Whatever ends a transaction half-way takes the connection with it, and SQLite rolls back
//! what was open there; the next one opens another.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt;
use sqlx::{
    Arguments, ConnectOptions, Connection, Either, Executor, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::store::Argument;

/// How long a transaction waits for the one before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Statements joined by `;`, and how many they are.
pub(super) type Errand = (&'static str, usize);

#[derive(Debug, Clone)]
pub(super) struct Writer {
    options: SqliteConnectOptions,
    place: Arc<Mutex<Place>>,
}

#[derive(Debug, Default)]
struct Place {
    idle: Option<SqliteConnection>,
    closed: bool,
}

impl Writer {
    /// It connects when it is first wanted.
    pub(super) fn new(options: SqliteConnectOptions) -> Self {
        Self { options, place: Arc::default() }
    }

    /// The same connection; another one, where there has to be, is opened like this.
    pub(super) fn over(self, options: SqliteConnectOptions) -> Self {
        Self { options, ..self }
    }

    /// Begins a transaction. Immediate, because a deferred one that upgrades ignores the busy timeout (sqlx #1182).
    pub(super) async fn begin(&self) -> sqlx::Result<Tx> {
        let mut tx = self.lend().await?;
        all(&mut tx, ("BEGIN IMMEDIATE", 1), Vec::new()).await?;
        Ok(tx)
    }

    /// Begins one with statements that `opening!` made: what these gave.
    pub(super) async fn begin_with(
        &self,
        statements: Errand,
        arguments: Vec<Argument>,
    ) -> sqlx::Result<(Tx, Vec<Vec<SqliteRow>>)> {
        let mut tx = self.lend().await?;
        let given = all(&mut tx, statements, arguments).await?;
        Ok((tx, given.into_iter().skip(1).collect()))
    }

    /// The connection, outside of any transaction until it is told to begin one.
    pub(super) async fn lend(&self) -> sqlx::Result<Tx> {
        let mut place = match self.place.clone().try_lock_owned() {
            Ok(place) => place,
            Err(_) => tokio::time::timeout(PATIENCE, self.place.clone().lock_owned())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)?,
        };
        if place.closed {
            return Err(sqlx::Error::PoolClosed);
        }
        let conn = match place.idle.take() {
            Some(conn) => conn,
            None => self.options.connect().await?,
        };
        Ok(Tx { conn, place })
    }

    /// Waits for the transaction under way and closes the connection.
    pub(super) async fn close(&self) {
        let mut place = self.place.lock().await;
        place.closed = true;
        if let Some(conn) = place.idle.take()
            && let Err(error) = conn.close().await
        {
            tracing::debug!(%error, "the writing connection did not close");
        }
    }
}

/// A write transaction. Dropped before its end it is rolled back, with its connection.
#[derive(Debug)]
pub(crate) struct Tx {
    conn: SqliteConnection,
    place: OwnedMutexGuard<Place>,
}

impl Tx {
    pub(crate) async fn commit(self) -> sqlx::Result<()> {
        self.end("COMMIT").await
    }

    pub(crate) async fn rollback(self) -> sqlx::Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> sqlx::Result<()> {
        all(&mut self.conn, (how, 1), Vec::new()).await?;
        self.give_back();
        Ok(())
    }

    /// Ends it with statements that `closing!` made: what these gave.
    pub(super) async fn commit_with(
        mut self,
        statements: Errand,
        arguments: Vec<Argument>,
    ) -> sqlx::Result<Vec<Vec<SqliteRow>>> {
        let given = all(&mut self.conn, statements, arguments).await?;
        self.give_back();
        Ok(given)
    }

    /// The connection is in no transaction any more.
    pub(super) fn give_back(mut self) {
        self.place.idle = Some(self.conn);
    }
}

impl Deref for Tx {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.conn
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.conn
    }
}

/// Runs statements joined by `;`, which share their numbered arguments, in one errand to the connection's thread: the
/// rows that each gave. The driver would rather not (sqlx #3108); should a later one refuse, they are run one by one.
async fn all(
    conn: &mut SqliteConnection,
    (statements, many): Errand,
    arguments: Vec<Argument>,
) -> sqlx::Result<Vec<Vec<SqliteRow>>> {
    let mut shared = SqliteArguments::default();
    for argument in arguments {
        let added = match argument {
            Argument::Text(text) => shared.add(text),
            Argument::Number(number) => shared.add(number),
            Argument::Bytes(bytes) => shared.add(bytes),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    let mut given = vec![Vec::new()];
    let mut answers = conn.fetch_many(sqlx::query_with(statements, shared));
    while let Some(answer) = answers.try_next().await? {
        match (answer, given.last_mut()) {
            (Either::Right(row), Some(rows)) => rows.push(row),
            // The end of one is where the next begins.
            _ => given.push(Vec::new()),
        }
    }
    given.pop();
    // Where its thread has died the driver says no more than that nothing else comes: no statement, no COMMIT, was run.
    if given.len() == many { Ok(given) } else { Err(sqlx::Error::WorkerCrashed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn database(folder: &tempfile::TempDir) -> Writer {
        let options = SqliteConnectOptions::new().filename(folder.path().join("a.db"));
        let writer = Writer::new(options.clone().create_if_missing(true));
        let mut tx = writer.begin().await.unwrap();
        sqlx::query("CREATE TABLE t (n INTEGER)").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        writer.over(options)
    }

    async fn rows(writer: &Writer) -> i64 {
        let mut tx = writer.begin().await.unwrap();
        let rows = sqlx::query_scalar("SELECT count(*) FROM t").fetch_one(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        rows
    }

    #[tokio::test]
    async fn whatever_ends_a_transaction_half_way_leaves_nothing_of_it_and_the_next_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let writer = database(&folder).await;
        let mut tx = writer.begin().await.unwrap();
        sqlx::query("INSERT INTO t VALUES (1)").execute(&mut *tx).await.unwrap();
        drop(tx);
        assert_eq!(rows(&writer).await, 0);
        // An errand of which the second statement fails.
        let tx = writer.begin().await.unwrap();
        let torn = ("INSERT INTO t VALUES ($1);INSERT INTO nowhere VALUES ($1);COMMIT", 3);
        tx.commit_with(torn, vec![Argument::Number(2)]).await.unwrap_err();
        assert_eq!(rows(&writer).await, 0);
        let (tx, given) = writer
            .begin_with(("BEGIN IMMEDIATE;INSERT INTO t VALUES ($2);SELECT n FROM t;", 3), {
                vec![Argument::Text(String::new()), Argument::Number(3)]
            })
            .await
            .unwrap();
        assert_eq!(given.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
        tx.commit().await.unwrap();
        assert_eq!(rows(&writer).await, 1);
        writer.close().await;
        assert!(matches!(writer.begin().await, Err(sqlx::Error::PoolClosed)));
    }

    #[tokio::test]
    async fn an_errand_that_gave_fewer_answers_than_statements_did_not_succeed() {
        let folder = tempfile::tempdir().unwrap();
        let tx = database(&folder).await.begin().await.unwrap();
        let short = tx.commit_with(("INSERT INTO t VALUES (1)", 2), Vec::new()).await;
        assert!(matches!(short, Err(sqlx::Error::WorkerCrashed)), "{short:?}");
    }

    #[tokio::test]
    async fn a_database_that_was_moved_away_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let writer = database(&folder).await;
        drop(writer.begin().await.unwrap());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
        writer.begin().await.unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
