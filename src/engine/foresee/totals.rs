//! How much there is: of a plan's messages, reminders and notices, as they pass by.

use std::collections::BTreeMap;

use super::travel::{Event, Leaving, Traveller};
use crate::planning::rules::{Audience, ChannelKind};

/// What a plan comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub events: u64,
    pub reminders: u64,
    pub messages: u64,
    pub notices: u64,
    /// Reminders that lead to nobody.
    pub unreachable: u64,
    /// Reminders.
    pub by_audience: BTreeMap<Audience, u64>,
    /// Reminders.
    pub by_channel: BTreeMap<ChannelKind, u64>,
    pub messages_by_channel: BTreeMap<ChannelKind, u64>,
    /// Messages in which an audience is spoken to.
    pub messages_by_audience: BTreeMap<(Audience, ChannelKind), u64>,
    /// Reminders put off for the hours, and for the daily cap.
    pub waiting: [u64; 2],
}

/// Counts what leaves.
#[derive(Debug, Default)]
pub struct Counting {
    totals: Totals,
    /// Reminders by number of the audience.
    audiences: Vec<u64>,
    messages: Vec<[u64; 2]>,
    /// The message to whose count an audience was last added.
    last: Vec<u32>,
}

impl Counting {
    /// Counts those that `wanted` says are part of the answer.
    pub fn take(&mut self, traveller: &Traveller<'_>, leaving: &Leaving<'_>, wanted: &dyn Fn(&Event) -> bool) {
        let mut message = 0;
        for event in leaving.events.iter().filter(|event| wanted(event)) {
            self.totals.events += 1;
            let (Some(channel), Some(audience)) = (event.channel, traveller.audience_number(event)) else {
                self.totals.notices += 1;
                continue;
            };
            self.totals.reminders += 1;
            self.totals.unreachable += u64::from(traveller.leads_nowhere(event));
            *self.totals.by_channel.entry(channel).or_default() += 1;
            if let Some(why) = event.deferred_by {
                self.totals.waiting[why as usize] += 1;
            }
            let audience = audience as usize;
            if self.audiences.len() <= audience {
                self.audiences.resize(audience + 1, 0);
                self.messages.resize(audience + 1, [0; 2]);
                self.last.resize(audience + 1, 0);
            }
            self.audiences[audience] += 1;
            if event.message == 0 {
                continue;
            }
            if event.message != message {
                message = event.message;
                self.totals.messages += 1;
                *self.totals.messages_by_channel.entry(channel).or_default() += 1;
            }
            if self.last[audience] != message {
                self.last[audience] = message;
                self.messages[audience][channel as usize] += 1;
            }
        }
    }

    /// The sums.
    pub fn end(mut self, traveller: &Traveller<'_>) -> Totals {
        for (number, audience) in traveller.audiences().iter().enumerate() {
            let Some(reminders) = self.audiences.get(number).filter(|n| **n > 0) else { continue };
            self.totals.by_audience.insert(audience.clone(), *reminders);
            for channel in ChannelKind::ALL {
                let messages = self.messages[number][*channel as usize];
                if messages > 0 {
                    self.totals.messages_by_audience.insert((audience.clone(), *channel), messages);
                }
            }
        }
        self.totals
    }
}
