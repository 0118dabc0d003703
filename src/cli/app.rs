//! The command line: which command, with what around it, and how it ends.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand, ValueEnum};

use super::{
    check, clock,
    context::{Context, Exit, WrongCall, exit},
    db, demo, explain, import, instance, logging, notice, outbox,
    ownership::{Reach, step_down},
    plan, register, run, status, task,
};
use crate::{
    clock::Clock,
    config::settings::Settings,
    planning::{ledger::Ledger, plan::plan as plan_task, task::Task},
    store,
};

/// Reminds the right people of assigned work by its deadline, and files overdue notices.
#[derive(Debug, Parser)]
#[command(name = "dondoc", version, propagate_version = true)]
struct Cli {
    /// The settings file
    #[arg(long, env = "DONDOC_CONFIG", default_value = "/etc/dondoc/dondoc.toml", global = true, value_name = "FILE")]
    config: PathBuf,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon (systemd starts this)
    Run(run::Args),
    /// See it work: own folder, sample tasks, mail caught locally, days that pass in seconds
    Demo(demo::Args),
    /// Settings, rules, calendar, templates and [[test]]s, with every fault at once
    Check(check::Args),
    /// Take a spreadsheet in
    Import(import::ImportArgs),
    /// What will be sent and filed, without sending
    Plan(plan::Args),
    /// Which rule, every step with its arithmetic, what was sent, what comes next
    Explain(explain::Args),
    /// One task: show it, or record what happened to it
    Task(task::TaskArgs),
    /// Messages that were not accepted
    Outbox(outbox::Args),
    /// Overdue notices
    Notice(notice::NoticeArgs),
    /// The register of notices
    Register(register::RegisterArgs),
    /// Ready?, last scan, backlog, unreachable people, the register's head
    Status,
    /// Say that the machine's clock is right
    Clock(clock::Args),
    /// The database: copy it, check it, bring it to this program's schema, move it to a server
    Db(db::Args),
    /// Whether this database is the one that sends, or a copy of it
    Instance(instance::Args),
}

/// Parses, runs, and answers the exit code: 0 done, 1 failed, 2 a wrong call, 3 done and a person is needed (README, "Commands").
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(match cli.command {
        Command::Run(_) => tracing::Level::INFO,
        // A whole table is one statement, and the answer says how it went.
        Command::Demo(_) | Command::Db(_) => tracing::Level::ERROR,
        _ => tracing::Level::WARN,
    });
    let context = Context { config: cli.config, json: cli.format == Format::Json, clock: Clock::shared() };
    match dispatch(cli.command, context) {
        Ok(code) => ExitCode::from(code),
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(Exit(code)) => ExitCode::from(*code),
            // `dondoc explain … | head`: whoever reads has enough.
            None if broken_pipe(&error) => ExitCode::SUCCESS,
            None => {
                eprintln!("dondoc: {error:#}");
                ExitCode::from(if error.is::<WrongCall>() { exit::USAGE } else { exit::FAILED })
            }
        },
    }
}

fn broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn dispatch(command: Command, context: Context) -> anyhow::Result<u8> {
    // Rights are given up before any thread exists; a command whose settings cannot be read finds that out itself.
    if !matches!(command, Command::Demo(_))
        && let Ok((settings, _)) =
            crate::config::settings_file::load_settings(&context.config, crate::config::settings_file::environment())
        && !settings.is_on_server()
    {
        let reach = if matches!(command, Command::Run(_)) { Reach::AsOwner } else { Reach::AsRoot };
        step_down(&Context::database(&settings), reach)?;
    }
    if matches!(command, Command::Run(_)) {
        run::few_heaps();
    }
    let runtime = match command {
        // An idle daemon of a few connections needs no thread a core; one command needs none at all.
        Command::Run(_) | Command::Demo(_) => {
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?
        }
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build()?,
    };
    runtime.block_on(async {
        match command {
            Command::Run(args) => run::run(&args, &context).await,
            Command::Demo(args) => demo::run(&args).await,
            Command::Check(args) => {
                let shown = check::Shown { json: context.json, terminal: context.terminal(), ..Default::default() };
                let code = check::run(&args, &context.config, shown, context.now(), &super::wiring::Parts).await?;
                if let Some(folder) = &args.preview {
                    // Diagnostics, for stdout carries check's answer. Faults first: with them there is nothing to show.
                    if code == exit::DONE {
                        eprintln!("{}", super::check_preview::run(&context, folder)?);
                    } else {
                        eprintln!("Chưa viết bản xem trước: sửa các lỗi trên rồi chạy lại.");
                    }
                }
                Ok(code)
            }
            Command::Import(args) => import_files(&args, &context).await,
            Command::Plan(args) => plan::run(&args, &context).await,
            Command::Explain(args) => explain::run(&args, &context).await,
            Command::Outbox(args) => outbox::run(&args, &context).await,
            Command::Task(args) => tasks(&args, &context).await,
            Command::Notice(args) => notices(&args, &context).await,
            Command::Register(args) => {
                // Settings are needed only for the database that they name: whoever holds a copy may have none.
                let open = async || Ok(store::open_read_only(&Context::address(&context.settings()?)).await?);
                register::run(&args, open, context.json, &mut std::io::stdout()).await
            }
            Command::Status => status::run(&context).await,
            Command::Clock(args) => clock::run(&args, &context).await,
            Command::Db(args) => db::run(&args, &context).await,
            Command::Instance(args) => instance::run(&args, &context).await,
        }
    })
}

/// Counts what a changed task would send at once.
struct DueNow {
    policy: crate::engine::policy::Policy,
    now: jiff::Timestamp,
}

impl crate::intake::import::Estimate for DueNow {
    fn messages_due_now(&mut self, task: &Task) -> u64 {
        let setting = self.policy.setting(self.now, None);
        plan_task(&setting, task, &Ledger::default()).map_or(0, |plan| {
            plan.due.iter().filter(|due| due.send_at <= self.now + jiff::SignedDuration::from_hours(24)).count() as u64
        })
    }
}

async fn import_files(args: &import::ImportArgs, context: &Context) -> anyhow::Result<u8> {
    let policy = context.policy(context.office()?)?;
    let settings = policy.settings.clone();
    let store = context.store(&settings).await?;
    let mut policy = policy;
    policy.known = store.steps_known().await?.0;
    let mut estimate = DueNow { policy, now: context.now() };
    let parts = import::Parts {
        settings: &settings,
        store: &*store,
        clock: &context.clock,
        estimate: &mut estimate,
        json: context.json,
    };
    let code = import::run(args, parts, &mut std::io::stdout()).await;
    Context::ring(&settings, &*store).await;
    store.close().await;
    code
}

async fn tasks(args: &task::TaskArgs, context: &Context) -> anyhow::Result<u8> {
    let office = context.office()?;
    let store = context.store(&office.settings).await?;
    let by = who();
    let calendar = &office.calendar.calendar;
    let call = task::TaskCall { store: &*store, calendar, now: context.now(), by: &by, json: context.json };
    let answer = task::run(args, call, &mut std::io::stdout()).await;
    if answer.as_ref().is_ok_and(|answer| answer.changed) {
        Context::ring(&office.settings, &*store).await;
    }
    store.close().await;
    Ok(answer?.exit)
}

async fn notices(args: &notice::NoticeArgs, context: &Context) -> anyhow::Result<u8> {
    let policy = context.policy(context.office()?)?;
    let store = context.store(&policy.settings).await?;
    let render = |sheet: &crate::inspection::export::Sheet<'_>| crate::engine::render_notice(&policy.texts, sheet);
    let call = notice::NoticeCall {
        store: &*store,
        zone: policy.calendar.zone(),
        directory: &policy.settings.notices.directory,
        now: context.now(),
        by: &who(),
        render: &render,
        json: context.json,
    };
    let code = notice::run(args, call, &mut std::io::stdout()).await;
    store.close().await;
    code
}

/// Who calls, for the record: the login name, also behind sudo.
pub fn who() -> String {
    ["SUDO_USER", "LOGNAME", "USER"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "operator".to_owned())
}

/// Writes a line to stdout; a closed pipe ends the answer, not the command.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The channels that settings name.
pub fn channels(
    settings: &Settings,
    clock: &Clock,
) -> anyhow::Result<
    std::collections::HashMap<crate::planning::rules::ChannelKind, std::sync::Arc<dyn crate::channel::Channel>>,
> {
    use crate::{
        channel::{
            Channel, maildir::MaildirChannel, smtp, smtp::SmtpChannel, zalo::webhook, zalo::webhook::WebhookChannel,
        },
        config::settings::{EmailTransport, Zalo},
        planning::rules::ChannelKind,
    };
    let mut channels: std::collections::HashMap<ChannelKind, std::sync::Arc<dyn Channel>> = Default::default();
    let email: std::sync::Arc<dyn Channel> = match &settings.email.transport {
        EmailTransport::Maildir { path } => std::sync::Arc::new(MaildirChannel::new(path)),
        EmailTransport::Smtp(relay) => {
            let address = settings.email.from.rsplit_once('<').map_or(settings.email.from.as_str(), |(_, rest)| rest);
            let address = address.trim_end_matches('>').trim();
            std::sync::Arc::new(SmtpChannel::new(relay, address, smtp::Deadlines::default())?)
        }
    };
    channels.insert(ChannelKind::Email, email);
    if let Zalo::Webhook { url, secrets } = &settings.zalo {
        let webhook = WebhookChannel::new(url, secrets.clone(), clock.clone(), webhook::Deadlines::default())?;
        channels.insert(ChannelKind::Zalo, std::sync::Arc::new(webhook));
    }
    Ok(channels)
}

/// A folder's path for people.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}
