//! What goes over the wire stands apart from its message: it is there as long as the message may need it, and goes with
//! the message's bytes, whichever statement takes these away.

use dondoc::{
    planning::task::{Secrecy, TaskId},
    store::{
        intake::{Change, Decision, Fate, Hidden, StoredTask, TaskRow},
        ledger::{GateAnswer, NewMessage, Next},
    },
};

use super::{
    Database,
    office::{BYTES, Office, at, columns, message},
};

impl<D: Database> Office<D> {
    /// The letter, as text.
    pub(super) async fn letter(&self, message: i64) -> Option<String> {
        let bytes = self.store().message_bytes(message).await.unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// An import says that the task is classified.
    pub(super) async fn classify(&self, task: TaskId) {
        let code = self.record_of(task).await.task.code;
        let row = TaskRow {
            row: 1,
            columns: columns(&code, at(0)),
            state_given: true,
            document: None,
            coordinators: Vec::new(),
            due: None,
            report: None,
            new_handler: None,
            typed_code: Hidden::default(),
            classified_code: String::new(),
        };
        let decide = |_: &TaskRow, found: &[&StoredTask]| {
            let mut columns = found[0].columns.clone();
            (columns.secrecy, columns.work, columns.assigner) = (Secrecy::Secret, "".into(), "".into());
            (columns.due_typed, columns.fingerprint) = ("".into(), String::new());
            let change = Change {
                id: Some(task),
                columns,
                document: None,
                coordinators: Vec::new(),
                obligations: found[0].obligations.clone(),
                events: Vec::new(),
                moved: Vec::new(),
                supersede: Vec::new(),
                silence: Some("classified"),
                wipe: true,
            };
            Decision { fate: Fate::Updated, change: Some(Box::new(change)), problems: Vec::new() }
        };
        self.database.intake().write_tasks(&[row], &decide, at(3), "import").await.unwrap();
        assert_eq!(self.record_of(task).await.task.secrecy, Secrecy::Secret);
    }
}

pub(super) fn whole() -> Option<String> {
    Some(String::from_utf8(BYTES.to_vec()).unwrap())
}

pub async fn a_letter_is_there_from_its_gate_on_through_crashes_and_repeats_and_after_it_was_sent<D: Database>() {
    let mut office = Office::<D>::new().await;
    let (_, message) = office.waiting().await;
    let claimed = office.claim(0, message).await;
    assert_eq!(office.letter(message).await, None, "nothing was composed yet");
    assert_eq!(office.freeze(&claimed, 0).await, GateAnswer::Go);
    assert_eq!(office.letter(message).await, whole());
    // The process ends with it in hand, and another one takes it up.
    office.database.reopen().await;
    assert_eq!(office.letter(message).await, whole());
    assert_eq!(office.rescue(1).await.unanswered, 1);
    assert_eq!((office.fate(message).await, office.letter(message).await), ("pending".to_owned(), whole()));
    let again = office.claim(1, message).await;
    assert_eq!(again.frozen.as_ref().map(|frozen| frozen.bytes.as_slice()), Some(BYTES));
    // Claimed and not handed over a second time: what the first may have delivered is kept.
    assert_eq!(office.rescue(2).await.released, 1);
    assert_eq!(office.letter(message).await, whole());
    let again = office.hand_over(2, message).await;
    office.answer(2, &again, "unknown", Next::Repeat { at: at(3), spend: true }).await;
    let again = office.hand_over(3, message).await;
    office.accept(3, &again).await;
    office.database.reopen().await;
    assert_eq!((office.fate(message).await, office.letter(message).await), ("sent".to_owned(), whole()));
}

pub async fn a_letter_goes_with_its_message_s_bytes_whoever_takes_them_away<D: Database>() {
    let office = Office::<D>::new().await;
    // Refused for now: composed anew, and the new letter stands in the place of the old one.
    let (_, refused) = office.waiting().await;
    let claimed = office.hand_over(0, refused).await;
    office.answer(0, &claimed, "transient", Next::Retry { at: at(1), spend: true }).await;
    assert_eq!(office.letter(refused).await, None);
    let claimed = office.claim(1, refused).await;
    assert_eq!(claimed.frozen, None);
    let mut freeze = office.freezing(&claimed, 1).await;
    freeze.bytes = b"Subject: anew\r\n\r\n".to_vec();
    assert_eq!(office.store().freeze(at(1), vec![freeze]).await.unwrap(), [GateAnswer::Go]);
    assert_eq!(office.letter(refused).await.as_deref(), Some("Subject: anew\r\n\r\n"));

    // Dead and taken back by an operator.
    office.answer(1, &claimed, "permanent", Next::Dead { fallback: false }).await;
    assert_eq!(office.letter(refused).await.as_deref(), Some("Subject: anew\r\n\r\n"), "what was refused can be read");
    assert!(office.store().retry(at(2), refused, "đã sửa").await.unwrap());
    assert_eq!(office.letter(refused).await, None);

    // What it told of became a secret: sent, waiting to be repeated, and in hand.
    let (sent_task, sent) = office.waiting().await;
    let claimed = office.hand_over(0, sent).await;
    office.accept(0, &claimed).await;
    let (repeated_task, repeated) = office.waiting().await;
    let claimed = office.hand_over(0, repeated).await;
    office.answer(0, &claimed, "unknown", Next::Repeat { at: at(9), spend: true }).await;
    let (in_hand_task, in_hand) = office.waiting().await;
    let claimed = office.hand_over(0, in_hand).await;
    for task in [sent_task, repeated_task, in_hand_task] {
        office.classify(task).await;
    }
    assert_eq!(office.letter(sent).await.as_deref(), Some(""));
    assert_eq!(office.letter(repeated).await.as_deref(), Some(""));
    assert_eq!(office.letter(in_hand).await, whole(), "what is being handed over is, to its end");
    office.accept(4, &claimed).await;
    assert_eq!(office.letter(in_hand).await.as_deref(), Some(""));
}

pub async fn letters_of_unknown_fate_go_too_when_what_they_told_goes_on_in_another<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let reminder = office.remind(task, "truoc-5").await;
    let first = office.bundle(&[reminder]).await;
    // Its sender stands still; another finds that something has changed. That happens to the next one as well.
    let asleep = office.hand_over(0, first).await;
    let (mut earlier, mut letters) = (first, vec![first]);
    for n in [2, 4] {
        office.rescue(n).await;
        let again = office.claim(n, earlier).await;
        office.answer(n, &again, "released", Next::Recompose).await;
        earlier = office.bundle_as(NewMessage { earlier: Some(earlier), ..message(&[reminder]) }).await;
        office.hand_over(n + 1, earlier).await;
        letters.push(earlier);
    }
    office.rescue(6).await;
    for letter in &letters {
        assert_eq!(office.letter(*letter).await, whole());
    }
    // And then the first is known to have been accepted: the last, which was to be repeated, tells of nothing now.
    office.accept(7, &asleep).await;
    office.classify(task).await;
    for letter in letters {
        assert!(office.letter(letter).await.is_none_or(|left| left.is_empty()), "{letter}");
    }
}
