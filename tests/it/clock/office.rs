//! An office whose clocks the tests move: a real store, a relay that only counts, and tasks of the test's own.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    cli::context::policy_of,
    clock::Clock,
    config::{load::load_all, settings::Settings},
    engine::{Engine, Pass, instance::Guard, policy::Policy},
    intake::{
        directory::import_directory,
        import::{Caller, NoEstimate, Options, import_tasks},
    },
    planning::{outcome::Outcome, rules::ChannelKind},
    store::sqlite::SqliteStore,
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use mail_parser::MessageParser;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

/// Five rungs, two of them with a notice. One message for each reminder.
pub const RULES: &str = r#"
[defaults]
at = "08:00"
via = ["email"]
bundle = true
daily_cap = 100000

[hours.normal]
days = "working"
from = "07:30"
until = "17:30"

[[rule]]
id = "chu-tri"
when = { role = "lead" }
clock = "completion"

[[rule.step]]
id = "truoc-1"
due = "-1wd"
add = ["handler"]

[[rule.step]]
id = "den-han"
due = "0d"
add = ["agency_contact"]

[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
add = ["agency_head"]
file = ["notice"]

[[rule.step]]
id = "qua-han-2"
due = "+2wd"
urging = true

[[rule.step]]
id = "qua-han-3"
due = "+3wd"
urging = true
add = ["monitor"]
file = ["notice"]

[[rule]]
id = "phoi-hop"
when = { role = "coordinator" }
clock = "completion"

[[rule.step]]
id = "phoi-hop-truoc-1"
due = "-1wd"
add = ["agency_contact"]

[[rule]]
id = "bao-cao"
when = { role = "lead" }
clock = "report"

[[rule.step]]
id = "bao-cao-truoc-1"
due = "-1wd"
add = ["handler"]
"#;

const HEADER: &str = "Mã nhiệm vụ,\"Số, ký hiệu văn bản\",Ngày văn bản,Loại văn bản,Cơ quan ban hành,Trích yếu văn bản,\
Nội dung nhiệm vụ,Cấp giao nhiệm vụ,Cơ quan chủ trì,Chuyên viên thụ lý,Email,Người theo dõi (Văn phòng),Ngày giao,\
Thời hạn hoàn thành,Độ khẩn,Độ mật,Trạng thái";

/// Units of the sample directory with somebody in each post.
pub const UNITS: [(&str, &str, &str); 3] = [
    ("Sở Xây dựng", "Hoàng Mai Hiền", "hienhm@hanoi.gov.vn.example"),
    ("UBND xã An Khánh", "Đinh Thị Lan", "landt2@hanoi.gov.vn.example"),
    ("Sở Giáo dục và Đào tạo", "Kiều Thu Hạnh", "hanhkt@hanoi.gov.vn.example"),
];

/// So many tasks, all due on one day (`02/02/2027`).
pub fn tasks(n: usize, due: &str) -> String {
    let mut text = HEADER.to_owned();
    for task in 1..=n {
        let (unit, handler, address) = UNITS[task % UNITS.len()];
        text.push_str(&format!(
            "\nNV27-{task:06},{task}/UBND-TH,10/11/2026,Công văn,UBND Thành phố,Việc thử {task},Lập báo cáo thử nghiệm số \
             {task},Chủ tịch UBND Thành phố,{unit},{handler},{address},Đỗ Mai Linh,10/11/2026,{due},Thường,Thường,Đang \
             thực hiện"
        ));
    }
    text.push('\n');
    text
}

/// A relay that takes everything, and notes what it took.
#[derive(Default)]
pub struct Caught {
    mails: Mutex<Vec<(String, String)>>,
    refused: Mutex<Vec<String>>,
}

impl Caught {
    /// Address and text of each mail, in order.
    pub fn mails(&self) -> Vec<(String, String)> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this address does not exist there; the others do.
    pub fn refuse(&self, addresses: &[&str]) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = addresses.iter().map(|address| (*address).to_owned()).collect();
    }

    pub fn count(&self) -> usize {
        self.mails().len()
    }
}

#[async_trait]
impl Channel for Caught {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        if self.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(&parcel.address) {
            let reply = format!("5.1.1 <{}>: mailbox unavailable", parcel.address);
            return Delivery::Tried(Outcome::Recipient { code: 550, reply });
        }
        if !gate.pass(parcel).await {
            return Delivery::Stopped;
        }
        let mail = MessageParser::default().parse(&parcel.bytes).unwrap();
        let text = format!("{}\n{}", mail.subject().unwrap(), mail.body_text(0).unwrap());
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).push((parcel.address.clone(), text));
        Delivery::Tried(Outcome::Accepted { code: 250, reply: "2.0.0 OK".into() })
    }

    fn parallel(&self) -> usize {
        20
    }

    async fn rest(&self) {}
}

/// A local moment of Hà Nội: `2027-01-29T20:00`.
pub fn local(text: &str) -> Timestamp {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    text.parse::<DateTime>().unwrap().to_zoned(zone).unwrap().timestamp()
}

pub struct Office {
    pub folder: TempDir,
    pub store: Arc<SqliteStore>,
    pub clock: Clock,
    pub caught: Arc<Caught>,
}

impl Office {
    /// Its files, its directory, and the tasks of a spreadsheet, all entered at `now`.
    pub async fn new(now: Timestamp, tasks: &str) -> Self {
        Self::with(now, tasks, |_| ()).await
    }

    /// The same, after `mend` changed its files.
    pub async fn with(now: Timestamp, tasks: &str, mend: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Settings::embedded(folder.path()).unwrap();
        fs::write(folder.path().join("rules.toml"), RULES).unwrap();
        let file = folder.path().join("dondoc.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("daily_list_at = \"09:00\"", "daily_list_at = \"\"")).unwrap();
        mend(folder.path());
        let settings = policy(folder.path()).settings;
        let store = Arc::new(SqliteStore::open(&settings.store_url).await.unwrap());
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample");
        import_directory(&sample.join("directory.csv"), &*store, &settings, now, false).await.unwrap();
        let office = Self { folder, store, clock: Clock::manual(now), caught: Arc::default() };
        office.import(now, tasks).await;
        office
    }

    pub async fn import(&self, now: Timestamp, tasks: &str) {
        let file = self.folder.path().join("tasks.csv");
        fs::write(&file, tasks).unwrap();
        let settings = policy(self.folder.path()).settings;
        let caller = Caller { estimate: &mut NoEstimate, confirm: &mut |_| true, progress: &mut |_, _, _| {} };
        let options = Options { yes: true, dry_run: false, all_unclassified: false };
        let report = import_tasks(&file, &*self.store, &settings, now, options, caller).await.unwrap();
        assert_eq!(report.held + report.refused, 0, "{report:?}");
    }

    /// What the files say now.
    pub fn policy(&self) -> Policy {
        policy(self.folder.path())
    }

    /// The program starts.
    pub async fn start(&self) -> Engine {
        let engine = self.engine();
        engine.start().await.unwrap();
        engine
    }

    /// The same, on a database that may be a copy.
    pub async fn start_guarded(&self, guard: Arc<Guard>) -> Engine {
        let engine = self.engine().guarded(guard);
        engine.start().await.unwrap();
        engine
    }

    fn engine(&self) -> Engine {
        let relay: Arc<dyn Channel> = self.caught.clone();
        let channels = HashMap::from([(ChannelKind::Email, relay)]);
        Engine::new(self.store.clone(), self.clock.clone(), self.policy(), channels, Arc::new(|_| ()))
    }

    /// Time passes, awake, with a look at each quarter of an hour, until the clock shows `to`.
    pub async fn live(&self, engine: &Engine, to: Timestamp) -> Pass {
        let mut all = Pass::default();
        loop {
            let pass = engine.pass().await.unwrap();
            if engine.list_the_unreached().await.unwrap() > 0 {
                engine.pass().await.unwrap();
            }
            all.planned += pass.planned;
            all.sent += pass.sent;
            all.filed += pass.filed;
            let now = self.clock.now();
            if now >= to {
                return all;
            }
            self.clock.set((now + std::time::Duration::from_secs(900)).min(to));
        }
    }

    /// What a statement over the file gives, as words with their numbers.
    pub async fn numbers(&self, sql: &'static str) -> BTreeMap<String, i64> {
        let file = self.folder.path().join("dondoc.db");
        let mut db = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut db).await.unwrap();
        rows.into_iter().collect()
    }

    /// Reminders by step and state.
    pub async fn reminders(&self) -> BTreeMap<String, i64> {
        self.numbers("SELECT step || ' ' || state, count(*) FROM reminder GROUP BY 1").await
    }

    pub async fn notices(&self) -> i64 {
        self.numbers("SELECT 'n', count(*) FROM notice").await["n"]
    }
}

fn policy(folder: &Path) -> Policy {
    let (office, _) =
        load_all(&folder.join("dondoc.toml"), []).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    policy_of(office).unwrap()
}
