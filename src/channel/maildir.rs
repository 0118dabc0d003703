//! E-mail into a Maildir that any mail program opens: for trying dondoc out, and where no relay is at hand. Never goes
//! over a network.
//!
//! A message's file is named by its key (the Message-ID), so handing over the same message again, which the ledger
//! does when the answer was lost, puts the same bytes over the first copy, or leaves them alone where a reader has
//! already moved them to `cur` (with flags) — here even the second copy does not occur. Lines end by LF, as Maildir
//! readers expect; the ledger keeps the CRLF bytes.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use super::{Channel, Delivery, Gate, Parcel};
use crate::planning::outcome::Outcome;

/// The channel.
#[derive(Debug)]
pub struct MaildirChannel {
    path: PathBuf,
}

impl MaildirChannel {
    /// The Maildir at `path` (its `tmp`, `new`, `cur` are made at the first delivery).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

#[async_trait]
impl Channel for MaildirChannel {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        if !gate.pass(parcel).await {
            return Delivery::Stopped;
        }
        let (path, name, bytes) = (self.path.clone(), name(&parcel.key), with_lf(&parcel.bytes));
        let stored = tokio::task::spawn_blocking(move || store(&path, &name, &bytes)).await;
        Delivery::Tried(match stored {
            Ok(Ok(())) => Outcome::Accepted { code: 250, reply: "stored".into() },
            Ok(Err(error)) => refused(&error),
            Err(_) => Outcome::Transient { code: 0, reply: "storing was broken off".into() },
        })
    }

    fn parallel(&self) -> usize {
        // The disk's fsync is the measure; a second one keeps it busy while the first is recorded.
        2
    }

    async fn rest(&self) {}
}

/// Writes to `tmp`, then renames to `new`; file and directory are on the disk before it returns. Needs no lock: the
/// daemon hands a message over once at a time.
fn store(path: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let (tmp, new, cur) = (path.join("tmp"), path.join("new"), path.join("cur"));
    for directory in [&tmp, &new, &cur] {
        private_directory(directory)?;
    }
    if is_read(&cur, name)? {
        return Ok(());
    }
    let begun = tmp.join(name);
    let mut file = private_file(&begun)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    if let Err(error) = written {
        // Half a file helps nobody, least of all on a full disk.
        let _ = fs::remove_file(&begun);
        return Err(error);
    }
    fs::rename(&begun, new.join(name))?;
    fs::File::open(&new)?.sync_all()
}

/// Whether a reader has moved the message to `cur`, where its name is followed by `:2,` and flags.
fn is_read(cur: &Path, name: &str) -> io::Result<bool> {
    for entry in fs::read_dir(cur)? {
        let entry = entry?.file_name();
        if entry.to_str().and_then(|entry| entry.strip_prefix(name)).is_some_and(|r| r.is_empty() || r.starts_with(':'))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(unix)]
fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn private_file(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// A file name made of the key alone: what of it a file system takes, and a digest that keeps different keys apart.
fn name(key: &str) -> String {
    let readable: String = key.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(40).collect();
    format!("dondoc.{readable}.{}", hex::encode(&Sha256::digest(key.as_bytes())[..12]))
}

fn with_lf(bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().enumerate() {
        if !(*byte == b'\r' && bytes.get(at + 1) == Some(&b'\n')) {
            stored.push(*byte);
        }
    }
    stored
}

/// What a person has to mend is a matter of settings; what may pass by itself is not. Paths stay out of the words.
fn refused(error: &io::Error) -> Outcome {
    use io::ErrorKind::*;
    let code = error.raw_os_error().unwrap_or_default();
    let reply = format!("cannot write to the Maildir: {}", error.kind());
    match error.kind() {
        StorageFull | QuotaExceeded | PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory => {
            Outcome::Configuration { code, reply }
        }
        _ => Outcome::Transient { code, reply },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(bool);

    #[async_trait]
    impl Gate for Always {
        async fn pass(&self, _: &Parcel) -> bool {
            self.0
        }
    }

    fn parcel(key: &str, text: &str) -> Parcel {
        Parcel { id: 1, address: "a@b.vn".into(), bytes: text.into(), key: key.into(), attempt: 1 }
    }

    fn files(path: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn the_same_message_twice_is_one_file_and_another_is_another() {
        let office = tempfile::tempdir().unwrap();
        let channel = MaildirChannel::new(office.path().join("mail/dir"));
        for key in ["<1@office.example>", "<1@office.example>", "<2@office.example>"] {
            let delivery = channel.deliver(&parcel(key, "Subject: x\r\n\r\ny\r\n"), &Always(true)).await;
            assert!(matches!(delivery, Delivery::Tried(Outcome::Accepted { .. })), "{delivery:?}");
        }
        let new = office.path().join("mail/dir/new");
        let names = files(&new);
        assert_eq!(names.len(), 2);
        assert_eq!(fs::read_to_string(new.join(&names[0])).unwrap(), "Subject: x\n\ny\n");
        assert!(files(&office.path().join("mail/dir/tmp")).is_empty());
    }

    #[tokio::test]
    async fn a_message_that_was_read_does_not_come_back() {
        let office = tempfile::tempdir().unwrap();
        let channel = MaildirChannel::new(office.path());
        channel.deliver(&parcel("<1@x>", "a"), &Always(true)).await;
        let name = files(&office.path().join("new")).remove(0);
        let read = office.path().join("cur").join(format!("{name}:2,S"));
        fs::rename(office.path().join("new").join(&name), read).unwrap();
        let delivery = channel.deliver(&parcel("<1@x>", "a"), &Always(true)).await;
        assert!(matches!(delivery, Delivery::Tried(Outcome::Accepted { .. })));
        assert!(files(&office.path().join("new")).is_empty());
    }

    #[tokio::test]
    async fn a_closed_gate_leaves_no_file() {
        let office = tempfile::tempdir().unwrap();
        let channel = MaildirChannel::new(office.path().join("m"));
        assert_eq!(channel.deliver(&parcel("<1@x>", "a"), &Always(false)).await, Delivery::Stopped);
        assert!(!office.path().join("m").exists());
    }

    #[tokio::test]
    async fn a_path_that_is_a_file_is_a_matter_of_settings() {
        let office = tempfile::tempdir().unwrap();
        let file = office.path().join("file");
        fs::write(&file, "x").unwrap();
        let delivery = MaildirChannel::new(&file).deliver(&parcel("<1@x>", "a"), &Always(true)).await;
        assert!(matches!(delivery, Delivery::Tried(Outcome::Configuration { .. })), "{delivery:?}");
    }

    #[test]
    fn a_full_disk_and_missing_rights_are_settings_and_other_trouble_passes() {
        for (errno, class) in [
            (libc::ENOSPC, "configuration"),
            (libc::EDQUOT, "configuration"),
            (libc::EACCES, "configuration"),
            (libc::EROFS, "configuration"),
            (libc::EIO, "transient"),
            (libc::EMFILE, "transient"),
        ] {
            assert_eq!(refused(&io::Error::from_raw_os_error(errno)).as_str(), class, "errno {errno}");
        }
    }

    #[test]
    fn no_key_leaves_the_directory() {
        let name = name("../../etc/<x@y>\0");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)), "{name}");
        assert!(!name.contains(".."), "{name}");
    }
}
