//! What can be read but cannot be meant: a notice filed before the deadline, Zalo for a State secret, a condition that no
//! task fulfils.
//!
//! Each is judged in one rule by itself; what rules mean together is judged in [`super::cover`].

use std::collections::BTreeSet;

use jiff::{ToSpan, civil::Date};

use super::{
    problem::{Faults, Place, Problems, quoted},
    rules_file::{Draft, HoursTable, LoadedRules},
};
use crate::planning::{
    plan::{STATE_RULE, unsayable},
    rules::{ChannelKind, Rule, Unit},
    task::{Clock, Role, Secrecy},
};

/// Conditions on what never enters the system with a classified task.
const DROPPED: [&str; 4] = ["assigner", "document_kind", "field", "priority"];

/// Judges each rule of a file.
pub(super) fn check(faults: &Faults, drafts: &[Draft], hours: &HoursTable) {
    for draft in drafts {
        reserved(faults, draft);
        if draft.sound {
            contradictory(faults, draft);
            classified(faults, draft);
        }
        before_deadline(faults, draft);
        lateness(faults, draft);
        after_waiting(faults, draft);
    }
    let used: BTreeSet<&str> = drafts.iter().map(|draft| draft.rule.hours_name.as_str()).collect();
    for (name, place) in &hours.places {
        // `normal` is also the hours of questions about a task's state, and `urgent` an office may keep ready.
        if !used.contains(name.as_str()) && !["normal", "urgent"].contains(&name.as_str()) && !drafts.is_empty() {
            let message = format!("không quy tắc nào dùng giờ gửi [hours.{name}]");
            let help = format!("ghi hours = \"{name}\" vào quy tắc cần giờ này, hoặc bỏ mục này");
            faults.warning(place, "unused-hours", message, help);
        }
    }
}

/// Dates of rules, looked at from a day: a rule that will not do anything for a year is a slip more often than a wish.
pub fn check_dates(loaded: &LoadedRules, today: Date) -> Problems {
    let faults = Faults::default();
    for rule in &loaded.rules.rules {
        let Some(from) = rule.effective_from.filter(|from| *from > today.saturating_add(1.year())) else { continue };
        let key = (rule.id.clone(), String::new(), "effective_from".to_owned());
        let Some(place) = loaded.origins.get(&key).or_else(|| loaded.places.get(&rule.id)) else { continue };
        let day = from.strftime("%d/%m/%Y");
        let message =
            format!("quy tắc {} đến ngày {day} mới có hiệu lực: từ nay đến đó không nhắc gì", quoted(&rule.id));
        let help = "xem lại năm; muốn áp dụng ngay thì bỏ dòng này";
        faults.warning(place, "effective-late", message, help);
    }
    faults.finish()
}

/// Where a key of a step, of its rule or of the defaults stands, else where the rule is named.
fn place(draft: &Draft, step: &str, key: &str) -> Place {
    let find = |step: &str| draft.origins.iter().find(|(s, k, _)| s == step && k == key).map(|(_, _, place)| place);
    find(step).or_else(|| find("")).unwrap_or(&draft.place).clone()
}

fn reserved(faults: &Faults, draft: &Draft) {
    if draft.rule.id == STATE_RULE {
        let message = format!("tên quy tắc {} dành riêng cho chương trình", quoted(STATE_RULE));
        let help = "chọn tên khác; dưới tên này sổ ghi các lần hỏi về việc đã trình và việc bị trả lại";
        faults.error(&draft.place, "reserved-id", message, help);
    }
}

/// Conditions that no task can fulfil together, whatever the other rules say.
fn contradictory(faults: &Faults, draft: &Draft) {
    let when = &draft.rule.when;
    if draft.rule.clock == Clock::Report && when.role == [Role::Coordinator] {
        let message = format!(
            "quy tắc {} không bao giờ được dùng: chỉ cơ quan chủ trì có thời hạn báo cáo",
            quoted(&draft.rule.id)
        );
        let help = "nếu là thời hạn hoàn thành của cơ quan phối hợp: clock = \"completion\"\nnếu là báo cáo của cơ quan chủ trì: role = \"lead\"";
        faults.warning(&place(draft, "", "when.role"), "contradictory-when", message, help);
    }
    if only_classified(&draft.rule) {
        for key in DROPPED {
            if !draft.origins.iter().any(|(step, k, _)| step.is_empty() && *k == format!("when.{key}")) {
                continue;
            }
            let message = format!(
                "quy tắc {} không bao giờ được dùng: việc mật không lưu `{key}` nên không thể xét theo `{key}`",
                quoted(&draft.rule.id)
            );
            let help = format!(
                "bỏ điều kiện `{key}`; với việc mật chỉ xét được role, block, urgency, secrecy, agency, agency_kind"
            );
            faults.error(&place(draft, "", &format!("when.{key}")), "contradictory-when", message, help);
        }
    }
}

fn only_classified(rule: &Rule) -> bool {
    !rule.when.secrecy.is_empty() && rule.when.secrecy.iter().all(|level| level.is_classified())
}

/// What a rule for classified tasks only may not hope for (Luật 117/2025/QH15, Điều 5).
fn classified(faults: &Faults, draft: &Draft) {
    if !only_classified(&draft.rule) {
        return;
    }
    let mut said: Vec<Place> = Vec::new();
    for step in &draft.rule.steps {
        if step.via.contains(&ChannelKind::Zalo) {
            let place = place(draft, &step.id, "via");
            // One `via` of the rule stands for all its steps.
            if !said.iter().any(|known| known.span == place.span) {
                let message = format!("quy tắc {} dành cho việc mật mà gửi Zalo", quoted(&draft.rule.id));
                let help = "việc mật không bao giờ gửi Zalo (Luật 117/2025/QH15, Điều 5); viết: via = [\"email\"]";
                faults.error(&place, "classified-zalo", message, help);
                said.push(place);
            }
        }
        for audience in &step.audiences {
            let first = draft.rule.steps.iter().find(|step| step.audiences.contains(audience));
            let fresh = first.is_some_and(|first| first.id == step.id);
            if fresh && unsayable(Secrecy::Confidential, audience, ChannelKind::Email).is_some() {
                let help = "việc mật chỉ gửi tới người có tên (handler, agency_head, agency_deputy, agency_contact, monitor, superior_head, inspection, person:…): bỏ người nhận này";
                let message = format!(
                    "bước {} gửi cho `{audience}`, nhưng việc mật không gửi vào hộp thư chung: người này không nhận được gì",
                    quoted(&step.id)
                );
                faults.warning(&place(draft, &step.id, "to"), "classified-audience", message, help);
            }
        }
    }
}

/// A notice says that the deadline has passed; an urging counts how often somebody who is late was urged.
fn before_deadline(faults: &Faults, draft: &Draft) {
    for step in draft.rule.steps.iter().filter(|step| step.due.n <= 0) {
        if step.due.n == 0 && step.due.unit == Unit::Hours {
            continue;
        }
        let when =
            if step.due.n == 0 { "đúng ngày đến hạn, khi hạn chưa hết" } else { "khi chưa đến hạn" };
        if !step.files.is_empty() {
            let message = format!("bước {} ({}) lập phiếu báo quá hạn {when}", quoted(&step.id), step.due);
            let help = "chuyển `file` sang một bước sau hạn, ví dụ due = \"+10wd\"; hoặc bỏ `file` ở bước này";
            faults.error(&place(draft, &step.id, "file"), "file-before-deadline", message, help);
        }
        if step.urging {
            let message = format!("bước {} ({}) tính là một lần đôn đốc {when}", quoted(&step.id), step.due);
            let help = "số lần đôn đốc được báo cáo và in trên phiếu; bước nhắc trước hạn thì bỏ dòng `urging`";
            faults.warning(&place(draft, &step.id, "urging"), "urging-before-deadline", message, help);
        }
    }
}

/// A limit in hours, for steps in days, is over after one night.
fn lateness(faults: &Faults, draft: &Draft) {
    let rule = &draft.rule;
    let by_days = rule.steps.iter().any(|step| step.due.unit != Unit::Hours);
    if rule.max_lateness.unit == Unit::Hours && by_days {
        let hours = rule.max_lateness.n;
        let message = format!(
            "`max_lateness` là {hours} giờ, nhưng quy tắc {} có bước tính theo ngày: dịch vụ dừng quá {hours} giờ là bước bị bỏ",
            quoted(&rule.id)
        );
        let help = format!(
            "viết theo ngày: max_lateness = \"{}wd\"; giờ chỉ dùng cho quy tắc mà mọi bước đều tính theo giờ",
            (hours + 23) / 24
        );
        let place = place(draft, "", "max_lateness");
        faults.error(&place, "lateness-in-hours", message, help);
    }
}

/// A message that had to wait leaves at the rule's `at`; outside its hours that hour means nothing.
fn after_waiting(faults: &Faults, draft: &Draft) {
    let rule = &draft.rule;
    let minute = rule.at.hour() as u16 * 60 + rule.at.minute() as u16;
    // A step in days that fires outside the hours is an error of its own.
    let by_hours = !rule.steps.is_empty() && rule.steps.iter().all(|step| step.due.unit == Unit::Hours);
    if by_hours && draft.hours_known && !(rule.hours.from..=rule.hours.until).contains(&minute) {
        let show = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let message = format!(
            "tin phải chờ của quy tắc {} đi lúc `at` = {}, ngoài giờ gửi [hours.{}] ({} đến {})",
            quoted(&rule.id),
            show(minute),
            rule.hours_name,
            show(rule.hours.from),
            show(rule.hours.until)
        );
        let help = format!("viết vào quy tắc: at = \"{}\"", show(rule.hours.from));
        faults.warning(&place(draft, "", "at"), "outside-hours", message, help);
    }
}
