//! The built binary after fourteen days off over Tết, killed in the middle of catching up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use dondoc::clock::Clock;
use mail_parser::MessageParser;

use super::world::{PATIENCE, World, local};
use crate::clock::office::{RULES, tasks};

/// Tasks, and the slots of the rung that is the most severe by then.
const TASKS: usize = 12;
const SLOTS: usize = 4;

/// Messages a second, and how many may have been saved up at each start (see `channel::pace`).
const RATE: u32 = 5;

#[test]
fn after_fourteen_days_off_each_slot_hears_once_within_the_rate_and_nothing_is_filed_twice() {
    let Some(world) = World::at("2027-01-27T09:00:00") else { return };
    fs::write(world.path("rules.toml"), RULES.replace("bundle = true", "bundle = false")).unwrap();
    let settings = fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let rate = format!("messages_per_minute = {}", RATE * 60);
    fs::write(world.path("dondoc.toml"), settings.replace("messages_per_minute = 60000", &rate)).unwrap();
    world.json(&["import", "directory", concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")]);
    fs::write(world.path("tasks.csv"), tasks(TASKS, "02/02/2027")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    let daemon = world.run();
    world.wait_quiet(local("2027-01-27T09:00:00"));
    daemon.stop();

    world.set(local("2027-02-12T08:05:00"));
    let began = Clock::System.boot_time();
    let daemon = world.run();
    world.mail.wait_for(TASKS * SLOTS / 3, PATIENCE);
    daemon.kill();
    let daemon = world.run();
    let ids = || world.mail.journal().iter().map(|mail| mail.message_id()).collect::<BTreeSet<String>>();
    while ids().len() < TASKS * SLOTS {
        let taken = world.mail.journal().len();
        assert!(world.mail.wait_for(taken + 1, PATIENCE).len() > taken, "no more mails: {:?}", daemon.log());
    }
    // Two starts may each have saved up a second's worth.
    let least = (TASKS * SLOTS) as u32 - 2 * (RATE + 1);
    let took = Clock::System.boot_time() - began;
    assert!(took >= Duration::from_secs(1) * least / RATE, "{took:?}: faster than the rate");
    world.wait_quiet(local("2027-02-12T08:05:00"));
    daemon.stop();

    let mut told: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for mail in world.mail.journal() {
        let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
        let subject = parsed.subject().unwrap().to_owned();
        let code = subject.split([' ', ':']).find(|word| word.starts_with("NV27-")).unwrap().to_owned();
        told.entry((mail.to[0].clone(), code)).or_default().insert(mail.message_id());
    }
    assert_eq!(told.len(), TASKS * SLOTS, "every slot of every task");
    assert!(told.values().all(|messages| messages.len() == 1), "one message each: {told:?}");
    let notices = world.json(&["notice", "list"]);
    let mut numbers: Vec<&str> = notices.as_array().unwrap().iter().map(|n| n["number"].as_str().unwrap()).collect();
    numbers.sort_unstable();
    let wanted: Vec<String> = (1..=2 * TASKS).map(|n| format!("{n:04}/2027")).collect();
    assert_eq!(numbers, wanted, "two rungs file, each once");
    let verified = world.json(&["register", "verify"]);
    assert_eq!((&verified["ok"], &verified["entries"]), (&true.into(), &(2 * TASKS).into()));
    assert_eq!(world.json(&["outbox", "list"]), serde_json::json!([]));
}
