//! The part of `dondoc.toml` that says where the ledger is kept.

use super::{
    problem::Place,
    raw::Table,
    settings::Secret,
    settings_file::{Reader, is_loopback, section},
};

const FILE: &str = "url = \"sqlite:dondoc.db\"";
const SERVER: &str = "url = \"postgres://dondoc@db.office.example/dondoc?sslmode=verify-full\"";

impl Reader<'_> {
    /// The address, and the password where a server is named that asks for one.
    pub fn store(&self, root: &Table<'_>) -> Option<(String, Option<Secret>)> {
        let table = section(root, "store");
        if let Some(table) = &table {
            table.known(&["url", "password_file"]);
        }
        let named = table.as_ref().and_then(|table| table.filled("url", FILE));
        let Some((url, place)) = named else {
            return Some((format!("sqlite:{}", self.path("dondoc.db").display()), None));
        };
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            self.server(&url, &place)?;
            let password = table.and_then(|table| self.secret(&table, "password_file", "store-password", true));
            return Some((url, password.and_then(|lines| lines.into_iter().next()).map(Secret::new)));
        }
        self.file(&url, &place).map(|url| (url, None))
    }

    /// A file's address with its path made absolute.
    fn file(&self, url: &str, place: &Place) -> Option<String> {
        let Some(file) = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest)) else {
            let message = "`url` phải bắt đầu bằng `sqlite:` hoặc `postgres://`";
            self.faults.error(place, "bad-store-url", message, format!("viết như: {FILE}\nhoặc: {SERVER}"));
            return None;
        };
        if file.is_empty() || file.contains([':', '?', '#', '%']) {
            let help = format!("viết đường dẫn một tệp, không có `?`, `:`, `#`, `%`: {FILE}");
            self.faults.error(place, "bad-store-url", "`url` không chỉ tới một tệp", help);
            return None;
        }
        Some(format!("sqlite:{}", self.path(file).display()))
    }

    /// A server's address: without a password, and beyond this machine never in clear.
    fn server(&self, url: &str, place: &Place) -> Option<()> {
        let Some(read) = reqwest::Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()) else {
            let message = "`url` không phải địa chỉ một cơ sở dữ liệu PostgreSQL";
            self.faults.error(place, "bad-store-url", message, format!("viết như: {SERVER}"));
            return None;
        };
        let asked = |key: &str| read.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned());
        if read.password().is_some() || asked("password").is_some() {
            let help = "bỏ mật khẩu khỏi `url`; ghi nó vào một tệp riêng: password_file = \"store-password\", \
                        hoặc dùng credential `store-password` của systemd";
            self.faults.error(place, "secret-in-settings", "`url` chứa mật khẩu", help);
            return None;
        }
        let host = asked("host").or(read.host_str().map(str::to_owned)).unwrap_or_default();
        // A socket's folder, or none: this machine.
        let here = host.is_empty() || host.starts_with('/') || host.starts_with("%2F") || is_loopback(&host);
        let safe =
            asked("sslmode").is_some_and(|mode| ["require", "verify-ca", "verify-full"].contains(&mode.as_str()));
        if !here && !safe {
            let message = "`url` cho phép nối không mã hóa ra ngoài máy này";
            self.faults.error(place, "plain-text-store", message, "thêm vào cuối `url`: ?sslmode=verify-full");
            return None;
        }
        Some(())
    }
}
