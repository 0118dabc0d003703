//! Quoted-printable (RFC 2045 6.7) for a part's text, in one pass over it: lines of at most 76 characters, broken as
//! lettre's encoder breaks them, every line end as CRLF.
//!
//! Our own, for a letter is three quarters such text and lettre's way to it costs more than all else that is done to a
//! letter together: it inserts each CR into the whole text, and copies that twice. A test holds the two to the same bytes.

/// The longest line, soft break included.
const LIMIT: usize = 76;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Stands for itself: a tab, a blank, visible ASCII other than `=`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'=';
        byte += 1;
    }
    plain[b'\t' as usize] = true;
    plain
};

/// Appends `text`; CR, LF and CRLF each end a line.
pub fn printable(out: &mut Vec<u8>, text: &str) {
    let mut line = Line { begun: out.len(), last: out.len() };
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\r' || byte == b'\n' {
            line.close(out);
            out.extend_from_slice(b"\r\n");
            line = Line { begun: out.len(), last: out.len() };
            rest = if byte == b'\r' { after.strip_prefix(b"\n").unwrap_or(after) } else { after };
            continue;
        }
        // What surely fits is taken as it comes; only the line's last two places need thought.
        let room = (LIMIT - 2).saturating_sub(out.len() - line.begun).min(rest.len());
        let run = rest[..room].iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(room);
        if run > 0 {
            out.extend_from_slice(&rest[..run]);
            line.last = out.len();
            rest = &rest[run..];
            continue;
        }
        if PLAIN[usize::from(byte)] {
            line.put(out, &[byte]);
        } else {
            line.put(out, &[b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        rest = after;
    }
    line.close(out);
}

/// The line under way: where it and the last thing on it begin in what is written.
struct Line {
    begun: usize,
    last: usize,
}

impl Line {
    /// One character or escape, after a soft break where it does not fit.
    fn put(&mut self, out: &mut Vec<u8>, what: &[u8]) {
        let length = out.len() - self.begun;
        if length == LIMIT {
            // No place is left for the `=` of a soft break: what came last goes onto the next line.
            out.splice(self.last..self.last, *b"=\r\n");
            self.begun = self.last + 3;
        } else if length + what.len() > LIMIT {
            out.extend_from_slice(b"=\r\n");
            self.begun = out.len();
        }
        self.last = out.len();
        out.extend_from_slice(what);
    }

    /// A blank must not end a line.
    fn close(&mut self, out: &mut Vec<u8>) {
        let blank: &[u8] = match out.last() {
            Some(b' ') => b"=20",
            Some(b'\t') => b"=09",
            _ => return,
        };
        if out.len() > self.begun {
            out.pop();
            self.put(out, blank);
        }
    }
}

#[cfg(test)]
mod tests {
    use lettre::message::{Body, header::ContentTransferEncoding};
    use proptest::prelude::*;

    use super::*;

    fn lettres(text: &str) -> Vec<u8> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable).unwrap().into_vec()
    }

    fn ours(text: &str) -> Vec<u8> {
        let mut out = b"before \r\n".to_vec();
        printable(&mut out, text);
        out.split_off(9)
    }

    #[test]
    fn around_a_lines_end_it_breaks_as_lettre_does() {
        for length in 70..80 {
            for tail in
                ["", " ", "\t", "=", "đ", " \n", "a \r\nb", "=\n", "đ b", "ab ", " =", "  \n\n x", "\r\r", "\n\r\n"]
            {
                let text = format!("{}{tail}", "x".repeat(length));
                assert_eq!(ours(&text), lettres(&text), "{length} {tail:?}");
            }
        }
        assert_eq!(ours(""), b"");
    }

    proptest! {
        #[test]
        fn any_text_gives_lettres_bytes(text in "[a-z =\t\r\nđế~\u{0}\u{7f}\u{1f4c5}]{0,400}|\\PC{0,300}|[a-z]{60,80}[ =đa\n]{0,9}[a-z]{60,80}") {
            prop_assert_eq!(ours(&text), lettres(&text));
        }
    }
}
