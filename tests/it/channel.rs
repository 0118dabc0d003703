//! The channels against receivers that misbehave: each row of the class table, and what keeps others flowing.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use dondoc::{
    channel::{
        Channel, Delivery, Gate, Parcel,
        smtp::{Deadlines, SmtpChannel},
    },
    clock::Clock,
    config::settings::{Secret, Smtp, SmtpTls},
    planning::outcome::Outcome,
};
use jiff::Timestamp;

use crate::sink::smtp::{Act, Certificate, Fault, Point, Security, Setup, SmtpSink};

mod smtp;
mod table;
mod tls;
mod webhook;

const FROM: &str = "dondoc@office.example";
const TO: &str = "nguyenvana@so.example";

/// A gate that stands open or shut, and counts who asks.
struct Door {
    open: AtomicBool,
    asked: AtomicUsize,
}

impl Door {
    fn open() -> Self {
        Self { open: AtomicBool::new(true), asked: AtomicUsize::new(0) }
    }

    fn shut() -> Self {
        Self { open: AtomicBool::new(false), asked: AtomicUsize::new(0) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Gate for Door {
    async fn pass(&self, _: &Parcel) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.open.load(Ordering::SeqCst)
    }
}

/// Long enough never to strike.
fn patient() -> Deadlines {
    let long = Duration::from_secs(60);
    Deadlines { connect: long, command: long, dot: long, quit: long }
}

/// Short enough to strike soon where a server is silent.
fn brief() -> Deadlines {
    let short = Duration::from_secs(1);
    Deadlines { connect: short * 4, command: short, dot: short, quit: short }
}

fn settings(sink: &SmtpSink, tls: SmtpTls) -> Smtp {
    Smtp {
        host: "127.0.0.1".into(),
        port: sink.port(),
        tls,
        username: None,
        password: None,
        max_connections: 4,
        messages_per_minute: 0,
    }
}

fn plain(sink: &SmtpSink, deadlines: Deadlines) -> SmtpChannel {
    SmtpChannel::new(&settings(sink, SmtpTls::None), FROM, deadlines).expect("settings that work")
}

fn parcel(id: i64) -> Parcel {
    parcel_to(id, TO)
}

fn parcel_to(id: i64, address: &str) -> Parcel {
    let key = format!("<{id}@office.example>");
    let bytes = format!("Message-ID: {key}\r\nSubject: x\r\n\r\n.a line that begins with a dot\r\n.\r\nend\r\n").into();
    Parcel { id, address: address.into(), bytes, key, attempt: 1 }
}

async fn tried(channel: &dyn Channel, parcel: &Parcel) -> Outcome {
    match channel.deliver(parcel, &Door::open()).await {
        Delivery::Tried(outcome) => outcome,
        Delivery::Stopped => panic!("an open gate stopped a parcel"),
    }
}

async fn sent(channel: &dyn Channel, id: i64) {
    let outcome = tried(channel, &parcel(id)).await;
    assert!(matches!(outcome, Outcome::Accepted { code: 250, .. }), "{outcome:?}");
}

fn secured(security: Security, certificate: Certificate) -> Setup {
    Setup { security, certificate, ..Setup::default() }
}

fn clock() -> Clock {
    Clock::manual(now())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("an instant of 2026")
}
