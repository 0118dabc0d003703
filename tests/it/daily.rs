//! The daily list of those who could not be reached: who gets it, when, what stands on it, and that it comes once.

use std::{fs, path::Path, sync::Arc};

use dondoc::{
    cli::explain,
    engine::{Engine, instance::Guard, known_directory, story::Asked},
    intake::directory::import_directory,
    store::{
        daily::DailyStore,
        ledger::{OutboxStore, ReadingStore},
    },
};
use jiff::ToSpan;
use sqlx::Connection;

use crate::clock::office::{Office, local, tasks};

const OPERATOR: &str = "vanhanh@hanoi.gov.vn.example";
const HANDLER: &str = "hienhm@hanoi.gov.vn.example";

/// With an operator, and lists at nine.
fn listing(folder: &Path) {
    let file = folder.join("dondoc.toml");
    let text = fs::read_to_string(&file).unwrap();
    let on = format!("operator = \"Tổ vận hành <{OPERATOR}>\"\ndaily_list_at = \"09:00\"");
    assert!(text.contains("daily_list_at = \"\""), "{text}");
    fs::write(&file, text.replace("daily_list_at = \"\"", &on)).unwrap();
}

/// Three tasks due on Wednesday 25/11/2026; the handler of the second has an address that does not take mail.
async fn office() -> (Office, Engine) {
    let office = Office::with(local("2026-11-20T20:00"), &tasks(3, "25/11/2026"), listing).await;
    office.caught.refuse(&[HANDLER]);
    let engine = office.start().await;
    (office, engine)
}

/// Lists that came: address and text.
fn lists(office: &Office) -> Vec<(String, String)> {
    let mails = office.caught.mails().into_iter();
    mails.filter(|(_, text)| text.starts_with("[Không liên hệ được]")).collect()
}

#[tokio::test]
async fn each_working_day_the_operator_and_the_monitor_hear_once_whom_nobody_reaches_and_once_that_all_is_well_again() {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T08:45")).await;
    assert_eq!(lists(&office), [], "not before its hour");
    office.live(&engine, local("2026-11-23T17:00")).await;
    let monday = lists(&office);
    let mut to: Vec<&str> = monday.iter().map(|(address, _)| address.as_str()).collect();
    to.sort_unstable();
    assert_eq!(to.len(), 2, "{monday:#?}");
    assert!(to.contains(&OPERATOR) && !to.contains(&HANDLER), "{to:?}");
    for (address, text) in &monday {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.starts_with("[Không liên hệ được] 1 trường hợp, 1 nhiệm vụ, 23/11/2026"), "{text}");
        assert!(
            text.contains("1. UBND xã An Khánh: Chuyên viên thụ lý")
                || text.contains("1. Sở Xây dựng: Chuyên viên thụ lý"),
            "{text}"
        );
        assert!(text.contains("Từ 23/11/2026") && text.contains("550 5.1.1 <h***@hanoi.gov.vn.example>"), "{text}");
        assert!(!text.contains(HANDLER), "a full address: {text}");
        assert_eq!(text.contains("dondoc outbox retry"), address == OPERATOR, "{text}");
    }
    // Nothing runs twice in a day, started anew or not; a day off has none; the next working day has its own.
    drop(engine);
    let engine = office.start().await;
    office.live(&engine, local("2026-11-24T20:00")).await;
    assert_eq!(lists(&office).len(), 2);
    office.live(&engine, local("2026-11-25T10:00")).await;
    assert_eq!(lists(&office).len(), 4);
    // The box takes mail again: the next day says so, once.
    office.caught.refuse(&[]);
    office.live(&engine, local("2026-11-26T10:00")).await;
    let thursday = lists(&office).split_off(4);
    assert_eq!(thursday.len(), 2, "{thursday:#?}");
    assert!(
        thursday
            .iter()
            .all(|(_, text)| text.starts_with("[Không liên hệ được] Đã liên hệ lại được với tất cả, 26/11/2026"))
    );
    office.live(&engine, local("2026-12-02T17:00")).await;
    assert_eq!(lists(&office).len(), 6);
    assert_eq!(office.store.outbox(Some("pending")).await.unwrap(), []);
}

#[tokio::test]
async fn a_list_that_was_claimed_when_the_process_died_leaves_once_and_one_whose_day_is_over_does_not() {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T08:45")).await;
    office.clock.set(local("2026-11-23T09:00"));
    // Made, and claimed; then the process dies.
    assert_eq!(engine.list_the_unreached().await.unwrap(), 2);
    let pending: Vec<i64> = office.store.outbox(Some("pending")).await.unwrap().iter().map(|row| row.id).collect();
    let now = office.clock.now();
    let claimed = office.store.claim(now, now + 30.minutes(), &pending).await.unwrap();
    assert!(claimed.iter().all(|message| message.list.is_some() && message.rows.is_empty()), "{claimed:?}");
    drop(engine);
    let engine = office.start().await;
    engine.pass().await.unwrap();
    assert_eq!(lists(&office).len(), 2);
    assert_eq!(engine.list_the_unreached().await.unwrap(), 0, "made already");

    // Two days on it is made, and nothing runs until the day is over.
    drop(engine);
    let engine = office.start().await;
    office.clock.set(local("2026-11-25T09:00"));
    assert_eq!(engine.list_the_unreached().await.unwrap(), 2);
    office.clock.set(local("2026-11-26T08:00"));
    engine.pass().await.unwrap();
    let texts = lists(&office);
    assert!(texts.iter().all(|(_, text)| !text.contains("25/11/2026\n")), "{texts:#?}");
    let over = office.store.outbox(Some("suppressed")).await.unwrap();
    let ended: Vec<_> =
        over.iter().filter_map(|row| row.list.map(|day| (day.to_string(), row.reason.clone()))).collect();
    assert_eq!(
        ended,
        [("2026-11-25".to_owned(), "expired".to_owned()), ("2026-11-25".to_owned(), "expired".to_owned())]
    );
}

#[tokio::test]
async fn of_a_classified_task_a_list_gives_nothing_but_a_number() {
    let secret = tasks(2, "25/11/2026").replacen("Thường,Thường,", "Thường,Mật,", 1);
    let office = Office::with(local("2026-11-20T20:00"), &secret, listing).await;
    let refused: Vec<&str> = crate::clock::office::UNITS.iter().map(|unit| unit.2).collect();
    office.caught.refuse(&refused);
    let engine = office.start().await;
    office.live(&engine, local("2026-11-23T17:00")).await;
    let listed = office.store.unreached().await.unwrap();
    let lists = lists(&office);
    assert!(!lists.is_empty(), "{listed:#?}");
    for (_, text) in &lists {
        assert!(!text.contains("MAT-") && !text.to_lowercase().contains("mật"), "{text}");
    }
}

#[tokio::test]
async fn explain_and_the_outbox_say_that_a_message_is_a_day_s_list() {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T09:30")).await;
    let sent = office.store.outbox(Some("sent")).await.unwrap();
    let list = sent.iter().find(|row| row.list.is_some() && row.to == OPERATOR).unwrap();
    assert_eq!((list.list.unwrap().to_string(), list.reminders.len()), ("2026-11-23".to_owned(), 0));
    let bytes = office.store.message_bytes(list.id).await.unwrap().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let id = text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().trim();
    let policy = office.policy();
    let known = known_directory(ReadingStore::directory(&*office.store).await.unwrap(), &policy);
    let asked = Asked { now: office.clock.now(), at: office.clock.now(), stopped: None };
    let told = explain::answer(&*office.store, &policy, &known, id, asked, false).await.unwrap();
    assert!(told.contains("danh sách những ai không liên hệ được, ngày 23/11/2026 (1 trường hợp khi lập)"), "{told}");
    assert!(told.contains("địa chỉ vận hành"), "{told}");
    let json = explain::answer(&*office.store, &policy, &known, id, asked, true).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["daily_list"]["day"], &json["tasks"]), (&"2026-11-23".into(), &serde_json::json!([])));
}

/// Who follows all tasks of [`tasks`], and a colleague.
const MONITOR: (&str, &str) = ("Đỗ Mai Linh", "linhdm@hanoi.gov.vn.example");
const COLLEAGUE: (&str, &str) = ("Nguyễn Thu Ánh", "anhnt@hanoi.gov.vn.example");

fn is_all_clear(text: &str) -> bool {
    text.starts_with("[Không liên hệ được] Đã liên hệ lại được với tất cả")
}

/// Who got a list on a day, in order, and whether it was the good news.
fn told(office: &Office, day: &str) -> Vec<(String, bool)> {
    let on = |(_, text): &(String, String)| text.lines().next().is_some_and(|subject| subject.ends_with(day));
    let mut told: Vec<_> =
        lists(office).into_iter().filter(on).map(|(address, text)| (address, is_all_clear(&text))).collect();
    told.sort_unstable();
    told
}

fn to(addresses: &[&str], good: bool) -> Vec<(String, bool)> {
    let mut told: Vec<_> = addresses.iter().map(|address| ((*address).to_owned(), good)).collect();
    told.sort_unstable();
    told
}

/// The office, and its daemon on Monday evening: the operator and the monitor have had their list.
async fn listed() -> (Office, Engine) {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T17:00")).await;
    assert_eq!(told(&office, "23/11/2026"), to(&[OPERATOR, MONITOR.1], false));
    (office, engine)
}

#[tokio::test]
async fn an_operator_who_is_one_no_more_hears_nothing_and_the_new_one_everything() {
    let (office, engine) = listed().await;
    drop(engine);
    const NEW: &str = "truc@hanoi.gov.vn.example";
    let file = office.folder.path().join("dondoc.toml");
    fs::write(&file, fs::read_to_string(&file).unwrap().replace(OPERATOR, NEW)).unwrap();
    let engine = office.start().await;
    office.live(&engine, local("2026-11-25T17:00")).await;
    assert_eq!(told(&office, "25/11/2026"), to(&[NEW, MONITOR.1], false), "the slot stands");
    office.caught.refuse(&[]);
    office.live(&engine, local("2026-11-26T17:00")).await;
    assert_eq!(told(&office, "26/11/2026"), to(&[NEW, MONITOR.1], true), "it is no business of the old one's");
    office.live(&engine, local("2026-11-30T17:00")).await;
    // On Monday the new one had it too, as soon as there was one.
    assert_eq!(told(&office, "23/11/2026"), to(&[OPERATOR, MONITOR.1, NEW], false));
    assert_eq!(lists(&office).len(), 7);
}

#[tokio::test]
async fn a_monitor_is_not_told_that_all_is_well_because_a_colleague_took_over_or_a_task_became_a_secret() {
    let rows = tasks(3, "25/11/2026");
    // Nothing of a secret is on a monitor's list; a colleague has the rest of it on hers.
    for (rows, on_wednesday) in [
        (rows.replace(MONITOR.0, COLLEAGUE.0), to(&[OPERATOR, COLLEAGUE.1], false)),
        (rows.replace("Thường,Thường,", "Thường,Mật,"), to(&[OPERATOR], false)),
    ] {
        let (office, engine) = listed().await;
        office.import(office.clock.now(), &rows).await;
        office.live(&engine, local("2026-11-25T17:00")).await;
        assert_eq!(told(&office, "25/11/2026"), on_wednesday, "the slot stands: {:#?}", lists(&office));
    }
}

#[tokio::test]
async fn a_monitor_who_left_is_not_told_of_what_comes_after() {
    let (office, engine) = listed().await;
    let file = office.folder.path().join("directory.csv");
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv")).unwrap();
    let gone = |line: &str| {
        if line.contains(MONITOR.1) { line.replace("01/03/2025,,", "01/03/2025,24/11/2026,") } else { line.to_owned() }
    };
    let text: Vec<String> = text.lines().map(gone).collect();
    fs::write(&file, text.join("\n")).unwrap();
    let (store, settings) = (&*office.store, office.policy().settings);
    import_directory(&file, store, &settings, office.clock.now(), false).await.unwrap();
    office.caught.refuse(&[]);
    office.live(&engine, local("2026-11-26T17:00")).await;
    assert_eq!(told(&office, "25/11/2026"), to(&[OPERATOR], true));
    assert_eq!(lists(&office).len(), 3);
}

#[tokio::test]
async fn a_list_that_could_not_leave_any_more_that_day_is_that_of_the_next_working_day() {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T08:45")).await;
    drop(engine);
    // Down all day, and started after the last hour at which anything leaves.
    office.clock.set(local("2026-11-23T17:40"));
    let engine = office.start().await;
    office.live(&engine, local("2026-11-25T10:00")).await;
    assert_eq!(told(&office, "23/11/2026"), []);
    assert_eq!(told(&office, "25/11/2026"), to(&[OPERATOR, MONITOR.1], false));
    let ended = office.store.outbox(Some("suppressed")).await.unwrap();
    assert!(ended.iter().all(|row| row.list.is_none()), "{ended:#?}");
}

#[tokio::test]
async fn a_database_that_may_not_send_makes_no_list_and_adopted_it_has_the_day_s() {
    let (office, engine) = office().await;
    let database = office.folder.path().join("dondoc.db");
    office.live(&engine, local("2026-11-23T08:45")).await;
    drop(engine);
    // It was sent from under another name.
    let sql = async |sql: &'static str| {
        let mut db = sqlx::SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
        sqlx::query(sql).execute(&mut db).await.unwrap();
    };
    sql("INSERT INTO instance(id, generation, machine, place, adopted_at) VALUES ('a', 7, '', '/elsewhere', 0)").await;
    let engine = office.start_guarded(Arc::new(Guard::new(&database))).await;
    office.live(&engine, local("2026-11-23T10:00")).await;
    assert!(engine.held().is_some());
    assert_eq!(office.store.outbox(Some("pending")).await.unwrap(), [], "nothing is made that another copy may send");
    sql("DELETE FROM instance").await;
    office.live(&engine, local("2026-11-23T11:00")).await;
    assert_eq!(told(&office, "23/11/2026"), to(&[OPERATOR, MONITOR.1], false));
}

#[tokio::test]
async fn a_row_that_keeps_the_list_from_being_made_makes_no_scan_a_failure() {
    let (office, engine) = office().await;
    office.live(&engine, local("2026-11-23T08:45")).await;
    let database = office.folder.path().join("dondoc.db");
    let mut db = sqlx::SqliteConnection::connect(&format!("sqlite:{}", database.display())).await.unwrap();
    sqlx::query("UPDATE unreachable SET audience = 'nobody'").execute(&mut db).await.unwrap();
    office.clock.set(local("2026-11-23T09:00"));
    assert!(engine.list_the_unreached().await.is_err(), "no audience of that name");
    engine.scan_pass().await.unwrap();
    sqlx::query("UPDATE unreachable SET audience = 'handler'").execute(&mut db).await.unwrap();
    engine.scan_pass().await.unwrap();
    assert_eq!(office.store.outbox(Some("pending")).await.unwrap().len(), 2, "it is made as soon as it can be");
}
