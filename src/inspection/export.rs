//! A notice's files: written after the transaction that filed it, repaired from the database, never over something else.
//!
//! A file appears under its name whole or not at all (temporary file, fsync, rename that replaces nothing, fsync of the
//! folder), and only then is marked. A crash between any two of these is mended by the next pass. What stands in a
//! file's place and is not ours is set aside, never overwritten or deleted. A failure never reaches filing or planning.

use std::{
    ffi::CString,
    fs::{self, File},
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    notice::{self, Withdrawal},
    register::hex_sha256,
};
use crate::{
    message::facts::{NoticeFacts, NoticeSeal},
    store::{
        Result, StoreError,
        register::{FileKind, FileRow, Files, NoticeDetail, RegisterStore},
    },
};

/// The end of a temporary file's name.
const TEMPORARY: &str = ".dondoc-tmp";

/// Bytes beyond which no file of ours goes.
const LARGEST: u64 = 64 << 20;

/// Rows of files looked at together.
const PAGE: u32 = 100;

/// What a file is made of.
#[derive(Debug, Clone, Copy)]
pub struct Sheet<'a> {
    pub kind: FileKind,
    pub facts: &'a NoticeFacts,
    pub seal: &'a NoticeSeal,
    /// Set for the kinds that tell of a withdrawal.
    pub withdrawal: Option<&'a Withdrawal>,
}

/// Makes a file's bytes; the error says why it cannot.
pub type Render<'a> = &'a (dyn Fn(&Sheet<'_>) -> std::result::Result<Vec<u8>, String> + Sync);

/// What a pass over the files did.
#[derive(Debug, Default)]
pub struct ExportReport {
    pub written: u64,
    /// Files that stand as they were written (only [`reconcile`] looks at them).
    pub intact: u64,
    /// Files that had been written and were gone.
    pub missing: Vec<String>,
    /// New names of files that stood in the place and were not ours, or no longer as written.
    pub set_aside: Vec<String>,
    /// What remains unwritten and will be tried again, with why.
    pub failed: Vec<(String, ExportError)>,
}

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot write {path}: {source}; check the free space and this user's rights there")]
    Write { path: PathBuf, source: io::Error },
    #[error("the path {0:?} leads out of the notices directory")]
    Outside(String),
    #[error("cannot make its content: {0}")]
    Render(String),
}

impl ExportError {
    /// The next file would fail for the same reason.
    fn concerns_all(&self) -> bool {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        matches!(self, ExportError::Write { source, .. }
            if matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied))
    }
}

/// Writes what is not yet written. Called after each pass that filed something; what fails stays for the next.
pub async fn write_pending(
    store: &dyn RegisterStore,
    directory: &Path,
    now: Timestamp,
    render: Render<'_>,
) -> Result<ExportReport> {
    let mut report = ExportReport::default();
    pass(store, directory, now, render, Files::Unwritten, &mut report).await?;
    Ok(report)
}

/// At start: removes temporary files a crash left, writes what is unwritten, and compares every written file with its
/// hash. A missing one is written again; another one is set aside and written again.
pub async fn reconcile(
    store: &dyn RegisterStore,
    directory: &Path,
    now: Timestamp,
    render: Render<'_>,
) -> Result<ExportReport> {
    let mut report = ExportReport::default();
    let folder = directory.to_owned();
    if let Err(error) = blocking(move || remove_temporaries(&folder)).await? {
        tracing::warn!("cannot look for temporary files in the notices directory: {error}");
    }
    // Written ones first: those written by this pass need no second look.
    pass(store, directory, now, render, Files::Written, &mut report).await?;
    pass(store, directory, now, render, Files::Unwritten, &mut report).await?;
    Ok(report)
}

async fn pass(
    store: &dyn RegisterStore,
    directory: &Path,
    now: Timestamp,
    render: Render<'_>,
    which: Files,
    report: &mut ExportReport,
) -> Result<()> {
    let mut after = None;
    let mut last: Option<NoticeDetail> = None;
    loop {
        let page = store.notice_files(which, after, PAGE).await?;
        let Some(end) = page.last() else { return Ok(()) };
        after = Some((end.notice, end.kind));
        // Marked together after the page: a crash before that finds the files in their places, with the same bytes.
        let mut marks = Vec::new();
        let mut stop = false;
        for file in &page {
            if file.written && stands_as_written(directory, file, report).await? {
                report.intact += 1;
                continue;
            }
            if last.as_ref().is_none_or(|detail| detail.notice.id != file.notice) {
                last = match store.notice(file.notice).await {
                    // One damaged notice does not keep the others from being written.
                    Err(error @ StoreError::Damaged { .. }) => {
                        tracing::error!(notice = file.notice, "a notice's file cannot be made: {error}");
                        report.failed.push((file.path.clone(), ExportError::Render(error.to_string())));
                        None
                    }
                    found => found?,
                };
            }
            let Some(detail) = &last else { continue };
            match write_one(directory, file, detail, render, report).await? {
                Ok(hash) => {
                    marks.push((file.notice, file.kind, hash));
                    report.written += 1;
                }
                Err(error) => {
                    tracing::error!(notice = file.notice, "a notice's file stays unwritten for now: {error}");
                    stop = error.concerns_all();
                    report.failed.push((file.path.clone(), error));
                    if stop {
                        break;
                    }
                }
            }
        }
        store.mark_files_written(&marks, now).await?;
        if stop {
            return Ok(());
        }
    }
}

/// Whether a file that was written is there with its hash; notes in the report what is not.
async fn stands_as_written(directory: &Path, file: &FileRow, report: &mut ExportReport) -> Result<bool> {
    let Ok(path) = inside(directory, &file.path) else { return Ok(false) };
    let read = blocking(move || read_plain(&path)).await?;
    Ok(match read {
        Ok(bytes) => Some(hex_sha256(&bytes)) == file.hash,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::warn!(notice = file.notice, "the file {} is gone and is written again", file.path);
            report.missing.push(file.path.clone());
            false
        }
        // Unreadable is not missing: writing will say what is wrong there.
        Err(_) => false,
    })
}

/// Writes one file; the hash of what then stands under its name.
async fn write_one(
    directory: &Path,
    file: &FileRow,
    detail: &NoticeDetail,
    render: Render<'_>,
    report: &mut ExportReport,
) -> Result<std::result::Result<String, ExportError>> {
    let made = (|| {
        let path = inside(directory, &file.path)?;
        let fail = |error: notice::NoticeError| ExportError::Render(error.to_string());
        let facts = notice::facts(detail).map_err(fail)?;
        let withdrawal = match file.kind {
            FileKind::Html | FileKind::Json => None,
            FileKind::WithdrawnHtml | FileKind::WithdrawnJson => notice::withdrawal(detail).map_err(fail)?,
        };
        let seal = notice::seal(detail);
        let sheet = Sheet { kind: file.kind, facts: &facts, seal: &seal, withdrawal: withdrawal.as_ref() };
        Ok((path, render(&sheet).map_err(ExportError::Render)?))
    })();
    let (path, bytes) = match made {
        Ok(made) => made,
        Err(error) => return Ok(Err(error)),
    };
    let hash = hex_sha256(&bytes);
    let written =
        blocking(move || put(&path, &bytes).map_err(|source| ExportError::Write { path: path.clone(), source }))
            .await?;
    Ok(written.map(|aside| {
        if let Some(aside) = aside {
            tracing::error!(
                notice = file.notice,
                "another file stood in the place of {}; it was set aside as {}",
                file.path,
                aside.display()
            );
            report.set_aside.push(aside.display().to_string());
        }
        hash
    }))
}

/// Joins a stored path to the directory, refusing anything but plain names below it.
fn inside(directory: &Path, path: &str) -> std::result::Result<PathBuf, ExportError> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !path.is_empty() { Ok(directory.join(path)) } else { Err(ExportError::Outside(path.to_owned())) }
}

/// Puts `bytes` under `path`, replacing nothing: where another file stands it is set aside first and its new path
/// answered. Both the file and its name are on the disk when this returns. Several machines may share the folder: what
/// another one put there meanwhile, the same bytes, is no other file.
fn put(path: &Path, bytes: &[u8]) -> io::Result<Option<PathBuf>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folders(folder)?;
    let placed = match place(path, bytes, folder) {
        // Another machine that started just then took the temporary file for one that a crash had left.
        Err(error) if error.kind() == io::ErrorKind::NotFound => place(path, bytes, folder),
        placed => placed,
    };
    let aside = placed?;
    sync_folder(folder)?;
    Ok(aside)
}

fn place(path: &Path, bytes: &[u8], folder: &Path) -> io::Result<Option<PathBuf>> {
    let there = || read_plain(path).is_ok_and(|old| old == bytes);
    if there() {
        // The crash came between the rename and the mark.
        return Ok(None);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}{TEMPORARY}", uuid::Uuid::new_v4().simple()));
    let placed = (|| {
        let mut file = File::options().write(true).create_new(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let mut aside = None;
        // Twice at most: somebody who keeps putting files there is an error, not a race to be won.
        for _ in 0..2 {
            match rename_new(&temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && there() => {
                    fs::remove_file(&temporary)?;
                    return Ok(aside);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => aside = Some(set_aside(path)?),
                other => return other.map(|()| aside),
            }
        }
        rename_new(&temporary, path).map(|()| aside)
    })();
    if placed.is_err() {
        // What remains of it is removed at the next start if it cannot be now.
        let _ = fs::remove_file(&temporary);
    }
    placed
}

/// Reads a plain file of a size that ours may have. Links are not followed and pipes not opened: somebody may have put
/// one there, and reading it might never end.
fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let there = fs::symlink_metadata(path)?;
    if !there.is_file() || there.len() > LARGEST {
        return Err(io::Error::other("it is not a file of ours"));
    }
    fs::read(path)
}

/// Moves whatever stands at `path` to `….khac-1`, or the next free number.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for n in 1..10_000 {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".khac-{n}"));
        match rename_new(path, Path::new(&name)) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many files set aside there"))
}

/// Renames without replacing: `renameat2(RENAME_NOREPLACE)`, or a second link where the file system lacks it (NFS).
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (old, new) = (CString::new(from.as_os_str().as_bytes())?, CString::new(to.as_os_str().as_bytes())?);
    #[expect(unsafe_code, reason = "renameat2 has no safe wrapper in std")]
    // SAFETY: both paths are NUL-terminated strings that live for the length of the call.
    let answer =
        unsafe { libc::renameat2(libc::AT_FDCWD, old.as_ptr(), libc::AT_FDCWD, new.as_ptr(), libc::RENAME_NOREPLACE) };
    if answer == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        _ => Err(error),
    }
}

/// Creates the folders down to `folder`, each made durable in its parent.
fn make_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_folder(parent)?,
        }
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    // The parent of a one-part relative path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Removes temporary files of ours from the year and month folders.
fn remove_temporaries(directory: &Path) -> io::Result<()> {
    for year in folders(directory)? {
        for month in folders(&year)? {
            for entry in fs::read_dir(month)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with('.') && name.ends_with(TEMPORARY) && entry.file_type()?.is_file() {
                    fs::remove_file(entry.path())?;
                }
            }
        }
    }
    Ok(())
}

/// Folders within a folder whose names are digits, as ours are; none where it does not exist.
fn folders(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name().as_bytes().iter().all(u8::is_ascii_digit) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Refused(format!("the file work was broken off: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_who_write_one_file_at_once_leave_one_and_set_none_aside() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<PathBuf> = (0..200).map(|n| folder.path().join(format!("2026/11/{n:04}.html"))).collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for (n, path) in names.iter().enumerate() {
                        let bytes = format!("phiếu báo số {n}");
                        assert_eq!(put(path, bytes.as_bytes()).unwrap(), None, "{}", path.display());
                    }
                });
            }
        });
        let left = fs::read_dir(folder.path().join("2026/11")).unwrap().count();
        assert_eq!(left, names.len(), "nothing beside them");
        assert_eq!(fs::read_to_string(&names[7]).unwrap(), "phiếu báo số 7");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        for path in ["../x.html", "/etc/x.html", "2026/../../x", "", "./x"] {
            assert!(inside(Path::new("/notices"), path).is_err(), "{path:?}");
        }
        assert_eq!(inside(Path::new("/n"), "2026/11/a.html").unwrap(), Path::new("/n/2026/11/a.html"));
    }

    #[test]
    fn nothing_is_replaced_and_each_thing_set_aside_keeps_its_own_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("2026/11/a.html");
        assert_eq!(put(&path, b"ours").unwrap(), None);
        assert_eq!(put(&path, b"ours").unwrap(), None);
        for n in 1..4 {
            fs::write(&path, format!("foreign {n}")).unwrap();
            let aside = put(&path, b"ours").unwrap().unwrap();
            assert!(aside.ends_with(format!("2026/11/a.html.khac-{n}")), "{aside:?}");
            assert_eq!(fs::read_to_string(aside).unwrap(), format!("foreign {n}"));
            assert_eq!(fs::read(&path).unwrap(), b"ours");
        }
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 4, "no temporary file is left");
    }

    #[test]
    fn a_link_in_the_place_is_set_aside_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "secret").unwrap();
        let path = dir.path().join("a.html");
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert!(put(&path, b"ours").unwrap().is_some());
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "secret");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
    }

    #[test]
    fn a_pipe_or_a_folder_in_the_place_neither_blocks_nor_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("a.html");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let folder = dir.path().join("b.html");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), "theirs").unwrap();
        for path in [&pipe, &folder] {
            let aside = put(path, b"ours").unwrap().unwrap();
            assert_eq!(fs::read(path).unwrap(), b"ours");
            assert!(!fs::symlink_metadata(aside).unwrap().is_file());
        }
        assert!(dir.path().join("b.html.khac-1/x").exists());
    }

    #[test]
    fn only_our_temporary_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let month = dir.path().join("2026/11");
        fs::create_dir_all(&month).unwrap();
        fs::create_dir_all(dir.path().join("khac")).unwrap();
        let ours = month.join(format!(".a.html.1{TEMPORARY}"));
        let theirs = [month.join("a.html"), month.join(format!("b{TEMPORARY}")), dir.path().join("khac/.c.dondoc-tmp")];
        for path in theirs.iter().chain([&ours]) {
            fs::write(path, "x").unwrap();
        }
        remove_temporaries(dir.path()).unwrap();
        assert!(!ours.exists());
        assert!(theirs.iter().all(|path| path.exists()));
        remove_temporaries(&dir.path().join("absent")).unwrap();
    }
}
