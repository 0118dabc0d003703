//! How PostgreSQL goes about what the suite asks: on a database with a history, no statement reads a growing table from
//! end to end. The server itself says how it did it (`auto_explain`), also for the look-ups behind foreign keys.

use std::sync::{Arc, OnceLock};

use dondoc::store::{Store, intake::IntakeStore, postgres::PostgresStore};
use jiff::Timestamp;
use serde_json::Value;

use super::{Database, office::at, postgres::TEST_CLOCK};
use crate::{
    postgres::server::{self, Server},
    statements::judge::GROWING,
};

/// Indexes that hold only what waits, or, the last, what names a message whose answer was lost: they may be walked to their
/// end.
const SMALL: [&str; 8] = [
    "task_next_look",
    "task_held",
    "reminder_planned",
    "message_due",
    "message_leased",
    "message_stuck",
    "file_export_unwritten",
    "message_by_earlier",
];

/// Statements of commands that people call now and then, never of the running daemon: what they begin with.
const BY_HAND: [&str; 6] = [
    // `outbox list`
    "SELECT m.id, m.channel, m.address, m.state, m.reason, m.attempts",
    // `task list`
    "SELECT t.id, t.code, t.work, t.state, t.held, t.completed_on",
    // An import gives new tasks their numbers: the last one is the index's last entry.
    "SELECT coalesce(max(id), 0) + 1 FROM task",
    // `explain MESSAGE-ID`
    "SELECT m.* FROM message m WHERE m.id = $1 OR m.message_id = $2",
    // What the suite itself asks of its database.
    "UPDATE test_clock",
    // An import that makes a task a secret of the State.
    "DELETE FROM document WHERE id NOT IN",
];

/// A past of tasks that are done and messages that are over, under numbers above all that a test makes.
const HISTORY: &str = "\
    SET auto_explain.log_min_duration = -1; SET session_replication_role = replica; \
    INSERT INTO document (id, symbol_folded, issuer_folded, year) SELECT 1000000 + n, 'd' || n, 'ubnd', 2020 FROM generate_series(1, 2000) n; \
    INSERT INTO task (id, code, document, work, assigner_block, urgency, secrecy, state, state_since, lead, fingerprint, row_digest, known_at) \
      SELECT n, 'ZZ' || n, 1000000 + (n % 2000) + 1, repeat('x', 300), 'state', 'normal', 'open', 'done', 0, 101 + n % 60, 'f' || n, '', 0 FROM generate_series(1, 10000) n; \
    INSERT INTO obligation (task, clock, agency, role, due_date, arming, armed_at, armed_by) \
      SELECT n, 'completion', 101 + n % 60, 'lead', '2020-01-01', 1, 0, 'entered' FROM generate_series(1, 10000) n; \
    INSERT INTO task_coordinator (task, agency) SELECT n, 101 + (n + 7) % 60 FROM generate_series(1, 10000) n; \
    INSERT INTO task_event (id, task, what, learnt_at, by_whom) SELECT 1000000 + n, 1 + n % 10000, 'state', 0, 'x' FROM generate_series(1, 20000) n; \
    INSERT INTO message (id, channel, address, hours, state, not_before, expires_at, message_id, bytes, tries, created_at, changed_at) \
      SELECT 1000000 + n, 'email', 'a' || n % 500 || '@x.example', 'h', 'suppressed', 0, 0, '<' || n || '@x>', 'x'::bytea, 1, 0, 0 FROM generate_series(1, 20000) n; \
    INSERT INTO letter (message, bytes) SELECT 1000000 + n, 'x'::bytea FROM generate_series(1, 20000) n; \
    INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at, not_before, state, message, created_at, changed_at) \
      SELECT 1000000 + n, 1 + n % 10000, 'completion', 1, 'ubnd', 's' || n / 10000, 1, 101 + n % 60, 'handler', 'email', 0, 0, 'sent', 1000000 + n, 0, 0 FROM generate_series(1, 20000) n; \
    INSERT INTO attempt (message, n, token, phase, started_at) SELECT 1000000 + n, 1, 't' || n, 'answered', 0 FROM generate_series(1, 20000) n; \
    INSERT INTO daily_count (address, channel, day, n) SELECT 'a' || n || '@x.example', 'email', '2020-01-01', 1 FROM generate_series(1, 10000) n; \
    INSERT INTO contact_log (task, clock, agency, at, form, by_whom) SELECT n, 'completion', 101, 0, 'fax', 'x' FROM generate_series(1, 10000) n; \
    INSERT INTO extension (task, clock, recorded_at) SELECT n, 'completion', 0 FROM generate_series(1, 10000) n; \
    INSERT INTO register (seq, kind, at, format, prev, fields, hash) SELECT -n, 'notice', 0, 1, '', 'x'::bytea, 'h' || n FROM generate_series(1, 10000) n; \
    INSERT INTO personal_data (seq, field, salt, value) SELECT -n, '/head', 'x'::bytea, 'A' FROM generate_series(1, 10000) n; \
    INSERT INTO notice (id, year, number, task, clock, arming, agency, rule, step, occurrence, due_at, filed_at, facts, facts_hash, seq) \
      SELECT -n, 2020, n, n, 'completion', 1, 101, 'ubnd', 's', 1, 0, 0, repeat('{}', 200), '', -n FROM generate_series(1, 10000) n; \
    INSERT INTO file_export (notice, kind, path, hash, written_at) SELECT -n, 'html', '', '', 0 FROM generate_series(1, 10000) n; \
    ANALYZE";

/// A server that writes down how it did everything.
fn telling() -> Option<&'static Server> {
    static TELLING: OnceLock<Option<Server>> = OnceLock::new();
    let settings = [
        "shared_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_format = json",
        "auto_explain.log_nested_statements = on",
        // As for any disk without moving parts. Ten thousand rows are few for the dearer look-ups of the default; a
        // million are not.
        "random_page_cost = 1.1",
        "autovacuum = off",
    ];
    TELLING.get_or_init(|| server::own(&settings)).as_ref()
}

struct Old {
    database: server::Database<'static>,
    store: Arc<PostgresStore>,
}

impl Database for Old {
    async fn fresh() -> Self {
        let server = telling().expect("asked for only where there is one");
        let database = server.copy_of("history", |url| {
            super::postgres::migrate(url);
            server.sql("history", TEST_CLOCK);
            server.sql("history", HISTORY);
        });
        let store = Arc::new(PostgresStore::open(&database.url, None).await.unwrap());
        let fresh = Self { database, store };
        fresh.clock(at(0)).await;
        fresh
    }

    async fn reopen(&mut self) {
        self.store.close().await;
        self.store = Arc::new(PostgresStore::open(&self.database.url, None).await.unwrap());
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn intake(&self) -> &dyn IntakeStore {
        &*self.store
    }

    async fn clock(&self, now: Timestamp) {
        self.database.sql(&format!("UPDATE test_clock SET at = {}", now.as_millisecond()));
    }
}

/// Every (statement, plan) in a server's log.
fn told(log: &str) -> Vec<(String, Value)> {
    log.split(" plan:\n")
        .skip(1)
        .filter_map(|rest| {
            let plan = serde_json::Deserializer::from_str(rest).into_iter::<Value>().next()?.ok()?;
            let text = plan["Query Text"].as_str()?.split_whitespace().collect::<Vec<_>>().join(" ");
            Some((text, plan["Plan"].clone()))
        })
        .collect()
}

/// Walks through a whole growing table in a plan: `node on table`.
fn walks(plan: &Value, found: &mut Vec<String>) {
    let text = |key: &str| plan[key].as_str().unwrap_or_default();
    let (node, table, index) = (text("Node Type"), text("Relation Name"), text("Index Name"));
    let whole = match node {
        "Seq Scan" => true,
        "Index Scan" | "Index Only Scan" => plan["Index Cond"].is_null() && !SMALL.contains(&index),
        _ => false,
    };
    if whole && GROWING.contains(&table) {
        found.push(format!("{node} on {table} {index}"));
    }
    for part in plan["Plans"].as_array().into_iter().flatten() {
        walks(part, found);
    }
}

#[tokio::test]
async fn no_statement_reads_a_growing_table_from_end_to_end() {
    let Some(server) = telling() else { return };
    let before = server.log().len();
    super::everything::<Old>().await;
    let log = server.log().split_off(before);
    let told = told(&log);
    let mut faults: Vec<String> = Vec::new();
    for (statement, plan) in &told {
        let mut found = Vec::new();
        walks(plan, &mut found);
        let ours = !BY_HAND.iter().any(|start| statement.starts_with(start));
        // What prepared the history and the copies is the test's own.
        let prepared = statement.contains("generate_series") || statement.starts_with("ALTER TABLE");
        if ours && !prepared && !found.is_empty() {
            faults.push(format!("{found:?}: {statement}"));
        }
    }
    faults.sort();
    faults.dedup();
    assert!(faults.is_empty(), "{} statements:\n{}", faults.len(), faults.join("\n"));
    // The judge has seen the daemon's work, and would see a walk.
    let statements: std::collections::HashSet<&str> = told.iter().map(|(statement, _)| statement.as_str()).collect();
    assert!(statements.len() > 80, "only {} statements were told of", statements.len());
    let walk = serde_json::json!({"Node Type": "Limit", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "task"}]});
    let mut found = Vec::new();
    walks(&walk, &mut found);
    assert_eq!(found.len(), 1);
}
