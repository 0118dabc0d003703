//! The webhook: one signed POST of finished JSON to a relay. Never follows a redirect, never retries by itself (the
//! outbox does), never shows the URL, which may hold a token.

use std::{sync::Once, time::Duration};

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::{
    Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
};
use sha2::Sha256;

use crate::{
    channel::{Channel, Delivery, Gate, Parcel, pace::Width, reply::tidy},
    clock::Clock,
    config::settings::Secret,
    planning::outcome::Outcome,
};

/// How long each phase may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Name lookup, TCP and TLS.
    pub connect: Duration,
    /// From the POST to the answer's headers.
    pub answer: Duration,
    /// The answer's body, of which nothing depends.
    pub body: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(10), answer: seconds(60), body: seconds(5) }
    }
}

/// The most of an answer's body that is read.
const MOST_BODY: usize = 8 * 1024;
/// The most deliveries at once, as long as the relay, which has limits towards Zalo too, takes them: each trouble halves
/// their number.
const MOST_PARALLEL: usize = 20;

/// Why the channel could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("use zalo.webhook.url: write it as http(s)://host/path")]
    Url,
    #[error("use zalo.webhook.url: reminders go in clear to this machine only, write https://")]
    InClear,
    #[error("use the webhook's secret: it is empty")]
    EmptySecret,
    #[error("set up HTTP and TLS")]
    Client(#[source] reqwest::Error),
}

/// The channel.
pub struct WebhookChannel {
    url: Url,
    secrets: Vec<Secret>,
    clock: Clock,
    deadlines: Deadlines,
    client: reqwest::Client,
    width: Width,
}

/// Makes ring the process's cryptography, once. reqwest without a provider of its own panics unless this was called
/// (reqwest #2938); [`WebhookChannel::new`] calls it.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that one is installed already: then somebody chose, and it is theirs that counts.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl WebhookChannel {
    /// `secrets`: the first signs; a second, kept while the relay changes over, is the relay's to accept. None: the
    /// posts are not signed.
    ///
    /// # Errors
    /// Where the URL is none or would carry reminders in clear beyond this machine, or a secret is empty.
    pub fn new(url: &str, secrets: Vec<Secret>, clock: Clock, deadlines: Deadlines) -> Result<Self, WebhookError> {
        install_crypto();
        let url = Url::parse(url).map_err(|_| WebhookError::Url)?;
        let loopback = match url.host_str() {
            None => return Err(WebhookError::Url),
            Some(host) => {
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        };
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            "http" => return Err(WebhookError::InClear),
            _ => return Err(WebhookError::Url),
        }
        if secrets.iter().any(|secret| secret.expose().is_empty()) {
            return Err(WebhookError::EmptySecret);
        }
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("dondoc/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(deadlines.connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(MOST_PARALLEL);
        if loopback {
            // A proxy that the environment names is for the world outside.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| WebhookError::Client(error.without_url()))?;
        Ok(Self { url, secrets, clock, deadlines, client, width: Width::new(MOST_PARALLEL) })
    }

    /// None: the key cannot stand in a header.
    fn headers(&self, parcel: &Parcel, now: Timestamp) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-dondoc-delivery"), HeaderValue::from_str(&parcel.key).ok()?);
        if parcel.attempt > 1 {
            headers.insert(HeaderName::from_static("x-dondoc-attempt"), HeaderValue::from(parcel.attempt));
        }
        let timestamp = now.as_second();
        headers.insert(HeaderName::from_static("x-dondoc-timestamp"), HeaderValue::from(timestamp));
        if let Some(secret) = self.secrets.first() {
            let signature = format!("sha256={}", sign(secret, timestamp, &parcel.bytes));
            headers.insert(HeaderName::from_static("x-dondoc-signature"), HeaderValue::from_str(&signature).ok()?);
        }
        Some(headers)
    }

    async fn post(&self, parcel: &Parcel, headers: HeaderMap) -> Outcome {
        let request = self.client.post(self.url.clone()).headers(headers).body(parcel.bytes.clone());
        // reqwest's own deadline would count the body too, and after 2xx the body no longer matters.
        let limit = self.deadlines.connect + self.deadlines.answer;
        match tokio::time::timeout(limit, request.send()).await {
            Ok(Ok(response)) => self.answered(response, parcel).await,
            Ok(Err(error)) => failed(error),
            // Whether it was still connecting, reqwest would have said within the connect deadline.
            Err(_) => Outcome::Unknown { reply: "no answer in time after the POST".into() },
        }
    }

    async fn answered(&self, response: Response, parcel: &Parcel) -> Outcome {
        let status = response.status();
        let headers = response.headers().clone();
        let body = self.read(response).await;
        let reply = if repeats(&body, &parcel.bytes) {
            "an answer that repeats the message".into()
        } else {
            tidy(&String::from_utf8_lossy(&body), &parcel.address)
        };
        judge(status, &headers, reply, self.clock.now())
    }

    /// The body's beginning. It explains; it decides nothing, so its failures are no failures.
    async fn read(&self, mut response: Response) -> Vec<u8> {
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk[..chunk.len().min(MOST_BODY - body.len())]);
                if body.len() == MOST_BODY {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(self.deadlines.body, reading).await;
        body
    }
}

#[async_trait]
impl Channel for WebhookChannel {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        if !gate.pass(parcel).await {
            return Delivery::Stopped;
        }
        let outcome = match self.headers(parcel, self.clock.now()) {
            Some(headers) => self.post(parcel, headers).await,
            None => Outcome::Permanent { code: 0, reply: "the delivery id cannot stand in a header".into() },
        };
        match &outcome {
            Outcome::Accepted { .. } => self.width.well(),
            Outcome::Recipient { .. } | Outcome::Permanent { .. } => {}
            _ => self.width.badly(),
        }
        Delivery::Tried(outcome)
    }

    fn parallel(&self) -> usize {
        self.width.get()
    }

    /// HTTP connections end by themselves when idle.
    async fn rest(&self) {}
}

/// Whether the answer holds the reminder's text or the recipient's name: then it must not be kept.
fn repeats(answer: &[u8], sent: &[u8]) -> bool {
    let Ok(sent) = serde_json::from_slice::<serde_json::Value>(sent) else { return true };
    let mut answers = vec![String::from_utf8_lossy(answer).into_owned()];
    // Escapes undone.
    answers.extend(serde_json::from_slice::<serde_json::Value>(answer).ok().map(|value| value.to_string()));
    [&sent["text"], &sent["recipient"]["name"]].into_iter().filter_map(|value| value.as_str()).any(|text| {
        let head: String = text.chars().take(20).collect();
        !head.is_empty() && answers.iter().any(|answer| answer.contains(&head))
    })
}

/// Hex HMAC-SHA256 of `timestamp "." body`.
fn sign(secret: &Secret, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// No answer: was it handed over?
fn failed(error: reqwest::Error) -> Outcome {
    let error = error.without_url();
    if error.is_builder() {
        return Outcome::Configuration { code: 0, reply: "the POST could not be built".into() };
    }
    if !error.is_connect() {
        return Outcome::Unknown { reply: "the answer was lost after the POST".into() };
    }
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = source {
        if let Some(tls) = inner.downcast_ref::<rustls::Error>() {
            return Outcome::Configuration { code: 0, reply: tidy(&format!("TLS: {tls}"), "") };
        }
        // An io error's `source` skips the error that it holds.
        source = match inner.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(held) => Some(held),
            None => inner.source(),
        };
    }
    Outcome::Site { code: 0, reply: "cannot connect".into() }
}

/// The class table for HTTP ([`Outcome`]).
fn judge(status: StatusCode, headers: &HeaderMap, reply: String, now: Timestamp) -> Outcome {
    let code = i32::from(status.as_u16());
    match code {
        200..=299 => Outcome::Accepted { code, reply },
        300..=399 => Outcome::Configuration { code, reply: "a redirect, which is not followed".into() },
        408 | 425 | 429 | 500..=599 => match headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now)) {
            Some(until) => Outcome::Throttled { until, code, reply },
            None => Outcome::Transient { code, reply },
        },
        // Beside 401, 403 and 404: the path takes no POST, a proxy wants credentials, the place is gone.
        401 | 403 | 404 | 405 | 407 | 410 => Outcome::Configuration { code, reply },
        400..=499 => Outcome::Permanent { code, reply },
        _ => Outcome::Unknown { reply: format!("answer {code}") },
    }
}

/// Seconds, or a date (RFC 9110 10.2.3). The caller caps it.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let value = value.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return now.checked_add(Duration::from_secs(seconds.into())).ok();
    }
    jiff::fmt::rfc2822::parse(value).ok().map(|date| date.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_contract() {
        // printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac bi-mat
        let signature = sign(&Secret::new("bi-mat"), 1_790_000_000, br#"{"a":1}"#);
        assert_eq!(signature, "b16c66c2cc6ad4fd03e000239f18b888a4b881e253a345d3aff6b5025c38f07e");
    }

    #[test]
    fn each_status_has_the_tables_class() {
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        for (class, codes) in [
            ("accepted", &[200u16, 201, 202, 204][..]),
            ("configuration", &[301, 302, 303, 307, 308, 304, 401, 403, 404]),
            ("transient", &[408, 425, 429, 500, 502, 503, 504, 599]),
            ("permanent", &[400, 409, 413, 415, 422]),
        ] {
            for code in codes {
                let outcome = judge(StatusCode::from_u16(*code).unwrap(), &HeaderMap::new(), String::new(), now);
                assert_eq!((outcome.as_str(), outcome.code()), (class, i32::from(*code)));
            }
        }
    }

    #[test]
    fn an_answer_that_repeats_text_or_name_is_told_from_one_that_does_not() {
        let sent =
            r#"{"delivery_id":"d-7","recipient":{"name":"Nguyễn Văn A"},"text":"Nhắc việc: nhiệm vụ NV26-000123"}"#;
        for (answer, expected) in [
            (r#"{"ok":true,"delivery_id":"d-7"}"#, false),
            ("", false),
            (r#"{"echo":{"text":"Nhắc việc: nhiệm vụ NV26-000123"}}"#, true),
            (r#"{"to":"Nguy\u1ec5n V\u0103n A"}"#, true),
        ] {
            assert_eq!(repeats(answer.as_bytes(), sent.as_bytes()), expected, "{answer}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = Timestamp::from_second(1_790_000_000).unwrap();
        let until = |text: &'static str| retry_after(&HeaderValue::from_static(text), now);
        assert_eq!(until("120"), Some(now + Duration::from_secs(120)));
        assert_eq!(until("Sun, 06 Nov 2033 08:49:37 GMT"), Some("2033-11-06T08:49:37Z".parse().unwrap()));
        assert_eq!(until("soon"), None);
        assert_eq!(until("-5"), None);
    }

    #[test]
    fn urls_that_would_carry_reminders_in_clear_are_refused() {
        let new = |url: &str| WebhookChannel::new(url, Vec::new(), Clock::System, Deadlines::default());
        for good in ["http://127.0.0.1:9000/zalo", "http://[::1]/z", "http://localhost/z", "https://relay.example/z"] {
            assert!(new(good).is_ok(), "{good}");
        }
        assert!(matches!(new("http://relay.example/z"), Err(WebhookError::InClear)));
        for bad in ["", "relay.example", "ftp://127.0.0.1/"] {
            assert!(matches!(new(bad), Err(WebhookError::Url)), "{bad:?}");
        }
        let empty =
            WebhookChannel::new("https://a.example", vec![Secret::new("")], Clock::System, Deadlines::default());
        assert!(matches!(empty, Err(WebhookError::EmptySecret)));
    }
}
