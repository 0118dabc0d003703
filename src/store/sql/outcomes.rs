//! What an attempt's outcome does to its message and to what it carries, inside the transaction that records it.

use jiff::Timestamp;

use super::{
    Conn,
    bundling::{end_emptied, fall_back},
    rows::ids,
};
use crate::{
    planning::{rules::ChannelKind, task::ReminderId},
    store::{
        Result,
        ledger::{Next, Recorded},
    },
};

/// Whether a reminder's task still calls for it.
macro_rules! still_speaks {
    () => {
        "EXISTS (SELECT 1 FROM task t \
           JOIN obligation o ON o.task = t.id AND o.clock = reminder.clock AND o.agency = reminder.agency \
           WHERE t.id = reminder.task AND t.held = '' AND o.ended_at IS NULL AND o.arming = reminder.arming AND CASE \
             WHEN reminder.rule = 'trang-thai' AND reminder.step = 'cho-xac-nhan' THEN t.state = 'submitted' \
             WHEN reminder.rule = 'trang-thai' THEN t.state = 'returned' \
             ELSE t.state IN ('not_received', 'not_started', 'in_progress', 'extension_requested') END)"
    };
}

/// Messages that went on from those in `$1`, whatever number of them in between, each with the first.
macro_rules! named_after {
    () => {
        "WITH RECURSIVE after(id, first) AS (\
           SELECT m.id, m.earlier FROM message m WHERE m.earlier IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
           UNION SELECT m.id, after.first FROM after JOIN message m ON m.earlier = after.id) "
    };
}

/// What follows for the message of an outcome that is no acceptance.
pub(super) async fn follow(tx: &mut Conn, now: Timestamp, outcome: &Recorded) -> Result<()> {
    let (id, token) = (outcome.message, &*outcome.token);
    match &outcome.next {
        // Recorded with all others of its day.
        Next::Sent { .. } => Ok(()),
        Next::Retry { at, spend } => {
            count(tx, id, token, *spend).await?;
            back_to_pending(tx, now, id, token, *at, false).await
        }
        Next::Repeat { at, spend } => {
            count(tx, id, token, *spend).await?;
            back_to_pending(tx, now, id, token, *at, true).await
        }
        Next::Recompose => rebundle(tx, now, id, token).await,
        Next::Unknown => lose(tx, now, id, token, "answer_lost").await,
        Next::Dead { fallback } => {
            if *fallback {
                // Under a foreign token nothing dies, and nothing goes another way.
                let classified: Option<bool> = sqlx::query_scalar(
                    "SELECT classified FROM message WHERE id = $1 AND state IN ('leased', 'frozen') AND lease_token = $2",
                )
                .bind(id)
                .bind(token)
                .fetch_optional(&mut *tx)
                .await?;
                // What it carries went with the message that it goes on from: nobody needs it another way.
                if let Some(classified) = classified
                    && arrived_before(tx, std::iter::once(id)).await?.is_empty()
                {
                    lead_to_box(tx, now, id, classified).await?;
                }
            }
            die(tx, now, id, token, "refused").await
        }
    }
}

async fn count(tx: &mut Conn, id: i64, token: &str, spend: bool) -> Result<()> {
    if spend {
        sqlx::query("UPDATE message SET attempts = attempts + 1 WHERE id = $1 AND lease_token = $2")
            .bind(id)
            .bind(token)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// A task that became classified while its open letter, or a daily list, was under way: the text goes as soon as it is
/// not needed for the hand-over any more. So does that of a message out of which all was taken back while it was in hand:
/// nothing tells any more of which tasks it spoke.
pub(super) async fn drop_secret_bytes(tx: &mut Conn, messages: impl Iterator<Item = i64>) -> Result<()> {
    sqlx::query(
        "UPDATE message SET bytes = $2 WHERE id IN (SELECT r.message FROM json_each($1) j JOIN reminder r ON r.message = CAST(j.value AS BIGINT) \
         JOIN task t ON t.id = r.task WHERE t.secrecy <> 'open' \
         UNION ALL SELECT d.message FROM json_each($1) j JOIN daily_list d ON d.message = CAST(j.value AS BIGINT) \
         WHERE substr(d.digest, 1, 6) = 'wiped ' \
         UNION ALL SELECT n.id FROM json_each($1) j JOIN message n ON n.id = CAST(j.value AS BIGINT) WHERE n.earlier IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM reminder r WHERE r.message = n.id)) AND NOT classified AND length(bytes) > 0 \
         AND state IN ('sent', 'dead', 'unknown', 'suppressed')",
    )
    .bind(ids(messages))
    .bind(Vec::<u8>::new())
    .execute(tx)
    .await?;
    Ok(())
}

/// What of accepted messages went on in others, for their answers were taken for lost: it did arrive with the first of
/// them. Where it has not been handed over again, it is not. (A message carries nothing but what the one that it names
/// carried, or else none is named.)
pub(super) async fn take_back(tx: &mut Conn, now: Timestamp, accepted: &str) -> Result<()> {
    // One that waits to be repeated may have arrived as well; one that is leased meets its gate empty.
    let ended: Vec<i64> = sqlx::query_scalar(concat!(
        named_after!(),
        "UPDATE message SET state = CASE WHEN unknown_before AND bytes IS NOT NULL THEN 'unknown' ELSE 'suppressed' END, \
         reason = 'nothing_left', changed_at = $2 WHERE id IN (SELECT id FROM after) AND state IN ('pending', 'dead') RETURNING id"
    ))
    .bind(accepted)
    .bind(now.as_millisecond())
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(concat!(
        named_after!(),
        "UPDATE reminder SET state = 'sent', reason = '', changed_at = $2, \
         message = (SELECT min(after.first) FROM after WHERE after.id = reminder.message) \
         WHERE state IN ('planned', 'in_message', 'unknown', 'dead') AND message IN (SELECT after.id FROM after \
         JOIN message m ON m.id = after.id WHERE m.state NOT IN ('frozen', 'sent'))"
    ))
    .bind(accepted)
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    // Nobody claims these again, and nothing else would take a secret's text out of them.
    drop_secret_bytes(tx, ended.into_iter()).await
}

/// Messages that have left, of those which these go on from, whatever number of them in between.
async fn arrived_before(tx: &mut Conn, messages: impl Iterator<Item = i64>) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar(
        "WITH RECURSIVE before(id) AS (SELECT m.earlier FROM message m WHERE m.earlier IS NOT NULL \
           AND m.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
           UNION SELECT m.earlier FROM before JOIN message m ON m.id = before.id WHERE m.earlier IS NOT NULL) \
         SELECT m.id FROM before JOIN message m ON m.id = before.id WHERE m.state = 'sent'",
    )
    .bind(ids(messages))
    .fetch_all(tx)
    .await?)
}

/// What these carry need not go again if the message that they go on from was found to have arrived while they were out;
/// whether that is so for any.
pub(super) async fn take_back_arrived(
    tx: &mut Conn,
    now: Timestamp,
    messages: impl Iterator<Item = i64>,
) -> Result<bool> {
    let arrived = arrived_before(tx, messages).await?;
    if !arrived.is_empty() {
        take_back(tx, now, &ids(arrived.iter().copied())).await?;
    }
    Ok(!arrived.is_empty())
}

async fn settle_carried(tx: &mut Conn, now: Timestamp, id: i64, state: &str, reason: &str) -> Result<()> {
    sqlx::query(
        "UPDATE reminder SET state = $2, reason = $3, changed_at = $4 WHERE message = $1 AND state IN ('in_message', 'unknown')",
    )
    .bind(id)
    .bind(state)
    .bind(reason)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

/// Back to pending. Bytes that may have arrived are kept and marked; known to be refused, it is composed anew.
pub(super) async fn back_to_pending(
    tx: &mut Conn,
    now: Timestamp,
    id: i64,
    token: &str,
    at: Timestamp,
    keep: bool,
) -> Result<()> {
    if keep {
        leave_behind(tx, id).await?;
    }
    sqlx::query(
        "UPDATE message SET state = 'pending', lease_token = NULL, lease_until = NULL, not_before = $3, changed_at = $4, \
         unknown_before = (unknown_before OR $5), \
         bytes = CASE WHEN $5 OR (unknown_before AND state = 'leased') THEN bytes END, \
         message_id = CASE WHEN $5 OR (unknown_before AND state = 'leased') THEN message_id END \
         WHERE id = $1 AND state IN ('leased', 'frozen') AND lease_token = $2",
    )
    .bind(id)
    .bind(token)
    .bind(at.as_millisecond())
    .bind(now.as_millisecond())
    .bind(keep)
    .execute(tx)
    .await?;
    Ok(())
}

/// Each reminder of a refused message goes another way, and the refused one is listed as unreachable: to the box of the
/// agency its audience belongs to, and where that box itself (or an office that is written to at its box) refuses, to
/// the monitor. Of a classified task nothing goes to anybody else: there the list is all.
async fn lead_to_box(tx: &mut Conn, now: Timestamp, id: i64, classified: bool) -> Result<()> {
    let carried: Vec<(i64, String)> = sqlx::query_as(
        "SELECT id, CASE WHEN audience IN ('handler', 'agency_head', 'agency_deputy', 'agency_contact') THEN 'agency_box' \
         WHEN audience IN ('superior_head', 'monitor') THEN 'box_of:' || audience ELSE 'monitor' END \
         FROM reminder WHERE message = $1 AND state = 'in_message'",
    )
    .bind(id)
    .fetch_all(&mut *tx)
    .await?;
    for (reminder, to) in carried {
        if !classified {
            fall_back(tx, now, ReminderId(reminder), &to, ChannelKind::Email).await?;
        }
        sqlx::query(
            "INSERT INTO unreachable(agency, audience, channel, task, why, since) \
             SELECT agency, audience, channel, task, 'refused', $2 FROM reminder WHERE id = $1 \
             ON CONFLICT(agency, audience, channel, task) DO NOTHING",
        )
        .bind(reminder)
        .bind(now.as_millisecond())
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// A message that was refused is to go out after all (the relay was at fault, or an operator mended the address): what
/// went another way in its place and has not begun to leave is taken back, and nobody is unreachable for it. If it is
/// refused again, it goes that other way again.
pub(super) async fn withdraw_fallbacks(tx: &mut Conn, now: Timestamp, id: i64) -> Result<()> {
    let emptied: Vec<Option<i64>> = sqlx::query_scalar(
        "UPDATE reminder SET state = 'suppressed', reason = 'original_retried', changed_at = $2 \
         WHERE id IN (SELECT f.id FROM reminder r JOIN reminder f ON f.task = r.task AND f.fallback_of = r.id \
           WHERE r.message = $1) AND (state = 'planned' \
         OR (state = 'in_message' AND EXISTS (SELECT 1 FROM message m WHERE m.id = reminder.message \
         AND m.state = 'pending' AND m.bytes IS NULL))) RETURNING message",
    )
    .bind(id)
    .bind(now.as_millisecond())
    .fetch_all(&mut *tx)
    .await?;
    end_emptied(tx, now, emptied.into_iter().flatten()).await?;
    sqlx::query(
        "DELETE FROM unreachable WHERE why = 'refused' AND (agency, audience, channel, task) IN \
         (SELECT agency, audience, channel, task FROM reminder WHERE message = $1)",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// A message may have arrived from now on: what had been taken out of it before it was composed was not in it.
pub(super) async fn leave_behind(tx: &mut Conn, id: i64) -> Result<()> {
    sqlx::query(
        "UPDATE reminder SET message = (SELECT m.earlier FROM message m WHERE m.id = reminder.message) \
         WHERE message = $1 AND state IN ('suppressed', 'superseded') \
         AND NOT (SELECT m.unknown_before FROM message m WHERE m.id = reminder.message)",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

/// What of a message may have arrived and is to go out again has changed, or goes on in a newer one: it is not repeated.
/// What of it is still due is planned again, in a message that names it; how many these are.
pub(super) async fn set_free(tx: &mut Conn, now: Timestamp, id: i64) -> Result<u64> {
    let freed = sqlx::query(concat!(
        "UPDATE reminder SET state = 'planned', reason = '', not_before = $2, changed_at = $2 \
         WHERE message = $1 AND state IN ('dead', 'unknown') AND ",
        still_speaks!(),
    ))
    .bind(id)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(freed.rows_affected())
}

/// Handed over, and nobody will know: it stays unknown.
pub(super) async fn lose(tx: &mut Conn, now: Timestamp, id: i64, token: &str, reason: &str) -> Result<()> {
    leave_behind(tx, id).await?;
    let was = sqlx::query(
        "UPDATE message SET state = 'unknown', reason = $4, unknown_before = true, lease_token = NULL, lease_until = NULL, \
         changed_at = $3 WHERE id = $1 AND state IN ('leased', 'frozen') AND lease_token = $2",
    )
    .bind(id)
    .bind(token)
    .bind(now.as_millisecond())
    .bind(reason)
    .execute(&mut *tx)
    .await?;
    if was.rows_affected() > 0 {
        settle_carried(tx, now, id, "unknown", reason).await?;
    }
    Ok(())
}

pub(super) async fn die(tx: &mut Conn, now: Timestamp, id: i64, token: &str, reason: &str) -> Result<()> {
    let was = sqlx::query(
        "UPDATE message SET state = 'dead', reason = $3, lease_token = NULL, lease_until = NULL, changed_at = $4 \
         WHERE id = $1 AND state IN ('leased', 'frozen') AND lease_token = $2",
    )
    .bind(id)
    .bind(token)
    .bind(reason)
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    if was.rows_affected() > 0 {
        settle_carried(tx, now, id, "dead", reason).await?;
    }
    Ok(())
}

/// Nothing was handed over: what the message carries is bundled anew, and the message ends. One whose earlier answer
/// was lost stays unknown instead, and what is still due travels in a new message that names it.
async fn rebundle(tx: &mut Conn, now: Timestamp, id: i64, token: &str) -> Result<()> {
    let state: Option<(bool,)> = sqlx::query_as(
        "UPDATE message SET state = CASE WHEN unknown_before AND bytes IS NOT NULL THEN 'unknown' ELSE 'suppressed' END, \
         reason = 'changed', lease_token = NULL, lease_until = NULL, changed_at = $3 \
         WHERE id = $1 AND state IN ('leased', 'frozen') AND lease_token = $2 RETURNING state = 'unknown'",
    )
    .bind(id)
    .bind(token)
    .bind(now.as_millisecond())
    .fetch_optional(&mut *tx)
    .await?;
    let Some((unknown,)) = state else { return Ok(()) };
    // A reminder whose task still speaks is planned again; of the rest the reason is the task's. Of what may have arrived
    // earlier the last stays named: this message, or, where it never left, the one that it was to name.
    sqlx::query(concat!(
        "UPDATE reminder SET state = 'planned', not_before = $2, changed_at = $2, ",
        stays_named!(),
        " WHERE message = $1 AND state = 'in_message' AND ",
        still_speaks!(),
    ))
    .bind(id)
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    if unknown {
        return settle_left(tx, now, id).await;
    }
    // The reason is the task's own, as if the reminder had still been waiting when the task changed.
    sqlx::query(
        "UPDATE reminder SET (state, reason) = (SELECT \
           CASE WHEN t.state NOT IN ('done', 'withdrawn', 'paused', 'submitted', 'returned') AND t.held = '' \
             AND o.ended_at IS NULL AND o.arming <> reminder.arming THEN 'superseded' ELSE 'suppressed' END, \
           CASE WHEN t.state = 'done' THEN 'completed' \
             WHEN t.state IN ('withdrawn', 'paused', 'submitted', 'returned') THEN t.state \
             WHEN t.held <> '' THEN 'held' WHEN o.ended_at IS NOT NULL THEN 'ended' \
             WHEN o.arming <> reminder.arming AND o.armed_by IN ('reopened', 'reassigned') THEN o.armed_by \
             WHEN o.arming <> reminder.arming THEN 'deadline_moved' ELSE 'changed' END \
           FROM task t LEFT JOIN obligation o ON o.task = t.id AND o.clock = reminder.clock AND o.agency = reminder.agency \
           WHERE t.id = reminder.task), changed_at = $2 WHERE message = $1 AND state = 'in_message'",
    )
    .bind(id)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

/// What an earlier copy may have delivered and no new message carries.
async fn settle_left(tx: &mut Conn, now: Timestamp, id: i64) -> Result<()> {
    sqlx::query(
        "UPDATE reminder SET state = 'unknown', reason = 'answer_lost', changed_at = $2 \
         WHERE message = $1 AND state = 'in_message'",
    )
    .bind(id)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}
