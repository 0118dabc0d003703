//! A mail server that keeps what it takes in a journal, and misbehaves as told.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use super::Server;
pub use super::{
    certificate::Certificate,
    fault::{Act, Fault, Point},
};

/// A message as taken.
#[derive(Debug, Clone)]
pub struct Received {
    /// Which connection, from 1.
    pub connection: u64,
    pub tls: bool,
    /// As in MAIL and RCPT, without brackets.
    pub from: String,
    pub to: Vec<String>,
    /// Without dot-stuffing and final dot.
    pub bytes: Vec<u8>,
    /// A line that did not end by CR LF was in it.
    pub bare_line_end: bool,
    /// Its 250 was written.
    pub answered: bool,
}

/// Something that happened on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Opened,
    /// A command, as it came.
    Heard(String),
    /// A final dot was read.
    Dot,
    /// What was said, without its line end.
    Said(String),
    Closed,
}

impl Received {
    /// A header's value, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.bytes).replace("\r\n ", " ").replace("\r\n\t", " ");
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    pub fn message_id(&self) -> String {
        self.header("Message-ID").unwrap_or_default()
    }
}

/// How the wire is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    Plain,
    Implicit,
    StartTls,
}

/// What kind of server it is, beside its faults.
pub struct Setup {
    /// 0: a free one.
    pub port: u16,
    pub security: Security,
    pub certificate: Certificate,
    /// With `Security::StartTls`: whether EHLO offers it (an attacker in between takes it away).
    pub offer_starttls: bool,
    /// User and password; None: AUTH is not offered.
    pub login: Option<(String, String)>,
    /// The mechanisms offered.
    pub mechanisms: String,
    /// More connections at once are turned away by 421.
    pub most_connections: usize,
    /// The largest message, in bytes: announced, and refused by 552 at its dot beyond.
    pub size: usize,
    /// Whether EHLO offers to take several commands in one flight.
    pub pipelining: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            port: 0,
            security: Security::Plain,
            certificate: Certificate::new(),
            offer_starttls: true,
            login: None,
            mechanisms: "PLAIN LOGIN".into(),
            most_connections: usize::MAX,
            size: 52_428_800,
            pipelining: false,
        }
    }
}

#[derive(Default)]
struct State {
    faults: Vec<Fault>,
    journal: Vec<Received>,
    /// (connection, line) of each command.
    commands: Vec<(u64, String)>,
    /// (connection, what) of everything, in order.
    events: Vec<(u64, Event)>,
    /// All bytes that came outside TLS.
    clear: Vec<u8>,
    greylisted: HashSet<String>,
    turned_away: HashMap<String, u32>,
    connections: u64,
    open: usize,
    most_open: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server.
pub struct SmtpSink {
    shared: Arc<Shared>,
    server: Server,
    pub pem: String,
}

impl SmtpSink {
    /// In clear, without AUTH, taking everything.
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let shared = Arc::new(Shared::default());
        let pem = setup.certificate.pem.clone();
        let port = setup.port;
        let (state, setup) = (shared.clone(), Arc::new(setup));
        let server = Server::start(port, move |stream, number| {
            let (shared, setup) = (state.clone(), setup.clone());
            async move {
                let full = {
                    let mut state = shared.lock();
                    state.connections += 1;
                    state.open += 1;
                    state.most_open = state.most_open.max(state.open);
                    state.events.push((number, Event::Opened));
                    state.open > setup.most_connections
                };
                let mut session = Session::new(stream, number, &setup, &shared);
                // None: somebody hung up, as many of the faults are meant to.
                let _ = if full {
                    session.say("421 4.7.0 too many connections from you").await
                } else {
                    session.serve().await
                };
                drop(session);
                {
                    let mut state = shared.lock();
                    state.open -= 1;
                    state.events.push((number, Event::Closed));
                }
                shared.changed.notify_all();
            }
        });
        Self { shared, server, pem }
    }

    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push(fault);
    }

    /// From now on it behaves.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// All that was taken, in order.
    pub fn journal(&self) -> Vec<Received> {
        self.shared.lock().journal.clone()
    }

    /// All that was taken since the last time, and forgets it: for runs that would fill the memory.
    pub fn drain(&self) -> Vec<Received> {
        let mut state = self.shared.lock();
        state.events.clear();
        state.commands.clear();
        std::mem::take(&mut state.journal)
    }

    /// How many were taken.
    pub fn taken(&self) -> usize {
        self.shared.lock().journal.len()
    }

    /// Waits until `enough` messages were taken; gives what there is after `limit`.
    pub fn wait_for(&self, enough: usize, limit: Duration) -> Vec<Received> {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| state.journal.len() < enough);
        waited.unwrap_or_else(PoisonError::into_inner).0.journal.clone()
    }

    /// Waits until no connection is open; false after `limit`.
    pub fn wait_closed(&self, limit: Duration) -> bool {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| state.open > 0);
        waited.unwrap_or_else(PoisonError::into_inner).0.open == 0
    }

    /// Each command's first word, in capitals, in order; all connections together.
    pub fn verbs(&self) -> Vec<String> {
        let state = self.shared.lock();
        let first = |line: &String| line.split_whitespace().next().unwrap_or_default().to_uppercase();
        state.commands.iter().map(|(_, line)| first(line)).collect()
    }

    /// (connection, line) of each command.
    pub fn commands(&self) -> Vec<(u64, String)> {
        self.shared.lock().commands.clone()
    }

    /// (connection, what) of everything that happened, in order.
    pub fn events(&self) -> Vec<(u64, Event)> {
        self.shared.lock().events.clone()
    }

    /// All bytes that came outside TLS.
    pub fn in_clear(&self) -> Vec<u8> {
        self.shared.lock().clear.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// The most connections that were open at once.
    pub fn most_open(&self) -> usize {
        self.shared.lock().most_open
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

struct Session<'a> {
    io: Option<Box<dyn Io>>,
    number: u64,
    tls: bool,
    setup: &'a Setup,
    shared: &'a Shared,
    buffer: Vec<u8>,
    from: Option<String>,
    to: Vec<String>,
    authenticated: bool,
    /// Said before the next answer.
    lag: Option<String>,
}

impl<'a> Session<'a> {
    fn new(stream: TcpStream, number: u64, setup: &'a Setup, shared: &'a Shared) -> Self {
        Self {
            io: Some(Box::new(stream)),
            number,
            tls: false,
            setup,
            shared,
            buffer: Vec::new(),
            from: None,
            to: Vec::new(),
            authenticated: false,
            lag: None,
        }
    }

    async fn serve(&mut self) -> Option<()> {
        if self.setup.security == Security::Implicit {
            self.accept_tls().await?;
        }
        self.answer(Point::Connect, "220 sink.example ESMTP").await?;
        loop {
            let line = self.line().await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            {
                let mut state = self.shared.lock();
                state.commands.push((self.number, line.clone()));
                state.events.push((self.number, Event::Heard(line.clone())));
            }
            if let Some(late) = self.lag.take() {
                self.say(&late).await?;
            }
            let mut words = line.splitn(2, ' ');
            let verb = words.next().unwrap_or_default().to_uppercase();
            let rest = words.next().unwrap_or_default();
            match verb.as_str() {
                "EHLO" => {
                    let hello = self.hello();
                    self.answer(Point::Ehlo, &hello).await?;
                }
                "STARTTLS" => {
                    self.answer(Point::StartTls, "220 2.0.0 go ahead").await?;
                    self.accept_tls().await?;
                }
                "AUTH" => self.auth(rest).await?,
                "MAIL" => {
                    let usual = if self.setup.login.is_some() && !self.authenticated {
                        "530 5.7.0 authentication required"
                    } else {
                        "250 2.1.0 ok"
                    };
                    if self.answer(Point::Mail, usual).await? {
                        self.from = Some(bracketed(rest));
                    }
                }
                "RCPT" => {
                    let recipient = bracketed(rest);
                    self.to.push(recipient.clone());
                    let usual = if self.from.is_some() { "250 2.1.5 ok" } else { "503 5.5.1 MAIL first" };
                    if !self.answer(Point::Rcpt, usual).await? {
                        self.to.retain(|known| *known != recipient);
                    }
                }
                "DATA" => {
                    let usual = if self.to.is_empty() { "503 5.5.1 RCPT first" } else { "354 end with ." };
                    if self.answer(Point::Data, usual).await? {
                        self.data().await?;
                    }
                }
                "RSET" => {
                    self.from = None;
                    self.to.clear();
                    self.answer(Point::Rset, "250 2.0.0 ok").await?;
                }
                "NOOP" => {
                    self.answer(Point::Noop, "250 2.0.0 ok").await?;
                }
                "QUIT" => {
                    self.answer(Point::Quit, "221 2.0.0 bye").await?;
                    return None;
                }
                _ => self.say("500 5.5.2 what?").await?,
            }
        }
    }

    fn hello(&self) -> String {
        let size = format!("SIZE {}", self.setup.size);
        let mut lines = vec!["sink.example", "8BITMIME", &size];
        if self.setup.security == Security::StartTls && self.setup.offer_starttls && !self.tls {
            lines.push("STARTTLS");
        }
        if self.setup.pipelining {
            lines.push("Pipelining");
        }
        let auth = format!("AUTH {}", self.setup.mechanisms);
        if self.setup.login.is_some() {
            lines.push(&auth);
        }
        let last = lines.len() - 1;
        let line = |(at, line): (usize, &&str)| format!("250{}{line}", if at == last { ' ' } else { '-' });
        lines.iter().enumerate().map(line).collect::<Vec<_>>().join("\r\n")
    }

    async fn auth(&mut self, rest: &str) -> Option<()> {
        let mut words = rest.split(' ');
        let mechanism = words.next().unwrap_or_default().to_uppercase();
        let given = match mechanism.as_str() {
            "PLAIN" => {
                let text = decoded(words.next().unwrap_or_default());
                let mut parts = text.split('\0').skip(1).map(str::to_owned);
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
            }
            _ => {
                self.say("334 VXNlcm5hbWU6").await?;
                let user = self.line().await?;
                self.say("334 UGFzc3dvcmQ6").await?;
                let password = self.line().await?;
                let text = |line: Vec<u8>| decoded(String::from_utf8_lossy(&line).trim_end());
                (text(user), text(password))
            }
        };
        let right = self.setup.login.as_ref() == Some(&given);
        let usual = if right { "235 2.7.0 welcome" } else { "535 5.7.8 authentication failed" };
        self.authenticated = self.answer(Point::Auth, usual).await? && right;
        Some(())
    }

    async fn data(&mut self) -> Option<()> {
        let (mut bytes, mut bare_line_end, mut first) = (Vec::new(), false, true);
        loop {
            let line = self.line().await?;
            if line == b".\r\n" {
                break;
            }
            if std::mem::take(&mut first) && !self.strike(Point::Body).await? {
                return None;
            }
            bare_line_end |= !line.ends_with(b"\r\n") || line[..line.len() - 2].contains(&b'\r');
            bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let received = Received {
            connection: self.number,
            tls: self.tls,
            from: self.from.clone().unwrap_or_default(),
            to: self.to.clone(),
            bytes,
            bare_line_end,
            answered: false,
        };
        self.shared.lock().events.push((self.number, Event::Dot));
        match self.fault(Point::Dot) {
            Some(Act::TakeThenClose) => {
                self.take(received).await?;
                return None;
            }
            Some(Act::TakeThenHang) => {
                self.take(received).await?;
                return self.hang().await;
            }
            Some(Act::TakeThenSay(reply)) => {
                self.take(received).await?;
                self.say(&reply).await?;
            }
            Some(Act::Late(delay)) => {
                tokio::time::sleep(delay).await;
                self.take_and_answer(received, "").await?;
            }
            Some(Act::Extra(extra)) => self.take_and_answer(received, &format!("\r\n{extra}")).await?,
            Some(Act::Do(hook)) => {
                hook.call();
                self.take_and_answer(received, "").await?;
            }
            Some(act) => {
                self.act(act, "").await?;
            }
            None if received.bytes.len() > self.setup.size => self.say("552 5.3.4 too big").await?,
            None => self.take_and_answer(received, "").await?,
        }
        self.from = None;
        self.to.clear();
        Some(())
    }

    /// Puts a message into the journal; where in it.
    async fn take(&mut self, received: Received) -> Option<usize> {
        let place = {
            let mut state = self.shared.lock();
            state.journal.push(received);
            state.journal.len() - 1
        };
        self.shared.changed.notify_all();
        self.strike(Point::Taken).await?.then_some(place)
    }

    async fn take_and_answer(&mut self, received: Received, more: &str) -> Option<()> {
        let place = self.take(received).await?;
        self.say(&format!("250 2.0.0 Ok: queued{more}")).await?;
        if let Some(received) = self.shared.lock().journal.get_mut(place) {
            received.answered = true;
        }
        self.strike(Point::Answered).await?.then_some(())
    }

    /// The fault that strikes now, if one does; counts it.
    fn fault(&self, at: Point) -> Option<Act> {
        let mut state = self.shared.lock();
        let State { faults, greylisted, turned_away, .. } = &mut *state;
        let fits = |fault: &&mut Fault| {
            fault.at == at && fault.times > 0 && fault.to.as_ref().is_none_or(|to| self.to.contains(to))
        };
        let fault = faults.iter_mut().find(fits)?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        if matches!(fault.act, Act::Greylist) {
            let recipient = self.to.last().cloned().unwrap_or_default();
            return greylisted.insert(recipient).then(|| Act::say("451 4.7.1 greylisted, come back"));
        }
        if let Act::GreylistFor(often) = fault.act {
            let so_far = turned_away.entry(self.to.last().cloned().unwrap_or_default()).or_default();
            *so_far += 1;
            return (*so_far <= often).then(|| Act::say("450 4.7.1 greylisted, come back"));
        }
        fault.times = fault.times.saturating_sub(u32::from(fault.times != u32::MAX));
        Some(fault.act.clone())
    }

    /// Answers, as usual or as a fault says. Some(true): as usual, and positive.
    async fn answer(&mut self, at: Point, usual: &str) -> Option<bool> {
        match self.fault(at) {
            None => {
                self.say(usual).await?;
                Some(usual.starts_with(['2', '3']))
            }
            Some(act) => self.act(act, usual).await,
        }
    }

    /// Whether to go on as if nothing had been.
    async fn strike(&mut self, at: Point) -> Option<bool> {
        match self.fault(at) {
            None => Some(true),
            Some(act) => self.act(act, "").await,
        }
    }

    async fn act(&mut self, act: Act, usual: &str) -> Option<bool> {
        match act {
            Act::Say(reply) => self.say(&reply).await.map(|()| false),
            Act::SayThenClose(reply) => {
                self.say(&reply).await?;
                None
            }
            Act::Raw(bytes) => self.write(&bytes).await.map(|()| false),
            Act::Hang => self.hang().await.map(|()| false),
            Act::EndlessLines => loop {
                self.write(b"250-and another line\r\n").await?;
            },
            Act::EndlessLine => {
                self.write(b"250 ").await?;
                loop {
                    self.write(&[b'x'; 1024]).await?;
                }
            }
            Act::Drip(reply, apart) => {
                for byte in reply.bytes() {
                    self.write(&[byte]).await?;
                    tokio::time::sleep(apart).await;
                }
                self.write(b"\r\n").await.map(|()| false)
            }
            Act::Late(delay) => {
                tokio::time::sleep(delay).await;
                self.say(usual).await.map(|()| true)
            }
            Act::Extra(extra) => self.say(&format!("{usual}\r\n{extra}")).await.map(|()| true),
            Act::Lag(reply) => {
                self.lag = Some(reply);
                self.say(usual).await.map(|()| true)
            }
            Act::RawThenClose(bytes) => {
                self.write(&bytes).await?;
                None
            }
            Act::RawThenHang(bytes) => {
                self.write(&bytes).await?;
                self.hang().await.map(|()| false)
            }
            Act::Do(hook) => {
                hook.call();
                if !usual.is_empty() {
                    self.say(usual).await?;
                }
                Some(usual.is_empty() || usual.starts_with(['2', '3']))
            }
            Act::Close
            | Act::Greylist
            | Act::GreylistFor(_)
            | Act::TakeThenClose
            | Act::TakeThenHang
            | Act::TakeThenSay(_) => None,
        }
    }

    /// Neither reads nor says anything until the client goes away; a client's bytes then still in the socket's
    /// buffers are read to see it go.
    async fn hang(&mut self) -> Option<()> {
        let mut chunk = [0u8; 1];
        let io = self.io.as_mut()?;
        while io.read(&mut chunk).await.ok()? > 0 {
            // Slower than any deadline in use: to the client it stands still.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        None
    }

    async fn accept_tls(&mut self) -> Option<()> {
        let io = self.io.take()?;
        let stream = self.setup.certificate.acceptor().accept(io).await.ok()?;
        self.io = Some(Box::new(stream));
        self.tls = true;
        self.buffer.clear();
        Some(())
    }

    async fn say(&mut self, reply: &str) -> Option<()> {
        self.shared.lock().events.push((self.number, Event::Said(reply.to_owned())));
        self.write(format!("{reply}\r\n").as_bytes()).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        let io = self.io.as_mut()?;
        io.write_all(bytes).await.ok()?;
        io.flush().await.ok()
    }

    /// One line with its end.
    async fn line(&mut self) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                return Some(self.buffer.drain(..=searched + end).collect());
            }
            searched = self.buffer.len();
            let some = self.io.as_mut()?.read_buf(&mut self.buffer).await.ok()?;
            if some == 0 {
                return None;
            }
            if !self.tls && self.setup.security != Security::Plain {
                let fresh = &self.buffer[searched..];
                self.shared.lock().clear.extend_from_slice(fresh);
            }
        }
    }
}

fn bracketed(text: &str) -> String {
    let inner = text.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

/// Base64 without a crate for it.
fn decoded(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut held, mut bytes) = (0u32, 0, Vec::new());
    for value in text.bytes().filter_map(|byte| LETTERS.iter().position(|letter| *letter == byte)) {
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
