//! One connection to the relay: how it is opened and protected, and one transaction on it. Knows the phase of each
//! trouble; never falls back to less protection, never says QUIT when in doubt, never retries.

use std::{fmt::Write as _, future::Future, io, net::IpAddr, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use lettre::{
    Address,
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::AsyncSmtpConnection,
        commands::{Data, Mail, Noop, Rcpt, Rset},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls};

use super::{
    Deadlines,
    class::{Fault, Phase, Trouble},
    stream::{Guarded, Reply, Watch, Wire},
};
use crate::{
    channel::{Delivery, Gate, Parcel},
    config::settings::SmtpTls,
    planning::outcome::Outcome,
};

/// Where to, and how: all that opening a session needs.
pub(super) struct Relay {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub tls_config: Option<Arc<rustls::ClientConfig>>,
    pub credentials: Option<Credentials>,
    pub hello: ClientId,
    pub deadlines: Deadlines,
}

/// An open session, between two transactions.
pub(super) struct Session {
    conn: AsyncSmtpConnection,
    watch: Arc<Watch>,
    deadlines: Deadlines,
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

impl Relay {
    /// Connects, protects, says EHLO, authenticates.
    pub async fn open(&self) -> Result<Session, Fault> {
        let Deadlines { connect, command, .. } = self.deadlines;
        let watch = Arc::new(Watch::default());
        let tcp = self.dial().await?;
        let stream = match self.tls {
            SmtpTls::None => Guarded::new(Wire::Plain(tcp), watch.clone()),
            SmtpTls::Implicit => {
                let wire = late(Phase::Tls, connect, self.handshake(tcp)).await?;
                Guarded::new(wire, watch.clone())
            }
            SmtpTls::Starttls => {
                let tcp = self.ask_for_tls(tcp).await?;
                let wire = late(Phase::Tls, connect, self.handshake(tcp)).await?;
                Guarded::new(wire, watch.clone()).greeted()
            }
        };
        let hello = AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello);
        let opened = timeout(command, hello).await;
        let phase = if watch.seen().greeting == Some(220) { Phase::Hello } else { Phase::Greeting };
        let conn = match opened {
            Ok(Ok(conn)) => conn,
            Ok(Err(error)) => return Err(watch.fault(phase, &error)),
            // lettre says QUIT after a refused EHLO and waits for that too: the refusal counts.
            Err(_) => return Err(watch.refusal(phase).unwrap_or(Fault { phase, trouble: Trouble::Late })),
        };
        // lettre goes on after any greeting that is no refusal.
        if phase == Phase::Greeting {
            return Err(Fault { phase, trouble: Trouble::Odd("a greeting other than 220".into()) });
        }
        watch.expect(Phase::Hello, &[250])?;
        watch.seen().open = true;
        let mut session =
            Session { conn, watch, deadlines: self.deadlines, used: 0, idle_since: Duration::ZERO, counted: None };
        if let Some(credentials) = &self.credentials {
            session.authenticate(credentials).await?;
        }
        Ok(session)
    }

    /// A connected socket, TCP_NODELAY set: lettre writes body and final dot apart, which without it costs a delayed
    /// acknowledgement (about 40 ms) a message.
    pub async fn dial(&self) -> Result<TcpStream, Fault> {
        let deadline = self.deadlines.connect;
        late(Phase::Connect, deadline, async {
            let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
            let found: Vec<_> = found.map_err(|_| Trouble::Lost("the relay's name was not found".into()))?.collect();
            if self.tls == SmtpTls::None && !found.iter().all(|address| address.ip().is_loopback()) {
                let what = "mail in clear goes to this machine only: set tls to implicit or starttls";
                return Err(Trouble::Settings(what.into()));
            }
            let mut last = Trouble::Lost("the relay's name has no address".into());
            let each = deadline / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX);
            for address in found {
                match timeout(each, TcpStream::connect(address)).await {
                    Ok(Ok(stream)) => {
                        stream.set_nodelay(true).map_err(lost)?;
                        return Ok(stream);
                    }
                    Ok(Err(error)) => last = lost(error),
                    Err(_) => last = Trouble::Late,
                }
            }
            Err(last)
        })
        .await
    }

    /// The talk in clear before STARTTLS: nothing of ours but the machine's name is said in it.
    async fn ask_for_tls(&self, tcp: TcpStream) -> Result<TcpStream, Fault> {
        let deadline = self.deadlines.command;
        let watch = Arc::new(Watch::default());
        let mut stream = Guarded::new(Wire::Plain(tcp), watch.clone());
        late(Phase::Greeting, deadline, exchange(&mut stream, &watch, "")).await?;
        watch.expect(Phase::Greeting, &[220])?;
        let hello = format!("EHLO {}\r\n", self.hello);
        let offered = late(Phase::Hello, deadline, exchange(&mut stream, &watch, &hello)).await?;
        watch.expect(Phase::Hello, &[250])?;
        let offers = offered.lines().any(|line| line.get(4..).is_some_and(|word| word.trim() == "STARTTLS"));
        let settings = |what: &str| Fault { phase: Phase::StartTls, trouble: Trouble::Settings(what.into()) };
        if !offers {
            return Err(settings("the relay offers no STARTTLS"));
        }
        late(Phase::StartTls, deadline, exchange(&mut stream, &watch, "STARTTLS\r\n")).await?;
        watch.expect(Phase::StartTls, &[220])?;
        // RFC 3207 6: what was said before the handshake must not count after it.
        match stream.into_wire() {
            Some(Wire::Plain(tcp)) => Ok(tcp),
            _ => Err(settings("somebody speaks into the connection before TLS")),
        }
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<Wire, Trouble> {
        let config = self.tls_config.clone().ok_or_else(|| Trouble::Settings("no TLS set up".into()))?;
        let name = rustls::pki_types::ServerName::try_from(self.host.clone())
            .map_err(|_| Trouble::Settings("the relay's host is no name that a certificate can hold".into()))?;
        match TlsConnector::from(config).connect(name, tcp).await {
            Ok(stream) => Ok(Wire::Tls(Box::new(stream))),
            Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(error) => Err(Trouble::Settings(format!("{error}"))),
                None => Err(lost(error)),
            },
        }
    }
}

impl Session {
    async fn authenticate(&mut self, credentials: &Credentials) -> Result<(), Fault> {
        if !DEFAULT_MECHANISMS.iter().any(|mechanism| self.conn.server_info().supports_auth_mechanism(*mechanism)) {
            let what = "the relay offers neither AUTH PLAIN nor LOGIN";
            return Err(Fault { phase: Phase::Auth, trouble: Trouble::Settings(what.into()) });
        }
        let answer = self.conn.auth(DEFAULT_MECHANISMS, credentials);
        match timeout(self.deadlines.command, answer).await {
            Ok(Ok(_)) => self.watch.expect(Phase::Auth, &[235]),
            Ok(Err(error)) => Err(self.watch.fault(Phase::Auth, &error)),
            Err(_) => {
                Err(self.watch.refusal(Phase::Auth).unwrap_or(Fault { phase: Phase::Auth, trouble: Trouble::Late }))
            }
        }
    }

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

impl Watch {
    /// A new command follows: earlier answers are none to it.
    fn forget(&self) {
        let mut seen = self.seen();
        (seen.last, seen.refusal) = (None, None);
    }

    /// The latest reply must have one of these codes.
    fn expect(&self, phase: Phase, good: &[u16]) -> Result<(), Fault> {
        let trouble = match self.seen().last.clone() {
            Some(reply) if good.contains(&reply.code) => return Ok(()),
            Some(reply) if reply.code >= 400 => Trouble::Refused(reply),
            Some(reply) => {
                let mut what = String::from("unexpected answer ");
                let _ = write!(what, "{} {}", reply.code, reply.text);
                Trouble::Odd(what)
            }
            None => Trouble::Odd("no answer".into()),
        };
        Err(Fault { phase, trouble })
    }

    /// The refusal that was heard, if one was.
    fn refusal(&self, phase: Phase) -> Option<Fault> {
        let seen = self.seen();
        let early = seen.early.as_ref().filter(|reply| reply.code >= 400);
        early.or(seen.refusal.as_ref()).cloned().map(|reply| Fault { phase, trouble: Trouble::Refused(reply) })
    }

    /// What lettre's error was about. Its own words are not used: they do not know the phase, and quote the server.
    fn fault(&self, phase: Phase, error: &lettre::transport::smtp::Error) -> Fault {
        if let Some(refusal) = self.refusal(phase) {
            return refusal;
        }
        if let Some(what) = self.seen().odd {
            return Fault { phase, trouble: Trouble::Odd(what.into()) };
        }
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            if let Some(error) = inner.downcast_ref::<io::Error>() {
                return Fault { phase, trouble: Trouble::Lost(error.kind().to_string()) };
            }
            source = inner.source();
        }
        if error.is_client() {
            return Fault { phase, trouble: Trouble::Settings("the relay's way to authenticate is not ours".into()) };
        }
        Fault { phase, trouble: Trouble::Lost("the connection ended".into()) }
    }
}

/// Says a command (or nothing, for the greeting) and gives the whole reply's lines.
async fn exchange(stream: &mut Guarded, watch: &Watch, command: &str) -> Result<String, Trouble> {
    let before = watch.seen().replies;
    let odd = |error: io::Error| match watch.seen().odd {
        Some(what) => Trouble::Odd(what.into()),
        None => lost(error),
    };
    if !command.is_empty() {
        stream.write_all(command.as_bytes()).await.map_err(odd)?;
    }
    let mut lines = Vec::new();
    loop {
        let mut chunk = [0u8; 1024];
        let some = stream.read(&mut chunk).await.map_err(odd)?;
        lines.extend_from_slice(&chunk[..some]);
        if some == 0 {
            return Err(Trouble::Lost("the connection ended".into()));
        }
        // A line fits the chunk (its text is cut well below), so the reply's last line was read to its end.
        if watch.seen().replies > before {
            return Ok(String::from_utf8_lossy(&lines).into_owned());
        }
    }
}

async fn late<T>(phase: Phase, deadline: Duration, what: impl Future<Output = Result<T, Trouble>>) -> Result<T, Fault> {
    match timeout(deadline, what).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(trouble)) => Err(Fault { phase, trouble }),
        Err(_) => Err(Fault { phase, trouble: Trouble::Late }),
    }
}

fn lost(error: io::Error) -> Trouble {
    Trouble::Lost(error.kind().to_string())
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

/// Whether a host, as written, means this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_sends_without_delay() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            tls: SmtpTls::None,
            tls_config: None,
            credentials: None,
            hello: ClientId::default(),
            deadlines: Deadlines::default(),
        };
        // tokio's `nodelay` asks the kernel (getsockopt).
        assert!(relay.dial().await.unwrap().nodelay().unwrap());
    }

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

    #[test]
    fn loopback_is_told_from_the_rest_of_the_world() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["mail.office.example", "10.0.0.1", "localhost.example", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
