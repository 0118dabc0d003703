use std::{fs, path::PathBuf};

use jiff::civil::{Date, date, datetime};
use proptest::prelude::*;
use rust_xlsxwriter::{ExcelDateTime, Format, Formula, Workbook};

use super::*;
use crate::planning::fold::fold;

fn is_header(cells: &[Cell]) -> bool {
    cells.iter().any(|cell| fold(&cell.text()) == fold("Mã nhiệm vụ"))
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn read(&self, content: impl AsRef<[u8]>) -> Result<(TableReader, Vec<Row>), TableError> {
        read(&self.file("table", content))
    }
}

fn read(path: &Path) -> Result<(TableReader, Vec<Row>), TableError> {
    let mut table = TableReader::open(path, &is_header)?;
    let rows = table.by_ref().collect::<Result<_, _>>()?;
    Ok((table, rows))
}

fn texts(rows: &[Row]) -> Vec<(u32, Vec<String>)> {
    rows.iter().map(|row| (row.number, row.cells.iter().map(Cell::text).collect())).collect()
}

const TABLE: &str = "UBND THÀNH PHỐ,,\r\n\r\n\"Mã nhiệm\u{a0}\nvụ\",Nội dung,\"Hạn \",\r\nNV1,\"Rà soát, báo cáo \"\"gấp\"\"\r\nvà trình\",45903\r\n,,\r\n\r\nNV2,b\r\n";

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn every_encoding_and_separator_gives_the_same_rows() {
    let dir = Dir::new();
    let with_mark = format!("\u{feff}{TABLE}");
    let semicolons = TABLE.replace(',', ";").replace("Rà soát;", "Rà soát,");
    let tabs = semicolons.replace(';', "\t");
    let hinted = format!("sep=;\r\n{semicolons}");
    let old_mac = TABLE.replace("\r\nvà", "\nvà").replace("\r\n", "\r");
    for (name, content) in [
        ("UTF-8", TABLE.as_bytes().to_vec()),
        ("UTF-8 with a mark", with_mark.as_bytes().to_vec()),
        ("UTF-16LE with a mark", utf_16(&with_mark, u16::to_le_bytes)),
        ("UTF-16BE with a mark", utf_16(&with_mark, u16::to_be_bytes)),
        ("UTF-16LE", utf_16(TABLE, u16::to_le_bytes)),
        ("UTF-16BE", utf_16(TABLE, u16::to_be_bytes)),
        ("semicolons", semicolons.into_bytes()),
        ("tabs", tabs.into_bytes()),
        ("a separator hint", hinted.into_bytes()),
        ("line feeds", TABLE.replace("\r\n", "\n").into_bytes()),
        ("carriage returns", old_mac.into_bytes()),
    ] {
        let (table, rows) = dir.read(content).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(table.headers(), ["Mã nhiệm vụ", "Nội dung", "Hạn"], "{name}");
        assert_eq!(table.header_row(), 3, "{name}");
        let rows: Vec<_> =
            texts(&rows).into_iter().map(|(n, cells)| (n, cells.join("|").replace("\r\n", "\n"))).collect();
        let expected = [(4, "NV1|Rà soát, báo cáo \"gấp\"\nvà trình|45903".to_owned()), (7, "NV2|b|".to_owned())];
        assert_eq!(rows, expected, "{name}");
    }
}

#[test]
fn a_row_is_shifted_only_by_an_error() {
    let dir = Dir::new();
    let path = dir.file("t.csv", "Mã nhiệm vụ,Độ mật\nNV1,Thường,,  \nNV2,Rà soát, Mật\nNV3,A\n");
    let rows: Vec<_> = TableReader::open(&path, &is_header).unwrap().collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].as_ref().unwrap().cells.len(), 2);
    let error = rows[1].as_ref().unwrap_err();
    assert_eq!((error.code(), error.row(), error.is_of_one_row()), ("row_too_long", Some(3), true));
    assert!(!error.to_string().contains("Rà soát"), "an error may not hold a cell's content");
    assert_eq!(rows[2].as_ref().unwrap().number, 4);
}

#[test]
fn what_is_no_table_is_named_once_by_its_content() {
    let dir = Dir::new();
    let zip = |name: &str| {
        let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        out.finish().unwrap().into_inner()
    };
    let compound = |entry: &str| {
        let mut bytes = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
        bytes.resize(70_000, 0);
        bytes.extend(utf_16(entry, u16::to_le_bytes));
        bytes
    };
    for (content, code, words) in [
        (b"<html><table><tr><td>M\xc3\xa3".to_vec(), "file_kind", "HTML"),
        (b"\xef\xbb\xbf\r\n <!DOCTYPE html>".to_vec(), "file_kind", "HTML"),
        (b"<?xml version=\"1.0\"?><Workbook".to_vec(), "file_kind", "XML"),
        (b"%PDF-1.7".to_vec(), "file_kind", "PDF"),
        (compound("Workbook"), "file_kind", ".xls"),
        (compound("EncryptedPackage"), "file_encrypted", "mật khẩu"),
        (zip("a.txt"), "file_kind", "ZIP"),
        (zip("word/document.xml"), "file_kind", "Word"),
        (zip("xl/workbook.bin"), "file_kind", ".xlsb"),
        (Vec::new(), "file_kind", "rỗng"),
        (b"PK\x03\x04 and then nothing".to_vec(), "file_damaged", "hỏng"),
        (b"a,b\nc,d\n".to_vec(), "no_header", "tiêu đề"),
        (b"M\xc3\xa3 nhi\xe1\xbb\x87m v\xe1\xbb\xa5\n\"x\ny".to_vec(), "unclosed_quote", "dòng 2"),
        (b"\x00\x01\x02\x03\x00\x00\x01\xff".to_vec(), "file_kind", "nhị phân"),
    ] {
        let error = dir.read(&content).map(|(_, rows)| rows).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(read(dir.0.path()).unwrap_err().code(), "file_kind");
    assert_eq!(read(&dir.0.path().join("none")).unwrap_err().code(), "file_unreadable");
}

#[test]
fn a_byte_of_another_encoding_is_told_by_offset_and_row() {
    let dir = Dir::new();
    let mut content = b"M\xc3\xa3 nhi\xe1\xbb\x87m v\xe1\xbb\xa5,x\n\"a\nb\",c\n".to_vec();
    let offset = content.len() as u64 + 3;
    content.extend(b"NV1\xd2h\n");
    let error = dir.read(&content).map(|(_, rows)| rows).unwrap_err();
    assert!(
        matches!(error, TableError::Encoding { encoding: "UTF-8", offset: at, row: 3 } if at == offset),
        "{error:?}"
    );

    // half a character at the very end, far beyond the first piece
    let mut content = TABLE.as_bytes().to_vec();
    content.extend("NV3,à\n".repeat(20_000).bytes());
    let offset = content.len() as u64;
    content.push(0xe1);
    let error = dir.read(&content).map(|(_, rows)| rows).unwrap_err();
    assert!(matches!(error, TableError::Encoding { offset: at, row: 20_008, .. } if at == offset), "{error:?}");
}

#[test]
fn a_cell_beyond_excels_length_is_refused_in_both_formats() {
    let dir = Dir::new();
    for (length, fits) in [(MAX_CELL_CHARS, true), (MAX_CELL_CHARS + 1, false)] {
        let long = "ệ".repeat(length);
        let answer = dir.read(format!("Mã nhiệm vụ\n{long}\n"));
        assert_eq!(answer.map(|_| ()).map_err(|error| error.code()), if fits { Ok(()) } else { Err("cell_too_long") });
    }
}

fn workbook(fill: impl FnOnce(&mut Workbook)) -> Vec<u8> {
    let mut book = Workbook::new();
    fill(&mut book);
    book.save_to_buffer().unwrap()
}

#[test]
fn a_workbook_gives_typed_cells_rows_as_shown_and_its_other_sheets_by_name() {
    let dir = Dir::new();
    let day = Format::new().set_num_format("dd/mm/yyyy");
    let hour = Format::new().set_num_format("dd/mm/yyyy hh:mm");
    let content = workbook(|book| {
        book.add_worksheet().set_name("Bìa").unwrap().write(0, 0, "không có bảng").unwrap();
        let sheet = book.add_worksheet().set_name("Nhiệm vụ").unwrap();
        sheet.merge_range(0, 0, 0, 3, "BẢNG TỔNG HỢP", &Format::new()).unwrap();
        for (column, name) in ["Mã\nnhiệm vụ", "Hạn", "Số", "Đúng", "Công thức"].iter().enumerate() {
            sheet.write(4, column as u16, *name).unwrap();
        }
        sheet.write(5, 0, "NV1").unwrap();
        sheet.write_with_format(5, 1, ExcelDateTime::from_ymd(2026, 12, 15).unwrap(), &day).unwrap();
        sheet.write(5, 2, 3.0).unwrap();
        sheet.write(5, 3, true).unwrap();
        sheet.write(5, 4, Formula::new("=1+1").set_result("2")).unwrap();
        sheet.write(5, 7, "ghi chú ngoài bảng").unwrap();
        sheet.write(8, 0, "NV2").unwrap();
        let at = ExcelDateTime::from_ymd(2026, 9, 7).unwrap().and_hms(17, 0, 0).unwrap();
        sheet.write_with_format(8, 1, at, &hour).unwrap();
        sheet.write(8, 2, 2.5).unwrap();
        sheet.write(8, 4, Formula::new("=1/0").set_result("#DIV/0!")).unwrap();
        sheet.merge_range(40, 0, 42, 0, "NV3", &Format::new()).unwrap();
        book.add_worksheet().set_name("Danh mục").unwrap();
        book.add_worksheet().set_name("Kín").unwrap().set_hidden(true);
    });
    let (table, rows) = dir.read(content).unwrap();
    assert_eq!(table.headers(), ["Mã nhiệm vụ", "Hạn", "Số", "Đúng", "Công thức"]);
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, [6, 9, 41]);
    assert_eq!(
        rows[0].cells,
        [
            Cell::Text("NV1".into()),
            Cell::Date(datetime(2026, 12, 15, 0, 0, 0, 0)),
            Cell::Number(3.0),
            Cell::Bool(true),
            Cell::Number(2.0),
        ]
    );
    assert_eq!(rows[1].cells[1], Cell::Date(datetime(2026, 9, 7, 17, 0, 0, 0)));
    assert_eq!(rows[1].cells[4].text(), "#DIV/0!");
    assert_eq!(texts(&rows[..2])[0].1.join("|"), "NV1|15/12/2026|3|TRUE|2");
    assert_eq!(texts(&rows[..2])[1].1.join("|"), "NV2|07/09/2026 17:00|2.5||#DIV/0!");
    let notes = table.notes().join("\n");
    for name in ["“Nhiệm vụ”", "Bìa", "Danh mục", "Kín (ẩn)", "dòng 5", "từ dòng 6"] {
        assert!(notes.contains(name), "{name}: {notes}");
    }
}

/// Rewrites one part of a workbook, to make what no program would write.
fn with_part(book: &[u8], part: &str, change: impl Fn(String) -> Vec<u8>) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut source = zip::ZipArchive::new(std::io::Cursor::new(book)).unwrap();
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for index in 0..source.len() {
        let mut file = source.by_index(index).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        if name == part {
            content = change(String::from_utf8(content).unwrap());
        }
        out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(&content).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn small_workbook() -> Vec<u8> {
    workbook(|book| {
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "Mã nhiệm vụ").unwrap();
        for row in 1..100 {
            sheet.write(row, 0, format!("NV{row}")).unwrap();
            let day = Format::new().set_num_format("dd/mm/yyyy");
            sheet.write_with_format(row, 1, ExcelDateTime::from_ymd(2026, 12, 15).unwrap(), &day).unwrap();
        }
        sheet.write(0, 1, "Hạn").unwrap();
    })
}

#[test]
fn the_epoch_of_1904_is_honoured() {
    let dir = Dir::new();
    let book = with_part(&small_workbook(), "xl/workbook.xml", |xml| {
        xml.replace("<workbookPr ", "<workbookPr date1904=\"1\" ").into_bytes()
    });
    let (_, rows) = dir.read(book).unwrap();
    assert_eq!(rows[0].cells[1], Cell::Date(datetime(2030, 12, 16, 0, 0, 0, 0)));
}

#[test]
fn a_hostile_workbook_costs_an_error_not_the_memory() {
    let dir = Dir::new();
    let book = small_workbook();
    let strings = "xl/sharedStrings.xml";
    let sheet = "xl/worksheets/sheet1.xml";
    let blanks = || vec![b' '; 40 << 20];
    let cell =
        |text: &str| format!("<row r=\"200\"><c r=\"A200\" t=\"inlineStr\"><is>{text}</is></c></row></sheetData>");
    let in_sheet = |text: String| with_part(&book, sheet, move |xml| xml.replace("</sheetData>", &text).into_bytes());
    let run = format!("<r><t>{}</t></r>", "x".repeat(30_000));
    for (name, content, code) in [
        (
            "a declared number of strings that would be reserved",
            with_part(&book, strings, |xml| xml.replace("uniqueCount=\"", "uniqueCount=\"900000000000").into_bytes()),
            "file_damaged",
        ),
        (
            "strings in UTF-16, where nothing can be looked for",
            with_part(&book, strings, |xml| utf_16(&xml, u16::to_le_bytes)),
            "file_damaged",
        ),
        ("styles that inflate without end", with_part(&book, "xl/styles.xml", |_| blanks()), "file_too_large"),
        ("a text without end", in_sheet(cell(&format!("<t>{}</t>", "x".repeat(3 << 20)))), "file_too_large"),
        ("a text of many runs", in_sheet(cell(&run.repeat(60))), "file_too_large"),
        ("a comment without end", in_sheet(cell(&format!("<!--{}-->", "<a>".repeat(1 << 20)))), "file_too_large"),
        ("a section without end", in_sheet(cell(&format!("<![CDATA[{}]]>", "<a>".repeat(1 << 20)))), "file_too_large"),
        ("a cell longer than Excel's", in_sheet(cell(&format!("<t>{}</t>", "x".repeat(32_768)))), "cell_too_long"),
        ("a column beyond the last", in_sheet(cell("").replace("A200", "XFE200")), "file_damaged"),
        ("rows that go back", in_sheet(cell("<t>x</t>").replace("200", "3")), "file_damaged"),
        (
            "a string that is not there",
            in_sheet(cell("").replace("<is></is>", "<v>9999</v>").replace("inlineStr", "s")),
            "file_damaged",
        ),
        ("a sheet cut short", with_part(&book, sheet, |xml| xml.as_bytes()[..xml.len() / 2].to_vec()), "file_damaged"),
    ] {
        let answer = dir.read(&content).map(|(_, rows)| rows.len()).map_err(|error| error.code());
        assert_eq!(answer, Err(code), "{name}");
    }
    assert_eq!(dir.read(in_sheet(cell("<t>x</t>"))).unwrap().1.len(), 100, "the same, well written, is read");
}

#[test]
fn a_workbook_cut_anywhere_is_an_error_never_fewer_rows() {
    let dir = Dir::new();
    let book = small_workbook();
    for end in (1..book.len()).step_by(61) {
        assert!(dir.read(&book[..end]).is_err(), "{end} of {} bytes", book.len());
    }
}

#[test]
fn a_reader_dropped_early_ends_its_thread() {
    let dir = Dir::new();
    let path = dir.file(
        "t",
        workbook(|book| {
            let sheet = book.add_worksheet();
            sheet.write(0, 0, "Mã nhiệm vụ").unwrap();
            for row in 1..2_000 {
                sheet.write(row, 0, row).unwrap();
            }
        }),
    );
    let mut table = TableReader::open(&path, &is_header).unwrap();
    assert_eq!(table.next().unwrap().unwrap().number, 2);
    // waits for the thread: a thread that went on would keep this test from ending
    drop(table);
    fs::remove_file(&path).unwrap();
}

/// A cell as CSV holds it, quoted always.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_bytes_are_an_error_or_a_table_never_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..2_000), as_zip: bool) {
        if as_zip {
            bytes.splice(0..0, *b"PK\x03\x04");
        }
        let _ = Dir::new().read(&bytes);
    }

    #[test]
    fn a_damaged_workbook_is_an_error_or_a_table_never_a_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let mut book = small_workbook();
        let at = at.index(book.len());
        book[at] = byte;
        let _ = Dir::new().read(&book);
    }

    #[test]
    fn any_texts_come_back_from_both_formats(cells in proptest::collection::vec("[a-zà-ỹ ,;\t\"'=\n-]{0,12}", 1..24)) {
        let dir = Dir::new();
        let rows: Vec<Vec<String>> = cells.chunks(3).map(|row| row.to_vec()).collect();
        let csv: String = rows.iter().map(|row| row.iter().map(|c| quoted(c)).collect::<Vec<_>>().join(";") + "\r\n").collect();
        let book = workbook(|book| {
            let sheet = book.add_worksheet();
            for (column, name) in ["Mã nhiệm vụ", "b", "c"].iter().enumerate() {
                sheet.write(0, column as u16, *name).unwrap();
            }
            for (row, cells) in rows.iter().enumerate() {
                for (column, text) in cells.iter().enumerate() {
                    sheet.write_string(row as u32 + 1, column as u16, text).unwrap();
                }
            }
        });
        let expected: Vec<(u32, Vec<String>)> = (2..)
            .zip(rows.iter().map(|row| (0..3).map(|at| row.get(at).cloned().unwrap_or_default()).collect::<Vec<_>>()))
            .filter(|(_, row)| row.iter().any(|text| !text.trim().is_empty()))
            .collect();
        let from_csv = dir.read(format!("Mã nhiệm vụ;b;c\r\n{csv}")).unwrap().1;
        prop_assert_eq!(&texts(&from_csv), &expected);
        let from_book = dir.read(book).unwrap().1;
        prop_assert_eq!(&texts(&from_book), &expected);
    }
}

#[test]
fn a_text_cell_shows_whole_numbers_plainly() {
    for (cell, text) in [
        (Cell::Number(45_903.0), "45903"),
        (Cell::Number(-0.0), "0"),
        (Cell::Number(572_365_468.0), "572365468"),
        (Cell::Number(0.5), "0.5"),
        (Cell::Date(Date::to_datetime(date(2026, 1, 5), jiff::civil::time(8, 30, 5, 0))), "05/01/2026 08:30:05"),
    ] {
        assert_eq!(cell.text(), text);
    }
}
