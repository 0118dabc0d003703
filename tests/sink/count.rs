//! What the journals show of a crash: lost, double and unmarked copies, counted the same way by every test.

use std::collections::{BTreeMap, BTreeSet};

use super::{smtp::Received, zalo::Post};

/// A message as it came: what it tells, how it is marked, and its bytes without the mark.
#[derive(Debug, Clone)]
pub struct Copy<T> {
    /// Message-ID or delivery id: the same on every copy.
    pub id: String,
    pub told: T,
    pub marked: bool,
    pub bytes: Vec<u8>,
}

impl<T> Copy<T> {
    pub fn of_mail(mail: &Received, told: T) -> Self {
        let marked = mail.header("X-Dondoc-Repeat").is_some();
        let bytes = if mail.bytes.starts_with(b"X-Dondoc-Repeat: ") {
            let end = mail.bytes.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
            mail.bytes[end..].to_vec()
        } else {
            mail.bytes.clone()
        };
        Self { id: mail.message_id(), told, marked, bytes }
    }

    pub fn of_post(post: &Post, told: T) -> Self {
        let marked = post.header("x-dondoc-attempt").is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 1));
        let id = post.header("x-dondoc-delivery").unwrap_or_default().to_owned();
        Self { id, told, marked, bytes: post.body.clone() }
    }
}

/// What the copies come to.
#[derive(Debug)]
pub struct Count<T> {
    /// Different messages.
    pub messages: usize,
    /// Copies beyond each message's first.
    pub second: usize,
    /// Copies that say they may be a repeat; also an only one, where nobody could know.
    pub marked: usize,
    /// Messages with a second copy that does not say so.
    pub unmarked: Vec<String>,
    /// Messages whose copies differ in more than the mark.
    pub altered: Vec<String>,
    /// Told by two messages: a second letter that nothing says is one.
    pub anew: Vec<T>,
    /// Expected, and in no copy.
    pub lost: Vec<T>,
    /// Came, and nobody expected it.
    pub unexpected: Vec<T>,
}

/// Counts `copies`, in order of arrival, against what was to be told, each once.
pub fn count<T: Ord + Clone>(copies: Vec<Copy<T>>, expected: &[T]) -> Count<T> {
    let mut by_id: BTreeMap<String, Vec<Copy<T>>> = BTreeMap::new();
    for copy in copies {
        by_id.entry(copy.id.clone()).or_default().push(copy);
    }
    let mut tellings: BTreeMap<&T, usize> = BTreeMap::new();
    for copies in by_id.values() {
        *tellings.entry(&copies[0].told).or_default() += 1;
    }
    let wanted: BTreeSet<&T> = expected.iter().collect();
    let each = |test: &dyn Fn(&[Copy<T>]) -> bool| {
        by_id.iter().filter(|(_, copies)| test(copies)).map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    Count {
        messages: by_id.len(),
        second: by_id.values().map(|copies| copies.len() - 1).sum(),
        marked: by_id.values().flatten().filter(|copy| copy.marked).count(),
        unmarked: each(&|copies| copies[1..].iter().any(|copy| !copy.marked)),
        altered: each(&|copies| copies[1..].iter().any(|copy| copy.bytes != copies[0].bytes)),
        anew: tellings.iter().filter(|(_, n)| **n > 1).map(|(told, _)| (*told).clone()).collect(),
        lost: wanted.iter().filter(|told| !tellings.contains_key(**told)).map(|told| (*told).clone()).collect(),
        unexpected: tellings.keys().filter(|told| !wanted.contains(**told)).map(|told| (*told).clone()).collect(),
    }
}

impl<T: std::fmt::Debug> Count<T> {
    /// Nothing lost, nothing told twice but by marked copies of the same bytes.
    #[track_caller]
    pub fn holds(&self) {
        assert!(self.lost.is_empty(), "lost: {:?}", self.lost);
        assert!(self.unexpected.is_empty(), "nobody expected {:?}", self.unexpected);
        assert!(self.anew.is_empty(), "told by two messages: {:?}", self.anew);
        assert!(self.unmarked.is_empty(), "a second copy without a mark: {:?}", self.unmarked);
        assert!(self.altered.is_empty(), "a second copy of other bytes: {:?}", self.altered);
    }
}

/// The codes of tasks (`NV26-000123`) that a text names.
pub fn codes(text: &str) -> BTreeSet<String> {
    let is_code = |word: &&str| word.len() == 11 && word.starts_with("NV") && &word[4..5] == "-";
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(is_code).map(str::to_owned).collect()
}

/// The codes in a mail's text part.
pub fn codes_of(mail: &Received) -> BTreeSet<String> {
    let parsed = mail_parser::MessageParser::default().parse(&mail.bytes);
    parsed.and_then(|parsed| parsed.body_text(0).map(|text| codes(&text))).unwrap_or_default()
}
