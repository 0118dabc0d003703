//! All three files together: swapped in as a whole or not at all, with the faults of all of them at once.

use std::path::Path;

use jiff::tz::TimeZone;

use super::{
    calendar_file::{LoadedCalendar, load_calendar},
    problem::{Loaded, Problems},
    rules_file::{LoadedRules, RulesContext, load_rules},
    settings::Settings,
    settings_file::load_settings,
};

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
    match (settings, calendar, rules) {
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
