//! `dondoc check`: settings, rules, calendar, templates and the office's own tests, with every fault at once.
//!
//! It changes nothing and sends nothing. What it needs of the planner, the directory and the templates is asked through
//! [`Wiring`].

use std::{
    io::{self, Write},
    path::Path,
};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};

use crate::{
    config::{
        calendar_file::check_horizon,
        effective,
        load::{OfficeFiles, load_all},
        problem::{Problems, Severity},
        rule_test::{RuleTest, TestOutcome, TestReport, run_tests},
        rules_file::check_audiences,
        settings::Settings,
        settings_file::environment,
    },
    planning::rules::Audience,
};

/// `dondoc check`
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Args {
    /// Show every rule with its defaults filled in, and the line each value comes from
    #[arg(long)]
    pub effective: bool,
}

/// What `check` asks of the other parts.
#[async_trait]
pub trait Wiring: Send + Sync {
    /// What the planner says of a test.
    fn run_test(&self, office: &OfficeFiles, test: &RuleTest) -> TestOutcome;

    /// Of these audiences, those that nobody in the directory can fill. Empty where there is no directory yet: a fresh
    /// installation is not at fault.
    async fn unfilled(&self, settings: &Settings, audiences: &[Audience]) -> Vec<Audience>;

    /// Faults of the office's own templates, if it has any.
    fn templates(&self, settings: &Settings) -> Problems;
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub problems: Problems,
    pub tests: TestReport,
    /// One line on what was read; `None` where it could not be.
    pub summary: Option<String>,
    /// `--effective`, where the rules could be read.
    pub effective: Option<String>,
}

impl Findings {
    /// No errors; warnings alone are none.
    pub fn ok(&self) -> bool {
        !self.problems.has_errors()
    }
}

/// Reads and judges everything. `environment` is the process's; `now` decides which years the calendar must cover.
pub async fn find(
    args: &Args,
    config: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    now: Timestamp,
    wiring: &dyn Wiring,
) -> Findings {
    let (office, mut problems) = match load_all(config, environment) {
        Ok(loaded) => loaded,
        Err(problems) => return Findings { problems, ..Findings::default() },
    };
    let today = office.calendar.calendar.date_of(now);
    problems.extend(check_horizon(&office.calendar, today, today.saturating_add(1.year())));
    let audiences: Vec<Audience> = office.rules.audiences.iter().map(|(audience, _)| audience.clone()).collect();
    let unfilled = wiring.unfilled(&office.settings, &audiences).await;
    problems.extend(check_audiences(&office.rules, &|audience| !unfilled.contains(audience)));
    problems.extend(wiring.templates(&office.settings));
    let mut tests = run_tests(&office.rules.tests, &|test| wiring.run_test(&office, test));
    problems.extend(std::mem::take(&mut tests.problems));
    let rules = &office.rules.rules.rules;
    let steps: usize = rules.iter().map(|rule| rule.steps.len()).sum();
    let years = office.calendar.covers.iter().map(i16::to_string).collect::<Vec<_>>().join(", ");
    Findings {
        summary: Some(format!("{} quy tắc, {steps} bước; lịch các năm {years}", rules.len())),
        effective: args.effective.then(|| effective::show(&office.rules)),
        tests,
        problems,
    }
}

/// How the answer is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    pub json: bool,
    /// Colours, where a person looks.
    pub terminal: bool,
}

impl Shown {
    /// Writes the answer and gives the exit code: 0 no errors (warnings alone are none), 3 faults were found.
    pub fn write(self, findings: &Findings, out: &mut dyn Write) -> io::Result<u8> {
        if self.json {
            writeln!(out, "{}", to_json(findings))?;
        } else {
            out.write_all(to_text(findings, self.terminal).as_bytes())?;
        }
        Ok(if findings.ok() { 0 } else { 3 })
    }
}

/// The command: the answer on standard output, the exit code back.
pub async fn run(args: &Args, config: &Path, shown: Shown, now: Timestamp, wiring: &dyn Wiring) -> io::Result<u8> {
    let findings = find(args, config, environment(), now, wiring).await;
    shown.write(&findings, &mut io::stdout().lock())
}

/// The answer for scripts, as documented.
pub fn to_json(findings: &Findings) -> serde_json::Value {
    let mut value = serde_json::json!({
        "ok": findings.ok(),
        "problems": findings.problems.to_json(),
        "tests": { "passed": findings.tests.passed, "failed": findings.tests.failed },
    });
    if let (Some(effective), Some(object)) = (&findings.effective, value.as_object_mut()) {
        object.insert("effective".to_owned(), effective.clone().into());
    }
    value
}

/// The answer for people.
pub fn to_text(findings: &Findings, terminal: bool) -> String {
    let mut text = String::new();
    if let Some(effective) = &findings.effective {
        text.push_str(effective);
        text.push('\n');
    }
    if !findings.problems.is_empty() {
        text.push_str(&findings.problems.render(terminal));
        text.push_str("\n\n");
    }
    let (errors, warnings) = (findings.problems.count(Severity::Error), findings.problems.count(Severity::Warning));
    text.push_str(&match (errors, warnings) {
        (0, 0) => "Không có lỗi".to_owned(),
        (0, warnings) => format!("Không có lỗi, {warnings} cảnh báo"),
        (errors, 0) => format!("{errors} lỗi"),
        (errors, warnings) => format!("{errors} lỗi, {warnings} cảnh báo"),
    });
    if let Some(summary) = &findings.summary {
        let TestReport { passed, failed, .. } = findings.tests;
        text.push_str(&format!(": {summary}; thử: {passed} đạt, {failed} không đạt"));
    } else {
        text.push_str("; chưa chạy [[test]] vì còn lỗi trên");
    }
    text.push_str(".\n");
    text
}
