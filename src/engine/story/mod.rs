//! The whole story of one task, as anyone may ask for it: which rule and why not those before it, how its deadline came
//! about, each step with its arithmetic and its fate, what happened when, and what comes next.
//!
//! [`tell`] is pure. It tells the story as of any instant: of an earlier one by taking back what was learnt since
//! (`asof`), of a later one by asking the planner what will have happened. Nothing here decides what is sent, and
//! nothing is guessed: what the record does not hold is not told.

mod armings;
mod asof;
pub(crate) mod days;
mod deadline;
mod next;
mod rules;
mod rungs;
mod timeline;

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{KnownDirectory, policy::Policy};
use crate::{
    message::words,
    planning::{
        plan::Stop,
        task::{AgencyId, Clock, Obligation, Role, TaskId},
    },
    store::{
        Result,
        acts::{ActStore, EventLine},
        ledger::{PlanningStore, ReadingStore, StoryRow, TaskNotice, TaskRecord, TaskTexts},
    },
};

pub use self::{
    armings::{Armed, armings, reconciles},
    next::Coming,
    rules::{Mismatch, Verdict},
    rungs::{Rung, WILL_NOT, because},
    timeline::Happened,
};

/// Everything on record about one task, as read at one time.
#[derive(Debug, Clone)]
pub struct Material {
    pub record: TaskRecord,
    pub texts: TaskTexts,
    pub events: Vec<EventLine>,
    pub rows: Vec<StoryRow>,
    pub notices: Vec<TaskNotice>,
}

/// Reads a task's record; `None` if there is no such task.
pub async fn material<S>(store: &S, id: TaskId) -> Result<Option<Material>>
where
    S: ActStore + PlanningStore + ReadingStore + ?Sized,
{
    let Some(record) = store.tasks(&[id]).await?.pop() else { return Ok(None) };
    Ok(Some(Material {
        record,
        texts: store.texts(&[id]).await?.pop().unwrap_or_default(),
        events: store.events(id).await?,
        rows: store.story(id).await?,
        notices: store.notices_of(id).await?,
    }))
}

/// When the question is asked, and of which instant it asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub now: Timestamp,
    /// The instant the story is told as of; later than `now`: as foreseen.
    pub at: Timestamp,
    /// The daemon has stood still up to now: what it missed is told as it will be made up for.
    pub stopped: Option<Stop>,
}

impl Asked {
    /// As things stand.
    pub fn now(now: Timestamp) -> Self {
        Asked { now, at: now, stopped: None }
    }
}

/// One agency's duty on one clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duty {
    pub agency: String,
    #[serde(skip)]
    pub agency_id: AgencyId,
    pub agency_code: String,
    pub role: Role,
    pub clock: Clock,
    /// `Sở Nội vụ (chủ trì), thời hạn hoàn thành`
    pub title: String,
    pub rule: Option<String>,
    /// The rules of this clock, in file order, up to the one that applies.
    pub verdicts: Vec<Verdict>,
    pub deadline: Option<Date>,
    pub effective_deadline: Option<Date>,
    /// How the deadline came about, a sentence each.
    pub deadline_story: Vec<String>,
    /// How often it was urged and how that number came; empty: never.
    pub urgings: String,
    pub arming: u32,
    pub ended: bool,
}

/// A task's story as of one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Story {
    pub task: String,
    /// Empty for a classified task.
    pub work: String,
    pub classified: bool,
    #[serde(skip)]
    pub as_of: Timestamp,
    /// Told as foreseen, not as it was.
    pub foreseen: bool,
    /// `đang thực hiện, từ 08:00 thứ Sáu 20/11/2026`
    pub state: String,
    /// The code of the problem a person must mend; empty unless held.
    pub held: String,
    pub duties: Vec<Duty>,
    /// In order of their instants.
    #[serde(skip)]
    pub rungs: Vec<Rung>,
    pub timeline: Vec<Happened>,
    /// What comes next, the nearest first.
    pub next: Vec<Coming>,
    /// What would stop it, or what must happen before anything comes; a sentence each.
    pub remarks: Vec<String>,
}

/// Tells the story.
pub fn tell(policy: &Policy, known: &KnownDirectory, material: &Material, asked: Asked) -> Story {
    let calendar = &policy.calendar;
    let then = if asked.at < asked.now { asof::as_of(policy, material, asked.at) } else { material.clone() };
    let from = asked.at.min(asked.now);
    let stopped = asked.stopped.filter(|_| asked.at >= asked.now);
    let task = &then.record.task;
    let armed = armings(&then, calendar);
    let coming = next::foresee(policy, &then, from, stopped);
    let mut rungs = rungs::recorded(policy, &then, &armed, from);
    rungs.extend(rungs::foreseen(policy, &then, &coming, asked.at));
    // Stable: what stands on record comes before what is foreseen of the same instant.
    rungs.sort_by_key(|rung| rung.at);
    Story {
        task: task.code.clone(),
        work: then.texts.work.clone(),
        classified: task.secrecy.is_classified(),
        as_of: asked.at,
        foreseen: asked.at > asked.now,
        state: format!("{}, từ {}", words::state(task.state), days::moment(calendar, task.state_since)),
        held: held(&then),
        duties: task.obligations.iter().map(|o| duty(policy, known, &then, &armed, o, asked.at)).collect(),
        timeline: timeline::timeline(policy, known, &then, &rungs, &coming, asked.at),
        next: next::next(policy, known, &then, &coming, asked.at),
        remarks: next::remarks(policy, &then, &coming, asked.at),
        rungs,
    }
}

fn held(then: &Material) -> String {
    if !then.record.task.held {
        return String::new();
    }
    let event = then.events.iter().rev().find(|event| event.what == "held");
    event.map_or_else(|| "held".to_owned(), |event| event.new.clone())
}

fn duty(
    policy: &Policy,
    known: &KnownDirectory,
    then: &Material,
    armed: &[Armed],
    obligation: &Obligation,
    at: Timestamp,
) -> Duty {
    let role = match obligation.role {
        Role::Lead => "chủ trì",
        Role::Coordinator => "phối hợp",
    };
    let task = &then.record.task;
    Duty {
        agency: obligation.agency.name.clone(),
        agency_id: obligation.agency.id,
        agency_code: obligation.agency.code.clone(),
        role: obligation.role,
        clock: obligation.clock,
        title: format!("{} ({role}), {}", obligation.agency.name, words::clock(obligation.clock)),
        rule: policy.rules.find(task, obligation).map(|rule| rule.id.clone()),
        verdicts: rules::verdicts(&policy.rules, task, obligation),
        deadline: obligation.deadline.map(|deadline| deadline.date),
        effective_deadline: obligation.deadline.and_then(|deadline| policy.calendar.effective(deadline).ok()),
        deadline_story: deadline::story(policy, then, armed, obligation, at),
        urgings: timeline::urgings(policy, known, then, obligation),
        arming: obligation.arming,
        ended: obligation.ended,
    }
}
