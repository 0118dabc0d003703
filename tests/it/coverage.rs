//! `tests/scenarios/COVERAGE.md` says of each sentence of the rules which story or test holds it. This keeps the table
//! honest: what it names exists. It never judges whether a test says enough.

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

/// Functions that are tests: under `#[test]`, or named in the contract suite.
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
            if contract && let Some((_, name)) = line.trim_end_matches(',').split_once(": ") {
                found.insert(name.to_owned());
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

#[test]
fn every_story_and_test_that_the_coverage_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stories: BTreeSet<String> = fs::read_dir(root.join("tests/scenarios"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().path().file_stem()?.to_str()?.split('-').next()?.to_owned()))
        .collect();
    let tests = tests(root);
    assert!(tests.len() > 200, "the tests were not found: {}", tests.len());
    let table = fs::read_to_string(root.join("tests/scenarios/COVERAGE.md")).unwrap();
    let mut rows = 0;
    for line in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| sentence")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let names: Vec<&str> = cells[1].split('`').skip(1).step_by(2).collect();
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
        let names: Vec<&str> = cells[2].split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || cells[2].trim().starts_with("see "), "nothing holds this: {line}");
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
