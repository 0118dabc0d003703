//! Delivery alone: ten thousand reminders already planned and in messages of their own, then composed, passed through the
//! gate, handed over and recorded. Planning and bundling are done before the measure begins; the sender is a process of
//! its own, so that its CPU time and memory are nobody else's.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use dondoc::{
    channel::{Channel, smtp::SmtpChannel, zalo::webhook::WebhookChannel},
    clock::Clock,
    config::{
        load::load_all,
        settings::{EmailTransport, Zalo},
    },
    engine::Engine,
    planning::rules::ChannelKind,
    store::sqlite::SqliteStore,
};

use crate::{
    World,
    meter::{Row, cpu_time, peak_mb_of},
    office::{Office, Tasks},
    sending::{RULES, relay},
};

/// The word by which this program runs as the sender of a folder.
pub const SENDER: &str = "--sender-of";

/// One in thirty of the generated tasks has no deadline.
const TASKS: usize = 10_344;
const LETTERS: usize = 10_000;

/// Over one, five and twenty connections, to Postfix's `smtp-sink`.
pub fn delivery(_: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for (connections, delay) in [(1, 0), (5, 0), (20, 0), (5, 50), (20, 50)] {
        // Half a minute at least through the slow one: the first second, while connections are opened, is not what counts.
        let tasks = if delay == 0 || connections > 5 { TASKS } else { TASKS / 2 };
        let (sink, port) = start_sink(delay);
        let office = Office::new(|text| relay(text, port, connections), |_| RULES.to_owned());
        let file = office.path("tasks.csv");
        Tasks { count: tasks, due: (0, 5) }.write_csv(&file);
        office.ok(&["import", "tasks", &file.display().to_string(), "--yes"]);
        let [sent, wall, cpu, peak, bytes] = send(&office, ChannelKind::Email);
        stop(sink);
        assert!(delay > 0 || sent as usize >= LETTERS - LETTERS / 30, "{sent} letters");
        let most = if delay == 0 {
            String::new()
        } else {
            format!(
                ", {:.1} % of connections / delay",
                sent / wall / (connections as f64 / (delay as f64 / 1e3)) * 100.0
            )
        };
        rows.push(Row {
            what: format!("deliver {sent} letters over {connections} connections, {delay} ms each"),
            figure: format!("{:.0}/s, {:.3} ms CPU each{most}", sent / wall, cpu * 1e3 / sent),
            how: format!("{wall:.2} s, {cpu:.2} s CPU, VmHWM {peak:.0} MB, {bytes:.0} bytes a letter"),
        });
    }
    rows
}

/// Everything an office has for a channel, by a sender of its own: letters, seconds, CPU seconds, peak MB, bytes a letter.
pub fn send(office: &Office, kind: ChannelKind) -> [f64; 5] {
    let answer = Command::new(std::env::current_exe().expect("this program"))
        .args([SENDER, kind.as_str(), &office.path("dondoc.toml").display().to_string()])
        .current_dir(office.path(""))
        .env("RUST_LOG", "error")
        .output()
        .expect("the sender");
    assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let told = String::from_utf8_lossy(&answer.stdout);
    let told: Vec<f64> = told.split_whitespace().map(|word| word.parse().expect("a figure")).collect();
    told[..].try_into().expect("five figures")
}

/// `smtp-sink` on a free port; `delay` in milliseconds after each message.
pub fn start_sink(delay: u32) -> (Child, u16) {
    let port = free_port();
    let mut command = Command::new("/usr/sbin/smtp-sink");
    // `-w` delays by whole seconds only: a delay is made by a sink of our own.
    if delay > 0 {
        command = Command::new(std::env::current_exe().expect("this program"));
        command.args([SLOW_SINK, &port.to_string(), &delay.to_string()]);
    } else {
        // As root it insists on becoming somebody else.
        command.args(["-u", "nobody", &format!("127.0.0.1:{port}"), "1000"]);
    }
    (listening(command, port), port)
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port()
}

/// Starts a server and waits until it takes connections.
pub fn listening(mut command: Command, port: u16) -> Child {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("smtp-sink (package postfix)");
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(child.try_wait().expect("looked at").is_none(), "the sink does not run");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[expect(clippy::let_underscore_must_use, reason = "it may have ended by itself")]
pub fn stop(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The word by which this program is a sink that takes its time.
pub const SLOW_SINK: &str = "--slow-sink";

/// A mail server that answers at once, save the final dot: that after a delay. A thread for each connection, because a
/// runtime's timer would add up to a millisecond of its own to each delay.
pub fn slow_sink(port: u16, delay: u64) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("its port");
    for stream in listener.incoming() {
        let stream = stream.expect("a connection");
        // What ends a conversation is the other side's affair.
        std::thread::spawn(move || serve(&stream, Duration::from_millis(delay)).ok());
    }
}

fn serve(mut stream: &TcpStream, delay: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = BufReader::with_capacity(64 * 1024, stream);
    let mut line = Vec::new();
    let mut data = false;
    stream.write_all(b"220 slow ESMTP\r\n")?;
    loop {
        line.clear();
        if read.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match (&line[..], data) {
            (b".\r\n", true) => {
                data = false;
                std::thread::sleep(delay);
                b"250 taken\r\n"
            }
            (_, true) => continue,
            (line, _) if line.starts_with(b"DATA") => {
                data = true;
                b"354 go\r\n"
            }
            (line, _) if line.starts_with(b"EHLO") => b"250-slow\r\n250 PIPELINING\r\n",
            (line, _) if line.starts_with(b"QUIT") => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer)?;
    }
}

/// Plans, then measures what it takes to send everything: prints letters, seconds, CPU seconds, peak MB, bytes a letter.
#[expect(clippy::print_stdout, reason = "its answer to the process that started it")]
#[expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock on the wall")]
pub fn sender(kind: ChannelKind, config: &Path) {
    dondoc::cli::run::few_heaps();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (office, _) = load_all(config, []).expect("the office's settings");
        let policy = dondoc::cli::context::policy_of(office).expect("the office's policy");
        let store = Arc::new(SqliteStore::open(&policy.settings.store_url).await.expect("the office's database"));
        let channel: Arc<dyn Channel> = match (kind, &policy.settings.email.transport, &policy.settings.zalo) {
            (ChannelKind::Email, EmailTransport::Smtp(relay), _) => {
                // The configured rate is lifted for the measure.
                let relay = dondoc::config::settings::Smtp { messages_per_minute: 0, ..relay.clone() };
                Arc::new(SmtpChannel::new(&relay, "dondoc@office.example", Default::default()).expect("a channel"))
            }
            (ChannelKind::Zalo, _, Zalo::Webhook { url, secrets }) => Arc::new(
                WebhookChannel::new(url, secrets.clone(), Clock::System, Default::default()).expect("a channel"),
            ),
            _ => panic!("a way out"),
        };
        let channels = HashMap::from([(kind, channel)]);
        let engine = Engine::new(store.clone(), Clock::System, policy, channels, Arc::new(|_| ()));
        engine.start().await.expect("started");
        engine.scan_pass().await.expect("planned");
        dondoc::engine::serve::give_back();
        // What planning took at most is another measure's.
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak set back");
        let (begun, cpu) = (Instant::now(), cpu_time());
        // On a worker, as in the daemon.
        let round = tokio::spawn(async move { engine.deliver_on(kind).await });
        let round = round.await.expect("not panicked").expect("delivered");
        let (wall, cpu) = (begun.elapsed(), cpu_time() - cpu);
        let peak = peak_mb_of(std::process::id()).unwrap_or(0.0);
        let bytes = dondoc::store::ledger::OutboxStore::message_bytes(&*store, 1).await.expect("read");
        println!(
            "{} {} {} {} {}",
            round.sent,
            wall.as_secs_f64(),
            cpu.as_secs_f64(),
            peak,
            bytes.map_or(0, |bytes| bytes.len())
        );
        store.close().await;
    });
}
