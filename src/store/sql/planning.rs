//! The planner's side of the ledger: tasks in, plans out, one transaction a batch.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{
    Conn, Database, DbRow,
    bundling::end_emptied,
    instance::set_copied_aside,
    register_block::file_notices,
    rows::{damaged, date, ids, instant, instant_opt, list, number, time, word},
};
use crate::{
    clock::millis,
    planning::{
        ledger::{FiledKey, Ledger, LedgerEntry, ReminderKey, ReminderState},
        plan::StepsKnown,
        rules::{Audience, ChannelKind},
        task::{
            AgencyFacts, AgencyId, ArmedBy, Block, Clock, Deadline, Obligation, PersonId, ReminderId, Role, Secrecy,
            Task, TaskId, TaskState, Urgency,
        },
    },
    store::{
        Result,
        ledger::{Planned, PlanningStore, Saved, TaskRecord, Turn},
        policy::{LOOKING_UNDER, PLANNED_UNDER},
    },
};

/// Tasks to look at; reads the partial index only.
pub(super) const DUE: &str = concat!(
    "SELECT id FROM task",
    indexed_by!("task_next_look"),
    " WHERE next_look_at IS NOT NULL AND next_look_at <= $1 \
    ORDER BY next_look_at LIMIT $2"
);

/// Open tasks by number, page after page.
pub(super) const PAGE: &str = "SELECT id FROM task WHERE id > $1 AND next_look_at IS NOT NULL ORDER BY id LIMIT $2";

/// The earliest next look.
pub(super) const NEXT_LOOK: &str = concat!(
    "SELECT next_look_at FROM task",
    indexed_by!("task_next_look"),
    " WHERE next_look_at IS NOT NULL ORDER BY next_look_at LIMIT 1"
);

/// The earliest instant at which something planned or pending may move.
pub(super) const NEXT_MOVE: &str = "\
    SELECT min(at) FROM (SELECT min(not_before) AS at FROM reminder WHERE state = 'planned' \
    UNION ALL SELECT min(not_before) FROM message WHERE state = 'pending') AS moves";

#[async_trait]
impl PlanningStore for Database {
    async fn due_tasks(&self, now: Timestamp, limit: u32) -> Result<Vec<TaskRecord>> {
        let found: Vec<i64> =
            sqlx::query_scalar(DUE).bind(now.as_millisecond()).bind(i64::from(limit)).fetch_all(self.reading()).await?;
        load(self, &found).await
    }

    async fn open_tasks(&self, after: TaskId, limit: u32) -> Result<Vec<TaskRecord>> {
        let found: Vec<i64> =
            sqlx::query_scalar(PAGE).bind(after.0).bind(i64::from(limit)).fetch_all(self.reading()).await?;
        load(self, &found).await
    }

    async fn tasks(&self, wanted: &[TaskId]) -> Result<Vec<TaskRecord>> {
        let wanted: Vec<i64> = wanted.iter().map(|id| id.0).collect();
        load(self, &wanted).await
    }

    async fn task_by_code(&self, code: &str) -> Result<Option<TaskId>> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT id FROM task WHERE code = $1").bind(code).fetch_optional(self.reading()).await?;
        Ok(found.map(TaskId))
    }

    async fn next_look(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> = sqlx::query_scalar(NEXT_LOOK).fetch_optional(self.reading()).await?;
        Ok(at.map(millis))
    }

    async fn next_move(&self) -> Result<Option<Timestamp>> {
        let at: Option<i64> = sqlx::query_scalar(NEXT_MOVE).fetch_one(self.reading()).await?;
        Ok(at.map(millis))
    }

    async fn save_plans(&self, now: Timestamp, plans: Vec<Planned>) -> Result<Saved> {
        let mut tx = self.begin().await?;
        let mut saved = Saved::default();
        let looks: Vec<_> =
            plans.iter().map(|p| (p.task.0, p.revision, p.plan.next_look.map(Timestamp::as_millisecond))).collect();
        // What changed since it was read keeps its own next look and is planned again from there.
        let kept: Vec<i64> = sqlx::query_scalar(
            "UPDATE task SET next_look_at = j.next, revision = task.revision + 1 \
             FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS revision, \
             CAST(value->>2 AS BIGINT) AS next FROM json_each($1)) AS j \
             WHERE task.id = j.id AND task.revision = j.revision AND task.held = '' \
             RETURNING task.id",
        )
        .bind(list(&looks)?)
        .fetch_all(&mut *tx)
        .await?;
        let kept: std::collections::HashSet<i64> = kept.into_iter().collect();
        saved.changed = (plans.len() - kept.len()) as u64;
        let plans: Vec<Planned> = plans.into_iter().filter(|p| kept.contains(&p.task.0)).collect();

        if let Some(planned) = plans.first() {
            sqlx::query("DELETE FROM mark WHERE name IN ($1, $2) AND value <> $3")
                .bind(PLANNED_UNDER)
                .bind(LOOKING_UNDER)
                .bind(planned.under)
                .execute(&mut *tx)
                .await?;
        }
        insert_reminders(&mut tx, now, &plans, &mut saved).await?;
        let aside = set_copied_aside(&mut tx, now).await?;
        saved.planned = saved.planned.saturating_sub(aside);
        saved.superseded += aside;
        displace(&mut tx, now, &plans, &mut saved).await?;
        bind_rules(&mut tx, &plans).await?;
        let notices: Vec<_> = plans.into_iter().flat_map(|p| p.notices).collect();
        if !notices.is_empty() {
            saved.filed = file_notices(&mut tx, &notices, now)
                .await?
                .into_iter()
                .filter(|f| f.new)
                .map(|f| (f.year, f.number))
                .collect();
        }
        tx.commit().await?;
        Ok(saved)
    }

    async fn planning_turn(&self) -> Result<Option<Turn>> {
        self.turn().await
    }

    async fn push(&self, tasks: &[(TaskId, i64)], to: Timestamp) -> Result<()> {
        let mut tx = self.begin().await?;
        let read: Vec<_> = tasks.iter().map(|(task, revision)| (task.0, revision)).collect();
        sqlx::query(
            "UPDATE task SET next_look_at = $2, revision = task.revision + 1 \
             FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS revision FROM json_each($1)) AS j \
             WHERE task.id = j.id AND task.revision = j.revision AND task.next_look_at IS NOT NULL",
        )
        .bind(list(&read)?)
        .bind(to.as_millisecond())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn look_again(&self, now: Timestamp, after: TaskId, limit: u32) -> Result<(u64, Option<TaskId>)> {
        let mut tx = self.begin().await?;
        let page: Vec<i64> = sqlx::query_scalar(PAGE).bind(after.0).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
        if after == TaskId(0) {
            // What waits for its hours asks for them again when it is sent: a day may be worked now. All at once, for a
            // message belongs to no one task.
            sqlx::query("UPDATE message SET not_before = $1 WHERE state = 'pending' AND not_before > $1 AND tries = 0")
                .bind(now.as_millisecond())
                .execute(&mut *tx)
                .await?;
        }
        for statement in [
            // Every one, also what is due already: a plan made under the earlier rules is not kept.
            "UPDATE task SET next_look_at = $1, revision = revision + 1 \
             WHERE next_look_at IS NOT NULL AND id IN (SELECT CAST(value AS BIGINT) FROM json_each($2))",
            "UPDATE reminder SET not_before = $1 WHERE state = 'planned' AND not_before > $1 \
             AND task IN (SELECT CAST(value AS BIGINT) FROM json_each($2))",
        ] {
            let list = ids(page.iter().copied());
            sqlx::query(statement).bind(now.as_millisecond()).bind(list).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok((page.len() as u64, page.last().copied().map(TaskId)))
    }

    async fn begin_look(&self, under: i64) -> Result<()> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM mark WHERE name = $1").bind(PLANNED_UNDER).execute(&mut *tx).await?;
        sqlx::query(
            "INSERT INTO mark(name, value) VALUES ($1, $2) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        )
        .bind(LOOKING_UNDER)
        .bind(under)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn end_look(&self, under: i64) -> Result<bool> {
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE mark SET name = $1 WHERE name = $2 AND value = $3")
            .bind(PLANNED_UNDER)
            .bind(LOOKING_UNDER)
            .bind(under)
            .execute(&mut *tx)
            .await?;
        // Another sender with the same files may have said it already.
        let all: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM mark WHERE name = $1 AND value = $2)")
            .bind(PLANNED_UNDER)
            .bind(under)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(all)
    }

    async fn steps_known(&self) -> Result<(StepsKnown, Vec<(String, String, String)>)> {
        let rows =
            sqlx::query("SELECT rule, step, definition, since FROM step_known").fetch_all(self.reading()).await?;
        let mut known = StepsKnown::new();
        let mut definitions = Vec::new();
        for row in rows {
            let (rule, step): (String, String) = (row.try_get("rule")?, row.try_get("step")?);
            known.insert((rule.clone(), step.clone()), instant(&row, "since")?);
            definitions.push((rule, step, row.try_get("definition")?));
        }
        Ok((known, definitions))
    }

    async fn accept_steps(&self, steps: &[(String, String, String, Timestamp)]) -> Result<()> {
        let mut tx = self.begin().await?;
        for (rule, step, definition, since) in steps {
            sqlx::query(
                "INSERT INTO step_known(rule, step, definition, since) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT(rule, step) DO UPDATE SET definition = excluded.definition, since = excluded.since",
            )
            .bind(rule)
            .bind(step)
            .bind(definition)
            .bind(since.as_millisecond())
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    async fn mark(&self, name: &str) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT value FROM mark WHERE name = $1")
            .bind(name)
            .fetch_optional(self.reading())
            .await?)
    }

    async fn set_mark(&self, name: &str, value: i64) -> Result<()> {
        let mut tx = self.begin_beside().await?;
        sqlx::query(
            "INSERT INTO mark(name, value) VALUES ($1, $2) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn clear_mark(&self, name: &str) -> Result<()> {
        let mut tx = self.begin_beside().await?;
        sqlx::query("DELETE FROM mark WHERE name = $1").bind(name).execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }
}

async fn insert_reminders(tx: &mut Conn, now: Timestamp, plans: &[Planned], saved: &mut Saved) -> Result<()> {
    let rows = plans.iter().flat_map(|planned| {
        let due = planned.plan.due.iter();
        let due = due.map(|due| (&due.key, due.urging, due.due_at, due.send_at, ReminderState::Planned, ""));
        let skipped = planned.plan.skipped.iter().map(|skipped| {
            let because = skipped.because.as_str();
            (&skipped.key, skipped.urging, skipped.due_at, skipped.due_at, ReminderState::Superseded, because)
        });
        due.chain(skipped).map(|(key, urging, due_at, not_before, state, reason)| {
            (
                planned.task.0,
                key.clock.as_str(),
                key.arming,
                &key.rule,
                &key.step,
                key.occurrence,
                key.agency.0,
                key.audience.to_string(),
                key.channel.as_str(),
                u8::from(urging),
                due_at.as_millisecond(),
                not_before.as_millisecond(),
                state.as_str(),
                reason,
            )
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    // One statement a batch: a round trip a row would be most of the pass. What a pause had silenced may speak again
    // once the task came back, and still names a message of unknown fate that carried it; all else stays as it is.
    let kept: Vec<bool> = sqlx::query_scalar(concat!(
        "INSERT INTO reminder(task, clock, arming, rule, step, occurrence, agency, audience, channel, urging, due_at, \
         not_before, state, reason, created_at, changed_at) \
         SELECT CAST(value->>0 AS BIGINT), value->>1, CAST(value->>2 AS BIGINT), value->>3, value->>4, \
         CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), value->>7, value->>8, CAST(value->>9 AS BOOLEAN), \
         CAST(value->>10 AS BIGINT), CAST(value->>11 AS BIGINT), value->>12, value->>13, $2, $2 FROM json_each($1) WHERE true \
         ON CONFLICT(task, clock, arming, rule, step, occurrence, agency, audience, channel) DO UPDATE SET \
         state = excluded.state, reason = excluded.reason, not_before = excluded.not_before, ",
        stays_named!(),
        ", changed_at = excluded.changed_at WHERE reminder.state = 'suppressed' \
         AND reminder.reason IN ('paused', 'submitted', 'returned', 'held', 'changed') \
         AND reminder.changed_at <= (SELECT t.resumed_at FROM task t WHERE t.id = reminder.task) \
         RETURNING state = 'planned'"
    ))
    .bind(list(&rows)?)
    .bind(now.as_millisecond())
    .fetch_all(tx)
    .await?;
    let planned = kept.iter().filter(|planned| **planned).count() as u64;
    saved.planned += planned;
    saved.superseded += kept.len() as u64 - planned;
    Ok(())
}

async fn bind_rules(tx: &mut Conn, plans: &[Planned]) -> Result<()> {
    let rows: Vec<_> = plans
        .iter()
        .flat_map(|p| p.plan.bindings.iter().map(|b| (p.task, b)))
        .map(|(task, b)| (task.0, b.clock.as_str(), b.agency.0, &b.rule, b.since.as_millisecond()))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE obligation SET rule = j.rule, rule_since = j.since \
         FROM (SELECT CAST(value->>0 AS BIGINT) AS task, value->>1 AS clock, CAST(value->>2 AS BIGINT) AS agency, \
         value->>3 AS rule, CAST(value->>4 AS BIGINT) AS since FROM json_each($1)) AS j \
         WHERE obligation.task = j.task AND obligation.clock = j.clock AND obligation.agency = j.agency",
    )
    .bind(list(&rows)?)
    .execute(tx)
    .await?;
    Ok(())
}

async fn displace(tx: &mut Conn, now: Timestamp, plans: &[Planned], saved: &mut Saved) -> Result<()> {
    let rows: Vec<_> =
        plans.iter().flat_map(|p| &p.plan.displaced).map(|d| (d.entry.id.0, d.because.as_str())).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // A message that is being sent is left to its gate; only what still waits is displaced.
    let displaced: Vec<Option<i64>> = sqlx::query_scalar(
        "UPDATE reminder SET state = 'superseded', reason = j.reason, changed_at = $2 \
         FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS reason FROM json_each($1)) AS j \
         WHERE reminder.id = j.id AND (reminder.state = 'planned' OR (reminder.state = 'in_message' AND EXISTS \
         (SELECT 1 FROM message m WHERE m.id = reminder.message AND m.state = 'pending' AND m.bytes IS NULL))) \
         RETURNING reminder.message",
    )
    .bind(list(&rows)?)
    .bind(now.as_millisecond())
    .fetch_all(&mut *tx)
    .await?;
    saved.superseded += displaced.len() as u64;
    end_emptied(tx, now, displaced.into_iter().flatten()).await?;
    Ok(())
}

/// Reads tasks whole, in the order of `wanted`.
async fn load(store: &Database, wanted: &[i64]) -> Result<Vec<TaskRecord>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // One read transaction, so that a task and its ledger are of one moment.
    let mut tx = store.snapshot().await?;
    let list = ids(wanted.iter().copied());
    let rows = sqlx::query(
        "SELECT t.id, t.code, t.state, t.state_since, t.state_count, t.resumed_at, t.urgency, t.secrecy, t.assigner, \
         t.assigner_block, t.field, t.priority, t.known_at, t.held, t.handler, t.monitor, t.next_look_at, t.revision, \
         coalesce(d.kind, '') AS document_kind \
         FROM task t LEFT JOIN document d ON d.id = t.document WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    let mut found: HashMap<i64, TaskRecord> = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(row.try_get("id")?, task(row)?);
    }
    let rows = sqlx::query(
        "SELECT o.task, o.clock, o.agency, o.role, o.due_date, o.due_time, o.arming, o.armed_at, o.armed_by, o.overdue_from, \
         o.rule, o.rule_since, o.acknowledged_until, o.ended_at, coalesce(a.code, a.name) AS agency_code, a.name AS agency_name, \
         a.block, a.kind FROM obligation o JOIN agency a ON a.id = o.agency WHERE o.task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
         ORDER BY o.task, o.role = 'coordinator', o.clock, o.agency",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(record) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            record.task.obligations.push(obligation(row)?);
        }
    }
    // What fell silent with a state the task has left since is as if it had not been planned: coming back counts as
    // late entry, and the step it was may be the most severe one.
    let rows = sqlx::query(
        "SELECT r.id, r.task, r.clock, r.arming, r.rule, r.step, r.occurrence, r.agency, r.audience, r.channel, r.urging, \
         r.due_at, r.state, CASE WHEN r.state = 'suppressed' \
         AND r.reason IN ('paused', 'submitted', 'returned', 'held', 'changed') THEN r.changed_at END AS silent_since \
         FROM reminder r WHERE r.task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY r.id",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(record) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            let silent_since = instant_opt(row, "silent_since")?;
            if silent_since.is_some_and(|since| record.task.resumed_at.is_some_and(|resumed| since <= resumed)) {
                continue;
            }
            record.ledger.reminders.push(LedgerEntry {
                id: ReminderId(row.try_get("id")?),
                key: reminder_key(row)?,
                due_at: instant(row, "due_at")?,
                urging: row.try_get("urging")?,
                state: word(row, "state", ReminderState::from_word)?,
            });
        }
    }
    let rows = sqlx::query(
        "SELECT task, clock, arming, agency, rule, step, occurrence FROM notice WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(record) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            record.ledger.filed.push(FiledKey {
                clock: word(row, "clock", Clock::from_word)?,
                arming: number(row, "arming")?,
                agency: AgencyId(row.try_get("agency")?),
                rule: row.try_get("rule")?,
                step: row.try_get("step")?,
                occurrence: number(row, "occurrence")?,
            });
        }
    }
    Ok(wanted.iter().filter_map(|id| found.remove(id)).collect())
}

fn task(row: &DbRow) -> Result<TaskRecord> {
    Ok(TaskRecord {
        task: Task {
            id: TaskId(row.try_get("id")?),
            code: row.try_get("code")?,
            state: word(row, "state", TaskState::from_word)?,
            state_since: instant(row, "state_since")?,
            resumed_at: instant_opt(row, "resumed_at")?,
            state_count: number(row, "state_count")?,
            urgency: word(row, "urgency", Urgency::from_word)?,
            secrecy: word(row, "secrecy", Secrecy::from_word)?,
            assigner: row.try_get("assigner")?,
            assigner_block: word(row, "assigner_block", Block::from_word)?,
            document_kind: row.try_get("document_kind")?,
            field: row.try_get("field")?,
            priority: row.try_get("priority")?,
            known_at: instant(row, "known_at")?,
            held: !row.try_get::<&str, _>("held")?.is_empty(),
            obligations: Vec::new(),
        },
        ledger: Ledger::default(),
        handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
        monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
        next_look_at: instant_opt(row, "next_look_at")?,
        revision: row.try_get("revision")?,
    })
}

fn obligation(row: &DbRow) -> Result<Obligation> {
    let bound: Option<String> = row.try_get("rule")?;
    let since = instant_opt(row, "rule_since")?;
    Ok(Obligation {
        role: word(row, "role", Role::from_word)?,
        agency: AgencyFacts {
            id: AgencyId(row.try_get("agency")?),
            code: row.try_get("agency_code")?,
            name: row.try_get("agency_name")?,
            block: word(row, "block", Block::from_word)?,
            kind: row.try_get("kind")?,
        },
        clock: word(row, "clock", Clock::from_word)?,
        deadline: date(row, "due_date")?
            .map(|date| Ok::<_, crate::store::StoreError>(Deadline { date, time: time(row, "due_time")? }))
            .transpose()?,
        arming: number(row, "arming")?,
        armed_at: instant(row, "armed_at")?,
        armed_by: word(row, "armed_by", ArmedBy::from_word)?,
        overdue_from: date(row, "overdue_from")?,
        bound: bound.zip(since),
        acknowledged_until: instant_opt(row, "acknowledged_until")?,
        ended: row.try_get::<Option<i64>, _>("ended_at")?.is_some(),
    })
}

/// The key columns of a reminder.
pub(super) fn reminder_key(row: &DbRow) -> Result<ReminderKey> {
    let audience: &str = row.try_get("audience")?;
    Ok(ReminderKey {
        clock: word(row, "clock", Clock::from_word)?,
        arming: number(row, "arming")?,
        rule: row.try_get("rule")?,
        step: row.try_get("step")?,
        occurrence: number(row, "occurrence")?,
        agency: AgencyId(row.try_get("agency")?),
        audience: Audience::from_ledger_word(audience).ok_or_else(|| damaged("reminder.audience", audience))?,
        channel: word(row, "channel", ChannelKind::from_word)?,
    })
}
