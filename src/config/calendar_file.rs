//! Reads `calendar.toml`: the covered years, the working week, the days off, make-up days and half days with their
//! basis, and agencies' own closures. Whether the list agrees with the law and the moon is
//! [`calendar_law`](super::calendar_law)'s.

use std::{collections::BTreeMap, path::Path};

use jiff::{
    civil::{Date, Weekday},
    tz::TimeZone,
};

use super::{
    calendar_law::is_holiday,
    calendar_words::{day as show, weekday_name},
    problem::{Faults, Loaded, Place, Problems, Source, meant, nearest, quoted},
    raw::{self, Table},
    shipped::read_source,
};
use crate::planning::calendar::{Certainty, Closure, DayKind, Part, SpecialDay, WorkCalendar};

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
    /// Where each listed day stands.
    pub places: BTreeMap<Date, Place>,
    /// Where the agency of each closure stands, in the order of [`WorkCalendar::closures`].
    pub closure_places: Vec<Place>,
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
    root.known(&["covers", "week", "day", "closure"]);
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
            let message = format!("ngày {} đã có ở dòng {}", show(day.date), line_of(first));
            root.error(&place, "duplicate-day", message, "mỗi ngày một mục; bỏ bớt một mục");
            continue;
        }
        judge(root, &day, &place, complete.then_some(&covers), &week);
        days.insert(day.date, (day, place));
    }
    let places = days.iter().map(|(date, (_, place))| (*date, place.clone())).collect();
    let listed = days.into_values().map(|(day, _)| day);
    let calendar = WorkCalendar::new(zone, &covers, &week, listed);
    let closures = closures(root, &calendar, complete.then_some(&covers));
    let closure_places = closures.iter().map(|(_, place)| place.clone()).collect();
    (!covers.is_empty() && !week.is_empty()).then(|| LoadedCalendar {
        calendar: calendar.with_closures(closures.into_iter().map(|(closure, _)| closure)),
        covers,
        week,
        covers_place: root.place_of("covers"),
        places,
        closure_places,
    })
}

fn special_day(table: &Table<'_>) -> Option<(SpecialDay, Place)> {
    table.known(&["date", "kind", "name", "basis", "certainty", "from", "until"]);
    table.missing("date", "date = 2026-11-24");
    table.missing("kind", "kind = \"off\" (nghỉ), kind = \"work\" (làm bù) hoặc kind = \"half\" (làm nửa ngày)");
    table.missing("name", "name = \"Ngày Văn hóa Việt Nam\"");
    table.missing("basis", "basis = \"văn bản làm căn cứ\"");
    table.missing("certainty", "certainty = \"confirmed\"");
    let date = table.moment("date", false);
    let kind = table.word("kind", &words(DayKind::ALL.iter().map(|k| k.as_str())), DayKind::from_word);
    let name = table.filled("name", "name = \"Ngày Văn hóa Việt Nam\"");
    let basis = table.filled("basis", "basis = \"văn bản làm căn cứ\"");
    let certainty = table.word("certainty", &words(Certainty::ALL.iter().map(|c| c.as_str())), Certainty::from_word);
    let part = worked_part(table, kind.as_ref().map(|(kind, _)| *kind));
    let ((date, _), place) = date?;
    let kind = kind?.0;
    let day = SpecialDay { date, kind, name: name?.0, basis: basis?.0, certainty: certainty?.0, part: part? };
    Some((day, place))
}

/// `from`, `until` of a half day: one of them, or both; of other days neither. `None`: something is wrong with them.
fn worked_part(table: &Table<'_>, kind: Option<DayKind>) -> Option<Option<Part>> {
    if kind != Some(DayKind::Half) {
        for key in ["from", "until"].into_iter().filter(|key| kind.is_some() && table.has(key)) {
            let help = "nếu chỉ làm một buổi, viết: kind = \"half\"; nếu cả ngày thì bỏ dòng này";
            let message = format!("`{key}` chỉ dùng cho ngày làm nửa ngày");
            table.error(&table.place_of(key), "hours-on-whole-day", message, help);
        }
        return Some(None);
    }
    if !table.has("from") && !table.has("until") {
        let help = "chỉ làm buổi sáng: until = \"12:00\"; chỉ làm buổi chiều: from = \"13:30\"; có thể viết cả hai";
        table.error(
            &table.value_place("kind"),
            "half-without-hours",
            "ngày làm nửa ngày thiếu `until` hoặc `from`",
            help,
        );
        return None;
    }
    let read = |key: &str, otherwise: u16| match table.has(key) {
        true => table.minute(key, key == "until").map(|(minute, _)| minute),
        false => Some(otherwise),
    };
    let (from, until) = (read("from", 0), read("until", 24 * 60));
    let part = Part { from: from?, until: until? };
    if part.from >= part.until {
        let help = "`from` là giờ bắt đầu, `until` là giờ kết thúc buổi làm việc: from = \"07:30\", until = \"12:00\"";
        table.error(&table.value_place("until"), "hours-reversed", "`until` không sau `from`", help);
        return None;
    }
    Some(Some(part))
}

/// A closure longer than this is more likely a slip of the pen.
const LONGEST_CLOSURE_DAYS: i32 = 31;

/// Agencies' own closures, with the place of the agency each is written for.
fn closures(root: &Table<'_>, calendar: &WorkCalendar, covers: Option<&Vec<i16>>) -> Vec<(Closure, Place)> {
    let mut found: Vec<(Closure, Place)> = Vec::new();
    for table in root.tables("closure", "[[closure]]") {
        let Some((closure, place, until_place)) = closure(&table) else { continue };
        if closure.from > closure.until {
            let message = format!("`until` ({}) trước `from` ({})", show(closure.until), show(closure.from));
            root.error(&until_place, "closure-reversed", message, "`from` là ngày nghỉ đầu, `until` là ngày nghỉ cuối");
            continue;
        }
        if let Some(covers) = covers.filter(|covers| !covers.is_empty()) {
            let outside = (closure.from.year()..=closure.until.year()).find(|year| !covers.contains(year));
            if let Some(year) = outside {
                let message = format!("đợt nghỉ riêng có ngày trong năm {year}, ngoài các năm trong `covers`");
                let help = format!("sửa lại ngày, hoặc thêm {year} vào `covers` khi đã ghi đủ ngày nghỉ của năm đó");
                root.error(&until_place, "day-not-covered", message, help);
                continue;
            }
        }
        let days = closure.until.duration_since(closure.from).as_hours() / 24 + 1;
        if days > i64::from(LONGEST_CLOSURE_DAYS) {
            let message = format!("{} nghỉ riêng {days} ngày liền", closure.agency);
            let help = "xem lại năm và tháng; nếu đúng, các bước trước hạn sẽ đến rất sớm, thư trong hạn chờ rất lâu";
            root.faults.warning(&until_place, "closure-long", message, help);
        }
        let works = |day: Date| calendar.is_working(day) == Ok(true);
        if !calendar.week().is_empty() && !days_of(&closure).any(works) {
            let message = format!("đợt nghỉ riêng của {} không có ngày làm việc nào", closure.agency);
            root.faults.warning(&place, "closure-without-effect", message, "các ngày này vốn đã nghỉ: xem lại ngày");
        }
        let key = crate::planning::fold::fold(&closure.agency);
        let twice = found.iter().find(|(other, _)| {
            crate::planning::fold::fold(&other.agency) == key
                && other.from <= closure.until
                && closure.from <= other.until
        });
        if let Some((_, first)) = twice {
            let message = format!("đợt nghỉ riêng này của {} chồng lên đợt ở dòng {}", closure.agency, line_of(first));
            root.faults.warning(&place, "closure-overlaps", message, "gộp hai đợt làm một, hoặc sửa lại ngày");
        }
        found.push((closure, place));
    }
    found
}

fn days_of(closure: &Closure) -> impl Iterator<Item = Date> + use<> {
    let until = closure.until;
    closure.from.series(jiff::ToSpan::day(1)).take_while(move |day| *day <= until)
}

/// A closure, where its agency stands, and where its last day does.
fn closure(table: &Table<'_>) -> Option<(Closure, Place, Place)> {
    table.known(&["agency", "from", "until", "name", "basis"]);
    table.missing("agency", "agency = \"SNV\" (mã hoặc tên cơ quan)");
    table.missing("from", "from = 2026-07-20 (ngày nghỉ đầu)");
    table.missing("until", "until = 2026-07-24 (ngày nghỉ cuối)");
    table.missing("name", "name = \"Nghỉ mát tập thể\"");
    table.missing("basis", "basis = \"văn bản làm căn cứ\"");
    let agency = table.filled("agency", "agency = \"SNV\"");
    let from = table.moment("from", false);
    let until = table.moment("until", false);
    let name = table.filled("name", "name = \"Nghỉ mát tập thể\"");
    let basis = table.filled("basis", "basis = \"văn bản làm căn cứ\"");
    let ((agency, place), ((from, _), _), ((until, _), until_place)) = (agency?, from?, until?);
    Some((Closure { agency, from, until, name: name?.0, basis: basis?.0 }, place, until_place))
}

fn line_of(place: &Place) -> usize {
    place.source.text()[..place.span.start].matches('\n').count() + 1
}

/// Closures for agencies that the directory does not have: nobody would be spared a letter. `agencies`: every agency's
/// code and name; an empty directory judges nothing.
pub fn check_closures(loaded: &LoadedCalendar, agencies: &[(String, String)]) -> Problems {
    let faults = Faults::default();
    for (closure, place) in loaded.calendar.closures().iter().zip(&loaded.closure_places) {
        if agencies.is_empty() || agencies.iter().any(|(code, name)| closure.is_of(code, name)) {
            continue;
        }
        let known = || agencies.iter().flat_map(|(code, name)| [code.as_str(), name.as_str()]);
        let near =
            nearest(&closure.agency, known()).map(|near| format!("có phải ý là `{near}`?\n")).unwrap_or_default();
        let help =
            format!("{near}viết mã hoặc tên đầy đủ của cơ quan như trong danh bạ; đợt nghỉ này đang không có tác dụng");
        let message = format!("danh bạ không có cơ quan {}", quoted(&closure.agency));
        faults.warning(place, "unknown-agency", message, help);
    }
    faults.finish()
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
        // The one way to say that a holiday is worked by a decision: `check_law` then says no more.
        DayKind::Work if worked && is_holiday(day.date) => {
            let message = format!("{} ({weekday}) là ngày lễ theo luật, lịch ghi là ngày làm việc", show(day.date));
            let help = "nếu đúng là có quyết định làm việc ngày này thì giữ nguyên; nếu không, viết: kind = \"off\"";
            root.faults.warning(place, "already-worked", message, help);
        }
        DayKind::Work if worked => {
            let message = format!("{} là {weekday}, vốn đã là ngày làm việc", show(day.date));
            root.error(
                place,
                "already-worked",
                message,
                "ngày làm bù thường là thứ Bảy: xem lại ngày, hoặc bỏ mục này",
            );
        }
        DayKind::Off if !worked && !is_holiday(day.date) => {
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
