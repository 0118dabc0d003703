//! How things stand, as `status` tells an operator: before the first start, at work, while the relay is away, stopped.

use std::net::TcpListener;

use serde_json::json;

use super::world::{Office, World, local};

/// The text, which is there for people whatever the exit code.
fn told(world: &World) -> String {
    world.dondoc(&["status"]).out
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    // Something that is not there yet is said to be so in a sentence; English words have no place.
    for wrong in ["lúc chưa có", "null", "0000000000000000"] {
        assert!(!text.contains(wrong), "{wrong:?} stands in:\n{text}");
    }
}

#[test]
fn before_its_first_start_status_says_so_and_what_a_start_would_meet() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    let text = told(&world);
    holds(
        &text,
        &[
            "Dịch vụ KHÔNG chạy: chưa khởi động lần nào trên cơ sở dữ liệu này.\n",
            "Quy tắc và lịch: chưa nạp lần nào; dịch vụ nạp khi khởi động.\n",
            "Chưa quét lần nào.\n",
            "Sổ phiếu báo: chưa có mục nào\n",
        ],
    );
    assert!(!text.contains("đang chạy theo"), "{text}");
    let status = world.status();
    assert_eq!(
        (&status["running"], &status["ready"], &status["rules"]["accepted_at"]),
        (&json!(false), &json!(false), &json!(null))
    );

    // With rules at fault nothing could start; with good ones it can, and is told.
    let rules = std::fs::read_to_string(world.path("rules.toml")).unwrap();
    std::fs::write(world.path("rules.toml"), rules.replace("\ndue = \"-10wd\"", "\ndue = -10")).unwrap();
    holds(&told(&world), &["TỆP ĐANG SAI: rules.toml:", "nên phải sửa xong dịch vụ mới chạy được"]);
    std::fs::write(world.path("rules.toml"), &rules).unwrap();
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    let text = told(&world);
    holds(
        &text,
        &[
            "Dịch vụ đang chạy.\n",
            "Quy tắc và lịch đang áp dụng: nhận lúc 20/11/2026 20:00",
            "lần xem tới: chưa có gì để xem",
        ],
    );
    assert_eq!(world.status()["running"], true);
    daemon.stop();

    // Stopped, and the files edited meanwhile: nothing "is running by" anything.
    std::fs::write(world.path("rules.toml"), rules.replace("\ndue = \"-10wd\"", "\ndue = \"-9wd\"")).unwrap();
    let text = told(&world);
    holds(&text, &["Dịch vụ KHÔNG chạy", "Tệp đã sửa sau lần nạp lúc 20/11/2026 20:00; dịch vụ nạp khi khởi động."]);
    assert!(!text.contains("đang chạy theo"), "{text}");
}

#[test]
fn while_the_relay_is_away_status_says_which_since_it_does_not_answer_and_when_it_is_tried_again() {
    // A port at which nobody listens: taken, and given back.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let office = Office { relay: Some(port), without_zalo: true, ..Office::default() };
    let Some(world) = World::with("2026-11-20T20:00:00", office) else { return };
    world.import_sample();
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));
    world.set(local("2026-11-23T08:00:00"));
    daemon.ring();
    let status = world.wait_status("the breaker is open", |status| {
        status["channels"]["email"]["breaker"] == "open" && status["backlog"]["email"].as_i64() > Some(10)
    });
    let text = told(&world);
    holds(
        &text,
        &[
            "Dịch vụ đang chạy.\n",
            &format!(
                "CHƯA GỬI ĐƯỢC thư điện tử: máy chủ thư 127.0.0.1:{port}: máy chủ không nhận kết nối (connection refused at connecting)."
            ),
            "Thử lại lúc 23/11/2026 08:0",
            &format!("không thư nào bị bỏ, {} còn chờ.", status["backlog"]["email"]),
        ],
    );
    let outbox = world.dondoc(&["outbox", "list"]).out;
    assert!(outbox.contains("chờ gửi") && outbox.contains("máy chủ không nhận kết nối"), "{outbox}");
    assert!(!outbox.contains("released") && !outbox.contains("site "), "{outbox}");
    daemon.stop();
}
