//! A claimed message's bytes: composed from what is on record now, or exactly those of an attempt whose answer was lost.

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    KnownDirectory, daily,
    facts::{Material, letter},
    gather::look_up,
    policy::Policy,
};
use crate::{
    channel::Parcel,
    message::{
        facts::{LetterFacts, Recipient, ZaloRecipient},
        mime::{self, Envelope},
        texts::EmailText,
        zalo::webhook_body,
    },
    planning::{directory::TaskPeople, plan::unsayable, rules::ChannelKind},
    store::{
        daily::DailyList,
        ledger::{Claimed, Freeze},
    },
};

/// What is told of a message: never content of a classified task, for its facts have none.
pub(super) struct About {
    pub(super) subject: String,
    pub(super) tasks: Vec<String>,
}

pub(super) struct Prepared {
    pub(super) parcel: Parcel,
    pub(super) freeze: Freeze,
    pub(super) about: About,
}

pub(super) enum Unready {
    /// A task, a deadline or a recipient is not what it was: what is still due is bundled anew.
    Changed,
    /// It cannot be told now (a day it speaks of has no list of days off): later, and reported.
    Later(String),
    /// It can never be composed.
    Poison(String),
}

/// The message's bytes: composed from what is on record now, or exactly those of an attempt whose answer was lost.
pub(super) fn prepare(
    policy: &Policy,
    known: &KnownDirectory,
    material: &Material,
    message: &Claimed,
    now: Timestamp,
) -> std::result::Result<Prepared, Unready> {
    if let Some(list) = &message.list {
        return daily_list(policy, known, material, message, list, now);
    }
    // Bytes that told of a secret are wiped: there is nothing to repeat.
    let wiped = message.frozen.as_ref().is_some_and(|frozen| frozen.bytes.is_empty());
    if wiped || message.rows.is_empty() || !message.rows.iter().all(|row| row.is_current()) {
        return Err(Unready::Changed);
    }
    let day = policy.calendar.date_of(now);
    let mut zalo_to = None;
    for row in &message.rows {
        let record = material.records.get(&row.task).ok_or(Unready::Changed)?;
        let entry = record.ledger.reminders.iter().find(|entry| entry.id == row.reminder).ok_or(Unready::Changed)?;
        let obligation =
            record.task.obligations.iter().find(|o| o.clock == entry.key.clock && o.agency.id == entry.key.agency);
        let people = TaskPeople {
            role: obligation.ok_or(Unready::Changed)?.role,
            agency: entry.key.agency,
            handler: record.handler,
            monitor: record.monitor,
            assigner_block: record.task.assigner_block,
            secrecy: record.task.secrecy,
        };
        // A level that rose since it was planned: what may not be said on this way is not said, frozen or not.
        if unsayable(record.task.secrecy, &entry.key.audience, entry.key.channel).is_some() {
            return Err(Unready::Changed);
        }
        let reached = look_up(policy, &known.directory, &entry.key, &people, day).map_err(|_| Unready::Changed)?;
        if reached.address != message.address || record.task.secrecy.is_classified() != message.classified {
            return Err(Unready::Changed);
        }
        zalo_to = reached.person.and_then(|id| known.directory.person(id)).or(zalo_to);
    }
    let to: Recipient = serde_json::from_str(&message.recipient).map_err(|error| Unready::Poison(error.to_string()))?;
    let facts = letter(policy, known, material, message, to, now).ok_or_else(|| {
        Unready::Later("a deadline it speaks of cannot be computed: is its year in calendar.toml?".to_owned())
    })?;
    let tasks = facts.items.iter().map(|item| item.code.clone()).collect();
    let (bytes, key, subject) = match &message.frozen {
        Some(frozen) => (frozen.bytes.clone(), frozen.message_id.clone(), String::new()),
        None => match message.channel {
            ChannelKind::Email => email(policy, &facts, message, now)?,
            ChannelKind::Zalo => zalo(policy, &facts, message, zalo_to)?,
        },
    };
    Ok(prepared(message, known.revision, bytes, key, About { subject, tasks }, now))
}

/// What is handed over and what is frozen of it: the same bytes, but for the mark of a repeat.
fn prepared(
    message: &Claimed,
    directory_revision: i64,
    bytes: Vec<u8>,
    key: String,
    about: About,
    now: Timestamp,
) -> Prepared {
    let wire = match (&message.frozen, message.channel) {
        (Some(_), ChannelKind::Email) => mime::mark_repeat(&bytes, message.n),
        _ => bytes.clone(),
    };
    Prepared {
        parcel: Parcel {
            id: message.id,
            address: message.address.clone(),
            bytes: wire,
            key: key.clone(),
            attempt: if message.frozen.is_some() { message.n } else { 1 },
        },
        freeze: Freeze {
            message: message.id,
            token: message.token.clone(),
            bytes,
            message_id: key,
            dated_at: now,
            rows: message.rows.clone(),
            directory_revision,
        },
        about,
    }
}

/// The daily list's bytes.
fn daily_list(
    policy: &Policy,
    known: &KnownDirectory,
    material: &Material,
    message: &Claimed,
    list: &DailyList,
    now: Timestamp,
) -> std::result::Result<Prepared, Unready> {
    let to: Recipient = serde_json::from_str(&message.recipient).map_err(|error| Unready::Poison(error.to_string()))?;
    let to_name = to.name.clone();
    // Emptied when a task it named became classified.
    if message.frozen.as_ref().is_some_and(|frozen| frozen.bytes.is_empty()) {
        return Err(Unready::Changed);
    }
    let claimed = (list, message.address.as_str(), to);
    let facts = daily::facts(policy, known, &material.unreached, claimed, now, message.frozen.is_some())
        .map_err(|daily::Untold::Over| Unready::Changed)?;
    let (bytes, key, subject) = match &message.frozen {
        Some(frozen) => (frozen.bytes.clone(), frozen.message_id.clone(), String::new()),
        None => {
            let text = policy.texts.daily(&facts).map_err(|error| Unready::Poison(error.to_string()))?;
            wrap(policy, text, message, to_name, now)?
        }
    };
    Ok(prepared(message, known.revision, bytes, key, About { subject, tasks: Vec::new() }, now))
}

/// The domain of the sending address: the right side of every Message-ID.
fn host(from: &str) -> String {
    let address = from.rsplit_once('<').map_or(from, |(_, rest)| rest).trim_end_matches('>');
    address.rsplit_once('@').map_or("localhost", |(_, domain)| domain).trim().to_owned()
}

fn email(
    policy: &Policy,
    facts: &LetterFacts,
    message: &Claimed,
    now: Timestamp,
) -> std::result::Result<(Vec<u8>, String, String), Unready> {
    let text = policy.texts.email(facts).map_err(|error| Unready::Poison(error.to_string()))?;
    wrap(policy, text, message, facts.recipient.name.clone(), now)
}

/// A letter's texts as a message on the wire, under a Message-ID of its own.
fn wrap(
    policy: &Policy,
    text: EmailText,
    message: &Claimed,
    to_name: String,
    now: Timestamp,
) -> std::result::Result<(Vec<u8>, String, String), Unready> {
    if let Some(why) = &text.fell_back {
        tracing::warn!(message = message.id, %why, "an own template failed on these facts; the shipped text goes out");
    }
    let host = host(&policy.settings.email.from);
    let message_id = mime::message_id(Uuid::new_v4(), &host);
    let envelope = Envelope {
        from: policy.settings.email.from.clone(),
        reply_to: policy.settings.email.reply_to.clone(),
        to: message.address.clone(),
        to_name: Some(to_name).filter(|name| !name.is_empty()),
        message_id: message_id.clone(),
        date: now,
        zone: policy.calendar.zone().clone(),
        host,
        extra_headers: Vec::new(),
    };
    let bytes = mime::mime(&text, &envelope).map_err(|error| Unready::Poison(error.to_string()))?;
    Ok((bytes, message_id, text.subject))
}

fn zalo(
    policy: &Policy,
    facts: &LetterFacts,
    message: &Claimed,
    person: Option<&crate::planning::directory::Person>,
) -> std::result::Result<(Vec<u8>, String, String), Unready> {
    let poison = |error: crate::message::texts::TextError| Unready::Poison(error.to_string());
    let text = policy.texts.zalo(facts).map_err(poison)?;
    // Stable for the message, whatever it is composed from.
    let delivery = format!("dondoc-{}-{}", message.id, message.token.get(20..).unwrap_or(&message.token));
    let to = ZaloRecipient {
        name: facts.recipient.name.clone(),
        phone: person.map(|person| person.phone.clone()).unwrap_or_default(),
        zalo_user_id: person.map(|person| person.zalo_user_id.clone()).unwrap_or_default(),
    };
    let bytes = webhook_body(&delivery, facts, &to, &text).map_err(poison)?;
    Ok((bytes, delivery, text))
}
