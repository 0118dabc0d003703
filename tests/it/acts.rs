//! What people do to a task, against a real database: history, ladders, and what falls silent.
#![expect(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod cli;

use dondoc::{
    planning::task::{AgencyId, ArmedBy, Clock, Obligation, PersonId, TaskId, TaskState},
    store::{
        StoreError,
        acts::{Act, ActStore, Acted, By, ContactForm, TaskFilter},
        ledger::{Freeze, GateAnswer, Next, OutboxStore, PlanningStore, ReadingStore, Recorded},
        sqlite::SqliteStore,
    },
};
use jiff::{
    Timestamp,
    civil::{date, time},
};
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;

const TASK: TaskId = TaskId(1);
const SNV: AgencyId = AgencyId(1);
const STC: AgencyId = AgencyId(2);
const GONE: AgencyId = AgencyId(3);
const WARD: AgencyId = AgencyId(4);

/// Two directorates, an agency that is no more, a ward; one task led by the first, coordinated by the second.
struct Office {
    folder: TempDir,
    store: SqliteStore,
}

fn now() -> Timestamp {
    "2026-11-25T09:00:00+07:00".parse().unwrap()
}

fn later() -> Timestamp {
    "2026-11-26T09:00:00+07:00".parse().unwrap()
}

fn by() -> By {
    By { who: "chi.nguyen".into(), paper: "12/VP-TH ngày 24/11/2026".into() }
}

impl Office {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
        let office = Self { folder, store };
        office
            .sql(
                "INSERT INTO agency (id, code, name, block, active) VALUES (1, 'SNV', 'Sở Nội vụ', 'state', 1),
                   (2, 'STC', 'Sở Tài chính', 'state', 1), (3, 'SCU', 'Sở Cũ', 'state', 0), (4, NULL, 'Phường A', 'state', 1);
                 INSERT INTO person (id, name, folded, email) VALUES (1, 'Trần Văn A', 'trần văn a', 'a@x.example'),
                   (2, 'Lê Thị B', 'lê thị b', 'b@x.example');
                 INSERT INTO task (id, code, assigner_block, urgency, secrecy, state, state_since, lead, handler, known_at,
                   next_look_at, last_update) VALUES (1, 'NV26-000001', 'state', 'normal', 'open', 'in_progress', 0, 1, 1,
                   0, 5, '2026-11-25');
                 INSERT INTO task_coordinator VALUES (1, 2);
                 INSERT INTO obligation (task, clock, agency, role, due_date, arming, armed_at, armed_by, rule, rule_since)
                   VALUES (1, 'completion', 1, 'lead', '2026-12-15', 1, 0, 'entered', 'ubnd', 0),
                   (1, 'report', 1, 'lead', '2026-12-10', 1, 0, 'entered', NULL, NULL),
                   (1, 'completion', 2, 'coordinator', '2026-12-15', 1, 0, 'entered', NULL, NULL);",
            )
            .await;
        office
    }

    async fn sql(&self, sql: &'static str) {
        let mut db = self.connect().await;
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }

    async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect(&format!("sqlite:{}", self.folder.path().join("a.db").display())).await.unwrap()
    }

    async fn text(&self, sql: &'static str) -> String {
        let mut db = self.connect().await;
        let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut db).await.unwrap();
        db.close().await.unwrap();
        rows.join(" ")
    }

    async fn try_at(&self, at: Timestamp, act: &Act, by: &By) -> Result<Acted, StoreError> {
        let today = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(7))).date();
        self.store.act(at, today, TASK, act, by).await
    }

    async fn act(&self, act: Act) -> Acted {
        self.try_at(now(), &act, &by()).await.unwrap()
    }

    async fn act_later(&self, act: Act) -> Acted {
        self.try_at(later(), &act, &by()).await.unwrap()
    }

    /// The refusal's text; and nothing at all was changed by it.
    async fn refusal(&self, act: Act) -> String {
        let before = self.picture().await;
        let error = self.try_at(now(), &act, &by()).await.unwrap_err();
        assert!(matches!(error, StoreError::Refused(_)), "{act:?}: {error:?}");
        assert_eq!(self.picture().await, before, "{act:?}");
        error.to_string()
    }

    /// Everything an act may write, as text.
    async fn picture(&self) -> String {
        let mut all = String::new();
        for sql in [
            "SELECT json_array(state, state_since, state_count, resumed_at, completed_on, lead, handler, original_due,
               extensions, last_update, next_look_at) FROM task ORDER BY id",
            "SELECT json_array(clock, agency, role, due_date, due_time, arming, armed_at, armed_by, overdue_from,
               acknowledged_until, ended_at) FROM obligation ORDER BY task, clock, agency",
            "SELECT json_array(task, agency) FROM task_coordinator ORDER BY task, agency",
            "SELECT json_array(what, old, new, paper) FROM task_event ORDER BY id",
            "SELECT json_array(old_due, new_due) FROM extension ORDER BY id",
            "SELECT json_array(form, whom) FROM contact_log ORDER BY id",
            "SELECT json_array(state, reason) FROM reminder ORDER BY id",
            "SELECT json_array(state, reason) FROM message ORDER BY id",
        ] {
            all += &self.text(sql).await;
            all.push('\n');
        }
        all
    }

    async fn state(&self) -> String {
        self.text("SELECT state FROM task WHERE id = 1").await
    }

    async fn next_look(&self) -> Option<Timestamp> {
        self.store.tasks(&[TASK]).await.unwrap().remove(0).next_look_at
    }

    async fn duty(&self, clock: Clock, agency: AgencyId) -> Obligation {
        let record = self.store.tasks(&[TASK]).await.unwrap().remove(0);
        record.task.obligations.into_iter().find(|o| o.clock == clock && o.agency.id == agency).unwrap()
    }

    /// The history as `what old>new`, in order.
    async fn events(&self) -> Vec<String> {
        let events = self.store.events(TASK).await.unwrap();
        events.into_iter().map(|e| format!("{} {}>{}", e.what, e.old, e.new)).collect()
    }

    /// Reminders of the lead in every stage of leaving: 1 planned, 2 in a pending message, 3 in a leased one, 4 in a
    /// frozen one, 5 in one whose answer was lost and that waits to be repeated, 6 sent; 7 planned for the coordinator,
    /// 8 planned for the report, 9 planned for another task in the pending message of 2.
    async fn reminders(&self) {
        self.sql(
            "INSERT INTO task (id, code, assigner_block, urgency, secrecy, state, state_since, lead, known_at)
               VALUES (2, 'NV26-000002', 'state', 'normal', 'open', 'in_progress', 0, 1, 0);
             INSERT INTO message (id, channel, address, hours, state, not_before, expires_at, message_id, bytes,
               unknown_before, tries, lease_token, lease_until, created_at, changed_at) VALUES
               (2, 'email', 'a', 'normal', 'pending', 0, 9, NULL, NULL, 0, 0, NULL, NULL, 0, 0),
               (3, 'email', 'b', 'normal', 'leased', 0, 9, NULL, NULL, 0, 1, 't3', 9, 0, 0),
               (4, 'email', 'c', 'normal', 'frozen', 0, 9, '<4@x>', x'01', 0, 1, 't4', 9, 0, 0),
               (5, 'email', 'd', 'normal', 'pending', 0, 9, '<5@x>', x'01', 1, 1, NULL, NULL, 0, 0),
               (6, 'email', 'e', 'normal', 'sent', 0, 9, '<6@x>', x'01', 0, 1, NULL, NULL, 0, 0);
             INSERT INTO attempt (message, n, token, phase, started_at) VALUES (3, 1, 't3', 'claimed', 0),
               (4, 1, 't4', 'handed_over', 0);
             INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at,
               not_before, state, message, created_at, changed_at) VALUES
               (1, 1, 'completion', 1, 'r', 'a', 1, 1, 'handler', 'email', 0, 0, 'planned', NULL, 0, 0),
               (2, 1, 'completion', 1, 'r', 'b', 1, 1, 'handler', 'email', 0, 0, 'in_message', 2, 0, 0),
               (3, 1, 'completion', 1, 'r', 'c', 1, 1, 'handler', 'email', 0, 0, 'in_message', 3, 0, 0),
               (4, 1, 'completion', 1, 'r', 'd', 1, 1, 'handler', 'email', 0, 0, 'in_message', 4, 0, 0),
               (5, 1, 'completion', 1, 'r', 'e', 1, 1, 'handler', 'email', 0, 0, 'in_message', 5, 0, 0),
               (6, 1, 'completion', 1, 'r', 'f', 1, 1, 'handler', 'email', 0, 0, 'sent', 6, 0, 0),
               (7, 1, 'completion', 1, 'r', 'a', 1, 2, 'handler', 'email', 0, 0, 'planned', NULL, 0, 0),
               (8, 1, 'report', 1, 'r', 'a', 1, 1, 'handler', 'email', 0, 0, 'planned', NULL, 0, 0),
               (9, 2, 'completion', 1, 'r', 'a', 1, 1, 'handler', 'email', 0, 0, 'in_message', 2, 0, 0);",
        )
        .await;
    }

    async fn fates(&self) -> String {
        self.text(
            "SELECT id || ':' || state || CASE reason WHEN '' THEN '' ELSE '/' || reason END FROM reminder ORDER BY id",
        )
        .await
    }

    async fn messages(&self) -> String {
        self.text("SELECT id || ':' || state FROM message ORDER BY id").await
    }
}

fn done() -> Act {
    Act::Done { on: Some(date(2026, 11, 24)) }
}

fn extend_to(day: jiff::civil::Date) -> Act {
    Act::Extend {
        clock: Clock::Completion,
        date: day,
        time: None,
        decided_on: Some(date(2026, 11, 24)),
        approver: "Phó Chủ tịch Lê Thị Mai".into(),
    }
}

fn contact(clock: Clock, agency: AgencyId) -> Act {
    Act::LogContact {
        clock,
        agency,
        form: ContactForm::Telephone,
        whom: "Trần Văn A".into(),
        outcome: "hứa nộp".into(),
    }
}

/// What a state silences, and that everything that may already be leaving is left to its gate.
async fn silences(act: Act, reason: &str) {
    let office = Office::new().await;
    office.reminders().await;
    let acted = office.act(act.clone()).await;
    let gone = format!("suppressed/{reason}");
    assert_eq!(
        office.fates().await,
        format!("1:{gone} 2:{gone} 3:in_message 4:in_message 5:in_message 6:sent 7:{gone} 8:{gone} 9:in_message"),
        "{act:?}"
    );
    // The message of 2 still carries another task's reminder.
    assert_eq!(office.messages().await, "2:pending 3:leased 4:frozen 5:pending 6:sent", "{act:?}");
    assert_eq!(acted.silenced, 4, "{act:?}");
}

#[tokio::test]
async fn a_silent_state_takes_what_waits_and_leaves_what_may_be_leaving_to_its_gate() {
    silences(done(), "completed").await;
    silences(Act::Withdraw, "withdrawn").await;
    silences(Act::Pause, "paused").await;
    silences(Act::Submit, "submitted").await;
    silences(Act::Return, "returned").await;
}

#[tokio::test]
async fn a_message_left_empty_ends_and_one_that_may_have_arrived_does_not() {
    let office = Office::new().await;
    office.reminders().await;
    office.sql("DELETE FROM reminder WHERE id = 9").await;
    office.act(done()).await;
    assert_eq!(office.messages().await, "2:suppressed 3:leased 4:frozen 5:pending 6:sent");
}

#[tokio::test]
async fn an_acceptance_after_completion_is_still_recorded_as_sent() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(done()).await;
    let accepted = Recorded {
        message: 4,
        token: "t4".into(),
        outcome: "accepted",
        code: 250,
        reply: "ok".into(),
        next: Next::Sent { day: date(2026, 11, 25) },
        earlier: Vec::new(),
    };
    office.store.record(later(), vec![accepted]).await.unwrap();
    assert!(office.fates().await.contains("4:sent"), "{}", office.fates().await);
}

#[tokio::test]
async fn an_act_between_claim_and_gate_keeps_the_message_back() {
    for (act, answer) in [
        (done(), GateAnswer::Changed),
        (Act::Pause, GateAnswer::Changed),
        (extend_to(date(2026, 12, 31)), GateAnswer::Changed),
        (Act::Assign { lead: WARD }, GateAnswer::Changed),
        (Act::SetHandler { person: PersonId(2) }, GateAnswer::Changed),
        (Act::Acknowledge { until: later() }, GateAnswer::Go),
        (contact(Clock::Completion, SNV), GateAnswer::Go),
    ] {
        let office = Office::new().await;
        office.reminders().await;
        office.sql("DELETE FROM reminder WHERE id = 9").await;
        let claimed = office.store.claim(now(), later(), &[2]).await.unwrap().remove(0);
        office.act(act.clone()).await;
        let freeze = Freeze {
            message: 2,
            token: claimed.token,
            bytes: b"x".to_vec(),
            message_id: "<2@x>".into(),
            dated_at: now(),
            rows: claimed.rows,
            directory_revision: office.store.directory_revision().await.unwrap(),
        };
        assert_eq!(office.store.freeze(now(), vec![freeze]).await.unwrap(), [answer], "{act:?}");
    }
}

#[tokio::test]
async fn each_act_on_a_state_leads_where_it_says_and_writes_its_line() {
    use TaskState::*;
    let cases: [(&[Act], TaskState, &str); 12] = [
        (&[Act::Submit], Submitted, "in_progress>submitted"),
        (&[Act::Submit, Act::Refuse], InProgress, "submitted>in_progress"),
        (&[Act::AskExtension], ExtensionRequested, "in_progress>extension_requested"),
        (&[Act::AskExtension, Act::Refuse], InProgress, "extension_requested>in_progress"),
        (&[Act::Pause], Paused, "in_progress>paused"),
        (&[Act::Pause, Act::Resume], InProgress, "paused>in_progress"),
        (&[Act::AskExtension, Act::Pause, Act::Resume], ExtensionRequested, "paused>extension_requested"),
        (&[Act::Submit, Act::Pause, Act::Resume], Submitted, "paused>submitted"),
        (&[Act::Return], Returned, "in_progress>returned"),
        (&[Act::Withdraw], Withdrawn, "in_progress>withdrawn"),
        (&[Act::Done { on: None }], Done, "in_progress>done"),
        (&[Act::Withdraw, Act::Reopen], InProgress, "withdrawn>in_progress"),
    ];
    for (acts, state, line) in cases {
        let office = Office::new().await;
        for act in acts {
            office.act(act.clone()).await;
        }
        assert_eq!(office.state().await, state.as_str(), "{acts:?}");
        assert_eq!(office.events().await.last().unwrap(), &format!("state {line}"), "{acts:?}");
        let event = office.store.events(TASK).await.unwrap().pop().unwrap();
        assert_eq!((event.by.as_str(), event.paper.as_str()), ("chi.nguyen", "12/VP-TH ngày 24/11/2026"));
        assert_eq!(event.learnt_at, now());
        assert_eq!(office.next_look().await.is_some(), state.is_open(), "{acts:?}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let refused: &[(&[Act], Act, &str)] = &[
        (&[], Act::Start, "already"),
        (&[], Act::Refuse, "handed in"),
        (&[], Act::Resume, "paused"),
        (&[], Act::Reopen, "only a done or withdrawn"),
        (&[], Act::Done { on: Some(date(2026, 11, 26)) }, "has not come"),
        (&[], Act::Assign { lead: SNV }, "already"),
        (&[], Act::Assign { lead: AgencyId(99) }, "no such agency"),
        (&[], Act::Assign { lead: GONE }, "successor"),
        (&[], Act::SetHandler { person: PersonId(1) }, "already"),
        (&[], Act::SetHandler { person: PersonId(99) }, "no such person"),
        (&[], Act::SetCoordinators { agencies: vec![STC] }, "already"),
        (&[], Act::SetCoordinators { agencies: vec![SNV, STC] }, "coordinate with itself"),
        (&[], Act::SetCoordinators { agencies: vec![STC, AgencyId(99)] }, "no such agency"),
        (&[], extend_to(date(2026, 12, 15)), "already"),
        (&[], Act::Acknowledge { until: now() }, "still to come"),
        (&[], contact(Clock::Completion, WARD), "owes nothing"),
        (&[], contact(Clock::Report, STC), "owes nothing"),
        (&[Act::Report], Act::Report, "already"),
        (&[Act::Submit], Act::Submit, "already"),
        (&[Act::Submit], Act::Assign { lead: STC }, "handed in"),
        (&[Act::Submit], Act::AskExtension, "submitted"),
        (&[Act::Pause], Act::Pause, "already"),
        (&[Act::Pause], Act::Start, "resume"),
        (&[Act::Return], Act::Return, "already"),
        (&[Act::Return], Act::Pause, "assigned again"),
        (&[Act::Withdraw], Act::Withdraw, "already"),
        (&[Act::Withdraw], Act::Submit, "reopen"),
        (&[Act::Done { on: None }], Act::Done { on: None }, "already"),
        (&[Act::Done { on: None }], Act::Pause, "done"),
        (&[Act::Done { on: None }], Act::Start, "reopen"),
        (&[Act::Done { on: None }], Act::Withdraw, "reopen"),
        (&[Act::Done { on: None }], extend_to(date(2026, 12, 20)), "reopen"),
        (&[Act::Done { on: None }], Act::Assign { lead: STC }, "reopen"),
        (&[Act::Done { on: None }], Act::Report, "reopen"),
        (&[Act::Done { on: None }], contact(Clock::Completion, SNV), "reopen"),
    ];
    for (before, act, says) in refused {
        let office = Office::new().await;
        for act in *before {
            office.act(act.clone()).await;
        }
        let text = office.refusal(act.clone()).await;
        assert!(text.contains(says), "{before:?} {act:?}: {text}");
    }
}

#[tokio::test]
async fn nobody_acts_namelessly_and_nothing_is_done_to_a_task_that_is_not_there() {
    let office = Office::new().await;
    let nameless = By { who: " ".into(), paper: String::new() };
    assert!(office.try_at(now(), &Act::Pause, &nameless).await.is_err());
    let nowhere = office.store.act(now(), date(2026, 11, 25), TaskId(99), &Act::Pause, &by()).await;
    assert!(nowhere.unwrap_err().to_string().contains("no such task"));
    assert_eq!(office.state().await, "in_progress");
}

#[tokio::test]
async fn a_held_task_is_mended_first_but_may_be_done_or_withdrawn() {
    let office = Office::new().await;
    office.sql("UPDATE task SET held = 'lead_two', next_look_at = NULL").await;
    for act in [Act::Start, Act::Pause, Act::Assign { lead: STC }, extend_to(date(2026, 12, 20))] {
        assert!(office.refusal(act).await.contains("lead_two"));
    }
    office.act(Act::SetHandler { person: PersonId(2) }).await;
    assert_eq!(office.next_look().await, None, "a held task is not looked at");
    office.act(done()).await;
    assert_eq!(office.state().await, "done");
}

#[tokio::test]
async fn coming_back_from_a_silent_state_is_remembered_and_from_another_is_not() {
    let resumed = "SELECT coalesce(CAST(resumed_at AS TEXT), 'never') FROM task";
    for (acts, comes_back) in [
        (vec![Act::Submit, Act::Refuse], true),
        (vec![Act::Pause, Act::Resume], true),
        (vec![Act::Return, Act::Assign { lead: WARD }], true),
        (vec![done(), Act::Reopen], true),
        (vec![Act::AskExtension, Act::Refuse], false),
        (vec![Act::Submit, Act::Pause], false),
        (vec![Act::Submit, Act::Pause, Act::Resume], false),
    ] {
        let office = Office::new().await;
        let (last, first) = acts.split_last().unwrap();
        for act in first {
            office.act(act.clone()).await;
        }
        office.act_later(last.clone()).await;
        let expected = if comes_back { later().as_millisecond().to_string() } else { "never".to_owned() };
        assert_eq!(office.text(resumed).await, expected, "{acts:?}");
    }
}

#[tokio::test]
async fn each_handing_in_and_sending_back_is_asked_about_anew() {
    let office = Office::new().await;
    for (act, count) in [
        (Act::Submit, "2"),
        (Act::Refuse, "2"),
        (Act::Submit, "3"),
        (Act::Return, "4"),
        (Act::Assign { lead: SNV }, "4"),
    ] {
        office.act(act.clone()).await;
        assert_eq!(office.text("SELECT CAST(state_count AS TEXT) FROM task WHERE id = 1").await, count, "{act:?}");
    }
}

#[tokio::test]
async fn a_question_about_a_state_falls_silent_when_the_state_is_left() {
    let office = Office::new().await;
    office.act(Act::Submit).await;
    office
        .sql(
            "INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at,
               not_before, state, created_at, changed_at) VALUES
               (1, 1, 'completion', 1, 'trang-thai', 'cho-xac-nhan', 2, 1, 'monitor', 'email', 0, 0, 'planned', 0, 0)",
        )
        .await;
    office.act(Act::Refuse).await;
    assert_eq!(office.fates().await, "1:suppressed/resumed");
}

#[tokio::test]
async fn what_waited_when_the_task_fell_silent_waits_again_afterwards() {
    for (silent, back) in [(Act::Pause, Act::Resume), (Act::Submit, Act::Refuse)] {
        let office = Office::new().await;
        office.reminders().await;
        office.act(silent).await;
        office.act_later(back.clone()).await;
        assert_eq!(
            office.fates().await,
            "1:planned 2:planned 3:in_message 4:in_message 5:in_message 6:sent 7:planned 8:planned 9:in_message",
            "{back:?}"
        );
        // Nothing of it is in a message any more, so nothing claims an earlier one.
        let ready = office.store.ready_reminders(later()).await.unwrap();
        assert_eq!(
            ready.iter().map(|row| (row.id.0, row.earlier)).collect::<Vec<_>>(),
            [(1, None), (2, None), (7, None), (8, None)]
        );
    }
}

#[tokio::test]
async fn what_waited_under_a_deadline_that_moved_meanwhile_does_not_come_back() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(Act::Pause).await;
    office.act(Act::Report).await;
    office.act(extend_to(date(2026, 12, 31))).await;
    office.act(Act::Resume).await;
    for id in ["1:", "2:", "7:", "8:"] {
        assert!(office.fates().await.contains(&format!("{id}suppressed/paused")), "{}", office.fates().await);
    }
}

#[tokio::test]
async fn done_keeps_its_day_and_a_day_may_be_given_later() {
    let office = Office::new().await;
    office.act(Act::Done { on: None }).await;
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].completed_on, None);
    office.act(done()).await;
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].completed_on, Some(date(2026, 11, 24)));
    assert!(office.refusal(done()).await.contains("already"));
    assert_eq!(office.events().await, ["state in_progress>done", "completed_on >2026-11-24"]);
    let effective: Vec<_> = office.store.events(TASK).await.unwrap().iter().map(|e| e.effective_on).collect();
    assert_eq!(effective, [None, Some(date(2026, 11, 24))]);
}

#[tokio::test]
async fn reopening_arms_the_open_completion_ladders_again_and_leaves_ended_ones() {
    let office = Office::new().await;
    office.act(Act::SetCoordinators { agencies: vec![WARD] }).await;
    office.act(Act::Report).await;
    office.act(done()).await;
    assert_eq!(office.next_look().await, None);
    office.act_later(Act::Reopen).await;
    let lead = office.duty(Clock::Completion, SNV).await;
    assert_eq!((lead.arming, lead.armed_by, lead.armed_at, lead.ended), (2, ArmedBy::Reopened, later(), false));
    assert_eq!(lead.deadline.unwrap().date, date(2026, 12, 15));
    assert_eq!(office.duty(Clock::Completion, WARD).await.arming, 2);
    let left = office.duty(Clock::Completion, STC).await;
    assert_eq!((left.arming, left.ended), (1, true));
    let report = office.duty(Clock::Report, SNV).await;
    assert_eq!((report.arming, report.ended), (1, true));
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].completed_on, None);
    assert_eq!(office.next_look().await, Some(later()));
    assert!(office.events().await.contains(&"completed_on 2026-11-24>".to_owned()));
}

#[tokio::test]
async fn a_new_lead_takes_over_both_deadlines_and_the_old_one_hears_no_more() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(Act::Assign { lead: WARD }).await;
    for clock in [Clock::Completion, Clock::Report] {
        assert!(office.duty(clock, SNV).await.ended, "{clock}");
        let new = office.duty(clock, WARD).await;
        assert_eq!((new.arming, new.armed_by, new.armed_at, new.ended), (1, ArmedBy::Reassigned, now(), false));
    }
    assert_eq!(office.duty(Clock::Report, WARD).await.deadline.unwrap().date, date(2026, 12, 10));
    assert_eq!(
        office.fates().await,
        "1:superseded/reassigned 2:superseded/reassigned 3:in_message 4:in_message 5:in_message 6:sent 7:planned \
         8:superseded/reassigned 9:in_message"
    );
    // The old lead's handler goes with it.
    assert_eq!(office.events().await, ["lead 1>4", "handler 1>"]);
    assert_eq!(office.store.tasks(&[TASK]).await.unwrap()[0].handler, None);
}

#[tokio::test]
async fn a_coordinator_who_becomes_lead_has_one_ladder_and_a_lead_who_returns_a_new_arming() {
    let office = Office::new().await;
    office.act(Act::Assign { lead: STC }).await;
    let lead = office.duty(Clock::Completion, STC).await;
    assert_eq!((lead.role.as_str(), lead.arming), ("lead", 2));
    assert!(office.store.texts(&[TASK]).await.unwrap()[0].coordinators.is_empty());
    assert!(office.events().await.contains(&"coordinators 2>".to_owned()));
    office.act_later(Act::Assign { lead: SNV }).await;
    let back = office.duty(Clock::Completion, SNV).await;
    assert_eq!((back.arming, back.armed_by, back.ended), (2, ArmedBy::Reassigned, false));
    assert!(office.duty(Clock::Completion, STC).await.ended);
}

#[tokio::test]
async fn a_task_sent_back_can_be_assigned_to_the_same_agency_again() {
    let office = Office::new().await;
    office.act(Act::Return).await;
    let acted = office.act_later(Act::Assign { lead: SNV }).await;
    assert_eq!(acted.state, TaskState::NotReceived);
    let lead = office.duty(Clock::Completion, SNV).await;
    assert_eq!((lead.arming, lead.armed_by, lead.ended), (2, ArmedBy::Reassigned, false));
}

#[tokio::test]
async fn coordinators_come_and_go_with_their_ladders() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(Act::SetCoordinators { agencies: vec![WARD] }).await;
    assert!(office.duty(Clock::Completion, STC).await.ended);
    assert!(office.fates().await.contains("7:superseded/reassigned"));
    let ward = office.duty(Clock::Completion, WARD).await;
    assert_eq!((ward.role.as_str(), ward.arming, ward.armed_by), ("coordinator", 1, ArmedBy::Reassigned));
    assert_eq!(ward.deadline.unwrap().date, date(2026, 12, 15));
    office.act(Act::SetCoordinators { agencies: vec![STC, WARD] }).await;
    let back = office.duty(Clock::Completion, STC).await;
    assert_eq!((back.arming, back.ended), (2, false));
    assert_eq!(office.duty(Clock::Completion, WARD).await.arming, 1, "one that stays is not armed again");
    assert_eq!(office.events().await, ["coordinators 2>4", "coordinators 4>2,4"]);
}

#[tokio::test]
async fn a_later_deadline_arms_the_ladder_again_and_keeps_both_dates() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(Act::AskExtension).await;
    office.act(Act::Acknowledge { until: later() }).await;
    let acted = office.act(extend_to(date(2026, 12, 31))).await;
    assert_eq!((acted.state, acted.without_paper), (TaskState::InProgress, false));
    for agency in [SNV, STC] {
        let duty = office.duty(Clock::Completion, agency).await;
        assert_eq!((duty.arming, duty.armed_by, duty.armed_at), (2, ArmedBy::Extended, now()), "{agency:?}");
        assert_eq!(duty.deadline.unwrap().date, date(2026, 12, 31), "{agency:?}");
        assert_eq!((duty.overdue_from, duty.acknowledged_until), (None, None), "{agency:?}");
    }
    assert_eq!(office.duty(Clock::Report, SNV).await.arming, 1, "the other clock stays");
    assert_eq!(
        office.fates().await,
        "1:superseded/deadline_moved 2:superseded/deadline_moved 3:in_message 4:in_message 5:in_message 6:sent \
         7:superseded/deadline_moved 8:planned 9:in_message"
    );
    let texts = office.store.texts(&[TASK]).await.unwrap().remove(0);
    assert_eq!(texts.original_due, Some(date(2026, 12, 15)));
    let extension = &texts.extensions[0];
    assert_eq!((extension.from, extension.to), (Some(date(2026, 12, 15)), Some(date(2026, 12, 31))));
    assert_eq!(extension.decided_on, Some(date(2026, 11, 24)));
    assert_eq!(extension.paper, "12/VP-TH ngày 24/11/2026");
    assert_eq!(extension.approver, "Phó Chủ tịch Lê Thị Mai");
    assert_eq!(office.text("SELECT CAST(extensions AS TEXT) FROM task WHERE id = 1").await, "1");
    assert!(office.events().await.contains(&"due_date 2026-12-15>2026-12-31".to_owned()));
}

#[tokio::test]
async fn an_earlier_deadline_is_overdue_only_from_the_day_it_was_accepted() {
    let office = Office::new().await;
    let act = Act::Extend {
        clock: Clock::Completion,
        date: date(2026, 11, 20),
        time: None,
        decided_on: None,
        approver: String::new(),
    };
    let acted = office.try_at(now(), &act, &By { who: "chi".into(), paper: String::new() }).await.unwrap();
    assert!(acted.without_paper);
    let duty = office.duty(Clock::Completion, SNV).await;
    assert_eq!((duty.arming, duty.armed_by, duty.overdue_from), (2, ArmedBy::Advanced, Some(date(2026, 11, 25))));
    assert_eq!(
        office.text("SELECT CAST(extensions AS TEXT) FROM task WHERE id = 1").await,
        "0",
        "a correction is no extension"
    );
    // A later one afterwards is free of it.
    office.act(extend_to(date(2026, 12, 31))).await;
    let duty = office.duty(Clock::Completion, SNV).await;
    assert_eq!((duty.arming, duty.armed_by, duty.overdue_from), (3, ArmedBy::Extended, None));
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].original_due, Some(date(2026, 12, 15)));
}

#[tokio::test]
async fn an_hour_on_the_same_day_is_earlier_than_the_whole_day() {
    let office = Office::new().await;
    let at = |hour| Act::Extend {
        clock: Clock::Completion,
        date: date(2026, 12, 15),
        time: hour,
        decided_on: None,
        approver: String::new(),
    };
    office.act(at(Some(time(17, 0, 0, 0)))).await;
    let duty = office.duty(Clock::Completion, SNV).await;
    assert_eq!((duty.armed_by, duty.deadline.unwrap().time), (ArmedBy::Advanced, Some(time(17, 0, 0, 0))));
    office.act(at(None)).await;
    assert_eq!(office.duty(Clock::Completion, SNV).await.armed_by, ArmedBy::Extended);
}

#[tokio::test]
async fn a_coordinator_with_a_date_of_its_own_keeps_it() {
    let office = Office::new().await;
    office.sql("UPDATE obligation SET due_date = '2026-12-05' WHERE agency = 2").await;
    office.act(extend_to(date(2026, 12, 31))).await;
    let own = office.duty(Clock::Completion, STC).await;
    assert_eq!((own.arming, own.deadline.unwrap().date), (1, date(2026, 12, 5)));
}

#[tokio::test]
async fn the_report_deadline_moves_alone_and_a_new_day_revives_a_report_handed_in() {
    let office = Office::new().await;
    office.act(Act::Report).await;
    assert!(office.duty(Clock::Report, SNV).await.ended);
    let act = Act::Extend {
        clock: Clock::Report,
        date: date(2027, 1, 10),
        time: None,
        decided_on: None,
        approver: String::new(),
    };
    office.act(act).await;
    let report = office.duty(Clock::Report, SNV).await;
    assert_eq!((report.arming, report.ended), (2, false));
    assert_eq!(office.duty(Clock::Completion, SNV).await.arming, 1);
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].original_due, None);
}

#[tokio::test]
async fn a_report_handed_in_ends_its_ladder_only() {
    let office = Office::new().await;
    office.reminders().await;
    office.act(Act::Report).await;
    assert!(office.fates().await.contains("1:planned") && office.fates().await.contains("8:superseded/reported"));
    assert!(!office.duty(Clock::Completion, SNV).await.ended);
    assert_eq!(office.state().await, "in_progress");
}

#[tokio::test]
async fn an_acknowledgement_and_a_contact_are_on_record() {
    let office = Office::new().await;
    office.act(Act::Acknowledge { until: later() }).await;
    assert_eq!(office.duty(Clock::Completion, SNV).await.acknowledged_until, Some(later()));
    office.act(contact(Clock::Completion, SNV)).await;
    let contacts = office.store.texts(&[TASK]).await.unwrap().remove(0).contacts;
    assert_eq!((contacts[0].form.as_str(), contacts[0].agency, contacts[0].at), ("telephone", SNV, now()));
    assert_eq!(contacts[0].outcome, "hứa nộp");
}

#[tokio::test]
async fn nothing_typed_about_a_classified_task_is_stored() {
    let office = Office::new().await;
    office.sql("UPDATE task SET secrecy = 'secret', code = 'MAT-7F3A'").await;
    let by = By { who: "chi.nguyen".into(), paper: "99/BM-XYZ".into() };
    let outcome = "nói về BM-XYZ".to_owned();
    for act in [
        extend_to(date(2026, 12, 31)),
        Act::LogContact {
            clock: Clock::Completion,
            agency: SNV,
            form: ContactForm::Fax,
            whom: "BM-XYZ".into(),
            outcome,
        },
        Act::Pause,
    ] {
        assert!(office.try_at(now(), &act, &by).await.unwrap().dropped, "{act:?}");
    }
    office.store.close().await;
    for entry in std::fs::read_dir(office.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for word in ["BM-XYZ", "Lê Thị Mai"] {
            assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is on disk");
        }
    }
}

#[tokio::test]
async fn an_act_at_the_very_instant_of_the_next_look_is_still_noticed() {
    let office = Office::new().await;
    let revision = async || office.store.tasks(&[TASK]).await.unwrap()[0].revision;
    office.act(Act::Acknowledge { until: later() }).await;
    let first = (office.next_look().await, revision().await);
    office.act(extend_to(date(2026, 12, 31))).await;
    let second = (office.next_look().await, revision().await);
    assert_eq!((first.0, second.0), (Some(now()), Some(now())));
    assert!(second.1 > first.1, "{first:?} {second:?}");
}

#[tokio::test]
async fn an_agency_that_acts_was_heard_of() {
    let office = Office::new().await;
    office.act_later(Act::Pause).await;
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].last_update, Some(date(2026, 11, 25)));
    office.act_later(Act::Resume).await;
    office.act_later(Act::Submit).await;
    assert_eq!(office.store.texts(&[TASK]).await.unwrap()[0].last_update, Some(date(2026, 11, 26)));
}

#[tokio::test]
async fn the_list_answers_what_was_asked_page_by_page() {
    let office = Office::new().await;
    office.reminders().await;
    let list = async |filter: TaskFilter, after: &str, limit| {
        let found = office.store.list_tasks(&filter, after, limit).await.unwrap();
        found.into_iter().map(|line| line.code).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(list(TaskFilter::default(), "", 9).await, "NV26-000001 NV26-000002");
    assert_eq!(list(TaskFilter::default(), "", 1).await, "NV26-000001");
    assert_eq!(list(TaskFilter::default(), "NV26-000001", 9).await, "NV26-000002");
    let due = TaskFilter { due_until: Some(date(2026, 12, 15)), ..TaskFilter::default() };
    assert_eq!(list(due, "", 9).await, "NV26-000001");
    office.act(done()).await;
    assert_eq!(list(TaskFilter { open_only: true, ..TaskFilter::default() }, "", 9).await, "NV26-000002");
    assert_eq!(list(TaskFilter { state: Some(TaskState::Done), ..TaskFilter::default() }, "", 9).await, "NV26-000001");
    assert_eq!(list(TaskFilter { lead: Some(STC), ..TaskFilter::default() }, "", 9).await, "");
    assert_eq!(list(TaskFilter { held_only: true, ..TaskFilter::default() }, "", 9).await, "");
}
