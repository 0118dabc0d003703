//! Acts on tasks: one transaction each, with the history's line and the silence that follow.

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use sqlx::Row;

use super::{
    Conn, Database, Tx, acts_duties,
    ledger_silence::{Silenced, silence},
    rows::{date, instant, word},
};
use crate::{
    planning::{
        plan::STATE_RULE,
        task::{AgencyId, PersonId, Secrecy, TaskId, TaskState},
    },
    store::{
        Result, StoreError,
        acts::{Act, ActStore, Acted, By, EventLine, TaskFilter, TaskLine},
    },
};

#[async_trait]
impl ActStore for Database {
    async fn act(&self, now: Timestamp, today: Date, task: TaskId, act: &Act, by: &By) -> Result<Acted> {
        if by.who.trim().is_empty() {
            return Err(refused("an act needs somebody's name"));
        }
        let mut acting = Acting::begin(self.begin().await?, task, now, today, by).await?;
        acting.perform(act).await?;
        acting.finish().await
    }

    async fn events(&self, task: TaskId) -> Result<Vec<EventLine>> {
        let rows = sqlx::query("SELECT * FROM task_event WHERE task = $1 ORDER BY id")
            .bind(task.0)
            .fetch_all(self.reading())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(EventLine {
                    what: row.try_get("what")?,
                    old: row.try_get("old")?,
                    new: row.try_get("new")?,
                    effective_on: date(row, "effective_on")?,
                    learnt_at: instant(row, "learnt_at")?,
                    paper: row.try_get("paper")?,
                    by: row.try_get("by_whom")?,
                })
            })
            .collect()
    }

    async fn list_tasks(&self, filter: &TaskFilter, after: &str, limit: u32) -> Result<Vec<TaskLine>> {
        let rows = sqlx::query(
            "SELECT t.id, t.code, t.work, t.state, t.held, t.completed_on, coalesce(a.code, a.name, '') AS lead, o.due_date \
             FROM task t LEFT JOIN agency a ON a.id = t.lead \
             LEFT JOIN obligation o ON o.task = t.id AND o.clock = 'completion' AND o.agency = t.lead \
             WHERE t.code > $1 AND ($2 IS NULL OR t.state = $2) AND (NOT $3 OR t.state NOT IN ('done', 'withdrawn')) \
             AND (NOT $4 OR t.held <> '') AND ($5 IS NULL OR t.lead = $5) AND ($6 IS NULL OR o.due_date <= $6) \
             ORDER BY t.code LIMIT $7",
        )
        .bind(after)
        .bind(filter.state.map(TaskState::as_str))
        .bind(filter.open_only)
        .bind(filter.held_only)
        .bind(filter.lead.map(|id| id.0))
        .bind(filter.due_until.map(|day| day.to_string()))
        .bind(i64::from(limit))
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TaskLine {
                    id: TaskId(row.try_get("id")?),
                    code: row.try_get("code")?,
                    work: row.try_get("work")?,
                    state: word(row, "state", TaskState::from_word)?,
                    lead: row.try_get("lead")?,
                    due: date(row, "due_date")?,
                    completed_on: date(row, "completed_on")?,
                    held: row.try_get("held")?,
                })
            })
            .collect()
    }
}

/// A refusal, in plain words.
pub(super) fn refused(why: impl Into<String>) -> StoreError {
    StoreError::Refused(why.into())
}

/// One act under way: the open transaction and the task as it stood when the transaction began.
pub(super) struct Acting<'a> {
    tx: Tx,
    pub(super) task: i64,
    pub(super) now: Timestamp,
    pub(super) today: Date,
    pub(super) by: &'a By,
    pub(super) code: String,
    pub(super) state: TaskState,
    pub(super) lead: Option<AgencyId>,
    pub(super) handler: Option<PersonId>,
    pub(super) classified: bool,
    held: String,
    completed_on: Option<Date>,
    pub(super) silenced: Silenced,
    pub(super) without_paper: bool,
    dropped: bool,
}

impl<'a> Acting<'a> {
    async fn begin(mut tx: Tx, task: TaskId, now: Timestamp, today: Date, by: &'a By) -> Result<Self> {
        let row = sqlx::query("SELECT code, state, lead, handler, secrecy, held, completed_on FROM task WHERE id = $1")
            .bind(task.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| refused("there is no such task"))?;
        let secrecy = word(&row, "secrecy", Secrecy::from_word)?;
        Ok(Self {
            task: task.0,
            now,
            today,
            by,
            code: row.try_get("code")?,
            state: word(&row, "state", TaskState::from_word)?,
            lead: row.try_get::<Option<i64>, _>("lead")?.map(AgencyId),
            handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
            classified: secrecy.is_classified(),
            held: row.try_get("held")?,
            completed_on: date(&row, "completed_on")?,
            silenced: Silenced::default(),
            without_paper: false,
            dropped: false,
            tx,
        })
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.tx
    }

    async fn perform(&mut self, act: &Act) -> Result<()> {
        let touches_duties = !matches!(act, Act::Done { .. } | Act::Withdraw | Act::SetHandler { .. });
        if !self.held.is_empty() && touches_duties {
            return Err(refused(format!(
                "{} is held ({}): correct its row and import it again, then this can be recorded",
                self.code, self.held
            )));
        }
        if matches!(act, Act::Start | Act::Submit | Act::Done { .. } | Act::AskExtension | Act::Report) {
            self.heard_from().await?;
        }
        match act {
            Act::Start => self.start().await,
            Act::Submit => self.submit().await,
            Act::Refuse => self.refuse().await,
            Act::Done { on } => self.done(*on).await,
            Act::Return => self.give_back().await,
            Act::Withdraw => self.withdraw().await,
            Act::Pause => self.pause().await,
            Act::Resume => self.resume().await,
            Act::Reopen => acts_duties::reopen(self).await,
            Act::Assign { lead } => acts_duties::assign(self, *lead).await,
            Act::SetHandler { person } => self.set_handler(*person).await,
            Act::SetCoordinators { agencies } => acts_duties::set_coordinators(self, agencies).await,
            Act::Extend { clock, date, time, decided_on, approver } => {
                let due = crate::planning::task::Deadline { date: *date, time: *time };
                acts_duties::extend(self, *clock, due, *decided_on, approver).await
            }
            Act::AskExtension => self.ask_extension().await,
            Act::Report => acts_duties::report(self).await,
            Act::Acknowledge { until } => acts_duties::acknowledge(self, *until).await,
            Act::LogContact { clock, agency, form, whom, outcome } => {
                acts_duties::log_contact(self, *clock, *agency, *form, (whom, outcome)).await
            }
        }
    }

    /// Commits. A task that may still speak is looked at now, one that is over never again.
    async fn finish(mut self) -> Result<Acted> {
        let look = (self.state.is_open() && self.held.is_empty()).then_some(self.now.as_millisecond());
        // Whatever was changed, a plan that was read before is not kept.
        sqlx::query("UPDATE task SET next_look_at = $2, revision = revision + 1 WHERE id = $1")
            .bind(self.task)
            .bind(look)
            .execute(&mut *self.tx)
            .await?;
        self.tx.commit().await?;
        Ok(Acted {
            state: self.state,
            silenced: self.silenced.reminders,
            without_paper: self.without_paper,
            dropped: self.dropped,
        })
    }

    /// What a classified task may keep of a text that people typed: nothing.
    pub(super) fn keep<'t>(&mut self, text: &'t str) -> &'t str {
        if self.classified && !text.trim().is_empty() {
            self.dropped = true;
            return "";
        }
        text.trim()
    }

    /// One line of the history.
    pub(super) async fn event(&mut self, what: &str, old: &str, new: &str, effective_on: Option<Date>) -> Result<()> {
        let by = self.by;
        let paper = self.keep(&by.paper);
        sqlx::query(
            "INSERT INTO task_event (task, what, old, new, effective_on, learnt_at, paper, by_whom) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(self.task)
        .bind(what)
        .bind(old)
        .bind(new)
        .bind(effective_on.map(|day| day.to_string()))
        .bind(self.now.as_millisecond())
        .bind(paper)
        .bind(by.who.trim())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// Takes the task into a state.
    pub(super) async fn enter(&mut self, state: TaskState, effective_on: Option<Date>) -> Result<()> {
        let old = self.state;
        let counts = matches!(state, TaskState::Submitted | TaskState::Returned);
        let resumes = !old.is_urged() && state.is_urged();
        sqlx::query(
            "UPDATE task SET state = $2, state_since = $3, state_count = state_count + $4, \
             resumed_at = CASE WHEN $5 THEN $3 ELSE resumed_at END WHERE id = $1",
        )
        .bind(self.task)
        .bind(state.as_str())
        .bind(self.now.as_millisecond())
        .bind(i64::from(counts))
        .bind(resumes)
        .execute(&mut *self.tx)
        .await?;
        self.state = state;
        self.event("state", old.as_str(), state.as_str(), effective_on).await?;
        if resumes {
            // Only questions about the state that is left can wait here.
            self.fall_silent("resumed").await?;
            self.speak_again().await?;
        }
        Ok(())
    }

    /// What waited when the task fell silent waits again: its step was never spent. A severer step that came meanwhile
    /// takes its place when the task is planned.
    async fn speak_again(&mut self) -> Result<()> {
        // An earlier message stays named that may have arrived, also where one that named it never left.
        sqlx::query(concat!(
            "UPDATE reminder SET state = 'planned', reason = '', changed_at = $2, ",
            stays_named!(),
            " WHERE task = $1 AND state = 'suppressed' AND reason IN ('paused', 'submitted', 'returned') AND rule <> $3 \
               AND EXISTS (SELECT 1 FROM obligation o WHERE o.task = reminder.task AND o.clock = reminder.clock \
                 AND o.agency = reminder.agency AND o.arming = reminder.arming AND o.ended_at IS NULL)"
        ))
        .bind(self.task)
        .bind(self.now.as_millisecond())
        .bind(STATE_RULE)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    pub(super) async fn fall_silent(&mut self, reason: &str) -> Result<()> {
        self.silenced += silence(&mut self.tx, self.task, self.now, reason).await?;
        Ok(())
    }

    fn cannot(&self, what: &str, help: &str) -> StoreError {
        refused(format!("{} cannot be {what}: it is {}{help}", self.code, self.state))
    }

    /// The agency let itself be heard of: not having been updated for long is a fault of its own.
    async fn heard_from(&mut self) -> Result<()> {
        let today = self.today.to_string();
        let old: Option<String> = sqlx::query_scalar("SELECT last_update FROM task WHERE id = $1")
            .bind(self.task)
            .fetch_one(self.conn())
            .await?;
        if old.as_deref() >= Some(&today) {
            return Ok(());
        }
        sqlx::query("UPDATE task SET last_update = $2 WHERE id = $1")
            .bind(self.task)
            .bind(&today)
            .execute(&mut *self.tx)
            .await?;
        self.event("last_update", old.as_deref().unwrap_or(""), &today, None).await
    }

    async fn start(&mut self) -> Result<()> {
        match self.state {
            TaskState::NotReceived | TaskState::NotStarted => self.enter(TaskState::InProgress, Some(self.today)).await,
            TaskState::ExtensionRequested => Err(self.cannot("started", "; use `extend` or `refuse`")),
            TaskState::Paused => Err(self.cannot("started", "; use `resume`")),
            TaskState::Returned => Err(self.cannot("started", "; use `assign`")),
            TaskState::Submitted => Err(self.cannot("started", "; use `refuse`")),
            TaskState::Done | TaskState::Withdrawn => Err(self.cannot("started", "; use `reopen`")),
            TaskState::InProgress => Err(self.cannot("started", " already")),
        }
    }

    async fn submit(&mut self) -> Result<()> {
        match self.state {
            state if state.is_urged() => {
                self.enter(TaskState::Submitted, Some(self.today)).await?;
                self.fall_silent("submitted").await
            }
            TaskState::Paused => Err(self.cannot("handed in", "; use `resume` first")),
            TaskState::Returned => Err(self.cannot("handed in", "; use `assign` first")),
            TaskState::Submitted => Err(self.cannot("handed in", " already")),
            _ => Err(self.cannot("handed in", "; use `reopen` first")),
        }
    }

    async fn refuse(&mut self) -> Result<()> {
        match self.state {
            TaskState::Submitted | TaskState::ExtensionRequested => {
                self.enter(TaskState::InProgress, Some(self.today)).await
            }
            _ => Err(self.cannot("refused", "; only what was handed in or asked for can be")),
        }
    }

    async fn done(&mut self, on: Option<Date>) -> Result<()> {
        if on.is_some_and(|day| day > self.today) {
            return Err(refused(format!("{} cannot be done on a day that has not come", self.code)));
        }
        let day = on.map(|day| day.to_string());
        match self.state {
            TaskState::Withdrawn => return Err(self.cannot("done", "; use `reopen` first")),
            TaskState::Done if self.completed_on.is_some() || on.is_none() => {
                return Err(self.cannot("done", " already"));
            }
            // It was done, and now the day is known.
            TaskState::Done => self.event("completed_on", "", day.as_deref().unwrap_or(""), on).await?,
            _ => {
                self.enter(TaskState::Done, on).await?;
                if let Some(day) = &day {
                    self.event("completed_on", "", day, on).await?;
                }
                self.fall_silent("completed").await?;
            }
        }
        sqlx::query("UPDATE task SET completed_on = $2 WHERE id = $1")
            .bind(self.task)
            .bind(day)
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    async fn give_back(&mut self) -> Result<()> {
        match self.state {
            TaskState::Returned => Err(self.cannot("sent back", " already")),
            TaskState::Done | TaskState::Withdrawn => Err(self.cannot("sent back", "; use `reopen` first")),
            _ => {
                self.enter(TaskState::Returned, Some(self.today)).await?;
                self.fall_silent("returned").await
            }
        }
    }

    async fn withdraw(&mut self) -> Result<()> {
        match self.state {
            TaskState::Withdrawn => Err(self.cannot("withdrawn", " already")),
            TaskState::Done => Err(self.cannot("withdrawn", "; use `reopen` first")),
            _ => {
                self.enter(TaskState::Withdrawn, Some(self.today)).await?;
                self.fall_silent("withdrawn").await
            }
        }
    }

    async fn pause(&mut self) -> Result<()> {
        match self.state {
            TaskState::Paused => Err(self.cannot("paused", " already")),
            TaskState::Returned => Err(self.cannot("paused", "; nothing is urged until it is assigned again")),
            TaskState::Done | TaskState::Withdrawn => Err(self.cannot("paused", "")),
            _ => {
                self.enter(TaskState::Paused, Some(self.today)).await?;
                self.fall_silent("paused").await
            }
        }
    }

    async fn resume(&mut self) -> Result<()> {
        if self.state != TaskState::Paused {
            return Err(self.cannot("resumed", "; only a paused task can be"));
        }
        let before: Option<String> = sqlx::query_scalar(
            "SELECT old FROM task_event WHERE task = $1 AND what = 'state' AND new = 'paused' ORDER BY id DESC LIMIT 1",
        )
        .bind(self.task)
        .fetch_optional(&mut *self.tx)
        .await?;
        // What was handed in before the pause is asked about again; an import may have told of a pause only.
        let before = before
            .and_then(|word| TaskState::from_word(&word))
            .filter(|state| state.is_urged() || *state == TaskState::Submitted)
            .unwrap_or(TaskState::InProgress);
        self.enter(before, Some(self.today)).await
    }

    async fn ask_extension(&mut self) -> Result<()> {
        match self.state {
            TaskState::ExtensionRequested => Err(self.cannot("given an extension request", " already")),
            state if state.is_urged() => self.enter(TaskState::ExtensionRequested, Some(self.today)).await,
            _ => Err(self.cannot("given an extension request", "")),
        }
    }

    async fn set_handler(&mut self, person: PersonId) -> Result<()> {
        if !self.state.is_open() {
            return Err(self.cannot("given a handler", "; use `reopen` first"));
        }
        let known: Option<i64> = sqlx::query_scalar("SELECT id FROM person WHERE id = $1")
            .bind(person.0)
            .fetch_optional(self.conn())
            .await?;
        if known.is_none() {
            return Err(refused("there is no such person in the directory"));
        }
        if self.handler == Some(person) {
            return Err(refused(format!("{} has this handler already", self.code)));
        }
        self.write_handler(Some(person)).await
    }

    pub(super) async fn write_handler(&mut self, person: Option<PersonId>) -> Result<()> {
        let number = |id: Option<PersonId>| id.map(|id| id.0.to_string()).unwrap_or_default();
        let (old, new) = (number(self.handler), number(person));
        sqlx::query("UPDATE task SET handler = $2 WHERE id = $1")
            .bind(self.task)
            .bind(person.map(|id| id.0))
            .execute(&mut *self.tx)
            .await?;
        self.handler = person;
        self.event("handler", &old, &new, Some(self.today)).await
    }
}
