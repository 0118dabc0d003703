//! README.vi.md as a program: the worked changes of its chapter for the office, each a list of acts that are written
//! out in words a clerk reads (`→ Đặt sau bước `truoc-3` của quy tắc `ubnd-chu-tri`:`), with what is to be written.

/// The chapter of the worked changes.
const CHAPTER: &str = "## Văn phòng tự sửa quy tắc";

/// One worked change.
#[derive(Debug, Clone)]
pub struct Change {
    /// `1. Thêm một bước …`
    pub title: String,
    pub acts: Vec<Act>,
}

/// One act of a change.
#[derive(Debug, Clone)]
pub struct Act {
    pub what: What,
    /// What stands in the block below it; empty for an act without one.
    pub block: String,
    /// The lines of README.vi.md between the fences.
    pub lines: std::ops::Range<usize>,
}

/// What is done. Names are as the README has them between back-ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    AfterStep {
        rule: String,
        step: String,
    },
    BeforeRule(String),
    SetStep {
        rule: String,
        step: String,
    },
    SetRule(String),
    SetTable(String),
    RemoveStep {
        rule: String,
        step: String,
    },
    ReplaceTest(String),
    Append(String),
    /// Tried, answered, and not kept.
    Mistake {
        rule: String,
        step: String,
    },
    /// What a command says to the files as they stand now (after a mistake: to the mistake).
    Answer(String),
}

/// What a line says to do, without its names, and how many names it has.
fn read_act(line: &str) -> Option<What> {
    let mut names = Vec::new();
    let mut words = String::new();
    for (n, part) in line.strip_prefix("→ ")?.split('`').enumerate() {
        if n % 2 == 1 {
            names.push(part.to_owned());
            words.push('…');
        } else {
            words.push_str(part);
        }
    }
    let mut names = names.into_iter();
    let mut name = || names.next().expect("as many names as the words ask for");
    Some(match words.as_str() {
        "Đặt sau bước … của quy tắc …:" => What::AfterStep { step: name(), rule: name() },
        "Đặt trước quy tắc …:" => What::BeforeRule(name()),
        "Ở bước … của quy tắc …, ghi:" => What::SetStep { step: name(), rule: name() },
        "Ở đầu quy tắc …, ghi:" => What::SetRule(name()),
        "Ở mục …, ghi:" => What::SetTable(name()),
        "Bỏ bước … của quy tắc …." => What::RemoveStep { step: name(), rule: name() },
        "Thay phép thử … bằng:" => What::ReplaceTest(name()),
        "Thêm vào cuối tệp …:" => What::Append(name()),
        "Viết nhầm ở bước … của quy tắc …:" => What::Mistake { step: name(), rule: name() },
        "Lệnh … trả lời:" => What::Answer(name()),
        _ => panic!("README.vi.md says {words:?}, which this test does not know how to do"),
    })
}

/// The worked changes of README.vi.md, in order. Panics at a block of TOML that no act introduces: it would be one that
/// nothing tries.
pub fn changes(readme: &str) -> Vec<Change> {
    let lines: Vec<&str> = readme.lines().collect();
    let start = lines.iter().position(|line| *line == CHAPTER).expect("the chapter for the office");
    let end = (start + 1..lines.len()).find(|n| lines[*n].starts_with("## ")).unwrap_or(lines.len());
    let mut changes: Vec<Change> = Vec::new();
    let mut n = start;
    while n < end {
        let line = lines[n];
        n += 1;
        if let Some(title) = line.strip_prefix("### ") {
            changes.push(Change { title: title.to_owned(), acts: Vec::new() });
        }
        assert!(!line.starts_with("```"), "line {n} of README.vi.md: a block without a line that says where it goes");
        let Some(what) = read_act(line) else { continue };
        let change = changes.last_mut().unwrap_or_else(|| panic!("line {n}: an act outside a change"));
        if matches!(what, What::RemoveStep { .. }) {
            change.acts.push(Act { what, block: String::new(), lines: n..n });
            continue;
        }
        assert!(lines[n].is_empty() && lines[n + 1].starts_with("```"), "line {n}: no block below it");
        let first = n + 2;
        let last = (first..end).find(|n| lines[*n] == "```").unwrap_or_else(|| panic!("line {first}: no end"));
        change.acts.push(Act { what, block: lines[first..last].join("\n"), lines: first..last });
        n = last + 1;
    }
    changes.retain(|change| !change.acts.is_empty());
    changes
}

/// The ladders that are drawn: the rule's id, and the lines between the fences.
pub fn pictures(readme: &str) -> Vec<(String, String, std::ops::Range<usize>)> {
    let lines: Vec<&str> = readme.lines().collect();
    let drawn = |n: usize| {
        let id = lines[n].strip_prefix("Quy tắc `")?.split_once('`')?.0;
        (lines.get(n + 1) == Some(&"") && lines.get(n + 2) == Some(&"```text")).then_some(id)
    };
    (0..lines.len())
        .filter_map(|n| {
            let last = drawn(n).and_then(|_| (n + 3..lines.len()).find(|n| lines[*n] == "```"))?;
            Some((drawn(n)?.to_owned(), lines[n + 3..last].join("\n"), n + 3..last))
        })
        .collect()
}
