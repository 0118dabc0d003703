//! `dondoc instance`: which copy of the database sends, and taking one over that does not.

use std::io::Write;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    app::who,
    context::{Context, WrongCall, exit, read_moment, stamp_in},
};
use crate::{
    config::settings::Settings,
    engine::instance::{Found, Held, WHAT_TO_DO},
    store::{
        Opened, Store,
        instance::{Adoption, Identity},
    },
};

/// `dondoc instance`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum What {
    /// Whether this database sends, why not, and every earlier adoption
    Show,
    /// Say that this copy is the one that sends from now on; the other one must have stopped for good
    ///
    /// What the other copy may have sent since this one was taken cannot be known. So by default nothing that was due
    /// until now is sent: it is set aside, shown by `explain` and `outbox list`, and `outbox retry` sends a message after
    /// all. Overdue notices are filed in any case.
    Adopt {
        /// Why, for the record
        #[arg(long)]
        why: String,
        /// When the other copy had stopped sending, if that is known: only what was due before is set aside
        #[arg(long, value_name = "MOMENT", conflicts_with = "last_state")]
        nothing_before: Option<String>,
        /// This is the last state there is (moved with its files after the service was stopped): everything is sent
        #[arg(long)]
        last_state: bool,
    },
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let settings = context.settings()?;
    let store = context.store(&settings).await?;
    let done = match &args.what {
        What::Show => show(&*store, &settings, context).await,
        What::Adopt { why, nothing_before, last_state } => {
            let zone = &settings.office.time_zone;
            let cut = match (nothing_before, last_state) {
                (_, true) => None,
                (Some(text), false) => Some(moment(text, zone, context)?),
                (None, false) => Some(context.now()),
            };
            adopt(&*store, &settings, context, why, cut).await
        }
    };
    store.close().await;
    done
}

/// A local moment that has passed.
fn moment(text: &str, zone: &TimeZone, context: &Context) -> anyhow::Result<Timestamp> {
    let at = read_moment(text, &context.office()?.calendar.calendar)?;
    if at > context.now() {
        let now = stamp_in(context.now(), zone);
        return Err(
            WrongCall(format!("`{text}` is still to come: nothing can have been sent after now ({now})")).into()
        );
    }
    Ok(at)
}

async fn show(store: &dyn Store, settings: &Settings, context: &Context) -> anyhow::Result<u8> {
    let guard = super::status::guard(settings);
    let Found { row, neighbour, machine, place, held } = guard.find(store).await?;
    let (adoptions, zone) = (store.adoptions().await?, &settings.office.time_zone);
    let at = |at: Timestamp| stamp_in(at, zone);
    let (reminders, messages) = store.doubtful(context.now()).await?;
    let mut out = std::io::stdout().lock();
    if context.json {
        let held = held.as_ref().map(|held| json!({ "code": held.code(), "message": held.told(), "help": WHAT_TO_DO }));
        let adoptions: Vec<Value> = adoptions
            .iter()
            .map(|a| {
                json!({
                    "at": at(a.at), "by": a.by, "why": a.why, "held": a.held, "generation": a.generation,
                    "nothing_before": a.nothing_before.map(at), "reminders": a.reminders, "messages": a.messages,
                })
            })
            .collect();
        let answer = json!({
            "instance": row.as_ref().map(|row| &row.id),
            "generation": row.as_ref().map(|row| row.generation),
            "sends": held.is_none(),
            "held": held,
            "place": place,
            "same_machine": row.as_ref().filter(|row| !row.machine.is_empty() && !machine.is_empty()).map(|row| row.machine == machine),
            "raised_at": row.as_ref().and_then(|row| row.raised_at).map(at),
            "neighbour": neighbour.as_ref().map(|file| json!({ "instance": file.id, "generation": file.generation, "at": file.at.map(at) })),
            "doubtful": { "reminders": reminders, "messages": messages },
            "adoptions": adoptions,
        });
        writeln!(out, "{answer}")?;
        return Ok(if answer["sends"] == true { exit::DONE } else { exit::NEEDS_A_PERSON });
    }
    match &held {
        None => writeln!(out, "Cơ sở dữ liệu này được gửi: {place}")?,
        Some(held) => {
            writeln!(out, "KHÔNG GỬI: {}. {WHAT_TO_DO}", held.told())?;
            writeln!(
                out,
                "Có thể bản kia đã gửi: {messages} thư hoặc tin, {reminders} lượt nhắc đang chờ ở đây; nhận về thì các mục này \
                 để lại, không gửi (trừ khi --nothing-before hoặc --last-state)."
            )?;
            if let Some(last) = last_known(held, neighbour.as_ref().and_then(|file| file.at)) {
                writeln!(out, "Lần gửi cuối ghi được: {}.", at(last))?;
            }
        }
    }
    if let Some(row) = &row {
        let last = row.raised_at.map_or_else(|| "chưa có".to_owned(), at);
        writeln!(out, "Số hiệu {}, lần gửi thứ {}, cuối cùng lúc {last}", row.id, row.generation)?;
    }
    for a in &adoptions {
        writeln!(
            out,
            "Nhận về {} bởi {}: {} ({}; để lại {} thư, {} lượt nhắc)",
            at(a.at),
            a.by,
            a.why,
            a.held,
            a.messages,
            a.reminders
        )?;
    }
    Ok(if held.is_none() { exit::DONE } else { exit::NEEDS_A_PERSON })
}

/// Until when the other copy is known to have sent.
fn last_known(held: &Held, neighbour: Option<Timestamp>) -> Option<Timestamp> {
    match held {
        Held::Older { at, .. } => *at,
        Held::Copied { at, .. } => Some(*at),
        _ => neighbour,
    }
}

async fn adopt(
    store: &dyn Opened,
    settings: &Settings,
    context: &Context,
    why: &str,
    nothing_before: Option<Timestamp>,
) -> anyhow::Result<u8> {
    let guard = super::status::guard(settings);
    let found = guard.find(store).await?;
    let Some(held) = &found.held else {
        super::app::say("Không có gì phải nhận: cơ sở dữ liệu này vốn được gửi.");
        return Ok(exit::DONE);
    };
    let now = context.now();
    let adoption = Adoption {
        identity: Identity { id: Uuid::new_v4().simple().to_string(), machine: found.machine, place: found.place },
        at_least: found.neighbour.as_ref().map_or(0, |file| file.generation),
        by: who(),
        why: why.to_owned(),
        held: held.code().to_owned(),
        nothing_before,
    };
    let adopted = store.adopt(now, &adoption).await?;
    if let Some(row) = store.instance().await? {
        guard.write(&row).await?;
    }
    Context::ring(settings, store).await;
    if context.json {
        let answer = json!({
            "instance": adoption.identity.id, "generation": adopted.generation, "held": adoption.held,
            "nothing_before": nothing_before.map(|at| stamp_in(at, &settings.office.time_zone)),
            "reminders": adopted.reminders, "messages": adopted.messages,
        });
        super::app::say(&answer.to_string());
    } else {
        super::app::say(&format!(
            "Từ nay bản này gửi. Để lại không gửi: {} thư hoặc tin, {} lượt nhắc (xem `dondoc outbox list`, gửi lại từng thư \
             bằng `dondoc outbox retry`).",
            adopted.messages, adopted.reminders
        ));
    }
    Ok(exit::DONE)
}
