//! Due reminders become messages: who gets what together, in which order, and who had enough for today.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    rules::ChannelKind,
    task::{ReminderId, TaskId},
};

/// A letter names no more tasks than this; what is more goes into further parts. Each task is named with all that is
/// asked, and a letter of a hundred has some 350 KB: mail programs still open it on a telephone, and relays take it.
pub const MOST_TASKS: usize = 100;

/// Which part of a letter that was divided: the first of one where it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 1.
    pub n: u32,
    pub of: u32,
}

impl Default for Part {
    fn default() -> Self {
        Self { n: 1, of: 1 }
    }
}

/// A reminder whose moment has come, with the address it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub reminder: ReminderId,
    pub task: TaskId,
    pub channel: ChannelKind,
    pub address: String,
    /// Name of the rule's hours: what may leave at other times travels apart.
    pub hours: String,
    pub classified: bool,
    /// `false`: its rule wants a message of its own.
    pub bundle: bool,
    /// The reminders of an earlier message of unknown fate go in a message that names it.
    pub earlier: Option<i64>,
    /// `None`: passes the cap.
    pub cap: Option<u32>,
    /// What sorts a person's messages, and the items of one: the effective deadline.
    pub deadline: Timestamp,
}

/// One message to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    pub channel: ChannelKind,
    pub address: String,
    pub hours: String,
    pub classified: bool,
    pub earlier: Option<i64>,
    pub part: Part,
    /// By deadline, the oldest first.
    pub reminders: Vec<ReminderId>,
}

/// What bundling came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundles {
    pub messages: Vec<Bundle>,
    /// Over their recipient's daily cap: they wait for the next day their hours allow.
    pub deferred: Vec<ReminderId>,
}

/// What travels in one message: channel, address, hours, openness, the earlier message it names, and the reminder
/// itself where its rule wants a message of its own (else 0).
type Together = (ChannelKind, String, String, bool, Option<i64>, i64);

/// Groups reminders by address, channel, hours and openness. `sent_today` counts messages a recipient already got
/// today on a channel; above the smallest cap of a message's rules it waits, the most overdue going first. A letter of
/// more than [`MOST_TASKS`] is divided, and all its parts go or none: the cap never tears it.
pub fn bundle(ready: Vec<Ready>, sent_today: &HashMap<(ChannelKind, String), u32>) -> Bundles {
    let mut groups: BTreeMap<Together, Vec<Ready>> = BTreeMap::new();
    for item in ready {
        let alone = if item.bundle { 0 } else { item.reminder.0 };
        let key = (item.channel, item.address.clone(), item.hours.clone(), item.classified, item.earlier, alone);
        groups.entry(key).or_default().push(item);
    }
    let mut made: Vec<(Timestamp, Option<u32>, Bundle, Vec<TaskId>)> = groups
        .into_iter()
        .map(|((channel, address, hours, classified, earlier, _), mut items)| {
            items.sort_by_key(|item| (item.deadline, item.reminder));
            let cap = if items.iter().any(|item| item.cap.is_none()) {
                None
            } else {
                items.iter().filter_map(|i| i.cap).min()
            };
            let oldest = items.iter().map(|item| item.deadline).min().unwrap_or(Timestamp::MAX);
            let (reminders, tasks) = items.iter().map(|item| (item.reminder, item.task)).unzip();
            let part = Part::default();
            (oldest, cap, Bundle { channel, address, hours, classified, earlier, part, reminders }, tasks)
        })
        .collect();
    made.sort_by(|a, b| (a.0, &a.2.address).cmp(&(b.0, &b.2.address)));
    let mut counts = sent_today.clone();
    let mut out = Bundles::default();
    for (_, cap, message, tasks) in made {
        let count = counts.entry((message.channel, message.address.clone())).or_default();
        match cap {
            Some(cap) if *count >= cap => out.deferred.extend(message.reminders),
            _ => {
                // In however many parts it comes, it is one letter.
                *count += 1;
                out.messages.extend(divided(message, &tasks));
            }
        }
    }
    out
}

/// A message as it travels: a letter of many tasks in parts, each naming its own.
fn divided(message: Bundle, tasks: &[TaskId]) -> Vec<Bundle> {
    let (places, of) = parts(tasks, message.channel, message.classified);
    if of == 1 {
        return vec![message];
    }
    let empty = Bundle { reminders: Vec::new(), ..message.clone() };
    let mut parts: Vec<Bundle> = (1..=of).map(|n| Bundle { part: Part { n, of }, ..empty.clone() }).collect();
    for (reminder, place) in message.reminders.into_iter().zip(places) {
        parts[place as usize].reminders.push(reminder);
    }
    parts
}

/// In which part each reminder's task is named, from 0, and how many parts there are. In the order given, each about as
/// long as the others, and a task in one part only. A Zalo text names what fits into its line anyway, and a classified
/// letter names nothing: neither is divided.
pub fn parts<T: Copy + Eq + Hash>(tasks: &[T], channel: ChannelKind, classified: bool) -> (Vec<u32>, u32) {
    if tasks.len() <= MOST_TASKS || channel != ChannelKind::Email || classified {
        return (vec![0; tasks.len()], 1);
    }
    let mut first_seen: HashMap<T, usize> = HashMap::new();
    let order: Vec<usize> = tasks
        .iter()
        .map(|task| {
            let next = first_seen.len();
            *first_seen.entry(*task).or_insert(next)
        })
        .collect();
    let count = first_seen.len();
    let of = count.div_ceil(MOST_TASKS);
    (order.into_iter().map(|place| (place * of / count) as u32).collect(), of as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(id: i64, address: &str) -> Ready {
        Ready {
            reminder: ReminderId(id),
            task: TaskId(id),
            channel: ChannelKind::Email,
            address: address.into(),
            hours: "normal".into(),
            classified: false,
            bundle: true,
            earlier: None,
            cap: Some(20),
            deadline: Timestamp::from_second(id).expect("in range"),
        }
    }

    fn ids(bundles: &Bundles) -> Vec<Vec<i64>> {
        bundles.messages.iter().map(|m| m.reminders.iter().map(|r| r.0).collect()).collect()
    }

    #[test]
    fn one_letter_for_one_person_and_classified_apart() {
        let secret = Ready { classified: true, ..ready(3, "a@x") };
        let alone = Ready { bundle: false, ..ready(4, "a@x") };
        let all = vec![ready(2, "a@x"), ready(1, "a@x"), secret, alone, ready(5, "b@x")];
        assert_eq!(ids(&bundle(all, &HashMap::new())), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }

    #[test]
    fn the_cap_defers_the_least_overdue_and_drops_nothing() {
        let capped = |id| Ready { cap: Some(2), bundle: false, ..ready(id, "a@x") };
        let urgent = Ready { cap: None, bundle: false, ..ready(9, "a@x") };
        let sent = HashMap::from([((ChannelKind::Email, "a@x".to_owned()), 1)]);
        let bundles = bundle(vec![capped(3), capped(1), urgent, capped(2)], &sent);
        assert_eq!(ids(&bundles), [vec![1], vec![9]]);
        assert_eq!(bundles.deferred, [ReminderId(2), ReminderId(3)]);
    }

    #[test]
    fn a_letter_of_many_tasks_travels_in_parts_that_name_each_task_once_the_most_overdue_first() {
        // Two slots lead to one person: a task has two reminders, which stay together.
        for tasks in [1, 99, 100, 101, 102, 199, 200, 201, 1_900] {
            let all = (1..=tasks)
                .flat_map(|id| [ready(id, "a@x"), Ready { reminder: ReminderId(id + 10_000), ..ready(id, "a@x") }]);
            let bundles = bundle(all.collect(), &HashMap::new());
            let of = (tasks as usize).div_ceil(MOST_TASKS);
            assert_eq!(bundles.messages.len(), of, "{tasks} tasks");
            let mut named = Vec::new();
            for (n, message) in bundles.messages.iter().enumerate() {
                assert_eq!(message.part, Part { n: n as u32 + 1, of: of as u32 });
                let mut part: Vec<i64> = message.reminders.iter().map(|reminder| reminder.0 % 10_000).collect();
                assert!(part.is_sorted());
                part.dedup();
                assert!(part.len() <= MOST_TASKS && part.len() + 1 >= tasks as usize / of, "{tasks}: {}", part.len());
                named.extend(part);
            }
            assert_eq!(named, (1..=tasks).collect::<Vec<_>>());
        }
    }

    #[test]
    fn neither_a_zalo_text_nor_a_classified_letter_is_divided() {
        for one in
            [Ready { channel: ChannelKind::Zalo, ..ready(1, "84") }, Ready { classified: true, ..ready(1, "a@x") }]
        {
            let all = (1..=1_000).map(|id| Ready { reminder: ReminderId(id), task: TaskId(id), ..one.clone() });
            let bundles = bundle(all.collect(), &HashMap::new());
            assert_eq!(
                bundles.messages.iter().map(|m| (m.part, m.reminders.len())).collect::<Vec<_>>(),
                [(Part::default(), 1_000)]
            );
        }
    }

    #[test]
    fn the_cap_takes_all_parts_of_a_letter_or_none_and_counts_them_as_one() {
        for (cap, messages, deferred) in
            [(1, 3, vec![ReminderId(900)]), (2, 4, vec![]), (0, 0, (1..=250).chain([900]).map(ReminderId).collect())]
        {
            let many = (1..=250).map(|id| Ready { cap: Some(cap), ..ready(id, "a@x") });
            let later = Ready { cap: Some(cap), bundle: false, ..ready(900, "a@x") };
            let bundles = bundle(many.chain([later]).collect(), &HashMap::new());
            assert_eq!((bundles.messages.len(), bundles.deferred), (messages, deferred), "cap {cap}");
        }
    }
}
