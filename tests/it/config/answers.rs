//! What `check` answers, to people and to scripts.

use dondoc::{
    cli::{check::Lines, check_lines},
    config::effective,
};

use super::*;

#[test]
fn check_answers_zero_without_errors_and_three_with_them() {
    let dir = tempfile::tempdir().unwrap();
    Settings::embedded(dir.path()).unwrap();
    let findings = check(dir.path(), &Args { effective: true, ..Args::default() });
    let mut out = Vec::new();
    assert_eq!(Shown { json: true, ..Shown::default() }.write(&findings, &mut out).unwrap(), 0);
    let answer: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["ok"], true);
    let codes: Vec<_> = answer["problems"].as_array().unwrap().iter().map(|p| p["code"].clone()).collect();
    let estimated = ["day-estimated", "day-estimated"];
    assert_eq!(codes, estimated, "only what is not decided yet: Tết and 2/9 of the year ahead");
    assert_eq!(answer["tests"]["failed"], 0);
    let text = to_text(&findings, false);
    let count = shipped::RULES.lines().filter(|line| *line == "[[test]]").count();
    assert!(text.ends_with(&format!("thử: {count} đạt, 0 không đạt.\n")), "{text}");
    // A step's hour comes from the defaults' line, its audiences from the line that added the last.
    let line = |wanted: &str| shipped::RULES.lines().position(|line| line.starts_with(wanted)).unwrap() + 1;
    let at = format!("  at = \"08:00\"{:44}  # [defaults], dòng {}\n", "", line("at = "));
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

#[test]
fn a_fault_is_one_line_for_an_editor_and_one_for_a_forge() {
    // What has a meaning in those forms is escaped, a line break within a message too.
    let text = with(RULES, "add = [\"agency_head\"]", "add = [\"a%b:c,d\"]");
    let text = with(&text, "due = \"-3wd\"", "due = -3");
    let problems = faults(parse_rules(&Source::new("thư mục,1:a/rules.toml", text), &context()));
    insta::assert_snapshot!("editor", check_lines::editor(&problems));
    insta::assert_snapshot!("github", check_lines::github(&problems));
    for form in [Lines::Editor, Lines::Github] {
        let findings = Findings { problems: problems.clone(), ..Findings::default() };
        let mut out = Vec::new();
        let code = Shown { lines: Some(form), ..Shown::default() }.write(&findings, &mut out).unwrap();
        assert_eq!((code, String::from_utf8(out).unwrap().lines().count()), (3, problems.iter().count()));
    }
}

#[test]
fn effective_rules_say_where_each_value_comes_from_to_people_and_to_scripts() {
    let text = with(
        RULES,
        "[hours.normal]",
        "[defaults]\nat = \"09:00\"\n[hours.urgent]\ndays = \"all\"\nfrom = \"06:00\"\nuntil = \"24:00\"\n[hours.normal]",
    );
    let text = with(
        &text,
        "clock = \"report\"",
        "clock = \"report\"\nhours = \"urgent\"\nat = \"10:00\"\nbasis = \"Quyết định \\\"1\\\"\"",
    );
    let text = with(
        &text,
        "urging = true",
        "urging = true\nvia = [\"email\", \"zalo\"]\nfile = [\"notice\"]\nrepeat = { every = \"5wd\", times = 8 }",
    );
    let (loaded, _) = rules(&text).unwrap_or_else(|p| panic!("{p}"));
    insta::assert_snapshot!("effective", effective::show(&loaded));
    let json = effective::to_json(&loaded);
    let step = &json[0]["steps"][1];
    let line = |wanted: &str| text.lines().position(|line| line.starts_with(wanted)).unwrap() + 1;
    assert_eq!(
        step["repeat"],
        serde_json::json!({"value": {"every": "5wd", "times": 8}, "from": "step", "line": line("repeat")})
    );
    assert_eq!(step["at"], serde_json::json!({"value": "09:00", "from": "defaults", "line": line("at = ")}));
    assert_eq!(json[1]["at"]["from"], "rule");
    assert_eq!(json[0]["late"], serde_json::json!({"value": "latest", "from": "built-in", "line": null}));
    assert_eq!(json[1]["daily_cap"]["value"], serde_json::Value::Null);
}

#[test]
fn schema_and_lines_are_flags_of_check() {
    use clap::Parser as _;
    #[derive(clap::Parser)]
    struct Call {
        #[command(flatten)]
        args: Args,
    }
    let args = |flags: &[&str]| Call::try_parse_from([&["check"], flags].concat()).map(|call| call.args);
    assert_eq!(args(&["--schema"]).unwrap().schema, Some(dondoc::config::schema::File::Rules));
    assert_eq!(args(&["--schema", "calendar"]).unwrap().schema, Some(dondoc::config::schema::File::Calendar));
    assert_eq!(args(&["--editor"]).unwrap().lines(), Some(Lines::Editor));
    assert_eq!(args(&["--annotations", "github"]).unwrap().lines(), Some(Lines::Github));
    assert!(args(&["--annotations", "github", "--editor"]).is_err());
}
