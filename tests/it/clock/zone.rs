//! The office's zone is a setting and nothing else is one: what changes with it is planned anew, and an hour that a zone
//! skips or has twice neither loses a reminder nor repeats it.

use std::{fs, path::Path};

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};

use super::office::{Office, local, tasks};

fn in_zone(folder: &Path, zone: &str) {
    let file = folder.join("dondoc.toml");
    let text = fs::read_to_string(&file).unwrap();
    let line = text.lines().find(|line| line.starts_with("time_zone = ")).unwrap().to_owned();
    fs::write(&file, text.replace(&line, &format!("time_zone = \"{zone}\""))).unwrap();
}

fn moment(text: &str, zone: &str) -> Timestamp {
    text.parse::<DateTime>().unwrap().to_zoned(TimeZone::get(zone).unwrap()).unwrap().timestamp()
}

#[tokio::test]
async fn a_reload_with_another_zone_plans_anew_what_was_not_sent_and_repeats_nothing() {
    let office = Office::new(local("2026-11-20T20:00"), &tasks(3, "25/11/2026")).await;
    let engine = office.start().await;
    office.live(&engine, local("2026-11-23T09:00")).await;
    let sent = office.caught.count();
    assert_eq!(office.reminders().await["truoc-1 sent"], 3);
    // Three hours east: eight o'clock comes three hours earlier.
    in_zone(office.folder.path(), "Pacific/Guadalcanal");
    assert_eq!(engine.take_rules(office.policy()).await.unwrap(), 3);
    office.live(&engine, moment("2026-11-25T07:59", "Pacific/Guadalcanal")).await;
    assert_eq!(office.caught.count(), sent);
    office.live(&engine, moment("2026-11-25T08:00", "Pacific/Guadalcanal")).await;
    let reminders = office.reminders().await;
    assert_eq!((reminders["truoc-1 sent"], reminders["den-han sent"]), (3, 6), "{reminders:?}");
}

#[tokio::test]
async fn the_nights_on_which_a_zone_changes_its_clock_lose_and_repeat_nothing() {
    let zone = "Europe/Berlin";
    // Back on Sunday 25/10/2026, ahead on Sunday 28/3/2027: an hour twice, an hour never.
    for (entered, due, sunday) in
        [("2026-10-19T10:00", "23/10/2026", "2026-10-25"), ("2027-03-22T10:00", "26/03/2027", "2027-03-28")]
    {
        let rules = super::office::RULES
            .replace("at = \"08:00\"", "at = \"02:30\"")
            .replace(
                "days = \"working\"\nfrom = \"07:30\"\nuntil = \"17:30\"",
                "days = \"all\"\nfrom = \"00:00\"\nuntil = \"24:00\"",
            )
            .replace("due = \"+3wd\"", "due = \"+6wd\"")
            .replace("due = \"+2wd\"", "due = \"+5wd\"")
            .replace("due = \"+1wd\"", "due = \"+2d\"");
        let office = Office::with(moment(entered, zone), &tasks(3, due), |folder| {
            in_zone(folder, zone);
            fs::write(folder.join("rules.toml"), rules).unwrap();
        })
        .await;
        let engine = office.start().await;
        let before = moment(&format!("{sunday}T01:00"), zone);
        office.live(&engine, before).await;
        assert!(!office.reminders().await.contains_key("qua-han-1 sent"));
        office.live(&engine, before + 1.hour()).await;
        office.live(&engine, before + 6.hours()).await;
        let reminders = office.reminders().await;
        assert_eq!((reminders["den-han sent"], reminders["qua-han-1 sent"]), (6, 9), "{due} {reminders:?}");
        let sent = office.caught.count();
        office.live(&engine, before + 20.hours()).await;
        assert_eq!((office.caught.count(), engine.clock_doubt()), (sent, None));
    }
}
