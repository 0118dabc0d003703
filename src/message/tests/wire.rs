//! What stands on the wire: headers, parts, ids, and that nothing typed can break them.

use mail_parser::MimeHeaders;
use proptest::prelude::*;

use super::*;

/// The same letter by lettre's own builder, of which [`mime`] writes the parts by itself.
fn by_lettre(text: &EmailText, envelope: &Envelope) -> Vec<u8> {
    use lettre::message::{
        Body, Mailbox, Message, MultiPart, SinglePart,
        header::{ContentDisposition, ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    };
    let printable = ContentTransferEncoding::QuotedPrintable;
    let part = |kind: ContentType, name: Option<&str>, body: &str| {
        let body = body.replace("\r\n", "\n").replace('\r', "\n");
        let part = SinglePart::builder().content_type(kind).header(printable);
        let part = match name {
            Some(name) => part.header(ContentDisposition::attachment(name)),
            None => part,
        };
        part.body(Body::new_with_encoding(body, printable).unwrap())
    };
    let id: String = envelope.message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let letter = MultiPart::alternative()
        .boundary(format!("=_1_{id}"))
        .singlepart(part(ContentType::TEXT_PLAIN, None, &text.text))
        .singlepart(part(ContentType::TEXT_HTML, None, &text.html));
    let content = match &text.calendar {
        None => letter,
        Some(calendar) => {
            let name = text.thread.as_ref().map_or("han-nhiem-vu.ics".to_owned(), |code| format!("han-{code}.ics"));
            let kind = ContentType::parse("text/calendar; charset=utf-8; method=PUBLISH").unwrap();
            let calendar = part(kind, Some(&name), calendar);
            MultiPart::mixed().boundary(format!("=_0_{id}")).multipart(letter).singlepart(calendar)
        }
    };
    let (name, from) = envelope.from.strip_suffix('>').unwrap().split_once(" <").unwrap();
    let mut message = Message::builder()
        .date(std::time::SystemTime::UNIX_EPOCH)
        .from(Mailbox::new(Some(name.to_owned()), from.parse().unwrap()))
        .to(Mailbox::new(envelope.to_name.clone(), envelope.to.parse().unwrap()))
        .subject(text.subject.clone())
        .reply_to(envelope.reply_to.as_ref().unwrap().parse().unwrap())
        .multipart(content)
        .unwrap();
    let mut set = |name: &str, value: &str| {
        let name = HeaderName::new_from_ascii(name.to_owned()).unwrap();
        let value = HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned());
        message.headers_mut().insert_raw(value);
    };
    let date = envelope.date.to_zoned(envelope.zone.clone());
    set("Date", &jiff::fmt::rfc2822::to_string(&date).unwrap());
    set("Message-ID", &envelope.message_id);
    if let Some(code) = &text.thread {
        let root = root_id(code, &envelope.host);
        set("In-Reply-To", &root);
        set("References", &root);
    }
    set("Auto-Submitted", "auto-generated");
    set("X-Auto-Response-Suppress", "All");
    if text.urgent {
        set("Importance", "high");
        set("X-Priority", "2 (High)");
    }
    for (name, value) in &envelope.extra_headers {
        set(name, value);
    }
    message.formatted()
}

#[test]
fn parts_written_by_hand_are_those_of_lettres_builder_byte_for_byte() {
    for facts in [sample::single(), sample::ahead(), sample::digest()] {
        for id in ["<0193a1b2-0000-7000-8000-000000000001@office.example>", "<a@b>"] {
            let (text, envelope) = (letter(&facts), Envelope { message_id: id.into(), ..envelope() });
            let (ours, theirs) = (mime(&text, &envelope).unwrap(), by_lettre(&text, &envelope));
            assert_eq!(String::from_utf8(ours), String::from_utf8(theirs));
        }
    }
}

fn headers(bytes: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(bytes).unwrap();
    let head = text.split("\r\n\r\n").next().unwrap();
    head.replace("\r\n ", " ").split("\r\n").map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

const HEADERS: [&str; 14] = [
    "Date",
    "From",
    "To",
    "Subject",
    "Reply-To",
    "MIME-Version",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "X-Dondoc-Message",
    "Content-Type",
    "",
];

#[test]
fn a_mail_program_reads_back_what_was_written() {
    let text = letter(&sample::ahead());
    let bytes = mime(&text, &envelope()).unwrap();
    assert_wire(&bytes);
    assert_eq!(bytes, mime(&text, &envelope()).unwrap(), "the same letter gives the same bytes");
    let seen = parse(&bytes);
    assert_eq!(seen.subject(), Some(text.subject.as_str()));
    assert_eq!(seen.from().unwrap().first().unwrap().name(), Some("Đôn đốc nhiệm vụ"));
    assert_eq!(seen.from().unwrap().first().unwrap().address(), Some("dondoc@office.example"));
    assert_eq!(seen.to().unwrap().first().unwrap().name(), Some("Vũ Văn Đạt"));
    assert_eq!(seen.reply_to().unwrap().first().unwrap().address(), Some("theo-doi@office.example"));
    assert_eq!(seen.message_id(), Some("0193a1b2-0000-7000-8000-000000000001@office.example"));
    assert_eq!(seen.references().as_text(), Some("task-NV26-000160@office.example"));
    assert_eq!(seen.in_reply_to().as_text(), Some("task-NV26-000160@office.example"));
    assert_eq!(seen.date().unwrap().to_rfc3339(), "2026-11-25T08:00:00+07:00");
    for (name, value) in
        [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All"), ("X-Dondoc-Message", "17")]
    {
        assert_eq!(seen.header(name).and_then(|value| value.as_text()), Some(value));
    }
    assert!(seen.header("List-Unsubscribe").is_none() && seen.header("Importance").is_none());
    assert_eq!(seen.body_text(0).unwrap().replace("\r\n", "\n"), text.text);
    assert_eq!(seen.body_html(0).unwrap().replace("\r\n", "\n"), text.html);
    let attached = seen.attachment(0).expect("the calendar");
    assert_eq!(attached.attachment_name(), Some("han-NV26-000160.ics"));
    let kind = attached.content_type().unwrap();
    assert_eq!((kind.ctype(), kind.subtype(), kind.attribute("method")), ("text", Some("calendar"), Some("PUBLISH")));
    assert_eq!(attached.text_contents(), text.calendar.as_deref());
}

#[test]
fn a_digest_refers_to_no_task_and_urgent_work_is_marked() {
    let text = letter(&sample::digest());
    let bytes = mime(&text, &envelope()).unwrap();
    let seen = parse(&bytes);
    assert!(seen.references().as_text().is_none() && seen.in_reply_to().as_text().is_none());
    assert_eq!(seen.header("Importance").and_then(|value| value.as_text()), Some("high"));
    assert_eq!(seen.attachment(0).unwrap().attachment_name(), Some("han-nhiem-vu.ics"));
    assert_eq!(text.calendar.unwrap().matches("BEGIN:VEVENT").count(), 4);
}

#[test]
fn the_calendar_part_keeps_to_its_format() {
    let mut facts = sample::digest();
    facts.items[3].work = "Rà soát; kiểm tra, báo cáo \\ \u{1f4c5} ".repeat(20);
    facts.items[3].code = "A\r\nATTENDEE:x".into();
    let calendar = letter(&facts).calendar.unwrap();
    assert!(calendar.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\n', '\r'])));
    assert!(!calendar.contains("\r\nATTENDEE"));
    insta::assert_snapshot!("calendar", letter(&sample::ahead()).calendar.unwrap().replace("\r\n", "\n"));
    assert!(calendar.contains("DTSTART:20261125T170000\r\n"), "a stated hour is kept");
}

#[test]
fn a_repeated_copy_differs_by_one_header_only() {
    let bytes = mime(&letter(&sample::single()), &envelope()).unwrap();
    let marked = mark_repeat(&bytes, 2);
    assert_eq!(marked.strip_prefix(b"X-Dondoc-Repeat: 2\r\n"), Some(bytes.as_slice()));
    assert_eq!(parse(&marked).header("X-Dondoc-Repeat").and_then(|value| value.as_text()), Some("2"));
    assert_eq!(parse(&marked).message_id(), parse(&bytes).message_id());
}

#[test]
fn ids_are_safe_and_stable() {
    assert_eq!(root_id("NV26-000123", "office.example"), "<task-NV26-000123@office.example>");
    assert_eq!(root_id("số 1/A>\r\n", "office.example\r\nX: y"), "<task-s_E1_BB_91_201_2FA_3E@office.exampleXy>");
    assert_ne!(root_id("a_2F", "x"), root_id("a/", "x"));
    let id = message_id(uuid::Uuid::nil(), "office.example");
    assert_eq!(id, "<00000000-0000-0000-0000-000000000000@office.example>");
}

#[test]
fn addresses_and_headers_that_could_smuggle_are_refused_without_being_repeated() {
    let text = letter(&sample::single());
    type Spoil = &'static dyn Fn(&mut Envelope);
    let cases: [(&str, Spoil); 7] = [
        ("To", &|e| e.to = "dat@snv.example\r\nBcc: evil@x.example".into()),
        ("To", &|e| e.to = "đạt@snv.example".into()),
        ("To", &|e| e.to = "nobody".into()),
        ("From", &|e| e.from = "x\r\nBcc: evil@x.example <a@b.example>".into()),
        ("Message-ID", &|e| e.message_id = "<a@b>\r\nX: y".into()),
        ("a header's value", &|e| e.extra_headers = vec![("X-A".into(), "b\r\nBcc: evil@x.example".into())]),
        ("a header's name", &|e| e.extra_headers = vec![("X-A:\r\nBcc".into(), "b".into())]),
    ];
    for (field, spoil) in cases {
        let mut envelope = envelope();
        spoil(&mut envelope);
        let error = mime(&text, &envelope).expect_err(field);
        assert!(matches!(&error, TextError::Header { field: named, .. } if *named == field), "{error}");
        assert!(!error.to_string().contains("evil") && !error.to_string().contains("snv"), "{error}");
    }
}

/// Titles as they come: line ends, bidi, emoji, markup, template syntax, encoded words, ten thousand letters.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,80}",
        "[\\x00-\\x7f\\u{80}-\\u{ff}\\u{200b}-\\u{202f}\\u{2028}\\u{2066}-\\u{2069}đế\u{1f468}]{0,80}",
        Just("Bcc: evil@x.example\r\nSubject: x\r\n\r\nbody\n.\n\r.\r\n".to_owned()),
        Just("=?utf-8?q?=0D=0ABcc=3A_evil?= \u{202e}{{ facts }}{% raw %}<script>alert(1)</script><img src=x onerror=y>\"'".to_owned()),
        Just("x".repeat(10_000)),
        Just("đốc ".repeat(2_500)),
        Just("--=_1_0193a1b2000070008000000000000001officeex--\r\n".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_was_typed_the_wire_and_the_page_stay_whole(
        texts in proptest::collection::vec(nasty(), 8),
        several in any::<bool>(),
        ahead in any::<bool>(),
    ) {
        let mut facts = match (several, ahead) {
            (true, _) => sample::digest(),
            (false, true) => sample::ahead(),
            (false, false) => sample::single(),
        };
        for item in &mut facts.items {
            item.code = texts[0].clone();
            item.work = texts[1].clone();
            item.document.number = texts[2].clone();
            item.document.subject = texts[3].clone();
            item.lead = texts[4].clone();
            item.coordinators = vec![texts[5].clone()];
            item.link = Some(texts[6].clone());
            item.reasoning = vec![texts[1].clone()];
            item.why.rule = texts[2].clone();
        }
        facts.recipient.name = texts[7].clone();
        facts.recipient.title = texts[6].clone();
        facts.contact.name = texts[5].clone();
        facts.office = texts[4].clone();
        let built = Texts::built_in();
        let text = built.email(&facts).unwrap();
        let mut envelope = envelope();
        envelope.to_name = Some(texts[7].clone());
        let bytes = mime(&text, &envelope).unwrap();
        assert_wire(&bytes);
        for name in headers(&bytes) {
            prop_assert!(HEADERS.contains(&name.as_str()) || ["Importance", "X-Priority"].contains(&name.as_str()), "{}", name);
        }
        let seen = parse(&bytes);
        prop_assert_eq!(seen.text_body_count(), 1);
        prop_assert_eq!(seen.attachment_count(), usize::from(text.calendar.is_some()));
        prop_assert_eq!(seen.to().unwrap().first().unwrap().address(), Some("dat@snv.example"));
        prop_assert_eq!(seen.body_text(0).unwrap().replace("\r\n", "\n"), text.text.clone());
        prop_assert_eq!(seen.body_html(0).unwrap().replace("\r\n", "\n"), text.html.clone());
        for tag in ["<script", "<img", "onerror=y>", "javascript:"] {
            prop_assert!(!text.html.contains(tag), "{} in {}", tag, text.html);
        }
        // Every "<" of the page opens a tag of our own templates.
        for opened in text.html.split('<').skip(1) {
            let name: String = opened.trim_start_matches('/').chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '!').collect();
            prop_assert!(
                ["!doctype", "html", "head", "meta", "title", "body", "div", "table", "tr", "td", "p", "b", "br", "a", "h2", "span"].contains(&name.as_str()),
                "<{}", name
            );
        }
        let line = built.zalo(&facts).unwrap();
        prop_assert!(line.chars().count() < 400);
        prop_assert!(!line.contains("[@"));
    }
}
