//! One office with its own folder, settings, relay, receiver and clock, and the program run in it.

use std::{
    cell::{Cell, RefCell},
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::Duration,
};

use dondoc::clock::Clock;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::sink::{smtp::SmtpSink, zalo::ZaloSink};

/// How long any condition may take to come about. A bound, not a timing: a healthy run never comes near it.
pub const PATIENCE: Duration = Duration::from_secs(40);

pub const SECRET: &str = "khoa-ky-thu-nghiem";

/// The office's time zone.
pub fn zone() -> TimeZone {
    TimeZone::get("Asia/Ho_Chi_Minh").unwrap()
}

/// A local moment of the office, as it is typed: `2026-11-23T08:00:00`.
pub fn local(text: &str) -> Timestamp {
    text.parse::<DateTime>().unwrap().to_zoned(zone()).unwrap().timestamp()
}

/// An instant of a JSON answer.
pub fn instant(value: &Value) -> Timestamp {
    let text = value.as_str().unwrap_or_else(|| panic!("no instant: {value}"));
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// libfaketime, if it is on this machine. Says that the test is left out where it is not.
fn faketime() -> Option<PathBuf> {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib", "/usr/local/lib"];
    let found =
        folders.iter().map(|folder| Path::new(folder).join("faketime/libfaketimeMT.so.1")).find(|p| p.is_file());
    if found.is_none() {
        assert!(std::env::var_os("DONDOC_FULL").is_none(), "libfaketime is missing: apt-get install faketime");
        eprintln!("left out: this test moves time by libfaketime (apt-get install faketime)");
    }
    found
}

/// What a command came to.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// What a failed command says last; before it stand warnings about the rules, if any.
    pub fn last_line(&self) -> &str {
        self.err.trim_end().lines().last().unwrap_or_default()
    }

    /// The one line that failed commands say.
    pub fn one_line(&self) -> &str {
        let line = self.err.trim_end();
        assert!(!line.is_empty() && !line.contains('\n'), "one line is promised: {self:?}");
        line
    }
}

/// What differs from a usual office.
#[derive(Default)]
pub struct Office {
    /// Port of the relay, where it is not the world's own sink.
    pub relay: Option<u16>,
    /// Appended to `[email.smtp]`.
    pub smtp: &'static str,
    pub without_zalo: bool,
    /// Instead of the shipped ones.
    pub rules: Option<&'static str>,
}

pub struct World {
    pub folder: TempDir,
    faketime: PathBuf,
    pub mail: SmtpSink,
    pub zalo: ZaloSink,
    /// What the clock was last set to.
    shown: Cell<Timestamp>,
}

impl World {
    /// An office whose clock shows `now` (local). None: time cannot be moved here.
    pub fn at(now: &str) -> Option<Self> {
        Self::with(now, Office::default())
    }

    pub fn with(now: &str, office: Office) -> Option<Self> {
        let faketime = faketime()?;
        let folder = tempfile::tempdir().unwrap();
        let (mail, zalo) = (SmtpSink::start(), ZaloSink::start(&[SECRET]));
        let world = Self { folder, faketime, mail, zalo, shown: Cell::new(Timestamp::UNIX_EPOCH) };
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        for name in ["rules.toml", "calendar.toml"] {
            fs::copy(shipped.join(name), world.path(name)).unwrap();
        }
        if let Some(rules) = office.rules {
            fs::write(world.path("rules.toml"), rules).unwrap();
        }
        fs::write(world.path("zalo-secret"), format!("{SECRET}\n")).unwrap();
        let relay = office.relay.unwrap_or(world.mail.port());
        let zalo = if office.without_zalo { "off" } else { "webhook" };
        let (url, smtp) = (world.zalo.url(), office.smtp);
        let settings = format!(
            r#"
[office]
name = "Văn phòng UBND Thành phố"
time_zone = "Asia/Ho_Chi_Minh"
[files]
rules = "rules.toml"
calendar = "calendar.toml"
[store]
url = "sqlite:dondoc.db"
[scan]
schedule = "0 * * * * *"
[email]
transport = "smtp"
from = "Đôn đốc nhiệm vụ <dondoc@office.example>"
allowed_domains = ["hanoi.gov.vn.example"]
daily_list_at = ""
[email.smtp]
host = "127.0.0.1"
port = {relay}
tls = "none"
messages_per_minute = 60000
{smtp}
[blocks.state]
focal_agency = "VPUB"
[blocks.party]
focal_agency = "VPTU"
[blocks.enterprise]
focal_agency = "VPUB"
[inspection]
agency = "SNV"
[zalo]
mode = "{zalo}"
[zalo.webhook]
url = "{url}"
secret_file = "zalo-secret"
[notices]
directory = "notices"
[web]
listen = ""
"#
        );
        fs::write(world.path("dondoc.toml"), settings).unwrap();
        world.set(local(now));
        Some(world)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets the office's clock; from there it runs on.
    ///
    /// While the daemon runs this is for moments in which it does nothing: what takes its time just then, a statement
    /// say, takes as long as the leap is wide.
    pub fn set(&self, now: Timestamp) {
        self.shown.set(now);
        // Whole seconds, rounded up: the clock never shows an instant before the one asked for.
        let ahead = now.duration_since(Clock::System.now()).as_secs_f64().ceil() as i64;
        // Renamed into place: half a file would be another time.
        fs::write(self.path("clock.new"), format!("{ahead:+}\n")).unwrap();
        fs::rename(self.path("clock.new"), self.path("clock")).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dondoc"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DONDOC_") || name == "NOTIFY_SOCKET") {
            command.env_remove(name);
        }
        command
            .env("LD_PRELOAD", &self.faketime)
            .env("FAKETIME_TIMESTAMP_FILE", self.path("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("NO_FAKE_STAT", "1")
            .env("DONDOC_CONFIG", self.path("dondoc.toml"))
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn dondoc(&self, arguments: &[&str]) -> Answer {
        self.dondoc_with(arguments, |_| ())
    }

    pub fn dondoc_with(&self, arguments: &[&str], more: impl FnOnce(&mut Command)) -> Answer {
        let mut command = self.command(arguments);
        more(&mut command);
        let output = command.output().unwrap();
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON answer of a command that ends with 0.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let answer = self.dondoc(&[arguments, &["--format", "json"]].concat());
        assert_eq!(answer.code, 0, "{arguments:?}: {answer:?}");
        answer.json()
    }

    /// Takes in the sample directory and the sample tasks.
    pub fn import_sample(&self) {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample");
        let file = |name: &str| sample.join(name).to_str().unwrap().to_owned();
        let directory = self.json(&["import", "directory", &file("directory.csv")]);
        let tasks = self.json(&["import", "tasks", &file("tasks.csv"), "--yes"]);
        assert_eq!((&directory["created"], &tasks["created"]), (&1031.into(), &600.into()), "{directory} {tasks}");
    }

    /// Starts the daemon and waits until it is ready.
    pub fn run(&self) -> Daemon {
        self.run_with(|_| ())
    }

    pub fn run_with(&self, more: impl FnOnce(&mut Command)) -> Daemon {
        let mut command = self.command(&["run"]);
        more(&mut command);
        let daemon = Daemon::start(command, &self.path("dondoc.db.sock"));
        daemon.wait_for_log("ready");
        daemon
    }

    pub fn status(&self) -> Value {
        let answer = self.dondoc(&["status", "--format", "json"]);
        assert!(matches!(answer.code, 0 | 3), "{answer:?}");
        answer.json()
    }

    /// Waits until `status` is as wanted.
    pub fn wait_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let limit = Clock::System.boot_time() + PATIENCE;
        loop {
            let status = self.status();
            if wanted(&status) {
                return status;
            }
            assert!(Clock::System.boot_time() < limit, "it did not come to this: {what}\nlast: {status}");
        }
    }

    /// Waits until everything up to `moment` was worked off and nothing waits to be sent or written.
    pub fn wait_quiet(&self, moment: Timestamp) -> Value {
        self.wait_status("quiet", |status| {
            let scanned = !status["last_scan"].is_null() && instant(&status["last_scan"]) >= moment;
            scanned && status["backlog"] == json!({"email": 0, "zalo": 0}) && status["unwritten_files"] == 0
        })
    }

    /// Lets time pass up to just before `moment`, sees that the daemon was awake then, and lets `moment` come. What was
    /// due by then has left when this returns.
    pub fn pass(&self, moment: Timestamp) {
        self.wait_quiet(self.shown.get());
        let before = moment - Duration::from_secs(10);
        self.set(before);
        self.wait_quiet(before);
        // The daemon notes its scans at most once a minute.
        let after = before + Duration::from_secs(61);
        self.set(after);
        self.wait_quiet(after);
    }
}

/// A daemon under way. Killed when dropped, also when a test fails.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    lines: mpsc::Receiver<String>,
    seen: RefCell<Vec<String>>,
}

impl Daemon {
    pub fn start(mut command: Command, socket: &Path) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            use std::io::BufRead;
            for line in std::io::BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, socket: socket.to_owned(), lines, seen: Default::default() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.seen.borrow_mut().extend(self.lines.try_iter());
        self.seen.borrow().clone()
    }

    /// Waits for a line that holds `text`, after those already seen by an earlier wait; gives it.
    pub fn wait_for_log(&self, text: &str) -> String {
        let limit = Clock::System.boot_time() + PATIENCE;
        loop {
            let left = limit.saturating_sub(Clock::System.boot_time());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.borrow_mut().push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("no line with {text:?} in the log:\n{}", self.seen.borrow().join("\n")),
            }
        }
    }

    /// Lines above the usual: what an operator is told.
    pub fn complaints(&self) -> Vec<String> {
        let slow = |line: &String| line.contains("slow statement") || line.contains("slow threshold");
        let loud = |line: &String| line.contains(" WARN ") || line.contains("ERROR ");
        // A leap of the clock in the middle of a statement looks like one that took days.
        self.log().into_iter().filter(|line| loud(line) && !slow(line)).collect()
    }

    pub fn ring(&self) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(b"ring\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "{\"rung\":true}\n");
    }

    /// A ring that it may not live to answer.
    pub fn nudge(&self) {
        let _ = UnixStream::connect(&self.socket).and_then(|mut stream| stream.write_all(b"ring\n"));
    }

    #[expect(unsafe_code, reason = "only libc sends a signal")]
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes no memory; the process is ours and not yet waited for.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    /// Waits for its end; fails when it does not come in time.
    pub fn ended(&mut self) -> ExitStatus {
        let limit = Clock::System.boot_time() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Clock::System.boot_time() < limit, "it does not end");
            // Between two looks, so that the wait does not take the cores from what it waits for.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGTERM, and a clean end.
    pub fn stop(mut self) -> Vec<String> {
        self.signal(libc::SIGTERM);
        let status = self.ended();
        assert_eq!(status.code(), Some(0), "{status:?}: {}", self.log().join("\n"));
        self.log()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            #[expect(clippy::print_stdout, reason = "shown when the test fails")]
            {
                println!("the daemon's last words:\n{}", log[log.len().saturating_sub(40)..].join("\n"));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
