//! What senders ask of the ledger, committed together: gates and outcomes of messages that are under way at one time
//! share a transaction. Whoever asks waits for the commit, and no longer: what comes while one is under way goes into the
//! next, so that nobody waits for company.
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

/// How long an outcome that cannot be kept is tried again, a second at first; until then nothing passes the gate.
const KEEP_WAIT: Duration = Duration::from_secs(30);

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
    pub(super) fn start(store: Arc<dyn Store>, clock: Clock, stopping: CancellationToken, trouble: Trouble) -> Self {
        let (entries, asked) = mpsc::unbounded_channel();
        tokio::spawn(Writer { store, clock, stopping, trouble, asked }.run());
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
}

/// Outcomes of one batch, with whoever waits for them.
#[derive(Default)]
struct Kept {
    outcomes: Vec<Recorded>,
    waiting: Vec<oneshot::Sender<Result<()>>>,
}

impl Kept {
    fn add(&mut self, outcomes: Vec<Recorded>, waiting: oneshot::Sender<Result<()>>) {
        self.outcomes.extend(outcomes);
        self.waiting.push(waiting);
    }

    fn answer(self, with: impl Fn() -> Result<()>) {
        self.waiting.into_iter().for_each(|waiting| tell(waiting, with()));
    }
}

/// Nobody waiting any more is no fault: the ledger has it.
fn tell<T>(waiting: oneshot::Sender<T>, answer: T) {
    waiting.send(answer).ok();
}

impl Writer {
    async fn run(mut self) {
        while let Some(first) = self.asked.recv().await {
            let (mut kept, mut freezes, mut gates) = (Kept::default(), Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(entry) = next {
                match entry {
                    Entry::Gate(freeze, answer) => {
                        freezes.push(*freeze);
                        gates.push(answer);
                    }
                    Entry::Outcomes(outcomes, answer) => kept.add(outcomes, answer),
                }
                next = (gates.len() + kept.outcomes.len() < MOST).then(|| self.asked.try_recv().ok()).flatten();
            }
            match self.store.settle(self.clock.now(), kept.outcomes.clone(), freezes).await {
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
                    self.insist(kept, error).await;
                }
            }
        }
    }

    /// Tries to keep outcomes until they are; meanwhile every gate is shut.
    async fn insist(&mut self, mut kept: Kept, mut error: StoreError) {
        let mut wait = Duration::from_secs(1);
        while !kept.outcomes.is_empty() {
            if self.stopping.is_cancelled() {
                let why = error.to_string();
                return kept.answer(|| Err(StoreError::Refused(why.clone())));
            }
            tracing::error!(%error, outcomes = kept.outcomes.len(), "outcomes cannot be kept; nothing more is sent until they are");
            tokio::select! {
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(KEEP_WAIT);
            while let Ok(entry) = self.asked.try_recv() {
                match entry {
                    Entry::Gate(_, gate) => tell(gate, None),
                    Entry::Outcomes(outcomes, answer) => kept.add(outcomes, answer),
                }
            }
            match self.store.settle(self.clock.now(), kept.outcomes.clone(), Vec::new()).await {
                Ok(_) => return kept.answer(|| Ok(())),
                Err(again) => {
                    self.trouble.notice(&again, self.clock.boot_time());
                    error = again;
                }
            }
        }
    }
}
