//! Fourteen days stopped over Tết: five rungs missed, one letter's worth of each task and slot, every notice filed.

use std::collections::BTreeMap;

use super::office::{Office, local, tasks};

/// As many as the promise speaks of where there is time (`DONDOC_LONG`); enough for several batches otherwise.
fn how_many() -> usize {
    if std::env::var_os("DONDOC_LONG").is_some() { 5_000 } else { 150 }
}

#[tokio::test]
async fn after_fourteen_days_over_tet_each_slot_hears_once_of_the_most_severe_rung_and_every_notice_is_filed() {
    let n = how_many();
    // Due on Tuesday 2/2/2027. Mùng 1 is Saturday 6/2; off from Friday 5/2 to Thursday 11/2. So the rungs fall on 1/2,
    // 2/2, 3/2, 4/2 and 12/2, each at eight.
    let office = Office::with(local("2027-01-27T09:00"), &tasks(n, "02/02/2027"), |folder| {
        let file = folder.join("dondoc.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("batch = 500", "batch = 40")).unwrap();
    })
    .await;
    let engine = office.start().await;
    office.live(&engine, local("2027-01-29T08:00")).await;
    drop(engine);
    assert_eq!((office.caught.count(), office.notices().await), (0, 0));

    office.clock.set(local("2027-02-12T08:05"));
    let engine = office.start().await;
    office.live(&engine, local("2027-02-12T12:00")).await;
    let n = n as i64;
    let reminders = office.reminders().await;
    let wanted: BTreeMap<String, i64> = [
        // Handler, contact, head, monitor.
        ("qua-han-3 sent", 4 * n),
        ("truoc-1 superseded", n),
        ("den-han superseded", 2 * n),
        ("qua-han-1 superseded", 3 * n),
        ("qua-han-2 superseded", 3 * n),
    ]
    .into_iter()
    .map(|(words, n)| (words.to_owned(), n))
    .collect();
    assert_eq!(reminders, wanted);
    let twice = office
        .numbers(
            "SELECT 'twice', count(*) FROM (SELECT 1 FROM reminder WHERE state = 'sent' \
             GROUP BY task, clock, agency, audience, channel HAVING count(*) > 1)",
        )
        .await;
    assert_eq!(twice["twice"], 0, "one per task, slot and channel");
    // Each task stands once in each recipient's letters.
    let mut named: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (address, text) in office.caught.mails() {
        let codes: std::collections::BTreeSet<&str> =
            text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|w| w.starts_with("NV27-")).collect();
        for code in codes {
            *named.entry((address.clone(), code.to_owned())).or_default() += 1;
        }
    }
    assert_eq!(named.len() as i64, 4 * n, "every slot of every task");
    assert!(named.values().all(|times| *times == 1), "{:?}", named.iter().find(|(_, times)| **times > 1));
    // Both rungs that file did, once: the numbers have no gap and no double.
    assert_eq!(office.notices().await, 2 * n);
    let filed = office
        .numbers("SELECT step, count(DISTINCT task) FROM notice GROUP BY step UNION ALL SELECT 'last', max(number) FROM notice")
        .await;
    assert_eq!((filed["qua-han-1"], filed["qua-han-3"], filed["last"]), (n, n, 2 * n));

    // A second start on the same day finds nothing to do.
    drop(engine);
    let engine = office.start().await;
    let (sent, pass) = (office.caught.count(), office.live(&engine, local("2027-02-12T17:00")).await);
    assert_eq!((pass.sent, pass.filed, office.caught.count()), (0, 0, sent));
}
