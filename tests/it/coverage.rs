//! `tests/scenarios/COVERAGE.md` says of each sentence of the rules which story or test holds it, `tests/FAULTS.md` of each
//! fault, the README of each promise. This keeps them honest: what they name exists. It never judges whether a test says
//! enough.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

/// Functions that are tests: under `#[test]`, or a property of the contract suite, `module: property,` in its list, and
/// a function of that module.
fn tests(root: &Path) -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tests/it"), &mut files);
    let mut found = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let contract = file.ends_with("contract.rs");
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if contract && let Some((module, property)) = line.strip_suffix(',').and_then(|line| line.split_once(": "))
            {
                let of = root.join(format!("tests/it/contract/{module}.rs"));
                let defined = fs::read_to_string(of).is_ok_and(|of| of.contains(&format!("fn {property}<")));
                assert!(defined, "contract.rs lists {module}: {property}, and {module}.rs has none");
                found.insert(property.to_owned());
            }
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
                found.insert(rest.split(['(', '<']).next().unwrap_or_default().to_owned());
                marked = false;
            }
        }
    }
    found
}

/// The first two digits of each story and its whole name.
fn stories(root: &Path) -> BTreeSet<String> {
    let mut stories = BTreeSet::new();
    for entry in fs::read_dir(root.join("tests/scenarios")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        stories.extend(name.split_once('-').map(|(number, _)| number.to_owned()));
        stories.insert(name);
    }
    stories
}

/// What stands between back quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_story_and_test_that_the_readmes_promises_name_exists_and_each_promise_names_some() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (stories, tests) = (stories(root), tests(root));
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let (_, section) = readme.split_once("\n## What is promised").expect("the section of the promises");
    let section = section.split("\n## ").next().unwrap();
    let is_story = |name: &str| name.len() > 3 && name.as_bytes()[2] == b'-' && name[..2].parse::<u8>().is_ok();
    let is_test =
        |name: &str| name.matches('_').count() >= 3 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    for name in quoted(section) {
        let known = match () {
            () if is_story(name) => stories.contains(name),
            () if is_test(name) => tests.contains(name),
            () => continue,
        };
        assert!(known, "there is no story or test `{name}`");
    }
    let promises: Vec<&str> = (1..=8)
        .map(|n| {
            let (_, promise) = section.split_once(&format!("\n{n}. **")).unwrap_or_else(|| panic!("promise {n}"));
            promise.split(&format!("\n{}. **", n + 1)).next().unwrap()
        })
        .collect();
    for promise in promises {
        let held = quoted(promise).into_iter().filter(|name| is_story(name) || is_test(name)).count();
        assert!(held >= 3, "{held} tests hold this: {promise}");
    }
}

#[test]
fn every_story_and_test_that_the_coverage_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (stories, tests) = (stories(root), tests(root));
    assert!(tests.len() > 200, "the tests were not found: {}", tests.len());
    let table = fs::read_to_string(root.join("tests/scenarios/COVERAGE.md")).unwrap();
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| sentence")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let names: Vec<&str> = quoted(cells[1]);
        assert!(!names.is_empty(), "nothing holds this sentence: {line}");
        for name in names {
            let known =
                if name.chars().all(|c| c.is_ascii_digit()) { stories.contains(name) } else { tests.contains(name) };
            assert!(known, "there is no story or test `{name}`: {line}");
        }
        rows += 1;
    }
    assert!(rows >= 50, "the table was not read: {rows} rows");
}

#[test]
fn every_test_that_the_fault_table_names_exists_and_every_row_names_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = tests(root);
    let table = fs::read_to_string(root.join("tests/FAULTS.md")).unwrap();
    let long = fs::read_to_string(root.join("tests/long")).unwrap();
    let parts = long.lines().find_map(|line| line.strip_prefix("parts=(")).expect("the long tests' parts");
    let parts: BTreeSet<&str> = parts.trim_end_matches(')').split(' ').collect();
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| fault")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "three columns: {line}");
        let names: Vec<&str> = quoted(cells[2]);
        assert!(names.iter().any(|name| !name.starts_with("tests/long ")), "nothing holds this: {line}");
        for name in names {
            match name.strip_prefix("tests/long ") {
                Some(part) => assert!(parts.contains(part), "tests/long has no part {part}: {line}"),
                None => assert!(tests.contains(name), "there is no test `{name}`: {line}"),
            }
        }
        rows += 1;
    }
    assert!(rows >= 30, "the table was not read: {rows} rows");
}
