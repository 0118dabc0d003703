//! Several daemons on one database, all well: what is to be sent is sent once, by all of them; what is to be filed is
//! filed once.

use std::{collections::BTreeSet, time::Duration};

use super::{
    fleet::{Fleet, OPEN, code, complaints, say, tasks},
    server,
};
use crate::sink::smtp::{Act, Fault, Point};

#[test]
fn three_daemons_share_the_work_and_every_letter_leaves_once() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 3);
    const TASKS: usize = 400;
    fleet.import(&tasks(0, TASKS, 3, "Đang thực hiện"));
    for machine in &fleet.machines {
        machine.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(30))));
    }
    let daemons = fleet.run_all();
    fleet.wait_taken(TASKS);
    fleet.wait_ended();
    let mut logs = Vec::new();
    for daemon in daemons {
        assert_eq!(complaints(&daemon), [""; 0]);
        logs.push(daemon.stop());
    }
    assert_eq!(fleet.judge(0..TASKS), 0, "nobody was killed: there is no second copy");
    let each: Vec<usize> = fleet.machines.iter().map(|machine| machine.mail.taken()).collect();
    say(&format!("letters by machine: {each:?}"));
    let quiet = |log: &Vec<String>| log.iter().filter(|line| !line.contains("sent ")).cloned().collect::<Vec<_>>();
    let quiet: Vec<_> = logs.iter().map(quiet).collect();
    assert!(each.iter().all(|n| *n > TASKS / 20), "the work is shared: {each:?}; logs: {quiet:#?}");
    assert_eq!(fleet.database.number("SELECT count(*) FROM attempt WHERE phase <> 'answered'"), 0);
}

#[test]
fn two_planners_at_one_instant_plan_and_file_what_one_would() {
    let Some(server) = server::shared() else { return };
    // All of them are sent twice over, once by one and once by two: the long run has more.
    let many = if std::env::var_os("DONDOC_KILLS").is_some() { 2000 } else { 400 };
    let sheet = tasks(0, many, -40, "Đang thực hiện");
    let facts = |fleet: &Fleet| {
        let mut reminders = fleet.database.sql(
            "SELECT t.code, r.clock, r.arming, r.rule, r.step, r.occurrence, r.agency, r.audience, r.channel, r.urging, \
             r.state, r.reason FROM reminder r JOIN task t ON t.id = r.task ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9",
        );
        reminders.extend(fleet.database.sql(
            "SELECT t.code, n.clock, n.arming, n.rule, n.step, n.occurrence, n.agency FROM notice n \
             JOIN task t ON t.id = n.task ORDER BY 1, 2, 3, 4, 5, 6, 7",
        ));
        reminders
    };
    let alone = Fleet::new(server, 1);
    alone.import(&sheet);
    assert_eq!(alone.machines[0].dondoc(&["run", "--once"]).code, 0);
    let expected = facts(&alone);
    assert!(expected.len() >= 2 * many, "{} reminders and notices of {many} tasks", expected.len());

    let fleet = Fleet::new(server, 2);
    fleet.import(&sheet);
    let daemons = fleet.run_all();
    fleet.wait_number("all filed", "SELECT count(*) FROM notice", |n| n >= many as i64);
    fleet.wait_taken(many);
    fleet.wait_ended();
    for daemon in daemons {
        assert_eq!(complaints(&daemon), [""; 0]);
        daemon.stop();
    }
    assert!(facts(&fleet) == expected, "two planners came to something else than one");
    assert_eq!(fleet.judge(0..many), 0);
    let numbers = fleet.database.sql("SELECT count(*), count(DISTINCT number), min(number), max(number) FROM notice");
    let all = Some(many.to_string());
    assert_eq!(numbers, [[all.clone(), all.clone(), Some("1".to_owned()), all.clone()]], "numbers have no gap");
    let verified = fleet.machines[1].json(&["register", "verify"]);
    assert_eq!((&verified["ok"], &verified["entries"]), (&true.into(), &many.into()), "{verified}");
}

#[test]
fn tasks_completed_while_all_send_pass_no_gate_after_it() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 3);
    const TASKS: usize = 300;
    fleet.import(&tasks(0, TASKS, 3, "Đang thực hiện"));
    for machine in &fleet.machines {
        machine.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(60))));
    }
    let daemons = fleet.run_all();
    // Those that are sent last, some of them perhaps in hand by now.
    let done = 100..TASKS;
    fleet.wait_taken(40);
    let answer = fleet.import(&tasks(done.start, done.len(), 3, "Hoàn thành"));
    assert_eq!(answer["updated"], done.len(), "{answer}");
    // What had passed its gate by then; a gate after it makes another row frozen.
    let passed: BTreeSet<String> = fleet
        .database
        .sql("SELECT message_id FROM message WHERE state IN ('frozen', 'sent')")
        .into_iter()
        .flat_map(|row| row.into_iter().flatten())
        .collect();
    fleet.wait_number("nothing left", OPEN, |open| open == 0);
    for daemon in daemons {
        daemon.stop();
    }
    let letters = fleet.letters();
    let late: Vec<&String> = letters
        .iter()
        .filter(|(id, copies)| {
            done.clone().any(|n| copies[0].1.header("References").unwrap().contains(&code(n))) && !passed.contains(*id)
        })
        .map(|(id, _)| id)
        .collect();
    assert!(late.is_empty(), "handed over after their tasks were completed: {late:?}");
    assert!(letters.len() < TASKS, "the completion came too late to matter");
    assert!(letters.len() >= done.start, "the others go on: {}", letters.len());
    assert_eq!(fleet.database.number("SELECT count(*) FROM reminder WHERE state = 'sent'") as usize, letters.len());
}
