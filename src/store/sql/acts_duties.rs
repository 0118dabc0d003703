//! Acts that change who owes what by when: obligations are armed, armed again, ended, never deleted.

use jiff::{Timestamp, civil::Date};
use sqlx::Row;

use super::{
    acts::{Acting, refused},
    ledger_silence::{Earlier, supersede},
    rows::{date, number, time, word},
};
use crate::{
    planning::task::{AgencyId, ArmedBy, Clock, Deadline, Role, TaskState},
    store::{Result, acts::ContactForm},
};

/// A stored obligation, as far as acts look at it.
#[derive(Debug, Clone)]
struct Duty {
    clock: Clock,
    agency: AgencyId,
    role: Role,
    due: Option<Deadline>,
    arming: u32,
    overdue_from: Option<Date>,
    ended: bool,
}

/// How a ladder is armed.
#[derive(Debug, Clone, Copy)]
struct Arming {
    clock: Clock,
    agency: AgencyId,
    role: Role,
    due: Option<Deadline>,
    armed_by: ArmedBy,
    overdue_from: Option<Date>,
    /// Why earlier armings' waiting reminders lose their place.
    reason: &'static str,
}

async fn duties(acting: &mut Acting<'_>) -> Result<Vec<Duty>> {
    let task = acting.task;
    let rows = sqlx::query("SELECT * FROM obligation WHERE task = $1 ORDER BY role = 'coordinator', clock, agency")
        .bind(task)
        .fetch_all(acting.conn())
        .await?;
    rows.iter()
        .map(|row| {
            let due = match date(row, "due_date")? {
                Some(date) => Some(Deadline { date, time: time(row, "due_time")? }),
                None => None,
            };
            Ok(Duty {
                clock: word(row, "clock", Clock::from_word)?,
                agency: AgencyId(row.try_get("agency")?),
                role: word(row, "role", Role::from_word)?,
                due,
                arming: number(row, "arming")?,
                overdue_from: date(row, "overdue_from")?,
                ended: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
            })
        })
        .collect()
}

/// Arms a ladder: a new one, or the next arming of one on record; what earlier armings have waiting is superseded.
async fn arm(acting: &mut Acting<'_>, known: &[Duty], new: Arming) -> Result<()> {
    let old = known.iter().find(|duty| duty.clock == new.clock && duty.agency == new.agency);
    let arming = old.map_or(1, |old| old.arming + 1);
    let (task, now) = (acting.task, acting.now);
    // An acknowledgement belongs to the arming it was given for, and so does the rule it was planned under: an agency
    // that coordinated and now leads is under another rule because it leads, not because the rules changed.
    sqlx::query(
        "INSERT INTO obligation (task, clock, agency, role, due_date, due_time, arming, armed_at, armed_by, overdue_from) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (task, clock, agency) DO UPDATE SET role = excluded.role, due_date = excluded.due_date, \
           due_time = excluded.due_time, arming = excluded.arming, armed_at = excluded.armed_at, \
           armed_by = excluded.armed_by, overdue_from = excluded.overdue_from, acknowledged_until = NULL, \
           rule = NULL, rule_since = NULL, ended_at = NULL",
    )
    .bind(task)
    .bind(new.clock.as_str())
    .bind(new.agency.0)
    .bind(new.role.as_str())
    .bind(new.due.map(|due| due.date.to_string()))
    .bind(new.due.and_then(|due| due.time).map(|time| time.to_string()))
    .bind(i64::from(arming))
    .bind(now.as_millisecond())
    .bind(new.armed_by.as_str())
    .bind(new.overdue_from.map(|day| day.to_string()))
    .execute(acting.conn())
    .await?;
    lose(acting, new.clock, new.agency, arming, new.reason).await
}

async fn lose(acting: &mut Acting<'_>, clock: Clock, agency: AgencyId, below: u32, reason: &str) -> Result<()> {
    let (task, now) = (acting.task, acting.now);
    let which = Earlier { task, clock, agency: agency.0, below };
    let silenced = supersede(acting.conn(), which, now, reason).await?;
    acting.silenced += silenced;
    Ok(())
}

async fn end(acting: &mut Acting<'_>, duty: &Duty, reason: &str) -> Result<()> {
    let (task, now) = (acting.task, acting.now);
    sqlx::query("UPDATE obligation SET ended_at = $4 WHERE task = $1 AND clock = $2 AND agency = $3")
        .bind(task)
        .bind(duty.clock.as_str())
        .bind(duty.agency.0)
        .bind(now.as_millisecond())
        .execute(acting.conn())
        .await?;
    lose(acting, duty.clock, duty.agency, u32::MAX, reason).await
}

fn assert_open(acting: &Acting<'_>, what: &str) -> Result<()> {
    if acting.state.is_open() {
        return Ok(());
    }
    Err(refused(format!("{} is {}: {what} needs an open task; use `reopen` first", acting.code, acting.state)))
}

/// The agency's name, if it is one that can be given work.
async fn assert_agency(acting: &mut Acting<'_>, agency: AgencyId) -> Result<()> {
    let found: Option<(String, bool)> = sqlx::query_as("SELECT name, active FROM agency WHERE id = $1")
        .bind(agency.0)
        .fetch_optional(acting.conn())
        .await?;
    match found {
        None => Err(refused("there is no such agency in the directory")),
        Some((name, false)) => Err(refused(format!("{name} exists no more: name its successor"))),
        Some(_) => Ok(()),
    }
}

pub(super) async fn reopen(acting: &mut Acting<'_>) -> Result<()> {
    if acting.state.is_open() {
        return Err(refused(format!("{} is {}: only a done or withdrawn task is reopened", acting.code, acting.state)));
    }
    let known = duties(acting).await?;
    let task = acting.task;
    let was: Option<String> =
        sqlx::query_scalar("SELECT completed_on FROM task WHERE id = $1").bind(task).fetch_one(acting.conn()).await?;
    sqlx::query("UPDATE task SET completed_on = NULL WHERE id = $1").bind(task).execute(acting.conn()).await?;
    let today = acting.today;
    acting.enter(TaskState::InProgress, Some(today)).await?;
    if let Some(was) = was {
        acting.event("completed_on", &was, "", Some(today)).await?;
    }
    for duty in known.iter().filter(|duty| duty.clock == Clock::Completion && !duty.ended) {
        let again = Arming {
            clock: duty.clock,
            agency: duty.agency,
            role: duty.role,
            due: duty.due,
            armed_by: ArmedBy::Reopened,
            overdue_from: duty.overdue_from,
            reason: "reopened",
        };
        arm(acting, &known, again).await?;
    }
    Ok(())
}

pub(super) async fn assign(acting: &mut Acting<'_>, lead: AgencyId) -> Result<()> {
    assert_open(acting, "assigning")?;
    assert_agency(acting, lead).await?;
    let returned = acting.state == TaskState::Returned;
    if acting.state == TaskState::Submitted {
        return Err(refused(format!("{} was handed in: confirm it with `done` or `refuse` it first", acting.code)));
    }
    if acting.lead == Some(lead) && !returned {
        return Err(refused(format!("{} is assigned to this agency already", acting.code)));
    }
    let known = duties(acting).await?;
    let old_lead = acting.lead;
    let (task, today) = (acting.task, acting.today);
    let owed: Vec<Duty> =
        known.iter().filter(|duty| duty.role == Role::Lead && Some(duty.agency) == old_lead).cloned().collect();

    if old_lead != Some(lead) {
        let number = |id: Option<AgencyId>| id.map(|id| id.0.to_string()).unwrap_or_default();
        sqlx::query("UPDATE task SET lead = $2 WHERE id = $1").bind(task).bind(lead.0).execute(acting.conn()).await?;
        acting.lead = Some(lead);
        acting.event("lead", &number(old_lead), &number(Some(lead)), Some(today)).await?;
        // The new lead's part in coordinating, if it had one, is part of leading now.
        let coordinators = coordinators(acting).await?;
        if coordinators.contains(&lead) {
            let left: Vec<AgencyId> = coordinators.iter().copied().filter(|agency| *agency != lead).collect();
            write_coordinators(acting, &coordinators, &left).await?;
        }
        if acting.handler.is_some() {
            // The old lead's handler does no work for the new one.
            acting.write_handler(None).await?;
        }
    }
    if returned {
        acting.enter(TaskState::NotReceived, Some(today)).await?;
    }
    for duty in owed.iter().filter(|duty| !duty.ended) {
        if duty.agency != lead {
            end(acting, duty, "reassigned").await?;
        }
        let new = Arming {
            clock: duty.clock,
            agency: lead,
            role: Role::Lead,
            due: duty.due,
            armed_by: ArmedBy::Reassigned,
            overdue_from: duty.overdue_from,
            reason: "reassigned",
        };
        arm(acting, &known, new).await?;
    }
    Ok(())
}

async fn coordinators(acting: &mut Acting<'_>) -> Result<Vec<AgencyId>> {
    let task = acting.task;
    let found: Vec<i64> = sqlx::query_scalar("SELECT agency FROM task_coordinator WHERE task = $1 ORDER BY agency")
        .bind(task)
        .fetch_all(acting.conn())
        .await?;
    Ok(found.into_iter().map(AgencyId).collect())
}

async fn write_coordinators(acting: &mut Acting<'_>, old: &[AgencyId], new: &[AgencyId]) -> Result<()> {
    let (task, today) = (acting.task, acting.today);
    for agency in old.iter().filter(|agency| !new.contains(agency)) {
        sqlx::query("DELETE FROM task_coordinator WHERE task = $1 AND agency = $2")
            .bind(task)
            .bind(agency.0)
            .execute(acting.conn())
            .await?;
    }
    for agency in new.iter().filter(|agency| !old.contains(agency)) {
        sqlx::query("INSERT INTO task_coordinator (task, agency) VALUES ($1, $2)")
            .bind(task)
            .bind(agency.0)
            .execute(acting.conn())
            .await?;
    }
    let list = |agencies: &[AgencyId]| agencies.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
    acting.event("coordinators", &list(old), &list(new), Some(today)).await
}

pub(super) async fn set_coordinators(acting: &mut Acting<'_>, wanted: &[AgencyId]) -> Result<()> {
    assert_open(acting, "naming coordinators")?;
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    if acting.lead.is_some_and(|lead| wanted.contains(&lead)) {
        return Err(refused(format!("the lead agency of {} cannot coordinate with itself", acting.code)));
    }
    let old = coordinators(acting).await?;
    if old == wanted {
        return Err(refused(format!("{} has these coordinating agencies already", acting.code)));
    }
    for agency in wanted.iter().filter(|agency| !old.contains(agency)) {
        assert_agency(acting, *agency).await?;
    }
    let known = duties(acting).await?;
    write_coordinators(acting, &old, &wanted).await?;
    for duty in known.iter().filter(|duty| duty.role == Role::Coordinator && !duty.ended) {
        if !wanted.contains(&duty.agency) {
            end(acting, duty, "reassigned").await?;
        }
    }
    let lead = known.iter().find(|d| d.role == Role::Lead && d.clock == Clock::Completion && !d.ended);
    for agency in wanted.into_iter().filter(|agency| !old.contains(agency)) {
        let new = Arming {
            clock: Clock::Completion,
            agency,
            role: Role::Coordinator,
            due: lead.and_then(|lead| lead.due),
            armed_by: ArmedBy::Reassigned,
            overdue_from: lead.and_then(|lead| lead.overdue_from),
            reason: "reassigned",
        };
        arm(acting, &known, new).await?;
    }
    Ok(())
}

/// Whether a deadline moved towards the agency. A first deadline counts: nobody was told of any before.
fn is_earlier(new: Deadline, old: Option<Deadline>) -> bool {
    // A day without an hour ends at 24:00, after every hour of it.
    let end = |due: Deadline| (due.date, due.time.is_none(), due.time);
    old.is_none_or(|old| end(new) < end(old))
}

fn shown(due: Option<Deadline>) -> String {
    match due {
        None => String::new(),
        Some(Deadline { date, time: None }) => date.to_string(),
        Some(Deadline { date, time: Some(time) }) => format!("{date} {time}"),
    }
}

pub(super) async fn extend(
    acting: &mut Acting<'_>,
    clock: Clock,
    due: Deadline,
    decided_on: Option<Date>,
    approver: &str,
) -> Result<()> {
    assert_open(acting, "moving a deadline")?;
    if decided_on.is_some_and(|day| day > acting.today) {
        return Err(refused("a deadline cannot be moved by a decision of a day that has not come"));
    }
    let lead = acting.lead.ok_or_else(|| refused(format!("{} has no lead agency", acting.code)))?;
    let known = duties(acting).await?;
    let old = known.iter().find(|duty| duty.clock == clock && duty.agency == lead);
    if clock == Clock::Completion && old.is_none() {
        return Err(refused(format!("{} has no obligation to move", acting.code)));
    }
    let old_due = old.filter(|duty| !duty.ended).and_then(|duty| duty.due);
    if old_due == Some(due) {
        return Err(refused(format!("the deadline of {} is {} already", acting.code, shown(Some(due)))));
    }
    let earlier = is_earlier(due, old_due);
    let armed_by = if earlier { ArmedBy::Advanced } else { ArmedBy::Extended };
    let overdue_from = earlier.then_some(acting.today);
    let new =
        |agency, role| Arming { clock, agency, role, due: Some(due), armed_by, overdue_from, reason: "deadline_moved" };
    arm(acting, &known, new(lead, Role::Lead)).await?;
    for duty in known.iter().filter(|d| d.role == Role::Coordinator && d.clock == clock && !d.ended) {
        // One with a date of its own keeps it.
        if duty.due == old_due {
            arm(acting, &known, new(duty.agency, Role::Coordinator)).await?;
        }
    }
    let what = match clock {
        Clock::Completion => "due_date",
        Clock::Report => "report_date",
    };
    acting.event(what, &shown(old_due), &shown(Some(due)), decided_on).await?;
    record_extension(acting, clock, old_due, due, decided_on, approver).await?;
    if clock == Clock::Completion {
        let task = acting.task;
        // The first deadline stays on record beside the present one; only a later one is an extension to be counted.
        sqlx::query(
            "UPDATE task SET original_due = coalesce(original_due, $2), extensions = extensions + $3 WHERE id = $1",
        )
        .bind(task)
        .bind(old_due.map(|due| due.date.to_string()))
        .bind(i64::from(!earlier))
        .execute(acting.conn())
        .await?;
    }
    if acting.state == TaskState::ExtensionRequested && clock == Clock::Completion {
        let today = acting.today;
        acting.enter(TaskState::InProgress, Some(decided_on.unwrap_or(today))).await?;
    }
    Ok(())
}

async fn record_extension(
    acting: &mut Acting<'_>,
    clock: Clock,
    old: Option<Deadline>,
    new: Deadline,
    decided_on: Option<Date>,
    approver: &str,
) -> Result<()> {
    let by = acting.by;
    acting.without_paper = by.paper.trim().is_empty();
    let paper = acting.keep(&by.paper);
    let approver = acting.keep(approver);
    let (task, now) = (acting.task, acting.now);
    sqlx::query(
        "INSERT INTO extension (task, clock, old_due, new_due, decided_on, paper, approver, recorded_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(task)
    .bind(clock.as_str())
    .bind(old.map(|due| due.date.to_string()))
    .bind(new.date.to_string())
    .bind(decided_on.map(|day| day.to_string()))
    .bind(paper)
    .bind(approver)
    .bind(now.as_millisecond())
    .execute(acting.conn())
    .await?;
    Ok(())
}

pub(super) async fn report(acting: &mut Acting<'_>) -> Result<()> {
    assert_open(acting, "handing in a report")?;
    let known = duties(acting).await?;
    let reports: Vec<&Duty> = known.iter().filter(|duty| duty.clock == Clock::Report).collect();
    if reports.is_empty() {
        return Err(refused(format!("{} has no report to hand in", acting.code)));
    }
    if reports.iter().all(|duty| duty.ended) {
        return Err(refused(format!("the report of {} was handed in already", acting.code)));
    }
    for duty in reports.into_iter().filter(|duty| !duty.ended) {
        end(acting, duty, "reported").await?;
    }
    let today = acting.today;
    acting.event("report", "", "reported", Some(today)).await
}

pub(super) async fn acknowledge(acting: &mut Acting<'_>, until: Timestamp) -> Result<()> {
    assert_open(acting, "acknowledging")?;
    if until <= acting.now {
        return Err(refused("an acknowledgement needs a moment that is still to come"));
    }
    let task = acting.task;
    let done = sqlx::query("UPDATE obligation SET acknowledged_until = $2 WHERE task = $1 AND ended_at IS NULL")
        .bind(task)
        .bind(until.as_millisecond())
        .execute(acting.conn())
        .await?;
    if done.rows_affected() == 0 {
        return Err(refused(format!("{} has nothing to acknowledge", acting.code)));
    }
    let today = acting.today;
    acting.event("acknowledged", "", &until.to_string(), Some(today)).await
}

pub(super) async fn log_contact(
    acting: &mut Acting<'_>,
    clock: Clock,
    agency: AgencyId,
    form: ContactForm,
    (whom, outcome): (&str, &str),
) -> Result<()> {
    assert_open(acting, "urging")?;
    let known = duties(acting).await?;
    if !known.iter().any(|duty| duty.clock == clock && duty.agency == agency && !duty.ended) {
        return Err(refused(format!("this agency owes nothing on this deadline of {}", acting.code)));
    }
    let (whom, outcome) = (acting.keep(whom), acting.keep(outcome));
    let (task, now, today) = (acting.task, acting.now, acting.today);
    let who = acting.by.who.trim();
    sqlx::query(
        "INSERT INTO contact_log (task, clock, agency, at, form, whom, outcome, by_whom) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(task)
    .bind(clock.as_str())
    .bind(agency.0)
    .bind(now.as_millisecond())
    .bind(form.as_str())
    .bind(whom)
    .bind(outcome)
    .bind(who)
    .execute(acting.conn())
    .await?;
    acting.event("contact", "", &format!("{} {}", form.as_str(), agency.0), Some(today)).await
}
