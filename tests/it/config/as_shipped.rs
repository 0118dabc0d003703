//! The files as shipped: without a fault, with the ladder that was promised.

use dondoc::planning::task::Secrecy;

use super::*;

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
    let at = |id: &str| ids.iter().position(|known| *known == id).unwrap();
    assert!(ids[..at("mat")].iter().all(|id| id.starts_with("mat-")), "classified tasks first: {ids:?}");
    let order = ["mat", "hoa-toc", "thuong-khan", "khan", "ubnd-chu-tri"].map(at);
    assert!(order.is_sorted(), "the narrow rules stand above the wide ones: {ids:?}");
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
        ..TestOutcome::default()
    })
}

#[test]
fn the_shipped_tests_hold_by_the_calendar_alone() {
    let dir = tempfile::tempdir().unwrap();
    Settings::embedded(dir.path()).unwrap();
    let (office, _) = load_all(&dir.path().join("dondoc.toml"), std::iter::empty()).unwrap_or_else(|p| panic!("{p}"));
    // What was entered late and what may not be said electronically is not for the calendar alone to tell.
    let plain = |test: &&RuleTest| {
        test.task.entered.is_none() && matches!(test.task.secrecy, Secrecy::Open | Secrecy::Confidential)
    };
    let tests: Vec<RuleTest> = office.rules.tests.iter().filter(plain).cloned().collect();
    let report = run_tests(&tests, &|test| by_hand(&office, test));
    assert!(report.failed == 0 && report.passed >= 30, "{}", report.problems);
}
