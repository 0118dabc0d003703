//! The figures: what happened since the start is counted here, what stands in the database is read when asked for.
//!
//! Labels are words of the program (a channel, an outcome); there is no name, address, phone or task code among them.

use std::{fmt, sync::atomic::AtomicU64};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{planning::rules::ChannelKind, store::ledger::Counts};

/// What `/metrics` says it is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Seconds a scan takes: an idle one a few thousandths, one over a hundred thousand tasks half a minute.
const SCAN_SECONDS: [f64; 9] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 30.0, 60.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByChannel {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    channel: String,
    outcome: String,
}

/// What only the running daemon knows.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// Why nothing is sent at all: this is a copy, or the disk is full. One line.
    pub held: Option<String>,
    /// The last pass is young enough.
    pub ready: bool,
    pub rules_refused: bool,
    /// The files on disk are not those in force.
    pub files_differ: bool,
    /// The clock is not believed: nothing is planned, filed or sent.
    pub clock_held: bool,
    pub accepted_at: Option<Timestamp>,
    /// Channels with whether their breaker keeps them from sending.
    pub resting: Vec<(ChannelKind, bool)>,
}

type Real = Gauge<f64, AtomicU64>;

/// All figures.
pub struct Metrics {
    registry: Registry,
    reloads: Family<ByOutcome, Counter>,
    reload_success: Gauge,
    scans: Counter,
    scans_failed: Counter,
    scan_seconds: Histogram,
    last_scan: Real,
    planned: Counter,
    superseded: Counter,
    filed: Counter,
    unplannable: Counter,
    sent: Family<ByChannel, Counter>,
    refused: Family<Refusal, Counter>,
    files_differ: Gauge,
    rules_refused: Gauge,
    accepted_at: Real,
    ready: Gauge,
    clock_held: Gauge,
    resting: Family<ByChannel, Gauge>,
    stored: Stored,
}

#[derive(Default)]
struct Stored {
    open_tasks: Gauge,
    held_tasks: Gauge,
    backlog: Family<ByChannel, Gauge>,
    dead: Gauge,
    unknown: Gauge,
    unreachable: Gauge,
    register: Gauge,
    unwritten: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("dondoc");
        let metrics = Metrics {
            reloads: Family::default(),
            reload_success: Gauge::default(),
            scans: Counter::default(),
            scans_failed: Counter::default(),
            scan_seconds: Histogram::new(SCAN_SECONDS),
            last_scan: Real::default(),
            planned: Counter::default(),
            superseded: Counter::default(),
            filed: Counter::default(),
            unplannable: Counter::default(),
            sent: Family::default(),
            refused: Family::default(),
            files_differ: Gauge::default(),
            rules_refused: Gauge::default(),
            accepted_at: Real::default(),
            ready: Gauge::default(),
            clock_held: Gauge::default(),
            resting: Family::default(),
            stored: Stored::default(),
            registry: Registry::default(),
        };
        let m = &metrics;
        registry.register("reloads", "Reloads by outcome: accepted, refused, failed", m.reloads.clone());
        registry.register("last_reload_successful", "Whether the last reload was accepted", m.reload_success.clone());
        registry.register("scans", "Scans", m.scans.clone());
        registry.register("scans_failed", "Scans that the database ended", m.scans_failed.clone());
        registry.register_with_unit("scan", "How long scans take", Unit::Seconds, m.scan_seconds.clone());
        registry.register("last_scan_timestamp_seconds", "When the last scan ended", m.last_scan.clone());
        registry.register("reminders_planned", "Reminders planned", m.planned.clone());
        registry.register("reminders_superseded", "Reminders superseded", m.superseded.clone());
        registry.register("notices_filed", "Overdue notices filed", m.filed.clone());
        registry.register("tasks_unplannable", "Tasks that could not be planned", m.unplannable.clone());
        registry.register("messages_sent", "Messages accepted, by channel", m.sent.clone());
        registry.register(
            "messages_refused",
            "Attempts that were not accepted, by channel and outcome",
            m.refused.clone(),
        );
        registry.register("files_differ", "Whether the files on disk are not those in force", m.files_differ.clone());
        registry.register("files_refused", "Whether the last edit was refused", m.rules_refused.clone());
        registry.register(
            "rules_accepted_timestamp_seconds",
            "Since when the rules are in force",
            m.accepted_at.clone(),
        );
        registry.register("ready", "Whether the last scan is young enough", m.ready.clone());
        registry.register("clock_held", "Whether the work waits for the clock to be right", m.clock_held.clone());
        registry.register("channel_resting", "Whether a channel's breaker keeps it from sending", m.resting.clone());
        let s = &m.stored;
        registry.register("open_tasks", "Open tasks", s.open_tasks.clone());
        registry.register("held_tasks", "Tasks held until a person mends them", s.held_tasks.clone());
        registry.register("backlog", "Messages not yet accepted, by channel", s.backlog.clone());
        registry.register("messages_dead", "Messages refused for good", s.dead.clone());
        registry.register("messages_unknown", "Messages whose answer was lost", s.unknown.clone());
        registry.register("slots_unreachable", "Slots that lead to nobody", s.unreachable.clone());
        registry.register("register_entries", "Entries of the register of notices", s.register.clone());
        registry.register("notice_files_unwritten", "Notices' files not yet written", s.unwritten.clone());
        for outcome in ["accepted", "refused", "failed"] {
            let _ = metrics.reloads.get_or_create(&ByOutcome { outcome: outcome.to_owned() });
        }
        metrics.reload_success.set(1);
        Metrics { registry, ..metrics }
    }
}

impl Metrics {
    /// A reload ended; `outcome` is its stable word.
    pub fn reloaded(&self, outcome: &str, accepted: bool) {
        self.reloads.get_or_create(&ByOutcome { outcome: outcome.to_owned() }).inc();
        self.reload_success.set(i64::from(accepted));
    }

    /// A scan ended.
    pub fn scanned(&self, at: Timestamp, took: std::time::Duration) {
        self.scans.inc();
        self.scan_seconds.observe(took.as_secs_f64());
        self.last_scan.set(at.as_millisecond() as f64 / 1000.0);
    }

    /// A scan was ended by the database.
    pub fn scan_failed(&self) {
        self.scans_failed.inc();
    }

    /// What a scan came to.
    pub fn planned(&self, planned: u64, superseded: u64, filed: u64, failed: u64) {
        self.planned.inc_by(planned);
        self.superseded.inc_by(superseded);
        self.filed.inc_by(filed);
        self.unplannable.inc_by(failed);
    }

    /// A message was accepted.
    pub fn sent(&self, channel: ChannelKind) {
        self.sent.get_or_create(&ByChannel { channel: channel.to_string() }).inc();
    }

    /// An attempt was not accepted; `outcome` is its stable word.
    pub fn refused(&self, channel: ChannelKind, outcome: &str) {
        let labels = Refusal { channel: channel.to_string(), outcome: outcome.to_owned() };
        self.refused.get_or_create(&labels).inc();
    }

    /// The text of `/metrics`. Without `counts` (the database failed) their last values stay.
    pub fn render(&self, counts: Option<&Counts>, live: &Live) -> Result<String, fmt::Error> {
        if let Some(counts) = counts {
            let stored = &self.stored;
            stored.open_tasks.set(counts.open_tasks);
            stored.held_tasks.set(counts.held_tasks);
            for (channel, n) in [(ChannelKind::Email, counts.backlog_email), (ChannelKind::Zalo, counts.backlog_zalo)] {
                stored.backlog.get_or_create(&ByChannel { channel: channel.to_string() }).set(n);
            }
            stored.dead.set(counts.dead);
            stored.unknown.set(counts.unknown);
            stored.unreachable.set(counts.unreachable);
            stored.register.set(counts.register_entries);
            stored.unwritten.set(counts.unwritten_files);
        }
        self.ready.set(i64::from(live.ready));
        self.clock_held.set(i64::from(live.clock_held));
        self.rules_refused.set(i64::from(live.rules_refused));
        self.files_differ.set(i64::from(live.files_differ));
        self.accepted_at.set(live.accepted_at.map_or(0.0, |at| at.as_millisecond() as f64 / 1000.0));
        for (channel, resting) in &live.resting {
            self.resting.get_or_create(&ByChannel { channel: channel.to_string() }).set(i64::from(*resting));
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
