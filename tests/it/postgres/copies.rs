//! A dump that was restored on another server: it waits until somebody says that it is the one that sends.

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
