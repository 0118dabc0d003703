//! The suite on SQLite.

use std::sync::Arc;

use dondoc::store::{Store, intake::IntakeStore, ledger::Next, sqlite::SqliteStore};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::{
    Database, contract,
    office::{Office, at, due, key},
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
