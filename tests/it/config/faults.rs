//! Each fault that can be found, as it is shown: one whole message a code, and no code without one.

use std::{collections::BTreeSet, path::PathBuf};

use dondoc::config::rule_sense::check_dates;

use super::*;

/// Rules that come after the small file's own.
fn rule(id: &str, when: &str, more: &str, steps: &str) -> String {
    format!("[[rule]]\nid = \"{id}\"\nwhen = {{ {when} }}\nclock = \"completion\"\n{more}\n{steps}")
}

const STEP: &str = "[[rule.step]]\nid = \"den-han\"\ndue = \"0d\"\nadd = [\"handler\"]\n";

/// A rule before the small file's first, so that it is reached.
fn before(text: &str) -> String {
    with(RULES, "[[rule]]\nid = \"chung\"", &format!("{text}[[rule]]\nid = \"chung\""))
}

fn edit(from: &str, to: &str) -> String {
    with(RULES, from, to)
}

/// (code, or code and what tells it from another of the same code; rules.toml)
fn of_rules() -> Vec<(&'static str, String)> {
    let classified = |more: &str| before(&rule("mat", &format!("secrecy = \"confidential\"{more}"), "", STEP));
    vec![
        ("unknown-key", edit("urging = true", "urgin = true")),
        ("unknown-key__step_key_in_the_rule", edit("clock = \"report\"", "clock = \"report\"\ndue = \"0d\"")),
        ("unknown-key__rule_key_in_a_step", edit("urging = true", "hours = \"normal\"")),
        ("unknown-key__default_at_the_top", edit("[hours.normal]", "daily_cap = 5\n[hours.normal]")),
        ("unknown-key__condition_outside_when", edit("clock = \"report\"", "clock = \"report\"\nblock = \"state\"")),
        ("wrong-type", edit("urging = true", "urging = \"true\"")),
        ("wrong-type__single_bracket", edit("[[test]]", "[test]")),
        ("missing-unit", edit("due = \"-3wd\"", "due = -3")),
        ("missing-sign", edit("due = \"-3wd\"", "due = \"3wd\"")),
        ("unknown-unit", edit("due = \"-3wd\"", "due = \"-3days\"")),
        ("bad-offset", edit("due = \"-3wd\"", "due = \"wd\"")),
        ("bad-time", edit("urging = true", "at = \"25:00\"")),
        ("bad-id", edit("id = \"truoc-3\"", "id = \"trước hạn\"")),
        ("bad-date", edit("on = 2026-12-16", "on = \"mai\"")),
        ("bad-date__far", edit("on = 2026-12-16", "on = 9999-12-16")),
        ("bad-date__with_a_zone", edit("deadline = 2026-12-15", "deadline = 2026-12-15T17:00:00Z")),
        ("bad-address", edit("add = [\"agency_head\"]", "add = [\"email:a@\"]")),
        ("domain-not-allowed", edit("add = [\"agency_head\"]", "add = [\"email:a@b.example\"]")),
        ("out-of-range", edit("due = \"-3wd\"", "due = \"-30000wd\"")),
        ("out-of-range__repeat", edit("urging = true", "repeat = { every = \"5000wd\", times = 1000 }")),
        ("unit-mismatch", edit("urging = true", "repeat = { every = \"5d\", times = 2 }")),
        ("missing-key", edit("due = \"-3wd\"\n", "")),
        ("missing-key__id", edit("id = \"truoc-3\"\n", "")),
        ("duplicate-id__rule", edit("id = \"bao-cao\"", "id = \"chung\"")),
        ("duplicate-id", edit("id = \"truoc-3\"\n", "id = \"qua-han-1\"\n")),
        ("duplicate-name", format!("{RULES}{}", &RULES[RULES.find("[[test]]").unwrap()..])),
        ("was-in-use", edit("urging = true", "was = [\"truoc-3\"]")),
        ("was-in-use__rule", edit("clock = \"report\"", "clock = \"report\"\nwas = \"chung\"")),
        ("reserved-id", edit("id = \"bao-cao\"", "id = \"trang-thai\"")),
        (
            "unreachable-rule",
            format!("{}{}", edit("[[test]]", ""), "").replace(TEST_BODY, "")
                + &rule("thua", "block = \"party\"", "", STEP),
        ),
        ("contradictory-when", classified(", field = \"Y tế\"")),
        (
            "contradictory-when__report",
            format!("{RULES}{}", rule("x", "role = \"coordinator\"", "", STEP).replace("completion", "report"))
                .replace("[[rule]]\nid = \"bao-cao\"\n", "[[rule]]\nid = \"bao-cao\"\nwhen = { role = \"lead\" }\n"),
        ),
        ("uncovered-tasks", edit("{ role = [\"lead\", \"coordinator\"] }", "{ urgency = [\"normal\", \"urgent\"] }")),
        (
            "uncovered-tasks__report",
            edit("id = \"bao-cao\"\n", "id = \"bao-cao\"\nwhen = { block = [\"state\", \"party\"] }\n"),
        ),
        ("steps-out-of-order", edit("due = \"-3wd\"", "due = \"+3wd\"")),
        ("steps-same-moment", edit("due = \"-3wd\"", "due = \"+1wd\"")),
        ("repeat-overlaps", edit("due = \"-3wd\"", "due = \"-3wd\"\nrepeat = { every = \"1wd\", times = 4 }")),
        ("file-before-deadline", edit("due = \"-3wd\"", "due = \"-3wd\"\nfile = [\"notice\"]")),
        (
            "file-before-deadline__on_the_day",
            edit("add = [\"handler\"]\n[[test]]", "add = [\"handler\"]\nfile = [\"notice\"]\n[[test]]"),
        ),
        ("urging-before-deadline", edit("due = \"-3wd\"", "due = \"-3wd\"\nurging = true")),
        ("lateness-in-hours", edit("clock = \"report\"", "clock = \"report\"\nmax_lateness = \"4h\"")),
        ("unknown-audience", edit("\"agency_head\"", "\"agency_haed\"")),
        ("no-audience", edit("add = [\"agency_head\"]", "only = []")),
        ("no-audience__from_the_first_step", edit("due = \"-3wd\"\nadd = [\"handler\"]", "due = \"-3wd\"")),
        ("repeated-audience", edit("add = [\"agency_head\"]", "add = [\"handler\"]")),
        ("repeated-value", edit("urging = true", "via = [\"email\", \"email\"]")),
        ("add-and-only", edit("add = [\"agency_head\"]", "add = []\nonly = [\"monitor\"]")),
        ("audience-unset", edit("\"agency_head\"", "\"inspection\"")),
        ("unknown-value", edit("urging = true", "via = [\"mail\"]")),
        ("empty-value", edit("clock = \"report\"", "clock = \"report\"\nwhen = { block = [] }")),
        ("channel-off", edit("urging = true", "via = [\"zalo\"]")),
        ("classified-zalo", classified("").replace("due = \"0d\"", "due = \"0d\"\nvia = [\"email\", \"zalo\"]")),
        ("classified-audience", classified("").replacen("[\"handler\"]", "[\"handler\", \"agency_box\"]", 1)),
        ("unknown-hours", edit("clock = \"report\"", "clock = \"report\"\nhours = \"norml\"")),
        ("unknown-hours__none_at_all", RULES[RULES.find("[[rule]]").unwrap()..].to_owned()),
        ("unused-hours", format!("[hours.sang]\ndays = \"all\"\nfrom = \"06:00\"\nuntil = \"09:00\"\n{RULES}")),
        ("hours-reversed", edit("until = \"17:30\"", "until = \"06:00\"")),
        ("outside-hours", edit("urging = true", "at = \"20:00\"")),
        (
            "outside-hours__waiting",
            edit("clock = \"report\"", "clock = \"report\"\nat = \"05:00\"").replace("due = \"0d\"", "due = \"+2h\""),
        ),
        ("at-unused", edit("due = \"+1wd\"", "due = \"+8h\"\nat = \"09:00\"")),
        ("letter-unavailable", edit("urging = true", "file = [\"letter\"]")),
        ("no-step", edit(STEP, "")),
        ("no-rule", RULES[..RULES.find("[[rule]]").unwrap()].to_owned()),
        ("unknown-step", edit("step = \"qua-han-1\"", "step = \"qua-han-2\"")),
        ("unknown-rule", edit("step = \"qua-han-1\"", "rule = \"chug\"")),
        ("nothing-and-more", edit("step = \"qua-han-1\"", "nothing = true, step = \"qua-han-1\"")),
        ("empty-value__expect", edit("{ step = \"qua-han-1\" }", "{ }")),
        ("test-before-entry", edit("deadline = 2026-12-15", "deadline = 2026-12-15, entered = 2026-12-17")),
        ("toml-syntax", edit("add = [\"agency_head\"]", "add = [\"agency_head\"")),
    ]
}

const TEST_BODY: &str =
    "name = \"thử\"\ntask = { deadline = 2026-12-15 }\non = 2026-12-16\nexpect = { step = \"qua-han-1\" }\n";

fn of_settings() -> Vec<(&'static str, String)> {
    let edit = |from: &str, to: &str| with(SETTINGS, from, to);
    let section = |text: &str| edit("[office]", &format!("{text}\n[office]"));
    vec![
        ("secret-in-settings", format!("{SETTINGS}password = \"hunter2\"\n")),
        ("missing-secret", edit("tls = \"starttls\"", "tls = \"starttls\"\nusername = \"u\"")),
        ("secret-unreadable", edit("tls = \"starttls\"", "tls = \"starttls\"\npassword_file = \"x/y\"")),
        ("plain-text-smtp", edit("tls = \"starttls\"", "tls = \"none\"")),
        ("bad-domain", edit("[\"hanoi.gov.vn.example\"]", "[\"*.gov.vn.example\"]")),
        ("address-not-allowed", edit("transport = ", "operator = \"van-hanh@noi-khac.example\"\ntransport = ")),
        ("unknown-time-zone", edit("name = \"Văn phòng\"", "name = \"V\"\ntime_zone = \"Asia/Ho_Chi_Min\"")),
        ("bad-schedule", section("[scan]\nschedule = \"* * * * *\"")),
        ("not-available", section("[zalo]\nmode = \"oa\"")),
        ("plain-text-store", section("[store]\nurl = \"postgres://dondoc@db.office.example/dondoc\"")),
        ("secret-in-settings__store", section("[store]\nurl = \"postgres://dondoc:hunter2@127.0.0.1/dondoc\"")),
        ("bad-store-url", section("[store]\nurl = \"sqlite::memory:\"")),
        ("not-loopback", section("[web]\nlisten = \"0.0.0.0:80\"")),
        ("bad-url", section("[web]\npublic_url = \"dondoc\"")),
        ("plain-text-url", section("[zalo]\nmode = \"off\"\n[zalo.webhook]\nurl = \"http://relay.example/\"")),
        ("no-directory", section("[files]\ntemplates = \"không-có\"")),
    ]
}

fn of_calendar() -> Vec<(&'static str, String)> {
    let edit = |from: &str, to: &str| with(CALENDAR, from, to);
    vec![
        ("duplicate-day", format!("{CALENDAR}{}", &CALENDAR[CALENDAR.find("[[day]]").unwrap()..])),
        ("day-not-covered", edit("date = 2026-11-24", "date = 2027-11-24")),
        ("already-off", edit("date = 2026-11-24", "date = 2026-11-22")),
        ("closure-overlaps", {
            let closure = |from: &str, until: &str| {
                format!(
                    "[[closure]]\nagency = \"SNV\"\nfrom = {from}\nuntil = {until}\nname = \"Nghỉ\"\nbasis = \"TB\"\n"
                )
            };
            format!("{CALENDAR}{}{}", closure("2026-07-20", "2026-07-24"), closure("2026-07-23", "2026-07-28"))
        }),
        ("already-worked", edit("kind = \"off\"", "kind = \"work\"")),
    ]
}

#[test]
fn each_fault_of_the_calendar_reads_well() {
    for (name, text) in of_calendar() {
        show(name, &calendar(&text));
    }
    let (loaded, _) =
        parse_calendar(&Source::new("calendar.toml", CALENDAR), TimeZone::UTC).unwrap_or_else(|p| panic!("{p}"));
    show("year-not-covered", &check_horizon(&loaded, date(2026, 12, 1), date(2027, 12, 1)));
}

fn show(name: &str, problems: &Problems) {
    let code = name.split("__").next().unwrap();
    assert!(problems.iter().any(|p| p.code == code), "{name} was wanted:\n{problems}");
    // A slip is answered once; two kinds of task without a rule, or two rules without hours, are two answers.
    let alone = problems.iter().count() == 1 || ["uncovered-tasks", "unknown-hours"].contains(&code);
    assert!(alone, "{name} alone was wanted:\n{problems}");
    insta::assert_snapshot!(format!("fault__{name}"), problems.render(false));
}

#[test]
fn each_fault_of_rules_reads_well() {
    let mut context = context();
    for (name, text) in of_rules() {
        context.inspection = name != "audience-unset";
        show(name, &faults(parse_rules(&Source::new("rules.toml", text), &context)));
    }
}

#[test]
fn each_fault_of_settings_reads_well() {
    for (name, text) in of_settings() {
        show(name, &faults(settings(&text, &[])));
    }
    show("unknown-variable", &faults(settings(SETTINGS, &[("DONDOC_EMIAL__FROM", "x")])));
}

#[test]
fn each_fault_of_a_file_as_a_whole_reads_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dondoc.toml");
    let shown = |problems: Problems| problems.render(false).replace(&dir.path().display().to_string(), "…");
    insta::assert_snapshot!("fault__file-unreadable", shown(load_settings(&path, std::iter::empty()).unwrap_err()));
    fs::write(&path, [b'a', b'\n', b'b', 0xff]).unwrap();
    insta::assert_snapshot!("fault__not-utf8", shown(load_settings(&path, std::iter::empty()).unwrap_err()));
    fs::write(&path, [0xff, 0xfe, b'a', 0]).unwrap();
    insta::assert_snapshot!("fault__not-utf8__notepad", shown(load_settings(&path, std::iter::empty()).unwrap_err()));
    fs::write(dir.path().join("khoa"), "\n").unwrap();
    fs::write(&path, with(SETTINGS, "tls = \"starttls\"", "tls = \"starttls\"\npassword_file = \"khoa\"")).unwrap();
    insta::assert_snapshot!("fault__empty-secret", shown(load_settings(&path, std::iter::empty()).unwrap_err()));
}

#[test]
fn each_fault_found_with_the_directory_the_day_and_the_planner_reads_well() {
    let (loaded, _) = rules(RULES).unwrap_or_else(|p| panic!("{p}"));
    show("audience-empty", &check_audiences(&loaded, &|audience| *audience != Audience::AgencyHead));
    let late = edit("clock = \"report\"", "clock = \"report\"\neffective_from = 2062-01-01");
    let (loaded, _) = rules(&late).unwrap_or_else(|p| panic!("{p}"));
    show("effective-late", &check_dates(&loaded, date(2026, 12, 1)));
    assert!(check_dates(&loaded, date(2061, 12, 1)).is_empty(), "a rule for next month is nothing strange");
}

/// The codes that the sources give, each with where. A code is the second argument of `error` and `warning`, the third
/// of `Problem::new` and `at_file`'s second.
fn codes(text: &str) -> BTreeSet<String> {
    let kebab = |word: &str| {
        word.contains('-')
            && word
                .split('-')
                .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
    };
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = BTreeSet::new();
    for (call, nth) in [(".error(", 1), (".warning(", 1), ("Problem::new(", 2), ("at_file(", 1)] {
        for (at, _) in text.match_indices(call) {
            let (mut depth, mut quote, mut escaped) = (0, false, false);
            let mut arguments = vec![String::new()];
            for c in text[at + call.len()..].chars() {
                match (quote, c) {
                    (true, '"') if !escaped => quote = false,
                    (false, '"') => quote = true,
                    (false, '(' | '[' | '{') => depth += 1,
                    (false, ')' | ']' | '}') if depth == 0 => break,
                    (false, ')' | ']' | '}') => depth -= 1,
                    (false, ',') if depth == 0 => {
                        arguments.push(String::new());
                        continue;
                    }
                    _ => {}
                }
                escaped = c == '\\' && !escaped;
                arguments.last_mut().unwrap().push(c);
            }
            if let Some(code) = arguments.get(nth).map(|a| a.trim().trim_matches('"')).filter(|code| kebab(code)) {
                found.insert(code.to_owned());
            }
        }
    }
    found
}

fn files(directory: &str, extension: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            match entry.is_dir() {
                true => open.push(entry),
                false if entry.extension().is_some_and(|e| extension.iter().any(|want| e == *want)) => {
                    found.push(entry)
                }
                false => {}
            }
        }
    }
    found
}

#[test]
fn no_fault_is_without_its_whole_message_on_record() {
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap();
    let mut codes_given: BTreeSet<String> = files("src/config", &["rs"]).iter().flat_map(|p| codes(&read(p))).collect();
    codes_given.insert("toml-syntax".to_owned());
    assert!(codes_given.len() > 60, "the codes are not where this test looks: {codes_given:?}");
    // A snapshot in a file, or written into a test.
    let records: Vec<String> =
        [files("tests/it", &["snap", "rs"]), files("src", &["snap", "rs"])].concat().iter().map(read).collect();
    let shown = |code: &str| {
        let marks = [format!("lỗi[{code}]: "), format!("cảnh báo[{code}]: ")];
        records.iter().any(|record| marks.iter().any(|mark| record.contains(mark)))
    };
    let without: Vec<&String> = codes_given.iter().filter(|code| !shown(code)).collect();
    assert!(without.is_empty(), "no snapshot shows: {without:?}");
}

#[test]
fn a_code_is_found_wherever_it_is_given() {
    let source = "faults.error(&place, \"a-b\", format!(\"x, {}\", \"c-d\"), \"e-f\"); table.error(\n&table.place_of(\"on-ly\"),\n\"g-h\",\nm);\nProblem::new(Severity::Error, &place, \"i-j\", m, h);\n#[cfg(test)] x.error(&p, \"k-l\")";
    assert_eq!(codes(source).into_iter().collect::<Vec<_>>(), ["a-b", "g-h", "i-j"]);
}
