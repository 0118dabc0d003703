//! Each kind of fault is found where it stands, and the shipped templates have none.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::message::{catalogue::*, sample::kinds, texts::Texts, view};

fn own(templates: &[(&str, &str)]) -> BTreeMap<String, String> {
    templates.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect()
}

/// The shipped source with one passage replaced; the passage must be there.
fn changed(name: &str, from: &str, to: &str) -> (String, String) {
    let source = entry(name).unwrap().source;
    assert!(source.contains(from), "{from} is not in {name}");
    (name.to_owned(), source.replacen(from, to, 1))
}

/// The faults as they are told: code, place, the marked passage, message and help.
fn told(overrides: &BTreeMap<String, String>) -> String {
    lines(&check(overrides), overrides)
}

fn lines(faults: &[Fault], overrides: &BTreeMap<String, String>) -> String {
    let lines = faults.iter().map(|fault| {
        let source = overrides.get(&fault.template).map(String::as_str).unwrap_or_default();
        let kind = if fault.error { "lỗi" } else { "cảnh báo" };
        let shown = source.get(fault.span.clone()).expect("a span on the source's own boundaries");
        let shown: String = shown.chars().take(60).collect();
        let help = fault.help.replace('\n', "\n    ");
        let at = fault.line(overrides);
        format!("{kind}[{}] {}:{at} «{shown}»\n  {}\n  → {help}", fault.code, fault.template, fault.message)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_templates_are_without_fault_also_as_an_offices_own() {
    let all: BTreeMap<String, String> =
        ENTRIES.iter().map(|entry| (entry.name.to_owned(), entry.source.to_owned())).collect();
    assert_eq!(told(&all), "");
    let annotated: BTreeMap<String, String> =
        ENTRIES.iter().map(|e| (e.name.to_owned(), annotated(e, &names_for(e.name)))).collect();
    assert_eq!(told(&annotated), "");
    let (shipped, copied) = (Texts::built_in(), Texts::with_overrides(&annotated).unwrap());
    for kind in kinds::letters().into_iter().chain(kinds::classified()) {
        assert_eq!(copied.email(&kind.facts).unwrap(), shipped.email(&kind.facts).unwrap(), "{}", kind.label);
        if !kind.facts.classified {
            assert_eq!(copied.zalo(&kind.facts).unwrap(), shipped.zalo(&kind.facts).unwrap(), "{}", kind.label);
        }
    }
    for kind in kinds::notices() {
        let page = |texts: &Texts| texts.notice_html(&kind.facts, &crate::message::sample::seal(), kind.withdrawn);
        assert_eq!(page(&copied).unwrap(), page(&shipped).unwrap(), "{}", kind.label);
    }
}

#[test]
fn each_shipped_template_may_be_extended_by_its_own_name() {
    for entry in ENTRIES {
        let source = format!("{{% extends \"{}\" %}}", entry.built_in_name);
        let overrides = own(&[(entry.name, &source)]);
        assert!(check(&overrides).iter().all(|fault| !fault.error), "{}", told(&overrides));
    }
}

#[test]
fn every_name_a_template_may_use_is_explained_to_the_clerk() {
    // What stands under `facts` is for those who know the program; its names are the fields of the facts' types.
    let mut unexplained = BTreeSet::new();
    for entry in ENTRIES {
        for name in names::names(entry.name).roots.clone() {
            if !WORDS.iter().any(|(word, _)| *word == name) {
                unexplained.insert(name);
            }
        }
    }
    let facts = crate::message::sample::digest();
    let letter = view::letter(&facts);
    let item = serde_json::to_value(&letter.sections[0].items[0]).unwrap();
    for name in item.as_object().unwrap().keys() {
        if !WORDS.iter().any(|(word, _)| word == name) {
            unexplained.insert(name.clone());
        }
    }
    assert_eq!(unexplained, BTreeSet::new());
    for entry in ENTRIES {
        assert!(!names_for(entry.name).is_empty() || entry.name == "closing.txt.j2", "{}", entry.name);
    }
}

/// Every kind of fault once, with what the clerk reads: code, templates.
fn cases() -> Vec<(&'static str, BTreeMap<String, String>)> {
    let one = |name: &str, source: &str| own(&[(name, source)]);
    let mut cases = vec![
        ("template-unknown-file", one("singel.html.j2", "x")),
        ("template-unclosed", one("ask.txt.j2", "Đề nghị {{ to.you xem xét.")),
        ("template-unclosed", one("ask.txt.j2", "{% if urging_n > 2 %}Đề nghị khẩn trương.\n{{ ask }}")),
        ("template-unclosed", one("ask.txt.j2", "{% if urging_n > 2 %}a{% endfor %}{% endif %}")),
        ("template-unclosed", one("ask.txt.j2", "{% if audience == \"handler %}a{% endif %}{{ ask }}")),
        ("template-syntax", one("ask.txt.j2", "{{ ask ask }}")),
        ("template-syntax", one("ask.txt.j2", "{% if %}a{% endif %}")),
        ("template-tag", one("ask.txt.j2", "{% macro a() %}{% endmacro %}{% iff near %}a{% endif %}")),
        ("template-operator", one("closing.txt.j2", "{{ \"Trân trọng\" * 1000000 }}")),
        ("template-unknown-variable", one("greeting.txt.j2", "Kính gửi {{ to.nam }} {{ offices }}")),
        ("template-unknown-variable", one("closing.txt.j2", "{{ office }}, {{ count }} việc")),
        ("template-unknown-filter", one("greeting.txt.j2", "{{ to.name|uper }}")),
        ("template-unknown-test", one("greeting.txt.j2", "{% if to.name is empty %}a{% endif %}b")),
        ("template-unknown-function", one("greeting.txt.j2", "{% for i in range(100000000) %}a{% endfor %}")),
        (
            "template-unknown-template",
            one("foot.txt.j2", "{% include \"/etc/passwd\" %}{% include \"fot.txt.j2\" %}{% include why %}"),
        ),
        ("template-circle", one("foot.txt.j2", "{% include \"foot.txt.j2\" %}")),
        ("template-circle", own(&[("foot.txt.j2", "{% include \"digest.txt.j2\" %}")])),
        ("template-unescaped", BTreeMap::from([changed("layout.html.j2", "{{ why }}", "{{ why|safe }}")])),
        (
            "template-unescaped",
            BTreeMap::from([changed("layout.html.j2", "{{ why }}", "{% include \"foot.txt.j2\" %}")]),
        ),
        (
            "template-unescaped",
            BTreeMap::from([changed(
                "layout.html.j2",
                "<b>{{ office|caps }}</b>",
                "<b title={{ office }}>{{ office|caps }}</b>",
            )]),
        ),
        ("template-active", BTreeMap::from([changed("layout.html.j2", "</body>", "<script>alert(1)</script></body>")])),
        (
            "template-link",
            BTreeMap::from([changed("single.html.j2", "href=\"{{ item.link }}\"", "href=\"{{ item.work }}\"")]),
        ),
        (
            "template-remote-image",
            BTreeMap::from([changed("layout.html.j2", "</body>", "<img src=\"https://x.example/a.png\"></body>")]),
        ),
        ("template-render", one("greeting.txt.j2", "Kính gửi {{ to.name|round }}")),
        ("template-unknown-variable", one("greeting.txt.j2", "Kính gửi {{ to[office] }}")),
        (
            "template-endless",
            one(
                "foot.txt.j2",
                "{% for a in sections %}{% for s in \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"|list %}{% for t in \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"|list %}{% for u in \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"|list %}{% for v in \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"|list %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
            ),
        ),
        ("template-empty", one("ask.txt.j2", "{# chưa viết #}")),
        ("template-empty", one("single.txt.j2", "\n\n")),
        ("template-subject-lines", one("subject.txt.j2", "[Nhắc việc]\n{{ facts[\"items\"][0].code }}")),
        ("template-subject-long", one("subject.txt.j2", "{{ subject }}, {{ to.name }}, {{ to.place }}, {{ office }}")),
        (
            "template-zalo-long",
            one(
                "zalo.txt.j2",
                "{{ office }}: {% for item in items %}{{ item.code }} {{ item.state }}, {{ item.lead }}. {% endfor %}",
            ),
        ),
        ("template-classified", one("neutral_subject.txt.j2", "Tài liệu Mật cần xử lý")),
        (
            "template-classified",
            BTreeMap::from([changed(
                "layout.html.j2",
                "{{ office|caps }}",
                "<a href=\"https://vanphong.example\">{{ office|caps }}</a>",
            )]),
        ),
        (
            "template-missing-fact",
            own(&[
                ("single.txt.j2", "{{ greeting }} Đề nghị xem."),
                ("single.html.j2", "{{ greeting }} {{ subject }}"),
            ]),
        ),
        ("template-missing-fact", one("notice.html.j2", "<p>Phiếu số {{ number }}</p>")),
        ("template-no-counterpart", one("digest.txt.j2", entry("digest.txt.j2").unwrap().source)),
    ];
    let bulk = format!(
        "{{% for s in sections %}}{{% for a in \"{0}\"|list %}}{{% for b in \"{0}\"|list %}}{1}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
        "a".repeat(60),
        "x".repeat(6000)
    );
    cases.push(("template-too-long", own(&[("foot.txt.j2", &bulk)])));
    cases.push(("template-too-large", own(&[("foot.txt.j2", &"x".repeat(LARGEST + 1))])));
    cases
}

#[test]
fn each_kind_of_fault_is_told_in_the_clerks_words() {
    let mut shown = Vec::new();
    for (code, overrides) in cases() {
        let faults = check(&overrides);
        let text = lines(&faults, &overrides);
        assert!(text.contains(&format!("[{code}]")), "{code} was wanted in\n{text}");
        // What stands between backticks is what was, or may be, typed.
        let said = faults.iter().flat_map(|f| f.message.split('`').step_by(2).chain(f.help.split('`').step_by(2)));
        let said: String = said.collect();
        for foreign in ["unexpected", "undefined", "invalid", "filter", "expected", "syntax", "unknown ", "error"] {
            assert!(!said.contains(foreign), "{foreign} in\n{said}");
        }
        shown.push(text);
    }
    insta::assert_snapshot!("faults", shown.join("\n\n"));
}

#[test]
fn every_code_in_the_sources_has_a_case() {
    let sources = [include_str!("mod.rs"), include_str!("stated.rs"), include_str!("tried.rs")].concat();
    let codes: BTreeSet<&str> = sources
        .split('"')
        .filter(|text| text.starts_with("template-") && text.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect();
    let seen: BTreeSet<&str> = cases().iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, seen);
}

#[test]
fn what_gets_past_reading_is_found_by_trying() {
    // Without the static rules: a text template taken into a page, an address made of what was typed.
    let overrides = own(&[("layout.html.j2", "{% include \"foot.txt.j2\" %}{% block body %}{% endblock %}")]);
    let codes: Vec<&str> = tried::faults(&overrides).iter().map(|fault| fault.code).collect();
    assert!(codes.contains(&"template-unescaped"), "{codes:?}");
    let (name, source) =
        changed("single.html.j2", "{{ item.ask }}", "<a href='{{ item.document }}'>{{ item.ask }}</a>");
    let faults = tried::faults(&BTreeMap::from([(name, source)]));
    let fault = faults.iter().find(|fault| fault.code == "template-link").expect("the address is found");
    assert_eq!(fault.template, "single.html.j2");
}

#[test]
fn many_faults_are_told_at_once_each_at_its_place() {
    let overrides = own(&[
        ("greeting.txt.j2", "Kính gửi {{ to.nam }}\n{{ to.plase }}"),
        ("ask.txt.j2", "{{ askk }} {{ item.urgncy }}"),
        ("neutral.txt.j2", "Liên hệ https://x.example"),
    ]);
    let places: Vec<(String, usize, &str)> =
        check(&overrides).iter().map(|f| (f.template.clone(), f.line(&overrides), f.code)).collect();
    for (template, line) in [("ask.txt.j2", 1), ("greeting.txt.j2", 1), ("greeting.txt.j2", 2)] {
        assert!(places.contains(&(template.to_owned(), line, "template-unknown-variable")), "{places:?}");
    }
}

#[test]
fn a_name_mistyped_where_no_sample_goes_is_found_all_the_same() {
    let overrides = own(&[("ask.txt.j2", "{% if audience == \"người khác\" %}{{ item.dedline }}{% endif %}{{ ask }}")]);
    assert!(told(&overrides).contains("có phải ý là `deadline`?"), "{}", told(&overrides));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_template_holds_the_check_ends_and_points_into_it(
        name in proptest::sample::select(Texts::names()),
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "{{ ", " }}", "{% ", " %}", "if ", "endif", "for x in ", "endfor", "items", "to", ".", "name", "|", "fill", "(", ")", "[", "]",
            "\"", "'", "block a", "endblock", "extends ", "\"layout.html.j2\"", "include ", "\"foot.txt.j2\"", "{#", "#}", "set x = ", "~", "- ",
            "Kính gửi", "đồng chí", "\n", "<b>", "<a href=", "</style>", "<style>", "{", "}", "%", "\u{202e}", "super()", "loop.index",
        ]), 0..24),
    ) {
        let overrides = own(&[(name, &parts.concat())]);
        for fault in check(&overrides) {
            let source = &overrides[&fault.template];
            proptest::prop_assert!(source.get(fault.span.clone()).is_some(), "{:?}", fault);
            proptest::prop_assert!(!fault.help.is_empty() && !fault.message.is_empty());
        }
    }
}
