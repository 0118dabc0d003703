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

use super::{
    Conn, Database, SHARED,
    bundling::{AT_ONCE, make, set_aside},
    gate::claim,
    outcomes::{drop_secret_bytes, set_free, withdraw_fallbacks},
    planning::reminder_key,
    rescue::rescue,
    rows::{date, ids, instant, number, whole, word},
    settling::settle,
};
use crate::{
    planning::{
        rules::{Audience, ChannelKind},
        task::{AgencyId, Block, PersonId, ReminderId, Role, Secrecy, TaskId},
    },
    store::{
        Result,
        ledger::{
            Aside, Claimed, Freeze, GateAnswer, NewMessage, OutboxRow, OutboxStore, PendingHead, ReadyRow, Recorded,
            Rescued, UnreachableSlot,
        },
    },
};

/// Planned reminders whose moment has come.
pub(super) const READY: &str = concat!(
    "SELECT r.id, r.task, r.clock, r.arming, r.rule, r.step, r.occurrence, r.agency, r.audience, r.channel, r.due_at, \
    r.created_at, r.message, t.handler, t.monitor, t.assigner_block, t.secrecy, coalesce(o.role, 'lead') AS role, o.due_date \
    FROM reminder r",
    indexed_by!("reminder_planned"),
    " JOIN task t ON t.id = r.task \
    LEFT JOIN obligation o ON o.task = r.task AND o.clock = r.clock AND o.agency = r.agency \
    WHERE r.state = 'planned' AND r.not_before <= $1"
);

/// Pending messages of a channel whose moment has come.
pub(super) const PENDING: &str = concat!(
    "SELECT id, hours, expires_at, crashes, bytes IS NOT NULL AS frozen, \
    (SELECT count(*) FROM reminder r WHERE r.message = message.id) AS reminders FROM message",
    indexed_by!("message_due"),
    " \
    WHERE state = 'pending' AND channel = $1 AND not_before <= $2 ORDER BY not_before, id LIMIT $3"
);

/// How often a claim or a settling is tried that met another one half-way.
const TRIES: u32 = 5;

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
        // What waits for a relay that rests will be got too, all at once when it is back. A letter in parts is one.
        let rows = sqlx::query(concat!(
            "SELECT channel, address, CAST(sum(n) AS BIGINT) AS n FROM (SELECT channel, address, n FROM daily_count WHERE day = $1 \
             UNION ALL SELECT channel, address, 1 FROM message",
            indexed_by!("message_due"),
            " WHERE state = 'pending' AND part = 1 \
             UNION ALL SELECT channel, address, 1 FROM message",
            indexed_by!("message_leased"),
            " WHERE state IN ('leased', 'frozen') AND part = 1) \
             AS counted GROUP BY 1, 2",
        ))
        .bind(day.to_string())
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| Ok((word(row, "channel", ChannelKind::from_word)?, row.try_get("address")?, number(row, "n")?)))
            .collect()
    }

    async fn save_messages(&self, now: Timestamp, messages: Vec<NewMessage>, asides: Vec<Aside>) -> Result<()> {
        let mut tx = self.begin().await?;
        make(&mut tx, now, &messages).await?;
        for asides in asides.chunks(AT_ONCE) {
            set_aside(&mut tx, now, asides).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn pending(&self, channel: ChannelKind, now: Timestamp, limit: u32) -> Result<Vec<PendingHead>> {
        let rows = sqlx::query(PENDING)
            .bind(channel.as_str())
            .bind(now.as_millisecond())
            .bind(i64::from(limit))
            .fetch_all(self.reading())
            .await?;
        rows.iter()
            .map(|row| {
                Ok(PendingHead {
                    id: row.try_get("id")?,
                    hours: row.try_get("hours")?,
                    expires_at: instant(row, "expires_at")?,
                    crashes: number(row, "crashes")?,
                    reminders: number(row, "reminders")?,
                    frozen: row.try_get("frozen")?,
                })
            })
            .collect()
    }

    async fn postpone(&self, messages: &[(i64, Timestamp)]) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows: Vec<_> = messages.iter().map(|(id, until)| json!([id, until.as_millisecond()])).collect();
        sqlx::query(
            "UPDATE message SET not_before = j.until FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS until FROM json_each($1)) AS j \
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
             AND m.state = 'pending' AND m.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
            "UPDATE message SET state = CASE WHEN bytes IS NULL THEN 'suppressed' ELSE 'unknown' END, reason = 'expired', \
             changed_at = $2 WHERE state = 'pending' AND id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
        ] {
            sqlx::query(statement).bind(&list).bind(now.as_millisecond()).execute(&mut *tx).await?;
        }
        drop_secret_bytes(&mut tx, messages.iter().copied()).await?;
        Ok(tx.commit().await?)
    }

    async fn claim(&self, now: Timestamp, lease_until: Timestamp, messages: &[i64]) -> Result<Vec<Claimed>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match claim(self, now, lease_until, messages).await {
                Err(error) if error.is_contention() && tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    async fn settle(&self, now: Timestamp, outcomes: Vec<Recorded>, freezes: Vec<Freeze>) -> Result<Vec<GateAnswer>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match settle(self, now, &outcomes, &freezes).await {
                Err(error) if error.is_contention() && tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    async fn rescue(&self, now: Timestamp) -> Result<Rescued> {
        rescue(self, now, None).await
    }

    async fn rescue_lapsed(&self, now: Timestamp) -> Result<Rescued> {
        if SHARED { rescue(self, now, None).await } else { Ok(Rescued::default()) }
    }

    async fn rescue_orphaned(&self, now: Timestamp, channel: ChannelKind) -> Result<Rescued> {
        if SHARED { Ok(Rescued::default()) } else { rescue(self, now, Some(channel)).await }
    }

    async fn time(&self) -> Result<Option<Timestamp>> {
        self.own_time().await
    }

    async fn outbox(&self, state: Option<&str>) -> Result<Vec<OutboxRow>> {
        let rows = sqlx::query(
            "SELECT m.id, m.channel, m.address, m.state, m.reason, m.attempts, m.not_before, \
             coalesce((SELECT trim(coalesce(a.outcome, a.phase) || ' ' || a.reply) FROM attempt a WHERE a.message = m.id \
               ORDER BY a.n DESC LIMIT 1), '') AS last, d.day AS list \
             FROM message m LEFT JOIN daily_list d ON d.message = m.id WHERE ($1 IS NULL AND m.state <> 'sent' AND m.state <> 'suppressed') OR m.state = $1 \
             ORDER BY m.id LIMIT 10000",
        )
        .bind(state)
        .fetch_all(self.reading())
        .await?;
        let list = ids(rows.iter().filter_map(|row| row.try_get("id").ok()));
        let carried = sqlx::query(
            "SELECT r.message, t.code, r.step FROM reminder r JOIN task t ON t.id = r.task \
             WHERE r.message IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY r.id",
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
                    attempts: number(row, "attempts")?,
                    not_before: instant(row, "not_before")?,
                    last: row.try_get("last")?,
                    reminders: by_message.remove(&id).unwrap_or_default(),
                    list: date(row, "list")?,
                })
            })
            .collect()
    }

    async fn message_bytes(&self, id: i64) -> Result<Option<Vec<u8>>> {
        let bytes: Option<Option<Vec<u8>>> = sqlx::query_scalar(
            "SELECT coalesce(l.bytes, m.bytes) FROM message m LEFT JOIN letter l ON l.message = m.id WHERE m.id = $1",
        )
        .bind(id)
        .fetch_optional(self.reading())
        .await?;
        whole(bytes.flatten())
    }

    async fn retry(&self, now: Timestamp, id: i64, why: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = retry(&mut tx, now, id, why).await?;
        tx.commit().await?;
        Ok(done)
    }

    async fn unreachable_slots(&self) -> Result<Vec<UnreachableSlot>> {
        let rows = sqlx::query(
            "SELECT u.agency, u.audience, u.channel, u.task, u.why, max(o.role) AS role, t.handler, t.monitor, t.assigner_block, t.secrecy \
             FROM unreachable u JOIN task t ON t.id = u.task JOIN obligation o ON o.task = u.task AND o.agency = u.agency \
             WHERE o.ended_at IS NULL AND t.state NOT IN ('done', 'withdrawn') \
             GROUP BY u.agency, u.audience, u.channel, u.task, u.why, t.handler, t.monitor, t.assigner_block, t.secrecy",
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
             (SELECT CAST(value->>0 AS BIGINT), value->>1, value->>2, CAST(value->>3 AS BIGINT) FROM json_each($1))",
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
            drop_secret_bytes(&mut tx, std::iter::once(id)).await?;
        }
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// Takes a dead or unknown message back to pending, or what of it is still due: see [`OutboxStore::retry`].
pub(super) async fn retry(tx: &mut Conn, now: Timestamp, id: i64, why: &str) -> Result<bool> {
    let parted: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM message m WHERE m.id = $1 AND m.state IN ('dead', 'unknown') AND m.unknown_before \
         AND CASE WHEN length(m.bytes) > 0 THEN EXISTS (SELECT 1 FROM message n WHERE n.earlier = m.id) OR EXISTS \
         (SELECT 1 FROM reminder r WHERE r.message = m.id AND r.state NOT IN ('dead', 'unknown')) \
         ELSE m.bytes IS NOT NULL AND NOT EXISTS (SELECT 1 FROM daily_list d WHERE d.message = m.id) END)",
    )
    .bind(id)
    .fetch_one(&mut *tx)
    .await?;
    if parted {
        let freed = set_free(tx, now, id).await?;
        withdraw_fallbacks(tx, now, id).await?;
        return Ok(freed > 0);
    }
    // A dead one is composed anew; one that may have arrived keeps its bytes, also where a later try was refused.
    let done = sqlx::query(
        "UPDATE message SET \
         bytes = CASE WHEN (state = 'unknown' OR unknown_before) AND length(bytes) > 0 THEN bytes END, \
         message_id = CASE WHEN (state = 'unknown' OR unknown_before) AND length(bytes) > 0 THEN message_id END, \
         state = 'pending', reason = $3, attempts = 0, crashes = 0, not_before = $2, \
         expires_at = CASE WHEN expires_at > $2 + 432000000 THEN expires_at ELSE $2 + 432000000 END, changed_at = $2 \
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
        withdraw_fallbacks(tx, now, id).await?;
    }
    Ok(done.rows_affected() > 0)
}

/// Rises with each change of the directory.
pub(super) async fn revision(tx: &mut Conn) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce((SELECT value FROM mark WHERE name = 'directory_revision'), 0)")
        .fetch_one(tx)
        .await?)
}
