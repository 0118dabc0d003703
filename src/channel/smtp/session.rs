//! One transaction on an open connection to the relay, and its end. Knows the phase of each trouble; never says QUIT when
//! in doubt, never retries.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use lettre::{
    Address,
    transport::smtp::{
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Noop, Rcpt, Rset},
        extension::{Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::time::timeout;

use super::{
    Deadlines,
    class::{Fault, Phase, Trouble},
    stream::{Reply, Watch},
};
use crate::{
    channel::{Delivery, Gate, Parcel},
    planning::outcome::Outcome,
};

/// An open session, between two transactions.
pub(super) struct Session {
    pub(super) conn: AsyncSmtpConnection,
    pub(super) watch: Arc<Watch>,
    pub(super) deadlines: Deadlines,
    /// Transactions begun on it.
    pub used: u32,
    /// When it was put aside (boot time).
    pub idle_since: Duration,
    /// By which the channel counts those that are open.
    pub counted: Option<Arc<()>>,
}

/// What came of a transaction, and what may be done with its session.
pub(super) struct Handover {
    pub delivery: Delivery,
    /// The session is in a known state, between two transactions.
    pub usable: bool,
    /// Nothing of this transaction was answered: on a session that was used before, the server had most likely ended it.
    pub stale: bool,
}

impl Session {
    /// One message to one recipient: MAIL, RCPT, the gate, DATA, the bytes. 250 to the final dot is success, nothing
    /// else is.
    pub async fn hand_over(&mut self, from: &Address, to: &Address, parcel: &Parcel, gate: &dyn Gate) -> Handover {
        self.used += 1;
        match self.transaction(from, to, parcel, gate).await {
            Ok(Some(reply)) => {
                let reply = crate::channel::reply::tidy(&reply.text, &parcel.address);
                let outcome = Outcome::Accepted { code: 250, reply };
                Handover { delivery: Delivery::Tried(outcome), usable: true, stale: false }
            }
            Ok(None) => {
                let usable = self.reset().await;
                Handover { delivery: Delivery::Stopped, usable, stale: false }
            }
            Err(fault) => {
                let refused = match &fault.trouble {
                    Trouble::Refused(reply) => reply.code != 421 && self.watch.seen().odd.is_none(),
                    _ => false,
                };
                let usable = refused
                    && match fault.phase {
                        Phase::Dot => true,
                        Phase::Mail | Phase::Rcpt | Phase::Data => self.reset().await,
                        _ => false,
                    };
                let ended = match &fault.trouble {
                    Trouble::Lost(_) | Trouble::Odd(_) => true,
                    Trouble::Refused(reply) => reply.code == 421,
                    _ => false,
                };
                let stale = fault.phase == Phase::Mail && self.used > 1 && ended;
                Handover { delivery: Delivery::Tried(fault.outcome(&parcel.address)), usable, stale }
            }
        }
    }

    /// Ok(None): the gate said no.
    async fn transaction(
        &mut self,
        from: &Address,
        to: &Address,
        parcel: &Parcel,
        gate: &dyn Gate,
    ) -> Result<Option<Reply>, Fault> {
        let message = parcel.bytes.as_slice();
        let mut options = Vec::new();
        if !from.to_string().is_ascii() || !to.to_string().is_ascii() {
            if !self.conn.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(ours(Phase::Rcpt, "the relay takes no address with letters beyond ASCII"));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        // Neither is ever made here; of frozen bytes nothing is taken for granted.
        let text = std::str::from_utf8(message).map_err(|_| ours(Phase::Body, "the message is no text"))?;
        if !message.is_ascii() {
            if !self.conn.server_info().supports_feature(Extension::EightBitMime) {
                return Err(ours(Phase::Body, "the message has bytes beyond ASCII, the relay takes none"));
            }
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        if !lines_end_well(message) {
            return Err(ours(Phase::Body, "the message has a line that does not end by CR LF"));
        }
        let mail = Mail::new(Some(from.clone()), options);
        let rcpt = Rcpt::new(to.clone(), Vec::new());
        // 251 and 252 say that the relay takes it and passes it on (RFC 5321 3.4, 3.5.3); 250 to the dot decides.
        let taken = [250, 251, 252];
        if self.watch.seen().pipelining {
            // Both in one flight; DATA never is (RFC 2920 3.1): the gate stands before it.
            let mailed = self.command(Phase::Mail, Whole(format!("{mail}{rcpt}")), &[250]).await;
            if let Err(fault) = mailed {
                // RCPT is answered too, whatever it is answered: after it the session may be used again.
                if matches!(&fault.trouble, Trouble::Refused(reply) if reply.code != 421) {
                    self.answer(Phase::Rcpt, &[]).await.ok();
                }
                return Err(fault);
            }
            self.answer(Phase::Rcpt, &taken).await?;
        } else {
            self.command(Phase::Mail, mail, &[250]).await?;
            self.command(Phase::Rcpt, rcpt, &taken).await?;
        }
        if !gate.pass(parcel).await {
            return Ok(None);
        }
        self.command(Phase::Data, Data, &[354]).await?;
        self.bytes(text).await.map(Some)
    }

    /// The message's bytes up to the answer to its final dot.
    async fn bytes(&mut self, message: &str) -> Result<Reply, Fault> {
        let watch = self.watch.clone();
        let (command, dot) = (self.deadlines.command, self.deadlines.dot);
        watch.forget();
        watch.begin_data();
        // A bell of the message before, answered in the same breath, must not ring for this one.
        let _ = watch.dot.notified().now_or_never();
        // Body and dot in one write: lettre's own way to send a message takes two, and looks at each byte by itself.
        let sending = self.conn.command(Whole(dotted(message)));
        tokio::pin!(sending);
        let begun = watch.seen().written;
        let moving = async {
            // A body that stands still for a command's deadline, or is not out within three of them, is given up: the gate
            // has seen to it that the lease lasts so long.
            let (mut before, mut spent) = (begun, Duration::ZERO);
            loop {
                tokio::time::sleep(command).await;
                spent += command;
                let now = watch.seen().written;
                if now == before || spent >= dot.min(command * 3) {
                    return;
                }
                before = now;
            }
        };
        let answer = tokio::select! {
            biased;
            answer = &mut sending => Some(answer),
            () = watch.dot.notified() => timeout(dot, &mut sending).await.ok(),
            () = moving => None,
        };
        let phase = if watch.seen().dot_out { Phase::Dot } else { Phase::Body };
        match answer {
            Some(Ok(_)) => {
                watch.expect(phase, &[250])?;
                let last = watch.seen().last.clone();
                last.ok_or(Fault { phase, trouble: Trouble::Odd("no answer kept".into()) })
            }
            Some(Err(error)) => Err(watch.fault(phase, &error)),
            None => Err(Fault { phase, trouble: Trouble::Late }),
        }
    }

    async fn command(&mut self, phase: Phase, command: impl std::fmt::Display, good: &[u16]) -> Result<(), Fault> {
        self.watch.forget();
        match timeout(self.deadlines.command, self.conn.command(command)).await {
            Ok(Ok(_)) => self.watch.expect(phase, good),
            Ok(Err(error)) => Err(self.watch.fault(phase, &error)),
            Err(_) => Err(Fault { phase, trouble: Trouble::Late }),
        }
    }

    /// The answer to a command that has left already.
    async fn answer(&mut self, phase: Phase, good: &[u16]) -> Result<(), Fault> {
        self.watch.forget();
        match timeout(self.deadlines.command, self.conn.read_response()).await {
            Ok(Ok(_)) => self.watch.expect(phase, good),
            Ok(Err(error)) => Err(self.watch.fault(phase, &error)),
            Err(_) => Err(Fault { phase, trouble: Trouble::Late }),
        }
    }

    /// Whether the session is back between two transactions.
    async fn reset(&mut self) -> bool {
        self.command(Phase::Mail, Rset, &[250]).await.is_ok()
    }

    /// Whether the server still answers.
    pub async fn alive(&mut self) -> bool {
        self.command(Phase::Mail, Noop, &[250]).await.is_ok()
    }

    /// Says goodbye; what comes of it matters to nobody.
    pub async fn quit(mut self) {
        let _ = timeout(self.deadlines.quit, self.conn.quit()).await;
    }
}

/// Bytes that go over the wire as they stand.
struct Whole(String);

impl std::fmt::Display for Whole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message as DATA takes it (RFC 5321 4.5.2): each dot that begins a line doubled, CRLF and the final dot after it.
/// Its own last CRLF is not said twice.
fn dotted(message: &str) -> String {
    const END: &str = "\r\n.\r\n";
    let message = message.strip_suffix("\r\n").unwrap_or(message);
    let mut out = String::with_capacity(message.len() + message.len() / 64 + END.len());
    let mut kept = 0;
    // By the dots, of which a letter has few: a single character is looked for many at a time.
    for (at, _) in message.match_indices('.') {
        if at == 0 || message.as_bytes()[at - 1] == b'\n' {
            out.push_str(&message[kept..at]);
            out.push('.');
            kept = at;
        }
    }
    out.push_str(&message[kept..]);
    out.push_str(END);
    out
}

/// A refusal by ourselves, before anything was said: 553 an address, 554 a message that cannot be sent.
fn ours(phase: Phase, what: &str) -> Fault {
    let code = if phase == Phase::Rcpt { 553 } else { 554 };
    Fault { phase, trouble: Trouble::Refused(Reply { code, text: what.into() }) }
}

/// Each CR is followed by LF and each LF follows a CR: a bare one lets a relay see other messages in this one.
fn lines_end_well(message: &[u8]) -> bool {
    let (Some(first), Some(last)) = (message.first(), message.last()) else { return true };
    // Without a way out half-way, so that it is done many bytes at a time.
    let pairs = message.iter().zip(&message[1..]);
    let bad = pairs.fold(false, |bad, (one, next)| bad | ((*one == b'\r') != (*next == b'\n')));
    !bad && *first != b'\n' && *last != b'\r'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_that_begins_a_line_never_ends_the_message() {
        for (message, sent) in [
            ("", "\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a\r\n.\r\n.b\r\n...\r\n", "a\r\n..\r\n..b\r\n....\r\n.\r\n"),
            ("đ.\r\n\r\n.", "đ.\r\n\r\n..\r\n.\r\n"),
        ] {
            assert_eq!(dotted(message), sent, "{message:?}");
        }
    }

    #[test]
    fn only_whole_line_ends_reach_the_wire() {
        for good in ["", "a", "a\r\nb\r\n", "\r\n\r\n"] {
            assert!(lines_end_well(good.as_bytes()), "{good:?}");
        }
        for bad in ["a\nb", "a\rb", "a\r", "\n", "a\r\r\n", "a\r\n\n"] {
            assert!(!lines_end_well(bad.as_bytes()), "{bad:?}");
        }
    }
}
