//! What travels together, and what an edit changes, over random tasks and a small directory.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::LazyLock,
};

use dondoc::{
    config::{load::load_all, settings::Zalo},
    engine::{
        KnownDirectory,
        foresee::{
            Foresight,
            difference::{Difference, Kind, PutOff, Side, difference, note_put_off},
            travel::{DeferredBy, Event, InOrder, Traveller},
        },
        policy::Policy,
    },
    planning::{
        bundle::{Ready, bundle},
        directory::{Agency, Directory, Person, Post, PostRole, TaskPeople, Unreachable},
        ledger::Ledger,
        rules::{ChannelKind, Rules},
        simulate::{Foreseen, simulate},
        task::{AgencyId, Block, PersonId, ReminderId, Task, TaskId},
    },
    store::ledger::TaskRecord,
};
use jiff::{Timestamp, ToSpan, civil::date};
use proptest::prelude::*;

use super::{OFFICE, task};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dondoc.toml");
    let (office, _) = load_all(&shipped, []).unwrap();
    let mut policy = dondoc::cli::context::policy_of(office).unwrap();
    policy.settings.email.allowed_domains = vec!["example".to_owned()];
    policy
});

/// Three agencies; of the first, head and contact change within the time looked at, and the second has no contact.
static DIRECTORY: LazyLock<KnownDirectory> = LazyLock::new(|| {
    let agency = |id, superior: &str| Agency {
        id: AgencyId(id),
        code: format!("CQ{id}"),
        name: format!("Cơ quan {id}"),
        block: Block::State,
        kind: String::new(),
        superior: superior.to_owned(),
        active: true,
    };
    let person = |id| Person {
        id: PersonId(id),
        name: format!("Người {id}"),
        honorific: String::new(),
        email: if id == 7 { String::new() } else { format!("n{}@example", 20 - id) },
        phone: if id % 2 == 0 { format!("849{id:08}") } else { String::new() },
        zalo_user_id: String::new(),
        takes_zalo: id % 3 != 0,
    };
    let post = |agency, person, role, from, to| Post {
        agency: AgencyId(agency),
        person: PersonId(person),
        role,
        title: String::new(),
        from,
        to,
    };
    let change = date(2026, 9, 15);
    let posts = [
        post(1, 1, PostRole::Head, None, Some(change)),
        post(1, 2, PostRole::Head, change.tomorrow().ok(), None),
        post(1, 3, PostRole::Contact, None, Some(date(2026, 6, 1))),
        post(1, 4, PostRole::Registry, None, None),
        post(1, 8, PostRole::Handler, None, None),
        post(2, 5, PostRole::Head, None, None),
        post(2, 6, PostRole::Registry, None, None),
        post(3, 7, PostRole::Contact, None, None),
        post(3, 5, PostRole::Head, None, None),
    ];
    let agencies = [agency(1, "Cơ quan 2"), agency(2, ""), agency(3, "")];
    let names = agencies.iter().map(|a| (dondoc::planning::fold::fold(&a.name), a.id)).collect::<Vec<_>>();
    let focal = [(Block::State, "Cơ quan 2".to_owned())].into();
    let directory =
        Directory::new(agencies, names, (1..=8).map(person), posts, &focal, "Cơ quan 3", &["example".to_owned()]);
    KnownDirectory { revision: 1, directory }
});

fn records() -> impl Strategy<Value = Vec<TaskRecord>> {
    let one = (
        task(),
        prop::option::of(Just(PersonId(8))),
        prop::option::of(prop_oneof![Just(PersonId(5)), Just(PersonId(6))]),
    );
    prop::collection::vec(one, 1..14).prop_map(|tasks| {
        let numbered = tasks.into_iter().enumerate().map(|(n, (task, handler, monitor))| TaskRecord {
            // Codes that are not in the order of the numbers.
            task: Task { id: TaskId(n as i64 + 1), code: format!("NV{:02}", (n * 5) % 14), ..task },
            ledger: Ledger::default(),
            handler,
            monitor,
            next_look_at: None,
            revision: 0,
        });
        numbered.collect()
    })
}

/// Letters of their own, small caps, two kinds of hours: everything that parts what could travel together.
fn policy(rules: usize, caps: Option<u32>, alone: bool, zalo: bool) -> Policy {
    let mut policy = POLICY.clone();
    policy.rules = OFFICE.1[rules].clone();
    for (n, rule) in policy.rules.rules.iter_mut().enumerate() {
        rule.bundle = !(alone && n % 2 == 0);
        rule.daily_cap = rule.daily_cap.and(caps.map(|cap| cap + n as u32 % 2));
    }
    if zalo {
        policy.settings.zalo = Zalo::Webhook { url: "http://127.0.0.1:9/".to_owned(), secrets: Vec::new() };
    }
    policy
}

/// An event by what people see of it.
type Seen = (String, String, u32, String, Option<String>, Option<ChannelKind>, String);

fn foresee(policy: &Policy, records: &[TaskRecord], start: Timestamp, until: Timestamp) -> Foresight {
    let mut foresight = Foresight::default();
    for record in records {
        foresight.add(policy, record, start, until, None);
    }
    foresight
}

fn seen(traveller: &Traveller<'_>, event: &Event) -> Seen {
    let told = traveller.tell(event);
    (
        told.task.to_owned(),
        told.step.step.clone(),
        told.occurrence,
        format!("{} {}", told.clock, told.people.agency.0),
        told.audience.map(ToString::to_string),
        told.channel,
        told.address.to_owned(),
    )
}

/// Slot by slot and text by text: nothing kept once, nothing known by a number.
fn plainly(
    policy: &Policy,
    records: &[TaskRecord],
    start: Timestamp,
    until: Timestamp,
) -> Vec<(Seen, Timestamp, usize, Option<DeferredBy>)> {
    struct Plain {
        seen: Seen,
        task: TaskId,
        rule: String,
        due_at: Timestamp,
        send_at: Timestamp,
        message: usize,
        deferred_by: Option<DeferredBy>,
        deadline: Timestamp,
        classified: bool,
    }
    let mut events: Vec<Plain> = Vec::new();
    for record in records {
        let decided = simulate(&policy.setting(start, None), &record.task, &record.ledger, until).unwrap();
        for event in &decided {
            let plain = match &event.what {
                Foreseen::Silent(_) => continue,
                Foreseen::Notice(f) => Plain {
                    seen: (
                        record.task.code.clone(),
                        f.key.step.clone(),
                        f.key.occurrence,
                        format!("{} {}", f.key.clock, f.key.agency.0),
                        None,
                        None,
                        String::new(),
                    ),
                    task: record.task.id,
                    rule: f.key.rule.clone(),
                    due_at: f.due_at,
                    send_at: f.due_at.max(start),
                    message: 0,
                    deferred_by: None,
                    deadline: f.due_at,
                    classified: false,
                },
                Foreseen::Reminder(due) => {
                    let key = &due.key;
                    let duty = record
                        .task
                        .obligations
                        .iter()
                        .find(|o| o.clock == key.clock && o.agency.id == key.agency)
                        .unwrap();
                    let people = TaskPeople {
                        role: duty.role,
                        agency: key.agency,
                        handler: record.handler,
                        monitor: record.monitor,
                        assigner_block: record.task.assigner_block,
                        secrecy: record.task.secrecy,
                    };
                    let day = policy.calendar.date_of(due.send_at);
                    let resolve = |channel| match (channel, &policy.settings.zalo) {
                        (ChannelKind::Zalo, Zalo::Off) => Err(Unreachable::NoZalo),
                        _ => DIRECTORY.directory.resolve(&people, &key.audience, channel, day),
                    };
                    let mut channel = key.channel;
                    let mut found = resolve(channel);
                    if found == Err(Unreachable::NoZalo) {
                        channel = ChannelKind::Email;
                        let twin = |other: &Foreseen| matches!(other, Foreseen::Reminder(other) if other.key == dondoc::planning::ledger::ReminderKey { channel, ..key.clone() });
                        if decided.iter().any(|other| twin(&other.what)) {
                            continue;
                        }
                        found = resolve(channel);
                    }
                    Plain {
                        seen: (
                            record.task.code.clone(),
                            key.step.clone(),
                            key.occurrence,
                            format!("{} {}", key.clock, key.agency.0),
                            Some(key.audience.to_string()),
                            Some(channel),
                            found.map(|reached| reached.address).unwrap_or_default(),
                        ),
                        task: record.task.id,
                        rule: key.rule.clone(),
                        due_at: due.due_at,
                        send_at: due.send_at,
                        message: 0,
                        deferred_by: (due.send_at > due.due_at).then_some(DeferredBy::Hours),
                        deadline: duty.deadline.map_or(due.due_at, |d| policy.calendar.end_of(d.date)),
                        classified: record.task.secrecy.is_classified(),
                    }
                }
            };
            events.push(plain);
        }
    }
    let mut moments: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
    for (n, event) in events.iter().enumerate().filter(|(_, event)| !event.seen.6.is_empty()) {
        moments.entry(event.send_at.max(start)).or_default().push(n);
    }
    let (mut numbers, mut counts, mut today) = (0, HashMap::new(), None);
    while let Some((moment, indexes)) = moments.pop_first() {
        let day = policy.calendar.date_of(moment);
        if today.replace(day) != Some(day) {
            counts.clear();
        }
        let ready = indexes.iter().map(|&n| {
            let event = &events[n];
            let (bundles, cap) = policy.bundling(&event.rule);
            Ready {
                reminder: ReminderId(n as i64 + 1),
                task: event.task,
                channel: event.seen.5.unwrap(),
                address: event.seen.6.clone(),
                hours: policy.hours(&event.rule).0,
                classified: event.classified,
                bundle: bundles,
                earlier: None,
                cap,
                deadline: event.deadline,
            }
        });
        let bundles = bundle(ready.collect(), &counts);
        for message in bundles.messages {
            numbers += 1;
            *counts.entry((message.channel, message.address)).or_default() += 1;
            for reminder in message.reminders {
                let event = &mut events[reminder.0 as usize - 1];
                (event.message, event.send_at) = (numbers, moment);
            }
        }
        for reminder in bundles.deferred {
            let event = &mut events[reminder.0 as usize - 1];
            let (_, hours, at) = policy.hours(&event.rule);
            event.send_at = policy.calendar.send_at(policy.calendar.end_of(day), &hours, at).unwrap();
            event.deferred_by = Some(DeferredBy::Cap);
            moments.entry(event.send_at).or_default().push(reminder.0 as usize - 1);
        }
    }
    let mut all: Vec<_> =
        events.into_iter().map(|e| ((e.due_at.as_second(), e.seen), e.send_at, e.message, e.deferred_by)).collect();
    // Stable: agencies and clocks of one step stay as they were found.
    all.sort_by(|((a_at, a), ..), ((b_at, b), ..)| {
        (a_at, &a.0, &a.1, &a.4, a.5, a.2).cmp(&(b_at, &b.0, &b.1, &b.4, b.5, b.2))
    });
    all.into_iter().map(|((_, seen), send_at, message, why)| (seen, send_at, message, why)).collect()
}

fn compared(
    old: &Policy,
    new: &Policy,
    records: &[TaskRecord],
    start: Timestamp,
    until: Timestamp,
) -> (Difference, [BTreeMap<Full, i64>; 2]) {
    let sides = [old, new].map(|policy| foresee(policy, records, start, until));
    let mut put_off = [PutOff::new(), PutOff::new()];
    let mut all = [BTreeMap::new(), BTreeMap::new()];
    let mut travellers = [Traveller::new(&sides[0], old, &DIRECTORY), Traveller::new(&sides[1], new, &DIRECTORY)];
    for (n, traveller) in travellers.iter_mut().enumerate() {
        traveller
            .travel(start, &mut |traveller, leaving| {
                note_put_off(&mut put_off[n], &leaving);
                for event in leaving.events {
                    *all[n].entry(full(traveller, event)).or_default() += 1;
                }
                Ok(())
            })
            .unwrap();
    }
    let [mut was, mut is] = travellers;
    let [first, second] = put_off;
    let found = difference(
        &mut Side { traveller: &mut was, put_off: first, now: start },
        &mut Side { traveller: &mut is, put_off: second, now: start },
        &new.rules,
        &|_, _| true,
    );
    // What was, less what the changes take away, plus what they bring.
    let [mut before, after] = all;
    for change in &found.changes {
        if let Some(event) = &change.old {
            *before.entry(full(&was, event)).or_default() -= 1;
        }
        if let Some(event) = &change.new {
            *before.entry(full(&is, event)).or_default() += 1;
        }
    }
    before.retain(|_, n| *n != 0);
    (found, [before, after])
}

/// With when it is due and sent, and what its text names.
type Full = (Seen, Timestamp, Timestamp, String);

fn full(traveller: &Traveller<'_>, event: &Event) -> Full {
    let told = traveller.tell(event);
    let name = format!("{} {} {}", told.step.rule, told.step.step, told.step.urging);
    (seen(traveller, event), told.at, told.send_at, name)
}

fn start_of(records: &[TaskRecord], days: i64) -> Timestamp {
    records[0].task.known_at + (24 * days).hours()
}

/// Letters of more tasks than one names are divided alike, wherever a task has several reminders in them.
#[test]
fn a_letter_of_many_tasks_is_divided_as_it_will_be() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut divided = 0;
    for draw in 0..12 {
        let rules = draw % 3;
        let some = records().new_tree(&mut runner).unwrap().current();
        let many: Vec<TaskRecord> = (0..300)
            .map(|n| {
                let record = some[n % some.len().min(2)].clone();
                let task = Task { id: TaskId(n as i64 + 1), code: format!("NV{:03}", (n * 7) % 300), ..record.task };
                TaskRecord { task, ..record }
            })
            .collect();
        for caps in [None, Some(2)] {
            let policy = policy(rules, caps, false, true);
            let start = start_of(&many, 0);
            let until = start + (24 * 90).hours();
            let foresight = foresee(&policy, &many, start, until);
            let mut traveller = Traveller::new(&foresight, &policy, &DIRECTORY);
            let mut order = InOrder::new(&foresight);
            let mut answer = Vec::new();
            let take = &mut |traveller: &Traveller<'_>, leaving: dondoc::engine::foresee::travel::Leaving<'_>| {
                divided += leaving.events.iter().filter(|event| event.part.of > 1).count();
                order.take(traveller, &leaving, &mut |event| {
                    answer.push((seen(traveller, event), event.send_at, event.message as usize, event.deferred_by));
                    Ok(())
                })
            };
            traveller.travel(start, take).unwrap();
            assert!(answer == plainly(&policy, &many, start, until), "rules {rules}, caps {caps:?}");
        }
    }
    assert!(divided > 1_000, "{divided}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn numbers_travel_as_texts_do(
        records in records(), rules in 0..3usize, days in (0..60i64, 1..120i64),
        caps in prop::option::of(1..4u32), alone in any::<bool>(), zalo in any::<bool>(),
    ) {
        let policy = policy(rules, caps, alone, zalo);
        let start = start_of(&records, days.0);
        let until = start + (24 * days.1).hours();
        let foresight = foresee(&policy, &records, start, until);
        let mut traveller = Traveller::new(&foresight, &policy, &DIRECTORY);
        let mut order = InOrder::new(&foresight);
        let mut answer = Vec::new();
        traveller.travel(start, &mut |traveller, leaving| {
            order.take(traveller, &leaving, &mut |event| {
                answer.push((seen(traveller, event), event.send_at, event.message as usize, event.deferred_by));
                Ok(())
            })
        }).unwrap();
        prop_assert_eq!(answer, plainly(&policy, &records, start, until));
    }

    #[test]
    fn the_changes_lead_from_what_was_to_what_will_be(
        records in records(), rules in (0..3usize, 0..3usize), days in 1..90i64, caps in prop::option::of(1..3u32), zalo in any::<bool>(),
    ) {
        let (old, new) = (policy(rules.0, None, false, zalo), policy(rules.1, caps, false, zalo));
        let start = start_of(&records, 0);
        let (found, [made, after]) = compared(&old, &new, &records, start, start + (24 * days).hours());
        prop_assert_eq!(made, after);
        for change in &found.changes {
            let (old, new) = (change.old.map(|e| e.send_at), change.new.map(|e| e.send_at));
            let kind = match (old, new) {
                (None, _) => Kind::Added,
                (_, None) => Kind::Removed,
                (old, new) if old == new => Kind::Reworded,
                _ => Kind::Moved,
            };
            prop_assert_eq!(change.kind, kind);
        }
    }

    #[test]
    fn the_same_rules_change_nothing(records in records(), rules in 0..3usize, days in 1..90i64, caps in prop::option::of(1..3u32)) {
        let (policy, start) = (policy(rules, caps, true, true), start_of(&records, 0));
        let (found, _) = compared(&policy, &policy, &records, start, start + (24 * days).hours());
        prop_assert_eq!(found.changes, vec![]);
    }

    /// A renamed step that says what it was is the same step: no reminder is added or taken away.
    #[test]
    fn a_step_that_says_what_it_was_is_only_reworded(records in records(), days in 1..90i64) {
        let old = policy(0, None, false, true);
        let mut new = old.clone();
        rename(&mut new.rules);
        let start = start_of(&records, 0);
        let (found, _) = compared(&old, &new, &records, start, start + (24 * days).hours());
        prop_assert!(found.changes.iter().all(|change| change.kind == Kind::Reworded), "{:?}", found.reminders);
    }
}

fn rename(rules: &mut Rules) {
    for step in rules.rules.iter_mut().flat_map(|rule| &mut rule.steps) {
        let id = format!("moi-{}", step.id);
        step.was.push(std::mem::replace(&mut step.id, id));
    }
}
