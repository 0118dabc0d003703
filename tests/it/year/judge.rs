//! What the rules say must have come of a year, and whether it did. Reads the story and never asks the program.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{Timestamp, ToSpan, civil::Date};

use super::{
    office::{Ladder, Rung, Unit, hours, instant, local},
    play::{Answer, Arm, By, Decided, Duty, Filed, HandOver, Kept, Look, Story, Task},
};

/// What was seen, so that a year in which nothing happens cannot pass for a good one.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub due: u64,
    pub sent: u64,
    pub superseded: u64,
    pub suppressed: u64,
    pub dead: u64,
    pub unknown: u64,
    pub notices: u64,
    pub capped: u64,
    pub on_the_minute: u64,
    pub looks: u64,
}

impl Totals {
    pub fn add(&mut self, more: &Totals) {
        self.due += more.due;
        self.sent += more.sent;
        self.superseded += more.superseded;
        self.suppressed += more.suppressed;
        self.dead += more.dead;
        self.unknown += more.unknown;
        self.notices += more.notices;
        self.capped += more.capped;
        self.on_the_minute += more.on_the_minute;
        self.looks += more.looks;
    }

    /// The generator still makes years in which everything occurs.
    pub fn assert_worth_it(&self, years: u64) {
        assert!(self.due > 150 * years && self.sent > 80 * years, "{self:?}");
        assert!(self.superseded > 20 * years && self.notices > 5 * years, "{self:?}");
        assert!(self.on_the_minute * 2 > self.sent, "hardly anything was held to its minute: {self:?}");
        if years >= 6 {
            assert!(self.dead > 0 && self.suppressed > 0 && self.capped > 0 && self.unknown > 0, "{self:?}");
        }
    }
}

#[derive(Debug, Default)]
pub struct Verdict {
    pub faults: Vec<String>,
    pub totals: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Say {
    Speak,
    Silent(&'static str),
    /// The rules leave it to what had really left by then.
    Either(&'static str),
}

/// A reminder that the rules call for.
#[derive(Debug, Clone)]
struct Wanted {
    due: Timestamp,
    look: Timestamp,
    say: Say,
    at: (i8, i8),
    hours: &'static str,
    urgent: bool,
    cap: u32,
}

type Key = (String, String, i64, String, String, u32, String, String, String);

/// (task, duty, arming) and what of it was seen: (rule line, rung line, occurrence).
type Seen = BTreeMap<(usize, usize, i64), BTreeSet<(u32, u32, u32)>>;

/// task, duty, arming, rule, rung, occurrence, and under which decisions
type Occurrence = (usize, usize, i64, u32, u32, u32, usize);

struct Oracle<'a> {
    story: &'a Story,
    wanted: BTreeMap<Key, Wanted>,
    notices: BTreeSet<Filed>,
    seen: Seen,
    filed: BTreeSet<(usize, usize, i64, u32, u32, u32)>,
    /// (task, duty) -> the rule it is planned under, since when if it changed.
    bound: HashMap<(usize, usize), (i64, u32, Option<Timestamp>)>,
    instants: HashMap<Occurrence, Timestamp>,
}

fn wants(rule: &Ladder, task: &Task, clock: &str, arm: &Arm, agency: &str) -> bool {
    let block = if agency == "CTMT" { "enterprise" } else { "state" };
    rule.clock == clock
        && rule.role == arm.role
        && (rule.urgency.is_empty() || rule.urgency == task.urgency)
        && (rule.block.is_empty() || rule.block == block)
}

/// Luật 117/2025: of mật an e-mail to a named person.
fn sayable(secrecy: &str, audience: &str, channel: &str) -> bool {
    secrecy == "open" || (channel == "email" && !matches!(audience, "agency_box" | "assigner_office"))
}

impl Oracle<'_> {
    fn due(&mut self, at: (usize, usize), arm: &Arm, rule: &Ladder, rung: &Rung, k: u32, which: usize) -> Timestamp {
        let key = (at.0, at.1, arm.number, rule.line, rung.line, k, which);
        let days = &self.story.decided[which].days;
        *self.instants.entry(key).or_insert_with(|| rule.due(days, rung, k, arm.due, arm.corrected))
    }

    fn look(&mut self, look: Look) {
        let story = self.story;
        let which = story.decided.iter().rposition(|decided| decided.from <= look.at).unwrap();
        for (t, task) in story.tasks.iter().enumerate() {
            let moment =
                if task.ambushed.iter().any(|(at, _)| *at == look.at) { look.at - 1.millisecond() } else { look.at };
            let Some(state) = task.state_at(moment) else { continue };
            if state == "done" {
                continue;
            }
            for (d, duty) in task.duties.iter().enumerate() {
                let arm = duty.arms.iter().rfind(|arm| arm.at <= look.at);
                let Some(arm) = arm.filter(|arm| arm.ended.is_none_or(|ended| ended > look.at)) else { continue };
                self.obligation(look, &story.decided[which], which, (t, d), task, duty, arm, state == "in_progress");
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything the rules ask about one obligation")]
    fn obligation(
        &mut self,
        look: Look,
        decided: &Decided,
        which: usize,
        at: (usize, usize),
        task: &Task,
        duty: &Duty,
        arm: &Arm,
        urged: bool,
    ) {
        let Some(rule) = decided.rules.iter().find(|rule| wants(rule, task, duty.clock, arm, &duty.agency)) else {
            return;
        };
        let since = match self.bound.get(&at) {
            Some((number, line, since)) if *number == arm.number && *line == rule.line => *since,
            Some((number, ..)) if *number == arm.number => Some(look.at),
            _ => None,
        };
        self.bound.insert(at, (arm.number, rule.line, since));
        if !urged {
            return;
        }
        let mut fresh: Vec<(Timestamp, usize, u32)> = Vec::new();
        for (index, rung) in rule.rungs.iter().enumerate() {
            for k in 1..=1 + rung.repeat.map_or(0, |(_, _, times)| times) {
                let due = self.due(at, arm, rule, rung, k, which);
                let known = self.seen.get(&(at.0, at.1, arm.number));
                if due <= look.at && !known.is_some_and(|seen| seen.contains(&(rule.line, rung.line, k))) {
                    fresh.push((due, index, k));
                }
            }
        }
        if fresh.is_empty() {
            return;
        }
        fresh.sort_by_key(|(due, ..)| *due);
        let resumed = task.resumed.iter().rfind(|resumed| **resumed <= look.at).copied();
        let active = resumed.map_or(arm.at, |resumed| resumed.max(arm.at));
        let standing = |due: Timestamp, rung: &Rung| {
            if rule.effective_from.is_some_and(|day| due < instant(day.at(0, 0, 0, 0))) {
                return "new_rule";
            }
            let floors = [since, rung.since].into_iter().flatten().filter(|floor| arm.at < *floor);
            if floors.max().is_some_and(|floor| due <= floor) {
                return "new_rule";
            }
            if due <= arm.at && arm.by == By::Later {
                return "deadline_moved";
            }
            if due <= active {
                return "late";
            }
            if look.stop.is_some_and(|(from, until)| from < due && due <= until) { "missed" } else { "live" }
        };
        let spoken = self
            .wanted
            .iter()
            .filter(|(key, wanted)| {
                key.0 == task.code
                    && key.1 == duty.clock
                    && key.2 == arm.number
                    && key.5 > 0
                    && key.6 == duty.agency
                    && !matches!(wanted.say, Say::Silent(_))
            })
            .map(|(_, wanted)| wanted.due)
            .max();
        let last_late = fresh.iter().rposition(|(due, index, _)| standing(*due, &rule.rungs[*index]) == "late");
        let mut taken: Vec<&str> = Vec::new();
        for (position, (due, index, k)) in fresh.iter().enumerate().rev() {
            let rung = &rule.rungs[*index];
            let standing = standing(*due, rung);
            let acked = arm.acks.iter().rfind(|(from, _)| *from <= look.at).is_some_and(|(_, until)| due < until);
            let say = match standing {
                "new_rule" => Say::Silent("new_rule"),
                "deadline_moved" => Say::Silent("deadline_moved"),
                "late" if Some(position) != last_late => Say::Silent("late_entry"),
                // What is as severe was said already, or was to be.
                "late" if spoken.is_some_and(|spoken| spoken >= *due) => Say::Either("late_entry"),
                "missed" if rule.skip => Say::Silent("skipped"),
                "missed" if look.at > too_late(decided, rule, *due) => Say::Silent("too_late"),
                _ if *k > 1 && acked => Say::Silent("acknowledged"),
                _ => Say::Speak,
            };
            if rung.notice && (standing == "live" || standing == "missed") {
                self.file(look, at, task, duty, arm, rule, rung, *k, *due);
            }
            for audience in rule.audiences(*index) {
                let mut say = say;
                if say == Say::Speak {
                    if taken.contains(&audience) {
                        say = Say::Silent(if standing == "missed" { "stopped" } else { "severer_step" });
                    } else if rung.via.iter().any(|channel| sayable(task.secrecy, audience, channel)) {
                        taken.push(audience);
                    }
                }
                for channel in &rung.via {
                    let say = if say == Say::Speak && !sayable(task.secrecy, audience, channel) {
                        Say::Silent("classified")
                    } else {
                        say
                    };
                    let key = (
                        task.code.clone(),
                        duty.clock.to_owned(),
                        arm.number,
                        rule.id.clone(),
                        rung.id.clone(),
                        *k,
                        duty.agency.clone(),
                        audience.to_owned(),
                        (*channel).to_owned(),
                    );
                    let wanted = Wanted {
                        due: *due,
                        look: look.at,
                        say,
                        at: rule.at,
                        hours: rule.hours,
                        urgent: rule.is_urgent(),
                        cap: rule.cap,
                    };
                    self.wanted.insert(key, wanted);
                }
            }
        }
        // A task entered late files at most once: the most severe.
        let late_filing = fresh
            .iter()
            .rfind(|(due, index, _)| rule.rungs[*index].notice && standing(*due, &rule.rungs[*index]) == "late");
        if let Some((due, index, k)) = late_filing {
            self.file(look, at, task, duty, arm, rule, &rule.rungs[*index], *k, *due);
        }
        let seen = self.seen.entry((at.0, at.1, arm.number)).or_default();
        seen.extend(fresh.iter().map(|(_, index, k)| (rule.line, rule.rungs[*index].line, *k)));
    }

    #[expect(clippy::too_many_arguments, reason = "a notice is named by all of it")]
    fn file(
        &mut self,
        look: Look,
        at: (usize, usize),
        task: &Task,
        duty: &Duty,
        arm: &Arm,
        rule: &Ladder,
        rung: &Rung,
        k: u32,
        due: Timestamp,
    ) {
        if self.filed.insert((at.0, at.1, arm.number, rule.line, rung.line, k)) {
            self.notices.insert(Filed {
                task: task.code.clone(),
                clock: duty.clock.to_owned(),
                arming: arm.number,
                agency: duty.agency.clone(),
                rule: rule.id.clone(),
                step: rung.id.clone(),
                occurrence: k,
                due,
                at: look.at,
            });
        }
    }
}

/// After a stop: the last instant at which what was due may still be sent.
fn too_late(decided: &Decided, rule: &Ladder, due: Timestamp) -> Timestamp {
    let (n, unit) = rule.max_lateness;
    let when = local(due);
    match unit {
        Unit::H => due + i64::from(n).hours(),
        Unit::D => instant(when.date().checked_add(i64::from(n).days()).unwrap().to_datetime(when.time())),
        Unit::Wd => instant(decided.days.walk(when.date(), n).to_datetime(when.time())),
    }
}

fn key(kept: &Kept) -> Key {
    let k = kept.clone();
    (k.task, k.clock, k.arming, k.rule, k.step, k.occurrence, k.agency, k.audience, k.channel)
}

fn shown(kept: &Kept) -> String {
    let Kept { task, clock, arming, rule, step, occurrence, agency, audience, channel, state, reason, .. } = kept;
    format!(
        "{task} {agency} {clock}/{arming} {rule}/{step}#{occurrence} {audience} {channel}: {state} {reason} (due {}, made {}, changed {})",
        local(kept.due),
        local(kept.created),
        local(kept.changed)
    )
}

pub fn judge(story: &Story) -> Verdict {
    let mut oracle = Oracle {
        story,
        wanted: BTreeMap::new(),
        notices: BTreeSet::new(),
        seen: Seen::new(),
        filed: BTreeSet::new(),
        bound: HashMap::new(),
        instants: HashMap::new(),
    };
    for look in &story.looks {
        oracle.look(*look);
    }
    let mut court = Court {
        story,
        wanted: oracle.wanted,
        rows: story.kept.iter().map(|kept| (kept.id, kept)).collect(),
        of_row: HashMap::new(),
        per_day: BTreeMap::new(),
        verdict: Verdict::default(),
    };
    court.verdict.totals.looks = story.looks.len() as u64;
    court.counts();
    court.record();
    court.hand_overs();
    court.caps();
    court.notices(&oracle.notices);
    court.verdict
}

struct Court<'a> {
    story: &'a Story,
    wanted: BTreeMap<Key, Wanted>,
    rows: HashMap<i64, &'a Kept>,
    of_row: HashMap<i64, Vec<&'a HandOver>>,
    /// (channel, address, day) -> messages accepted, those of urgent rules apart.
    per_day: BTreeMap<(String, String, Date), (u32, u32)>,
    verdict: Verdict,
}

impl<'a> Court<'a> {
    fn fault(&mut self, text: String) {
        self.verdict.faults.push(text);
    }

    fn decided(&self, at: Timestamp) -> &'a Decided {
        self.story.decided.iter().rfind(|decided| decided.from <= at).unwrap()
    }

    /// The rule a reminder is of, as it is called now or was called once.
    fn rule(&self, id: &str, at: Timestamp) -> Option<&'a Ladder> {
        let rules = &self.decided(at).rules;
        rules
            .iter()
            .find(|rule| rule.id == id)
            .or_else(|| rules.iter().find(|rule| rule.was.iter().any(|was| was == id)))
    }

    fn counts(&mut self) {
        for handed in &self.story.handed {
            for id in &handed.reminders {
                self.of_row.entry(*id).or_default().push(handed);
            }
        }
        let mut counted = BTreeSet::new();
        for handed in self.story.handed.iter().filter(|handed| handed.answer == Answer::Accepted) {
            if !counted.insert(handed.message) {
                self.verdict.faults.push(format!("message {} was accepted twice", handed.message));
            }
            let urgent = handed.reminders.iter().any(|id| {
                self.rows.get(id).and_then(|kept| self.rule(&kept.rule, handed.at)).is_some_and(Ladder::is_urgent)
            });
            let day = (handed.channel.to_owned(), handed.address.clone(), local(handed.at).date());
            let count = self.per_day.entry(day).or_default();
            count.0 += u32::from(!urgent);
            count.1 += u32::from(urgent);
        }
    }

    /// What is on record is exactly what the rules call for, each ended as they say.
    fn record(&mut self) {
        let on_record: HashMap<Key, &Kept> = self.story.kept.iter().map(|kept| (key(kept), kept)).collect();
        let wanted: Vec<(Key, Wanted)> =
            self.wanted.iter().map(|(key, wanted)| (key.clone(), wanted.clone())).collect();
        for (key, wanted) in &wanted {
            self.verdict.totals.due += 1;
            let Some(kept) = on_record.get(key) else {
                self.fault(format!("LOST: {key:?} was due {}", local(wanted.due)));
                continue;
            };
            if kept.due != wanted.due {
                self.fault(format!("due {} by the rules: {}", local(wanted.due), shown(kept)));
            }
            self.ended(kept, wanted);
        }
        let keys: BTreeSet<&Key> = wanted.iter().map(|(key, _)| key).collect();
        for kept in &self.story.kept {
            let extra = kept.fallback_of.is_none() && kept.rule != "trang-thai" && !keys.contains(&key(kept));
            if extra {
                self.fault(format!("the rules call for no such reminder: {}", shown(kept)));
            }
            let totals = &mut self.verdict.totals;
            match kept.state.as_str() {
                "sent" => totals.sent += 1,
                "superseded" => totals.superseded += 1,
                "suppressed" => totals.suppressed += 1,
                "dead" => totals.dead += 1,
                "unknown" => totals.unknown += 1,
                _ => {}
            }
            if !matches!(kept.state.as_str(), "sent" | "planned" | "in_message") && kept.reason.is_empty() {
                self.fault(format!("ended without a reason: {}", shown(kept)));
            }
            if kept.fallback_of.is_some() || kept.rule == "trang-thai" {
                self.settled(kept);
            }
        }
    }

    fn ended(&mut self, kept: &Kept, wanted: &Wanted) {
        match wanted.say {
            Say::Silent(reason) => {
                if kept.state != "superseded" || kept.reason != reason {
                    self.fault(format!("silent by the rules ({reason}): {}", shown(kept)));
                }
                if self.of_row.contains_key(&kept.id) {
                    self.fault(format!("silent by the rules ({reason}), but handed over: {}", shown(kept)));
                }
            }
            Say::Either(reason) if kept.state == "superseded" && kept.reason == reason => {}
            Say::Speak | Say::Either(_) => {
                self.settled(kept);
                if kept.state == "sent" && wanted.say == Say::Speak {
                    self.in_time(kept, wanted);
                }
            }
        }
    }

    /// Every state at the end has what justifies it.
    fn settled(&mut self, kept: &Kept) {
        let story = self.story;
        let task = story.tasks.iter().find(|task| task.code == kept.task).unwrap();
        let duty = task.duties.iter().find(|duty| duty.clock == kept.clock && duty.agency == kept.agency);
        let arm = duty.and_then(|duty| duty.arms.iter().find(|arm| arm.number == kept.arming));
        let end = story.end.unwrap();
        let answers: Vec<Answer> =
            self.of_row.get(&kept.id).map(|all| all.iter().map(|handed| handed.answer).collect()).unwrap_or_default();
        let over = arm.and_then(|arm| arm.ended);
        let entered = |state: &str| task.states.iter().any(|(at, entered)| *entered == state && *at <= kept.changed);
        let ok = match (kept.state.as_str(), kept.reason.as_str()) {
            ("sent", _) => answers.contains(&Answer::Accepted),
            ("dead", "refused") => answers.contains(&Answer::Nobody),
            ("unknown", _) => answers.contains(&Answer::Lost),
            ("superseded", "severer_step") => story.kept.iter().any(|other| {
                // A box that stands in has its owner's place.
                let slot = kept.audience.trim_start_matches("box_of:");
                (&other.task, &other.clock, &other.agency, other.audience.as_str())
                    == (&kept.task, &kept.clock, &kept.agency, slot)
                    && other.due >= kept.due
                    && other.id != kept.id
                    && other.created <= kept.changed
                    && self.wanted.get(&key(other)).is_none_or(|wanted| !matches!(wanted.say, Say::Silent(_)))
            }),
            ("superseded", "deadline_moved" | "reopened" | "reassigned" | "reported") => {
                over.is_some_and(|over| over <= kept.changed)
            }
            ("superseded", "expired") => self.five_allowed_days(kept),
            ("suppressed", "completed") => entered("done"),
            // One that waits to come back, or whose ladder was armed anew meanwhile.
            ("suppressed", state @ ("paused" | "submitted" | "returned")) => {
                entered(state)
                    && (over.is_some()
                        || kept.rule == "trang-thai"
                        || !task.resumed.iter().any(|resumed| *resumed > kept.changed))
            }
            ("superseded", "classified") => task.secrecy != "open",
            ("suppressed", "resumed") => kept.rule == "trang-thai",
            ("suppressed", "ended") => over.is_some(),
            ("suppressed", "no_zalo") => kept.channel == "zalo",
            ("suppressed", "nobody_reachable" | "no_fallback") => true,
            ("planned" | "in_message", _) => {
                // Only what came to wait in the last days.
                end.as_second() - kept.created.as_second() < 20 * 86_400 && kept.created > end - (24 * 20).hours()
            }
            _ => false,
        };
        if !ok {
            self.fault(format!("ended without cause: {} {answers:?}", shown(kept)));
        }
        if kept.state == "dead" && task.secrecy == "open" {
            let covered = story.kept.iter().any(|other| {
                other.fallback_of == Some(kept.id)
                    || ((
                        &other.task,
                        &other.clock,
                        other.arming,
                        &other.agency,
                        &other.rule,
                        &other.step,
                        other.occurrence,
                    ) == (
                        &kept.task,
                        &kept.clock,
                        kept.arming,
                        &kept.agency,
                        &kept.rule,
                        &kept.step,
                        kept.occurrence,
                    ) && other.channel == "email"
                        && other.id != kept.id
                        && (other.audience == "agency_box"
                            || other.audience == "monitor"
                            || other.fallback_of.is_some()))
            });
            if !covered {
                self.fault(format!("refused, and nobody stands in: {}", shown(kept)));
            }
        }
        if matches!(kept.reason.as_str(), "no_zalo" | "channel_off") {
            let covered = story.kept.iter().any(|other| {
                (&other.task, &other.clock, other.arming, &other.agency, &other.step, other.occurrence, &other.audience)
                    == (&kept.task, &kept.clock, kept.arming, &kept.agency, &kept.step, kept.occurrence, &kept.audience)
                    && other.channel == "email"
            });
            if !covered {
                self.fault(format!("no Zalo, and no e-mail instead: {}", shown(kept)));
            }
        }
    }

    fn five_allowed_days(&self, kept: &Kept) -> bool {
        let Some((made, name)) = kept.message.and_then(|id| self.story.messages.get(&id)) else { return false };
        let hours = hours(name);
        let days = &self.decided(*made).days;
        let (mut day, mut allowed) = (local(*made).date(), 0);
        while instant(day.tomorrow().unwrap().at(0, 0, 0, 0)) <= kept.changed {
            allowed += u32::from(hours.allow_day(days, day));
            day = day.tomorrow().unwrap();
        }
        // A day may have been declared off since.
        allowed + 1 >= 5
    }

    /// Nothing in its way: it left at the very moment the rules name; else on the first day that had room.
    fn in_time(&mut self, kept: &Kept, wanted: &Wanted) {
        let Some(accepted) = self.of_row[&kept.id].iter().find(|handed| handed.answer == Answer::Accepted) else {
            return;
        };
        let look = wanted.look.max(wanted.due);
        let decided = self.decided(look);
        let should = hours(wanted.hours).leave(&decided.days, look, wanted.at);
        if accepted.at.as_second() <= should.as_second() + 2 {
            let moved = |decided: &Decided| look - 2.seconds() <= decided.from && decided.from <= accepted.at;
            if accepted.at < should && !self.story.decided.iter().any(moved) {
                self.fault(format!("left {} before its moment {}: {}", local(accepted.at), local(should), shown(kept)));
            }
            self.verdict.totals.on_the_minute += 1;
            return;
        }
        let between = |at: &Timestamp| look - 2.seconds() <= *at && *at <= accepted.at;
        let task = self.story.tasks.iter().find(|task| task.code == kept.task).unwrap();
        let disturbed = task.touched.iter().any(between)
            || self.story.decided.iter().any(|decided| between(&decided.from))
            || self.story.stops.iter().any(|(from, until)| *from <= accepted.at && *until >= look)
            // A relay that was gone is asked again only now and then, at most after an hour or so.
            || self.story.troubles.iter().any(|(from, until)| *from <= accepted.at && *until + 3.hours() >= look);
        if disturbed {
            return;
        }
        // Only the cap holds it back: each of the days before was full.
        let mut day = local(should).date();
        while day < local(accepted.at).date() {
            let allowed = hours(wanted.hours).allow_day(&self.decided(instant(day.at(0, 0, 0, 0))).days, day);
            let (usual, urgent) = self
                .per_day
                .get(&(accepted.channel.to_owned(), accepted.address.clone(), day))
                .copied()
                .unwrap_or_default();
            // A letter that took a place and was stopped at its gate, or refused, held that place for the day.
            let held: BTreeSet<i64> = self
                .story
                .handed
                .iter()
                .filter(|h| (h.channel, &h.address) == (accepted.channel, &accepted.address))
                .filter(|h| local(h.at).date() == day && matches!(h.answer, Answer::Stopped | Answer::Nobody))
                .map(|h| h.message)
                .collect();
            let urgent = urgent + held.len() as u32;
            // A letter with others in it waits for the smallest cap among them.
            let smallest =
                self.decided(should).rules.iter().map(|rule| rule.cap).min().unwrap_or(wanted.cap).min(wanted.cap);
            if wanted.urgent || (allowed && usual + urgent < smallest) {
                let tried: Vec<_> = self
                    .story
                    .handed
                    .iter()
                    .filter(|h| h.address == accepted.address && local(h.at).date() == day)
                    .map(|h| (local(h.at).time(), h.message, h.answer))
                    .collect();
                let text = format!(
                    "should have left {}, left {}, though {day} had room ({} of {}, tried {tried:?}): {}",
                    local(should),
                    local(accepted.at),
                    usual + urgent,
                    wanted.cap,
                    shown(kept)
                );
                self.fault(text);
                return;
            }
            day = day.tomorrow().unwrap();
        }
        self.verdict.totals.capped += 1;
    }

    fn hand_overs(&mut self) {
        for (index, handed) in self.story.handed.iter().enumerate() {
            let decided = self.decided(handed.at);
            for id in &handed.reminders {
                let Some(kept) = self.rows.get(id).copied() else { continue };
                let name = self.rule(&kept.rule, handed.at).map_or("normal", |rule| rule.hours);
                if !hours(name).allow(&decided.days, handed.at) {
                    self.fault(format!("handed over {} outside its hours {name}: {}", local(handed.at), shown(kept)));
                }
                let task = self.story.tasks.iter().find(|task| task.code == kept.task).unwrap();
                // What left in the very moment in which somebody finished the task, but before that, left in time.
                let before = task.ambushed.iter().any(|(at, handed_over)| *at == handed.at && index < *handed_over);
                let moment = if before { handed.at - 1.millisecond() } else { handed.at };
                let state = task.state_at(moment).unwrap();
                let speaks = match kept.step.as_str() {
                    "cho-xac-nhan" if kept.rule == "trang-thai" => "submitted",
                    "tra-lai" if kept.rule == "trang-thai" => "returned",
                    _ => "in_progress",
                };
                if handed.answer == Answer::Accepted && state != speaks {
                    self.fault(format!("handed over {} though the task is {state}: {}", local(handed.at), shown(kept)));
                }
                let duty = task.duties.iter().find(|duty| duty.clock == kept.clock && duty.agency == kept.agency);
                let arm = duty.and_then(|duty| duty.arms.iter().find(|arm| arm.number == kept.arming));
                if handed.answer == Answer::Accepted
                    && arm.is_some_and(|arm| arm.ended.is_some_and(|ended| ended <= handed.at))
                {
                    self.fault(format!(
                        "handed over {} under an arming that is over: {}",
                        local(handed.at),
                        shown(kept)
                    ));
                }
            }
        }
        let mut twice = Vec::new();
        for (id, all) in &self.of_row {
            let messages: BTreeSet<i64> =
                all.iter().filter(|handed| handed.answer == Answer::Accepted).map(|handed| handed.message).collect();
            let lost = all.iter().any(|handed| handed.answer == Answer::Lost);
            if messages.len() > 1 && !lost {
                twice.push(format!("left in messages {messages:?}: {}", shown(self.rows[id])));
            }
        }
        self.verdict.faults.extend(twice);
    }

    /// No more letters a day than the strictest rule in them allows; urgent rules pass.
    fn caps(&mut self) {
        let mut full = BTreeMap::new();
        let mut faults = Vec::new();
        // In the order in which they got their places for the day, whichever was handed over first.
        let mut accepted: Vec<_> =
            self.story.handed.iter().filter(|handed| handed.answer == Answer::Accepted).collect();
        accepted.sort_by_key(|handed| handed.message);
        for handed in accepted {
            let day = (handed.channel, &handed.address, local(handed.at).date());
            let before: &mut u32 = full.entry(day).or_default();
            let carried: Vec<&&Kept> = handed.reminders.iter().filter_map(|id| self.rows.get(id)).collect();
            let urgent = |kept: &&&Kept| self.rule(&kept.rule, handed.at).is_some_and(Ladder::is_urgent);
            if carried.iter().any(|kept| urgent(kept) || kept.rule == "trang-thai") {
                continue;
            }
            // A cap that was lowered since the letter was made binds the next ones.
            let made = self.story.messages.get(&handed.message).map_or(handed.at, |(made, _)| *made);
            let caps = |at| {
                let rules = carried.iter().filter_map(|kept| self.rule(&kept.rule, at));
                rules.map(|rule| rule.cap).min()
            };
            let cap = caps(handed.at).max(caps(made)).unwrap_or(20);
            *before += 1;
            if *before > cap {
                faults.push(format!(
                    "{} got letter {before} of the day at {} with a cap of {cap}",
                    handed.address,
                    local(handed.at)
                ));
            }
        }
        self.verdict.faults.extend(faults);
    }

    fn notices(&mut self, wanted: &BTreeSet<Filed>) {
        let filed: BTreeSet<Filed> = self.story.filed.iter().cloned().collect();
        for notice in wanted.difference(&filed) {
            self.fault(format!("not filed: {notice:?}"));
        }
        for notice in filed.difference(wanted) {
            self.fault(format!("filed though the rules call for none: {notice:?}"));
        }
        self.verdict.totals.notices += filed.len() as u64;
    }
}
