//! Whether this database is the one that sends, or a copy of it. A copy plans nothing, files nothing and sends nothing
//! until somebody says that it is the one (`dondoc instance adopt`); it stays up and says why.
//!
//! The identity is kept twice: in the database, and in a small file beside it (`dondoc.db-instance`). Each sending pass
//! raises the generation before its first letter and after its last outcome, first in the database and then in the file.
//! So a crash leaves a file that lags, never one that leads, and only a database put in the place of a newer one is older
//! than its neighbour. A scan that filed notices raises it as well, for their numbers must not be given twice.
//!
//! On a server several senders share the database, and nothing stands beside it: there only the server's own identity and the
//! database's number are compared, so that a dump restored elsewhere is held.
//!
//! Not seen: a server restored from its files (same identity), a cloned virtual machine (same machine id, same path), a copy of database and file taken together and put
//! back in the same place before the next sending pass, and, of files copied by hand while letters were leaving, the
//! letters of at most ten seconds.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::{
    clock::millis,
    store::{
        Result, Store, StoreError,
        instance::{Identity, InstanceRow, ON_SERVER},
    },
};

/// What the machine's id is hashed with, so that the id itself is never written (machine-id(5)).
const APPLICATION: [u8; 16] = *b"dondoc instance1";

/// A long pass raises the generation again after this: what a copy taken meanwhile does not know is at most so much.
const EVERY: Duration = Duration::from_secs(10);

/// Why a database does not send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// It last sent from another machine.
    Elsewhere,
    /// It last sent from another folder of this machine.
    Moved { from: String },
    /// The file beside it knows of later sending.
    Older { ours: i64, theirs: i64, at: Option<Timestamp> },
    /// The file beside it is gone or unreadable: a copy of the database alone.
    Alone,
    /// The file beside it belongs to another database.
    Foreign,
    /// A backup taken while messages were leaving.
    Copied { at: Timestamp, in_hand: i64 },
}

impl Held {
    /// Its word in JSON and in the record of adoptions.
    pub fn code(&self) -> &'static str {
        match self {
            Held::Elsewhere => "elsewhere",
            Held::Moved { .. } => "moved",
            Held::Older { .. } => "older",
            Held::Alone => "alone",
            Held::Foreign => "foreign",
            Held::Copied { .. } => "copied",
        }
    }

    /// What is wrong, for the office.
    pub fn told(&self) -> String {
        match self {
            Held::Elsewhere => "cơ sở dữ liệu này lần trước gửi từ một máy khác".to_owned(),
            Held::Moved { from } => format!("cơ sở dữ liệu này lần trước gửi từ chỗ khác ({from})"),
            Held::Older { ours, theirs, .. } => format!(
                "cơ sở dữ liệu cũ hơn lần gửi gần nhất (đang ở lần {ours}, tệp bên cạnh ghi lần {theirs}): có lẽ là bản sao \
                 lưu chép đè lên"
            ),
            Held::Alone => "không có tệp -instance đi kèm: có lẽ là bản sao lưu được khôi phục".to_owned(),
            Held::Foreign => "tệp -instance bên cạnh là của cơ sở dữ liệu khác".to_owned(),
            Held::Copied { in_hand, .. } => {
                format!("đây là bản sao lưu lấy khi {in_hand} thư đang gửi dở")
            }
        }
    }
}

/// What is done about it, after [`Held::told`].
pub const WHAT_TO_DO: &str = "Không nhắc, không lập phiếu, không gửi gì. Nếu đúng đây là bản phải gửi (bản kia đã dừng hẳn), chạy: \
     dondoc instance adopt --why \"lý do\"";

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Held::Elsewhere => f.write_str("this database last sent from another machine"),
            Held::Moved { from } => write!(f, "this database last sent from {from}"),
            Held::Older { ours, theirs, .. } => {
                write!(
                    f,
                    "this database (pass {ours}) is older than the file beside it (pass {theirs}): a backup put back"
                )
            }
            Held::Alone => {
                f.write_str("the -instance file beside this database is missing: a copy of the database alone")
            }
            Held::Foreign => f.write_str("the -instance file beside this database belongs to another one"),
            Held::Copied { in_hand, .. } => write!(f, "a backup taken while {in_hand} messages were being sent"),
        }
    }
}

/// What the file beside the database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    pub id: String,
    pub generation: i64,
    pub machine: String,
    pub at: Option<Timestamp>,
}

/// What is found without changing anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub row: Option<InstanceRow>,
    pub neighbour: Option<Neighbour>,
    /// The present machine, hashed; empty where it has no id.
    pub machine: String,
    /// The database's file with its folders.
    pub place: String,
    pub held: Option<Held>,
}

/// Watches over one database.
#[derive(Debug)]
pub struct Guard {
    /// Its file; `None`: it is on a server, where several senders share it and only the server's identity is compared.
    database: Option<PathBuf>,
    machine: String,
    free: AtomicBool,
    seen: Mutex<Seen>,
    /// One raise at a time: the file must not go back.
    raising: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Seen {
    held: Option<Held>,
    /// Device and inode of the database when it was found to be ours.
    file: Option<(u64, u64)>,
    /// Boot time of the last raise, while a sending pass is open.
    raised: Option<Duration>,
}

impl Guard {
    /// For a database file. Reads the machine's id.
    pub fn new(database: &Path) -> Self {
        Guard::over(Some(database.to_owned()), machine())
    }

    /// For a database on a server.
    pub fn on_server() -> Self {
        Guard::over(None, String::new())
    }

    fn over(database: Option<PathBuf>, machine: String) -> Self {
        Guard {
            database,
            machine,
            free: AtomicBool::new(false),
            seen: Mutex::default(),
            raising: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether it was found to be the one that sends.
    pub fn is_free(&self) -> bool {
        self.free.load(Ordering::SeqCst)
    }

    /// Why it does not send, as last looked at.
    pub fn held(&self) -> Option<Held> {
        self.seen().held.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is, without changing anything.
    pub async fn find(&self, store: &dyn Store) -> Result<Found> {
        let Some(database) = self.database.clone() else {
            let place = store.cluster().await?.unwrap_or_default();
            let row = store.instance().await?;
            let held = row.as_ref().and_then(|row| judge_server(row, &place));
            return Ok(Found { row, neighbour: None, machine: String::new(), place, held });
        };
        // The file first: it never leads, so that a raise between the two does not look like an older database.
        let path = neighbour(&database);
        let (neighbour, place) = blocking(move || (read(&path), place(&database))).await?;
        let row = store.instance().await?;
        let held = row.as_ref().and_then(|row| judge(row, neighbour.as_ref(), &self.machine, &place));
        Ok(Found { row, neighbour, machine: self.machine.clone(), place, held })
    }

    /// Looks whether this database may send. One that was never served gets its identity. Answers what holds it, and
    /// whether that is news.
    pub async fn look(&self, store: &dyn Store, now: Timestamp) -> Result<(Option<Held>, bool)> {
        let found = self.find(store).await?;
        if found.held.is_none() {
            let identity =
                Identity { id: Uuid::new_v4().simple().to_string(), machine: self.machine.clone(), place: found.place };
            let row = store.found(now, &identity).await?;
            // What lags by a crash is brought up; a file that is not needed yet is there before it is.
            if found.neighbour.is_none_or(|file| (file.id, file.generation) != (row.id.clone(), row.generation)) {
                self.write(&row).await?;
            }
            if let Some(database) = &self.database {
                let file = file(database)?;
                let first = *self.seen().file.get_or_insert(file);
                if first != file {
                    return Err(StoreError::Replaced(database.clone()));
                }
            }
        }
        let mut seen = self.seen();
        let news = seen.held != found.held;
        seen.held.clone_from(&found.held);
        self.free.store(found.held.is_none(), Ordering::SeqCst);
        Ok((found.held, news))
    }

    /// To be called before messages are claimed: the generation rises with the first of a pass, and again in a long one.
    pub async fn sending(&self, store: &dyn Store, now: Timestamp, boot: Duration) -> Result<()> {
        let _one = self.raising.lock().await;
        let raised = self.seen().raised;
        // On a server nothing stands beside it to compare with: once it was sent from, it has an identity.
        if raised.is_some() && self.database.is_none() {
            return Ok(());
        }
        if raised.is_some_and(|raised| boot.saturating_sub(raised) < EVERY && boot >= raised) {
            return Ok(());
        }
        self.raise(store, now).await?;
        self.seen().raised = Some(boot);
        Ok(())
    }

    /// To be called when a pass is over and its outcomes are recorded.
    pub async fn sent(&self, store: &dyn Store, now: Timestamp) -> Result<()> {
        let _one = self.raising.lock().await;
        if self.database.is_none() || self.seen().raised.take().is_none() {
            return Ok(());
        }
        self.raise(store, now).await
    }

    /// To be called when notices were filed.
    pub async fn filed(&self, store: &dyn Store, now: Timestamp) -> Result<()> {
        let _one = self.raising.lock().await;
        self.raise(store, now).await
    }

    async fn raise(&self, store: &dyn Store, now: Timestamp) -> Result<()> {
        self.same_file()?;
        match store.raise_generation(now).await? {
            Some(row) => self.write(&row).await,
            None => Err(StoreError::Refused("the database has lost its identity; start the service again".to_owned())),
        }
    }

    /// Writes what the database says of itself into the file beside it, durably, whole or not at all.
    pub async fn write(&self, row: &InstanceRow) -> Result<()> {
        let text = json!({
            "instance": row.id,
            "generation": row.generation,
            "machine": row.machine,
            "at": row.raised_at.map(Timestamp::as_millisecond),
        });
        let Some(path) = self.database.as_deref().map(neighbour) else { return Ok(()) };
        blocking(move || write(&path, &format!("{text}\n")).map_err(|error| StoreError::File { path, error })).await?
    }

    /// Fails when another file was put in the place of the one that is open.
    pub fn same_file(&self) -> Result<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let found = file(database)?;
        if self.seen().file == Some(found) { Ok(()) } else { Err(StoreError::Replaced(database.clone())) }
    }
}

/// The file beside a database.
pub fn neighbour(database: &Path) -> PathBuf {
    let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    name.push("-instance");
    name.into()
}

/// What keeps a database from sending. A file that lags behind the database is what a crash between the two leaves.
fn judge(row: &InstanceRow, neighbour: Option<&Neighbour>, machine: &str, place: &str) -> Option<Held> {
    if row.generation > 0 {
        // Without an id (some containers) nobody can tell machines apart.
        if !row.machine.is_empty() && !machine.is_empty() && row.machine != machine {
            return Some(Held::Elsewhere);
        }
        match neighbour {
            None => return Some(Held::Alone),
            Some(file) if file.id != row.id => return Some(Held::Foreign),
            Some(_) => {}
        }
        if !row.place.is_empty() && row.place != place {
            return Some(Held::Moved { from: row.place.clone() });
        }
    }
    let file = neighbour.filter(|file| file.id == row.id)?;
    if file.generation > row.generation {
        return Some(Held::Older { ours: row.generation, theirs: file.generation, at: file.at });
    }
    // The same generation: nothing left since, unless letters were leaving just then.
    let (at, in_hand) = row.copied?;
    (in_hand > 0).then_some(Held::Copied { at, in_hand })
}

/// A database that was restored on another server, or beside the old one under another name. One that came from a file
/// says where that file was; it is a server's from its first sending on.
fn judge_server(row: &InstanceRow, place: &str) -> Option<Held> {
    let elsewhere = row.generation > 0 && row.place.starts_with(ON_SERVER) && place.starts_with(ON_SERVER);
    (elsewhere && row.place != place).then(|| Held::Moved { from: row.place.clone() })
}

/// Which file the database's name leads to: device and inode.
fn file(database: &Path) -> Result<(u64, u64)> {
    // Asked in every pass, and one look at a name: not worth another thread.
    match fs::metadata(database) {
        Ok(file) => Ok((file.dev(), file.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Replaced(database.to_owned())),
        Err(error) => Err(StoreError::File { path: database.to_owned(), error }),
    }
}

/// The machine's id, hashed for this program as sd_id128_get_machine_app_specific(3) does; empty where there is none.
fn machine() -> String {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let Some(id) = hex::decode(id.trim()).ok().filter(|id| id.len() == 16) else { return String::new() };
    hashed(&id)
}

fn hashed(id: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(id) else { return String::new() };
    mac.update(&APPLICATION);
    let mut short: [u8; 16] = Default::default();
    short.iter_mut().zip(mac.finalize().into_bytes()).for_each(|(to, from)| *to = from);
    hex::encode(short)
}

fn place(database: &Path) -> String {
    database.canonicalize().unwrap_or_else(|_| database.to_owned()).display().to_string()
}

fn read(path: &Path) -> Option<Neighbour> {
    let text = fs::read_to_string(path).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    Some(Neighbour {
        id: value["instance"].as_str()?.to_owned(),
        generation: value["generation"].as_i64()?,
        machine: value["machine"].as_str()?.to_owned(),
        at: value["at"].as_i64().map(millis),
    })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o660).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Refused(format!("the file work was broken off: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: i64) -> InstanceRow {
        InstanceRow {
            id: "a".into(),
            generation,
            machine: "m".into(),
            place: "/p/dondoc.db".into(),
            adopted_at: Timestamp::UNIX_EPOCH,
            raised_at: None,
            copied: None,
        }
    }

    fn file(id: &str, generation: i64) -> Neighbour {
        Neighbour { id: id.into(), generation, machine: "m".into(), at: None }
    }

    #[test]
    fn a_copy_is_held_and_what_a_crash_leaves_is_not() {
        let check = |row: InstanceRow, file: Option<Neighbour>, machine: &str, place: &str, held: Option<&str>| {
            let found = judge(&row, file.as_ref(), machine, place);
            assert_eq!(found.as_ref().map(Held::code), held, "{row:?} {file:?} {machine} {place}");
        };
        let here = "/p/dondoc.db";
        check(row(7), Some(file("a", 7)), "m", here, None);
        // A crash between the database and the file, once or (a full disk) more often.
        check(row(7), Some(file("a", 6)), "m", here, None);
        check(row(7), Some(file("a", 2)), "m", here, None);
        check(row(6), Some(file("a", 7)), "m", here, Some("older"));
        check(row(7), Some(file("a", 7)), "n", here, Some("elsewhere"));
        check(row(7), Some(file("a", 7)), "m", "/q/dondoc.db", Some("moved"));
        check(row(7), None, "m", here, Some("alone"));
        check(row(7), Some(file("b", 7)), "m", here, Some("foreign"));
        // A machine without an id, now or then.
        check(row(7), Some(file("a", 7)), "", here, None);
        check(InstanceRow { machine: String::new(), ..row(7) }, Some(file("a", 7)), "m", here, None);
        // Nothing was ever sent.
        check(row(0), None, "n", "/q/dondoc.db", None);
        check(row(0), Some(file("b", 9)), "m", here, None);
        // A backup that nothing was sent after, taken at rest and in the middle of sending.
        let at = Timestamp::UNIX_EPOCH;
        check(InstanceRow { copied: Some((at, 0)), ..row(7) }, Some(file("a", 7)), "m", here, None);
        check(InstanceRow { copied: Some((at, 3)), ..row(7) }, Some(file("a", 7)), "m", here, Some("copied"));
    }

    #[test]
    fn the_machine_s_id_is_never_written_and_always_the_same() {
        let id = [0x5a; 16];
        let hash = hashed(&id);
        assert_eq!(hash.len(), 32);
        assert_eq!(hash, hashed(&id));
        assert_ne!(hash, hashed(&[0x5b; 16]));
        assert!(!hash.contains(&hex::encode(&id[..4])));
    }

    #[test]
    fn what_is_written_is_read_again_and_half_a_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dondoc.db-instance");
        assert_eq!(read(&path), None);
        write(&path, "{\"instance\":\"a\",\"generation\":7,\"machine\":\"m\",\"at\":null}\n").unwrap();
        assert_eq!(read(&path), Some(file("a", 7)));
        fs::write(&path, "{\"instance\":\"a\",\"gen").unwrap();
        assert_eq!(read(&path), None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file stays");
    }
}
