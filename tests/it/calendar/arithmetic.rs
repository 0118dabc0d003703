//! The arithmetic of the shipped calendar, with half-days and closures of three agencies written in, against counting
//! day by day. The counter here reads the TOML's entries, not the calendar's tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use dondoc::planning::{
    calendar::{Hours, Part, View, WorkCalendar},
    rules::{Audience, Offset, Unit},
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, Weekday, date},
};
use proptest::prelude::*;

use super::calendar_with;

/// Closures over Tết, over a make-up Saturday, over New Year, back to back, overlapping, under code and name alike.
const MORE: &str = r#"
[[day]]
date = 2026-12-31
kind = "half"
until = "12:00"
name = "Tổng kết năm"
basis = "TB"
certainty = "confirmed"
[[day]]
date = 2027-02-04
kind = "half"
until = "11:30"
name = "Chiều 28 Tết"
basis = "TB"
certainty = "confirmed"
[[day]]
date = 2028-06-12
kind = "half"
from = "13:30"
name = "Buổi sáng diễn tập"
basis = "TB"
certainty = "confirmed"
[[day]]
date = 2029-12-22
kind = "half"
from = "08:00"
until = "11:00"
name = "Làm bù nửa ngày thứ Bảy"
basis = "TB"
certainty = "confirmed"
[[closure]]
agency = "SNV"
from = 2026-07-20
until = 2026-07-24
name = "Nghỉ mát"
basis = "TB"
[[closure]]
agency = "Sở Nội vụ"
from = 2026-07-23
until = 2026-07-29
name = "Chuyển trụ sở"
basis = "TB"
[[closure]]
agency = "SNV"
from = 2027-02-01
until = 2027-02-17
name = "Tết dài"
basis = "TB"
[[closure]]
agency = "STC"
from = 2026-08-21
until = 2026-08-24
name = "Ba ngày quanh thứ Bảy làm bù"
basis = "TB"
[[closure]]
agency = "STC"
from = 2027-12-27
until = 2028-01-07
name = "Kiểm kê"
basis = "TB"
[[closure]]
agency = "STC"
from = 2028-01-08
until = 2028-01-14
name = "Kiểm kê thêm"
basis = "TB"
"#;

static CALENDAR: LazyLock<WorkCalendar> = LazyLock::new(|| calendar_with(MORE));

/// What the file says, read again by hand.
struct Naive {
    kinds: BTreeMap<Date, String>,
    parts: BTreeMap<Date, Part>,
    closed: BTreeMap<&'static str, BTreeSet<Date>>,
}

static NAIVE: LazyLock<Naive> = LazyLock::new(|| {
    let text = format!("{}\n{MORE}", dondoc::config::shipped::CALENDAR);
    let file: toml::Table = text.parse().unwrap();
    let day = |value: &toml::Value| value.to_string().parse::<Date>().unwrap();
    let minute = |value: Option<&toml::Value>| {
        let (hour, minute) = value?.as_str()?.split_once(':')?;
        Some(hour.parse::<u16>().ok()? * 60 + minute.parse::<u16>().ok()?)
    };
    let mut naive = Naive { kinds: BTreeMap::new(), parts: BTreeMap::new(), closed: BTreeMap::new() };
    for entry in file["day"].as_array().unwrap() {
        let date = day(&entry["date"]);
        naive.kinds.insert(date, entry["kind"].as_str().unwrap().to_owned());
        if entry["kind"].as_str() == Some("half") {
            let part = Part {
                from: minute(entry.get("from")).unwrap_or(0),
                until: minute(entry.get("until")).unwrap_or(1440),
            };
            naive.parts.insert(date, part);
        }
    }
    for entry in file["closure"].as_array().unwrap() {
        let agency = match entry["agency"].as_str().unwrap() {
            "SNV" | "Sở Nội vụ" => "SNV",
            _ => "STC",
        };
        let mut date = day(&entry["from"]);
        while date <= day(&entry["until"]) {
            naive.closed.entry(agency).or_default().insert(date);
            date = date.tomorrow().unwrap();
        }
    }
    naive
});

impl Naive {
    fn works(&self, day: Date) -> bool {
        match self.kinds.get(&day) {
            Some(kind) => kind != "off",
            None => !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday),
        }
    }

    fn open(&self, agency: &str, day: Date) -> bool {
        self.works(day) && !self.closed.get(agency).is_some_and(|closed| closed.contains(&day))
    }

    /// The n-th day, one after another, on which the agency is open.
    fn add(&self, agency: &str, from: Date, n: i32) -> Date {
        let (mut day, mut left) = (from, n.abs());
        while left > 0 {
            day = if n > 0 { day.tomorrow() } else { day.yesterday() }.unwrap();
            left -= i32::from(self.open(agency, day));
        }
        day
    }

    fn between(&self, agency: &str, from: Date, to: Date) -> i64 {
        let (low, high, sign) = if from <= to { (from, to, 1) } else { (to, from, -1) };
        let mut day = low;
        let mut count = 0;
        while day < high {
            day = day.tomorrow().unwrap();
            count += sign * i64::from(self.open(agency, day));
        }
        count
    }

    /// Whether a message may start in a minute of a day.
    fn may(&self, agency: &str, day: Date, minute: u16, hours: &Hours) -> bool {
        if minute < hours.from || minute > hours.until {
            return false;
        }
        if !hours.working_days_only {
            return true;
        }
        let part = self.parts.get(&day).copied().unwrap_or(Part { from: 0, until: 1440 });
        self.open(agency, day) && part.from <= minute && minute <= part.until
    }
}

fn view(agency: &'static str) -> View<'static> {
    match agency {
        "SNV" => CALENDAR.for_names("snv", "Sở Nội vụ"),
        "STC" => CALENDAR.for_names("STC", "Sở Tài chính"),
        _ => CALENDAR.for_names("VP", "Văn phòng"),
    }
}

fn any_day() -> impl Strategy<Value = Date> {
    (0..2191i64).prop_map(|n| date(2025, 1, 1).checked_add(n.days()).unwrap())
}

/// Days with room for 60 working days on both sides, many of them beside what the list has.
fn inner_day() -> impl Strategy<Value = Date> {
    let busy = prop_oneof![
        Just(date(2026, 7, 24)),
        Just(date(2027, 2, 9)),
        Just(date(2026, 8, 24)),
        Just(date(2028, 1, 7)),
        Just(date(2026, 11, 25)),
        Just(date(2026, 12, 31)),
        Just(date(2028, 6, 12)),
        Just(date(2029, 12, 22)),
    ];
    let near = (busy, -25..25i64).prop_map(|(day, n)| day.checked_add(n.days()).unwrap());
    let any = (120..2071i64).prop_map(|n| date(2025, 1, 1).checked_add(n.days()).unwrap());
    prop_oneof![near, any]
}

fn agency() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("VP"), Just("SNV"), Just("STC")]
}

fn hours() -> impl Strategy<Value = Hours> {
    (any::<bool>(), 0u16..1440, 0u16..=720).prop_map(|(working_days_only, from, span)| Hours {
        working_days_only,
        from,
        until: (from + span).min(1440),
    })
}

fn at(minute: u16) -> Time {
    Time::constant((minute / 60) as i8, (minute % 60) as i8, 0, 0)
}

fn instant(day: Date, minute: u16) -> Timestamp {
    // UTC+7, by hand.
    day.to_datetime(at(minute)).to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(7))).unwrap().timestamp()
}

#[test]
fn every_day_of_six_years_is_what_the_file_says() {
    let mut worked = 0;
    for day in date(2025, 1, 1).series(1.day()).take(2191) {
        for agency in ["VP", "SNV", "STC"] {
            assert_eq!(view(agency).is_open(day), Ok(NAIVE.open(agency, day)), "{agency} {day}");
        }
        assert_eq!(CALENDAR.is_working(day), Ok(NAIVE.works(day)), "{day}");
        worked += u32::from(NAIVE.works(day));
    }
    assert_eq!(worked, 1497, "counted by a script from the official days off alone, and the half Saturday");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn working_days_forwards_and_backwards_are_those_one_counts(agency in agency(), day in inner_day(), n in -60..=60i32) {
        let view = view(agency);
        let there = view.add_working(day, n).unwrap();
        prop_assert_eq!(there, NAIVE.add(agency, day, n));
        prop_assert_eq!(CALENDAR.add_working(day, n).unwrap(), NAIVE.add("VP", day, n));
        // There and back again, from a day that is open itself.
        if n != 0 && NAIVE.open(agency, day) {
            prop_assert_eq!(view.add_working(there, -n).unwrap(), day);
        }
    }

    #[test]
    fn days_between_are_those_one_counts_and_add_up(agency in agency(), a in any_day(), b in any_day(), c in any_day()) {
        let view = view(agency);
        let between = |a, b| view.working_between(a, b).unwrap();
        prop_assert_eq!(between(a, b), NAIVE.between(agency, a, b));
        prop_assert_eq!(between(a, b), -between(b, a));
        prop_assert_eq!(between(a, b) + between(b, c), between(a, c));
        prop_assert_eq!(CALENDAR.working_between(a, b).unwrap(), NAIVE.between("VP", a, b));
    }

    #[test]
    fn a_deadline_rolls_to_the_next_working_day_whatever_an_agency_closes(day in inner_day()) {
        let mut there = day;
        while !NAIVE.works(there) {
            there = there.tomorrow().unwrap();
        }
        prop_assert_eq!(CALENDAR.roll(day).unwrap(), there);
    }

    #[test]
    fn a_step_fires_where_counting_puts_it(
        agency in agency(), day in inner_day(), n in -40..=40i32, unit in 0usize..3, minute in 0u16..1440, hour in proptest::option::of(0u16..1440),
    ) {
        let base = CALENDAR.roll(day).unwrap();
        let unit = [Unit::WorkingDays, Unit::Days, Unit::Hours][unit];
        let fires = view(agency).fire(base, hour.map(at), Offset { n, unit }, at(minute)).unwrap();
        let expected = match unit {
            // Before the deadline the agency's days count, after it the office's: closing postpones no overdue step.
            Unit::WorkingDays => instant(NAIVE.add(if n < 0 { agency } else { "VP" }, base, n), minute),
            Unit::Days => {
                let mut there = base;
                for _ in 0..n.abs() {
                    there = if n > 0 { there.tomorrow() } else { there.yesterday() }.unwrap();
                }
                instant(there, minute)
            }
            Unit::Hours => instant(base, 0) + (i64::from(hour.unwrap_or(1440)) + i64::from(n) * 60).minutes(),
        };
        prop_assert_eq!(fires, expected);
    }

    #[test]
    fn a_repeat_in_other_units_never_goes_back_and_counts_the_agencys_days_up_to_the_deadline(
        agency in agency(), base in inner_day(), before in 1..60i64, n in 1..30i32,
    ) {
        let (base, from) = (CALENDAR.roll(base).unwrap(), base.checked_sub(before.days()).unwrap());
        let view = view(agency);
        let mut expected = from;
        for _ in 0..n {
            expected = expected.tomorrow().unwrap();
            while !NAIVE.open(if expected <= base { agency } else { "VP" }, expected) {
                expected = expected.tomorrow().unwrap();
            }
        }
        prop_assert_eq!(view.forward(from, base, n).unwrap(), expected);
        prop_assert!(view.forward(from, base, n + 1).unwrap() > expected);
    }

    #[test]
    fn a_message_leaves_at_the_first_allowed_moment_never_before_it_is_due(
        agency in agency(), day in inner_day(), due in 0u16..1440, seconds in 0i64..60, hours in hours(), leaves in 0u16..1440,
    ) {
        let view = view(agency);
        let due_at = instant(day, due) + seconds.seconds();
        let sent = view.send_at(due_at, &hours, at(leaves)).unwrap();
        prop_assert_eq!(view.within(due_at, &hours).unwrap(), NAIVE.may(agency, day, due, &hours));
        prop_assert_eq!(view.within(sent, &hours).unwrap(), true);
        if NAIVE.may(agency, day, due, &hours) {
            prop_assert_eq!(sent, due_at);
        } else {
            // Day by day: the minute nearest to `leaves` in which one may start, if it is still to come.
            let mut on = day;
            let expected = loop {
                let nearest = (0..1440u16).filter(|minute| NAIVE.may(agency, on, *minute, &hours)).min_by_key(|minute| minute.abs_diff(leaves));
                match nearest.map(|minute| instant(on, minute)).filter(|moment| *moment >= due_at) {
                    Some(moment) => break moment,
                    None => on = on.tomorrow().unwrap(),
                }
            };
            prop_assert_eq!(sent, expected);
        }
        let some = (0..1440u16).any(|minute| NAIVE.may(agency, day, minute, &hours));
        prop_assert_eq!(view.allows(day, &hours).unwrap(), some);
    }

    #[test]
    fn the_days_off_that_are_told_are_all_and_only_those_not_counted(agency in agency(), a in any_day(), n in 0..90i64) {
        let b = a.checked_add(n.days()).unwrap().min(date(2030, 12, 31));
        let told: Vec<Date> = view(agency).days_off(b, a).map(|day| day.date).collect();
        let expected: Vec<Date> = a.series(1.day()).take_while(|day| *day <= b).filter(|day| !NAIVE.open(agency, *day)).collect();
        prop_assert_eq!(told, expected);
        let office: Vec<Date> = CALENDAR.days_off(a, b).map(|day| day.date).collect();
        let expected: Vec<Date> = a.series(1.day()).take_while(|day| *day <= b).filter(|day| !NAIVE.works(*day)).collect();
        prop_assert_eq!(office, expected);
    }
}

#[test]
fn hours_of_all_days_know_neither_half_days_nor_closures() {
    let hours = Hours { working_days_only: false, from: 360, until: 1320 };
    let noon = instant(date(2026, 7, 22), 720);
    assert_eq!(view("SNV").send_at(noon, &hours, at(480)), Ok(noon));
    let evening = instant(date(2026, 12, 31), 1200);
    assert_eq!(view("VP").send_at(evening, &hours, at(480)), Ok(evening));
}

#[test]
fn only_the_agencys_own_people_wait_for_it_to_open() {
    let hours = Hours { working_days_only: true, from: 450, until: 1050 };
    let closed = instant(date(2026, 7, 20), 480);
    let leaves = |audience: Audience| view("SNV").to(&audience).send_at(closed, &hours, at(480)).unwrap();
    for own in ["handler", "agency_head", "agency_deputy", "agency_contact", "agency_box"] {
        let audience = Audience::from_word(own).unwrap();
        assert_eq!(leaves(audience), instant(date(2026, 7, 30), 480), "{own}");
    }
    for other in ["monitor", "superior_head", "assigner_office", "inspection", "person:7", "email:a@b.example"] {
        let audience = Audience::from_word(other).unwrap();
        assert_eq!(leaves(audience), closed, "{other}");
    }
}
