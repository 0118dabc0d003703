//! The built binary on a machine whose clock is set while it runs, or wrong when it starts. Only the wall clock is faked
//! here: the time since the machine started is the real one, as when somebody runs `date -s`.

use std::{collections::BTreeSet, process::Command};

use serde_json::json;

use super::{
    life::row,
    world::{Daemon, World, local},
};
use crate::sink::count::codes_of;

/// One task, due on Friday 27/11/2026: three working days before it is Monday the 23rd, for Tuesday is a day off.
fn office(now: &str) -> Option<World> {
    let world = World::at(now)?;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    std::fs::write(world.path("tasks.csv"), row("Đang thực hiện", "").replace("20/11/2026", "27/11/2026")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    Some(world)
}

/// Real time since the start of the machine.
fn wall_only(command: &mut Command) {
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
}

fn held<'a>(why: &'a str) -> impl Fn(&serde_json::Value) -> bool + 'a {
    move |status| status["clock"]["why"] == why && status["ready"] == false
}

fn believed(status: &serde_json::Value) -> bool {
    status["clock"]["believed"] == true && status["ready"] == true
}

fn warnings(daemon: &Daemon) -> usize {
    daemon.log().iter().filter(|line| line.contains("nothing is planned, filed or sent")).count()
}

#[test]
fn ten_days_ahead_while_it_runs_sends_nothing_early_and_set_right_nothing_twice() {
    let Some(world) = office("2026-11-22T20:00:00") else { return };
    let daemon = world.run_with(wall_only);
    world.wait_quiet(local("2026-11-22T20:00:00"));
    world.set(local("2026-12-02T20:00:00"));
    for _ in 0..3 {
        daemon.ring();
        world.wait_status("held", held("jumped"));
    }
    let text = world.dondoc(&["status"]);
    assert_eq!(text.code, 3);
    assert!(text.out.contains("ĐỒNG HỒ MÁY BỊ CHỈNH VƯỢT LÊN TRƯỚC: đang là 02/12/2026 20:00"), "{}", text.out);
    assert_eq!(warnings(&daemon), 1, "said once: {:?}", daemon.log());
    assert_eq!(world.mail.journal().len(), 0, "early");

    // Set right again; in the morning all is as foretold.
    world.set(local("2026-11-22T20:05:00"));
    daemon.ring();
    world.wait_status("believed", believed);
    daemon.stop();
    assert_eq!(world.mail.journal().len(), 0, "early");
    world.set(local("2026-11-23T08:00:01"));
    let daemon = world.run_with(wall_only);
    world.wait_quiet(local("2026-11-23T08:00:01"));
    daemon.stop();
    let mails = world.mail.journal();
    assert!(!mails.is_empty());
    // Under whatever Message-ID: nobody hears of a task by two letters.
    let told: BTreeSet<_> =
        mails.iter().flat_map(|mail| codes_of(mail).into_iter().map(|code| (mail.to[0].clone(), code))).collect();
    assert_eq!((told.len(), world.json(&["outbox", "list"])), (mails.len(), json!([])), "twice");
}

#[test]
fn a_clock_that_is_right_after_all_is_confirmed_by_name_and_the_work_goes_on() {
    let Some(world) = office("2026-11-13T20:00:00") else { return };
    let daemon = world.run_with(wall_only);
    world.wait_quiet(local("2026-11-13T20:00:00"));
    world.set(local("2026-11-23T09:00:00"));
    daemon.ring();
    world.wait_status("held", held("jumped"));
    assert_eq!(world.mail.journal().len(), 0);
    let answer = world.json(&["clock", "confirm", "--reason", "máy vừa thay pin"]);
    assert_eq!((&answer["rung"], &answer["reason"]), (&json!(true), &json!("máy vừa thay pin")), "{answer}");
    let line = daemon.wait_for_log("confirmed by an operator");
    assert!(line.contains("máy vừa thay pin"), "{line}");
    world.wait_status("believed", believed);
    world.wait_quiet(local("2026-11-23T09:00:00"));
    let sent = world.mail.journal().len();
    assert!(sent > 0);

    // Two hours back: what was sent is not sent again, and nothing new is.
    world.set(local("2026-11-23T07:00:00"));
    daemon.ring();
    world.wait_status("held", held("behind"));
    assert!(world.dondoc(&["status"]).out.contains("ĐỒNG HỒ MÁY CHẠY CHẬM: đang là 23/11/2026 07:00"));
    daemon.stop();
    // Confirmed while nothing runs; eight o'clock comes a second time.
    let answer = world.dondoc(&["clock", "confirm"]);
    assert!(answer.out.contains("nay tính lại từ giờ này") && answer.out.contains("Dịch vụ không chạy"), "{answer:?}");
    let daemon = world.run_with(wall_only);
    world.wait_status("believed", believed);
    daemon.stop();
    world.set(local("2026-11-23T08:30:00"));
    let daemon = world.run_with(wall_only);
    world.wait_quiet(local("2026-11-23T08:30:00"));
    daemon.stop();
    assert_eq!(world.mail.journal().len(), sent, "twice");
}

#[test]
fn started_in_1970_or_2036_it_waits_and_says_so_and_a_confirmation_does_not_make_it_another_year() {
    for wrong in ["1970-01-02T07:00:00", "2036-02-07T13:28:00"] {
        let Some(world) = office("2026-11-22T20:00:00") else { return };
        world.set(local(wrong));
        let daemon = world.run_with(wall_only);
        world.wait_status("held", held("outside_calendar"));
        let refused = world.dondoc(&["clock", "confirm"]);
        assert_eq!(refused.code, 1);
        assert!(refused.one_line().contains("far from the years of calendar.toml (2025 to 2030)"), "{refused:?}");
        assert!(world.dondoc(&["status"]).out.contains("ĐỒNG HỒ MÁY SAI NĂM"));
        assert_eq!((warnings(&daemon), world.mail.journal().len()), (1, 0));
        // The time server comes up.
        world.set(local("2026-11-23T08:00:01"));
        daemon.ring();
        world.wait_status("believed", believed);
        world.wait_quiet(local("2026-11-23T08:00:01"));
        daemon.stop();
        let mails = world.mail.journal();
        assert!(!mails.is_empty(), "{wrong}");
        assert!(mails.iter().all(|mail| mail.header("X-Dondoc-Repeat").is_none()));
        assert_eq!(world.json(&["outbox", "list"]), json!([]), "{wrong}");
    }
}
