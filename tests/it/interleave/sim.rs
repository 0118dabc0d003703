//! One interleaving's world: the real store on a file, copied from a template; the clock; the dice; what is written down.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use dondoc::{
    clock::{Clock, millis},
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        settings::{Settings, Zalo},
        shipped,
    },
    engine::{Engine, policy::Policy},
    message::texts::Texts,
    planning::plan::{CONFIRM_STEP, STATE_RULE},
    store::{ledger::Recorded, sqlite::SqliteStore},
};
use jiff::{
    Timestamp,
    civil::{DateTime, date},
};
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use super::{
    journal::{Journal, Kind, fault},
    suspects::Poison,
    turnstile::{Life, Turnstile},
};
use crate::{
    dice::Dice,
    planted::Mistake,
    scenarios::{file::TaskText, world::World},
};

/// How likely things are: once in so many draws; `0..` in a thousand steps for what people and fate do.
#[derive(Debug, Clone, Copy)]
pub struct Chances {
    pub refusal: i64,
    pub lost: i64,
    pub panic: i64,
    /// In a thousand steps.
    pub acts: i64,
    pub clock: i64,
    pub crash: i64,
    pub stale: i64,
    pub reload: i64,
    pub directory: i64,
    pub operator: i64,
}

impl Default for Chances {
    fn default() -> Self {
        Chances {
            refusal: 6,
            lost: 4,
            panic: 40,
            acts: 170,
            clock: 40,
            crash: 12,
            stale: 6,
            reload: 7,
            directory: 6,
            operator: 20,
        }
    }
}

/// See the module.
pub struct Sim {
    pub gate: Turnstile,
    pub store: SqliteStore,
    /// Beside the store: for the judge, and for what has no call.
    pub pool: SqlitePool,
    pub clock: Clock,
    pub mistake: Option<Mistake>,
    pub chances: Chances,
    pub engines: Mutex<HashMap<Life, Engine>>,
    pub policy: Mutex<usize>,
    /// The run that is taking up new rules: one SIGHUP is answered after the other.
    pub reloading: Mutex<Option<Life>>,
    pub poison: Option<Poison>,
    /// As it stood after the last step, where a trace is kept.
    pub ledger: Mutex<BTreeMap<String, String>>,
    dice: Mutex<Dice>,
    journal: Mutex<Journal>,
    tokens: Mutex<HashMap<String, String>>,
    trace: Mutex<Option<Vec<String>>>,
    calm: AtomicBool,
    step: AtomicU64,
    /// The latest instant that the clock has shown.
    latest: AtomicI64,
}

const RULES: [&str; 3] = [
    r#"
[[rule]]
id = "gap"
when = { role = "lead", urgency = ["urgent", "very_urgent", "flash"] }
clock = "completion"
hours = "urgent"
bundle = false
[[rule.step]]
id = "truoc-8-gio"
due = "-8h"
add = ["handler"]
via = ["email", "zalo"]
[[rule.step]]
id = "truoc-2-gio"
due = "-2h"
add = ["agency_contact"]
[[rule.step]]
id = "qua-han-1-gio"
due = "+1h"
urging = true
add = ["agency_head"]
[rule.step.repeat]
every = "3h"
times = 3
[[rule]]
id = "thuong"
when = { role = "lead" }
clock = "completion"
[[rule.step]]
id = "truoc-2"
due = "-2wd"
add = ["handler"]
[[rule.step]]
id = "truoc-1"
due = "-1wd"
add = ["agency_contact"]
[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
file = ["notice"]
add = ["agency_head"]
[[rule]]
id = "phoi-hop"
when = { role = "coordinator" }
clock = "completion"
[[rule.step]]
id = "truoc-1"
due = "-1wd"
add = ["agency_contact"]
"#,
    r#"
[[rule]]
id = "gap"
when = { role = "lead", urgency = ["urgent", "very_urgent", "flash"] }
clock = "completion"
hours = "urgent"
[[rule.step]]
id = "truoc-8-gio"
due = "-6h"
add = ["handler"]
[[rule.step]]
id = "truoc-2-gio"
due = "-2h"
add = ["agency_contact", "agency_head"]
[[rule.step]]
id = "qua-han-2-gio"
due = "+2h"
urging = true
add = ["agency_head"]
[[rule]]
id = "thuong"
when = { role = "lead" }
clock = "completion"
bundle = false
[[rule.step]]
id = "truoc-2"
due = "-2wd"
add = ["handler"]
[[rule.step]]
id = "dung-han"
due = "-0wd"
add = ["agency_contact"]
[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
file = ["notice"]
add = ["agency_head", "monitor"]
"#,
    r#"
[[rule]]
id = "tat-ca"
when = {}
clock = "completion"
hours = "urgent"
bundle = false
[[rule.step]]
id = "truoc-24-gio"
due = "-24h"
add = ["handler", "agency_contact"]
[[rule.step]]
id = "truoc-8-gio"
due = "-8h"
add = ["agency_head"]
[[rule.step]]
id = "qua-han-1"
due = "+4h"
urging = true
file = ["notice"]
add = ["monitor"]
"#,
];

/// What `daily_cap` says in all of the rules: few, so that messages wait for another day. That it holds is judged by the
/// year (`year/judge.rs`), not here.
const CAP: u32 = 4;

/// Rules of the office; the first are in force at the beginning.
pub fn policy(which: usize) -> Policy {
    static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
    let made = POLICIES.get_or_init(|| RULES.iter().map(|rules| read_policy(rules)).collect());
    made[which % made.len()].clone()
}

pub const POLICIES: i64 = RULES.len() as i64;

fn read_policy(rules: &str) -> Policy {
    let folder = Path::new("/nonexistent");
    let (mut settings, _) = Settings::embedded(folder).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    // Lists carry no reminders: the judge knows letters of reminders only.
    settings.email.daily_list_at = None;
    settings.zalo = Zalo::Webhook { url: "http://127.0.0.1:1/".to_owned(), secrets: Vec::new() };
    let head = shipped::RULES.split("\n[[rule]]").next().unwrap_or_default();
    let head = head.replace("daily_cap = 20", &format!("daily_cap = {CAP}"));
    assert!(head.contains(&format!("daily_cap = {CAP}")));
    let (rules, _) = parse_rules(&Source::new("rules.toml", format!("{head}\n{rules}")), &RulesContext::of(&settings))
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let calendar = Source::new("calendar.toml", shipped::CALENDAR.to_owned());
    let (calendar, _) = parse_calendar(&calendar, settings.office.time_zone.clone())
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    Policy {
        settings,
        rules: rules.rules,
        calendar: calendar.calendar,
        texts: Texts::built_in(),
        known: Default::default(),
    }
}

/// When every interleaving begins: a Wednesday morning.
const FROM: DateTime = date(2026, 11, 25).at(7, 40, 0, 0);

fn tasks() -> Vec<TaskText> {
    let task = |code: &str, lead: &str, deadline: &str, urgency: &str| TaskText {
        code: code.to_owned(),
        lead: lead.to_owned(),
        deadline: deadline.to_owned(),
        urgency: Some(urgency.to_owned()),
        ..TaskText::default()
    };
    vec![
        task("NV1", "SNV", "2026-11-27", "normal"),
        TaskText { coordinators: vec!["STC".to_owned()], ..task("NV2", "SNV", "2026-11-26", "normal") },
        task("NV3", "STC", "2026-11-25T15:00", "urgent"),
        task("NV4", "STC", "2026-11-25T10:00", "flash"),
        task("NV5", "STC", "2026-11-24", "normal"),
        task("NV6", "PBD", "2026-11-26", "normal"),
        TaskText {
            coordinators: vec!["SNV 2026-11-25".to_owned()],
            ..task("NV7", "PBD", "2026-11-25T17:00", "very_urgent")
        },
        TaskText { report: "2026-11-25".to_owned(), ..task("NV8", "SNV", "2026-11-30", "normal") },
    ]
}

/// The template's bytes: made once.
pub fn template() -> &'static [u8] {
    static TEMPLATE: OnceLock<Vec<u8>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = folder();
        runtime.block_on(async {
            let world = World::new(folder.path(), FROM, true).await;
            for task in tasks() {
                world.enter(&task).await;
            }
            world.pool.close().await;
            world.store.close().await;
        });
        std::fs::read(folder.path().join("a.db")).unwrap()
    })
}

/// In memory where there is such a place.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

impl Sim {
    pub async fn new(folder: &Path, seed: u64, mistake: Option<Mistake>, chances: Chances, traced: bool) -> Self {
        let path = folder.join("a.db");
        std::fs::write(&path, template()).unwrap();
        let store = SqliteStore::open(&format!("sqlite:{}", path.display())).await.unwrap();
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(std::time::Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let from = FROM.to_zoned(jiff::tz::TimeZone::get("Asia/Ho_Chi_Minh").unwrap()).unwrap().timestamp();
        Sim {
            gate: Turnstile::default(),
            store,
            pool,
            clock: Clock::manual(from),
            mistake,
            chances,
            engines: Mutex::default(),
            policy: Mutex::new(0),
            reloading: Mutex::default(),
            poison: None,
            ledger: Mutex::default(),
            dice: Mutex::new(Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66)),
            journal: Mutex::default(),
            tokens: Mutex::default(),
            trace: Mutex::new(traced.then(Vec::new)),
            calm: AtomicBool::new(false),
            step: AtomicU64::new(0),
            latest: AtomicI64::new(from.as_millisecond()),
        }
    }

    pub fn dice(&self) -> MutexGuard<'_, Dice> {
        self.dice.lock().unwrap()
    }

    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap()
    }

    pub fn step(&self) -> u64 {
        self.step.load(Ordering::SeqCst)
    }

    pub fn next_step(&self) {
        self.step.fetch_add(1, Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set_clock(&self, to: Timestamp) {
        self.clock.set(to);
        self.latest.fetch_max(to.as_millisecond(), Ordering::SeqCst);
        self.tell(|| format!("{:>5} it is {to}", self.step()));
    }

    /// A clock that was set back has caught up.
    pub fn clock_catches_up(&self) {
        let latest = millis(self.latest.load(Ordering::SeqCst));
        if latest > self.clock.now() {
            self.set_clock(latest);
        }
    }

    /// Everybody is well-behaved: nothing is refused, nothing befalls.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::SeqCst)
    }

    pub fn calm(&self, calm: bool) {
        self.calm.store(calm, Ordering::SeqCst);
    }

    /// A line of the trace, where one is kept.
    pub fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.trace.lock().unwrap() {
            trace.push(line());
        }
    }

    pub fn is_traced(&self) -> bool {
        self.trace.lock().unwrap().is_some()
    }

    pub fn trace(&self) -> Vec<String> {
        self.trace.lock().unwrap().clone().unwrap_or_default()
    }

    /// The name under which the daemon knows a token.
    pub fn name_token(&self, real: &str) -> String {
        let mut tokens = self.tokens.lock().unwrap();
        let named =
            format!("{:032x}", (tokens.len() as u128 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        tokens.insert(named.clone(), real.to_owned());
        named
    }

    pub fn real_token(&self, named: &str) -> String {
        self.tokens.lock().unwrap().get(named).cloned().unwrap_or_else(|| named.to_owned())
    }

    /// Outcomes that were committed just now.
    pub fn recorded(&self, outcomes: &[Recorded]) {
        let step = self.step();
        for outcome in outcomes {
            self.tell(|| format!("    recorded: {} {} {:?}", outcome.message, outcome.outcome, outcome.next));
            let mut journal = self.journal();
            if let Some(hand_over) = journal.hand_overs.iter_mut().rev().find(|h| h.token == outcome.token) {
                hand_over.recorded.get_or_insert((step, outcome.outcome));
            }
        }
    }

    pub async fn channel_of(&self, message: i64) -> &'static str {
        let channel = sqlx::query_scalar("SELECT channel FROM message WHERE id = $1").bind(message);
        let channel: String = channel.fetch_one(&self.pool).await.unwrap();
        if channel == "zalo" { "zalo" } else { "email" }
    }

    /// The gate has just said yes: in this very state of the ledger each of its tasks must call for it.
    pub async fn look_at_the_gate(&self, message: i64) {
        let rows = sqlx::query(
            "SELECT r.id, r.rule, r.step, r.arming, t.code, t.state, t.held, o.arming AS armed, o.ended_at \
             FROM reminder r JOIN task t ON t.id = r.task \
             LEFT JOIN obligation o ON o.task = r.task AND o.clock = r.clock AND o.agency = r.agency \
             WHERE r.message = $1 AND r.state IN ('in_message', 'sent') ORDER BY r.id",
        )
        .bind(message)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut wrong = Vec::new();
        for row in &rows {
            let (rule, step, state): (String, String, String) = (row.get("rule"), row.get("step"), row.get("state"));
            let speaks = match (rule.as_str(), step.as_str()) {
                (STATE_RULE, CONFIRM_STEP) => state == "submitted",
                (STATE_RULE, _) => state == "returned",
                _ => ["not_received", "not_started", "in_progress", "extension_requested"].contains(&state.as_str()),
            };
            let armed = row.get::<Option<i64>, _>("armed") == Some(row.get("arming"));
            let ended = row.get::<Option<i64>, _>("ended_at").is_some();
            if !speaks || !armed || ended || !row.get::<String, _>("held").is_empty() {
                wrong.push(format!("{} is {state}, armed {armed}, ended {ended}", row.get::<String, _>("code")));
            }
        }
        if rows.is_empty() {
            wrong.push("it carries nothing".to_owned());
        }
        if !wrong.is_empty() {
            let what = format!("step {}: message {message} passed its gate: {}", self.step(), wrong.join("; "));
            self.journal().faults.push(fault(Kind::Late, what));
        }
    }

    /// How far messages that carry a task are, in a word.
    pub async fn how_far(&self, task: i64) -> Vec<&'static str> {
        let rows = sqlx::query(
            "SELECT r.state AS reminder, m.id, m.state, m.tries, m.bytes IS NOT NULL AS frozen FROM reminder r \
             LEFT JOIN message m ON m.id = r.message \
             WHERE r.task = $1 AND (r.state IN ('planned', 'in_message') OR m.state IN ('dead', 'unknown')) ORDER BY r.id",
        )
        .bind(task)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let waiting = self.gate.waiting();
        let at = |id: i64| {
            waiting.iter().find_map(|(_, at)| match at {
                super::turnstile::At::Relay(point, message) if *message == id => Some(*point),
                _ => None,
            })
        };
        let mut far: Vec<&'static str> = rows
            .iter()
            .map(|row| {
                if row.get::<String, _>("reminder") == "planned" {
                    return "planned";
                }
                let (id, tries): (i64, i64) = (row.get("id"), row.get("tries"));
                match row.get::<String, _>("state").as_str() {
                    "pending" if row.get("frozen") => "to be repeated",
                    "pending" if tries > 0 => "in retry",
                    "pending" => "pending",
                    "leased" if at(id).is_some() => "at the gate",
                    "leased" => "leased",
                    "frozen" if at(id) == Some("dot") => "frozen",
                    "frozen" if at(id) == Some("answer") => "in hand-over",
                    "frozen" => "answered",
                    "dead" => "dead",
                    "unknown" => "unknown",
                    _ => "sent",
                }
            })
            .collect();
        far.sort_unstable();
        far.dedup();
        far
    }
}
