//! `dondoc plan`: what will be sent and filed, to whom, without sending; what an edit of the rules or the calendar would
//! change; and the texts that will be sent for one task.
//!
//! It writes nothing, not even to the database: accepting new rules is played through in memory, as a reload now would.

mod compare;
mod json;
mod show;
mod text;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use jiff::{Timestamp, ToSpan};

use super::context::{Context, WrongCall, exit, read_moment, show_faults};
use crate::{
    config::{
        calendar_file::load_calendar,
        load::OfficeFiles,
        problem::{Loaded, Problems},
        rule_test::{TestReport, run_tests},
        rules_file::{RulesContext, load_rules},
    },
    engine::{
        KnownDirectory,
        foresee::{
            Foresight,
            difference::{PutOff, Side, difference, note_put_off},
            totals::Counting,
            travel::{Event, Traveller},
        },
        known_directory,
        policy::{Accepted, Policy, accept, steps_to_accept},
    },
    planning::task::TaskId,
    store::{
        Opened,
        ledger::{ReadingStore, TaskRecord},
    },
};

/// Tasks read at once.
const BATCH: u32 = 500;

/// A comparison looks this much farther than it is asked about, so that what moves out of the span is not taken for
/// gone.
const FARTHER_DAYS: i64 = 45;

/// `dondoc plan`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// First day or moment (2026-12-10, 2026-12-10T08:00); now if left out
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Last day or moment; seven days after the first if left out
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    /// Other rules: what this edit adds, removes, moves against the rules in force
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Another list of days off: what it moves
    #[arg(long, value_name = "FILE")]
    pub calendar: Option<PathBuf>,
    /// The texts that will be sent for this task, in order
    #[arg(long, value_name = "CODE")]
    pub show: Option<String>,
    /// Every line, however many
    #[arg(long)]
    pub all: bool,
}

/// The span asked about.
#[derive(Debug, Clone, Copy)]
struct Span {
    now: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

impl Span {
    fn read(args: &Args, now: Timestamp, policy: &Policy) -> anyhow::Result<Self> {
        let calendar = &policy.calendar;
        let from = args.from.as_deref().map_or(Ok(now), |text| read_moment(text, calendar))?;
        let until = match args.until.as_deref() {
            // A day is meant whole.
            Some(text) if !text.contains('T') => calendar.end_of(calendar.date_of(read_moment(text, calendar)?)),
            Some(text) => read_moment(text, calendar)?,
            None => from + (7 * 24).hours(),
        };
        if from >= until {
            return Err(WrongCall("--until lies before --from".to_owned()).into());
        }
        Ok(Self { now, from, until })
    }

    /// From where is looked ahead: what is due now goes out with the first pass.
    fn start(&self) -> Timestamp {
        self.now.min(self.from)
    }

    /// Whether something due and sent at these instants is part of the answer.
    fn holds(&self, at: Timestamp, send_at: Timestamp) -> bool {
        send_at >= self.from && at <= self.until
    }

    fn holds_event(&self, traveller: &Traveller<'_>, event: &Event) -> bool {
        self.holds(traveller.due_at(event), event.send_at)
    }
}

/// What an edit comes to besides what it sends.
struct Edit {
    policy: Policy,
    /// The files, as they were named.
    files: Vec<PathBuf>,
    /// Rules and calendar are those in force, to the letter of their meaning.
    same: bool,
    tests: TestReport,
    /// What a reload now would accept: new, moved and vanished steps.
    accepted: Vec<Accepted>,
}

/// What was looked ahead to.
struct Looked {
    foresight: Foresight,
    /// Under the rules and calendar in force, where others are compared with them.
    before: Option<Foresight>,
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let office = context.office()?;
    let edited = match edited_files(args, &office) {
        Ok(edited) => edited,
        Err(faults) => {
            show_faults(&faults);
            return Ok(exit::USAGE);
        }
    };
    let mut policy = context.policy(office)?;
    let store = context.store(&policy.settings).await?;
    let now = context.now();
    let (mut known, mut definitions) = store.steps_known().await?;
    let accepted = steps_to_accept(&policy.rules, &known, &definitions, now);
    accept(&mut known, &mut definitions, accepted);
    policy.known = known.clone();
    let edit = edited.map(|(files, office)| {
        let tests = run_tests(&office.rules.tests, &|test| super::wiring::run_test(&office, test));
        let accepted = steps_to_accept(&office.rules.rules, &known, &definitions, now);
        accept(&mut known, &mut definitions, accepted.clone());
        let new = Policy {
            rules: office.rules.rules,
            calendar: office.calendar.calendar,
            known: std::mem::take(&mut known),
            ..policy.clone()
        };
        Edit { same: new.digest() == policy.digest(), policy: new, files, tests, accepted }
    });
    let span = Span::read(args, now, edit.as_ref().map_or(&policy, |edit| &edit.policy))?;
    let wanted = match &args.show {
        Some(code) => {
            let task = store.task_by_code(code).await?;
            Some(task.ok_or_else(|| anyhow::anyhow!("không có nhiệm vụ nào mang mã {code}"))?)
        }
        None => None,
    };
    let directory = Arc::new(known_directory(ReadingStore::directory(&*store).await?, &policy));
    let counts = store.counts().await?;
    let policy = Arc::new(policy);
    let new = edit.as_ref().map(|edit| Arc::new(edit.policy.clone()));
    let looked = look(context, &*store, &policy, new.as_ref(), span).await?;
    let answer = Answer {
        args,
        json: context.json,
        span,
        open: counts.open_tasks.max(0) as u64,
        held: counts.held_tasks.max(0) as u64,
        policy: new.clone().unwrap_or_else(|| policy.clone()),
        before: policy,
        directory,
        edit,
        looked,
    };
    // Hundreds of thousands of lines, for a large office: neither the lines nor their text are kept twice.
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let written = match wanted {
        Some(task) => show::write(&answer, &*store, task, &mut out).await,
        None => answer.write(&mut out),
    };
    store.close().await;
    written?;
    out.flush()?;
    Ok(answer.code())
}

/// The files an edit names, read and judged; those it does not name are the office's own.
fn edited_files(args: &Args, office: &OfficeFiles) -> Result<Option<(Vec<PathBuf>, OfficeFiles)>, Problems> {
    let files: Vec<PathBuf> = args.rules.iter().chain(&args.calendar).cloned().collect();
    if files.is_empty() {
        return Ok(None);
    }
    let mut edited = office.clone();
    let mut faults = Problems::default();
    let mut failed = false;
    let mut sort = |found: Problems, broken: bool| {
        failed |= broken;
        faults.extend(found);
    };
    if let Some(path) = &args.calendar {
        take(load_calendar(path, office.settings.office.time_zone.clone()), &mut edited.calendar, &mut sort);
    }
    if let Some(path) = &args.rules {
        take(load_rules(path, &RulesContext::of(&office.settings)), &mut edited.rules, &mut sort);
    }
    if failed {
        return Err(faults);
    }
    if !faults.is_empty() {
        show_faults(&faults);
    }
    Ok(Some((files, edited)))
}

fn take<T>(loaded: Loaded<T>, into: &mut T, sort: &mut dyn FnMut(Problems, bool)) {
    match loaded {
        Ok((value, warnings)) => {
            *into = value;
            sort(warnings, false);
        }
        Err(faults) => sort(faults, true),
    }
}

/// Reads every open task and looks ahead for it. Looking ahead costs as much as reading: it goes on beside it, a few
/// batches behind at most.
async fn look(
    context: &Context,
    store: &dyn Opened,
    policy: &Arc<Policy>,
    new: Option<&Arc<Policy>>,
    span: Span,
) -> anyhow::Result<Looked> {
    let total = store.counts().await?.open_tasks;
    let bar = super::progress(context.terminal(), total.max(0) as u64, "nhiệm vụ");
    let (batches, received) = mpsc::sync_channel::<Vec<TaskRecord>>(4);
    let (now_policy, new_policy) = (policy.clone(), new.cloned());
    let until = if new.is_some() { span.until + (FARTHER_DAYS * 24).hours() } else { span.until };
    let looking = std::thread::spawn(move || {
        let mut foresight = Foresight::default();
        let mut before = new_policy.is_some().then(Foresight::default);
        for record in received.into_iter().flatten() {
            let policy = new_policy.as_deref().unwrap_or(&now_policy);
            foresight.add(policy, &record, span.start(), until, None);
            if let Some(before) = &mut before {
                before.add(&now_policy, &record, span.start(), until, None);
            }
        }
        Looked { foresight, before }
    });
    let mut after = TaskId(0);
    loop {
        let batch = store.open_tasks(after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = last.task.id;
        bar.inc(batch.len() as u64);
        if batches.send(batch).is_err() {
            break;
        }
    }
    drop(batches);
    let looked = looking.join().map_err(|_| anyhow::anyhow!("looking ahead panicked: a fault of this program"))?;
    bar.finish_and_clear();
    Ok(looked)
}

/// Everything an answer is made of.
struct Answer<'a> {
    args: &'a Args,
    json: bool,
    span: Span,
    open: u64,
    held: u64,
    /// What is looked ahead under: the edit's, if there is one.
    policy: Arc<Policy>,
    /// What is in force.
    before: Arc<Policy>,
    directory: Arc<KnownDirectory>,
    edit: Option<Edit>,
    looked: Looked,
}

impl Answer<'_> {
    fn traveller(&self) -> Traveller<'_> {
        Traveller::new(&self.looked.foresight, &self.policy, &self.directory)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match (&self.edit, &self.looked.before) {
            (Some(edit), Some(before)) => self.compared(edit, before, out),
            _ if self.json => {
                let mut traveller = self.traveller();
                let sums = json::events(out, self, &mut traveller)?;
                json::end(out, &sums, &self.unsaid(), None)
            }
            _ => text::write(out, self),
        }
    }

    fn compared(&self, edit: &Edit, before: &Foresight, out: &mut dyn Write) -> io::Result<()> {
        let span = self.span;
        let mut was = Traveller::new(before, &self.before, &self.directory);
        let mut put_off = [PutOff::new(), PutOff::new()];
        let mut counting = Counting::default();
        was.travel(span.now, &mut |traveller, leaving| {
            note_put_off(&mut put_off[0], &leaving);
            counting.take(traveller, &leaving, &|event| span.holds_event(traveller, event));
            Ok(())
        })?;
        let was_totals = counting.end(&was);
        let mut is = self.traveller();
        let is_totals = if self.json {
            json::events_noting(out, self, &mut is, &mut put_off[1])?
        } else {
            let mut counting = Counting::default();
            is.travel(span.now, &mut |traveller, leaving| {
                note_put_off(&mut put_off[1], &leaving);
                counting.take(traveller, &leaving, &|event| span.holds_event(traveller, event));
                Ok(())
            })?;
            counting.end(&is)
        };
        let [first, second] = put_off;
        let mut old = Side { traveller: &mut was, put_off: first, now: span.now };
        let mut new = Side { traveller: &mut is, put_off: second, now: span.now };
        let found = difference(&mut old, &mut new, &self.policy.rules, &|at, send_at| span.holds(at, send_at));
        let compared =
            compare::Compared { edit, difference: &found, was: &was, is: &is, before: &was_totals, after: &is_totals };
        if self.json {
            json::end(out, &is_totals, &self.unsaid(), Some(compared.json(&self.policy)))
        } else {
            compared.text(out, self)
        }
    }

    /// Tasks of which nothing can be said, each with why.
    fn unsaid(&self) -> Vec<(&str, String)> {
        self.looked.foresight.uncovered.iter().map(|(task, why)| (task.as_str(), why.to_string())).collect()
    }

    fn code(&self) -> u8 {
        let failed = self.edit.as_ref().is_some_and(|edit| edit.tests.failed > 0);
        if failed || !self.looked.foresight.uncovered.is_empty() { exit::NEEDS_A_PERSON } else { exit::DONE }
    }
}

/// A file's name for people.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
