//! A template's source as marks and words with their places: what the template machine itself tells one fault at a time,
//! and in English.

use std::ops::Range;

/// What a word within a mark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Name,
    Text,
    Number,
    Sign,
}

/// A word of an expression or statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    pub kind: Kind,
    /// A text without its quotes.
    pub text: &'a str,
    pub span: Range<usize>,
}

impl Word<'_> {
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == Kind::Sign && self.text == sign
    }

    pub fn is_name(&self, name: &str) -> bool {
        self.kind == Kind::Name && self.text == name
    }
}

/// `{{ … }}` or `{% … %}`.
#[derive(Debug, Clone)]
pub struct Mark<'a> {
    pub statement: bool,
    /// From brace to brace.
    pub span: Range<usize>,
    pub words: Vec<Word<'a>>,
}

/// What ended before it should, and where it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open {
    /// `{{`, `{%` or `{#` without its end.
    Mark(&'static str, Range<usize>),
    /// A quotation mark without its partner.
    Text(Range<usize>),
}

/// The marks of a template in order; comments and what stands between `raw` and `endraw` are left out.
pub fn scan(source: &str) -> (Vec<Mark<'_>>, Vec<Open>) {
    let (mut marks, mut open) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(start) = source[at..].find('{').map(|found| at + found) {
        let rest = &source[start..];
        if rest.starts_with("{#") {
            match rest.find("#}") {
                Some(end) => at = start + end + 2,
                None => {
                    open.push(Open::Mark("{#", start..start + 2));
                    break;
                }
            }
            continue;
        }
        let statement = rest.starts_with("{%");
        if !statement && !rest.starts_with("{{") {
            at = start + 1;
            continue;
        }
        let (opener, closer) = if statement { ("{%", "%}") } else { ("{{", "}}") };
        match words(source, start + 2, closer) {
            Ok((words, end)) => {
                at = end;
                if statement && words.first().is_some_and(|word| word.is_name("raw")) {
                    at = match end_of_raw(source, end) {
                        Some(end) => end,
                        None => {
                            open.push(Open::Mark("{% raw %}", start..end));
                            break;
                        }
                    };
                    continue;
                }
                marks.push(Mark { statement, span: start..end, words });
            }
            Err(None) => {
                open.push(Open::Mark(opener, start..start + 2));
                at = start + 2;
            }
            Err(Some(quote)) => {
                open.push(Open::Text(quote.clone()));
                // Go on after the line: one lost quotation mark must not hide all that follows.
                at = source[quote.start..].find('\n').map_or(source.len(), |end| quote.start + end);
            }
        }
    }
    (marks, open)
}

fn end_of_raw(source: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let start = at + source[at..].find("{%")?;
        let end = start + source[start..].find("%}")? + 2;
        if source[start + 2..end - 2].trim_matches(['-', '+', ' ', '\t', '\r', '\n']) == "endraw" {
            return Some(end);
        }
        at = start + 2;
    }
}

/// The words up to `closer` and the place after it; where it is missing, the quotation mark that swallowed it, if one
/// did.
fn words<'a>(source: &'a str, from: usize, closer: &str) -> Result<(Vec<Word<'a>>, usize), Option<Range<usize>>> {
    const LONG_SIGNS: [&str; 7] = ["==", "!=", "<=", ">=", "//", "**", ".."];
    let mut words = Vec::new();
    let mut at = from;
    while at < source.len() {
        let rest = &source[at..];
        if rest.starts_with(closer) {
            return Ok((words, at + closer.len()));
        }
        if let Some(after) = rest.strip_prefix(['-', '+'])
            && after.starts_with(closer)
        {
            return Ok((words, at + 1 + closer.len()));
        }
        // A mark that opens within a mark: the outer one was never closed.
        if rest.starts_with("{%") || rest.starts_with("{{") {
            return Err(None);
        }
        let Some(first) = rest.chars().next() else { break };
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if first == '"' || first == '\'' {
            let Some(end) = end_of_text(rest, first) else { return Err(Some(at..at + 1)) };
            words.push(Word { kind: Kind::Text, text: &rest[1..end], span: at..at + end + 1 });
            end + 1
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            words.push(Word { kind: Kind::Name, text: &rest[..end], span: at..at + end });
            end
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            words.push(Word { kind: Kind::Number, text: &rest[..end], span: at..at + end });
            end
        } else {
            let end = LONG_SIGNS.iter().find(|sign| rest.starts_with(**sign)).map_or(first.len_utf8(), |s| s.len());
            words.push(Word { kind: Kind::Sign, text: &rest[..end], span: at..at + end });
            end
        };
        at += length;
    }
    Err(None)
}

/// Where a quoted text ends; none may run over a line.
fn end_of_text(rest: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_their_words_stand_where_they_stand() {
        let source = "a {{ x.y|fill(\"- }} \") }} b {# {{ z }} #}{%- if a == 'b' -%}{% raw %}{{ q }}{% endraw %}";
        let (marks, open) = scan(source);
        assert_eq!(open, []);
        assert_eq!(marks.len(), 2);
        for mark in &marks {
            for word in &mark.words {
                let shown = &source[word.span.clone()];
                assert_eq!(shown.trim_matches(['"', '\'']), word.text);
            }
        }
        let texts: Vec<&str> = marks[0].words.iter().map(|word| word.text).collect();
        assert_eq!(texts, ["x", ".", "y", "|", "fill", "(", "- }} ", ")"]);
        assert_eq!(&source[marks[1].span.clone()], "{%- if a == 'b' -%}");
    }

    #[test]
    fn what_is_not_closed_is_found_and_what_follows_is_read() {
        let (marks, open) = scan("{{ a\n{{ b }}\n{% if \"x %}\n{{ c }}{# d");
        assert_eq!(open, [Open::Mark("{{", 0..2), Open::Text(19..20), Open::Mark("{#", 32..34)]);
        assert_eq!(marks.len(), 2, "{marks:?}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned_within_its_bounds(source in "([{}%#\"'a-z .|(\\n-]|đ|raw|endraw){0,60}") {
            let (marks, open) = scan(&source);
            for mark in marks {
                proptest::prop_assert!(source.get(mark.span.clone()).is_some());
                for word in mark.words {
                    proptest::prop_assert!(source.get(word.span).is_some());
                }
            }
            for open in open {
                let (Open::Mark(_, span) | Open::Text(span)) = open;
                proptest::prop_assert!(source.get(span).is_some());
            }
        }
    }
}
