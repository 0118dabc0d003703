//! What rules mean once they are read: inheritance, added audiences, a step's identity, the comparison of tests.

use super::*;

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
        ..TestOutcome::default()
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
