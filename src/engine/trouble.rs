//! What the disk under the database does to the daemon: full, it rests and tries again; failed or damaged, it ends.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::store::StoreError;

/// How long nothing is claimed after the disk was found full.
const REST: Duration = Duration::from_secs(30);

/// Called with one line when the medium failed; it is to end the process at once, without closing the database.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;

/// What was noticed last. Clones are the same one.
#[derive(Clone, Default)]
pub struct Trouble(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    fatal: Option<Fatal>,
    /// Boot time until which nothing is claimed, and why.
    rest: Option<(Duration, String)>,
}

impl Trouble {
    /// Sets what ends the process.
    pub fn on_fatal(&self, fatal: Fatal) {
        self.state().fatal = Some(fatal);
    }

    /// Takes note of an error of the store; one that is not about the disk changes nothing.
    pub fn notice(&self, error: &StoreError, boot: Duration) {
        if error.is_full() {
            self.state().rest = Some((boot + REST, error.to_string()));
        }
        if error.is_io() {
            let fatal = self.state().fatal.clone();
            if let Some(fatal) = fatal {
                fatal(&format!(
                    "{error}. The disk failed or the database is damaged: ending, for nothing written from now on could be \
                     trusted. Look at the disk, then run `dondoc db check`"
                ));
            }
        }
    }

    /// Whether nothing is to be claimed for now.
    pub fn rests(&self, boot: Duration) -> bool {
        self.full(boot).is_some()
    }

    /// Why nothing is claimed for now.
    pub fn full(&self, boot: Duration) -> Option<String> {
        let mut state = self.state();
        if state.rest.as_ref().is_some_and(|(until, _)| *until <= boot) {
            state.rest = None;
        }
        state.rest.as_ref().map(|(_, why)| why.clone())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn of_file(code: i32) -> StoreError {
        StoreError::File { path: "/p/x".into(), error: std::io::Error::from_raw_os_error(code) }
    }

    #[test]
    fn a_full_disk_rests_and_a_failed_one_ends() {
        let (trouble, ended) = (Trouble::default(), Arc::new(AtomicU32::new(0)));
        let count = ended.clone();
        trouble.on_fatal(Arc::new(move |line| {
            assert!(line.contains("db check") && !line.contains('\n'), "{line}");
            count.fetch_add(1, Ordering::SeqCst);
        }));
        trouble.notice(&of_file(libc::EACCES), Duration::ZERO);
        assert!(!trouble.rests(Duration::ZERO));
        trouble.notice(&of_file(libc::ENOSPC), Duration::ZERO);
        assert!(trouble.rests(REST - Duration::from_millis(1)));
        assert!(!trouble.rests(REST));
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        for code in [libc::EIO, libc::EROFS] {
            trouble.notice(&of_file(code), Duration::ZERO);
        }
        assert_eq!(ended.load(Ordering::SeqCst), 2);
    }
}
