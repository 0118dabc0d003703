//! `dondoc explain`: which rule, every step with its arithmetic, what was sent, what comes next.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::context::{Context, exit, read_moment, stamp, told};
use crate::{
    engine::{arithmetic::arithmetic, policy::Policy},
    message::words,
    planning::{
        ledger::ReminderState,
        plan::{CONFIRM_STEP, STATE_RULE, ladder},
        rules::{Filing, Step},
        task::{Obligation, Role},
    },
    store::ledger::{PlanningStore, ReadingStore, StoryRow, TaskRecord, TaskTexts},
};

/// `dondoc explain`
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The task's code
    pub code: String,
    /// As of an earlier moment: what was not known then is left out
    #[arg(long, value_name = "DAY")]
    pub at: Option<String>,
}

/// One line of the story.
struct Line {
    clock: String,
    step: String,
    occurrence: u32,
    agency: String,
    audience: String,
    channel: String,
    at: Timestamp,
    arithmetic: String,
    /// The step also files a notice.
    files: bool,
    state: &'static str,
    reason: String,
}

/// Runs the command.
pub async fn run(args: &Args, context: &Context) -> anyhow::Result<u8> {
    let policy = context.policy(context.office()?)?;
    let store = context.store(&policy.settings).await?;
    let Some(id) = store.task_by_code(args.code.trim()).await? else {
        anyhow::bail!("there is no task {}; `dondoc task list` shows those there are", args.code);
    };
    let now = match &args.at {
        Some(text) => read_moment(text, &policy.calendar)?,
        None => context.now(),
    };
    let record = store.tasks(&[id]).await?.into_iter().next();
    let texts = store.texts(&[id]).await?.into_iter().next().unwrap_or_default();
    let story: Vec<StoryRow> = store.story(id).await?.into_iter().filter(|row| row.due_at <= now).collect();
    store.close().await;
    let Some(record) = record else { anyhow::bail!("there is no task {}", args.code) };

    let mut out = std::io::stdout().lock();
    if context.json {
        writeln!(out, "{}", as_json(&policy, &record, &story, now))?;
    } else {
        as_text(&mut out, &policy, &record, &texts, &story, now)?;
    }
    Ok(exit::DONE)
}

fn lead(record: &TaskRecord) -> Option<&Obligation> {
    record.task.obligations.iter().find(|o| o.role == Role::Lead).or(record.task.obligations.first())
}

/// A step as its rule stands now.
fn step_of<'a>(policy: &'a Policy, rule: &str, step: &str) -> Option<&'a Step> {
    policy.rules.rules.iter().find(|r| r.id == rule)?.steps.iter().find(|s| s.id == step)
}

fn lines(policy: &Policy, record: &TaskRecord, story: &[StoryRow], now: Timestamp) -> Vec<Line> {
    let agency = |id| {
        let found = record.task.obligations.iter().find(|o| o.agency.id == id);
        found.map(|o| o.agency.code.clone()).unwrap_or_default()
    };
    let mut lines: Vec<Line> = story
        .iter()
        .map(|row| {
            let obligation =
                record.task.obligations.iter().find(|o| o.clock == row.key.clock && o.agency.id == row.key.agency);
            Line {
                clock: row.key.clock.to_string(),
                step: row.key.step.clone(),
                occurrence: row.key.occurrence,
                agency: agency(row.key.agency),
                audience: row.key.audience.to_string(),
                channel: row.key.channel.to_string(),
                at: row.due_at,
                arithmetic: obligation
                    .filter(|o| o.arming == row.key.arming)
                    .zip(step_of(policy, &row.key.rule, &row.key.step))
                    .map(|(o, step)| arithmetic(policy, o, step, row.key.occurrence, row.due_at))
                    .unwrap_or_default(),
                files: step_of(policy, &row.key.rule, &row.key.step)
                    .is_some_and(|step| step.files.contains(&Filing::Notice)),
                state: match row.state {
                    ReminderState::InMessage => "planned",
                    other => other.as_str(),
                },
                reason: reason(policy, row),
            }
        })
        .collect();
    if record.task.state.is_open() && !record.task.held {
        for obligation in record.task.obligations.iter().filter(|o| !o.ended) {
            let Some(rule) = policy.rules.find(&record.task, obligation) else { continue };
            let Ok(ladder) = ladder(&policy.calendar, rule, obligation) else { continue };
            for occurrence in ladder.occurrences.iter().filter(|o| o.at > now) {
                for audience in &occurrence.step.audiences {
                    for channel in &occurrence.step.via {
                        lines.push(Line {
                            clock: obligation.clock.to_string(),
                            step: occurrence.step.id.clone(),
                            occurrence: occurrence.number,
                            agency: obligation.agency.code.clone(),
                            audience: audience.to_string(),
                            channel: channel.to_string(),
                            at: occurrence.at,
                            arithmetic: arithmetic(
                                policy,
                                obligation,
                                occurrence.step,
                                occurrence.number,
                                occurrence.at,
                            ),
                            files: occurrence.step.files.contains(&Filing::Notice),
                            state: "future",
                            reason: String::new(),
                        });
                    }
                }
            }
        }
    }
    lines.sort_by_key(|line| line.at);
    lines
}

fn reason(policy: &Policy, row: &StoryRow) -> String {
    match row.state {
        ReminderState::Sent => {
            let at = row.answered_at.map(|at| told(at, &policy.calendar)).unwrap_or_default();
            format!("{at}, trả lời: {} {}", row.code, row.reply).trim().to_owned()
        }
        ReminderState::Planned | ReminderState::InMessage if row.not_before > row.due_at => {
            format!("chờ đến {}", told(row.not_before, &policy.calendar))
        }
        _ => because(&row.reason),
    }
}

/// A stored reason in plain words.
pub fn because(word: &str) -> String {
    match word {
        "late_entry" => "nhiệm vụ được nhập muộn: chỉ bước nặng nhất đã qua được gửi",
        "deadline_moved" => "thời hạn đã thay đổi",
        "stopped" => "dịch vụ đã dừng; bước nặng hơn đã thay bước này",
        "skipped" => "dịch vụ đã dừng; quy tắc ghi late = \"skip\"",
        "too_late" => "dịch vụ đã dừng lâu hơn max_lateness",
        "new_rule" => "quy tắc hoặc bước có hiệu lực sau thời điểm này",
        "severer_step" => "bước nặng hơn đến hạn trước khi gửi",
        "acknowledged" => "người nhận đã xác nhận, tạm ngừng nhắc lại",
        "classified" => "nhiệm vụ mật: không gửi qua kênh này",
        "completed" => "nhiệm vụ đã hoàn thành",
        "expired" => "không gửi được trong năm ngày cho phép",
        "no_zalo" => "người nhận không dùng Zalo: gửi thư điện tử",
        "channel_off" => "kênh chưa được cấu hình: gửi thư điện tử",
        "nobody_reachable" => "không có địa chỉ nhận nào",
        "no_fallback" => "nhiệm vụ mật không gửi thay cho người khác",
        "refused" => "máy chủ từ chối người nhận",
        "answer_lost" => "mất phản hồi sau khi đã chuyển, không rõ đã nhận hay chưa",
        "changed" => "nhiệm vụ thay đổi trước khi gửi",
        "paused" => "nhiệm vụ tạm dừng",
        "submitted" => "nhiệm vụ đã trình",
        "returned" => "nhiệm vụ bị trả lại",
        "withdrawn" => "nhiệm vụ đã thu hồi",
        "reopened" => "nhiệm vụ được mở lại",
        other => other,
    }
    .to_owned()
}

fn as_json(policy: &Policy, record: &TaskRecord, story: &[StoryRow], now: Timestamp) -> Value {
    let lead = lead(record);
    let deadline = lead.and_then(|o| o.deadline);
    let rule = lead.and_then(|o| policy.rules.find(&record.task, o)).map(|rule| rule.id.clone());
    let steps: Vec<Value> = lines(policy, record, story, now)
        .into_iter()
        .map(|line| {
            json!({
                "clock": line.clock, "step": line.step, "occurrence": line.occurrence, "agency": line.agency,
                "audience": line.audience, "channel": line.channel, "at": stamp(line.at, &policy.calendar),
                "arithmetic": line.arithmetic, "state": line.state, "reason": line.reason,
            })
        })
        .collect();
    json!({
        "task": record.task.code,
        "rule": rule,
        "deadline": deadline.map(|d| d.date.to_string()),
        "effective_deadline": deadline.and_then(|d| policy.calendar.effective(d).ok()).map(|d| d.to_string()),
        "steps": steps,
    })
}

fn as_text(
    out: &mut dyn Write,
    policy: &Policy,
    record: &TaskRecord,
    texts: &TaskTexts,
    story: &[StoryRow],
    now: Timestamp,
) -> anyhow::Result<()> {
    let task = &record.task;
    let vn = |day: jiff::civil::Date| day.strftime("%d/%m/%Y").to_string();
    writeln!(out, "{}: {}", task.code, words::state(task.state))?;
    if !texts.work.is_empty() {
        writeln!(out, "  {}", texts.work)?;
    }
    if task.held {
        writeln!(out, "  Đang giữ lại: chưa nhắc cho đến khi được sửa (xem kết quả nhập).")?;
    }
    for obligation in &task.obligations {
        let role = match obligation.role {
            Role::Lead => "chủ trì",
            Role::Coordinator => "phối hợp",
        };
        write!(out, "{} ({role}), {}: ", obligation.agency.name, words::clock(obligation.clock))?;
        match obligation.deadline {
            None => writeln!(out, "không có một thời hạn cụ thể, nên không nhắc.")?,
            Some(deadline) => {
                let effective = policy.calendar.effective(deadline);
                match effective {
                    Ok(effective) if effective != deadline.date => writeln!(
                        out,
                        "{}, không phải ngày làm việc nên tính đến hết {}; lần đặt hạn thứ {}.",
                        vn(deadline.date),
                        vn(effective),
                        obligation.arming
                    )?,
                    Ok(_) => writeln!(out, "{}; lần đặt hạn thứ {}.", vn(deadline.date), obligation.arming)?,
                    Err(error) => writeln!(out, "{}; {error}", vn(deadline.date))?,
                }
            }
        }
        for rule in &policy.rules.rules {
            if rule.clock != obligation.clock {
                continue;
            }
            match rule.when.matches(task, obligation.role, &obligation.agency) {
                Ok(()) => {
                    writeln!(out, "  quy tắc {}: áp dụng", rule.id)?;
                    break;
                }
                Err(key) => writeln!(out, "  quy tắc {}: không, vì {} ({key}) không khớp", rule.id, condition(key))?,
            }
        }
        if obligation.ended {
            writeln!(out, "  đã kết thúc")?;
        }
    }
    let mut rest = lines(policy, record, story, now);
    for obligation in &task.obligations {
        let clock = obligation.clock.to_string();
        let (own, others) = rest.into_iter().partition(|l| l.agency == obligation.agency.code && l.clock == clock);
        rest = others;
        let title = format!("{}, {}", obligation.agency.name, words::clock(obligation.clock));
        table(out, policy, &title, own, obligation.role)?;
    }
    table(out, policy, "Cơ quan thực hiện trước đây", rest, Role::Lead)?;
    if !task.state.is_open() {
        writeln!(out, "\nTừ nay không nhắc nữa: nhiệm vụ ở trạng thái {}.", words::state(task.state))?;
    }
    Ok(())
}

/// What a key of `when` asks about.
fn condition(key: &str) -> &str {
    match key {
        "role" => "vai trò",
        "block" => "khối",
        "urgency" => "độ khẩn",
        "secrecy" => "độ mật",
        "assigner" => "cấp giao",
        "document_kind" => "loại văn bản",
        "agency" => "cơ quan",
        "agency_kind" => "loại cơ quan",
        "field" => "lĩnh vực",
        "priority" => "trọng tâm",
        other => other,
    }
}

/// One ladder, a line for each step and channel: those to whom the same happened stand together.
fn table(out: &mut dyn Write, policy: &Policy, title: &str, lines: Vec<Line>, role: Role) -> anyhow::Result<()> {
    let mut rows: Vec<(Line, Vec<String>)> = Vec::new();
    for line in lines {
        let audience = words::audience(&line.audience, role);
        let same = |row: &Line| {
            (row.at, &row.step, row.occurrence, &row.channel, row.state, &row.reason, &row.arithmetic)
                == (line.at, &line.step, line.occurrence, &line.channel, line.state, &line.reason, &line.arithmetic)
        };
        match rows.iter_mut().find(|(row, _)| same(row)) {
            Some((_, audiences)) => audiences.push(audience),
            None => rows.push((line, vec![audience])),
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}:")?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.set_header(["Lúc", "Bước", "Kênh", "Tình trạng", "Gửi tới", "Cách tính", "Vì sao"]);
    for (line, audiences) in rows {
        let state = match line.state {
            "sent" => "đã gửi",
            "planned" => "chờ gửi",
            "superseded" => "bỏ qua",
            "suppressed" => "không gửi",
            "dead" => "bị từ chối",
            "unknown" => "không rõ",
            _ => "sắp tới",
        };
        let mut step = line.step.clone();
        if line.step == CONFIRM_STEP {
            step = format!("{STATE_RULE}/{step}");
        }
        if line.occurrence > 1 {
            step.push_str(&format!(" (lần {})", line.occurrence));
        }
        if line.files {
            step.push_str(", phiếu báo");
        }
        table.add_row([
            told(line.at, &policy.calendar),
            step,
            words::form(&line.channel),
            state.to_owned(),
            audiences.join(", "),
            line.arithmetic,
            line.reason,
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    Ok(())
}
