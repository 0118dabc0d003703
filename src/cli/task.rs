//! `dondoc task`: lists and shows tasks, and records what people did to them.
//!
//! Nothing is sent from here: an act changes the database, and the daemon, once rung, decides what follows.

pub mod show;

use std::{io::Write, str::FromStr};

use clap::{Args, Subcommand, ValueEnum};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};
use serde_json::json;

use crate::{
    message::words,
    planning::{
        calendar::WorkCalendar,
        fold::fold,
        task::{AgencyId, Clock, Deadline, PersonId, TaskId, TaskState},
    },
    store::{
        Store,
        acts::{Act, Acted, By, ContactForm, TaskFilter},
        ledger::DirectoryRows,
    },
};

/// Tasks read from the store at once.
const PAGE: u32 = 500;

/// Arguments of `dondoc task`.
#[derive(Debug, Args)]
pub struct TaskArgs {
    #[command(subcommand)]
    pub what: TaskCommand,
}

/// The task an act is about, and on whose word.
#[derive(Debug, Args)]
pub struct Said {
    /// The task's code
    pub code: String,
    /// The document that decided it: number, symbol, date
    #[arg(long, default_value = "")]
    pub paper: String,
    /// Who decided or reported it; the calling user unless said
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List tasks that are open (or those asked for) by their codes
    List {
        /// Done and withdrawn ones too
        #[arg(long)]
        all: bool,
        /// Only those in one state (in_progress, submitted, done …)
        #[arg(long, value_parser = state)]
        state: Option<TaskState>,
        /// Only those held for a person to mend
        #[arg(long)]
        held: bool,
        /// Only those led by one agency: its code or name
        #[arg(long, value_name = "AGENCY")]
        lead: Option<String>,
        /// Only those due on or before a day
        #[arg(long, value_name = "DATE")]
        due_until: Option<Date>,
    },
    /// Show one task: its state, deadlines, obligations and history
    Show {
        /// The task's code
        code: String,
    },
    /// The work was begun
    Start(Said),
    /// The work was handed in; it waits to be confirmed
    Submit(Said),
    /// What was handed in is not accepted, or the extension asked for is not granted
    Refuse(Said),
    /// The work is done
    Done {
        #[command(flatten)]
        said: Said,
        /// The day it was done; today unless said
        #[arg(long, value_name = "DATE", conflicts_with = "undated")]
        on: Option<Date>,
        /// The day is not known; it can be given later
        #[arg(long)]
        undated: bool,
    },
    /// The agency sends the task back
    Return(Said),
    /// The assigner takes the task back
    Withdraw(Said),
    /// Give the task to another lead agency, other coordinators or another handler
    Assign {
        #[command(flatten)]
        said: Said,
        /// The lead agency: its code or name
        #[arg(long, value_name = "AGENCY", required_unless_present_any = ["coordinators", "handler"])]
        lead: Option<String>,
        /// The coordinating agencies from now on, all of them; "" = none
        #[arg(long, value_name = "AGENCY", num_args = 1..)]
        coordinators: Option<Vec<String>>,
        /// The handler: an e-mail address, or a name if only one person has it
        #[arg(long, value_name = "PERSON")]
        handler: Option<String>,
    },
    /// Urging and filing rest; the deadline stays
    Pause(Said),
    /// After a pause: back to the state before it
    Resume(Said),
    /// A done or withdrawn task is work again
    Reopen(Said),
    /// The report was handed in
    Report(Said),
    /// Move a deadline by a decision, or note that an extension was asked for
    Extend {
        #[command(flatten)]
        said: Said,
        /// The new deadline: a day, or a day with its hour (2026-12-31T17:00)
        #[arg(long, value_name = "DATE", value_parser = Moment::from_str, required_unless_present = "asked")]
        to: Option<Moment>,
        /// It was only asked for: the old deadline holds until it is decided
        #[arg(long, conflicts_with_all = ["to", "decided_on", "approver"])]
        asked: bool,
        #[arg(long, value_enum, default_value_t)]
        clock: ClockArg,
        /// The day of the decision
        #[arg(long, value_name = "DATE")]
        decided_on: Option<Date>,
        /// Who decided
        #[arg(long, default_value = "")]
        approver: String,
    },
    /// The agency has taken note: repeats rest until then
    Ack {
        #[command(flatten)]
        said: Said,
        /// A day (to its end), or a day and hour
        #[arg(long, value_name = "DATE", value_parser = Moment::from_str)]
        until: Moment,
    },
    /// Record an urging by telephone or on paper; it counts as one
    LogContact {
        #[command(flatten)]
        said: Said,
        #[arg(long, value_enum)]
        form: FormArg,
        /// Whom one spoke or wrote to
        #[arg(long)]
        whom: String,
        /// What came of it
        #[arg(long, default_value = "")]
        outcome: String,
        /// The agency that was urged; the lead unless said
        #[arg(long)]
        agency: Option<String>,
        #[arg(long, value_enum, default_value_t)]
        clock: ClockArg,
    },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum ClockArg {
    #[default]
    Completion,
    Report,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormArg {
    Telephone,
    Fax,
    Meeting,
    Letter,
}

/// A day, or a day with an hour, of the office's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub Deadline);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = |_| format!("{text:?} is not a day; write it as 2026-12-31 or 2026-12-31T17:00");
        if text.contains(['T', ' ']) {
            let at = DateTime::from_str(text).map_err(help)?;
            return Ok(Self(Deadline { date: at.date(), time: Some(at.time()) }));
        }
        Ok(Self(Deadline { date: Date::from_str(text).map_err(help)?, time: None }))
    }
}

fn state(text: &str) -> Result<TaskState, String> {
    TaskState::from_word(text).ok_or_else(|| {
        let all: Vec<&str> = TaskState::ALL.iter().map(|state| state.as_str()).collect();
        format!("it is one of {}", all.join(", "))
    })
}

/// What the command works on.
#[derive(Clone, Copy)]
pub struct TaskCall<'a> {
    pub store: &'a dyn Store,
    pub calendar: &'a WorkCalendar,
    pub now: Timestamp,
    /// Who calls, where `--by` does not say another.
    pub by: &'a str,
    pub json: bool,
}

impl TaskCall<'_> {
    fn today(&self) -> Date {
        self.calendar.date_of(self.now)
    }

    async fn find(&self, code: &str) -> anyhow::Result<TaskId> {
        let code = code.trim();
        let found = match self.store.task_by_code(code).await? {
            Some(found) => Some(found),
            None => self.store.task_by_code(&code.to_uppercase()).await?,
        };
        found.ok_or_else(|| anyhow::anyhow!("there is no task {code}; `dondoc task list --all` shows all"))
    }
}

/// What the command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub exit: u8,
    /// Something was changed: ring the daemon.
    pub changed: bool,
}

const READ: Answer = Answer { exit: 0, changed: false };

/// Runs the command.
pub async fn run(args: &TaskArgs, call: TaskCall<'_>, out: &mut (dyn Write + Send)) -> anyhow::Result<Answer> {
    use TaskCommand::*;
    let (said, act) = match &args.what {
        List { all, state, held, lead, due_until } => {
            let lead = match lead {
                Some(name) => Some(agency(&call.store.directory().await?, name)?),
                None => None,
            };
            let open_only = !all && state.is_none();
            let filter = TaskFilter { state: *state, open_only, held_only: *held, lead, due_until: *due_until };
            return list(call, &filter, out).await;
        }
        Show { code } => {
            show::show(call, call.find(code).await?, out).await?;
            return Ok(READ);
        }
        Assign { said, lead, coordinators, handler } => {
            let acts = reassignments(call, lead.as_deref(), coordinators.as_deref(), handler.as_deref()).await?;
            return perform(call, said, &acts, out).await;
        }
        LogContact { said, form, whom, outcome, agency: name, clock } => {
            let agency = match name {
                Some(name) => agency(&call.store.directory().await?, name)?,
                None => lead_of(call, &said.code).await?,
            };
            let act = Act::LogContact {
                clock: clock_of(*clock),
                agency,
                form: form_of(*form),
                whom: whom.clone(),
                outcome: outcome.clone(),
            };
            (said, act)
        }
        Start(said) => (said, Act::Start),
        Submit(said) => (said, Act::Submit),
        Refuse(said) => (said, Act::Refuse),
        Return(said) => (said, Act::Return),
        Withdraw(said) => (said, Act::Withdraw),
        Pause(said) => (said, Act::Pause),
        Resume(said) => (said, Act::Resume),
        Reopen(said) => (said, Act::Reopen),
        Report(said) => (said, Act::Report),
        Done { said, on, undated } => {
            (said, Act::Done { on: if *undated { None } else { Some(on.unwrap_or(call.today())) } })
        }
        Extend { said, to: None, .. } => (said, Act::AskExtension),
        Extend { said, to: Some(Moment(due)), clock, decided_on, approver, .. } => {
            // A deadline that cannot be counted with would leave the task unplanned.
            call.calendar.effective(*due)?;
            let (clock, approver) = (clock_of(*clock), approver.clone());
            (said, Act::Extend { clock, date: due.date, time: due.time, decided_on: *decided_on, approver })
        }
        Ack { said, until: Moment(until) } => {
            let until = match until.time {
                Some(time) => call.calendar.instant(until.date, time),
                None => call.calendar.end_of(until.date),
            };
            (said, Act::Acknowledge { until })
        }
    };
    perform(call, said, &[act], out).await
}

async fn perform(
    call: TaskCall<'_>,
    said: &Said,
    acts: &[Act],
    out: &mut (dyn Write + Send),
) -> anyhow::Result<Answer> {
    let id = call.find(&said.code).await?;
    let by = By { who: said.by.as_deref().unwrap_or(call.by).to_owned(), paper: said.paper.clone() };
    let mut last: Option<Acted> = None;
    let mut silenced = 0;
    for act in acts {
        let acted = call.store.act(call.now, call.today(), id, act, &by).await?;
        silenced += acted.silenced;
        last = Some(acted);
    }
    let Some(acted) = last else { return Ok(READ) };
    if call.json {
        let answer = json!({"task": said.code, "state": acted.state.as_str(), "silenced": silenced,
                            "without_paper": acted.without_paper, "dropped": acted.dropped});
        writeln!(out, "{answer}")?;
    } else {
        writeln!(out, "Đã ghi nhận. {}: {}.", said.code, words::state(acted.state))?;
        if silenced > 0 {
            writeln!(out, "{silenced} lời nhắc đang chờ sẽ không gửi nữa.")?;
        }
        if acted.without_paper {
            writeln!(out, "Thay đổi thời hạn không có văn bản kèm theo (--paper); lịch sử ghi rõ điều này.")?;
        }
        if acted.dropped {
            writeln!(out, "Nhiệm vụ mật: văn bản, người quyết định và lời ghi không được lưu trong hệ thống.")?;
        }
    }
    Ok(Answer { exit: 0, changed: true })
}

async fn reassignments(
    call: TaskCall<'_>,
    lead: Option<&str>,
    coordinators: Option<&[String]>,
    handler: Option<&str>,
) -> anyhow::Result<Vec<Act>> {
    // Everything is looked up before anything is changed.
    let directory = call.store.directory().await?;
    let mut acts = Vec::new();
    if let Some(name) = lead {
        acts.push(Act::Assign { lead: agency(&directory, name)? });
    }
    if let Some(names) = coordinators {
        let agencies = names.iter().filter(|name| !name.trim().is_empty()).map(|name| agency(&directory, name));
        acts.push(Act::SetCoordinators { agencies: agencies.collect::<anyhow::Result<_>>()? });
    }
    if let Some(name) = handler {
        acts.push(Act::SetHandler { person: person(&directory, name)? });
    }
    Ok(acts)
}

async fn lead_of(call: TaskCall<'_>, code: &str) -> anyhow::Result<AgencyId> {
    let id = call.find(code).await?;
    let record = call.store.tasks(&[id]).await?;
    record
        .first()
        .and_then(|record| show::lead(&record.task))
        .map(|duty| duty.agency.id)
        .ok_or_else(|| anyhow::anyhow!("{code} has no lead agency; name the agency with --agency"))
}

/// The one agency of a code or name; never the first of several.
fn agency(directory: &DirectoryRows, name: &str) -> anyhow::Result<AgencyId> {
    let folded = fold(name);
    let own = directory.agencies.iter().filter(|a| fold(&a.code) == folded || fold(&a.name) == folded).map(|a| a.id);
    let known = directory.names.iter().filter(|(name, _)| *name == folded).map(|(_, id)| *id);
    let mut found: Vec<AgencyId> = own.chain(known).collect();
    found.sort_unstable();
    found.dedup();
    match found[..] {
        [one] if !folded.is_empty() => Ok(one),
        [] | [_] => anyhow::bail!("there is no agency {name:?} in the directory; write its code or its full name"),
        _ => anyhow::bail!("{name:?} may be any of {} agencies; write the code", found.len()),
    }
}

/// The one person of an e-mail address or name.
fn person(directory: &DirectoryRows, name: &str) -> anyhow::Result<PersonId> {
    let folded = fold(name);
    let is = |p: &&crate::planning::directory::Person| {
        fold(&p.name) == folded || !p.email.is_empty() && p.email.eq_ignore_ascii_case(name.trim())
    };
    let found: Vec<PersonId> = directory.people.iter().filter(is).map(|person| person.id).collect();
    match found[..] {
        [one] if !folded.is_empty() => Ok(one),
        [] | [_] => anyhow::bail!("there is nobody of this name or address in the directory"),
        _ => anyhow::bail!("{} people have this name; write the e-mail address", found.len()),
    }
}

fn clock_of(clock: ClockArg) -> Clock {
    match clock {
        ClockArg::Completion => Clock::Completion,
        ClockArg::Report => Clock::Report,
    }
}

fn form_of(form: FormArg) -> ContactForm {
    match form {
        FormArg::Telephone => ContactForm::Telephone,
        FormArg::Fax => ContactForm::Fax,
        FormArg::Meeting => ContactForm::Meeting,
        FormArg::Letter => ContactForm::Letter,
    }
}

async fn list(call: TaskCall<'_>, filter: &TaskFilter, out: &mut (dyn Write + Send)) -> anyhow::Result<Answer> {
    let mut lines = Vec::new();
    let mut after = String::new();
    loop {
        let page = call.store.list_tasks(filter, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.code);
        lines.extend(page);
    }
    if call.json {
        let all: Vec<_> = lines
            .iter()
            .map(|line| {
                json!({"task": line.code, "state": line.state.as_str(), "lead": line.lead, "deadline": line.due,
                       "completed_on": line.completed_on, "held": line.held, "work": line.work})
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::Array(all))?;
        return Ok(READ);
    }
    if lines.is_empty() {
        writeln!(out, "Không có nhiệm vụ nào.")?;
        return Ok(READ);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["Mã", "Chủ trì", "Thời hạn", "Trạng thái", "Nội dung"]);
    for line in &lines {
        let held = if line.held.is_empty() { "" } else { " (chờ sửa)" };
        let work: String = match line.work.char_indices().nth(60) {
            Some((end, _)) => format!("{}…", &line.work[..end]),
            None => line.work.clone(),
        };
        let due = line.due.map(words::date).unwrap_or_default();
        table.add_row([&line.code, &line.lead, &due, &format!("{}{held}", words::state(line.state)), &work]);
    }
    writeln!(out, "{table}")?;
    writeln!(out, "{} nhiệm vụ.", lines.len())?;
    Ok(READ)
}
