//! Several daemons on one database, all well: what is to be sent is sent once, by all of them; what is to be filed is
//! filed once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    fleet::{Fleet, OPEN, code, complaints, tasks},
    server,
};
use crate::dice::say;
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

/// Writes down each message that passes its gate while a task that it tells of is done. A gate and a completion never
/// overlap (each takes the same lock, one shared and one alone), so what is done is committed.
const WATCH: &str = "
    CREATE TABLE late (message BIGINT, task BIGINT);
    CREATE FUNCTION note_late() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO late SELECT NEW.id, t.id FROM reminder r JOIN task t ON t.id = r.task
        WHERE r.message = NEW.id AND t.state = 'done';
      RETURN NULL;
    END $$;
    CREATE TRIGGER gate_passed AFTER UPDATE ON message FOR EACH ROW
      WHEN (NEW.state = 'frozen' AND OLD.state <> 'frozen') EXECUTE FUNCTION note_late();";

#[test]
fn tasks_completed_while_all_send_pass_no_gate_after_it() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::new(server, 3);
    const TASKS: usize = 300;
    fleet.database.sql(WATCH);
    fleet.import(&tasks(0, TASKS, 3, "Đang thực hiện"));
    // From the fortieth letter on no relay answers a dot until the completion is committed.
    let (open, dots) = (Arc::new(Mutex::new(())), Arc::new(AtomicUsize::new(0)));
    for machine in &fleet.machines {
        let (open, dots) = (open.clone(), dots.clone());
        machine.mail.fault(Fault::at(
            Point::Dot,
            Act::call(move || {
                if dots.fetch_add(1, Ordering::SeqCst) >= 40 {
                    // A test that has failed lets go as well.
                    drop(open.lock());
                }
            }),
        ));
    }
    let shut = open.lock().unwrap();
    let daemons = fleet.run_all();
    fleet.wait_taken(40);
    // Those that are sent next, some of them claimed by now.
    let done = 30..TASKS;
    let answer = fleet.import(&tasks(done.start, done.len(), 3, "Hoàn thành"));
    assert_eq!(answer["updated"], done.len(), "{answer}");
    let before_gate = "SELECT count(DISTINCT m.id) FROM message m JOIN reminder r ON r.message = m.id \
         JOIN task t ON t.id = r.task WHERE m.state = 'leased' AND t.state = 'done'";
    let claimed = fleet.database.number(before_gate);
    assert!(claimed > 0, "none was on its way to its gate");
    // Nobody is past a dot: what had passed its gate is what is frozen or sent.
    let passed: BTreeSet<String> = fleet
        .database
        .sql("SELECT message_id FROM message WHERE state IN ('frozen', 'sent')")
        .into_iter()
        .flat_map(|row| row.into_iter().flatten())
        .collect();
    drop(shut);
    fleet.wait_number("nothing left", OPEN, |open| open == 0);
    for daemon in daemons {
        daemon.stop();
    }
    let late = fleet.database.number("SELECT count(DISTINCT message) FROM late");
    assert_eq!(late, 0, "passed their gate after a task of theirs was completed");
    let letters = fleet.letters();
    let of = |n: usize| letters.iter().find(|(_, copies)| copies[0].1.header("References").unwrap().contains(&code(n)));
    let left: Vec<&String> = done.clone().filter_map(of).map(|(id, _)| id).filter(|id| !passed.contains(*id)).collect();
    assert!(left.is_empty(), "handed over after their tasks were completed: {left:?}");
    assert!((0..done.start).all(|n| of(n).is_some()), "the others go on");
    say(&format!("{claimed} claimed at the completion, {} letters of {TASKS}", letters.len()));
    assert_eq!(fleet.database.number("SELECT count(*) FROM reminder WHERE state = 'sent'") as usize, letters.len());
}
