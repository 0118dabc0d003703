//! Which copy sends: identity, generation, adoption.

use dondoc::{
    planning::rules::ChannelKind,
    store::{
        instance::{Adoption, COPY_UNTIL, Identity},
        ledger::Next,
    },
};
use jiff::Timestamp;

use super::{
    Database,
    office::{BYTES, Office, at, due, key},
};

pub(super) fn identity(id: &str) -> Identity {
    Identity { id: id.into(), machine: format!("machine of {id}"), place: format!("/{id}/dondoc.db") }
}

pub(super) fn adoption(nothing_before: Option<Timestamp>) -> Adoption {
    Adoption {
        identity: identity("b"),
        at_least: 40,
        by: "an operator".into(),
        why: "the other one burnt".into(),
        held: "older".into(),
        nothing_before,
    }
}

pub async fn the_generation_rises_and_is_kept<D: Database>() {
    let mut office = Office::<D>::new().await;
    assert_eq!(office.store().raise_generation(at(0)).await.unwrap(), None, "not before there is an identity");
    assert_eq!(office.store().found(at(0), &identity("a")).await.unwrap().generation, 0);
    for n in 1..=3 {
        let row = office.store().raise_generation(at(n)).await.unwrap().unwrap();
        assert_eq!((row.generation, row.raised_at), (n, Some(at(n))));
    }
    let before = office.store().instance().await.unwrap();
    office.database.reopen().await;
    assert_eq!(office.store().instance().await.unwrap(), before);
    assert_eq!(before.unwrap().place, "/a/dondoc.db");
}

pub async fn an_identity_is_given_once_something_was_sent_under_it<D: Database>() {
    let office = Office::<D>::new().await;
    assert_eq!(office.store().instance().await.unwrap(), None);
    office.store().found(at(0), &identity("a")).await.unwrap();
    // Nothing was sent yet: wherever it is found next is its place.
    assert_eq!(office.store().found(at(1), &identity("b")).await.unwrap().machine, "machine of b");
    office.store().raise_generation(at(2)).await.unwrap();
    assert_eq!(office.store().found(at(3), &identity("c")).await.unwrap().id, "b");
}

pub async fn adopting_sets_aside_what_another_copy_may_have_sent_and_nothing_else<D: Database>() {
    let office = Office::<D>::new().await;
    office.store().found(at(0), &identity("a")).await.unwrap();
    let (pending_task, pending) = office.waiting().await;
    let (_, leased) = office.waiting().await;
    let (frozen_task, frozen) = office.waiting().await;
    let (_, sent) = office.waiting().await;
    let (_, later) = office.waiting().await;
    office.claim(0, leased).await;
    office.hand_over(0, frozen).await;
    let claimed = office.hand_over(0, sent).await;
    office.accept(0, &claimed).await;
    let claimed = office.claim(0, later).await;
    office.answer(1, &claimed, "transient", Next::Retry { at: at(900), spend: true }).await;
    let planned = office.task().await;
    let reminder = office.remind(planned, "truoc-5").await;

    let (reminders, messages) = office.store().doubtful(at(60)).await.unwrap();
    let adopted = office.store().adopt(at(60), &adoption(Some(at(60)))).await.unwrap();
    assert_eq!((adopted.reminders, adopted.messages), (reminders, messages), "as it was foretold");
    assert_eq!((adopted.generation, adopted.reminders, adopted.messages), (41, 1, 3));
    assert_eq!(office.fate(pending).await, "dead copy");
    assert_eq!(office.fate(leased).await, "dead copy");
    assert_eq!(office.fate(frozen).await, "unknown copy");
    assert_eq!(office.fate(sent).await, "sent");
    assert_eq!(office.fate(later).await, "pending", "the other copy could not send it before its moment");
    assert_eq!(office.told(pending_task).await, ["truoc-5: unknown copy"]);
    assert_eq!(office.told(frozen_task).await, ["truoc-5: unknown copy"]);
    assert_eq!(office.told(planned).await, ["truoc-5: suppressed copy"]);
    assert!(office.store().ready_reminders(at(999)).await.unwrap().iter().all(|row| row.id != reminder));

    let row = office.store().instance().await.unwrap().unwrap();
    assert_eq!((row.id.as_str(), row.generation), ("b", 41));
    let on_record = office.store().adoptions().await.unwrap();
    assert_eq!(on_record.len(), 1);
    assert_eq!((on_record[0].why.as_str(), on_record[0].nothing_before), ("the other one burnt", Some(at(60))));

    // A person may have each sent after all: anew where no bytes are on record, else the same ones.
    for message in [pending, frozen] {
        assert!(office.store().retry(at(61), message, "đã hỏi").await.unwrap());
    }
    let (anew, same) = (office.claim(62, pending).await, office.claim(62, frozen).await);
    assert_eq!(anew.frozen.as_ref(), None);
    assert_eq!(same.frozen.as_ref().map(|frozen| frozen.bytes.as_slice()), Some(BYTES));
    assert_eq!(office.told(pending_task).await, ["truoc-5: in_message"]);
}

pub async fn the_last_state_is_adopted_without_setting_anything_aside<D: Database>() {
    let office = Office::<D>::new().await;
    office.store().found(at(0), &identity("a")).await.unwrap();
    let (_, pending) = office.waiting().await;
    let adopted = office.store().adopt(at(60), &adoption(None)).await.unwrap();
    assert_eq!((adopted.reminders, adopted.messages), (0, 0));
    assert_eq!(office.store().pending(ChannelKind::Email, at(60), 9).await.unwrap()[0].id, pending);
    assert_eq!(office.store().mark(COPY_UNTIL).await.unwrap(), None);
}

pub async fn what_the_first_scan_after_an_adoption_plans_late_is_set_aside<D: Database>() {
    let office = Office::<D>::new().await;
    office.store().found(at(0), &identity("a")).await.unwrap();
    let (early, late, new) = (office.task().await, office.task().await, office.task().await);
    office.store().adopt(at(600), &adoption(Some(at(600)))).await.unwrap();
    office.keep(601, early, due(key("truoc-5"), 300)).await;
    office.keep(601, late, due(key("truoc-5"), 600)).await;
    assert_eq!(office.told(early).await, ["truoc-5: suppressed copy"], "the other copy may have sent it");
    assert_eq!(office.told(late).await, ["truoc-5: planned"], "it could not have sent this");
    office.store().clear_mark(COPY_UNTIL).await.unwrap();
    office.keep(602, new, due(key("truoc-5"), 300)).await;
    assert_eq!(office.told(new).await, ["truoc-5: planned"], "after the first scan nothing more");
}

pub async fn what_waits_for_a_moment_after_the_other_copy_s_end_is_sent_whatever_the_first_scan_plans<D: Database>() {
    let office = Office::<D>::new().await;
    office.store().found(at(0), &identity("a")).await.unwrap();
    let (put_off, early) = (office.task().await, office.task().await);
    // Due long ago, and put off beyond the adoption: its hours, or a daily cap.
    let mut plan = due(key("truoc-5"), 10);
    plan.due[0].send_at = at(900);
    office.keep(20, put_off, plan).await;
    assert_eq!(office.store().doubtful(at(600)).await.unwrap(), (0, 0));
    let adopted = office.store().adopt(at(600), &adoption(Some(at(600)))).await.unwrap();
    assert_eq!(adopted.reminders, 0);
    office.keep(601, early, due(key("truoc-5"), 300)).await;
    assert_eq!(office.told(early).await, ["truoc-5: suppressed copy"], "the other copy may have sent it");
    assert_eq!(office.told(put_off).await, ["truoc-5: planned"], "it was no more by then");
}
