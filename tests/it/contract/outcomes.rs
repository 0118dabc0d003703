//! What becomes of a message after an attempt, and of what it carried.

use dondoc::{
    planning::{
        ledger::{ReminderKey, ReminderState},
        rules::{Audience, ChannelKind},
        task::{ReminderId, TaskId},
    },
    store::{
        acts::Act,
        ledger::{Aside, GateAnswer, NewMessage, Next, Recorded},
    },
};

use super::{
    Database,
    office::{BYTES, Office, at, key, message, today},
};

pub async fn an_acceptance_is_recorded_by_its_own_token_whatever_the_lease<D: Database>() {
    let office = Office::<D>::new().await;
    // The process stood still past its lease, and another one took the message over.
    let (task, message) = office.waiting().await;
    let first = office.hand_over(0, message).await;
    assert_eq!(office.rescue(60).await.unanswered, 1);
    let second = office.claim(60, message).await;
    office.accept(61, &first).await;
    assert_eq!(office.fate(message).await, "sent");
    assert_eq!(office.told(task).await, ["truoc-5: sent"]);
    // The other one does not send it again, and cannot make it anything else.
    assert_ne!(office.freeze(&second, 62).await, GateAnswer::Go);
    office.answer(62, &second, "permanent", Next::Dead { fallback: false }).await;
    assert_eq!(office.fate(message).await, "sent");
    assert_eq!(office.told(task).await, ["truoc-5: sent"]);
}

pub async fn an_acceptance_wins_over_what_was_decided_without_it<D: Database>() {
    for next in [
        Next::Dead { fallback: false },
        Next::Unknown,
        Next::Recompose,
        Next::Repeat { at: at(90), spend: true },
        Next::Sent { day: today() },
    ] {
        let office = Office::<D>::new().await;
        let (task, message) = office.waiting().await;
        let first = office.hand_over(0, message).await;
        office.rescue(60).await;
        let second = office.claim(60, message).await;
        if matches!(next, Next::Sent { .. }) {
            assert_eq!(office.freeze(&second, 61).await, GateAnswer::Go);
        }
        office.answer(61, &second, "other", next.clone()).await;
        office.accept(62, &first).await;
        assert_eq!(office.fate(message).await, "sent", "{next:?}");
        assert_eq!(office.told(task).await, ["truoc-5: sent"], "{next:?}");
        assert!(office.store().ready_reminders(at(99)).await.unwrap().is_empty(), "{next:?}");
        assert_eq!(office.store().sent_on(today()).await.unwrap()[0].2, 1, "{next:?}");
    }
}

pub async fn an_acceptance_recorded_twice_counts_once<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    office.accept(1, &claimed).await;
    office.accept(2, &claimed).await;
    let count = || async { office.store().sent_on(today()).await.unwrap() };
    assert_eq!(count().await, [(ChannelKind::Email, "a@x.example".to_owned(), 1)]);
    let (_, another) = office.waiting().await;
    let claimed = office.hand_over(3, another).await;
    office.accept(3, &claimed).await;
    assert_eq!(count().await, [(ChannelKind::Email, "a@x.example".to_owned(), 2)]);
    assert!(office.store().sent_on(today().tomorrow().unwrap()).await.unwrap().is_empty());
}

pub async fn an_outcome_under_a_foreign_token_changes_nothing<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let (_, other) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    let mut foreign = office.claim(0, other).await;
    foreign.id = message;
    let before = office.message(message).await;
    let counted = office.store().sent_on(today()).await.unwrap();
    for next in [
        Next::Sent { day: today() },
        Next::Retry { at: at(1), spend: true },
        Next::Repeat { at: at(1), spend: true },
        Next::Recompose,
        Next::Unknown,
        Next::Dead { fallback: true },
    ] {
        office.answer(1, &foreign, "other", next.clone()).await;
        assert_eq!(office.message(message).await, before, "{next:?}");
        assert_eq!(office.told(task).await, ["truoc-5: in_message"], "{next:?}");
    }
    assert_eq!(office.store().sent_on(today()).await.unwrap(), counted);
    office.accept(2, &claimed).await;
    assert_eq!(office.fate(message).await, "sent");
}

pub async fn a_refusal_for_now_is_composed_anew_and_a_lost_answer_keeps_its_bytes<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let first = office.hand_over(0, message).await;
    office.answer(1, &first, "transient", Next::Retry { at: at(6), spend: true }).await;
    assert_eq!(office.store().message_bytes(message).await.unwrap(), None);
    assert!(!office.is_pending(5, message).await);
    let second = office.claim(6, message).await;
    assert_eq!((second.frozen.as_ref(), second.attempts, second.n), (None, 1, 2));
    let sent = office.freezing(&second, 6).await;
    assert_eq!(office.freeze(&second, 6).await, GateAnswer::Go);

    office.answer(7, &second, "unknown", Next::Repeat { at: at(12), spend: true }).await;
    assert!(!office.is_pending(11, message).await);
    assert!(office.store().pending(ChannelKind::Email, at(12), 9).await.unwrap()[0].frozen);
    let third = office.claim(12, message).await;
    let frozen = third.frozen.clone().unwrap();
    assert_eq!((frozen.bytes.as_slice(), &frozen.message_id), (BYTES, &sent.message_id));
    // Met by a site that is not there, before a byte left: the first copy may still have arrived.
    office.answer(13, &third, "released", Next::Retry { at: at(13), spend: false }).await;
    assert_eq!(office.claim(13, message).await.frozen, Some(frozen));
}

pub async fn what_the_gate_refused_is_bundled_anew_without_what_is_over<D: Database>() {
    let office = Office::<D>::new().await;
    let (done, moved, open) = (office.task().await, office.task().await, office.task().await);
    let mut reminders = Vec::new();
    for task in [done, moved, open] {
        reminders.push(office.remind(task, "truoc-5").await);
    }
    let id = office.bundle(&reminders).await;
    let claimed = office.claim(0, id).await;
    office.act(done, Act::Done { on: None }).await;
    let extension = Act::Extend {
        clock: dondoc::planning::task::Clock::Completion,
        date: jiff::civil::date(2026, 12, 31),
        time: None,
        decided_on: None,
        approver: String::new(),
    };
    office.act(moved, extension).await;
    assert_eq!(office.freeze(&claimed, 2).await, GateAnswer::Changed);
    office.answer(2, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(id).await, "suppressed changed");
    assert_eq!(office.told(open).await, ["truoc-5: planned"]);
    // The reason is the task's own, as if the reminder had still been waiting when it changed.
    assert_eq!(office.told(done).await, ["truoc-5: suppressed completed"]);
    assert_eq!(office.told(moved).await, ["truoc-5: superseded deadline_moved"]);
    let ready = office.store().ready_reminders(at(2)).await.unwrap();
    assert_eq!(ready.iter().map(|row| (row.id, row.earlier)).collect::<Vec<_>>(), [(reminders[2], None)]);
}

pub async fn after_a_lost_answer_the_message_stays_unknown_and_the_new_one_names_it<D: Database>() {
    let office = Office::<D>::new().await;
    let (done, open) = (office.task().await, office.task().await);
    let (a, b) = (office.remind(done, "truoc-5").await, office.remind(open, "truoc-5").await);
    let id = office.bundle(&[a, b]).await;
    let claimed = office.hand_over(0, id).await;
    office.answer(1, &claimed, "unknown", Next::Repeat { at: at(5), spend: true }).await;
    office.act(done, Act::Done { on: None }).await;
    // What may have arrived is not silenced: it is for its sender to find out.
    assert_eq!(office.told(done).await, ["truoc-5: in_message"]);

    let again = office.claim(5, id).await;
    assert_eq!(office.freeze(&again, 5).await, GateAnswer::Changed);
    office.answer(5, &again, "released", Next::Recompose).await;
    assert_eq!(office.fate(id).await, "unknown changed");
    assert_eq!(office.store().message_bytes(id).await.unwrap().as_deref(), Some(BYTES));
    assert_eq!(office.told(done).await, ["truoc-5: unknown answer_lost"]);
    assert_eq!(office.told(open).await, ["truoc-5: planned"]);

    let ready = office.store().ready_reminders(at(5)).await.unwrap();
    assert_eq!(ready.iter().map(|row| (row.id, row.earlier)).collect::<Vec<_>>(), [(b, Some(id))]);
    let new = office.bundle_as(NewMessage { earlier: Some(id), ..message(&[b]) }).await;
    let claimed = office.claim(6, new).await;
    assert_eq!((claimed.earlier, claimed.earlier_at, claimed.frozen), (Some(id), Some(at(0)), None));
}

pub async fn a_lost_answer_that_is_not_repeated_ends_unknown<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    office.answer(1, &claimed, "unknown", Next::Unknown).await;
    assert_eq!(office.fate(message).await, "unknown answer_lost");
    assert_eq!(office.told(task).await, ["truoc-5: unknown answer_lost"]);
    assert!(!office.is_pending(999, message).await);
    assert_eq!(office.store().message_bytes(message).await.unwrap().as_deref(), Some(BYTES));
}

pub async fn a_refused_recipient_leads_to_the_agency_s_box_under_its_own_key<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, id) = office.waiting().await;
    let claimed = office.hand_over(0, id).await;
    office.answer(1, &claimed, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.fate(id).await, "dead refused");
    assert_eq!(office.told(task).await, ["truoc-5: planned", "truoc-5: dead refused"]);
    let to_box = ReminderKey { audience: Audience::AgencyBox, ..key("truoc-5") };
    let entry = office.entry(task, &to_box).await;
    assert_eq!((entry.state, entry.due_at), (ReminderState::Planned, at(0)));
    let listed = office.store().unreachable().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].1.as_str(), listed[0].3.as_str()), ("handler", "refused"));
    let told = office.store().unreached().await.unwrap();
    assert_eq!((told.len(), &told[0].address), (1, &claimed.address), "the daily list says which address refused");

    // The box refuses too: the monitor; then the box of the monitor's own office; there is nothing after it.
    let mut entry = entry;
    for (address, after) in [
        ("hop@x.example", Some(Audience::Monitor)),
        ("theo-doi@x.example", Some(Audience::BoxOf(Box::new(Audience::Monitor)))),
        ("van-phong@x.example", None),
    ] {
        let id = office.bundle_as(NewMessage { address: address.into(), ..message(&[entry.id]) }).await;
        let claimed = office.hand_over(2, id).await;
        office.answer(2, &claimed, "recipient", Next::Dead { fallback: true }).await;
        let Some(audience) = after else { break };
        entry = office.entry(task, &ReminderKey { audience, ..key("truoc-5") }).await;
        assert_eq!(entry.state, ReminderState::Planned);
    }
    assert!(office.told(task).await.iter().all(|told| told == "truoc-5: dead refused"));
    assert!(office.store().ready_reminders(at(99)).await.unwrap().is_empty());

    let (task, id) = office.waiting().await;
    let claimed = office.claim(3, id).await;
    office.answer(3, &claimed, "permanent", Next::Dead { fallback: false }).await;
    assert_eq!(office.told(task).await, ["truoc-5: dead refused"]);
}

pub async fn a_classified_message_that_is_refused_goes_nowhere_else<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let reminder = office.remind(task, "truoc-5").await;
    let id = office.bundle_as(NewMessage { classified: true, ..message(&[reminder]) }).await;
    let claimed = office.hand_over(0, id).await;
    assert!(claimed.classified);
    office.answer(1, &claimed, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.told(task).await, ["truoc-5: dead refused"]);
    // But nobody is silently unreachable: its slot is listed, until a later message is accepted.
    assert_eq!(office.store().unreachable().await.unwrap().len(), 1);
    assert!(office.store().retry(at(2), id, "the address was mended").await.unwrap());
    assert!(office.store().unreachable().await.unwrap().is_empty());
}

pub async fn what_stands_in_for_a_refused_message_is_taken_back_when_that_is_retried<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, id) = office.waiting().await;
    let claimed = office.hand_over(0, id).await;
    office.answer(1, &claimed, "recipient", Next::Dead { fallback: true }).await;
    let to_box = ReminderKey { audience: Audience::AgencyBox, ..key("truoc-5") };
    let stand_in = office.entry(task, &to_box).await;
    let other = office.bundle_as(NewMessage { address: "hop@x.example".into(), ..message(&[stand_in.id]) }).await;

    assert!(office.store().retry(at(2), id, "the relay was at fault").await.unwrap());
    assert_eq!(office.told(task).await, ["truoc-5: suppressed original_retried", "truoc-5: in_message"]);
    assert!(office.fate(other).await.starts_with("suppressed"));
    assert!(office.store().unreachable().await.unwrap().is_empty());

    // Refused again, it goes that other way again; and what has left already is not taken back.
    let claimed = office.hand_over(3, id).await;
    office.answer(3, &claimed, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.told(task).await, ["truoc-5: planned", "truoc-5: dead refused"]);
    let other = office.bundle_as(NewMessage { address: "hop@x.example".into(), ..message(&[stand_in.id]) }).await;
    let claimed = office.hand_over(4, other).await;
    office.accept(4, &claimed).await;
    assert!(office.store().retry(at(5), id, "the address was mended").await.unwrap());
    assert_eq!(office.told(task).await, ["truoc-5: sent", "truoc-5: in_message"]);
}

pub async fn what_a_relay_at_fault_had_refused_comes_back_with_the_outcome_that_shows_it<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, first) = office.waiting().await;
    let (_, second) = office.waiting().await;
    let (_, third) = office.waiting().await;
    for message in [first, second] {
        let claimed = office.hand_over(0, message).await;
        office.answer(0, &claimed, "recipient", Next::Dead { fallback: true }).await;
    }
    let (_, other) = office.waiting().await;
    let claimed = office.hand_over(0, third).await;
    let shows = |token: &str| Recorded {
        message: third,
        token: token.to_owned(),
        outcome: "configuration",
        code: 550,
        reply: "5.7.1 relaying denied".into(),
        next: Next::Retry { at: at(5), spend: false },
        earlier: vec![first, second],
    };
    // In one commit: what asks the ledger next sees all of it, and a crash before or after it splits nothing.
    let gate = office.claim(1, other).await;
    let freeze = office.freezing(&gate, 1).await;
    assert_eq!(
        office.store().settle(at(1), vec![shows(&claimed.token)], vec![freeze]).await.unwrap(),
        [GateAnswer::Go]
    );
    assert_eq!(office.fate(third).await, "pending");
    for message in [first, second] {
        assert_eq!(office.fate(message).await, "pending the relay's settings were at fault");
    }
    // And what was to go another way in its place stays.
    assert_eq!(office.told(task).await, ["truoc-5: suppressed original_retried", "truoc-5: in_message"]);
    // Asked once more, for its answer was lost: nothing moves.
    let before = office.message(first).await;
    office.store().record(at(2), vec![shows(&claimed.token)]).await.unwrap();
    assert_eq!(office.message(first).await, before);
}

pub async fn who_is_reached_again_leaves_the_daily_list<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, over) = (office.task().await, office.task().await);
    for task in [task, over] {
        let reminder = office.remind(task, "truoc-5").await;
        office.aside(Aside::Nobody { reminder, why: "no_address", quiet: false }).await;
    }
    assert_eq!(office.store().unreachable_slots().await.unwrap().len(), 2);
    // A task that is over calls for nobody.
    office.act(over, Act::Done { on: None }).await;
    let slots = office.store().unreachable_slots().await.unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!((slots[0].task, &slots[0].audience, slots[0].why.as_str()), (task, &Audience::Handler, "no_address"));
    assert_eq!(office.store().counts().await.unwrap().unreachable, 1);
    office.store().reachable_again(&slots).await.unwrap();
    assert!(office.store().unreachable().await.unwrap().is_empty());

    // One who refused takes mail again.
    let (_, id) = office.waiting().await;
    let claimed = office.hand_over(0, id).await;
    office.answer(1, &claimed, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.store().unreachable().await.unwrap().len(), 1);
    assert!(office.store().retry(at(2), id, "mended").await.unwrap());
    let claimed = office.hand_over(2, id).await;
    office.accept(2, &claimed).await;
    assert!(office.store().unreachable().await.unwrap().is_empty());
}

/// A message of two tasks whose answer was lost, and which the gate then refused because the second was paused: unknown.
async fn lost_and_parted<D: Database>(office: &Office<D>) -> (TaskId, TaskId, ReminderId, i64) {
    let (one, two) = (office.task().await, office.task().await);
    let reminders = [office.remind(one, "truoc-5").await, office.remind(two, "truoc-5").await];
    let id = office.bundle(&reminders).await;
    let claimed = office.hand_over(0, id).await;
    office.answer(1, &claimed, "unknown", Next::Repeat { at: at(1), spend: true }).await;
    let claimed = office.claim(1, id).await;
    office.act(two, Act::Pause).await;
    office.answer(1, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(id).await, "unknown changed");
    assert_eq!(
        (office.told(one).await, office.told(two).await),
        (vec![said("planned")], vec![said("unknown answer_lost")])
    );
    (one, two, reminders[0], id)
}

fn said(what: &str) -> String {
    format!("truoc-5: {what}")
}

pub async fn what_may_have_arrived_stays_named_also_where_a_message_in_between_never_left<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, _, reminder, first) = lost_and_parted(&office).await;
    let earlier = async || {
        let ready = office.store().ready_reminders(at(99)).await.unwrap();
        ready.iter().find(|row| row.id == reminder).unwrap().earlier
    };
    assert_eq!(earlier().await, Some(first));
    let named = async || office.bundle_as(NewMessage { earlier: Some(first), ..message(&[reminder]) }).await;
    // The gate refuses the next one too, before anything of it left.
    let second = named().await;
    let claimed = office.claim(2, second).await;
    office.answer(2, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(second).await, "suppressed changed");
    assert_eq!(earlier().await, Some(first));
    // It falls silent in a third that waits, and speaks again.
    named().await;
    office.act_at(3, one, Act::Pause).await;
    assert_eq!(office.told(one).await, [said("suppressed paused")]);
    office.act_at(4, one, Act::Resume).await;
    assert_eq!(office.told(one).await, [said("planned")]);
    assert_eq!(earlier().await, Some(first));
}

pub async fn a_message_in_doubt_that_is_retried_is_not_repeated_where_something_of_it_has_changed<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two, reminder, first) = lost_and_parted(&office).await;
    // The one has gone on, the other fell silent with its pause and speaks again.
    let second = office.bundle_as(NewMessage { earlier: Some(first), ..message(&[reminder]) }).await;
    assert!(!office.store().retry(at(5), first, "thử lại").await.unwrap(), "of the two nothing can leave now");
    assert_eq!(office.fate(first).await, "unknown changed");
    office.act_at(6, two, Act::Resume).await;
    assert!(office.store().retry(at(7), first, "thử lại").await.unwrap());
    assert_eq!(office.fate(first).await, "unknown changed", "the old bytes tell of both");
    assert_eq!(office.told(two).await, [said("planned")]);
    let ready = office.store().ready_reminders(at(99)).await.unwrap();
    assert_eq!(ready.iter().map(|row| row.earlier).collect::<Vec<_>>(), [Some(first)]);
    assert_eq!((office.fate(second).await, office.told(one).await), ("pending".to_owned(), vec![said("in_message")]));
}

pub async fn what_fell_silent_while_the_answer_was_out_was_sent_if_it_was_accepted_and_nothing_else<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two, never) = (office.task().await, office.task().await, office.task().await);
    let mut reminders = Vec::new();
    for task in [one, two, never] {
        reminders.push(office.remind(task, "truoc-5").await);
    }
    let id = office.bundle(&reminders).await;
    // Out of it before it was composed.
    office.act_at(0, never, Act::Pause).await;
    let first = office.hand_over(0, id).await;
    // Its sender stands still; another takes it up, and finds that a task has changed.
    assert_eq!(office.rescue(1).await.unanswered, 1);
    let again = office.claim(1, id).await;
    office.act_at(1, two, Act::Pause).await;
    office.answer(1, &again, "released", Next::Recompose).await;
    office.act_at(2, one, Act::Done { on: None }).await;
    assert_eq!(office.told(one).await, [said("suppressed completed")]);
    // And now the first one goes on: it was accepted long ago.
    office.accept(3, &first).await;
    for task in [one, two] {
        assert_eq!(office.told(task).await, [said("sent")]);
    }
    assert_eq!(office.told(never).await, [said("suppressed paused")]);
}

pub async fn what_was_accepted_after_all_does_not_go_again_in_a_message_that_names_it<D: Database>() {
    let office = Office::<D>::new().await;
    let tasks = [office.task().await, office.task().await, office.task().await, office.task().await];
    let mut reminders = Vec::new();
    for task in tasks {
        reminders.push(office.remind(task, "truoc-5").await);
    }
    let first = office.bundle(&reminders).await;
    let asleep = office.hand_over(0, first).await;
    // Its sender stands still; another takes it up, finds that a task has changed, and what is due goes on in others.
    assert_eq!(office.rescue(1).await.unanswered, 1);
    let again = office.claim(1, first).await;
    office.act_at(1, tasks[3], Act::Pause).await;
    office.answer(1, &again, "released", Next::Recompose).await;
    let named = async |earlier, n: usize| {
        office.bundle_as(NewMessage { earlier: Some(earlier), ..message(&reminders[n..=n]) }).await
    };
    let (waiting, in_hand, gone) = (named(first, 0).await, named(first, 1).await, named(first, 2).await);
    let in_hand = office.claim(2, in_hand).await;
    let gone = office.hand_over(2, gone).await;

    // And now the first one goes on: all of it was accepted long ago. What is out already is not asked to go again.
    office.accept(3, &asleep).await;
    assert_eq!(office.fate(waiting).await, "suppressed nothing_left");
    assert_eq!(office.freeze(&in_hand, 3).await, GateAnswer::Changed);
    office.answer(3, &in_hand, "released", Next::Recompose).await;
    office.answer(3, &gone, "unknown", Next::Repeat { at: at(4), spend: true }).await;
    let told = async || {
        let mut told = Vec::new();
        for task in tasks {
            told.extend(office.told(task).await);
        }
        told
    };
    let sent = || said("sent");
    assert_eq!(told().await, [sent(), sent(), sent(), sent()]);
    assert_eq!(office.fate(gone.id).await, "unknown nothing_left");
    assert!(office.store().ready_reminders(at(99)).await.unwrap().is_empty());
    let carried = office.store().outbox(Some("sent")).await.unwrap();
    assert_eq!(carried.iter().map(|row| (row.id, row.reminders.len())).collect::<Vec<_>>(), [(first, 4)]);
}

pub async fn what_was_accepted_after_all_is_sent_however_many_messages_it_went_through<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let reminder = office.remind(task, "truoc-5").await;
    let first = office.bundle(&[reminder]).await;
    let asleep = office.hand_over(0, first).await;
    let (mut last, mut n) = (first, 0);
    // The answer to each of three is lost, and each time the task has changed meanwhile.
    for _ in 0..2 {
        n += 2;
        office.rescue(n).await;
        let again = office.claim(n, last).await;
        office.answer(n, &again, "released", Next::Recompose).await;
        assert_eq!(office.fate(last).await, "unknown changed");
        last = office.bundle_as(NewMessage { earlier: Some(last), ..message(&[reminder]) }).await;
        office.hand_over(n + 1, last).await;
    }
    // The last of them waits to be repeated: it may have arrived, and need not go again.
    office.rescue(n + 2).await;
    assert_eq!(office.fate(last).await, "pending");
    office.accept(n + 3, &asleep).await;
    assert_eq!(office.told(task).await, [said("sent")]);
    assert_eq!(office.fate(last).await, "unknown nothing_left");
    assert!(office.store().pending(ChannelKind::Email, at(99), 9).await.unwrap().is_empty());
}
