//! What an interpreted row changes about its task, given what is stored. Pure: the same row and the same stored task
//! always give the same decision, and the decision says everything that is to be written.
//!
//! A state never moves backwards here, a classification is never lowered, and no value is overwritten without its event.

use jiff::{Timestamp, civil::Date};

use super::columns::{Column, Columns};
use crate::{
    planning::task::{AgencyId, ArmedBy, Clock, Deadline, Role, Secrecy, Task, TaskId, TaskState},
    store::intake::{
        Change, Decision, EventRow, Fate, MovedDeadline, ObligationRow, StoredTask, Supersede, TaskColumns, TaskRow,
        Text,
    },
};

/// What decisions depend on besides the row and the store.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub now: Timestamp,
    /// The office's day at `now`.
    pub today: Date,
    /// The file's columns: what it does not have is left as it is.
    pub columns: &'a Columns,
}

type Problems = Vec<(&'static str, &'static str, String)>;

/// Decides about one row. `found` are the stored tasks that share a code or the fingerprint with it.
pub fn decide(row: &TaskRow, found: &[&StoredTask], context: Context<'_>) -> Decision {
    let mut problems = Problems::new();
    let mut new = row.columns.clone();
    let stored = identify(row, found, &mut new, &mut problems);
    let Some(stored) = stored else {
        if !problems.is_empty() {
            // What is stored may change: this row is looked at again each time.
            new.row_digest = String::new();
        }
        return created(row, new, problems, context);
    };
    if problems.is_empty() && !new.row_digest.is_empty() && new.row_digest == stored.columns.row_digest {
        let fate = if stored.columns.held.is_empty() { Fate::Unchanged } else { Fate::Held };
        return Decision { fate, change: None, problems };
    }
    changed(row, stored, new, problems, context)
}

/// Which stored task the row is, if any; sets the code and the reason for holding that follow.
fn identify<'a>(
    row: &TaskRow,
    found: &[&'a StoredTask],
    new: &mut TaskColumns,
    problems: &mut Problems,
) -> Option<&'a StoredTask> {
    let by = |code: &str| found.iter().copied().find(|task| !code.is_empty() && task.columns.code == code);
    if row.columns.held == "code_reused" {
        return by(&new.code);
    }
    if new.secrecy.is_classified() {
        return by(&new.code).or_else(|| by(&row.typed_code.0));
    }
    if let Some(classified) = by(&row.classified_code) {
        return Some(classified);
    }
    let twin = found.iter().copied().find(|task| {
        !new.fingerprint.is_empty() && task.columns.fingerprint == new.fingerprint && task.columns.code != new.code
    });
    let own = match by(&new.code) {
        Some(own) if is_same_work(row, own) => Some(own),
        Some(_) => {
            // A mended row may still be stored under its spare code.
            problems.push((
                Column::Code.headers()[0],
                "code_reused",
                "mã này đã lưu cho một nhiệm vụ khác; ghi mã riêng cho nhiệm vụ này rồi nhập lại".to_owned(),
            ));
            new.code = row.spare_code();
            new.held = "code_reused";
            return by(&new.code);
        }
        None => None,
    };
    match (own, twin) {
        // The work was held because its code belonged to another task; now it has its own.
        (None, Some(twin)) if twin.columns.held == "code_reused" => Some(twin),
        (own, Some(twin)) if own.is_none_or(|own| own.columns.held == "duplicate_work") => {
            if new.held.is_empty() && twin.columns.held != "duplicate_work" {
                let message = format!(
                    "cùng văn bản, cơ quan chủ trì và nội dung với nhiệm vụ {} đã lưu; giữ một mã, xóa hoặc sửa mã kia",
                    twin.columns.code
                );
                problems.push((Column::Work.headers()[0], "duplicate_work", message));
                new.held = "duplicate_work";
            }
            own
        }
        (own, _) => own,
    }
}

/// Two of document, lead and work agree, or one side does not say.
fn is_same_work(row: &TaskRow, stored: &StoredTask) -> bool {
    let document = match (&row.document, &stored.document) {
        (Some(a), Some(b)) => a.key() == b.key(),
        _ => true,
    };
    let lead = match (row.columns.lead, stored.columns.lead) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let work = row.columns.work.is_empty()
        || stored.columns.work.is_empty()
        || crate::planning::fold::fold(&row.columns.work) == crate::planning::fold::fold(&stored.columns.work);
    [document, lead, work].into_iter().filter(|agrees| *agrees).count() >= 2
}

fn next_look(columns: &TaskColumns, now: Timestamp) -> Option<Timestamp> {
    (columns.held.is_empty() && columns.state.is_open()).then_some(now)
}

fn armed(clock: Clock, agency: AgencyId, role: Role, due: Option<Deadline>, now: Timestamp) -> ObligationRow {
    ObligationRow {
        clock,
        agency,
        role,
        due,
        arming: 1,
        armed_at: now,
        armed_by: ArmedBy::Entered,
        overdue_from: None,
        ended_at: None,
    }
}

/// Who owes what by when: the lead on both clocks, each coordinator on the first.
fn duties(
    lead: Option<AgencyId>,
    coordinators: &[AgencyId],
    due: Option<Deadline>,
    report: Option<Deadline>,
) -> Vec<(Clock, AgencyId, Role, Option<Deadline>)> {
    let Some(lead) = lead else { return Vec::new() };
    let mut duties = vec![(Clock::Completion, lead, Role::Lead, due)];
    if report.is_some() {
        duties.push((Clock::Report, lead, Role::Lead, report));
    }
    duties.extend(coordinators.iter().map(|agency| (Clock::Completion, *agency, Role::Coordinator, due)));
    duties
}

fn created(row: &TaskRow, mut new: TaskColumns, problems: Problems, context: Context<'_>) -> Decision {
    let now = context.now;
    new.state_since = now;
    new.known_at = now;
    new.next_look_at = next_look(&new, now);
    let held = !new.held.is_empty();
    let obligations = if held {
        Vec::new()
    } else {
        duties(new.lead, &row.coordinators, row.due, row.report)
            .into_iter()
            .map(|(clock, agency, role, due)| armed(clock, agency, role, due, now))
            .collect()
    };
    let event =
        |what, new: &str, effective_on| EventRow { what, old: String::new(), new: new.to_owned(), effective_on };
    let effective = if new.state == TaskState::Done { new.completed_on } else { new.assigned_on };
    let mut events = vec![event("entered", new.state.as_str(), effective)];
    if held {
        events.push(event("held", new.held, None));
    }
    let change = Change {
        id: None,
        document: row.document.clone(),
        coordinators: row.coordinators.clone(),
        obligations,
        events,
        moved: Vec::new(),
        supersede: Vec::new(),
        silence: None,
        wipe: false,
        columns: new,
    };
    let fate = if held { Fate::Held } else { Fate::Created };
    Decision { fate, change: Some(Box::new(change)), problems }
}

/// What the file does not say stays as stored.
fn keep_unsaid(row: &TaskRow, stored: &StoredTask, new: &mut TaskColumns, columns: &Columns) {
    let old = &stored.columns;
    let text = |column: Column, new: &mut Text, old: &Text| {
        if !columns.has(column) {
            *new = old.clone();
        }
    };
    if !new.secrecy.is_classified() {
        text(Column::Work, &mut new.work, &old.work);
        text(Column::Field, &mut new.field, &old.field);
        text(Column::Priority, &mut new.priority, &old.priority);
        text(Column::Assigner, &mut new.assigner, &old.assigner);
        text(Column::Result, &mut new.result, &old.result);
        text(Column::Note, &mut new.note, &old.note);
        text(Column::ReportCycle, &mut new.report_cycle, &old.report_cycle);
    }
    if !columns.has(Column::Assigner) && !columns.has(Column::Issuer) {
        new.assigner_block = old.assigner_block;
    }
    if !columns.has(Column::Urgency) {
        new.urgency = old.urgency;
    }
    new.assigned_on = new.assigned_on.or(old.assigned_on);
    new.original_due = new.original_due.or(old.original_due);
    new.last_update = new.last_update.or(old.last_update);
    new.monitor = new.monitor.or(old.monitor);
    // A new lead brings its own handler; the old one's is not its.
    let same_lead = new.lead.is_none() || new.lead == old.lead;
    new.handler = new.handler.or(old.handler.filter(|_| same_lead && row.new_handler.is_none()));
    new.lead = new.lead.or(old.lead.filter(|_| !new.held.is_empty()));
    new.extensions = new.extensions.max(old.extensions);
    new.imported_urgings = new.imported_urgings.max(old.imported_urgings);
    new.known_at = old.known_at;
}

/// The stored state, where the file's would go backwards or says nothing.
fn settle_state(row: &TaskRow, old: &TaskColumns, new: &mut TaskColumns, problems: &mut Problems) {
    let backwards = new.state.rank() < old.state.rank() || !old.state.is_open() && new.state != old.state;
    if !row.state_given {
        new.state = old.state;
    } else if backwards {
        let message =
            "đã lưu ở trạng thái sau trạng thái trong tệp; giữ trạng thái đã lưu, muốn mở lại dùng lệnh task reopen";
        problems.push((Column::State.headers()[0], "state_backwards", message.to_owned()));
        new.state = old.state;
    }
    if new.state == TaskState::Done {
        // A day once given is not lost to a file without one.
        new.completed_on = new.completed_on.or(old.completed_on);
    } else {
        new.completed_on = None;
    }
    new.state_since = old.state_since;
}

/// Never lowers a level: that needs a decision, which an import is not.
fn settle_secrecy(row: &TaskRow, stored: &StoredTask, new: &mut TaskColumns, problems: &mut Problems) -> bool {
    let old = &stored.columns;
    if new.secrecy < old.secrecy {
        let message = "đã lưu ở mức mật cao hơn; giữ mức đã lưu, không lưu nội dung".to_owned();
        problems.push((Column::Secrecy.headers()[0], "secrecy_lowered", message));
        new.secrecy = old.secrecy;
        let empty: Text = "".into();
        new.code.clone_from(&old.code);
        for text in [
            &mut new.work,
            &mut new.field,
            &mut new.priority,
            &mut new.assigner,
            &mut new.result,
            &mut new.note,
            &mut new.due_typed,
            &mut new.report_typed,
            &mut new.report_cycle,
        ] {
            *text = empty.clone();
        }
        new.fingerprint = String::new();
    }
    let _ = row;
    old.secrecy == Secrecy::Open && new.secrecy.is_classified()
}

fn changed(
    row: &TaskRow,
    stored: &StoredTask,
    mut new: TaskColumns,
    mut problems: Problems,
    context: Context<'_>,
) -> Decision {
    let Context { now, today, columns } = context;
    let old = &stored.columns;
    settle_state(row, old, &mut new, &mut problems);
    let wipe = settle_secrecy(row, stored, &mut new, &mut problems);
    keep_unsaid(row, stored, &mut new, columns);
    if new.held.is_empty() && new.lead.is_none() {
        new.held = "lead_missing";
    }
    let held = !new.held.is_empty();
    let released = !held && !old.held.is_empty();

    let current = |clock, agency| {
        stored.obligations.iter().find(|one| one.clock == clock && Some(one.agency) == agency && one.ended_at.is_none())
    };
    let stored_due = current(Clock::Completion, old.lead).and_then(|one| one.due);
    let stored_report = current(Clock::Report, old.lead).and_then(|one| one.due);
    // A deadline typed as it was at the last import is no change, though a decision has moved the stored one since.
    let said_again = |typed: &Text, was: &Text| old.held.is_empty() && !typed.is_empty() && typed == was;
    let due = match columns.has(Column::Due) {
        true if !said_again(&new.due_typed, &old.due_typed) || stored_due.is_none() => row.due,
        _ => stored_due,
    };
    let report = match columns.has(Column::ReportDue) {
        true if !said_again(&new.report_typed, &old.report_typed) || stored_report.is_none() => row.report,
        _ => stored_report,
    };
    if !columns.has(Column::Due) {
        new.due_typed.clone_from(&old.due_typed);
        new.due_reading.clone_from(&old.due_reading);
    }
    if !columns.has(Column::ReportDue) {
        new.report_typed.clone_from(&old.report_typed);
        new.report_reading.clone_from(&old.report_reading);
    }
    let coordinators = if columns.has(Column::Coordinators) { &row.coordinators } else { &stored.coordinators };
    let coordinators: Vec<AgencyId> = coordinators.iter().copied().filter(|agency| Some(*agency) != new.lead).collect();

    let mut change = Change {
        id: Some(stored.id),
        columns: old.clone(),
        document: None,
        coordinators: coordinators.clone(),
        obligations: Vec::new(),
        events: Vec::new(),
        moved: Vec::new(),
        supersede: Vec::new(),
        silence: None,
        wipe,
    };
    if !new.secrecy.is_classified() {
        change.document = row.document.clone().or_else(|| stored.document.clone().map(std::sync::Arc::new));
    }
    // A held task's obligations rest as they are until it is mended.
    if !held {
        oblige(&mut change, stored, &new, &coordinators, (due, report), (released, now, today));
        if stored_due != due && !released && new.original_due.is_none() {
            new.original_due = stored_due.map(|due| due.date);
        }
    }
    events(&mut change, stored, &new, &coordinators, row);
    if change.events.is_empty() && change.obligations.is_empty() && !wipe {
        let digest_only = problems.is_empty() && new.row_digest != old.row_digest;
        let fate = if held { Fate::Held } else { Fate::Unchanged };
        if !digest_only {
            return Decision { fate, change: None, problems };
        }
        // Typed otherwise, means the same: the new digest makes the next import quick. Nothing is looked at anew.
        change.columns.row_digest = new.row_digest;
        change.columns.due_typed = new.due_typed;
        change.columns.report_typed = new.report_typed;
        return Decision { fate, change: Some(Box::new(change)), problems };
    }
    if new.state != old.state {
        new.state_since = now;
    }
    change.silence = if wipe {
        Some("classified")
    } else if held && old.held.is_empty() {
        Some("held")
    } else if new.state != old.state {
        match new.state {
            TaskState::Done => Some("completed"),
            TaskState::Withdrawn => Some("withdrawn"),
            TaskState::Paused => Some("paused"),
            TaskState::Returned => Some("returned"),
            TaskState::Submitted => Some("submitted"),
            _ => None,
        }
    } else {
        None
    };
    new.next_look_at = next_look(&new, now);
    if !problems.is_empty() {
        new.row_digest = String::new();
    }
    change.columns = new;
    let fate = if held { Fate::Held } else { Fate::Updated };
    Decision { fate, change: Some(Box::new(change)), problems }
}

/// Ends, arms and re-arms the obligations.
fn oblige(
    change: &mut Change,
    stored: &StoredTask,
    new: &TaskColumns,
    coordinators: &[AgencyId],
    (due, report): (Option<Deadline>, Option<Deadline>),
    (released, now, today): (bool, Timestamp, Date),
) {
    let wanted = duties(new.lead, coordinators, due, report);
    for old in stored.obligations.iter().filter(|old| old.ended_at.is_none()) {
        if !wanted.iter().any(|(clock, agency, ..)| (*clock, *agency) == (old.clock, old.agency)) {
            // A report deadline that is gone, an agency that has no part any more.
            let reason = if Some(old.agency) == new.lead { "deadline_moved" } else { "reassigned" };
            change.supersede.push(Supersede { clock: old.clock, agency: old.agency, below: u32::MAX, reason });
            change.obligations.push(ObligationRow { ended_at: Some(now), ..old.clone() });
        }
    }
    for (clock, agency, role, due) in wanted {
        let old = stored.obligations.iter().find(|old| (old.clock, old.agency) == (clock, agency));
        let Some(old) = old else {
            // Known before, so another agency's ladder (or a coordinator's) starts as late entry.
            let known = !stored.obligations.is_empty();
            let armed_by = if known && clock == Clock::Completion { ArmedBy::Reassigned } else { ArmedBy::Entered };
            change.obligations.push(ObligationRow { armed_by, ..armed(clock, agency, role, due, now) });
            continue;
        };
        let again = |armed_by, overdue_from| ObligationRow {
            arming: old.arming + 1,
            armed_by,
            overdue_from,
            ..armed(clock, agency, role, due, now)
        };
        let moved = due != old.due;
        let next = if old.ended_at.is_some() && (moved || clock == Clock::Completion) || role != old.role {
            // A report that was handed in stays so unless a new day is set for it.
            again(ArmedBy::Reassigned, None)
        } else if moved {
            let (armed_by, overdue_from) =
                if is_earlier(due, old.due) { (ArmedBy::Advanced, Some(today)) } else { (ArmedBy::Extended, None) };
            again(armed_by, overdue_from)
        } else if released && old.ended_at.is_none() {
            again(ArmedBy::Reopened, old.overdue_from)
        } else {
            continue;
        };
        let reason = match next.armed_by {
            ArmedBy::Reassigned => "reassigned",
            ArmedBy::Reopened => "reopened",
            _ => "deadline_moved",
        };
        change.supersede.push(Supersede { clock, agency, below: next.arming, reason });
        if moved && role == Role::Lead && old.ended_at.is_none() {
            change.moved.push(MovedDeadline {
                clock,
                old_due: old.due.map(|due| due.date),
                new_due: due.map(|due| due.date),
            });
        }
        change.obligations.push(next);
    }
}

/// Whether a deadline moved towards us. None to a day counts: nobody was told of any before.
fn is_earlier(new: Option<Deadline>, old: Option<Deadline>) -> bool {
    match (new, old) {
        (Some(new), Some(old)) => {
            // A day without an hour ends at 24:00, after every hour of it.
            (new.date, new.time.is_none(), new.time) < (old.date, old.time.is_none(), old.time)
        }
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// An event for each value that changes.
fn events(change: &mut Change, stored: &StoredTask, new: &TaskColumns, coordinators: &[AgencyId], row: &TaskRow) {
    let old = &stored.columns;
    let classified = new.secrecy.is_classified();
    let effective = match new.state {
        TaskState::Done => new.completed_on,
        _ => new.last_update,
    };
    let mut events = Vec::new();
    let mut event = |what: &'static str, old: String, new: String, effective_on: Option<Date>| {
        if old != new {
            events.push(EventRow { what, old, new, effective_on });
        }
    };
    event("state", old.state.to_string(), new.state.to_string(), effective);
    event("secrecy", old.secrecy.to_string(), new.secrecy.to_string(), None);
    event("held", old.held.to_owned(), new.held.to_owned(), None);
    event("urgency", old.urgency.to_string(), new.urgency.to_string(), None);
    let number = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    event("lead", number(old.lead.map(|id| id.0)), number(new.lead.map(|id| id.0)), None);
    event("handler", number(old.handler.map(|id| id.0)), number(new.handler.map(|id| id.0)), None);
    event("monitor", number(old.monitor.map(|id| id.0)), number(new.monitor.map(|id| id.0)), None);
    let list = |ids: &[AgencyId]| {
        let mut ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    };
    event("coordinators", list(&stored.coordinators), list(coordinators), None);
    let day = |day: Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
    event("completed_on", day(old.completed_on), day(new.completed_on), new.completed_on);
    event("assigned_on", day(old.assigned_on), day(new.assigned_on), None);
    event("original_due", day(old.original_due), day(new.original_due), None);
    event("last_update", day(old.last_update), day(new.last_update), None);
    event("extensions", old.extensions.to_string(), new.extensions.to_string(), None);
    event("imported_urgings", old.imported_urgings.to_string(), new.imported_urgings.to_string(), None);
    event("due_reading", old.due_reading.to_string(), new.due_reading.to_string(), None);
    if !classified {
        event("code", old.code.clone(), new.code.clone(), None);
        event("work", old.work.to_string(), new.work.to_string(), None);
        event("field", old.field.to_string(), new.field.to_string(), None);
        event("priority", old.priority.to_string(), new.priority.to_string(), None);
        event("assigner", old.assigner.to_string(), new.assigner.to_string(), None);
        event("result", old.result.to_string(), new.result.to_string(), None);
        event("note", old.note.to_string(), new.note.to_string(), None);
        event("report_cycle", old.report_cycle.to_string(), new.report_cycle.to_string(), None);
        if let Some(document) = &row.document {
            let old = stored.document.as_ref();
            if old.map(|old| old.key()) != Some(document.key()) {
                let old = old.map(|old| old.number.clone()).unwrap_or_default();
                event("document", old, document.number.clone(), document.date);
            } else if old.is_some_and(|old| {
                // The same paper, described otherwise.
                let differs = |new: &str, old: &str| !new.is_empty() && new != old;
                differs(&document.kind, &old.kind)
                    || differs(&document.signer, &old.signer)
                    || differs(&document.summary, &old.summary)
                    || document.date.is_some() && document.date != old.date
            }) {
                let old = old.map(|old| format!("{}; {}; {}", old.kind, old.signer, old.summary)).unwrap_or_default();
                event(
                    "document",
                    old,
                    format!("{}; {}; {}", document.kind, document.signer, document.summary),
                    document.date,
                );
            }
        }
    }
    for one in &change.obligations {
        let (what, clock) = match one.clock {
            Clock::Completion => ("due_date", Clock::Completion),
            Clock::Report => ("report_date", Clock::Report),
        };
        if one.role != Role::Lead || Some(one.agency) != new.lead {
            continue;
        }
        let shown = |due: Option<Deadline>| match due {
            None => String::new(),
            Some(Deadline { date, time: None }) => date.to_string(),
            Some(Deadline { date, time: Some(time) }) => format!("{date} {time}"),
        };
        let before = stored.obligations.iter().find(|old| old.clock == clock && Some(old.agency) == old_lead(stored));
        let after = if one.ended_at.is_some() { None } else { one.due };
        event(what, shown(before.and_then(|old| old.due)), shown(after), None);
    }
    // As typed beside what it was read as, so that a story of then can quote it. No event of its own makes a change.
    if !classified && !events.is_empty() {
        for (what, old, new) in
            [("due_typed", &old.due_typed, &new.due_typed), ("report_typed", &old.report_typed, &new.report_typed)]
        {
            if old != new {
                events.push(EventRow { what, old: old.to_string(), new: new.to_string(), effective_on: None });
            }
        }
    }
    change.events = events;
}

fn old_lead(stored: &StoredTask) -> Option<AgencyId> {
    stored.columns.lead
}

/// The task as the planner would see it after the change; for estimating what leaves at once.
pub fn as_planned(change: &Change, stored_id: i64, agencies: &super::agencies::Agencies) -> Task {
    let columns = &change.columns;
    Task {
        id: TaskId(stored_id),
        code: columns.code.clone(),
        state: columns.state,
        state_since: columns.state_since,
        state_count: 1,
        resumed_at: None,
        urgency: columns.urgency,
        secrecy: columns.secrecy,
        assigner: columns.assigner.to_string(),
        assigner_block: columns.assigner_block,
        document_kind: change.document.as_ref().map(|document| document.kind.clone()).unwrap_or_default(),
        field: columns.field.to_string(),
        priority: columns.priority.to_string(),
        known_at: columns.known_at,
        held: !columns.held.is_empty(),
        obligations: change
            .obligations
            .iter()
            .filter_map(|one| {
                Some(crate::planning::task::Obligation {
                    role: one.role,
                    agency: agencies.facts(one.agency)?,
                    clock: one.clock,
                    deadline: one.due,
                    arming: one.arming,
                    armed_at: one.armed_at,
                    armed_by: one.armed_by,
                    overdue_from: one.overdue_from,
                    bound: None,
                    acknowledged_until: None,
                    ended: one.ended_at.is_some(),
                })
            })
            .collect(),
    }
}
