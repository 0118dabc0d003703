//! What a hostile workbook may cost, bounded before calamine sees it.
//!
//! A workbook is a ZIP of XML parts; calamine keeps shared strings, styles and one cell at a time in memory, and takes
//! the declared number of strings at its word. So every part is inflated once into nothing, and counted: the sizes a ZIP
//! declares are not believed. Not bounded here: a workbook part made of millions of sheets (some hundred MB at most).

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use super::TableError;

/// Sheets are streamed, so they may be large; 100,000 rows of 32 columns are about 200 MB.
const MAX_SHEET: u64 = 2 << 30;
/// Shared strings are held in memory.
const MAX_STRINGS: u64 = 192 << 20;
/// Any other part: styles, workbook, relations. Media are never read by calamine.
const MAX_PART: u64 = 24 << 20;
const MAX_PARTS: usize = 10_000;
/// The longest tag or text, and the longest text within one cell, in bytes: 32,767 characters, each of them escaped.
const MAX_TOKEN: usize = 1 << 20;

/// Inflates all parts of a workbook and refuses one that would cost too much.
pub(super) fn check(path: &Path) -> Result<(), TableError> {
    let damaged = |what: &str| TableError::Damaged { what: what.to_owned() };
    let file = BufReader::new(File::open(path)?);
    let mut archive = zip::ZipArchive::new(file).map_err(|_| damaged("phần nén không đọc được"))?;
    if archive.len() > MAX_PARTS {
        return Err(TableError::TooLarge { what: "quá nhiều phần bên trong" });
    }
    let mut piece = vec![0; 1 << 16];
    for index in 0..archive.len() {
        let mut part = archive.by_index(index).map_err(|_| damaged("một phần bên trong không đọc được"))?;
        let name = part.name().map_err(|_| damaged("tên một phần bên trong không đọc được"))?.to_ascii_lowercase();
        if name.contains("/media/") || name.contains("/embeddings/") {
            continue;
        }
        let sheet = name.contains("worksheets/") && name.ends_with(".xml");
        let strings = name.ends_with("sharedstrings.xml");
        let most = if sheet {
            MAX_SHEET
        } else if strings {
            MAX_STRINGS
        } else {
            MAX_PART
        };
        let mut scan = (sheet || strings).then(|| Scan { is_sheet: !strings, ..Scan::default() });
        let mut size = 0u64;
        loop {
            let read = part.read(&mut piece).map_err(|_| damaged("dữ liệu nén bị hỏng hoặc tải về chưa hết"))?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > most {
                return Err(TableError::TooLarge { what: "nội dung bung ra quá lớn" });
            }
            if let Some(scan) = &mut scan {
                scan.take(&piece[..read])?;
            }
        }
        // `<si/>`, the shortest string there is, takes five bytes; calamine reserves room for the declared number
        if scan.is_some_and(|scan| scan.declared > size / 5) {
            return Err(damaged("số chuỗi khai báo không khớp nội dung"));
        }
    }
    Ok(())
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Within {
    #[default]
    Text,
    /// A tag; the quote it is inside of, if any.
    Tag(Option<u8>),
    Comment,
    Cdata,
}

/// Reads XML just well enough to know how long its pieces are.
#[derive(Default)]
struct Scan {
    /// A sheet declares no number of strings.
    is_sheet: bool,
    within: Within,
    /// Bytes of the current tag, comment or section.
    token: usize,
    /// Its first bytes, to tell what it is.
    start: [u8; 9],
    last: [u8; 2],
    /// Bytes of text since the last tag that begins a cell, a row or a string.
    text: usize,
    seen_any: bool,
    /// How far into `uniqueCount="` the bytes have come, and the largest number that stood there.
    matched: usize,
    number: Option<u64>,
    declared: u64,
}

const COUNT: &[u8] = b"uniqueCount";

impl Scan {
    fn take(&mut self, bytes: &[u8]) -> Result<(), TableError> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            // most bytes are within a tag or a text, where only its end matters
            if let Some(run) = self.plain_run(rest).filter(|run| *run > 0) {
                self.pass(run);
                self.last = [0, rest[run - 1]];
                rest = &rest[run..];
                self.check()?;
                continue;
            }
            rest = after;
            if !self.seen_any {
                // UTF-16 would hide every name looked for here; no spreadsheet program writes it
                self.seen_any = true;
                if !matches!(byte, b'<' | 0xef | b' ' | b'\r' | b'\n' | b'\t') {
                    return Err(TableError::Damaged { what: "phần XML không theo mã UTF-8".to_owned() });
                }
            }
            self.byte(byte);
            if byte == 0 {
                return Err(TableError::Damaged { what: "phần XML không theo mã UTF-8".to_owned() });
            }
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TableError> {
        match self.token > MAX_TOKEN || self.text > MAX_TOKEN {
            true => Err(TableError::TooLarge { what: "một ô quá dài" }),
            false => Ok(()),
        }
    }

    /// How many of the next bytes change nothing but a length.
    fn plain_run(&self, rest: &[u8]) -> Option<usize> {
        let end = |stops: fn(u8) -> bool| Some(rest.iter().position(|b| stops(*b)).unwrap_or(rest.len()));
        match self.within {
            Within::Text if self.seen_any => end(|b| b == b'<' || b == 0),
            // past the name, and where no number of strings is looked for
            Within::Tag(None) if self.is_sheet && self.token >= self.start.len() => {
                end(|b| matches!(b, b'>' | b'"' | b'\'' | 0))
            }
            Within::Tag(Some(_)) if self.is_sheet && self.token >= self.start.len() => {
                end(|b| matches!(b, b'"' | b'\'' | 0))
            }
            _ => None,
        }
    }

    fn pass(&mut self, run: usize) {
        match self.within {
            Within::Text => self.text += run,
            _ => self.token += run,
        }
    }

    fn byte(&mut self, byte: u8) {
        match self.within {
            Within::Text if byte == b'<' => {
                self.within = Within::Tag(None);
                self.token = 0;
                self.start = [0; 9];
            }
            Within::Text => self.text += 1,
            Within::Tag(quote) => {
                if let Some(place) = self.start.get_mut(self.token) {
                    *place = byte;
                }
                self.token += 1;
                self.count(byte);
                if self.token == 3 && self.start.starts_with(b"!--") {
                    self.within = Within::Comment;
                } else if self.token == 8 && self.start.starts_with(b"![CDATA[") {
                    self.within = Within::Cdata;
                } else {
                    match (quote, byte) {
                        (None, b'>') => {
                            if begins_item(&self.start) {
                                self.text = 0;
                            }
                            self.within = Within::Text;
                            self.token = 0;
                        }
                        (None, b'"' | b'\'') => self.within = Within::Tag(Some(byte)),
                        (Some(open), _) if open == byte => self.within = Within::Tag(None),
                        _ => {}
                    }
                }
            }
            Within::Comment | Within::Cdata => {
                self.token += 1;
                let end = if self.within == Within::Comment { b"--" } else { b"]]" };
                if byte == b'>' && self.last == *end {
                    self.within = Within::Text;
                    self.token = 0;
                }
            }
        }
        self.last = [self.last[1], byte];
    }

    /// Looks for `uniqueCount = "123"` inside a tag.
    fn count(&mut self, byte: u8) {
        if let Some(number) = &mut self.number {
            match byte {
                b'0'..=b'9' => *number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0')),
                b' ' | b'\t' | b'\r' | b'\n' | b'=' | b'"' | b'\'' | b'+' if *number == 0 => {}
                _ => {
                    self.declared = self.declared.max(*number);
                    self.number = None;
                }
            }
        } else if byte == COUNT[self.matched] {
            self.matched += 1;
            if self.matched == COUNT.len() {
                (self.matched, self.number) = (0, Some(0));
            }
        } else {
            self.matched = usize::from(byte == COUNT[0]);
        }
    }
}

/// Whether a tag begins a cell, a row or a shared string, whatever its namespace prefix.
fn begins_item(start: &[u8; 9]) -> bool {
    let end = start.iter().position(|b| matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n' | b'>' | b'/')).unwrap_or(9);
    let name = &start[..end];
    let local = name.iter().position(|b| *b == b':').map_or(name, |colon| &name[colon + 1..]);
    matches!(local, b"c" | b"row" | b"si")
}
