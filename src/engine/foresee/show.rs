//! The texts that are foreseen for one task: composed as the daemon will, from the ledger as it will stand by then.
//!
//! Nothing is written, nothing frozen; a classified task's text is the neutral one, for its facts have nothing else.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::travel::{Leaving, Told, Traveller};
use crate::{
    engine::{
        KnownDirectory,
        facts::{Material, letter},
        gather::look_up,
        policy::Policy,
        recipient,
    },
    planning::{
        bundle::Part,
        directory::TaskPeople,
        ledger::{LedgerEntry, ReminderKey, ReminderState},
        rules::{Audience, ChannelKind},
        simulate::{ledger_at, simulate},
        task::{Clock, ReminderId, TaskId, TaskState},
    },
    store::ledger::{Claimed, GateRow, TaskRecord, TaskTexts},
};

/// One reminder or notice of a foreseen message, by what it is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub task: TaskId,
    pub code: String,
    pub clock: Clock,
    pub people: TaskPeople,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
    /// `None` for a notice.
    pub audience: Option<Audience>,
    pub at: Timestamp,
}

impl Item {
    fn of(told: &Told<'_>) -> Self {
        Self {
            task: told.task_id,
            code: told.task.to_owned(),
            clock: told.clock,
            people: *told.people,
            rule: told.step.rule.clone(),
            step: told.step.step.clone(),
            occurrence: told.occurrence,
            audience: told.audience.cloned(),
            at: told.at,
        }
    }
}

/// Something that will leave, or be filed, in which a task is spoken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    pub moment: Timestamp,
    /// `None` for a notice.
    pub channel: Option<ChannelKind>,
    /// Empty where nobody can be reached.
    pub address: String,
    pub person: String,
    /// Which part of a letter that was divided.
    pub part: Part,
    /// In the order in which it carries them; other tasks' too.
    pub items: Vec<Item>,
}

/// Collects what speaks of one task, from what passes by.
#[derive(Debug)]
pub struct Collecting {
    task: TaskId,
    /// In order of leaving.
    pub parcels: Vec<Parcel>,
}

impl Collecting {
    pub fn of(task: TaskId) -> Self {
        Self { task, parcels: Vec::new() }
    }

    /// Takes what leaves, of that which `wanted` says is part of the answer.
    pub fn take(&mut self, traveller: &Traveller<'_>, leaving: &Leaving<'_>, wanted: &dyn Fn(&Told<'_>) -> bool) {
        let apart = |a: &super::travel::Event, b: &super::travel::Event| a.message == b.message && a.message > 0;
        for events in leaving.events.chunk_by(apart) {
            let told: Vec<Told<'_>> = events.iter().map(|event| traveller.tell(event)).collect();
            if !told.iter().any(|told| told.task_id == self.task && wanted(told)) {
                continue;
            }
            let first = &told[0];
            self.parcels.push(Parcel {
                moment: first.send_at,
                channel: first.channel,
                address: first.address.to_owned(),
                person: first.person.to_owned(),
                part: events[0].part,
                items: told.iter().map(Item::of).collect(),
            });
        }
    }

    /// Every task that is spoken of beside it: their records and texts are needed to compose.
    pub fn tasks(&self) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = self.parcels.iter().flat_map(|p| p.items.iter().map(|item| item.task)).collect();
        tasks.sort_unstable();
        tasks.dedup();
        tasks
    }
}

/// A foreseen message in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// Empty for Zalo.
    pub subject: String,
    /// The letter's text part, or the Zalo line.
    pub text: String,
}

/// Why a text cannot be shown. No content of a task is in it.
#[derive(Debug, thiserror::Error)]
pub enum Unsaid {
    #[error("a task it speaks of is not there any more: ask again")]
    Gone,
    #[error("its recipient cannot be looked up for that day")]
    Recipient,
    #[error("a deadline it speaks of cannot be computed: is its year in calendar.toml?")]
    Deadline,
    #[error("{0}")]
    Text(#[from] crate::message::texts::TextError),
}

/// Composes a parcel as the daemon will at its moment, if nothing changes until then. `start` is the instant from which
/// was looked ahead.
pub fn compose(
    policy: &Policy,
    known: &KnownDirectory,
    records: &HashMap<TaskId, TaskRecord>,
    texts: &HashMap<TaskId, TaskTexts>,
    parcel: &Parcel,
    start: Timestamp,
) -> Result<Words, Unsaid> {
    let channel = parcel.channel.ok_or(Unsaid::Gone)?;
    let mut by_task: BTreeMap<TaskId, Vec<&Item>> = BTreeMap::new();
    for item in &parcel.items {
        by_task.entry(item.task).or_default().push(item);
    }
    let mut material = Material { records: HashMap::new(), texts: HashMap::new(), unreached: Vec::new() };
    let mut reminders: HashMap<ReminderKeyOf<'_>, ReminderId> = HashMap::new();
    for (task, items) in &by_task {
        let (record, told) = (records.get(task).ok_or(Unsaid::Gone)?, texts.get(task).ok_or(Unsaid::Gone)?);
        let setting = policy.setting(start, None);
        let decided = simulate(&setting, &record.task, &record.ledger, parcel.moment).map_err(|_| Unsaid::Deadline)?;
        let mut record =
            TaskRecord { ledger: ledger_at(&record.ledger, &decided, parcel.moment), ..TaskRecord::clone(record) };
        for item in items {
            let id = entry_of(&mut record, item, channel).ok_or(Unsaid::Gone)?;
            reminders.insert((item.task, key_part(item)), id);
        }
        material.records.insert(*task, record);
        material.texts.insert(*task, told.clone());
    }
    let mut rows: Vec<(Timestamp, GateRow)> = parcel
        .items
        .iter()
        .filter_map(|item| {
            let row = row(material.records.get(&item.task)?, item, reminders[&(item.task, key_part(item))]);
            Some((item.at.max(start), row))
        })
        .collect();
    // As a claim gives them, in the order of being recorded: what is on record before what will be.
    rows.sort_by_key(|(at, row)| match row.reminder.0 {
        id if id > 0 => (false, Timestamp::MIN, TaskId(0), id),
        id => (true, *at, row.task, -id),
    });
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    let day = policy.calendar.date_of(parcel.moment);
    let first = parcel.items.first().ok_or(Unsaid::Gone)?;
    let key = key(first, channel, 1).ok_or(Unsaid::Gone)?;
    let reached = look_up(policy, &known.directory, &key, &first.people, day).map_err(|_| Unsaid::Recipient)?;
    let to = recipient(&known.directory, &reached, first.people.role);
    let claimed = Claimed {
        list: None,
        id: 0,
        token: String::new(),
        n: 1,
        channel,
        address: parcel.address.clone(),
        person: reached.person,
        recipient: String::new(),
        classified: first.people.secrecy.is_classified(),
        hours: String::new(),
        attempts: 0,
        expires_at: Timestamp::MAX,
        earlier: None,
        earlier_at: None,
        part: parcel.part,
        frozen: None,
        rows,
    };
    let facts = letter(policy, known, &material, &claimed, to, parcel.moment).ok_or(Unsaid::Deadline)?;
    Ok(match channel {
        ChannelKind::Email => {
            let text = policy.texts.email(&facts)?;
            Words { subject: text.subject, text: text.text }
        }
        ChannelKind::Zalo => Words { subject: String::new(), text: policy.texts.zalo(&facts)? },
    })
}

type KeyPart<'a> = (Clock, i64, &'a str, &'a str, u32, Option<&'a Audience>);
type ReminderKeyOf<'a> = (TaskId, KeyPart<'a>);

fn key_part(item: &Item) -> KeyPart<'_> {
    (item.clock, item.people.agency.0, &item.rule, &item.step, item.occurrence, item.audience.as_ref())
}

fn key(item: &Item, channel: ChannelKind, arming: u32) -> Option<ReminderKey> {
    Some(ReminderKey {
        clock: item.clock,
        arming,
        rule: item.rule.clone(),
        step: item.step.clone(),
        occurrence: item.occurrence,
        agency: item.people.agency,
        audience: item.audience.clone()?,
        channel,
    })
}

/// The reminder's entry in the ledger; where its channel does not lead there, the one that its fallback by e-mail makes.
fn entry_of(record: &mut TaskRecord, item: &Item, channel: ChannelKind) -> Option<ReminderId> {
    let is_it = |entry: &&LedgerEntry| {
        let key = &entry.key;
        (key.clock, key.agency, key.occurrence) == (item.clock, item.people.agency, item.occurrence)
            && (&key.rule, &key.step, Some(&key.audience)) == (&item.rule, &item.step, item.audience.as_ref())
            && entry.due_at == item.at
    };
    let ledger = &mut record.ledger.reminders;
    // The latest arming's, where an earlier one had the same.
    let found = |channel| ledger.iter().rev().filter(is_it).find(|entry| entry.key.channel == channel);
    if let Some(entry) = found(channel) {
        return Some(entry.id);
    }
    let other = ledger.iter().rev().find(is_it)?.clone();
    let id = ReminderId(-1 - ledger.len() as i64);
    ledger.push(LedgerEntry {
        id,
        key: ReminderKey { channel, ..other.key },
        state: ReminderState::InMessage,
        ..other
    });
    Some(id)
}

fn row(record: &TaskRecord, item: &Item, reminder: ReminderId) -> GateRow {
    let obligation =
        record.task.obligations.iter().find(|o| o.clock == item.clock && o.agency.id == item.people.agency);
    let arming = obligation.map_or(1, |o| o.arming);
    GateRow {
        reminder,
        task: item.task,
        reminder_state: ReminderState::InMessage,
        rule: item.rule.clone(),
        step: item.step.clone(),
        task_state: TaskState::clone(&record.task.state),
        held: record.task.held,
        secrecy: record.task.secrecy,
        reminder_arming: arming,
        arming,
        due_date: obligation.and_then(|o| o.deadline).map(|d| d.date),
        ended: obligation.is_some_and(|o| o.ended),
        handler: record.handler,
        monitor: record.monitor,
    }
}
