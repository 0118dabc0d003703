//! The loops of the running daemon, and how they end.
//!
//! The scheduler and the heartbeat ring; the scan loop answers the doorbell; each channel has a loop of its own, so that
//! a slow relay holds up neither planning nor filing. The watchdog is fed by the scan loop only.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Engine, Pass};
use crate::{doorbell::Doorbell, planning::rules::ChannelKind, store::Result, systemd::Watchdog};

/// A heartbeat of our own beside the scheduler, which may fall silent.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// A database server that says nothing for so long is given up: longer than any lock is waited for, and short enough that
/// a scan that meets it comes back before the watchdog's time is over.
pub const SILENT: Duration = Duration::from_secs(75);
/// How soon a sender on a shared database looks again for what another one planned.
const HELP: Duration = Duration::from_secs(1);

/// Rings on the configured schedule until cancelled. The job's body is a ring and nothing more.
pub async fn schedule(
    pattern: &str,
    zone: &str,
    bell: Doorbell,
) -> std::result::Result<tokio_cron_scheduler::JobScheduler, String> {
    let scheduler = tokio_cron_scheduler::JobScheduler::new().await.map_err(|error| error.to_string())?;
    let zone: chrono_tz::Tz = zone.parse().map_err(|_| format!("the scheduler does not know the time zone {zone}"))?;
    let job = tokio_cron_scheduler::Job::new_async_tz(pattern, zone, move |_, _| {
        let bell = bell.clone();
        Box::pin(async move { bell.ring() })
    })
    .map_err(|error| format!("scan.schedule {pattern:?}: {error}"))?;
    scheduler.add(job).await.map_err(|error| error.to_string())?;
    scheduler.start().await.map_err(|error| error.to_string())?;
    Ok(scheduler)
}

/// Rings at most every 30 s, and when the next thing is due; also while the database keeps it waiting.
async fn heartbeat(engine: Arc<Engine>, bell: Doorbell, token: CancellationToken) {
    let mut asking: Option<JoinHandle<Duration>> = None;
    loop {
        // In a task of its own: a ring must not wait for the answer, nor cut it off (sqlx #4385).
        let asked = asking.get_or_insert_with(|| tokio::spawn(until_next(engine.clone())));
        let until = tokio::select! {
            () = token.cancelled() => return,
            answer = asked => Some(answer.unwrap_or(HEARTBEAT)),
            () = tokio::time::sleep(HEARTBEAT) => None,
        };
        if let Some(until) = until {
            asking = None;
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(until.clamp(Duration::from_millis(200), HEARTBEAT)) => {}
            }
        } else {
            tracing::warn!("the database has given the heartbeat no answer for {} seconds", HEARTBEAT.as_secs());
        }
        bell.ring();
    }
}

/// Keeps up with a shared database, and asks how long nothing is due.
async fn until_next(engine: Arc<Engine>) -> Duration {
    if let Err(error) = engine.keep_up().await {
        tracing::error!(%error, "the database does not answer");
    }
    let now = engine.clock.now();
    let due = match engine.next_due().await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "the next instant could not be read");
            engine.trouble.notice(&error, engine.clock.boot_time());
            None
        }
    };
    match due.map(|due| Duration::try_from(due.duration_since(now))) {
        Some(Ok(until)) => until,
        // Something is there to be done: our own loops are at it, or it rests. On a shared database another sender may
        // have made it, and this one could help.
        Some(Err(_)) if engine.clock.follows() => HELP,
        _ => HEARTBEAT,
    }
}

/// A pass over more tasks than this leaves much freed memory with the allocator.
const LARGE_PASS: u64 = 500;

/// Gives memory back to the system that was needed once, while the daemon rests for hours: what glibc keeps of a large
/// pass, and the pages of this program that only such work (or the start, with its settings, rules and relocations) runs
/// through. A page of the program that is needed after all comes back from the system's cache, or from its file.
#[expect(unsafe_code, reason = "calls of the system's libraries, without arguments that could be wrong")]
pub fn give_back() {
    // SAFETY: malloc_trim touches only free memory and may be called from any thread; the callback reads what it is given.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    unsafe {
        libc::malloc_trim(0);
        libc::dl_iterate_phdr(Some(let_go), std::ptr::null_mut());
    }
}

/// Lets go of the pages of the first object, which is the program itself, that nobody ever writes: its code and constants.
/// What the linker relocated lies in a writable segment, and stays.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "segments as the loader lists them, and advice about them")]
unsafe extern "C" fn let_go(object: *mut libc::dl_phdr_info, _: usize, _: *mut libc::c_void) -> libc::c_int {
    // SAFETY: the loader hands over a valid list. These pages are mapped from the program's file and were never written,
    // so whatever the kernel takes it reads again from there; only whole pages of a segment are named.
    unsafe {
        let object = &*object;
        let page = usize::try_from(libc::sysconf(libc::_SC_PAGESIZE)).unwrap_or(4096) as u64;
        for segment in std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)) {
            let begins = object.dlpi_addr + segment.p_vaddr;
            let (from, until) = (begins.next_multiple_of(page), (begins + segment.p_memsz) / page * page);
            if segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0 && from < until {
                libc::madvise(from as *mut libc::c_void, (until - from) as usize, libc::MADV_DONTNEED);
            }
        }
    }
    // Not zero: no further objects.
    1
}

impl Engine {
    /// When something is due next: a task's look, a reminder's or a message's moment.
    pub async fn next_due(&self) -> Result<Option<jiff::Timestamp>> {
        Ok([self.store.next_look().await?, self.store.next_move().await?].into_iter().flatten().min())
    }

    /// Plans, files and bundles; what is to be delivered, and the notices' files, are left to loops of their own.
    pub async fn scan_pass(&self) -> Result<Pass> {
        let began = self.clock.boot_time();
        let mut pass = self.plan_and_bundle().await?;
        // What was planned is planned: a list that cannot be made holds up no reminder, and does not make the scan a failure.
        if let Err(error) = self.list_the_unreached().await {
            tracing::error!(%error, "the day's list of those who cannot be reached was not made; it is tried again");
            self.trouble.notice(&error, self.clock.boot_time());
        }
        pass.took = self.clock.boot_time().saturating_sub(began);
        Ok(pass)
    }
}

/// Runs until `token` is cancelled, then lets what was handed over finish within `grace`. `after` is called with each
/// finished scan.
pub async fn serve(
    engine: Arc<Engine>,
    bell: Doorbell,
    watchdog: Watchdog,
    token: CancellationToken,
    grace: Duration,
    after: impl Fn(&Result<Pass>) + Send + Sync,
) -> bool {
    let tracker = TaskTracker::new();
    let outgoing: Vec<(ChannelKind, Doorbell)> = ChannelKind::ALL.iter().map(|kind| (*kind, Doorbell::new())).collect();
    for (kind, ring) in &outgoing {
        tracker.spawn(channel_loop(engine.clone(), *kind, ring.clone(), bell.clone(), token.clone()));
    }
    tracker.spawn(heartbeat(engine.clone(), bell.clone(), token.clone()));
    let files = Doorbell::new();
    tracker.spawn(file_loop(engine.clone(), files.clone(), token.clone()));
    // At once, also while a scan is under way: no further claims, and the time to finish counts from here.
    let (ending, stopping, rings) = (token.clone(), engine.stopping().clone(), outgoing.clone());
    tracker.spawn(async move {
        ending.cancelled().await;
        stopping.cancel();
        for (_, ring) in &rings {
            ring.ring();
        }
    });
    tracker.close();
    bell.ring();
    let mut first = true;
    loop {
        tokio::select! {
            () = token.cancelled() => break,
            () = bell.wait() => {}
        }
        watchdog.feed();
        // In a task of its own: database work is never cancelled half-way (sqlx #4385).
        let scanning = engine.clone();
        let pass = match tokio::spawn(async move { scanning.scan_pass().await }).await {
            Ok(pass) => pass,
            Err(error) => Err(crate::store::StoreError::Refused(format!("the scan panicked: {error}"))),
        };
        if let Err(error) = &pass {
            tracing::error!(%error, "the scan failed; it is tried again at the next ring");
            engine.trouble.notice(error, engine.clock.boot_time());
        }
        after(&pass);
        watchdog.feed();
        if std::mem::take(&mut first) || pass.is_ok_and(|pass| pass.looked_at > LARGE_PASS) {
            give_back();
        }
        files.ring();
        for (_, ring) in &outgoing {
            ring.ring();
        }
    }
    tokio::time::timeout(grace, tracker.wait()).await.is_ok()
}

/// Writes notices' files: beside the work, for a slow disk must hold up neither planning nor sending. What could not be
/// written is tried again at the next heartbeat.
async fn file_loop(engine: Arc<Engine>, ring: Doorbell, token: CancellationToken) {
    let mut compared = false;
    loop {
        // Not before the first scan has looked whether this database may send.
        tokio::select! {
            () = token.cancelled() => return,
            () = ring.wait() => {}
        }
        compared = compared || engine.reconcile_files().await;
        engine.write_files().await;
    }
}

async fn channel_loop(
    engine: Arc<Engine>,
    kind: ChannelKind,
    ring: Doorbell,
    scan: Doorbell,
    token: CancellationToken,
) {
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            () = ring.wait() => {}
        }
        // In a task of its own: a panic belongs to this round, not to the channel for ever.
        let round = engine.clone();
        let delivered = match tokio::spawn(async move { round.deliver_on(kind).await }).await {
            Ok(delivered) => delivered,
            Err(error) => Err(crate::store::StoreError::Refused(format!("delivering panicked: {error}"))),
        };
        match delivered {
            // A fallback, or what changed under way, is bundled by the scan.
            Ok(round) => {
                if round.again {
                    scan.ring();
                }
                if round.sent + round.refused > LARGE_PASS {
                    give_back();
                }
            }
            Err(error) => {
                tracing::error!(channel = %kind, %error, "delivering failed; it is tried again at the next ring");
                engine.trouble.notice(&error, engine.clock.boot_time());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_outlasts_a_scan_that_waits_for_a_silent_database() {
        let unit = include_str!("../../systemd/dondoc.service");
        let seconds = unit.lines().find_map(|line| line.strip_prefix("WatchdogSec="));
        let watchdog = Duration::from_secs(seconds.expect("the unit has a watchdog").parse().unwrap());
        // A connection, a statement that is given up, and the look that sees it.
        assert!(Duration::from_secs(10 + 5) + SILENT < watchdog);
        // Between a scan and the next one: the heartbeat rings whatever the database does.
        assert!(2 * HEARTBEAT < watchdog);
    }

    /// Kilobytes of mapped files that are in memory.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssFile:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn pages_of_the_program_that_nobody_needs_now_are_given_back() {
        // More than once, for other tests run through theirs meanwhile.
        let less = (0..20).any(|_| {
            let before = resident();
            give_back();
            resident() < before
        });
        assert!(less, "the program's pages stayed where they are");
    }
}
