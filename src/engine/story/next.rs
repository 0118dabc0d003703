//! What comes next for a task, when, and to whom by name as the directory stands; and what would stop it.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::Serialize;

use super::{Material, days, rungs, timeline::again};
use crate::{
    engine::{
        KnownDirectory,
        gather::{Failed, look_up},
        policy::Policy,
    },
    message::words,
    planning::{
        directory::TaskPeople,
        ledger::{ReminderKey, ReminderState},
        plan::{CONFIRM_STEP, STATE_RULE, Stop, ladder},
        rules::{ChannelKind, Rule},
        simulate::{Decided, Foreseen, simulate},
        task::{AgencyId, Clock, Obligation, Role, TaskState},
    },
};

/// Something that comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coming {
    /// When it leaves or is filed.
    #[serde(skip)]
    pub at: Timestamp,
    pub clock: Clock,
    pub agency: String,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
    pub files_notice: bool,
    /// `người đứng đầu cơ quan chủ trì: Vũ Văn Đạt <dat@x.example> (thư điện tử)`
    pub to: Vec<String>,
    pub text: String,
}

/// How far ahead the ladders are climbed.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 366 * 2);

/// As many coming steps as are told with their people.
const TOLD: usize = 3;

/// Everything the planner will do about the task if nothing changes. Empty where a year has no list of days off: the
/// deadline's story says so.
pub(super) fn foresee(policy: &Policy, then: &Material, from: Timestamp, stopped: Option<Stop>) -> Vec<Decided> {
    let task = &then.record.task;
    let last = |obligation: &Obligation| {
        let rule = policy.rules.find(task, obligation)?;
        let ladder = ladder(&policy.calendar, rule, obligation).ok()?;
        ladder.occurrences.last().map(|last| last.at)
    };
    let Ok(limit) = from.checked_add(AHEAD) else { return Vec::new() };
    let until = task.obligations.iter().filter_map(last).max().unwrap_or(from);
    // A little beyond the last rung, where a message that must wait leaves.
    let until = until.checked_add(240.hours()).unwrap_or(limit).clamp(from, limit);
    simulate(&policy.setting(from, stopped), task, &then.record.ledger, until).unwrap_or_default()
}

/// The nearest things to come after `at`.
pub(super) fn next(
    policy: &Policy,
    known: &KnownDirectory,
    then: &Material,
    coming: &[Decided],
    at: Timestamp,
) -> Vec<Coming> {
    let calendar = &policy.calendar;
    let mut found: Vec<Coming> = Vec::new();
    let mut add = |leaves: Timestamp, key: (Clock, AgencyId, &str, &str, u32), notice: bool, to: Vec<String>| {
        let (clock, agency, rule, step, occurrence) = key;
        let agency = name_of(then, agency);
        let same = |one: &Coming| {
            (one.clock, &one.agency, one.rule.as_str(), one.step.as_str(), one.occurrence)
                == (clock, &agency, rule, step, occurrence)
        };
        match found.iter_mut().find(|one| same(one)) {
            Some(one) => {
                one.files_notice |= notice;
                one.to.extend(to);
                // The notice is filed at once; people hear of it with the message.
                if !notice {
                    one.at = leaves;
                }
            }
            None => found.push(Coming {
                at: leaves,
                clock,
                rule: rule.to_owned(),
                step: step.to_owned(),
                occurrence,
                files_notice: notice,
                to,
                text: String::new(),
                agency,
            }),
        }
    };
    // What is on record and has not left yet comes first.
    for row in &then.rows {
        if matches!(row.state, ReminderState::Planned | ReminderState::InMessage) {
            let key = &row.key;
            let leaves = row.not_before.max(at);
            let who = whom(policy, known, then, key, leaves);
            add(leaves, (key.clock, key.agency, &key.rule, &key.step, key.occurrence), false, vec![who]);
        }
    }
    for decided in coming {
        match &decided.what {
            Foreseen::Reminder(due) if due.send_at > at || decided.at >= at => {
                let key = &due.key;
                let who = whom(policy, known, then, key, due.send_at);
                add(due.send_at, (key.clock, key.agency, &key.rule, &key.step, key.occurrence), false, vec![who]);
            }
            Foreseen::Notice(filing) if decided.at > at => {
                let key = &filing.key;
                add(decided.at, (key.clock, key.agency, &key.rule, &key.step, key.occurrence), true, Vec::new());
            }
            _ => {}
        }
    }
    found.sort_by_key(|one| one.at);
    found.truncate(TOLD);
    for (index, one) in found.iter_mut().enumerate() {
        let mut seen = HashSet::new();
        one.to.retain(|who| seen.insert(who.clone()));
        // Names where they are about to be used; who holds a post weeks ahead is only a guess.
        let whom: Vec<String> = match index {
            0 => one.to.clone(),
            _ => one.to.iter().map(|who| who.split(": ").next().unwrap_or_default().to_owned()).collect(),
        };
        let step = match one.rule.as_str() {
            STATE_RULE if one.step == CONFIRM_STEP => "hỏi xác nhận kết quả đã trình".to_owned(),
            STATE_RULE => "báo nhiệm vụ bị trả lại".to_owned(),
            _ => format!("bước {}{}", one.step, again(one.occurrence)),
        };
        let clock = if one.clock == Clock::Report { ", thời hạn báo cáo" } else { "" };
        let mut does = Vec::new();
        if !whom.is_empty() {
            does.push(format!("gửi {}", whom.join("; ")));
        }
        if one.files_notice {
            does.push("lập phiếu báo nhiệm vụ quá hạn".to_owned());
        }
        let does = does.join("; ");
        one.text = format!("{}: {step} ({}{clock}): {does}", days::moment(calendar, one.at), one.agency);
    }
    found
}

fn name_of(then: &Material, agency: AgencyId) -> String {
    let mut obligations = then.record.task.obligations.iter();
    obligations.find(|o| o.agency.id == agency).map(|o| o.agency.name.clone()).unwrap_or_default()
}

/// A slot by its words and its present holder.
fn whom(policy: &Policy, known: &KnownDirectory, then: &Material, key: &ReminderKey, leaves: Timestamp) -> String {
    let mut obligations = then.record.task.obligations.iter();
    let obligation = obligations.find(|o| o.clock == key.clock && o.agency.id == key.agency);
    let role = obligation.map_or(Role::Lead, |o| o.role);
    let people = TaskPeople {
        role,
        agency: key.agency,
        handler: then.record.handler,
        monitor: then.record.monitor,
        assigner_block: then.record.task.assigner_block,
        secrecy: then.record.task.secrecy,
    };
    let day = policy.calendar.date_of(leaves);
    let mut key = key.clone();
    let mut found = look_up(policy, &known.directory, &key, &people, day);
    if matches!(found, Err(Failed::Channel(_))) {
        key.channel = ChannelKind::Email;
        found = look_up(policy, &known.directory, &key, &people, day);
    }
    let who = words::audience(&key.audience.to_string(), role);
    let by = words::form(key.channel.as_str());
    match found {
        Ok(reached) => {
            let name = if reached.name.is_empty() {
                known.directory.agency(reached.agency).map(|agency| agency.name.clone()).unwrap_or_default()
            } else {
                reached.name
            };
            let instead = if reached.stands_in_for.is_some() { ", thay vì chưa có địa chỉ" } else { "" };
            format!("{who}: {name} <{}> ({by}{instead})", reached.address)
        }
        Err(Failed::Person(why)) => format!("{who}: không gửi được ({})", rungs::because(why.as_str())),
        Err(Failed::Channel(why)) => format!("{who}: không gửi được ({})", rungs::because(why)),
    }
}

/// What must happen before anything comes, or what would stop it.
pub(super) fn remarks(policy: &Policy, then: &Material, coming: &[Decided], at: Timestamp) -> Vec<String> {
    let task = &then.record.task;
    if task.held {
        return vec!["Đang giữ lại chờ người sửa: chưa nhắc ai. Sửa dòng này trong tệp rồi nhập lại.".to_owned()];
    }
    let mut told = Vec::new();
    match task.state {
        TaskState::Done => return vec!["Nhiệm vụ đã hoàn thành: không nhắc nữa, trừ khi được mở lại.".to_owned()],
        TaskState::Withdrawn => return vec!["Nhiệm vụ đã thu hồi: không nhắc nữa, trừ khi được mở lại.".to_owned()],
        TaskState::Paused => {
            told.push("Đang tạm dừng: không nhắc, không lập phiếu; thời hạn không đổi.".to_owned());
            told.push("Khi làm tiếp: bước nặng nhất đã qua được báo một lần, rồi theo bậc thang.".to_owned());
            return told;
        }
        TaskState::Submitted => {
            told.push("Đã trình: không đôn đốc cơ quan thực hiện, không lập phiếu; thời gian vẫn tính.".to_owned());
            told.push("Chờ xác nhận hoàn thành (task done) hoặc không chấp nhận (task refuse).".to_owned());
            return told;
        }
        TaskState::Returned => {
            told.push("Bị trả lại: không nhắc cho đến khi phân công lại (task assign).".to_owned());
            return told;
        }
        TaskState::ExtensionRequested => {
            told.push(
                "Đang xin gia hạn: hạn cũ vẫn giữ và việc nhắc vẫn tiếp tục cho đến khi có quyết định.".to_owned(),
            );
        }
        _ => {}
    }
    let open = || task.obligations.iter().filter(|o| !o.ended && o.deadline.is_some());
    for obligation in open().filter(|o| policy.rules.find(task, o).is_none()) {
        told.push(format!(
            "{}, {}: không quy tắc nào khớp, nên không nhắc.",
            obligation.agency.name,
            words::clock(obligation.clock)
        ));
    }
    let acts = coming.iter().any(|decided| !matches!(decided.what, Foreseen::Silent(_)) && decided.at >= at);
    let waits = then.rows.iter().any(|row| matches!(row.state, ReminderState::Planned | ReminderState::InMessage));
    if acts || waits {
        let report = open().any(|o| o.clock == Clock::Report);
        told.push(format!(
            "Sẽ không gửi nữa nếu trước đó nhiệm vụ hoàn thành, đã trình, tạm dừng, bị trả lại hay thu hồi{}; \
             nếu thời hạn đổi thì tính lại từ hạn mới.",
            if report { "; việc nhắc báo cáo dừng khi báo cáo đã nộp" } else { "" }
        ));
        let repeats = |rule: &Rule| rule.steps.iter().any(|step| step.repeat.is_some());
        if open().filter_map(|o| policy.rules.find(task, o)).any(repeats) {
            told.push(
                "“Đã nhận” (task ack) chỉ tạm ngừng các lần nhắc lại, không ngừng bước nặng hơn và phiếu báo."
                    .to_owned(),
            );
        }
    } else if open().next().is_some() {
        told.push("Bậc thang đã hết: không còn bước nào.".to_owned());
    } else if told.is_empty() {
        told.push("Không có thời hạn cụ thể nào đang chạy: không có gì sẽ gửi.".to_owned());
    }
    told
}
