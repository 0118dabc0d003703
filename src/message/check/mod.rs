//! Whether an office's own templates may be taken: every fault at once, each where it stands, said in the clerk's words.
//!
//! First what can be read from the source alone (`stated`): marks that do not close, names that do not exist, ways
//! around escaping, circles. Then every text is made of invented facts of every kind (`tried`): hostile ones, the longest,
//! barest and classified ones. Pure: it reads no file.

mod names;
mod planted;
mod scan;
mod stated;
mod tried;

use std::{collections::BTreeMap, ops::Range};

use super::catalogue;

#[cfg(test)]
mod tests;

/// The largest source, in bytes.
pub const LARGEST: usize = 256 << 10;

/// One fault of an office's own template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The template it stands in, always one of the office's own.
    pub template: String,
    /// Bytes in its source.
    pub span: Range<usize>,
    /// A stable kebab-case word.
    pub code: &'static str,
    /// An error refuses the templates, a warning does not.
    pub error: bool,
    /// What is wrong, in Vietnamese.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

impl Fault {
    fn error(template: &str, span: Range<usize>, code: &'static str, message: String, help: impl Into<String>) -> Self {
        Self { template: template.to_owned(), span, code, error: true, message, help: help.into() }
    }

    fn warning(
        template: &str,
        span: Range<usize>,
        code: &'static str,
        message: String,
        help: impl Into<String>,
    ) -> Self {
        Self { error: false, ..Self::error(template, span, code, message, help) }
    }

    /// The line it begins in, from 1.
    pub fn line(&self, overrides: &BTreeMap<String, String>) -> usize {
        let source = overrides.get(&self.template).map(String::as_str).unwrap_or_default();
        source.get(..self.span.start).unwrap_or_default().matches('\n').count() + 1
    }
}

/// Every fault of these templates, by name and place; `overrides` are sources by template name, all of them names that
/// exist.
pub fn check(overrides: &BTreeMap<String, String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, source) in overrides {
        if catalogue::entry(name).is_none() {
            faults.push(unknown(name));
        } else {
            faults.extend(stated::faults(name, source));
        }
    }
    faults.extend(stated::circles(overrides));
    // Nothing is tried with templates that cannot be put together: one lost brace would be told twenty times.
    if !faults.iter().any(|fault| fault.error && stated::STRUCTURAL.contains(&fault.code)) {
        let read = faults.len();
        for fault in tried::faults(overrides) {
            // What was found in reading is found again in trying, with less to say about it.
            let known = faults[..read].iter().any(|known| {
                known.template == fault.template
                    && (known.span == fault.span
                        || known.code == fault.code && ["template-unescaped", "template-link"].contains(&known.code)
                        || known.line(overrides) == fault.line(overrides) && stated::TOLD.contains(&known.code))
            });
            if !known {
                faults.push(fault);
            }
        }
    }
    faults.sort_by(|a, b| (&a.template, a.span.start, a.code).cmp(&(&b.template, b.span.start, b.code)));
    faults.dedup_by(|a, b| (&a.template, a.span.start, a.code) == (&b.template, b.span.start, b.code));
    faults
}

/// A file in the office's folder that is no template: most likely a name mistyped, and then the office believes it has
/// changed a text that goes out unchanged.
pub fn unknown(name: &str) -> Fault {
    let names = catalogue::ENTRIES.iter().map(|entry| entry.name);
    // `single.html` and `singel.html.j2` are both near.
    let typed = if name.ends_with(".j2") { name.to_owned() } else { format!("{name}.j2") };
    let help = match nearest(&typed, names.clone()) {
        Some(near) => format!("có phải ý là `{near}`? Đổi tên tệp cho đúng"),
        None => format!("đổi tên hoặc chuyển tệp đi; các mẫu: {}", names.collect::<Vec<_>>().join(", ")),
    };
    Fault::error(name, 0..0, "template-unknown-file", format!("không có mẫu nào tên `{name}`"), help)
}

/// The names a template of this filling may use anywhere, as `check --preview` lists them; sorted.
pub fn names_for(name: &str) -> Vec<&'static str> {
    let known = &names::names(name).all;
    catalogue::WORDS.iter().map(|(word, _)| *word).filter(|word| known.contains(*word)).collect()
}

/// The option nearest to what was typed, if any is near enough to have been meant.
pub fn nearest<'a>(typed: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    options
        .into_iter()
        .map(|option| {
            let edits = strsim::damerau_levenshtein(typed, option);
            let near = if edits <= 1 && typed.chars().count() >= 3 { 1.0 } else { strsim::jaro_winkler(typed, option) };
            (near, option)
        })
        .filter(|(near, _)| *near >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, option)| option)
}

/// "có phải ý là `x`?", then what may be written.
fn meant<'a>(typed: &str, options: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let list = options.clone().into_iter().map(|option| format!("`{option}`")).collect::<Vec<_>>().join(", ");
    match nearest(typed, options) {
        Some(near) => format!("có phải ý là `{near}`?\ndùng được: {list}"),
        None => format!("dùng được: {list}"),
    }
}
