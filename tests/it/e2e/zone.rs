//! The machine's own time zone is nobody's business: the same reminders, at the same instants, with the same bytes,
//! whatever `TZ` and `/etc/localtime` say, and on a machine without zone files. Time stands still here, so that dates can
//! be compared to the second.

use std::{collections::BTreeMap, process::Command};

use mail_parser::MessageParser;
use serde_json::json;

use super::world::{Office, World, local, zone};
use crate::clock::office::tasks;

/// The clock stands at `now`, and says so by itself: no file moves it.
fn standing(command: &mut Command, now: &str, machine: &[(&str, &str)]) {
    command.env_remove("FAKETIME_TIMESTAMP_FILE").env_remove("TZ");
    command.env("FAKETIME_FMT", "%s").env("FAKETIME", local(now).as_second().to_string());
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    command.envs(machine.iter().copied());
}

/// What came of a weekend and two mornings on such a machine.
#[derive(Debug, PartialEq, Eq)]
struct Lived {
    /// By recipient and subject: the date line, the text, the page and the calendar.
    letters: BTreeMap<(String, String), (String, String, String, String)>,
    /// What `plan` and `explain` told beforehand and afterwards.
    told: Vec<String>,
    /// Each notice's file, without its hash chain's random salts: what a reader sees first.
    notices: Vec<String>,
}

fn live(machine: &[(&str, &str)]) -> Option<Lived> {
    let office = Office { without_zalo: true, ..Office::default() };
    let world = World::with("2026-11-20T20:00:00", office)?;
    let ask = |now: &str, arguments: &[&str]| {
        let answer = world.dondoc_with(arguments, |command| standing(command, now, machine));
        assert!(matches!(answer.code, 0 | 3), "{machine:?} {arguments:?} at {now}: {answer:?}");
        answer.out
    };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    let friday = "2026-11-20T20:00";
    // An hour of the day, and a day that is over: what a zone could turn.
    std::fs::write(world.path("tasks.csv"), tasks(6, "17h00 ngày 25/11/2026")).unwrap();
    ask(friday, &["import", "directory", directory]);
    ask(friday, &["import", "tasks", "tasks.csv", "--yes"]);
    let mut told = vec![
        ask(friday, &["plan", "--until", "2026-12-02"]),
        ask(friday, &["plan", "--from", "2026-11-23", "--until", "2026-11-26T08:00", "--format", "json"]),
    ];
    // In New York it is the evening before, in UTC the small hours.
    for now in
        [friday, "2026-11-23T07:59", "2026-11-23T08:00", "2026-11-25T08:00", "2026-11-26T08:00", "2026-12-09T08:30"]
    {
        ask(now, &["run", "--once"]);
    }
    told.push(ask("2026-12-09T08:30", &["explain", "NV27-000001"]));
    told.push(ask("2026-12-09T08:30", &["notice", "list"]));
    let letters = world.mail.journal().into_iter().map(|mail| {
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        let calendar = parsed.attachment(0).map(|part| String::from_utf8_lossy(part.contents()).into_owned());
        let html = parsed.body_html(0).unwrap().into_owned();
        let text = parsed.body_text(0).unwrap().into_owned();
        let date = mail.header("Date").unwrap();
        (
            (mail.to[0].clone(), format!("{date} {}", parsed.subject().unwrap())),
            (date, text, html, calendar.unwrap_or_default()),
        )
    });
    let letters: BTreeMap<_, _> = letters.collect();
    assert_eq!(letters.len(), world.mail.journal().len());
    let notices = world.json(&["notice", "list"]);
    let notices =
        notices.as_array().unwrap().iter().map(|notice| format!("{} {}", notice["number"], notice["filed_at"]));
    Some(Lived { letters, told, notices: notices.collect() })
}

#[test]
fn the_machines_zone_changes_neither_what_leaves_nor_when_nor_a_byte_of_it() {
    let Some(at_home) = live(&[("TZ", "Asia/Ho_Chi_Minh")]) else { return };
    let dates: Vec<&str> = at_home.letters.values().map(|(date, ..)| date.as_str()).collect();
    assert!(dates.contains(&"Mon, 23 Nov 2026 08:00:00 +0700") && dates.len() > 20, "{dates:?}");
    assert!(dates.iter().all(|date| date.ends_with(" +0700")), "{dates:?}");
    assert!(!dates.iter().any(|date| date.contains("07:59")), "early: {dates:?}");
    assert!(!at_home.notices.is_empty(), "something was filed");
    let (empty, nowhere) = (tempfile::tempdir().unwrap(), ("TZ", ":/no/such/zone"));
    let without_files = [nowhere, ("TZDIR", empty.path().to_str().unwrap())];
    // Without TZ: whatever this machine's /etc/localtime says, or nothing where there is none.
    for machine in [&[("TZ", "America/New_York")][..], &[("TZ", "UTC")], &[nowhere], &without_files, &[]] {
        let lived = live(machine).unwrap();
        assert_eq!(lived.letters, at_home.letters, "{machine:?}");
        assert_eq!((lived.told, lived.notices), (at_home.told.clone(), at_home.notices.clone()), "{machine:?}");
    }
    assert_eq!(json!(zone().iana_name()), json!("Asia/Ho_Chi_Minh"));
}
