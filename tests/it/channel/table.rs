//! The class table (`planning::outcome::Outcome`) on the wire: every phase with every kind of answer. The expected classes were written
//! from that text by hand; nothing here asks the code what it thinks.

use futures_util::{StreamExt, stream};

use super::*;

/// In the order of the table's columns.
const PHASES: [Point; 8] =
    [Point::Connect, Point::Ehlo, Point::StartTls, Point::Auth, Point::Mail, Point::Rcpt, Point::Data, Point::Dot];

/// What a good server says there.
const GOOD: [&str; 8] =
    ["220 hello", "250-sink\r\n250 AUTH PLAIN", "220 go", "235 in", "250 ok", "250 ok", "354 go on", "250 queued"];

/// A positive answer that belongs elsewhere.
const WRONG: [&str; 8] = ["250 hello", "220 sink", "250 go", "250 in", "354 ok", "354 ok", "250 go on", "354 queued"];

/// S site, C configuration, T transient, R recipient, P permanent, U unknown, + accepted, ~ T or U: whether the dot had
/// left when the connection ended is for the network to say. A dot: the text leaves it open.
const TABLE: &str = "
    answer           greeting EHLO STARTTLS AUTH MAIL RCPT DATA dot
    421                 S       S      S      S    S    S    S    S
    450                 S       S      S      S    T    T    T    T
    451                 S       S      S      S    T    T    T    T
    452                 S       S      S      S    T    T    T    T
    454                 S       S      S      S    T    T    T    T
    500                 S       C      C      C    P    R    P    P
    550                 S       C      C      C    P    R    P    P
    552                 S       C      C      C    P    R    P    P
    554                 S       C      C      C    P    R    P    P
    530                 .       C      C      C    C    C    C    C
    534                 .       C      C      C    C    C    C    C
    535                 .       C      C      C    C    C    C    C
    538                 .       C      C      C    C    C    C    C
    closed              S       S      S      S    T    T    T    U
    half-said           S       S      S      S    T    T    T    U
    silent              S       S      S      S    T    T    T    U
    a-byte-a-minute     S       S      S      S    T    T    T    U
    never-ended         S       S      S      S    T    T    T    U
    endless-lines       S       S      C      S    T    T    T    U
    endless-line        S       S      C      S    T    T    T    U
    garbage             S       S      C      S    T    T    T    U
    no-such-code        S       S      C      S    T    T    T    U
    wrong-positive      S       S      C      S    T    T    T    U
    good-then-closed    S       S      S      T    T    T    ~    +
    good-and-more       S       S      C      T    T    T    T    +
";

fn act(answer: &str, phase: usize) -> Act {
    let good = GOOD[phase];
    let at_dot = PHASES[phase] == Point::Dot;
    match answer {
        "closed" => Act::Close,
        "half-said" => Act::RawThenClose(good.as_bytes()[..2].to_vec()),
        "silent" => Act::Hang,
        // Scaled like the deadlines: each byte comes within the deadline, the whole does not.
        "a-byte-a-minute" => Act::Drip(good.to_owned(), Duration::from_secs(2)),
        "never-ended" => Act::RawThenHang(format!("{}-more\r\n", &good[..3]).into_bytes()),
        "endless-lines" => Act::EndlessLines,
        "endless-line" => Act::EndlessLine,
        "garbage" => Act::say("what is this?"),
        "no-such-code" => Act::say("999 what"),
        "wrong-positive" => Act::say(WRONG[phase]),
        "good-then-closed" => Act::SayThenClose(good.to_owned()),
        "good-and-more" if at_dot => Act::Extra("250 and more".into()),
        "good-and-more" => Act::Extra("250 and more".into()),
        code => Act::Say(format!("{code} no")),
    }
}

/// A server in clear, or one with STARTTLS where that is the phase; with AUTH in both.
fn server(phase: usize) -> (SmtpSink, SmtpChannel) {
    let certificate = Certificate::new();
    let trusted = certificate.trusted();
    let login = Some(("u".to_owned(), "p".to_owned()));
    let starttls = PHASES[phase] == Point::StartTls;
    let security = if starttls { Security::StartTls } else { Security::Plain };
    let sink = SmtpSink::with(Setup { login, ..secured(security, certificate) });
    let tls = if starttls { SmtpTls::Starttls } else { SmtpTls::None };
    let smtp = Smtp { username: Some("u".into()), password: Some(Secret::new("p")), ..settings(&sink, tls) };
    // Long enough for a machine that does ten things at once, short enough to wait for.
    let deadline = Duration::from_secs(3);
    let deadlines = Deadlines { connect: deadline * 3, command: deadline, dot: deadline, quit: deadline };
    let channel = SmtpChannel::new(&smtp, FROM, deadlines).unwrap().with_tls(trusted);
    (sink, channel)
}

async fn cell(answer: String, phase: usize, expected: char) -> Option<String> {
    let what = format!("{answer} at {:?}", PHASES[phase]);
    let (sink, channel) = server(phase);
    sink.fault(Fault::at(PHASES[phase], act(&answer, phase)));
    let door = Door::open();
    let Delivery::Tried(outcome) = channel.deliver(&parcel(1), &door).await else { return Some(what) };
    let wanted: &[&str] = match expected {
        'S' => &["site"],
        'C' => &["configuration"],
        'T' => &["transient"],
        'R' => &["recipient"],
        'P' => &["permanent"],
        'U' => &["unknown"],
        '+' => &["accepted"],
        _ => &["transient", "unknown"],
    };
    let code = answer.parse().unwrap_or(if expected == '+' { 250 } else { 0 });
    if !wanted.contains(&outcome.as_str()) || outcome.code() != code {
        return Some(format!("{what}: {outcome:?}, not {expected}"));
    }
    // The gate stands before DATA: what fails earlier never asked it.
    if (door.asked() > 0) != (phase >= 6 || (phase == 5 && answer.starts_with("good"))) {
        return Some(format!("{what}: the gate was asked {} times", door.asked()));
    }
    // Nobody else is harmed: the next one goes, on this connection or another.
    sink.heal();
    let next = tried(&channel, &parcel_to(2, "tranthib@so.example")).await;
    if next.as_str() != "accepted" || sink.journal().last().map(|mail| mail.message_id()) != Some(parcel(2).key) {
        return Some(format!("{what}: after it {next:?}"));
    }
    None
}

#[tokio::test]
async fn every_phase_with_every_kind_of_answer_has_the_tables_class_and_harms_nobody_else() {
    let mut cells = Vec::new();
    for line in TABLE.lines().skip(2).filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let answer = words.next().unwrap();
        for (phase, expected) in words.enumerate().filter(|(_, expected)| *expected != ".") {
            cells.push(cell(answer.to_owned(), phase, expected.chars().next().unwrap()));
        }
    }
    assert_eq!(cells.len(), 25 * 8 - 4, "the table was not read");
    let wrong: Vec<String> = stream::iter(cells).buffer_unordered(40).filter_map(async |cell| cell).collect().await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn whatever_is_said_to_rset_and_quit_the_outcome_stays_and_the_next_message_goes() {
    let answers = [
        "421",
        "450",
        "554",
        "closed",
        "half-said",
        "silent",
        "a-byte-a-minute",
        "never-ended",
        "endless-lines",
        "endless-line",
        "garbage",
        "no-such-code",
        "wrong-positive",
        "good-then-closed",
        "good-and-more",
    ];
    let each = |answer: &'static str| async move {
        let sink = SmtpSink::start();
        let second = Duration::from_secs(2);
        let channel = plain(&sink, Deadlines { connect: second * 5, command: second, dot: second * 5, quit: second });
        sink.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 no such user")).once());
        // RCPT's good answer is that of RSET as well.
        sink.fault(Fault::at(Point::Rset, act(answer, 5)));
        sink.fault(Fault::at(Point::Quit, act(answer, 0)));
        let refused = tried(&channel, &parcel(1)).await;
        assert_eq!((refused.as_str(), refused.code()), ("recipient", 550), "{answer}");
        sent(&channel, 2).await;
        channel.rest().await;
        assert_eq!(sink.journal().len(), 1, "{answer}");
        assert!(sink.wait_closed(Duration::from_secs(30)), "{answer}: a connection was left");
    };
    stream::iter(answers.map(each)).buffer_unordered(15).collect::<Vec<()>>().await;
}

/// A relay that answers a step too late for ever: its word on one message must not be taken for another's.
#[tokio::test]
async fn a_server_a_step_behind_never_makes_an_acceptance_of_what_it_did_not_take() {
    for point in [Point::Connect, Point::Ehlo, Point::Mail, Point::Rcpt, Point::Data, Point::Dot, Point::Rset] {
        for late in ["250 2.0.0 Ok: queued", "354 go on", "550 5.1.1 no such user"] {
            let sink = SmtpSink::start();
            let second = Duration::from_secs(1);
            let channel = plain(&sink, Deadlines { connect: second * 5, command: second, dot: second, quit: second });
            if point == Point::Rset {
                // Something that leads to one.
                sink.fault(Fault::at(Point::Rcpt, Act::say("450 4.2.0 later")).skip(1).times(2));
            }
            // At the dot the surplus comes in the same breath: it is answered before the next command is read.
            let act = if point == Point::Dot { Act::Extra(late.into()) } else { Act::Lag(late.into()) };
            sink.fault(Fault::at(point, act));
            for id in 1..=4 {
                let outcome = tried(&channel, &parcel(id)).await;
                let taken = sink.journal().iter().filter(|mail| mail.message_id() == parcel(id).key).count();
                let known = match outcome.as_str() {
                    "accepted" => taken == 1,
                    "unknown" => true,
                    _ => taken == 0,
                };
                assert!(known, "{point:?} {late:?}, message {id}: {outcome:?}, taken {taken} times");
            }
        }
    }
}

#[tokio::test]
async fn greylisting_of_three_tries_passes_at_the_fourth_and_holds_no_other_recipient_up() {
    let sink = SmtpSink::start();
    sink.fault(Fault::at(Point::Rcpt, Act::GreylistFor(3)).to(TO));
    let channel = plain(&sink, patient());
    for id in 1..=3 {
        let outcome = tried(&channel, &parcel(1)).await;
        assert_eq!((outcome.as_str(), outcome.code()), ("transient", 450));
        let other = tried(&channel, &parcel_to(10 + id, "tranthib@so.example")).await;
        assert_eq!(other.as_str(), "accepted");
    }
    sent(&channel, 1).await;
    assert_eq!(sink.connections(), 1, "a refusal costs no connection");
}

#[tokio::test]
async fn a_message_beyond_the_relays_size_is_its_own_matter() {
    let sink = SmtpSink::with(Setup { size: 500, ..Setup::default() });
    let channel = plain(&sink, patient());
    let bytes = format!("Message-ID: <1@office.example>\r\n\r\n{}", "thư dài\r\n".repeat(100)).into();
    let outcome = tried(&channel, &Parcel { bytes, ..parcel(1) }).await;
    assert_eq!((outcome.as_str(), outcome.code()), ("permanent", 552));
    sent(&channel, 2).await;
}
