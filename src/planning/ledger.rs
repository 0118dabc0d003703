//! What is already on record for a task: the reminders planned, sent or superseded, and the notices filed.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    rules::{Audience, ChannelKind},
    task::{AgencyId, Clock, ReminderId, word_enum},
};

word_enum!(/// Where a reminder stands.
ReminderState {
    /// due, waiting to be put into a message
    Planned = "planned",
    /// in a message that was not accepted yet
    InMessage = "in_message",
    /// a mail server or Zalo accepted it
    Sent = "sent",
    /// a severer step, a later deadline, a stop or its age took its place
    Superseded = "superseded",
    /// the task was completed, paused or withdrawn before it left
    Suppressed = "suppressed",
    /// refused for good; the operator knows
    Dead = "dead",
    /// handed over, answer lost, and not to be repeated
    Unknown = "unknown",
});

/// What makes a reminder that reminder: the ledger's unique key without the task. The person is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReminderKey {
    pub clock: Clock,
    pub arming: u32,
    pub rule: String,
    pub step: String,
    /// 1 for the step itself, 2 and on for its repeats.
    pub occurrence: u32,
    pub agency: AgencyId,
    pub audience: Audience,
    pub channel: ChannelKind,
}

/// A reminder on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub id: ReminderId,
    pub key: ReminderKey,
    pub due_at: Timestamp,
    pub urging: bool,
    pub state: ReminderState,
}

/// A notice on record: one for each filing occurrence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FiledKey {
    pub clock: Clock,
    pub arming: u32,
    pub agency: AgencyId,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
}

/// Everything on record for one task, of every arming.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    pub reminders: Vec<LedgerEntry>,
    pub filed: Vec<FiledKey>,
}

impl Ledger {
    /// Occurrences of urging steps of which at least one message was accepted, for one clock and agency; the occurrence
    /// of `but` does not count, so that all who get one urging read the same number.
    pub fn urgings_accepted(&self, clock: Clock, agency: AgencyId, but: Option<&ReminderKey>) -> u32 {
        let accepted: HashSet<_> = self
            .reminders
            .iter()
            .filter(|e| e.urging && e.state == ReminderState::Sent && e.key.clock == clock && e.key.agency == agency)
            .map(|e| (e.key.arming, e.key.rule.as_str(), e.key.step.as_str(), e.key.occurrence))
            .collect();
        let own = but.map(|key| (key.arming, key.rule.as_str(), key.step.as_str(), key.occurrence));
        accepted.iter().filter(|occurrence| Some(**occurrence) != own).count() as u32
    }
}

/// Urging n: 1 + urgings already on record for the task, clock and agency. `accepted` counts occurrences of urging
/// steps of which at least one message was accepted, `contacts` those made by telephone or on paper; an imported count
/// adds only what exceeds ours.
pub fn urging_number(accepted: u32, contacts: u32, imported: u32) -> u32 {
    1 + (accepted + contacts).max(imported)
}
