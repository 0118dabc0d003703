//! A message's way into a sender's hand and past the gate: claimed under a token, and, after a second look at what it tells
//! of, frozen.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;

use super::{
    Conn, Database, DbRow, Tx,
    daily::{attach_lists, lists_of_today},
    rows::{APART, date, ids, instant, instant_opt, list, number, token, whole, word},
};
use crate::{
    planning::{
        bundle::Part,
        ledger::ReminderState,
        rules::ChannelKind,
        task::{PersonId, ReminderId, Secrecy, TaskId, TaskState},
    },
    store::{
        Argument, Result,
        ledger::{Claimed, Freeze, FrozenBytes, GateAnswer, GateRow},
    },
};

pub(super) async fn claim(
    store: &Database,
    now: Timestamp,
    lease_until: Timestamp,
    messages: &[i64],
) -> Result<Vec<Claimed>> {
    let mut tx = store.begin_beside().await?;
    let wanted: Vec<_> = messages.iter().map(|id| json!([id, token(now)])).collect();
    let wanted = Value::from(wanted).to_string();
    let rows = sqlx::query(concat!(
        "UPDATE message SET state = 'leased', lease_token = j.token, lease_until = ",
        lease_end!("$2", "$3"),
        ", tries = tries + 1, sender = $4, company = false, changed_at = $3 FROM (",
        claimable!("$1"),
        ") AS j WHERE message.id = j.id AND message.state = 'pending' AND message.not_before <= $3 \
         RETURNING message.id, lease_token, tries, channel, address, person, recipient, classified, hours, attempts, expires_at, \
         earlier, part, parts, coalesce((SELECT l.bytes FROM letter l WHERE l.message = message.id), bytes) AS bytes, message_id, \
         (SELECT e.dated_at FROM message e WHERE e.id = message.earlier) AS earlier_at",
    ))
    .bind(&wanted)
    .bind(lease_until.as_millisecond())
    .bind(now.as_millisecond())
    .bind(store.life)
    .fetch_all(&mut *tx)
    .await?;
    let mut claimed = rows.iter().map(claimed).collect::<Result<Vec<_>>>()?;
    // The attempt is on record before a byte leaves; its token is the lease's.
    let attempts: Vec<_> = claimed.iter().map(|c| json!([c.id, c.n, c.token])).collect();
    sqlx::query(
        "INSERT INTO attempt(message, n, token, phase, started_at) \
         SELECT CAST(value->>0 AS BIGINT), CAST(value->>1 AS BIGINT), value->>2, 'claimed', $2 FROM json_each($1)",
    )
    .bind(Value::from(attempts).to_string())
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    let (_, mut by_message) = gate_rows(&look_behind(&mut tx, claimed.iter().map(|c| c.id)).await?)?;
    for message in &mut claimed {
        message.rows = by_message.remove(&message.id).unwrap_or_default();
    }
    attach_lists(&mut tx, &mut claimed).await?;
    tx.commit().await?;
    claimed.sort_by_key(|message| messages.iter().position(|id| *id == message.id));
    Ok(claimed)
}

fn claimed(row: &DbRow) -> Result<Claimed> {
    let bytes = whole(row.try_get("bytes")?)?;
    let message_id: Option<String> = row.try_get("message_id")?;
    Ok(Claimed {
        id: row.try_get("id")?,
        token: row.try_get("lease_token")?,
        n: number(row, "tries")?,
        channel: word(row, "channel", ChannelKind::from_word)?,
        address: row.try_get("address")?,
        person: row.try_get::<Option<i64>, _>("person")?.map(PersonId),
        recipient: row.try_get("recipient")?,
        classified: row.try_get("classified")?,
        hours: row.try_get("hours")?,
        attempts: number(row, "attempts")?,
        expires_at: instant(row, "expires_at")?,
        earlier: row.try_get("earlier")?,
        earlier_at: instant_opt(row, "earlier_at")?,
        part: Part { n: number(row, "part")?, of: number(row, "parts")? },
        frozen: bytes.zip(message_id).map(|(bytes, message_id)| FrozenBytes { bytes, message_id }),
        rows: Vec::new(),
        list: None,
    })
}

/// What gates compare: the rows of the messages in a JSON list, and the directory's revision with each.
macro_rules! behind_gates {
    ($list:literal) => {
        concat!(
            "SELECT r.message, r.id, r.task, r.state AS reminder_state, r.rule, r.step, r.arming AS reminder_arming, \
             t.state AS task_state, t.held <> '' AS held, t.secrecy, t.handler, t.monitor, \
             coalesce(o.arming, 0) AS arming, o.due_date, (o.task IS NULL OR o.ended_at IS NOT NULL) AS ended, \
             coalesce((SELECT value FROM mark WHERE name = 'directory_revision'), 0) AS revision \
             FROM reminder r JOIN task t ON t.id = r.task \
             LEFT JOIN obligation o ON o.task = r.task AND o.clock = r.clock AND o.agency = r.agency \
             WHERE r.message IN (SELECT CAST(value AS BIGINT) FROM json_each(",
            $list,
            ")) AND r.state = 'in_message' ORDER BY r.id"
        )
    };
}
pub(super) use behind_gates;

/// What stands behind the gates of these messages.
async fn look_behind(tx: &mut Conn, messages: impl Iterator<Item = i64>) -> Result<Vec<DbRow>> {
    Ok(sqlx::query(behind_gates!("$1")).bind(ids(messages)).fetch_all(tx).await?)
}

/// The directory's revision (where there is anything to compare), and the rows by message.
fn gate_rows(rows: &[DbRow]) -> Result<(i64, HashMap<i64, Vec<GateRow>>)> {
    let revision = rows.first().map(|row| row.try_get("revision")).transpose()?.unwrap_or(0);
    let mut found: HashMap<i64, Vec<GateRow>> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.entry(row.try_get("message")?).or_default().push(GateRow {
            reminder: ReminderId(row.try_get("id")?),
            task: TaskId(row.try_get("task")?),
            reminder_state: word(row, "reminder_state", ReminderState::from_word)?,
            rule: row.try_get("rule")?,
            step: row.try_get("step")?,
            task_state: word(row, "task_state", TaskState::from_word)?,
            held: row.try_get("held")?,
            secrecy: word(row, "secrecy", Secrecy::from_word)?,
            reminder_arming: number(row, "reminder_arming")?,
            arming: number(row, "arming")?,
            due_date: date(row, "due_date")?,
            ended: row.try_get("ended")?,
            handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
            monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
        });
    }
    Ok((revision, found))
}

/// The gate of a batch, in a few statements for all, and the end of its transaction: the bytes travel as one blob, of
/// which each message takes its part. `behind`: what stands behind it, if somebody has just looked.
pub(super) async fn pass_gate(
    mut tx: Tx,
    now: Timestamp,
    freezes: &[Freeze],
    behind: Option<Vec<DbRow>>,
) -> Result<Vec<GateAnswer>> {
    let behind = match behind {
        Some(behind) => behind,
        None => look_behind(&mut tx, freezes.iter().map(|freeze| freeze.message)).await?,
    };
    let (revision, mut by_message) = gate_rows(&behind)?;
    let lists = lists_of_today(&mut tx, now, freezes).await?;
    let mut bytes = Vec::with_capacity(freezes.iter().map(|freeze| freeze.bytes.len()).sum());
    let mut rows = Vec::with_capacity(freezes.len());
    let mut answers = vec![GateAnswer::Changed; freezes.len()];
    for (n, freeze) in freezes.iter().enumerate() {
        let found = by_message.remove(&freeze.message).unwrap_or_default();
        let same =
            revision == freeze.directory_revision && found == freeze.rows && found.iter().all(GateRow::is_current);
        // A daily list is as of its moment: it may go as long as its day is not over.
        if !lists.contains(&freeze.message) && (!same || found.is_empty()) {
            continue;
        }
        answers[n] = GateAnswer::Lost;
        let dated = freeze.dated_at.as_millisecond();
        let (from, length) = (bytes.len() + 1, freeze.bytes.len());
        rows.push((freeze.message, &freeze.token, from, length, &freeze.message_id, dated));
        bytes.extend_from_slice(&freeze.bytes);
    }
    if rows.is_empty() {
        tx.commit().await?;
        return Ok(answers);
    }
    let arguments = vec![
        Argument::Text(list(&rows)?),
        Argument::Bytes(APART.to_vec()),
        Argument::Number(now.as_millisecond()),
        Argument::Bytes(bytes),
    ];
    let statements = closing!(
        concat!(
            "UPDATE message SET state = 'frozen', bytes = $2, message_id = j.message_id, \
             dated_at = CASE WHEN message.message_id = j.message_id AND message.dated_at IS NOT NULL THEN message.dated_at ELSE j.dated END, \
             changed_at = $3 \
             FROM (SELECT CAST(value->>0 AS BIGINT) AS id, value->>1 AS token, value->>4 AS message_id, \
                   CAST(value->>5 AS BIGINT) AS dated FROM json_each($1)) AS j \
             WHERE message.id = j.id AND message.state = 'leased' AND message.lease_token = j.token AND message.lease_until > ",
            lease_clock!("$3"),
            // From here on DATA may take a minute, the body three, the final dot ten; a lease that ends before is another's to rescue.
            " + 900000 RETURNING message.id",
        ),
        // Frozen under this token is what has just been: a gate is passed once.
        "INSERT INTO letter(message, bytes) \
         SELECT m.id, substr($4, CAST(j.value->>2 AS INTEGER), CAST(j.value->>3 AS INTEGER)) FROM json_each($1) AS j \
         JOIN message m ON m.id = CAST(j.value->>0 AS BIGINT) WHERE m.state = 'frozen' AND m.lease_token = j.value->>1 \
         ON CONFLICT(message) DO UPDATE SET bytes = excluded.bytes",
        "UPDATE attempt SET phase = 'handed_over', message_id = j.message_id \
         FROM (SELECT value->>0 AS id, value->>1 AS token, value->>4 AS message_id FROM json_each($1)) AS j \
         JOIN message m ON m.id = CAST(j.id AS BIGINT) \
         WHERE attempt.token = j.token AND m.state = 'frozen' AND m.lease_token = j.token",
    );
    let answered = Database::commit_with(tx, statements, arguments).await?;
    let frozen = answered.first().into_iter().flatten().map(|row| row.try_get("id"));
    let frozen = frozen.collect::<sqlx::Result<Vec<i64>>>()?;
    for (answer, freeze) in answers.iter_mut().zip(freezes) {
        if *answer == GateAnswer::Lost && frozen.contains(&freeze.message) {
            *answer = GateAnswer::Go;
        }
    }
    Ok(answers)
}
