//! What a TOML file says, with the place of every word: the tree the three files are read from.
//!
//! It asks for types and known keys and reports what is otherwise, always going on to the next thing. It knows nothing
//! of settings or rules. serde is not used: it stops at the first fault and speaks its own language.

use std::{ops::RangeInclusive, sync::Arc};

use jiff::civil::{Date, DateTime, Time};
use toml::de::{DeTable, DeValue};

use super::{
    line_hints::{any_date, listed},
    mend::mend,
    problem::{Faults, Place, Source, is_secret_key, meant, nearest, quoted},
    vietnamese::stands_for,
};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub data: Data,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub enum Data {
    Text(String),
    /// `None`: does not fit 64 bits.
    Int(Option<i64>),
    Float,
    Bool(bool),
    Moment(Moment),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A value from the environment: what it is depends on who asks.
    Env(String),
}

/// A TOML date, time or both. With an offset it is nobody's local time, and refused.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub date: Option<Date>,
    pub time: Option<Time>,
    pub offset: bool,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

/// Parses a file into its root table; faults in the writing are reported, and what could be read is still given.
pub fn parse(source: &Arc<Source>, faults: &Faults) -> Node {
    let mended = mend(source, faults);
    let (root, _) = DeTable::parse_recoverable(&mended.text);
    let mut entries = entries(root.get_ref(), source);
    entries.retain(|entry| !mended.replaced.contains(&entry.key_place.span.start));
    Node { data: Data::Table(entries), place: Place::start(source) }
}

fn entries(table: &DeTable<'_>, source: &Arc<Source>) -> Vec<Entry> {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: Place { source: source.clone(), span: key.span() },
            value: node(value.get_ref(), value.span(), source),
        })
        .collect()
}

fn node(value: &DeValue<'_>, span: std::ops::Range<usize>, source: &Arc<Source>) -> Node {
    let data = match value {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => Data::Int(i64::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(_) => Data::Float,
        DeValue::Boolean(flag) => Data::Bool(*flag),
        DeValue::Datetime(at) => Data::Moment(Moment {
            date: at.date.and_then(|d| Date::new(i16::try_from(d.year).ok()?, d.month as i8, d.day as i8).ok()),
            time: at.time.and_then(|t| Time::new(t.hour as i8, t.minute as i8, t.second.unwrap_or(0) as i8, 0).ok()),
            offset: at.offset.is_some(),
        }),
        DeValue::Array(list) => Data::List(list.iter().map(|item| node(item.get_ref(), item.span(), source)).collect()),
        DeValue::Table(table) => Data::Table(entries(table, source)),
    };
    Node { data, place: Place { source: source.clone(), span } }
}

impl Node {
    /// What stands in the file.
    pub fn typed(&self) -> &str {
        self.place.source.shown().get(self.place.span.clone()).unwrap_or_default()
    }

    /// The kind of the value, in words for a message.
    fn kind(&self) -> &'static str {
        match &self.data {
            Data::Text(_) => "chữ trong dấu ngoặc kép",
            Data::Int(_) => "số nguyên",
            Data::Float => "số thập phân",
            Data::Bool(_) => "true/false",
            Data::Moment(_) => "ngày giờ",
            Data::List(_) => "danh sách […]",
            Data::Table(_) => "nhóm { … }",
            Data::Env(_) => "biến môi trường",
        }
    }

    fn wrong(&self, faults: &Faults, key: &str, wanted: &str, example: &str) {
        let message = format!("`{key}` phải là {wanted}, ở đây là {}", self.kind());
        faults.error(&self.place, "wrong-type", message, format!("viết như: {example}"));
    }
}

/// A table while it is read.
#[derive(Debug, Clone)]
pub struct Table<'a> {
    pub faults: &'a Faults,
    entries: &'a [Entry],
    /// Its header, or its braces.
    pub place: Place,
    /// What it is called in messages: `[email.smtp]`, `[[rule.step]]`.
    pub name: String,
}

/// Years a date may lie in: others are slips of the pen, and far ones are beyond what instants can count.
pub const YEARS: RangeInclusive<i16> = 1900..=2200;

/// Something read, and where.
pub type Placed<T> = (T, Place);

impl<'a> Table<'a> {
    /// The whole file.
    pub fn root(node: &'a Node, faults: &'a Faults) -> Self {
        let entries = match &node.data {
            Data::Table(entries) => entries.as_slice(),
            _ => &[],
        };
        Self { faults, entries, place: node.place.clone(), name: "tệp".to_owned() }
    }

    /// Reports every key that is not among these.
    pub fn known(&self, keys: &[&str]) {
        self.known_or(keys, |_| None);
    }

    /// The same, where some keys belong elsewhere: `elsewhere` says where.
    pub fn known_or(&self, keys: &[&str], elsewhere: impl Fn(&str) -> Option<String>) {
        for entry in self.entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let place = &entry.key_place;
            if is_secret_key(&entry.key) {
                let file_key = format!("{}_file", entry.key);
                let help = if keys.contains(&file_key.as_str()) {
                    format!(
                        "ghi bí mật vào một tệp riêng chỉ dịch vụ đọc được, rồi viết `{file_key} = \"tên-tệp\"`; hoặc dùng credential của systemd"
                    )
                } else {
                    "xóa dòng này; bí mật chỉ đọc từ tệp riêng hoặc credential của systemd".to_owned()
                };
                let message = format!("bí mật không được viết trong tệp cấu hình: `{}`", entry.key);
                self.faults.error(place, "secret-in-settings", message, help);
                continue;
            }
            let message = format!("{} không có khóa {}", self.name, quoted(&entry.key));
            let help = elsewhere(&entry.key).unwrap_or_else(|| meant(&entry.key, keys));
            self.faults.error(place, "unknown-key", message, help);
            let section = match &entry.value.data {
                Data::Table(_) => true,
                Data::List(items) => items.iter().any(|item| matches!(item.data, Data::Table(_))),
                _ => false,
            };
            if section {
                self.faults.misplaced();
            }
        }
    }

    /// The value under a key.
    pub fn find(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// Where a key stands, else the table.
    pub fn place_of(&self, key: &str) -> Place {
        self.entries.iter().find(|entry| entry.key == key).map_or_else(|| self.place.clone(), |e| e.key_place.clone())
    }

    /// Where a value stands, else the table.
    pub fn value_place(&self, key: &str) -> Place {
        self.find(key).map_or_else(|| self.place.clone(), |node| node.place.clone())
    }

    /// Every key with its place, in file order.
    pub fn keys(&self) -> impl Iterator<Item = Placed<&'a str>> + use<'a> {
        self.entries.iter().map(|entry| (entry.key.as_str(), entry.key_place.clone()))
    }

    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    pub fn error(&self, place: &Place, code: &'static str, message: impl Into<String>, help: impl Into<String>) {
        self.faults.error(place, code, message, help);
    }

    /// Reports that a key must be there.
    pub fn missing(&self, key: &str, example: &str) {
        if self.has(key) || self.faults.is_broken() {
            return;
        }
        // A misspelt key was already reported with what was meant.
        if nearest(key, self.entries.iter().map(|e| e.key.as_str()))
            .is_some_and(|near| strsim::levenshtein(near, key) < 3)
            || self.entries.iter().any(|entry| stands_for(&entry.key, [key]).is_some())
        {
            return;
        }
        let message = format!("{} thiếu `{key}`", self.name);
        self.error(&self.place, "missing-key", message, format!("thêm: {example}"));
    }

    /// A text.
    pub fn text(&self, key: &str, example: &str) -> Option<Placed<String>> {
        let node = self.find(key)?;
        match &node.data {
            Data::Text(text) | Data::Env(text) => Some((text.clone(), node.place.clone())),
            _ => {
                node.wrong(self.faults, key, "chữ trong dấu ngoặc kép", example);
                None
            }
        }
    }

    /// A text with something in it.
    pub fn filled(&self, key: &str, example: &str) -> Option<Placed<String>> {
        let (text, place) = self.text(key, example)?;
        if text.trim().is_empty() {
            self.error(&place, "empty-value", format!("`{key}` để trống"), format!("viết như: {example}"));
            return None;
        }
        Some((text.trim().to_owned(), place))
    }

    /// A whole number within a range.
    pub fn int(&self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let node = self.find(key)?;
        let number = match &node.data {
            Data::Int(number) => *number,
            Data::Env(text) => text.trim().parse().ok(),
            _ => {
                let typed = node.typed().replace(['.', ',', '_', '"', '\'', ' '], "");
                let meant = typed.parse::<i64>().ok().filter(|number| range.contains(number));
                let example = meant.unwrap_or(*range.start().max(&1));
                node.wrong(self.faults, key, "số nguyên, viết liền, không ngoặc kép", &format!("{key} = {example}"));
                return None;
            }
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let message = format!("`{key}` phải từ {} đến {}", range.start(), range.end());
                self.error(
                    &node.place,
                    "out-of-range",
                    message,
                    format!("viết như: {key} = {}", range.start().max(&1)),
                );
                None
            }
        }
    }

    /// true or false.
    pub fn flag(&self, key: &str) -> Option<bool> {
        let node = self.find(key)?;
        match &node.data {
            Data::Bool(flag) => Some(*flag),
            Data::Env(text) if matches!(text.trim(), "true" | "false") => Some(text.trim() == "true"),
            _ => {
                node.wrong(self.faults, key, "true hoặc false (không có dấu ngoặc kép)", &format!("{key} = true"));
                None
            }
        }
    }

    /// One of a set of words.
    pub fn word<T>(&self, key: &str, words: &[&str], read: impl Fn(&str) -> Option<T>) -> Option<Placed<T>> {
        let (text, place) = self.text(key, &format!("{key} = \"{}\"", words.first().unwrap_or(&"")))?;
        let value = self.read_word(key, &text, &place, words, read)?;
        Some((value, place))
    }

    fn read_word<T>(
        &self,
        key: &str,
        text: &str,
        place: &Place,
        words: &[&str],
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let value = read(text);
        if value.is_none() {
            let message = format!("`{key}` không nhận giá trị {}", quoted(text));
            let help = match text.contains(',') {
                true => format!("mỗi giá trị trong ngoặc kép riêng: {key} = {}", listed(text)),
                false => meant(text, words),
            };
            self.error(place, "unknown-value", message, help);
        }
        value
    }

    /// A text or a list of texts.
    pub fn texts(&self, key: &str, example: &str) -> Option<Vec<Placed<String>>> {
        let node = self.find(key)?;
        match &node.data {
            Data::Text(text) => Some(vec![(text.clone(), node.place.clone())]),
            Data::Env(text) => Some(text.split(',').map(|t| (t.trim().to_owned(), node.place.clone())).collect()),
            Data::List(items) => {
                let mut texts = Vec::with_capacity(items.len());
                for item in items {
                    match &item.data {
                        Data::Text(text) => texts.push((text.clone(), item.place.clone())),
                        _ => item.wrong(self.faults, key, "danh sách chữ trong dấu ngoặc kép", example),
                    }
                }
                Some(texts)
            }
            _ => {
                node.wrong(self.faults, key, "chữ trong dấu ngoặc kép hoặc danh sách", example);
                None
            }
        }
    }

    /// A word or a list of words, each once.
    pub fn words<T: PartialEq>(&self, key: &str, words: &[&str], read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
        let texts = self.texts(key, &format!("{key} = [\"{}\"]", words.first().unwrap_or(&"")))?;
        let mut values = Vec::new();
        for (text, place) in &texts {
            if let Some(value) = self.read_word(key, text, place, words, &read) {
                if values.contains(&value) {
                    self.faults.warning(
                        place,
                        "repeated-value",
                        format!("{} viết hai lần", quoted(text)),
                        "bỏ bớt một",
                    );
                } else {
                    values.push(value);
                }
            }
        }
        Some(values)
    }

    /// A list of whole numbers within a range.
    pub fn ints(&self, key: &str, range: RangeInclusive<i64>, example: &str) -> Option<Vec<Placed<i64>>> {
        let node = self.find(key)?;
        let Data::List(items) = &node.data else {
            node.wrong(self.faults, key, "danh sách số nguyên", example);
            return None;
        };
        let mut numbers = Vec::new();
        for item in items {
            match item.data {
                Data::Int(Some(number)) if range.contains(&number) => numbers.push((number, item.place.clone())),
                Data::Int(_) => {
                    let message = format!("mỗi số trong `{key}` phải từ {} đến {}", range.start(), range.end());
                    self.error(&item.place, "out-of-range", message, format!("viết như: {example}"));
                }
                _ => item.wrong(self.faults, key, "danh sách số nguyên", example),
            }
        }
        Some(numbers)
    }

    /// A local date, with a local time where `time` allows one. Texts that read as one are understood.
    pub fn moment(&self, key: &str, time: bool) -> Option<Placed<(Date, Option<Time>)>> {
        let example = if time {
            format!("{key} = 2026-12-15 hoặc {key} = 2026-12-15T17:00:00")
        } else {
            format!("{key} = 2026-12-15")
        };
        let node = self.find(key)?;
        let read = match &node.data {
            Data::Moment(Moment { date: Some(date), time: at, offset: false }) if time || at.is_none() => {
                Some((*date, *at))
            }
            Data::Text(text) => match text.trim() {
                text if !text.contains(['T', ' ', ':']) => text.parse::<Date>().ok().map(|date| (date, None)),
                text if time => text.parse::<DateTime>().ok().map(|at| (at.date(), Some(at.time()))),
                _ => None,
            },
            _ => None,
        };
        match read {
            Some((date, _)) if !YEARS.contains(&date.year()) => {
                let message =
                    format!("`{key}` có năm {}: ngoài khoảng {} đến {}", date.year(), YEARS.start(), YEARS.end());
                self.error(&node.place, "bad-date", message, format!("xem lại năm; viết như: {example}"));
                None
            }
            Some(read) => Some((read, node.place.clone())),
            None => {
                let wanted = if time { "ngày hoặc ngày giờ" } else { "ngày" };
                match &node.data {
                    Data::Moment(_) | Data::Text(_) => {
                        let message = format!("`{key}` không đọc được thành {wanted}");
                        let help = match &node.data {
                            Data::Text(text) => any_date(text).map(|date| format!("viết: {key} = {date}")),
                            Data::Moment(moment) if moment.offset => Some(format!(
                                "bỏ phần múi giờ ở cuối: giờ ở đây là giờ của cơ quan; viết như: {example}"
                            )),
                            _ => None,
                        };
                        let help = help.unwrap_or(format!("viết năm-tháng-ngày, không ngoặc kép: {example}"));
                        self.error(&node.place, "bad-date", message, help);
                    }
                    _ => node.wrong(self.faults, key, wanted, &example),
                }
                None
            }
        }
    }

    /// A table under a key.
    pub fn table(&self, key: &str, name: &str) -> Option<Table<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        match &entry.value.data {
            Data::Table(entries) => {
                // An example names the table by its key alone.
                let name = if name.contains('=') { format!("`{key}`") } else { name.to_owned() };
                Some(Table { faults: self.faults, entries, place: entry.key_place.clone(), name })
            }
            _ => {
                entry.value.wrong(self.faults, key, "nhóm { … }", name);
                None
            }
        }
    }

    /// An array of tables (`[[key]]`).
    pub fn tables(&self, key: &str, name: &str) -> Vec<Table<'a>> {
        let Some(node) = self.find(key) else { return Vec::new() };
        let items = match &node.data {
            Data::List(items) => items.as_slice(),
            Data::Table(_) => {
                let message = format!("`{key}` phải viết bằng hai dấu ngoặc: {name}");
                self.error(&self.place_of(key), "wrong-type", message, format!("viết như: {name}"));
                return Vec::new();
            }
            _ => {
                node.wrong(self.faults, key, "các mục", name);
                return Vec::new();
            }
        };
        let mut tables = Vec::new();
        for item in items {
            match &item.data {
                Data::Table(entries) => {
                    tables.push(Table {
                        faults: self.faults,
                        entries,
                        place: item.place.clone(),
                        name: name.to_owned(),
                    });
                }
                _ => item.wrong(self.faults, key, "các mục", name),
            }
        }
        tables
    }
}
