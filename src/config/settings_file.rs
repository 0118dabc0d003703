//! Reads `dondoc.toml`, what the environment puts in its place, and the files that hold secrets.
//!
//! A secret typed into the file is refused and never quoted. Nothing is guessed: what decides where mail goes must be
//! written down.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;

use super::{
    problem::{Faults, Loaded, Place, Source, is_secret_key, meant, nearest, quoted},
    raw::{self, Data, Entry, Node, Table},
    settings::{BlockSettings, Files, Import, Notices, Office, Scan, Secret, Settings, Web, Zalo},
    shipped::read_source,
};
use crate::planning::task::Block;

/// Every section with its keys: what may be written, and what the environment may replace.
const SECTIONS: [(&str, &[&str]); 16] = [
    ("office", &["name", "time_zone"]),
    ("files", &["rules", "calendar", "templates"]),
    ("store", &["url", "password_file"]),
    ("scan", &["schedule", "batch"]),
    ("email", &["transport", "from", "reply_to", "operator", "daily_list_at", "allowed_domains"]),
    ("email.maildir", &["path"]),
    ("email.smtp", &["host", "port", "tls", "username", "password_file", "max_connections", "messages_per_minute"]),
    ("import", &["confirm_above"]),
    ("blocks.state", &["focal_agency"]),
    ("blocks.party", &["focal_agency"]),
    ("blocks.enterprise", &["focal_agency"]),
    ("inspection", &["agency"]),
    ("zalo", &["mode"]),
    ("zalo.webhook", &["url", "secret_file"]),
    ("notices", &["directory", "number_prefix"]),
    ("web", &["listen", "public_url"]),
];

/// The process's variables, as far as they are text.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads a settings file. `environment` gives the process's variables: `DONDOC_<SECTION>__<KEY>` replaces a value
/// (`DONDOC_EMAIL__SMTP__HOST`), and `CREDENTIALS_DIRECTORY` says where systemd put the secrets.
pub fn load_settings(path: &Path, environment: impl IntoIterator<Item = (String, String)>) -> Loaded<Settings> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    parse_settings(&read_source(&path, "dondoc.toml")?, &path, environment)
}

/// Reads settings from a text that stands for the file at `path`.
pub fn parse_settings(
    source: &std::sync::Arc<Source>,
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Loaded<Settings> {
    let faults = Faults::default();
    let mut node = raw::parse(source, &faults);
    let mut credentials = None;
    for (name, value) in environment {
        if name == "CREDENTIALS_DIRECTORY" && !value.is_empty() {
            credentials = Some(PathBuf::from(value));
        } else if let Some(rest) = name.strip_prefix("DONDOC_")
            && rest.contains("__")
        {
            replace(&mut node, &name, rest, value, &faults);
        }
    }
    let dir = path.parent().unwrap_or(Path::new("/")).to_owned();
    let reader = Reader { dir, credentials, faults: &faults };
    let value = reader.read(&Table::root(&node, &faults), path);
    faults.conclude(value)
}

/// Puts a value from the environment in the place of the file's.
fn replace(root: &mut Node, name: &str, rest: &str, value: String, faults: &Faults) {
    let path = rest.to_lowercase().replace("__", ".");
    let known = |path: &str| {
        let (section, key) = path.rsplit_once('.')?;
        SECTIONS.iter().find(|(name, keys)| *name == section && keys.contains(&key))
    };
    let key = path.rsplit_once('.').map_or(path.as_str(), |(_, key)| key);
    if is_secret_key(key) {
        let place = Place { source: Source::secret(name, value), span: 0..0 };
        let help =
            "ghi bí mật vào một tệp riêng và chỉ đường dẫn bằng khóa có đuôi `_FILE`, hoặc dùng credential của systemd";
        faults.error(&place, "secret-in-settings", "bí mật không được để trong biến môi trường", help);
        return;
    }
    let source = Source::new(name, value.clone());
    let place = Place { span: 0..value.len(), source };
    if known(&path).is_none() {
        let all: Vec<String> =
            SECTIONS.iter().flat_map(|(section, keys)| keys.iter().map(move |key| variable(section, key))).collect();
        let help = match nearest(name, all.iter().map(String::as_str)) {
            Some(near) => format!("có phải ý là `{near}`?"),
            None => "viết DONDOC_<MỤC>__<KHÓA>, ví dụ DONDOC_EMAIL__SMTP__HOST".to_owned(),
        };
        faults.error(&place, "unknown-variable", "biến môi trường không ứng với khóa nào", help);
        return;
    }
    let mut node = root;
    for part in path.split('.') {
        if !matches!(node.data, Data::Table(_)) {
            // The file says something else than a table here; that fault is reported when it is read.
            return;
        }
        let Data::Table(entries) = &mut node.data else { return };
        let at = match entries.iter().position(|entry| entry.key == part) {
            Some(at) => at,
            None => {
                let value = Node { data: Data::Table(Vec::new()), place: place.clone() };
                entries.push(Entry { key: part.to_owned(), key_place: place.clone(), value });
                entries.len() - 1
            }
        };
        node = &mut entries[at].value;
    }
    *node = Node { data: Data::Env(value), place };
}

fn variable(section: &str, key: &str) -> String {
    format!("DONDOC_{}__{}", section.replace('.', "__"), key).to_uppercase()
}

pub(super) struct Reader<'a> {
    pub dir: PathBuf,
    pub credentials: Option<PathBuf>,
    pub faults: &'a Faults,
}

impl Reader<'_> {
    fn read(&self, root: &Table<'_>, path: &Path) -> Option<Settings> {
        let top: Vec<&str> = {
            let mut top: Vec<&str> = SECTIONS.iter().map(|(name, _)| name.split('.').next().unwrap_or(name)).collect();
            top.dedup();
            top
        };
        root.known(&top);
        let office = self.office(root);
        let files = self.files(root);
        let store = self.store(root);
        let scan = self.scan(root);
        let email = self.email(root);
        let import = section(root, "import");
        let confirm_above = import.as_ref().and_then(|t| t.int("confirm_above", 0..=1_000_000)).unwrap_or(200);
        let blocks = self.blocks(root);
        let inspection = section(root, "inspection");
        let inspection_agency = inspection
            .and_then(|table| table.text("agency", "agency = \"SNV\""))
            .map(|(agency, _)| agency.trim().to_owned())
            .unwrap_or_default();
        let zalo = self.zalo(root);
        let notices = section(root, "notices");
        let directory = notices.as_ref().and_then(|table| table.filled("directory", "directory = \"notices\""));
        let prefix = notices.as_ref().and_then(|table| table.text("number_prefix", "number_prefix = \"\""));
        let web = self.web(root);
        let (store_url, store_password, store_password_file) = store?;
        Some(Settings {
            file: path.to_owned(),
            office: office?,
            files,
            store_url,
            store_password,
            store_password_file,
            scan,
            email: email?,
            import: Import { confirm_above: confirm_above as u32 },
            blocks,
            inspection_agency,
            zalo: zalo?,
            notices: Notices {
                directory: self.path(&directory.map_or("notices".to_owned(), |(text, _)| text)),
                number_prefix: prefix.map(|(text, _)| text).unwrap_or_default(),
            },
            web,
        })
    }

    /// A path, relative to the settings file.
    pub fn path(&self, text: &str) -> PathBuf {
        let joined = self.dir.join(text);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    fn office(&self, root: &Table<'_>) -> Option<Office> {
        root.missing("office", "[office]\nname = \"Văn phòng UBND …\"");
        let table = section(root, "office")?;
        table.missing("name", "name = \"Văn phòng UBND …\"");
        let name = table.filled("name", "name = \"Văn phòng UBND …\"");
        let zone = table.filled("time_zone", "time_zone = \"Asia/Ho_Chi_Minh\"");
        let time_zone_name = zone.as_ref().map_or("Asia/Ho_Chi_Minh".to_owned(), |(zone, _)| zone.clone());
        let time_zone = match TimeZone::get(&time_zone_name) {
            Ok(time_zone) => Some(time_zone),
            Err(_) => {
                let place = zone.map_or(table.place.clone(), |(_, place)| place);
                let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
                let help = match nearest(&time_zone_name, names.iter().map(String::as_str)) {
                    Some(near) => format!("có phải ý là `{near}`?\nở Việt Nam: time_zone = \"Asia/Ho_Chi_Minh\""),
                    None => "ở Việt Nam: time_zone = \"Asia/Ho_Chi_Minh\"".to_owned(),
                };
                table.error(&place, "unknown-time-zone", format!("không có múi giờ {}", quoted(&time_zone_name)), help);
                None
            }
        };
        Some(Office { name: name?.0, time_zone: time_zone?, time_zone_name })
    }

    fn files(&self, root: &Table<'_>) -> Files {
        let table = section(root, "files");
        let file = |key: &str| table.as_ref().and_then(|table| table.filled(key, &format!("{key} = \"{key}.toml\"")));
        let templates = file("templates").map(|(text, place)| {
            let path = self.path(&text);
            if !path.is_dir() {
                let message = format!("không có thư mục mẫu thư {}", quoted(&text));
                self.faults.error(
                    &place,
                    "no-directory",
                    message,
                    "tạo thư mục đó, hoặc bỏ dòng này để dùng mẫu có sẵn",
                );
            }
            path
        });
        Files {
            rules: self.path(&file("rules").map_or("rules.toml".to_owned(), |(text, _)| text)),
            calendar: self.path(&file("calendar").map_or("calendar.toml".to_owned(), |(text, _)| text)),
            templates,
        }
    }

    fn scan(&self, root: &Table<'_>) -> Scan {
        let table = section(root, "scan");
        let schedule = table.as_ref().and_then(|table| table.filled("schedule", "schedule = \"0 * * * * *\""));
        if let Some((schedule, place)) = &schedule {
            self.schedule(schedule, place);
        }
        let batch = table.as_ref().and_then(|table| table.int("batch", 1..=10_000));
        Scan {
            schedule: schedule.map_or("0 * * * * *".to_owned(), |(text, _)| text),
            batch: batch.unwrap_or(500) as u32,
        }
    }

    /// Six fields, as the scheduler reads them.
    fn schedule(&self, schedule: &str, place: &Place) {
        let help = "sáu trường: giây phút giờ ngày tháng thứ; mỗi phút: \"0 * * * * *\", mỗi 5 phút: \"0 */5 * * * *\"";
        let fields = schedule.split_whitespace().count();
        if !schedule.starts_with('@') && fields != 6 {
            let mut help = help.to_owned();
            if fields == 5 {
                help = format!("thêm giây ở đầu: schedule = \"0 {schedule}\"\n{help}");
            }
            let message = format!("lịch quét có {fields} trường, phải có sáu");
            self.faults.error(place, "bad-schedule", message, help);
            return;
        }
        let parser =
            croner::parser::CronParser::builder().seconds(croner::parser::Seconds::Required).dom_and_dow(true).build();
        if let Err(error) = parser.parse(schedule) {
            let message = format!("không đọc được lịch quét {}", quoted(schedule));
            self.faults.error(place, "bad-schedule", message, format!("bộ lập lịch trả lời: {error}\n{help}"));
        }
    }

    fn blocks(&self, root: &Table<'_>) -> BTreeMap<Block, BlockSettings> {
        let mut blocks = BTreeMap::new();
        let Some(table) = root.table("blocks", "[blocks.state]") else { return blocks };
        let names: Vec<&str> = Block::ALL.iter().map(|block| block.as_str()).collect();
        table.known(&names);
        for &block in Block::ALL {
            let Some(inner) = sub(&table, "blocks", block.as_str()) else { continue };
            inner.missing("focal_agency", "focal_agency = \"VPUB\"");
            if let Some((focal_agency, _)) = inner.filled("focal_agency", "focal_agency = \"VPUB\"") {
                blocks.insert(block, BlockSettings { focal_agency });
            }
        }
        blocks
    }

    fn zalo(&self, root: &Table<'_>) -> Option<Zalo> {
        let Some(table) = root.table("zalo", "[zalo]") else { return (!root.has("zalo")).then_some(Zalo::Off) };
        table.known(&["mode", "webhook"]);
        let mode = table.text("mode", "mode = \"off\"");
        let webhook = sub(&table, "zalo", "webhook");
        let wanted = matches!(&mode, Some((mode, _)) if mode == "webhook");
        let url = webhook.as_ref().and_then(|table| self.url(table, "url", "url = \"http://127.0.0.1:9000/zalo\""));
        let secrets =
            webhook.as_ref().and_then(|table| self.secret(table, "secret_file", "zalo-webhook-secret", wanted));
        let Some((mode, place)) = mode else { return (!table.has("mode")).then_some(Zalo::Off) };
        match mode.as_str() {
            "off" => Some(Zalo::Off),
            "webhook" => {
                if url.is_none() && !webhook.as_ref().is_some_and(|table| table.has("url")) {
                    let help = "thêm mục:\n[zalo.webhook]\nurl = \"http://127.0.0.1:9000/zalo\"";
                    table.error(&place, "missing-key", "Zalo qua webhook nhưng thiếu `url`", help);
                }
                let mut secrets: Vec<Secret> = secrets.unwrap_or_default().into_iter().map(Secret::new).collect();
                if secrets.is_empty() && !webhook.as_ref().is_some_and(|table| table.has("secret_file")) {
                    let help = "thêm secret_file = \"zalo-webhook-secret\" vào [zalo.webhook], hoặc credential `zalo-webhook-secret` của systemd";
                    table.error(&place, "missing-secret", "Zalo qua webhook nhưng không có khóa ký", help);
                }
                secrets.truncate(2);
                Some(Zalo::Webhook { url: url?, secrets })
            }
            "oa" | "zns" | "bot" => {
                let message = format!("phiên bản này chưa dùng được Zalo kiểu {}", quoted(&mode));
                table.error(
                    &place,
                    "not-available",
                    message,
                    "dùng mode = \"webhook\" với một trạm chuyển tiếp, hoặc mode = \"off\"",
                );
                None
            }
            _ => {
                let message = format!("`mode` không nhận giá trị {}", quoted(&mode));
                table.error(&place, "unknown-value", message, meant(&mode, &["off", "webhook"]));
                None
            }
        }
    }

    /// An `http` or `https` address without a name and password in it; plain `http` only to this machine.
    fn url(&self, table: &Table<'_>, key: &str, example: &str) -> Option<String> {
        let (text, place) = table.filled(key, example)?;
        let Some(url) = reqwest::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
            table.error(
                &place,
                "bad-url",
                format!("`{key}` không phải địa chỉ http(s)"),
                format!("viết như: {example}"),
            );
            return None;
        };
        if url.password().is_some() || !url.username().is_empty() {
            let help = "bỏ phần tên và mật khẩu trước `@`; bí mật chỉ đọc từ tệp riêng";
            table.error(&place, "secret-in-settings", format!("`{key}` chứa tên hoặc mật khẩu"), help);
            return None;
        }
        if url.scheme() == "http" && !url.host_str().is_some_and(is_loopback) {
            let help = "dùng https://, hoặc đặt trạm chuyển tiếp trên chính máy này";
            let message = format!("`{key}` dùng http không mã hóa ra ngoài máy này");
            table.faults.warning(&place, "plain-text-url", message, help);
        }
        Some(text)
    }

    fn web(&self, root: &Table<'_>) -> Web {
        let table = section(root, "web");
        let listen = table.as_ref().and_then(|table| table.text("listen", "listen = \"127.0.0.1:8787\""));
        if let Some((listen, place)) = listen.as_ref().filter(|(listen, _)| !listen.is_empty()) {
            match listen.parse::<SocketAddr>() {
                Ok(address) if address.ip().is_loopback() => {}
                Ok(address) => {
                    let help = format!(
                        "viết listen = \"127.0.0.1:{}\"; ra ngoài thì qua một máy chủ web đứng trước",
                        address.port()
                    );
                    self.faults.error(place, "not-loopback", "trang web chỉ mở trên chính máy này (127.0.0.1)", help);
                }
                Err(_) => {
                    let message = format!("`listen` không phải địa chỉ và cổng: {}", quoted(listen));
                    self.faults.error(
                        place,
                        "bad-address",
                        message,
                        "viết như: listen = \"127.0.0.1:8787\", hoặc \"\" để không mở",
                    );
                }
            }
        }
        let public_url = table.as_ref().filter(|table| table.has("public_url")).and_then(|table| {
            let (text, place) = table.filled("public_url", "public_url = \"https://dondoc.office.example\"")?;
            let url = reqwest::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            if url.is_none() {
                let help = "viết như: public_url = \"https://dondoc.office.example\"";
                table.error(&place, "bad-url", "`public_url` không phải địa chỉ http(s)", help);
            }
            url.map(|_| text.trim_end_matches('/').to_owned())
        });
        Web { listen: listen.map_or(String::new(), |(text, _)| text), public_url }
    }
}

/// A section with its keys checked.
pub(super) fn section<'a>(root: &Table<'a>, name: &str) -> Option<Table<'a>> {
    let table = root.table(name, &format!("[{name}]"))?;
    if let Some((_, keys)) = SECTIONS.iter().find(|(section, _)| *section == name) {
        table.known(keys);
    }
    Some(table)
}

/// A section within a section, with its keys checked.
pub(super) fn sub<'a>(parent: &Table<'a>, parent_name: &str, name: &str) -> Option<Table<'a>> {
    let full = format!("{parent_name}.{name}");
    let table = parent.table(name, &format!("[{full}]"))?;
    if let Some((_, keys)) = SECTIONS.iter().find(|(section, _)| *section == full) {
        table.known(keys);
    }
    Some(table)
}

pub(super) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
