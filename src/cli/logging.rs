//! Where log lines go: to the journal with their real priorities and fields, or as text to stderr.
//!
//! Never to stdout, which carries only a command's answer. What libraries say below a warning is never shown, whatever
//! was asked for: at debug level database and mail libraries print statements, bodies and logins.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::{fd::AsFd, unix::fs::MetadataExt},
};

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt};

/// The variable that says how much is logged: a level for our own lines (`debug`), or `tracing` directives
/// (`dondoc::engine=debug`).
pub const VARIABLE: &str = "DONDOC_LOG";

/// Starts logging, once, before anything else. `ours` is the level of our own lines unless [`VARIABLE`] says otherwise:
/// `INFO` for the daemon, `WARN` for a command whose stderr a person reads. A second call changes nothing.
pub fn start(ours: Level) {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    let (filter, refused) = match filter(&asked, ours) {
        Ok(filter) => (filter, None),
        // A slip in a variable must not keep reminders from going out.
        Err(error) => (EnvFilter::new(defaults(ours)), Some(error)),
    };
    // For all layers, not for the one: a layer's own filter keeps its last answer in the thread, and where a driver only
    // asks whether it would be heard (sqlx, on PostgreSQL in our own threads) the next line of ours was lost by it.
    let spoken = filter_fn(spoken);
    let journal = if to_journal() { tracing_journald::layer().ok() } else { None };
    let started = match journal {
        Some(journal) => {
            let journal = journal
                .with_syslog_identifier("dondoc".to_owned())
                .with_field_prefix(Some("DONDOC".to_owned()))
                .with_priority_mappings(priorities());
            tracing_subscriber::registry().with(filter).with(spoken).with(journal).try_init()
        }
        None => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            let text = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colour).with_target(false);
            tracing_subscriber::registry().with(filter).with(spoken).with(text).try_init()
        }
    };
    if let (Ok(()), Some(error)) = (started, refused) {
        tracing::warn!("{VARIABLE} cannot be read ({error}); logging as usual");
    }
}

fn defaults(ours: Level) -> String {
    format!("warn,dondoc={}", ours.as_str().to_ascii_lowercase())
}

/// What [`VARIABLE`] asks for, on top of the defaults.
fn filter(asked: &str, ours: Level) -> Result<EnvFilter, String> {
    let asked = asked.trim();
    let text = match asked.parse::<LevelFilter>() {
        _ if asked.is_empty() => defaults(ours),
        // A bare level means our own lines; nobody wants a TLS library's.
        Ok(level) if level == LevelFilter::OFF => "off".to_owned(),
        Ok(level) => format!("warn,dondoc={level}"),
        Err(_) => format!("{},{asked}", defaults(ours)),
    };
    EnvFilter::try_new(text).map_err(|error| error.to_string())
}

/// Whether a line may be shown at all.
fn spoken(metadata: &Metadata<'_>) -> bool {
    may_speak(metadata.target(), *metadata.level())
}

fn may_speak(target: &str, level: Level) -> bool {
    target == "dondoc" || target.starts_with("dondoc::") || level <= Level::WARN
}

/// syslog's meaning of each level (the crate's own choice makes each info a notice).
fn priorities() -> PriorityMappings {
    PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
        ..PriorityMappings::new()
    }
}

/// Whether stderr is the journal: `JOURNAL_STREAM` alone is inherited by whatever a service starts with its stderr
/// elsewhere (systemd.exec(5)).
fn to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(handle) = io::stderr().as_fd().try_clone_to_owned() else {
        return false;
    };
    File::from(handle).metadata().is_ok_and(|stderr| is_stream(&stream, stderr.dev(), stderr.ino()))
}

/// Whether `JOURNAL_STREAM`'s value (`device:inode`, decimal) names this file.
fn is_stream(value: &str, device: u64, inode: u64) -> bool {
    let parsed = value.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    parsed == Some((Ok(device), Ok(inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stderr_that_is_the_journal_counts_as_one() {
        assert!(is_stream("8:1234", 8, 1234));
        assert!(!is_stream("8:1234", 8, 1235), "stderr was sent elsewhere");
        assert!(!is_stream("9:1234", 8, 1234));
        for odd in ["", "8", "8:", ":", "8:12x", "8:1234:5"] {
            assert!(!is_stream(odd, 8, 1234), "{odd}");
        }
    }

    #[test]
    fn a_bare_level_is_for_our_lines_and_directives_come_on_top_of_the_defaults() {
        let shown = |asked| filter(asked, Level::INFO).map(|filter| filter.to_string());
        let check = |asked, parts: &[&str]| {
            let text = shown(asked).unwrap();
            let mut got: Vec<&str> = text.split(',').collect();
            got.sort_unstable();
            assert_eq!(got, parts, "{asked}");
        };
        check("", &["dondoc=info", "warn"]);
        check(" debug ", &["dondoc=debug", "warn"]);
        check("off", &["off"]);
        check("dondoc::engine=trace", &["dondoc::engine=trace", "dondoc=info", "warn"]);
        assert!(shown("dondoc=loud").is_err());
    }

    #[test]
    fn libraries_never_speak_below_a_warning_however_loud_was_asked() {
        for library in ["sqlx::query", "lettre", "hyper_util::client", "rustls", "dondocx"] {
            assert!(!may_speak(library, Level::DEBUG) && !may_speak(library, Level::INFO), "{library}");
            assert!(may_speak(library, Level::WARN) && may_speak(library, Level::ERROR), "{library}");
        }
        assert!(may_speak("dondoc::engine::scan", Level::TRACE) && may_speak("dondoc", Level::DEBUG));
    }

    #[test]
    fn an_ordinary_line_is_informational_in_the_journal() {
        let mappings = priorities();
        assert_eq!(mappings.error, Priority::Error);
        assert_eq!(mappings.warn, Priority::Warning);
        assert_eq!(mappings.info, Priority::Informational);
        assert_eq!(mappings.debug, Priority::Debug);
    }

    #[test]
    #[ignore = "run by the test below, in a process of its own"]
    fn child() {
        start(Level::WARN);
        start(Level::TRACE);
        tracing::info!(target: "dondoc::engine", task = "NV-1", "scanned");
        tracing::debug!(target: "dondoc::engine", "looked");
        tracing::info!(target: "sqlx::query", "SELECT secret");
        tracing::warn!(target: "sqlx::pool", "slow");
    }

    #[test]
    fn lines_go_to_stderr_without_colour_and_none_to_stdout() {
        let said = |asked: &str| {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["cli::logging::tests::child", "--exact", "--ignored", "--quiet"])
                .env(VARIABLE, asked)
                // Inherited from a service whose stderr was the journal; here it is a pipe.
                .env("JOURNAL_STREAM", "8:1234")
                .output()
                .unwrap();
            assert!(output.status.success());
            assert!(!String::from_utf8_lossy(&output.stdout).contains("slow"), "stdout carries only the answer");
            String::from_utf8(output.stderr).unwrap()
        };
        let usual = said("");
        assert!(usual.contains("slow") && !usual.contains("scanned"), "{usual}");
        let asked = said("sqlx=trace,dondoc=info");
        assert!(asked.contains("scanned task=\"NV-1\"") && !asked.contains("looked"), "{asked}");
        assert!(!asked.contains("SELECT") && !asked.contains('\u{1b}'), "{asked}");
        let slip = said("dondoc=loud");
        assert!(slip.contains("DONDOC_LOG cannot be read") && !slip.contains("scanned"), "{slip}");
    }
}
