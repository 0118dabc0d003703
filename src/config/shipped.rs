//! The three files as shipped, embedded in the binary: the demo runs on them, and an office starts from a copy.

use std::{fs, io, path::Path, sync::Arc};

use super::{
    problem::{Faults, Loaded, Place, Problem, Problems, Severity, Source},
    settings::Settings,
    settings_file,
};

/// `dondoc.toml` as shipped.
pub const SETTINGS: &str = include_str!("../../config/dondoc.toml");
/// `rules.toml` as shipped.
pub const RULES: &str = include_str!("../../config/rules.toml");
/// `calendar.toml` as shipped.
pub const CALENDAR: &str = include_str!("../../config/calendar.toml");

/// Each shipped file with its name.
pub const FILES: [(&str, &str); 3] = [("dondoc.toml", SETTINGS), ("rules.toml", RULES), ("calendar.toml", CALENDAR)];

impl Settings {
    /// Writes the shipped files into a folder (those already there are left as they are) and reads the settings from
    /// it. For the demo; a service never falls back to these.
    pub fn embedded(dir: &Path) -> Loaded<Settings> {
        let path = dir.join("dondoc.toml");
        write_missing(dir).map_err(|error| unreadable(&path, "không ghi được tệp mẫu", &error))?;
        settings_file::load_settings(&path, std::iter::empty())
    }
}

fn write_missing(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for (name, text) in FILES {
        match fs::File::create_new(dir.join(name)) {
            Ok(mut file) => io::Write::write_all(&mut file, text.as_bytes())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Larger files are somebody's mistake (a spreadsheet under the wrong name).
const LARGEST: u64 = 4 << 20;

/// Reads a file of settings. `sample` is the shipped file to copy when there is none.
pub fn read_source(path: &Path, sample: &str) -> Result<Arc<Source>, Problems> {
    let name = path.display().to_string();
    let bytes = fs::metadata(path)
        .and_then(|meta| {
            if meta.len() > LARGEST {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "tệp quá lớn"));
            }
            fs::read(path)
        })
        .map_err(|error| {
            let help = match error.kind() {
                io::ErrorKind::NotFound => format!("chép tệp mẫu `{sample}` vào đó, hoặc chỉ đúng đường dẫn"),
                io::ErrorKind::PermissionDenied => "cho tài khoản đang chạy lệnh quyền đọc tệp".to_owned(),
                _ => "xem lại đường dẫn".to_owned(),
            };
            Problems::from(at_file(&name, "file-unreadable", format!("không đọc được tệp: {}", words(&error)), help))
        })?;
    source_of(&name, bytes)
}

/// The text of a file, or that it is none. An editor's byte order mark is no fault of the office.
pub fn source_of(name: &str, bytes: Vec<u8>) -> Result<Arc<Source>, Problems> {
    let wide = matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let place = Place { source: Source::new(name, text), span: at..at };
            let found = if wide { "tệp được lưu bằng mã UTF-16" } else { "tệp không phải mã UTF-8" };
            let help = "mở tệp bằng trình soạn thảo, chọn lưu với mã UTF-8 (trong Notepad: Save as, Encoding, UTF-8)";
            Err(Problem::new(Severity::Error, &place, "not-utf8", found, help).into())
        }
    }
}

/// A fault of a file as a whole.
fn at_file(name: &str, code: &'static str, message: String, help: impl Into<String>) -> Problem {
    Problem::new(Severity::Error, &Place::start(&Source::new(name, "")), code, message, help)
}

fn unreadable(path: &Path, what: &str, error: &io::Error) -> Problems {
    let faults = Faults::default();
    let place = Place::start(&Source::new(path.display().to_string(), ""));
    faults.error(&place, "file-unreadable", format!("{what}: {}", words(error)), "chọn một thư mục ghi được");
    faults.finish()
}

/// What an input/output error says, in Vietnamese where it is a common one.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "không có tệp này".to_owned(),
        io::ErrorKind::PermissionDenied => "không có quyền".to_owned(),
        io::ErrorKind::IsADirectory => "đó là một thư mục".to_owned(),
        io::ErrorKind::FileTooLarge => "tệp quá lớn (trên 4 MB)".to_owned(),
        _ => error.to_string(),
    }
}
