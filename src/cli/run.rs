//! `dondoc run`: the daemon's life, from the lock to the last recorded answer.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    app::channels,
    context::{Context, exit, policy_of, show_faults},
    status,
};
use crate::{
    config::load::load_all,
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
        engine.write_files().await;
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
    let answering = engine.clone();
    let socket = listen(&socket_path(&database), bell.clone(), token.clone(), move |question| {
        let engine = answering.clone();
        async move { (question == "status").then(|| status::answer(&engine)) }
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
            Signal::Reload => reload(context, &engine, &bell).await,
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

/// All three files, all or nothing: a faulty edit keeps the last good ones and is loud about it.
async fn reload(context: &Context, engine: &Arc<Engine>, bell: &Doorbell) {
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
    let status = match outcome {
        Ok(office) => {
            let before = engine.policy();
            if before.settings.store_url != office.settings.store_url
                || before.settings.web.listen != office.settings.web.listen
            {
                tracing::warn!("the store's address and the web listener change only with a restart");
            }
            match policy_of(office) {
                Ok(mut policy) => {
                    policy.settings.store_url = before.settings.store_url.clone();
                    match engine.adopt(policy).await {
                        Ok(tasks) => {
                            tracing::info!(tasks, "reloaded: what is not yet sent is planned anew");
                            "ready; settings reloaded"
                        }
                        Err(error) => {
                            tracing::error!(%error, "reload failed: the last good rules stay in force");
                            "ready; reload FAILED, the last good rules stay"
                        }
                    }
                }
                Err(error) => {
                    tracing::error!(error = %format!("{error:#}"), "reload refused: the last good rules stay in force");
                    "ready; reload REFUSED, the last good rules stay"
                }
            }
        }
        Err(faults) => {
            show_faults(&faults);
            tracing::error!(faults = faults.iter().count(), "reload refused: the last good rules stay in force");
            "ready; reload REFUSED, the last good rules stay"
        }
    };
    systemd::ready(status);
    bell.ring();
}
