//! Faults of a file an office wrote: where, what is wrong, how to mend it, and how that is shown.
//!
//! All faults of a file are collected before anything is said. What a fault quotes never shows a secret, and no text of
//! a parser or of serde reaches the reader: every message is ours.

use std::{cell::RefCell, collections::BTreeSet, fmt, ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::vietnamese::{glossed, stands_for};
use crate::planning::{fold::is_invisible, task::word_enum};

word_enum!(/// Whether a fault keeps the file from being used.
    Severity { Error = "error", Warning = "warning" });

/// A text that can be at fault: a file, or the value of an environment variable.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
    /// `text` with secrets blanked byte for byte, so that spans hold in both.
    shown: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

impl Source {
    /// A file (or anything like it) under the name it is shown by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let shown = blanked(&text);
        Arc::new(Self { name: name.into(), lines: line_starts(&text), text, shown })
    }

    /// A text of which nothing may be shown.
    pub fn secret(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let shown = "*".repeat(text.len());
        Arc::new(Self { name: name.into(), lines: line_starts(&text), text, shown })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line a byte stands in, from 1, and where that line begins.
    pub fn line_of(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= at).max(1);
        (line, self.lines[line - 1])
    }

    /// The text with its secrets blanked byte for byte.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

/// Words in a key that make its value a secret, unless the key names a file.
const SECRET_WORDS: [&str; 5] = ["password", "passwd", "secret", "token", "api_key"];

/// Whether the value under a key of this name is a secret.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase();
    !key.ends_with("_file") && SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Replaces, byte for byte, what stands after the `=` of a secret's key and the password within a URL. It reads text and
/// not TOML on purpose: a line that cannot be parsed is quoted too.
fn blanked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A secret in a multi-line string goes on until its quotes close.
    let mut inside: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let keep = if let Some(quotes) = inside {
            if body.contains(quotes) {
                inside = None;
            }
            0
        } else {
            match secret_value(body) {
                Some(at) => {
                    let value = &body[at..];
                    inside = ["\"\"\"", "'''"].into_iter().find(|quotes| value.matches(quotes).count() == 1);
                    at
                }
                None => body.len(),
            }
        };
        out.push_str(&without_url_password(&body[..keep]));
        out.extend(std::iter::repeat_n('*', body.len() - keep));
        out.push_str(&line[body.len()..]);
    }
    out
}

/// Where the value of a secret's key begins on a line.
fn secret_value(line: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = line[from..].find('=') {
        let end = from + at;
        let key = line[from..end].trim_end().trim_end_matches(['"', '\'']);
        let start = key.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).map_or(0, |i| i + 1);
        if key.is_char_boundary(start) && is_secret_key(&key[start..]) {
            return Some(end + 1);
        }
        from = end + 1;
    }
    None
}

fn without_url_password(line: &str) -> String {
    let mut out = line.to_owned();
    if let Some(scheme) = line.find("://") {
        let rest = &line[scheme + 3..];
        let authority = rest.split(['"', '\'', ' ']).next().unwrap_or_default();
        if let (Some(colon), Some(at)) = (authority.find(':'), authority.rfind('@'))
            && colon < at
        {
            let range = scheme + 3 + colon + 1..scheme + 3 + at;
            out.replace_range(range.clone(), &"*".repeat(range.len()));
        }
    }
    out
}

/// A spot in a source, by bytes.
#[derive(Debug, Clone)]
pub struct Place {
    pub source: Arc<Source>,
    pub span: Range<usize>,
}

impl Place {
    /// The beginning of a source.
    pub fn start(source: &Arc<Source>) -> Self {
        Self { source: source.clone(), span: 0..0 }
    }
}

/// One fault.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The file as it is shown, or `DONDOC_…` for a value from the environment.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// A stable kebab-case word.
    pub code: &'static str,
    pub severity: Severity,
    /// What is wrong, in Vietnamese.
    pub message: String,
    /// What was meant and how to mend it; may be several lines, may be empty.
    pub help: String,
    /// Bytes in the source.
    pub span: Range<usize>,
    source: Arc<Source>,
}

impl Problem {
    /// A fault at a place.
    pub fn new(
        severity: Severity,
        place: &Place,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let text = place.source.text();
        let start = floor(text, place.span.start);
        let end = floor(text, place.span.end.max(start));
        let (line, line_start) = place.source.line_of(start);
        Self {
            file: place.source.name.clone(),
            line,
            column: text[line_start..start].chars().count() + 1,
            code,
            severity,
            message: message.into(),
            help: help.into(),
            span: start..end,
            source: place.source.clone(),
        }
    }

    /// The fault with the line it stands in and a mark under the spot.
    pub fn render(&self, terminal: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR.with_name("lỗi"),
            Severity::Warning => Level::WARNING.with_name("cảnh báo"),
        };
        let title = level.primary_title(clean(&self.message)).id(self.code);
        let (shown, span) = self.excerpt();
        let group = if shown.trim().is_empty() {
            title.element(annotate_snippets::Origin::path(clean(&self.file)).line(self.line).char_column(self.column))
        } else {
            title.element(
                Snippet::source(shown)
                    .line_start(self.line)
                    .path(clean(&self.file))
                    .fold(false)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        };
        // What a failed test tells is its story; mending it is up to whoever knows which side is wrong.
        let label = if self.code == "test-failed" { "diễn biến" } else { "cách sửa" };
        let help: Vec<String> = self.help.lines().filter(|line| !line.trim().is_empty()).map(clean).collect();
        let help = (!help.is_empty()).then(|| Level::HELP.with_name(label).message(help.join("\n")));
        let group = group.elements(help);
        let renderer = if terminal { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(200).render(&[group])
    }

    /// The one line in which the fault begins, secrets blanked, and the marked bytes in it.
    fn excerpt(&self) -> (String, Range<usize>) {
        let shown = &self.source.shown;
        let start = floor(shown, self.span.start);
        let line_start = shown[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = shown[start..].find('\n').map_or(shown.len(), |at| start + at);
        let mut text = String::new();
        let (mut from, mut to) = (None, None);
        for (at, c) in shown[line_start..line_end].char_indices() {
            let at = line_start + at;
            if at >= self.span.start && from.is_none() {
                from = Some(text.len());
            }
            if at >= self.span.end && to.is_none() {
                to = Some(text.len());
            }
            text.push(if c.is_control() || is_invisible(c) { ' ' } else { c });
        }
        let from = from.unwrap_or(text.len());
        let next = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
        let to = to.unwrap_or(text.len()).max(next);
        (text, from..to)
    }
}

/// A text fit for one line of a terminal: no control characters, nothing invisible.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_invisible(c) { ' ' } else { c }).collect()
}

/// What somebody typed, quoted for a message: short, on one line.
pub fn quoted(text: &str) -> String {
    let text = clean(text);
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("`{short}`")
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Faults as they are found; what reads a file goes on after each.
#[derive(Debug, Default)]
pub struct Faults {
    list: RefCell<Vec<Problem>>,
    /// Lines with a fault in their writing, by source: nothing else that stands there is worth saying.
    unreadable: RefCell<BTreeSet<(usize, usize)>>,
    broken: RefCell<bool>,
}

impl Faults {
    pub fn error(&self, place: &Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.push(Problem::new(Severity::Error, place, code, message, help));
    }

    pub fn warning(&self, place: &Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.push(Problem::new(Severity::Warning, place, code, message, help));
    }

    /// A fault in the writing of TOML itself: what is *missing* can no longer be judged after it.
    pub fn syntax(&self, place: &Place, message: impl Into<String>, help: impl Into<String>) {
        *self.broken.borrow_mut() = true;
        self.push(Problem::new(Severity::Error, place, "toml-syntax", message, help));
    }

    fn push(&self, problem: Problem) {
        let line = (Arc::as_ptr(&problem.source) as usize, problem.line);
        let mut unreadable = self.unreadable.borrow_mut();
        if unreadable.contains(&line) {
            return;
        }
        if problem.code == "toml-syntax" {
            unreadable.insert(line);
        }
        self.list.borrow_mut().push(problem);
    }

    /// A whole section stands under a name that is not known: what it should have brought is not missing.
    pub fn misplaced(&self) {
        *self.broken.borrow_mut() = true;
    }

    /// Whether part of a file could not be read, so that absence proves nothing.
    pub fn is_broken(&self) -> bool {
        *self.broken.borrow()
    }

    /// How many errors were found so far.
    pub fn errors(&self) -> usize {
        self.list.borrow().iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// Whether any error was found so far.
    pub fn any_error(&self) -> bool {
        self.errors() > 0
    }

    /// Everything found, in the order of the text.
    pub fn finish(self) -> Problems {
        let mut list = self.list.into_inner();
        list.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        Problems { list }
    }

    /// What was made of a file, with its warnings, or every fault in it.
    pub fn conclude<T>(self, value: Option<T>) -> Loaded<T> {
        let problems = self.finish();
        match value {
            Some(value) if !problems.has_errors() => Ok((value, problems)),
            _ => Err(problems),
        }
    }
}

/// A loaded file with its warnings, or all its faults.
pub type Loaded<T> = Result<(T, Problems), Problems>;

/// Every fault of one or more files.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// How many of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|problem| problem.severity == severity).count()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Takes in the faults of another file, after these.
    pub fn extend(&mut self, other: Problems) {
        self.list.extend(other.list);
    }

    /// What must be mended before what should be looked at; otherwise as they were found.
    pub fn errors_first(&mut self) {
        self.list.sort_by_key(|problem| problem.severity != Severity::Error);
    }

    /// All faults as text, an empty line between two.
    pub fn render(&self, terminal: bool) -> String {
        self.list.iter().map(|problem| problem.render(terminal)).collect::<Vec<_>>().join("\n\n")
    }

    /// The array `problems` of `check --format json`.
    pub fn to_json(&self) -> serde_json::Value {
        self.list
            .iter()
            .map(|problem| {
                serde_json::json!({
                    "file": problem.file, "line": problem.line, "column": problem.column, "code": problem.code,
                    "severity": problem.severity.as_str(), "message": problem.message, "help": problem.help,
                })
            })
            .collect()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { list: vec![problem] }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// The option nearest to what was typed, if any is near enough to have been meant.
pub fn nearest<'a>(typed: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let options: Vec<&'a str> = options.into_iter().collect();
    if let Some(meant) = stands_for(typed, options.iter().copied()) {
        return Some(meant);
    }
    let folded = |text: &str| text.to_lowercase().replace('-', "_");
    let typed = folded(typed);
    let score = |option: &str| {
        let option = folded(option);
        let edits = strsim::damerau_levenshtein(&typed, &option);
        // Two letters swapped in a short word are one slip, though little of the word is left alike.
        if edits <= 1 && typed.chars().count() >= 3 { 1.0 } else { strsim::jaro_winkler(&typed, &option) }
    };
    options
        .into_iter()
        .map(|option| (score(option), option))
        .filter(|(score, _)| *score >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, option)| option)
}

/// The same for names that the office gave itself, which need no word beside them.
pub fn meant_name(typed: &str, names: &[&str]) -> String {
    let list = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest(typed, names.iter().copied()) {
        Some(near) => format!("có phải ý là `{near}`?\nđang có: {list}"),
        None => format!("đang có: {list}"),
    }
}

/// "có phải ý là `x`?" where something is near, then what is allowed.
pub fn meant(typed: &str, options: &[&str]) -> String {
    let list = options.iter().map(|option| glossed(option)).collect::<Vec<_>>().join(", ");
    match nearest(typed, options.iter().copied()) {
        Some(near) => format!("có phải ý là `{near}`?\ndùng được: {list}"),
        None => format!("dùng được: {list}"),
    }
}
