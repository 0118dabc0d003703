//! From planned reminders to messages: a person is looked up for each slot, and what leads to one address travels
//! together. After the whole scan, so that a digest is not split.

use std::collections::HashMap;

use jiff::{Timestamp, civil::Date};

use super::{Engine, Event, KnownDirectory, policy::Policy, recipient};
use crate::{
    config::settings::Zalo,
    planning::{
        bundle::{Ready, bundle},
        calendar::{Uncovered, View},
        directory::{Directory, Reached, TaskPeople, Unreachable},
        ledger::ReminderKey,
        plan::unsayable,
        rules::ChannelKind,
        task::ReminderId,
    },
    store::{
        Result,
        ledger::{Aside, NewMessage, ReadyRow},
    },
};

/// A message that could not be sent within this many days on which its hours allowed it ends superseded.
const EXPIRES_AFTER_ALLOWED_DAYS: u32 = 5;

impl Engine {
    /// Makes messages of all reminders whose moment has come.
    pub(super) async fn gather(&self, now: Timestamp) -> Result<()> {
        // A fallback made here is ready at once: at most every channel, then the box, then nobody.
        for _ in 0..3 {
            let rows = self.store.ready_reminders(now).await?;
            let policy = self.policy();
            let day = policy.calendar.date_of(now);
            // An idle pass reads nothing more, save once a day: a post may begin without anybody touching the directory.
            if rows.is_empty() && !self.looks_for_the_unreachable(day) {
                return Ok(());
            }
            let known = self.directory().await?;
            self.find_again(&known, day).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let sent: HashMap<(ChannelKind, String), u32> = self
                .store
                .sent_on(day)
                .await?
                .into_iter()
                .map(|(channel, address, n)| ((channel, address), n))
                .collect();
            let (messages, asides) = compose(&policy, &known, rows, &sent, now);
            let unreachable = asides.iter().filter(|aside| matches!(aside, Aside::Nobody { quiet: false, .. })).count();
            let again = asides.iter().any(|aside| matches!(aside, Aside::Fallback { .. }));
            self.store.save_messages(now, messages, asides).await?;
            if unreachable > 0 {
                tracing::warn!(reminders = unreachable, "reminders lead to nobody: see `dondoc status`");
                self.tell(Event::Unreachable { count: unreachable as u64 });
            }
            if !again {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Engine {
    fn looks_for_the_unreachable(&self, day: Date) -> bool {
        let looked = *self.looked_for.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        looked.is_none_or(|(_, looked)| looked != day)
    }

    /// Takes off the daily list whom the directory knows again: a post was filled, an address given. Looked at when
    /// the directory changed, and daily.
    async fn find_again(&self, known: &KnownDirectory, day: Date) -> Result<()> {
        {
            let mut looked = self.looked_for.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if *looked == Some((known.revision, day)) {
                return Ok(());
            }
            *looked = Some((known.revision, day));
        }
        let mut found = self.store.unreachable_slots().await?;
        found.retain(|slot| {
            let people = TaskPeople {
                role: slot.role,
                agency: slot.agency,
                handler: slot.handler,
                monitor: slot.monitor,
                assigner_block: slot.assigner_block,
                secrecy: slot.secrecy,
            };
            let reached = known.directory.resolve(&people, &slot.audience, slot.channel, day);
            slot.why != "refused" && reached.is_ok_and(|reached| reached.stands_in_for.is_none())
        });
        if found.is_empty() {
            return Ok(());
        }
        tracing::info!(slots = found.len(), "slots lead to somebody again");
        self.store.reachable_again(&found).await
    }
}

fn compose(
    policy: &Policy,
    known: &KnownDirectory,
    rows: Vec<ReadyRow>,
    sent: &HashMap<(ChannelKind, String), u32>,
    now: Timestamp,
) -> (Vec<NewMessage>, Vec<Aside>) {
    let day = policy.calendar.date_of(now);
    let mut asides = Vec::new();
    let mut ready = Vec::new();
    let mut reached: HashMap<ReminderId, (Reached, ReadyRow)> = HashMap::new();
    for row in rows {
        let (hours_name, hours, at) = policy.hours(&row.key.rule);
        // The list of days off may have changed since it was planned: the hours are asked again. What waits for the
        // morning's letter still does after a reload, or a milder step would leave just before the severer one.
        let calendar = own_calendar(policy, known, &row.key);
        let moment = row.due_at.max(row.planned_at);
        let leaves = calendar.send_at(moment, &hours, at).map(|leaves| leaves.max(now));
        match leaves.and_then(|leaves| calendar.send_at(leaves, &hours, at)) {
            Ok(leaves) if leaves > now => {
                asides.push(Aside::Wait { reminder: row.id, until: leaves });
                continue;
            }
            Ok(_) => {}
            Err(_) => {
                asides.push(Aside::Wait { reminder: row.id, until: now + jiff::SignedDuration::from_hours(1) });
                continue;
            }
        }
        // A level that rose since it was planned: what may not be said on this way is not said.
        if unsayable(row.secrecy, &row.key.audience, row.key.channel).is_some() {
            asides.push(Aside::Nobody { reminder: row.id, why: "classified", quiet: true });
            continue;
        }
        let people = TaskPeople {
            role: row.role,
            agency: row.key.agency,
            handler: row.handler,
            monitor: row.monitor,
            assigner_block: row.assigner_block,
            secrecy: row.secrecy,
        };
        match look_up(policy, &known.directory, &row.key, &people, day) {
            Ok(found) => {
                if found.stands_in_for.is_some() {
                    asides.push(Aside::StandIn { reminder: row.id, why: "no_living_address" });
                }
                let (bundles, cap) = policy.bundling(&row.key.rule);
                ready.push(Ready {
                    reminder: row.id,
                    task: row.task,
                    channel: row.key.channel,
                    address: found.address.clone(),
                    hours: hours_name,
                    classified: row.secrecy.is_classified(),
                    bundle: bundles,
                    earlier: row.earlier,
                    cap,
                    deadline: row.due_date.map_or(row.due_at, |date| policy.calendar.end_of(date)),
                });
                reached.insert(row.id, (found, row));
            }
            Err(Failed::Channel(why)) => asides.push(Aside::Fallback {
                reminder: row.id,
                why,
                audience: row.key.audience.to_string(),
                channel: ChannelKind::Email,
            }),
            Err(Failed::Person(why)) => {
                // Nothing may be said of a classified task elsewhere; that is no fault of an address.
                asides.push(Aside::Nobody { reminder: row.id, why: why.as_str(), quiet: false });
            }
        }
    }
    let bundles = bundle(ready, sent);
    for reminder in bundles.deferred {
        let row = reached.get(&reminder).map(|(_, row)| row);
        let (_, hours, at) = policy.hours(row.map_or("", |row| &row.key.rule));
        let calendar = row.map_or(View::of(&policy.calendar), |row| own_calendar(policy, known, &row.key));
        let until = calendar.send_at(policy.calendar.end_of(day), &hours, at);
        asides.push(Aside::Wait { reminder, until: until.unwrap_or(policy.calendar.end_of(day)) });
    }
    let messages = bundles.messages.into_iter().filter_map(|message| {
        let (first, row) = reached.get(message.reminders.first()?)?;
        Some(NewMessage {
            channel: message.channel,
            address: message.address,
            person: first.person,
            recipient: serde_json::to_string(&recipient(&known.directory, first, row.role)).unwrap_or_default(),
            classified: message.classified,
            expires_at: expires(policy, &message.hours, day).unwrap_or(policy.calendar.end_of(day)),
            hours: message.hours,
            earlier: message.earlier,
            part: message.part,
            not_before: now,
            reminders: message.reminders,
        })
    });
    (messages.collect(), asides)
}

/// The calendar by which letters of a slot leave: the agency's closures bind those to its own people.
fn own_calendar<'a>(policy: &'a Policy, known: &KnownDirectory, key: &ReminderKey) -> View<'a> {
    match known.directory.agency(key.agency) {
        Some(agency) => policy.calendar.for_names(&agency.code, &agency.name).to(&key.audience),
        None => View::of(&policy.calendar),
    }
}

/// Why a slot gives no message on its channel.
pub(super) enum Failed {
    /// This channel does not lead there: the same slot by e-mail.
    Channel(&'static str),
    Person(Unreachable),
}

/// Whom a slot leads to today.
pub(super) fn look_up(
    policy: &Policy,
    directory: &Directory,
    key: &ReminderKey,
    people: &TaskPeople,
    day: Date,
) -> std::result::Result<Reached, Failed> {
    if key.channel == ChannelKind::Zalo && matches!(policy.settings.zalo, Zalo::Off) {
        return Err(Failed::Channel("channel_off"));
    }
    directory.resolve(people, &key.audience, key.channel, day).map_err(|why| match why {
        Unreachable::NoZalo => Failed::Channel("no_zalo"),
        other => Failed::Person(other),
    })
}

/// The end of the last of the days on which a message may still be tried.
fn expires(policy: &Policy, hours: &str, from: Date) -> std::result::Result<Timestamp, Uncovered> {
    let hours = policy.named_hours(hours);
    let mut day = from;
    let mut allowed = u32::from(policy.calendar.allows(day, &hours)?);
    while allowed < EXPIRES_AFTER_ALLOWED_DAYS {
        day = day.tomorrow().map_err(|_| Uncovered(day.year()))?;
        allowed += u32::from(policy.calendar.allows(day, &hours)?);
    }
    Ok(policy.calendar.end_of(day))
}
