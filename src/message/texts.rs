//! The texts themselves: templates, embedded or an office's own, and the facts they are filled with.
//!
//! An office's own template is taken only after [`super::check`] found nothing wrong with it. Should one still fail on
//! real facts, the shipped text goes out instead and says so: a reminder is never lost to a template.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

use minijinja::{
    AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, escape_formatter, syntax::SyntaxConfig, value::Serde,
};
use serde::Serialize;

use super::{
    calendar,
    catalogue::ENTRIES,
    check,
    clean::{fill, one_line},
    daily::{self, DailyFacts},
    facts::{LetterFacts, NoticeFacts, NoticeSeal},
    notice, view, zalo,
};
use crate::planning::task::{Secrecy, Urgency};

/// Why a text could not be made. None of these carries content of a task.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A template does not parse, or asks for something that is not there.
    #[error("template {template}, line {line}: {detail}")]
    Template { template: String, line: usize, detail: String },
    /// An office's own templates are at fault; what is said of the first, and how many faults there are.
    #[error("template {first} ({count} faults in all; `dondoc check` shows each)")]
    Faults { first: String, count: usize },
    /// A letter without any task.
    #[error("the letter has no task in it")]
    Empty,
    /// Nothing electronic may be said of such a task on this way (Luật 117/2025/QH15, Điều 5).
    #[error("a classified task must not be written of here: {0}")]
    Classified(&'static str),
    /// An address or header that cannot stand in a message.
    #[error("{field} cannot stand in a message header: {detail}")]
    Header { field: &'static str, detail: String },
}

/// A letter's texts, before it becomes a message on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailText {
    pub subject: String,
    pub html: String,
    /// Wrapped at 74 columns, lines end in LF.
    pub text: String,
    /// An iCalendar object (CRLF) with the deadlines that lie ahead; never for classified tasks.
    pub calendar: Option<String>,
    /// The one task's code, by which mail programs thread the letter; a digest and a classified letter have none.
    pub thread: Option<String>,
    /// One of the tasks is khẩn or above: the message is marked important.
    pub urgent: bool,
    /// An office's own template failed on these facts and the shipped text stands here instead: which one, and why.
    /// Nothing of the facts is in it.
    pub fell_back: Option<String>,
}

/// Steps of the template machine one text may take: enough for a digest of some thousand tasks, and an end to a
/// template that loops.
const FUEL: u64 = 2_000_000;

/// Bytes one text may have; a digest of a thousand tasks has some two million.
const LONGEST: usize = 16 << 20;

/// How deep templates may include and extend one another.
const DEPTH: usize = 50;

/// Filters a template may use: none that marks text as safe, none that can blow a text up.
pub(super) const FILTERS: [&str; 34] = [
    "fill",
    "caps",
    "bold",
    "upper",
    "lower",
    "capitalize",
    "title",
    "trim",
    "replace",
    "join",
    "split",
    "lines",
    "default",
    "d",
    "length",
    "count",
    "first",
    "last",
    "min",
    "max",
    "sort",
    "unique",
    "reverse",
    "list",
    "select",
    "reject",
    "selectattr",
    "rejectattr",
    "map",
    "abs",
    "round",
    "int",
    "string",
    "escape",
];

/// The templates, parsed once and shared: `Send + Sync`.
#[derive(Debug, Clone)]
pub struct Texts {
    templates: Environment<'static>,
    /// Names of the templates that are the office's own.
    own: BTreeSet<String>,
}

/// A template that could not be read or filled, before it is known who is told what of it.
pub(super) type Broken = (String, minijinja::Error);

impl Texts {
    /// The texts as shipped.
    pub fn built_in() -> Self {
        Self::assemble(&BTreeMap::new(), false).expect("the shipped templates are rendered by the tests")
    }

    /// The shipped texts with some templates (`single.html.j2` …, see [`Texts::names`]) replaced by an office's own,
    /// checked as [`check::check`] does: any error there refuses all of them, so that a mistake is found now and not at
    /// a deadline. Warnings do not.
    pub fn with_overrides(overrides: &BTreeMap<String, String>) -> Result<Self, TextError> {
        if overrides.is_empty() {
            return Ok(Self::built_in());
        }
        let faults: Vec<check::Fault> = check::check(overrides).into_iter().filter(|fault| fault.error).collect();
        if let Some(first) = faults.first() {
            let line = first.line(overrides);
            let first = format!("{}:{line}: {} [{}]", first.template, first.message, first.code);
            return Err(TextError::Faults { first, count: faults.len() });
        }
        Self::assemble(overrides, false).map_err(|failed| broken(&failed.0, &failed.1, true))
    }

    /// Parses without trying. `debug`: errors know their place within a line, and quote values; for sample facts only.
    pub(super) fn assemble(overrides: &BTreeMap<String, String>, debug: bool) -> Result<Self, Box<Broken>> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        templates.set_recursion_limit(DEPTH);
        // An error must not quote the values it met: they are content of tasks.
        templates.set_debug(debug);
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            templates.set_syntax(syntax);
        }
        let unused: Vec<String> = templates.globals().map(|(name, _)| name.to_owned()).collect();
        unused.iter().for_each(|name| templates.remove_global(name));
        for name in REMOVED_FILTERS {
            templates.remove_filter(name);
        }
        templates.set_formatter(|out, state, value| match (state.auto_escape(), value.as_str()) {
            (AutoEscape::Html, Some(text)) if !value.is_safe() => Ok(escape(out, text)?),
            _ => escape_formatter(out, state, value),
        });
        templates.add_filter("fill", |text: Cow<'_, str>, first: Option<Cow<'_, str>>, rest: Option<Cow<'_, str>>| {
            let first = first.unwrap_or_default();
            fill(&text, &first, rest.as_deref().unwrap_or(&first))
        });
        templates.add_filter("caps", |text: String| text.to_uppercase());
        templates.add_filter("bold", bold);
        for entry in ENTRIES {
            let broken = |error| Box::new((entry.name.to_owned(), error));
            templates.add_template(entry.built_in_name, entry.source).map_err(broken)?;
            if !overrides.contains_key(entry.name) {
                templates.add_template(entry.name, entry.source).map_err(broken)?;
            }
        }
        for (name, source) in overrides {
            templates
                .add_template_owned(name.clone(), source.clone())
                .map_err(|error| Box::new((name.clone(), error)))?;
        }
        Ok(Self { templates, own: overrides.keys().cloned().collect() })
    }

    /// Names of the templates an office may replace.
    pub fn names() -> Vec<&'static str> {
        ENTRIES.iter().map(|entry| entry.name).collect()
    }

    /// The letter: one task has a layout of its own, several make a digest, a classified one a neutral note.
    /// tối mật and tuyệt mật are [`TextError::Classified`]: nothing electronic goes out for them.
    pub fn email(&self, facts: &LetterFacts) -> Result<EmailText, TextError> {
        if facts.items.is_empty() {
            return Err(TextError::Empty);
        }
        if facts.items.iter().any(|item| item.secrecy > Secrecy::Confidential) {
            return Err(TextError::Classified("nothing electronic goes out for tối mật and tuyệt mật"));
        }
        let classified = facts.items.iter().filter(|item| item.secrecy.is_classified()).count();
        if classified > 0 && classified < facts.items.len() {
            return Err(TextError::Classified("open and classified tasks must not share a message"));
        }
        let neutral = facts.classified || classified > 0;
        if neutral && facts.recipient.name.trim().is_empty() {
            return Err(TextError::Classified("its letter goes to a named official, never to a shared mailbox"));
        }
        let made = |texts: &Self| if neutral { texts.neutral(facts) } else { texts.letter(facts) };
        match made(self) {
            Ok(text) => Ok(text),
            Err(failed) if self.own.is_empty() => Err(broken(&failed.0, &failed.1, false)),
            Err(failed) => {
                let text = made(&Self::built_in()).map_err(|failed| broken(&failed.0, &failed.1, false))?;
                let why = broken(&failed.0, &failed.1, false).to_string();
                Ok(EmailText { fell_back: Some(why), ..text })
            }
        }
    }

    /// A letter of open tasks.
    pub(super) fn letter(&self, facts: &LetterFacts) -> Result<EmailText, Box<Broken>> {
        let mut seen = view::letter(facts);
        if self.own.is_empty() {
            // The shipped templates have no use for them; a test would find one that had.
            seen.facts = None;
        }
        self.speak(&mut seen, facts)?;
        let kind = if facts.items.len() == 1 { "single" } else { "digest" };
        // Both parts are filled from one and the same value.
        let value = Value::from(Serde(&seen));
        Ok(EmailText {
            html: self.fill(&format!("{kind}.html.j2"), value.clone())?,
            text: tidy(&self.fill(&format!("{kind}.txt.j2"), value)?),
            calendar: calendar::deadlines(facts),
            thread: (facts.items.len() == 1).then(|| facts.items[0].code.clone()),
            urgent: facts.items.iter().any(|item| item.urgency > Urgency::Normal),
            subject: seen.subject,
            fell_back: None,
        })
    }

    /// Puts the office's own sentences in the place of the shipped ones.
    fn speak(&self, seen: &mut view::Letter<'_>, facts: &LetterFacts) -> Result<(), Box<Broken>> {
        if self.own.contains("ask.txt.j2") || self.own.contains("next.txt.j2") {
            let mut spoken = Vec::with_capacity(facts.items.len());
            for section in &seen.sections {
                let behind = facts.items.iter().filter(|item| item.nearness == section.key);
                for (item, fact) in section.items.iter().zip(behind) {
                    let sentence = view::Sentence::of(item, fact, seen);
                    let ask = self.sentence("ask.txt.j2", &sentence, 600)?;
                    let next = self.sentence("next.txt.j2", &sentence, 600)?;
                    spoken.push((ask, next));
                }
            }
            for (item, (ask, next)) in seen.sections.iter_mut().flat_map(|s| &mut s.items).zip(spoken) {
                if item.n == 1 {
                    seen.preheader = seen.preheader.replace(&item.ask, &ask);
                }
                (item.ask, item.next) = (ask, next);
            }
        }
        if self.own.contains("contact.txt.j2") {
            seen.whom_to_ask = self.sentence("contact.txt.j2", seen, 600)?;
        }
        if self.own.contains("subject.txt.j2") {
            seen.subject = self.sentence("subject.txt.j2", seen, 200)?;
        }
        (seen.greeting, seen.closing) = self.frame(&seen.office, &seen.to)?;
        Ok(())
    }

    /// The sentences that open and close a letter.
    fn frame(&self, office: &str, to: &view::To) -> Result<(String, String), Box<Broken>> {
        let frame = view::Frame { office, to };
        Ok((self.sentence("greeting.txt.j2", &frame, 400)?, self.sentence("closing.txt.j2", &frame, 200)?))
    }

    /// The neutral letter; nothing of the facts but office and person is in reach of its templates.
    pub(super) fn neutral(&self, facts: &LetterFacts) -> Result<EmailText, Box<Broken>> {
        let mut seen = view::neutral(facts);
        (seen.greeting, seen.closing) = self.frame(&seen.office, &seen.to)?;
        seen.subject = self.sentence("neutral_subject.txt.j2", &seen, 200)?;
        Ok(EmailText {
            html: self.render("neutral.html.j2", &seen)?,
            text: tidy(&self.render("neutral.txt.j2", &seen)?),
            calendar: None,
            thread: None,
            urgent: false,
            subject: seen.subject,
            fell_back: None,
        })
    }

    /// The daily list of those who could not be reached. An office's own that fails gives way to the shipped one.
    pub fn daily(&self, facts: &DailyFacts) -> Result<EmailText, TextError> {
        match self.list(facts) {
            Ok(text) => Ok(text),
            Err(failed) if self.own.is_empty() => Err(broken(&failed.0, &failed.1, false)),
            Err(failed) => {
                let text = Self::built_in().list(facts).map_err(|failed| broken(&failed.0, &failed.1, false))?;
                Ok(EmailText { fell_back: Some(broken(&failed.0, &failed.1, false).to_string()), ..text })
            }
        }
    }

    /// [`Self::daily`] without a way out.
    pub(super) fn list(&self, facts: &DailyFacts) -> Result<EmailText, Box<Broken>> {
        let mut seen = daily::view(facts);
        (seen.greeting, seen.closing) = self.frame(&seen.office, &seen.to)?;
        Ok(EmailText {
            html: self.render("daily_list.html.j2", &seen)?,
            text: tidy(&self.render("daily_list.txt.j2", &seen)?),
            calendar: None,
            thread: None,
            urgent: false,
            subject: seen.subject,
            fell_back: None,
        })
    }

    /// The Zalo line, under 400 characters. Classified: [`TextError::Classified`]. An office's own that fails, is empty
    /// or too long on these facts gives way to the shipped one, which is always short enough.
    pub fn zalo(&self, facts: &LetterFacts) -> Result<String, TextError> {
        let seen = zalo::view(facts)?;
        if !self.own.contains("zalo.txt.j2") {
            return Ok(seen.line);
        }
        let own = self.render("zalo.txt.j2", &seen).map(|text| tidy(&text).trim().to_owned());
        Ok(own.ok().filter(|text| !text.is_empty() && zalo::length(text) < zalo::LIMIT).unwrap_or(seen.line))
    }

    /// The notice as a page to print (A4). `withdrawn`: why and by which paper it was withdrawn, shown across its head.
    /// A classified task's notice has no file: [`TextError::Classified`].
    pub fn notice_html(
        &self,
        facts: &NoticeFacts,
        seal: &NoticeSeal,
        withdrawn: Option<&str>,
    ) -> Result<String, TextError> {
        if facts.secrecy.is_classified() {
            return Err(TextError::Classified("its notice is a register entry only"));
        }
        let seen = notice::view(facts, seal, withdrawn);
        match self.render("notice.html.j2", &seen) {
            Err(_) if !self.own.is_empty() => Self::built_in().render("notice.html.j2", &seen),
            made => made,
        }
        .map_err(|failed| broken(&failed.0, &failed.1, false))
    }

    /// One sentence: one line, nothing invisible.
    fn sentence(&self, name: &str, seen: &impl Serialize, limit: usize) -> Result<String, Box<Broken>> {
        self.render(name, seen).map(|text| one_line(&text, limit))
    }

    /// Fills a template.
    pub(super) fn render(&self, name: &str, seen: &impl Serialize) -> Result<String, Box<Broken>> {
        self.fill(name, Value::from(Serde(seen)))
    }

    fn fill(&self, name: &str, seen: Value) -> Result<String, Box<Broken>> {
        let failed = |error| Box::new((name.to_owned(), error));
        let template = self.templates.get_template(name).map_err(failed)?;
        if self.own.is_empty() {
            // What the shipped ones make of facts is bounded by the facts.
            return template.render(seen).map_err(failed);
        }
        let mut out = Bounded(Vec::with_capacity(8 * 1024));
        template.render_captured_to(seen, &mut out).map_err(failed)?;
        Ok(String::from_utf8(out.0).expect("templates and values are text"))
    }
}

/// `text` as it may stand in HTML. The engine's own way escapes "/" as well, which only inline scripts need: dates and
/// numbers stay readable in the source.
fn escape(out: &mut impl fmt::Write, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'&' | b'<' | b'>' | b'"' | b'\'')) {
        out.write_str(&rest[..at])?;
        out.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#x27;",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_str(rest)
}

/// Filters of the engine that a letter has no use for: they mark text as safe, or make much of little.
const REMOVED_FILTERS: [&str; 9] = ["safe", "tojson", "indent", "format", "pprint", "batch", "slice", "attr", "zip"];

/// Takes no more than [`LONGEST`] bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `text` as HTML with the first `part` of it in bold: what a sentence template, which is plain text, cannot say.
fn bold(text: &str, part: &str) -> Value {
    let parts = text.split_once(part).filter(|_| !part.is_empty());
    let (before, after) = parts.unwrap_or((text, ""));
    let mut out = String::with_capacity(text.len() + 16);
    let escaped = escape(&mut out, before).and_then(|()| match parts {
        Some(_) => {
            out.push_str("<b>");
            escape(&mut out, part)?;
            out.push_str("</b>");
            escape(&mut out, after)
        }
        None => Ok(()),
    });
    escaped.expect("a string takes all that is written");
    Value::from_safe_string(out)
}

/// The error as it may be logged: its detail only where no real facts were in play.
fn broken(name: &str, error: &minijinja::Error, detailed: bool) -> TextError {
    let detail = match error.detail() {
        Some(detail) if detailed => format!("{}: {detail}", error.kind()),
        _ if error.kind() == ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        _ => error.kind().to_string(),
    };
    TextError::Template {
        template: error.name().unwrap_or(name).to_owned(),
        line: error.line().unwrap_or_default(),
        detail,
    }
}

/// No blanks at line ends, never more than one empty line, one line feed at the end.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 1;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}
