//! EXPLAIN of everything: no statement of the running daemon reads a table that grows from end to end.
//!
//! The statements are those the program really runs: a process of its own plays every story of `tests/scenarios` and the
//! daemon's housekeeping, and notes each text that the driver logs ([`collect`]). What stands in the sources and was not
//! seen must be named here as no business of the daemon's ([`source`]), so that a new statement cannot slip by. Judging
//! a plan is apart from collecting ([`judge`]). How PostgreSQL goes about it is told by the server itself, in the contract
//! suite (`contract/plans.rs`), by the same list of tables.

mod collect;
pub mod judge;
mod source;

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

/// Statements that no daemon runs: (file, how they begin, whose they are). One of them that does run is judged like all
/// others.
const NOT_OF_THE_DAEMON: &[(&str, &str, &str)] = &[
    ("acts.rs", "SELECT t.id, t.code, t.work, t.state", "`task list`"),
    ("intake.rs", "", "the import: a person waits for it"),
    ("intake_directory.rs", "", "the import"),
    ("register.rs", "UPDATE notice SET withdrawn_seq", "`notice withdraw`"),
];

const COUNTS: &str = "SELECT (SELECT count(*) FROM task WHERE next_look_at IS NOT NULL)";
const SENT_ON: &str = "SELECT channel, address, CAST(sum(n) AS BIGINT)";
const ORPHANS: &str = "DELETE FROM document WHERE id NOT IN";
const IMPORTED: &str = "an import that makes a task a secret of the State, while a person waits for it";
const COUNTED: &str = "the figures count just these, in an index that holds nothing else";
const ALL_OF_THEM: &str = "all that waits or is under way is wanted, and the index holds nothing else";
const ASKED: &str = "a person asks for it by hand";
const COPY: &str = "once, when somebody takes a copy over";

/// Walks that are right: (how the statement begins, the step of its plan, why).
const RIGHT: &[(&str, &str, &str)] = &[
    (COUNTS, "SCAN task USING INDEX task_held", COUNTED),
    (COUNTS, "SCAN message USING INDEX message_leased", COUNTED),
    (COUNTS, "SCAN file_export USING INDEX file_export_unwritten", COUNTED),
    (ORPHANS, "SCAN document", IMPORTED),
    (ORPHANS, "SCAN task", IMPORTED),
    (SENT_ON, "SCAN message USING INDEX message_due", ALL_OF_THEM),
    (SENT_ON, "SCAN message USING INDEX message_leased", ALL_OF_THEM),
    ("SELECT EXISTS (SELECT 1 FROM message WHERE state IN", "SCAN message USING INDEX message_leased", ALL_OF_THEM),
    (
        "SELECT id, state = 'frozen' AS frozen, lease_token, crashes",
        "SCAN message USING INDEX message_leased",
        ALL_OF_THEM,
    ),
    ("UPDATE message SET not_before = $1 WHERE state = 'pending'", "SCAN message USING INDEX message_due", ALL_OF_THEM),
    (
        "INSERT INTO register (seq, kind, at, format, prev, fields, hash) SELECT",
        "SCAN notice",
        "the foreign keys' own look for children, which SQLite leaves out while nothing is violated (OP_FkIfZero)",
    ),
    ("SELECT m.* FROM message m WHERE m.id = $1 OR m.message_id = $2", "SCAN m", ASKED),
    ("SELECT m.* FROM message m WHERE m.id = $1 OR m.message_id = $2", "SCAN a", ASKED),
    ("SELECT m.id, m.channel, m.address, m.state, m.reason", "SCAN m", ASKED),
    ("SELECT id FROM message WHERE state IN", "SCAN message USING INDEX message_leased", COPY),
    ("SELECT count(*) FROM message WHERE (state = 'pending'", "SCAN message", COPY),
    ("UPDATE message SET state = CASE WHEN bytes IS NULL THEN 'dead' ELSE 'unknown' END", "SCAN message", COPY),
    (
        "UPDATE attempt SET phase = 'crashed', ended_at = $1 WHERE ended_at IS NULL",
        "SCAN message USING INDEX message_leased",
        COPY,
    ),
    (
        "UPDATE reminder SET state = 'suppressed', reason = 'copy', changed_at = $1",
        "SCAN reminder USING INDEX reminder_planned",
        COPY,
    ),
];

/// The steps of a statement's plan on SQLite.
async fn steps(db: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(db).await;
    rows.unwrap_or_else(|error| panic!("{error} in {sql}")).iter().map(|row| row.get("detail")).collect()
}

/// A database with the schema.
async fn database(folder: &tempfile::TempDir) -> SqliteConnection {
    let path = folder.path().join("a.db");
    let store = dondoc::store::sqlite::SqliteStore::open(&format!("sqlite:{}", path.display())).await.unwrap();
    store.close().await;
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

#[tokio::test]
async fn no_statement_of_the_running_daemon_walks_a_table_that_grows() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = database(&folder).await;
    let literals = source::literals();
    let (mut walks, mut used, mut judged) = (Vec::new(), BTreeSet::new(), 0);
    for sql in collect::seen() {
        // The stories' own look at the tables is none of the program's.
        if !literals.iter().any(|literal| literal.is_in(sql)) {
            continue;
        }
        judged += 1;
        for step in steps(&mut db, sql).await {
            // What an INSERT hands back is shown as a scan of its one new row.
            let handed_back = sql.starts_with("INSERT") && sql.contains("RETURNING") && !step.contains("USING");
            if handed_back || judge::sqlite_walks(sql, &step).is_none() {
                continue;
            }
            match RIGHT.iter().position(|(begins, at, _)| sql.starts_with(begins) && step == *at) {
                Some(right) => _ = used.insert(right),
                None => walks.push(format!("{step}\n    in {sql}")),
            }
        }
    }
    assert!(judged >= 80, "only {judged} statements were seen: the daemon was not run");
    assert!(walks.is_empty(), "{} walks:\n{}", walks.len(), walks.join("\n"));
    let stale: Vec<_> = RIGHT.iter().enumerate().filter(|(n, _)| !used.contains(n)).map(|(_, right)| right.0).collect();
    assert!(stale.is_empty(), "excused, and not there any more: {stale:?}");
}

#[test]
fn every_statement_in_the_sources_was_run_or_is_no_business_of_the_daemon() {
    let (seen, literals) = (collect::seen(), source::literals());
    assert!(literals.len() > 100, "{} statements: the sources were not read", literals.len());
    let unseen: Vec<_> = literals.iter().filter(|literal| !seen.iter().any(|sql| literal.is_in(sql))).collect();
    let named = |literal: &source::Literal| {
        NOT_OF_THE_DAEMON.iter().position(|(file, begins, _)| literal.file == *file && literal.text.starts_with(begins))
    };
    let missing: Vec<String> =
        unseen.iter().filter(|l| named(l).is_none()).map(|l| format!("{}: {}", l.file, l.text)).collect();
    assert!(missing.is_empty(), "{} never ran and are not named:\n{}", missing.len(), missing.join("\n"));
    let used: BTreeSet<_> = unseen.iter().filter_map(|literal| named(literal)).collect();
    let stale: Vec<_> = NOT_OF_THE_DAEMON
        .iter()
        .enumerate()
        .filter(|(n, _)| !used.contains(n))
        .map(|(_, named)| (named.0, named.1))
        .collect();
    assert!(stale.is_empty(), "named, but run or gone: {stale:?}");
}

/// A check that lets everything pass would pass everything.
#[tokio::test]
async fn a_walk_is_seen_where_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut db = database(&folder).await;
    for (sql, table) in [
        ("SELECT id FROM task WHERE note = 'x'", Some("task")),
        ("SELECT t.id FROM task t WHERE t.note = 'x'", Some("task")),
        ("SELECT 1 FROM agency a JOIN reminder AS r ON r.agency = a.id", Some("reminder")),
        ("UPDATE message SET reason = '' WHERE address = $1", Some("message")),
        ("DELETE FROM attempt WHERE outcome = 'x'", Some("attempt")),
        ("SELECT count(*) FROM task WHERE held <> ''", Some("task")),
        ("SELECT id FROM task WHERE id = 1", None),
        ("SELECT name FROM agency", None),
        ("SELECT id FROM task WHERE id IN (SELECT value FROM json_each($1))", None),
    ] {
        let steps = steps(&mut db, sql).await;
        let found = steps.iter().find_map(|step| judge::sqlite_walks(sql, step));
        assert_eq!(found, table, "{sql}: {steps:?}");
    }
}
