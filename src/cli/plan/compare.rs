//! What an edit changes, in one glance first: so many mails more, so many of them to heads; then by audience and step;
//! then the lines themselves.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{
    Answer, Edit, name,
    text::{capital, cautions, kind, number, spoken, step, who},
};
use crate::{
    cli::context::{stamp, told},
    engine::{
        foresee::{
            difference::{Change, Count, Difference, Kind, tell},
            totals::Totals,
            travel::{Told, Traveller},
        },
        policy::Policy,
    },
    planning::{
        rules::{Audience, ChannelKind},
        task::Role,
    },
};

/// Lines shown without `--all`.
const LINES: usize = 40;

/// Two plans of the same tasks, and what both differ in.
pub(super) struct Compared<'a> {
    pub edit: &'a Edit,
    pub difference: &'a Difference,
    pub was: &'a Traveller<'a>,
    pub is: &'a Traveller<'a>,
    pub before: &'a Totals,
    pub after: &'a Totals,
}

impl Compared<'_> {
    pub(super) fn text(&self, out: &mut dyn Write, answer: &Answer<'_>) -> io::Result<()> {
        let files: Vec<String> = self.edit.files.iter().map(|path| name(path)).collect();
        let files = files.join(", ");
        self.tests(out)?;
        if self.edit.same {
            writeln!(out, "{files}: giống hệt quy tắc và lịch đang dùng, không có gì thay đổi.")?;
            return cautions(out, answer, self.is);
        }
        self.steps(out)?;
        let span = spoken(answer.span, &answer.policy.calendar);
        if self.difference.changes.is_empty() {
            writeln!(
                out,
                "{files}, nếu nạp lại bây giờ: {span} không có gì thay đổi ({}).",
                super::text::messages(self.after)
            )?;
            return cautions(out, answer, self.is);
        }
        writeln!(out, "{files}, nếu nạp lại bây giờ, so với đang dùng, {span}:\n")?;
        writeln!(out, "  {}\n", self.headline())?;
        self.audiences(out)?;
        self.by_step(out)?;
        self.lines(out, answer)?;
        cautions(out, answer, self.is)
    }

    /// `+58 thư, trong đó +40 tới người đứng đầu; −12 tin Zalo; +3 phiếu báo; 7 lượt dời ngày`
    fn headline(&self) -> String {
        let mut parts = Vec::new();
        for channel in ChannelKind::ALL {
            let count = |totals: &Totals| totals.messages_by_channel.get(channel).copied().unwrap_or_default();
            let change = count(self.after) as i64 - count(self.before) as i64;
            let mut part = match change {
                0 => format!("số {} không đổi", kind(*channel)),
                _ => format!("{} {}", signed(change), kind(*channel)),
            };
            // Whom most of it concerns.
            let of = |audience: &Audience| self.messages(audience, *channel);
            let most = self.concerned().into_iter().max_by_key(|audience| {
                let (before, after) = of(audience);
                after.abs_diff(before)
            });
            if let Some(audience) = most.filter(|audience| of(audience).0 != of(audience).1) {
                let (before, after) = of(&audience);
                let change = signed(after as i64 - before as i64);
                part.push_str(&format!(", trong đó {change} tới {}", who(&audience, Role::Lead)));
                parts.push(part);
            } else if change != 0 {
                parts.push(part);
            }
        }
        let notices = self.after.notices as i64 - self.before.notices as i64;
        if notices != 0 {
            parts.push(format!("{} phiếu báo", signed(notices)));
        }
        let (reminders, filed) = (self.difference.reminders, self.difference.notices);
        for (n, what) in [
            (reminders.moved, "lượt nhắc dời ngày giờ"),
            (filed.moved, "phiếu báo dời ngày giờ"),
            (reminders.reworded + filed.reworded, "lượt chỉ đổi lời"),
        ] {
            if n > 0 {
                parts.push(format!("{} {what}", number(n)));
            }
        }
        if parts.is_empty() {
            // Letters that carry more or fewer tasks than before are as many as before.
            let Count { added, removed, .. } = reminders;
            return format!(
                "số thư không đổi; trong các thư đó thêm {} lượt, bớt {} lượt",
                number(added),
                number(removed)
            );
        }
        parts.join("; ")
    }

    /// Messages to an audience on a channel, before and after.
    fn messages(&self, audience: &Audience, channel: ChannelKind) -> (u64, u64) {
        let of = |totals: &Totals| totals.messages_by_audience.get(&(audience.clone(), channel)).copied().unwrap_or(0);
        (of(self.before), of(self.after))
    }

    /// Audiences of either plan.
    fn concerned(&self) -> Vec<Audience> {
        let all = self.before.messages_by_audience.keys().chain(self.after.messages_by_audience.keys());
        let mut all: Vec<Audience> = all.map(|(audience, _)| audience.clone()).collect();
        all.extend(self.difference.by_audience.keys().cloned());
        all.sort();
        all.dedup();
        all
    }

    fn audiences(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = Vec::new();
        for audience in self.concerned() {
            let count = self.difference.by_audience.get(&audience).copied().unwrap_or_default();
            let channels = ChannelKind::ALL.iter().map(|channel| (*channel, self.messages(&audience, *channel)));
            let changed: Vec<String> = channels
                .filter(|(_, (before, after))| before != after || (count != Count::default() && before + after > 0))
                .map(|(channel, (before, after))| format!("{} {} → {}", kind(channel), number(before), number(after)))
                .collect();
            if count != Count::default() || !changed.is_empty() {
                rows.push((capital(&who(&audience, Role::Lead)), count, changed.join(", ")));
            }
        }
        if self.difference.notices != Count::default() {
            let change = format!("phiếu {} → {}", number(self.before.notices), number(self.after.notices));
            rows.push(("Phiếu báo quá hạn".to_owned(), self.difference.notices, change));
        }
        table(out, "Theo người nhận", "thư, tin trước → sau", &rows)
    }

    fn by_step(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<(String, Count, String)> = self
            .difference
            .by_step
            .iter()
            .map(|((rule, step), count)| (format!("{rule} · {step}"), *count, String::new()))
            .collect();
        table(out, "Theo quy tắc · bước", "", &rows)
    }

    fn lines(&self, out: &mut dyn Write, answer: &Answer<'_>) -> io::Result<()> {
        let calendar = &answer.policy.calendar;
        let changes = &self.difference.changes;
        let shown = if answer.args.all { changes.len() } else { LINES };
        writeln!(out, "Từng lượt (+ thêm, − bớt, → dời, ~ chỉ đổi lời):")?;
        for change in changes.iter().take(shown) {
            let line = tell(change, self.was, self.is);
            let send_at = told(line.send_at, calendar);
            let whom = match line.audience {
                None => "lập phiếu báo".to_owned(),
                Some(audience) => {
                    let person = if line.address.is_empty() {
                        "không có ai nhận được".to_owned()
                    } else if line.person.is_empty() {
                        line.address.to_owned()
                    } else {
                        line.person.to_owned()
                    };
                    let by = line.channel.map(kind).unwrap_or_default();
                    format!("{by} tới {} ({person})", who(audience, line.people.role))
                }
            };
            let earlier = change.old.filter(|_| change.new.is_some()).map(|event| self.was.tell(&event));
            let from = earlier.map(|e| before(&e, &line, calendar)).unwrap_or_default();
            let step = step(&line.step.step, line.occurrence);
            writeln!(out, "  {} {send_at}  {}  {step}: {whom}{from}", sign(change.kind), line.task)?;
        }
        if shown < changes.len() {
            let left = number((changes.len() - shown) as u64);
            writeln!(out, "  … và {left} lượt nữa; thêm --all để xem hết.")?;
        }
        Ok(())
    }

    /// Steps that a reload would take as new, and those that vanish.
    fn steps(&self, out: &mut dyn Write) -> io::Result<()> {
        let list = |gone: bool| -> Vec<String> {
            let accepted = self.edit.accepted.iter().filter(|(_, _, definition, _)| definition.is_empty() == gone);
            accepted.map(|(rule, step, _, _)| format!("{rule} · {step}")).collect()
        };
        let (fresh, gone) = (list(false), list(true));
        if !fresh.is_empty() {
            writeln!(out, "Bước mới, đổi tên hoặc đổi ngày: {}.", fresh.join(", "))?;
            writeln!(
                out,
                "  Với nhiệm vụ đã có, bước mới hoặc đổi ngày chỉ tính từ lúc nạp lại về sau, không gửi bù."
            )?;
        }
        if !gone.is_empty() {
            writeln!(out, "Bước biến mất: {}. Nếu chỉ đổi tên, ghi was = [\"tên-cũ\"] ở bước mới.", gone.join(", "))?;
        }
        Ok(())
    }

    fn tests(&self, out: &mut dyn Write) -> io::Result<()> {
        let tests = &self.edit.tests;
        if tests.failed > 0 {
            crate::cli::context::show_faults(&tests.problems);
            let passed = tests.passed;
            writeln!(out, "{} [[test]] không đạt ({passed} đạt): quy tắc này chưa nạp lại được.", tests.failed)?;
        }
        Ok(())
    }

    /// `"difference"` of the JSON answer.
    pub(super) fn json(&self, policy: &Policy) -> Value {
        let found = self.difference;
        let at = |at| stamp(at, &policy.calendar);
        let by_channel = |totals: &Totals| {
            let counts = totals.messages_by_channel.iter().map(|(channel, n)| (channel.to_string(), json!(n)));
            Value::Object(counts.collect())
        };
        let audiences: serde_json::Map<String, Value> = self
            .concerned()
            .iter()
            .map(|audience| {
                let mut counts = json!(found.by_audience.get(audience).copied().unwrap_or_default());
                for channel in ChannelKind::ALL {
                    let (before, after) = self.messages(audience, *channel);
                    counts["messages"][channel.as_str()] = json!({"before": before, "after": after});
                }
                (audience.to_string(), counts)
            })
            .collect();
        let steps: Vec<Value> = found
            .by_step
            .iter()
            .map(|((rule, step), count)| {
                let mut row = json!({"rule": rule, "step": step});
                if let (Some(row), Value::Object(count)) = (row.as_object_mut(), json!(count)) {
                    row.extend(count);
                }
                row
            })
            .collect();
        let changes: Vec<Value> = found
            .changes
            .iter()
            .map(|change: &Change| {
                let line = tell(change, self.was, self.is);
                let earlier = change.old.filter(|_| change.new.is_some()).map(|event| self.was.tell(&event));
                json!({
                    "change": change.kind,
                    "kind": if line.notice { "notice" } else { "reminder" },
                    "task": line.task,
                    "rule": line.step.rule,
                    "step": line.step.step,
                    "occurrence": line.occurrence,
                    "clock": line.clock,
                    "audience": line.audience.map(ToString::to_string),
                    "person": line.person,
                    "channel": line.channel,
                    "address": line.address,
                    "at": at(line.at),
                    "send_at": at(line.send_at),
                    "was": earlier.map(|was| json!({
                        "rule": was.step.rule, "step": was.step.step, "occurrence": was.occurrence,
                        "at": at(was.at), "send_at": at(was.send_at),
                    })),
                })
            })
            .collect();
        let accepted: Vec<Value> = self
            .edit
            .accepted
            .iter()
            .map(|(rule, step, definition, _)| json!({"rule": rule, "step": step, "vanishes": definition.is_empty()}))
            .collect();
        json!({
            "same": self.edit.same,
            "messages": {"before": by_channel(self.before), "after": by_channel(self.after)},
            "reminders": found.reminders,
            "notices": found.notices,
            "by_audience": audiences,
            "by_step": steps,
            "steps": accepted,
            "changes": changes,
            "tests": {
                "passed": self.edit.tests.passed,
                "failed": self.edit.tests.failed,
                "problems": self.edit.tests.problems.to_json(),
            },
        })
    }
}

/// How it was before, where that is not as it is now.
fn before(was: &Told<'_>, is: &Told<'_>, calendar: &crate::planning::calendar::WorkCalendar) -> String {
    let mut parts = Vec::new();
    if was.send_at != is.send_at {
        parts.push(told(was.send_at, calendar));
    } else if was.at != is.at {
        parts.push(format!("đến bước {}", told(was.at, calendar)));
    }
    if was.step.rule != is.step.rule {
        parts.push(format!("{} · {}", was.step.rule, was.step.step));
    } else if was.step.step != is.step.step {
        parts.push(was.step.step.clone());
    }
    if was.step.urging != is.step.urging {
        parts.push(if was.step.urging { "tính là đôn đốc" } else { "không tính là đôn đốc" }.to_owned());
    }
    format!(" (trước: {})", parts.join(", "))
}

fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Added => "+",
        Kind::Removed => "−",
        Kind::Moved => "→",
        Kind::Reworded => "~",
    }
}

fn signed(n: i64) -> String {
    let size = number(n.unsigned_abs());
    match n {
        0 => "±0".to_owned(),
        n if n > 0 => format!("+{size}"),
        _ => format!("−{size}"),
    }
}

/// Counts in columns; nothing where there is no row.
fn table(out: &mut dyn Write, head: &str, last: &str, rows: &[(String, Count, String)]) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let width = rows.iter().map(|(text, ..)| text.chars().count()).chain([head.chars().count()]).max().unwrap_or(0);
    let line = |out: &mut dyn Write, cells: [&str; 6]| {
        let [text, added, removed, moved, reworded, last] = cells;
        let line = format!("{text:width$}  {added:>8}{removed:>8}{moved:>8}{reworded:>8}   {last}");
        writeln!(out, "{}", line.trim_end())
    };
    line(out, [head, "thêm", "bớt", "dời", "đổi lời", last])?;
    for (text, count, change) in rows {
        let cell = |n: u64| if n == 0 { "·".to_owned() } else { number(n) };
        let Count { added, removed, moved, reworded } = *count;
        let [added, removed, moved, reworded] = [added, removed, moved, reworded].map(cell);
        line(out, [text, &added, &removed, &moved, &reworded, change])?;
    }
    writeln!(out)
}
