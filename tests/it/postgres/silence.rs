//! The server, or what stands before it, falls silent: TCP stays open, everything is taken in, and nothing comes back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use dondoc::{
    cli::context::policy_of,
    clock::Clock,
    config::{load::load_all, settings::Settings},
    doorbell::Doorbell,
    engine::{Engine, serve::serve},
    store::{
        StoreError,
        ledger::{OutboxStore as _, PlanningStore as _},
        postgres::PostgresStore,
    },
    systemd::Watchdog,
};
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};
use tokio_util::sync::CancellationToken;
use tracing::subscriber::DefaultGuard;

use super::server::{self, Database, Server};

/// What the daemon waits in these tests, instead of more than a minute.
const LIMIT: Duration = Duration::from_secs(1);

/// Above all that may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stands between a store and its server. What was open when it fell silent stays so for ever.
struct Proxy {
    port: u16,
    silent: watch::Sender<bool>,
}

impl Proxy {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (port, behind) = (listener.local_addr().unwrap().port(), server.port());
        let (silent, heard) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(between(near, behind, heard.clone()));
            }
        });
        Self { port, silent }
    }

    fn url(&self, database: &Database<'_>) -> String {
        format!("postgres://{}@127.0.0.1:{}/{}?sslmode=disable", server::ROLE, self.port, database.name)
    }

    async fn open(&self, database: &Database<'_>) -> Arc<PostgresStore> {
        let store = PostgresStore::open(&self.url(database), Some(server::PASSWORD)).await.unwrap();
        store.give_up_silent(LIMIT);
        Arc::new(store)
    }
}

async fn between(mut near: TcpStream, behind: u16, mut silent: watch::Receiver<bool>) {
    let pass = async {
        let mut far = TcpStream::connect(("127.0.0.1", behind)).await?;
        copy_bidirectional(&mut near, &mut far).await
    };
    tokio::select! {
        biased;
        _ = silent.wait_for(|silent| *silent) => {}
        _ = pass => return,
    }
    let mut taken = [0; 4096];
    while near.read(&mut taken).await.is_ok_and(|n| n > 0) {}
}

/// Whoever asks anything of these tables waits for it.
async fn block(server: &Server, database: &Database<'_>) -> PgConnection {
    let mut blocker = PgConnection::connect(&server.url(&database.name)).await.unwrap();
    let lock = "BEGIN; LOCK TABLE message, task, reminder, mark IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(&mut blocker).await.unwrap();
    blocker
}

/// Until so many statements wait for a lock.
async fn wait_blocked(blocker: &mut PgConnection, wanted: i64) {
    let waiting = async {
        loop {
            let waits: i64 = sqlx::query_scalar(
                "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            )
            .fetch_one(&mut *blocker)
            .await
            .unwrap();
            if waits >= wanted {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("they wait");
}

/// In the middle of a heartbeat, a scan, a claim and a mark.
#[tokio::test]
async fn what_waits_for_a_silent_server_fails_in_time_and_keeps_no_connection() {
    let Some(server) = server::shared() else { return };
    // Also where nobody reads it: a thread that hears nothing would make the line unheard in all.
    let (_logged, _logging) = Logged::here();
    let database = server.database();
    let proxy = Proxy::before(server).await;
    let store = proxy.open(&database).await;
    let now = Clock::System.now();
    let later = now + Duration::from_secs(1800);
    // More often than there are connections.
    for round in 0..4 {
        let mut blocker = block(server, &database).await;
        let (heartbeat, looks, scan, claim, marks) =
            (store.clone(), store.clone(), store.clone(), store.clone(), store.clone());
        let calls = [
            tokio::spawn(async move { heartbeat.rescue_lapsed(now).await.map(drop) }),
            tokio::spawn(async move { looks.next_look().await.map(drop) }),
            tokio::spawn(async move { scan.due_tasks(now, 10).await.map(drop) }),
            tokio::spawn(async move { claim.claim(now, later, &[1]).await.map(drop) }),
            tokio::spawn(async move { marks.set_mark("x", 1).await }),
        ];
        wait_blocked(&mut blocker, 4).await;
        proxy.silent.send_replace(true);
        blocker.close().await.unwrap();
        for (n, call) in calls.into_iter().enumerate() {
            let answer = tokio::time::timeout(PATIENCE, call).await;
            let answer = answer.unwrap_or_else(|_| panic!("round {round}: call {n} waits for ever")).unwrap();
            let error = answer.expect_err("nothing was answered");
            assert!(matches!(error, StoreError::Database(_)) && !error.is_of_the_row() && !error.is_io(), "{error}");
        }
        proxy.silent.send_replace(false);
        let again = async { while store.next_look().await.is_err() || store.set_mark("x", round).await.is_err() {} };
        tokio::time::timeout(PATIENCE, again).await.expect("it goes on when the server is back");
    }
    assert_eq!(store.mark("x").await.unwrap(), Some(3));
}

/// What was logged.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Logged {
    /// What this thread logs, as long as the second is there.
    fn here() -> (Self, DefaultGuard) {
        let logged = Self::default();
        let writer = logged.clone();
        let make = move || writer.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(make).finish();
        (logged, tracing::subscriber::set_default(subscriber))
    }

    fn said(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Logged {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_daemon_whose_server_falls_silent_says_so_and_goes_on_when_it_is_back() {
    let Some(server) = server::shared() else { return };
    let (logged, _logging) = Logged::here();
    let database = server.database();
    let proxy = Proxy::before(server).await;
    let store = proxy.open(&database).await;
    let folder = tempfile::tempdir().unwrap();
    Settings::embedded(folder.path()).unwrap();
    let (office, _) = load_all(&folder.path().join("dondoc.toml"), []).unwrap();
    let policy = policy_of(office).unwrap();
    let engine = Arc::new(Engine::new(store.clone(), Clock::shared(), policy, HashMap::new(), Arc::new(|_| ())));
    engine.start().await.unwrap();
    let (bell, token) = (Doorbell::new(), CancellationToken::new());
    let (told, mut passes) = mpsc::unbounded_channel();
    let serving =
        tokio::spawn(serve(engine, bell.clone(), Watchdog::from_env(), token.clone(), PATIENCE, move |pass| {
            told.send(pass.is_ok()).unwrap_or_default()
        }));
    let heard = logged.clone();
    // Each ring is answered by a scan.
    let mut next = async |bell: &Doorbell| {
        bell.ring();
        tokio::time::timeout(PATIENCE, passes.recv())
            .await
            .unwrap_or_else(|_| panic!("no scan came back: {}", heard.said()))
            .unwrap()
    };
    assert!(next(&bell).await);

    let mut blocker = block(server, &database).await;
    bell.ring();
    wait_blocked(&mut blocker, 1).await;
    proxy.silent.send_replace(true);
    blocker.close().await.unwrap();
    while next(&bell).await {}
    let said = logged.said();
    assert!(said.contains("ERROR") && said.contains("has given no answer for 1 seconds"), "{said}");
    proxy.silent.send_replace(false);
    while !next(&bell).await {}
    token.cancel();
    assert!(serving.await.unwrap(), "everything ends in time");
    store.close().await;
}
