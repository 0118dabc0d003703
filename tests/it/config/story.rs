//! A `[[test]]` that fails says what came out instead, step by step; and what a test may pin, it pins.

use dondoc::cli::wiring::run_test;

use super::*;

/// The shipped calendar and settings with the small rules and one test.
fn report(rules_text: &str, test: &str) -> dondoc::config::rule_test::TestReport {
    let dir = tempfile::tempdir().unwrap();
    Settings::embedded(dir.path()).unwrap();
    let (mut office, _) =
        load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    let text = format!(
        "{}[[test]]\n{test}\n",
        &rules_text[..rules_text.find("\n[[test]]").map_or(rules_text.len(), |at| at + 1)]
    );
    office.rules = rules(&text).unwrap_or_else(|p| panic!("{p}")).0;
    run_tests(&office.rules.tests, &|test| run_test(&office, test))
}

fn passes(test: &str) {
    let report = report(shipped::RULES, test);
    assert_eq!((report.passed, report.failed), (1, 0), "{test}\n{}", report.problems);
}

/// Fails, and says so in a line that holds these words.
fn fails(test: &str, words: &str) {
    let report = report(shipped::RULES, test);
    assert_eq!((report.passed, report.failed), (0, 1), "{test}");
    assert!(report.problems.to_string().contains(words), "{words:?} is not in:\n{}", report.problems);
}

/// The small rules behind a rule for classified tasks and one for flash ones.
fn small() -> String {
    let rule = |id: &str, when: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nwhen = {{ {when} }}\nclock = \"completion\"\n[[rule.step]]\nid = \"den-han\"\ndue = \"0d\"\nadd = [\"handler\"]\n"
        )
    };
    let more = rule("mat", "secrecy = \"confidential\"") + &rule("hoa-toc", "urgency = [\"flash\", \"very_urgent\"]");
    with(RULES, "[[rule]]\nid = \"chung\"", &format!("{more}[[rule]]\nid = \"chung\""))
}

#[test]
fn a_failed_test_tells_its_whole_story() {
    // A Sunday: the deadline rolls to Monday; 24/11 lies between it and the step before.
    let test = "name = \"nhầm bước\"\ntask = { deadline = 2026-11-22 }\non = 2026-11-25\nexpect = { step = \"truoc-3\", to = [\"handler\"], send_at = 2026-11-25T09:00:00 }";
    insta::assert_snapshot!("fault__test-failed", report(&small(), test).problems.render(false));
    // Nothing fell on the day; what is near is told.
    let test =
        "name = \"không có gì\"\ntask = { deadline = 2027-02-10 }\non = 2027-02-04\nexpect = { step = \"truoc-3\" }";
    insta::assert_snapshot!("fault__test-failed__nothing", report(&small(), test).problems.render(false));
    // A year without a list is told as what to do.
    let test =
        "name = \"năm chưa có\"\ntask = { deadline = 2031-02-10 }\non = 2031-02-11\nexpect = { step = \"qua-han-1\" }";
    insta::assert_snapshot!("fault__test-failed__year", report(&small(), test).problems.render(false));
}

#[test]
fn a_test_may_pin_the_rule_the_urging_and_the_moment_it_leaves() {
    let base = "name = \"a\"\ntask = { role = \"lead\", block = \"state\", deadline = 2026-12-15 }\non = 2026-12-16\n";
    passes(&format!("{base}expect = {{ rule = \"ubnd-chu-tri\", step = \"qua-han-1\", urging = true }}"));
    fails(&format!("{base}expect = {{ rule = \"khan\" }}"), "rule: mong đợi khan; thực tế ubnd-chu-tri");
    fails(&format!("{base}expect = {{ urging = false }}"), "urging: mong đợi không tính; thực tế có tính");
    passes(&format!("{base}expect = {{ send_at = 2026-12-16T08:00:00 }}"));
    fails(&format!("{base}expect = {{ send_at = 2026-12-16T09:00:00 }}"), "16/12/2026 08:00");
    // What falls due at night waits for the hours.
    let night = "name = \"b\"\ntask = { urgency = \"flash\", deadline = 2026-12-15 }\non = 2026-12-15\n";
    passes(&format!("{night}expect = {{ step = \"truoc-4-gio\", rule = \"hoa-toc\", send_at = 2026-12-15T20:00:00 }}"));
    let waits =
        "name = \"c\"\ntask = { urgency = \"flash\", deadline = 2026-12-15T05:00:00 }\non = 2026-12-15T02:00:00\n";
    passes(&format!("{waits}expect = {{ send_at = 2026-12-15T07:00:00 }}"));
    passes(
        &format!("{base}expect = {{ rule = \"ubnd-chu-tri\", nothing = true }}").replace("2026-12-16", "2026-12-17"),
    );
}

#[test]
fn a_test_may_say_in_which_state_the_work_stands() {
    let paused = "name = \"a\"\ntask = { state = \"paused\", deadline = 2026-12-15 }\non = 2026-12-16\nexpect = { nothing = true }";
    passes(paused);
    fails(&paused.replace("paused", "in_progress"), "bước qua-han-1");
    fails(&paused.replace("nothing = true", "urging = true"), "không có bước nào");
}

#[test]
fn a_test_of_late_entry_gets_the_severest_past_step_once() {
    passes(
        "name = \"a\"\ntask = { deadline = 2026-12-15, entered = 2026-12-17T10:00:00 }\non = 2026-12-17\nexpect = { step = \"qua-han-1\", send_at = 2026-12-17T10:00:00 }",
    );
}
