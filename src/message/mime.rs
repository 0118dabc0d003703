//! A letter as it goes over the wire: headers, parts, encodings. Once built the bytes are frozen by the caller.
//!
//! Nothing that was typed reaches a header except the task's code, cleaned; bodies are quoted-printable, so that
//! whatever a title holds, lines stay short, ASCII and ended by CRLF.

use std::io::Write;

use jiff::{Timestamp, fmt::rfc2822, tz::TimeZone};
use lettre::{
    Address,
    message::{
        Mailbox, Mailboxes,
        header::{
            ContentDisposition, ContentType, From, Header, HeaderName, HeaderValue, Headers, MIME_VERSION_1_0, ReplyTo,
            Subject, To,
        },
    },
};
use uuid::Uuid;

use super::{
    clean::one_line,
    quoted,
    texts::{EmailText, TextError},
};

/// What a message needs besides its texts.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// As in the settings: `Đôn đốc nhiệm vụ <dondoc@office.example>`.
    pub from: String,
    pub reply_to: Option<String>,
    /// The bare address.
    pub to: String,
    /// The recipient's name, where one is known.
    pub to_name: Option<String>,
    /// With its angle brackets, as [`message_id`] gives it.
    pub message_id: String,
    pub date: Timestamp,
    /// The office's zone: `Date` is written in local time with its offset.
    pub zone: TimeZone,
    /// The right side of Message-IDs and root ids: the domain of the sending address, the same for ever.
    pub host: String,
    /// Further headers, name and value (the daemon's own marks).
    pub extra_headers: Vec<(String, String)>,
}

/// The Message-ID of a message: `<uuid@host>`.
pub fn message_id(uuid: Uuid, host: &str) -> String {
    format!("<{uuid}@{}>", host_text(host))
}

/// The id to which every letter on a task refers, so that mail programs thread them: `<task-CODE@host>`. Characters
/// that cannot stand in a Message-ID are written as `_XX` (hex of their UTF-8 bytes), and of a very long code the first
/// 60 characters count.
pub fn root_id(code: &str, host: &str) -> String {
    let mut left = String::with_capacity(code.len() + 5);
    for byte in one_line(code, 60).bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => left.push(char::from(byte)),
            other => left.push_str(&format!("_{other:02X}")),
        }
    }
    format!("<task-{left}@{}>", host_text(host))
}

/// A domain as it may stand in an id; anything else than letters, digits, dots and hyphens is left out.
fn host_text(host: &str) -> String {
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')).take(200).collect();
    if host.is_empty() { "localhost".to_owned() } else { host }
}

/// The message's bytes: CRLF only, no line over 998 bytes, ASCII throughout.
///
/// `multipart/alternative` of text and HTML; with deadlines ahead it stands in a `multipart/mixed` beside one
/// `text/calendar; method=PUBLISH` part named `han-….ics`: beside and not among the alternatives, for Outlook shows the
/// last alternative it knows, and that would be the calendar entry instead of the letter.
pub fn mime(text: &EmailText, envelope: &Envelope) -> Result<Vec<u8>, TextError> {
    let boundary = |n: u8| {
        // Derived, not drawn: the same facts and Message-ID give the same bytes. '=' and '_' together cannot stand in
        // a quoted-printable line, so no body can hold it.
        let id: String = envelope.message_id.chars().filter(char::is_ascii_alphanumeric).take(40).collect();
        format!("=_{n}_{id}")
    };
    let mut headers = Headers::new();
    let date = envelope.date.to_zoned(envelope.zone.clone());
    set(&mut headers, "Date", &rfc2822::to_string(&date).map_err(|error| header("Date", error))?)?;
    headers.set(From::from(Mailboxes::from(mailbox("From", &envelope.from)?)));
    let to = Mailbox::new(envelope.to_name.as_deref().and_then(display_name), address("To", &envelope.to)?);
    headers.set(To::from(Mailboxes::from(to)));
    headers.set(Subject::from(plain(&text.subject, 200)));
    if let Some(reply_to) = &envelope.reply_to {
        headers.set(ReplyTo::from(Mailboxes::from(mailbox("Reply-To", reply_to)?)));
    }
    headers.set(MIME_VERSION_1_0);
    set(&mut headers, "Message-ID", id("Message-ID", &envelope.message_id)?)?;
    if let Some(code) = &text.thread {
        let root = root_id(code, &envelope.host);
        set(&mut headers, "In-Reply-To", &root)?;
        set(&mut headers, "References", &root)?;
    }
    set(&mut headers, "Auto-Submitted", "auto-generated")?;
    set(&mut headers, "X-Auto-Response-Suppress", "All")?;
    if text.urgent {
        set(&mut headers, "Importance", "high")?;
        set(&mut headers, "X-Priority", "2 (High)")?;
    }
    for (name, value) in &envelope.extra_headers {
        set(&mut headers, name, value)?;
    }

    // The parts are written by hand, not by lettre's builder, which copies each of them several times.
    let calendar = text.calendar.as_deref().unwrap_or_default();
    let mut out = Vec::with_capacity(2_048 + text.html.len() * 3 / 2 + (text.text.len() + calendar.len()) * 5 / 2);
    write_headers(&mut out, &headers);
    let (outer, inner) = (boundary(0), boundary(1));
    if text.calendar.is_some() {
        write_headers(&mut out, &one(multipart("mixed", &outer)?));
        out.extend_from_slice(b"\r\n");
        delimit(&mut out, &outer, "\r\n");
    }
    write_headers(&mut out, &one(multipart("alternative", &inner)?));
    out.extend_from_slice(b"\r\n");
    for (kind, body) in [("text/plain; charset=utf-8", &text.text), ("text/html; charset=utf-8", &text.html)] {
        delimit(&mut out, &inner, "\r\n");
        part(&mut out, kind, None, body);
    }
    delimit(&mut out, &inner, "--\r\n");
    if text.calendar.is_some() {
        let code: String = text
            .thread
            .iter()
            .flat_map(|code| code.chars())
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            .take(40)
            .collect();
        let name = if code.is_empty() { "han-nhiem-vu.ics".to_owned() } else { format!("han-{code}.ics") };
        delimit(&mut out, &outer, "\r\n");
        let disposition = one(ContentDisposition::attachment(&name));
        part(&mut out, "text/calendar; charset=utf-8; method=PUBLISH", Some(&disposition), calendar);
        delimit(&mut out, &outer, "--\r\n");
    }
    Ok(out)
}

/// A repeated copy of frozen bytes, its answer having been lost: one header `X-Dondoc-Repeat: n` before the others,
/// not a byte changed otherwise. `n` is 2 for the second hand-over.
pub fn mark_repeat(bytes: &[u8], n: u32) -> Vec<u8> {
    let mut marked = format!("X-Dondoc-Repeat: {n}\r\n").into_bytes();
    marked.extend_from_slice(bytes);
    marked
}

fn multipart(kind: &str, boundary: &str) -> Result<ContentType, TextError> {
    ContentType::parse(&format!("multipart/{kind}; boundary=\"{boundary}\""))
        .map_err(|error| header("Content-Type", error))
}

fn one(header: impl Header) -> Headers {
    let mut headers = Headers::new();
    headers.set(header);
    headers
}

fn write_headers(out: &mut Vec<u8>, headers: &Headers) {
    write!(out, "{headers}").expect("a vector takes all that is written");
}

/// `--boundary` and what ends its line.
fn delimit(out: &mut Vec<u8>, boundary: &str, end: &str) {
    [b"--", boundary.as_bytes(), end.as_bytes()].into_iter().for_each(|bytes| out.extend_from_slice(bytes));
}

/// One part with its headers; `kind` short enough to need no folding.
fn part(out: &mut Vec<u8>, kind: &str, disposition: Option<&Headers>, body: &str) {
    [b"Content-Type: ", kind.as_bytes(), b"\r\nContent-Transfer-Encoding: quoted-printable\r\n"]
        .into_iter()
        .for_each(|bytes| out.extend_from_slice(bytes));
    if let Some(disposition) = disposition {
        write_headers(out, disposition);
    }
    out.extend_from_slice(b"\r\n");
    quoted::printable(out, body);
    out.extend_from_slice(b"\r\n");
}

/// One line in which no encoded word can be smuggled: typed ASCII like `=?utf-8?q?…?=` would be decoded by the reader.
fn plain(text: &str, limit: usize) -> String {
    one_line(text, limit).replace("=?", "= ?")
}

fn display_name(text: &str) -> Option<String> {
    Some(plain(text, 120)).filter(|name| !name.is_empty())
}

fn header(field: &'static str, detail: impl ToString) -> TextError {
    TextError::Header { field, detail: detail.to_string() }
}

/// Sets a header whose value is ours: visible ASCII, never folded, so that ids stay whole.
fn set(headers: &mut Headers, name: &str, value: &str) -> Result<(), TextError> {
    if value.len() > 900 || !value.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(header("a header's value", "it must be one line of ASCII"));
    }
    let visible = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let name = HeaderName::new_from_ascii(name.to_owned())
        .ok()
        .filter(|_| visible)
        .ok_or_else(|| header("a header's name", "it must be letters, digits and hyphens"))?;
    headers.insert_raw(HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned()));
    Ok(())
}

fn id<'a>(field: &'static str, text: &'a str) -> Result<&'a str, TextError> {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
    match inner.and_then(|inner| inner.split_once('@')) {
        Some((left, right))
            if !left.is_empty()
                && !right.is_empty()
                && text.len() <= 400
                && inner.is_some_and(|inner| inner.chars().all(|c| c.is_ascii_graphic() && !"<>".contains(c))) =>
        {
            Ok(text)
        }
        _ => Err(header(field, "it must read <left@right>")),
    }
}

/// `Tên <address>` or a bare address. The address itself is not repeated in the error: it is personal data.
fn mailbox(field: &'static str, text: &str) -> Result<Mailbox, TextError> {
    let wrong = || header(field, "it must read address@domain or Name <address@domain>");
    if text.chars().any(char::is_control) {
        return Err(wrong());
    }
    match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        // Taken apart here: lettre's own parser refuses unquoted names with commas and dots.
        Some((name, inner)) => Ok(Mailbox::new(display_name(name.trim().trim_matches('"')), address(field, inner)?)),
        None => Ok(Mailbox::new(None, address(field, text.trim())?)),
    }
}

fn address(field: &'static str, text: &str) -> Result<Address, TextError> {
    let text = text.trim();
    // A quoted local part may hold blanks and line ends; nobody's real address does.
    let plain = text.is_ascii() && text.len() <= 254 && text.bytes().all(|c| c.is_ascii_graphic() && c != b'"');
    text.parse::<Address>()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| header(field, "it is not an address in ASCII (address@domain)"))
}
