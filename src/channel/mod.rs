//! How a frozen message leaves the house. A channel knows nothing of tasks: bytes, an address, an answer.

pub mod breaker;
pub mod maildir;
pub mod pace;
pub mod reply;
pub mod smtp;
pub mod zalo;

use std::time::Duration;

use async_trait::async_trait;

use crate::planning::outcome::Outcome;

/// A message whose bytes are fixed, as a channel gets it.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Our number for it, for logs.
    pub id: i64,
    /// One e-mail address, or the phone/user id for Zalo.
    pub address: String,
    /// Exactly what goes over the wire (RFC 5322 message, or JSON body). Never logged.
    pub bytes: Vec<u8>,
    /// E-mail's Message-ID or Zalo's delivery id: the same on every attempt.
    pub key: String,
    /// 1 on the first hand-over, more when an earlier answer was lost.
    pub attempt: u32,
}

/// The last look before a message is handed over: called once per parcel, after the recipient was accepted (RCPT) and
/// before DATA or POST. `false` means the message may no longer go: the transaction is reset, nothing was handed over.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Whether the parcel may still go.
    async fn pass(&self, parcel: &Parcel) -> bool;
}

/// What came of one parcel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// An attempt was made.
    Tried(Outcome),
    /// The gate said no; not a byte of it was handed over.
    Stopped,
}

/// One way out. `deliver` never panics on what a server answers, ends within its phases' deadlines, and logs neither
/// bytes nor unmasked addresses.
#[async_trait]
pub trait Channel: Send + Sync {
    /// Hands over one parcel. Connections are kept and reused between calls; several calls may run at once, up to
    /// [`Channel::parallel`].
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery;

    /// How many deliveries make sense at once right now.
    fn parallel(&self) -> usize;

    /// How many may begin within so long a time, by the channel's own rate.
    fn within(&self, _time: Duration) -> usize {
        usize::MAX
    }

    /// The daemon has nothing more for the moment: connections are ended politely.
    async fn rest(&self);
}

/// `h***@hanoi.gov.vn`: what a log may show of an address or a phone.
pub fn masked(address: &str) -> String {
    let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}***@{domain}", first(local)),
        None => format!("{}***", address.chars().take(4).collect::<String>()),
    }
}
