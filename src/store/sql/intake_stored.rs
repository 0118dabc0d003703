//! Reading the stored tasks that rows of an import may be.

use std::collections::HashMap;

use jiff::civil::Time;
use sqlx::Row;

use super::{Conn, DbRow, intake::json, intake_directory::date, rows::number};
use crate::{
    clock::millis,
    planning::task::{AgencyId, ArmedBy, Block, Clock, Deadline, PersonId, Role, Secrecy, TaskId, TaskState, Urgency},
    store::{
        Result, StoreError,
        intake::{DocumentRow, HELD_CODES, ObligationRow, StoredTask, TaskColumns, TaskRow, Text},
    },
};

/// The stored tasks that rows of a batch may be.
pub(super) struct Found {
    tasks: Vec<StoredTask>,
    by_code: HashMap<String, usize>,
    by_fingerprint: HashMap<String, Vec<usize>>,
}

impl Found {
    pub(super) async fn load(conn: &mut Conn, rows: &[TaskRow]) -> Result<Self> {
        let codes: Vec<String> = rows.iter().flat_map(TaskRow::codes).collect();
        let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
        let prints: Vec<&str> =
            rows.iter().map(|row| row.columns.fingerprint.as_str()).filter(|print| !print.is_empty()).collect();
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM task WHERE code IN (SELECT value->>0 FROM json_each($1))
             UNION
             SELECT id FROM task WHERE fingerprint <> '' AND fingerprint IN (SELECT value->>0 FROM json_each($2))",
        )
        .bind(json(&codes))
        .bind(json(&prints))
        .fetch_all(&mut *conn)
        .await?;
        let tasks = load(conn, &ids).await?;
        let mut by_code = HashMap::new();
        let mut by_fingerprint: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, task) in tasks.iter().enumerate() {
            by_code.insert(task.columns.code.clone(), at);
            if !task.columns.fingerprint.is_empty() {
                by_fingerprint.entry(task.columns.fingerprint.clone()).or_default().push(at);
            }
        }
        Ok(Self { tasks, by_code, by_fingerprint })
    }

    pub(super) fn of(&self, row: &TaskRow) -> Vec<&StoredTask> {
        let mut at: Vec<usize> = row.codes().iter().filter_map(|code| self.by_code.get(code).copied()).collect();
        at.extend(self.by_fingerprint.get(&row.columns.fingerprint).into_iter().flatten());
        at.sort_unstable();
        at.dedup();
        at.into_iter().map(|at| &self.tasks[at]).collect()
    }
}

fn damaged(what: &str) -> StoreError {
    StoreError::Damaged { table: "task", what: what.to_owned() }
}

fn text(row: &DbRow, column: &str) -> Result<Text> {
    Ok(row.try_get::<&str, _>(column)?.into())
}

fn word<T>(row: &DbRow, column: &str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
    read(row.try_get(column)?).ok_or_else(|| damaged(column))
}

fn deadline(row: &DbRow) -> Result<Option<Deadline>> {
    let time: Option<String> = row.try_get("due_time")?;
    let time = time.map(|time| time.parse::<Time>().map_err(|_| damaged("due_time"))).transpose()?;
    Ok(date(row, "due_date", "obligation")?.map(|date| Deadline { date, time }))
}

async fn load(conn: &mut Conn, ids: &[i64]) -> Result<Vec<StoredTask>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = serde_json::Value::from(ids.to_vec()).to_string();
    let rows = sqlx::query(
        "SELECT t.*, d.number, d.symbol_folded, d.issuer, d.issuer_folded, d.year, d.date AS document_date,
                d.kind AS document_kind, d.signer, d.abstract
         FROM task t LEFT JOIN document d ON d.id = t.document
         WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY t.id",
    )
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    let mut tasks = Vec::with_capacity(rows.len());
    let mut places = HashMap::new();
    for row in &rows {
        let id: i64 = row.try_get("id")?;
        places.insert(id, tasks.len());
        tasks.push(task(row, TaskId(id))?);
    }
    let coordinators = sqlx::query(
        "SELECT task, agency FROM task_coordinator WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY agency",
    )
    .bind(&ids)
    .fetch_all(&mut *conn)
    .await?;
    for row in coordinators {
        if let Some(at) = places.get(&row.try_get::<i64, _>(0)?) {
            tasks[*at].coordinators.push(AgencyId(row.try_get(1)?));
        }
    }
    let obligations =
        sqlx::query("SELECT * FROM obligation WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1))")
            .bind(&ids)
            .fetch_all(&mut *conn)
            .await?;
    for row in &obligations {
        if let Some(at) = places.get(&row.try_get::<i64, _>("task")?) {
            tasks[*at].obligations.push(obligation(row)?);
        }
    }
    Ok(tasks)
}

fn obligation(row: &DbRow) -> Result<ObligationRow> {
    Ok(ObligationRow {
        clock: word(row, "clock", Clock::from_word)?,
        agency: AgencyId(row.try_get("agency")?),
        role: word(row, "role", Role::from_word)?,
        due: deadline(row)?,
        arming: number(row, "arming")?,
        armed_at: millis(row.try_get("armed_at")?),
        armed_by: word(row, "armed_by", ArmedBy::from_word)?,
        overdue_from: date(row, "overdue_from", "obligation")?,
        ended_at: row.try_get::<Option<i64>, _>("ended_at")?.map(millis),
    })
}

fn task(row: &DbRow, id: TaskId) -> Result<StoredTask> {
    let held: &str = row.try_get("held")?;
    // A word of a later version is still a hold.
    let held = HELD_CODES.iter().copied().find(|code| *code == held).unwrap_or("held");
    let columns = TaskColumns {
        code: row.try_get("code")?,
        work: text(row, "work")?,
        field: text(row, "field")?,
        priority: text(row, "priority")?,
        assigner: text(row, "assigner")?,
        assigner_block: word(row, "assigner_block", Block::from_word)?,
        urgency: word(row, "urgency", Urgency::from_word)?,
        secrecy: word(row, "secrecy", Secrecy::from_word)?,
        state: word(row, "state", TaskState::from_word)?,
        state_since: millis(row.try_get("state_since")?),
        completed_on: date(row, "completed_on", "task")?,
        result: text(row, "result")?,
        note: text(row, "note")?,
        assigned_on: date(row, "assigned_on", "task")?,
        lead: row.try_get::<Option<i64>, _>("lead")?.map(AgencyId),
        handler: row.try_get::<Option<i64>, _>("handler")?.map(PersonId),
        monitor: row.try_get::<Option<i64>, _>("monitor")?.map(PersonId),
        due_typed: text(row, "due_typed")?,
        due_reading: text(row, "due_reading")?,
        original_due: date(row, "original_due", "task")?,
        report_typed: text(row, "report_typed")?,
        report_reading: text(row, "report_reading")?,
        report_cycle: text(row, "report_cycle")?,
        extensions: number(row, "extensions")?,
        imported_urgings: number(row, "imported_urgings")?,
        last_update: date(row, "last_update", "task")?,
        held,
        fingerprint: row.try_get("fingerprint")?,
        row_digest: row.try_get("row_digest")?,
        known_at: millis(row.try_get("known_at")?),
        next_look_at: row.try_get::<Option<i64>, _>("next_look_at")?.map(millis),
    };
    let document = match row.try_get::<Option<String>, _>("symbol_folded")? {
        None => None,
        Some(symbol_folded) => Some(DocumentRow {
            symbol_folded,
            number: row.try_get("number")?,
            issuer: row.try_get("issuer")?,
            issuer_folded: row.try_get("issuer_folded")?,
            year: number(row, "year")?,
            date: date(row, "document_date", "document")?,
            kind: row.try_get("document_kind")?,
            signer: row.try_get("signer")?,
            summary: row.try_get("abstract")?,
        }),
    };
    Ok(StoredTask { id, columns, document, coordinators: Vec::new(), obligations: Vec::new() })
}
