//! The register and the notices in it, through the public interface and, for tampering, straight at the database.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use dondoc::{
    cli,
    inspection::{
        export::{self, Sheet},
        notice::{self, new_notice},
        register::salted,
        verify::{Fault, VerifyReport, verify},
    },
    message::facts::{DocumentFacts, ExtensionFacts, NoticeFacts, Recipient, UrgingFacts},
    planning::task::{AgencyId, Clock, Role, Secrecy, TaskId},
    store::{
        StoreError,
        register::{FileKind, Filed, NewNotice, NoticeKey, RegisterStore},
        sqlite::SqliteStore,
    },
};
use jiff::{Timestamp, civil::date, tz::TimeZone};
use proptest::prelude::*;
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

/// A database with tasks to file notices about, and a folder for their files.
struct Office {
    folder: TempDir,
    store: SqliteStore,
}

impl Office {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let office = Self { folder, store };
        office
            .sql("INSERT INTO agency (id, code, name, block, active) VALUES (1, 'SNV', 'Sở Nội vụ', 'state', 1)")
            .await;
        office
            .sql(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) \
                 INSERT INTO task (id, code, assigner_block, urgency, secrecy, state, state_since, lead, known_at) \
                 SELECT i, 'NV26-' || printf('%06d', i), 'state', 'normal', 'open', 'in_progress', 0, 1, 0 FROM n",
            )
            .await;
        office
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }

    fn notices(&self) -> PathBuf {
        self.folder.path().join("notices")
    }

    async fn sql(&self, sql: &'static str) {
        let mut db = SqliteConnection::connect(&format!("sqlite:{}", self.db().display())).await.unwrap();
        sqlx::query(sql).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }

    async fn refusal(&self, sql: &'static str) -> String {
        let mut db = SqliteConnection::connect(&format!("sqlite:{}", self.db().display())).await.unwrap();
        sqlx::query(sql).execute(&mut db).await.unwrap_err().to_string()
    }

    async fn file(&self, tasks: impl IntoIterator<Item = i64>) -> Vec<Filed> {
        let filings: Vec<NewNotice> = tasks.into_iter().map(|task| filing(task, facts(task))).collect();
        self.store.file_notices(&filings, now()).await.unwrap()
    }

    async fn withdraw(&self, number: i64) -> Result<(), StoreError> {
        self.store
            .withdraw_notice(2026, number, now(), &|notice, place| {
                notice::draw_up_withdrawal(notice, place, "nhập sai ngày", "12/VP-TH", "chi.nguyen")
            })
            .await
            .map(drop)
    }

    async fn verify(&self) -> VerifyReport {
        verify(&self.store).await.unwrap()
    }
}

fn now() -> Timestamp {
    "2026-11-25T08:00:02+07:00".parse().unwrap()
}

fn key(task: i64) -> NoticeKey {
    NoticeKey {
        task: TaskId(task),
        clock: Clock::Completion,
        arming: 1,
        agency: AgencyId(1),
        rule: "ubnd-chu-tri".into(),
        step: "qua-han-10".into(),
        occurrence: 1,
    }
}

fn filing(task: i64, facts: NoticeFacts) -> NewNotice {
    new_notice(key(task), "2026-11-25T08:00:00+07:00".parse().unwrap(), facts, "")
}

fn facts(task: i64) -> NoticeFacts {
    NoticeFacts {
        letterhead: Default::default(),
        number: String::new(),
        office: "Văn phòng UBND Thành phố".into(),
        inspection: "Sở Nội vụ".into(),
        task: format!("NV26-{task:06}"),
        secrecy: Secrecy::Open,
        agency: "Sở Nội vụ".into(),
        agency_code: "SNV".into(),
        role: Role::Lead,
        clock: Clock::Completion,
        head: Recipient { name: "Bùi Hoàng Long".into(), title: "Giám đốc".into(), ..Default::default() },
        document: DocumentFacts {
            number: "311/TB-VP".into(),
            signer: "Trần Ngọc Hạnh".into(),
            subject: "Về rà soát quy hoạch".into(),
            ..Default::default()
        },
        work: "Hoàn thành rà soát quy hoạch phân khu".into(),
        assigner: "UBND Thành phố".into(),
        original_deadline: Some(date(2026, 10, 30)),
        extensions: vec![ExtensionFacts {
            from: Some(date(2026, 10, 30)),
            to: Some(date(2026, 11, 10)),
            decided_on: Some(date(2026, 10, 28)),
            paper: "4120/UBND-ĐT".into(),
            approver: "Phó Chủ tịch Lê Thị Mai".into(),
        }],
        deadline: date(2026, 11, 10),
        deadline_time: None,
        effective: date(2026, 11, 10),
        deadline_basis: "ngày cố định".into(),
        days_overdue: 15,
        working_days_overdue: 10,
        calendar_notes: vec!["24/11 là ngày nghỉ".into()],
        urgings: vec![UrgingFacts {
            n: 1,
            at: date(2026, 11, 11).at(8, 0, 4, 0),
            form: "email".into(),
            recipients: vec!["agency_head".into()],
            outcome: "250 2.0.0".into(),
        }],
        imported_urgings: 0,
        explanation: String::new(),
        state: "in_progress".into(),
        last_update: Some(date(2026, 11, 3)),
        report_deadline: None,
        rule: "ubnd-chu-tri".into(),
        rule_basis: None,
        step: "qua-han-10".into(),
        occurrence: 1,
        due_at: date(2026, 11, 25).at(8, 0, 0, 0),
        filed_at: date(2026, 11, 25).at(8, 0, 2, 0),
        agency_overdue: 7,
        drawn_up_by: "dondoc 0.1.0".into(),
    }
}

fn render(sheet: &Sheet<'_>) -> Result<Vec<u8>, String> {
    let withdrawn = sheet.withdrawal.map_or("", |withdrawal| &withdrawal.reason);
    Ok(format!("{} {} {} {withdrawn}", sheet.kind, sheet.facts.number, sheet.facts.head.name).into_bytes())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push(path.file_name().unwrap().to_string_lossy().into_owned()),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_untouched_register_holds_empty_and_filled() {
    let office = Office::new().await;
    let report = office.verify().await;
    assert!(report.ok);
    assert_eq!((report.entries, report.head), (0, "0".repeat(64)));
    office.file(1..=3).await;
    office.withdraw(2).await.unwrap();
    office.file([4]).await;
    let report = office.verify().await;
    assert_eq!((report.ok, report.entries, report.first_bad), (true, 5, None));
    assert_eq!(report.head, office.store.register_head().await.unwrap().hash);
}

#[tokio::test]
async fn filing_twice_gives_one_notice_one_entry_and_no_lost_number() {
    let office = Office::new().await;
    let first = office.file([1, 2, 1]).await;
    let numbers: Vec<_> = first.iter().map(|filed| (filed.notice, filed.number, filed.new)).collect();
    assert_eq!(numbers, [(1, 1, true), (2, 2, true), (1, 1, false)]);
    let again = office.file([2, 3]).await;
    let numbers: Vec<_> = again.iter().map(|filed| (filed.notice, filed.number, filed.new)).collect();
    assert_eq!(numbers, [(2, 2, false), (3, 3, true)]);
    let report = office.verify().await;
    assert_eq!((report.ok, report.entries), (true, 3));
}

#[tokio::test]
async fn numbers_start_anew_each_local_year_while_the_chain_runs_on() {
    let office = Office::new().await;
    // 23:59 and 00:01 local: both are 31 December in UTC.
    let filed_at = [date(2026, 12, 31).at(23, 59, 0, 0), date(2027, 1, 1).at(0, 1, 0, 0)];
    let filings = [1, 2, 3, 4].map(|task| {
        let filed_at = filed_at[usize::from(task > 2)];
        filing(task, NoticeFacts { filed_at, ..facts(task) })
    });
    let filed = office.store.file_notices(&filings, now()).await.unwrap();
    let places: Vec<_> = filed.iter().map(|filed| (filed.notice, filed.number, filed.year)).collect();
    assert_eq!(places, [(1, 1, 2026), (2, 2, 2026), (3, 1, 2027), (4, 2, 2027)]);
    let detail = office.store.notice_by_number(2027, 1).await.unwrap().unwrap();
    assert_eq!(notice::facts(&detail).unwrap().number, "0001/2027");
    assert_eq!(detail.files[0].path, "2027/01/0001-2027_NV26-000003_SNV.html");
    assert!(office.verify().await.ok);
}

#[tokio::test]
async fn a_filing_that_fails_leaves_no_gap() {
    let office = Office::new().await;
    office.file([1]).await;
    let mut bad = filing(3, facts(3));
    bad.draft = Box::new(|_| Err("no".into()));
    let error = office.store.file_notices(&[filing(2, facts(2)), bad], now()).await.unwrap_err();
    assert!(error.to_string().contains("task 3"), "{error}");
    let next = office.file([4]).await;
    assert_eq!((next[0].notice, next[0].number), (2, 2));
    assert!(office.verify().await.ok);
}

/// `count` filings that differ in task and occurrence.
fn many(count: u32) -> Vec<NewNotice> {
    (0..count)
        .map(|n| {
            let task = i64::from(n % 40 + 1);
            NewNotice { key: NoticeKey { occurrence: n, ..key(task) }, ..filing(task, facts(task)) }
        })
        .collect()
}

#[tokio::test]
async fn a_register_longer_than_one_page_is_walked_whole() {
    let office = Office::new().await;
    office.store.file_notices(&many(700), now()).await.unwrap();
    office.withdraw(10).await.unwrap();
    let report = office.verify().await;
    assert_eq!((report.ok, report.entries), (true, 701));
    office.sql("DROP TRIGGER notice_no_edit").await;
    for at in ["600", "256", "257"] {
        let mut db = SqliteConnection::connect(&format!("sqlite:{}", office.db().display())).await.unwrap();
        let sql = format!("UPDATE notice SET due_at = due_at + 1 WHERE id = {at}");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    }
    let report = office.verify().await;
    assert_eq!((report.faults, report.first_bad), (3, Some((256, Fault::Notice("due_at")))));
}

#[tokio::test]
async fn filings_at_the_same_time_stay_one_chain() {
    let office = Office::new().await;
    let other = SqliteStore::open(&format!("sqlite:{}", office.db().display())).await.unwrap();
    let file = async |store: &SqliteStore, tasks: std::ops::Range<i64>| {
        for task in tasks {
            store.file_notices(&[filing(task, facts(task)), filing(task + 1, facts(task + 1))], now()).await.unwrap();
        }
    };
    tokio::join!(file(&office.store, 1..15), file(&other, 8..22));
    let report = office.verify().await;
    assert_eq!((report.ok, report.entries), (true, 22));
}

#[tokio::test]
async fn the_database_itself_refuses_to_edit_or_delete() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    office.withdraw(2).await.unwrap();
    for sql in [
        "UPDATE register SET at = at + 1",
        "DELETE FROM register WHERE seq = 3",
        "DELETE FROM notice",
        "UPDATE notice SET facts = '{}'",
        "UPDATE notice SET id = 9 WHERE id = 1",
        "UPDATE notice SET withdrawn_seq = NULL WHERE id = 2",
        "UPDATE personal_data SET value = 'x'",
        "DELETE FROM personal_data",
    ] {
        assert!(office.refusal(sql).await.contains("(code: 1811)"), "{sql}");
    }
    assert!(office.verify().await.ok);
}

#[tokio::test]
async fn names_stand_beside_the_register_and_can_be_erased() {
    let office = Office::new().await;
    office.file([1]).await;
    office.withdraw(1).await.unwrap();
    let detail = office.store.notice(1).await.unwrap().unwrap();
    let told = notice::facts(&detail).unwrap();
    assert_eq!(told.head.name, "Bùi Hoàng Long");
    assert_eq!(told.extensions[0].approver, "Phó Chủ tịch Lê Thị Mai");
    for hashed in [detail.notice.facts.as_bytes(), &detail.entry.fields, &detail.withdrawal.as_ref().unwrap().fields] {
        let hashed = String::from_utf8_lossy(hashed);
        for name in ["Long", "Hạnh", "Mai", "chi.nguyen"] {
            assert!(!hashed.contains(name), "{name} in {hashed}");
        }
    }
    office.sql("UPDATE personal_data SET value = NULL, salt = NULL").await;
    let report = office.verify().await;
    assert_eq!((report.ok, report.erased), (true, 4));
    let told = notice::facts(&office.store.notice(1).await.unwrap().unwrap()).unwrap();
    assert_eq!(told.head.name, notice::ERASED);
}

#[tokio::test]
async fn the_same_name_is_not_recognised_in_two_notices() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    let hash = async |id| {
        let facts = office.store.notice(id).await.unwrap().unwrap().notice.facts;
        serde_json::from_str::<NoticeFacts>(&facts).unwrap().head.name
    };
    assert_ne!(hash(1).await, hash(2).await);
    assert_ne!(hash(1).await, salted(&[], "/head/name", "Bùi Hoàng Long"));
}

#[tokio::test]
async fn a_classified_notice_is_an_entry_without_content_or_file() {
    let office = Office::new().await;
    let canary = "CANARY";
    let mut secret = facts(1);
    secret.secrecy = Secrecy::Confidential;
    secret.work = canary.into();
    secret.document = DocumentFacts {
        number: canary.into(),
        kind: canary.into(),
        issuer: canary.into(),
        signer: canary.into(),
        subject: canary.into(),
        date: None,
    };
    secret.explanation = canary.into();
    secret.deadline_basis = canary.into();
    secret.extensions[0].paper = canary.into();
    secret.extensions[0].approver = canary.into();
    secret.urgings[0].outcome = canary.into();
    office.store.file_notices(&[filing(1, secret)], now()).await.unwrap();
    office
        .store
        .withdraw_notice(2026, 1, now(), &|notice, place| {
            notice::draw_up_withdrawal(notice, place, canary, canary, "chi.nguyen")
        })
        .await
        .unwrap();
    let report = export::reconcile(&office.store, &office.notices(), now(), &render).await.unwrap();
    assert_eq!(report.written, 0);
    assert!(office.verify().await.ok);
    office.store.close().await;
    for file in fs::read_dir(office.folder.path()).unwrap() {
        let path = file.unwrap().path();
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{}", path.display());
    }
}

#[tokio::test]
async fn a_notice_is_withdrawn_once_and_stays() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    export::write_pending(&office.store, &office.notices(), now(), &render).await.unwrap();
    let before = office.store.notice(1).await.unwrap().unwrap().notice;
    office.withdraw(1).await.unwrap();
    let error = office.withdraw(1).await.unwrap_err().to_string();
    assert!(error.contains("withdrawn already, by entry 3"), "{error}");
    assert!(office.withdraw(9).await.is_err());
    let after = office.store.notice(1).await.unwrap().unwrap();
    assert_eq!((after.notice.facts, after.notice.seq), (before.facts, before.seq));
    export::write_pending(&office.store, &office.notices(), now(), &render).await.unwrap();
    assert_eq!(
        files_below(&office.notices()),
        [
            "0001-2026_NV26-000001_SNV.html",
            "0001-2026_NV26-000001_SNV.json",
            "0001-2026_NV26-000001_SNV_rut.html",
            "0001-2026_NV26-000001_SNV_rut.json",
            "0002-2026_NV26-000002_SNV.html",
            "0002-2026_NV26-000002_SNV.json",
        ]
    );
    let report = office.verify().await;
    assert_eq!((report.ok, report.entries), (true, 3));
}

#[tokio::test]
async fn what_a_crash_left_undone_is_done_at_start() {
    let office = Office::new().await;
    office.file([1]).await;
    let dir = office.notices();
    // Killed before anything was written; killed with a temporary file; killed between rename and mark.
    let month = dir.join("2026/11");
    fs::create_dir_all(&month).unwrap();
    fs::write(month.join(".0001-2026_NV26-000001_SNV.json.9.dondoc-tmp"), "half").unwrap();
    fs::write(month.join("0001-2026_NV26-000001_SNV.html"), "html 0001/2026 Bùi Hoàng Long ").unwrap();
    let report = export::reconcile(&office.store, &dir, now(), &render).await.unwrap();
    assert_eq!((report.written, report.set_aside.len(), report.failed.len()), (2, 0, 0));
    assert_eq!(files_below(&dir), ["0001-2026_NV26-000001_SNV.html", "0001-2026_NV26-000001_SNV.json"]);
    // Nothing is left to do; then one file vanishes and another is edited.
    let report = export::reconcile(&office.store, &dir, now(), &render).await.unwrap();
    assert_eq!((report.written, report.intact), (0, 2));
    fs::remove_file(month.join("0001-2026_NV26-000001_SNV.html")).unwrap();
    fs::write(month.join("0001-2026_NV26-000001_SNV.json"), "edited").unwrap();
    let report = export::reconcile(&office.store, &dir, now(), &render).await.unwrap();
    assert_eq!((report.written, report.missing.len(), report.set_aside.len()), (2, 1, 1));
    assert_eq!(fs::read_to_string(month.join("0001-2026_NV26-000001_SNV.json.khac-1")).unwrap(), "edited");
    assert_eq!(
        fs::read_to_string(month.join("0001-2026_NV26-000001_SNV.json")).unwrap(),
        "json 0001/2026 Bùi Hoàng Long "
    );
}

#[tokio::test]
async fn a_foreign_file_in_the_place_is_never_overwritten() {
    let office = Office::new().await;
    office.file([1]).await;
    let month = office.notices().join("2026/11");
    fs::create_dir_all(&month).unwrap();
    let place = month.join("0001-2026_NV26-000001_SNV.html");
    fs::write(&place, "somebody's own").unwrap();
    let report = export::write_pending(&office.store, &office.notices(), now(), &render).await.unwrap();
    assert_eq!((report.written, report.set_aside.len()), (2, 1));
    assert_eq!(fs::read_to_string(month.join("0001-2026_NV26-000001_SNV.html.khac-1")).unwrap(), "somebody's own");
    assert!(fs::read_to_string(&place).unwrap().starts_with("html 0001/2026"));
}

#[tokio::test]
async fn what_cannot_be_written_waits_and_holds_up_nothing() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    // A file where the folder should be: no folder can be made.
    fs::write(office.notices(), "in the way").unwrap();
    let report = export::write_pending(&office.store, &office.notices(), now(), &render).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (0, 4));
    office.file([3]).await;
    fs::remove_file(office.notices()).unwrap();
    // One notice that cannot be rendered does not stop the others.
    let poison = |sheet: &Sheet<'_>| if sheet.facts.number == "0002/2026" { Err("bad".into()) } else { render(sheet) };
    let report = export::write_pending(&office.store, &office.notices(), now(), &poison).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (4, 2));
    let report = export::write_pending(&office.store, &office.notices(), now(), &render).await.unwrap();
    assert_eq!((report.written, report.failed.len()), (2, 0));
}

#[tokio::test]
async fn a_copy_is_verified_without_writing_a_byte_beside_it() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    let folder = tempfile::tempdir().unwrap();
    // With the log, as a copy of a running daemon's files has it …
    let copied = folder.path().join("a.db");
    fs::copy(office.db(), &copied).unwrap();
    fs::copy(office.folder.path().join("a.db-wal"), folder.path().join("a.db-wal")).unwrap();
    let copy = SqliteStore::open_read_only(&copied).await.unwrap();
    assert_eq!(verify(&copy).await.unwrap().entries, 2);
    assert!(copy.file_notices(&[filing(3, facts(3))], now()).await.is_err());
    copy.close().await;
    // … and without, as a finished one.
    office.store.close().await;
    let folder = tempfile::tempdir().unwrap();
    let copied = folder.path().join("b.db");
    fs::copy(office.db(), &copied).unwrap();
    let before = fs::read(&copied).unwrap();
    let copy = SqliteStore::open_read_only(&copied).await.unwrap();
    let report = verify(&copy).await.unwrap();
    assert_eq!((report.ok, report.entries), (true, 2));
    copy.close().await;
    assert_eq!(fs::read(&copied).unwrap(), before);
    assert_eq!(files_below(folder.path()), ["b.db"]);
    for wrong in [folder.path().join("absent.db"), {
        fs::write(folder.path().join("x"), "no").unwrap();
        folder.path().join("x")
    }] {
        let error = SqliteStore::open_read_only(&wrong).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot read the database"), "{error}");
    }
}

/// A finished database with four notices and a withdrawal, to be tampered with.
fn template() -> &'static [u8] {
    static TEMPLATE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        std::thread::spawn(|| {
            block_on(async {
                let office = Office::new().await;
                office.file(1..=3).await;
                office.withdraw(2).await.unwrap();
                office.file([4]).await;
                office.store.close().await;
                fs::read(office.db()).unwrap()
            })
        })
        .join()
        .unwrap()
    });
    &TEMPLATE
}

/// Verifies a copy after `sql` was run on it with every trigger and check out of the way.
fn tampered(sql: &str, bind: Option<&[u8]>) -> VerifyReport {
    block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        fs::write(&path, template()).unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(&path)
            .foreign_keys(false)
            .pragma("ignore_check_constraints", "on")
            .synchronous(sqlx::sqlite::SqliteSynchronous::Off)
            .journal_mode(sqlx::sqlite::SqliteJournalMode::Delete);
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        let triggers = sqlx::query("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetch_all(&mut db).await;
        for row in triggers.unwrap() {
            let drop = format!("DROP TRIGGER {}", row.get::<String, _>(0));
            sqlx::query(sqlx::AssertSqlSafe(drop)).execute(&mut db).await.unwrap();
        }
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
        if let Some(bytes) = bind {
            query = query.bind(bytes);
        }
        let changed = query.execute(&mut db).await.unwrap().rows_affected();
        assert!(changed > 0, "{sql} changed nothing");
        db.close().await.unwrap();
        let copy = SqliteStore::open_read_only(&path).await.unwrap();
        let report = verify(&copy).await.unwrap();
        copy.close().await;
        report
    })
}

#[track_caller]
fn check_tampering(sql: &str, first: i64, fault: Fault) {
    let report = tampered(sql, None);
    assert!(!report.ok, "{sql}");
    assert_eq!(report.first_bad, Some((first, fault)), "{sql}");
}

#[test]
fn each_kind_of_tampering_is_named() {
    check_tampering("DELETE FROM register WHERE seq = 3", 3, Fault::Missing);
    check_tampering("DELETE FROM register WHERE seq = 5", 5, Fault::Missing);
    check_tampering("DELETE FROM notice WHERE id = 3", 3, Fault::NoticeMissing);
    check_tampering("UPDATE notice SET withdrawn_seq = NULL WHERE id = 2", 2, Fault::Withdrawal);
    check_tampering("UPDATE notice SET withdrawn_seq = 4 WHERE id = 1", 1, Fault::Withdrawal);
    check_tampering("UPDATE notice SET withdrawn_seq = 5 WHERE id = 3", 3, Fault::Withdrawal);
    check_tampering("UPDATE notice SET withdrawn_seq = 99 WHERE id = 3", 3, Fault::Withdrawal);
    check_tampering("UPDATE notice SET facts = replace(facts, 'phân khu', 'chung') WHERE id = 3", 3, Fault::Facts);
    check_tampering("UPDATE register SET kind = 'x' WHERE seq = 3", 3, Fault::Column("kind"));
    check_tampering("UPDATE register SET hash = upper(hash) WHERE seq = 3", 3, Fault::Hash);
    check_tampering("UPDATE register SET format = 2 WHERE seq = 3", 3, Fault::Format(2));
    check_tampering("UPDATE register_head SET seq = 4", 5, Fault::BeyondHead);
    check_tampering("UPDATE register_head SET seq = 6", 6, Fault::Missing);
    check_tampering("UPDATE register_head SET hash = 'x'", 5, Fault::Head);
    check_tampering("DELETE FROM register_head", 5, Fault::Head);
    check_tampering(
        "UPDATE personal_data SET value = 'Người khác' WHERE seq = 3 AND field = '/head/name'",
        3,
        Fault::Personal("/head/name".into()),
    );
    check_tampering("UPDATE personal_data SET value = 'khac' WHERE seq = 4", 4, Fault::Personal("by".into()));
}

#[test]
fn facts_and_their_hash_rewritten_together_do_not_fit_the_entry() {
    // SHA-256 of "{}".
    check_tampering(
        "UPDATE notice SET facts = '{}', facts_hash = '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a' \
         WHERE id = 3",
        3,
        Fault::Notice("facts_hash"),
    );
}

const REGISTER: [&str; 6] = ["kind", "at", "format", "prev", "fields", "hash"];
const NOTICE: [&str; 15] = [
    "year",
    "number",
    "task",
    "clock",
    "arming",
    "agency",
    "rule",
    "step",
    "occurrence",
    "due_at",
    "filed_at",
    "facts",
    "facts_hash",
    "seq",
    "id",
];

/// Each case copies and opens a database: fewer than usual, unless asked for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// One byte of one column of one row, changed to any other byte: found, and that row's entry named.
    #[test]
    fn any_byte_of_any_column_changed_is_found_and_named(
        column in 0..REGISTER.len() + NOTICE.len(), row in 0usize..5, place in any::<prop::sample::Index>(), by in 1u8..=255,
    ) {
        let (table, key, name, seq) = match REGISTER.get(column) {
            Some(name) => ("register", "seq", *name, row as i64 + 1),
            None => ("notice", "id", NOTICE[column - REGISTER.len()], [1, 2, 3, 5][row % 4]),
        };
        let (kind, bytes) = block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.db");
            fs::write(&path, template()).unwrap();
            let mut db = SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap();
            let sql = format!("SELECT typeof({name}), CAST({name} AS BLOB) FROM {table} WHERE {key} = {seq}");
            let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&mut db).await.unwrap();
            (row.get::<String, _>(0), row.get::<Vec<u8>, _>(1))
        });
        let mut changed = bytes.clone();
        let place = place.index(changed.len());
        let report = if kind == "integer" {
            // Numbers are stored as numbers: a bit of the number itself.
            let number: i64 = String::from_utf8(bytes).unwrap().parse().unwrap();
            let other = number + (i64::from(by) << (place % 4 * 8));
            // What the database's own keys refuse is not tampering that could happen.
            if ["id", "seq", "number", "task"].contains(&name) && other <= 5 { return Ok(()); }
            tampered(&format!("UPDATE {table} SET {name} = {other} WHERE {key} = {seq}"), None)
        } else {
            changed[place] ^= by;
            let cast = if kind == "text" { "CAST($1 AS TEXT)" } else { "$1" };
            tampered(&format!("UPDATE {table} SET {name} = {cast} WHERE {key} = {seq}"), Some(&changed))
        };
        prop_assert!(!report.ok, "{table}.{name} of {seq}");
        prop_assert_eq!(report.first_bad.as_ref().map(|(seq, _)| *seq), Some(seq), "{}.{}: {:?}", table, name, report);
    }

    /// Bytes flipped in the file itself: reported, refused or harmless (outside what the register holds), never a panic.
    #[test]
    fn a_flipped_byte_of_the_file_never_changes_what_is_proven(place in any::<prop::sample::Index>(), by in 1u8..=255) {
        block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.db");
            let mut bytes = template().to_vec();
            let place = place.index(bytes.len());
            bytes[place] ^= by;
            fs::write(&path, bytes).unwrap();
            let Ok(copy) = SqliteStore::open_read_only(&path).await else { return };
            if let Ok(report) = verify(&copy).await && report.ok {
                let mut told = Vec::new();
                for id in [1, 2, 3, 5] {
                    told.push(copy.notice(id).await.map(|found| found.map(|notice| notice.notice.facts)));
                }
                assert!(told.iter().all(|facts| match facts {
                    Ok(found) => found.as_ref().is_some_and(|facts| facts.contains("phân khu")),
                    Err(_) => true,
                }), "{told:?}");
            }
        });
    }
}

#[tokio::test]
async fn commands_answer_as_documented() {
    let office = Office::new().await;
    office.file([1, 2]).await;
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let dir = office.notices();
    let run = async |what: cli::notice::NoticeCommand, json: bool| {
        let call = cli::notice::NoticeCall {
            store: &office.store,
            zone: &zone,
            directory: &dir,
            now: now(),
            by: "chi.nguyen",
            render: &render,
            json,
        };
        let mut out = Vec::new();
        let code = cli::notice::run(&cli::notice::NoticeArgs { what }, call, &mut out).await;
        code.map(|code| (code, String::from_utf8(out).unwrap()))
    };
    use cli::notice::NoticeCommand::{Export, List, Show, Withdraw};
    let withdraw =
        || Withdraw { number: "2/2026".into(), reason: "nhập sai ngày".into(), document: "12/VP-TH".into() };
    let (code, text) = run(withdraw(), false).await.unwrap();
    assert_eq!(code, 0);
    assert!(text.contains("Đã rút phiếu báo 0002/2026 bằng mục 3"), "{text}");
    assert!(run(withdraw(), false).await.unwrap_err().to_string().contains("withdrawn already"));

    let (_, text) = run(List { task: None }, true).await.unwrap();
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let hash = office.store.notice(2).await.unwrap().unwrap().entry.hash;
    assert_eq!(
        list[1],
        serde_json::json!({"number": "0002/2026", "task": "NV26-000002", "agency": "SNV", "step": "qua-han-10",
            "filed_at": "2026-11-25T08:00:02+07:00", "hash": hash, "withdrawn": true})
    );
    assert_eq!(list.as_array().unwrap().len(), 2);
    let (_, text) = run(List { task: Some("NV26-000001".into()) }, false).await.unwrap();
    assert!(text.contains("0001/2026") && !text.contains("0002/2026"), "{text}");

    let (code, text) = run(Show { number: "0002/2026".into() }, false).await.unwrap();
    assert_eq!(code, 0);
    insta::with_settings!({filters => vec![("[0-9a-f]{64}", "[hash]")]}, { insta::assert_snapshot!(text, @"
Phiếu báo nhiệm vụ quá hạn số: 0002/2026
ĐÃ RÚT: 08:00:02 ngày 25/11/2026; lý do: nhập sai ngày; văn bản: 12/VP-TH
Người rút: chi.nguyen
Đơn vị lập: Văn phòng UBND Thành phố
Gửi: Sở Nội vụ
Nhiệm vụ: NV26-000002
Cơ quan chủ trì: Sở Nội vụ; mã SNV
Người đứng đầu: Bùi Hoàng Long; Giám đốc
Văn bản giao: 311/TB-VP; người ký: Trần Ngọc Hạnh
Trích yếu: Về rà soát quy hoạch
Nội dung: Hoàn thành rà soát quy hoạch phân khu
Cấp giao: UBND Thành phố
Thời hạn hoàn thành: 10/11/2026; ngày cố định
Thời hạn ban đầu: 30/10/2026
Thay đổi thời hạn: từ 30/10/2026 thành 10/11/2026; 4120/UBND-ĐT; ngày 28/10/2026; người duyệt: Phó Chủ tịch Lê Thị Mai
Quá hạn: 15 ngày, 10 ngày làm việc
Ngày nghỉ trong thời gian đó: 24/11 là ngày nghỉ
Đôn đốc lần 1: 08:00:04 ngày 11/11/2026; thư điện tử; người đứng đầu cơ quan chủ trì; 250 2.0.0
Ý kiến giải trình: chưa có
Trạng thái: đang thực hiện
Cập nhật gần nhất: 03/11/2026
Số nhiệm vụ quá hạn của đơn vị: 7
Căn cứ lập: quy tắc ubnd-chu-tri, bước qua-han-10, lần 1
Đến bước: 08:00:00 ngày 25/11/2026
Lập lúc: 08:00:02 ngày 25/11/2026; dondoc 0.1.0
Mục sổ: 2, mã băm [hash]
Mục trước: [hash]
Tệp: 2026/11/0002-2026_NV26-000002_SNV.html
Tệp: 2026/11/0002-2026_NV26-000002_SNV.json
Tệp: 2026/11/0002-2026_NV26-000002_SNV_rut.html
Tệp: 2026/11/0002-2026_NV26-000002_SNV_rut.json
") });
    assert!(run(Show { number: "0009/2026".into() }, false).await.is_err());
    assert!(run(Show { number: "abc".into() }, false).await.is_err());
    let (_, text) = run(Show { number: "2/2026".into() }, true).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["withdrawn"]["by"], "chi.nguyen");
    assert_eq!(shown["facts"]["head"]["name"], "Bùi Hoàng Long");

    let (code, text) = run(Export, false).await.unwrap();
    assert_eq!((code, text.as_str()), (0, "Đã ghi 0 tệp; 6 tệp còn nguyên.\n"));

    let verify = async |db: Option<PathBuf>| {
        let args = cli::register::RegisterArgs {
            what: cli::register::RegisterCommand::Verify(cli::register::VerifyArgs { db }),
        };
        let mut out = Vec::new();
        let code =
            cli::register::run(&args, async || Ok(std::sync::Arc::new(office.store.clone()) as _), true, &mut out)
                .await
                .unwrap();
        (code, serde_json::from_slice::<serde_json::Value>(&out).unwrap())
    };
    for db in [None, Some(office.db())] {
        let (code, answer) = verify(db).await;
        assert_eq!(code, 0);
        assert_eq!(answer["ok"], true);
        assert_eq!(answer["entries"], 3);
        assert_eq!(answer["head"], office.store.register_head().await.unwrap().hash);
        assert!(answer["checkpoint"].is_null() && answer["first_bad"].is_null());
    }
    office.sql("UPDATE register_head SET seq = 4").await;
    let (code, answer) = verify(None).await;
    assert_eq!((code, &answer["ok"], &answer["first_bad"]), (3, &false.into(), &4.into()));
}

#[tokio::test]
async fn file_kinds_are_those_the_database_allows() {
    let office = Office::new().await;
    office.file([1]).await;
    office.sql("DELETE FROM file_export").await;
    for kind in FileKind::ALL {
        let mut db = SqliteConnection::connect(&format!("sqlite:{}", office.db().display())).await.unwrap();
        sqlx::query("INSERT INTO file_export (notice, kind, path) VALUES (1, $1, 'x')")
            .bind(kind.as_str())
            .execute(&mut db)
            .await
            .unwrap();
    }
}
