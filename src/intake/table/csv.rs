//! CSV: text in UTF-8 or UTF-16, separated by `,` `;` or tab, quoted with `"`.
//!
//! Written out here rather than taken from a crate, for two things a person needs: rows counted as a spreadsheet shows
//! them (blank lines count, line breaks inside a cell do not), and a bound on a cell before it is in memory.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use encoding_rs::{Decoder, DecoderResult};

use super::{
    Cell, Found, HEADER_WITHIN, MAX_CELL_CHARS, MAX_CELLS, MAX_COLUMNS, MAX_ROWS, Row, TableError,
    kind::{Encoding, UTF_16BE, UTF_16LE},
};

/// Tries each separator and takes the one whose header row has the most columns.
pub(super) fn open(path: &Path, encoding: Encoding, is_header: &dyn Fn(&[Cell]) -> bool) -> Result<Found, TableError> {
    let mut best: Option<(usize, Row, Rows)> = None;
    let mut failed = None;
    for separator in [',', ';', '\t'] {
        let mut rows = Rows::open(path, encoding, separator)?;
        while rows.number < HEADER_WITHIN {
            match rows.next() {
                None => break,
                Some(Err(error)) => {
                    failed.get_or_insert(error);
                    break;
                }
                Some(Ok(row)) if is_header(&row.cells) => {
                    let columns = row.cells.iter().filter(|cell| !cell.is_blank()).count();
                    if best.as_ref().is_none_or(|(most, ..)| columns > *most) {
                        best = Some((columns, row, rows));
                    }
                    break;
                }
                Some(Ok(_)) => {}
            }
        }
    }
    let Some((_, header, rows)) = best else {
        return Err(failed.unwrap_or(TableError::NoHeader));
    };
    let separator = match rows.separator {
        '\t' => "dấu tab".to_owned(),
        other => format!("“{other}”"),
    };
    let mark = if encoding.mark > 0 { ", có BOM" } else { "" };
    let notes = vec![format!("Đọc tệp CSV: mã {}{mark}, cột cách nhau bằng {separator}.", encoding.name)];
    Ok(Found { header, rows: Box::new(rows), notes, surplus_is_error: true })
}

struct Rows {
    text: Text,
    separator: char,
    /// The row last begun, from 1.
    number: u32,
    cells: u64,
    ended: bool,
}

impl Rows {
    fn open(path: &Path, encoding: Encoding, separator: char) -> Result<Rows, TableError> {
        Ok(Rows { text: Text::open(path, encoding)?, separator, number: 0, cells: 0, ended: false })
    }

    /// One record, or `None` at the end of the text. A cell's outer blanks are kept, as Excel keeps them.
    fn record(&mut self) -> Result<Option<Vec<Cell>>, TableError> {
        if self.text.peek(self.number + 1)?.is_none() {
            return Ok(None);
        }
        self.number += 1;
        let row = self.number;
        if row > MAX_ROWS {
            return Err(TableError::TooLarge { what: "quá nhiều dòng" });
        }
        let mut cells = Vec::new();
        let mut cell = String::new();
        let (mut chars, mut quoted, mut at_start) = (0, false, true);
        loop {
            let Some(c) = self.text.next(row)? else {
                if quoted {
                    return Err(TableError::UnclosedQuote { row });
                }
                self.close(&mut cells, &mut cell)?;
                return Ok(Some(cells));
            };
            match c {
                '"' if quoted => {
                    if self.text.peek(row)? == Some('"') {
                        self.text.next(row)?;
                        cell.push('"');
                        chars += 1;
                    } else {
                        quoted = false;
                    }
                }
                '"' if at_start => quoted = true,
                c if c == self.separator && !quoted => {
                    self.close(&mut cells, &mut cell)?;
                    (chars, at_start) = (0, true);
                    continue;
                }
                '\r' | '\n' if !quoted => {
                    if c == '\r' && self.text.peek(row)? == Some('\n') {
                        self.text.next(row)?;
                    }
                    self.close(&mut cells, &mut cell)?;
                    return Ok(Some(cells));
                }
                c => {
                    cell.push(c);
                    chars += 1;
                }
            }
            at_start = false;
            if chars > MAX_CELL_CHARS {
                return Err(TableError::CellTooLong { row });
            }
        }
    }

    fn close(&mut self, cells: &mut Vec<Cell>, cell: &mut String) -> Result<(), TableError> {
        self.cells += 1;
        if cells.len() == MAX_COLUMNS {
            return Err(TableError::TooLarge { what: "quá nhiều cột" });
        }
        if self.cells > MAX_CELLS {
            return Err(TableError::TooLarge { what: "quá nhiều ô" });
        }
        cells.push(match cell.is_empty() {
            true => Cell::Empty,
            // a fresh text of the right size: the scratch one stays at the size of the longest cell
            false => Cell::Text(cell.as_str().to_owned()),
        });
        cell.clear();
        Ok(())
    }
}

impl Iterator for Rows {
    type Item = Result<Row, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            match self.record() {
                // Excel's own hint, which it hides: `sep=;`
                Ok(Some(cells)) if self.number == 1 && is_separator_hint(&cells) => self.number = 0,
                Ok(Some(cells)) => return Some(Ok(Row { number: self.number, cells })),
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

fn is_separator_hint(cells: &[Cell]) -> bool {
    match cells {
        // the separator itself splits the line in two
        [Cell::Text(text)] | [Cell::Text(text), Cell::Empty] => {
            matches!(text.strip_prefix("sep="), Some("" | "," | ";" | "\t"))
        }
        _ => false,
    }
}

/// The file's characters, decoded piece by piece, with the byte offset of what is not valid.
struct Text {
    file: BufReader<File>,
    decoder: Decoder,
    encoding: &'static str,
    raw: Vec<u8>,
    /// Bytes handed to the decoder so far, the mark included.
    taken: u64,
    piece: String,
    at: usize,
    ended: bool,
    /// Where the bytes stopped being valid; told once the characters before it are used up.
    invalid: Option<u64>,
}

impl Text {
    fn open(path: &Path, encoding: Encoding) -> Result<Text, TableError> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        file.read_exact(&mut vec![0; encoding.mark])?;
        let decoder = match encoding.name {
            UTF_16LE => encoding_rs::UTF_16LE,
            UTF_16BE => encoding_rs::UTF_16BE,
            _ => encoding_rs::UTF_8,
        }
        .new_decoder_without_bom_handling();
        Ok(Text {
            file,
            decoder,
            encoding: encoding.name,
            raw: Vec::new(),
            taken: encoding.mark as u64,
            piece: String::new(),
            at: 0,
            ended: false,
            invalid: None,
        })
    }

    fn peek(&mut self, row: u32) -> Result<Option<char>, TableError> {
        loop {
            if let Some(c) = self.piece[self.at..].chars().next() {
                return Ok(Some(c));
            }
            if let Some(offset) = self.invalid {
                return Err(TableError::Encoding { encoding: self.encoding, offset, row });
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    fn next(&mut self, row: u32) -> Result<Option<char>, TableError> {
        let c = self.peek(row)?;
        self.at += c.map_or(0, char::len_utf8);
        Ok(c)
    }

    fn fill(&mut self) -> Result<(), TableError> {
        self.raw.clear();
        (&mut self.file).take(1 << 15).read_to_end(&mut self.raw)?;
        let last = self.raw.is_empty();
        self.piece.clear();
        self.at = 0;
        let room = self.decoder.max_utf8_buffer_length_without_replacement(self.raw.len()).unwrap_or(1 << 18);
        self.piece.reserve(room);
        let (result, read) = self.decoder.decode_to_string_without_replacement(&self.raw, &mut self.piece, last);
        self.taken += read as u64;
        match result {
            DecoderResult::InputEmpty => self.ended = last,
            DecoderResult::Malformed(bad, after) => {
                self.invalid = Some(self.taken.saturating_sub(u64::from(bad) + u64::from(after)));
            }
            // the piece has room for all of `raw`
            DecoderResult::OutputFull => {
                return Err(TableError::Damaged { what: "không giải mã được".to_owned() });
            }
        }
        Ok(())
    }
}
