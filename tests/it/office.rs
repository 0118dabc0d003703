//! What an office was promised it can do by itself: each commented example of the shipped rules works once its marks
//! are taken off, each worked change of README.vi.md does what it says and nothing without it, and each answer quoted
//! there is the one the program gives.
//!
//! Where the program's answers changed for a good reason, `DONDOC_README=write cargo test --test it office` writes the
//! present ones into README.vi.md; read them before you commit them.

use std::{collections::BTreeMap, fs, ops::Range, path::Path};

use dondoc::{
    cli::{
        check::{Args, Findings, find, to_text},
        wiring::Parts,
    },
    config::{problem::Severity, shipped},
};
use jiff::Timestamp;

mod edit;
mod picture;
mod readme;

use edit::Edited;
use readme::{Act, Change, What};

/// 22/11/2026, 07:00 in Hà Nội.
const NOW: Timestamp = Timestamp::constant(1_795_305_600, 0);

/// The three files of an office, as they stand after some edits.
#[derive(Clone)]
struct Files(BTreeMap<&'static str, Edited>);

impl Files {
    fn shipped() -> Self {
        Self(shipped::FILES.into_iter().map(|(name, text)| (name, Edited::of(text))).collect())
    }

    fn file(&mut self, name: &str) -> &mut Edited {
        self.0.get_mut(name).unwrap_or_else(|| panic!("there is no file {name}"))
    }

    fn rules(&mut self) -> &mut Edited {
        self.file("rules.toml")
    }

    /// `dondoc check` on these files, and its answer with the folder an office has.
    fn check(&self, effective: bool) -> (Findings, String) {
        let dir = tempfile::tempdir().unwrap();
        for (name, edited) in &self.0 {
            fs::write(dir.path().join(name), edited.text()).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut args = Args::default();
        if effective {
            args.effective = true;
        }
        let config = dir.path().join("dondoc.toml");
        let findings = runtime.block_on(find(&args, &config, std::iter::empty(), NOW, &Parts));
        let text = to_text(&findings, false).replace(&dir.path().display().to_string(), "/etc/dondoc");
        (findings, text)
    }

    /// Holds that `check` finds nothing which it does not find in the shipped files too (a day off that is still an
    /// estimate stays one whatever is edited).
    fn assert_clean(&self, what: &str) {
        let codes = |findings: &Findings| -> Vec<&'static str> { findings.problems.iter().map(|p| p.code).collect() };
        let ((findings, said), (shipped, _)) = (self.check(false), Files::shipped().check(false));
        assert!(findings.ok() && findings.tests.failed == 0, "{what}: check finds\n{said}");
        assert_eq!(codes(&findings), codes(&shipped), "{what}: check finds\n{said}");
    }

    /// Does what an act says, if it is an edit.
    fn apply(&mut self, act: &Act) {
        let text = act.block.as_str();
        match &act.what {
            What::AfterStep { rule, step } => self.rules().after_step(rule, step, text),
            What::BeforeRule(rule) => self.rules().before_rule(rule, text),
            What::SetStep { rule, step } | What::Mistake { rule, step } => self.rules().set_step(rule, step, text),
            What::SetRule(rule) => self.rules().set_rule(rule, text),
            What::SetTable(header) => self.rules().set_table(header, text),
            What::RemoveStep { rule, step } => self.rules().remove_step(rule, step),
            What::ReplaceTest(name) => self.rules().replace_test(name, text),
            What::Append(file) => self.file(file).append(text),
            What::Answer(_) => {}
        }
    }
}

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.vi.md")).unwrap()
}

/// The `[[test]]` blocks of a text, each with its name.
fn tests_of(text: &str) -> Vec<(String, String)> {
    let blocks = text.split("[[test]]").skip(1);
    let name = |block: &str| block.split_once("name = \"")?.1.split_once('"').map(|(name, _)| name.to_owned());
    blocks.map(|block| (name(block).expect("a test with a name"), format!("[[test]]{}", block.trim_end()))).collect()
}

/// The shipped files with one test more, or with one in the place of another; whether `check` finds that test failing.
fn fails_without(replaced: Option<&str>, name: &str, test: &str) -> bool {
    let mut files = Files::shipped();
    match replaced {
        Some(old) => files.rules().replace_test(old, test),
        None => files.rules().append(test),
    }
    let text = files.rules().text();
    let at = text.find(test).map(|at| text[..at].matches('\n').count() + 1).expect("the test is in the file");
    let lines = at..at + test.lines().count();
    let (findings, said) = files.check(false);
    let errors: Vec<_> = findings.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    for error in &errors {
        let expected = ["test-failed", "unknown-step"].contains(&error.code) && lines.contains(&error.line);
        assert!(expected, "{name:?} alone on the shipped rules is more than a failing test:\n{said}");
    }
    !errors.is_empty()
}

/// Whether what is quoted is what was said. A line `…` stands for any number of lines.
fn quotes(quoted: &str, said: &str) -> bool {
    let said: Vec<&str> = said.lines().map(str::trim_end).collect();
    let mut from = 0;
    for part in quoted.split("\n…").map(|part| part.trim_matches('\n')).filter(|part| !part.is_empty()) {
        let part: Vec<&str> = part.lines().filter(|line| *line != "…").map(str::trim_end).collect();
        match said[from..].windows(part.len()).position(|window| window == part) {
            Some(at) => from += at + part.len(),
            None => return false,
        }
    }
    true
}

/// What to quote instead: as much of the answer as was quoted before, before and after each `…`.
fn requote(quoted: &str, said: &str) -> String {
    let said: Vec<&str> = said.trim_end().lines().collect();
    let old: Vec<&str> = quoted.lines().collect();
    let Some(cut) = old.iter().position(|line| *line == "…") else { return said.join("\n") };
    let behind = old.len() - cut - 1;
    let head = said[..cut.min(said.len())].iter();
    head.chain(&["…"]).chain(&said[said.len().saturating_sub(behind)..]).copied().collect::<Vec<_>>().join("\n")
}

/// Of a listing only the quoted lines, each with the number it has now.
fn relist(quoted: &str, said: &str) -> String {
    let value = |line: &str| line.split("  #").next().unwrap_or_default().trim_end().to_owned();
    let now = |old: &str| said.lines().find(|line| value(line) == value(old)).unwrap_or(old).to_owned();
    quoted.lines().map(now).collect::<Vec<_>>().join("\n")
}

/// New texts for lines of README.vi.md; written only where a person asks for it.
#[derive(Default)]
struct Rewriting(Vec<(Range<usize>, String)>);

impl Rewriting {
    fn asked() -> bool {
        std::env::var("DONDOC_README").is_ok_and(|value| value == "write")
    }

    /// Two tests may write at once: each takes the file as it is then, and changes only its own blocks' text.
    fn write(self, old: &str) {
        let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
        for (range, text) in self.0.into_iter().rev() {
            lines.splice(range, text.lines().map(str::to_owned));
        }
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.vi.md"), lines.join("\n") + "\n").unwrap();
    }
}

/// Follows a change act by act, and says what was quoted and what the program really answers.
fn follow(change: &Change) -> (Files, Vec<(Act, String)>) {
    let mut files = Files::shipped();
    let mut mistaken: Option<Files> = None;
    let mut answers = Vec::new();
    for act in &change.acts {
        match &act.what {
            What::Mistake { .. } => {
                let mut tried = files.clone();
                tried.apply(act);
                mistaken = Some(tried);
            }
            What::Answer(command) => {
                let effective = match command.as_str() {
                    "dondoc check" => false,
                    "dondoc check --effective" => true,
                    other => panic!("the answer to {other:?} is not compared yet"),
                };
                let asked = mistaken.take();
                let (_, said) = asked.as_ref().unwrap_or(&files).check(effective);
                answers.push((act.clone(), said));
            }
            _ => files.apply(act),
        }
    }
    assert!(mistaken.is_none(), "{}: a mistake without its answer", change.title);
    (files, answers)
}

#[test]
fn readme_says_what_the_program_does() {
    let text = readme();
    let mut rewriting = Rewriting::default();
    let mut wrong = Vec::new();
    let rules = rules();
    let drawn: Vec<_> = readme::pictures(&text);
    let ids: Vec<&str> = drawn.iter().map(|(id, ..)| id.as_str()).collect();
    assert_eq!(ids, ["ubnd-chu-tri", "khan", "thuong-khan", "hoa-toc"], "the four ladders are drawn");
    for (id, quoted, lines) in &drawn {
        let picture = picture::draw(rules.get(id).unwrap_or_else(|| panic!("README.vi.md draws {id}")));
        assert!(picture.lines().all(|line| line.chars().count() <= 114), "too wide for a page:\n{picture}");
        if picture != *quoted {
            wrong.push(format!("{id} is drawn as\n{quoted}\nand is\n{picture}"));
            rewriting.0.push((lines.clone(), picture));
        }
    }
    for change in readme::changes(&text) {
        for (act, said) in follow(&change).1 {
            if !quotes(&act.block, &said) {
                wrong.push(format!("{}: quoted\n{}\nand the answer is\n{said}", change.title, act.block));
                let listing = act.what == What::Answer("dondoc check --effective".to_owned());
                let now = if listing { relist(&act.block, &said) } else { requote(&act.block, &said) };
                rewriting.0.push((act.lines.clone(), now));
            }
        }
    }
    if Rewriting::asked() {
        rewriting.write(&text);
    } else {
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn each_worked_change_passes_with_its_edit_and_fails_without() {
    let changes = readme::changes(&readme());
    assert!(changes.len() >= 10, "ten worked changes, not {}", changes.len());
    for change in &changes {
        let title = &change.title;
        let (files, _) = follow(change);
        files.assert_clean(title);
        let edited = change.acts.iter().any(|act| {
            let test_only = act.block.trim_start().starts_with("[[test]]");
            !matches!(act.what, What::Answer(_) | What::Mistake { .. } | What::ReplaceTest(_)) && !test_only
        });
        assert!(edited, "{title}: nothing is changed");
        let mut tried = 0;
        for act in change.acts.iter().filter(|act| !matches!(act.what, What::Answer(_) | What::Mistake { .. })) {
            let replaced = match &act.what {
                What::ReplaceTest(old) => Some(old.as_str()),
                _ => None,
            };
            for (name, test) in tests_of(&act.block) {
                assert!(files.clone().rules().text().contains(&test), "{title}: {name:?} is not kept");
                assert!(fails_without(replaced, &name, &test), "{title}: {name:?} passes without the change");
                tried += 1;
            }
        }
        // What a test cannot ask (a cap, the hours) is at least seen in what the rules come to.
        let shown = change.acts.iter().find(|act| act.what == What::Answer("dondoc check --effective".to_owned()));
        let (_, before) = Files::shipped().check(true);
        match shown {
            Some(act) => assert!(!quotes(&act.block, &before), "{title}: so it stands without the change too"),
            None => assert!(tried > 0, "{title}: nothing shows that it works"),
        }
    }
}

fn rules() -> dondoc::planning::rules::Rules {
    use dondoc::config::{
        problem::Source,
        rules_file::{RulesContext, parse_rules},
    };
    let (loaded, problems) = parse_rules(&Source::new("rules.toml", shipped::RULES), &RulesContext::unknown())
        .unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    loaded.rules
}

/// The lines between `# ----- Thí dụ n` and `# ----- Hết thí dụ n`, without these two.
fn examples() -> Vec<Range<usize>> {
    let lines: Vec<&str> = shipped::RULES.lines().collect();
    let marks = |mark: &'static str| {
        let lines = &lines;
        (0..lines.len()).filter(move |n| lines[*n].starts_with(mark))
    };
    marks("# ----- Thí dụ").zip(marks("# ----- Hết thí dụ")).map(|(from, to)| from + 1..to).collect()
}

#[test]
fn each_commented_example_of_the_rules_works_once_its_marks_are_off() {
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for lines in &examples {
        let mut files = Files::shipped();
        files.rules().uncomment(lines.clone());
        let first = shipped::RULES.lines().nth(lines.start - 1).unwrap();
        files.assert_clean(first);
        let block = files.rules().lines()[lines.clone()].join("\n");
        let tests = tests_of(&block);
        assert!(!tests.is_empty(), "{first}: nothing tries it");
        for (name, test) in tests {
            assert!(fails_without(None, &name, &test), "{name:?} passes without its rule");
        }
    }
    // All of them together stand beside one another.
    let mut files = Files::shipped();
    for lines in examples {
        files.rules().uncomment(lines);
    }
    files.assert_clean("all examples");
}

/// The commented lines `# key = value` outside the examples.
fn commented_lines() -> Vec<usize> {
    let inside = examples();
    let is_key = |line: &str| {
        let key = line.strip_prefix("# ").and_then(|line| line.split_once(" = ")).map(|(key, _)| key);
        key.is_some_and(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let lines: Vec<&str> = shipped::RULES.lines().collect();
    (0..lines.len()).filter(|n| is_key(lines[*n]) && !inside.iter().any(|lines| lines.contains(n))).collect()
}

#[test]
fn each_commented_line_of_the_rules_is_one_that_may_be_written() {
    let lines: Vec<&str> = shipped::RULES.lines().collect();
    let single = commented_lines();
    for key in ["basis", "effective_from", "bundle", "late"] {
        assert!(single.iter().any(|n| lines[*n].starts_with(&format!("# {key} ="))), "{key} is shown");
    }
    for n in single {
        let mut files = Files::shipped();
        files.rules().uncomment(n..n + 1);
        files.assert_clean(lines[n]);
    }
}

#[test]
fn the_shipped_rules_and_their_examples_use_everything_an_office_may_write() {
    let mut files = Files::shipped();
    let singles = commented_lines().into_iter().map(|n| n..n + 1);
    for lines in examples().into_iter().chain(singles) {
        files.rules().uncomment(lines);
    }
    let text: String =
        files.rules().lines().iter().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let when: String = text.lines().filter(|line| line.starts_with("when = ")).collect();
    for key in [
        "role",
        "block",
        "urgency",
        "secrecy",
        "assigner",
        "document_kind",
        "agency",
        "agency_kind",
        "field",
        "priority",
    ] {
        assert!(when.contains(&format!(" {key} = ")), "no rule asks for {key}");
    }
    for audience in dondoc::planning::rules::Audience::WORDS {
        let named = |line: &&str| line.starts_with("add =") || line.starts_with("only =");
        let named = text.lines().filter(named).any(|line| line.contains(&format!("\"{audience}\"")));
        assert!(named, "no step reaches {audience}");
    }
    for line in [
        "hours = \"urgent\"",
        "late = \"skip\"",
        "late = \"latest\"",
        "max_lateness = ",
        "effective_from = ",
        "basis = ",
        "clock = \"report\"",
        "repeat = ",
        "only = ",
        "at = \"14:00\"",
        "daily_cap = ",
        "file = [\"notice\"]",
    ] {
        assert!(text.lines().any(|known| known.starts_with(line)), "{line} stands nowhere");
    }
    assert!(!text.contains("letter"), "a draft letter is not made yet, so none is asked for");
    let tests = shipped::RULES.lines().filter(|line| *line == "[[test]]").count();
    assert!(tests >= 30, "{tests} tests");
}

#[test]
fn each_shipped_rule_is_tried_by_a_shipped_test() {
    let rules = rules();
    let (findings, _) = Files::shipped().check(false);
    assert_eq!(findings.tests.failed, 0);
    let all: Vec<&str> = rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    for id in all {
        // A rule that nothing tries can lose a step's name unnoticed.
        let noticed = rules.get(id).unwrap().steps.iter().any(|step| {
            let mut files = Files::shipped();
            let other = format!("id = \"{}-khac\"", step.id);
            files.rules().set_step(id, &step.id, &other);
            let (findings, _) = files.check(false);
            findings.tests.failed > 0 || findings.problems.has_errors()
        });
        assert!(noticed, "no shipped test says anything of the rule {id}");
    }
}

#[test]
fn a_quotation_is_compared_line_by_line() {
    let said = "a\nb\nc\nd\n";
    assert!(quotes("b\nc", said) && quotes("a\n…\nd", said) && quotes("…\nd", said));
    assert!(!quotes("a\nc", said) && !quotes("d\n…\na", said) && !quotes("b\nx", said));
    assert_eq!(requote("x\n…\ny", said), "a\n…\nd");
    assert_eq!(requote("x", said), "a\nb\nc\nd");
}
