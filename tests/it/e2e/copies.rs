//! Only one copy of a database sends: yesterday's backup, another machine's, one that was carried elsewhere.

use std::fs;

use serde_json::{Value, json};

use super::{
    faulty::Disk,
    life::row,
    world::{Daemon, World, local},
};

const EVENING: &str = "2026-11-22T20:00:00";
/// The task's deadline is over since one working day: its handler, the contact and the head are told.
const MORNING: &str = "2026-11-23T09:00:00";
/// Five working days over: told again, higher up.
const LATER: &str = "2026-11-30T08:00:00";
/// Ten: a notice.
const MUCH_LATER: &str = "2026-12-07T08:00:00";

fn office() -> Option<World> {
    let world = World::at(EVENING)?;
    world.json(&["import", "directory", concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")]);
    fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    Some(world)
}

/// Puts a file in the place of the database, as an operator would.
fn put_back(world: &World, backup: &str) {
    for side in ["dondoc.db-wal", "dondoc.db-shm"] {
        let _ = fs::remove_file(world.path(side));
    }
    fs::copy(world.path(backup), world.path("dondoc.db")).unwrap();
}

/// A daemon that stays up and does nothing, and says so.
fn held(world: &World, why: &str) -> Daemon {
    let (mails, files) = (world.mail.journal().len(), notices(world));
    let daemon = world.run();
    for _ in 0..2 {
        daemon.ring();
    }
    let status = world.wait_status("held", |status| !status["held"].is_null());
    assert_eq!((&status["held"]["code"], &status["ready"]), (&json!(why), &json!(false)), "{status}");
    let said = world.dondoc(&["status"]);
    assert!(said.code == 3 && said.out.contains("KHÔNG GỬI") && said.out.contains("dondoc instance adopt"), "{said:?}");
    assert!(!said.out.contains("Dịch vụ KHÔNG chạy"), "it runs, and waits: {said:?}");
    let complaints = daemon.complaints();
    assert_eq!(complaints.len(), 1, "it is said once: {complaints:#?}");
    assert!(complaints[0].contains("dondoc instance adopt"), "{complaints:?}");
    assert_eq!((world.mail.journal().len(), notices(world)), (mails, files), "a copy sends and files nothing");
    daemon
}

/// The same, to its end: what was under way when it was asked would have left by then.
fn held_to_the_end(world: &World, why: &str) {
    let before = (world.mail.journal().len(), notices(world));
    held(world, why).stop();
    assert_eq!((world.mail.journal().len(), notices(world)), before, "a copy sends and files nothing");
}

fn notices(world: &World) -> usize {
    world.json(&["notice", "list"]).as_array().unwrap().len()
}

#[test]
fn yesterday_s_backup_put_back_neither_sends_nor_files_until_it_is_adopted() {
    let Some(world) = office() else { return };
    let daemon = world.run();
    world.wait_quiet(local(EVENING));
    let backup = world.json(&["db", "backup", "yesterday.db"]);
    assert!(backup["bytes"].as_u64().unwrap() > 100_000, "{backup}");
    // Nothing is replaced, and what was made is whole.
    let again = world.dondoc(&["db", "backup", "yesterday.db"]);
    assert!(again.code == 1 && again.one_line().contains("is there already"), "{again:?}");
    assert_eq!(world.json(&["db", "check", "--db", "yesterday.db"])["ok"], true);
    world.pass(local(MORNING));
    assert_eq!(world.mail.journal().len(), 3);
    assert_eq!(world.json(&["db", "check"])["faults"], json!([]));
    daemon.stop();

    put_back(&world, "yesterday.db");
    let once = world.dondoc(&["run", "--once"]);
    assert!(once.code == 1 && once.one_line().contains("dondoc instance adopt"), "{once:?}");
    let daemon = held(&world, "older");
    let shown = world.dondoc(&["instance", "show", "--format", "json"]);
    assert_eq!((shown.code, &shown.json()["sends"]), (3, &json!(false)));
    let wrong = world.dondoc(&["instance", "adopt", "--why", "x", "--nothing-before", "2027-01-01"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");

    // Taken over while it runs: what was due is not sent again, and is listed as such.
    world.json(&["instance", "adopt", "--why", "máy chủ hỏng"]);
    daemon.wait_for_log("was adopted");
    world.wait_quiet(local(MORNING));
    assert_eq!(world.mail.journal().len(), 3, "what may have been sent is not sent again");
    let told = world.json(&["explain", "NV26-900001"]);
    let aside: Vec<&Value> =
        told["steps"].as_array().unwrap().iter().filter(|step| step["state"] == "suppressed").collect();
    assert!(
        !aside.is_empty()
            && aside.iter().all(|step| step["reason"].as_str().unwrap().contains("bản cơ sở dữ liệu khác")),
        "{told}"
    );
    let shown = world.json(&["instance", "show"]);
    assert_eq!((&shown["sends"], &shown["adoptions"][0]["why"]), (&json!(true), &json!("máy chủ hỏng")), "{shown}");
    // The ladder goes on from here.
    world.pass(local(LATER));
    assert!(world.mail.journal().len() > 3, "what falls due from now on is sent");
    world.pass(local(MUCH_LATER));
    assert_eq!(notices(&world), 1);
    daemon.stop();
    assert_eq!(world.json(&["register", "verify"])["ok"], true);
}

#[test]
fn a_backup_from_which_nothing_was_sent_since_is_no_copy() {
    let Some(world) = office() else { return };
    let daemon = world.run();
    world.pass(local(MORNING));
    world.json(&["db", "backup", "noon.db"]);
    daemon.stop();
    put_back(&world, "noon.db");
    let daemon = world.run();
    world.pass(local(LATER));
    assert!(world.mail.journal().len() > 3);
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
}

#[test]
fn a_database_that_wakes_up_on_another_machine_waits_and_goes_on_from_its_last_state_when_told() {
    let Some(world) = office() else { return };
    let Some(disk) = Disk::of(&world) else { return };
    fs::write(world.path("machine-a"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(world.path("machine-b"), "fedcba9876543210fedcba9876543210\n").unwrap();
    let on = |machine: &str| {
        let path = world.path(machine);
        world.run_with(|command| {
            disk.under(command);
            command.env("FAULTY_MACHINE_ID", path);
        })
    };
    let daemon = on("machine-a");
    world.pass(local(MORNING));
    assert_eq!(world.mail.journal().len(), 3);
    daemon.stop();
    for file in ["dondoc.db", "dondoc.db-instance"] {
        let bytes = fs::read(world.path(file)).unwrap();
        assert!(!bytes.windows(8).any(|part| part == b"01234567"), "{file}: the machine's id itself is never written");
    }
    world.set(local(LATER));
    let daemon = on("machine-b");
    daemon.ring();
    let complaints = daemon.complaints();
    assert!(complaints.len() == 1 && complaints[0].contains("another machine"), "{complaints:?}");
    assert_eq!(world.mail.journal().len(), 3);
    daemon.stop();
    assert_eq!(world.mail.journal().len(), 3, "nor did anything leave while it ended");
    // Back on its own machine nothing is to be said.
    let daemon = on("machine-a");
    world.mail.wait_for(4, super::world::PATIENCE);
    world.wait_quiet(local(LATER));
    let sent = world.mail.journal().len();
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
    // Moved for good, with everything it was: nothing is set aside.
    world.set(local(MUCH_LATER));
    let moved = world.dondoc_with(
        &["instance", "adopt", "--why", "chuyển máy", "--last-state", "--format", "json"],
        |command| {
            disk.under(command);
            command.env("FAULTY_MACHINE_ID", world.path("machine-b"));
        },
    );
    assert_eq!((moved.code, &moved.json()["messages"]), (0, &json!(0)), "{moved:?}");
    let daemon = on("machine-b");
    assert!(world.mail.wait_for(sent + 1, super::world::PATIENCE).len() > sent);
    daemon.stop();
}

#[test]
fn a_copy_in_another_folder_and_one_without_its_neighbour_are_held() {
    let Some(world) = office() else { return };
    let daemon = world.run();
    world.pass(local(MORNING));
    daemon.stop();
    let (database, neighbour) =
        (fs::read(world.path("dondoc.db")).unwrap(), fs::read(world.path("dondoc.db-instance")).unwrap());
    world.set(local(LATER));

    let Some(elsewhere) = World::at(LATER) else { return };
    fs::write(elsewhere.path("dondoc.db"), &database).unwrap();
    let said = elsewhere.dondoc(&["status"]);
    assert!(said.out.starts_with("KHÔNG GỬI: ") && said.out.contains("\nDịch vụ KHÔNG chạy"), "{said:?}");
    held_to_the_end(&elsewhere, "alone");
    fs::write(elsewhere.path("dondoc.db-instance"), &neighbour).unwrap();
    held_to_the_end(&elsewhere, "moved");
    // Damaged, it is as good as none.
    fs::write(elsewhere.path("dondoc.db-instance"), &neighbour[..20]).unwrap();
    held_to_the_end(&elsewhere, "alone");

    // The original is none of these.
    let daemon = world.run();
    world.wait_quiet(local(LATER));
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
}

#[test]
fn what_was_being_sent_when_a_copy_was_taken_is_left_to_a_person() {
    let Some(world) = office() else { return };
    world.mail.fault(crate::sink::smtp::Fault::at(crate::sink::smtp::Point::Dot, crate::sink::smtp::Act::TakeThenHang));
    world.set(local(MORNING));
    let daemon = world.run();
    world.wait_status("in work", |_| world.json(&["outbox", "list", "--state", "frozen"]) != json!([]));
    let in_hand = world.json(&["outbox", "list", "--state", "frozen"]).as_array().unwrap().len();
    world.json(&["db", "backup", "midway.db"]);
    daemon.kill();
    world.mail.heal();
    // Nothing was sent since, but letters were leaving just then: nobody knows whether this is what became of them.
    put_back(&world, "midway.db");
    let sent = world.mail.journal().len();
    held_to_the_end(&world, "copied");
    let adopted = world.json(&["instance", "adopt", "--why", "thử"]);
    assert!(adopted["messages"].as_u64().unwrap() >= in_hand as u64 && in_hand > 0, "{adopted}");
    let daemon = world.run();
    world.wait_quiet(local(MORNING));
    assert_eq!(world.mail.journal().len(), sent, "nothing leaves by itself");
    let open = world.json(&["outbox", "list"]);
    let unknown: Vec<&Value> = open.as_array().unwrap().iter().filter(|row| row["state"] == "unknown").collect();
    assert_eq!(unknown.len(), in_hand, "{open}");
    // A person may have it sent after all: the same bytes, marked.
    let taken = world.mail.journal();
    world.dondoc(&["outbox", "retry", unknown[0]["id"].as_str().unwrap(), "--reason", "đã hỏi, chưa nhận"]);
    let mails = world.mail.wait_for(sent + 1, super::world::PATIENCE);
    let again = mails.last().unwrap();
    assert!(again.header("X-Dondoc-Repeat").is_some());
    assert!(taken.iter().any(|mail| mail.message_id() == again.message_id()), "the same Message-ID");
    assert_eq!(world.json(&["db", "check"])["faults"], json!([]));
    daemon.stop();
}

#[test]
fn a_database_replaced_under_a_running_daemon_ends_it() {
    let Some(world) = office() else { return };
    let mut daemon = world.run();
    world.wait_quiet(local(EVENING));
    world.json(&["db", "backup", "other.db"]);
    fs::rename(world.path("other.db"), world.path("dondoc.db")).unwrap();
    // What it has open is a file without a name by now: what it would write there nobody would ever read.
    world.set(local(MORNING));
    daemon.nudge();
    assert_eq!(daemon.ended().code(), Some(1));
    // A new connection may have met the two files that do not belong together before the daemon looked.
    let log = daemon.log().join("\n");
    assert!(log.contains("was replaced by another file") || log.contains("malformed"), "{log}");
    assert!(log.contains("dondoc db check"), "{log}");
    assert_eq!(world.mail.journal().len(), 0);
}
