//! The classification gate: what of a row may go on. It stands between the reader and everything else.
//!
//! Luật 117/2025/QH15, Điều 5: secret documents are not kept on a networked machine. Of a row of level mật or above, or
//! of a level that cannot be read, number, abstract, work, issuer, signer, notes and result are dropped here, before
//! anything is written, formatted or compared with what is stored. What stays are the columns in [`KEPT`]; even of
//! those no typed value may be shown.

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    cells::read_secrecy,
    columns::{Column, Columns},
    table::{Cell, Row},
};
use crate::planning::{fold::fold, task::Secrecy};

/// What is read of a classified row. Everything else, known or unknown, is as if it were not there.
pub const KEPT: &[Column] = &[
    Column::Code,
    Column::Lead,
    Column::Coordinators,
    Column::Handler,
    Column::HandlerEmail,
    Column::HandlerPhone,
    Column::Monitor,
    Column::AssignedOn,
    Column::Due,
    Column::ReportDue,
    Column::Urgency,
    Column::Secrecy,
    Column::State,
    Column::CompletedOn,
    Column::Extensions,
    Column::OriginalDue,
    Column::Urgings,
    Column::LastUpdate,
    // Read for its block only, by `assigner_block`.
    Column::Assigner,
];

static EMPTY: Cell = Cell::Empty;

/// A row behind the gate: the only way the interpreter gets at cells.
#[derive(Clone, Copy)]
pub struct Gated<'a> {
    row: &'a Row,
    columns: &'a Columns,
    pub secrecy: Secrecy,
}

impl<'a> Gated<'a> {
    /// Decides the row's level before anything else is looked at. A file without the column counts as open: that it
    /// may is decided by whoever opens it.
    pub fn new(row: &'a Row, columns: &'a Columns) -> Self {
        let secrecy = match columns.place(Column::Secrecy) {
            None => Secrecy::Open,
            Some(at) => row.cells.get(at).map_or(Secrecy::TopSecret, read_secrecy),
        };
        let secrecy = if secrecy == Secrecy::Open && has_strayed(row, columns) { Secrecy::TopSecret } else { secrecy };
        Self { row, columns, secrecy }
    }

    /// The row as a person counts it.
    pub fn number(&self) -> u32 {
        self.row.number
    }

    /// Whether no typed value of this row may be shown.
    pub fn is_classified(&self) -> bool {
        self.secrecy.is_classified()
    }

    /// A cell, or an empty one where the file has no such column or the gate keeps it back.
    pub fn cell(&self, column: Column) -> &'a Cell {
        if self.is_classified() && !KEPT.contains(&column) {
            return &EMPTY;
        }
        self.columns.place(column).and_then(|at| self.row.cells.get(at)).unwrap_or(&EMPTY)
    }

    /// Whether cells are blank, whatever the level: it tells a merged cell, nothing of its content.
    pub fn is_blank(&self, columns: &[Column]) -> bool {
        columns
            .iter()
            .all(|column| self.columns.place(*column).and_then(|at| self.row.cells.get(at)).is_none_or(Cell::is_blank))
    }

    /// What was typed, as a message may show it: nothing of a classified row, and never more than a line of others.
    pub fn shown(&self, typed: &str) -> String {
        if self.is_classified() {
            return "(không hiển thị)".to_owned();
        }
        let text = super::cells::clean_text(typed);
        match text.char_indices().nth(120) {
            Some((end, _)) => format!("“{}…”", &text[..end]),
            None => format!("“{text}”"),
        }
    }
}

/// Whether a level of secrecy stands in another column: cells are shifted, so nothing in the row is where it seems.
fn has_strayed(row: &Row, columns: &Columns) -> bool {
    static WORDS: LazyLock<[String; 3]> = LazyLock::new(|| ["mật", "tối mật", "tuyệt mật"].map(fold));
    let letters = [Column::Urgency, Column::State].map(|column| columns.place(column));
    row.cells.iter().enumerate().any(|(at, cell)| {
        let Cell::Text(text) = cell else { return false };
        // Longer texts are no level; folding them would cost.
        if text.len() > 40 {
            return false;
        }
        let text = fold(text);
        WORDS.contains(&text) || letters.contains(&Some(at)) && matches!(text.as_str(), "a" | "b" | "c")
    })
}

/// Keyed digests: identities from which the text cannot be found again without the database's key.
#[derive(Clone)]
pub struct Keyed {
    /// With the key taken in already.
    mac: Hmac<Sha256>,
}

impl Keyed {
    pub fn new(key: [u8; 32]) -> Self {
        Self { mac: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length") }
    }

    /// The first `bytes` bytes of the HMAC-SHA256 over length-prefixed parts, in hex.
    pub fn digest(&self, bytes: usize, parts: &[&str]) -> String {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        hex::encode(&mac.finalize().into_bytes()[..bytes.min(32)])
    }

    /// `MAT-7F3A01B2`: a classified task's identity, the same in each import.
    pub fn classified_code(&self, code: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(fold(code).as_bytes());
        format!("MAT-{}", hex::encode_upper(&mac.finalize().into_bytes()[..4]))
    }
}
