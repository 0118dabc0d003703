//! Whether anything in the register was touched: everything is computed again from the rows, in order, in flat memory.
//!
//! It proves that the rows fit one another and the head. It cannot show that a whole end of the register was cut off
//! together with its notices and its head, or that everything was computed anew: that takes a copy of an earlier head
//! that left the building, which [`VerifyReport::head`] can be compared with.

use std::{collections::HashMap, fmt};

use serde_json::Value;

use super::{
    notice::row_fields,
    register::{FORMAT, Fields, GENESIS, Kind, hash, hex_sha256, salted},
};
use crate::store::{
    Result,
    register::{NoticeRow, PersonalRow, RegisterHead, RegisterItem, RegisterRow, RegisterStore},
};

/// What does not hold. Displayed in the words an inspector reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// No entry with this seq.
    Missing,
    /// The row is not what the program writes.
    Unreadable(String),
    /// Written in a form that is newer than this program.
    Format(i64),
    /// The entry's own hash is not that of its content.
    Hash,
    /// It does not follow the entry before it.
    Prev,
    /// A column says something else than the hashed fields.
    Column(&'static str),
    /// The head row is not the last entry.
    Head,
    /// An entry after the head row's.
    BeyondHead,
    /// A notice's entry without its notice.
    NoticeMissing,
    /// A notice without its entry.
    NoticeExtra,
    /// The notice's row says something else than its entry.
    Notice(&'static str),
    /// The notice's facts are not those that were hashed.
    Facts,
    /// A name kept beside the entry is not the one that was hashed.
    Personal(String),
    /// The mark of withdrawal and the withdrawal's entry do not fit.
    Withdrawal,
    /// Numbers of a year do not run on.
    Number,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => f.write_str("mục này bị thiếu trong sổ"),
            Fault::Unreadable(what) => write!(f, "dòng này không đọc được ({what})"),
            Fault::Format(n) => write!(f, "mục này ghi theo dạng {n}, mới hơn chương trình; cần bản dondoc mới hơn"),
            Fault::Hash => f.write_str("nội dung của mục không khớp với mã băm của chính nó"),
            Fault::Prev => f.write_str("mục này không nối tiếp mục đứng trước (mã băm mục trước không khớp)"),
            Fault::Column(name) => write!(f, "cột “{name}” không khớp với nội dung đã băm của mục"),
            Fault::Head => f.write_str("dòng đầu sổ (register_head) không khớp với mục cuối cùng"),
            Fault::BeyondHead => f.write_str("mục này đứng sau mục cuối mà dòng đầu sổ ghi nhận"),
            Fault::NoticeMissing => f.write_str("mục ghi một phiếu báo nhưng không còn phiếu báo đó"),
            Fault::NoticeExtra => f.write_str("có phiếu báo không có mục tương ứng trong sổ"),
            Fault::Notice(name) => write!(f, "phiếu báo không khớp với mục của nó (cột “{name}”)"),
            Fault::Facts => f.write_str("nội dung phiếu báo đã bị thay đổi sau khi lập"),
            Fault::Personal(field) => write!(f, "tên người tại “{field}” không phải tên đã ghi khi lập"),
            Fault::Withdrawal => f.write_str("dấu rút phiếu báo và mục rút phiếu báo không khớp nhau"),
            Fault::Number => f.write_str("số phiếu báo không liên tục trong năm"),
        }
    }
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    pub ok: bool,
    /// Entries seen.
    pub entries: u64,
    /// Hash of the last entry, computed anew, lower-case hex; zeros for an empty register, question marks if
    /// the last entry cannot be read.
    pub head: String,
    /// Names erased on request; that is no fault.
    pub erased: u64,
    /// Faults found in all; one change often shows in several places.
    pub faults: u64,
    /// The entry with the lowest seq that does not hold, and why.
    pub first_bad: Option<(i64, Fault)>,
}

/// Verifies the whole register of a store, from one snapshot.
pub async fn verify(store: &dyn RegisterStore) -> Result<VerifyReport> {
    let mut verifier = Verifier::default();
    store.walk_register(&mut |item| verifier.item(item)).await?;
    Ok(verifier.finish())
}

/// Verifies rows given in order.
pub fn verify_items(items: impl IntoIterator<Item = RegisterItem>) -> VerifyReport {
    let mut verifier = Verifier::default();
    items.into_iter().for_each(|item| verifier.item(item));
    verifier.finish()
}

/// A verification in progress; memory grows only with withdrawals whose entries are still to come.
#[derive(Debug)]
struct Verifier {
    head: Option<RegisterHead>,
    entries: u64,
    seq: i64,
    /// `None` after an entry that could not be read: what follows is taken by its own `prev`.
    hash: Option<[u8; 32]>,
    /// The present entry while its notice is awaited.
    awaiting: Option<Awaited>,
    /// seq of a withdrawal's entry -> ids of the notices marked with it (one, unless somebody tampered).
    marks: HashMap<i64, Vec<i64>>,
    /// Last number of each year.
    numbers: HashMap<String, i64>,
    erased: u64,
    faults: u64,
    first_bad: Option<(i64, Fault)>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self {
            head: None,
            entries: 0,
            seq: 0,
            hash: Some(GENESIS),
            awaiting: None,
            marks: HashMap::new(),
            numbers: HashMap::new(),
            erased: 0,
            faults: 0,
            first_bad: None,
        }
    }
}

#[derive(Debug)]
struct Awaited {
    seq: i64,
    /// The entry could not be read, so that it may as well have no notice.
    unreadable: bool,
    /// `None`: the entry itself does not hold, its notice is taken without comparison.
    fields: Option<Fields>,
    personal: Vec<PersonalRow>,
}

impl Verifier {
    fn fault(&mut self, seq: i64, fault: Fault) {
        let seq = seq.max(1);
        self.faults += 1;
        // A missing entry says more than its consequences.
        if self.first_bad.as_ref().is_none_or(|(first, _)| seq < *first || (seq == *first && fault == Fault::Missing)) {
            self.first_bad = Some((seq, fault));
        }
    }

    fn item(&mut self, item: RegisterItem) {
        match item {
            RegisterItem::Head(head) => self.head = Some(head),
            RegisterItem::Entry(row) => {
                self.settle();
                self.entry(row);
            }
            RegisterItem::Notice(row) => self.notice(row),
            RegisterItem::UnreadableEntry { seq, what } => {
                self.settle();
                self.follow(seq);
                self.hash = None;
                self.fault(seq, Fault::Unreadable(what));
                self.marks.remove(&seq);
                self.awaiting = Some(Awaited { seq, unreadable: true, fields: None, personal: Vec::new() });
            }
            RegisterItem::UnreadableNotice { id, what } => {
                self.awaiting.take_if(|awaited| awaited.seq == id);
                self.fault(id, Fault::Unreadable(what));
            }
        }
    }

    /// The present entry gets no further notice.
    fn settle(&mut self) {
        if let Some(Awaited { seq, unreadable: false, .. }) = self.awaiting.take() {
            self.fault(seq, Fault::NoticeMissing);
        }
    }

    /// Counts an entry and looks whether it is the next one.
    fn follow(&mut self, seq: i64) {
        self.entries += 1;
        if seq != self.seq + 1 {
            self.fault(self.seq + 1, Fault::Missing);
        }
        self.seq = seq;
    }

    fn entry(&mut self, row: RegisterRow) {
        let seq = row.seq;
        self.follow(seq);
        if self.hash.is_some_and(|before| row.prev != hex::encode(before)) {
            self.fault(seq, Fault::Prev);
        }
        let mut sound = true;
        if row.format != i64::from(FORMAT) {
            self.fault(seq, Fault::Format(row.format));
            sound = false;
        }
        // Computed with the entry's own `prev`, so that a break is blamed on one entry and not on all that follow.
        let prev = stored(&row.prev).or(self.hash).unwrap_or(GENESIS);
        let own = hash(row.format as u32, seq, &prev, &row.fields);
        if hex::encode(own) != row.hash {
            self.fault(seq, Fault::Hash);
            sound = false;
        }
        let follows = self.hash.is_none_or(|before| before == prev);
        self.hash = if follows { Some(own) } else { stored(&row.hash).or(Some(own)) };

        let fields = match Fields::decode(&row.fields) {
            Ok(fields) => Some(fields),
            Err(why) => {
                self.fault(seq, Fault::Unreadable(why.to_string()));
                None
            }
        };
        if let Some(fields) = &fields {
            for (name, column) in [("kind", row.kind.clone()), ("at", row.at.to_string())] {
                if fields.get(name) != Some(&column) {
                    self.fault(seq, Fault::Column(name));
                    sound = false;
                }
            }
        }
        // What the hashed fields call it counts, as far as they can be read.
        let kind = fields.as_ref().and_then(|fields| fields.get("kind")).unwrap_or(&row.kind).to_owned();
        let mut marked = self.marks.remove(&seq).unwrap_or_default();
        let fields = fields.filter(|_| sound);
        match Kind::from_word(&kind) {
            Some(Kind::Notice) => {
                self.awaiting = Some(Awaited { seq, unreadable: false, fields, personal: row.personal })
            }
            Some(Kind::Withdrawal) => {
                if let Some(fields) = &fields {
                    let of = fields.get("notice_seq").and_then(|of| of.parse().ok()).unwrap_or(seq);
                    if marked.contains(&of) {
                        marked.retain(|notice| *notice != of);
                    } else {
                        self.fault(of, Fault::Withdrawal);
                    }
                    self.personal(seq, &row.personal, |field| fields.get(field));
                } else {
                    marked.clear();
                }
            }
            None => {}
        }
        for notice in marked {
            self.fault(notice, Fault::Withdrawal);
        }
    }

    fn notice(&mut self, row: NoticeRow) {
        match row.withdrawn_seq {
            Some(seq) if seq <= row.id => self.fault(row.id, Fault::Withdrawal),
            Some(seq) => self.marks.entry(seq).or_default().push(row.id),
            None => {}
        }
        let Some(awaited) = self.awaiting.take_if(|awaited| awaited.seq == row.id) else {
            self.fault(row.seq, Fault::NoticeExtra);
            return;
        };
        let seq = awaited.seq;
        if row.seq != seq {
            self.fault(seq, Fault::Notice("seq"));
        }
        let Some(fields) = awaited.fields else { return };
        for (name, says) in row_fields(&row) {
            if fields.get(name) != Some(&says) {
                self.fault(seq, Fault::Notice(name));
            }
        }
        if hex_sha256(row.facts.as_bytes()) != row.facts_hash {
            self.fault(seq, Fault::Facts);
        }
        let serial = fields.get("serial").and_then(|serial| serial.parse().ok()).unwrap_or(0);
        let last = self.numbers.insert(fields.get("year").unwrap_or_default().to_owned(), serial);
        if serial != last.unwrap_or(0) + 1 {
            self.fault(seq, Fault::Number);
        }
        let facts: Value = serde_json::from_str(&row.facts).unwrap_or_default();
        self.personal(seq, &awaited.personal, |field| facts.pointer(field).and_then(Value::as_str));
    }

    fn personal<'a>(&mut self, seq: i64, rows: &[PersonalRow], hashed: impl Fn(&str) -> Option<&'a str>) {
        for row in rows {
            match (&row.salt, &row.value) {
                (None, None) => self.erased += 1,
                (Some(salt), Some(value)) if hashed(&row.field) == Some(&salted(salt, &row.field, value)) => {}
                _ => self.fault(seq, Fault::Personal(row.field.clone())),
            }
        }
    }

    fn finish(mut self) -> VerifyReport {
        self.settle();
        for notice in std::mem::take(&mut self.marks).into_values().flatten() {
            self.fault(notice, Fault::Withdrawal);
        }
        let last = self.hash.map_or_else(|| "?".repeat(64), hex::encode);
        match self.head.take() {
            Some(head) if head.seq > self.seq => self.fault(self.seq + 1, Fault::Missing),
            Some(head) if head.seq < self.seq => self.fault(head.seq + 1, Fault::BeyondHead),
            Some(head) if self.hash.is_some() && head.hash != last => self.fault(self.seq, Fault::Head),
            Some(_) => {}
            None => self.fault(self.seq, Fault::Head),
        }
        VerifyReport {
            ok: self.faults == 0,
            entries: self.entries,
            head: last,
            erased: self.erased,
            faults: self.faults,
            first_bad: self.first_bad,
        }
    }
}

fn stored(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(hex, &mut bytes).ok()?;
    Some(bytes)
}
