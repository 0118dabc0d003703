//! Taking reminders out of the ledger's waiting part when their task no longer calls for them. Always inside the
//! transaction that changes the task, so that no scan or bundle can come between.
//!
//! It never touches what a message carries that is leased or frozen, or that waits to be repeated because an answer was
//! lost: its sender looks at the task again before anything is handed over, and an acceptance that comes all the same
//! must still find its reminders to record them as sent.

use jiff::Timestamp;

use super::Conn;
use crate::store::Result;

/// How much fell silent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Silenced {
    pub reminders: u64,
    pub messages: u64,
}

impl std::ops::AddAssign for Silenced {
    fn add_assign(&mut self, more: Self) {
        self.reminders += more.reminders;
        self.messages += more.messages;
    }
}

/// What of a task's reminders has not begun to leave.
const WAITS: &str = "(state = 'planned' OR (state = 'in_message' AND EXISTS (SELECT 1 FROM message m \
                     WHERE m.id = reminder.message AND m.state = 'pending' AND m.bytes IS NULL)))";

/// Every waiting reminder of a task becomes suppressed (`completed`, `paused`, `withdrawn`, `classified` …), and with
/// them the pending messages that have no other.
pub(crate) async fn silence(conn: &mut Conn, task: i64, now: Timestamp, reason: &str) -> Result<Silenced> {
    let sql =
        format!("UPDATE reminder SET state = 'suppressed', reason = $1, changed_at = $2 WHERE task = $3 AND {WAITS}");
    let reminders = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(reason)
        .bind(now.as_millisecond())
        .bind(task)
        .execute(&mut *conn)
        .await?
        .rows_affected();
    let messages = if reminders > 0 { drop_empty_messages(conn, task, now, reason).await? } else { 0 };
    Ok(Silenced { reminders, messages })
}

/// Which reminders lose their place: a task's on one clock and agency, of armings below one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Earlier {
    pub task: i64,
    pub clock: crate::planning::task::Clock,
    pub agency: i64,
    /// Armings below this one; `u32::MAX` for all.
    pub below: u32,
}

/// The waiting reminders of earlier armings become superseded (`deadline_moved`, `reopened`, `reassigned`), and pending
/// messages that have no other reminder become suppressed.
pub(crate) async fn supersede(conn: &mut Conn, which: Earlier, now: Timestamp, reason: &str) -> Result<Silenced> {
    let sql = format!(
        "UPDATE reminder SET state = 'superseded', reason = $1, changed_at = $2
         WHERE task = $3 AND clock = $4 AND agency = $5 AND arming < $6 AND {WAITS}"
    );
    let reminders = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(reason)
        .bind(now.as_millisecond())
        .bind(which.task)
        .bind(which.clock.as_str())
        .bind(which.agency)
        .bind(i64::from(which.below))
        .execute(&mut *conn)
        .await?
        .rows_affected();
    let messages = if reminders > 0 { drop_empty_messages(conn, which.task, now, reason).await? } else { 0 };
    Ok(Silenced { reminders, messages })
}

async fn drop_empty_messages(conn: &mut Conn, task: i64, now: Timestamp, reason: &str) -> Result<u64> {
    Ok(sqlx::query(
        "UPDATE message SET state = 'suppressed', reason = $1, changed_at = $2
         WHERE state = 'pending' AND bytes IS NULL
           AND id IN (SELECT message FROM reminder WHERE task = $3 AND message IS NOT NULL)
           AND NOT EXISTS (SELECT 1 FROM reminder r WHERE r.message = message.id AND r.state = 'in_message')",
    )
    .bind(reason)
    .bind(now.as_millisecond())
    .bind(task)
    .execute(&mut *conn)
    .await?
    .rows_affected())
}
