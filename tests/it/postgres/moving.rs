//! `dondoc db move`: everything goes along, nothing is sent again, and at no moment do two databases send.

use std::{collections::BTreeSet, time::Duration};

use dondoc::{
    planning::task::TaskId,
    store::{
        Address, StoreError,
        acts::{self, By, ContactForm},
        postgres::PostgresStore,
        sqlite::SqliteStore,
    },
};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use super::{
    fleet::{CONNECTIONS, Fleet, strikes, tasks},
    server,
};
use crate::dice::{Dice, say};
use crate::sink::smtp::{Act, Fault, Point};

/// What a SQLite database holds: the rows of a statement, as text.
fn rows_of(path: &std::path::Path, statement: &'static str) -> Vec<Vec<String>> {
    use sqlx::Row;
    let url = format!("sqlite:{}", path.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let rows = sqlx::query(statement).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| (0..row.len()).map(|n| row.try_get_unchecked(n).unwrap()).collect()).collect()
    })
}

const COLUMNS: &str = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c \
     WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND t.name <> '_sqlx_migrations' ORDER BY 1, 2";

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let Some(server) = server::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dondoc.db");
    let database = server.database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        SqliteStore::open(&format!("sqlite:{}", path.display())).await.unwrap().close().await;
        PostgresStore::open(&database.url, None).await.unwrap().close().await;
    });
    let here = rows_of(&path, COLUMNS);
    assert!(here.len() > 150, "an empty list proves nothing");
    let there: Vec<Vec<String>> = database
        .sql(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() \
             AND table_name <> '_sqlx_migrations' ORDER BY table_name COLLATE \"C\", column_name COLLATE \"C\"",
        )
        .into_iter()
        .map(|row| row.into_iter().flatten().collect())
        .collect();
    let (here, there): (BTreeSet<_>, BTreeSet<_>) = (here.into_iter().collect(), there.into_iter().collect());
    let only_here: Vec<_> = here.difference(&there).collect();
    let only_there: Vec<_> = there.difference(&here).collect();
    assert!(
        only_here.is_empty() && only_there.is_empty(),
        "only SQLite: {only_here:?}; only PostgreSQL: {only_there:?}"
    );
}

#[test]
fn half_a_morning_here_and_half_there_and_every_letter_once() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    const TASKS: usize = 160;
    // Overdue, so that there are notices; one title holds what PostgreSQL would not take.
    fleet.import(&tasks(0, TASKS, -40, "Đang thực hiện"));
    machine.mail.fault(Fault::at(Point::Dot, Act::Late(Duration::from_millis(40))));
    let daemon = machine.run();
    machine.mail.wait_for(TASKS / 2, crate::e2e::world::PATIENCE);
    let url = fleet.database.url.clone();
    let refused = machine.dondoc(&["db", "move", &url]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.last_line().contains(&format!("process {}", daemon.pid())), "{refused:?}");
    daemon.kill();
    // What was on its way at the kill is taken all the same.
    assert!(machine.mail.wait_closed(crate::e2e::world::PATIENCE));
    let frozen = machine.json(&["outbox", "list", "--state", "frozen"]).as_array().unwrap().len();
    let sent_here = machine.mail.taken();
    assert!(sent_here < TASKS - CONNECTIONS, "there is something left to send");
    // One of the letters was the second of three parts.
    let parted = "UPDATE message SET part = 2, parts = 3 WHERE id = (SELECT min(id) FROM message WHERE state = 'sent') RETURNING ''";
    assert_eq!(rows_of(&machine.path("dondoc.db"), parted).len(), 1);
    let verified = machine.json(&["register", "verify"]);
    let (numbers, counts) = (numbers(&machine.path("dondoc.db")), counts(&machine.path("dondoc.db")));

    let moved = machine.json(&["db", "move", &url]);
    assert_eq!(moved["moved"], true, "{moved}");
    assert_eq!((&moved["register"]["entries"], &moved["register"]["head"]), (&verified["entries"], &verified["head"]));
    assert_eq!(moved["rescued"]["unanswered"], frozen, "{moved}");
    for (table, rows) in counts {
        assert_eq!(moved["tables"][&table], rows, "{table}");
        let there = fleet.database.number(&format!("SELECT count(*) FROM {table}"));
        // The target has the number of the move besides.
        assert_eq!(there, rows + i64::from(table == "meta"), "{table}");
    }

    let parts = "SELECT count(*) FROM message WHERE (part, parts) = (2, 3) AND id = (SELECT min(id) FROM message WHERE state = 'sent')";
    assert_eq!(fleet.database.number(parts), 1);

    // The old one says where it went, and neither sends nor takes anything in.
    let status = machine.json(&["register", "verify"]);
    assert_eq!(status["ok"], true, "it can still be read");
    for call in [&["run", "--once"][..], &["run"], &["import", "tasks", "tasks.csv", "--yes"], &["db", "move", &url]] {
        let refused = machine.dondoc(call);
        assert_eq!(refused.code, 1, "{call:?}: {refused:?}");
        assert!(refused.last_line().contains("was moved to postgres://"), "{call:?}: {refused:?}");
    }
    assert_eq!(machine.mail.taken(), sent_here);

    machine.settle(&url);
    assert_eq!(machine.json(&["register", "verify"]), verified, "byte for byte");
    let listed = machine.json(&["notice", "list"]);
    let listed: Vec<Vec<String>> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|notice| vec![notice["number"].as_str().unwrap().to_owned(), notice["hash"].as_str().unwrap().to_owned()])
        .collect();
    assert_eq!(listed, numbers);
    let daemon = machine.run();
    fleet.wait_ended();
    // New ones get numbers that nobody has.
    fleet.import(&tasks(TASKS, 20, -40, "Đang thực hiện"));
    machine.mail.wait_for(TASKS + 20, crate::e2e::world::PATIENCE);
    fleet.wait_ended();
    daemon.stop();
    let second = fleet.judge(0..TASKS + 20);
    say(&format!("{sent_here} letters before, {frozen} in flight at the kill, {second} second copies"));
    assert!(second <= frozen && fleet.marked() <= frozen, "{second} second copies, {frozen} in flight");
    let verified = machine.json(&["register", "verify"]);
    assert_eq!((&verified["ok"], &verified["entries"]), (&json!(true), &json!(TASKS + 20)));
}

/// (number, hash) of each notice.
fn numbers(path: &std::path::Path) -> Vec<Vec<String>> {
    rows_of(
        path,
        "SELECT printf('%04d/%d', number, year), r.hash FROM notice n JOIN register r ON r.seq = n.seq ORDER BY n.seq",
    )
}

/// Rows by table, of every table there is.
fn counts(path: &std::path::Path) -> Vec<(String, i64)> {
    let names: BTreeSet<String> = rows_of(path, COLUMNS).into_iter().map(|mut row| row.swap_remove(0)).collect();
    let url = format!("sqlite:{}", path.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&url).await.unwrap();
        let mut counts = Vec::new();
        for name in names {
            let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {name}"));
            counts.push((name, sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap()));
        }
        counts
    })
}

#[test]
fn a_target_that_holds_something_is_refused_and_the_source_serves_on() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 10, 3, "Đang thực hiện"));
    let other = Fleet::new(server, 1);
    let refused = machine.dondoc(&["db", "move", &other.database.url]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.last_line().contains("is not empty"), "{refused:?}");
    let refused = machine.dondoc(&["db", "move", "postgres://dondoc@127.0.0.1:1/nowhere"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let refused = machine.dondoc(&["db", "move", "postgres://dondoc:bi-mat@127.0.0.1/dondoc"]);
    assert_eq!((refused.code, refused.err.contains("bi-mat")), (2, false), "{refused:?}");
    let refused = machine.dondoc(&["db", "move", &fleet.database.url, "--cancel"]);
    assert!(refused.code == 1 && refused.last_line().contains("nothing to cancel"), "{refused:?}");
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0, "it serves on");
    fleet.judge(0..10);
    assert_eq!(other.database.number("SELECT count(*) FROM task"), 0);
}

#[test]
fn a_move_torn_off_anywhere_is_finished_by_calling_it_again() {
    let Some(server) = server::shared() else { return };
    let mut dice = Dice::printed();
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    const TASKS: usize = 600;
    fleet.import(&tasks(0, TASKS, -40, "Đang thực hiện"));
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    let counts = counts(&machine.path("dondoc.db"));
    let url = fleet.database.url.clone();
    let (mut torn, mut in_doubt) = (0, 0);
    // Longer and longer, so that the last of them gets through; each in its own way.
    for n in 0..strikes(8) as u64 {
        let mut child = machine.command(&["db", "move", &url]).stderr(std::process::Stdio::null()).spawn().unwrap();
        dice.moment(60 + n * 60);
        let _ = child.kill();
        if child.wait().unwrap().success() {
            break;
        }
        torn += 1;
        // Whatever came of it, never do both serve: either nothing was begun, or the old one is silent.
        let there = server.try_sql(&fleet.database.name, "SELECT count(*) FROM task");
        let filled = there.is_ok_and(|rows| rows[0][0].as_deref() == Some("600"));
        let told = machine.dondoc(&["run", "--once"]);
        assert!(!filled || told.code == 1, "both would send: {told:?}");
        in_doubt += usize::from(told.code == 1);
    }
    // A short run of luck may have completed it already; then it says so.
    let last = machine.dondoc(&["db", "move", &url, "--format", "json"]);
    assert!(last.code == 0 || last.last_line().contains("was moved to"), "{last:?}");
    say(&format!("{torn} times torn off, {in_doubt} of them with the source marked"));
    for (table, rows) in counts {
        // Only what says that it was moved stands in `meta` and `mark`.
        if table != "meta" && table != "mark" {
            assert_eq!(fleet.database.number(&format!("SELECT count(*) FROM {table}")), rows, "{table}");
        }
    }
    machine.settle(&url);
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    assert_eq!(fleet.judge(0..TASKS), 0, "nothing is sent again");
    let verified = machine.json(&["register", "verify"]);
    assert_eq!((&verified["ok"], &verified["entries"]), (&json!(true), &json!(TASKS)));
}

#[test]
fn the_password_stands_where_the_settings_say_and_nothing_is_moved_in_clear() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 3, 3, "Đang thực hiện"));
    let refused = machine.dondoc(&["db", "move", "postgres://dondoc@db.office.example/dondoc"]);
    assert!(refused.code == 2 && refused.err.contains("?sslmode=verify-full"), "{refused:?}");
    let settings = std::fs::read_to_string(machine.path("dondoc.toml")).unwrap();
    let url = "url = \"sqlite:dondoc.db\"";
    let named = settings.replace(url, &format!("{url}\npassword_file = \"mat-khau\""));
    assert_ne!(named, settings);
    std::fs::write(machine.path("dondoc.toml"), named).unwrap();
    // Over TCP the server asks for it.
    let there = server.tcp_url(&fleet.database.name);
    let refused = machine.dondoc(&["db", "move", &there]);
    assert!(refused.code == 1 && refused.last_line().contains("mat-khau"), "it is not there yet: {refused:?}");
    std::fs::write(machine.path("mat-khau"), "sai\n").unwrap();
    assert_eq!(machine.dondoc(&["db", "move", &there]).code, 1, "a wrong one");
    std::fs::write(machine.path("mat-khau"), format!("{}\n", server::PASSWORD)).unwrap();
    assert_eq!(machine.json(&["db", "move", &there])["moved"], true);
}

/// A backup knows nothing of what left after it was made; on a server nothing beside it would tell.
#[test]
fn a_copy_that_may_not_send_is_not_moved_to_where_nobody_would_know_it_for_one() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 10, 3, "Đang thực hiện"));
    // Something left before, so that it is a copy of one that serves.
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    fleet.import(&tasks(10, 10, 3, "Đang thực hiện"));
    machine.json(&["db", "backup", "yesterday.db"]);
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    assert_eq!(machine.mail.taken(), 20);
    for side in ["dondoc.db-wal", "dondoc.db-shm"] {
        let _ = std::fs::remove_file(machine.path(side));
    }
    std::fs::copy(machine.path("yesterday.db"), machine.path("dondoc.db")).unwrap();

    let url = fleet.database.url.clone();
    let refused = machine.dondoc(&["db", "move", &url]);
    assert!(refused.code == 1 && refused.last_line().contains("dondoc instance adopt"), "{refused:?}");
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 1, "it was left as it was");
    machine.json(&["instance", "adopt", "--why", "máy chủ hỏng"]);
    assert_eq!(machine.json(&["db", "move", &url])["moved"], true);
    machine.settle(&url);
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0);
    assert_eq!(fleet.judge(0..20), 0, "nothing is sent again");
}

/// A command that had opened the old database before the move, and writes when it is over: what it wrote would be on no
/// record that counts.
#[test]
fn who_had_opened_the_old_database_before_can_write_nothing_that_would_not_be_carried() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 10, 3, "Đang thực hiện"));
    let address = Address::File(machine.path("dondoc.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let by = By { who: "Văn phòng".into(), paper: String::new() };
    let now: jiff::Timestamp = "2026-11-23T09:00:00+07:00".parse().unwrap();
    let (today, task) = (jiff::civil::date(2026, 11, 23), TaskId(1));
    let before = runtime.block_on(dondoc::store::open(&address)).unwrap();
    let duty = runtime.block_on(before.tasks(&[task])).unwrap().remove(0).task.obligations.remove(0);
    let contact = |outcome: &str| acts::Act::LogContact {
        clock: duty.clock,
        agency: duty.agency.id,
        form: ContactForm::Telephone,
        whom: String::new(),
        outcome: outcome.to_owned(),
    };
    let write = |what: &str| runtime.block_on(before.act(now, today, task, &contact(what), &by)).map(|_| ());
    write("trước").unwrap();
    let url = fleet.database.url.clone();
    assert_eq!(machine.json(&["db", "move", &url])["moved"], true);
    // A register, a mark, a message, a task: nothing of it.
    let refused = |came: Result<(), StoreError>| {
        let line = came.unwrap_err().to_string();
        assert!(line.contains(&format!("this database is moved to {url}")), "{line}");
    };
    let counted = counts(&machine.path("dondoc.db"));
    refused(write("sau"));
    refused(runtime.block_on(before.set_mark("last_pass", 7)));
    refused(runtime.block_on(before.look_again(now, TaskId(0), 10)).map(|_| ()));
    refused(runtime.block_on(before.accept_steps(&[("a".into(), "b".into(), "c".into(), now)])));
    assert_eq!(counts(&machine.path("dondoc.db")), counted);
    runtime.block_on(before.close());
    let there = fleet.database.sql("SELECT outcome FROM contact_log");
    assert_eq!(there, [[Some("trước".to_owned())]]);
}

#[test]
fn a_move_that_is_given_up_leaves_a_database_that_serves_and_can_be_moved_again() {
    let Some(server) = server::shared() else { return };
    let fleet = Fleet::before_postgres(server, 1);
    let machine = &fleet.machines[0];
    fleet.import(&tasks(0, 10, 3, "Đang thực hiện"));
    let url = fleet.database.url.clone();
    let triggers =
        || rows_of(&machine.path("dondoc.db"), "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1");
    let served = triggers();
    // Torn off right after the source was marked: the target's tables cannot be had while somebody else holds one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let holder = runtime.block_on(async {
        PostgresStore::open(&url, None).await.unwrap().close().await;
        let mut holder = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::query("BEGIN").execute(&mut holder).await.unwrap();
        sqlx::query("LOCK TABLE mark IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.unwrap();
        holder
    });
    let mut child = machine.command(&["db", "move", &url]).stderr(std::process::Stdio::null()).spawn().unwrap();
    while triggers().len() == served.len() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it had marked the source");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    runtime.block_on(holder.close()).unwrap();
    let refused = machine.dondoc(&["run", "--once"]);
    assert!(refused.code == 1 && refused.last_line().contains("was begun and not finished"), "{refused:?}");
    assert_eq!(machine.dondoc(&["db", "move", &url, "--cancel"]).code, 0);
    assert_eq!(triggers(), served);
    assert_eq!(machine.dondoc(&["run", "--once"]).code, 0, "it serves again");
    fleet.judge(0..10);
    assert_eq!(machine.json(&["db", "move", &url])["moved"], true);
}
