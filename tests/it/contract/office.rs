//! An office on any database, and the steps a reminder goes through, each by one call.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use dondoc::{
    planning::{
        ledger::{LedgerEntry, ReminderKey, ReminderState},
        outcome::ALONE_CRASHES,
        plan::{Due, Plan},
        rules::{Audience, ChannelKind},
        task::{
            AgencyId, ArmedBy, Block, Clock, Deadline, PersonId, ReminderId, Role, Secrecy, TaskId, TaskState, Urgency,
        },
    },
    store::{
        Store,
        acts::{Act, Acted, By},
        intake::{
            AgencyRow, Change, Decision, DirectoryChanges, EventRow, Fate, Hidden, ObligationRow, PersonRow,
            TaskColumns, TaskRow,
        },
        ledger::{
            Aside, Claimed, Freeze, GateAnswer, NewMessage, Next, OutboxRow, Planned, Recorded, Rescued, Saved,
            StoryRow, TaskRecord,
        },
    },
};
use jiff::{Timestamp, ToSpan, civil::date};

use super::Database;

pub const SNV: AgencyId = AgencyId(1);
pub const STC: AgencyId = AgencyId(2);
pub const HANDLER: PersonId = PersonId(1);
pub const OTHER: PersonId = PersonId(2);
pub const BYTES: &[u8] = b"Subject: =?utf-8?q?nh=E1=BA=AFc?=\r\n\r\n";

/// Minutes after 08:00 of 23/11/2026 in Hà Nội.
pub fn at(minutes: i64) -> Timestamp {
    "2026-11-23T08:00:00+07:00".parse::<Timestamp>().unwrap() + minutes.minutes()
}

pub fn today() -> jiff::civil::Date {
    date(2026, 11, 23)
}

pub fn by() -> By {
    By { who: "chi.nguyen".into(), paper: "12/VP-TH ngày 20/11/2026".into() }
}

/// The key of a reminder of the lead's completion ladder, to the handler by e-mail.
pub fn key(step: &str) -> ReminderKey {
    ReminderKey {
        clock: Clock::Completion,
        arming: 1,
        rule: "ubnd".into(),
        step: step.into(),
        occurrence: 1,
        agency: SNV,
        audience: Audience::Handler,
        channel: ChannelKind::Email,
    }
}

/// Two agencies, two people, and as many tasks as a property asks for.
pub struct Office<D> {
    pub database: D,
    codes: AtomicI64,
}

impl<D: Database> Office<D> {
    pub async fn new() -> Self {
        let office = Self { database: D::fresh().await, codes: AtomicI64::new(0) };
        let agency = |id, code: &str, name: &str| AgencyRow {
            id,
            code: Some(code.into()),
            identifier: String::new(),
            name: name.into(),
            short_name: String::new(),
            block: Block::State,
            kind: "Sở".into(),
            superior: String::new(),
            active: true,
            status_note: String::new(),
        };
        let changes = DirectoryChanges {
            agencies: vec![agency(SNV, "SNV", "Sở Nội vụ"), agency(STC, "STC", "Sở Tài chính")],
            people: vec![person(HANDLER, "Trần Văn A", "a@x.example"), person(OTHER, "Lê Thị B", "b@x.example")],
            ..DirectoryChanges::default()
        };
        office.database.intake().write_directory(&changes).await.unwrap();
        office
    }

    pub fn store(&self) -> Arc<dyn Store> {
        self.database.store()
    }

    /// A task in progress, led by the first directorate, due on 15/12/2026, to be looked at at `look`; `mend` may make
    /// it another one.
    pub async fn task_with(&self, look: i64, mend: impl FnOnce(&mut TaskColumns)) -> TaskId {
        let code = format!("NV26-{:06}", self.codes.fetch_add(1, Ordering::Relaxed) + 1);
        let mut columns = columns(&code, at(look));
        mend(&mut columns);
        let due = Some(Deadline { date: date(2026, 12, 15), time: None });
        let row = TaskRow {
            row: 1,
            columns: columns.clone(),
            state_given: true,
            document: None,
            coordinators: Vec::new(),
            due,
            report: None,
            new_handler: None,
            typed_code: Hidden::default(),
            classified_code: String::new(),
        };
        let decide = |row: &TaskRow, _: &[&dondoc::store::intake::StoredTask]| Decision {
            fate: Fate::Created,
            change: Some(Box::new(Change {
                id: None,
                columns: row.columns.clone(),
                document: None,
                coordinators: Vec::new(),
                obligations: vec![ObligationRow {
                    clock: Clock::Completion,
                    agency: SNV,
                    role: Role::Lead,
                    due,
                    arming: 1,
                    armed_at: at(-60),
                    armed_by: ArmedBy::Entered,
                    overdue_from: None,
                    ended_at: None,
                }],
                events: vec![EventRow {
                    what: "entered",
                    old: String::new(),
                    new: row.columns.state.to_string(),
                    effective_on: None,
                }],
                moved: Vec::new(),
                supersede: Vec::new(),
                silence: None,
                wipe: false,
            })),
            problems: Vec::new(),
        };
        self.database.intake().write_tasks(&[row], &decide, at(-60), "import").await.unwrap();
        self.store().task_by_code(&columns.code).await.unwrap().unwrap()
    }

    pub async fn task(&self) -> TaskId {
        self.task_with(0, |_| {}).await
    }

    pub async fn record_of(&self, task: TaskId) -> TaskRecord {
        self.store().tasks(&[task]).await.unwrap().remove(0)
    }

    /// Keeps a plan for a task as it stands now.
    pub async fn keep(&self, now: i64, task: TaskId, plan: Plan) -> Saved {
        let planned = self.planned(task, plan).await;
        self.store().save_plans(at(now), vec![planned]).await.unwrap()
    }

    pub async fn planned(&self, task: TaskId, plan: Plan) -> Planned {
        let read = self.record_of(task).await;
        Planned { task, revision: read.revision, under: 1, plan, notices: Vec::new() }
    }

    /// A reminder on record, due and ready at once.
    pub async fn remind(&self, task: TaskId, step: &str) -> ReminderId {
        self.remind_as(task, key(step)).await
    }

    pub async fn remind_as(&self, task: TaskId, key: ReminderKey) -> ReminderId {
        self.keep(0, task, due(key.clone(), 0)).await;
        self.entry(task, &key).await.id
    }

    pub async fn entry(&self, task: TaskId, key: &ReminderKey) -> LedgerEntry {
        let ledger = self.record_of(task).await.ledger;
        ledger.reminders.into_iter().find(|entry| entry.key == *key).unwrap()
    }

    /// A pending message of these reminders.
    pub async fn bundle(&self, reminders: &[ReminderId]) -> i64 {
        self.bundle_as(message(reminders)).await
    }

    pub async fn bundle_as(&self, message: NewMessage) -> i64 {
        self.store().save_messages(at(0), vec![message], Vec::new()).await.unwrap();
        self.store().outbox(Some("pending")).await.unwrap().last().unwrap().id
    }

    pub async fn aside(&self, aside: Aside) {
        self.store().save_messages(at(0), Vec::new(), vec![aside]).await.unwrap();
    }

    /// A pending message that was in work at so many crashes that it goes alone.
    pub async fn suspect(&self) -> i64 {
        let (_, message) = self.waiting().await;
        for n in 0..i64::from(ALONE_CRASHES) {
            self.claim(n, message).await;
            self.rescue(n).await;
        }
        message
    }

    /// At how many crashes each was in work that counted, and how long it waits.
    pub async fn crashes(&self, messages: &[i64]) -> Vec<(u32, Timestamp)> {
        let pending = self.store().pending(ChannelKind::Email, at(24 * 60), 100).await.unwrap();
        let mut found = Vec::new();
        for id in messages {
            let head = pending.iter().find(|head| head.id == *id).expect("it is pending");
            found.push((head.crashes, self.message(*id).await.not_before));
        }
        found
    }

    /// A task with one reminder in one pending message.
    pub async fn waiting(&self) -> (TaskId, i64) {
        let task = self.task().await;
        let reminder = self.remind(task, "truoc-5").await;
        (task, self.bundle(&[reminder]).await)
    }

    /// Claims one message for half an hour.
    pub async fn claim(&self, now: i64, message: i64) -> Claimed {
        self.database.clock(at(now)).await;
        let mut claimed = self.store().claim(at(now), at(now + 30), &[message]).await.unwrap();
        assert_eq!(claimed.len(), 1, "message {message} could not be claimed");
        claimed.remove(0)
    }

    pub async fn freezing(&self, claimed: &Claimed, now: i64) -> Freeze {
        let (bytes, message_id) = match &claimed.frozen {
            Some(frozen) => (frozen.bytes.clone(), frozen.message_id.clone()),
            None => (BYTES.to_vec(), format!("<{}.{}@office.example>", claimed.id, claimed.n)),
        };
        Freeze {
            message: claimed.id,
            token: claimed.token.clone(),
            bytes,
            message_id,
            dated_at: at(now),
            rows: claimed.rows.clone(),
            directory_revision: self.store().directory_revision().await.unwrap(),
        }
    }

    pub async fn freeze(&self, claimed: &Claimed, now: i64) -> GateAnswer {
        self.database.clock(at(now)).await;
        let freeze = self.freezing(claimed, now).await;
        self.store().freeze(at(now), vec![freeze]).await.unwrap().remove(0)
    }

    /// What the holders of all leases left by ending; where leases have to run out, they have.
    pub async fn rescue(&self, now: i64) -> Rescued {
        self.database.clock(at(now + 60)).await;
        self.store().rescue(at(now)).await.unwrap()
    }

    /// Claimed, and past the gate.
    pub async fn hand_over(&self, now: i64, message: i64) -> Claimed {
        let claimed = self.claim(now, message).await;
        assert_eq!(self.freeze(&claimed, now).await, GateAnswer::Go);
        claimed
    }

    pub async fn answer(&self, now: i64, claimed: &Claimed, outcome: &'static str, next: Next) {
        let recorded = Recorded {
            message: claimed.id,
            token: claimed.token.clone(),
            outcome,
            code: if outcome == "accepted" { 250 } else { 0 },
            reply: format!("reply to {}", claimed.n),
            next,
            earlier: Vec::new(),
        };
        self.store().record(at(now), vec![recorded]).await.unwrap();
    }

    pub async fn accept(&self, now: i64, claimed: &Claimed) {
        self.answer(now, claimed, "accepted", Next::Sent { day: today() }).await;
    }

    pub async fn act(&self, task: TaskId, act: Act) -> Acted {
        self.act_at(1, task, act).await
    }

    pub async fn act_at(&self, now: i64, task: TaskId, act: Act) -> Acted {
        self.store().act(at(now), today(), task, &act, &by()).await.unwrap()
    }

    /// A message as `outbox list` shows it, in whatever state.
    pub async fn message(&self, id: i64) -> OutboxRow {
        for state in ["pending", "leased", "frozen", "sent", "dead", "suppressed", "unknown"] {
            if let Some(row) = self.store().outbox(Some(state)).await.unwrap().into_iter().find(|row| row.id == id) {
                return row;
            }
        }
        panic!("message {id} is in no state");
    }

    /// `state` or `state reason`.
    pub async fn fate(&self, message: i64) -> String {
        let row = self.message(message).await;
        format!("{} {}", row.state, row.reason).trim().to_owned()
    }

    pub async fn story(&self, task: TaskId) -> Vec<StoryRow> {
        self.store().story(task).await.unwrap()
    }

    /// `step: state reason` of each reminder, in order of step and audience.
    pub async fn told(&self, task: TaskId) -> Vec<String> {
        let mut rows = self.story(task).await;
        rows.sort_by_key(|row| (row.key.step.clone(), row.key.audience.to_string()));
        rows.iter().map(|row| format!("{}: {} {}", row.key.step, row.state, row.reason).trim().to_owned()).collect()
    }

    pub async fn state_of(&self, task: TaskId) -> ReminderState {
        let story = self.story(task).await;
        assert_eq!(story.len(), 1, "one reminder is meant");
        story[0].state
    }

    pub async fn is_pending(&self, now: i64, message: i64) -> bool {
        let pending = self.store().pending(ChannelKind::Email, at(now), 100).await.unwrap();
        pending.iter().any(|head| head.id == message)
    }
}

/// A plan of one reminder that may leave at `when`.
pub fn due(key: ReminderKey, when: i64) -> Plan {
    Plan {
        due: vec![Due { key, due_at: at(when), send_at: at(when), urging: false }],
        next_look: Some(at(600)),
        ..Plan::default()
    }
}

pub fn message(reminders: &[ReminderId]) -> NewMessage {
    NewMessage {
        part: Default::default(),
        channel: ChannelKind::Email,
        address: "a@x.example".into(),
        person: Some(HANDLER),
        recipient: "{}".into(),
        classified: false,
        hours: "hanh-chinh".into(),
        earlier: None,
        not_before: at(0),
        expires_at: at(5 * 24 * 60),
        reminders: reminders.to_vec(),
    }
}

pub fn person(id: PersonId, name: &str, email: &str) -> PersonRow {
    PersonRow {
        id,
        name: name.into(),
        folded: name.to_lowercase(),
        honorific: String::new(),
        email: email.into(),
        phone: String::new(),
        zalo_user_id: String::new(),
        takes_zalo: false,
    }
}

pub fn columns(code: &str, look: Timestamp) -> TaskColumns {
    TaskColumns {
        code: code.into(),
        work: "Rà soát quy hoạch".into(),
        field: "".into(),
        priority: "".into(),
        assigner: "UBND Thành phố".into(),
        assigner_block: Block::State,
        urgency: Urgency::Normal,
        secrecy: Secrecy::Open,
        state: TaskState::InProgress,
        state_since: at(-60),
        completed_on: None,
        result: "".into(),
        note: "".into(),
        assigned_on: None,
        lead: Some(SNV),
        handler: Some(HANDLER),
        monitor: None,
        due_typed: "15/12/2026".into(),
        due_reading: "date".into(),
        original_due: Some(date(2026, 12, 15)),
        report_typed: "".into(),
        report_reading: "".into(),
        report_cycle: "".into(),
        extensions: 0,
        imported_urgings: 0,
        last_update: None,
        held: "",
        fingerprint: String::new(),
        row_digest: String::new(),
        known_at: at(-60),
        next_look_at: Some(look),
    }
}
