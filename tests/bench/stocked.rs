//! An office with any number of open tasks, and any length of history behind it, written by SQL in bulk: taking a million
//! rows in from a file is another measure's. What a row holds depends on its number only, so each run has the same rows.

use dondoc::{clock::millis, engine::policy::Policy};
use jiff::{Timestamp, ToSpan, civil::Date};
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::office::{Office, today};

/// How the office is stocked.
#[derive(Debug, Clone, Copy)]
pub struct Stock {
    /// Open tasks, all in force and planned up to now.
    pub open: i64,
    /// How many of them have a step due on the morning, and on nothing before it.
    pub due: i64,
    /// Finished tasks, each with one reminder that was sent by itself: message and attempt are on record.
    pub history: i64,
}

/// What the ladder of the shipped rules for a lead agency calls its steps, with the working days from the morning on
/// which the step fires to the deadline.
const LADDER: [(&str, i32); 8] = [
    ("truoc-10", 10),
    ("truoc-5", 5),
    ("truoc-3", 3),
    ("truoc-1", 1),
    ("den-han", 0),
    ("qua-han-1", -1),
    ("qua-han-5", -5),
    ("qua-han-10", -10),
];

const HOUR_MS: i64 = 3_600_000;

/// The first working morning at least two days from now, at eight and a second.
pub fn morning(policy: &Policy) -> Timestamp {
    let day = policy.calendar.add_working(today().checked_add(2.days()).expect("a day in range"), 1);
    policy.calendar.instant(day.expect("a covered year"), jiff::civil::time(8, 0, 1, 0))
}

impl Stock {
    /// Writes the rows into an office that has a directory and has run once. The deadlines of those due are spread over
    /// the whole ladder; each has the steps before it on record.
    pub async fn fill(self, office: &Office) {
        let policy = office.policy();
        let options = SqliteConnectOptions::new().filename(office.path("dondoc.db")).pragma("synchronous", "off");
        let mut db = SqliteConnection::connect_with(&options).await.expect("the office's database");
        let at = morning(&policy);
        let day = policy.calendar.date_of(at);
        // As large as it needs to be, for all of it is written once.
        run(&mut db, "PRAGMA cache_size = -400000", &[]).await;
        run(&mut db, "CREATE TEMP TABLE rung(s INTEGER PRIMARY KEY, step TEXT, due TEXT)", &[]).await;
        for (n, (step, ahead)) in (0i64..).zip(LADDER) {
            let due: Date = policy.calendar.add_working(day, ahead).expect("a covered year");
            sqlx::query("INSERT INTO rung VALUES ($1, $2, $3)")
                .bind(n)
                .bind(step)
                .bind(due.to_string())
                .execute(&mut db)
                .await
                .expect("a rung");
        }
        run(
            &mut db,
            "CREATE TEMP TABLE pick AS SELECT row_number() OVER (ORDER BY p.id) - 1 AS i, p.agency, p.person, a.block, \
             CASE a.block WHEN 'state' THEN 'ubnd-chu-tri' WHEN 'party' THEN 'dang-chu-tri' ELSE 'doanh-nghiep-chu-tri' END AS rule \
             FROM post p JOIN agency a ON a.id = p.agency WHERE p.role = 'handler' AND a.active AND p.valid_to IS NULL",
            &[],
        )
        .await;
        run(&mut db, "CREATE UNIQUE INDEX temp.pick_i ON pick(i)", &[]).await;
        let armed = at.as_millisecond() - 60 * 24 * HOUR_MS;
        let mut tx = db.begin().await.expect("a transaction");
        // `h` scatters: Knuth's multiplicative hash of the row's number.
        let numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1), \
                       h AS (SELECT n, ((n * 2654435761) & 4294967295) >> 9 AS h FROM n) ";
        let documents = format!(
            "{numbers}INSERT INTO document(id, number, symbol_folded, issuer, issuer_folded, year, date, kind, signer, abstract) \
             SELECT n, n || '/UBND-TH', n || '/ubnd-th', 'UBND Thành phố', 'ubnd thanh pho', 2026, date($2 / 1000, 'unixepoch'), \
             'Công văn', 'Nguyễn Văn Nam', 'Về việc thực hiện nhiệm vụ phát triển kinh tế - xã hội, văn bản thứ ' || n FROM h"
        );
        run(&mut tx, &documents, &[(self.open + self.history) / 8 + 1, armed]).await;
        // Those due stand among the others at equal distances.
        let every = if self.due == 0 { i64::MAX } else { self.open / self.due };
        let tasks = format!(
            "{numbers}INSERT INTO task(id, code, document, work, field, assigner, assigner_block, urgency, secrecy, state, \
             state_since, assigned_on, lead, handler, monitor, due_typed, due_reading, original_due, last_update, fingerprint, \
             row_digest, known_at, next_look_at) \
             SELECT n, printf('BM-%07d', n), n / 8 + 1, 'Rà soát, tổng hợp và báo cáo kết quả thực hiện, việc thứ ' || n, 'Nội vụ', \
             'Chủ tịch UBND Thành phố', 'state', 'normal', 'open', CASE n % 3 WHEN 0 THEN 'not_started' ELSE 'in_progress' END, $2, \
             date($2 / 1000, 'unixepoch'), p.agency, p.person, (SELECT person FROM pick WHERE i = (h / 7) % 20), '', 'date', \
             coalesce(r.due, date($3 / 1000 + (40 + h % 300) * 86400, 'unixepoch')), date($3 / 1000 - 3 * 86400, 'unixepoch'), \
             hex(n * 7919), hex(n * 104729), $2, \
             CASE WHEN r.s IS NULL THEN $3 + (20 + h % 300) * 86400000 ELSE $3 - 1000 END \
             FROM h JOIN pick p ON p.i = h % (SELECT count(*) FROM pick) \
             LEFT JOIN rung r ON n % $4 = 0 AND n / $4 <= $5 AND r.s = (n / $4) % 8"
        );
        run(&mut tx, &tasks, &[self.open, armed, at.as_millisecond(), every, self.due]).await;
        let duties = "INSERT INTO obligation(task, clock, agency, role, due_date, arming, armed_at, armed_by, rule, rule_since) \
             SELECT t.id, 'completion', t.lead, 'lead', t.original_due, 1, $1, 'entered', \
             (SELECT rule FROM pick WHERE agency = t.lead LIMIT 1), $1 FROM task t";
        run(&mut tx, duties, &[armed]).await;
        self.history(&mut tx, armed).await;
        self.climbed(&mut tx, armed, every).await;
        tx.commit().await.expect("committed");
        run(&mut db, "PRAGMA wal_checkpoint(TRUNCATE)", &[]).await;
        db.close().await.expect("closed");
    }

    /// What was sent and finished long ago. Letters of a few hundred bytes: eight KB each would only lie in pages of their
    /// own, and nobody reads them.
    async fn history(self, db: &mut SqliteConnection, armed: i64) {
        let numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1), \
                       h AS (SELECT n + $2 AS id, n, ((n * 2654435761) & 4294967295) >> 9 AS h FROM n) ";
        if self.history == 0 {
            return;
        }
        let tasks = format!(
            "{numbers}INSERT INTO task(id, code, document, work, assigner_block, urgency, secrecy, state, state_since, completed_on, \
             lead, handler, original_due, fingerprint, row_digest, known_at) \
             SELECT id, printf('CU-%07d', n), id / 8 + 1, 'Việc đã xong, thứ ' || n, 'state', 'normal', 'open', 'done', $3, \
             date($3 / 1000, 'unixepoch'), p.agency, p.person, date($3 / 1000 - (h % 400) * 86400, 'unixepoch'), hex(id * 7919), \
             hex(id * 104729), $3 - 8640000000 FROM h JOIN pick p ON p.i = h % (SELECT count(*) FROM pick)"
        );
        run(db, &tasks, &[self.history, self.open, armed]).await;
        let duties = format!(
            "{numbers}INSERT INTO obligation(task, clock, agency, role, due_date, arming, armed_at, armed_by, rule, rule_since, ended_at) \
             SELECT h.id, 'completion', t.lead, 'lead', t.original_due, 1, t.known_at, 'entered', 'ubnd-chu-tri', t.known_at, $3 \
             FROM h JOIN task t ON t.id = h.id"
        );
        run(db, &duties, &[self.history, self.open, armed]).await;
        let messages = format!(
            "{numbers}INSERT INTO message(id, channel, address, person, recipient, hours, state, attempts, tries, not_before, expires_at, \
             message_id, dated_at, bytes, created_at, changed_at) \
             SELECT n, 'email', 'can-bo-' || h % 1000 || '@hanoi.gov.vn.example', NULL, '{{\"name\":\"Nguyễn Văn Nam\"}}', 'normal', 'sent', \
             0, 1, $3 - n, $3, '<' || hex(n * 7919) || '@office.example>', $3 - n, zeroblob(300), $3 - n, $3 - n FROM h"
        );
        run(db, &messages, &[self.history, self.open, armed]).await;
        let reminders = format!(
            "{numbers}INSERT INTO reminder(task, clock, arming, rule, step, occurrence, agency, audience, channel, due_at, not_before, state, \
             message, created_at, changed_at) SELECT h.id, 'completion', 1, 'ubnd-chu-tri', 'truoc-5', 1, t.lead, 'handler', 'email', \
             $3 - n, $3 - n, 'sent', n, $3 - n, $3 - n FROM h JOIN task t ON t.id = h.id"
        );
        run(db, &reminders, &[self.history, self.open, armed]).await;
        let attempts = format!(
            "{numbers}INSERT INTO attempt(message, n, token, phase, started_at, ended_at, outcome, code, reply, message_id) \
             SELECT n, 1, lower(hex(n * 7919)) || '-' || n, 'answered', $3 - n, $3 - n + 40, 'accepted', 250, '2.0.0 Ok', \
             '<' || hex(n * 7919) || '@office.example>' FROM h"
        );
        run(db, &attempts, &[self.history, self.open, armed]).await;
    }

    /// The steps before the one that is due: they travelled in letters of some fifty tasks.
    async fn climbed(self, db: &mut SqliteConnection, armed: i64, every: i64) {
        if self.due == 0 {
            return;
        }
        let letters = "WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < $1 / 50) \
             INSERT INTO message(id, channel, address, hours, state, tries, not_before, expires_at, message_id, dated_at, bytes, \
             created_at, changed_at) SELECT $2 + 1 + n, 'email', 'so-' || n || '@hanoi.gov.vn.example', 'normal', 'sent', 1, $3, $3, \
             '<cu-' || n || '@office.example>', $3, zeroblob(300), $3, $3 FROM n";
        run(db, letters, &[self.due, self.history, armed]).await;
        let attempts = "INSERT INTO attempt(message, n, token, phase, started_at, ended_at, outcome, code, reply) \
             SELECT id, 1, 'cu-' || id, 'answered', $2, $2, 'accepted', 250, '2.0.0 Ok' FROM message WHERE id > $1";
        run(db, attempts, &[self.history, armed]).await;
        // The task's place on the ladder is its number's; every step below it was sent to the handler, and from the
        // deadline on to the contact too.
        let reminders = "INSERT INTO reminder(task, clock, arming, rule, step, occurrence, agency, audience, channel, urging, due_at, \
             not_before, state, message, created_at, changed_at) \
             SELECT t.id, 'completion', 1, o.rule, r.step, 1, t.lead, who.column1, 'email', r.s >= 5, $1 + r.s * 86400000, \
             $1, 'sent', $2 + 1 + (t.id / $4) % max($3 / 50, 1), $1, $1 \
             FROM task t JOIN obligation o ON o.task = t.id JOIN rung r ON r.s < (t.id / $4) % 8 \
             JOIN (VALUES ('handler', 0), ('agency_contact', 5), ('agency_head', 6)) AS who ON who.column2 <= r.s \
             WHERE t.next_look_at IS NOT NULL AND t.id % $4 = 0 AND t.id / $4 <= $3";
        run(db, reminders, &[armed, self.history, self.due, every]).await;
    }
}

async fn run(db: &mut SqliteConnection, sql: &str, numbers: &[i64]) {
    let query = numbers.iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql.to_owned())), |query, n| query.bind(*n));
    if let Err(error) = query.execute(db).await {
        panic!("{error} in {sql}");
    }
}

/// A moment before the morning, as the daemon last noted it: it was awake, nothing was missed.
pub fn just_before(at: Timestamp) -> i64 {
    millis(at.as_millisecond() - 60_000).as_millisecond()
}
