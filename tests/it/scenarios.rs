//! Planning told as stories: each file under `tests/scenarios/` is a task, what befell it, and everything that was then
//! sent and filed, minute by minute. How to write one: `tests/scenarios/README.md`.
//!
//! The engine, the store and the texts are the real ones; only the clock is moved by hand and the mail relay is one
//! that answers as the story says. The whole timeline is compared: a message, a notice, an unreachable post or a
//! logged error that the story does not name fails it.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod channel;
mod explain;
pub mod file;
mod run;
pub mod timeline;
pub mod world;

use std::{fs, path::PathBuf, sync::Mutex, thread};

fn files() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

/// `DONDOC_SCENARIO=part-of-a-name` runs only those.
#[test]
fn every_story_goes_as_told() {
    tell_all();
}

/// Plays every story; one that goes otherwise fails.
pub fn tell_all() {
    let wanted = std::env::var("DONDOC_SCENARIO").unwrap_or_default();
    let mut left: Vec<PathBuf> = files();
    left.retain(|path| path.to_string_lossy().contains(&wanted));
    assert!(!left.is_empty(), "no scenario is named like {wanted:?}");
    left.reverse();
    let left = Mutex::new(left);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from).min(8) {
            scope.spawn(|| {
                loop {
                    let Some(path) = left.lock().unwrap().pop() else { break };
                    let told = std::panic::catch_unwind(|| run::tell(&path));
                    let failure = match told {
                        Ok(Ok(())) => continue,
                        Ok(Err(difference)) => difference,
                        Err(panic) => panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                            .unwrap_or_default(),
                    };
                    failures.lock().unwrap().push(format!("{}\n{failure}", path.display()));
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} stories went otherwise:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// A harness that compares nothing would pass every story.
#[test]
fn a_story_told_wrongly_fails() {
    let path = files().into_iter().find(|path| path.ends_with("00-bac-thang.toml")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let line = lines.iter().position(|line| line.contains("den-han")).unwrap();
    lines.remove(line);
    let difference = run::tell_text(&lines.join("\n")).unwrap_err();
    assert!(difference.contains("den-han"), "{difference}");
}

#[test]
fn no_two_stories_have_one_name() {
    let mut names: Vec<String> =
        files().iter().map(|path| file::read(&fs::read_to_string(path).unwrap()).unwrap().name).collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}
