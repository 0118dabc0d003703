//! What holds of the calendar, on a small one written here; the shipped one is held in `tests/it/calendar`.

use super::*;
use jiff::civil::{Weekday::*, time};
use proptest::prelude::*;

fn off(date: Date) -> SpecialDay {
    SpecialDay {
        date,
        kind: DayKind::Off,
        name: String::new(),
        basis: String::new(),
        certainty: Certainty::Law,
        part: None,
    }
}

fn calendar() -> WorkCalendar {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").expect("bundled zone");
    let mut days: Vec<SpecialDay> = [16, 17, 18, 19, 20].map(|d| off(date(2026, 2, d))).into();
    days.extend([date(2026, 8, 31), date(2026, 9, 1), date(2026, 9, 2), date(2026, 11, 24)].map(off));
    days.push(SpecialDay { kind: DayKind::Work, ..off(date(2026, 8, 22)) });
    WorkCalendar::new(zone, &[2025, 2026, 2027], &[Monday, Tuesday, Wednesday, Thursday, Friday], days)
}

#[test]
fn the_day_before_a_wednesday_after_the_new_day_off_is_monday() {
    assert_eq!(calendar().add_working(date(2026, 11, 25), -1), Ok(date(2026, 11, 23)));
    assert_eq!(calendar().add_working(date(2026, 11, 23), 1), Ok(date(2026, 11, 25)));
}

#[test]
fn a_make_up_saturday_is_worked_and_its_monday_is_not() {
    let calendar = calendar();
    assert_eq!(calendar.add_working(date(2026, 8, 21), 1), Ok(date(2026, 8, 22)));
    assert_eq!(calendar.roll(date(2026, 8, 31)), Ok(date(2026, 9, 3)));
}

#[test]
fn a_year_without_a_list_is_an_error_in_both_directions() {
    let calendar = calendar();
    assert_eq!(calendar.add_working(date(2027, 12, 30), 5), Err(Uncovered(2028)));
    assert_eq!(calendar.add_working(date(2025, 1, 2), -5), Err(Uncovered(2024)));
    assert_eq!(calendar.is_working(date(2031, 1, 1)), Err(Uncovered(2031)));
    assert_eq!(calendar.roll(date(2024, 6, 1)), Err(Uncovered(2024)));
}

#[test]
fn what_falls_outside_its_hours_leaves_on_the_next_allowed_day_at_eight() {
    let calendar = calendar();
    let hours = Hours { working_days_only: true, from: 450, until: 1050 };
    let at = |d, h, m| calendar.instant(d, time(h, m, 0, 0));
    for (due, leaves) in [
        (at(date(2026, 11, 24), 10, 0), at(date(2026, 11, 25), 8, 0)),
        (at(date(2026, 11, 25), 17, 30), at(date(2026, 11, 25), 17, 30)),
        (at(date(2026, 11, 25), 17, 31), at(date(2026, 11, 26), 8, 0)),
        (at(date(2026, 11, 25), 6, 0), at(date(2026, 11, 25), 8, 0)),
        (at(date(2026, 11, 27), 20, 0), at(date(2026, 11, 30), 8, 0)),
    ] {
        assert_eq!(calendar.send_at(due, &hours, time(8, 0, 0, 0)), Ok(leaves));
    }
}

#[test]
fn times_are_those_of_the_zone_also_where_its_offset_changes() {
    let zone = TimeZone::get("Europe/Paris").expect("a known zone");
    let calendar = WorkCalendar::new(zone.clone(), &[2026], &[Weekday::Monday], []);
    for day in date(2026, 1, 1).series(1.day()).take(365) {
        for hour in [0, 1, 2, 3, 12, 23] {
            let local = day.at(hour, 30, 0, 0);
            let expected = zone.to_timestamp(local).expect("in range");
            assert_eq!(calendar.instant(day, local.time()), expected, "{local}");
        }
    }
}

#[test]
fn hours_count_from_the_end_of_the_day_or_its_stated_hour() {
    let calendar = calendar();
    let four = Offset { n: -4, unit: Unit::Hours };
    let day = date(2026, 11, 25);
    let fire = |hour| calendar.fire(day, hour, four, time(8, 0, 0, 0)).expect("covered");
    assert_eq!(calendar.local(fire(None)), day.at(20, 0, 0, 0));
    assert_eq!(calendar.local(fire(Some(time(17, 0, 0, 0)))), day.at(13, 0, 0, 0));
}

proptest! {
    #[test]
    fn adding_then_subtracting_working_days_returns(start in 0..800i64, n in 1..60i32) {
        let calendar = calendar();
        let day = calendar.roll(date(2025, 4, 1).checked_add(start.days()).expect("in range")).expect("covered");
        let there = calendar.add_working(day, n).expect("covered");
        prop_assert_eq!(calendar.add_working(there, -n), Ok(day));
        prop_assert_eq!(calendar.working_between(day, there), Ok(i64::from(n)));
    }

    #[test]
    fn arithmetic_agrees_with_counting_day_by_day(start in 0..800i64, n in -60..60i32) {
        let calendar = calendar();
        let from = date(2025, 4, 1).checked_add(start.days()).expect("in range");
        let (mut day, mut left) = (from, n.abs());
        while left > 0 {
            day = if n > 0 { day.tomorrow() } else { day.yesterday() }.expect("in range");
            left -= i32::from(calendar.is_working(day).expect("covered"));
        }
        prop_assert_eq!(calendar.add_working(from, n), Ok(day));
    }

    #[test]
    fn nothing_leaves_outside_its_hours(minutes in 0..1_000_000i64, all in any::<bool>(), from in 0u16..720, span in 0u16..720, at in 0i8..24) {
        let calendar = calendar();
        let hours = Hours { working_days_only: !all, from, until: from + span };
        let due = calendar.instant(date(2025, 3, 1), time(0, 0, 0, 0)) + minutes.minutes();
        let leaves = calendar.send_at(due, &hours, time(at, 0, 0, 0)).expect("covered");
        prop_assert!(leaves >= due && calendar.within(leaves, &hours).expect("covered"));
    }
}
