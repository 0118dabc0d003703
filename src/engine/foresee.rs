//! Looking ahead over the whole store: what will be sent and filed, to whom, grouped as it will travel.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    KnownDirectory,
    gather::{Failed, look_up},
    policy::Policy,
};
use crate::{
    planning::{
        bundle::{Ready, bundle},
        calendar::Uncovered,
        directory::TaskPeople,
        plan::{Due, Stop},
        rules::{Audience, ChannelKind},
        simulate::{Foreseen, simulate},
        task::{Clock, ReminderId, Role},
    },
    store::ledger::TaskRecord,
};

/// Why a message leaves later than its step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferredBy {
    Hours,
    Cap,
}

/// Something that will be sent or filed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeseenEvent {
    pub at: Timestamp,
    pub notice: bool,
    pub task: Arc<str>,
    pub rule: Arc<str>,
    pub step: Arc<str>,
    pub occurrence: u32,
    pub clock: Clock,
    /// `None` for a notice.
    pub audience: Option<Audience>,
    pub person: Arc<str>,
    pub channel: Option<ChannelKind>,
    /// Empty where nobody can be reached.
    pub address: Arc<str>,
    pub send_at: Timestamp,
    /// What travels together, from 1; 0 for a notice or where nobody can be reached.
    pub message: usize,
    pub deferred_by: Option<DeferredBy>,
}

/// Collects what is foreseen, task by task, then groups it.
#[derive(Default)]
pub struct Foresight {
    events: Vec<(ForeseenEvent, Option<Travel>)>,
    /// Codes, steps, names and addresses recur in event after event: each is kept once.
    texts: HashSet<Arc<str>>,
    pub uncovered: Vec<(String, Uncovered)>,
}

/// What decides how a reminder travels.
struct Travel {
    classified: bool,
    deadline: Timestamp,
}

impl Foresight {
    fn keep(&mut self, text: &str) -> Arc<str> {
        if let Some(kept) = self.texts.get(text) {
            return kept.clone();
        }
        let kept: Arc<str> = text.into();
        self.texts.insert(kept.clone());
        kept
    }

    /// Adds one task: everything due for it up to `until`, from what would be found at `from`.
    pub fn add(
        &mut self,
        policy: &Policy,
        known: &KnownDirectory,
        record: &TaskRecord,
        from: Timestamp,
        until: Timestamp,
        stopped: Option<Stop>,
    ) {
        let setting = policy.setting(from, stopped);
        let foreseen = match simulate(&setting, &record.task, &record.ledger, until) {
            Ok(foreseen) => foreseen,
            Err(uncovered) => return self.uncovered.push((record.task.code.clone(), uncovered)),
        };
        for event in foreseen {
            match event.what {
                Foreseen::Reminder(due) => self.reminder(policy, known, record, due),
                Foreseen::Notice(filing) => {
                    let at = filing.due_at;
                    let event = ForeseenEvent {
                        at,
                        notice: true,
                        task: self.keep(&record.task.code),
                        rule: self.keep(&filing.key.rule),
                        step: self.keep(&filing.key.step),
                        occurrence: filing.key.occurrence,
                        clock: filing.key.clock,
                        audience: None,
                        person: self.keep(""),
                        channel: None,
                        address: self.keep(""),
                        send_at: at.max(from),
                        message: 0,
                        deferred_by: None,
                    };
                    self.events.push((event, None));
                }
                Foreseen::Silent(_) => {}
            }
        }
    }

    fn reminder(&mut self, policy: &Policy, known: &KnownDirectory, record: &TaskRecord, due: Due) {
        let obligation =
            record.task.obligations.iter().find(|o| o.clock == due.key.clock && o.agency.id == due.key.agency);
        let people = TaskPeople {
            role: obligation.map_or(Role::Lead, |o| o.role),
            agency: due.key.agency,
            handler: record.handler,
            monitor: record.monitor,
            assigner_block: record.task.assigner_block,
            secrecy: record.task.secrecy,
        };
        let day = policy.calendar.date_of(due.send_at);
        let mut key = due.key.clone();
        let mut found = look_up(policy, &known.directory, &key, &people, day);
        if matches!(found, Err(Failed::Channel(_))) {
            key.channel = ChannelKind::Email;
            let twin =
                self.events.iter().rev().take_while(|(event, _)| *event.task == *record.task.code).any(|(event, _)| {
                    (&*event.step, event.occurrence, event.clock) == (key.step.as_str(), key.occurrence, key.clock)
                        && event.audience.as_ref() == Some(&key.audience)
                        && event.channel == Some(ChannelKind::Email)
                });
            if twin {
                return;
            }
            found = look_up(policy, &known.directory, &key, &people, day);
        }
        let deadline = obligation.and_then(|o| o.deadline).map_or(due.due_at, |d| policy.calendar.end_of(d.date));
        let (person, address) = match found {
            Ok(reached) => (self.keep(&reached.name), self.keep(&reached.address)),
            Err(_) => (self.keep(""), self.keep("")),
        };
        let travel = Travel { classified: record.task.secrecy.is_classified(), deadline };
        let event = ForeseenEvent {
            at: due.due_at,
            notice: false,
            task: self.keep(&record.task.code),
            rule: self.keep(&key.rule),
            step: self.keep(&key.step),
            occurrence: key.occurrence,
            clock: key.clock,
            audience: Some(key.audience),
            person,
            channel: Some(key.channel),
            address,
            send_at: due.send_at,
            message: 0,
            deferred_by: (due.send_at > due.due_at.max(Timestamp::MIN)).then_some(DeferredBy::Hours),
        };
        self.events.push((event, Some(travel)));
    }

    /// Groups what travels together, day by day under the daily caps, and gives everything in order: by instant, task,
    /// step, audience, channel.
    pub fn finish(mut self, policy: &Policy, now: Timestamp) -> Vec<ForeseenEvent> {
        let mut by_moment: BTreeMap<Timestamp, Vec<usize>> = BTreeMap::new();
        for (index, (event, travel)) in self.events.iter().enumerate() {
            if travel.is_some() && !event.address.is_empty() {
                by_moment.entry(event.send_at.max(now)).or_default().push(index);
            }
        }
        let mut numbers = 0;
        let mut counts: HashMap<(ChannelKind, String), u32> = HashMap::new();
        let mut today = None;
        while let Some((moment, indexes)) = by_moment.pop_first() {
            let day = policy.calendar.date_of(moment);
            if today != Some(day) {
                counts.clear();
                today = Some(day);
            }
            let ready = indexes.iter().filter_map(|&index| {
                let (event, travel) = &self.events[index];
                let travel = travel.as_ref()?;
                let (bundles, cap) = policy.bundling(&event.rule);
                Some(Ready {
                    reminder: ReminderId(index as i64),
                    channel: event.channel?,
                    address: event.address.to_string(),
                    hours: policy.hours(&event.rule).0,
                    classified: travel.classified,
                    bundle: bundles,
                    earlier: None,
                    cap,
                    due_at: event.at,
                    deadline: travel.deadline,
                })
            });
            let bundles = bundle(ready.collect(), &counts);
            for message in bundles.messages {
                numbers += 1;
                *counts.entry((message.channel, message.address)).or_default() += 1;
                for reminder in message.reminders {
                    let event = &mut self.events[reminder.0 as usize].0;
                    event.message = numbers;
                    event.send_at = moment;
                }
            }
            for reminder in bundles.deferred {
                let (event, _) = &mut self.events[reminder.0 as usize];
                let (_, hours, at) = policy.hours(&event.rule);
                let tomorrow = policy.calendar.end_of(day);
                let Ok(leaves) = policy.calendar.send_at(tomorrow, &hours, at) else { continue };
                event.deferred_by = Some(DeferredBy::Cap);
                event.send_at = leaves;
                by_moment.entry(leaves).or_default().push(reminder.0 as usize);
            }
        }
        let mut events: Vec<ForeseenEvent> = self.events.into_iter().map(|(event, _)| event).collect();
        // By the second, as it is shown: what was imported within one is in the order of its codes.
        let word = |e: &ForeseenEvent| e.audience.as_ref().map(ToString::to_string);
        events.sort_by(|a, b| {
            (a.at.as_second(), &a.task, &a.step)
                .cmp(&(b.at.as_second(), &b.task, &b.step))
                .then_with(|| if a.audience == b.audience { Ordering::Equal } else { word(a).cmp(&word(b)) })
                .then_with(|| (a.channel, a.occurrence).cmp(&(b.channel, b.occurrence)))
        });
        events
    }
}
