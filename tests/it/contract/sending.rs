//! From a reminder that is due to a message that may be handed over.

use std::collections::HashSet;

use dondoc::{
    planning::{
        bundle::Part,
        ledger::ReminderState,
        rules::{Audience, ChannelKind},
    },
    store::{
        acts::Act,
        intake::DirectoryChanges,
        ledger::{Aside, Claimed, GateAnswer, NewMessage, Next},
    },
};
use futures_util::future::join_all;
use jiff::civil::date;

use super::{
    Database,
    office::{HANDLER, OTHER, Office, at, due, key, message, person},
};

pub async fn a_reminder_becomes_ready_then_a_message_then_pending<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    office.keep(0, task, due(key("truoc-5"), 5)).await;
    assert!(office.store().ready_reminders(at(4)).await.unwrap().is_empty());
    let ready = office.store().ready_reminders(at(5)).await.unwrap();
    assert_eq!(ready.len(), 1);
    assert_eq!((ready[0].task, &ready[0].key, ready[0].due_at), (task, &key("truoc-5"), at(5)));
    assert_eq!((ready[0].handler, ready[0].due_date), (Some(HANDLER), Some(date(2026, 12, 15))));
    assert_eq!(ready[0].earlier, None);

    let part = Part { n: 2, of: 3 };
    let made = NewMessage { not_before: at(10), part, ..message(&[ready[0].id]) };
    let id = office.bundle_as(made).await;
    assert_eq!(office.state_of(task).await, ReminderState::InMessage);
    assert!(office.store().ready_reminders(at(500)).await.unwrap().is_empty());
    assert_eq!(office.store().next_move().await.unwrap(), Some(at(10)));
    assert!(!office.is_pending(9, id).await);
    assert!(office.is_pending(10, id).await);
    let row = office.message(id).await;
    assert_eq!((row.to.as_str(), row.not_before), ("a@x.example", at(10)));
    assert_eq!(row.reminders, [("NV26-000001".to_owned(), "truoc-5".to_owned())]);
    assert_eq!(office.claim(10, id).await.part, part);
}

pub async fn reminders_set_aside_wait_end_or_go_another_way<D: Database>() {
    let office = Office::<D>::new().await;
    let mut tasks = Vec::new();
    for _ in 0..5 {
        let task = office.task().await;
        tasks.push((task, office.remind(task, "truoc-5").await));
    }
    let asides = vec![
        Aside::Wait { reminder: tasks[0].1, until: at(30) },
        Aside::Nobody { reminder: tasks[1].1, why: "no_address", quiet: false },
        Aside::Nobody { reminder: tasks[2].1, why: "no_zalo", quiet: true },
        Aside::Fallback {
            reminder: tasks[3].1,
            why: "no_handler",
            audience: "agency_contact".into(),
            channel: ChannelKind::Email,
        },
        Aside::StandIn { reminder: tasks[4].1, why: "stand_in" },
    ];
    office.store().save_messages(at(1), Vec::new(), asides).await.unwrap();

    assert_eq!(office.told(tasks[0].0).await, ["truoc-5: planned"]);
    assert_eq!(office.story(tasks[0].0).await[0].not_before, at(30));
    assert_eq!(office.told(tasks[1].0).await, ["truoc-5: suppressed no_address"]);
    assert_eq!(office.told(tasks[2].0).await, ["truoc-5: suppressed no_zalo"]);
    assert_eq!(office.told(tasks[3].0).await, ["truoc-5: planned", "truoc-5: suppressed no_handler"]);
    assert_eq!(office.story(tasks[3].0).await.iter().filter(|r| r.key.audience == Audience::AgencyContact).count(), 1);
    assert_eq!(office.told(tasks[4].0).await, ["truoc-5: planned"]);
    let mut listed: Vec<String> = office
        .store()
        .unreachable()
        .await
        .unwrap()
        .into_iter()
        .map(|(agency, .., why, _)| agency + ": " + &why)
        .collect();
    listed.sort();
    assert_eq!(listed, ["Sở Nội vụ: no_address", "Sở Nội vụ: stand_in"]);

    // The same detour twice is one reminder.
    let again = Aside::Fallback {
        reminder: tasks[3].1,
        why: "no_handler",
        audience: "agency_contact".into(),
        channel: ChannelKind::Email,
    };
    office.aside(again).await;
    assert_eq!(office.story(tasks[3].0).await.len(), 2);
}

pub async fn a_message_whose_reminders_are_gone_is_not_made<D: Database>() {
    let office = Office::<D>::new().await;
    let (gone, stays) = (office.task().await, office.task().await);
    let (a, b) = (office.remind(gone, "truoc-5").await, office.remind(stays, "truoc-5").await);
    office.act(gone, Act::Done { on: None }).await;
    office.store().save_messages(at(2), vec![message(&[a]), message(&[a, b])], Vec::new()).await.unwrap();
    let outbox = office.store().outbox(None).await.unwrap();
    assert_eq!(outbox.len(), 1);
    assert_eq!(outbox[0].reminders.len(), 1);
    assert_eq!(office.told(gone).await, ["truoc-5: suppressed completed"]);
    // A reminder in one message is not taken into a second one.
    office.store().save_messages(at(3), vec![message(&[b])], Vec::new()).await.unwrap();
    assert_eq!(office.store().outbox(None).await.unwrap().len(), 1);
}

pub async fn pending_messages_of_a_channel_come_in_the_order_of_their_moments<D: Database>() {
    let office = Office::<D>::new().await;
    let mut made = Vec::new();
    for (minutes, channel) in
        [(3, ChannelKind::Email), (1, ChannelKind::Email), (2, ChannelKind::Zalo), (4, ChannelKind::Email)]
    {
        let task = office.task().await;
        let reminder = office.remind(task, "truoc-5").await;
        made.push(office.bundle_as(NewMessage { channel, not_before: at(minutes), ..message(&[reminder]) }).await);
    }
    let pending = |channel, now, limit| {
        let store = office.store();
        async move { store.pending(channel, at(now), limit).await.unwrap().iter().map(|head| head.id).collect::<Vec<_>>() }
    };
    assert_eq!(pending(ChannelKind::Email, 3, 10).await, [made[1], made[0]]);
    assert_eq!(pending(ChannelKind::Email, 9, 2).await, [made[1], made[0]]);
    assert_eq!(pending(ChannelKind::Zalo, 9, 10).await, [made[2]]);
    assert!(office.store().claim(at(0), at(10), &made).await.unwrap().is_empty(), "claimed before its moment");
}

pub async fn two_claims_at_once_never_both_get_a_message<D: Database>() {
    let office = Office::<D>::new().await;
    let mut messages = Vec::new();
    for _ in 0..20 {
        messages.push(office.waiting().await.1);
    }
    let backwards: Vec<i64> = messages.iter().rev().copied().collect();
    let claims = (0..6).map(|n| {
        let (store, wanted) = (office.store(), if n % 2 == 0 { messages.clone() } else { backwards.clone() });
        // Tasks of their own, so that they run at once where the database lets them.
        tokio::spawn(async move {
            let (half, other) = wanted.split_at(wanted.len() / 2);
            let mut got = store.claim(at(0), at(10), half).await.unwrap();
            got.extend(store.claim(at(0), at(10), other).await.unwrap());
            got
        })
    });
    let claimed: Vec<Claimed> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    let mut ids: Vec<i64> = claimed.iter().map(|claimed| claimed.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, messages, "each message once");
    let tokens: HashSet<&str> = claimed.iter().map(|claimed| claimed.token.as_str()).collect();
    assert_eq!(tokens.len(), messages.len(), "each claim a token of its own");
}

pub async fn each_claim_leaves_its_attempt_on_record_under_its_own_token<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let first = office.claim(0, message).await;
    assert_eq!((first.n, first.attempts, first.frozen.is_none(), first.rows.len()), (1, 0, true, 1));
    assert!(first.rows[0].is_current());
    assert_eq!((first.address.as_str(), first.person, first.earlier), ("a@x.example", Some(HANDLER), None));
    assert_eq!(office.message(message).await.last, "claimed");
    assert_eq!(office.story(task).await[0].outcome, "claimed");
    assert!(!office.is_pending(5, message).await);
    office.answer(1, &first, "released", Next::Retry { at: at(1), spend: false }).await;
    let second = office.claim(1, message).await;
    assert_eq!((second.n, second.attempts), (2, 0));
    assert_ne!(second.token, first.token);
    office.answer(2, &second, "transient", Next::Retry { at: at(2), spend: true }).await;
    assert_eq!(office.claim(2, message).await.attempts, 1);
    // Claimed messages answer in the order in which they were asked for, and one that is not there not at all.
    let (a, b) = (office.waiting().await.1, office.waiting().await.1);
    let claimed = office.store().claim(at(2), at(9), &[b, 999, a, message]).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.id).collect::<Vec<_>>(), [b, a]);
}

pub async fn the_gate_opens_only_for_what_was_composed<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let claimed = office.claim(0, message).await;
    assert_eq!(office.store().message_bytes(message).await.unwrap(), None);
    let mut other = office.freezing(&claimed, 1).await;
    other.rows.clear();
    assert_eq!(office.store().freeze(at(1), vec![other]).await.unwrap(), [GateAnswer::Changed]);
    assert_eq!(office.store().message_bytes(message).await.unwrap(), None);
    assert_eq!(office.freeze(&claimed, 1).await, GateAnswer::Go);
    assert_eq!(office.message(message).await.state, "frozen");
    assert_eq!(office.store().message_bytes(message).await.unwrap().as_deref(), Some(super::office::BYTES));
    assert_eq!(office.story(task).await[0].outcome, "handed_over");
    assert_eq!(office.freeze(&claimed, 1).await, GateAnswer::Lost, "a gate is passed once");
}

pub async fn the_gate_stays_shut_after_any_change<D: Database>() {
    let acts = [
        Act::Done { on: None },
        Act::Withdraw,
        Act::Pause,
        Act::Submit,
        Act::SetHandler { person: OTHER },
        Act::AskExtension,
        Act::Extend {
            clock: dondoc::planning::task::Clock::Completion,
            date: date(2026, 12, 31),
            time: None,
            decided_on: None,
            approver: String::new(),
        },
    ];
    for act in acts {
        let office = Office::<D>::new().await;
        let (task, message) = office.waiting().await;
        let (_, untouched) = office.waiting().await;
        let (claimed, fine) = (office.claim(0, message).await, office.claim(0, untouched).await);
        office.act(task, act.clone()).await;
        let freezes = vec![office.freezing(&claimed, 2).await, office.freezing(&fine, 2).await];
        let answers = office.store().freeze(at(2), freezes).await.unwrap();
        assert_eq!(answers, [GateAnswer::Changed, GateAnswer::Go], "{act:?}");
        assert_eq!(office.store().message_bytes(message).await.unwrap(), None, "{act:?}");
    }

    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let claimed = office.claim(0, message).await;
    let freeze = office.freezing(&claimed, 2).await;
    let people = vec![person(HANDLER, "Trần Văn A", "moi@x.example")];
    let changes = DirectoryChanges { people, ..DirectoryChanges::default() };
    office.database.intake().write_directory(&changes).await.unwrap();
    assert_eq!(office.store().freeze(at(2), vec![freeze]).await.unwrap(), [GateAnswer::Changed]);
}

pub async fn the_gate_knows_a_lease_that_is_over_or_another_s<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let first = office.claim(0, message).await;
    assert_eq!(office.freeze(&first, 15).await, GateAnswer::Lost, "its hand-over may outlast the lease");
    office.answer(15, &first, "released", Next::Retry { at: at(15), spend: false }).await;
    let second = office.claim(15, message).await;
    assert_eq!(office.freeze(&first, 16).await, GateAnswer::Lost, "the token of an earlier claim");
    assert_eq!(office.message(message).await.state, "leased");
    assert_eq!(office.freeze(&second, 29).await, GateAnswer::Go);
}

pub async fn a_message_postponed_waits_and_one_that_is_leased_does_not_move<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let (_, leased) = office.waiting().await;
    office.claim(0, leased).await;
    office.store().postpone(&[(message, at(60)), (leased, at(60))]).await.unwrap();
    assert!(!office.is_pending(59, message).await);
    assert!(office.is_pending(60, message).await);
    assert_eq!(office.message(leased).await.not_before, at(0));
    assert!(office.store().claim(at(59), at(70), &[message]).await.unwrap().is_empty());
}
