//! The plan for people: by day, a line a message, totals at the end.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use jiff::{Timestamp, ToSpan, civil::Date};

use super::{Answer, Span};
use crate::{
    cli::context::told,
    engine::foresee::{
        totals::{Counting, Totals},
        travel::{DeferredBy, Event, Told, Traveller},
    },
    message::words,
    planning::{
        calendar::WorkCalendar,
        rules::{Audience, ChannelKind},
        task::Role,
    },
};

/// Without `--all`: lines of one day, lines in all, and tasks named in one line.
const A_DAY: usize = 30;
const IN_ALL: usize = 300;
const A_LINE: usize = 3;

pub(super) fn write(out: &mut dyn Write, answer: &Answer<'_>) -> io::Result<()> {
    let span = answer.span;
    writeln!(
        out,
        "{}: {} nhiệm vụ đang theo dõi.",
        capital(&spoken(span, &answer.policy.calendar)),
        number(answer.open)
    )?;
    let mut traveller = answer.traveller();
    let mut counting = Counting::default();
    let mut page = Page::of(answer);
    traveller.travel(span.now, &mut |traveller, leaving| {
        let wanted = |event: &Event| span.holds_event(traveller, event);
        counting.take(traveller, &leaving, &wanted);
        let together = |a: &Event, b: &Event| a.message == b.message && a.message > 0;
        for events in leaving.events.chunk_by(together) {
            let told: Vec<Told<'_>> =
                events.iter().filter(|event| wanted(event)).map(|event| traveller.tell(event)).collect();
            if !told.is_empty() {
                page.add(out, leaving.moment, &told)?;
            }
        }
        Ok(())
    })?;
    page.end_day(out)?;
    let totals = counting.end(&traveller);
    if totals.events == 0 {
        writeln!(out, "\nKhông có gì phải gửi hoặc lập trong thời gian này.")?;
    } else {
        writeln!(out)?;
        sums(out, &totals)?;
    }
    if page.hidden {
        writeln!(out, "Chỉ hiện một phần các thư; thêm --all để xem hết, --show MÃ để đọc thư của một nhiệm vụ.")?;
    }
    cautions(out, answer, &traveller)
}

/// The span in words: `từ … đến …`.
pub(super) fn spoken(span: Span, calendar: &WorkCalendar) -> String {
    // A whole day ends at 24:00: people call it by its own date.
    let last = calendar.local(span.until - 1.millisecond());
    let end = if calendar.local(span.until).time() == jiff::civil::Time::midnight() {
        format!("hết ngày {}", last.strftime("%d/%m/%Y"))
    } else {
        told(span.until, calendar)
    };
    format!("từ {} đến {end}", told(span.from, calendar))
}

pub(super) fn capital(text: &str) -> String {
    words::capital(text)
}

/// A count as people read it: `12.345`.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::with_capacity(digits.len() + 4);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push('.');
        }
        shown.push(digit);
    }
    shown
}

/// What messages of a channel are called.
pub(super) fn kind(channel: ChannelKind) -> &'static str {
    match channel {
        ChannelKind::Email => "thư",
        ChannelKind::Zalo => "tin Zalo",
    }
}

/// `58 thư, 12 tin Zalo`.
pub(super) fn messages(totals: &Totals) -> String {
    let parts: Vec<String> =
        totals.messages_by_channel.iter().map(|(channel, n)| format!("{} {}", number(*n), kind(*channel))).collect();
    if parts.is_empty() { "0 thư".to_owned() } else { parts.join(", ") }
}

fn sums(out: &mut dyn Write, totals: &Totals) -> io::Result<()> {
    let (reminders, notices) = (number(totals.reminders), number(totals.notices));
    writeln!(out, "Tổng cộng: {}, {notices} phiếu báo ({reminders} lượt nhắc).", messages(totals))?;
    for audience in totals.by_audience.keys() {
        let of = |channel| totals.messages_by_audience.get(&(audience.clone(), channel)).copied().unwrap_or_default();
        let counts: Vec<String> = ChannelKind::ALL
            .iter()
            .filter(|channel| of(**channel) > 0)
            .map(|channel| format!("{} {}", number(of(*channel)), kind(*channel)))
            .collect();
        if !counts.is_empty() {
            writeln!(out, "  {}: {}", who(audience, Role::Lead), counts.join(", "))?;
        }
    }
    let [hours, cap] = totals.waiting;
    if hours > 0 {
        writeln!(out, "{} lượt đến bước ngoài giờ gửi, chờ đến giờ.", number(hours))?;
    }
    if cap > 0 {
        writeln!(out, "{} lượt chờ sang ngày khác vì người nhận đã đủ số thư trong ngày (daily_cap).", number(cap))?;
    }
    if totals.unreachable > 0 {
        writeln!(
            out,
            "{} lượt nhắc KHÔNG có ai nhận được: xem `dondoc status`, rồi bổ sung danh bạ.",
            number(totals.unreachable)
        )?;
    }
    Ok(())
}

/// What a reader of the answer must know besides.
pub(super) fn cautions(out: &mut dyn Write, answer: &Answer<'_>, _: &Traveller<'_>) -> io::Result<()> {
    if answer.held > 0 {
        writeln!(
            out,
            "{} nhiệm vụ đang bị giữ lại nên không có trong kế hoạch này, cho đến khi có người sửa.",
            number(answer.held)
        )?;
    }
    let last = answer.policy.calendar.date_of(answer.span.until - 1.millisecond());
    if let Err(uncovered) = answer.policy.calendar.is_working(last) {
        writeln!(
            out,
            "Lịch chưa có năm {0}: các bước rơi vào năm đó chưa tính được. Ghi ngày nghỉ của {0} vào calendar.toml.",
            uncovered.0
        )?;
    }
    let unsaid = &answer.looked.foresight.uncovered;
    if !unsaid.is_empty() {
        let codes: Vec<&str> = unsaid.iter().take(5).map(|(code, _)| code.as_str()).collect();
        let years: BTreeSet<i16> = unsaid.iter().map(|(_, uncovered)| uncovered.0).collect();
        let years: Vec<String> = years.iter().map(i16::to_string).collect();
        let more = if unsaid.len() > codes.len() { ", …" } else { "" };
        writeln!(
            out,
            "{} nhiệm vụ chưa tính được vì lịch chưa có năm {}: {}{more}",
            number(unsaid.len() as u64),
            years.join(", "),
            codes.join(", ")
        )?;
    }
    Ok(())
}

/// An audience as people call it; a person or an address named in the rules by that.
pub(super) fn who(audience: &Audience, role: Role) -> String {
    match audience {
        Audience::Person(id) => format!("người được chỉ định ({id})"),
        Audience::Email(address) => format!("người được chỉ định ({address})"),
        other => words::audience(&other.to_string(), role),
    }
}

/// `qua-han-10 (lần 2)`.
pub(super) fn step(step: &str, occurrence: u32) -> String {
    if occurrence > 1 { format!("{step} (lần {occurrence})") } else { step.to_owned() }
}

pub(super) fn weekday(day: Date) -> &'static str {
    use jiff::civil::Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    match day.weekday() {
        Monday => "Thứ Hai",
        Tuesday => "Thứ Ba",
        Wednesday => "Thứ Tư",
        Thursday => "Thứ Năm",
        Friday => "Thứ Sáu",
        Saturday => "Thứ Bảy",
        Sunday => "Chủ nhật",
    }
}

/// The days, each written when it is over: its sum stands before its lines.
struct Page<'a> {
    answer: &'a Answer<'a>,
    day: Option<Date>,
    lines: Vec<String>,
    left_out: u64,
    counts: [u64; 3],
    written: usize,
    hidden: bool,
}

impl<'a> Page<'a> {
    fn of(answer: &'a Answer<'a>) -> Self {
        Self { answer, day: None, lines: Vec::new(), left_out: 0, counts: [0; 3], written: 0, hidden: false }
    }

    fn add(&mut self, out: &mut dyn Write, moment: Timestamp, events: &[Told<'_>]) -> io::Result<()> {
        let day = self.answer.policy.calendar.date_of(moment);
        if self.day != Some(day) {
            self.end_day(out)?;
            self.day = Some(day);
        }
        let first = &events[0];
        match first.channel {
            None => self.counts[2] += 1,
            Some(channel) if first.message > 0 => self.counts[channel as usize] += 1,
            Some(_) => {}
        }
        let all = self.answer.args.all;
        if all || (self.lines.len() < A_DAY && self.written + self.lines.len() < IN_ALL) {
            let line = self.line(moment, events, all);
            self.lines.push(line);
        } else {
            self.left_out += 1;
            self.hidden = true;
        }
        Ok(())
    }

    fn line(&mut self, moment: Timestamp, events: &[Told<'_>], all: bool) -> String {
        let calendar = &self.answer.policy.calendar;
        let hour = calendar.local(moment).strftime("%H:%M");
        let first = &events[0];
        let agency = |told: &Told<'_>| {
            self.answer.directory.directory.agency(told.people.agency).map(|a| a.name.clone()).unwrap_or_default()
        };
        if first.notice {
            let step = step(&first.step.step, first.occurrence);
            return format!("  {hour}  phiếu báo  {} {step}: {}", first.task, agency(first));
        }
        let mut audiences: Vec<String> = Vec::new();
        for told in events {
            let word = told.audience.map(|audience| who(audience, told.people.role)).unwrap_or_default();
            if !audiences.contains(&word) {
                audiences.push(word);
            }
        }
        if first.message == 0 {
            let step = step(&first.step.step, first.occurrence);
            let whom = audiences.join(", ");
            return format!("  {hour}  KHÔNG CÓ AI NHẬN  {} {step}: {whom}, {}", first.task, agency(first));
        }
        let mut items: Vec<String> = Vec::new();
        for told in events {
            let item = format!("{} {}", told.task, step(&told.step.step, told.occurrence));
            if !items.contains(&item) {
                items.push(item);
            }
        }
        let tasks: BTreeSet<&str> = events.iter().map(|told| told.task).collect();
        // A name says more than its address; who wants both asks for all.
        let name = match (first.person, all) {
            ("", _) => format!("<{}>", first.address),
            (person, true) => format!("{person} <{}>", first.address),
            (person, false) => person.to_owned(),
        };
        let mut shown = items.iter().take(if all { items.len() } else { A_LINE }).cloned().collect::<Vec<_>>();
        if shown.len() < items.len() {
            shown.push(format!("… và {} nữa", items.len() - shown.len()));
            self.hidden = true;
        }
        let several = if tasks.len() > 1 { format!("{} nhiệm vụ: ", tasks.len()) } else { String::new() };
        let mut line = format!(
            "  {hour}  {:8}  {name} ({}): {several}{}",
            first.channel.map(kind).unwrap_or_default(),
            audiences.join(", "),
            shown.join("; ")
        );
        if events.iter().any(|told| told.deferred_by == Some(DeferredBy::Cap)) {
            line.push_str(" [chờ từ hôm trước vì đủ số thư trong ngày]");
        } else if events.iter().all(|told| told.deferred_by.is_some()) {
            line.push_str(" [chờ đến giờ gửi]");
        }
        line
    }

    fn end_day(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some(day) = self.day.take() else { return Ok(()) };
        let [email, zalo, notices] = std::mem::take(&mut self.counts);
        let sums: Vec<String> = [(email, "thư"), (zalo, "tin Zalo"), (notices, "phiếu báo")]
            .into_iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!("{} {what}", number(n)))
            .collect();
        let sums = if sums.is_empty() { "không gửi được gì".to_owned() } else { sums.join(", ") };
        let blank = if self.lines.is_empty() { "" } else { "\n" };
        writeln!(out, "{blank}{}, {}: {sums}", weekday(day), day.strftime("%d/%m/%Y"))?;
        self.written += self.lines.len();
        for line in self.lines.drain(..) {
            writeln!(out, "{line}")?;
        }
        if self.left_out > 0 && self.written < IN_ALL {
            writeln!(out, "  … và {} dòng nữa", number(self.left_out))?;
        }
        self.left_out = 0;
        Ok(())
    }
}
