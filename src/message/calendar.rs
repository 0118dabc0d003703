//! The deadlines of a letter as an iCalendar object (RFC 5545), so that a phone can keep them.
//!
//! Published, never an invitation: nobody is asked to answer it, and a later letter on the same task replaces its entry.

use jiff::{civil::date, tz::TimeZone};

use super::{
    clean::{link, one_line},
    facts::{ItemFacts, LetterFacts, Nearness},
    phrases, words,
};

/// The deadlines that lie ahead (or today), one event each; `None` where none does. Lines end in CRLF and are folded
/// at 75 bytes. The caller has seen to it that no task is classified.
pub fn deadlines(facts: &LetterFacts) -> Option<String> {
    let ahead: Vec<&ItemFacts> =
        facts.items.iter().filter(|item| matches!(item.nearness, Nearness::Upcoming | Nearness::DueToday)).collect();
    if ahead.is_empty() {
        return None;
    }
    // A calendar takes the entry with the higher sequence; the day of the letter rises with every later one.
    let sequence = (facts.as_of.date() - date(2020, 1, 1)).get_days().max(0);
    let mut out = String::new();
    for text in ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//dondoc//VI", "CALSCALE:GREGORIAN", "METHOD:PUBLISH"] {
        line(&mut out, text);
    }
    for item in ahead {
        event(&mut out, item, sequence);
    }
    line(&mut out, "END:VCALENDAR");
    Some(out)
}

fn event(out: &mut String, item: &ItemFacts, sequence: i32) {
    let day = item.effective;
    let code = one_line(&item.code, 40);
    let work = one_line(if item.work.is_empty() { &item.document.subject } else { &item.work }, 120);
    let stamp = item.due_at.to_zoned(TimeZone::UTC).datetime();
    line(out, "BEGIN:VEVENT");
    line(out, &format!("UID:{}-{}@dondoc.invalid", escape(&code), item.clock));
    line(out, &format!("SEQUENCE:{sequence}"));
    line(out, &format!("DTSTAMP:{}Z", stamp.strftime("%Y%m%dT%H%M%S")));
    match item.deadline_time {
        // A floating time: the office and its people keep one zone, whatever their phones call it.
        Some(hour) => line(out, &format!("DTSTART:{}", day.to_datetime(hour).strftime("%Y%m%dT%H%M%S"))),
        None => {
            line(out, &format!("DTSTART;VALUE=DATE:{}", day.strftime("%Y%m%d")));
            let after = day.tomorrow().unwrap_or(day);
            line(out, &format!("DTEND;VALUE=DATE:{}", after.strftime("%Y%m%d")));
        }
    }
    let title = if work.is_empty() { code.clone() } else { format!("{code}: {work}") };
    line(out, &format!("SUMMARY:{}", escape(&format!("{} {title}", words::capital(words::clock(item.clock))))));
    let mut about = vec![phrases::document(item)];
    if !item.lead.is_empty() {
        about.push(format!("Chủ trì: {}", one_line(&item.lead, 160)));
    }
    about.push(format!("{}: {}", words::capital(words::clock(item.clock)), phrases::deadline(item)));
    about.retain(|text| !text.is_empty());
    line(out, &format!("DESCRIPTION:{}", escape(&about.join("\n"))));
    if let Some(link) = link(item.link.as_deref()) {
        line(out, &format!("URL:{link}"));
    }
    line(out, "TRANSP:TRANSPARENT");
    line(out, "END:VEVENT");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'\\' | b';' | b',' | b'\n')) {
        out.push_str(&rest[..at]);
        match &rest[at..=at] {
            "\n" => out.push_str("\\n"),
            special => out.extend(["\\", special]),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out
}

/// Folds at 75 bytes, never within a character.
fn line(out: &mut String, text: &str) {
    let (mut rest, mut room) = (text, 75);
    while rest.len() > room {
        let (begin, after) = rest.split_at(rest.floor_char_boundary(room));
        out.push_str(begin);
        out.push_str("\r\n ");
        (rest, room) = (after, 74);
    }
    out.push_str(rest);
    out.push_str("\r\n");
}
