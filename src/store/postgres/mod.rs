//! PostgreSQL, for several senders on one database. The statements are those of `store/sql`, compiled against this
//! module's `Conn`, `DbRow` and so on, and the words of its `dialect`.
//!
//! Every write transaction begins with one advisory lock of its own length, in two strengths. What changes tasks, plans,
//! bundles, the directory or the register takes it **alone**; claims, gates and acceptances take it **beside** each other,
//! on different messages. So a completion is committed wholly before a gate or wholly after it, as on SQLite.
//!
//! Nothing is kept in a session (a lock, a setting, a cursor): a connection may break at any point, and a pooler that
//! gives each transaction another one may stand between.

#[macro_use]
mod dialect;

#[path = "../sql/acts.rs"]
mod acts;
#[path = "../sql/acts_duties.rs"]
mod acts_duties;
#[path = "../sql/bundling.rs"]
mod bundling;
#[path = "../sql/clock.rs"]
mod clock;
#[path = "../sql/daily.rs"]
mod daily;
#[path = "../sql/gate.rs"]
mod gate;
#[path = "../sql/instance.rs"]
mod instance;
#[path = "../sql/intake.rs"]
mod intake;
#[path = "../sql/intake_directory.rs"]
mod intake_directory;
#[path = "../sql/intake_stored.rs"]
mod intake_stored;
#[path = "../sql/ledger_silence.rs"]
mod ledger_silence;
mod migrations;
#[path = "../sql/outbox.rs"]
mod outbox;
#[path = "../sql/outcomes.rs"]
mod outcomes;
#[path = "../sql/planning.rs"]
mod planning;
#[path = "../sql/policy.rs"]
mod policy;
#[path = "../sql/reading.rs"]
mod reading;
#[path = "../sql/reading_story.rs"]
mod reading_story;
#[path = "../sql/register.rs"]
mod register;
#[path = "../sql/register_block.rs"]
mod register_block;
#[path = "../sql/rescue.rs"]
mod rescue;
#[path = "../sql/rows.rs"]
mod rows;
#[path = "../sql/settling.rs"]
mod settling;
mod silence;

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{
    PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{Argument, Result, StoreError, ledger::Turn, new_life};
use crate::clock::millis;

/// What the shared statements of `store/sql` are compiled against.
type Db = Postgres;
type Conn = sqlx::PgConnection;
type DbRow = sqlx::postgres::PgRow;
type Tx = Transaction<'static, Postgres>;
use PostgresStore as Database;
/// Whether other processes send from the same database.
const SHARED: bool = true;

/// The first version with everything that is used here, and still cared for.
const OLDEST_SERVER: i64 = 140_000;

/// Connections that write: the scan and its turn, two channels that claim and settle, an act from the pages.
const WRITERS: u32 = 6;
/// Connections that read.
const READERS: u32 = 4;

/// What a write transaction begins with. Its settings end with it. A holder that is stopped in the middle is cut off by
/// the server, so that the others wait for it no longer than that.
const ALONE: &str = "SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL lock_timeout = '60s'; \
                     SELECT pg_advisory_xact_lock(8246310511)";
const BESIDE: &str = "SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL lock_timeout = '60s'; \
                      SELECT pg_advisory_xact_lock_shared(8246310511)";
/// Held while a scan goes on; lost, two scans work beside each other and one of them in vain.
const TURN: &str = "SELECT pg_try_advisory_xact_lock(8246310513)";
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// The channel of NOTIFY.
const BELL: &str = "dondoc";

/// Tables in which the content of a task may have stood.
const HOLD_CONTENT: &str = "task, document, task_event, extension, contact_log, message, letter";

/// A PostgreSQL database of ours.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    writer: PgPool,
    readers: PgPool,
    /// Which life of a sender this is: see `sql/rescue.rs`.
    life: i64,
    /// The server's port, where it is behind one.
    port: Option<u16>,
    /// Connections that wait for rings.
    listening: Arc<AtomicUsize>,
    /// Gone with the last clone.
    alive: Arc<()>,
}

impl PostgresStore {
    /// Opens the database of a `postgres://` address, migrating it where needed. The address holds no password.
    pub async fn open(url: &str, password: Option<&str>) -> Result<Self> {
        let options = options(url, password)?;
        let writer = pool(WRITERS).connect_with(options.clone()).await.map_err(|error| cannot_open(&options, error))?;
        assert_server(&writer).await?;
        migrations::run(&writer).await?;
        let port = port_of(&options);
        let readers = pool(READERS).connect_lazy_with(reading(options, url));
        Ok(Self { writer, readers, life: new_life(), port, listening: Arc::default(), alive: Arc::default() })
    }

    /// Opens it for looking only: nothing is migrated, and every write through it fails.
    pub async fn open_read_only(url: &str, password: Option<&str>) -> Result<Self> {
        let options = reading(options(url, password)?, url);
        let readers = pool(2).connect_with(options.clone()).await.map_err(|error| cannot_open(&options, error))?;
        migrations::assert_known(&readers).await?;
        let port = port_of(&options);
        Ok(Self {
            writer: readers.clone(),
            readers,
            life: new_life(),
            port,
            listening: Arc::default(),
            alive: Arc::default(),
        })
    }

    /// From now on no call waits longer than `limit` for a server that says nothing: it fails, and the next one asks on
    /// another connection. For daemons: what a command does by itself (rewriting a table) may take longer than that.
    /// Through a socket of this machine's own there is nothing that might fall silent.
    pub fn give_up_silent(&self, limit: Duration) {
        if let Some(port) = self.port {
            let pools = [self.writer.clone(), self.readers.clone()];
            let watched = silence::Watched { port, pools, listening: self.listening.clone() };
            silence::watch(watched, limit, &self.alive);
        }
    }

    /// A write transaction that nothing else is written beside.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        self.locked(ALONE).await
    }

    /// A write transaction about messages of its own: others of its kind go on beside it.
    pub(crate) async fn begin_beside(&self) -> Result<Tx> {
        self.locked(BESIDE).await
    }

    /// A write transaction that begins with what `opening!` made, the arguments shared: what each statement gave.
    pub(crate) async fn begin_with(
        &self,
        alone: bool,
        statements: &'static [&'static str],
        arguments: Vec<Argument>,
    ) -> Result<(Tx, Vec<Vec<DbRow>>)> {
        let mut tx = self.locked(if alone { ALONE } else { BESIDE }).await?;
        let given = all(&mut tx, statements, arguments).await?;
        Ok((tx, given))
    }

    /// Commits a transaction with what `closing!` made.
    pub(crate) async fn commit_with(
        mut tx: Tx,
        statements: &'static [&'static str],
        arguments: Vec<Argument>,
    ) -> Result<Vec<Vec<DbRow>>> {
        let given = all(&mut tx, statements, arguments).await?;
        tx.commit().await?;
        Ok(given)
    }

    async fn locked(&self, lock: &'static str) -> Result<Tx> {
        let writer = self.writer.clone();
        finished(async move {
            // Two steps: an error in the first statement after BEGIN must find a transaction that sqlx rolls back.
            let mut tx = writer.begin().await?;
            sqlx::raw_sql(lock).execute(&mut *tx).await?;
            Ok(tx)
        })
        .await
    }

    /// A read transaction: whatever is asked in it is of one moment.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        let readers = self.readers.clone();
        finished(async move { Ok(readers.begin_with(SNAPSHOT).await?) }).await
    }

    /// The server's identity, given at initdb, and the database's number on it. Where this role may not ask, nothing is
    /// compared.
    async fn whereabouts(&self) -> Result<Option<String>> {
        let found: std::result::Result<String, sqlx::Error> = sqlx::query_scalar(
            "SELECT 'postgresql:' || system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) \
             FROM pg_control_system()",
        )
        .fetch_one(&self.readers)
        .await;
        match found {
            Ok(place) => Ok(Some(place)),
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42501") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The database's clock.
    async fn own_time(&self) -> Result<Option<Timestamp>> {
        let now: i64 = sqlx::query_scalar("SELECT office_now()").fetch_one(&self.readers).await?;
        Ok(Some(millis(now)))
    }

    /// The turn to plan, as a lock of a transaction: it ends with the transaction, the connection or the process, and
    /// a process that stands still loses it.
    async fn turn(&self) -> Result<Option<Turn>> {
        let writer = self.writer.clone();
        finished(async move {
            let mut tx = writer.begin().await?;
            sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = '60s'").execute(&mut *tx).await?;
            let mine: bool = sqlx::query_scalar(TURN).fetch_one(&mut *tx).await?;
            Ok(mine.then(|| Turn::held(tx)))
        })
        .await
    }

    /// Says to every sender on this database that something changed.
    pub async fn ring(&self) -> Result<()> {
        sqlx::query("SELECT pg_notify($1, '')").bind(BELL).execute(&self.writer).await?;
        Ok(())
    }

    /// Calls `rung` whenever any process rings; ends only when it is dropped. A connection that is lost is taken up
    /// again; what was rung meanwhile the heartbeat finds.
    pub async fn listen(&self, rung: &(dyn Fn() + Send + Sync)) {
        let mut wait = Duration::from_secs(1);
        loop {
            let listener = async {
                let mut listener = PgListener::connect_with(&self.readers).await?;
                listener.listen(BELL).await?;
                Ok::<_, sqlx::Error>(listener)
            };
            match listener.await {
                Ok(mut listener) => {
                    wait = Duration::from_secs(1);
                    let _listens = Listens::new(&self.listening);
                    // It connects again by itself; where that fails, it is ours to.
                    while listener.recv().await.is_ok() {
                        rung();
                    }
                }
                Err(error) => tracing::debug!(%error, "the database's bell cannot be heard; the heartbeat goes on"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(60));
        }
    }

    /// Rewrites the tables that held what was wiped. `false`, always: the server's own log and its standbys hold it
    /// until they are recycled, which is theirs to do.
    async fn rewrite(&self) -> Result<bool> {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("VACUUM FULL {HOLD_CONTENT}"))).execute(&self.writer).await?;
        Ok(false)
    }

    /// Connections for reading.
    pub(crate) fn reading(&self) -> &PgPool {
        &self.readers
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// One that listens, as long as it is there.
struct Listens(Arc<AtomicUsize>);

impl Listens {
    fn new(listening: &Arc<AtomicUsize>) -> Self {
        listening.fetch_add(1, Ordering::SeqCst);
        Self(listening.clone())
    }
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Finishes what was begun even where nobody waits any more: a BEGIN that is dropped half-way leaves a transaction in
/// the pool that sqlx does not know of (sqlx #4385).
async fn finished<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::Refused(format!("work on the database ended: {error}"))),
    }
}

fn port_of(options: &PgConnectOptions) -> Option<u16> {
    options.get_socket().is_none().then(|| options.get_port())
}

fn options(url: &str, password: Option<&str>) -> Result<PgConnectOptions> {
    // The address itself may hold what must not be shown: the error says nothing of it.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        StoreError::Refused(
            "store.url is no address of a PostgreSQL database: write postgres://user@host/database".into(),
        )
    })?;
    let options = options.application_name("dondoc");
    Ok(match password {
        Some(password) => options.password(password),
        None => options,
    })
}

/// One statement after the other, with the shared arguments up to the last that it names: each of these has a type, and
/// so need not be used in it. What comes behind is large.
async fn all(
    conn: &mut Conn,
    statements: &'static [&'static str],
    arguments: Vec<Argument>,
) -> Result<Vec<Vec<DbRow>>> {
    let mut given = Vec::with_capacity(statements.len());
    for statement in statements {
        let named = (1..=arguments.len()).rev().find(|n| statement.contains(&format!("${n}"))).unwrap_or(0);
        let query =
            arguments[..named].iter().cloned().fold(sqlx::query(*statement), |query, argument| match argument {
                Argument::Text(text) => query.bind(text),
                Argument::Number(number) => query.bind(number),
                Argument::Bytes(bytes) => query.bind(bytes),
            });
        given.push(query.fetch_all(&mut *conn).await?);
    }
    Ok(given)
}

/// Connections through which nothing can be written. Behind a pooler (no statement cache) sessions have no settings of
/// ours: there only the snapshots are read-only by themselves.
fn reading(options: PgConnectOptions, url: &str) -> PgConnectOptions {
    if url.contains("statement-cache-capacity=0") {
        return options;
    }
    // As long as a writer waits: what a rewriting of a table keeps waiting for longer is no fault of the server's.
    options.options([("default_transaction_read_only", "on"), ("lock_timeout", "60s")])
}

fn pool(most: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(Duration::from_secs(300))
}

fn cannot_open(options: &PgConnectOptions, error: sqlx::Error) -> StoreError {
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    StoreError::Refused(format!(
        "cannot open the PostgreSQL database {} at {place} as {}: {error}; check store.url, store.password_file and that \
         the server runs",
        options.get_database().unwrap_or_else(|| options.get_username()),
        options.get_username(),
    ))
}

async fn assert_server(pool: &PgPool) -> Result<()> {
    let (version, encoding, standby): (i64, String, bool) = sqlx::query_as(
        "SELECT CAST(current_setting('server_version_num') AS BIGINT), current_setting('server_encoding'), pg_is_in_recovery()",
    )
    .fetch_one(pool)
    .await?;
    let refuse = |why: String| Err(StoreError::Refused(why));
    if version < OLDEST_SERVER {
        return refuse(format!(
            "the PostgreSQL server is version {}; {} or newer is needed",
            version / 10_000,
            OLDEST_SERVER / 10_000
        ));
    }
    if encoding != "UTF8" {
        return refuse(format!(
            "the database's encoding is {encoding}: create it anew with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        ));
    }
    if standby {
        return refuse("this PostgreSQL server is a standby and takes no writes: set store.url to the primary".into());
    }
    Ok(())
}
