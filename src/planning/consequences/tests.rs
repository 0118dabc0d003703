//! Two sets of rules or two calendars over the same few tasks.

use jiff::{
    civil::{Time, Weekday::*, date},
    tz::TimeZone,
};

use super::*;
use crate::planning::{
    calendar::{Certainty, DayKind, Hours, SpecialDay},
    ledger::{LedgerEntry, ReminderKey, ReminderState},
    rules::{Late, Offset, Unit},
    task::{AgencyFacts, AgencyId, ArmedBy, Block, Deadline, ReminderId, Secrecy, TaskState, Urgency},
};

fn calendar(off: &[Date]) -> WorkCalendar {
    let special = off.iter().map(|date| SpecialDay {
        date: *date,
        kind: DayKind::Off,
        name: String::new(),
        basis: String::new(),
        certainty: Certainty::Law,
        part: None,
    });
    WorkCalendar::new(TimeZone::UTC, &[2026], &[Monday, Tuesday, Wednesday, Thursday, Friday], special)
}

fn step(id: &str, n: i32, audiences: &[Audience]) -> Step {
    Step {
        id: id.into(),
        due: Offset { n, unit: Unit::WorkingDays },
        at: Time::constant(8, 0, 0, 0),
        audiences: audiences.into(),
        via: vec![ChannelKind::Email],
        urging: false,
        files: Vec::new(),
        repeat: None,
        was: Vec::new(),
    }
}

fn rule(id: &str, when: When, steps: Vec<Step>) -> Rule {
    Rule {
        id: id.into(),
        when,
        clock: Clock::Completion,
        basis: None,
        hours_name: "normal".into(),
        hours: Hours { working_days_only: true, from: 450, until: 1050 },
        at: Time::constant(8, 0, 0, 0),
        bundle: true,
        late: Late::Latest,
        max_lateness: Offset { n: 10, unit: Unit::WorkingDays },
        daily_cap: None,
        effective_from: None,
        was: Vec::new(),
        steps,
    }
}

fn rules(rules: Vec<Rule>) -> Rules {
    Rules { rules, hours: BTreeMap::new() }
}

fn usual() -> Rules {
    let steps = vec![step("truoc-3", -3, &[Audience::Handler]), step("den-han", 0, &[Audience::Handler])];
    rules(vec![rule("chung", When::default(), steps)])
}

/// Due on Friday 27/11/2026, known for long.
fn task(id: i64) -> Task {
    let known_at = date(2026, 1, 5).to_zoned(TimeZone::UTC).unwrap().timestamp();
    Task {
        id: TaskId(id),
        code: format!("NV{id}"),
        state: TaskState::InProgress,
        state_since: known_at,
        resumed_at: None,
        state_count: 1,
        urgency: Urgency::Normal,
        secrecy: Secrecy::Open,
        assigner: "Thủ tướng Chính phủ".into(),
        assigner_block: Block::State,
        document_kind: String::new(),
        field: String::new(),
        priority: String::new(),
        known_at,
        held: false,
        obligations: vec![Obligation {
            role: Role::Lead,
            agency: AgencyFacts {
                id: AgencyId(1),
                code: "SNV".into(),
                name: "Sở Nội vụ".into(),
                block: Block::State,
                kind: String::new(),
            },
            clock: Clock::Completion,
            deadline: Some(Deadline { date: date(2026, 11, 27), time: None }),
            arming: 1,
            armed_at: known_at,
            armed_by: ArmedBy::Entered,
            overdue_from: None,
            bound: None,
            acknowledged_until: None,
            ended: false,
        }],
    }
}

fn now() -> Timestamp {
    date(2026, 11, 20).at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
}

fn edit(old: (&Rules, &WorkCalendar), new: (&Rules, &WorkCalendar), tasks: &[Task]) -> Consequences {
    let mut found = Consequences::default();
    let side = |(rules, calendar)| Side { rules, calendar };
    for task in tasks {
        found.weigh(now(), Some(side(old)), side(new), None, task, &Ledger::default());
    }
    found
}

fn of_step<'a>(found: &'a Consequences, step: &str) -> &'a StepChange {
    &found.steps[&("chung".to_owned(), step.to_owned())]
}

#[test]
fn no_edit_has_no_consequences() {
    let (rules, days) = (usual(), calendar(&[]));
    let found = edit((&rules, &days), (&rules, &days), &[task(1), task(2)]);
    assert_eq!((found.tasks, found.by_rule["chung"].tasks), (2, 2));
    assert!(found.steps.is_empty() && found.by_calendar.is_none() && found.deadlines.is_none());
    assert!(found.unmatched.is_empty() && found.uncovered.is_empty() && found.taken_over.is_empty());
}

#[test]
fn whoever_waits_for_a_step_that_vanishes_is_counted_once_and_the_first_five_are_named() {
    let days = calendar(&[]);
    let mut after = usual();
    after.rules[0].steps.remove(0);
    let tasks: Vec<Task> = (1..=7).map(task).collect();
    let found = edit((&usual(), &days), (&after, &days), &tasks);
    let gone = &of_step(&found, "truoc-3").gone;
    assert_eq!((gone.tasks, gone.codes.join(" ").as_str()), (7, "NV1 NV2 NV3 NV4 NV5"));
    assert_eq!(found.steps.len(), 1, "nothing becomes of the others");
}

#[test]
fn a_step_that_was_sent_or_is_past_is_waited_for_by_nobody() {
    let days = calendar(&[]);
    let mut after = usual();
    after.rules[0].steps.remove(0);
    let key = ReminderKey {
        clock: Clock::Completion,
        arming: 1,
        rule: "chung".into(),
        step: "truoc-3".into(),
        occurrence: 1,
        agency: AgencyId(1),
        audience: Audience::Handler,
        channel: ChannelKind::Email,
    };
    let sent = LedgerEntry { id: ReminderId(1), key, due_at: now(), urging: false, state: ReminderState::Sent };
    let ledger = Ledger { reminders: vec![sent], filed: Vec::new() };
    let (old, new) = (usual(), after);
    let (old, new) = (Side { rules: &old, calendar: &days }, Side { rules: &new, calendar: &days });
    let mut found = Consequences::default();
    found.weigh(now(), Some(old), new, None, &task(1), &ledger);
    let later = date(2026, 11, 26).at(9, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
    found.weigh(later, Some(old), new, None, &task(2), &Ledger::default());
    let mut paused = task(3);
    paused.state = TaskState::Paused;
    found.weigh(now(), Some(old), new, None, &paused, &Ledger::default());
    assert_eq!(found.steps, BTreeMap::new());
}

#[test]
fn a_renamed_step_is_the_same_and_an_edited_one_that_comes_into_the_past_never_fires() {
    let days = calendar(&[]);
    let mut after = usual();
    after.rules[0].steps[0].id = "nhac-truoc".into();
    after.rules[0].steps[0].was = vec!["truoc-3".into()];
    assert_eq!(edit((&usual(), &days), (&after, &days), &[task(1)]).steps, BTreeMap::new());
    // -9wd of 27/11 is 16/11: past.
    after.rules[0].steps[0].due.n = -9;
    let found = edit((&usual(), &days), (&after, &days), &[task(1)]);
    let change = of_step(&found, "nhac-truoc");
    let moved = change.moved.as_ref().unwrap();
    assert_eq!((moved.earlier, moved.later, change.never.tasks, change.at_once.tasks), (1, 0, 1, 0));
    assert!(moved.example.1 < now() && found.by_calendar.is_none());
}

#[test]
fn a_day_off_moves_steps_and_deadlines_and_what_comes_into_the_past_fires_at_once() {
    let rules = usual();
    let (before, after) = (calendar(&[]), calendar(&[date(2026, 11, 24), date(2026, 11, 25), date(2026, 11, 26)]));
    let found = edit((&rules, &before), (&rules, &after), &[task(1)]);
    let moved = found.by_calendar.as_ref().unwrap();
    assert_eq!((moved.tasks.tasks, moved.earlier, moved.later), (1, 1, 0));
    assert_eq!(of_step(&found, "truoc-3").at_once.tasks, 1, "24/11 became 19/11");
    assert_eq!(of_step(&found, "truoc-3").never.tasks, 0);
    // The deadline's own day.
    let found = edit((&rules, &before), (&rules, &calendar(&[date(2026, 11, 27)])), &[task(1)]);
    assert_eq!(found.deadlines.unwrap().example, (date(2026, 11, 27), date(2026, 11, 30)));
}

#[test]
fn tasks_that_change_rule_that_lose_theirs_and_that_have_none_are_told_apart() {
    let days = calendar(&[]);
    let other = When { assigner: vec![fold("Thủ tướng Chính phủ")], ..When::default() };
    let mut before_other = rules(vec![rule("rieng", other, usual().rules[0].steps.clone())]);
    before_other.rules.extend(usual().rules);
    // A rule of its own comes before the general one.
    let found = edit((&usual(), &days), (&before_other, &days), &[task(1)]);
    assert_eq!(found.taken_over[&("chung".to_owned(), "rieng".to_owned())].tasks, 1);
    // It goes again.
    let found = edit((&before_other, &days), (&usual(), &days), &[task(1)]);
    assert_eq!(found.rule_gone["rieng"].tasks, 1);
    // And no general one is left.
    let nobody = When { assigner: vec![fold("Thủ tướng")], ..When::default() };
    let none = rules(vec![rule("chung", nobody, usual().rules[0].steps.clone())]);
    let found = edit((&usual(), &days), (&none, &days), &[task(1)]);
    assert_eq!(found.lost["chung"].tasks, 1);
    assert_eq!(found.unmatched[&(Clock::Completion, Role::Lead)].codes, ["NV1"]);
    assert_eq!(found.knows("assigner", &fold("Thủ tướng")), Some(false));
    assert_eq!(found.knows("assigner", &fold("thủ tướng chính phủ")), Some(true));
    assert_eq!(found.knows("field", "x"), None, "no task has a field: nothing can be said");
}

#[test]
fn who_gains_and_who_loses_a_step_is_told_and_years_without_a_list_are_found() {
    let days = calendar(&[]);
    let mut after = usual();
    after.rules[0].steps[1].audiences = vec![Audience::AgencyHead];
    after.rules[0].steps.push(step("qua-han-60", 60, &[Audience::AgencyHead]));
    let found = edit((&usual(), &days), (&after, &days), &[task(1)]);
    let change = of_step(&found, "den-han");
    assert_eq!(change.readdressed.tasks, 1);
    assert_eq!((change.gained.iter().next().unwrap().as_str(), change.lost.len()), ("agency_head/email", 1));
    assert_eq!(found.uncovered[&2027].tasks, 1);
}
