//! The daily list of those who could not be reached: made once each working day, and told as it stands when it leaves.
//!
//! It goes the way of every message: committed before it is sent, claimed, frozen behind the gate, never a second one for
//! a day and an address. What is kept of it is not its content: that is read when it is composed.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Engine, KnownDirectory, agency_name, policy::Policy, recipient};
use crate::{
    channel::masked,
    message::{
        daily::{DailyFacts, UnreachedFacts},
        facts::Recipient,
    },
    planning::{
        directory::TaskPeople,
        rules::{Audience, ChannelKind},
        task::AgencyId,
    },
    store::{
        Result,
        daily::{DailyList, ListAudience, NewDailyList, Unreached},
        ledger::UnreachableSlot,
    },
};

/// The hours by which a list leaves.
const HOURS: &str = "normal";

/// Whom a list is for, and what stands on it.
struct List<'a> {
    audience: ListAudience,
    recipient: Recipient,
    entries: Vec<&'a Unreached>,
}

impl Engine {
    /// Today's lists, if the clock is believed and this is the database that sends.
    pub async fn list_the_unreached(&self) -> Result<u64> {
        match self.believed_now().filter(|_| self.may_act() && !self.stopping().is_cancelled()) {
            Some(now) => self.make_daily_lists(now).await,
            None => Ok(0),
        }
    }

    /// Makes today's lists, from the configured hour of a working day on. Cheap where they are made.
    pub async fn make_daily_lists(&self, now: Timestamp) -> Result<u64> {
        let policy = self.policy();
        let Some(from) = policy.settings.email.daily_list_at else { return Ok(0) };
        let local = policy.calendar.local(now);
        let day = local.date();
        let made = *self.listed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if made == Some(day) || local.time() < from || !policy.calendar.is_working(day).unwrap_or(false) {
            return Ok(0);
        }
        // One that cannot leave today would only expire: the next working day has one that says as much.
        if policy.may_leave(HOURS, now) >= policy.calendar.end_of(day) {
            return Ok(0);
        }
        let known = self.directory().await?;
        let unreached = self.store.unreached().await?;
        let lists = lists(&policy, &known, &unreached, now);
        let new = |address: &str, audience, recipient: String, entries: &[&Unreached]| NewDailyList {
            day,
            address: address.to_owned(),
            audience,
            recipient,
            entries: entries.len() as u64,
            digest: digest(entries),
            hours: HOURS.to_owned(),
            expires_at: policy.calendar.end_of(day),
        };
        let mut wanted: Vec<NewDailyList> = lists
            .iter()
            .map(|(address, list)| {
                let recipient = serde_json::to_string(&list.recipient).unwrap_or_default();
                new(address, list.audience, recipient, &list.entries)
            })
            .collect();
        // Who was told of somebody last is told that nobody is left: where that is so, and it is still theirs to know. What
        // only went over to another, or may not be named any more, still stands.
        let standing: HashSet<String> = unreached.iter().map(|entry| slot_word(&entry.slot)).collect();
        for open in self.store.open_lists().await? {
            let stands =
                open.digest.split(' ').any(|word| word.get(..WORD).is_some_and(|slot| standing.contains(slot)));
            let theirs = match open.audience {
                ListAudience::Operator => operator(&policy).is_some_and(|(_, address)| address == open.address),
                ListAudience::Monitor => known.directory.is_read(&open.address, day),
            };
            if open.day < day && !lists.contains_key(&open.address) && theirs && !stands {
                wanted.push(new(&open.address, open.audience, open.recipient, &[]));
            }
        }
        let made = if wanted.is_empty() { 0 } else { self.store.save_lists(now, &wanted).await? };
        *self.listed.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(day);
        if made > 0 {
            tracing::info!(lists = made, slots = unreached.len(), "the day's lists of those who cannot be reached");
        }
        Ok(made)
    }
}

/// The lists of all who get one, by address.
fn lists<'a>(
    policy: &Policy,
    known: &KnownDirectory,
    unreached: &'a [Unreached],
    now: Timestamp,
) -> BTreeMap<String, List<'a>> {
    let day = policy.calendar.date_of(now);
    let mut lists = BTreeMap::new();
    if unreached.is_empty() {
        return lists;
    }
    if let Some((name, address)) = operator(policy) {
        let name = if name.is_empty() { "Bộ phận vận hành hệ thống đôn đốc" } else { name };
        let recipient = Recipient { agency: name.to_owned(), ..Recipient::default() };
        let entries = unreached.iter().collect();
        lists.insert(address.to_owned(), List { audience: ListAudience::Operator, recipient, entries });
    }
    // Of a classified task nothing is said but to the operator, and to that one only the number.
    for entry in unreached.iter().filter(|entry| !entry.slot.secrecy.is_classified()) {
        let slot = &entry.slot;
        let people = TaskPeople {
            role: slot.role,
            agency: slot.agency,
            handler: slot.handler,
            monitor: slot.monitor,
            assigner_block: slot.assigner_block,
            secrecy: slot.secrecy,
        };
        let monitor = known.directory.resolve(&people, &Audience::Monitor, ChannelKind::Email, day);
        let Some(monitor) = monitor.ok().filter(|reached| reached.stands_in_for.is_none()) else { continue };
        let list = lists.entry(monitor.address.clone()).or_insert_with(|| List {
            audience: ListAudience::Monitor,
            recipient: recipient(&known.directory, &monitor, slot.role),
            entries: Vec::new(),
        });
        if list.audience == ListAudience::Monitor {
            list.entries.push(entry);
        }
    }
    lists
}

/// The operator's name, which may be empty, and address.
fn operator(policy: &Policy) -> Option<(&str, &str)> {
    let operator = policy.settings.email.operator.as_deref()?;
    let (name, address) = operator.rsplit_once('<').unwrap_or(("", operator));
    Some((name.trim().trim_matches('"'), address.trim_end_matches('>').trim()))
}

/// The length of one of a digest's words.
const WORD: usize = 12;

/// Changes with what stands on a list, and with nothing else; of a list without anybody it is empty. Two words together
/// for each entry: which slot it is, and how it stands.
fn digest(entries: &[&Unreached]) -> String {
    let both = |entry: &&Unreached| {
        let slot = &entry.slot;
        slot_word(slot) + &word(&format!("{} {}", slot.why, slot.secrecy.is_classified()))
    };
    entries.iter().map(both).collect::<Vec<_>>().join(" ")
}

/// Which slot this is.
fn slot_word(slot: &UnreachableSlot) -> String {
    word(&format!("{} {} {} {}", slot.agency.0, slot.audience, slot.channel, slot.task.0))
}

fn word(text: &str) -> String {
    hex::encode(&Sha256::digest(text)[..WORD / 2])
}

/// Why a claimed list is not told.
pub(super) enum Untold {
    /// Its day is over, nobody stands on it any more, or it is not what an earlier copy of unknown fate said.
    Over,
}

/// The facts of a list as it stands now; `repeat`: exactly the list of an earlier copy, or none.
pub(super) fn facts(
    policy: &Policy,
    known: &KnownDirectory,
    unreached: &[Unreached],
    claimed: (&DailyList, &str, Recipient),
    now: Timestamp,
    repeat: bool,
) -> std::result::Result<DailyFacts, Untold> {
    let (list, address, to) = claimed;
    if policy.calendar.date_of(now) != list.day {
        return Err(Untold::Over);
    }
    let mut lists = lists(policy, known, unreached, now);
    let entries = lists.remove(address).filter(|now| now.audience == list.audience).map(|now| now.entries);
    let entries = entries.unwrap_or_default();
    // A list with somebody on it does not become the good news by itself: that is the next day's.
    if entries.is_empty() != (list.entries == 0) || repeat && digest(&entries) != list.digest {
        return Err(Untold::Over);
    }
    let mut groups: BTreeMap<(AgencyId, String, &str, &str, String), UnreachedFacts> = BTreeMap::new();
    let mut hidden = 0;
    for entry in entries {
        let slot = &entry.slot;
        if slot.secrecy.is_classified() {
            hidden += 1;
            continue;
        }
        let (audience, since) = (slot.audience.to_string(), policy.calendar.date_of(entry.since));
        let shown = if entry.address.is_empty() { String::new() } else { masked(&entry.address) };
        let key = (slot.agency, audience.clone(), slot.channel.as_str(), slot.why.as_str(), entry.address.clone());
        let group = groups.entry(key).or_insert_with(|| UnreachedFacts {
            agency: agency_name(&known.directory, slot.agency),
            audience,
            role: slot.role,
            channel: slot.channel.as_str().to_owned(),
            why: slot.why.clone(),
            since,
            tasks: Vec::new(),
            reply: if entry.address.is_empty() { String::new() } else { entry.reply.replace(&entry.address, &shown) },
            address: shown,
        });
        group.since = group.since.min(since);
        group.tasks.push(entry.code.clone());
    }
    let mut groups: Vec<UnreachedFacts> = groups.into_values().collect();
    for group in &mut groups {
        group.tasks.sort_unstable();
        group.tasks.dedup();
    }
    // Who hears of nothing at all comes first.
    groups.sort_by(|a, b| {
        let key = |group: &UnreachedFacts| (group.why != "nobody_reachable", group.since);
        (key(a), &a.agency, &a.audience).cmp(&(key(b), &b.agency, &b.audience))
    });
    Ok(DailyFacts {
        office: policy.settings.office.name.clone(),
        recipient: to,
        as_of: policy.calendar.local(now),
        operator: list.audience == ListAudience::Operator,
        groups,
        hidden,
    })
}
