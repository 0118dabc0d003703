//! What an office decided: settings, rules, calendar and texts, swapped as one when it reloads.

use jiff::{Timestamp, civil::Time};
use sha2::{Digest, Sha256};

use crate::{
    config::{rules_file::step_definition, settings::Settings},
    message::texts::Texts,
    planning::{
        calendar::{Hours, WorkCalendar},
        plan::{STATE_AT, STATE_RULE, Setting, StepsKnown, Stop, state_hours},
        rules::{Rule, Rules},
    },
    store::{Result, ledger::PlanningStore},
};

/// One consistent set of decisions.
#[derive(Clone)]
pub struct Policy {
    pub settings: Settings,
    pub rules: Rules,
    pub calendar: WorkCalendar,
    pub texts: Texts,
    pub known: StepsKnown,
}

impl Policy {
    /// What a plan depends on, at an instant.
    pub fn setting(&self, now: Timestamp, stopped: Option<Stop>) -> Setting<'_> {
        Setting { now, calendar: &self.calendar, rules: &self.rules, known: &self.known, stopped }
    }

    /// A number that changes with the rules and the calendar; another build of this program may give another one, which
    /// costs one look at every task.
    pub fn digest(&self) -> i64 {
        let text = format!("{:?} {:?}", self.rules, self.calendar);
        let hash = Sha256::digest(text.as_bytes());
        hash.iter().take(8).fold(0, |number, byte| number << 8 | i64::from(*byte))
    }

    /// A rule that a reminder names, also by an earlier id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.get(id).or_else(|| self.rules.rules.iter().find(|rule| rule.was.iter().any(|was| was == id)))
    }

    /// Hours, their name, and the time at which a message that waits leaves, for a reminder's rule. A rule that is gone
    /// leaves its reminders under the normal hours.
    pub fn hours(&self, rule: &str) -> (String, Hours, Time) {
        match self.rule(rule) {
            Some(rule) => (rule.hours_name.clone(), rule.hours, rule.at),
            None => ("normal".to_owned(), state_hours(&self.rules), STATE_AT),
        }
    }

    /// Hours by their name.
    pub fn named_hours(&self, name: &str) -> Hours {
        self.rules.hours.get(name).copied().unwrap_or_else(|| state_hours(&self.rules))
    }

    /// When a message of these hours may leave, from `now` on; one that waits leaves at the time of the rules that use
    /// these hours. An hour later where the calendar has no list for the year.
    pub fn may_leave(&self, hours: &str, now: Timestamp) -> Timestamp {
        let at = self.rules.rules.iter().find(|rule| rule.hours_name == hours).map_or(STATE_AT, |rule| rule.at);
        let leaves = self.calendar.send_at(now, &self.named_hours(hours), at);
        leaves.unwrap_or_else(|_| now + jiff::SignedDuration::from_hours(1))
    }

    /// Whether a rule's reminders travel with others, and its daily cap.
    pub fn bundling(&self, rule: &str) -> (bool, Option<u32>) {
        match self.rule(rule) {
            Some(rule) => (rule.bundle, rule.daily_cap),
            None => (true, (rule != STATE_RULE).then_some(20)),
        }
    }
}

/// A step as it is accepted: rule, step, definition, since when.
pub type Accepted = (String, String, String, Timestamp);

/// Accepts the rules' steps: one that is new or was moved fires only for instants from now on. The very first rules an
/// office has are accepted since ever, for no task can have been planned under others.
pub async fn accept_steps(store: &(impl PlanningStore + ?Sized), policy: &Policy, now: Timestamp) -> Result<()> {
    let (known, definitions) = store.steps_known().await?;
    let accepted = steps_to_accept(&policy.rules, &known, &definitions, now);
    if accepted.is_empty() { Ok(()) } else { store.accept_steps(&accepted).await }
}

/// What accepting rules at `now` would change of what is known of steps, and since when.
pub fn steps_to_accept(
    rules: &Rules,
    known: &StepsKnown,
    definitions: &[(String, String, String)],
    now: Timestamp,
) -> Vec<Accepted> {
    let first = definitions.is_empty();
    let mut accepted = Vec::new();
    for rule in &rules.rules {
        for step in &rule.steps {
            let definition = step_definition(step);
            let ids = || {
                let rules = std::iter::once(&rule.id).chain(&rule.was);
                rules.flat_map(|rule| std::iter::once(&step.id).chain(&step.was).map(move |step| (rule, step)))
            };
            let stands = definitions.iter().find(|(r, s, _)| (r, s) == (&rule.id, &step.id));
            let renamed = definitions.iter().find(|(r, s, d)| *d == definition && ids().any(|id| id == (r, s)));
            match (stands, renamed) {
                (Some((_, _, known)), _) if *known == definition => {}
                // The same step under its earlier name: known as long as that was.
                (None, Some((r, s, _))) => {
                    let since = known.get(&(r.clone(), s.clone())).copied().unwrap_or(now);
                    accepted.push((rule.id.clone(), step.id.clone(), definition, since));
                }
                _ => {
                    let since = if first { Timestamp::UNIX_EPOCH } else { now };
                    accepted.push((rule.id.clone(), step.id.clone(), definition, since));
                }
            }
        }
    }
    // A step that is gone is known no more: if it comes back, it is new, and nothing of the meantime is sent.
    let present = |rule: &str, step: &str| {
        rules.rules.iter().any(|r| {
            (r.id == rule || r.was.iter().any(|was| was == rule))
                && r.steps.iter().any(|s| s.id == step || s.was.iter().any(|was| was == step))
        })
    };
    for (rule, step, definition) in definitions {
        if !definition.is_empty() && !present(rule, step) {
            accepted.push((rule.clone(), step.clone(), String::new(), now));
        }
    }
    accepted
}

/// What is known of steps once `accepted` is: as the store keeps it.
pub fn accept(known: &mut StepsKnown, definitions: &mut Vec<(String, String, String)>, accepted: Vec<Accepted>) {
    for (rule, step, definition, since) in accepted {
        match definitions.iter_mut().find(|(r, s, _)| (r, s) == (&rule, &step)) {
            Some(stands) => stands.2 = definition,
            None => definitions.push((rule.clone(), step.clone(), definition)),
        }
        known.insert((rule, step), since);
    }
}
