//! Lives through the year: the daemon's own pass at each instant it asks for, and whatever befalls the office between.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    config::{
        calendar_file::parse_calendar,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        settings::{Settings, Zalo},
        shipped,
    },
    engine::{Engine, policy::Policy},
    message::texts::Texts,
    planning::{outcome::Outcome, rules::ChannelKind},
    store::ledger::PlanningStore,
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, date},
};
use sqlx::Row;

use super::office::{Days, Ladder, edit, instant, local, rules, to_toml};
use crate::dice::Dice;
use crate::scenarios::{
    file::{TaskText, When},
    world::World,
};

/// Why an obligation was armed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum By {
    Entered,
    Later,
    Earlier,
    Again,
}

/// One arming of an obligation.
#[derive(Debug, Clone)]
pub struct Arm {
    pub number: i64,
    pub at: Timestamp,
    pub by: By,
    pub role: &'static str,
    pub due: (Date, Option<Time>),
    pub corrected: Option<Date>,
    /// Armed again, or over.
    pub ended: Option<Timestamp>,
    pub acks: Vec<(Timestamp, Timestamp)>,
}

#[derive(Debug, Clone)]
pub struct Duty {
    pub clock: &'static str,
    pub agency: String,
    pub arms: Vec<Arm>,
}

#[derive(Debug, Clone)]
pub struct Task {
    pub code: String,
    pub lead: String,
    pub urgency: &'static str,
    pub secrecy: &'static str,
    pub states: Vec<(Timestamp, &'static str)>,
    pub resumed: Vec<Timestamp>,
    pub duties: Vec<Duty>,
    /// Finished while a message of its was on its way, in the middle of a look.
    /// When, and after how many hand-overs of the year.
    pub ambushed: Vec<(Timestamp, usize)>,
    /// When anything at all befell it.
    pub touched: Vec<Timestamp>,
}

impl Task {
    pub fn state_at(&self, at: Timestamp) -> Option<&'static str> {
        self.states.iter().rfind(|(since, _)| *since <= at).map(|(_, state)| *state)
    }

    fn state(&self) -> &'static str {
        self.states.last().unwrap().1
    }
}

/// Rules and calendar from an instant on.
#[derive(Debug, Clone)]
pub struct Decided {
    pub from: Timestamp,
    pub days: Arc<Days>,
    pub rules: Arc<Vec<Ladder>>,
}

/// One look at everything.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub at: Timestamp,
    pub stop: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    Accepted,
    /// 5xx to one recipient
    Nobody,
    Later,
    Lost,
    /// The gate said no.
    Stopped,
}

#[derive(Debug, Clone)]
pub struct HandOver {
    pub at: Timestamp,
    pub message: i64,
    pub channel: &'static str,
    pub address: String,
    pub reminders: Vec<i64>,
    pub answer: Answer,
}

/// A reminder as it stood at the end.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: i64,
    pub task: String,
    pub clock: String,
    pub arming: i64,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
    pub agency: String,
    pub audience: String,
    pub channel: String,
    pub due: Timestamp,
    pub state: String,
    pub reason: String,
    pub message: Option<i64>,
    pub fallback_of: Option<i64>,
    pub created: Timestamp,
    pub changed: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filed {
    pub task: String,
    pub clock: String,
    pub arming: i64,
    pub agency: String,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
    pub due: Timestamp,
    pub at: Timestamp,
}

/// Everything that happened, and what came of it.
#[derive(Debug, Clone, Default)]
pub struct Story {
    pub end: Option<Timestamp>,
    pub tasks: Vec<Task>,
    pub decided: Vec<Decided>,
    pub looks: Vec<Look>,
    pub stops: Vec<(Timestamp, Timestamp)>,
    /// When the relay (or one mailbox) did not take mail: from, until.
    pub troubles: Vec<(Timestamp, Timestamp)>,
    pub handed: Vec<HandOver>,
    pub kept: Vec<Kept>,
    pub filed: Vec<Filed>,
    pub messages: HashMap<i64, (Timestamp, String)>,
}

struct Trouble {
    until: Timestamp,
    from: Timestamp,
    code: i32,
    /// Empty: everybody.
    to: String,
}

struct Year {
    world: World,
    story: Mutex<Story>,
    troubles: Mutex<Vec<Trouble>>,
    dice: Mutex<Dice>,
    /// Tasks that are to be finished while a message of theirs is on its way.
    ambush: Mutex<bool>,
}

struct Relay {
    year: Arc<Year>,
    kind: ChannelKind,
}

#[async_trait]
impl Channel for Relay {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        let world = &self.year.world;
        let now = world.clock.now();
        let rows = sqlx::query(
            "SELECT r.id, t.code FROM reminder r JOIN task t ON t.id = r.task WHERE r.message = $1 AND r.state = 'in_message' ORDER BY r.id",
        )
        .bind(parcel.id)
        .fetch_all(&world.pool)
        .await
        .unwrap();
        let mut handed = HandOver {
            at: now,
            message: parcel.id,
            channel: self.kind.as_str(),
            address: world.local_part(&parcel.address).await,
            reminders: rows.iter().map(|row| row.get("id")).collect(),
            answer: Answer::Accepted,
        };
        let code = {
            let troubles = self.year.troubles.lock().unwrap();
            let trouble = troubles.iter().find(|t| {
                t.from <= now
                    && now < t.until
                    && (t.to.is_empty() || t.to == handed.address)
                    && self.kind == ChannelKind::Email
            });
            trouble.map_or(250, |t| t.code)
        };
        let reply = || "5.1.1 no such user".to_owned();
        let early = match code {
            421 => Some((Answer::Later, Outcome::Site { code, reply: "421 busy".to_owned() })),
            450 => Some((Answer::Later, Outcome::Transient { code, reply: "450 later".to_owned() })),
            550 => Some((Answer::Nobody, Outcome::Recipient { code, reply: reply() })),
            _ => None,
        };
        if let Some((answer, outcome)) = early {
            handed.answer = answer;
            self.year.story.lock().unwrap().handed.push(handed);
            return Delivery::Tried(outcome);
        }
        // Somebody finishes the task just now.
        if std::mem::take(&mut *self.year.ambush.lock().unwrap()) {
            let code: String = rows[0].get("code");
            self.year.act(&code, "done").await;
            let mut story = self.year.story.lock().unwrap();
            let before = story.handed.len();
            story.tasks.iter_mut().find(|task| task.code == code).unwrap().ambushed.push((now, before));
        }
        if !gate.pass(parcel).await {
            handed.answer = Answer::Stopped;
            self.year.story.lock().unwrap().handed.push(handed);
            return Delivery::Stopped;
        }
        let outcome = if code == 0 {
            handed.answer = Answer::Lost;
            Outcome::Unknown { reply: "connection lost".to_owned() }
        } else {
            Outcome::Accepted { code: 250, reply: "2.0.0 Ok".to_owned() }
        };
        self.year.story.lock().unwrap().handed.push(handed);
        Delivery::Tried(outcome)
    }

    fn parallel(&self) -> usize {
        1
    }

    async fn rest(&self) {}
}

const LEADS: [&str; 4] = ["SNV", "STC", "PBD", "CTMT"];

impl Year {
    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn enter(&self, code: &str) {
        let now = self.now();
        let today = local(now).date();
        let (text, task) = {
            let mut dice = self.dice.lock().unwrap();
            let lead = *dice.pick(&LEADS);
            let days_ahead = if dice.once_in(5) { dice.between(-25, 0) } else { dice.between(1, 45) };
            let mut due = today.checked_add(days_ahead.days()).unwrap();
            if dice.once_in(4) {
                due = *dice.pick(&[
                    date(2026, 2, 13),
                    date(2026, 2, 17),
                    date(2026, 8, 22),
                    date(2026, 8, 31),
                    date(2026, 9, 2),
                    date(2026, 11, 24),
                    date(2026, 11, 25),
                    date(2026, 12, 31),
                    date(2027, 1, 1),
                ]);
            }
            let hour = dice.once_in(3).then(|| Time::constant(dice.between(0, 23) as i8, 0, 0, 0));
            let report = dice.once_in(4).then(|| due.checked_add(dice.between(-6, 6).days()).unwrap());
            let urgency = *dice.pick(&["normal", "normal", "normal", "urgent", "very_urgent", "flash"]);
            let secrecy = if dice.once_in(15) { "confidential" } else { "open" };
            let mut coordinators = Vec::new();
            if dice.once_in(3) {
                let other = LEADS.iter().find(|agency| **agency != lead).unwrap();
                let own = dice.once_in(2).then(|| due.checked_add((-dice.between(1, 8)).days()).unwrap());
                coordinators.push(((*other).to_owned(), own));
            }
            let typed = |day: Date| match hour {
                Some(hour) => format!("{day}T{:02}:00", hour.hour()),
                None => day.to_string(),
            };
            let arm = |role, due| Arm {
                number: 1,
                at: now,
                by: By::Entered,
                role,
                due,
                corrected: None,
                ended: None,
                acks: Vec::new(),
            };
            let mut duties =
                vec![Duty { clock: "completion", agency: lead.to_owned(), arms: vec![arm("lead", (due, hour))] }];
            if let Some(report) = report {
                duties.push(Duty { clock: "report", agency: lead.to_owned(), arms: vec![arm("lead", (report, None))] });
            }
            for (agency, own) in &coordinators {
                let due = own.map_or((due, hour), |own| (own, None));
                duties.push(Duty { clock: "completion", agency: agency.clone(), arms: vec![arm("coordinator", due)] });
            }
            let text = TaskText {
                code: code.to_owned(),
                lead: lead.to_owned(),
                deadline: typed(due),
                report: report.map(|day| day.to_string()).unwrap_or_default(),
                coordinators: coordinators
                    .iter()
                    .map(|(agency, own)| own.map_or(agency.clone(), |own| format!("{agency} {own}")))
                    .collect(),
                urgency: Some(urgency.to_owned()),
                secrecy: Some(secrecy.to_owned()),
                ..TaskText::default()
            };
            let task = Task {
                code: code.to_owned(),
                lead: lead.to_owned(),
                urgency,
                secrecy,
                states: vec![(now, "in_progress")],
                resumed: Vec::new(),
                ambushed: Vec::new(),
                duties,
                touched: vec![now],
            };
            (text, task)
        };
        self.world.enter(&text).await;
        self.story.lock().unwrap().tasks.push(task);
    }

    /// Something a person does to a task that still makes sense in its state.
    async fn any_act(&self) {
        let Some((code, what)) = ({
            let (story, mut dice) = (self.story.lock().unwrap(), self.dice.lock().unwrap());
            let choices: Vec<&Task> =
                story.tasks.iter().filter(|task| task.state() != "done" || dice.once_in(4)).collect();
            if choices.is_empty() {
                None
            } else {
                let task = *dice.pick(&choices);
                let what = match task.state() {
                    "done" => "reopen",
                    "paused" => *dice.pick(&["resume", "resume", "done"]),
                    "submitted" => *dice.pick(&["refuse_work", "done"]),
                    "returned" => "assign",
                    _ => *dice.pick(&[
                        "done",
                        "done",
                        "pause",
                        "submit",
                        "return",
                        "later",
                        "later",
                        "earlier",
                        "acknowledge",
                        "acknowledge",
                        "report",
                        "assign",
                        "contact",
                    ]),
                };
                Some((task.code.clone(), what))
            }
        }) else {
            return;
        };
        self.act(&code, what).await;
    }

    async fn act(&self, code: &str, what: &'static str) {
        let now = self.now();
        let today = local(now).date();
        let mut event = When { task: Some(code.to_owned()), what: what.to_owned(), ..When::default() };
        {
            let (mut story, mut dice) = (self.story.lock().unwrap(), self.dice.lock().unwrap());
            let task = story.tasks.iter_mut().find(|task| task.code == code).unwrap();
            let lead = task.lead.clone();
            let active = |duty: &Duty| duty.arms.last().is_some_and(|arm| arm.ended.is_none());
            let enter = |task: &mut Task, state: &'static str| {
                let urged = |state: &str| state == "in_progress";
                if !urged(task.state()) && urged(state) {
                    task.resumed.push(now);
                }
                task.states.push((now, state));
            };
            match what {
                "done" if matches!(task.state(), "done") => return,
                "done" => enter(task, "done"),
                "pause" => enter(task, "paused"),
                "submit" => enter(task, "submitted"),
                "return" => enter(task, "returned"),
                "resume" | "refuse_work" => enter(task, "in_progress"),
                "reopen" => {
                    enter(task, "in_progress");
                    for duty in task.duties.iter_mut().filter(|duty| duty.clock == "completion" && active(duty)) {
                        rearm(duty, now, By::Again);
                    }
                }
                "later" | "earlier" => {
                    let clock = if dice.once_in(5) && task.duties.iter().any(|d| d.clock == "report" && active(d)) {
                        "report"
                    } else {
                        "completion"
                    };
                    let Some(old) = task.duties.iter().find(|d| d.clock == clock && d.agency == lead && active(d))
                    else {
                        return;
                    };
                    let old = old.arms.last().unwrap().due;
                    let by = dice.between(1, 20) * if what == "later" { 1 } else { -1 };
                    let new = (old.0.checked_add(by.days()).unwrap(), None);
                    event.what = "extend".to_owned();
                    event.clock = Some(clock.to_owned());
                    event.to = Some(new.0.to_string());
                    let how = if what == "later" { By::Later } else { By::Earlier };
                    for duty in task.duties.iter_mut().filter(|duty| duty.clock == clock && active(duty)) {
                        if duty.agency == lead || duty.arms.last().unwrap().due == old {
                            rearm(duty, now, how);
                            let arm = duty.arms.last_mut().unwrap();
                            arm.due = new;
                            arm.corrected = (how == By::Earlier).then_some(today);
                        }
                    }
                }
                "acknowledge" => {
                    if !task.duties.iter().any(active) {
                        return;
                    }
                    let until = now + (24 * dice.between(1, 12)).hours();
                    event.until = Some(local(until));
                    for duty in task.duties.iter_mut().filter(|duty| active(duty)) {
                        duty.arms.last_mut().unwrap().acks.push((now, until));
                    }
                }
                "report" => {
                    let Some(duty) = task.duties.iter_mut().find(|d| d.clock == "report" && active(d)) else { return };
                    duty.arms.last_mut().unwrap().ended = Some(now);
                }
                "assign" => {
                    let returned = task.state() == "returned";
                    let to = (*dice.pick(&LEADS)).to_owned();
                    if to == lead && !returned {
                        return;
                    }
                    event.agency = Some(to.clone());
                    let owed: Vec<(usize, Arm)> = task
                        .duties
                        .iter()
                        .enumerate()
                        .filter(|(_, d)| d.agency == lead && active(d) && d.arms.last().unwrap().role == "lead")
                        .map(|(index, d)| (index, d.arms.last().unwrap().clone()))
                        .collect();
                    for (index, arm) in owed {
                        let clock = task.duties[index].clock;
                        task.duties[index].arms.last_mut().unwrap().ended = Some(now);
                        let duty = match task.duties.iter().position(|d| d.clock == clock && d.agency == to) {
                            Some(known) => &mut task.duties[known],
                            None => {
                                task.duties.push(Duty { clock, agency: to.clone(), arms: Vec::new() });
                                task.duties.last_mut().unwrap()
                            }
                        };
                        let number = duty.arms.last().map_or(0, |arm| arm.number) + 1;
                        if let Some(last) = duty.arms.last_mut() {
                            last.ended.get_or_insert(now);
                        }
                        duty.arms.push(Arm {
                            number,
                            at: now,
                            by: By::Again,
                            role: "lead",
                            ended: None,
                            acks: Vec::new(),
                            ..arm
                        });
                    }
                    task.lead = to;
                    if returned {
                        enter(task, "in_progress");
                    }
                }
                _ => {}
            }
            task.touched.push(now);
        }
        self.world.apply(&event).await;
    }
}

fn rearm(duty: &mut Duty, now: Timestamp, by: By) {
    let old = duty.arms.last_mut().unwrap();
    old.ended.get_or_insert(now);
    let new = Arm { number: old.number + 1, at: now, by, ended: None, acks: Vec::new(), ..old.clone() };
    duty.arms.push(new);
}

fn policy(folder: &Path, decided: &Decided) -> Policy {
    let (mut settings, _) = Settings::embedded(folder).unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    settings.zalo = Zalo::Webhook { url: "http://127.0.0.1:1/".to_owned(), secrets: Vec::new() };
    let (rules, _) = parse_rules(&Source::new("rules.toml", to_toml(&decided.rules)), &RulesContext::of(&settings))
        .unwrap_or_else(|faults| panic!("{}", faults.render(false)));
    let head = shipped::CALENDAR.split("\n[[day]]").next().unwrap();
    let mut text = head.to_owned();
    for (day, worked) in &decided.days.0 {
        let kind = if *worked { "work" } else { "off" };
        text += &format!(
            "\n[[day]]\ndate = {day}\nkind = \"{kind}\"\nname = \"Ngày\"\nbasis = \"Thông báo\"\ncertainty = \"confirmed\"\n"
        );
    }
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

async fn engine(year: &Arc<Year>, folder: &Path) -> Engine {
    let channels: HashMap<ChannelKind, Arc<dyn Channel>> = ChannelKind::ALL
        .iter()
        .map(|kind| (*kind, Arc::new(Relay { year: year.clone(), kind: *kind }) as Arc<dyn Channel>))
        .collect();
    let decided = year.story.lock().unwrap().decided.last().unwrap().clone();
    let store = Arc::new(year.world.store.clone());
    let engine = Engine::new(store, year.world.clock.clone(), policy(folder, &decided), channels, Arc::new(|_| ()));
    engine.start().await.unwrap();
    engine
}

/// Ten minutes of standing still do not count as a stop.
const SHORT: i64 = 600;

pub fn live(seed: u64) -> Story {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(year(seed))
}

async fn year(seed: u64) -> Story {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let mut dice = Dice(seed);
    let begins = date(2026, 1, 5).at(7, 0, 0, 0);
    let first = instant(begins);
    let world = World::new(folder.path(), begins, true).await;
    let ladders = rules(&mut dice);
    let mut fresh = 0;

    // What befalls the office, and when.
    let mut coming: Vec<(Timestamp, &'static str)> = Vec::new();
    let any = |dice: &mut Dice, low: i64, high: i64| {
        let second = *dice.pick(&[0, 0, 30]);
        let day = date(2026, 1, 5).checked_add(dice.between(low, high).days()).unwrap();
        let hour = *dice.pick(&[0, 7, 8, 8, 9, 10, 12, 15, 16, 17, 17, 20, 23]);
        let minute = *dice.pick(&[0, 0, 1, 29, 30, 31, 59]);
        instant(day.at(hour, minute, second, 0))
    };
    const LAST: i64 = 390;
    for (what, times) in
        [("enter", 34), ("act", 60), ("rules", 4), ("calendar", 4), ("trouble", 10), ("stop", 7), ("ambush", 5)]
    {
        for _ in 0..times {
            let high = if what == "enter" { 350 } else { LAST };
            coming.push((any(&mut dice, 0, high), what));
        }
    }
    coming.sort();
    let end = instant(date(2026, 1, 5).checked_add((LAST + 45).days()).unwrap().at(12, 0, 0, 0));
    let days = Arc::new(Days::shipped());
    let story = Story {
        decided: vec![Decided { from: first, days, rules: Arc::new(ladders) }],
        end: Some(end),
        ..Story::default()
    };
    let year = Arc::new(Year {
        world,
        story: Mutex::new(story),
        troubles: Mutex::default(),
        dice: Mutex::new(dice),
        ambush: Mutex::new(false),
    });

    let mut running = Some(engine(&year, folder.path()).await);
    let mut awake = first;
    let mut starts: Option<Timestamp> = None;
    let mut now = first;
    let (mut rounds, mut entered) = (0, 0);
    let mut coming = std::collections::VecDeque::from(coming);
    while now <= end {
        rounds += 1;
        assert!(rounds < 60_000, "year {seed}: the clock does not get on");
        year.world.clock.set(now);
        if let Some(engine) = &running {
            engine.stay_awake(now);
            awake = now;
        }
        let mut happened = false;
        let mut stop = None;
        if starts.is_some_and(|at| at <= now) {
            starts = None;
            running = Some(engine(&year, folder.path()).await);
            if now.as_second() - awake.as_second() > SHORT {
                stop = Some(awake);
                year.story.lock().unwrap().stops.push((awake, now));
            }
            happened = true;
        }
        while coming.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, what)) = coming.pop_front() else { break };
            happened = true;
            match what {
                "enter" => {
                    entered += 1;
                    year.enter(&format!("NV{entered}")).await;
                }
                "act" => year.any_act().await,
                "ambush" => *year.ambush.lock().unwrap() = true,
                "trouble" => {
                    let (code, to, span) = {
                        let mut dice = year.dice.lock().unwrap();
                        let code = *dice.pick(&[421, 421, 450, 550, 550, 0]);
                        let to = match code {
                            450 | 550 => *dice.pick(&[
                                "snv.head",
                                "snv.handler",
                                "stc.contact",
                                "vpub.head",
                                "snv.box",
                                "vpub.monitor",
                                "ctmt.handler",
                            ]),
                            _ => "",
                        };
                        let longest = match code {
                            421 => 200,
                            0 => 60,
                            _ => 500,
                        };
                        (code, to.to_owned(), dice.between(1, longest))
                    };
                    let until = now + span.hours();
                    year.troubles.lock().unwrap().push(Trouble { from: now, until, code, to });
                    year.story.lock().unwrap().troubles.push((now, until));
                }
                "stop" => {
                    if let Some(engine) = running.take() {
                        engine.pass().await.unwrap();
                        year.story.lock().unwrap().looks.push(Look { at: now, stop: None });
                        let minutes = {
                            let mut dice = year.dice.lock().unwrap();
                            match dice.between(0, 3) {
                                0 => dice.between(1, 9),
                                1 => dice.between(15, 600),
                                2 => dice.between(600, 6_000),
                                _ => dice.between(6_000, 30_000),
                            }
                        };
                        starts = Some(now + minutes.minutes());
                    }
                }
                "rules" | "calendar" => {
                    let decided = {
                        let (mut story, mut dice) = (year.story.lock().unwrap(), year.dice.lock().unwrap());
                        let mut new = story.decided.last().unwrap().clone();
                        // Accepted when the daemon reads them.
                        let from = if running.is_some() { now } else { starts.unwrap_or(now) };
                        new.from = from;
                        if what == "rules" {
                            let mut rules = Vec::clone(&new.rules);
                            edit(&mut rules, &mut dice, from, &mut fresh);
                            new.rules = Arc::new(rules);
                        } else {
                            let day = local(now).date().checked_add(dice.between(0, 12).days()).unwrap();
                            let mut days = Days::clone(&new.days);
                            // A listed day is taken back; a weekday is given off, a Saturday worked.
                            if days.0.remove(&day).is_none() && day.weekday() != jiff::civil::Weekday::Sunday {
                                let worked = days.worked(day);
                                days.0.insert(day, !worked);
                            }
                            new.days = Arc::new(days);
                        }
                        story.decided.push(new.clone());
                        new
                    };
                    if let Some(engine) = &running {
                        engine.take_rules(policy(folder.path(), &decided)).await.unwrap();
                    }
                }
                _ => unreachable!(),
            }
        }
        if happened && running.is_some() {
            // A command rings the daemon, which comes a moment later.
            now += 1.second();
            year.world.clock.set(now);
        }
        if let Some(engine) = &running {
            engine.pass().await.unwrap();
            awake = now;
            year.story.lock().unwrap().looks.push(Look { at: now, stop: stop.map(|from| (from, now)) });
        }
        let mut next = coming.front().map_or(Timestamp::MAX, |(at, _)| (*at).max(now));
        if let Some(at) = starts {
            next = next.min(at);
        }
        if running.is_some() {
            let own = [year.world.store.next_look().await.unwrap(), year.world.store.next_move().await.unwrap()];
            for at in own.into_iter().flatten() {
                // What should have moved and did not waits for a channel that rests.
                next = next.min(if at <= now { now + 15.minutes() } else { at });
            }
        }
        // Nothing of the same instant is worked off twice without the clock moving on.
        now = if next > now { next } else { now + 1.second() };
    }
    drop(running);
    let mut story = year.story.lock().unwrap().clone();
    read_back(&year.world, &mut story).await;
    story
}

async fn read_back(world: &World, story: &mut Story) {
    let at = |row: &sqlx::sqlite::SqliteRow, column: &str| dondoc::clock::millis(row.get::<i64, _>(column));
    let rows = sqlx::query(
        "SELECT r.*, t.code, a.code AS agency_code FROM reminder r JOIN task t ON t.id = r.task JOIN agency a ON a.id = r.agency ORDER BY r.id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    for row in &rows {
        story.kept.push(Kept {
            id: row.get("id"),
            task: row.get("code"),
            clock: row.get("clock"),
            arming: row.get("arming"),
            rule: row.get("rule"),
            step: row.get("step"),
            occurrence: row.get("occurrence"),
            agency: row.get("agency_code"),
            audience: row.get("audience"),
            channel: row.get("channel"),
            due: at(row, "due_at"),
            state: row.get("state"),
            reason: row.get("reason"),
            message: row.get("message"),
            fallback_of: row.get("fallback_of"),
            created: at(row, "created_at"),
            changed: at(row, "changed_at"),
        });
    }
    let rows = sqlx::query(
        "SELECT n.*, t.code, a.code AS agency_code FROM notice n JOIN task t ON t.id = n.task JOIN agency a ON a.id = n.agency ORDER BY n.id",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    for row in &rows {
        story.filed.push(Filed {
            task: row.get("code"),
            clock: row.get("clock"),
            arming: row.get("arming"),
            agency: row.get("agency_code"),
            rule: row.get("rule"),
            step: row.get("step"),
            occurrence: row.get("occurrence"),
            due: at(row, "due_at"),
            at: at(row, "filed_at"),
        });
    }
    let rows = sqlx::query("SELECT id, created_at, hours FROM message").fetch_all(&world.pool).await.unwrap();
    story.messages = rows.iter().map(|row| (row.get("id"), (at(row, "created_at"), row.get("hours")))).collect();
}
