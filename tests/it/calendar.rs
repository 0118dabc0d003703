//! The calendar an office writes: compared with another, told in words, held against the law and the moon, and its
//! arithmetic against a naive count. Everything on the shipped `config/calendar.toml`, with days added where a test needs.

mod arithmetic;
mod changes;
mod closures;
mod law;

use dondoc::{
    config::{
        calendar_file::{LoadedCalendar, parse_calendar},
        problem::Source,
        shipped,
    },
    planning::calendar::WorkCalendar,
};
use jiff::tz::TimeZone;

/// The shipped calendar, with text added at its end.
fn loaded_with(more: &str) -> LoadedCalendar {
    loaded(&format!("{}\n{more}", shipped::CALENDAR))
}

fn loaded(text: &str) -> LoadedCalendar {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("a bundled zone");
    let (loaded, problems) =
        parse_calendar(&Source::new("calendar.toml", text), zone).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(problems.is_empty(), "{problems}");
    loaded
}

fn calendar_with(more: &str) -> WorkCalendar {
    loaded_with(more).calendar
}

/// The shipped text with one passage replaced.
fn shipped_but(from: &str, to: &str) -> String {
    assert!(shipped::CALENDAR.contains(from), "{from} is not in the shipped calendar");
    shipped::CALENDAR.replacen(from, to, 1)
}
