//! What a sender's writer asks in one transaction: outcomes are recorded, acceptances by far the most of them, and then
//! gates are passed.

use jiff::Timestamp;
use sqlx::Row;

use super::{
    Conn, Database, DbRow, Tx,
    gate::{behind_gates, pass_gate},
    outbox::retry,
    outcomes::{drop_secret_bytes, follow, take_back, take_back_arrived},
    rows::{ids, list},
};
use crate::store::{
    Argument, Result,
    ledger::{Freeze, GateAnswer, Next, RELAY_AT_FAULT, Recorded},
};

/// Records outcomes and passes gates, in one transaction and few errands: see [`OutboxStore::settle`].
pub(super) async fn settle(
    store: &Database,
    now: Timestamp,
    outcomes: &[Recorded],
    freezes: &[Freeze],
) -> Result<Vec<GateAnswer>> {
    // What touches reminders of other messages, or makes some, is done while nobody else writes.
    let own = |outcome: &Recorded| {
        outcome.earlier.is_empty()
            && matches!(outcome.next, Next::Sent { .. } | Next::Retry { .. } | Next::Repeat { .. })
    };
    let alone = !outcomes.iter().all(own);
    let (mut tx, mut kept) = record(store, alone, now, outcomes, freezes).await?;
    if kept.reached {
        tx.rollback().await?;
        (tx, kept) = record(store, true, now, outcomes, freezes).await?;
    }
    for id in outcomes.iter().flat_map(|outcome| &outcome.earlier) {
        retry(&mut tx, now, *id, RELAY_AT_FAULT).await?;
        kept.behind = None;
    }
    if freezes.is_empty() {
        tx.commit().await?;
        return Ok(Vec::new());
    }
    pass_gate(tx, now, freezes, kept.behind).await
}

/// Acceptances of the outcomes in `$1` that are news: an acceptance always wins, it is recorded by its attempt's token,
/// whoever holds the lease by now.
macro_rules! accepted {
    () => {
        "json_each($1) AS j JOIN message m ON m.id = CAST(j.value->>4 AS BIGINT) WHERE j.value->>5 IS NOT NULL \
         AND m.state <> 'sent' AND m.bytes IS NOT NULL \
         AND EXISTS (SELECT 1 FROM attempt a WHERE a.token = j.value->>0 AND a.message = m.id)"
    };
}

/// What befell the attempts of `$1`.
macro_rules! attempts_ended {
    () => {
        "UPDATE attempt SET phase = CASE WHEN j.outcome = 'released' THEN 'released' ELSE 'answered' END, ended_at = $2, \
         outcome = j.outcome, code = j.code, reply = j.reply \
         FROM (SELECT value->>0 AS token, value->>1 AS outcome, CAST(value->>2 AS BIGINT) AS code, value->>3 AS reply FROM json_each($1)) AS j \
         WHERE attempt.token = j.token"
    };
}

/// Whatever was decided about them while the answer was out: what the accepted bytes carried did leave. One that is in a
/// newer message by now belongs to that.
macro_rules! reminders_left {
    () => {
        concat!(
            "UPDATE reminder SET state = 'sent', reason = '', changed_at = $2 WHERE message IN (SELECT m.id FROM ",
            accepted!(),
            ") AND (state IN ('in_message', 'unknown', 'dead', 'planned') OR (state IN ('suppressed', 'superseded') AND EXISTS \
             (SELECT 1 FROM message m WHERE m.id = reminder.message AND m.unknown_before)))"
        )
    };
}

macro_rules! letters_counted {
    () => {
        concat!(
            "INSERT INTO daily_count(address, channel, day, n) \
             SELECT m.address, m.channel, j.value->>5, count(DISTINCT m.id) FROM ",
            accepted!(),
            " AND m.part = 1 GROUP BY m.address, m.channel, j.value->>5 ORDER BY m.address, m.channel, j.value->>5 \
             ON CONFLICT(address, channel, day) DO UPDATE SET n = daily_count.n + excluded.n"
        )
    };
}

/// Comes last, for it makes news of none. Asks of each as well what is almost never so, and needs a statement of its own
/// only then: whether it tells of a secret, whether somebody had refused, whether others went on from it.
macro_rules! messages_accepted {
    () => {
        concat!(
            "UPDATE message SET state = 'sent', reason = '', lease_token = NULL, lease_until = NULL, changed_at = $2 \
             WHERE id IN (SELECT m.id FROM ",
            accepted!(),
            ") RETURNING id, EXISTS (SELECT 1 FROM reminder r JOIN task t ON t.id = r.task \
             WHERE r.message = message.id AND t.secrecy <> 'open') OR EXISTS (SELECT 1 FROM daily_list d \
             WHERE d.message = message.id AND substr(d.digest, 1, 6) = 'wiped ') AS secret, \
             EXISTS (SELECT 1 FROM unreachable u WHERE u.why = 'refused') AS refused, \
             EXISTS (SELECT 1 FROM message n WHERE n.earlier = message.id) AS named"
        )
    };
}

/// What recording outcomes came to.
#[derive(Default)]
struct Kept {
    /// An acceptance reached into other messages, those that name the accepted one: that may only stay where nobody else
    /// writes.
    reached: bool,
    /// What stands behind the gates that were asked for as well, where nothing was done after it was looked at.
    behind: Option<Vec<DbRow>>,
}

/// Begins a transaction and records a batch of outcomes: what befell the attempts, then what follows for their messages.
/// Acceptances, by far the most, are recorded together; and on the way it is looked at what stands behind the gates of
/// `asked`. `alone`: while nobody else writes.
async fn record(
    store: &Database,
    alone: bool,
    now: Timestamp,
    outcomes: &[Recorded],
    asked: &[Freeze],
) -> Result<(Tx, Kept)> {
    let asked = ids(asked.iter().map(|freeze| freeze.message));
    if outcomes.is_empty() {
        let look = opening!(behind_gates!("$1"));
        let (tx, mut given) = store.begin_with(alone, look, vec![Argument::Text(asked)]).await?;
        return Ok((tx, Kept { reached: false, behind: given.pop() }));
    }
    let day = |outcome: &Recorded| match outcome.next {
        Next::Sent { day } => Some(day.to_string()),
        _ => None,
    };
    let rows: Vec<_> = outcomes.iter().map(|o| (&o.token, o.outcome, o.code, &o.reply, o.message, day(o))).collect();
    let arguments = vec![Argument::Text(list(&rows)?), Argument::Number(now.as_millisecond()), Argument::Text(asked)];
    let statements = opening!(
        // Whether an acceptance is news is asked three times, and another sender may have one of the same message.
        concat!(
            "SELECT id FROM message WHERE id IN (SELECT CAST(value->>4 AS BIGINT) FROM json_each($1)) ORDER BY id",
            for_update!()
        ),
        attempts_ended!(),
        reminders_left!(),
        letters_counted!(),
        messages_accepted!(),
        behind_gates!("$3"),
    );
    let (mut tx, mut given) = store.begin_with(alone, statements, arguments).await?;
    let behind = given.pop();
    let mut kept = accepted(&mut tx, now, &given.pop().unwrap_or_default()).await?;
    let mut others = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !matches!(outcome.next, Next::Sent { .. })) {
        follow(&mut tx, now, outcome).await?;
        others.push(outcome.message);
    }
    if others.is_empty() {
        kept.behind = behind.filter(|_| !kept.reached);
        return Ok((tx, kept));
    }
    kept.reached |= take_back_arrived(&mut tx, now, others.iter().copied()).await?;
    drop_secret_bytes(&mut tx, others.into_iter()).await?;
    Ok((tx, kept))
}

/// What an acceptance brings with it now and then; `rows` as [`messages_accepted!`] gives them.
async fn accepted(tx: &mut Conn, now: Timestamp, rows: &[DbRow]) -> Result<Kept> {
    let mut kept = Kept::default();
    let (mut was, mut secrets, mut refused) = (Vec::with_capacity(rows.len()), Vec::new(), false);
    for row in rows {
        let id: i64 = row.try_get("id")?;
        was.push(id);
        if row.try_get("secret")? {
            secrets.push(id);
        }
        refused |= row.try_get::<bool, _>("refused")?;
        kept.reached |= row.try_get::<bool, _>("named")?;
    }
    if kept.reached {
        take_back(tx, now, &ids(was.iter().copied())).await?;
    }
    if !secrets.is_empty() {
        drop_secret_bytes(tx, secrets.into_iter()).await?;
    }
    if refused {
        // Who refused before takes mail again.
        sqlx::query(
            "DELETE FROM unreachable WHERE why = 'refused' AND EXISTS (SELECT 1 FROM reminder r \
             WHERE r.message IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) AND r.agency = unreachable.agency \
             AND r.audience = unreachable.audience AND r.channel = unreachable.channel \
             AND (r.audience NOT IN ('handler', 'monitor', 'assigner_office') OR r.task = unreachable.task))",
        )
        .bind(ids(was))
        .execute(&mut *tx)
        .await?;
    }
    Ok(kept)
}
