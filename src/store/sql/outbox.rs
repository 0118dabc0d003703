//! The sender's side of the ledger: bundling, claiming, the gate, outcomes, rescue.
//!
//! Every change of a message's state is `WHERE id AND state AND lease_token`, with one exception: an acceptance is
//! recorded by its attempt's own token, whatever became of the lease.

use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use jiff::{Timestamp, civil::Date};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::{
    Conn, Database, DbRow,
    outcomes::{back_to_pending, die, lose, record, withdraw_fallbacks},
    planning::reminder_key,
    rows::{date, ids, instant, instant_opt, word},
};
use crate::{
    planning::{
        ledger::ReminderState,
        rules::{Audience, ChannelKind},
        task::{AgencyId, Block, PersonId, ReminderId, Role, Secrecy, TaskId, TaskState},
    },
    store::{
        Result,
        ledger::{
            Aside, Claimed, Freeze, FrozenBytes, GateAnswer, GateRow, NewMessage, OutboxRow, OutboxStore, PendingHead,
            ReadyRow, Recorded, Rescued, UnreachableSlot,
        },
    },
};

/// Planned reminders whose moment has come.
pub(super) const READY: &str = "\
    SELECT r.*, t.handler, t.monitor, t.assigner_block, t.secrecy, coalesce(o.role, 'lead') AS role, o.due_date \
    FROM reminder r INDEXED BY reminder_planned JOIN task t ON t.id = r.task \
    LEFT JOIN obligation o ON o.task = r.task AND o.clock = r.clock AND o.agency = r.agency \
    WHERE r.state = 'planned' AND r.not_before <= $1";

/// Pending messages of a channel whose moment has come.
pub(super) const PENDING: &str = "\
    SELECT id, hours, expires_at, crashes, bytes IS NOT NULL AS frozen, \
    (SELECT count(*) FROM reminder r WHERE r.message = message.id) AS reminders FROM message INDEXED BY message_due \
    WHERE state = 'pending' AND channel = $1 AND not_before <= $2 ORDER BY not_before, id LIMIT $3";

#[async_trait]
impl OutboxStore for Database {
    async fn ready_reminders(&self, now: Timestamp) -> Result<Vec<ReadyRow>> {
        // Row by row: a driver's row is some ten times what is kept of it, and after a large import there are many.
        let mut rows = sqlx::query(READY).bind(now.as_millisecond()).fetch(self.reading());
        let mut ready = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let row = &row;
            ready.push(ReadyRow {
                id: ReminderId(row.try_get("id")?),
                task: TaskId(row.try_get("task")?),
                key: reminder_key(row)?,
                due_at: instant(row, "due_at")?,
                planned_at: instant(row, "created_at")?,
                handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
                monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
                role: word(row, "role", Role::from_word)?,
                assigner_block: word(row, "assigner_block", Block::from_word)?,
                secrecy: word(row, "secrecy", Secrecy::from_word)?,
                due_date: date(row, "due_date")?,
                earlier: row.try_get("message")?,
            });
        }
        Ok(ready)
    }

    async fn sent_on(&self, day: Date) -> Result<Vec<(ChannelKind, String, u32)>> {
        // What waits for a relay that rests will be got too, all at once when it is back.
        let rows = sqlx::query(
            "SELECT channel, address, sum(n) AS n FROM (SELECT channel, address, n FROM daily_count WHERE day = $1 \
             UNION ALL SELECT channel, address, 1 FROM message INDEXED BY message_due WHERE state = 'pending' \
             UNION ALL SELECT channel, address, 1 FROM message INDEXED BY message_leased WHERE state IN ('leased', 'frozen')) \
             GROUP BY 1, 2",
        )
        .bind(day.to_string())
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| Ok((word(row, "channel", ChannelKind::from_word)?, row.try_get("address")?, row.try_get("n")?)))
            .collect()
    }

    async fn save_messages(&self, now: Timestamp, messages: Vec<NewMessage>, asides: Vec<Aside>) -> Result<()> {
        let mut tx = self.begin().await?;
        for message in &messages {
            make(&mut tx, now, message).await?;
        }
        for aside in &asides {
            set_aside(&mut tx, now, aside).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn pending(&self, channel: ChannelKind, now: Timestamp, limit: u32) -> Result<Vec<PendingHead>> {
        let rows = sqlx::query(PENDING)
            .bind(channel.as_str())
            .bind(now.as_millisecond())
            .bind(limit)
            .fetch_all(self.reading())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(PendingHead {
                    id: row.try_get("id")?,
                    hours: row.try_get("hours")?,
                    expires_at: instant(row, "expires_at")?,
                    crashes: row.try_get("crashes")?,
                    reminders: row.try_get("reminders")?,
                    frozen: row.try_get("frozen")?,
                })
            })
            .collect()
    }

    async fn postpone(&self, messages: &[(i64, Timestamp)]) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows: Vec<_> = messages.iter().map(|(id, until)| json!([id, until.as_millisecond()])).collect();
        sqlx::query(
            "UPDATE message SET not_before = j.until FROM (SELECT value->>0 AS id, value->>1 AS until FROM json_each($1)) AS j \
             WHERE message.id = j.id AND message.state = 'pending'",
        )
        .bind(Value::from(rows).to_string())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn expire(&self, now: Timestamp, messages: &[i64]) -> Result<()> {
        let mut tx = self.begin().await?;
        let list = ids(messages.iter().copied());
        // One whose answer was lost may have arrived: it ends unknown, never as not sent.
        for statement in [
            "UPDATE reminder SET state = CASE WHEN m.bytes IS NULL THEN 'superseded' ELSE 'unknown' END, reason = 'expired', \
             changed_at = $2 FROM message m WHERE m.id = reminder.message AND reminder.state = 'in_message' \
             AND m.state = 'pending' AND m.id IN (SELECT value FROM json_each($1))",
            "UPDATE message SET state = CASE WHEN bytes IS NULL THEN 'suppressed' ELSE 'unknown' END, reason = 'expired', \
             changed_at = $2 WHERE state = 'pending' AND id IN (SELECT value FROM json_each($1))",
        ] {
            sqlx::query(statement).bind(&list).bind(now.as_millisecond()).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn claim(&self, now: Timestamp, lease_until: Timestamp, messages: &[i64]) -> Result<Vec<Claimed>> {
        let mut tx = self.begin().await?;
        let wanted: Vec<_> = messages.iter().map(|id| json!([id, Uuid::new_v4().simple().to_string()])).collect();
        let wanted = Value::from(wanted).to_string();
        let rows = sqlx::query(
            "UPDATE message SET state = 'leased', lease_token = j.token, lease_until = $2, tries = tries + 1, changed_at = $3 \
             FROM (SELECT value->>0 AS id, value->>1 AS token FROM json_each($1)) AS j \
             WHERE message.id = j.id AND message.state = 'pending' AND message.not_before <= $3 \
             RETURNING id, lease_token, tries, channel, address, person, recipient, classified, hours, attempts, expires_at, \
             earlier, bytes, message_id, (SELECT e.dated_at FROM message e WHERE e.id = message.earlier) AS earlier_at",
        )
        .bind(&wanted)
        .bind(lease_until.as_millisecond())
        .bind(now.as_millisecond())
        .fetch_all(&mut *tx)
        .await?;
        let mut claimed = rows.iter().map(claimed).collect::<Result<Vec<_>>>()?;
        // The attempt is on record before a byte leaves; its token is the lease's.
        let attempts: Vec<_> = claimed.iter().map(|c| json!([c.id, c.n, c.token])).collect();
        sqlx::query(
            "INSERT INTO attempt(message, n, token, phase, started_at) \
             SELECT value->>0, value->>1, value->>2, 'claimed', $2 FROM json_each($1)",
        )
        .bind(Value::from(attempts).to_string())
        .bind(now.as_millisecond())
        .execute(&mut *tx)
        .await?;
        let mut by_message = gate_rows(&mut tx, claimed.iter().map(|c| c.id)).await?;
        for message in &mut claimed {
            message.rows = by_message.remove(&message.id).unwrap_or_default();
        }
        tx.commit().await?;
        claimed.sort_by_key(|message| messages.iter().position(|id| *id == message.id));
        Ok(claimed)
    }

    async fn settle(&self, now: Timestamp, outcomes: Vec<Recorded>, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>> {
        let mut tx = self.begin().await?;
        record(&mut tx, now, &outcomes).await?;
        let answers = if freezes.is_empty() { Vec::new() } else { pass_gate(&mut tx, now, &freezes).await? };
        tx.commit().await?;
        Ok(answers)
    }

    async fn rescue(&self, now: Timestamp) -> Result<Rescued> {
        let mut tx = self.begin().await?;
        let rows =
            sqlx::query("SELECT id, state, lease_token, crashes FROM message WHERE state IN ('leased', 'frozen')")
                .fetch_all(&mut *tx)
                .await?;
        let mut rescued = Rescued::default();
        for row in &rows {
            let (id, token): (i64, String) = (row.try_get("id")?, row.try_get("lease_token")?);
            let (state, crashes): (String, u32) = (row.try_get("state")?, row.try_get("crashes")?);
            sqlx::query("UPDATE attempt SET phase = 'crashed', ended_at = $2 WHERE token = $1 AND ended_at IS NULL")
                .bind(&token)
                .bind(now.as_millisecond())
                .execute(&mut *tx)
                .await?;
            if state == "frozen" && crashes >= 4 {
                // Every hand-over of it ended the process: it is repeated no more, and a person decides.
                rescued.poisoned += 1;
                lose(&mut tx, now, id, &token, "poison").await?;
            } else if state == "frozen" {
                // Handed over, perhaps: the same bytes again, if its tasks are as they were.
                rescued.unanswered += 1;
                back_to_pending(&mut tx, now, id, &token, now, true).await?;
            } else if crashes >= 2 {
                // It was sent alone after its second crash, and crashed a third time.
                rescued.poisoned += 1;
                die(&mut tx, now, id, &token, "poison").await?;
            } else {
                rescued.released += 1;
                back_to_pending(&mut tx, now, id, &token, now, false).await?;
            }
            sqlx::query("UPDATE message SET crashes = crashes + 1 WHERE id = $1").bind(id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(rescued)
    }

    async fn outbox(&self, state: Option<&str>) -> Result<Vec<OutboxRow>> {
        let rows = sqlx::query(
            "SELECT m.id, m.channel, m.address, m.state, m.reason, m.attempts, m.not_before, \
             coalesce((SELECT trim(coalesce(a.outcome, a.phase) || ' ' || a.reply) FROM attempt a WHERE a.message = m.id \
               ORDER BY a.n DESC LIMIT 1), '') AS last \
             FROM message m WHERE ($1 IS NULL AND m.state <> 'sent' AND m.state <> 'suppressed') OR m.state = $1 \
             ORDER BY m.id LIMIT 10000",
        )
        .bind(state)
        .fetch_all(self.reading())
        .await?;
        let list = ids(rows.iter().filter_map(|row| row.try_get("id").ok()));
        let carried = sqlx::query(
            "SELECT r.message, t.code, r.step FROM reminder r JOIN task t ON t.id = r.task \
             WHERE r.message IN (SELECT value FROM json_each($1)) ORDER BY r.id",
        )
        .bind(list)
        .fetch_all(self.reading())
        .await?;
        let mut by_message: HashMap<i64, Vec<(String, String)>> = HashMap::new();
        for row in &carried {
            by_message.entry(row.try_get("message")?).or_default().push((row.try_get("code")?, row.try_get("step")?));
        }
        rows.iter()
            .map(|row| {
                let id = row.try_get("id")?;
                Ok(OutboxRow {
                    id,
                    channel: word(row, "channel", ChannelKind::from_word)?,
                    to: row.try_get("address")?,
                    state: row.try_get("state")?,
                    reason: row.try_get("reason")?,
                    attempts: row.try_get("attempts")?,
                    not_before: instant(row, "not_before")?,
                    last: row.try_get("last")?,
                    reminders: by_message.remove(&id).unwrap_or_default(),
                })
            })
            .collect()
    }

    async fn message_bytes(&self, id: i64) -> Result<Option<Vec<u8>>> {
        let bytes: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT bytes FROM message WHERE id = $1")
            .bind(id)
            .fetch_optional(self.reading())
            .await?;
        Ok(bytes.flatten())
    }

    async fn retry(&self, now: Timestamp, id: i64, why: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        // A dead one is composed anew; an unknown one keeps its bytes, for it may have arrived.
        let done = sqlx::query(
            "UPDATE message SET bytes = CASE state WHEN 'unknown' THEN bytes END, \
             message_id = CASE state WHEN 'unknown' THEN message_id END, \
             state = 'pending', reason = $3, attempts = 0, crashes = 0, not_before = $2, \
             expires_at = max(expires_at, $2 + 432000000), changed_at = $2 \
             WHERE id = $1 AND state IN ('dead', 'unknown')",
        )
        .bind(id)
        .bind(now.as_millisecond())
        .bind(why)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() > 0 {
            sqlx::query(
                "UPDATE reminder SET state = 'in_message', reason = '', changed_at = $2 \
                 WHERE message = $1 AND state IN ('dead', 'unknown')",
            )
            .bind(id)
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await?;
            withdraw_fallbacks(&mut tx, now, id).await?;
        }
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn unreachable_slots(&self) -> Result<Vec<UnreachableSlot>> {
        let rows = sqlx::query(
            "SELECT u.agency, u.audience, u.channel, u.task, u.why, o.role, t.handler, t.monitor, t.assigner_block, t.secrecy \
             FROM unreachable u JOIN task t ON t.id = u.task JOIN obligation o ON o.task = u.task AND o.agency = u.agency \
             WHERE o.ended_at IS NULL AND t.state NOT IN ('done', 'withdrawn') GROUP BY u.agency, u.audience, u.channel, u.task",
        )
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(UnreachableSlot {
                    agency: AgencyId(row.try_get("agency")?),
                    audience: word(row, "audience", Audience::from_ledger_word)?,
                    channel: word(row, "channel", ChannelKind::from_word)?,
                    task: TaskId(row.try_get("task")?),
                    why: row.try_get("why")?,
                    role: word(row, "role", Role::from_word)?,
                    handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
                    monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
                    assigner_block: word(row, "assigner_block", Block::from_word)?,
                    secrecy: word(row, "secrecy", Secrecy::from_word)?,
                })
            })
            .collect()
    }

    async fn reachable_again(&self, slots: &[UnreachableSlot]) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows: Vec<_> =
            slots.iter().map(|s| json!([s.agency.0, s.audience.to_string(), s.channel.as_str(), s.task.0])).collect();
        sqlx::query(
            "DELETE FROM unreachable WHERE (agency, audience, channel, task) IN \
             (SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each($1))",
        )
        .bind(Value::from(rows).to_string())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    async fn discard(&self, now: Timestamp, id: i64, why: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE message SET state = 'suppressed', reason = $3, changed_at = $2 \
             WHERE id = $1 AND state IN ('pending', 'dead', 'unknown')",
        )
        .bind(id)
        .bind(now.as_millisecond())
        .bind(why)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() > 0 {
            sqlx::query(
                "UPDATE reminder SET state = 'suppressed', reason = $3, changed_at = $2 \
                 WHERE message = $1 AND state IN ('in_message', 'dead', 'unknown')",
            )
            .bind(id)
            .bind(now.as_millisecond())
            .bind(format!("discarded: {why}"))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

async fn make(tx: &mut Conn, now: Timestamp, message: &NewMessage) -> Result<()> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO message(channel, address, person, recipient, classified, hours, state, not_before, expires_at, earlier, \
         created_at, changed_at) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $10) RETURNING id",
    )
    .bind(message.channel.as_str())
    .bind(&message.address)
    .bind(message.person.map(|id| id.0))
    .bind(&message.recipient)
    .bind(message.classified)
    .bind(&message.hours)
    .bind(message.not_before.as_millisecond())
    .bind(message.expires_at.as_millisecond())
    .bind(message.earlier)
    .bind(now.as_millisecond())
    .fetch_one(&mut *tx)
    .await?;
    // A reminder that was suppressed between reading and writing stays so; the message then simply lacks it.
    let taken = sqlx::query(
        "UPDATE reminder SET state = 'in_message', message = $2, reason = '', changed_at = $3 \
         WHERE state = 'planned' AND id IN (SELECT value FROM json_each($1))",
    )
    .bind(ids(message.reminders.iter().map(|id| id.0)))
    .bind(id)
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 0 {
        sqlx::query("DELETE FROM message WHERE id = $1").bind(id).execute(tx).await?;
    }
    Ok(())
}

async fn set_aside(tx: &mut Conn, now: Timestamp, aside: &Aside) -> Result<()> {
    let end =
        "UPDATE reminder SET state = 'suppressed', reason = $2, changed_at = $3 WHERE id = $1 AND state = 'planned'";
    let list = "INSERT INTO unreachable(agency, audience, channel, task, why, since) \
                SELECT agency, audience, channel, task, $2, $3 FROM reminder WHERE id = $1 \
                ON CONFLICT(agency, audience, channel, task) DO UPDATE SET why = excluded.why";
    match aside {
        Aside::Wait { reminder, until } => {
            sqlx::query("UPDATE reminder SET not_before = $2 WHERE id = $1 AND state = 'planned'")
                .bind(reminder.0)
                .bind(until.as_millisecond())
                .execute(tx)
                .await?;
        }
        Aside::Nobody { reminder, why, quiet } => {
            // The list first: it is read off the reminder, whatever its state.
            for statement in [list, end].into_iter().skip(usize::from(*quiet)) {
                sqlx::query(statement).bind(reminder.0).bind(*why).bind(now.as_millisecond()).execute(&mut *tx).await?;
            }
        }
        Aside::StandIn { reminder, why } => {
            sqlx::query(list).bind(reminder.0).bind(*why).bind(now.as_millisecond()).execute(tx).await?;
        }
        Aside::Fallback { reminder, why, audience, channel } => {
            fall_back(tx, now, *reminder, audience, *channel).await?;
            sqlx::query(end).bind(reminder.0).bind(*why).bind(now.as_millisecond()).execute(tx).await?;
        }
    }
    Ok(())
}

/// The same reminder on another channel or to another audience, under its own key.
pub(super) async fn fall_back(
    tx: &mut Conn,
    now: Timestamp,
    reminder: ReminderId,
    audience: &str,
    channel: ChannelKind,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO reminder(task, clock, arming, rule, step, occurrence, agency, audience, channel, urging, due_at, \
         not_before, state, reason, fallback_of, created_at, changed_at) \
         SELECT task, clock, arming, rule, step, occurrence, agency, $2, $3, urging, due_at, $4, 'planned', '', id, $4, $4 \
         FROM reminder WHERE id = $1 \
         ON CONFLICT(task, clock, arming, rule, step, occurrence, agency, audience, channel) DO UPDATE SET \
         state = 'planned', reason = '', message = NULL, not_before = excluded.not_before, changed_at = excluded.changed_at \
         WHERE reminder.state = 'suppressed' AND reminder.reason = 'original_retried'",
    )
    .bind(reminder.0)
    .bind(audience)
    .bind(channel.as_str())
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

fn claimed(row: &DbRow) -> Result<Claimed> {
    let bytes: Option<Vec<u8>> = row.try_get("bytes")?;
    let message_id: Option<String> = row.try_get("message_id")?;
    Ok(Claimed {
        id: row.try_get("id")?,
        token: row.try_get("lease_token")?,
        n: row.try_get("tries")?,
        channel: word(row, "channel", ChannelKind::from_word)?,
        address: row.try_get("address")?,
        person: row.try_get::<Option<i64>, _>("person")?.map(PersonId),
        recipient: row.try_get("recipient")?,
        classified: row.try_get("classified")?,
        hours: row.try_get("hours")?,
        attempts: row.try_get("attempts")?,
        expires_at: instant(row, "expires_at")?,
        earlier: row.try_get("earlier")?,
        earlier_at: instant_opt(row, "earlier_at")?,
        frozen: bytes.zip(message_id).map(|(bytes, message_id)| FrozenBytes { bytes, message_id }),
        rows: Vec::new(),
    })
}

/// What gates compare, by message.
async fn gate_rows(tx: &mut Conn, messages: impl Iterator<Item = i64>) -> Result<HashMap<i64, Vec<GateRow>>> {
    let rows = sqlx::query(
        "SELECT r.message, r.id, r.task, r.state AS reminder_state, r.rule, r.step, r.arming AS reminder_arming, \
         t.state AS task_state, t.held <> '' AS held, t.secrecy, t.handler, t.monitor, \
         coalesce(o.arming, 0) AS arming, o.due_date, (o.task IS NULL OR o.ended_at IS NOT NULL) AS ended \
         FROM reminder r JOIN task t ON t.id = r.task \
         LEFT JOIN obligation o ON o.task = r.task AND o.clock = r.clock AND o.agency = r.agency \
         WHERE r.message IN (SELECT value FROM json_each($1)) AND r.state = 'in_message' ORDER BY r.id",
    )
    .bind(ids(messages))
    .fetch_all(tx)
    .await?;
    let mut found: HashMap<i64, Vec<GateRow>> = HashMap::new();
    for row in &rows {
        found.entry(row.try_get("message")?).or_default().push(GateRow {
            reminder: ReminderId(row.try_get("id")?),
            task: TaskId(row.try_get("task")?),
            reminder_state: word(row, "reminder_state", ReminderState::from_word)?,
            rule: row.try_get("rule")?,
            step: row.try_get("step")?,
            task_state: word(row, "task_state", TaskState::from_word)?,
            held: row.try_get("held")?,
            secrecy: word(row, "secrecy", Secrecy::from_word)?,
            reminder_arming: row.try_get("reminder_arming")?,
            arming: row.try_get("arming")?,
            due_date: date(row, "due_date")?,
            ended: row.try_get("ended")?,
            handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
            monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
        });
    }
    Ok(found)
}

/// The gate of a batch. What one statement does for all of them would otherwise be done message by message, at ten
/// times the cost: the bytes travel as one blob, of which each message takes its part.
async fn pass_gate(tx: &mut Conn, now: Timestamp, freezes: &[Freeze]) -> Result<Vec<GateAnswer>> {
    let revision = revision(tx).await?;
    let mut by_message = gate_rows(tx, freezes.iter().map(|freeze| freeze.message)).await?;
    let mut bytes = Vec::with_capacity(freezes.iter().map(|freeze| freeze.bytes.len()).sum());
    let mut rows = Vec::with_capacity(freezes.len());
    let mut answers = vec![GateAnswer::Changed; freezes.len()];
    for (n, freeze) in freezes.iter().enumerate() {
        let found = by_message.remove(&freeze.message).unwrap_or_default();
        let same =
            revision == freeze.directory_revision && found == freeze.rows && found.iter().all(GateRow::is_current);
        if !same || found.is_empty() {
            continue;
        }
        answers[n] = GateAnswer::Lost;
        // `substr` counts from 1.
        let dated = freeze.dated_at.as_millisecond();
        let (from, length) = (bytes.len() + 1, freeze.bytes.len());
        rows.push(json!([freeze.message, freeze.token, from, length, freeze.message_id, dated]));
        bytes.extend_from_slice(&freeze.bytes);
    }
    if rows.is_empty() {
        return Ok(answers);
    }
    let rows = Value::from(rows).to_string();
    let frozen: Vec<i64> = sqlx::query_scalar(
        "UPDATE message SET state = 'frozen', bytes = substr($2, j.start, j.length), message_id = j.message_id, \
         dated_at = CASE WHEN message.message_id = j.message_id AND dated_at IS NOT NULL THEN dated_at ELSE j.dated END, \
         changed_at = $3 \
         FROM (SELECT value->>0 AS id, value->>1 AS token, value->>2 AS start, value->>3 AS length, value->>4 AS message_id, \
               value->>5 AS dated FROM json_each($1)) AS j \
         WHERE message.id = j.id AND message.state = 'leased' AND message.lease_token = j.token AND message.lease_until > $3 \
         RETURNING id",
    )
    .bind(&rows)
    .bind(&bytes)
    .bind(now.as_millisecond())
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE attempt SET phase = 'handed_over', message_id = j.message_id \
         FROM (SELECT value->>1 AS token, value->>4 AS message_id FROM json_each($1) \
               WHERE value->>0 IN (SELECT value FROM json_each($2))) AS j WHERE attempt.token = j.token",
    )
    .bind(&rows)
    .bind(ids(frozen.iter().copied()))
    .execute(&mut *tx)
    .await?;
    for (answer, freeze) in answers.iter_mut().zip(freezes) {
        if *answer == GateAnswer::Lost && frozen.contains(&freeze.message) {
            *answer = GateAnswer::Go;
        }
    }
    Ok(answers)
}

/// Rises with each change of the directory.
pub(super) async fn revision(tx: &mut Conn) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce((SELECT value FROM mark WHERE name = 'directory_revision'), 0)")
        .fetch_one(tx)
        .await?)
}
