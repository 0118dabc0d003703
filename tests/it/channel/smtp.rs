//! SMTP in clear: each row of the class table, connections and their reuse, and Debian's own sink.

use futures_util::future::join_all;

use super::*;

/// With the fault, the outcome is of this class and code, whether the relay takes MAIL and RCPT in one flight or not;
/// when it is gone the same channel sends at once.
async fn check(fault: Fault, class: &str, code: i32) {
    for pipelining in [false, true] {
        check_with(Setup { pipelining, ..Setup::default() }, fault.clone(), class, code).await;
    }
}

async fn check_with(setup: Setup, fault: Fault, class: &str, code: i32) {
    let sink = SmtpSink::with(setup);
    let what = format!("{fault:?}");
    let deadlines = if what.contains("Hang") || what.contains("Drip") { brief() } else { patient() };
    sink.fault(fault);
    let channel = plain(&sink, deadlines);
    let outcome = tried(&channel, &parcel(1)).await;
    assert_eq!((outcome.as_str(), outcome.code()), (class, code), "{what}: {outcome:?}");
    let taken = sink.journal().len();
    sink.heal();
    sent(&channel, 2).await;
    assert_eq!(sink.journal().len(), taken + 1, "{what}");
}

#[tokio::test]
async fn the_relays_refusals_have_the_tables_class_at_each_phase() {
    use Point::*;
    for (point, reply, class) in [
        (Connect, "554 no service", "site"),
        (Connect, "421 busy", "site"),
        (Ehlo, "421 4.3.2 going down", "site"),
        (Ehlo, "451 later", "site"),
        (Ehlo, "550 5.7.1 who are you", "configuration"),
        (Mail, "421 4.7.0 too many", "site"),
        (Mail, "451 4.3.0 later", "transient"),
        (Mail, "452 4.3.1 no space", "transient"),
        (Mail, "530 5.7.0 authenticate", "configuration"),
        (Mail, "550 5.7.1 not from you", "permanent"),
        (Rcpt, "421 4.3.2 going down", "site"),
        (Rcpt, "450 4.2.0 later", "transient"),
        (Rcpt, "452 4.2.2 over quota", "transient"),
        (Rcpt, "550 5.1.1 no such user", "recipient"),
        (Rcpt, "554 5.7.1 relaying denied", "recipient"),
        (Data, "451 4.3.0 later", "transient"),
        (Data, "554 5.5.0 no", "permanent"),
        (Dot, "421 4.3.2 going down", "site"),
        (Dot, "451 4.3.0 later", "transient"),
        (Dot, "452 4.3.1 no space", "transient"),
        (Dot, "552 5.3.4 too big", "permanent"),
        (Dot, "554 5.6.0 spam", "permanent"),
    ] {
        let code = reply[..3].parse().unwrap();
        check(Fault::at(point, Act::say(reply)), class, code).await;
    }
}

#[tokio::test]
async fn what_says_something_of_the_servers_strength_halves_the_connections_and_a_refusal_of_one_letter_does_not() {
    use Point::*;
    for (fault, class, after) in [
        (Fault::at(Mail, Act::Close), "transient", 4),
        (Fault::at(Data, Act::Close), "transient", 4),
        (Fault::at(Dot, Act::Close), "unknown", 4),
        (Fault::at(Dot, Act::TakeThenSay("999 what".into())), "unknown", 4),
        (Fault::at(Mail, Act::say("421 4.7.0 too many")), "site", 4),
        (Fault::at(Mail, Act::say("530 5.7.0 authenticate")), "configuration", 4),
        (Fault::at(Mail, Act::say("452 4.3.1 no space")), "transient", 8),
        (Fault::at(Rcpt, Act::say("450 4.2.0 later")), "transient", 8),
        (Fault::at(Rcpt, Act::say("550 5.1.1 no such user")), "recipient", 8),
        (Fault::at(Dot, Act::say("554 5.6.0 spam")), "permanent", 8),
    ] {
        let what = format!("{fault:?}");
        let sink = SmtpSink::start();
        let smtp = Smtp { max_connections: 8, ..settings(&sink, SmtpTls::None) };
        let channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap();
        for n in 1..=10 {
            assert_eq!(channel.parallel(), (n as usize).min(8), "one more with each acceptance");
            sent(&channel, n).await;
        }
        sink.fault(fault);
        assert_eq!(tried(&channel, &parcel(11)).await.as_str(), class, "{what}");
        assert_eq!(channel.parallel(), after, "{what}");
        sink.heal();
        // From a half back it is one more with each round.
        for n in 12..=15 {
            sent(&channel, n).await;
        }
        assert_eq!(channel.parallel(), (after + 1).min(8), "{what}");
    }
}

#[tokio::test]
async fn mail_and_rcpt_leave_in_one_flight_where_the_relay_takes_it_and_nothing_more_does() {
    for pipelining in [false, true] {
        let sink = SmtpSink::with(Setup { pipelining, ..Setup::default() });
        let channel = plain(&sink, patient());
        // A refused MAIL shows which commands had left before its answer came.
        sink.fault(Fault::at(Point::Mail, Act::say("451 4.3.0 later")));
        assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "transient");
        sink.heal();
        sent(&channel, 2).await;
        let refused: &[&str] = if pipelining { &["MAIL", "RCPT", "RSET"] } else { &["MAIL", "RSET"] };
        assert_eq!(sink.verbs(), [&["EHLO"], refused, &["MAIL", "RCPT", "DATA"]].concat(), "pipelining: {pipelining}");
        assert_eq!(sink.most_open(), 1, "the refused MAIL cost no connection");
        // A shut gate lets nothing of the message out: DATA is in no flight.
        let door = Door::shut();
        assert_eq!(channel.deliver(&parcel(3), &door).await, Delivery::Stopped);
        assert_eq!((sink.journal().len(), door.asked()), (1, 1));
    }
}

#[tokio::test]
async fn a_lost_connection_is_unknown_only_after_the_final_dot() {
    use Point::*;
    for (point, class) in [
        (Connect, "site"),
        (Ehlo, "site"),
        (Mail, "transient"),
        (Rcpt, "transient"),
        (Data, "transient"),
        (Dot, "unknown"),
    ] {
        check(Fault::at(point, Act::Close), class, 0).await;
    }
    check(Fault::at(Dot, Act::TakeThenClose), "unknown", 0).await;
}

#[tokio::test]
async fn a_silent_server_meets_each_phases_deadline() {
    use Point::*;
    for (point, class) in
        [(Connect, "site"), (Ehlo, "site"), (Mail, "transient"), (Rcpt, "transient"), (Data, "transient")]
    {
        check(Fault::at(point, Act::Hang), class, 0).await;
    }
    check(Fault::at(Dot, Act::Hang), "unknown", 0).await;
    check(Fault::at(Dot, Act::TakeThenHang), "unknown", 0).await;
}

#[tokio::test]
async fn a_reply_of_a_byte_a_minute_meets_the_phases_deadline() {
    let minute = Duration::from_secs(60);
    check(Fault::at(Point::Rcpt, Act::Drip("250 ok".into(), minute)), "transient", 0).await;
    check(Fault::at(Point::Connect, Act::Drip("220 hello".into(), minute)), "site", 0).await;
    check(Fault::at(Point::Dot, Act::Drip("250 ok".into(), minute)), "unknown", 0).await;
}

#[tokio::test]
async fn endless_replies_are_given_up_without_waiting_for_their_end() {
    // The deadlines never strike here: what ends these is the count of bytes.
    for act in [Act::EndlessLines, Act::EndlessLine] {
        check(Fault::at(Point::Connect, act.clone()), "site", 0).await;
        check(Fault::at(Point::Ehlo, act.clone()), "site", 0).await;
        check(Fault::at(Point::Rcpt, act.clone()), "transient", 0).await;
        check(Fault::at(Point::Dot, act), "unknown", 0).await;
    }
}

#[tokio::test]
async fn only_250_to_the_final_dot_is_success() {
    for reply in ["251 will forward", "200 fine", "220 hello", "354 more", "HTTP/1.1 200 OK", "", "25", "999 what"] {
        check(Fault::at(Point::Dot, Act::TakeThenSay(reply.into())), "unknown", 0).await;
    }
}

#[tokio::test]
async fn an_odd_answer_before_the_message_hands_nothing_over() {
    for (point, reply, class) in [
        (Point::Connect, "250 hello", "site"),
        (Point::Connect, "SSH-2.0-OpenSSH", "site"),
        (Point::Ehlo, "220 hello", "site"),
        (Point::Mail, "354 go on", "transient"),
        (Point::Mail, "220 what", "transient"),
        (Point::Rcpt, "354 go on", "transient"),
        (Point::Data, "250 ok", "transient"),
        (Point::Data, "garbage", "transient"),
    ] {
        check(Fault::at(point, Act::say(reply)), class, 0).await;
    }
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Data, Act::say("250 ok")));
    tried(&plain(&sink, patient()), &parcel(1)).await;
    assert!(!sink.verbs().iter().any(|verb| verb.starts_with("MESSAGE-ID")), "no content after 250 to DATA");
}

#[tokio::test]
async fn replies_that_are_only_unusual_are_understood() {
    for reply in
        [&b"250\r\n"[..], b"250 \xe9\xe0 latin\r\n", b"250-two\r\n250 lines\r\n", b"250 ok\n", b"250-\r\n250 \r\n"]
    {
        let sink = SmtpSink::start();
        for point in [Point::Mail, Point::Rcpt] {
            sink.fault(Fault::at(point, Act::Late(Duration::ZERO)).once());
        }
        sink.fault(Fault::at(Point::Rset, Act::Raw(reply.to_vec())));
        sink.fault(Fault::at(Point::Dot, Act::TakeThenSay(String::from_utf8_lossy(reply).trim_end().into())));
        sent(&plain(&sink, patient()), 1).await;
    }
    // A blank keyword line makes lettre's own parser panic, a blank first one fail; keywords come in any case.
    for hello in ["250-sink\r\n250-   \r\n250-\r\n250 8bitmime\r\n", "250-\r\n250 8BitMime\r\n"] {
        let sink = SmtpSink::start();
        sink.fault(Fault::at(Point::Ehlo, Act::Raw(hello.into())));
        let channel = plain(&sink, patient());
        sent(&channel, 1).await;
        let eight_bit = Parcel { bytes: "Subject: x\r\n\r\nĐôn đốc\r\n".into(), ..parcel(2) };
        assert_eq!(tried(&channel, &eight_bit).await.as_str(), "accepted");
    }
}

#[tokio::test]
async fn an_answer_out_of_step_is_never_taken_for_another_commands() {
    // After RCPT the server has already said 354 and 250: taken in step, nothing would ever be sent and all "accepted".
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Rcpt, Act::Extra("354 go on\r\n250 2.0.0 Ok: queued".into())));
    let channel = plain(&sink, patient());
    assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "transient");
    assert!(sink.journal().is_empty());
    sink.heal();
    sent(&channel, 2).await;
}

#[tokio::test]
async fn surplus_after_an_acceptance_costs_the_connection_and_nothing_else() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Dot, Act::Extra("250 and again".into())).once());
    let channel = plain(&sink, patient());
    sent(&channel, 1).await;
    sent(&channel, 2).await;
    assert_eq!((sink.journal().len(), sink.connections()), (2, 2));
}

#[tokio::test]
async fn many_messages_go_on_one_connection_and_arrive_as_they_were() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    for id in 0..50 {
        sent(&channel, id).await;
    }
    assert_eq!(sink.connections(), 1);
    for (id, received) in (0..).zip(sink.journal()) {
        assert_eq!(received.bytes, parcel(id).bytes, "dots and line ends as they were, nothing added");
        assert_eq!((received.from.as_str(), received.to.as_slice()), (FROM, &[TO.to_owned()][..]));
        assert!(!received.bare_line_end);
    }
    channel.rest().await;
    assert_eq!(sink.verbs().last().unwrap(), "QUIT");
    assert_eq!(sink.verbs().iter().filter(|verb| *verb == "QUIT").count(), 1);
}

#[tokio::test]
async fn a_connection_is_changed_after_a_hundred_messages() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    for id in 0..101 {
        sent(&channel, id).await;
    }
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn a_shut_gate_after_rcpt_sends_no_data_and_keeps_the_connection() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    let door = Door::shut();
    assert_eq!(channel.deliver(&parcel(1), &door).await, Delivery::Stopped);
    assert_eq!(door.asked(), 1);
    assert_eq!(sink.verbs(), ["EHLO", "MAIL", "RCPT", "RSET"]);
    sent(&channel, 2).await;
    assert_eq!((sink.connections(), sink.journal().len()), (1, 1));
}

#[tokio::test]
async fn the_gate_is_not_asked_for_a_refused_recipient_and_once_for_a_taken_one() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 no")).once());
    let channel = plain(&sink, patient());
    let door = Door::open();
    channel.deliver(&parcel(1), &door).await;
    assert_eq!(door.asked(), 0);
    channel.deliver(&parcel(2), &door).await;
    assert_eq!(door.asked(), 1);
    assert_eq!(sink.connections(), 1, "a refusal leaves the connection usable");
}

#[tokio::test]
async fn a_gate_that_shuts_between_leaves_no_byte_of_the_message_even_where_the_connection_rested() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    sent(&channel, 1).await;
    sink.fault(Fault::at(Point::Rset, Act::Close));
    assert_eq!(channel.deliver(&parcel(2), &Door::shut()).await, Delivery::Stopped);
    sink.heal();
    sent(&channel, 3).await;
    let ids: Vec<_> = sink.journal().iter().map(|received| received.message_id()).collect();
    assert_eq!(ids, ["<1@office.example>", "<3@office.example>"]);
}

#[tokio::test]
async fn a_connection_that_ended_while_it_rested_is_replaced_and_spends_nothing() {
    // A farewell nobody read, then the end; and an end without a farewell.
    for farewell in ["250 2.0.0 Ok\r\n421 4.4.2 timeout", "250 2.0.0 Ok"] {
        let sink = SmtpSink::start();
        let channel = plain(&sink, patient());
        sink.fault(Fault::at(Point::Dot, Act::SayThenClose(farewell.into())).once());
        sent(&channel, 1).await;
        assert!(sink.wait_closed(Duration::from_secs(30)));
        sent(&channel, 2).await;
        assert_eq!(sink.connections(), 2);
    }
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    sent(&channel, 1).await;
    sink.fault(Fault::at(Point::Mail, Act::SayThenClose("421 4.7.0 enough on this connection".into())).once());
    sent(&channel, 2).await;
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn greylisting_passes_at_the_second_try() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Rcpt, Act::Greylist));
    let channel = plain(&sink, patient());
    assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "transient");
    sent(&channel, 1).await;
}

#[tokio::test]
async fn one_refused_recipient_among_a_hundred_harms_nobody_else() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 <u13@so.example> no such user")).to("u13@so.example"));
    let channel = plain(&sink, patient());
    let parcels: Vec<_> = (0..100).map(|id| parcel_to(id, &format!("u{id}@so.example"))).collect();
    let outcomes = join_all(parcels.iter().map(|parcel| tried(&channel, parcel))).await;
    let refused: Vec<_> = outcomes.iter().filter(|outcome| outcome.as_str() != "accepted").collect();
    assert_eq!(refused, [&Outcome::Recipient { code: 550, reply: "5.1.1 <u***@so.example> no such user".into() }]);
    assert_eq!(sink.journal().len(), 99);
    assert!(sink.most_open() <= 4, "{} connections at once", sink.most_open());
}

#[tokio::test]
async fn parallel_grows_while_it_goes_well_and_shrinks_when_it_does_not() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    assert_eq!(channel.parallel(), 1);
    for id in 0..20 {
        sent(&channel, id).await;
    }
    assert_eq!(channel.parallel(), 4);
    sink.fault(Fault::at(Point::Mail, Act::say("421 busy")).times(2));
    tried(&channel, &parcel(30)).await;
    assert!(channel.parallel() < 4);
}

/// More than the sockets' buffers hold.
fn big() -> Parcel {
    let line = "x".repeat(76) + "\r\n";
    Parcel { bytes: ("Subject: big\r\n\r\n".to_owned() + &line.repeat(400_000)).into(), ..parcel(1) }
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_a_body_handed_nothing_over() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Body, Act::Close).once());
    let channel = plain(&sink, patient());
    let outcome = tried(&channel, &big()).await;
    assert_eq!(outcome.as_str(), "transient", "{outcome:?}");
    sent(&channel, 2).await;
}

#[tokio::test]
async fn a_body_that_the_server_stops_reading_is_given_up_and_was_not_handed_over() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Body, Act::Hang).once());
    let channel = plain(&sink, brief());
    let outcome = tried(&channel, &big()).await;
    assert_eq!(outcome.as_str(), "transient", "{outcome:?}");
    sent(&channel, 2).await;
}

#[tokio::test]
async fn the_final_dot_has_a_longer_deadline_than_a_command_and_a_body_has_not() {
    let deadlines = Deadlines { command: Duration::from_secs(1), ..patient() };
    let sink = SmtpSink::start();
    let channel = plain(&sink, deadlines);
    sink.fault(Fault::at(Point::Dot, Act::Late(Duration::from_secs(2))).once());
    sent(&channel, 1).await;
    sink.fault(Fault::at(Point::Body, Act::Hang).once());
    let stopped = tokio::time::timeout(Duration::from_secs(30), tried(&channel, &big())).await;
    assert_eq!(stopped.unwrap().as_str(), "transient");
}

#[tokio::test]
async fn a_connection_that_rested_is_asked_whether_it_lives() {
    let sink = SmtpSink::start();
    let clock = clock();
    let channel = plain(&sink, brief()).with_clock(clock.clone());
    sent(&channel, 1).await;
    clock.set(clock.now() + Duration::from_secs(31));
    sent(&channel, 2).await;
    assert_eq!(sink.verbs(), ["EHLO", "MAIL", "RCPT", "DATA", "NOOP", "MAIL", "RCPT", "DATA"]);
    sink.fault(Fault::at(Point::Noop, Act::Hang));
    clock.set(clock.now() + Duration::from_secs(31));
    sent(&channel, 3).await;
    assert_eq!((sink.connections(), sink.journal().len()), (2, 3));
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_body_counts_as_what_it_says() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Body, Act::say("552 5.3.4 too big")).once());
    let channel = plain(&sink, patient());
    let outcome = tried(&channel, &big()).await;
    // The reset may overtake the words; in no case was the message handed over.
    assert!(
        matches!(outcome, Outcome::Permanent { code: 552, .. } | Outcome::Transient { code: 0, .. }),
        "{outcome:?}"
    );
    sent(&channel, 2).await;
}

#[tokio::test]
async fn a_server_that_hangs_on_quit_holds_nobody() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Quit, Act::Hang));
    let channel = plain(&sink, brief());
    sent(&channel, 1).await;
    channel.rest().await;
    assert!(sink.wait_closed(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_delivery_that_was_dropped_half_way_leaves_no_half_spoken_connection() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    sent(&channel, 1).await;
    for point in [Point::Mail, Point::Rcpt, Point::Data] {
        sink.fault(Fault::at(point, Act::Hang).once());
        let dropped = parcel(2);
        let door = Door::open();
        let given_up = tokio::time::timeout(Duration::from_millis(200), channel.deliver(&dropped, &door)).await;
        assert!(given_up.is_err(), "{given_up:?}");
        sent(&channel, 3).await;
    }
    let ids: Vec<_> = sink.journal().iter().map(|received| received.message_id()).collect();
    assert_eq!(ids, ["<1@office.example>", "<3@office.example>", "<3@office.example>", "<3@office.example>"]);
    assert_eq!(sink.connections(), 4);
}

#[tokio::test]
async fn a_relay_that_was_away_is_used_again_when_it_is_back() {
    let sink = SmtpSink::start();
    let port = sink.port();
    let channel = plain(&sink, patient());
    sent(&channel, 1).await;
    drop(sink);
    assert_eq!(tried(&channel, &parcel(2)).await.as_str(), "site", "a rested connection that ended spends nothing");
    let sink = SmtpSink::with(Setup { port, ..Setup::default() });
    sent(&channel, 2).await;
    assert_eq!(sink.journal().len(), 1);
}

#[tokio::test]
async fn nobody_listening_is_the_sites_matter() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    drop(sink);
    assert_eq!(tried(&channel, &parcel(1)).await.as_str(), "site");
}

#[tokio::test]
async fn a_message_that_could_smuggle_another_never_reaches_the_wire() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    for bytes in ["a\n.\nMAIL FROM:<x@y.z>\r\n", "a\r.\r\n", "a\n"] {
        let outcome = tried(&channel, &Parcel { bytes: bytes.into(), ..parcel(1) }).await;
        assert_eq!(outcome.as_str(), "permanent");
    }
    let outcome = tried(&channel, &parcel_to(1, "nguyễn@so.example")).await;
    assert_eq!(outcome.as_str(), "recipient", "without SMTPUTF8");
    assert!(!sink.verbs().iter().any(|verb| verb == "MAIL"));
}

#[tokio::test]
async fn a_check_opens_and_ends_a_connection_and_sends_nothing() {
    let sink = SmtpSink::start();
    let channel = plain(&sink, patient());
    assert_eq!(channel.check().await, Ok(()));
    assert_eq!(sink.verbs(), ["EHLO", "QUIT"]);
}

/// Debian's package `postfix` has a sink of its own, written by people who know the protocol better than we do.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
async fn two_hundred_messages_over_four_connections_reach_postfix_smtp_sink() {
    const SMTP_SINK: &str = "/usr/sbin/smtp-sink";
    if !std::path::Path::new(SMTP_SINK).exists() {
        assert!(std::env::var_os("DONDOC_FULL").is_none(), "{SMTP_SINK} is missing: install the package postfix");
        println!("SKIPPED: {SMTP_SINK} is missing; install the package postfix");
        return;
    }
    // A free port; smtp-sink cannot choose one itself.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = std::process::Command::new(SMTP_SINK);
    // It will not run as root.
    if std::fs::metadata("/proc/self").is_ok_and(is_root) {
        command.args(["-u", "nobody"]);
    }
    let child = command.args(["-c", &format!("127.0.0.1:{port}"), "64"]).stdout(std::process::Stdio::null()).spawn();
    let mut child = Ended(child.unwrap());
    // It does not say when it listens: its socket does.
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(child.0.try_wait().unwrap().is_none(), "smtp-sink ended by itself");
        tokio::task::yield_now().await;
    }
    let smtp = Smtp {
        host: "127.0.0.1".into(),
        port,
        tls: SmtpTls::None,
        username: None,
        password: None,
        max_connections: 4,
        messages_per_minute: 0,
    };
    let channel = SmtpChannel::new(&smtp, FROM, patient()).unwrap();
    let parcels: Vec<_> = (0..200).map(parcel).collect();
    let outcomes = join_all(parcels.iter().map(|parcel| tried(&channel, parcel))).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_str() == "accepted"), "{outcomes:?}");
    channel.rest().await;
}

fn is_root(of_us: std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(&of_us) == 0
}

/// A process that does not outlive its test.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
