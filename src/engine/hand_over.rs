//! One message from its bytes to its outcome: asked once more whether it may go, handed over behind the gate, and what
//! its answer means for it.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::FutureExt;
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{
    Engine, Event,
    compose::{About, Prepared},
    keeper::Keeper,
};
use crate::{
    channel::{Channel, Delivery, Gate, Parcel, breaker, masked},
    planning::{
        outcome::{After, Outcome, after, counts},
        rules::ChannelKind,
    },
    store::{
        Result,
        ledger::{Claimed, Freeze, GateAnswer, Next, Recorded},
    },
};

/// What came of a hand-over: what is to be recorded of it, and what is told once it is.
pub(super) struct Landed {
    message: Claimed,
    about: About,
    came: Landing,
}

enum Landing {
    Answered(Outcome),
    /// Not a byte left: it goes back, with the reason.
    Back(Next, &'static str),
}

/// What one message adds to its round.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    pub(super) sent: bool,
    pub(super) refused: bool,
    pub(super) again: bool,
}

impl Engine {
    /// Hands one message over, if it still may go.
    pub(super) async fn hand_over(
        self,
        kind: ChannelKind,
        channel: Arc<dyn Channel>,
        keeper: Keeper,
        message: Claimed,
        prepared: Prepared,
    ) -> Landed {
        let Prepared { parcel, freeze, about } = prepared;
        let landed = |message: Claimed, about, came| Landed { message, about, came };
        // It was claimed a while ago: hours, a breaker and a stop are asked again.
        let believed = self.believed_now();
        let now = believed.unwrap_or_else(|| self.reckoned_now());
        let leaves = self.policy().may_leave(&message.hours, now);
        let rests = self.with_breaker(kind, |breaker| match breaker.state() {
            breaker::State::Open { until, .. } => Some(*until),
            _ => None,
        });
        if self.stopping().is_cancelled()
            || believed.is_none()
            || leaves > now
            || rests.is_some_and(|until| until > now)
        {
            let back = hold(&message, rests.unwrap_or(now).max(leaves));
            return landed(message, about, Landing::Back(back, "not begun"));
        }
        let gate = LastLook {
            keeper,
            stopping: self.stopping().clone(),
            freeze: Mutex::new(Some(freeze)),
            answer: Mutex::new(Answer::NotAsked),
        };
        let delivery = AssertUnwindSafe(channel.deliver(&parcel, &gate)).catch_unwind().await;
        let answer = *gate.answer.lock().await;
        let panicked = "the sender panicked: a fault of this program";
        let came = match (delivery, answer) {
            (Ok(Delivery::Tried(outcome)), _) => Landing::Answered(outcome),
            // A day's list is told as it stands: anew, if what it named may not be said any more.
            (Ok(Delivery::Stopped), Answer::Stored(GateAnswer::Changed))
                if message.list.is_some() && message.frozen.is_none() =>
            {
                Landing::Back(hold(&message, self.sober_now()), "changed before it was handed over")
            }
            (Ok(Delivery::Stopped), Answer::Stored(GateAnswer::Changed)) => {
                Landing::Back(Next::Recompose, "changed before it was handed over")
            }
            // Its lease ran out before its turn, the service is stopping, or the database did not answer: it is ours
            // still where the token says so, and goes back.
            (Ok(Delivery::Stopped), _) => {
                let wait = if self.stopping().is_cancelled() { Duration::ZERO } else { Duration::from_secs(30) };
                if answer == Answer::Stored(GateAnswer::Lost) {
                    tracing::warn!(message = message.id, channel = %kind, "its lease was at its end before its turn came; it waits for another");
                }
                Landing::Back(hold(&message, self.sober_now() + wait), "not handed over")
            }
            (Err(_), Answer::Stored(GateAnswer::Go)) => {
                Landing::Answered(Outcome::Unknown { reply: panicked.to_owned() })
            }
            (Err(_), _) => Landing::Answered(Outcome::Permanent { code: 0, reply: panicked.to_owned() }),
        };
        landed(message, about, came)
    }

    /// Records what came of a message and tells it once it is recorded. Its place in the ledger's order is taken before
    /// this first waits.
    pub(super) fn conclude(
        &self,
        kind: ChannelKind,
        keeper: &Keeper,
        landed: Landed,
    ) -> impl Future<Output = Result<Came>> + Send + use<> {
        let Landed { message, about, came } = landed;
        let (recorded, outcome) = match came {
            Landing::Back(next, why) => (release(&message, next, why), None),
            Landing::Answered(outcome) => {
                // What is tried again is tried by the right clock.
                let now = self.sober_now();
                let observed =
                    self.with_breaker(kind, |breaker| breaker.observe(message.id, &message.address, outcome, now));
                let recorded = Recorded {
                    message: message.id,
                    token: message.token.clone(),
                    outcome: observed.outcome.as_str(),
                    code: observed.outcome.code(),
                    reply: observed.outcome.reply().to_owned(),
                    next: self.next_of(&message, &observed.outcome, now),
                    // Refused before the run showed that the relay, not the recipient, was at fault.
                    earlier: observed.earlier,
                };
                (recorded, Some(observed.outcome))
            }
        };
        let came = Came {
            sent: matches!(recorded.next, Next::Sent { .. }),
            refused: matches!(recorded.next, Next::Dead { .. }),
            again: matches!(recorded.next, Next::Dead { fallback: true } | Next::Recompose),
        };
        let kept = keeper.keep(vec![recorded]);
        let engine = self.clone();
        async move {
            kept.await?;
            if let Some(outcome) = outcome {
                engine.tell_outcome(kind, &message, about, &outcome, came.sent);
            }
            Ok(came)
        }
    }

    fn next_of(&self, message: &Claimed, outcome: &Outcome, now: Timestamp) -> Next {
        let jitter = f64::from(message.token.bytes().map(u32::from).sum::<u32>() % 100) / 100.0;
        let attempts = counts(outcome, message.attempts, message.frozen.is_some());
        match after(outcome, attempts, now, jitter) {
            After::Sent => Next::Sent { day: self.policy().calendar.date_of(now) },
            // What an earlier try may have delivered stays frozen, whatever this one met before the hand-over.
            After::Retry { at, spend } if message.frozen.is_some() => Next::Repeat { at, spend },
            After::Breaker { at, .. } if message.frozen.is_some() => Next::Repeat { at, spend: false },
            After::Retry { at, spend } => Next::Retry { at, spend },
            After::Breaker { at, .. } => Next::Retry { at, spend: false },
            After::RepeatMarked { at } => Next::Repeat { at, spend: true },
            After::Unknown => Next::Unknown,
            After::DeadRecipient => Next::Dead { fallback: true },
            After::Dead => Next::Dead { fallback: false },
        }
    }

    fn tell_outcome(&self, kind: ChannelKind, message: &Claimed, about: About, outcome: &Outcome, sent: bool) {
        let to = masked(&message.address);
        if sent {
            tracing::info!(message = message.id, channel = %kind, %to, tasks = about.tasks.len(), "sent");
            self.tell(Event::Sent {
                message: message.id,
                channel: kind,
                to: message.address.clone(),
                subject: about.subject,
                tasks: about.tasks,
            });
        } else {
            tracing::warn!(message = message.id, channel = %kind, %to, outcome = outcome.as_str(), reply = outcome.reply(), "not sent");
            self.tell(Event::Refused {
                message: message.id,
                channel: kind,
                to,
                outcome: outcome.as_str().to_owned(),
                reply: outcome.reply().to_owned(),
            });
        }
    }
}

/// Back to pending, nothing spent: what an earlier try may have delivered keeps its bytes.
pub(super) fn hold(message: &Claimed, at: Timestamp) -> Next {
    match message.frozen {
        Some(_) => Next::Repeat { at, spend: false },
        None => Next::Retry { at, spend: false },
    }
}

/// The outcome of a message that was not tried.
pub(super) fn release(message: &Claimed, next: Next, why: &str) -> Recorded {
    Recorded {
        message: message.id,
        token: message.token.clone(),
        outcome: "released",
        code: 0,
        reply: why.to_owned(),
        next,
        earlier: Vec::new(),
    }
}

/// What the last look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    NotAsked,
    /// The service is stopping, or the database did not answer.
    Held,
    Stored(GateAnswer),
}

/// The gate in front of DATA or POST: bytes, phase and answer are committed together, or nothing leaves.
struct LastLook {
    keeper: Keeper,
    stopping: tokio_util::sync::CancellationToken,
    freeze: Mutex<Option<Freeze>>,
    answer: Mutex<Answer>,
}

#[async_trait]
impl Gate for LastLook {
    async fn pass(&self, _parcel: &Parcel) -> bool {
        let Some(freeze) = self.freeze.lock().await.take() else { return false };
        let answer = if self.stopping.is_cancelled() {
            Answer::Held
        } else {
            self.keeper.gate(freeze).await.map_or(Answer::Held, Answer::Stored)
        };
        *self.answer.lock().await = answer;
        answer == Answer::Stored(GateAnswer::Go)
    }
}
