//! A test of the tests: six mistakes that senders of reminders really make, each planted between the engine and its
//! store, and each found out by the judge of `interleave`.

mod journal;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use dondoc::store::{
    Result,
    ledger::{Freeze, GateAnswer, Next, OutboxStore, Planned, PlanningStore, Recorded, Rescued, Saved},
};
use jiff::Timestamp;
use sqlx::Row;

use crate::dice::asked;
use crate::interleave::{
    journal::Kind,
    play::play,
    play_all,
    sim::{Chances, Sim},
    watched::Watched,
};

/// Within so many interleavings each mistake must be found out.
const WITHIN: u64 = 400;

/// Runs that are stopped and go on beside another one, and little else.
fn several_at_work() -> Chances {
    Chances {
        refusal: 3,
        acts: 15,
        clock: 6,
        crash: 1,
        stale: 40,
        reload: 0,
        directory: 0,
        operator: 0,
        ..Chances::default()
    }
}

/// Plays with a mistake until the judge reports it, or, where a number of interleavings was asked for, all of them. The
/// same seeds without the mistake are reported for nothing of the kind: it was the mistake that was found.
#[track_caller]
fn caught(mistake: Mistake, as_one_of: &[Kind], chances: Chances) {
    let all = asked("DONDOC_INTERLEAVINGS");
    let seeds: Vec<u64> = (1..=all.unwrap_or(WITHIN)).collect();
    let seen = Mutex::new((Vec::new(), Vec::new(), BTreeMap::<Kind, u64>::new()));
    play_all(
        &seeds,
        |seed| play(seed, Some(mistake), chances, false),
        |seed, played| {
            let mut seen = seen.lock().unwrap();
            seen.0.push(seed);
            let kinds: BTreeSet<Kind> = played.journal.faults.iter().map(|fault| fault.kind).collect();
            if kinds.iter().any(|kind| as_one_of.contains(kind)) {
                seen.1.push(seed);
            }
            for kind in kinds {
                *seen.2.entry(kind).or_default() += 1;
            }
            all.is_some() || seen.1.is_empty()
        },
    );
    let (played, by, kinds) = seen.into_inner().unwrap();
    eprintln!(
        "{mistake:?}: caught in {} of {} interleavings, first by seed {:?}; {kinds:?}",
        by.len(),
        played.len(),
        by.iter().min()
    );
    assert!(!by.is_empty(), "{mistake:?} was not caught in {} interleavings: {kinds:?}", played.len());

    let innocent = Mutex::new(Vec::new());
    play_all(
        &played,
        |seed| play(seed, None, chances, false),
        |seed, played| {
            let faults = played.journal.faults.into_iter().filter(|fault| as_one_of.contains(&fault.kind));
            innocent.lock().unwrap().extend(faults.map(|fault| (seed, fault)));
            true
        },
    );
    let innocent = innocent.into_inner().unwrap();
    assert!(innocent.is_empty(), "reported without {mistake:?}: {innocent:?}");
}

#[test]
fn recorded_before_it_is_handed_over_is_found_out() {
    caught(Mistake::MarkFirst, &[Kind::Lost], Chances::default());
}

#[test]
fn an_outcome_under_a_foreign_token_is_found_out() {
    caught(Mistake::NoToken, &[Kind::Unmarked, Kind::Another, Kind::Twice], several_at_work());
}

#[test]
fn another_message_id_on_a_repeat_is_found_out() {
    caught(Mistake::AnotherId, &[Kind::Another], Chances::default());
}

#[test]
fn a_gate_that_does_not_look_again_is_found_out() {
    caught(Mistake::NoSecondLook, &[Kind::Late], Chances::default());
}

#[test]
fn a_mark_moved_outside_the_transaction_is_found_out() {
    caught(Mistake::MarkApart, &[Kind::Lost], Chances { crash: 40, ..Chances::default() });
}

#[test]
fn a_rescue_by_number_alone_is_found_out() {
    caught(Mistake::RescueById, &[Kind::Unmarked, Kind::Another, Kind::Twice], several_at_work());
}

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Recorded as accepted before it is handed over.
    MarkFirst,
    /// An outcome counts whoever holds the message by now.
    NoToken,
    /// Composed anew after a lost answer.
    AnotherId,
    /// The gate compares nothing.
    NoSecondLook,
    /// A task's next look is moved in a transaction of its own, before its reminders are kept.
    MarkApart,
    /// What was in work is read first, and let go later by its number alone.
    RescueById,
}

/// Outcomes other than an acceptance change nothing any more: it is recorded as sent already.
pub fn forget_what_came_after(outcomes: &mut Vec<Recorded>) {
    outcomes.retain(|outcome| {
        !matches!(outcome.next, Next::Repeat { .. } | Next::Retry { .. } | Next::Dead { .. })
            || outcome.outcome == "released"
    });
}

/// The message is sent, says the ledger; then it is handed over.
pub async fn mark_first(sim: &Sim, now: Timestamp, asked: &[Freeze], answers: &[GateAnswer]) {
    let gone = asked.iter().zip(answers).filter(|(_, answer)| **answer == GateAnswer::Go);
    let sent = gone
        .map(|(freeze, _)| Recorded {
            message: freeze.message,
            token: freeze.token.clone(),
            outcome: "accepted",
            code: 250,
            reply: String::new(),
            next: Next::Sent { day: jiff::civil::date(2026, 11, 25) },
            earlier: Vec::new(),
        })
        .collect();
    sim.store.record(now, sent).await.unwrap();
}

/// As if nobody had ever written `AND lease_token = …`.
pub async fn take_the_present_token(sim: &Sim, outcomes: &mut [Recorded]) {
    for outcome in outcomes {
        let token: Option<Option<String>> = sqlx::query_scalar("SELECT lease_token FROM message WHERE id = $1")
            .bind(outcome.message)
            .fetch_optional(&sim.pool)
            .await
            .unwrap();
        if let Some(token) = token.flatten() {
            outcome.token = token;
        }
    }
}

/// Yes to everything that is still leased.
pub async fn wave_through(sim: &Sim, asked: &[Freeze], answers: &mut [GateAnswer]) {
    for (freeze, answer) in asked.iter().zip(answers) {
        let done = sqlx::query(
            "UPDATE message SET state = 'frozen', bytes = $3, message_id = $4, dated_at = $5 \
             WHERE id = $1 AND state = 'leased' AND lease_token = $2",
        )
        .bind(freeze.message)
        .bind(&freeze.token)
        .bind(&freeze.bytes)
        .bind(&freeze.message_id)
        .bind(freeze.dated_at.as_millisecond())
        .execute(&sim.pool)
        .await
        .unwrap();
        if done.rows_affected() > 0 {
            *answer = GateAnswer::Go;
        }
    }
}

/// First the mark that the tasks were looked at; then, in another transaction, what came of it.
pub async fn save_plans_after_the_mark(store: &Watched, now: Timestamp, plans: Vec<Planned>) -> Result<Saved> {
    let turn = store.turn("mark").await;
    let mut moved = Vec::new();
    for mut planned in plans {
        let done =
            sqlx::query("UPDATE task SET next_look_at = $3, revision = revision + 1 WHERE id = $1 AND revision = $2")
                .bind(planned.task.0)
                .bind(planned.revision)
                .bind(planned.plan.next_look.map(Timestamp::as_millisecond))
                .execute(&store.sim.pool)
                .await
                .unwrap();
        if done.rows_affected() > 0 {
            planned.revision += 1;
            moved.push(planned);
        }
    }
    drop(turn);
    let _turn = store.turn("save_plans").await;
    store.sim.store.save_plans(now, moved).await
}

/// Reads what an earlier run left; lets it go by number, whatever became of it since.
pub async fn rescue_by_id(store: &Watched, now: Timestamp) -> Result<Rescued> {
    let turn = store.turn("rescue: read").await;
    let rows = sqlx::query("SELECT id, state FROM message WHERE state IN ('leased', 'frozen') ORDER BY id")
        .fetch_all(&store.sim.pool)
        .await
        .unwrap();
    let left: HashMap<i64, String> = rows.iter().map(|row| (row.get("id"), row.get("state"))).collect();
    drop(turn);
    let _turn = store.turn("rescue").await;
    let mut rescued = Rescued::default();
    for (id, state) in left {
        let frozen = state == "frozen";
        let done = sqlx::query(
            "UPDATE message SET state = 'pending', lease_token = NULL, lease_until = NULL, not_before = $2, \
             bytes = CASE WHEN $3 OR unknown_before THEN bytes END, message_id = CASE WHEN $3 OR unknown_before THEN message_id END, \
             unknown_before = CASE WHEN $3 THEN 1 ELSE unknown_before END \
             WHERE id = $1 AND state IN ('leased', 'frozen')",
        )
        .bind(id)
        .bind(now.as_millisecond())
        .bind(frozen)
        .execute(&store.sim.pool)
        .await
        .unwrap();
        sqlx::query("UPDATE attempt SET phase = 'crashed', ended_at = $2 WHERE message = $1 AND ended_at IS NULL")
            .bind(id)
            .bind(now.as_millisecond())
            .execute(&store.sim.pool)
            .await
            .unwrap();
        if frozen {
            rescued.unanswered += done.rows_affected();
        } else {
            rescued.released += done.rows_affected();
        }
    }
    Ok(rescued)
}
