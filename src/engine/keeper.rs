//! What senders ask of the ledger, committed together: gates and outcomes of messages that are under way at one time
//! share a transaction. A gate waits for the commit, and no longer: what comes while one is under way goes into the
//! next. An outcome, for which no connection waits, may wait a moment for the gate of the connection's next message.
//!
//! First come, first served: what a sender was told of its last message is in the ledger before, or with, the gate of
//! its next. So a crash leaves at most one message of unknown fate for each that was in hand.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use crate::{
    clock::Clock,
    store::{
        Result, Store, StoreError,
        ledger::{Freeze, GateAnswer, Recorded},
    },
};

/// How long until what cannot be kept is tried again, at first and at last.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const KEEP_WAIT: Duration = Duration::from_secs(30);

/// How long outcomes by themselves wait for a gate to share their transaction: longer than a relay takes to answer MAIL
/// and RCPT, and no time to whoever looks on.
const COMPANY: Duration = Duration::from_millis(5);

/// A database that does not answer for so long is taken for gone: of a server whose machine died while it held a commit
/// nothing more is ever heard.
const SILENT: Duration = Duration::from_secs(120);

/// What goes into one transaction at most: an import waits behind it no longer than a moment.
const MOST: usize = 64;

enum Entry {
    Gate(Box<Freeze>, oneshot::Sender<Option<GateAnswer>>),
    Outcomes(Vec<Recorded>, oneshot::Sender<Result<()>>),
}

/// The way to a ledger's one writer of gates and outcomes; it ends with the last of its clones.
#[derive(Clone)]
pub(super) struct Keeper {
    entries: mpsc::UnboundedSender<Entry>,
}

impl Keeper {
    /// Starts the writer. In a task of its own: a sender's deadline must not cancel a transaction half-way (sqlx #4385).
    /// `round` is there as long as anything of its round is: claims, hand-overs, and outcomes that are not yet kept.
    pub(super) fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        stopping: CancellationToken,
        trouble: Trouble,
        round: Arc<()>,
    ) -> Self {
        let (entries, asked) = mpsc::unbounded_channel();
        tokio::spawn(Writer { store, clock, stopping, trouble, asked, stuck: Vec::new(), _round: round }.run());
        Keeper { entries }
    }

    /// The gate: `None` where the ledger could not be asked; then nothing may leave.
    pub(super) async fn gate(&self, freeze: Freeze) -> Option<GateAnswer> {
        let (answer, answered) = oneshot::channel();
        self.entries.send(Entry::Gate(Box::new(freeze), answer)).ok()?;
        answered.await.ok().flatten()
    }

    /// Records outcomes, however long the ledger takes to take them: one that was lost would be a message that is sent
    /// twice, or never again. Their place in the order is taken at once, before this is first waited for. Gives up only
    /// when the service stops.
    pub(super) fn keep(&self, outcomes: Vec<Recorded>) -> impl Future<Output = Result<()>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let sent = self.entries.send(Entry::Outcomes(outcomes, answer));
        async move {
            let ended = || StoreError::Refused("the ledger's writer has ended".to_owned());
            sent.map_err(|_| ended())?;
            answered.await.map_err(|_| ended())?
        }
    }
}

struct Writer {
    store: Arc<dyn Store>,
    clock: Clock,
    stopping: CancellationToken,
    trouble: Trouble,
    asked: mpsc::UnboundedReceiver<Entry>,
    /// Outcomes that the database refuses for what they are; the others do not wait for them.
    stuck: Vec<Recorded>,
    _round: Arc<()>,
}

/// Outcomes of one batch, with whoever waits for them.
#[derive(Default)]
struct Kept(Vec<(Vec<Recorded>, oneshot::Sender<Result<()>>)>);

impl Kept {
    fn outcomes(&self) -> Vec<Recorded> {
        self.0.iter().flat_map(|(outcomes, _)| outcomes.clone()).collect()
    }

    fn len(&self) -> usize {
        self.0.iter().map(|(outcomes, _)| outcomes.len()).sum()
    }

    fn answer(self, with: impl Fn() -> Result<()>) {
        self.0.into_iter().for_each(|(_, waiting)| tell(waiting, with()));
    }
}

/// Nobody waiting any more is no fault: the ledger has it.
fn tell<T>(waiting: oneshot::Sender<T>, answer: T) {
    waiting.send(answer).ok();
}

impl Writer {
    async fn run(mut self) {
        while let Some(first) = self.next().await {
            let (mut kept, mut freezes, mut gates) = (Kept::default(), Vec::new(), Vec::new());
            let mut company = std::pin::pin!(tokio::time::sleep(COMPANY));
            // By a clock that is set by hand no moment passes.
            let waits = !matches!(self.clock, Clock::Manual(_));
            let mut next = Some(first);
            while let Some(entry) = next {
                match entry {
                    Entry::Gate(freeze, answer) => {
                        freezes.push(*freeze);
                        gates.push(answer);
                    }
                    Entry::Outcomes(outcomes, answer) => kept.0.push((outcomes, answer)),
                }
                next = match gates.len() + kept.len() {
                    MOST.. => None,
                    _ if waits && gates.is_empty() => tokio::select! {
                        entry = self.asked.recv() => entry,
                        () = &mut company => None,
                    },
                    _ => self.asked.try_recv().ok(),
                };
            }
            match self.settle(kept.outcomes(), freezes).await {
                Ok(answers) => {
                    kept.answer(|| Ok(()));
                    gates.into_iter().zip(answers).for_each(|(gate, answer)| tell(gate, Some(answer)));
                }
                Err(error) => {
                    self.trouble.notice(&error, self.clock.boot_time());
                    if !gates.is_empty() {
                        tracing::error!(%error, "the gate could not be asked; nothing is handed over");
                    }
                    gates.into_iter().for_each(|gate| tell(gate, None));
                    if error.is_of_the_row() {
                        self.one_by_one(kept).await;
                    } else {
                        self.insist(kept, error).await;
                    }
                }
            }
        }
    }

    /// Commits, or finds out within [`SILENT`] that it cannot. In a task of its own, for giving up must not cancel a
    /// transaction half-way (sqlx #4385); what it may yet commit is asked again and does no harm: each change is made once,
    /// by its own token.
    async fn settle(&self, outcomes: Vec<Recorded>, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>> {
        let (store, now) = (self.store.clone(), self.clock.now());
        let settling = tokio::spawn(async move { store.settle(now, outcomes, freezes).await });
        match tokio::time::timeout(SILENT, settling).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ended)) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StoreError::silent(Duration::ZERO)),
            },
            Err(_) => Err(StoreError::silent(SILENT)),
        }
    }

    /// What is asked next. While nobody asks, what the database had refused is tried again; also when all have gone.
    async fn next(&mut self) -> Option<Entry> {
        let mut wait = FIRST_WAIT;
        loop {
            let gone = tokio::select! {
                biased;
                entry = self.asked.recv() => match entry {
                    Some(entry) => return Some(entry),
                    None if self.stuck.is_empty() || self.stopping.is_cancelled() => return None,
                    None => true,
                },
                () = tokio::time::sleep(wait), if !self.stuck.is_empty() => false,
            };
            if gone {
                tokio::select! {
                    () = self.stopping.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
            wait = (wait * 2).min(KEEP_WAIT);
            for outcome in std::mem::take(&mut self.stuck) {
                if let Err(error) = self.settle(vec![outcome.clone()], Vec::new()).await {
                    self.trouble.notice(&error, self.clock.boot_time());
                    self.stuck.push(outcome);
                }
            }
        }
    }

    /// The database refused a batch for something in it: each outcome goes alone, so that only what it refuses waits. (What
    /// asked for its gate in the batch was told no, and comes again.)
    async fn one_by_one(&mut self, kept: Kept) {
        let mut left = kept.0.into_iter();
        while let Some((outcomes, waiting)) = left.next() {
            let (mut answer, mut outcomes) = (Ok(()), outcomes.into_iter());
            while let Some(outcome) = outcomes.next() {
                match self.settle(vec![outcome.clone()], Vec::new()).await {
                    Ok(_) => {}
                    Err(error) if error.is_of_the_row() => {
                        tracing::error!(
                            message = outcome.message, outcome = outcome.outcome, %error,
                            "the database refuses this outcome; it is tried again and again, and the others go on"
                        );
                        self.stuck.push(outcome);
                        answer = Err(error);
                    }
                    Err(error) => {
                        self.trouble.notice(&error, self.clock.boot_time());
                        let rest = std::iter::once(outcome).chain(outcomes).collect();
                        let rest = std::iter::once((rest, waiting)).chain(left).collect();
                        return self.insist(Kept(rest), error).await;
                    }
                }
            }
            tell(waiting, answer);
        }
    }

    /// Tries to keep outcomes until they are; meanwhile every gate is shut.
    async fn insist(&mut self, mut kept: Kept, mut error: StoreError) {
        let mut wait = FIRST_WAIT;
        while !kept.0.is_empty() {
            if self.stopping.is_cancelled() {
                let why = error.to_string();
                return kept.answer(|| Err(StoreError::Refused(why.clone())));
            }
            tracing::error!(%error, outcomes = kept.len(), "outcomes cannot be kept; nothing more is sent until they are");
            tokio::select! {
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(KEEP_WAIT);
            while let Ok(entry) = self.asked.try_recv() {
                match entry {
                    Entry::Gate(_, gate) => tell(gate, None),
                    Entry::Outcomes(outcomes, answer) => kept.0.push((outcomes, answer)),
                }
            }
            match self.settle(kept.outcomes(), Vec::new()).await {
                Ok(_) => return kept.answer(|| Ok(())),
                Err(again) if again.is_of_the_row() => {
                    return Box::pin(self.one_by_one(kept)).await;
                }
                Err(again) => {
                    self.trouble.notice(&again, self.clock.boot_time());
                    error = again;
                }
            }
        }
    }
}
