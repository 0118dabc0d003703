//! Reads `rules.toml` into validated [`Rules`] and the office's own tests.
//!
//! Every default is filled in and audiences are added up here, so that planning sees finished steps. What concerns
//! several rules or steps together is judged in [`super::cover`].

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::civil::Time;

use super::{
    cover,
    problem::{Faults, Loaded, Place, Problems, Source, meant_name, quoted},
    raw::{self, Table},
    rule_sense,
    rule_test::{self, RuleTest},
    shipped::read_source,
    step_file::{Reached, STEP_KEYS, read_step},
    values::Sign,
};
use crate::planning::{
    calendar::Hours,
    fold::fold,
    rules::{Audience, ChannelKind, Late, Offset, Rule, Rules, Step, Unit, When},
    task::{Block, Clock, Role, Secrecy, Urgency},
};

/// What the settings say that rules depend on.
#[derive(Debug, Clone, Default)]
pub struct RulesContext {
    /// Domains to which `email:…` may go, with their subdomains; empty where the settings could not be read: not judged.
    pub allowed_domains: Vec<String>,
    /// Whether Zalo is switched on.
    pub zalo: bool,
    /// Whether the settings name an agency for `inspection`.
    pub inspection: bool,
}

impl RulesContext {
    /// Nothing is known of the settings, so nothing that depends on them is a fault.
    pub fn unknown() -> Self {
        Self { allowed_domains: Vec::new(), zalo: true, inspection: true }
    }

    /// From the office's settings.
    pub fn of(settings: &super::settings::Settings) -> Self {
        Self {
            allowed_domains: settings.email.allowed_domains.clone(),
            zalo: !matches!(settings.zalo, super::settings::Zalo::Off),
            inspection: !settings.inspection_agency.is_empty(),
        }
    }
}

/// Rules as an office wrote them, with what later checks need.
#[derive(Debug, Clone)]
pub struct LoadedRules {
    pub rules: Rules,
    pub tests: Vec<RuleTest>,
    /// Where each audience is first named.
    pub audiences: Vec<(Audience, Place)>,
    /// Where each rule begins, by id.
    pub places: BTreeMap<String, Place>,
    /// Where a value comes from: (rule, step or empty, key); values that stand nowhere are missing.
    pub origins: BTreeMap<(String, String, String), Place>,
    /// Where each key of `[defaults]` stands.
    pub defaults: BTreeMap<String, Place>,
    /// Where each section of `[hours.…]` begins, by its name.
    pub hours_places: BTreeMap<String, Place>,
}

/// A rule while the file is read, with its places.
pub(super) struct Draft {
    pub rule: Rule,
    pub place: Place,
    /// Conditions and clock were readable.
    pub sound: bool,
    /// Every step was readable.
    pub steps_sound: bool,
    /// Per step, in order.
    pub steps: Vec<StepPlaces>,
    /// Its hours stand in the file.
    pub hours_known: bool,
    /// (step or empty, key, where it stands)
    pub origins: Vec<(String, String, Place)>,
}

pub(super) struct StepPlaces {
    pub id: Place,
    pub due: Place,
    pub at: Place,
    pub via: Place,
    pub repeat: Place,
}

/// Reads a file of rules.
pub fn load_rules(path: &Path, context: &RulesContext) -> Loaded<LoadedRules> {
    parse_rules(&read_source(path, "rules.toml")?, context)
}

/// Reads rules from a text.
pub fn parse_rules(source: &Arc<Source>, context: &RulesContext) -> Loaded<LoadedRules> {
    let faults = Faults::default();
    let node = raw::parse(source, &faults);
    let value = read(&Table::root(&node, &faults), context);
    faults.conclude(Some(value))
}

/// What identifies a step's moments: due, hour and repetition. A step whose definition changed fires only for instants
/// after the change was accepted (`step_known`).
pub fn step_definition(step: &Step) -> String {
    let mut text = format!("due={}", step.due);
    if step.due.unit != Unit::Hours {
        text.push_str(&format!(" at={:02}:{:02}", step.at.hour(), step.at.minute()));
    }
    if let Some(repeat) = &step.repeat {
        text.push_str(&format!(" repeat={}{}x{}", repeat.every.n, repeat.every.unit, repeat.times));
    }
    text
}

/// Audiences that nobody in the directory can fill, each where it is first named.
pub fn check_audiences(loaded: &LoadedRules, filled: &dyn Fn(&Audience) -> bool) -> Problems {
    let faults = Faults::default();
    for (audience, place) in loaded.audiences.iter().filter(|(audience, _)| !filled(audience)) {
        let message = format!("không ai trong danh bạ nhận được `{audience}`");
        let help = "nhập người giữ vai trò này vào danh bạ (`dondoc import directory`), hoặc bỏ người nhận này";
        faults.error(place, "audience-empty", message, help);
    }
    faults.finish()
}

pub(super) fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|value| word(*value)).collect()
}

/// What `[defaults]` and a rule may both say.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub at: Time,
    pub via: Vec<ChannelKind>,
    bundle: bool,
    late: Late,
    max_lateness: Offset,
    daily_cap: u32,
}

/// The sections of the file.
pub(super) const ROOT_KEYS: [&str; 4] = ["defaults", "hours", "rule", "test"];
/// The keys that only a rule has.
pub(super) const RULE_KEYS: [&str; 8] = ["id", "when", "clock", "basis", "hours", "effective_from", "was", "step"];
/// The keys of `[hours.…]`.
pub(super) const HOURS_KEYS: [&str; 3] = ["days", "from", "until"];
/// The keys that `[defaults]` and a rule share.
pub(super) const COMMON_KEYS: [&str; 6] = ["at", "via", "bundle", "late", "max_lateness", "daily_cap"];

impl Common {
    /// What holds where the file says nothing.
    fn shipped() -> Self {
        Self {
            at: Time::constant(8, 0, 0, 0),
            via: vec![ChannelKind::Email],
            bundle: true,
            late: Late::Latest,
            max_lateness: Offset { n: 10, unit: Unit::WorkingDays },
            daily_cap: 20,
        }
    }

    fn overlay(&self, table: &Table<'_>) -> Self {
        Self {
            at: table.time("at").map_or(self.at, |(at, _)| at),
            via: via(table).unwrap_or_else(|| self.via.clone()),
            bundle: table.flag("bundle").unwrap_or(self.bundle),
            late: table
                .word("late", &words(Late::ALL, Late::as_str), Late::from_word)
                .map_or(self.late, |(late, _)| late),
            max_lateness: table.offset("max_lateness", Sign::Positive).map_or(self.max_lateness, |(offset, _)| offset),
            daily_cap: daily_cap(table).unwrap_or(self.daily_cap),
        }
    }
}

/// Nought is what one writes who wants no limit, or no messages: neither is guessed.
fn daily_cap(table: &Table<'_>) -> Option<u32> {
    if let Some(raw::Data::Int(Some(0))) = table.find("daily_cap").map(|node| &node.data) {
        let help =
            "không muốn giới hạn: viết một số lớn, như daily_cap = 1000\nkhông muốn gửi: bỏ quy tắc hay bước đó đi";
        let place = table.value_place("daily_cap");
        table.error(&place, "out-of-range", "`daily_cap` bằng 0: không tin nào gửi được", help);
        return None;
    }
    table.int("daily_cap", 1..=100_000).map(|cap| cap as u32)
}

pub(super) fn via(table: &Table<'_>) -> Option<Vec<ChannelKind>> {
    let before = table.faults.errors();
    let via = table.words("via", &words(ChannelKind::ALL, ChannelKind::as_str), ChannelKind::from_word)?;
    if via.is_empty() && table.faults.errors() == before {
        let place = table.value_place("via");
        table.error(&place, "empty-value", "`via` không có kênh nào", "viết như: via = [\"email\"]");
    }
    Some(via)
}

fn read(root: &Table<'_>, context: &RulesContext) -> LoadedRules {
    // In a file whose headers cannot be read every line below one would stand at the top.
    if !root.faults.is_broken() {
        root.known_or(&ROOT_KEYS, |key| match key {
            "step" => Some("bước nằm trong quy tắc, viết: [[rule.step]]".to_owned()),
            key if COMMON_KEYS.contains(&key) => Some("dòng này thuộc mục dùng chung: đặt dưới [defaults]".to_owned()),
            key if RULE_KEYS.contains(&key) => Some("dòng này thuộc một quy tắc: đặt dưới [[rule]]".to_owned()),
            key if STEP_KEYS.contains(&key) => Some("dòng này thuộc một bước: đặt dưới [[rule.step]]".to_owned()),
            _ => None,
        });
    }
    let mut common = Common::shipped();
    let mut shared = Vec::new();
    if let Some(table) = root.table("defaults", "[defaults]") {
        table.known(&COMMON_KEYS);
        common = common.overlay(&table);
        shared = table.keys().map(|(key, place)| (key.to_owned(), place)).collect();
    }
    let hours = read_hours(root);
    let mut audiences = Vec::new();
    let mut drafts: Vec<Draft> = Vec::new();
    for table in root.tables("rule", "[[rule]]") {
        drafts.push(read_rule(&table, &common, &shared, &hours, context, &mut audiences));
    }
    if drafts.is_empty() && !root.faults.any_error() {
        let place = root.place.clone();
        root.error(&place, "no-rule", "chưa có quy tắc nào", "thêm ít nhất một [[rule]]; xem tệp mẫu rules.toml");
    }
    if !root.faults.is_broken() {
        check_ids(root.faults, &drafts);
    }
    cover::check(root.faults, &drafts, &hours.known, context);
    if !root.faults.is_broken() {
        rule_sense::check(root.faults, &drafts, &hours);
    }
    let tests: Vec<RuleTest> =
        root.tables("test", "[[test]]").iter().filter_map(|table| rule_test::read(table, &drafts)).collect();
    rule_test::check_names(root.faults, &tests);
    LoadedRules {
        defaults: shared.into_iter().collect(),
        hours_places: hours.places,
        origins: drafts
            .iter()
            .flat_map(|draft| {
                let id = &draft.rule.id;
                draft
                    .origins
                    .iter()
                    .map(move |(step, key, place)| ((id.clone(), step.clone(), key.clone()), place.clone()))
            })
            .collect(),
        places: drafts.iter().map(|draft| (draft.rule.id.clone(), draft.place.clone())).collect(),
        rules: Rules { rules: drafts.into_iter().map(|draft| draft.rule).collect(), hours: hours.known },
        tests,
        audiences,
    }
}

pub(super) struct HoursTable {
    pub known: BTreeMap<String, Hours>,
    /// Where each section begins.
    pub places: BTreeMap<String, Place>,
    /// Names that stand in the file, readable or not.
    named: Vec<String>,
}

fn read_hours(root: &Table<'_>) -> HoursTable {
    let mut hours = HoursTable { known: BTreeMap::new(), places: BTreeMap::new(), named: Vec::new() };
    let Some(all) = root.table("hours", "[hours]") else { return hours };
    for (name, place) in all.keys() {
        hours.named.push(name.to_owned());
        hours.places.insert(name.to_owned(), place);
        let Some(table) = all.table(name, &format!("[hours.{name}]")) else { continue };
        table.known(&HOURS_KEYS);
        table.missing("days", "days = \"working\" (ngày làm việc) hoặc \"all\" (mọi ngày)");
        table.missing("from", "from = \"07:30\"");
        table.missing("until", "until = \"17:30\"");
        let days = table.word("days", &["working", "all"], |word| match word {
            "working" => Some(true),
            "all" => Some(false),
            _ => None,
        });
        let (from, until) = (table.minute("from", false), table.minute("until", true));
        let (Some((working_days_only, _)), Some((from, _)), Some((until, place))) = (days, from, until) else {
            continue;
        };
        if from > until {
            let help = "giờ gửi nằm trong một ngày: `from` trước `until`";
            table.error(&place, "hours-reversed", "`until` sớm hơn `from`: không giờ nào được gửi", help);
            continue;
        }
        hours.known.insert(name.to_owned(), Hours { working_days_only, from, until });
    }
    hours
}

fn read_rule(
    table: &Table<'_>,
    common: &Common,
    shared: &[(String, Place)],
    hours: &HoursTable,
    context: &RulesContext,
    audiences: &mut Vec<(Audience, Place)>,
) -> Draft {
    table.known_or(&[&RULE_KEYS[..], &COMMON_KEYS].concat(), |key| match key {
        key if STEP_KEYS.contains(&key) => {
            Some("dòng này thuộc một bước: thêm [[rule.step]] ở trên nó, hoặc chuyển xuống bước của nó".to_owned())
        }
        key if WHEN_KEYS.contains(&key) => Some(format!("điều kiện nằm trong `when`: when = {{ {key} = \"…\" }}")),
        _ => None,
    });
    table.missing("id", "id = \"ubnd-chu-tri\"");
    table.missing("clock", "clock = \"completion\" (thời hạn hoàn thành) hoặc \"report\" (thời hạn báo cáo)");
    let id = table.id("id", "id = \"ubnd-chu-tri\"").map(|(id, _)| id).unwrap_or_default();
    let before = table.faults.errors();
    let when_table = table.table("when", "when = { role = \"lead\", block = \"state\" }");
    let when = when_table.as_ref().map(read_when).unwrap_or_default();
    let clock = table.word("clock", &words(Clock::ALL, Clock::as_str), Clock::from_word);
    let sound = table.faults.errors() == before && clock.is_some();
    let common = common.overlay(table);
    let (hours_name, hours_value) = rule_hours(table, hours);
    let mut steps = Vec::new();
    let mut places = Vec::new();
    let mut origins: Vec<(String, String, Place)> = shared
        .iter()
        .filter(|(key, _)| !table.has(key))
        .map(|(key, place)| (key.as_str(), place.clone()))
        .chain(table.keys())
        .map(|(key, place)| (String::new(), key.to_owned(), place))
        .collect();
    let conditions = when_table.iter().flat_map(Table::keys);
    origins.extend(conditions.map(|(key, place)| (String::new(), format!("when.{key}"), place)));
    let mut reached = table.place.clone();
    let before = table.faults.errors();
    let mut current = Reached::default();
    for step_table in table.tables("step", "[[rule.step]]") {
        if let Some((step, at)) = read_step(&step_table, &common, context, &mut current, audiences) {
            let own = step_table.keys().map(|(key, place)| (step.id.clone(), key.to_owned(), place));
            origins.extend(own);
            if let Some(key) = ["only", "add"].into_iter().find(|key| step_table.has(key)) {
                reached = step_table.place_of(key);
            }
            origins.push((step.id.clone(), "to".to_owned(), reached.clone()));
            steps.push(step);
            places.push(at);
        }
    }
    let steps_sound = table.faults.errors() == before;
    if steps.is_empty() && steps_sound && !table.faults.is_broken() {
        let help = "thêm ít nhất một bước:\n[[rule.step]] với id, due, add";
        table.error(&table.place, "no-step", format!("quy tắc {} không có bước nào", quoted(&id)), help);
    }
    let hours_known = hours.known.contains_key(&hours_name);
    Draft {
        rule: Rule {
            when,
            clock: clock.map_or(Clock::Completion, |(clock, _)| clock),
            basis: table.filled("basis", "basis = \"Quyết định …\"").map(|(basis, _)| basis),
            daily_cap: (hours_name != "urgent").then_some(common.daily_cap),
            hours_name,
            hours: hours_value,
            at: common.at,
            bundle: common.bundle,
            late: common.late,
            max_lateness: common.max_lateness,
            effective_from: table.moment("effective_from", false).map(|((date, _), _)| date),
            was: read_was(table),
            steps,
            id,
        },
        place: table.place_of("id"),
        hours_known,
        sound,
        steps_sound,
        steps: places,
        origins,
    }
}

fn rule_hours(table: &Table<'_>, hours: &HoursTable) -> (String, Hours) {
    let always = Hours { working_days_only: false, from: 0, until: 1440 };
    let (name, place) = match table.filled("hours", "hours = \"normal\"") {
        Some(named) => named,
        None => ("normal".to_owned(), table.place_of("id")),
    };
    if let Some(found) = hours.known.get(&name) {
        return (name, *found);
    }
    if !hours.named.contains(&name) && !table.faults.is_broken() {
        let names: Vec<&str> = hours.named.iter().map(String::as_str).collect();
        let help = if names.is_empty() {
            format!("thêm mục [hours.{name}] với days, from, until")
        } else {
            meant_name(&name, &names)
        };
        table.error(&place, "unknown-hours", format!("không có mục giờ gửi [hours.{name}]"), help);
    }
    (name, always)
}

pub(super) fn read_was(table: &Table<'_>) -> Vec<String> {
    let texts = table.texts("was", "was = [\"tên-cũ\"]").unwrap_or_default();
    texts.into_iter().filter(|(text, place)| table.check_id(text, place)).map(|(text, _)| text).collect()
}

/// The keys of `when`, in the order in which they are offered.
pub(super) const WHEN_KEYS: [&str; 10] =
    ["role", "block", "assigner", "document_kind", "urgency", "secrecy", "agency", "agency_kind", "field", "priority"];

fn read_when(table: &Table<'_>) -> When {
    table.known(&WHEN_KEYS);
    let texts = |key: &str| -> Vec<String> {
        let example = format!("{key} = \"…\" hoặc {key} = [\"…\", \"…\"]");
        let texts = table.texts(key, &example).unwrap_or_default();
        for (_, place) in texts.iter().filter(|(text, _)| fold(text).is_empty()) {
            table.error(place, "empty-value", format!("`{key}` để trống"), format!("bỏ đi, hoặc viết như: {example}"));
        }
        texts.into_iter().map(|(text, _)| fold(&text)).collect()
    };
    let when = When {
        role: table.words("role", &words(Role::ALL, Role::as_str), Role::from_word).unwrap_or_default(),
        block: table.words("block", &words(Block::ALL, Block::as_str), Block::from_word).unwrap_or_default(),
        assigner: texts("assigner"),
        document_kind: texts("document_kind"),
        urgency: table.words("urgency", &words(Urgency::ALL, Urgency::as_str), Urgency::from_word).unwrap_or_default(),
        secrecy: table.words("secrecy", &words(Secrecy::ALL, Secrecy::as_str), Secrecy::from_word).unwrap_or_default(),
        agency: texts("agency"),
        agency_kind: texts("agency_kind"),
        field: texts("field"),
        priority: texts("priority"),
    };
    // An empty list asks nothing in planning, while a person who writes one means "none": not to be guessed.
    for key in WHEN_KEYS {
        if let Some(raw::Data::List(items)) = table.find(key).map(|node| &node.data)
            && items.is_empty()
        {
            let place = table.value_place(key);
            table.error(
                &place,
                "empty-value",
                format!("danh sách `{key}` để trống"),
                "bỏ điều kiện này đi, hoặc ghi ít nhất một giá trị",
            );
        }
    }
    when
}

/// Ids that stand twice, and former ids that are still in use.
fn check_ids(faults: &Faults, drafts: &[Draft]) {
    let line = |place: &Place| place.source.text()[..place.span.start].matches('\n').count() + 1;
    for (n, draft) in drafts.iter().enumerate().filter(|(_, draft)| !draft.rule.id.is_empty()) {
        let id = &draft.rule.id;
        if let Some(first) = drafts[..n].iter().find(|other| other.rule.id == *id) {
            let message = format!("quy tắc {} đã có ở dòng {}", quoted(id), line(&first.place));
            faults.error(&draft.place, "duplicate-id", message, "mỗi quy tắc một tên riêng: sổ ghi theo tên này");
        }
        for was in &draft.rule.was {
            let taken = drafts.iter().any(|other| other.rule.id == *was)
                || drafts[..n].iter().any(|other| other.rule.was.contains(was));
            if taken {
                let message = format!("tên cũ {} đang là tên của một quy tắc khác", quoted(was));
                let at = draft.origins.iter().find(|(step, key, _)| step.is_empty() && key == "was");
                let place = at.map_or(&draft.place, |(_, _, place)| place);
                faults.error(place, "was-in-use", message, "`was` chỉ ghi tên không còn dùng");
            }
        }
        for (m, step) in draft.rule.steps.iter().enumerate() {
            let place = &draft.steps[m].id;
            if let Some(other) = draft.rule.steps[..m].iter().position(|other| other.id == step.id) {
                let message = format!("bước {} đã có ở dòng {}", quoted(&step.id), line(&draft.steps[other].id));
                faults.error(place, "duplicate-id", message, "mỗi bước trong một quy tắc có một tên riêng");
            }
            let steps = &draft.rule.steps;
            for was in &step.was {
                if steps.iter().any(|other| other.id == *was) || steps[..m].iter().any(|other| other.was.contains(was))
                {
                    let message = format!("tên cũ {} đang là tên của một bước khác", quoted(was));
                    let at = draft.origins.iter().find(|(id, key, _)| *id == step.id && key == "was");
                    let place = at.map_or(place, |(_, _, place)| place);
                    faults.error(place, "was-in-use", message, "`was` chỉ ghi tên không còn dùng");
                }
            }
        }
    }
}
