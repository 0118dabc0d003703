//! Looking ahead: the ladder that is climbed once says what looking again and again would say; what travels together is
//! what bundling puts together; a difference of two plans is what both differ in.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod travel;

use std::{collections::BTreeSet, sync::LazyLock};

use dondoc::{
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        shipped,
    },
    planning::{
        calendar::{Hours, Uncovered, WorkCalendar},
        ledger::{Ledger, LedgerEntry, ReminderState},
        plan::{Setting, StepsKnown, Stop, plan},
        rules::{Late, Rules},
        simulate::{Decided, Foreseen, ledger_at, simulate},
        task::{
            AgencyFacts, AgencyId, ArmedBy, Block, Clock, Deadline, Obligation, ReminderId, Role, Secrecy, Task,
            TaskId, TaskState, Urgency,
        },
    },
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, date},
    tz::TimeZone,
};
use proptest::prelude::*;

/// The shipped calendar and rules, and rules with other steps under the same ids, a renamed step, hours that make
/// letters wait, and a rule that takes tasks over from another.
static OFFICE: LazyLock<(WorkCalendar, [Rules; 3])> = LazyLock::new(|| {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let (calendar, _) = parse_calendar(&Source::new("calendar.toml", shipped::CALENDAR), zone).unwrap();
    let shipped = parse_rules(&Source::new("rules.toml", shipped::RULES), &RulesContext::unknown()).unwrap().0.rules;
    let (mut moved, mut slow) = (shipped.clone(), shipped.clone());
    for step in moved.rules.iter_mut().flat_map(|rule| &mut rule.steps) {
        match step.id.as_str() {
            "truoc-3" => step.due.n = -2,
            "qua-han-5" => (step.id, step.was) = ("qua-han-nang".to_owned(), vec!["qua-han-5".to_owned()]),
            _ => {}
        }
    }
    for rule in &mut slow.rules {
        (rule.late, rule.hours.from, rule.hours.until) = (Late::Skip, 16 * 60, 16 * 60 + 30);
        match rule.id.as_str() {
            "khan" => rule.when.urgency.push(Urgency::Normal),
            // Some days apart they wait so long that a severer step overtakes them.
            "phoi-hop" => rule.hours = Hours { working_days_only: true, from: 0, until: 1 },
            _ => {}
        }
    }
    (calendar.calendar, [shipped, moved, slow])
});

fn at(day: Date, minute: i64) -> Timestamp {
    OFFICE.0.instant(day, Time::midnight()) + minute.minutes()
}

fn task() -> impl Strategy<Value = Task> {
    let day = || (0..540i64).prop_map(|n| date(2026, 1, 5).checked_add(n.days()).unwrap());
    let deadline = (day(), prop::option::of(0..24i8));
    let entered = (-60..60i64, 0..1440i64);
    let which = (0..Urgency::ALL.len(), 0..Block::ALL.len(), 0..3usize, any::<bool>(), 0..ArmedBy::ALL.len());
    let states = (
        prop_oneof![4 => Just(TaskState::InProgress), 1 => (0..TaskState::ALL.len()).prop_map(|n| TaskState::ALL[n])],
        any::<bool>(),
        prop::option::of(-30..60i64),
        prop::option::of(0..90i64),
    );
    (deadline, prop::option::of(day()), entered, which, states).prop_map(
        |((due, hour), report, (days, minute), which, states)| {
            let (urgency, block, secrecy, coordinated, armed_by) = which;
            let (state, held, resumed, acknowledged) = states;
            let known_at = at(due.checked_add(days.days()).unwrap(), minute);
            let agency = |id, block| AgencyFacts {
                id: AgencyId(id),
                code: format!("CQ{id}"),
                name: format!("Cơ quan {id}"),
                block,
                kind: String::new(),
            };
            let obligation = |role, agency, clock, date| Obligation {
                role,
                agency,
                clock,
                deadline: Some(Deadline { date, time: hour.map(|hour| Time::constant(hour, 0, 0, 0)) }),
                arming: 1,
                armed_at: known_at,
                armed_by: ArmedBy::ALL[armed_by],
                overdue_from: (ArmedBy::ALL[armed_by] == ArmedBy::Advanced).then(|| OFFICE.0.date_of(known_at)),
                bound: None,
                acknowledged_until: acknowledged.map(|days| known_at + (24 * days).hours()),
                ended: false,
            };
            let lead = agency(1, Block::ALL[block]);
            let mut obligations = vec![obligation(Role::Lead, lead.clone(), Clock::Completion, due)];
            obligations.extend(report.map(|date| obligation(Role::Lead, lead, Clock::Report, date)));
            if coordinated {
                obligations.push(obligation(Role::Coordinator, agency(2, Block::State), Clock::Completion, due));
                obligations.push(obligation(Role::Coordinator, agency(3, Block::Party), Clock::Completion, due));
            }
            Task {
                id: TaskId(1),
                code: "NV26-000001".to_owned(),
                state,
                state_since: known_at,
                resumed_at: resumed.map(|days| known_at + (24 * days).hours()),
                state_count: 1,
                urgency: Urgency::ALL[urgency],
                secrecy: Secrecy::ALL[secrecy],
                assigner: String::new(),
                assigner_block: Block::State,
                document_kind: String::new(),
                field: String::new(),
                priority: String::new(),
                known_at,
                held: held && minute % 10 == 0,
                obligations,
            }
        },
    )
}

/// What the planner answers when it is asked at each of its next looks, with the ledger kept in between.
struct Asked {
    decided: Vec<Decided>,
    ledger: Ledger,
    task: Task,
}

fn ask_at_each_look(setting: &Setting<'_>, task: &Task, ledger: &Ledger, until: Timestamp) -> Result<Asked, Uncovered> {
    let (mut ledger, mut task, mut setting) = (ledger.clone(), task.clone(), *setting);
    let mut decided: Vec<Decided> = Vec::new();
    let mut waiting: Vec<(usize, Timestamp)> = Vec::new();
    loop {
        for (index, _) in waiting.extract_if(.., |(_, leaves)| *leaves < setting.now) {
            ledger.reminders[index].state = ReminderState::Sent;
        }
        let planned = plan(&setting, &task, &ledger)?;
        for displaced in &planned.displaced {
            for (index, entry) in ledger.reminders.iter_mut().enumerate() {
                if entry.key == displaced.entry.key {
                    entry.state = ReminderState::Superseded;
                    waiting.retain(|(waits, _)| *waits != index);
                }
            }
            decided.retain(|d| !matches!(&d.what, Foreseen::Reminder(due) if due.key == displaced.entry.key));
        }
        for binding in planned.bindings {
            for obligation in &mut task.obligations {
                if obligation.clock == binding.clock && obligation.agency.id == binding.agency {
                    obligation.bound = Some((binding.rule.clone(), binding.since));
                }
            }
        }
        let mut record = |key: &dondoc::planning::ledger::ReminderKey, due_at, urging, state| {
            let id = ReminderId(-1 - ledger.reminders.len() as i64);
            ledger.reminders.push(LedgerEntry { id, key: key.clone(), due_at, urging, state });
            ledger.reminders.len() - 1
        };
        for due in planned.due {
            waiting.push((record(&due.key, due.due_at, due.urging, ReminderState::Planned), due.send_at));
            decided.push(Decided { at: setting.now, what: Foreseen::Reminder(due) });
        }
        for skipped in planned.skipped {
            record(&skipped.key, skipped.due_at, skipped.urging, ReminderState::Superseded);
            decided.push(Decided { at: setting.now, what: Foreseen::Silent(skipped) });
        }
        for filing in planned.filings {
            ledger.filed.push(filing.key.clone());
            decided.push(Decided { at: setting.now, what: Foreseen::Notice(filing) });
        }
        setting.stopped = None;
        match planned.next_look {
            Some(next) if next <= until => setting.now = next,
            _ => break,
        }
    }
    for (index, _) in waiting.iter().filter(|(_, leaves)| *leaves < until) {
        ledger.reminders[*index].state = ReminderState::Sent;
    }
    Ok(Asked { decided, ledger, task })
}

/// Since when the steps of other rules are accepted that came into force at `now`.
fn accepted(now: Timestamp, rules: &Rules) -> StepsKnown {
    let steps = rules.rules.iter().flat_map(|rule| rule.steps.iter().map(move |step| (rule, step)));
    steps.filter(|(_, step)| !step.was.is_empty()).map(|(r, s)| ((r.id.clone(), s.id.clone()), now)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// From any moment, with whatever is on record by then, also after a stop and under other rules: the same events in
    /// the same order.
    #[test]
    fn climbing_once_says_what_asking_at_each_look_says(
        task in task(),
        (before, after) in (0..3usize, 0..3usize),
        days in (-20..90i64, 1..150i64),
        asleep in any::<bool>(),
    ) {
        let (calendar, all) = &*OFFICE;
        let (none, start) = (StepsKnown::new(), task.known_at);
        let now = start + (24 * days.0).hours();
        let early = Setting { now: start, calendar, rules: &all[before], known: &none, stopped: None };
        // What happened until then is what looking found.
        let past = if now > start { Some(ask_at_each_look(&early, &task, &Ledger::default(), now - 1.millisecond()).unwrap()) } else { None };
        let (task, ledger) = past.map_or((task, Ledger::default()), |past| (past.task, past.ledger));
        let known = accepted(now, &all[after]);
        let stopped = if asleep { Stop::between(now - 30.hours(), now) } else { None };
        let setting = Setting { now, calendar, rules: &all[after], known: &known, stopped };
        let until = now + (24 * days.1).hours();
        let asked = ask_at_each_look(&setting, &task, &ledger, until).map(|asked| asked.decided);
        prop_assert_eq!(simulate(&setting, &task, &ledger, until), asked);
    }

    /// The ledger that texts are composed from: what was displaced aside, each reminder stands as looking left it.
    #[test]
    fn the_ledger_of_a_coming_day_is_the_one_looking_keeps(task in task(), days in 1..150i64) {
        let (calendar, all) = &*OFFICE;
        let known = StepsKnown::new();
        let setting = Setting { now: task.known_at, calendar, rules: &all[0], known: &known, stopped: None };
        let until = task.known_at + (24 * days).hours();
        let asked = ask_at_each_look(&setting, &task, &Ledger::default(), until).unwrap();
        let decided = simulate(&setting, &task, &Ledger::default(), until).unwrap();
        let made = ledger_at(&Ledger::default(), &decided, until);
        prop_assert_eq!(&made.filed, &asked.ledger.filed);
        let accepted = |ledger: &Ledger| {
            let sent = ledger.reminders.iter().filter(|entry| entry.state == ReminderState::Sent);
            sent.map(|entry| (entry.key.clone(), entry.urging)).collect::<BTreeSet<_>>()
        };
        prop_assert_eq!(accepted(&made), accepted(&asked.ledger));
    }
}

#[test]
fn the_rules_that_are_compared_differ() {
    let (_, [shipped, moved, slow]) = &*OFFICE;
    assert!(shipped != moved && moved != slow && shipped != slow, "a replacement found nothing to replace");
}
