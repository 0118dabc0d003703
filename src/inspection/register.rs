//! The register's entries: how one is written down and hashed. Pure; appending is the store's, checking is `verify`'s.
//!
//! `hash = SHA-256(0x00 ‖ format ‖ seq ‖ prev ‖ fields)` with format as 4 bytes and seq as 8 bytes, both big-endian,
//! prev as 32 bytes (zeros before the first entry), and fields as name, value, name, value …, each as its length in
//! bytes (4 bytes, big-endian) and its UTF-8. The first two fields are always `kind` and `at` (unix milliseconds,
//! decimal), so nothing that stands in an entry's row is outside the hash. With these lines and any SHA-256 the
//! register can be checked without this program.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::planning::task::word_enum;

/// The form of entries written today. Another form gets another number; entries of this one stay as they are.
pub const FORMAT: u32 = 1;

/// What stands for the hash of the entry before the first.
pub const GENESIS: [u8; 32] = [0; 32];

word_enum!(/// What an entry records. Kinds this program does not know are still checked as links of the chain.
    Kind { /// phiếu báo nhiệm vụ quá hạn
        Notice = "notice", /// rút phiếu báo
        Withdrawal = "withdrawal" });

/// An entry's fields: named texts in the order in which they are hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// Bytes that are not what [`Fields::encode`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    #[error("a length points past the end")]
    Length,
    #[error("a field is not UTF-8")]
    Text,
    #[error("a field without a value")]
    Value,
    #[error("a name stands twice")]
    Twice,
    #[error("the first two fields are not kind and at")]
    Start,
}

impl Fields {
    /// The fields every entry begins with.
    pub fn new(kind: &str, at: Timestamp) -> Self {
        Self(vec![("kind".into(), kind.into()), ("at".into(), at.as_millisecond().to_string())])
    }

    /// Adds a field. A name is used once.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        debug_assert!(self.get(name).is_none(), "the field {name} stands twice");
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// A field's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The bytes that are stored and hashed.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for text in self.0.iter().flat_map(|(name, value)| [name, value]) {
            put(&mut bytes, text);
        }
        bytes
    }

    /// Reads stored bytes back. Exactly one sequence of bytes stands for a list of fields, so decoding and encoding
    /// again gives the same bytes.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, NotCanonical> {
        let mut texts = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>().ok_or(NotCanonical::Length)?;
            let length = u32::from_be_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or(NotCanonical::Length)?;
            texts.push(String::from_utf8(text.to_vec()).map_err(|_| NotCanonical::Text)?);
            bytes = rest;
        }
        let mut fields: Vec<(String, String)> = Vec::with_capacity(texts.len() / 2);
        let mut texts = texts.into_iter();
        while let Some(name) = texts.next() {
            if fields.iter().any(|(own, _)| *own == name) {
                return Err(NotCanonical::Twice);
            }
            fields.push((name, texts.next().ok_or(NotCanonical::Value)?));
        }
        match fields.as_slice() {
            [(kind, _), (at, _), ..] if kind == "kind" && at == "at" => Ok(Self(fields)),
            _ => Err(NotCanonical::Start),
        }
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    // A text of 4 GB cannot come here: SQLite's rows end at 1 GB.
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// One link of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1, gapless.
    pub seq: i64,
    pub kind: String,
    pub at: Timestamp,
    pub format: u32,
    pub prev: [u8; 32],
    /// Exactly what was hashed.
    pub fields: Vec<u8>,
    pub hash: [u8; 32],
}

impl Entry {
    /// Writes an entry down and hashes it for its place.
    pub fn seal(kind: Kind, seq: i64, prev: [u8; 32], at: Timestamp, more: impl FnOnce(Fields) -> Fields) -> Self {
        let fields = more(Fields::new(kind.as_str(), at)).encode();
        let hash = hash(FORMAT, seq, &prev, &fields);
        Self { seq, kind: kind.as_str().into(), at, format: FORMAT, prev, fields, hash }
    }
}

/// The hash of an entry of form [`FORMAT`] (the number is hashed too).
pub fn hash(format: u32, seq: i64, prev: &[u8; 32], fields: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update([0])
        .chain_update(format.to_be_bytes())
        .chain_update(seq.to_be_bytes())
        .chain_update(prev)
        .chain_update(fields)
        .finalize()
        .into()
}

/// What stands in an entry for a person's name: `#` and the hex of SHA-256(0x01 ‖ salt ‖ field ‖ value), field and value
/// each with its length in front as in an entry. Without the salt nobody can try names against it.
pub fn salted(salt: &[u8], field: &str, value: &str) -> String {
    let mut bytes = vec![1];
    bytes.extend(salt);
    put(&mut bytes, field);
    put(&mut bytes, value);
    format!("#{}", hex_sha256(&bytes))
}

/// SHA-256 as lower-case hex.
pub fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at() -> Timestamp {
        "2026-11-25T08:00:02+07:00".parse().unwrap()
    }

    /// Worked out with Python's hashlib and struct (`b"\0" + pack(">IQ", 1, seq) + prev + fields`), not with this code.
    #[test]
    fn hashes_are_those_another_program_computes() {
        let first = Entry::seal(Kind::Notice, 1, GENESIS, at(), |fields| {
            fields.with("number", "0007/2026").with("agency", "Sở Nội vụ").with("empty", "")
        });
        assert_eq!(hex::encode(first.hash), "2e5db0158638e4486bd7e36df050f553aaf36bb6fbe02bb255469d9c2d2b2fc1");
        let second =
            Entry::seal(Kind::Withdrawal, 2, first.hash, at(), |fields| fields.with("reason", "nhập sai ngày"));
        assert_eq!(hex::encode(second.hash), "05dcc90cb9b165e5e5bbfe70ba27ffa9c1c2b1e6dc893d64d6cc4c4a405d663a");
        let salt: Vec<u8> = (0..16).collect();
        assert_eq!(
            salted(&salt, "/head/name", "Nguyễn Văn A"),
            "#6b1da0072305d3371682ba064aa535d47c1297af592bdfdd3f41b4c4bbc8f43b"
        );
    }

    #[test]
    fn where_one_field_ends_is_part_of_the_hash() {
        let seal = |a: &str, b: &str| {
            Entry::seal(Kind::Notice, 1, GENESIS, at(), |fields| fields.with("a", a).with("b", b)).hash
        };
        assert_ne!(seal("xy", "z"), seal("x", "yz"));
        assert_ne!(seal("", "z"), seal("z", ""));
    }

    #[test]
    fn bytes_that_are_not_canonical_are_refused() {
        let good = Fields::new("notice", at()).with("a", "b").encode();
        assert_eq!(Fields::decode(&good[..good.len() - 1]), Err(NotCanonical::Length));
        assert_eq!(Fields::decode(&[good.as_slice(), &[0, 0, 0, 0]].concat()), Err(NotCanonical::Value));
        assert_eq!(Fields::decode(&[good.as_slice(), &[0, 0, 0]].concat()), Err(NotCanonical::Length));
        let twice = [0, 0, 0, 1, b'a', 0, 0, 0, 1, b'c'];
        assert_eq!(Fields::decode(&[good.as_slice(), &twice].concat()), Err(NotCanonical::Twice));
        assert_eq!(Fields::decode(&twice), Err(NotCanonical::Start));
        assert_eq!(Fields::decode(&[]), Err(NotCanonical::Start));
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(noise in proptest::collection::vec(any::<u8>(), 0..40), cut in 0usize..60) {
            let mut bytes = Fields::new("notice", at()).with("số", "7").encode();
            bytes.truncate(cut.max(8));
            bytes.extend(noise);
            if let Ok(fields) = Fields::decode(&bytes) {
                prop_assert_eq!(fields.encode(), bytes);
            }
        }

        #[test]
        fn fields_read_back(values in proptest::collection::vec(".*", 0..6)) {
            let fields = values.iter().enumerate().fold(Fields::new("notice", at()), |fields, (n, value)| {
                fields.with(&format!("f{n}"), value)
            });
            prop_assert_eq!(Fields::decode(&fields.encode()), Ok(fields));
        }
    }
}
