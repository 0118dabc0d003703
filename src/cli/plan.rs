//! `dondoc plan`: what will be sent and filed, to whom, without sending.

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan};
use serde::Serialize;
use serde_json::{Value, json};

use super::context::{Context, WrongCall, exit, read_moment, stamp, told};
use crate::{
    config::rules_file::{RulesContext, load_rules},
    engine::{
        foresee::{DeferredBy, ForeseenEvent, Foresight},
        known_directory,
        policy::Policy,
    },
    planning::{
        calendar::WorkCalendar,
        rules::ChannelKind,
        task::{Clock, Role, TaskId},
    },
    store::ledger::{PlanningStore, ReadingStore, TaskRecord},
};

/// Tasks read at once.
const BATCH: u32 = 500;

/// `dondoc plan`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// First day or moment (2026-12-10, 2026-12-10T08:00); now if left out
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Last day or moment; seven days after the first if left out
    #[arg(long, value_name = "DAY")]
    pub until: Option<String>,
    /// Other rules to plan under, instead of those in force
    #[arg(long, value_name = "FILE")]
    pub rules: Option<std::path::PathBuf>,
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let office = context.office()?;
    let mut policy = context.policy(office)?;
    if let Some(file) = &args.rules {
        match load_rules(file, &RulesContext::of(&policy.settings)) {
            Ok((rules, _)) => policy.rules = rules.rules,
            Err(faults) => {
                super::context::show_faults(&faults);
                return Ok(exit::USAGE);
            }
        }
    }
    let store = context.store(&policy.settings).await?;
    policy.known = store.steps_known().await?.0;
    let now = context.now();
    let from = args.from.as_deref().map_or(Ok(now), |text| read_moment(text, &policy.calendar))?;
    let until = match args.until.as_deref() {
        // A day is meant whole.
        Some(text) if !text.contains('T') => {
            policy.calendar.end_of(policy.calendar.date_of(read_moment(text, &policy.calendar)?))
        }
        Some(text) => read_moment(text, &policy.calendar)?,
        None => from + (7 * 24).hours(),
    };
    if from >= until {
        return Err(WrongCall("--until lies before --from".to_owned()).into());
    }

    let policy = Arc::new(policy);
    let known = Arc::new(known_directory(store.directory().await?, &policy));
    let total = store.counts().await?.open_tasks;
    let bar = super::progress(context.terminal(), total.max(0) as u64, "nhiệm vụ");
    // Looking ahead costs as much as reading: it goes on beside it, a few batches behind at most.
    let (batches, received) = std::sync::mpsc::sync_channel::<Vec<TaskRecord>>(4);
    let (ahead, directory, start) = (policy.clone(), known.clone(), now.min(from));
    let looking = std::thread::spawn(move || {
        let mut foresight = Foresight::default();
        for record in received.into_iter().flatten() {
            // What is due now is part of the answer: it goes out with the first pass.
            foresight.add(&ahead, &directory, &record, start, until, None);
        }
        foresight
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
    let foresight = looking.join().map_err(|_| anyhow::anyhow!("looking ahead panicked: a fault of this program"))?;
    bar.finish_and_clear();
    for (task, uncovered) in foresight.uncovered.iter().take(5) {
        eprintln!("{task}: {uncovered}");
    }
    let uncovered = foresight.uncovered.len();
    let events: Vec<ForeseenEvent> =
        foresight.finish(&policy, now).into_iter().filter(|event| event.send_at >= from && event.at <= until).collect();
    store.close().await;

    // Hundreds of thousands of lines, for a large office: neither the lines nor their text are kept twice.
    let mut out = BufWriter::new(std::io::stdout().lock());
    if context.json {
        as_json(&mut out, &events, from, until, &policy)?;
    } else {
        as_text(&mut out, &events, from, until, &policy)?;
    }
    out.flush()?;
    Ok(if uncovered > 0 { exit::NEEDS_A_PERSON } else { exit::DONE })
}

/// The totals of a look ahead.
pub fn totals(events: &[ForeseenEvent]) -> Value {
    let mut messages: Vec<usize> = events.iter().filter(|e| e.message > 0).map(|e| e.message).collect();
    messages.sort_unstable();
    messages.dedup();
    let mut audiences: BTreeMap<String, u64> = BTreeMap::new();
    let mut channels: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.notice) {
        if let Some(audience) = &event.audience {
            *audiences.entry(audience.to_string()).or_default() += 1;
        }
        if let Some(channel) = event.channel {
            *channels.entry(channel.as_str()).or_default() += 1;
        }
    }
    json!({
        "events": events.len(),
        "reminders": events.iter().filter(|e| !e.notice).count(),
        "messages": messages.len(),
        "notices": events.iter().filter(|e| e.notice).count(),
        "unreachable": events.iter().filter(|e| !e.notice && e.address.is_empty()).count(),
        "by_audience": audiences,
        "by_channel": channels,
    })
}

/// An event as JSON shows it.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    kind: &'static str,
    task: &'a str,
    rule: &'a str,
    step: &'a str,
    occurrence: u32,
    clock: Clock,
    audience: Option<String>,
    person: &'a str,
    channel: Option<ChannelKind>,
    address: &'a str,
    send_at: String,
    message: Option<String>,
    deferred_by: Option<DeferredBy>,
}

fn as_json(
    out: &mut dyn Write,
    events: &[ForeseenEvent],
    from: Timestamp,
    until: Timestamp,
    policy: &Policy,
) -> anyhow::Result<()> {
    let at = |at| stamp(at, &policy.calendar);
    write!(out, "{{\"from\":{},\"until\":{},\"events\":[", json!(at(from)), json!(at(until)))?;
    for (n, e) in events.iter().enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        let line = Line {
            at: at(e.at),
            kind: if e.notice { "notice" } else { "reminder" },
            task: &e.task,
            rule: &e.rule,
            step: &e.step,
            occurrence: e.occurrence,
            clock: e.clock,
            audience: e.audience.as_ref().map(ToString::to_string),
            person: &e.person,
            channel: e.channel,
            address: &e.address,
            send_at: at(e.send_at),
            message: (e.message > 0).then(|| format!("m{}", e.message)),
            deferred_by: e.deferred_by,
        };
        serde_json::to_writer(&mut *out, &line)?;
    }
    writeln!(out, "],\"totals\":{}}}", totals(events))?;
    Ok(())
}

const HEADS: [&str; 8] = ["Gửi lúc", "Thư", "Nhiệm vụ", "Bước", "Gửi tới", "Kênh", "Địa chỉ", "Ghi chú"];

fn cells(e: &ForeseenEvent, calendar: &WorkCalendar) -> [String; 8] {
    let step = if e.occurrence > 1 { format!("{} (lần {})", e.step, e.occurrence) } else { e.step.to_string() };
    let note = match (e.notice, e.address.is_empty(), e.deferred_by) {
        (true, ..) => "lập phiếu báo".to_owned(),
        (_, true, _) => "không có ai nhận được".to_owned(),
        (.., Some(DeferredBy::Hours)) => format!("đến hạn bước {}, chờ giờ gửi", told(e.at, calendar)),
        (.., Some(DeferredBy::Cap)) => "chờ sang ngày sau vì đủ số thư trong ngày".to_owned(),
        _ => String::new(),
    };
    let audience = e.audience.as_ref().map(|a| crate::message::words::audience(&a.to_string(), Role::Lead));
    [
        told(e.send_at, calendar),
        if e.message > 0 { format!("m{}", e.message) } else { String::new() },
        e.task.to_string(),
        step,
        audience.unwrap_or_default(),
        e.channel.map(|c| crate::message::words::form(c.as_str())).unwrap_or_default(),
        e.address.to_string(),
        note,
    ]
}

/// More lines than this are not laid out for a terminal's width: no one reads them there, and a table would keep each
/// cell of each line.
const IN_A_TABLE: usize = 2_000;

fn as_text(
    out: &mut dyn Write,
    events: &[ForeseenEvent],
    from: Timestamp,
    until: Timestamp,
    policy: &Policy,
) -> anyhow::Result<()> {
    let calendar: &WorkCalendar = &policy.calendar;
    // A whole day ends at 24:00: people call it by its own date.
    let last = calendar.local(until - 1.millisecond());
    let end = if calendar.local(until).time() == jiff::civil::Time::midnight() {
        format!("hết ngày {}", last.strftime("%d/%m/%Y"))
    } else {
        told(until, calendar)
    };
    writeln!(out, "Từ {} đến {end}", told(from, calendar))?;
    if events.is_empty() {
        writeln!(out, "Không có gì phải gửi hoặc lập trong thời gian này.")?;
        return Ok(());
    }
    let mut sorted: Vec<&ForeseenEvent> = events.iter().collect();
    sorted.sort_by_key(|e| (e.send_at, e.message, e.at));
    if sorted.len() <= IN_A_TABLE {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
        table.set_header(HEADS);
        for e in sorted {
            table.add_row(cells(e, calendar));
        }
        writeln!(out, "{}", table.trim_fmt())?;
    } else {
        lines(out, &sorted, calendar)?;
    }
    let totals = totals(events);
    writeln!(
        out,
        "\n{} lượt nhắc trong {} thư hoặc tin, {} phiếu báo; {} lượt không có ai nhận được.",
        totals["reminders"], totals["messages"], totals["notices"], totals["unreachable"]
    )?;
    Ok(())
}

/// The same columns, each line by itself; made twice, once to measure.
fn lines(out: &mut dyn Write, events: &[&ForeseenEvent], calendar: &WorkCalendar) -> anyhow::Result<()> {
    let mut widths = HEADS.map(|head| head.chars().count());
    for e in events {
        for (width, cell) in widths.iter_mut().zip(cells(e, calendar)) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut line = |cells: &[String; 8]| {
        let padded = cells.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:width$} ")).collect::<String>();
        writeln!(out, "{}", padded.trim_end())
    };
    line(&HEADS.map(str::to_owned))?;
    for e in events {
        line(&cells(e, calendar))?;
    }
    Ok(())
}
