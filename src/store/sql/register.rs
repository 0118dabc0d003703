//! The register: appended inside a write transaction (which is the lock on the head), read from snapshots.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::{
    Conn, Database, DbRow,
    register_block::{Block, file_notices},
};
use crate::{
    clock::millis,
    store::{
        Result, StoreError,
        register::{
            EntryPlace, FileKind, FileRow, Filed, Files, NewNotice, NoticeDetail, NoticeLine, NoticeRow, PersonalRow,
            RegisterHead, RegisterItem, RegisterRow, RegisterStore, SealedEntry, WithdrawalDraft,
        },
    },
};

/// Rows a walk holds at once.
const PAGE: i64 = 256;

const NOTICE: &str = "n.id, n.year, n.number, n.task, n.clock, n.arming, n.agency, n.rule, n.step, n.occurrence, \
                      n.due_at, n.filed_at, n.facts, n.facts_hash, n.seq, n.withdrawn_seq";

/// The end of the chain while a block is appended to it; the head row is written once, at the end of the block.
pub(super) struct Chain {
    start: i64,
    seq: i64,
    hash: [u8; 32],
}

impl Chain {
    /// Reads the head. The caller's transaction writes alone (SQLite: IMMEDIATE; PostgreSQL: the ledger's advisory
    /// lock), so nobody else can append until it ends.
    pub(super) async fn lock(tx: &mut Conn) -> Result<Self> {
        let head = head(tx).await?;
        let mut hash = [0; 32];
        hex::decode_to_slice(&head.hash, &mut hash).map_err(|_| StoreError::Damaged {
            table: "register_head",
            what: "the hash is not 64 hex digits".into(),
        })?;
        Ok(Self { start: head.seq, seq: head.seq, hash })
    }

    pub(super) fn next(&self, at: Timestamp) -> EntryPlace {
        EntryPlace { seq: self.seq + 1, prev: self.hash, at }
    }

    /// The entry is drawn up and will be written: the next one follows it.
    pub(super) fn advance(&mut self, place: &EntryPlace, entry: &SealedEntry) -> i64 {
        (self.seq, self.hash) = (place.seq, entry.hash);
        place.seq
    }

    pub(super) async fn keep(&self, tx: &mut Conn) -> Result<()> {
        if self.seq == self.start {
            return Ok(());
        }
        let moved = sqlx::query("UPDATE register_head SET seq = $1, hash = $2 WHERE one = 1 AND seq = $3")
            .bind(self.seq)
            .bind(hex::encode(self.hash))
            .bind(self.start)
            .execute(tx)
            .await?;
        match moved.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::Damaged { table: "register_head", what: "the head moved while it was held".into() }),
        }
    }
}

async fn head(db: &mut Conn) -> Result<RegisterHead> {
    let row = sqlx::query("SELECT seq, hash FROM register_head WHERE one = 1").fetch_optional(db).await?;
    let row =
        row.ok_or_else(|| StoreError::Damaged { table: "register_head", what: "the head row is missing".into() })?;
    Ok(RegisterHead { seq: row.try_get(0)?, hash: row.try_get(1)? })
}

fn register_row(row: &DbRow) -> sqlx::Result<RegisterRow> {
    Ok(RegisterRow {
        seq: row.try_get(0)?,
        kind: row.try_get(1)?,
        at: row.try_get(2)?,
        format: row.try_get(3)?,
        prev: row.try_get(4)?,
        fields: row.try_get(5)?,
        hash: row.try_get(6)?,
        personal: Vec::new(),
    })
}

fn notice_row(row: &DbRow) -> sqlx::Result<NoticeRow> {
    Ok(NoticeRow {
        id: row.try_get(0)?,
        year: row.try_get(1)?,
        number: row.try_get(2)?,
        task: row.try_get(3)?,
        clock: row.try_get(4)?,
        arming: row.try_get(5)?,
        agency: row.try_get(6)?,
        rule: row.try_get(7)?,
        step: row.try_get(8)?,
        occurrence: row.try_get(9)?,
        due_at: row.try_get(10)?,
        filed_at: row.try_get(11)?,
        facts: row.try_get(12)?,
        facts_hash: row.try_get(13)?,
        seq: row.try_get(14)?,
        withdrawn_seq: row.try_get(15)?,
    })
}

fn file_row(row: &DbRow) -> Result<FileRow> {
    let kind: String = row.try_get(1)?;
    Ok(FileRow {
        notice: row.try_get(0)?,
        kind: FileKind::from_word(&kind)
            .ok_or_else(|| StoreError::Damaged { table: "file_export", what: format!("kind {kind:?}") })?,
        path: row.try_get(2)?,
        hash: row.try_get(3)?,
        written: row.try_get::<Option<i64>, _>(4)?.is_some(),
    })
}

async fn entry(db: &mut Conn, seq: i64) -> Result<RegisterRow> {
    let row = sqlx::query("SELECT seq, kind, at, format, prev, fields, hash FROM register WHERE seq = $1")
        .bind(seq)
        .fetch_optional(&mut *db)
        .await?
        .ok_or_else(|| StoreError::Damaged {
            table: "register",
            what: format!("entry {seq} is missing; run `dondoc register verify`"),
        })?;
    let mut entry = register_row(&row)?;
    let names = sqlx::query("SELECT seq, field, salt, value FROM personal_data WHERE seq = $1 ORDER BY field")
        .bind(seq)
        .fetch_all(db)
        .await?;
    for row in &names {
        entry.personal.push(personal_row(row)?);
    }
    Ok(entry)
}

fn personal_row(row: &DbRow) -> sqlx::Result<PersonalRow> {
    Ok(PersonalRow { field: row.try_get(1)?, salt: row.try_get(2)?, value: row.try_get(3)? })
}

async fn detail(db: &mut Conn, row: Option<DbRow>) -> Result<Option<NoticeDetail>> {
    let Some(row) = row else { return Ok(None) };
    let notice = notice_row(&row)?;
    let own = entry(db, notice.seq).await?;
    let withdrawal = match notice.withdrawn_seq {
        Some(seq) => Some(entry(db, seq).await?),
        None => None,
    };
    let files =
        sqlx::query("SELECT notice, kind, path, hash, written_at FROM file_export WHERE notice = $1 ORDER BY kind")
            .bind(notice.id)
            .fetch_all(db)
            .await?;
    let files = files.iter().map(file_row).collect::<Result<_>>()?;
    Ok(Some(NoticeDetail { notice, entry: own, withdrawal, files }))
}

async fn detail_by_number(db: &mut Conn, year: i16, number: i64) -> Result<Option<NoticeDetail>> {
    let row = sqlx::query(AssertSqlSafe(format!("SELECT {NOTICE} FROM notice n WHERE n.year = $1 AND n.number = $2")))
        .bind(i64::from(year))
        .bind(number)
        .fetch_optional(&mut *db)
        .await?;
    detail(db, row).await
}

/// Pages through one table by its integer key; rows that cannot be read become [`RegisterItem::Unreadable`].
struct Pages<T> {
    sql: String,
    read: fn(&DbRow) -> sqlx::Result<T>,
    from: i64,
    buffer: std::collections::VecDeque<(i64, std::result::Result<T, String>)>,
    ended: bool,
}

impl<T> Pages<T> {
    fn new(sql: String, read: fn(&DbRow) -> sqlx::Result<T>) -> Self {
        Self { sql, read, from: i64::MIN, buffer: Default::default(), ended: false }
    }

    /// Fills the buffer where it is empty; answers whether a new page was read.
    async fn fill(&mut self, db: &mut Conn) -> Result<bool> {
        if !self.buffer.is_empty() || self.ended {
            return Ok(false);
        }
        let rows = sqlx::query(AssertSqlSafe(self.sql.clone())).bind(self.from).bind(PAGE).fetch_all(db).await?;
        self.ended = (rows.len() as i64) < PAGE;
        for row in &rows {
            let key: i64 = row.try_get(0)?;
            self.from = key.saturating_add(1);
            self.ended |= key == i64::MAX;
            self.buffer.push_back((key, (self.read)(row).map_err(|error| error.to_string())));
        }
        Ok(!rows.is_empty())
    }
}

#[async_trait]
impl RegisterStore for Database {
    async fn file_notices(&self, filings: &[NewNotice], now: Timestamp) -> Result<Vec<Filed>> {
        let mut tx = self.begin().await?;
        let filed = file_notices(&mut tx, filings, now).await?;
        tx.commit().await?;
        Ok(filed)
    }

    async fn withdraw_notice(
        &self,
        year: i16,
        number: i64,
        now: Timestamp,
        draft: WithdrawalDraft<'_>,
    ) -> Result<NoticeDetail> {
        let mut tx = self.begin().await?;
        let found = detail_by_number(&mut tx, year, number).await?;
        let notice = found.ok_or_else(|| StoreError::Refused(format!("there is no notice {number:04}/{year}")))?;
        if let Some(seq) = notice.notice.withdrawn_seq {
            return Err(StoreError::Refused(format!(
                "notice {number:04}/{year} was withdrawn already, by entry {seq} of the register"
            )));
        }
        let mut chain = Chain::lock(&mut tx).await?;
        let place = chain.next(now);
        let sealed = draft(&notice, &place).map_err(StoreError::Refused)?;
        let seq = chain.advance(&place, &sealed.entry);
        let mut block = Block::default();
        block.entry(&place, &sealed.entry);
        block.files(notice.notice.id, &sealed.files);
        block.write(&mut tx, now).await?;
        chain.keep(&mut tx).await?;
        sqlx::query("UPDATE notice SET withdrawn_seq = $1 WHERE id = $2 AND withdrawn_seq IS NULL")
            .bind(seq)
            .bind(notice.notice.id)
            .execute(&mut *tx)
            .await?;
        let after = detail_by_number(&mut tx, year, number).await?;
        tx.commit().await?;
        after.ok_or_else(|| StoreError::Damaged { table: "notice", what: format!("{number:04}/{year} vanished") })
    }

    async fn register_head(&self) -> Result<RegisterHead> {
        head(&mut *self.reading().acquire().await?).await
    }

    async fn walk_register(&self, visit: &mut (dyn FnMut(RegisterItem) + Send)) -> Result<()> {
        // One read transaction: the head and the rows are of the same moment, whatever is appended meanwhile.
        let mut tx = self.snapshot().await?;
        match head(&mut tx).await {
            Ok(head) => visit(RegisterItem::Head(head)),
            // A head row that is missing or unreadable is a finding, not a failure: the visitor sees that none came.
            Err(StoreError::Damaged { .. } | StoreError::Database(sqlx::Error::ColumnDecode { .. })) => {}
            Err(error) => return Err(error),
        }
        let mut entries = Pages::new(
            "SELECT seq, kind, at, format, prev, fields, hash FROM register WHERE seq >= $1 ORDER BY seq LIMIT $2"
                .into(),
            register_row,
        );
        let mut notices =
            Pages::new(format!("SELECT {NOTICE} FROM notice n WHERE n.id >= $1 ORDER BY n.id LIMIT $2"), notice_row);
        loop {
            if entries.fill(&mut tx).await? {
                attach_names(&mut tx, &mut entries).await?;
            }
            notices.fill(&mut tx).await?;
            let entry_first = match (entries.buffer.front(), notices.buffer.front()) {
                (None, None) => break,
                (Some((seq, _)), Some((id, _))) => seq <= id,
                (entry, _) => entry.is_some(),
            };
            if entry_first {
                if let Some((seq, row)) = entries.buffer.pop_front() {
                    visit(match row {
                        Ok(row) => RegisterItem::Entry(row),
                        Err(what) => RegisterItem::UnreadableEntry { seq, what },
                    });
                }
            } else if let Some((id, row)) = notices.buffer.pop_front() {
                visit(match row {
                    Ok(row) => RegisterItem::Notice(row),
                    Err(what) => RegisterItem::UnreadableNotice { id, what },
                });
            }
        }
        Ok(())
    }

    async fn notices(&self, after: i64, limit: u32) -> Result<Vec<NoticeLine>> {
        let rows = sqlx::query(
            "SELECT n.id, n.year, n.number, n.facts, n.step, n.filed_at, r.hash, n.withdrawn_seq IS NOT NULL \
             FROM notice n JOIN register r ON r.seq = n.seq WHERE n.id > $1 ORDER BY n.id LIMIT $2",
        )
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(self.reading())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(NoticeLine {
                    notice: row.try_get(0)?,
                    year: row.try_get(1)?,
                    number: row.try_get(2)?,
                    facts: row.try_get(3)?,
                    step: row.try_get(4)?,
                    filed_at: millis(row.try_get(5)?),
                    hash: row.try_get(6)?,
                    withdrawn: row.try_get(7)?,
                })
            })
            .collect()
    }

    async fn notice_by_number(&self, year: i16, number: i64) -> Result<Option<NoticeDetail>> {
        let mut tx = self.snapshot().await?;
        detail_by_number(&mut tx, year, number).await
    }

    async fn notice(&self, id: i64) -> Result<Option<NoticeDetail>> {
        let mut tx = self.snapshot().await?;
        let row = sqlx::query(AssertSqlSafe(format!("SELECT {NOTICE} FROM notice n WHERE n.id = $1")))
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        detail(&mut tx, row).await
    }

    async fn notice_files(&self, which: Files, after: Option<(i64, FileKind)>, limit: u32) -> Result<Vec<FileRow>> {
        let sql = match which {
            Files::Unwritten => {
                "SELECT notice, kind, path, hash, written_at FROM file_export WHERE written_at IS NULL \
                 AND (notice, kind) > ($1, $2) ORDER BY notice, kind LIMIT $3"
            }
            Files::Written => {
                "SELECT notice, kind, path, hash, written_at FROM file_export WHERE written_at IS NOT NULL \
                 AND (notice, kind) > ($1, $2) ORDER BY notice, kind LIMIT $3"
            }
        };
        let (notice, kind) = after.map_or((i64::MIN, ""), |(notice, kind)| (notice, kind.as_str()));
        let rows = sqlx::query(sql).bind(notice).bind(kind).bind(i64::from(limit)).fetch_all(self.reading()).await?;
        rows.iter().map(file_row).collect()
    }

    async fn mark_files_written(&self, files: &[(i64, FileKind, String)], now: Timestamp) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin_beside().await?;
        for (notice, kind, hash) in files {
            sqlx::query("UPDATE file_export SET hash = $1, written_at = $2 WHERE notice = $3 AND kind = $4")
                .bind(hash)
                .bind(now.as_millisecond())
                .bind(notice)
                .bind(kind.as_str())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Puts the names kept beside a page of entries to them.
async fn attach_names(db: &mut Conn, entries: &mut Pages<RegisterRow>) -> Result<()> {
    let (Some((low, _)), Some((high, _))) = (entries.buffer.front(), entries.buffer.back()) else { return Ok(()) };
    let rows =
        sqlx::query("SELECT seq, field, salt, value FROM personal_data WHERE seq BETWEEN $1 AND $2 ORDER BY seq")
            .bind(*low)
            .bind(*high)
            .fetch_all(db)
            .await?;
    let mut names = rows.iter().peekable();
    for (seq, entry) in &mut entries.buffer {
        while let Some(row) = names.next_if(|row| row.try_get::<i64, _>(0).is_ok_and(|of| of <= *seq)) {
            match (personal_row(row), entry.as_mut()) {
                (Ok(name), Ok(entry)) if row.try_get::<i64, _>(0).is_ok_and(|of| of == *seq) => {
                    entry.personal.push(name)
                }
                (Err(error), Ok(_)) => *entry = Err(error.to_string()),
                _ => {}
            }
        }
    }
    Ok(())
}
