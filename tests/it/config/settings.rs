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
