//! The rungs of a task's ladders: those on record with what came of each, those that are foreseen.

use jiff::{SignedDuration, Timestamp};

use super::{Armed, Material, days};
use crate::{
    config::{calendar_words, settings::Zalo},
    engine::{arithmetic::Counted, policy::Policy},
    message::{facts::Recipient, words},
    planning::{
        calendar::{Hours, View},
        ledger::{ReminderKey, ReminderState, urging_number},
        rules::{ChannelKind, Filing, Step},
        simulate::{Decided, Foreseen},
        task::{AgencyId, ArmedBy, Clock, Role, Task},
    },
    store::ledger::StoryRow,
};

/// One reminder of a step: one slot, one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    pub clock: Clock,
    pub agency: AgencyId,
    pub agency_code: String,
    pub role: Role,
    pub arming: u32,
    pub rule: String,
    pub step: String,
    pub occurrence: u32,
    /// The audience's word.
    pub audience: String,
    pub channel: ChannelKind,
    /// When the step is due.
    pub at: Timestamp,
    pub arithmetic: String,
    /// `sent`, `planned`, `superseded`, `suppressed`, `future`, `dead`, `unknown`.
    pub state: &'static str,
    /// What came of it, why, with the server's answer.
    pub reason: String,
    /// `Vũ Văn Đạt <dat@x.example>`; empty until a message is made.
    pub to: String,
    /// đôn đốc lần n, where this urged somebody.
    pub urging: Option<u32>,
    /// The step also files a notice.
    pub files: bool,
    /// When its message was accepted; of one that is foreseen, when it will have left by the instant asked of.
    pub sent_at: Option<Timestamp>,
    /// The message that carries it.
    pub message: Option<i64>,
    /// `thư số 381, chung với 5 nhiệm vụ khác`; empty without a message.
    pub letter: String,
}

/// How the reason of a reminder begins that is foreseen not to be sent.
pub const WILL_NOT: &str = "sẽ không gửi: ";

/// What is later than this after its instant was not made at its instant.
const AT_ONCE: SignedDuration = SignedDuration::from_mins(10);

/// A step as its rule stands now, also by an earlier id.
pub(super) fn step_of<'a>(policy: &'a Policy, rule: &str, step: &str) -> Option<&'a Step> {
    policy.rule(rule)?.steps.iter().find(|one| one.id == step || one.was.iter().any(|was| was == step))
}

/// Every reminder on record.
pub(super) fn recorded(policy: &Policy, then: &Material, armed: &[Armed], at: Timestamp) -> Vec<Rung> {
    let rung = |row: &StoryRow| {
        let key = &row.key;
        let arming = armed.iter().find(|one| is_of(one, key));
        let step = step_of(policy, &key.rule, &key.step);
        let counted = step.zip(arming).and_then(|(step, arming)| Counted::under(arming, step, key.occurrence));
        Rung {
            state: match row.state {
                ReminderState::InMessage => "planned",
                other => other.as_str(),
            },
            reason: fate(policy, then, row, arming, at),
            arithmetic: counted.map(|counted| counted.in_full(policy, row.due_at)).unwrap_or_default(),
            to: to(row),
            urging: urging(then, row),
            files: step.is_some_and(|step| step.files.contains(&Filing::Notice)),
            sent_at: row.answered_at.filter(|_| row.state == ReminderState::Sent),
            message: row.message.filter(|_| reached_somebody(row)),
            letter: letter(row),
            ..bare(then, key, row.due_at)
        }
    };
    then.rows.iter().map(rung).collect()
}

fn is_of(armed: &Armed, key: &ReminderKey) -> bool {
    armed.clock == key.clock && armed.agency.id == key.agency && armed.arming == key.arming
}

fn bare(then: &Material, key: &ReminderKey, at: Timestamp) -> Rung {
    let obligation = then.record.task.obligations.iter().find(|o| o.clock == key.clock && o.agency.id == key.agency);
    Rung {
        clock: key.clock,
        agency: key.agency,
        agency_code: obligation.map(|o| o.agency.code.clone()).unwrap_or_default(),
        role: obligation.map_or(Role::Lead, |o| o.role),
        arming: key.arming,
        rule: key.rule.clone(),
        step: key.step.clone(),
        occurrence: key.occurrence,
        audience: key.audience.to_string(),
        channel: key.channel,
        at,
        arithmetic: String::new(),
        state: "future",
        reason: String::new(),
        to: String::new(),
        urging: None,
        files: false,
        sent_at: None,
        message: None,
        letter: String::new(),
    }
}

/// What the planner foresees, none of it on record yet.
pub(super) fn foreseen(policy: &Policy, then: &Material, coming: &[Decided], at: Timestamp) -> Vec<Rung> {
    let rung = |decided: &Decided| {
        let (key, due_at, reason, leaves) = match &decided.what {
            Foreseen::Reminder(due) => {
                let off = due.key.channel == ChannelKind::Zalo && matches!(policy.settings.zalo, Zalo::Off);
                let reason = if off {
                    format!("{WILL_NOT}{}", because("channel_off"))
                } else if decided.at > due.due_at {
                    format!("bước đã qua, báo một lần lúc {}", days::moment(&policy.calendar, due.send_at))
                } else if due.send_at > due.due_at {
                    outside(policy, then, &due.key, (due.due_at, due.send_at))
                } else {
                    String::new()
                };
                (&due.key, due.due_at, reason, Some(due.send_at).filter(|leaves| *leaves <= at && !off))
            }
            Foreseen::Silent(skipped) => {
                (&skipped.key, skipped.due_at, format!("{WILL_NOT}{}", because(skipped.because.as_str())), None)
            }
            Foreseen::Notice(_) => return None,
        };
        let step = step_of(policy, &key.rule, &key.step);
        let mut obligations = then.record.task.obligations.iter();
        let obligation = obligations.find(|o| o.clock == key.clock && o.agency.id == key.agency);
        let counted = step.zip(obligation).and_then(|(step, o)| Counted::of(o, step, key.occurrence));
        Some(Rung {
            arithmetic: counted.map(|counted| counted.in_full(policy, due_at)).unwrap_or_default(),
            reason,
            sent_at: leaves,
            files: step.is_some_and(|step| step.files.contains(&Filing::Notice)),
            ..bare(then, key, due_at)
        })
    };
    coming.iter().filter_map(rung).collect()
}

/// Whether its message was ever tried. What fell silent before that went to nobody.
fn reached_somebody(row: &StoryRow) -> bool {
    let ended = matches!(row.state, ReminderState::Superseded | ReminderState::Suppressed);
    !ended || row.attempts.iter().any(|attempt| !matches!(attempt.outcome.as_str(), "" | "released"))
}

/// `Vũ Văn Đạt <dat@x.example>`; the agency where a mailbox has no person.
fn to(row: &StoryRow) -> String {
    if !reached_somebody(row) {
        return String::new();
    }
    let recipient: Recipient = serde_json::from_str(&row.recipient).unwrap_or_default();
    let name = [recipient.name, recipient.agency].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    match (name.is_empty(), row.address.is_empty()) {
        (_, true) => name,
        (true, false) => row.address.clone(),
        (false, false) => format!("{name} <{}>", row.address),
    }
}

/// `thư số 381, chung với 5 nhiệm vụ khác`
fn letter(row: &StoryRow) -> String {
    let Some(message) = row.message.filter(|_| reached_somebody(row)) else { return String::new() };
    let name = if row.key.channel == ChannelKind::Zalo { "tin" } else { "thư" };
    match row.companions {
        others if others > 0 && row.state == ReminderState::Sent => {
            format!("{name} số {message}, chung với {others} nhiệm vụ khác")
        }
        _ => format!("{name} số {message}"),
    }
}

/// đôn đốc lần n, as the letter had it: one more than the occurrences accepted before, and contacts, up to then.
fn urging(then: &Material, row: &StoryRow) -> Option<u32> {
    if !row.urging || row.state != ReminderState::Sent {
        return None;
    }
    let ours = |other: &&StoryRow| {
        other.urging
            && other.state == ReminderState::Sent
            && (other.key.clock, other.key.agency) == (row.key.clock, row.key.agency)
    };
    let rung = |row: &StoryRow| (row.key.arming, row.key.rule.clone(), row.key.step.clone(), row.key.occurrence);
    let own = rung(row);
    let first = then.rows.iter().filter(ours).filter(|other| rung(other) == own).filter_map(|o| o.answered_at).min()?;
    let before: std::collections::HashSet<_> = then
        .rows
        .iter()
        .filter(ours)
        .filter(|other| other.answered_at.is_some_and(|at| at < first))
        .map(rung)
        .filter(|other| *other != own)
        .collect();
    let contacts = then.texts.contacts.iter();
    let contacts = contacts.filter(|c| c.clock == row.key.clock && c.agency == row.key.agency && c.at < first).count();
    Some(urging_number(before.len() as u32, contacts as u32, then.texts.imported_urgings))
}

/// `07:30-17:30 ngày làm việc`
pub(super) fn hours_text(hours: &Hours) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let days = if hours.working_days_only { "ngày làm việc" } else { "mọi ngày" };
    format!("{}-{} {days}", time(hours.from), time(hours.until))
}

/// The calendar by which letters of a slot leave: the agency's closures bind those to its own people.
fn own_calendar<'a>(policy: &'a Policy, task: &Task, key: &ReminderKey) -> View<'a> {
    let mut obligations = task.obligations.iter();
    match obligations.find(|obligation| obligation.agency.id == key.agency) {
        Some(obligation) => policy.calendar.for_agency(&obligation.agency).to(&key.audience),
        None => View::of(&policy.calendar),
    }
}

fn outside(policy: &Policy, then: &Material, key: &ReminderKey, (from, leaves): (Timestamp, Timestamp)) -> String {
    let (_, hours, _) = policy.hours(&key.rule);
    let day = policy.calendar.date_of(from);
    let leaves = days::near(&policy.calendar, leaves, from);
    let closure = own_calendar(policy, &then.record.task, key).closure(day).filter(|_| hours.working_days_only);
    let half = policy.calendar.special(day).and_then(|special| special.part).filter(|_| hours.working_days_only);
    match (closure, half) {
        (Some(closure), _) => format!(
            "cơ quan nghỉ riêng từ {} đến {} ({}), nên chờ đến {leaves}",
            days::day(closure.from),
            days::day(closure.until),
            closure.name
        ),
        (None, Some(part)) => format!("hôm ấy {}, nên chờ đến {leaves}", calendar_words::part(part)),
        (None, None) => format!("đến kỳ ngoài giờ gửi ({}), nên chờ đến {leaves}", hours_text(&hours)),
    }
}

/// When what was made at `made` could first leave by its rule's hours.
fn first_leave(policy: &Policy, task: &Task, row: &StoryRow) -> Option<Timestamp> {
    let (_, hours, at) = policy.hours(&row.key.rule);
    own_calendar(policy, task, &row.key).send_at(row.due_at.max(row.created_at), &hours, at).ok()
}

/// Until when a reminder that waited at `at` was to wait: its first moment by its hours, and after that, held back by
/// the cap, the next morning.
pub(super) fn waits_until(policy: &Policy, task: &Task, row: &StoryRow, at: Timestamp) -> Timestamp {
    let Some(first) = first_leave(policy, task, row) else { return row.not_before };
    if at < first {
        return first;
    }
    let (_, hours, time) = policy.hours(&row.key.rule);
    let (calendar, own) = (&policy.calendar, own_calendar(policy, task, &row.key));
    let today = calendar.date_of(at);
    let morning = calendar.instant(today, time);
    if morning > at && own.allows(today, &hours).unwrap_or(false) {
        return morning;
    }
    own.send_at(calendar.end_of(today), &hours, time).unwrap_or(row.not_before)
}

/// What came of a reminder, in one line.
fn fate(policy: &Policy, then: &Material, row: &StoryRow, arming: Option<&Armed>, at: Timestamp) -> String {
    let calendar = &policy.calendar;
    let mut parts = Vec::new();
    let server = if row.key.channel == ChannelKind::Zalo { "Zalo" } else { "máy chủ thư" };
    let answers: Vec<_> = row.attempts.iter().filter(|attempt| !attempt.outcome.is_empty()).collect();
    let reply = |code: i32, reply: &str| format!("{code} {}", reply.trim()).trim().to_owned();
    match row.state {
        ReminderState::Sent => {
            let when = row.answered_at.map(|at| days::near(calendar, at, row.due_at)).unwrap_or_default();
            let last = answers.last().map(|last| reply(last.code, &last.reply)).unwrap_or_default();
            parts.push(format!("{server} nhận lúc {when}, trả lời {last}"));
        }
        ReminderState::Planned | ReminderState::InMessage => {
            let until = match row.state {
                ReminderState::Planned if row.not_before > at => row.not_before,
                _ => at,
            };
            if until > at {
                parts.push(format!("chờ gửi lúc {}", days::moment(calendar, until)));
            } else {
                parts.push("đang chờ gửi".to_owned());
            }
        }
        ReminderState::Dead => {
            let last = answers.last().map(|last| format!(", trả lời: {}", reply(last.code, &last.reply)));
            parts.push(format!("{server} từ chối hẳn{}", last.unwrap_or_default()));
        }
        _ => parts.push(because(&row.reason)),
    }
    if let Some(stood_in) = row.fallback_of.and_then(|id| then.rows.iter().find(|other| other.id == id)) {
        let who = words::audience(&stood_in.key.audience.to_string(), role(then, row));
        // Empty once it is itself sent again.
        let why = Some(because(&stood_in.reason)).filter(|why| !why.is_empty());
        let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
        parts.push(if stood_in.key.audience == row.key.audience {
            format!("gửi thay tin {}{why}", words::form(stood_in.key.channel.as_str()))
        } else {
            format!("gửi thay cho {who}{why}")
        });
    }
    let recipient: Recipient = serde_json::from_str(&row.recipient).unwrap_or_default();
    if !recipient.stands_in_for.is_empty() {
        parts.push(format!("đến đây vì {}", recipient.stands_in_for));
    }
    parts.extend(delays(policy, then, row, arming));
    let known = if row.state == ReminderState::Sent { answers.len().saturating_sub(1) } else { answers.len() };
    let failed: Vec<String> = answers
        .iter()
        .take(if row.state == ReminderState::Dead { known.saturating_sub(1) } else { known })
        .filter(|attempt| attempt.outcome != "released")
        .map(|attempt| {
            let answer = reply(attempt.code, &attempt.reply);
            let answer = if attempt.code == 0 { words::outcome(&attempt.outcome) } else { answer };
            format!("{} {answer}", days::near(calendar, attempt.started_at, row.due_at))
        })
        .collect();
    if !failed.is_empty() {
        let shown = failed.len().saturating_sub(3);
        let more = if shown > 0 { format!(" (và {shown} lần trước)") } else { String::new() };
        parts.push(format!("đã thử chưa được: {}{more}", failed[shown..].join("; ")));
    }
    parts.join("; ")
}

fn role(then: &Material, row: &StoryRow) -> Role {
    let mut obligations = then.record.task.obligations.iter();
    let found = obligations.find(|o| o.clock == row.key.clock && o.agency.id == row.key.agency);
    found.map_or(Role::Lead, |o| o.role)
}

/// Why it was not sent at the step's own instant: entered late, stopped, outside its hours, over the cap.
fn delays(policy: &Policy, then: &Material, row: &StoryRow, arming: Option<&Armed>) -> Vec<String> {
    let calendar = &policy.calendar;
    let mut parts = Vec::new();
    let ended = matches!(row.state, ReminderState::Superseded | ReminderState::Suppressed);
    if ended || row.fallback_of.is_some() {
        return parts;
    }
    if row.created_at > row.due_at + AT_ONCE && row.key.rule != crate::planning::plan::STATE_RULE {
        let resumed =
            then.record.task.resumed_at.filter(|resumed| row.due_at <= *resumed && *resumed <= row.created_at);
        let armed = arming.filter(|armed| row.due_at <= armed.since);
        let moment = |at| days::moment(calendar, at);
        parts.push(match (armed, resumed) {
            (_, Some(resumed)) => {
                format!("bước đã qua khi nhiệm vụ im lặng; làm tiếp lúc {}, nên báo một lần", moment(resumed))
            }
            (Some(armed), None) => {
                let since = moment(armed.since);
                match armed.by {
                    ArmedBy::Entered => format!("bước đã qua khi nhiệm vụ được nhập lúc {since}, nên báo một lần"),
                    ArmedBy::Advanced | ArmedBy::Extended => {
                        format!("bước đã qua khi thời hạn đổi lúc {since}, nên báo một lần")
                    }
                    ArmedBy::Reopened => format!("bước đã qua khi nhiệm vụ được mở lại lúc {since}, nên báo một lần"),
                    ArmedBy::Reassigned => format!("bước đã qua khi nhiệm vụ được giao lúc {since}, nên báo một lần"),
                }
            }
            (None, None) => format!("dịch vụ không chạy lúc bước đến hạn; báo bù lúc {}", moment(row.created_at)),
        });
    }
    let Some(first) = first_leave(policy, &then.record.task, row) else { return parts };
    let made = row.due_at.max(row.created_at);
    if first > made {
        parts.push(outside(policy, then, &row.key, (made, first)));
    }
    let left = row.attempts.first().map_or(row.not_before, |attempt| attempt.started_at);
    if left >= calendar.end_of(calendar.date_of(first))
        && let (_, Some(cap)) = policy.bundling(&row.key.rule)
    {
        parts.push(format!(
            "hôm {} người nhận đã đủ {cap} tin (daily_cap), nên chờ",
            days::day(calendar.date_of(first))
        ));
    }
    parts
}

/// A stored reason in plain words.
pub fn because(word: &str) -> String {
    match word {
        "late_entry" => "bước đã qua khi nhiệm vụ được nhập, giao lại hoặc làm tiếp: chỉ bước nặng nhất được gửi",
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
        "no_living_address" => "chưa có địa chỉ nhận, gửi vào hộp thư thay",
        "no_fallback" => "nhiệm vụ mật không gửi thay cho người khác",
        "refused" => "máy chủ từ chối người nhận",
        "answer_lost" => "mất phản hồi sau khi đã chuyển, không rõ đã nhận hay chưa",
        "poison" => "nhiều lần làm dịch vụ dừng đột ngột, không tự gửi lại",
        "changed" => "nhiệm vụ thay đổi trước khi gửi",
        "held" => "nhiệm vụ bị giữ lại chờ người sửa",
        "paused" => "nhiệm vụ tạm dừng",
        "resumed" => "nhiệm vụ đã làm tiếp, không cần hỏi nữa",
        "submitted" => "nhiệm vụ đã trình",
        "returned" => "nhiệm vụ bị trả lại",
        "withdrawn" => "nhiệm vụ đã thu hồi",
        "reopened" => "nhiệm vụ được mở lại",
        "reassigned" => "nhiệm vụ được giao lại",
        "reported" => "báo cáo đã nộp",
        "original_retried" => "thư bị từ chối được gửi lại, không cần thư gửi thay",
        "nothing_left" => "không còn gì để báo",
        "copy" => "có thể bản cơ sở dữ liệu khác đã gửi rồi nên không gửi lại",
        other => {
            return match other.strip_prefix("discarded: ") {
                Some(why) => format!("người vận hành bỏ: {why}"),
                None => other.to_owned(),
            };
        }
    }
    .to_owned()
}
