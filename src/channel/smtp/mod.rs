//! E-mail by SMTP through the office's relay. Keeps a few connections of its own, many messages on each, one recipient
//! a transaction, a deadline on every phase. Never composes or changes a message, never sends in clear beyond this
//! machine, and never calls a message sent on anything but 250 to its final dot.

mod class;
mod heard;
mod opening;
mod session;
mod stream;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use lettre::{
    Address,
    transport::smtp::{authentication::Credentials, extension::ClientId},
};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::{
    sync::{Notify, Semaphore},
    time::timeout,
};
use tokio_rustls::rustls;

use super::{
    Channel, Delivery, Gate, Parcel,
    pace::{Rate, Width},
};
use crate::{
    clock::Clock,
    config::settings::{self, SmtpTls},
    planning::outcome::Outcome,
};
use opening::Relay;
use session::Session;

/// How long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Name lookup and TCP together; again for the TLS handshake.
    pub connect: Duration,
    /// One command and its whole reply; also how long a body may stand still.
    pub command: Duration,
    /// The answer to the final dot (RFC 5321 4.5.3.2.6: ten minutes).
    pub dot: Duration,
    /// QUIT, which nothing depends on.
    pub quit: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(30), command: seconds(60), dot: seconds(600), quit: seconds(2) }
    }
}

/// After so many messages a connection is ended: relays count, and spread load over their machines by connection.
const MESSAGES_PER_CONNECTION: u32 = 100;
/// A connection that rested longer is asked by NOOP whether it still lives.
const IDLE_UNASKED: Duration = Duration::from_secs(30);

/// Why the channel could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("send mail in clear to {host}: tls = \"none\" is for this machine only, set \"implicit\" or \"starttls\"")]
    InClear { host: String },
    #[error("use the sender's address: it is no e-mail address; set email.from to a plain address")]
    Sender(#[source] lettre::address::AddressError),
    #[error("authenticate: a user name needs a password and the other way round")]
    Credentials,
    #[error("set up TLS: the system's certificates cannot be used")]
    Tls(#[source] rustls::Error),
}

/// The channel.
pub struct SmtpChannel {
    relay: Relay,
    from: Address,
    idle: Mutex<Vec<Session>>,
    /// Held by each open session too: how many there are.
    open: Arc<()>,
    /// Rung when a session is put aside or gone.
    returned: Notify,
    slots: Semaphore,
    width: Width,
    rate: Rate,
    clock: Clock,
}

impl SmtpChannel {
    /// `from_address`: the bare envelope sender. `messages_per_minute` 0 means no limit. Nothing is connected yet.
    ///
    /// # Errors
    /// Where the settings cannot work: in clear beyond this machine, a sender that is no address, half of a pair of
    /// credentials, no usable certificates on the system.
    pub fn new(smtp: &settings::Smtp, from_address: &str, deadlines: Deadlines) -> Result<Self, SmtpError> {
        if smtp.tls == SmtpTls::None && !opening::is_loopback(&smtp.host) {
            return Err(SmtpError::InClear { host: smtp.host.clone() });
        }
        let credentials = match (&smtp.username, &smtp.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.expose().to_owned())),
            (None, None) => None,
            _ => return Err(SmtpError::Credentials),
        };
        let tls_config = match smtp.tls {
            SmtpTls::None => None,
            SmtpTls::Implicit | SmtpTls::Starttls => Some(Arc::new(system_tls().map_err(SmtpError::Tls)?)),
        };
        let most = usize::from(smtp.max_connections.max(1));
        Ok(Self {
            relay: Relay {
                host: smtp.host.clone(),
                port: smtp.port,
                tls: smtp.tls,
                tls_config,
                credentials,
                hello: ClientId::default(),
                deadlines,
            },
            from: from_address.trim().parse().map_err(SmtpError::Sender)?,
            idle: Mutex::new(Vec::new()),
            open: Arc::new(()),
            returned: Notify::new(),
            slots: Semaphore::new(most),
            width: Width::new(most),
            rate: Rate::per_minute(smtp.messages_per_minute),
            clock: Clock::System,
        })
    }

    /// Trusts what this configuration trusts instead of the system's certificates (a private authority; tests).
    #[must_use]
    pub fn with_tls(mut self, config: rustls::ClientConfig) -> Self {
        if self.relay.tls_config.is_some() {
            self.relay.tls_config = Some(Arc::new(config));
        }
        self
    }

    /// Measures rests and the rate by this clock's boot time (tests).
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens a connection up to and with AUTH, and ends it: what `doctor` asks. Nothing is sent.
    pub async fn check(&self) -> Result<(), Outcome> {
        match self.relay.open().await {
            Ok(session) => {
                session.quit().await;
                Ok(())
            }
            Err(fault) => Err(fault.outcome("")),
        }
    }

    fn take_idle(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// A session that answered lately, or a new one.
    async fn session(&self) -> Result<Session, class::Fault> {
        while let Some(mut session) = self.take_idle() {
            let rested = self.clock.boot_time().saturating_sub(session.idle_since);
            if rested <= IDLE_UNASKED || session.alive().await {
                return Ok(session);
            }
        }
        match self.relay.open().await {
            Ok(mut session) => {
                session.counted = Some(self.open.clone());
                Ok(session)
            }
            Err(fault) => self.instead(fault).await,
        }
    }

    /// A relay that takes no further connection while ours are open is there, and has its limit: the message waits for
    /// one of them. Where there is none, or none comes back in time, the fault is what it looks like.
    async fn instead(&self, fault: class::Fault) -> Result<Session, class::Fault> {
        loop {
            let mut back = std::pin::pin!(self.returned.notified());
            back.as_mut().enable();
            let others = Arc::strong_count(&self.open) - 1;
            if !fault.turned_away() || others == 0 {
                return Err(fault);
            }
            self.width.full(others);
            if let Some(session) = self.take_idle() {
                return Ok(session);
            }
            if timeout(self.relay.deadlines.command, back).await.is_err() {
                return Err(fault);
            }
        }
    }

    fn keep(&self, mut session: Session) {
        if session.used < MESSAGES_PER_CONNECTION {
            session.idle_since = self.clock.boot_time();
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
    }

    async fn hand_over(&self, to: &Address, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        loop {
            let mut session = match self.session().await {
                Ok(session) => session,
                Err(fault) => return Delivery::Tried(fault.outcome(&parcel.address)),
            };
            let handover = session.hand_over(&self.from, to, parcel, gate).await;
            if handover.usable {
                self.keep(session);
            } else {
                drop(session);
            }
            self.returned.notify_waiters();
            // A connection that had ended while it rested says nothing about the relay. The loop ends: each round
            // takes a rested connection away, and a new one is never stale.
            if !handover.stale {
                return handover.delivery;
            }
        }
    }
}

#[async_trait]
impl Channel for SmtpChannel {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        let to = match recipient(&parcel.address) {
            Ok(to) => to,
            Err(outcome) => return Delivery::Tried(outcome),
        };
        // The semaphore is never closed; were it, going on without a place does no harm.
        let _place = self.slots.acquire().await.ok();
        let wait = self.rate.reserve(self.clock.boot_time());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let delivery = self.hand_over(&to, parcel, gate).await;
        match &delivery {
            Delivery::Tried(Outcome::Accepted { .. }) => self.width.well(),
            // A clear 4xx is about one message or mailbox; what has no code is about the server's strength.
            Delivery::Tried(Outcome::Transient { code: 0, .. } | Outcome::Unknown { .. }) => self.width.badly(),
            Delivery::Tried(Outcome::Site { .. } | Outcome::Configuration { .. }) => self.width.badly(),
            _ => {}
        }
        delivery
    }

    fn parallel(&self) -> usize {
        self.width.get()
    }

    fn within(&self, time: Duration) -> usize {
        self.rate.within(time)
    }

    async fn rest(&self) {
        self.width.afresh();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(idle.into_iter().map(Session::quit)).await;
    }
}

/// The address as an envelope takes it.
fn recipient(address: &str) -> Result<Address, Outcome> {
    let clean = !address.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c));
    match address.parse::<Address>() {
        Ok(to) if clean => Ok(to),
        _ => Err(Outcome::Recipient { code: 553, reply: "no e-mail address".into() }),
    }
}

/// TLS 1.2 and 1.3 by ring, trusting what the system trusts.
fn system_tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Secret;

    fn settings(host: &str, tls: SmtpTls) -> settings::Smtp {
        settings::Smtp {
            host: host.into(),
            port: 25,
            tls,
            username: None,
            password: None,
            max_connections: 2,
            messages_per_minute: 600,
        }
    }

    #[test]
    fn settings_that_would_send_in_clear_or_half_authenticated_are_refused() {
        let new = |smtp: &settings::Smtp| SmtpChannel::new(smtp, "dondoc@office.example", Deadlines::default());
        assert!(new(&settings("127.0.0.1", SmtpTls::None)).is_ok());
        assert!(matches!(new(&settings("mail.office.example", SmtpTls::None)), Err(SmtpError::InClear { .. })));
        let half = settings::Smtp { username: Some("u".into()), ..settings("127.0.0.1", SmtpTls::None) };
        assert!(matches!(new(&half), Err(SmtpError::Credentials)));
        let other = settings::Smtp { password: Some(Secret::new("p")), ..settings("127.0.0.1", SmtpTls::None) };
        assert!(matches!(new(&other), Err(SmtpError::Credentials)));
        let channel =
            SmtpChannel::new(&settings("localhost", SmtpTls::None), "Văn phòng <a@b.vn>", Deadlines::default());
        assert!(matches!(channel, Err(SmtpError::Sender(_))));
    }

    #[test]
    fn an_address_can_carry_no_command() {
        for bad in ["a@b.vn\r\nRCPT TO:<x@y.vn>", "a b@c.vn", "a", "", "<a@b.vn>", "a@b.vn>\n"] {
            assert!(matches!(recipient(bad), Err(Outcome::Recipient { .. })), "{bad:?}");
        }
        assert!(recipient("nguyen.van-a@sonoivu.hanoi.gov.vn").is_ok());
    }
}
