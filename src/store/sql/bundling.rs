//! Messages made of reminders, and what becomes of reminders that go into none.

use jiff::Timestamp;

use super::{
    Conn,
    rows::{ids, list},
};
use crate::{
    planning::{rules::ChannelKind, task::ReminderId},
    store::{
        Result,
        ledger::{Aside, NewMessage},
    },
};

/// Reminders changed by one statement: as many as fit into a megabyte or so of JSON.
pub(super) const AT_ONCE: usize = 5_000;

/// Makes messages of reminders. A reminder that was suppressed between reading and writing stays so; its message then
/// simply lacks it, and one that has none left is not made.
pub(super) async fn make(tx: &mut Conn, now: Timestamp, messages: &[NewMessage]) -> Result<()> {
    let mut made = Vec::with_capacity(messages.len());
    let mut carries = Vec::new();
    for message in messages {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO message(channel, address, person, recipient, classified, hours, state, not_before, expires_at, \
             earlier, created_at, changed_at, part, parts) \
             VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $10, $11, $12) RETURNING id",
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
        .bind(i64::from(message.part.n))
        .bind(i64::from(message.part.of))
        .fetch_one(&mut *tx)
        .await?;
        made.push(id);
        carries.extend(message.reminders.iter().map(|reminder| (reminder.0, id)));
    }
    // In their own order, whomever they go to: those of one person lie far apart, and each page would be read and written
    // again for nearly every one of them. A reminder that two messages name goes into the first.
    carries.sort_by_key(|(reminder, _)| *reminder);
    carries.dedup_by_key(|(reminder, _)| *reminder);
    for carries in carries.chunks(AT_ONCE) {
        sqlx::query(
            "UPDATE reminder SET state = 'in_message', message = j.message, reason = '', changed_at = $2 \
             FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS message FROM json_each($1)) AS j \
             WHERE reminder.id = j.id AND reminder.state = 'planned'",
        )
        .bind(list(carries)?)
        .bind(now.as_millisecond())
        .execute(&mut *tx)
        .await?;
    }
    if !made.is_empty() {
        sqlx::query(
            "DELETE FROM message WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
             AND NOT EXISTS (SELECT 1 FROM reminder r WHERE r.message = message.id)",
        )
        .bind(ids(made))
        .execute(tx)
        .await?;
    }
    Ok(())
}

/// Pending messages in which nothing is left are not sent.
pub(super) async fn end_emptied(tx: &mut Conn, now: Timestamp, messages: impl Iterator<Item = i64>) -> Result<()> {
    sqlx::query(
        "UPDATE message SET state = 'suppressed', reason = 'nothing_left', changed_at = $2 \
         WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND state = 'pending' AND NOT EXISTS \
         (SELECT 1 FROM reminder r WHERE r.message = message.id AND r.state = 'in_message')",
    )
    .bind(ids(messages))
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn set_aside(tx: &mut Conn, now: Timestamp, asides: &[Aside]) -> Result<()> {
    let (mut waits, mut lists, mut ways, mut ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for aside in asides {
        match aside {
            Aside::Wait { reminder, until } => waits.push((reminder.0, until.as_millisecond())),
            Aside::Nobody { reminder, why, quiet } => {
                if !quiet {
                    lists.push((reminder.0, *why));
                }
                ends.push((reminder.0, *why));
            }
            Aside::StandIn { reminder, why } => lists.push((reminder.0, *why)),
            Aside::Fallback { reminder, why, audience, channel } => {
                ways.push((reminder.0, audience, channel.as_str()));
                ends.push((reminder.0, *why));
            }
        }
    }
    let wait = "UPDATE reminder SET not_before = j.until \
         FROM (SELECT CAST(value->>0 AS BIGINT) AS id, CAST(value->>1 AS BIGINT) AS until FROM json_each($1)) AS j \
         WHERE reminder.id = j.id AND reminder.state = 'planned'";
    if !waits.is_empty() {
        sqlx::query(wait).bind(list(&waits)?).execute(&mut *tx).await?;
    }
    // The list and the other way first: they are read off the reminder, whatever its state. Two reminders of one slot
    // are one line of the list.
    let unreachable = "INSERT INTO unreachable(agency, audience, channel, task, why, since) \
         SELECT r.agency, r.audience, r.channel, r.task, max(j.why), $2 \
         FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS why FROM json_each($1)) AS j JOIN reminder r ON r.id = j.id \
         WHERE true GROUP BY r.agency, r.audience, r.channel, r.task \
         ON CONFLICT(agency, audience, channel, task) DO UPDATE SET why = excluded.why";
    let end = "UPDATE reminder SET state = 'suppressed', reason = j.why, changed_at = $2 \
         FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS why FROM json_each($1)) AS j \
         WHERE reminder.id = j.id AND reminder.state = 'planned'";
    let lists = (unreachable, lists.len(), list(&lists)?);
    for (statement, many, rows) in [lists, (FALL_BACK, ways.len(), list(&ways)?), (end, ends.len(), list(&ends)?)] {
        if many > 0 {
            sqlx::query(statement).bind(rows).bind(now.as_millisecond()).execute(&mut *tx).await?;
        }
    }
    Ok(())
}

/// Reminders on another channel or to another audience, each under its own key: (id, audience, channel) in `$1`.
const FALL_BACK: &str = concat!(
    "\
    INSERT INTO reminder(task, clock, arming, rule, step, occurrence, agency, audience, channel, urging, due_at, \
    not_before, state, reason, fallback_of, created_at, changed_at) \
    SELECT r.task, r.clock, r.arming, r.rule, r.step, r.occurrence, r.agency, j.audience, j.channel, r.urging, r.due_at, $2, \
    'planned', '', r.id, $2, $2 \
    FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS audience, value->>2 AS channel FROM json_each($1)) AS j \
    JOIN reminder r ON r.id = j.id WHERE true \
    ON CONFLICT(task, clock, arming, rule, step, occurrence, agency, audience, channel) DO UPDATE SET \
    state = 'planned', reason = '', not_before = excluded.not_before, changed_at = excluded.changed_at, ",
    stays_named!(),
    " WHERE reminder.state = 'suppressed' AND reminder.reason = 'original_retried'"
);

/// The same reminder on another channel or to another audience, under its own key.
pub(super) async fn fall_back(
    tx: &mut Conn,
    now: Timestamp,
    reminder: ReminderId,
    audience: &str,
    channel: ChannelKind,
) -> Result<()> {
    let one = list(&[(reminder.0, audience, channel.as_str())])?;
    sqlx::query(FALL_BACK).bind(one).bind(now.as_millisecond()).execute(tx).await?;
    Ok(())
}
