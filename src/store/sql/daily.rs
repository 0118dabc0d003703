//! The daily list of those who could not be reached.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{
    Conn, Database, DbRow,
    rows::{damaged, date, ids, instant, word},
};
use crate::{
    planning::{
        rules::{Audience, ChannelKind},
        task::{AgencyId, Block, PersonId, Role, Secrecy, TaskId},
    },
    store::{
        Result,
        daily::{DailyList, DailyStore, ListAudience, NewDailyList, OpenList, Unreached},
        ledger::{Claimed, Freeze, UnreachableSlot},
    },
};

#[async_trait]
impl DailyStore for Database {
    async fn unreached(&self) -> Result<Vec<Unreached>> {
        let mut tx = self.snapshot().await?;
        let rows = sqlx::query(
            "SELECT u.agency, u.audience, u.channel, u.task, u.why, u.since, t.code, t.handler, t.monitor, t.assigner_block, \
             t.secrecy, o.role FROM unreachable u JOIN task t ON t.id = u.task \
             JOIN (SELECT task, agency, max(role) AS role FROM obligation WHERE ended_at IS NULL \
               AND task IN (SELECT task FROM unreachable) GROUP BY task, agency) o ON o.task = u.task AND o.agency = u.agency \
             WHERE t.state NOT IN ('done', 'withdrawn') ORDER BY u.agency, u.audience, u.channel, u.task",
        )
        .fetch_all(&mut *tx)
        .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut unreached = Unreached {
                slot: UnreachableSlot {
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
                },
                code: row.try_get("code")?,
                since: instant(row, "since")?,
                address: String::new(),
                reply: String::new(),
            };
            if unreached.slot.why == "refused" {
                (unreached.address, unreached.reply) = refusal(&mut tx, row).await?.unwrap_or_default();
            }
            found.push(unreached);
        }
        Ok(found)
    }

    async fn open_lists(&self) -> Result<Vec<OpenList>> {
        let rows = sqlx::query(
            "SELECT d.day, d.address, d.audience, d.digest, m.recipient FROM daily_list d JOIN message m ON m.id = d.message \
             WHERE d.entries > 0 AND d.day = (SELECT max(l.day) FROM daily_list l WHERE l.address = d.address) \
             ORDER BY d.address",
        )
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(OpenList {
                    day: date(row, "day")?.ok_or_else(|| damaged("day", ""))?,
                    address: row.try_get("address")?,
                    audience: word(row, "audience", ListAudience::from_word)?,
                    recipient: row.try_get("recipient")?,
                    digest: row.try_get("digest")?,
                })
            })
            .collect()
    }

    async fn save_lists(&self, now: Timestamp, lists: &[NewDailyList]) -> Result<u64> {
        let mut tx = self.begin().await?;
        let mut made = 0;
        for list in lists {
            let day = list.day.to_string();
            let there: Option<i64> =
                sqlx::query_scalar("SELECT message FROM daily_list WHERE day = $1 AND address = $2")
                    .bind(&day)
                    .bind(&list.address)
                    .fetch_optional(&mut *tx)
                    .await?;
            if there.is_some() {
                continue;
            }
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO message(channel, address, recipient, hours, state, not_before, expires_at, created_at, changed_at) \
                 VALUES ('email', $1, $2, $3, 'pending', $4, $5, $4, $4) RETURNING id",
            )
            .bind(&list.address)
            .bind(&list.recipient)
            .bind(&list.hours)
            .bind(now.as_millisecond())
            .bind(list.expires_at.as_millisecond())
            .fetch_one(&mut *tx)
            .await?;
            // The key is the promise: two that write at once end with one list, the other's message undone with it.
            sqlx::query(
                "INSERT INTO daily_list(day, address, audience, message, entries, digest) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&day)
            .bind(&list.address)
            .bind(list.audience.as_str())
            .bind(id)
            .bind(i64::try_from(list.entries).unwrap_or(i64::MAX))
            .bind(&list.digest)
            .execute(&mut *tx)
            .await?;
            made += 1;
        }
        tx.commit().await?;
        Ok(made)
    }
}

/// Whose address was refused last in this slot, and in which words.
async fn refusal(tx: &mut Conn, row: &DbRow) -> Result<Option<(String, String)>> {
    let (agency, audience): (i64, String) = (row.try_get("agency")?, row.try_get("audience")?);
    let (channel, task): (String, i64) = (row.try_get("channel")?, row.try_get("task")?);
    let found = sqlx::query(
        "SELECT m.address, a.code, a.reply FROM reminder r JOIN message m ON m.id = r.message \
         JOIN attempt a ON a.message = m.id WHERE r.task = $1 AND r.agency = $2 AND r.audience = $3 AND r.channel = $4 \
         AND r.state = 'dead' ORDER BY r.id DESC, a.n DESC LIMIT 1",
    )
    .bind(task)
    .bind(agency)
    .bind(&audience)
    .bind(&channel)
    .fetch_optional(tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let (code, reply): (Option<i64>, String) = (found.try_get("code")?, found.try_get("reply")?);
    let code = code.filter(|code| *code > 0 && !reply.starts_with(&code.to_string()));
    let said = code.map_or(reply.clone(), |code| format!("{code} {reply}"));
    Ok(Some((found.try_get("address")?, said.trim().to_owned())))
}

/// The lists that messages carry.
pub(super) async fn lists_of(tx: &mut Conn, messages: impl Iterator<Item = i64>) -> Result<HashMap<i64, DailyList>> {
    let rows = sqlx::query(
        "SELECT message, day, audience, entries, digest FROM daily_list WHERE message IN \
         (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(ids(messages))
    .fetch_all(tx)
    .await?;
    let list = |row: &DbRow| -> Result<DailyList> {
        Ok(DailyList {
            day: date(row, "day")?.ok_or_else(|| damaged("day", ""))?,
            audience: word(row, "audience", ListAudience::from_word)?,
            entries: u64::try_from(row.try_get::<i64, _>("entries")?).unwrap_or_default(),
            digest: row.try_get("digest")?,
        })
    };
    rows.iter().map(|row| Ok((row.try_get("message")?, list(row)?))).collect()
}

/// Gives claimed messages without a reminder the lists they carry. What was not handed over yet is composed under this
/// claim's token from what may be said now, whatever was taken back before.
pub(super) async fn attach_lists(tx: &mut Conn, claimed: &mut [Claimed]) -> Result<()> {
    let bare = |message: &&Claimed| message.rows.is_empty();
    let fresh: Vec<i64> =
        claimed.iter().filter(bare).filter(|message| message.frozen.is_none()).map(|message| message.id).collect();
    if !fresh.is_empty() {
        sqlx::query(
            "UPDATE daily_list SET digest = substr(digest, 7) WHERE substr(digest, 1, 6) = 'wiped ' \
             AND message IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
        )
        .bind(ids(fresh))
        .execute(&mut *tx)
        .await?;
    }
    let bare: Vec<i64> = claimed.iter().filter(bare).map(|message| message.id).collect();
    if bare.is_empty() {
        return Ok(());
    }
    let mut lists = lists_of(tx, bare.into_iter()).await?;
    for message in claimed {
        message.list = lists.remove(&message.id);
    }
    Ok(())
}

/// Whatever daily lists say by now of tasks, one of which has become a secret of the State, is taken back: the bytes of
/// what has left or waits to be repeated, at once; what is under way does not pass its gate any more, and what has passed
/// it loses its bytes with its outcome (`wiped` before its digest says so, and is no list that could be repeated).
pub(super) async fn wipe_lists(tx: &mut Conn) -> Result<()> {
    sqlx::query(
        "UPDATE daily_list SET digest = 'wiped ' || digest WHERE entries > 0 AND substr(digest, 1, 6) <> 'wiped ' \
         AND EXISTS (SELECT 1 FROM message m WHERE m.id = daily_list.message AND m.state IN ('pending', 'leased', 'frozen'))",
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE message SET bytes = $1 WHERE id IN (SELECT message FROM daily_list) \
         AND state NOT IN ('leased', 'frozen') AND length(bytes) > 0",
    )
    .bind(Vec::<u8>::new())
    .execute(tx)
    .await?;
    Ok(())
}

/// Of messages at their gate those that carry a list whose day is not over, and that names no task of which nothing may
/// be said any more.
pub(super) async fn lists_of_today(tx: &mut Conn, now: Timestamp, freezes: &[Freeze]) -> Result<Vec<i64>> {
    let bare: Vec<i64> = freezes.iter().filter(|freeze| freeze.rows.is_empty()).map(|freeze| freeze.message).collect();
    if bare.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(
        "SELECT d.message FROM daily_list d JOIN message m ON m.id = d.message WHERE m.expires_at > $2 \
         AND substr(d.digest, 1, 6) <> 'wiped ' AND d.message IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(ids(bare))
    .bind(now.as_millisecond())
    .fetch_all(tx)
    .await?)
}
