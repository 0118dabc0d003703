//! Taking up an office's files: at start and at SIGHUP, all or nothing, after everything that `check` does.
//!
//! What was accepted is kept in the database. A faulty edit changes nothing but what `status` and the journal say; and
//! a daemon that has to start while the files are at fault goes on under what was accepted last: a machine that boots
//! at night must not stop reminding because of a slip of the pen, and is loud about it until the files are mended. Only
//! faulty settings (`dondoc.toml`), or rules at fault before any were accepted, end it with exit code 2.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    check,
    consequences::{InForce, Teller, changes, weigh},
    context::{Context, Exit, exit, own_texts, policy_of, show_faults},
    templates,
    wiring::Parts,
};
use crate::{
    config::{
        calendar_file::parse_calendar,
        load::{OfficeFiles, load_all},
        problem::{Problem, Problems, Severity, Source},
        rules_file::{RulesContext, parse_rules},
        settings::{EmailTransport, Settings, Zalo},
        settings_file::environment,
    },
    engine::{Engine, policy::Policy},
    message::texts::Texts,
    store::{Store, policy::AcceptedPolicy},
};

/// How an attempt to take files up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// The files are at fault.
    Refused,
    /// The files are well, the database failed.
    Failed,
}

impl Outcome {
    /// The word of `status` and of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// The last attempt.
#[derive(Debug, Clone)]
pub struct Last {
    pub at: Timestamp,
    pub outcome: Outcome,
    /// Of the rules and calendar that were to be taken up; empty where they could not be read.
    pub digest: String,
    pub faults: usize,
    pub first_fault: Option<Fault>,
    /// Settings that changed and hold only after a restart.
    pub restart: Vec<&'static str>,
    /// What the edit does to the tasks there are.
    pub moved: Vec<String>,
    pub tasks: u64,
}

/// Where a fault is, and what.
#[derive(Debug, Clone)]
pub struct Fault {
    /// `rules.toml:12:5`
    pub place: String,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    fn of(problem: &Problem) -> Self {
        let file =
            Path::new(&problem.file).file_name().map_or(problem.file.clone(), |n| n.to_string_lossy().into_owned());
        Self {
            place: format!("{file}:{}:{}", problem.line, problem.column),
            code: problem.code,
            message: problem.message.clone(),
        }
    }

    /// The first error of a list.
    pub fn first(problems: &Problems) -> Option<Self> {
        problems.iter().find(|problem| problem.severity == Severity::Error).map(Fault::of)
    }

    pub fn to_json(&self) -> Value {
        json!({ "place": self.place, "code": self.code, "message": self.message })
    }
}

/// What the daemon runs under.
#[derive(Debug, Clone)]
pub struct InUse {
    pub digest: String,
    pub accepted_at: Timestamp,
    /// From the database, because the files were at fault at the start.
    pub from_database: bool,
    /// Of the files on disk, as they were when they were taken up; empty: they were not.
    pub files: String,
    pub last: Option<Last>,
}

/// What is in use, for `status`, the metrics and systemd's status line.
#[derive(Debug)]
pub struct Standing(Mutex<InUse>);

impl Standing {
    pub fn new(in_use: InUse) -> Self {
        Self(Mutex::new(in_use))
    }

    /// As it is now.
    pub fn now(&self) -> InUse {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, in_use: InUse) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = in_use;
    }

    /// What must be seen before anything else in `systemctl status`, where something is wrong. It names no content of a
    /// file: every user of the machine can read it.
    pub fn alarm(&self) -> Option<String> {
        let in_use = self.now();
        let last = in_use.last.filter(|last| last.outcome != Outcome::Accepted)?;
        let (what, rules) = match (last.outcome, in_use.from_database) {
            (Outcome::Failed, _) => ("reload FAILED", "the last good rules stay"),
            (_, true) => ("FILES AT FAULT", "runs under the rules accepted last"),
            (_, false) => ("reload REFUSED", "the last good rules stay"),
        };
        let place = last.first_fault.map_or(String::new(), |fault| format!(" ({}, {})", fault.place, fault.code));
        Some(format!("{what}{place}: {rules}"))
    }

    /// Whether the files on disk differ from what was taken up.
    pub fn files_differ(&self, config: &Path, settings: &Settings) -> bool {
        disk_digest(config, settings) != self.now().files
    }
}

/// The digest of an office's rules and calendar, as they were read.
pub fn digest_of(office: &OfficeFiles) -> String {
    let (rules, calendar) = texts_of(office);
    digest(&[rules.as_bytes(), calendar.as_bytes()])
}

fn texts_of(office: &OfficeFiles) -> (String, String) {
    let rules = office.rules.places.values().next().map(|place| place.source.text().to_owned());
    (rules.unwrap_or_default(), office.calendar.covers_place.source.text().to_owned())
}

fn digest(texts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hex::encode(hash.finalize())
}

/// The digest of all files on disk, own templates included; a file that cannot be read counts as empty.
pub fn disk_digest(config: &Path, settings: &Settings) -> String {
    let mut texts: Vec<Vec<u8>> = [config, &settings.files.rules, &settings.files.calendar]
        .map(|path| std::fs::read(path).unwrap_or_default())
        .into();
    if let Some(folder) = &settings.files.templates {
        for (name, text) in templates::read(folder).overrides {
            texts.extend([name.into_bytes(), text.into_bytes()]);
        }
    }
    digest(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// What was read of the files.
struct Read {
    office: OfficeFiles,
    policy: Policy,
    warnings: Problems,
    disk: String,
}

/// Times the files are read again when an editor writes while they are.
const READS: u32 = 5;

/// Reads everything from one moment: an editor that writes meanwhile makes it read again.
fn read(context: &Context) -> Result<Read, Problems> {
    let mut before = None;
    for _ in 0..READS {
        let (office, warnings) = load_all(&context.config, environment())?;
        let policy = match policy_of(office.clone()) {
            Ok(policy) => policy,
            Err(error) => return Err(template_fault(&office.settings, &error)),
        };
        let disk = disk_digest(&context.config, &office.settings);
        if before.as_ref() == Some(&disk) {
            return Ok(Read { office, policy, warnings, disk });
        }
        before = Some(disk);
    }
    let source = Source::new(context.config.display().to_string(), "");
    let place = crate::config::problem::Place::start(&source);
    let message = "các tệp đang được ghi, đọc mỗi lần một khác";
    Err(Problem::new(Severity::Error, &place, "files-changing", message, "ghi xong rồi nạp lại").into())
}

fn template_fault(settings: &Settings, error: &anyhow::Error) -> Problems {
    let folder = settings.files.templates.as_deref().unwrap_or(Path::new(""));
    let problems = templates::problems(&templates::read(folder));
    if problems.has_errors() {
        return problems;
    }
    // Whole by now: an editor wrote meanwhile, and what was read first is what is told.
    let folder = folder.display().to_string();
    let place = crate::config::problem::Place::start(&Source::new(folder, ""));
    let help = "sửa mẫu này, hoặc bỏ tệp đi để dùng mẫu có sẵn";
    Problem::new(Severity::Error, &place, "template", format!("{error:#}"), help).into()
}

/// The policy of texts that were accepted earlier, under the settings of today.
fn accepted_policy(accepted: &AcceptedPolicy, settings: &Settings) -> Result<Policy, Problems> {
    let rules = Source::new("rules.toml (đã nhận)", &*accepted.rules);
    let calendar = Source::new("calendar.toml (đã nhận)", &*accepted.calendar);
    let (rules, _) = parse_rules(&rules, &RulesContext::of(settings))?;
    let (calendar, _) = parse_calendar(&calendar, settings.office.time_zone.clone())?;
    let own = settings.files.templates.as_deref().and_then(|folder| own_texts(folder).ok());
    let texts = own.unwrap_or_else(Texts::built_in);
    Ok(Policy {
        rules: rules.rules,
        calendar: calendar.calendar,
        texts,
        settings: settings.clone(),
        known: Default::default(),
    })
}

/// What the daemon starts under, and what it keeps of it once the engine has accepted the steps.
pub struct Start {
    pub policy: Policy,
    pub standing: InUse,
    accept: Option<AcceptedPolicy>,
}

impl Start {
    /// Keeps the texts the engine now runs under.
    pub async fn accepted(&self, store: &dyn Store) -> crate::store::Result<()> {
        if let Some(accept) = &self.accept {
            store.accept_policy(accept).await?;
        }
        Ok(())
    }
}

/// Decides what to start under.
pub async fn start(context: &Context, store: &dyn Store, settings: &Settings) -> anyhow::Result<Start> {
    let now = context.now();
    let before = store.policy_in_force().await?;
    let faults = match read(context) {
        Ok(read) => {
            let digest = digest_of(&read.office);
            for warning in read.warnings.iter() {
                tracing::warn!("{}", one_line(warning));
            }
            let same = before.as_ref().filter(|before| before.digest == digest);
            if let Some(same) = same {
                let standing = in_use(digest, same.accepted_at, read.disk, None);
                return Ok(Start { policy: read.policy, standing, accept: None });
            }
            let findings = check::judge(&check::Args::default(), &read.office, Problems::default(), now, &Parts).await;
            if findings.ok() || before.is_none() {
                // The first rules ever: there are no others to run under, and reminders flow.
                if !findings.ok() {
                    show_faults(&findings.problems);
                    tracing::error!("started under faulty rules, for none were accepted before: see `dondoc check`");
                }
                if let Some(old) = before.as_ref().and_then(|b| InForce::read(b, read.policy.calendar.zone()).ok()) {
                    for line in told(store, &read.office, &old, now, &|| ()).await? {
                        tracing::info!("{line}");
                    }
                }
                let (rules, calendar) = texts_of(&read.office);
                let accept = AcceptedPolicy { accepted_at: now, digest: digest.clone(), rules, calendar };
                let standing = in_use(digest, now, read.disk, None);
                return Ok(Start { policy: read.policy, standing, accept: Some(accept) });
            }
            findings.problems
        }
        Err(faults) => faults,
    };
    show_faults(&faults);
    let fallback = before.and_then(|before| Some((accepted_policy(&before, settings).ok()?, before)));
    let Some((policy, before)) = fallback else {
        return Err(Exit(exit::USAGE).into());
    };
    let last = refusal(now, String::new(), &faults);
    tracing::error!(
        fault = %last.first_fault.as_ref().map_or("", |fault| &fault.place),
        accepted = %super::context::stamp_in(before.accepted_at, &settings.office.time_zone),
        "the files are at fault: started under the rules accepted last; mend them and reload"
    );
    let mut standing = in_use(before.digest, before.accepted_at, String::new(), Some(last));
    standing.from_database = true;
    Ok(Start { policy, standing, accept: None })
}

fn in_use(digest: String, accepted_at: Timestamp, files: String, last: Option<Last>) -> InUse {
    InUse { digest, accepted_at, from_database: false, files, last }
}

fn refusal(at: Timestamp, digest: String, faults: &Problems) -> Last {
    Last {
        at,
        outcome: Outcome::Refused,
        digest,
        faults: faults.count(Severity::Error),
        first_fault: Fault::first(faults),
        restart: Vec::new(),
        moved: Vec::new(),
        tasks: 0,
    }
}

/// What an edit does to the tasks there are, line by line.
async fn told(
    store: &dyn Store,
    office: &OfficeFiles,
    old: &InForce,
    now: Timestamp,
    between: &(dyn Fn() + Send + Sync),
) -> crate::store::Result<Vec<String>> {
    let found = weigh(store, office, Some(old), now, between).await?;
    let known = store.steps_known().await?.0;
    Ok(changes(&Teller::new(office, &known).tell(&found, Some(old))))
}

/// Reads the files again and takes them up, or says why not. `alive` is called as the work goes on.
pub async fn reload(
    context: &Context,
    engine: &Engine,
    standing: &Standing,
    alive: &(dyn Fn() + Send + Sync),
) -> Outcome {
    let was = standing.now();
    let last = attempt(context, engine, &was, alive).await;
    match last {
        Ok((last, files)) => {
            for line in &last.moved {
                tracing::info!("{line}");
            }
            if !last.restart.is_empty() {
                tracing::warn!(settings = %last.restart.join(", "), "these changed and hold only after a restart");
            }
            tracing::info!(
                tasks = last.tasks,
                rules = %last.digest.get(..12).unwrap_or_default(),
                "reloaded: what is not yet sent is planned anew"
            );
            let accepted_at = if last.digest == was.digest { was.accepted_at } else { last.at };
            standing.set(in_use(last.digest.clone(), accepted_at, files, Some(last)));
            Outcome::Accepted
        }
        Err(last) => {
            let fault = last.first_fault.as_ref();
            tracing::error!(
                faults = last.faults,
                first = %fault.map_or(String::new(), |fault| format!("{} {}: {}", fault.place, fault.code, fault.message)),
                "reload {}: the last good rules stay in force",
                last.outcome.as_str()
            );
            let outcome = last.outcome;
            standing.set(InUse { last: Some(last), ..was });
            outcome
        }
    }
}

async fn attempt(
    context: &Context,
    engine: &Engine,
    was: &InUse,
    alive: &(dyn Fn() + Send + Sync),
) -> Result<(Last, String), Last> {
    let now = context.now();
    let read = read(context).map_err(|faults| {
        show_faults(&faults);
        refusal(now, String::new(), &faults)
    })?;
    let digest = digest_of(&read.office);
    let findings = check::judge(&check::Args::default(), &read.office, Problems::default(), now, &Parts).await;
    if !findings.ok() {
        show_faults(&findings.problems);
        return Err(refusal(now, digest, &findings.problems));
    }
    let before = engine.policy();
    let restart = restart_needed(&before.settings, &read.office.settings);
    let failed = |what: &str, error: crate::store::StoreError| {
        tracing::error!(%error, "{what}");
        Last { outcome: Outcome::Failed, ..refusal(now, digest.clone(), &Problems::default()) }
    };
    let moved = if digest == was.digest {
        Vec::new()
    } else {
        let old = InForce::of(&before, was.accepted_at, was.digest.clone());
        // Told before it is taken up: afterwards the tasks stand under the new rules.
        told(&*engine.store, &read.office, &old, now, alive)
            .await
            .map_err(|error| failed("the open tasks could not be read", error))?
    };
    let mut policy = read.policy;
    // The connections stand as they were opened; planning for others would be planning for nobody.
    policy.settings.store_url = before.settings.store_url.clone();
    policy.settings.store_password = before.settings.store_password.clone();
    policy.settings.zalo = before.settings.zalo.clone();
    policy.settings.email.transport = before.settings.email.transport.clone();
    policy.settings.web = before.settings.web.clone();
    let (rules, calendar) = texts_of(&read.office);
    let tasks =
        engine.take_rules(policy).await.map_err(|error| failed("the new rules could not be taken up", error))?;
    let accepted = AcceptedPolicy { accepted_at: now, digest: digest.clone(), rules, calendar };
    // They are in force already; what is missing here is kept at the next start.
    if let Err(error) = engine.store.accept_policy(&accepted).await {
        tracing::error!(%error, "the texts of the new rules were not kept in the database");
    }
    let last =
        Last { at: now, outcome: Outcome::Accepted, digest, faults: 0, first_fault: None, restart, moved, tasks };
    Ok((last, read.disk))
}

/// Settings that differ and that a running daemon cannot change under itself.
pub fn restart_needed(before: &Settings, after: &Settings) -> Vec<&'static str> {
    let password = |settings: &Settings| match &settings.email.transport {
        EmailTransport::Smtp(smtp) => smtp.password.clone(),
        EmailTransport::Maildir { .. } => None,
    };
    let secrets = |settings: &Settings| match &settings.zalo {
        Zalo::Webhook { secrets, .. } => secrets.clone(),
        Zalo::Off => Vec::new(),
    };
    let mail = |settings: &Settings| format!("{:?} {}", settings.email.transport, settings.email.from);
    [
        ("store.url", before.store_url != after.store_url || before.store_password != after.store_password),
        ("web.listen", before.web.listen != after.web.listen),
        ("scan.schedule", before.scan.schedule != after.scan.schedule),
        ("office.time_zone", before.office.time_zone_name != after.office.time_zone_name),
        ("email", mail(before) != mail(after) || password(before) != password(after)),
        ("zalo", format!("{:?}", before.zalo) != format!("{:?}", after.zalo) || secrets(before) != secrets(after)),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

fn one_line(problem: &Problem) -> String {
    problem.render(false).split_whitespace().collect::<Vec<_>>().join(" ")
}
