//! The part of `dondoc.toml` that says where the ledger is kept.

use std::path::PathBuf;

use super::{
    problem::Place,
    raw::Table,
    settings::Secret,
    settings_file::{Reader, is_loopback, section},
};

const FILE: &str = "url = \"sqlite:dondoc.db\"";
const SERVER: &str = "url = \"postgres://dondoc@db.office.example/dondoc?sslmode=verify-full\"";

impl Reader<'_> {
    /// The address; the password, where a server is named that asks for one; and for a file that is to be moved to a
    /// server where the password stands, not looked into.
    pub fn store(&self, root: &Table<'_>) -> Option<(String, Option<Secret>, Option<PathBuf>)> {
        let table = section(root, "store");
        if let Some(table) = &table {
            table.known(&["url", "password_file"]);
        }
        let named = table.as_ref().and_then(|table| table.filled("url", FILE));
        let Some((url, place)) = named else {
            return Some((format!("sqlite:{}", self.path("dondoc.db").display()), None, self.password_file(table)));
        };
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            self.server(&url, &place)?;
            let password = table.and_then(|table| self.secret(&table, "password_file", "store-password", true));
            return Some((url, password.and_then(|lines| lines.into_iter().next()).map(Secret::new), None));
        }
        self.file(&url, &place).map(|url| (url, None, self.password_file(table)))
    }

    fn password_file(&self, table: Option<Table<'_>>) -> Option<PathBuf> {
        let named = table.and_then(|table| table.filled("password_file", "password_file = \"store-password\""));
        let credential =
            || self.credentials.as_ref().map(|folder| folder.join("store-password")).filter(|file| file.exists());
        named.map(|(text, _)| self.path(&text)).or_else(credential)
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

    /// A server's address.
    fn server(&self, url: &str, place: &Place) -> Option<()> {
        let (code, message, help) = match server_address(url) {
            Ok(()) => return Some(()),
            Err(BadAddress::NoServer) => (
                "bad-store-url",
                "`url` không phải địa chỉ một cơ sở dữ liệu PostgreSQL",
                format!("viết như: {SERVER}"),
            ),
            Err(BadAddress::Password) => (
                "secret-in-settings",
                "`url` chứa mật khẩu",
                "bỏ mật khẩu khỏi `url`; ghi nó vào một tệp riêng: password_file = \"store-password\", hoặc dùng \
                 credential `store-password` của systemd"
                    .to_owned(),
            ),
            Err(BadAddress::InClear) => (
                "plain-text-store",
                "`url` cho phép nối không mã hóa ra ngoài máy này",
                "thêm vào cuối `url`: ?sslmode=verify-full".to_owned(),
            ),
        };
        self.faults.error(place, code, message, help);
        None
    }
}

/// Why an address is not taken for a server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("it is no address of a PostgreSQL database: write postgres://user@host/database")]
    NoServer,
    /// It would be seen by everyone who lists processes or reads settings.
    #[error("the address holds a password: take it out and keep it in a file")]
    Password,
    #[error("the address lets everything travel in clear beyond this machine: add ?sslmode=verify-full")]
    InClear,
}

/// Judges a server's address: without a password, and beyond this machine never in clear.
pub fn server_address(url: &str) -> Result<(), BadAddress> {
    if !(url.starts_with("postgres:") || url.starts_with("postgresql:")) {
        return Err(BadAddress::NoServer);
    }
    let read = reqwest::Url::parse(url).ok().filter(|url| !url.cannot_be_a_base()).ok_or(BadAddress::NoServer)?;
    // The driver takes two names for each, and the last of several: so each of them must be right.
    let all = |keys: [&str; 2]| -> Vec<String> {
        let named = read.query_pairs().filter(|(name, _)| keys.contains(&name.as_ref()));
        named.map(|(_, value)| value.into_owned()).collect()
    };
    if read.password().is_some() || !all(["password", ""]).is_empty() {
        return Err(BadAddress::Password);
    }
    let (mut hosts, modes) = (all(["host", "hostaddr"]), all(["sslmode", "ssl-mode"]));
    if hosts.is_empty() || read.host_str().is_some_and(|host| !host.is_empty() && !is_loopback(host)) {
        hosts.extend(read.host_str().map(str::to_owned));
    }
    // A socket's folder, or none: this machine.
    let here = |host: &String| host.is_empty() || host.starts_with('/') || host.starts_with("%2F") || is_loopback(host);
    let safe = |mode: &String| ["require", "verify-ca", "verify-full"].contains(&mode.as_str());
    if hosts.iter().all(here) || (!modes.is_empty() && modes.iter().all(safe)) {
        return Ok(());
    }
    Err(BadAddress::InClear)
}
