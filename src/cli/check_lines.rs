//! One line for each fault, for editors and for the checks of a forge: nothing is drawn, everything is said.

use crate::config::problem::{Problem, Problems, Severity};

/// The forms of such lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Annotations {
    /// `::error file=…,line=…,col=…,title=…::…`
    Github,
}

/// `file:line:column: error[code]: message; help`, which the error lists of editors take apart (vim's `%f:%l:%c: %m`).
pub fn editor(problems: &Problems) -> String {
    let line = |problem: &Problem| {
        let Problem { file, line, column, severity, code, message, .. } = problem;
        format!("{}:{line}:{column}: {severity}[{code}]: {}\n", one(file), one(&with_help(message, &problem.help)))
    };
    problems.iter().map(line).collect()
}

/// The workflow commands of GitHub Actions, with their escaping.
pub fn github(problems: &Problems) -> String {
    let line = |problem: &Problem| {
        let Problem { file, line, column, severity, code, message, .. } = problem;
        let level = match severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let body = match problem.help.trim() {
            "" => message.clone(),
            help => format!("{message}\n{help}"),
        };
        format!(
            "::{level} file={},line={line},col={column},title={}::{}\n",
            property(file),
            property(code),
            data(&body)
        )
    };
    problems.iter().map(line).collect()
}

fn with_help(message: &str, help: &str) -> String {
    match help.trim() {
        "" => message.to_owned(),
        help => format!("{message}; cách sửa: {}", help.lines().map(str::trim).collect::<Vec<_>>().join("; ")),
    }
}

/// A text on one line, without what a terminal would obey.
fn one(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
