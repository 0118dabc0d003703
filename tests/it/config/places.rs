//! Every fault is found where it stands, all of them at once, and one slip is not answered with a flood.

use super::*;

#[test]
fn each_fault_of_rules_is_found_where_it_stands() {
    assert!(faults(rules(RULES)).is_empty(), "{}", faults(rules(RULES)));
    let cases: &[(&str, &str, &str, usize, &str)] = &[
        ("urging = true", "urgin = true", "unknown-key", 16, "có phải ý là `urging`?"),
        ("due = \"-3wd\"", "due = -3", "missing-unit", 11, "due = \"-3wd\""),
        ("due = \"-3wd\"", "due = \"-3\"", "missing-unit", 11, "due = \"-3wd\""),
        ("due = \"-3wd\"", "due = \"3wd\"", "missing-sign", 11, "trước hạn: due = \"-3wd\""),
        ("due = \"-3wd\"", "due = \"-3days\"", "unknown-unit", 11, "có phải ý là `d`"),
        ("due = \"-3wd\"", "due = \"wd\"", "bad-offset", 11, "không đọc được"),
        ("due = \"-3wd\"", "due = \"-30000wd\"", "out-of-range", 11, "quá xa"),
        ("due = \"-3wd\"", "due = \"+1wd\"", "steps-same-moment", 15, "rơi đúng vào lúc"),
        ("due = \"-3wd\"", "due = \"+3wd\"", "steps-out-of-order", 15, "nhưng đến trước"),
        ("due = \"-3wd\"\n", "", "missing-key", 9, "thiếu `due`"),
        ("urging = true", "urging = \"true\"", "wrong-type", 16, "true hoặc false"),
        ("id = \"truoc-3\"\n", "id = \"qua-han-1\"\n", "duplicate-id", 14, "đã có ở dòng 10"),
        ("id = \"truoc-3\"\n", "", "missing-key", 9, "thiếu `id`"),
        ("id = \"truoc-3\"", "id = \"trước hạn\"", "bad-id", 10, "khoảng trắng"),
        ("id = \"bao-cao\"", "id = \"chung\"", "duplicate-id", 19, "đã có ở dòng 6"),
        ("add = [\"agency_head\"]", "add = [\"agency_haed\"]", "unknown-audience", 17, "có phải ý là `agency_head`?"),
        ("add = [\"agency_head\"]", "add = [\"a@b.example\"]", "unknown-audience", 17, "email:a@b.example"),
        ("add = [\"agency_head\"]", "add = [\"email:a@b.example\"]", "domain-not-allowed", 17, "allowed_domains"),
        ("add = [\"agency_head\"]", "add = [\"email:a@\"]", "bad-address", 17, "không phải địa chỉ thư"),
        ("add = [\"agency_head\"]", "add = [\"handler\"]", "repeated-audience", 17, "đã nhận từ bước trước"),
        ("add = [\"agency_head\"]", "only = []", "no-audience", 17, "không có người nhận"),
        ("add = [\"agency_head\"]", "add = []\nonly = [\"monitor\"]", "add-and-only", 18, "chọn một"),
        ("urging = true", "via = [\"mail\"]", "unknown-value", 16, "có phải ý là `email`?"),
        ("urging = true", "via = [\"zalo\"]", "channel-off", 16, "Zalo đang tắt"),
        ("urging = true", "at = \"20:00\"", "outside-hours", 16, "07:30 đến 17:30"),
        ("urging = true", "at = \"25:00\"", "bad-time", 16, "không phải giờ"),
        ("urging = true", "file = [\"letter\"]", "letter-unavailable", 16, "dự thảo"),
        ("urging = true", "repeat = { every = \"5d\", times = 2 }", "unit-mismatch", 16, "cùng một đơn vị"),
        ("urging = true", "repeat = { every = \"-5wd\", times = 2 }", "out-of-range", 16, "lớn hơn 0"),
        ("urging = true", "repeat = { every = \"5wd\" }", "missing-key", 16, "thiếu `times`"),
        ("urging = true", "was = [\"truoc-3\"]", "was-in-use", 16, "không còn dùng"),
        (
            "due = \"-3wd\"",
            "due = \"-3wd\"\nrepeat = { every = \"1wd\", times = 4 }",
            "repeat-overlaps",
            12,
            "còn nhắc lại",
        ),
        ("clock = \"report\"", "clock = \"reprot\"", "unknown-value", 20, "có phải ý là `report`?"),
        ("clock = \"report\"", "clock = \"report\"\nhours = \"norml\"", "unknown-hours", 21, "có phải ý là `normal`?"),
        ("clock = \"report\"", "clock = \"report\"\neffective_from = 2026", "wrong-type", 21, "ngày"),
        ("clock = \"report\"", "clock = \"report\"\nlate = \"last\"", "unknown-value", 21, "có phải ý là `latest`?"),
        ("clock = \"report\"", "clock = \"report\"\ndaily_cap = 0", "out-of-range", 21, "daily_cap = 1000"),
        ("clock = \"report\"", "clock = \"report\"\nwhen = { block = [] }", "empty-value", 21, "để trống"),
        (
            "[[test]]",
            "[[rule]]\nid = \"thua\"\nwhen = { block = \"party\" }\nclock = \"report\"\n[[rule.step]]\nid = \"a\"\ndue = \"0d\"\nadd = [\"handler\"]\n[[test]]",
            "unreachable-rule",
            26,
            "`bao-cao`",
        ),
        (
            "clock = \"report\"",
            "clock = \"report\"\nwhen = { block = [\"state\", \"party\"] }",
            "uncovered-tasks",
            19,
            "block = enterprise",
        ),
        (
            "when = { role = [\"lead\", \"coordinator\"] }",
            "when = { role = \"coordinator\" }",
            "uncovered-tasks",
            19,
            "mọi loại nhiệm vụ",
        ),
        ("until = \"17:30\"", "until = \"06:00\"", "hours-reversed", 4, "sớm hơn"),
        ("days = \"working\"", "days = \"work\"", "unknown-value", 2, "có phải ý là `working`?"),
        ("step = \"qua-han-1\"", "step = \"qua-han-2\"", "unknown-step", 29, "có phải ý là `qua-han-1`?"),
        ("step = \"qua-han-1\"", "nothing = true, step = \"qua-han-1\"", "nothing-and-more", 29, "nothing"),
        ("step = \"qua-han-1\"", "to = [\"handlr\"]", "unknown-value", 29, "có phải ý là `handler`?"),
        ("on = 2026-12-16", "on = \"16/12/2026\"", "bad-date", 28, "viết: on = 2026-12-16"),
        ("on = 2026-12-16", "on = 16/12/2026", "toml-syntax", 28, "2026-12-16"),
        ("deadline = 2026-12-15", "deadline = 2026-12-15T17:00:00Z", "bad-date", 27, "bỏ phần múi giờ"),
        ("[[test]]", "[test]", "wrong-type", 25, "[[test]]"),
        ("add = [\"agency_head\"]", "add = [\"agency_head\"", "toml-syntax", 17, "danh sách chưa đóng"),
        ("[[rule.step]]\nid = \"qua", "[[rule.step]\nid = \"qua", "toml-syntax", 13, "]]"),
        ("urging = true", "urging = yes", "toml-syntax", 16, "ngoặc kép"),
        ("urging = true", "urging true", "toml-syntax", 16, "="),
        ("id = \"truoc-3\"", "id = \"truoc-3", "toml-syntax", 10, "ngoặc kép"),
        ("id = \"truoc-3\"", "id = “truoc-3”", "toml-syntax", 10, "bộ gõ"),
    ];
    for (from, to, code, line, words) in cases {
        only(&faults(rules(&with(RULES, from, to))), code, *line, words);
    }
}

#[test]
fn each_fault_of_settings_is_found_where_it_stands() {
    assert!(faults(settings(SETTINGS, &[])).is_empty(), "{}", faults(settings(SETTINGS, &[])));
    let cases: &[(&str, &str, &str, usize, &str)] = &[
        ("name = \"Văn phòng\"", "nmae = \"Văn phòng\"", "unknown-key", 2, "có phải ý là `name`?"),
        ("name = \"Văn phòng\"", "name = \"\"", "empty-value", 2, "để trống"),
        (
            "name = \"Văn phòng\"",
            "name = \"V\"\ntime_zone = \"Asia/Ho_Chi_Min\"",
            "unknown-time-zone",
            3,
            "`Asia/Ho_Chi_Minh`",
        ),
        ("transport = \"smtp\"", "transport = \"smpt\"", "unknown-value", 4, "có phải ý là `smtp`?"),
        ("transport = \"smtp\"\n", "", "missing-key", 3, "thiếu `transport`"),
        ("from = \"dondoc@office.example\"", "from = \"dondoc\"", "bad-address", 5, "không phải địa chỉ thư"),
        ("[\"hanoi.gov.vn.example\"]", "[]", "empty-value", 6, "không gửi được thư cho ai"),
        ("[\"hanoi.gov.vn.example\"]", "[\"*.gov.vn.example\"]", "bad-domain", 6, "\"gov.vn.example\""),
        ("tls = \"starttls\"", "tls = \"none\"", "plain-text-smtp", 9, "chính máy này"),
        ("tls = \"starttls\"\n", "", "missing-key", 7, "tls = \"starttls\""),
        ("tls = \"starttls\"", "tls = \"starttls\"\nport = 70000", "out-of-range", 10, "65535"),
        ("tls = \"starttls\"", "tls = \"starttls\"\nusername = \"u\"", "missing-secret", 10, "mật khẩu"),
        (
            "tls = \"starttls\"",
            "tls = \"starttls\"\npassword_file = \"x/y\"",
            "secret-unreadable",
            10,
            "không có tệp này",
        ),
        ("[office]", "[scan]\nschedule = \"* * * * *\"\n[office]", "bad-schedule", 2, "\"0 * * * * *\""),
        ("[office]", "[scan]\nschedule = \"0 99 * * * *\"\n[office]", "bad-schedule", 2, "bộ lập lịch trả lời"),
        ("[office]", "[zalo]\nmode = \"oa\"\n[office]", "not-available", 2, "phiên bản này"),
        ("[office]", "[zalo]\nmode = \"webhok\"\n[office]", "unknown-value", 2, "có phải ý là `webhook`?"),
        ("[office]", "[store]\nurl = \"postgres://db/x\"\n[office]", "plain-text-store", 2, "sslmode=verify-full"),
        ("[office]", "[store]\nurl = \"postgres:x\"\n[office]", "bad-store-url", 2, "PostgreSQL"),
        ("[office]", "[store]\nurl = \"mysql://x\"\n[office]", "bad-store-url", 2, "postgres://"),
        ("[office]", "[store]\nurl = \"sqlite::memory:\"\n[office]", "bad-store-url", 2, "không chỉ tới một tệp"),
        ("[office]", "[web]\nlisten = \"0.0.0.0:80\"\n[office]", "not-loopback", 2, "127.0.0.1"),
        ("[office]", "[web]\nlisten = \"8787\"\n[office]", "bad-address", 2, "127.0.0.1:8787"),
        ("[office]", "[blocks.stat]\nfocal_agency = \"VPUB\"\n[office]", "unknown-key", 1, "có phải ý là `state`?"),
        ("[office]", "[emial]\n[office]", "unknown-key", 1, "có phải ý là `email`?"),
        ("[office]", "[files]\ntemplates = \"không-có\"\n[office]", "no-directory", 2, "thư mục"),
    ];
    for (from, to, code, line, words) in cases {
        only(&faults(settings(&with(SETTINGS, from, to), &[])), code, *line, words);
    }
    let webhook =
        format!("{SETTINGS}[zalo]\nmode = \"webhook\"\n[zalo.webhook]\nurl = \"http://127.0.0.1:9000/zalo\"\n");
    only(&faults(settings(&webhook, &[])), "missing-secret", 11, "khóa ký");
}

#[test]
fn each_fault_of_the_calendar_is_found_where_it_stands() {
    assert!(calendar(CALENDAR).is_empty(), "{}", calendar(CALENDAR));
    let again = format!("{CALENDAR}{}", &CALENDAR[CALENDAR.find("[[day]]").unwrap()..]);
    only(&calendar(&again), "duplicate-day", 10, "đã có ở dòng 4");
    let cases: &[(&str, &str, &str, usize, &str)] = &[
        ("date = 2026-11-24", "date = 2027-11-24", "day-not-covered", 4, "thêm 2027"),
        ("date = 2026-11-24", "date = 2026-11-22", "already-off", 4, "Chủ nhật"),
        ("kind = \"off\"", "kind = \"work\"", "already-worked", 4, "thứ Ba"),
        ("kind = \"off\"", "kind = \"nghi\"", "unknown-value", 5, "`off`, `work`"),
        ("certainty = \"law\"", "certainty = \"lawful\"", "unknown-value", 8, "có phải ý là `law`?"),
        ("basis = \"Nghị quyết 28/2026/QH16\"\n", "", "missing-key", 3, "thiếu `basis`"),
        ("date = 2026-11-24", "date = 2026-11-31", "toml-syntax", 4, "không có ngày 31/11/2026"),
        ("date = 2026-11-24", "date = \"hôm nay\"", "bad-date", 4, "năm-tháng-ngày"),
        ("covers = [2026]", "covers = [26]", "out-of-range", 1, "1900"),
        ("covers = [2026]", "covers = 2026", "wrong-type", 1, "danh sách số nguyên"),
        ("\"fri\"]", "\"fry\"]", "unknown-value", 2, "có phải ý là `fri`?"),
    ];
    for (from, to, code, line, words) in cases {
        only(&calendar(&with(CALENDAR, from, to)), code, *line, words);
    }
}

#[test]
fn a_kind_of_task_without_a_rule_is_an_error_for_the_lead_and_a_warning_for_others() {
    let text = with(RULES, "role = [\"lead\", \"coordinator\"]", "urgency = [\"normal\", \"urgent\", \"very_urgent\"]");
    let problems = faults(rules(&text));
    let found: Vec<_> = problems.iter().map(|p| (p.code, p.severity, p.message.contains("urgency = flash"))).collect();
    assert_eq!(
        found,
        [("uncovered-tasks", Severity::Error, true), ("uncovered-tasks", Severity::Warning, true)],
        "{problems}"
    );
}

#[test]
fn a_rule_is_reachable_as_long_as_one_kind_of_task_is_left_to_it() {
    let rule = |id: &str, when: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nwhen = {{ {when} }}\nclock = \"completion\"\n[[rule.step]]\nid = \"a\"\ndue = \"0d\"\nadd = [\"handler\"]\n"
        )
    };
    let hours = "[hours.normal]\ndays = \"all\"\nfrom = \"00:00\"\nuntil = \"24:00\"\n";
    let unreachable = |whens: &[&str]| -> Vec<usize> {
        let text: String = whens.iter().enumerate().map(|(n, when)| rule(&format!("r{n}"), when)).collect();
        let problems = faults(rules(&format!("{hours}{text}")));
        let codes = problems.iter().filter(|p| p.code == "unreachable-rule");
        codes.map(|p| (p.line - 6) / 8).collect()
    };
    // Two halves together take the whole.
    assert_eq!(unreachable(&["role = \"lead\"", "role = \"coordinator\"", "block = \"state\""]), [2]);
    assert_eq!(unreachable(&["role = \"lead\"", "block = \"state\""]), [] as [usize; 0]);
    assert_eq!(unreachable(&["field = [\"Y tế\", \"Đất đai\"]", "field = \"Y TẾ\", role = \"lead\""]), [1]);
    assert_eq!(unreachable(&["field = \"Y tế\"", "field = [\"Y tế\", \"Đất đai\"]"]), [] as [usize; 0]);
    assert_eq!(unreachable(&["field = \"Y tế\"", "role = \"lead\""]), [] as [usize; 0]);
}

#[test]
fn all_faults_of_all_files_come_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| fs::write(dir.path().join(name), text).unwrap();
    file(
        "dondoc.toml",
        with(&with(shipped::SETTINGS, "name = ", "nam = "), "transport = \"maildir\"", "transport = 1"),
    );
    file(
        "rules.toml",
        with(&with(shipped::RULES, "due = \"-5wd\"", "due = -5"), "urging = true\nadd", "urgin = true\nad"),
    );
    file("calendar.toml", with(&with(shipped::CALENDAR, "\"law\"\n", "\"lwa\"\n"), "kind = \"off\"", "kind = \"of"));
    let problems = load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_err();
    let count = |name: &str| problems.iter().filter(|p| p.file.ends_with(name)).count();
    assert_eq!((count("dondoc.toml"), count("rules.toml"), count("calendar.toml")), (2, 3, 2), "{problems}");
}

#[test]
fn a_fault_is_shown_with_its_line_a_mark_under_the_spot_and_the_way_to_mend_it() {
    let text = with(RULES, "add = [\"agency_head\"]", "add = [\"handler\", \"agency_haed\"]");
    let problems = faults(rules(&text));
    let shown = problems.iter().find(|p| p.code == "unknown-audience").unwrap();
    assert_eq!((shown.line, shown.column), (17, 19));
    insta::assert_snapshot!(shown.render(false).lines().take(6).collect::<Vec<_>>().join("\n"), @r#"
    lỗi[unknown-audience]: không có loại người nhận `agency_haed`
      --> rules.toml:17:19
       |
    17 | add = ["handler", "agency_haed"]
       |                   ^^^^^^^^^^^^^
       |
    "#);
    assert!(shown.help.starts_with("có phải ý là `agency_head`?\n"), "{}", shown.help);
    // Columns count characters, not bytes.
    let text = with(
        RULES,
        "{ deadline = 2026-12-15 }",
        "{ field = \"Y tế, đất đai\", deadlin = 2026-12-15, deadline = 2026-12-15 }",
    );
    let shown = only(&faults(rules(&text)), "unknown-key", 27, "`deadline`");
    assert_eq!(shown.column, 35);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_one_plain_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dondoc.toml");
    only(&load_settings(&path, std::iter::empty()).unwrap_err(), "file-unreadable", 1, "không có tệp này");
    fs::write(&path, [b'a', b'\n', b'b', 0xff]).unwrap();
    let shown = only(&load_settings(&path, std::iter::empty()).unwrap_err(), "not-utf8", 2, "UTF-8");
    assert_eq!(shown.column, 2);
    fs::write(&path, format!("\u{feff}{SETTINGS}").replace('\n', "\r\n")).unwrap();
    let (_, problems) = load_settings(&path, std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn a_year_the_calendar_lacks_and_an_audience_nobody_fills_are_found() {
    let (loaded, _) =
        parse_calendar(&Source::new("calendar.toml", CALENDAR), TimeZone::UTC).unwrap_or_else(|p| panic!("{p}"));
    assert!(check_horizon(&loaded, date(2026, 1, 1), date(2026, 12, 31)).is_empty());
    only(&check_horizon(&loaded, date(2026, 12, 1), date(2027, 12, 1)), "year-not-covered", 1, "2027");
    let (loaded, _) = rules(RULES).unwrap_or_else(|p| panic!("{p}"));
    let filled = |audience: &Audience| *audience != Audience::AgencyHead;
    only(&check_audiences(&loaded, &filled), "audience-empty", 17, "`agency_head`");
}

#[test]
fn one_slip_of_the_pen_is_not_answered_with_a_flood() {
    let chars: Vec<char> = shipped::RULES.chars().collect();
    for at in (0..chars.len()).step_by(397) {
        for slip in [None, Some('"'), Some('['), Some(']'), Some('{'), Some('='), Some('\n')] {
            let mut spoilt = chars.clone();
            match slip {
                Some(c) => spoilt.insert(at, c),
                None => drop(spoilt.remove(at)),
            }
            let text: String = spoilt.into_iter().collect();
            let problems = faults(parse_rules(&Source::new("rules.toml", text), &RulesContext::unknown()));
            assert!(problems.iter().count() <= 3, "{slip:?} at {at}:\n{problems}");
        }
    }
}

#[test]
fn a_daily_list_that_could_leave_on_no_day_is_refused_where_it_stands_and_by_whichever_file_makes_it_so() {
    let dir = tempfile::tempdir().unwrap();
    let load = |settings: String, rules: String, at: Option<&str>| {
        fs::write(dir.path().join("dondoc.toml"), settings).unwrap();
        fs::write(dir.path().join("rules.toml"), rules).unwrap();
        fs::write(dir.path().join("calendar.toml"), shipped::CALENDAR).unwrap();
        let vars = at.map(|at| ("DONDOC_EMAIL__DAILY_LIST_AT".to_owned(), at.to_owned()));
        load_all(&dir.path().join("dondoc.toml"), vars)
    };
    let at = |time: &str| with(shipped::SETTINGS, "daily_list_at = \"09:00\"", &format!("daily_list_at = \"{time}\""));
    for (settings, rules, var, shown) in [
        (at("18:30"), shipped::RULES.to_owned(), None, "từ 07:30 đến 17:30"),
        (at("17:31"), shipped::RULES.to_owned(), None, "là 17:31"),
        (at("09:00"), shipped::RULES.to_owned(), Some("18:30"), "từ 07:30 đến 17:30"),
        (at("16:00"), with(shipped::RULES, "until = \"17:30\"", "until = \"15:00\""), None, "từ 07:30 đến 15:00"),
    ] {
        let problems = load(settings, rules, var).unwrap_err();
        let errors: Vec<_> = problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
        let [problem] = errors[..] else { panic!("{problems}") };
        assert_eq!((problem.code, problem.message.contains(shown)), ("daily-list-too-late", true), "{problems}");
        let line = shipped::SETTINGS.lines().position(|line| line.starts_with("daily_list_at")).unwrap() + 1;
        assert_eq!((problem.line, problem.file.ends_with("dondoc.toml")), (line, true), "{problems}");
        assert!(problem.help.contains("daily_list_at = \"09:00\""), "{problems}");
    }
    let shown = load(at("18:30"), shipped::RULES.to_owned(), None).unwrap_err().render(false);
    let (first, last) = (shown.lines().next().unwrap(), shown.lines().last().unwrap());
    assert_eq!(
        first,
        "lỗi[daily-list-too-late]: `daily_list_at` là 18:30, sau giờ gửi thư: [hours.normal] chỉ từ 07:30 đến 17:30, nên \
         danh sách không bao giờ gửi được"
    );
    assert_eq!(
        last.trim(),
        "= cách sửa: viết một giờ trước 17:30, ví dụ: daily_list_at = \"09:00\"; hoặc \"\" để không gửi"
    );
    // An hour that nobody wrote is no reason to send nothing at all.
    let unsaid = with(shipped::SETTINGS, "daily_list_at = \"09:00\"", "");
    let early = with(shipped::RULES, "until = \"17:30\"", "until = \"08:30\"");
    let early = with(&early, "at = \"14:00\"", "at = \"08:20\"");
    let (_, warnings) = load(unsaid, early, None).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(warnings.iter().any(|problem| problem.code == "daily-list-too-late"), "{warnings}");
    for (settings, var) in [(at("17:30"), None), (at("06:00"), None), (at(""), None), (at("18:30"), Some("16:30"))] {
        load(settings, shipped::RULES.to_owned(), var).unwrap_or_else(|problems| panic!("{problems}"));
    }
}
