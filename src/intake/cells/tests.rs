use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

#[test]
fn a_state_is_found_in_the_forms_people_type() {
    use TaskState::*;
    for (state, forms) in [
        (NotReceived, &["Chưa tiếp nhận"][..]),
        (NotStarted, &["Chưa thực hiện", "CHƯA THỰC HIỆN", "chưa triển khai", "Đã tiếp nhận"]),
        (
            InProgress,
            &[
                "Đang thực hiện",
                "ĐANG THỰC HIỆN",
                "Đang TH",
                "Đang triển khai",
                "Đang thực hiện quá hạn",
                "Quá hạn",
                "Chưa hoàn thành",
                "Hoàn thành 80%",
                "Đã hoàn thành (50%)",
                "Hoàn thành một phần",
                "Không hoàn thành",
            ],
        ),
        (
            Submitted,
            &[
                "Đã trình, chờ xác nhận",
                "Đã trình UBND TP",
                "Chờ phê duyệt",
                "Hoàn thành, chờ xác nhận",
                "đa\u{303} tri\u{300}nh",
            ],
        ),
        (ExtensionRequested, &["Đang xin gia hạn", "Xin gia hạn"]),
        (Paused, &["Tạm dừng", "Đang tạm dừng"]),
        (Returned, &["Trả lại", "Đã trả lại", "trả lại: sai thẩm quyền"]),
        (
            Done,
            &[
                "Hoàn thành",
                "HOÀN THÀNH",
                "hòan thành",
                " HT ",
                "Xong",
                "Đã xong ",
                "Đã hoàn thành",
                "Hoàn thành đúng hạn",
                "Hoàn thành quá hạn",
                "Hoàn thành (trước hạn)",
                "Hoàn thành 100%",
                "Hoàn thành ngày 15/12/2026",
                "hoa\u{300}n thành",
            ],
        ),
        (Withdrawn, &["Thu hồi", "Đã thu hồi", "Hủy"]),
    ] {
        for form in forms {
            assert_eq!(read_state(&text(form)), Ok(Some(state)), "{form:?}");
        }
    }
    for empty in ["", " ", "-"] {
        assert_eq!(read_state(&text(empty)), Ok(None));
    }
}

/// `Done` ends all reminders, so nothing short of it may be read as it.
#[test]
fn what_is_not_plainly_done_is_not_done() {
    for form in [
        "Hoàn thành dự thảo",
        "Hoàn thành bước 1, còn 2 bước",
        "Xong phần 1",
        "HTX",
        "hoan thanh",
        "Gần hoàn thành",
        "3",
        "???",
    ] {
        assert_eq!(read_state(&text(form)), Err(Unknown), "{form:?}");
    }
    assert_eq!(read_state(&Cell::Error("#N/A".to_owned())), Err(Unknown));
}

#[test]
fn urgency_is_found_and_its_absence_is_normal() {
    for (level, forms) in [
        (Urgency::Normal, &["", "Thường", "thường", "\tThường ", "-"][..]),
        (Urgency::Urgent, &["Khẩn", "KHẨN", "khâ\u{309}n"]),
        (Urgency::VeryUrgent, &["Thượng khẩn", "THƯỢNG KHẨN", "T.Khẩn"]),
        (Urgency::Flash, &["Hỏa tốc", "Hoả tốc", "hỏa tốc."]),
    ] {
        for form in forms {
            assert_eq!(read_urgency(&text(form)), Ok(level), "{form:?}");
        }
    }
    assert_eq!(read_urgency(&text("gấp lắm")), Err(Unknown));
}

#[test]
fn secrecy_fails_closed() {
    for (level, forms) in [
        (
            Secrecy::Open,
            &["", "  ", "Thường", "thường", "THƯỜNG ", "Không", "Không mật", "không\u{a0}mật", "\u{200b}"][..],
        ),
        (Secrecy::Confidential, &["Mật", "mật", "MẬT ", "C", "c", "ma\u{323}\u{302}t"]),
        (Secrecy::Secret, &["Tối mật", "TỐI MẬT", "B"]),
        (
            Secrecy::TopSecret,
            &[
                "Tuyệt mật",
                "TUYỆT MẬT",
                "A",
                "-",
                "?",
                "mat",
                "Không rõ",
                "Không phải mật",
                "Thường mật",
                "Mật?",
                "Khẩn",
                "x",
                "0",
                "D",
                "bình thường",
                "Mật, Tối mật",
                "C/B",
                "C\u{302}",
            ],
        ),
    ] {
        for form in forms {
            assert_eq!(read_secrecy(&text(form)), level, "{form:?}");
        }
    }
    assert_eq!(read_secrecy(&Cell::Empty), Secrecy::Open);
    for cell in [Cell::Number(0.0), Cell::Bool(false), Cell::Error("#REF!".to_owned())] {
        assert_eq!(read_secrecy(&cell), Secrecy::TopSecret, "{cell:?}");
    }
}

#[test]
fn a_phone_is_digits_with_the_country_code() {
    for form in [
        "0572365468",
        "0572 365 468",
        "0572.365.468",
        "'0572365468",
        "’0572365468",
        "572365468",
        "+84572365468",
        "84-572-365-468",
        "(+84) 572.365.468",
        "+84 (0) 572 365 468",
        "0084572365468",
        "0572 365 468 / 0243 825 3536",
        "0572365468;",
        "\u{202a}0572365468",
    ] {
        assert_eq!(read_phone(&text(form)).as_deref(), Some("84572365468"), "{form:?}");
    }
    assert_eq!(read_phone(&Cell::Number(572_365_468.0)).as_deref(), Some("84572365468"));
    assert_eq!(read_phone(&text("024 3825 3536")).as_deref(), Some("842438253536"));
    assert_eq!(read_phone(&text("846123456")).as_deref(), Some("84846123456"), "a mobile that begins with 84");
    for none in [
        "",
        "-",
        "0912",
        "không có",
        "113",
        "05723654680",
        "0000000000",
        "+1 202 555 0100",
        "057236546a",
        "1234567890123",
    ] {
        assert_eq!(read_phone(&text(none)), None, "{none:?}");
    }
}

#[test]
fn an_email_is_the_first_valid_address() {
    for form in [
        "huyenkp@hanoi.gov.vn.example",
        " HUYENKP@HANOI.GOV.VN.EXAMPLE",
        "<huyenkp@hanoi.gov.vn.example>",
        "huyenkp@hanoi.gov.vn.example;",
        "mailto:huyenkp@hanoi.gov.vn.example",
        "Huyền <huyenkp@hanoi.gov.vn.example>",
        "a@b, huyenkp@hanoi.gov.vn.example; x@y.vn",
        "huyenkp@hanoi.gov.vn.example.",
        "huyenkp@hanoi.gov.vn.example\u{200b}",
        "MAILTO:huyenkp@hanoi.gov.vn.example",
    ] {
        assert_eq!(read_email(&text(form)).as_deref(), Some("huyenkp@hanoi.gov.vn.example"), "{form:?}");
    }
    for none in [
        "",
        "-",
        "không có",
        "a@b@c",
        "huyenlt@",
        "@hanoi.gov.vn",
        "hatk1hanoi.gov.vn.example",
        "kiên@hanoi.gov.vn",
        "a..b@x.vn",
        "a@x..vn",
        "a@-x.vn",
        "a@1.2.3.4",
        "tuanba@hanoi,gov.vn.example",
    ] {
        assert_eq!(read_email(&text(none)), None, "{none:?}");
    }
}

#[test]
fn cleaned_text_is_one_visible_line() {
    for (typed, clean) in [
        ("  V/v\r\ntriển khai\u{a0}\u{a0}kế hoạch\t", "V/v triển khai kế hoạch"),
        ("\u{202e}Bcc: a@b.vn\u{202c}", "Bcc: a@b.vn"),
        ("a\u{0}b\u{7f}c\u{85}d\u{2028}e", "abc d e"),
        ("a\u{200b}b\u{feff}\u{e0041}", "ab"),
        ("<b>gấp</b> <a href=\"javascript:alert(1)\">Xem</a>", "<b>gấp</b> <a href=\"javascript:alert(1)\">Xem</a>"),
        ("\r\n", ""),
    ] {
        assert_eq!(clean_text(typed), clean, "{typed:?}");
    }
}

#[test]
fn names_are_split_where_no_name_goes_on() {
    let split = |typed: &str| -> Vec<(String, usize)> {
        split_names(&text(typed)).into_iter().map(|name| (name.whole, name.commas.len())).collect()
    };
    let one = |name: &str, commas| (name.to_owned(), commas);
    assert_eq!(
        split("SDTTG ; UBND xã Mê Linh ;Sở Xây Dựng;"),
        [one("SDTTG", 0), one("UBND xã Mê Linh", 0), one("Sở Xây Dựng", 0)]
    );
    assert_eq!(
        split("- Sở Y tế.\r\n1. Sở Nội vụ\n+ UBND phường 1"),
        [one("Sở Y tế", 0), one("Sở Nội vụ", 0), one("UBND phường 1", 0)]
    );
    assert_eq!(split("Văn phòng Đoàn ĐBQH, HĐND; Sở Y tế"), [one("Văn phòng Đoàn ĐBQH, HĐND", 2), one("Sở Y tế", 0)]);
    assert_eq!(
        split_names(&text("UBND X. Thư Lâm, Thanh tra Thành phố"))[0].commas,
        ["UBND X. Thư Lâm", "Thanh tra Thành phố"]
    );
    assert_eq!(split(" ; \n-"), []);
}

#[test]
fn counts_blocks_and_yes_or_no_are_read_or_refused() {
    for (typed, n) in [("", 0), ("-", 0), ("3", 3), ("03", 3), ("3 lần", 3), ("Lần 3", 3), ("không", 0)] {
        assert_eq!(count(&text(typed)), Ok(n), "{typed:?}");
    }
    assert_eq!(count(&Cell::Number(6.0)), Ok(6));
    for cell in [text("nhiều"), text("-3x"), Cell::Number(2.5), Cell::Number(1e9), text("10000")] {
        assert_eq!(count(&cell), Err(Unknown), "{cell:?}");
    }
    for (typed, block) in [
        ("Chính quyền", Block::State),
        ("Khối Đảng", Block::Party),
        ("ĐẢNG", Block::Party),
        ("Doanh nghiệp nhà nước", Block::Enterprise),
        ("DNNN", Block::Enterprise),
    ] {
        assert_eq!(read_block(&text(typed)), Ok(Some(block)), "{typed:?}");
    }
    assert_eq!((read_block(&text("")), read_block(&text("Khác"))), (Ok(None), Err(Unknown)));
    for (cell, answer) in [
        (text("Có"), Ok(Some(true))),
        (text("x"), Ok(Some(true))),
        (Cell::Bool(true), Ok(Some(true))),
        (Cell::Number(0.0), Ok(Some(false))),
        (text("KHÔNG"), Ok(Some(false))),
        (text(""), Ok(None)),
        (text("có thể"), Err(Unknown)),
    ] {
        assert_eq!(yes_no(&cell), answer, "{cell:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_any_reader(typed in any::<String>(), folded in "[a-zđ%()0-9@.+ \u{300}-\u{303}\u{200b}]{0,20}", number: f64) {
        for cell in [text(&typed), text(&folded), Cell::Number(number)] {
            let _ = (read_state(&cell), read_urgency(&cell), read_block(&cell), yes_no(&cell), count(&cell));
            let _ = (read_secrecy(&cell), split_names(&cell));
            if let Some(phone) = read_phone(&cell) {
                prop_assert!(phone.starts_with("84") && phone.bytes().all(|b| b.is_ascii_digit()) && (11..=12).contains(&phone.len()));
            }
            if let Some(address) = read_email(&cell) {
                prop_assert!(is_address(&address) && !address.contains(char::is_whitespace));
            }
            let clean = clean_text(&cell.text());
            prop_assert!(!clean.contains(['\r', '\n', '\t', '\0']));
            prop_assert_eq!(clean_text(&clean), clean);
        }
    }

    #[test]
    fn only_the_words_of_the_law_open_a_row(typed in "\\PC{1,12}") {
        let known = ["", "thường", "không", "không mật", "mật", "c", "tối mật", "b"];
        prop_assume!(!known.iter().any(|word| fold(word) == fold(&clean_text(&typed))));
        prop_assert_eq!(read_secrecy(&text(&typed)), Secrecy::TopSecret);
    }
}
