//! The statements as they stand in the sources.

use std::{fs, path::Path};

/// A string of the sources that begins like a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    pub file: String,
    /// Blanks and line breaks are one blank; `{…}` stands for what a `format!` puts there.
    pub text: String,
}

impl Literal {
    /// Whether a statement that ran holds this text: its parts in their order, whatever stands in the gaps.
    pub fn is_in(&self, sql: &str) -> bool {
        let mut rest = sql;
        for part in self.text.split("{…}") {
            let part = part.trim();
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

/// Every statement in `src/store/sql`.
pub fn literals() -> Vec<Literal> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/sql");
    let mut found = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        found.extend(
            strings(&text)
                .into_iter()
                .map(|text| folded(&text))
                .filter(|text| begins(text))
                .map(|text| Literal { file: file.clone(), text }),
        );
    }
    found
}

fn begins(text: &str) -> bool {
    ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "].iter().any(|word| text.starts_with(word))
}

/// One blank for any number of them, `{…}` for a placeholder.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for c in text.split_whitespace().collect::<Vec<_>>().join(" ").chars() {
        match c {
            '{' => {
                depth += 1;
                if depth == 1 {
                    out.push_str("{…}");
                }
            }
            '}' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// The string literals of a Rust file, what a `concat!` puts together being one of them, with a gap for each part that
/// is no literal; comments and the character `'"'` are passed over.
fn strings(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("//") {
            rest = after.find('\n').map_or("", |end| &after[end..]);
        } else if let Some(after) = rest.strip_prefix("'\"'") {
            rest = after;
        } else if let Some(after) = rest.strip_prefix("concat!(") {
            let (whole, after) = concatenated(after);
            found.push(whole);
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            let (string, after) = string(after);
            found.push(string);
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// A string literal from behind its opening mark, and what follows it.
fn string(text: &str) -> (String, &str) {
    let mut string = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek().map(|(_, c)| *c)) {
            ('"', _) => return (string, &text[at + 1..]),
            ('\\', Some('\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
            ('\\', Some(c)) => {
                string.push(c);
                chars.next();
            }
            _ => string.push(c),
        }
    }
    (string, "")
}

/// The parts of a `concat!` from behind its bracket: a macro's call, or its argument, is a gap, whatever stands in it.
fn concatenated(text: &str) -> (String, &str) {
    let (mut whole, mut rest, mut depth, mut gap) = (String::new(), text, 0, false);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => {
                let (part, after) = string(rest);
                rest = after;
                if depth == 0 {
                    whole += &part;
                }
            }
            '(' => depth += 1,
            ')' if depth == 0 => break,
            ')' => depth -= 1,
            ',' if depth == 0 => gap = false,
            '!' | '$' if depth == 0 && !gap => {
                whole += "{}";
                gap = true;
            }
            _ => {}
        }
    }
    (whole, rest)
}

#[test]
fn a_statement_is_found_whatever_its_lines_and_gaps() {
    let text = "// \"SELECT 0\"\nlet c = '\"'; f(\"SELECT a, \\\n      b FROM {TABLE} WHERE \\\"x\\\" = 1\"); \"none\"";
    let found: Vec<_> = strings(text).iter().map(|text| folded(text)).filter(|text| begins(text)).collect();
    assert_eq!(found, ["SELECT a, b FROM {…} WHERE \"x\" = 1"]);
    let text = "concat!(\"SELECT a FROM t\", indexed_by!(\"i\"), \" WHERE \\\n  b\", x!(\"1\", \"2\")), \"SELECT 2\"";
    let joined: Vec<_> = strings(text).iter().map(|text| folded(text)).collect();
    assert_eq!(joined, ["SELECT a FROM t{…} WHERE b{…}", "SELECT 2"]);
    let text = "concat!(\"SELECT a WHERE b IN \", $list, \" ORDER BY a\")";
    assert_eq!(folded(&strings(text)[0]), "SELECT a WHERE b IN {…} ORDER BY a");
    let literal = Literal { file: String::new(), text: found[0].clone() };
    assert!(literal.is_in("SELECT a, b FROM task WHERE \"x\" = 1 LIMIT 2"));
    assert!(!literal.is_in("SELECT a, b FROM task WHERE \"x\" = 2"));
}
