//! Moves the clock from instant to instant and lets the engine work.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fs, io,
    path::Path,
    sync::{Arc, Mutex},
};

use dondoc::{
    channel::Channel,
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        settings::{Settings, Zalo},
        shipped,
    },
    engine::{Engine, policy::Policy},
    message::texts::Texts,
    planning::rules::ChannelKind,
    store::ledger::{OutboxStore, PlanningStore},
};
use jiff::{Timestamp, ToSpan, civil::DateTime};
use sqlx::Row;

use super::{
    channel::Recording,
    file::{self, Scenario, TaskText, When},
    timeline::{difference, typed},
    world::World,
};

/// Plays a scenario file; the error is what to read.
pub fn tell(path: &Path) -> Result<(), String> {
    tell_text(&fs::read_to_string(path).map_err(|error| error.to_string())?)
}

pub fn tell_text(text: &str) -> Result<(), String> {
    let scenario = file::read(text)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let (came, record) =
        tracing::subscriber::with_default(subscriber, || runtime.block_on(Play::new(scenario.clone(), log).play()));
    let mut out = String::new();
    if let Some(difference) = difference(&typed(&scenario.expect), &came) {
        out += &format!("{}\n{difference}", scenario.name);
    }
    if let Some(wanted) = &scenario.record
        && let Some(difference) = difference(&typed(wanted), &record)
    {
        out += &format!("{}: on record\n{difference}", scenario.name);
    }
    if out.is_empty() { Ok(()) } else { Err(out) }
}

/// Errors that were logged: each is a line of the timeline.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

enum Coming {
    Entered(Box<TaskText>),
    Event(Box<When>),
}

pub(super) struct Play {
    pub(super) scenario: Scenario,
    /// What `explain` says after each pass, where a test wants it.
    pub(super) told: Option<super::explain::Told>,
    log: Log,
    /// Days added to the shipped calendar, rules in force.
    days: String,
    rules: String,
    notices: i64,
    unreachable: HashSet<(String, String, String, String)>,
}

impl Play {
    pub(super) fn new(scenario: Scenario, log: Log) -> Self {
        Play {
            told: None,
            days: scenario.calendar.clone(),
            rules: scenario.rules.clone(),
            scenario,
            log,
            notices: 0,
            unreachable: HashSet::new(),
        }
    }

    pub(super) async fn play(mut self) -> (Vec<String>, Vec<String>) {
        // In memory where there is such a place: fifty databases with an fsync for each commit are slow on a disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let world = Arc::new(World::new(folder.path(), self.scenario.from, self.scenario.task.len() > 1).await);
        let mut coming = self.coming();
        let mut engine = Some(self.engine(folder.path(), &world).await);
        let mut now = world.instant(self.scenario.from);
        let until = world.instant(self.scenario.until);
        let mut rounds = 0;
        while now <= until {
            rounds += 1;
            assert!(rounds < 200_000, "{}: the clock does not get on", self.scenario.name);
            world.clock.set(now);
            if let Some(engine) = &engine {
                engine.stay_awake(now);
            }
            while coming.front().is_some_and(|(at, _)| world.instant(*at) <= now) {
                match coming.pop_front().map(|(_, what)| what) {
                    Some(Coming::Entered(task)) => world.enter(&task).await,
                    Some(Coming::Event(event)) => self.happen(&event, &mut engine, folder.path(), &world).await,
                    None => break,
                }
            }
            if engine.is_some() && self.pass(&mut engine, &world).await {
                engine = None;
            }
            if let Some(mut told) = self.told.take() {
                told.note(&world, self.policy(folder.path())).await;
                self.told = Some(told);
            }
            let event = coming.front().map(|(at, _)| world.instant(*at));
            let mut next = event.unwrap_or(Timestamp::MAX);
            if engine.is_some() {
                let own = [world.store.next_look().await.unwrap(), world.store.next_move().await.unwrap()];
                for at in own.into_iter().flatten() {
                    // What should have moved and did not waits for a channel that rests.
                    next = next.min(if at <= now { now + 5.minutes() } else { at });
                }
            }
            now = next;
        }
        let record = self.record(&world).await;
        self.promises(&world).await;
        if let Some(told) = self.told.take() {
            told.end(&world, self.policy(folder.path())).await;
        }
        let timeline = world.timeline.lock().unwrap().lines();
        drop(engine);
        (timeline, record)
    }

    fn coming(&mut self) -> VecDeque<(DateTime, Coming)> {
        let mut coming = Vec::new();
        for (index, task) in self.scenario.task.iter_mut().enumerate() {
            if task.code.is_empty() {
                task.code = format!("NV{}", index + 1);
            }
            let at = task.entered.unwrap_or(self.scenario.from);
            assert!(at >= self.scenario.from, "a task is entered before the story begins");
            coming.push((at, Coming::Entered(Box::new(task.clone()))));
        }
        for event in &self.scenario.when {
            let at = event.at.unwrap_or(self.scenario.from);
            coming.push((at, Coming::Event(Box::new(event.clone()))));
        }
        coming.sort_by_key(|(at, _)| *at);
        coming.into()
    }

    fn policy(&self, folder: &Path) -> Policy {
        let (mut settings, _) = Settings::embedded(folder).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        if self.scenario.zalo {
            settings.zalo = Zalo::Webhook { url: "http://127.0.0.1:1/".to_owned(), secrets: Vec::new() };
        }
        let head = shipped::RULES.split("\n[[rule]]").next().unwrap_or_default();
        let text = match self.rules.as_str() {
            "shipped" => shipped::RULES.to_owned(),
            // A story that is not about hours and defaults has the shipped ones.
            own if own.contains("[defaults]") => own.to_owned(),
            own => format!("{head}\n{own}"),
        };
        let (rules, _) = parse_rules(&Source::new("rules.toml", text), &RulesContext::of(&settings))
            .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        let text = format!("{}\n{}", shipped::CALENDAR, self.days);
        let (calendar, _) = parse_calendar(&Source::new("calendar.toml", text), settings.office.time_zone.clone())
            .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
        Policy {
            settings,
            rules: rules.rules,
            calendar: calendar.calendar,
            texts: Texts::built_in(),
            known: Default::default(),
        }
    }

    async fn engine(&self, folder: &Path, world: &Arc<World>) -> Engine {
        let channels: HashMap<ChannelKind, Arc<dyn Channel>> = ChannelKind::ALL
            .iter()
            .filter(|kind| **kind == ChannelKind::Email || self.scenario.zalo)
            .map(|kind| {
                let recording = Recording { world: world.clone(), kind: *kind };
                (*kind, Arc::new(recording) as Arc<dyn Channel>)
            })
            .collect();
        let policy = self.policy(folder);
        let engine =
            Engine::new(Arc::new(world.store.clone()), world.clock.clone(), policy, channels, Arc::new(|_| ()));
        engine.start().await.unwrap();
        engine
    }

    async fn happen(&mut self, event: &When, engine: &mut Option<Engine>, folder: &Path, world: &Arc<World>) {
        if event.during.is_some() {
            world.during.lock().unwrap().push_back(event.clone());
            return;
        }
        match event.what.as_str() {
            "stop" => {
                // It worked up to this minute.
                if engine.is_some() {
                    self.pass(engine, world).await;
                }
                *engine = None;
            }
            "start" => *engine = Some(self.engine(folder, world).await),
            "rules" => {
                self.rules = event.rules.clone().expect("`rules` of the event");
                self.adopt(engine, folder).await;
            }
            "calendar" => {
                let (date, kind) = (event.date.expect("`date`"), event.kind.clone().expect("`kind`"));
                self.days += &format!(
                    "\n[[day]]\ndate = {date}\nkind = \"{kind}\"\nname = \"Theo thông báo\"\nbasis = \"Thông báo\"\n\
                     certainty = \"confirmed\"\n"
                );
                self.adopt(engine, folder).await;
            }
            "retry" => {
                let stuck: Vec<i64> = sqlx::query_scalar("SELECT id FROM message WHERE state IN ('dead', 'unknown')")
                    .fetch_all(&world.pool)
                    .await
                    .unwrap();
                for id in stuck {
                    assert!(world.store.retry(world.clock.now(), id, "operator").await.unwrap());
                }
            }
            _ => world.apply(event).await,
        }
    }

    async fn adopt(&self, engine: &Option<Engine>, folder: &Path) {
        if let Some(engine) = engine {
            engine.take_rules(self.policy(folder)).await.unwrap();
        }
    }

    /// One pass; whether the daemon was killed in it.
    async fn pass(&mut self, engine: &mut Option<Engine>, world: &Arc<World>) -> bool {
        let Some(running) = engine else { return false };
        let crashed = tokio::select! {
            done = running.pass() => {
                done.unwrap();
                false
            }
            () = world.crash.notified() => true,
        };
        let at = world.now();
        let notices = sqlx::query(
            "SELECT n.id, n.step, n.occurrence, n.clock, n.due_at, t.code, a.code AS agency_code, t.lead = n.agency AS of_lead, \
             NOT EXISTS (SELECT 1 FROM file_export f WHERE f.notice = n.id) AS bare \
             FROM notice n JOIN task t ON t.id = n.task JOIN agency a ON a.id = n.agency WHERE n.id > $1 ORDER BY n.id",
        )
        .bind(self.notices)
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let unreachable = sqlx::query(
            "SELECT u.audience, u.channel, u.why, t.code, a.code AS agency_code, t.lead = u.agency AS of_lead \
             FROM unreachable u JOIN task t ON t.id = u.task JOIN agency a ON a.id = u.agency",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let mut timeline = world.timeline.lock().unwrap();
        for row in &notices {
            self.notices = row.get("id");
            let due = world.local(dondoc::clock::millis(row.get("due_at")));
            let late = if due == at { String::new() } else { format!(" due {}", due.strftime("%Y-%m-%d %H:%M")) };
            let bare = if row.get("bare") { " [no file]" } else { "" };
            timeline.line(at, &format!("notice {}{late}{bare}", world.rung(row)));
        }
        let mut listed = HashSet::new();
        for row in &unreachable {
            let code = if world.several { format!("{}/", row.get::<String, _>("code")) } else { String::new() };
            let agency = match row.get::<bool, _>("of_lead") {
                true => String::new(),
                false => format!("{}/", row.get::<String, _>("agency_code")),
            };
            let channel = match row.get::<String, _>("channel").as_str() {
                "email" => String::new(),
                other => format!(" {other}"),
            };
            let slot = (code, agency, row.get::<String, _>("audience") + &channel, row.get::<String, _>("why"));
            if self.unreachable.insert(slot.clone()) {
                timeline.line(at, &format!("unreachable {}{}{} {}", slot.0, slot.1, slot.2, slot.3));
            }
            listed.insert((slot.0, slot.1, slot.2));
        }
        // Off the list, for whatever reason it was on it.
        let gone: HashSet<_> =
            self.unreachable.extract_if(|s| !listed.contains(&(s.0.clone(), s.1.clone(), s.2.clone()))).collect();
        for (code, agency, slot, _) in gone {
            timeline.line(at, &format!("reachable {code}{agency}{slot}"));
        }
        let logged = std::mem::take(&mut *self.log.0.lock().unwrap());
        for line in String::from_utf8_lossy(&logged).lines() {
            timeline.line(at, &format!("error: {}", line.trim()));
        }
        crashed
    }

    /// `agency_head den-han superseded severer_step`, for every reminder that was not sent.
    async fn record(&self, world: &World) -> Vec<String> {
        let rows = sqlx::query(
            "SELECT r.audience, r.channel, r.step, r.occurrence, r.clock, r.state, r.reason, r.arming, t.code, a.code AS agency_code, \
             t.lead = r.agency AS of_lead FROM reminder r JOIN task t ON t.id = r.task JOIN agency a ON a.id = r.agency \
             WHERE r.state <> 'sent' ORDER BY r.id",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let mut lines: Vec<String> = rows
            .iter()
            .map(|row| {
                let text = |column: &str| row.get::<String, _>(column);
                let arming = match row.get::<i64, _>("arming") {
                    1 => String::new(),
                    more => format!(" arming {more}"),
                };
                let line = format!(
                    "{} {} {} {} {}{arming}",
                    text("channel"),
                    text("audience"),
                    world.rung(row),
                    text("state"),
                    text("reason"),
                );
                line.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect();
        lines.sort();
        lines
    }

    /// What holds of every story, whatever it tells.
    async fn promises(&self, world: &World) {
        let nameless: Vec<String> = sqlx::query_scalar(
            "SELECT step || ' ' || audience || ' ' || state FROM reminder \
             WHERE state IN ('superseded', 'suppressed', 'dead', 'unknown') AND reason = ''",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        assert!(nameless.is_empty(), "{}: ended without a reason: {nameless:?}", self.scenario.name);
        let lost: Vec<String> = sqlx::query_scalar(
            "SELECT r.step || ' ' || r.audience || ' ' || m.state FROM reminder r JOIN message m ON m.id = r.message \
             WHERE r.state = 'in_message' AND m.state NOT IN ('pending', 'leased', 'frozen')",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        assert!(lost.is_empty(), "{}: in a message that ended: {lost:?}", self.scenario.name);
        let blind: Vec<String> = sqlx::query_scalar(
            "SELECT code FROM task WHERE held = '' AND state NOT IN ('done', 'withdrawn') AND next_look_at IS NULL",
        )
        .fetch_all(&world.pool)
        .await
        .unwrap();
        assert!(blind.is_empty(), "{}: open tasks that nobody looks at: {blind:?}", self.scenario.name);
    }
}
