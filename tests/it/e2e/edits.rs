//! What `dondoc plan` says of an edit before it is taken up, and of a letter before it is written, is what comes.

use std::collections::BTreeSet;

use mail_parser::MessageParser;
use serde_json::Value;

use super::world::{World, local};

/// What is told of events: each as one line, in which nothing of the plan's own numbering stands.
fn events(plan: &Value) -> BTreeSet<String> {
    let keys =
        ["at", "kind", "task", "rule", "step", "occurrence", "clock", "audience", "channel", "address", "send_at"];
    let line = |event: &Value| keys.map(|key| event[key].to_string()).join(" ");
    plan["events"].as_array().unwrap().iter().map(line).collect()
}

/// The shipped rules with a new step, a moved one, a renamed one and one that is gone, and without their tests.
fn edited(shipped: &str) -> String {
    let edits = [
        (
            "[[rule.step]]\nid = \"truoc-1\"\n",
            "[[rule.step]]\nid = \"truoc-2-moi\"\ndue = \"-2wd\"\n\n[[rule.step]]\nid = \"truoc-1\"\n",
        ),
        ("id = \"qua-han-10\"\ndue = \"+10wd\"", "id = \"qua-han-9\"\nwas = [\"qua-han-10\"]\ndue = \"+9wd\""),
        ("id = \"truoc-10\"", "id = \"truoc-muoi\"\nwas = [\"truoc-10\"]"),
    ];
    let start = shipped.find("id = \"ubnd-chu-tri\"").unwrap();
    let (head, tail) = shipped.split_at(start);
    let tail = tail.split("# ===== Thử").next().unwrap().to_owned();
    let tail = edits.iter().fold(tail, |text, (from, to)| {
        assert!(text.contains(from), "the shipped rules have no {from} now");
        text.replacen(from, to, 1)
    });
    let gone = tail.find("[[rule.step]]\nid = \"truoc-5\"").unwrap();
    let next = gone + 1 + tail[gone + 1..].find("[[rule.step]]").unwrap();
    // Its own tests, and those of the shipped file, ask for the steps as they were.
    let edited = format!("{head}{}{}", &tail[..gone], &tail[next..]);
    let mut tested = false;
    let lines = edited.lines().filter(|line| {
        tested = if line.starts_with('[') { *line == "[[test]]" } else { tested && !line.starts_with('#') };
        !tested
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn an_edit_brings_what_the_plan_said_it_would() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let daemon = world.run();
    world.pass(local("2026-11-23T08:00:00"));
    let shipped = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    std::fs::write(world.path("moi.toml"), edited(&shipped)).unwrap();
    world.set(local("2026-11-23T09:00:00"));
    let span = ["--from", "2026-11-23T09:30", "--until", "2026-12-18"];
    let told = world.json(&[&["plan", "--rules", "moi.toml"][..], &span].concat());
    let unchanged = world.json(&[&["plan"][..], &span].concat());
    assert_ne!(events(&told), events(&unchanged), "an edit that changes nothing shows nothing");
    let difference = &told["difference"];
    for kind in ["added", "removed", "moved", "reworded"] {
        assert!(difference["reminders"][kind].as_u64().unwrap() > 0, "{kind}: {}", difference["reminders"]);
    }

    std::fs::copy(world.path("moi.toml"), world.path("rules.toml")).unwrap();
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("reloaded: ");
    world.wait_status("the reload is seen", |status| status["reload"] == "taken");
    let taken_up = world.json(&[&["plan"][..], &span].concat());
    assert_eq!(events(&taken_up), events(&told));
    let again = world.json(&[&["plan", "--rules", "moi.toml"][..], &span].concat());
    assert_eq!((&again["difference"]["same"], &again["difference"]["changes"]), (&true.into(), &serde_json::json!([])));
    let said = world.dondoc(&["plan", "--rules", "moi.toml"]);
    assert!(said.out.contains("không có gì thay đổi"), "{said:?}");
    daemon.stop();
}

#[test]
fn a_faulty_edit_is_shown_as_check_shows_it_and_a_failing_test_needs_a_person() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let shipped = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    std::fs::write(world.path("sai.toml"), shipped.replacen("\"agency_head\"]", "\"agency_haed\"]", 1)).unwrap();
    let faulty = world.dondoc(&["plan", "--rules", "sai.toml"]);
    assert_eq!((faulty.code, faulty.out.as_str()), (2, ""), "{faulty:?}");
    assert!(faulty.err.contains("agency_haed") && faulty.err.contains("agency_head"), "{}", faulty.err);
    let later = shipped.replace("due = \"+1wd\"", "due = \"+2wd\"");
    std::fs::write(world.path("thu.toml"), later).unwrap();
    let failing = world.dondoc(&["plan", "--rules", "thu.toml"]);
    assert_eq!(failing.code, 3, "{failing:?}");
    assert!(failing.err.contains("test-failed"), "{}", failing.err);
    assert!(failing.out.contains("không đạt") && failing.out.contains("dời"), "{}", failing.out);
    let missing = world.dondoc(&["plan", "--calendar", "khong-co.toml"]);
    assert_eq!((missing.code, missing.out.as_str()), (2, ""), "{missing:?}");
}

#[test]
fn a_new_day_off_moves_what_falls_on_it() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let calendar = std::fs::read_to_string(world.path("calendar.toml")).unwrap();
    let day = "\n[[day]]\ndate = 2026-11-26\nkind = \"off\"\nname = \"Nghỉ bão\"\nbasis = \"Công điện\"\ncertainty = \"confirmed\"\n";
    std::fs::write(world.path("bao.toml"), calendar + day).unwrap();
    let on = |plan: &Value| {
        let leaves = |event: &&Value| {
            event["send_at"].as_str().unwrap().starts_with("2026-11-26") && event["kind"] == "reminder"
        };
        plan["events"].as_array().unwrap().iter().filter(leaves).count()
    };
    assert!(on(&world.json(&["plan"])) > 0, "the sample has nothing on that day");
    let moved = world.json(&["plan", "--calendar", "bao.toml"]);
    assert_eq!(on(&moved), 0);
    assert!(moved["difference"]["reminders"]["moved"].as_u64().unwrap() > 0);
}

#[test]
fn the_texts_shown_are_those_that_are_sent() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let code = "NV26-000560";
    let fresh = world.json(&["plan", "--show", code]);
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    // What waits for Monday is told of as before, now that it is on record.
    let waiting = world.json(&["plan", "--show", code]);
    let heads = |answer: &Value| {
        let head = |(when, to, text): (String, String, String)| (when, to, text.lines().next().unwrap().to_owned());
        texts(answer).into_iter().map(head).collect::<BTreeSet<_>>()
    };
    assert_eq!(heads(&waiting), heads(&fresh));
    world.pass(local("2026-11-23T08:00:00"));
    let monday = |(when, ..): &&(String, String, String)| when.starts_with("2026-11-23");
    let shown: BTreeSet<(String, String)> =
        texts(&waiting).iter().filter(monday).map(|(_, to, text)| (to.clone(), text.clone())).collect();
    let mut sent: BTreeSet<(String, String)> = BTreeSet::new();
    for mail in world.mail.journal() {
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        let text = parsed.body_text(0).unwrap().replace("\r\n", "\n");
        if text.contains(code) {
            // The world's clock stands a minute later when it is composed.
            let text = text.trim_end().replace("8 giờ 01", "8 giờ 00");
            sent.insert((mail.to[0].clone(), format!("{}\n{text}", parsed.subject().unwrap())));
        }
    }
    assert!(sent.len() > 2, "{sent:#?}");
    assert_eq!(shown, sent);
    daemon.stop();
}

/// Letters: when, to whom, subject and text.
fn texts(answer: &Value) -> Vec<(String, String, String)> {
    let all = answer["texts"].as_array().unwrap().iter().filter(|text| text["channel"] == "email");
    let one = |text: &Value| {
        let word = |key: &str| text[key].as_str().unwrap_or_else(|| panic!("{key}: {text}")).to_owned();
        (word("send_at"), word("address"), format!("{}\n{}", word("subject"), word("text").trim_end()))
    };
    all.map(one).collect()
}
