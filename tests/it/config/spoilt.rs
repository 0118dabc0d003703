//! No file, however broken, makes the readers panic, or speak a parser's language, or point outside itself.
//!
//! The test run tries a few thousand spoilt files. The long form is the same with a number:
//!
//! ```text
//! DONDOC_FUZZ=1000000 [DONDOC_FUZZ_SEED=7] cargo test --release --test it spoilt -- --nocapture
//! ```
//!
//! With seed 7, 1,050,000 inputs were read (50,256 accepted, 999,744 refused) in six minutes of one core's time; an
//! earlier run had fallen at input 84,222, a test dated in the year 9999.
//!
//! A failure names its input's number; `DONDOC_FUZZ_FROM=number DONDOC_FUZZ=1` tries that one again.

use dondoc::{
    cli::{check_lines, wiring::run_test},
    config::{calendar_file::LoadedCalendar, shipped::source_of},
};

use super::*;
use crate::dice::Dice;

/// Words that only a parser or a program says.
const FOREIGN: [&str; 14] = [
    "expected",
    "unexpected",
    "invalid",
    "missing field",
    "unknown field",
    "unknown variant",
    "TOML parse",
    "serde",
    "panic",
    "unwrap",
    "internal",
    "duplicate key",
    "must be",
    "Err(",
];

/// Every fault has a place within the file, on the edges of characters, says how to mend it, and speaks Vietnamese.
fn speaks_the_office(problems: &Problems, text: &str) {
    for problem in problems.iter() {
        assert!(problem.severity == Severity::Warning || !problem.help.trim().is_empty(), "no help: {problem:?}");
        assert!(!problem.message.trim().is_empty(), "{problem:?}");
        for said in [&problem.message, &problem.help] {
            // What was typed may say anything.
            let ours: String = said.split('`').step_by(2).collect();
            for foreign in FOREIGN {
                assert!(!ours.contains(foreign) || text.contains(foreign), "{foreign:?} in: {said}");
            }
        }
        let span = &problem.span;
        assert!(span.start <= span.end && span.end <= text.len(), "{span:?} lies outside the file: {problem:?}");
        assert!(text.is_char_boundary(span.start) && text.is_char_boundary(span.end), "{span:?}: {problem:?}");
        let line_start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let place = (text[..span.start].matches('\n').count() + 1, text[line_start..span.start].chars().count() + 1);
        assert_eq!((problem.line, problem.column), place, "{problem:?}");
    }
    let rendered = problems.render(true);
    assert!(problems.is_empty() || !rendered.is_empty());
    let count = problems.iter().count();
    assert_eq!(check_lines::editor(problems).lines().count(), count, "one line a fault");
    assert_eq!(check_lines::github(problems).lines().count(), count, "one line a fault");
    assert_eq!(problems.to_json().as_array().map(Vec::len), Some(count));
}

/// What slips into a line while somebody types, pastes, or saves in the wrong program.
const ODD: &[&str] = &[
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    "'",
    "#",
    "\n",
    "-",
    "\u{0}",
    "ệ",
    "\u{202e}",
    "0",
    ".",
    "\r",
    "\t",
    "\u{a0}",
    "\u{feff}",
    "“",
    "”",
    "–",
    "\"\"\"",
    "'''",
    "\\",
    "\\u",
    "\\uD800",
    "[[",
    "]]",
    ":",
    "\u{1b}[31m",
    "🙂",
    "e\u{301}",
];

/// Values in the place of another.
const VALUES: &[&str] = &[
    "99999999999999999999999999",
    "-9223372036854775808",
    "1e308",
    "nan",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[[[[]]]]",
    "2026-02-30",
    "2026-12-15T17:00:00Z",
    "0000-01-01",
    "9999-12-31",
    "24:00:00",
    "\"10000wd\"",
    "\"-10000d\"",
    "\"+9999h\"",
    "\"0h\"",
    "{ every = \"10000d\", times = 1000 }",
    "{ every = \"1h\", times = 1000 }",
    "16/12/2026",
    "chủ trì",
    "“handler”",
    "\"person:\"",
    "\"email:@\"",
    "[1, \"a\", true]",
    "\"\\u0000\"",
    "0x7fffffffffffffff",
];

/// One way in which a file is spoilt. Bytes, for not every file is text.
fn spoil(bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    if dice.below(6) == 0 {
        let mut bytes = bytes;
        for _ in 0..=dice.below(4) {
            if !bytes.is_empty() {
                let at = dice.below(bytes.len());
                match dice.below(3) {
                    0 => bytes[at] ^= 1 << dice.below(8),
                    1 => bytes.insert(at, dice.roll() as u8),
                    _ => drop(bytes.remove(at)),
                }
            }
        }
        return bytes;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return dice.pick(ODD).as_bytes().to_vec();
    }
    let n = dice.below(lines.len());
    let made: String;
    match dice.below(12) {
        0 => drop(lines.remove(n)),
        1 => {
            let m = dice.below(lines.len());
            lines.swap(n, m);
        }
        2 => lines.insert(n, lines[dice.below(lines.len())]),
        3 => lines.truncate(n),
        // A block stands twice.
        4 => {
            let end = (n + 1 + dice.below(12)).min(lines.len());
            let block = lines[n..end].to_vec();
            let at = dice.below(lines.len());
            lines.splice(at..at, block);
        }
        5 => {
            let end = (n + dice.below(12)).min(lines.len());
            lines.drain(n..end);
        }
        6 => {
            let at = text.char_indices().nth(dice.below(text.len())).map_or(0, |(at, _)| at);
            return format!("{}{}{}", &text[..at], dice.pick(ODD), &text[at..]).into_bytes();
        }
        // Two words change places.
        7 => {
            let mut words: Vec<&str> = text.split_inclusive(' ').collect();
            let (a, b) = (dice.below(words.len()), dice.below(words.len()));
            words.swap(a, b);
            return words.concat().into_bytes();
        }
        8 | 9 => {
            let key = lines[n].split('=').next().unwrap_or_default();
            made = format!("{key}= {}", dice.pick(VALUES));
            lines[n] = &made;
        }
        10 => {
            let depth = 1 + dice.below(200);
            let key = lines[n].split('=').next().unwrap_or_default();
            made = match dice.below(3) {
                0 => format!("{key}= {}{}", "[".repeat(depth), "]".repeat(dice.below(depth + 1))),
                1 => format!("{key}= {}", "{ a = ".repeat(depth)),
                _ => format!("{}= 1", vec!["a"; depth].join(".")),
            };
            lines[n] = &made;
        }
        _ => return text.replace('\n', dice.pick::<&str>(&["\r\n", "\r", "\n\n", " ", "\u{2028}"])).into_bytes(),
    }
    lines.join("\n").into_bytes()
}

/// What a reader needs besides the file at hand.
struct Reader {
    office: OfficeFiles,
}

impl Reader {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Settings::embedded(dir.path()).unwrap();
        let (office, _) =
            load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
        Self { office }
    }

    /// Reads a file; what is accepted must also bear being used. Says whether it was accepted.
    fn read(&mut self, file: usize, bytes: Vec<u8>) -> bool {
        let name = ["dondoc.toml", "rules.toml", "calendar.toml"][file];
        let source = match source_of(name, bytes.clone()) {
            Ok(source) => source,
            Err(problems) => {
                speaks_the_office(&problems, &String::from_utf8_lossy(&bytes));
                return false;
            }
        };
        let loaded = match file {
            0 => parse_settings(&source, Path::new("/etc/dondoc/dondoc.toml"), std::iter::empty()).map(|(_, p)| p),
            1 => parse_rules(&source, &context()).map(|(loaded, problems)| {
                self.office.rules = loaded;
                self.use_it();
                problems
            }),
            _ => parse_calendar(&source, TimeZone::get("Asia/Ho_Chi_Minh").unwrap()).map(|(loaded, problems)| {
                let shipped: LoadedCalendar = std::mem::replace(&mut self.office.calendar, loaded);
                self.use_it();
                self.office.calendar = shipped;
                problems
            }),
        };
        let accepted = loaded.is_ok();
        let (Ok(problems) | Err(problems)) = loaded;
        assert_eq!(accepted, !problems.has_errors());
        speaks_the_office(&problems, source.text());
        accepted
    }

    /// The first tests, and the listing: rules that were accepted can be planned by.
    fn use_it(&self) {
        let some = &self.office.rules.tests[..self.office.rules.tests.len().min(3)];
        let report = run_tests(some, &|test| run_test(&self.office, test));
        assert_eq!(report.passed + report.failed, some.len());
        speaks_the_office(&report.problems, self.office.rules.tests.first().map_or("", |t| t.place.source.text()));
        assert!(!dondoc::config::effective::show(&self.office.rules).is_empty());
    }
}

/// Says which input it was when the test falls.
struct Number {
    seed: u64,
    number: u64,
    bytes: Vec<u8>,
}

impl Drop for Number {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "input {} of seed {} (DONDOC_FUZZ_SEED={1} DONDOC_FUZZ_FROM={0} DONDOC_FUZZ=1):\n{}",
                self.number,
                self.seed,
                String::from_utf8_lossy(&self.bytes)
            );
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.replace('_', "").parse().ok()).unwrap_or(otherwise)
}

#[test]
fn no_spoilt_file_makes_a_reader_panic_or_speak_like_a_parser_or_point_outside_itself() {
    let (seed, from, count) =
        (number("DONDOC_FUZZ_SEED", 7), number("DONDOC_FUZZ_FROM", 0), number("DONDOC_FUZZ", 1500));
    let whole = [shipped::SETTINGS, shipped::RULES, shipped::CALENDAR];
    // Small files too: in them a slip meets every key more often.
    let small = [SETTINGS, RULES, CALENDAR];
    let mut reader = Reader::new();
    let (mut accepted, mut refused) = (0u64, 0u64);
    for input in from..from + count {
        let mut dice = Dice(seed ^ input.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let file = dice.below(3);
        let text = if dice.below(4) == 0 { whole[file] } else { small[file] };
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=dice.below(4) {
            bytes = spoil(bytes, &mut dice);
        }
        let guard = Number { seed, number: input, bytes: bytes.clone() };
        match reader.read(file, bytes) {
            true => accepted += 1,
            false => refused += 1,
        }
        drop(guard);
        if (input + 1 - from).is_multiple_of(100_000) {
            eprintln!("{} inputs: {accepted} accepted, {refused} refused", input + 1 - from);
        }
    }
    eprintln!("seed {seed}: {count} inputs, {accepted} accepted, {refused} refused");
    // A mutation that never breaks anything, or always everything, tries nothing.
    assert!(count < 500 || accepted > count / 50 && refused > count / 5, "{accepted} accepted, {refused} refused");
}

#[test]
fn deep_nesting_and_endless_lines_end() {
    let mut reader = Reader::new();
    // Enough to overflow a stack that is gone down once for each; more only takes longer.
    let n = 4_000;
    for text in [
        "[".repeat(n),
        "]".repeat(n),
        "a = ".to_owned() + &"[".repeat(n),
        "a = ".to_owned() + &"{ a = ".repeat(n),
        format!("{} = 1", vec!["a"; n].join(".")),
        format!("[{}]", vec!["a"; n].join(".")),
        format!("[[{}]]", vec!["a"; n].join(".")),
        "\"".repeat(n),
        "'''".repeat(n),
        "a = 1\n".repeat(n),
        "[[rule]]\n".repeat(n / 20),
        "[a]\n".repeat(n),
        "=\n".repeat(n),
        "ệ".repeat(n),
        "due = \"".to_owned() + &"9".repeat(n) + "wd\"",
        "\n".repeat(n),
        "\u{0}".repeat(n),
    ] {
        for file in 0..3 {
            reader.read(file, text.clone().into_bytes());
        }
    }
}
