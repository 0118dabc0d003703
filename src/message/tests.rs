//! Properties of the texts as a whole.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::date, tz::TimeZone};
use mail_parser::MessageParser;

use super::{
    facts::{LetterFacts, Nearness},
    sample, *,
};
use crate::planning::{bundle::Part, rules, task};

mod wire;

fn envelope() -> Envelope {
    Envelope {
        from: "Đôn đốc nhiệm vụ <dondoc@office.example>".into(),
        reply_to: Some("theo-doi@office.example".into()),
        to: "dat@snv.example".into(),
        to_name: Some("Vũ Văn Đạt".into()),
        message_id: "<0193a1b2-0000-7000-8000-000000000001@office.example>".into(),
        date: "2026-11-25T01:00:00Z".parse::<Timestamp>().unwrap(),
        zone: TimeZone::get("Asia/Ho_Chi_Minh").unwrap(),
        host: "office.example".into(),
        extra_headers: vec![("X-Dondoc-Message".into(), "17".into())],
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Texts>();
};

fn letter(facts: &LetterFacts) -> EmailText {
    Texts::built_in().email(facts).unwrap()
}

/// Writes what people would see, for a look with one's own eyes: `DONDOC_LOOK=1 cargo test --lib message::tests::look`.
#[test]
fn look() {
    if std::env::var_os("DONDOC_LOOK").is_none() {
        return;
    }
    let dir = std::env::temp_dir().join("dondoc-look");
    std::fs::create_dir_all(&dir).unwrap();
    let mut classified = sample::single();
    classified.classified = true;
    let mut many = sample::digest();
    many.items.extend((0..14).map(|_| sample::digest().items[3].clone()));
    for (name, facts) in [
        ("single", sample::single()),
        ("ahead", sample::ahead()),
        ("digest", sample::digest()),
        ("bare", sample::bare()),
        ("classified", classified),
        ("many", many),
    ] {
        let text = letter(&facts);
        std::fs::write(dir.join(format!("{name}.html")), &text.html).unwrap();
        std::fs::write(dir.join(format!("{name}.txt")), format!("{}\n\n{}", text.subject, text.text)).unwrap();
        std::fs::write(dir.join(format!("{name}.eml")), mime(&text, &envelope()).unwrap()).unwrap();
        if let Ok(line) = Texts::built_in().zalo(&facts) {
            std::fs::write(dir.join(format!("{name}.zalo")), line).unwrap();
        }
    }
    let texts = Texts::built_in();
    let mut party = sample::notice();
    party.letterhead.block = crate::planning::task::Block::Party;
    party.letterhead.parent = "Thành ủy Hà Nội".into();
    for (name, facts, withdrawn) in [
        ("notice", sample::notice(), None),
        ("notice-bare", sample::bare_notice(), None),
        (
            "notice-party",
            party,
            Some("Lý do: nhiệm vụ đã hoàn thành trước hạn (Công văn số 88/SQHKT-VP ngày 26/11/2026)."),
        ),
    ] {
        let page = texts.notice_html(&facts, &sample::seal(), withdrawn).unwrap();
        std::fs::write(dir.join(format!("{name}.html")), page).unwrap();
    }
}

fn parse(bytes: &[u8]) -> mail_parser::Message<'_> {
    MessageParser::default().parse(bytes).expect("a message")
}

/// What must hold of bytes on the wire, whatever was typed.
fn assert_wire(bytes: &[u8]) {
    assert!(bytes.is_ascii(), "not ASCII");
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => assert!(at > 0 && bytes[at - 1] == b'\r', "bare LF at {at}"),
            b'\r' => assert_eq!(bytes.get(at + 1), Some(&b'\n'), "bare CR at {at}"),
            0 => panic!("NUL at {at}"),
            _ => {}
        }
    }
    let longest = bytes.split(|byte| *byte == b'\n').map(|line| line.len() - usize::from(line.ends_with(b"\r"))).max();
    assert!(longest <= Some(998), "a line of {longest:?} bytes");
}

fn with(change: impl FnOnce(&mut LetterFacts)) -> LetterFacts {
    let mut facts = sample::single();
    change(&mut facts);
    facts
}

#[test]
fn an_overdue_letter_says_everything_it_must() {
    let text = letter(&sample::single());
    insta::assert_snapshot!("single_overdue_txt", text.text);
    insta::assert_snapshot!("single_overdue_html", text.html);
    for part in [&text.text.replace('\n', " "), &text.html] {
        for said in [
            "NV26-000123",
            "Thông báo số 311/TB-VP ngày 02/10/2026 của Văn phòng UBND",
            "Kế hoạch kiểm tra công vụ quý IV",
            "Sở Nội vụ",
            "Sở Tài chính",
            "17/11/2026",
            "chậm nhất ngày 01/12",
            "Hoàng Thu",
            "0572 000 000",
            "người đứng đầu cơ quan chủ trì",
            "qua-han-5",
            "ubnd-chu-tri",
            "ngày 02/12 sẽ",
            "Trân trọng./.",
        ] {
            assert!(part.contains(said), "{said} is missing in\n{part}");
        }
    }
}

#[test]
fn letters_ahead_of_the_deadline_and_on_the_day_read_well() {
    insta::assert_snapshot!("single_upcoming_txt", letter(&sample::ahead()).text);
    let due = with(|facts| {
        facts.items[0] = sample::digest().items[2].clone();
        facts.items[0].why.audience = "handler".into();
    });
    let text = letter(&due);
    assert!(text.urgent);
    insta::assert_snapshot!("single_due_txt", text.text);
}

#[test]
fn a_digest_goes_by_urgency_and_counts_right() {
    let mut facts = sample::digest();
    facts.items.reverse();
    let text = letter(&facts);
    assert_eq!(text.subject, "[Nhắc việc] 6 nhiệm vụ: 2 quá hạn, 1 đến hạn hôm nay, 3 sắp đến hạn");
    assert_eq!(text.thread, None);
    let at = |word: &str| text.text.find(word).unwrap_or_else(|| panic!("{word} is missing"));
    assert!(at("QUÁ HẠN (2)") < at("ĐẾN HẠN HÔM NAY (1)") && at("ĐẾN HẠN HÔM NAY (1)") < at("SẮP ĐẾN HẠN (3)"));
    insta::assert_snapshot!("digest_txt", letter(&sample::digest()).text);
    insta::assert_snapshot!("digest_html", letter(&sample::digest()).html);
}

#[test]
fn subjects_have_the_offices_fixed_forms() {
    let subject = |change: &dyn Fn(&mut facts::ItemFacts)| letter(&with(|facts| change(&mut facts.items[0]))).subject;
    let near = |near, left: i64, urging| {
        subject(&move |item: &mut facts::ItemFacts| {
            (item.nearness, item.working_days_left, item.urging) = (near, left, urging);
        })
    };
    for (got, expected) in [
        (near(Nearness::Upcoming, 3, None), "[Nhắc việc] NV26-000123: còn 3 ngày làm việc, hạn 17/11/2026"),
        (near(Nearness::DueToday, 0, None), "[Đến hạn hôm nay] NV26-000123: hạn 17/11/2026"),
        (near(Nearness::Overdue, -5, Some(2)), "[Quá hạn, đôn đốc lần 2] NV26-000123: quá hạn 5 ngày làm việc"),
        (near(Nearness::Overdue, -1, None), "[Quá hạn] NV26-000123: quá hạn 1 ngày làm việc"),
        (near(Nearness::Overdue, 0, Some(1)), "[Quá hạn, đôn đốc lần 1] NV26-000123: đã quá hạn 17/11/2026"),
        (near(Nearness::Confirm, -2, None), "[Chờ xác nhận] NV26-000123: đã trình, hạn 17/11/2026"),
        (near(Nearness::Returned, 4, None), "[Trả lại] NV26-000123: chờ phân công lại, hạn 17/11/2026"),
    ] {
        assert_eq!(got, expected);
    }
}

#[test]
fn everyone_is_asked_for_what_is_theirs_to_do() {
    let mut lines = Vec::new();
    let everyone = rules::Audience::WORDS.iter().copied().chain(["person:0912345678", "email:an@x.example"]);
    for audience in everyone {
        for (near, urging) in [
            (Nearness::Upcoming, None),
            (Nearness::DueToday, None),
            (Nearness::Overdue, Some(1)),
            (Nearness::Overdue, Some(3)),
        ] {
            let mut item = sample::item();
            (item.nearness, item.urging, item.why.audience) = (near, urging, audience.into());
            let urging = urging.map(|n| format!(" {n}")).unwrap_or_default();
            lines.push(format!(
                "{}, {near:?}{urging}: {}",
                audience.split(':').next().unwrap_or_default(),
                phrases::ask(&item, 2026)
            ));
        }
    }
    for near in [Nearness::Confirm, Nearness::Returned] {
        let mut item = sample::item();
        (item.nearness, item.why.audience) = (near, "monitor".into());
        lines.push(format!("monitor, {near:?}: {}", phrases::ask(&item, 2026)));
    }
    let text = lines.join("\n");
    assert!(!text.contains("0912345678") && !text.contains("an@x"));
    insta::assert_snapshot!("asks", text);
}

#[test]
fn enterprises_are_addressed_as_ong_ba_and_mailboxes_as_agencies() {
    let enterprise = letter(&with(|facts| {
        facts.recipient.enterprise = true;
        facts.recipient.title = "Tổng Giám đốc".into();
        facts.recipient.agency = "Công ty TNHH MTV Thoát nước".into();
    }));
    assert!(enterprise.text.starts_with("Kính gửi: Ông Vũ Văn Đạt, Tổng Giám đốc Công ty TNHH MTV Thoát nước"));
    assert!(enterprise.text.contains("Vì sao Ông nhận thư này") && !enterprise.text.contains("đồng chí"));
    let unknown = letter(&with(|facts| {
        facts.recipient.enterprise = true;
        facts.recipient.honorific.clear();
    }));
    assert!(unknown.text.starts_with("Kính gửi: Ông/Bà Vũ Văn Đạt"));
    let mailbox = letter(&with(|facts| {
        facts.recipient.name.clear();
        facts.recipient.stands_in_for = "người đứng đầu cơ quan chưa có địa chỉ nhận thư".into();
    }));
    assert!(mailbox.text.starts_with("Kính gửi: Sở Nội vụ\n"));
    assert!(
        mailbox
            .text
            .replace('\n', " ")
            .contains("Thư này gửi đến quý cơ quan vì người đứng đầu cơ quan chưa có địa chỉ nhận thư; đề nghị chuyển")
    );
}

#[test]
fn a_letter_that_may_have_come_before_and_a_late_or_corrected_one_say_so() {
    let text = letter(&with(|facts| {
        facts.maybe_received_on = Some(date(2026, 11, 24));
        facts.items[0].corrected_from = Some(date(2026, 11, 30));
        facts.items[0].late_since = Some(date(2026, 11, 20));
    }));
    for part in [text.text.replace('\n', " "), text.html] {
        assert!(part.contains("Có thể đồng chí đã nhận thư này ngày 24/11/2026"));
        assert!(part.contains("điều chỉnh từ ngày 30/11/2026 thành ngày 17/11/2026"));
        assert!(part.contains("đến kỳ từ ngày 20/11/2026"));
    }
}

#[test]
fn a_letter_in_parts_says_which_it_is_and_a_whole_one_says_nothing_of_parts() {
    let mut facts = sample::digest();
    facts.part = Part { n: 2, of: 19 };
    let text = letter(&facts);
    assert_eq!(text.subject, "[Nhắc việc] Phần 2/19, 6 nhiệm vụ: 2 quá hạn, 1 đến hạn hôm nay, 3 sắp đến hạn");
    for part in [text.text.replace('\n', " "), text.html] {
        assert!(part.contains("được chia làm 19 phần, việc gấp nhất ở phần 1. Đây là phần 2; mỗi nhiệm vụ chỉ nêu"));
        assert!(part.contains("cần chú ý ở phần 2/19: 2 quá hạn"));
    }
    let whole = letter(&sample::digest());
    assert!(!format!("{} {} {}", whole.subject, whole.text, whole.html).to_lowercase().contains("phần 1"));
}

#[test]
fn where_no_page_is_to_be_opened_whoever_is_asked_for_progress_hears_where_it_goes() {
    let mut facts = sample::single();
    assert!(letter(&facts).text.replace('\n', " ").contains("Trường hợp có khó khăn, vướng mắc, đề nghị trao đổi với"));
    facts.items[0].link = None;
    for (audience, asked) in [("agency_head", true), ("handler", true), ("superior_head", false), ("monitor", false)] {
        facts.items[0].why.audience = audience.into();
        let text = letter(&facts).text.replace('\n', " ");
        let there = text.contains("Tiến độ, kết quả hoặc khó khăn, vướng mắc, đề nghị báo cho đồng chí Hoàng Thu Hạnh");
        assert_eq!(there, asked, "{audience}: {text}");
    }
}

#[test]
fn confirming_and_returning_go_to_the_monitor_in_their_own_words() {
    for (near, asked) in [
        (Nearness::Confirm, "xác nhận kết quả do Sở Nội vụ trình"),
        (Nearness::Returned, "Sở Nội vụ đã trả lại nhiệm vụ"),
    ] {
        let text = letter(&with(|facts| {
            facts.items[0].nearness = near;
            facts.items[0].urging = None;
            facts.items[0].why.audience = "monitor".into();
        }));
        assert!(text.text.replace('\n', " ").contains(asked), "{}", text.text);
        assert_eq!(text.calendar, None);
    }
}

/// Facts with a canary in every field that holds text.
fn canaries(secrecy: task::Secrecy) -> LetterFacts {
    let mut value = serde_json::to_value(sample::digest()).unwrap();
    fn plant(value: &mut serde_json::Value, key: &str) {
        const WORDS: [&str; 7] = ["secrecy", "urgency", "role", "clock", "nearness", "as_of", "due_at"];
        match value {
            serde_json::Value::String(_) if WORDS.contains(&key) || key.contains("deadline") => {}
            serde_json::Value::String(text) if text.parse::<jiff::civil::Date>().is_ok() => {}
            serde_json::Value::String(text) => *text = format!("CANARY-{key}"),
            serde_json::Value::Array(list) => list.iter_mut().for_each(|value| plant(value, key)),
            serde_json::Value::Object(map) => map.iter_mut().for_each(|(key, value)| plant(value, key)),
            _ => {}
        }
    }
    plant(&mut value, "");
    let mut facts: LetterFacts = serde_json::from_value(value).unwrap();
    assert_eq!(facts.items[0].document.number, "CANARY-number");
    facts.items.iter_mut().for_each(|item| item.secrecy = secrecy);
    facts
}

#[test]
fn of_a_classified_task_nothing_stands_in_the_letter_or_on_the_wire() {
    for several in [true, false] {
        for marked in [true, false] {
            let mut facts = canaries(task::Secrecy::Confidential);
            facts.classified = marked;
            // Whom it goes to and who sends it are the only words of the facts that may stand there.
            facts.recipient.name = "Vũ Văn Đạt".into();
            facts.office = "Văn phòng".into();
            if !several {
                facts.items.truncate(1);
            }
            let text = letter(&facts);
            let bytes = mime(&text, &envelope()).unwrap();
            assert_eq!((&text.calendar, &text.thread, text.urgent), (&None, &None, false));
            let seen = parse(&bytes);
            assert_eq!(seen.attachment_count(), 0);
            let wire = String::from_utf8(bytes.clone()).unwrap();
            for part in [&text.subject, &text.html, &text.text, &wire, &seen.body_text(0).unwrap().to_string()] {
                for word in ["CANARY", "http", "17/11", "25/11", "task-", "mật"] {
                    assert!(!part.contains(word), "{word} in\n{part}");
                }
            }
        }
    }
}

#[test]
fn a_task_marked_open_in_facts_called_classified_still_gives_the_neutral_letter() {
    let facts = with(|facts| facts.classified = true);
    let text = letter(&facts);
    assert_eq!(text.subject, "[Thông báo] Có công việc đề nghị liên hệ trực tiếp");
    insta::assert_snapshot!("neutral_txt", text.text);
    insta::assert_snapshot!("neutral_html", text.html);
}

#[test]
fn a_classified_letter_goes_to_nobody_but_a_named_official() {
    let facts = with(|facts| {
        facts.classified = true;
        facts.recipient.name = " ".into();
    });
    assert!(matches!(Texts::built_in().email(&facts), Err(TextError::Classified(_))));
}

#[test]
fn the_text_part_fits_a_terminal() {
    for facts in [sample::single(), sample::ahead(), sample::digest(), sample::bare()] {
        for line in letter(&facts).text.lines() {
            assert!(line.chars().count() <= 76 && line.trim_end() == line, "{line}");
        }
    }
}

#[test]
fn a_digest_of_a_thousand_tasks_is_still_made_whole() {
    let mut facts = sample::digest();
    let template = facts.items[0].clone();
    facts.items = (0..1000).map(|n| facts::ItemFacts { code: format!("NV26-{n:06}"), ..template.clone() }).collect();
    let text = letter(&facts);
    for part in [&text.text, &text.html] {
        assert!(part.contains("NV26-000000") && part.contains("NV26-000999"));
    }
    assert_wire(&mime(&text, &envelope()).unwrap());
}

#[test]
fn what_may_not_be_said_on_a_way_is_refused() {
    let texts = Texts::built_in();
    for secrecy in [task::Secrecy::Secret, task::Secrecy::TopSecret] {
        assert!(matches!(texts.email(&canaries(secrecy)), Err(TextError::Classified(_))));
    }
    let mixed = {
        let mut facts = sample::digest();
        facts.items[1].secrecy = task::Secrecy::Confidential;
        facts
    };
    assert!(matches!(texts.email(&mixed), Err(TextError::Classified(_))));
    let to = facts::ZaloRecipient { name: String::new(), phone: String::new(), zalo_user_id: String::new() };
    for facts in [mixed, with(|facts| facts.classified = true)] {
        assert!(matches!(texts.zalo(&facts), Err(TextError::Classified(_))));
        assert!(matches!(zalo_webhook_body("1", &facts, &to, "x"), Err(TextError::Classified(_))));
    }
    let mut notice = sample::notice();
    notice.secrecy = task::Secrecy::Confidential;
    assert!(matches!(texts.notice_html(&notice, &sample::seal(), None), Err(TextError::Classified(_))));
    assert!(matches!(notice_json(&notice, &sample::seal()), Err(TextError::Classified(_))));
    assert!(matches!(texts.email(&with(|facts| facts.items.clear())), Err(TextError::Empty)));
}

#[test]
fn the_zalo_line_is_short_and_says_nothing_of_the_content() {
    let texts = Texts::built_in();
    insta::assert_snapshot!("zalo_single", texts.zalo(&sample::ahead()).unwrap());
    insta::assert_snapshot!("zalo_urging", texts.zalo(&sample::single()).unwrap());
    insta::assert_snapshot!("zalo_digest", texts.zalo(&sample::digest()).unwrap());
    for facts in [sample::ahead(), sample::single(), sample::digest(), sample::bare()] {
        let line = texts.zalo(&facts).unwrap();
        assert!(line.chars().count() < 400);
        for item in &facts.items {
            assert!(item.work.is_empty() || !line.contains(&item.work));
        }
    }
}

#[test]
fn a_zalo_digest_drops_whole_tasks_and_says_how_many() {
    let mut facts = sample::digest();
    facts.items = (0..30).map(|_| facts.items[0].clone()).collect();
    let line = Texts::built_in().zalo(&facts).unwrap();
    let shown = line.lines().filter(|line| line.starts_with("- ")).count();
    assert!(shown >= 2 && line.contains(&format!("… và {} nhiệm vụ khác.", 30 - shown)), "{line}");
    assert!(line.lines().filter(|line| line.starts_with("- ")).all(|line| line.ends_with("hạn 17/11")));
}

#[test]
fn the_relay_gets_exactly_the_agreed_json() {
    let to =
        facts::ZaloRecipient { name: "Vũ Văn Đạt".into(), phone: "84912345678".into(), zalo_user_id: "".into() };
    let body = zalo_webhook_body("d-1", &sample::single(), &to, "lời \"nhắc\"").unwrap();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        concat!(
            r#"{"delivery_id":"d-1","kind":"reminder","urging":2,"#,
            r#""recipient":{"name":"Vũ Văn Đạt","phone":"84912345678","zalo_user_id":""},"text":"lời \"nhắc\"","#,
            r#""tasks":[{"code":"NV26-000123","step":"qua-han-5","deadline":"2026-11-17","working_days_left":-5,"#,
            r#""link":"https://dondoc.office.example/n/NV26-000123"}]}"#
        )
    );
}

#[test]
fn a_notice_shows_its_facts_and_its_seal() {
    let texts = Texts::built_in();
    let page = texts.notice_html(&sample::notice(), &sample::seal(), None).unwrap();
    insta::assert_snapshot!("notice_html", page);
    for said in
        ["DỰ THẢO", "0007/2026", "SHA-256", "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", "hẹn báo cáo trong tuần", "4183"]
    {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("ĐÃ ĐƯỢC RÚT"));
    let withdrawn = texts.notice_html(&sample::notice(), &sample::seal(), Some("Theo 88/SQHKT-VP <b>")).unwrap();
    assert!(withdrawn.contains("ĐÃ ĐƯỢC RÚT. Theo 88/SQHKT-VP &lt;b&gt;"), "{withdrawn}");
    let mut party = sample::notice();
    party.letterhead.block = task::Block::Party;
    let party = texts.notice_html(&party, &sample::seal(), None).unwrap();
    assert!(party.contains("ĐẢNG CỘNG SẢN VIỆT NAM") && !party.contains("CỘNG HÒA XÃ HỘI"));
    assert!(!page.contains("src=") && !page.contains("http"), "nothing is fetched");
}

#[test]
fn a_notices_json_is_stable_and_read_back_whole() {
    let bytes = notice_json(&sample::notice(), &sample::seal()).unwrap();
    assert_eq!(bytes, notice_json(&sample::notice(), &sample::seal()).unwrap());
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let facts: facts::NoticeFacts = serde_json::from_value(value["notice"].clone()).unwrap();
    assert_eq!(facts, sample::notice());
    assert!(bytes.starts_with(b"{\n  \"notice\": {\n    \"number\": \"0007/2026\"") && bytes.ends_with(b"}\n"));
}

#[test]
fn an_offices_own_template_is_taken_or_refused_at_once() {
    let own = |name: &str, source: &str| Texts::with_overrides(&BTreeMap::from([(name.to_owned(), source.to_owned())]));
    let texts = own("single.txt.j2", "Riêng: {{ sections[0]['items'][0].code }} {{ facts.office }}").unwrap();
    assert_eq!(texts.email(&sample::single()).unwrap().text, "Riêng: NV26-000123 Văn phòng UBND Thành phố\n");
    assert!(texts.email(&sample::digest()).unwrap().text.contains("QUÁ HẠN (2)"));
    assert!(matches!(own("thu.txt", "x"), Err(TextError::Faults { .. })));
    for wrong in [
        "{{ subjekt }}",
        "{% if %}",
        "{{ sections[0].nothing.more }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ a }}{% endfor %}{% endfor %}",
    ] {
        let error = own("single.html.j2", wrong).unwrap_err();
        assert!(
            matches!(&error, TextError::Faults { first, .. } if first.starts_with("single.html.j2:1: ")),
            "{error}"
        );
    }
}

#[test]
fn an_own_template_that_fails_on_real_facts_gives_way_and_its_error_does_not_quote_them() {
    let source = "{% set item = sections[0]['items'][0] %}{{ item.code }} {{ item.deadline }}\
                  {% if item.code == 'BI-MAT' %}{{ to[item.work] }}{% endif %}";
    let texts = Texts::with_overrides(&BTreeMap::from([("single.html.j2".to_owned(), source.to_owned())])).unwrap();
    assert_eq!(texts.email(&sample::single()).unwrap().html, "NV26-000123 17/11/2026");
    let facts = with(|facts| {
        facts.items[0].code = "BI-MAT".into();
        facts.items[0].work = "CANARY".into();
    });
    let text = texts.email(&facts).unwrap();
    let why = text.fell_back.clone().expect("it says that it gave way");
    assert!(why.contains("single.html.j2") && !why.contains("CANARY") && !why.contains("BI-MAT"), "{why}");
    assert_eq!(EmailText { fell_back: None, ..text }, letter(&facts));
}

#[test]
fn the_daily_list_says_whom_nobody_reaches_since_when_why_and_what_to_do() {
    let texts = Texts::built_in();
    let text = texts.daily(&sample::daily()).unwrap();
    assert_eq!(text.subject, "[Không liên hệ được] 4 trường hợp, 4 nhiệm vụ, 25/11/2026");
    insta::assert_snapshot!("daily_list_txt", text.text);
    insta::assert_snapshot!("daily_list_html", text.html);
    for (label, facts) in sample::kinds::daily() {
        let text = texts.daily(&facts).unwrap();
        let both = [text.html, text.text].map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
        for part in &both {
            for group in &facts.groups {
                assert!(group.tasks.iter().all(|code| part.contains(code.as_str())), "{label}: {part}");
            }
            assert_eq!(
                part.contains("dondoc "),
                facts.operator && facts.groups.len() + facts.hidden as usize > 0,
                "{label}"
            );
        }
    }
}
