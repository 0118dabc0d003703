//! Everything that can leave the house, as files to look at: letters, Zalo texts and notices of every kind, on invented
//! people, with the office's own texts. Pure: it gives paths and bytes; who calls it writes them.
//!
//! Each page is marked MẪU. The same input gives the same bytes.

use jiff::{Timestamp, tz::TimeZone};
use uuid::Uuid;

use super::{
    Envelope, catalogue, check,
    facts::{Contact, LetterFacts, NoticeFacts},
    message_id, mime, notice_json,
    sample::{self, kinds},
    texts::{EmailText, TextError, Texts},
    zalo,
};

/// What stands on every page.
pub const MARK: &str = "MẪU để xem trước – người nhận và nhiệm vụ là bịa, không gửi đi đâu";

/// What the preview is made with.
#[derive(Debug)]
pub struct Preview<'a> {
    pub texts: &'a Texts,
    /// The office's own name.
    pub office: &'a str,
    /// As in the settings.
    pub from: &'a str,
    pub reply_to: Option<&'a str>,
    pub zone: TimeZone,
    pub now: Timestamp,
    /// The office's own ladders, in the order of the rules.
    pub ladders: Vec<Ladder>,
}

/// One rule's letters.
#[derive(Debug)]
pub struct Ladder {
    pub rule: String,
    /// `chủ trì, khối nhà nước; thời hạn hoàn thành`
    pub about: String,
    /// Why some or all of its letters cannot be shown.
    pub note: Option<String>,
    pub letters: Vec<Letter>,
}

/// One letter of a ladder.
#[derive(Debug)]
pub struct Letter {
    /// Fit for a file's name.
    pub slug: String,
    /// `qua-han-1, 26/11/2026 08:00 → người đứng đầu cơ quan chủ trì`
    pub label: String,
    pub email: bool,
    pub zalo: bool,
    pub facts: LetterFacts,
}

/// A file of the preview: its path, with `/`, and its bytes.
pub type File = (String, Vec<u8>);

/// One entry of the index.
struct Shown {
    label: String,
    /// Path without its ending.
    path: String,
    subject: String,
    html: bool,
    zalo: Option<String>,
    other: Vec<&'static str>,
}

/// Every file, the index first.
pub fn files(preview: &Preview<'_>) -> Result<Vec<File>, TextError> {
    let mut files = Vec::new();
    let mut groups: Vec<(String, String, Vec<Shown>)> = Vec::new();
    let mut n = 0;
    for ladder in &preview.ladders {
        let mut shown = Vec::new();
        for letter in &ladder.letters {
            n += 1;
            let path = format!("quy-tac/{}/{}", slug(&ladder.rule), letter.slug);
            let ways = (letter.email, letter.zalo);
            shown.push(letter_files(preview, &letter.facts, &letter.label, &path, n, ways, &mut files)?);
        }
        let about = [Some(ladder.about.clone()), ladder.note.clone()].into_iter().flatten();
        groups.push((format!("Quy tắc {}", ladder.rule), about.collect::<Vec<_>>().join(". "), shown));
    }
    let mut shown = Vec::new();
    for (at, kind) in kinds::letters().into_iter().chain(kinds::classified()).enumerate() {
        n += 1;
        let facts = invented(kind.facts, preview);
        let path = format!("cac-dang/{:02}-{}", at + 1, kind.slug);
        let ways = (true, !facts.classified);
        shown.push(letter_files(preview, &facts, kind.label, &path, n, ways, &mut files)?);
    }
    for (at, (label, mut facts)) in kinds::daily().into_iter().enumerate() {
        preview.office.clone_into(&mut facts.office);
        let (path, text) = (format!("cac-dang/danh-sach-{}", at + 1), preview.texts.daily(&facts)?);
        files.push((format!("{path}.html"), marked(&text.html).into_bytes()));
        let plain = format!("*** {MARK} ***\n\n{}\n\n{}", text.subject, text.text);
        files.push((format!("{path}.txt"), plain.into_bytes()));
        shown.push(Shown {
            label: label.to_owned(),
            path,
            subject: text.subject,
            html: true,
            zalo: None,
            other: vec!["txt"],
        });
    }
    groups.push((
        "Các dạng thư".to_owned(),
        "Mỗi dạng thư có thể gửi đi, kể cả những dạng hiếm gặp.".to_owned(),
        shown,
    ));
    let mut shown = Vec::new();
    for kind in kinds::notices() {
        let facts = invented_notice(kind.facts, preview);
        let path = format!("phieu/{}", kind.slug);
        let page = preview.texts.notice_html(&facts, &sample::seal(), kind.withdrawn)?;
        files.push((format!("{path}.html"), watermarked(&page).into_bytes()));
        files.push((format!("{path}.json"), notice_json(&facts, &sample::seal())?));
        shown.push(Shown {
            label: kind.label.to_owned(),
            path,
            subject: String::new(),
            html: true,
            zalo: None,
            other: vec!["json"],
        });
    }
    groups.push((
        "Phiếu báo nhiệm vụ quá hạn".to_owned(),
        "In trên giấy A4. Phiếu thật chỉ được lập từ sổ.".to_owned(),
        shown,
    ));
    for entry in catalogue::ENTRIES {
        let source = catalogue::annotated(entry, &check::names_for(entry.name));
        files.push((format!("mau-goc/{}", entry.name), source.into_bytes()));
    }
    files.insert(0, ("index.html".to_owned(), index(preview, &groups).into_bytes()));
    Ok(files)
}

/// A letter's files; what goes by neither way is in the index with its label alone.
fn letter_files(
    preview: &Preview<'_>,
    facts: &LetterFacts,
    label: &str,
    path: &str,
    n: u128,
    (by_email, by_zalo): (bool, bool),
    files: &mut Vec<File>,
) -> Result<Shown, TextError> {
    let mut shown = Shown {
        label: label.to_owned(),
        path: path.to_owned(),
        subject: String::new(),
        html: false,
        zalo: None,
        other: Vec::new(),
    };
    if by_email {
        let text = preview.texts.email(facts)?;
        files.push((format!("{path}.html"), marked(&text.html).into_bytes()));
        files
            .push((format!("{path}.txt"), format!("*** {MARK} ***\n\n{}\n\n{}", text.subject, text.text).into_bytes()));
        let subject = text.subject.clone();
        let text = EmailText { subject: format!("[MẪU] {subject}"), html: marked(&text.html), ..text };
        files.push((format!("{path}.eml"), mime(&text, &envelope(preview, facts, n))?));
        (shown.subject, shown.html, shown.other) = (subject, true, vec!["txt", "eml"]);
    }
    if by_zalo {
        let line = preview.texts.zalo(facts)?;
        files.push((format!("{path}.zalo.txt"), format!("{line}\n").into_bytes()));
        shown.zalo = Some(line);
    }
    Ok(shown)
}

fn envelope(preview: &Preview<'_>, facts: &LetterFacts, n: u128) -> Envelope {
    Envelope {
        from: preview.from.to_owned(),
        reply_to: preview.reply_to.map(str::to_owned),
        to: "nguoi-nhan-mau@xem-truoc.example".to_owned(),
        to_name: Some(facts.recipient.name.clone()).filter(|name| !name.trim().is_empty()),
        message_id: message_id(Uuid::from_u128(n), "xem-truoc.example"),
        date: preview.now,
        zone: preview.zone.clone(),
        host: "xem-truoc.example".to_owned(),
        extra_headers: vec![("X-Dondoc-Preview".to_owned(), "1".to_owned())],
    }
}

/// Sample facts under the office's own name, their people marked.
fn invented(mut facts: LetterFacts, preview: &Preview<'_>) -> LetterFacts {
    let party = facts.office == "Văn phòng Thành ủy";
    if !party {
        preview.office.clone_into(&mut facts.office);
    }
    if !facts.recipient.name.is_empty() {
        facts.recipient.name.push_str(" (mẫu)");
    }
    if !facts.contact.name.is_empty() {
        facts.contact = sample_contact(preview);
    }
    facts.can_reply = preview.reply_to.is_some();
    facts
}

/// Whom an invented reader may ask.
pub fn sample_contact(preview: &Preview<'_>) -> Contact {
    Contact {
        name: "Trần Thị Hà (mẫu)".to_owned(),
        honorific: "bà".to_owned(),
        agency: preview.office.to_owned(),
        phone: "0900 000 000".to_owned(),
        email: String::new(),
    }
}

fn invented_notice(mut facts: NoticeFacts, preview: &Preview<'_>) -> NoticeFacts {
    facts.number = format!("MẪU {}", facts.number);
    if facts.letterhead.block != crate::planning::task::Block::Party {
        preview.office.clone_into(&mut facts.office);
    }
    if !facts.head.name.is_empty() {
        facts.head.name.push_str(" (mẫu)");
    }
    facts
}

/// A letter's page with the mark at its head.
fn marked(page: &str) -> String {
    let banner = format!(
        "<div style=\"margin:0;padding:5px 10px;background:#b91c1c;color:#ffffff;font:bold 12px/1.4 Arial,sans-serif;text-align:center\">{}</div>",
        escaped(MARK)
    );
    in_body(page, &banner)
}

/// A notice with the mark across it: nothing on the sheet moves, so that it prints as the real one will.
fn watermarked(page: &str) -> String {
    let mark = "<div style=\"position:fixed;top:40%;left:0;right:0;text-align:center;transform:rotate(-32deg);font:bold 110px/1 Arial,sans-serif;color:#b91c1c;opacity:.14;pointer-events:none\">MẪU</div>";
    in_body(page, mark)
}

fn in_body(page: &str, mark: &str) -> String {
    match page.find("<body").and_then(|at| page[at..].find('>').map(|end| at + end + 1)) {
        Some(at) => format!("{}{mark}{}", &page[..at], &page[at..]),
        None => format!("{mark}{page}"),
    }
}

/// A text as HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Letters, digits and hyphens, for a file's name.
pub fn slug(text: &str) -> String {
    let text: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(60).collect();
    if text.trim_matches('-').is_empty() { "khong-ten".to_owned() } else { text }
}

fn index(preview: &Preview<'_>, groups: &[(String, String, Vec<Shown>)]) -> String {
    let e = escaped;
    let office = e(preview.office);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"vi\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>Xem trước thư, tin, phiếu – {office}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <p class=\"mark\">{}</p>\n<h1>Xem trước thư, tin Zalo và phiếu báo</h1>\n\
         <p>{office}. Bấm vào một dòng để xem thư trên điện thoại (bên trái) và trên máy tính (bên phải). Lời thư lấy từ quy tắc và mẫu của cơ quan đang đặt.</p>\n\
         <p>Muốn sửa lời: xem <code>mau-goc/</code>, chép mẫu cần sửa vào thư mục mẫu của cơ quan, rồi chạy <code>dondoc check</code>.</p>\n<ul class=\"toc\">\n",
        e(MARK)
    );
    for (n, (title, _, shown)) in groups.iter().enumerate() {
        page.push_str(&format!("<li><a href=\"#nhom-{n}\">{}</a> ({})</li>\n", e(title), shown.len()));
    }
    page.push_str("</ul>\n");
    for (n, (title, about, shown)) in groups.iter().enumerate() {
        page.push_str(&format!("<h2 id=\"nhom-{n}\">{}</h2>\n<p>{}</p>\n", e(title), e(about)));
        for entry in shown {
            page.push_str(&format!("<details><summary>{}", e(&entry.label)));
            if !entry.subject.is_empty() {
                page.push_str(&format!("<span>{}</span>", e(&entry.subject)));
            }
            page.push_str("</summary>\n");
            let path = e(&entry.path);
            if let Some(line) = &entry.zalo {
                let length = zalo::length(line);
                page.push_str(&format!(
                    "<p class=\"zalo\"><b>Zalo, {length} ký tự</b><br>{}</p>\n",
                    e(line).replace('\n', "<br>")
                ));
            }
            if entry.html {
                page.push_str(&format!(
                    "<div class=\"pair\"><iframe loading=\"lazy\" width=\"360\" height=\"640\" src=\"{path}.html\" title=\"điện thoại\"></iframe>\
                     <iframe loading=\"lazy\" width=\"700\" height=\"640\" src=\"{path}.html\" title=\"máy tính\"></iframe></div>\n\
                     <p class=\"files\"><a href=\"{path}.html\">html</a>"
                ));
                for other in &entry.other {
                    page.push_str(&format!(" · <a href=\"{path}.{other}\">{other}</a>"));
                }
                page.push_str("</p>\n");
            }
            page.push_str("</details>\n");
        }
    }
    page.push_str("</body>\n</html>\n");
    page
}

const STYLE: &str = "body{margin:0 auto;max-width:1120px;padding:0 12px 40px;font:16px/1.5 Arial,sans-serif;color:#1f2937;background:#f8fafc}
.mark{margin:0 -12px;padding:8px 12px;background:#b91c1c;color:#fff;font-weight:bold;text-align:center}
h1{font-size:24px}h2{margin:28px 0 4px;font-size:19px}
details{border:1px solid #d1d5db;border-radius:6px;margin:6px 0;background:#fff}
summary{padding:8px 12px;cursor:pointer}
summary span{display:block;font-size:14px;color:#4b5563;overflow-wrap:anywhere}
.pair{display:flex;gap:16px;padding:0 12px 8px;overflow-x:auto}
iframe{flex:none;border:1px solid #9ca3af;background:#fff}
.zalo{margin:0 12px 12px;padding:10px 14px;max-width:360px;background:#e0f2fe;border-radius:10px;font-size:15px;overflow-wrap:anywhere}
.files{margin:0 12px 10px;font-size:14px}
";
