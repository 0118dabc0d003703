//! The office's own `[[test]]`s: a task, a day, and what must happen on it.
//!
//! They are read and compared here; what *does* happen is asked of the planner by whoever calls [`run_tests`].

use std::collections::BTreeSet;

use jiff::{
    ToSpan,
    civil::{Date, DateTime, Time},
};

use super::{
    problem::{Faults, Place, Problems, meant, meant_name, nearest, quoted},
    raw::Table,
    rules_file::{Draft, WHEN_KEYS},
};
use crate::planning::{
    calendar::WorkCalendar,
    plan::{CONFIRM_STEP, RETURNED_STEP},
    rules::{Audience, ChannelKind, Filing},
    task::{
        AgencyFacts, AgencyId, ArmedBy, Block, Clock, Deadline, Obligation, Role, Secrecy, Task, TaskId, TaskState,
        Urgency,
    },
};

/// One `[[test]]`.
#[derive(Debug, Clone)]
pub struct RuleTest {
    pub name: String,
    pub task: TestTask,
    /// The day looked at: everything that falls due on it counts.
    pub on: Date,
    /// Where an hour is given: only what falls due on that day up to this time.
    pub on_time: Option<Time>,
    pub expect: Expect,
    /// Where the test begins.
    pub place: Place,
}

/// The task of a test. What the file does not say is the most common: a lead agency of the state block, normal
/// urgency, open, the completion clock; texts are empty.
#[derive(Debug, Clone)]
pub struct TestTask {
    pub role: Role,
    pub block: Block,
    pub urgency: Urgency,
    pub secrecy: Secrecy,
    pub clock: Clock,
    /// Where the work stands, from the day it was entered.
    pub state: TaskState,
    pub deadline: Deadline,
    pub assigner: String,
    pub document_kind: String,
    /// The agency's code or name.
    pub agency: String,
    pub agency_kind: String,
    pub field: String,
    pub priority: String,
    /// When the task became known; `None`: long before every step.
    pub entered: Option<(Date, Option<Time>)>,
}

impl RuleTest {
    /// The task as planning sees it: one obligation, armed when it was entered, else a year before its deadline.
    pub fn to_task(&self, calendar: &WorkCalendar) -> Task {
        let TestTask { deadline, .. } = self.task;
        let (day, time) = self.task.entered.unwrap_or((deadline.date.saturating_sub(1.year()), None));
        let known_at = calendar.instant(day, time.unwrap_or(Time::midnight()));
        let facts = &self.task;
        let code = if facts.agency.is_empty() { "THU".to_owned() } else { facts.agency.clone() };
        Task {
            id: TaskId(0),
            code: "THU".to_owned(),
            state: facts.state,
            state_since: known_at,
            state_count: u32::from(!facts.state.is_urged()),
            resumed_at: None,
            urgency: facts.urgency,
            secrecy: facts.secrecy,
            assigner: facts.assigner.clone(),
            assigner_block: facts.block,
            document_kind: facts.document_kind.clone(),
            field: facts.field.clone(),
            priority: facts.priority.clone(),
            known_at,
            held: false,
            obligations: vec![Obligation {
                role: facts.role,
                agency: AgencyFacts {
                    id: AgencyId(0),
                    name: code.clone(),
                    code,
                    block: facts.block,
                    kind: facts.agency_kind.clone(),
                },
                clock: facts.clock,
                deadline: Some(deadline),
                arming: 1,
                armed_at: known_at,
                armed_by: ArmedBy::Entered,
                overdue_from: None,
                bound: None,
                acknowledged_until: None,
                ended: false,
            }],
        }
    }
}

/// What must come out; `None`: not asked.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// The rule that holds for the task.
    pub rule: Option<String>,
    /// The most severe step that falls due.
    pub step: Option<String>,
    /// Audiences, compared as a set.
    pub to: Option<Vec<String>>,
    /// Channels, compared as a set.
    pub via: Option<Vec<String>>,
    /// What is filed, compared as a set.
    pub files: Option<Vec<String>>,
    /// Whether the step counts as an urging.
    pub urging: Option<bool>,
    /// The local moment at which the step's messages may leave.
    pub send_at: Option<DateTime>,
    /// Nothing falls due and nothing is filed.
    pub nothing: bool,
}

impl Expect {
    /// Whether it asks for anything that must happen on the day.
    fn asks_of_the_day(&self) -> bool {
        self.step.is_some()
            || self.to.is_some()
            || self.via.is_some()
            || self.files.is_some()
            || self.urging.is_some()
            || self.send_at.is_some()
    }
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct TestOutcome {
    pub rule: Option<String>,
    pub step: Option<String>,
    pub to: Vec<String>,
    pub via: Vec<String>,
    pub files: Vec<String>,
    pub urging: bool,
    /// Local moments, each once, ascending.
    pub send_at: Vec<DateTime>,
    /// How it came about, a line each: the rule, the rolled deadline, the steps around the day.
    pub story: Vec<String>,
}

/// The tests' sum.
#[derive(Debug, Clone, Default)]
pub struct TestReport {
    pub passed: usize,
    pub failed: usize,
    /// One `test-failed` for each that failed.
    pub problems: Problems,
}

/// Runs every test.
pub fn run_tests(tests: &[RuleTest], run: &dyn Fn(&RuleTest) -> TestOutcome) -> TestReport {
    let faults = Faults::default();
    let mut report = TestReport::default();
    for test in tests {
        let outcome = run(test);
        let differences = compare(&test.expect, &outcome);
        if differences.is_empty() {
            report.passed += 1;
            continue;
        }
        report.failed += 1;
        let help = [differences, outcome.story].concat().join("\n");
        faults.error(&test.place, "test-failed", format!("thử không đạt: {}", quoted(&test.name)), help);
    }
    report.problems = faults.finish();
    report
}

fn compare(expect: &Expect, outcome: &TestOutcome) -> Vec<String> {
    let mut lines = Vec::new();
    let list = |words: &BTreeSet<&str>| match words.is_empty() {
        true => "không có".to_owned(),
        false => words.iter().copied().collect::<Vec<_>>().join(", "),
    };
    let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "không có".to_owned());
    let mut differ = |key: &str, wanted: String, came: String| {
        lines.push(format!("{key}: mong đợi {wanted}; thực tế {came}"));
    };
    if expect.rule.is_some() && expect.rule != outcome.rule {
        differ("rule", word(&expect.rule), word(&outcome.rule));
    }
    if expect.nothing && (outcome.step.is_some() || !outcome.to.is_empty() || !outcome.files.is_empty()) {
        differ("nothing", "không có gì".to_owned(), format!("bước {}", word(&outcome.step)));
    }
    if expect.step.is_some() && expect.step != outcome.step {
        differ("step", word(&expect.step), word(&outcome.step));
    }
    for (key, wanted, came) in
        [("to", &expect.to, &outcome.to), ("via", &expect.via, &outcome.via), ("files", &expect.files, &outcome.files)]
    {
        let Some(wanted) = wanted else { continue };
        let wanted: BTreeSet<&str> = wanted.iter().map(String::as_str).collect();
        let came: BTreeSet<&str> = came.iter().map(String::as_str).collect();
        if wanted != came {
            let more: BTreeSet<&str> = came.difference(&wanted).copied().collect();
            let less: BTreeSet<&str> = wanted.difference(&came).copied().collect();
            let mut came = list(&came);
            // Where both sides are long, what differs is what one looks for.
            if wanted.len() > 1 && !less.is_empty() {
                came.push_str(&format!(" (thiếu: {})", list(&less)));
            }
            if wanted.len() > 1 && !more.is_empty() {
                came.push_str(&format!(" (thừa: {})", list(&more)));
            }
            differ(key, list(&wanted), came);
        }
    }
    if let Some(urging) = expect.urging
        && (urging != outcome.urging || outcome.step.is_none())
    {
        let said = |urging: bool| if urging { "có tính là một lần đôn đốc" } else { "không tính" }.to_owned();
        let came = if outcome.step.is_none() { "không có bước nào".to_owned() } else { said(outcome.urging) };
        differ("urging", said(urging), came);
    }
    if let Some(at) = expect.send_at
        && outcome.send_at != [at]
    {
        let came: Vec<String> = outcome.send_at.iter().copied().map(moment).collect();
        let came = if came.is_empty() { "không gửi gì".to_owned() } else { came.join(", ") };
        differ("send_at", moment(at), came);
    }
    lines
}

fn moment(at: DateTime) -> String {
    at.strftime("%d/%m/%Y %H:%M").to_string()
}

/// Two tests of one name: whoever reads of a failure would not know which.
pub(super) fn check_names(faults: &Faults, tests: &[RuleTest]) {
    for (n, test) in tests.iter().enumerate() {
        if let Some(first) = tests[..n].iter().find(|other| other.name == test.name) {
            let line = first.place.source.text()[..first.place.span.start].matches('\n').count() + 1;
            let message = format!("phép thử {} đã có ở dòng {line}", quoted(&test.name));
            faults.error(&test.place, "duplicate-name", message, "mỗi [[test]] một tên riêng, nói rõ nó thử điều gì");
        }
    }
}

/// Reads one `[[test]]`; `None` where it cannot be run.
pub(super) fn read(table: &Table<'_>, drafts: &[Draft]) -> Option<RuleTest> {
    table.known(&TEST_KEYS);
    table.missing("name", "name = \"một ngày sau hạn, người đứng đầu cũng nhận\"");
    table.missing("task", "task = { role = \"lead\", block = \"state\", deadline = 2026-12-15 }");
    table.missing("on", "on = 2026-12-16");
    table.missing("expect", "expect = { step = \"qua-han-1\" } hoặc expect = { nothing = true }");
    let before = table.faults.errors();
    let name = table.filled("name", "name = \"…\"");
    let on = table.moment("on", true);
    let task = table.table("task", "task = { … }").and_then(|task| read_task(&task));
    let expect = table.table("expect", "expect = { … }").map(|expect| read_expect(&expect, drafts));
    if table.faults.errors() > before {
        return None;
    }
    let (name, place) = name?;
    let ((on, on_time), on_place) = on?;
    if let Some((entered, _)) = task.as_ref().and_then(|task| task.entered)
        && entered > on
    {
        let message = format!("ngày xét {} đứng trước ngày nhập nhiệm vụ {}", show(on), show(entered));
        table.error(&on_place, "test-before-entry", message, "sửa `on`, hoặc sửa `entered` trong `task`");
        return None;
    }
    Some(RuleTest { name, task: task?, on, on_time, expect: expect?, place })
}

fn show(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

/// The keys of a test.
pub(super) const TEST_KEYS: [&str; 4] = ["name", "task", "on", "expect"];
/// The keys that the task of a test has besides those of `when`.
pub(super) const TASK_KEYS: [&str; 4] = ["clock", "state", "deadline", "entered"];

fn read_task(table: &Table<'_>) -> Option<TestTask> {
    table.known(&[&WHEN_KEYS[..], &TASK_KEYS].concat());
    table.missing("deadline", "deadline = 2026-12-15");
    fn word<T: Copy>(
        table: &Table<'_>,
        key: &str,
        all: &[T],
        as_str: fn(T) -> &'static str,
        read: fn(&str) -> Option<T>,
        default: T,
    ) -> T {
        let words: Vec<&str> = all.iter().map(|value| as_str(*value)).collect();
        table.word(key, &words, read).map_or(default, |(value, _)| value)
    }
    let text = |key: &str| table.text(key, &format!("{key} = \"…\"")).map(|(text, _)| text).unwrap_or_default();
    let deadline = table.moment("deadline", true);
    Some(TestTask {
        role: word(table, "role", Role::ALL, Role::as_str, Role::from_word, Role::Lead),
        block: word(table, "block", Block::ALL, Block::as_str, Block::from_word, Block::State),
        urgency: word(table, "urgency", Urgency::ALL, Urgency::as_str, Urgency::from_word, Urgency::Normal),
        secrecy: word(table, "secrecy", Secrecy::ALL, Secrecy::as_str, Secrecy::from_word, Secrecy::Open),
        clock: word(table, "clock", Clock::ALL, Clock::as_str, Clock::from_word, Clock::Completion),
        state: word(table, "state", TaskState::ALL, TaskState::as_str, TaskState::from_word, TaskState::InProgress),
        assigner: text("assigner"),
        document_kind: text("document_kind"),
        agency: text("agency"),
        agency_kind: text("agency_kind"),
        field: text("field"),
        priority: text("priority"),
        entered: table.moment("entered", true).map(|(at, _)| at),
        deadline: deadline.map(|((date, time), _)| Deadline { date, time })?,
    })
}

/// The keys of `expect`.
pub(super) const EXPECT_KEYS: [&str; 8] = ["rule", "step", "to", "via", "files", "urging", "send_at", "nothing"];

fn read_expect(table: &Table<'_>, drafts: &[Draft]) -> Expect {
    table.known(&EXPECT_KEYS);
    let words = |key: &str, known: &[&str], fits: &dyn Fn(&str) -> bool| -> Option<Vec<String>> {
        let texts = table.texts(key, &format!("{key} = [\"{}\"]", known.first().unwrap_or(&"")))?;
        for (text, place) in texts.iter().filter(|(text, _)| !fits(text)) {
            let message = format!("`{key}` không nhận giá trị {}", quoted(text));
            table.error(place, "unknown-value", message, meant(text, known));
        }
        Some(texts.into_iter().map(|(text, _)| text).collect())
    };
    let channels: Vec<&str> = ChannelKind::ALL.iter().map(|c| c.as_str()).collect();
    let filings: Vec<&str> = Filing::ALL.iter().map(|f| f.as_str()).collect();
    let expect = Expect {
        rule: table.filled("rule", "rule = \"ubnd-chu-tri\"").map(|(rule, place)| {
            check_rule(table, &rule, &place, drafts);
            rule
        }),
        step: table.filled("step", "step = \"qua-han-1\"").map(|(step, place)| {
            check_step(table, &step, &place, drafts);
            step
        }),
        to: words("to", Audience::WORDS, &|word| Audience::from_word(word).is_some()),
        via: words("via", &channels, &|word| ChannelKind::from_word(word).is_some()),
        files: words("files", &filings, &|word| Filing::from_word(word).is_some()),
        urging: table.flag("urging"),
        send_at: table
            .moment("send_at", true)
            .map(|((day, time), _)| day.to_datetime(time.unwrap_or(Time::midnight()))),
        nothing: table.flag("nothing").unwrap_or(false),
    };
    let asked = expect.asks_of_the_day();
    if expect.nothing && asked {
        let message = "`nothing = true` không đi cùng điều khác";
        table.error(&table.place_of("nothing"), "nothing-and-more", message, "bỏ `nothing`, hoặc bỏ các điều khác");
    }
    if !expect.nothing && !asked && expect.rule.is_none() && !table.faults.is_broken() {
        let help = "viết như: expect = { step = \"qua-han-1\", to = [\"handler\"] } hoặc expect = { nothing = true }";
        table.error(&table.place, "empty-value", "`expect` không mong đợi điều gì", help);
    }
    expect
}

fn check_rule(table: &Table<'_>, rule: &str, place: &Place, drafts: &[Draft]) {
    let ids: Vec<&str> = drafts.iter().map(|draft| draft.rule.id.as_str()).filter(|id| !id.is_empty()).collect();
    if ids.contains(&rule) || table.faults.is_broken() || ids.len() < drafts.len() {
        return;
    }
    table.error(place, "unknown-rule", format!("không có quy tắc {}", quoted(rule)), meant_name(rule, &ids));
}

fn check_step(table: &Table<'_>, step: &str, place: &Place, drafts: &[Draft]) {
    let ids: BTreeSet<&str> = drafts
        .iter()
        .flat_map(|d| d.rule.steps.iter().map(|s| s.id.as_str()))
        .chain([CONFIRM_STEP, RETURNED_STEP])
        .collect();
    if ids.contains(step) || table.faults.is_broken() || !drafts.iter().all(|draft| draft.steps_sound) {
        return;
    }
    let help = match nearest(step, ids.iter().copied()) {
        Some(near) => format!("có phải ý là `{near}`?"),
        None => "ghi `id` của một bước trong các quy tắc trên".to_owned(),
    };
    table.error(place, "unknown-step", format!("không quy tắc nào có bước {}", quoted(step)), help);
}
