//! The three files an office writes: the shipped ones are clean, every fault is found where it stands and said in words
//! of the office, and no text, however broken, makes the readers panic or speak a parser's language.

use std::{collections::BTreeMap, fs, path::Path};

use dondoc::{
    cli::check::{Args, Findings, Shown, Wiring, find, to_json, to_text},
    config::{
        calendar_file::{check_horizon, parse_calendar},
        load::{OfficeFiles, load_all},
        problem::{Problem, Problems, Severity, Source},
        rule_test::{RuleTest, TestOutcome, run_tests},
        rules_file::{LoadedRules, RulesContext, check_audiences, parse_rules, step_definition},
        settings::{EmailTransport, Settings, SmtpTls, Zalo},
        settings_file::{load_settings, parse_settings},
        shipped,
    },
    planning::{
        rules::{Audience, ChannelKind, Filing, Offset, Step},
        task::{Block, Clock},
    },
};
use jiff::{Timestamp, civil::date, tz::TimeZone};
use proptest::prelude::*;

fn context() -> RulesContext {
    RulesContext { allowed_domains: vec!["hanoi.gov.vn.example".to_owned()], zalo: false, inspection: true }
}

fn rules(text: &str) -> Result<(LoadedRules, Problems), Problems> {
    parse_rules(&Source::new("rules.toml", text), &context())
}

fn settings(text: &str, vars: &[(&str, &str)]) -> Result<(Settings, Problems), Problems> {
    let vars: Vec<(String, String)> = vars.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    parse_settings(&Source::new("dondoc.toml", text), Path::new("/etc/dondoc/dondoc.toml"), vars)
}

fn calendar(text: &str) -> Problems {
    match parse_calendar(&Source::new("calendar.toml", text), TimeZone::UTC) {
        Ok((_, problems)) | Err(problems) => problems,
    }
}

fn faults<T>(loaded: Result<(T, Problems), Problems>) -> Problems {
    match loaded {
        Ok((_, problems)) | Err(problems) => problems,
    }
}

/// Exactly one fault, with this code, line and words.
fn only(problems: &Problems, code: &str, line: usize, words: &str) -> Problem {
    let all: Vec<&Problem> = problems.iter().collect();
    assert_eq!(all.len(), 1, "one fault, {code}, was wanted:\n{problems}");
    let problem = all[0];
    let said = format!("{} / {}", problem.message, problem.help);
    assert!(
        problem.code == code && problem.line == line && said.contains(words),
        "{code} in line {line} saying {words:?} was wanted:\n{problems}"
    );
    problem.clone()
}

/// A small file of rules without a fault: a rule for everything, two steps.
const RULES: &str = r#"[hours.normal]
days = "working"
from = "07:30"
until = "17:30"
[[rule]]
id = "chung"
when = { role = ["lead", "coordinator"] }
clock = "completion"
[[rule.step]]
id = "truoc-3"
due = "-3wd"
add = ["handler"]
[[rule.step]]
id = "qua-han-1"
due = "+1wd"
urging = true
add = ["agency_head"]
[[rule]]
id = "bao-cao"
clock = "report"
[[rule.step]]
id = "den-han"
due = "0d"
add = ["handler"]
[[test]]
name = "thử"
task = { deadline = 2026-12-15 }
on = 2026-12-16
expect = { step = "qua-han-1" }
"#;

const SETTINGS: &str = r#"[office]
name = "Văn phòng"
[email]
transport = "smtp"
from = "dondoc@office.example"
allowed_domains = ["hanoi.gov.vn.example"]
[email.smtp]
host = "mail.example"
tls = "starttls"
"#;

const CALENDAR: &str = r#"covers = [2026]
week = ["mon", "tue", "wed", "thu", "fri"]
[[day]]
date = 2026-11-24
kind = "off"
name = "Ngày Văn hóa Việt Nam"
basis = "Nghị quyết 28/2026/QH16"
certainty = "law"
"#;

/// A text with one passage replaced; the passage must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the text");
    text.replacen(from, to, 1)
}

#[test]
fn the_shipped_files_are_without_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let (settings, problems) = Settings::embedded(dir.path()).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    assert!(settings.files.rules.is_file() && settings.files.calendar.is_file());
    assert_eq!(settings.store_url, format!("sqlite:{}", dir.path().join("dondoc.db").display()));
    let (office, problems) =
        load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    let calendar = &office.calendar;
    assert_eq!(calendar.covers, [2025, 2026, 2027, 2028, 2029, 2030]);
    assert_eq!(calendar.calendar.is_working(date(2026, 11, 24)), Ok(false));
    assert_eq!(calendar.calendar.is_working(date(2026, 8, 22)), Ok(true));
    assert_eq!(calendar.calendar.is_working(date(2028, 1, 31)), Ok(false));
    assert!(office.rules.tests.len() >= 10);
    let ids: Vec<&str> = office.rules.rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids[..4], ["mat", "hoa-toc", "thuong-khan", "khan"]);
    let mat = office.rules.rules.get("mat").unwrap();
    assert!(mat.steps.iter().all(|step| step.via == [ChannelKind::Email]));
    let flash = office.rules.rules.get("hoa-toc").unwrap();
    assert_eq!(flash.daily_cap, None);
}

#[test]
fn the_ladder_for_a_lead_agency_is_the_one_promised() {
    let (loaded, _) = rules(shipped::RULES).unwrap_or_else(|p| panic!("{p}"));
    for id in ["ubnd-chu-tri", "dang-chu-tri", "doanh-nghiep-chu-tri"] {
        let rule = loaded.rules.get(id).unwrap();
        let steps: Vec<(String, usize, bool)> =
            rule.steps.iter().map(|s| (s.due.to_string(), s.audiences.len(), s.urging)).collect();
        let promised = [
            ("-10wd", 1, false),
            ("-5wd", 1, false),
            ("-3wd", 1, false),
            ("-1wd", 1, false),
            ("0d", 2, false),
            ("+1wd", 3, true),
            ("+5wd", 5, true),
            ("+10wd", 6, true),
        ];
        assert_eq!(steps, promised.map(|(due, to, urging)| (due.to_owned(), to, urging)), "{id}");
        let last = rule.steps.last().unwrap();
        assert_eq!(last.files, [Filing::Notice]);
        assert_eq!(step_definition(last), "due=+10wd at=08:00 repeat=5wdx8");
    }
}

#[test]
fn an_embedded_folder_keeps_what_is_already_in_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.toml"), "# của cơ quan\n").unwrap();
    Settings::embedded(dir.path()).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("rules.toml")).unwrap(), "# của cơ quan\n");
}

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
        ("urging = true", "was = [\"truoc-3\"]", "was-in-use", 14, "không còn dùng"),
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
        ("clock = \"report\"", "clock = \"report\"\ndaily_cap = 0", "out-of-range", 21, "phải từ 1"),
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
        ("on = 2026-12-16", "on = \"16/12/2026\"", "bad-date", 28, "năm-tháng-ngày"),
        ("on = 2026-12-16", "on = 16/12/2026", "toml-syntax", 28, "2026-12-16"),
        ("deadline = 2026-12-15", "deadline = 2026-12-15T17:00:00Z", "bad-date", 27, "ngày giờ địa phương"),
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
        ("[office]", "[store]\nurl = \"postgres://db/x\"\n[office]", "not-available", 2, "PostgreSQL"),
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
        ("date = 2026-11-24", "date = 2026-11-31", "toml-syntax", 4, "ngày giờ không đúng"),
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
    insta::assert_snapshot!(shown.render(false), @r#"
    lỗi[unknown-audience]: không có loại người nhận `agency_haed`
      --> rules.toml:17:19
       |
    17 | add = ["handler", "agency_haed"]
       |                   ^^^^^^^^^^^^^
       |
       = cách sửa: có phải ý là `agency_head`?
                   dùng được: `handler`, `agency_head`, `agency_deputy`, `agency_contact`, `agency_box`, `monitor`, `superior_head`, `assigner_office`, `inspection`, `person:…`, `email:…`
    "#);
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
fn a_secret_typed_into_a_file_or_the_environment_is_refused_and_never_shown() {
    for typed in [
        "password = \"hunter2\"",
        "password = \"\"\"\nhunter2\n\"\"\"",
        "password = hunter2",
        "smtp_token = \"hunter2\" # hunter2",
        "\"password\" = 'hunter2",
    ] {
        let problems = faults(settings(&format!("{SETTINGS}{typed}\nprt = 1\n"), &[]));
        assert!(problems.iter().count() >= 2, "{typed}: {problems}");
        let said = format!("{problems}{}", problems.to_json());
        assert!(!said.contains("hunter2"), "{typed}: {said}");
    }
    let inline = with(
        SETTINGS,
        "[email.smtp]\nhost = \"mail.example\"\ntls = \"starttls\"\n",
        "smtp = { hots = 1, password = \"hunter2\" }\n",
    );
    let problems = faults(settings(&inline, &[]));
    assert!(problems.iter().any(|p| p.code == "secret-in-settings"), "{problems}");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
    let url =
        format!("{SETTINGS}[zalo]\nmode = \"webhook\"\n[zalo.webhook]\nurl = \"https://me:hunter2@relay.example/\"\n");
    let problems = faults(settings(&url, &[]));
    assert!(problems.iter().any(|p| p.code == "secret-in-settings") && !problems.to_string().contains("hunter2"));
    let problems = faults(settings(SETTINGS, &[("DONDOC_EMAIL__SMTP__PASSWORD", "hunter2")]));
    only(&problems, "secret-in-settings", 1, "_FILE");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[test]
fn secrets_come_from_files_beside_the_settings_or_from_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dondoc.toml");
    let text = format!(
        "{SETTINGS}username = \"dondoc\"\n[zalo]\nmode = \"webhook\"\n[zalo.webhook]\nurl = \"https://relay.example/\"\n"
    );
    fs::write(&path, with(&text, "username", "password_file = \"mat-khau\"\nusername")).unwrap();
    fs::write(dir.path().join("mat-khau"), "từ tệp \r\n").unwrap();
    let credentials = dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("smtp-password"), "từ systemd\n").unwrap();
    fs::write(credentials.join("zalo-webhook-secret"), "mới\ncũ\n").unwrap();
    let vars = || vec![("CREDENTIALS_DIRECTORY".to_owned(), credentials.display().to_string())];
    let password = |settings: &Settings| match &settings.email.transport {
        EmailTransport::Smtp(smtp) => smtp.password.as_ref().map(|secret| secret.expose().to_owned()),
        EmailTransport::Maildir { .. } => None,
    };
    let (read, _) = load_settings(&path, vars()).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(password(&read).as_deref(), Some("từ tệp "), "the file goes before the credential");
    match &read.zalo {
        Zalo::Webhook { secrets, .. } => {
            assert_eq!(secrets.iter().map(|s| s.expose()).collect::<Vec<_>>(), ["mới", "cũ"])
        }
        Zalo::Off => panic!("zalo is on"),
    }
    assert!(!format!("{read:?}").contains("từ tệp"), "no Debug shows a secret");
    fs::write(&path, &text).unwrap();
    let (read, _) = load_settings(&path, vars()).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(password(&read).as_deref(), Some("từ systemd"));
}

#[test]
fn the_environment_replaces_a_value_and_a_slip_in_its_name_is_found() {
    let vars = [
        ("DONDOC_EMAIL__SMTP__HOST", "127.0.0.1"),
        ("DONDOC_EMAIL__SMTP__TLS", "none"),
        ("DONDOC_EMAIL__SMTP__PORT", "2525"),
        ("DONDOC_EMAIL__ALLOWED_DOMAINS", "a.example, b.example"),
        ("DONDOC_BLOCKS__PARTY__FOCAL_AGENCY", "VPTU"),
        ("DONDOC_CONFIG", "/elsewhere"),
    ];
    let (read, problems) = settings(SETTINGS, &vars).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    let EmailTransport::Smtp(smtp) = &read.email.transport else { panic!("smtp") };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("127.0.0.1", 2525, SmtpTls::None));
    assert_eq!(read.email.allowed_domains, ["a.example", "b.example"]);
    assert_eq!(read.blocks[&Block::Party].focal_agency, "VPTU");
    let wrong = only(&faults(settings(SETTINGS, &[("DONDOC_EMAIL__SMTP__PORT", "many")])), "out-of-range", 1, "65535");
    assert_eq!(wrong.file, "DONDOC_EMAIL__SMTP__PORT");
    only(&faults(settings(SETTINGS, &[("DONDOC_EMIAL__FROM", "x")])), "unknown-variable", 1, "`DONDOC_EMAIL__FROM`");
}

#[test]
fn paths_are_relative_to_the_settings_file() {
    let (read, _) = settings(SETTINGS, &[]).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(read.store_url, "sqlite:/etc/dondoc/dondoc.db");
    assert_eq!(read.files.rules, Path::new("/etc/dondoc/rules.toml"));
    assert_eq!(read.notices.directory, Path::new("/etc/dondoc/notices"));
    let text =
        format!("[store]\nurl = \"sqlite:///var/lib/dondoc/d.db\"\n[notices]\ndirectory = \"/srv/phieu\"\n{SETTINGS}");
    let (read, _) = settings(&text, &[]).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(read.store_url, "sqlite:/var/lib/dondoc/d.db");
    assert_eq!(read.notices.directory, Path::new("/srv/phieu"));
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
fn audiences_add_up_and_only_replaces_them() {
    let text = with(
        RULES,
        "add = [\"agency_head\"]\n",
        "add = [\"agency_head\"]\n[[rule.step]]\nid = \"b\"\ndue = \"+2wd\"\nonly = [\"monitor\"]\n[[rule.step]]\nid = \"c\"\ndue = \"+3wd\"\nadd = [\"inspection\"]\n",
    );
    let (loaded, _) = rules(&text).unwrap_or_else(|p| panic!("{p}"));
    let steps = &loaded.rules.get("chung").unwrap().steps;
    let to: Vec<&[Audience]> = steps.iter().map(|step| step.audiences.as_slice()).collect();
    use Audience::*;
    assert_eq!(to, [&[Handler][..], &[Handler, AgencyHead], &[Monitor], &[Monitor, Inspection]]);
}

#[test]
fn a_rule_overrides_the_defaults_and_a_step_its_rule() {
    let text = with(
        RULES,
        "[hours.normal]",
        "[defaults]\nat = \"09:00\"\ndaily_cap = 5\nmax_lateness = \"3d\"\n[hours.urgent]\ndays = \"all\"\nfrom = \"06:00\"\nuntil = \"24:00\"\n[hours.normal]",
    );
    let text = with(
        &text,
        "clock = \"report\"",
        "clock = \"report\"\nhours = \"urgent\"\nat = 10:00:00\nvia = [\"email\", \"zalo\"]\nlate = \"skip\"",
    );
    let text = with(&text, "urging = true", "at = \"11:30\"");
    let (loaded, problems) = rules(&text).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    let (first, report) = (loaded.rules.get("chung").unwrap(), loaded.rules.get("bao-cao").unwrap());
    let at: Vec<String> =
        first.steps.iter().map(|step| format!("{:02}:{:02}", step.at.hour(), step.at.minute())).collect();
    assert_eq!(at, ["09:00", "11:30"]);
    assert_eq!(
        (first.daily_cap, first.clock, first.max_lateness.to_string()),
        (Some(5), Clock::Completion, "+3d".to_owned())
    );
    assert_eq!((report.daily_cap, report.at.hour(), report.hours.until), (None, 10, 1440));
    assert_eq!(report.steps[0].via, [ChannelKind::Email, ChannelKind::Zalo]);
}

#[test]
fn a_step_is_known_by_its_moments_and_by_nothing_else() {
    let definition = |text: &str| {
        let (loaded, _) = rules(text).unwrap_or_else(|p| panic!("{p}"));
        step_definition(&loaded.rules.get("chung").unwrap().steps[1])
    };
    let base = definition(RULES);
    for same in
        [with(RULES, "urging = true", "urging = false"), with(RULES, "add = [\"agency_head\"]", "add = [\"monitor\"]")]
    {
        assert_eq!(definition(&same), base);
    }
    for moved in [
        with(RULES, "due = \"+1wd\"", "due = \"+1d\""),
        with(RULES, "urging = true", "at = \"08:30\""),
        with(RULES, "urging = true", "repeat = { every = \"1wd\", times = 3 }"),
    ] {
        assert_ne!(definition(&moved), base);
    }
}

#[test]
fn a_failed_test_shows_what_was_wanted_what_came_and_why() {
    let text = with(
        RULES,
        "expect = { step = \"qua-han-1\" }",
        "expect = { step = \"qua-han-1\", to = [\"agency_head\", \"handler\"], via = [\"email\"] }",
    );
    let (loaded, _) = rules(&text).unwrap_or_else(|p| panic!("{p}"));
    let outcome = TestOutcome {
        step: Some("qua-han-1".to_owned()),
        to: vec!["handler".to_owned(), "agency_head".to_owned()],
        via: vec!["email".to_owned()],
        files: Vec::new(),
        story: vec!["hạn 15/12/2026".to_owned()],
    };
    let report = run_tests(&loaded.tests, &|_| outcome.clone());
    assert_eq!((report.passed, report.failed), (1, 0), "{}", report.problems);
    let late = TestOutcome { step: Some("truoc-3".to_owned()), to: vec!["handler".to_owned()], ..outcome };
    let report = run_tests(&loaded.tests, &|_| late.clone());
    assert_eq!((report.passed, report.failed), (0, 1));
    let problem = only(&report.problems, "test-failed", 26, "step: mong đợi qua-han-1; thực tế truoc-3");
    assert!(problem.help.contains("to: mong đợi agency_head, handler; thực tế handler"), "{}", problem.help);
    assert!(problem.help.ends_with("hạn 15/12/2026"), "{}", problem.help);
    let (nothing, _) =
        rules(&with(RULES, "step = \"qua-han-1\" }\n", "nothing = true }\n")).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(run_tests(&nothing.tests, &|_| TestOutcome::default()).failed, 0);
    assert_eq!(run_tests(&nothing.tests, &|_| late.clone()).failed, 1);
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

/// What falls due on a test's day by the calendar alone: the last step with a moment on it.
fn by_hand(office: &OfficeFiles, test: &RuleTest) -> TestOutcome {
    let calendar = &office.calendar.calendar;
    let task = test.to_task(calendar);
    let obligation = &task.obligations[0];
    let Some(rule) = office.rules.rules.find(&task, obligation) else { return TestOutcome::default() };
    let base = calendar.effective(test.task.deadline).expect("covered");
    let until = test.on_time.map_or(calendar.end_of(test.on), |time| calendar.instant(test.on, time));
    let on_day = |k: u32, step: &Step| {
        let more = step.repeat.map_or(0, |repeat| repeat.every.n * k as i32);
        let due = Offset { n: step.due.n + more, unit: step.due.unit };
        let at = calendar.fire(base, test.task.deadline.time, due, step.at).expect("covered");
        calendar.date_of(at) == test.on && at <= until
    };
    let due = rule.steps.iter().rev().find(|step| (0..=step.repeat.map_or(0, |r| r.times)).any(|k| on_day(k, step)));
    due.map_or(TestOutcome::default(), |step| TestOutcome {
        step: Some(step.id.clone()),
        to: step.audiences.iter().map(Audience::to_string).collect(),
        via: step.via.iter().map(|channel| channel.to_string()).collect(),
        files: step.files.iter().map(|filing| filing.to_string()).collect(),
        story: vec![format!("quy tắc {}", rule.id)],
    })
}

#[test]
fn the_shipped_tests_hold_by_the_calendar_alone() {
    let dir = tempfile::tempdir().unwrap();
    Settings::embedded(dir.path()).unwrap();
    let (office, _) = load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let report = run_tests(&office.rules.tests, &|test| by_hand(&office, test));
    assert!(report.failed == 0 && report.passed >= 10, "{}", report.problems);
}

struct Planner;

#[async_trait::async_trait]
impl Wiring for Planner {
    fn run_test(&self, _: &OfficeFiles, test: &RuleTest) -> TestOutcome {
        TestOutcome {
            step: test.expect.step.clone(),
            to: test.expect.to.clone().unwrap_or_default(),
            via: test.expect.via.clone().unwrap_or_default(),
            files: test.expect.files.clone().unwrap_or_default(),
            story: Vec::new(),
        }
    }

    async fn unfilled(&self, _: &Settings, _: &[Audience]) -> Vec<Audience> {
        Vec::new()
    }

    fn templates(&self, _: &Settings) -> Problems {
        Problems::default()
    }
}

fn check(dir: &Path, args: &Args) -> Findings {
    let now = Timestamp::constant(1_795_305_600, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(find(args, &dir.join("dondoc.toml"), std::iter::empty(), now, &Planner))
}

#[test]
fn check_answers_zero_without_errors_and_three_with_them() {
    let dir = tempfile::tempdir().unwrap();
    Settings::embedded(dir.path()).unwrap();
    let findings = check(dir.path(), &Args { effective: true });
    let mut out = Vec::new();
    assert_eq!(Shown { json: true, terminal: false }.write(&findings, &mut out).unwrap(), 0);
    let answer: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&out).unwrap();
    assert_eq!((answer["ok"].as_bool(), answer["problems"].as_array().map(Vec::len)), (Some(true), Some(0)));
    assert_eq!(answer["tests"]["failed"], 0);
    let text = to_text(&findings, false);
    assert!(text.ends_with("thử: 16 đạt, 0 không đạt.\n"), "{text}");
    // A step's hour comes from the defaults' line, its audiences from the line that added the last.
    let line = |wanted: &str| shipped::RULES.lines().position(|line| line.starts_with(wanted)).unwrap() + 1;
    let at = format!("  at = \"08:00\"{:44}  # dòng {}\n", "", line("at = "));
    assert!(text.contains(&at), "{text}");
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, with(shipped::RULES, "file = [\"notice\"]", "file = [\"notice\", \"letter\"]")).unwrap();
    let findings = check(dir.path(), &Args::default());
    assert!(findings.ok() && !findings.problems.is_empty(), "a warning alone is no error");
    fs::write(&rules, with(shipped::RULES, "due = \"-5wd\"", "due = -5")).unwrap();
    let findings = check(dir.path(), &Args::default());
    assert_eq!(Shown::default().write(&findings, &mut Vec::new()).unwrap(), 3);
    let json = to_json(&findings);
    let keys: Vec<&str> = json["problems"][0].as_object().unwrap().keys().map(String::as_str).collect();
    for key in ["file", "line", "column", "code", "message", "help"] {
        assert!(keys.contains(&key), "{key} is missing: {json}");
    }
}

/// Words that only a parser or a program says.
const FOREIGN: [&str; 14] = [
    "expected",
    "unexpected",
    "invalid",
    "missing field",
    "unknown field",
    "unknown variant",
    "TOML parse",
    "serde",
    "panic",
    "unwrap",
    "internal",
    "duplicate key",
    "must be",
    "Err(",
];

fn speaks_the_office(problems: &Problems, text: &str) {
    for problem in problems.iter() {
        for said in [&problem.message, &problem.help] {
            // What was typed may say anything.
            let ours: String = said.split('`').step_by(2).collect();
            for foreign in FOREIGN {
                assert!(!ours.contains(foreign) || text.contains(foreign), "{foreign:?} in: {said}");
            }
        }
        assert!(problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty());
        assert!(problem.line <= text.matches('\n').count() + 1, "line {} of {text:?}", problem.line);
    }
    let _ = problems.render(true);
}

/// One way in which a file is spoilt.
fn spoil(text: &str, kind: u8, at: usize, with: usize) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let n = at % lines.len();
    match kind {
        0 => {
            lines.remove(n);
        }
        1 => {
            let m = with % lines.len();
            lines.swap(n, m);
        }
        2 => lines.insert(n, lines[with % lines.len()]),
        3 => lines.truncate(n),
        4 => {
            let mut bytes = text.as_bytes().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << (with % 8);
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        5 => {
            let mut chars: Vec<char> = text.chars().collect();
            let odd = ['"', '[', ']', '{', '}', '=', ',', '\'', '#', '\n', '-', '\u{0}', 'ệ', '\u{202e}', '0', '.'];
            chars.insert(at % chars.len(), odd[with % odd.len()]);
            return chars.into_iter().collect();
        }
        _ => {
            // Two words change places.
            let words: Vec<&str> = text.split_inclusive(' ').collect();
            let mut words = words;
            let (a, b) = (at % words.len(), with % words.len());
            words.swap(a, b);
            return words.concat();
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_spoilt_file_makes_a_reader_panic_or_speak_like_a_parser(
        file in 0usize..3,
        slips in proptest::collection::vec((0u8..7, any::<usize>(), any::<usize>()), 1..4),
    ) {
        let mut text = [shipped::SETTINGS, shipped::RULES, shipped::CALENDAR][file].to_owned();
        for (kind, at, with) in slips {
            if !text.is_empty() {
                text = spoil(&text, kind, at, with);
            }
        }
        let problems = match file {
            0 => faults(settings(&text, &[])),
            1 => faults(rules(&text)),
            _ => calendar(&text),
        };
        speaks_the_office(&problems, &text);
    }
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
