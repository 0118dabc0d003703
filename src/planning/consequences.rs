//! What an edit of rules or calendar does to the tasks there are: which steps vanish under those that wait for them,
//! which instants move, who takes over, what is left without a rule. Pure; nothing is changed by asking.
//!
//! Tasks are told one by one ([`Consequences::weigh`]), so that any number of them costs the same memory: counts, and
//! the codes of the first few.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::Date};

use super::{
    calendar::{Uncovered, WorkCalendar},
    directory::{Directory, TaskPeople, Unreachable},
    fold::fold,
    ledger::Ledger,
    plan::{Occurrence, ladder},
    rules::{Audience, ChannelKind, Rule, Rules, Step, When},
    task::{Clock, Obligation, PersonId, Role, Task, TaskId},
};

/// Codes that are named of many.
pub const NAMED: usize = 5;

/// Different texts kept of one key of `when`: a field in which everybody types a sentence is no vocabulary.
const VOCABULARY: usize = 5_000;

/// Rules and calendar, as they were and as they shall be.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub rules: &'a Rules,
    pub calendar: &'a WorkCalendar,
}

/// How many tasks, each once, and which the first few are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub tasks: u64,
    /// At most [`NAMED`].
    pub codes: Vec<String>,
    last: Option<TaskId>,
}

impl Tally {
    fn add(&mut self, task: &Task) {
        if self.last.replace(task.id) == Some(task.id) {
            return;
        }
        self.tasks += 1;
        if self.codes.len() < NAMED {
            self.codes.push(task.code.clone());
        }
    }
}

/// Instants or days that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved<T> {
    pub tasks: Tally,
    pub earlier: u64,
    pub later: u64,
    /// The first that was seen: from, to.
    pub example: (T, T),
}

impl<T: Copy + Ord> Moved<T> {
    fn note(moved: &mut Option<Self>, task: &Task, from: T, to: T) {
        let moved =
            moved.get_or_insert_with(|| Moved { tasks: Tally::default(), earlier: 0, later: 0, example: (from, to) });
        moved.tasks.add(task);
        if to < from {
            moved.earlier += 1;
        } else {
            moved.later += 1;
        }
    }
}

/// What becomes of one step of a rule that stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepChange {
    /// Waiting for the step, which is there no more.
    pub gone: Tally,
    /// Waiting for repeats that are fewer now.
    pub fewer: Tally,
    pub moved: Option<Moved<Timestamp>>,
    /// Now lies in the past because the step was edited: it fires no more for these.
    pub never: Tally,
    /// Now lies in the past because the calendar was: it fires at once for these.
    pub at_once: Tally,
    /// Waiting for a step that was not there before.
    pub new: Tally,
    /// Waiting for a step that now goes to others or by other ways: (gained, lost).
    pub readdressed: Tally,
    pub gained: BTreeSet<String>,
    pub lost: BTreeSet<String>,
}

/// Everything together. Rules and steps are named by their id in the edit; those that are gone by their former one.
#[derive(Debug, Clone, Default)]
pub struct Consequences {
    /// Open tasks that were looked at.
    pub tasks: u64,
    /// Tasks by the rule of the edit.
    pub by_rule: BTreeMap<String, Tally>,
    /// Tasks under a rule that is there no more, by its former id.
    pub rule_gone: BTreeMap<String, Tally>,
    /// (from, to): another rule matches now; the earlier one is still there.
    pub taken_over: BTreeMap<(String, String), Tally>,
    /// Matched before, and nothing matches now.
    pub lost: BTreeMap<String, Tally>,
    pub steps: BTreeMap<(String, String), StepChange>,
    /// No rule matches, by clock and role.
    pub unmatched: BTreeMap<(Clock, Role), Tally>,
    /// A deadline or a step in a year without a list of days off.
    pub uncovered: BTreeMap<i16, Tally>,
    /// Effective deadlines that moved with the calendar.
    pub deadlines: Option<Moved<Date>>,
    /// Steps that moved with the calendar, over all rules.
    pub by_calendar: Option<Moved<Timestamp>>,
    /// Slots that lead to nobody: (rule, audience), with whether a stand-in (a box, the monitor) gets it.
    pub unfilled: BTreeMap<(String, Audience), (Tally, Tally)>,
    /// What real tasks hold under a key of `when`: folded to typed.
    pub vocabulary: BTreeMap<&'static str, BTreeMap<String, String>>,
}

/// Who handles a task, for looking recipients up.
#[derive(Debug, Clone, Copy)]
pub struct Handled {
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
}

impl Consequences {
    /// Adds one open task. `old`: what is in force, where that is known; `directory`: where there is one.
    pub fn weigh(
        &mut self,
        now: Timestamp,
        old: Option<Side<'_>>,
        new: Side<'_>,
        directory: Option<(&Directory, Handled)>,
        task: &Task,
        ledger: &Ledger,
    ) {
        self.tasks += 1;
        self.learn(task);
        for obligation in task.obligations.iter().filter(|o| !o.ended && o.deadline.is_some()) {
            let after = new.rules.find(task, obligation);
            match after {
                Some(rule) => entry(&mut self.by_rule, &rule.id).add(task),
                None => self.unmatched.entry((obligation.clock, obligation.role)).or_default().add(task),
            }
            if !task.state.is_urged() {
                continue;
            }
            if let (Some(rule), Some((directory, handled))) = (after, directory) {
                self.look_up(now, new.calendar, directory, handled, task, obligation, rule);
            }
            let next = after.map(|rule| ladder(new.calendar, rule, obligation));
            if let Some(Err(missing)) = &next {
                self.uncovered.entry(missing.0).or_default().add(task);
            }
            let (after, next) = match (after, next) {
                (Some(rule), Some(Ok(ladder))) => {
                    if let Some(Uncovered(year)) = ladder.uncovered {
                        self.uncovered.entry(year).or_default().add(task);
                    }
                    (Some(rule), ladder.occurrences)
                }
                _ => (after, Vec::new()),
            };
            if let Some(old) = old {
                self.compare(now, old, new, task, ledger, obligation, after, &next);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one obligation under two sets of rules")]
    fn compare(
        &mut self,
        now: Timestamp,
        old: Side<'_>,
        new: Side<'_>,
        task: &Task,
        ledger: &Ledger,
        obligation: &Obligation,
        after: Option<&Rule>,
        next: &[Occurrence<'_>],
    ) {
        if let Some(deadline) = obligation.deadline
            && obligation.clock == Clock::Completion
            && let (Ok(from), Ok(to)) = (old.calendar.effective(deadline), new.calendar.effective(deadline))
            && from != to
            && obligation.role == Role::Lead
        {
            Moved::note(&mut self.deadlines, task, from, to);
        }
        let Some(before) = old.rules.find(task, obligation) else { return };
        let Some(after) = after else {
            entry(&mut self.lost, &before.id).add(task);
            return;
        };
        if after.id != before.id && !after.was.contains(&before.id) {
            let stays = new.rules.rules.iter().any(|rule| rule.id == before.id || rule.was.contains(&before.id));
            if stays {
                self.taken_over.entry((before.id.clone(), after.id.clone())).or_default().add(task);
            } else {
                entry(&mut self.rule_gone, &before.id).add(task);
            }
            return;
        }
        let Ok(past) = ladder(old.calendar, before, obligation) else { return };
        let spoken = |rule: &Rule, step: &Step, number: u32| spoke(ledger, obligation, rule, step, number);
        for was in past.occurrences.iter().filter(|o| o.at > now && in_force(old.calendar, before, o.at)) {
            if spoken(before, was.step, was.number) {
                continue;
            }
            let Some(step) = after.steps.iter().find(|step| is(step, was.step)) else {
                self.step(&after.id, &was.step.id).gone.add(task);
                continue;
            };
            self.readdress(&after.id, was.step, step, task);
            let Some(is) = next.iter().find(|o| o.step.id == step.id && o.number == was.number) else {
                // Beyond the years of the new list it is not gone but unknown, and that was told.
                if was.number > 1 + step.repeat.map_or(0, |repeat| repeat.times) {
                    self.step(&after.id, &step.id).fewer.add(task);
                }
                continue;
            };
            if is.at == was.at {
                continue;
            }
            let edited = (step.due, step.at, step.repeat) != (was.step.due, was.step.at, was.step.repeat);
            let change = self.step(&after.id, &step.id);
            if edited {
                Moved::note(&mut change.moved, task, was.at, is.at);
            }
            if is.at <= now {
                if edited {
                    change.never.add(task)
                } else {
                    change.at_once.add(task)
                };
            }
            if !edited {
                Moved::note(&mut self.by_calendar, task, was.at, is.at);
            }
        }
        for fresh in next.iter().filter(|o| o.at > now && in_force(new.calendar, after, o.at)) {
            if !before.steps.iter().any(|step| is(fresh.step, step)) {
                self.step(&after.id, &fresh.step.id).new.add(task);
            }
        }
    }

    fn readdress(&mut self, rule: &str, was: &Step, step: &Step, task: &Task) {
        let ways = |step: &Step| -> BTreeSet<(Audience, ChannelKind)> {
            step.audiences.iter().flat_map(|a| step.via.iter().map(move |c| (a.clone(), *c))).collect()
        };
        if (&was.audiences, &was.via) == (&step.audiences, &step.via) {
            return;
        }
        let (before, after) = (ways(was), ways(step));
        if before == after {
            return;
        }
        let change = self.step(rule, &step.id);
        change.readdressed.add(task);
        let say = |(audience, channel): &(Audience, ChannelKind)| format!("{audience}/{channel}");
        change.gained.extend(after.difference(&before).map(say));
        change.lost.extend(before.difference(&after).map(say));
    }

    #[expect(clippy::too_many_arguments, reason = "one slot after the other of one obligation")]
    fn look_up(
        &mut self,
        now: Timestamp,
        calendar: &WorkCalendar,
        directory: &Directory,
        handled: Handled,
        task: &Task,
        obligation: &Obligation,
        rule: &Rule,
    ) {
        if task.secrecy.is_classified() {
            // Such a task falls to nobody else by design, and the keeper's printed list names it.
            return;
        }
        let people = TaskPeople {
            role: obligation.role,
            agency: obligation.agency.id,
            handler: handled.handler,
            monitor: handled.monitor,
            assigner_block: task.assigner_block,
            secrecy: task.secrecy,
        };
        let day = calendar.date_of(now);
        let mut seen: BTreeSet<&Audience> = BTreeSet::new();
        for step in &rule.steps {
            for audience in &step.audiences {
                if !seen.insert(audience) {
                    continue;
                }
                match directory.resolve(&people, audience, ChannelKind::Email, day) {
                    Ok(reached) if reached.stands_in_for.is_none() => {}
                    Ok(_) => self.slot(rule, audience).0.add(task),
                    Err(Unreachable::Nobody) => self.slot(rule, audience).1.add(task),
                    Err(Unreachable::NoZalo | Unreachable::NoFallback) => {}
                }
            }
        }
    }

    fn slot(&mut self, rule: &Rule, audience: &Audience) -> &mut (Tally, Tally) {
        self.unfilled.entry((rule.id.clone(), audience.clone())).or_default()
    }

    fn step(&mut self, rule: &str, step: &str) -> &mut StepChange {
        self.steps.entry((rule.to_owned(), step.to_owned())).or_default()
    }

    /// Takes in the words that a task uses where rules may ask for them.
    fn learn(&mut self, task: &Task) {
        for (key, text) in [
            ("assigner", &task.assigner),
            ("document_kind", &task.document_kind),
            ("field", &task.field),
            ("priority", &task.priority),
        ] {
            self.learn_word(key, text);
        }
    }

    fn learn_word(&mut self, key: &'static str, text: &str) {
        let folded = fold(text);
        let words = self.vocabulary.entry(key).or_default();
        if !folded.is_empty() && words.len() < VOCABULARY {
            words.entry(folded).or_insert_with(|| text.to_owned());
        }
    }

    /// Takes in the agencies of the directory: a rule for one that has no task today is no slip.
    pub fn learn_agencies<'a>(&mut self, agencies: impl Iterator<Item = (&'a str, &'a str, &'a str)>) {
        for (code, name, kind) in agencies {
            self.learn_word("agency", code);
            self.learn_word("agency", name);
            self.learn_word("agency_kind", kind);
        }
    }

    /// Whether a text of `when` occurs anywhere in the data. `None` where the data has no such words at all, or too
    /// many to be a vocabulary: then nothing can be said.
    pub fn knows(&self, key: &str, folded: &str) -> Option<bool> {
        let words = self.vocabulary.get(key).filter(|words| !words.is_empty() && words.len() < VOCABULARY)?;
        Some(words.contains_key(folded))
    }
}

fn entry<'a>(map: &'a mut BTreeMap<String, Tally>, id: &str) -> &'a mut Tally {
    map.entry(id.to_owned()).or_default()
}

/// Whether a step of the edit is the one that was: by its id, or by its earlier ones.
fn is(step: &Step, was: &Step) -> bool {
    step.id == was.id || step.was.contains(&was.id)
}

fn in_force(calendar: &WorkCalendar, rule: &Rule, at: Timestamp) -> bool {
    rule.effective_from.is_none_or(|day| at >= calendar.instant(day, jiff::civil::Time::midnight()))
}

/// Whether an occurrence is on record already, so that nothing waits for it.
fn spoke(ledger: &Ledger, obligation: &Obligation, rule: &Rule, step: &Step, number: u32) -> bool {
    ledger.reminders.iter().any(|entry| {
        entry.key.occurrence == number
            && entry.key.clock == obligation.clock
            && entry.key.arming == obligation.arming
            && entry.key.agency == obligation.agency.id
            && (entry.key.step == step.id || step.was.contains(&entry.key.step))
            && (entry.key.rule == rule.id || rule.was.contains(&entry.key.rule))
    })
}

/// The texts a `when` asks for, by key: those that people type and mistype.
pub fn asked(when: &When) -> [(&'static str, &[String]); 6] {
    [
        ("assigner", &when.assigner),
        ("document_kind", &when.document_kind),
        ("agency", &when.agency),
        ("agency_kind", &when.agency_kind),
        ("field", &when.field),
        ("priority", &when.priority),
    ]
}

#[cfg(test)]
mod tests;
