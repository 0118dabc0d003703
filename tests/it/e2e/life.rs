//! Starting, reloading, stopping, and being rung.

use std::{os::unix::net::UnixDatagram, time::Duration};

use serde_json::json;

use super::world::{World, local};
use crate::sink::smtp::{Act, Fault, Point};

const MORNING: &str = "2026-11-23T08:00:01";

#[test]
fn sigterm_with_a_slow_relay_finishes_what_was_handed_over_and_ends_cleanly() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    world.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(400))));
    world.set(local(MORNING));
    let daemon = world.run();
    world.mail.wait_for(2, super::world::PATIENCE);
    // It waits for at most one answer more on each connection, not for the hundred mails that are due.
    daemon.stop();
    let taken = world.mail.journal().len();
    assert!(taken < 30, "{taken} mails left after it was told to stop");
    let open = world.json(&["outbox", "list"]);
    let states: Vec<&str> = open.as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert!(states.iter().all(|state| *state == "pending"), "nothing is left in doubt: {states:?}");

    // What was not sent goes out at the next start, and nothing twice.
    world.mail.heal();
    let daemon = world.run();
    world.wait_quiet(local(MORNING));
    daemon.stop();
    let mails = world.mail.journal();
    assert!(mails.iter().all(|mail| mail.header("X-Dondoc-Repeat").is_none()));
    assert_eq!(mails.len(), taken + states.len() - zalo_waiting(&open));
}

fn zalo_waiting(open: &serde_json::Value) -> usize {
    open.as_array().unwrap().iter().filter(|row| row["channel"] == "zalo").count()
}

#[test]
fn a_faulty_edit_keeps_the_last_good_rules_and_a_good_one_is_taken_up() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    let good = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    std::fs::write(world.path("rules.toml"), good.replace("due = \"-10wd\"", "due = -10")).unwrap();
    daemon.signal(libc::SIGHUP);
    let line = daemon.wait_for_log("reload refused");
    assert!(line.contains("ERROR") && line.contains("the last good rules stay in force"), "{line}");
    assert!(daemon.log().iter().any(|line| line.contains("rules.toml:")), "where the fault is: {:?}", daemon.log());
    world.wait_status("the refusal is seen", |status| status["reload"] == "refused");
    assert_eq!(world.dondoc(&["plan"]).code, 2, "other commands need the rules");

    // An hour later, from now on.
    std::fs::write(world.path("rules.toml"), good.replace("at = \"08:00\"", "at = \"09:00\"")).unwrap();
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("reloaded: ");
    world.wait_status("the reload is seen", |status| status["reload"] == "taken");
    daemon.stop();
}

#[test]
fn a_second_daemon_on_one_database_refuses_in_one_line() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    let daemon = world.run();
    for arguments in [&["run"][..], &["run", "--once"]] {
        let second = world.dondoc(arguments);
        assert_eq!(second.code, 1, "{second:?}");
        assert!(second.one_line().contains(&format!("process {}", daemon.pid())), "{second:?}");
        assert!(second.out.is_empty());
    }
    daemon.stop();
    assert_eq!(world.dondoc(&["run", "--once"]).code, 0, "the place is free again");
}

#[test]
fn systemd_hears_that_it_is_ready_alive_and_stopping() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    let path = world.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(super::world::PATIENCE)).unwrap();
    let heard = || {
        let mut buffer = [0; 1024];
        let n = socket.recv(&mut buffer).expect("systemd is told something");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let daemon = world.run_with(|command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "60000000").env_remove("WATCHDOG_PID");
    });
    let mut told = Vec::new();
    let mut wait_for = |what: &str| {
        loop {
            let message = heard();
            let found = message.lines().any(|line| line == what);
            told.push(message);
            if found {
                return told.len();
            }
            assert!(told.len() < 200, "{what} is not among {told:?}");
        }
    };
    wait_for("READY=1");
    // Each scan feeds it: one at the start, one for each ring.
    wait_for("WATCHDOG=1");
    daemon.ring();
    wait_for("WATCHDOG=1");
    daemon.signal(libc::SIGHUP);
    wait_for("READY=1");
    daemon.stop();
    wait_for("STOPPING=1");
    let text = told.concat();
    assert!(text.find("RELOADING=1") > text.find("READY=1"), "{text}");
    assert!(text.contains("MONOTONIC_USEC="), "{text}");
    assert!(!text.contains('@'), "systemctl status shows personal data: {text}");
}

const HEADER: &str = "Mã nhiệm vụ,\"Số, ký hiệu văn bản\",Ngày văn bản,Loại văn bản,Cơ quan ban hành,Trích yếu văn bản,\
Nội dung nhiệm vụ,Cấp giao nhiệm vụ,Cơ quan chủ trì,Chuyên viên thụ lý,Email,Người theo dõi (Văn phòng),Ngày giao,\
Thời hạn hoàn thành,Độ khẩn,Độ mật,Trạng thái,Ngày hoàn thành";

pub fn row(state: &str, done: &str) -> String {
    format!(
        "{HEADER}\nNV26-900001,77/UBND-TH,10/11/2026,Công văn,UBND Thành phố,Việc thử,Lập báo cáo thử nghiệm,Chủ tịch UBND \
         Thành phố,Sở Xây dựng,Hoàng Mai Hiền,hienhm@hanoi.gov.vn.example,Đỗ Mai Linh,10/11/2026,20/11/2026,Thường,Thường,\
         {state},{done}\n"
    )
}

#[test]
fn an_import_rings_the_daemon_and_a_completed_task_falls_silent() {
    let Some(world) = World::at("2026-11-23T09:00:00") else { return };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    let daemon = world.run();
    world.wait_quiet(local("2026-11-23T09:00:00"));
    std::fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    // Late by one working day: handler, contact and head are told at once.
    let mails = world.mail.wait_for(3, super::world::PATIENCE);
    let mut to: Vec<&str> = mails.iter().map(|mail| mail.to[0].as_str()).collect();
    to.sort_unstable();
    assert_eq!(to, ["hienhm", "khanhbx", "sonpx"].map(|name| format!("{name}@hanoi.gov.vn.example")));
    world.wait_status("all sent", |status| status["backlog"] == json!({"email": 0, "zalo": 0}));

    // The same file again changes nothing.
    let again = world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    assert_eq!((&again["unchanged"], &again["updated"]), (&json!(1), &json!(0)));
    std::fs::write(world.path("tasks.csv"), row("Hoàn thành", "23/11/2026")).unwrap();
    let done = world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    assert_eq!(done["updated"], 1, "{done}");
    let status = world.status();
    assert_eq!(status["open_tasks"], 0);
    // Every further step of the ladder: five and ten working days, and the repeats.
    for morning in ["2026-11-30T08:00:00", "2026-12-07T08:00:00", "2026-12-14T08:00:00"] {
        world.pass(local(morning));
    }
    assert_eq!(world.mail.journal().len(), 3, "silence once it is done");
    assert_eq!(world.json(&["notice", "list"]), json!([]));
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
}
