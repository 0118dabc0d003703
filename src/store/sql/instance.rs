//! The database's identity and its adoptions.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{
    Conn, Database, DbRow,
    outcomes::{drop_secret_bytes, leave_behind},
    rows::{ids, instant, instant_opt},
};
use crate::store::{
    Result,
    instance::{Adopted, Adoption, AdoptionRow, COPY_UNTIL, Identity, InstanceRow, InstanceStore, ON_SERVER},
};

const ROW: &str =
    "SELECT id, generation, machine, place, adopted_at, raised_at, copied_at, copied_in_hand FROM instance LIMIT 1";

#[async_trait]
impl InstanceStore for Database {
    async fn cluster(&self) -> Result<Option<String>> {
        self.whereabouts().await
    }

    async fn instance(&self) -> Result<Option<InstanceRow>> {
        sqlx::query(ROW).fetch_optional(self.reading()).await?.as_ref().map(row).transpose()
    }

    async fn found(&self, now: Timestamp, identity: &Identity) -> Result<InstanceRow> {
        let mut tx = self.begin().await?;
        let there = sqlx::query(ROW).fetch_optional(&mut *tx).await?;
        let there = match there {
            Some(there) if there.try_get::<i64, _>("generation")? > 0 && !moved_in(&there, identity)? => there,
            // Nothing was sent from it yet, or not from here: it was brought here.
            _ => {
                sqlx::query("DELETE FROM instance").execute(&mut *tx).await?;
                write(&mut tx, now, identity, 0).await?;
                sqlx::query(ROW).fetch_one(&mut *tx).await?
            }
        };
        tx.commit().await?;
        row(&there)
    }

    async fn raise_generation(&self, now: Timestamp) -> Result<Option<InstanceRow>> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE instance SET generation = generation + 1, raised_at = $1, copied_at = NULL, copied_in_hand = 0",
        )
        .bind(now.as_millisecond())
        .execute(&mut *tx)
        .await?;
        let raised = sqlx::query(ROW).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        raised.as_ref().map(row).transpose()
    }

    async fn doubtful(&self, nothing_before: Timestamp) -> Result<(u64, u64)> {
        let reminders: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM reminder WHERE state = 'planned' AND due_at < $1 AND not_before < $1",
        )
        .bind(nothing_before.as_millisecond())
        .fetch_one(self.reading())
        .await?;
        let messages: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM message WHERE (state = 'pending' AND created_at < $1 AND not_before < $1) \
             OR state IN ('leased', 'frozen')",
        )
        .bind(nothing_before.as_millisecond())
        .fetch_one(self.reading())
        .await?;
        Ok((reminders.unsigned_abs(), messages.unsigned_abs()))
    }

    async fn adopt(&self, now: Timestamp, adoption: &Adoption) -> Result<Adopted> {
        let mut tx = self.begin().await?;
        let before = sqlx::query(ROW).fetch_optional(&mut *tx).await?.as_ref().map(row).transpose()?;
        let generation = before.as_ref().map_or(0, |before| before.generation).max(adoption.at_least) + 1;
        sqlx::query("DELETE FROM instance").execute(&mut *tx).await?;
        write(&mut tx, now, &adoption.identity, generation).await?;
        let mut adopted = Adopted { generation, ..Adopted::default() };
        if let Some(cut) = adoption.nothing_before {
            adopted.messages = set_messages_aside(&mut tx, now, cut).await?;
            adopted.reminders = sqlx::query(
                "UPDATE reminder SET state = 'suppressed', reason = 'copy', changed_at = $1 \
                 WHERE state = 'planned' AND due_at < $2 AND not_before < $2",
            )
            .bind(now.as_millisecond())
            .bind(cut.as_millisecond())
            .execute(&mut *tx)
            .await?
            .rows_affected();
            sqlx::query(
                "INSERT INTO mark(name, value) VALUES ($1, $2) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
            )
            .bind(COPY_UNTIL)
            .bind(cut.as_millisecond())
            .execute(&mut *tx)
            .await?;
        }
        let (id, machine, place) =
            before.map_or_else(Default::default, |before| (before.id, before.machine, before.place));
        sqlx::query(
            "INSERT INTO adoption(at, by_whom, why, held, instance_before, machine_before, place_before, generation, \
             nothing_before, reminders, messages) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(now.as_millisecond())
        .bind(&adoption.by)
        .bind(&adoption.why)
        .bind(&adoption.held)
        .bind(id)
        .bind(machine)
        .bind(place)
        .bind(generation)
        .bind(adoption.nothing_before.map(Timestamp::as_millisecond))
        .bind(adopted.reminders as i64)
        .bind(adopted.messages as i64)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(adopted)
    }

    async fn adoptions(&self) -> Result<Vec<AdoptionRow>> {
        let rows = sqlx::query(
            "SELECT at, by_whom, why, held, generation, nothing_before, reminders, messages FROM adoption ORDER BY id DESC",
        )
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(AdoptionRow {
                    at: instant(row, "at")?,
                    by: row.try_get("by_whom")?,
                    why: row.try_get("why")?,
                    held: row.try_get("held")?,
                    generation: row.try_get("generation")?,
                    nothing_before: instant_opt(row, "nothing_before")?,
                    reminders: row.try_get("reminders")?,
                    messages: row.try_get("messages")?,
                })
            })
            .collect()
    }
}

fn row(row: &DbRow) -> Result<InstanceRow> {
    let in_hand: i64 = row.try_get("copied_in_hand")?;
    Ok(InstanceRow {
        id: row.try_get("id")?,
        generation: row.try_get("generation")?,
        machine: row.try_get("machine")?,
        place: row.try_get("place")?,
        adopted_at: instant(row, "adopted_at")?,
        raised_at: instant_opt(row, "raised_at")?,
        copied: instant_opt(row, "copied_at")?.map(|at| (at, in_hand)),
    })
}

async fn write(tx: &mut Conn, now: Timestamp, identity: &Identity, generation: i64) -> Result<()> {
    sqlx::query(
        "INSERT INTO instance(id, generation, machine, place, adopted_at, raised_at) VALUES ($1, $2, $3, $4, $5, $5)",
    )
    .bind(&identity.id)
    .bind(generation)
    .bind(&identity.machine)
    .bind(&identity.place)
    .bind(now.as_millisecond())
    .execute(tx)
    .await?;
    Ok(())
}

/// What may have left from another copy: in hand when this one was taken, or waiting and due by `cut`.
async fn set_messages_aside(tx: &mut Conn, now: Timestamp, cut: Timestamp) -> Result<u64> {
    sqlx::query(
        "UPDATE attempt SET phase = 'crashed', ended_at = $1 WHERE ended_at IS NULL \
         AND message IN (SELECT id FROM message WHERE state IN ('leased', 'frozen'))",
    )
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    let in_hand: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM message WHERE state IN ('leased', 'frozen') AND state = 'frozen'")
            .fetch_all(&mut *tx)
            .await?;
    for id in in_hand {
        leave_behind(tx, id).await?;
    }
    // Without bytes nothing can be repeated unchanged, so it is not `unknown` in the ledger's sense; a person who takes it
    // back has it composed anew.
    let aside: Vec<i64> = sqlx::query_scalar(
        "UPDATE message SET state = CASE WHEN bytes IS NULL THEN 'dead' ELSE 'unknown' END, reason = 'copy', \
         unknown_before = (unknown_before OR bytes IS NOT NULL), lease_token = NULL, lease_until = NULL, changed_at = $1 \
         WHERE (state = 'pending' AND created_at < $2 AND not_before < $2) OR state IN ('leased', 'frozen') RETURNING id",
    )
    .bind(now.as_millisecond())
    .bind(cut.as_millisecond())
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE reminder SET state = 'unknown', reason = 'copy', changed_at = $2 \
         WHERE state = 'in_message' AND message IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(ids(aside.iter().copied()))
    .bind(now.as_millisecond())
    .execute(&mut *tx)
    .await?;
    drop_secret_bytes(tx, aside.iter().copied()).await?;
    Ok(aside.len() as u64)
}

/// In the first scan after an adoption: what was due while another copy may have been sending, and is planned only now,
/// is not sent. A ladder armed since then was never in that copy; and what was planned before the adoption is left as
/// that left it: it waits for a moment at which the other copy was no more. Of what was written in this transaction, at
/// `now`; how many were set aside.
pub(super) async fn set_copied_aside(tx: &mut Conn, now: Timestamp) -> Result<u64> {
    let cut: Option<i64> =
        sqlx::query_scalar("SELECT value FROM mark WHERE name = $1").bind(COPY_UNTIL).fetch_optional(&mut *tx).await?;
    let Some(cut) = cut else { return Ok(0) };
    let aside = sqlx::query(
        "UPDATE reminder SET state = 'suppressed', reason = 'copy', changed_at = $1 WHERE state = 'planned' AND due_at < $2 \
         AND reminder.changed_at = $1 AND EXISTS (SELECT 1 FROM obligation o WHERE o.task = reminder.task AND o.clock = reminder.clock \
         AND o.agency = reminder.agency AND o.armed_at < $2)",
    )
    .bind(now.as_millisecond())
    .bind(cut)
    .execute(tx)
    .await?;
    Ok(aside.rows_affected())
}

/// Whether a database that was a file is on a server now.
fn moved_in(there: &DbRow, identity: &Identity) -> Result<bool> {
    let place: &str = there.try_get("place")?;
    Ok(identity.place.starts_with(ON_SERVER) && !place.starts_with(ON_SERVER))
}
