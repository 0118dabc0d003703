//! The import of the directory: agencies with their names, people, and who holds which post since when.
//!
//! Nothing is deleted: a post that passed to another person ends, an earlier name stays as a former one, and who is
//! missing from a file is left and noted.

use std::{collections::HashMap, path::Path};

use jiff::{Timestamp, civil::Date};

use super::{
    cells::{clean_text, read_block, read_email, read_phone, yes_no},
    dates::read_date,
    import::ImportError,
    report::Report,
    table::{Cell, Row, TableReader},
};
use crate::{
    config::settings::Settings,
    planning::{
        fold::fold,
        task::{AgencyId, Block, PersonId},
    },
    store::intake::{
        AgencyName, AgencyRow, Directory, DirectoryChanges, Fate, IntakeStore, NameKind, PersonRow, PostRole, PostRow,
    },
};

const CODE: &[&str] = &["Mã cơ quan", "Mã đơn vị", "Mã"];
const IDENTIFIER: &[&str] = &["Mã định danh (giả lập)", "Mã định danh", "Mã định danh điện tử"];
const NAME: &[&str] = &["Tên cơ quan", "Cơ quan", "Tên đơn vị", "Đơn vị"];
const SHORT: &[&str] = &["Tên viết tắt", "Viết tắt"];
const ALIASES: &[&str] = &["Tên gọi khác", "Tên khác"];
const FORMER: &[&str] = &["Tên cũ"];
const BLOCK: &[&str] = &["Khối"];
const KIND: &[&str] = &["Cấp"];
const SUPERIOR: &[&str] = &["Cơ quan cấp trên", "Cấp trên"];
const PERSON: &[&str] = &["Họ và tên", "Họ tên"];
const HONORIFIC: &[&str] = &["Danh xưng"];
const TITLE: &[&str] = &["Chức vụ", "Chức danh"];
const ROLE: &[&str] = &["Vai trò"];
const EMAIL: &[&str] = &["Email", "E-mail", "Thư điện tử"];
const PHONE: &[&str] = &["Số điện thoại", "Điện thoại", "SĐT"];
const ZALO_ID: &[&str] = &["Zalo user id", "Zalo"];
const TAKES_ZALO: &[&str] = &["Nhận Zalo"];
const FROM: &[&str] = &["Hiệu lực từ", "Từ ngày"];
const TO: &[&str] = &["Hiệu lực đến", "Đến ngày"];
const STATUS: &[&str] = &["Trạng thái"];
const ALL: &[&[&str]] = &[
    CODE, IDENTIFIER, NAME, SHORT, ALIASES, FORMER, BLOCK, KIND, SUPERIOR, PERSON, HONORIFIC, TITLE, ROLE, EMAIL,
    PHONE, ZALO_ID, TAKES_ZALO, FROM, TO, STATUS,
];

fn known(header: &str) -> Option<&'static str> {
    let folded = fold(&clean_text(header));
    ALL.iter().find(|names| names.iter().any(|name| fold(name) == folded)).map(|names| names[0])
}

fn is_header(cells: &[Cell]) -> bool {
    let found: Vec<&str> = cells.iter().filter_map(|cell| known(&cell.text())).collect();
    found.contains(&NAME[0]) && (found.contains(&ROLE[0]) || found.contains(&PERSON[0]) || found.contains(&BLOCK[0]))
}

struct Cells<'a> {
    row: &'a Row,
    places: &'a HashMap<&'static str, usize>,
}

impl Cells<'_> {
    fn cell(&self, names: &[&'static str]) -> &Cell {
        static EMPTY: Cell = Cell::Empty;
        self.places.get(names[0]).and_then(|at| self.row.cells.get(*at)).unwrap_or(&EMPTY)
    }

    fn text(&self, names: &[&'static str]) -> String {
        clean_text(&self.cell(names).text())
    }

    fn list(&self, names: &[&'static str]) -> Vec<String> {
        let typed = self.cell(names).text();
        typed.split([';', '\n', '\r']).map(clean_text).filter(|name| !name.is_empty()).collect()
    }

    fn date(&self, names: &[&'static str], report: &mut Report) -> Option<Date> {
        read_date(self.cell(names)).unwrap_or_else(|_| {
            let message = format!("đọc được “{}”; ghi lại theo dạng ngày/tháng/năm", self.text(names));
            report.problem(self.row.number, names[0], "date_unreadable", message);
            None
        })
    }
}

/// Imports a directory file in one transaction.
pub async fn import_directory(
    path: &Path,
    store: &dyn IntakeStore,
    settings: &Settings,
    now: Timestamp,
    dry_run: bool,
) -> Result<Report, ImportError> {
    let today = now.to_zoned(settings.office.time_zone.clone()).date();
    let mut table = TableReader::open(path, &is_header)?;
    let mut places = HashMap::new();
    let mut unknown = Vec::new();
    for (at, header) in table.headers().iter().enumerate() {
        match known(header) {
            Some(name) => {
                if places.insert(name, at).is_some() {
                    return Err(ImportError::ColumnTwice(name));
                }
            }
            None if header.trim().is_empty() => {}
            None => unknown.push(header.clone()),
        }
    }
    let rows: Vec<Row> = (&mut table).collect::<Result<_, _>>()?;
    let mut report = Report { dry_run, notes: table.notes().to_vec(), ..Report::default() };
    if !unknown.is_empty() {
        report.notes.push(format!("Không đọc các cột: {}.", unknown.join("; ")));
    }
    let directory = store.directory().await?;
    let mut import = Merge::new(directory, today, &rows, &places);
    for row in &rows {
        let fate = import.row(&Cells { row, places: &places }, &mut report);
        report.count(fate);
    }
    import.missing(&mut report);
    let changes = import.changes();
    if !dry_run {
        store.write_directory(&changes).await?;
    }
    Ok(report)
}

/// The stored directory with the file's rows taken into it, and what that touched.
struct Merge {
    agencies: Vec<AgencyRow>,
    names: HashMap<AgencyId, Vec<AgencyName>>,
    people: Vec<PersonRow>,
    posts: Vec<PostRow>,
    touched: Touched,
    by_code: HashMap<String, usize>,
    by_name: HashMap<String, Vec<usize>>,
    by_email: HashMap<String, Vec<usize>>,
    /// Several people share an address in the file.
    shared_emails: HashMap<String, usize>,
    people_of: HashMap<(AgencyId, String), Vec<usize>>,
    /// Agencies of this file, by their place; the row that described each first.
    described: HashMap<usize, u32>,
    /// Posts that stand in the file.
    seen_posts: std::collections::HashSet<i64>,
    /// Heads in the file on the day of the import.
    heads: HashMap<AgencyId, (PersonId, Option<Date>)>,
    next: (i64, i64, i64),
    today: Date,
}

#[derive(Default)]
struct Touched {
    agencies: std::collections::BTreeSet<usize>,
    renamed: std::collections::BTreeSet<AgencyId>,
    people: std::collections::BTreeSet<usize>,
    posts: std::collections::BTreeSet<usize>,
}

impl Merge {
    fn new(directory: Directory, today: Date, rows: &[Row], places: &HashMap<&'static str, usize>) -> Self {
        let Directory { agencies, names, people, posts } = directory;
        let next = (
            agencies.iter().map(|a| a.id.0).max().unwrap_or(0) + 1,
            people.iter().map(|p| p.id.0).max().unwrap_or(0) + 1,
            posts.iter().map(|p| p.id).max().unwrap_or(0) + 1,
        );
        let mut emails: HashMap<String, std::collections::HashSet<String>> = HashMap::new();
        for row in rows {
            let cells = Cells { row, places };
            if let Some(email) = read_email(cells.cell(EMAIL)) {
                emails.entry(email.to_lowercase()).or_default().insert(fold(&cells.text(PERSON)));
            }
        }
        let mut merge = Self {
            names: HashMap::new(),
            touched: Touched::default(),
            by_code: HashMap::new(),
            by_name: HashMap::new(),
            by_email: HashMap::new(),
            shared_emails: emails.into_iter().map(|(email, names)| (email, names.len())).collect(),
            people_of: HashMap::new(),
            described: HashMap::new(),
            seen_posts: std::collections::HashSet::new(),
            heads: HashMap::new(),
            next,
            today,
            agencies: Vec::new(),
            people: Vec::new(),
            posts,
        };
        for name in names {
            merge.names.entry(name.agency).or_default().push(name);
        }
        for agency in agencies {
            merge.index_agency(&agency, merge.agencies.len());
            merge.agencies.push(agency);
        }
        for person in people {
            merge.index_person(&person, merge.people.len());
            merge.people.push(person);
        }
        let places: HashMap<PersonId, usize> = merge.people.iter().enumerate().map(|(at, p)| (p.id, at)).collect();
        for post in &merge.posts {
            if let Some(at) = places.get(&post.person) {
                let list = merge.people_of.entry((post.agency, merge.people[*at].folded.clone())).or_default();
                if !list.contains(at) {
                    list.push(*at);
                }
            }
        }
        merge
    }

    fn index_agency(&mut self, agency: &AgencyRow, at: usize) {
        if let Some(code) = &agency.code {
            self.by_code.insert(fold(code), at);
        }
        self.by_name.entry(fold(&agency.name)).or_default().push(at);
    }

    fn index_person(&mut self, person: &PersonRow, at: usize) {
        if !person.email.is_empty() {
            self.by_email.entry(person.email.to_lowercase()).or_default().push(at);
        }
    }

    fn row(&mut self, cells: &Cells<'_>, report: &mut Report) -> Fate {
        let number = cells.row.number;
        let name = cells.text(NAME);
        if name.is_empty() {
            report.problem(number, NAME[0], "agency_name_missing", "ô trống; ghi tên cơ quan rồi nhập lại");
            return Fate::Refused;
        }
        let block = match read_block(cells.cell(BLOCK)) {
            Ok(block) => block.unwrap_or(Block::State),
            Err(_) => {
                let message =
                    format!("đọc được “{}”; ghi Chính quyền, Đảng hoặc Doanh nghiệp nhà nước", cells.text(BLOCK));
                report.problem(number, BLOCK[0], "block_unknown", message);
                return Fate::Refused;
            }
        };
        let person = cells.text(PERSON);
        let role = if person.is_empty() { None } else { Some(read_role(&cells.text(ROLE))) };
        if role == Some(None) {
            let message = format!(
                "đọc được “{}”; ghi nguoi_dung_dau, cap_pho, chuyen_vien, dau_moi hoặc van_thu",
                cells.text(ROLE)
            );
            report.problem(number, ROLE[0], "role_unknown", message);
            return Fate::Refused;
        }
        let from = cells.date(FROM, report);
        let to = cells.date(TO, report);
        let (agency, mut fate) = self.agency(cells, name, block, to);
        if let Some(Some(role)) = role {
            let (person, of_person) = self.person(cells, person, agency, report);
            fate = worst(fate, of_person);
            fate = worst(fate, self.post(agency, person, role, cells.text(TITLE), from, to));
        }
        fate
    }

    fn agency(&mut self, cells: &Cells<'_>, name: String, block: Block, to: Option<Date>) -> (AgencyId, Fate) {
        let code = Some(cells.text(CODE)).filter(|code| !code.is_empty());
        let at = code.as_ref().and_then(|code| self.by_code.get(&fold(code)).copied()).or_else(|| {
            // By its name where one of the two has no code; a code of its own makes it another agency.
            let named = self.by_name.get(&fold(&name))?;
            named.iter().copied().find(|at| code.is_none() || self.agencies[*at].code.is_none())
        });
        if let Some(at) = at
            && self.described.contains_key(&at)
        {
            return (self.agencies[at].id, Fate::Unchanged);
        }
        let status_note = cells.text(STATUS);
        let person_row = !cells.text(PERSON).is_empty();
        // Without a person the dates are the agency's own; with one they are the post's.
        let ended = !person_row && to.is_some_and(|to| to < self.today);
        let active = !ended && !is_ended(&status_note);
        let id = at.map_or(AgencyId(self.next.0), |at| self.agencies[at].id);
        let agency = AgencyRow {
            id,
            code: code.or_else(|| at.and_then(|at| self.agencies[at].code.clone())),
            identifier: cells.text(IDENTIFIER),
            name,
            short_name: cells.text(SHORT),
            block,
            kind: cells.text(KIND),
            superior: cells.text(SUPERIOR),
            active,
            status_note: if active { String::new() } else { status_note },
        };
        let mut wanted: Vec<(NameKind, String)> = Vec::new();
        wanted.extend(agency.code.clone().map(|code| (NameKind::Code, code)));
        wanted.push((NameKind::Identifier, agency.identifier.clone()));
        wanted.push((NameKind::Name, agency.name.clone()));
        wanted.push((NameKind::Short, agency.short_name.clone()));
        wanted.extend(cells.list(ALIASES).into_iter().map(|name| (NameKind::Alias, name)));
        wanted.extend(cells.list(FORMER).into_iter().map(|name| (NameKind::Former, name)));
        let old = self.names.get(&id).cloned().unwrap_or_default();
        // A name once borne is kept as a former one.
        for name in &old {
            let is_former = name.kind == NameKind::Former || name.kind == NameKind::Name;
            if is_former && !wanted.iter().any(|(_, typed)| fold(typed) == name.folded) {
                wanted.push((NameKind::Former, name.typed.clone()));
            }
        }
        let mut names: Vec<AgencyName> = Vec::new();
        for (kind, typed) in wanted {
            let folded = fold(&typed);
            if !folded.is_empty() && !names.iter().any(|name| name.kind == kind && name.folded == folded) {
                names.push(AgencyName { agency: id, kind, folded, typed });
            }
        }
        let sorted = |names: &[AgencyName]| {
            let mut keys: Vec<(String, &str, String)> =
                names.iter().map(|n| (n.folded.clone(), n.kind.as_str(), n.typed.clone())).collect();
            keys.sort();
            keys
        };
        let renamed = sorted(&old) != sorted(&names);
        if renamed {
            self.touched.renamed.insert(id);
            self.names.insert(id, names);
        }
        let (at, fate) = match at {
            None => {
                let at = self.agencies.len();
                self.next.0 += 1;
                self.index_agency(&agency, at);
                self.agencies.push(agency);
                self.touched.agencies.insert(at);
                (at, Fate::Created)
            }
            Some(at) => {
                let differs = self.agencies[at] != agency;
                if differs {
                    self.index_agency(&agency, at);
                    self.agencies[at] = agency;
                    self.touched.agencies.insert(at);
                }
                (at, if differs || renamed { Fate::Updated } else { Fate::Unchanged })
            }
        };
        self.described.insert(at, cells.row.number);
        (id, fate)
    }

    fn person(&mut self, cells: &Cells<'_>, name: String, agency: AgencyId, report: &mut Report) -> (PersonId, Fate) {
        let folded = fold(&name);
        let email = read_email(cells.cell(EMAIL)).unwrap_or_default();
        let typed = cells.text(EMAIL);
        if email.is_empty() && !super::agencies::is_nothing(&typed) {
            let message = format!("đọc được “{typed}”; không phải địa chỉ thư");
            report.problem(cells.row.number, EMAIL[0], "email_unreadable", message);
        }
        let at = self.who(&folded, &email, agency);
        let takes_zalo = yes_no(cells.cell(TAKES_ZALO)).ok().flatten().unwrap_or(false);
        let phone = read_phone(cells.cell(PHONE)).unwrap_or_default();
        let typed_phone = cells.text(PHONE);
        if phone.is_empty() && !super::agencies::is_nothing(&typed_phone) {
            let message = format!("đọc được “{typed_phone}”; không phải số điện thoại");
            report.problem(cells.row.number, PHONE[0], "phone_unreadable", message);
        }
        let id = at.map_or(PersonId(self.next.1), |at| self.people[at].id);
        let person = PersonRow {
            id,
            name,
            folded: folded.clone(),
            honorific: cells.text(HONORIFIC),
            email,
            phone,
            zalo_user_id: cells.text(ZALO_ID),
            takes_zalo,
        };
        let (at, fate) = match at {
            None => {
                let at = self.people.len();
                self.next.1 += 1;
                self.index_person(&person, at);
                self.people.push(person);
                self.touched.people.insert(at);
                (at, Fate::Created)
            }
            Some(at) if self.people[at] != person => {
                self.index_person(&person, at);
                self.people[at] = person;
                self.touched.people.insert(at);
                (at, Fate::Updated)
            }
            Some(at) => (at, Fate::Unchanged),
        };
        let list = self.people_of.entry((agency, folded)).or_default();
        if !list.contains(&at) {
            list.push(at);
        }
        (id, fate)
    }

    /// By e-mail, else by name in the agency. An address that several people share tells nobody apart by itself.
    fn who(&self, folded: &str, email: &str, agency: AgencyId) -> Option<usize> {
        let email = email.to_lowercase();
        if let Some(found) = self.by_email.get(&email) {
            if let Some(at) = found.iter().find(|at| self.people[**at].folded == folded) {
                return Some(*at);
            }
            if let ([one], Some(1)) = (found.as_slice(), self.shared_emails.get(&email)) {
                // The person was renamed.
                return Some(*one);
            }
        }
        let named = self.people_of.get(&(agency, folded.to_owned()))?;
        let fits = |at: &&usize| {
            let theirs = self.people[**at].email.to_lowercase();
            // Two namesakes with addresses of their own are two people, unless the old address has left the file.
            email.is_empty() || theirs.is_empty() || theirs == email || !self.shared_emails.contains_key(&theirs)
        };
        let mut fitting = named.iter().filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Some(*one),
            _ => None,
        }
    }

    fn post(
        &mut self,
        agency: AgencyId,
        person: PersonId,
        role: PostRole,
        title: String,
        valid_from: Option<Date>,
        valid_to: Option<Date>,
    ) -> Fate {
        // A post that ended and begins again is another one.
        let same = |post: &PostRow| {
            (post.agency, post.person, post.role) == (agency, person, role)
                && (post.valid_from == valid_from || post.valid_to.is_none_or(|to| self.today <= to))
                && !self.seen_posts.contains(&post.id)
        };
        let at = self.posts.iter().position(same);
        let id = at.map_or(self.next.2, |at| self.posts[at].id);
        let post = PostRow { id, agency, person, role, title, valid_from, valid_to };
        self.seen_posts.insert(id);
        if role == PostRole::Head && post.valid_to.is_none_or(|to| self.today <= to) {
            self.heads.insert(agency, (person, valid_from));
        }
        match at {
            None => {
                self.next.2 += 1;
                self.touched.posts.insert(self.posts.len());
                self.posts.push(post);
                Fate::Created
            }
            Some(at) if self.posts[at] != post => {
                self.posts[at] = post;
                self.touched.posts.insert(at);
                Fate::Updated
            }
            Some(_) => Fate::Unchanged,
        }
    }

    /// A head who is not the file's head any more leaves the post; others who are missing are only noted.
    fn missing(&mut self, report: &mut Report) {
        let mut absent = Vec::new();
        for at in 0..self.posts.len() {
            let post = &self.posts[at];
            let in_file = self.described.keys().any(|place| self.agencies[*place].id == post.agency);
            if !in_file || self.seen_posts.contains(&post.id) || post.valid_to.is_some() {
                continue;
            }
            let person = self.people.iter().find(|person| person.id == post.person).map(|person| person.name.clone());
            match self.heads.get(&post.agency) {
                Some((head, from)) if post.role == PostRole::Head && *head != post.person => {
                    let start = from.filter(|from| post.valid_from.is_none_or(|old| old < *from)).unwrap_or(self.today);
                    self.posts[at].valid_to = start.yesterday().ok().or(Some(start));
                    self.touched.posts.insert(at);
                    report.notes.push(format!(
                        "{} thôi giữ chức người đứng đầu từ {}.",
                        person.unwrap_or_default(),
                        start.strftime("%d/%m/%Y")
                    ));
                }
                _ => absent.extend(person),
            }
        }
        if !absent.is_empty() {
            let n = absent.len();
            absent.truncate(10);
            report.notes.push(format!(
                "{n} người đang giữ chức vụ không có trong tệp, được giữ nguyên: {}{}.",
                absent.join("; "),
                if n > 10 { "; …" } else { "" }
            ));
        }
    }

    fn changes(self) -> DirectoryChanges {
        let names = self.names;
        DirectoryChanges {
            agencies: self.touched.agencies.iter().map(|at| self.agencies[*at].clone()).collect(),
            names: self.touched.renamed.iter().flat_map(|id| names.get(id).cloned().unwrap_or_default()).collect(),
            renamed: self.touched.renamed.into_iter().collect(),
            people: self.touched.people.iter().map(|at| self.people[*at].clone()).collect(),
            posts: self.touched.posts.iter().map(|at| self.posts[*at].clone()).collect(),
        }
    }
}

/// The fate that says more: something new, else something changed.
fn worst(a: Fate, b: Fate) -> Fate {
    let rank = |fate: Fate| match fate {
        Fate::Created => 2,
        Fate::Updated => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

fn is_ended(status: &str) -> bool {
    let folded = fold(status);
    ["kết thúc", "giải thể", "ngừng hoạt động", "đã sáp nhập", "không còn hoạt động", "chấm dứt"]
        .iter()
        .any(|word| folded.contains(&fold(word)))
}

fn read_role(typed: &str) -> Option<PostRole> {
    let folded = fold(typed);
    let is = |words: &[&str]| words.iter().any(|word| fold(word) == folded);
    Some(match () {
        () if is(&["nguoi_dung_dau", "người đứng đầu", "head"]) => PostRole::Head,
        () if is(&["cap_pho", "cấp phó", "deputy"]) => PostRole::Deputy,
        () if is(&["chuyen_vien", "chuyên viên", "handler"]) => PostRole::Handler,
        () if is(&["dau_moi", "đầu mối", "contact"]) => PostRole::Contact,
        () if is(&["van_thu", "văn thư", "registry"]) => PostRole::Registry,
        () => return None,
    })
}
