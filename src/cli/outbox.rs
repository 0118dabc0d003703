//! `dondoc outbox`: what was not accepted yet, and what a person decides about it.

use std::io::Write;

use serde_json::{Value, json};

use super::{
    context::{Context, exit, stamp, told},
    relay_words,
};

/// Tasks that a line of the list names; the rest is counted, and `explain` of the message's number names all.
const NAMED: usize = 4;

/// `dondoc outbox`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum What {
    /// List messages that were not accepted
    List {
        /// Only those in one state (pending, leased, frozen, sent, dead, suppressed, unknown)
        #[arg(long)]
        state: Option<String>,
    },
    /// Print one message exactly as it was handed over
    Show { id: i64 },
    /// Take a dead or unknown message back to pending
    Retry {
        id: i64,
        /// Why
        #[arg(long, default_value = "retried by an operator")]
        reason: String,
    },
    /// Give a message up; its reminders end with the reason
    Discard {
        id: i64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// A message's state in plain words.
fn state_word<'a>(state: &'a str, reason: &str) -> &'a str {
    match state {
        "dead" if reason == "copy" => "để lại:",
        "pending" => "chờ gửi",
        "leased" | "frozen" => "đang gửi",
        "sent" => "đã gửi",
        "dead" => "bị từ chối:",
        "suppressed" => "không gửi:",
        "unknown" => "không rõ đã nhận chưa:",
        other => other,
    }
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let office = context.office()?;
    let calendar = office.calendar.calendar.clone();
    let store = context.store(&office.settings).await?;
    let mut out = std::io::stdout().lock();
    match &args.what {
        What::List { state } => {
            let rows = store.outbox(state.as_deref()).await?;
            if context.json {
                let rows: Vec<Value> = rows
                    .iter()
                    .map(|row| {
                        let reminders: Vec<Value> =
                            row.reminders.iter().map(|(task, step)| json!({ "task": task, "step": step })).collect();
                        json!({
                            "id": row.id.to_string(), "channel": row.channel, "to": row.to, "state": row.state,
                            "attempts": row.attempts, "not_before": stamp(row.not_before, &calendar), "last": row.last,
                            "reminders": reminders, "daily_list": row.list.map(|day| day.to_string()),
                        })
                    })
                    .collect();
                writeln!(out, "{}", Value::Array(rows))?;
            } else {
                let mut table = comfy_table::Table::new();
                table.load_style(comfy_table::presets::NOTHING);
                table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
                table.set_header(["Số", "Kênh", "Tới", "Tình trạng", "Số lần", "Không trước", "Lần cuối", "Nhiệm vụ"]);
                for row in &rows {
                    let mut tasks: Vec<String> = row.reminders.iter().map(|(task, _)| task.clone()).collect();
                    // Two deadlines or two posts of one task: one name.
                    tasks.sort_unstable();
                    tasks.dedup();
                    let more = tasks.len().saturating_sub(NAMED);
                    tasks.truncate(NAMED);
                    tasks.extend((more > 0).then(|| format!("và {more} nhiệm vụ khác")));
                    tasks.extend(row.list.map(|day| format!("danh sách ngày {}", crate::message::words::date(day))));
                    table.add_row([
                        row.id.to_string(),
                        crate::message::words::form(&row.channel.to_string()),
                        row.to.clone(),
                        format!("{} {}", state_word(&row.state, &row.reason), super::explain::because(&row.reason))
                            .trim()
                            .to_owned(),
                        row.attempts.to_string(),
                        told(row.not_before, &calendar),
                        relay_words::last(&row.last),
                        tasks.join(", "),
                    ]);
                }
                if rows.is_empty() {
                    writeln!(out, "Không còn thư nào chờ gửi.")?;
                } else {
                    writeln!(out, "{}", table.trim_fmt())?;
                }
            }
        }
        What::Show { id } => match store.message_bytes(*id).await? {
            Some(bytes) => out.write_all(&bytes)?,
            None => anyhow::bail!("message {id} has not been composed, or there is none of that number"),
        },
        What::Retry { id, reason } => {
            anyhow::ensure!(
                store.retry(context.now(), *id, reason).await?,
                "message {id} is neither dead nor unknown, or nothing of it is still due; `dondoc outbox list` shows what there is"
            );
            Context::ring(&office.settings, &*store).await;
            writeln!(out, "Thư {id} sẽ được gửi lại.")?;
        }
        What::Discard { id, reason } => {
            anyhow::ensure!(
                store.discard(context.now(), *id, reason).await?,
                "message {id} is not waiting, dead or unknown; `dondoc outbox list` shows what there is"
            );
            writeln!(out, "Đã bỏ thư {id}: {reason}")?;
        }
    }
    store.close().await;
    Ok(exit::DONE)
}
