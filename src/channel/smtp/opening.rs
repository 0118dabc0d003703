//! How a connection to the relay is opened and protected: dialled, greeted, put under TLS, authenticated. Never falls back to
//! less protection, never retries.

use std::{future::Future, io, net::IpAddr, sync::Arc, time::Duration};

use lettre::transport::smtp::{
    authentication::{Credentials, DEFAULT_MECHANISMS},
    client::AsyncSmtpConnection,
    extension::ClientId,
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
    session::Session,
    stream::{Guarded, Watch, Wire},
};
use crate::config::settings::SmtpTls;

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
    fn loopback_is_told_from_the_rest_of_the_world() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["mail.office.example", "10.0.0.1", "localhost.example", "128.0.0.1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
