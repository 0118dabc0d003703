//! One, two and three senders on one PostgreSQL that keeps every commit on its disk: letters a second, and the CPU time of
//! senders and server. Planning and bundling are done before; the senders are processes of their own and begin together.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use dondoc::{
    channel::{Channel, smtp::SmtpChannel},
    clock::Clock,
    config::{load::load_all, settings::EmailTransport},
    engine::{Engine, policy::Policy},
    planning::rules::ChannelKind,
    store::postgres::PostgresStore,
};

use crate::{
    World,
    delivery::{start_sink, stop},
    meter::{Row, cpu_time},
    office::{Office, Tasks},
    postgres::{self, Server},
    sending::{RULES, relay},
};

/// The word by which this program runs as one of the senders.
pub const ONE_OF: &str = "--one-sender-of";

/// Connections of each sender to the relay.
const CONNECTIONS: u32 = 5;

/// To a relay that answers at once, and to one that takes 50 ms a letter.
pub fn senders(_: &World) -> Vec<Row> {
    let Some(server) = postgres::own(&["fsync = on", "full_page_writes = on", "max_wal_size = '1GB'"]) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for (delay, tasks) in [(0, 4_000), (50, 1_500)] {
        for senders in [1, 2, 3] {
            rows.push(measured(&server, senders, delay, tasks));
        }
    }
    rows
}

fn measured(server: &Server, senders: usize, delay: u32, tasks: usize) -> Row {
    let (sink, port) = start_sink(delay);
    let database = server.database();
    let change = |text: &str| {
        let text = relay(text, port, CONNECTIONS);
        assert!(text.contains("sqlite:dondoc.db"), "the shipped settings name another database now");
        text.replacen("sqlite:dondoc.db", &database.url, 1)
    };
    let office = Office::new(change, |_| RULES.to_owned());
    let file = office.path("tasks.csv");
    Tasks { count: tasks, due: (0, 5) }.write_csv(&file);
    office.ok(&["import", "tasks", &file.display().to_string(), "--yes"]);
    let config = office.path("dondoc.toml");
    plan(&config);
    database.sql("VACUUM ANALYZE");
    let mut children: Vec<_> = (0..senders)
        .map(|_| {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
                .args([ONE_OF, &config.display().to_string()])
                .current_dir(office.path(""))
                .env("RUST_LOG", "error")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a sender");
            let mut out = BufReader::new(child.stdout.take().expect("piped"));
            let mut line = String::new();
            out.read_line(&mut line).expect("it is ready");
            (child, out)
        })
        .collect();
    let wal = |from: &str| database.number(&format!("SELECT CAST(pg_current_wal_lsn() - '{from}'::pg_lsn AS BIGINT)"));
    let lsn = database.sql("SELECT pg_current_wal_lsn()").remove(0).remove(0).expect("a place in the log");
    let (begun, served) = (now(), cpu_of_server(server));
    for (child, _) in &mut children {
        child.stdin.take().expect("piped").write_all(b"go\n").expect("told");
    }
    let (mut sent, mut cpu, mut peak) = (0.0, 0.0, 0f64);
    let mut each = Vec::new();
    for (mut child, mut out) in children {
        let mut told = String::new();
        out.read_to_string(&mut told).expect("figures");
        assert!(child.wait().expect("ended").success(), "a sender failed");
        let told: Vec<f64> = told.split_whitespace().map(|word| word.parse().expect("a figure")).collect();
        let [its, seconds, most] = told[..] else { panic!("three figures") };
        (sent, cpu, peak) = (sent + its, cpu + seconds, peak.max(most));
        each.push(format!("{its:.0}"));
    }
    let (wall, served) = (begun.elapsed().as_secs_f64(), (cpu_of_server(server) - served).as_secs_f64());
    stop(sink);
    let waiting = database.number("SELECT count(*) FROM message WHERE state <> 'sent'");
    assert_eq!(waiting, 0, "messages that were not sent");
    let most = match delay {
        0 => String::new(),
        _ => {
            let limit = senders as f64 * f64::from(CONNECTIONS) / (f64::from(delay) / 1e3);
            format!(", {:.1} % of connections / delay", sent / wall / limit * 100.0)
        }
    };
    Row {
        what: format!("{senders} senders on one PostgreSQL, {CONNECTIONS} connections each, {delay} ms a letter"),
        figure: format!(
            "{:.0}/s, CPU each {:.3} ms sender, {:.3} ms PostgreSQL{most}",
            sent / wall,
            cpu * 1e3 / sent,
            served * 1e3 / sent
        ),
        how: format!(
            "{sent:.0} letters ({}), {wall:.2} s, VmHWM {peak:.0} MB, {:.0} bytes of WAL a letter; fsync on, claims and \
             outcomes durable",
            each.join(" + "),
            wal(&lsn) as f64 / sent
        ),
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time of the server, all its processes, those that ended too.
fn cpu_of_server(server: &Server) -> Duration {
    let postmaster = server.pid().expect("it runs");
    let fields = |pid: u32| -> Option<Vec<u64>> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name in parentheses: state, parent, … (proc_pid_stat(5)); words that are no numbers count as 0.
        Some(stat.rsplit_once(')')?.1.split_whitespace().map(|word| word.parse().unwrap_or(0)).collect())
    };
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Some(fields) = fields(pid) else { continue };
        if pid == postmaster {
            ticks += fields[11..15].iter().sum::<u64>();
        } else if fields[1] == u64::from(postmaster) {
            ticks += fields[11] + fields[12];
        }
    }
    // USER_HZ is 100 on every Linux that Rust runs on.
    Duration::from_millis(ticks * 10)
}

fn office_of(config: &Path) -> Policy {
    let (office, _) = load_all(config, []).expect("the office's settings");
    dondoc::cli::context::policy_of(office).expect("the office's policy")
}

async fn engine(config: &Path) -> (Arc<PostgresStore>, Arc<Engine>) {
    let policy = office_of(config);
    let store = Arc::new(PostgresStore::open(&policy.settings.store_url, None).await.expect("the office's database"));
    let EmailTransport::Smtp(relay) = &policy.settings.email.transport else { panic!("a relay") };
    // The configured rate is lifted for the measure.
    let relay = dondoc::config::settings::Smtp { messages_per_minute: 0, ..relay.clone() };
    let channel = SmtpChannel::new(&relay, "dondoc@office.example", Default::default()).expect("a channel");
    let channels: HashMap<ChannelKind, Arc<dyn Channel>> =
        HashMap::from([(ChannelKind::Email, Arc::new(channel) as Arc<dyn Channel>)]);
    let engine = Arc::new(Engine::new(store.clone(), Clock::shared(), policy, channels, Arc::new(|_| ())));
    engine.start().await.expect("started");
    (store, engine)
}

/// Plans and bundles everything; sends nothing.
fn plan(config: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (store, engine) = engine(config).await;
        engine.scan_pass().await.expect("planned");
        store.close().await;
    });
}

/// Says that it is ready, waits for a line, and sends: prints letters, CPU seconds, peak MB.
#[expect(clippy::print_stdout, reason = "its answer to the process that started it")]
pub fn one_of(config: &Path) {
    dondoc::cli::run::few_heaps();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (store, engine) = engine(config).await;
        println!("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).expect("a word to begin");
        let cpu = cpu_time();
        let round = engine.deliver_on(ChannelKind::Email).await.expect("delivered");
        let cpu = (cpu_time() - cpu).as_secs_f64();
        println!("{} {cpu} {}", round.sent, crate::meter::peak_mb_of(std::process::id()).unwrap_or(0.0));
        store.close().await;
    });
}
