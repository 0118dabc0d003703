//! A complete copy of the database, made while it is in use.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{SqliteStore, cannot_open};
use crate::store::{Result, StoreError};

impl SqliteStore {
    /// Copies a database to a new file at `to`, and answers its size in bytes. Writers go on meanwhile; the copy is the
    /// state of one instant, of the schema it is. The file appears under its name whole, checked and durable, or not at
    /// all, and never in the place of another. It says of itself that it is a copy, and has no neighbour: it will not send
    /// by itself.
    pub async fn backup(database: &Path, now: Timestamp, to: &Path) -> Result<u64> {
        let file = |error| StoreError::File { path: to.to_owned(), error };
        if to.symlink_metadata().is_ok() {
            return Err(file(std::io::ErrorKind::AlreadyExists.into()));
        }
        let mut temporary = to.as_os_str().to_owned();
        temporary.push(format!(".{}.dondoc-tmp", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let _ = fs::remove_file(&temporary);
        let made = copy(database, now, &temporary, to).await;
        if made.is_err() {
            // Its journal too, should the copy have been broken off while it was marked.
            for end in ["", "-journal", "-wal", "-shm"] {
                let mut name = temporary.as_os_str().to_owned();
                name.push(end);
                let _ = fs::remove_file(name);
            }
        }
        made
    }
}

async fn copy(database: &Path, now: Timestamp, temporary: &Path, to: &Path) -> Result<u64> {
    let file = |error| StoreError::File { path: to.to_owned(), error };
    let text = temporary
        .to_str()
        .ok_or_else(|| StoreError::Refused(format!("the name {} is not UTF-8; choose another one", to.display())))?;
    // Made here first: SQLite would make it readable as the umask says, and it holds personal data.
    let empty = {
        use std::os::unix::fs::OpenOptionsExt;
        File::options().write(true).create_new(true).mode(0o640).open(temporary).map_err(file)?
    };
    drop(empty);
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(10));
    let mut source = SqliteConnection::connect_with(&options).await.map_err(|error| cannot_open(database, error))?;
    let copied = sqlx::query("VACUUM INTO $1").bind(text).execute(&mut source).await;
    source.close().await?;
    copied?;
    let mut copy = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(temporary)).await?;
    let marked = mark(&mut copy, now).await;
    copy.close().await?;
    marked?;
    let size = fs::metadata(temporary).map_err(file)?.len();
    File::open(temporary).and_then(|made| made.sync_all()).map_err(file)?;
    place(temporary, to).map_err(file)?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file)?;
    Ok(size)
}

/// Gives the finished copy its name: by a second link, which replaces nothing. A stick's file system has no links.
fn place(temporary: &Path, to: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{AlreadyExists, PermissionDenied, Unsupported};
    match fs::hard_link(temporary, to) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => {
            if to.symlink_metadata().is_ok() {
                return Err(AlreadyExists.into());
            }
            fs::rename(temporary, to)
        }
        Err(error) => Err(error),
    }
}

/// Says in the copy that it is one, and looks whether it is whole.
async fn mark(copy: &mut SqliteConnection, now: Timestamp) -> Result<()> {
    let word: String = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut *copy).await?;
    if word != "ok" {
        return Err(StoreError::Refused(format!(
            "the database is damaged ({word}): no backup was made of it; see `dondoc db check`"
        )));
    }
    // One of an older program has no such columns, and is recognised by its missing neighbour alone.
    let columns: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pragma_table_info('instance') WHERE name = 'copied_at'")
            .fetch_one(&mut *copy)
            .await?;
    if columns == 0 {
        return Ok(());
    }
    sqlx::query(
        "UPDATE instance SET copied_at = $1, \
         copied_in_hand = (SELECT count(*) FROM message WHERE state IN ('leased', 'frozen'))",
    )
    .bind(now.as_millisecond())
    .execute(copy)
    .await?;
    Ok(())
}
