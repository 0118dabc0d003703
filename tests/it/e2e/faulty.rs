//! The disk that fails as told (`tests/sink/faulty_disk.c`), from the test's side.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::world::World;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Mode {
    Healthy,
    /// Every write: ENOSPC.
    Full,
    /// Every fsync and fdatasync: EIO.
    SyncFails,
    /// Every write and every opening for writing: EROFS.
    ReadOnly,
    /// Every write: EIO.
    WriteFails,
}

/// Compiled once a process. None: no C compiler here; the test says that it is left out.
fn library() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("faulty_disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sink/faulty_disk.c");
        let cc =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
        match cc {
            Ok(status) => {
                assert!(status.success(), "{source} does not compile");
                Some((folder, library))
            }
            Err(_) => {
                assert!(std::env::var_os("DONDOC_FULL").is_none(), "cc is missing: apt-get install gcc libc6-dev");
                eprintln!("left out: this test makes a disk fail by a small C library (apt-get install gcc libc6-dev)");
                None
            }
        }
    });
    built.as_ref().map(|(_, library)| library.as_path())
}

const LOG: &str = "operations.log";

/// One lasting operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub thread: String,
    /// The system call.
    pub what: String,
    pub path: PathBuf,
    /// Of a rename or a link; else empty.
    pub to: PathBuf,
}

impl Operation {
    pub fn is_sync(&self) -> bool {
        matches!(self.what.as_str(), "fsync" | "fdatasync")
    }
}

/// One disk, over a world's folder.
pub struct Disk {
    page: File,
    path: PathBuf,
    folder: PathBuf,
    library: &'static Path,
}

impl Disk {
    pub fn of(world: &World) -> Option<Self> {
        let (library, path) = (library()?, world.path("disk-control"));
        fs::write(&path, [0; 4096]).unwrap();
        let page = File::options().read(true).write(true).open(&path).unwrap();
        Some(Self { page, path, folder: world.folder.path().canonicalize().unwrap(), library })
    }

    /// Makes a command run on it.
    pub fn under(&self, command: &mut Command) {
        let before = command.get_envs().find(|(name, _)| *name == "LD_PRELOAD").and_then(|(_, value)| value);
        let mut preload = self.library.as_os_str().to_owned();
        if let Some(before) = before {
            preload.push(":");
            preload.push(before);
        }
        command
            .env("LD_PRELOAD", preload)
            .env("FAULTY_CONTROL", &self.path)
            .env("FAULTY_FOLDER", self.folder.join("dondoc.db"));
    }

    /// Makes a command run on it, with the notices' folder counted too.
    pub fn under_all(&self, command: &mut Command) {
        self.under(command);
        command.env("FAULTY_FOLDER", &self.folder);
    }

    /// Makes a command run on it and write down what it does; see [`Disk::log`].
    pub fn under_watch(&self, command: &mut Command) {
        self.under_all(command);
        command.env("FAULTY_LOG", self.folder.join(LOG));
    }

    /// The lasting operations under [`Disk::under_watch`] that succeeded, in order.
    pub fn log(&self) -> Vec<Operation> {
        self.reader()()
    }

    /// The same, from anywhere.
    pub fn reader(&self) -> impl Fn() -> Vec<Operation> + Send + Sync + 'static {
        let path = self.folder.join(LOG);
        let operation = |line: &str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap_or_default();
            Operation { thread: word().to_owned(), what: word().to_owned(), path: word().into(), to: word().into() }
        };
        move || fs::read_to_string(&path).unwrap().lines().map(operation).collect()
    }

    fn set(&self, at: u64, value: u64) {
        self.page.write_at(&value.to_ne_bytes(), at * 8).unwrap();
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.page.read_exact_at(&mut bytes, at * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }

    /// From now on.
    pub fn is(&self, mode: Mode) {
        self.set(0, mode as u64);
    }

    /// The same, from anywhere.
    pub fn switch(&self) -> impl Fn(Mode) + Send + Sync + 'static {
        let page = self.page.try_clone().unwrap();
        move |mode| page.write_all_at(&(mode as u64).to_ne_bytes(), 0).unwrap()
    }

    /// Kills the next process before its `n`-th lasting operation; 0: lets it live.
    pub fn kill_before(&self, n: u64) {
        self.set(1, 0);
        self.set(2, n);
    }

    /// Lasting operations since [`Disk::kill_before`].
    pub fn operations(&self) -> u64 {
        self.get(1)
    }

    /// Operations that failed as told.
    pub fn refused(&self) -> u64 {
        self.get(3)
    }
}
