//! What runs on every tick reads its partial index, however many tasks, reminders and messages are on record.

use sqlx::{AssertSqlSafe, Row};

use super::{
    SqliteStore,
    outbox::{PENDING, READY},
    planning::{DUE, NEXT_LOOK, NEXT_MOVE, PAGE},
    policy,
    reading::COUNTS,
};

/// The steps of a statement's plan, as SQLite says them.
async fn steps(store: &SqliteStore, sql: &str) -> Vec<String> {
    let rows =
        sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(store.reading()).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Whether a step walks a whole table: an index that holds only what waits may be walked to its end.
fn walks_a_table(step: &str) -> bool {
    const PARTIAL: [&str; 3] = ["task_next_look", "reminder_planned", "message_due"];
    step.starts_with("SCAN")
        && !PARTIAL.iter().any(|index| step.contains(&format!("INDEX {index}")))
        // A table of the statement itself: `(subquery-1)`.
        && !step.contains("subquery")
}

#[tokio::test]
async fn what_runs_on_every_tick_reads_its_partial_index_and_walks_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
    for (sql, indexes) in [
        (DUE, &["task_next_look"][..]),
        (NEXT_LOOK, &["task_next_look"]),
        (NEXT_MOVE, &["reminder_planned", "message_due"]),
        (READY, &["reminder_planned"]),
        (PENDING, &["message_due"]),
        (PAGE, &[]),
        (policy::AT, &["policy_by_time"]),
    ] {
        let steps = steps(&store, sql).await;
        for index in indexes {
            assert!(steps.iter().any(|step| step.contains(&format!("INDEX {index}"))), "{sql}: {steps:?}");
        }
        let walks: Vec<_> = steps.iter().filter(|step| walks_a_table(step)).collect();
        assert!(walks.is_empty(), "{sql}: {walks:?}");
    }
    // The check sees a walk where there is one.
    let walk = steps(&store, "SELECT id FROM task WHERE note = 'x'").await;
    assert!(walk.iter().any(|step| walks_a_table(step)), "{walk:?}");
}

#[tokio::test]
async fn what_the_figures_count_is_read_from_indexes_that_hold_nothing_else() {
    const SMALL: [&str; 11] = [
        "INDEX task_next_look",
        "INDEX task_held",
        "INDEX message_due",
        "INDEX message_leased",
        "INDEX message_stuck",
        "INDEX file_export_unwritten",
        // The list of those not reached is short, and each line asks for its own task and duties by their keys.
        "SCAN u",
        "SEARCH t USING INTEGER PRIMARY KEY (rowid=?)",
        "SEARCH o USING PRIMARY KEY (task=?)",
        // One row.
        "SCAN h",
        "SCAN CONSTANT ROW",
    ];
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
    let steps = steps(&store, COUNTS).await;
    let reads = |step: &&String| step.starts_with("SCAN") || step.starts_with("SEARCH");
    let large: Vec<_> =
        steps.iter().filter(reads).filter(|step| !SMALL.iter().any(|small| step.contains(small))).collect();
    assert!(large.is_empty(), "{large:?} of {steps:?}");
    assert!(steps.iter().any(|step| step.contains("task_held")), "{steps:?}");
}
