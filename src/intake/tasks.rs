//! A row of a task file, interpreted: columns found by their headers, dates and names read, and every fault listed.
//!
//! It looks at cells only through the classification gate ([`Gated`]) and writes nothing. Texts that many rows share
//! are kept once.

mod identity;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, LazyLock},
};

use jiff::{Timestamp, civil::Date};

use super::{
    agencies::{Agencies, Match, is_nothing},
    cells::{clean_text, count, read_email, read_phone, read_state, read_urgency},
    columns::{BODY, Column, Columns, DOCUMENT},
    dates::{DeadlineReading, How, read_date, read_deadline},
    people::People,
    report::Problem,
    secrecy::{Gated, Keyed},
    table::{Cell, Row},
};
use crate::{
    planning::{
        fold::fold,
        task::{AgencyId, Block, Deadline, PersonId, TaskState, Urgency},
    },
    store::intake::{Directory, DocumentRow, Hidden, NewPerson, TaskColumns, TaskRow, Text},
};

/// Keeps each text once.
#[derive(Default)]
struct Texts(HashSet<Text>);

impl Texts {
    fn keep(&mut self, text: String) -> Text {
        if let Some(kept) = self.0.get(text.as_str()) {
            return kept.clone();
        }
        let kept: Text = text.into();
        self.0.insert(kept.clone());
        kept
    }
}

/// Reads a task file row by row; keeps what rows have in common.
pub struct Interpreter<'a> {
    columns: &'a Columns,
    agencies: &'a Agencies,
    people: People,
    keyed: &'a Keyed,
    today: Date,
    texts: Texts,
    documents: HashSet<Arc<DocumentRow>>,
    /// The document of the rows above, for merged cells.
    above: Option<(Option<Arc<DocumentRow>>, Text, Block)>,
    /// Digest of the code -> row and its digest, of this file. Numbers, because a large file has many.
    codes: HashMap<u128, (u32, u128)>,
    fingerprints: HashMap<u128, u32>,
    spare: HashMap<String, u32>,
    /// Handlers that are not in the directory.
    pub new_people: Vec<NewPerson>,
    new_index: HashMap<NewPerson, usize>,
    /// What was found, row by row.
    pub problems: Vec<Problem>,
    pub merged: u64,
    /// Rows below the table that are no tasks.
    pub footers: Vec<u32>,
    pub secret: u64,
}

/// What a row came to.
pub enum Reading {
    Task(Box<TaskRow>),
    /// The same row again, cell for cell.
    Repeated,
    Refused,
    /// No row of the table.
    Footer,
}

impl<'a> Interpreter<'a> {
    pub fn new(
        columns: &'a Columns,
        agencies: &'a Agencies,
        directory: &Directory,
        monitors: &[AgencyId],
        keyed: &'a Keyed,
        today: Date,
    ) -> Self {
        Self {
            columns,
            agencies,
            people: People::new(directory, monitors, today),
            keyed,
            today,
            texts: Texts::default(),
            documents: HashSet::new(),
            above: None,
            codes: HashMap::new(),
            fingerprints: HashMap::new(),
            spare: HashMap::new(),
            new_people: Vec::new(),
            new_index: HashMap::new(),
            problems: Vec::new(),
            merged: 0,
            footers: Vec::new(),
            secret: 0,
        }
    }

    fn problem(&mut self, row: &Gated<'_>, column: Column, code: &'static str, message: String) {
        let column = column.headers()[0].to_owned();
        self.problems.push(Problem { row: row.number(), column, code, message });
    }

    fn text(&mut self, row: &Gated<'_>, column: Column) -> Text {
        self.texts.keep(clean_text(&row.cell(column).text()))
    }

    fn date(&mut self, row: &Gated<'_>, column: Column) -> Option<Date> {
        match read_date(row.cell(column)) {
            Ok(date) => date,
            Err(_) => {
                let shown = row.shown(&row.cell(column).text());
                self.problem(
                    row,
                    column,
                    "date_unreadable",
                    format!("đọc được {shown}; ghi lại theo dạng ngày/tháng/năm"),
                );
                None
            }
        }
    }

    fn number(&mut self, row: &Gated<'_>, column: Column) -> u32 {
        match count(row.cell(column)) {
            Ok(n) => n,
            Err(_) => {
                let shown = row.shown(&row.cell(column).text());
                self.problem(row, column, "count_unreadable", format!("đọc được {shown}; ghi lại bằng một số"));
                0
            }
        }
    }

    /// Interprets a row.
    pub fn read(&mut self, row: &Row) -> Reading {
        let gated = Gated::new(row, self.columns);
        let row = &gated;
        if row.is_blank(BODY) && !starts_with_number(row.cell(Column::Number)) {
            self.footers.push(row.number());
            return Reading::Footer;
        }
        if row.is_classified() {
            self.secret += 1;
        }
        let typed_code = clean_text(&row.cell(Column::Code).text());
        let mut held = "";
        let mut hold = |code: &'static str| {
            if held.is_empty() {
                held = code;
            }
        };

        let (document, assigner, assigner_block) = self.document(row);
        let work = self.text(row, Column::Work);
        let lead = self.lead(row, &mut hold);
        let coordinators = self.coordinators(row, lead, &mut hold);

        let assigned_on = self.date(row, Column::AssignedOn);
        let due = read_deadline(row.cell(Column::Due), assigned_on);
        if due.how == How::Unreadable {
            hold("deadline_unreadable");
            let shown = row.shown(&row.cell(Column::Due).text());
            let message =
                format!("đọc được {shown}; ghi lại theo dạng ngày/tháng/năm, hoặc để trống nếu không có thời hạn");
            self.problem(row, Column::Due, "deadline_unreadable", message);
        }
        let report = read_deadline(row.cell(Column::ReportDue), assigned_on);
        if report.how == How::Unreadable {
            let shown = row.shown(&row.cell(Column::ReportDue).text());
            let message = format!("đọc được {shown}; chưa nhắc báo cáo cho đến khi ghi lại theo dạng ngày/tháng/năm");
            self.problem(row, Column::ReportDue, "report_unreadable", message);
        }
        for (column, reading) in [(Column::Due, &due), (Column::ReportDue, &report)] {
            if let Some(note) = &reading.note {
                let message = if row.is_classified() {
                    "đề nghị xem lại ngày đã đọc".to_owned()
                } else {
                    note.clone()
                };
                self.problem(row, column, "date_inferred", message);
            }
        }
        let urgency = read_urgency(row.cell(Column::Urgency)).unwrap_or_else(|_| {
            let shown = row.shown(&row.cell(Column::Urgency).text());
            self.problem(row, Column::Urgency, "urgency_unreadable", format!("đọc được {shown}; tạm coi là thường"));
            Urgency::Normal
        });
        let (state, state_given, completed_on) = self.state(row);
        let handler = self.handler(row, lead);
        let monitor = self.monitor(row);

        let typed = |reading: &DeadlineReading, column: Column, texts: &mut Texts| {
            if row.is_classified() || reading.how == How::Date && matches!(row.cell(column), Cell::Date(_)) {
                texts.keep(String::new())
            } else {
                texts.keep(clean_text(&row.cell(column).text()))
            }
        };
        let due_typed = typed(&due, Column::Due, &mut self.texts);
        let report_typed = typed(&report, Column::ReportDue, &mut self.texts);
        let deadline = |reading: &DeadlineReading| reading.date.map(|date| Deadline { date, time: reading.time });

        let mut columns = TaskColumns {
            code: String::new(),
            work,
            field: self.text(row, Column::Field),
            priority: self.text(row, Column::Priority),
            assigner,
            assigner_block,
            urgency,
            secrecy: row.secrecy,
            state,
            state_since: Timestamp::UNIX_EPOCH,
            completed_on,
            result: self.text(row, Column::Result),
            note: self.text(row, Column::Note),
            assigned_on,
            lead,
            handler: handler.and_then(Result::ok),
            monitor,
            due_typed,
            due_reading: self.texts.keep(due.how.as_str().to_owned()),
            original_due: self.date(row, Column::OriginalDue),
            report_typed,
            report_reading: self.texts.keep(report.how.as_str().to_owned()),
            report_cycle: self.text(row, Column::ReportCycle),
            extensions: self.number(row, Column::Extensions),
            imported_urgings: self.number(row, Column::Urgings),
            last_update: self.date(row, Column::LastUpdate),
            held: "",
            fingerprint: String::new(),
            row_digest: String::new(),
            known_at: Timestamp::UNIX_EPOCH,
            next_look_at: None,
        };
        columns.fingerprint = self.fingerprint(row, &columns, document.as_deref());
        let classified_code =
            if typed_code.is_empty() { String::new() } else { self.keyed.classified_code(&typed_code) };
        let own_code = if row.is_classified() { classified_code.clone() } else { typed_code.clone() };
        columns.code = match (own_code.is_empty(), columns.fingerprint.is_empty()) {
            (false, _) => own_code,
            (true, false) => {
                let code = format!("KM-{}", columns.fingerprint[..8].to_uppercase());
                let message = format!("nhiệm vụ không có mã; đã lưu với mã {code}, đề nghị ghi mã vào tệp");
                self.problem(row, Column::Code, "code_missing", message);
                code
            }
            (true, true) => {
                let message = "dòng không có mã và không có nội dung để nhận biết; ghi mã nhiệm vụ rồi nhập lại";
                self.problem(row, Column::Code, "nothing_to_identify", message.to_owned());
                return Reading::Refused;
            }
        };
        columns.held = held;
        let new_handler = handler.and_then(Result::err);
        let mut task = TaskRow {
            row: row.number(),
            columns,
            state_given,
            document,
            coordinators,
            due: deadline(&due),
            report: deadline(&report),
            new_handler,
            typed_code: Hidden(if row.is_classified() { typed_code } else { String::new() }),
            classified_code,
        };
        self.digest(row, &mut task);
        if let Some(reading) = self.repeated(row, &mut task) {
            return reading;
        }
        Reading::Task(Box::new(task))
    }

    fn document(&mut self, row: &Gated<'_>) -> (Option<Arc<DocumentRow>>, Text, Block) {
        let blank = row.is_blank(DOCUMENT);
        if blank && self.above.is_none() {
            return (None, self.texts.keep(String::new()), Block::State);
        }
        if row.is_classified() {
            // The rows below must not inherit a classified document, nor this one a neighbour's.
            let block = if blank {
                self.above.as_ref().map_or(Block::State, |above| above.2)
            } else {
                block_of(&[&row.cell(Column::Assigner).text()])
            };
            if !blank {
                self.above = None;
            }
            return (None, self.texts.keep(String::new()), block);
        }
        if blank && let Some(above) = &self.above {
            self.merged += 1;
            return above.clone();
        }
        let number = clean_text(&row.cell(Column::DocumentNumber).text());
        let issuer = clean_text(&row.cell(Column::Issuer).text());
        let assigner = self.text(row, Column::Assigner);
        let block = block_of(&[&assigner, &issuer]);
        let date = self.date(row, Column::DocumentDate);
        let document = if number.is_empty() {
            None
        } else {
            let year = date.or_else(|| read_date(row.cell(Column::AssignedOn)).ok().flatten()).map_or(0, Date::year);
            let document = DocumentRow {
                symbol_folded: fold(&number).replace(' ', ""),
                number,
                issuer_folded: fold(&issuer),
                issuer,
                year,
                date,
                kind: clean_text(&row.cell(Column::DocumentKind).text()),
                signer: clean_text(&row.cell(Column::Signer).text()),
                summary: clean_text(&row.cell(Column::Summary).text()),
            };
            Some(match self.documents.get(&document) {
                Some(kept) => kept.clone(),
                None => {
                    let kept = Arc::new(document);
                    self.documents.insert(kept.clone());
                    kept
                }
            })
        };
        self.above = Some((document.clone(), assigner.clone(), block));
        (document, assigner, block)
    }

    fn lead(&mut self, row: &Gated<'_>, hold: &mut impl FnMut(&'static str)) -> Option<AgencyId> {
        let typed = row.cell(Column::Lead).text();
        if is_nothing(&typed) {
            hold("lead_missing");
            let message = "ô trống; ghi đúng một cơ quan chủ trì rồi nhập lại".to_owned();
            self.problem(row, Column::Lead, "lead_missing", message);
            return None;
        }
        let several = self.agencies.find_several(&typed);
        let shown = row.shown(&typed);
        match (several.found.as_slice(), several.faulty.as_slice(), several.collective.as_slice()) {
            ([one], [], []) => return Some(*one),
            ([], [(_, fault)], []) => {
                let code = self.faulty(row, Column::Lead, &shown, fault);
                hold(code);
            }
            ([], [], _) => {
                hold("agency_unknown");
                let message = format!("đọc được {shown}, không chỉ cơ quan nào; ghi đúng một cơ quan chủ trì");
                self.problem(row, Column::Lead, "agency_unknown", message);
            }
            ([], ..) => {
                hold("agency_unknown");
                self.faulty(row, Column::Lead, &shown, &Match::Unknown);
            }
            _ => {
                hold("lead_two");
                let message = format!(
                    "đọc được {shown}; chỉ một cơ quan chủ trì, các cơ quan khác ghi ở cột Cơ quan phối hợp rồi nhập lại"
                );
                self.problem(row, Column::Lead, "lead_two", message);
            }
        }
        None
    }

    fn faulty(&mut self, row: &Gated<'_>, column: Column, shown: &str, fault: &Match) -> &'static str {
        let (code, why) = match fault {
            Match::Ambiguous(names) => {
                let names = if row.is_classified() { String::new() } else { format!(" ({})", names.join("; ")) };
                ("agency_ambiguous", format!("tên này chỉ nhiều cơ quan{names}; ghi tên đầy đủ hoặc mã"))
            }
            Match::Ended => (
                "agency_ended",
                "cơ quan này đã kết thúc hoạt động, không có một cơ quan kế thừa duy nhất; ghi cơ quan đang làm việc này".into(),
            ),
            _ => ("agency_unknown", "không có trong danh mục cơ quan; sửa tên, hoặc thêm tên gọi khác vào danh mục".into()),
        };
        self.problem(row, column, code, format!("đọc được {shown}: {why}"));
        code
    }

    fn coordinators(
        &mut self,
        row: &Gated<'_>,
        lead: Option<AgencyId>,
        hold: &mut impl FnMut(&'static str),
    ) -> Vec<AgencyId> {
        let mut several = self.agencies.find_several(&row.cell(Column::Coordinators).text());
        for name in &several.collective {
            let message = format!("đọc được {}; không nhắc ai, nếu cần thì ghi rõ tên từng cơ quan", row.shown(name));
            self.problem(row, Column::Coordinators, "coordinator_collective", message);
        }
        for (name, fault) in &several.faulty {
            let shown = row.shown(name);
            let code = self.faulty(row, Column::Coordinators, &shown, fault);
            hold(code);
        }
        several.found.retain(|agency| Some(*agency) != lead);
        several.found.sort_unstable();
        several.found
    }

    /// State, whether the file gave one, and the day of completion.
    fn state(&mut self, row: &Gated<'_>) -> (TaskState, bool, Option<Date>) {
        let completed = self.date(row, Column::CompletedOn);
        let (state, given) = match read_state(row.cell(Column::State)) {
            Ok(Some(state)) => (state, true),
            Ok(None) => (TaskState::NotStarted, false),
            Err(_) => {
                let shown = row.shown(&row.cell(Column::State).text());
                let message = format!("đọc được {shown}; giữ trạng thái đang có, nhiệm vụ mới coi là chưa thực hiện");
                self.problem(row, Column::State, "state_unreadable", message);
                (TaskState::NotStarted, false)
            }
        };
        match (state, completed) {
            (TaskState::Done, None) => {
                let message = "đã ngừng nhắc; ghi ngày hoàn thành để tính đúng hạn hay quá hạn".to_owned();
                self.problem(row, Column::CompletedOn, "done_without_date", message);
                (state, given, None)
            }
            (state, Some(day)) if state.is_open() && day <= self.today => {
                let message =
                    "có ngày hoàn thành nhưng trạng thái chưa hoàn thành; lấy là hoàn thành, đề nghị sửa trạng thái"
                        .to_owned();
                self.problem(row, Column::State, "state_conflict", message);
                (TaskState::Done, true, Some(day))
            }
            (state, Some(_)) if state.is_open() => {
                let message =
                    "ngày hoàn thành ở tương lai nhưng trạng thái chưa hoàn thành; bỏ qua ngày này".to_owned();
                self.problem(row, Column::CompletedOn, "state_conflict", message);
                (state, given, None)
            }
            (state, completed) => (state, given, completed),
        }
    }

    /// A person of the directory, or the place of one to be created.
    fn handler(&mut self, row: &Gated<'_>, lead: Option<AgencyId>) -> Option<Result<PersonId, usize>> {
        let name = clean_text(&row.cell(Column::Handler).text());
        let email = read_email(row.cell(Column::HandlerEmail)).unwrap_or_default();
        let typed_email = clean_text(&row.cell(Column::HandlerEmail).text());
        if email.is_empty() && !is_nothing(&typed_email) {
            let shown = row.shown(&typed_email);
            let message = format!("đọc được {shown}; không phải địa chỉ thư, dùng địa chỉ trong danh mục nếu có");
            self.problem(row, Column::HandlerEmail, "email_unreadable", message);
        }
        if is_nothing(&name) && email.is_empty() {
            return None;
        }
        match self.people.find(&name, &email, lead) {
            Ok(Some(person)) => return Some(Ok(person)),
            Ok(None) => {}
            Err(()) => {
                let message =
                    format!("{}: nhiều người trùng tên trong cơ quan chủ trì; ghi địa chỉ thư", row.shown(&name));
                self.problem(row, Column::Handler, "person_ambiguous", message);
                return None;
            }
        }
        // A classified row names only people who are known: what was typed there goes nowhere.
        if row.is_classified() || is_nothing(&name) {
            let message = format!("{} không có trong danh mục của cơ quan chủ trì", row.shown(&name));
            self.problem(row, Column::Handler, "person_unknown", message);
            return None;
        }
        let phone = read_phone(row.cell(Column::HandlerPhone)).unwrap_or_default();
        let person = NewPerson { name, email, phone, agency: lead? };
        let next = self.new_people.len();
        let at = *self.new_index.entry(person.clone()).or_insert(next);
        if at == next {
            self.new_people.push(person);
        }
        Some(Err(at))
    }

    fn monitor(&mut self, row: &Gated<'_>) -> Option<PersonId> {
        let name = clean_text(&row.cell(Column::Monitor).text());
        if is_nothing(&name) {
            return None;
        }
        match self.people.monitor(&name) {
            Ok(Some(person)) => Some(person),
            other => {
                let (code, why) = match other {
                    Err(()) => ("person_ambiguous", "nhiều người trùng tên ở văn phòng theo dõi"),
                    _ => ("person_unknown", "không có trong danh mục của văn phòng theo dõi"),
                };
                self.problem(row, Column::Monitor, code, format!("{}: {why}", row.shown(&name)));
                None
            }
        }
    }
}

fn starts_with_number(cell: &Cell) -> bool {
    cell.text().trim_start_matches(|c: char| !c.is_alphanumeric()).starts_with(|c: char| c.is_ascii_digit())
}

/// The block behind an assigner: the party's committees, else the state's.
fn block_of(names: &[&str]) -> Block {
    const PARTY: &[&str] = &[
        "thành ủy",
        "tỉnh ủy",
        "đảng ủy",
        "huyện ủy",
        "quận ủy",
        "ban thường vụ",
        "ban chấp hành",
        "trung ương đảng",
        "bộ chính trị",
        "ban bí thư",
    ];
    static FOLDED: LazyLock<Vec<String>> = LazyLock::new(|| PARTY.iter().map(|word| fold(word)).collect());
    let is_party = |name: &&str| {
        let folded = fold(name);
        FOLDED.iter().any(|word| folded.contains(word))
    };
    if names.iter().any(is_party) { Block::Party } else { Block::State }
}
