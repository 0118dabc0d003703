//! The breaker of one destination, and the eye that tells a refused recipient from a relay that refuses us. Pure:
//! `now` is passed in, nothing waits, nothing is sent or stored; the engine asks before it claims and reports after.

use std::time::Duration;

use jiff::Timestamp;

use crate::planning::outcome::Outcome;

/// First rest after the site failed; doubled with each further failure up to [`LONGEST_SITE`].
pub const FIRST_SITE: Duration = Duration::from_secs(30);
/// The longest rest after the site failed.
pub const LONGEST_SITE: Duration = Duration::from_secs(10 * 60);
/// First rest after our settings or the relay's were found wrong; doubled up to [`LONGEST_CONFIGURATION`].
pub const FIRST_CONFIGURATION: Duration = Duration::from_secs(5 * 60);
/// The longest rest for wrong settings: an operator's repair is noticed within it.
pub const LONGEST_CONFIGURATION: Duration = Duration::from_secs(40 * 60);
/// A probe whose answer never came back (the daemon's task died) blocks no longer than this: above all deadlines.
pub const PROBE_LOST: Duration = Duration::from_secs(15 * 60);
/// So many different recipients running, refused for the same kind of reason, are a matter of settings.
pub const RUN: usize = 3;

/// Whether something may be sent to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// As much as the channel likes.
    Go,
    /// This one only: its outcome decides.
    Probe,
    /// Nothing before this instant.
    Wait(Timestamp),
}

/// What the breaker shows to `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Closed,
    /// Nothing is sent before `until`. `operator`: a person has to mend settings.
    Open { until: Timestamp, operator: bool, reason: String },
    /// One message is on its way to see whether the destination is back.
    HalfOpen { since: Timestamp, operator: bool, reason: String },
}

/// What the breaker made of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// What counts: the outcome as it came, or `Configuration` where it ended a run.
    pub outcome: Outcome,
    /// The messages judged before within the run that this one completed: they go back to pending, their
    /// recipients were not at fault.
    pub earlier: Vec<i64>,
}

/// The breaker of one destination (one relay, one webhook).
#[derive(Debug, Clone)]
pub struct Breaker {
    state: State,
    failures: u32,
    policy: Refusals,
    message: Refusals,
}

/// Refusals of one kind without an acceptance between them.
#[derive(Debug, Clone, Default)]
struct Refusals(Vec<(String, Vec<i64>)>);

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Breaker {
    /// Closed.
    pub fn new() -> Self {
        Self { state: State::Closed, failures: 0, policy: Refusals::default(), message: Refusals::default() }
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Asks leave to send one message. After [`Pass::Probe`] the outcome must be reported by [`Breaker::observe`], or
    /// [`Breaker::abandon`] called where no attempt was made.
    pub fn ask(&mut self, now: Timestamp) -> Pass {
        match self.state.clone() {
            State::Closed => Pass::Go,
            // A rest longer than any was begun by a clock that was wrong.
            State::Open { until, .. } if now < until && until <= now + LONGEST_CONFIGURATION => Pass::Wait(until),
            State::HalfOpen { since, .. } if now < since + PROBE_LOST => Pass::Wait(since + PROBE_LOST),
            State::Open { operator, reason, .. } | State::HalfOpen { operator, reason, .. } => {
                self.state = State::HalfOpen { since: now, operator, reason };
                Pass::Probe
            }
        }
    }

    /// A probe was not sent after all (its gate said no): the next message may try at once.
    pub fn abandon(&mut self, now: Timestamp) {
        if let State::HalfOpen { operator, reason, .. } = self.state.clone() {
            self.state = State::Open { until: now, operator, reason };
        }
    }

    /// Takes note of what came of message `id` to `address`.
    pub fn observe(&mut self, id: i64, address: &str, outcome: Outcome, now: Timestamp) -> Observed {
        let (outcome, earlier) = self.judge(id, address, outcome);
        match &outcome {
            Outcome::Site { reply, .. } => self.open(FIRST_SITE, LONGEST_SITE, false, reply, now),
            Outcome::Configuration { reply, .. } => {
                self.open(FIRST_CONFIGURATION, LONGEST_CONFIGURATION, true, reply, now);
            }
            // The destination spoke to the point: it is there, whatever it thinks of this message.
            Outcome::Accepted { .. } | Outcome::Recipient { .. } | Outcome::Permanent { .. } => self.close(),
            Outcome::Transient { code, .. } | Outcome::Throttled { code, .. } if *code != 0 => self.close(),
            // In doubt: neither closes an open breaker nor opens a closed one, but a probe has to do better.
            Outcome::Transient { reply, .. } | Outcome::Throttled { reply, .. } | Outcome::Unknown { reply } => {
                if let State::HalfOpen { operator, .. } = self.state {
                    self.open(FIRST_SITE, LONGEST_SITE, operator, &reply.clone(), now);
                }
            }
        }
        Observed { outcome, earlier }
    }

    /// Upgrades the refusal that completes a run.
    fn judge(&mut self, id: i64, address: &str, outcome: Outcome) -> (Outcome, Vec<i64>) {
        let run = match &outcome {
            Outcome::Accepted { .. } => {
                self.policy.0.clear();
                self.message.0.clear();
                return (outcome, Vec::new());
            }
            Outcome::Recipient { reply, .. } if is_policy(reply) => &mut self.policy,
            Outcome::Permanent { .. } => &mut self.message,
            _ => return (outcome, Vec::new()),
        };
        match run.count(id, address) {
            None => (outcome, Vec::new()),
            Some(earlier) => {
                let reply = format!("{RUN} different recipients running refused: {}", outcome.reply());
                (Outcome::Configuration { code: outcome.code(), reply }, earlier)
            }
        }
    }

    fn open(&mut self, first: Duration, longest: Duration, operator: bool, reason: &str, now: Timestamp) {
        // Several deliveries were under way when the site failed: their news is one failure, not many.
        let again = matches!(self.state, State::HalfOpen { .. });
        if let State::Open { until, operator: known, .. } = &mut self.state {
            let rest = now + first;
            *until = (*until).max(rest);
            *known |= operator;
            return;
        }
        self.failures = if again { self.failures.saturating_add(1) } else { 0 };
        let rest = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.state = State::Open { until: now + rest, operator, reason: reason.to_owned() };
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.failures = 0;
    }
}

impl Refusals {
    /// Adds a refusal; where it makes the run complete, gives the earlier messages of the run and starts afresh one
    /// short of complete, so that a relay that still refuses us is recognised at its very next refusal.
    fn count(&mut self, id: i64, address: &str) -> Option<Vec<i64>> {
        let address = address.to_lowercase();
        match self.0.iter_mut().find(|(known, _)| *known == address) {
            Some((_, ids)) => {
                if !ids.contains(&id) {
                    ids.push(id);
                }
            }
            None => self.0.push((address, vec![id])),
        }
        if self.0.len() < RUN {
            return None;
        }
        let earlier = self.0.iter().flat_map(|(_, ids)| ids.iter().copied()).filter(|other| *other != id).collect();
        for (_, ids) in &mut self.0 {
            ids.clear();
        }
        // Which recipients they were no longer matters: any refusal now repeats a known fault.
        self.0.truncate(RUN);
        Some(earlier)
    }
}

/// An enhanced status 5.7.x (RFC 3463: security or policy) at the head of the reply.
fn is_policy(reply: &str) -> bool {
    reply.trim_start().starts_with("5.7.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + seconds).unwrap()
    }

    fn site() -> Outcome {
        Outcome::Site { code: 421, reply: "4.3.2 closing".into() }
    }

    fn accepted() -> Outcome {
        Outcome::Accepted { code: 250, reply: "2.0.0 Ok".into() }
    }

    fn policy() -> Outcome {
        Outcome::Recipient { code: 550, reply: "5.7.1 relaying denied".into() }
    }

    fn refused() -> Outcome {
        Outcome::Permanent { code: 554, reply: "5.6.0 no".into() }
    }

    #[test]
    fn an_open_breaker_lets_one_probe_through_and_closes_on_success() {
        let mut breaker = Breaker::new();
        assert_eq!(breaker.ask(at(0)), Pass::Go);
        breaker.observe(1, "a@x.vn", site(), at(0));
        assert_eq!(breaker.ask(at(29)), Pass::Wait(at(30)));
        assert_eq!(breaker.ask(at(30)), Pass::Probe);
        assert!(matches!(breaker.ask(at(31)), Pass::Wait(_)), "a second one while the probe is out");
        breaker.observe(2, "b@x.vn", accepted(), at(32));
        assert_eq!(breaker.ask(at(32)), Pass::Go);
    }

    #[test]
    fn each_failed_probe_doubles_the_rest_up_to_its_cap() {
        let mut breaker = Breaker::new();
        let mut now = at(0);
        let mut rests = Vec::new();
        for id in 0..8 {
            breaker.observe(id, "a@x.vn", site(), now);
            let State::Open { until, .. } = breaker.state().clone() else { panic!("not open") };
            rests.push((until.as_second() - now.as_second()) as u64);
            now = until;
            assert_eq!(breaker.ask(now), Pass::Probe);
        }
        assert_eq!(rests, [30, 60, 120, 240, 480, 600, 600, 600]);
        breaker.observe(9, "a@x.vn", accepted(), now);
        breaker.observe(10, "a@x.vn", site(), now);
        assert_eq!(breaker.ask(now), Pass::Wait(now + FIRST_SITE), "a success forgets earlier failures");
    }

    #[test]
    fn several_failures_at_once_count_as_one() {
        let mut breaker = Breaker::new();
        for id in 0..20 {
            breaker.observe(id, "a@x.vn", site(), at(0));
        }
        assert_eq!(breaker.ask(at(1)), Pass::Wait(at(30)));
    }

    #[test]
    fn a_lost_probe_blocks_no_longer_than_its_limit_and_an_abandoned_one_not_at_all() {
        let mut breaker = Breaker::new();
        breaker.observe(1, "a@x.vn", site(), at(0));
        assert_eq!(breaker.ask(at(30)), Pass::Probe);
        breaker.abandon(at(31));
        assert_eq!(breaker.ask(at(31)), Pass::Probe);
        assert_eq!(breaker.ask(at(31 + 15 * 60)), Pass::Probe);
    }

    #[test]
    fn wrong_settings_need_an_operator_and_a_probe_in_doubt_keeps_that() {
        let mut breaker = Breaker::new();
        breaker.observe(1, "a@x.vn", Outcome::Configuration { code: 535, reply: "no".into() }, at(0));
        assert!(matches!(breaker.state(), State::Open { operator: true, .. }));
        assert_eq!(breaker.ask(at(300)), Pass::Probe);
        breaker.observe(2, "a@x.vn", Outcome::Unknown { reply: "lost".into() }, at(301));
        assert!(matches!(breaker.state(), State::Open { operator: true, .. }));
    }

    #[test]
    fn the_third_different_recipient_running_is_a_matter_of_settings() {
        for outcome in [policy(), refused()] {
            let mut breaker = Breaker::new();
            assert_eq!(breaker.observe(1, "a@x.vn", outcome.clone(), at(0)).outcome, outcome);
            assert_eq!(breaker.observe(2, "A@x.vn", outcome.clone(), at(0)).outcome, outcome, "same recipient");
            assert_eq!(breaker.observe(3, "b@x.vn", outcome.clone(), at(0)).outcome, outcome);
            let third = breaker.observe(4, "c@x.vn", outcome.clone(), at(0));
            assert!(matches!(third.outcome, Outcome::Configuration { .. }), "{third:?}");
            assert_eq!(third.earlier, [1, 2, 3]);
            let fourth = breaker.observe(5, "d@x.vn", outcome, at(1));
            assert!(matches!(fourth.outcome, Outcome::Configuration { .. }), "still refused, still settings");
            assert_eq!(fourth.earlier, Vec::<i64>::new());
        }
    }

    #[test]
    fn an_acceptance_between_breaks_the_run() {
        let mut breaker = Breaker::new();
        breaker.observe(1, "a@x.vn", refused(), at(0));
        breaker.observe(2, "b@x.vn", refused(), at(0));
        breaker.observe(3, "c@x.vn", accepted(), at(0));
        assert_eq!(breaker.observe(4, "d@x.vn", refused(), at(0)).outcome, refused());
    }

    #[test]
    fn unknown_users_in_any_number_are_their_own_matter() {
        let mut breaker = Breaker::new();
        for id in 0..50 {
            let outcome = Outcome::Recipient { code: 550, reply: "5.1.1 no such user".into() };
            assert_eq!(breaker.observe(id, &format!("u{id}@x.vn"), outcome.clone(), at(0)).outcome, outcome);
        }
        assert_eq!(breaker.ask(at(0)), Pass::Go);
    }
}
