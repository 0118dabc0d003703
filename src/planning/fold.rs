//! Folding of Vietnamese names, so that what people type is found as what they meant.
//!
//! Folded away: NFC against NFD, case, kinds of blank (NBSP and runs of them), zero-width and bidi characters, and
//! where the tone mark stands in a syllable (`hoà`/`hòa`, `uỷ`/`ủy`). Not folded: the letters themselves (`đ`, `ơ`, `â`
//! stay what they are), so two different agencies never become one. The typed form is kept beside for show.

use unicode_normalization::UnicodeNormalization;

/// The five tone marks: grave, acute, tilde, hook above, dot below.
const TONES: [char; 5] = ['\u{300}', '\u{301}', '\u{303}', '\u{309}', '\u{323}'];

/// Characters that show nothing: zero-width, soft hyphen, bidi marks and embeddings, variation selectors, BOM.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// The folded form of a text, for comparing only.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    let mut tone = None;
    let flush = |out: &mut String, tone: &mut Option<char>| {
        if let Some(mark) = tone.take() {
            out.push(mark);
        }
    };
    for c in text.chars().filter(|c| !is_invisible(*c)).flat_map(char::to_lowercase).nfd() {
        if TONES.contains(&c) {
            tone = Some(c);
        } else if c.is_whitespace() {
            flush(&mut out, &mut tone);
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
        } else if c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c) {
            out.push(c);
        } else {
            flush(&mut out, &mut tone);
            out.push(match c {
                '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
                other => other,
            });
        }
    }
    flush(&mut out, &mut tone);
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn forms_of_one_name_fold_to_one_text() {
        for (a, b) in [
            ("Hoà Bình", "HÒA  BÌNH"),
            ("Uỷ ban", "ủy\u{a0}Ban"),
            ("Sở Nội vụ", "So\u{31b}\u{309}\u{200b} No\u{323}\u{302}i vu\u{323}\u{feff} "),
            ("Sở Quy hoạch – Kiến trúc", "sở quy hoạch - kiến trúc"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} / {b}");
        }
    }

    #[test]
    fn different_letters_stay_different() {
        for (a, b) in [("Đông Anh", "Dong Anh"), ("Sơn Tây", "Son Tay"), ("Mê Linh", "Me Linh"), ("má", "mà")] {
            assert_ne!(fold(a), fold(b), "{a} / {b}");
        }
    }
}
