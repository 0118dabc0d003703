//! A list of days off held against the law and the moon: each fault once, where it stands, in whole messages.

use dondoc::config::{
    calendar_file::{check_closures, parse_calendar},
    calendar_law::{check_calendar, check_estimates, check_law},
    problem::{Problems, Source},
};
use jiff::{civil::date, tz::TimeZone};

use super::{loaded, loaded_with, shipped_but};

fn law(text: &str) -> Problems {
    check_law(&loaded(text))
}

/// What `check_law` says of the shipped calendar with one passage replaced.
fn law_but(from: &str, to: &str) -> String {
    law(&shipped_but(from, to)).render(false)
}

/// The `[[day]]` of a date in the shipped calendar, whole.
fn entry(day: &str) -> String {
    let text = dondoc::config::shipped::CALENDAR;
    let at = text.find(&format!("date = {day}")).unwrap_or_else(|| panic!("{day} is not listed"));
    let start = text[..at].rfind("[[day]]").unwrap();
    let end = text[at..].find("\n\n").map_or(text.len(), |end| at + end);
    text[start..end].to_owned()
}

fn codes(problems: &Problems) -> Vec<(&'static str, usize)> {
    problems.iter().map(|problem| (problem.code, problem.line)).collect()
}

#[test]
fn the_shipped_calendar_agrees_with_the_law_and_the_moon_in_every_year() {
    let problems = check_law(&loaded_with(""));
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn every_holiday_left_out_is_found_and_none_is_found_twice() {
    // Each listed day off by itself: the law misses it, unless a swapped or a substitute day.
    let text = dondoc::config::shipped::CALENDAR;
    let mut found = 0;
    for (at, _) in text.match_indices("date = 20") {
        let day = &text[at + 7..at + 17];
        let entry = entry(day);
        if !entry.contains("kind = \"off\"") {
            continue;
        }
        let problems = law(&text.replacen(&entry, "", 1));
        assert!(problems.iter().count() <= 1, "{day}: {problems}");
        let swapped = entry.contains("hoán đổi");
        assert_eq!(
            problems.is_empty(),
            swapped && !day.starts_with("2025-05-02") && !matches!(day, "2026-01-02" | "2026-08-31"),
            "{day}: {problems}"
        );
        found += problems.iter().count();
    }
    assert!(found > 60, "{found}");
}

#[test]
fn a_missing_holiday_is_told_with_the_lines_to_add() {
    insta::assert_snapshot!("holiday_missing", law_but(&entry("2027-01-01"), ""));
    insta::assert_snapshot!("culture_day_missing", law_but(&entry("2026-11-24"), ""));
    insta::assert_snapshot!("day_beside_2_9_missing", law_but(&entry("2027-09-03"), ""));
    insta::assert_snapshot!("tet_day_missing", law_but(&entry("2029-02-13"), ""));
    insta::assert_snapshot!("hung_kings_missing", law_but(&entry("2028-04-04"), ""));
}

#[test]
fn tet_by_the_calendar_of_china_is_found() {
    // 2030 as a library on Chinese dates has it: all one day later.
    let text = shipped_but(&entry("2030-02-01"), &entry("2030-02-07").replace("2030-02-07", "2030-02-08"));
    insta::assert_snapshot!("tet_of_china", law(&text).render(false));
}

#[test]
fn a_lunar_holiday_on_another_day_is_told_there_and_only_there() {
    insta::assert_snapshot!("hung_kings_date", law_but("date = 2027-04-16  # T6", "date = 2027-04-15"));
    let day = entry("2029-02-15");
    insta::assert_snapshot!("tet_date", law_but(&day, &day.replace("2029-02-15", "2029-03-15")));
}

#[test]
fn a_holiday_worked_on_purpose_is_only_warned_of() {
    let day = entry("2028-11-24");
    let text = shipped_but(&day, &day.replace("\"off\"", "\"work\""));
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
    let (loaded, problems) =
        parse_calendar(&Source::new("calendar.toml", text), zone).unwrap_or_else(|p| panic!("{p}"));
    assert!(!problems.has_errors());
    insta::assert_snapshot!("holiday_worked", problems.render(false));
    assert_eq!(loaded.calendar.is_working(date(2028, 11, 24)), Ok(true));
    assert!(check_law(&loaded).is_empty(), "said once: {}", check_law(&loaded));
}

#[test]
fn a_holiday_on_a_weekend_without_its_substitute_is_warned_of() {
    insta::assert_snapshot!("substitute_missing", law_but(&entry("2027-05-03"), ""));
    let none = law_but(&entry("2026-04-27"), "");
    assert!(none.contains("Giỗ Tổ Hùng Vương (26/04/2026) trùng Chủ nhật"), "{none}");
}

#[test]
fn a_make_up_day_that_makes_up_nothing_is_warned_of() {
    insta::assert_snapshot!("make_up_without_off", law_but(&entry("2026-08-31"), ""));
}

#[test]
fn a_weekend_holiday_may_be_listed_or_not() {
    let listed = loaded_with(
        "[[day]]\ndate = 2026-04-26\nkind = \"off\"\nname = \"Giỗ Tổ Hùng Vương\"\nbasis = \"BLLĐ\"\ncertainty = \"law\"\n",
    );
    assert!(check_law(&listed).is_empty(), "{}", check_law(&listed));
}

#[test]
fn years_before_the_code_are_not_judged_and_small_lists_are() {
    let list = |covers: &str| format!("covers = [{covers}]\nweek = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n");
    assert!(law(&list("2019, 2020")).is_empty());
    let problems = law(&list("2026"));
    let codes = codes(&problems);
    assert_eq!(codes.len(), 7, "seven holidays, each once: {problems}");
    assert!(codes.iter().all(|(code, line)| (*code, *line) == ("holiday-missing", 1) || *code == "substitute-missing"));
}

#[test]
fn what_is_still_an_estimate_is_said_once_for_each_row_of_days_off() {
    let shipped = loaded_with("");
    let (today, year) = (date(2026, 11, 22), date(2027, 11, 22));
    insta::assert_snapshot!("estimates", check_estimates(&shipped, today, year).render(false));
    assert!(check_estimates(&shipped, date(2025, 1, 1), date(2026, 12, 31)).is_empty(), "2025 and 2026 are announced");
    let all = check_estimates(&shipped, today, date(2030, 12, 31));
    assert_eq!(all.iter().count(), 8, "four Tết and four days beside 2/9: {all}");
}

#[test]
fn a_horizon_without_a_list_and_what_the_law_wants_come_together() {
    let problems = check_calendar(&loaded(&shipped_but(&entry("2030-01-01"), "")), date(2030, 3, 1), date(2031, 3, 1));
    let mut codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["day-estimated", "holiday-missing", "year-not-covered"], "{problems}");
}

const CLOSURE: &str = "[[closure]]\nagency = \"SNV\"\nfrom = 2026-07-20\nuntil = 2026-07-24\nname = \"Nghỉ mát\"\nbasis = \"TB 15/TB-SNV\"\n";
const HALF: &str = "[[day]]\ndate = 2026-12-31\nkind = \"half\"\nuntil = \"12:00\"\nname = \"Tổng kết năm\"\nbasis = \"TB 20/TB-VP\"\ncertainty = \"confirmed\"\n";

#[test]
fn each_fault_of_a_half_day_or_a_closure_is_told_where_it_stands() {
    let base = "covers = [2026]\nweek = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n";
    let mut told = String::new();
    for (what, from, to) in [
        (HALF, "until = \"12:00\"\n", ""),
        (HALF, "until = \"12:00\"", "from = \"13:30\"\nuntil = \"12:00\""),
        (HALF, "until = \"12:00\"", "until = \"25:00\""),
        (HALF, "until = \"12:00\"", "until = 12"),
        (HALF, "kind = \"half\"", "kind = \"off\""),
        (HALF, "kind = \"half\"", "kind = \"haft\""),
        (CLOSURE, "until = 2026-07-24", "until = 2026-07-14"),
        (CLOSURE, "until = 2026-07-24", "until = 2027-07-24"),
        (CLOSURE, "until = 2026-07-24", "until = 2026-09-24"),
        (CLOSURE, "from = 2026-07-20\nuntil = 2026-07-24", "from = 2026-07-18\nuntil = 2026-07-19"),
        (CLOSURE, "agency = \"SNV\"\n", ""),
        (CLOSURE, "agency = \"SNV\"", "agency = \"\""),
        (CLOSURE, "basis = ", "bases = "),
        (CLOSURE, "[[closure]]", "[closure]"),
    ] {
        assert!(what.contains(from));
        let text = format!("{base}{}", what.replacen(from, to, 1));
        let problems = match parse_calendar(&Source::new("calendar.toml", text), TimeZone::UTC) {
            Ok((_, problems)) | Err(problems) => problems,
        };
        assert_eq!(problems.iter().count(), 1, "{from} -> {to}: {problems}");
        told += &format!("{}\n\n", problems.render(false));
    }
    insta::assert_snapshot!("half_days_and_closures", told);
}

#[test]
fn closures_that_overlap_and_agencies_nobody_knows_are_told() {
    let text = format!("{}\n{CLOSURE}{}", dondoc::config::shipped::CALENDAR, CLOSURE.replace("07-20", "07-23"));
    let (loaded, problems) = parse_calendar(&Source::new("calendar.toml", text), TimeZone::UTC)
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["closure-overlaps"], "{problems}");
    let known = |code: &str, name: &str| vec![(code.to_owned(), name.to_owned())];
    assert!(check_closures(&loaded, &[]).is_empty(), "no directory, no judgement");
    assert!(check_closures(&loaded, &known("snv", "Sở Nội vụ")).is_empty(), "as in the rules, case is no matter");
    let strangers = check_closures(&loaded, &known("SNVU", "Sở Nội vụ"));
    assert_eq!(strangers.iter().count(), 2, "{strangers}");
    insta::assert_snapshot!("unknown_agency", strangers.iter().next().unwrap().render(false));
    assert!(!strangers.has_errors(), "a directory that is imported later is no reason to refuse the calendar");
}

#[test]
fn the_examples_in_the_shipped_file_are_right_when_they_are_used() {
    let text = dondoc::config::shipped::CALENDAR;
    let mut used = String::new();
    let mut inside = false;
    for line in text.lines().take_while(|line| !line.starts_with("covers")) {
        inside = match line {
            "# [[day]]" | "# [[closure]]" => true,
            "#" => false,
            _ => inside,
        };
        if let Some(example) = line.strip_prefix("# ").filter(|_| inside) {
            used += &format!("{example}\n");
        }
    }
    assert_eq!(used.matches("[[").count(), 2, "{used}");
    let loaded = loaded_with(&used);
    assert_eq!(loaded.calendar.closures().len(), 1);
    assert!(loaded.calendar.special(date(2026, 12, 31)).unwrap().part.is_some());
    assert!(check_law(&loaded).is_empty(), "{}", check_law(&loaded));
}
