//! The calendar in words an office uses: a change of it, and the days off that a count left out.

use std::fmt::Write;

use jiff::civil::{Date, Weekday};

use crate::planning::calendar::{
    Certainty, Closure, DayOff, Part, WhyOff,
    changes::{DayChange, DayIs},
};

/// `24/11/2026`
pub fn day(date: Date) -> String {
    format!("{:02}/{:02}/{}", date.day(), date.month(), date.year())
}

/// `24/11`
pub fn short(date: Date) -> String {
    format!("{:02}/{:02}", date.day(), date.month())
}

/// `thứ Ba`
pub fn weekday_name(day: Weekday) -> &'static str {
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

/// How sure a listed day is.
pub fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Law => "luật định",
        Certainty::Confirmed => "đã có thông báo",
        Certainty::Computed => "tính theo luật",
        Certainty::Estimate => "ước tính",
    }
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `làm việc nửa ngày, đến 12:00`
pub fn part(part: Part) -> String {
    match part {
        Part { from: 0, until } => format!("làm việc nửa ngày, đến {}", clock(until)),
        Part { from, until: 1440.. } => format!("làm việc nửa ngày, từ {}", clock(from)),
        Part { from, until } => format!("làm việc nửa ngày, từ {} đến {}", clock(from), clock(until)),
    }
}

fn state(is: DayIs) -> String {
    match is {
        DayIs::Worked => "ngày làm việc".to_owned(),
        DayIs::Off => "ngày nghỉ".to_owned(),
        DayIs::Half(worked) => format!("ngày {}", part(worked)),
    }
}

/// `SNV nghỉ riêng từ 20/07/2026 đến 24/07/2026 (Nghỉ mát; TB 15/TB-SNV)`
pub fn closure(closure: &Closure) -> String {
    let days = if closure.from == closure.until {
        format!("ngày {}", day(closure.from))
    } else {
        format!("từ {} đến {}", day(closure.from), day(closure.until))
    };
    format!("{} nghỉ riêng {days} ({}; {})", closure.agency, closure.name, closure.basis)
}

/// A change of the calendar in one line: `24/11/2026 từ ngày làm việc thành ngày nghỉ (Ngày Văn hóa Việt Nam; Nghị quyết
/// 28/2026/QH16, Điều 2)`.
pub fn change(change: &DayChange) -> String {
    match change {
        DayChange::Became { date, was, is, listed } => {
            let why = listed.as_ref().map(|l| format!(" ({}; {})", l.name, l.basis)).unwrap_or_default();
            format!("{} từ {} thành {}{why}", day(*date), state(*was), state(*is))
        }
        DayChange::Said { was: Some(was), is: Some(is) } => {
            let mut parts = Vec::new();
            if was.name != is.name {
                parts.push(format!("tên “{}” thành “{}”", was.name, is.name));
            }
            if was.basis != is.basis {
                parts.push(format!("căn cứ “{}” thành “{}”", was.basis, is.basis));
            }
            if was.certainty != is.certainty {
                let words = (certainty(was.certainty), certainty(is.certainty));
                parts.push(format!("mức chắc chắn từ {} thành {}", words.0, words.1));
            }
            if was.kind != is.kind {
                parts.push(format!("kiểu từ {} thành {}", was.kind, is.kind));
            }
            format!("{} chỉ đổi cách ghi: {}", day(is.date), parts.join("; "))
        }
        DayChange::Said { was: Some(was), is: None } => {
            format!("{} thôi ghi riêng ({}), vẫn như cũ theo thứ trong tuần", day(was.date), was.name)
        }
        DayChange::Said { is: Some(is), .. } => {
            format!("{} nay ghi riêng ({}; {}), vẫn như cũ theo thứ trong tuần", day(is.date), is.name, is.basis)
        }
        DayChange::Said { .. } => String::new(),
        DayChange::YearAdded { year, off, worked } => {
            let mut text = format!("lịch thêm năm {year}: {off} ngày nghỉ");
            if *worked > 0 {
                let _ = write!(text, ", {worked} ngày làm bù hoặc nửa ngày");
            }
            text
        }
        DayChange::YearRemoved { year } => {
            format!("lịch bỏ năm {year}: hạn và bước nhắc rơi vào năm đó không tính được")
        }
        DayChange::Week { was, is } => {
            let names = |days: &[Weekday]| days.iter().map(|day| weekday_name(*day)).collect::<Vec<_>>().join(", ");
            format!("ngày làm việc trong tuần từ {} thành {}", names(was), names(is))
        }
        DayChange::ClosureAdded(added) => format!("thêm: {}", closure(added)),
        DayChange::ClosureRemoved(removed) => format!("bỏ: {}", closure(removed)),
    }
}

/// The days a count left out, with their reasons: `24/11 nghỉ (Ngày Văn hóa Việt Nam); 21-22/11 thứ Bảy, Chủ nhật`.
/// Listed days come first, then the agency's own, then plain weekends. Empty where there are none.
pub fn days_off<'a>(days: impl IntoIterator<Item = DayOff<'a>>) -> String {
    let mut runs: Vec<(Date, Date, Vec<Weekday>, WhyOff<'a>)> = Vec::new();
    for DayOff { date, why } in days {
        let follows = |last: Date| last.tomorrow().is_ok_and(|next| next == date);
        match (runs.last_mut(), why) {
            (Some((_, last, weekdays, WhyOff::Weekly(_))), WhyOff::Weekly(day)) if follows(*last) => {
                *last = date;
                weekdays.push(day);
            }
            (Some((_, last, _, WhyOff::Listed(one))), WhyOff::Listed(other))
                if one.name == other.name && follows(*last) =>
            {
                *last = date;
            }
            (Some((_, last, _, WhyOff::Closed(one))), WhyOff::Closed(other)) if *one == other && follows(*last) => {
                *last = date;
            }
            (_, WhyOff::Weekly(day)) => runs.push((date, date, vec![day], why)),
            _ => runs.push((date, date, Vec::new(), why)),
        }
    }
    runs.sort_by_key(|(_, _, _, why)| match why {
        WhyOff::Listed(_) => 0,
        WhyOff::Closed(_) => 1,
        WhyOff::Weekly(_) => 2,
    });
    let told = runs.iter().map(|(first, last, weekdays, why)| {
        let when = span(*first, *last);
        match why {
            WhyOff::Listed(listed) => format!("{when} nghỉ ({})", listed.name),
            WhyOff::Closed(closed) => format!("{when} cơ quan nghỉ riêng ({})", closed.name),
            WhyOff::Weekly(_) => {
                let names: Vec<&str> = weekdays.iter().map(|day| weekday_name(*day)).collect();
                format!("{when} {}", names.join(", "))
            }
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// `24/11`, `21-22/11`, `31/08-02/09`
fn span(first: Date, last: Date) -> String {
    match () {
        _ if first == last => short(first),
        _ if first.month() == last.month() => format!("{:02}-{}", first.day(), short(last)),
        _ => format!("{}-{}", short(first), short(last)),
    }
}
