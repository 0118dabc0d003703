//! What an import reads and writes of tasks, in short transactions.

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Row};

use super::{
    Conn, Database, Db,
    daily::wipe_lists,
    intake_directory,
    intake_stored::Found,
    ledger_silence::{Earlier, silence, supersede},
};
use crate::{
    planning::task::{PersonId, TaskId},
    store::{
        Result, StoreError,
        intake::{
            Change, Decide, Decision, Directory, DirectoryChanges, DocumentRow, IntakeStore, NewPerson, ObligationRow,
            TaskColumns, TaskRow, Wiped, time_text,
        },
    },
};

/// Rows of one multi-row INSERT: its binds stay far below SQLite's 32,766.
const ROWS_PER_INSERT: usize = 200;

/// Events whose values say nothing of a task's content: they stay when it becomes classified.
const HARMLESS_EVENTS: &str =
    "'entered','state','due_date','report_date','lead','coordinators','urgency','secrecy','held','completed_on',
     'handler','monitor','assigned_on','original_due','last_update','extensions','imported_urgings'";

#[async_trait]
impl IntakeStore for Database {
    async fn hmac_key(&self) -> Result<[u8; 32]> {
        const READ: &str = "SELECT value FROM meta WHERE key = 'hmac_key'";
        let mut text: Option<String> = sqlx::query_scalar(READ).fetch_optional(self.reading()).await?;
        if text.is_none() {
            let mut tx = self.begin().await?;
            // Two version-4 uuids: 244 bits from the system's generator.
            let fresh = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
            sqlx::query("INSERT INTO meta (key, value) VALUES ('hmac_key', $1) ON CONFLICT (key) DO NOTHING")
                .bind(fresh)
                .execute(&mut *tx)
                .await?;
            text = sqlx::query_scalar(READ).fetch_optional(&mut *tx).await?;
            tx.commit().await?;
        }
        let mut key = [0; 32];
        hex::decode_to_slice(text.unwrap_or_default(), &mut key)
            .map_err(|_| StoreError::Damaged { table: "meta", what: "hmac_key".into() })?;
        Ok(key)
    }

    async fn directory(&self) -> Result<Directory> {
        intake_directory::read(self).await
    }

    async fn write_directory(&self, changes: &DirectoryChanges) -> Result<()> {
        intake_directory::write(self, changes).await
    }

    async fn add_people(&self, people: &[NewPerson]) -> Result<Vec<PersonId>> {
        intake_directory::add_people(self, people).await
    }

    async fn has_tasks(&self) -> Result<bool> {
        Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM task)").fetch_one(self.reading()).await?)
    }

    async fn digests(&self, codes: &[&str]) -> Result<HashMap<String, String>> {
        let rows = sqlx::query("SELECT code, row_digest FROM task WHERE code IN (SELECT value->>0 FROM json_each($1))")
            .bind(json(codes))
            .fetch_all(self.reading())
            .await?;
        rows.into_iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    async fn preview(&self, rows: &[TaskRow], decide: &Decide<'_>) -> Result<Vec<Decision>> {
        let mut conn = self.reading().acquire().await?;
        let found = Found::load(&mut conn, rows).await?;
        Ok(rows.iter().map(|row| decide(row, &found.of(row))).collect())
    }

    async fn write_tasks(
        &self,
        rows: &[TaskRow],
        decide: &Decide<'_>,
        learnt_at: Timestamp,
        by_whom: &str,
    ) -> Result<(Vec<Decision>, Vec<Wiped>)> {
        let mut tx = self.begin().await?;
        let found = Found::load(&mut tx, rows).await?;
        let decisions: Vec<Decision> = rows.iter().map(|row| decide(row, &found.of(row))).collect();
        let mut writer = Writer { conn: &mut tx, now: learnt_at, by_whom, documents: HashMap::new() };
        let mut wiped = Vec::new();
        let mut created = Vec::new();
        for (row, decision) in rows.iter().zip(&decisions) {
            match decision.change.as_deref() {
                None => {}
                Some(change) => match change.id {
                    None => created.push(change),
                    Some(id) => {
                        if change.wipe {
                            wiped.push(writer.wipe(row.row, id).await?);
                        }
                        writer.update(id, change).await?;
                    }
                },
            }
        }
        writer.insert(&created).await?;
        tx.commit().await?;
        Ok((decisions, wiped))
    }

    async fn scrub(&self) -> Result<bool> {
        self.rewrite().await
    }
}

/// Texts for `json_each`, each in an array of its own: both databases read `value->>0` as the text itself.
pub(super) fn json(texts: &[&str]) -> String {
    serde_json::Value::from(texts.iter().map(|text| serde_json::json!([text])).collect::<Vec<_>>()).to_string()
}

type DocumentKey = (String, String, i16);

struct Writer<'a> {
    conn: &'a mut Conn,
    now: Timestamp,
    by_whom: &'a str,
    documents: HashMap<DocumentKey, i64>,
}

impl Writer<'_> {
    /// The document's own number; what it lacked so far is filled in.
    async fn document(&mut self, document: &DocumentRow) -> Result<i64> {
        let (symbol, issuer, year) = document.key();
        let key = (symbol.to_owned(), issuer.to_owned(), year);
        if let Some(id) = self.documents.get(&key) {
            return Ok(*id);
        }
        let id = sqlx::query_scalar(
            "INSERT INTO document (number, symbol_folded, issuer, issuer_folded, year, date, kind, signer, abstract)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (symbol_folded, issuer_folded, year) DO UPDATE SET
               date = coalesce(excluded.date, document.date),
               kind = CASE WHEN excluded.kind = '' THEN document.kind ELSE excluded.kind END,
               signer = CASE WHEN excluded.signer = '' THEN document.signer ELSE excluded.signer END,
               abstract = CASE WHEN excluded.abstract = '' THEN document.abstract ELSE excluded.abstract END
             RETURNING id",
        )
        .bind(&document.number)
        .bind(symbol)
        .bind(&document.issuer)
        .bind(issuer)
        .bind(i64::from(year))
        .bind(document.date.map(|day| day.to_string()))
        .bind(&document.kind)
        .bind(&document.signer)
        .bind(&document.summary)
        .fetch_one(&mut *self.conn)
        .await?;
        self.documents.insert(key, id);
        Ok(id)
    }

    async fn document_of(&mut self, change: &Change) -> Result<Option<i64>> {
        match &change.document {
            Some(document) => Ok(Some(self.document(document).await?)),
            None => Ok(None),
        }
    }

    async fn insert(&mut self, changes: &[&Change]) -> Result<()> {
        let mut next: i64 =
            sqlx::query_scalar("SELECT coalesce(max(id), 0) + 1 FROM task").fetch_one(&mut *self.conn).await?;
        for chunk in changes.chunks(ROWS_PER_INSERT) {
            let first = next;
            next += chunk.len() as i64;
            let mut documents = Vec::with_capacity(chunk.len());
            for change in chunk {
                documents.push(self.document_of(change).await?);
            }
            let mut query = QueryBuilder::<Db>::new(format!("INSERT INTO task ({TASK_COLUMNS}, id) "));
            query.push_values(chunk.iter().zip(&documents).zip(first..), |mut row, ((change, document), id)| {
                bind_columns(&mut row, &change.columns, *document);
                row.push_bind(id);
            });
            query.build().execute(&mut *self.conn).await?;
            let with_ids: Vec<(i64, &Change)> = (first..).zip(chunk.iter().copied()).collect();
            self.coordinators(&with_ids).await?;
            self.obligations(&with_ids).await?;
            self.events(&with_ids).await?;
        }
        Ok(())
    }

    async fn update(&mut self, id: TaskId, change: &Change) -> Result<()> {
        let document = self.document_of(change).await?;
        let entered = change.events.iter().any(|event| event.what == "state");
        let state_count: i64 = if entered {
            // How often it came into this state, this time included.
            sqlx::query_scalar(
                "SELECT 1 + max(n) FROM (SELECT count(*) AS n FROM task_event WHERE task = $1 AND what IN ('state', 'entered') \
                 AND new = $2 UNION ALL SELECT state_count FROM task WHERE id = $1) AS counted",
            )
            .bind(id.0)
            .bind(change.columns.state.as_str())
            .fetch_one(&mut *self.conn)
            .await?
        } else {
            sqlx::query_scalar("SELECT state_count FROM task WHERE id = $1")
                .bind(id.0)
                .fetch_one(&mut *self.conn)
                .await?
        };
        let was_silent: bool = sqlx::query_scalar(
            "SELECT held <> '' OR state IN ('submitted', 'paused', 'returned') FROM task WHERE id = $1",
        )
        .bind(id.0)
        .fetch_one(&mut *self.conn)
        .await?;
        let mut query = QueryBuilder::<Db>::new(format!(
            "UPDATE task SET revision = revision + 1, ({TASK_COLUMNS}, state_count) = ("
        ));
        {
            let mut row = query.separated(", ");
            bind_columns(&mut row, &change.columns, document);
            row.push_bind(state_count);
        }
        query.push(") WHERE id = ").push_bind(id.0);
        query.build().execute(&mut *self.conn).await?;
        if was_silent && change.columns.state.is_urged() && change.columns.held.is_empty() {
            // What was due while nobody could be urged counts as late entry.
            sqlx::query("UPDATE task SET resumed_at = $2 WHERE id = $1")
                .bind(id.0)
                .bind(self.now.as_millisecond())
                .execute(&mut *self.conn)
                .await?;
        }

        sqlx::query("DELETE FROM task_coordinator WHERE task = $1").bind(id.0).execute(&mut *self.conn).await?;
        let with_id = [(id.0, change)];
        self.coordinators(&with_id).await?;
        self.obligations(&with_id).await?;
        self.events(&with_id).await?;
        for old in &change.supersede {
            let which = Earlier { task: id.0, clock: old.clock, agency: old.agency.0, below: old.below };
            supersede(self.conn, which, self.now, old.reason).await?;
        }
        if let Some(reason) = change.silence {
            silence(self.conn, id.0, self.now, reason).await?;
        }
        for moved in &change.moved {
            sqlx::query(
                "INSERT INTO extension (task, clock, old_due, new_due, recorded_at) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(id.0)
            .bind(moved.clock.as_str())
            .bind(moved.old_due.map(|day| day.to_string()))
            .bind(moved.new_due.map(|day| day.to_string()))
            .bind(self.now.as_millisecond())
            .execute(&mut *self.conn)
            .await?;
        }
        Ok(())
    }

    async fn coordinators(&mut self, changes: &[(i64, &Change)]) -> Result<()> {
        let rows: Vec<(i64, i64)> =
            changes.iter().flat_map(|(id, change)| change.coordinators.iter().map(|agency| (*id, agency.0))).collect();
        for chunk in rows.chunks(ROWS_PER_INSERT * 10) {
            let mut query = QueryBuilder::<Db>::new("INSERT INTO task_coordinator (task, agency) ");
            query.push_values(chunk, |mut row, (task, agency)| {
                row.push_bind(*task).push_bind(*agency);
            });
            query.build().execute(&mut *self.conn).await?;
        }
        Ok(())
    }

    async fn obligations(&mut self, changes: &[(i64, &Change)]) -> Result<()> {
        let rows: Vec<(i64, &ObligationRow)> =
            changes.iter().flat_map(|(id, change)| change.obligations.iter().map(|one| (*id, one))).collect();
        for chunk in rows.chunks(ROWS_PER_INSERT * 5) {
            let mut query = QueryBuilder::<Db>::new(
                "INSERT INTO obligation (task, clock, agency, role, due_date, due_time, arming, armed_at, armed_by,
                   overdue_from, ended_at) ",
            );
            query.push_values(chunk, |mut row, (task, one)| {
                row.push_bind(*task)
                    .push_bind(one.clock.as_str())
                    .push_bind(one.agency.0)
                    .push_bind(one.role.as_str())
                    .push_bind(one.due.map(|due| due.date.to_string()))
                    .push_bind(time_text(one.due.and_then(|due| due.time)))
                    .push_bind(i64::from(one.arming))
                    .push_bind(one.armed_at.as_millisecond())
                    .push_bind(one.armed_by.as_str())
                    .push_bind(one.overdue_from.map(|day| day.to_string()))
                    .push_bind(one.ended_at.map(Timestamp::as_millisecond));
            });
            // The rule under which it was planned and its acknowledgement belong to the arming.
            query.push(
                " ON CONFLICT (task, clock, agency) DO UPDATE SET role = excluded.role, due_date = excluded.due_date,
                   due_time = excluded.due_time, armed_at = excluded.armed_at, armed_by = excluded.armed_by,
                   overdue_from = excluded.overdue_from, ended_at = excluded.ended_at,
                   acknowledged_until = CASE WHEN excluded.arming > obligation.arming THEN NULL ELSE obligation.acknowledged_until END,
                   rule = CASE WHEN excluded.arming > obligation.arming THEN NULL ELSE obligation.rule END,
                   rule_since = CASE WHEN excluded.arming > obligation.arming THEN NULL ELSE obligation.rule_since END,
                   arming = excluded.arming",
            );
            query.build().execute(&mut *self.conn).await?;
        }
        Ok(())
    }

    async fn events(&mut self, changes: &[(i64, &Change)]) -> Result<()> {
        let rows: Vec<_> =
            changes.iter().flat_map(|(id, change)| change.events.iter().map(|event| (*id, event))).collect();
        for chunk in rows.chunks(ROWS_PER_INSERT * 5) {
            let mut query = QueryBuilder::<Db>::new(
                "INSERT INTO task_event (task, what, old, new, effective_on, learnt_at, by_whom) ",
            );
            query.push_values(chunk, |mut row, (task, event)| {
                row.push_bind(*task)
                    .push_bind(event.what)
                    .push_bind(&event.old)
                    .push_bind(&event.new)
                    .push_bind(event.effective_on.map(|day| day.to_string()))
                    .push_bind(self.now.as_millisecond())
                    .push_bind(self.by_whom);
            });
            query.build().execute(&mut *self.conn).await?;
        }
        Ok(())
    }

    /// Takes the content of a task that is classified now out of every table. What was filed as evidence stays: a
    /// notice is never edited.
    async fn wipe(&mut self, row: u32, id: TaskId) -> Result<Wiped> {
        // Also those that its reminders were in before, of unknown fate, and those that they were taken back from.
        const ITS_MESSAGES: &str = "id IN (WITH RECURSIVE carried(id) AS (\
               SELECT message FROM reminder WHERE task = $1 AND message IS NOT NULL \
               UNION SELECT m.earlier FROM carried JOIN message m ON m.id = carried.id WHERE m.earlier IS NOT NULL), \
             told(id) AS (SELECT id FROM carried \
               UNION SELECT m.id FROM told JOIN message m ON m.earlier = told.id \
               WHERE m.state IN ('unknown', 'dead', 'suppressed')) \
             SELECT id FROM told)";
        // A document of this batch may be the one that goes.
        self.documents.clear();
        let conn = &mut *self.conn;
        let count = |states: &str| {
            let sql = format!("SELECT count(*) FROM message WHERE {ITS_MESSAGES} AND state IN ({states})");
            sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(sql)).bind(id.0)
        };
        let sent = count("'sent','unknown'").fetch_one(&mut *conn).await? as u64;
        let under_way = count("'leased','frozen'").fetch_one(&mut *conn).await? as u64;
        let notices: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notice WHERE task = $1").bind(id.0).fetch_one(&mut *conn).await?;
        // A message that was frozen must keep some bytes (a CHECK), and one that may have arrived the name under which it did:
        // what it carries for others goes on in one that names it. One that waits otherwise is composed anew without this task.
        let sql = format!(
            "UPDATE message SET bytes = CASE WHEN state IN ('sent', 'unknown') OR unknown_before THEN $2 END,
                                message_id = CASE WHEN state = 'pending' AND NOT unknown_before THEN NULL ELSE message_id END,
                                dated_at = CASE WHEN state = 'pending' AND NOT unknown_before THEN NULL ELSE dated_at END
             WHERE {ITS_MESSAGES} AND state NOT IN ('leased', 'frozen') AND bytes IS NOT NULL"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(Vec::<u8>::new()).execute(&mut *conn).await?;
        // A daily list may have named it by its code.
        wipe_lists(&mut *conn).await?;
        // Overwritten here as well as by the update that follows, so that no CHECK can be met halfway.
        sqlx::query(
            "UPDATE task SET work = '', note = '', result = '', document = NULL, field = '', priority = '',
                             assigner = '', due_typed = '', report_typed = '', report_cycle = '', fingerprint = ''
             WHERE id = $1",
        )
        .bind(id.0)
        .execute(&mut *conn)
        .await?;
        // Not only the last one: the task may have been moved from one document to another while it was open.
        sqlx::query("DELETE FROM document WHERE id NOT IN (SELECT document FROM task WHERE document IS NOT NULL)")
            .execute(&mut *conn)
            .await?;
        let sql =
            format!("UPDATE task_event SET old = '', new = '' WHERE task = $1 AND what NOT IN ({HARMLESS_EVENTS})");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).execute(&mut *conn).await?;
        sqlx::query("UPDATE task_event SET paper = '' WHERE task = $1").bind(id.0).execute(&mut *conn).await?;
        sqlx::query("UPDATE extension SET paper = '' WHERE task = $1").bind(id.0).execute(&mut *conn).await?;
        sqlx::query("UPDATE contact_log SET whom = '', outcome = '' WHERE task = $1")
            .bind(id.0)
            .execute(&mut *conn)
            .await?;
        Ok(Wiped { row, sent, under_way, notices: notices as u64 })
    }
}

/// The columns that [`bind_columns`] binds, in its order.
const TASK_COLUMNS: &str = "code, document, work, field, priority, assigner, assigner_block, urgency, secrecy, state,
    state_since, completed_on, result, note, assigned_on, lead, handler, monitor, due_typed, due_reading,
    original_due, report_typed, report_reading, report_cycle, extensions, imported_urgings, last_update, held,
    fingerprint, row_digest, known_at, next_look_at";

fn bind_columns(
    row: &mut sqlx::query_builder::Separated<'_, Db, &'static str>,
    task: &TaskColumns,
    document: Option<i64>,
) {
    row.push_bind(task.code.clone())
        .push_bind(document)
        .push_bind(task.work.to_string())
        .push_bind(task.field.to_string())
        .push_bind(task.priority.to_string())
        .push_bind(task.assigner.to_string())
        .push_bind(task.assigner_block.as_str())
        .push_bind(task.urgency.as_str())
        .push_bind(task.secrecy.as_str())
        .push_bind(task.state.as_str())
        .push_bind(task.state_since.as_millisecond())
        .push_bind(task.completed_on.map(|day| day.to_string()))
        .push_bind(task.result.to_string())
        .push_bind(task.note.to_string())
        .push_bind(task.assigned_on.map(|day| day.to_string()))
        .push_bind(task.lead.map(|agency| agency.0))
        .push_bind(task.handler.map(|person| person.0))
        .push_bind(task.monitor.map(|person| person.0))
        .push_bind(task.due_typed.to_string())
        .push_bind(task.due_reading.to_string())
        .push_bind(task.original_due.map(|day| day.to_string()))
        .push_bind(task.report_typed.to_string())
        .push_bind(task.report_reading.to_string())
        .push_bind(task.report_cycle.to_string())
        .push_bind(i64::from(task.extensions))
        .push_bind(i64::from(task.imported_urgings))
        .push_bind(task.last_update.map(|day| day.to_string()))
        .push_bind(task.held)
        .push_bind(task.fingerprint.clone())
        .push_bind(task.row_digest.clone())
        .push_bind(task.known_at.as_millisecond())
        .push_bind(task.next_look_at.map(Timestamp::as_millisecond));
}
