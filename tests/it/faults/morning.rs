//! One morning on which a number of letters is due, one for each task, and the way out is real. Only the clock is moved
//! by hand.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use dondoc::{
    channel::{
        Channel,
        breaker::State,
        smtp::{Deadlines, SmtpChannel},
        zalo::webhook::{self, WebhookChannel},
    },
    clock::Clock,
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        settings::{Secret, Settings, Smtp, SmtpTls, Zalo},
        shipped,
    },
    engine::{Engine, Event, Pass, policy::Policy},
    message::texts::Texts,
    planning::{fold::fold, rules::ChannelKind},
    store::sqlite::SqliteStore,
};
use jiff::Timestamp;
use sqlx::{
    Row, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;

use crate::sink::{
    count::{Copy, Count, codes, codes_of, count},
    smtp::{Received, Setup, SmtpSink},
    zalo::ZaloSink,
};

pub const SECRET: &str = "khoa-ky-thu-nghiem";

const RULES: &str = r#"
[defaults]
at = "08:00"
via = ["{via}"]
bundle = false
late = "latest"
max_lateness = "10wd"
daily_cap = 100000

[hours.normal]
days = "all"
from = "00:00"
until = "23:59"

[[rule]]
id = "thu"
when = { role = "lead" }
clock = "completion"

[[rule.step]]
id = "den-han"
due = "0d"
add = ["handler"]
"#;

/// A channel put around the real one.
pub type Around = fn(Arc<dyn Channel>) -> Arc<dyn Channel>;

/// What differs from a usual morning.
pub struct Day {
    pub letters: usize,
    pub via: ChannelKind,
    pub connections: u16,
    pub relay: Setup,
    pub tls: SmtpTls,
    pub password: Option<&'static str>,
    pub deadlines: Deadlines,
    pub answer: Duration,
    /// Instead of the channel made from these.
    pub around: Option<Around>,
}

impl Day {
    pub fn of(letters: usize) -> Self {
        let long = Duration::from_secs(60);
        Self {
            letters,
            via: ChannelKind::Email,
            connections: 4,
            relay: Setup::default(),
            tls: SmtpTls::None,
            password: None,
            deadlines: Deadlines { connect: long, command: long, dot: long, quit: Duration::from_secs(1) },
            answer: long,
            around: None,
        }
    }

    pub fn by_zalo(letters: usize) -> Self {
        Self { via: ChannelKind::Zalo, ..Self::of(letters) }
    }

    /// Deadlines that strike soon where a server is silent.
    pub fn impatient(mut self) -> Self {
        let short = Duration::from_secs(2);
        self.deadlines = Deadlines { connect: short * 2, command: short, dot: short, quit: short / 2 };
        self.answer = short;
        self
    }
}

pub struct Morning {
    /// Kept: it goes with the morning.
    _folder: TempDir,
    letters: usize,
    via: ChannelKind,
    pub pool: SqlitePool,
    pub clock: Clock,
    pub mail: SmtpSink,
    pub zalo: ZaloSink,
    pub engine: Engine,
    policy: Policy,
    channel: Arc<dyn Channel>,
    pub refusals: Arc<Mutex<Vec<String>>>,
}

/// The port of a receiver that is away.
pub struct Away(u16);

/// One attempt as recorded: of which task, the how manieth, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    pub code: String,
    pub n: i64,
    pub outcome: String,
    pub status: i64,
    pub reply: String,
}

pub fn code(n: usize) -> String {
    format!("NV26-{n:06}")
}

pub fn address(n: usize) -> String {
    format!("u{n:03}@hanoi.gov.vn.example")
}

/// The agency's shared mailbox.
pub const BOX: &str = "vanthu@hanoi.gov.vn.example";

impl Morning {
    pub async fn new(day: Day) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let clock = Clock::manual("2026-11-23T01:00:00Z".parse().unwrap());
        let store = Arc::new(SqliteStore::open(&format!("sqlite:{}", path.display())).await.unwrap());
        let options = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        office(&pool, day.letters, clock.now()).await;
        let certificate = day.relay.certificate.trusted();
        let (mail, zalo) = (SmtpSink::with(day.relay), ZaloSink::start(&[SECRET]));
        let channel: Arc<dyn Channel> = match day.via {
            ChannelKind::Zalo => {
                let deadlines = webhook::Deadlines { connect: day.answer, answer: day.answer, body: day.answer };
                let secrets = vec![Secret::new(SECRET)];
                Arc::new(WebhookChannel::new(&zalo.url(), secrets, clock.clone(), deadlines).unwrap())
            }
            ChannelKind::Email => {
                let smtp = Smtp {
                    host: "127.0.0.1".into(),
                    port: mail.port(),
                    tls: day.tls,
                    username: day.password.map(|_| "dondoc".into()),
                    password: day.password.map(Secret::new),
                    max_connections: day.connections,
                    messages_per_minute: 0,
                };
                let channel = SmtpChannel::new(&smtp, "dondoc@office.example", day.deadlines).unwrap();
                Arc::new(channel.with_tls(certificate))
            }
        };
        let channel = day.around.map_or(channel.clone(), |around| around(channel));
        let refusals = Arc::new(Mutex::new(Vec::new()));
        let heard = refusals.clone();
        let observer = Arc::new(move |event: &Event| {
            if let Event::Refused { outcome, reply, .. } = event {
                heard.lock().unwrap().push(format!("{outcome} {reply}"));
            }
        });
        let (via, policy) = (day.via, policy(folder.path(), day.via, &zalo));
        let channels = HashMap::from([(via, channel.clone())]);
        let engine = Engine::new(store, clock.clone(), policy.clone(), channels, observer);
        engine.start().await.unwrap();
        let letters = day.letters;
        Self { _folder: folder, letters, via, pool, clock, mail, zalo, engine, policy, channel, refusals }
    }

    /// The daemon starts anew on the same ledger.
    pub async fn restart(&mut self) {
        let channels = HashMap::from([(self.via, self.channel.clone())]);
        let (store, policy) = (self.engine.store.clone(), self.policy.clone());
        self.engine = Engine::new(store, self.clock.clone(), policy, channels, Arc::new(|_| ()));
        self.engine.start().await.unwrap();
    }

    pub async fn pass(&self) -> Pass {
        self.engine.pass().await.unwrap()
    }

    pub fn wait(&self, seconds: u64) {
        self.clock.set(self.clock.now() + Duration::from_secs(seconds));
    }

    /// Moves on in steps of `seconds`, a pass at each, until nothing is pending; fails after `most`.
    pub async fn until_quiet(&self, seconds: u64, most: usize) -> usize {
        for n in 0..most {
            self.pass().await;
            if self.state("pending").await == 0 {
                return n;
            }
            self.wait(seconds);
        }
        panic!("after {most} passes {} messages are pending: {:?}", self.state("pending").await, self.last().await);
    }

    /// The Zalo receiver is gone: nothing listens at its address.
    pub fn zalo_away(&mut self) -> Away {
        let gone = std::mem::replace(&mut self.zalo, ZaloSink::start(&[SECRET]));
        Away(gone.port())
    }

    /// It is back at its address.
    pub fn zalo_back(&mut self, Away(port): Away) {
        self.zalo = ZaloSink::start_on(port, &[SECRET]);
    }

    /// How many messages are in this state.
    pub async fn state(&self, state: &str) -> i64 {
        let counted = sqlx::query_scalar("SELECT count(*) FROM message WHERE state = $1").bind(state);
        counted.fetch_one(&self.pool).await.unwrap()
    }

    /// (sent, pending, dead, unknown).
    pub async fn states(&self) -> (i64, i64, i64, i64) {
        (self.state("sent").await, self.state("pending").await, self.state("dead").await, self.state("unknown").await)
    }

    /// All attempts that came to something, in order.
    pub async fn attempts(&self) -> Vec<Attempt> {
        let rows = sqlx::query(
            "SELECT (SELECT min(t.code) FROM reminder r JOIN task t ON t.id = r.task WHERE r.message = a.message) AS code, \
             a.n, a.outcome, coalesce(a.code, 0) AS status, a.reply FROM attempt a WHERE a.outcome IS NOT NULL \
             ORDER BY a.message, a.n",
        );
        let rows = rows.fetch_all(&self.pool).await.unwrap();
        let attempt = |row: &sqlx::sqlite::SqliteRow| Attempt {
            code: row.get::<Option<String>, _>("code").unwrap_or_default(),
            n: row.get("n"),
            outcome: row.get("outcome"),
            status: row.get("status"),
            reply: row.get("reply"),
        };
        rows.iter().map(attempt).collect()
    }

    /// How often each class is on record; what was released untried is not counted.
    pub async fn classes(&self) -> BTreeMap<String, usize> {
        let mut classes = BTreeMap::new();
        for attempt in self.attempts().await.into_iter().filter(|attempt| attempt.outcome != "released") {
            *classes.entry(attempt.outcome).or_default() += 1;
        }
        classes
    }

    /// The last attempt of each message that is not sent.
    async fn last(&self) -> Vec<Attempt> {
        let mut last: BTreeMap<String, Attempt> = BTreeMap::new();
        for attempt in self.attempts().await {
            last.insert(attempt.code.clone(), attempt);
        }
        last.into_values().filter(|attempt| attempt.outcome != "accepted").collect()
    }

    pub fn breaker(&self) -> State {
        self.engine.breakers().into_iter().find(|(kind, _)| *kind == self.via).unwrap().1
    }

    /// How many deliveries at once the channel finds sensible by now.
    pub fn parallel(&self) -> usize {
        self.channel.parallel()
    }

    /// Attempts that counted, of a task's message.
    pub async fn spent(&self, n: usize) -> i64 {
        sqlx::query_scalar(
            "SELECT max(m.attempts) FROM message m JOIN reminder r ON r.message = m.id JOIN task t ON t.id = r.task \
             WHERE t.code = $1",
        )
        .bind(code(n))
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// The codes that arrived at a handler's own address, in order.
    pub fn arrived(&self) -> Vec<String> {
        let own = |mail: &&Received| mail.to != [BOX];
        self.mail.journal().iter().filter(own).flat_map(codes_of).collect()
    }

    /// Counts what arrived against one letter for each task.
    pub fn count(&self) -> Count<String> {
        let only = |codes: std::collections::BTreeSet<String>| codes.into_iter().collect::<Vec<_>>().join(" ");
        let mut copies: Vec<Copy<String>> =
            self.mail.journal().iter().map(|mail| Copy::of_mail(mail, only(codes_of(mail)))).collect();
        for post in self.zalo.posts().iter().filter(|post| post.taken) {
            copies.push(Copy::of_post(post, only(codes(&String::from_utf8_lossy(&post.body)))));
        }
        let expected: Vec<String> = (1..=self.letters).map(code).collect();
        count(copies, &expected)
    }
}

fn policy(folder: &std::path::Path, via: ChannelKind, zalo: &ZaloSink) -> Policy {
    let (mut settings, _) = Settings::embedded(folder).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    if via == ChannelKind::Zalo {
        settings.zalo = Zalo::Webhook { url: zalo.url(), secrets: Vec::new() };
    }
    let rules = RULES.replace("{via}", &via.to_string());
    let (rules, _) = parse_rules(&Source::new("rules.toml", rules), &RulesContext::of(&settings))
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let calendar = Source::new("calendar.toml", shipped::CALENDAR);
    let (calendar, _) = parse_calendar(&calendar, settings.office.time_zone.clone())
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let (rules, calendar) = (rules.rules, calendar.calendar);
    Policy { settings, rules, calendar, texts: Texts::built_in(), known: Default::default() }
}

/// One agency with its shared mailbox, a handler for each task, and the tasks, due today. Straight SQL: an import is
/// another matter.
async fn office(pool: &SqlitePool, letters: usize, now: Timestamp) {
    let mut tx = pool.begin().await.unwrap();
    let agency: i64 = sqlx::query_scalar(
        "INSERT INTO agency(code, name, block, kind, superior, active) \
         VALUES ('SXD', 'Sở Xây dựng', 'state', 'Thành phố', '', 1) RETURNING id",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    let person = |name: String, email: String| {
        sqlx::query_scalar::<_, i64>(
            "INSERT INTO person(name, folded, honorific, email, takes_zalo, zalo_user_id) \
             VALUES ($1, $2, 'Ông', $3, 1, $4) RETURNING id",
        )
        .bind(name.clone())
        .bind(fold(&name))
        .bind(email)
        .bind(format!("zalo-{name}"))
    };
    let registry = person("Văn thư".into(), BOX.into()).fetch_one(&mut *tx).await.unwrap();
    sqlx::query("INSERT INTO post(agency, person, role, title) VALUES ($1, $2, 'registry', 'Văn thư')")
        .bind(agency)
        .bind(registry)
        .execute(&mut *tx)
        .await
        .unwrap();
    for n in 1..=letters {
        let handler = person(format!("Người {n}"), address(n)).fetch_one(&mut *tx).await.unwrap();
        let task: i64 = sqlx::query_scalar(
            "INSERT INTO task(code, work, assigner_block, urgency, secrecy, state, state_since, lead, handler, \
             due_typed, due_reading, original_due, held, known_at, next_look_at) \
             VALUES ($1, 'Báo cáo rà soát', 'state', 'normal', 'open', 'in_progress', $2, $3, $4, \
             '23/11/2026', 'date', '2026-11-23', '', $2, $2) RETURNING id",
        )
        .bind(code(n))
        .bind(now.as_millisecond())
        .bind(agency)
        .bind(handler)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO obligation(task, clock, agency, role, due_date, arming, armed_at, armed_by) \
             VALUES ($1, 'completion', $2, 'lead', '2026-11-23', 1, $3, 'entered')",
        )
        .bind(task)
        .bind(agency)
        .bind(now.as_millisecond())
        .execute(&mut *tx)
        .await
        .unwrap();
    }
    tx.commit().await.unwrap();
}
