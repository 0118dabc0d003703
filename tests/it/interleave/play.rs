//! Drives one interleaving from its seed: who goes next, what befalls meanwhile, and how all comes to rest.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use dondoc::{
    channel::Channel,
    engine::Engine,
    planning::rules::ChannelKind,
    store::{Result, ledger::PlanningStore},
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use sqlx::Row;

use super::{
    journal::{Journal, Kind, fault},
    judge,
    relay::Relay,
    sim::{Chances, POLICIES, Sim, folder, policy, template},
    suspects::Poison,
    turnstile::{At, Breath, Life, Turnstile},
    watched::Watched,
};
use crate::planted::Mistake;

/// Steps of unrest before everything is let come to rest.
const STEPS: u64 = 230;

/// One interleaving, over.
pub struct Played {
    pub journal: Journal,
    pub trace: Vec<String>,
    pub steps: u64,
    pub ends: Vec<End>,
}

/// How a message ended.
#[derive(Debug)]
pub struct End {
    pub state: String,
    pub reason: String,
    /// The tasks that it carried at last.
    pub tasks: Vec<i64>,
}

/// Plays a seed. The same seed gives the same trace.
pub fn play(seed: u64, mistake: Option<Mistake>, chances: Chances, traced: bool) -> Played {
    play_with(seed, mistake, chances, traced, None)
}

pub fn play_with(
    seed: u64,
    mistake: Option<Mistake>,
    chances: Chances,
    traced: bool,
    poison: Option<Poison>,
) -> Played {
    template();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    let folder = folder();
    let played = runtime.block_on(async {
        let mut sim = Sim::new(folder.path(), seed, mistake, chances, traced).await;
        sim.poison = poison;
        let sim = Arc::new(sim);
        sim.unrest_and_rest().await;
        judge::at_the_end(&sim).await;
        let ends = sim.ends().await;
        let played = Played { journal: sim.journal().clone(), trace: sim.trace(), steps: sim.step(), ends };
        // The daemon's tasks that wait for ever hold the world; they end with the runtime.
        sim.pool.close().await;
        sim.store.close().await;
        played
    });
    runtime.shutdown_background();
    played
}

/// What the daemon's tasks report: an error is a fault, for nothing of the database fails here.
fn note<T>(sim: &Sim, life: Life, what: &str, came: Result<T>) {
    if let Err(error) = came {
        let text = format!("step {}: life {life}: {what}: {error}", sim.step());
        sim.journal().faults.push(fault(Kind::Ledger, text));
    }
}

async fn live(sim: Arc<Sim>, life: Life) {
    let kinds = ChannelKind::ALL.iter();
    let channels: HashMap<ChannelKind, Arc<dyn Channel>> = kinds
        .map(|kind| (*kind, Arc::new(Relay { sim: sim.clone(), life, kind: *kind }) as Arc<dyn Channel>))
        .collect();
    let watched = Arc::new(Watched { sim: sim.clone(), life });
    let rules = policy(*sim.policy.lock().unwrap());
    let engine = Engine::new(watched, sim.clock.clone(), rules, channels, Arc::new(|_| ()));
    note(&sim, life, "start", engine.start().await);
    sim.engines.lock().unwrap().insert(life, engine.clone());
    // As `serve` has it: the scan and each channel in loops of their own.
    for kind in ChannelKind::ALL {
        let (sim, engine) = (sim.clone(), engine.clone());
        tokio::spawn(async move {
            loop {
                drop(sim.gate.turn(life, At::Round(kind.as_str())).await);
                let round = engine.clone();
                let round = tokio::spawn(async move { round.deliver_on(*kind).await });
                note(&sim, life, kind.as_str(), round.await.unwrap().map(|_| ()));
            }
        });
    }
    loop {
        drop(sim.gate.turn(life, At::Round("scan")).await);
        note(&sim, life, "scan", engine.scan_pass().await);
    }
}

impl Sim {
    fn begin_life(self: &Arc<Self>) {
        let life = self.gate.life();
        self.tell(|| format!("{:>5} life {life} begins", self.step()));
        tokio::spawn(live(self.clone(), life));
    }

    fn those(&self, breath: Breath) -> Vec<Life> {
        self.gate.lives().iter().enumerate().filter(|(_, b)| **b == breath).map(|(life, _)| life).collect()
    }

    fn kill_all(&self) {
        for life in 0..self.gate.lives().len() {
            self.gate.set(life, Breath::Dead);
        }
        self.engines.lock().unwrap().clear();
    }

    fn crash(self: &Arc<Self>) {
        self.tell(|| format!("{:>5} SIGKILL", self.step()));
        self.kill_all();
        self.journal().crashes += 1;
        self.begin_life();
    }

    fn stop_and_begin_another(self: &Arc<Self>) {
        // Stopped; or not even that: two at work at once, as on a database that several share.
        let breath = if self.dice().once_in(3) { Breath::Late } else { Breath::Stopped };
        for life in self.those(Breath::Runs) {
            self.tell(|| format!("{:>5} life {life} is {breath:?}", self.step()));
            self.gate.set(life, breath);
        }
        self.journal().stale = true;
        if self.dice().once_in(2) {
            self.pass_time(SignedDuration::from_mins(31));
        }
        self.begin_life();
    }

    fn let_go_on(&self) {
        for life in self.those(Breath::Stopped) {
            self.tell(|| format!("{:>5} SIGCONT life {life}", self.step()));
            self.gate.set(life, Breath::Late);
        }
    }

    fn pass_time(&self, by: SignedDuration) {
        self.set_clock(self.clock.now() + by);
        self.journal().moved_clock += 1;
    }

    async fn time_passes(&self) {
        let next = [self.store.next_look().await.unwrap(), self.store.next_move().await.unwrap()];
        let next = next.into_iter().flatten().min();
        let now = self.clock.now();
        let by = {
            let mut dice = self.dice();
            match dice.between(0, 9) {
                0..=4 => next.filter(|next| *next > now).map(|next| next.duration_since(now)),
                // Backwards: less than what is called wrong, and more.
                5 => Some(SignedDuration::from_secs(*dice.pick(&[-30, -90, -3_600]))),
                _ => None,
            }
            .unwrap_or_else(|| SignedDuration::from_secs(*dice.pick(&[1, 30, 61, 300, 600, 1_300, 2_100, 7_200])))
        };
        self.pass_time(by.min(SignedDuration::from_hours(30)));
    }

    fn rules_change(self: &Arc<Self>) {
        let which = {
            let mut dice = self.dice();
            dice.between(0, POLICIES - 1) as usize
        };
        let Some(life) = self.those(Breath::Runs).first().copied() else { return };
        // As an operator would: what is adopted is what the files say from then on.
        let Some(engine) = self.engines.lock().unwrap().get(&life).cloned() else { return };
        if self.reloading.lock().unwrap().replace(life) == Some(life) {
            return;
        }
        *self.policy.lock().unwrap() = which;
        self.journal().reloads += 1;
        self.tell(|| format!("{:>5} SIGHUP: rules {which}", self.step()));
        let sim = self.clone();
        tokio::spawn(async move {
            note(&sim, life, "reload", engine.take_rules(policy(which)).await);
            sim.reloading.lock().unwrap().take_if(|reloading| *reloading == life);
        });
    }

    /// Lets one of those that wait take its turn.
    async fn let_one_through(self: &Arc<Self>) -> bool {
        let waiting = self.gate.waiting();
        if waiting.is_empty() {
            return false;
        }
        let (life, at) = Turnstile::draw(&waiting, &mut self.dice());
        self.tell(|| format!("{:>5} life {life}: {at:?}", self.step()));
        self.gate.let_through(life, &at).await;
        self.dies_of_poison();
        true
    }

    async fn unrest_and_rest(self: &Arc<Self>) {
        self.begin_life();
        self.calm(false);
        for _ in 0..STEPS {
            self.gate.quiet().await;
            self.next_step();
            self.something_happens().await;
            self.tell_ledger().await;
        }
        self.come_to_rest().await;
    }

    /// Another run is in the middle of a hand-over: when a stopped one does most harm by going on.
    fn is_a_bad_moment(&self) -> bool {
        let running = self.those(Breath::Runs);
        let under_way = |at: &At| matches!(at, At::Relay("dot" | "answer", _));
        self.gate.waiting().iter().any(|(life, at)| running.contains(life) && under_way(at))
    }

    async fn something_happens(self: &Arc<Self>) {
        if !self.those(Breath::Stopped).is_empty() && self.is_a_bad_moment() && self.dice().once_in(3) {
            return self.let_go_on();
        }
        let mut rest = self.dice().between(0, 999);
        let chances = self.chances;
        let mut falls = |share: i64| {
            let falls = (0..share).contains(&rest);
            rest -= share;
            falls
        };
        if falls(chances.acts) {
            self.somebody_acts().await;
        } else if falls(chances.clock) {
            self.time_passes().await;
        } else if falls(chances.crash) {
            self.crash();
        } else if falls(chances.stale) {
            self.stop_and_begin_another();
        } else if falls(chances.stale * 2) {
            self.let_go_on();
        } else if falls(chances.reload) {
            self.rules_change();
        } else if falls(chances.directory) {
            self.directory_changes().await;
        } else if falls(chances.operator) {
            self.operator_looks().await;
        } else if !self.is_there_work().await {
            self.time_passes().await;
        } else {
            self.let_one_through().await;
        }
    }

    /// Whether somebody is in the middle of something, or a round would find something to do.
    async fn is_there_work(&self) -> bool {
        let busy = self.gate.waiting().iter().any(|(_, at)| !matches!(at, At::Round(_)));
        busy || self.left_now().await > 0
    }

    /// What could be done now.
    async fn left_now(&self) -> i64 {
        sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM task WHERE next_look_at <= $1) \
             + (SELECT count(*) FROM reminder WHERE state = 'planned' AND not_before <= $1) \
             + (SELECT count(*) FROM message WHERE state = 'pending' AND not_before <= $1)",
        )
        .bind(self.clock.now().as_millisecond())
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Everybody finishes what they began, everything that can be done now is done, and then what waits for its hour.
    async fn come_to_rest(self: &Arc<Self>) {
        self.calm(true);
        self.clock_catches_up();
        self.let_go_on();
        self.tell(|| format!("{:>5} calm", self.step()));
        let several = self.gate.lives().iter().filter(|breath| **breath != Breath::Dead).count() > 1;
        if several {
            // What had been stopped finishes; then only one is left, newly started, for it takes up what is left over.
            self.finish().await;
            self.kill_all();
            self.begin_life();
        } else if self.dice().once_in(3) {
            self.crash();
        }
        self.work_off().await;
        judge::is_all_planned(self).await;
        for _ in 0..60 {
            let Some(next) = self.next_pending().await else { break };
            self.set_clock(next.max(self.clock.now() + 1.second()));
            self.work_off().await;
        }
    }

    async fn next_pending(&self) -> Option<Timestamp> {
        let next: Option<i64> = sqlx::query_scalar("SELECT min(not_before) FROM message WHERE state = 'pending'")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        next.map(|next| Timestamp::from_millisecond(next).unwrap())
    }

    /// Until all stand between two rounds.
    async fn finish(self: &Arc<Self>) {
        loop {
            self.gate.quiet().await;
            let busy: Vec<_> = self.gate.waiting().into_iter().filter(|(_, at)| !matches!(at, At::Round(_))).collect();
            if busy.is_empty() {
                return;
            }
            self.next_step();
            let (life, at) = Turnstile::draw(&busy, &mut self.dice());
            self.tell(|| format!("{:>5} life {life}: {at:?}", self.step()));
            self.gate.let_through(life, &at).await;
            self.dies_of_poison();
            self.tell_ledger().await;
        }
    }

    /// What a step has changed in the ledger, where a trace is kept.
    async fn tell_ledger(&self) {
        if !self.is_traced() {
            return;
        }
        let mut now = BTreeMap::new();
        for statement in [
            "SELECT 'reminder ' || r.id AS what, r.state || ' ' || r.reason || ' of task ' || r.task || coalesce(' in message ' || r.message, '') \
             AS stands FROM reminder r",
            "SELECT 'message ' || id AS what, state || ' ' || reason || coalesce(' after ' || earlier, '') || ', crashes ' || crashes AS stands FROM message",
            "SELECT 'task ' || id AS what, state || ', revision ' || revision || coalesce(', look ' || next_look_at, '') AS stands FROM task",
        ] {
            for row in sqlx::query(statement).fetch_all(&self.pool).await.unwrap() {
                now.insert(row.get::<String, _>("what"), row.get::<String, _>("stands"));
            }
        }
        let before = std::mem::replace(&mut *self.ledger.lock().unwrap(), now.clone());
        for (what, stands) in now.iter().filter(|(what, stands)| before.get(*what) != Some(*stands)) {
            self.tell(|| format!("            {what}: {stands}"));
        }
    }

    /// The message that was just in work may have ended the process.
    fn dies_of_poison(self: &Arc<Self>) {
        if self.poison.as_ref().is_some_and(Poison::struck) {
            self.crash();
        }
    }

    async fn ends(&self) -> Vec<End> {
        let rows = sqlx::query(
            "SELECT m.state, m.reason, coalesce(group_concat(r.task), '') AS tasks \
             FROM message m LEFT JOIN reminder r ON r.message = m.id GROUP BY m.id ORDER BY m.id",
        );
        let end = |row: &sqlx::sqlite::SqliteRow| End {
            state: row.get("state"),
            reason: row.get("reason"),
            tasks: row.get::<&str, _>("tasks").split(',').filter_map(|task| task.parse().ok()).collect(),
        };
        rows.fetch_all(&self.pool).await.unwrap().iter().map(end).collect()
    }

    /// Rounds of all loops until nothing is left that could be done now.
    async fn work_off(self: &Arc<Self>) {
        for rounds in 0..60 {
            for at in ["scan", "email", "zalo"] {
                self.finish().await;
                for life in self.those(Breath::Runs) {
                    self.gate.let_through(life, &At::Round(at)).await;
                }
            }
            self.finish().await;
            let left = self.left_now().await;
            if left == 0 {
                return;
            }
            // A breaker rests, or the clock stands behind what was worked off.
            if rounds % 3 == 2 {
                self.set_clock(self.clock.now() + SignedDuration::from_mins(41));
            }
        }
        let what = format!("step {}: it does not come to rest", self.step());
        self.journal().faults.push(fault(Kind::Ledger, what));
    }
}
