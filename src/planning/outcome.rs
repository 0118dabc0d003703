//! What came of an attempt to send, and what to do next.

use std::time::Duration;

use jiff::Timestamp;

/// What was in work at so many crashes goes alone from then on; what was at fewer, in small company. (Whatever was in work
/// at a crash may be its cause; most likely it is not, for a crash befalls all that was claimed.)
pub const ALONE_CRASHES: u32 = 2;

/// What was in work at so many is taken for their cause and sent no more: it went alone in the last three.
pub const LAST_CRASHES: u32 = ALONE_CRASHES + 3;

/// The answer to one attempt, in the words that decide what happens next: the classes of the class table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it: SMTP 250 to the final dot, HTTP 2xx. Not that anyone read it.
    Accepted { code: i32, reply: String },
    /// Refused for now, this message only: 4xx, HTTP 408, 5xx.
    Transient { code: i32, reply: String },
    /// Refused for now with a stated time to come back (`Retry-After`, a quota).
    Throttled { until: Timestamp, code: i32, reply: String },
    /// This recipient cannot be reached on this channel: 5xx at RCPT.
    Recipient { code: i32, reply: String },
    /// Our side or the relay's settings are wrong: authentication, TLS, a redirect. Nothing is lost, nothing is sent.
    Configuration { code: i32, reply: String },
    /// This message will never be taken: 5xx at MAIL or DATA.
    Permanent { code: i32, reply: String },
    /// The site is not there: DNS, connect, greeting, 421. The message's attempts are not spent.
    Site { code: i32, reply: String },
    /// Handed over, the answer was lost: it may have been accepted.
    Unknown { reply: String },
}

impl Outcome {
    /// The stable word for the ledger.
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Accepted { .. } => "accepted",
            Outcome::Transient { .. } => "transient",
            Outcome::Throttled { .. } => "throttled",
            Outcome::Recipient { .. } => "recipient",
            Outcome::Configuration { .. } => "configuration",
            Outcome::Permanent { .. } => "permanent",
            Outcome::Site { .. } => "site",
            Outcome::Unknown { .. } => "unknown",
        }
    }

    /// The server's code, 0 where there was none.
    pub fn code(&self) -> i32 {
        match self {
            Outcome::Accepted { code, .. }
            | Outcome::Transient { code, .. }
            | Outcome::Throttled { code, .. }
            | Outcome::Recipient { code, .. }
            | Outcome::Configuration { code, .. }
            | Outcome::Permanent { code, .. }
            | Outcome::Site { code, .. } => *code,
            Outcome::Unknown { .. } => 0,
        }
    }

    /// The server's answer or our own words for what went wrong; never content, never an address.
    pub fn reply(&self) -> &str {
        match self {
            Outcome::Accepted { reply, .. }
            | Outcome::Transient { reply, .. }
            | Outcome::Throttled { reply, .. }
            | Outcome::Recipient { reply, .. }
            | Outcome::Configuration { reply, .. }
            | Outcome::Permanent { reply, .. }
            | Outcome::Site { reply, .. }
            | Outcome::Unknown { reply } => reply,
        }
    }
}

/// What to do with a message after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// Done: its reminders are sent.
    Sent,
    /// Back to pending, not before this instant; `spend` says whether the attempt counts.
    Retry { at: Timestamp, spend: bool },
    /// Back to pending, and the destination rests: nothing else is tried there before `at` either.
    Breaker { at: Timestamp, operator: bool },
    /// Dead for this recipient: a fallback goes to the agency's box, the operator is told.
    DeadRecipient,
    /// Dead: the operator is told.
    Dead,
    /// The answer was lost: the same bytes again at `at` while every task in it is still open and current.
    RepeatMarked { at: Timestamp },
    /// The answer was lost again and again: it stays unknown, a person decides.
    Unknown,
}

/// First wait after a transient refusal; doubled each time up to [`LONGEST_WAIT`].
pub const FIRST_WAIT: Duration = Duration::from_secs(5 * 60);
/// The longest wait between two tries.
pub const LONGEST_WAIT: Duration = Duration::from_secs(67 * 60);
/// First wait after an answer was lost.
pub const FIRST_REPEAT: Duration = Duration::from_secs(60);
/// So many hand-overs without an answer, and the message is repeated no more.
pub const MOST_UNANSWERED: u32 = 5;
/// The longest `Retry-After` that is honoured.
pub const LONGEST_THROTTLE: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of an attempt towards what follows it, after `before` that counted. The first lost answer of a message is
/// the first, however often it was refused before: it is always repeated. `lost` says that an earlier answer was lost.
pub fn counts(outcome: &Outcome, before: u32, lost: bool) -> u32 {
    match outcome {
        Outcome::Unknown { .. } if !lost => 1,
        _ => before + 1,
    }
}

/// What follows an outcome. `attempts` is how many attempts counted so far, this one included; `jitter` is a number
/// from 0 to 1 that spreads retries over up to a tenth more of their wait.
pub fn after(outcome: &Outcome, attempts: u32, now: Timestamp, jitter: f64) -> After {
    let wait = |attempts: u32| {
        let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(8)).min(LONGEST_WAIT);
        now + doubled.mul_f64(1.0 + 0.1 * jitter.clamp(0.0, 1.0))
    };
    match outcome {
        Outcome::Accepted { .. } => After::Sent,
        Outcome::Transient { .. } => After::Retry { at: wait(attempts), spend: true },
        Outcome::Throttled { until, .. } => {
            After::Retry { at: (*until).clamp(now + Duration::from_secs(1), now + LONGEST_THROTTLE), spend: true }
        }
        Outcome::Recipient { .. } => After::DeadRecipient,
        Outcome::Permanent { .. } => After::Dead,
        Outcome::Configuration { .. } => After::Breaker { at: now + FIRST_WAIT, operator: true },
        Outcome::Site { .. } => After::Breaker { at: now + Duration::from_secs(30), operator: false },
        Outcome::Unknown { .. } if attempts >= MOST_UNANSWERED => After::Unknown,
        // The first repeat soon, for most lost answers are a dropped connection; then as patiently as after a refusal.
        Outcome::Unknown { .. } if attempts <= 1 => After::RepeatMarked { at: now + FIRST_REPEAT },
        Outcome::Unknown { .. } => After::RepeatMarked { at: wait(attempts - 1) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_lost_answer_is_repeated_however_often_the_message_was_refused_before() {
        let lost = Outcome::Unknown { reply: String::new() };
        let now = Timestamp::UNIX_EPOCH;
        for refused in [0, MOST_UNANSWERED - 1, MOST_UNANSWERED, 40] {
            let follows = after(&lost, counts(&lost, refused, false), now, 0.0);
            assert_eq!(follows, After::RepeatMarked { at: now + FIRST_REPEAT }, "after {refused} refusals");
        }
        assert_eq!(after(&lost, counts(&lost, MOST_UNANSWERED - 1, true), now, 0.0), After::Unknown);
        let refused = Outcome::Transient { code: 451, reply: String::new() };
        assert_eq!(counts(&refused, 3, false), 4);
    }
}
