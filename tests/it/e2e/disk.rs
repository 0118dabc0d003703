//! The disk under the daemon: full, failing, read-only, and a process that dies between any two lasting operations.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use dondoc::clock::Clock;
use serde_json::{Value, json};

use super::{
    faulty::{Disk, Mode, Operation},
    life::row,
    world::{PATIENCE, World, local},
};
use crate::dice::Dice;
use crate::sink::smtp::{Act, Fault, Point, Received};

const EVENING: &str = "2026-11-22T20:00:00";
const MORNING: &str = "2026-11-23T09:00:00";
/// Ten working days over the deadline: letters, and a notice.
const LATER: &str = "2026-12-07T09:00:00";

fn office() -> Option<(World, Disk)> {
    let world = World::at(EVENING)?;
    let disk = Disk::of(&world)?;
    world.json(&["import", "directory", concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")]);
    fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    Some((world, disk))
}

/// Each message once, none of them marked as a second copy.
fn each_once(mails: &[Received]) {
    let ids: BTreeSet<String> = mails.iter().map(Received::message_id).collect();
    assert_eq!(ids.len(), mails.len(), "a message came twice");
    assert!(mails.iter().all(|mail| mail.header("X-Dondoc-Repeat").is_none()));
}

#[test]
fn a_full_disk_stops_claiming_and_the_daemon_goes_on_by_itself_when_there_is_room() {
    let Some((world, disk)) = office() else { return };
    let daemon = world.run_with(|command| disk.under(command));
    world.wait_quiet(local(EVENING));
    disk.is(Mode::Full);
    world.set(local(MORNING));
    daemon.ring();
    let line = daemon.wait_for_log("ERROR");
    assert!(line.contains("full"), "it says what is wrong: {line}");
    assert!(disk.refused() > 0 && world.mail.journal().is_empty(), "nothing leaves without its claim on record");
    let status = world.dondoc(&["status"]);
    assert!(status.code == 3, "{status:?}");
    disk.is(Mode::Healthy);
    // By itself: at the latest at its next heartbeat, for which patience is long enough. Nobody rings.
    world.set(local(MORNING) + Duration::from_secs(61));
    each_once(&world.mail.wait_for(3, PATIENCE));
    world.wait_quiet(local(MORNING));
    assert_eq!(world.mail.journal().len(), 3);
    // Also right after a good scan: `status` and `/healthz` say the same.
    disk.is(Mode::Full);
    world.set(local(MORNING) + Duration::from_secs(130));
    daemon.ring();
    let status = world.wait_status("full", |status| !status["disk_full"].is_null());
    assert_eq!((&status["ready"], &status["running"]), (&json!(false), &json!(true)), "{status}");
    disk.is(Mode::Healthy);
    daemon.stop();
    assert_eq!(world.json(&["db", "check"])["faults"], json!([]));
}

#[test]
fn an_acceptance_that_a_full_disk_cannot_keep_is_insisted_on() {
    let Some((world, disk)) = office() else { return };
    let daemon = world.run_with(|command| disk.under(command));
    world.wait_quiet(local(EVENING));
    // Handed over and not yet answered.
    let turn = disk.switch();
    world.mail.fault(Fault::at(Point::Dot, Act::call(move || turn(Mode::Full))).once());
    world.set(local(MORNING));
    daemon.ring();
    daemon.wait_for_log("outcomes cannot be kept");
    let taken = world.mail.journal().len();
    assert!(taken > 0);
    disk.is(Mode::Healthy);
    world.mail.wait_for(3, PATIENCE);
    world.set(local(MORNING) + Duration::from_secs(61));
    daemon.ring();
    let status = world.wait_quiet(local(MORNING));
    assert_eq!((&status["dead"], &status["unknown"]), (&json!(0), &json!(0)));
    each_once(&world.mail.journal());
    assert_eq!(world.mail.journal().len(), 3);
    daemon.stop();
}

#[test]
fn a_disk_that_fails_ends_the_daemon_with_a_clear_line_and_the_next_start_loses_nothing() {
    for mode in [Mode::SyncFails, Mode::WriteFails, Mode::ReadOnly] {
        let Some((world, disk)) = office() else { return };
        let mut daemon = world.run_with(|command| disk.under(command));
        world.wait_quiet(local(EVENING));
        disk.is(mode);
        world.set(local(MORNING));
        daemon.nudge();
        let ended = daemon.ended();
        let log = daemon.log().join("\n");
        assert_eq!(ended.code(), Some(1), "{mode:?}: {log}");
        assert!(log.contains("dondoc db check"), "{mode:?}: {log}");
        assert!(
            disk.refused() > 0 && world.mail.journal().is_empty(),
            "{mode:?}: nothing leaves without its claim on record"
        );
        if mode != Mode::SyncFails {
            let again = world.dondoc_with(&["run", "--once"], |command| disk.under(command));
            assert_eq!(again.code, 1, "{mode:?}: {again:?}");
            assert!(again.err.trim_end().lines().last().is_some_and(|line| line.starts_with("dondoc: ")), "{again:?}");
        }
        disk.is(Mode::Healthy);
        let daemon = world.run_with(|command| disk.under(command));
        each_once(&world.mail.wait_for(3, PATIENCE));
        world.wait_quiet(local(MORNING));
        daemon.stop();
        assert_eq!(world.json(&["db", "check"])["faults"], json!([]), "{mode:?}");
    }
}

#[test]
fn what_stands_in_its_place_after_a_power_cut_is_whole() {
    let Some((world, disk)) = office() else { return };
    let settings = fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let mail = world.path("mail");
    let maildir = format!("[email.maildir]\npath = {:?}\n[email.smtp]", mail.to_str().unwrap());
    let by_maildir =
        settings.replace("transport = \"smtp\"", "transport = \"maildir\"").replace("[email.smtp]", &maildir);
    fs::write(world.path("dondoc.toml"), by_maildir).unwrap();
    world.set(local(LATER));
    let once = world.dondoc_with(&["run", "--once"], |command| disk.under_watch(command));
    assert_eq!(once.code, 0, "{once:?}");
    let backup = world.path("backup.db");
    let made = world.dondoc_with(&["db", "backup", backup.to_str().unwrap()], |command| disk.under_watch(command));
    assert_eq!(made.code, 0, "{made:?}");

    let log = disk.log();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, operation) in log.iter().enumerate().filter(|(_, operation)| !operation.to.as_os_str().is_empty()) {
        let to = operation.to.as_path();
        let kind = match () {
            () if to.starts_with(&mail) => "letters",
            () if to.starts_with(world.path("notices")) => "notices",
            () if to == world.path("dondoc.db-instance") => "instance",
            () if to == backup => "backup",
            () => panic!("something else is renamed: {operation:?}"),
        };
        *kinds.entry(kind).or_default() += 1;
        // Its bytes first, then its name, then the folder that holds the name: without the first a power cut leaves an
        // empty file in its place, without the last none.
        let before = log[..n].iter().rfind(|earlier| earlier.path == operation.path);
        assert!(before.is_some_and(Operation::is_sync), "renamed before it was synced: {operation:?} after {before:?}");
        // A link's old name goes in between.
        let mut then = log[n + 1..].iter().filter(|later| later.thread == operation.thread);
        let after = then.find(|later| later.path != operation.path);
        assert!(
            after.is_some_and(|after| after.is_sync() && Some(after.path.as_path()) == to.parent()),
            "its folder is not synced at once: {operation:?}, then {after:?}"
        );
    }
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), ["backup", "instance", "letters", "notices"], "{kinds:?}");
    assert!(kinds["letters"] >= 3 && kinds["notices"] >= 2, "{kinds:?}");
}

#[test]
fn what_allows_a_hand_over_is_synced_before_the_dot() {
    let Some((world, disk)) = office() else { return };
    let wal = world.folder.path().canonicalize().unwrap().join("dondoc.db-wal");
    let (seen, see) = std::sync::mpsc::channel();
    let log = disk.reader();
    world.mail.fault(Fault::at(
        Point::Dot,
        Act::call(move || {
            // Another transaction may be in the middle of it just now.
            let limit = Clock::System.boot_time() + PATIENCE / 4;
            let synced = || log().iter().rfind(|operation| operation.path == wal).is_some_and(Operation::is_sync);
            let mut is = synced();
            while !is && Clock::System.boot_time() < limit {
                is = synced();
            }
            seen.send(is).unwrap();
        }),
    ));
    world.set(local(MORNING));
    let once = world.dondoc_with(&["run", "--once"], |command| disk.under_watch(command));
    assert_eq!(once.code, 0, "{once:?}");
    let seen: Vec<bool> = see.try_iter().collect();
    assert_eq!(seen, [true; 3], "written to the log of the database and not yet on the disk at the dot");
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() { open.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

/// The database as it was before the morning, and nothing of what came after.
fn reset(world: &World, template: &[u8]) {
    for name in ["dondoc.db-wal", "dondoc.db-shm", "dondoc.db-instance", "dondoc.db-instance.new"] {
        let _ = fs::remove_file(world.path(name));
    }
    let _ = fs::remove_dir_all(world.path("notices"));
    fs::write(world.path("dondoc.db"), template).unwrap();
}

/// What a morning brought: to whom, and the notices with their files.
#[derive(Debug, PartialEq, Eq)]
struct Morning {
    told: BTreeSet<(String, String)>,
    notices: Vec<Value>,
    files: usize,
}

fn morning(world: &World, mails: &[Received]) -> Morning {
    let subject = |mail: &Received| mail.header("Subject").unwrap_or_default();
    let notices = world.json(&["notice", "list"]);
    let names = files(&world.path("notices"));
    for name in &names {
        let name = name.to_string_lossy();
        assert!(!name.contains(".khac-") && !name.ends_with("-tmp"), "left behind or set aside: {name}");
    }
    assert_eq!(world.json(&["register", "verify"])["ok"], true);
    Morning {
        told: mails.iter().map(|mail| (mail.to[0].clone(), subject(mail))).collect(),
        notices: notices
            .as_array()
            .unwrap()
            .iter()
            .map(|notice| json!([notice["number"], notice["task"], notice["step"]]))
            .collect(),
        files: names.len(),
    }
}

#[test]
fn a_process_that_dies_before_any_lasting_operation_loses_nothing_and_doubles_only_what_was_handed_over() {
    let Some((world, disk)) = office() else { return };
    world.set(local(LATER));
    let template = fs::read(world.path("dondoc.db")).unwrap();
    assert!(!world.path("dondoc.db-wal").exists(), "the template is whole");
    let once = |kill: u64| {
        disk.kill_before(kill);
        world.dondoc_with(&["run", "--once"], |command| disk.under_all(command))
    };
    let whole = once(0);
    assert_eq!(whole.code, 0, "{whole:?}");
    let operations = disk.operations();
    let expected = morning(&world, &world.mail.journal());
    assert!(expected.told.len() >= 3 && expected.notices.len() == 1 && expected.files >= 2, "{expected:?}");
    assert!(operations > 50, "{operations}");

    let all = std::env::var("DONDOC_FAILPOINTS").is_ok_and(|value| value == "all");
    let mut dice = Dice::printed();
    let points: Vec<u64> = match all {
        true => (1..=operations).collect(),
        false => (0..8).map(|part| 1 + part * operations / 8 + dice.below(operations / 8)).collect(),
    };
    let (mut killed, mut second, mut in_doubt) = (0, 0, 0);
    for point in &points {
        reset(&world, &template);
        let before = world.mail.journal().len();
        let first = once(*point);
        let frozen = match first.code {
            -1 => {
                killed += 1;
                world.json(&["outbox", "list", "--state", "frozen"]).as_array().unwrap().len()
            }
            // Timing moved the last operations by a few: it lived.
            0 => 0,
            _ => panic!("{point}: {first:?}"),
        };
        let again = once(0);
        assert_eq!(again.code, 0, "{point}: the next start goes on: {again:?}");
        let mails = world.mail.journal().split_off(before);
        assert_eq!(morning(&world, &mails), expected, "killed before operation {point} of {operations}");
        let mut copies: BTreeMap<String, Vec<&Received>> = BTreeMap::new();
        mails.iter().for_each(|mail| copies.entry(mail.message_id()).or_default().push(mail));
        assert_eq!(copies.len(), expected.told.len(), "{point}: one Message-ID for each letter that was handed over");
        for copies in copies.values() {
            assert!(copies.len() <= 2, "{point}");
            for copy in &copies[1..] {
                second += 1;
                assert!(copy.header("X-Dondoc-Repeat").is_some(), "{point}: a second copy without a mark");
            }
        }
        let doubled = mails.len() - copies.len();
        assert!(doubled <= frozen, "{point}: {doubled} doubled, {frozen} were past their gate");
        in_doubt += frozen;
        assert_eq!(world.json(&["outbox", "list"]), json!([]), "{point}: nothing is left");
    }
    // Of a few points one, of all a tenth, may have become the end of it.
    assert!((killed + 1) * 10 >= points.len() * 9, "it was killed at most points: {killed} of {}", points.len());
    assert!(second <= in_doubt);
    #[expect(clippy::print_stdout, reason = "shown with --nocapture")]
    {
        println!(
            "{operations} lasting operations, killed before {killed}; {in_doubt} letters in doubt, {second} doubled and marked"
        );
    }
}

#[test]
fn a_migration_that_is_killed_is_simply_begun_again_and_a_newer_database_is_refused() {
    let Some((world, disk)) = office() else { return };
    let template = old_schema(&world);
    let migrate = |kill: u64| {
        disk.kill_before(kill);
        world.dondoc_with(&["db", "migrate", "--format", "json"], |command| disk.under_all(command))
    };
    reset(&world, &template);
    let whole = migrate(0);
    let to = whole.json()["to"].as_i64().unwrap();
    assert_eq!((whole.code, &whole.json()["from"]), (0, &json!(1)), "{whole:?}");
    let operations = disk.operations();
    let mut dice = Dice::printed();
    for part in 0..6 {
        reset(&world, &template);
        let point = 1 + part * operations / 6 + dice.below(operations / 6);
        let first = migrate(point);
        assert!(matches!(first.code, -1 | 0), "{point}: {first:?}");
        let again = migrate(0);
        assert_eq!((again.code, &again.json()["to"]), (0, &json!(to)), "{point} of {operations}: {again:?}");
        let check = world.json(&["db", "check"]);
        assert_eq!((&check["ok"], &check["schema"]), (&json!(true), &json!(to)), "{point}: {check}");
    }
    assert_eq!(world.json(&["db", "migrate"])["applied"], json!([]));

    // What a newer program made is left as it is, by every command.
    sql(&world, "INSERT INTO _sqlx_migrations VALUES (99, 'later', CURRENT_TIMESTAMP, 1, x'00', 0)");
    for arguments in
        [&["db", "migrate"][..], &["run", "--once"], &["status"], &["db", "check"], &["db", "backup", "b.db"]]
    {
        let refused = world.dondoc(arguments);
        assert_eq!(refused.code, 1, "{arguments:?}: {refused:?}");
        let line = refused.one_line();
        assert!(line.contains("schema 99") && line.contains(&format!("schema {to}")), "{arguments:?}: {line}");
    }
    assert!(!world.path("b.db").exists());
}

/// The world's database as the first version of the program left it: empty, at schema 1.
fn old_schema(world: &World) -> Vec<u8> {
    use sqlx::{
        Connection,
        migrate::{Migration, MigrationType, Migrator},
    };
    let path = world.path("old.db");
    let first = include_str!("../../../src/store/migrations/sqlite/0001_ledger.sql");
    let step = Migration::new(1, "ledger".into(), MigrationType::Simple, sqlx::SqlStr::from_static(first), false);
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        Migrator::with_migrations(vec![step]).run_direct(None, &mut db, false).await.unwrap();
        db.close().await.unwrap();
    });
    fs::read(path).unwrap()
}

fn sql(world: &World, statement: &'static str) {
    use sqlx::Connection;
    let path = world.path("dondoc.db");
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query(statement).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    });
}
