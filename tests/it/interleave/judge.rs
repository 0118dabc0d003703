//! What must hold of an interleaving, whatever happened in it: read off the journal and the ledger at the end.

use std::collections::{BTreeMap, BTreeSet};

use dondoc::{
    planning::{plan::plan, task::TaskId},
    store::ledger::PlanningStore,
};
use sqlx::Row;

use super::{
    journal::{HandOver, Journal, Kind, fault},
    sim::{Sim, policy},
};

/// Acts after which nothing may leave for a task until it is taken up again.
const ENDS: [&str; 5] = ["done", "pause", "submit", "return", "withdraw"];
const TAKES_UP: [&str; 4] = ["resume", "refuse", "reopen", "assign"];

/// Nothing that is due now is on no record while its task is not going to be looked at.
pub async fn is_all_planned(sim: &Sim) {
    let now = sim.clock.now();
    let mut policy = policy(*sim.policy.lock().unwrap());
    policy.known = sim.store.steps_known().await.unwrap().0;
    for record in sim.store.open_tasks(TaskId(0), 1000).await.unwrap() {
        if record.next_look_at.is_none_or(|look| look <= now) {
            continue;
        }
        let planned = plan(&policy.setting(now, None), &record.task, &record.ledger).unwrap();
        let due: Vec<String> = planned.due.iter().map(|due| format!("{} {}", due.key.step, due.key.audience)).collect();
        if !due.is_empty() || !planned.filings.is_empty() {
            let what = format!(
                "step {}: {} is due, on no record, and not looked at before {:?}: {due:?}, {} notices",
                sim.step(),
                record.task.code,
                record.next_look_at,
                planned.filings.len()
            );
            sim.journal().faults.push(fault(Kind::Lost, what));
        }
    }
}

struct Reminder {
    id: i64,
    task: i64,
    state: String,
    reason: String,
    message: Option<i64>,
    not_before: i64,
}

struct Message {
    state: String,
    reason: String,
    earlier: Option<i64>,
    not_before: i64,
}

/// All that can be said when nothing moves any more.
pub async fn at_the_end(sim: &Sim) {
    let reminders: Vec<Reminder> = sqlx::query("SELECT * FROM reminder ORDER BY id")
        .fetch_all(&sim.pool)
        .await
        .unwrap()
        .iter()
        .map(|row| Reminder {
            id: row.get("id"),
            task: row.get("task"),
            state: row.get("state"),
            reason: row.get("reason"),
            message: row.get("message"),
            not_before: row.get("not_before"),
        })
        .collect();
    let messages: BTreeMap<i64, Message> = sqlx::query("SELECT * FROM message")
        .fetch_all(&sim.pool)
        .await
        .unwrap()
        .iter()
        .map(|row| {
            let message = Message {
                state: row.get("state"),
                reason: row.get("reason"),
                earlier: row.get("earlier"),
                not_before: row.get("not_before"),
            };
            (row.get("id"), message)
        })
        .collect();
    // One under which a killed run held a message that an older attempt's acceptance ended may stay open: the message is sent.
    let unended: i64 =
        sqlx::query_scalar(
        "SELECT count(*) FROM attempt a JOIN message m ON m.id = a.message WHERE a.ended_at IS NULL AND m.state <> 'sent'",
    ).fetch_one(&sim.pool).await.unwrap();
    let now = sim.clock.now().as_millisecond();
    let mut journal = sim.journal();
    let story = journal.clone();
    let mut found = Vec::new();
    let mut find = |kind, what: String| found.push(fault(kind, what));
    if unended > 0 {
        find(Kind::Ledger, format!("{unended} attempts never ended"));
    }
    gates(&story, &mut find);
    copies(&story, &mut find);
    reminders_twice(&story, &messages, &mut find);

    let mut carried: BTreeMap<i64, Vec<&HandOver>> = BTreeMap::new();
    for hand_over in &story.hand_overs {
        for (reminder, _) in &hand_over.carries {
            carried.entry(*reminder).or_default().push(hand_over);
        }
    }
    let taken = |hand_over: &&&HandOver| hand_over.arrived.as_ref().is_some_and(|arrived| arrived.taken);
    let touched: BTreeSet<i64> = story.acts.iter().map(|act| act.task).collect();
    for (id, message) in &messages {
        match message.state.as_str() {
            "leased" | "frozen" => find(Kind::Ledger, format!("message {id} is still {}", message.state)),
            "pending" if message.not_before <= now => find(Kind::Ledger, format!("message {id} waits for nothing")),
            // Whatever the relay was told, it works now: what is in doubt was tried until an answer came.
            "unknown" if !["answer_lost", "changed", "poison", "expired"].contains(&message.reason.as_str()) => {
                find(Kind::Abandoned, format!("message {id} is unknown because of {:?}", message.reason));
            }
            "unknown" if message.reason == "answer_lost" && !story.retried.contains(id) => {
                let tries = story.hand_overs.iter().filter(|h| h.message == *id).count();
                if tries < 2 {
                    find(Kind::Abandoned, format!("message {id} was not repeated after its first lost answer"));
                }
            }
            "dead" | "unknown" | "suppressed" if message.reason.is_empty() => {
                find(Kind::Ledger, format!("message {id} is {} without a reason", message.state));
            }
            "sent" => {
                let any = story.hand_overs.iter().any(|h| h.message == *id && taken(&&h));
                if !any {
                    find(Kind::Lost, format!("message {id} is on record as sent, and no relay took it"));
                }
            }
            _ => {}
        }
    }
    for reminder in &reminders {
        let none = Vec::new();
        let trips = carried.get(&reminder.id).unwrap_or(&none);
        let message = reminder.message.and_then(|id| messages.get(&id));
        let (id, reason) = (reminder.id, reminder.reason.as_str());
        match reminder.state.as_str() {
            "planned" if reminder.not_before <= now => find(Kind::Lost, format!("reminder {id} waits for nothing")),
            "in_message" if message.is_none_or(|message| message.state != "pending") => {
                let state = message.map(|message| message.state.clone());
                find(Kind::Lost, format!("reminder {id} is in a message that is {state:?}"));
            }
            "sent" if !trips.iter().any(|trip| taken(&trip)) => {
                find(Kind::Lost, format!("reminder {id} is on record as sent, and no relay took it"));
            }
            "superseded" | "suppressed" | "dead" | "unknown" if reason.is_empty() => {
                find(Kind::Lost, format!("reminder {id} is {} without a reason", reminder.state));
            }
            "unknown" => {
                // Told to a run that was stopped before it could record it, and taken for lost by the next one.
                let late = |trip: &&HandOver| trip.recorded.is_none() || story.stale;
                let in_doubt = trips
                    .iter()
                    .any(|trip| trip.told.is_none_or(|told| told == "unknown" || told == "panic") || late(trip));
                if !in_doubt {
                    find(Kind::Lost, format!("reminder {id} is unknown, and no answer was lost"));
                }
                // Only a change of its task ends it so, or many lost answers.
                let changed = message.is_some_and(|message| message.reason == "changed");
                if changed && !touched.contains(&reminder.task) {
                    find(Kind::Abandoned, format!("reminder {id} stays unknown, and nothing of its task has changed"));
                }
            }
            "dead" => {
                let refused = message.is_some_and(|m| m.state == "dead");
                if !refused {
                    find(Kind::Lost, format!("reminder {id} is dead, and its message is not"));
                }
            }
            _ => {}
        }
        // An acceptance that was told and recorded is never forgotten.
        let accepted = trips.iter().find(|trip| matches!(trip.recorded, Some((_, "accepted"))));
        let discarded = reason.starts_with("discarded");
        if let Some(trip) = accepted
            && reminder.state != "sent"
            && reminder.message == Some(trip.message)
            && !discarded
        {
            let state = &reminder.state;
            find(
                Kind::Lost,
                format!("reminder {id} was accepted in message {}, and is {state}: {reason}", trip.message),
            );
        }
    }
    journal.faults.extend(found);
}

/// No gate says yes after what ends a task's say was committed.
fn gates(story: &Journal, find: &mut impl FnMut(Kind, String)) {
    for hand_over in &story.hand_overs {
        for (_, task) in &hand_over.carries {
            let mut before = story.acts.iter().filter(|act| act.task == *task && act.step < hand_over.passed);
            let last = before.rfind(|act| ENDS.contains(&act.what) || TAKES_UP.contains(&act.what));
            // What is asked about a task that was handed in or sent back is said in just that state.
            if let Some(act) = last
                && ["done", "pause", "withdraw"].contains(&act.what)
            {
                let (id, step) = (hand_over.message, hand_over.passed);
                find(
                    Kind::Late,
                    format!("message {id} passed its gate at {step}, task {task}: {} at {}", act.what, act.step),
                );
            }
            // Whatever ended a task between the claim and the gate, also if it was taken up again: its letter is of the past.
            let between = story.acts.iter().find(|act| {
                act.task == *task
                    && (hand_over.claimed + 1..hand_over.passed).contains(&act.step)
                    && ["done", "withdraw"].contains(&act.what)
            });
            if let Some(act) = between {
                let (id, step) = (hand_over.message, hand_over.passed);
                find(
                    Kind::Late,
                    format!(
                        "message {id} passed its gate at {step} with a letter from before {} at {}",
                        act.what, act.step
                    ),
                );
            }
        }
    }
}

/// The bytes without the mark, and whether there is one.
fn unmarked(hand_over: &HandOver) -> Option<(bool, Vec<u8>)> {
    let arrived = hand_over.arrived.as_ref()?;
    if hand_over.channel == "zalo" {
        return Some((arrived.attempt > 1, arrived.bytes.clone()));
    }
    if !arrived.bytes.starts_with(b"X-Dondoc-Repeat: ") {
        return Some((false, arrived.bytes.clone()));
    }
    let end = arrived.bytes.windows(2).position(|pair| pair == b"\r\n").unwrap();
    Some((true, arrived.bytes[end + 2..].to_vec()))
}

fn header<'a>(bytes: &'a [u8], name: &str) -> &'a str {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
}

/// Second copies of one message: only where nobody could know, the same, and marked.
fn copies(story: &Journal, find: &mut impl FnMut(Kind, String)) {
    let mut by_message: BTreeMap<i64, Vec<&HandOver>> = BTreeMap::new();
    for hand_over in &story.hand_overs {
        by_message.entry(hand_over.message).or_default().push(hand_over);
    }
    for (id, hand_overs) in by_message {
        for (n, later) in hand_overs.iter().enumerate() {
            for earlier in &hand_overs[..n] {
                let known = earlier.recorded.filter(|(step, _)| *step < later.claimed).map(|(_, word)| word);
                match known {
                    Some("accepted") => {
                        find(
                            Kind::Twice,
                            format!("message {id} was accepted and passed its gate again at {}", later.passed),
                        );
                    }
                    Some("unknown") | None => {}
                    Some(_) => continue,
                }
                // It may have arrived.
                let Some((marked, bytes)) = unmarked(later) else { continue };
                if later.key != earlier.key {
                    find(Kind::Another, format!("message {id} went again as {} after {}", later.key, earlier.key));
                } else if bytes != earlier.bytes || header(&bytes, "Date: ") != header(&earlier.bytes, "Date: ") {
                    find(Kind::Another, format!("message {id} went again with other bytes"));
                }
                if !marked {
                    find(Kind::Unmarked, format!("message {id} went again without a mark at {}", later.passed));
                }
                let ended = |act: &&super::journal::Done| {
                    // Whatever is in the bytes, also what the ledger has taken out of the message since.
                    earlier.carries.iter().any(|(_, task)| *task == act.task)
                        && ["done", "withdraw"].contains(&act.what)
                };
                if let Some(act) =
                    story.acts.iter().filter(|act| (earlier.passed..later.passed).contains(&act.step)).find(ended)
                {
                    find(
                        Kind::Repeated,
                        format!("message {id} was repeated at {} after {} at {}", later.passed, act.what, act.step),
                    );
                }
            }
        }
    }
}

/// One reminder in two messages: only where the first one's fate is not known, and the second names it.
fn reminders_twice(story: &Journal, messages: &BTreeMap<i64, Message>, find: &mut impl FnMut(Kind, String)) {
    let mut by_reminder: BTreeMap<i64, Vec<&HandOver>> = BTreeMap::new();
    for hand_over in &story.hand_overs {
        for (reminder, _) in &hand_over.carries {
            by_reminder.entry(*reminder).or_default().push(hand_over);
        }
    }
    for (id, hand_overs) in by_reminder {
        for (n, later) in hand_overs.iter().enumerate() {
            for earlier in hand_overs[..n].iter().filter(|earlier| earlier.message != later.message) {
                let known = earlier.recorded.filter(|(step, _)| *step < later.passed).map(|(_, word)| word);
                if known == Some("accepted") {
                    let (first, second) = (earlier.message, later.message);
                    find(
                        Kind::Twice,
                        format!("reminder {id} was accepted in message {first} and went again in {second}"),
                    );
                }
                if !matches!(known, None | Some("unknown")) {
                    continue;
                }
                let mut names = later.message;
                while names != earlier.message {
                    match messages.get(&names).and_then(|message| message.earlier) {
                        Some(before) => names = before,
                        None => {
                            let (first, second) = (earlier.message, later.message);
                            find(
                                Kind::Unmarked,
                                format!("reminder {id} went in message {second}, which does not name {first}"),
                            );
                            break;
                        }
                    }
                }
            }
        }
    }
}
