//! `dondoc.toml`: secrets, the environment, paths.

use super::*;

#[test]
fn a_secret_typed_into_a_file_or_the_environment_is_refused_and_never_shown() {
    for typed in [
        "password = \"hunter2\"",
        "password = \"\"\"\nhunter2\n\"\"\"",
        "password = hunter2",
        "smtp_token = \"hunter2\" # hunter2",
        "\"password\" = 'hunter2",
    ] {
        let problems = faults(settings(&format!("{SETTINGS}{typed}\nprt = 1\n"), &[]));
        assert!(problems.iter().count() >= 2, "{typed}: {problems}");
        let said = format!("{problems}{}", problems.to_json());
        assert!(!said.contains("hunter2"), "{typed}: {said}");
    }
    let inline = with(
        SETTINGS,
        "[email.smtp]\nhost = \"mail.example\"\ntls = \"starttls\"\n",
        "smtp = { hots = 1, password = \"hunter2\" }\n",
    );
    let problems = faults(settings(&inline, &[]));
    assert!(problems.iter().any(|p| p.code == "secret-in-settings"), "{problems}");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
    let url =
        format!("{SETTINGS}[zalo]\nmode = \"webhook\"\n[zalo.webhook]\nurl = \"https://me:hunter2@relay.example/\"\n");
    let problems = faults(settings(&url, &[]));
    assert!(problems.iter().any(|p| p.code == "secret-in-settings") && !problems.to_string().contains("hunter2"));
    let problems = faults(settings(SETTINGS, &[("DONDOC_EMAIL__SMTP__PASSWORD", "hunter2")]));
    only(&problems, "secret-in-settings", 1, "_FILE");
    assert!(!problems.to_string().contains("hunter2"), "{problems}");
}

#[test]
fn secrets_come_from_files_beside_the_settings_or_from_systemd() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dondoc.toml");
    let text = format!(
        "{SETTINGS}username = \"dondoc\"\n[zalo]\nmode = \"webhook\"\n[zalo.webhook]\nurl = \"https://relay.example/\"\n"
    );
    fs::write(&path, with(&text, "username", "password_file = \"mat-khau\"\nusername")).unwrap();
    fs::write(dir.path().join("mat-khau"), "từ tệp \r\n").unwrap();
    let credentials = dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(credentials.join("smtp-password"), "từ systemd\n").unwrap();
    fs::write(credentials.join("zalo-webhook-secret"), "mới\ncũ\n").unwrap();
    let vars = || vec![("CREDENTIALS_DIRECTORY".to_owned(), credentials.display().to_string())];
    let password = |settings: &Settings| match &settings.email.transport {
        EmailTransport::Smtp(smtp) => smtp.password.as_ref().map(|secret| secret.expose().to_owned()),
        EmailTransport::Maildir { .. } => None,
    };
    let (read, _) = load_settings(&path, vars()).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(password(&read).as_deref(), Some("từ tệp "), "the file goes before the credential");
    match &read.zalo {
        Zalo::Webhook { secrets, .. } => {
            assert_eq!(secrets.iter().map(|s| s.expose()).collect::<Vec<_>>(), ["mới", "cũ"])
        }
        Zalo::Off => panic!("zalo is on"),
    }
    assert!(!format!("{read:?}").contains("từ tệp"), "no Debug shows a secret");
    fs::write(&path, &text).unwrap();
    let (read, _) = load_settings(&path, vars()).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(password(&read).as_deref(), Some("từ systemd"));
}

#[test]
fn the_environment_replaces_a_value_and_a_slip_in_its_name_is_found() {
    let vars = [
        ("DONDOC_EMAIL__SMTP__HOST", "127.0.0.1"),
        ("DONDOC_EMAIL__SMTP__TLS", "none"),
        ("DONDOC_EMAIL__SMTP__PORT", "2525"),
        ("DONDOC_EMAIL__ALLOWED_DOMAINS", "a.example, b.example"),
        ("DONDOC_BLOCKS__PARTY__FOCAL_AGENCY", "VPTU"),
        ("DONDOC_CONFIG", "/elsewhere"),
    ];
    let (read, problems) = settings(SETTINGS, &vars).unwrap_or_else(|p| panic!("{p}"));
    assert!(problems.is_empty(), "{problems}");
    let EmailTransport::Smtp(smtp) = &read.email.transport else { panic!("smtp") };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("127.0.0.1", 2525, SmtpTls::None));
    assert_eq!(read.email.allowed_domains, ["a.example", "b.example"]);
    assert_eq!(read.blocks[&Block::Party].focal_agency, "VPTU");
    let wrong = only(&faults(settings(SETTINGS, &[("DONDOC_EMAIL__SMTP__PORT", "many")])), "out-of-range", 1, "65535");
    assert_eq!(wrong.file, "DONDOC_EMAIL__SMTP__PORT");
    only(&faults(settings(SETTINGS, &[("DONDOC_EMIAL__FROM", "x")])), "unknown-variable", 1, "`DONDOC_EMAIL__FROM`");
}

#[test]
fn paths_are_relative_to_the_settings_file() {
    let (read, _) = settings(SETTINGS, &[]).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(read.store_url, "sqlite:/etc/dondoc/dondoc.db");
    assert_eq!(read.files.rules, Path::new("/etc/dondoc/rules.toml"));
    assert_eq!(read.notices.directory, Path::new("/etc/dondoc/notices"));
    let text =
        format!("[store]\nurl = \"sqlite:///var/lib/dondoc/d.db\"\n[notices]\ndirectory = \"/srv/phieu\"\n{SETTINGS}");
    let (read, _) = settings(&text, &[]).unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(read.store_url, "sqlite:/var/lib/dondoc/d.db");
    assert_eq!(read.notices.directory, Path::new("/srv/phieu"));
}

#[test]
fn a_server_keeps_the_ledger_its_password_comes_from_a_file_and_beyond_this_machine_it_is_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mat-khau"), "hunter2\n").unwrap();
    std::fs::write(folder.path().join("store-password"), "hunter3\n").unwrap();
    let read = |store: &str, environment: &[(&str, &str)]| {
        let text = format!("[store]\n{store}\n{SETTINGS}").replace("FOLDER", folder.path().to_str().unwrap());
        settings(&text, environment).map(|(read, _)| read).unwrap_or_else(|p| panic!("{store}: {p}"))
    };
    let url = "postgres://dondoc@db.office.example:6432/dondoc?sslmode=verify-full&statement-cache-capacity=0";
    let server = read(&format!("url = \"{url}\"\npassword_file = \"FOLDER/mat-khau\""), &[]);
    assert!(server.is_on_server());
    assert_eq!(server.store_url, url);
    assert_eq!(server.store_password.as_ref().map(|secret| secret.expose()), Some("hunter2"));
    assert!(!format!("{server:?}").contains("hunter2"));
    let credentials = folder.path().to_str().unwrap().to_owned();
    let server = read("url = \"postgresql://dondoc@127.0.0.1/dondoc\"", &[("CREDENTIALS_DIRECTORY", &credentials)]);
    assert_eq!(server.store_password.as_ref().map(|secret| secret.expose()), Some("hunter3"));
    // Sockets are this machine's.
    for here in
        ["postgres:///dondoc?host=/run/postgresql", "postgres://%2Frun%2Fpostgresql/dondoc", "postgres://localhost/d"]
    {
        assert!(read(&format!("url = \"{here}\""), &[]).is_on_server(), "{here}");
    }
    for open in [
        "postgres://db.office.example/d",
        "postgres://db.office.example/d?sslmode=prefer",
        "postgres:///d?host=10.0.0.1",
    ] {
        let text = format!("[store]\nurl = \"{open}\"\n{SETTINGS}");
        only(&faults(settings(&text, &[])), "plain-text-store", 2, "không mã hóa");
    }
    for told in ["postgres://u:hunter2@127.0.0.1/d", "postgres://u@127.0.0.1/d?password=hunter2"] {
        let problems = faults(settings(&format!("[store]\nurl = \"{told}\"\n{SETTINGS}"), &[]));
        assert!(problems.iter().any(|problem| problem.code == "secret-in-settings"), "{problems}");
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
    }
    assert!(!read("url = \"sqlite:d.db\"", &[]).is_on_server());
}

#[test]
fn the_daily_list_has_its_hour_unless_it_is_switched_off_and_goes_to_no_foreign_domain() {
    let at = |line: &str, vars: &[(&str, &str)]| {
        let text = with(SETTINGS, "transport = ", &format!("{line}transport = "));
        settings(&text, vars).map(|(settings, _)| settings.email.daily_list_at.map(|time| time.to_string()))
    };
    for (line, vars, wanted) in [
        ("", &[][..], Some("09:00:00")),
        ("daily_list_at = \"07:45\"\n", &[], Some("07:45:00")),
        ("daily_list_at = 07:45:00\n", &[], Some("07:45:00")),
        ("daily_list_at = \"\"\n", &[], None),
        ("", &[("DONDOC_EMAIL__DAILY_LIST_AT", "16:30")], Some("16:30:00")),
        ("", &[("DONDOC_EMAIL__DAILY_LIST_AT", "")], None),
    ] {
        let read = at(line, vars).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(read.as_deref(), wanted, "{line} {vars:?}");
    }
    let wrong = at("daily_list_at = \"25:00\"\n", &[]).unwrap_err();
    only(&wrong, "bad-time", 3 + 1, "daily_list_at");
    let operator = |address: &str| {
        let text = with(SETTINGS, "transport = ", &format!("operator = \"{address}\"\ntransport = "));
        settings(&text, &[]).map(|(settings, _)| settings.email.operator)
    };
    let inside = "Tổ vận hành <van-hanh@cntt.hanoi.gov.vn.example>";
    assert_eq!(operator(inside).unwrap_or_else(|problems| panic!("{problems}")).as_deref(), Some(inside));
    only(&operator("me@elsewhere.example").unwrap_err(), "address-not-allowed", 3 + 1, "operator");
    only(&operator("không phải").unwrap_err(), "bad-address", 3 + 1, "operator");
}
