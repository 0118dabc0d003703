//! The part of `dondoc.toml` that says how mail goes out, and the files that hold secrets.

use super::{
    problem::quoted,
    raw::{Data, Table},
    settings::{Email, EmailTransport, Secret, Smtp, SmtpTls},
    settings_file::{Reader, is_loopback, sub},
    shipped::words,
};

/// When the daily list goes out where no line says it: after the morning's letters, so that their refusals are in it.
const DAILY_LIST_AT: jiff::civil::Time = jiff::civil::Time::constant(9, 0, 0, 0);

/// Whether mail may go to an address.
fn allowed(address: &str, domains: &[String]) -> bool {
    let domain = address.trim_end_matches('>').rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
    let under = |allowed: &String| domain.strip_suffix(allowed.as_str()).is_some_and(|sub| sub.ends_with('.'));
    domains.iter().any(|allowed| domain == *allowed || under(allowed))
}

impl Reader<'_> {
    pub fn email(&self, root: &Table<'_>) -> Option<Email> {
        root.missing("email", "[email]\ntransport = \"smtp\"\nfrom = \"Đôn đốc nhiệm vụ <dondoc@…>\"");
        let table = root.table("email", "[email]")?;
        table.known(&[
            "transport",
            "from",
            "reply_to",
            "operator",
            "daily_list_at",
            "allowed_domains",
            "maildir",
            "smtp",
        ]);
        table.missing("transport", "transport = \"smtp\" (gửi thật) hoặc \"maildir\" (để thư vào thư mục)");
        table.missing("from", "from = \"Đôn đốc nhiệm vụ <dondoc@office.example>\"");
        table.missing("allowed_domains", "allowed_domains = [\"hanoi.gov.vn.example\"]");
        let transport = table.word("transport", &["maildir", "smtp"], |word| match word {
            "maildir" => Some(false),
            "smtp" => Some(true),
            _ => None,
        });
        let address = |key: &str, example: &str| {
            let (text, place) = table.filled(key, &format!("{key} = \"{example}\""))?;
            if text.parse::<lettre::message::Mailbox>().is_err() {
                let message = format!("`{key}` không phải địa chỉ thư: {}", quoted(&text));
                table.error(&place, "bad-address", message, format!("viết như: {key} = \"{example}\""));
                return None;
            }
            Some(text)
        };
        let from = address("from", "Đôn đốc nhiệm vụ <dondoc@office.example>");
        let reply_to = address("reply_to", "vanphong@office.example");
        let operator = address("operator", "vanhanh@office.example");
        let daily_list_at = match table.find("daily_list_at").map(|node| &node.data) {
            Some(Data::Text(text) | Data::Env(text)) if text.trim().is_empty() => None,
            Some(_) => table.time("daily_list_at").map(|(time, _)| time),
            None => Some(DAILY_LIST_AT),
        };
        let allowed_domains = self.domains(&table);
        if let Some(operator) = &operator
            && !allowed_domains.is_empty()
            && !allowed(operator, &allowed_domains)
        {
            let message = format!("`operator` ở ngoài các tên miền được gửi: {}", quoted(operator));
            let help = "thêm tên miền đó vào `allowed_domains`, hoặc dùng địa chỉ khác";
            table.error(&table.value_place("operator"), "address-not-allowed", message, help);
        }
        let maildir = sub(&table, "email", "maildir");
        let path = maildir.and_then(|table| table.filled("path", "path = \"mail\""));
        let smtp_table = sub(&table, "email", "smtp");
        let wanted = transport.as_ref().is_some_and(|(smtp, _)| *smtp);
        if wanted && smtp_table.is_none() && !table.has("smtp") {
            let help = "thêm mục:\n[email.smtp]\nhost = \"…\"\nport = 587\ntls = \"starttls\"";
            table.error(
                &table.value_place("transport"),
                "missing-key",
                "gửi bằng SMTP nhưng thiếu mục [email.smtp]",
                help,
            );
        }
        let smtp = smtp_table.and_then(|table| self.smtp(&table, wanted));
        let transport = match transport?.0 {
            false => EmailTransport::Maildir { path: self.path(&path.map_or("mail".to_owned(), |(text, _)| text)) },
            true => EmailTransport::Smtp(smtp?),
        };
        Some(Email { transport, from: from?, reply_to, operator, daily_list_at, allowed_domains })
    }

    fn domains(&self, table: &Table<'_>) -> Vec<String> {
        let example = "allowed_domains = [\"hanoi.gov.vn.example\"]";
        let Some(texts) = table.texts("allowed_domains", example) else { return Vec::new() };
        if texts.is_empty() {
            let place = table.value_place("allowed_domains");
            table.error(
                &place,
                "empty-value",
                "`allowed_domains` trống: không gửi được thư cho ai",
                format!("viết như: {example}"),
            );
        }
        let mut domains = Vec::new();
        for (text, place) in texts {
            let domain = text.trim().to_lowercase();
            let fits = !domain.is_empty()
                && !domain.starts_with(['.', '-'])
                && !domain.ends_with('.')
                && !domain.contains("..")
                && domain.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-'));
            if fits {
                domains.push(domain);
            } else {
                let bare = domain.rsplit('@').next().unwrap_or_default().trim_start_matches(['*', '.']);
                let help = format!("chỉ viết tên miền, không `@`, không `*` (tên miền con đã tính): \"{bare}\"");
                table.error(&place, "bad-domain", format!("không phải tên miền: {}", quoted(&text)), help);
            }
        }
        domains
    }

    /// `wanted`: the transport is SMTP, so that its secret must be readable.
    fn smtp(&self, table: &Table<'_>, wanted: bool) -> Option<Smtp> {
        table.missing("host", "host = \"127.0.0.1\"");
        table.missing("tls", "tls = \"starttls\"");
        let host = table.filled("host", "host = \"mail.office.example\"");
        let tls = table.word("tls", &["implicit", "starttls", "none"], |word| match word {
            "implicit" => Some(SmtpTls::Implicit),
            "starttls" => Some(SmtpTls::Starttls),
            "none" => Some(SmtpTls::None),
            _ => None,
        });
        if let (Some((host, _)), Some((SmtpTls::None, place))) = (&host, &tls)
            && !is_loopback(host)
        {
            let help = "dùng tls = \"starttls\" (cổng 587 hoặc 25) hoặc tls = \"implicit\" (cổng 465)";
            let message =
                format!("tls = \"none\" chỉ được khi máy gửi thư là chính máy này, không phải {}", quoted(host));
            table.error(place, "plain-text-smtp", message, help);
        }
        let default_port = if matches!(tls, Some((SmtpTls::Implicit, _))) { 465 } else { 25 };
        let port = table.int("port", 1..=65_535).unwrap_or(default_port) as u16;
        let username = table.filled("username", "username = \"dondoc\"").map(|(name, _)| name);
        let password = self.secret(table, "password_file", "smtp-password", wanted);
        if wanted && username.is_some() && password.is_none() && !table.has("password_file") {
            let help = "thêm password_file = \"smtp-password\", hoặc credential `smtp-password` của systemd";
            table.error(&table.place_of("username"), "missing-secret", "có `username` nhưng không có mật khẩu", help);
        }
        let max_connections = table.int("max_connections", 1..=100).unwrap_or(5) as u16;
        let messages_per_minute = table.int("messages_per_minute", 1..=100_000).unwrap_or(600) as u32;
        Some(Smtp {
            host: host?.0,
            port,
            tls: tls?.0,
            username,
            password: password.and_then(|lines| lines.into_iter().next()).map(Secret::new),
            max_connections,
            messages_per_minute,
        })
    }

    /// The lines of a secret: from the file a key names, else from systemd's credential.
    pub fn secret(&self, table: &Table<'_>, key: &str, credential: &str, wanted: bool) -> Option<Vec<String>> {
        let named = table.filled(key, &format!("{key} = \"{credential}\""));
        if !wanted {
            return None;
        }
        let (path, place, shown) = match (named, &self.credentials) {
            (Some((text, place)), _) => (self.path(&text), place, text),
            (None, Some(dir)) if dir.join(credential).exists() => {
                (dir.join(credential), table.place.clone(), format!("credential {credential}"))
            }
            _ => return None,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let lines: Vec<String> = text
                    .lines()
                    .map(|line| line.trim_end_matches('\r').to_owned())
                    .filter(|line| !line.is_empty())
                    .collect();
                if lines.is_empty() {
                    let message = format!("tệp bí mật {} trống", quoted(&shown));
                    self.faults.error(&place, "empty-secret", message, "ghi bí mật vào dòng đầu của tệp");
                    return None;
                }
                Some(lines)
            }
            Err(error) => {
                let message = format!("không đọc được tệp bí mật {}: {}", quoted(&shown), secret_words(&error));
                let help =
                    "tạo tệp đó và cho tài khoản chạy dịch vụ quyền đọc (chmod 600), hoặc dùng credential của systemd";
                self.faults.error(&place, "secret-unreadable", message, help);
                None
            }
        }
    }
}

fn secret_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::InvalidData => "không phải mã UTF-8".to_owned(),
        _ => words(error),
    }
}
