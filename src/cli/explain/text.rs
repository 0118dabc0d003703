//! The story as an office reads it: short sentences, the nearest answers first.

use std::fmt::Write;

use jiff::Timestamp;

use crate::{
    engine::{
        policy::Policy,
        story::{Duty, Material, Rung, Story, WILL_NOT, days},
    },
    message::words,
    planning::{
        plan::{CONFIRM_STEP, STATE_RULE},
        rules::ChannelKind,
    },
};

/// As wide as a line is written.
const WIDTH: usize = 100;

/// Of a moment at which the task was not known yet.
pub(super) fn unknown_then(policy: &Policy, material: &Material, at: Timestamp) -> String {
    format!(
        "{}: lúc {} chưa có trong hệ thống; được nhập lúc {}.\n",
        material.record.task.code,
        days::moment(&policy.calendar, at),
        days::moment(&policy.calendar, material.record.task.known_at)
    )
}

/// The whole story.
pub fn render(policy: &Policy, story: &Story) -> String {
    let mut out = String::new();
    head(&mut out, policy, story);
    section(&mut out, "VÌ SAO THEO QUY TẮC NÀY");
    alike(&mut out, story, |duty| {
        if duty.ended {
            return vec!["đã kết thúc, không xét nữa".to_owned()];
        }
        let none = duty.rule.is_none().then(|| "không quy tắc nào khớp: không nhắc".to_owned());
        duty.verdicts.iter().map(|verdict| verdict.text.clone()).chain(none).collect()
    });
    section(&mut out, "THỜI HẠN");
    alike(&mut out, story, |duty| {
        let urgings = Some(&duty.urgings).filter(|text| !text.is_empty());
        duty.deadline_story.iter().chain(urgings).cloned().collect()
    });
    if story.duties.is_empty() {
        fill(&mut out, 2, "Chưa giao cho cơ quan nào.");
    }
    ladders(&mut out, policy, story);
    section(&mut out, "DIỄN BIẾN");
    for one in &story.timeline {
        let when = policy.calendar.local(one.at).strftime("%d/%m/%Y %H:%M");
        fill_after(&mut out, &format!("  {when}  "), &one.text);
    }
    section(&mut out, if story.foreseen { "TIẾP THEO, SAU LÚC ẤY" } else { "TIẾP THEO" });
    for one in &story.next {
        fill(&mut out, 2, &format!("- {}", one.text));
    }
    for line in &story.remarks {
        fill(&mut out, 2, line);
    }
    out
}

fn head(out: &mut String, policy: &Policy, story: &Story) {
    fill(out, 0, &format!("{}: {}", story.task, story.state));
    if story.classified {
        fill(out, 2, "Nhiệm vụ mật: nội dung không lưu trong hệ thống.");
    } else if !story.work.is_empty() {
        fill(out, 2, &story.work);
    }
    let at = days::moment(&policy.calendar, story.as_of);
    let how = if story.foreseen { "Dự kiến đến" } else { "Tính đến" };
    let more = if story.foreseen { ", nếu không có gì thay đổi" } else { "" };
    fill(out, 2, &format!("{how} {at}{more}."));
    if !story.held.is_empty() {
        fill(out, 2, &format!("Đang giữ lại chờ người sửa ({}): chưa nhắc ai.", story.held));
    }
}

/// What is the same for several agencies stands once, under all their names.
fn alike(out: &mut String, story: &Story, lines: impl Fn(&Duty) -> Vec<String>) {
    let mut groups: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for duty in &story.duties {
        let lines = lines(duty);
        match groups.iter_mut().find(|(_, known)| *known == lines) {
            Some((titles, _)) => titles.push(duty.title.clone()),
            None => groups.push((vec![duty.title.clone()], lines)),
        }
    }
    for (titles, lines) in groups {
        fill(out, 2, &format!("{}:", titles.join("; ")));
        for line in lines {
            fill(out, 4, &format!("- {line}"));
        }
    }
}

fn section(out: &mut String, title: &str) {
    let _ = write!(out, "\n{title}\n");
}

/// Each ladder: its steps in order, each with its arithmetic once and the fate of every slot.
fn ladders(out: &mut String, policy: &Policy, story: &Story) {
    section(out, "CÁC BƯỚC");
    let mut left: Vec<&Rung> = story.rungs.iter().collect();
    for duty in &story.duties {
        let (own, others): (Vec<&Rung>, _) =
            left.into_iter().partition(|rung| rung.agency_code == duty.agency_code && rung.clock == duty.clock);
        left = others;
        if !own.is_empty() {
            fill(out, 2, &format!("{}:", duty.title));
            ladder(out, policy, &own, Some(duty));
        }
    }
    if !left.is_empty() {
        fill(out, 2, "Cơ quan thực hiện trước đây:");
        ladder(out, policy, &left, None);
    }
    if story.rungs.is_empty() {
        fill(out, 2, "Không có bước nào.");
    }
}

fn ladder(out: &mut String, policy: &Policy, rungs: &[&Rung], duty: Option<&Duty>) {
    let same = |a: &Rung, b: &Rung| {
        (a.at, &a.rule, &a.step, a.occurrence, a.arming) == (b.at, &b.rule, &b.step, b.occurrence, b.arming)
    };
    let mut steps: Vec<Vec<&Rung>> = Vec::new();
    for rung in rungs {
        match steps.iter_mut().find(|step| same(step[0], rung)) {
            Some(step) => step.push(rung),
            None => steps.push(vec![rung]),
        }
    }
    let coming = |step: &Vec<&Rung>| step[0].state == "future" && step[0].occurrence > 1;
    let mut told = 0;
    for (index, step) in steps.iter().enumerate() {
        let first = step[0];
        // Repeat after repeat says nothing new: the next one, and how many follow.
        let follows = index > 0 && coming(step) && steps[index - 1][0].step == first.step && coming(&steps[index - 1]);
        if follows {
            told += 1;
            let more = steps.get(index + 1).is_some_and(|next| coming(next) && next[0].step == first.step);
            if !more {
                let last = days::moment(&policy.calendar, first.at);
                fill(out, 8, &format!("rồi nhắc lại thêm {told} lần nữa như vậy, lần cuối {last}"));
                told = 0;
            }
            continue;
        }
        let mut title = match first.rule.as_str() {
            STATE_RULE if first.step == CONFIRM_STEP => "hỏi xác nhận kết quả đã trình".to_owned(),
            STATE_RULE => "báo nhiệm vụ bị trả lại".to_owned(),
            _ => first.step.clone(),
        };
        if first.occurrence > 1 && first.rule != STATE_RULE {
            title.push_str(&format!(", nhắc lại lần {}", first.occurrence - 1));
        }
        if let Some(n) = step.iter().find_map(|rung| rung.urging) {
            title.push_str(&format!(", đôn đốc lần {n}"));
        }
        if first.files {
            title.push_str(", lập phiếu báo");
        }
        if duty.is_some_and(|duty| duty.arming != first.arming) {
            title.push_str(" (theo hạn cũ)");
        }
        fill(out, 4, &format!("{}: {title}", days::moment(&policy.calendar, first.at)));
        if !first.arithmetic.is_empty() {
            fill(out, 8, &format!("cách tính: {}", first.arithmetic));
        }
        fates(out, step);
    }
}

/// The slots of a step, those of one fate in one line; a slot that was sent stands with its name and address.
fn fates(out: &mut String, step: &[&Rung]) {
    type Fate<'a> = (&'static str, ChannelKind, &'a str);
    let mut fates: Vec<(Fate<'_>, Vec<String>)> = Vec::new();
    for rung in step {
        let (state, reason) = match (rung.state, rung.reason.strip_prefix(WILL_NOT)) {
            ("future", Some(why)) => ("silent", why),
            ("future", None) if rung.sent_at.is_some() => ("foreseen", rung.reason.as_str()),
            (state, _) => (state, rung.reason.as_str()),
        };
        let fate = (state, rung.channel, reason);
        let mut who = words::audience(&rung.audience, rung.role);
        if !rung.to.is_empty() {
            who.push_str(&format!(" {}", rung.to));
        }
        if !rung.letter.is_empty() {
            who.push_str(&format!(" ({})", rung.letter));
        }
        match fates.iter_mut().find(|(known, _)| *known == fate) {
            Some((_, whom)) => whom.push(who),
            None => fates.push((fate, vec![who])),
        }
    }
    for ((state, channel, reason), whom) in fates {
        let state = match state {
            "sent" => "đã gửi",
            "planned" => "chờ gửi",
            "superseded" => "bỏ qua",
            "suppressed" => "không gửi",
            "dead" => "bị từ chối",
            "unknown" => "không rõ",
            "silent" => "sẽ không gửi",
            "foreseen" => "dự kiến đã gửi",
            _ => "sẽ gửi",
        };
        let by = words::form(channel.as_str());
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        // Those who got something stand each on a line, with name and message.
        if whom.len() > 1 && step.iter().any(|rung| !rung.to.is_empty()) {
            fill(out, 8, &format!("{state} {by}{why}; tới:"));
            for who in whom {
                fill(out, 10, &format!("- {who}"));
            }
        } else {
            fill(out, 8, &format!("{state} {by} tới {}{why}", whom.join("; ")));
        }
    }
}

/// A paragraph, each of its lines indented; what follows a dash hangs under its words.
pub(super) fn fill(out: &mut String, indent: usize, text: &str) {
    fill_after(out, &" ".repeat(indent), text);
}

fn fill_after(out: &mut String, lead: &str, text: &str) {
    let hang = lead.chars().count() + if text.starts_with("- ") { 2 } else { 0 };
    let mut line = lead.to_owned();
    let mut width = lead.chars().count();
    let mut fresh = true;
    for word in text.split_whitespace() {
        let wide = word.chars().count();
        if !fresh && width + 1 + wide > WIDTH {
            let _ = writeln!(out, "{}", line.trim_end());
            line = " ".repeat(hang);
            width = hang;
            fresh = true;
        }
        if !fresh {
            line.push(' ');
            width += 1;
        }
        line.push_str(word);
        width += wide;
        fresh = false;
    }
    let _ = writeln!(out, "{}", line.trim_end());
}
