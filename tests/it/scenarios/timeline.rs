//! What happened, in lines; and two of them side by side.

use std::{collections::BTreeMap, fmt::Write};

use jiff::civil::DateTime;

/// Lines in the order of their instants. Messages that say the same to several people are one line.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    lines: Vec<String>,
    /// (time, channel, what, how it ended) -> slots
    messages: BTreeMap<(String, String, String, String), Vec<String>>,
}

/// One hand-over.
pub struct Sent {
    pub at: DateTime,
    pub channel: String,
    /// `handler`, `handler+agency_head`, `agency_head=snv.box`
    pub to: String,
    /// `den-han`
    pub what: String,
    /// `(đôn đốc lần 1)`, `refused 550`, `stopped` …
    pub remark: String,
}

impl Timeline {
    pub fn line(&mut self, at: DateTime, text: &str) {
        self.lines.push(format!("{} {text}", stamp(at)));
    }

    pub fn sent(&mut self, sent: Sent) {
        let key = (stamp(sent.at), sent.channel, sent.what, sent.remark);
        self.messages.entry(key).or_default().push(sent.to);
    }

    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.lines.clone();
        for ((at, channel, what, remark), slots) in &self.messages {
            let mut slots = slots.clone();
            slots.sort_by_key(|slot| (rank(slot), slot.clone()));
            lines.push(format!("{at} {channel} {} {what} {remark}", slots.join(",")).trim_end().to_owned());
        }
        lines.sort();
        lines
    }
}

fn stamp(at: DateTime) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// The order in which a ladder usually adds them.
const ORDER: [&str; 9] = [
    "handler",
    "agency_contact",
    "agency_deputy",
    "agency_head",
    "agency_box",
    "monitor",
    "superior_head",
    "assigner_office",
    "inspection",
];

/// Where a slot (`agency_head`, `agency_head=snv.box`, `handler+agency_head`) stands in a line.
pub fn rank(slot: &str) -> usize {
    let word = slot.split(['+', '=']).next().unwrap_or(slot);
    ORDER.iter().position(|known| *known == word).unwrap_or(ORDER.len())
}

/// Slots in any order are the same line.
fn ordered(line: &str) -> String {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if words.len() > 3 && matches!(words[2].as_str(), "email" | "zalo") {
        let mut slots: Vec<&str> = words[3].split(',').collect();
        slots.sort_by_key(|slot| (rank(slot), *slot));
        words[3] = slots.join(",");
    }
    words.join(" ")
}

/// A timeline as typed.
pub fn typed(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(|line| ordered(uncommented(line))).filter(|line| !line.is_empty()).collect();
    lines.sort();
    lines
}

/// A `#` begins a comment at the start of a line or between blanks: `qua-han-10#2` is the second occurrence.
fn uncommented(line: &str) -> &str {
    if line.trim_start().starts_with('#') { "" } else { line.split(" # ").next().unwrap_or(line) }
}

/// `None` where they agree.
pub fn difference(wanted: &[String], came: &[String]) -> Option<String> {
    if wanted == came {
        return None;
    }
    let width = wanted.iter().map(|line| line.chars().count()).max().unwrap_or(0).max("expected".len());
    let mut out = format!("  {:width$} | came\n", "expected");
    let (mut a, mut b) = (0, 0);
    while a < wanted.len() || b < came.len() {
        let (left, right) = match (wanted.get(a), came.get(b)) {
            (Some(x), Some(y)) if x == y => (Some(x), Some(y)),
            (Some(x), Some(y)) if x < y => (Some(x), None),
            (Some(_), Some(y)) => (None, Some(y)),
            (x, y) => (x, y),
        };
        a += usize::from(left.is_some());
        b += usize::from(right.is_some());
        let mark = if left.is_some() && right.is_some() { ' ' } else { '!' };
        let (left, right) = (left.map_or("", String::as_str), right.map_or("", String::as_str));
        let _ = writeln!(out, "{mark} {left:width$} | {right}");
    }
    let _ = write!(out, "as it came, to paste:\n{}\n", came.join("\n"));
    Some(out)
}
