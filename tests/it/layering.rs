//! The architecture, held to: what each module imports, what the pure part never mentions, and how the tree looks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::paths::{crate_paths, words};

/// Who may import whom (the table in the crate's documentation). A module that is in no row is a fault too.
const LAYERS: [(&str, &[&str]); 14] = [
    ("planning", &[]),
    ("clock", &[]),
    ("message", &["planning"]),
    ("config", &["planning"]),
    ("store", &["planning", "clock"]),
    ("channel", &["planning", "message", "config", "clock"]),
    ("inspection", &["planning", "message", "config", "store", "clock"]),
    ("intake", &["planning", "message", "config", "store", "clock"]),
    ("engine", &["planning", "message", "config", "store", "channel", "inspection", "clock", "doorbell", "systemd"]),
    ("web", &["planning", "message", "config", "store", "inspection", "intake", "clock", "doorbell", "systemd"]),
    ("doorbell", &["clock"]),
    ("systemd", &["clock"]),
    (
        "cli",
        &[
            "planning",
            "message",
            "config",
            "store",
            "channel",
            "inspection",
            "intake",
            "engine",
            "web",
            "clock",
            "doorbell",
            "systemd",
        ],
    ),
    ("main", &["cli"]),
];

/// What the pure part never mentions: it neither waits, nor remembers, nor reports, nor asks the time.
const IMPURE: [&str; 5] = ["tokio", "sqlx", "tracing", "SystemTime", "Instant"];

/// What stands in the top directory, besides dot-files.
const TOP: [&str; 10] =
    ["Cargo.toml", "Cargo.lock", "src", "config", "systemd", "tests", "README.md", "README.vi.md", "LICENCE", "target"];

/// Lines a file of `src` may have; think of splitting at 500.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under `directory` of the repository, as paths relative to its root, sorted.
fn files(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                _ => found.extend(entry.path().strip_prefix(root()).map(Path::to_owned)),
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn sources() -> Vec<PathBuf> {
    let found: Vec<PathBuf> =
        files("src").into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    assert!(found.len() > 10, "the sources are not where this test looks");
    found
}

/// The module path of a source file: `src/store/sqlite/mod.rs` is `["store", "sqlite"]`, `src/lib.rs` is `[]`.
fn module_of(path: &Path) -> Vec<String> {
    let inside = path.strip_prefix("src").unwrap_or(path).with_extension("");
    let mut parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] {
        parts.pop();
    }
    parts
}

/// One line for each import that the table does not allow.
fn breaches(path: &Path, source: &str) -> Vec<String> {
    let module = module_of(path);
    // lib.rs declares the modules; it may link to all of them.
    let Some(layer) = module.first() else {
        return Vec::new();
    };
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == layer) else {
        return vec![format!("{}: `{layer}` has no row in the table of layers", path.display())];
    };
    crate_paths(source, &module)
        .into_iter()
        .filter(|(used, _)| used != layer && !allowed.contains(&used.as_str()))
        .map(|(used, line)| format!("{}:{line}: {layer} must not import {used}", path.display()))
        .collect()
}

fn impurities(path: &Path, source: &str) -> Vec<String> {
    words(source)
        .into_iter()
        .filter(|(word, _)| IMPURE.contains(&word.as_str()))
        .map(|(word, line)| format!("{}:{line}: planning mentions {word}", path.display()))
        .collect()
}

/// Words that belong in no file of the project. Put together here, for this file is read as well.
fn forbidden(path: &Path, text: &str) -> Vec<String> {
    let words = [concat!("/wo", "rk/"), concat!("/tmp", "/h/"), concat!("TO", "DO"), concat!("FIX", "ME")];
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(n, line)| words.iter().filter(move |word| line.contains(**word)).map(move |word| (n + 1, word)))
        .map(|(line, word)| format!("{}:{line}: holds {word}", path.display()))
        .collect()
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_module_imports_only_what_its_layer_may() {
    none(sources().iter().flat_map(|path| breaches(path, &text(path))).collect());
}

#[test]
fn the_pure_part_neither_waits_nor_remembers_nor_asks_the_time() {
    let pure = sources().into_iter().filter(|path| path.starts_with("src/planning"));
    none(pure.flat_map(|path| impurities(&path, &text(&path))).collect());
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = |path: &PathBuf| {
        let lines = text(path).lines().count();
        (lines > LONGEST).then(|| format!("{}: {lines} lines; split it", path.display()))
    };
    none(sources().iter().filter_map(long).collect());
}

#[test]
fn nothing_unfinished_and_no_ones_own_machine_is_in_the_files() {
    let top = ["Cargo.toml", "README.md", "README.vi.md", ".clippy.toml", ".rustfmt.toml", ".gitignore"];
    let all = ["src", "config", "systemd", "tests", ".ci"].iter().flat_map(|directory| files(directory));
    none(all.chain(top.iter().map(PathBuf::from)).flat_map(|path| forbidden(&path, &text(&path))).collect());
}

#[test]
fn the_top_directory_holds_only_what_it_should() {
    let names = fs::read_dir(root()).unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    // `dondoc demo`, the README's first command, makes its folder here.
    let ours = |name: &String| name.starts_with('.') || name.starts_with("dondoc-demo") || TOP.contains(&name.as_str());
    none(names.filter(|name| !ours(name)).collect());
}

#[test]
fn each_kind_of_planted_breach_is_found() {
    let check = |path: &str, source: &str, expected: &[&str]| {
        assert_eq!(breaches(Path::new(path), source), expected, "{source}");
    };
    check(
        "src/planning/plan.rs",
        "use crate::store::Store;",
        &["src/planning/plan.rs:1: planning must not import store"],
    );
    check("src/planning/plan.rs", "use crate::planning::task::Task; use super::rules::Rule;", &[]);
    check(
        "src/message/email.rs",
        "use crate::{\n    planning::{bundle, task},\n    store::sqlite::SqliteStore,\n    clock,\n};",
        &[
            "src/message/email.rs:3: message must not import store",
            "src/message/email.rs:4: message must not import clock",
        ],
    );
    check(
        "src/store/mod.rs",
        "fn f() {\n    let x = crate::config::settings::load();\n}",
        &["src/store/mod.rs:2: store must not import config"],
    );
    check(
        "src/store/sqlite/mod.rs",
        "use super::super::engine::scan; use super::StoreError;",
        &["src/store/sqlite/mod.rs:1: store must not import engine"],
    );
    check(
        "src/channel/mod.rs",
        "mod tests {\n    use super::super::engine;\n    use super::Channel;\n}",
        &["src/channel/mod.rs:2: channel must not import engine"],
    );
    check("src/main.rs", "use dondoc::store::Store;", &["src/main.rs:1: main must not import store"]);
    check("src/gossip.rs", "", &["src/gossip.rs: `gossip` has no row in the table of layers"]);
    check("src/doorbell.rs", "use crate::clock::Clock;", &[]);
    check("src/cli/run.rs", "use crate::{engine, systemd, web};", &[]);
}

#[test]
fn what_is_only_said_is_no_import() {
    for said in [
        "//! Rows go to [`crate::store`].",
        "/* crate::store /* nested */ crate::store */",
        r#"const HELP: &str = "use crate::store; \" crate::store";"#,
        "const HELP: &str = r#\"crate::store \"quoted\" crate::store\"#;",
        "pub(crate) struct Plan<'a>(&'a str);",
        "const QUOTE: char = '\"'; // crate::store",
    ] {
        assert_eq!(breaches(Path::new("src/planning/plan.rs"), said), Vec::<String>::new(), "{said}");
    }
    let after = "const QUOTE: char = '\"'; const LIFE: &'static str = \"\"; use crate::store;";
    assert_eq!(breaches(Path::new("src/planning/plan.rs"), after).len(), 1, "what follows a quote is read again");
}

#[test]
fn planted_impurities_and_forbidden_words_are_found() {
    let pure = Path::new("src/planning/plan.rs");
    assert_eq!(impurities(pure, "// tokio\nuse std::time::SystemTime;\ntracing::info!(\"x\");").len(), 2);
    assert_eq!(impurities(pure, "fn tracing_paper() {}"), Vec::<String>::new(), "whole words only");
    let planted = format!("ok\n// {}: later\nlet path = \"{}shared\";", concat!("TO", "DO"), concat!("/wo", "rk/"));
    assert_eq!(forbidden(pure, &planted).len(), 2);
    assert_eq!(forbidden(pure, "paperwork/here; todo"), Vec::<String>::new());
}
