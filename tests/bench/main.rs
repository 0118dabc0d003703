//! `cargo bench`: what the program costs, as a table of what, figure and how it was measured. Never a test: a slow
//! machine fails nothing here.

mod child;
mod delivery;
mod large;
mod meter;
mod million;
mod office;
#[allow(clippy::unwrap_used, reason = "the tests' own file")]
#[path = "../it/postgres/server.rs"]
mod postgres;
mod senders;
mod sending;
#[path = "../sink/mod.rs"]
mod sink;
mod stocked;
mod zalo;

use std::cell::OnceCell;

use dondoc::{
    message::{
        mime::{Envelope, message_id, mime},
        sample,
        texts::Texts,
    },
    planning::{calendar::WorkCalendar, rules::ChannelKind},
};
use jiff::{
    Timestamp,
    civil::{Weekday, date},
    tz::TimeZone,
};

use meter::{Row, cpu_of, table};

/// Measures something and says so in rows of the table.
type Case = fn(&World) -> Vec<Row>;

/// What several cases need and is made once.
#[derive(Default)]
struct World {
    large: OnceCell<large::Large>,
}

impl World {
    fn large(&self) -> &large::Large {
        self.large.get_or_init(large::Large::new)
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, delivery::SENDER, kind, config] => {
            let kind = ChannelKind::from_word(kind).expect("a channel");
            return delivery::sender(kind, std::path::Path::new(config));
        }
        [_, zalo::SINK, port] => return zalo::sink(port.parse().expect("a port")),
        [_, delivery::SLOW_SINK, port, delay] => {
            return delivery::slow_sink(port.parse().expect("a port"), delay.parse().expect("milliseconds"));
        }
        [_, million::PLANNER, folder, _] => return million::planner(std::path::Path::new(folder)),
        [_, million::SCANNER, folder, _] => return million::scanner(std::path::Path::new(folder)),
        [_, million::CARRIER, folder, _] => return million::carrier(std::path::Path::new(folder)),
        [_, senders::ONE_OF, config] => return senders::one_of(std::path::Path::new(config)),
        _ => {}
    }
    // `cargo bench` hands over `--bench`, and any words the caller typed: only the cases that hold them are run.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    // In this order: the daemon comes last, because it sends what the others look ahead to.
    let cases: [(&str, Case); 12] = [
        ("calendar", calendar),
        ("compose", compose),
        ("delivery", delivery::delivery),
        ("zalo", zalo::zalo),
        ("sending", sending::sending),
        ("senders", senders::senders),
        ("import", large::import),
        ("plan", large::look_ahead),
        ("planner", large::planner),
        ("idle", large::idle),
        ("million", million::million),
        ("history", million::history),
    ];
    let world = World::default();
    let rows = cases
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())))
        .flat_map(|(_, case)| case(&world));
    table(rows.collect());
}

/// Working days there and back: the arithmetic under every step of every rule.
fn calendar(_: &World) -> Vec<Row> {
    const TIMES: u32 = 100_000;
    let week = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let calendar = WorkCalendar::new(TimeZone::UTC, &[2025, 2026, 2027], &week, []);
    let start = date(2026, 3, 2);
    let (cpu, ()) = cpu_of(|| {
        for n in 0..TIMES {
            let there = calendar.add_working(std::hint::black_box(start), (n % 60) as i32);
            std::hint::black_box(there.is_ok());
        }
    });
    vec![Row {
        what: "calendar: add up to 59 working days".into(),
        figure: format!("{:.0} ns", cpu.as_nanos() as f64 / f64::from(TIMES)),
        how: format!("CPU time of {TIMES} calls"),
    }]
}

/// A letter of one task: its texts, then its bytes. The quickest of many rounds, which is what it costs where nothing
/// else has the processor's caches.
fn compose(_: &World) -> Vec<Row> {
    const ROUNDS: u32 = 60;
    const LETTERS: u32 = 200;
    let (texts, facts) = (Texts::built_in(), sample::ahead());
    let envelope = Envelope {
        from: "Đôn đốc nhiệm vụ <dondoc@office.example>".into(),
        reply_to: None,
        to: "vu.van.dat@office.example".into(),
        to_name: Some(facts.recipient.name.clone()),
        message_id: message_id(uuid::Uuid::nil(), "office.example"),
        date: Timestamp::UNIX_EPOCH,
        zone: TimeZone::UTC,
        host: "office.example".into(),
        extra_headers: Vec::new(),
    };
    let quickest = |work: &dyn Fn() -> usize| {
        let rounds = (0..ROUNDS).map(|_| cpu_of(|| (0..LETTERS).map(|_| work()).sum::<usize>()));
        let (cpu, bytes) = rounds.min().expect("a round");
        (cpu.as_nanos() as f64 / 1e3 / f64::from(LETTERS), bytes / LETTERS as usize)
    };
    let text = texts.email(&facts).expect("texts");
    let (texts_cost, _) = quickest(&|| texts.email(std::hint::black_box(&facts)).expect("texts").html.len());
    let (bytes_cost, bytes) = quickest(&|| mime(std::hint::black_box(&text), &envelope).expect("bytes").len());
    vec![Row {
        what: "compose a letter of one task".into(),
        figure: format!("{:.1} µs", texts_cost + bytes_cost),
        how: format!(
            "{texts_cost:.1} for its texts, {bytes_cost:.1} for its {bytes} bytes; the quickest of {ROUNDS} rounds of {LETTERS}"
        ),
    }]
}
