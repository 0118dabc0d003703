//! What `check` asks of the planner, the directory and the templates.

use async_trait::async_trait;
use jiff::ToSpan;

use super::{check::Wiring, context::Context};
use crate::{
    config::{
        load::OfficeFiles,
        problem::{Faults, Place, Problems, Source},
        rule_test::{RuleTest, TestOutcome},
        settings::Settings,
    },
    message::texts::Texts,
    planning::{
        directory::{Directory, PostRole},
        ledger::Ledger,
        plan::{Setting, ladder},
        rules::Audience,
        simulate::{Foreseen, simulate},
        task::{Block, Task},
    },
    store::{ledger::ReadingStore, sqlite::SqliteStore},
};

/// The real parts.
pub struct Parts;

#[async_trait]
impl Wiring for Parts {
    fn run_test(&self, office: &OfficeFiles, test: &RuleTest) -> TestOutcome {
        run_test(office, test)
    }

    async fn unfilled(&self, settings: &Settings, audiences: &[Audience]) -> Vec<Audience> {
        let Some(directory) = directory(settings).await else { return Vec::new() };
        audiences.iter().filter(|audience| !fillable(&directory, audience)).cloned().collect()
    }

    fn templates(&self, settings: &Settings) -> Problems {
        let Some(folder) = &settings.files.templates else { return Problems::default() };
        let overrides = match super::context::overrides(folder) {
            Ok(overrides) => overrides,
            Err(error) => return at_fault(folder, &format!("{error:#}")),
        };
        match Texts::with_overrides(&overrides) {
            Ok(_) => Problems::default(),
            Err(error) => at_fault(folder, &error.to_string()),
        }
    }
}

fn at_fault(folder: &std::path::Path, message: &str) -> Problems {
    let place = Place::start(&Source::new(folder.display().to_string(), ""));
    let help = "sửa mẫu này, hoặc bỏ tệp đi để dùng mẫu có sẵn";
    let faults = Faults::default();
    faults.error(&place, "template", message, help);
    faults.finish()
}

/// The directory on record, if there is a database with one in it.
async fn directory(settings: &Settings) -> Option<Directory> {
    let database = Context::database(settings);
    if !settings.store_url.starts_with("sqlite:") || !database.is_file() {
        return None;
    }
    let store = SqliteStore::open_read_only(&database).await.ok()?;
    let rows = store.directory().await.ok();
    store.close().await;
    let rows = rows.filter(|rows| !rows.agencies.is_empty())?;
    let focal = settings.blocks.iter().map(|(block, b)| (*block, b.focal_agency.clone())).collect();
    let domains = &settings.email.allowed_domains;
    Some(Directory::new(
        rows.agencies,
        rows.names,
        rows.people,
        rows.posts,
        &focal,
        &settings.inspection_agency,
        domains,
    ))
}

fn fillable(directory: &Directory, audience: &Audience) -> bool {
    match audience {
        Audience::Handler | Audience::Email(_) => true,
        Audience::AgencyHead => directory.any_post(PostRole::Head),
        Audience::AgencyDeputy => directory.any_post(PostRole::Deputy),
        Audience::AgencyContact => directory.any_post(PostRole::Contact),
        Audience::AgencyBox => directory.any_post(PostRole::Registry),
        Audience::Monitor | Audience::AssignerOffice | Audience::SuperiorHead => {
            Block::ALL.iter().any(|block| directory.focal(*block).is_some())
        }
        Audience::Inspection => directory.inspection().is_some(),
        Audience::Person(id) => directory.knows_person(id),
    }
}

/// What the planner says of a `[[test]]`: what it decides on the day asked for, of a task that stands as described.
pub fn run_test(office: &OfficeFiles, test: &RuleTest) -> TestOutcome {
    let calendar = &office.calendar.calendar;
    let task = test.to_task(calendar);
    let entered = task.known_at;
    let until = match test.on_time {
        Some(time) => calendar.instant(test.on, time),
        None => calendar.end_of(test.on) - 1.millisecond(),
    };
    let known = Default::default();
    let setting = Setting { now: entered, calendar, rules: &office.rules.rules, known: &known, stopped: None };
    let mut outcome = TestOutcome { story: story(office, &task, test), ..TestOutcome::default() };
    let decided = match simulate(&setting, &task, &Ledger::default(), until) {
        Ok(decided) => decided,
        Err(uncovered) => {
            outcome.story.push(uncovered.to_string());
            return outcome;
        }
    };
    let mut severest = None;
    for event in decided.iter().filter(|event| calendar.date_of(event.at) == test.on) {
        match &event.what {
            Foreseen::Reminder(due) if severest.is_none_or(|at| due.due_at >= at) => {
                if severest != Some(due.due_at) {
                    (outcome.to, outcome.via) = Default::default();
                }
                severest = Some(due.due_at);
                outcome.step = Some(due.key.step.clone());
                for (list, word) in
                    [(&mut outcome.to, due.key.audience.to_string()), (&mut outcome.via, due.key.channel.to_string())]
                {
                    if !list.contains(&word) {
                        list.push(word);
                    }
                }
            }
            Foreseen::Notice(filing) => {
                outcome.step.get_or_insert_with(|| filing.key.step.clone());
                outcome.files.push(filing.filing.to_string());
            }
            Foreseen::Reminder(_) | Foreseen::Silent(_) => {}
        }
    }
    outcome
}

/// How it came about, step by step.
fn story(office: &OfficeFiles, task: &Task, test: &RuleTest) -> Vec<String> {
    let calendar = &office.calendar.calendar;
    let Some(obligation) = task.obligations.first() else { return Vec::new() };
    let Some(rule) = office.rules.rules.find(task, obligation) else {
        return vec!["không có quy tắc nào áp dụng cho nhiệm vụ này".to_owned()];
    };
    let mut lines = vec![format!("áp dụng quy tắc {}", rule.id)];
    if let Ok(effective) = calendar.effective(test.task.deadline) {
        lines.push(format!(
            "thời hạn {}, tính đến hết ngày {}",
            test.task.deadline.date.strftime("%d/%m/%Y"),
            effective.strftime("%d/%m/%Y")
        ));
    }
    match ladder(calendar, rule, obligation) {
        Ok(ladder) => lines.extend(ladder.occurrences.iter().map(|occurrence| {
            let at = calendar.local(occurrence.at).strftime("%d/%m/%Y %H:%M");
            format!("bước {} ({}): {at}", occurrence.step.id, occurrence.step.due)
        })),
        Err(uncovered) => lines.push(uncovered.to_string()),
    }
    lines
}
