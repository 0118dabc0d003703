//! Rows on their way: PostgreSQL's text format of COPY, written as PostgreSQL itself writes it, so that what arrived can
//! be compared with what left.

use std::fmt::Write;

use futures_util::TryStreamExt;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection, Row, SqliteConnection, TypeInfo, ValueRef, sqlite::SqliteRow};

use super::{
    schema::{Table, column_types},
    stays,
};
use crate::store::{Result, StoreError};

/// Sent to the server at once.
const PIECE: usize = 256 * 1024;

/// A table's content, whatever the order of its rows: their number, and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub rows: u64,
    sum: u128,
}

impl Digest {
    fn add(&mut self, line: &[u8]) {
        let hash: [u8; 32] = Sha256::digest(line).into();
        let (half, _) = hash.split_at(16);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half.try_into().unwrap_or_default()));
    }
}

/// How a value is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Truth,
    Text,
    Bytes,
}

impl Kind {
    fn of(data_type: &str) -> Option<Self> {
        Some(match data_type {
            "bigint" | "integer" | "smallint" => Self::Whole,
            "boolean" => Self::Truth,
            "text" => Self::Text,
            "bytea" => Self::Bytes,
            _ => return None,
        })
    }
}

/// Carries a table's rows; `replaced` counts the texts that PostgreSQL would not take as they are.
pub(super) async fn copy(
    source: &mut SqliteConnection,
    target: &mut PgConnection,
    table: &Table,
    replaced: &mut u64,
) -> Result<Digest> {
    let types = column_types(target, &table.name).await?;
    let mut kinds = Vec::new();
    for column in &table.columns {
        let data_type = types.get(column).map_or("", String::as_str);
        let unknown =
            || StoreError::Refused(format!("{}.{column} is of a type not known here: {data_type}", table.name));
        kinds.push(Kind::of(data_type).ok_or_else(unknown)?);
    }
    let columns = table.columns.join(", ");
    let mut read = format!("SELECT {columns} FROM {}", table.name);
    if let Some(condition) = stays(&table.name) {
        let _ = write!(read, " WHERE NOT ({condition})");
    }
    if !table.key.is_empty() {
        let _ = write!(read, " ORDER BY {}", table.key.join(", "));
    }
    let mut digest = Digest::default();
    let mut writing = target.copy_in_raw(&format!("COPY {}({columns}) FROM STDIN", table.name)).await?;
    let mut piece: Vec<u8> = Vec::with_capacity(PIECE * 2);
    let mut line = Vec::new();
    let mut rows = sqlx::query(AssertSqlSafe(read)).fetch(source);
    loop {
        let written = match rows.try_next().await {
            Ok(None) => break,
            Ok(Some(row)) => write_row(&mut line, &row, table, &kinds, replaced),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            // Else the connection would wait for the rest.
            let _ = writing.abort("a row could not be read").await;
            return Err(error);
        }
        digest.add(&line);
        piece.extend_from_slice(&line);
        piece.push(b'\n');
        if piece.len() >= PIECE {
            writing.send(piece.as_slice()).await?;
            piece.clear();
        }
    }
    writing.send(piece.as_slice()).await?;
    writing.finish().await?;
    Ok(digest)
}

/// What stands in a target table, in the columns that were carried.
pub(super) async fn read_back(target: &mut PgConnection, table: &Table) -> Result<Digest> {
    let statement = format!("COPY {}({}) TO STDOUT", table.name, table.columns.join(", "));
    let mut digest = Digest::default();
    let mut stream = target.copy_out_raw(&statement).await?;
    let mut rest: Vec<u8> = Vec::new();
    while let Some(chunk) = stream.try_next().await? {
        rest.extend_from_slice(&chunk);
        let mut begin = 0;
        while let Some(end) = rest[begin..].iter().position(|byte| *byte == b'\n') {
            digest.add(&rest[begin..begin + end]);
            begin += end + 1;
        }
        rest.drain(..begin);
    }
    Ok(digest)
}

/// A row as one line, without its end.
fn write_row(line: &mut Vec<u8>, row: &SqliteRow, table: &Table, kinds: &[Kind], replaced: &mut u64) -> Result<()> {
    line.clear();
    for (n, kind) in kinds.iter().enumerate() {
        if n > 0 {
            line.push(b'\t');
        }
        let raw = row.try_get_raw(n)?;
        if raw.is_null() {
            line.extend_from_slice(b"\\N");
            continue;
        }
        // The value's own type: SQLite holds a column to nothing.
        let stored = raw.type_info().name().to_owned();
        let damaged =
            |what: &str| StoreError::Refused(format!("damaged value in {}.{}: {what}", table.name, table.columns[n]));
        match (kind, stored.as_str()) {
            (Kind::Whole, "INTEGER") => {
                let value: i64 = row.try_get_unchecked(n)?;
                line.extend_from_slice(value.to_string().as_bytes());
            }
            (Kind::Truth, "INTEGER" | "BOOLEAN") => match row.try_get_unchecked::<i64, _>(n)? {
                0 => line.push(b'f'),
                1 => line.push(b't'),
                _ => return Err(damaged("neither yes nor no")),
            },
            (Kind::Text, "TEXT") => {
                let value: &str = row.try_get_unchecked(n)?;
                *replaced += u64::from(write_text(line, value));
            }
            (Kind::Bytes, "BLOB") => {
                let value: &[u8] = row.try_get_unchecked(n)?;
                line.extend_from_slice(b"\\\\x");
                line.extend_from_slice(hex::encode(value).as_bytes());
            }
            _ => return Err(damaged(&format!("it holds {stored}"))),
        }
    }
    Ok(())
}

/// As PostgreSQL's `CopyAttributeOutText` writes it; whether a NUL had to be replaced.
fn write_text(line: &mut Vec<u8>, text: &str) -> bool {
    let mut replaced = false;
    for byte in text.bytes() {
        let short = match byte {
            0 => {
                replaced = true;
                line.extend_from_slice("\u{FFFD}".as_bytes());
                continue;
            }
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0B => b'v',
            b'\\' => b'\\',
            plain => {
                line.push(plain);
                continue;
            }
        };
        line.extend_from_slice(&[b'\\', short]);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (String, bool) {
        let mut line = Vec::new();
        let replaced = write_text(&mut line, text);
        (String::from_utf8(line).unwrap(), replaced)
    }

    #[test]
    fn text_is_written_as_the_server_writes_it() {
        for (text, expected) in [
            ("Sở Nội vụ", "Sở Nội vụ"),
            ("a\tb\nc\rd\\e", "a\\tb\\nc\\rd\\\\e"),
            ("\u{8}\u{B}\u{C}", "\\b\\v\\f"),
            // Not an absent value: those are written without the backslash being doubled.
            ("\\N", "\\\\N"),
        ] {
            assert_eq!(written(text), (expected.to_owned(), false));
        }
        assert_eq!(written("a\0b"), ("a\u{FFFD}b".to_owned(), true));
    }

    #[test]
    fn a_digest_sees_every_difference_but_the_order() {
        let of = |lines: &[&str]| {
            let mut digest = Digest::default();
            lines.iter().for_each(|line| digest.add(line.as_bytes()));
            digest
        };
        assert_eq!(of(&["1\ta", "2\tb"]), of(&["2\tb", "1\ta"]));
        for other in [&["1\ta"][..], &["1\ta", "2\tc"], &["1\ta", "2\tb", "2\tb"], &["1\tb", "2\ta"]] {
            assert_ne!(of(&["1\ta", "2\tb"]), of(other));
        }
    }
}
