//! Several machines of one office on one PostgreSQL: each with a folder, settings and a relay of its own, so that it is
//! known who sent what. Time is the machine's own; leases end when a test says so.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use dondoc::clock::Clock;
use jiff::{ToSpan, civil::Date};
use serde_json::Value;
use tempfile::TempDir;

use super::server::{Database, Server};
use crate::dice::asked;
use crate::{
    e2e::world::{Answer, Daemon, PATIENCE, zone},
    sink::smtp::{Received, SmtpSink},
};

/// Every task is one letter to its handler at once, and an overdue one a notice besides.
const RULES: &str = r#"
[defaults]
at = "00:00"
via = ["email"]
bundle = false
late = "latest"
max_lateness = "60wd"
daily_cap = 100000

[hours.normal]
days = "all"
from = "00:00"
until = "24:00"

[[rule]]
id = "thu"
when = { role = "lead" }
clock = "completion"

[[rule.step]]
id = "truoc-10"
due = "-10wd"
add = ["handler"]

[[rule.step]]
id = "qua-han-10"
due = "+10wd"
urging = true
file = ["notice"]
"#;

const HEADER: &str = "Mã nhiệm vụ,\"Số, ký hiệu văn bản\",Ngày văn bản,Loại văn bản,Cơ quan ban hành,Trích yếu văn bản,\
Nội dung nhiệm vụ,Cấp giao nhiệm vụ,Cơ quan chủ trì,Chuyên viên thụ lý,Email,Người theo dõi (Văn phòng),Ngày giao,\
Thời hạn hoàn thành,Độ khẩn,Độ mật,Trạng thái,Ngày hoàn thành";

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");

/// What each relay connection of a machine may hold: so many letters are in flight at most.
pub const CONNECTIONS: usize = 5;

/// How many faults a test strikes with: few in the usual run, as many as `DONDOC_KILLS` says in a long one.
pub fn strikes(few: usize) -> usize {
    asked("DONDOC_KILLS").map_or(few, |n| n as usize)
}

/// Today in the office.
pub fn today() -> Date {
    Clock::System.now().to_zoned(zone()).date()
}

/// A spreadsheet of tasks `from..from + count`, due so many days from today, all in one state.
pub fn tasks(from: usize, count: usize, due_in: i32, state: &str) -> String {
    let day = |days: i32| today().checked_add(days.days()).unwrap().strftime("%d/%m/%Y").to_string();
    let (assigned, due) = (day(due_in.min(0) - 10), day(due_in));
    let done = if state == "Hoàn thành" { day(0) } else { String::new() };
    let rows = (from..from + count).map(|n| {
        format!(
            "{},{}/UBND-TH,{assigned},Công văn,UBND Thành phố,Việc thử,Lập báo cáo thử nghiệm số {n},Chủ tịch UBND Thành \
             phố,Sở Xây dựng,Hoàng Mai Hiền,hienhm@hanoi.gov.vn.example,Đỗ Mai Linh,{assigned},{due},Thường,Thường,{state},\
             {done}\n",
            code(n),
            n + 1000
        )
    });
    format!("{HEADER}\n{}", rows.collect::<String>())
}

/// A task's code.
pub fn code(n: usize) -> String {
    format!("NV26-{n:06}")
}

pub struct Fleet<'a> {
    pub database: Database<'a>,
    pub machines: Vec<Machine>,
    _folder: TempDir,
}

/// One machine: what it needs to run the program.
pub struct Machine {
    folder: PathBuf,
    pub mail: SmtpSink,
}

impl<'a> Fleet<'a> {
    /// An office with the sample directory and no task.
    pub fn new(server: &'a Server, machines: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = server.copy_of("office", |url| {
            let machine = Machine::new(&folder.path().join("first"), url);
            machine.json(&["import", "directory", DIRECTORY]);
        });
        Self::of(database, folder, machines)
    }

    /// Machines that are still without a database: the one that is there is empty, not even migrated.
    pub fn before_postgres(server: &'a Server, machines: usize) -> Self {
        let fleet = Self::of(server.database(), tempfile::tempdir().unwrap(), machines);
        fleet.machines.iter().for_each(|machine| machine.settle("sqlite:dondoc.db"));
        fleet.machines[0].json(&["import", "directory", DIRECTORY]);
        fleet
    }

    fn of(database: Database<'a>, folder: TempDir, machines: usize) -> Self {
        let machine = |n| Machine::new(&folder.path().join(format!("machine-{n}")), &database.url);
        Self { machines: (0..machines).map(machine).collect(), database, _folder: folder }
    }

    /// Takes tasks in, by way of the first machine.
    pub fn import(&self, text: &str) -> Value {
        let machine = &self.machines[0];
        fs::write(machine.path("tasks.csv"), text).unwrap();
        machine.json(&["import", "tasks", "tasks.csv", "--yes"])
    }

    /// Starts the daemon on each machine, all at one instant; all of them are ready when this returns.
    pub fn run_all(&self) -> Vec<Daemon> {
        let daemons: Vec<Daemon> = self.machines.iter().map(Machine::start).collect();
        daemons.iter().for_each(|daemon| drop(daemon.wait_for_log("ready")));
        daemons
    }

    /// All letters that were taken, by Message-ID, with the machine each came from.
    pub fn letters(&self) -> BTreeMap<String, Vec<(usize, Received)>> {
        let mut letters: BTreeMap<String, Vec<(usize, Received)>> = BTreeMap::new();
        for (n, machine) in self.machines.iter().enumerate() {
            for mail in machine.mail.journal() {
                letters.entry(mail.message_id()).or_default().push((n, mail));
            }
        }
        letters
    }

    /// How many letters were taken so far, copies included.
    pub fn taken(&self) -> usize {
        self.machines.iter().map(|machine| machine.mail.taken()).sum()
    }

    /// Before the first letter all tasks are planned: in a long run that are thousands.
    fn patience(&self) -> Duration {
        let tasks = self.database.number("SELECT count(*) FROM task");
        PATIENCE * (1 + u32::try_from(tasks / 500).unwrap_or_default())
    }

    /// Waits until a number in the database is as wanted; it is looked at again and again.
    pub fn wait_number(&self, what: &str, statement: &str, wanted: impl Fn(i64) -> bool) -> i64 {
        // After a fault a claim waits half a minute before it is tried again, and a heartbeat may be as far.
        let limit = Clock::System.boot_time() + self.patience() * 3;
        loop {
            let number = self.database.number(statement);
            if wanted(number) {
                return number;
            }
            assert!(Clock::System.boot_time() < limit, "it did not come to this: {what}; last {number}");
        }
    }

    /// Waits until some letters more than `before` were taken, of all machines together.
    pub fn wait_taken(&self, enough: usize) {
        let limit = Clock::System.boot_time() + self.patience();
        while self.taken() < enough {
            assert!(Clock::System.boot_time() < limit, "only {} letters of {enough} came", self.taken());
            std::thread::yield_now();
        }
    }

    /// Waits until every message has come to an end.
    pub fn wait_ended(&self) {
        self.wait_number("everything sent", OPEN, |open| open == 0);
    }

    /// The leases of whoever holds any run out, as if half an hour had passed.
    pub fn leases_run_out(&self) {
        self.database.sql("UPDATE message SET lease_until = 0 WHERE state IN ('leased', 'frozen')");
    }

    /// The leases that the killed left behind run out; those of the living do not: they are stopped and started for it.
    pub fn leases_run_out_of_the_dead(&self, daemons: &mut Vec<Daemon>) {
        daemons.drain(..).for_each(|daemon| drop(daemon.stop()));
        self.leases_run_out();
        *daemons = self.run_all();
    }

    /// How many copies say that they may be a second one.
    pub fn marked(&self) -> usize {
        self.letters().values().flatten().filter(|(_, mail)| mail.header(REPEAT).is_some()).count()
    }

    /// What the ledger says of a task's letter, try by try.
    fn fate(&self, code: &str) -> Vec<Vec<Option<String>>> {
        let tries = format!(
            "SELECT t.code, r.state, m.state, m.reason, m.crashes, a.n, a.phase, a.outcome FROM task t \
             LEFT JOIN reminder r ON r.task = t.id LEFT JOIN message m ON m.id = r.message \
             LEFT JOIN attempt a ON a.message = m.id WHERE t.code = '{code}' ORDER BY a.n"
        );
        self.database.sql(&tries)
    }

    /// Every task of `wanted` was told in exactly one message, and every second copy is the same letter and says that it
    /// is one. Gives how many second copies there were.
    pub fn judge(&self, wanted: impl IntoIterator<Item = usize>) -> usize {
        let mut letters = self.letters();
        let mut second = 0;
        for (id, copies) in &letters {
            let unmarked = copies.iter().filter(|(_, mail)| mail.header(REPEAT).is_none()).count();
            assert!(unmarked <= 1, "{id}: {unmarked} copies without a mark");
            let bytes = without_mark(&copies[0].1);
            assert!(copies.iter().all(|(_, mail)| without_mark(mail) == bytes), "{id}: copies of other bytes");
            second += copies.len() - 1;
        }
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, copies) in &mut letters {
            told.entry(told_of(&copies[0].1)).or_default().push(id.clone());
        }
        let mut wanted: Vec<String> = wanted.into_iter().map(code).collect();
        wanted.sort();
        let lost: Vec<&String> = wanted.iter().filter(|code| !told.contains_key(*code)).collect();
        let fates = lost.iter().take(5).map(|code| self.fate(code)).collect::<Vec<_>>();
        assert!(lost.is_empty(), "lost: {} letters, such as {fates:?}", lost.len());
        let twice: Vec<_> = told.iter().filter(|(_, ids)| ids.len() > 1).collect();
        assert!(twice.is_empty(), "told in two messages: {twice:?}");
        assert_eq!(told.keys().collect::<Vec<_>>(), wanted.iter().collect::<Vec<_>>(), "letters nobody was to get");
        second
    }
}

/// Messages that have not come to an end.
pub const OPEN: &str = "SELECT (SELECT count(*) FROM message WHERE state IN ('pending', 'leased', 'frozen')) + \
     (SELECT count(*) FROM reminder WHERE state = 'planned') + (SELECT count(*) FROM task WHERE next_look_at < 0)";

/// The header of a second copy.
pub const REPEAT: &str = "X-Dondoc-Repeat";

fn without_mark(mail: &Received) -> &[u8] {
    if !mail.bytes.starts_with(REPEAT.as_bytes()) {
        return &mail.bytes;
    }
    let end = mail.bytes.windows(2).position(|pair| pair == b"\r\n").expect("a header has an end");
    &mail.bytes[end + 2..]
}

/// The task that a letter's thread names: here each letter is about one.
fn told_of(mail: &Received) -> String {
    let root = mail.header("References").expect("a letter on one task names its thread");
    root.trim_start_matches("<task-").split('@').next().unwrap_or_default().to_owned()
}

impl Machine {
    fn new(folder: &Path, url: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let machine = Self { folder: folder.to_owned(), mail: SmtpSink::start() };
        let calendar = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/calendar.toml");
        fs::copy(calendar, machine.path("calendar.toml")).unwrap();
        fs::write(machine.path("rules.toml"), RULES).unwrap();
        machine.settle(url);
        machine
    }

    /// Writes its settings: the database at this address.
    pub fn settle(&self, url: &str) {
        let port = self.mail.port();
        let settings = format!(
            r#"
[office]
name = "Văn phòng UBND Thành phố"
time_zone = "Asia/Ho_Chi_Minh"
[files]
rules = "rules.toml"
calendar = "calendar.toml"
[store]
url = "{url}"
[scan]
schedule = "0 * * * * *"
[email]
transport = "smtp"
from = "Đôn đốc nhiệm vụ <dondoc@office.example>"
allowed_domains = ["hanoi.gov.vn.example"]
daily_list_at = ""
[email.smtp]
host = "127.0.0.1"
port = {port}
tls = "none"
max_connections = {CONNECTIONS}
messages_per_minute = 60000
[blocks.state]
focal_agency = "VPUB"
[blocks.party]
focal_agency = "VPTU"
[blocks.enterprise]
focal_agency = "VPUB"
[inspection]
agency = "SNV"
[zalo]
mode = "off"
[notices]
directory = "../notices"
[web]
listen = ""
"#
        );
        fs::write(self.path("dondoc.toml"), settings).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dondoc"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DONDOC_") || name == "NOTIFY_SOCKET") {
            command.env_remove(name);
        }
        command.env("DONDOC_CONFIG", self.path("dondoc.toml")).current_dir(&self.folder);
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn dondoc(&self, arguments: &[&str]) -> Answer {
        let output = self.command(arguments).output().unwrap();
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

    /// Starts the daemon, without waiting for it.
    fn start(&self) -> Daemon {
        Daemon::start(self.command(&["run"]), &self.path("dondoc.db.sock"))
    }

    /// Starts the daemon and waits until it is ready.
    pub fn run(&self) -> Daemon {
        let daemon = self.start();
        daemon.wait_for_log("ready");
        daemon
    }
}

/// What the daemon complained of; that these rules are few is known.
pub fn complaints(daemon: &Daemon) -> Vec<String> {
    daemon.complaints().into_iter().filter(|line| !line.contains("[uncovered-tasks]")).collect()
}
