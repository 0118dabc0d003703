//! A year of an office, random and replayable: tasks, completions, pauses, moved deadlines, edits of rules and calendar,
//! stops of hours and weeks, refusals. The engine and the store are the real ones; what they did is judged by a naive
//! reading of the rules that shares nothing with them (`office.rs`, `judge.rs`).
//!
//! `DONDOC_YEAR_SEED=7` replays one year; `DONDOC_YEARS=300` lives through so many.

mod judge;
pub mod office;
mod play;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use jiff::ToSpan;

/// So many years pass in an ordinary run.
const YEARS: u64 = 3;

fn seeds() -> Vec<u64> {
    let asked = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match (asked("DONDOC_YEAR_SEED"), asked("DONDOC_YEARS")) {
        (Some(one), _) => vec![one],
        (None, years) => (1..=years.unwrap_or(YEARS)).collect(),
    }
}

#[test]
fn every_planned_reminder_of_a_year_ends_as_the_rules_say() {
    let seeds = seeds();
    let next = AtomicU64::new(0);
    let faults = Mutex::new(Vec::new());
    let totals = Mutex::new(judge::Totals::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from).min(4) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    let lived = std::panic::catch_unwind(|| judge::judge(&play::live(*seed)));
                    match lived {
                        Ok(verdict) => {
                            totals.lock().unwrap().add(&verdict.totals);
                            if !verdict.faults.is_empty() {
                                let shown: Vec<_> = verdict.faults.iter().take(12).cloned().collect();
                                faults.lock().unwrap().push(format!(
                                    "year {seed} (DONDOC_YEAR_SEED={seed}): {} faults\n  {}",
                                    verdict.faults.len(),
                                    shown.join("\n  ")
                                ));
                            }
                        }
                        Err(panic) => {
                            let why = panic.downcast_ref::<String>().cloned();
                            let why = why.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                            faults.lock().unwrap().push(format!("year {seed}: {}", why.unwrap_or_default()));
                        }
                    }
                }
            });
        }
    });
    let (faults, totals) = (faults.into_inner().unwrap(), totals.into_inner().unwrap());
    eprintln!("{} years: {totals:?}", seeds.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    totals.assert_worth_it(seeds.len() as u64);
}

/// A judge who finds nothing would acquit every year: the same year, with one thing of it altered, is found out.
#[test]
fn planted_mistakes_are_caught() {
    let story = play::live(11);
    assert!(judge::judge(&story).faults.is_empty());
    let plant = |what: &str, found: &str, alter: &dyn Fn(&mut play::Story)| {
        let mut altered = story.clone();
        alter(&mut altered);
        let faults = judge::judge(&altered).faults;
        assert!(faults.iter().any(|fault| fault.contains(found)), "{what} was not caught: {faults:?}");
    };
    let accepted = |story: &play::Story, rule: &str| {
        let of = |id: &i64| story.kept.iter().any(|kept| kept.id == *id && kept.rule == rule);
        let found = story.handed.iter().rposition(|h| h.answer == play::Answer::Accepted && h.reminders.iter().all(of));
        found.unwrap_or_else(|| panic!("nothing of {rule} was sent in this year: take another seed"))
    };
    // The rule whose id stays all year.
    let rule = {
        let ids = |at: usize| story.decided[at].rules.iter().map(|rule| rule.id.clone()).collect::<Vec<_>>();
        let last = ids(story.decided.len() - 1);
        let normal = ["thuong", "phoi-hop", "khan", "bao-cao"];
        normal.into_iter().find(|id| last.iter().any(|own| own == id)).unwrap()
    };
    plant("a letter a minute after the hours", "outside its hours", &|story| {
        let index = accepted(story, rule);
        let day = office::local(story.handed[index].at).date();
        story.handed[index].at = office::instant(day.at(17, 31, 0, 0));
    });
    plant("a letter in the last allowed minute of a day off", "outside its hours", &|story| {
        let index = accepted(story, rule);
        story.handed[index].at = office::instant(jiff::civil::date(2026, 11, 24).at(17, 30, 0, 0));
    });
    plant("a cap that is not kept", "of the day", &|story| {
        let index = accepted(story, rule);
        for more in 1..=20 {
            let again = play::HandOver { message: 1_000_000 + more, ..story.handed[index].clone() };
            story.handed.push(again);
        }
    });
    plant("a step lost at midnight", "LOST", &|story| {
        let midnight = |kept: &play::Kept| office::local(kept.due).time() == jiff::civil::Time::midnight();
        let index = story.kept.iter().position(|kept| midnight(kept) && kept.fallback_of.is_none());
        story.kept.remove(index.or_else(|| story.kept.iter().position(|kept| kept.fallback_of.is_none())).unwrap());
    });
    plant("one reminder in two letters", "left in messages", &|story| {
        let index = accepted(story, rule);
        let again = play::HandOver { message: 1_000_000, ..story.handed[index].clone() };
        story.handed.push(again);
    });
    plant("a letter after completion", "though the task is done", &|story| {
        let index = accepted(story, rule);
        let (id, at) = (story.handed[index].reminders[0], story.handed[index].at);
        let code = story.kept.iter().find(|kept| kept.id == id).unwrap().task.clone();
        let task = story.tasks.iter_mut().find(|task| task.code == code).unwrap();
        task.states.retain(|(since, _)| *since < at);
        task.states.push((at - 1.minute(), "done"));
    });
    plant("a notice forgotten", "not filed", &|story| {
        story.filed.pop().expect("a notice in this year");
    });
    plant("an end without a cause", "without cause", &|story| {
        let index = accepted(story, rule);
        let id = story.handed[index].reminders[0];
        let kept = story.kept.iter_mut().find(|kept| kept.id == id).unwrap();
        (kept.state, kept.reason) = ("suppressed".to_owned(), "paused".to_owned());
    });
    plant("a letter a day late", "should have left", &|story| {
        let index = accepted(story, rule);
        // Whatever disturbed it is taken away, so that nothing excuses the day.
        story.troubles.clear();
        story.stops.clear();
        let code = story.kept.iter().find(|kept| kept.id == story.handed[index].reminders[0]).unwrap().task.clone();
        story.tasks.iter_mut().find(|task| task.code == code).unwrap().touched.clear();
        story.handed[index].at += (24 * 60).hours();
        let (from, until) = (story.handed[index].at - (24 * 61).hours(), story.handed[index].at);
        story.decided[1..].iter_mut().filter(|d| from <= d.from && d.from <= until).for_each(|d| d.from = until);
    });
}
