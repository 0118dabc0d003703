//! What an agency's closure does to its ladder, whatever the closure, the deadline and the rule; and that no spoilt text
//! of half-days and closures makes the readers or the judges panic.

use std::sync::LazyLock;

use dondoc::{
    config::{
        calendar_file::{LoadedCalendar, check_closures, parse_calendar},
        calendar_law::check_calendar,
        calendar_words,
        problem::Source,
        rules_file::{RulesContext, parse_rules},
        shipped,
    },
    planning::{
        calendar::{Closure, changes::changes},
        plan::ladder,
        rules::Rules,
        task::{AgencyFacts, AgencyId, ArmedBy, Block, Clock, Deadline, Obligation, Role},
    },
};
use jiff::{
    Timestamp, ToSpan,
    civil::{Date, date},
    tz::TimeZone,
};
use proptest::prelude::*;

use super::loaded_with;

static OFFICE: LazyLock<(LoadedCalendar, Rules)> = LazyLock::new(|| {
    let (rules, _) = parse_rules(&Source::new("rules.toml", shipped::RULES), &RulesContext::unknown()).unwrap();
    (loaded_with(""), rules.rules)
});

fn obligation(deadline: Date) -> Obligation {
    Obligation {
        role: Role::Lead,
        agency: AgencyFacts {
            id: AgencyId(7),
            code: "SNV".into(),
            name: "Sở Nội vụ".into(),
            block: Block::State,
            kind: String::new(),
        },
        clock: Clock::Completion,
        deadline: Some(Deadline { date: deadline, time: None }),
        arming: 1,
        armed_at: Timestamp::UNIX_EPOCH,
        armed_by: ArmedBy::Entered,
        overdue_from: None,
        bound: None,
        acknowledged_until: None,
        ended: false,
    }
}

fn closure(agency: &str, from: Date, days: i64) -> Closure {
    let until = from.saturating_add(days.days());
    Closure { agency: agency.into(), from, until, name: "Nghỉ mát".into(), basis: "TB".into() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_closure_moves_no_deadline_nothing_overdue_and_no_other_agency(
        deadline in 200..1900i64, from in -40..40i64, days in 0..14i64, own in any::<bool>(),
    ) {
        let (loaded, rules) = &*OFFICE;
        let deadline = date(2025, 1, 1).saturating_add(deadline.days());
        let agency = if own { "sở nội vụ" } else { "STC" };
        let closed = closure(agency, deadline.saturating_add(from.days()), days);
        let with = loaded.calendar.clone().with_closures([closed.clone()]);
        let obligation = obligation(deadline);
        let view = with.for_agency(&obligation.agency);
        prop_assert_eq!(with.effective(obligation.deadline.unwrap()), loaded.calendar.effective(obligation.deadline.unwrap()));
        for rule in rules.rules.iter() {
            let before = ladder(&loaded.calendar, rule, &obligation).unwrap();
            let after = ladder(&with, rule, &obligation).unwrap();
            prop_assert_eq!(before.occurrences.len(), after.occurrences.len());
            for was in &before.occurrences {
                let same = |o: &&dondoc::planning::plan::Occurrence<'_>| (&o.step.id, o.number) == (&was.step.id, was.number);
                let is = after.occurrences.iter().find(same).unwrap();
                let ahead = was.step.due.n < 0 && was.step.repeat.is_none();
                if !own || !ahead {
                    prop_assert_eq!(is.at, was.at, "{}", was.step.id);
                } else {
                    prop_assert!(is.at <= was.at, "{}: a closure makes nobody hear later", was.step.id);
                    let day = with.date_of(is.at);
                    if was.step.due.unit == dondoc::planning::rules::Unit::WorkingDays {
                        prop_assert!(view.is_open(day).unwrap(), "{}: told on {day}, when it is closed", was.step.id);
                    }
                }
            }
        }
    }

    #[test]
    fn the_digest_of_a_calendar_changes_with_a_closure_and_a_half_day(from in 0..2000i64, days in 0..9i64) {
        let plain = &OFFICE.0.calendar;
        let from = date(2025, 1, 1).saturating_add(from.days());
        let closed = plain.clone().with_closures([closure("SNV", from, days)]);
        prop_assert_ne!(format!("{plain:?}"), format!("{closed:?}"), "next looks are computed anew when this text changes");
        prop_assert_eq!(changes(plain, &closed).len(), 1);
    }
}

const TEXT: &str = r#"covers = [2026, 2027]
week = ["mon", "tue", "wed", "thu", "fri"]
[[day]]
date = 2026-12-31
kind = "half"
from = "07:30"
until = "12:00"
name = "Tổng kết năm"
basis = "TB 20/TB-VP"
certainty = "estimate"
[[day]]
date = 2027-02-06
kind = "work"
name = "Tết Nguyên đán"
basis = "TB"
certainty = "computed"
[[closure]]
agency = "SNV"
from = 2026-07-20
until = 2026-07-24
name = "Nghỉ mát"
basis = "TB 15/TB-SNV"
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_spoilt_half_day_or_closure_makes_reader_or_judge_panic(
        slips in proptest::collection::vec((0u8..5, any::<usize>(), any::<usize>()), 1..5),
    ) {
        let mut lines: Vec<String> = TEXT.lines().map(str::to_owned).collect();
        for (kind, at, with) in slips {
            let (n, m) = (at % lines.len(), with % lines.len());
            match kind {
                0 if lines.len() > 1 => drop(lines.remove(n)),
                1 => lines.swap(n, m),
                2 => { let line = lines[m].clone(); lines.insert(n, line) },
                3 => {
                    // The value of one line under the key of another.
                    let value = lines[m].split_once('=').map_or("", |(_, value)| value).to_owned();
                    let key = lines[n].split_once('=').map_or("x", |(key, _)| key).to_owned();
                    lines[n] = format!("{key}={value}");
                }
                _ => {
                    let digits = ["9", "0", "-", "\"", "3", "]", "1"];
                    let line = lines[n].clone();
                    if let Some((at, c)) = line.char_indices().nth(with % line.chars().count().max(1)) {
                        lines[n].replace_range(at..at + c.len_utf8(), digits[with % digits.len()]);
                    }
                }
            }
        }
        let zone = TimeZone::get("Asia/Ho_Chi_Minh").unwrap();
        if let Ok((loaded, problems)) = parse_calendar(&Source::new("calendar.toml", lines.join("\n")), zone) {
            prop_assert!(!problems.has_errors());
            let judged = check_calendar(&loaded, date(2026, 1, 1), date(2027, 12, 31));
            let _ = (judged.render(false), check_closures(&loaded, &[("STC".into(), "Sở Tài chính".into())]).render(true));
            for change in changes(&OFFICE.0.calendar, &loaded.calendar) {
                prop_assert!(!calendar_words::change(&change).is_empty());
            }
        }
    }
}
