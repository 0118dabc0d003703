//! The daily list of those who could not be reached, through the built binary: one recipient is refused, the day passes,
//! and the operator and the monitor hear of it once each working day, until it is over.

use mail_parser::MessageParser;

use super::world::{Office, PATIENCE, World, local};
use crate::{
    clock::office::tasks,
    sink::{
        fault::{Act, Fault, Point},
        smtp::Received,
    },
};

const OPERATOR: &str = "vanhanh@hanoi.gov.vn.example";
/// Đỗ Mai Linh, who follows all four tasks.
const MONITOR: &str = "linhdm@hanoi.gov.vn.example";
/// Handles the first task, and the fourth, which is classified.
const REFUSED: &str = "landt2@hanoi.gov.vn.example";

/// Four tasks due on Wednesday 25/11/2026, the day after a day off; the last one is classified.
fn office() -> Option<World> {
    let world = World::with("2026-11-20T20:00:00", Office { without_zalo: true, ..Office::default() })?;
    let settings = std::fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let on = format!("operator = \"Tổ vận hành <{OPERATOR}>\"\ndaily_list_at = \"09:00\"");
    std::fs::write(world.path("dondoc.toml"), settings.replace("daily_list_at = \"\"", &on)).unwrap();
    let rows = tasks(4, "25/11/2026").replace("số 4,", "số 4 TUYỆT ĐỐI KÍN,");
    let (open, last) = rows.rsplit_once("\nNV27").unwrap();
    std::fs::write(world.path("tasks.csv"), format!("{open}\nNV27{}", last.replace("Thường,Thường", "Thường,Mật")))
        .unwrap();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/config/sample/directory.csv");
    world.json(&["import", "directory", directory]);
    let import = world.json(&["import", "tasks", "tasks.csv", "--yes"]);
    assert_eq!((&import["created"], &import["secret"]), (&4.into(), &1.into()), "{import}");
    Some(world)
}

struct List {
    to: String,
    subject: String,
    /// Of both parts, words apart by one blank.
    texts: [String; 2],
}

fn read(mail: &Received) -> List {
    let parsed = MessageParser::default().parse(&mail.bytes).unwrap();
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    List {
        to: mail.to[0].clone(),
        subject: parsed.subject().unwrap().to_owned(),
        texts: [plain(&parsed.body_text(0).unwrap()), plain(&parsed.body_html(0).unwrap())],
    }
}

/// The lists that came so far, in order.
fn lists(world: &World) -> Vec<List> {
    let all = world.mail.journal();
    all.iter().map(read).filter(|list| list.subject.starts_with("[Không liên hệ được]")).collect()
}

/// Waits for so many lists in all. A scan makes them, and they leave after it.
fn wait_for(world: &World, wanted: usize) -> Vec<List> {
    let others = world.mail.journal().len() - lists(world).len();
    world.mail.wait_for(others + wanted, PATIENCE);
    lists(world)
}

/// Lets the morning come, and nine o'clock.
fn morning(world: &World, day: &str) {
    world.pass(local(&format!("{day}T08:00:00")));
    world.pass(local(&format!("{day}T09:00:00")));
}

#[test]
fn who_is_refused_stands_once_a_day_on_the_operators_and_the_monitors_list_and_nothing_classified_with_it() {
    let Some(world) = office() else { return };
    world.mail.fault(Fault::at(Point::Rcpt, Act::say("550 5.1.1 mailbox unavailable")).to(REFUSED));
    let daemon = world.run();
    world.pass(local("2026-11-23T08:00:00"));
    assert_eq!(lists(&world).len(), 0, "not before its hour");
    world.pass(local("2026-11-23T09:00:00"));
    let monday = wait_for(&world, 2);
    let of = |lists: &[List], to: &str| {
        let mut own = lists.iter().filter(|list| list.to == to);
        let first = own.next().unwrap_or_else(|| panic!("no list for {to}"));
        assert!(own.next().is_none(), "two lists for {to}");
        (first.subject.clone(), first.texts.clone())
    };
    let (subject, texts) = of(&monday, MONITOR);
    assert_eq!(subject, "[Không liên hệ được] 1 trường hợp, 1 nhiệm vụ, 23/11/2026");
    for text in &texts {
        for part in
            ["UBND xã An Khánh", "Chuyên viên thụ lý", "NV27-000001", "23/11/2026", "550 5.1.1 mailbox unavailable"]
        {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
        assert!(text.contains("l***@hanoi.gov.vn.example") && !text.contains(REFUSED), "not masked: {text}");
        assert!(!text.contains("NV27-000002") && !text.contains("dondoc "), "not the monitor's: {text}");
    }
    let (subject, texts) = of(&monday, OPERATOR);
    // The classified one counts, and nothing more is said of it.
    assert_eq!(subject, "[Không liên hệ được] 2 trường hợp, 1 nhiệm vụ, 23/11/2026");
    for text in &texts {
        assert!(
            text.contains("NV27-000001") && text.contains("Ngoài ra có 1 trường hợp không nêu trong thư"),
            "{text}"
        );
        assert!(text.contains("dondoc outbox retry") && !text.contains("MAT-"), "{text}");
    }
    // Not again on that day, started anew or not; a day off has no list.
    world.pass(local("2026-11-23T15:00:00"));
    daemon.stop();
    let daemon = world.run();
    world.pass(local("2026-11-23T16:00:00"));
    morning(&world, "2026-11-24");
    assert_eq!(lists(&world).len(), 2);
    // Refused again on Wednesday, on the day itself: still one case, known since Monday, on one list for each.
    morning(&world, "2026-11-25");
    let wednesday = wait_for(&world, 4).split_off(2);
    let (subject, texts) = of(&wednesday, MONITOR);
    assert_eq!(subject, "[Không liên hệ được] 1 trường hợp, 1 nhiệm vụ, 25/11/2026");
    assert!(texts[0].contains("Từ 23/11/2026") && texts[0].matches("NV27-000001").count() == 1, "{}", texts[0]);
    assert_eq!(of(&wednesday, OPERATOR).0, "[Không liên hệ được] 2 trường hợp, 1 nhiệm vụ, 25/11/2026");
    // The box takes mail again: the next day says so, once, and then there is silence.
    world.mail.heal();
    morning(&world, "2026-11-26");
    let thursday = wait_for(&world, 6).split_off(4);
    for to in [MONITOR, OPERATOR] {
        assert_eq!(of(&thursday, to).0, "[Không liên hệ được] Đã liên hệ lại được với tất cả, 26/11/2026");
    }
    morning(&world, "2026-11-27");
    world.pass(local("2026-11-27T17:00:00"));
    assert_eq!(lists(&world).len(), 6);
    for mail in world.mail.journal().iter().map(read) {
        let all = format!("{} {} {}", mail.subject, mail.texts[0], mail.texts[1]);
        for secret in ["NV27-000004", "4/UBND-TH", "Việc thử 4", "TUYỆT ĐỐI KÍN"] {
            assert!(!all.contains(secret), "{secret} to {}: {all}", mail.to);
        }
    }
    let log = daemon.stop().join("\n");
    assert!(!log.contains(REFUSED) && !log.contains(MONITOR), "personal data in the log: {log}");
}
