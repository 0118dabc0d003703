//! A person with more tasks than one letter names: parts, each task in one of them, as foreseen.

use std::collections::{BTreeMap, BTreeSet};

use super::office::{Office, local, tasks};

fn codes(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    text.split(word).filter(|word| word.starts_with("NV27-")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_morning_of_many_tasks_comes_in_parts_that_name_each_task_once() {
    let office = Office::new(local("2027-02-02T09:00"), &tasks(250, "29/01/2027")).await;
    let engine = office.start().await;
    // All are entered after their deadline; the monitor hears at the third rung, on the next day.
    office.live(&engine, local("2027-02-03T09:00")).await;
    let mut parts: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for (address, text) in office.caught.mails() {
        assert!(!text.contains(&address), "{address} is told to ask themselves: {text}");
        let subject = text.lines().next().unwrap_or_default().to_owned();
        parts.entry(address).or_default().push((subject, codes(&text)));
    }
    // One monitor for all 250, three units for 83 or 84 each.
    let divided: Vec<_> = parts.values().filter(|letters| letters.iter().any(|(s, _)| s.contains("Phần "))).collect();
    assert_eq!(divided.len(), 1, "{:?}", parts.keys());
    let mut named = BTreeSet::new();
    for (n, (subject, codes)) in divided[0].iter().enumerate() {
        assert!(subject.contains(&format!("Phần {}/3, {} nhiệm vụ", n + 1, codes.len())), "{subject}");
        assert!((83..=84).contains(&codes.len()));
        for code in codes {
            assert!(named.insert(code.clone()), "{code} is named twice");
        }
    }
    assert_eq!((divided[0].len(), named.len()), (3, 250));
    let of_a_unit = parts.values().flatten().filter(|(subject, _)| !subject.contains("Phần "));
    assert!(of_a_unit.clone().count() > 0 && of_a_unit.clone().all(|(_, codes)| codes.len() <= 84));
    // Each is recorded as told, for each was.
    let states = office.numbers("SELECT state, count(*) FROM reminder WHERE audience = 'monitor' GROUP BY 1").await;
    assert_eq!(states, BTreeMap::from([("sent".to_owned(), 250)]));
    let kept = office.numbers("SELECT part || '/' || parts, count(*) FROM message WHERE parts > 1 GROUP BY 1").await;
    assert_eq!(kept, ["1/3", "2/3", "3/3"].map(|part| (part.to_owned(), 1)).into());
}
