//! `dondoc check`: settings, rules, calendar, templates and the office's own tests, with every fault at once.
//!
//! It changes nothing and sends nothing. What it needs of the planner, the directory and the templates is asked through
//! [`Wiring`].

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};

use super::check_lines::{self, Annotations};
use super::check_store::AgainstStore;
use crate::{
    config::{
        calendar_file::check_closures,
        calendar_law::check_calendar,
        effective,
        load::{OfficeFiles, load_all},
        problem::{Problems, Severity},
        rule_sense::check_dates,
        rule_test::{RuleTest, TestOutcome, TestReport, run_tests},
        rules_file::check_audiences,
        schema,
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
    /// Look at the real tasks too: what an edit does to them, before it is taken up
    #[arg(long)]
    pub against_store: bool,
    /// Write every letter, Zalo text and notice these rules and templates give into a new folder, to look at
    #[arg(long, value_name = "DIR")]
    pub preview: Option<PathBuf>,
    /// Print the JSON schema of a file, for editors with a TOML language server, and do nothing else
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "rules", conflicts_with_all = ["effective", "editor", "annotations"])]
    pub schema: Option<schema::File>,
    /// One line a fault, `file:line:column: error[code]: …`, for an editor's list of errors
    #[arg(long, conflicts_with = "annotations")]
    pub editor: bool,
    /// One line a fault, as the checks of a forge read it
    #[arg(long, value_name = "KIND")]
    pub annotations: Option<Annotations>,
}

/// What `check` asks of the other parts.
#[async_trait]
pub trait Wiring: Send + Sync {
    /// What the planner says of a test.
    fn run_test(&self, office: &OfficeFiles, test: &RuleTest) -> TestOutcome;

    /// Of these audiences, those that nobody in the directory can fill. Empty where there is no directory yet: a fresh
    /// installation is not at fault.
    async fn unfilled(&self, settings: &Settings, audiences: &[Audience]) -> Vec<Audience>;

    /// Code and name of every agency in the directory; none where there is no directory yet.
    async fn agencies(&self, _settings: &Settings) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Faults of the office's own templates, if it has any.
    fn templates(&self, settings: &Settings) -> Problems;

    /// What the real tasks show, where there are any.
    async fn against_store(&self, _office: &OfficeFiles, _now: Timestamp) -> AgainstStore {
        AgainstStore::default()
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pub problems: Problems,
    pub tests: TestReport,
    /// `--against-store`: what was compared with what.
    pub notes: Vec<String>,
    /// One line on what was read; `None` where it could not be.
    pub summary: Option<String>,
    /// `--effective`, where the rules could be read.
    pub effective: Option<String>,
    /// The same for scripts.
    pub effective_rules: Option<serde_json::Value>,
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
    match load_all(config, environment) {
        Ok((office, problems)) => judge(args, &office, problems, now, wiring).await,
        Err(problems) => Findings { problems, ..Findings::default() },
    }
}

/// Judges files that were read, with the warnings of reading them: what `check` does, and what a reload does with the
/// very texts it is to take up.
pub async fn judge(
    args: &Args,
    office: &OfficeFiles,
    mut problems: Problems,
    now: Timestamp,
    wiring: &dyn Wiring,
) -> Findings {
    let today = office.calendar.calendar.date_of(now);
    problems.extend(check_dates(&office.rules, today));
    problems.extend(check_calendar(&office.calendar, today, today.saturating_add(1.year())));
    if !office.calendar.calendar.closures().is_empty() {
        problems.extend(check_closures(&office.calendar, &wiring.agencies(&office.settings).await));
    }
    let audiences: Vec<Audience> = office.rules.audiences.iter().map(|(audience, _)| audience.clone()).collect();
    let unfilled = wiring.unfilled(&office.settings, &audiences).await;
    problems.extend(check_audiences(&office.rules, &|audience| !unfilled.contains(audience)));
    problems.extend(wiring.templates(&office.settings));
    let mut tests = run_tests(&office.rules.tests, &|test| wiring.run_test(office, test));
    problems.extend(std::mem::take(&mut tests.problems));
    let mut notes = Vec::new();
    if args.against_store {
        let seen = wiring.against_store(office, now).await;
        problems.extend(seen.problems);
        notes = seen.notes;
    }
    let rules = &office.rules.rules.rules;
    let steps: usize = rules.iter().map(|rule| rule.steps.len()).sum();
    let years = office.calendar.covers.iter().map(i16::to_string).collect::<Vec<_>>().join(", ");
    problems.errors_first();
    Findings {
        summary: Some(format!("{} quy tắc, {steps} bước; lịch các năm {years}", rules.len())),
        effective: args.effective.then(|| effective::show(&office.rules)),
        notes,
        effective_rules: args.effective.then(|| effective::to_json(&office.rules)),
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
    /// One line a fault instead, and nothing else.
    pub lines: Option<Lines>,
}

/// The forms in which a fault is one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    Editor,
    Github,
}

impl Args {
    /// The form asked for, if it is one of lines.
    pub fn lines(&self) -> Option<Lines> {
        let annotations = self.annotations.map(|Annotations::Github| Lines::Github);
        annotations.or(self.editor.then_some(Lines::Editor))
    }
}

impl Shown {
    /// Writes the answer and gives the exit code: 0 no errors (warnings alone are none), 3 faults were found.
    pub fn write(self, findings: &Findings, out: &mut dyn Write) -> io::Result<u8> {
        if let Some(lines) = self.lines {
            let text = match lines {
                Lines::Editor => check_lines::editor(&findings.problems),
                Lines::Github => check_lines::github(&findings.problems),
            };
            out.write_all(text.as_bytes())?;
        } else if self.json {
            writeln!(out, "{}", to_json(findings))?;
        } else {
            out.write_all(to_text(findings, self.terminal).as_bytes())?;
        }
        Ok(if findings.ok() { 0 } else { 3 })
    }
}

/// The command: the answer on standard output, the exit code back.
pub async fn run(args: &Args, config: &Path, shown: Shown, now: Timestamp, wiring: &dyn Wiring) -> io::Result<u8> {
    if let Some(file) = args.schema {
        io::stdout().lock().write_all(file.text().as_bytes())?;
        return Ok(0);
    }
    let findings = find(args, config, environment(), now, wiring).await;
    let shown = Shown { lines: args.lines(), ..shown };
    shown.write(&findings, &mut io::stdout().lock())
}

/// The answer for scripts, as documented.
pub fn to_json(findings: &Findings) -> serde_json::Value {
    let mut value = serde_json::json!({
        "ok": findings.ok(),
        "problems": findings.problems.to_json(),
        "tests": { "passed": findings.tests.passed, "failed": findings.tests.failed },
    });
    if let Some(object) = value.as_object_mut() {
        if let Some(effective) = &findings.effective {
            object.insert("effective".to_owned(), effective.clone().into());
            object.insert("effective_rules".to_owned(), findings.effective_rules.clone().unwrap_or_default());
        }
        if !findings.notes.is_empty() {
            object.insert("notes".to_owned(), findings.notes.clone().into());
        }
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
    for note in &findings.notes {
        text.push_str(&format!("{note}.\n"));
    }
    text
}
