use jiff::civil::{datetime, time};
use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Reads each text as of a task assigned on 10/11/2026.
fn check(cases: &[(&str, How, &str)]) {
    for (typed, how, due) in cases {
        let reading = read_deadline(&text(typed), Some(date(2026, 11, 10)));
        let shown = match (reading.date, reading.time) {
            (Some(day), Some(hour)) => format!("{day} {:02}:{:02}", hour.hour(), hour.minute()),
            (Some(day), None) => day.to_string(),
            (None, _) => String::new(),
        };
        assert_eq!((reading.how, shown.as_str()), (*how, *due), "{typed:?}");
    }
}

#[test]
fn a_day_is_read_in_every_form_people_type() {
    for typed in [
        "15/12/2026",
        " 15/12/2026  ",
        "15/12/2026\u{a0}",
        "15/12/26",
        "15-12-2026",
        "15.12.2026",
        "15 / 12 / 2026",
        "2026-12-15",
        "2026/12/15",
        "20261215",
        "46371",
        "46371.70833",
        "'15/12/2026",
        "15/12/2026.",
        "2026-12-15 17:00:00",
        "15/12/2026 00:00:00",
        "2026-12-15T17:00:00",
        "2026-12-15T17:00:00.000",
        "15/12/2026 5:00:00 PM",
        "ngày 15 tháng 12 năm 2026",
        "Ngày 15/12/2026",
        "ngày 15 tháng 12/2026",
        "15 tháng 12 năm 2026",
        "15 tháng 12, 2026",
        "NGÀY 15 THÁNG 12 NĂM 2026",
        "ngay 15 thang 12 nam 2026",
        "nga\u{300}y 15/12 na\u{306}m 2026",
        "ngày 15/12, năm 2026",
        "15/12/2026 (đã gia hạn)",
        "15/12/2026 (gia hạn lần 2)",
        "thứ Ba, ngày 15/12/2026",
        "Thứ 3 ngày 15/12/2026",
        "Hoàn thành ngày 15/12/2026",
        "Thời hạn: 15/12/2026",
        "12/15/2026",
        "\u{202e}15/12/2026",
        "24h00 ngày 15/12/2026",
    ] {
        check(&[(typed, How::Date, "2026-12-15")]);
        assert!(read_date(&text(typed)) == Ok(Some(date(2026, 12, 15))), "{typed:?}");
    }
    check(&[
        ("5/1/27", How::Date, "2027-01-05"),
        ("6/11/26", How::Date, "2026-11-06"),
        // read as the Vietnamese write, though an American could have meant another day
        ("2/12/2026", How::Date, "2026-12-02"),
        ("9/21/2026", How::Date, "2026-09-21"),
        ("29/02/2028", How::Date, "2028-02-29"),
    ]);
}

#[test]
fn before_a_day_is_the_day_before_it() {
    check(&[
        ("trước ngày 15/12/2026", How::Before, "2026-12-14"),
        ("Trước 01/01/2027", How::Before, "2026-12-31"),
        ("xong trước ngày 30/06/2026", How::Before, "2026-06-29"),
        ("hoàn thành trước ngày 15 tháng 12 năm 2026", How::Before, "2026-12-14"),
        ("báo cáo trước ngày 15/12", How::Before, "2026-12-14"),
        ("trước tháng 12/2026", How::Before, "2026-11-30"),
        ("trước quý I/2027", How::Before, "2026-12-31"),
        ("trước 17h00 ngày 15/12/2026", How::Before, "2026-12-15 17:00"),
    ]);
}

#[test]
fn no_later_than_a_day_is_that_day_and_a_stated_hour_is_kept() {
    check(&[
        ("chậm nhất ngày 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("Chậm nhất là ngày 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("không quá ngày 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("không muộn hơn 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("đến hết ngày 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("hết ngày 15/12/2026", How::NoLaterThan, "2026-12-15"),
        ("chậm nhất 17h00 ngày 15/12/2026", How::NoLaterThan, "2026-12-15 17:00"),
        ("17h00 ngày 15/12/2026", How::Date, "2026-12-15 17:00"),
        ("17h 15/12/2026", How::Date, "2026-12-15 17:00"),
        ("17 giờ 30 phút, ngày 15/12/2026", How::Date, "2026-12-15 17:30"),
        ("15/12/2026 16g30", How::Date, "2026-12-15 16:30"),
        ("16:30 ngày 15/12/2026", How::Date, "2026-12-15 16:30"),
        ("15/12/2026 17:00", How::Date, "2026-12-15 17:00"),
        ("15/12/2026 5:00 CH", How::Date, "2026-12-15 17:00"),
        ("8 giờ sáng ngày 15/12/2026", How::Date, "2026-12-15 08:00"),
        ("25h00 ngày 15/12/2026", How::Unreadable, ""),
        ("17h00", How::Unreadable, ""),
        ("17h00 tháng 12/2026", How::Unreadable, ""),
    ]);
}

#[test]
fn a_day_without_its_year_is_the_next_on_or_after_assignment() {
    check(&[
        ("chậm nhất ngày 15/12", How::NoLaterThan, "2026-12-15"),
        ("10/11", How::Date, "2026-11-10"),
        ("09/11", How::Date, "2027-11-09"),
        ("17h00 ngày 15/01", How::Date, "2027-01-15 17:00"),
        ("ngày 5 tháng 1", How::Date, "2027-01-05"),
        ("tháng 11", How::Month, "2026-11-30"),
        ("tháng 3", How::Month, "2027-03-31"),
        ("quý IV", How::Quarter, "2026-12-31"),
        ("quý I", How::Quarter, "2027-03-31"),
        ("6 tháng đầu năm", How::HalfYear, "2027-06-30"),
        // 2028 was not meant
        ("29/02", How::Unreadable, ""),
        ("15.12", How::Unreadable, ""),
    ]);
    let inferred = read_deadline(&text("15/12"), Some(date(2026, 11, 10)));
    assert!(inferred.note.is_some_and(|note| note.contains("suy từ ngày giao")));
    assert_eq!(read_deadline(&text("chậm nhất ngày 15/12"), None).how, How::Unreadable);
    assert_eq!(read_date(&text("15/12")), Err(Unreadable));
}

#[test]
fn a_period_ends_on_its_last_day() {
    check(&[
        ("tháng 10/2026", How::Month, "2026-10-31"),
        ("trong tháng 10/2026", How::Month, "2026-10-31"),
        ("Hoàn thành trong tháng 02 năm 2028", How::Month, "2028-02-29"),
        ("T2/2027", How::Month, "2027-02-28"),
        ("10/2026", How::Month, "2026-10-31"),
        ("cuối tháng 12/2026", How::Month, "2026-12-31"),
        ("hết tháng 12-2026", How::Month, "2026-12-31"),
        ("chậm nhất tháng 12/2026", How::Month, "2026-12-31"),
        ("Quý III/2026", How::Quarter, "2026-09-30"),
        ("quy\u{301} III/2026", How::Quarter, "2026-09-30"),
        ("QUÝ I-2027", How::Quarter, "2027-03-31"),
        ("Quý IV năm 2026", How::Quarter, "2026-12-31"),
        ("Q2/2027", How::Quarter, "2027-06-30"),
        ("trong quý 2 năm 2027", How::Quarter, "2027-06-30"),
        ("6 tháng đầu năm 2027", How::HalfYear, "2027-06-30"),
        ("6 tháng cuối năm 2026", How::HalfYear, "2026-12-31"),
        ("sáu tháng đầu năm 2027", How::HalfYear, "2027-06-30"),
        ("nửa cuối năm 2026", How::HalfYear, "2026-12-31"),
        ("năm 2026", How::Year, "2026-12-31"),
        ("hết năm 2026", How::Year, "2026-12-31"),
        ("trong năm 2027", How::Year, "2027-12-31"),
        ("2026", How::Year, "2026-12-31"),
    ]);
}

#[test]
fn no_single_deadline_is_told_apart_from_one_that_cannot_be_read() {
    for typed in [
        "",
        "  ",
        "-",
        "–",
        "…-".trim_start_matches('…'),
        "--",
        "/",
        "Không thời hạn",
        "không có",
        "Không xác định",
        "N/A",
    ] {
        check(&[(typed, How::None, "")]);
    }
    for typed in [
        "Thường xuyên",
        "THƯỜNG XUYÊN",
        "thuong xuyen",
        "Định kỳ",
        "hằng tháng",
        "Hàng tháng",
        "hàng quý",
        "hằng năm",
        "hàng tuần",
        "mỗi tháng",
        "Định kỳ ngày 25 hằng tháng",
        "Thực hiện thường xuyên, liên tục",
        "hằng 6 tháng",
        "định kỳ 6 tháng, năm",
    ] {
        check(&[(typed, How::Recurring, "")]);
    }
    for typed in [
        "31/02/2026",
        "31/04/2026",
        "29/02/2027",
        "32/01/2026",
        "0/1/2026",
        "13/13/2026",
        "31.02.2026",
        "2026-02-31",
        "46",
        "45903456",
        "1234567890",
        "15/12/126",
        "15/12/2026 - 20/12/2026",
        "15/12/2026 hoặc 20/12/2026",
        "15-20/12/2026",
        "15/12/2026 (gia hạn đến 20/12/2026)",
        "sau ngày 15/12/2026",
        "từ ngày 15/12/2026",
        "đầu tháng 12/2026",
        "tháng 13/2026",
        "quý V/2026",
        "tuần 3 tháng 12",
        "sớm nhất",
        "theo chỉ đạo",
        "10 ngày kể từ ngày ký",
        "12/13",
        "15//12/2026",
        "năm 26026",
        "Thường xuyên, báo cáo trước ngày 15/12/2026",
        "trước",
        "ngày",
        "tháng",
        "12.15.2026",
        "#REF!",
        "2026-15-12",
    ] {
        check(&[(typed, How::Unreadable, "")]);
    }
}

#[test]
fn a_spreadsheets_own_cells_are_read_by_what_they_are() {
    for (cell, how, due) in [
        (Cell::Empty, How::None, None),
        (Cell::Number(46_371.0), How::Date, Some(date(2026, 12, 15))),
        (Cell::Number(46_371.708_333), How::Date, Some(date(2026, 12, 15))),
        (Cell::Number(2_026.0), How::Year, Some(date(2026, 12, 31))),
        (Cell::Number(3.0), How::Unreadable, None),
        (Cell::Number(-1.0), How::Unreadable, None),
        (Cell::Number(f64::NAN), How::Unreadable, None),
        (Cell::Number(15.12), How::Unreadable, None),
        (Cell::Bool(true), How::Unreadable, None),
        (Cell::Error("#REF!".to_owned()), How::Unreadable, None),
        (Cell::Date(datetime(2026, 12, 15, 0, 0, 0, 0)), How::Date, Some(date(2026, 12, 15))),
    ] {
        let reading = read_deadline(&cell, Some(date(2026, 1, 1)));
        assert_eq!((reading.how, reading.date), (how, due), "{cell:?}");
    }
}

#[test]
fn a_programs_clock_is_no_stated_hour_and_is_told() {
    for cell in [Cell::Date(datetime(2026, 12, 15, 17, 0, 0, 0)), text("2026-12-15 17:00:00")] {
        let reading = read_deadline(&cell, None);
        assert_eq!((reading.date, reading.time), (Some(date(2026, 12, 15)), None));
        assert!(reading.note.is_some_and(|note| note.contains("17h00 ngày 15/12/2026")), "{cell:?}");
    }
    for cell in [Cell::Date(datetime(2026, 12, 15, 23, 59, 59, 0)), text("2026-12-15 00:00:00")] {
        assert_eq!(read_deadline(&cell, None).note, None, "{cell:?}");
    }
}

#[test]
fn what_deserves_a_look_is_noted() {
    let note = |typed: &str| read_deadline(&text(typed), Some(date(2026, 11, 10))).note.unwrap_or_default();
    assert!(note("12/31/2026").contains("kiểu Mỹ"));
    assert!(note("15/11/2025").contains("sớm hơn ngày giao"));
    assert!(note("thứ hai, ngày 15/12/2026").contains("không khớp"));
    assert_eq!(note("thứ ba, ngày 15/12/2026"), "");
    assert_eq!(note("02/12/2026"), "");
}

#[test]
fn a_plain_date_column_takes_days_only() {
    for typed in
        ["tháng 10/2026", "trước ngày 15/12/2026", "Quý III/2026", "thường xuyên", "2026", "đã nộp", "31/02/2026"]
    {
        assert_eq!(read_date(&text(typed)), Err(Unreadable), "{typed}");
    }
    for typed in ["", " - ", "không"] {
        assert_eq!(read_date(&text(typed)), Ok(None), "{typed}");
    }
}

proptest! {
    #[test]
    fn every_day_written_in_each_form_reads_back(days in 0..36_524_i32, hour in 0..24_i8, minute in 0..60_i8) {
        let day = date(2000, 1, 1).checked_add(days.days()).unwrap();
        let (y, m, d) = (day.year(), day.month(), day.day());
        let serial = (day - date(1899, 12, 30)).get_days();
        for typed in [
            format!("{d:02}/{m:02}/{y}"), format!("{d}/{m}/{y}"), format!("{d}/{m}/{:02}", y % 100), format!("{d}.{m}.{y}"),
            format!("{d:02}-{m:02}-{y}"), format!("{y}-{m:02}-{d:02}"), format!("{y}-{m:02}-{d:02} {hour:02}:{minute:02}:00"),
            format!("{d:02}/{m:02}/{y} {hour:02}:{minute:02}:00"), format!("ngày {d:02} tháng {m} năm {y}"), serial.to_string(),
            format!("{y}{m:02}{d:02}"), format!("{d}/{m}/{y} (đã gia hạn)"),
        ] {
            prop_assert_eq!(read_date(&text(&typed)), Ok(Some(day)), "{}", typed);
        }
        prop_assert_eq!(read_date(&Cell::Number(f64::from(serial))), Ok(Some(day)));
        prop_assert_eq!(read_deadline(&text(&format!("trước ngày {d}/{m}/{y}")), None).date, Some(day.yesterday().unwrap()));
        let stated = read_deadline(&text(&format!("chậm nhất {hour}h{minute:02} ngày {d}/{m}/{y}")), None);
        prop_assert_eq!((stated.date, stated.time), (Some(day), Some(time(hour, minute, 0, 0))));
        let month = read_deadline(&text(&format!("trong tháng {m}/{y}")), None);
        prop_assert_eq!(month.date, Some(day.last_of_month()));
    }

    #[test]
    fn no_text_panics_and_a_date_only_comes_with_a_rule_that_gives_one(typed in "\\PC{0,40}", words in proptest::collection::vec(
        prop::sample::select(vec!["ngày", "tháng", "năm", "quý", "trước", "15", "/", "-", ".", "2026", "12", "h", ":", "iv", "6", "đầu", "t", "thứ", "("]), 0..12,
    )) {
        for typed in [typed, words.join(" "), words.concat()] {
            for assigned in [None, Some(date(2026, 11, 10)), Some(Date::MAX), Some(Date::MIN)] {
                let reading = read_deadline(&text(&typed), assigned);
                let undated = matches!(reading.how, How::None | How::Recurring | How::Unreadable);
                prop_assert_eq!(reading.date.is_none(), undated, "{}", typed);
                prop_assert!(reading.time.is_none() || reading.date.is_some());
            }
        }
    }

    #[test]
    fn a_day_that_does_not_exist_is_never_another_day(d in 29..100_u32, m in 1..=12_u32, y in 2000..2100_u32) {
        prop_assume!(Date::new(y as i16, m as i8, d as i8).is_err());
        // read by an American it may exist, where only the day can be the larger
        for typed in [format!("{d}/{m}/{y}"), format!("{y}-{m:02}-{d}"), format!("ngày {d} tháng {m} năm {y}"), format!("trước {d}/{m}/{y}")] {
            prop_assert_eq!(read_deadline(&text(&typed), None).how, How::Unreadable, "{}", typed);
        }
    }
}
