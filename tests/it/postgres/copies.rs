//! A dump that was restored on another server: it waits until somebody says that it is the one that sends.

use std::{sync::mpsc, time::Duration};

use dondoc::store::postgres::PostgresStore;

use super::{
    fleet::{Fleet, tasks},
    server,
};

#[test]
fn a_database_restored_on_another_server_neither_sends_nor_files_until_it_is_adopted() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 1);
    let machine = &fleet.machines[0];
    let reminders = "SELECT count(*) FROM reminder";
    fleet.import(&tasks(0, 3, 3, "Đang thực hiện"));
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    assert_eq!(fleet.taken(), 3);
    let shown = machine.json(&["instance", "show"]);
    assert_eq!(shown["sends"], true, "{shown}");
    let place = shown["place"].as_str().unwrap().to_owned();
    assert!(place.starts_with("postgresql:"), "{place}");

    // What a restored dump holds: the identity of the server that it was taken from.
    fleet.database.sql("UPDATE instance SET place = 'postgresql:1/1'");
    fleet.import(&tasks(3, 3, 3, "Đang thực hiện"));
    let before = fleet.database.number(reminders);
    let held = machine.dondoc(&["run", "--once"]);
    assert!(held.code == 1 && held.err.contains("postgresql:1/1"), "{held:?}");
    let daemon = machine.run();
    let status = machine.dondoc(&["status", "--format", "json"]).json();
    assert_eq!((&status["held"]["code"], &status["ready"]), (&"moved".into(), &false.into()), "{status}");
    assert_eq!(machine.dondoc(&["instance", "show"]).code, 3);
    assert_eq!((fleet.taken(), fleet.database.number(reminders)), (3, before));

    let adopted = machine.dondoc(&["instance", "adopt", "--why", "khôi phục trên máy chủ mới", "--last-state"]);
    assert_eq!(adopted.code, 0, "{adopted:?}");
    fleet.wait_taken(6);
    daemon.stop();
    assert_eq!(fleet.judge(0..6), 0, "each letter once");
    let shown = machine.json(&["instance", "show"]);
    assert_eq!((&shown["place"], &shown["adoptions"][0]["held"]), (&place.into(), &"moved".into()), "{shown}");
}

#[test]
fn a_copy_that_is_adopted_and_a_clock_that_is_confirmed_ring_the_senders_of_other_machines() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 3, 3, "Đang thực hiện"));
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = || runtime.block_on(PostgresStore::open(&fleet.database.url, None)).unwrap();
    let (elsewhere, rings) = (open(), open());
    let (heard, bell) = mpsc::channel();
    let listening = runtime.spawn(async move { elsewhere.listen(&move || heard.send(()).unwrap_or_default()).await });
    let hears = |wait: u64| bell.recv_timeout(Duration::from_millis(wait)).is_ok();
    // Until it listens it hears nothing; then everything that was rung meanwhile is heard out.
    while !hears(300) {
        runtime.block_on(rings.ring()).unwrap();
    }
    while hears(1000) {}
    machine.json(&["clock", "confirm", "--reason", "đã xem"]);
    assert!(hears(40_000), "the clock");
    fleet.database.sql("UPDATE instance SET place = 'postgresql:1/1'");
    machine.json(&["instance", "adopt", "--why", "khôi phục", "--last-state"]);
    assert!(hears(40_000), "the adoption");
    listening.abort();
}
