//! The plan as JSON, with the fields that scripts rely on: a stream, for a large office's year is gigabytes of it.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Answer;
use crate::{
    cli::context::stamp,
    engine::foresee::{
        difference::{PutOff, note_put_off},
        totals::{Counting, Totals},
        travel::{DeferredBy, Event, InOrder, Traveller},
    },
    planning::calendar::WorkCalendar,
};

/// Writes everything up to the end of the events; gives their sums.
pub fn events(out: &mut dyn Write, answer: &Answer<'_>, traveller: &mut Traveller<'_>) -> io::Result<Totals> {
    events_noting(out, answer, traveller, &mut PutOff::new())
}

/// [`events`], which notes what the daily cap put off.
pub fn events_noting(
    out: &mut dyn Write,
    answer: &Answer<'_>,
    traveller: &mut Traveller<'_>,
    put_off: &mut PutOff,
) -> io::Result<Totals> {
    let (span, calendar) = (answer.span, &answer.policy.calendar);
    let at = |at| json!(stamp(at, calendar));
    write!(out, "{{\"from\":{},\"until\":{},\"events\":[", at(span.from), at(span.until))?;
    let mut order = InOrder::new(&answer.looked.foresight);
    let mut counting = Counting::default();
    let mut lines = Lines::of(calendar);
    traveller.travel(span.now, &mut |traveller, leaving| {
        note_put_off(put_off, &leaving);
        counting.take(traveller, &leaving, &|event| span.holds_event(traveller, event));
        order.take(traveller, &leaving, &mut |event| {
            if span.holds_event(traveller, event) { lines.write(out, traveller, event) } else { Ok(()) }
        })
    })?;
    out.write_all(b"]")?;
    Ok(counting.end(traveller))
}

/// Writes what follows the events.
pub fn end(
    out: &mut dyn Write,
    totals: &Totals,
    unsaid: &[(&str, String)],
    difference: Option<Value>,
) -> io::Result<()> {
    write!(out, ",\"totals\":{}", sums(totals))?;
    if !unsaid.is_empty() {
        let unsaid: Vec<Value> = unsaid.iter().map(|(task, why)| json!({"task": task, "why": why})).collect();
        write!(out, ",\"unplanned\":{}", Value::from(unsaid))?;
    }
    if let Some(difference) = difference {
        write!(out, ",\"difference\":{difference}")?;
    }
    writeln!(out, "}}")
}

/// The sums, under their promised names.
pub fn sums(totals: &Totals) -> Value {
    // In the order of their words, as it always was.
    let by_audience: std::collections::BTreeMap<String, u64> =
        totals.by_audience.iter().map(|(audience, n)| (audience.to_string(), *n)).collect();
    let by_channel: std::collections::BTreeMap<&str, u64> =
        totals.by_channel.iter().map(|(channel, n)| (channel.as_str(), *n)).collect();
    json!({
        "events": totals.events,
        "reminders": totals.reminders,
        "messages": totals.messages,
        "notices": totals.notices,
        "unreachable": totals.unreachable,
        "by_audience": by_audience,
        "by_channel": by_channel,
    })
}

/// Writes events. What recurs (instants, names, codes' quotes) is turned into JSON once.
struct Lines<'a> {
    calendar: &'a WorkCalendar,
    stamps: HashMap<i64, String>,
    texts: HashMap<String, String>,
    begun: bool,
}

/// More than this many different texts are not kept.
const MOST_TEXTS: usize = 20_000;

impl<'a> Lines<'a> {
    fn of(calendar: &'a WorkCalendar) -> Self {
        Self { calendar, stamps: HashMap::new(), texts: HashMap::new(), begun: false }
    }

    fn stamp(&mut self, out: &mut dyn Write, at: Timestamp) -> io::Result<()> {
        if self.stamps.len() > MOST_TEXTS {
            self.stamps.clear();
        }
        let text = self.stamps.entry(at.as_second()).or_insert_with(|| stamp(at, self.calendar));
        out.write_all(text.as_bytes())
    }

    fn text(&mut self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        // Most texts are as JSON writes them.
        if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            out.write_all(b"\"")?;
            out.write_all(text.as_bytes())?;
            return out.write_all(b"\"");
        }
        if self.texts.len() > MOST_TEXTS {
            self.texts.clear();
        }
        let quoted = self.texts.entry(text.to_owned()).or_insert_with(|| Value::from(text).to_string());
        out.write_all(quoted.as_bytes())
    }

    fn write(&mut self, out: &mut dyn Write, traveller: &Traveller<'_>, event: &Event) -> io::Result<()> {
        let told = traveller.tell(event);
        out.write_all(if self.begun { b",{\"at\":\"" } else { b"{\"at\":\"" })?;
        self.begun = true;
        self.stamp(out, told.at)?;
        out.write_all(if told.notice {
            b"\",\"kind\":\"notice\",\"task\":"
        } else {
            b"\",\"kind\":\"reminder\",\"task\":"
        })?;
        self.text(out, told.task)?;
        out.write_all(b",\"rule\":")?;
        self.text(out, &told.step.rule)?;
        out.write_all(b",\"step\":")?;
        self.text(out, &told.step.step)?;
        write!(out, ",\"occurrence\":{},\"clock\":\"{}\",\"audience\":", told.occurrence, told.clock.as_str())?;
        match told.audience {
            Some(audience) => self.text(out, &audience.to_string())?,
            None => out.write_all(b"null")?,
        }
        out.write_all(b",\"person\":")?;
        self.text(out, told.person)?;
        match told.channel {
            Some(channel) => write!(out, ",\"channel\":\"{}\",\"address\":", channel.as_str())?,
            None => out.write_all(b",\"channel\":null,\"address\":")?,
        }
        self.text(out, told.address)?;
        out.write_all(b",\"send_at\":\"")?;
        self.stamp(out, told.send_at)?;
        match told.message {
            0 => out.write_all(b"\",\"message\":null")?,
            message => write!(out, "\",\"message\":\"m{message}\"")?,
        }
        out.write_all(match told.deferred_by {
            None => b",\"deferred_by\":null}",
            Some(DeferredBy::Hours) => b",\"deferred_by\":\"hours\"}",
            Some(DeferredBy::Cap) => b",\"deferred_by\":\"cap\"}",
        })
    }
}
