//! `dondoc run`: the daemon's life, from the lock to the last recorded answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    app::channels,
    context::{Context, exit},
    reload::{self, Outcome, Standing},
    status,
};
use crate::{
    channel::breaker::State,
    clock::Clock,
    config::settings::Settings,
    doorbell::{Doorbell, InstanceLock, listen, socket_path},
    engine::{Engine, Event, Observer, Pass, serve},
    systemd::{self, Signal, Signals, Watchdog},
    web::{
        self,
        metrics::{Live, Metrics},
    },
};

/// `dondoc run`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// One scan, deliver what is due, exit
    #[arg(long)]
    pub once: bool,
}

/// Two heaps for all threads; to be called before there are any. glibc gives each of them a heap of its own, and what a
/// large pass freed in five of them stays scattered there: 185 MB at rest instead of 45. With one they wait for each other:
/// a letter costs an eighth more.
#[expect(unsafe_code, reason = "the allocator's own call, with constants of its documentation")]
pub fn few_heaps() {
    // SAFETY: mallopt only sets a parameter of the allocator; no other thread exists yet.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// A daemon whose last scan is older than this is not ready.
const STALE: Duration = Duration::from_secs(5 * 60);

/// What the running daemon shows to whoever asks.
pub struct Shown {
    pub context: Context,
    pub engine: Arc<Engine>,
    pub standing: Standing,
    metrics: Arc<Metrics>,
    /// Unix milliseconds of the last scan that ended well.
    scanned: AtomicI64,
    /// Whether systemd's status line speaks of the clock.
    clock_told: AtomicBool,
    /// Why the figures' port is not open, where it should be.
    pub web_fault: Option<String>,
}

impl Shown {
    /// Whether the last scan is young enough, and the clock it went by is believed.
    fn ready(&self) -> bool {
        if self.engine.clock_doubt().is_some() {
            return false;
        }
        let scanned = crate::clock::millis(self.scanned.load(Ordering::SeqCst));
        self.context.now().duration_since(scanned) < jiff::SignedDuration::try_from(STALE).unwrap_or_default()
    }

    /// Why nothing is sent at all.
    fn held(&self) -> Option<String> {
        let full = || self.engine.trouble.full(self.context.clock.boot_time());
        self.engine.held().map(|held| held.to_string()).or_else(full)
    }

    /// Whether it works: nothing holds it, it believes its clock, and the last scan is young enough. What `/healthz` and
    /// `status` say.
    pub fn works(&self) -> bool {
        self.ready() && self.held().is_none()
    }

    fn live(&self) -> Live {
        let in_use = self.standing.now();
        let held = self.held();
        Live {
            ready: self.works(),
            held,
            rules_refused: in_use.last.as_ref().is_some_and(|last| last.outcome != Outcome::Accepted),
            files_differ: self.files_differ(),
            clock_held: self.engine.clock_doubt().is_some(),
            accepted_at: Some(in_use.accepted_at),
            resting: self
                .engine
                .breakers()
                .into_iter()
                .map(|(kind, state)| (kind, !matches!(state, State::Closed)))
                .collect(),
        }
    }

    /// Whether the files on disk are not those in force.
    pub fn files_differ(&self) -> bool {
        self.standing.files_differ(&self.context.config, &self.engine.policy().settings)
    }

    /// One line for `systemctl status`: what is wrong first.
    fn line(&self, text: &str) -> String {
        if let Some(doubt) = self.engine.clock_doubt() {
            return format!("CLOCK NOT BELIEVED ({doubt}): nothing is sent; {text}");
        }
        match self.held().or_else(|| self.standing.alarm()) {
            Some(alarm) => format!("{alarm}; {text}"),
            None => text.to_owned(),
        }
    }

    fn scanned(&self, pass: &crate::store::Result<Pass>, at: Timestamp) {
        let Ok(pass) = pass else { return self.metrics.scan_failed() };
        self.scanned.store(at.as_millisecond(), Ordering::SeqCst);
        self.metrics.scanned(at, pass.took);
        let held = self.engine.clock_doubt().is_some();
        if self.clock_told.swap(held, Ordering::SeqCst) != held {
            systemd::status(&self.line("still running"));
        }
        if pass.looked_at > 0 {
            let text = format!("last scan: {} tasks looked at, {} reminders", pass.looked_at, pass.planned);
            systemd::status(&self.line(&text));
        }
    }

    /// Reads the files again. systemd hears RELOADING and READY only of what is taken up: of a refusal it hears why.
    async fn reload(&self, watchdog: Watchdog) {
        systemd::status("reading the files again");
        let outcome = reload::reload(&self.context, &self.engine, &self.standing, &|| watchdog.feed()).await;
        self.metrics.reloaded(outcome.as_str(), outcome == Outcome::Accepted);
        if outcome == Outcome::Accepted {
            systemd::reloading();
            systemd::ready("ready; files reloaded");
        } else {
            systemd::status(&self.line("still running"));
        }
    }
}

/// Counts what happens; everything is logged where it happens.
fn counting(metrics: Arc<Metrics>) -> Observer {
    Arc::new(move |event| match event {
        Event::Scanned { planned, superseded, filed, failed } => {
            metrics.planned(*planned, *superseded, *filed, *failed);
        }
        Event::Sent { channel, .. } => metrics.sent(*channel),
        Event::Refused { channel, outcome, .. } => metrics.refused(*channel, outcome),
        Event::Filed { .. } | Event::Unreachable { .. } | Event::Files { .. } => {}
    })
}

/// Opens the figures' port, where one is set. A port that is taken is loud and stops no reminder.
async fn open_web(settings: &Settings) -> (Option<tokio::net::TcpListener>, Option<String>) {
    if settings.web.listen.is_empty() {
        return (None, None);
    }
    match web::open(&settings.web.listen).await {
        Ok((listener, address)) => {
            tracing::info!(%address, "figures at /metrics, health at /healthz");
            (Some(listener), None)
        }
        Err(error) => {
            tracing::error!(address = %settings.web.listen, %error, "the figures' port cannot be opened; reminders go on without it");
            (None, Some(format!("{}: {error}", settings.web.listen)))
        }
    }
}

/// The disk failed under the database: SQLite would go on as if nothing had happened, and closing it would write to it.
/// What was handed over without an answer is taken up at the next start.
fn end_at_once(line: &str) {
    tracing::error!("{line}");
    systemd::status(line);
    eprintln!("dondoc: {line}");
    std::process::exit(i32::from(exit::FAILED));
}

/// Runs until told to stop.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let settings = context.settings()?;
    let database = Context::database(&settings);
    // On a server several may send: each claims what no other holds. A file is one daemon's.
    let _lock = if settings.is_on_server() { None } else { Some(InstanceLock::take(&database)?) };
    let store = context.store(&settings).await?;
    store.give_up_silent(serve::SILENT);
    let start = reload::start(context, &*store, &settings).await?;
    let settings = start.policy.settings.clone();
    let watchdog = Watchdog::from_env();
    let metrics = Arc::new(Metrics::default());
    let guard = Arc::new(status::guard(&settings));
    let engine = Engine::new(
        store.clone(),
        context.clock.clone(),
        start.policy.clone(),
        channels(&settings, &context.clock)?,
        counting(metrics.clone()),
    )
    .on_progress(Arc::new(move || watchdog.feed()));
    let engine = engine.guarded(guard.clone());
    engine.trouble.on_fatal(Arc::new(end_at_once));
    let engine = Arc::new(engine);
    if args.once
        && let Some(held) = guard.find(&*store).await?.held
    {
        store.close().await;
        anyhow::bail!(
            "{held}: nothing is planned, filed or sent until `dondoc instance adopt --why …` says that it is to"
        );
    }
    engine.start().await?;
    // By a clock that is not believed they would be in force since a wrong day; the next start keeps them.
    if engine.clock_doubt().is_none() {
        start.accepted(&*store).await?;
    }

    if args.once {
        let mut pass = engine.pass().await?;
        if engine.list_the_unreached().await? > 0 {
            let lists = engine.pass().await?;
            (pass.sent, pass.refused) = (pass.sent + lists.sent, pass.refused + lists.refused);
        }
        engine.reconcile_files().await;
        store.close().await;
        super::app::say(&format!(
            "{} nhiệm vụ được xem, {} lượt nhắc, {} thư hoặc tin đã gửi, {} bị từ chối, {} phiếu báo",
            pass.looked_at, pass.planned, pass.sent, pass.refused, pass.filed
        ));
        return Ok(if pass.failed + pass.refused > 0 || engine.clock_doubt().is_some() {
            exit::NEEDS_A_PERSON
        } else {
            exit::DONE
        });
    }

    let bell = Doorbell::new();
    let token = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut scheduler = serve::schedule(&settings.scan.schedule, &settings.office.time_zone_name, bell.clone())
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let (listener, web_fault) = open_web(&settings).await;
    let shown = Arc::new(Shown {
        context: context.clone(),
        engine: engine.clone(),
        standing: Standing::new(start.standing),
        metrics: metrics.clone(),
        scanned: AtomicI64::new(i64::MIN),
        clock_told: AtomicBool::new(false),
        web_fault,
    });
    let answering = shown.clone();
    let socket = listen(&socket_path(&database), bell.clone(), token.clone(), move |question| {
        let shown = answering.clone();
        async move { (question == "status").then(|| status::answer(&shown)) }
    })?;
    let looking = shown.clone();
    let live: Arc<dyn Fn() -> Live + Send + Sync> = Arc::new(move || looking.live());
    let pages = listener.map(|listener| {
        let pages = web::Pages { store: store.clone(), metrics, live };
        tokio::spawn(web::serve(listener, pages, token.clone()))
    });

    let (hearing, ringing) = (store.clone(), bell.clone());
    let shared_bell = tokio::spawn(async move { hearing.listen(&|| ringing.ring()).await });
    let (after, clock) = (shown.clone(), context.clock.clone());
    let serving =
        tokio::spawn(serve::serve(engine.clone(), bell.clone(), watchdog, token.clone(), systemd::STOP, move |pass| {
            after.scanned(pass, Clock::now(&clock));
        }));
    tracing::info!(database = %status::instance(&settings), "ready");
    systemd::ready(&shown.line("ready"));
    loop {
        match signals.next().await {
            Signal::Stop => break,
            Signal::Reload => {
                shown.reload(watchdog).await;
                bell.ring();
            }
        }
    }
    systemd::stopping("stopping: what was handed over is finished");
    tracing::info!("stopping");
    token.cancel();
    shared_bell.abort();
    if let Err(error) = scheduler.shutdown().await {
        tracing::debug!(%error, "the scheduler did not stop cleanly");
    }
    let finished = serving.await.unwrap_or(false);
    if !finished {
        tracing::warn!(
            "some hand-overs did not finish in time; their outcome is recorded as unknown at the next start"
        );
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), socket).await;
    if let Some(pages) = pages {
        // A scraper that keeps its connection open holds up no stop.
        let _ = tokio::time::timeout(Duration::from_secs(2), pages).await;
    }
    store.close().await;
    tracing::info!("stopped");
    Ok(exit::DONE)
}
