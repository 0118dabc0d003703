//! Bytes of the database flipped or cut off: refused when it is opened, found by `db check`, or without effect on what is
//! read.
//!
//! SQLite keeps no checksum of its pages, so one thing cannot be found and is measured here instead: a flipped bit inside
//! one value that no key, index, constraint, hash or promise of the ledger covers. It stays that one value.

use std::{collections::BTreeMap, fs, path::Path};

use dondoc::{inspection::verify::verify, store::sqlite::SqliteStore};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{
    life::row,
    world::{PATIENCE, World, local},
};
use crate::dice::{Dice, asked};

/// Flips in an ordinary run; `DONDOC_FLIPS` asks for more.
const FLIPS: u64 = 150;

/// Table -> its rows, each value quoted; `sqlite_master` too. `Err`: it cannot be read.
type Content = BTreeMap<String, Vec<Vec<String>>>;

async fn content(path: &Path) -> Result<Content, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
    let mut db = SqliteConnection::connect_with(&options).await?;
    let mut tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
            .fetch_all(&mut db)
            .await?;
    tables.push("sqlite_master".into());
    let mut content = Content::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1) ORDER BY cid")
            .bind(&table)
            .fetch_all(&mut db)
            .await?;
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
        let statement = format!("SELECT json_array({}) FROM \"{table}\" NOT INDEXED", quoted.join(", "));
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut db).await?;
        let rows = rows.iter().map(|row| serde_json::from_str(row).unwrap_or_else(|_| vec![row.clone()])).collect();
        content.insert(table, rows);
    }
    db.close().await?;
    Ok(content)
}

/// What became of a damaged file.
#[derive(Debug, PartialEq)]
enum Seen {
    Refused,
    Found,
    /// It reads as before.
    Same,
    /// Table and column numbers of the values that read otherwise without anything being said.
    Silent(Vec<(String, usize)>),
}

async fn look(path: &Path, whole: &Content) -> Seen {
    let Ok(store) = SqliteStore::open_read_only(path).await else { return Seen::Refused };
    let checked = store.check().await;
    let register = verify(&store).await;
    store.close().await;
    match (checked, register) {
        (Err(_), _) => return Seen::Refused,
        (Ok(report), register) => {
            if !report.faults.is_empty() || report.schema != report.known || !register.is_ok_and(|register| register.ok)
            {
                return Seen::Found;
            }
        }
    }
    match content(path).await {
        // Reading is refused where the value is.
        Err(_) => Seen::Refused,
        Ok(now) if now == *whole => Seen::Same,
        Ok(now) => {
            assert_eq!(now.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>(), "tables came or went unseen");
            let mut values = Vec::new();
            for (table, rows) in &now {
                let before = &whole[table];
                assert_eq!(rows.len(), before.len(), "{table}: rows came or went unseen");
                for (row, before) in rows.iter().zip(before) {
                    values.extend((0..row.len()).filter(|n| row[*n] != before[*n]).map(|n| (table.clone(), n)));
                }
            }
            Seen::Silent(values)
        }
    }
}

#[test]
fn damage_is_refused_found_or_without_effect_and_never_more_than_one_bare_value() {
    let Some(world) = World::at("2026-11-22T20:00:00") else { return };
    world.json(&["import", "directory", concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")]);
    fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
    world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    world.set(local("2026-12-07T09:00:00"));
    assert_eq!(world.dondoc(&["run", "--once"]).code, 0);
    assert_eq!(world.json(&["notice", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(world.json(&["db", "check"])["faults"], json!([]));
    let whole = fs::read(world.path("dondoc.db")).unwrap();

    let mut dice = Dice::printed();
    let seed = dice.0;
    let flips = asked("DONDOC_FLIPS").unwrap_or(FLIPS);
    let path = world.path("damaged.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut silent: BTreeMap<String, u64> = BTreeMap::new();
    runtime.block_on(async {
        fs::write(&path, &whole).unwrap();
        let content = content(&path).await.unwrap();
        assert_eq!(look(&path, &content).await, Seen::Same);
        for n in 0..flips + 20 {
            let mut bytes = whole.clone();
            let what = if n < flips {
                let (at, bit) = (dice.below(whole.len()), dice.below(8));
                bytes[at] ^= 1 << bit;
                format!("seed {seed}: bit {bit} of byte {at}")
            } else {
                bytes.truncate(dice.below(whole.len()));
                format!("seed {seed}: cut to {}", bytes.len())
            };
            fs::write(&path, &bytes).unwrap();
            let seen = look(&path, &content).await;
            match &seen {
                Seen::Refused => *counts.entry("refused").or_default() += 1,
                Seen::Found => *counts.entry("found").or_default() += 1,
                Seen::Same => *counts.entry("no effect").or_default() += 1,
                Seen::Silent(values) => {
                    assert!(values.len() == 1 && n < flips, "{what}: {values:?}");
                    let (table, column) = &values[0];
                    // What evidence and the ledger's states are made of is always covered.
                    let covered = ["register", "register_head", "personal_data", "notice_number", "sqlite_master"];
                    assert!(!covered.contains(&table.as_str()), "{what}: {table} {column}");
                    *counts.entry("one bare value").or_default() += 1;
                    *silent.entry(format!("{table}.{column}")).or_default() += 1;
                }
            }
            if n >= flips {
                assert!(matches!(seen, Seen::Refused | Seen::Found), "{what}: {seen:?}");
            }
        }
    });
    #[expect(clippy::print_stdout, reason = "shown with --nocapture, and when the test fails")]
    {
        println!("{} bytes, seed {seed}: {counts:?}; bare values: {silent:?}", whole.len());
    }
    assert!(counts["found"] + counts["refused"] > 10, "{counts:?}");
}

/// Rounds of damage to the log, of which the first two are the same in every run.
const LOGS: u64 = 5;

/// For SQLite the log beside the database ends where its checksums no longer fit: damage there takes back the last
/// commits, and nothing in either file says so.
#[test]
fn a_log_spoilt_after_a_kill_loses_no_letter_and_is_held_where_it_goes_back_before_the_last_sending() {
    let mut dice = Dice::printed();
    let (mut held, mut again, mut all) = (Vec::new(), 0, None);
    for round in 0..LOGS {
        let Some(world) = World::at("2026-11-22T20:00:00") else { return };
        world.json(&["import", "directory", concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")]);
        fs::write(world.path("tasks.csv"), row("Đang thực hiện", "")).unwrap();
        world.json(&["import", "tasks", "tasks.csv", "--yes"]);
        // Letters left before: one from which nothing was ever sent has nothing to be compared by.
        world.set(local("2026-11-23T09:00:00"));
        assert_eq!(world.dondoc(&["run", "--once"]).code, 0);
        let before = world.mail.journal().len();
        assert!(before > 0 && !world.path("dondoc.db-wal").exists());
        world.set(local("2026-11-30T09:00:00"));
        let daemon = world.run();
        // In the middle of a sending pass: its end is one more thing to be compared.
        world.mail.wait_for(before + 2, PATIENCE);
        daemon.kill();
        let sent = world.mail.journal().len();
        let log = world.path("dondoc.db-wal");
        let mut bytes = fs::read(&log).unwrap();
        assert!(bytes.len() > 10_000, "what a kill leaves is in the log: {}", bytes.len());
        let at = dice.below(bytes.len());
        match round {
            0 => bytes.clear(),
            1 => bytes.truncate(bytes.len() - 1),
            2 => bytes.truncate(at),
            _ => bytes[at] ^= 1 << dice.below(8),
        }
        fs::write(&log, &bytes).unwrap();
        let once = world.dondoc(&["run", "--once"]);
        if once.code != 0 {
            let line = once.last_line();
            assert!(
                line.contains("dondoc instance adopt") && line.contains("older than the file beside it"),
                "{once:?}"
            );
            assert_eq!(world.mail.journal().len(), sent, "held, and sent");
            held.push(round);
            continue;
        }
        // It goes on from an earlier state: nothing is lost, and no letter goes out a third time.
        let mails = world.mail.journal();
        let mut copies: BTreeMap<_, usize> = BTreeMap::new();
        mails[before..].iter().for_each(|mail| *copies.entry((&mail.to, mail.header("Subject"))).or_default() += 1);
        assert!(copies.values().all(|n| *n <= 2), "{copies:?}");
        let told: Vec<String> = copies.keys().map(|(to, subject)| format!("{to:?} {subject:?}")).collect();
        assert_eq!(&told, all.get_or_insert_with(|| told.clone()), "each goes to all");
        again += mails[sent..].iter().filter(|mail| mail.header("X-Dondoc-Repeat").is_none()).count();
        assert_eq!(world.json(&["db", "check"])["faults"], json!([]));
        assert_eq!(world.json(&["outbox", "list"]), json!([]), "nothing is left");
    }
    #[expect(clippy::print_stdout, reason = "shown with --nocapture, and when the test fails")]
    {
        println!("held in rounds {held:?} of {LOGS}; {again} letters went again as new ones");
    }
    assert!(held.contains(&0), "without its log it is older than its neighbour");
}
