//! SIGKILL in the middle of a busy morning, again and again: nothing is lost, and every second copy says that it is one.

use std::time::Duration;

use dondoc::clock::Clock;
use serde_json::{Value, json};

use super::{
    days::{Told, expected, foreseen, told_by_mail, told_by_post},
    world::{PATIENCE, World, local},
};
use crate::dice::Dice;
use crate::sink::{
    count::{Copy, count},
    smtp::{Act, Fault, Point},
    zalo,
};

/// So often on each morning.
const KILLS: usize = 2;

const MORNINGS: [&str; 3] = ["2026-11-23", "2026-11-25", "2026-11-26"];

/// All copies, in order of arrival.
fn copies(world: &World) -> Vec<Copy<Told>> {
    let mails = world.mail.journal();
    let mails = mails.iter().map(|mail| Copy::of_mail(mail, told_by_mail(mail)));
    let posts: Vec<_> = world.zalo.posts().into_iter().filter(|post| post.taken).collect();
    mails.chain(posts.iter().map(|post| Copy::of_post(post, told_by_post(post)))).collect()
}

#[test]
fn kill_9_under_load_loses_nothing_and_every_second_copy_says_so() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    let mut dice = Dice::printed();
    world.import_sample();
    let expected = expected(&foreseen(&world, "2026-11-20T20:00", "2026-11-26"));
    assert!(expected.len() > 120, "{}", expected.len());
    // The evening before, so that what was imported is planned for the morning; else the first look of the morning, a
    // moment before eight, would send it apart from what is due at eight.
    let evening = world.run();
    world.pass(local("2026-11-20T20:05:00"));
    evening.stop();
    world.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(80))));
    world.zalo.act(u32::MAX, zalo::Act::Late(Duration::from_millis(150)));
    let (mut in_flight, mut struck) = (0, 0);
    for date in MORNINGS {
        // Not before: what was due earlier would leave by itself, its hours being open, and the rest at eight.
        world.set(local(&format!("{date}T08:00:01")));
        let (mut reached, due) = (world.mail.journal().len(), due(&expected, date));
        let all = reached + due;
        for _ in 0..KILLS {
            let daemon = world.run();
            // Any point of a hand-over is as good as another: some acceptances, and then a little further.
            reached = (reached + dice.below(due as u64 / 4) as usize).min(all);
            world.mail.wait_for(reached, PATIENCE);
            let until = Clock::System.boot_time() + Duration::from_micros(dice.below(150_000));
            while Clock::System.boot_time() < until {}
            daemon.kill();
            let frozen = world.json(&["outbox", "list", "--state", "frozen"]);
            in_flight += frozen.as_array().unwrap().len();
            reached = world.mail.journal().len();
            struck += usize::from(reached < all);
        }
        let daemon = world.run();
        world.mail.wait_for(all, PATIENCE);
        let quiet = json!({"email": 0, "zalo": 0});
        let status = world.wait_status("all sent", |status| status["backlog"] == quiet);
        let failed = (&status["dead"], &status["unknown"]);
        assert_eq!(failed, (&json!(0), &json!(0)), "{status}\n{}", daemon.log().join("\n"));
        daemon.stop();
    }

    // A kill that came when all was sent shows nothing; most must have come before.
    let kills = MORNINGS.len() * KILLS;
    assert!(struck * 3 >= kills * 2, "only {struck} of {kills} kills came in the middle");
    let count = count(copies(&world), &expected);
    count.holds();
    assert_eq!(count.messages, expected.len(), "one message for each that was to be");
    #[expect(clippy::print_stdout, reason = "shown with --nocapture: whether the kills struck where it matters")]
    {
        println!(
            "{struck} of {kills} kills in the middle: {} second copies, {} marked; {in_flight} were in flight",
            count.second, count.marked
        );
    }
    // Marked is also an only copy, where it was killed between its gate and the relay: nobody could know.
    assert!(count.second <= count.marked && count.marked <= in_flight, "{count:?}, {in_flight} in flight");
    let open = world.json(&["outbox", "list"]);
    assert_eq!(open, Value::Array(Vec::new()), "nothing is left");
}

/// Mails of a day.
fn due(expected: &[Told], date: &str) -> usize {
    expected.iter().filter(|told| told.day == date && told.channel == "email").count()
}
