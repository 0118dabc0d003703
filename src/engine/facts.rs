//! From rows to what a letter may say.

use std::collections::HashMap;

use jiff::{Timestamp, ToSpan, civil::Date};

use super::{Engine, KnownDirectory, agency_name, arithmetic::Counted, policy::Policy, story::days};
use crate::{
    message::{
        facts::{Contact, DocumentFacts, ItemFacts, LetterFacts, Nearness, NextStep, Recipient, Why},
        words,
    },
    planning::{
        calendar::{DayKind, WorkCalendar},
        ledger::{ReminderKey, urging_number},
        plan::{CONFIRM_STEP, STATE_RULE, ladder},
        task::{ArmedBy, Obligation, TaskId},
    },
    store::{
        Result,
        ledger::{Claimed, DocumentRow, TaskRecord, TaskTexts},
    },
};

/// Tasks and their texts, read for a batch of messages.
pub(super) struct Material {
    pub records: HashMap<TaskId, TaskRecord>,
    pub texts: HashMap<TaskId, TaskTexts>,
    /// Where a message of the batch is a daily list.
    pub unreached: Vec<crate::store::daily::Unreached>,
}

impl Engine {
    /// Reads what the messages of a batch speak of.
    pub(super) async fn material(&self, tasks: &[TaskId], lists: bool) -> Result<Material> {
        let records = self.store.tasks(tasks).await?;
        let texts = self.store.texts(tasks).await?;
        Ok(Material {
            records: records.into_iter().map(|record| (record.task.id, record)).collect(),
            texts: texts.into_iter().map(|texts| (TaskId(texts.task), texts)).collect(),
            unreached: if lists { self.store.unreached().await? } else { Vec::new() },
        })
    }
}

/// The facts of one claimed message; `None` where a task it carries cannot be told (its day has no list of days off).
pub(super) fn letter(
    policy: &Policy,
    known: &KnownDirectory,
    material: &Material,
    claimed: &Claimed,
    to: Recipient,
    now: Timestamp,
) -> Option<LetterFacts> {
    let calendar = &policy.calendar;
    let as_of = calendar.local(now);
    let mut items: Vec<ItemFacts> = Vec::new();
    for row in &claimed.rows {
        let record = material.records.get(&row.task)?;
        let texts = material.texts.get(&row.task)?;
        let key = &record.ledger.reminders.iter().find(|entry| entry.id == row.reminder)?.key;
        let fact = item(policy, record, texts, key, now)?;
        // Two slots that lead to one person show a task once: by its severest rung, naming the others.
        match items.iter_mut().find(|i| i.code == fact.code && i.clock == fact.clock && i.agency == fact.agency) {
            Some(shown) => {
                let (mut kept, other) =
                    if fact.due_at > shown.due_at { (fact, shown.clone()) } else { (shown.clone(), fact) };
                kept.also.extend(other.also);
                *shown = kept;
            }
            None => items.push(fact),
        }
    }
    items.sort_by(|a, b| (a.nearness, a.effective, &a.code).cmp(&(b.nearness, b.effective, &b.code)));
    let horizon = items.iter().map(|item| item.effective).max()?;
    let first = claimed.rows.first().and_then(|row| material.records.get(&row.task));
    Some(LetterFacts {
        office: policy.settings.office.name.clone(),
        recipient: to,
        as_of,
        contact: first.map(|record| contact(policy, known, record, &claimed.address, as_of.date())).unwrap_or_default(),
        calendar_notes: days_off(calendar, as_of.date(), horizon),
        maybe_received_on: claimed.earlier_at.map(|at| calendar.date_of(at)),
        part: claimed.part,
        classified: claimed.classified,
        can_reply: policy.settings.email.reply_to.is_some(),
        items,
    })
}

/// The monitor, else the focal office's contact: whom a recipient may ask. Nobody is sent to ask themselves.
fn contact(policy: &Policy, known: &KnownDirectory, record: &TaskRecord, reader: &str, day: Date) -> Contact {
    use crate::planning::directory::PostRole;
    let directory = &known.directory;
    let office = directory.focal(record.task.assigner_block);
    let person = record
        .monitor
        .and_then(|id| directory.person(id))
        .filter(|person| person.email != reader)
        .or_else(|| directory.holder(office?, PostRole::Contact, day).map(|(person, _)| person))
        .filter(|person| person.email != reader);
    // The office the person sits in, which need not be that of the assigner's block.
    let home = person.and_then(|person| directory.home_of(person.id, day)).or(office);
    let agency = home.map(|id| agency_name(directory, id)).unwrap_or_else(|| policy.settings.office.name.clone());
    match person {
        Some(person) => Contact {
            name: person.name.clone(),
            honorific: person.honorific.clone(),
            agency,
            phone: person
                .phone
                .strip_prefix("84")
                .map(|rest| format!("0{rest}"))
                .unwrap_or_else(|| person.phone.clone()),
            email: person.email.clone(),
        },
        None => Contact { agency, ..Contact::default() },
    }
}

fn item(
    policy: &Policy,
    record: &TaskRecord,
    texts: &TaskTexts,
    key: &ReminderKey,
    now: Timestamp,
) -> Option<ItemFacts> {
    let calendar = &policy.calendar;
    let task = &record.task;
    let obligation = task.obligations.iter().find(|o| o.clock == key.clock && o.agency.id == key.agency)?;
    let today = calendar.date_of(now);
    let classified = task.secrecy.is_classified();
    let asks_state = key.rule == STATE_RULE;
    // A question about a state may concern a task without a single deadline: it is told as of its own day.
    let deadline = match obligation.deadline {
        Some(deadline) => deadline,
        None if asks_state => crate::planning::task::Deadline { date: today, time: None },
        None => return None,
    };
    let effective = calendar.effective(deadline).ok()?;
    let left = calendar.working_between(today, effective).ok()?;
    let nearness = match () {
        _ if asks_state && key.step == CONFIRM_STEP => Nearness::Confirm,
        _ if asks_state => Nearness::Returned,
        _ if effective < today => Nearness::Overdue,
        // A stated hour ends it within its day: nobody is urged about something that is "due today".
        _ if deadline.time.is_some_and(|hour| calendar.instant(effective, hour) <= now) => Nearness::Overdue,
        _ if effective == today => Nearness::DueToday,
        _ => Nearness::Upcoming,
    };
    let entry = record.ledger.reminders.iter().find(|entry| entry.key == *key)?;
    let contacts = texts.contacts.iter().filter(|c| c.clock == key.clock && c.agency == key.agency).count() as u32;
    let accepted = record.ledger.urgings_accepted(key.clock, key.agency, Some(key));
    let next: Option<(NextStep, Timestamp)> =
        if asks_state { None } else { next_step(policy, record, obligation, key, now) };
    let (next, leaves) = next.unzip();
    let next_line = next.as_ref().zip(leaves).map(|(next, leaves)| after(calendar, obligation, next, leaves));
    let why = Why {
        audience: key.audience.to_string(),
        rule: key.rule.clone(),
        step: key.step.clone(),
        occurrence: key.occurrence,
    };
    let due_day = calendar.date_of(entry.due_at);
    let active_since = task.resumed_at.map_or(obligation.armed_at, |resumed| resumed.max(obligation.armed_at));
    Some(ItemFacts {
        code: task.code.clone(),
        work: if classified { String::new() } else { texts.work.clone() },
        document: if classified { Default::default() } else { document(&texts.document) },
        secrecy: task.secrecy,
        urgency: task.urgency,
        lead: texts.lead.clone(),
        coordinators: texts.coordinators.clone(),
        role: obligation.role,
        agency: obligation.agency.name.clone(),
        clock: key.clock,
        deadline: deadline.date,
        deadline_time: deadline.time,
        effective,
        rolled_because: rolled_because(calendar, deadline.date, effective),
        working_days_left: left,
        nearness,
        urging: entry.urging.then(|| urging_number(accepted, contacts, texts.imported_urgings)),
        answer_by: next.as_ref().and_then(|next| calendar.add_working(next.on, -1).ok()).filter(|day| *day > today),
        also: vec![why.clone()],
        why,
        next,
        corrected_from: (obligation.armed_by == ArmedBy::Advanced)
            .then(|| texts.extensions.iter().rfind(|e| e.clock == key.clock).and_then(|e| e.from))
            .flatten(),
        reasoning: reasoning(policy, obligation, key, entry.due_at, next_line),
        link: link(policy, &task.code).filter(|_| !classified),
        due_at: entry.due_at,
        // A task entered or resumed after its step was due is not told late: it was not ours to tell before.
        late_since: (due_day < today && entry.due_at > active_since && !asks_state).then_some(due_day),
    })
}

/// The document as texts tell it.
pub(super) fn document(row: &DocumentRow) -> DocumentFacts {
    DocumentFacts {
        number: row.number.clone(),
        date: row.date,
        kind: row.kind.clone(),
        issuer: row.issuer.clone(),
        signer: row.signer.clone(),
        subject: row.subject.clone(),
    }
}

fn link(policy: &Policy, code: &str) -> Option<String> {
    let base = policy.settings.web.public_url.as_deref()?;
    Some(format!("{}/n/{code}", base.trim_end_matches('/')))
}

/// What comes next if nothing changes, and when it may leave: the first occurrence after this one.
fn next_step(
    policy: &Policy,
    record: &TaskRecord,
    obligation: &Obligation,
    key: &ReminderKey,
    now: Timestamp,
) -> Option<(NextStep, Timestamp)> {
    let calendar = &policy.calendar;
    let rule = policy.rules.find(&record.task, obligation)?;
    let ladder = ladder(calendar, rule, obligation).ok()?;
    let present = rule.steps.iter().find(|step| step.id == key.step);
    let next = ladder.occurrences.iter().find(|occurrence| occurrence.at > now)?;
    let own = calendar.for_agency(&obligation.agency).to(&key.audience);
    let leaves = own.send_at(next.at, &rule.hours, rule.at).unwrap_or(next.at);
    let adds = next.step.audiences.iter().filter(|a| present.is_none_or(|present| !present.audiences.contains(a)));
    let step = NextStep {
        on: calendar.date_of(leaves),
        step: next.step.id.clone(),
        adds: adds.map(ToString::to_string).collect(),
        files_notice: next.step.files.contains(&crate::planning::rules::Filing::Notice),
        urging: next.step.urging,
    };
    Some((step, leaves))
}

/// The reasoning in two lines: how this step's day came about from the effective deadline, and what comes next, when,
/// and how much higher it goes.
fn reasoning(
    policy: &Policy,
    obligation: &Obligation,
    key: &ReminderKey,
    due_at: Timestamp,
    next: Option<String>,
) -> Vec<String> {
    if key.rule == STATE_RULE {
        let asked = if key.step == CONFIRM_STEP {
            "nhiệm vụ đã trình thì hỏi người theo dõi một lần"
        } else {
            "nhiệm vụ bị trả lại thì báo một lần"
        };
        return vec![asked.to_owned()];
    }
    let step = policy
        .rule(&key.rule)
        .and_then(|rule| rule.steps.iter().find(|step| step.id == key.step || step.was.contains(&key.step)));
    let counted = step.and_then(|step| Counted::of(obligation, step, key.occurrence));
    let how = counted.map(|counted| counted.in_short(policy, due_at)).filter(|how| !how.is_empty());
    let again =
        if key.occurrence > 1 { format!(" (nhắc lại lần {})", key.occurrence - 1) } else { String::new() };
    let first = how.map(|how| format!("bước {}{again} là {how}", key.step));
    first.into_iter().chain(next.or_else(|| Some("không còn bước nào sau bước này".to_owned()))).collect()
}

/// `08:00 thứ Tư 02/12/2026, bước qua-han-10: đôn đốc, gửi thêm cơ quan kiểm tra, lập phiếu báo nhiệm vụ quá hạn`
fn after(calendar: &WorkCalendar, obligation: &Obligation, next: &NextStep, leaves: Timestamp) -> String {
    let mut does = vec![if next.urging { "đôn đốc".to_owned() } else { "nhắc lại".to_owned() }];
    let adds: Vec<String> = next.adds.iter().map(|word| words::audience(word, obligation.role)).collect();
    if !adds.is_empty() {
        does.push(format!("gửi thêm {}", words::list(&adds)));
    }
    if next.files_notice {
        does.push("lập phiếu báo nhiệm vụ quá hạn".to_owned());
    }
    format!("{}, bước {}: {}", days::moment(calendar, leaves), next.step, does.join(", "))
}

/// Why a deadline rolled to a later day; empty where it did not.
pub(super) fn rolled_because(calendar: &WorkCalendar, typed: Date, effective: Date) -> String {
    if typed == effective {
        return String::new();
    }
    match calendar.special(typed).filter(|day| day.kind == DayKind::Off) {
        Some(day) => format!("{} là ngày nghỉ ({})", typed.strftime("%d/%m"), day.name),
        None => format!("{} không phải ngày làm việc", typed.strftime("%d/%m")),
    }
}

/// Named days off between two days, either way round; runs of one name as one note. At most three notes: a letter's hint.
pub(super) fn days_off(calendar: &WorkCalendar, a: Date, b: Date) -> Vec<String> {
    special_days(calendar, a, b, |kind| kind == DayKind::Off).take(3).collect()
}

/// Every day between two days, either way round, that is counted otherwise than its day of the week: whoever counts again
/// from these comes to the same number.
pub(super) fn days_counted_otherwise(calendar: &WorkCalendar, a: Date, b: Date) -> Vec<String> {
    // Half a day is counted as a whole one.
    special_days(calendar, a, b, |kind| kind != DayKind::Half).collect()
}

fn special_days(
    calendar: &WorkCalendar,
    a: Date,
    b: Date,
    wanted: impl Fn(DayKind) -> bool,
) -> impl Iterator<Item = String> {
    let (from, to) = if a <= b { (a, b) } else { (b, a) };
    let mut runs: Vec<(Date, Date, DayKind, &str)> = Vec::new();
    for day in calendar.specials().filter(|day| wanted(day.kind) && from <= day.date && day.date <= to) {
        match runs.last_mut() {
            // Only with nothing but days off between them: two of one name may lie a year apart.
            Some((_, last, kind, name))
                if *name == day.name && *kind == day.kind && nobody_works_between(calendar, *last, day.date) =>
            {
                *last = day.date;
            }
            _ => runs.push((day.date, day.date, day.kind, &day.name)),
        }
    }
    let said = move |day: Date| day.strftime(if from.year() == to.year() { "%d/%m" } else { "%d/%m/%Y" }).to_string();
    let notes: Vec<String> = runs
        .iter()
        .map(|(first, last, kind, name)| match kind {
            DayKind::Off if first == last => format!("{} là ngày nghỉ ({name})", said(*first)),
            DayKind::Off => format!("từ {} đến {} nghỉ ({name})", said(*first), said(*last)),
            DayKind::Work | DayKind::Half if first == last => format!("{} là ngày làm việc ({name})", said(*first)),
            DayKind::Work | DayKind::Half => format!("từ {} đến {} làm việc ({name})", said(*first), said(*last)),
        })
        .collect();
    notes.into_iter()
}

fn nobody_works_between(calendar: &WorkCalendar, a: Date, b: Date) -> bool {
    a.series(1.day()).skip(1).take_while(|day| *day < b).all(|day| calendar.is_working(day) == Ok(false))
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Weekday, date};

    use super::*;

    /// Days named by the notes: each `dd/mm/yyyy`, and all between two that stand with "từ … đến".
    fn named(notes: &[String], word: &str) -> Vec<Date> {
        let mut days = Vec::new();
        for head in notes.iter().map(|note| note.split(" (").next().unwrap()).filter(|head| head.contains(word)) {
            let found: Vec<Date> = head.split(' ').filter_map(|text| Date::strptime("%d/%m/%Y", text).ok()).collect();
            let (mut day, last) = (found[0], *found.last().unwrap());
            while day <= last {
                days.push(day);
                day = day.tomorrow().unwrap();
            }
        }
        days
    }

    #[test]
    fn whoever_counts_again_from_the_days_a_notice_names_comes_to_its_number() {
        let (office, _) = crate::config::load::load_all(
            &std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/dondoc.toml"),
            [],
        )
        .unwrap();
        let calendar = &office.calendar.calendar;
        for (due, filed) in [
            (date(2026, 4, 10), date(2026, 11, 20)),
            (date(2025, 8, 13), date(2026, 11, 23)),
            (date(2026, 2, 2), date(2026, 3, 2)),
            (date(2025, 1, 2), date(2028, 12, 29)),
        ] {
            let notes = notes_with_years(calendar, due, filed);
            let (off, made_up) = (named(&notes, "nghỉ"), named(&notes, "làm việc"));
            let mut counted = 0;
            let mut day = due;
            while day < filed {
                day = day.tomorrow().unwrap();
                let week = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
                counted += i64::from((week && !off.contains(&day)) || made_up.contains(&day));
            }
            assert_eq!(Ok(counted), calendar.working_between(due, filed), "{due} to {filed}: {notes:?}");
        }
    }

    /// The notes; of a span within one year, which leave it out, with that year put behind each day.
    fn notes_with_years(calendar: &WorkCalendar, due: Date, filed: Date) -> Vec<String> {
        if due.year() != filed.year() {
            return days_counted_otherwise(calendar, due, filed);
        }
        let year = format!("/{}", due.year());
        let dated = |note: String| {
            let (head, name) = note.split_once(" (").unwrap();
            let head: Vec<String> = head
                .split(' ')
                .map(|word| if word.contains('/') { format!("{word}{year}") } else { word.to_owned() })
                .collect();
            format!("{} ({name}", head.join(" "))
        };
        days_counted_otherwise(calendar, due, filed).into_iter().map(dated).collect()
    }
}
