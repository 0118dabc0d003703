//! Daily lists: one a day and address, sent like any message, and what stands on them.

use dondoc::{
    planning::rules::{Audience, ChannelKind},
    store::{
        acts::Act,
        daily::{ListAudience, NewDailyList},
        ledger::{Aside, Claimed, Freeze, GateAnswer},
    },
};
use jiff::{Timestamp, civil::Date};

use super::{
    Database,
    office::{BYTES, Office, at, key, today},
};

fn list(day: Date, address: &str, entries: u64) -> NewDailyList {
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
