//! The Zalo receiver's rows: HTTP answers of every kind, in the engine.

use std::time::Duration;

use dondoc::channel::breaker::State;

use super::morning::{Day, Morning};
use crate::sink::zalo::{Act, ZaloSink};

const HOUR: u64 = 3600;

/// One post among twenty is answered so: its class, what became of it, and whether the others went in the same pass.
async fn one(act: Act, class: &str, state: &str) {
    let what = format!("{act:?}");
    let morning = Morning::new(Day::by_zalo(20).impatient()).await;
    morning.zalo.act(5, Act::status(200));
    morning.zalo.act(1, act);
    morning.pass().await;
    let attempts = morning.attempts().await;
    let classes: Vec<_> = attempts.iter().filter(|a| a.outcome != "accepted" && a.outcome != "released").collect();
    match class {
        "accepted" => assert!(classes.is_empty(), "{what}: {classes:?}"),
        _ => {
            assert_eq!(classes.len(), 1, "{what}: {classes:?}");
            assert_eq!(classes[0].outcome, class, "{what}: {classes:?}");
        }
    }
    let (sent, pending, dead, unknown) = morning.states().await;
    let expected = match state {
        "sent" => (20, 0, 0, 0),
        "pending" => (19, 1, 0, 0),
        "dead" => (19, 0, 1, 0),
        other => panic!("{other}"),
    };
    assert_eq!((sent, pending, dead, unknown), expected, "{what}: (sent, pending, dead, unknown)");
    assert_eq!(morning.breaker(), State::Closed, "{what}");
    morning.zalo.heal();
    if state != "dead" {
        morning.until_quiet(HOUR, 30).await;
        let count = morning.count();
        count.holds();
        // A second post only where the answer was lost.
        assert!(count.second <= usize::from(class == "unknown"), "{what}: {count:?}");
    }
}

#[tokio::test]
async fn one_answer_of_each_kind_has_its_class_on_record_and_the_others_flow() {
    for (act, class, state) in [
        (Act::status(204), "accepted", "sent"),
        (Act::status(408), "transient", "pending"),
        (Act::status(425), "transient", "pending"),
        (Act::status(429), "transient", "pending"),
        (Act::status(500), "transient", "pending"),
        (Act::status(503), "transient", "pending"),
        (Act::with_header(429, "Retry-After", "120"), "throttled", "pending"),
        (Act::with_header(503, "Retry-After", "Mon, 23 Nov 2026 01:30:00 GMT"), "throttled", "pending"),
        (Act::with_header(429, "Retry-After", "soon"), "transient", "pending"),
        (Act::status(400), "permanent", "dead"),
        (Act::status(422), "permanent", "dead"),
        (Act::Close, "unknown", "pending"),
        (Act::Garbage, "unknown", "pending"),
        (Act::Hang, "unknown", "pending"),
        (Act::DripHead(Duration::from_millis(500)), "unknown", "pending"),
        (Act::DripBody(Duration::from_millis(500)), "accepted", "sent"),
        (Act::Endless, "accepted", "sent"),
        (Act::Cut, "accepted", "sent"),
        // Our relay's own contract: 2xx is taken, whatever its body says and however it calls it.
        (
            Act::Answer(200, vec![("content-type".into(), "text/html".into())], "{\"error\":-32".into()),
            "accepted",
            "sent",
        ),
    ] {
        one(act, class, state).await;
    }
}

#[tokio::test]
async fn a_redirect_is_never_followed_and_what_denies_us_stops_the_channel_for_the_operator() {
    for status in [301, 302, 303, 307, 308, 401, 403, 404] {
        let elsewhere = ZaloSink::start(&[]);
        let morning = Morning::new(Day::by_zalo(20)).await;
        morning.zalo.act(u32::MAX, Act::with_header(status, "Location", &elsewhere.url()));
        morning.pass().await;
        assert_eq!(morning.states().await, (0, 20, 0, 0), "{status}");
        assert!(matches!(morning.breaker(), State::Open { operator: true, .. }), "{status}: {:?}", morning.breaker());
        assert_eq!(elsewhere.connections(), 0, "{status}");
        morning.zalo.heal();
        morning.until_quiet(600, 5).await;
        morning.count().holds();
    }
}

#[tokio::test]
async fn retry_after_is_honoured_and_an_absurd_one_is_capped_at_a_day() {
    // (what it says, not tried after, tried after)
    for (value, before, after) in [
        ("1800", 1790, 1801),
        ("Mon, 23 Nov 2026 01:30:00 GMT", 1790, 1801),
        ("4294967295", 24 * HOUR - 10, 24 * HOUR + 1),
        ("Sun, 06 Nov 2044 08:49:37 GMT", 24 * HOUR - 10, 24 * HOUR + 1),
        // In the past: at once, and not in a circle.
        ("Mon, 23 Nov 2020 01:30:00 GMT", 0, 2),
        ("0", 0, 2),
    ] {
        let morning = Morning::new(Day::by_zalo(1)).await;
        morning.zalo.act(1, Act::with_header(429, "Retry-After", value));
        morning.pass().await;
        assert_eq!(morning.zalo.posts().len(), 1, "{value}");
        morning.wait(before);
        morning.pass().await;
        assert_eq!(morning.zalo.posts().len(), 1, "{value}: too early");
        morning.wait(after - before);
        morning.pass().await;
        assert_eq!(morning.zalo.posts().len(), 2, "{value}: not in time");
        morning.count().holds();
    }
}

#[tokio::test]
async fn a_tenth_of_429_and_500_loses_nothing_doubles_nothing_and_holds_up_nobody() {
    const POSTS: usize = 200;
    let morning = Morning::new(Day::by_zalo(POSTS)).await;
    for n in 0..10 {
        // Nineteen good ones, then one of either.
        morning.zalo.act(9 + n % 3, Act::status(200));
        morning.zalo.act(1, Act::status(429));
        morning.zalo.act(9 - n % 3, Act::status(200));
        morning.zalo.act(1, Act::status(500));
    }
    morning.pass().await;
    assert_eq!(morning.states().await, (180, 20, 0, 0), "all others in the same pass, the clock unmoved");
    morning.until_quiet(331, 3).await;
    let count = morning.count();
    count.holds();
    assert_eq!((count.messages, count.second, count.marked), (POSTS, 0, 0));
}

#[tokio::test]
async fn a_post_whose_answer_was_lost_comes_again_with_its_id_its_body_and_a_mark() {
    let morning = Morning::new(Day::by_zalo(10)).await;
    morning.zalo.act(3, Act::status(200));
    // Taken, and the answer never comes: nobody here can know.
    morning.zalo.act(1, Act::Garbage);
    morning.pass().await;
    morning.until_quiet(61, 3).await;
    let posts = morning.zalo.posts();
    let lost = posts.iter().find(|post| !post.taken).unwrap();
    let copies: Vec<_> =
        posts.iter().filter(|post| post.header("x-dondoc-delivery") == lost.header("x-dondoc-delivery")).collect();
    assert_eq!(copies.len(), 2);
    assert_eq!(copies[0].body, copies[1].body);
    assert_eq!((copies[0].header("x-dondoc-attempt"), copies[1].header("x-dondoc-attempt")), (None, Some("2")));
    assert!(copies.iter().all(|post| post.signed_by == Some(0)), "each signed for its own moment");
}

#[tokio::test]
async fn a_receiver_that_is_away_spends_no_attempt_and_gets_everything_when_it_is_back() {
    let mut morning = Morning::new(Day::by_zalo(20)).await;
    let away = morning.zalo_away();
    for _ in 0..4 {
        morning.pass().await;
        morning.wait(600);
    }
    assert_eq!(morning.states().await, (0, 20, 0, 0), "(sent, pending, dead, unknown)");
    assert!(matches!(morning.breaker(), State::Open { operator: false, .. }), "{:?}", morning.breaker());
    let classes = morning.classes().await;
    assert_eq!(classes.keys().collect::<Vec<_>>(), ["site"], "it was tried, and nobody was there");
    for n in 1..=20 {
        assert_eq!(morning.spent(n).await, 0, "attempts spent on message {n}");
    }
    assert!(morning.zalo.posts().is_empty());
    morning.zalo_back(away);
    morning.until_quiet(600, 8).await;
    let count = morning.count();
    count.holds();
    assert_eq!((count.messages, count.second, count.marked), (20, 0, 0), "{count:?}");
    assert_eq!(morning.breaker(), State::Closed);
}

#[tokio::test]
async fn a_request_whose_connection_ends_unread_comes_again_once_at_most() {
    let morning = Morning::new(Day::by_zalo(20)).await;
    // Whether it was read nobody here can know.
    morning.zalo.act(1, Act::CloseUnread);
    morning.pass().await;
    morning.until_quiet(61, 5).await;
    let count = morning.count();
    count.holds();
    assert!(count.second == 0 && count.marked <= 1, "{count:?}");
}
