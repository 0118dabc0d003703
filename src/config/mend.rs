//! Reads past faults in the writing of TOML, so that one slip is reported once and the rest of the file is still judged.
//!
//! A bracket that was not closed makes a parser stumble over every line that follows. Here the first fault is reported,
//! the line that causes it is blanked byte for byte (places stay what they are), and the rest is parsed again.

use std::sync::Arc;

use toml::de::{DeTable, Error};

use super::{
    line_hints,
    problem::{Faults, Place, Source},
    syntax,
};

/// After so many faulty lines the file is something else than it claims.
const MOST: usize = 30;

/// A text without faults in its writing, of the same length.
pub struct Mended {
    pub text: String,
    /// Where headers stand that had to be replaced: what is under them belongs nowhere.
    pub replaced: Vec<usize>,
}

/// Reports every fault in the writing of a source, each once.
pub fn mend(source: &Arc<Source>, faults: &Faults) -> Mended {
    let mut mended = Mended { text: source.text().to_owned(), replaced: Vec::new() };
    for _ in 0..MOST {
        let (_, errors) = DeTable::parse_recoverable(&mended.text);
        let Some(first) = errors.iter().min_by_key(|error| start(error)) else { return mended };
        let before = mended.text.clone();
        report_and_blank(first, source, faults, &mut mended);
        if mended.text == before {
            break;
        }
    }
    // Still not readable: nothing of it can be trusted.
    let (_, errors) = DeTable::parse_recoverable(&mended.text);
    if !errors.is_empty() {
        mended.text.clear();
    }
    mended
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn report_and_blank(error: &Error, source: &Arc<Source>, faults: &Faults, mended: &mut Mended) {
    let at = floor(&mended.text, start(error));
    let line = line_around(&mended.text, at);
    let place = |span| Place { source: source.clone(), span };
    let description = error.message();
    if let Some((from, bracket)) = opener(&mended.text, line.start, description, &mended.text[line.clone()]) {
        let open = &mended.text[bracket..=bracket];
        let (message, help) = match open {
            "[" => ("danh sách chưa đóng", "thêm dấu `]` ở cuối danh sách"),
            "{" => ("bảng trong ngoặc nhọn chưa đóng", "thêm dấu `}` ở cuối"),
            _ => ("chữ nhiều dòng chưa đóng", "thêm ba dấu ngoặc kép ở cuối, hoặc dùng một cặp \"…\" trên một dòng"),
        };
        faults.syntax(&place(bracket..bracket + 1), message, help);
        let until = if matches!(open, "[" | "{") { line.start } else { line_around(&mended.text, bracket).end };
        blank(&mut mended.text, from..until);
        return;
    }
    let mut span = error.span().unwrap_or(at..at);
    span.end = span.end.min(line.end).max(span.start);
    let marked = source.shown().get(span.clone()).unwrap_or_default();
    let shown = source.shown().get(line.clone()).unwrap_or_default();
    match line_hints::explain(shown, span.start.saturating_sub(line.start), description) {
        Some((message, help)) => faults.syntax(&place(span), message, help),
        None => {
            let (message, help) = syntax::explain(description, marked);
            faults.syntax(&place(span), message, help);
        }
    }
    let typed = &mended.text[line.clone()];
    let looks = typed.trim_start().starts_with('[')
        || typed.contains("[[")
        || (typed.trim_end().ends_with(']') && !typed.contains(['=', '"', ',']));
    let header = looks && line.len() >= 3;
    blank(&mut mended.text, line.clone());
    let name = char::from(b'A' + (mended.replaced.len() % 26) as u8);
    if header && mended.replaced.len() < 26 {
        // Without a header its keys would fall to the table above and count as written twice.
        mended.text.replace_range(line.start..line.start + 3, &format!("[{name}]"));
        mended.replaced.push(line.start + 1);
    }
}

/// Where the bracket or the quotes stand that the fault at `line_start` comes from, with the start of its line.
fn opener(text: &str, line_start: usize, description: &str, line: &str) -> Option<(usize, usize)> {
    if description.contains("multi-line") {
        let (quotes, at) =
            ["\"\"\"", "'''"].iter().filter_map(|q| text.rfind(q).map(|at| (q, at))).max_by_key(|(_, at)| *at)?;
        let from = line_around(text, at).start;
        return (text[from..].matches(*quotes).count() % 2 == 1).then_some((from, at));
    }
    let bracketed = ["array", "inline", "comma", "`=`", "element"].iter().any(|word| description.contains(word));
    let statement = line.trim().is_empty() || line.trim_start().starts_with('[') || line.contains('=');
    if !bracketed || !statement {
        return None;
    }
    let mut balance = 0;
    let mut end = line_start;
    while end > 0 {
        let line = line_around(text, end - 1);
        let (net, last_open) = brackets(&text[line.clone()]);
        balance += net;
        if balance > 0 && text[line.clone()].contains('=') {
            return last_open.map(|at| (line.start, line.start + at));
        }
        end = line.start;
    }
    None
}

/// How many more brackets a line opens than it closes, and the first that stays open; strings and comments aside.
fn brackets(line: &str) -> (i32, Option<usize>) {
    let mut open = Vec::new();
    let mut closed = 0;
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '#') => break,
            (None, '[' | '{') => open.push(at),
            (None, ']' | '}') => closed += i32::from(open.pop().is_none()),
            _ => {}
        }
    }
    (open.len() as i32 - closed, open.first().copied())
}

/// The line a byte stands in, without its end.
fn line_around(text: &str, at: usize) -> std::ops::Range<usize> {
    let at = floor(text, at);
    let start = text[..at].rfind('\n').map_or(0, |n| n + 1);
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    start..end
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn blank(text: &mut String, range: std::ops::Range<usize>) {
    let blanks: String = text[range.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
    text.replace_range(range, &blanks);
}
