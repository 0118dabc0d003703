//! What a clerk may plausibly do to rules.toml, and what the screen answers: each answer was read as that clerk.

use super::*;

/// (name, what stands in the small file of rules, what the clerk makes of it)
const SLIPS: &[(&str, &str, &str)] = &[
    ("curly_quotes", "add = [\"agency_head\"]", "add = [“agency_head”]"),
    ("curly_quotes_inside_a_table", "{ role = [\"lead\", \"coordinator\"] }", "{ role = “lead” }"),
    ("no_quotes_around_an_offset", "due = \"-3wd\"", "due = -3wd"),
    ("no_quotes_around_a_word", "add = [\"agency_head\"]", "add = [agency_head]"),
    ("no_quotes_around_vietnamese", "name = \"thử\"", "name = thử một ngày sau hạn"),
    ("bare_number", "due = \"-3wd\"", "due = -3"),
    ("unit_in_vietnamese", "due = \"-3wd\"", "due = \"-3 ngày làm việc\""),
    ("offset_in_words", "due = \"-3wd\"", "due = \"trước 3 ngày\""),
    ("long_dash", "due = \"-3wd\"", "due = \"–3wd\""),
    ("plus_forgotten", "due = \"+1wd\"", "due = \"1wd\""),
    ("list_without_brackets", "add = [\"agency_head\"]", "add = \"agency_head\", \"monitor\""),
    ("list_in_one_text", "add = [\"agency_head\"]", "add = \"agency_head, monitor\""),
    ("words_without_brackets_and_quotes", "add = [\"agency_head\"]", "add = agency_head, monitor"),
    ("bracket_not_closed", "add = [\"agency_head\"]", "add = [\"agency_head\", \"monitor\""),
    ("brace_not_closed", "{ role = [\"lead\", \"coordinator\"] }", "{ role = [\"lead\", \"coordinator\"]"),
    ("round_brackets", "add = [\"agency_head\"]", "add = (\"agency_head\")"),
    ("comma_forgotten", "add = [\"agency_head\"]", "add = [\"agency_head\" \"monitor\"]"),
    ("comma_forgotten_in_a_table", "{ role = [\"lead\", \"coordinator\"] }", "{ role = \"lead\" block = \"state\" }"),
    ("semicolon", "add = [\"agency_head\"]", "add = [\"agency_head\"];"),
    ("colon", "due = \"-3wd\"", "due: \"-3wd\""),
    ("equals_forgotten", "due = \"-3wd\"", "due \"-3wd\""),
    ("two_equals", "due = \"-3wd\"", "due == \"-3wd\""),
    ("value_forgotten", "due = \"-3wd\"", "due ="),
    ("quote_not_closed", "due = \"-3wd\"", "due = \"-3wd"),
    ("mixed_quotes", "due = \"-3wd\"", "due = \"-3wd'"),
    ("vietnamese_key", "due = \"-3wd\"", "hạn = \"-3wd\""),
    ("vietnamese_key_without_marks", "due = \"-3wd\"", "thoi_han = \"-3wd\""),
    ("vietnamese_value", "role = [\"lead\", \"coordinator\"]", "role = [\"chủ trì\", \"phối hợp\"]"),
    ("vietnamese_audience", "add = [\"agency_head\"]", "add = [\"người đứng đầu\"]"),
    ("vietnamese_condition", "when = { role", "when = { vai_tro"),
    ("capital_letters", "urging = true", "Urging = True"),
    ("yes_in_vietnamese", "urging = true", "urging = có"),
    ("yes_as_text", "urging = true", "urging = \"true\""),
    ("hour_without_quotes", "from = \"07:30\"", "from = 7:30"),
    ("hour_with_h", "from = \"07:30\"", "from = \"7h30\""),
    ("hour_as_number", "from = \"07:30\"", "from = 7.30"),
    ("date_the_vietnamese_way", "on = 2026-12-16", "on = 16/12/2026"),
    ("date_the_vietnamese_way_quoted", "on = 2026-12-16", "on = \"16/12/2026\""),
    ("date_with_dashes_turned_round", "on = 2026-12-16", "on = 16-12-2026"),
    ("date_without_a_zero", "on = 2026-12-16", "on = 2026-12-6"),
    ("date_that_is_none", "on = 2026-12-16", "on = 2026-11-31"),
    ("date_with_an_hour", "on = 2026-12-16", "on = 2026-12-16 8:00"),
    ("section_with_one_bracket", "[[rule.step]]\nid = \"qua-han-1\"", "[rule.step]\nid = \"qua-han-1\""),
    ("first_rule_with_one_bracket", "[[rule]]\nid = \"chung\"", "[rule]\nid = \"chung\""),
    ("step_under_a_name_of_its_own", "[[rule.step]]\nid = \"qua-han-1\"", "[[step]]\nid = \"qua-han-1\""),
    ("section_in_vietnamese", "[[rule]]\nid = \"bao-cao\"", "[[quy_tac]]\nid = \"bao-cao\""),
    ("section_header_not_closed", "[[rule.step]]\nid = \"qua-han-1\"", "[[rule.step]\nid = \"qua-han-1\""),
    ("key_twice", "urging = true", "urging = true\nurging = false"),
    ("spaces_that_are_none", "urging = true", "\u{a0}\u{a0}urging = true"),
    ("invisible_character_in_a_key", "urging = true", "urg\u{200b}ing = true"),
    ("blank_in_an_id", "id = \"truoc-3\"", "id = \"trước 3 ngày\""),
    ("comment_with_slashes", "urging = true", "urging = true // đôn đốc lần 1"),
    ("line_of_prose", "urging = true", "Từ đây là các bước quá hạn"),
    ("repeat_as_text", "urging = true", "repeat = \"5wd\""),
    ("repeat_in_words", "urging = true", "repeat = { every = 5, times = \"8\" }"),
    ("two_rules_of_one_name", "id = \"bao-cao\"", "id = \"chung\""),
    ("two_values_on_one_line", "id = \"truoc-3\"\ndue = \"-3wd\"", "id = \"truoc-3\" due = \"-3wd\""),
    ("address_without_its_word", "add = [\"agency_head\"]", "add = [\"vanthu@so.hanoi.gov.vn.example\"]"),
    ("number_with_a_dot", "clock = \"report\"", "clock = \"report\"\ndaily_cap = 1.000"),
    ("no_cap_wanted", "clock = \"report\"", "clock = \"report\"\ndaily_cap = 0"),
];

#[test]
fn what_a_clerk_gets_wrong_is_answered_in_a_clerks_words() {
    for (name, from, to) in SLIPS {
        let problems = faults(rules(&with(RULES, from, to)));
        assert!(problems.has_errors(), "{name} is no fault?");
        insta::assert_snapshot!(format!("clerk__{name}"), format!("{to}\n\n{problems}"));
    }
}

#[test]
fn one_slip_gets_few_answers() {
    for (name, from, to) in SLIPS {
        let problems = faults(rules(&with(RULES, from, to)));
        // Two where the slip is two slips (`every` and `times`, `Urging` and `True`).
        assert!(problems.iter().count() <= 2, "{name}:\n{problems}");
    }
}
