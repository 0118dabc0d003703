//! A message that may have arrived, and what it carried: whatever happens meanwhile, what goes out again names it, and
//! what is known to have arrived goes out no more.

use dondoc::{
    planning::{
        rules::ChannelKind,
        task::{ReminderId, TaskId},
    },
    store::{
        acts::Act,
        ledger::{Claimed, NewMessage, Next},
    },
};

use super::{
    Database,
    instance::{adoption, identity},
    office::{Office, at, message},
};

impl<D: Database> Office<D> {
    /// Two tasks in one message, which is handed over.
    async fn two_in_one(&self) -> (TaskId, TaskId, i64, Claimed) {
        let (one, two) = (self.task().await, self.task().await);
        let id = self.bundle(&[self.remind(one, "truoc-5").await, self.remind(two, "truoc-5").await]).await;
        (one, two, id, self.hand_over(0, id).await)
    }

    /// The messages that reminders which wait to be bundled may have arrived in.
    async fn may_have_arrived_in(&self) -> Vec<Option<i64>> {
        self.store().ready_reminders(at(99)).await.unwrap().iter().map(|row| row.earlier).collect()
    }

    /// The first message's sender stands still past its lease; another takes it for changed, and its reminder goes on in a
    /// second one, which is handed over. Gives the task, both messages, and what each sender holds.
    async fn first_and_second(&self) -> (TaskId, [i64; 2], Claimed, Claimed) {
        let task = self.task().await;
        let reminder = self.remind(task, "truoc-5").await;
        let first = self.bundle(&[reminder]).await;
        let asleep = self.hand_over(0, first).await;
        self.rescue(1).await;
        let again = self.claim(1, first).await;
        self.answer(1, &again, "released", Next::Recompose).await;
        let (second, out) = self.named(first, reminder, 2).await;
        (task, [first, second], asleep, out)
    }

    async fn named(&self, earlier: i64, reminder: ReminderId, now: i64) -> (i64, Claimed) {
        let id = self.bundle_as(NewMessage { earlier: Some(earlier), ..message(&[reminder]) }).await;
        (id, self.hand_over(now, id).await)
    }
}

pub async fn a_letter_that_may_have_arrived_stays_named_when_one_of_its_tasks_becomes_a_secret<D: Database>() {
    let office = Office::<D>::new().await;
    let (secret, open, id, first) = office.two_in_one().await;
    office.answer(1, &first, "unknown", Next::Repeat { at: at(2), spend: true }).await;
    office.classify(secret).await;
    assert_eq!(office.letter(id).await.as_deref(), Some(""), "the text is gone, and that there was one is not");
    // Whoever claims it finds nothing to repeat; what is still due goes on in a letter that names it.
    let claimed = office.claim(4, id).await;
    office.answer(4, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(id).await, "unknown changed");
    assert_eq!(office.told(open).await, ["truoc-5: planned"]);
    // What is still said of the secret, without its content, as well.
    assert_eq!(office.may_have_arrived_in().await, [Some(id), Some(id)]);
    // It had arrived after all.
    office.accept(5, &first).await;
    assert_eq!((office.fate(id).await, office.told(open).await), ("sent".into(), vec!["truoc-5: sent".into()]));
    assert_eq!(office.told(secret).await, ["truoc-5: sent"]);
}

pub async fn a_letter_that_may_have_arrived_and_told_of_a_secret_is_retried_in_one_that_names_it<D: Database>() {
    let office = Office::<D>::new().await;
    let (secret, open, id, first) = office.two_in_one().await;
    office.answer(1, &first, "unknown", Next::Unknown).await;
    office.classify(secret).await;
    assert!(office.store().retry(at(5), id, "đã hỏi").await.unwrap());
    assert_eq!(office.fate(id).await, "unknown answer_lost", "it is not composed anew under another name");
    assert_eq!(office.told(open).await, ["truoc-5: planned"]);
    assert_eq!(office.may_have_arrived_in().await, [Some(id), Some(id)]);
}

pub async fn what_was_in_hand_when_the_copy_was_taken_stays_named<D: Database>() {
    let office = Office::<D>::new().await;
    office.store().found(at(0), &identity("a")).await.unwrap();
    let (one, two, id, _) = office.two_in_one().await;
    office.store().adopt(at(60), &adoption(Some(at(60)))).await.unwrap();
    assert_eq!(office.fate(id).await, "unknown copy");
    assert!(office.store().retry(at(61), id, "đã hỏi").await.unwrap());
    // Not the same bytes again: something of it has changed.
    office.act_at(62, one, Act::Pause).await;
    let claimed = office.claim(62, id).await;
    office.answer(62, &claimed, "released", Next::Recompose).await;
    assert_eq!(office.fate(id).await, "unknown changed");
    assert_eq!(office.told(two).await, ["truoc-5: planned"]);
    assert_eq!(office.may_have_arrived_in().await, [Some(id)]);
}

pub async fn a_repeat_that_is_not_needed_any_more_tells_of_no_secret<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, [_, second], asleep, out) = office.first_and_second().await;
    office.classify(task).await;
    office.answer(4, &out, "unknown", Next::Repeat { at: at(5), spend: true }).await;
    assert!(office.letter(second).await.is_some_and(|left| !left.is_empty()), "until it is claimed");
    office.accept(6, &asleep).await;
    assert_eq!(office.fate(second).await, "unknown nothing_left");
    assert_eq!(office.letter(second).await.as_deref(), Some(""), "nobody will claim it again");
}

pub async fn what_was_out_when_its_sender_stopped_is_not_repeated_where_the_first_had_arrived<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, [_, second], asleep, _) = office.first_and_second().await;
    office.accept(3, &asleep).await;
    assert_eq!(office.rescue(4).await.unanswered, 1);
    assert_eq!(office.fate(second).await, "unknown nothing_left");
    assert_eq!(office.told(task).await, ["truoc-5: sent"]);
    assert!(office.store().pending(ChannelKind::Email, at(99), 9).await.unwrap().is_empty());
}

pub async fn a_refused_letter_goes_no_other_way_where_the_first_had_arrived<D: Database>() {
    let office = Office::<D>::new().await;
    // However many are between the first and the refused one.
    let (task, [_, second], asleep, out) = office.first_and_second().await;
    office.rescue(3).await;
    let again = office.claim(3, second).await;
    assert_eq!(again.id, out.id);
    office.answer(3, &again, "released", Next::Recompose).await;
    let reminder = office.store().ready_reminders(at(99)).await.unwrap()[0].id;
    let (third, last) = office.named(second, reminder, 4).await;
    office.accept(5, &asleep).await;
    office.answer(6, &last, "recipient", Next::Dead { fallback: true }).await;
    assert_eq!(office.told(task).await, ["truoc-5: sent"], "and nothing to the agency's box");
    assert!(office.store().unreachable().await.unwrap().is_empty());
    assert_eq!(office.fate(third).await, "suppressed nothing_left");
}

pub async fn a_dead_letter_has_nothing_to_be_retried_for_where_the_first_had_arrived<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, [_, second], asleep, out) = office.first_and_second().await;
    office.answer(3, &out, "permanent", Next::Dead { fallback: false }).await;
    office.accept(4, &asleep).await;
    assert_eq!(office.told(task).await, ["truoc-5: sent"]);
    assert_eq!(office.fate(second).await, "suppressed nothing_left");
    assert!(!office.store().retry(at(5), second, "thử lại").await.unwrap());
}

pub async fn a_refused_repeat_that_told_of_a_secret_is_retried_in_one_that_names_it<D: Database>() {
    let office = Office::<D>::new().await;
    let (secret, open, id, first) = office.two_in_one().await;
    office.answer(1, &first, "unknown", Next::Repeat { at: at(2), spend: true }).await;
    let again = office.hand_over(2, id).await;
    office.answer(2, &again, "permanent", Next::Dead { fallback: false }).await;
    office.classify(secret).await;
    assert_eq!(office.letter(id).await.as_deref(), Some(""));
    assert!(office.store().retry(at(5), id, "đã hỏi").await.unwrap());
    assert_eq!(office.fate(id).await, "dead refused", "it is not composed anew under another name");
    assert_eq!(office.told(open).await, ["truoc-5: planned"]);
    assert_eq!(office.may_have_arrived_in().await, [Some(id), Some(id)]);
}

pub async fn a_wiped_letter_whose_reminders_went_on_in_another_is_not_retried<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, [first, second], _, _) = office.first_and_second().await;
    office.classify(task).await;
    assert_eq!(office.letter(first).await.as_deref(), Some(""));
    assert!(!office.store().retry(at(5), first, "đã hỏi").await.unwrap());
    assert_eq!((office.fate(first).await, office.fate(second).await), ("unknown changed".into(), "frozen".into()));
}
