//! The operator's settings (`dondoc.toml`), validated: paths are absolute, secrets were read from their files.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use jiff::tz::TimeZone;

use crate::planning::task::Block;

/// A secret that no `Debug` prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret as read from a file or a systemd credential (its final line end taken off).
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Settings {
    /// Whether the ledger is on a PostgreSQL server, which other machines may send from too.
    pub fn is_on_server(&self) -> bool {
        !self.store_url.starts_with("sqlite:")
    }
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file they came from.
    pub file: PathBuf,
    pub office: Office,
    pub files: Files,
    /// `sqlite:/absolute/path` or `postgres://…` (never with a password in it).
    pub store_url: String,
    /// The password of a PostgreSQL server that asks for one.
    pub store_password: Option<Secret>,
    /// Of a ledger in a file: where the password of the server stands that it may be moved to.
    pub store_password_file: Option<PathBuf>,
    pub scan: Scan,
    pub email: Email,
    pub import: Import,
    pub blocks: BTreeMap<Block, BlockSettings>,
    /// The agency behind the audience `inspection`, by code or name; empty: none.
    pub inspection_agency: String,
    pub zalo: Zalo,
    pub notices: Notices,
    pub web: Web,
}

#[derive(Debug, Clone)]
pub struct Office {
    pub name: String,
    pub time_zone: TimeZone,
    /// Its IANA name.
    pub time_zone_name: String,
}

#[derive(Debug, Clone)]
pub struct Files {
    pub rules: PathBuf,
    pub calendar: PathBuf,
    pub templates: Option<PathBuf>,
}

#[derive(Debug, Clone)]
pub struct Scan {
    /// Six fields, seconds first.
    pub schedule: String,
    pub batch: u32,
}

#[derive(Debug, Clone)]
pub struct Email {
    pub transport: EmailTransport,
    /// As written: `Đôn đốc nhiệm vụ <dondoc@office.example>`.
    pub from: String,
    pub reply_to: Option<String>,
    /// Who keeps this service running: gets the daily list of those who could not be reached.
    pub operator: Option<String>,
    /// From when on in a working day that list goes out; none: it does not.
    pub daily_list_at: Option<jiff::civil::Time>,
    /// Domains (and their subdomains) to which mail may go; never empty.
    pub allowed_domains: Vec<String>,
}

#[derive(Debug, Clone)]
pub enum EmailTransport {
    Maildir { path: PathBuf },
    Smtp(Smtp),
}

#[derive(Debug, Clone)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: SmtpTls,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub max_connections: u16,
    pub messages_per_minute: u32,
}

/// How the connection to the relay is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    Implicit,
    /// Never falls back to plain text.
    Starttls,
    /// Loopback only.
    None,
}

#[derive(Debug, Clone)]
pub struct Import {
    pub confirm_above: u32,
}

#[derive(Debug, Clone)]
pub struct BlockSettings {
    /// Code or name of the focal office.
    pub focal_agency: String,
}

#[derive(Debug, Clone)]
pub enum Zalo {
    Off,
    Webhook { url: String, secrets: Vec<Secret> },
}

#[derive(Debug, Clone)]
pub struct Notices {
    pub directory: PathBuf,
    pub number_prefix: String,
}

#[derive(Debug, Clone)]
pub struct Web {
    /// Empty: none.
    pub listen: String,
    pub public_url: Option<String>,
}
