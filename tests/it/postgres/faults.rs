//! Any daemon killed or stopped, any backend ended, the server torn off: nothing lost, and a second copy only where the
//! answer was lost.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    fleet::{CONNECTIONS, Fleet, OPEN, strikes, tasks},
    server,
};
use crate::dice::{Dice, say};
use crate::{
    e2e::world::Daemon,
    sink::smtp::{Act, Fault, Point},
};

/// Letters for each fault, so that each strikes in the middle of the work.
const EACH: usize = 60;

fn slow(fleet: &Fleet, milliseconds: u64) {
    for machine in &fleet.machines {
        machine.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(milliseconds))));
    }
}

/// Ends the daemons, lets what they could not release run out, and lets one of them finish. Nothing is left to an
/// operator: faults from without are no message's own.
fn finish(fleet: &Fleet, daemons: Vec<Daemon>) {
    daemons.into_iter().for_each(|daemon| drop(daemon.stop()));
    fleet.leases_run_out();
    let last = fleet.machines[0].run();
    fleet.wait_ended();
    last.stop();
    let condemned = fleet.database.sql("SELECT id, state, reason, crashes FROM message WHERE state <> 'sent'");
    assert!(condemned.is_empty(), "left to an operator: {condemned:?}");
}

#[test]
fn kill_9_of_any_of_three_loses_nothing_and_every_second_copy_says_so() {
    let Some(server) = server::shared() else { return };
    let mut dice = Dice::printed();
    let fleet = Fleet::new(server, 3);
    let kills = strikes(4);
    let count = kills * EACH;
    fleet.import(&tasks(0, count, 3, "Đang thực hiện"));
    slow(&fleet, 40);
    let (mut daemons, mut struck) = (fleet.run_all(), 0);
    for n in 0..kills {
        // In the middle: about an equal share of the letters is left for each kill.
        fleet.wait_taken(n * EACH * 9 / 10 + 5);
        dice.moment(150);
        let victim = dice.below(daemons.len() as u64) as usize;
        let daemon = daemons.remove(victim);
        daemon.kill();
        struck += usize::from(fleet.database.number(OPEN) > 0);
        daemons.insert(victim, fleet.machines[victim].run());
        if (n + 1) % 3 == 0 {
            // What the killed held is the others' again.
            fleet.leases_run_out_of_the_dead(&mut daemons);
        }
    }
    finish(&fleet, daemons);
    let second = fleet.judge(0..count);
    let marked = fleet.marked();
    // A kill that came when all was done shows nothing; most must have come before.
    assert!(struck * 3 >= kills * 2, "only {struck} of {kills} kills came in the middle");
    say(&format!("{kills} kills, {count} letters: {second} second copies, {marked} marked"));
    assert!(second <= kills * CONNECTIONS, "{second} second copies of at most {} in flight", kills * CONNECTIONS);
    assert!(second <= marked && marked <= kills * CONNECTIONS, "{marked} marked");
}

#[test]
fn one_stopped_past_its_lease_writes_nothing_stale_when_it_goes_on() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 2);
    const BEFORE: usize = 20;
    const TASKS: usize = BEFORE + CONNECTIONS;
    let first = fleet.machines[0].run();
    fleet.import(&tasks(0, BEFORE, 3, "Đang thực hiện"));
    fleet.wait_taken(BEFORE);
    fleet.wait_ended();
    // Of what comes now its relay thinks for some seconds, and then refuses it for now.
    let refused = Act::Drip("451 4.3.0 try again later".to_owned(), Duration::from_millis(300));
    fleet.machines[0].mail.fault(Fault::at(Point::Dot, refused).times(CONNECTIONS as u32));
    fleet.import(&tasks(BEFORE, CONNECTIONS, 3, "Đang thực hiện"));
    let in_flight = "SELECT count(*) FROM message WHERE state = 'frozen'";
    fleet.wait_number("all in flight", in_flight, |n| n == CONNECTIONS as i64);
    first.signal(libc::SIGSTOP);
    fleet.leases_run_out();

    // The other one takes them over, and is in the middle of it when the first goes on.
    let open = Arc::new(Mutex::new(()));
    let shut = open.lock().unwrap();
    let hold = open.clone();
    fleet.machines[1].mail.fault(Fault::at(Point::Dot, Act::call(move || drop(hold.lock()))));
    let second = fleet.machines[1].run();
    let taken_over = "FROM message m WHERE m.state IN ('leased', 'frozen') AND EXISTS \
         (SELECT 1 FROM attempt a WHERE a.message = m.id AND a.message_id IS NOT NULL AND a.token <> m.lease_token)";
    let frozen = format!("SELECT count(*) {taken_over} AND m.state = 'frozen'");
    fleet.wait_number("handed over by the second", &frozen, |n| n > 0);
    let held = format!(
        "SELECT m.id, m.state, m.lease_token, m.lease_until, m.attempts, m.not_before {taken_over} ORDER BY m.id"
    );
    let before = fleet.database.sql(&held);
    first.signal(libc::SIGCONT);
    // It hears its answers, all of them refusals, and finds that its leases are gone.
    let ids: Vec<&str> = before.iter().map(|row| row[0].as_deref().unwrap()).collect();
    let stale =
        format!("SELECT count(DISTINCT message) FROM attempt WHERE code = 451 AND message IN ({})", ids.join(", "));
    fleet.wait_number("each refusal came to be recorded", &stale, |n| n == ids.len() as i64);
    assert_eq!(fleet.database.sql(&held), before, "a stale outcome was written");
    drop(shut);
    fleet.wait_ended();
    let stopped = first.stop();
    second.stop();
    let ended = fleet.database.sql("SELECT id, state FROM message WHERE state <> 'sent'");
    assert!(ended.is_empty(), "{ended:?}");
    assert_eq!(fleet.database.number("SELECT count(*) FROM reminder WHERE state <> 'sent'"), 0);
    let copies = fleet.judge(0..TASKS);
    say(&format!("{} taken over, {copies} second copies; its last words: {:?}", ids.len(), stopped.last()));
    assert!(copies <= CONNECTIONS, "{copies} second copies");
}

#[test]
fn backends_ended_at_random_lose_nothing_and_double_nothing() {
    let Some(server) = server::shared() else { return };
    let mut dice = Dice::printed();
    let fleet = Fleet::new(server, 2);
    let ends = strikes(6);
    let count = 100 + ends * 20;
    fleet.import(&tasks(0, count, 3, "Đang thực hiện"));
    slow(&fleet, 25);
    let daemons = fleet.run_all();
    let mut struck = 0;
    for n in 0..ends {
        fleet.wait_taken((n * 20).min(count / 2));
        dice.moment(120);
        let all = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        // One of them, or all at once.
        let one = if n % 3 == 2 { String::new() } else { format!(" ORDER BY pid OFFSET {} LIMIT 1", dice.below(4)) };
        struck += fleet
            .database
            .number(&format!("SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM ({all}{one}) AS found"));
    }
    // Each insists on its outcomes until they are kept; what only the lease holds is left.
    let held = "SELECT count(*) FROM message WHERE state = 'pending'";
    fleet.wait_number("nothing waits to be claimed", held, |n| n == 0);
    finish(&fleet, daemons);
    let second = fleet.judge(0..count);
    say(&format!("{struck} backends ended, {second} second copies, {} marked", fleet.marked()));
    assert!(struck > 0);
    assert_eq!(second, 0, "no daemon was killed: each knew what had been accepted");
}

#[test]
fn the_server_stopped_in_immediate_mode_and_started_again_loses_nothing() {
    let Some(server) = server::own(&[]) else { return };
    let mut dice = Dice::printed();
    let fleet = Fleet::new(&server, 2);
    let stops = strikes(2).min(40);
    let count = 100 + stops * 60;
    fleet.import(&tasks(0, count, 3, "Đang thực hiện"));
    slow(&fleet, 25);
    let daemons = fleet.run_all();
    for n in 0..stops {
        fleet.wait_taken(10 + n * 40);
        dice.moment(150);
        server.stop_immediately();
        dice.moment(300);
        server.start_again();
    }
    let held = "SELECT count(*) FROM message WHERE state = 'pending'";
    fleet.wait_number("nothing waits to be claimed", held, |n| n == 0);
    finish(&fleet, daemons);
    let second = fleet.judge(0..count);
    say(&format!("{stops} immediate stops, {second} second copies, {} marked", fleet.marked()));
    assert_eq!(second, 0, "no daemon was killed: each knew what had been accepted");
}
