//! `dondoc import tasks FILE` and `dondoc import directory FILE`.
//!
//! The answer goes to `out`; the question, the bar and diagnostics go to stderr, and the first two to a terminal only.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    clock::Clock,
    config::settings::Settings,
    intake::{
        directory::import_directory,
        import::{Caller, Estimate, Options, Question, import_tasks},
    },
    store::intake::IntakeStore,
};

/// Takes a spreadsheet (CSV or XLSX) into the database.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    #[command(subcommand)]
    pub what: What,
}

#[derive(Debug, Clone, Subcommand)]
pub enum What {
    /// Assigned tasks.
    Tasks {
        /// CSV or XLSX.
        file: PathBuf,
        /// Do not ask, whatever would be sent at once.
        #[arg(long)]
        yes: bool,
        /// Show what would change; write nothing.
        #[arg(long)]
        dry_run: bool,
        /// The file has no column `Độ mật` and holds no secret of the State.
        #[arg(long)]
        all_unclassified: bool,
    },
    /// Agencies, people and posts.
    Directory {
        /// CSV or XLSX.
        file: PathBuf,
        /// Show what would change; write nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// What the command needs of the program around it.
pub struct Parts<'a> {
    pub settings: &'a Settings,
    pub store: &'a dyn IntakeStore,
    pub clock: &'a Clock,
    /// Plans what would leave at once.
    pub estimate: &'a mut dyn Estimate,
    /// `--format json`.
    pub json: bool,
}

/// Runs the command; the exit code is 0, or 3 when rows were held or refused. The caller rings the daemon afterwards.
pub async fn run(args: &ImportArgs, parts: Parts<'_>, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let Parts { settings, store, clock, estimate, json } = parts;
    let now = clock.now();
    let report = match &args.what {
        What::Directory { file, dry_run } => import_directory(file, store, settings, now, *dry_run)
            .await
            .with_context(|| format!("không nhập được {}", file.display()))?,
        What::Tasks { file, yes, dry_run, all_unclassified } => {
            let options = Options { yes: *yes, dry_run: *dry_run, all_unclassified: *all_unclassified };
            let bar = bar();
            let mut progress = |what: &'static str, done: u64, total: u64| {
                if total > 0 {
                    bar.set_length(total);
                }
                bar.set_message(what);
                bar.set_position(done);
            };
            let hidden = bar.clone();
            let mut confirm = move |question: Question| hidden.suspend(|| ask(question));
            let caller = Caller { estimate, confirm: &mut confirm, progress: &mut progress };
            let report = import_tasks(file, store, settings, now, options, caller).await;
            bar.finish_and_clear();
            report.with_context(|| format!("không nhập được {}", file.display()))?
        }
    };
    if json {
        writeln!(out, "{}", report.json())?
    } else {
        write!(out, "{}", report.text())?
    }
    Ok(report.exit_code())
}

/// A bar on a terminal; elsewhere nothing.
fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg} {pos}/{len} [{elapsed}] {wide_bar}") {
        bar.set_style(style);
    }
    bar
}

/// Asks on the terminal; without one the answer is no.
fn ask(question: Question) -> bool {
    let (stdin, mut stderr) = (std::io::stdin(), std::io::stderr());
    if !stdin.is_terminal() || !stderr.is_terminal() {
        return false;
    }
    let first = if question.first { "Cơ sở dữ liệu chưa có nhiệm vụ nào. " } else { "" };
    let asked = write!(
        stderr,
        "{first}Sẽ thêm {} nhiệm vụ và gửi ngay {} tin nhắc việc. Tiếp tục? [c/K] ",
        question.created, question.messages
    )
    .and_then(|()| stderr.flush());
    let mut answer = String::new();
    if asked.is_err() || stdin.lock().read_line(&mut answer).is_err() {
        return false;
    }
    matches!(answer.trim().to_lowercase().as_str(), "c" | "có" | "co" | "y" | "yes")
}
