//! What is wrong with a template as it is written, before it is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    Fault, LARGEST, meant,
    names::{Names, names},
    nearest,
    scan::{Kind, Mark, Open, Word, scan},
};
use crate::message::{catalogue::ENTRIES, texts};

/// Faults after which nothing can be tried.
pub const STRUCTURAL: [&str; 7] = [
    "template-syntax",
    "template-unclosed",
    "template-tag",
    "template-unknown-template",
    "template-circle",
    "template-too-large",
    "template-operator",
];

/// Faults that trying the template tells again on the same line.
pub const TOLD: [&str; 5] = [
    "template-unknown-variable",
    "template-unknown-filter",
    "template-unknown-function",
    "template-unknown-test",
    "template-unescaped",
];

/// Statements a template may use. Macros, loops' breaks and imports are left out: a letter needs none, and each is a way
/// to make a text without end.
const TAGS: [&str; 15] = [
    "if", "elif", "else", "endif", "for", "endfor", "set", "block", "endblock", "extends", "include", "raw", "endraw",
    "with", "endwith",
];

const TESTS: [&str; 16] = [
    "defined",
    "undefined",
    "none",
    "true",
    "false",
    "odd",
    "even",
    "number",
    "string",
    "sequence",
    "mapping",
    "divisibleby",
    "startingwith",
    "endingwith",
    "in",
    "eq",
];

/// Words of the language itself.
const KEYWORDS: [&str; 14] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None", "recursive"];

/// Names of the machine itself, and what stands after their full stop.
const MACHINE: [&str; 2] = ["loop", "super"];
const MACHINE_PARTS: [&str; 10] =
    ["index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "depth"];

/// Everything wrong with one template's source.
pub fn faults(name: &str, source: &str) -> Vec<Fault> {
    if source.len() > LARGEST {
        let message = format!("mẫu dài {} KB, quá {} KB", source.len() >> 10, LARGEST >> 10);
        return vec![Fault::error(name, 0..0, "template-too-large", message, "bỏ bớt; ảnh thì đặt ở ngoài mẫu")];
    }
    let mut faults = Vec::new();
    let (marks, open) = scan(source);
    for open in open {
        faults.push(unclosed(name, open));
    }
    nesting(name, &marks, &mut faults);
    let locals = locals(&marks);
    for mark in &marks {
        statement(name, mark, &mut faults);
        expression(name, mark, &locals, &mut faults);
    }
    if name.contains(".html") {
        markup(name, source, &marks, &mut faults);
    }
    if !faults.iter().any(|fault| STRUCTURAL.contains(&fault.code)) {
        faults.extend(syntax(name, source));
    }
    faults
}

fn unclosed(name: &str, open: Open) -> Fault {
    match open {
        Open::Mark(mark, span) => {
            let closer = match mark {
                "{{" => "}}",
                "{%" => "%}",
                "{#" => "#}",
                _ => "{% endraw %}",
            };
            let help = format!("viết `{closer}` ở chỗ kết thúc");
            Fault::error(name, span, "template-unclosed", format!("`{mark}` mở ở đây nhưng chưa đóng"), help)
        }
        Open::Text(span) => Fault::error(
            name,
            span,
            "template-unclosed",
            "dấu nháy mở ở đây nhưng chưa đóng trong dòng này".to_owned(),
            "viết dấu nháy cùng loại ở cuối đoạn chữ; dùng nháy thẳng \" hoặc ', không dùng nháy cong “ ”",
        ),
    }
}

/// `if` … `endif` and the like, each closed by its own.
fn nesting(name: &str, marks: &[Mark<'_>], faults: &mut Vec<Fault>) {
    let mut open: Vec<(&str, Range<usize>)> = Vec::new();
    for mark in marks.iter().filter(|mark| mark.statement) {
        let Some(tag) = mark.words.first() else { continue };
        match tag.text {
            "if" | "for" | "block" | "with" => open.push((tag.text, mark.span.clone())),
            "elif" | "else" => {
                let fits = matches!((open.last(), tag.text), (Some(("if", _)), _) | (Some(("for", _)), "else"));
                if !fits {
                    let message = format!("`{{% {} %}}` ở đây không thuộc `{{% if %}}` nào", tag.text);
                    let help = "đặt nó giữa `{% if … %}` và `{% endif %}`";
                    faults.push(Fault::error(name, mark.span.clone(), "template-unclosed", message, help));
                }
            }
            "endif" | "endfor" | "endblock" | "endwith" => {
                let wanted = &tag.text[3..];
                match open.pop() {
                    Some((opened, _)) if opened == wanted => {}
                    Some((opened, _)) => {
                        let message = format!("`{{% {} %}}` đóng ở đây, nhưng đang mở là `{{% {opened} %}}`", tag.text);
                        let help = format!("viết `{{% end{opened} %}}` ở đây trước");
                        faults.push(Fault::error(name, mark.span.clone(), "template-unclosed", message, help));
                    }
                    None => {
                        let message = format!("`{{% {} %}}` ở đây không có chỗ mở", tag.text);
                        let help = format!("bỏ nó đi, hoặc viết `{{% {wanted} … %}}` ở trước");
                        faults.push(Fault::error(name, mark.span.clone(), "template-unclosed", message, help));
                    }
                }
            }
            _ => {}
        }
    }
    for (opened, span) in open {
        let message = format!("`{{% {opened} %}}` mở ở đây nhưng chưa đóng");
        let help = format!("viết `{{% end{opened} %}}` ở chỗ kết thúc");
        faults.push(Fault::error(name, span, "template-unclosed", message, help));
    }
}

/// Names that the template itself gives: `{% set x = … %}`, `{% for x, y in … %}`.
fn locals<'a>(marks: &[Mark<'a>]) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for mark in marks.iter().filter(|mark| mark.statement) {
        let stops: &[&str] = match mark.words.first().map(|word| word.text) {
            Some("set" | "with") => &["="],
            Some("for") => &["in"],
            _ => continue,
        };
        let given = mark.words.iter().skip(1).take_while(|word| !stops.contains(&word.text));
        names.extend(given.filter(|word| word.kind == Kind::Name).map(|word| word.text));
    }
    names
}

fn statement(name: &str, mark: &Mark<'_>, faults: &mut Vec<Fault>) {
    if !mark.statement {
        return;
    }
    let Some(tag) = mark.words.first() else {
        let message = "`{% %}` không có gì bên trong".to_owned();
        faults.push(Fault::error(name, mark.span.clone(), "template-syntax", message, "bỏ đi, hoặc viết lệnh vào"));
        return;
    };
    if tag.kind != Kind::Name || !TAGS.contains(&tag.text) {
        let message = format!("`{}` không phải lệnh dùng được trong mẫu", tag.text);
        faults.push(Fault::error(name, tag.span.clone(), "template-tag", message, meant(tag.text, TAGS)));
        return;
    }
    match tag.text {
        "set" if !mark.words.iter().any(|word| word.is_sign("=")) => {
            let message = "`{% set %}` phải có dấu bằng".to_owned();
            let help = "viết {% set tên = giá_trị %}; đoạn chữ dài thì viết thẳng vào chỗ cần dùng";
            faults.push(Fault::error(name, mark.span.clone(), "template-tag", message, help));
        }
        "extends" | "include" => {
            let [_, target] = mark.words.as_slice() else {
                return faults.push(unnamed(name, mark, tag.text));
            };
            if target.kind != Kind::Text {
                return faults.push(unnamed(name, mark, tag.text));
            }
            if !known_templates().any(|known| known == target.text) {
                let message = format!("không có mẫu nào tên `{}`", target.text);
                let near = nearest(target.text, known_templates());
                let help = near.map_or_else(
                    || {
                        let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
                        format!("dùng được: {}; mẫu gốc cùng tên: \"built-in/…\"", names.join(", "))
                    },
                    |near| format!("có phải ý là \"{near}\"?"),
                );
                faults.push(Fault::error(name, target.span.clone(), "template-unknown-template", message, help));
            } else if name.contains(".html") && !target.text.contains(".html") {
                let message = format!(
                    "mẫu HTML lấy `{}` là mẫu chữ vào: chữ trong đó không được làm an toàn cho HTML",
                    target.text
                );
                let help = "chép lời của mẫu đó vào đây, hoặc lấy một mẫu .html.j2";
                faults.push(Fault::error(name, target.span.clone(), "template-unescaped", message, help));
            }
        }
        _ => {}
    }
}

fn unnamed(name: &str, mark: &Mark<'_>, tag: &str) -> Fault {
    let message = format!("sau `{tag}` phải là tên một mẫu trong dấu nháy");
    let help = format!("viết {{% {tag} \"layout.html.j2\" %}}");
    Fault::error(name, mark.span.clone(), "template-unknown-template", message, help)
}

fn known_templates() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().flat_map(|entry| [entry.name, entry.built_in_name])
}

/// Names, filters, tests and calls within a mark.
fn expression(name: &str, mark: &Mark<'_>, locals: &BTreeSet<&str>, faults: &mut Vec<Fault>) {
    let tag = mark.statement.then(|| mark.words.first()).flatten().map(|word| word.text);
    if matches!(tag, Some("block" | "endblock" | "extends" | "include" | "raw")) {
        return;
    }
    let skip = usize::from(mark.statement);
    let Names { roots, all: parts } = names(name);
    for (at, word) in mark.words.iter().enumerate().skip(skip) {
        let before = at.checked_sub(1).and_then(|at| mark.words.get(at));
        let after = mark.words.get(at + 1);
        if word.is_sign("*") || word.is_sign("**") {
            let message = "phép nhân không dùng được trong mẫu".to_owned();
            let help = "viết thẳng chữ cần có; lặp lại nhiều lần dễ làm thư dài vô hạn";
            faults.push(Fault::error(name, word.span.clone(), "template-operator", message, help));
        }
        // `section["titel"]` reads like `section.titel`.
        if word.kind == Kind::Text
            && before.is_some_and(|word| word.is_sign("["))
            && after.is_some_and(|word| word.is_sign("]"))
            && at >= 2
            && !matches!(mark.words[at - 2].kind, Kind::Sign)
            && !parts.contains(word.text)
        {
            faults.push(unknown(name, word, parts));
        }
        if word.kind != Kind::Name {
            continue;
        }
        if before.is_some_and(|word| word.is_sign("|")) {
            if !texts::FILTERS.contains(&word.text) && word.text != "e" {
                faults.push(filter(name, word));
            }
        } else if before.is_some_and(|word| word.is_name("is"))
            || before.is_some_and(|word| word.is_name("not")) && at >= 2 && mark.words[at - 2].is_name("is")
        {
            if word.text != "not" && !TESTS.contains(&word.text) {
                let message = format!("không có phép thử `{}` sau `is`", word.text);
                faults.push(Fault::error(
                    name,
                    word.span.clone(),
                    "template-unknown-test",
                    message,
                    meant(word.text, TESTS),
                ));
            }
        } else if before.is_some_and(|word| word.is_sign(".")) {
            let of_machine = at >= 2 && MACHINE.contains(&mark.words[at - 2].text);
            if !of_machine && !parts.contains(word.text) {
                faults.push(unknown(name, word, parts));
            } else if of_machine && !MACHINE_PARTS.contains(&word.text) {
                let message = format!("`loop` không có `{}`", word.text);
                let help = meant(word.text, MACHINE_PARTS);
                faults.push(Fault::error(name, word.span.clone(), "template-unknown-variable", message, help));
            }
        } else if KEYWORDS.contains(&word.text) || after.is_some_and(|word| word.is_sign("=")) {
            // `fill(first="- ")` names an argument; `set x =` names what it gives.
        } else if after.is_some_and(|word| word.is_sign("(")) && !MACHINE.contains(&word.text) {
            let message = format!("không có hàm `{}`", word.text);
            let help = "mẫu chỉ dùng tên dữ kiện, bộ lọc sau dấu | và super()";
            faults.push(Fault::error(name, word.span.clone(), "template-unknown-function", message, help));
        } else if !MACHINE.contains(&word.text) && !locals.contains(word.text) && !roots.contains(word.text) {
            let message = format!("không có dữ kiện nào tên `{}`", word.text);
            let here = roots.iter().map(String::as_str).chain(locals.iter().copied());
            let help = match nearest(word.text, here.clone()) {
                Some(near) => format!("có phải ý là `{near}`?\ndùng được: {}", list(here)),
                None if parts.contains(word.text) => {
                    format!("`{0}` nằm trong một dữ kiện khác, ví dụ item.{0}\ndùng được: {1}", word.text, list(here))
                }
                None => format!("dùng được: {}", list(here)),
            };
            faults.push(Fault::error(name, word.span.clone(), "template-unknown-variable", message, help));
        }
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn unknown(name: &str, word: &Word<'_>, parts: &BTreeSet<String>) -> Fault {
    let message = format!("không có dữ kiện nào tên `{}`", word.text);
    let help = match nearest(word.text, parts.iter().map(String::as_str)) {
        Some(near) => format!("có phải ý là `{near}`?"),
        None => "xem các tên dùng được ở đầu mẫu gốc: dondoc check --preview THƯ_MỤC, rồi mở mau-goc/".to_owned(),
    };
    Fault::error(name, word.span.clone(), "template-unknown-variable", message, help)
}

fn filter(name: &str, word: &Word<'_>) -> Fault {
    if matches!(word.text, "safe" | "tojson" | "urlencode") {
        let message = format!("`|{}` đưa chữ người ta gõ vào thư mà không làm an toàn cho HTML", word.text);
        let help = "bỏ `|safe`; muốn in đậm một phần thì viết <b>{{ … }}</b>";
        return Fault::error(name, word.span.clone(), "template-unescaped", message, help);
    }
    let message = format!("không có bộ lọc `{}`", word.text);
    Fault::error(name, word.span.clone(), "template-unknown-filter", message, meant(word.text, texts::FILTERS))
}

/// Markup that makes typed text dangerous, or a letter one that mail programs refuse.
fn markup(name: &str, source: &str, marks: &[Mark<'_>], faults: &mut Vec<Fault>) {
    let lower = source.to_ascii_lowercase();
    for tag in ["<script", "<iframe", "<object", "<embed", "<form", "<base", "<meta http-equiv"] {
        for (at, found) in lower.match_indices(tag) {
            let ends = lower[at + found.len()..].starts_with(|c: char| !c.is_ascii_alphanumeric());
            if ends {
                let message =
                    format!("`{found}` không được có trong thư: chương trình thư bỏ nó hoặc coi thư là nguy hiểm");
                let help = "bỏ đi; thư chỉ cần chữ, bảng, màu và đường dẫn";
                faults.push(Fault::error(name, at..at + found.len(), "template-active", message, help));
            }
        }
    }
    for mark in marks.iter().filter(|mark| !mark.statement) {
        let before = source[..mark.span.start].trim_end();
        if before.ends_with('=') && inside_tag(before) {
            let message = "giá trị sau dấu bằng của thẻ HTML phải nằm trong dấu nháy".to_owned();
            let help = format!("viết \"{}\"", &source[mark.span.clone()]);
            faults.push(Fault::error(name, mark.span.clone(), "template-unescaped", message, help));
        }
        let address = ["href=\"", "href='", "src=\"", "src='", "action=\"", "action='"];
        if inside_tag(before)
            && address.iter().any(|attribute| lower[..mark.span.start].ends_with(attribute))
            && !mark.words.iter().any(|word| word.text == "link")
        {
            let message = "đường dẫn làm từ chữ người ta gõ: bấm vào có thể thành chạy lệnh".to_owned();
            let help = "đường dẫn chỉ lấy từ item.link; đường dẫn cố định của cơ quan thì viết thẳng https://…";
            faults.push(Fault::error(name, mark.span.clone(), "template-link", message, help));
        }
        let inside = |open: &str, close: &str| {
            let before = &lower[..mark.span.start];
            before.rfind(open).is_some_and(|at| before.rfind(close).is_none_or(|end| end < at))
        };
        let handler = before.rsplit(['<', '>']).next().is_some_and(|tag| {
            let attribute = tag.rsplit_once('=').map_or("", |(head, _)| head).rsplit([' ', '\n', '"']).next();
            inside_tag(before)
                && attribute.is_some_and(|name| name.len() > 2 && name.to_ascii_lowercase().starts_with("on"))
        });
        if inside("<style", "</style") || handler {
            let message = "dữ kiện không được đứng trong kiểu chữ (<style>) hay lệnh (on…=)".to_owned();
            let help = "đặt dữ kiện vào phần chữ của thư";
            faults.push(Fault::error(name, mark.span.clone(), "template-unescaped", message, help));
        }
    }
    for (at, found) in lower.match_indices("<img") {
        let tag = &lower[at..lower[at..].find('>').map_or(lower.len(), |end| at + end)];
        if tag.contains("http:") || tag.contains("https:") || tag.contains("\"//") {
            let message = "ảnh lấy từ mạng: nhiều chương trình thư không hiện, và người gửi biết ai mở thư".to_owned();
            let help = "bỏ ảnh; chữ và màu là đủ";
            faults.push(Fault::warning(name, at..at + found.len(), "template-remote-image", message, help));
        }
    }
}

/// Whether a place of a page lies within `<…`.
fn inside_tag(before: &str) -> bool {
    before.rfind('<').is_some_and(|open| before.rfind('>').is_none_or(|close| close < open))
}

/// What the template machine itself refuses, with its place and without its English.
fn syntax(name: &str, source: &str) -> Option<Fault> {
    let overrides = BTreeMap::from([(name.to_owned(), source.to_owned())]);
    let Err(broken) = texts::Texts::assemble(&overrides, true) else { return None };
    let error = broken.1;
    let span = error.range().filter(|range| source.get(range.clone()).is_some()).unwrap_or_else(|| {
        let line = error.line().unwrap_or(1).max(1);
        let start: usize = source.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let length = source[start.min(source.len())..].lines().next().map_or(0, str::len);
        start..start + length
    });
    let shown: String = source[span.clone()].chars().take(40).collect();
    let detail = error.detail().unwrap_or_default();
    let (message, help) = if detail.contains("defined twice") {
        ("có hai `{% block %}` cùng tên trong mẫu này".to_owned(), "đổi tên một cái, hoặc gộp hai cái làm một")
    } else if detail.contains("reserved variable") {
        (format!("`{shown}` là tên dành riêng, không đặt lại được"), "chọn một tên khác")
    } else if detail.contains("expected end of") && !["%}", "}}"].contains(&shown.as_str()) {
        (
            format!("thừa `{shown}` ở đây"),
            "nối hai đoạn chữ bằng dấu ~; mỗi {{ … }} chỉ chứa một dữ kiện, có thể kèm bộ lọc sau dấu |",
        )
    } else if ["%}", "}}"].contains(&shown.as_str())
        || detail.contains("end of input")
        || detail.contains("end of block")
        || detail.contains("end of variable")
    {
        (
            "câu lệnh ở đây chưa viết hết".to_owned(),
            "viết nốt phần còn thiếu: sau `if` là điều kiện, sau `in` là danh sách, ngoặc phải đóng",
        )
    } else {
        (
            format!("mẫu viết sai ở chỗ `{shown}`"),
            "mỗi {{ … }} chứa một dữ kiện, có thể kèm bộ lọc sau dấu |; mỗi {% … %} chứa một lệnh; so với mẫu gốc",
        )
    };
    Some(Fault::error(name, span, "template-syntax", message, help))
}

/// Templates that take one another in without end.
pub fn circles(overrides: &BTreeMap<String, String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, source) in overrides {
        for (target, span) in taken_in(source) {
            if reaches(overrides, target, name, &mut BTreeSet::new()) {
                let message = if target == name {
                    format!("mẫu này tự lấy chính nó (`{target}`)")
                } else {
                    format!("mẫu này lấy `{target}`, mẫu đó lại lấy mẫu này: vòng không dứt")
                };
                let help = format!("muốn dùng mẫu gốc cùng tên thì viết \"built-in/{name}\"");
                faults.push(Fault::error(name, span, "template-circle", message, help));
            }
        }
    }
    faults
}

fn reaches<'a>(overrides: &'a BTreeMap<String, String>, from: &'a str, to: &str, seen: &mut BTreeSet<&'a str>) -> bool {
    from == to
        || seen.insert(from)
            && source_of(overrides, from).is_some_and(|source| {
                taken_in(source).into_iter().any(|(target, _)| reaches(overrides, target, to, seen))
            })
}

/// A template's source, the office's own before the shipped one.
pub fn source_of<'a>(overrides: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    overrides.get(name).map(String::as_str).or_else(|| {
        ENTRIES.iter().find(|entry| entry.name == name || entry.built_in_name == name).map(|entry| entry.source)
    })
}

/// The templates it extends or includes, and where it says so.
pub fn taken_in(source: &str) -> Vec<(&str, Range<usize>)> {
    scan(source)
        .0
        .into_iter()
        .filter_map(|mark| match mark.words.as_slice() {
            [tag, target] if mark.statement && matches!(tag.text, "extends" | "include") => {
                Some((target.text, target.span.clone()))
            }
            _ => None,
        })
        .collect()
}
