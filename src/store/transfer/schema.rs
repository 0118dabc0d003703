//! What there is to carry, read from both schemas.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, PgConnection, Row, SqliteConnection};

use crate::store::{Result, StoreError};

/// Filled by the migrations themselves or by a first start: what stands in them does not make a database an office's.
const SEEDED: [&str; 4] = ["meta", "mark", "instance", "register_head"];

/// A table of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    pub columns: Vec<String>,
    /// Its primary key's columns, in order.
    pub key: Vec<String>,
}

/// Every table of the source, each after those it refers to. Names come out of our own migrations, so that they may be
/// written into statements.
pub(super) async fn tables(source: &mut SqliteConnection) -> Result<Vec<Table>> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
         AND name <> '_sqlx_migrations' ORDER BY name",
    )
    .fetch_all(&mut *source)
    .await?;
    let mut waiting: BTreeMap<String, (Table, BTreeSet<String>)> = BTreeMap::new();
    for name in names {
        plain(&name)?;
        let rows = sqlx::query("SELECT name, pk FROM pragma_table_info($1) ORDER BY cid")
            .bind(&name)
            .fetch_all(&mut *source)
            .await?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        for row in &rows {
            let (column, place): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            plain(&column)?;
            if place > 0 {
                key.push((place, column.clone()));
            }
            columns.push(column);
        }
        key.sort();
        let key = key.into_iter().map(|(_, column)| column).collect();
        let refers: Vec<String> = sqlx::query_scalar("SELECT DISTINCT \"table\" FROM pragma_foreign_key_list($1)")
            .bind(&name)
            .fetch_all(&mut *source)
            .await?;
        // One that refers to itself goes in one statement, at whose end that is looked at.
        let refers = refers.into_iter().filter(|other| *other != name).collect();
        waiting.insert(name.clone(), (Table { name, columns, key }, refers));
    }
    let mut ordered: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let free = waiting
            .iter()
            .find(|(_, (_, refers))| refers.iter().all(|other| ordered.iter().any(|table| table.name == *other)))
            .map(|(name, _)| name.clone())
            .ok_or_else(|| StoreError::Refused("tables refer to each other in a circle".to_owned()))?;
        ordered.extend(waiting.remove(&free).map(|(table, _)| table));
    }
    Ok(ordered)
}

fn plain(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') && !name.is_empty();
    if plain {
        Ok(())
    } else {
        Err(StoreError::Refused(format!("this database has a table or column that is not ours: {name:?}")))
    }
}

/// The target has a place for everything, and nothing in it.
pub(super) async fn check_empty(target: &mut PgConnection, from: &[Table]) -> Result<()> {
    for table in from {
        let there = column_types(target, &table.name).await?;
        if let Some(missing) = table.columns.iter().find(|column| !there.contains_key(*column)) {
            return Err(StoreError::Refused(format!(
                "the target has no column {}.{missing}: the two databases are not of one version; run `dondoc db migrate` \
                 on the older one",
                table.name
            )));
        }
        let filled = match table.name.as_str() {
            "register_head" => "SELECT EXISTS (SELECT 1 FROM register_head WHERE seq > 0)".to_owned(),
            name if SEEDED.contains(&name) => continue,
            name => format!("SELECT EXISTS (SELECT 1 FROM {name})"),
        };
        if sqlx::query_scalar(AssertSqlSafe(filled)).fetch_one(&mut *target).await? {
            return Err(StoreError::Refused(format!(
                "the target is not empty: there are rows in {}; give the address of a new database",
                table.name
            )));
        }
    }
    Ok(())
}

/// Nobody else reads or writes there until the transaction ends; what a first start put in is taken out.
pub(super) async fn lock(target: &mut PgConnection, from: &[Table]) -> Result<()> {
    let names: Vec<&str> = from.iter().map(|table| table.name.as_str()).collect();
    let statement = format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", names.join(", "));
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *target).await?;
    for seeded in from.iter().filter(|table| SEEDED.contains(&table.name.as_str())) {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {}", seeded.name))).execute(&mut *target).await?;
    }
    Ok(())
}

/// The types of a target table's columns.
pub(super) async fn column_types(target: &mut PgConnection, table: &str) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND table_name = $1",
    )
    .bind(table)
    .fetch_all(target)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Columns of the target that number their rows themselves: (table, column).
pub(super) async fn identities(target: &mut PgConnection) -> Result<Vec<(String, String)>> {
    Ok(sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND (is_identity = 'YES' OR column_default LIKE 'nextval(%') ORDER BY 1, 2",
    )
    .fetch_all(target)
    .await?)
}
