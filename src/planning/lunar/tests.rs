//! Held against figures that were got elsewhere.

use super::*;
use jiff::Timestamp;

/// Year; month and day of mùng 1 Tết and of Giỗ Tổ; leap month.
type Row = (i16, (i8, i8), (i8, i8), u8);

/// Year, mùng 1 Tết, Giỗ Tổ (10/3), leap month (0 = none). Written by a script that took the instants of new moons and
/// the sun's longitude from the Python package `ephem` 4.2 (VSOP87 and ELP2000, an independent computation) and applied
/// the rules of the calendar at UTC+7. The npm package `amlich` 0.0.2 (Hồ Ngọc Đức's own program) gives the same Tết and
/// Giỗ Tổ for every year of 1901 to 2100; the same script at UTC+8 gives the years 1917 to 2099 of the Python package
/// `lunardate` 0.3 (the Hong Kong Observatory's table).
const TABLE: [Row; 61] = [
    (1990, (1, 27), (4, 5), 5),
    (1991, (2, 15), (4, 24), 0),
    (1992, (2, 4), (4, 12), 0),
    (1993, (1, 23), (4, 1), 3),
    (1994, (2, 10), (4, 20), 0),
    (1995, (1, 31), (4, 9), 8),
    (1996, (2, 19), (4, 27), 0),
    (1997, (2, 7), (4, 16), 0),
    (1998, (1, 28), (4, 6), 5),
    (1999, (2, 16), (4, 25), 0),
    (2000, (2, 5), (4, 14), 0),
    (2001, (1, 24), (4, 3), 4),
    (2002, (2, 12), (4, 22), 0),
    (2003, (2, 1), (4, 11), 0),
    (2004, (1, 22), (4, 28), 2),
    (2005, (2, 9), (4, 18), 0),
    (2006, (1, 29), (4, 7), 7),
    (2007, (2, 17), (4, 26), 0),
    (2008, (2, 7), (4, 15), 0),
    (2009, (1, 26), (4, 4), 5),
    (2010, (2, 14), (4, 23), 0),
    (2011, (2, 3), (4, 12), 0),
    (2012, (1, 23), (3, 31), 4),
    (2013, (2, 10), (4, 19), 0),
    (2014, (1, 31), (4, 9), 9),
    (2015, (2, 19), (4, 28), 0),
    (2016, (2, 8), (4, 16), 0),
    (2017, (1, 28), (4, 6), 6),
    (2018, (2, 16), (4, 25), 0),
    (2019, (2, 5), (4, 14), 0),
    (2020, (1, 25), (4, 2), 4),
    (2021, (2, 12), (4, 21), 0),
    (2022, (2, 1), (4, 10), 0),
    (2023, (1, 22), (4, 29), 2),
    (2024, (2, 10), (4, 18), 0),
    (2025, (1, 29), (4, 7), 6),
    (2026, (2, 17), (4, 26), 0),
    (2027, (2, 6), (4, 16), 0),
    (2028, (1, 26), (4, 4), 5),
    (2029, (2, 13), (4, 23), 0),
    (2030, (2, 2), (4, 12), 0),
    (2031, (1, 23), (4, 1), 3),
    (2032, (2, 11), (4, 19), 0),
    (2033, (1, 31), (4, 9), 11),
    (2034, (2, 19), (4, 28), 0),
    (2035, (2, 8), (4, 17), 0),
    (2036, (1, 28), (4, 6), 6),
    (2037, (2, 15), (4, 24), 0),
    (2038, (2, 4), (4, 13), 0),
    (2039, (1, 24), (4, 3), 5),
    (2040, (2, 12), (4, 20), 0),
    (2041, (2, 1), (4, 10), 0),
    (2042, (1, 22), (4, 29), 2),
    (2043, (2, 10), (4, 19), 0),
    (2044, (1, 30), (4, 7), 7),
    (2045, (2, 17), (4, 26), 0),
    (2046, (2, 6), (4, 15), 0),
    (2047, (1, 26), (4, 4), 5),
    (2048, (2, 14), (4, 22), 0),
    (2049, (2, 2), (4, 11), 0),
    (2050, (1, 23), (4, 1), 3),
];

#[test]
fn tet_and_gio_to_fall_where_an_independent_computation_puts_them() {
    for (year, (month, day), (gio_month, gio_day), _) in TABLE {
        assert_eq!(tet(year), date(year, month, day), "Tết {year}");
        assert_eq!(hung_kings(year), date(year, gio_month, gio_day), "Giỗ Tổ {year}");
    }
}

#[test]
fn leap_months_are_those_of_the_table() {
    for (year, _, _, leap) in TABLE.into_iter().filter(|row| row.0 < 2050) {
        let months = months_to_eleventh(year, VIETNAM).into_iter().chain(months_to_eleventh(year + 1, VIETNAM));
        let own = months.filter(|month| tet(year) <= month.begins && month.begins < tet(year + 1));
        let found = own.filter(|month| month.leap).map(|month| month.number).sum::<u8>();
        assert_eq!(found, leap, "{year}");
    }
}

#[test]
fn one_hour_of_longitude_makes_the_dates_of_china() {
    // Việt Nam, Trung Quốc: the years that are known to differ, and one that does not.
    for (year, here, there) in [
        (1985, date(1985, 1, 21), date(1985, 2, 20)),
        (2007, date(2007, 2, 17), date(2007, 2, 18)),
        (2026, date(2026, 2, 17), date(2026, 2, 17)),
        (2030, date(2030, 2, 2), date(2030, 2, 3)),
    ] {
        assert_eq!(tet(year), here, "{year} at UTC+7");
        assert_eq!(first_day(year, 1, 8.0), there, "{year} at UTC+8");
    }
}

#[test]
fn lunar_dates_go_on_day_by_day_and_the_first_month_begins_at_tet() {
    let mut yesterday = lunar_date(date(2019, 12, 31));
    let mut day = date(2020, 1, 1);
    while day < date(2031, 1, 1) {
        let today = lunar_date(day);
        if today.day == 1 {
            assert!(matches!(yesterday.day, 29 | 30), "{yesterday:?} before {day}");
            let follows = match (today.leap, yesterday.month) {
                (true, month) => today.month == month && !yesterday.leap,
                (false, 12) => today.month == 1 && today.year == yesterday.year + 1,
                (false, month) => today.month == month + 1 && today.year == yesterday.year,
            };
            assert!(follows, "{yesterday:?} then {today:?} on {day}");
        } else {
            assert_eq!(LunarDate { day: yesterday.day + 1, ..yesterday }, today, "{day}");
        }
        assert_eq!((today.month, today.day, today.leap) == (1, 1, false), day == tet(day.year()), "{day}");
        yesterday = today;
        day = day.saturating_add(1.day());
    }
}

#[test]
fn new_moons_are_within_half_a_minute_also_where_midnight_is_near() {
    // Instants by `ephem`, as above: those of 1990 to 2050 that come nearest to midnight at UTC+7, and every ninetieth.
    let noon: Timestamp = "2000-01-01T12:00:00Z".parse().unwrap();
    for text in [
        "1989-11-28T09:40:41Z",
        "1995-09-24T16:54:43Z",
        "1996-12-10T16:56:18Z",
        "1997-03-09T01:14:34Z",
        "1997-12-29T16:56:32Z",
        "1998-09-20T17:01:29Z",
        "2004-06-17T20:26:45Z",
        "2008-11-27T16:54:35Z",
        "2011-09-27T11:08:40Z",
        "2019-01-06T01:28:11Z",
        "2026-04-17T11:51:44Z",
        "2031-04-21T16:56:56Z",
        "2033-07-26T08:12:22Z",
        "2040-11-04T18:55:40Z",
        "2048-02-14T00:31:02Z",
    ] {
        let there = text.parse::<Timestamp>().unwrap().duration_since(noon).as_secs_f64() / 86_400.0;
        let k = ((there - 5.6) / 29.530_588_861).round() as i32;
        let apart = (new_moon(k) - there) * 86_400.0;
        assert!(apart.abs() < 30.0, "{text}: {apart:.0} seconds apart");
    }
}
