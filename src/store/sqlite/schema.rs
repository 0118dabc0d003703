//! Which schema a database file has, and how it comes to this program's: each migration in one transaction with its
//! entry in the history, so that one that was killed half-way is simply begun again.

use std::path::Path;

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{cannot_open, migrator};
use crate::store::{Result, StoreError};

/// The schema this program writes.
pub fn known() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The names of the migrations after `version`, in their order.
pub fn after(version: i64) -> Vec<String> {
    let mut steps: Vec<_> =
        migrator().iter().filter(|m| m.version > version).map(|m| (m.version, m.description.to_string())).collect();
    steps.sort();
    steps.into_iter().map(|(_, name)| name).collect()
}

/// The schema of a file, without changing anything: 0 where there is no database yet.
pub async fn of_file(path: &Path) -> Result<i64> {
    if !path.exists() {
        return Ok(0);
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::from_secs(10))
        .pragma("query_only", "on");
    let mut db = SqliteConnection::connect_with(&options).await.map_err(|error| cannot_open(path, error))?;
    let version = version(&mut db).await;
    db.close().await?;
    version
}

async fn version(db: &mut SqliteConnection) -> Result<i64> {
    let history: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_one(&mut *db)
            .await?;
    if history == 0 {
        return Ok(0);
    }
    let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(db).await?;
    Ok(version.unwrap_or_default())
}

/// Why a database of a newer program is left alone.
pub(super) fn refuse_newer(path: &Path, found: i64) -> Result<()> {
    let known = known();
    if found <= known {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "the database {} has schema {found}, made by a newer dondoc; this one ({}) knows schema {known}: install the newer \
         program again, or restore the backup made before the upgrade; nothing was changed",
        path.display(),
        env!("CARGO_PKG_VERSION"),
    )))
}

/// Brings an open database to this program's schema.
pub(super) async fn migrate(db: &mut SqliteConnection, path: &Path) -> Result<()> {
    let found = version(db).await?;
    refuse_newer(path, found)?;
    if found > 0 {
        let applied: Vec<i64> =
            sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success").fetch_all(&mut *db).await?;
        if migrator().iter().all(|step| applied.contains(&step.version)) {
            return Ok(());
        }
    }
    // Two commands started together must not both create the tables: a lock on a file beside the database, for an
    // in-memory one is nobody else's.
    let _lock = if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        None
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push("-migrate");
        let file = std::fs::File::create(&name)
            .map_err(|error| StoreError::Refused(format!("cannot write {}: {error}", Path::new(&name).display())))?;
        file.lock().map_err(|error| StoreError::Refused(format!("cannot lock the database for migration: {error}")))?;
        Some(file)
    };
    migrator().run(db).await?;
    Ok(())
}
