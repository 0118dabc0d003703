//! `dondoc explain`: the whole story of a task, or why somebody got a mail.

mod json;
mod mail;
mod text;

use std::io::Write;

use super::context::{Context, exit, read_moment};
use crate::{
    engine::{
        LAST_PASS, known_directory,
        story::{self, Asked},
    },
    planning::plan::Stop,
    store::{Store, ledger::ReadingStore},
};

pub use crate::engine::story::because;
pub use text::render;

/// `dondoc explain`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// A task's code; or a mail's Message-ID, a message's number of `outbox list`, a notice's number
    pub code: String,
    /// As of another moment: an earlier one as it was known then, a later one as foreseen
    #[arg(long, value_name = "DAY")]
    pub at: Option<String>,
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let mut policy = context.policy(context.office()?)?;
    let store = context.store(&policy.settings).await?;
    policy.known = store.steps_known().await?.0;
    let known = known_directory(ReadingStore::directory(&*store).await?, &policy);
    let now = context.now();
    let at = match &args.at {
        Some(text) => read_moment(text, &policy.calendar)?,
        None => now,
    };
    let last = store.mark(LAST_PASS).await?.map(crate::clock::millis);
    let asked = Asked { now, at, stopped: last.and_then(|last| Stop::between(last, now)) };
    let told = answer(&*store, &policy, &known, args.code.trim(), asked, context.json).await;
    store.close().await;
    let mut out = std::io::stdout().lock();
    out.write_all(told?.as_bytes())?;
    Ok(exit::DONE)
}

/// The answer as it is printed.
pub async fn answer(
    store: &(impl Store + ?Sized),
    policy: &crate::engine::policy::Policy,
    known: &crate::engine::KnownDirectory,
    code: &str,
    asked: Asked,
    as_json: bool,
) -> anyhow::Result<String> {
    let Some(id) = store.task_by_code(code).await? else {
        return mail::answer(store, policy, known, code, asked, as_json).await;
    };
    let material = story::material(store, id).await?;
    let Some(material) = material else { anyhow::bail!("there is no task {code}") };
    let story = story::tell(policy, known, &material, asked);
    if as_json {
        return Ok(format!("{}\n", json::of(policy, &story)));
    }
    if asked.at < material.record.task.known_at {
        return Ok(text::unknown_then(policy, &material, asked.at));
    }
    Ok(text::render(policy, &story))
}
