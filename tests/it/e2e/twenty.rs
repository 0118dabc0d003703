//! SIGKILL with twenty connections in flight: at random moments under load, and at each point of the conversation. Every
//! letter tells one task, so that what was lost and what came twice can be counted exactly.
//!
//! `DONDOC_KILLS=300 cargo test --test it twenty -- --nocapture` kills so often and says the figures.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use dondoc::clock::Clock;
use serde_json::json;

use super::{
    life::row,
    world::{Office, PATIENCE, World},
};
use crate::dice::Dice;
use crate::sink::{
    count::{Copy, Count, codes_of, count},
    smtp::{Act, Fault, Point, Received},
};

const NOW: &str = "2026-11-23T09:00:00";

/// A letter for each task, to its handler, at all hours.
const RULES: &str = include_str!("../../sink/letter_each.toml");

const CONNECTIONS: usize = 20;

/// How many kills were asked for.
fn kills(usual: usize) -> usize {
    let given = std::env::var("DONDOC_KILLS").ok();
    given.map_or(usual, |given| given.parse().expect("DONDOC_KILLS is a number"))
}

fn office() -> Option<World> {
    let smtp = "max_connections = 20";
    let world = World::with(NOW, Office { smtp, without_zalo: true, rules: Some(RULES), ..Office::default() })?;
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    Some(world)
}

fn set_connections(world: &World, connections: usize) {
    let settings = std::fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let changed: String = settings
        .lines()
        .map(|line| match line.starts_with("max_connections = ") {
            true => format!("max_connections = {connections}\n"),
            false => format!("{line}\n"),
        })
        .collect();
    std::fs::write(world.path("dondoc.toml"), changed).unwrap();
}

/// Takes in so many new tasks, each due a letter at once. Gives their codes.
fn enter(world: &World, next: &mut usize, letters: usize) -> Vec<String> {
    let one = row("Đang thực hiện", "").replace("20/11/2026", "27/11/2026");
    let (header, line) = one.split_once('\n').unwrap();
    let mut table = format!("{header}\n");
    let mut codes = Vec::new();
    for n in *next..*next + letters {
        let code = format!("NV26-{n:06}");
        table += &line.replace("NV26-900001", &code).replace("Lập báo cáo thử nghiệm", &format!("Lập báo cáo số {n}"));
        codes.push(code);
    }
    *next += letters;
    std::fs::write(world.path("tasks.csv"), table).unwrap();
    let taken = world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    assert_eq!(taken["created"], letters, "{taken}");
    codes
}

/// Messages that were handed over, or about to be, when it was killed.
fn in_flight(world: &World) -> usize {
    world.json(&["outbox", "list", "--state", "frozen"]).as_array().unwrap().len()
}

/// Starts it again, lets it finish, and counts what came since the last count.
fn finish(world: &World, codes: &[String]) -> Count<String> {
    let daemon = world.run();
    // As long as letters come it may take its time: those that were in work at two kills go one by one.
    loop {
        let journal = world.mail.journal();
        if journal.iter().map(told).collect::<BTreeSet<_>>().len() >= codes.len() {
            break;
        }
        let more = world.mail.wait_for(journal.len() + 1, PATIENCE).len();
        assert!(more > journal.len(), "no further letter came: {} of {}", journal.len(), codes.len());
    }
    world.wait_status("all sent", |status| status["backlog"] == json!({"email": 0, "zalo": 0}));
    let log = daemon.stop();
    let failed: Vec<_> = log
        .iter()
        .filter(|line| line.contains("panicked") || line.contains("poisoned=") && !line.contains("poisoned=0"))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let open = world.json(&["outbox", "list"]);
    assert_eq!(open, json!([]), "nothing is left, dead or unknown");
    let mails = world.mail.drain();
    count(mails.iter().map(|mail| Copy::of_mail(mail, told(mail))).collect(), codes)
}

fn told(mail: &Received) -> String {
    codes_of(mail).into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn kill_9_with_twenty_in_flight_loses_nothing_and_second_copies_are_bounded_by_what_was_in_flight() {
    const LETTERS: usize = 240;
    /// Within one backlog: nobody is taken for the cause of all these.
    const EACH: usize = 6;
    let Some(world) = office() else { return };
    let (kills, mut dice, mut next) = (kills(EACH), Dice::printed(), 1);
    let slow = |milliseconds| Fault::at(Point::Dot, Act::Late(Duration::from_millis(milliseconds)));
    let (mut done, mut at_kills, mut most, mut second, mut marked, mut letters) = (0, 0, 0, 0, 0, 0);
    let began = Clock::System.boot_time();
    while done < kills {
        let codes = enter(&world, &mut next, LETTERS);
        // An answer takes between nothing and fifty milliseconds, another time in each round.
        world.mail.heal();
        world.mail.fault(slow(dice.below(50)));
        let (mut reached, mut seen) = (0, 0);
        for n in 0..EACH {
            let daemon = world.run();
            // So that about as many are left for each kill.
            reached += dice.below(((LETTERS - reached) * 3 / 2 / (EACH - n + 1)).max(1) as u64) as usize;
            world.mail.wait_for(reached, PATIENCE);
            let until = Clock::System.boot_time() + Duration::from_micros(dice.below(30_000));
            while Clock::System.boot_time() < until {}
            daemon.kill();
            let frozen = in_flight(&world);
            assert!(frozen <= CONNECTIONS, "{frozen} in flight on {CONNECTIONS} connections");
            (seen, most, done) = (seen + frozen, most.max(frozen), done + 1);
            reached = world.mail.journal().iter().map(told).collect::<BTreeSet<_>>().len();
        }
        let count = finish(&world, &codes);
        count.holds();
        assert!(count.second <= count.marked && count.marked <= seen, "{count:?}, {seen} in flight");
        at_kills += seen;
        second += count.second;
        marked += count.marked;
        letters += count.messages;
        let took = (Clock::System.boot_time() - began).as_secs();
        // So far; the last line counts.
        #[expect(clippy::print_stdout, reason = "the figures, with --nocapture")]
        {
            println!(
                "{done} kills, {letters} letters: lost 0, twice without a mark 0, {second} second copies, {marked} marked, \
                 {at_kills} in flight at the kills (at most {most} at once), {took} s"
            );
        }
    }
}

#[test]
fn killed_at_each_point_of_the_conversation_second_copies_come_only_between_dot_and_commit() {
    let Some(world) = office() else { return };
    let (rounds, mut next, mut dice) = ((kills(11) / 11).max(1), 1, Dice::printed());
    let points = [Point::Mail, Point::Rcpt, Point::Data, Point::Body, Point::Dot, Point::Taken, Point::Answered];
    let among_many = [Point::Rcpt, Point::Data, Point::Taken, Point::Answered];
    let mut said = Vec::new();
    for (connections, letters, points) in [(1, 10, &points[..]), (CONNECTIONS, 60, &among_many)] {
        set_connections(&world, connections);
        for point in points.iter().copied() {
            let (mut second, mut marked, mut frozen) = (0, 0, 0);
            for _ in 0..rounds {
                let codes = enter(&world, &mut next, letters);
                // Killed by the server's own thread, before it goes on: at this point exactly.
                let (pid, struck) = (Arc::new(AtomicI32::new(0)), Arc::new(AtomicUsize::new(0)));
                let (whom, count) = (pid.clone(), struck.clone());
                let kill = Act::call(move || {
                    while whom.load(Ordering::SeqCst) == 0 {
                        std::thread::yield_now();
                    }
                    kill(whom.load(Ordering::SeqCst));
                    count.fetch_add(1, Ordering::SeqCst);
                });
                world.mail.heal();
                let skip = dice.below(letters as u64 / 2) as u32 + letters as u32 / 4;
                world.mail.fault(Fault::at(point, kill).skip(skip).once());
                let mut daemon = world.run();
                pid.store(i32::try_from(daemon.pid()).unwrap(), Ordering::SeqCst);
                daemon.ended();
                assert_eq!(struck.load(Ordering::SeqCst), 1, "{point:?}: killed by the server");
                let in_flight = in_flight(&world);
                let count = finish(&world, &codes);
                count.holds();
                assert!(count.second <= count.marked && count.marked <= in_flight, "{point:?}: {count:?}");
                assert!(in_flight <= connections, "{point:?}: {in_flight} in flight");
                if connections == 1 {
                    // (second copies, marked): before the gate nothing was handed over, and the letter before may
                    // not be committed yet; between gate and dot the letter comes once, marked, for nobody could
                    // know; from the dot to the commit it comes twice.
                    let seen = (count.second, count.marked);
                    let right = match point {
                        Point::Mail | Point::Rcpt => seen == (0, 0) || seen == (1, 1),
                        Point::Data => seen == (0, 1),
                        // All its bytes may have left in one.
                        Point::Body => seen == (0, 1) || seen == (1, 1),
                        Point::Dot | Point::Taken => seen == (1, 1),
                        // The commit may have been quicker.
                        _ => seen == (1, 1) || seen == (0, 0),
                    };
                    assert!(right, "{point:?}: {count:?}");
                }
                second += count.second;
                marked += count.marked;
                frozen += in_flight;
            }
            said.push(format!(
                "{connections} connections, {rounds} at {point:?}: {second} second copies, {marked} marked, {frozen} in flight"
            ));
        }
    }
    #[expect(clippy::print_stdout, reason = "the figures, with --nocapture")]
    {
        println!("lost 0, twice without a mark 0\n{}", said.join("\n"));
    }
}

#[expect(unsafe_code, reason = "only libc sends a signal")]
fn kill(pid: i32) {
    // SAFETY: kill takes no memory; the process is ours and not yet waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}
