//! Told to stop while the relay keeps its answer to itself: it ends in its time, and only the letter whose answer was lost
//! comes again, marked.

use std::{sync::Arc, time::Duration};

use dondoc::{doorbell::Doorbell, engine::serve, systemd::Watchdog};
use tokio_util::sync::CancellationToken;

use super::morning::{Day, Morning, address};
use crate::sink::smtp::{Act, Fault, Point};

#[tokio::test]
async fn a_stop_while_the_relay_never_answers_ends_in_time_and_only_the_letter_in_doubt_comes_again_marked() {
    for at in [Point::Data, Point::Dot] {
        let mut morning = Morning::new(Day::of(30)).await;
        let act = if at == Point::Dot { Act::TakeThenHang } else { Act::Hang };
        morning.mail.fault(Fault::at(at, act).to(&address(5)));
        // Something that is under way when it is told to stop.
        morning.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(50))));
        let token = CancellationToken::new();
        let (engine, ending) = (Arc::new(morning.engine.clone()), token.clone());
        let grace = Duration::from_secs(2);
        let served = tokio::spawn(async move {
            serve::serve(engine, Doorbell::new(), Watchdog::from_env(), ending, grace, |_| ()).await
        });
        let struck = || morning.mail.commands().iter().filter(|(_, line)| line.contains(&address(5))).count();
        while struck() == 0 || morning.mail.journal().len() < 10 {
            tokio::task::yield_now().await;
        }
        token.cancel();
        assert!(!served.await.unwrap(), "{at:?}: it was still waiting when its time was up");
        assert!(morning.mail.journal().len() < 30, "{at:?}: nothing was begun after the stop");
        // In doubt is what passed its gate: its answer may be on its way, from DATA on as after the dot.
        let (sent, pending, dead, unknown) = morning.states().await;
        assert_eq!((morning.state("frozen").await, dead, unknown), (1, 0, 0), "{at:?}: {sent} sent, {pending} pending");
        assert_eq!(sent + pending, 29, "{at:?}: the others' answers are on record, the rest is released");

        morning.mail.heal();
        morning.restart().await;
        morning.until_quiet(61, 4).await;
        let count = morning.count();
        count.holds();
        assert_eq!(count.second, usize::from(at == Point::Dot), "{at:?}: {count:?}");
        assert_eq!(count.marked, 1, "{at:?}: {count:?}");
    }
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_scan_makes_no_letter_of_half_a_morning() {
    let mut morning = Morning::new(Day::of(30)).await;
    let token = morning.engine.stopping().clone();
    // Told to stop while the first batch is planned.
    morning.engine = morning.engine.clone().on_progress(Arc::new(move || token.cancel()));
    morning.pass().await;
    let planned: i64 = sqlx::query_scalar("SELECT count(*) FROM reminder WHERE state = 'planned'")
        .fetch_one(&morning.pool)
        .await
        .unwrap();
    assert_eq!((planned, morning.states().await), (30, (0, 0, 0, 0)));
    morning.restart().await;
    morning.pass().await;
    assert_eq!(morning.states().await, (30, 0, 0, 0));
}
