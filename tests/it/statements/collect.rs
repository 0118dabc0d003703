//! What the program really asks of its database: the texts that the driver logs while a process of its own plays the
//! daemon. Of its own, because the driver's threads know only the process's one subscriber, which would also hear every
//! other test.

use std::{
    collections::BTreeSet,
    fs,
    process::Command,
    sync::{Mutex, OnceLock},
};

use dondoc::{
    planning::task::TaskId,
    store::{
        ledger::{OutboxStore, PlanningStore, ReadingStore},
        register::{FileKind, Files, RegisterStore},
        sqlite::SqliteStore,
    },
};
use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt};

/// Where that process writes what it saw.
const FILE: &str = "DONDOC_STATEMENTS";

/// Every statement that ran, once, blanks folded.
pub fn seen() -> &'static [String] {
    static SEEN: OnceLock<Vec<String>> = OnceLock::new();
    SEEN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("statements.json");
        let played = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "statements::collect::play", "--nocapture"])
            .env(FILE, &file)
            .output()
            .unwrap();
        assert!(played.status.success(), "{}", String::from_utf8_lossy(&played.stderr));
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    })
}

/// Notes the statements that are logged.
struct Noting;

static NOTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

#[derive(Default)]
struct Statement {
    /// Its first words, or all of it where it has no more.
    summary: String,
    whole: String,
}

impl Visit for Statement {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.to_owned(),
            "db.statement" => self.whole = value.to_owned(),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber> Layer<S> for Noting {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut statement = Statement::default();
        event.record(&mut statement);
        let text = if statement.whole.is_empty() { statement.summary } else { statement.whole };
        // Statements that share an errand are judged one by one.
        for text in text.split(';').map(str::trim).filter(|text| !text.is_empty()) {
            NOTED.lock().unwrap().insert(text.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// The daemon's life; nothing where it is not asked for by [`seen`].
#[test]
fn play() {
    let Some(file) = std::env::var_os(FILE) else { return };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Noting)).unwrap();
    crate::scenarios::tell_all();
    // What the daemon does rarely, and everything else that the store's traits offer.
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        crate::contract::every_property().await;
        look_around().await;
    });
    let noted = NOTED.lock().unwrap();
    fs::write(file, serde_json::to_string(&*noted).unwrap()).unwrap();
}

/// What is read of the register, and what is done with a fault: on an empty office, for only the words count.
async fn look_around() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&format!("sqlite:{}", folder.path().join("a.db").display())).await.unwrap();
    let now = Timestamp::UNIX_EPOCH;
    for files in [Files::Unwritten, Files::Written] {
        store.notice_files(files, None, 1).await.unwrap();
    }
    store.mark_files_written(&[(1, FileKind::Html, String::new())], now).await.unwrap();
    store.walk_register(&mut |_| ()).await.unwrap();
    store.notices(0, 1).await.unwrap();
    store.notice_by_number(2026, 1).await.unwrap();
    store.message_bytes(1).await.unwrap();
    store.unreachable().await.unwrap();
    store.push(&[(TaskId(1), 0)], now).await.unwrap();
    store.close().await;
}
