//! A PostgreSQL of the tests' own: made by `initdb` in a temporary folder, run as an unprivileged user, gone with the
//! test process however that ends. Never a server that is installed on this machine, never a port but 127.0.0.1's.
//!
//! [`shared`] is one server for all tests of a process, each with a [`Database`] of its own; [`own`] is one that a test
//! may stop and start.
#![allow(dead_code, reason = "each test takes what it needs; the benchmark takes this file too")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// The role the tests connect as; it owns everything.
pub const ROLE: &str = "dondoc";

/// Its password over TCP. Through the socket, which only this user and root can reach, none is asked for.
pub const PASSWORD: &str = "mat-khau-thu-nghiem";

/// Starts, stops and in the end clears away: this shell outlives the test process just long enough. It reads its orders
/// from a pipe that closes with the test process, killed or not, and answers each with a line.
const KEEPER: &str = r#"
bin=$1 dir=$2 port=$3
start() {
    "$bin/postgres" -D "$dir/data" -p "$port" -k "$dir" </dev/null >>"$dir/log" 2>&1 &
    pid=$!
    n=0
    while ! "$bin/pg_isready" -q -h "$dir" -p "$port"; do
        if ! kill -0 $pid 2>/dev/null || [ $n -gt 600 ]; then echo failed; return; fi
        n=$((n + 1)); sleep 0.05
    done
    echo "$pid"
}
stop() { kill -"$1" $pid 2>/dev/null; wait $pid; echo stopped; }
trap '' PIPE INT
start
while read -r order; do
    case $order in
        start) start ;;
        immediate) stop QUIT ;;
        fast) stop INT ;;
    esac
done
kill -QUIT $pid 2>/dev/null
wait $pid
rm -rf "$dir"
"#;

/// Where the binaries are: PATH, or Debian's folder of the newest version.
fn binaries() -> Option<PathBuf> {
    let complete = |folder: &Path| ["initdb", "postgres", "pg_isready"].iter().all(|name| folder.join(name).is_file());
    // A link in PATH leads to the folder where the rest is.
    let linked = std::env::var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let linked = linked.filter_map(|folder| Some(folder.join("initdb").canonicalize().ok()?.parent()?.to_owned()));
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    debian.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    debian.into_iter().map(|(_, folder)| folder).chain(linked).find(|folder| complete(folder))
}

/// Whom the server runs as where we are root, which it refuses: (user, group).
fn unprivileged() -> Option<(u32, u32)> {
    // /proc/self belongs to the effective user.
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let known = fs::read_to_string("/etc/passwd").unwrap();
    let entry = |name: &str| {
        let line = known.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().ok());
        Some((ids.next()??, ids.next()??))
    };
    Some(["postgres", "nobody"].into_iter().find_map(entry).expect("an unprivileged user"))
}

/// As the unprivileged user, if we are root; in a group of its own, so that Ctrl-C does not reach it before us.
fn as_nobody(mut command: Command) -> Command {
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.process_group(0).env("LC_ALL", "C.UTF-8").env("TZ", "UTC").current_dir("/");
    command
}

struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The postmaster.
    pid: Option<u32>,
}

/// A running server. Stopped and cleared away when dropped, or when the process ends.
pub struct Server {
    folder: PathBuf,
    port: u16,
    keeper: Mutex<Keeper>,
    databases: AtomicU64,
    templates: Mutex<Vec<String>>,
}

/// A database of one test's own; dropped with it.
pub struct Database<'a> {
    server: &'a Server,
    pub name: String,
    /// Without a password: through the server's socket.
    pub url: String,
}

/// The one server of this process, started by the first test that asks. None: there is no PostgreSQL here; it says so,
/// and in a full run fails.
pub fn shared() -> Option<&'static Server> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    SHARED.get_or_init(|| Server::start(&[])).as_ref()
}

/// A server that the test may stop and start, and lose. `settings` go into postgresql.conf.
pub fn own(settings: &[&str]) -> Option<Server> {
    Server::start(settings)
}

impl Server {
    fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = binaries() else {
            assert!(std::env::var_os("DONDOC_FULL").is_none(), "PostgreSQL is missing: apt-get install postgresql");
            eprintln!("left out: this test starts a PostgreSQL (apt-get install postgresql)");
            return None;
        };
        // In memory where there is some, for nothing here has to survive the machine; on a disk where one is measured.
        let memory = Path::new("/dev/shm");
        let durable = settings.contains(&"fsync = on");
        let parent = if memory.is_dir() && !durable { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("dondoc-pg-").tempdir_in(parent).unwrap().keep();
        if let Some((user, group)) = unprivileged() {
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let made = [&["--locale-provider=icu", "--icu-locale=vi-VN", "--locale=C.UTF-8"][..], &["--locale=C.UTF-8"]]
            .iter()
            .any(|locale| Self::initdb(&bin, &folder, locale));
        assert!(made, "initdb failed: {}", fs::read_to_string(folder.join("initdb.log")).unwrap_or_default());
        let usual = [
            "listen_addresses = '127.0.0.1'",
            "max_connections = 300",
            "shared_buffers = '64MB'",
            // What is tested is that processes die, not that the machine loses its current.
            "fsync = off",
            "full_page_writes = off",
            "max_wal_size = '256MB'",
            "min_wal_size = '32MB'",
            "log_min_messages = warning",
        ];
        let conf = folder.join("data/postgresql.conf");
        let mut text = fs::read_to_string(&conf).unwrap();
        text.extend(usual.iter().chain(settings).flat_map(|line| [line, "\n"]));
        fs::write(&conf, text).unwrap();
        let access = format!("local all all trust\nhost all {ROLE} 127.0.0.1/32 scram-sha-256\n");
        fs::write(folder.join("data/pg_hba.conf"), access).unwrap();
        // Another program may take the port between our look and the server's.
        let found = (0..5).find_map(|_| {
            let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            Some((port, Keeper::start(&bin, &folder, port)?))
        });
        let Some((port, keeper)) = found else {
            panic!("PostgreSQL does not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default())
        };
        let server = Self {
            folder,
            port,
            keeper: Mutex::new(keeper),
            databases: AtomicU64::new(0),
            templates: Mutex::default(),
        };
        server.sql("postgres", &format!("ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'"));
        Some(server)
    }

    /// Text is compared as a Vietnamese office's server would; before version 15 there is no such option.
    fn initdb(bin: &Path, folder: &Path, locale: &[&str]) -> bool {
        let _ = fs::remove_dir_all(folder.join("data"));
        let mut command = as_nobody(Command::new(bin.join("initdb")));
        command.args(["--no-sync", "--no-instructions", "--auth=trust", "--encoding=UTF8", "--username", ROLE, "-D"]);
        let output = command.arg(folder.join("data")).args(locale).stdin(Stdio::null()).output().unwrap();
        let _ = fs::write(folder.join("initdb.log"), [output.stdout, output.stderr].concat());
        output.status.success()
    }

    /// The folder that holds its socket, its log and its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The postmaster; None while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.lock().unwrap().pid
    }

    /// `pg_ctl stop -m immediate`: no checkpoint, every session torn off. It has ended when this returns.
    pub fn stop_immediately(&self) {
        self.keeper.lock().unwrap().order("immediate");
    }

    /// `pg_ctl stop -m fast`.
    pub fn stop(&self) {
        self.keeper.lock().unwrap().order("fast");
    }

    /// Starts it again, on the same port; it answers when this returns.
    pub fn start_again(&self) {
        let mut keeper = self.keeper.lock().unwrap();
        keeper.order("start");
        assert!(keeper.pid.is_some(), "it does not start: {}", self.log());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The address of one of its databases, through its socket.
    pub fn url(&self, database: &str) -> String {
        let folder = self.folder.to_str().unwrap().replace('/', "%2F");
        format!("postgres://{ROLE}@{folder}:{}/{database}", self.port)
    }

    /// The same over TCP; it asks for [`PASSWORD`].
    pub fn tcp_url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// An empty database.
    pub fn database(&self) -> Database<'_> {
        self.made_from("template0")
    }

    /// A copy of what `prepare` makes of an empty database once: `prepare` gets its address, and leaves no connection.
    pub fn copy_of(&self, template: &str, prepare: impl FnOnce(&str)) -> Database<'_> {
        // A test that failed while it prepared one leaves it to the next to prepare anew.
        let mut templates = self.templates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !templates.iter().any(|known| known == template) {
            self.sql("postgres", &format!("DROP DATABASE IF EXISTS \"{template}\" WITH (FORCE)"));
            self.sql("postgres", &format!("CREATE DATABASE \"{template}\" TEMPLATE template0"));
            prepare(&self.url(template));
            templates.push(template.to_owned());
        }
        // Under the lock: a template is copied by one at a time.
        self.made_from(template)
    }

    fn made_from(&self, template: &str) -> Database<'_> {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE \"{template}\""));
        Database { server: self, url: self.url(&name), name }
    }

    /// Runs a statement, and gives what it answered as text (`NULL` as none), row by row.
    pub fn sql(&self, database: &str, statement: &str) -> Vec<Vec<Option<String>>> {
        self.try_sql(database, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    /// [`Self::sql`], where a refusal is an answer too.
    pub fn try_sql(&self, database: &str, statement: &str) -> sqlx::Result<Vec<Vec<Option<String>>>> {
        let (url, statement) = (self.url(database), statement.to_owned());
        // In a thread of its own: whoever calls may or may not be within a runtime.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await?;
                let rows = sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(&mut connection).await?;
                connection.close().await?;
                // The simple protocol answers in text, whatever the type.
                rows.iter()
                    .map(|row| {
                        (0..row.len())
                            .map(|n| Ok(row.try_get_raw(n)?.as_str().ok().map(str::to_owned)))
                            .collect::<sqlx::Result<Vec<_>>>()
                    })
                    .collect()
            })
        })
        .join()
        .expect("the statement's thread")
    }
}

impl Keeper {
    /// None: it did not come up.
    fn start(bin: &Path, folder: &Path, port: u16) -> Option<Self> {
        let mut command = as_nobody(Command::new("/bin/sh"));
        command.args(["-c", KEEPER, "postgres-keeper"]).arg(bin).arg(folder).arg(port.to_string());
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (orders, answers) = (shell.stdin.take(), BufReader::new(shell.stdout.take().unwrap()));
        let mut keeper = Self { shell, orders, answers, pid: None };
        keeper.heard();
        if keeper.pid.is_none() {
            // It would clear the folder away; the next try wants it.
            let _ = keeper.shell.kill();
            let _ = keeper.shell.wait();
            return None;
        }
        Some(keeper)
    }

    fn order(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("open until the end");
        writeln!(orders, "{order}").unwrap();
        self.heard();
    }

    fn heard(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        self.pid = line.trim().parse().ok();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // End of input: it stops the server, clears away and ends.
        self.orders = None;
        let _ = self.shell.wait();
    }
}

impl Database<'_> {
    pub fn sql(&self, statement: &str) -> Vec<Vec<Option<String>>> {
        self.server.sql(&self.name, statement)
    }

    /// The one number that a statement answers.
    pub fn number(&self, statement: &str) -> i64 {
        let rows = self.sql(statement);
        let value = rows.first().and_then(|row| row.first()).cloned().flatten();
        value.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{statement}: no number: {rows:?}"))
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // The server may have been stopped by the test.
        let _ = self.server.try_sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
