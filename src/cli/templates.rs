//! An office's own templates as files: which there are, and their faults where they stand.
//!
//! Only files that lie in the folder itself are read; a link out of it is refused.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    config::problem::{Place, Problem, Problems, Severity, Source},
    message::check::{self, Fault},
};

/// An office's own templates, read.
#[derive(Debug, Default)]
pub struct Own {
    /// Sources by template name.
    pub overrides: BTreeMap<String, String>,
    /// The same, with the paths they are shown by.
    sources: BTreeMap<String, Arc<Source>>,
    /// Files that could not be taken.
    pub problems: Problems,
}

/// Reads a folder. Hidden files and what an editor leaves (`~`, `.bak`, `.orig`) are passed over; any other file that
/// has no template's name is an error, for most likely somebody mistyped it and believes it counts.
pub fn read(folder: &Path) -> Own {
    let mut own = Own::default();
    let inside = fs::canonicalize(folder);
    let names = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let (inside, mut names): (PathBuf, Vec<std::ffi::OsString>) = match (inside, names) {
        (Ok(inside), Ok(names)) => (inside, names),
        (Err(error), _) | (_, Err(error)) => {
            let source = Source::new(folder.display().to_string(), "");
            let message = format!("không đọc được thư mục mẫu: {}", reason(&error));
            own.problems.extend(problem(&source, "template-unreadable", message, "kiểm tra quyền đọc của thư mục"));
            return own;
        }
    };
    names.sort();
    for name in names {
        let Some(name) = name.to_str().map(str::to_owned) else { continue };
        let passed = name.starts_with('.') || [".bak", ".orig", ".swp", "~"].iter().any(|end| name.ends_with(end));
        if passed {
            continue;
        }
        let path = folder.join(&name);
        let shown = path.display().to_string();
        let at_start = |code, message: String, help: &str| problem(&Source::new(&shown, ""), code, message, help);
        if crate::message::catalogue::entry(&name).is_none() {
            let fault = check::unknown(&name);
            own.problems.extend(at_start(fault.code, fault.message, &fault.help));
            continue;
        }
        match fs::canonicalize(&path) {
            Ok(real) if !real.starts_with(&inside) => {
                let message = "tệp này là liên kết ra ngoài thư mục mẫu".to_owned();
                let help = "chép nội dung vào chính thư mục này";
                own.problems.extend(at_start("template-outside", message, help));
                continue;
            }
            _ => {}
        }
        match fs::metadata(&path).and_then(|about| {
            // Not even read: a disk image dropped there must not fill the memory.
            if about.len() > check::LARGEST as u64 {
                Ok((vec![b' '; check::LARGEST + 1], true))
            } else {
                fs::read(&path).map(|bytes| (bytes, false))
            }
        }) {
            Ok((_, true)) => {
                let message = format!("mẫu dài quá {} KB", check::LARGEST >> 10);
                own.problems.extend(at_start("template-too-large", message, "bỏ bớt; ảnh thì đặt ở ngoài mẫu"));
            }
            Ok((bytes, false)) => match decode(bytes) {
                Ok(text) => {
                    own.sources.insert(name.clone(), Source::new(&shown, text.clone()));
                    own.overrides.insert(name, text);
                }
                Err((before, what)) => {
                    let help = "mở bằng trình soạn thảo, lưu lại với bảng mã UTF-8 (không phải TCVN3, VNI, UTF-16)";
                    // The readable part, so that the line can be shown.
                    let source = Source::new(&shown, before.clone());
                    let place = Place { source, span: before.len()..before.len() };
                    let problem = Problem::new(Severity::Error, &place, "template-encoding", what, help);
                    own.problems.extend(problem.into());
                }
            },
            Err(error) => {
                let message = format!("không đọc được mẫu: {}", reason(&error));
                own.problems.extend(at_start("template-unreadable", message, "kiểm tra quyền đọc của tệp"));
            }
        }
    }
    own
}

/// UTF-8, with or without a byte order mark; line ends as LF. What is not: what was readable before it, and what it is.
fn decode(bytes: Vec<u8>) -> Result<String, (String, String)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((String::new(), "mẫu lưu với bảng mã UTF-16, phải là UTF-8".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        (before, "mẫu có chỗ không phải bảng mã UTF-8".to_owned())
    })?;
    if let Some(at) = text.find('\0') {
        return Err((text[..at].to_owned(), "mẫu có ký tự rỗng (NUL): đây không phải tệp chữ".to_owned()));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n"))
}

/// Every fault of a folder of templates: of the files, and of what they say.
pub fn problems(own: &Own) -> Problems {
    let mut problems = own.problems.clone();
    for fault in check::check(&own.overrides) {
        problems.extend(place(own, fault));
    }
    problems
}

fn place(own: &Own, fault: Fault) -> Problems {
    let source = own.sources.get(&fault.template).cloned();
    let source = source.unwrap_or_else(|| Source::new(fault.template.clone(), ""));
    let severity = if fault.error { Severity::Error } else { Severity::Warning };
    Problem::new(severity, &Place { source, span: fault.span }, fault.code, fault.message, fault.help).into()
}

fn problem(source: &Arc<Source>, code: &'static str, message: String, help: &str) -> Problems {
    Problem::new(Severity::Error, &Place::start(source), code, message, help).into()
}

/// Why a file cannot be read, in the office's words.
pub fn reason(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "không có",
        io::ErrorKind::PermissionDenied => "không có quyền",
        io::ErrorKind::IsADirectory => "đây là thư mục",
        io::ErrorKind::NotADirectory => "đây không phải thư mục",
        io::ErrorKind::StorageFull => "đĩa đầy",
        _ => "lỗi đọc, ghi đĩa",
    }
}
