//! Holds a list of days off against the law and the moon: holidays that are missing or on another day, substitutes not
//! given, make-up days that make up nothing, and days that are still estimates.
//!
//! The days of Điều 112 of the Labour Code 2019 and of Nghị quyết 28/2026/QH16 stand here; lunar ones are computed. The
//! list stays the office's: a holiday that is worked by a decision is written as `kind = "work"` with its basis, and then
//! only warned of. Nothing here changes the calendar.

use std::collections::BTreeSet;

use jiff::{
    ToSpan,
    civil::{Date, date},
};

use super::{
    calendar_file::{LoadedCalendar, check_horizon},
    calendar_words::{day as show, short, weekday_name},
    problem::{Faults, Place, Problems},
};
use crate::planning::{
    calendar::{Certainty, DayKind, SpecialDay, WorkCalendar},
    fold::fold,
    lunar::{hung_kings, tet},
};

/// The Labour Code 2019, whose holidays are judged, is in force from this year on.
const LABOUR_CODE: i16 = 2021;
/// Ngày Văn hóa Việt Nam is a day off from this year on.
const CULTURE_DAY: i16 = 2026;
/// How far from its make-up day a swapped day off may lie.
const SWAP_WITHIN_DAYS: i64 = 92;
/// How far from mùng 1 a day of the Tết holiday may lie.
const TET_WITHIN_DAYS: i64 = 8;

/// Everything `check` says of a calendar beyond its writing: years not covered within `today..=until`, the law, and
/// what is still an estimate until then.
pub fn check_calendar(loaded: &LoadedCalendar, today: Date, until: Date) -> Problems {
    let mut problems = check_horizon(loaded, today, until);
    problems.extend(check_law(loaded));
    problems.extend(check_estimates(loaded, today, until));
    problems
}

/// A holiday as the law gives it.
struct Holiday {
    name: &'static str,
    basis: &'static str,
    /// Its days in a year, as the list has them where the law leaves a choice.
    days: Vec<Date>,
    /// Whether a day of it that falls on a weekend is made up by the next working day (Điều 111 khoản 3).
    made_up: bool,
}

const TET: &str = "Tết Nguyên đán";
const HUNG_KINGS: &str = "Giỗ Tổ Hùng Vương";
const NATIONAL: &str = "Quốc khánh";
const CODE: &str = "Bộ luật Lao động 2019, Điều 112";

fn holidays(calendar: &WorkCalendar, year: i16) -> Vec<Holiday> {
    let first = tet(year);
    let span = |from: i64, to: i64| (from..=to).map(|n| first.saturating_add(n.days())).collect::<Vec<_>>();
    let second = date(year, 9, 2);
    let fewest = |sets: Vec<Vec<Date>>| {
        let worked = |set: &Vec<Date>| set.iter().filter(|day| works(calendar, **day)).count();
        sets.into_iter().min_by_key(worked).unwrap_or_default()
    };
    let holiday = |name, days| Holiday { name, basis: CODE, days, made_up: true };
    let mut all = vec![
        holiday("Tết Dương lịch", vec![date(year, 1, 1)]),
        // Five days; which of them come before mùng 1 is decided every year.
        holiday(TET, if span(-2, 2).iter().any(|day| works(calendar, *day)) { span(-1, 3) } else { span(-2, 2) }),
        holiday(HUNG_KINGS, vec![hung_kings(year)]),
        holiday("Ngày Chiến thắng", vec![date(year, 4, 30)]),
        holiday("Quốc tế Lao động", vec![date(year, 5, 1)]),
        holiday(NATIONAL, fewest(vec![vec![date(year, 9, 1), second], vec![second, date(year, 9, 3)]])),
    ];
    if year >= CULTURE_DAY {
        all.push(Holiday {
            name: "Ngày Văn hóa Việt Nam",
            basis: "Nghị quyết 28/2026/QH16, Điều 2",
            days: vec![date(year, 11, 24)],
            made_up: false,
        });
    }
    all
}

fn works(calendar: &WorkCalendar, day: Date) -> bool {
    calendar.is_working(day) == Ok(true)
}

/// Whether any day near this one is listed as off.
fn calendar_lists(calendar: &WorkCalendar, day: Date) -> bool {
    let span = TET_WITHIN_DAYS.days();
    calendar.skipped(day.saturating_sub(span), day.saturating_add(span)).next().is_some()
}

fn weekly(calendar: &WorkCalendar, day: Date) -> bool {
    calendar.week().contains(&day.weekday())
}

/// Whether the law makes a day a holiday, in whichever of its forms.
pub(super) fn is_holiday(day: Date) -> bool {
    let year = day.year();
    let from_tet = tet(year).until(day).map_or(99, |span| span.get_days());
    year >= LABOUR_CODE
        && ((-2..=3).contains(&from_tet)
            || day == hung_kings(year)
            || matches!((day.month(), day.day()), (1, 1) | (4, 30) | (5, 1) | (9, 1..=3))
            || (year >= CULTURE_DAY && (day.month(), day.day()) == (11, 24)))
}

struct Judge<'a> {
    loaded: &'a LoadedCalendar,
    faults: Faults,
}

/// What of the list is not as the law and the moon have it.
pub fn check_law(loaded: &LoadedCalendar) -> Problems {
    let judge = Judge { loaded, faults: Faults::default() };
    let mut required = BTreeSet::new();
    for &year in loaded.covers.iter().filter(|year| **year >= LABOUR_CODE) {
        let holidays = holidays(&loaded.calendar, year);
        let misplaced = judge.misplaced(year);
        // What is listed on a wrong day was said there.
        for holiday in holidays.iter().filter(|holiday| !misplaced.contains(&holiday.name)) {
            judge.missing(year, holiday);
        }
        required.extend(holidays.iter().flat_map(|h| h.days.iter().map(|day| (*day, h.made_up))));
        judge.substitutes(&holidays);
    }
    judge.make_ups(&required);
    judge.faults.finish()
}

impl Judge<'_> {
    fn calendar(&self) -> &WorkCalendar {
        &self.loaded.calendar
    }

    /// Where to point for a day that is not listed: the listed day nearest to it, if one is near, else `covers`.
    fn place(&self, day: Date) -> &Place {
        let near = self.loaded.places.iter().map(|(listed, place)| (days_apart(*listed, day), place));
        near.filter(|(apart, _)| *apart <= 10)
            .min_by_key(|(apart, _)| *apart)
            .map_or(&self.loaded.covers_place, |n| n.1)
    }

    /// Listed under the name of a lunar holiday, on a day that is not its own; gives the holidays that so have no day.
    fn misplaced(&self, year: i16) -> Vec<&'static str> {
        let (first, kings) = (tet(year), hung_kings(year));
        let mut moved = Vec::new();
        for day in self.calendar().specials().filter(|day| day.date.year() == year && day.kind == DayKind::Off) {
            let name = fold(&day.name);
            let substitute = ["bù", "hoán đổi", "đổi"].iter().any(|word| name.contains(&fold(word)));
            let place = self.place(day.date);
            if name.contains(&fold("giỗ tổ")) && !substitute && day.date != kings {
                let message =
                    format!("{} ghi là Giỗ Tổ, nhưng 10/3 âm lịch năm {year} là {}", show(day.date), show(kings));
                let help = format!("sửa lại ngày: date = {kings}\n{OURS}");
                self.faults.error(place, "hung-kings-date", message, help);
                moved.push(HUNG_KINGS);
            }
            let of_tet = ["tết nguyên đán", "bù tết", "nghỉ tết"].iter().any(|word| name.contains(&fold(word)));
            if of_tet && !name.contains(&fold("dương lịch")) && days_apart(day.date, first) > TET_WITHIN_DAYS {
                let message = format!("{} ghi là Tết, nhưng mùng 1 Tết năm {year} là {}", show(day.date), show(first));
                self.faults.error(place, "tet-date", message, format!("xem lại ngày, tháng\n{OURS}"));
                moved.push(TET);
            }
        }
        // One slip among the days of Tết does not excuse that mùng 1 itself is worked.
        if calendar_lists(self.calendar(), first) {
            moved.retain(|name| *name != TET);
        }
        moved
    }

    /// Days of a holiday that the calendar works.
    fn missing(&self, year: i16, holiday: &Holiday) {
        let calendar = self.calendar();
        // Listed and worked all the same: written on purpose, and warned of where it stands.
        let unlisted = |day: &Date| works(calendar, *day) && calendar.special(*day).is_none();
        let worked: Vec<Date> = holiday.days.iter().copied().filter(unlisted).collect();
        let Some(&first) = worked.first() else { return };
        let days = worked.iter().map(|day| show(*day)).collect::<Vec<_>>().join(", ");
        let why = match holiday.name {
            TET => {
                format!(
                    "Tết được nghỉ 5 ngày, từ giao thừa đến mùng 4 (mùng 1 Tết năm {year} là {})\n{OURS}\n",
                    show(tet(year))
                )
            }
            HUNG_KINGS => format!("ngày 10/3 âm lịch\n{OURS}\n"),
            NATIONAL => {
                format!("được nghỉ ngày 02/9 và một ngày liền kề: 01/09/{year} hoặc 03/09/{year}, theo thông báo\n")
            }
            _ => String::new(),
        };
        let certainty = match holiday.name {
            // Which days they are is decided every year.
            TET | NATIONAL => "estimate",
            HUNG_KINGS => "computed",
            _ => "law",
        };
        let help = format!(
            "{why}thêm{}:\n[[day]]\ndate = {first}\nkind = \"off\"\nname = \"{}\"\nbasis = \"{}\"\ncertainty = \"{certainty}\"",
            if worked.len() > 1 { " từng ngày" } else { "" },
            holiday.name,
            holiday.basis
        );
        let message = if holiday.name == NATIONAL && first != date(year, 9, 2) {
            format!("lịch thiếu ngày liền kề Quốc khánh: 01/09/{year} và 03/09/{year} đang tính là ngày làm việc")
        } else {
            format!("lịch thiếu {}: {days} đang tính là ngày làm việc", holiday.name)
        };
        self.faults.error(self.place(first), "holiday-missing", message, help);
    }

    /// Holidays that fall on a weekend without a day off instead.
    fn substitutes(&self, holidays: &[Holiday]) {
        let calendar = self.calendar();
        let mut judged = BTreeSet::new();
        // A holiday with a day missing was told of already.
        let whole = |holiday: &&Holiday| holiday.days.iter().all(|day| !works(calendar, *day));
        for holiday in holidays.iter().filter(|holiday| holiday.made_up).filter(whole) {
            for &day in holiday.days.iter().filter(|day| !weekly(calendar, **day)) {
                let stretch = stretch(calendar, day);
                // Beside a holiday that is missing, one fault is enough: once it is listed, the row is another.
                let next_to = |day: &Date| {
                    (*day == stretch.1.saturating_add(1.day())) || (*day == stretch.0.saturating_sub(1.day()))
                };
                let broken = holidays.iter().flat_map(|h| &h.days).any(|day| next_to(day) && works(calendar, *day));
                if broken || !judged.insert(stretch.0) {
                    continue;
                }
                let within = |day: &Date| stretch.0 <= *day && *day <= stretch.1;
                let due = holidays.iter().filter(|h| h.made_up).flat_map(|h| &h.days).filter(|day| within(day)).count();
                let given = days(stretch).filter(|day| weekly(calendar, *day)).count();
                if given >= due {
                    continue;
                }
                let weekday = weekday_name(day.weekday());
                let next = stretch.1.saturating_add(1.day());
                let message =
                    format!("{} ({}) trùng {weekday} mà thiếu {} ngày nghỉ bù", holiday.name, show(day), due - given);
                let help = format!(
                    "ngày lễ trùng ngày nghỉ hằng tuần được nghỉ bù vào ngày làm việc kế tiếp (Bộ luật Lao động 2019, Điều 111 khoản 3), ở đây từ {}",
                    show(next)
                );
                self.faults.warning(self.place(day), "substitute-missing", message, help);
            }
        }
    }

    /// Make-up days for which no day off is found.
    fn make_ups(&self, required: &BTreeSet<(Date, bool)>) {
        let calendar = self.calendar();
        let off = calendar.specials().filter(|day| day.kind == DayKind::Off && weekly(calendar, day.date));
        // Of each stretch, the days off beyond those the law gives.
        let mut spare: Vec<Date> = Vec::new();
        let mut owed: Option<(Date, usize)> = None;
        for day in off {
            let stretch = stretch(calendar, day.date);
            if owed.is_none_or(|(start, _)| start != stretch.0) {
                let within = |day: &Date| stretch.0 <= *day && *day <= stretch.1;
                let due = required.iter().filter(|(day, made_up)| within(day) && (*made_up || weekly(calendar, *day)));
                owed = Some((stretch.0, due.count()));
            }
            match &mut owed {
                Some((_, due)) if *due > 0 => *due -= 1,
                _ => spare.push(day.date),
            }
        }
        for day in calendar.specials().filter(|day| day.kind == DayKind::Work && !weekly(calendar, day.date)) {
            let nearest = (0..spare.len()).min_by_key(|at| days_apart(spare[*at], day.date));
            match nearest.filter(|at| days_apart(spare[*at], day.date) <= SWAP_WITHIN_DAYS) {
                Some(at) => drop(spare.remove(at)),
                None => {
                    let message = format!("{} là ngày làm bù, nhưng không thấy ngày nghỉ nào được bù", show(day.date));
                    let help = "ghi thêm ngày nghỉ hoán đổi ([[day]] với kind = \"off\"), hoặc bỏ ngày làm bù này";
                    self.faults.warning(self.place(day.date), "make-up-without-off", message, help);
                }
            }
        }
    }
}

const OURS: &str = "tính âm lịch theo giờ Việt Nam; lịch Trung Quốc có năm lệch một ngày (2030)";

fn days_apart(a: Date, b: Date) -> i64 {
    (b.duration_since(a).as_hours() / 24).abs()
}

/// The days off in a row around a day that is not worked.
fn stretch(calendar: &WorkCalendar, day: Date) -> (Date, Date) {
    let off = |day: &Date| calendar.is_working(*day) == Ok(false);
    let first = std::iter::successors(Some(day), |day| day.yesterday().ok().filter(off)).last();
    let last = std::iter::successors(Some(day), |day| day.tomorrow().ok().filter(off)).last();
    (first.unwrap_or(day), last.unwrap_or(day))
}

fn days((first, last): (Date, Date)) -> impl Iterator<Item = Date> {
    first.series(1.day()).take_while(move |day| *day <= last)
}

/// Listed days from `today` to `until` that are only estimates: one warning for each row of days off.
pub fn check_estimates(loaded: &LoadedCalendar, today: Date, until: Date) -> Problems {
    let faults = Faults::default();
    let calendar = &loaded.calendar;
    let mut groups: Vec<(Date, Vec<&SpecialDay>)> = Vec::new();
    let coming = calendar.specials().filter(|day| today <= day.date && day.date <= until);
    for day in coming.filter(|day| day.certainty == Certainty::Estimate) {
        let row = if works(calendar, day.date) { day.date } else { stretch(calendar, day.date).0 };
        match groups.last_mut() {
            Some((start, group)) if *start == row => group.push(day),
            _ => groups.push((row, vec![day])),
        }
    }
    for (_, group) in groups {
        let (first, last) = (group[0], group[group.len() - 1]);
        let listed = group.iter().map(|day| short(day.date)).collect::<Vec<_>>().join(", ");
        let name = first.name.split(" (").next().unwrap_or_default();
        let message = format!("{listed}/{} ({name}) mới là ước tính", last.date.year());
        let help = "khi có thông báo chính thức: sửa lại ngày và `basis`, rồi đổi certainty = \"confirmed\"";
        faults.warning(&loaded.places[&first.date], "day-estimated", message, help);
    }
    faults.finish()
}
