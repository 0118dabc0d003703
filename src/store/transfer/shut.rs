//! Nothing is written any more into a database that goes elsewhere: triggers of its own refuse it, set in the transaction
//! that marks it. So whoever had opened it before is refused as well, and nobody who writes into one that serves pays for
//! the question.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::{COMPLETE, schema::tables};
use crate::store::Result;

/// What such a trigger's name begins with.
const NAME: &str = "moved_away_";

/// Refuses every write from the commit on, except the mark that the move is complete.
pub(super) async fn shut(source: &mut SqliteConnection, to: &str) -> Result<()> {
    let line = format!("this database is moved to {to}: set store.url to that; nothing is written here any more");
    let line = line.replace('\'', "''");
    for table in tables(source).await? {
        let table = table.name;
        for act in ["INSERT", "UPDATE", "DELETE"] {
            let except = match (table.as_str(), act) {
                ("mark", "INSERT" | "UPDATE") => format!("WHEN NEW.name <> '{COMPLETE}'"),
                _ => String::new(),
            };
            let statement = format!(
                "CREATE TRIGGER {NAME}{table}_{act} BEFORE {act} ON {table} {except} BEGIN SELECT RAISE(ABORT, '{line}'); END"
            );
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *source).await?;
        }
    }
    Ok(())
}

/// It may be written again.
pub(super) async fn unshut(source: &mut SqliteConnection) -> Result<()> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND substr(name, 1, length($1)) = $1",
    )
    .bind(NAME)
    .fetch_all(&mut *source)
    .await?;
    for name in names {
        sqlx::query(AssertSqlSafe(format!("DROP TRIGGER {name}"))).execute(&mut *source).await?;
    }
    Ok(())
}
