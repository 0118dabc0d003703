//! All three files together: swapped in as a whole or not at all, with the faults of all of them at once.

use std::path::Path;

use jiff::{civil::Time, tz::TimeZone};

use super::{
    calendar_file::{LoadedCalendar, load_calendar},
    problem::{Faults, Loaded, Place, Problems},
    rules_file::{LoadedRules, RulesContext, load_rules},
    settings::Settings,
    settings_file::load_settings,
    shipped::read_source,
};
use crate::planning::plan::state_hours;

/// Everything an office wrote.
#[derive(Debug, Clone)]
pub struct OfficeFiles {
    pub settings: Settings,
    pub calendar: LoadedCalendar,
    pub rules: LoadedRules,
}

/// Reads the settings and the two files they name. Where the settings are at fault, `rules.toml` and `calendar.toml`
/// beside them are still read, so that one round of mending is enough.
pub fn load_all(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Loaded<OfficeFiles> {
    let mut problems = Problems::default();
    let settings = keep(load_settings(path, environment), &mut problems);
    let (calendar, rules) = match &settings {
        Some(settings) => (
            keep(load_calendar(&settings.files.calendar, settings.office.time_zone.clone()), &mut problems),
            keep(load_rules(&settings.files.rules, &RulesContext::of(settings)), &mut problems),
        ),
        None => {
            let beside = |name: &str| Some(path.with_file_name(name)).filter(|path| path.is_file());
            (
                beside("calendar.toml").and_then(|path| keep(load_calendar(&path, TimeZone::UTC), &mut problems)),
                beside("rules.toml").and_then(|path| keep(load_rules(&path, &RulesContext::unknown()), &mut problems)),
            )
        }
    };
    if let (Some(settings), Some(rules)) = (&settings, &rules) {
        problems.extend(daily_list(settings, rules));
    }
    match (settings, calendar, rules) {
        _ if problems.has_errors() => Err(problems),
        (Some(settings), Some(calendar), Some(rules)) => Ok((OfficeFiles { settings, calendar, rules }, problems)),
        _ => Err(problems),
    }
}

fn keep<T>(loaded: Loaded<T>, problems: &mut Problems) -> Option<T> {
    match loaded {
        Ok((value, warnings)) => {
            problems.extend(warnings);
            Some(value)
        }
        Err(faults) => {
            problems.extend(faults);
            None
        }
    }
}

/// A daily list goes within the hours of `[hours.normal]`: past their end it could leave on no day, and ended unsent on
/// each.
fn daily_list(settings: &Settings, rules: &LoadedRules) -> Problems {
    let faults = Faults::default();
    let hours = state_hours(&rules.rules);
    let minute = |time: Time| time.hour() as u16 * 60 + time.minute() as u16;
    if let Some(at) = settings.email.daily_list_at.filter(|at| minute(*at) > hours.until)
        && let Ok(source) = read_source(&settings.file, "dondoc.toml")
    {
        let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
        let (from, until) = (clock(hours.from), clock(hours.until));
        // Where no line says it, it comes from the environment, or is the hour as shipped.
        const KEY: &str = "daily_list_at";
        let text = source.text();
        let begins = |at: &usize| text[..*at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty());
        let written = text.match_indices(KEY).map(|(at, _)| at).find(begins);
        let span = written.map_or(0..0, |at| at..at + KEY.len());
        let message = format!(
            "`daily_list_at` là {}, sau giờ gửi thư: [hours.normal] chỉ từ {from} đến {until}, nên danh sách không bao giờ \
             gửi được",
            clock(minute(at))
        );
        let help = format!("viết một giờ trước {until}, ví dụ: daily_list_at = \"09:00\"; hoặc \"\" để không gửi");
        // An hour that nobody wrote keeps no service from its work: on such days no list is made.
        match written {
            Some(_) => faults.error(&Place { source, span }, "daily-list-too-late", message, help),
            None => faults.warning(&Place { source, span }, "daily-list-too-late", message, help),
        }
    }
    faults.finish()
}
