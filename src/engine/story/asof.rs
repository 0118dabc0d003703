//! A task's record as it stood at an earlier instant: what was learnt since is taken back, step by step, from the events
//! and from the instants each row carries.

use jiff::{Timestamp, civil::Date};

use super::{
    Material,
    armings::{armings, obligations_at},
    rungs,
};
use crate::{
    engine::policy::Policy,
    planning::{
        ledger::{FiledKey, Ledger, LedgerEntry, ReminderState},
        plan::STATE_RULE,
        task::{PersonId, Role, Secrecy, Task, TaskState, Urgency},
    },
    store::{
        acts::EventLine,
        ledger::{StoryRow, TaskNotice, TaskTexts},
    },
};

/// What a field was at `at`: what its next change took it from; `None` where nothing has changed it since.
fn was<'a>(events: &'a [EventLine], what: &str, at: Timestamp) -> Option<&'a str> {
    events.iter().find(|event| event.what == what && event.learnt_at > at).map(|event| event.old.as_str())
}

/// The record as of an earlier instant.
pub(super) fn as_of(policy: &Policy, material: &Material, at: Timestamp) -> Material {
    let armed = armings(material, &policy.calendar);
    let mut task = task_at(&material.record.task, &material.events, at);
    task.obligations = obligations_at(material, &armed, at);
    let rows: Vec<StoryRow> = material
        .rows
        .iter()
        .filter_map(|row| row_at(policy, row, &material.rows, &task, &material.events, at))
        .collect();
    let notices: Vec<TaskNotice> = material
        .notices
        .iter()
        .filter(|notice| notice.filed_at <= at)
        .map(|notice| TaskNotice { withdrawn_at: notice.withdrawn_at.filter(|when| *when <= at), ..notice.clone() })
        .collect();
    let person = |what, now: Option<PersonId>| match was(&material.events, what, at) {
        Some(old) => old.parse().ok().map(PersonId),
        None => now,
    };
    let mut record = material.record.clone();
    record.handler = person("handler", record.handler);
    record.monitor = person("monitor", record.monitor);
    record.ledger = ledger(&task, &rows, &notices);
    record.task = task;
    Material {
        texts: texts_at(material, &record.task, at),
        record,
        events: material.events.iter().filter(|event| event.learnt_at <= at).cloned().collect(),
        rows,
        notices,
    }
}

fn task_at(now: &Task, events: &[EventLine], at: Timestamp) -> Task {
    let text = |what, now: &str| was(events, what, at).unwrap_or(now).to_owned();
    let states = || events.iter().filter(|event| event.what == "state");
    let last = states().rfind(|event| event.learnt_at <= at);
    let counted = |event: &&EventLine| matches!(event.new.as_str(), "submitted" | "returned");
    let since = states().filter(|event| event.learnt_at > at).filter(counted).count() as u32;
    let state = |word: &str| TaskState::from_word(word);
    let resumes = |event: &&EventLine| match event.what.as_str() {
        "state" => {
            state(&event.old).is_some_and(|old| !old.is_urged()) && state(&event.new).is_some_and(|new| new.is_urged())
        }
        "held" => !event.old.is_empty() && event.new.is_empty(),
        _ => false,
    };
    let resumed = || events.iter().filter(|event| event.learnt_at <= at).rfind(resumes).map(|event| event.learnt_at);
    Task {
        code: text("code", &now.code),
        state: was(events, "state", at).and_then(state).unwrap_or(now.state),
        state_since: if now.state_since <= at { now.state_since } else { last.map_or(now.known_at, |e| e.learnt_at) },
        resumed_at: if now.resumed_at.is_some_and(|resumed| resumed > at) { resumed() } else { now.resumed_at },
        state_count: now.state_count.saturating_sub(since).max(1),
        urgency: was(events, "urgency", at).and_then(Urgency::from_word).unwrap_or(now.urgency),
        secrecy: was(events, "secrecy", at).and_then(Secrecy::from_word).unwrap_or(now.secrecy),
        assigner: text("assigner", &now.assigner),
        field: text("field", &now.field),
        priority: text("priority", &now.priority),
        held: was(events, "held", at).map_or(now.held, |held| !held.is_empty()),
        ..now.clone()
    }
}

fn texts_at(material: &Material, task: &Task, at: Timestamp) -> TaskTexts {
    let (events, now) = (&material.events, &material.texts);
    let text = |what, now: &str| was(events, what, at).unwrap_or(now).to_owned();
    let day = |what, now: Option<Date>| match was(events, what, at) {
        Some(old) => old.parse().ok(),
        None => now,
    };
    let names = |role| {
        let duties = task.obligations.iter().filter(move |o| o.role == role && !o.ended);
        let mut names: Vec<String> = duties.map(|o| o.agency.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    };
    TaskTexts {
        work: text("work", &now.work),
        lead: names(Role::Lead).into_iter().next().unwrap_or_else(|| now.lead.clone()),
        coordinators: names(Role::Coordinator),
        due_typed: text("due_typed", &now.due_typed),
        due_reading: text("due_reading", &now.due_reading),
        completed_on: day("completed_on", now.completed_on),
        last_update: day("last_update", now.last_update),
        result: text("result", &now.result),
        note: text("note", &now.note),
        imported_urgings: was(events, "imported_urgings", at)
            .and_then(|old| old.parse().ok())
            .unwrap_or(now.imported_urgings),
        extensions: now.extensions.iter().filter(|one| one.recorded_at <= at).cloned().collect(),
        contacts: now.contacts.iter().filter(|one| one.at <= at).cloned().collect(),
        ..now.clone()
    }
}

/// A reminder as it stood: unmade, waiting, silenced, or already where it is now.
fn row_at(
    policy: &Policy,
    row: &StoryRow,
    rows: &[StoryRow],
    task: &Task,
    events: &[EventLine],
    at: Timestamp,
) -> Option<StoryRow> {
    if row.created_at > at {
        return None;
    }
    let mut then = row.clone();
    then.attempts.retain(|attempt| attempt.started_at <= at);
    for attempt in &mut then.attempts {
        if attempt.ended_at.is_some_and(|ended| ended > at) {
            (attempt.ended_at, attempt.outcome, attempt.code) = (None, String::new(), 0);
            attempt.reply.clear();
        }
    }
    let answered = then.attempts.iter().rfind(|attempt| attempt.ended_at.is_some()).cloned();
    then.answered_at = answered.as_ref().and_then(|attempt| attempt.ended_at);
    if row.changed_at <= at {
        return Some(then);
    }
    then.reason.clear();
    let tried = then.attempts.last().cloned();
    let bundled = row.bundled_at.is_some_and(|bundled| bundled <= at);
    match &tried {
        // It may have been in an earlier message then.
        Some(tried) => {
            then.message = Some(tried.message);
            (then.address, then.recipient) = (tried.address.clone(), tried.recipient.clone());
        }
        None if bundled => {}
        None => {
            then.message = None;
            then.address.clear();
            then.recipient.clear();
        }
    }
    // What a pause silenced waits again afterwards: in between it was silent. What was being handed over, or may have
    // arrived, was not.
    let silent = !task.state.is_urged() && row.key.rule != STATE_RULE && row.created_at <= task.state_since;
    let leaving = tried.as_ref().is_some_and(|tried| tried.ended_at.is_none() || tried.outcome == "unknown");
    // Refused for good it went another way at once, until it was itself sent again; refused for now it is tried again.
    let taken_back = |other: &StoryRow| other.reason == "original_retried" && other.changed_at <= at;
    let instead = |other: &StoryRow| other.fallback_of == Some(row.id) && other.created_at <= at && !taken_back(other);
    let refused = rows.iter().any(instead);
    (then.state, then.reason) = if silent && !leaving {
        (ReminderState::Suppressed, silence(task.state, events).to_owned())
    } else if refused && tried.is_some() {
        (ReminderState::Dead, "refused".to_owned())
    } else if bundled || tried.is_some() {
        (ReminderState::InMessage, String::new())
    } else {
        (ReminderState::Planned, String::new())
    };
    then.changed_at = row.created_at;
    then.not_before = match then.state {
        ReminderState::Planned => rungs::waits_until(policy, task, &then, at),
        _ => row.due_at,
    };
    Some(then)
}

/// The word under which reminders fall silent in a state.
fn silence(state: TaskState, events: &[EventLine]) -> &'static str {
    match state {
        TaskState::Submitted => "submitted",
        TaskState::Returned => "returned",
        TaskState::Done => "completed",
        TaskState::Withdrawn => "withdrawn",
        TaskState::Paused => "paused",
        _ if events.iter().any(|event| event.what == "held") => "held",
        _ => "changed",
    }
}

/// What the planner would have been given: what fell silent with a state the task has left since is as if unplanned.
fn ledger(task: &Task, rows: &[StoryRow], notices: &[TaskNotice]) -> Ledger {
    let forgotten = |row: &&StoryRow| {
        row.state == ReminderState::Suppressed
            && matches!(row.reason.as_str(), "paused" | "submitted" | "returned" | "held" | "changed")
            && task.resumed_at.is_some_and(|resumed| row.changed_at <= resumed)
    };
    let mut reminders: Vec<LedgerEntry> = rows
        .iter()
        .filter(|row| !forgotten(row))
        .map(|row| LedgerEntry {
            id: row.id,
            key: row.key.clone(),
            due_at: row.due_at,
            urging: row.urging,
            state: row.state,
        })
        .collect();
    reminders.sort_by_key(|entry| entry.id);
    Ledger { reminders, filed: notices.iter().map(|notice| FiledKey::clone(&notice.key)).collect() }
}
