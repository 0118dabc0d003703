//! `dondoc run`: the daemon's life, from the lock to the last recorded answer.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    app::channels,
    context::{Context, exit, policy_of, show_faults},
    status,
};
use crate::{
    config::{load::load_all, settings::Settings},
    doorbell::{Doorbell, InstanceLock, listen, socket_path},
    engine::{Engine, Observer, serve},
    systemd::{self, Signal, Signals, Watchdog},
};

/// `dondoc run`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// One scan, deliver what is due, exit
    #[arg(long)]
    pub once: bool,
}

/// One heap for all threads; to be called before there are any. glibc gives each of them a heap of its own, and what a
/// large pass freed in five of them stays scattered there: 185 MB at rest instead of 45, at the same CPU time.
#[expect(unsafe_code, reason = "the allocator's own call, with constants of its documentation")]
pub fn one_heap() {
    // SAFETY: mallopt only sets a parameter of the allocator; no other thread exists yet.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Runs until told to stop.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let policy = context.policy(context.office()?)?;
    let settings = policy.settings.clone();
    let database = Context::database(&settings);
    let _lock = InstanceLock::take(&database)?;
    let store = context.store(&settings).await?;
    let watchdog = Watchdog::from_env();
    let feeder = watchdog;
    // Everything that happens is logged where it happens; nobody else watches.
    let observer: Observer = Arc::new(|_| ());
    let engine =
        Engine::new(store.clone(), context.clock.clone(), policy, channels(&settings, &context.clock)?, observer)
            .on_progress(Arc::new(move || feeder.feed()));
    let engine = Arc::new(engine);
    engine.start().await?;

    if args.once {
        let pass = engine.pass().await?;
        engine.reconcile_files().await;
        store.close().await;
        super::app::say(&format!(
            "{} nhiệm vụ được xem, {} lượt nhắc, {} thư hoặc tin đã gửi, {} bị từ chối, {} phiếu báo",
            pass.looked_at, pass.planned, pass.sent, pass.refused, pass.filed
        ));
        return Ok(if pass.failed + pass.refused > 0 { exit::NEEDS_A_PERSON } else { exit::DONE });
    }

    let bell = Doorbell::new();
    let token = CancellationToken::new();
    let mut signals = Signals::listen()?;
    let mut scheduler = serve::schedule(&settings.scan.schedule, &settings.office.time_zone_name, bell.clone())
        .await
        .map_err(|error| anyhow::anyhow!(error))?;
    let reloaded: Arc<Mutex<Option<bool>>> = Arc::default();
    let answering = (engine.clone(), reloaded.clone());
    let socket = listen(&socket_path(&database), bell.clone(), token.clone(), move |question| {
        let (engine, reloaded) = answering.clone();
        async move {
            let reloaded = *reloaded.lock().unwrap_or_else(PoisonError::into_inner);
            (question == "status").then(|| status::answer(&engine, reloaded))
        }
    })?;

    let serving =
        tokio::spawn(serve::serve(engine.clone(), bell.clone(), watchdog, token.clone(), systemd::STOP, |pass| {
            if let Ok(pass) = pass
                && pass.looked_at > 0
            {
                systemd::status(&format!("last scan: {} tasks looked at, {} reminders", pass.looked_at, pass.planned));
            }
        }));
    tracing::info!(database = %database.display(), "ready");
    systemd::ready("ready");
    loop {
        match signals.next().await {
            Signal::Stop => break,
            Signal::Reload => {
                let taken = reload(context, &engine, &bell).await;
                *reloaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
            }
        }
    }
    systemd::stopping("stopping: what was handed over is finished");
    tracing::info!("stopping");
    token.cancel();
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
    store.close().await;
    tracing::info!("stopped");
    Ok(exit::DONE)
}

/// All three files, all or nothing: a faulty edit keeps the last good ones and is loud about it. Whether it was taken up.
async fn reload(context: &Context, engine: &Arc<Engine>, bell: &Doorbell) -> bool {
    systemd::reloading();
    let outcome = match load_all(&context.config, crate::config::settings_file::environment()) {
        Ok((office, _)) => {
            let failed = crate::config::rule_test::run_tests(&office.rules.tests, &|test| {
                super::wiring::run_test(&office, test)
            });
            if failed.failed > 0 { Err(failed.problems) } else { Ok(office) }
        }
        Err(faults) => Err(faults),
    };
    let (taken, status) = match outcome {
        Ok(office) => {
            let before = engine.policy();
            let fixed = |settings: &Settings| {
                format!(
                    "{} {} {:?} {:?}",
                    settings.store_url, settings.web.listen, settings.zalo, settings.email.transport
                )
            };
            if fixed(&before.settings) != fixed(&office.settings) {
                tracing::warn!(
                    "the store's address, the web listener, the mail relay and Zalo change only with a restart"
                );
            }
            match policy_of(office) {
                Ok(mut policy) => {
                    // The connections stand as they were opened; planning for others would be planning for nobody.
                    policy.settings.store_url = before.settings.store_url.clone();
                    policy.settings.zalo = before.settings.zalo.clone();
                    policy.settings.email.transport = before.settings.email.transport.clone();
                    match engine.adopt(policy).await {
                        Ok(tasks) => {
                            tracing::info!(tasks, "reloaded: what is not yet sent is planned anew");
                            (true, "ready; settings reloaded")
                        }
                        Err(error) => {
                            tracing::error!(%error, "reload failed: the last good rules stay in force");
                            (false, "ready; reload FAILED, the last good rules stay")
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(error = %format!("{error:#}"), "reload refused: the last good rules stay in force");
                    (false, "ready; reload REFUSED, the last good rules stay")
                }
            }
        }
        Err(faults) => {
            show_faults(&faults);
            tracing::error!(faults = faults.iter().count(), "reload refused: the last good rules stay in force");
            (false, "ready; reload REFUSED, the last good rules stay")
        }
    };
    systemd::ready(status);
    bell.ring();
    taken
}
