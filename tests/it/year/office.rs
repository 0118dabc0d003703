//! An office's rules and calendar as plain tables, and the simplest reading of `config/rules.toml`'s notes there is: days are walked one
//! by one, hours are compared minute by minute. Nothing here asks `dondoc` anything, so that it can be judged by it.

use std::{collections::BTreeMap, fmt::Write};

use crate::dice::Dice;
use dondoc::config::shipped;
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, DateTime, Time},
};

/// Việt Nam has had one offset since 1975.
const OFFSET_S: i64 = 7 * 3600;

pub fn instant(at: DateTime) -> Timestamp {
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    let seconds = at.duration_since(epoch).as_secs();
    Timestamp::from_second(seconds - OFFSET_S).unwrap()
}

pub fn local(at: Timestamp) -> DateTime {
    let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
    epoch.checked_add((at.as_second() + OFFSET_S).seconds()).unwrap()
}

fn plus_days(day: Date, n: i64) -> Date {
    day.checked_add(n.days()).unwrap()
}

/// Which days are worked, as a list of exceptions.
#[derive(Debug, Clone)]
pub struct Days(pub BTreeMap<Date, bool>);

impl Days {
    pub fn shipped() -> Self {
        let file: toml::Table = toml::from_str(shipped::CALENDAR).unwrap();
        let listed = file["day"].as_array().unwrap().iter().map(|day| {
            let date: Date = day["date"].to_string().parse().unwrap();
            match day["kind"].as_str().unwrap() {
                "off" => (date, false),
                "work" => (date, true),
                other => panic!("the naive calendar knows no {other:?}"),
            }
        });
        Days(listed.collect())
    }

    pub fn worked(&self, day: Date) -> bool {
        use jiff::civil::Weekday::{Saturday, Sunday};
        self.0.get(&day).copied().unwrap_or(!matches!(day.weekday(), Saturday | Sunday))
    }

    pub fn roll(&self, mut day: Date) -> Date {
        while !self.worked(day) {
            day = plus_days(day, 1);
        }
        day
    }

    /// n working days on or back, day by day.
    pub fn walk(&self, mut day: Date, n: i32) -> Date {
        let mut left = n.abs();
        while left > 0 {
            day = plus_days(day, i64::from(n.signum()));
            if self.worked(day) {
                left -= 1;
            }
        }
        day
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    Wd,
    D,
    H,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Unit::Wd => "wd",
            Unit::D => "d",
            Unit::H => "h",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Hours {
    pub working: bool,
    pub from: i16,
    /// The last minute in which one may start.
    pub until: i16,
}

pub fn hours(name: &str) -> Hours {
    match name {
        "urgent" => Hours { working: false, from: 6 * 60, until: 22 * 60 },
        "thau-dem" => Hours { working: false, from: 0, until: 24 * 60 },
        _ => Hours { working: true, from: 7 * 60 + 30, until: 17 * 60 + 30 },
    }
}

impl Hours {
    pub fn allow(&self, days: &Days, at: Timestamp) -> bool {
        let at = local(at);
        let minute = i16::from(at.hour()) * 60 + i16::from(at.minute());
        (!self.working || days.worked(at.date())) && self.from <= minute && minute <= self.until
    }

    /// Whether any minute of a day is allowed.
    pub fn allow_day(&self, days: &Days, day: Date) -> bool {
        !self.working || days.worked(day)
    }

    /// "A message whose moment lies within its hours leaves at once; one that must wait leaves on the next allowed day
    /// at `at`" (inside the hours where `at` lies outside them).
    pub fn leave(&self, days: &Days, due: Timestamp, at: (i8, i8)) -> Timestamp {
        if self.allow(days, due) {
            return due;
        }
        let minute = (i16::from(at.0) * 60 + i16::from(at.1)).max(self.from).min(self.until);
        let mut day = local(due).date();
        loop {
            let then = instant(day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0));
            if then >= due && self.allow_day(days, day) {
                return then;
            }
            day = plus_days(day, 1);
        }
    }
}

/// A step.
#[derive(Debug, Clone)]
pub struct Rung {
    /// Stays when it is renamed.
    pub line: u32,
    pub id: String,
    pub was: Vec<String>,
    pub n: i32,
    pub unit: Unit,
    pub add: Vec<&'static str>,
    pub only: bool,
    pub via: Vec<&'static str>,
    pub urging: bool,
    pub notice: bool,
    /// every, times
    pub repeat: Option<(i32, Unit, u32)>,
    /// Accepted since; `None`: since ever.
    pub since: Option<Timestamp>,
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Ladder {
    pub line: u32,
    pub id: String,
    pub was: Vec<String>,
    pub role: &'static str,
    pub urgency: &'static str,
    /// Of the agency reminded; empty: any.
    pub block: &'static str,
    pub clock: &'static str,
    pub hours: &'static str,
    pub at: (i8, i8),
    pub bundle: bool,
    pub skip: bool,
    pub max_lateness: (i32, Unit),
    pub cap: u32,
    pub effective_from: Option<Date>,
    pub rungs: Vec<Rung>,
}

impl Ladder {
    pub fn is_urgent(&self) -> bool {
        self.hours == "urgent"
    }

    /// Who stands on each rung: `add` accumulates, `only` replaces.
    pub fn audiences(&self, upto: usize) -> Vec<&'static str> {
        let mut all = Vec::new();
        for rung in &self.rungs[..=upto] {
            if rung.only {
                all.clear();
            }
            for audience in &rung.add {
                if !all.contains(audience) {
                    all.push(audience);
                }
            }
        }
        all
    }

    /// When a rung's k-th occurrence (from 1) is due.
    pub fn due(
        &self,
        days: &Days,
        rung: &Rung,
        k: u32,
        due: (Date, Option<Time>),
        corrected: Option<Date>,
    ) -> Timestamp {
        let effective = days.roll(due.0);
        let later = corrected.map_or(effective, |day| effective.max(days.roll(day)));
        let (base, hour) = if rung.n > 0 && later != effective { (later, None) } else { (effective, due.1) };
        let at = |day: Date| instant(day.at(self.at.0, self.at.1, 0, 0));
        let count = |n: i32, unit| match unit {
            Unit::Wd => at(days.walk(base, n)),
            Unit::D => at(plus_days(base, i64::from(n))),
            Unit::H => {
                let from = hour.map_or(instant(plus_days(base, 1).at(0, 0, 0, 0)), |h| instant(base.to_datetime(h)));
                from + i64::from(n).hours()
            }
        };
        let first = count(rung.n, rung.unit);
        let Some((every, unit, _)) = rung.repeat.filter(|_| k > 1) else { return first };
        let more = every * (k as i32 - 1);
        match unit {
            _ if unit == rung.unit => count(rung.n + more, unit),
            Unit::H => first + i64::from(more).hours(),
            Unit::Wd => at(days.walk(local(first).date(), more)),
            Unit::D => at(plus_days(local(first).date(), i64::from(more))),
        }
    }
}

pub fn to_toml(rules: &[Ladder]) -> String {
    let mut out = String::from(
        "[defaults]\nat = \"08:00\"\nvia = [\"email\"]\nbundle = true\nlate = \"latest\"\nmax_lateness = \"10wd\"\ndaily_cap = 20\n",
    );
    for name in ["normal", "urgent", "thau-dem"] {
        let h = hours(name);
        let days = if h.working { "working" } else { "all" };
        let clock = |m: i16| format!("{:02}:{:02}", m / 60, m % 60);
        let _ = writeln!(
            out,
            "[hours.{name}]\ndays = \"{days}\"\nfrom = \"{}\"\nuntil = \"{}\"",
            clock(h.from),
            clock(h.until)
        );
    }
    let quoted = |list: &[String]| list.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let words = |list: &[&str]| list.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    for rule in rules {
        let mut when = vec![format!("role = {:?}", rule.role)];
        for (key, value) in [("urgency", rule.urgency), ("block", rule.block)] {
            if !value.is_empty() {
                when.push(format!("{key} = {value:?}"));
            }
        }
        let (late, (n, unit)) = (if rule.skip { "skip" } else { "latest" }, rule.max_lateness);
        let _ = writeln!(
            out,
            "[[rule]]\nid = {:?}\nwas = [{}]\nwhen = {{ {} }}\nclock = {:?}\nhours = {:?}\nat = \"{:02}:{:02}\"\nbundle = {}\n\
             late = {late:?}\nmax_lateness = \"{n}{}\"\ndaily_cap = {}",
            rule.id,
            quoted(&rule.was),
            when.join(", "),
            rule.clock,
            rule.hours,
            rule.at.0,
            rule.at.1,
            rule.bundle,
            unit.word(),
            rule.cap,
        );
        if let Some(day) = rule.effective_from {
            let _ = writeln!(out, "effective_from = {day}");
        }
        for rung in &rule.rungs {
            let sign = if rung.n > 0 { "+" } else { "" };
            let add = if rung.only { "only" } else { "add" };
            let _ = writeln!(
                out,
                "[[rule.step]]\nid = {:?}\nwas = [{}]\ndue = \"{sign}{}{}\"\nvia = [{}]\nurging = {}",
                rung.id,
                quoted(&rung.was),
                rung.n,
                rung.unit.word(),
                words(&rung.via),
                rung.urging,
            );
            if !rung.add.is_empty() {
                let _ = writeln!(out, "{add} = [{}]", words(&rung.add));
            }
            if rung.notice {
                out += "file = [\"notice\"]\n";
            }
            if let Some((every, unit, times)) = rung.repeat {
                let _ = writeln!(out, "repeat = {{ every = \"{every}{}\", times = {times} }}", unit.word());
            }
        }
    }
    out
}

fn rung(line: u32, n: i32, unit: Unit, add: &[&'static str]) -> Rung {
    let side = if n < 0 { "truoc" } else { "sau" };
    Rung {
        line,
        id: format!("{side}-{}-{}-{line}", n.abs(), unit.word()),
        was: Vec::new(),
        n,
        unit,
        add: add.to_vec(),
        only: false,
        via: vec!["email"],
        urging: n > 0,
        notice: false,
        repeat: None,
        since: None,
    }
}

fn ladder(
    line: u32,
    id: &str,
    role: &'static str,
    urgency: &'static str,
    clock: &'static str,
    rungs: Vec<Rung>,
) -> Ladder {
    Ladder {
        line,
        id: id.to_owned(),
        was: Vec::new(),
        role,
        urgency,
        block: "",
        clock,
        hours: "normal",
        at: (8, 0),
        bundle: true,
        skip: false,
        max_lateness: (10, Unit::Wd),
        cap: 20,
        effective_from: None,
        rungs,
    }
}

/// Rules with everything that a rules file may have, differently every year.
pub fn rules(dice: &mut Dice) -> Vec<Ladder> {
    use Unit::{D, H, Wd};
    let both = vec!["email", "zalo"];
    let mut flash = ladder(
        1,
        "hoa-toc",
        "lead",
        "flash",
        "completion",
        vec![
            Rung { via: both.clone(), ..rung(1, -24, H, &["handler", "agency_contact"]) },
            rung(2, -4, H, &["agency_head"]),
            rung(3, dice.between(1, 9) as i32, H, &["monitor"]),
            Rung { notice: true, repeat: Some((24, H, 3)), ..rung(4, 32, H, &["superior_head", "inspection"]) },
        ],
    );
    flash.hours = "urgent";
    flash.at = (7, 0);
    let mut night = ladder(
        2,
        "thau-dem",
        "lead",
        "very_urgent",
        "completion",
        vec![
            rung(5, -1, D, &["handler"]),
            rung(6, 0, D, &["agency_contact"]),
            Rung { notice: dice.once_in(2), repeat: Some((1, D, 3)), ..rung(7, 1, D, &["agency_head"]) },
            Rung { only: true, ..rung(8, 4, Wd, &["monitor"]) },
        ],
    );
    night.hours = "thau-dem";
    night.at = *dice.pick(&[(0, 0), (23, 59), (12, 0)]);
    night.bundle = false;
    night.cap = 3;
    let mut soon = ladder(
        3,
        "khan",
        "lead",
        "urgent",
        "completion",
        vec![
            rung(9, -2, Wd, &["handler"]),
            Rung { via: both.clone(), ..rung(10, -1, *dice.pick(&[Wd, D]), &["agency_contact"]) },
            Rung { notice: true, ..rung(11, 1, Wd, &["agency_deputy"]) },
            Rung { only: true, repeat: Some((2, Wd, 3)), ..rung(12, 3, Wd, &["agency_head", "handler"]) },
        ],
    );
    soon.at = *dice.pick(&[(17, 30), (7, 30), (17, 29)]);
    soon.skip = true;
    soon.cap = 2;
    soon.bundle = dice.once_in(2);
    let mut usual = ladder(
        4,
        "thuong",
        "lead",
        "",
        "completion",
        vec![
            rung(13, -(dice.between(6, 12) as i32), Wd, &["handler"]),
            rung(14, -(dice.between(3, 5) as i32), Wd, &[]),
            Rung { via: vec!["zalo"], ..rung(15, -1, *dice.pick(&[Wd, D]), &[]) },
            rung(16, 0, *dice.pick(&[Wd, D]), &["agency_contact"]),
            rung(17, 1, Wd, &["agency_head"]),
            rung(18, dice.between(3, 6) as i32, Wd, &["monitor", "superior_head"]),
            Rung {
                notice: true,
                repeat: Some((dice.between(2, 5) as i32, Wd, dice.between(1, 8) as u32)),
                ..rung(19, 10, Wd, &["inspection", "assigner_office"])
            },
        ],
    );
    usual.at = *dice.pick(&[(8, 0), (8, 0), (7, 30), (16, 45)]);
    usual.cap = dice.between(1, 4) as u32;
    usual.bundle = !dice.once_in(3);
    usual.max_lateness = *dice.pick(&[(10, Wd), (3, Wd), (5, D), (2, D)]);
    if dice.once_in(4) {
        usual.effective_from = Some(jiff::civil::date(2026, 3, dice.between(1, 28) as i8));
    }
    let coordinator = ladder(
        5,
        "phoi-hop",
        "coordinator",
        "",
        "completion",
        vec![
            rung(20, -(dice.between(2, 6) as i32), Wd, &["agency_contact"]),
            rung(21, 1, Wd, &["agency_head"]),
            Rung { notice: true, ..rung(22, 8, Wd, &["monitor"]) },
        ],
    );
    let mut report = ladder(
        6,
        "bao-cao",
        "lead",
        "",
        "report",
        vec![
            rung(23, -3, Wd, &["handler"]),
            rung(24, 0, D, &["agency_contact"]),
            Rung { repeat: Some((5, D, 4)), ..rung(25, 2, D, &["agency_head"]) },
        ],
    );
    report.cap = 2;
    vec![flash, night, soon, usual, coordinator, report]
}

/// An edit that a clerk might make; what it was, for the log.
pub fn edit(rules: &mut Vec<Ladder>, dice: &mut Dice, now: Timestamp, fresh: &mut u32) -> String {
    *fresh += 1;
    let line = 100 + *fresh;
    let at = dice.between(0, rules.len() as i64 - 1) as usize;
    match dice.between(0, 6) {
        0 => {
            let rule = &mut rules[at];
            let last = rule.rungs.last().unwrap();
            let (n, unit) =
                (last.n.max(1) + 1 + last.repeat.map_or(0, |(every, _, times)| every * times as i32), last.unit);
            rule.rungs.push(Rung { since: Some(now), ..rung(line, n, unit, &["monitor"]) });
            format!("a step more in {}", rule.id)
        }
        1 => {
            let rule = &mut rules[at];
            let which = dice.between(0, rule.rungs.len() as i64 - 1) as usize;
            let old = std::mem::replace(&mut rule.rungs[which].id, format!("ten-moi-{line}"));
            rule.rungs[which].was.push(old.clone());
            format!("{old} of {} renamed", rule.id)
        }
        2 => {
            let rule = &mut rules[at];
            if rule.rungs.len() < 2 {
                return "nothing".to_owned();
            }
            let gone = rule.rungs.remove(dice.between(1, rule.rungs.len() as i64 - 1) as usize);
            format!("{} of {} gone", gone.id, rule.id)
        }
        3 => {
            // The first is moved earlier: the order of the steps stays.
            let rule = &mut rules[at];
            let first = &mut rule.rungs[0];
            first.n -= 1;
            first.since = Some(now);
            format!("{} of {} moved", first.id, rule.id)
        }
        4 => {
            let mut own = rules.iter().find(|rule| rule.role == "lead" && rule.clock == "completion").unwrap().clone();
            own.line = line;
            own.id = format!("rieng-{line}");
            own.was.clear();
            own.urgency = "normal";
            own.block = *dice.pick(&["state", "enterprise"]);
            own.rungs = vec![
                Rung { since: Some(now), ..rung(line * 10, -2, Unit::Wd, &["handler"]) },
                Rung { since: Some(now), ..rung(line * 10 + 1, 2, Unit::Wd, &["agency_head"]) },
                Rung { since: Some(now), notice: true, ..rung(line * 10 + 2, 7, Unit::Wd, &["monitor"]) },
            ];
            own.hours = "normal";
            own.at = (8, 0);
            own.effective_from = None;
            // One that takes all of another's tasks leaves that one without any, which `check` refuses.
            let same = |rule: &Ladder| {
                (rule.role, rule.clock, rule.urgency, rule.block) == (own.role, own.clock, own.urgency, own.block)
            };
            if rules.iter().any(same) {
                return "nothing".to_owned();
            }
            rules.insert(0, own);
            "a rule before the others".to_owned()
        }
        5 => {
            let rule = &mut rules[at];
            let old = std::mem::replace(&mut rule.id, format!("quy-tac-{line}"));
            rule.was.push(old.clone());
            format!("{old} renamed")
        }
        _ => {
            let rule = &mut rules[at];
            rule.cap = dice.between(1, 3) as u32;
            rule.bundle = !rule.bundle;
            format!("another cap in {}", rule.id)
        }
    }
}
