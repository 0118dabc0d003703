//! The relay and Zalo's receiver: answers are drawn from the seed, and a copy is written down the moment it arrives.

use std::sync::Arc;

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    planning::{outcome::Outcome, rules::ChannelKind},
};
use jiff::ToSpan;

use super::{
    journal::Arrived,
    sim::Sim,
    suspects::Where,
    turnstile::{At, Life},
};

pub struct Relay {
    pub sim: Arc<Sim>,
    pub life: Life,
    pub kind: ChannelKind,
}

fn reply(text: &str) -> String {
    text.to_owned()
}

impl Relay {
    /// What is answered before the bytes are asked for; none: go on.
    fn at_rcpt(&self) -> Option<Outcome> {
        let mut dice = self.sim.dice();
        if self.sim.is_calm() || !dice.once_in(self.sim.chances.refusal) {
            return None;
        }
        let until = self.sim.clock.now() + dice.between(1, 20).minutes();
        Some(match (self.kind, dice.between(0, 5)) {
            (_, 0) => Outcome::Site { code: 421, reply: reply("4.3.2 closing") },
            (ChannelKind::Zalo, 1 | 2) => Outcome::Throttled { until, code: 429, reply: reply("quota") },
            (_, 1 | 2) => Outcome::Transient { code: 450, reply: reply("4.2.0 later") },
            (_, 3) => Outcome::Recipient { code: 550, reply: reply("5.7.1 denied") },
            (_, 4) => Outcome::Configuration { code: 535, reply: reply("5.7.8 no") },
            _ => Outcome::Recipient { code: 550, reply: reply("5.1.1 no such user") },
        })
    }

    /// What is answered to the bytes, and whether they were taken; none: the sender panics.
    fn at_dot(&self) -> (bool, Option<Outcome>) {
        let mut dice = self.sim.dice();
        let accepted = || Some(Outcome::Accepted { code: 250, reply: reply("2.0.0 Ok") });
        let lost = || Some(Outcome::Unknown { reply: reply("connection lost") });
        if self.sim.is_calm() {
            return (true, accepted());
        }
        let chances = self.sim.chances;
        if dice.once_in(chances.lost) {
            return (dice.once_in(2), lost());
        }
        if dice.once_in(chances.refusal) {
            return match dice.between(0, 4) {
                0 => (false, Some(Outcome::Permanent { code: 554, reply: reply("5.6.0 no") })),
                1 => (false, Some(Outcome::Site { code: 421, reply: reply("4.3.2 closing") })),
                2 => (dice.once_in(2), None),
                _ => (false, Some(Outcome::Transient { code: 452, reply: reply("4.3.1 full") })),
            };
        }
        (true, accepted())
    }

    async fn turn(&self, point: &'static str, parcel: &Parcel) -> super::turnstile::Turn {
        let turn = self.sim.gate.turn(self.life, At::Relay(point, parcel.id)).await;
        let at = if point == "rcpt" { Where::BeforeItsGate } else { Where::BehindItsGate };
        if self.sim.poison.as_ref().is_some_and(|poison| poison.in_hand(at, parcel.id)) {
            drop(turn);
            std::future::pending::<()>().await;
            unreachable!("the process has ended");
        }
        turn
    }

    fn note<T>(&self, parcel: &Parcel, note: impl FnOnce(&mut super::journal::HandOver) -> T) -> Option<T> {
        let mut journal = self.sim.journal();
        journal.hand_overs.iter_mut().rev().find(|h| h.life == self.life && h.message == parcel.id).map(note)
    }
}

#[async_trait]
impl Channel for Relay {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        let turn = self.turn("rcpt", parcel).await;
        let early = self.at_rcpt();
        let panics = !self.sim.is_calm() && self.sim.dice().once_in(self.sim.chances.panic);
        drop(turn);
        if panics {
            self.sim.journal().panics += 1;
            // Without the hook's words on the screen.
            std::panic::resume_unwind(Box::new("planted"));
        }
        if let Some(outcome) = early {
            self.sim.journal().refused += 1;
            drop(self.turn("refused", parcel).await);
            return Delivery::Tried(outcome);
        }
        if !gate.pass(parcel).await {
            return Delivery::Stopped;
        }
        let turn = self.turn("dot", parcel).await;
        let (taken, answer) = self.at_dot();
        let word = answer.as_ref().map_or("panic", Outcome::as_str);
        let arrived = Arrived { bytes: parcel.bytes.clone(), attempt: parcel.attempt, taken };
        let known = self.note(parcel, |hand_over| hand_over.arrived = Some(arrived));
        self.sim.tell(|| format!("    relay: {} taken={taken} answer={word}", parcel.id));
        {
            let mut journal = self.sim.journal();
            journal.accepted += u64::from(word == "accepted");
            journal.lost_answers += u64::from(word == "unknown");
            journal.panics += u64::from(word == "panic");
            if known.is_none() {
                let what = format!("message {} came without its gate having said yes", parcel.id);
                journal.faults.push(super::journal::fault(super::journal::Kind::Late, what));
            }
        }
        drop(turn);
        drop(self.turn("answer", parcel).await);
        self.note(parcel, |hand_over| hand_over.told = Some(word));
        match answer {
            Some(outcome) => Delivery::Tried(outcome),
            None => std::panic::resume_unwind(Box::new("planted")),
        }
    }

    fn parallel(&self) -> usize {
        3
    }

    async fn rest(&self) {}
}
