//! The tests' own server keeps its word: databases apart, and nothing left when the process that asked for it dies.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use dondoc::clock::Clock;

use super::server;

#[test]
fn each_test_has_a_database_of_its_own() {
    let Some(server) = server::shared() else { return };
    let [one, other] = [server.database(), server.database()];
    one.sql("CREATE TABLE only_here (n BIGINT)");
    one.sql("INSERT INTO only_here VALUES (7)");
    assert_eq!(one.number("SELECT n FROM only_here"), 7);
    assert!(server.try_sql(&other.name, "SELECT n FROM only_here").is_err());
}

#[test]
fn a_template_is_prepared_once_and_copied() {
    let Some(server) = server::shared() else { return };
    let mut prepared = 0;
    for _ in 0..2 {
        let copy = server.copy_of("prepared_once", |_| {
            prepared += 1;
            server.sql("prepared_once", "CREATE TABLE there AS SELECT 5 AS n");
        });
        assert_eq!(copy.number("SELECT n FROM there"), 5);
        copy.sql("UPDATE there SET n = 6");
    }
    assert_eq!(prepared, 1);
}

#[test]
fn stopped_in_immediate_mode_it_comes_back_with_what_was_committed() {
    let Some(server) = server::own(&[]) else { return };
    let database = server.database();
    database.sql("CREATE TABLE kept AS SELECT 3 AS n");
    let before = server.pid().unwrap();
    server.stop_immediately();
    assert_eq!(server.pid(), None);
    assert!(server.try_sql(&database.name, "SELECT 1").is_err());
    server.start_again();
    assert_ne!(server.pid(), Some(before));
    assert_eq!(database.number("SELECT n FROM kept"), 3);
}

/// Set: this process shows where its server is, and waits to be killed.
const PLAYS_DEAD: &str = "DONDOC_TEST_PLAYS_DEAD";

#[test]
fn a_server_does_not_outlive_a_killed_test_process() {
    if std::env::var_os(PLAYS_DEAD).is_some() {
        let Some(server) = server::own(&[]) else { return };
        eprintln!("folder={}", server.folder().display());
        eprintln!("pid={}", server.pid().unwrap());
        loop {
            std::thread::park();
        }
    }
    if server::shared().is_none() {
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres::harness::a_server_does_not_outlive_a_killed_test_process", "--nocapture"])
        .env(PLAYS_DEAD, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut told = |key: &str| lines.find_map(|line| line.strip_prefix(key).map(str::to_owned)).expect(key);
    let (folder, pid) = (told("folder="), told("pid="));
    let process = std::path::Path::new("/proc").join(&pid);
    assert!(process.is_dir());
    child.kill().unwrap();
    child.wait().unwrap();
    let limit = Clock::System.boot_time() + Duration::from_secs(40);
    while process.is_dir() || std::path::Path::new(&folder).is_dir() {
        assert!(Clock::System.boot_time() < limit, "left behind: {folder}, process {pid}");
        std::thread::yield_now();
    }
}
