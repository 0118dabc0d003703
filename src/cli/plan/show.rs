//! `dondoc plan --show CODE`: what will be sent for one task, word for word, in order.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use serde_json::{Value, json};

use super::{
    Answer,
    text::{capital, kind, spoken, step, who},
};
use crate::{
    cli::context::{stamp, told},
    engine::foresee::show::{Collecting, Parcel, Words, compose},
    planning::task::{Secrecy, TaskId},
    store::ledger::{PlanningStore, ReadingStore},
};

/// How many of the other tasks of a letter are named.
const OTHERS: usize = 8;

/// Writes the texts of one task.
pub(super) async fn write(
    answer: &Answer<'_>,
    store: &(impl PlanningStore + ReadingStore + ?Sized),
    task: TaskId,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut collecting = Collecting::of(task);
    {
        let span = answer.span;
        let mut traveller = answer.traveller();
        traveller.travel(span.now, &mut |traveller, leaving| {
            collecting.take(traveller, &leaving, &|told| span.holds(told.at, told.send_at));
            Ok(())
        })?;
    }
    let mut tasks = collecting.tasks();
    if !tasks.contains(&task) {
        tasks.push(task);
    }
    let failed = |error: crate::store::StoreError| io::Error::other(error.to_string());
    let records: HashMap<_, _> =
        store.tasks(&tasks).await.map_err(failed)?.into_iter().map(|record| (record.task.id, record)).collect();
    let texts: HashMap<_, _> =
        store.texts(&tasks).await.map_err(failed)?.into_iter().map(|texts| (TaskId(texts.task), texts)).collect();
    let start = answer.span.start();
    let words: Vec<Option<Result<Words, String>>> = collecting
        .parcels
        .iter()
        .map(|parcel| {
            (parcel.channel.is_some() && !parcel.address.is_empty()).then(|| {
                compose(&answer.policy, &answer.directory, &records, &texts, parcel, start).map_err(|e| e.to_string())
            })
        })
        .collect();
    let page = Page { answer, task, parcels: &collecting.parcels, words: &words };
    if answer.json {
        return writeln!(out, "{}", page.json());
    }
    let Some(record) = records.get(&task) else { return Ok(()) };
    let code = &record.task.code;
    writeln!(out, "{code}, {}:", spoken(answer.span, &answer.policy.calendar))?;
    if page.parcels.is_empty() {
        writeln!(out, "\nKhông có gì được gửi hoặc lập cho nhiệm vụ này trong thời gian đó.")?;
        let why = match record.task.secrecy {
            Secrecy::Secret | Secrecy::TopSecret => "Nhiệm vụ ở mức này không gửi gì qua mạng (Luật 117/2025/QH15).",
            _ if record.task.held => "Nhiệm vụ đang bị giữ lại, cho đến khi có người sửa.",
            _ if !record.task.state.is_open() => "Nhiệm vụ đã xong hoặc đã thu hồi.",
            _ => "",
        };
        if !why.is_empty() {
            writeln!(out, "{why}")?;
        }
        return writeln!(out, "Xem từng bước và lý do: dondoc explain {code}");
    }
    page.text(out)
}

struct Page<'a> {
    answer: &'a Answer<'a>,
    task: TaskId,
    parcels: &'a [Parcel],
    words: &'a [Option<Result<Words, String>>],
}

impl Page<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let calendar = &self.answer.policy.calendar;
        let rule = "─".repeat(78);
        for (number, (parcel, words)) in self.parcels.iter().zip(self.words).enumerate() {
            writeln!(out, "\n{rule}\n{}. {}", number + 1, capital(&self.head(parcel)))?;
            writeln!(out, "Lúc:      {}", told(parcel.moment, calendar))?;
            writeln!(out, "Bước:     {}", self.steps(parcel))?;
            let Some(words) = words else { continue };
            let name = if parcel.person.is_empty() { String::new() } else { format!("{} ", parcel.person) };
            writeln!(out, "Tới:      {name}<{}>", parcel.address)?;
            if let Some(others) = self.others(parcel) {
                writeln!(out, "Đi cùng:  {others}")?;
            }
            match words {
                Ok(words) => {
                    if !words.subject.is_empty() {
                        writeln!(out, "Tiêu đề:  {}", words.subject)?;
                    }
                    writeln!(out, "\n{}", words.text.trim_end())?;
                }
                Err(why) => writeln!(out, "\n(không soạn được: {why})")?,
            }
        }
        writeln!(out, "{rule}")
    }

    fn head(&self, parcel: &Parcel) -> String {
        match parcel.channel {
            None => "phiếu báo nhiệm vụ quá hạn (số cấp khi lập)".to_owned(),
            Some(_) if parcel.address.is_empty() => "không có ai nhận được".to_owned(),
            Some(channel) => kind(channel).to_owned(),
        }
    }

    /// On which steps this task is in it, and to whom.
    fn steps(&self, parcel: &Parcel) -> String {
        let ours = parcel.items.iter().filter(|item| item.task == self.task);
        let mut steps: Vec<String> = Vec::new();
        for item in ours {
            let whom = match &item.audience {
                Some(audience) => who(audience, item.people.role),
                None => {
                    let directory = &self.answer.directory.directory;
                    directory.agency(item.people.agency).map(|agency| agency.name.clone()).unwrap_or_default()
                }
            };
            let line = format!("{} của quy tắc {}, {whom}", step(&item.step, item.occurrence), item.rule);
            if !steps.contains(&line) {
                steps.push(line);
            }
        }
        steps.join("; ")
    }

    /// The other tasks that travel with it.
    fn others(&self, parcel: &Parcel) -> Option<String> {
        let mut codes: Vec<&str> = Vec::new();
        for item in parcel.items.iter().filter(|item| item.task != self.task) {
            if !codes.contains(&item.code.as_str()) {
                codes.push(&item.code);
            }
        }
        let shown = codes.iter().take(OTHERS).copied().collect::<Vec<_>>().join(", ");
        let more = if codes.len() > OTHERS { ", …" } else { "" };
        (!codes.is_empty()).then(|| format!("{} nhiệm vụ khác trong cùng thư: {shown}{more}", codes.len()))
    }

    fn json(&self) -> Value {
        let at = |at| stamp(at, &self.answer.policy.calendar);
        let parcels: Vec<Value> = self
            .parcels
            .iter()
            .zip(self.words)
            .map(|(parcel, words)| {
                let items: Vec<Value> = parcel
                    .items
                    .iter()
                    .map(|item| {
                        json!({
                            "task": item.code, "clock": item.clock, "rule": item.rule, "step": item.step,
                            "occurrence": item.occurrence, "audience": item.audience.as_ref().map(ToString::to_string),
                            "at": at(item.at),
                        })
                    })
                    .collect();
                let composed = words.as_ref().and_then(|words| words.as_ref().ok());
                json!({
                    "send_at": at(parcel.moment),
                    "kind": if parcel.channel.is_some() { "message" } else { "notice" },
                    "channel": parcel.channel,
                    "address": parcel.address,
                    "person": parcel.person,
                    "subject": composed.map(|words| &words.subject),
                    "text": composed.map(|words| &words.text),
                    "problem": words.as_ref().and_then(|words| words.as_ref().err()),
                    "items": items,
                })
            })
            .collect();
        json!({
            "from": at(self.answer.span.from),
            "until": at(self.answer.span.until),
            "texts": parcels,
        })
    }
}
