//! An office of the shipped settings and the sample directory in a folder of its own, and task files of any length for
//! it: made from the sample's rows by a seeded generator, with deadlines counted from today, because what a scan finds
//! due depends on today.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use dondoc::{clock::Clock, config::load::load_all, engine::policy::Policy, store::sqlite::SqliteStore};
use jiff::{ToSpan, civil::Date, tz::TimeZone};

use crate::child::{Ran, run, run_unheard};

const SAMPLE: &str = include_str!("../../config/sample/tasks.csv");
const DIRECTORY: &str = include_str!("../../config/sample/directory.csv");
const RULES: &str = include_str!("../../config/rules.toml");
const CALENDAR: &str = include_str!("../../config/calendar.toml");
const SETTINGS: &str = include_str!("../../config/dondoc.toml");

/// An office in a folder that goes with it.
pub struct Office {
    folder: tempfile::TempDir,
}

impl Office {
    /// Settings as shipped, then changed; the directory taken in.
    pub fn new(change: impl Fn(&str) -> String, rules: impl Fn(&str) -> String) -> Self {
        Self::with(change, rules, "")
    }

    /// The same, with the secret that signs posts to the Zalo relay.
    pub fn with(change: impl Fn(&str) -> String, rules: impl Fn(&str) -> String, secret: &str) -> Self {
        Self::within(tempfile::tempdir().expect("a temporary folder"), change, rules, secret)
    }

    /// [`Office::with`] in a folder of the caller's.
    pub fn within(
        folder: tempfile::TempDir,
        change: impl Fn(&str) -> String,
        rules: impl Fn(&str) -> String,
        secret: &str,
    ) -> Self {
        let files = [
            ("zalo-webhook-secret", secret.to_owned()),
            ("dondoc.toml", change(SETTINGS)),
            ("rules.toml", rules(RULES)),
            ("calendar.toml", CALENDAR.to_owned()),
            ("directory.csv", DIRECTORY.to_owned()),
        ];
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).expect("a written file");
        }
        let office = Self { folder };
        office.ok(&["import", "directory", &office.path("directory.csv").display().to_string()]);
        office
    }

    /// As shipped, but open at all hours: the figures must not depend on the day and hour of measuring.
    pub fn always_open() -> Self {
        Self::new(str::to_owned, open_at_all_hours)
    }

    /// The folder outlives this program, for a look at it.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, for this office.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dondoc"));
        command.arg("--config").arg(self.path("dondoc.toml")).args(args).current_dir(self.folder.path());
        command.env("RUST_LOG", "error").stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), &self.path("stdout"))
    }

    /// Runs it; anything but "done" or "done, but something needs a person" ends the benchmark.
    pub fn ok(&self, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert!(matches!(ran.code, Some(0 | 3)), "{args:?} ended with {:?}: {}", ran.code, ran.stderr);
        ran
    }

    /// [`Office::ok`], without keeping what it answers.
    pub fn ok_unheard(&self, args: &[&str]) -> Ran {
        let ran = run_unheard(self.command(args), &self.path("stderr"));
        assert!(matches!(ran.code, Some(0 | 3)), "{args:?} ended with {:?}: {}", ran.code, ran.stderr);
        ran
    }

    pub async fn store(&self) -> SqliteStore {
        SqliteStore::open(&format!("sqlite:{}", self.path("dondoc.db").display())).await.expect("the office's database")
    }

    pub fn policy(&self) -> Policy {
        let (office, _) = load_all(&self.path("dondoc.toml"), []).expect("the office's settings");
        dondoc::cli::context::policy_of(office).expect("the office's policy")
    }
}

/// The shipped rules with normal hours that are always open.
pub fn open_at_all_hours(rules: &str) -> String {
    let changed = rules
        .replacen("days = \"working\" ", "days = \"all\" ", 1)
        .replacen("from = \"07:30\"", "from = \"00:00\"", 1)
        .replacen("until = \"17:30\"", "until = \"23:59\"", 1);
    assert!(changed.contains("from = \"00:00\""), "the shipped rules' hours look different now");
    changed
}

/// Today in the office.
pub fn today() -> Date {
    Clock::System.now().to_zoned(TimeZone::get("Asia/Ho_Chi_Minh").expect("a known zone")).date()
}

/// Which tasks a file has.
#[derive(Clone, Copy)]
pub struct Tasks {
    pub count: usize,
    /// The first and the last deadline, in days from today.
    pub due: (i32, i32),
}

/// xorshift64*: the same rows each time.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize) % n.max(1)
    }
}

enum Value {
    Text(String),
    Day(Date),
}

impl Tasks {
    /// Header and rows: the sample's columns; eight tasks a document; all open, none classified.
    fn each(self, mut row: impl FnMut(usize, Vec<(usize, Value)>)) {
        let mut reader = csv::Reader::from_reader(SAMPLE.trim_start_matches('\u{feff}').as_bytes());
        let headers: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
        let at = |name: &str| headers.iter().position(|head| head == name).expect("a column of the sample");
        let sample: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.expect("a row").iter().map(str::to_owned).collect::<Vec<_>>())
            .filter(|record| record[at("Độ mật")] == "Thường")
            .collect();
        let named = [
            "STT",
            "Mã nhiệm vụ",
            "Số, ký hiệu văn bản",
            "Ngày văn bản",
            "Nội dung nhiệm vụ",
            "Ngày giao",
            "Thời hạn hoàn thành",
            "Thời hạn báo cáo",
            "Trạng thái",
            "Ngày cập nhật gần nhất",
        ];
        let [stt, code, number, dated, work, assigned, due, report, state, updated] = named.map(at);
        let document: Vec<usize> =
            ["Loại văn bản", "Cơ quan ban hành", "Người ký", "Trích yếu văn bản", "Cấp giao nhiệm vụ"].map(at).to_vec();
        let emptied = ["Ngày hoàn thành", "Văn bản kết quả", "Số lần gia hạn", "Hạn ban đầu", "Số lần đôn đốc"].map(at);
        row(0, headers.iter().cloned().map(Value::Text).enumerate().collect());
        let (today, mut seeded) = (today(), Seeded(0x5eed_d0d0));
        let plus = |day: Date, n: i32| day.checked_add(n.days()).expect("a day in range");
        let mut paper = 0;
        let mut day = today;
        for n in 1..=self.count {
            let of = seeded.below(sample.len());
            if n % 8 == 1 {
                paper = of;
                day = plus(today, -10 - seeded.below(90) as i32);
            }
            let span = (self.due.1 - self.due.0 + 1) as usize;
            let deadline = plus(today, self.due.0 + seeded.below(span) as i32);
            let mut cells = Vec::with_capacity(headers.len());
            for (column, text) in sample[of].iter().enumerate() {
                let text = if document.contains(&column) { &sample[paper][column] } else { text };
                let value = if column == stt {
                    Value::Text(n.to_string())
                } else if column == code {
                    Value::Text(format!("BM-{n:06}"))
                } else if column == number {
                    let symbol = sample[paper][column].split_once('/').map_or("UBND", |(_, symbol)| symbol);
                    Value::Text(format!("{}/{symbol}", n.div_ceil(8)))
                } else if column == work {
                    Value::Text(format!("{text} (việc thứ {n})"))
                } else if column == dated || column == assigned {
                    Value::Day(day)
                } else if column == due {
                    // One in thirty has no single deadline, as in the sample.
                    if n % 30 == 0 { Value::Text("Thường xuyên".to_owned()) } else { Value::Day(deadline) }
                } else if column == report {
                    if text.is_empty() { continue } else { Value::Day(plus(deadline, 5)) }
                } else if column == state {
                    Value::Text(if n % 3 == 0 { "Chưa thực hiện" } else { "Đang thực hiện" }.to_owned())
                } else if column == updated {
                    Value::Day(plus(today, -3))
                } else if text.is_empty() || emptied.contains(&column) {
                    continue;
                } else {
                    Value::Text(text.clone())
                };
                cells.push((column, value));
            }
            row(n, cells);
        }
    }

    pub fn write_csv(self, path: &Path) {
        let mut writer = csv::Writer::from_path(path).expect("a file to write");
        let mut columns = 0;
        self.each(|n, cells| {
            columns = if n == 0 { cells.len() } else { columns };
            let mut record = vec![String::new(); columns];
            for (column, value) in cells {
                record[column] = match value {
                    Value::Text(text) => text,
                    Value::Day(day) => day.strftime("%d/%m/%Y").to_string(),
                };
            }
            writer.write_record(&record).expect("a written row");
        });
        writer.flush().expect("a written file");
    }

    pub fn write_xlsx(self, path: &Path) {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        let date = rust_xlsxwriter::Format::new().set_num_format("dd/mm/yyyy");
        self.each(|n, cells| {
            for (column, value) in cells {
                let (row, column) = (n as u32, column as u16);
                match value {
                    Value::Text(text) => sheet.write_string(row, column, text).map(|_| ()),
                    Value::Day(day) => {
                        let serial = (day - jiff::civil::date(1899, 12, 30)).get_days();
                        sheet.write_number_with_format(row, column, f64::from(serial), &date).map(|_| ())
                    }
                }
                .expect("a written cell");
            }
        });
        book.save(path).expect("a written workbook");
    }
}
