//! Confirmations of the clock, and what they take back.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{
    Database,
    rows::{instant, instant_opt},
};
use crate::{
    clock::millis,
    store::{
        Result,
        clock::{ClockConfirmed, ClockStore},
    },
};

#[async_trait]
impl ClockStore for Database {
    async fn confirm_clock(&self, at: Timestamp, by: &str, why: &str) -> Result<ClockConfirmed> {
        let mut tx = self.begin().await?;
        let worked_off: Option<i64> =
            sqlx::query_scalar("SELECT value FROM mark WHERE name = 'last_pass'").fetch_optional(&mut *tx).await?;
        sqlx::query("INSERT INTO clock_confirmation(at, by_whom, why, worked_off) VALUES ($1, $2, $3, $4)")
            .bind(at.as_millisecond())
            .bind(by)
            .bind(why)
            .bind(worked_off)
            .execute(&mut *tx)
            .await?;
        for statement in [
            "UPDATE mark SET value = $1 WHERE name = 'last_pass' AND value > $1",
            "UPDATE step_known SET since = $1 WHERE since > $1",
            // Hours and relays are asked again before anything leaves.
            "UPDATE message SET not_before = $1 WHERE state = 'pending' AND not_before > $1",
        ] {
            sqlx::query(statement).bind(at.as_millisecond()).execute(&mut *tx).await?;
        }
        // The daemon looks at every task when it does not know under what they were planned.
        sqlx::query("DELETE FROM mark WHERE name = 'planned_under'").execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(ClockConfirmed { at, by: by.to_owned(), why: why.to_owned(), worked_off: worked_off.map(millis) })
    }

    async fn clock_confirmed(&self) -> Result<Option<ClockConfirmed>> {
        let row = sqlx::query("SELECT at, by_whom, why, worked_off FROM clock_confirmation ORDER BY id DESC LIMIT 1")
            .fetch_optional(self.reading())
            .await?;
        row.map(|row| {
            Ok(ClockConfirmed {
                at: instant(&row, "at")?,
                by: row.try_get("by_whom")?,
                why: row.try_get("why")?,
                worked_off: instant_opt(&row, "worked_off")?,
            })
        })
        .transpose()
    }
}
