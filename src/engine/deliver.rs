//! Claim, compose, pass the gate, hand over, record: a message at a time in parallel, each outcome belonging to its
//! message only.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{
    Engine, Event, Pass,
    compose::{About, Prepared, Unready, prepare},
};
use crate::{
    channel::{Channel, Delivery, Gate, Parcel, breaker, masked},
    clock::Clock,
    planning::{
        outcome::{After, Outcome, after},
        rules::ChannelKind,
    },
    store::{
        Result, Store,
        ledger::{Claimed, Freeze, GateAnswer, Next, PendingHead, Recorded},
    },
};

/// Messages claimed together, at most; fewer where few go at once, so that none waits long under its lease.
const CHUNK: u32 = 200;
/// Messages claimed for each one that goes at once.
const CHUNK_PER_CONNECTION: u32 = 10;
/// How long an outcome that cannot be kept is tried again, a second at first; until then nothing more is claimed.
const KEEP_WAIT: Duration = Duration::from_secs(30);

/// Reminders in messages claimed together, unless one message has more: what they need is read and held at once.
const REMINDERS: u32 = 2_000;

/// Longer than every phase of a hand-over together (`delivery.md`: connect, commands, the final dot).
const LEASE: Duration = Duration::from_secs(30 * 60);

/// A message that was leased in this many crashes is sent alone after that.
const ALONE_AFTER_CRASHES: u32 = 2;

/// What one channel's round came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Round {
    pub sent: u64,
    pub refused: u64,
    /// Something went back to be bundled anew.
    pub again: bool,
}

impl Engine {
    /// Delivers what is pending on every channel.
    pub(super) async fn deliver(&self, pass: &mut Pass) -> Result<()> {
        // What one round sends back to be bundled anew goes out in the next; twice is enough for any honest change.
        for _ in 0..3 {
            let rounds = stream::iter(ChannelKind::ALL).map(|kind| self.deliver_on(*kind)).buffer_unordered(4);
            let rounds: Vec<Result<Round>> = rounds.collect().await;
            let mut again = false;
            for round in rounds {
                let round = round?;
                pass.sent += round.sent;
                pass.refused += round.refused;
                again |= round.again;
            }
            if !again {
                break;
            }
            self.gather(self.clock.now()).await?;
        }
        Ok(())
    }

    /// Delivers what is pending on one channel until nothing is left, the channel rests, or the service stops.
    pub async fn deliver_on(&self, kind: ChannelKind) -> Result<Round> {
        let mut round = Round::default();
        let Some(channel) = self.channels.get(&kind) else { return self.give_up_channel(kind).await };
        if self.clock_is_behind() {
            return Ok(round);
        }
        while !self.stopping.is_cancelled() {
            let now = self.clock.now();
            let at_once = u32::try_from(channel.parallel()).unwrap_or(CHUNK);
            let limit = match self.with_breaker(kind, |breaker| breaker.ask(now)) {
                breaker::Pass::Go => at_once.saturating_mul(CHUNK_PER_CONNECTION).clamp(1, CHUNK),
                breaker::Pass::Probe => 1,
                breaker::Pass::Wait(_) => break,
            };
            let heads = self.store.pending(kind, now, limit).await?;
            let found = heads.len();
            let claimable = self.sort_out(now, heads).await?;
            let claimed =
                if claimable.is_empty() { Vec::new() } else { self.store.claim(now, now + LEASE, &claimable).await? };
            if claimed.is_empty() {
                self.with_breaker(kind, |breaker| breaker.abandon(now));
                if found == 0 {
                    break;
                }
                continue;
            }
            let sent = self.send(kind, channel, claimed, &mut round).await;
            // A probe that was never tried (its message had changed) must not close the way for the next.
            self.with_breaker(kind, |breaker| breaker.abandon(self.clock.now()));
            sent?;
        }
        channel.rest().await;
        Ok(round)
    }

    /// Messages for a channel that is configured no more: what they carry is bundled anew, for another way.
    async fn give_up_channel(&self, kind: ChannelKind) -> Result<Round> {
        let mut round = Round::default();
        loop {
            let now = self.clock.now();
            let heads = self.store.pending(kind, now, CHUNK).await?;
            let ids: Vec<i64> = heads.iter().map(|head| head.id).collect();
            let claimed = if ids.is_empty() { Vec::new() } else { self.store.claim(now, now + LEASE, &ids).await? };
            if claimed.is_empty() {
                return Ok(round);
            }
            tracing::warn!(channel = %kind, messages = claimed.len(), "this channel is not configured: what waits for it goes another way");
            let outcomes =
                claimed.iter().map(|m| release(m, Next::Recompose, "the channel is not configured")).collect();
            self.keep(outcomes).await?;
            round.again = true;
        }
    }

    /// Records outcomes, however long the database takes to take them: one that was lost would be a message that is
    /// sent twice, or never again. Gives up only when the service stops.
    async fn keep(&self, outcomes: Vec<Recorded>) -> Result<()> {
        let mut wait = Duration::from_secs(1);
        loop {
            match self.store.record(self.clock.now(), outcomes.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) if self.stopping.is_cancelled() => return Err(error),
                Err(error) => {
                    tracing::error!(%error, outcomes = outcomes.len(), "outcomes cannot be kept; nothing more is sent until they are");
                }
            }
            tokio::select! {
                () = self.stopping.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(KEEP_WAIT);
        }
    }

    fn with_breaker<T>(&self, kind: ChannelKind, act: impl FnOnce(&mut breaker::Breaker) -> T) -> T {
        let mut rests = self.rests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        act(rests.entry(kind).or_default())
    }

    /// How each configured channel stands, for `status`.
    pub fn breakers(&self) -> Vec<(ChannelKind, breaker::State)> {
        self.channels.keys().map(|kind| (*kind, self.with_breaker(*kind, |breaker| breaker.state().clone()))).collect()
    }

    /// Of pending messages: the expired end, those outside their hours wait, one that crashed twice goes alone.
    async fn sort_out(&self, now: Timestamp, heads: Vec<PendingHead>) -> Result<Vec<i64>> {
        let policy = self.policy();
        let (mut expired, mut wait, mut go) = (Vec::new(), Vec::new(), Vec::new());
        for head in heads {
            if head.expires_at <= now {
                expired.push(head.id);
                continue;
            }
            match policy.may_leave(&head.hours, now) {
                leaves if leaves > now => wait.push((head.id, leaves)),
                _ => go.push(head),
            }
        }
        if !expired.is_empty() {
            tracing::error!(
                messages = expired.len(),
                "messages could not be sent in their time and ended: see `dondoc outbox list`"
            );
            self.store.expire(now, &expired).await?;
        }
        if !wait.is_empty() {
            self.store.postpone(&wait).await?;
        }
        if let Some(suspect) = go.iter().find(|head| head.crashes >= ALONE_AFTER_CRASHES) {
            return Ok(vec![suspect.id]);
        }
        let mut room = REMINDERS;
        let fits = |head: &PendingHead| {
            let first = room == REMINDERS;
            let fits = first || head.reminders <= room;
            room = room.saturating_sub(head.reminders);
            fits
        };
        Ok(go.into_iter().take_while(fits).map(|head| head.id).collect())
    }

    async fn send(
        &self,
        kind: ChannelKind,
        channel: &Arc<dyn Channel>,
        claimed: Vec<Claimed>,
        round: &mut Round,
    ) -> Result<()> {
        let policy = self.policy();
        let mut tasks: Vec<_> = claimed.iter().flat_map(|message| message.rows.iter().map(|row| row.task)).collect();
        tasks.sort();
        tasks.dedup();
        let (known, material) = match (self.directory().await, self.material(&tasks).await) {
            (Ok(known), Ok(material)) => (known, material),
            (Err(error), _) | (_, Err(error)) => {
                let at = self.clock.now() + Duration::from_secs(30);
                self.keep(claimed.iter().map(|m| release(m, hold(m, at), "the database could not be read")).collect())
                    .await?;
                return Err(error);
            }
        };
        let now = self.clock.now();
        let mut ready = Vec::with_capacity(claimed.len());
        let mut aside = Vec::new();
        for message in claimed {
            let made =
                std::panic::catch_unwind(AssertUnwindSafe(|| prepare(&policy, &known, &material, &message, now)));
            match made.unwrap_or(Err(Unready::Poison("composing it panicked".to_owned()))) {
                Ok(prepared) => ready.push((message, prepared)),
                Err(Unready::Changed) => {
                    round.again = true;
                    aside.push(release(&message, Next::Recompose, "changed before it was composed"));
                }
                Err(Unready::Later(why)) => {
                    tracing::error!(message = message.id, %why, "a message cannot be told; it is tried again in an hour");
                    aside.push(release(&message, hold(&message, now + Duration::from_secs(3600)), &why));
                }
                Err(Unready::Poison(why)) => {
                    tracing::error!(message = message.id, %why, "a message cannot be composed and is dead: see `dondoc outbox list`");
                    aside.push(Recorded {
                        outcome: "permanent",
                        ..release(&message, Next::Dead { fallback: false }, &why)
                    });
                    round.refused += 1;
                }
            }
        }
        if !aside.is_empty() {
            self.keep(aside).await?;
        }
        let parallel = channel.parallel().max(1);
        let mut under_way = stream::iter(ready)
            .map(|(message, prepared)| self.hand_over(kind, channel.clone(), message, prepared))
            .buffer_unordered(parallel);
        let mut failure = None;
        while let Some(done) = under_way.next().await {
            match done {
                Ok(came) => {
                    round.sent += u64::from(came.sent);
                    round.refused += u64::from(came.refused);
                    round.again |= came.again;
                }
                // The others are let finish: an acceptance that was not recorded would go out twice.
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    async fn hand_over(
        &self,
        kind: ChannelKind,
        channel: Arc<dyn Channel>,
        message: Claimed,
        prepared: Prepared,
    ) -> Result<Came> {
        // The chunk was claimed a while ago: hours, a breaker and a stop are asked again.
        let now = self.clock.now();
        let leaves = self.policy().may_leave(&message.hours, now);
        let rests = self.with_breaker(kind, |breaker| match breaker.state() {
            breaker::State::Open { until, .. } => Some(*until),
            _ => None,
        });
        if self.stopping.is_cancelled() || leaves > now || rests.is_some_and(|until| until > now) {
            let at = rests.unwrap_or(now).max(leaves);
            self.keep(vec![release(&message, hold(&message, at), "not begun")]).await?;
            return Ok(Came::default());
        }
        let gate = LastLook {
            store: self.store.clone(),
            clock: self.clock.clone(),
            stopping: self.stopping.clone(),
            freeze: Mutex::new(Some(prepared.freeze)),
            answer: Mutex::new(Answer::NotAsked),
        };
        let delivery = AssertUnwindSafe(channel.deliver(&prepared.parcel, &gate)).catch_unwind().await;
        let answer = *gate.answer.lock().await;
        let now = self.clock.now();
        let outcome = match (delivery, answer) {
            (Ok(Delivery::Tried(outcome)), _) => outcome,
            (Ok(Delivery::Stopped), Answer::Stored(GateAnswer::Changed)) => {
                self.keep(vec![release(&message, Next::Recompose, "changed before it was handed over")]).await?;
                return Ok(Came { again: true, ..Came::default() });
            }
            // Its lease ran out before its turn, the service is stopping, or the database did not answer: it is ours
            // still where the token says so, and goes back.
            (Ok(Delivery::Stopped), _) => {
                let at = if self.stopping.is_cancelled() { now } else { now + Duration::from_secs(30) };
                self.keep(vec![release(&message, hold(&message, at), "not handed over")]).await?;
                return Ok(Came::default());
            }
            (Err(_), Answer::Stored(GateAnswer::Go)) => {
                Outcome::Unknown { reply: "the sender panicked: a fault of this program".to_owned() }
            }
            (Err(_), _) => {
                Outcome::Permanent { code: 0, reply: "the sender panicked: a fault of this program".to_owned() }
            }
        };
        self.conclude(kind, &message, &prepared.about, outcome, now).await
    }

    async fn conclude(
        &self,
        kind: ChannelKind,
        message: &Claimed,
        about: &About,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<Came> {
        let observed = self.with_breaker(kind, |breaker| breaker.observe(message.id, &message.address, outcome, now));
        for id in &observed.earlier {
            // Refused before the run showed that the relay, not the recipient, was at fault.
            self.store.retry(now, *id, "the relay's settings were at fault").await?;
        }
        let outcome = observed.outcome;
        let jitter = f64::from(message.token.bytes().map(u32::from).sum::<u32>() % 100) / 100.0;
        let next = match after(&outcome, message.attempts + 1, now, jitter) {
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
        };
        let came = Came {
            sent: matches!(next, Next::Sent { .. }),
            refused: matches!(next, Next::Dead { .. }),
            again: matches!(next, Next::Dead { fallback: true }),
        };
        let to = masked(&message.address);
        self.keep(vec![Recorded {
            message: message.id,
            token: message.token.clone(),
            outcome: outcome.as_str(),
            code: outcome.code(),
            reply: outcome.reply().to_owned(),
            next,
        }])
        .await?;
        if came.sent {
            tracing::info!(message = message.id, channel = %kind, %to, tasks = about.tasks.len(), "sent");
            self.tell(Event::Sent {
                message: message.id,
                channel: kind,
                to: message.address.clone(),
                subject: about.subject.clone(),
                tasks: about.tasks.clone(),
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
        Ok(came)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Came {
    sent: bool,
    refused: bool,
    again: bool,
}

/// Back to pending, nothing spent: what an earlier try may have delivered keeps its bytes.
fn hold(message: &Claimed, at: Timestamp) -> Next {
    match message.frozen {
        Some(_) => Next::Repeat { at, spend: false },
        None => Next::Retry { at, spend: false },
    }
}

fn release(message: &Claimed, next: Next, why: &str) -> Recorded {
    Recorded {
        message: message.id,
        token: message.token.clone(),
        outcome: "released",
        code: 0,
        reply: why.to_owned(),
        next,
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
    store: Arc<dyn Store>,
    clock: Clock,
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
            let (store, now) = (self.store.clone(), self.clock.now());
            // In a task of its own: a channel's deadline must not cancel a transaction half-way (sqlx #4385).
            match tokio::spawn(async move { store.freeze(now, vec![freeze]).await }).await {
                Ok(Ok(answers)) => answers.first().copied().map_or(Answer::Held, Answer::Stored),
                Ok(Err(error)) => {
                    tracing::error!(%error, "the gate could not be asked; nothing is handed over");
                    Answer::Held
                }
                Err(_) => Answer::Held,
            }
        };
        *self.answer.lock().await = answer;
        answer == Answer::Stored(GateAnswer::Go)
    }
}
