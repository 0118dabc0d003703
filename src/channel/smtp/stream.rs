//! The wire under lettre's connection: shows it well-formed replies only, one at a time, of bounded size, and remembers
//! what lettre's errors do not say: each reply's code, whether the server spoke out of turn, and whether the final dot
//! has left. It never decides what an answer means.
//!
//! What lettre 0.11.23 would otherwise do with a server's oddities: panic at a blank EHLO line (`extension.rs`), take
//! a reply without text (`250` CRLF, allowed by RFC 5321 4.2) or with a byte that is no UTF-8 for a broken connection,
//! which after the final dot means a second copy; miss keywords in small letters; read without end up to a newline.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};
use tokio_rustls::client::TlsStream;

/// The most bytes of one reply, all its lines together.
pub(super) const MOST_REPLY: usize = 64 * 1024;
/// The most lines of one reply (lettre parses anew from the first at each line).
const MOST_LINES: usize = 256;
/// The most of a line's text that is shown to lettre (its own limit is 1,000 with the rest) and kept for outcomes.
const MOST_TEXT: usize = 400;

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Its first lines' text on one line; not yet fit for a log.
    pub text: String,
}

/// What the wire has seen, shared with the session that drives it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A command or the final dot has left and its reply is not complete.
    awaiting: bool,
    /// Between 354 and the final dot.
    in_data: bool,
    /// The last bytes of the message, to recognise the final dot (dot-stuffing keeps it out of the body).
    tail: [u8; 5],
    /// The final dot has left: from here on the message may have been taken.
    pub dot_out: bool,
    /// All bytes that left, to see whether a body moves.
    pub written: u64,
    /// Complete replies so far.
    pub replies: u32,
    /// The code of the first reply.
    pub greeting: Option<u16>,
    /// The latest complete reply.
    pub last: Option<Reply>,
    /// The latest refusal: where lettre says QUIT after one, `last` is the answer to that.
    pub refusal: Option<Reply>,
    /// What the server said out of turn, where it was a reply.
    pub early: Option<Reply>,
    /// What was wrong with the server's speech.
    pub odd: Option<&'static str>,
    /// EHLO's keywords are shown in capitals until the session is open (RFC 5321 2.4: case does not matter).
    pub open: bool,
    /// EHLO named PIPELINING (RFC 2920): several commands may leave before the first is answered.
    pub pipelining: bool,
}

/// The session's hold on what its wire has seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Mutex<Seen>,
    /// Rung when the final dot has left.
    pub dot: Notify,
}

impl Watch {
    /// What was seen so far. Never held across an await.
    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message's bytes follow, up to the final dot.
    pub fn begin_data(&self) {
        let mut seen = self.seen();
        // The CRLF that ends `DATA` counts: a message without a byte ends by dot and CRLF alone.
        (seen.in_data, seen.dot_out, seen.tail) = (true, false, *b"\0\0\0\0\0");
    }
}

/// The bytes' way: in clear or in TLS.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A [`Wire`] with its watch.
pub(super) struct Guarded {
    wire: Wire,
    watch: Arc<Watch>,
    /// Bytes read and not yet made into a line.
    raw: Vec<u8>,
    /// One well-formed line that lettre has not read to its end.
    line: Vec<u8>,
    given: usize,
    /// Of the reply in hand.
    bytes: usize,
    lines: usize,
    code: u16,
    text: String,
}

impl Guarded {
    pub fn new(wire: Wire, watch: Arc<Watch>) -> Self {
        watch.seen().awaiting = true;
        Self {
            wire,
            watch,
            raw: Vec::new(),
            line: Vec::new(),
            given: 0,
            bytes: 0,
            lines: 0,
            code: 0,
            text: String::new(),
        }
    }

    /// After STARTTLS no greeting comes, but lettre waits for one: it is given this.
    pub fn greeted(mut self) -> Self {
        self.raw = b"220 in TLS\r\n".to_vec();
        self
    }

    /// The wire again, for an upgrade. None where the server has already said more than it was asked.
    pub fn into_wire(self) -> Option<Wire> {
        (self.raw.is_empty() && self.given == self.line.len()).then_some(self.wire)
    }

    /// Takes one line out of `raw` and makes it the line to give. Ok(false): no whole line there yet.
    fn next_line(&mut self) -> Result<bool, &'static str> {
        let Some(end) = self.raw.iter().position(|byte| *byte == b'\n') else {
            return if self.bytes + self.raw.len() > MOST_REPLY { Err("an endless reply") } else { Ok(false) };
        };
        let raw: Vec<u8> = self.raw.drain(..=end).collect();
        self.bytes += raw.len();
        self.lines += 1;
        if self.bytes > MOST_REPLY || self.lines > MOST_LINES {
            return Err("an endless reply");
        }
        let (code, more, text) = parse(&raw).ok_or("not an SMTP reply")?;
        if self.lines > 1 && code != self.code {
            return Err("a reply with two codes");
        }
        self.code = code;
        if self.text.len() < MOST_TEXT {
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(&text);
        }
        let mut seen = self.watch.seen();
        let shown = if text.is_empty() { "-".to_owned() } else { text };
        let shown = if seen.open { shown } else { shown.to_uppercase() };
        seen.pipelining |= !seen.open && code == 250 && shown == "PIPELINING";
        self.line = format!("{code}{}{shown}\r\n", if more { '-' } else { ' ' }).into_bytes();
        self.given = 0;
        if !more {
            seen.awaiting = false;
            seen.replies += 1;
            seen.greeting.get_or_insert(code);
            let reply = Reply { code, text: std::mem::take(&mut self.text) };
            if code >= 400 {
                seen.refusal = Some(reply.clone());
            }
            seen.last = Some(reply);
            (self.bytes, self.lines) = (0, 0);
        }
        Ok(true)
    }

    /// Reads what the wire has. Ok(0): its end.
    fn fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0u8; 2048];
        let mut buf = ReadBuf::new(&mut chunk);
        match self.wire.read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                self.raw.extend_from_slice(buf.filled());
                Poll::Ready(Ok(buf.filled().len()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Before something is said: the server must be silent and still there.
    fn in_turn(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.raw.is_empty() {
            match self.fill(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(self.odd("the server had closed the connection")),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(_)) => {}
            }
        }
        let mut lines = self.raw.split_inclusive(|byte| *byte == b'\n');
        if let Some((code, _, text)) = lines.next().and_then(parse) {
            self.watch.seen().early = Some(Reply { code, text });
        }
        Err(self.odd("the server spoke out of turn"))
    }

    fn odd(&self, what: &'static str) -> io::Error {
        self.watch.seen().odd = Some(what);
        io::Error::new(io::ErrorKind::InvalidData, what)
    }

    /// Notes what has left.
    fn left(&self, sent: &[u8]) {
        let mut seen = self.watch.seen();
        seen.written += sent.len() as u64;
        if !seen.in_data {
            seen.awaiting = true;
            return;
        }
        for byte in &sent[sent.len().saturating_sub(5)..] {
            seen.tail.rotate_left(1);
            seen.tail[4] = *byte;
        }
        if seen.tail == *b"\r\n.\r\n" {
            (seen.in_data, seen.awaiting, seen.dot_out) = (false, true, true);
            drop(seen);
            self.watch.dot.notify_one();
        }
    }
}

/// `250-text` as (code, more lines follow, text), whatever the text's bytes and line end.
fn parse(raw: &[u8]) -> Option<(u16, bool, String)> {
    let line = raw.trim_ascii_end();
    let (code, rest) = line.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || !(b'2'..=b'5').contains(&code[0]) || code[1] > b'5' {
        return None;
    }
    let more = match rest.first() {
        None | Some(b' ') => false,
        Some(b'-') => true,
        Some(_) => return None,
    };
    let code = code.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let text = String::from_utf8_lossy(rest.get(1..).unwrap_or_default());
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = text.trim().to_owned();
    if let Some((cut, _)) = text.char_indices().find(|(at, c)| at + c.len_utf8() > MOST_TEXT) {
        text.truncate(cut);
    }
    Some((code, more, text))
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        while me.given == me.line.len() {
            match me.next_line() {
                Ok(true) => break,
                Ok(false) => {}
                Err(what) => return Poll::Ready(Err(me.odd(what))),
            }
            match std::task::ready!(me.fill(cx)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let some = buf.remaining().min(me.line.len() - me.given);
        buf.put_slice(&me.line[me.given..me.given + some]);
        me.given += some;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        if !me.watch.seen().awaiting {
            me.in_turn(cx)?;
        }
        let some = std::task::ready!(me.wire.write(cx, buf));
        match some {
            Ok(some) => me.left(&buf[..some]),
            // The server may have said why before it closed.
            Err(_) if !me.watch.seen().dot_out => {
                let _ = me.in_turn(cx);
            }
            Err(_) => {}
        }
        Poll::Ready(some)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl Wire {
    fn read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn tcp(&self) -> &TcpStream {
        match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl AsyncTokioStream for Guarded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.wire.tcp().peer_addr()
    }
}

impl fmt::Debug for Guarded {
    /// No bytes: they may be a message or a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guarded(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_line_is_read_whatever_its_text_and_line_end() {
        #[track_caller]
        fn check(raw: &[u8], expected: Option<(u16, bool, &str)>) {
            assert_eq!(parse(raw), expected.map(|(code, more, text)| (code, more, text.to_owned())));
        }
        check(b"250 2.0.0 Ok\r\n", Some((250, false, "2.0.0 Ok")));
        check(b"250-SIZE 10\r\n", Some((250, true, "SIZE 10")));
        check(b"250\r\n", Some((250, false, "")));
        check(b"250-   \r\n", Some((250, true, "")));
        check(b"250 ok\n", Some((250, false, "ok")));
        check(b"250 \xe9\x07t\xe9\r\n", Some((250, false, "\u{fffd} t\u{fffd}")));
        check(b"25\r\n", None);
        check(b"HTTP/1.1 400 Bad Request\r\n", None);
        check(b"2500 x\r\n", None);
        check(b"950 x\r\n", None);
        check(b"", None);
    }

    #[test]
    fn text_of_any_script_is_cut_between_characters() {
        let (_, _, text) = parse(format!("250 {}", "ế".repeat(1_000)).as_bytes()).unwrap();
        assert!(text.len() <= MOST_TEXT && text.chars().all(|c| c == 'ế'), "{}", text.len());
    }
}
