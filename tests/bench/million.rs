//! A million open tasks: the daemon's start, its rest, a morning on which fifty thousand of them are due; and what a
//! reminder costs when a million others are on record. Each beside the same office of ten thousand, in one run.

use std::{
    collections::HashMap,
    os::unix::net::UnixDatagram,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    clock::{Clock, millis},
    engine::{Engine, Event, Observer},
    planning::{outcome::Outcome, rules::ChannelKind},
    store::ledger::{PlanningStore, ReadingStore},
};

use crate::{
    World,
    large::{Daemon, block_on},
    meter::{Row, cpu_time, peak_mb_of, rss_mb_of},
    office::Office,
    stocked::{Stock, just_before, morning},
};

/// The words by which this program runs a measure in a process of its own.
pub const PLANNER: &str = "--planner-of";
pub const SCANNER: &str = "--scanner-of";
pub const CARRIER: &str = "--carrier-of";

/// The larger and the smaller office.
fn sizes() -> (i64, i64) {
    let large = std::env::var("DONDOC_BENCH_OPEN").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    (large, large / 100)
}

/// An office stocked with rows. Its folder goes at the end, unless `DONDOC_BENCH_KEEP` is set; `DONDOC_BENCH_FOLDER` says
/// where it is made (a gigabyte for a million tasks).
pub fn stocked(stock: Stock, rules: impl Fn(&str) -> String) -> Office {
    let base = std::env::var("DONDOC_BENCH_FOLDER").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    std::fs::create_dir_all(&base).expect("a folder for the offices");
    let folder = tempfile::Builder::new().prefix("dondoc-bench").tempdir_in(base).expect("a temporary folder");
    let mut office = Office::within(folder, str::to_owned, rules, "");
    if std::env::var_os("DONDOC_BENCH_KEEP").is_some() {
        office.keep();
    }
    // Rules and calendar are accepted while there is nothing to plan.
    office.ok(&["run", "--once"]);
    block_on(stock.fill(&office));
    office
}

fn large_and_small(due: bool) -> [(i64, Office); 2] {
    let (large, small) = sizes();
    [small, large].map(|open| {
        let stock = Stock { open, due: if due { open / 20 } else { 0 }, history: 0 };
        (open, stocked(stock, crate::office::open_at_all_hours))
    })
}

/// This program again, as one of the words above; the figures it prints.
fn figures(word: &str, office: &Office, more: &str) -> Vec<f64> {
    let answer = Command::new(std::env::current_exe().expect("this program"))
        .args([word, &office.path("").display().to_string(), more])
        .current_dir(office.path(""))
        .env("RUST_LOG", "error")
        .output()
        .expect("the measure");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    String::from_utf8_lossy(&answer.stdout).split_whitespace().map(|word| word.parse().expect("a figure")).collect()
}

/// Start to READY, memory at rest, an idle scan, and the morning's plan.
pub fn million(_: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut idle = Vec::new();
    let mut rung = Vec::new();
    for (open, office) in large_and_small(true) {
        let mut ready: Vec<f64> = (0..5).map(|_| ready_after(&office).as_secs_f64() * 1e3).collect();
        ready.sort_by(f64::total_cmp);
        rows.push(Row {
            what: format!("start to READY, {open} open tasks"),
            figure: format!("{:.0} ms", ready[2]),
            how: format!("NOTIFY_SOCKET of `dondoc run`, the middle of five; {:.0} to {:.0}", ready[0], ready[4]),
        });
        let mut daemon = Daemon::start(&office);
        daemon.settle(&office);
        std::thread::sleep(Duration::from_secs(5));
        let (each, quiet) = daemon.scan_cost(&office);
        rung.push((open, each.as_secs_f64() * 1e3, quiet.as_secs_f64() * 1e3));
        rows.push(Row {
            what: format!("daemon at rest, {open} open tasks"),
            figure: format!("{:.1} MB", rss_mb_of(daemon.pid()).unwrap_or(f64::NAN)),
            how: format!(
                "VmRSS of `dondoc run` after 40 idle scans; VmHWM {:.1} MB",
                peak_mb_of(daemon.pid()).unwrap_or(f64::NAN)
            ),
        });
        daemon.stop();
        let told = figures(SCANNER, &office, "");
        idle.push((open, told[0]));
        rows.push(Row {
            what: format!("`status`'s counts, {open} open tasks"),
            figure: format!("{:.2} ms", told[1]),
            how: "CPU time of a call".into(),
        });
        let told = figures(PLANNER, &office, "");
        let [looked, planned, filed, wall, cpu, peak, rest, again] = told[..] else {
            panic!("eight figures: {told:?}")
        };
        assert_eq!(looked as i64, open / 20, "how many were due");
        rows.push(Row {
            what: format!("a morning: {looked} due of {open}"),
            figure: format!("{wall:.2} s ({cpu:.2} s CPU)"),
            how: format!(
                "scan and bundling in process: {planned} reminders, {filed} notices, {:.0} tasks/s; VmHWM {peak:.0} MB, \
                 VmRSS afterwards {rest:.1} MB, bundling of it {again:.2} s",
                looked / wall
            ),
        });
    }
    for (name, figures) in
        [("in process", idle), ("rung through the socket", rung.iter().map(|r| (r.0, r.1)).collect())]
    {
        let [(small, of_small), (large, of_large)] = figures[..] else { panic!("two offices") };
        rows.push(Row {
            what: format!("idle scan {name}, {large} open tasks"),
            figure: format!("{of_large:.3} ms CPU"),
            how: format!("{of_small:.3} ms with {small}: {:.2} times", of_large / of_small),
        });
    }
    rows
}

/// How long `dondoc run` takes until it says that it is ready.
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
fn ready_after(office: &Office) -> Duration {
    let path = office.path("notify");
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
    let begun = Instant::now();
    let mut daemon = Daemon::start_with(office, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let mut buffer = [0; 1024];
    loop {
        let n = socket.recv(&mut buffer).expect("the daemon says something");
        if String::from_utf8_lossy(&buffer[..n]).lines().any(|line| line == "READY=1") {
            break;
        }
    }
    let took = begun.elapsed();
    daemon.settle(office);
    daemon.stop();
    took
}

/// What one reminder costs from its plan to its recorded outcome, with little and with much on record.
pub fn history(_: &World) -> Vec<Row> {
    let (large, small) = sizes();
    let mut rows = Vec::new();
    let mut each = Vec::new();
    for history in [small, large] {
        let stock = Stock { open: 20_000, due: 5_000, history };
        let office = stocked(stock, |_| LETTER_EACH.to_owned());
        let told = figures(CARRIER, &office, "");
        let [planned, sent, plan, deliver] = told[..] else { panic!("four figures: {told:?}") };
        let cost = (plan + deliver) / sent * 1e3;
        each.push(cost);
        rows.push(Row {
            what: format!("a reminder's way with {history} on record"),
            figure: format!("{cost:.3} ms CPU"),
            how: format!(
                "{planned} planned and bundled at {:.3} ms, {sent} composed, claimed, gated, recorded at {:.3} ms; a channel that \
                 takes everything at once",
                plan / planned * 1e3,
                deliver / sent * 1e3
            ),
        });
    }
    rows.push(Row {
        what: format!("  {large} on record to {small}"),
        figure: format!("{:.2} times", each[1] / each[0]),
        how: "of the CPU time above".into(),
    });
    rows
}

/// One letter for each reminder, one reminder for each task that is due, on every step of the ladder.
const LETTER_EACH: &str = r#"
[defaults]
at = "08:00"
via = ["email"]
bundle = false
late = "latest"
max_lateness = "10wd"
daily_cap = 100000

[hours.normal]
days = "all"
from = "00:00"
until = "23:59"

[[rule]]
id = "ubnd-chu-tri"
when = { role = "lead" }
clock = "completion"

[[rule.step]]
id = "truoc-10"
due = "-10wd"
add = ["handler"]
[[rule.step]]
id = "truoc-5"
due = "-5wd"
[[rule.step]]
id = "truoc-3"
due = "-3wd"
[[rule.step]]
id = "truoc-1"
due = "-1wd"
[[rule.step]]
id = "den-han"
due = "0d"
[[rule.step]]
id = "qua-han-1"
due = "+1wd"
[[rule.step]]
id = "qua-han-5"
due = "+5wd"
[[rule.step]]
id = "qua-han-10"
due = "+10wd"
"#;

/// Takes everything, once the gate let it pass.
struct Takes;

#[async_trait]
impl Channel for Takes {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        if gate.pass(parcel).await {
            Delivery::Tried(Outcome::Accepted { code: 250, reply: String::new() })
        } else {
            Delivery::Stopped
        }
    }

    fn parallel(&self) -> usize {
        20
    }

    async fn rest(&self) {}
}

/// An engine over an office, at an instant of our own.
async fn engine_at(
    office: &std::path::Path,
    clock: Clock,
    observer: Observer,
) -> (Arc<dondoc::store::sqlite::SqliteStore>, Engine) {
    let (files, _) = dondoc::config::load::load_all(&office.join("dondoc.toml"), []).expect("the office's settings");
    let policy = dondoc::cli::context::policy_of(files).expect("the office's policy");
    let url = format!("sqlite:{}", office.join("dondoc.db").display());
    let store = Arc::new(dondoc::store::sqlite::SqliteStore::open(&url).await.expect("the office's database"));
    let at = morning(&policy);
    if let Clock::Manual(_) = clock {
        clock.set(at);
        store.set_mark(dondoc::engine::LAST_PASS, just_before(at)).await.expect("a mark");
    }
    let channels: HashMap<ChannelKind, Arc<dyn Channel>> =
        HashMap::from([(ChannelKind::Email, Arc::new(Takes) as Arc<dyn Channel>)]);
    let engine = Engine::new(store.clone(), clock, policy, channels, observer);
    engine.start().await.expect("started");
    (store, engine)
}

/// The runtime of the daemon.
fn runtime() -> tokio::runtime::Runtime {
    dondoc::cli::run::few_heaps();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

/// A folder's morning: looked at, planned, filed, seconds, CPU seconds, peak MB, MB afterwards, seconds of bundling.
#[expect(clippy::print_stdout, reason = "its answer to the process that started it")]
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
pub fn planner(office: &std::path::Path) {
    runtime().block_on(async {
        let scanned = Arc::new(Mutex::new(None));
        let seen = scanned.clone();
        let observer = move |event: &Event| {
            if matches!(event, Event::Scanned { .. }) {
                *seen.lock().expect("nobody panicked") = Some(Instant::now());
            }
        };
        let (store, engine) = engine_at(office, Clock::manual(millis(0)), Arc::new(observer)).await;
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak set back");
        let (begun, cpu) = (Instant::now(), cpu_time());
        let pass = engine.scan_pass().await.expect("planned");
        let (wall, cpu) = (begun.elapsed(), cpu_time() - cpu);
        let peak = peak_mb_of(std::process::id()).unwrap_or(0.0);
        dondoc::engine::serve::give_back();
        let rest = rss_mb_of(std::process::id()).unwrap_or(0.0);
        let scanned = scanned.lock().expect("nobody panicked").expect("it scanned");
        let bundled = (wall - (scanned - begun)).as_secs_f64();
        println!(
            "{} {} {} {} {} {peak} {rest} {bundled}",
            pass.looked_at,
            pass.planned,
            pass.filed,
            wall.as_secs_f64(),
            cpu.as_secs_f64()
        );
        store.close().await;
    });
}

/// A folder's idle scan and its counts: milliseconds of CPU each.
#[expect(clippy::print_stdout, reason = "its answer to the process that started it")]
pub fn scanner(office: &std::path::Path) {
    const TIMES: u32 = 500;
    runtime().block_on(async {
        let (store, engine) = engine_at(office, Clock::System, Arc::new(|_| ())).await;
        engine.scan_pass().await.expect("a scan");
        let before = cpu_time();
        for _ in 0..TIMES {
            let pass = engine.scan_pass().await.expect("a scan");
            assert_eq!(pass.looked_at, 0, "it was not idle");
            engine.next_due().await.expect("the next instant");
        }
        let scan = (cpu_time() - before).as_secs_f64() * 1e3 / f64::from(TIMES);
        let before = cpu_time();
        for _ in 0..20 {
            store.counts().await.expect("counts");
        }
        println!("{scan} {}", (cpu_time() - before).as_secs_f64() * 1e3 / 20.0);
        store.close().await;
    });
}

/// A folder's morning sent: planned, sent, CPU seconds of planning and bundling, CPU seconds of delivering.
#[expect(clippy::print_stdout, reason = "its answer to the process that started it")]
pub fn carrier(office: &std::path::Path) {
    runtime().block_on(async {
        let (store, engine) = engine_at(office, Clock::manual(millis(0)), Arc::new(|_| ())).await;
        let before = cpu_time();
        let pass = engine.scan_pass().await.expect("planned");
        let plan = (cpu_time() - before).as_secs_f64();
        let before = cpu_time();
        let round = engine.deliver_on(ChannelKind::Email).await.expect("delivered");
        println!("{} {} {plan} {}", pass.planned, round.sent, (cpu_time() - before).as_secs_f64());
        store.close().await;
    });
}
