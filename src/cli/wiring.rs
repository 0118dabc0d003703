//! What `check` asks of the planner, the directory and the templates.

use async_trait::async_trait;
use jiff::ToSpan;

use super::{
    check::Wiring,
    check_store::{AgainstStore, against_store},
    context::Context,
    templates, test_story,
};
use crate::{
    config::{
        load::OfficeFiles,
        problem::Problems,
        rule_test::{RuleTest, TestOutcome},
        settings::Settings,
    },
    planning::{
        directory::{Directory, PostRole},
        ledger::Ledger,
        plan::Setting,
        rules::Audience,
        simulate::{Foreseen, simulate},
        task::Block,
    },
    store::ledger::ReadingStore,
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

    async fn agencies(&self, settings: &Settings) -> Vec<(String, String)> {
        let Some(directory) = directory(settings).await else { return Vec::new() };
        directory.agencies().map(|agency| (agency.code.clone(), agency.name.clone())).collect()
    }

    async fn against_store(&self, office: &OfficeFiles, now: jiff::Timestamp) -> AgainstStore {
        against_store(office, now).await
    }

    fn templates(&self, settings: &Settings) -> Problems {
        let Some(folder) = &settings.files.templates else { return Problems::default() };
        templates::problems(&templates::read(folder))
    }
}

/// The directory on record, if there is a database with one in it.
async fn directory(settings: &Settings) -> Option<Directory> {
    let store = Context::look(settings).await.ok()??;
    let rows = ReadingStore::directory(&*store).await.ok();
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
        // Never written in rules.
        Audience::BoxOf(_) => true,
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
    let rules = &office.rules.rules;
    let setting = Setting { now: entered, calendar, rules, known: &known, stopped: None };
    let mut outcome = TestOutcome { story: test_story::before(office, &task, test), ..TestOutcome::default() };
    let rule = task.obligations.first().and_then(|obligation| rules.find(&task, obligation));
    outcome.rule = rule.map(|rule| rule.id.clone());
    let decided = match simulate(&setting, &task, &Ledger::default(), until) {
        Ok(decided) => decided,
        Err(uncovered) => {
            add(&mut outcome.story, test_story::missing_year(uncovered.0));
            return outcome;
        }
    };
    let mut severest = None;
    for event in decided.iter().filter(|event| calendar.date_of(event.at) == test.on) {
        match &event.what {
            Foreseen::Reminder(due) if severest.is_none_or(|at| due.due_at >= at) => {
                if severest != Some(due.due_at) {
                    (outcome.to, outcome.via, outcome.send_at) = Default::default();
                }
                severest = Some(due.due_at);
                outcome.step = Some(due.key.step.clone());
                outcome.urging = due.urging;
                add(&mut outcome.to, due.key.audience.to_string());
                add(&mut outcome.via, due.key.channel.to_string());
                add(&mut outcome.send_at, calendar.local(due.send_at));
            }
            Foreseen::Notice(filing) => {
                outcome.step.get_or_insert_with(|| filing.key.step.clone());
                add(&mut outcome.files, filing.filing.to_string());
            }
            Foreseen::Reminder(_) | Foreseen::Silent(_) => {}
        }
    }
    outcome.send_at.sort();
    outcome.story.extend(test_story::on_the_day(office, test, &decided));
    outcome
}

fn add<T: PartialEq>(list: &mut Vec<T>, value: T) {
    if !list.contains(&value) {
        list.push(value);
    }
}
