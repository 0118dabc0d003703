//! What an edit of rules or calendar changes: two foresights of the same tasks, compared task by task.
//!
//! The same reminder is one of the same task, clock, agency, audience and channel, of the same step (by its id, or the
//! one that names it in `was`) and occurrence. Where nothing of it is left but the moment, it still reaches the same
//! person at the same time and only says another step.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::travel::{Event, Leaving, Told, Traveller};
use crate::planning::{
    rules::{Audience, ChannelKind, Rules},
    task::{AgencyId, Clock},
};

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Added,
    Removed,
    /// It leaves at another instant.
    Moved,
    /// It leaves as before, but names another rule, step, urging or instant of its step.
    Reworded,
}

/// One event that is not as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: Kind,
    /// As it was: asked of the traveller under the rules in force.
    pub old: Option<Event>,
    /// As it will be: asked of the traveller under the new ones.
    pub new: Option<Event>,
}

/// How many of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    pub added: u64,
    pub removed: u64,
    pub moved: u64,
    pub reworded: u64,
}

impl Count {
    fn add(&mut self, kind: Kind) {
        *match kind {
            Kind::Added => &mut self.added,
            Kind::Removed => &mut self.removed,
            Kind::Moved => &mut self.moved,
            Kind::Reworded => &mut self.reworded,
        } += 1;
    }
}

/// What an edit comes to.
#[derive(Debug, Default)]
pub struct Difference {
    /// By the instant of the new event (of the old one where there is none), then by task and step.
    pub changes: Vec<Change>,
    pub reminders: Count,
    pub notices: Count,
    pub by_audience: BTreeMap<Audience, Count>,
    pub by_channel: BTreeMap<ChannelKind, Count>,
    /// Reminders and notices by rule and step, under their new names.
    pub by_step: BTreeMap<(String, String), Count>,
}

/// Moments to which the daily cap put events off.
pub type PutOff = HashMap<(u32, u16), Timestamp>;

/// Notes what is put off beyond its own moment.
pub fn note_put_off(put_off: &mut PutOff, leaving: &Leaving<'_>) {
    let capped = leaving.events.iter().filter(|event| event.deferred_by == Some(super::travel::DeferredBy::Cap));
    put_off.extend(capped.map(|event| (event.place(), event.send_at)));
}

/// One side of a comparison.
pub struct Side<'t, 'a> {
    pub traveller: &'t mut Traveller<'a>,
    pub put_off: PutOff,
    /// Nothing leaves before: what was to leave earlier leaves then.
    pub now: Timestamp,
}

impl Side<'_, '_> {
    fn events(&mut self, task: usize, events: &mut Vec<Event>) {
        events.clear();
        for rung in self.traveller.rungs_of(task) {
            self.traveller.expand(rung as u32, events);
        }
        for event in events {
            event.send_at = match self.put_off.get(&event.place()) {
                Some(moment) => *moment,
                None => event.send_at.max(self.now),
            };
        }
    }
}

/// What makes an event that event, under its new name.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'a> {
    slot: (Clock, AgencyId, Option<&'a Audience>, Option<ChannelKind>),
    step: &'a str,
    occurrence: u32,
}

/// Compares two foresights to which the same tasks were added in the same order. `counts` says of an event's due and
/// send instants whether it is part of the answer.
pub fn difference(
    old: &mut Side<'_, '_>,
    new: &mut Side<'_, '_>,
    rules: &Rules,
    counts: &dyn Fn(Timestamp, Timestamp) -> bool,
) -> Difference {
    let renamed = renamed(rules);
    let mut difference = Difference::default();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for task in 0..old.traveller.tasks() {
        old.events(task, &mut before);
        new.events(task, &mut after);
        let (was, is) = (&*old.traveller, &*new.traveller);
        let same = |(a, b): (&Event, &Event)| a.send_at == b.send_at && alike(&was.tell(a), &is.tell(b));
        if before.len() == after.len() && before.iter().zip(&after).all(same) {
            continue;
        }
        for change in compare(was, &before, is, &after, &renamed) {
            let at = |side: &Traveller<'_>, event: Event| counts(side.due_at(&event), event.send_at);
            if change.old.is_some_and(|event| at(was, event)) || change.new.is_some_and(|event| at(is, event)) {
                difference.count(&change, was, is);
                difference.changes.push(change);
            }
        }
    }
    let (was, is) = (&*old.traveller, &*new.traveller);
    difference.changes.sort_by_cached_key(|change| {
        let told = tell(change, was, is);
        (told.at, told.task.to_owned(), told.step.step.clone(), told.occurrence, change.kind)
    });
    difference
}

/// The event that a change is about: the new one, else the old one.
pub fn tell<'t>(change: &Change, was: &'t Traveller<'_>, is: &'t Traveller<'_>) -> Told<'t> {
    match (&change.new, &change.old) {
        (Some(event), _) => is.tell(event),
        (None, Some(event)) => was.tell(event),
        (None, None) => unreachable!("a change is of something"),
    }
}

impl Difference {
    fn count(&mut self, change: &Change, was: &Traveller<'_>, is: &Traveller<'_>) {
        let told = tell(change, was, is);
        self.by_step.entry((told.step.rule.clone(), told.step.step.clone())).or_default().add(change.kind);
        match (told.audience, told.channel) {
            (Some(audience), Some(channel)) => {
                self.reminders.add(change.kind);
                self.by_audience.entry(audience.clone()).or_default().add(change.kind);
                self.by_channel.entry(channel).or_default().add(change.kind);
            }
            _ => self.notices.add(change.kind),
        }
    }
}

/// The new id of a step, by its rule's and its own earlier ones.
fn renamed(rules: &Rules) -> HashMap<(&str, &str), &str> {
    let mut renamed = HashMap::new();
    for rule in &rules.rules {
        for id in std::iter::once(&rule.id).chain(&rule.was) {
            for step in &rule.steps {
                renamed.extend(step.was.iter().map(|was| ((id.as_str(), was.as_str()), step.id.as_str())));
            }
        }
    }
    renamed
}

/// Equal in everything a recipient could see, their moments of leaving apart.
fn alike(a: &Told<'_>, b: &Told<'_>) -> bool {
    a.at == b.at && slot(a) == slot(b) && a.occurrence == b.occurrence && a.step == b.step
}

fn slot<'a>(told: &Told<'a>) -> (Clock, AgencyId, Option<&'a Audience>, Option<ChannelKind>) {
    (told.clock, told.people.agency, told.audience, told.channel)
}

fn compare(
    was: &Traveller<'_>,
    before: &[Event],
    is: &Traveller<'_>,
    after: &[Event],
    renamed: &HashMap<(&str, &str), &str>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut left: HashMap<Identity<'_>, Event> = HashMap::with_capacity(before.len());
    for event in before {
        let told = was.tell(event);
        let names = (told.step.rule.as_str(), told.step.step.as_str());
        let step = renamed.get(&names).copied().unwrap_or(names.1);
        left.insert(Identity { slot: slot(&told), step, occurrence: told.occurrence }, *event);
    }
    let mut fresh: Vec<Event> = Vec::new();
    for event in after {
        let told = is.tell(event);
        let identity = Identity { slot: slot(&told), step: &told.step.step, occurrence: told.occurrence };
        let Some(old) = left.remove(&identity) else {
            fresh.push(*event);
            continue;
        };
        let earlier = was.tell(&old);
        // A step that was due at another time, but waits for the same hour, is told of in other words.
        let moved = old.send_at != event.send_at;
        let kind = if moved { Kind::Moved } else { Kind::Reworded };
        if moved || earlier.step != told.step || earlier.at != told.at {
            changes.push(Change { kind, old: Some(old), new: Some(*event) });
        }
    }
    // What is still there at the same moment, for the same slot, only has another name.
    let mut gone: Vec<Event> = left.into_values().collect();
    gone.sort_unstable_by_key(Event::place);
    for event in fresh {
        let told = is.tell(&event);
        let same = |old: &Event| {
            let earlier = was.tell(old);
            slot(&earlier) == slot(&told) && earlier.at == told.at && old.send_at == event.send_at
        };
        let (kind, old) = match gone.iter().position(same) {
            Some(place) => (Kind::Reworded, Some(gone.remove(place))),
            None => (Kind::Added, None),
        };
        changes.push(Change { kind, old, new: Some(event) });
    }
    changes.extend(gone.into_iter().map(|old| Change { kind: Kind::Removed, old: Some(old), new: None }));
    changes
}
