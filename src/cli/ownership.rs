//! A command run as root must not leave files that the service cannot open.
//!
//! Root's command becomes the owner of the state directory before it opens anything there: every file it makes is then
//! the service's, also those that libraries make (a write-ahead log, a lock). It may keep the right to read and write
//! where root may, so that `dondoc import tasks /root/week.xlsx` works.

use std::{
    ffi::c_int,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What a command may still reach after it has stepped down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Files anywhere, as root (a command that reads an operator's file or writes a report).
    AsRoot,
    /// Only what the owner may (the daemon).
    AsOwner,
}

/// Who a process became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It was not root, or the state is root's own: nothing changed.
    Nobody,
    /// The owner of the state directory.
    Owner { uid: u32, gid: u32 },
}

/// Why it could not become the owner. The command must end: going on as root is what this prevents.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Other threads would stay root, or lose what this one keeps.
    #[error("rights are given up after threads were started; do it first")]
    TooLate,
    /// The kernel refused.
    #[error("cannot become the owner of {} (user {uid}): {error}; run the command as that user", .directory.display())]
    Refused { directory: PathBuf, uid: u32, error: io::Error },
}

/// Becomes the owner of the directory that holds `state` (the database, or a directory), if this process is root and
/// that owner is not. Call it in `main` when the settings have been read and before any thread (a tokio runtime)
/// starts: capabilities belong to threads, and only later threads inherit them.
pub fn step_down(state: &Path, reach: Reach) -> Result<Became, OwnershipError> {
    let Some((directory, uid, gid)) = owner(state) else {
        return Ok(Became::Nobody);
    };
    if !is_root() || uid == 0 {
        return Ok(Became::Nobody);
    }
    // Without /proc nobody can say; then the kernel's answers below must do.
    if std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() > 1) {
        return Err(OwnershipError::TooLate);
    }
    become_owner(uid, gid, reach).map_err(|error| OwnershipError::Refused { directory, uid, error })?;
    Ok(Became::Owner { uid, gid })
}

/// The nearest directory that exists at or above `state`, with its owner. A directory that is still to be made gets
/// the owner of the one it is made in.
fn owner(state: &Path) -> Option<(PathBuf, u32, u32)> {
    let state = std::path::absolute(state).ok()?;
    state.ancestors().find_map(|path| {
        let metadata = std::fs::metadata(path).ok()?;
        metadata.is_dir().then(|| (path.to_owned(), metadata.uid(), metadata.gid()))
    })
}

#[expect(unsafe_code, reason = "std has no call for the effective user")]
fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// linux/capability.h: version 3 of the two structures, 64 capabilities in two halves.
const VERSION_3: u32 = 0x2008_0522;
/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
const FILES: u32 = (1 << 1) | (1 << 2);

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapSet {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

#[expect(unsafe_code, reason = "std cannot change the user of the running process")]
fn become_owner(uid: u32, gid: u32, reach: Reach) -> io::Result<()> {
    let checked = |answer: c_int| if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    let keep = reach == Reach::AsRoot;
    // SAFETY: the calls take numbers only, but for setgroups, whose one-element list lives through the call, and
    // capget/capset, whose structures have the kernel's layout (linux/capability.h) and live through the calls.
    unsafe {
        if keep {
            checked(libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0))?;
        }
        // Groups first: afterwards the right to change them is gone.
        checked(libc::setgroups(1, &gid))?;
        checked(libc::setresgid(gid, gid, gid))?;
        checked(libc::setresuid(uid, uid, uid))?;
        if keep {
            let mut header = CapHeader { version: VERSION_3, pid: 0 };
            let mut sets = [CapSet::default(); 2];
            checked(libc::syscall(libc::SYS_capget, &mut header, sets.as_mut_ptr()) as c_int)?;
            // A container's root may have less; asking for more than one has is refused.
            let kept = sets[0].permitted & FILES;
            let sets = [CapSet { effective: kept, permitted: kept, inheritable: 0 }, CapSet::default()];
            checked(libc::syscall(libc::SYS_capset, &header, sets.as_ptr()) as c_int)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use super::*;

    #[test]
    fn the_owner_is_that_of_the_nearest_folder_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let expected = std::fs::metadata(dir.path()).unwrap().uid();
        let (found, uid, _) = owner(&dir.path().join("not/yet/dondoc.db")).unwrap();
        assert_eq!((found.as_path(), uid), (dir.path(), expected));
        std::fs::write(dir.path().join("dondoc.db"), "").unwrap();
        assert_eq!(owner(&dir.path().join("dondoc.db")).unwrap().0, dir.path());
    }

    #[test]
    fn nothing_changes_where_the_state_is_the_callers_own() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(step_down(&dir.path().join("dondoc.db"), Reach::AsOwner).unwrap(), Became::Nobody);
    }

    /// A folder of user 12345, and a process of its own that steps down to it. Only root can try.
    fn stepped_down(reach: &str) -> Option<(tempfile::TempDir, String)> {
        if !is_root() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        std::os::unix::fs::chown(&state, Some(12345), Some(12346)).unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        std::fs::write(dir.path().join("roots-own"), "week").unwrap();
        std::fs::set_permissions(dir.path().join("roots-own"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["cli::ownership::tests::child", "--exact", "--ignored", "--test-threads=1", "--nocapture"])
            .env("DONDOC_TEST_STATE", &state)
            .env("DONDOC_TEST_REACH", reach)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Some((dir, said))
    }

    #[test]
    #[ignore = "run by the tests below, in a process of its own"]
    #[expect(clippy::print_stdout, reason = "the parent reads it")]
    fn child() {
        let Some(state) = std::env::var_os("DONDOC_TEST_STATE").map(PathBuf::from) else { return };
        let reach = if std::env::var("DONDOC_TEST_REACH").unwrap() == "root" { Reach::AsRoot } else { Reach::AsOwner };
        // The harness runs every test beside a thread of its own.
        assert!(matches!(step_down(&state.join("dondoc.db"), reach), Err(OwnershipError::TooLate)));
        let (_, uid, gid) = owner(&state.join("dondoc.db")).unwrap();
        become_owner(uid, gid, reach).unwrap();
        std::fs::write(state.join("dondoc.db"), "made by the command").unwrap();
        // A thread that starts later has what this one has.
        let read = std::thread::spawn(move || std::fs::read(state.with_file_name("roots-own")).is_ok()).join().unwrap();
        println!("reads root's files: {read}");
        assert!(std::os::unix::fs::chown("/proc/self/exe", Some(0), Some(0)).is_err(), "every other right is gone");
    }

    #[test]
    fn what_roots_command_makes_belongs_to_the_service_and_roots_files_stay_in_reach() {
        let Some((dir, said)) = stepped_down("root") else { return };
        let made = std::fs::metadata(dir.path().join("state/dondoc.db")).unwrap();
        assert_eq!((made.uid(), made.gid()), (12345, 12346));
        assert!(said.contains("reads root's files: true"), "{said}");
    }

    #[test]
    fn a_daemon_started_by_root_keeps_nothing_of_roots() {
        let Some((_dir, said)) = stepped_down("owner") else { return };
        assert!(said.contains("reads root's files: false"), "{said}");
    }
}
