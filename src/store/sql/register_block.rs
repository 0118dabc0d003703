//! Notices filed as one block of entries: drawn up one after another, for each entry holds the hash of the one before;
//! written together, for a statement a row would be most of a morning.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::Row;

use super::{
    Conn,
    register::Chain,
    rows::{ids, number, word},
};
use crate::{
    planning::task::{AgencyId, Clock, TaskId},
    store::{
        Result, StoreError,
        register::{EntryPlace, FileKind, Filed, NewNotice, NoticeKey, NoticePlace, SealedEntry},
    },
};

/// Files notices inside the caller's write transaction, as one block of entries. A notice that stands already under
/// its key is answered as it is and allocates neither number nor seq. Nothing remains if the caller rolls back.
pub(crate) async fn file_notices(tx: &mut Conn, filings: &[NewNotice], now: Timestamp) -> Result<Vec<Filed>> {
    let mut filed = Vec::with_capacity(filings.len());
    if filings.is_empty() {
        return Ok(filed);
    }
    let mut chain = Chain::lock(tx).await?;
    let mut standing = standing(tx, filings).await?;
    let mut last: BTreeMap<i16, i64> = BTreeMap::new();
    let mut block = Block::default();
    for filing in filings {
        let key = &filing.key;
        if let Some(stands) = standing.get(key) {
            filed.push(Filed { new: false, ..stands.clone() });
            continue;
        }
        let number = match last.get(&filing.year) {
            Some(last) => last + 1,
            None => last_number(tx, filing.year).await? + 1,
        };
        let place = NoticePlace { entry: chain.next(now), key, due_at: filing.due_at, year: filing.year, number };
        let sealed = (filing.draft)(&place)
            .map_err(|why| StoreError::Refused(format!("cannot draw up the notice of task {}: {why}", key.task.0)))?;
        let seq = chain.advance(&place.entry, &sealed.entry);
        block.entry(&place.entry, &sealed.entry);
        block.notices.push(json!([
            seq,
            filing.year,
            number,
            key.task.0,
            key.clock.as_str(),
            key.arming,
            key.agency.0,
            key.rule,
            key.step,
            key.occurrence,
            filing.due_at.as_millisecond(),
            sealed.facts,
            sealed.facts_hash
        ]));
        block.files(seq, &sealed.files);
        last.insert(filing.year, number);
        let new = Filed { notice: seq, year: filing.year, number, new: true };
        standing.insert(key.clone(), new.clone());
        filed.push(new);
    }
    block.write(tx, now).await?;
    for (year, last) in last {
        keep_number(tx, year, last).await?;
    }
    chain.keep(tx).await?;
    Ok(filed)
}

/// The notices that the tasks of these have already.
async fn standing(tx: &mut Conn, filings: &[NewNotice]) -> Result<HashMap<NoticeKey, Filed>> {
    let rows = sqlx::query(
        "SELECT id, year, number, task, clock, arming, agency, rule, step, occurrence FROM notice \
         WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(ids(filings.iter().map(|filing| filing.key.task.0)))
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let key = NoticeKey {
                task: TaskId(row.try_get("task")?),
                clock: word(row, "clock", Clock::from_word)?,
                arming: number(row, "arming")?,
                agency: AgencyId(row.try_get("agency")?),
                rule: row.try_get("rule")?,
                step: row.try_get("step")?,
                occurrence: number(row, "occurrence")?,
            };
            let (notice, year) = (row.try_get("id")?, number(row, "year")?);
            Ok((key, Filed { notice, year, number: row.try_get("number")?, new: false }))
        })
        .collect()
}

async fn last_number(tx: &mut Conn, year: i16) -> Result<i64> {
    let last: Option<i64> = sqlx::query_scalar("SELECT last FROM notice_number WHERE year = $1")
        .bind(i64::from(year))
        .fetch_optional(tx)
        .await?;
    Ok(last.unwrap_or(0))
}

async fn keep_number(tx: &mut Conn, year: i16, last: i64) -> Result<()> {
    sqlx::query("INSERT INTO notice_number (year, last) VALUES ($1, $2) ON CONFLICT (year) DO UPDATE SET last = $2")
        .bind(i64::from(year))
        .bind(last)
        .execute(tx)
        .await?;
    Ok(())
}

/// Rows of a block, as they travel. Bytes travel as one blob of which each row takes its part.
#[derive(Default)]
pub(super) struct Block {
    entries: Vec<Value>,
    fields: Vec<u8>,
    personal: Vec<Value>,
    salts: Vec<u8>,
    notices: Vec<Value>,
    files: Vec<Value>,
}

impl Block {
    pub(super) fn entry(&mut self, place: &EntryPlace, entry: &SealedEntry) {
        // `substr` counts from 1.
        self.entries.push(json!([
            place.seq,
            entry.kind,
            place.at.as_millisecond(),
            entry.format,
            hex::encode(place.prev),
            hex::encode(entry.hash),
            self.fields.len() + 1,
            entry.fields.len()
        ]));
        self.fields.extend_from_slice(&entry.fields);
        for personal in &entry.personal {
            let salt = personal.salt.as_slice();
            self.personal.push(json!([place.seq, personal.field, personal.value, self.salts.len() + 1, salt.len()]));
            self.salts.extend_from_slice(salt);
        }
    }

    pub(super) fn files(&mut self, notice: i64, files: &[(FileKind, String)]) {
        self.files.extend(files.iter().map(|(kind, path)| json!([notice, kind.as_str(), path])));
    }

    /// Writes all of it: a statement for each table.
    pub(super) async fn write(self, tx: &mut Conn, now: Timestamp) -> Result<()> {
        let entries = "INSERT INTO register (seq, kind, at, format, prev, fields, hash) \
             SELECT CAST(value->>0 AS BIGINT), value->>1, CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT), value->>4, \
             substr($2, CAST(value->>6 AS INTEGER), CAST(value->>7 AS INTEGER)), value->>5 FROM json_each($1)";
        let personal = "INSERT INTO personal_data (seq, field, salt, value) \
             SELECT CAST(value->>0 AS BIGINT), value->>1, \
             substr($2, CAST(value->>3 AS INTEGER), CAST(value->>4 AS INTEGER)), value->>2 FROM json_each($1)";
        for (statement, rows, bytes) in [(entries, self.entries, self.fields), (personal, self.personal, self.salts)] {
            if !rows.is_empty() {
                sqlx::query(statement).bind(Value::from(rows).to_string()).bind(bytes).execute(&mut *tx).await?;
            }
        }
        if !self.notices.is_empty() {
            sqlx::query(
                "INSERT INTO notice (id, year, number, task, clock, arming, agency, rule, step, occurrence, due_at, facts, \
                 facts_hash, filed_at, seq) \
                 SELECT CAST(value->>0 AS BIGINT), CAST(value->>1 AS BIGINT), CAST(value->>2 AS BIGINT), CAST(value->>3 AS BIGINT), \
                 value->>4, CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), value->>7, value->>8, CAST(value->>9 AS BIGINT), \
                 CAST(value->>10 AS BIGINT), value->>11, value->>12, $2, CAST(value->>0 AS BIGINT) FROM json_each($1)",
            )
            .bind(Value::from(self.notices).to_string())
            .bind(now.as_millisecond())
            .execute(&mut *tx)
            .await?;
        }
        if !self.files.is_empty() {
            sqlx::query(
                "INSERT INTO file_export (notice, kind, path) \
                 SELECT CAST(value->>0 AS BIGINT), value->>1, value->>2 FROM json_each($1)",
            )
            .bind(Value::from(self.files).to_string())
            .execute(tx)
            .await?;
        }
        Ok(())
    }
}
