//! A clock that stands before what was already worked off: nothing is planned, filed or sent until it is right.

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
    store::{ledger::PlanningStore, sqlite::SqliteStore},
};
use jiff::{Timestamp, ToSpan};

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
