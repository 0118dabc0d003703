//! What is due for one task at one instant, what that supersedes and why, and when to look again.
//!
//! How the rules are read stands here in this order: which occurrences a ladder has and when they
//! fire ([`ladder`]), which of them are past in which way (`Standing`), which of those speak (at most one for each
//! slot), and which file.

use std::collections::{BTreeMap, HashSet};

use jiff::{Timestamp, ToSpan};

use super::{
    calendar::{Hours, Uncovered, View, WorkCalendar},
    ledger::{FiledKey, Ledger, LedgerEntry, ReminderKey, ReminderState},
    rules::{Audience, ChannelKind, Filing, Late, Offset, Rule, Rules, Step, Unit},
    task::{ArmedBy, Clock, Obligation, Role, Secrecy, Task, TaskState, word_enum},
};

/// The rule id of what dondoc says by itself about a task's state; no office's rule may take it.
pub const STATE_RULE: &str = "trang-thai";
/// Its step for a task handed in: the monitor is asked to confirm.
pub const CONFIRM_STEP: &str = "cho-xac-nhan";
/// Its step for a task sent back: the tracking office is told.
pub const RETURNED_STEP: &str = "tra-lai";

/// How long a task without a coming step waits for its next look. Events ring long before; this bounds what a lost
/// one could cost.
const FALLBACK_DAYS: i64 = 30;

word_enum!(/// Why a reminder on record was not sent.
Because {
    /// entered late: only its most severe past step speaks
    LateEntry = "late_entry",
    /// the deadline moved to a later date: what was past under it is void
    DeadlineMoved = "deadline_moved",
    /// missed while the daemon was stopped; a severer missed step speaks for the slot
    Stopped = "stopped",
    /// missed while the daemon was stopped, and the rule says `late = "skip"`
    Skipped = "skipped",
    /// missed while the daemon was stopped, by more than `max_lateness`
    TooLate = "too_late",
    /// the rule or step was accepted after this instant, or the rule was not in force yet
    NewRule = "new_rule",
    /// a severer step of the slot was due before it left
    SevererStep = "severer_step",
    /// an acknowledgement pauses repeats
    Acknowledged = "acknowledged",
    /// nothing electronic may be said of a task of this level
    Classified = "classified",
});

/// A time during which the daemon did not run (or the machine slept): steps due in it were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The last instant known to have been worked off.
    pub from: Timestamp,
    pub until: Timestamp,
}

/// A stop shorter than this is no stop.
pub const SHORTEST_STOP_MINUTES: i64 = 10;

impl Stop {
    /// The stop between two looks, if it was long enough to count.
    pub fn between(last: Timestamp, now: Timestamp) -> Option<Self> {
        (now.as_millisecond() - last.as_millisecond() > SHORTEST_STOP_MINUTES * 60_000)
            .then_some(Stop { from: last, until: now })
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.from < at && at <= self.until
    }
}

/// Since when each step of each rule is accepted; absent = since ever.
pub type StepsKnown = BTreeMap<(String, String), Timestamp>;

/// Everything a plan depends on besides the task and its ledger.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    pub now: Timestamp,
    pub calendar: &'a WorkCalendar,
    pub rules: &'a Rules,
    pub known: &'a StepsKnown,
    pub stopped: Option<Stop>,
}

/// A reminder to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub key: ReminderKey,
    pub due_at: Timestamp,
    /// When its message may leave.
    pub send_at: Timestamp,
    pub urging: bool,
}

/// A reminder put on record without being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub key: ReminderKey,
    pub due_at: Timestamp,
    pub urging: bool,
    pub because: Because,
}

/// An earlier reminder that has not left yet and now will not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    pub entry: LedgerEntry,
    pub because: Because,
}

/// A notice to be filed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilingDue {
    pub key: FiledKey,
    pub filing: Filing,
    pub due_at: Timestamp,
}

/// The rule an obligation is planned under from `since` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    pub clock: Clock,
    pub agency: super::task::AgencyId,
    pub rule: String,
    pub since: Timestamp,
}

/// The answer for one task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub due: Vec<Due>,
    pub skipped: Vec<Skipped>,
    pub displaced: Vec<Displaced>,
    pub filings: Vec<FilingDue>,
    pub bindings: Vec<Binding>,
    /// `None` only for a task that can never speak again (done, withdrawn) or waits for a person (held).
    pub next_look: Option<Timestamp>,
    /// A coming step lies in a year without a list of days off: reported, and looked at again in an hour.
    pub uncovered: Option<Uncovered>,
}

/// One firing of a step: the step itself (1) or a repeat of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence<'a> {
    pub step: &'a Step,
    pub number: u32,
    pub at: Timestamp,
}

/// The ladder of an obligation under a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder<'a> {
    /// In order of their instants: a later one is the severer one.
    pub occurrences: Vec<Occurrence<'a>>,
    /// The first that falls into an uncovered year; it and all after it are missing above.
    pub uncovered: Option<Uncovered>,
}

/// Every occurrence of `rule` for an obligation, with its instant. Offsets count from the effective deadline; after a
/// move to an earlier date, overdue ones from the later of it and the day the correction was accepted. Working days
/// before the deadline are those of the agency; its closures move nothing after it.
pub fn ladder<'a>(calendar: &WorkCalendar, rule: &'a Rule, obligation: &Obligation) -> Result<Ladder<'a>, Uncovered> {
    let Some(deadline) = obligation.deadline else {
        return Ok(Ladder { occurrences: Vec::new(), uncovered: None });
    };
    let effective = calendar.effective(deadline)?;
    let overdue_base = match obligation.overdue_from {
        Some(accepted) => effective.max(calendar.roll(accepted)?),
        None => effective,
    };
    let own = calendar.for_agency(&obligation.agency);
    let mut occurrences = Vec::with_capacity(rule.steps.len() + 8);
    let mut uncovered = None;
    for step in &rule.steps {
        let (base, hour) =
            if step.due.n > 0 && overdue_base != effective { (overdue_base, None) } else { (effective, deadline.time) };
        for number in 1..=1 + step.repeat.map_or(0, |repeat| repeat.times) {
            match fires(&own, base, hour, step, number) {
                Ok(at) => occurrences.push(Occurrence { step, number, at }),
                Err(missing) => {
                    uncovered = Some(missing);
                    break;
                }
            }
        }
    }
    // Stable: steps due at one instant keep the file's order, and the later one is the severer one.
    occurrences.sort_by_key(|occurrence| occurrence.at);
    Ok(Ladder { occurrences, uncovered })
}

fn fires(
    own: &View<'_>,
    base: jiff::civil::Date,
    hour: Option<jiff::civil::Time>,
    step: &Step,
    number: u32,
) -> Result<Timestamp, Uncovered> {
    let Some(repeat) = step.repeat.filter(|_| number > 1) else {
        return own.fire(base, hour, step.due, step.at);
    };
    let more = repeat.every.n * (number as i32 - 1);
    if repeat.every.unit == step.due.unit {
        return own.fire(base, hour, Offset { n: step.due.n + more, unit: step.due.unit }, step.at);
    }
    // Units differ: the repeat counts from the day on which the step itself fired.
    let first = own.fire(base, hour, step.due, step.at)?;
    let office = own.office();
    match repeat.every.unit {
        Unit::Hours => first.checked_add(i64::from(more).hours()).map_err(|_| Uncovered(base.year())),
        Unit::WorkingDays => Ok(office.instant(own.forward(office.date_of(first), base, more)?, step.at)),
        Unit::Days => own.fire(office.date_of(first), None, Offset { n: more, unit: Unit::Days }, step.at),
    }
}

/// How an occurrence that is past stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can never speak.
    Void(Because),
    /// It was past when the obligation was armed or resumed.
    Late,
    /// Its instant fell into a time the daemon was stopped.
    Missed,
    /// Its instant passed while the daemon was looking.
    Live,
}

/// Plans one task. Pure; an `Err` says that its deadline itself lies in a year without a list of days off.
pub fn plan(setting: &Setting<'_>, task: &Task, ledger: &Ledger) -> Result<Plan, Uncovered> {
    let mut plan = Plan::default();
    if task.held || !task.state.is_open() {
        return Ok(plan);
    }
    if task.state.is_urged() {
        for obligation in task.obligations.iter().filter(|obligation| !obligation.ended) {
            plan_obligation(setting, task, obligation, ledger, &mut plan)?;
        }
    } else {
        // Silent, but known: a rule that takes over meanwhile does so now, not when the task comes back, or its late
        // entry would be void under the very rule it should be entered under.
        for obligation in
            task.obligations.iter().filter(|obligation| !obligation.ended && obligation.deadline.is_some())
        {
            if let Some(rule) = setting.rules.find(task, obligation) {
                bind(setting, obligation, rule, &mut plan);
            }
        }
        ask_about_state(setting, task, ledger, &mut plan)?;
    }
    let fallback = setting.now + (FALLBACK_DAYS * 24).hours();
    plan.next_look = Some(match (plan.next_look, plan.uncovered) {
        (Some(next), _) => next.min(fallback),
        (None, Some(_)) => setting.now + 1.hour(),
        (None, None) => fallback,
    });
    Ok(plan)
}

fn plan_obligation<'a>(
    setting: &Setting<'a>,
    task: &Task,
    obligation: &Obligation,
    ledger: &Ledger,
    plan: &mut Plan,
) -> Result<(), Uncovered> {
    let Some(rule) = setting.rules.find(task, obligation) else { return Ok(()) };
    if obligation.deadline.is_none() {
        return Ok(());
    }
    let rule_since = bind(setting, obligation, rule, plan);
    let ladder = ladder(setting.calendar, rule, obligation)?;
    plan.uncovered = plan.uncovered.or(ladder.uncovered);

    let record = Record::of(ledger, obligation, rule);
    let mut past: Vec<(Occurrence<'a>, Standing)> = Vec::new();
    for occurrence in ladder.occurrences {
        if record.holds(&occurrence) {
            continue;
        }
        if occurrence.at > setting.now {
            plan.next_look = Some(plan.next_look.map_or(occurrence.at, |next| next.min(occurrence.at)));
            continue;
        }
        past.push((occurrence, standing(setting, task, obligation, rule, rule_since, &occurrence)));
    }
    file(obligation, rule, &record, &past, plan);
    speak(setting, task, obligation, rule, &record, ledger, &past, plan)
}

/// The instant since which the obligation stands under `rule`, if it stood under another before.
pub(super) fn bind(setting: &Setting<'_>, obligation: &Obligation, rule: &Rule, plan: &mut Plan) -> Option<Timestamp> {
    let (since, changed) = match &obligation.bound {
        Some((id, since)) if *id == rule.id => (Some(*since), false),
        Some((id, since)) if rule.was.contains(id) => (Some(*since), true),
        Some(_) => (Some(setting.now), true),
        None => (None, true),
    };
    if changed {
        plan.bindings.push(Binding {
            clock: obligation.clock,
            agency: obligation.agency.id,
            rule: rule.id.clone(),
            since: since.unwrap_or(obligation.armed_at),
        });
    }
    since
}

pub(super) fn standing(
    setting: &Setting<'_>,
    task: &Task,
    obligation: &Obligation,
    rule: &Rule,
    rule_since: Option<Timestamp>,
    occurrence: &Occurrence<'_>,
) -> Standing {
    let at = occurrence.at;
    let in_force = rule.effective_from.map(|day| setting.calendar.instant(day, jiff::civil::Time::midnight()));
    if in_force.is_some_and(|from| at < from) {
        return Standing::Void(Because::NewRule);
    }
    // Its earlier names count only until it is known by its own: one that was moved as well as renamed is a new step.
    let step_since = names(occurrence.step).find_map(|step| setting.known.get(&(rule.id.clone(), step.to_owned())));
    // A floor binds only what was known before it: a task entered under the new rules gets its late entry.
    let floor =
        [rule_since, step_since.copied()].into_iter().flatten().filter(|floor| obligation.armed_at < *floor).max();
    if floor.is_some_and(|floor| at <= floor) {
        return Standing::Void(Because::NewRule);
    }
    if at <= obligation.armed_at && obligation.armed_by == ArmedBy::Extended {
        return Standing::Void(Because::DeadlineMoved);
    }
    let active_since = task.resumed_at.map_or(obligation.armed_at, |resumed| resumed.max(obligation.armed_at));
    if at <= active_since {
        Standing::Late
    } else if setting.stopped.is_some_and(|stop| stop.holds(at)) {
        Standing::Missed
    } else {
        Standing::Live
    }
}

/// What is already on record of an obligation's present arming under a rule and its earlier ids.
pub(super) struct Record<'a> {
    steps: HashSet<(&'a str, u32)>,
    filed: HashSet<(&'a str, u32)>,
    /// The severest instant that already spoke or is about to.
    pub(super) severest: Option<Timestamp>,
}

impl<'a> Record<'a> {
    pub(super) fn of(ledger: &'a Ledger, obligation: &Obligation, rule: &Rule) -> Self {
        let ours = |clock, arming, agency, id: &str| {
            clock == obligation.clock
                && arming == obligation.arming
                && agency == obligation.agency.id
                && (id == rule.id || rule.was.iter().any(|was| was == id))
        };
        let entries = ledger.reminders.iter().filter(|e| ours(e.key.clock, e.key.arming, e.key.agency, &e.key.rule));
        let filed = ledger.filed.iter().filter(|f| ours(f.clock, f.arming, f.agency, &f.rule));
        Record {
            steps: entries.clone().map(|e| (e.key.step.as_str(), e.key.occurrence)).collect(),
            filed: filed.map(|f| (f.step.as_str(), f.occurrence)).collect(),
            severest: entries
                .filter(|e| !matches!(e.state, ReminderState::Superseded | ReminderState::Suppressed))
                .map(|e| e.due_at)
                .max(),
        }
    }

    pub(super) fn holds(&self, occurrence: &Occurrence<'_>) -> bool {
        names(occurrence.step).any(|id| self.steps.contains(&(id, occurrence.number)))
    }

    fn filed(&self, occurrence: &Occurrence<'_>) -> bool {
        names(occurrence.step).any(|id| self.filed.contains(&(id, occurrence.number)))
    }
}

fn names(step: &Step) -> impl Iterator<Item = &str> {
    std::iter::once(step.id.as_str()).chain(step.was.iter().map(String::as_str))
}

/// Filing is never skipped for having been stopped; a task entered late files at most once.
pub(super) fn file(
    obligation: &Obligation,
    rule: &Rule,
    record: &Record<'_>,
    past: &[(Occurrence<'_>, Standing)],
    plan: &mut Plan,
) {
    let files = |(occurrence, _): &&(Occurrence<'_>, Standing)| {
        occurrence.step.files.contains(&Filing::Notice) && !record.filed(occurrence)
    };
    let late = past.iter().filter(files).rfind(|(_, standing)| *standing == Standing::Late);
    let on_time = past.iter().filter(files).filter(|(_, s)| matches!(s, Standing::Missed | Standing::Live));
    for (occurrence, _) in late.into_iter().chain(on_time) {
        plan.filings.push(FilingDue {
            key: FiledKey {
                clock: obligation.clock,
                arming: obligation.arming,
                agency: obligation.agency.id,
                rule: rule.id.clone(),
                step: occurrence.step.id.clone(),
                occurrence: occurrence.number,
            },
            filing: Filing::Notice,
            due_at: occurrence.at,
        });
    }
}

#[expect(clippy::too_many_arguments, reason = "one decision over all that is known of one obligation")]
pub(super) fn speak(
    setting: &Setting<'_>,
    task: &Task,
    obligation: &Obligation,
    rule: &Rule,
    record: &Record<'_>,
    ledger: &Ledger,
    past: &[(Occurrence<'_>, Standing)],
    plan: &mut Plan,
) -> Result<(), Uncovered> {
    let latest_late = past
        .iter()
        .rposition(|(_, standing)| *standing == Standing::Late)
        .filter(|&index| record.severest.is_none_or(|severest| severest < past[index].0.at));
    let own = setting.calendar.for_agency(&obligation.agency);
    // From the severest down: the first to claim a slot speaks for it.
    let mut claimed: Vec<(&Audience, Timestamp)> = Vec::new();
    for (index, (occurrence, standing)) in past.iter().enumerate().rev() {
        let silent = match standing {
            Standing::Void(because) => Some(*because),
            Standing::Late if Some(index) != latest_late => Some(Because::LateEntry),
            Standing::Missed if rule.late == Late::Skip => Some(Because::Skipped),
            Standing::Missed if too_late(setting, rule, occurrence.at)? => Some(Because::TooLate),
            _ if occurrence.number > 1 && obligation.acknowledged_until.is_some_and(|until| occurrence.at < until) => {
                Some(Because::Acknowledged)
            }
            _ => None,
        };
        let milder = if *standing == Standing::Missed { Because::Stopped } else { Because::SevererStep };
        for audience in &occurrence.step.audiences {
            let because = silent.or(claimed.iter().any(|(slot, _)| *slot == audience).then_some(milder));
            // A step that may say nothing on any of its channels takes nobody's place.
            let sayable = |channel: &ChannelKind| unsayable(task.secrecy, audience, *channel).is_none();
            if because.is_none() && occurrence.step.via.iter().any(sayable) {
                claimed.push((audience, occurrence.at));
            }
            for &channel in &occurrence.step.via {
                let key = key_of(obligation, rule, occurrence, audience, channel);
                let because = because.or_else(|| unsayable(task.secrecy, audience, channel));
                match because {
                    Some(because) => plan.skipped.push(Skipped {
                        key,
                        due_at: occurrence.at,
                        urging: occurrence.step.urging,
                        because,
                    }),
                    None => plan.due.push(Due {
                        key,
                        due_at: occurrence.at,
                        send_at: own.to(audience).send_at(setting.now.max(occurrence.at), &rule.hours, rule.at)?,
                        urging: occurrence.step.urging,
                    }),
                }
            }
        }
    }
    plan.displaced.extend(ledger.reminders.iter().filter_map(|entry| {
        let waits = matches!(entry.state, ReminderState::Planned | ReminderState::InMessage);
        let ours = entry.key.clock == obligation.clock && entry.key.agency == obligation.agency.id;
        let outdone = claimed.iter().any(|(slot, at)| *slot == entry.key.audience.owner() && entry.due_at < *at);
        (waits && ours && outdone && entry.key.rule != STATE_RULE)
            .then(|| Displaced { entry: entry.clone(), because: Because::SevererStep })
    }));
    Ok(())
}

fn too_late(setting: &Setting<'_>, rule: &Rule, at: Timestamp) -> Result<bool, Uncovered> {
    let local = setting.calendar.local(at);
    let limit = match rule.max_lateness.unit {
        Unit::Hours => at + i64::from(rule.max_lateness.n).hours(),
        _ => setting.calendar.fire(local.date(), None, rule.max_lateness, local.time())?,
    };
    Ok(setting.now > limit)
}

fn key_of(
    obligation: &Obligation,
    rule: &Rule,
    occurrence: &Occurrence<'_>,
    audience: &Audience,
    channel: ChannelKind,
) -> ReminderKey {
    ReminderKey {
        clock: obligation.clock,
        arming: obligation.arming,
        rule: rule.id.clone(),
        step: occurrence.step.id.clone(),
        occurrence: occurrence.number,
        agency: obligation.agency.id,
        audience: audience.clone(),
        channel,
    }
}

/// Luật 117/2025/QH15, Điều 5: of mật one neutral e-mail to a named official, of tối mật and above nothing electronic.
pub fn unsayable(secrecy: Secrecy, audience: &Audience, channel: ChannelKind) -> Option<Because> {
    let sayable = match secrecy {
        Secrecy::Open => true,
        Secrecy::Confidential => {
            channel == ChannelKind::Email
                && !matches!(
                    audience,
                    Audience::AgencyBox | Audience::BoxOf(_) | Audience::AssignerOffice | Audience::Email(_)
                )
        }
        Secrecy::Secret | Secrecy::TopSecret => false,
    };
    (!sayable).then_some(Because::Classified)
}

/// In a state without urging: the monitor is asked to confirm what was handed in, the tracking office is told of what
/// was sent back. Once each time the task comes into that state.
fn ask_about_state(setting: &Setting<'_>, task: &Task, ledger: &Ledger, plan: &mut Plan) -> Result<(), Uncovered> {
    let (step, audience) = match task.state {
        TaskState::Submitted => (CONFIRM_STEP, Audience::Monitor),
        TaskState::Returned => (RETURNED_STEP, Audience::AssignerOffice),
        _ => return Ok(()),
    };
    let Some(lead) = task.obligations.iter().find(|o| o.role == Role::Lead && o.clock == Clock::Completion && !o.ended)
    else {
        return Ok(());
    };
    let key = ReminderKey {
        clock: Clock::Completion,
        arming: lead.arming,
        rule: STATE_RULE.to_owned(),
        step: step.to_owned(),
        occurrence: task.state_count,
        agency: lead.agency.id,
        audience,
        channel: ChannelKind::Email,
    };
    let recorded = ledger
        .reminders
        .iter()
        .any(|e| e.key.rule == STATE_RULE && e.key.step == key.step && e.key.occurrence == key.occurrence);
    if recorded {
        return Ok(());
    }
    let due_at = task.state_since;
    if let Some(because) = unsayable(task.secrecy, &key.audience, key.channel) {
        plan.skipped.push(Skipped { key, due_at, urging: false, because });
        return Ok(());
    }
    let send_at = setting.calendar.send_at(setting.now.max(due_at), &state_hours(setting.rules), STATE_AT)?;
    plan.due.push(Due { key, due_at, send_at, urging: false });
    Ok(())
}

/// The local time at which questions about a task's state leave when they had to wait.
pub const STATE_AT: jiff::civil::Time = jiff::civil::Time::constant(8, 0, 0, 0);

/// The hours of questions about a task's state: the office's `normal` ones.
pub fn state_hours(rules: &Rules) -> Hours {
    rules.hours.get("normal").copied().unwrap_or(Hours {
        working_days_only: true,
        from: 7 * 60 + 30,
        until: 17 * 60 + 30,
    })
}
