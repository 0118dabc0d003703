//! What a mail server is told to do wrong: where, for whom, how often.

use std::{fmt, sync::Arc, time::Duration};

/// Where in the conversation a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// Once the first line of the message was read.
    Body,
    /// Once the final dot was read.
    Dot,
    /// Once the message stands in the journal, before its answer. For [`Act::Do`].
    Taken,
    /// Once its 250 was written. For [`Act::Do`].
    Answered,
    Rset,
    Noop,
    Quit,
}

/// What happens there instead of the usual answer.
#[derive(Debug, Clone)]
pub enum Act {
    /// This reply (CR LF is added).
    Say(String),
    SayThenClose(String),
    /// These bytes, as they are.
    Raw(Vec<u8>),
    Close,
    /// No answer as long as the client stays.
    Hang,
    /// Lines of one reply without end.
    EndlessLines,
    /// One line without end.
    EndlessLine,
    /// This reply a byte at a time, so far apart.
    Drip(String, Duration),
    /// The usual answer, later.
    Late(Duration),
    /// The usual answer, and more that nobody asked for.
    Extra(String),
    /// The usual answer; this one once the next command was read, before that one's answer: a step behind from here on.
    Lag(String),
    /// These bytes, then the end: a reply cut in the middle.
    RawThenClose(Vec<u8>),
    /// These bytes, then silence.
    RawThenHang(Vec<u8>),
    /// This is done, then all goes on as usual: a test that acts at exactly this moment.
    Do(Hook),
    /// `Rcpt` only: 451 the first time for each recipient.
    Greylist,
    /// `Rcpt` only: 450 so often for each recipient.
    GreylistFor(u32),
    /// `Dot` only: the message is taken, then the connection ends without an answer.
    TakeThenClose,
    /// `Dot` only: the message is taken, no answer comes.
    TakeThenHang,
    /// `Dot` only: the message is taken, and this is said of it.
    TakeThenSay(String),
}

/// What a test does at a moment of the conversation, on the server's thread.
#[derive(Clone)]
pub struct Hook(Arc<dyn Fn() + Send + Sync>);

impl Hook {
    pub(super) fn new(what: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(what))
    }

    pub(super) fn call(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hook")
    }
}

impl Act {
    /// See [`Act::Do`].
    pub fn call(what: impl Fn() + Send + Sync + 'static) -> Self {
        Act::Do(Hook::new(what))
    }

    pub fn say(reply: &str) -> Self {
        Act::Say(reply.to_owned())
    }
}

/// A fault: where, for whom, when, what.
#[derive(Debug, Clone)]
pub struct Fault {
    pub(super) at: Point,
    pub(super) act: Act,
    pub(super) to: Option<String>,
    pub(super) skip: u32,
    pub(super) times: u32,
}

impl Fault {
    /// Always, for everyone.
    pub fn at(at: Point, act: Act) -> Self {
        Self { at, act, to: None, skip: 0, times: u32::MAX }
    }

    /// Only for transactions with this recipient (from RCPT on).
    pub fn to(mut self, recipient: &str) -> Self {
        self.to = Some(recipient.to_owned());
        self
    }

    /// The first so many times it does not strike.
    pub fn skip(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Then it strikes so often.
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    pub fn once(self) -> Self {
        self.times(1)
    }
}
