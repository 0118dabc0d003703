//! Two thousand reminders, each a letter of its own, through the whole program: planned, composed, handed over, recorded.

use crate::{
    World,
    meter::Row,
    office::{Office, Tasks},
    sink::smtp::SmtpSink,
};

/// One in thirty of the generated tasks has no deadline.
const TASKS: usize = 2_068;
const LETTERS: usize = 2_000;

pub const RULES: &str = include_str!("../sink/letter_each.toml");

/// Into a Maildir, and to a mail server on one and on five connections.
pub fn sending(_: &World) -> Vec<Row> {
    let mut rows = vec![measured("Maildir", &Office::new(str::to_owned, |_| RULES.to_owned()))];
    for connections in [1, 5] {
        let sink = SmtpSink::start();
        let port = sink.port();
        let office = Office::new(|text| relay(text, port, connections), |_| RULES.to_owned());
        rows.push(measured(&format!("SMTP, {connections} connections"), &office));
        assert_eq!(sink.journal().len(), LETTERS, "letters that arrived");
    }
    rows
}

/// The shipped settings with a relay on this machine, without its limits.
pub fn relay(settings: &str, port: u16, connections: u32) -> String {
    [
        ("transport = \"maildir\"", "transport = \"smtp\"".to_owned()),
        ("port = 25\n", format!("port = {port}\n")),
        ("tls = \"starttls\"", "tls = \"none\"".to_owned()),
        ("max_connections = 5", format!("max_connections = {connections}")),
        ("messages_per_minute = 600", "messages_per_minute = 100000".to_owned()),
    ]
    .into_iter()
    .fold(settings.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the shipped settings have no {from} now");
        text.replacen(from, &to, 1)
    })
}

fn measured(name: &str, office: &Office) -> Row {
    let file = office.path("tasks.csv");
    Tasks { count: TASKS, due: (0, 5) }.write_csv(&file);
    office.ok(&["import", "tasks", &file.display().to_string(), "--yes"]);
    let ran = office.ok(&["run", "--once"]);
    assert!(ran.stdout.contains(&format!("{LETTERS} thư hoặc tin đã gửi")), "{}", ran.stdout);
    let letters = LETTERS as f64;
    Row {
        what: format!("send {LETTERS} letters, {name}"),
        figure: format!(
            "{:.0}/s, {:.2} ms CPU each",
            letters / ran.wall.as_secs_f64(),
            ran.cpu.as_secs_f64() * 1e3 / letters
        ),
        how: format!(
            "`dondoc run --once`, planning included: {:.1} s, {:.1} s CPU, VmHWM {:.0} MB",
            ran.wall.as_secs_f64(),
            ran.cpu.as_secs_f64(),
            ran.peak_mb
        ),
    }
}
