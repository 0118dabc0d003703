//! The commands: one file each, wiring the library to arguments, standard output and exit codes.

pub mod app;
pub mod check;
pub mod check_lines;
pub mod check_preview;
pub mod check_store;
mod clock;
pub mod consequences;
pub mod context;
pub mod db;
pub mod db_move;
pub mod demo;
pub mod explain;
pub mod import;
pub mod instance;
pub mod logging;
pub mod notice;
pub mod outbox;
pub mod ownership;
pub mod plan;
pub mod register;
mod relay_words;
pub mod reload;
pub mod run;
pub mod status;
pub mod task;
pub mod templates;
pub mod test_story;
pub mod wiring;

/// A progress bar where a person looks; nothing into a pipe.
pub(crate) fn progress(terminal: bool, total: u64, unit: &'static str) -> indicatif::ProgressBar {
    if !terminal {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({eta})");
    let bar = indicatif::ProgressBar::new(total).with_message(unit);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
