//! What of a server's words may be kept: one line, short, without anyone's address. It never decides anything.

use super::masked;

/// The longest reply that is kept, in characters.
pub const LONGEST: usize = 200;

/// One line of at most [`LONGEST`] characters: control characters and runs of blanks become one space, addresses and
/// long numbers (phones) are masked. `address` is the recipient of the parcel in hand: its local part is masked also
/// where the server repeats it without the domain.
pub fn tidy(text: &str, address: &str) -> String {
    // Servers' replies may be long; nothing beyond this can reach the kept part.
    let text: String = text.chars().take(4 * LONGEST).collect();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&clean(word, local));
    }
    if line.chars().count() > LONGEST {
        line = line.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    line
}

/// One word without addresses: its parts between punctuation that no address holds are looked at one by one.
fn clean(word: &str, local: &str) -> String {
    let holds = |c: char| c.is_alphanumeric() || ".!#$%&*+/=?^_{|}~-@".contains(c);
    let mut kept = String::with_capacity(word.len());
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !holds(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        kept.push_str(&part_masked(part, local));
        let stop = after.find(holds).unwrap_or(after.len());
        kept.push_str(&after[..stop]);
        rest = &after[stop..];
    }
    kept
}

fn part_masked(part: &str, local: &str) -> String {
    let digits = part.chars().filter(char::is_ascii_digit).count();
    let is_phone = digits >= 9 && part.chars().all(|c| c.is_ascii_digit() || "+-".contains(c));
    let is_local = local.chars().count() >= 3 && part.eq_ignore_ascii_case(local);
    if part.contains('@') || is_phone || is_local { masked(part) } else { part.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_and_no_phone_survives() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(tidy(text, "nguyenvana@hanoi.gov.vn"), expected);
        }
        check("5.1.1 <nguyenvana@hanoi.gov.vn>: unknown", "5.1.1 <n***@hanoi.gov.vn>: unknown");
        check("User nguyenvana unknown", "User nguy*** unknown");
        check("to=a@b.vn,c.d@e.vn;", "t***@b.vn,c***@e.vn;");
        check("phone 84912345678 blocked", "phone 8491*** blocked");
        check("client [203.113.131.100] blocked", "client [203.113.131.100] blocked");
        check("two\r\nlines\tand \u{7} bell", "two lines and bell");
        check("4.7.1 try in 300 seconds", "4.7.1 try in 300 seconds");
    }

    #[test]
    fn a_long_reply_is_cut_to_one_short_line() {
        let kept = tidy(&"đôn đốc ".repeat(10_000), "");
        assert_eq!(kept.chars().count(), LONGEST);
        assert!(kept.ends_with('…'));
    }
}
