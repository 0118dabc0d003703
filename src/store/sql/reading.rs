//! Reading for letters, notices and answers to people.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use jiff::{Timestamp, civil::Date};
use sqlx::Row;

use super::{
    Conn, Database,
    outbox::revision,
    reading_story::{carried_by, notices_of, story, urgings_of},
    rows::{date, ids, instant, number, word},
};
use crate::{
    clock::millis,
    planning::{
        directory::{Agency, Person, Post, PostRole},
        task::{AgencyId, Block, Clock, PersonId, TaskId},
    },
    store::{
        Result,
        ledger::{
            CarriedRow, ContactRow, Counts, DirectoryRows, DocumentRow, ExtensionRow, ReadingStore, StoryRow,
            TaskNotice, TaskTexts, UrgingRow,
        },
    },
};

/// What `status` and the figures count. Each part walks an index that holds only what is counted; the terms of the
/// partial indexes stand here word for word, or SQLite would walk the tables.
pub(super) const COUNTS: &str = "\
    SELECT (SELECT count(*) FROM task WHERE next_look_at IS NOT NULL) AS open_tasks, \
    (SELECT count(*) FROM task WHERE held <> '') AS held_tasks, \
    (SELECT min(next_look_at) FROM task WHERE next_look_at IS NOT NULL) AS next_look, \
    (SELECT count(*) FROM message WHERE state = 'pending' AND channel = 'email') \
    + (SELECT count(*) FROM message WHERE state IN ('leased','frozen') AND channel = 'email') AS email, \
    (SELECT count(*) FROM message WHERE state = 'pending' AND channel = 'zalo') \
    + (SELECT count(*) FROM message WHERE state IN ('leased','frozen') AND channel = 'zalo') AS zalo, \
    (SELECT count(*) FROM message WHERE state IN ('dead','unknown') AND state = 'dead') AS dead, \
    (SELECT count(*) FROM message WHERE state IN ('dead','unknown') AND state = 'unknown') AS unknown, \
    (SELECT count(*) FROM unreachable u WHERE EXISTS (SELECT 1 FROM obligation o JOIN task t ON t.id = o.task WHERE o.task = u.task \
      AND o.agency = u.agency AND o.ended_at IS NULL AND t.state NOT IN ('done', 'withdrawn'))) AS unreachable, \
    (SELECT count(*) FROM file_export WHERE written_at IS NULL) AS unwritten, h.seq, h.hash FROM register_head h";

#[async_trait]
impl ReadingStore for Database {
    async fn directory(&self) -> Result<DirectoryRows> {
        let mut tx = self.snapshot().await?;
        let mut rows = DirectoryRows { revision: revision(&mut tx).await?, ..DirectoryRows::default() };
        for row in
            sqlx::query("SELECT id, code, name, block, kind, superior, active FROM agency").fetch_all(&mut *tx).await?
        {
            rows.agencies.push(Agency {
                id: AgencyId(row.try_get("id")?),
                code: row.try_get::<Option<String>, _>("code")?.unwrap_or_default(),
                name: row.try_get("name")?,
                block: word(&row, "block", Block::from_word)?,
                kind: row.try_get("kind")?,
                superior: row.try_get("superior")?,
                active: row.try_get("active")?,
            });
        }
        for row in sqlx::query("SELECT folded, agency FROM agency_name").fetch_all(&mut *tx).await? {
            rows.names.push((row.try_get("folded")?, AgencyId(row.try_get("agency")?)));
        }
        for row in sqlx::query("SELECT id, name, honorific, email, phone, zalo_user_id, takes_zalo FROM person")
            .fetch_all(&mut *tx)
            .await?
        {
            rows.people.push(Person {
                id: PersonId(row.try_get("id")?),
                name: row.try_get("name")?,
                honorific: row.try_get("honorific")?,
                email: row.try_get("email")?,
                phone: row.try_get("phone")?,
                zalo_user_id: row.try_get("zalo_user_id")?,
                takes_zalo: row.try_get("takes_zalo")?,
            });
        }
        for row in sqlx::query("SELECT agency, person, role, title, valid_from, valid_to FROM post")
            .fetch_all(&mut *tx)
            .await?
        {
            rows.posts.push(Post {
                agency: AgencyId(row.try_get("agency")?),
                person: PersonId(row.try_get("person")?),
                role: word(&row, "role", PostRole::from_word)?,
                title: row.try_get("title")?,
                from: date(&row, "valid_from")?,
                to: date(&row, "valid_to")?,
            });
        }
        Ok(rows)
    }

    async fn directory_revision(&self) -> Result<i64> {
        let mut connection = self.reading().acquire().await?;
        revision(&mut connection).await
    }

    async fn texts(&self, wanted: &[TaskId]) -> Result<Vec<TaskTexts>> {
        let mut tx = self.snapshot().await?;
        texts(&mut tx, wanted).await
    }

    async fn story(&self, task: TaskId) -> Result<Vec<StoryRow>> {
        let mut tx = self.snapshot().await?;
        story(&mut tx, task).await
    }

    async fn urgings_of(&self, tasks: &[TaskId]) -> Result<HashMap<TaskId, Vec<UrgingRow>>> {
        urgings_of(&mut *self.reading().acquire().await?, tasks).await
    }

    async fn notices_of(&self, task: TaskId) -> Result<Vec<TaskNotice>> {
        let mut tx = self.snapshot().await?;
        notices_of(&mut tx, task).await
    }

    async fn carried_by(&self, message: &str) -> Result<Option<CarriedRow>> {
        let mut tx = self.snapshot().await?;
        carried_by(&mut tx, message).await
    }

    async fn overdue_of(&self, agency: AgencyId, day: Date) -> Result<u32> {
        let overdue: i64 = sqlx::query_scalar(concat!(
            "SELECT count(*) FROM obligation o",
            indexed_by!("obligation_by_agency"),
            " JOIN task t ON t.id = o.task WHERE t.lead = $1 AND o.agency = $1 \
             AND o.clock = 'completion' AND o.due_date < $2 AND t.held = '' \
             AND t.state IN ('not_received', 'not_started', 'in_progress', 'extension_requested', 'submitted')",
        ))
        .bind(agency.0)
        .bind(day.to_string())
        .fetch_one(self.reading())
        .await?;
        Ok(u32::try_from(overdue).unwrap_or(u32::MAX))
    }

    async fn counts(&self) -> Result<Counts> {
        let mut tx = self.snapshot().await?;
        let row = sqlx::query(COUNTS).fetch_one(&mut *tx).await?;
        Ok(Counts {
            open_tasks: row.try_get("open_tasks")?,
            held_tasks: row.try_get("held_tasks")?,
            next_look: row.try_get::<Option<i64>, _>("next_look")?.map(millis),
            backlog_email: row.try_get("email")?,
            backlog_zalo: row.try_get("zalo")?,
            dead: row.try_get("dead")?,
            unknown: row.try_get("unknown")?,
            unreachable: row.try_get("unreachable")?,
            register_entries: row.try_get("seq")?,
            register_head: row.try_get("hash")?,
            unwritten_files: row.try_get("unwritten")?,
        })
    }

    async fn unreachable(&self) -> Result<Vec<(String, String, String, String, Timestamp)>> {
        let rows = sqlx::query(
            "SELECT a.name, u.audience, u.channel, u.why, min(u.since) AS since FROM unreachable u JOIN agency a ON a.id = u.agency \
             WHERE EXISTS (SELECT 1 FROM obligation o JOIN task t ON t.id = o.task WHERE o.task = u.task \
               AND o.agency = u.agency AND o.ended_at IS NULL AND t.state NOT IN ('done', 'withdrawn')) \
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3",
        )
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get("name")?,
                    row.try_get("audience")?,
                    row.try_get("channel")?,
                    row.try_get("why")?,
                    instant(row, "since")?,
                ))
            })
            .collect()
    }
}

async fn texts(tx: &mut Conn, wanted: &[TaskId]) -> Result<Vec<TaskTexts>> {
    let list = ids(wanted.iter().map(|id| id.0));
    let rows = sqlx::query(
        "SELECT t.id, t.work, t.due_typed, t.due_reading, t.original_due, t.completed_on, t.last_update, t.result, t.note, \
         t.imported_urgings, coalesce(l.name, '') AS lead, coalesce(d.number, '') AS number, d.date AS document_date, \
         coalesce(d.kind, '') AS kind, coalesce(d.issuer, '') AS issuer, coalesce(d.signer, '') AS signer, \
         coalesce(d.abstract, '') AS subject \
         FROM task t LEFT JOIN agency l ON l.id = t.lead LEFT JOIN document d ON d.id = t.document \
         WHERE t.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    let mut found: BTreeMap<i64, TaskTexts> = BTreeMap::new();
    for row in &rows {
        let id = row.try_get("id")?;
        found.insert(
            id,
            TaskTexts {
                task: id,
                work: row.try_get("work")?,
                document: DocumentRow {
                    number: row.try_get("number")?,
                    date: date(row, "document_date")?,
                    kind: row.try_get("kind")?,
                    issuer: row.try_get("issuer")?,
                    signer: row.try_get("signer")?,
                    subject: row.try_get("subject")?,
                },
                lead: row.try_get("lead")?,
                due_typed: row.try_get("due_typed")?,
                due_reading: row.try_get("due_reading")?,
                original_due: date(row, "original_due")?,
                completed_on: date(row, "completed_on")?,
                last_update: date(row, "last_update")?,
                result: row.try_get("result")?,
                note: row.try_get("note")?,
                imported_urgings: number(row, "imported_urgings")?,
                ..TaskTexts::default()
            },
        );
    }
    let rows = sqlx::query(
        "SELECT c.task, a.name FROM task_coordinator c JOIN agency a ON a.id = c.agency \
         WHERE c.task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY c.task, a.name",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(texts) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            texts.coordinators.push(row.try_get("name")?);
        }
    }
    let rows = sqlx::query(
        "SELECT * FROM extension WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(texts) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            texts.extensions.push(ExtensionRow {
                clock: word(row, "clock", Clock::from_word)?,
                from: date(row, "old_due")?,
                to: date(row, "new_due")?,
                decided_on: date(row, "decided_on")?,
                paper: row.try_get("paper")?,
                approver: row.try_get("approver")?,
                recorded_at: instant(row, "recorded_at")?,
            });
        }
    }
    let rows = sqlx::query(
        "SELECT * FROM contact_log WHERE task IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id",
    )
    .bind(&list)
    .fetch_all(&mut *tx)
    .await?;
    for row in &rows {
        if let Some(texts) = found.get_mut(&row.try_get::<i64, _>("task")?) {
            texts.contacts.push(ContactRow {
                clock: word(row, "clock", Clock::from_word)?,
                agency: AgencyId(row.try_get("agency")?),
                at: instant(row, "at")?,
                form: row.try_get("form")?,
                whom: row.try_get("whom")?,
                outcome: row.try_get("outcome")?,
            });
        }
    }
    let mut by_id: HashMap<i64, TaskTexts> = found.into_iter().collect();
    Ok(wanted.iter().filter_map(|id| by_id.remove(&id.0)).collect())
}
