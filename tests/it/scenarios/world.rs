//! The office of every story: a small fixed directory, tasks as entered, and what befalls them. Straight SQL, for the
//! stories must not depend on how an import reads a table.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::Mutex,
};

use dondoc::{
    clock,
    planning::{
        fold::fold,
        rules::Audience,
        task::{AgencyId, Clock, PersonId, TaskId},
    },
    store::{
        acts::{Act, ActStore, By, ContactForm},
        sqlite::SqliteStore,
    },
};
use jiff::{
    Timestamp,
    civil::{DateTime, Time},
    tz::TimeZone,
};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use super::{
    file::{TaskText, When},
    timeline::Timeline,
};

pub const DOMAIN: &str = "hanoi.gov.vn.example";

/// (code, name, block, kind, superior)
const AGENCIES: [(&str, &str, &str, &str, &str); 6] = [
    ("SNV", "Sở Nội vụ", "state", "Thành phố", "UBND Thành phố"),
    ("STC", "Sở Tài chính", "state", "Thành phố", "UBND Thành phố"),
    ("PBD", "UBND phường Ba Đình", "state", "Xã, phường", "UBND Thành phố"),
    ("VPUB", "Văn phòng UBND Thành phố", "state", "Thành phố", "UBND Thành phố"),
    ("VPTU", "Văn phòng Thành ủy", "party", "Thành phố", "Thành ủy"),
    ("CTMT", "Công ty Môi trường", "enterprise", "Doanh nghiệp", "Sở Tài chính"),
];

/// Posts that nobody holds.
const VACANT: [&str; 3] = ["pbd.head", "ctmt.box", "ctmt.contact"];

/// (suffix of the address, role of the post, title)
const POSTS: [(&str, &str, &str); 5] = [
    ("head", "head", "Giám đốc"),
    ("deputy", "deputy", "Phó Giám đốc"),
    ("contact", "contact", "Đầu mối"),
    ("box", "registry", "Văn thư"),
    ("handler", "handler", "Chuyên viên"),
];

/// A refusal that lasts.
pub struct Answer {
    pub to: String,
    pub channel: Option<String>,
    /// 0: the answer is lost after the hand-over.
    pub code: i32,
    pub reply: String,
    pub until: Option<Timestamp>,
    pub times: Option<u32>,
    pub quiet: bool,
}

/// What the relay answers to one message.
#[derive(Clone)]
pub struct Told {
    pub code: i32,
    pub reply: String,
    pub quiet: bool,
}

pub struct World {
    pub store: SqliteStore,
    pub pool: SqlitePool,
    pub clock: clock::Clock,
    pub timeline: Mutex<Timeline>,
    pub answers: Mutex<Vec<Answer>>,
    /// Message-IDs that were handed over, by our number.
    pub keys: Mutex<HashMap<i64, String>>,
    /// Events that wait for a message to be under way.
    pub during: Mutex<VecDeque<When>>,
    /// Set by an event that kills the daemon while a message is under way.
    pub crash: tokio::sync::Notify,
    zone: TimeZone,
    pub several: bool,
}

impl World {
    pub async fn new(folder: &Path, from: DateTime, several: bool) -> Self {
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
        let clock = clock::Clock::manual(from.to_zoned(zone.clone()).unwrap().timestamp());
        let path = folder.join("a.db");
        let store = SqliteStore::open(&format!("sqlite:{}", path.display())).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let world = World {
            store,
            pool,
            clock,
            timeline: Mutex::default(),
            answers: Mutex::default(),
            keys: Mutex::default(),
            during: Mutex::default(),
            crash: tokio::sync::Notify::new(),
            zone,
            several,
        };
        world.directory().await;
        world
    }

    pub fn instant(&self, at: DateTime) -> Timestamp {
        at.to_zoned(self.zone.clone()).unwrap().timestamp()
    }

    pub fn local(&self, at: Timestamp) -> DateTime {
        self.zone.to_datetime(at)
    }

    pub fn now(&self) -> DateTime {
        self.local(self.clock.now())
    }

    pub fn ms(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    async fn directory(&self) {
        let mut tx = self.pool.begin().await.unwrap();
        for (code, name, block, kind, superior) in AGENCIES {
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO agency(code, name, block, kind, superior, active) VALUES ($1, $2, $3, $4, $5, 1) RETURNING id",
            )
            .bind(code)
            .bind(name)
            .bind(block)
            .bind(kind)
            .bind(superior)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
            for (typed, kind) in [(code, "code"), (name, "name")] {
                sqlx::query("INSERT INTO agency_name(folded, agency, kind, typed) VALUES ($1, $2, $3, $4)")
                    .bind(fold(typed))
                    .bind(id)
                    .bind(kind)
                    .bind(typed)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
            }
            let own = match code {
                "VPUB" => Some(("monitor", "handler", "Chuyên viên theo dõi")),
                // Without a post until an event gives them one.
                "SNV" => Some(("next", "", "")),
                _ => None,
            };
            for (suffix, role, title) in POSTS.into_iter().chain(own) {
                let local = format!("{}.{suffix}", code.to_lowercase());
                if VACANT.contains(&local.as_str()) {
                    continue;
                }
                // One takes Zalo; one would, but has no number.
                let takes_zalo = local == "stc.handler" || local == "pbd.handler";
                let zalo = if local == "stc.handler" { "zalo-stc.handler" } else { "" };
                let person: i64 = sqlx::query_scalar(
                    "INSERT INTO person(name, folded, honorific, email, takes_zalo, zalo_user_id) \
                     VALUES ($1, $2, 'Ông', $3, $4, $5) RETURNING id",
                )
                .bind(format!("Người {local}"))
                .bind(fold(&format!("Người {local}")))
                .bind(format!("{local}@{DOMAIN}"))
                .bind(takes_zalo)
                .bind(zalo)
                .fetch_one(&mut *tx)
                .await
                .unwrap();
                if role.is_empty() {
                    continue;
                }
                sqlx::query("INSERT INTO post(agency, person, role, title) VALUES ($1, $2, $3, $4)")
                    .bind(id)
                    .bind(person)
                    .bind(role)
                    .bind(title)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
            }
        }
        tx.commit().await.unwrap();
    }

    pub async fn agency(&self, code: &str) -> i64 {
        sqlx::query_scalar("SELECT id FROM agency WHERE code = $1")
            .bind(code)
            .fetch_optional(&self.pool)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("there is no agency {code:?}"))
    }

    /// A person by the local part of their address; `None` for an empty text.
    pub async fn person(&self, local: &str) -> Option<i64> {
        if local.is_empty() {
            return None;
        }
        let found = sqlx::query_scalar("SELECT id FROM person WHERE name = $1")
            .bind(format!("Người {local}"))
            .fetch_optional(&self.pool)
            .await
            .unwrap();
        Some(found.unwrap_or_else(|| panic!("there is no person {local:?}")))
    }

    /// The directory changed.
    pub async fn revise(&self) {
        sqlx::query(
            "INSERT INTO mark(name, value) VALUES ('directory_revision', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1",
        )
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub async fn enter(&self, task: &TaskText) {
        let lead = self.agency(&task.lead).await;
        let handler = task.handler.clone().unwrap_or_else(|| format!("{}.handler", task.lead.to_lowercase()));
        let handler = self.person(&handler).await;
        let monitor = self.person(task.monitor.as_deref().unwrap_or("vpub.monitor")).await;
        let word = |given: &Option<String>, or: &str| given.clone().unwrap_or_else(|| or.to_owned());
        let secrecy = word(&task.secrecy, "open");
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO task(code, work, field, assigner_block, urgency, secrecy, state, state_since, lead, handler, monitor, \
             due_typed, due_reading, original_due, imported_urgings, held, known_at, next_look_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'date', $13, $14, $15, $8, $16) RETURNING id",
        )
        .bind(&task.code)
        .bind(if secrecy == "open" { "Báo cáo rà soát" } else { "" })
        .bind(&task.field)
        .bind(word(&task.assigner_block, "state"))
        .bind(word(&task.urgency, "normal"))
        .bind(&secrecy)
        .bind(word(&task.state, "in_progress"))
        .bind(self.ms())
        .bind(lead)
        .bind(handler)
        .bind(monitor)
        .bind(&task.deadline)
        .bind(deadline(&task.deadline).0)
        .bind(task.imported_urgings)
        .bind(&task.held)
        .bind(task.held.is_empty().then(|| self.ms()))
        .fetch_one(&self.pool)
        .await
        .unwrap();
        self.oblige(id, "completion", lead, "lead", &task.deadline).await;
        if !task.report.is_empty() {
            self.oblige(id, "report", lead, "lead", &task.report).await;
        }
        for coordinator in &task.coordinators {
            let (code, own) = coordinator.split_once(' ').unwrap_or((coordinator, &task.deadline));
            let agency = self.agency(code).await;
            sqlx::query("INSERT INTO task_coordinator(task, agency) VALUES ($1, $2)")
                .bind(id)
                .bind(agency)
                .execute(&self.pool)
                .await
                .unwrap();
            self.oblige(id, "completion", agency, "coordinator", own).await;
        }
    }

    async fn oblige(&self, task: i64, clock: &str, agency: i64, role: &str, due: &str) {
        let (date, time) = deadline(due);
        sqlx::query(
            "INSERT INTO obligation(task, clock, agency, role, due_date, due_time, arming, armed_at, armed_by) \
             VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 'entered')",
        )
        .bind(task)
        .bind(clock)
        .bind(agency)
        .bind(role)
        .bind(date)
        .bind(time)
        .bind(self.ms())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// A task by its code, or the only one.
    pub async fn task(&self, code: &Option<String>) -> i64 {
        let found: Vec<i64> = sqlx::query_scalar("SELECT id FROM task WHERE $1 IS NULL OR code = $1")
            .bind(code)
            .fetch_all(&self.pool)
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "say which task an event is about: {code:?}");
        found[0]
    }

    /// Applies what needs no running daemon.
    pub async fn apply(&self, event: &When) {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        match event.what.as_str() {
            "replace_head" => {
                let agency = self.agency(&text(&event.agency)).await;
                let day = self.now().date();
                sqlx::query("UPDATE post SET valid_to = $2 WHERE agency = $1 AND role = 'head'")
                    .bind(agency)
                    .bind(day.yesterday().unwrap().to_string())
                    .execute(&self.pool)
                    .await
                    .unwrap();
                if let Some(person) = self.person(&text(&event.person)).await {
                    sqlx::query(
                        "INSERT INTO post(agency, person, role, title, valid_from) VALUES ($1, $2, 'head', 'Giám đốc', $3)",
                    )
                    .bind(agency)
                    .bind(person)
                    .bind(day.to_string())
                    .execute(&self.pool)
                    .await
                    .unwrap();
                }
                self.revise().await;
            }
            // `to`: another address, empty for none.
            "change_address" => {
                let person = self.person(&text(&event.person)).await;
                let to = text(&event.to);
                sqlx::query("UPDATE person SET email = $2 WHERE id = $1")
                    .bind(person)
                    .bind(if to.is_empty() { to } else { format!("{to}@{DOMAIN}") })
                    .execute(&self.pool)
                    .await
                    .unwrap();
                self.revise().await;
            }
            "refuse" | "lose_answer" => {
                let code = if event.what == "refuse" { event.code.unwrap_or(550) } else { 0 };
                self.answers.lock().unwrap().push(Answer {
                    to: event.to.clone().unwrap_or_else(|| "all".to_owned()),
                    channel: event.kind.clone(),
                    code,
                    reply: event.reply.clone().unwrap_or_else(|| "5.1.1 no such user".to_owned()),
                    until: event.until.map(|until| self.instant(until)),
                    times: event.times,
                    quiet: event.quiet,
                });
            }
            _ => {
                let act = self.act(event).await;
                let task = TaskId(self.task(&event.task).await);
                let by = By { who: "Văn phòng".to_owned(), paper: text(&event.paper) };
                let today = self.now().date();
                self.store
                    .act(self.clock.now(), today, task, &act, &by)
                    .await
                    .unwrap_or_else(|error| panic!("`{}` at {} was refused: {error}", event.what, self.now()));
            }
        }
    }

    /// What people do to a task, as the command line would say it.
    async fn act(&self, event: &When) -> Act {
        let clock = Clock::from_word(event.clock.as_deref().unwrap_or("completion")).expect("`clock`");
        let agency = async || match &event.agency {
            Some(code) => self.agency(code).await,
            None => sqlx::query_scalar("SELECT lead FROM task WHERE id = $1")
                .bind(self.task(&event.task).await)
                .fetch_one(&self.pool)
                .await
                .unwrap(),
        };
        match event.what.as_str() {
            "start_work" => Act::Start,
            "submit" => Act::Submit,
            "refuse_work" => Act::Refuse,
            "done" => Act::Done { on: event.date },
            "return" => Act::Return,
            "withdraw" => Act::Withdraw,
            "pause" => Act::Pause,
            "resume" => Act::Resume,
            "reopen" => Act::Reopen,
            "assign" => Act::Assign { lead: AgencyId(agency().await) },
            // `agency`: all of them from now on, `STC,PBD`; empty for none.
            "coordinators" => {
                let mut agencies = Vec::new();
                for code in event.agency.as_deref().unwrap_or_default().split(',').filter(|code| !code.is_empty()) {
                    agencies.push(AgencyId(self.agency(code).await));
                }
                Act::SetCoordinators { agencies }
            }
            "change_handler" => {
                let person = self.person(event.person.as_deref().unwrap_or_default()).await;
                Act::SetHandler { person: PersonId(person.expect("`person`")) }
            }
            // Later, or earlier: a correction.
            "extend" => {
                let to = event.to.as_deref().expect("`to`");
                let (date, time) = deadline(to);
                Act::Extend {
                    clock,
                    date: date.expect("a date").parse().unwrap(),
                    time: time.map(|time| format!("{time}:00").parse().unwrap()),
                    decided_on: Some(self.now().date()),
                    approver: "Chủ tịch".to_owned(),
                }
            }
            "ask_extension" => Act::AskExtension,
            "report" => Act::Report,
            "acknowledge" => Act::Acknowledge { until: self.instant(event.until.expect("`until`")) },
            "contact" => Act::LogContact {
                clock,
                agency: AgencyId(agency().await),
                form: ContactForm::Telephone,
                whom: "Chánh Văn phòng".to_owned(),
                outcome: "hứa xong trong tuần".to_owned(),
            },
            other => panic!("nothing is known of `do = {other:?}`"),
        }
    }

    /// What the relay answers to a message for this person.
    pub fn answer(&self, channel: &str, local: &str) -> Option<Told> {
        let now = self.clock.now();
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.iter_mut().find(|answer| {
            (answer.to == "all" || answer.to == local)
                && answer.channel.as_deref().unwrap_or("email") == channel
                && answer.until.is_none_or(|until| now < until)
                && answer.times != Some(0)
        })?;
        if let Some(times) = &mut answer.times {
            *times -= 1;
        }
        Some(Told { code: answer.code, reply: answer.reply.clone(), quiet: answer.quiet })
    }

    /// Events that were waiting for a message to come this far.
    pub fn take_during(&self, phase: &str) -> Vec<When> {
        let now = self.now();
        let mut waiting = self.during.lock().unwrap();
        let (ready, rest): (VecDeque<When>, VecDeque<When>) = waiting
            .drain(..)
            .partition(|event| event.during.as_deref() == Some(phase) && event.at.is_none_or(|at| at <= now));
        *waiting = rest;
        ready.into()
    }

    /// Whom an address belongs to: the local part of their e-mail as the stories name them.
    pub async fn local_part(&self, address: &str) -> String {
        let name: Option<String> = sqlx::query_scalar(
            "SELECT name FROM person WHERE $1 <> '' AND (email = $1 OR zalo_user_id = $1 OR phone = $1)",
        )
        .bind(address)
        .fetch_optional(&self.pool)
        .await
        .unwrap();
        let local = || address.split('@').next().unwrap_or_default().to_owned();
        name.and_then(|name| name.strip_prefix("Người ").map(str::to_owned)).unwrap_or_else(local)
    }

    /// `[NV1/][STC/][report/]den-han[#2]`
    pub fn rung(&self, row: &SqliteRow) -> String {
        let (code, agency): (String, String) = (row.get("code"), row.get("agency_code"));
        let (step, occurrence): (String, i64) = (row.get("step"), row.get("occurrence"));
        let mut out = String::new();
        if self.several {
            out += &format!("{code}/");
        }
        if !row.get::<bool, _>("of_lead") {
            out += &format!("{agency}/");
        }
        if row.get::<String, _>("clock") == "report" {
            out += "report/";
        }
        out += &step;
        if occurrence > 1 {
            out += &format!("#{occurrence}");
        }
        out
    }

    /// Who usually stands behind an audience; what differs is shown.
    pub async fn usual(&self, row: &SqliteRow) -> String {
        let agency = row.get::<String, _>("agency_code").to_lowercase();
        let named = |column: &str| {
            row.get::<Option<String>, _>(column).and_then(|name| name.strip_prefix("Người ").map(str::to_owned))
        };
        let office = if row.get::<String, _>("assigner_block") == "party" { "vptu" } else { "vpub" };
        let superior = || match agency.as_str() {
            "ctmt" => "stc",
            "vptu" => "vptu",
            _ => "vpub",
        };
        match Audience::from_ledger_word(&row.get::<String, _>("audience")).unwrap() {
            Audience::Handler if row.get::<bool, _>("of_lead") => named("handler_name").unwrap_or_default(),
            Audience::Handler | Audience::AgencyContact => format!("{agency}.contact"),
            Audience::AgencyHead => format!("{agency}.head"),
            Audience::AgencyDeputy => format!("{agency}.deputy"),
            Audience::AgencyBox => format!("{agency}.box"),
            Audience::Monitor => named("monitor_name").unwrap_or_default(),
            Audience::SuperiorHead => format!("{}.head", superior()),
            Audience::BoxOf(owner) if *owner == Audience::SuperiorHead => format!("{}.box", superior()),
            Audience::BoxOf(_) => format!("{office}.box"),
            Audience::AssignerOffice => format!("{office}.box"),
            Audience::Inspection => "snv.box".to_owned(),
            Audience::Person(id) => id,
            Audience::Email(address) => address.split('@').next().unwrap_or_default().to_owned(),
        }
    }
}

/// `2026-12-15`, `2026-12-15T17:00`: date and hour as the store keeps them.
fn deadline(text: &str) -> (Option<String>, Option<String>) {
    if text.is_empty() {
        return (None, None);
    }
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let date: jiff::civil::Date = date.parse().unwrap_or_else(|_| panic!("{text:?} is no date"));
    let time = time.map(|time| format!("{time}:00").parse::<Time>().unwrap_or_else(|_| panic!("{text:?} has no hour")));
    (Some(date.to_string()), time.map(|time| time.strftime("%H:%M").to_string()))
}
