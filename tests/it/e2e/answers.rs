//! What commands answer: the JSON fields that scripts depend on, and the exit codes.

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::world::{World, local};

/// The shape of an answer: each field that is promised, with an example of its type. Fields may be added.
#[track_caller]
fn has_shape(answer: &Value, shape: &Value, at: &str) {
    match (answer, shape) {
        (Value::Object(answer), Value::Object(shape)) => {
            for (name, shape) in shape {
                let at = format!("{at}.{name}");
                has_shape(answer.get(name).unwrap_or_else(|| panic!("{at} is missing in {answer:?}")), shape, &at);
            }
        }
        (Value::Array(answer), Value::Array(shape)) => {
            assert!(!answer.is_empty(), "{at} is empty: nothing is shown by it");
            for one in answer {
                has_shape(one, &shape[0], &format!("{at}[]"));
            }
        }
        // Written "…?": text or null.
        (Value::Null, Value::String(text)) if text.ends_with('?') => {}
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => {}
        _ => panic!("{at}: {answer} is not like {shape}"),
    }
}

#[test]
fn every_documented_field_is_in_the_answers() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    let import = json!({"rows": 1, "created": 1, "updated": 0, "unchanged": 0, "held": 0, "refused": 0, "secret": 0});
    has_shape(&world.json(&["import", "directory", directory]), &import, "import directory");
    let messy = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tasks-messy-sample.csv");
    let answer = world.dondoc(&["import", "tasks", messy, "--yes", "--format", "json"]);
    assert_eq!(answer.code, 3, "rows were held: {}", answer.err);
    let told = answer.json();
    has_shape(&told, &import, "import tasks");
    let problem = json!([{"row": 1, "column": "…", "code": "…", "message": "…"}]);
    has_shape(&told["problems"], &problem, "import tasks.problems");
    let sum: i64 =
        ["created", "updated", "unchanged", "held", "refused"].map(|key| told[key].as_i64().unwrap()).iter().sum();
    assert_eq!(told["rows"], sum, "each row is accounted for once");
    let tasks = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/tasks.csv");
    let clean = world.dondoc(&["import", "tasks", tasks, "--yes", "--format", "json"]);
    assert!(matches!(clean.code, 0 | 3), "{clean:?}");
    has_shape(&clean.json(), &import, "import tasks");

    let plan = world.json(&["plan", "--from", "2026-11-20T20:00", "--until", "2026-11-27"]);
    let event = json!({
        "at": "…", "kind": "…", "task": "…", "rule": "…", "step": "…", "occurrence": 1, "clock": "…", "audience": "…?",
        "person": "…", "channel": "…?", "address": "…", "send_at": "…", "message": "…?", "deferred_by": "…?",
    });
    has_shape(&plan, &json!({"from": "…", "until": "…", "events": [event], "totals": {}}), "plan");
    let order = |event: &Value| {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (text("at"), text("task"), text("step"), text("audience"), text("channel"))
    };
    assert!(plan["events"].as_array().unwrap().is_sorted_by_key(order), "by at, task, step, audience, channel");

    let daemon = world.run();
    world.pass(local("2026-11-23T08:00:00"));
    let status = json!({
        "ready": true, "instance": "…", "last_scan": "…", "open_tasks": 1, "next_look": "…", "backlog": {"email": 0, "zalo": 0},
        "dead": 0, "unknown": 0, "channels": {"email": {"breaker": "closed"}}, "register": {"entries": 1, "head": "…"},
    });
    let now = world.json(&["status"]);
    has_shape(&now, &status, "status");
    assert_eq!((&now["ready"], &now["channels"]["email"]["breaker"]), (&json!(true), &json!("closed")));

    let step = json!({
        "clock": "…", "step": "…", "occurrence": 1, "agency": "…", "audience": "…", "channel": "…", "at": "…",
        "arithmetic": "…", "state": "…", "reason": "…",
    });
    let story = world.json(&["explain", "NV26-000307"]);
    let shape = json!({"task": "…", "rule": "…", "deadline": "…", "effective_deadline": "…", "steps": [step]});
    has_shape(&story, &shape, "explain");
    let states = ["sent", "planned", "superseded", "suppressed", "future", "dead", "unknown"];
    for step in story["steps"].as_array().unwrap() {
        assert!(states.contains(&step["state"].as_str().unwrap()), "{step}");
    }

    let notice = json!([{
        "number": "0001/2026", "task": "…", "agency": "…", "step": "…", "filed_at": "…", "hash": "…", "withdrawn": false,
    }]);
    has_shape(&world.json(&["notice", "list"]), &notice, "notice list");
    let verified = world.json(&["register", "verify"]);
    has_shape(
        &verified,
        &json!({"ok": true, "entries": 1, "head": "…", "checkpoint": "…?", "first_bad": "…?"}),
        "verify",
    );
    let sent = world.json(&["outbox", "list", "--state", "sent"]);
    let row = json!([{
        "id": "…", "channel": "…", "to": "…", "state": "…", "attempts": 1, "not_before": "…", "last": "…",
        "reminders": [{"task": "…", "step": "…"}],
    }]);
    has_shape(&sent, &row, "outbox list");
    daemon.stop();
    let stopped = world.dondoc(&["status", "--format", "json"]);
    assert_eq!((stopped.code, &stopped.json()["ready"]), (3, &json!(false)), "without a daemon a person is needed");

    let checked = world.json(&["check"]);
    has_shape(&checked, &json!({"ok": true, "tests": {"passed": 1, "failed": 0}}), "check");
    let good = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    std::fs::write(world.path("rules.toml"), good.replace("\"agency_head\"]", "\"agency_haed\"]")).unwrap();
    let faulty = world.dondoc(&["check", "--format", "json"]);
    assert_eq!(faulty.code, 3, "{faulty:?}");
    let problem = json!([{"file": "…", "line": 1, "column": 1, "code": "…", "message": "…", "help": "…"}]);
    let shape = json!({"ok": false, "problems": problem, "tests": {"passed": 0, "failed": 0}});
    has_shape(&faulty.json(), &shape, "check");
    assert_eq!(faulty.json()["ok"], false);
}

#[test]
fn exit_codes_are_those_that_scripts_depend_on() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["check"], 0),
        (&["no-such-command"], 2),
        (&["plan", "--from", "tomorrow"], 2),
        (&["plan", "--from", "2026-11-25", "--until", "2026-11-24"], 2),
        (&["import", "tasks"], 2),
        (&["import", "tasks", "no-such-file.csv"], 1),
        (&["explain", "NV26-999999"], 1),
        (&["outbox", "retry", "12345"], 1),
        (&["notice", "show", "0001/2026"], 1),
        (&["status"], 3),
        (&["--config", "no-such-settings.toml", "status"], 2),
        (&["--config", "no-such-settings.toml", "run"], 2),
    ] {
        let answer = world.dondoc(arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {answer:?}");
        if code == 1 {
            answer.one_line();
        }
        if code != 0 && arguments != ["status"] {
            assert_eq!(answer.out, "", "{arguments:?}: stdout carries only an answer");
        }
    }
    let good = std::fs::read_to_string(world.path("dondoc.toml")).unwrap();
    std::fs::write(world.path("dondoc.toml"), good.replace("batch", "bacth").replace("[scan]", "[scna]")).unwrap();
    assert_eq!(world.dondoc(&["run"]).code, 2);
    assert_eq!(world.dondoc(&["check"]).code, 3, "check found faults");
}

#[test]
fn whoever_holds_only_a_copy_checks_it_without_settings_and_finds_what_was_changed() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    assert_eq!(world.dondoc(&["run", "--once"]).code, 0);
    world.json(&["db", "backup", "copy.db"]);
    let ask = |arguments: &[&str]| {
        world.dondoc_with(arguments, |command| {
            command.env("DONDOC_CONFIG", world.path("there-is-none.toml"));
        })
    };
    let verified = ask(&["register", "verify", "--db", "copy.db", "--format", "json"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    assert!(verified.json()["entries"].as_i64() > Some(5), "{verified:?}");
    assert_eq!(verified.json()["head"], world.json(&["register", "verify"])["head"]);
    assert_eq!(ask(&["db", "check", "--db", "copy.db"]).code, 0);
    // Without the file it has to be known which database is meant.
    assert_eq!(ask(&["register", "verify"]).code, 2);

    // Somebody edits a notice, past the database's own refusal.
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let options = SqliteConnectOptions::new().filename(world.path("copy.db"));
        let mut db = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("DROP TRIGGER notice_no_edit").execute(&mut db).await.unwrap();
        let change = "UPDATE notice SET facts = replace(facts, 'days_overdue\":', 'days_overdue\":1') WHERE number = 2";
        assert_eq!(sqlx::query(change).execute(&mut db).await.unwrap().rows_affected(), 1);
        db.close().await.unwrap();
    });
    let verified = ask(&["register", "verify", "--db", "copy.db", "--format", "json"]);
    assert_eq!((verified.code, &verified.json()["ok"]), (3, &json!(false)), "{verified:?}");
}
