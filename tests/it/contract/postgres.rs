//! The suite on PostgreSQL, on a server of the tests' own. Its clock is the tests': what the schema's `office_now` says.

use std::{sync::Arc, time::Duration};

use dondoc::planning::outcome::ALONE_CRASHES;
use dondoc::store::{
    Store,
    intake::IntakeStore,
    ledger::{GateAnswer, OutboxStore as _, PlanningStore as _, Rescued},
    postgres::PostgresStore,
};
use jiff::Timestamp;

use super::{
    Database, contract,
    office::{Office, at, due, key},
};
use crate::postgres::server;

struct Postgres {
    database: server::Database<'static>,
    store: Arc<PostgresStore>,
}

/// The clock of the tests, instead of the server's.
pub(super) const TEST_CLOCK: &str = "\
    CREATE TABLE test_clock (at BIGINT NOT NULL); INSERT INTO test_clock VALUES (0); \
    CREATE OR REPLACE FUNCTION office_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS $$ SELECT at FROM test_clock $$";

/// Brings a database up to this program's schema; in a thread of its own, for the caller is within a runtime.
pub(super) fn migrate(url: &str) {
    let url = url.to_owned();
    let migrate = async move { PostgresStore::open(&url, None).await.unwrap().close().await };
    std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(migrate)).join().unwrap();
}

/// A migrated database.
fn database() -> server::Database<'static> {
    let server = server::shared().expect("asked for only where there is one");
    server.copy_of("contract", |url| {
        migrate(url);
        server.sql("contract", TEST_CLOCK);
    })
}

impl Database for Postgres {
    fn is_here() -> bool {
        server::shared().is_some()
    }

    async fn fresh() -> Self {
        let database = database();
        let store = Arc::new(PostgresStore::open(&database.url, None).await.unwrap());
        let fresh = Self { database, store };
        fresh.clock(at(0)).await;
        fresh
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(PostgresStore::open(&self.database.url, None).await.unwrap());
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn intake(&self) -> &dyn IntakeStore {
        &*self.store
    }

    async fn clock(&self, now: Timestamp) {
        self.database.sql(&format!("UPDATE test_clock SET at = {}", now.as_millisecond()));
    }
}

contract!(Postgres);

#[tokio::test]
async fn a_lease_is_the_database_s_to_judge_whatever_the_caller_s_clock_says() {
    if !Postgres::is_here() {
        return;
    }
    let office = Office::<Postgres>::new().await;
    let (_, leased) = office.waiting().await;
    let (_, frozen) = office.waiting().await;
    // Half an hour by a clock that is a day ahead is half an hour.
    let ahead = 24 * 60;
    office.database.clock(at(0)).await;
    let claimed = office.store().claim(at(ahead), at(ahead + 30), &[leased, frozen]).await.unwrap();
    let handed = office.freezing(&claimed[1], ahead).await;
    assert_eq!(office.store().freeze(at(ahead + 500), vec![handed]).await.unwrap(), [GateAnswer::Go]);
    assert_eq!(office.store().rescue(at(ahead + 500)).await.unwrap(), Rescued::default(), "they still run");
    office.database.clock(at(30)).await;
    let late = office.freezing(&claimed[0], ahead).await;
    assert_eq!(office.store().freeze(at(ahead), vec![late]).await.unwrap(), [GateAnswer::Lost]);
    assert_eq!(
        office.store().rescue(at(0)).await.unwrap(),
        Rescued { released: 1, unanswered: 1, poisoned: 0 },
        "they ran out, also where the caller's clock stands behind"
    );
}

#[tokio::test]
async fn a_crash_is_judged_by_what_its_own_sender_held_whoever_else_stopped_at_that_time() {
    if !Postgres::is_here() {
        return;
    }
    let office = Office::<Postgres>::new().await;
    let other = PostgresStore::open(&office.database.database.url, None).await.unwrap();
    let suspects = [office.suspect().await, office.suspect().await];
    office.database.clock(at(5)).await;
    office.claim(5, suspects[0]).await;
    assert_eq!(other.claim(at(5), at(35), &[suspects[1]]).await.unwrap().len(), 1);
    assert_eq!(office.rescue(6).await.released, 2);
    // Each was the only one that its sender had in work.
    assert_eq!(office.crashes(&suspects).await, [(ALONE_CRASHES + 1, at(6)); 2]);
}

#[tokio::test]
async fn what_one_sender_held_is_judged_together_however_far_apart_its_leases_run_out() {
    if !Postgres::is_here() {
        return;
    }
    let office = Office::<Postgres>::new().await;
    let suspects = [office.suspect().await, office.suspect().await];
    office.claim(5, suspects[0]).await;
    office.claim(15, suspects[1]).await;
    let store = office.store();
    office.database.clock(at(40)).await;
    assert_eq!(store.rescue(at(40)).await.unwrap().released, 1);
    office.database.clock(at(50)).await;
    assert_eq!(store.rescue(at(50)).await.unwrap().released, 1, "its lease runs out ten minutes later");
    assert_eq!(office.crashes(&suspects).await, [(ALONE_CRASHES, at(45)), (ALONE_CRASHES, at(60))]);
    // The next time it is by itself.
    office.claim(60, suspects[1]).await;
    office.rescue(61).await;
    assert_eq!(office.crashes(&suspects).await, [(ALONE_CRASHES, at(45)), (ALONE_CRASHES + 1, at(61))]);
}

#[tokio::test]
async fn one_sender_plans_at_a_time_and_the_turn_ends_with_its_holder() {
    if !Postgres::is_here() {
        return;
    }
    let database = database();
    let [one, other] = [
        PostgresStore::open(&database.url, None).await.unwrap(),
        PostgresStore::open(&database.url, None).await.unwrap(),
    ];
    let turn = one.planning_turn().await.unwrap().expect("nobody has it");
    assert!(other.planning_turn().await.unwrap().is_none());
    // Writing goes on all the same: a turn holds nobody up.
    other.set_mark("x", 1).await.unwrap();
    drop(turn);
    let taken = async {
        while other.planning_turn().await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(40), taken).await.expect("the turn is given up");
}

#[tokio::test]
async fn a_ring_reaches_every_sender_on_the_database() {
    if !Postgres::is_here() {
        return;
    }
    let database = database();
    let hears = Arc::new(PostgresStore::open(&database.url, None).await.unwrap());
    let rings = PostgresStore::open(&database.url, None).await.unwrap();
    let heard = Arc::new(tokio::sync::Notify::new());
    let bell = heard.clone();
    let listening = tokio::spawn(async move { hears.listen(&|| bell.notify_one()).await });
    let reached = async {
        // Until it listens nobody hears.
        loop {
            rings.ring().await.unwrap();
            tokio::select! {
                () = heard.notified() => break,
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(40), reached).await.expect("it is heard");
    listening.abort();
}

#[tokio::test]
async fn opened_to_look_only_it_is_read_and_never_written() {
    if !Postgres::is_here() {
        return;
    }
    let database = database();
    PostgresStore::open(&database.url, None).await.unwrap().set_mark("x", 7).await.unwrap();
    let looks = PostgresStore::open_read_only(&database.url, None).await.unwrap();
    assert_eq!(looks.mark("x").await.unwrap(), Some(7));
    let refused = looks.set_mark("x", 8).await.unwrap_err().to_string();
    assert!(refused.contains("read-only"), "{refused}");
    let empty = server::shared().unwrap().database();
    let refused = PostgresStore::open_read_only(&empty.url, None).await.unwrap_err().to_string();
    assert!(refused.contains("no register"), "{refused}");
    assert!(empty.sql("SELECT to_regclass('task')")[0][0].is_none(), "nothing was made by looking");
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_in_one_clear_line() {
    if !Postgres::is_here() {
        return;
    }
    let database = database();
    database
        .sql("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)");
    for refused in [
        PostgresStore::open(&database.url, None).await.unwrap_err().to_string(),
        PostgresStore::open_read_only(&database.url, None).await.unwrap_err().to_string(),
    ] {
        assert!(refused.contains("9999, newer than this program's"), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_asks_for_a_password_gets_it_and_a_wrong_one_is_never_shown() {
    let Some(server) = server::shared() else { return };
    let database = database();
    let url = server.tcp_url(&database.name);
    PostgresStore::open(&url, Some(server::PASSWORD)).await.unwrap().close().await;
    let refused = PostgresStore::open(&url, Some("sai-mat-khau")).await.unwrap_err();
    let said = format!("{refused} {refused:?}");
    assert!(said.contains("store.password_file") && said.contains("127.0.0.1"), "{said}");
    assert!(!said.contains("sai-mat-khau"), "{said}");
}

#[tokio::test]
async fn what_is_evidence_is_neither_changed_nor_deleted() {
    let Some(server) = server::shared() else { return };
    let database = database();
    database.sql("INSERT INTO register VALUES (1, 'notice', 0, 1, '', 'x', 'h')");
    database.sql("INSERT INTO personal_data VALUES (1, '/head', 's', 'A')");
    database.sql("INSERT INTO policy (accepted_at, digest, rules, calendar) VALUES (0, '', '', '')");
    for statement in [
        "UPDATE register SET kind = 'x'",
        "DELETE FROM register",
        "TRUNCATE register CASCADE",
        "UPDATE personal_data SET value = 'B'",
        "DELETE FROM personal_data",
        "UPDATE policy SET rules = 'x'",
        "DELETE FROM policy",
    ] {
        assert!(server.try_sql(&database.name, statement).is_err(), "{statement}");
    }
    database.sql("UPDATE personal_data SET value = NULL, salt = NULL");
}

#[tokio::test]
async fn a_statement_that_forgets_the_revision_is_found_out_by_the_plan_that_was_made_before() {
    if !Postgres::is_here() {
        return;
    }
    let office = Office::<Postgres>::new().await;
    let task = office.task().await;
    let plan = office.planned(task, due(key("truoc-5"), 0)).await;
    office.database.database.sql("UPDATE task SET note = 'x'");
    let saved = office.store().save_plans(at(0), vec![plan]).await.unwrap();
    assert_eq!((saved.planned, saved.changed), (0, 1));
}
