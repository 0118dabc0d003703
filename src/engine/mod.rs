//! The daemon's work: scan, bundle, deliver, write files; and the loops that ring for it.
//!
//! [`Engine::pass`] is one idempotent round over the database and carries no input: what is due is decided from what is
//! stored, so a lost ring costs time and never a reminder. Everything it decides it asks of `planning`; everything it
//! says it asks of `message`.

pub mod arithmetic;
mod compose;
mod daily;
pub mod deliver;
mod facts;
mod files;
pub mod foresee;
mod gather;
mod hand_over;
pub mod instance;
mod keeper;
mod notices;
pub mod policy;
mod rules;
mod scan;
pub mod serve;
mod shared;
pub mod story;
pub mod time;
pub mod trouble;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use jiff::Timestamp;

use self::{
    instance::{Guard, Held},
    policy::Policy,
    trouble::Trouble,
};
use crate::{
    channel::Channel,
    clock::{Clock, millis},
    inspection::export::Sheet,
    planning::{
        directory::{Directory, Reached},
        plan::Stop,
        rules::ChannelKind,
        task::{AgencyId, Block},
    },
    store::{Result, Store, instance::COPY_UNTIL, ledger::DirectoryRows},
};

/// The mark of the last instant that was worked off.
pub const LAST_PASS: &str = "last_pass";

/// How far the stored mark may lag behind, so that an idle daemon hardly writes.
const MARK_EVERY_MS: i64 = 60_000;

/// Something that happened, for whoever watches: the log, or the demo's screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Scanned { planned: u64, superseded: u64, filed: u64, failed: u64 },
    Filed { number: String },
    Sent { message: i64, channel: ChannelKind, to: String, subject: String, tasks: Vec<String> },
    Refused { message: i64, channel: ChannelKind, to: String, outcome: String, reply: String },
    Unreachable { count: u64 },
    Files { written: u64, failed: u64 },
}

/// Who is told what happens. Called between steps of the work: it must be quick.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// What one pass came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    pub looked_at: u64,
    pub planned: u64,
    pub superseded: u64,
    pub filed: u64,
    pub sent: u64,
    pub refused: u64,
    /// Tasks that could not be planned; each is looked at again in an hour.
    pub failed: u64,
    /// How long planning and bundling took.
    pub took: std::time::Duration,
}

/// A policy and its digest.
type Digested = (Arc<Policy>, i64);

/// The engine: one for a process. A clone is the same engine, for work that goes on beside its owner's.
#[derive(Clone)]
pub struct Engine {
    pub store: Arc<dyn Store>,
    pub clock: Clock,
    policy: Arc<ArcSwap<Policy>>,
    /// The last policy whose digest was asked for, with it.
    digest: Arc<Mutex<Option<Digested>>>,
    /// Held while every task is looked at anew.
    looking: Arc<tokio::sync::Mutex<()>>,
    channels: Arc<HashMap<ChannelKind, Arc<dyn Channel>>>,
    rests: Arc<Mutex<HashMap<ChannelKind, crate::channel::breaker::Breaker>>>,
    /// Held by whatever works on a channel.
    rounds: Arc<Mutex<HashMap<ChannelKind, Arc<()>>>>,
    directory: Arc<Mutex<Option<Arc<KnownDirectory>>>>,
    /// The directory's revision and the day for which the list of the unreachable was last gone through.
    looked_for: Arc<Mutex<Option<(i64, jiff::civil::Date)>>>,
    /// The day whose lists of the unreachable were made.
    listed: Arc<Mutex<Option<jiff::civil::Date>>>,
    observer: Observer,
    /// Unix milliseconds up to which we were awake and working.
    awake: Arc<AtomicI64>,
    /// Unix milliseconds of the scan that is under way, or of the last one.
    began: Arc<AtomicI64>,
    marked: Arc<AtomicI64>,
    watch: Arc<Mutex<time::Watch>>,
    /// Whether the steps of the rules in force were accepted; not by a clock that is not believed.
    settled: Arc<AtomicBool>,
    /// Set when the service is to end: no further claims.
    stopping: tokio_util::sync::CancellationToken,
    /// Called between batches, so that a long pass does not look like a hang.
    alive: Arc<dyn Fn() + Send + Sync>,
    /// Watches whether this database is the one that sends; none where there can be no copy (tests).
    guard: Option<Arc<Guard>>,
    /// What an earlier run left was taken up.
    begun: Arc<AtomicBool>,
    /// What an earlier run left in work was taken up: whatever is in work now is this one's.
    rescued: Arc<AtomicBool>,
    /// The first scan after an adoption is still to come.
    adopted: Arc<AtomicBool>,
    pub trouble: Trouble,
}

/// The directory as last read, and of which revision it is.
pub struct KnownDirectory {
    pub revision: i64,
    pub directory: Directory,
}

impl Engine {
    /// An engine over a store. `channels` are those configured; a reminder for a channel that is not goes out by the
    /// other one.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        policy: Policy,
        channels: HashMap<ChannelKind, Arc<dyn Channel>>,
        observer: Observer,
    ) -> Self {
        Engine {
            store,
            clock,
            policy: Arc::new(ArcSwap::from_pointee(policy)),
            digest: Arc::default(),
            looking: Arc::default(),
            channels: Arc::new(channels),
            rests: Arc::default(),
            rounds: Arc::default(),
            directory: Arc::default(),
            looked_for: Arc::default(),
            listed: Arc::default(),
            observer,
            awake: Arc::new(AtomicI64::new(i64::MIN)),
            began: Arc::new(AtomicI64::new(i64::MIN)),
            marked: Arc::new(AtomicI64::new(i64::MIN)),
            watch: Arc::default(),
            settled: Arc::new(AtomicBool::new(true)),
            stopping: tokio_util::sync::CancellationToken::new(),
            alive: Arc::new(|| ()),
            guard: None,
            begun: Arc::default(),
            rescued: Arc::default(),
            adopted: Arc::default(),
            trouble: Trouble::default(),
        }
    }

    /// Sets who watches whether this database may send.
    pub fn guarded(mut self, guard: Arc<Guard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Why nothing is planned, filed or sent from this database; `None`: it is.
    pub fn held(&self) -> Option<Held> {
        self.guard.as_ref().and_then(|guard| guard.held())
    }

    /// Looks whether this database may send; the first time that it may, what an earlier run left is taken up.
    async fn may_work(&self) -> Result<bool> {
        if let Some(guard) = self.guard.as_ref().filter(|guard| guard.is_free()) {
            guard.same_file()?;
        }
        if let Some(guard) = self.guard.as_ref().filter(|guard| !guard.is_free()) {
            let (held, news) = guard.look(&*self.store, self.clock.now()).await?;
            if let Some(held) = held {
                if news {
                    tracing::error!(
                        "{held}: nothing is planned, filed or sent; if this is the one that is to send, and the other has \
                         stopped for good, run `dondoc instance adopt --why …`"
                    );
                }
                return Ok(false);
            }
            if news {
                tracing::warn!("this database was adopted: it plans, files and sends from now on");
            }
        }
        if !self.begun.load(Ordering::SeqCst) {
            self.take_up().await?;
            self.begun.store(true, Ordering::SeqCst);
        }
        Ok(true)
    }

    /// Whether senders and writers of files may act; the scan looks, they only ask.
    fn may_act(&self) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.is_free())
    }

    /// Sets what is called between batches of a pass (the watchdog's food).
    pub fn on_progress(mut self, alive: Arc<dyn Fn() + Send + Sync>) -> Self {
        self.alive = alive;
        self
    }

    /// Ends claiming when cancelled.
    pub fn stopping(&self) -> &tokio_util::sync::CancellationToken {
        &self.stopping
    }

    /// The rules, calendar, settings and texts in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Takes up what a crash or a stop left: leases end, what was handed over without an answer is marked. A database that
    /// may not send is left as it is, until it may.
    pub async fn start(&self) -> Result<()> {
        self.keep_time().await?;
        if let Some(last) = self.store.mark(LAST_PASS).await? {
            self.awake.store(last, Ordering::SeqCst);
            self.marked.store(last, Ordering::SeqCst);
        }
        self.may_work().await.map(|_| ())
    }

    async fn take_up(&self) -> Result<()> {
        let (now, believed) = self.now_or_earliest();
        self.adopted.store(self.store.mark(COPY_UNTIL).await?.is_some(), Ordering::SeqCst);
        // Once: tried again, it would take up what has gone out since.
        if !self.rescued.load(Ordering::SeqCst) {
            let rescued = self.store.rescue(now).await?;
            self.rescued.store(true, Ordering::SeqCst);
            if rescued.released + rescued.unanswered + rescued.poisoned > 0 {
                tracing::warn!(
                    released = rescued.released,
                    unanswered = rescued.unanswered,
                    poisoned = rescued.poisoned,
                    "took up messages that an earlier run left unfinished"
                );
            }
        }
        self.settled.store(false, Ordering::SeqCst);
        if believed { self.settle_in(now).await } else { self.refresh_known().await }
    }

    /// Says that up to `now` the daemon was there and looking: steps due by then were not missed.
    pub fn stay_awake(&self, now: Timestamp) {
        self.awake.fetch_max(now.as_millisecond(), Ordering::SeqCst);
    }

    /// The stop that lies behind `now`, if it was long enough to count.
    fn stopped(&self, now: Timestamp) -> Option<Stop> {
        let awake = self.awake.load(Ordering::SeqCst);
        if awake == i64::MIN { None } else { Stop::between(millis(awake), now) }
    }

    /// One round: plan what is due, make messages, send them, write files. Errors of the database end it; everything
    /// else belongs to the task or message it befell.
    pub async fn pass(&self) -> Result<Pass> {
        let mut pass = self.plan_and_bundle().await?;
        self.deliver(&mut pass).await?;
        // A refusal may have made a reminder for the agency's box: it goes out in this pass, not in the next.
        if pass.refused > 0 {
            self.gather(self.clock.now()).await?;
            self.deliver(&mut pass).await?;
        }
        if pass.filed > 0 {
            self.write_files().await;
        }
        Ok(pass)
    }

    /// Plans, files and bundles; sends nothing.
    pub(super) async fn plan_and_bundle(&self) -> Result<Pass> {
        let mut pass = Pass::default();
        if !self.may_work().await? {
            return Ok(pass);
        }
        let Some(now) = self.confirmed_now().await? else { return Ok(pass) };
        if !self.settled.load(Ordering::SeqCst) {
            self.settle_in(now).await?;
        }
        let Some(_turn) = self.store.planning_turn().await? else {
            // Another sender is at it: nothing is missed.
            self.stay_awake(now);
            return Ok(pass);
        };
        self.others_were_awake(now).await?;
        self.same_rules(now).await?;
        self.began.store(now.as_millisecond(), Ordering::SeqCst);
        self.scan(now, &mut pass).await?;
        if let Some(guard) = self.guard.as_ref().filter(|_| pass.filed > 0) {
            guard.filed(&*self.store, now).await?;
        }
        // A scan that was ended early has not worked everything off: who is told of half of it now would be told of the
        // other half in a letter of its own.
        if self.stopping.is_cancelled() {
            return Ok(pass);
        }
        self.gather(now).await?;
        if self.adopted.load(Ordering::SeqCst) {
            self.store.clear_mark(COPY_UNTIL).await?;
            self.adopted.store(false, Ordering::SeqCst);
        }
        self.stay_awake(now);
        self.mark(now).await?;
        Ok(pass)
    }

    /// Notes up to when everything was worked off; at most once a minute.
    async fn mark(&self, now: Timestamp) -> Result<()> {
        let now = now.as_millisecond();
        let marked = self.marked.load(Ordering::SeqCst);
        // Never lowered: a clock set back for a while must not make a long stop of the time since.
        if marked != i64::MIN && now - marked < MARK_EVERY_MS {
            return Ok(());
        }
        self.store.set_mark(LAST_PASS, now).await?;
        self.marked.store(now, Ordering::SeqCst);
        Ok(())
    }

    /// The directory, read again when it changed.
    async fn directory(&self) -> Result<Arc<KnownDirectory>> {
        let revision = self.store.directory_revision().await?;
        let known = self.directory.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        if let Some(known) = known.filter(|known| known.revision == revision) {
            return Ok(known);
        }
        let rows = self.store.directory().await?;
        let known = Arc::new(known_directory(rows, &self.policy()));
        *self.directory.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(known.clone());
        Ok(known)
    }

    fn forget_directory(&self) {
        *self.directory.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }

    fn tell(&self, event: Event) {
        (self.observer)(&event);
    }
}

/// A directory with the settings' special agencies looked up in it.
pub fn known_directory(rows: DirectoryRows, policy: &Policy) -> KnownDirectory {
    let focal =
        policy.settings.blocks.iter().map(|(block, settings)| (*block, settings.focal_agency.clone())).collect();
    KnownDirectory {
        revision: rows.revision,
        directory: Directory::new(
            rows.agencies,
            rows.names,
            rows.people,
            rows.posts,
            &focal,
            &policy.settings.inspection_agency,
            &policy.settings.email.allowed_domains,
        ),
    }
}

/// The recipient a slot led to, in the words of a letter.
fn recipient(
    directory: &Directory,
    reached: &Reached,
    role: crate::planning::task::Role,
) -> crate::message::facts::Recipient {
    let agency = directory.agency(reached.agency);
    crate::message::facts::Recipient {
        honorific: reached.honorific.clone(),
        name: reached.name.clone(),
        title: reached.title.clone(),
        agency: agency.map(|agency| agency.name.clone()).unwrap_or_default(),
        enterprise: agency.is_some_and(|agency| agency.block == Block::Enterprise),
        stands_in_for: reached
            .stands_in_for
            .as_ref()
            .map(|audience| {
                format!("{} chưa có địa chỉ nhận thư", crate::message::words::audience(&audience.to_string(), role))
            })
            .unwrap_or_default(),
    }
}

/// An agency's name, or nothing.
fn agency_name(directory: &Directory, id: AgencyId) -> String {
    directory.agency(id).map(|agency| agency.name.clone()).unwrap_or_default()
}

/// A notice file's bytes, as commands that write files need it.
pub fn render_notice(texts: &crate::message::texts::Texts, sheet: &Sheet<'_>) -> std::result::Result<Vec<u8>, String> {
    notices::render(texts, sheet)
}
