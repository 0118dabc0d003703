//! Edits of the files while the daemon runs, and while it does not.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
};

use serde_json::Value;

use super::{
    life::row,
    world::{Daemon, PATIENCE, World, local},
};

const FRIDAY: &str = "2026-11-20T20:00:00";
const MONDAY: &str = "2026-11-23T08:00:01";

/// A ladder of this test's own, so that what an office ships changes nothing here.
const RULES: &str = r#"
[defaults]
at = "08:00"
via = ["email"]

[hours.normal]
days = "working"
from = "07:30"
until = "17:30"

[[rule]]
id = "chu-tri"
when = { role = "lead" }
clock = "completion"

[[rule.step]]
id = "truoc-3"
due = "-3wd"
add = ["handler"]

[[rule.step]]
id = "den-han"
due = "0d"

[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
add = ["agency_head"]

[[rule]]
id = "phoi-hop"
when = { role = "coordinator" }
clock = "completion"

[[rule.step]]
id = "phoi-hop-truoc-1"
due = "-1wd"
add = ["agency_contact"]

[[rule]]
id = "bao-cao"
when = { role = "lead" }
clock = "report"

[[rule.step]]
id = "bao-cao-truoc-1"
due = "-1wd"
add = ["handler"]
"#;

/// One task, due on Friday 27/11/2026: `truoc-3` on Monday, for Tuesday is a day off.
fn office(now: &str) -> Option<World> {
    let world = World::at(now)?;
    world.write("rules.toml", RULES);
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    world.write("tasks.csv", &row("Đang thực hiện", "").replace("20/11/2026", "27/11/2026"));
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    Some(world)
}

impl World {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} holds no {from:?}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// What `check --against-store` says: its exit code, and code with message of each fault.
    fn against_store(&self) -> (i32, Vec<(String, String)>) {
        let answer = self.dondoc(&["check", "--against-store", "--format", "json"]);
        let json = answer.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let problems = json["problems"].as_array().unwrap().iter();
        (answer.code, problems.map(|problem| (text(&problem["code"]), text(&problem["message"]))).collect())
    }

    fn mails(&self) -> usize {
        self.mail.journal().len()
    }
}

impl Daemon {
    fn reload(&self) -> String {
        self.signal(libc::SIGHUP);
        self.wait_for_log("reload")
    }

    fn accepted(&self) {
        self.signal(libc::SIGHUP);
        self.wait_for_log("reloaded: ");
    }
}

#[test]
fn a_step_that_vanishes_is_shown_with_who_waits_for_it_and_then_fires_no_more() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.wait_quiet(local(FRIDAY));
    assert_eq!(world.against_store().0, 0);
    world.edit("rules.toml", "id = \"truoc-3\"\ndue = \"-3wd\"", "id = \"nhac-truoc\"\ndue = \"-2wd\"");
    let (code, problems) = world.against_store();
    assert_eq!(code, 0, "a warning bars no reload: {problems:?}");
    let said = |code: &str| {
        let found = problems.iter().find(|(found, _)| found == code);
        found.unwrap_or_else(|| panic!("{code} is not among {problems:?}")).1.clone()
    };
    assert_eq!(
        said("step-vanishes"),
        "bước `truoc-3` của quy tắc `chu-tri` biến mất, 1 nhiệm vụ (NV26-900001) đang chờ bước này"
    );
    assert!(said("step-new").contains("bước `nhac-truoc` của quy tắc `chu-tri` là bước mới: 1 nhiệm vụ"));
    daemon.accepted();
    assert!(
        daemon.log().iter().any(|line| line.contains("`truoc-3`") && line.contains("biến mất")),
        "{:?}",
        daemon.log()
    );
    let status = world.status();
    assert_eq!(status["last_reload"]["outcome"], "accepted", "{status}");
    assert!(status["last_reload"]["moved"].to_string().contains("truoc-3"), "{status}");
    assert_eq!(status["rules"]["files"], "in_force", "{status}");

    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 0, "the step is gone");
    world.pass(local("2026-11-25T08:00:01"));
    assert_eq!(world.mails(), 1, "the new one is there");
    daemon.stop();
}

#[test]
fn a_renamed_step_is_the_same_step() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.wait_quiet(local(FRIDAY));
    world.edit("rules.toml", "id = \"truoc-3\"\n", "id = \"nhac-truoc\"\n");
    // Without `was` the check names the step that it likely is.
    let answer = world.dondoc(&["check", "--against-store"]);
    assert!(answer.out.contains("was = [\"truoc-3\"] vào bước `nhac-truoc`"), "{answer:?}");
    world.edit("rules.toml", "id = \"nhac-truoc\"\n", "id = \"nhac-truoc\"\nwas = [\"truoc-3\"]\n");
    let (_, problems) = world.against_store();
    assert!(problems.iter().all(|(code, _)| !code.starts_with("step-")), "{problems:?}");
    daemon.accepted();
    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 1);
    daemon.stop();
}

#[test]
fn a_day_off_that_is_added_moves_tomorrow_s_letters_to_the_next_working_day() {
    // Late by one working day on Monday: that letter is due then, and waits for nobody to act.
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.wait_quiet(local(FRIDAY));
    let calendar = std::fs::read_to_string(world.path("calendar.toml")).unwrap();
    let day = "\n[[day]]\ndate = 2026-11-23\nkind = \"off\"\nname = \"Nghỉ đột xuất\"\nbasis = \"Thông báo\"\ncertainty = \"confirmed\"\n";
    world.write("calendar.toml", &format!("{calendar}{day}"));
    let (code, problems) = world.against_store();
    assert_eq!(code, 0, "{problems:?}");
    let texts: Vec<&str> = problems.iter().map(|(_, message)| message.as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("23/11/2026 từ ngày làm việc thành ngày nghỉ (Nghỉ đột xuất;")),
        "{texts:?}"
    );
    let moved = texts.iter().find(|text| text.contains("các bước dời theo lịch")).expect("steps move");
    assert!(
        moved.contains("từ 08:00 ngày 23/11/2026 sang 08:00 ngày 20/11/2026") && moved.contains("1 lượt nay đã đến"),
        "{moved}"
    );
    daemon.accepted();
    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 0, "Monday is a day off now");
    world.pass(local("2026-11-25T08:00:01"));
    assert_eq!(world.mails(), 1, "the step that the calendar brought into the past leaves on the next working day");
    daemon.stop();
}

#[test]
fn a_faulty_edit_fails_the_check_and_the_old_rules_go_on_also_over_a_restart() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.wait_quiet(local(FRIDAY));
    let digest = world.status()["rules"]["digest"].clone();
    world.edit("rules.toml", "due = \"-3wd\"", "due = -3");
    assert_eq!(world.dondoc(&["check", "--against-store"]).code, 3, "systemctl reload fails here");
    let line = daemon.reload();
    assert!(line.contains("ERROR") && line.contains("reload refused") && line.contains("rules.toml:"), "{line}");
    let status = world.status();
    assert_eq!((&status["last_reload"]["outcome"], &status["rules"]["files"]), (&"refused".into(), &"faulty".into()));
    let place = status["last_reload"]["first_fault"]["place"].as_str().unwrap();
    let line_of = RULES.lines().position(|line| line.contains("-3wd")).unwrap() + 1;
    assert!(place.starts_with(&format!("rules.toml:{line_of}:")), "{place}");
    let told = world.dondoc(&["status"]).out;
    assert!(told.contains("TỆP ĐANG SAI") && told.contains("Lần nạp lại gần nhất bị từ chối"), "{told}");
    daemon.stop();

    // A machine that boots now goes on under what was accepted last, and says so.
    let daemon = world.run();
    assert!(daemon.log().iter().any(|l| l.contains("ERROR") && l.contains("started under the rules accepted last")));
    let status = world.wait_status("ready", |status| status["ready"] == true);
    assert_eq!((&status["rules"]["source"], &status["rules"]["digest"]), (&"database".into(), &digest));
    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 1, "reminders flow");
    world.write("rules.toml", RULES);
    daemon.accepted();
    let status = world.status();
    assert_eq!((&status["rules"]["source"], &status["rules"]["files"]), (&"files".into(), &"in_force".into()));
    daemon.stop();
}

#[test]
fn faulty_rules_before_any_were_accepted_end_the_daemon() {
    let Some(world) = office(FRIDAY) else { return };
    world.edit("rules.toml", "due = \"-3wd\"", "due = -3");
    let answer = world.dondoc(&["run", "--once"]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.err.contains("rules.toml:"), "{answer:?}");
}

#[test]
fn a_failing_test_of_the_office_refuses_the_reload() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.wait_quiet(local(FRIDAY));
    let test = "\n[[test]]\nname = \"đến hạn\"\ntask = { role = \"lead\", deadline = 2026-12-15 }\non = 2026-12-15\n\
                expect = { step = \"qua-han-1\" }\n";
    world.write("rules.toml", &format!("{RULES}{test}"));
    assert!(daemon.reload().contains("reload refused"));
    world.write("rules.toml", &format!("{RULES}{}", test.replace("qua-han-1", "den-han")));
    daemon.accepted();
    daemon.stop();
}

#[test]
fn ten_reloads_send_nothing_twice_and_nothing_for_the_past() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 1);
    let past =
        "[[rule.step]]\nid = \"truoc-4\"\ndue = \"-4wd\"\nadd = [\"handler\"]\n\n[[rule.step]]\nid = \"truoc-3\"";
    let edits: [&dyn Fn(&str) -> String; 5] = [
        &|rules| rules.replacen("-3wd", "-2wd", 1),
        &|rules| rules.replacen("[[rule.step]]\nid = \"truoc-3\"", past, 1),
        &|rules| rules.replacen("id = \"truoc-3\"", "id = \"truoc-ba\"\nwas = [\"truoc-3\"]", 1),
        &|rules| rules.replacen("id = \"chu-tri\"", "id = \"chu-tri-moi\"\nwas = [\"chu-tri\"]", 1),
        &|rules| format!("{rules}# ghi chú\n"),
    ];
    for edit in edits.iter().chain(&edits) {
        world.write("rules.toml", &edit(RULES));
        daemon.accepted();
        daemon.ring();
        world.wait_quiet(local(MONDAY));
    }
    world.pass(local("2026-11-25T08:00:01"));
    assert_eq!(world.mails(), 1, "what was sent is not sent again, what was past is not sent at all");
    daemon.stop();
}

#[test]
fn a_reload_during_a_scan_loses_nothing_and_sends_nothing_twice() {
    let sent = |reloads: u32| -> Option<Vec<(String, String)>> {
        let world = World::at(FRIDAY)?;
        world.write("rules.toml", RULES);
        world.edit("dondoc.toml", "schedule = \"0 * * * * *\"", "schedule = \"0 * * * * *\"\nbatch = 3");
        world.import_sample();
        world.set(local(MONDAY));
        let daemon = world.run();
        for n in 0..reloads {
            world.write("rules.toml", &format!("{RULES}# {n}\n"));
            daemon.accepted();
        }
        // A pass that began after all of this.
        world.pass(local("2026-11-23T08:05:00"));
        daemon.stop();
        let journal = world.mail.journal();
        assert!(journal.iter().all(|mail| mail.header("X-Dondoc-Repeat").is_none()));
        let mut mails: Vec<(String, String)> =
            journal.iter().map(|mail| (mail.to.join(" "), mail.header("Subject").unwrap_or_default())).collect();
        mails.sort();
        Some(mails)
    };
    let (Some(plain), Some(reloaded)) = (sent(0), sent(3)) else { return };
    assert!(plain.len() > 20, "{}", plain.len());
    assert_eq!(plain, reloaded);
}

#[test]
fn systemd_hears_of_a_refusal_why_and_never_that_all_is_well() {
    let Some(world) = office(FRIDAY) else { return };
    let path = world.path("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let daemon = world.run_with(|command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let wait_for = |what: &str| {
        let mut told = String::new();
        while !told.contains(what) {
            let mut buffer = [0; 1024];
            let n = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {what} is not in {told}"));
            told.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        told
    };
    wait_for("READY=1");
    world.edit("rules.toml", "add = [\"handler\"]", "add = [\"email:ai@noi-khac.example\"]");
    daemon.signal(libc::SIGHUP);
    let told = wait_for("REFUSED");
    assert!(!told.contains("RELOADING=1") && !told.contains("READY=1"), "{told}");
    assert!(told.contains("rules.toml:") && !told.contains('@'), "{told}");
    world.write("rules.toml", &format!("{RULES}# mended\n"));
    daemon.signal(libc::SIGHUP);
    let told = wait_for("READY=1");
    let taken_up = told.split_once("RELOADING=1").expect("it is announced").1;
    assert!(!taken_up.contains("REFUSED"), "{told}");
    daemon.stop();
}

#[test]
fn what_needs_a_restart_is_said_and_holds_only_after_it() {
    let Some(world) = office(FRIDAY) else { return };
    let daemon = world.run();
    world.edit("dondoc.toml", "0 * * * * *", "30 * * * * *");
    world.edit("dondoc.toml", "sqlite:dondoc.db", "sqlite:khac.db");
    daemon.accepted();
    assert!(daemon.complaints().iter().any(|line| line.contains("store.url, scan.schedule")), "{:?}", daemon.log());
    world.edit("dondoc.toml", "sqlite:khac.db", "sqlite:dondoc.db");
    let status = world.status();
    assert_eq!(status["last_reload"]["restart"], serde_json::json!(["store.url", "scan.schedule"]), "{status}");
    daemon.stop();
}

/// One GET; status line and body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn the_figures_count_what_happened_and_name_nobody() {
    let Some(world) = office(FRIDAY) else { return };
    world.edit("dondoc.toml", "listen = \"\"", "listen = \"127.0.0.1:0\"");
    let daemon = world.run();
    let line = daemon.log().into_iter().find(|line| line.contains("figures at /metrics")).expect("the port");
    let address = line.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    world.pass(local(MONDAY));
    assert_eq!(get(&address, "/healthz"), ("HTTP/1.1 200 OK".to_owned(), "ready\n".to_owned()));
    let value = |name: &str| -> f64 {
        let (head, body) = get(&address, "/metrics");
        assert_eq!(head, "HTTP/1.1 200 OK");
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{body}")).parse().unwrap()
    };
    assert_eq!(value("dondoc_messages_sent_total{channel=\"email\"}"), 1.0);
    assert_eq!(value("dondoc_reminders_planned_total"), 1.0);
    assert_eq!(value("dondoc_open_tasks"), 1.0);
    assert_eq!(value("dondoc_backlog{channel=\"email\"}"), 0.0);
    assert_eq!(value("dondoc_files_differ"), 0.0);
    assert_eq!(value("dondoc_reloads_total{outcome=\"refused\"}"), 0.0);
    world.edit("rules.toml", "due = \"-3wd\"", "due = -3");
    assert_eq!(value("dondoc_files_differ"), 1.0, "edited, not taken up");
    daemon.reload();
    world.wait_status("the refusal is seen", |status| status["reload"] == "refused");
    assert_eq!(value("dondoc_reloads_total{outcome=\"refused\"}"), 1.0);
    assert_eq!((value("dondoc_files_refused"), value("dondoc_last_reload_successful")), (1.0, 0.0));
    assert_eq!(get(&address, "/healthz").1, "ready; the last edit was refused\n");
    let (_, body) = get(&address, "/metrics");
    assert!(!body.contains('@') && !body.contains("NV26") && body.ends_with("# EOF\n"), "{body}");
    assert_eq!(get(&address, "/").0, "HTTP/1.1 404 Not Found");
    daemon.stop();
}

#[test]
fn a_port_that_is_taken_stops_no_reminder() {
    let Some(world) = office(FRIDAY) else { return };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    world.edit("dondoc.toml", "listen = \"\"", &format!("listen = \"{address}\""));
    let daemon = world.run();
    assert!(daemon.complaints().iter().any(|line| line.contains("ERROR") && line.contains(&address)));
    assert!(world.status()["web_fault"].as_str().unwrap().contains(&address));
    world.pass(local(MONDAY));
    assert_eq!(world.mails(), 1);
    daemon.stop();
}
