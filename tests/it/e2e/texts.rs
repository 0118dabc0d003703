//! An office's own texts in a running daemon.

use super::world::{World, local};

#[test]
fn a_broken_template_refuses_the_reload_and_a_mended_one_is_in_the_next_letter() {
    let Some(world) = World::at("2026-11-20T20:00:00") else { return };
    world.import_sample();
    let daemon = world.run();
    world.wait_quiet(local("2026-11-20T20:00:00"));

    let templates = world.path("templates");
    std::fs::create_dir(&templates).unwrap();
    std::fs::write(templates.join("closing.txt.j2"), "Trân trọng, {{ ofice }}").unwrap();
    let settings = std::fs::read_to_string(world.path("dondoc.toml")).unwrap();
    let settings =
        settings.replace("calendar = \"calendar.toml\"", "calendar = \"calendar.toml\"\ntemplates = \"templates\"");
    std::fs::write(world.path("dondoc.toml"), settings).unwrap();
    daemon.signal(libc::SIGHUP);
    let line = daemon.wait_for_log("reload refused");
    assert!(line.contains("the last good rules stay in force"), "{line}");
    world.wait_status("the refusal is seen", |status| status["reload"] == "refused");
    assert_eq!(world.dondoc(&["check"]).code, 3);

    std::fs::write(templates.join("closing.txt.j2"), "Kính chúc {{ to.you }} mạnh khỏe./.").unwrap();
    assert_eq!(world.dondoc(&["check"]).code, 0);
    daemon.signal(libc::SIGHUP);
    daemon.wait_for_log("reloaded: ");
    world.set(local("2026-11-23T08:00:01"));
    world.wait_quiet(local("2026-11-23T08:00:01"));
    let mails = world.mail.journal();
    assert!(!mails.is_empty());
    daemon.stop();
    for mail in mails {
        let parsed = mail_parser::MessageParser::default().parse(&mail.bytes).unwrap();
        let text = parsed.body_text(0).unwrap().replace(['\r', '\n'], " ");
        assert!(text.contains("mạnh khỏe./.") && !text.contains("Trân trọng"), "{text}");
    }
}
