//! What happened in one interleaving, each thing at its step: the judge reads only this and the ledger at the end.

use std::collections::BTreeMap;

use super::turnstile::Life;

/// A message that passed its gate.
#[derive(Debug, Clone)]
pub struct HandOver {
    pub life: Life,
    pub message: i64,
    /// Its attempt's token, as the daemon knows it.
    pub token: String,
    pub channel: &'static str,
    /// Steps at which it was claimed and passed the gate.
    pub claimed: u64,
    pub passed: u64,
    pub key: String,
    pub bytes: Vec<u8>,
    /// (reminder, task) as carried at the gate.
    pub carries: Vec<(i64, i64)>,
    /// The relay's side; none: the daemon died before a byte left.
    pub arrived: Option<Arrived>,
    /// The answer that the daemon was given.
    pub told: Option<&'static str>,
    /// Step at which an outcome of this attempt was committed, and its word.
    pub recorded: Option<(u64, &'static str)>,
}

/// A copy at the relay.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// As it came over the wire.
    pub bytes: Vec<u8>,
    pub attempt: u32,
    pub taken: bool,
}

/// Something people did to a task, committed.
#[derive(Debug, Clone)]
pub struct Done {
    pub step: u64,
    pub task: i64,
    pub what: &'static str,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    pub hand_overs: Vec<HandOver>,
    pub acts: Vec<Done>,
    /// When each attempt was claimed.
    pub claims: BTreeMap<String, u64>,
    /// Messages taken back from dead or unknown, by an operator or because the relay's settings were at fault.
    pub retried: Vec<i64>,
    /// Whatever was seen to be wrong at the very step.
    pub faults: Vec<Fault>,
    /// Runs of the daemon were stopped and went on beside another one.
    pub stale: bool,
    pub crashes: u64,
    pub rescued: u64,
    pub accepted: u64,
    pub lost_answers: u64,
    pub refused: u64,
    pub panics: u64,
    pub reloads: u64,
    pub moved_clock: u64,
    pub second_copies: u64,
    pub gates: u64,
    pub changes: u64,
    pub stale_lives: u64,
    /// (what people did, how far a message of that task was) -> how often.
    pub met: BTreeMap<(&'static str, &'static str), u64>,
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Passed its gate after a completion, a pause or a moved deadline was committed.
    Late,
    /// On record as sent, and no relay took it; or due, and on no record.
    Lost,
    /// Accepted, known to be accepted, and handed over again.
    Twice,
    /// A second copy without the mark.
    Unmarked,
    /// A second copy under another Message-ID, or of other bytes.
    Another,
    /// Repeated although one of its tasks had changed.
    Repeated,
    /// An unknown one that was not followed as promised.
    Abandoned,
    /// The ledger contradicts itself.
    Ledger,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub what: String,
}

pub fn fault(kind: Kind, what: impl Into<String>) -> Fault {
    Fault { kind, what: what.into() }
}

impl Journal {
    /// Sums up another one.
    pub fn add(&mut self, other: &Journal) {
        self.crashes += other.crashes;
        self.rescued += other.rescued;
        self.accepted += other.accepted;
        self.lost_answers += other.lost_answers;
        self.refused += other.refused;
        self.panics += other.panics;
        self.reloads += other.reloads;
        self.moved_clock += other.moved_clock;
        self.second_copies += other.second();
        self.gates += other.hand_overs.len() as u64;
        self.changes += other.acts.len() as u64;
        self.stale_lives += u64::from(other.stale);
        for (key, n) in &other.met {
            *self.met.entry(*key).or_default() += n;
        }
    }

    fn second(&self) -> u64 {
        let taken = |h: &&HandOver| h.arrived.as_ref().is_some_and(|arrived| arrived.taken && arrived.attempt > 1);
        self.hand_overs.iter().filter(taken).count() as u64
    }

    /// It reached what it claims: each state of a message was met by acts, and in a long run each of them by each.
    pub fn assert_worth_it(&self, interleavings: u64) {
        let acts = ["done", "pause", "later", "earlier", "assign", "submit", "return", "withdraw"];
        let states =
            ["planned", "pending", "in retry", "to be repeated", "leased", "at the gate", "frozen", "in hand-over"];
        let met = |far: &str, by: &[&str]| {
            self.met.iter().filter(|((act, f), _)| *f == far && by.contains(act)).map(|(_, n)| n).sum::<u64>()
        };
        for far in states {
            assert!(met(far, &acts) >= interleavings / 20, "hardly anything met a message that was {far}\n{self}");
            for what in acts {
                assert!(interleavings < 2_000 || met(far, &[what]) > 0, "{what} met no message that was {far}\n{self}");
            }
        }
        let any = |far: &str| self.met.keys().any(|(_, f)| *f == far);
        assert!(any("answered") && any("dead") && any("unknown"), "{self}");
        for n in [self.crashes, self.rescued, self.accepted, self.refused, self.reloads] {
            assert!(n >= interleavings, "{self}");
        }
        for n in [self.lost_answers, self.second_copies, self.panics, self.stale_lives] {
            assert!(n >= interleavings / 20, "{self}");
        }
    }
}

impl std::fmt::Display for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} gates passed, {} accepted, {} second copies, {} refused at RCPT, {} answers lost, {} panics; {} kills, \
             {} runs stopped past another's start, {} messages rescued; {} acts, {} reloads, {} moves of the clock",
            self.gates,
            self.accepted,
            self.second_copies,
            self.refused,
            self.lost_answers,
            self.panics,
            self.crashes,
            self.stale_lives,
            self.rescued,
            self.changes,
            self.reloads,
            self.moved_clock
        )?;
        let mut by_state: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((what, far), n) in &self.met {
            by_state.entry(far).or_default().push(format!("{what} {n}"));
        }
        for (far, acts) in by_state {
            writeln!(f, "  met {far}: {}", acts.join(", "))?;
        }
        Ok(())
    }
}
