//! What an edit does to the real tasks, in the clerk's words: the same lines in `check --against-store`, in the journal
//! at a reload, and in `status`.

use std::fmt::Display;

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    config::{
        calendar_file::parse_calendar,
        calendar_words,
        load::OfficeFiles,
        problem::{Faults, Place, Problems, Severity, Source, nearest, quoted},
        rules_file::{RulesContext, parse_rules},
    },
    engine::policy::Policy,
    message::words,
    planning::{
        calendar::{self, WorkCalendar},
        consequences::{Consequences, Handled, Moved, Side, StepChange, Tally, asked},
        directory::Directory,
        plan::StepsKnown,
        rules::Rules,
        task::{Clock, Role, TaskId},
    },
    store::{
        Result,
        ledger::{DirectoryRows, PlanningStore, ReadingStore},
        policy::AcceptedPolicy,
    },
};

/// Tasks read at a time.
const BATCH: u32 = 500;

/// What an edit is compared with.
pub struct InForce {
    pub accepted_at: Timestamp,
    pub digest: String,
    pub rules: Rules,
    pub calendar: WorkCalendar,
}

impl InForce {
    /// Reads accepted texts again. `Err`: this program no longer understands them, which an upgrade may bring about.
    pub fn read(accepted: &AcceptedPolicy, zone: &TimeZone) -> std::result::Result<Self, Problems> {
        let rules = parse_rules(&Source::new("rules.toml (đang áp dụng)", &*accepted.rules), &RulesContext::unknown())?;
        let calendar = Source::new("calendar.toml (đang áp dụng)", &*accepted.calendar);
        let calendar = parse_calendar(&calendar, zone.clone())?;
        Ok(Self {
            accepted_at: accepted.accepted_at,
            digest: accepted.digest.clone(),
            rules: rules.0.rules,
            calendar: calendar.0.calendar,
        })
    }

    /// What a running daemon plans under.
    pub fn of(policy: &Policy, accepted_at: Timestamp, digest: String) -> Self {
        Self { accepted_at, digest, rules: policy.rules.clone(), calendar: policy.calendar.clone() }
    }

    fn side(&self) -> Side<'_> {
        Side { rules: &self.rules, calendar: &self.calendar }
    }
}

/// Weighs an edit over every open task, a batch at a time. `between` is called between batches.
pub async fn weigh(
    store: &(impl PlanningStore + ReadingStore + ?Sized),
    office: &OfficeFiles,
    old: Option<&InForce>,
    now: Timestamp,
    between: &(dyn Fn() + Send + Sync),
) -> Result<Consequences> {
    let mut consequences = Consequences::default();
    let rows = store.directory().await?;
    consequences
        .learn_agencies(rows.agencies.iter().map(|agency| (&*agency.code, agency.name.as_str(), agency.kind.as_str())));
    let directory = (!rows.agencies.is_empty()).then(|| directory_of(rows, office));
    let new = Side { rules: &office.rules.rules, calendar: &office.calendar.calendar };
    let mut after = TaskId(0);
    loop {
        let batch = store.open_tasks(after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.task.id;
        for record in &batch {
            let handled = Handled { handler: record.handler, monitor: record.monitor };
            let directory = directory.as_ref().map(|directory| (directory, handled));
            consequences.weigh(now, old.map(InForce::side), new, directory, &record.task, &record.ledger);
        }
        between();
    }
    Ok(consequences)
}

fn directory_of(rows: DirectoryRows, office: &OfficeFiles) -> Directory {
    let settings = &office.settings;
    let focal = settings.blocks.iter().map(|(block, b)| (*block, b.focal_agency.clone())).collect();
    let (inspection, domains) = (&settings.inspection_agency, &settings.email.allowed_domains);
    Directory::new(rows.agencies, rows.names, rows.people, rows.posts, &focal, inspection, domains)
}

/// How many, and which the first few are: `214 nhiệm vụ (NV26-000001, NV26-000002, …)`.
fn many(tally: &Tally) -> String {
    let more = if tally.tasks > tally.codes.len() as u64 { ", …" } else { "" };
    format!("{} nhiệm vụ ({}{more})", tally.tasks, tally.codes.join(", "))
}

/// What is said, and where.
pub struct Teller<'a> {
    office: &'a OfficeFiles,
    known: &'a StepsKnown,
    faults: Faults,
}

impl<'a> Teller<'a> {
    /// `known`: since when each step is accepted.
    pub fn new(office: &'a OfficeFiles, known: &'a StepsKnown) -> Self {
        Self { office, known, faults: Faults::default() }
    }

    fn warn(&self, place: &Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.faults.warning(place, code, message, help);
    }

    fn rule(&self, id: &str) -> Place {
        let rules = &self.office.rules;
        let top = || rules.places.values().next().map(|place| Place::start(&place.source));
        rules.places.get(id).cloned().or_else(top).unwrap_or_else(|| self.office.calendar.covers_place.clone())
    }

    fn step(&self, rule: &str, step: &str, keys: &[&str]) -> Place {
        let origin =
            |key: &&str| self.office.rules.origins.get(&(rule.to_owned(), step.to_owned(), (*key).to_owned())).cloned();
        keys.iter().find_map(origin).unwrap_or_else(|| self.rule(rule))
    }

    fn at(&self, at: Timestamp) -> String {
        self.office.calendar.calendar.local(at).strftime("%H:%M ngày %d/%m/%Y").to_string()
    }

    /// Everything an edit does and everything real tasks show of the files, as warnings; errors only where tasks would
    /// silently get nothing.
    pub fn tell(self, found: &Consequences, old: Option<&InForce>) -> Problems {
        if let Some(old) = old {
            self.edits(found, old);
        }
        self.tasks(found);
        self.values(found);
        self.faults.finish()
    }

    fn edits(&self, found: &Consequences, old: &InForce) {
        for (id, tally) in &found.rule_gone {
            let message = format!("quy tắc {} biến mất, {} đang theo quy tắc này", quoted(id), many(tally));
            let help = format!(
                "nếu chỉ đổi tên, ghi was = [\"{id}\"] vào quy tắc mới; nếu bỏ thật, các nhiệm vụ này sang quy tắc khác và chỉ nhận những bước chưa tới"
            );
            self.warn(&self.rule(""), "rule-vanishes", message, help);
        }
        for rule in &old.rules.rules {
            let here =
                |id: &str| self.office.rules.rules.rules.iter().any(|r| r.id == id || r.was.iter().any(|w| w == id));
            if !here(&rule.id) && !found.rule_gone.contains_key(&rule.id) && !found.lost.contains_key(&rule.id) {
                let message =
                    format!("quy tắc {} biến mất; không nhiệm vụ đang mở nào theo quy tắc này", quoted(&rule.id));
                let help = format!("nếu chỉ đổi tên, ghi was = [\"{}\"] vào quy tắc mới", rule.id);
                self.warn(&self.rule(""), "rule-vanishes", message, help);
            }
        }
        for (id, tally) in &found.lost {
            let message = format!("{} trước theo quy tắc {}, nay không quy tắc nào nhận", many(tally), quoted(id));
            self.warn(&self.rule(id), "rule-loses", message, "sửa `when`, hoặc thêm một quy tắc cho các nhiệm vụ này");
        }
        for ((from, to), tally) in &found.taken_over {
            let message = format!("{} chuyển từ quy tắc {} sang {}", many(tally), quoted(from), quoted(to));
            let help = "từ nay nhận các bước của quy tắc mới; bước nào đã qua thì không gửi lại";
            self.warn(&self.rule(to), "rule-takes-over", message, help);
        }
        for ((rule, step), change) in &found.steps {
            self.step_change(old, rule, step, change);
        }
        self.calendar(found, old);
    }

    fn step_change(&self, old: &InForce, rule: &str, step: &str, change: &StepChange) {
        let of = format!("bước {} của quy tắc {}", quoted(step), quoted(rule));
        if change.gone.tasks > 0 {
            let message = format!("{of} biến mất, {} đang chờ bước này", many(&change.gone));
            let renamed = self.renamed(old, rule, step);
            let place = match &renamed {
                Some(new) => self.step(rule, new, &["id"]),
                None => self.rule(rule),
            };
            let into = renamed.map_or("bước mới".to_owned(), |new| format!("bước {}", quoted(&new)));
            let help = format!(
                "nếu chỉ đổi tên, ghi was = [\"{step}\"] vào {into}; nếu bỏ thật, các nhiệm vụ này không nhận bước ấy nữa"
            );
            self.warn(&place, "step-vanishes", message, help);
        }
        if change.fewer.tasks > 0 {
            let message = format!("{of} nhắc lại ít hơn trước: {}", many(&change.fewer));
            self.warn(&self.step(rule, step, &["repeat", "id"]), "repeats-fewer", message, "");
        }
        if let Some(moved) = &change.moved {
            let mut message = format!("{of} dời: {}", self.moved(moved, |at| self.at(at)));
            if change.never.tasks > 0 {
                message.push_str(&format!("; {} có thời điểm mới đã qua nên không nhận bước này", many(&change.never)));
            }
            self.warn(&self.step(rule, step, &["due", "at", "id"]), "step-moves", message, "");
        }
        if change.new.tasks > 0 {
            let message = format!("{of} là bước mới: {} sẽ nhận", many(&change.new));
            let help = "thời điểm đã qua thì không gửi";
            self.warn(&self.step(rule, step, &["id"]), "step-new", message, help);
        }
        if change.readdressed.tasks > 0 {
            let list = |label: &str, ways: &std::collections::BTreeSet<String>| match ways.is_empty() {
                true => String::new(),
                false => format!("; {label} {}", ways.iter().map(|way| way_told(way)).collect::<Vec<_>>().join(", ")),
            };
            let message = format!(
                "{of} đổi nơi nhận: {}{}{}",
                many(&change.readdressed),
                list("thêm", &change.gained),
                list("bớt", &change.lost)
            );
            self.warn(&self.step(rule, step, &["to", "via", "id"]), "step-readdressed", message, "");
        }
    }

    /// The step of the edit that has the moments of one that is gone, and was not there before: likely a new name.
    fn renamed(&self, old: &InForce, rule: &str, step: &str) -> Option<String> {
        let after = self.office.rules.rules.get(rule)?;
        let before = old.rules.rules.iter().find(|r| r.id == after.id || after.was.contains(&r.id))?;
        let gone = before.steps.iter().find(|s| s.id == step)?;
        let fresh = after.steps.iter().filter(|s| !before.steps.iter().any(|b| b.id == s.id));
        fresh.clone().find(|s| s.due == gone.due && s.at == gone.at).map(|s| s.id.clone())
    }

    fn moved<T: Copy + Ord, S: Display>(&self, moved: &Moved<T>, show: impl Fn(T) -> S) -> String {
        let (from, to) = moved.example;
        let mut ways = Vec::new();
        if moved.earlier > 0 {
            ways.push(format!("{} lượt sớm hơn", moved.earlier));
        }
        if moved.later > 0 {
            ways.push(format!("{} lượt muộn hơn", moved.later));
        }
        format!("{}, {}; ví dụ từ {} sang {}", many(&moved.tasks), ways.join(", "), show(from), show(to))
    }

    fn calendar(&self, found: &Consequences, old: &InForce) {
        let place = &self.office.calendar.covers_place;
        let new = &self.office.calendar.calendar;
        let changes = calendar::changes::changes(&old.calendar, new);
        if !changes.is_empty() {
            let told: Vec<String> = changes.iter().take(12).map(calendar_words::change).collect();
            let more = changes.len() - told.len();
            let more = if more > 0 { format!("; và {more} thay đổi khác") } else { String::new() };
            self.warn(place, "calendar-changed", format!("lịch đổi: {}{more}", told.join("; ")), "");
        }
        if let Some(moved) = &found.by_calendar {
            let mut message = format!("các bước dời theo lịch: {}", self.moved(moved, |at| self.at(at)));
            let at_once: u64 = found.steps.values().map(|change| change.at_once.tasks).sum();
            if at_once > 0 {
                message.push_str(&format!("; {at_once} lượt nay đã đến, gửi ngay trong giờ được gửi"));
            }
            self.warn(place, "calendar-moves-steps", message, "");
        }
        if let Some(moved) = &found.deadlines {
            let told = self.moved(moved, |day| day.strftime("%d/%m/%Y").to_string());
            self.warn(place, "calendar-moves-deadlines", format!("hạn tính đến dời theo lịch: {told}"), "");
        }
    }

    fn tasks(&self, found: &Consequences) {
        for ((clock, role), tally) in &found.unmatched {
            let (clock_word, role_word) = (
                if *clock == Clock::Completion { "thời hạn hoàn thành" } else { "thời hạn báo cáo" },
                if *role == Role::Lead { "cơ quan chủ trì" } else { "cơ quan phối hợp" },
            );
            let message = format!("không quy tắc {clock_word} nào nhận {role_word} của {}", many(tally));
            let help = format!("thêm một quy tắc chung ở cuối: when = {{ role = \"{role}\" }}, clock = \"{clock}\"");
            let last = self.office.rules.rules.rules.last().map_or("", |rule| rule.id.as_str());
            if (*clock, *role) == (Clock::Completion, Role::Lead) {
                self.faults.error(&self.rule(last), "tasks-without-rule", message, help);
            } else {
                self.warn(&self.rule(last), "tasks-without-rule", message, help);
            }
        }
        for (year, tally) in &found.uncovered {
            let message = format!("lịch chưa có năm {year}, mà hạn hoặc bước nhắc của {} rơi vào năm đó", many(tally));
            let help = format!("ghi ngày nghỉ, ngày làm bù của {year} rồi thêm {year} vào `covers`");
            self.faults.error(&self.office.calendar.covers_place, "tasks-in-uncovered-year", message, help);
        }
        for ((rule, audience), (stand_in, nobody)) in &found.unfilled {
            let place = self.office.rules.audiences.iter().find(|(named, _)| named == audience);
            let place = place.map_or_else(|| self.rule(rule), |(_, place)| place.clone());
            let word = words::audience(&audience.to_string(), Role::Lead);
            let help = "nhập người giữ vai trò này, có địa chỉ thư, vào danh bạ (`dondoc import directory`)";
            if nobody.tasks > 0 {
                let message = format!(
                    "{word} (`{audience}`): không gửi được cho ai, {} theo quy tắc {}",
                    many(nobody),
                    quoted(rule)
                );
                self.warn(&place, "audience-unreachable", message, help);
            }
            if stand_in.tasks > 0 {
                let message = format!(
                    "{word} (`{audience}`) chưa có địa chỉ, thư về văn thư hoặc người theo dõi: {} theo quy tắc {}",
                    many(stand_in),
                    quoted(rule)
                );
                self.warn(&place, "audience-stood-in", message, help);
            }
        }
    }

    fn values(&self, found: &Consequences) {
        for rule in &self.office.rules.rules.rules {
            let place = self.rule(&rule.id);
            let mut slips = false;
            for (key, texts) in asked(&rule.when) {
                for text in texts.iter().filter(|text| found.knows(key, text) == Some(false)) {
                    slips = true;
                    let real = found.vocabulary.get(key);
                    let near = real
                        .and_then(|real| near(text, real.keys().map(String::as_str)).and_then(|near| real.get(near)));
                    let message = format!(
                        "quy tắc {}: {key} = {} không có trong nhiệm vụ nào, trong danh bạ cũng không",
                        quoted(&rule.id),
                        quoted(text)
                    );
                    let help = match near {
                        Some(near) => format!("trong dữ liệu ghi \"{near}\""),
                        None => {
                            let some: Vec<&str> =
                                real.into_iter().flatten().take(6).map(|(_, typed)| typed.as_str()).collect();
                            format!("trong dữ liệu có: {}", some.join(", "))
                        }
                    };
                    let place = self.step(&rule.id, "", &["when"]);
                    self.warn(&place, "value-not-in-data", message, help);
                }
            }
            if !slips && found.tasks > 0 && !found.by_rule.contains_key(&rule.id) {
                let since = self.known.iter().filter(|((id, _), _)| *id == rule.id).map(|(_, since)| *since).min();
                let since = match since {
                    Some(since) if since == Timestamp::UNIX_EPOCH => " (có từ lần nạp đầu tiên)".to_owned(),
                    Some(since) => format!(" (có từ {})", self.at(since)),
                    None => " (quy tắc mới)".to_owned(),
                };
                let message = format!("không nhiệm vụ đang mở nào theo quy tắc {}{since}", quoted(&rule.id));
                self.warn(
                    &place,
                    "rule-without-tasks",
                    message,
                    "xem lại `when`; nếu đúng là chưa có việc loại này thì để nguyên",
                );
            }
        }
    }
}

/// The word of the data that was meant: alike, or one that begins with what was written, or the other way round.
fn near<'a>(typed: &str, real: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let within = real.clone().filter(|word| word.starts_with(typed) || typed.starts_with(word));
    within.min_by_key(|word| word.len().abs_diff(typed.len())).or_else(|| nearest(typed, real))
}

/// `agency_head/zalo` in words.
fn way_told(way: &str) -> String {
    match way.rsplit_once('/') {
        Some((audience, channel)) => format!("{} ({})", words::audience(audience, Role::Lead), words::form(channel)),
        None => way.to_owned(),
    }
}

/// What belongs into the journal at a reload: what the edit changed, not what was so before.
pub fn changes(problems: &Problems) -> Vec<String> {
    const CHANGES: [&str; 11] = [
        "rule-vanishes",
        "rule-loses",
        "rule-takes-over",
        "step-vanishes",
        "repeats-fewer",
        "step-moves",
        "step-new",
        "step-readdressed",
        "calendar-changed",
        "calendar-moves-steps",
        "calendar-moves-deadlines",
    ];
    problems
        .iter()
        .filter(|p| p.severity == Severity::Warning && CHANGES.contains(&p.code))
        .map(|p| p.message.clone())
        .collect()
}
