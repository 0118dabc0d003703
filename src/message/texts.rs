//! The texts themselves: templates, embedded or an office's own, and the facts they are filled with.

use std::collections::BTreeMap;

use minijinja::{Environment, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde::Serialize;

use super::{
    calendar,
    clean::fill,
    facts::{LetterFacts, NoticeFacts, NoticeSeal},
    notice, sample, view, zalo,
};
use crate::planning::task::{Secrecy, Urgency};

/// Why a text could not be made. None of these carries content of a task.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
    /// A template does not parse, or asks for something that is not there.
    #[error("template {template}, line {line}: {detail}")]
    Template { template: String, line: usize, detail: String },
    /// An override has a name that no built-in template has.
    #[error("there is no template named {name}; the names are {known}")]
    UnknownTemplate { name: String, known: String },
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
}

const BUILT_IN: [(&str, &str); 9] = [
    ("layout.html.j2", include_str!("templates/layout.html.j2")),
    ("single.html.j2", include_str!("templates/single.html.j2")),
    ("single.txt.j2", include_str!("templates/single.txt.j2")),
    ("digest.html.j2", include_str!("templates/digest.html.j2")),
    ("digest.txt.j2", include_str!("templates/digest.txt.j2")),
    ("foot.txt.j2", include_str!("templates/foot.txt.j2")),
    ("neutral.html.j2", include_str!("templates/neutral.html.j2")),
    ("neutral.txt.j2", include_str!("templates/neutral.txt.j2")),
    ("notice.html.j2", include_str!("templates/notice.html.j2")),
];

/// Steps of the template machine one text may take: enough for a digest of some thousand tasks, and an end to a
/// template that loops.
const FUEL: u64 = 2_000_000;

/// The templates, parsed once and shared: `Send + Sync`.
#[derive(Debug, Clone)]
pub struct Texts {
    templates: Environment<'static>,
}

impl Texts {
    /// The texts as shipped.
    pub fn built_in() -> Self {
        Self::with_overrides(&BTreeMap::new()).expect("the shipped templates are rendered by the tests")
    }

    /// The shipped texts with some templates (`single.html.j2` …, see [`Texts::names`]) replaced by an office's own.
    /// With any replaced, all are tried on sample facts, so that a mistake is found now and not at a deadline.
    pub fn with_overrides(overrides: &BTreeMap<String, String>) -> Result<Self, TextError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        // An error must not quote the values it met: they are content of tasks.
        templates.set_debug(false);
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            templates.set_syntax(syntax);
        }
        templates.add_filter("fill", |text: String, first: Option<String>, rest: Option<String>| {
            let first = first.unwrap_or_default();
            let rest = rest.unwrap_or_else(|| first.clone());
            fill(&text, &first, &rest)
        });
        templates.add_filter("caps", |text: String| text.to_uppercase());
        for (name, source) in BUILT_IN {
            templates.add_template(name, source).map_err(|error| broken(name, &error, true))?;
        }
        for (name, source) in overrides {
            if !Self::names().contains(&name.as_str()) {
                let known = Self::names().join(", ");
                return Err(TextError::UnknownTemplate { name: name.clone(), known });
            }
            templates.add_template_owned(name.clone(), source.clone()).map_err(|error| broken(name, &error, true))?;
        }
        let texts = Self { templates };
        if !overrides.is_empty() {
            texts.try_on_samples()?;
        }
        Ok(texts)
    }

    fn try_on_samples(&self) -> Result<(), TextError> {
        for letter in [sample::digest(), sample::single(), sample::bare()] {
            let seen = view::letter(&letter);
            for name in ["single.html.j2", "single.txt.j2", "digest.html.j2", "digest.txt.j2"] {
                self.render(name, &seen, true)?;
            }
        }
        let neutral = view::neutral(&sample::single());
        self.render("neutral.html.j2", &neutral, true)?;
        self.render("neutral.txt.j2", &neutral, true)?;
        for facts in [sample::notice(), sample::bare_notice()] {
            let seen = notice::view(&facts, &sample::seal(), Some("…"));
            self.render("notice.html.j2", &seen, true)?;
        }
        Ok(())
    }

    /// Names of the templates an office may replace.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
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
        if facts.classified || classified > 0 {
            return self.neutral(facts);
        }
        let seen = view::letter(facts);
        let kind = if facts.items.len() == 1 { "single" } else { "digest" };
        Ok(EmailText {
            html: self.render(&format!("{kind}.html.j2"), &seen, false)?,
            text: tidy(&self.render(&format!("{kind}.txt.j2"), &seen, false)?),
            calendar: calendar::deadlines(facts),
            thread: (facts.items.len() == 1).then(|| facts.items[0].code.clone()),
            urgent: facts.items.iter().any(|item| item.urgency > Urgency::Normal),
            subject: seen.subject,
        })
    }

    fn neutral(&self, facts: &LetterFacts) -> Result<EmailText, TextError> {
        if facts.recipient.name.trim().is_empty() {
            return Err(TextError::Classified("its letter goes to a named official, never to a shared mailbox"));
        }
        let seen = view::neutral(facts);
        Ok(EmailText {
            html: self.render("neutral.html.j2", &seen, false)?,
            text: tidy(&self.render("neutral.txt.j2", &seen, false)?),
            calendar: None,
            thread: None,
            urgent: false,
            subject: seen.subject,
        })
    }

    /// The Zalo line, under 400 characters. Classified: [`TextError::Classified`].
    pub fn zalo(&self, facts: &LetterFacts) -> Result<String, TextError> {
        zalo::line(facts)
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
        self.render("notice.html.j2", &notice::view(facts, seal, withdrawn), false)
    }

    fn render(&self, name: &str, seen: &impl Serialize, sample: bool) -> Result<String, TextError> {
        self.templates
            .get_template(name)
            .and_then(|template| template.render(Serde(seen)))
            // The engine escapes "/" as well, which only inline scripts need; dates and numbers stay readable in the source.
            .map(|text| text.replace("&#x2f;", "/"))
            .map_err(|error| broken(name, &error, sample))
    }
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
