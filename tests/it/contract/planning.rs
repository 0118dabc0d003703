//! What a pass over the tasks may rely on.

use dondoc::{
    planning::{
        ledger::ReminderState,
        plan::{Because, Binding, Displaced, Plan, Skipped},
        task::{Clock, TaskId, TaskState},
    },
    store::{
        acts::Act,
        policy::{AcceptedPolicy, PLANNED_UNDER},
        register::{NewNotice, NoticeKey, SealedEntry, SealedNotice},
    },
};

use super::{
    Database,
    office::{Office, SNV, at, due, key},
};

/// A notice about a task, of which only `task` differs.
pub fn notice(task: TaskId) -> NewNotice {
    NewNotice {
        key: NoticeKey {
            task,
            clock: Clock::Completion,
            arming: 1,
            agency: SNV,
            rule: "ubnd".into(),
            step: "qua-han-10".into(),
            occurrence: 1,
        },
        due_at: at(0),
        year: 2026,
        draft: Box::new(|place| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&place.entry.seq.to_be_bytes());
            Ok(SealedNotice {
                entry: SealedEntry {
                    kind: "notice".into(),
                    format: 1,
                    fields: place.number.to_be_bytes().to_vec(),
                    hash,
                    personal: Vec::new(),
                },
                facts: "{}".into(),
                facts_hash: String::new(),
                files: Vec::new(),
            })
        }),
    }
}

/// One that cannot be drawn up.
fn hopeless(task: TaskId) -> NewNotice {
    NewNotice { draft: Box::new(|_| Err("the agency has no name".into())), ..notice(task) }
}

pub async fn due_tasks_come_longest_waiting_first_and_only_open_unheld_ones<D: Database>() {
    let office = Office::<D>::new().await;
    let second = office.task_with(-10, |_| {}).await;
    let first = office.task_with(-20, |_| {}).await;
    let third = office.task_with(0, |_| {}).await;
    office.task_with(1, |_| {}).await;
    office.task_with(-30, |task| (task.held, task.next_look_at) = ("agency_unknown", None)).await;
    let done = office.task_with(-40, |_| {}).await;
    office.act(done, Act::Done { on: None }).await;

    let ids = |records: Vec<dondoc::store::ledger::TaskRecord>| records.iter().map(|r| r.task.id).collect::<Vec<_>>();
    assert_eq!(ids(office.store().due_tasks(at(0), 10).await.unwrap()), [first, second, third]);
    assert_eq!(ids(office.store().due_tasks(at(0), 2).await.unwrap()), [first, second]);
    assert_eq!(ids(office.store().due_tasks(at(-21), 10).await.unwrap()), []);
    assert_eq!(office.store().next_look().await.unwrap(), Some(at(-20)));
}

pub async fn a_page_of_open_tasks_goes_on_after_the_last_one<D: Database>() {
    let office = Office::<D>::new().await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(office.task().await);
    }
    office.act(all.remove(2), Act::Withdraw).await;
    let (mut seen, mut after) = (Vec::new(), TaskId(0));
    loop {
        let page = office.store().open_tasks(after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.task.id;
        seen.extend(page.iter().map(|record| record.task.id));
    }
    assert_eq!(seen, all);
}

pub async fn a_plan_kept_twice_gives_each_reminder_once<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let first = office.keep(0, task, due(key("truoc-5"), 0)).await;
    assert_eq!((first.planned, first.changed), (1, 0));
    let entry = office.entry(task, &key("truoc-5")).await;
    // It was sent meanwhile: a second plan with the same step neither repeats nor revives it, nor counts it.
    let message = office.bundle(&[entry.id]).await;
    let claimed = office.hand_over(0, message).await;
    office.accept(0, &claimed).await;
    let again = office.keep(1, task, due(key("truoc-5"), 1)).await;
    assert_eq!((again.planned, again.changed), (0, 0));
    let story = office.story(task).await;
    assert_eq!(story.len(), 1);
    assert_eq!((story[0].state, story[0].due_at), (ReminderState::Sent, at(0)));
    // Another occurrence is another reminder.
    let repeat = dondoc::planning::ledger::ReminderKey { occurrence: 2, ..key("truoc-5") };
    assert_eq!(office.keep(2, task, due(repeat, 2)).await.planned, 1);
    assert_eq!(office.story(task).await.len(), 2);
}

pub async fn a_task_that_changed_since_it_was_read_is_left_alone<D: Database>() {
    let office = Office::<D>::new().await;
    for act in [Act::Done { on: None }, Act::Pause, Act::AskExtension] {
        let (changed, same) = (office.task().await, office.task().await);
        let mut plans = vec![
            office.planned(changed, due(key("truoc-5"), 0)).await,
            office.planned(same, due(key("truoc-5"), 0)).await,
        ];
        plans[0].notices.push(notice(changed));
        office.act(changed, act.clone()).await;
        let before = office.record_of(changed).await;
        let saved = office.store().save_plans(at(2), plans).await.unwrap();
        assert_eq!((saved.planned, saved.changed, saved.filed.len()), (1, 1, 0), "{act:?}");
        assert_eq!(office.record_of(changed).await, before, "{act:?}");
        assert_eq!(office.state_of(same).await, ReminderState::Planned);
        assert_eq!(office.record_of(same).await.next_look_at, Some(at(600)));
    }
}

/// The simulation found it: two acts and a reload in the instant of the scan had brought the next look back to what the
/// scan had read, and a plan made before all three was kept.
pub async fn changes_within_one_instant_make_a_plan_outdated_however_many_they_are<D: Database>() {
    let office = Office::<D>::new().await;
    let contact = || Act::LogContact {
        clock: Clock::Completion,
        agency: SNV,
        form: dondoc::store::acts::ContactForm::Telephone,
        whom: String::new(),
        outcome: String::new(),
    };
    for (acts, looks) in [(1, 0), (2, 0), (3, 0), (0, 1), (0, 2), (1, 1), (2, 1), (1, 2), (2, 2)] {
        for at_once in [false, true] {
            // Also where the scan itself is of another instant than the changes.
            let task = office.task_with(if at_once { 0 } else { -5 }, |_| {}).await;
            let planned = office.planned(task, due(key("truoc-5"), 0)).await;
            for _ in 0..acts {
                office.act_at(0, task, contact()).await;
            }
            for _ in 0..looks {
                office.store().look_again(at(0), TaskId(task.0 - 1), 1).await.unwrap();
            }
            let saved = office.store().save_plans(at(0), vec![planned]).await.unwrap();
            assert_eq!((saved.planned, saved.changed), (0, 1), "{acts} acts, {looks} looks, {at_once}");
            assert!(office.story(task).await.is_empty());
            // What is read now is kept, once.
            let planned = async || office.planned(task, due(key("truoc-5"), 0)).await;
            let (first, second) = (planned().await, planned().await);
            assert_eq!(office.store().save_plans(at(0), vec![first]).await.unwrap().changed, 0);
            assert_eq!(office.store().save_plans(at(0), vec![second]).await.unwrap().changed, 1);
        }
    }
}

pub async fn everything_a_plan_says_is_kept_together<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let mut plan = due(key("qua-han-10"), 5);
    plan.skipped.push(Skipped { key: key("truoc-5"), due_at: at(-90), urging: true, because: Because::LateEntry });
    plan.bindings.push(Binding { clock: Clock::Completion, agency: SNV, rule: "ubnd".into(), since: at(3) });
    let mut planned = office.planned(task, plan).await;
    planned.notices.push(notice(task));
    let saved = office.store().save_plans(at(4), vec![planned]).await.unwrap();
    assert_eq!((saved.planned, saved.superseded, saved.filed), (1, 1, vec![(2026, 1)]));
    assert_eq!(office.told(task).await, ["qua-han-10: planned", "truoc-5: superseded late_entry"]);
    let record = office.record_of(task).await;
    assert_eq!(record.next_look_at, Some(at(600)));
    assert_eq!(record.task.obligations[0].bound, Some(("ubnd".into(), at(3))));
    assert_eq!(record.ledger.filed.len(), 1);
    assert_eq!(office.store().next_move().await.unwrap(), Some(at(5)));
}

pub async fn a_notice_that_cannot_be_drawn_up_keeps_nothing_of_its_batch<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two) = (office.task().await, office.task().await);
    let waiting = office.remind(two, "truoc-5").await;
    let before = (office.record_of(one).await, office.record_of(two).await);

    let mut first = office.planned(one, due(key("qua-han-10"), 0)).await;
    first.plan.bindings.push(Binding { clock: Clock::Completion, agency: SNV, rule: "ubnd".into(), since: at(3) });
    first.notices.push(notice(one));
    let mut second = office.planned(two, due(key("qua-han-10"), 0)).await;
    let entry = office.entry(two, &key("truoc-5")).await;
    assert_eq!(entry.id, waiting);
    second.plan.displaced.push(Displaced { entry, because: Because::SevererStep });
    second.notices.push(hopeless(two));
    let error = office.store().save_plans(at(4), vec![first, second]).await.unwrap_err();
    assert!(error.is_of_the_row() && error.to_string().contains("no name"), "{error}");

    assert_eq!((office.record_of(one).await, office.record_of(two).await), before);
    assert_eq!(office.store().register_head().await.unwrap().seq, 0);
    // The number and the place that were tried are given again.
    let mut again = office.planned(one, due(key("qua-han-10"), 0)).await;
    again.notices.push(notice(one));
    assert_eq!(office.store().save_plans(at(5), vec![again]).await.unwrap().filed, [(2026, 1)]);
    assert_eq!(office.store().register_head().await.unwrap().seq, 1);
}

async fn displace<D: Database>(office: &Office<D>, task: TaskId, step: &str) -> u64 {
    let mut plan = due(key("qua-han-1"), 1);
    let entry = office.entry(task, &key(step)).await;
    plan.displaced.push(Displaced { entry, because: Because::SevererStep });
    office.keep(1, task, plan).await.superseded
}

pub async fn displaced_reminders_leave_no_empty_message<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two, three) = (office.task().await, office.task().await, office.task().await);
    let (a, b, c) = (
        office.remind(one, "truoc-5").await,
        office.remind(two, "truoc-5").await,
        office.remind(three, "truoc-5").await,
    );
    let (alone, shared) = (office.bundle(&[a]).await, office.bundle(&[b, c]).await);
    assert_eq!(displace(&office, one, "truoc-5").await, 1);
    assert_eq!(displace(&office, two, "truoc-5").await, 1);
    assert_eq!(office.fate(alone).await, "suppressed nothing_left");
    assert_eq!(office.fate(shared).await, "pending");
    assert_eq!(office.told(one).await, ["qua-han-1: planned", "truoc-5: superseded severer_step"]);
    // What stays in the shared one is what its sender will see.
    let rows = office.claim(1, shared).await.rows;
    assert_eq!(rows.iter().map(|row| row.reminder).collect::<Vec<_>>(), [c]);
}

pub async fn what_is_being_sent_is_not_displaced<D: Database>() {
    let office = Office::<D>::new().await;
    let (leased, leased_message) = office.waiting().await;
    let claimed = office.claim(0, leased_message).await;
    assert_eq!(displace(&office, leased, "truoc-5").await, 0);
    assert_eq!(office.freeze(&claimed, 1).await, dondoc::store::ledger::GateAnswer::Go);
    office.accept(1, &claimed).await;
    assert_eq!(office.told(leased).await, ["qua-han-1: planned", "truoc-5: sent"]);

    let (repeated, repeated_message) = office.waiting().await;
    let claimed = office.hand_over(0, repeated_message).await;
    office.answer(1, &claimed, "unknown", dondoc::store::ledger::Next::Repeat { at: at(1), spend: true }).await;
    assert_eq!(displace(&office, repeated, "truoc-5").await, 0);
    assert_eq!(office.fate(repeated_message).await, "pending");
}

pub async fn what_is_pushed_is_looked_at_later_and_all_are_looked_at_when_the_rules_change<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two) = (office.task().await, office.task_with(30, |_| {}).await);
    let done = office.task().await;
    office.act(done, Act::Done { on: None }).await;
    let read = async |task| (task, office.record_of(task).await.revision);
    office.store().push(&[read(one).await, read(done).await], at(60)).await.unwrap();
    assert_eq!(office.record_of(one).await.next_look_at, Some(at(60)));
    assert_eq!(office.record_of(done).await.next_look_at, None);
    assert_eq!(office.record_of(done).await.task.state, TaskState::Done);
    let all = async |at| office.store().look_again(at, TaskId(0), 100).await.unwrap();
    assert_eq!(all(at(5)).await, (2, Some(two)));
    assert_eq!(office.store().due_tasks(at(5), 10).await.unwrap().len(), 2);
    assert_eq!(office.record_of(two).await.next_look_at, Some(at(5)));
    // One that changed since it was found unfit to be planned keeps its look.
    let stale = read(one).await;
    assert_eq!(all(at(6)).await.0, 2);
    office.store().push(&[stale, read(two).await], at(60)).await.unwrap();
    assert_eq!(office.record_of(one).await.next_look_at, Some(at(6)));
    assert_eq!(office.record_of(two).await.next_look_at, Some(at(60)));
    // A page at a time, and nothing beyond it.
    assert_eq!(office.store().look_again(at(90), TaskId(0), 1).await.unwrap(), (1, Some(one)));
    assert_eq!(office.record_of(one).await.next_look_at, Some(at(90)));
    assert!(office.record_of(two).await.next_look_at < Some(at(90)));
    assert_eq!(office.store().look_again(at(90), one, 1).await.unwrap(), (1, Some(two)));
    assert_eq!(office.store().look_again(at(90), two, 1).await.unwrap(), (0, None));
}

pub async fn a_page_looked_at_again_frees_what_waits_for_its_tasks_only<D: Database>() {
    let office = Office::<D>::new().await;
    let (one, two) = (office.task().await, office.task().await);
    for task in [one, two] {
        let mut plan = due(key("truoc-5"), 0);
        plan.due[0].send_at = at(600);
        let plan = office.planned(task, plan).await;
        assert_eq!(office.store().save_plans(at(0), vec![plan]).await.unwrap().planned, 1);
    }
    let ready = async || {
        let rows = office.store().ready_reminders(at(1)).await.unwrap();
        rows.iter().map(|row| row.task).collect::<Vec<_>>()
    };
    assert_eq!(ready().await, []);
    office.store().look_again(at(1), TaskId(0), 1).await.unwrap();
    assert_eq!(ready().await, [one]);
    office.store().look_again(at(1), one, 1).await.unwrap();
    assert_eq!(ready().await, [one, two]);
}

pub async fn policies_are_kept_when_they_change_and_found_by_the_day_they_held<D: Database>() {
    let mut office = Office::<D>::new().await;
    let policy = |digest: &str, minutes| AcceptedPolicy {
        accepted_at: at(minutes),
        digest: digest.to_owned(),
        rules: format!("# quy tắc {digest}\n"),
        calendar: "covers = [2026]\n".to_owned(),
    };
    assert_eq!(office.store().policy_in_force().await.unwrap(), None);
    assert_eq!(office.store().policy_at(at(0)).await.unwrap(), None);
    for (digest, minutes, kept) in [("a", 0, true), ("a", 5, false), ("b", 10, true), ("a", 20, true)] {
        assert_eq!(office.store().accept_policy(&policy(digest, minutes)).await.unwrap(), kept, "{digest} {minutes}");
    }
    office.database.reopen().await;
    assert_eq!(office.store().policy_in_force().await.unwrap(), Some(policy("a", 20)));
    for (minutes, held) in
        [(-1, None), (0, Some(("a", 0))), (9, Some(("a", 0))), (10, Some(("b", 10))), (99, Some(("a", 20)))]
    {
        let held = held.map(|(digest, minutes)| policy(digest, minutes));
        assert_eq!(office.store().policy_at(at(minutes)).await.unwrap(), held, "{minutes}");
    }
}

pub async fn steps_are_known_since_they_were_accepted_last<D: Database>() {
    let office = Office::<D>::new().await;
    let step = |step: &str, definition: &str, since| ("ubnd".to_owned(), step.to_owned(), definition.to_owned(), since);
    office.store().accept_steps(&[step("truoc-5", "-5wd", at(0)), step("qua-han-1", "+1wd", at(0))]).await.unwrap();
    office.store().accept_steps(&[step("truoc-5", "-7wd", at(9))]).await.unwrap();
    let (known, mut definitions) = office.store().steps_known().await.unwrap();
    definitions.sort();
    let pair = |step: &str| ("ubnd".to_owned(), step.to_owned());
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(pair("qua-han-1"), at(0)), (pair("truoc-5"), at(9))]);
    let definition = |step: &str, text: &str| ("ubnd".to_owned(), step.to_owned(), text.to_owned());
    assert_eq!(definitions, [definition("qua-han-1", "+1wd"), definition("truoc-5", "-7wd")]);
}

pub async fn marks_are_set_changed_and_cleared<D: Database>() {
    let office = Office::<D>::new().await;
    let store = office.store();
    assert_eq!(store.mark("last_pass").await.unwrap(), None);
    store.set_mark("last_pass", 1).await.unwrap();
    store.set_mark("stop_from", i64::MAX).await.unwrap();
    store.set_mark("last_pass", -2).await.unwrap();
    assert_eq!(store.mark("last_pass").await.unwrap(), Some(-2));
    store.clear_mark("last_pass").await.unwrap();
    store.clear_mark("last_pass").await.unwrap();
    assert_eq!(store.mark("last_pass").await.unwrap(), None);
    assert_eq!(store.mark("stop_from").await.unwrap(), Some(i64::MAX));
}

/// An agency that coordinated and now leads is under another rule because it leads, not because the rules changed.
pub async fn a_new_arming_is_under_no_rule_yet<D: Database>() {
    let office = Office::<D>::new().await;
    let task = office.task().await;
    let lead = office.record_of(task).await.task.obligations[0].clone();
    let binding = Binding { clock: lead.clock, agency: lead.agency.id, rule: "chung".to_owned(), since: at(0) };
    office.keep(0, task, Plan { bindings: vec![binding], ..due(key("truoc-5"), 0) }).await;
    assert!(office.record_of(task).await.task.obligations[0].bound.is_some());
    let later = Act::Extend {
        clock: lead.clock,
        date: jiff::civil::date(2026, 12, 31),
        time: None,
        decided_on: None,
        approver: String::new(),
    };
    office.act(task, later).await;
    let again = office.record_of(task).await.task.obligations[0].clone();
    assert_eq!((again.arming, again.bound), (2, None));
}

/// Under which rules all next looks are is known only as long as nobody plans by others.
pub async fn plans_made_under_other_rules_take_away_the_mark_that_all_are_under_these<D: Database>() {
    let office = Office::<D>::new().await;
    let store = office.store();
    let under = async || store.mark(PLANNED_UNDER).await.unwrap();
    let keep = async |under| {
        let task = office.task().await;
        let planned = dondoc::store::ledger::Planned { under, ..office.planned(task, due(key("truoc-5"), 0)).await };
        assert_eq!(store.save_plans(at(0), vec![planned]).await.unwrap().planned, 1);
    };
    store.begin_look(7).await.unwrap();
    assert_eq!(under().await, None, "it is not said before all were looked at");
    keep(7).await;
    assert!(store.end_look(7).await.unwrap());
    keep(7).await;
    assert_eq!(under().await, Some(7));
    // By another sender, after, and in the middle of it.
    keep(8).await;
    assert_eq!(under().await, None);
    store.begin_look(7).await.unwrap();
    keep(8).await;
    assert!(!store.end_look(7).await.unwrap());
    assert_eq!(under().await, None);
    // Two look at once: at most the one that began last may say so.
    store.begin_look(7).await.unwrap();
    store.begin_look(8).await.unwrap();
    assert!(!store.end_look(7).await.unwrap());
    assert!(store.end_look(8).await.unwrap());
    assert_eq!(under().await, Some(8));
    // Two by the same files do not disturb each other.
    store.begin_look(8).await.unwrap();
    store.begin_look(8).await.unwrap();
    assert!(store.end_look(8).await.unwrap() && store.end_look(8).await.unwrap());
    // What was refused, because the task had changed, is under no rules.
    let task = office.task().await;
    let stale = dondoc::store::ledger::Planned { under: 9, ..office.planned(task, due(key("truoc-5"), 0)).await };
    office.act(task, Act::Pause).await;
    assert_eq!(store.save_plans(at(0), vec![stale]).await.unwrap().changed, 1);
    assert_eq!(under().await, Some(8));
}
