//! A ring without data, inside the daemon and over a Unix socket, so that a command wakes the running daemon.
//!
//! A ring says "look again", never what to look at: what is due is always decided from the database, so that a lost,
//! doubled or forged ring does no harm. This module never opens the database and never decides anything.

use std::{
    fs::{File, TryLockError},
    future::Future,
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::Notify;

mod socket;

pub use socket::{DoorbellError, ask, listen, ring, socket_path};

/// Something to ring and to wait for. Clones are the same bell. Meant for one waiter: a ring wakes one.
#[derive(Debug, Clone, Default)]
pub struct Doorbell(Arc<Notify>);

impl Doorbell {
    /// A bell nobody has rung yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rings. Any number of rings while nobody waits count as one; none is lost.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Ends at the next ring, at once if it rang since the last wait. Cancelling it loses no ring.
    pub fn wait(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.notified()
    }
}

/// The right to be the one daemon on a SQLite database: an exclusive lock on `<db>.lock`, given back by the kernel
/// however the process ends. The file stays; removing it would let two processes lock two different files.
#[derive(Debug)]
pub struct InstanceLock {
    file: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another daemon runs on this database.
    #[error("{holder} already serves the database {}; stop it first (systemctl stop dondoc)", .database.display())]
    Held { database: PathBuf, holder: String },
    /// The file cannot be opened, written or locked.
    #[error("cannot lock {}: {error}; check that this user may write there", .path.display())]
    Unusable { path: PathBuf, error: io::Error },
}

impl InstanceLock {
    /// Takes the lock for `database` (a path, not a URL) without waiting, and writes this process's id into the file.
    pub fn take(database: &Path) -> Result<Self, LockError> {
        let path = beside(database, ".lock");
        let unusable = |error| LockError::Unusable { path: path.clone(), error };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o660)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { database: database.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(unusable)?;
        Ok(Self { file })
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // An id left behind would name a process that no longer exists. The lock itself goes with the file handle.
        let _ = self.file.set_len(0);
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("another dondoc (process {pid})"),
        _ => "another dondoc".to_owned(),
    }
}

/// `<path><suffix>`: a neighbour of the database, the same one by whatever link or relative path it is reached.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let real = path.canonicalize().or_else(|_| {
        // Not made yet: its directory may still be reached by a link.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok::<_, io::Error>(directory.canonicalize()?.join(path.file_name().unwrap_or_default()))
    });
    let mut name = real.unwrap_or_else(|_| path.to_owned()).into_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn many_rings_while_busy_are_one_and_none_is_lost() {
        let bell = Doorbell::new();
        assert_eq!(bell.wait().now_or_never(), None, "nobody rang");
        let other = bell.clone();
        other.ring();
        other.ring();
        other.ring();
        assert_eq!(bell.wait().now_or_never(), Some(()), "rang while nobody waited");
        assert_eq!(bell.wait().now_or_never(), None, "three rings are one");
    }

    #[test]
    fn a_cancelled_wait_loses_no_ring() {
        let bell = Doorbell::new();
        let mut waiting = Box::pin(bell.wait());
        assert_eq!((&mut waiting).now_or_never(), None);
        bell.ring();
        drop(waiting);
        assert_eq!(bell.wait().now_or_never(), Some(()));
    }

    #[test]
    fn a_second_daemon_is_told_who_holds_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("dondoc.db");
        let lock = InstanceLock::take(&database).unwrap();
        let refused = InstanceLock::take(&database).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("dondoc.db"), "{refused}");
        assert!(!refused.contains('\n'), "one line");
        drop(lock);
        InstanceLock::take(&database).unwrap();
    }

    #[test]
    fn what_a_killed_daemon_left_in_the_lock_file_does_not_hold_the_next_one_back() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("dondoc.db");
        std::fs::write(dir.path().join("dondoc.db.lock"), "4194304000\n").unwrap();
        let _lock = InstanceLock::take(&database).unwrap();
        let written = std::fs::read_to_string(dir.path().join("dondoc.db.lock")).unwrap();
        assert_eq!(written, format!("{}\n", std::process::id()));
    }

    #[test]
    fn one_database_under_two_names_is_still_one() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("dondoc.db");
        let linked = dir.path().join("linked.db");
        let before = beside(&database, ".sock");
        std::fs::write(&database, "").unwrap();
        std::os::unix::fs::symlink(&database, &linked).unwrap();
        let _lock = InstanceLock::take(&database).unwrap();
        assert!(matches!(InstanceLock::take(&linked), Err(LockError::Held { .. })));
        assert_eq!(socket_path(&linked), socket_path(&database));
        assert_eq!(socket_path(&database), before, "making the database does not move its socket");
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named() {
        let refused = InstanceLock::take(Path::new("/nowhere/dondoc.db")).unwrap_err().to_string();
        assert!(refused.contains("/nowhere/dondoc.db.lock"), "{refused}");
    }
}
