//! Imports: losing nothing, leaking nothing. The files are those that ship in `config/sample`, and a spreadsheet as
//! offices really keep one with the right readings of each of its rows.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use dondoc::{
    config::settings::{
        BlockSettings, Email, EmailTransport, Files, Import, Notices, Office as OfficeSettings, Scan, Settings, Web,
        Zalo,
    },
    intake::{
        directory::import_directory,
        import::{Caller, Estimate, ImportError, NoEstimate, Options, Question, import_tasks},
        report::Report,
    },
    planning::task::{Block, Task},
    store::sqlite::SqliteStore,
};
use jiff::{Timestamp, tz::TimeZone};
use sqlx::{Row, SqlitePool};

/// 20/11/2026 09:00 in Hà Nội: the day of the samples.
fn now() -> Timestamp {
    "2026-11-20T02:00:00Z".parse().unwrap()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn settings(folder: &Path) -> Settings {
    let block = |code: &str| BlockSettings { focal_agency: code.into() };
    Settings {
        file: folder.join("dondoc.toml"),
        office: OfficeSettings {
            name: "VP".into(),
            time_zone: TimeZone::get("Asia/Ho_Chi_Minh").unwrap(),
            time_zone_name: "Asia/Ho_Chi_Minh".into(),
        },
        files: Files { rules: folder.join("r"), calendar: folder.join("c"), templates: None },
        store_url: String::new(),
        store_password: None,
        store_password_file: None,
        scan: Scan { schedule: "0 * * * * *".into(), batch: 500 },
        email: Email {
            transport: EmailTransport::Maildir { path: folder.join("mail") },
            from: "a@office.example".into(),
            reply_to: None,
            operator: None,
            daily_list_at: None,
            allowed_domains: vec!["hanoi.gov.vn.example".into()],
        },
        import: Import { confirm_above: 200 },
        blocks: BTreeMap::from([
            (Block::State, block("VPUB")),
            (Block::Party, block("VPTU")),
            (Block::Enterprise, block("VPUB")),
        ]),
        inspection_agency: "SNV".into(),
        zalo: Zalo::Off,
        notices: Notices { directory: folder.join("notices"), number_prefix: String::new() },
        web: Web { listen: String::new(), public_url: None },
    }
}

struct Office {
    folder: tempfile::TempDir,
    store: SqliteStore,
    settings: Settings,
    look: SqlitePool,
}

const YES: Options = Options { yes: true, dry_run: false, all_unclassified: false };

impl Office {
    /// An empty database.
    async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        let look = SqlitePool::connect(&url).await.unwrap();
        Self { settings: settings(folder.path()), folder, store, look }
    }

    /// With the sample directory.
    async fn new() -> Self {
        let office = Self::empty().await;
        let report = office.directory(&file("config/sample/directory.csv")).await;
        assert_eq!((report.refused, report.held), (0, 0), "{:?}", report.problems);
        office
    }

    async fn directory(&self, path: &Path) -> Report {
        import_directory(path, &self.store, &self.settings, now(), false).await.unwrap()
    }

    async fn tasks_at(&self, path: &Path, at: Timestamp, options: Options) -> Result<Report, ImportError> {
        let caller = Caller { estimate: &mut NoEstimate, confirm: &mut |_| false, progress: &mut |_, _, _| {} };
        import_tasks(path, &self.store, &self.settings, at, options, caller).await
    }

    async fn tasks(&self, path: &Path) -> Report {
        let report = self.tasks_at(path, now(), YES).await.unwrap();
        assert_eq!(
            report.rows,
            report.created + report.updated + report.unchanged + report.held + report.refused,
            "{report:?}"
        );
        report
    }

    /// Imports a table of the given columns.
    async fn table(&self, header: &[&str], rows: &[&[&str]]) -> Report {
        self.tasks(&self.csv(header, rows)).await
    }

    fn csv(&self, header: &[&str], rows: &[&[&str]]) -> PathBuf {
        let path = self.folder.path().join("in.csv");
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(header).unwrap();
        rows.iter().for_each(|row| writer.write_record(*row).unwrap());
        writer.flush().unwrap();
        path
    }

    async fn text(&self, sql: &'static str) -> String {
        let value: Option<String> = sqlx::query_scalar(sql).fetch_one(&self.look).await.unwrap();
        value.unwrap_or_else(|| "NULL".into())
    }

    async fn n(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.look).await.unwrap()
    }

    async fn run(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&self.look).await.unwrap();
    }

    /// Everything stored, to see that nothing changed.
    async fn dump(&self) -> String {
        let mut out = String::new();
        for table in [
            "agency",
            "agency_name",
            "person",
            "post",
            "document",
            "task",
            "task_coordinator",
            "obligation",
            "task_event",
            "extension",
            "reminder",
            "message",
        ] {
            let sql = format!("SELECT * FROM {table}");
            for row in sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.look).await.unwrap() {
                out.push_str(table);
                for at in 0..row.len() {
                    let text = row.try_get_unchecked::<Option<String>, _>(at).unwrap_or_default();
                    out.push('|');
                    out.push_str(&text.unwrap_or_default());
                }
                out.push('\n');
            }
        }
        out
    }

    /// Every byte of the database's folder, the spreadsheets apart.
    fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && !name.ends_with(".csv") && !name.ends_with(".xlsx") {
                all.extend(std::fs::read(path).unwrap());
            }
        }
        all
    }
}

fn has(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[tokio::test]
async fn the_whole_sample_comes_in_and_a_second_import_changes_nothing() {
    let office = Office::new().await;
    assert_eq!(office.n("SELECT count(*) FROM agency").await, 158);
    assert_eq!(office.n("SELECT count(*) FROM post").await, 1026);
    let before = office.dump().await;
    let again = office.directory(&file("config/sample/directory.csv")).await;
    assert_eq!((again.created, again.updated, again.unchanged), (0, 0, 1031), "{again:?}");
    assert_eq!(office.dump().await, before);

    let report = office.tasks(&file("config/sample/tasks.csv")).await;
    assert_eq!((report.rows, report.created, report.held, report.refused), (600, 600, 0, 0), "{:?}", report.problems);
    assert_eq!(report.secret, 5);
    assert_eq!(report.exit_code(), 0);
    let before = office.dump().await;
    let again = office.tasks(&file("config/sample/tasks.csv")).await;
    assert_eq!((again.rows, again.unchanged), (600, 600), "{again:?}");
    assert_eq!(office.dump().await, before);
    // Open tasks are looked at at once, others never.
    assert_eq!(office.n("SELECT count(*) FROM task WHERE next_look_at IS NOT NULL").await, 118);
    assert_eq!(office.n("SELECT count(*) FROM task WHERE next_look_at IS NULL AND state = 'done'").await, 482);
}

#[tokio::test]
async fn each_messy_row_is_read_as_the_truth_says_or_held_for_a_reason_the_truth_gives() {
    let office = Office::new().await;
    let report = office.tasks(&file("tests/data/tasks-messy-sample.csv")).await;
    assert_eq!(report.rows, 300, "{:?}", report.notes);
    let codes: HashMap<i64, String> = sqlx::query("SELECT id, coalesce(code, name) FROM agency")
        .fetch_all(&office.look)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let mut truth = csv::Reader::from_path(file("tests/data/tasks-messy-sample.truth.csv")).unwrap();
    let headers: Vec<String> =
        truth.headers().unwrap().iter().map(|h| h.trim_start_matches('\u{feff}').into()).collect();
    let mut faults = Vec::new();
    let (mut right, mut held) = (0, 0);
    for record in truth.records() {
        let record = record.unwrap();
        let truth: HashMap<&str, &str> = headers.iter().map(String::as_str).zip(record.iter()).collect();
        let (line, mess) = (truth["line"], truth["mess"]);
        let row: u32 = line.parse::<u32>().unwrap();
        let has_mess = |word: &str| mess.split(' ').any(|m| m == word);
        // Found by the event's order: rows are created in the file's order.
        let found = sqlx::query("SELECT t.*, (SELECT due_date FROM obligation o WHERE o.task = t.id AND o.role = 'lead' AND o.clock = 'completion') AS due, (SELECT due_date FROM obligation o WHERE o.task = t.id AND o.clock = 'report') AS report FROM task t WHERE t.id = $1")
            .bind(i64::from(row))
            .fetch_one(&office.look)
            .await
            .unwrap();
        let secrecy = ["open", "confidential", "secret", "top_secret"][truth["secrecy"].parse::<usize>().unwrap()];
        let code: String = found.get("code");
        let mut fault = |what: &str, got: &str, expected: &str| {
            if got != expected {
                faults.push(format!("row {line} ({mess}) {what}: {got} instead of {expected}"));
            }
        };
        fault("secrecy", found.get("secrecy"), secrecy);
        fault("state", found.get("state"), truth["state"]);
        let urgency = ["normal", "urgent", "very_urgent", "flash"][truth["urgency"].parse::<usize>().unwrap()];
        fault("urgency", found.get("urgency"), urgency);
        let text = |column: &str| found.get::<Option<String>, _>(column).unwrap_or_default();
        let completed = if has_mess("done_without_date") { "" } else { truth["completed"] };
        fault("completed", &text("completed_on"), completed);
        fault("original due", &text("original_due"), truth["original_due"]);
        if secrecy == "open" {
            fault("assigner", found.get("assigner"), truth["assigner"]);
        }
        let coordinators: Vec<i64> = sqlx::query_scalar("SELECT agency FROM task_coordinator WHERE task = $1")
            .bind(i64::from(row))
            .fetch_all(&office.look)
            .await
            .unwrap();
        let mut got: Vec<&str> = coordinators.iter().map(|id| codes[id].as_str()).collect();
        let mut expected: Vec<&str> = truth["coord_codes"].split(';').filter(|c| !c.is_empty()).collect();
        got.sort_unstable();
        expected.sort_unstable();
        fault("coordinators", &got.join(";"), &expected.join(";"));
        let why: String = found.get("held");
        let expected = if truth["code_repeat"] == "same_code" {
            "code_reused"
        } else if truth["lead_raw_count"] == "2" {
            "lead_two"
        } else if truth["lead_code"].is_empty() {
            "lead_missing"
        } else if truth["lead_code"] == "?" {
            "agency_ended"
        } else {
            ""
        };
        fault("held", &why, expected);
        if why.is_empty() {
            let lead: i64 = found.get("lead");
            fault("lead", &codes[&lead], truth["lead_code"]);
            fault("due", &text("due"), truth["due"]);
            fault("report", &text("report"), truth["report_due"]);
            if secrecy == "open" {
                fault("code", &code, truth["task_code"]);
            }
            right += 1;
        } else {
            held += 1;
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!((right + held, held as u64), (300, report.held));
    // And again: held rows stay held, the others are known.
    let before = office.dump().await;
    let again = office.tasks(&file("tests/data/tasks-messy-sample.csv")).await;
    assert_eq!((again.created, again.updated, again.held), (0, 0, report.held), "{again:?}");
    assert_eq!(office.dump().await, before);
}

const COLUMNS: [&str; 20] = [
    "Mã nhiệm vụ",
    "Số, ký hiệu văn bản",
    "Ngày văn bản",
    "Loại văn bản",
    "Cơ quan ban hành",
    "Người ký",
    "Trích yếu văn bản",
    "Nội dung nhiệm vụ",
    "Lĩnh vực",
    "Cấp giao nhiệm vụ",
    "Cơ quan chủ trì",
    "Cơ quan phối hợp",
    "Thời hạn hoàn thành",
    "Thời hạn báo cáo",
    "Độ mật",
    "Trạng thái",
    "Ngày hoàn thành",
    "Văn bản kết quả",
    "Ghi chú",
    "Cột lạ",
];

/// A row of [`COLUMNS`]: an open task of Sở Nội vụ due 15/12/2026, but for what is said.
fn row(over: &[(&str, &str)]) -> Vec<String> {
    let values = [
        "NV-1",
        "12/UBND-TH",
        "02/11/2026",
        "Công văn",
        "UBND Thành phố",
        "Nguyễn Văn Ký",
        "V/v thử nghiệm",
        "Báo cáo kết quả",
        "Y tế",
        "UBND Thành phố",
        "Sở Nội vụ",
        "",
        "15/12/2026",
        "",
        "Thường",
        "Đang thực hiện",
        "",
        "",
        "",
        "",
    ];
    let mut row: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    for (column, value) in over {
        let at = COLUMNS.iter().position(|c| c == column).expect("a column of the table");
        row[at] = (*value).to_owned();
    }
    row
}

impl Office {
    async fn rows(&self, rows: &[Vec<String>]) -> Report {
        self.tasks(&self.csv_of(rows)).await
    }

    fn csv_of(&self, rows: &[Vec<String>]) -> PathBuf {
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let rows: Vec<&[&str]> = rows.iter().map(Vec::as_slice).collect();
        self.csv(&COLUMNS, &rows)
    }

    fn xlsx_of(&self, rows: &[Vec<String>]) -> PathBuf {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        for (at, header) in COLUMNS.iter().enumerate() {
            sheet.write(0, at as u16, *header).unwrap();
        }
        for (down, row) in rows.iter().enumerate() {
            for (at, value) in row.iter().enumerate() {
                sheet.write(down as u32 + 1, at as u16, value.as_str()).unwrap();
            }
        }
        let path = self.folder.path().join("in.xlsx");
        book.save(&path).unwrap();
        path
    }

    async fn lead_duty(&self) -> String {
        self.text("SELECT printf('%s %d %s %s', coalesce(due_date, '-'), arming, armed_by, coalesce(overdue_from, '-')) FROM obligation WHERE role = 'lead' AND clock = 'completion' AND ended_at IS NULL").await
    }

    /// A planned reminder, one in a message that waits, one in a message under way, one sent: for task 1, arming 1.
    async fn remind(&self) {
        let agency = self.n("SELECT lead FROM task WHERE id = 1").await;
        let sql = format!(
            "INSERT INTO message (id, channel, address, hours, state, not_before, expires_at, lease_token, lease_until, message_id, bytes, created_at, changed_at) VALUES
               (1, 'email', 'a@x', 'normal', 'pending', 0, 9, NULL, NULL, NULL, NULL, 0, 0),
               (2, 'email', 'b@x', 'normal', 'leased', 0, 9, 't2', 9, NULL, NULL, 0, 0),
               (3, 'email', 'c@x', 'normal', 'frozen', 0, 9, 't3', 9, 'm3', x'41', 0, 0),
               (4, 'email', 'd@x', 'normal', 'sent', 0, 9, NULL, NULL, 'm4', x'41', 0, 0);
             INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at, not_before, state, message, created_at, changed_at) VALUES
               (1, 1, 'completion', 1, 'r', 's0', 1, {agency}, 'handler', 'email', 0, 0, 'planned', NULL, 0, 0),
               (2, 1, 'completion', 1, 'r', 's1', 1, {agency}, 'handler', 'email', 0, 0, 'in_message', 1, 0, 0),
               (3, 1, 'completion', 1, 'r', 's2', 1, {agency}, 'handler', 'email', 0, 0, 'in_message', 2, 0, 0),
               (4, 1, 'completion', 1, 'r', 's3', 1, {agency}, 'handler', 'email', 0, 0, 'in_message', 3, 0, 0),
               (5, 1, 'completion', 1, 'r', 's4', 1, {agency}, 'handler', 'email', 0, 0, 'sent', 4, 0, 0);"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&self.look).await.unwrap();
    }

    async fn reminders(&self) -> String {
        self.text("SELECT group_concat(state || ':' || reason, ' ') FROM (SELECT * FROM reminder ORDER BY id)").await
    }

    async fn messages(&self) -> String {
        self.text("SELECT group_concat(state || ':' || reason, ' ') FROM (SELECT * FROM message ORDER BY id)").await
    }
}

fn codes(report: &Report) -> Vec<(u32, &str)> {
    report.problems.iter().map(|problem| (problem.row, problem.code)).collect()
}

#[tokio::test]
async fn a_later_deadline_arms_the_ladder_anew_and_an_earlier_one_counts_from_its_acceptance() {
    let office = Office::new().await;
    office.rows(&[row(&[("Thời hạn báo cáo", "20/12/2026"), ("Cơ quan phối hợp", "Sở Tài chính")])]).await;
    assert_eq!(office.lead_duty().await, "2026-12-15 1 entered -");
    office.remind().await;
    let moved = row(&[
        ("Thời hạn báo cáo", "20/12/2026"),
        ("Cơ quan phối hợp", "Sở Tài chính"),
        ("Thời hạn hoàn thành", "25/12/2026"),
    ]);
    let report = office.rows(&[moved]).await;
    assert_eq!((report.updated, codes(&report)), (1, vec![]));
    assert_eq!(office.lead_duty().await, "2026-12-25 2 extended -");
    assert_eq!(
        office.text("SELECT group_concat(due_date || ' ' || arming) FROM obligation WHERE role = 'coordinator'").await,
        "2026-12-25 2"
    );
    // The other clock did not move.
    assert_eq!(office.n("SELECT arming FROM obligation WHERE clock = 'report'").await, 1);
    assert_eq!(
        office.reminders().await,
        "superseded:deadline_moved superseded:deadline_moved in_message: in_message: sent:"
    );
    assert_eq!(office.messages().await, "suppressed:deadline_moved leased: frozen: sent:");
    // A change without a paper says so, and both days stay.
    assert_eq!(
        office.text("SELECT old_due || ' ' || new_due || ' [' || paper || ']' FROM extension").await,
        "2026-12-15 2026-12-25 []"
    );
    assert_eq!(
        office
            .text(
                "SELECT old || ' ' || new || ' [' || paper || '] ' || by_whom FROM task_event WHERE what = 'due_date'"
            )
            .await,
        "2026-12-15 2026-12-25 [] import"
    );
    assert_eq!(office.text("SELECT original_due FROM task").await, "2026-12-15");

    office
        .rows(&[row(&[
            ("Thời hạn hoàn thành", "18/11/2026"),
            ("Thời hạn báo cáo", "20/12/2026"),
            ("Cơ quan phối hợp", "Sở Tài chính"),
        ])])
        .await;
    assert_eq!(office.lead_duty().await, "2026-11-18 3 advanced 2026-11-20");
    assert_eq!(office.n("SELECT count(*) FROM task WHERE next_look_at IS NOT NULL").await, 1);
    assert_eq!(office.text("SELECT original_due FROM task").await, "2026-12-15");
}

#[tokio::test]
async fn completion_silences_in_the_same_transaction_and_leaves_messages_under_way_alone() {
    let office = Office::new().await;
    office.rows(&[row(&[])]).await;
    office.remind().await;
    let report = office.rows(&[row(&[("Trạng thái", "Hoàn thành"), ("Ngày hoàn thành", "19/11/2026")])]).await;
    assert_eq!(report.updated, 1);
    assert_eq!(
        office.text("SELECT state || ' ' || completed_on || ' ' || coalesce(next_look_at, 'never') FROM task").await,
        "done 2026-11-19 never"
    );
    assert_eq!(office.reminders().await, "suppressed:completed suppressed:completed in_message: in_message: sent:");
    assert_eq!(office.messages().await, "suppressed:completed leased: frozen: sent:");
    assert_eq!(
        office.text("SELECT old || ' ' || new || ' ' || effective_on FROM task_event WHERE what = 'state'").await,
        "in_progress done 2026-11-19"
    );

    // Backwards is not an import's business; the other fields are taken.
    let report = office.rows(&[row(&[("Ghi chú", "mới")])]).await;
    assert_eq!((report.updated, codes(&report)), (1, vec![(2, "state_backwards")]));
    assert_eq!(
        office.text("SELECT state || ' ' || completed_on || ' ' || note FROM task").await,
        "done 2026-11-19 mới"
    );
    // And it is said each time.
    let report = office.rows(&[row(&[("Ghi chú", "mới")])]).await;
    assert_eq!((report.unchanged, codes(&report)), (1, vec![(2, "state_backwards")]));
}

#[tokio::test]
async fn a_message_shared_with_another_task_still_waits_for_it() {
    let office = Office::new().await;
    office.rows(&[row(&[]), row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "Việc khác")])]).await;
    office.remind().await;
    office.run("INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at, not_before, state, message, created_at, changed_at)
                SELECT 9, 2, 'completion', 1, 'r', 's', 1, lead, 'handler', 'email', 0, 0, 'in_message', 1, 0, 0 FROM task WHERE id = 2").await;
    let done = row(&[("Trạng thái", "Hoàn thành"), ("Ngày hoàn thành", "19/11/2026")]);
    office.rows(&[done, row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "Việc khác")])]).await;
    assert_eq!(office.messages().await, "pending: leased: frozen: sent:");
    assert!(office.reminders().await.ends_with("in_message:"));
}

#[tokio::test]
async fn pausing_and_a_task_done_without_a_date_are_silent_at_once() {
    let office = Office::new().await;
    office.rows(&[row(&[])]).await;
    office.remind().await;
    office.rows(&[row(&[("Trạng thái", "Tạm dừng")])]).await;
    assert!(office.reminders().await.starts_with("suppressed:paused suppressed:paused"));
    let report = office.rows(&[row(&[("Trạng thái", "Hoàn thành")])]).await;
    assert_eq!((report.held, codes(&report)), (0, vec![(2, "done_without_date")]));
    assert_eq!(
        office
            .text("SELECT state || coalesce(completed_on, ' no day') || coalesce(next_look_at, ' never') FROM task")
            .await,
        "done no day never"
    );
    // The day given later is not lost to a file that lacks it again.
    office.rows(&[row(&[("Trạng thái", "Hoàn thành"), ("Ngày hoàn thành", "18/11/2026")])]).await;
    office.rows(&[row(&[("Trạng thái", "Hoàn thành")])]).await;
    assert_eq!(office.text("SELECT completed_on FROM task").await, "2026-11-18");
}

#[tokio::test]
async fn a_faulty_row_is_held_with_its_reason_and_a_mended_one_released() {
    let office = Office::new().await;
    for (column, value, code) in [
        ("Cơ quan chủ trì", "", "lead_missing"),
        ("Cơ quan chủ trì", "Sở Nội vụ; Sở Tư pháp", "lead_two"),
        ("Cơ quan chủ trì", "Sở Nội vụ, Sở Tư pháp", "lead_two"),
        ("Cơ quan chủ trì", "Sở Không Có", "agency_unknown"),
        ("Cơ quan chủ trì", "UBND quận Ba Đình", "agency_ended"),
        ("Cơ quan phối hợp", "Sở Không Có", "agency_unknown"),
        ("Thời hạn hoàn thành", "31/02/2026", "deadline_unreadable"),
        ("Thời hạn hoàn thành", "khi nào xong thì thôi", "deadline_unreadable"),
    ] {
        let code_of = format!("H-{column}-{value}");
        let work = format!("Việc {column} {value}");
        let identity = [("Mã nhiệm vụ", code_of.as_str()), ("Nội dung nhiệm vụ", &work)];
        let report = office.rows(&[row(&[identity[0], identity[1], (column, value)])]).await;
        assert_eq!((report.held, report.exit_code()), (1, 3), "{value}");
        assert_eq!(codes(&report), [(2, code)], "{value}");
        let message = &report.problems[0].message;
        assert!(value.is_empty() || message.contains(value), "what was read is said: {message}");
        assert_eq!(
            office.text("SELECT held || coalesce(next_look_at, ' never') FROM task ORDER BY id DESC").await,
            format!("{code} never")
        );
        let report = office.rows(&[row(&identity)]).await;
        assert_eq!((report.updated, report.held, codes(&report)), (1, 0, vec![]), "{value}");
        assert_eq!(
            office.text("SELECT printf('%s %d %s %s', held, next_look_at > 0, (SELECT group_concat(armed_by) FROM obligation WHERE task = task.id), (SELECT count(*) FROM extension)) FROM task ORDER BY id DESC").await,
            " 1 entered 0",
            "{value}"
        );
    }
}

#[tokio::test]
async fn one_code_for_two_works_and_two_codes_for_one_work_are_held() {
    let office = Office::new().await;
    let other = row(&[("Nội dung nhiệm vụ", "Việc khác"), ("Cơ quan chủ trì", "Sở Tư pháp")]);
    let report = office.rows(&[row(&[]), other.clone()]).await;
    assert_eq!((report.created, report.held, codes(&report)), (1, 1, vec![(3, "code_reused")]));
    // Both are stored, and known again in any order.
    let before = office.dump().await;
    let report = office.rows(&[row(&[]), other.clone()]).await;
    assert_eq!((report.unchanged, report.held), (1, 1));
    assert_eq!(office.dump().await, before);
    // In a file of its own the code still belongs to the first.
    let report = office.rows(&[other]).await;
    assert_eq!((report.held, codes(&report)), (1, vec![(2, "code_reused")]));
    assert_eq!(office.n("SELECT count(*) FROM task").await, 2);
    // Mended: the held one gets its own code, nothing is stored twice.
    let mended = row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "Việc khác"), ("Cơ quan chủ trì", "Sở Tư pháp")]);
    let report = office.rows(&[row(&[]), mended]).await;
    assert_eq!((report.unchanged, report.updated, report.held, codes(&report)), (1, 1, 0, vec![]));
    assert_eq!(office.text("SELECT group_concat(code || held) FROM task").await, "NV-1,NV-2");

    let twin = row(&[("Mã nhiệm vụ", "NV-9")]);
    let report = office.rows(&[row(&[]), twin.clone()]).await;
    assert_eq!((report.unchanged, report.held, codes(&report)), (1, 1, vec![(3, "duplicate_work")]));
    let report = office.rows(&[twin]).await;
    assert_eq!((report.held, codes(&report)), (1, vec![(2, "duplicate_work")]));
    let report = office.rows(&[row(&[("Mã nhiệm vụ", "NV-9"), ("Nội dung nhiệm vụ", "Việc thứ ba")])]).await;
    assert_eq!((report.updated, report.held), (1, 0));
    // The same row twice is one task.
    let report = office
        .rows(&[
            row(&[("Mã nhiệm vụ", "NV-7"), ("Nội dung nhiệm vụ", "a")]),
            row(&[("Mã nhiệm vụ", "NV-7"), ("Nội dung nhiệm vụ", "a")]),
        ])
        .await;
    assert_eq!((report.created, report.unchanged, codes(&report)), (1, 1, vec![(3, "row_repeated")]));
}

#[tokio::test]
async fn another_lead_climbs_its_own_ladder_and_coordinators_come_and_go() {
    let office = Office::new().await;
    office.rows(&[row(&[("Cơ quan phối hợp", "Sở Tài chính; Sở Y tế")])]).await;
    office.remind().await;
    let report =
        office.rows(&[row(&[("Cơ quan chủ trì", "Sở Tư pháp"), ("Cơ quan phối hợp", "Sở Y tế; Sở Du lịch")])]).await;
    assert_eq!((report.updated, codes(&report)), (1, vec![]));
    let duties = office.text(
        "SELECT group_concat(line, '; ') FROM (SELECT a.code || ' ' || o.role || ' ' || o.armed_by || iif(o.ended_at IS NULL, '', ' ended') AS line
         FROM obligation o JOIN agency a ON a.id = o.agency ORDER BY a.code)",
    );
    assert_eq!(
        duties.await,
        "SDL coordinator reassigned; SNV lead entered ended; STC coordinator entered ended; STP lead reassigned; SYT coordinator entered"
    );
    assert!(office.reminders().await.starts_with("superseded:reassigned superseded:reassigned"));
    assert_eq!(office.n("SELECT count(*) FROM task_event WHERE what IN ('lead', 'coordinators')").await, 2);
    // And back: its ladder is armed again.
    office.rows(&[row(&[("Cơ quan phối hợp", "Sở Y tế; Sở Du lịch")])]).await;
    assert_eq!(office.lead_duty().await, "2026-12-15 2 reassigned -");
}

#[tokio::test]
async fn a_file_without_a_column_leaves_what_it_does_not_say() {
    let office = Office::new().await;
    office
        .rows(&[row(&[("Ghi chú", "giữ lại"), ("Cơ quan phối hợp", "Sở Y tế"), ("Thời hạn báo cáo", "20/12/2026")])])
        .await;
    let before =
        office.text("SELECT group_concat(clock || due_date || arming || coalesce(ended_at, '')) FROM obligation").await;
    let report = office
        .table(
            &["Độ mật", "Ghi thêm", "TÌNH TRẠNG THỰC HIỆN", "Cơ quan\nchủ trì ", "Nội dung nhiệm vụ", "Mã nhiệm vụ"],
            &[&["", "bỏ qua", "Đang xin gia hạn", "SNV", "Báo cáo kết quả", "NV-1"]],
        )
        .await;
    assert_eq!((report.updated, codes(&report)), (1, vec![]));
    assert!(report.notes.iter().any(|note| note.contains("Ghi thêm")), "{:?}", report.notes);
    assert_eq!(
        office.text("SELECT state || note || due_typed FROM task").await,
        "extension_requestedgiữ lại15/12/2026"
    );
    assert_eq!(
        office.text("SELECT group_concat(clock || due_date || arming || coalesce(ended_at, '')) FROM obligation").await,
        before
    );
}

#[tokio::test]
async fn a_spreadsheet_says_the_same_as_its_csv() {
    let rows = [
        row(&[("Cơ quan phối hợp", "Sở Y tế")]),
        row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "b"), ("Độ mật", "Mật")]),
    ];
    let (a, b) = (Office::new().await, Office::new().await);
    let of_csv = a.tasks(&a.csv_of(&rows)).await;
    let of_xlsx = b.tasks(&b.xlsx_of(&rows)).await;
    assert_eq!((of_csv.created, of_csv.secret, &of_csv.problems), (of_xlsx.created, of_xlsx.secret, &of_xlsx.problems));
    const SAID: &str =
        "SELECT group_concat(work || due_typed || due_reading || state || secrecy || lead, ' ') FROM task";
    assert_eq!(a.text(SAID).await, b.text(SAID).await);
}

#[tokio::test]
async fn a_file_with_a_fault_anywhere_changes_nothing() {
    let office = Office::new().await;
    let before = office.dump().await;
    let path = office.csv_of(&[row(&[]), row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "b")])]);
    let good = std::fs::read_to_string(&path).unwrap();
    for (bad, said) in [
        (format!("{good}x,{}TUYỆT,y,z\n", "CANARY,".repeat(20)), "dòng 4"),
        (good.replace("Độ mật", "Mức"), "Độ mật"),
        (good.replace("Ghi chú", "Độ mật"), "hai lần"),
        (good.replace("Cơ quan chủ trì", "Ai làm"), "Cơ quan chủ trì"),
        ("PK\u{3}\u{4} không phải".to_owned(), ""),
    ] {
        std::fs::write(&path, bad).unwrap();
        let error = office.tasks_at(&path, now(), YES).await.unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains("CANARY"), "{error}");
        assert_eq!(office.dump().await, before);
    }
    std::fs::write(&path, good.replace("Độ mật", "Mức")).unwrap();
    let options = Options { all_unclassified: true, ..YES };
    assert_eq!(office.tasks_at(&path, now(), options).await.unwrap().created, 2);
}

struct Each(u64);

impl Estimate for Each {
    fn messages_due_now(&mut self, task: &Task) -> u64 {
        assert!(!task.held && task.state.is_open() && !task.obligations.is_empty());
        self.0
    }
}

#[tokio::test]
async fn nothing_is_written_before_the_answer_is_yes() {
    let office = Office::new().await;
    let path = office
        .csv_of(&[row(&[]), row(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "b"), ("Trạng thái", "Hoàn thành")])]);
    let before = office.dump().await;
    let run = async |each: u64, options: Options, answer: bool| {
        let mut asked = None;
        let mut confirm = |question: Question| {
            asked = Some(question);
            answer
        };
        let caller = Caller { estimate: &mut Each(each), confirm: &mut confirm, progress: &mut |_, _, _| {} };
        let answer = import_tasks(&path, &office.store, &office.settings, now(), options, caller).await;
        (answer, asked)
    };
    let (answer, asked) = run(3, Options::default(), false).await;
    assert!(matches!(answer, Err(ImportError::NotConfirmed(_))));
    assert_eq!(asked, Some(Question { created: 2, messages: 3, first: true }));
    assert_eq!(office.dump().await, before);
    let (answer, asked) = run(3, Options { dry_run: true, ..Options::default() }, false).await;
    let report = answer.unwrap();
    assert_eq!((asked, report.created, report.messages_at_once, report.dry_run), (None, 2, Some(3), true));
    assert_eq!(office.dump().await, before);
    let (answer, asked) = run(3, Options::default(), true).await;
    assert_eq!((answer.unwrap().created, asked.is_some()), (2, true));

    // Later only many messages are worth a question.
    let path = office.csv_of(&[row(&[("Thời hạn hoàn thành", "20/12/2026")])]);
    let run = async |each: u64| {
        let mut asked = false;
        let mut confirm = |_: Question| {
            asked = true;
            true
        };
        let caller = Caller { estimate: &mut Each(each), confirm: &mut confirm, progress: &mut |_, _, _| {} };
        let options = Options { dry_run: false, ..Options::default() };
        import_tasks(&path, &office.store, &office.settings, now(), options, caller).await.unwrap();
        asked
    };
    assert!(!run(200).await);
    office.csv_of(&[row(&[("Thời hạn hoàn thành", "21/12/2026")])]);
    assert!(run(201).await);
}

#[tokio::test]
async fn a_new_head_ends_the_old_heads_post_the_day_before() {
    let office = Office::new().await;
    let text = std::fs::read_to_string(file("config/sample/directory.csv")).unwrap();
    let head = text.lines().find(|line| line.contains(",nguoi_dung_dau,") && line.contains("VPUB")).unwrap();
    let old = head.split(',').nth(9).unwrap();
    let new = head.replace(old, "Trần Văn Mới").replace("thuykp@", "moitv@").replace("01/03/2025", "01/11/2026");
    let path = office.folder.path().join("d.csv");
    std::fs::write(&path, text.replace(head, &new)).unwrap();
    let report = office.directory(&path).await;
    assert_eq!((report.created, report.updated, report.refused), (1, 0, 0), "{report:?}");
    const HEADS: &str = "SELECT group_concat(p.name || ' ' || coalesce(o.valid_to, 'now'), '; ') FROM post o JOIN person p ON p.id = o.person JOIN agency a ON a.id = o.agency WHERE a.code = 'VPUB' AND o.role = 'head' ORDER BY o.id";
    assert_eq!(office.text(HEADS).await, format!("{old} 2026-10-31; Trần Văn Mới now"));
    let before = office.dump().await;
    assert_eq!(office.directory(&path).await.unchanged, 1031);
    assert_eq!(office.dump().await, before);
}

#[tokio::test]
async fn merged_cells_take_the_document_above_but_never_a_classified_one() {
    let office = Office::new().await;
    let empty = [
        ("Số, ký hiệu văn bản", ""),
        ("Ngày văn bản", ""),
        ("Loại văn bản", ""),
        ("Cơ quan ban hành", ""),
        ("Người ký", ""),
        ("Trích yếu văn bản", ""),
        ("Cấp giao nhiệm vụ", ""),
    ];
    let with = |over: &[(&'static str, &'static str)]| row(&[&empty, over].concat());
    office
        .rows(&[
            row(&[]),
            with(&[("Mã nhiệm vụ", "NV-2"), ("Nội dung nhiệm vụ", "b")]),
            row(&[
                ("Mã nhiệm vụ", "NV-3"),
                ("Nội dung nhiệm vụ", "c"),
                ("Độ mật", "Mật"),
                ("Số, ký hiệu văn bản", "99/MAT"),
            ]),
            with(&[("Mã nhiệm vụ", "NV-4"), ("Nội dung nhiệm vụ", "d")]),
        ])
        .await;
    assert_eq!(
        office.text("SELECT group_concat(coalesce(d.number, '-'), ' ') FROM (SELECT * FROM task ORDER BY id) t LEFT JOIN document d ON d.id = t.document").await,
        "12/UBND-TH 12/UBND-TH - -"
    );
}

#[tokio::test]
async fn a_running_task_whose_row_breaks_is_silent_until_mended_and_then_starts_anew() {
    let office = Office::new().await;
    office.rows(&[row(&[])]).await;
    office.remind().await;
    let report = office.rows(&[row(&[("Thời hạn hoàn thành", "khi xong")])]).await;
    assert_eq!((report.held, codes(&report)), (1, vec![(2, "deadline_unreadable")]));
    assert!(office.reminders().await.starts_with("suppressed:held"));
    assert_eq!(
        office.text("SELECT held || coalesce(next_look_at, ' never') FROM task").await,
        "deadline_unreadable never"
    );
    // Its deadline was not lost: mending it back is no change of deadline.
    let report = office.rows(&[row(&[])]).await;
    assert_eq!((report.updated, report.held), (1, 0));
    assert_eq!(office.lead_duty().await, "2026-12-15 2 reopened -");
    assert_eq!(office.n("SELECT count(*) FROM extension").await, 0);
}

// ---- secrets of the State ----

/// Each content column of a classified row holds a word of its own.
fn canaries(tag: &str) -> Vec<(&'static str, String)> {
    [
        "Số, ký hiệu văn bản",
        "Loại văn bản",
        "Cơ quan ban hành",
        "Người ký",
        "Trích yếu văn bản",
        "Nội dung nhiệm vụ",
        "Lĩnh vực",
        "Cấp giao nhiệm vụ",
        "Văn bản kết quả",
        "Ghi chú",
        "Cột lạ",
    ]
    .iter()
    .enumerate()
    .map(|(at, column)| (*column, format!("CANARY{tag}{at}")))
    .collect()
}

fn classified(tag: &str, level: &str, over: &[(&str, &str)]) -> Vec<String> {
    let code = format!("CANARYCODE{tag}");
    let canaries = canaries(tag);
    let mut all: Vec<(&str, &str)> = canaries.iter().map(|(column, word)| (*column, word.as_str())).collect();
    all.push(("Mã nhiệm vụ", &code));
    all.push(("Độ mật", level));
    all.extend(over);
    row(&all)
}

/// Watches whatever is logged in this process, at any level, by anyone (the database logs in threads of its own).
struct Log;

static LEAKED: AtomicBool = AtomicBool::new(false);
static SEEN: AtomicBool = AtomicBool::new(false);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The words of classified rows; those of `W` stand in statements of a test that runs beside.
        let leaked = ["CANARYL", "CANARYB", "CANARYS", "CANARYC"].iter().any(|word| has(bytes, word));
        LEAKED.fetch_or(leaked, Ordering::SeqCst);
        SEEN.fetch_or(has(bytes, "INSERT INTO task"), Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(|| Log).finish();
        tracing::subscriber::set_global_default(subscriber).expect("nobody else listens in this process");
    });
}

/// Rows of every level, whole and broken in every column that is read.
fn secret_rows() -> Vec<Vec<String>> {
    let mut rows: Vec<Vec<String>> =
        ["Mật", "C", "tối mật", "B", "TUYỆT MẬT", "A", "tuyệt  mật ", "kín", "?", "1", "Mât"]
            .iter()
            .enumerate()
            .map(|(at, level)| classified(&format!("L{at}x"), level, &[]))
            .collect();
    for (at, (column, value)) in [
        ("Cơ quan chủ trì", "CANARYBROKEN a"),
        ("Cơ quan chủ trì", "CANARYBROKEN a; CANARYBROKEN b"),
        ("Cơ quan phối hợp", "CANARYBROKEN c; các CANARYBROKEN liên quan"),
        ("Thời hạn hoàn thành", "CANARYBROKEN ngày"),
        ("Thời hạn báo cáo", "CANARYBROKEN ngày"),
        ("Ngày hoàn thành", "CANARYBROKEN ngày"),
        ("Trạng thái", "CANARYBROKEN"),
        ("Mã nhiệm vụ", ""),
    ]
    .into_iter()
    .enumerate()
    {
        rows.push(classified(&format!("B{at}x"), "Mật", &[(column, value)]));
    }
    // A cell too few: the level stands in the next column's place.
    let mut shifted = classified("Sx", "Tuyệt mật", &[]);
    shifted.remove(2);
    shifted.push(String::new());
    rows.push(shifted);
    // Its code twice.
    rows.push(classified("L0x", "Mật", &[("Thời hạn hoàn thành", "01/12/2026")]));
    rows
}

#[tokio::test]
async fn nothing_of_a_classified_row_reaches_disk_log_or_message() {
    for spreadsheet in [false, true] {
        let office = Office::new().await;
        listen();
        let rows = secret_rows();
        let path = if spreadsheet { office.xlsx_of(&rows) } else { office.csv_of(&rows) };
        let options = Options { dry_run: true, ..Options::default() };
        let dry = office.tasks_at(&path, now(), options).await.unwrap();
        let first = office.tasks(&path).await;
        assert_eq!((first.secret, first.refused), (rows.len() as u64, 1), "{:?}", first.problems);
        let second = office.tasks(&path).await;
        assert_eq!((second.created, second.updated, second.held), (0, 0, first.held), "{:?}", second.problems);
        office.store.close().await;
        for report in [dry, first, second] {
            for text in [report.json(), report.text(), format!("{report:?}")] {
                assert!(!text.contains("CANARY"), "{text}");
            }
            assert!(report.text().contains("nội dung đã bỏ, không lưu"));
        }
        assert!(!has(&office.bytes(), "CANARY"), "in the database's folder, spreadsheet {spreadsheet}");
        assert!(!LEAKED.load(Ordering::SeqCst), "in the log");
        // The eyes can see: what is open does stand there, and in the log.
        assert!(has(&office.bytes(), "Sở Nội vụ"));
        assert!(SEEN.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn of_a_classified_row_only_level_agencies_days_and_state_stay() {
    let office = Office::new().await;
    let secret =
        classified("K", "Mật", &[("Cơ quan phối hợp", "Sở Y tế"), ("Thời hạn hoàn thành", "trước ngày 15/12/2026")]);
    let report = office.rows(std::slice::from_ref(&secret)).await;
    assert_eq!((report.created, report.secret, codes(&report)), (1, 1, vec![]));
    let code = office.text("SELECT code FROM task").await;
    assert!(
        code.len() == 12
            && code.starts_with("MAT-")
            && code[4..].chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_lowercase()),
        "{code}"
    );
    assert_eq!(
        office.text("SELECT printf('[%s%s%s%s%s%s%s%s] %s %s %s %s', work, field, priority, assigner, result, note, due_typed, fingerprint, secrecy, due_reading, state, coalesce(document, 'none')) FROM task").await,
        "[] confidential before in_progress none"
    );
    assert_eq!(office.lead_duty().await, "2026-12-14 1 entered -");
    // Found again when its deadline moves, and its level is never lowered by a file.
    let mut moved = secret.clone();
    moved[12] = "20/12/2026".into();
    assert_eq!(office.rows(&[moved.clone()]).await.updated, 1);
    moved[14] = "Thường".into();
    let report = office.rows(&[moved]).await;
    assert_eq!(codes(&report), [(2, "secrecy_lowered")]);
    assert_eq!(office.n("SELECT count(*) FROM task WHERE work = '' AND secrecy = 'confidential'").await, 1);
    office.store.close().await;
    assert!(!has(&office.bytes(), "CANARY"));
}

#[tokio::test]
async fn a_task_imported_again_as_classified_loses_its_content_everywhere() {
    let office = Office::new().await;
    let many: Vec<Vec<String>> = (0..400)
        .map(|n| {
            row(&[
                ("Mã nhiệm vụ", &format!("NV-{n}x")),
                ("Nội dung nhiệm vụ", &format!("Việc {n} {}", "dài ".repeat(n % 50))),
                ("Ghi chú", &format!("CANARYNOTE{n}")),
            ])
        })
        .collect();
    let open = classified("W", "Thường", &[]);
    let mut all = vec![open.clone()];
    all.extend(many);
    office.rows(&all).await;
    // It has a history: each value was something else once.
    let mut other = open.clone();
    for value in other.iter_mut().filter(|value| value.starts_with("CANARYW")) {
        value.push_str("old");
    }
    other[7] = open[7].clone();
    other[12] = "20/12/2026".into();
    office.rows(std::slice::from_ref(&other)).await;
    office.remind().await;
    office
        .run("UPDATE message SET bytes = CAST('CANARYW in a letter' AS BLOB), message_id = 'm' WHERE id IN (1, 4)")
        .await;
    // As letters of today's version stand: apart.
    office.run("UPDATE message SET bytes = X'01' WHERE id = 4").await;
    office.run("INSERT INTO letter(message, bytes) VALUES (4, CAST('CANARYW in a letter apart' AS BLOB))").await;
    office.run("INSERT INTO contact_log (task, clock, agency, at, form, outcome, by_whom) VALUES (1, 'completion', 1, 0, 'telephone', 'CANARYW said', 'x')").await;
    assert!(has(&office.bytes(), "CANARYW"));

    let mut secret = other.clone();
    secret[14] = "Tuyệt mật".into();
    let report = office.rows(&[secret]).await;
    assert_eq!((report.updated, report.secret, codes(&report)), (1, 1, vec![(2, "classified_now")]));
    assert!(report.problems[0].message.contains("đã gửi 1 tin"), "{}", report.problems[0].message);
    assert!(report.problems[0].message.contains("2 tin đang trong lúc gửi"), "{}", report.problems[0].message);
    assert!(!report.json().contains("CANARY"));
    assert!(office.reminders().await.starts_with("suppressed:classified"));
    assert_eq!(office.messages().await, "suppressed:classified leased: frozen: sent:");
    assert!(office.text("SELECT code FROM task WHERE id = 1").await.starts_with("MAT-"));
    // With the daemon's connections still open.
    assert!(!has(&office.bytes(), "CANARYW") && !has(&office.bytes(), "CANARYCODEW"));
    assert!(has(&office.bytes(), "CANARYNOTE399"), "other tasks keep theirs");
    // Its days are still known: figures need them.
    assert_eq!(office.n("SELECT count(*) FROM task_event WHERE task = 1 AND what = 'due_date' AND old <> ''").await, 1);
}
