//! Due reminders become messages: who gets what together, in which order, and who had enough for today.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{rules::ChannelKind, task::ReminderId};

/// A reminder whose moment has come, with the address it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub reminder: ReminderId,
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
    /// When the step was due, relative to its deadline the severer the later; what sorts a person's messages.
    pub due_at: Timestamp,
    /// Sorts items of one message: the effective deadline.
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
/// today on a channel; above the smallest cap of a message's rules it waits, the most overdue going first.
pub fn bundle(ready: Vec<Ready>, sent_today: &HashMap<(ChannelKind, String), u32>) -> Bundles {
    let mut groups: BTreeMap<Together, Vec<Ready>> = BTreeMap::new();
    for item in ready {
        let alone = if item.bundle { 0 } else { item.reminder.0 };
        let key = (item.channel, item.address.clone(), item.hours.clone(), item.classified, item.earlier, alone);
        groups.entry(key).or_default().push(item);
    }
    let mut made: Vec<(Timestamp, Option<u32>, Bundle)> = groups
        .into_iter()
        .map(|((channel, address, hours, classified, earlier, _), mut items)| {
            items.sort_by_key(|item| (item.deadline, item.reminder));
            let cap = if items.iter().any(|item| item.cap.is_none()) {
                None
            } else {
                items.iter().filter_map(|i| i.cap).min()
            };
            let oldest = items.iter().map(|item| item.deadline).min().unwrap_or(Timestamp::MAX);
            let reminders = items.iter().map(|item| item.reminder).collect();
            (oldest, cap, Bundle { channel, address, hours, classified, earlier, reminders })
        })
        .collect();
    made.sort_by(|a, b| (a.0, &a.2.address).cmp(&(b.0, &b.2.address)));
    let mut counts = sent_today.clone();
    let mut out = Bundles::default();
    for (_, cap, message) in made {
        let count = counts.entry((message.channel, message.address.clone())).or_default();
        match cap {
            Some(cap) if *count >= cap => out.deferred.extend(message.reminders),
            _ => {
                *count += 1;
                out.messages.push(message);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(id: i64, address: &str) -> Ready {
        Ready {
            reminder: ReminderId(id),
            channel: ChannelKind::Email,
            address: address.into(),
            hours: "normal".into(),
            classified: false,
            bundle: true,
            earlier: None,
            cap: Some(20),
            due_at: Timestamp::UNIX_EPOCH,
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
}
