//! Typed text made fit to be shown: one line, nothing invisible, of a bounded length; and filled to a width.
//!
//! What people paste into a spreadsheet holds line ends, bidi overrides, zero-width characters and ten thousand
//! letters. None of these may reach a header, turn a line around, or make a letter that no phone opens.

use unicode_normalization::UnicodeNormalization;

use crate::planning::fold::is_invisible;

/// Columns of the plain text part; RFC 5322 asks for at most 78.
pub const WIDTH: usize = 74;

/// A typed text as one line of at most `limit` characters: NFC, control and invisible characters gone, blanks run
/// together. What is longer is cut at a word, with `…`.
pub fn one_line(text: &str, limit: usize) -> String {
    // Most of what a letter says is in order already, and asking is a tenth of putting it in order.
    if in_order(text, limit) {
        return text.to_owned();
    }
    if text.chars().all(is_composed) {
        line_of(text.chars().filter(|c| !is_invisible(*c)), text.len(), limit)
    } else {
        line_of(text.chars().filter(|c| !is_invisible(*c)).nfc(), text.len(), limit)
    }
}

/// Whether [`one_line`] leaves a text as it is.
fn in_order(text: &str, limit: usize) -> bool {
    let (mut blank, mut length) = (true, 0);
    for c in text.chars() {
        length += 1;
        let is_blank = c == ' ';
        let odd = if c.is_ascii() {
            c.is_ascii_control() || is_blank && blank
        } else {
            c < '\u{a1}' || c == '\u{ad}' || !is_composed(c)
        };
        if odd {
            return false;
        }
        blank = is_blank;
    }
    length <= limit && !(blank && length > 0)
}

/// Whether a character is its own NFC beside any other of its kind: what Vietnamese is written in. No combining mark is
/// among them, nor anything that NFC writes otherwise (UAX #15, `NFC_Quick_Check=Yes`, combining class 0).
fn is_composed(c: char) -> bool {
    matches!(c, '\0'..='\u{2ff}' | '\u{1e00}'..='\u{1eff}' | '\u{2010}'..='\u{2027}')
}

fn line_of(chars: impl Iterator<Item = char>, bytes: usize, limit: usize) -> String {
    let mut out = String::with_capacity(bytes.min(limit.saturating_mul(4)));
    let mut length = 0;
    let mut blank = false;
    for c in chars {
        if c.is_whitespace() || c.is_control() {
            blank = !out.is_empty();
            continue;
        }
        if length + usize::from(blank) >= limit {
            return cut(out, limit, blank);
        }
        if blank {
            out.push(' ');
            length += 1;
            blank = false;
        }
        out.push(c);
        length += 1;
    }
    out
}

/// One line that goes on within a sentence of ours: without a full stop of its own.
pub fn clause(text: &str, limit: usize) -> String {
    one_line(text, limit).trim_end_matches(['.', ';', ',', ' ']).to_owned()
}

/// Cuts at the last blank in the second half, and says so with an ellipsis. `whole`: the text ends with a whole word.
fn cut(mut text: String, limit: usize, whole: bool) -> String {
    let count = text.chars().count();
    let keep = limit.saturating_sub(1).min(count);
    let end = text.char_indices().nth(keep).map_or(text.len(), |(at, _)| at);
    let end = match text[..end].rfind(' ') {
        Some(blank) if blank > end / 2 && !(whole && end == text.len()) => blank,
        _ => end,
    };
    text.truncate(end);
    text.truncate(text.trim_end_matches([' ', ',', ';', '.', '-']).len());
    text.push('…');
    text
}

/// A link that may stand in a letter: http or https, without blanks or quotes; anything else is left out.
pub fn link(link: Option<&str>) -> Option<String> {
    let link = link?;
    let fits = (link.starts_with("https://") || link.starts_with("http://"))
        && link.len() <= 500
        && link.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\'));
    fits.then(|| link.to_owned())
}

/// Fills text to [`WIDTH`] columns; the first line begins with `first`, the others with `rest`. A word longer than a
/// line (a link) keeps its line for itself.
pub fn fill(text: &str, first: &str, rest: &str) -> String {
    let mut out = String::with_capacity(first.len() + text.len() + (text.len() / WIDTH + 1) * (rest.len() + 1));
    out.push_str(first);
    let mut column = first.chars().count();
    let indent = rest.chars().count();
    let mut fresh = true;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if !fresh && column + 1 + width > WIDTH {
            out.push('\n');
            out.push_str(rest);
            column = indent;
            fresh = true;
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
        fresh = false;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cut_falls_between_words_and_shows() {
        assert_eq!(one_line("Kế hoạch kiểm tra công vụ", 18), "Kế hoạch kiểm tra…");
        assert_eq!(one_line("Kế hoạch", 8), "Kế hoạch");
        assert_eq!(one_line(" a\r\n\tb\u{202e}\u{0}c\u{a0}d ", 80), "a b c d");
    }

    #[test]
    fn what_is_taken_as_composed_is_what_nfc_leaves_alone() {
        let all: String = ('\0'..=char::MAX).filter(|c| is_composed(*c)).collect();
        assert!(all.nfc().eq(all.chars()) && all.chars().rev().nfc().eq(all.chars().rev()));
        assert!("đốc Ở ỹ Ặ – “…” ’".chars().all(is_composed));
        assert!(!"e\u{323}\u{302}".chars().all(is_composed) && one_line("đe\u{302}\u{323}n", 9) == "đện");
    }

    #[test]
    fn only_web_links_stand_in_a_letter() {
        assert_eq!(link(Some("https://x.example/n/NV1?a=b")).as_deref(), Some("https://x.example/n/NV1?a=b"));
        for bad in ["javascript:alert(1)", "https://x/\"onclick=", "https://x/\r\nBcc: y", "x.example"] {
            assert_eq!(link(Some(bad)), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn one_line_is_short_and_shows_everything_it_holds(text in "\\PC{0,200}|[\\x00-\\x20\\u{200b}-\\u{202f}a-z]{0,200}", limit in 2usize..80) {
            let line = one_line(&text, limit);
            prop_assert!(line.chars().count() <= limit);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert!(!line.contains("  "));
        }

        #[test]
        fn what_is_in_order_is_what_putting_in_order_leaves(text in "[a-zđế ]{0,30}|\\PC{0,40}|[\\x00-\\x7f\u{80}-\u{b0}\u{2000}-\u{2070}]{0,12}", limit in 2usize..40) {
            let chars = text.chars().filter(|c| !is_invisible(*c)).nfc();
            prop_assert_eq!(one_line(&text, limit), line_of(chars, text.len(), limit));
        }

        #[test]
        fn filling_keeps_the_words_and_the_width(words in proptest::collection::vec("[a-zđế]{1,20}", 0..60)) {
            let filled = fill(&words.join(" "), "1. ", "   ");
            prop_assert!(filled.lines().all(|line| line.chars().count() <= WIDTH));
            prop_assert_eq!(filled[3..].split_whitespace().collect::<Vec<_>>(), words);
        }
    }
}
