//! What a crash left: leases whose holders are gone, messages that were handed over without an answer.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;

use super::{
    Database,
    outcomes::{back_to_pending, die, lose},
    rows::number,
};
use crate::{
    planning::outcome::{ALONE_CRASHES, LAST_CRASHES},
    store::{Result, ledger::Rescued},
};

/// How long one waits that went alone on its channel while another did so on another channel: at the next crash only one
/// of them was there.
const APART: SignedDuration = SignedDuration::from_mins(5);

/// Ends leases nobody holds any more, each by its own token.
///
/// What was in work may be what ended the process, and most of it is not: a crash makes a message go in small company, a
/// second one alone. From then on only a crash at which it was the only one in work counts against it.
pub(super) async fn rescue(store: &Database, now: Timestamp) -> Result<Rescued> {
    let mut tx = store.begin().await?;
    let mut rows = sqlx::query(concat!("SELECT id, state, lease_token, crashes FROM message WHERE ", rescuable!()))
        .fetch_all(&mut *tx)
        .await?
        .iter()
        .map(|row| {
            Ok((number(row, "crashes")?, row.try_get("id")?, row.try_get("lease_token")?, row.try_get("state")?))
        })
        .collect::<Result<Vec<(u32, i64, String, String)>>>()?;
    rows.sort_by_key(|(crashes, id, ..)| (std::cmp::Reverse(*crashes), *id));
    let sole = rows.len() == 1;
    let mut rescued = Rescued::default();
    for (n, (crashes, id, token, state)) in (0..).zip(&rows) {
        let (id, frozen) = (*id, state == "frozen");
        let (crashes, at) = match *crashes {
            alone if alone >= ALONE_CRASHES && !sole => (alone, now + APART * (n + 1)),
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
    tx.commit().await?;
    Ok(rescued)
}
