//! A relay that refuses: this one recipient, this once, or as another program does it.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use dondoc::clock::Clock;
use serde_json::json;

use super::{
    days::{arrived, compare, expected, foreseen, told_by_mail},
    world::{Office, PATIENCE, World, local},
};
use crate::sink::smtp::{Act, Fault, Point};

#[test]
fn a_refused_recipient_falls_to_the_agencys_box_and_a_deferred_one_comes_later_under_a_new_id() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let expected = expected(&foreseen(&world, "2026-11-20T20:00", "2026-11-23"));
    // Phạm Trọng Khánh, handler at UBND xã Bình Minh: his box does not exist any more.
    let (gone, registry) = ("khanhpt2@hanoi.gov.vn.example", "vanthu.ubbinhminh@hanoi.gov.vn.example");
    // Tạ Ngọc Lan, handler of NV26-000511: her server is full, once, after it has read the whole letter.
    let full = "lantn@hanoi.gov.vn.example";
    world.mail.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 no such user here")).to(gone));
    world.mail.fault(Fault::at(Point::Dot, Act::TakeThenSay("452 4.3.1 mailbox full".into())).to(full).once());
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    world.set(local("2026-11-23T08:00:01"));
    world.wait_status("all but the deferred one", |status| {
        status["dead"] == 1 && status["backlog"] == json!({"email": 1, "zalo": 0})
    });
    let first: Vec<_> = world.mail.journal().into_iter().filter(|mail| mail.to == [full]).collect();
    assert_eq!(first.len(), 1);

    // Five minutes and a tenth later at most.
    world.set(local("2026-11-23T08:08:00"));
    world.wait_quiet(local("2026-11-23T08:08:00"));
    let both: Vec<_> = world.mail.journal().into_iter().filter(|mail| mail.to == [full]).collect();
    assert_eq!(both.len(), 2);
    assert_ne!(both[0].message_id(), both[1].message_id(), "known to be refused: composed anew");
    assert_eq!(both[1].header("X-Dondoc-Repeat"), None);

    let mut wanted: Vec<_> = expected.into_iter().filter(|told| told.address != gone).collect();
    let lost: Vec<_> = told_by_box(&world, registry);
    assert!(lost.iter().any(|told| told.codes.contains("NV26-000560")), "{lost:?}");
    wanted.push(told_by_mail(&both[0]));
    wanted.extend(lost.into_iter().filter(|told| told.codes.contains("NV26-000560")));
    wanted.sort();
    compare(&wanted, &arrived(&world));

    let dead = world.json(&["outbox", "list", "--state", "dead"]);
    assert_eq!(dead.as_array().unwrap().len(), 1, "{dead}");
    assert_eq!(dead[0]["to"], gone);
    assert!(dead[0]["last"].as_str().unwrap().contains("no such user"), "{dead}");
    let complaints = daemon.complaints();
    assert!(complaints.iter().all(|line| !line.contains(gone)), "an address in a log line: {complaints:?}");
    assert!(complaints.iter().any(|line| line.contains("k***@hanoi.gov.vn.example")), "{complaints:?}");
    daemon.stop();
}

fn told_by_box(world: &World, address: &str) -> Vec<super::days::Told> {
    world.mail.journal().iter().filter(|mail| mail.to == [address]).map(told_by_mail).collect()
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_morning_reaches_postfix_smtp_sink_over_several_connections() {
    const SMTP_SINK: &str = "/usr/sbin/smtp-sink";
    if !std::path::Path::new(SMTP_SINK).exists() {
        assert!(std::env::var_os("DONDOC_FULL").is_none(), "{SMTP_SINK} is missing: install the package postfix");
        eprintln!("left out: {SMTP_SINK} is missing (apt-get install postfix)");
        return;
    }
    // A free port; smtp-sink cannot choose one itself.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let office = Office { relay: Some(port), ..Office::default() };
    let Some(world) = World::with("2026-11-20T20:00:00", office) else { return };
    let caught = world.path("caught");
    std::fs::create_dir(&caught).unwrap();
    let mut sink = Command::new(SMTP_SINK);
    // It will not run as root, and its user must be able to write here.
    if std::fs::metadata("/proc/self").is_ok_and(|of_us| std::os::unix::fs::MetadataExt::uid(&of_us) == 0) {
        sink.args(["-u", "nobody"]);
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&caught, anybody).unwrap();
        std::fs::set_permissions(world.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let sink = sink.current_dir(&caught).args(["-d", "%s.", &format!("127.0.0.1:{port}"), "64"]).stdout(Stdio::null());
    let mut sink = Ended(sink.spawn().unwrap());
    let limit = Clock::System.boot_time() + PATIENCE;
    // It does not say when it listens: its socket does.
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(sink.0.try_wait().unwrap().is_none() && Clock::System.boot_time() < limit, "smtp-sink does not listen");
    }
    world.import_sample();
    let expected = expected(&foreseen(&world, "2026-11-20T20:00", "2026-11-23"));
    let daemon = world.run();
    world.pass(local("2026-11-23T08:00:00"));
    assert_eq!(daemon.complaints(), [""; 0]);
    daemon.stop();
    let mut recipients: Vec<String> = std::fs::read_dir(&caught)
        .unwrap()
        .map(|entry| {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("X-Rcpt-Args: ")).expect("who it was for");
            line.trim_start_matches('<').split('>').next().unwrap_or_default().to_owned()
        })
        .collect();
    let mut wanted: Vec<String> =
        expected.iter().filter(|told| told.channel == "email").map(|told| told.address.clone()).collect();
    recipients.sort();
    wanted.sort();
    assert_eq!(recipients, wanted);
    assert_eq!(world.zalo.posts().len(), expected.len() - wanted.len());
    assert_eq!(world.status()["backlog"], json!({"email": 0, "zalo": 0}));
}
