//! A Zalo relay's receiving end: keeps each POST, checks its signature, and misbehaves as told.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Server, fault::Hook};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Post {
    /// `POST /zalo HTTP/1.1`.
    pub request: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// Which of the sink's secrets signed it, if one did.
    pub signed_by: Option<usize>,
    /// Whether it was answered 2xx.
    pub taken: bool,
}

impl Post {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What happens instead of 200.
#[derive(Debug, Clone)]
pub enum Act {
    /// Status, headers, body.
    Answer(u16, Vec<(String, String)>, String),
    Hang,
    Close,
    /// 200, and a body without end.
    Endless,
    /// 200, a body announced, and the connection cut before it.
    Cut,
    /// 200, later.
    Late(Duration),
    /// No HTTP at all.
    Garbage,
    /// The connection ends before the request was read.
    CloseUnread,
    /// 200, its head a byte at a time, so far apart.
    DripHead(Duration),
    /// 200, its body a byte at a time, so far apart.
    DripBody(Duration),
    /// This is done once the request was read, then 200.
    Do(Hook),
}

impl Act {
    pub fn status(status: u16) -> Self {
        Act::Answer(status, Vec::new(), String::new())
    }

    /// See [`Act::Do`].
    pub fn call(what: impl Fn() + Send + Sync + 'static) -> Self {
        Act::Do(Hook::new(what))
    }

    pub fn with_header(status: u16, name: &str, value: &str) -> Self {
        Act::Answer(status, vec![(name.into(), value.into())], String::new())
    }
}

#[derive(Default)]
struct State {
    /// (how often still, what); the first is in force.
    acts: Vec<(u32, Act)>,
    posts: Vec<Post>,
    connections: u64,
}

impl State {
    /// What happens to the request in hand; counts it.
    fn next_act(&mut self) -> Option<Act> {
        let act = self.acts.first_mut().map(|(times, act)| {
            *times = times.saturating_sub(u32::from(*times != u32::MAX));
            act.clone()
        });
        self.acts.retain(|(times, _)| *times > 0);
        act
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    secrets: Vec<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_unread(&self) -> bool {
        let mut state = self.lock();
        matches!(state.acts.first(), Some((_, Act::CloseUnread))) && state.next_act().is_some()
    }
}

/// The receiver.
pub struct ZaloSink {
    shared: Arc<Shared>,
    server: Server,
}

impl ZaloSink {
    /// Knows these secrets; takes everything.
    pub fn start(secrets: &[&str]) -> Self {
        Self::start_on(0, secrets)
    }

    /// The same on a given port: one that was away comes back.
    pub fn start_on(port: u16, secrets: &[&str]) -> Self {
        let secrets = secrets.iter().map(|secret| (*secret).to_owned()).collect();
        let shared = Arc::new(Shared { secrets, ..Shared::default() });
        let state = shared.clone();
        let server = Server::start(port, move |stream, _| {
            let shared = state.clone();
            async move {
                shared.lock().connections += 1;
                let _ = serve(stream, &shared).await;
            }
        });
        Self { shared, server }
    }

    pub fn port(&self) -> u16 {
        self.server.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/zalo", self.server.address)
    }

    /// From now on this, so often (`u32::MAX`: always), after what was ordered before.
    pub fn act(&self, times: u32, act: Act) {
        self.shared.lock().acts.push((times, act));
    }

    /// From now on it behaves.
    pub fn heal(&self) {
        self.shared.lock().acts.clear();
    }

    pub fn posts(&self) -> Vec<Post> {
        self.shared.lock().posts.clone()
    }

    /// Waits until `enough` requests came; gives what there is after `limit`.
    pub fn wait_for(&self, enough: usize, limit: Duration) -> Vec<Post> {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| state.posts.len() < enough);
        waited.unwrap_or_else(PoisonError::into_inner).0.posts.clone()
    }

    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }
}

async fn serve(mut stream: TcpStream, shared: &Shared) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        if shared.take_unread() {
            return None;
        }
        let post = request(&mut stream, &mut buffer, shared).await?;
        let act = {
            let mut state = shared.lock();
            let act = state.next_act();
            let taken = match &act {
                None | Some(Act::Endless | Act::Cut | Act::Late(_) | Act::DripBody(_) | Act::Do(_)) => true,
                Some(Act::Answer(status, ..)) => (200..300).contains(status),
                Some(_) => false,
            };
            state.posts.push(Post { taken, ..post });
            act
        };
        shared.changed.notify_all();
        let say = match act.unwrap_or(Act::status(200)) {
            Act::Answer(status, headers, body) => answer(status, &headers, &body),
            Act::Hang => {
                while stream.read(&mut [0u8; 64]).await.ok()? > 0 {}
                return None;
            }
            Act::Close => return None,
            Act::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"8\r\nendless \r\n").await.ok()?;
                }
            }
            Act::Cut => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await.ok()?;
                return None;
            }
            Act::Late(delay) => {
                tokio::time::sleep(delay).await;
                answer(200, &[], "")
            }
            Act::Garbage => "what?\r\n\r\n".into(),
            Act::CloseUnread => return None,
            Act::Do(hook) => {
                hook.call();
                answer(200, &[], "")
            }
            Act::DripHead(apart) => return drip(&mut stream, &answer(200, &[], ""), apart).await,
            Act::DripBody(apart) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await.ok()?;
                return drip(&mut stream, &"x".repeat(1000), apart).await;
            }
        };
        stream.write_all(say.as_bytes()).await.ok()?;
    }
}

async fn drip(stream: &mut TcpStream, text: &str, apart: Duration) -> Option<()> {
    for byte in text.bytes() {
        stream.write_all(&[byte]).await.ok()?;
        tokio::time::sleep(apart).await;
    }
    None
}

fn answer(status: u16, headers: &[(String, String)], body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>, shared: &Shared) -> Option<Post> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..head_end]).into_owned();
    buffer.drain(..head_end + 4);
    let mut lines = head.lines();
    let request = lines.next().unwrap_or_default().to_owned();
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: BTreeMap<String, String> = lines.filter_map(header).collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
    let body: Vec<u8> = buffer.drain(..length).collect();
    let signed_by = shared.secrets.iter().position(|secret| is_signed(secret, &headers, &body));
    Some(Post { request, headers, body, signed_by, taken: false })
}

fn is_signed(secret: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> bool {
    let (Some(timestamp), Some(signature)) = (headers.get("x-dondoc-timestamp"), headers.get("x-dondoc-signature"))
    else {
        return false;
    };
    let Some(signature) = signature.strip_prefix("sha256=").and_then(|hex| hex::decode(hex).ok()) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}
