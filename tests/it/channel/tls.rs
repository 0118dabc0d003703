//! SMTP inside TLS, and AUTH: nothing in clear, whatever the relay does.

use super::*;

fn tls_of(security: Security) -> SmtpTls {
    match security {
        Security::Plain => SmtpTls::None,
        Security::Implicit => SmtpTls::Implicit,
        Security::StartTls => SmtpTls::Starttls,
    }
}

#[tokio::test]
async fn messages_go_inside_tls_both_ways() {
    for security in [Security::Implicit, Security::StartTls] {
        let certificate = Certificate::new();
        let trusted = certificate.trusted();
        let sink = SmtpSink::with(secured(security, certificate));
        let channel = SmtpChannel::new(&settings(&sink, tls_of(security)), FROM, patient()).unwrap().with_tls(trusted);
        for id in 0..3 {
            sent(&channel, id).await;
        }
        assert!(sink.journal().iter().all(|received| received.tls));
        assert_eq!(sink.connections(), 1);
        assert!(!String::from_utf8_lossy(&sink.in_clear()).contains("MAIL"), "{security:?}");
    }
}

#[tokio::test]
async fn inside_tls_too_only_the_final_dot_leaves_it_unknown() {
    use Point::*;
    for (point, act, class) in [
        (Rcpt, Act::Close, "transient"),
        (Rcpt, Act::Extra("250 and more".into()), "transient"),
        (Data, Act::Close, "transient"),
        (Dot, Act::TakeThenClose, "unknown"),
        (Dot, Act::TakeThenSay("251 somewhere".into()), "unknown"),
        (Dot, Act::EndlessLines, "unknown"),
    ] {
        let certificate = Certificate::new();
        let trusted = certificate.trusted();
        let sink = SmtpSink::with(secured(Security::Implicit, certificate));
        let channel = SmtpChannel::new(&settings(&sink, SmtpTls::Implicit), FROM, patient()).unwrap().with_tls(trusted);
        sink.fault(Fault::at(point, act.clone()));
        assert_eq!(tried(&channel, &parcel(1)).await.as_str(), class, "{point:?} {act:?}");
        sink.heal();
        sent(&channel, 2).await;
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_or_expired_stops_the_channel_and_nothing_goes_in_clear() {
    for security in [Security::Implicit, Security::StartTls] {
        for expired in [false, true] {
            let certificate = if expired { Certificate::expired() } else { Certificate::new() };
            let trusted = certificate.trusted();
            let login = Some(("u".to_owned(), "mat-khau".to_owned()));
            let sink = SmtpSink::with(Setup { login, ..secured(security, certificate) });
            let smtp = Smtp {
                username: Some("u".into()),
                password: Some(Secret::new("mat-khau")),
                ..settings(&sink, tls_of(security))
            };
            let mut channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap();
            if expired {
                channel = channel.with_tls(trusted);
            }
            let outcome = tried(&channel, &parcel(1)).await;
            assert_eq!(outcome.as_str(), "configuration", "{security:?} expired {expired}: {outcome:?}");
            let clear = String::from_utf8_lossy(&sink.in_clear()).into_owned();
            assert!(!clear.contains("MAIL") && !clear.contains("AUTH"), "{clear}");
            assert!(sink.verbs().iter().all(|verb| ["EHLO", "STARTTLS"].contains(&verb.as_str())));
        }
    }
}

#[tokio::test]
async fn starttls_taken_away_or_refused_never_falls_back_to_clear() {
    for (offer_starttls, fault) in [
        (false, None),
        (true, Some(Act::say("502 5.5.1 no"))),
        (true, Some(Act::say("250 ok"))),
        // Words slipped in before the handshake, to be taken for the server's own after it.
        (true, Some(Act::Extra("250-sink\r\n250 AUTH PLAIN".into()))),
    ] {
        let certificate = Certificate::new();
        let trusted = certificate.trusted();
        let login = Some(("u".to_owned(), "mat-khau".to_owned()));
        let sink = SmtpSink::with(Setup { offer_starttls, login, ..secured(Security::StartTls, certificate) });
        let said = format!("{fault:?}");
        if let Some(act) = fault {
            sink.fault(Fault::at(Point::StartTls, act));
        }
        let smtp = Smtp {
            username: Some("u".into()),
            password: Some(Secret::new("mat-khau")),
            ..settings(&sink, SmtpTls::Starttls)
        };
        let channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap().with_tls(trusted);
        let outcome = tried(&channel, &parcel(1)).await;
        assert_eq!(outcome.as_str(), "configuration", "{said}: {outcome:?}");
        assert!(sink.verbs().iter().all(|verb| ["EHLO", "STARTTLS"].contains(&verb.as_str())), "{:?}", sink.verbs());
    }
}

#[tokio::test]
async fn a_plain_server_on_the_tls_port_is_a_matter_of_settings() {
    let sink = SmtpSink::start();
    let channel = SmtpChannel::new(&settings(&sink, SmtpTls::Implicit), FROM, patient()).unwrap();
    assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "configuration");
}

#[tokio::test]
async fn authentication_works_by_plain_and_login_and_its_failure_is_a_matter_of_settings() {
    let login = || Some(("dondoc".to_owned(), "mật khẩu".to_owned()));
    for mechanisms in ["PLAIN LOGIN", "LOGIN", "CRAM-MD5"] {
        let certificate = Certificate::new();
        let trusted = certificate.trusted();
        let setup = Setup { login: login(), mechanisms: mechanisms.into(), ..secured(Security::StartTls, certificate) };
        let sink = SmtpSink::with(setup);
        for password in ["mật khẩu", "sai"] {
            let smtp = Smtp {
                username: Some("dondoc".into()),
                password: Some(Secret::new(password)),
                ..settings(&sink, SmtpTls::Starttls)
            };
            let channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap().with_tls(trusted.clone());
            let outcome = tried(&channel, &parcel(1)).await;
            let expected = match (mechanisms, password) {
                ("CRAM-MD5", _) => ("configuration", 0),
                (_, "sai") => ("configuration", 535),
                _ => ("accepted", 250),
            };
            assert_eq!((outcome.as_str(), outcome.code()), expected, "{mechanisms} {password}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn temporary_trouble_with_authentication_is_the_sites() {
    let sink = SmtpSink::with(Setup { login: Some(("u".into(), "p".into())), ..Setup::default() });
    sink.fault(Fault::at(Point::Auth, Act::say("454 4.7.0 directory is away")).once());
    let smtp = Smtp { username: Some("u".into()), password: Some(Secret::new("p")), ..settings(&sink, SmtpTls::None) };
    let channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap();
    assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "site");
    sent(&channel, 2).await;
    let without = SmtpChannel::new(&settings(&sink, SmtpTls::None), FROM, patient()).unwrap();
    let outcome = tried(&without, &parcel(3)).await;
    assert_eq!((outcome.as_str(), outcome.code()), ("configuration", 530));
}
