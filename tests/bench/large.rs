//! An office with a hundred thousand open tasks: taking them in, looking ahead, the daemon at rest.

use std::{
    process::{Child, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use dondoc::{
    clock::Clock,
    doorbell,
    engine::Engine,
    planning::{plan::plan, simulate::simulate, task::TaskId},
    store::ledger::{PlanningStore, ReadingStore, TaskRecord},
};
use jiff::ToSpan;

use crate::{
    World,
    child::Ran,
    meter::{Row, cpu_of, cpu_time_of, exact_time_of, peak_mb_of, rss_mb_of},
    office::{Office, Tasks, today},
};

/// How many tasks, unless `DONDOC_BENCH_TASKS` says otherwise.
pub fn count() -> usize {
    std::env::var("DONDOC_BENCH_TASKS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

/// Deadlines from a month past to eleven months ahead.
const DUE: (i32, i32) = (-30, 330);

/// The office with its tasks taken in from a CSV file, twice.
pub struct Large {
    pub office: Office,
    csv: [Ran; 2],
}

impl Large {
    pub fn new() -> Self {
        let office = Office::always_open();
        let csv = import_twice(&office, "tasks.csv");
        Self { office, csv }
    }
}

fn import_twice(office: &Office, file: &str) -> [Ran; 2] {
    let path = office.path(file);
    let tasks = Tasks { count: count(), due: DUE };
    if file.ends_with("xlsx") {
        tasks.write_xlsx(&path)
    } else {
        tasks.write_csv(&path)
    }
    let path = path.display().to_string();
    let import = || office.ok(&["--format", "json", "import", "tasks", &path, "--yes"]);
    let runs = [import(), import()];
    for (ran, fate) in runs.iter().zip(["created", "unchanged"]) {
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("the report of an import");
        assert_eq!(report[fate], count(), "{fate}: {}", ran.stdout.chars().take(400).collect::<String>());
    }
    runs
}

fn row(what: String, ran: &Ran, how: &str) -> Row {
    Row {
        what,
        figure: format!("{:.1} s ({:.1} s CPU), {:.0} MB", ran.wall.as_secs_f64(), ran.cpu.as_secs_f64(), ran.peak_mb),
        how: how.to_owned(),
    }
}

/// `import tasks`, from both formats.
pub fn import(world: &World) -> Vec<Row> {
    let how = "`dondoc import tasks FILE --yes`: wall, user + system, VmHWM";
    let other = Office::always_open();
    let xlsx = import_twice(&other, "tasks.xlsx");
    let mut rows = Vec::new();
    for (name, [first, second]) in [("CSV", &world.large().csv), ("XLSX", &xlsx)] {
        rows.push(row(format!("import {} new rows, {name}", count()), first, how));
        rows.push(row(format!("import {} unchanged rows, {name}", count()), second, how));
    }
    rows
}

/// `plan` over sixty days and over a year, and what an edit changes.
pub fn look_ahead(world: &World) -> Vec<Row> {
    let until = today().checked_add(60.days()).expect("a day in range").to_string();
    let how = "`dondoc plan --until TODAY+60`: wall, user + system, VmHWM";
    let mut rows = Vec::new();
    for format in ["json", "text"] {
        let ran = world.large().office.ok(&["--format", format, "plan", "--until", &until]);
        rows.push(row(format!("plan 60 days of {} open tasks, {format}", count()), &ran, how));
        if format == "json" {
            let answer: serde_json::Value = serde_json::from_str(&ran.stdout).expect("the answer of a plan");
            let total = |what: &str| answer["totals"][what].as_u64().unwrap_or_default();
            rows.push(Row {
                what: "  what it foresees".into(),
                figure: format!("{} events, {} messages", total("events"), total("messages")),
                how: format!("{} reminders, {} notices", total("reminders"), total("notices")),
            });
        }
    }
    let until = today().checked_add(365.days()).expect("a day in range").to_string();
    let how = "`dondoc plan --until TODAY+365 > /dev/null`: wall, user + system, VmHWM";
    for format in ["json", "text"] {
        let ran = world.large().office.ok_unheard(&["--format", format, "plan", "--until", &until]);
        rows.push(row(format!("plan a year of {} open tasks, {format}", count()), &ran, how));
    }
    let edited = world.large().office.path("edited.toml");
    let rules = std::fs::read_to_string(world.large().office.path("rules.toml")).expect("the office's rules");
    let moved = rules.replace("due = \"-3wd\"", "due = \"-2wd\"");
    assert_ne!(rules, moved, "the shipped rules have no step three days before now");
    std::fs::write(&edited, moved).expect("a written file");
    let ran = world.large().office.ok_unheard(&["plan", "--rules", &edited.display().to_string()]);
    let how =
        "`dondoc plan --rules EDITED > /dev/null`, all steps of -3wd at -2wd, seven days: wall, user + system, VmHWM";
    rows.push(row(format!("what an edit changes for {} open tasks", count()), &ran, how));
    rows
}

/// The planner alone.
pub fn planner(world: &World) -> Vec<Row> {
    let office = &world.large().office;
    let policy = office.policy();
    let records = block_on(async {
        let store = office.store().await;
        let mut records: Vec<TaskRecord> = Vec::new();
        while records.len() < 20_000 {
            let after = records.last().map_or(TaskId(0), |record| record.task.id);
            let batch = store.open_tasks(after, 1000).await.expect("open tasks");
            if batch.is_empty() {
                break;
            }
            records.extend(batch);
        }
        store.close().await;
        records
    });
    let now = Clock::System.now();
    let setting = policy.setting(now, None);
    let until = now + (60 * 24).hours();
    let per = |cpu: Duration| format!("{:.1} µs", cpu.as_secs_f64() * 1e6 / records.len().max(1) as f64);
    let (once, ()) = cpu_of(|| {
        for record in &records {
            std::hint::black_box(plan(&setting, &record.task, &record.ledger).is_ok());
        }
    });
    let ahead = |until| {
        let (cpu, ()) = cpu_of(|| {
            for record in &records {
                std::hint::black_box(simulate(&setting, &record.task, &record.ledger, until).is_ok());
            }
        });
        cpu
    };
    let (sixty, year) = (ahead(until), ahead(now + (365 * 24).hours()));
    let how = format!("CPU time of {} calls, ladders as shipped", records.len());
    vec![
        Row { what: "planner: a task's plan".into(), figure: per(once), how: how.clone() },
        Row { what: "planner: a task's sixty days".into(), figure: per(sixty), how: how.clone() },
        Row { what: "planner: a task's year".into(), figure: per(year), how },
    ]
}

/// The daemon with nothing left to do.
pub fn idle(world: &World) -> Vec<Row> {
    let office = &world.large().office;
    let mut rows = Vec::new();
    let mb = |mb: Option<f64>| format!("{:.1} MB", mb.unwrap_or(f64::NAN));

    let mut daemon = Daemon::start(office);
    let wall = daemon.settle(office);
    let sent = std::fs::read_dir(office.path("mail").join("new")).map_or(0, Iterator::count);
    rows.push(Row {
        what: format!("daemon: first pass over {} open tasks", count()),
        figure: format!(
            "{:.1} s ({:.1} s CPU)",
            wall.as_secs_f64(),
            cpu_time_of(daemon.pid()).unwrap_or_default().as_secs_f64()
        ),
        how: format!("`dondoc run` until nothing is due; {sent} letters in the Maildir"),
    });
    let after = "after the first pass";
    let peak = peak_mb_of(daemon.pid());
    rows.push(Row {
        what: format!("  memory at once {after}"),
        figure: mb(rss_mb_of(daemon.pid())),
        how: "VmRSS".into(),
    });
    rows.push(Row { what: "  memory at its most".into(), figure: mb(peak), how: "VmHWM".into() });
    std::thread::sleep(Duration::from_secs(70));
    rows.push(Row { what: format!("  memory 70 s {after}"), figure: mb(rss_mb_of(daemon.pid())), how: "VmRSS".into() });
    rows.push(daemon.scans(office));
    daemon.stop();

    let mut daemon = Daemon::start(office);
    daemon.settle(office);
    std::thread::sleep(Duration::from_secs(5));
    rows.push(Row {
        what: "daemon: memory when started with nothing due".into(),
        figure: mb(rss_mb_of(daemon.pid())),
        how: format!("VmRSS; VmHWM {}", mb(peak_mb_of(daemon.pid()))),
    });
    rows.push(daemon.scans(office));
    daemon.stop();
    rows.push(scan_in_process(office));
    rows
}

/// How often the daemon is rung for one figure.
const RINGS: u32 = 40;

/// `dondoc run` on an office.
pub struct Daemon(Child);

impl Daemon {
    pub fn start(office: &Office) -> Self {
        Self::start_with(office, |_| ())
    }

    pub fn start_with(office: &Office, more: impl FnOnce(&mut Command)) -> Self {
        let mut command: Command = office.command(&["run"]);
        more(&mut command);
        Self(
            command
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("the daemon starts"),
        )
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until nothing is due or under way.
    #[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
    pub fn settle(&mut self, office: &Office) -> Duration {
        let begun = Instant::now();
        let socket = doorbell::socket_path(&office.path("dondoc.db"));
        block_on(async {
            while doorbell::ask(&socket, "status").await.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let store = office.store().await;
            let mut quiet = 0;
            // Twice, because between two steps of the work nothing may seem to be left.
            while quiet < 2 {
                let now = Clock::System.now();
                let next =
                    [store.next_look().await.expect("the next look"), store.next_move().await.expect("the next move")];
                let counts = store.counts().await.expect("counts");
                let busy = next.into_iter().flatten().any(|at| at <= now)
                    || counts.backlog_email + counts.backlog_zalo + counts.unwritten_files > 0;
                quiet = if busy { 0 } else { quiet + 1 };
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            store.close().await;
        });
        begun.elapsed()
    }

    /// Rings, one ring at a time, and sees what each costs.
    pub fn scans(&self, office: &Office) -> Row {
        let (each, quiet) = self.scan_cost(office);
        Row {
            what: "  CPU of an idle scan, rung through the socket".into(),
            figure: format!("{:.2} ms", each.as_secs_f64() * 1e3),
            how: format!(
                "{RINGS} rings, clock of the process, less {:.2} ms in as long a time without rings",
                quiet.as_secs_f64() * 1e3
            ),
        }
    }

    /// What one of many rings costs, and what as long a time without rings does.
    pub fn scan_cost(&self, office: &Office) -> (Duration, Duration) {
        const APART: Duration = Duration::from_millis(100);
        let socket = doorbell::socket_path(&office.path("dondoc.db"));
        let rest = || {
            let before = exact_time_of(self.pid());
            std::thread::sleep(APART * RINGS);
            exact_time_of(self.pid()).saturating_sub(before)
        };
        let quiet = rest();
        let before = exact_time_of(self.pid());
        block_on(async {
            for _ in 0..RINGS {
                assert!(doorbell::ring(&socket).await, "the daemon does not answer");
                tokio::time::sleep(APART).await;
            }
        });
        let rung = exact_time_of(self.pid()).saturating_sub(before);
        (rung.saturating_sub(quiet) / RINGS, quiet)
    }

    pub fn stop(mut self) {
        let term = Command::new("kill").arg(self.pid().to_string()).status();
        assert!(term.is_ok_and(|status| status.success()), "the daemon is gone already");
        let status = self.0.wait().expect("the daemon ends");
        assert!(status.success(), "the daemon ended with {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Of a benchmark that failed; one that was stopped is gone.
        let _ = self.0.kill();
    }
}

/// The scan itself, without socket, loops and their wake-ups.
fn scan_in_process(office: &Office) -> Row {
    const TIMES: u32 = 500;
    let cpu = block_on(async {
        let store = Arc::new(office.store().await);
        let engine = Engine::new(store.clone(), Clock::System, office.policy(), Default::default(), Arc::new(|_| ()));
        engine.start().await.expect("the engine starts");
        engine.scan_pass().await.expect("a scan");
        let before = crate::meter::cpu_time();
        for _ in 0..TIMES {
            let pass = engine.scan_pass().await.expect("a scan");
            assert_eq!(pass.looked_at, 0, "it was not idle");
        }
        let cpu = crate::meter::cpu_time().saturating_sub(before);
        store.close().await;
        cpu
    });
    Row {
        what: format!("idle scan in process, {} open tasks", count()),
        figure: format!("{:.3} ms", cpu.as_secs_f64() * 1e3 / f64::from(TIMES)),
        how: format!("CPU time of {TIMES} calls of Engine::scan_pass"),
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}
