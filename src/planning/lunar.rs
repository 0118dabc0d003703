//! The Vietnamese lunar calendar, computed: when a year's Tết and Giỗ Tổ fall, at UTC+7.
//!
//! New moons after Jean Meeus, *Astronomical Algorithms*, 2nd ed., chapter 49 (all his terms: within 20 seconds for this
//! century); the sun's longitude after chapter 25 (within 0.01°); ΔT after Espenak and Meeus. The rules of the calendar
//! after Hồ Ngọc Đức, "Thuật toán tính âm lịch": a month begins on the local day of its new moon, the winter solstice
//! lies in month 11, and where thirteen months lie between two of those, the first without a major solar term is leap.
//!
//! China computes at UTC+8, so 2030 begins there a day later: dates from its libraries are wrong in Việt Nam. The
//! official list is the State's all the same; this only holds a list against the sky. It never decides what is worked.

use jiff::{ToSpan, civil::Date, civil::date};

/// The meridian of Việt Nam's calendar (Quyết định 121-CP of 1967; all Việt Nam since 1976).
const VIETNAM: f64 = 7.0;

/// A day of the lunar calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LunarDate {
    /// The solar year in which this lunar year begins.
    pub year: i16,
    /// 1 to 12.
    pub month: u8,
    /// tháng nhuận: follows the month of the same number.
    pub leap: bool,
    /// 1 to 30.
    pub day: u8,
}

/// mùng 1 Tết: the first day of the lunar year that begins in a solar year. Meant for 1900 to 2200.
pub fn tet(year: i16) -> Date {
    first_day(year, 1, VIETNAM)
}

/// Giỗ Tổ Hùng Vương: the tenth day of the third month (not of a leap third month).
pub fn hung_kings(year: i16) -> Date {
    first_day(year, 3, VIETNAM).saturating_add(9.days())
}

/// The lunar date of a day. Meant for 1900 to 2200.
pub fn lunar_date(day: Date) -> LunarDate {
    let mut months = months_to_eleventh(day.year(), VIETNAM);
    // The days after the eleventh month's beginning belong to the next count.
    months.extend(months_to_eleventh(day.year().saturating_add(1), VIETNAM));
    let at = months.partition_point(|month| month.begins <= day).saturating_sub(1);
    let month = &months[at];
    let gone = day.duration_since(month.begins).as_hours() / 24;
    let early = month.number >= 11 && day.month() <= 2;
    let year = if early { day.year() - 1 } else { day.year() };
    LunarDate { year, month: month.number, leap: month.leap, day: gone as u8 + 1 }
}

#[derive(Debug, Clone, Copy)]
struct Month {
    begins: Date,
    number: u8,
    leap: bool,
}

fn first_day(year: i16, number: u8, zone: f64) -> Date {
    let months = months_to_eleventh(year, zone);
    let found = months.iter().find(|month| month.number == number && !month.leap);
    found.map_or(date(year, 1, 1), |month| month.begins)
}

/// The months from the eleventh of the lunar year before, up to but without the eleventh that begins in `year`.
fn months_to_eleventh(year: i16, zone: f64) -> Vec<Month> {
    let (first, last) = (eleventh(year.saturating_sub(1), zone), eleventh(year, zone));
    let sector = |k: i32| sector_at(new_moon_day(k, zone), zone);
    // Thirteen months between two solstices: one of them lies between two major terms.
    let leap = (last - first == 13).then(|| (first + 1..last).find(|k| sector(*k) == sector(*k + 1))).flatten();
    let mut months = Vec::with_capacity(13);
    let mut number = 10;
    for k in first..last {
        if leap != Some(k) {
            number = number % 12 + 1;
        }
        months.push(Month { begins: new_moon_day(k, zone), number, leap: leap == Some(k) });
    }
    months
}

/// The new moon (counted from that of 6 January 2000) that begins the month of the winter solstice of `year`.
fn eleventh(year: i16, zone: f64) -> i32 {
    // The day in which the sun passes 270°, within 19 to 24 December for these centuries.
    let mut solstice = date(year, 12, 19);
    while sector_at(solstice.saturating_add(1.day()), zone) < 9 {
        solstice = solstice.saturating_add(1.day());
    }
    let days = solstice.duration_since(date(2000, 1, 6)).as_hours() / 24;
    let mut k = (days as f64 / 29.530_588_861).ceil() as i32 + 1;
    while new_moon_day(k, zone) > solstice {
        k -= 1;
    }
    k
}

/// Which twelfth of its way the sun is in when a local day begins: 0 from the spring equinox on.
fn sector_at(day: Date, zone: f64) -> u8 {
    let noon = day.duration_since(date(2000, 1, 1)).as_hours() as f64 / 24.0;
    (sun_longitude(noon - 0.5 - zone / 24.0) / 30.0) as u8 % 12
}

/// The local day of a new moon.
fn new_moon_day(k: i32, zone: f64) -> Date {
    let day = (new_moon(k) + zone / 24.0 + 0.5).floor();
    date(2000, 1, 1).saturating_add((day as i64).days())
}

/// The sun's apparent longitude in degrees, `days` (UT) after 1 January 2000, 12:00.
fn sun_longitude(days: f64) -> f64 {
    let t = (days + delta_t(days)) / 36525.0;
    let mean = 280.46646 + t * (36000.76983 + t * 0.000_303_2);
    let m = (357.52911 + t * (35999.05029 - t * 0.000_153_7)).to_radians();
    let centre = (1.914_602 - t * (0.004_817 + t * 0.000_014)) * m.sin()
        + (0.019_993 - t * 0.000_101) * (2.0 * m).sin()
        + 0.000_289 * (3.0 * m).sin();
    let node = (125.04 - 1934.136 * t).to_radians();
    (mean + centre - 0.005_69 - 0.004_78 * node.sin()).rem_euclid(360.0)
}

/// The instant of a new moon, in days (UT) after 1 January 2000, 12:00; `k` counts from that of 6 January 2000.
fn new_moon(k: i32) -> f64 {
    let k = f64::from(k);
    let t = k / 1236.85;
    let days = 5.09766 + 29.530_588_861 * k + t * t * (0.000_154_37 + t * (-0.000_000_150 + t * 0.000_000_000_73));
    let e = 1.0 - t * (0.002_516 + t * 0.000_007_4);
    let m = 2.5534 + 29.105_356_70 * k - t * t * (0.000_001_4 + t * 0.000_000_11);
    let moon = 201.5643 + 385.816_935_28 * k + t * t * (0.010_758_2 + t * (0.000_012_38 - t * 0.000_000_058));
    let f = 160.7108 + 390.670_502_84 * k - t * t * (0.001_611_8 + t * (0.000_002_27 - t * 0.000_000_011));
    let node = 124.7746 - 1.563_755_88 * k + t * t * (0.002_067_2 + t * 0.000_002_15);
    let terms = TERMS.iter().map(|&(size, by_moon, by_sun, by_f)| {
        let angle = f64::from(by_moon) * moon + f64::from(by_sun) * m + f64::from(by_f) * f;
        size * e.powi(i32::from(by_sun.abs())) * angle.to_radians().sin()
    });
    let planets = PLANETS.iter().enumerate().map(|(n, &(size, at, speed))| {
        let slowing = if n == 0 { 0.009_173 * t * t } else { 0.0 };
        size * (at + speed * k - slowing).to_radians().sin()
    });
    let dynamical = days + terms.sum::<f64>() + planets.sum::<f64>() - 0.000_17 * node.to_radians().sin();
    dynamical - delta_t(dynamical)
}

/// Dynamical less universal time, in days; Espenak and Meeus, "Polynomial expressions for Delta T" (NASA). A minute or
/// so: it matters only for a new moon within a minute of midnight.
fn delta_t(days: f64) -> f64 {
    let year = 2000.0 + days / 365.25;
    let series = |from: f64, terms: &[f64]| terms.iter().rev().fold(0.0, |sum, term| sum * (year - from) + term);
    let seconds = match year {
        ..1941.0 => 22.0,
        ..1961.0 => series(1950.0, &[29.07, 0.407, -1.0 / 233.0, 1.0 / 2547.0]),
        ..1986.0 => series(1975.0, &[45.45, 1.067, -1.0 / 260.0, -1.0 / 718.0]),
        ..2005.0 => series(2000.0, &[63.86, 0.3345, -0.060_374, 0.001_727_5, 0.000_651_814, 0.000_023_735_99]),
        ..2050.0 => series(2000.0, &[62.92, 0.322_17, 0.005_589]),
        _ => -20.0 + 32.0 * ((year - 1820.0) / 100.0).powi(2) - 0.5628 * (2150.0 - year),
    };
    seconds / 86_400.0
}

/// Meeus, chapter 49: size in days, multiples of the moon's anomaly, the sun's anomaly and the moon's argument of
/// latitude. Each takes the earth's eccentricity to the power of its sun's multiple.
const TERMS: [(f64, i8, i8, i8); 24] = [
    (-0.40720, 1, 0, 0),
    (0.17241, 0, 1, 0),
    (0.01608, 2, 0, 0),
    (0.01039, 0, 0, 2),
    (0.00739, 1, -1, 0),
    (-0.00514, 1, 1, 0),
    (0.00208, 0, 2, 0),
    (-0.00111, 1, 0, -2),
    (-0.00057, 1, 0, 2),
    (0.00056, 2, 1, 0),
    (-0.00042, 3, 0, 0),
    (0.00042, 0, 1, 2),
    (0.00038, 0, 1, -2),
    (-0.00024, 2, -1, 0),
    (-0.00007, 1, 2, 0),
    (0.00004, 2, 0, -2),
    (0.00004, 0, 3, 0),
    (0.00003, 1, 1, -2),
    (0.00003, 2, 0, 2),
    (-0.00003, 1, 1, 2),
    (0.00003, 1, -1, 2),
    (-0.00002, 1, -1, -2),
    (-0.00002, 3, 1, 0),
    (0.00002, 4, 0, 0),
];

/// Meeus, chapter 49: size in days, angle at `k` = 0 and its growth with `k` in degrees. The first slows with time.
const PLANETS: [(f64, f64, f64); 14] = [
    (0.000_325, 299.77, 0.107_408),
    (0.000_165, 251.88, 0.016_321),
    (0.000_164, 251.83, 26.651_886),
    (0.000_126, 349.42, 36.412_478),
    (0.000_110, 84.66, 18.206_239),
    (0.000_062, 141.74, 53.303_771),
    (0.000_060, 207.14, 2.453_732),
    (0.000_056, 154.84, 7.306_860),
    (0.000_047, 34.52, 27.261_239),
    (0.000_042, 207.19, 0.121_824),
    (0.000_040, 291.34, 1.844_379),
    (0.000_037, 161.72, 24.198_154),
    (0.000_035, 239.56, 25.513_099),
    (0.000_023, 331.55, 3.592_518),
];

#[cfg(test)]
mod tests;
