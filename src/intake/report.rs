//! What an import did, for the clerk who started it and for scripts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::intake::Fate;

/// Something a person should look at. Never carries a typed value of a classified row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The row as counted in the file, from 1; 0: the whole file.
    pub row: u32,
    /// The column's usual header.
    pub column: String,
    /// A stable word.
    pub code: &'static str,
    /// What was read and how to mend it, in Vietnamese.
    pub message: String,
}

/// The answer of an import; the JSON of `--format json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub rows: u64,
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub held: u64,
    pub refused: u64,
    /// Classified rows, counted above as well.
    pub secret: u64,
    pub problems: Vec<Problem>,
    /// Nothing was written: `--dry-run`, or the answer to the question was no.
    pub dry_run: bool,
    /// How the file was read: sheet, separator, header row, columns left out.
    pub notes: Vec<String>,
    /// Messages that leave at once, as estimated before writing; `null` when it was not.
    pub messages_at_once: Option<u64>,
}

impl Report {
    /// Counts a row.
    pub fn count(&mut self, fate: Fate) {
        self.rows += 1;
        match fate {
            Fate::Created => self.created += 1,
            Fate::Updated => self.updated += 1,
            Fate::Unchanged => self.unchanged += 1,
            Fate::Held => self.held += 1,
            Fate::Refused => self.refused += 1,
        }
    }

    /// Takes back what was counted, keeping what was found in reading.
    pub fn reset_counts(&mut self) {
        (self.rows, self.created, self.updated, self.unchanged, self.held, self.refused) = (0, 0, 0, 0, 0, 0);
    }

    pub fn problem(&mut self, row: u32, column: &str, code: &'static str, message: impl Into<String>) {
        self.problems.push(Problem { row, column: column.to_owned(), code, message: message.into() });
    }

    /// 0, or 3 when something was held or refused.
    pub fn exit_code(&self) -> u8 {
        if self.held + self.refused > 0 { 3 } else { 0 }
    }

    /// One JSON object, in one line.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is plain text and numbers")
    }

    /// For the clerk: a short table, then the problems by kind.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if self.dry_run {
            out.push_str("Chạy thử: chưa ghi gì.\n");
        }
        for (label, n) in [
            ("Tổng số dòng", self.rows),
            ("Thêm mới", self.created),
            ("Cập nhật", self.updated),
            ("Không thay đổi", self.unchanged),
            ("Giữ lại, chờ xử lý", self.held),
            ("Từ chối, không lưu", self.refused),
        ] {
            out.push_str(&format!("{label:<20}{n:>8}\n"));
        }
        if self.secret > 0 {
            out.push_str(&format!("Trong đó {} dòng mật: nội dung đã bỏ, không lưu.\n", self.secret));
        }
        if let Some(n) = self.messages_at_once.filter(|n| *n > 0) {
            out.push_str(&format!("Số tin nhắc việc sẽ gửi ngay: {n}.\n"));
        }
        for note in &self.notes {
            out.push_str(&format!("- {note}\n"));
        }
        let mut kinds: BTreeMap<(u8, &str), Vec<&Problem>> = BTreeMap::new();
        for problem in &self.problems {
            kinds.entry((weight(problem.code), problem.code)).or_default().push(problem);
        }
        for ((_, code), problems) in kinds {
            out.push_str(&format!("\n{} ({}):\n", title(code), problems.len()));
            for problem in problems {
                let place = if problem.row == 0 { String::new() } else { format!("dòng {}, ", problem.row) };
                out.push_str(&format!("  {place}cột {}: {}\n", problem.column, problem.message));
            }
        }
        out
    }
}

/// Held and refused rows first.
fn weight(code: &str) -> u8 {
    match code {
        "nothing_to_identify" | "code_missing" | "agency_name_missing" | "role_unknown" | "block_unknown" => 0,
        _ if crate::store::intake::HELD_CODES.contains(&code) => 1,
        _ => 2,
    }
}

fn title(code: &str) -> &str {
    match code {
        "lead_missing" => "GIỮ LẠI: thiếu cơ quan chủ trì",
        "lead_two" => "GIỮ LẠI: nhiều hơn một cơ quan chủ trì",
        "deadline_unreadable" => "GIỮ LẠI: không đọc được thời hạn",
        "agency_unknown" => "GIỮ LẠI: cơ quan không có trong danh mục",
        "agency_ambiguous" => "GIỮ LẠI: tên chỉ nhiều cơ quan",
        "agency_ended" => "GIỮ LẠI: cơ quan đã kết thúc hoạt động",
        "code_reused" => "GIỮ LẠI: mã đã dùng cho nhiệm vụ khác",
        "duplicate_work" => "GIỮ LẠI: một việc có hai mã",
        "nothing_to_identify" => "TỪ CHỐI: không có gì để nhận biết nhiệm vụ",
        "code_missing" => "Thiếu mã nhiệm vụ",
        "agency_name_missing" => "TỪ CHỐI: thiếu tên cơ quan",
        "role_unknown" => "TỪ CHỐI: không rõ vai trò",
        "block_unknown" => "TỪ CHỐI: không rõ khối",
        "done_without_date" => "Hoàn thành nhưng thiếu ngày",
        "state_backwards" => "Trạng thái lùi, không nhận",
        "state_conflict" => "Trạng thái và ngày hoàn thành không khớp",
        "state_unreadable" => "Không đọc được trạng thái",
        "urgency_unreadable" => "Không đọc được độ khẩn",
        "date_unreadable" => "Không đọc được ngày",
        "date_inferred" => "Ngày được suy ra, đề nghị xem lại",
        "report_unreadable" => "Không đọc được thời hạn báo cáo",
        "person_unknown" => "Người không có trong danh mục",
        "person_ambiguous" => "Nhiều người trùng tên",
        "coordinator_collective" => "Phối hợp ghi chung chung",
        "secrecy_lowered" => "Độ mật không hạ bằng cách nhập tệp",
        "classified_now" => "Nhiệm vụ trước đây lưu là không mật",
        "row_repeated" => "Dòng lặp lại nguyên vẹn",
        "email_unreadable" => "Không đọc được địa chỉ thư",
        "count_unreadable" => "Không đọc được số lần",
        other => other,
    }
}
