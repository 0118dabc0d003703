//! A relay that is at fault as a whole: its breaker rests, nothing dies of it, nothing goes in clear, and all is sent when
//! it is mended.

use std::{collections::BTreeSet, time::Duration};

use dondoc::{channel::breaker::State, config::settings::SmtpTls};

use super::morning::{BOX, Day, Morning, address, code};
use crate::sink::smtp::{Act, Certificate, Event, Fault, Point, Security, Setup};

fn operator(state: &State) -> Option<bool> {
    match state {
        State::Open { operator, .. } => Some(*operator),
        _ => None,
    }
}

/// The relay is at fault from the first letter on: nothing is dead, no attempt spent, the breaker open and the operator
/// told or not; mended, everything goes out, once.
async fn rests_and_recovers(what: &str, day: Day, fault: Option<Fault>, class: &str, needs_operator: bool) -> Morning {
    let morning = Morning::new(day).await;
    if let Some(fault) = fault {
        morning.mail.fault(fault);
    }
    morning.pass().await;
    assert_eq!(morning.states().await, (0, 20, 0, 0), "{what}: (sent, pending, dead, unknown)");
    assert_eq!(operator(&morning.breaker()), Some(needs_operator), "{what}: {:?}", morning.breaker());
    let classes = morning.classes().await;
    assert_eq!(classes.keys().collect::<Vec<_>>(), [class], "{what}");
    // A breaker that works: a few were under way when it opened, not all of them.
    assert!(classes[class] <= 5, "{what}: {classes:?}");
    let told = morning.refusals.lock().unwrap().iter().filter(|told| told.starts_with(class)).count();
    assert!(told > 0, "{what}: nobody is told");
    // Nothing is tried while it rests.
    morning.wait(20);
    morning.pass().await;
    assert_eq!(morning.classes().await, classes, "{what}: tried while it rests");
    morning
}

async fn recovers(what: &str, morning: &Morning) {
    morning.mail.heal();
    morning.until_quiet(600, 8).await;
    assert_eq!(morning.states().await, (20, 0, 0, 0), "{what}");
    let count = morning.count();
    count.holds();
    assert_eq!(count.second, 0, "{what}");
    assert_eq!(morning.breaker(), State::Closed, "{what}");
    assert_eq!(morning.engine.store.unreachable().await.unwrap().len(), 0, "{what}: nobody is unreachable");
}

#[tokio::test]
async fn a_relay_that_is_away_or_refuses_everything_rests_and_nothing_dies_of_it() {
    use Point::*;
    for (at, reply, class, needs_operator) in [
        (Connect, "421 4.3.2 too busy", "site", false),
        (Connect, "554 no service here", "site", false),
        (Ehlo, "421 4.3.2 going down", "site", false),
        (Mail, "421 4.7.0 too much from you", "site", false),
        (Ehlo, "550 5.7.1 who are you", "configuration", true),
        (Mail, "530 5.7.0 authenticate first", "configuration", true),
        (Rcpt, "530 5.7.0 authenticate first", "configuration", true),
    ] {
        let what = format!("{reply} at {at:?}");
        let fault = Fault::at(at, Act::say(reply));
        let morning = rests_and_recovers(&what, Day::of(20), Some(fault), class, needs_operator).await;
        recovers(&what, &morning).await;
    }
    for at in [Connect, Ehlo] {
        let what = format!("the connection ends at {at:?}");
        let fault = Fault::at(at, Act::Close);
        let morning = rests_and_recovers(&what, Day::of(20), Some(fault), "site", false).await;
        recovers(&what, &morning).await;
    }
}

#[tokio::test]
async fn wrong_credentials_stop_the_channel_and_nothing_is_dead() {
    let login = Some(("dondoc".to_owned(), "mat-khau".to_owned()));
    let day = Day {
        relay: Setup { login, security: Security::StartTls, ..Setup::default() },
        tls: SmtpTls::Starttls,
        password: Some("mat-khau"),
        ..Day::of(20)
    };
    let fault = Fault::at(Point::Auth, Act::say("535 5.7.8 authentication failed"));
    let morning = rests_and_recovers("535", day, Some(fault), "configuration", true).await;
    assert!(!morning.mail.verbs().contains(&"MAIL".to_owned()), "nothing is said to a relay that does not know us");
    recovers("535", &morning).await;
}

#[tokio::test]
async fn a_bad_certificate_or_starttls_taken_away_sends_nothing_in_clear_and_nothing_is_dead() {
    let login = || Some(("dondoc".to_owned(), "mat-khau".to_owned()));
    let starttls = |fault: Option<Act>, certificate: Certificate, offer_starttls: bool| {
        let relay =
            Setup { login: login(), security: Security::StartTls, certificate, offer_starttls, ..Setup::default() };
        (relay, SmtpTls::Starttls, fault.map(|act| Fault::at(Point::StartTls, act)))
    };
    let implicit = |certificate: Certificate| {
        let relay = Setup { login: login(), security: Security::Implicit, certificate, ..Setup::default() };
        (relay, SmtpTls::Implicit, None)
    };
    for (what, (relay, tls, fault)) in [
        ("expired, STARTTLS", starttls(None, Certificate::expired(), true)),
        ("of another machine, STARTTLS", starttls(None, Certificate::of_another(), true)),
        ("STARTTLS not offered", starttls(None, Certificate::new(), false)),
        ("STARTTLS refused", starttls(Some(Act::say("502 5.5.1 no such thing")), Certificate::new(), true)),
        ("words before the handshake", starttls(Some(Act::Extra("250 AUTH PLAIN".into())), Certificate::new(), true)),
        ("garbage for STARTTLS", starttls(Some(Act::say("what?")), Certificate::new(), true)),
        ("expired, implicit", implicit(Certificate::expired())),
        ("of another machine, implicit", implicit(Certificate::of_another())),
    ] {
        let day = Day { relay, tls, password: Some("mat-khau"), ..Day::of(20) };
        let morning = rests_and_recovers(what, day, fault, "configuration", true).await;
        assert_eq!(morning.mail.journal().len(), 0, "{what}");
        let clear = String::from_utf8_lossy(&morning.mail.in_clear()).into_owned();
        for secret in ["MAIL", "RCPT", "AUTH", "hanoi.gov.vn", "bWF0LWtoYXU", "NV26"] {
            assert!(!clear.contains(secret), "{what}: {secret} in clear");
        }
    }
}

#[tokio::test]
async fn one_550_among_a_hundred_kills_one_letter_and_its_task_reaches_the_agencys_box() {
    let morning = Morning::new(Day::of(100)).await;
    morning.mail.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 no such user")).to(&address(42)));
    morning.pass().await;
    assert_eq!(morning.states().await, (100, 0, 1, 0), "99 and the one to the box; one dead");
    let boxed: Vec<_> = morning.mail.journal().into_iter().filter(|mail| mail.to == [BOX]).collect();
    assert_eq!(boxed.len(), 1);
    assert_eq!(crate::sink::count::codes_of(&boxed[0]), BTreeSet::from([code(42)]));
    assert_eq!(morning.arrived().len(), 99);
    morning.count().holds();
    assert_eq!(morning.breaker(), State::Closed);
    assert_eq!(morning.engine.store.unreachable().await.unwrap().len(), 1, "and it is on the daily list");
}

#[tokio::test]
async fn a_relay_that_refuses_all_is_a_matter_of_settings_and_what_it_refused_first_is_taken_back() {
    use Point::*;
    for (at, reply) in [
        (Rcpt, "554 5.7.1 relaying denied"),
        (Mail, "554 5.7.1 not from you"),
        (Data, "554 5.5.0 no"),
        (Dot, "554 5.6.0 spam"),
    ] {
        let what = format!("{reply} at {at:?}");
        let morning = Morning::new(Day::of(20)).await;
        morning.mail.fault(Fault::at(at, Act::say(reply)));
        morning.pass().await;
        let (sent, pending, dead, unknown) = morning.states().await;
        assert_eq!((sent, dead, unknown), (0, 0, 0), "{what}: {pending} pending");
        assert_eq!(operator(&morning.breaker()), Some(true), "{what}: {:?}", morning.breaker());
        let refused = morning.classes().await;
        assert!(refused["configuration"] >= 1 && refused.values().sum::<usize>() <= 10, "{what}: {refused:?}");
        morning.mail.heal();
        morning.until_quiet(600, 8).await;
        let count = morning.count();
        count.holds();
        assert_eq!((morning.state("dead").await, count.second), (0, 0), "{what}");
    }
}

#[tokio::test]
async fn a_whole_morning_of_greylisting_arrives_once_a_little_later() {
    let morning = Morning::new(Day::of(20)).await;
    morning.mail.fault(Fault::at(Point::Rcpt, Act::GreylistFor(2)));
    morning.pass().await;
    assert_eq!(morning.states().await, (0, 20, 0, 0));
    assert_eq!(morning.breaker(), State::Closed, "it speaks to the point: it is there");
    let passes = morning.until_quiet(60, 40).await;
    assert!((15..=18).contains(&passes), "five minutes, then ten, and a tenth at most: {passes}");
    let count = morning.count();
    count.holds();
    assert_eq!((count.second, count.marked), (0, 0));
    assert_eq!(morning.classes().await["transient"], 40);
}

#[tokio::test]
async fn a_tenth_refused_for_now_loses_nothing_doubles_nothing_and_holds_up_nobody() {
    const LETTERS: usize = 200;
    for at in [Point::Mail, Point::Rcpt, Point::Data, Point::Dot] {
        let morning = Morning::new(Day { connections: 8, ..Day::of(LETTERS) }).await;
        // Whom it strikes: one in ten, by a stride that has nothing to do with their order on the connections.
        let refused: BTreeSet<usize> = (0..LETTERS / 10).map(|n| n * 37 % LETTERS + 1).collect();
        if at == Point::Mail {
            // MAIL knows no recipient: every tenth.
            for _ in 0..refused.len() {
                // One fault after the other: the next one counts when this one has struck.
                morning.mail.fault(Fault::at(at, Act::say("451 4.3.0 later")).skip(8).once());
            }
        } else {
            for n in &refused {
                morning.mail.fault(Fault::at(at, Act::say("451 4.3.0 later")).to(&address(*n)).once());
            }
        }
        morning.pass().await;
        // The clock has not moved: who was not refused waited for nobody's five minutes.
        let transient = morning.classes().await["transient"];
        assert_eq!(transient, refused.len(), "{at:?}");
        assert_eq!(morning.arrived().len(), LETTERS - transient, "{at:?}: all others, at once");
        assert_eq!(morning.breaker(), State::Closed);
        if at == Point::Rcpt {
            // Nor did the letters behind a refused one wait for anything on its connection: the next command comes
            // right after the RSET.
            assert_eq!(morning.mail.connections(), 8, "a refusal costs no connection");
        }
        morning.until_quiet(331, 3).await;
        let count = morning.count();
        count.holds();
        assert_eq!((count.messages, count.second, count.marked), (LETTERS, 0, 0), "{at:?}");
    }
}

#[tokio::test]
async fn connections_grow_while_it_goes_well_carry_many_letters_each_and_shrink_when_it_does_not() {
    let morning = Morning::new(Day { connections: 6, ..Day::of(120) }).await;
    morning.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(10))));
    morning.pass().await;
    let events = morning.mail.events();
    let (mut open, mut most, mut grown_at) = (0, 0, Vec::new());
    for (at, (_, event)) in events.iter().enumerate() {
        open += i32::from(*event == Event::Opened) - i32::from(*event == Event::Closed);
        if open > most {
            most = open;
            grown_at.push(events[..at].iter().filter(|(_, event)| *event == Event::Dot).count());
        }
    }
    assert_eq!(most, 6, "as many as allowed, no more");
    // One more with each acceptance, while nothing has failed.
    for (n, dots) in grown_at.iter().enumerate() {
        assert!(*dots >= n, "connection {} came after {dots} letters", n + 1);
    }
    assert_eq!(morning.mail.connections(), 6, "120 letters on six connections");
    assert_eq!(events.iter().filter(|(_, event)| *event == Event::Heard("QUIT".into())).count(), 6, "ended politely");

    assert_eq!(morning.parallel(), 6);

    // The same relay in trouble: each connection that it ends halves them, and they come back with what it takes.
    let morning = Morning::new(Day { connections: 6, ..Day::of(120) }).await;
    morning.mail.fault(Fault::at(Point::Mail, Act::Close).skip(40));
    morning.pass().await;
    assert_eq!(morning.state("sent").await, 40);
    assert!(morning.parallel() <= 2, "{} connections after a relay ended all of them", morning.parallel());
    morning.mail.heal();
    morning.until_quiet(331, 4).await;
    morning.count().holds();
    assert_eq!(morning.parallel(), 6, "as many as before");
    let journal = morning.mail.journal();
    let used: BTreeSet<u64> = journal.iter().map(|mail| mail.connection).collect();
    assert!(used.len() > 6, "ended ones were replaced");
    assert!(morning.mail.most_open() <= 6);
}

#[tokio::test]
async fn a_relay_that_takes_fewer_connections_than_allowed_still_takes_all_letters() {
    let relay = Setup { most_connections: 2, ..Setup::default() };
    let morning = Morning::new(Day { connections: 6, relay, ..Day::of(60) }).await;
    morning.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(5))));
    morning.pass().await;
    let count = morning.count();
    assert!(count.lost.is_empty(), "not in one pass: {} waited for a rest", count.lost.len());
    count.holds();
    assert_eq!(count.second, 0);
}

#[tokio::test]
async fn every_acceptance_is_on_record_before_quit_and_a_hang_there_holds_nobody() {
    let morning = Morning::new(Day::of(20)).await;
    let (heard, hear) = std::sync::mpsc::channel();
    let path: String =
        sqlx::query_scalar("SELECT file FROM pragma_database_list").fetch_one(&morning.pool).await.unwrap();
    // Asked from the server's own thread at the moment it reads QUIT: what a kill just then would find.
    morning.mail.fault(Fault::at(
        Point::Quit,
        Act::call(move || {
            let path = path.clone();
            let count = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut db = sqlx::SqliteConnection::connect(&format!("sqlite:{path}")).await.unwrap();
                    let sent = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM message WHERE state = 'sent'");
                    sent.fetch_one(&mut db).await.unwrap()
                })
            });
            heard.send(count.join().unwrap()).unwrap();
        }),
    ));
    use sqlx::Connection;
    morning.pass().await;
    let seen: Vec<i64> = hear.try_iter().collect();
    assert!(!seen.is_empty() && seen.iter().all(|sent| *sent == 20), "on record when QUIT came: {seen:?}");

    let morning = Morning::new(Day::of(20)).await;
    morning.mail.fault(Fault::at(Point::Quit, Act::Hang));
    morning.pass().await;
    assert_eq!(morning.states().await, (20, 0, 0, 0));
}
