//! An office's own texts as a clerk meets them: the folder, the faults where they stand, the preview.

use std::{collections::BTreeMap, fs, path::Path};

use dondoc::{
    cli::{
        check_preview,
        context::policy_of,
        templates::{problems, read},
    },
    config::{load::load_all, problem::Severity},
    engine::policy::Policy,
    message::{sample, texts::Texts},
};
use jiff::Timestamp;
use tempfile::TempDir;

/// The shipped office in a folder of its own, with these templates.
fn office(templates: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for name in ["rules.toml", "calendar.toml"] {
        fs::copy(shipped.join(name), folder.path().join(name)).unwrap();
    }
    let settings = fs::read_to_string(shipped.join("dondoc.toml")).unwrap();
    let own = "templates = \"templates\"";
    assert!(settings.contains(&format!("# {own}")), "the shipped settings name the key");
    let settings = settings
        .replace(&format!("# {own}"), own)
        .replace("Văn phòng UBND Thành phố", "Văn phòng UBND tỉnh Thử Nghiệm");
    fs::write(folder.path().join("dondoc.toml"), settings).unwrap();
    fs::create_dir(folder.path().join("templates")).unwrap();
    for (name, source) in templates {
        fs::write(folder.path().join("templates").join(name), source).unwrap();
    }
    folder
}

fn policy(folder: &TempDir) -> anyhow::Result<Policy> {
    let (office, _) = load_all(&folder.path().join("dondoc.toml"), []).expect("the files are without fault");
    policy_of(office)
}

/// What `check` shows of the folder, the temporary path taken off.
fn shown(folder: &TempDir) -> String {
    let text = problems(&read(&folder.path().join("templates"))).render(false);
    text.replace(&format!("{}/", folder.path().display()), "")
}

fn now() -> Timestamp {
    "2026-11-20T02:00:00Z".parse().unwrap()
}

#[test]
fn a_fault_is_shown_with_its_line_quoted_and_a_mark_under_the_spot() {
    let folder = office(&[
        ("greeting.txt.j2", "Kính gửi: {{ to.form }}\n{{ to.nam }}, {{ to.place }}\n"),
        ("layout.html.j2", "<p>{{ greeting|safe }}</p>\n{% block body %}{% endblock %}\n"),
        ("notice.html", "x"),
        ("closing.txt.j2", "Trân trọng{% if to.form %}\n"),
    ]);
    insta::assert_snapshot!("faults_in_place", shown(&folder));
    let error = policy(&folder).err().unwrap().to_string();
    assert!(error.contains("notice.html") && error.contains("template-unknown-file"), "{error}");
}

#[test]
fn files_that_are_no_utf8_text_or_lie_outside_are_refused_and_an_editors_leavings_are_not_read() {
    let folder = office(&[("ask.txt.j2~", "{{"), (".ask.txt.j2.swp", "{{"), ("next.txt.j2.bak", "{{")]);
    let templates = folder.path().join("templates");
    assert_eq!(shown(&folder), "");
    policy(&folder).unwrap();

    fs::write(templates.join("ask.txt.j2"), b"{{ ask }} tr\xe2n tr\xf0ng").unwrap();
    fs::write(templates.join("closing.txt.j2"), b"\xff\xfeT\0").unwrap();
    fs::write(templates.join("contact.txt.j2"), vec![b'x'; (256 << 10) + 1]).unwrap();
    fs::create_dir(templates.join("foot.txt.j2")).unwrap();
    fs::write(folder.path().join("secret"), "PASSWORD").unwrap();
    std::os::unix::fs::symlink(folder.path().join("secret"), templates.join("greeting.txt.j2")).unwrap();
    let read = read(&templates);
    assert!(read.overrides.is_empty(), "{:?}", read.overrides.keys());
    let codes: BTreeMap<String, &str> = read
        .problems
        .iter()
        .map(|problem| (problem.file.rsplit('/').next().unwrap_or_default().to_owned(), problem.code))
        .collect();
    let wanted = [
        ("ask.txt.j2", "template-encoding"),
        ("closing.txt.j2", "template-encoding"),
        ("contact.txt.j2", "template-too-large"),
        ("foot.txt.j2", "template-unreadable"),
        ("greeting.txt.j2", "template-outside"),
    ];
    assert_eq!(codes, wanted.map(|(name, code)| (name.to_owned(), code)).into());
    insta::assert_snapshot!("files_refused", shown(&folder));
    assert!(policy(&folder).is_err());
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_taken_as_they_are_meant() {
    let folder = office(&[("closing.txt.j2", "\u{feff}Trân trọng cảm ơn./.\r\n")]);
    let text = policy(&folder).unwrap().texts.email(&sample::single()).unwrap();
    assert!(text.text.contains("\nTrân trọng cảm ơn./.\n"), "{}", text.text);
}

/// The worked example of the office's handbook: another greeting, by one file of one line.
#[test]
fn the_greeting_is_changed_in_every_letter_by_one_file_of_one_line() {
    let folder = office(&[(
        "greeting.txt.j2",
        "Kính gửi {{ to.form|lower }} {{ to.name }}{% if to.place %} - {{ to.place }}{% endif %},\n",
    )]);
    assert_eq!(shown(&folder), "");
    let texts = policy(&folder).unwrap().texts;
    for facts in [sample::single(), sample::digest()] {
        let text = texts.email(&facts).unwrap();
        assert!(text.text.starts_with("Kính gửi đồng chí Vũ Văn Đạt - Giám đốc Sở Nội vụ,\n"), "{}", text.text);
        assert!(text.html.contains("Kính gửi đồng chí <b>Vũ Văn Đạt</b> - Giám đốc Sở Nội vụ,"), "{}", text.html);
    }
    let mut classified = sample::single();
    classified.classified = true;
    let text = texts.email(&classified).unwrap();
    assert!(
        text.text.starts_with("Kính gửi đồng chí Vũ Văn Đạt,\n"),
        "no agency on a classified letter: {}",
        text.text
    );
}

/// Another worked example: what is asked of heads at the third urging, and a Zalo text of the office's own.
#[test]
fn one_sentence_is_changed_for_some_and_stays_for_the_others() {
    let folder = office(&[
        (
            "ask.txt.j2",
            "{% if audience == \"agency_head\" and urging_n >= 2 %}\n\
             Đề nghị {{ to.you }} báo cáo trực tiếp Chủ tịch UBND{% if by %}, {{ by }}{% endif %}.\n\
             {% else %}\n{{ ask }}\n{% endif %}\n",
        ),
        (
            "zalo.txt.j2",
            "{% if count == 1 %}\n{{ items[0].head }}: {{ items[0].code }} {{ items[0].state }}\n{% else %}\n{{ line }}\n{% endif %}\n",
        ),
    ]);
    assert_eq!(shown(&folder), "");
    let (own, shipped) = (policy(&folder).unwrap().texts, Texts::built_in());
    let text = own.email(&sample::single()).unwrap();
    let asked = "Đề nghị đồng chí báo cáo trực tiếp Chủ tịch UBND, chậm nhất ngày 01/12.";
    assert!(text.html.contains(asked) && text.text.contains(&asked[..60]), "{}", text.text);
    let mut handler = sample::single();
    handler.items[0].why.audience = "handler".into();
    assert_eq!(own.email(&handler).unwrap(), shipped.email(&handler).unwrap());
    assert_eq!(
        own.zalo(&sample::single()).unwrap(),
        "Đôn đốc lần 2: NV26-000123 quá hạn 5 ngày làm việc (hạn 17/11/2026)"
    );
    assert_eq!(own.zalo(&sample::digest()).unwrap(), shipped.zalo(&sample::digest()).unwrap());
}

#[test]
fn a_zalo_text_that_grows_too_long_on_real_facts_gives_way_to_the_shipped_one() {
    let folder =
        office(&[("zalo.txt.j2", "{% for item in items[:4] %}\n{{ item.code }} {{ item.state }}.\n{% endfor %}\n")]);
    let texts = policy(&folder).unwrap().texts;
    let mut facts = sample::digest();
    facts.items[0].code = "Ế".repeat(40);
    assert!(texts.zalo(&facts).unwrap().starts_with("Ế"));
    // Signs outside the basic plane count twice, as the provider counts them.
    for item in &mut facts.items {
        item.code = "𠀀".repeat(40);
    }
    assert_eq!(texts.zalo(&facts).unwrap(), Texts::built_in().zalo(&facts).unwrap());
    assert!(texts.zalo(&facts).unwrap().encode_utf16().count() < 400);
}

fn listed(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_preview_shows_every_step_of_every_rule_and_every_kind_and_nobody_real() {
    let folder = office(&[("closing.txt.j2", "Kính chúc sức khỏe./.\n")]);
    let policy = policy(&folder).unwrap();
    let files: BTreeMap<String, Vec<u8>> = check_preview::files(&policy, now()).unwrap().into_iter().collect();
    let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
    let index = text("index.html");
    for rule in &policy.rules.rules {
        for step in &rule.steps {
            for audience in &step.audiences {
                let part = format!("-{}-{}", step.id, audience.to_string().replace('_', "-"));
                let shown =
                    files.keys().any(|name| name.starts_with(&format!("quy-tac/{}/", rule.id)) && name.contains(&part));
                let said = index.contains(&format!("{}, ", step.id));
                // A shared mailbox gets no letter on a classified task.
                assert!(shown && said || !rule.when.secrecy.is_empty(), "{} {part}", rule.id);
            }
        }
    }
    for (name, bytes) in &files {
        if name.ends_with(".html") && name != "index.html" {
            let page = String::from_utf8_lossy(bytes);
            assert!(page.contains("MẪU"), "{name} is not marked");
            assert!(index.contains(&format!("src=\"{name}\"")), "{name} is not in the index");
        }
        if name.ends_with(".eml") {
            let mail = mail_parser::MessageParser::default().parse(bytes).unwrap();
            assert!(mail.subject().unwrap().starts_with("[MẪU] "), "{name}");
            assert_eq!(mail.to().unwrap().first().unwrap().address(), Some("nguoi-nhan-mau@xem-truoc.example"));
            let to = mail.to().unwrap().first().unwrap().name().unwrap_or("(mẫu)");
            assert!(to.contains("(mẫu)"), "{name}: {to}");
        }
        if let Some(letter) = name.strip_suffix(".html").filter(|name| !name.starts_with("phieu/") && *name != "index")
        {
            assert!(files.contains_key(&format!("{letter}.txt")), "{name}");
            // The list of the unreached is the operators' own: it closes without wishes.
            if letter.contains("/danh-sach-") {
                continue;
            }
            assert!(files.contains_key(&format!("{letter}.eml")), "{name}");
            let page = String::from_utf8_lossy(bytes);
            assert!(page.contains("Kính chúc sức khỏe./."), "{name}: the office's own text");
            let party = page.contains("VĂN PHÒNG THÀNH ỦY");
            assert!(page.contains("VĂN PHÒNG UBND TỈNH THỬ NGHIỆM") || party, "{name}: the office's own name");
        }
    }
    // Of the classified rule nothing of the invented task is shown, and no Zalo.
    for (name, bytes) in files.iter().filter(|(name, _)| name.starts_with("quy-tac/mat/")) {
        let page = String::from_utf8_lossy(bytes);
        assert!(!name.ends_with(".zalo.txt") && !page.contains("311/TB-VP") && !page.contains("000123"), "{name}");
    }
    assert!(text("mau-goc/greeting.txt.j2").contains("người nhận: to.form, to.name, to.place, to.you"));
    assert!(text("phieu/phieu.json").contains("\"number\": \"MẪU 0007/2026\""));
}

#[test]
fn the_preview_is_the_same_twice_and_an_earlier_one_is_replaced_whole() {
    let folder = office(&[]);
    let policy = policy(&folder).unwrap();
    let files = check_preview::files(&policy, now()).unwrap();
    assert!(files == check_preview::files(&policy, now()).unwrap(), "the same now gives the same bytes");
    let target = folder.path().join("xem/truoc");
    check_preview::write(&target, &files).unwrap();
    let mut first = listed(&target);
    assert_eq!(first.remove(".dondoc-preview").map(|list| list.is_empty()), Some(false));
    assert_eq!(first, files.iter().cloned().collect::<BTreeMap<_, _>>());

    // A later one has fewer letters: none of the earlier stays, and what somebody else put there does.
    fs::write(target.join("ghi-chu.txt"), "của tôi").unwrap();
    let fewer: Vec<_> = files.iter().filter(|(name, _)| !name.starts_with("quy-tac/khan/")).cloned().collect();
    check_preview::write(&target, &fewer).unwrap();
    let second = listed(&target);
    assert!(!second.keys().any(|name| name.starts_with("quy-tac/khan/")));
    assert_eq!(second["ghi-chu.txt"], "của tôi".as_bytes());
}

#[test]
fn the_preview_never_writes_over_what_is_not_its_own() {
    let folder = office(&[]);
    let files = vec![("index.html".to_owned(), b"x".to_vec()), ("a/b.txt".to_owned(), b"y".to_vec())];
    let error = check_preview::write(folder.path(), &files).unwrap_err().to_string();
    assert!(error.contains("đã có tệp khác"), "{error}");
    assert!(!folder.path().join("index.html").exists());

    // A marker that names files elsewhere takes nothing away there.
    let target = folder.path().join("xem");
    fs::create_dir(&target).unwrap();
    fs::write(target.join(".dondoc-preview"), "../dondoc.toml\n/etc/hostname\na/../../rules.toml\n").unwrap();
    check_preview::write(&target, &files).unwrap();
    assert!(folder.path().join("dondoc.toml").exists() && folder.path().join("rules.toml").exists());

    // A file in the place of one of ours, put there since.
    fs::remove_file(target.join(".dondoc-preview")).unwrap();
    fs::write(target.join(".dondoc-preview"), "a/b.txt\n").unwrap();
    let error = check_preview::write(&target, &files).unwrap_err().to_string();
    assert!(error.contains("không phải của bản xem trước"), "{error}");
}

#[test]
fn a_warning_alone_lets_the_templates_be_used() {
    let folder = office(&[(
        "digest.txt.j2",
        "{{ greeting }}\n{% for section in sections %}{% for item in section[\"items\"] %}{{ item.code }} {{ item.deadline }} {{ item.effective }}\n{% endfor %}{% endfor %}",
    )]);
    let found = problems(&read(&folder.path().join("templates")));
    assert_eq!(found.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["template-no-counterpart"]);
    assert!(found.iter().all(|problem| problem.severity == Severity::Warning));
    policy(&folder).unwrap();
}
