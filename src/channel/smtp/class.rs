//! What an answer, or none, means at each phase of a transaction: the class table ([`Outcome`]) as a pure function.

use super::stream::Reply;
use crate::{channel::reply::tidy, planning::outcome::Outcome};

/// Where in the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// DNS and TCP.
    Connect,
    Greeting,
    Hello,
    StartTls,
    /// The handshake.
    Tls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The message's bytes, before the final dot has left.
    Body,
    /// After the final dot has left.
    Dot,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::Connect => "connecting",
            Phase::Greeting => "the greeting",
            Phase::Hello => "EHLO",
            Phase::StartTls => "STARTTLS",
            Phase::Tls => "the TLS handshake",
            Phase::Auth => "AUTH",
            Phase::Mail => "MAIL",
            Phase::Rcpt => "RCPT",
            Phase::Data => "DATA",
            Phase::Body => "the message",
            Phase::Dot => "the final dot",
        }
    }
}

/// What went wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// A clear no, 4xx or 5xx.
    Refused(Reply),
    /// An answer that fits nothing: the server and we no longer speak of the same thing.
    Odd(String),
    /// The connection failed or ended.
    Lost(String),
    /// No answer within the phase's deadline.
    Late,
    /// The protection that settings ask for, or the credentials, do not fit this relay.
    Settings(String),
}

/// A trouble and where it arose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub phase: Phase,
    pub trouble: Trouble,
}

impl Fault {
    /// No connection came about, or the server ended it before anything was said on it: what a relay does that has as
    /// many of them as it wants.
    pub fn turned_away(&self) -> bool {
        matches!(self.phase, Phase::Connect | Phase::Greeting | Phase::Hello)
            && matches!(self.outcome(""), Outcome::Site { .. })
    }

    /// As the ledger says it. `address`: the recipient, kept out of the words.
    pub fn outcome(&self, address: &str) -> Outcome {
        let phase = self.phase;
        let words = |what: &str| tidy(&format!("{what} at {}", phase.name()), address);
        match &self.trouble {
            Trouble::Refused(Reply { code, text }) => refused(phase, i32::from(*code), tidy(text, address)),
            Trouble::Settings(what) => Outcome::Configuration { code: 0, reply: words(what) },
            // Somebody who garbles the way into TLS may be in between: not to be tried quietly for ever.
            Trouble::Odd(what) if matches!(phase, Phase::StartTls | Phase::Tls) => {
                Outcome::Configuration { code: 0, reply: words(what) }
            }
            Trouble::Odd(what) | Trouble::Lost(what) => nothing_clear(phase, words(what)),
            Trouble::Late => nothing_clear(phase, words("no answer in time")),
        }
    }
}

/// A clear refusal.
fn refused(phase: Phase, code: i32, reply: String) -> Outcome {
    let lasting = code >= 500;
    match phase {
        _ if code == 421 => Outcome::Site { code, reply },
        // RFC 4954: authentication required, too weak, failed, encryption required.
        _ if matches!(code, 530 | 534 | 535 | 538) => Outcome::Configuration { code, reply },
        Phase::Connect | Phase::Greeting => Outcome::Site { code, reply },
        Phase::Hello | Phase::StartTls | Phase::Tls | Phase::Auth if lasting => Outcome::Configuration { code, reply },
        Phase::Hello | Phase::StartTls | Phase::Tls | Phase::Auth => Outcome::Site { code, reply },
        Phase::Rcpt if lasting => Outcome::Recipient { code, reply },
        Phase::Mail | Phase::Data | Phase::Body | Phase::Dot if lasting => Outcome::Permanent { code, reply },
        Phase::Mail | Phase::Rcpt | Phase::Data | Phase::Body | Phase::Dot => Outcome::Transient { code, reply },
    }
}

/// No clear answer: the message was handed over or not, by the phase alone.
fn nothing_clear(phase: Phase, reply: String) -> Outcome {
    match phase {
        Phase::Connect | Phase::Greeting | Phase::Hello | Phase::StartTls | Phase::Tls | Phase::Auth => {
            Outcome::Site { code: 0, reply }
        }
        // It may be this message that upsets the server, so it spends its attempts.
        Phase::Mail | Phase::Rcpt | Phase::Data | Phase::Body => Outcome::Transient { code: 0, reply },
        Phase::Dot => Outcome::Unknown { reply },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_at_each_phase_has_the_tables_class() {
        #[track_caller]
        fn check(code: u16, expected: [(Phase, &str); 11]) {
            for (phase, class) in expected {
                let reply = Reply { code, text: "x".into() };
                let outcome = Fault { phase, trouble: Trouble::Refused(reply) }.outcome("a@b.vn");
                assert_eq!((outcome.as_str(), outcome.code()), (class, i32::from(code)), "{code} at {phase:?}");
            }
        }
        use Phase::*;
        let all = [Connect, Greeting, Hello, StartTls, Tls, Auth, Mail, Rcpt, Data, Body, Dot];
        check(421, all.map(|phase| (phase, "site")));
        for code in [530, 534, 535, 538] {
            check(code, all.map(|phase| (phase, "configuration")));
        }
        let words = |phases: [&'static str; 11]| {
            let mut words = phases.into_iter();
            all.map(|phase| (phase, words.next().unwrap()))
        };
        let (s, c, t, p) = ("site", "configuration", "transient", "permanent");
        check(451, words([s, s, s, s, s, s, t, t, t, t, t]));
        check(454, words([s, s, s, s, s, s, t, t, t, t, t]));
        check(550, words([s, s, c, c, c, c, p, "recipient", p, p, p]));
        check(554, words([s, s, c, c, c, c, p, "recipient", p, p, p]));
    }

    #[test]
    fn without_a_clear_answer_only_the_final_dot_leaves_it_unknown() {
        for trouble in [Trouble::Late, Trouble::Lost("reset".into()), Trouble::Odd("251".into())] {
            let class = |phase| Fault { phase, trouble: trouble.clone() }.outcome("a@b.vn").as_str();
            for phase in [Phase::Connect, Phase::Greeting, Phase::Hello, Phase::Auth] {
                assert_eq!(class(phase), "site");
            }
            let way_into_tls = if matches!(trouble, Trouble::Odd(_)) { "configuration" } else { "site" };
            for phase in [Phase::StartTls, Phase::Tls] {
                assert_eq!(class(phase), way_into_tls);
            }
            for phase in [Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Body] {
                assert_eq!(class(phase), "transient");
            }
            assert_eq!(class(Phase::Dot), "unknown");
        }
    }

    #[test]
    fn the_recipients_address_is_in_no_outcome() {
        let reply = Reply { code: 550, text: "5.1.1 <nguyenvana@sonoivu.gov.vn> no such user".into() };
        let outcome =
            Fault { phase: Phase::Rcpt, trouble: Trouble::Refused(reply) }.outcome("nguyenvana@sonoivu.gov.vn");
        assert_eq!(outcome.reply(), "5.1.1 <n***@sonoivu.gov.vn> no such user");
    }
}
