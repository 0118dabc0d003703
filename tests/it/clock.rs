//! Clocks that lie, and days on which nothing ran: early nothing, twice nothing, and what was held goes on by itself or by
//! an operator's word.

mod many;
pub mod office;
mod tet;
mod zone;

use std::{collections::HashMap, sync::Arc};

use dondoc::{
    channel::{Channel, maildir::MaildirChannel},
    cli::context::policy_of,
    clock::Clock,
    config::{load::load_all, settings::Settings},
    engine::{Engine, LAST_PASS, Pass},
    intake::{
        directory::import_directory,
        import::{Caller, NoEstimate, Options, import_tasks},
    },
    planning::rules::ChannelKind,
    store::{clock::ClockStore, ledger::PlanningStore, sqlite::SqliteStore},
};
use jiff::{Timestamp, ToSpan};

use self::office::{Office, local, tasks};

/// Six tasks due on Wednesday 25/11/2026 (Tuesday is a day off), at work since Friday evening.
async fn at_work() -> (Office, Engine) {
    let office = Office::new(local("2026-11-20T20:00"), &tasks(6, "25/11/2026")).await;
    let engine = office.start().await;
    office.live(&engine, local("2026-11-23T07:00")).await;
    assert_eq!(office.caught.count(), 0);
    (office, engine)
}

#[tokio::test]
async fn a_jump_of_ten_days_while_it_runs_plans_files_and_sends_nothing_and_set_right_it_goes_on_as_if_it_had_not_been()
{
    let (office, engine) = at_work().await;
    office.clock.jump(local("2026-12-03T07:00"));
    for minutes in [0, 1, 30, 120] {
        office.clock.set(local("2026-12-03T07:00") + minutes.minutes());
        assert_eq!(engine.pass().await.unwrap(), Pass::default());
    }
    assert_eq!(engine.clock_doubt().map(|doubt| doubt.as_str()), Some("jumped"));
    assert_eq!((office.caught.count(), office.reminders().await.len(), office.notices().await), (0, 0, 0));
    // Two hours have passed.
    office.clock.jump(local("2026-11-23T09:00"));
    let pass = office.live(&engine, local("2026-11-23T10:00")).await;
    assert_eq!((engine.clock_doubt(), pass.planned), (None, 6), "{pass:?}");
    office.live(&engine, local("2026-12-04T10:00")).await;
    let reminders = office.reminders().await;
    // Handler, contact, head, monitor join one after the other; every rung has its six tasks, each once.
    let wanted = [
        ("truoc-1 sent", 6),
        ("den-han sent", 12),
        ("qua-han-1 sent", 18),
        ("qua-han-2 sent", 18),
        ("qua-han-3 sent", 24),
    ];
    assert_eq!(reminders, wanted.into_iter().map(|(words, n)| (words.to_owned(), n)).collect());
    assert_eq!(office.notices().await, 12);
}

#[tokio::test]
async fn a_jump_that_an_operator_or_a_time_server_vouches_for_is_as_if_it_had_been_stopped() {
    for by_server in [true, false] {
        let (office, engine) = at_work().await;
        // An earlier word is on another clock.
        office.store.confirm_clock(office.clock.now(), "chi.nguyen", "sớm quá").await.unwrap();
        office.clock.synchronize();
        office.clock.set(local("2026-11-23T07:01"));
        office.clock.jump(local("2026-12-03T09:00"));
        assert_eq!(engine.pass().await.unwrap(), Pass::default());
        if by_server {
            office.clock.synchronize();
        } else {
            office.store.confirm_clock(office.clock.now(), "chi.nguyen", "pin CMOS đã thay").await.unwrap();
        }
        let pass = engine.pass().await.unwrap();
        assert_eq!(engine.clock_doubt(), None);
        // The most severe of what was missed, once for each of four slots; the other rungs stay on record.
        let reminders = office.reminders().await;
        assert_eq!((reminders["qua-han-3 sent"], pass.filed), (24, 12), "{by_server} {reminders:?}");
        assert!(
            reminders.keys().all(|words| words == "qua-han-3 sent" || words.ends_with(" superseded")),
            "{reminders:?}"
        );
        let sent = office.caught.count();
        office.live(&engine, local("2026-12-03T12:00")).await;
        assert_eq!(office.caught.count(), sent);
    }
}

#[tokio::test]
async fn a_suspended_machine_is_no_jump() {
    let (office, engine) = at_work().await;
    // Both clocks move: it slept for ten days.
    office.clock.set(local("2026-12-03T09:00"));
    let pass = engine.pass().await.unwrap();
    assert_eq!((engine.clock_doubt(), pass.filed, office.reminders().await["qua-han-3 sent"]), (None, 12, 24));
}

#[tokio::test]
async fn set_back_by_two_hours_nothing_is_repeated_and_it_waits_until_it_has_caught_up_or_is_confirmed() {
    for confirmed in [false, true] {
        let (office, engine) = at_work().await;
        office.live(&engine, local("2026-11-23T09:00")).await;
        let sent = office.caught.count();
        assert!(sent > 0);
        office.clock.jump(local("2026-11-23T07:00"));
        // Something new comes meanwhile; it is due at once.
        office.import(office.clock.now(), &tasks(7, "25/11/2026")).await;
        assert_eq!(engine.pass().await.unwrap(), Pass::default());
        assert_eq!(engine.clock_doubt().map(|doubt| doubt.as_str()), Some("behind"));
        if confirmed {
            let seen = office.store.confirm_clock(office.clock.now(), "chi.nguyen", "giờ cũ sai").await.unwrap();
            assert!(seen.worked_off.unwrap() > seen.at);
            engine.pass().await.unwrap();
            assert_eq!(engine.clock_doubt(), None);
            assert!(office.store.mark(LAST_PASS).await.unwrap().unwrap() <= office.clock.now().as_millisecond());
            // Eight o'clock comes a second time.
            office.live(&engine, local("2026-11-23T08:30")).await;
        } else {
            office.clock.set(local("2026-11-23T08:50"));
            assert_eq!(engine.pass().await.unwrap(), Pass::default());
            office.live(&engine, local("2026-11-23T09:01")).await;
        }
        let reminders = office.reminders().await;
        assert_eq!(reminders["truoc-1 sent"], 7, "{confirmed} {reminders:?}");
        // The seventh's letter, and no other.
        assert_eq!(office.caught.count(), sent + 1, "{confirmed}");
    }
}

#[tokio::test]
async fn a_first_start_in_1970_or_2036_plans_nothing_accepts_nothing_and_the_right_day_finds_all_as_it_was() {
    for wrong in ["1970-01-01T07:00", "2036-02-07T13:28", "2038-01-19T10:14"] {
        let office = Office::new(local("2026-11-20T20:00"), &tasks(6, "25/11/2026")).await;
        office.clock.jump(local(wrong));
        let engine = office.start().await;
        for _ in 0..3 {
            assert_eq!(engine.pass().await.unwrap(), Pass::default(), "{wrong}");
        }
        // A reload meanwhile accepts nothing either.
        engine.take_rules(office.policy()).await.unwrap();
        assert_eq!(engine.clock_doubt().map(|doubt| doubt.as_str()), Some("outside_calendar"));
        assert_eq!(office.store.mark(LAST_PASS).await.unwrap(), None);
        assert!(office.store.steps_known().await.unwrap().0.is_empty(), "{wrong}");
        assert_eq!((office.caught.count(), office.reminders().await.len()), (0, 0));
        office.clock.jump(local("2026-11-23T07:00"));
        let pass = office.live(&engine, local("2026-11-23T08:00")).await;
        assert_eq!((pass.planned, office.reminders().await["truoc-1 sent"]), (6, 6), "{wrong}");
    }
}

#[tokio::test]
async fn after_a_run_in_the_wrong_month_a_confirmation_takes_back_what_it_put_ahead() {
    let office = Office::new(local("2026-11-20T20:00"), &tasks(6, "25/12/2026")).await;
    // Started by a clock that is a month ahead: as if it had been stopped, so it looks; a letter goes out.
    office.clock.jump(local("2026-12-24T09:00"));
    let engine = office.start().await;
    engine.pass().await.unwrap();
    let early = office.caught.count();
    drop(engine);
    office.clock.jump(local("2026-11-23T09:00"));
    let engine = office.start().await;
    assert_eq!(engine.pass().await.unwrap(), Pass::default());
    drop(engine);
    // Confirmed while it is stopped.
    office.store.confirm_clock(office.clock.now(), "chi.nguyen", "").await.unwrap();
    let engine = office.start().await;
    let pass = engine.pass().await.unwrap();
    assert_eq!((engine.clock_doubt(), pass.looked_at), (None, 6));
    office.live(&engine, local("2026-12-25T09:00")).await;
    let reminders = office.reminders().await;
    assert_eq!((reminders["truoc-1 sent"], reminders["den-han sent"]), (6, 12), "{early} {reminders:?}");
}

#[tokio::test]
async fn behind_the_mark_nothing_is_planned_or_sent_until_the_clock_has_caught_up() {
    let folder = tempfile::tempdir().unwrap();
    Settings::embedded(folder.path()).unwrap();
    let (office, _) = load_all(&folder.path().join("dondoc.toml"), []).unwrap();
    let policy = policy_of(office).unwrap();
    let settings = policy.settings.clone();
    let store = Arc::new(SqliteStore::open(&settings.store_url).await.unwrap());
    let entered: Timestamp = "2026-11-20T01:30:00Z".parse().unwrap();
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample");
    import_directory(&sample.join("directory.csv"), &*store, &settings, entered, false).await.unwrap();
    let caller = Caller { estimate: &mut NoEstimate, confirm: &mut |_| true, progress: &mut |_, _, _| {} };
    let options = Options { yes: true, dry_run: false, all_unclassified: false };
    import_tasks(&sample.join("tasks.csv"), &*store, &settings, entered, options, caller).await.unwrap();

    let worked_off = entered + 2.hours();
    store.set_mark(LAST_PASS, worked_off.as_millisecond()).await.unwrap();
    let clock = Clock::manual(entered + 1.minute());
    let maildir: Arc<dyn Channel> = Arc::new(MaildirChannel::new(folder.path().join("mail")));
    let channels = HashMap::from([(ChannelKind::Email, maildir)]);
    let engine = Engine::new(store.clone(), clock.clone(), policy, channels, Arc::new(|_| ()));
    engine.start().await.unwrap();
    assert_eq!(engine.pass().await.unwrap(), Pass::default());
    assert_eq!(store.mark(LAST_PASS).await.unwrap(), Some(worked_off.as_millisecond()), "the mark is never lowered");

    clock.set(worked_off + 1.minute());
    let pass = engine.pass().await.unwrap();
    assert!(pass.looked_at > 100 && pass.sent > 50 && pass.filed > 5, "{pass:?}");
}
