//! What will happen to a task if nothing changes: what [`plan`](super::plan) answers at each of its next looks.
//!
//! The ladders are computed once and climbed, instead of anew at each look; that this gives what looking again and
//! again would give is held by a property test (`tests/it/foresight.rs`). Nothing is decided here: which rungs speak
//! and what they supersede is asked of `plan`.

use jiff::Timestamp;

use super::{
    calendar::Uncovered,
    ledger::{Ledger, LedgerEntry, ReminderKey, ReminderState},
    plan::{Due, FilingDue, Occurrence, Plan, Record, Setting, Skipped, bind, file, ladder, plan, speak, standing},
    rules::Rule,
    task::{Obligation, ReminderId, Task},
};

/// Something that will happen, and at which look it is decided: for a task entered late, or after a stop, that is later
/// than the instant its step was due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub at: Timestamp,
    pub what: Foreseen,
}

/// What will happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Foreseen {
    Reminder(Due),
    Notice(FilingDue),
    /// On record without being sent.
    Silent(Skipped),
}

/// What lies ahead of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ahead {
    pub decided: Vec<Decided>,
    /// Reminders that wait now and will be overtaken by a severer step, each with when.
    pub overtaken: Vec<(Timestamp, ReminderKey)>,
}

/// A look ahead: everything that falls due up to `until`, in order, starting from what `setting.now` finds. Every
/// message is taken to be accepted as soon as it may leave. An `Err` is a year without a list of days off.
pub fn simulate(
    setting: &Setting<'_>,
    task: &Task,
    ledger: &Ledger,
    until: Timestamp,
) -> Result<Vec<Decided>, Uncovered> {
    look_ahead(setting, task, ledger, until).map(|ahead| ahead.decided)
}

/// [`simulate`], and what becomes of the reminders that wait already.
pub fn look_ahead(setting: &Setting<'_>, task: &Task, ledger: &Ledger, until: Timestamp) -> Result<Ahead, Uncovered> {
    if task.held || !task.state.is_open() {
        return Ok(Ahead::default());
    }
    let mut trail = Trail::of(ledger);
    if !task.state.is_urged() {
        // A question about a state is asked once; nothing else is due until the state changes.
        let planned = plan(setting, task, ledger)?;
        trail.take(setting.now, planned);
        return Ok(trail.end());
    }
    let mut setting = *setting;
    let mut first = Plan::default();
    let mut climbs = Vec::with_capacity(task.obligations.len());
    for obligation in task.obligations.iter().filter(|obligation| !obligation.ended) {
        if let Some(mut climb) = Climb::begin(&setting, task, obligation, ledger, &mut first)? {
            climb.look(&setting, task, &trail.waiting, &mut first)?;
            climbs.push(climb);
        }
    }
    trail.take(setting.now, first);
    setting.stopped = None;
    while let Some(next) = climbs.iter().filter_map(Climb::next_look).min().filter(|next| *next <= until) {
        setting.now = next;
        trail.pass_to(next);
        let mut planned = Plan::default();
        for climb in &mut climbs {
            climb.look(&setting, task, &trail.waiting, &mut planned)?;
        }
        trail.take(next, planned);
    }
    Ok(trail.end())
}

/// The ledger as it will stand at `moment` if what was decided happens: what left before it counts as accepted.
pub fn ledger_at(ledger: &Ledger, decided: &[Decided], moment: Timestamp) -> Ledger {
    let mut ledger = ledger.clone();
    for entry in &mut ledger.reminders {
        if matches!(entry.state, ReminderState::Planned | ReminderState::InMessage) && entry.due_at < moment {
            entry.state = ReminderState::Sent;
        }
    }
    for event in decided.iter().filter(|event| event.at <= moment) {
        let id = ReminderId(-1 - ledger.reminders.len() as i64);
        match &event.what {
            Foreseen::Reminder(due) => {
                let state = if due.send_at < moment { ReminderState::Sent } else { ReminderState::Planned };
                let (key, urging) = (due.key.clone(), due.urging);
                ledger.reminders.push(LedgerEntry { id, key, due_at: due.due_at, urging, state });
            }
            Foreseen::Silent(skipped) => {
                let (key, urging, state) = (skipped.key.clone(), skipped.urging, ReminderState::Superseded);
                ledger.reminders.push(LedgerEntry { id, key, due_at: skipped.due_at, urging, state });
            }
            Foreseen::Notice(filing) => ledger.filed.push(filing.key.clone()),
        }
    }
    ledger
}

/// One obligation on its ladder, at the next rung that is not on record.
struct Climb<'a> {
    obligation: &'a Obligation,
    rule: &'a Rule,
    since: Option<Timestamp>,
    record: Record<'a>,
    /// What is not on record, in order of its instants.
    ahead: Vec<Occurrence<'a>>,
    next: usize,
}

impl<'a> Climb<'a> {
    fn begin(
        setting: &Setting<'a>,
        task: &Task,
        obligation: &'a Obligation,
        ledger: &'a Ledger,
        plan: &mut Plan,
    ) -> Result<Option<Self>, Uncovered> {
        let Some(rule) = setting.rules.find(task, obligation) else { return Ok(None) };
        if obligation.deadline.is_none() {
            return Ok(None);
        }
        let since = bind(setting, obligation, rule, plan);
        let mut occurrences = ladder(setting.calendar, rule, obligation)?.occurrences;
        let record = Record::of(ledger, obligation, rule);
        occurrences.retain(|occurrence| !record.holds(occurrence));
        Ok(Some(Self { obligation, rule, since, record, ahead: occurrences, next: 0 }))
    }

    fn next_look(&self) -> Option<Timestamp> {
        self.ahead.get(self.next).map(|occurrence| occurrence.at)
    }

    fn look(&mut self, setting: &Setting<'a>, task: &Task, waiting: &Ledger, plan: &mut Plan) -> Result<(), Uncovered> {
        let mut past = Vec::new();
        while let Some(occurrence) = self.ahead.get(self.next).filter(|occurrence| occurrence.at <= setting.now) {
            past.push((*occurrence, standing(setting, task, self.obligation, self.rule, self.since, occurrence)));
            self.next += 1;
        }
        if past.is_empty() {
            return Ok(());
        }
        file(self.obligation, self.rule, &self.record, &past, plan);
        let before = plan.due.len();
        speak(setting, task, self.obligation, self.rule, &self.record, waiting, &past, plan)?;
        let spoken = plan.due[before..].iter().map(|due| due.due_at).max();
        self.record.severest = self.record.severest.max(spoken);
        Ok(())
    }
}

/// What was decided so far, and what of it has not left yet.
struct Trail {
    decided: Vec<Option<Decided>>,
    /// Reminders that a severer step may still displace.
    waiting: Ledger,
    /// Of each of them: when it leaves, and where it stands in `decided`. What is on record already has neither.
    leaves: Vec<Option<(Timestamp, usize)>>,
    overtaken: Vec<(Timestamp, ReminderKey)>,
}

impl Trail {
    fn of(ledger: &Ledger) -> Self {
        let waits = |entry: &&LedgerEntry| matches!(entry.state, ReminderState::Planned | ReminderState::InMessage);
        let reminders: Vec<LedgerEntry> = ledger.reminders.iter().filter(waits).cloned().collect();
        Self {
            decided: Vec::new(),
            overtaken: Vec::new(),
            leaves: vec![None; reminders.len()],
            waiting: Ledger { reminders, filed: Vec::new() },
        }
    }

    /// What leaves before `now` can no longer be displaced.
    fn pass_to(&mut self, now: Timestamp) {
        self.drop_waiting(|_, leaves| leaves.is_some_and(|(leaves, _)| leaves < now));
    }

    fn drop_waiting(&mut self, gone: impl Fn(&LedgerEntry, Option<(Timestamp, usize)>) -> bool) -> Vec<usize> {
        let mut dropped = Vec::new();
        for index in (0..self.leaves.len()).rev() {
            if gone(&self.waiting.reminders[index], self.leaves[index]) {
                self.waiting.reminders.remove(index);
                dropped.extend(self.leaves.remove(index).map(|(_, place)| place));
            }
        }
        dropped
    }

    fn take(&mut self, now: Timestamp, planned: Plan) {
        for displaced in planned.displaced {
            let places = self.drop_waiting(|entry, _| entry.key == displaced.entry.key);
            if places.is_empty() {
                self.overtaken.push((now, displaced.entry.key));
            }
            for place in places {
                self.decided[place] = None;
            }
        }
        for due in planned.due {
            // What leaves at once has left by the next look.
            if due.send_at > now {
                self.leaves.push(Some((due.send_at, self.decided.len())));
                let (id, key) = (ReminderId(-1), due.key.clone());
                let (due_at, urging, state) = (due.due_at, due.urging, ReminderState::Planned);
                self.waiting.reminders.push(LedgerEntry { id, key, due_at, urging, state });
            }
            self.decided.push(Some(Decided { at: now, what: Foreseen::Reminder(due) }));
        }
        let silent = planned.skipped.into_iter().map(Foreseen::Silent);
        let filed = planned.filings.into_iter().map(Foreseen::Notice);
        self.decided.extend(silent.chain(filed).map(|what| Some(Decided { at: now, what })));
    }

    fn end(self) -> Ahead {
        Ahead { decided: self.decided.into_iter().flatten().collect(), overtaken: self.overtaken }
    }
}
