//! Reading columns into the domain's types. A value this program does not write is damage, and named as such.

use jiff::{
    Timestamp,
    civil::{Date, Time},
};
use sqlx::Row;
use uuid::Uuid;

use super::DbRow;
use crate::{
    clock::millis,
    store::{Result, StoreError},
};

/// A column's text read by one of the `from_word` functions.
pub(super) fn word<T>(row: &DbRow, column: &'static str, read: fn(&str) -> Option<T>) -> Result<T> {
    let text: &str = row.try_get(column)?;
    read(text).ok_or_else(|| damaged(column, text))
}

/// An optional ISO date.
pub(super) fn date(row: &DbRow, column: &'static str) -> Result<Option<Date>> {
    let text: Option<&str> = row.try_get(column)?;
    text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(|_| damaged(column, text))).transpose()
}

/// An optional ISO time of day.
pub(super) fn time(row: &DbRow, column: &'static str) -> Result<Option<Time>> {
    let text: Option<&str> = row.try_get(column)?;
    text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(|_| damaged(column, text))).transpose()
}

/// A number: every integer is stored in eight bytes, whatever is kept of it here.
pub(super) fn number<T: TryFrom<i64>>(row: &DbRow, column: &'static str) -> Result<T> {
    let number: i64 = row.try_get(column)?;
    T::try_from(number).map_err(|_| damaged(column, &number.to_string()))
}

/// An instant in unix milliseconds.
pub(super) fn instant(row: &DbRow, column: &'static str) -> Result<Timestamp> {
    Ok(millis(row.try_get(column)?))
}

/// An optional instant.
pub(super) fn instant_opt(row: &DbRow, column: &'static str) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(millis))
}

/// A column outside its words. The value is named only where it cannot be content: words and dates are ours.
pub(super) fn damaged(column: &'static str, value: &str) -> StoreError {
    StoreError::Damaged {
        table: column,
        what: format!("`{}` is not a value of this column", value.chars().take(40).collect::<String>()),
    }
}

/// A JSON array of numbers, for `json_each`: SQLite has no array parameters.
pub(super) fn ids(ids: impl IntoIterator<Item = i64>) -> String {
    serde_json::Value::from(ids.into_iter().collect::<Vec<i64>>()).to_string()
}

/// Rows as a JSON array of arrays, for `json_each`: of borrowed values, for a batch has thousands of them.
pub(super) fn list<T: serde::Serialize>(rows: &[T]) -> Result<String> {
    serde_json::to_string(rows).map_err(|error| StoreError::Refused(error.to_string()))
}

/// What stands in a message whose bytes stand in `letter`.
pub(super) const APART: &[u8] = b"\x01";

/// A message's bytes as read: never the mark in their place.
pub(super) fn whole(bytes: Option<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    match bytes {
        Some(bytes) if bytes == APART => Err(damaged("message.bytes", "a message whose letter is gone")),
        bytes => Ok(bytes),
    }
}

/// An attempt's token. It begins with the time: tokens are unique in an index, and those of one round stand together in
/// it, however many there are.
pub(super) fn token(now: Timestamp) -> String {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanoseconds)).simple().to_string()
}
