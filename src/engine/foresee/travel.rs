//! How what is foreseen travels: whom each slot leads to on the day it leaves, and what goes in one message, moment by
//! moment under the daily caps.
//!
//! Only what is not settled yet is held: what left is handed on and forgotten. The bundling is that of
//! [`crate::planning::bundle`], on numbers instead of texts; a property test holds them together.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    io,
};

use jiff::{Timestamp, civil::Date};

use super::{
    Duty, Foresight, NOTICE, Rung, StepName,
    kept::{Kept, ranks},
};
use crate::{
    engine::{
        KnownDirectory,
        gather::{Failed, look_up},
        policy::Policy,
    },
    planning::{
        bundle::{MOST_TASKS, Part, parts},
        calendar::Hours,
        directory::{Reached, TaskPeople},
        ledger::ReminderKey,
        rules::{Audience, ChannelKind},
        task::{Clock, TaskId},
    },
};

/// Why a message leaves later than its step is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeferredBy {
    Hours,
    Cap,
}

/// Something that will be sent or filed: which, and how it travels. What it says is asked of [`Traveller::tell`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    rung: u32,
    slot: u16,
    /// `None` for a notice.
    pub channel: Option<ChannelKind>,
    recipient: u32,
    pub send_at: Timestamp,
    /// What travels together, from 1; 0 for a notice or where nobody can be reached.
    pub message: u32,
    pub part: Part,
    pub deferred_by: Option<DeferredBy>,
}

impl Event {
    /// Where it stands among what was foreseen: task by task, and within a task in order of its looks.
    pub fn place(&self) -> (u32, u16) {
        (self.rung, self.slot)
    }
}

/// An event in full.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub at: Timestamp,
    pub send_at: Timestamp,
    pub notice: bool,
    pub task: &'a str,
    pub task_id: TaskId,
    pub step: &'a StepName,
    pub occurrence: u32,
    pub clock: Clock,
    pub people: &'a TaskPeople,
    /// `None` for a notice.
    pub audience: Option<&'a Audience>,
    pub person: &'a str,
    pub channel: Option<ChannelKind>,
    /// Empty where nobody can be reached, and for a notice.
    pub address: &'a str,
    pub message: u32,
    pub deferred_by: Option<DeferredBy>,
}

/// What leaves at one moment.
pub struct Leaving<'a> {
    pub moment: Timestamp,
    /// Message by message; then what leads to nobody, and notices.
    pub events: &'a [Event],
    /// Every event due before this instant was handed on.
    pub settled: Timestamp,
}

struct Recipient {
    name: Box<str>,
    address: u32,
}

/// Where a slot leads.
#[derive(Clone, Copy)]
enum Leads {
    To(u32),
    /// The channel does not lead there: the same slot by e-mail.
    ByEmail,
}

/// A step's way of travelling, by its rule.
struct Way {
    hours: u32,
    hours_value: Hours,
    at: jiff::civil::Time,
    bundle: bool,
    cap: Option<u32>,
}

/// The first recipient: nobody.
const NOBODY: u32 = 0;

/// What goes in one message: channel, address, hours, openness, and the event itself where its rule wants a message of
/// its own (else 0).
type Together = (ChannelKind, u32, u32, bool, u64);

/// A foresight on its way.
pub struct Traveller<'a> {
    foresight: &'a Foresight,
    policy: &'a Policy,
    known: &'a KnownDirectory,
    recipients: Vec<Recipient>,
    recipient_of: HashMap<(Box<str>, Box<str>), u32>,
    addresses: Kept<Box<str>>,
    found: HashMap<(u32, u32, ChannelKind, u32), Leads>,
    /// Days on which a post begins or has ended: between two of them everybody is reached as before.
    changes: Vec<Date>,
    hours: Kept<String>,
    /// By number of the step.
    ways: Vec<Way>,
}

impl<'a> Traveller<'a> {
    pub fn new(foresight: &'a Foresight, policy: &'a Policy, known: &'a KnownDirectory) -> Self {
        let mut hours = Kept::default();
        let ways = foresight.steps.iter().map(|name| {
            let (hours_name, hours_value, at) = policy.hours(&name.rule);
            let (bundle, cap) = policy.bundling(&name.rule);
            Way { hours: hours.number(&hours_name), hours_value, at, bundle, cap }
        });
        let ways = ways.collect();
        let mut addresses = Kept::default();
        let nobody = Recipient { name: Box::default(), address: addresses.number(&Box::default()) };
        Self {
            foresight,
            policy,
            known,
            recipients: vec![nobody],
            recipient_of: HashMap::new(),
            addresses,
            found: HashMap::new(),
            changes: known.directory.changes(),
            hours,
            ways,
        }
    }

    /// An event in full.
    pub fn tell(&self, event: &Event) -> Told<'_> {
        let rung = self.rung(event);
        let duty = self.duty(&rung);
        let recipient = &self.recipients[event.recipient as usize];
        let notice = rung.slots == NOTICE;
        let task = &self.foresight.tasks[duty.task as usize];
        Told {
            at: *self.foresight.moments.get(rung.at),
            send_at: event.send_at,
            notice,
            task: &task.code,
            task_id: task.id,
            step: &self.foresight.steps[rung.step as usize],
            occurrence: rung.occurrence,
            clock: duty.clock,
            people: self.foresight.people.get(duty.people),
            audience: self.audience(event),
            person: &recipient.name,
            channel: event.channel,
            address: self.addresses.get(recipient.address),
            message: event.message,
            deferred_by: event.deferred_by,
        }
    }

    /// When its step is due.
    pub fn due_at(&self, event: &Event) -> Timestamp {
        *self.foresight.moments.get(self.rung(event).at)
    }

    /// To which audience; `None` for a notice.
    pub fn audience(&self, event: &Event) -> Option<&Audience> {
        let rung = self.rung(event);
        (rung.slots != NOTICE).then(|| self.foresight.audiences.get(self.foresight.slot(&rung, event.slot).audience))
    }

    /// The number of its audience among [`Traveller::audiences`]; `None` for a notice.
    pub fn audience_number(&self, event: &Event) -> Option<u32> {
        let rung = self.rung(event);
        (rung.slots != NOTICE).then(|| self.foresight.slot(&rung, event.slot).audience)
    }

    /// All audiences there are, by number.
    pub fn audiences(&self) -> &[Audience] {
        self.foresight.audiences.all()
    }

    /// Nobody can be reached.
    pub fn leads_nowhere(&self, event: &Event) -> bool {
        event.channel.is_some() && event.recipient == NOBODY
    }

    /// How many tasks were looked at.
    pub fn tasks(&self) -> usize {
        self.foresight.tasks()
    }

    pub(super) fn rungs_of(&self, task: usize) -> std::ops::Range<usize> {
        self.foresight.rungs_of(task)
    }

    fn rung(&self, event: &Event) -> Rung {
        self.foresight.rungs[event.rung as usize]
    }

    fn duty(&self, rung: &Rung) -> Duty {
        self.foresight.duties[rung.duty as usize]
    }

    /// The events of a rung as they are before bundling: a slot whose channel does not lead there goes by e-mail,
    /// unless it does so anyway.
    pub(super) fn expand(&mut self, number: u32, events: &mut Vec<Event>) {
        let rung = self.foresight.rungs[number as usize];
        let send_at = *self.foresight.moments.get(rung.send);
        let late = send_at > *self.foresight.moments.get(rung.at);
        let event = Event {
            rung: number,
            slot: 0,
            channel: None,
            recipient: NOBODY,
            send_at,
            message: 0,
            part: Part::default(),
            deferred_by: (late && rung.slots != NOTICE).then_some(DeferredBy::Hours),
        };
        if rung.slots == NOTICE {
            return events.push(event);
        }
        let people = self.duty(&rung).people;
        let day = self.policy.calendar.date_of(send_at);
        let season = self.changes.partition_point(|change| *change <= day) as u32;
        let foresight = self.foresight;
        let slots = &foresight.slots[rung.slots as usize];
        for (place, slot) in slots.iter().enumerate() {
            let mut channel = slot.channel;
            let mut leads = self.leads(people, slot.audience, channel, season, day);
            if matches!(leads, Leads::ByEmail) {
                channel = ChannelKind::Email;
                let twin = |other: &super::Slot| other.audience == slot.audience && other.channel == channel;
                if slots.iter().any(twin) {
                    continue;
                }
                leads = self.leads(people, slot.audience, channel, season, day);
            }
            let recipient = if let Leads::To(recipient) = leads { recipient } else { NOBODY };
            events.push(Event { slot: place as u16, channel: Some(channel), recipient, ..event });
        }
    }

    fn leads(&mut self, people: u32, audience: u32, channel: ChannelKind, season: u32, day: Date) -> Leads {
        let place = (people, audience, channel, season);
        if let Some(leads) = self.found.get(&place) {
            return *leads;
        }
        let task = self.foresight.people.get(people);
        // Only audience and channel of a key decide whom it leads to.
        let key = ReminderKey {
            clock: Clock::Completion,
            arming: 1,
            rule: String::new(),
            step: String::new(),
            occurrence: 1,
            agency: task.agency,
            audience: self.foresight.audiences.get(audience).clone(),
            channel,
        };
        let leads = match look_up(self.policy, &self.known.directory, &key, task, day) {
            Ok(reached) => Leads::To(self.recipient(&reached)),
            Err(Failed::Channel(_)) => Leads::ByEmail,
            Err(Failed::Person(_)) => Leads::To(NOBODY),
        };
        self.found.insert(place, leads);
        leads
    }

    fn recipient(&mut self, reached: &Reached) -> u32 {
        let key = (reached.name.as_str().into(), reached.address.as_str().into());
        if let Some(number) = self.recipient_of.get(&key) {
            return *number;
        }
        let number = self.recipients.len() as u32;
        self.recipients.push(Recipient { name: key.0.clone(), address: self.addresses.number(&key.1) });
        self.recipient_of.insert(key, number);
        number
    }

    /// Everything on its way, moment by moment from `now` on; `each` is told what leaves.
    pub fn travel(
        &mut self,
        now: Timestamp,
        each: &mut dyn FnMut(&Traveller<'a>, Leaving<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let foresight = self.foresight;
        let leaves = |rung: u32| *foresight.moments.get(foresight.rungs[rung as usize].send);
        let due = |rung: u32| *foresight.moments.get(foresight.rungs[rung as usize].at);
        let rank = foresight.moments.ranks();
        let mut order: Vec<u32> = (0..foresight.rungs.len() as u32).collect();
        order.sort_by_key(|rung| rank[foresight.rungs[*rung as usize].send as usize]);
        // By moment: where its rungs begin, and the earliest instant at which one of these or a later one is due.
        let mut stops: Vec<(Timestamp, usize, Timestamp)> = Vec::new();
        for (place, rung) in order.iter().enumerate() {
            let moment = leaves(*rung).max(now);
            match stops.last_mut() {
                Some((last, _, earliest)) if *last == moment => *earliest = due(*rung).min(*earliest),
                _ => stops.push((moment, place, due(*rung))),
            }
        }
        let mut earliest = Timestamp::MAX;
        for stop in stops.iter_mut().rev() {
            earliest = stop.2.min(earliest);
            stop.2 = earliest;
        }
        let mut later: BTreeMap<Timestamp, Vec<Event>> = BTreeMap::new();
        let mut counts: HashMap<(ChannelKind, u32), u32> = HashMap::new();
        let (mut numbers, mut today, mut stop) = (0, None, 0);
        let mut events: Vec<Event> = Vec::new();
        loop {
            let next = stops.get(stop).map(|stop| stop.0);
            let put_off = later.first_key_value().map(|(moment, _)| *moment);
            let Some(moment) = next.into_iter().chain(put_off).min() else { return Ok(()) };
            let day = self.policy.calendar.date_of(moment);
            if today != Some(day) {
                counts.clear();
                today = Some(day);
            }
            events.clear();
            if next == Some(moment) {
                let end = stops.get(stop + 1).map_or(order.len(), |stop| stop.1);
                for &rung in &order[stops[stop].1..end] {
                    self.expand(rung, &mut events);
                }
                stop += 1;
            }
            events.extend(later.remove(&moment).into_iter().flatten());
            self.bundle(moment, day, &mut events, &mut counts, &mut numbers, &mut later);
            let waiting = later.values().flatten().map(|event| self.due_at(event)).min();
            let settled = stops.get(stop).map(|stop| stop.2).into_iter().chain(waiting).min();
            let leaving = Leaving { moment, events: &events, settled: settled.unwrap_or(Timestamp::MAX) };
            each(self, leaving)?;
        }
    }

    /// Puts into messages what leaves at a moment, and puts off what is over its recipient's daily cap.
    fn bundle(
        &mut self,
        moment: Timestamp,
        day: Date,
        events: &mut Vec<Event>,
        counts: &mut HashMap<(ChannelKind, u32), u32>,
        numbers: &mut u32,
        later: &mut BTreeMap<Timestamp, Vec<Event>>,
    ) {
        struct Group {
            key: Together,
            oldest: Timestamp,
            passes: bool,
            cap: Option<u32>,
            events: usize,
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of: HashMap<Together, u32> = HashMap::new();
        let mut grouped: Vec<(u32, Timestamp, Event)> = Vec::with_capacity(events.len());
        let mut rest: Vec<Event> = Vec::new();
        for event in events.drain(..) {
            let Some(channel) = event.channel.filter(|_| event.recipient != NOBODY) else {
                rest.push(event);
                continue;
            };
            let rung = self.rung(&event);
            let duty = self.duty(&rung);
            let way = &self.ways[rung.step as usize];
            // A message of its own is known by its event; 0 is nobody's, for the first slot counts from 1.
            let alone = if way.bundle { 0 } else { (u64::from(event.rung) << 16 | u64::from(event.slot)) + 1 };
            let classified = self.foresight.people.get(duty.people).secrecy.is_classified();
            let address = self.recipients[event.recipient as usize].address;
            let key = (channel, address, way.hours, classified, alone);
            let deadline = duty.deadline.unwrap_or(*self.foresight.moments.get(rung.at));
            let number = *group_of.entry(key).or_insert_with(|| {
                groups.push(Group { key, oldest: deadline, passes: false, cap: None, events: 0 });
                groups.len() as u32 - 1
            });
            let group = &mut groups[number as usize];
            group.oldest = group.oldest.min(deadline);
            group.passes |= way.cap.is_none();
            group.cap = group.cap.into_iter().chain(way.cap).min();
            group.events += 1;
            grouped.push((number, deadline, event));
        }
        let mut order: Vec<u32> = (0..groups.len() as u32).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&groups[*a as usize], &groups[*b as usize]);
            let text = |group: &Group| self.addresses.get(group.key.1);
            let rest = |group: &Group| (group.key.0, self.hours.get(group.key.2), group.key.3, group.key.4);
            a.oldest
                .cmp(&b.oldest)
                .then_with(|| if a.key.1 == b.key.1 { Ordering::Equal } else { text(a).cmp(text(b)) })
                .then_with(|| rest(a).cmp(&rest(b)))
        });
        grouped.sort_by_key(|(group, deadline, event)| (*group, *deadline, event.place()));
        let mut starts: Vec<usize> = Vec::with_capacity(groups.len());
        groups.iter().fold(0, |start, group| {
            starts.push(start);
            start + group.events
        });
        for number in order {
            let group = &groups[number as usize];
            let start = starts[number as usize];
            let together = &grouped[start..start + group.events];
            let count = counts.entry((group.key.0, group.key.1)).or_default();
            if !group.passes && group.cap.is_some_and(|cap| *count >= cap) {
                let tomorrow = self.policy.calendar.end_of(day);
                for (.., event) in together {
                    let way = &self.ways[self.rung(event).step as usize];
                    match self.policy.calendar.send_at(tomorrow, &way.hours_value, way.at) {
                        Ok(leaves) => {
                            let event = Event { deferred_by: Some(DeferredBy::Cap), send_at: leaves, ..*event };
                            later.entry(leaves).or_default().push(event);
                        }
                        Err(_) => rest.push(*event),
                    }
                }
                continue;
            }
            let (places, of) = if together.len() <= MOST_TASKS {
                (Vec::new(), 1)
            } else {
                let tasks: Vec<u32> = together.iter().map(|(.., event)| self.duty(&self.rung(event)).task).collect();
                parts(&tasks, group.key.0, group.key.3)
            };
            let from = events.len();
            for (n, (.., event)) in together.iter().enumerate() {
                let place = places.get(n).copied().unwrap_or_default();
                let part = Part { n: place + 1, of };
                events.push(Event { message: *numbers + part.n, part, send_at: moment, ..*event });
            }
            // Stable: a task with two deadlines is named where the earlier one is.
            events[from..].sort_by_key(|event| event.message);
            // In however many parts it comes, it is one letter.
            *count += 1;
            *numbers += of;
        }
        events.append(&mut rest);
    }
}

/// Hands events on in the order of an answer: by the second they are due, task, step, audience, channel, occurrence.
pub struct InOrder {
    task: Vec<u32>,
    step: Vec<u32>,
    audience: Vec<u32>,
    waiting: BTreeMap<i64, Vec<Event>>,
}

impl InOrder {
    pub fn new(foresight: &Foresight) -> Self {
        let codes: Vec<&str> = foresight.tasks.iter().map(|task| &*task.code).collect();
        let steps: Vec<&str> = foresight.steps.iter().map(|name| name.step.as_str()).collect();
        let words: Vec<String> = foresight.audiences.all().iter().map(ToString::to_string).collect();
        Self { task: ranks(&codes), step: ranks(&steps), audience: ranks(&words), waiting: BTreeMap::new() }
    }

    /// Takes what leaves, and gives `each` whatever nothing can come before any more.
    pub fn take(
        &mut self,
        traveller: &Traveller<'_>,
        leaving: &Leaving<'_>,
        each: &mut dyn FnMut(&Event) -> io::Result<()>,
    ) -> io::Result<()> {
        for event in leaving.events {
            // By the second, as it is shown: what was imported within one is in the order of its codes.
            self.waiting.entry(traveller.due_at(event).as_second()).or_default().push(*event);
        }
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() < leaving.settled.as_second()) {
            let mut events = entry.remove();
            events.sort_by_cached_key(|event| {
                let rung = traveller.rung(event);
                let audience = traveller.audience_number(event).map(|number| self.audience[number as usize]);
                let task = self.task[traveller.duty(&rung).task as usize];
                (task, self.step[rung.step as usize], audience, event.channel, rung.occurrence, event.place())
            });
            events.iter().try_for_each(&mut *each)?;
        }
        Ok(())
    }
}
