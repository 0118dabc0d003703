//! Claim, compose, pass the gate, hand over, record: a message at a time in parallel, each outcome belonging to its
//! message only.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use jiff::Timestamp;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Engine, Event, KnownDirectory, Pass,
    facts::{Material, letter},
    gather::look_up,
    policy::Policy,
};
use crate::{
    channel::{Channel, Delivery, Gate, Parcel, breaker, masked},
    clock::Clock,
    message::{
        facts::{LetterFacts, Recipient, ZaloRecipient},
        mime::{self, Envelope},
        zalo::webhook_body,
    },
    planning::{
        directory::TaskPeople,
        outcome::{After, Outcome, after},
        rules::ChannelKind,
    },
    store::{
        Result, Store,
        ledger::{Claimed, Freeze, GateAnswer, Next, PendingHead, Recorded},
    },
};

/// Messages claimed together.
const CHUNK: u32 = 200;

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
        let Some(channel) = self.channels.get(&kind) else { return Ok(round) };
        while !self.stopping.is_cancelled() {
            (self.alive)();
            let now = self.clock.now();
            let limit = match self.with_breaker(kind, |breaker| breaker.ask(now)) {
                breaker::Pass::Go => CHUNK,
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
            self.send(kind, channel, claimed, &mut round).await?;
        }
        channel.rest().await;
        Ok(round)
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
            let at = crate::planning::plan::STATE_AT;
            match policy.calendar.send_at(now, &policy.named_hours(&head.hours), at) {
                Ok(leaves) if leaves > now => wait.push((head.id, leaves)),
                Ok(_) => go.push(head),
                Err(_) => wait.push((head.id, now + Duration::from_secs(3600))),
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
        Ok(go.into_iter().map(|head| head.id).collect())
    }

    async fn send(
        &self,
        kind: ChannelKind,
        channel: &Arc<dyn Channel>,
        claimed: Vec<Claimed>,
        round: &mut Round,
    ) -> Result<()> {
        let policy = self.policy();
        let known = self.directory().await?;
        let mut tasks: Vec<_> = claimed.iter().flat_map(|message| message.rows.iter().map(|row| row.task)).collect();
        tasks.sort();
        tasks.dedup();
        let material = self.material(&tasks).await?;
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
            self.store.record(now, aside).await?;
        }
        let parallel = channel.parallel().max(1);
        let mut under_way = stream::iter(ready)
            .map(|(message, prepared)| self.hand_over(kind, channel.clone(), message, prepared))
            .buffer_unordered(parallel);
        let mut failure = None;
        while let Some(done) = under_way.next().await {
            (self.alive)();
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
            (Ok(Delivery::Stopped), Answer::Stored(GateAnswer::Lost)) => return Ok(Came::default()),
            (Ok(Delivery::Stopped), Answer::Stored(_)) => {
                self.with_breaker(kind, |breaker| breaker.abandon(now));
                self.store
                    .record(now, vec![release(&message, Next::Recompose, "changed before it was handed over")])
                    .await?;
                return Ok(Came { again: true, ..Came::default() });
            }
            (Ok(Delivery::Stopped), _) => {
                self.with_breaker(kind, |breaker| breaker.abandon(now));
                let at = if self.stopping.is_cancelled() { now } else { now + Duration::from_secs(30) };
                let next = match message.frozen {
                    Some(_) => Next::Repeat { at },
                    None => Next::Retry { at, spend: false },
                };
                self.store.record(now, vec![release(&message, next, "not handed over")]).await?;
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
            After::Retry { at, .. } | After::Breaker { at, .. } if message.frozen.is_some() => Next::Repeat { at },
            After::Retry { at, spend } => Next::Retry { at, spend },
            After::Breaker { at, .. } => Next::Retry { at, spend: false },
            After::RepeatMarked { at } => Next::Repeat { at },
            After::DeadRecipient => Next::Dead { fallback: true },
            After::Dead => Next::Dead { fallback: false },
        };
        let came = Came {
            sent: matches!(next, Next::Sent { .. }),
            refused: matches!(next, Next::Dead { .. }),
            again: matches!(next, Next::Dead { fallback: true }),
        };
        let to = masked(&message.address);
        self.store
            .record(
                now,
                vec![Recorded {
                    message: message.id,
                    token: message.token.clone(),
                    outcome: outcome.as_str(),
                    code: outcome.code(),
                    reply: outcome.reply().to_owned(),
                    next,
                }],
            )
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

/// What is told of a message: never content of a classified task, for its facts have none.
struct About {
    subject: String,
    tasks: Vec<String>,
}

struct Prepared {
    parcel: Parcel,
    freeze: Freeze,
    about: About,
}

enum Unready {
    /// A task, a deadline or a recipient is not what it was: what is still due is bundled anew.
    Changed,
    /// It can never be composed.
    Poison(String),
}

/// The message's bytes: composed from what is on record now, or exactly those of an attempt whose answer was lost.
fn prepare(
    policy: &Policy,
    known: &KnownDirectory,
    material: &Material,
    message: &Claimed,
    now: Timestamp,
) -> std::result::Result<Prepared, Unready> {
    if message.rows.is_empty() || !message.rows.iter().all(|row| row.is_current()) {
        return Err(Unready::Changed);
    }
    let day = policy.calendar.date_of(now);
    let mut zalo_to = None;
    for row in &message.rows {
        let record = material.records.get(&row.task).ok_or(Unready::Changed)?;
        let entry = record.ledger.reminders.iter().find(|entry| entry.id == row.reminder).ok_or(Unready::Changed)?;
        let obligation =
            record.task.obligations.iter().find(|o| o.clock == entry.key.clock && o.agency.id == entry.key.agency);
        let people = TaskPeople {
            role: obligation.ok_or(Unready::Changed)?.role,
            agency: entry.key.agency,
            handler: record.handler,
            monitor: record.monitor,
            assigner_block: record.task.assigner_block,
            secrecy: record.task.secrecy,
        };
        let reached = look_up(policy, &known.directory, &entry.key, &people, day).map_err(|_| Unready::Changed)?;
        if reached.address != message.address || record.task.secrecy.is_classified() != message.classified {
            return Err(Unready::Changed);
        }
        zalo_to = reached.person.and_then(|id| known.directory.person(id)).or(zalo_to);
    }
    let to: Recipient = serde_json::from_str(&message.recipient).map_err(|error| Unready::Poison(error.to_string()))?;
    let facts = letter(policy, known, material, message, to, now).ok_or(Unready::Changed)?;
    let tasks = facts.items.iter().map(|item| item.code.clone()).collect();
    let (bytes, key, subject) = match &message.frozen {
        Some(frozen) => (frozen.bytes.clone(), frozen.message_id.clone(), String::new()),
        None => match message.channel {
            ChannelKind::Email => email(policy, &facts, message, now)?,
            ChannelKind::Zalo => zalo(policy, &facts, message, zalo_to)?,
        },
    };
    // Only a repeat is marked; the frozen bytes themselves stay as they were.
    let wire = match (&message.frozen, message.channel) {
        (Some(_), ChannelKind::Email) => mime::mark_repeat(&bytes, message.n),
        _ => bytes.clone(),
    };
    Ok(Prepared {
        parcel: Parcel {
            id: message.id,
            address: message.address.clone(),
            bytes: wire,
            key: key.clone(),
            attempt: if message.frozen.is_some() { message.n } else { 1 },
        },
        freeze: Freeze {
            message: message.id,
            token: message.token.clone(),
            bytes,
            message_id: key,
            dated_at: now,
            rows: message.rows.clone(),
            directory_revision: known.revision,
        },
        about: About { subject, tasks },
    })
}

/// The domain of the sending address: the right side of every Message-ID.
fn host(from: &str) -> String {
    let address = from.rsplit_once('<').map_or(from, |(_, rest)| rest).trim_end_matches('>');
    address.rsplit_once('@').map_or("localhost", |(_, domain)| domain).trim().to_owned()
}

fn email(
    policy: &Policy,
    facts: &LetterFacts,
    message: &Claimed,
    now: Timestamp,
) -> std::result::Result<(Vec<u8>, String, String), Unready> {
    let poison = |error: crate::message::texts::TextError| Unready::Poison(error.to_string());
    let text = policy.texts.email(facts).map_err(poison)?;
    let host = host(&policy.settings.email.from);
    let message_id = mime::message_id(Uuid::new_v4(), &host);
    let envelope = Envelope {
        from: policy.settings.email.from.clone(),
        reply_to: policy.settings.email.reply_to.clone(),
        to: message.address.clone(),
        to_name: Some(facts.recipient.name.clone()).filter(|name| !name.is_empty()),
        message_id: message_id.clone(),
        date: now,
        zone: policy.calendar.zone().clone(),
        host,
        extra_headers: Vec::new(),
    };
    let bytes = mime::mime(&text, &envelope).map_err(poison)?;
    Ok((bytes, message_id, text.subject))
}

fn zalo(
    policy: &Policy,
    facts: &LetterFacts,
    message: &Claimed,
    person: Option<&crate::planning::directory::Person>,
) -> std::result::Result<(Vec<u8>, String, String), Unready> {
    let poison = |error: crate::message::texts::TextError| Unready::Poison(error.to_string());
    let text = policy.texts.zalo(facts).map_err(poison)?;
    // Stable for the message, whatever it is composed from.
    let delivery = format!("dondoc-{}-{}", message.id, message.token.get(..12).unwrap_or(&message.token));
    let to = ZaloRecipient {
        name: facts.recipient.name.clone(),
        phone: person.map(|person| person.phone.clone()).unwrap_or_default(),
        zalo_user_id: person.map(|person| person.zalo_user_id.clone()).unwrap_or_default(),
    };
    let bytes = webhook_body(&delivery, facts, &to, &text).map_err(poison)?;
    Ok((bytes, delivery, text))
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
