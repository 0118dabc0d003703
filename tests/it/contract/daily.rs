//! Daily lists: one a day and address, sent like any message, and what stands on them.

use dondoc::{
    planning::rules::{Audience, ChannelKind},
    store::{
        acts::Act,
        daily::{ListAudience, NewDailyList},
        ledger::{Aside, Claimed, Freeze, GateAnswer, Next},
    },
};
use jiff::{Timestamp, civil::Date};

use super::{
    Database,
    letters::whole,
    office::{BYTES, Office, at, key, today},
};

pub(super) fn list(day: Date, address: &str, entries: u64) -> NewDailyList {
    NewDailyList {
        day,
        address: address.into(),
        audience: ListAudience::Operator,
        recipient: "{}".into(),
        entries,
        digest: "d1".into(),
        hours: "normal".into(),
        expires_at: at(600),
    }
}

async fn made<D: Database>(office: &Office<D>) -> Claimed {
    assert_eq!(office.store().save_lists(at(0), &[list(today(), "op@x.example", 2)]).await.unwrap(), 1);
    let id = office.store().outbox(Some("pending")).await.unwrap().pop().unwrap().id;
    office.claim(0, id).await
}

fn frozen(claimed: &Claimed, now: Timestamp) -> Freeze {
    Freeze {
        message: claimed.id,
        token: claimed.token.clone(),
        bytes: BYTES.to_vec(),
        message_id: "<list@x.example>".into(),
        dated_at: now,
        rows: Vec::new(),
        // A directory that changed meanwhile is no reason not to tell.
        directory_revision: -1,
    }
}

pub async fn a_day_and_an_address_have_one_list_however_often_it_is_made<D: Database>() {
    let office = Office::<D>::new().await;
    let store = office.store();
    let both = [list(today(), "op@x.example", 2), list(today(), "m@x.example", 1)];
    assert_eq!(store.save_lists(at(0), &both).await.unwrap(), 2);
    assert_eq!(store.save_lists(at(5), &both).await.unwrap(), 0);
    let tomorrow = today().tomorrow().unwrap();
    assert_eq!(store.save_lists(at(5), &[list(tomorrow, "op@x.example", 0)]).await.unwrap(), 1);
    assert_eq!(store.outbox(Some("pending")).await.unwrap().len(), 3);
    // Told of somebody last: only the one that was not told since that all is well.
    let open = store.open_lists().await.unwrap();
    assert_eq!(open.iter().map(|open| open.address.as_str()).collect::<Vec<_>>(), ["m@x.example"]);
}

pub async fn a_list_passes_its_gate_until_its_day_is_over_and_is_told_by_its_message<D: Database>() {
    for (minute, wanted) in [(599, GateAnswer::Go), (600, GateAnswer::Changed)] {
        let office = Office::<D>::new().await;
        let claimed = made(&office).await;
        let carried = claimed.list.clone().unwrap();
        assert_eq!((carried.day, carried.entries, claimed.rows.len()), (today(), 2, 0));
        // The lease of this claim is short: claimed anew, as a sender would.
        office.rescue(minute - 1).await;
        let claimed = office.claim(minute - 1, claimed.id).await;
        let answers = office.store().freeze(at(minute), vec![frozen(&claimed, at(minute))]).await.unwrap();
        assert_eq!(answers, [wanted]);
        if wanted == GateAnswer::Go {
            office.accept(minute, &claimed).await;
            assert_eq!(office.fate(claimed.id).await, "sent");
            let found = office.store().carried_by("<list@x.example>").await.unwrap().unwrap();
            assert_eq!((found.id, found.list, found.tasks.len()), (claimed.id, Some(carried), 0));
        }
    }
}

pub async fn whoever_is_unreachable_stands_on_the_list_while_the_duty_stands<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let reminder = office.remind_as(task, key("truoc-5")).await;
    assert_eq!(office.store().unreached().await.unwrap(), []);
    office.aside(Aside::Nobody { reminder, why: "nobody_reachable", quiet: false }).await;
    let unreached = office.store().unreached().await.unwrap();
    let [entry] = &unreached[..] else { panic!("{unreached:?}") };
    assert_eq!(
        (&entry.slot.audience, entry.slot.channel, entry.slot.task),
        (&Audience::Handler, ChannelKind::Email, task)
    );
    assert_eq!((entry.code.as_str(), entry.slot.why.as_str(), entry.since), ("NV26-000001", "nobody_reachable", at(0)));
    office.act_at(1, task, Act::Done { on: None }).await;
    assert_eq!(office.store().unreached().await.unwrap(), []);
}

pub async fn a_list_neither_keeps_nor_tells_what_became_a_secret_meanwhile<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let addresses = ["left@x.example", "again@x.example", "in-hand@x.example", "lost@x.example", "claimed@x.example"];
    let lists: Vec<_> = addresses.iter().map(|address| list(today(), address, 2)).collect();
    assert_eq!(office.store().save_lists(at(0), &lists).await.unwrap(), 5);
    let made: Vec<i64> = office.store().outbox(Some("pending")).await.unwrap().iter().map(|row| row.id).collect();
    let [left, again, in_hand, lost, claimed] = made[..] else { panic!("{made:?}") };
    let sent = office.hand_over(0, left).await;
    office.accept(0, &sent).await;
    let repeated = office.hand_over(0, again).await;
    office.answer(0, &repeated, "unknown", Next::Repeat { at: at(4), spend: true }).await;
    let (in_hand, lost) = (office.hand_over(0, in_hand).await, office.hand_over(0, lost).await);
    let before = office.claim(0, claimed).await;
    office.classify(task).await;

    // What left, or waits to be repeated, is empty at once; what is being handed over is not, to its end.
    assert_eq!(office.letter(left).await.as_deref(), Some(""));
    assert_eq!(office.letter(again).await.as_deref(), Some(""));
    assert_eq!([office.letter(in_hand.id).await, office.letter(lost.id).await], [whole(), whole()]);
    office.accept(4, &in_hand).await;
    assert_eq!(
        (office.fate(in_hand.id).await.as_str(), office.letter(in_hand.id).await.as_deref()),
        ("sent", Some(""))
    );
    office.answer(4, &lost, "unknown", Next::Unknown).await;
    assert_eq!(office.letter(lost.id).await.as_deref(), Some(""));

    // What was composed before does not pass its gate; claimed anew, it is told as it stands then.
    assert_eq!(office.freeze(&before, 4).await, GateAnswer::Changed);
    office.answer(4, &before, "released", Next::Retry { at: at(4), spend: false }).await;
    let anew = office.claim(4, claimed).await;
    assert_eq!(anew.list.as_ref().map(|list| list.digest.as_str()), Some("d1"));
    assert_eq!(office.freeze(&anew, 4).await, GateAnswer::Go);
    // One whose answer was lost is not the list that was sent any more, and is not repeated.
    let repeated = office.claim(4, again).await;
    assert_ne!(repeated.list.as_ref().map(|list| list.digest.as_str()), Some("d1"));
    assert_eq!(office.freeze(&repeated, 4).await, GateAnswer::Changed);
}

pub async fn a_list_that_was_in_hand_when_something_became_a_secret_is_empty_however_it_ends<D: Database>() {
    // Taken up after a crash, it waits with what it said, until it ends.
    let waits = async || {
        let office = Office::<D>::new().await;
        let task = office.task().await;
        let claimed = made(&office).await;
        assert_eq!(office.freeze(&claimed, 0).await, GateAnswer::Go);
        office.classify(task).await;
        office.rescue(4).await;
        assert_eq!((office.fate(claimed.id).await.as_str(), office.letter(claimed.id).await), ("pending", whole()));
        (office, claimed.id)
    };
    let (office, id) = waits().await;
    office.store().expire(at(700), &[id]).await.unwrap();
    assert_eq!((office.fate(id).await.as_str(), office.letter(id).await.as_deref()), ("unknown expired", Some("")));
    let (office, id) = waits().await;
    assert!(office.store().discard(at(5), id, "x").await.unwrap());
    assert_eq!((office.fate(id).await.as_str(), office.letter(id).await.as_deref()), ("suppressed x", Some("")));
}
