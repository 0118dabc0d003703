//! Acts on what waits, and what people are told afterwards.

use dondoc::{
    planning::{
        ledger::ReminderState,
        task::{Block, TaskState},
    },
    store::{
        acts::Act,
        intake::{AgencyRow, DirectoryChanges},
        ledger::{Aside, GateAnswer, Next},
        policy::PLANNED_UNDER,
        register::RegisterItem,
    },
};
use futures_util::future::join_all;
use jiff::civil::date;

use super::{
    Database,
    office::{HANDLER, Office, SNV, STC, at, due, key, person, today},
    planning::notice,
};

pub async fn an_act_that_silences_does_so_in_its_own_transaction<D: Database>() {
    for (act, reason) in [
        (Act::Done { on: Some(today()) }, "completed"),
        (Act::Pause, "paused"),
        (Act::Submit, "submitted"),
        (Act::Return, "returned"),
        (Act::Withdraw, "withdrawn"),
    ] {
        let office = Office::<D>::new().await;
        let (task, message) = office.waiting().await;
        office.remind(task, "truoc-1").await;
        let acted = office.act(task, act.clone()).await;
        assert_eq!(acted.silenced, 2, "{act:?}");
        let fate = |step: &str| format!("{step}: suppressed {reason}");
        assert_eq!(office.told(task).await, [fate("truoc-1"), fate("truoc-5")], "{act:?}");
        assert_eq!(office.fate(message).await, format!("suppressed {reason}"));
        assert!(office.store().claim(at(2), at(9), &[message]).await.unwrap().is_empty());
        assert_eq!(office.store().next_move().await.unwrap(), None);
        let looked_at = office.record_of(task).await.next_look_at.is_some();
        assert_eq!(looked_at, acted.state.is_open(), "{act:?}");
        assert!(office.store().events(task).await.unwrap().iter().any(|line| line.what == "state"), "{act:?}");
    }
    // An act that is refused silences nothing.
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let tomorrow = today().tomorrow().unwrap();
    let act = Act::Done { on: Some(tomorrow) };
    office.store().act(at(1), today(), task, &act, &super::office::by()).await.unwrap_err();
    assert_eq!(
        (office.state_of(task).await, office.fate(message).await.as_str()),
        (ReminderState::InMessage, "pending")
    );
}

pub async fn a_deadline_that_moves_takes_the_waiting_reminders_with_it<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let act = Act::Extend {
        clock: dondoc::planning::task::Clock::Completion,
        date: date(2026, 12, 31),
        time: None,
        decided_on: None,
        approver: String::new(),
    };
    office.act(task, act).await;
    assert_eq!(office.told(task).await, ["truoc-5: superseded deadline_moved"]);
    assert!(office.fate(message).await.starts_with("suppressed"));
    let record = office.record_of(task).await;
    assert_eq!((record.task.obligations[0].arming, record.task.state), (2, TaskState::InProgress));
    // The step of the new arming is another reminder.
    let again = dondoc::planning::ledger::ReminderKey { arming: 2, ..key("truoc-5") };
    assert_eq!(office.keep(2, task, due(again, 2)).await.planned, 1);
}

pub async fn counts_and_the_outbox_agree_with_what_was_done<D: Database>() {
    let office = Office::<D>::new().await;
    assert_eq!(office.store().counts().await.unwrap().open_tasks, 0);
    let mut messages = Vec::new();
    for _ in 0..6 {
        messages.push(office.waiting().await);
    }
    // Stays pending, leased, frozen; sent, dead, unknown.
    office.claim(0, messages[1].1).await;
    office.hand_over(0, messages[2].1).await;
    let claimed = office.hand_over(0, messages[3].1).await;
    office.accept(1, &claimed).await;
    let claimed = office.hand_over(0, messages[4].1).await;
    office.answer(1, &claimed, "permanent", Next::Dead { fallback: false }).await;
    let claimed = office.hand_over(0, messages[5].1).await;
    office.answer(1, &claimed, "unknown", Next::Unknown).await;
    office.task_with(0, |task| (task.held, task.next_look_at) = ("agency_unknown", None)).await;
    office.act(messages[3].0, Act::Done { on: None }).await;
    let nobody = office.task_with(-5, |_| {}).await;
    let reminder = office.remind(nobody, "truoc-5").await;
    office.aside(Aside::Nobody { reminder, why: "no_address", quiet: false }).await;
    office.store().file_notices(&[notice(nobody)], at(2)).await.unwrap();

    let counts = office.store().counts().await.unwrap();
    assert_eq!((counts.open_tasks, counts.held_tasks), (6, 1));
    assert_eq!((counts.backlog_email, counts.backlog_zalo, counts.dead, counts.unknown), (3, 0, 1, 1));
    assert_eq!((counts.unreachable, counts.register_entries, counts.unwritten_files), (1, 1, 0));
    assert_eq!(counts.register_head, office.store().register_head().await.unwrap().hash);
    assert_eq!(counts.next_look, office.store().next_look().await.unwrap());

    let outbox = office.store().outbox(None).await.unwrap();
    let states: Vec<&str> = outbox.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["pending", "leased", "frozen", "dead", "unknown"]);
    let last: Vec<&str> = outbox.iter().map(|row| row.last.as_str()).collect();
    assert_eq!(last, ["", "claimed", "handed_over", "permanent reply to 1", "unknown reply to 1"]);
    assert_eq!(office.store().outbox(Some("sent")).await.unwrap().len(), 1);
}

pub async fn the_story_tells_what_came_of_each_reminder<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let sent = office.remind(task, "truoc-5").await;
    let message = office.bundle(&[sent]).await;
    let first = office.hand_over(0, message).await;
    office.answer(3, &first, "transient", Next::Retry { at: at(4), spend: true }).await;
    let second = office.hand_over(4, message).await;
    office.accept(5, &second).await;
    office.keep(6, task, due(key("truoc-1"), 60)).await;

    let story = office.story(task).await;
    assert_eq!(story.iter().map(|row| row.key.step.as_str()).collect::<Vec<_>>(), ["truoc-5", "truoc-1"]);
    let told = &story[0];
    assert_eq!((told.state, told.message, told.address.as_str()), (ReminderState::Sent, Some(message), "a@x.example"));
    assert_eq!((told.answered_at, told.outcome.as_str(), told.code), (Some(at(5)), "accepted", 250));
    assert_eq!(told.reply, "reply to 2");
    let waits = &story[1];
    assert_eq!((waits.state, waits.message, waits.not_before), (ReminderState::Planned, None, at(60)));
    assert_eq!((waits.answered_at, waits.outcome.as_str(), waits.code), (None, "", 0));
}

pub async fn the_urgings_of_a_task_are_its_urging_reminders_with_the_last_answer<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, other) = (office.task().await, office.task().await);
    office.remind(task, "truoc-5").await;
    let urging = |step: &str, when| {
        let mut plan = due(key(step), when);
        plan.due[0].urging = true;
        plan
    };
    office.keep(1, task, urging("qua-han-1", 1)).await;
    let first = office.entry(task, &key("qua-han-1")).await.id;
    let message = office.bundle(&[first]).await;
    let refused = office.hand_over(2, message).await;
    office.answer(3, &refused, "transient", Next::Retry { at: at(4), spend: true }).await;
    let taken = office.hand_over(4, message).await;
    office.accept(5, &taken).await;
    office.keep(6, task, urging("qua-han-5", 60)).await;

    let found = office.store().urgings_of(&[other, task]).await.unwrap();
    assert!(!found.contains_key(&other), "nothing urged it");
    let told: Vec<_> = found[&task]
        .iter()
        .map(|row| (row.key.step.as_str(), row.state, row.due_at, row.answered_at, row.code, row.reply.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("qua-han-1", ReminderState::Sent, at(1), Some(at(5)), 250, "reply to 2"),
            ("qua-han-5", ReminderState::Planned, at(60), None, 0, ""),
        ]
    );
    assert!(office.store().urgings_of(&[]).await.unwrap().is_empty());
}

pub async fn the_story_knows_when_each_thing_came_about<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let (refused, twin) = (office.remind(task, "truoc-5").await, office.task().await);
    let with = office.remind(twin, "truoc-5").await;
    let message = office.bundle(&[refused, with]).await;
    let claimed = office.hand_over(0, message).await;
    office.answer(3, &claimed, "recipient", Next::Dead { fallback: true }).await;

    let story = office.story(task).await;
    let dead = story.iter().find(|row| row.id == refused).unwrap();
    assert_eq!((dead.state, dead.changed_at, dead.fallback_of), (ReminderState::Dead, at(3), None));
    assert!(dead.created_at <= dead.bundled_at.unwrap() && dead.bundled_at.unwrap() <= at(0));
    assert_eq!(dead.companions, 1, "the other task in the same message");
    assert!(!dead.recipient.is_empty());
    let [attempt] = dead.attempts.as_slice() else { panic!("{:?}", dead.attempts) };
    assert_eq!((attempt.message, attempt.started_at, attempt.ended_at), (message, at(0), Some(at(3))));
    assert_eq!((attempt.outcome.as_str(), attempt.address.as_str()), ("recipient", dead.address.as_str()));
    let instead = story.iter().find(|row| row.fallback_of == Some(refused)).unwrap();
    assert_eq!((instead.created_at, instead.attempts.len(), instead.bundled_at), (at(3), 0, None));
}

pub async fn a_task_s_notices_are_its_own_in_the_order_of_filing_with_their_withdrawal<D: Database>() {
    let office = Office::<D>::new().await;
    let (task, other) = (office.task().await, office.task().await);
    let mut again = notice(task);
    again.key.occurrence = 2;
    office.store().file_notices(&[notice(task), notice(other)], at(1)).await.unwrap();
    office.store().file_notices(&[again], at(2)).await.unwrap();
    let told = office.store().notices_of(task).await.unwrap();
    let brief: Vec<_> = told.iter().map(|one| (one.number, one.key.occurrence, one.filed_at)).collect();
    assert_eq!(brief, [(1, 1, at(1)), (3, 2, at(2))]);
    assert!(told.iter().all(|one| one.withdrawn_at.is_none() && one.key.step == notice(task).key.step));
    assert_eq!(office.store().notices_of(other).await.unwrap().len(), 1);
}

pub async fn a_message_is_found_by_its_number_and_by_every_message_id_it_ever_had<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two) = (office.task().await, office.task().await);
    let (first, second) = (office.remind(one, "truoc-5").await, office.remind(two, "truoc-5").await);
    let message = office.bundle(&[first, second]).await;
    let claimed = office.claim(0, message).await;
    let early = office.freezing(&claimed, 0).await;
    assert_eq!(office.store().freeze(at(0), vec![early.clone()]).await.unwrap(), [GateAnswer::Go]);
    office.answer(1, &claimed, "transient", Next::Retry { at: at(2), spend: true }).await;
    let claimed = office.claim(2, message).await;
    let late =
        dondoc::store::ledger::Freeze { message_id: "<anew@x.example>".into(), ..office.freezing(&claimed, 2).await };
    assert_eq!(office.store().freeze(at(2), vec![late]).await.unwrap(), [GateAnswer::Go]);
    assert_ne!(early.message_id, "<anew@x.example>");
    for asked in [message.to_string().as_str(), &early.message_id, "<anew@x.example>"] {
        let found = office.store().carried_by(asked).await.unwrap().unwrap_or_else(|| panic!("{asked}"));
        assert_eq!((found.id, found.address.as_str()), (message, "a@x.example"));
        assert_eq!(found.tasks, [(one, vec![first]), (two, vec![second])]);
    }
    for asked in ["9999", "<none@x.example>", "", "NV26-000001"] {
        assert_eq!(office.store().carried_by(asked).await.unwrap(), None, "{asked}");
    }
}

pub async fn the_directory_s_revision_rises_with_each_change<D: Database>() {
    let office = Office::<D>::new().await;
    let before = office.store().directory_revision().await.unwrap();
    let people = vec![person(HANDLER, "Trần Văn An", "a@x.example")];
    let changes = DirectoryChanges { people, ..DirectoryChanges::default() };
    office.database.intake().write_directory(&changes).await.unwrap();
    let after = office.store().directory_revision().await.unwrap();
    assert!(after > before);
    let rows = office.store().directory().await.unwrap();
    assert_eq!(rows.revision, after);
    assert_eq!((rows.agencies.len(), rows.people.len()), (2, 2));
    assert!(rows.people.iter().any(|one| one.id == HANDLER && one.name == "Trần Văn An"));
}

pub async fn an_agency_that_becomes_another_has_the_tasks_looked_at_anew<D: Database>() {
    let office = Office::<D>::new().await;
    let (store, stood) = (office.store(), office.database.intake().directory().await.unwrap().agencies);
    let change = async |mend: &dyn Fn(&mut AgencyRow)| {
        store.begin_look(7).await.unwrap();
        assert!(store.end_look(7).await.unwrap());
        let mut agencies = stood.clone();
        mend(&mut agencies[0]);
        let changes = DirectoryChanges { agencies, ..DirectoryChanges::default() };
        office.database.intake().write_directory(&changes).await.unwrap();
        let marked = store.mark(PLANNED_UNDER).await.unwrap();
        office
            .database
            .intake()
            .write_directory(&DirectoryChanges { agencies: stood.clone(), ..changes })
            .await
            .unwrap();
        marked
    };
    // Of what no rule asks.
    assert_eq!(change(&|_| ()).await, Some(7));
    assert_eq!(change(&|agency| agency.status_note = "đang sáp nhập".into()).await, Some(7));
    // Rules may name each of these.
    assert_eq!(change(&|agency| agency.block = Block::Party).await, None);
    assert_eq!(change(&|agency| agency.kind = "Ban".into()).await, None);
    assert_eq!(change(&|agency| agency.name = "Sở Nội vụ và Lao động".into()).await, None);
    assert_eq!(change(&|agency| agency.code = None).await, None);
    // A look that had begun before does not end it: half of its plans may be of the earlier directory.
    store.begin_look(8).await.unwrap();
    let mut agencies = stood.clone();
    agencies[0].kind = "Ban".into();
    let changes = DirectoryChanges { agencies, ..DirectoryChanges::default() };
    office.database.intake().write_directory(&changes).await.unwrap();
    assert!(!store.end_look(8).await.unwrap());
    assert_eq!(store.mark(PLANNED_UNDER).await.unwrap(), None);
}

pub async fn overdue_tasks_of_an_agency_are_those_it_leads<D: Database>() {
    let office = Office::<D>::new().await;
    let (_, done, submitted) = (office.task().await, office.task().await, office.task().await);
    office.task_with(0, |task| (task.held, task.next_look_at) = ("code_reused", None)).await;
    office.act(done, Act::Done { on: None }).await;
    office.act(submitted, Act::Submit).await;
    let store = office.store();
    assert_eq!(store.overdue_of(SNV, date(2026, 12, 15)).await.unwrap(), 0, "the day itself is in time");
    assert_eq!(store.overdue_of(SNV, date(2026, 12, 16)).await.unwrap(), 2);
    assert_eq!(store.overdue_of(STC, date(2026, 12, 16)).await.unwrap(), 0);
}

pub async fn a_register_filed_from_several_sides_has_no_gap<D: Database>() {
    let office = Office::<D>::new().await;
    let mut tasks = Vec::new();
    for _ in 0..12 {
        tasks.push(office.task().await);
    }
    // Some by the scan, some by themselves, one task of each pair by both at once, and one batch that fails.
    let mut filings = Vec::new();
    for pair in tasks.chunks(2) {
        let (store, a, b) = (office.store(), pair[0], pair[1]);
        filings.push(tokio::spawn(async move {
            store.file_notices(&[notice(a), notice(b)], at(1)).await.unwrap();
        }));
        let mut planned = office.planned(b, due(key("qua-han-10"), 0)).await;
        planned.notices.push(notice(b));
        let store = office.store();
        filings.push(tokio::spawn(async move {
            assert_eq!(store.save_plans(at(1), vec![planned]).await.unwrap().changed, 0);
        }));
        let store = office.store();
        filings.push(tokio::spawn(async move {
            let mut failing = notice(a);
            failing.key.step = "qua-han-20".into();
            failing.draft = Box::new(|_| Err("no".into()));
            store.file_notices(&[failing], at(1)).await.unwrap_err();
        }));
    }
    for filed in join_all(filings).await {
        filed.unwrap();
    }
    let notices = office.store().notices(0, 99).await.unwrap();
    assert_eq!(notices.iter().map(|line| line.number).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    let (mut head, mut entries) = (None, Vec::new());
    office
        .store()
        .walk_register(&mut |item| match item {
            RegisterItem::Head(row) => head = Some(row),
            // A history that a database was given lies before the first entry.
            RegisterItem::Entry(row) if row.seq < 1 => {}
            RegisterItem::Entry(row) => entries.push(row),
            RegisterItem::Notice(_) => {}
            other => panic!("{other:?}"),
        })
        .await
        .unwrap();
    assert_eq!(entries.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(entries.windows(2).all(|pair| pair[0].hash == pair[1].prev), "one chain");
    let head = head.unwrap();
    assert_eq!((head.seq, &head.hash), (12, &entries[11].hash));
}

pub async fn nothing_is_forgotten_when_the_process_ends<D: Database>() {
    let mut office = Office::<D>::new().await;
    let (task, message) = office.waiting().await;
    let claimed = office.hand_over(0, message).await;
    office.store().file_notices(&[notice(task)], at(0)).await.unwrap();
    let before = (office.record_of(task).await, office.story(task).await, office.message(message).await);
    office.database.reopen().await;
    assert_eq!((office.record_of(task).await, office.story(task).await, office.message(message).await), before);
    // Only the answer was late: it is still recorded.
    office.accept(1, &claimed).await;
    assert_eq!(office.fate(message).await, "sent");
}
