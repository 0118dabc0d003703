//! Events arrive at once: what people do rings the daemon, and the daemon wakes for what is due next, whatever the
//! schedule says.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixListener,
    sync::mpsc,
    time::Duration,
};

use super::{
    life::row,
    world::{PATIENCE, World, local},
};

/// Someone in the daemon's place who only hears the bell.
fn listen(world: &World) -> mpsc::Receiver<String> {
    let listener = UnixListener::bind(world.path("dondoc.db.sock")).unwrap();
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            (&stream).write_all(b"{\"rung\":true}\n").unwrap();
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    heard
}

#[test]
fn every_command_that_changes_what_is_due_rings_and_one_that_looks_does_not() {
    let Some(world) = World::at("2026-11-23T09:00:00") else { return };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    let heard = listen(&world);
    std::fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
    for (command, rings) in [
        (&["import", "directory", directory][..], true),
        (&["import", "tasks", "tasks.csv", "--yes"], true),
        (&["task", "show", "NV26-900001"], false),
        (&["task", "pause", "NV26-900001"], true),
        (&["task", "resume", "NV26-900001"], true),
        (&["plan"], false),
        (&["task", "done", "NV26-900001"], true),
    ] {
        let answer = world.dondoc(command);
        assert_eq!(answer.code, 0, "{command:?}: {answer:?}");
        // The command waits for the answer, so what it rang has been heard by now.
        let rung: Vec<String> = heard.try_iter().collect();
        let wanted: &[&str] = if rings { &["ring\n"] } else { &[] };
        assert_eq!(rung, wanted, "{command:?}");
    }
}

#[test]
fn the_daemon_wakes_at_the_next_due_instant_without_waiting_for_its_schedule() {
    let Some(world) = World::at("2026-11-22T20:00:00") else { return };
    // The next of these is years away.
    let settings = std::fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let yearly = settings.replace("schedule = \"0 * * * * *\"", "schedule = \"0 0 0 29 2 *\"");
    assert_ne!(settings, yearly);
    std::fs::write(world.path("dondoc.toml"), yearly).unwrap();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    std::fs::write(world.path("tasks.csv"), row("Đang thực hiện", "").replace("20/11/2026", "23/11/2026")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    world.dondoc(&["run", "--once"]);
    let before = world.mail.journal().len();
    // The day of the deadline, six seconds before eight: nothing is due when it starts, and its heartbeat comes only
    // every thirty.
    world.set(local("2026-11-23T07:59:54"));
    let daemon = world.run();
    let mails = world.mail.wait_for(before + 1, Duration::from_secs(20));
    assert!(mails.len() > before, "it slept on: {:?}", daemon.log());
    world.mail.wait_for(before + 2, PATIENCE);
    daemon.stop();
}
