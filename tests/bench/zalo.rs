//! Zalo's webhook alone: ten thousand lines already planned and in messages of their own, then composed, passed through
//! the gate, signed, posted to a small server on this machine and recorded. As `delivery` measures letters.

use std::process::Command;

use dondoc::planning::rules::ChannelKind;

use crate::{
    World,
    delivery::{free_port, listening, send, stop},
    meter::Row,
    office::{Office, Tasks},
    sending::RULES,
};

/// The word by which this program is a relay to Zalo.
pub const SINK: &str = "--http-sink";

/// One in thirty of the generated tasks has no deadline; some of their handlers take no Zalo.
const TASKS: usize = 15_000;

pub fn zalo(_: &World) -> Vec<Row> {
    let port = free_port();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([SINK, &port.to_string()]);
    let sink = listening(command, port);
    let settings = |text: &str| {
        let text = text.replacen("mode = \"off\" ", "mode = \"webhook\" ", 1);
        let text = text.replacen("http://127.0.0.1:9000/zalo", &format!("http://127.0.0.1:{port}/zalo"), 1);
        text.replacen("# secret_file = ", "secret_file = ", 1)
    };
    let office = Office::with(settings, |_| RULES.replace("[\"email\"]", "[\"zalo\"]"), "bi-mat");
    let file = office.path("tasks.csv");
    Tasks { count: TASKS, due: (0, 5) }.write_csv(&file);
    office.ok(&["import", "tasks", &file.display().to_string(), "--yes"]);
    let [sent, wall, cpu, peak, bytes] = send(&office, ChannelKind::Zalo);
    stop(sink);
    vec![Row {
        what: format!("post {sent} Zalo lines to a webhook"),
        figure: format!("{:.0}/s, {:.3} ms CPU each", sent / wall, cpu * 1e3 / sent),
        how: format!("{wall:.2} s, {cpu:.2} s CPU, VmHWM {peak:.0} MB, {bytes:.0} bytes each"),
    }]
}

/// A server that takes every POST at once and keeps its connections.
pub fn sink(port: u16) {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.expect("its port");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut read = BufReader::with_capacity(64 * 1024, read);
                let (mut line, mut body, mut length) = (String::new(), Vec::new(), 0);
                loop {
                    line.clear();
                    if read.read_line(&mut line).await? == 0 {
                        return Ok::<(), std::io::Error>(());
                    }
                    if let Some(said) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = said.trim().parse().expect("a length");
                    }
                    if line == "\r\n" {
                        body.resize(length, 0);
                        read.read_exact(&mut body).await?;
                        write.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}").await?;
                    }
                }
            });
        }
    });
}
