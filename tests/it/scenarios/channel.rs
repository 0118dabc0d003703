//! A way out that answers as the story says, and writes down what came by.

use std::sync::Arc;

use async_trait::async_trait;
use dondoc::{
    channel::{Channel, Delivery, Gate, Parcel},
    planning::{outcome::Outcome, rules::ChannelKind},
};
use sqlx::Row;

use super::{
    timeline::{Sent, rank},
    world::{Told, World},
};

pub struct Recording {
    pub world: Arc<World>,
    pub kind: ChannelKind,
}

impl Recording {
    async fn describe(&self, parcel: &Parcel) -> Sent {
        let rows = sqlx::query(
            "SELECT t.code, r.clock, a.code AS agency_code, t.lead = r.agency AS of_lead, r.step, r.occurrence, r.audience, \
             t.assigner_block, h.name AS handler_name, m.name AS monitor_name \
             FROM reminder r JOIN task t ON t.id = r.task JOIN agency a ON a.id = r.agency \
             LEFT JOIN person h ON h.id = t.handler LEFT JOIN person m ON m.id = t.monitor \
             WHERE r.message = $1 AND r.state = 'in_message' ORDER BY t.code, r.clock, a.code, r.due_at, r.id",
        )
        .bind(parcel.id)
        .fetch_all(&self.world.pool)
        .await
        .unwrap();
        let local = self.world.local_part(&parcel.address).await;
        // Slots by rung, in the order of their rungs; rungs of the same slots are told together.
        let mut rungs: Vec<(String, Vec<String>)> = Vec::new();
        for row in &rows {
            let audience: String = row.get("audience");
            let usual = self.world.usual(row).await;
            let slot = if usual == local { audience.clone() } else { format!("{audience}={local}") };
            let rung = self.world.rung(row);
            match rungs.iter_mut().find(|(known, _)| *known == rung) {
                Some((_, slots)) => slots.push(slot),
                None => rungs.push((rung, vec![slot])),
            }
        }
        let mut told: Vec<(Vec<String>, Vec<String>)> = Vec::new();
        for (rung, mut slots) in rungs {
            slots.sort_by_key(|slot| (rank(slot), slot.clone()));
            match told.iter_mut().find(|(known, _)| *known == slots) {
                Some((_, rungs)) => rungs.push(rung),
                None => told.push((slots, vec![rung])),
            }
        }
        let to = told.first().map(|(first, _)| first.join("+")).unwrap_or_default();
        let mut what = told.first().map(|(_, rungs)| rungs.join(" ")).unwrap_or_default();
        for (more, rungs) in told.iter().skip(1) {
            what += &format!(" | {} {}", more.join("+"), rungs.join(" "));
        }
        Sent { at: self.world.now(), channel: self.kind.to_string(), to, what, remark: String::new() }
    }

    /// What a recipient would notice about it.
    fn remark(&self, parcel: &Parcel) -> String {
        let (head, text) = match self.kind {
            ChannelKind::Email => {
                let mail = mail_parser::MessageParser::default().parse(&parcel.bytes).expect("a mail that parses");
                (mail.subject().unwrap_or_default().to_owned(), mail.body_text(0).unwrap_or_default().into_owned())
            }
            ChannelKind::Zalo => {
                let body: serde_json::Value = serde_json::from_slice(&parcel.bytes).expect("a body that parses");
                (body.to_string(), String::new())
            }
        };
        let mut remarks = Vec::new();
        if let Some((_, rest)) = head.split_once("đôn đốc lần ") {
            let n: String = rest.chars().take_while(char::is_ascii_digit).collect();
            remarks.push(format!("(đôn đốc lần {n})"));
        }
        if self.kind == ChannelKind::Email && !head.contains("NV") && !head.contains("nhiệm vụ:") {
            remarks.push("[neutral]".to_owned());
        }
        if text.split_whitespace().collect::<Vec<_>>().join(" ").contains("đã nhận thư này ngày") {
            remarks.push("[names an earlier one]".to_owned());
        }
        if parcel.attempt > 1 {
            remarks.push("[second copy]".to_owned());
        }
        remarks.join(" ")
    }

    async fn events(&self, phase: &str) {
        for event in self.world.take_during(phase) {
            if event.what == "crash" {
                self.world.crash.notify_one();
                std::future::pending::<()>().await;
            }
            self.world.apply(&event).await;
        }
    }

    fn note(&self, sent: Sent, remark: String) {
        self.world.timeline.lock().unwrap().sent(Sent { remark, ..sent });
    }
}

#[async_trait]
impl Channel for Recording {
    async fn deliver(&self, parcel: &Parcel, gate: &dyn Gate) -> Delivery {
        let sent = self.describe(parcel).await;
        self.events("leased").await;
        let local = self.world.local_part(&parcel.address).await;
        let answer = self.world.answer(self.kind.as_str(), &local);
        // Refused before the bytes are asked for: MAIL, RCPT, the greeting, the login.
        if let Some(Told { code, reply, quiet }) = answer.clone().filter(|told| !matches!(told.code, 0 | 554)) {
            if !quiet {
                self.note(sent, format!("refused {code}"));
            }
            return Delivery::Tried(match code {
                421 => Outcome::Site { code, reply },
                535 => Outcome::Configuration { code, reply },
                400..500 => Outcome::Transient { code, reply },
                _ => Outcome::Recipient { code, reply },
            });
        }
        if !gate.pass(parcel).await {
            self.note(sent, "stopped".to_owned());
            return Delivery::Stopped;
        }
        let before = self.world.keys.lock().unwrap().insert(parcel.id, parcel.key.clone());
        let mut remark = self.remark(parcel);
        // Told, not asserted: the engine takes a panic of its channel for a fault of this one message.
        if parcel.attempt > 1 && before.as_ref() != Some(&parcel.key) {
            remark += " UNDER ANOTHER MESSAGE-ID";
        }
        let (told, outcome) = match answer {
            Some(Told { code: 0, .. }) => {
                (format!("{remark} lost"), Outcome::Unknown { reply: "connection lost".to_owned() })
            }
            Some(Told { code, reply, .. }) => (format!("{remark} refused {code}"), Outcome::Permanent { code, reply }),
            None => (remark, Outcome::Accepted { code: 250, reply: "2.0.0 Ok".to_owned() }),
        };
        self.note(sent, told.trim().to_owned());
        self.events("handed_over").await;
        Delivery::Tried(outcome)
    }

    fn parallel(&self) -> usize {
        1
    }

    async fn rest(&self) {}
}
