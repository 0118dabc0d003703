//! What a crash left: leases whose holders are gone, messages that were handed over without an answer.

use jiff::Timestamp;
use sqlx::Row;

use super::{
    Database,
    outcomes::{back_to_pending, die, lose},
};
use crate::store::{Result, ledger::Rescued};

/// Ends leases nobody holds any more, each by its own token.
pub(super) async fn rescue(store: &Database, now: Timestamp) -> Result<Rescued> {
    let mut tx = store.begin().await?;
    let rows = sqlx::query(concat!("SELECT id, state, lease_token, crashes FROM message WHERE ", rescuable!()))
        .fetch_all(&mut *tx)
        .await?;
    let mut rescued = Rescued::default();
    for row in &rows {
        let (id, token): (i64, String) = (row.try_get("id")?, row.try_get("lease_token")?);
        let (state, crashes): (String, i64) = (row.try_get("state")?, row.try_get("crashes")?);
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
