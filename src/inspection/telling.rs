//! A notice in plain text, for a terminal or a pipe. The printable form is the message module's.

use std::fmt::Write;

use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::notice::Withdrawal;
use crate::{
    message::{
        facts::{NoticeFacts, NoticeSeal},
        words,
    },
    planning::task::{Clock, Role, Secrecy, TaskState},
    store::register::FileRow,
};

/// The whole notice; lines without content are left out.
pub fn plain(
    facts: &NoticeFacts,
    seal: &NoticeSeal,
    withdrawal: Option<&Withdrawal>,
    files: &[FileRow],
    zone: &TimeZone,
) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{label}: {value}");
        }
    };
    line("Phiếu báo nhiệm vụ quá hạn số", facts.number.clone());
    if let Some(withdrawn) = withdrawal {
        let at = withdrawn.at.to_zoned(zone.clone()).datetime();
        line("ĐÃ RÚT", joined([instant(at), and("lý do: ", &withdrawn.reason), and("văn bản: ", &withdrawn.document)]));
        line("Người rút", withdrawn.by.clone());
    }
    line("Đơn vị lập", facts.office.clone());
    line("Gửi", facts.inspection.clone());
    line("Nhiệm vụ", facts.task.clone());
    if facts.secrecy.is_classified() {
        line("Độ mật", format!("{}; nội dung không lưu trong hệ thống", secrecy(facts.secrecy)));
    }
    let role = match facts.role {
        Role::Lead => "Cơ quan chủ trì",
        Role::Coordinator => "Cơ quan phối hợp",
    };
    line(role, joined([facts.agency.clone(), and("mã ", &facts.agency_code)]));
    line("Người đứng đầu", joined([facts.head.name.clone(), facts.head.title.clone()]));
    let document = &facts.document;
    let dated = document.date.map(day).unwrap_or_default();
    let paper = [document.kind.as_str(), &document.number].into_iter().filter(|part| !part.is_empty());
    line(
        "Văn bản giao",
        joined([
            paper.collect::<Vec<_>>().join(" "),
            and("ngày ", &dated),
            document.issuer.clone(),
            and("người ký: ", &document.signer),
        ]),
    );
    line("Trích yếu", document.subject.clone());
    line("Nội dung", facts.work.clone());
    line("Cấp giao", facts.assigner.clone());
    let clock = match facts.clock {
        Clock::Completion => "Thời hạn hoàn thành",
        Clock::Report => "Thời hạn báo cáo",
    };
    let hour = facts.deadline_time.map(|time| time.strftime("%H giờ %M").to_string()).unwrap_or_default();
    let rolled = if facts.effective == facts.deadline { String::new() } else { day(facts.effective) };
    line(clock, joined([day(facts.deadline), hour, and("tính đến hết ", &rolled), facts.deadline_basis.clone()]));
    if facts.original_deadline.is_some_and(|first| first != facts.deadline) {
        line("Thời hạn ban đầu", facts.original_deadline.map(day).unwrap_or_default());
    }
    for change in &facts.extensions {
        let date = |date: Option<Date>| date.map_or_else(|| "không thời hạn".into(), day);
        let paper = if change.paper.is_empty() { "không có văn bản" } else { &change.paper };
        line(
            "Thay đổi thời hạn",
            joined([
                format!("từ {} thành {}", date(change.from), date(change.to)),
                paper.into(),
                and("ngày ", &change.decided_on.map(day).unwrap_or_default()),
                and("người duyệt: ", &change.approver),
            ]),
        );
    }
    line("Quá hạn", format!("{} ngày, {} ngày làm việc", facts.days_overdue, facts.working_days_overdue));
    line("Ngày nghỉ trong thời gian đó", facts.calendar_notes.join("; "));
    if facts.imported_urgings > 0 {
        line("Đôn đốc trước khi nhập vào hệ thống", format!("{} lần", facts.imported_urgings));
    }
    for urging in &facts.urgings {
        line(
            &format!("Đôn đốc lần {}", urging.n),
            joined([
                instant(urging.at),
                form(&urging.form).into(),
                urging.recipients.iter().map(|word| words::audience(word, facts.role)).collect::<Vec<_>>().join(", "),
                urging.outcome.clone(),
            ]),
        );
    }
    line("Ý kiến giải trình", or(&facts.explanation, "chưa có").into());
    line("Trạng thái", state(&facts.state).into());
    line("Cập nhật gần nhất", facts.last_update.map_or_else(|| "chưa có".into(), day));
    line("Hạn báo cáo", facts.report_deadline.map(day).unwrap_or_default());
    if facts.agency_overdue > 0 {
        line("Số nhiệm vụ quá hạn của đơn vị", facts.agency_overdue.to_string());
    }
    line(
        "Căn cứ lập",
        joined([
            format!("quy tắc {}, bước {}, lần {}", facts.rule, facts.step, facts.occurrence),
            facts.rule_basis.clone().unwrap_or_default(),
        ]),
    );
    line("Đến bước", instant(facts.due_at));
    line("Lập lúc", joined([instant(facts.filed_at), facts.drawn_up_by.clone()]));
    line("Mục sổ", format!("{}, mã băm {}", seal.seq, seal.hash));
    line("Mục trước", seal.prev.clone());
    for file in files {
        line("Tệp", joined([file.path.clone(), if file.written { String::new() } else { "chưa ghi".into() }]));
    }
    text
}

fn joined<const N: usize>(parts: [String; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn and(label: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{label}{value}") }
}

fn or<'a>(value: &'a str, otherwise: &'a str) -> &'a str {
    if value.is_empty() { otherwise } else { value }
}

fn day(date: Date) -> String {
    date.strftime("%d/%m/%Y").to_string()
}

/// `08:00:02 ngày 25/11/2026`
pub fn instant(at: DateTime) -> String {
    at.strftime("%H:%M:%S ngày %d/%m/%Y").to_string()
}

fn secrecy(level: Secrecy) -> &'static str {
    match level {
        Secrecy::Open => "không mật",
        Secrecy::Confidential => "mật",
        Secrecy::Secret => "tối mật",
        Secrecy::TopSecret => "tuyệt mật",
    }
}

/// A state's stable word in Vietnamese; any other text as it is.
fn state(word: &str) -> &str {
    match TaskState::from_word(word) {
        Some(TaskState::NotReceived) => "chưa tiếp nhận",
        Some(TaskState::NotStarted) => "chưa thực hiện",
        Some(TaskState::InProgress) => "đang thực hiện",
        Some(TaskState::Submitted) => "đã trình, chờ xác nhận",
        Some(TaskState::ExtensionRequested) => "xin gia hạn",
        Some(TaskState::Paused) => "tạm dừng",
        Some(TaskState::Returned) => "trả lại",
        Some(TaskState::Done) => "hoàn thành",
        Some(TaskState::Withdrawn) => "thu hồi",
        None => word,
    }
}

fn form(word: &str) -> &str {
    match word {
        "email" => "thư điện tử",
        "zalo" => "Zalo",
        "telephone" => "điện thoại",
        "fax" => "fax",
        "meeting" => "họp",
        "letter" => "công văn",
        other => other,
    }
}
