//! Looking ahead over the whole store: what will be sent and filed, to whom, grouped as it will travel.
//!
//! A large office's year has millions of reminders, so what is kept of each is a few numbers: [`Foresight`] has one
//! `Rung` for all slots of a step that leave together, and texts, moments and lists of slots once each. Who is reached,
//! and with what a reminder travels, is found later, moment by moment ([`travel`]). Nothing here writes or sends.

pub mod difference;
pub mod kept;
pub mod show;
pub mod totals;
pub mod travel;

use std::collections::HashMap;

use jiff::Timestamp;

use self::kept::Kept;
use super::policy::Policy;
use crate::{
    planning::{
        calendar::Uncovered,
        directory::TaskPeople,
        ledger::ReminderState,
        plan::{CONFIRM_STEP, Due, STATE_RULE, Stop},
        rules::{Audience, ChannelKind},
        simulate::{Ahead, Decided, Foreseen, look_ahead},
        task::{AgencyId, Clock, Role, TaskId, TaskState},
    },
    store::ledger::TaskRecord,
};

/// The list of slots of a notice: none.
const NOTICE: u32 = 0;

/// A step of a rule, as reminders name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StepName {
    pub rule: String,
    pub step: String,
    pub urging: bool,
}

/// A slot on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    /// In `Foresight::audiences`.
    audience: u32,
    channel: ChannelKind,
}

/// A task that was looked at.
#[derive(Debug, Clone)]
struct TaskLine {
    id: TaskId,
    code: Box<str>,
    /// Its first rung; its last is before the next task's first.
    rungs: u32,
}

/// One obligation of a task that will be heard of.
#[derive(Debug, Clone, Copy)]
struct Duty {
    task: u32,
    /// In `Foresight::people`.
    people: u32,
    clock: Clock,
    /// The end of its deadline's day; `None` where it has none: then the day of the reminder itself counts.
    deadline: Option<Timestamp>,
}

/// What falls due for one obligation at one step and leaves at one moment: a notice, or reminders to some slots. Numbers
/// into the lists of [`Foresight`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rung {
    at: u32,
    send: u32,
    duty: u32,
    step: u32,
    occurrence: u32,
    slots: u32,
}

/// What is foreseen of all tasks that were added, before it is known how it travels.
pub struct Foresight {
    tasks: Vec<TaskLine>,
    duties: Vec<Duty>,
    rungs: Vec<Rung>,
    moments: Kept<Timestamp>,
    people: Kept<TaskPeople>,
    audiences: Kept<Audience>,
    steps: Vec<StepName>,
    /// Numbers of steps, by rule.
    steps_of: HashMap<String, Vec<u32>>,
    slots: Vec<Box<[Slot]>>,
    slots_of: HashMap<Box<[Slot]>, u32>,
    /// Tasks of which nothing can be said: a year without a list of days off.
    pub uncovered: Vec<(String, Uncovered)>,
}

impl Default for Foresight {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            duties: Vec::new(),
            rungs: Vec::new(),
            moments: Kept::default(),
            people: Kept::default(),
            audiences: Kept::default(),
            steps: Vec::new(),
            steps_of: HashMap::new(),
            slots: vec![Box::default()],
            slots_of: HashMap::new(),
            uncovered: Vec::new(),
        }
    }
}

impl Foresight {
    /// Adds one task: everything due for it up to `until`, from what would be found at `from`. What is due at `from` is
    /// part of the answer: it goes out with the first pass.
    pub fn add(
        &mut self,
        policy: &Policy,
        record: &TaskRecord,
        from: Timestamp,
        until: Timestamp,
        stopped: Option<Stop>,
    ) {
        let rungs = self.rungs.len() as u32;
        self.tasks.push(TaskLine { id: record.task.id, code: record.task.code.as_str().into(), rungs });
        match look_ahead(&policy.setting(from, stopped), &record.task, &record.ledger, until) {
            Ok(mut ahead) => {
                let mut decided = waiting(policy, record, from, &ahead);
                decided.append(&mut ahead.decided);
                self.keep(policy, record, from, &decided);
            }
            Err(uncovered) => self.uncovered.push((record.task.code.clone(), uncovered)),
        }
    }

    /// How many tasks were looked at.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    fn keep(&mut self, policy: &Policy, record: &TaskRecord, from: Timestamp, decided: &[Decided]) {
        let first = self.duties.len();
        let mut open: Option<Rung> = None;
        let mut slots: Vec<Slot> = Vec::new();
        for event in decided {
            let (at, send, key) = match &event.what {
                Foreseen::Reminder(due) => {
                    let key = &due.key;
                    (due.due_at, due.send_at, (key.clock, key.agency, &key.rule, &key.step, key.occurrence, due.urging))
                }
                Foreseen::Notice(filing) => {
                    let key = &filing.key;
                    let key = (key.clock, key.agency, &key.rule, &key.step, key.occurrence, false);
                    (filing.due_at, filing.due_at.max(from), key)
                }
                Foreseen::Silent(_) => continue,
            };
            let (clock, agency, rule, step, occurrence, urging) = key;
            let rung = Rung {
                at: self.moments.number(&at),
                send: self.moments.number(&send),
                duty: self.duty(policy, record, first, clock, agency),
                step: self.step(rule, step, urging),
                occurrence,
                slots: NOTICE,
            };
            let Foreseen::Reminder(due) = &event.what else {
                self.close(open.take(), &mut slots);
                self.rungs.push(rung);
                continue;
            };
            if open != Some(rung) {
                self.close(open.replace(rung), &mut slots);
            }
            slots.push(Slot { audience: self.audiences.number(&due.key.audience), channel: due.key.channel });
        }
        self.close(open, &mut slots);
    }

    fn close(&mut self, rung: Option<Rung>, slots: &mut Vec<Slot>) {
        let Some(rung) = rung else { return };
        let number = match self.slots_of.get(slots.as_slice()) {
            Some(number) => *number,
            None => {
                let number = self.slots.len() as u32;
                self.slots.push(slots.as_slice().into());
                self.slots_of.insert(slots.as_slice().into(), number);
                number
            }
        };
        slots.clear();
        self.rungs.push(Rung { slots: number, ..rung });
    }

    fn step(&mut self, rule: &str, step: &str, urging: bool) -> u32 {
        let known = self.steps_of.get(rule).into_iter().flatten();
        let is_it = |number: &&u32| {
            let name = &self.steps[**number as usize];
            name.step == step && name.urging == urging
        };
        if let Some(number) = known.copied().find(|number| is_it(&number)) {
            return number;
        }
        let number = self.steps.len() as u32;
        self.steps.push(StepName { rule: rule.to_owned(), step: step.to_owned(), urging });
        self.steps_of.entry(rule.to_owned()).or_default().push(number);
        number
    }

    /// The duty of an agency on a clock, among those of the task that begin at `first`.
    fn duty(&mut self, policy: &Policy, record: &TaskRecord, first: usize, clock: Clock, agency: AgencyId) -> u32 {
        let is_it = |duty: &Duty| duty.clock == clock && self.people.get(duty.people).agency == agency;
        if let Some(place) = self.duties[first..].iter().position(is_it) {
            return (first + place) as u32;
        }
        let obligation = record.task.obligations.iter().find(|o| o.clock == clock && o.agency.id == agency);
        let people = TaskPeople {
            role: obligation.map_or(Role::Lead, |o| o.role),
            agency,
            handler: record.handler,
            monitor: record.monitor,
            assigner_block: record.task.assigner_block,
            secrecy: record.task.secrecy,
        };
        let duty = Duty {
            task: self.tasks.len() as u32 - 1,
            people: self.people.number(&people),
            clock,
            deadline: obligation.and_then(|o| o.deadline).map(|d| policy.calendar.end_of(d.date)),
        };
        self.duties.push(duty);
        self.duties.len() as u32 - 1
    }

    /// The rungs of a task, by its place in the order of adding.
    fn rungs_of(&self, task: usize) -> std::ops::Range<usize> {
        let end = self.tasks.get(task + 1).map_or(self.rungs.len(), |next| next.rungs as usize);
        self.tasks[task].rungs as usize..end
    }

    fn slot(&self, rung: &Rung, slot: u16) -> Slot {
        self.slots[rung.slots as usize][usize::from(slot)]
    }
}

/// What is on record already and has not left: it waits for its hours, or for a mail server. What a severer step will
/// overtake is none of it, nor what is no longer current.
fn waiting(policy: &Policy, record: &TaskRecord, now: Timestamp, ahead: &Ahead) -> Vec<Decided> {
    let task = &record.task;
    let waits = record
        .ledger
        .reminders
        .iter()
        .filter(|entry| matches!(entry.state, ReminderState::Planned | ReminderState::InMessage));
    let current = waits.filter(|entry| {
        let key = &entry.key;
        let speaks = match (key.rule.as_str(), key.step.as_str()) {
            (STATE_RULE, CONFIRM_STEP) => task.state == TaskState::Submitted,
            (STATE_RULE, _) => task.state == TaskState::Returned,
            _ => task.state.is_urged(),
        };
        let duty = task.obligations.iter().find(|o| o.clock == key.clock && o.agency.id == key.agency);
        speaks && !task.held && duty.is_some_and(|duty| !duty.ended && duty.arming == key.arming)
    });
    let due = current.filter_map(|entry| {
        let (_, hours, at) = policy.hours(&entry.key.rule);
        let send_at = policy.calendar.send_at(now.max(entry.due_at), &hours, at).ok()?;
        let overtaken = ahead.overtaken.iter().any(|(when, key)| *key == entry.key && *when <= send_at);
        let due = Due { key: entry.key.clone(), due_at: entry.due_at, send_at, urging: entry.urging };
        (!overtaken).then_some(Decided { at: now, what: Foreseen::Reminder(due) })
    });
    due.collect()
}
