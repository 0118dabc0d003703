//! Reading what became of a task's reminders and notices, for those who ask why.

use std::collections::HashMap;

use sqlx::Row;

use super::{
    Conn, DbRow,
    planning::reminder_key,
    rows::{ids, instant, instant_opt, number, word},
};
use crate::{
    planning::{
        ledger::{FiledKey, ReminderState},
        rules::ChannelKind,
        task::{AgencyId, Clock, ReminderId, TaskId},
    },
    store::{
        Result,
        ledger::{AttemptRow, CarriedRow, StoryRow, TaskNotice, UrgingRow},
    },
};

pub(super) async fn story(tx: &mut Conn, task: TaskId) -> Result<Vec<StoryRow>> {
    let attempts = attempts(tx, task).await?;
    let rows = sqlx::query(
        "SELECT r.*, coalesce(m.address, '') AS address, coalesce(m.recipient, '') AS recipient, \
         m.created_at AS bundled_at, m.earlier, a.ended_at, coalesce(a.outcome, a.phase, '') AS outcome, \
         coalesce(a.code, 0) AS code, coalesce(a.reply, '') AS reply, \
         (SELECT count(DISTINCT o.task) FROM reminder o WHERE o.message = m.id AND o.task <> r.task \
          AND o.state IN ('in_message', 'sent', 'unknown', 'dead')) AS companions \
         FROM reminder r LEFT JOIN message m ON m.id = r.message \
         LEFT JOIN attempt a ON a.message = m.id AND a.n = m.tries WHERE r.task = $1 ORDER BY r.due_at, r.id",
    )
    .bind(task.0)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let message: Option<i64> = row.try_get("message")?;
            let earlier: Option<i64> = row.try_get("earlier")?;
            let tried = attempts.iter().filter(|one| message == Some(one.message) || earlier == Some(one.message));
            Ok(StoryRow {
                id: ReminderId(row.try_get("id")?),
                key: reminder_key(row)?,
                urging: row.try_get("urging")?,
                due_at: instant(row, "due_at")?,
                not_before: instant(row, "not_before")?,
                state: word(row, "state", ReminderState::from_word)?,
                reason: row.try_get("reason")?,
                message,
                address: row.try_get("address")?,
                answered_at: instant_opt(row, "ended_at")?,
                outcome: row.try_get("outcome")?,
                code: number(row, "code")?,
                reply: row.try_get("reply")?,
                fallback_of: row.try_get::<Option<i64>, _>("fallback_of")?.map(ReminderId),
                created_at: instant(row, "created_at")?,
                changed_at: instant(row, "changed_at")?,
                bundled_at: instant_opt(row, "bundled_at")?,
                recipient: row.try_get("recipient")?,
                companions: number(row, "companions")?,
                attempts: tried.cloned().collect(),
            })
        })
        .collect()
}

/// What urged tasks so far. Without what only `explain` tells: who travelled along is counted for each row of a story,
/// and of a letter of two thousand tasks that is a notice's whole cost.
pub(super) async fn urgings_of(db: &mut Conn, tasks: &[TaskId]) -> Result<HashMap<TaskId, Vec<UrgingRow>>> {
    let rows = sqlx::query(
        "SELECT r.task, r.clock, r.arming, r.rule, r.step, r.occurrence, r.agency, r.audience, r.channel, r.due_at, r.state, \
         a.ended_at, a.code, a.reply FROM reminder r LEFT JOIN message m ON m.id = r.message \
         LEFT JOIN attempt a ON a.message = m.id AND a.n = m.tries \
         WHERE r.task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND r.urging ORDER BY r.due_at, r.id",
    )
    .bind(ids(tasks.iter().map(|task| task.0)))
    .fetch_all(db)
    .await?;
    let mut found: HashMap<TaskId, Vec<UrgingRow>> = HashMap::new();
    for row in &rows {
        found.entry(TaskId(row.try_get("task")?)).or_default().push(UrgingRow {
            key: reminder_key(row)?,
            due_at: instant(row, "due_at")?,
            state: word(row, "state", ReminderState::from_word)?,
            answered_at: instant_opt(row, "ended_at")?,
            code: row.try_get::<Option<i64>, _>("code")?.and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
            reply: row.try_get::<Option<String>, _>("reply")?.unwrap_or_default(),
        });
    }
    Ok(found)
}

/// Attempts at every message that carries a reminder of the task, or that such a message names as an earlier one.
async fn attempts(tx: &mut Conn, task: TaskId) -> Result<Vec<AttemptRow>> {
    let rows = sqlx::query(
        "SELECT a.message, a.started_at, a.ended_at, a.outcome, a.reply, coalesce(a.code, 0) AS code, m.address, m.recipient FROM attempt a JOIN message m ON m.id = a.message WHERE a.message IN (SELECT r.message FROM reminder r WHERE r.task = $1 \
         UNION SELECT m.earlier FROM reminder r JOIN message m ON m.id = r.message WHERE r.task = $1) \
         ORDER BY a.started_at, a.message, a.n",
    )
    .bind(task.0)
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(AttemptRow {
                message: row.try_get("message")?,
                address: row.try_get("address")?,
                recipient: row.try_get("recipient")?,
                started_at: instant(row, "started_at")?,
                ended_at: instant_opt(row, "ended_at")?,
                outcome: row.try_get::<Option<String>, _>("outcome")?.unwrap_or_default(),
                code: number(row, "code")?,
                reply: row.try_get("reply")?,
            })
        })
        .collect()
}

pub(super) async fn notices_of(tx: &mut Conn, task: TaskId) -> Result<Vec<TaskNotice>> {
    let rows = sqlx::query(
        "SELECT n.*, w.at AS withdrawn_at FROM notice n LEFT JOIN register w ON w.seq = n.withdrawn_seq \
         WHERE n.task = $1 ORDER BY n.id",
    )
    .bind(task.0)
    .fetch_all(tx)
    .await?;
    rows.iter().map(task_notice).collect()
}

fn task_notice(row: &DbRow) -> Result<TaskNotice> {
    Ok(TaskNotice {
        year: number(row, "year")?,
        number: row.try_get("number")?,
        key: FiledKey {
            clock: word(row, "clock", Clock::from_word)?,
            arming: number(row, "arming")?,
            agency: AgencyId(row.try_get("agency")?),
            rule: row.try_get("rule")?,
            step: row.try_get("step")?,
            occurrence: number(row, "occurrence")?,
        },
        due_at: instant(row, "due_at")?,
        filed_at: instant(row, "filed_at")?,
        withdrawn_at: instant_opt(row, "withdrawn_at")?,
    })
}

pub(super) async fn carried_by(tx: &mut Conn, message: &str) -> Result<Option<CarriedRow>> {
    // Composed anew, a message has another Message-ID; whoever holds the earlier mail asks by the earlier one.
    let found = sqlx::query(
        "SELECT m.* FROM message m WHERE m.id = $1 OR m.message_id = $2 \
         OR m.id IN (SELECT a.message FROM attempt a WHERE a.message_id = $2) ORDER BY m.id LIMIT 1",
    )
    .bind(message.parse::<i64>().ok())
    .bind(message)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = found else { return Ok(None) };
    let id: i64 = row.try_get("id")?;
    let mut carried = CarriedRow {
        id,
        channel: word(&row, "channel", ChannelKind::from_word)?,
        address: row.try_get("address")?,
        recipient: row.try_get("recipient")?,
        state: row.try_get("state")?,
        dated_at: instant_opt(&row, "dated_at")?,
        tasks: Vec::new(),
        list: super::daily::lists_of(tx, std::iter::once(id)).await?.remove(&id),
    };
    let rows = sqlx::query("SELECT id, task FROM reminder WHERE message = $1 ORDER BY due_at, id")
        .bind(id)
        .fetch_all(tx)
        .await?;
    for row in &rows {
        let (reminder, task) = (ReminderId(row.try_get("id")?), TaskId(row.try_get("task")?));
        match carried.tasks.iter_mut().find(|(known, _)| *known == task) {
            Some((_, reminders)) => reminders.push(reminder),
            None => carried.tasks.push((task, vec![reminder])),
        }
    }
    Ok(Some(carried))
}
