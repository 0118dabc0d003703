//! What systemd is told (READY, RELOADING, STATUS, WATCHDOG, STOPPING) and the signals it sends.
//!
//! Outside systemd (no `NOTIFY_SOCKET`) every call does nothing. No timer here feeds the watchdog: the loops that do
//! the work feed it, so that a hang is seen.

use std::{io, time::Duration};

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// How long the daemon may go on finishing after SIGTERM: the unit's `TimeoutStopSec` less 15 s, in which what is left
/// is recorded as unknown.
pub const STOP: Duration = Duration::from_secs(75);

/// The daemon works: first scan's schema, settings and lock are in place. `status` is what `systemctl status` shows.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&line(status))]);
}

/// Settings that were found good are taken up. [`ready`] must follow (sd_notify(3)). Of an edit that was refused systemd
/// hears neither: READY would look as if all were well; its status line says why.
pub fn reloading() {
    // systemd wants to know when, by the clock it shares with us, to match it with the reload it asked for.
    match NotifyState::monotonic_usec_now() {
        Ok(when) => tell(&[NotifyState::Reloading, when]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// One line for `systemctl status`. It must hold no personal data: every user of the machine can read it.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(&line(status))]);
}

/// The daemon is on its way out.
pub fn stopping(status: &str) {
    tell(&[NotifyState::Stopping, NotifyState::Status(&line(status))]);
}

/// systemd's watchdog, where the unit has one.
#[derive(Debug, Clone, Copy)]
pub struct Watchdog {
    interval: Option<Duration>,
}

impl Watchdog {
    /// As the environment says (`WATCHDOG_USEC`, `WATCHDOG_PID`).
    pub fn from_env() -> Self {
        Self { interval: sd_notify::watchdog_enabled() }
    }

    /// The longest time between two feedings before systemd kills the daemon; `None` without a watchdog. A loop must
    /// come by at least twice in it.
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }

    /// Says "alive". Called by the scan loop after each pass and each batch, and by nothing that could run on while
    /// the scan hangs.
    pub fn feed(&self) {
        if self.interval.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// What somebody asks of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, or SIGINT (Ctrl-C).
    Stop,
    /// SIGHUP: read the settings again.
    Reload,
}

/// The signals the daemon obeys. From its making on they no longer end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    hang_up: Stream,
}

impl Signals {
    /// Starts to listen. Needs a tokio runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal; a stop goes before a reload. Cancelling it loses none.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}

fn tell(states: &[NotifyState]) {
    // An unheard READY or WATCHDOG makes systemd end the service; the operator must find the reason in the log.
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot tell systemd the service's state");
    }
}

/// A line end in a status would begin another message to systemd.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixDatagram, process::Command};

    use super::*;

    /// Runs [`child`] in a process of its own, because its environment is what is tested; what it told systemd.
    fn told(watchdog: Option<&str>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["systemd::tests::child", "--exact", "--ignored"]).env("NOTIFY_SOCKET", &path);
        command.env_remove("WATCHDOG_PID").env_remove("WATCHDOG_USEC");
        if let Some(usec) = watchdog {
            command.env("WATCHDOG_USEC", usec);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1024];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|n| String::from_utf8_lossy(&buffer[..n]).into_owned()))
            .collect()
    }

    #[test]
    #[ignore = "run by the tests below, in a process of its own"]
    fn child() {
        ready("sẵn sàng\nWATCHDOG=trigger");
        reloading();
        status("quét xong");
        Watchdog::from_env().feed();
        stopping("đang dừng");
    }

    #[test]
    fn systemd_hears_every_state_and_no_status_can_forge_another() {
        let told = told(Some("120000000"));
        assert_eq!(told.len(), 5, "{told:?}");
        assert_eq!(told[0], "READY=1\nSTATUS=sẵn sàng WATCHDOG=trigger\n");
        let since = told[1].strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(since.trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(told[2], "STATUS=quét xong\n");
        assert_eq!(told[3], "WATCHDOG=1\n");
        assert_eq!(told[4], "STOPPING=1\nSTATUS=đang dừng\n");
    }

    #[test]
    fn a_unit_without_a_watchdog_is_not_fed() {
        let told = told(None);
        assert!(!told.is_empty() && told.iter().all(|message| message != "WATCHDOG=1\n"), "{told:?}");
    }

    fn seconds(unit: &str, key: &str) -> u64 {
        let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
        value.trim_end_matches('s').parse().unwrap()
    }

    #[test]
    fn the_unit_leaves_fifteen_seconds_to_record_what_is_left_at_a_stop() {
        let unit = include_str!("../systemd/dondoc.service");
        assert_eq!(seconds(unit, "TimeoutStopSec"), STOP.as_secs() + 15);
    }

    #[test]
    fn a_reload_checks_the_files_against_the_real_tasks_before_the_daemon_is_told() {
        let unit = include_str!("../systemd/dondoc.service");
        let reloads: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ExecReload=")).collect();
        // A command without a `-` in front: when it fails the reload fails, and the next one is not run.
        assert!(reloads[0].starts_with("+/usr/bin/dondoc ") && reloads[0].ends_with(" check --against-store"));
        assert_eq!(reloads[1..], ["/bin/kill -HUP $MAINPID"]);
        // RELOADING is sent only of what was found good: with notify-reload a refusal would leave systemd waiting.
        assert!(unit.lines().any(|line| line == "Type=notify"));
    }

    #[test]
    fn the_watchdog_outlasts_two_heartbeats() {
        let unit = include_str!("../systemd/dondoc.service");
        assert!(seconds(unit, "WatchdogSec") >= 2 * 30);
    }

    #[tokio::test]
    #[expect(unsafe_code, reason = "only libc sends a signal to one's own process")]
    async fn hang_up_reloads_and_terminate_stops() {
        let mut signals = Signals::listen().unwrap();
        let send = |signal| {
            // SAFETY: raise takes no memory; both signals have handlers since `listen`.
            assert_eq!(unsafe { libc::raise(signal) }, 0);
        };
        send(libc::SIGHUP);
        assert_eq!(signals.next().await, Signal::Reload);
        send(libc::SIGTERM);
        assert_eq!(signals.next().await, Signal::Stop);
        send(libc::SIGINT);
        assert_eq!(signals.next().await, Signal::Stop);
    }
}
