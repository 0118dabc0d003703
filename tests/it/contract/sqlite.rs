//! The suite on SQLite.

use std::sync::Arc;

use dondoc::store::{
    Store,
    intake::IntakeStore,
    ledger::{NewMessage, Next},
    sqlite::SqliteStore,
};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::{
    Database, contract,
    daily::list,
    office::{Office, at, due, key, message, today},
};

pub struct Sqlite {
    folder: TempDir,
    store: Arc<SqliteStore>,
}

impl Sqlite {
    async fn open(folder: &TempDir) -> Arc<SqliteStore> {
        let file = folder.path().join("a.db");
        Arc::new(SqliteStore::open(&format!("sqlite:{}", file.display())).await.unwrap())
    }
}

impl Database for Sqlite {
    async fn fresh() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Self::open(&folder).await;
        Self { folder, store }
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Self::open(&self.folder).await;
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn intake(&self) -> &dyn IntakeStore {
        &*self.store
    }
}

contract!(Sqlite);

#[tokio::test]
async fn the_box_s_reminder_says_which_one_it_stands_for() {
    let office = Office::<Sqlite>::new().await;
    let (_, message) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    office.answer(1, &claimed, "recipient", Next::Dead { fallback: true }).await;
    let file = office.database.folder.path().join("a.db");
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let stands_for: Vec<(String, String)> = sqlx::query_as(
        "SELECT r.audience, f.audience FROM reminder r JOIN reminder f ON f.id = r.fallback_of AND f.created_at = $1",
    )
    .bind(at(0).as_millisecond())
    .fetch_all(&mut db)
    .await
    .unwrap();
    assert_eq!(stands_for, [("agency_box".to_owned(), "handler".to_owned())]);
}

#[tokio::test]
async fn a_statement_that_forgets_the_revision_is_found_out_by_the_plan_that_was_made_before() {
    let office = Office::<Sqlite>::new().await;
    let task = office.task().await;
    let plan = office.planned(task, due(key("truoc-5"), 0)).await;
    let file = office.database.folder.path().join("a.db");
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query("UPDATE task SET note = 'x'").execute(&mut db).await.unwrap();
    let saved = office.store().save_plans(at(0), vec![plan]).await.unwrap();
    assert_eq!((saved.planned, saved.changed), (0, 1));
}

#[tokio::test]
async fn a_message_that_waits_without_a_reminder_is_damage_unless_it_is_a_day_s_list() {
    let office = Office::<Sqlite>::new().await;
    let faults = async || office.database.store.check().await.unwrap().faults;
    office.store().save_lists(at(0), &[list(today(), "op@x.example", 2)]).await.unwrap();
    assert_eq!(faults().await, [], "a list waits");
    // What its sender took up late had gone on in another message, whose sender then crashed: that one is empty, and ends.
    let reminder = office.remind(office.task().await, "truoc-5").await;
    let first = office.bundle(&[reminder]).await;
    let asleep = office.hand_over(0, first).await;
    office.rescue(1).await;
    let again = office.claim(1, first).await;
    let other = office.task().await;
    office.answer(1, &again, "released", Next::Recompose).await;
    let named = office.bundle_as(NewMessage { earlier: Some(first), ..message(&[reminder]) }).await;
    office.claim(2, named).await;
    office.accept(3, &asleep).await;
    office.rescue(4).await;
    assert!(office.message(named).await.reminders.is_empty(), "it is empty");
    assert_eq!(office.fate(named).await, "suppressed nothing_left");
    assert_eq!(faults().await, []);
    // Any other is none that this program leaves.
    let lost = office.bundle(&[office.remind(other, "truoc-5").await]).await;
    let file = office.database.folder.path().join("a.db");
    let mut db = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::query("UPDATE reminder SET state = 'planned', message = NULL WHERE message = $1")
        .bind(lost)
        .execute(&mut db)
        .await
        .unwrap();
    let found = faults().await;
    assert_eq!(found, [("ledger", "a message waits with nothing in it (1)".to_owned())]);
}
