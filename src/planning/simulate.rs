//! What will happen to a task if nothing changes: the same [`plan`](super::plan), asked at each of its next looks.

use jiff::Timestamp;

use super::{
    calendar::Uncovered,
    ledger::{FiledKey, Ledger, LedgerEntry, ReminderState},
    plan::{Due, FilingDue, Setting, Skipped, plan},
    task::{ReminderId, Task},
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

/// A look ahead: everything that falls due up to `until`, in order, starting from what `setting.now` finds. Every
/// message is taken to be accepted as soon as it may leave. An `Err` is a year without a list of days off.
pub fn simulate(
    setting: &Setting<'_>,
    task: &Task,
    ledger: &Ledger,
    until: Timestamp,
) -> Result<Vec<Decided>, Uncovered> {
    let mut ledger = ledger.clone();
    let mut task = task.clone();
    let mut setting = *setting;
    let mut foreseen = Vec::new();
    let mut waiting: Vec<(usize, Timestamp)> = Vec::new();
    loop {
        for (index, _) in waiting.extract_if(.., |(_, leaves)| *leaves < setting.now) {
            ledger.reminders[index].state = ReminderState::Sent;
        }
        let planned = plan(&setting, &task, &ledger)?;
        for displaced in &planned.displaced {
            for entry in ledger.reminders.iter_mut().filter(|entry| entry.key == displaced.entry.key) {
                entry.state = ReminderState::Superseded;
            }
            foreseen
                .retain(|f: &Decided| !matches!(&f.what, Foreseen::Reminder(due) if due.key == displaced.entry.key));
        }
        for binding in planned.bindings {
            for obligation in &mut task.obligations {
                if obligation.clock == binding.clock && obligation.agency.id == binding.agency {
                    obligation.bound = Some((binding.rule.clone(), binding.since));
                }
            }
        }
        let mut record = |key: &super::ledger::ReminderKey, due_at, urging, state| {
            let id = ReminderId(-1 - ledger.reminders.len() as i64);
            ledger.reminders.push(LedgerEntry { id, key: key.clone(), due_at, urging, state });
            ledger.reminders.len() - 1
        };
        for due in planned.due {
            waiting.push((record(&due.key, due.due_at, due.urging, ReminderState::Planned), due.send_at));
            foreseen.push(Decided { at: setting.now, what: Foreseen::Reminder(due) });
        }
        for skipped in planned.skipped {
            record(&skipped.key, skipped.due_at, skipped.urging, ReminderState::Superseded);
            foreseen.push(Decided { at: setting.now, what: Foreseen::Silent(skipped) });
        }
        for filing in planned.filings {
            ledger.filed.push(FiledKey::clone(&filing.key));
            foreseen.push(Decided { at: setting.now, what: Foreseen::Notice(filing) });
        }
        setting.stopped = None;
        match planned.next_look {
            Some(next) if next <= until => setting.now = next,
            _ => break,
        }
    }
    Ok(foreseen)
}
