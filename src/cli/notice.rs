//! `dondoc notice`: lists, shows, exports and withdraws overdue notices. Nothing is edited.

use std::{io::Write, path::Path};

use clap::{Args, Subcommand};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};

use crate::{
    clock::millis,
    inspection::{
        export::{ExportReport, Render, reconcile, write_pending},
        notice::{draw_up_withdrawal, facts, parse_number, seal, withdrawal},
        telling::plain,
    },
    message::facts::NoticeFacts,
    store::register::{NoticeDetail, RegisterStore},
};

/// Notices read from the store at once.
const PAGE: u32 = 200;

/// Arguments of `dondoc notice`.
#[derive(Debug, Args)]
pub struct NoticeArgs {
    #[command(subcommand)]
    pub what: NoticeCommand,
}

#[derive(Debug, Subcommand)]
pub enum NoticeCommand {
    /// List notices in the order of filing
    List {
        /// Only those of one task
        #[arg(long, value_name = "CODE")]
        task: Option<String>,
    },
    /// Show one notice with everything it holds
    Show {
        /// As printed: 0007/2026
        number: String,
    },
    /// Write the files that are missing; a changed file is set aside and written again
    Export,
    /// Withdraw a wrong notice by a new entry in the register; the notice itself stays
    Withdraw {
        /// As printed: 0007/2026
        number: String,
        /// Why it is withdrawn
        #[arg(long)]
        reason: String,
        /// The paper that decided it: number, symbol, date
        #[arg(long)]
        document: String,
    },
}

/// What the command works on.
#[derive(Clone, Copy)]
pub struct NoticeCall<'a> {
    pub store: &'a dyn RegisterStore,
    pub zone: &'a TimeZone,
    /// `[notices] directory`
    pub directory: &'a Path,
    pub now: Timestamp,
    /// Who calls, for the record of a withdrawal.
    pub by: &'a str,
    pub render: Render<'a>,
    pub json: bool,
}

/// Runs the command and answers its exit code.
pub async fn run(args: &NoticeArgs, call: NoticeCall<'_>, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    match &args.what {
        NoticeCommand::List { task } => list(call, task.as_deref(), out).await,
        NoticeCommand::Show { number } => show(call, number, out).await,
        NoticeCommand::Export => export(call, out).await,
        NoticeCommand::Withdraw { number, reason, document } => withdraw(call, number, reason, document, out).await,
    }
}

async fn list(call: NoticeCall<'_>, task: Option<&str>, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let mut lines = Vec::new();
    let mut after = 0;
    loop {
        let page = call.store.notices(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.notice;
        for line in page {
            let facts: Value = serde_json::from_str(&line.facts).unwrap_or_default();
            let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
            if task.is_some_and(|task| text("task") != task) {
                continue;
            }
            let code = text("agency_code");
            lines.push(json!({
                "number": text("number"),
                "task": text("task"),
                "agency": if code.is_empty() { text("agency") } else { code },
                "step": line.step,
                "filed_at": local(line.filed_at, call.zone),
                "hash": line.hash,
                "withdrawn": line.withdrawn,
            }));
        }
    }
    if call.json {
        writeln!(out, "{}", Value::Array(lines))?;
        return Ok(0);
    }
    if lines.is_empty() {
        writeln!(out, "Chưa có phiếu báo nào.")?;
        return Ok(0);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["Số", "Nhiệm vụ", "Cơ quan", "Bước", "Lập lúc", ""]);
    for line in &lines {
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let withdrawn = if line["withdrawn"] == true { "đã rút" } else { "" };
        let filed = text("filed_at").parse::<Timestamp>().map(|at| at.to_zoned(call.zone.clone()));
        let filed = filed.map_or_else(|_| String::new(), |at| at.strftime("%d/%m/%Y %H:%M").to_string());
        table.add_row([text("number"), text("task"), text("agency"), text("step"), &filed, withdrawn]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(0)
}

async fn show(call: NoticeCall<'_>, number: &str, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let (year, serial) = numbered(number)?;
    let notice = call.store.notice_by_number(year, serial).await?;
    let notice =
        notice.ok_or_else(|| anyhow::anyhow!("there is no notice {number}; `dondoc notice list` shows all"))?;
    let facts = facts(&notice)?;
    if call.json {
        writeln!(out, "{}", as_json(&notice, &facts, call.zone)?)?;
    } else {
        let withdrawn = withdrawal(&notice)?;
        write!(out, "{}", plain(&facts, &seal(&notice), withdrawn.as_ref(), &notice.files, call.zone))?;
    }
    Ok(0)
}

fn as_json(notice: &NoticeDetail, facts: &NoticeFacts, zone: &TimeZone) -> anyhow::Result<Value> {
    let withdrawn = withdrawal(notice)?.map(|withdrawn| {
        json!({
            "at": local(withdrawn.at, zone),
            "reason": withdrawn.reason,
            "document": withdrawn.document,
            "by": withdrawn.by,
            "entry": withdrawn.seq,
            "hash": withdrawn.hash,
        })
    });
    let files: Vec<Value> = notice
        .files
        .iter()
        .map(|file| json!({"kind": file.kind, "path": file.path, "hash": file.hash, "written": file.written}))
        .collect();
    Ok(json!({
        "number": facts.number,
        "filed_at": local(millis(notice.notice.filed_at), zone),
        "entry": notice.entry.seq,
        "hash": notice.entry.hash,
        "withdrawn": withdrawn,
        "facts": facts,
        "files": files,
    }))
}

async fn export(call: NoticeCall<'_>, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let report = reconcile(call.store, call.directory, call.now, call.render).await?;
    if call.json {
        let failed: Vec<Value> =
            report.failed.iter().map(|(path, error)| json!({"path": path, "message": error.to_string()})).collect();
        let answer = json!({"written": report.written, "intact": report.intact, "missing": report.missing,
                            "set_aside": report.set_aside, "failed": failed});
        writeln!(out, "{answer}")?;
    } else {
        writeln!(out, "Đã ghi {} tệp; {} tệp còn nguyên.", report.written, report.intact)?;
        tell_trouble(&report, out)?;
    }
    Ok(exit(&report))
}

async fn withdraw(
    call: NoticeCall<'_>,
    number: &str,
    reason: &str,
    document: &str,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<u8> {
    let (year, serial) = numbered(number)?;
    let (reason, document) = (reason.trim(), document.trim());
    if reason.is_empty() || document.is_empty() {
        anyhow::bail!("a withdrawal needs its reason and the paper that decided it (--reason, --document)");
    }
    let by = call.by;
    let notice = call
        .store
        .withdraw_notice(year, serial, call.now, &|notice, place| {
            draw_up_withdrawal(notice, place, reason, document, by)
        })
        .await?;
    // From here on it is withdrawn, whatever becomes of the files.
    let report = write_pending(call.store, call.directory, call.now, call.render).await?;
    let facts = facts(&notice)?;
    if call.json {
        writeln!(out, "{}", as_json(&notice, &facts, call.zone)?)?;
    } else {
        let entry = notice.withdrawal.as_ref().map_or(0, |entry| entry.seq);
        writeln!(out, "Đã rút phiếu báo {} bằng mục {entry} của sổ; phiếu báo vẫn được giữ nguyên.", facts.number)?;
        if facts.secrecy.is_classified() {
            writeln!(out, "Nhiệm vụ mật: lý do và văn bản rút không được lưu trong hệ thống.")?;
        }
        tell_trouble(&report, out)?;
    }
    Ok(exit(&report))
}

fn tell_trouble(report: &ExportReport, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    for path in &report.missing {
        writeln!(out, "Tệp bị mất, đã ghi lại: {path}")?;
    }
    for path in &report.set_aside {
        writeln!(out, "Có tệp khác nằm ở chỗ của phiếu báo, đã để riêng: {path}")?;
    }
    for (path, error) in &report.failed {
        writeln!(out, "Chưa ghi được {path} (sẽ thử lại): {error}")?;
    }
    Ok(())
}

fn exit(report: &ExportReport) -> u8 {
    if report.failed.is_empty() && report.set_aside.is_empty() { 0 } else { 3 }
}

fn numbered(text: &str) -> anyhow::Result<(i16, i64)> {
    parse_number(text).ok_or_else(|| anyhow::anyhow!("{text:?} is not a notice's number; write it as 0007/2026"))
}

fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
