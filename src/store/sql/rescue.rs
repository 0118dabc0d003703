//! What a crash left: leases whose holders are gone, messages that were handed over without an answer.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{
    Conn, Database,
    outcomes::{back_to_pending, die, drop_secret_bytes, lose, take_back_arrived},
    rows::{ids, number},
};
use crate::{
    planning::{
        outcome::{ALONE_CRASHES, LAST_CRASHES},
        rules::ChannelKind,
    },
    store::{Result, ledger::Rescued},
};

/// How long one waits that went alone on its channel while another did so on another channel: at the next crash only one
/// of them was there.
const APART: SignedDuration = SignedDuration::from_mins(5);

/// A message that somebody leased.
struct Lease {
    id: i64,
    token: String,
    frozen: bool,
    crashes: u32,
    /// Which life of a sender holds it.
    sender: Option<i64>,
    /// Others of its sender were found crashed while it was still leased.
    company: bool,
    /// Nobody holds it any more.
    over: bool,
}

/// Ends leases nobody holds any more, each by its own token.
///
/// What was in work may be what ended the process, and most of it is not: a crash makes a message go in small company, a
/// second one alone. From then on only a crash at which it was the only one in work counts against it: the only one that
/// its sender held, whichever other senders stopped at that time, and whenever the leases of this one run out.
///
/// `orphans`: only what ran out on this channel.
pub(super) async fn rescue(store: &Database, now: Timestamp, orphans: Option<ChannelKind>) -> Result<Rescued> {
    let channel = orphans.map(|channel| channel.as_str());
    let any: bool = sqlx::query_scalar(concat!(
        "SELECT EXISTS (SELECT 1 FROM message WHERE state IN ('leased', 'frozen') AND ",
        rescuable!(),
        " AND ($1 IS NULL OR (channel = $1 AND lease_until <= $2)))"
    ))
    .bind(channel)
    .bind(now.as_millisecond())
    .fetch_one(store.reading())
    .await?;
    if !any {
        // The usual answer, and no writer waits for it.
        return Ok(Rescued::default());
    }
    let mut tx = store.begin().await?;
    let leases = leases(&mut tx, now, channel).await?;
    let (mut over, living): (Vec<_>, Vec<_>) = leases.into_iter().partition(|lease| lease.over);
    let mut held: HashMap<Option<i64>, usize> = HashMap::new();
    for lease in over.iter().chain(&living) {
        *held.entry(lease.sender).or_default() += 1;
    }
    // Their turn may come in another round, when these are no more to be seen.
    let left = living.iter().filter(|lease| over.iter().any(|gone| gone.sender == lease.sender)).map(|lease| lease.id);
    sqlx::query(
        "UPDATE message SET company = true WHERE state IN ('leased', 'frozen') \
         AND id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(ids(left))
    .execute(&mut *tx)
    .await?;
    over.sort_by_key(|lease| (std::cmp::Reverse(lease.crashes), lease.company, lease.id));
    let mut rescued = Rescued::default();
    for (n, lease) in (1..).zip(&over) {
        let Lease { id, token, frozen, .. } = lease;
        let (id, frozen) = (*id, *frozen);
        let sole = held.get(&lease.sender) == Some(&1) && !lease.company;
        let (crashes, at) = match lease.crashes {
            alone if alone >= ALONE_CRASHES && !sole => (alone, now + APART * (n + i32::from(lease.company))),
            crashes => (crashes + 1, now),
        };
        sqlx::query("UPDATE attempt SET phase = 'crashed', ended_at = $2 WHERE token = $1 AND ended_at IS NULL")
            .bind(token)
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await?;
        if crashes >= LAST_CRASHES {
            // It is tried no more, and a person decides. What had been handed over may have arrived.
            rescued.poisoned += 1;
            if frozen {
                lose(&mut tx, now, id, token, "poison").await?;
            } else {
                die(&mut tx, now, id, token, "poison").await?;
            }
            drop_secret_bytes(&mut tx, std::iter::once(id)).await?;
        } else if frozen {
            // Handed over, perhaps: the same bytes again, if its tasks are as they were.
            rescued.unanswered += 1;
            back_to_pending(&mut tx, now, id, token, at, true).await?;
        } else {
            rescued.released += 1;
            back_to_pending(&mut tx, now, id, token, at, false).await?;
        }
        sqlx::query("UPDATE message SET crashes = $2 WHERE id = $1")
            .bind(id)
            .bind(i64::from(crashes))
            .execute(&mut *tx)
            .await?;
    }
    take_back_arrived(&mut tx, now, over.iter().map(|lease| lease.id)).await?;
    tx.commit().await?;
    Ok(rescued)
}

async fn leases(tx: &mut Conn, now: Timestamp, channel: Option<&str>) -> Result<Vec<Lease>> {
    let rows = sqlx::query(concat!(
        "SELECT id, state = 'frozen' AS frozen, lease_token, crashes, sender, company, ",
        rescuable!(),
        " AND ($1 IS NULL OR lease_until <= $2) AS lapsed FROM message WHERE state IN ('leased', 'frozen') \
         AND ($1 IS NULL OR channel = $1)"
    ))
    .bind(channel)
    .bind(now.as_millisecond())
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Lease {
                id: row.try_get("id")?,
                token: row.try_get("lease_token")?,
                frozen: row.try_get("frozen")?,
                crashes: number(row, "crashes")?,
                sender: row.try_get("sender")?,
                company: row.try_get("company")?,
                over: row.try_get("lapsed")?,
            })
        })
        .collect()
}
