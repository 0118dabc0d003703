//! A database that is only looked at: a copy, a file on a read-only medium, the running daemon's from beside it.

use std::{path::Path, time::Duration};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::{SqliteStore, Writer};
use crate::store::{Result, StoreError, new_life};

impl SqliteStore {
    /// Opens a database for reading only, e.g. a copy an inspector was given: nothing in its folder is written or
    /// migrated, and every write through it fails.
    pub async fn open_read_only(path: &Path) -> Result<Self> {
        let refuse = |why: String| StoreError::Refused(format!("cannot read the database {}: {why}", path.display()));
        if !path.is_file() {
            return Err(refuse("there is no such file".into()));
        }
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        // Without a write-ahead log nobody has it open; then it is read without locks and without side files, so that
        // it may lie on a read-only medium. With one, the log holds entries that must be read too.
        let unused = std::fs::metadata(&log).map_or(true, |log| log.len() == 0);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .immutable(unused)
            .busy_timeout(Duration::from_secs(10))
            .pragma("query_only", "on");
        let readers =
            SqlitePoolOptions::new().max_connections(2).connect_with(options.clone()).await.map_err(|error| {
                refuse(format!(
                    "{error}; if it has a file ending in -wal beside it, copy both to a folder you may write"
                ))
            })?;
        let known: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('register', 'register_head', 'notice')",
        )
        .fetch_one(&readers)
        .await
        .map_err(|error| refuse(error.to_string()))?;
        if known != 3 {
            return Err(refuse("it has no register; is it a database of this program?".into()));
        }
        Ok(Self { writer: Writer::new(options), readers, life: new_life() })
    }
}
