//! What holds of planning whatever the task, the deadline and the pace of looking. Pure: `plan` and a ledger in memory.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use dondoc::{
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        shipped,
    },
    planning::{
        calendar::WorkCalendar,
        ledger::{FiledKey, Ledger, LedgerEntry, ReminderKey, ReminderState},
        plan::{Plan, Setting, StepsKnown, Stop, plan},
        rules::Rules,
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

static OFFICE: LazyLock<(WorkCalendar, Rules, StepsKnown)> = LazyLock::new(|| {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let (calendar, _) = parse_calendar(&Source::new("calendar.toml", shipped::CALENDAR), zone).unwrap();
    let (rules, _) = parse_rules(&Source::new("rules.toml", shipped::RULES), &RulesContext::unknown()).unwrap();
    (calendar.calendar, rules.rules, StepsKnown::new())
});

/// A task with its ledger, as the store would keep them.
#[derive(Debug, Clone)]
struct Kept {
    task: Task,
    ledger: Ledger,
    /// When each due reminder may leave, and the rule it is of.
    leaves: BTreeMap<ReminderKey, Timestamp>,
    sent: BTreeMap<ReminderKey, Timestamp>,
}

impl Kept {
    fn plan(&self, now: Timestamp, stopped: Option<Stop>) -> Plan {
        let (calendar, rules, known) = &*OFFICE;
        let setting = Setting { now, calendar, rules, known, stopped };
        plan(&setting, &self.task, &self.ledger).unwrap()
    }

    fn keep(&mut self, plan: &Plan) {
        let due = plan.due.iter().map(|due| (&due.key, due.due_at, due.urging, ReminderState::Planned));
        let skipped = plan.skipped.iter().map(|s| (&s.key, s.due_at, s.urging, ReminderState::Superseded));
        for (key, due_at, urging, state) in due.chain(skipped) {
            assert!(!self.ledger.reminders.iter().any(|entry| entry.key == *key), "planned twice: {key:?}");
            let id = ReminderId(self.ledger.reminders.len() as i64 + 1);
            self.ledger.reminders.push(LedgerEntry { id, key: key.clone(), due_at, urging, state });
        }
        for displaced in &plan.displaced {
            let entry = self.ledger.reminders.iter_mut().find(|entry| entry.id == displaced.entry.id).unwrap();
            assert_eq!(entry.state, ReminderState::Planned);
            entry.state = ReminderState::Superseded;
        }
        self.leaves.extend(plan.due.iter().map(|due| (due.key.clone(), due.send_at)));
        for filing in &plan.filings {
            assert!(!self.ledger.filed.contains(&filing.key), "filed twice: {:?}", filing.key);
            self.ledger.filed.push(filing.key.clone());
        }
        for binding in &plan.bindings {
            for obligation in &mut self.task.obligations {
                if obligation.clock == binding.clock && obligation.agency.id == binding.agency {
                    obligation.bound = Some((binding.rule.clone(), binding.since));
                }
            }
        }
    }

    /// Sends what may leave by `now`.
    fn send(&mut self, now: Timestamp) {
        for entry in self.ledger.reminders.iter_mut().filter(|entry| entry.state == ReminderState::Planned) {
            let leaves = self.leaves[&entry.key];
            if leaves <= now {
                entry.state = ReminderState::Sent;
                self.sent.insert(entry.key.clone(), leaves);
            }
        }
    }

    /// One look, as a pass does it: plan, keep, send.
    fn look(&mut self, now: Timestamp, stopped: Option<Stop>) -> Plan {
        let plan = self.plan(now, stopped);
        self.keep(&plan);
        self.send(now);
        plan
    }

    fn keys(&self) -> BTreeSet<ReminderKey> {
        self.ledger.reminders.iter().map(|entry| entry.key.clone()).collect()
    }

    fn filed(&self) -> BTreeSet<String> {
        let show = |key: &FiledKey| format!("{key:?}");
        self.ledger.filed.iter().map(show).collect()
    }

    /// Looks whenever it is asked to, until the end; gives every plan with its instant.
    fn follow(&mut self, until: Timestamp) -> Vec<(Timestamp, Plan)> {
        let mut now = self.task.known_at;
        let mut plans = Vec::new();
        while now <= until {
            let plan = self.look(now, None);
            let next = plan.next_look.expect("an open task looks again");
            assert!(next > now, "a look that does not get on: {now}");
            plans.push((now, plan));
            // What waits for its hours moves by itself in between.
            now = next;
            self.send(now.min(until) - 1.millisecond());
        }
        plans
    }
}

fn at(day: Date, minute: i64) -> Timestamp {
    OFFICE.0.instant(day, Time::midnight()) + minute.minutes()
}

fn day() -> impl Strategy<Value = Date> {
    (0..540i64).prop_map(|n| date(2026, 1, 5).checked_add(n.days()).unwrap())
}

fn task() -> impl Strategy<Value = Kept> {
    let deadline = (day(), prop::option::of(0..24i8));
    let report = prop::option::of(day());
    let entered = (-60..60i64, 0..1440i64);
    let which = (0..Urgency::ALL.len(), 0..Block::ALL.len(), 0..3usize, any::<bool>(), prop::option::of(0..20i64));
    (deadline, report, entered, which).prop_map(|((due, hour), report, (days, minute), which)| {
        let (urgency, block, secrecy, coordinated, advanced) = which;
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
            armed_by: if advanced.is_some() { ArmedBy::Advanced } else { ArmedBy::Entered },
            overdue_from: advanced.map(|_| OFFICE.0.date_of(known_at)),
            bound: None,
            acknowledged_until: None,
            ended: false,
        };
        let lead = agency(1, Block::ALL[block]);
        let mut obligations = vec![obligation(Role::Lead, lead.clone(), Clock::Completion, due)];
        obligations.extend(report.map(|date| obligation(Role::Lead, lead, Clock::Report, date)));
        if coordinated {
            obligations.push(obligation(Role::Coordinator, agency(2, Block::State), Clock::Completion, due));
        }
        Kept {
            task: Task {
                id: TaskId(1),
                code: "NV26-000001".to_owned(),
                state: TaskState::InProgress,
                state_since: known_at,
                resumed_at: None,
                state_count: 1,
                urgency: Urgency::ALL[urgency],
                secrecy: Secrecy::ALL[secrecy],
                assigner: String::new(),
                assigner_block: Block::State,
                document_kind: String::new(),
                field: String::new(),
                priority: String::new(),
                known_at,
                held: false,
                obligations,
            },
            ledger: Ledger::default(),
            leaves: BTreeMap::new(),
            sent: BTreeMap::new(),
        }
    })
}

/// Times between looks, in minutes: from a moment to three weeks.
fn paces() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(prop_oneof![1..30i64, 30..1500i64, 1500..30_000i64], 1..40)
}

/// Long after the last step of every shipped ladder for deadlines that are drawn here.
fn end(kept: &Kept) -> Timestamp {
    let last = kept.task.obligations.iter().filter_map(|o| o.deadline).map(|d| d.date).max().unwrap();
    at(last, 0).max(kept.task.known_at) + (24 * 150).hours()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_sent_outside_its_hours(mut kept in task()) {
        let until = end(&kept);
        let (calendar, rules, _) = &*OFFICE;
        for (now, plan) in kept.follow(until) {
            for due in &plan.due {
                let rule = rules.get(&due.key.rule).unwrap();
                prop_assert!(calendar.within(due.send_at, &rule.hours).unwrap(), "{due:?}");
                prop_assert!(due.send_at >= now && due.send_at >= due.due_at, "{due:?}");
            }
        }
    }

    #[test]
    fn following_its_next_look_visits_every_instant(mut kept in task()) {
        let armed_at = kept.task.known_at;
        let until = end(&kept);
        for (now, plan) in kept.follow(until) {
            let instants = plan.due.iter().map(|due| due.due_at).chain(plan.filings.iter().map(|filing| filing.due_at));
            for due_at in instants.filter(|at| *at > armed_at) {
                prop_assert_eq!(due_at, now, "found late");
            }
        }
    }

    /// Whatever the pace of looking, awake or asleep in between, the same reminders are on record and the same notices
    /// are filed; having slept only supersedes.
    #[test]
    fn the_pace_of_looking_does_not_change_the_record(kept in task(), paces in paces(), asleep in any::<bool>()) {
        let until = end(&kept);
        let mut attentive = kept.clone();
        attentive.follow(until);
        attentive.look(until, None);

        let mut paced = kept.clone();
        let mut now = kept.task.known_at;
        paced.look(now, None);
        for pace in paces {
            let last = now;
            now = (now + pace.minutes()).min(until);
            paced.look(now, if asleep { Stop::between(last, now) } else { None });
        }
        let stopped = if asleep { Stop::between(now, until) } else { None };
        paced.look(until, stopped);

        prop_assert_eq!(paced.keys(), attentive.keys());
        prop_assert_eq!(paced.filed(), attentive.filed());
        let due: BTreeSet<_> = attentive.leaves.keys().collect();
        prop_assert!(paced.leaves.keys().all(|key| due.contains(key)), "sleeping made a reminder");
    }

    #[test]
    fn after_a_stop_each_slot_and_channel_hears_once(kept in task(), days in 1..120i64) {
        let mut kept = kept;
        let entered = kept.task.known_at;
        kept.look(entered, None);
        let now = entered + (24 * days).hours();
        let plan = kept.look(now, Stop::between(entered, now));
        let mut slots = BTreeSet::new();
        for due in &plan.due {
            let key = &due.key;
            prop_assert!(slots.insert((key.clock, key.agency, &key.audience, key.channel)), "twice: {key:?}");
            let milder = plan.due.iter().chain(&[]).filter(|other| {
                other.key.clock == key.clock && other.key.agency == key.agency && other.key.audience == key.audience
            });
            prop_assert!(milder.clone().all(|other| other.due_at == due.due_at), "a milder one beside a severer");
        }
    }

    #[test]
    fn a_second_look_at_the_same_moment_finds_nothing(kept in task(), days in 0..120i64, asleep in any::<bool>()) {
        let mut kept = kept;
        let entered = kept.task.known_at;
        let now = entered + (24 * days).hours();
        let stopped = if asleep { Stop::between(entered, now) } else { None };
        kept.look(now, stopped);
        let again = kept.plan(now, stopped);
        let found = (again.due.len(), again.skipped.len(), again.displaced.len(), again.filings.len());
        prop_assert_eq!(found, (0, 0, 0, 0), "{:?}", again);
        prop_assert!(again.bindings.is_empty());
    }

    #[test]
    fn no_state_loses_its_next_look(kept in task(), state in 0..TaskState::ALL.len(), days in 0..300i64, held in any::<bool>()) {
        let mut kept = kept;
        kept.task.state = TaskState::ALL[state];
        kept.task.held = held;
        let now = kept.task.known_at + (24 * days).hours();
        let next = kept.look(now, None).next_look;
        let looks = kept.task.state.is_open() && !held;
        prop_assert_eq!(next.is_some(), looks);
        prop_assert!(next.is_none_or(|next| next > now));
    }

    /// Out of đang thực hiện and back at any time: nothing while it is silent, and at most one rung on coming back.
    #[test]
    fn a_silent_state_is_silent_and_coming_back_is_one_rung(kept in task(), out in 1..60i64, back in 1..60i64) {
        let mut kept = kept;
        let leaves = kept.task.known_at + (24 * out).hours();
        let returns = leaves + (24 * back).hours();
        kept.follow(leaves - 1.millisecond());
        kept.task.state = TaskState::Paused;
        let silent = kept.look(leaves + 12.hours(), None);
        prop_assert!(silent.due.is_empty() && silent.filings.is_empty());
        kept.task.state = TaskState::InProgress;
        kept.task.resumed_at = Some(returns);
        let plan = kept.look(returns, None);
        for obligation in &kept.task.obligations {
            let ours: BTreeSet<_> = plan
                .due
                .iter()
                .filter(|due| due.key.clock == obligation.clock && due.key.agency == obligation.agency.id)
                .map(|due| (&due.key.step, due.key.occurrence))
                .collect();
            prop_assert!(ours.len() <= 1, "{ours:?}");
            let filed = plan.filings.iter().filter(|f| f.key.clock == obligation.clock && f.key.agency == obligation.agency.id);
            prop_assert!(filed.count() <= 1);
        }
    }
}
