//! Crashes, and the messages that were in work at them. One that ends the process each time it is touched is found, and
//! ends alone; one that was only there when the process was killed goes out, however often that happens.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use dondoc::{planning::outcome::LAST_CRASHES, store::ledger::Claimed};

use super::{
    play::{Played, play, play_with},
    play_all,
    sim::Chances,
};

/// Where a message ends the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// While its batch is composed, right after it was claimed: nobody sees which of them it was.
    Composing,
    BeforeItsGate,
    BehindItsGate,
}

/// A task each message of which ends the process.
pub struct Poison {
    at: Where,
    pub task: i64,
    messages: Mutex<BTreeSet<i64>>,
    struck: AtomicBool,
}

impl Poison {
    pub fn new(at: Where, task: i64) -> Self {
        Self { at, task, messages: Mutex::default(), struck: AtomicBool::new(false) }
    }

    /// Whether the process ends while these are composed.
    pub fn in_batch(&self, claimed: &[Claimed]) -> bool {
        let carries = |message: &&Claimed| message.rows.iter().any(|row| row.task.0 == self.task);
        let poisonous: Vec<i64> = claimed.iter().filter(carries).map(|message| message.id).collect();
        self.messages.lock().unwrap().extend(&poisonous);
        self.strikes(Where::Composing, !poisonous.is_empty())
    }

    /// Whether the process ends at this point of a message's hand-over.
    pub fn in_hand(&self, at: Where, message: i64) -> bool {
        let poisonous = self.messages.lock().unwrap().contains(&message);
        self.strikes(at, poisonous)
    }

    fn strikes(&self, at: Where, poisonous: bool) -> bool {
        let strikes = poisonous && at == self.at;
        self.struck.fetch_or(strikes, Ordering::SeqCst);
        strikes
    }

    /// Whether it did, since this was asked last.
    pub fn struck(&self) -> bool {
        self.struck.swap(false, Ordering::SeqCst)
    }
}

/// Nothing befalls but kills.
fn kills(crash: i64) -> Chances {
    Chances {
        refusal: 1 << 40,
        lost: 1 << 40,
        panic: 1 << 40,
        acts: 0,
        clock: 0,
        crash,
        stale: 0,
        reload: 0,
        directory: 0,
        operator: 0,
    }
}

#[test]
fn a_message_that_ends_the_process_ends_alone_wherever_it_does_it_and_all_others_are_sent() {
    for at in [Where::Composing, Where::BeforeItsGate, Where::BehindItsGate] {
        let ended = Mutex::new(0);
        let one = |seed: u64| play_with(seed, None, kills(0), false, Some(Poison::new(at, 1 + (seed % 8) as i64)));
        let each = |seed: u64, played: Played| {
            assert_eq!(played.journal.faults, [], "{at:?}, seed {seed}");
            let task = 1 + (seed % 8) as i64;
            let (poisonous, innocent): (Vec<_>, Vec<_>) = played.ends.iter().partition(|end| end.tasks.contains(&task));
            for end in innocent {
                assert!(["sent", "suppressed"].contains(&end.state.as_str()), "{at:?}, seed {seed}: {end:?}");
            }
            // One that was bundled anew never was a message for long.
            let poisonous: Vec<_> = poisonous.into_iter().filter(|end| end.state != "suppressed").collect();
            for end in &poisonous {
                // What had passed its gate may have arrived.
                let state = if at == Where::BehindItsGate { "unknown" } else { "dead" };
                assert_eq!(
                    (end.state.as_str(), end.reason.as_str()),
                    (state, "poison"),
                    "{at:?}, seed {seed}: {end:?}"
                );
            }
            // Not each crash tells one from another: two may be alone, each on its channel.
            let most = 2 * u64::from(LAST_CRASHES) * poisonous.len() as u64 + 1;
            assert!(played.journal.crashes <= most, "{at:?}, seed {seed}: {} crashes", played.journal.crashes);
            *ended.lock().unwrap() += poisonous.len();
            true
        };
        play_all(&(1..=16).collect::<Vec<_>>(), one, each);
        assert!(ended.into_inner().unwrap() >= 16, "{at:?}: too few were struck");
    }
}

#[test]
fn no_message_is_taken_for_the_cause_of_kills_that_came_from_without() {
    let (kills_seen, sent) = (Mutex::new(0), Mutex::new(0));
    let each = |seed: u64, played: Played| {
        assert_eq!(played.journal.faults, [], "seed {seed}");
        for end in &played.ends {
            assert!(["sent", "suppressed"].contains(&end.state.as_str()), "seed {seed}: {end:?}");
        }
        *kills_seen.lock().unwrap() += played.journal.crashes;
        *sent.lock().unwrap() += played.ends.iter().filter(|end| end.state == "sent").count();
        true
    };
    play_all(&(1..=40).collect::<Vec<_>>(), |seed| play(seed, None, kills(60), false), each);
    let (kills, sent) = (kills_seen.into_inner().unwrap(), sent.into_inner().unwrap());
    assert!(kills > 400 && sent > 300, "{kills} kills, {sent} sent");
}
