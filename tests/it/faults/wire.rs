//! One letter among thirty meets each fault of the wire: its class is on record, and the other twenty-nine go out.

use dondoc::channel::breaker::State;

use super::morning::{Day, Morning, address, code};
use crate::sink::smtp::{Act, Fault, Point};

/// Who it strikes.
const WHOM: usize = 13;

/// Everything but the struck letter is out within a few of the breaker's rests; the struck one once the relay is well.
async fn strikes(at: Point, act: Act, class: &str, status: i64, spends: bool) {
    let what = format!("{act:?} at {at:?}");
    let morning = Morning::new(Day::of(30).impatient()).await;
    morning.mail.fault(Fault::at(at, act).to(&address(WHOM)));
    // At most three rests of half a minute; the letter's own next try comes later, save where its attempt was not spent.
    for _ in 0..3 {
        morning.pass().await;
        morning.wait(31);
    }
    let struck = code(WHOM);
    let others = morning.arrived().into_iter().filter(|code| *code != struck).count();
    assert_eq!(others, 29, "{what}: others waited");
    let attempts = morning.attempts().await;
    let first = attempts.iter().find(|attempt| attempt.code == struck && attempt.outcome != "released").unwrap();
    assert_eq!((first.outcome.as_str(), first.status), (class, status), "{what}: {first:?}");
    let open = matches!(morning.breaker(), State::Open { .. });
    assert!(!open || class == "site", "{what}: {:?}", morning.breaker());
    let dead = i64::from(matches!(class, "permanent" | "recipient"));
    assert!(dead == 1 || (morning.spent(WHOM).await > 0) == spends, "{what}: attempts spent");
    assert_eq!(morning.state("dead").await, dead, "{what}");
    morning.mail.heal();
    let count = if dead == 0 {
        morning.until_quiet(360, 20).await;
        morning.count()
    } else {
        let mut count = morning.count();
        count.lost.retain(|code| *code != struck);
        count
    };
    count.holds();
    // A copy more only for an answer that was lost.
    let lost = morning.attempts().await.iter().filter(|attempt| attempt.outcome == "unknown").count();
    assert!(count.second <= lost && count.marked <= lost, "{what}: {count:?}, {lost} answers lost");
    assert_eq!(lost > 0, class == "unknown", "{what}");
}

#[tokio::test]
async fn a_refused_or_cut_off_letter_has_its_class_on_record_and_the_others_flow() {
    use Point::*;
    for (at, act, class, status, spends) in [
        (Rcpt, Act::say("421 4.3.2 going down"), "site", 421, false),
        (Data, Act::say("421 4.3.2 going down"), "site", 421, false),
        (Dot, Act::say("421 4.3.2 going down"), "site", 421, false),
        (Rcpt, Act::say("450 4.2.0 greylisted"), "transient", 450, true),
        (Rcpt, Act::say("452 4.2.2 over quota"), "transient", 452, true),
        (Data, Act::say("451 4.3.0 later"), "transient", 451, true),
        (Dot, Act::say("452 4.3.1 no space"), "transient", 452, true),
        (Rcpt, Act::say("550 5.1.1 no such user"), "recipient", 550, true),
        (Rcpt, Act::say("550 5.7.1 not you"), "recipient", 550, true),
        (Data, Act::say("554 5.5.0 no"), "permanent", 554, true),
        (Dot, Act::say("554 5.6.0 spam"), "permanent", 554, true),
        (Dot, Act::say("552 5.3.4 too big"), "permanent", 552, true),
        (Rcpt, Act::Close, "transient", 0, true),
        (Data, Act::Close, "transient", 0, true),
        (Dot, Act::Close, "unknown", 0, true),
        (Dot, Act::TakeThenClose, "unknown", 0, true),
        (Dot, Act::TakeThenSay("251 elsewhere".into()), "unknown", 0, true),
        (Rcpt, Act::EndlessLines, "transient", 0, true),
        (Rcpt, Act::EndlessLine, "transient", 0, true),
        (Dot, Act::EndlessLine, "unknown", 0, true),
        (Rcpt, Act::say("garbage"), "transient", 0, true),
        (Rcpt, Act::Extra("250 and more".into()), "transient", 0, true),
    ] {
        strikes(at, act, class, status, spends).await;
    }
}

#[tokio::test]
async fn a_silent_or_dripping_server_costs_one_letter_its_deadline_and_no_other_anything() {
    use Point::*;
    let drip = || Act::Drip("250 ok".into(), std::time::Duration::from_secs(2));
    for (at, act, class) in [
        (Rcpt, Act::Hang, "transient"),
        (Rcpt, drip(), "transient"),
        (Data, Act::Hang, "transient"),
        (Dot, Act::Hang, "unknown"),
        (Dot, Act::TakeThenHang, "unknown"),
        (Dot, drip(), "unknown"),
    ] {
        strikes(at, act, class, 0, true).await;
    }
}

#[tokio::test]
async fn who_waits_for_an_answer_keeps_nobody_else_waiting() {
    let morning = Morning::new(Day::of(30).impatient()).await;
    morning.mail.fault(Fault::at(Point::Dot, Act::TakeThenHang).to(&address(2)));
    morning.pass().await;
    // Letter 2 was among the first to be handed over. Within the deadline of its answer all others came, on connections
    // beside its own; after it nothing was left to send.
    let journal = morning.mail.journal();
    assert_eq!(journal.len(), 30, "all within the pass that had one hanging");
    let hung = journal.iter().position(|mail| mail.to == [address(2)]).unwrap();
    assert!(hung < 10, "it came as number {hung}: nothing would be shown");
    let own = journal[hung].connection;
    assert!(journal[hung + 1..].iter().all(|mail| mail.connection != own), "its connection was used again in doubt");
}
