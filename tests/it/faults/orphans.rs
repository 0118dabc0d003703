//! A round of deliveries that panics as a whole: what it had leased is taken up again by the running process, and what
//! only takes long is not.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    engine::{Engine, Event},
    planning::rules::ChannelKind,
    store::ledger::OutboxStore,
};
use futures_util::FutureExt;
use jiff::ToSpan;
use tokio::sync::Notify;

use crate::clock::office::{Office, local, tasks};

/// Three letters, due on the morning of 01/02/2027.
async fn office() -> Office {
    let office = Office::new(local("2027-01-29T10:00"), &tasks(6, "02/02/2027")).await;
    office.clock.set(local("2027-02-01T08:01"));
    office
}

async fn count(office: &Office, states: &[&str]) -> usize {
    let mut found = 0;
    for state in states {
        found += office.store.outbox(Some(state)).await.unwrap().len();
    }
    found
}

const IN_WORK: [&str; 2] = ["leased", "frozen"];

/// While one is under way the others wait, claimed.
struct OneByOne(Arc<dyn Channel>);

#[async_trait]
impl Channel for OneByOne {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        self.0.deliver(parcel, gate).await
    }

    fn parallel(&self) -> usize {
        1
    }

    async fn rest(&self) {}
}

#[tokio::test]
async fn what_a_round_that_panicked_had_leased_is_taken_up_when_its_leases_run_out() {
    let office = office().await;
    let relay: Arc<dyn Channel> = Arc::new(OneByOne(office.caught.clone()));
    let first = AtomicBool::new(true);
    let observer = Arc::new(move |event: &Event| {
        assert!(!matches!(event, Event::Sent { .. }) || !first.swap(false, Ordering::SeqCst), "whoever watches fails");
    });
    let channels = HashMap::from([(ChannelKind::Email, relay)]);
    let engine = Engine::new(office.store.clone(), office.clock.clone(), office.policy(), channels, observer);
    engine.start().await.unwrap();
    AssertUnwindSafe(engine.pass()).catch_unwind().await.expect_err("the round panics");
    office.clock.set(office.clock.now() + 20.minutes());
    engine.pass().await.unwrap();
    let (left, sent) = (count(&office, &IN_WORK).await, count(&office, &["sent"]).await);
    assert!(left > 0 && left + sent == 3, "{left} leases still run, {sent} sent");

    office.clock.set(office.clock.now() + 20.minutes());
    engine.pass().await.unwrap();
    assert_eq!((count(&office, &IN_WORK).await, count(&office, &["sent"]).await), (0, sent + left));
}

/// A relay that thinks until it is told to go on.
struct Thinks {
    relay: Arc<dyn Channel>,
    begun: Notify,
    on: Notify,
}

#[async_trait]
impl Channel for Thinks {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        self.begun.notify_one();
        self.on.notified().await;
        self.on.notify_one();
        self.relay.deliver(parcel, gate).await
    }

    fn parallel(&self) -> usize {
        self.relay.parallel()
    }

    async fn rest(&self) {}
}

#[tokio::test]
async fn a_round_that_is_still_at_work_keeps_its_leases_however_late_it_is() {
    let office = office().await;
    let thinks = Arc::new(Thinks { relay: office.caught.clone(), begun: Notify::new(), on: Notify::new() });
    let relay: Arc<dyn Channel> = thinks.clone();
    let channels = HashMap::from([(ChannelKind::Email, relay)]);
    let engine = Engine::new(office.store.clone(), office.clock.clone(), office.policy(), channels, Arc::new(|_| ()));
    engine.start().await.unwrap();
    let mut working = std::pin::pin!(engine.pass());
    tokio::select! {
        ended = &mut working => panic!("it ended by itself: {ended:?}"),
        () = thinks.begun.notified() => {}
    }
    let held = count(&office, &IN_WORK).await;
    assert!(held > 0);
    // The machine was suspended, say: by the clock every lease is over.
    office.clock.set(office.clock.now() + 40.minutes());
    engine.pass().await.unwrap();
    assert_eq!(count(&office, &IN_WORK).await, held, "its work goes on");
    thinks.on.notify_one();
    working.await.unwrap();
    assert_eq!((count(&office, &IN_WORK).await, office.caught.count()), (0, 0), "its gate knows that it is too late");
    office.clock.set(office.clock.now() + 1.minutes());
    engine.pass().await.unwrap();
    assert_eq!(office.caught.count(), held);
}
