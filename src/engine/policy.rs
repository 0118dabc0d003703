//! What an office decided: settings, rules, calendar and texts, swapped as one when it reloads.

use jiff::{Timestamp, civil::Time};

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

    /// Whether a rule's reminders travel with others, and its daily cap.
    pub fn bundling(&self, rule: &str) -> (bool, Option<u32>) {
        match self.rule(rule) {
            Some(rule) => (rule.bundle, rule.daily_cap),
            None => (true, (rule != STATE_RULE).then_some(20)),
        }
    }
}

/// Accepts the rules' steps: one that is new or was moved fires only for instants from now on. The very first rules an
/// office has are accepted since ever, for no task can have been planned under others.
pub async fn accept_steps(store: &(impl PlanningStore + ?Sized), policy: &Policy, now: Timestamp) -> Result<()> {
    let (_, definitions) = store.steps_known().await?;
    let first = definitions.is_empty();
    let mut accepted = Vec::new();
    for rule in &policy.rules.rules {
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
                    let since = store.steps_known().await?.0.get(&(r.clone(), s.clone())).copied().unwrap_or(now);
                    accepted.push((rule.id.clone(), step.id.clone(), definition, since));
                }
                _ => {
                    let since = if first { Timestamp::UNIX_EPOCH } else { now };
                    accepted.push((rule.id.clone(), step.id.clone(), definition, since));
                }
            }
        }
    }
    if accepted.is_empty() { Ok(()) } else { store.accept_steps(&accepted).await }
}
