//! The webhook against a relay that misbehaves.

use dondoc::channel::zalo::webhook::{self, WebhookChannel};

use super::*;
use crate::sink::zalo::{self, ZaloSink};

const SECRET: &str = "bi-mat-moi";

fn hook(sink: &ZaloSink, deadlines: webhook::Deadlines) -> WebhookChannel {
    WebhookChannel::new(&sink.url(), vec![Secret::new(SECRET)], clock(), deadlines).expect("settings that work")
}

fn hook_brief() -> webhook::Deadlines {
    let short = Duration::from_secs(1);
    webhook::Deadlines { connect: short, answer: short, body: short }
}

fn json(attempt: u32) -> Parcel {
    Parcel {
        id: 7,
        address: "84912345678".into(),
        bytes: r#"{"delivery_id":"d-7","text":"Nhắc việc"}"#.into(),
        key: "d-7".into(),
        attempt,
    }
}

#[tokio::test]
async fn a_post_carries_its_stable_id_time_and_signature() {
    let sink = ZaloSink::start(&["bi-mat-cu", SECRET]);
    let channel = hook(&sink, webhook::Deadlines::default());
    for attempt in [1, 2] {
        let outcome = tried(&channel, &json(attempt)).await;
        assert!(matches!(outcome, Outcome::Accepted { code: 200, .. }), "{outcome:?}");
    }
    let [first, second] = sink.posts().try_into().unwrap();
    assert_eq!(first.request, "POST /zalo HTTP/1.1");
    assert_eq!(first.body, json(1).bytes);
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("x-dondoc-delivery"), Some("d-7"));
    assert_eq!(first.header("x-dondoc-attempt"), None);
    assert_eq!(first.header("x-dondoc-timestamp"), Some("1790000000"));
    assert_eq!(first.signed_by, Some(1));
    assert_eq!((second.header("x-dondoc-delivery"), second.header("x-dondoc-attempt")), (Some("d-7"), Some("2")));
    assert_eq!(second.body, first.body);
    assert_eq!(sink.connections(), 1, "one connection for both");
}

#[tokio::test]
async fn the_first_of_two_secrets_signs_and_none_signs_nothing() {
    let sink = ZaloSink::start(&[SECRET]);
    let both = vec![Secret::new(SECRET), Secret::new("bi-mat-cu")];
    let defaults = webhook::Deadlines::default();
    tried(&WebhookChannel::new(&sink.url(), both, clock(), defaults).unwrap(), &json(1)).await;
    tried(&WebhookChannel::new(&sink.url(), Vec::new(), clock(), defaults).unwrap(), &json(1)).await;
    let [signed, bare] = sink.posts().try_into().unwrap();
    assert_eq!(signed.signed_by, Some(0));
    assert_eq!(bare.header("x-dondoc-signature"), None);
}

#[tokio::test]
async fn a_webhooks_answers_have_the_tables_class() {
    let header = zalo::Act::with_header;
    let until = |seconds| Some(now() + Duration::from_secs(seconds));
    for (act, class, time) in [
        (zalo::Act::status(202), "accepted", None),
        (zalo::Act::status(400), "permanent", None),
        (zalo::Act::status(401), "configuration", None),
        (zalo::Act::status(403), "configuration", None),
        (zalo::Act::status(404), "configuration", None),
        (zalo::Act::status(408), "transient", None),
        (zalo::Act::status(425), "transient", None),
        (zalo::Act::status(429), "transient", None),
        (zalo::Act::status(500), "transient", None),
        (zalo::Act::status(503), "transient", None),
        (header(429, "Retry-After", "120"), "throttled", until(120)),
        (header(503, "Retry-After", "Mon, 21 Sep 2026 14:14:20 GMT"), "throttled", until(60)),
        (header(503, "Retry-After", "soon"), "transient", None),
        (zalo::Act::Close, "unknown", None),
        (zalo::Act::Hang, "unknown", None),
        (zalo::Act::Garbage, "unknown", None),
        (zalo::Act::Cut, "accepted", None),
        (zalo::Act::Endless, "accepted", None),
    ] {
        let sink = ZaloSink::start(&[SECRET]);
        sink.act(1, act.clone());
        let long = Duration::from_secs(600);
        let deadlines = match act {
            zalo::Act::Hang => hook_brief(),
            // What ends an endless body is the count of its bytes.
            _ => webhook::Deadlines { connect: long, answer: long, body: long },
        };
        let channel = hook(&sink, deadlines);
        let outcome = tried(&channel, &json(1)).await;
        assert_eq!(outcome.as_str(), class, "{act:?}: {outcome:?}");
        if let Outcome::Throttled { until, .. } = outcome {
            assert_eq!(Some(until), time, "{act:?}");
        }
        assert_eq!(sink.posts().len(), 1, "{act:?}: nothing is repeated by itself");
        assert_eq!(tried(&channel, &json(2)).await.as_str(), "accepted", "after {act:?}");
    }
}

#[tokio::test]
async fn posts_at_once_grow_with_what_is_taken_and_halve_when_the_receiver_is_in_trouble() {
    for (act, class, after) in [
        (zalo::Act::status(503), "transient", 10),
        (zalo::Act::with_header(429, "Retry-After", "120"), "throttled", 10),
        (zalo::Act::status(401), "configuration", 10),
        (zalo::Act::Close, "unknown", 10),
        // About one post.
        (zalo::Act::status(400), "permanent", 20),
    ] {
        let sink = ZaloSink::start(&[SECRET]);
        let channel = hook(&sink, webhook::Deadlines::default());
        for n in 1..=22 {
            assert_eq!(channel.parallel(), n.min(20), "one more with each that is taken");
            assert_eq!(tried(&channel, &json(1)).await.as_str(), "accepted");
        }
        sink.act(1, act.clone());
        assert_eq!(tried(&channel, &json(1)).await.as_str(), class, "{act:?}");
        assert_eq!(channel.parallel(), after, "{act:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = ZaloSink::start(&[]);
        let sink = ZaloSink::start(&[SECRET]);
        sink.act(1, zalo::Act::with_header(status, "Location", &elsewhere.url()));
        let outcome = tried(&hook(&sink, webhook::Deadlines::default()), &json(1)).await;
        assert_eq!((outcome.as_str(), outcome.code()), ("configuration", i32::from(status)));
        assert_eq!(elsewhere.connections(), 0);
    }
}

#[tokio::test]
async fn no_webhook_listening_is_the_sites_matter_and_its_url_stays_secret() {
    let sink = ZaloSink::start(&[]);
    let url = sink.url() + "?token=bi-mat";
    drop(sink);
    let channel = WebhookChannel::new(&url, Vec::new(), clock(), webhook::Deadlines::default()).unwrap();
    let outcome = tried(&channel, &json(1)).await;
    assert_eq!(outcome.as_str(), "site");
    assert!(!outcome.reply().contains("token"), "{outcome:?}");
}

#[tokio::test]
async fn a_webhook_with_an_untrusted_certificate_is_a_matter_of_settings() {
    let sink = SmtpSink::with(secured(Security::Implicit, Certificate::new()));
    let url = format!("https://127.0.0.1:{}/zalo", sink.port());
    let channel = WebhookChannel::new(&url, Vec::new(), clock(), webhook::Deadlines::default()).unwrap();
    let outcome = tried(&channel, &json(1)).await;
    assert_eq!(outcome.as_str(), "configuration", "{outcome:?}");
    assert!(sink.verbs().is_empty());
}

#[tokio::test]
async fn a_shut_gate_posts_nothing() {
    let sink = ZaloSink::start(&[SECRET]);
    let channel = hook(&sink, webhook::Deadlines::default());
    assert_eq!(channel.deliver(&json(1), &Door::shut()).await, Delivery::Stopped);
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn a_phone_number_in_the_answer_is_masked() {
    let sink = ZaloSink::start(&[]);
    sink.act(1, zalo::Act::Answer(400, Vec::new(), "84912345678 does not use Zalo\r\n".into()));
    let outcome = tried(&hook(&sink, webhook::Deadlines::default()), &json(1)).await;
    assert_eq!(outcome.reply(), "8491*** does not use Zalo");
}
