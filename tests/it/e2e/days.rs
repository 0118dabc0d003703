//! From a spreadsheet to inboxes and a folder: days pass, and every mail, post and notice is one that was foretold.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::world::{World, instant, local, zone};
use crate::sink::{count::codes, smtp::Received, zalo::Post};

/// Something that reached somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub day: String,
    pub channel: &'static str,
    pub address: String,
    /// The tasks named. A classified one has no code outside.
    pub codes: BTreeSet<String>,
    /// A task's two deadlines are two items.
    pub items: usize,
}

/// The events of `dondoc plan`.
pub fn foreseen(world: &World, from: &str, until: &str) -> Vec<Value> {
    let plan = world.json(&["plan", "--from", from, "--until", until]);
    plan["events"].as_array().unwrap().clone()
}

fn day(at: Timestamp) -> String {
    at.to_zoned(zone()).date().to_string()
}

/// A task's code and its clock: one item of a letter.
type Item<'a> = (&'a str, &'a str);

/// What a plan says will reach whom, in order. Each message once; what comes by two ways once.
pub fn expected(events: &[Value]) -> Vec<Told> {
    let mut messages: BTreeMap<&str, (Told, BTreeSet<Item>)> = BTreeMap::new();
    for event in events.iter().filter(|event| event["kind"] == "reminder") {
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key} in {event}"));
        let channel = if text("channel") == "zalo" { "zalo" } else { "email" };
        let (told, items) = messages.entry(text("message")).or_insert_with(|| {
            let (day, address) = (day(instant(&event["send_at"])), text("address").to_owned());
            (Told { day, channel, address, codes: BTreeSet::new(), items: 0 }, BTreeSet::new())
        });
        if !text("task").starts_with("MAT-") {
            told.codes.insert(text("task").to_owned());
        }
        items.insert((text("task"), text("clock")));
    }
    let mut told: Vec<Told> = messages.into_values().map(|(told, items)| Told { items: items.len(), ..told }).collect();
    told.sort();
    told
}

/// A mail as it was taken, after everything that each must have was looked at.
pub fn told_by_mail(mail: &Received) -> Told {
    let parsed = MessageParser::default().parse(&mail.bytes).expect("a mail that parses");
    assert!(!mail.bare_line_end, "a bare line end reached the wire");
    assert_eq!(mail.header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(mail.from, "dondoc@office.example");
    assert_eq!(mail.to.len(), 1);
    let text = parsed.body_text(0).expect("a text part").into_owned();
    let html = parsed.body_html(0).expect("an HTML part").into_owned();
    let subject = parsed.subject().expect("a subject").to_owned();
    let codes = codes(&text);
    for code in &codes {
        assert!(html.contains(code.as_str()), "the HTML part does not speak of {code}");
    }
    assert!(parsed.attachments().all(|part| part.content_type().is_some_and(|kind| kind.ctype() == "text")));
    let forms = ["Nhắc việc] ", "Đến hạn hôm nay] ", "Quá hạn", "Chờ xác nhận] ", "Trả lại] "];
    if codes.is_empty() {
        assert!(!subject.contains("NV2"), "{subject}");
    } else {
        assert!(subject.starts_with('[') && forms.iter().any(|form| subject[1..].starts_with(form)), "{subject}");
    }
    let several = subject.split_once("] ").and_then(|(_, rest)| rest.split_once(" nhiệm vụ: "));
    let items = several.map_or(1, |(n, _)| n.parse().unwrap_or_else(|_| panic!("{subject}")));
    if items == 1
        && let Some(code) = codes.first()
    {
        assert!(subject.contains(code.as_str()), "{subject}");
        let root = format!("<task-{code}@office.example>");
        assert_eq!(mail.header("References"), Some(root), "letters on one task make one thread");
    }
    let date = parsed.date().expect("a date").to_timestamp();
    let day = day(Timestamp::from_second(date).unwrap());
    Told { day, channel: "email", address: mail.to[0].clone(), codes, items }
}

pub fn told_by_post(post: &Post) -> Told {
    assert_eq!(post.signed_by, Some(0), "the signature does not verify");
    let body: Value = serde_json::from_slice(&post.body).expect("JSON");
    let at: i64 = post.header("x-dondoc-timestamp").unwrap().parse().unwrap();
    let tasks = body["tasks"].as_array().unwrap().iter().map(|task| task["code"].as_str().unwrap().to_owned());
    let text = body["text"].as_str().unwrap();
    assert!(text.chars().count() < 400, "{text}");
    let address = body["recipient"]["zalo_user_id"].as_str().unwrap().to_owned();
    let items = tasks.len();
    Told { day: day(Timestamp::from_second(at).unwrap()), channel: "zalo", address, codes: tasks.collect(), items }
}

/// Everything that arrived, in order.
pub fn arrived(world: &World) -> Vec<Told> {
    let mut told: Vec<Told> = world.mail.journal().iter().map(told_by_mail).collect();
    told.extend(world.zalo.posts().iter().filter(|post| post.taken).map(told_by_post));
    told.sort();
    told
}

pub fn compare(expected: &[Told], arrived: &[Told]) {
    let missing: Vec<_> = expected.iter().filter(|told| !arrived.contains(told)).collect();
    let unexpected: Vec<_> = arrived.iter().filter(|told| !expected.contains(told)).collect();
    assert!(missing.is_empty() && unexpected.is_empty(), "missing: {missing:#?}\nunexpected: {unexpected:#?}");
    assert_eq!(expected.len(), arrived.len(), "something came twice");
}

/// What was reckoned on paper, from the two spreadsheets, the ladder in `config/rules.toml` and a calendar on the wall:
/// day, channel, address, task, and what is said of it. It is all that anybody hears of these four tasks.
///
/// - NV26-000307 (UBND phường Yên Hòa, due Tue 3/11, report Fri 6/11, urged twice before): ten working days after 3/11 is
///   17/11, past when it was entered; five more make Wed 25/11, for the 24th is a day off. The report's third working day
///   is 11/11, then 18/11 (past), then Thu 26/11.
/// - NV26-000067 (Đảng ủy UBND Thành phố, due Mon 23/11, report Mon 30/11): one working day after 23/11 is the 25th; three
///   before 30/11 is also the 25th; three after 23/11, for the coordinating Sở, is the 27th.
/// - NV26-000511 (Sở Văn hóa và Thể thao, urgent, due on Saturday 28/11, that is to say Monday the 30th; report 30/11): five
///   working days before is Fri 20/11, in the morning, past; two before is the 26th, one the 27th; the report's three, 25/11.
/// - NV26-000582 (an enterprise, due Mon 30/11): five before is 20/11, past; three before is the 25th, one the 27th.
const ON_PAPER: [(&str, &str, &str, &str, &str); 41] = [
    ("2026-11-23", "email", "oanhnt2", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-23", "email", "hanhnb", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-23", "email", "quyetdt1", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-23", "email", "vanthu.sonoivu", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-23", "email", "anhtt", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-23", "email", "thuykp", "NV26-000307", "quá hạn 14 ngày làm việc"),
    ("2026-11-25", "email", "oanhnt2", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-25", "email", "hanhnb", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-25", "email", "quyetdt1", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-25", "email", "vanthu.sonoivu", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-25", "email", "anhtt", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-25", "email", "thuykp", "NV26-000307", "quá hạn 15 ngày làm việc"),
    ("2026-11-26", "email", "oanhnt2", "NV26-000307", "quá hạn 13 ngày làm việc"),
    ("2026-11-26", "email", "hanhnb", "NV26-000307", "quá hạn 13 ngày làm việc"),
    ("2026-11-26", "email", "quyetdt1", "NV26-000307", "quá hạn 13 ngày làm việc"),
    ("2026-11-26", "email", "anhtt", "NV26-000307", "quá hạn 13 ngày làm việc"),
    ("2026-11-23", "email", "khanhhv", "NV26-000067", "đến hạn hôm nay"),
    ("2026-11-23", "zalo", "9756204181214728245", "NV26-000067", "đến hạn hôm nay"),
    ("2026-11-23", "email", "dungnt1", "NV26-000067", "đến hạn hôm nay"),
    ("2026-11-23", "zalo", "9594654672238974818", "NV26-000067", "đến hạn hôm nay"),
    ("2026-11-23", "email", "sondt", "NV26-000067", "đến hạn hôm nay"),
    ("2026-11-25", "email", "khanhhv", "NV26-000067", "quá hạn 1 ngày làm việc"),
    ("2026-11-25", "email", "dungnt1", "NV26-000067", "quá hạn 1 ngày làm việc"),
    ("2026-11-25", "email", "phucmh", "NV26-000067", "quá hạn 1 ngày làm việc"),
    ("2026-11-27", "email", "sondt", "NV26-000067", "quá hạn 3 ngày làm việc"),
    ("2026-11-27", "email", "thuyht", "NV26-000067", "quá hạn 3 ngày làm việc"),
    ("2026-11-23", "email", "lantn", "NV26-000511", "còn 4 ngày làm việc"),
    ("2026-11-25", "email", "lantn", "NV26-000511", "còn 3 ngày làm việc"),
    ("2026-11-26", "email", "lantn", "NV26-000511", "còn 2 ngày làm việc"),
    ("2026-11-26", "zalo", "9077147495890816639", "NV26-000511", "còn 2 ngày làm việc"),
    ("2026-11-27", "email", "lantn", "NV26-000511", "còn 1 ngày làm việc"),
    ("2026-11-27", "zalo", "9077147495890816639", "NV26-000511", "còn 1 ngày làm việc"),
    ("2026-11-23", "email", "haimm", "NV26-000582", "còn 4 ngày làm việc"),
    ("2026-11-25", "email", "haimm", "NV26-000582", "còn 3 ngày làm việc"),
    ("2026-11-25", "zalo", "9916239465837344652", "NV26-000582", "còn 3 ngày làm việc"),
    ("2026-11-27", "email", "haimm", "NV26-000582", "còn 1 ngày làm việc"),
    ("2026-11-27", "zalo", "9916239465837344652", "NV26-000582", "còn 1 ngày làm việc"),
    ("2026-11-23", "email", "thuykp", "NV26-000307", "đôn đốc lần 3"),
    // The report's deadline of two of them, in the same letters.
    ("2026-11-23", "email", "quyetdt1", "NV26-000307", "quá hạn 11 ngày làm việc"),
    ("2026-11-23", "email", "anhtt", "NV26-000307", "quá hạn 11 ngày làm việc"),
    ("2026-11-25", "email", "khanhhv", "NV26-000067", "còn 3 ngày làm việc"),
];

/// The paper against what came.
fn compare_with_paper(world: &World) {
    let domain = "@hanoi.gov.vn.example";
    let short = |address: &str| address.trim_end_matches(domain).to_owned();
    let mut came: Vec<(Told, String)> = Vec::new();
    for mail in world.mail.journal() {
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        let text = format!("{}\n{}", parsed.subject().unwrap(), parsed.body_text(0).unwrap());
        came.push((told_by_mail(&mail), text));
    }
    for post in world.zalo.posts() {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        came.push((told_by_post(&post), body["text"].as_str().unwrap().to_owned()));
    }
    for (day, channel, address, code, words) in ON_PAPER {
        let fits = |told: &&(Told, String)| {
            let told = &told.0;
            told.day == day && told.channel == channel && short(&told.address) == address && told.codes.contains(code)
        };
        let letters: Vec<&(Told, String)> = came.iter().filter(fits).collect();
        let [(told, text)] = letters[..] else {
            panic!("{day} {channel} {address} {code}: {} letters instead of one", letters.len())
        };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // What is said of a task stands behind its code; of the only one in a letter, anywhere.
        let mut said = text.match_indices(code).map(|(at, _)| text[at..].chars().take(90).collect::<String>());
        let said = if told.items > 1 {
            said.any(|s| s.to_lowercase().contains(words))
        } else {
            text.to_lowercase().contains(words)
        };
        assert!(said, "{day} {channel} {address}: {code} is not said to be {words:?}:\n{text}");
    }
    for (told, _) in &came {
        for code in &told.codes {
            let known = ON_PAPER.iter().any(|row| row.3 == code);
            let address = short(&told.address);
            let foreseen =
                ON_PAPER.iter().any(|row| (row.0, row.1, row.2, row.3) == (&told.day, told.channel, &address, code));
            assert!(!known || foreseen, "nobody reckoned with {code} to {address} on {}", told.day);
        }
    }
}

/// Each notice filed is one foretold, on its day; its files are those whose hashes are on record; the register holds.
fn compare_notices(world: &World, events: &[Value]) {
    let key = |task: &Value, step: &Value, at: Timestamp| (task.clone().to_string(), step.to_string(), day(at));
    let mut expected: Vec<_> = events
        .iter()
        .filter(|event| event["kind"] == "notice")
        .map(|event| key(&event["task"], &event["step"], instant(&event["send_at"])))
        .collect();
    let list = world.json(&["notice", "list"]);
    let list = list.as_array().unwrap();
    let mut filed: Vec<_> =
        list.iter().map(|notice| key(&notice["task"], &notice["step"], instant(&notice["filed_at"]))).collect();
    expected.sort();
    filed.sort();
    assert_eq!(filed, expected);
    let verified = world.json(&["register", "verify"]);
    assert_eq!((&verified["ok"], &verified["entries"]), (&true.into(), &list.len().into()));
    let mut on_disk = files(&world.path("notices"));
    for (n, notice) in list.iter().enumerate() {
        let number = notice["number"].as_str().unwrap();
        assert_eq!(number, format!("{:04}/2026", n + 1), "numbers have no gap");
        let shown = world.json(&["notice", "show", number]);
        assert_eq!(shown["hash"], notice["hash"]);
        for file in shown["files"].as_array().unwrap() {
            let path = world.path("notices").join(file["path"].as_str().unwrap());
            let hash = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
            assert_eq!(file["hash"], hash.as_str(), "{}", path.display());
            assert!(on_disk.remove(&path), "{} belongs to two notices", path.display());
        }
    }
    assert!(on_disk.is_empty(), "files of no notice: {on_disk:?}");
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path());
        }
    }
    found
}

/// `explain` tells the same story as the plan told before: each step sent when it was to be.
fn compare_explanations(world: &World, events: &[Value]) {
    let codes: BTreeSet<&str> = events
        .iter()
        .filter(|event| day(instant(&event["send_at"])).as_str() >= "2026-11-25")
        .map(|event| event["task"].as_str().unwrap())
        .collect();
    assert!(codes.len() > 10);
    for code in codes {
        let story = world.json(&["explain", code]);
        let steps = story["steps"].as_array().unwrap();
        for event in events.iter().filter(|event| event["task"] == code && event["kind"] == "reminder") {
            let same = |step: &&Value| {
                ["clock", "step", "occurrence", "audience", "channel", "at"].iter().all(|key| step[key] == event[key])
            };
            let sent = steps.iter().filter(same).filter(|step| step["state"] == "sent").count();
            assert!(sent > 0, "{event} is not in {story:#}");
        }
    }
}

#[test]
fn a_week_brings_exactly_what_was_foretold_and_a_day_off_brings_nothing() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let events = foreseen(&world, "2026-11-20T20:00", "2026-11-27");
    let expected = expected(&events);
    assert!(expected.len() > 150, "the sample has a busy week: {}", expected.len());
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    assert_eq!(arrived(&world), [], "nothing leaves at night");
    let mut seen = 0;
    for date in ["2026-11-21", "2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27"] {
        world.pass(local(&format!("{date}T08:00:00")));
        let today: Vec<Told> = expected.iter().filter(|told| told.day == date).cloned().collect();
        let all = arrived(&world);
        compare(&today, &all.iter().filter(|told| told.day == date).cloned().collect::<Vec<_>>());
        seen += today.len();
        assert_eq!(all.len(), seen, "something of another day came on {date}");
        assert_eq!(today.is_empty(), matches!(date, "2026-11-21" | "2026-11-24"), "{date}");
    }
    assert_eq!(seen, expected.len());
    compare_with_paper(&world);
    compare_notices(&world, &events);
    compare_explanations(&world, &events);
    let mails = world.mail.journal();
    let ids: BTreeSet<String> = mails.iter().map(Received::message_id).collect();
    assert_eq!(ids.len(), mails.len(), "each mail has an id of its own");
    assert!(mails.iter().all(|mail| mail.header("X-Dondoc-Repeat").is_none()));
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
}
