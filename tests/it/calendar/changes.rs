//! What changed between two calendars, and which days a count left out: each in one line of Vietnamese.

use dondoc::{
    config::calendar_words,
    planning::calendar::changes::{DayChange, changes},
};
use jiff::civil::date;

use super::{calendar_with, loaded, shipped_but};

const DAY_24_11: &str = r#"[[day]]
date = 2026-11-24  # T3
kind = "off"
name = "Ngày Văn hóa Việt Nam"
basis = "NQ 28/2026/QH16 Đ.2 (hiệu lực 01/7/2026)"
certainty = "law"
"#;

fn told(old: &str, new: &str) -> Vec<String> {
    changes(&loaded(old).calendar, &loaded(new).calendar).iter().map(calendar_words::change).collect()
}

#[test]
fn a_calendar_compared_with_itself_has_no_change() {
    assert_eq!(changes(&calendar_with(""), &calendar_with("# một dòng ghi chú\n")), []);
}

#[test]
fn each_kind_of_change_is_one_line_and_its_reverse_is_the_reverse() {
    let shipped = shipped_but("# Lịch", "# Lịch");
    let without = shipped_but(DAY_24_11, "");
    assert_eq!(
        told(&without, &shipped),
        [
            "24/11/2026 từ ngày làm việc thành ngày nghỉ (Ngày Văn hóa Việt Nam; NQ 28/2026/QH16 Đ.2 (hiệu lực 01/7/2026))"
        ]
    );
    assert_eq!(
        told(&shipped, &without),
        [
            "24/11/2026 từ ngày nghỉ thành ngày làm việc (Ngày Văn hóa Việt Nam; NQ 28/2026/QH16 Đ.2 (hiệu lực 01/7/2026))"
        ]
    );
    let half = shipped_but(
        "date = 2026-11-24  # T3\nkind = \"off\"",
        "date = 2026-11-24  # T3\nkind = \"half\"\nuntil = \"12:00\"",
    );
    assert_eq!(
        told(&shipped, &half),
        [
            "24/11/2026 từ ngày nghỉ thành ngày làm việc nửa ngày, đến 12:00 (Ngày Văn hóa Việt Nam; NQ 28/2026/QH16 Đ.2 (hiệu lực 01/7/2026))"
        ]
    );
    let sure = shipped_but(
        "date = 2027-09-03  # T6\nkind = \"off\"\nname = \"Quốc khánh (ngày liền kề, ước tính)\"\nbasis = \"BLLĐ Đ.112(1)đ\"\ncertainty = \"estimate\"",
        "date = 2027-09-03\nkind = \"off\"\nname = \"Quốc khánh (ngày liền kề)\"\nbasis = \"BLLĐ Đ.112(1)đ\"\ncertainty = \"confirmed\"",
    );
    assert_eq!(
        told(&shipped, &sure),
        [
            "03/09/2027 chỉ đổi cách ghi: tên “Quốc khánh (ngày liền kề, ước tính)” thành “Quốc khánh (ngày liền kề)”; mức chắc chắn từ ước tính thành đã có thông báo"
        ]
    );
    let week = shipped_but(r#""thu", "fri"]"#, r#""thu", "fri", "sat"]"#);
    let lines = told(
        &shipped,
        &week
            .replace("date = 2025-04-26  # T7\nkind = \"work\"", "date = 2025-04-26\nkind = \"off\"")
            .replace("date = 2026-01-10  # T7\nkind = \"work\"", "date = 2026-01-10\nkind = \"off\"")
            .replace("date = 2026-08-22  # T7\nkind = \"work\"", "date = 2026-08-22\nkind = \"off\""),
    );
    assert_eq!(
        lines[0],
        "ngày làm việc trong tuần từ thứ Hai, thứ Ba, thứ Tư, thứ Năm, thứ Sáu thành thứ Hai, thứ Ba, thứ Tư, thứ Năm, thứ Sáu, thứ Bảy"
    );
    assert_eq!(lines.len(), 4, "the week is one change, not each of its Saturdays: {lines:#?}");
}

#[test]
fn a_year_more_or_less_is_one_change() {
    let shipped = shipped_but("# Lịch", "# Lịch");
    let more = format!(
        "{}\n[[day]]\ndate = 2031-01-01\nkind = \"off\"\nname = \"Tết Dương lịch\"\nbasis = \"BLLĐ\"\ncertainty = \"law\"\n",
        shipped_but("2029, 2030]", "2029, 2030, 2031]")
    );
    assert_eq!(told(&shipped, &more), ["lịch thêm năm 2031: 1 ngày nghỉ"]);
    assert_eq!(told(&more, &shipped), ["lịch bỏ năm 2031: hạn và bước nhắc rơi vào năm đó không tính được"]);
}

#[test]
fn a_closure_comes_and_goes_as_one_line() {
    let closed = calendar_with(
        "[[closure]]\nagency = \"SNV\"\nfrom = 2026-07-20\nuntil = 2026-07-24\nname = \"Nghỉ mát\"\nbasis = \"TB 15/TB-SNV\"\n",
    );
    let open = calendar_with("");
    let told = |found: Vec<DayChange>| found.iter().map(calendar_words::change).collect::<Vec<_>>();
    let line = "SNV nghỉ riêng từ 20/07/2026 đến 24/07/2026 (Nghỉ mát; TB 15/TB-SNV)";
    assert_eq!(told(changes(&open, &closed)), [format!("thêm: {line}")]);
    assert_eq!(told(changes(&closed, &open)), [format!("bỏ: {line}")]);
}

#[test]
fn only_what_is_merely_said_moves_nothing() {
    let shipped = calendar_with("");
    let said = loaded(&shipped_but("name = \"Ngày Văn hóa Việt Nam\"", "name = \"Ngày Văn hóa\"")).calendar;
    assert!(changes(&shipped, &said).iter().all(|change| !change.moves()));
    let moved = loaded(&shipped_but(DAY_24_11, "")).calendar;
    let found = changes(&shipped, &moved);
    assert!(found.len() == 1 && found[0].moves() && found[0].from() == Some(date(2026, 11, 24)), "{found:?}");
}

#[test]
fn the_days_a_count_left_out_are_told_with_their_reasons() {
    let calendar = calendar_with(
        "[[closure]]\nagency = \"SNV\"\nfrom = 2026-11-19\nuntil = 2026-11-20\nname = \"Nghỉ mát\"\nbasis = \"TB 15/TB-SNV\"\n",
    );
    let deadline = date(2026, 11, 25);
    let office = calendar.add_working(deadline, -3).expect("covered");
    assert_eq!(office, date(2026, 11, 19));
    assert_eq!(
        calendar_words::days_off(calendar.days_off(office, deadline)),
        "24/11 nghỉ (Ngày Văn hóa Việt Nam); 21-22/11 thứ Bảy, Chủ nhật"
    );
    let own = calendar.for_names("SNV", "Sở Nội vụ");
    let there = own.add_working(deadline, -3).expect("covered");
    assert_eq!(there, date(2026, 11, 17));
    assert_eq!(
        calendar_words::days_off(own.days_off(there, deadline)),
        "24/11 nghỉ (Ngày Văn hóa Việt Nam); 19-20/11 cơ quan nghỉ riêng (Nghỉ mát); 21-22/11 thứ Bảy, Chủ nhật"
    );
    let skipped: Vec<_> = calendar.skipped(deadline, office).map(|day| day.name.as_str()).collect();
    assert_eq!(skipped, ["Ngày Văn hóa Việt Nam"], "either way round");
    assert_eq!(calendar_words::days_off(calendar.days_off(date(2026, 11, 16), date(2026, 11, 20))), "");
    // Tết 2026 over two weekends.
    assert_eq!(
        calendar_words::days_off(calendar.days_off(date(2026, 2, 13), date(2026, 2, 23))),
        "16-20/02 nghỉ (Tết Nguyên đán (mùng 1 = 17/02/2026)); 14-15/02 thứ Bảy, Chủ nhật; 21-22/02 thứ Bảy, Chủ nhật"
    );
}
