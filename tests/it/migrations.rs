//! A database of an earlier version, with an office's rows in it, comes to this program's schema with nothing lost; on
//! SQLite and on PostgreSQL.

use std::{collections::BTreeMap, path::Path};

use dondoc::{
    planning::{rules::ChannelKind, task::TaskId},
    store::{Store, postgres::PostgresStore, sqlite::SqliteStore},
};
use jiff::Timestamp;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, SqlSafeStr, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::SqliteConnectOptions,
};

use crate::postgres::server;

/// The last schema before tasks had revisions and letters had parts.
const OLD: i64 = 7;

/// What came into the tables since.
const NEW: [(&str, &[&str]); 2] = [("task", &["revision"]), ("message", &["part", "parts", "sender", "company"])];

/// The tables that hold the rows below.
const TABLES: [&str; 9] =
    ["agency", "person", "task", "obligation", "message", "letter", "reminder", "attempt", "mark"];

/// An office as the old program left it: messages in each state a stop may leave, one with its bytes in its own row as the
/// oldest programs kept them.
const ROWS: &str = "\
    INSERT INTO agency (id, code, name, block, kind, active) VALUES (1, 'SNV', 'Sở Nội vụ', 'state', 'Sở', true); \
    INSERT INTO person (id, name, folded, email) VALUES (1, 'Trần Văn A', 'tran van a', 'a@x.example'); \
    INSERT INTO task (id, code, work, assigner_block, urgency, secrecy, state, state_since, lead, handler, known_at, next_look_at) \
      VALUES (1, 'NV26-000001', 'Rà soát quy hoạch', 'state', 'normal', 'open', 'in_progress', 5, 1, 1, 5, 90), \
             (2, 'NV26-000002', 'Lập báo cáo', 'state', 'urgent', 'open', 'done', 6, 1, NULL, 5, NULL); \
    INSERT INTO obligation (task, clock, agency, role, due_date, arming, armed_at, armed_by) \
      VALUES (1, 'completion', 1, 'lead', '2026-12-15', 1, 5, 'entered'), (2, 'completion', 1, 'lead', NULL, 2, 5, 'extended'); \
    INSERT INTO message (id, channel, address, person, hours, state, reason, attempts, tries, crashes, not_before, expires_at, \
        message_id, dated_at, bytes, unknown_before, lease_token, lease_until, created_at, changed_at) VALUES \
      (1, 'email', 'a@x.example', 1, 'normal', 'pending', '', 1, 2, 1, 10, 999999, NULL, NULL, NULL, false, NULL, NULL, 5, 6), \
      (2, 'email', 'a@x.example', 1, 'normal', 'frozen', '', 0, 1, 0, 10, 999999, '<2@x>', 7, 'B', false, 't2', 40, 5, 6), \
      (3, 'email', 'a@x.example', 1, 'normal', 'sent', '', 0, 1, 0, 10, 999999, '<3@x>', 7, 'the old way', false, NULL, NULL, 5, 6), \
      (4, 'zalo', '0900000000', 1, 'normal', 'unknown', 'answer_lost', 1, 1, 0, 10, 999999, '<4@x>', 7, 'x', true, NULL, NULL, 5, 6), \
      (5, 'email', 'b@x.example', NULL, 'normal', 'dead', 'refused', 1, 1, 4, 10, 999999, NULL, NULL, NULL, false, NULL, NULL, 5, 6); \
    INSERT INTO letter (message, bytes) VALUES (2, 'Subject: x'); \
    INSERT INTO reminder (id, task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at, not_before, state, \
        reason, message, created_at, changed_at) VALUES \
      (1, 1, 'completion', 1, 'ubnd', 'truoc-5', 1, 1, 'handler', 'email', 8, 10, 'in_message', '', 1, 5, 6), \
      (2, 1, 'completion', 1, 'ubnd', 'truoc-3', 1, 1, 'handler', 'email', 9, 10, 'in_message', '', 2, 5, 6), \
      (3, 2, 'completion', 2, 'ubnd', 'truoc-5', 1, 1, 'handler', 'email', 9, 10, 'sent', '', 3, 5, 6), \
      (4, 1, 'completion', 1, 'ubnd', 'den-han', 1, 1, 'handler', 'email', 95, 95, 'planned', '', NULL, 5, 6); \
    INSERT INTO attempt (message, n, token, phase, started_at, ended_at, outcome, code, reply) VALUES \
      (1, 1, 't0', 'answered', 5, 6, 'transient', 451, 'later'), (1, 2, 't1', 'crashed', 5, 6, NULL, NULL, ''), \
      (2, 1, 't2', 'handed_over', 5, NULL, NULL, NULL, ''); \
    INSERT INTO mark (name, value) VALUES ('last_pass', 77)";

/// The migrations of a folder up to the old schema, as the old program applied them.
fn old(of: &str) -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(of);
    let mut steps: Vec<Migration> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let (version, name) = name.split_once('_').unwrap();
            let sql = AssertSqlSafe(std::fs::read_to_string(&path).unwrap()).into_sql_str();
            Migration::new(version.parse().unwrap(), name.to_owned().into(), MigrationType::Simple, sql, false)
        })
        .filter(|step| step.version <= OLD)
        .collect();
    steps.sort_by_key(|step| step.version);
    assert_eq!(steps.len(), 6);
    let mut migrator = Migrator::with_migrations(steps);
    migrator.set_locking(false);
    migrator
}

/// What the program makes of the rows once they are migrated.
async fn goes_on(store: &dyn Store) {
    let millis = |at| Timestamp::from_millisecond(at).unwrap();
    let task = store.tasks(&[TaskId(1)]).await.unwrap().remove(0);
    assert_eq!((task.revision, task.task.code.as_str()), (0, "NV26-000001"));
    store.push(&[(TaskId(1), 0)], millis(91)).await.unwrap();
    assert_eq!(store.tasks(&[TaskId(1)]).await.unwrap()[0].revision, 1, "a change is counted");
    // The crash of the old program, by the lease that it had taken.
    assert_eq!(store.rescue(millis(50)).await.unwrap().unanswered, 1);
    let pending = store.pending(ChannelKind::Email, millis(60), 9).await.unwrap();
    let crashes: BTreeMap<i64, (u32, bool)> =
        pending.iter().map(|head| (head.id, (head.crashes, head.frozen))).collect();
    assert_eq!(crashes, BTreeMap::from([(1, (1, false)), (2, (1, true))]));
    let claimed = store.claim(millis(60), millis(99), &[1, 2]).await.unwrap();
    let told: Vec<_> = claimed.iter().map(|c| (c.id, c.n, c.part.n, c.part.of, c.rows.len())).collect();
    assert_eq!(told, [(1, 3, 1, 1, 1), (2, 2, 1, 1, 1)]);
    assert_eq!(claimed[1].frozen.as_ref().unwrap().bytes, b"Subject: x");
    assert_eq!(store.message_bytes(3).await.unwrap().unwrap(), b"the old way");
}

#[tokio::test]
async fn a_sqlite_database_of_an_earlier_version_loses_nothing_when_it_is_migrated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dondoc.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true).foreign_keys(true);
    let mut db = SqliteConnection::connect_with(&options).await.unwrap();
    old("sqlite").run_direct(None, &mut db, false).await.unwrap();
    // There bytes are not text.
    let rows = ROWS
        .replace("'B'", "x'01'")
        .replace("'the old way'", "CAST('the old way' AS BLOB)")
        .replace("'x', true", "x'78', true");
    let rows = rows.replace("'Subject: x'", "CAST('Subject: x' AS BLOB)");
    sqlx::raw_sql(AssertSqlSafe(rows)).execute(&mut db).await.unwrap();
    let mut statements = BTreeMap::new();
    for table in TABLES {
        let columns: Vec<String> = sqlx::query_scalar("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info($1)")
            .bind(table)
            .fetch_all(&mut db)
            .await
            .unwrap();
        statements.insert(table, format!("SELECT json_array({}) FROM {table} ORDER BY 1", columns.join(", ")));
    }
    let all = async |db: &mut SqliteConnection| {
        let mut found = Vec::new();
        for (table, statement) in &statements {
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(statement.clone())).fetch_all(&mut *db).await.unwrap();
            assert!(!rows.is_empty(), "{table}");
            found.extend(rows.into_iter().map(|row| format!("{table} {row}")));
        }
        found
    };
    let before = all(&mut db).await;
    let store = SqliteStore::open(&format!("sqlite:{}", file.display())).await.unwrap();
    assert_eq!(all(&mut db).await, before);
    db.close().await.unwrap();
    goes_on(&store).await;
}

#[tokio::test]
async fn a_postgresql_database_of_an_earlier_version_loses_nothing_when_it_is_migrated() {
    let Some(server) = server::shared() else { return };
    let database = server.database();
    let mut db = PgConnection::connect(&database.url).await.unwrap();
    old("postgres").run_direct(None, &mut db, false).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(ROWS.replace("'B'", "'\\x01'"))).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let all = || {
        let mut found = Vec::new();
        for table in TABLES {
            let new = NEW.iter().find(|(of, _)| *of == table).map_or(String::new(), |(_, new)| new.join(","));
            let rows = database.sql(&format!(
                "SELECT CAST(to_jsonb(r) - string_to_array('{new}', ',') AS TEXT) FROM {table} r ORDER BY 1"
            ));
            assert!(!rows.is_empty(), "{table}");
            found.extend(rows.into_iter().map(|row| format!("{table} {row:?}")));
        }
        found
    };
    let before = all();
    assert!(before.iter().all(|row| !row.contains("revision") && !row.contains("parts")), "it is the old schema");
    let store = PostgresStore::open(&database.url, None).await.unwrap();
    assert_eq!(all(), before);
    goes_on(&store).await;
    store.close().await;
}
