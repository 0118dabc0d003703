//! After a crash, after the time is over, and by an operator's hand.

use dondoc::{
    planning::{
        outcome::{ALONE_CRASHES, LAST_CRASHES},
        rules::ChannelKind,
    },
    store::{
        acts::Act,
        ledger::{GateAnswer, Next, Rescued},
    },
};

use super::{
    Database,
    office::{BYTES, Office, at},
};

pub async fn a_crash_before_the_hand_over_releases_and_one_after_it_keeps_the_bytes<D: Database>() {
    let mut office = Office::<D>::new().await;
    let (_, leased) = office.waiting().await;
    let (_, frozen) = office.waiting().await;
    office.claim(0, leased).await;
    let handed_over = office.hand_over(0, frozen).await;
    office.database.reopen().await;
    let rescued = office.rescue(5).await;
    assert_eq!(rescued, Rescued { released: 1, unanswered: 1, poisoned: 0 });
    let pending = office.store().pending(ChannelKind::Email, at(5), 9).await.unwrap();
    assert_eq!(
        pending.iter().map(|head| (head.id, head.crashes, head.frozen)).collect::<Vec<_>>(),
        [(leased, 1, false), (frozen, 1, true)]
    );
    assert_eq!(office.message(leased).await.last, "crashed");
    let again = office.claim(5, frozen).await;
    assert_eq!((again.frozen.clone().unwrap().bytes.as_slice(), again.n), (BYTES, 2));
    assert_eq!(office.freeze(&again, 5).await, GateAnswer::Go);
    assert_ne!(again.token, handed_over.token);
}

pub async fn the_fifth_crash_of_a_message_is_its_last_handed_over_or_not<D: Database>() {
    for handed_over in [false, true] {
        let office = Office::<D>::new().await;
        let (task, message) = office.waiting().await;
        let crash = async |n| {
            let claimed = office.claim(n, message).await;
            if handed_over {
                assert_eq!(office.freeze(&claimed, n).await, GateAnswer::Go);
            }
            office.rescue(n).await
        };
        for n in 1..LAST_CRASHES {
            let rescued = crash(i64::from(n)).await;
            assert_eq!((rescued.released + rescued.unanswered, rescued.poisoned), (1, 0), "{n}");
            let pending = office.store().pending(ChannelKind::Email, at(i64::from(n)), 9).await.unwrap();
            assert_eq!((pending.len(), pending[0].crashes), (1, n));
        }
        let last = i64::from(LAST_CRASHES);
        assert_eq!(crash(last).await, Rescued { poisoned: 1, ..Rescued::default() });
        let fate = if handed_over { "unknown poison" } else { "dead poison" };
        assert_eq!(office.fate(message).await, fate);
        assert_eq!(office.told(task).await, [format!("truoc-5: {fate}")]);
        // An operator who has found the cause may have it tried like a new one.
        assert!(office.store().retry(at(last + 1), message, "sửa mẫu").await.unwrap());
        assert_eq!(office.store().pending(ChannelKind::Email, at(last + 1), 9).await.unwrap()[0].crashes, 0);
    }
}

pub async fn a_crash_counts_against_one_that_went_alone_only_where_it_was_the_only_one_in_work<D: Database>() {
    let office = Office::<D>::new().await;
    let suspects = [office.suspect().await, office.suspect().await];
    for message in suspects {
        office.claim(5, message).await;
    }
    // Each alone on its channel: which of them ended the process nobody knows, and they do not go together again.
    assert_eq!(office.rescue(6).await.released, 2);
    assert_eq!(office.crashes(&suspects).await, [(ALONE_CRASHES, at(11)), (ALONE_CRASHES, at(16))]);
    office.claim(20, suspects[1]).await;
    office.rescue(21).await;
    assert_eq!(office.crashes(&suspects).await, [(ALONE_CRASHES, at(11)), (ALONE_CRASHES + 1, at(21))]);
}

pub async fn rescue_leaves_alone_what_no_crash_touched<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, pending) = office.waiting().await;
    let (_, sent) = office.waiting().await;
    let claimed = office.hand_over(0, sent).await;
    office.accept(0, &claimed).await;
    let before = (office.message(pending).await, office.message(sent).await);
    assert_eq!(office.rescue(5).await, Rescued::default());
    assert_eq!((office.message(pending).await, office.message(sent).await), before);
}

pub async fn what_could_not_leave_in_its_time_expires<D: Database>() {
    let office = Office::<D>::new().await;
    let (fresh_task, fresh) = office.waiting().await;
    let (lost_task, lost) = office.waiting().await;
    let (leased_task, leased) = office.waiting().await;
    let claimed = office.hand_over(0, lost).await;
    office.answer(0, &claimed, "unknown", Next::Repeat { at: at(1), spend: true }).await;
    office.claim(0, leased).await;
    office.store().expire(at(9), &[fresh, lost, leased]).await.unwrap();
    assert_eq!(office.fate(fresh).await, "suppressed expired");
    assert_eq!(office.told(fresh_task).await, ["truoc-5: superseded expired"]);
    // It may have arrived: nobody is told that it was not sent.
    assert_eq!(office.fate(lost).await, "unknown expired");
    assert_eq!(office.told(lost_task).await, ["truoc-5: unknown expired"]);
    assert_eq!(office.fate(leased).await, "leased");
    assert_eq!(office.told(leased_task).await, ["truoc-5: in_message"]);
}

pub async fn a_dead_message_is_retried_anew_and_an_unknown_one_with_its_bytes<D: Database>() {
    let office = Office::<D>::new().await;
    let (dead_task, dead) = office.waiting().await;
    let (unknown_task, unknown) = office.waiting().await;
    let claimed = office.hand_over(0, dead).await;
    office.answer(1, &claimed, "permanent", Next::Dead { fallback: false }).await;
    let claimed = office.hand_over(0, unknown).await;
    office.answer(1, &claimed, "unknown", Next::Unknown).await;
    for message in [dead, unknown] {
        assert!(office.store().retry(at(9), message, "đã sửa địa chỉ").await.unwrap());
        assert_eq!(office.fate(message).await, "pending đã sửa địa chỉ");
        assert!(office.is_pending(9, message).await);
    }
    for task in [dead_task, unknown_task] {
        assert_eq!(office.told(task).await, ["truoc-5: in_message"]);
    }
    let (anew, same) = (office.claim(9, dead).await, office.claim(9, unknown).await);
    assert_eq!((anew.frozen.as_ref(), anew.attempts), (None, 0));
    assert_eq!(same.frozen.as_ref().unwrap().bytes, BYTES);
    // Five more days at least: what had run out of time is not expired at once.
    assert!(anew.expires_at >= at(9 + 5 * 24 * 60));
    for claimed in [anew, same] {
        assert_eq!(office.freeze(&claimed, 10).await, GateAnswer::Go);
        office.accept(10, &claimed).await;
    }
    assert_eq!(office.told(dead_task).await, ["truoc-5: sent"]);
}

pub async fn a_dead_message_of_which_an_answer_was_lost_is_retried_with_its_bytes<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let first = office.hand_over(0, message).await;
    office.answer(1, &first, "unknown", Next::Repeat { at: at(2), spend: true }).await;
    // The first copy may have arrived, whatever was said to the second.
    let second = office.hand_over(2, message).await;
    office.answer(3, &second, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.fate(message).await, "dead refused");
    assert!(office.store().retry(at(4), message, "thiết lập của máy chủ sai").await.unwrap());
    let third = office.claim(4, message).await;
    let (was, is) = (second.frozen.unwrap(), third.frozen.clone().unwrap());
    assert_eq!((is.bytes.as_slice(), &is.message_id), (BYTES, &was.message_id));
}

pub async fn an_unknown_message_that_was_retried_is_still_one_that_may_have_arrived<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    office.answer(1, &claimed, "unknown", Next::Unknown).await;
    assert!(office.store().retry(at(2), message, "thử lại").await.unwrap());
    // Neither a crash before the hand-over nor a site that is not there makes it one that never left.
    office.claim(2, message).await;
    assert_eq!(office.rescue(3).await.released, 1);
    let claimed = office.claim(3, message).await;
    assert_eq!(claimed.frozen.as_ref().map(|frozen| frozen.bytes.as_slice()), Some(BYTES));
    office.answer(3, &claimed, "site", Next::Retry { at: at(4), spend: false }).await;
    let claimed = office.claim(4, message).await;
    assert!(claimed.frozen.is_some());
    // Its task changed: it stays unknown, and what is still due names it.
    office.act_at(4, task, Act::SetHandler { person: super::office::OTHER }).await;
    assert_eq!(office.freeze(&claimed, 5).await, GateAnswer::Changed);
    office.answer(5, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(message).await, "unknown changed");
    assert_eq!(office.store().ready_reminders(at(5)).await.unwrap()[0].earlier, Some(message));
}

pub async fn a_message_given_up_suppresses_what_it_carried<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, pending) = office.waiting().await;
    let (_, dead) = office.waiting().await;
    let (_, unknown) = office.waiting().await;
    let claimed = office.claim(0, dead).await;
    office.answer(1, &claimed, "permanent", Next::Dead { fallback: false }).await;
    let claimed = office.hand_over(0, unknown).await;
    office.answer(1, &claimed, "unknown", Next::Unknown).await;
    for message in [pending, dead, unknown] {
        assert!(office.store().discard(at(2), message, "đã gọi điện").await.unwrap());
        assert_eq!(office.fate(message).await, "suppressed đã gọi điện");
        assert!(!office.store().discard(at(3), message, "lần nữa").await.unwrap());
    }
    for task in office.store().open_tasks(dondoc::planning::task::TaskId(0), 9).await.unwrap() {
        assert_eq!(office.told(task.task.id).await, ["truoc-5: suppressed discarded: đã gọi điện"]);
    }
    assert!(office.store().outbox(None).await.unwrap().is_empty());
}

pub async fn only_what_is_stuck_can_be_retried_and_only_what_rests_discarded<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, pending) = office.waiting().await;
    let (_, leased) = office.waiting().await;
    let (_, frozen) = office.waiting().await;
    let (_, sent) = office.waiting().await;
    office.claim(0, leased).await;
    office.hand_over(0, frozen).await;
    let claimed = office.hand_over(0, sent).await;
    office.accept(0, &claimed).await;
    for message in [pending, leased, frozen, sent, 999] {
        assert!(!office.store().retry(at(1), message, "thử").await.unwrap());
    }
    for message in [leased, frozen, sent, 999] {
        assert!(!office.store().discard(at(1), message, "thử").await.unwrap());
    }
    let states =
        [office.fate(pending).await, office.fate(leased).await, office.fate(frozen).await, office.fate(sent).await];
    assert_eq!(states, ["pending", "leased", "frozen", "sent"]);
}
