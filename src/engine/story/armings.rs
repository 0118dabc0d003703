//! Every arming an obligation ever had, folded from the task's history: the stored row knows the last one only.

use jiff::{
    Timestamp,
    civil::{Date, Time},
};

use super::Material;
use crate::{
    planning::{
        calendar::WorkCalendar,
        task::{AgencyFacts, AgencyId, ArmedBy, Clock, Deadline, Obligation, Role, TaskState},
    },
    store::acts::EventLine,
};

/// One arming of an obligation, and when it was over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    pub clock: Clock,
    pub agency: AgencyFacts,
    pub role: Role,
    /// From 1.
    pub arming: u32,
    pub deadline: Option<Deadline>,
    pub since: Timestamp,
    pub by: ArmedBy,
    pub overdue_from: Option<Date>,
    /// The obligation ended under this arming.
    pub ended_at: Option<Timestamp>,
    /// Acknowledgements under this arming: when given, and until when.
    pub acknowledged: Vec<(Timestamp, Timestamp)>,
}

/// What arms ladders, as it stood between two events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Duties {
    lead: Option<AgencyId>,
    coordinators: Vec<AgencyId>,
    due: Option<Deadline>,
    report: Option<Deadline>,
    state: TaskState,
    held: bool,
}

/// The first value a field had: what its first change took it from, else what it still is.
fn first<'a>(events: &'a [EventLine], what: &str) -> Option<&'a str> {
    events.iter().find(|event| event.what == what).map(|event| event.old.as_str())
}

fn agency(text: &str) -> Option<AgencyId> {
    text.parse().ok().map(AgencyId)
}

fn agencies(text: &str) -> Vec<AgencyId> {
    text.split(',').filter_map(agency).collect()
}

/// `2026-12-15`, `2026-12-15 17:00:00`; empty is none.
pub(super) fn due(text: &str) -> Option<Deadline> {
    let (date, time) = text.split_once(' ').map_or((text, None), |(date, time)| (date, Some(time)));
    Some(Deadline { date: date.parse().ok()?, time: time.and_then(|time| time.parse::<Time>().ok()) })
}

impl Duties {
    /// As they were when the task became known.
    fn at_first(material: &Material) -> Self {
        let (events, obligations) = (&material.events, &material.record.task.obligations);
        let leads = |clock| obligations.iter().find(move |o| o.clock == clock && o.role == Role::Lead && !o.ended);
        let present = leads(Clock::Completion);
        let lead = first(events, "lead").map_or(present.map(|o| o.agency.id), agency);
        let coordinating = || {
            let ours = obligations.iter().filter(|o| o.role == Role::Coordinator && !o.ended);
            ours.map(|o| o.agency.id).collect()
        };
        let report = obligations.iter().find(|o| o.clock == Clock::Report && o.role == Role::Lead);
        let state = first(events, "state").and_then(TaskState::from_word).unwrap_or(material.record.task.state);
        Duties {
            lead,
            coordinators: first(events, "coordinators").map_or_else(coordinating, agencies),
            due: first(events, "due_date").map_or(present.and_then(|o| o.deadline), due),
            report: first(events, "report_date").map_or(report.and_then(|o| o.deadline), due),
            state,
            held: match events.iter().find(|event| event.what == "held") {
                // Entered held: the first such event stands beside the entry.
                Some(event) => !event.old.is_empty() || event.learnt_at == material.record.task.known_at,
                None => material.record.task.held,
            },
        }
    }

    fn apply(&mut self, event: &EventLine) {
        match event.what.as_str() {
            "lead" => self.lead = agency(&event.new),
            "coordinators" => self.coordinators = agencies(&event.new),
            "due_date" => self.due = due(&event.new),
            "report_date" => self.report = due(&event.new),
            "state" => self.state = TaskState::from_word(&event.new).unwrap_or(self.state),
            "held" => self.held = !event.new.is_empty(),
            _ => {}
        }
    }

    fn wanted(&self) -> Vec<(Clock, AgencyId, Role, Option<Deadline>)> {
        let Some(lead) = self.lead else { return Vec::new() };
        let mut wanted = vec![(Clock::Completion, lead, Role::Lead, self.due)];
        if self.report.is_some() {
            wanted.push((Clock::Report, lead, Role::Lead, self.report));
        }
        let coordinators = self.coordinators.iter().filter(|agency| **agency != lead);
        wanted.extend(coordinators.map(|agency| (Clock::Completion, *agency, Role::Coordinator, self.due)));
        wanted
    }
}

/// Every arming in the order of their instants. What the history cannot give is not made up: an agency whose row is
/// gone is left out.
pub fn armings(material: &Material, calendar: &WorkCalendar) -> Vec<Armed> {
    let mut fold = Fold { material, calendar, armed: Vec::new() };
    let mut duties = Duties::at_first(material);
    if !duties.held {
        fold.enter(&duties, material.record.task.known_at);
    }
    // Events of one instant are one act or one row of an import. Those beside the entry are part of it.
    for group in material.events.chunk_by(|a, b| a.learnt_at == b.learnt_at) {
        let at = group[0].learnt_at;
        let before = duties.clone();
        group.iter().for_each(|event| duties.apply(event));
        let entered = group.iter().any(|event| event.what == "entered");
        if !duties.held && !entered {
            fold.turn(&before, &duties, at);
        }
        for event in group {
            match event.what.as_str() {
                "report" => fold.end(at, |one| one.clock == Clock::Report),
                "acknowledged" => fold.acknowledge(at, &event.new),
                _ => {}
            }
        }
    }
    fold.armed
}

struct Fold<'a> {
    material: &'a Material,
    calendar: &'a WorkCalendar,
    armed: Vec<Armed>,
}

impl Fold<'_> {
    fn stored(&self, clock: Clock, agency: AgencyId) -> Option<&Obligation> {
        let mut all = self.material.record.task.obligations.iter();
        all.find(|o| o.clock == clock && o.agency.id == agency)
    }

    fn enter(&mut self, duties: &Duties, at: Timestamp) {
        for (clock, agency, role, due) in duties.wanted() {
            // Never armed again: its own date is the one on record.
            let own = self.stored(clock, agency).filter(|stored| stored.arming == 1).and_then(|stored| stored.deadline);
            self.arm(clock, agency, role, own.or(due), at, ArmedBy::Entered, None);
        }
    }

    fn last(&self, clock: Clock, agency: AgencyId) -> Option<&Armed> {
        self.armed.iter().rfind(|one| one.clock == clock && one.agency.id == agency)
    }

    #[expect(clippy::too_many_arguments, reason = "an arming is all of these")]
    fn arm(
        &mut self,
        clock: Clock,
        agency: AgencyId,
        role: Role,
        deadline: Option<Deadline>,
        since: Timestamp,
        by: ArmedBy,
        overdue_from: Option<Date>,
    ) {
        let arming = self.last(clock, agency).map_or(1, |last| last.arming + 1);
        let Some(agency) = self.stored(clock, agency).map(|stored| stored.agency.clone()) else { return };
        let (ended_at, acknowledged) = (None, Vec::new());
        let armed = Armed { clock, agency, role, arming, deadline, since, by, overdue_from, ended_at, acknowledged };
        self.armed.push(armed);
    }

    /// The last armings that are not over, by their places.
    fn running(&self) -> Vec<usize> {
        let last = |one: &Armed| self.last(one.clock, one.agency.id).map(|last| last.arming);
        let running =
            self.armed.iter().enumerate().filter(|(_, one)| one.ended_at.is_none() && last(one) == Some(one.arming));
        running.map(|(place, _)| place).collect()
    }

    fn end(&mut self, at: Timestamp, which: impl Fn(&Armed) -> bool) {
        for place in self.running() {
            if which(&self.armed[place]) {
                self.armed[place].ended_at = Some(at);
            }
        }
    }

    fn acknowledge(&mut self, at: Timestamp, until: &str) {
        let Ok(until) = until.parse() else { return };
        for place in self.running() {
            self.armed[place].acknowledged.push((at, until));
        }
    }

    /// What one act or one row of an import does to the ladders.
    fn turn(&mut self, before: &Duties, after: &Duties, at: Timestamp) {
        let wanted = after.wanted();
        self.end(at, |one| !wanted.iter().any(|(clock, agency, ..)| (*clock, *agency) == (one.clock, one.agency.id)));
        let reopened = !before.state.is_open() && after.state.is_open();
        let assigned =
            before.lead != after.lead || before.state == TaskState::Returned && after.state == TaskState::NotReceived;
        let released = before.held && !after.held;
        let decided = |clock| self.material.texts.extensions.iter().any(|e| e.recorded_at == at && e.clock == clock);
        // A correction of the old lead's stays in force for the one that takes over.
        let inherited = |fold: &Self, clock| {
            let old = before.lead.and_then(|lead| fold.last(clock, lead));
            old.and_then(|old| old.overdue_from)
        };
        for (clock, agency, role, due) in wanted {
            let was_due = match clock {
                Clock::Completion => before.due,
                Clock::Report => before.report,
            };
            let Some(old) = self.last(clock, agency).cloned() else {
                let known = !self.armed.is_empty();
                let (by, from) = match clock {
                    Clock::Completion if known => (ArmedBy::Reassigned, inherited(self, clock)),
                    Clock::Report if known && assigned => (ArmedBy::Reassigned, inherited(self, clock)),
                    Clock::Report if decided(clock) => (ArmedBy::Advanced, Some(self.calendar.date_of(at))),
                    _ => (ArmedBy::Entered, None),
                };
                self.arm(clock, agency, role, due, at, by, from);
                continue;
            };
            // A coordinating agency with a date of its own keeps it.
            let due =
                if role == Role::Coordinator && old.role == role && old.deadline != was_due && old.ended_at.is_none() {
                    old.deadline
                } else {
                    due
                };
            let moved = due != old.deadline;
            let (by, from) = if old.ended_at.is_some() && (moved || clock == Clock::Completion) || old.role != role {
                (ArmedBy::Reassigned, inherited(self, clock))
            } else if assigned && role == Role::Lead && old.ended_at.is_none() {
                (ArmedBy::Reassigned, old.overdue_from)
            } else if moved && is_earlier(due, old.deadline) {
                (ArmedBy::Advanced, Some(self.calendar.date_of(at)))
            } else if moved {
                (ArmedBy::Extended, None)
            } else if released && old.ended_at.is_none() || reopened && clock == Clock::Completion {
                (ArmedBy::Reopened, old.overdue_from)
            } else {
                continue;
            };
            self.arm(clock, agency, role, due, at, by, from);
        }
    }
}

/// A day without an hour ends at 24:00, after every hour of it; a first deadline counts as earlier.
fn is_earlier(new: Option<Deadline>, old: Option<Deadline>) -> bool {
    let end = |due: Deadline| (due.date, due.time.is_none(), due.time);
    match (new, old) {
        (Some(new), Some(old)) => end(new) < end(old),
        (new, None) => new.is_some(),
        (None, Some(_)) => false,
    }
}

/// The obligations as they stood at an instant. One whose last arming is older is read off its row.
pub(super) fn obligations_at(material: &Material, armed: &[Armed], at: Timestamp) -> Vec<Obligation> {
    let known = |stored: &Obligation| {
        let mut ours = armed.iter().filter(|one| one.clock == stored.clock && one.agency.id == stored.agency.id);
        let then = ours.rfind(|one| one.since <= at);
        let then = match then {
            Some(then) => then.clone(),
            None if stored.armed_at <= at => return Some(stored.clone()),
            None => return None,
        };
        let acknowledged = then.acknowledged.iter().rfind(|(given, _)| *given <= at).map(|(_, until)| *until);
        let mut obligation = Obligation {
            role: then.role,
            deadline: then.deadline,
            arming: then.arming,
            armed_at: then.since,
            armed_by: then.by,
            overdue_from: then.overdue_from,
            bound: stored.bound.clone().filter(|(_, since)| *since <= at),
            acknowledged_until: acknowledged,
            ended: then.ended_at.is_some_and(|ended| ended <= at),
            ..stored.clone()
        };
        if stored.armed_at <= at {
            let (ended, acknowledged_until, bound) =
                (obligation.ended, obligation.acknowledged_until, obligation.bound);
            obligation = Obligation { ended, acknowledged_until, bound, ..stored.clone() };
        }
        Some(obligation)
    };
    let mut found: Vec<Obligation> = material.record.task.obligations.iter().filter_map(known).collect();
    // In the store's order.
    found.sort_by_key(|o| (o.role == Role::Coordinator, o.clock.as_str(), o.agency.id));
    found
}

/// The obligations whose history does not end in what is on record; empty where `--at` can be trusted to the letter.
pub fn reconciles(material: &Material, calendar: &WorkCalendar) -> Vec<String> {
    let armed = armings(material, calendar);
    let told = |one: &Obligation| {
        let last = armed.iter().rfind(|a| a.clock == one.clock && a.agency.id == one.agency.id);
        let matches = last.is_some_and(|last| {
            (last.arming, last.deadline, last.since, last.by, last.overdue_from, last.role, last.ended_at.is_some())
                == (one.arming, one.deadline, one.armed_at, one.armed_by, one.overdue_from, one.role, one.ended)
                && last.acknowledged.last().map(|(_, until)| *until) == one.acknowledged_until
        });
        (!matches).then(|| format!("{} {}: {last:?} is not {one:?}", one.clock, one.agency.code))
    };
    if material.record.task.held {
        return Vec::new();
    }
    material.record.task.obligations.iter().filter_map(told).collect()
}
