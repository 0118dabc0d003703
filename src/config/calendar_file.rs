//! Reads `calendar.toml`: the covered years, the working week, the days off and make-up days with their basis.

use std::{collections::BTreeMap, path::Path};

use jiff::{
    civil::{Date, Weekday},
    tz::TimeZone,
};

use super::{
    problem::{Faults, Loaded, Place, Problems, Source, meant},
    raw::{self, Table},
    shipped::read_source,
};
use crate::planning::calendar::{Certainty, DayKind, SpecialDay, WorkCalendar};

/// A calendar as an office wrote it.
#[derive(Debug, Clone)]
pub struct LoadedCalendar {
    pub calendar: WorkCalendar,
    /// Ascending, each once.
    pub covers: Vec<i16>,
    /// The working weekdays.
    pub week: Vec<Weekday>,
    /// Where `covers` stands, for faults found later.
    pub covers_place: Place,
}

/// The words of `week`, Monday first.
const WEEK: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads a calendar file.
pub fn load_calendar(path: &Path, zone: TimeZone) -> Loaded<LoadedCalendar> {
    parse_calendar(&read_source(path, "calendar.toml")?, zone)
}

/// Reads a calendar from a text.
pub fn parse_calendar(source: &std::sync::Arc<Source>, zone: TimeZone) -> Loaded<LoadedCalendar> {
    let faults = Faults::default();
    let node = raw::parse(source, &faults);
    let value = read(&Table::root(&node, &faults), zone);
    faults.conclude(value)
}

fn read(root: &Table<'_>, zone: TimeZone) -> Option<LoadedCalendar> {
    root.known(&["covers", "week", "day"]);
    root.missing("covers", "covers = [2026, 2027]");
    root.missing("week", "week = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]");
    let mut covers: Vec<i16> = Vec::new();
    let mut complete = true;
    let years = root.ints("covers", 1900..=2200, "covers = [2026, 2027]");
    complete &= years.is_some();
    for (year, place) in years.unwrap_or_default() {
        let year = year as i16;
        if covers.contains(&year) {
            root.faults.warning(&place, "repeated-value", format!("năm {year} viết hai lần"), "bỏ bớt một");
        } else {
            covers.push(year);
        }
    }
    covers.sort_unstable();
    if root.has("covers") && covers.is_empty() && !root.faults.any_error() {
        let place = root.value_place("covers");
        root.error(
            &place,
            "empty-value",
            "`covers` không có năm nào",
            "ghi các năm đã có đủ ngày nghỉ: covers = [2026, 2027]",
        );
    }
    let names: Vec<&str> = WEEK.iter().map(|(name, _)| *name).collect();
    let read_day = |word: &str| WEEK.iter().find(|(name, _)| *name == word).map(|(_, day)| *day);
    let week = root.words("week", &names, read_day).unwrap_or_default();
    if root.has("week") && week.is_empty() && !root.faults.any_error() {
        let place = root.value_place("week");
        root.error(&place, "empty-value", "`week` không có ngày nào", meant("", &names));
    }
    let mut days: BTreeMap<Date, (SpecialDay, Place)> = BTreeMap::new();
    for table in root.tables("day", "[[day]]") {
        let Some((day, place)) = special_day(&table) else { continue };
        if let Some((_, first)) = days.get(&day.date) {
            let line = first.source.text()[..first.span.start].matches('\n').count() + 1;
            let message = format!("ngày {} đã có ở dòng {line}", show(day.date));
            root.error(&place, "duplicate-day", message, "mỗi ngày một mục; bỏ bớt một mục");
            continue;
        }
        judge(root, &day, &place, complete.then_some(&covers), &week);
        days.insert(day.date, (day, place));
    }
    (!covers.is_empty() && !week.is_empty()).then(|| LoadedCalendar {
        calendar: WorkCalendar::new(zone, &covers, &week, days.into_values().map(|(day, _)| day)),
        covers,
        week,
        covers_place: root.place_of("covers"),
    })
}

fn special_day(table: &Table<'_>) -> Option<(SpecialDay, Place)> {
    table.known(&["date", "kind", "name", "basis", "certainty"]);
    table.missing("date", "date = 2026-11-24");
    table.missing("kind", "kind = \"off\" (nghỉ) hoặc kind = \"work\" (làm bù)");
    table.missing("name", "name = \"Ngày Văn hóa Việt Nam\"");
    table.missing("basis", "basis = \"văn bản làm căn cứ\"");
    table.missing("certainty", "certainty = \"confirmed\"");
    let date = table.moment("date", false);
    let kind = table.word("kind", &words(DayKind::ALL.iter().map(|k| k.as_str())), DayKind::from_word);
    let name = table.filled("name", "name = \"Ngày Văn hóa Việt Nam\"");
    let basis = table.filled("basis", "basis = \"văn bản làm căn cứ\"");
    let certainty = table.word("certainty", &words(Certainty::ALL.iter().map(|c| c.as_str())), Certainty::from_word);
    let ((date, _), place) = date?;
    let day = SpecialDay { date, kind: kind?.0, name: name?.0, basis: basis?.0, certainty: certainty?.0 };
    Some((day, place))
}

/// What is odd about one listed day.
fn judge(root: &Table<'_>, day: &SpecialDay, place: &Place, covers: Option<&Vec<i16>>, week: &[Weekday]) {
    let year = day.date.year();
    if covers.is_some_and(|covers| !covers.is_empty() && !covers.contains(&year)) {
        let message = format!("ngày {} nằm ngoài các năm trong `covers`", show(day.date));
        let help = format!("sửa lại ngày, hoặc thêm {year} vào `covers` khi đã ghi đủ ngày nghỉ của năm đó");
        root.error(place, "day-not-covered", message, help);
    }
    if week.is_empty() {
        return;
    }
    let worked = week.contains(&day.date.weekday());
    let weekday = weekday_name(day.date.weekday());
    match day.kind {
        DayKind::Work if worked => {
            let message = format!("{} là {weekday}, vốn đã là ngày làm việc", show(day.date));
            root.error(
                place,
                "already-worked",
                message,
                "ngày làm bù thường là thứ Bảy: xem lại ngày, hoặc bỏ mục này",
            );
        }
        DayKind::Off if !worked => {
            let message = format!("{} là {weekday}, vốn đã là ngày nghỉ", show(day.date));
            root.faults.warning(place, "already-off", message, "xem lại ngày; nếu đúng thì mục này không cần");
        }
        _ => {}
    }
}

/// Faults of a calendar that will not last: `today` and the year within which deadlines and their steps fall must be
/// covered. `until` is the farthest day that matters (the latest open deadline, or a year ahead).
pub fn check_horizon(loaded: &LoadedCalendar, today: Date, until: Date) -> Problems {
    let faults = Faults::default();
    for year in today.year()..=until.year().max(today.year()) {
        if loaded.covers.contains(&year) {
            continue;
        }
        let help = format!("ghi ngày nghỉ, ngày làm bù của {year} rồi thêm {year} vào `covers`");
        faults.error(&loaded.covers_place, "year-not-covered", format!("lịch chưa có năm {year}"), help);
    }
    faults.finish()
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    words.collect()
}

fn show(date: Date) -> String {
    format!("{:02}/{:02}/{}", date.day(), date.month(), date.year())
}

fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "thứ Hai",
        Weekday::Tuesday => "thứ Ba",
        Weekday::Wednesday => "thứ Tư",
        Weekday::Thursday => "thứ Năm",
        Weekday::Friday => "thứ Sáu",
        Weekday::Saturday => "thứ Bảy",
        Weekday::Sunday => "Chủ nhật",
    }
}
