//! A reader of Rust just good enough to find which modules of the crate a source names: comments, strings and
//! characters are left out, use-trees are opened, `self` and `super` are followed.

/// A word or a mark of the source, with its line (from 1).
type Token = (String, usize);

/// Every word outside comments and literals.
pub fn words(source: &str) -> Vec<Token> {
    tokens(source).into_iter().filter(|(token, _)| token.starts_with(|c: char| c.is_alphabetic() || c == '_')).collect()
}

/// The top modules of the crate that `source` names, each with its line; `module` is where the source stands
/// (`["store", "sqlite"]`).
pub fn crate_paths(source: &str, module: &[String]) -> Vec<Token> {
    let tokens = tokens(source);
    let at = |i: usize| tokens.get(i).map_or("", |(token, _)| token.as_str());
    let mut found = Vec::new();
    // The inline modules around the present token, each with the depth of braces at which it ends.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut i = 0;
    while i < tokens.len() {
        match at(i) {
            "{" => depth += 1,
            "}" => {
                depth -= 1.min(depth);
                inline.pop_if(|(_, ends)| *ends == depth);
            }
            "mod" if at(i + 2) == "{" => inline.push((at(i + 1).to_owned(), depth)),
            // `dondoc::` is how the binary names the library.
            start @ ("crate" | "dondoc" | "self" | "super") if at(i + 1) == "::" && (i == 0 || at(i - 1) != "::") => {
                let mut here: Vec<String> = match start {
                    "crate" | "dondoc" => Vec::new(),
                    _ => module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect(),
                };
                if start == "super" {
                    here.pop();
                }
                tree(&tokens, i + 2, here, &mut found);
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Reads the path or use-tree that goes on at `i` inside the module `here`; what it names in the crate goes to
/// `found`. Where it ends.
fn tree(tokens: &[Token], mut i: usize, mut here: Vec<String>, found: &mut Vec<Token>) -> usize {
    loop {
        let Some((token, line)) = tokens.get(i) else {
            return i;
        };
        match token.as_str() {
            "super" => {
                here.pop();
            }
            "self" => {}
            "{" => {
                i += 1;
                while tokens.get(i).is_some_and(|(token, _)| token != "}") {
                    i = tree(tokens, i, here.clone(), found).max(i + 1);
                    // Past `as name` and the comma.
                    while tokens.get(i).is_some_and(|(token, _)| token != "," && token != "}") {
                        i += 1;
                    }
                    if tokens.get(i).is_some_and(|(token, _)| token == ",") {
                        i += 1;
                    }
                }
                return i + 1;
            }
            name => {
                // Below the root the module is known already; at the root the next word is one.
                let top = here.first().cloned().unwrap_or_else(|| name.to_owned());
                found.push((top, *line));
                if !here.is_empty() || tokens.get(i + 1).is_none_or(|(token, _)| token != "::") {
                    return i + 1;
                }
                here.push(name.to_owned());
                // `crate::store::{…}`: everything below is the same module, but groups must be passed over.
                return pass(tokens, i + 1);
            }
        }
        if tokens.get(i + 1).is_some_and(|(token, _)| token == "::") {
            i += 2;
        } else {
            return i + 1;
        }
    }
}

/// Past the rest of a path: `::name::{…}`.
fn pass(tokens: &[Token], mut i: usize) -> usize {
    let is = |i: usize, what: &str| tokens.get(i).is_some_and(|(token, _)| token == what);
    while is(i, "::") {
        i += 1;
        if is(i, "{") {
            let mut open = 0;
            while i < tokens.len() {
                open += usize::from(is(i, "{"));
                open -= usize::from(is(i, "}"));
                i += 1;
                if open == 0 {
                    break;
                }
            }
        } else {
            i += 1;
        }
    }
    i
}

fn tokens(source: &str) -> Vec<Token> {
    let text: Vec<char> = source.chars().collect();
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let (mut i, mut line) = (0, 1);
    while i < text.len() {
        let start = i;
        match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < text.len() && at(i) != '\n' {
                    i += 1;
                }
            }
            '/' if at(i + 1) == '*' => i = after_comment(&text, i),
            '"' => i = after_string(&text, i),
            'r' if raw_hashes(&text, i).is_some() => i = after_raw(&text, i, raw_hashes(&text, i).unwrap_or(0)),
            '\'' => i = after_quote(&text, i),
            ':' if at(i + 1) == ':' => {
                found.push(("::".to_owned(), line));
                i += 2;
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                // `br"…"` and `b"…"`: the letters before a literal are not words.
                if !(matches!(at(i), '"' | '#') && text[start..i].ends_with(&['r']) && i - start == 2) {
                    found.push((text[start..i].iter().collect(), line));
                } else {
                    i = start + 1;
                }
            }
            c => {
                if !c.is_whitespace() {
                    found.push((c.to_string(), line));
                }
                i += 1;
            }
        }
        line += text[start..i.min(text.len())].iter().filter(|c| **c == '\n').count();
    }
    found
}

/// How many hashes a raw string that begins at `i` has; `None` where none begins.
fn raw_hashes(text: &[char], i: usize) -> Option<usize> {
    let word_before = i > 0 && (text[i - 1].is_alphanumeric() || text[i - 1] == '_') && text[i - 1] != 'b';
    let hashes = text[i + 1..].iter().take_while(|c| **c == '#').count();
    (!word_before && text.get(i + 1 + hashes) == Some(&'"')).then_some(hashes)
}

fn after_raw(text: &[char], i: usize, hashes: usize) -> usize {
    let mut end = i + 2 + hashes;
    while end < text.len() {
        if text[end] == '"' && text[end + 1..].iter().take_while(|c| **c == '#').count() >= hashes {
            return end + 1 + hashes;
        }
        end += 1;
    }
    end
}

fn after_string(text: &[char], i: usize) -> usize {
    let mut end = i + 1;
    while end < text.len() && text[end] != '"' {
        end += if text[end] == '\\' { 2 } else { 1 };
    }
    end + 1
}

/// Past a character, or past the mark of a lifetime.
fn after_quote(text: &[char], i: usize) -> usize {
    if text.get(i + 1) == Some(&'\\') {
        let mut end = i + 3;
        while end < text.len() && text[end] != '\'' {
            end += 1;
        }
        return end + 1;
    }
    if text.get(i + 2) == Some(&'\'') { i + 3 } else { i + 1 }
}

fn after_comment(text: &[char], i: usize) -> usize {
    let (mut end, mut open) = (i, 0);
    while end < text.len() {
        match (text[end], text.get(end + 1)) {
            ('/', Some('*')) => (open, end) = (open + 1, end + 2),
            ('*', Some('/')) => (open, end) = (open - 1, end + 2),
            _ => end += 1,
        }
        if open == 0 {
            break;
        }
    }
    end
}
