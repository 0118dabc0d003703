//! The import of a task file from its first byte to its report: read and interpret everything, ask where much would be
//! sent, write in short transactions.
//!
//! Nothing is written before the whole file was read, nor before the question was answered.

use std::{collections::HashMap, path::Path};

use jiff::Timestamp;

use super::{
    agencies::{Agencies, Match},
    apply::{Context, as_planned, decide},
    columns::{Column, Columns, is_header},
    report::Report,
    secrecy::Keyed,
    table::{TableError, TableReader},
    tasks::{Interpreter, Reading},
};
use crate::{
    config::settings::Settings,
    planning::task::Task,
    store::{
        StoreError,
        intake::{Decision, Fate, IntakeStore, TaskRow},
    },
};

/// Rows of one write transaction: a fraction of a second, so that the daemon's writes come between.
const BATCH: usize = 250;

/// How many messages would leave at once for a task as it would stand. The caller plans it.
pub trait Estimate: Send {
    fn messages_due_now(&mut self, task: &Task) -> u64;
}

/// No estimate: nothing is known to be due.
pub struct NoEstimate;

impl Estimate for NoEstimate {
    fn messages_due_now(&mut self, _: &Task) -> u64 {
        0
    }
}

/// What the person is asked before anything is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// Tasks that would be new.
    pub created: u64,
    /// Messages that would leave at once.
    pub messages: u64,
    /// No task is stored yet.
    pub first: bool,
}

/// What the import may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Nobody is asked.
    pub yes: bool,
    /// Show what would change; write nothing.
    pub dry_run: bool,
    /// A file without the column `Độ mật` may be read as open throughout.
    pub all_unclassified: bool,
}

/// Why nothing was imported. In Vietnamese for whoever imports; no cell's content is ever in it.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("thiếu cột {0}; thêm cột này vào tệp rồi nhập lại")]
    MissingColumn(&'static str),
    #[error("cột {0} có hai lần; xóa hoặc đổi tên một cột rồi nhập lại")]
    ColumnTwice(&'static str),
    #[error(
        "tệp không có cột Độ mật; thêm cột này, hoặc nếu chắc chắn không có nhiệm vụ mật nào thì nhập với --all-unclassified"
    )]
    NoSecrecy,
    #[error("danh mục cơ quan còn trống; nhập danh mục trước: dondoc import directory TỆP")]
    NoDirectory,
    #[error(
        "chưa ghi gì: lần nhập này tạo {} nhiệm vụ và gửi ngay {} tin, cần được xác nhận; xem trước bằng --dry-run, đồng ý bằng --yes",
        .0.created, .0.messages
    )]
    NotConfirmed(Question),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whoever waits sees how far it is: rows read, then rows written of all.
pub type Progress<'a> = dyn FnMut(&'static str, u64, u64) + Send + 'a;

/// Those who are asked and told while an import runs.
pub struct Caller<'a> {
    pub estimate: &'a mut dyn Estimate,
    /// Answers the question; on anything but a terminal it says no.
    pub confirm: &'a mut (dyn FnMut(Question) -> bool + Send),
    pub progress: &'a mut Progress<'a>,
}

/// Imports a task file.
pub async fn import_tasks(
    path: &Path,
    store: &dyn IntakeStore,
    settings: &Settings,
    now: Timestamp,
    options: Options,
    caller: Caller<'_>,
) -> Result<Report, ImportError> {
    let directory = store.directory().await?;
    let agencies = Agencies::new(&directory);
    if agencies.is_empty() {
        return Err(ImportError::NoDirectory);
    }
    let keyed = Keyed::new(store.hmac_key().await?);
    let today = now.to_zoned(settings.office.time_zone.clone()).date();

    let mut table = TableReader::open(path, &is_header)?;
    let columns = Columns::find(table.headers());
    if let Some(twice) = columns.twice.first() {
        return Err(ImportError::ColumnTwice(twice));
    }
    for needed in [Column::Work, Column::Lead] {
        if !columns.has(needed) {
            return Err(ImportError::MissingColumn(needed.headers()[0]));
        }
    }
    if !columns.has(Column::Secrecy) && !options.all_unclassified {
        return Err(ImportError::NoSecrecy);
    }
    let monitors: Vec<_> = settings
        .blocks
        .values()
        .filter_map(|block| match agencies.find(&block.focal_agency) {
            Match::One(id) => Some(id),
            _ => None,
        })
        .collect();

    let mut report = Report::default();
    let mut interpreter = Interpreter::new(&columns, &agencies, &directory, &monitors, &keyed, today);
    drop(directory);
    // In batches from the start: a list that doubles as it grows would need half as much again.
    let mut batches: Vec<Vec<TaskRow>> = Vec::new();
    for row in &mut table {
        let row = row?;
        match interpreter.read(&row) {
            Reading::Task(task) => match batches.last_mut() {
                Some(batch) if batch.len() < BATCH => batch.push(*task),
                _ => {
                    let mut batch = Vec::with_capacity(BATCH);
                    batch.push(*task);
                    batches.push(batch);
                }
            },
            Reading::Repeated => report.count(Fate::Unchanged),
            Reading::Refused => report.count(Fate::Refused),
            Reading::Footer => {}
        }
        if row.number % 500 == 0 {
            (caller.progress)("Đọc", u64::from(row.number), 0);
        }
    }
    report.secret = interpreter.secret;
    report.notes = table.notes().to_vec();
    notes(&mut report, &columns, &interpreter);
    report.problems = std::mem::take(&mut interpreter.problems);
    let new_people = std::mem::take(&mut interpreter.new_people);
    drop(interpreter);

    // What is stored already, word for word, costs one look-up and no write.
    for batch in &mut batches {
        let codes: Vec<&str> = batch.iter().map(|row| row.columns.code.as_str()).collect();
        let digests = store.digests(&codes).await?;
        batch.retain(|row| {
            let known = digests.get(&row.columns.code).is_some_and(|digest| *digest == row.columns.row_digest);
            if known {
                report.count(if row.columns.held.is_empty() { Fate::Unchanged } else { Fate::Held });
            }
            !known
        });
    }
    batches.retain(|batch| !batch.is_empty());

    let context = Context { now, today, columns: &columns };
    let decide = |row: &TaskRow, found: &[&crate::store::intake::StoredTask]| decide(row, found, context);
    if options.dry_run || !options.yes && !batches.is_empty() {
        let mut question = Question { created: 0, messages: 0, first: !store.has_tasks().await? };
        let mut previewed = report.clone();
        for batch in &batches {
            for (row, decision) in batch.iter().zip(store.preview(batch, &decide).await?) {
                question.created += u64::from(decision.fate == Fate::Created);
                if let Some(change) = &decision.change
                    && change.columns.next_look_at == Some(now)
                {
                    let id = change.id.map_or(0, |id| id.0);
                    question.messages += caller.estimate.messages_due_now(&as_planned(change, id, &agencies));
                }
                take(&mut previewed, row, decision);
            }
        }
        previewed.messages_at_once = Some(question.messages);
        if options.dry_run {
            previewed.dry_run = true;
            return Ok(finished(previewed));
        }
        report.messages_at_once = Some(question.messages);
        let many = question.messages > u64::from(settings.import.confirm_above);
        if (many || question.first && question.created > 0) && !(caller.confirm)(question) {
            return Err(ImportError::NotConfirmed(question));
        }
    }

    if !batches.is_empty() {
        // Only those whose row is written: the rest are known by their digest already.
        let used: std::collections::BTreeSet<usize> =
            batches.iter().flatten().filter_map(|row| row.new_handler).collect();
        let people: Vec<_> = used.iter().map(|at| new_people[*at].clone()).collect();
        let ids: HashMap<usize, _> = used.into_iter().zip(store.add_people(&people).await?).collect();
        for row in batches.iter_mut().flatten() {
            if let Some(at) = row.new_handler {
                row.columns.handler = ids.get(&at).copied();
            }
        }
    }
    let total = batches.iter().map(Vec::len).sum::<usize>() as u64;
    let mut done = 0;
    let mut wiped = Vec::new();
    for batch in batches {
        let (decisions, gone) = store.write_tasks(&batch, &decide, now, "import").await?;
        for (row, decision) in batch.iter().zip(decisions) {
            take(&mut report, row, decision);
        }
        wiped.extend(gone);
        done += batch.len() as u64;
        (caller.progress)("Ghi", done, total);
    }
    if !wiped.is_empty() {
        let emptied = store.scrub().await?;
        for one in wiped {
            report.problem(one.row, Column::Secrecy.headers()[0], "classified_now", classified_now(&one, emptied));
        }
    }
    Ok(finished(report))
}

fn classified_now(one: &crate::store::intake::Wiped, emptied: bool) -> String {
    let mut message =
        format!("nay là nhiệm vụ mật: nội dung đã lưu được xóa; trước đó đã gửi {} tin về nhiệm vụ này", one.sent);
    if one.under_way > 0 {
        message.push_str(&format!(", {} tin đang trong lúc gửi", one.under_way));
    }
    if one.notices > 0 {
        message.push_str(&format!(
            ", {} phiếu quá hạn đã lập vẫn giữ nguyên trong sổ, đề nghị xử lý theo quy định",
            one.notices
        ));
    }
    if !emptied {
        message.push_str("; tệp nhật ký của cơ sở dữ liệu đang được dùng, sẽ được xóa trắng ở lần ghi kế tiếp");
    }
    message
}

fn notes(report: &mut Report, columns: &Columns, interpreter: &Interpreter<'_>) {
    if !columns.unknown.is_empty() {
        report.notes.push(format!("Không đọc các cột: {}.", columns.unknown.join("; ")));
    }
    if interpreter.merged > 0 {
        report.notes.push(format!(
            "{} dòng để trống phần văn bản (ô gộp): lấy văn bản và cấp giao của dòng trên.",
            interpreter.merged
        ));
    }
    if !interpreter.footers.is_empty() {
        let rows: Vec<String> = interpreter.footers.iter().take(10).map(u32::to_string).collect();
        report.notes.push(format!("Không phải nhiệm vụ (dòng tổng, dòng ký): dòng {}.", rows.join(", ")));
    }
}

fn take(report: &mut Report, row: &TaskRow, decision: Decision) {
    report.count(decision.fate);
    for (column, code, message) in decision.problems {
        report.problem(row.row, column, code, message);
    }
}

fn finished(mut report: Report) -> Report {
    report.problems.sort_by(|a, b| (a.row, a.code, &a.column).cmp(&(b.row, b.code, &b.column)));
    report
}
