//! What befalls the office while the daemon works: acts on tasks, the directory, the operator's hand.

use dondoc::{
    planning::task::{AgencyId, Clock, PersonId, TaskId},
    store::{
        acts::{Act, ActStore, By, ContactForm},
        ledger::OutboxStore,
    },
};
use jiff::{ToSpan, civil::Date, tz::TimeZone};
use sqlx::Row;

use super::{journal::Done, sim::Sim};

impl Sim {
    fn today(&self) -> Date {
        TimeZone::get("Asia/Ho_Chi_Minh").unwrap().to_datetime(self.clock.now()).date()
    }

    /// Somebody does something to a task: most often to one a message of which is under way.
    pub async fn somebody_acts(&self) {
        let rows = sqlx::query(
            "SELECT t.id, t.state, t.lead, o.due_date, max(m.state IN ('leased', 'frozen')) AS under_way, \
             max(m.state = 'pending') AS waits FROM task t \
             LEFT JOIN obligation o ON o.task = t.id AND o.clock = 'completion' AND o.agency = t.lead \
             LEFT JOIN reminder r ON r.task = t.id AND r.state = 'in_message' LEFT JOIN message m ON m.id = r.message \
             GROUP BY t.id ORDER BY t.id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let (row, act, what) = {
            let mut dice = self.dice();
            let wanted = *dice.pick(&["under_way", "under_way", "waits", ""]);
            let fit = |row: &&sqlx::sqlite::SqliteRow| {
                wanted.is_empty() || row.get::<Option<i64>, _>(wanted).unwrap_or_default() > 0
            };
            let mut fitting: Vec<_> = rows.iter().filter(fit).collect();
            if fitting.is_empty() {
                fitting = rows.iter().collect();
            }
            let row = *dice.pick(&fitting);
            let what = match row.get::<String, _>("state").as_str() {
                "done" | "withdrawn" => "reopen",
                "paused" => *dice.pick(&["resume", "resume", "done"]),
                "submitted" => *dice.pick(&["refuse", "refuse", "done"]),
                "returned" => "assign",
                "extension_requested" => *dice.pick(&["refuse", "later", "done"]),
                _ => *dice.pick(&[
                    "done",
                    "done",
                    "pause",
                    "pause",
                    "later",
                    "later",
                    "earlier",
                    "submit",
                    "return",
                    "withdraw",
                    "assign",
                    "ask",
                    "acknowledge",
                    "contact",
                    "coordinators",
                    "handler",
                    "report",
                ]),
            };
            let due: Option<Date> = row.get::<Option<String>, _>("due_date").and_then(|day| day.parse().ok());
            let due = due.unwrap_or_else(|| self.today());
            let act = match what {
                "done" => Act::Done { on: None },
                "pause" => Act::Pause,
                "submit" => Act::Submit,
                "return" => Act::Return,
                "withdraw" => Act::Withdraw,
                "resume" => Act::Resume,
                "refuse" => Act::Refuse,
                "reopen" => Act::Reopen,
                "ask" => Act::AskExtension,
                "report" => Act::Report,
                "assign" => Act::Assign { lead: AgencyId(dice.between(1, 3)) },
                "handler" => Act::SetHandler { person: PersonId(dice.between(1, 12)) },
                "coordinators" => {
                    let agencies = (1..=3).map(AgencyId).filter(|agency| agency.0 != row.get::<i64, _>("lead"));
                    Act::SetCoordinators { agencies: agencies.filter(|_| dice.once_in(2)).collect() }
                }
                "acknowledge" => Act::Acknowledge { until: self.clock.now() + dice.between(1, 30).hours() },
                "contact" => Act::LogContact {
                    clock: Clock::Completion,
                    agency: AgencyId(row.get("lead")),
                    form: ContactForm::Telephone,
                    whom: "Chánh Văn phòng".to_owned(),
                    outcome: String::new(),
                },
                _ => Act::Extend {
                    clock: Clock::Completion,
                    date: due
                        .saturating_add(if what == "later" { dice.between(1, 3) } else { -dice.between(1, 3) }.days()),
                    time: None,
                    decided_on: Some(self.today()),
                    approver: "Chủ tịch".to_owned(),
                },
            };
            (row.get::<i64, _>("id"), act, what)
        };
        let far = self.how_far(row).await;
        let by = By { who: "Văn phòng".to_owned(), paper: "1/QĐ".to_owned() };
        let acted = self.store.act(self.clock.now(), self.today(), TaskId(row), &act, &by).await;
        self.tell(|| format!("{:>5} task {row}: {what} ({}) {}", self.step(), far.join(", "), acted.is_ok()));
        if acted.is_ok() {
            let mut journal = self.journal();
            journal.acts.push(Done { step: self.step(), task: row, what });
            for far in far {
                *journal.met.entry((what, far)).or_default() += 1;
            }
        }
    }

    /// An address changes, or is gone, or comes back.
    pub async fn directory_changes(&self) {
        let (person, address) = {
            let mut dice = self.dice();
            let person = dice.between(1, 14);
            let address = match dice.between(0, 3) {
                0 => String::new(),
                1 => format!("moi{}@hanoi.gov.vn.example", dice.between(1, 9)),
                _ => format!("p{person}@hanoi.gov.vn.example"),
            };
            (person, address)
        };
        self.tell(|| format!("{:>5} directory: person {person} is now at {address:?}", self.step()));
        let mut tx = self.pool.begin().await.unwrap();
        sqlx::query("UPDATE person SET email = $2 WHERE id = $1")
            .bind(person)
            .bind(address)
            .execute(&mut *tx)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO mark(name, value) VALUES ('directory_revision', 1) ON CONFLICT(name) DO UPDATE SET value = value + 1",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    /// `outbox retry` of what is dead or unknown; now and then `outbox discard`.
    pub async fn operator_looks(&self) {
        let stuck: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM message WHERE state IN ('dead', 'unknown') ORDER BY id")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        if stuck.is_empty() {
            return;
        }
        let (id, gives_up) = {
            let mut dice = self.dice();
            (*dice.pick(&stuck), dice.once_in(6))
        };
        let now = self.clock.now();
        if gives_up {
            self.store.discard(now, id, "thôi").await.unwrap();
        } else if self.store.retry(now, id, "thử lại").await.unwrap() {
            self.journal().retried.push(id);
        }
        let what = if gives_up { "discards" } else { "retries" };
        self.tell(|| format!("{:>5} operator {what} message {id}", self.step()));
    }
}
