//! From facts to an entry of the register and back: numbering, names of persons, file names, withdrawal.
//!
//! Names never enter the register: its facts hold a salted hash, the name stands beside and can be erased. A classified
//! task's notice is an entry without content and without files.

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use super::register::{Entry, Fields, Kind, NotCanonical, hex_sha256, salted};
use crate::{
    clock::millis,
    message::facts::{DocumentFacts, NoticeFacts, NoticeSeal},
    store::register::{
        EntryPlace, FileKind, NewNotice, NoticeDetail, NoticeKey, NoticePlace, NoticeRow, Personal, PersonalRow,
        RegisterRow, SealedEntry, SealedNotice, SealedWithdrawal,
    },
};

/// What stands where a name was erased.
pub const ERASED: &str = "(đã xóa)";

/// A stored notice that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    #[error("the facts of notice {id} cannot be read: {why}; run `dondoc register verify`")]
    Facts { id: i64, why: String },
    #[error("entry {seq} of the register cannot be read: {why}; run `dondoc register verify`")]
    Entry { seq: i64, why: NotCanonical },
}

/// A withdrawal as people read it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Withdrawal {
    pub seq: i64,
    pub hash: String,
    #[serde(skip)]
    pub at: jiff::Timestamp,
    /// Empty for a classified task's notice: the reason may not be kept.
    pub reason: String,
    pub document: String,
    pub by: String,
}

/// A notice to be filed. `facts.number` is set when the number is allocated; the year of numbering is that of
/// `facts.filed_at` (local). Of a classified task everything that could be content is dropped here once more.
pub fn new_notice(key: NoticeKey, due_at: jiff::Timestamp, mut facts: NoticeFacts, number_prefix: &str) -> NewNotice {
    if facts.secrecy.is_classified() {
        drop_content(&mut facts);
    }
    let year = facts.filed_at.year();
    let prefix = number_prefix.to_owned();
    NewNotice { key, due_at, year, draft: Box::new(move |place| draw_up(&facts, &prefix, place)) }
}

fn drop_content(facts: &mut NoticeFacts) {
    facts.document = DocumentFacts::default();
    for text in [&mut facts.work, &mut facts.assigner, &mut facts.explanation, &mut facts.deadline_basis] {
        text.clear();
    }
    for extension in &mut facts.extensions {
        extension.paper.clear();
        extension.approver.clear();
    }
    for urging in &mut facts.urgings {
        urging.outcome.clear();
    }
}

fn draw_up(facts: &NoticeFacts, prefix: &str, place: &NoticePlace<'_>) -> Result<SealedNotice, String> {
    let mut facts = facts.clone();
    facts.number = format!("{prefix}{:04}/{}", place.number, place.year);
    let files = if facts.secrecy.is_classified() {
        Vec::new()
    } else {
        let stem = file_stem(&facts, place.year, place.number);
        vec![(FileKind::Html, format!("{stem}.html")), (FileKind::Json, format!("{stem}.json"))]
    };
    let personal: Vec<Personal> = names(&mut facts)
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(field, name)| salt_away(field, name))
        .collect();
    let text = serde_json::to_string(&facts).map_err(|error| error.to_string())?;
    let facts_hash = hex_sha256(text.as_bytes());
    let key = place.key;
    let entry = Entry::seal(Kind::Notice, place.entry.seq, place.entry.prev, place.entry.at, |fields| {
        fields
            .with("number", &facts.number)
            .with("year", place.year)
            .with("serial", place.number)
            .with("task", key.task.0)
            .with("task_code", &facts.task)
            .with("clock", key.clock)
            .with("arming", key.arming)
            .with("agency", key.agency.0)
            .with("agency_code", &facts.agency_code)
            .with("rule", &key.rule)
            .with("step", &key.step)
            .with("occurrence", key.occurrence)
            .with("due_at", place.due_at.as_millisecond())
            .with("facts_hash", &facts_hash)
    });
    Ok(SealedNotice { entry: sealed(entry, personal), facts: text, facts_hash, files })
}

/// The fields of a notice's entry that repeat a column of its row, with what the row says.
pub(super) fn row_fields(row: &NoticeRow) -> [(&'static str, String); 12] {
    [
        ("at", row.filed_at.to_string()),
        ("year", row.year.to_string()),
        ("serial", row.number.to_string()),
        ("task", row.task.to_string()),
        ("clock", row.clock.clone()),
        ("arming", row.arming.to_string()),
        ("agency", row.agency.to_string()),
        ("rule", row.rule.clone()),
        ("step", row.step.clone()),
        ("occurrence", row.occurrence.to_string()),
        ("due_at", row.due_at.to_string()),
        ("facts_hash", row.facts_hash.clone()),
    ]
}

fn sealed(entry: Entry, personal: Vec<Personal>) -> SealedEntry {
    SealedEntry { kind: entry.kind, format: entry.format, fields: entry.fields, hash: entry.hash, personal }
}

/// Where facts name persons, as JSON pointers with the texts.
fn names(facts: &mut NoticeFacts) -> Vec<(String, &mut String)> {
    let mut names = vec![
        ("/head/name".to_owned(), &mut facts.head.name),
        ("/document/signer".to_owned(), &mut facts.document.signer),
    ];
    for (n, extension) in facts.extensions.iter_mut().enumerate() {
        names.push((format!("/extensions/{n}/approver"), &mut extension.approver));
    }
    names
}

/// Replaces a name by its salted hash and gives what is kept beside.
fn salt_away(field: String, name: &mut String) -> Personal {
    let salt = uuid::Uuid::new_v4().into_bytes();
    let hashed = salted(&salt, &field, name);
    Personal { field, salt, value: std::mem::replace(name, hashed) }
}

/// The facts of a stored notice with the names in their places, or [`ERASED`].
pub fn facts(notice: &NoticeDetail) -> Result<NoticeFacts, NoticeError> {
    let fail = |error: serde_json::Error| NoticeError::Facts { id: notice.notice.id, why: error.to_string() };
    let mut facts: Value = serde_json::from_str(&notice.notice.facts).map_err(fail)?;
    for PersonalRow { field, value, .. } in &notice.entry.personal {
        if let Some(place) = facts.pointer_mut(field) {
            *place = Value::String(value.clone().unwrap_or_else(|| ERASED.into()));
        }
    }
    serde_json::from_value(facts).map_err(fail)
}

/// Where a stored notice stands in the register.
pub fn seal(notice: &NoticeDetail) -> NoticeSeal {
    NoticeSeal {
        seq: notice.entry.seq,
        hash: notice.entry.hash.clone(),
        prev: notice.entry.prev.clone(),
        facts_hash: notice.notice.facts_hash.clone(),
    }
}

/// The withdrawal of a stored notice, if it was withdrawn.
pub fn withdrawal(notice: &NoticeDetail) -> Result<Option<Withdrawal>, NoticeError> {
    notice.withdrawal.as_ref().map(read_withdrawal).transpose()
}

fn read_withdrawal(entry: &RegisterRow) -> Result<Withdrawal, NoticeError> {
    let fields = Fields::decode(&entry.fields).map_err(|why| NoticeError::Entry { seq: entry.seq, why })?;
    let text = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    let by = match entry.personal.iter().find(|name| name.field == "by") {
        Some(PersonalRow { value, .. }) => value.clone().unwrap_or_else(|| ERASED.into()),
        None => text("by"),
    };
    Ok(Withdrawal {
        seq: entry.seq,
        hash: entry.hash.clone(),
        at: millis(entry.at),
        reason: text("reason"),
        document: text("document"),
        by,
    })
}

/// Draws up the withdrawal of a notice: an entry of its own, and files beside the first ones, which stay untouched.
/// For a classified task's notice neither reason nor document is kept: typed by hand, they may quote the secret paper.
pub fn draw_up_withdrawal(
    notice: &NoticeDetail,
    place: &EntryPlace,
    reason: &str,
    document: &str,
    by: &str,
) -> Result<SealedWithdrawal, String> {
    let facts = facts(notice).map_err(|error| error.to_string())?;
    let (reason, document) = if facts.secrecy.is_classified() { ("", "") } else { (reason, document) };
    let mut by = by.to_owned();
    let personal = if by.is_empty() { Vec::new() } else { vec![salt_away("by".into(), &mut by)] };
    let entry = Entry::seal(Kind::Withdrawal, place.seq, place.prev, place.at, |fields| {
        fields
            .with("number", &facts.number)
            .with("notice_seq", notice.notice.seq)
            .with("notice_hash", &notice.entry.hash)
            .with("reason", reason)
            .with("document", document)
            .with("by", &by)
    });
    // Named after the file that stands there, so that both lie together in the folder.
    let beside = |kind: FileKind, end: &str, new: FileKind| {
        let first = notice.files.iter().find(|file| file.kind == kind)?;
        Some((new, format!("{}_rut{end}", first.path.strip_suffix(end)?)))
    };
    let files = [
        beside(FileKind::Html, ".html", FileKind::WithdrawnHtml),
        beside(FileKind::Json, ".json", FileKind::WithdrawnJson),
    ];
    Ok(SealedWithdrawal { entry: sealed(entry, personal), files: files.into_iter().flatten().collect() })
}

/// `0007/2026`, `7/2026`, `0007-2026`, each with or without the office's prefix: the year and the number within it.
pub fn parse_number(text: &str) -> Option<(i16, i64)> {
    let (number, year) = text.trim().rsplit_once(['/', '-'])?;
    let digits = number.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = &number[digits.len()..];
    if year.len() != 4 || !year.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some((year.parse().ok()?, number.parse().ok()?))
}

/// `2026/11/0007-2026_NV26-000123_SNV`: folder by year and month of filing; safe ASCII, no title in it.
fn file_stem(facts: &NoticeFacts, year: i16, number: i64) -> String {
    let agency = if facts.agency_code.trim().is_empty() { &facts.agency } else { &facts.agency_code };
    format!(
        "{:04}/{:02}/{number:04}-{year}_{}_{}",
        facts.filed_at.year(),
        facts.filed_at.month(),
        ascii(&facts.task),
        ascii(agency)
    )
}

/// Letters without their marks, digits; every run of anything else becomes one hyphen. At most 40 characters, never
/// empty, never beginning with a dot or a hyphen.
fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.nfd() {
        let c = match c {
            'đ' => 'd',
            'Đ' => 'D',
            c if unicode_normalization::char::is_combining_mark(c) => continue,
            c => c,
        };
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(40);
    let out = out.trim_end_matches('-');
    if out.is_empty() { "x".into() } else { out.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_ascii_whatever_a_code_holds() {
        for (text, name) in [
            ("NV26-000123", "NV26-000123"),
            ("Sở Nội vụ", "So-Noi-vu"),
            ("Đặng/../../etc", "Dang-etc"),
            ("..\\con\u{202e}\n", "con"),
            ("越南", "x"),
            ("", "x"),
        ] {
            assert_eq!(ascii(text), name, "{text:?}");
        }
        assert_eq!(ascii(&"a b".repeat(100)).len(), 40);
    }

    #[test]
    fn a_number_is_read_in_every_form_it_is_printed_in() {
        for (text, read) in [
            ("0007/2026", Some((2026, 7))),
            (" 7/2026 ", Some((2026, 7))),
            ("0007-2026", Some((2026, 7))),
            ("PB-0012/2027", Some((2027, 12))),
            ("12345/2026", Some((2026, 12345))),
            ("0007", None),
            ("0007/26", None),
            ("/2026", None),
            ("x/2026", None),
            ("7/+026", None),
        ] {
            assert_eq!(parse_number(text), read, "{text:?}");
        }
    }
}
