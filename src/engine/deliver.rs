//! A channel's round: claim ahead, compose ahead, hand over as many at once as the channel takes, until nothing is left.
//! Each outcome belongs to its message only.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::task::{JoinHandle, JoinSet};

use super::{
    Engine, Pass,
    compose::{Prepared, Unready, prepare},
    hand_over::{Came, Landed, hold, release},
    keeper::Keeper,
};
use crate::{
    channel::{Channel, breaker},
    planning::{outcome::ALONE_CRASHES, rules::ChannelKind},
    store::{
        Result, StoreError,
        ledger::{Claimed, Next, PendingHead, Recorded, Rescued},
    },
};

/// Messages claimed together, at most; fewer where few go at once, so that none waits long under its lease.
const CHUNK: u32 = 100;
/// Messages claimed for each one that goes at once.
const CHUNK_PER_CONNECTION: u32 = 10;

/// Reminders in messages claimed together, unless one message has more: what they need is read and held at once.
const REMINDERS: u32 = 2_000;

/// Longer than every phase of a hand-over together (connect, commands, the final dot), and than the wait for
/// its beginning: see [`AHEAD`].
const LEASE: Duration = Duration::from_secs(30 * 60);

/// So much of the channel's rate is claimed at once, and as much may stand in hand: what waits behind them is then still
/// far from the end of its lease when it comes to its gate, however slow the rate.
const AHEAD: Duration = Duration::from_secs(4 * 60);

/// Messages that go together, by themselves, of those that were in work at a crash: no more than go at once.
const FEW: usize = 20;

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
        if !self.may_act() || self.trouble.rests(self.clock.boot_time()) {
            return Ok(Round::default());
        }
        let round = self.begin_round(kind).await?;
        let (store, clock, stopping) = (self.store.clone(), self.clock.clone(), self.stopping().clone());
        let keeper = Keeper::start(store, clock, stopping, self.trouble.clone(), round);
        let Some(channel) = self.channels.get(&kind).cloned() else { return self.give_up_channel(kind, &keeper).await };
        if self.believed_now().is_none() {
            return Ok(Round::default());
        }
        let mut sending = Sending {
            engine: self.clone(),
            kind,
            channel: channel.clone(),
            keeper,
            waiting: VecDeque::new(),
            ahead: None,
            in_hand: JoinSet::new(),
            settling: FuturesUnordered::new(),
            round: Round::default(),
            failure: None,
        };
        sending.run().await;
        channel.rest().await;
        if let Some(guard) = &self.guard {
            guard.sent(&*self.store, self.clock.now()).await?;
        }
        sending.failure.map_or(Ok(sending.round), Err)
    }

    /// What a round of this channel holds as long as anything of it works. Where nothing of an earlier one does, what that
    /// one leased and left (it panicked) is taken up as soon as its leases have run out.
    async fn begin_round(&self, kind: ChannelKind) -> Result<Arc<()>> {
        let (round, first) = {
            let mut rounds = self.rounds.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let round = rounds.entry(kind).or_default();
            let first = Arc::strong_count(round) == 1;
            (round.clone(), first)
        };
        if first && let Some(now) = self.believed_now() {
            let Rescued { released, unanswered, poisoned } = self.store.rescue_orphaned(now, kind).await?;
            if released + unanswered + poisoned > 0 {
                tracing::warn!(
                    channel = %kind, released, unanswered, poisoned,
                    "took up messages that a round which ended early had left in work"
                );
            }
        }
        Ok(round)
    }

    /// Messages for a channel that is configured no more: what they carry is bundled anew, for another way.
    async fn give_up_channel(&self, kind: ChannelKind, keeper: &Keeper) -> Result<Round> {
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
            keeper.keep(outcomes).await?;
            round.again = true;
        }
    }

    pub(super) fn with_breaker<T>(&self, kind: ChannelKind, act: impl FnOnce(&mut breaker::Breaker) -> T) -> T {
        let mut rests = self.rests.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        act(rests.entry(kind).or_default())
    }

    /// How each configured channel stands, for `status`.
    pub fn breakers(&self) -> Vec<(ChannelKind, breaker::State)> {
        self.channels.keys().map(|kind| (*kind, self.with_breaker(*kind, |breaker| breaker.state().clone()))).collect()
    }

    /// Of pending messages: the expired end, those outside their hours wait, and what was in work at a crash goes after all
    /// that was not, in small company, or alone.
    async fn sort_out(&self, now: Timestamp, heads: Vec<PendingHead>) -> Result<Claimable> {
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
        // Most innocent first: a crash befalls all that is claimed, and its cause is found by claiming less each time.
        let suspicion = |head: &PendingHead| head.crashes.min(ALONE_CRASHES);
        let least = go.iter().map(suspicion).min().unwrap_or_default();
        go.retain(|head| suspicion(head) == least);
        go.sort_by_key(|head| head.crashes);
        let most = [usize::MAX, FEW].get(least as usize).copied().unwrap_or(1);
        let mut room = REMINDERS;
        let fits = |head: &PendingHead| {
            let first = room == REMINDERS;
            let fits = first || head.reminders <= room;
            room = room.saturating_sub(head.reminders);
            fits
        };
        let messages = go.into_iter().take(most).take_while(fits).map(|head| head.id).collect();
        Ok(if least == 0 { Claimable::Together(messages) } else { Claimable::Apart(messages) })
    }

    /// Claims what goes next, at most `limit` messages, and composes it. `idle`: nothing else is in hand or will be.
    async fn fetch(self, kind: ChannelKind, limit: u32, idle: bool, keeper: Keeper) -> Result<Fetched> {
        // By a clock that is not believed nothing is due: the round is over.
        let Some(now) = self.believed_now() else { return Ok(Fetched::default()) };
        let heads = self.store.pending(kind, now, limit).await?;
        let mut fetched = Fetched { found: heads.len(), ..Fetched::default() };
        let claimable = match self.sort_out(now, heads).await? {
            Claimable::Together(messages) => messages,
            Claimable::Apart(messages) => {
                fetched.alone = true;
                if idle { messages } else { Vec::new() }
            }
        };
        if claimable.is_empty() {
            return Ok(fetched);
        }
        if let Some(guard) = &self.guard {
            guard.sending(&*self.store, now, self.clock.boot_time()).await?;
        }
        let claimed = self.store.claim(now, now + LEASE, &claimable).await?;
        let mut tasks: Vec<_> = claimed.iter().flat_map(|message| message.rows.iter().map(|row| row.task)).collect();
        tasks.sort();
        tasks.dedup();
        let lists = claimed.iter().any(|message| message.list.is_some());
        let (known, material) = match (self.directory().await, self.material(&tasks, lists).await) {
            (Ok(known), Ok(material)) => (known, material),
            (Err(error), _) | (_, Err(error)) => {
                let at = self.sober_now() + Duration::from_secs(30);
                let back = claimed.iter().map(|m| release(m, hold(m, at), "the database could not be read")).collect();
                keeper.keep(back).await?;
                return Err(error);
            }
        };
        let (policy, now) = (self.policy(), self.sober_now());
        // Composing is work for a processor, not for the tasks that talk to servers.
        let made = tokio::task::spawn_blocking(move || {
            let make = |message| {
                let made =
                    std::panic::catch_unwind(AssertUnwindSafe(|| prepare(&policy, &known, &material, &message, now)));
                (message, made.unwrap_or_else(|_| Err(Unready::Poison("composing it panicked".to_owned()))))
            };
            claimed.into_iter().map(make).collect::<Vec<_>>()
        });
        let made = made.await.map_err(|error| StoreError::Refused(format!("composing ended: {error}")))?;
        let mut aside = Vec::new();
        for (message, made) in made {
            match made {
                Ok(prepared) => fetched.ready.push((message, prepared)),
                Err(Unready::Changed) => {
                    fetched.again = true;
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
                    fetched.refused += 1;
                }
            }
        }
        if !aside.is_empty() {
            but_for_rows(keeper.keep(aside).await)?;
        }
        Ok(fetched)
    }
}

/// What a look at the ledger gave to be sent.
#[derive(Default)]
struct Fetched {
    /// Messages that were there to be claimed; none: the round is over.
    found: usize,
    ready: Vec<(Claimed, Prepared)>,
    refused: u64,
    again: bool,
    /// What was in work at a crash comes next: it waits until nothing else is in hand, and goes by itself.
    alone: bool,
}

/// What may be claimed.
enum Claimable {
    Together(Vec<i64>),
    /// With nothing else in hand.
    Apart(Vec<i64>),
}

/// A round under way. While messages are in hand the next are claimed and composed, so that no connection waits for the
/// ledger and the ledger for no connection.
struct Sending {
    engine: Engine,
    kind: ChannelKind,
    channel: Arc<dyn Channel>,
    keeper: Keeper,
    /// Claimed and composed, not yet begun.
    waiting: VecDeque<(Claimed, Prepared)>,
    ahead: Option<JoinHandle<Result<Fetched>>>,
    in_hand: JoinSet<Landed>,
    /// Outcomes on their way into the ledger.
    settling: FuturesUnordered<BoxFuture<'static, Result<Came>>>,
    round: Round,
    failure: Option<StoreError>,
}

impl Sending {
    async fn run(&mut self) {
        // After a probe, or what goes by itself, nothing is claimed until its outcome is known.
        let (mut over, mut alone) = (false, false);
        loop {
            let idle = self.in_hand.is_empty() && self.waiting.is_empty() && self.settling.is_empty();
            if self.ahead.is_none() && !over && self.failure.is_none() && (idle || !alone) {
                (over, alone) = self.look_ahead(idle);
            }
            while self.in_hand.len() < self.at_once()
                && let Some((message, prepared)) = self.waiting.pop_front()
            {
                let (engine, channel, keeper) = (self.engine.clone(), self.channel.clone(), self.keeper.clone());
                self.in_hand.spawn(engine.hand_over(self.kind, channel, keeper, message, prepared));
            }
            tokio::select! {
                Some(landed) = self.in_hand.join_next() => match landed {
                    Ok(landed) => self.settling.push(self.engine.conclude(self.kind, &self.keeper, landed).boxed()),
                    // Its lease stays, and a later round takes it up; the panic itself is caught further in.
                    Err(error) => self.failure = Some(StoreError::Refused(format!("a hand-over ended: {error}"))),
                },
                Some(settled) = self.settling.next() => match settled {
                    Ok(came) => {
                        self.round.sent += u64::from(came.sent);
                        self.round.refused += u64::from(came.refused);
                        self.round.again |= came.again;
                        if alone {
                            // A probe that was never tried (its message had changed) must not close the way.
                            self.abandon_probe();
                        }
                    }
                    // The others are let finish: an acceptance that was not recorded would go out twice.
                    Err(error) => self.failure = but_for_rows(Err(error)).err().or(self.failure.take()),
                },
                Some(fetched) = look(&mut self.ahead) => {
                    self.ahead = None;
                    match fetched {
                        Ok(fetched) => {
                            over |= fetched.found == 0;
                            self.round.refused += fetched.refused;
                            self.round.again |= fetched.again;
                            if fetched.ready.is_empty() {
                                self.abandon_probe();
                            }
                            alone |= fetched.alone;
                            self.waiting.extend(fetched.ready);
                        }
                        Err(error) => self.failure = Some(error),
                    }
                }
                else => break,
            }
        }
        self.abandon_probe();
    }

    /// Begins to claim and compose what goes next, if it is time: whether the round is over, and whether what was begun
    /// goes by itself.
    fn look_ahead(&mut self, idle: bool) -> (bool, bool) {
        if self.engine.stopping().is_cancelled() {
            return (true, false);
        }
        let at_once = u32::try_from(self.at_once()).unwrap_or(CHUNK);
        let by_rate = u32::try_from(self.channel.within(AHEAD)).unwrap_or(CHUNK);
        let most = at_once.saturating_mul(CHUNK_PER_CONNECTION).min(by_rate).clamp(1, CHUNK);
        if self.waiting.len() > most as usize {
            return (false, false);
        }
        let now = self.engine.sober_now();
        let state = self.engine.with_breaker(self.kind, |breaker| breaker.state().clone());
        if !matches!(state, breaker::State::Closed) && !idle {
            // What is in hand may close it, or open it again.
            return (false, true);
        }
        let (limit, alone) = match self.engine.with_breaker(self.kind, |breaker| breaker.ask(now)) {
            breaker::Pass::Go => (most, false),
            breaker::Pass::Probe => (1, true),
            breaker::Pass::Wait(_) => return (true, false),
        };
        self.ahead = Some(tokio::spawn(self.engine.clone().fetch(self.kind, limit, idle, self.keeper.clone())));
        (false, alone)
    }

    /// How many go at once: no more than the rate lets begin soon.
    fn at_once(&self) -> usize {
        self.channel.parallel().min(self.channel.within(AHEAD)).max(1)
    }

    fn abandon_probe(&self) {
        self.engine.with_breaker(self.kind, |breaker| breaker.abandon(self.engine.sober_now()));
    }
}

/// An outcome that the database refuses for what it is stays with its keeper, who has said so: the others go on.
fn but_for_rows(kept: Result<()>) -> Result<()> {
    kept.or_else(|error| match error {
        StoreError::Refused(_) => Err(error),
        error if error.is_of_the_row() => Ok(()),
        error => Err(error),
    })
}

/// The next that were claimed; `None` where nobody looks.
async fn look(ahead: &mut Option<JoinHandle<Result<Fetched>>>) -> Option<Result<Fetched>> {
    let fetched = ahead.as_mut()?.await;
    Some(fetched.unwrap_or_else(|error| Err(StoreError::Refused(format!("claiming ended: {error}")))))
}
