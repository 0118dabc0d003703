//! Facts with something planted in each text, and a page as its reader sees it: how leaks and missing escapes are found.

use serde::Serialize;
use serde_json::Value;

/// What a hostile value holds beside its number; a value reads `javascript:QZ12<b>&"'`.
pub const MARK: &str = "QZ";

pub fn marker(n: usize) -> String {
    format!("javascript:{MARK}{n}<b>&\"'")
}

/// Whether the value at this place begins an address that a click opens.
pub fn links_here(page: &str, at: usize) -> bool {
    // A program that opens links takes the scheme in any case.
    let tag = page[..at].rsplit('<').next().unwrap_or_default().to_ascii_lowercase();
    let Some(tag) = tag.strip_suffix("javascript:") else { return false };
    ["href=\"", "href='", "src=\"", "src='", "action=\""].iter().any(|attribute| tag.ends_with(attribute))
}

/// Facts with each text replaced where `with` gives another: its path and what stood there. Words of a fixed set, days
/// and hours stay as they are.
pub fn plant<T: Serialize + serde::de::DeserializeOwned + Clone>(
    facts: &T,
    with: &mut dyn FnMut(&str, &str) -> Option<String>,
) -> T {
    const FIXED: [&str; 7] = ["secrecy", "urgency", "role", "clock", "nearness", "block", "audience"];
    fn walk(value: &mut Value, path: &str, with: &mut dyn FnMut(&str, &str) -> Option<String>) {
        match value {
            Value::String(text) => {
                let fixed = path.rsplit('.').next().is_some_and(|key| FIXED.contains(&key));
                let time = text.parse::<jiff::civil::Date>().is_ok()
                    || text.parse::<jiff::civil::Time>().is_ok()
                    || text.parse::<jiff::Timestamp>().is_ok();
                if !fixed
                    && !time
                    && let Some(other) = with(path, text)
                {
                    *text = other;
                }
            }
            Value::Array(list) => {
                list.iter_mut().enumerate().for_each(|(n, value)| walk(value, &format!("{path}.{n}"), with));
            }
            Value::Object(map) => map.iter_mut().for_each(|(key, value)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(value, &path, with);
            }),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::to_value(facts) else { return facts.clone() };
    walk(&mut value, "", with);
    serde_json::from_value(value).unwrap_or_else(|_| facts.clone())
}

/// What a reader sees of a page: without tags, styles and the head.
pub fn visible(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let lower: String = rest.chars().take(8).collect::<String>().to_ascii_lowercase();
        let skip = ["style", "title"].into_iter().find(|tag| lower[1..].starts_with(tag));
        rest = match skip.and_then(|tag| rest.find(&format!("</{tag}>")).map(|end| end + tag.len() + 3)) {
            Some(end) => &rest[end..],
            None => rest.find('>').map_or("", |end| &rest[end + 1..]),
        };
    }
    out.push_str(rest);
    for (entity, sign) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&nbsp;", " "), ("&amp;", "&")]
    {
        out = out.replace(entity, sign);
    }
    out
}
