//! The three files an office writes: the shipped ones are clean, every fault is found where it stands and said in words
//! of the office, and no text, however broken, makes the readers panic or speak a parser's language.

use std::{collections::BTreeMap, fs, path::Path};

use dondoc::{
    cli::check::{Args, Findings, Shown, Wiring, find, to_json, to_text},
    config::{
        calendar_file::{check_horizon, parse_calendar},
        load::{OfficeFiles, load_all},
        problem::{Problem, Problems, Severity, Source},
        rule_test::{RuleTest, TestOutcome, run_tests},
        rules_file::{LoadedRules, RulesContext, check_audiences, parse_rules, step_definition},
        settings::{EmailTransport, Settings, SmtpTls, Zalo},
        settings_file::{load_settings, parse_settings},
        shipped,
    },
    planning::{
        rules::{Audience, ChannelKind, Filing, Offset, Step},
        task::{Block, Clock},
    },
};
use jiff::{Timestamp, civil::date, tz::TimeZone};

mod answers;
mod as_shipped;
mod clerk;
mod faults;
mod meaning;
mod places;
mod schema;
mod settings;
mod spoilt;
mod story;

fn context() -> RulesContext {
    RulesContext { allowed_domains: vec!["hanoi.gov.vn.example".to_owned()], zalo: false, inspection: true }
}

fn rules(text: &str) -> Result<(LoadedRules, Problems), Problems> {
    parse_rules(&Source::new("rules.toml", text), &context())
}

fn settings(text: &str, vars: &[(&str, &str)]) -> Result<(Settings, Problems), Problems> {
    let vars: Vec<(String, String)> = vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    parse_settings(&Source::new("dondoc.toml", text), Path::new("/etc/dondoc/dondoc.toml"), vars)
}

fn calendar(text: &str) -> Problems {
    match parse_calendar(&Source::new("calendar.toml", text), TimeZone::UTC) {
        Ok((_, problems)) | Err(problems) => problems,
    }
}

fn faults<T>(loaded: Result<(T, Problems), Problems>) -> Problems {
    match loaded {
        Ok((_, problems)) | Err(problems) => problems,
    }
}

/// Exactly one fault, with this code, line and words.
fn only(problems: &Problems, code: &str, line: usize, words: &str) -> Problem {
    let all: Vec<&Problem> = problems.iter().collect();
    assert_eq!(all.len(), 1, "one fault, {code}, was wanted:\n{problems}");
    let problem = all[0];
    let said = format!("{} / {}", problem.message, problem.help);
    assert!(
        problem.code == code && problem.line == line && said.contains(words),
        "{code} in line {line} saying {words:?} was wanted:\n{problems}"
    );
    problem.clone()
}

/// A small file of rules without a fault: a rule for everything, two steps.
const RULES: &str = r#"[hours.normal]
days = "working"
from = "07:30"
until = "17:30"
[[rule]]
id = "chung"
when = { role = ["lead", "coordinator"] }
clock = "completion"
[[rule.step]]
id = "truoc-3"
due = "-3wd"
add = ["handler"]
[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
add = ["agency_head"]
[[rule]]
id = "bao-cao"
clock = "report"
[[rule.step]]
id = "den-han"
due = "0d"
add = ["handler"]
[[test]]
name = "thử"
task = { deadline = 2026-12-15 }
on = 2026-12-16
expect = { step = "qua-han-1" }
"#;

const SETTINGS: &str = r#"[office]
name = "Văn phòng"
[email]
transport = "smtp"
from = "dondoc@office.example"
allowed_domains = ["hanoi.gov.vn.example"]
[email.smtp]
host = "mail.example"
tls = "starttls"
"#;

const CALENDAR: &str = r#"covers = [2026]
week = ["mon", "tue", "wed", "thu", "fri"]
[[day]]
date = 2026-11-24
kind = "off"
name = "Ngày Văn hóa Việt Nam"
basis = "Nghị quyết 28/2026/QH16"
certainty = "law"
"#;

/// A text with one passage replaced; the passage must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the text");
    text.replacen(from, to, 1)
}

struct Planner;

#[async_trait::async_trait]
impl Wiring for Planner {
    fn run_test(&self, _: &OfficeFiles, test: &RuleTest) -> TestOutcome {
        TestOutcome {
            step: test.expect.step.clone(),
            to: test.expect.to.clone().unwrap_or_default(),
            via: test.expect.via.clone().unwrap_or_default(),
            files: test.expect.files.clone().unwrap_or_default(),
            ..TestOutcome::default()
        }
    }

    async fn unfilled(&self, _: &Settings, _: &[Audience]) -> Vec<Audience> {
        Vec::new()
    }

    fn templates(&self, _: &Settings) -> Problems {
        Problems::default()
    }
}

fn check(dir: &Path, args: &Args) -> Findings {
    let now = Timestamp::constant(1_795_305_600, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(find(args, &dir.join("dondoc.toml"), std::iter::empty(), now, &Planner))
}
