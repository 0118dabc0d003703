//! What rules and steps mean together: the order of a ladder, hours in which nothing may leave, rules that no task can
//! reach, tasks that no rule covers.
//!
//! Reach and cover are decided over every combination of role, block, urgency and secrecy; conditions on free texts
//! are compared as sets, since what an office may type there has no end.

use std::collections::BTreeMap;

use jiff::{
    Timestamp,
    civil::{Date, Weekday, date},
    tz::TimeZone,
};

use super::{
    problem::{Faults, quoted},
    rules_file::{Draft, RulesContext},
    vietnamese::gloss,
};
use crate::planning::{
    calendar::{Hours, WorkCalendar},
    rules::{ChannelKind, Offset, Rule, Step, Unit, When},
    task::{Block, Clock, Role, Secrecy, Urgency},
};

/// One kind of task, as far as closed words can tell kinds apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    role: Role,
    block: Block,
    urgency: Urgency,
    secrecy: Secrecy,
}

fn cells() -> impl Iterator<Item = Cell> {
    Role::ALL.iter().flat_map(|&role| {
        Block::ALL.iter().flat_map(move |&block| {
            Urgency::ALL.iter().flat_map(move |&urgency| {
                Secrecy::ALL.iter().map(move |&secrecy| Cell { role, block, urgency, secrecy })
            })
        })
    })
}

fn admits(when: &When, cell: &Cell) -> bool {
    fn one<T: PartialEq>(list: &[T], value: &T) -> bool {
        list.is_empty() || list.contains(value)
    }
    one(&when.role, &cell.role)
        && one(&when.block, &cell.block)
        && one(&when.urgency, &cell.urgency)
        && one(&when.secrecy, &cell.secrecy)
}

/// The conditions on free texts.
fn texts(when: &When) -> [&Vec<String>; 6] {
    [&when.assigner, &when.document_kind, &when.agency, &when.agency_kind, &when.field, &when.priority]
}

/// Whether whatever satisfies the texts of `narrow` satisfies those of `wide`.
fn implied(narrow: &When, wide: &When) -> bool {
    texts(narrow)
        .into_iter()
        .zip(texts(wide))
        .all(|(narrow, wide)| wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(|text| wide.contains(text))))
}

/// Judges all rules of a file.
pub(super) fn check(faults: &Faults, drafts: &[Draft], hours: &BTreeMap<String, Hours>, context: &RulesContext) {
    for draft in drafts.iter().filter(|_| !faults.is_broken()) {
        order(faults, draft);
        if hours.contains_key(&draft.rule.hours_name) {
            within_hours(faults, draft);
        }
        channels(faults, draft, context);
    }
    // A condition that could not be read would make every answer below a guess.
    if drafts.iter().all(|draft| draft.sound) && !drafts.is_empty() && !faults.is_broken() {
        reach(faults, drafts);
        uncovered(faults, drafts);
    }
}

/// The moments of a step's occurrences for one effective deadline, with a working week and no holidays.
fn moments(calendar: &WorkCalendar, base: Date, step: &Step) -> Vec<Timestamp> {
    let times = step.repeat.map_or(0, |repeat| repeat.times.min(60));
    (0..=times)
        .filter_map(|k| {
            let due = match step.repeat {
                Some(repeat) if k > 0 => Offset {
                    n: step.due.n.saturating_add(repeat.every.n.saturating_mul(k as i32)),
                    unit: if step.due.n == 0 { repeat.every.unit } else { step.due.unit },
                },
                _ => step.due,
            };
            calendar.fire(base, None, due, step.at).ok()
        })
        .collect()
}

/// Steps must stand in the order of their moments, whatever weekday the deadline is.
fn order(faults: &Faults, draft: &Draft) {
    use Weekday::*;
    let years: Vec<i16> = (1980..=2080).collect();
    thread_local! {
        static PLAIN: std::cell::OnceCell<WorkCalendar> = const { std::cell::OnceCell::new() };
    }
    PLAIN.with(|plain| {
        let week = [Monday, Tuesday, Wednesday, Thursday, Friday];
        let calendar = plain.get_or_init(|| WorkCalendar::new(TimeZone::UTC, &years, &week, []));
        let bases: Vec<Date> = (1..=5).map(|day| date(2029, 1, day)).collect();
        for n in 1..draft.rule.steps.len() {
            let (before, after) = (&draft.rule.steps[n - 1], &draft.rule.steps[n]);
            let pairs: Vec<(Vec<Timestamp>, Vec<Timestamp>)> = bases
                .iter()
                .map(|base| (moments(calendar, *base, before), moments(calendar, *base, after)))
                .filter(|(before, after)| !before.is_empty() && !after.is_empty())
                .collect();
            let (place, ids) = (&draft.steps[n].due, (quoted(&before.id), quoted(&after.id)));
            if pairs.iter().any(|(before, after)| after[0] == before[0]) {
                let message = format!("bước {} rơi đúng vào lúc của bước {} ({})", ids.1, ids.0, before.due);
                faults.error(place, "steps-same-moment", message, "gộp hai bước, hoặc đổi `due` hay `at` của một bước");
            } else if pairs.iter().any(|(before, after)| after[0] < before[0]) {
                let message =
                    format!("bước {} ({}) đứng sau bước {} ({}) nhưng đến trước", ids.1, after.due, ids.0, before.due);
                let help = "xếp các bước theo thời gian: xa hạn nhất trước hạn đứng đầu, quá hạn lâu nhất đứng cuối";
                faults.error(place, "steps-out-of-order", message, help);
            } else if pairs.iter().any(|(before, after)| before.last() >= after.first()) {
                let message = format!("bước {} còn nhắc lại khi bước {} đã đến", ids.0, ids.1);
                let help = "giảm `times` hoặc `every`, hay lùi bước sau";
                faults.warning(&draft.steps[n - 1].repeat, "repeat-overlaps", message, help);
            }
        }
    });
}

/// A step counted in days whose hour lies outside the rule's hours would always wait.
fn within_hours(faults: &Faults, draft: &Draft) {
    let hours = &draft.rule.hours;
    let show = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    for (step, places) in draft.rule.steps.iter().zip(&draft.steps) {
        let minute = step.at.hour() as u16 * 60 + step.at.minute() as u16;
        if step.due.unit == Unit::Hours || (hours.from..=hours.until).contains(&minute) {
            continue;
        }
        let message = format!(
            "bước {} vào lúc {}, ngoài giờ gửi [hours.{}] ({} đến {})",
            quoted(&step.id),
            show(minute),
            draft.rule.hours_name,
            show(hours.from),
            show(hours.until)
        );
        faults.error(&places.at, "outside-hours", message, "đổi `at` của bước, hoặc giờ gửi của quy tắc");
    }
}

/// A step all of whose channels are off reaches nobody.
fn channels(faults: &Faults, draft: &Draft, context: &RulesContext) {
    for (step, places) in draft.rule.steps.iter().zip(&draft.steps) {
        if !context.zalo && !step.via.is_empty() && step.via.iter().all(|channel| *channel == ChannelKind::Zalo) {
            let message = format!("bước {} chỉ gửi Zalo, mà Zalo đang tắt", quoted(&step.id));
            let help = "thêm \"email\" vào `via`, hoặc bật [zalo] trong dondoc.toml";
            faults.warning(&places.via, "channel-off", message, help);
        }
    }
}

/// Rules that come after others which take all their tasks.
fn reach(faults: &Faults, drafts: &[Draft]) {
    for (n, draft) in drafts.iter().enumerate() {
        let rule = &draft.rule;
        let earlier: Vec<&Rule> =
            drafts[..n].iter().map(|other| &other.rule).filter(|other| other.clock == rule.clock).collect();
        let mut takers: Vec<&str> = Vec::new();
        let taken = cells().filter(|cell| admits(&rule.when, cell)).all(|cell| {
            let taker = earlier.iter().find(|other| admits(&other.when, &cell) && implied(&rule.when, &other.when));
            if let Some(taker) = taker
                && !takers.contains(&taker.id.as_str())
            {
                takers.push(&taker.id);
            }
            taker.is_some()
        });
        if taken {
            let takers = takers.iter().map(|id| quoted(id)).collect::<Vec<_>>().join(", ");
            let message = format!("không nhiệm vụ nào tới được quy tắc {}", quoted(&rule.id));
            let help = format!("quy tắc đứng trên đã nhận hết: {takers}\nđưa quy tắc này lên trên, hoặc bỏ đi");
            faults.error(&draft.place, "unreachable-rule", message, help);
        }
    }
}

/// Kinds of task for which no rule stands.
fn uncovered(faults: &Faults, drafts: &[Draft]) {
    let Some(last) = drafts.last() else { return };
    let missing = |clock: Clock, role: Role| -> Vec<Cell> {
        cells()
            .filter(|cell| cell.role == role)
            .filter(|cell| {
                !drafts.iter().any(|draft| {
                    let when = &draft.rule.when;
                    draft.rule.clock == clock && admits(when, cell) && texts(when).iter().all(|list| list.is_empty())
                })
            })
            .collect()
    };
    let lead = missing(Clock::Completion, Role::Lead);
    if !lead.is_empty() {
        let message = format!("chưa có quy tắc thời hạn hoàn thành cho cơ quan chủ trì: {}", describe(&lead));
        let help = "mọi nhiệm vụ phải có quy tắc: thêm ở cuối một quy tắc chung, ví dụ\n[[rule]] với when = { role = \"lead\" }, clock = \"completion\"";
        faults.error(&last.place, "uncovered-tasks", message, help);
    }
    for (clock, role, what) in [
        (Clock::Completion, Role::Coordinator, "thời hạn hoàn thành cho cơ quan phối hợp"),
        (Clock::Report, Role::Lead, "thời hạn báo cáo cho cơ quan chủ trì"),
    ] {
        let cells = missing(clock, role);
        if !cells.is_empty() {
            let message = format!("chưa có quy tắc {what}: {}", describe(&cells));
            let help = format!(
                "những việc này không được nhắc; thêm [[rule]] với when = {{ role = \"{role}\" }}, clock = \"{clock}\""
            );
            faults.warning(&last.place, "uncovered-tasks", message, help);
        }
    }
}

/// `flash (hỏa tốc)`
fn told(word: &str) -> String {
    gloss(word).map_or(word.to_owned(), |gloss| format!("{word} ({gloss})"))
}

/// The kinds in words: each axis that is not wholly missing is named, kind by kind only where that is short.
fn describe(missing: &[Cell]) -> String {
    fn axis<T: Copy + PartialEq>(cells: &[Cell], all: &[T], of: impl Fn(&Cell) -> T) -> Vec<T> {
        all.iter().copied().filter(|value| cells.iter().any(|cell| of(cell) == *value)).collect()
    }
    let blocks = axis(missing, Block::ALL, |cell| cell.block);
    let urgencies = axis(missing, Urgency::ALL, |cell| cell.urgency);
    let secrecies = axis(missing, Secrecy::ALL, |cell| cell.secrecy);
    if blocks.len() * urgencies.len() * secrecies.len() != missing.len() {
        let shown = missing.iter().take(3).map(|cell| {
            format!("block = \"{}\", urgency = \"{}\", secrecy = \"{}\"", cell.block, cell.urgency, cell.secrecy)
        });
        let shown = shown.collect::<Vec<_>>().join("; ");
        let rest = missing.len().saturating_sub(3);
        return if rest > 0 { format!("{shown}; và {rest} loại khác") } else { shown };
    }
    let mut parts = Vec::new();
    let list = |words: Vec<String>| words.iter().map(|word| told(word)).collect::<Vec<_>>().join(" hoặc ");
    if blocks.len() < Block::ALL.len() {
        parts.push(format!("block = {}", list(blocks.iter().map(|b| b.to_string()).collect())));
    }
    if urgencies.len() < Urgency::ALL.len() {
        parts.push(format!("urgency = {}", list(urgencies.iter().map(|u| u.to_string()).collect())));
    }
    if secrecies.len() < Secrecy::ALL.len() {
        parts.push(format!("secrecy = {}", list(secrecies.iter().map(|s| s.to_string()).collect())));
    }
    if parts.is_empty() { "mọi loại nhiệm vụ".to_owned() } else { parts.join(", ") }
}
