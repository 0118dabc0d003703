//! What a file is, by its first bytes. Its name is never looked at: offices rename `.xls` to `.xlsx` and hope.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::{MAX_FILE, TableError};

/// How a text file's bytes stand for characters; a byte order mark of `mark` bytes comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Encoding {
    pub name: &'static str,
    pub mark: usize,
}

pub(super) const UTF_8: &str = "UTF-8";
pub(super) const UTF_16LE: &str = "UTF-16LE";
pub(super) const UTF_16BE: &str = "UTF-16BE";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Xlsx,
    Text(Encoding),
}

const SAVE_AS: &str = "mở bằng Excel rồi lưu lại dạng .xlsx";

fn wrong(what: &'static str, advice: &'static str) -> TableError {
    TableError::WrongKind { what, advice }
}

/// Tells the kind of a file, or why it is none that can be read.
pub(super) fn of_file(path: &Path) -> Result<Kind, TableError> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(wrong("một thư mục hoặc thiết bị", "chọn một tệp .csv hoặc .xlsx"));
    }
    if meta.len() > MAX_FILE {
        return Err(TableError::TooLarge { what: "trên 512 MB" });
    }
    let mut head = Vec::with_capacity(8192);
    (&mut file).take(8192).read_to_end(&mut head)?;
    if head.is_empty() {
        return Err(wrong("một tệp rỗng", "xuất lại tệp từ phần mềm gốc"));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return of_zip(file);
    }
    if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
        file.seek(SeekFrom::Start(0))?;
        return Err(of_compound(file)?);
    }
    for (magic, what) in [
        (&b"%PDF"[..], "tài liệu PDF"),
        (b"{\\rtf", "tài liệu RTF"),
        (b"\x1f\x8b", "tệp nén gzip"),
        (b"7z\xbc\xaf", "tệp nén 7z"),
        (b"Rar!", "tệp nén RAR"),
        (b"\x89PNG", "ảnh PNG"),
        (b"\xff\xd8\xff", "ảnh JPEG"),
    ] {
        if head.starts_with(magic) {
            return Err(wrong(what, "xuất bảng ra .xlsx hoặc CSV rồi nhập lại"));
        }
    }
    let encoding = of_text(&head)?;
    refuse_markup(&head, encoding)?;
    Ok(Kind::Text(encoding))
}

fn of_zip(file: File) -> Result<Kind, TableError> {
    let archive = zip::ZipArchive::new(std::io::BufReader::new(file)).map_err(|_| TableError::Damaged {
        what: "phần nén không đọc được, có thể tải về chưa hết".to_owned(),
    })?;
    let (mut office, mut workbook) = (false, false);
    for name in archive.file_names().flatten() {
        let name = name.to_ascii_lowercase().replace('\\', "/");
        match name.as_str() {
            "xl/workbook.bin" => return Err(wrong("sổ Excel nhị phân (.xlsb)", SAVE_AS)),
            "word/document.xml" => return Err(wrong("văn bản Word", "chép bảng sang Excel rồi lưu dạng .xlsx")),
            "ppt/presentation.xml" => return Err(wrong("bản trình chiếu PowerPoint", "chọn tệp bảng tính")),
            "mimetype" => return Err(wrong("tệp OpenDocument (.ods)", SAVE_AS)),
            "[content_types].xml" => office = true,
            name if name.ends_with("workbook.xml") => workbook = true,
            _ => {}
        }
    }
    if office || workbook {
        Ok(Kind::Xlsx)
    } else {
        Err(wrong("tệp nén ZIP", "giải nén rồi chọn tệp .csv hoặc .xlsx bên trong"))
    }
}

/// An OLE compound file is an old `.xls`, or an encrypted `.xlsx` in its wrapping.
fn of_compound(mut file: File) -> std::io::Result<TableError> {
    let needle: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    // the directory entry may stand in any sector: look through the file in pieces that overlap
    let mut window = Vec::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok(wrong("sổ Excel đời cũ (.xls) hoặc tài liệu Office đời cũ", SAVE_AS));
        }
        window.extend_from_slice(&piece[..read]);
        if window.windows(needle.len()).any(|bytes| bytes == needle) {
            return Ok(TableError::Encrypted);
        }
        window.drain(..window.len().saturating_sub(needle.len()));
    }
}

fn of_text(head: &[u8]) -> Result<Encoding, TableError> {
    if head.starts_with(&[0xef, 0xbb, 0xbf]) {
        return Ok(Encoding { name: UTF_8, mark: 3 });
    }
    if head.starts_with(&[0xff, 0xfe]) {
        return Ok(Encoding { name: UTF_16LE, mark: 2 });
    }
    if head.starts_with(&[0xfe, 0xff]) {
        return Ok(Encoding { name: UTF_16BE, mark: 2 });
    }
    // Without a mark: Latin letters, digits and separators leave a zero in each pair of UTF-16, UTF-8 text has none.
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), head.len() / 2);
    match (even, odd) {
        (0, 0) => Ok(Encoding { name: UTF_8, mark: 0 }),
        (e, o) if o * 5 >= pairs && e * 20 <= pairs => Ok(Encoding { name: UTF_16LE, mark: 0 }),
        (e, o) if e * 5 >= pairs && o * 20 <= pairs => Ok(Encoding { name: UTF_16BE, mark: 0 }),
        _ => Err(wrong("dữ liệu nhị phân", SAVE_AS)),
    }
}

/// "Excel" files of many web applications are HTML tables, or XML of 2003.
fn refuse_markup(head: &[u8], encoding: Encoding) -> Result<(), TableError> {
    let text: String = head[encoding.mark..].iter().filter(|b| **b != 0).map(|b| char::from(*b)).collect();
    let text = text.trim_start().to_ascii_lowercase();
    if !text.starts_with('<') {
        return Ok(());
    }
    if text.starts_with("<?xml") && !text.contains("<html") {
        return Err(wrong("tệp XML", SAVE_AS));
    }
    if ["<!doctype", "<html", "<table", "<head", "<meta", "<body", "<style", "<?xml", "<div"]
        .iter()
        .any(|tag| text.starts_with(tag))
    {
        return Err(wrong("trang web (HTML)", SAVE_AS));
    }
    Ok(())
}
