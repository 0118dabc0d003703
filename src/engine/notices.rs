//! The facts of an overdue notice as they stand when it is filed, and its files' bytes.

use std::collections::HashMap;

use jiff::{Timestamp, Unit};

use super::{
    Engine, agency_name,
    facts::{days_counted_otherwise, document, rolled_because},
    policy::Policy,
};
use crate::{
    inspection::{export::Sheet, notice::new_notice},
    message::{
        facts::{ExtensionFacts, Letterhead, NoticeFacts, Recipient, UrgingFacts},
        notice::notice_json,
        texts::Texts,
        words,
    },
    planning::{
        directory::PostRole,
        ledger::ReminderState,
        plan::{FilingDue, Plan},
        task::{AgencyId, Block, Clock, TaskId},
    },
    store::{
        Result, StoreError,
        ledger::{TaskRecord, TaskTexts, UrgingRow},
        register::{FileKind, NewNotice, NoticeKey},
    },
};

impl Engine {
    /// The notices that a batch of plans files, by task: what they tell is read for all of them together. `overdue` keeps
    /// how many tasks of each agency are overdue.
    pub(super) async fn notices(
        &self,
        policy: &Policy,
        now: Timestamp,
        planned: &[(TaskRecord, Plan)],
        overdue: &mut HashMap<AgencyId, u32>,
    ) -> Result<HashMap<TaskId, Vec<NewNotice>>> {
        let filing: Vec<&(TaskRecord, Plan)> = planned.iter().filter(|(_, plan)| !plan.filings.is_empty()).collect();
        if filing.is_empty() {
            return Ok(HashMap::new());
        }
        let known = self.directory().await?;
        let tasks: Vec<TaskId> = filing.iter().map(|(record, _)| record.task.id).collect();
        let texts = self.store.texts(&tasks).await?;
        let texts: HashMap<TaskId, TaskTexts> = texts.into_iter().map(|texts| (TaskId(texts.task), texts)).collect();
        let urged = self.store.urgings_of(&tasks).await?;
        let today = policy.calendar.date_of(now);
        let (no_texts, no_urgings) = (TaskTexts::default(), Vec::new());
        let mut drawn = HashMap::with_capacity(filing.len());
        for (record, plan) in filing {
            let task = record.task.id;
            let (texts, urged) = (texts.get(&task).unwrap_or(&no_texts), urged.get(&task).unwrap_or(&no_urgings));
            let mut notices = Vec::with_capacity(plan.filings.len());
            for filing in &plan.filings {
                let agency = filing.key.agency;
                let count = match overdue.get(&agency) {
                    Some(count) => *count,
                    None => {
                        let count = self.store.overdue_of(agency, today).await?;
                        *overdue.entry(agency).or_insert(count)
                    }
                };
                let facts = facts(policy, &known.directory, record, texts, urged, filing, count, now)?;
                let key = &filing.key;
                let key = NoticeKey {
                    task,
                    clock: key.clock,
                    arming: key.arming,
                    agency: key.agency,
                    rule: key.rule.clone(),
                    step: key.step.clone(),
                    occurrence: key.occurrence,
                };
                notices.push(new_notice(key, filing.due_at, facts, &policy.settings.notices.number_prefix));
            }
            drawn.insert(task, notices);
        }
        Ok(drawn)
    }
}

#[expect(clippy::too_many_arguments, reason = "a notice is everything that is known of one filing")]
fn facts(
    policy: &Policy,
    directory: &crate::planning::directory::Directory,
    record: &TaskRecord,
    texts: &TaskTexts,
    urged: &[UrgingRow],
    filing: &FilingDue,
    agency_overdue: u32,
    now: Timestamp,
) -> Result<NoticeFacts> {
    let calendar = &policy.calendar;
    let task = &record.task;
    let today = calendar.date_of(now);
    let uncovered = |error: crate::planning::calendar::Uncovered| StoreError::Refused(error.to_string());
    let (obligation, deadline) = task
        .obligations
        .iter()
        .find(|o| o.clock == filing.key.clock && o.agency.id == filing.key.agency)
        .and_then(|o| Some((o, o.deadline?)))
        .ok_or_else(|| StoreError::Refused("a notice without a deadline".to_owned()))?;
    let effective = calendar.effective(deadline).map_err(uncovered)?;
    let head = directory.holder(filing.key.agency, PostRole::Head, today);
    let rolled = rolled_because(calendar, deadline.date, effective);
    let mut basis = reading(&texts.due_reading);
    if !texts.due_typed.is_empty() && texts.due_reading != "date" {
        basis = format!("{basis}, ghi \"{}\"", texts.due_typed);
    }
    // Only those of this clock: a report's extension says nothing of the completion's deadline.
    let extensions: Vec<ExtensionFacts> = texts
        .extensions
        .iter()
        .filter(|e| e.clock == filing.key.clock)
        .map(|e| ExtensionFacts {
            from: e.from,
            to: e.to,
            decided_on: e.decided_on,
            paper: e.paper.clone(),
            approver: e.approver.clone(),
        })
        .collect();
    // After an extension the deadline in force is the decision's, not what was once typed.
    if extensions.iter().any(|e| e.to == Some(deadline.date)) {
        basis = "ngày đã quyết định khi điều chỉnh".to_owned();
    }
    let report = task.obligations.iter().find(|o| o.clock == Clock::Report).and_then(|o| o.deadline);
    Ok(NoticeFacts {
        number: String::new(),
        office: policy.settings.office.name.clone(),
        inspection: directory.inspection().map(|id| agency_name(directory, id)).unwrap_or_default(),
        letterhead: letterhead(directory, &policy.settings.office.name),
        task: task.code.clone(),
        secrecy: task.secrecy,
        agency: obligation.agency.name.clone(),
        agency_code: obligation.agency.code.clone(),
        role: obligation.role,
        clock: filing.key.clock,
        head: Recipient {
            honorific: head.map(|(person, _)| person.honorific.clone()).unwrap_or_default(),
            name: head.map(|(person, _)| person.name.clone()).unwrap_or_default(),
            title: head.map(|(_, post)| post.title.clone()).unwrap_or_default(),
            agency: obligation.agency.name.clone(),
            enterprise: obligation.agency.block == Block::Enterprise,
            stands_in_for: String::new(),
        },
        document: document(&texts.document),
        work: texts.work.clone(),
        assigner: task.assigner.clone(),
        original_deadline: texts.original_due.or_else(|| extensions.first().and_then(|e| e.from)),
        extensions: extensions.clone(),
        deadline: deadline.date,
        deadline_time: deadline.time,
        effective,
        deadline_basis: if rolled.is_empty() { basis } else { format!("{basis}; {rolled}") },
        days_overdue: i64::from(effective.until((Unit::Day, today)).map_or(0, |span| span.get_days())),
        working_days_overdue: calendar.working_between(effective, today).map_err(uncovered)?,
        calendar_notes: days_counted_otherwise(calendar, effective, today),
        urgings: urgings(policy, urged, texts, filing),
        imported_urgings: texts.imported_urgings,
        explanation: String::new(),
        state: task.state.as_str().to_owned(),
        last_update: texts.last_update,
        report_deadline: report.map(|deadline| deadline.date),
        rule: filing.key.rule.clone(),
        rule_basis: policy.rule(&filing.key.rule).and_then(|rule| rule.basis.clone()),
        step: filing.key.step.clone(),
        occurrence: filing.key.occurrence,
        due_at: calendar.local(filing.due_at),
        filed_at: calendar.local(now),
        agency_overdue,
        drawn_up_by: concat!("dondoc ", env!("CARGO_PKG_VERSION")).to_owned(),
    })
}

/// The paper's head: the office itself as the directory has it, and the body above it. It is the office's paper whoever
/// assigned the work, so a task of the Party on the books of a State office does not make a Party paper.
fn letterhead(directory: &crate::planning::directory::Directory, office: &str) -> Letterhead {
    let agency = directory.find(office).and_then(|id| directory.agency(id));
    Letterhead {
        block: agency.map_or(Block::State, |agency| agency.block),
        parent: agency.map(|agency| agency.superior.clone()).unwrap_or_default(),
        ..Letterhead::default()
    }
}

fn reading(word: &str) -> String {
    match word {
        "" | "date" => "ngày ghi trong văn bản giao việc",
        "before" => "đọc là ngày liền trước ngày ghi",
        "no_later_than" => "đọc là chậm nhất vào ngày ghi",
        "month" => "đọc là ngày cuối tháng",
        "quarter" => "đọc là ngày cuối quý",
        "half_year" => "đọc là ngày cuối kỳ sáu tháng",
        "year" => "đọc là ngày cuối năm",
        other => return format!("cách đọc: {other}"),
    }
    .to_owned()
}

/// Every urging on record for this clock and agency: ours of which at least one message was accepted, and contacts by
/// telephone or on paper; in order, numbered.
fn urgings(policy: &Policy, urged: &[UrgingRow], texts: &TaskTexts, filing: &FilingDue) -> Vec<UrgingFacts> {
    let calendar = &policy.calendar;
    let ours = |row: &&UrgingRow| row.key.clock == filing.key.clock && row.key.agency == filing.key.agency;
    let mut told: Vec<(Timestamp, UrgingFacts)> = Vec::new();
    let mut seen: Vec<(u32, &str, &str, u32)> = Vec::new();
    for row in urged.iter().filter(ours).filter(|row| row.state == ReminderState::Sent) {
        let occurrence = (row.key.arming, row.key.rule.as_str(), row.key.step.as_str(), row.key.occurrence);
        if seen.contains(&occurrence) {
            continue;
        }
        seen.push(occurrence);
        let same: Vec<&UrgingRow> = urged
            .iter()
            .filter(ours)
            .filter(|r| (r.key.arming, r.key.rule.as_str(), r.key.step.as_str(), r.key.occurrence) == occurrence)
            .filter(|r| r.state != ReminderState::Superseded)
            .collect();
        let at = same.iter().filter_map(|r| r.answered_at).min().unwrap_or(row.due_at);
        let mut forms: Vec<String> = Vec::new();
        let mut recipients: Vec<String> = Vec::new();
        let mut outcomes: Vec<String> = Vec::new();
        for r in &same {
            let form = r.key.channel.as_str().to_owned();
            let outcome = match r.state {
                ReminderState::Sent => format!("{}: {} {}", r.key.channel, r.code, r.reply).trim().to_owned(),
                other => format!("{}: {}", r.key.channel, words::outcome(other.as_str())),
            };
            for (list, word) in
                [(&mut forms, form), (&mut recipients, r.key.audience.to_string()), (&mut outcomes, outcome)]
            {
                if !list.contains(&word) {
                    list.push(word);
                }
            }
        }
        let fact = UrgingFacts {
            n: 0,
            at: calendar.local(at),
            form: forms.join(", "),
            recipients,
            outcome: outcomes.join("; "),
        };
        told.push((at, fact));
    }
    for contact in texts.contacts.iter().filter(|c| c.clock == filing.key.clock && c.agency == filing.key.agency) {
        told.push((
            contact.at,
            UrgingFacts {
                n: 0,
                at: calendar.local(contact.at),
                form: contact.form.clone(),
                recipients: vec![contact.whom.clone()],
                outcome: contact.outcome.clone(),
            },
        ));
    }
    told.sort_by_key(|(at, _)| *at);
    told.into_iter().zip(1..).map(|((_, fact), n)| UrgingFacts { n, ..fact }).collect()
}

/// A notice's file.
pub(super) fn render(texts: &Texts, sheet: &Sheet<'_>) -> std::result::Result<Vec<u8>, String> {
    let withdrawn = sheet.withdrawal.map(|withdrawal| withdrawal.reason.as_str());
    match sheet.kind {
        FileKind::Html | FileKind::WithdrawnHtml => texts
            .notice_html(sheet.facts, sheet.seal, withdrawn)
            .map(String::into_bytes)
            .map_err(|error| error.to_string()),
        FileKind::Json => notice_json(sheet.facts, sheet.seal).map_err(|error| error.to_string()),
        FileKind::WithdrawnJson => {
            let withdrawal = sheet.withdrawal.ok_or("a withdrawal's file without its withdrawal")?;
            serde_json::to_vec_pretty(withdrawal).map_err(|error| error.to_string())
        }
    }
}
