//! The suite on SQLite.

use std::sync::Arc;

use dondoc::store::{Store, intake::IntakeStore, ledger::Next, sqlite::SqliteStore};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

use super::{
    Database, contract,
    office::{Office, at},
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
