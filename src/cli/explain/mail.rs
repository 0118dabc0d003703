//! "Why did he get this?": from a mail's Message-ID, a message's number or a notice's number to the tasks behind it.

use std::fmt::Write;

use serde_json::json;

use super::{json as story_json, text};
use crate::{
    cli::context::stamp,
    engine::{
        KnownDirectory,
        policy::Policy,
        story::{self, Asked, Story, days},
    },
    inspection::notice::parse_number,
    message::{facts::Recipient, words},
    planning::task::TaskId,
    store::{
        Store,
        daily::{DailyList, ListAudience},
        ledger::CarriedRow,
    },
};

/// As many tasks of one message as are told in full.
const TOLD: usize = 20;

/// The answer about what is not a task's code.
pub(super) async fn answer(
    store: &(impl Store + ?Sized),
    policy: &Policy,
    known: &KnownDirectory,
    what: &str,
    asked: Asked,
    as_json: bool,
) -> anyhow::Result<String> {
    if let Some((year, serial)) = parse_number(what)
        && let Some(detail) = store.notice_by_number(year, serial).await?
    {
        return notice(store, policy, known, what, TaskId(detail.notice.task), asked, as_json).await;
    }
    let bare = what.trim_start_matches("Message-ID:").trim();
    let wanted = match bare.contains('@') {
        true => format!("<{}>", bare.trim_matches(['<', '>'])),
        false => bare.to_owned(),
    };
    match store.carried_by(&wanted).await? {
        Some(carried) => message(store, policy, known, &carried, asked, as_json).await,
        None => anyhow::bail!(
            "there is no task, message or notice {what}; `dondoc task list`, `dondoc outbox list` and `dondoc notice list` \
             show those there are"
        ),
    }
}

async fn told(
    store: &(impl Store + ?Sized),
    policy: &Policy,
    known: &KnownDirectory,
    task: TaskId,
    asked: Asked,
) -> anyhow::Result<Story> {
    let material = story::material(store, task).await?;
    let material = material.ok_or_else(|| anyhow::anyhow!("its task is not in the database any more"))?;
    Ok(story::tell(policy, known, &material, asked))
}

async fn notice(
    store: &(impl Store + ?Sized),
    policy: &Policy,
    known: &KnownDirectory,
    number: &str,
    task: TaskId,
    asked: Asked,
    as_json: bool,
) -> anyhow::Result<String> {
    let story = told(store, policy, known, task, asked).await?;
    if as_json {
        let mut answer = story_json::of(policy, &story);
        answer["notice"] = number.into();
        return Ok(format!("{answer}\n"));
    }
    Ok(format!("Phiếu báo {number} thuộc nhiệm vụ {}.\n\n{}", story.task, text::render(policy, &story)))
}

/// A message that carries no reminder but a day's list.
fn daily_list(policy: &Policy, carried: &CarriedRow, list: &DailyList, as_json: bool) -> String {
    if as_json {
        let answer = json!({
            "message": carried.id.to_string(), "channel": carried.channel.as_str(), "to": carried.address,
            "state": carried.state, "dated_at": carried.dated_at.map(|at| stamp(at, &policy.calendar)), "tasks": [],
            "more": 0, "daily_list": {
                "day": list.day.to_string(), "audience": list.audience.as_str(), "entries": list.entries,
            },
        });
        return format!("{answer}\n");
    }
    let recipient: Recipient = serde_json::from_str(&carried.recipient).unwrap_or_default();
    let name = [recipient.name, recipient.agency].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let whose = match list.audience {
        ListAudience::Operator => "Nhận vì là địa chỉ vận hành (email.operator trong dondoc.toml)",
        ListAudience::Monitor => "Nhận vì là người theo dõi các nhiệm vụ trong danh sách",
    };
    let what = match list.entries {
        0 => "cho biết đã liên hệ lại được với tất cả".to_owned(),
        n => format!("{n} trường hợp khi lập"),
    };
    let when = carried.dated_at.map(|at| format!(", soạn lúc {}", days::moment(&policy.calendar, at)));
    format!(
        "Thư số {} tới {name} <{}>{}: danh sách những ai không liên hệ được, ngày {} ({what}).\n{whose}; mỗi ngày làm việc \
         một thư khi có trường hợp. Tình trạng lúc này: xem `dondoc status`.\n",
        carried.id,
        carried.address,
        when.unwrap_or_default(),
        words::date(list.day)
    )
}

/// Why a message went where it went: for each task in it the rule, the step and its arithmetic.
async fn message(
    store: &(impl Store + ?Sized),
    policy: &Policy,
    known: &KnownDirectory,
    carried: &CarriedRow,
    asked: Asked,
    as_json: bool,
) -> anyhow::Result<String> {
    if let Some(list) = &carried.list {
        return Ok(daily_list(policy, carried, list, as_json));
    }
    let mut stories = Vec::new();
    for (task, _) in carried.tasks.iter().take(TOLD) {
        stories.push(told(store, policy, known, *task, asked).await?);
    }
    if as_json {
        let tasks: Vec<_> = stories.iter().map(|story| story_json::of(policy, story)).collect();
        let answer = json!({
            "message": carried.id.to_string(), "channel": carried.channel.as_str(), "to": carried.address,
            "state": carried.state, "dated_at": carried.dated_at.map(|at| stamp(at, &policy.calendar)),
            "tasks": tasks, "more": carried.tasks.len().saturating_sub(TOLD),
        });
        return Ok(format!("{answer}\n"));
    }
    let recipient: Recipient = serde_json::from_str(&carried.recipient).unwrap_or_default();
    let name = [recipient.name, recipient.agency].into_iter().find(|name| !name.is_empty());
    let name = name.map(|name| format!("{name} ")).unwrap_or_default();
    let when = carried.dated_at.map(|at| format!(", soạn lúc {}", days::moment(&policy.calendar, at)));
    let mut out = format!(
        "Thư số {} ({}) tới {name}<{}>{}: {} nhiệm vụ.\n",
        carried.id,
        words::form(carried.channel.as_str()),
        carried.address,
        when.unwrap_or_default(),
        carried.tasks.len()
    );
    for story in &stories {
        let _ = writeln!(out, "\n{}: {}", story.task, story.state);
        if !story.work.is_empty() {
            text::fill(&mut out, 2, &story.work);
        }
        for rung in story.rungs.iter().filter(|rung| rung.message == Some(carried.id)) {
            let who = words::audience(&rung.audience, rung.role);
            let again = if rung.occurrence > 1 {
                format!(", nhắc lại lần {}", rung.occurrence - 1)
            } else {
                String::new()
            };
            let urging = rung.urging.map(|n| format!(", đôn đốc lần {n}")).unwrap_or_default();
            text::fill(
                &mut out,
                2,
                &format!("- Nhận vì là {who}; bước {}{again}{urging} của quy tắc {}.", rung.step, rung.rule),
            );
            if !rung.arithmetic.is_empty() {
                text::fill(&mut out, 4, &format!("Cách tính: {}.", rung.arithmetic));
            }
            if !rung.reason.is_empty() {
                text::fill(&mut out, 4, &format!("Kết quả: {}.", rung.reason));
            }
        }
        if let Some(next) = story.next.first() {
            text::fill(&mut out, 2, &format!("- Tiếp theo: {}.", next.text));
        }
    }
    let more = carried.tasks.len().saturating_sub(TOLD);
    if more > 0 {
        let _ = writeln!(out, "\nCòn {more} nhiệm vụ nữa trong thư; hỏi từng mã bằng `dondoc explain MÃ`.");
    }
    Ok(out)
}
