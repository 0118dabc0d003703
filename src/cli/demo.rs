//! `dondoc demo`: the main job on the embedded defaults, with days that pass in seconds.
//!
//! Real parts throughout: the shipped settings, rules and calendar, the importer, the daemon's loops, the Maildir and
//! the Zalo webhook. Only the clock is moved by hand, and the Zalo relay is a small receiver on 127.0.0.1.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use jiff::{Timestamp, ToSpan, civil::date};
use tokio_util::sync::CancellationToken;

use super::{
    app::{channels, say, shown},
    context::policy_of,
};
use crate::{
    clock::Clock,
    config::{load::load_all, settings::Settings},
    doorbell::Doorbell,
    engine::{Engine, Event, Observer, serve},
    intake::{
        directory::import_directory,
        import::{Caller, NoEstimate, Options, import_tasks},
    },
    planning::{calendar::WorkCalendar, rules::ChannelKind},
    store::{register::RegisterStore, sqlite::SqliteStore},
    systemd::Watchdog,
};

const DIRECTORY: &str = include_str!("../../config/sample/directory.csv");
const TASKS: &str = include_str!("../../config/sample/tasks.csv");

/// A sample task to which much happens: its deadline falls on a Saturday, an extension is asked for, it is urged by mail
/// and Zalo, and a notice is filed.
const EXAMPLE: &str = "NV26-000511";

/// `dondoc demo`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to work; a new folder is made
    #[arg(long, default_value = "dondoc-demo", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// How many days pass
    #[arg(long, default_value_t = 18)]
    pub days: u32,
    /// Milliseconds a day takes on the screen
    #[arg(long, default_value_t = 700)]
    pub day_ms: u64,
}

/// Runs the demo.
pub async fn run(args: &Args) -> anyhow::Result<u8> {
    let folder = fresh_folder(&args.folder)?;
    let zalo_log = folder.join("zalo.log");
    let receiver = receive(zalo_log.clone()).await?;
    Settings::embedded(&folder).map_err(|faults| anyhow::anyhow!("{}", faults.render(false)))?;
    let secret = folder.join("zalo-webhook-secret");
    std::fs::write(&secret, uuid::Uuid::new_v4().to_string())?;
    let overrides = [
        ("DONDOC_ZALO__MODE", "webhook".to_owned()),
        ("DONDOC_ZALO__WEBHOOK__URL", format!("http://{receiver}/zalo")),
        ("DONDOC_ZALO__WEBHOOK__SECRET_FILE", "zalo-webhook-secret".to_owned()),
    ];
    let config = folder.join("dondoc.toml");
    let (office, _) = load_all(&config, overrides.map(|(key, value)| (key.to_owned(), value)))
        .map_err(|faults| anyhow::anyhow!("{}", faults.render(false)))?;
    let calendar = office.calendar.calendar.clone();
    let policy = policy_of(office)?;
    let settings = policy.settings.clone();

    // The sample is as of this Friday; the daemon wakes on its morning.
    let start = calendar.instant(date(2026, 11, 20), jiff::civil::time(7, 0, 0, 0));
    let clock = Clock::manual(start);
    let store = Arc::new(SqliteStore::open(&settings.store_url).await?);
    say(&format!("Chạy thử {} ngày trong thư mục {}", args.days, shown(&folder)));
    say("Dữ liệu mẫu, người và việc không có thật; thư và tin chỉ ghi vào thư mục ấy. Dừng: Ctrl-C.");
    take_in(&folder, &store, &settings, start).await?;

    let screen = Arc::new(Screen { calendar: calendar.clone(), clock: clock.clone(), said: Mutex::default() });
    let watching = screen.clone();
    let observer: Observer = Arc::new(move |event| watching.show(event));
    let engine = Arc::new(Engine::new(store.clone(), clock.clone(), policy, channels(&settings, &clock)?, observer));
    engine.start().await?;
    let bell = Doorbell::new();
    let token = CancellationToken::new();
    let serving = tokio::spawn(serve::serve(
        engine.clone(),
        bell.clone(),
        Watchdog::from_env(),
        token.clone(),
        Duration::from_secs(10),
        |_| {},
    ));
    let stopped = pass_days(args, &engine, &clock, &bell, &calendar, start).await?;
    token.cancel();
    let _ = serving.await;
    if stopped {
        say("Đã dừng theo yêu cầu.");
    }
    report(&folder, &settings, &store, &zalo_log, &calendar, clock.now()).await?;
    store.close().await;
    Ok(super::context::exit::DONE)
}

/// A folder of that name that does not exist yet: an earlier demo is kept.
fn fresh_folder(wanted: &Path) -> anyhow::Result<PathBuf> {
    let name = wanted.display().to_string();
    for n in 1..1000 {
        let folder = if n == 1 { wanted.to_owned() } else { PathBuf::from(format!("{name}-{n}")) };
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok(folder.canonicalize()?),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make the folder {}", folder.display())),
        }
    }
    anyhow::bail!("there are a thousand folders like {name}: remove some")
}

async fn take_in(folder: &Path, store: &SqliteStore, settings: &Settings, now: Timestamp) -> anyhow::Result<()> {
    let (directory, tasks) = (folder.join("danh-ba.csv"), folder.join("nhiem-vu.csv"));
    std::fs::write(&directory, DIRECTORY)?;
    std::fs::write(&tasks, TASKS)?;
    let report = import_directory(&directory, store, settings, now, false).await?;
    say(&format!("Nhập danh bạ: {} dòng từ danh-ba.csv", report.rows));
    let options = Options { yes: true, dry_run: false, all_unclassified: false };
    let caller = Caller { estimate: &mut NoEstimate, confirm: &mut |_| true, progress: &mut |_, _, _| {} };
    let report = import_tasks(&tasks, store, settings, now, options, caller).await?;
    say(&format!(
        "Nhập nhiệm vụ: {} dòng từ nhiem-vu.csv, {} giữ lại, {} mật (nội dung không được lưu)",
        report.rows, report.held, report.secret
    ));
    Ok(())
}

/// Moves the clock from one due instant to the next; `true` where Ctrl-C ended it early.
async fn pass_days(
    args: &Args,
    engine: &Arc<Engine>,
    clock: &Clock,
    bell: &Doorbell,
    calendar: &WorkCalendar,
    start: Timestamp,
) -> anyhow::Result<bool> {
    let end = start + (i64::from(args.days) * 24).hours();
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut day = None;
    headline(calendar, start, &mut day);
    loop {
        settle(engine, clock, bell).await?;
        let next = engine.next_due().await?.unwrap_or(end).max(clock.now() + 1.second());
        if next > end {
            return Ok(false);
        }
        let today = calendar.date_of(next);
        if day != Some(today) {
            tokio::select! {
                _ = &mut interrupted => return Ok(true),
                () = tokio::time::sleep(Duration::from_millis(args.day_ms)) => {}
            }
        }
        headline(calendar, next, &mut day);
        // The daemon ran all the while: nothing was missed.
        engine.stay_awake(next);
        clock.set(next);
        bell.ring();
    }
}

/// A day's name, once.
fn headline(calendar: &WorkCalendar, at: Timestamp, day: &mut Option<jiff::civil::Date>) {
    let today = calendar.date_of(at);
    if *day != Some(today) {
        say(&format!("\n— {}, {}", weekday(today), today.strftime("%d/%m/%Y")));
        *day = Some(today);
    }
}

/// Waits until nothing is due at the present instant.
async fn settle(engine: &Arc<Engine>, clock: &Clock, bell: &Doorbell) -> anyhow::Result<()> {
    for _ in 0..2_000 {
        match engine.next_due().await? {
            Some(due) if due <= clock.now() => bell.ring(),
            _ => {
                let counts = engine.store.counts().await?;
                if counts.backlog_email + counts.backlog_zalo == 0 {
                    return Ok(());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn weekday(day: jiff::civil::Date) -> &'static str {
    use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    match day.weekday() {
        Monday => "Thứ Hai",
        Tuesday => "Thứ Ba",
        Wednesday => "Thứ Tư",
        Thursday => "Thứ Năm",
        Friday => "Thứ Sáu",
        Saturday => "Thứ Bảy",
        Sunday => "Chủ nhật",
    }
}

/// What happens, a line each.
struct Screen {
    calendar: WorkCalendar,
    clock: Clock,
    said: Mutex<BTreeSet<i64>>,
}

impl Screen {
    fn show(&self, event: &Event) {
        let at = self.calendar.local(self.clock.now()).strftime("%H:%M").to_string();
        match event {
            Event::Sent { message, channel, to, subject, tasks } => {
                if !self.said.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(*message) {
                    return;
                }
                match channel {
                    ChannelKind::Email => say(&format!("{at}  thư   → {to}: {subject}")),
                    ChannelKind::Zalo => say(&format!("{at}  Zalo  → {to}: {}", tasks.join(", "))),
                }
            }
            Event::Filed { number } => say(&format!("{at}  lập phiếu báo nhiệm vụ quá hạn số {number}")),
            Event::Refused { channel, to, reply, .. } => {
                say(&format!("{at}  {channel} → {to}: chưa gửi được ({reply})"))
            }
            Event::Unreachable { count } => say(&format!("{at}  {count} lượt nhắc không có ai nhận được")),
            Event::Files { failed, .. } if *failed > 0 => say(&format!("{at}  {failed} tệp phiếu báo chưa ghi được")),
            Event::Scanned { .. } | Event::Files { .. } => {}
        }
    }
}

/// What there is to see, and what to ask as of the demo's `now`.
async fn report(
    folder: &Path,
    settings: &Settings,
    store: &SqliteStore,
    zalo_log: &Path,
    calendar: &WorkCalendar,
    now: Timestamp,
) -> anyhow::Result<()> {
    let mails = std::fs::read_dir(folder.join("mail/new")).map_or(0, Iterator::count);
    let posts = std::fs::read_to_string(zalo_log).map_or(0, |text| text.lines().count());
    let notices = store.notices(0, 100_000).await?.len();
    say("");
    say(&format!("Xong: {mails} thư, {posts} tin Zalo, {notices} phiếu báo. Xem ở:"));
    say(&format!("  thư (Maildir)         {}", shown(&folder.join("mail"))));
    say(&format!("  tin Zalo              {}", shown(zalo_log)));
    say(&format!("  phiếu báo             {}", shown(&settings.notices.directory)));
    say(&format!("  cấu hình              {}", shown(&folder.join("dondoc.toml"))));
    say(&format!("  quy tắc               {}", shown(&settings.files.rules)));
    say(&format!("  lịch nghỉ, làm bù     {}", shown(&settings.files.calendar)));
    let program = std::env::current_exe().map_or_else(|_| "dondoc".to_owned(), |path| shown(&path));
    let ask = format!("{program} --config {}", shown(&folder.join("dondoc.toml")));
    // The demo's days may lie ahead of today: the question says as of when.
    let last = calendar.date_of(now);
    let week = last.checked_add(7.days()).unwrap_or(last);
    say("Hỏi thêm:");
    say(&format!("  {ask} explain {EXAMPLE} --at {}", calendar.local(now).strftime("%Y-%m-%dT%H:%M")));
    say(&format!("  {ask} plan --from {} --until {week}", last.checked_add(1.days()).unwrap_or(last)));
    say(&format!("  {ask} notice list"));
    say(&format!("  {ask} register verify"));
    Ok(())
}

/// A Zalo relay of our own: takes every post and keeps its body as one line.
async fn receive(log: PathBuf) -> anyhow::Result<std::net::SocketAddr> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
    let file = Arc::new(Mutex::new(file));
    let keep = move |body: axum::body::Bytes| {
        let file = file.clone();
        async move {
            let line: String = String::from_utf8_lossy(&body).replace(['\n', '\r'], " ");
            let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            match writeln!(file, "{line}") {
                Ok(()) => axum::http::StatusCode::OK,
                Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            }
        }
    };
    let app = axum::Router::new().route("/zalo", axum::routing::post(keep));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the Zalo receiver ended");
        }
    });
    Ok(address)
}
