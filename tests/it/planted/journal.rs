//! The count that the tests with real kills make of the sinks' journals finds what is wrong in one that was doctored.

use crate::sink::count::{Copy, Count, count};

fn copy(told: u8, marked: bool) -> Copy<u8> {
    Copy { id: format!("<{told}@office.example>"), told, marked, bytes: vec![told; 40] }
}

/// Three messages, one of them in a second copy that says so.
fn journal() -> Vec<Copy<u8>> {
    vec![copy(1, false), copy(2, false), copy(2, true), copy(3, true)]
}

#[test]
fn a_doctored_journal_is_found_out() {
    let honest = count(journal(), &[1, 2, 3]);
    honest.holds();
    assert_eq!((honest.messages, honest.second, honest.marked), (3, 1, 2));

    #[track_caller]
    fn check(what: &str, doctor: impl FnOnce(&mut Vec<Copy<u8>>), found: impl Fn(&Count<u8>) -> bool) {
        let mut doctored = journal();
        doctor(&mut doctored);
        let counted = count(doctored, &[1, 2, 3]);
        assert!(found(&counted), "{what}: {counted:?}");
        assert!(std::panic::catch_unwind(|| counted.holds()).is_err(), "{what} holds");
    }
    check("one is gone", |journal| drop(journal.remove(0)), |count| count.lost == [1]);
    check("a second copy lost its mark", |journal| journal[2].marked = false, |count| count.unmarked.len() == 1);
    check("a copy came once more", |journal| journal.push(copy(1, false)), |count| count.unmarked.len() == 1);
    check("other bytes", |journal| journal[2].bytes.push(0), |count| count.altered.len() == 1);
    let anew = |journal: &mut Vec<Copy<u8>>| journal[2].id = "<another@office.example>".to_owned();
    check("another Message-ID", anew, |count| count.anew == [2]);
    check("what nobody is to get", |journal| journal.push(copy(9, false)), |count| count.unexpected == [9]);
}
