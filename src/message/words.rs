//! Vietnamese words for what the code calls by English ones: audiences, states, forms of contact, dates, counts.
//!
//! Words only; what is asked of whom is in `phrases.rs`. A word that is not known (an office's own) is given back as
//! it stands, never dropped.

use jiff::civil::{Date, DateTime, Time};

use crate::planning::{
    rules::Audience,
    task::{Clock, Role, TaskState, Urgency},
};

/// Who an audience is, as it stands after "vì đồng chí là" or "báo cáo": `người đứng đầu cơ quan chủ trì`. A person or
/// an address named in the rules is never spelt out: it is personal data.
pub fn audience(word: &str, role: Role) -> String {
    let part = match role {
        Role::Lead => "cơ quan chủ trì",
        Role::Coordinator => "cơ quan phối hợp",
    };
    match Audience::from_ledger_word(word) {
        Some(Audience::Handler) => match role {
            Role::Lead => "chuyên viên thụ lý".to_owned(),
            Role::Coordinator => "chuyên viên thụ lý của cơ quan phối hợp".to_owned(),
        },
        Some(Audience::AgencyHead) => format!("người đứng đầu {part}"),
        Some(Audience::AgencyDeputy) => format!("cấp phó phụ trách của {part}"),
        Some(Audience::AgencyContact) => format!("đầu mối của {part}"),
        Some(Audience::AgencyBox) => format!("hộp thư chung của {part}"),
        Some(Audience::Monitor) => "người theo dõi nhiệm vụ".to_owned(),
        Some(Audience::SuperiorHead) => "lãnh đạo cơ quan cấp trên".to_owned(),
        Some(Audience::AssignerOffice) => "văn phòng của cấp giao nhiệm vụ".to_owned(),
        Some(Audience::Inspection) => "cơ quan kiểm tra".to_owned(),
        Some(Audience::Person(_) | Audience::Email(_)) => "người được chỉ định nhận thông tin".to_owned(),
        Some(Audience::BoxOf(_)) | None => match word {
            "box_of:superior_head" => "hộp thư chung của cơ quan cấp trên".to_owned(),
            "box_of:monitor" => "hộp thư chung của cơ quan theo dõi nhiệm vụ".to_owned(),
            _ => word.to_owned(),
        },
    }
}

/// A task's state: `đang thực hiện`.
pub fn state(state: TaskState) -> &'static str {
    match state {
        TaskState::NotReceived => "chưa tiếp nhận",
        TaskState::NotStarted => "chưa thực hiện",
        TaskState::InProgress => "đang thực hiện",
        TaskState::Submitted => "đã trình, chờ xác nhận",
        TaskState::ExtensionRequested => "xin gia hạn, chờ quyết định",
        TaskState::Paused => "tạm dừng",
        TaskState::Returned => "trả lại",
        TaskState::Done => "hoàn thành",
        TaskState::Withdrawn => "thu hồi",
    }
}

/// The state behind a stable word; any other text as it stands.
pub fn state_word(word: &str) -> String {
    TaskState::from_word(word).map_or_else(|| word.to_owned(), |known| state(known).to_owned())
}

/// độ khẩn: `thượng khẩn`.
pub fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Normal => "thường",
        Urgency::Urgent => "khẩn",
        Urgency::VeryUrgent => "thượng khẩn",
        Urgency::Flash => "hỏa tốc",
    }
}

/// How somebody was urged: channels of ours, or forms of a recorded contact.
pub fn form(word: &str) -> String {
    match word {
        "email" => "thư điện tử",
        "zalo" => "Zalo",
        "telephone" => "điện thoại",
        "fax" => "fax",
        "meeting" => "làm việc trực tiếp",
        "letter" => "văn bản",
        other => other,
    }
    .to_owned()
}

/// What came of it: the ledger's words; any other text (a server's answer, a note) as it stands.
pub fn outcome(word: &str) -> String {
    match word {
        "accepted" | "sent" => "máy chủ đã nhận",
        "unknown" => "đã chuyển, chưa rõ kết quả",
        "recipient" | "permanent" | "dead" => "bị từ chối",
        "transient" | "throttled" | "site" | "configuration" => "chưa gửi được",
        "suppressed" | "superseded" => "không gửi",
        other => other,
    }
    .to_owned()
}

/// `thời hạn hoàn thành`, `thời hạn báo cáo`.
pub fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Completion => "thời hạn hoàn thành",
        Clock::Report => "thời hạn báo cáo",
    }
}

/// `15/12/2026`
pub fn date(day: Date) -> String {
    format!("{:02}/{:02}/{}", day.day(), day.month(), day.year())
}

/// `15/12`, with the year where it is not `year`.
pub fn short_date(day: Date, year: i16) -> String {
    if day.year() == year { format!("{:02}/{:02}", day.day(), day.month()) } else { date(day) }
}

/// `8 giờ 00`
pub fn time(time: Time) -> String {
    format!("{} giờ {:02}", time.hour(), time.minute())
}

/// `8 giờ 00 ngày 25/11/2026`
pub fn moment(at: DateTime) -> String {
    format!("{} ngày {}", time(at.time()), date(at.date()))
}

/// `25/11/2026 08:00:02`, for the columns of a table.
pub fn stamp(at: DateTime) -> String {
    format!("{} {:02}:{:02}:{:02}", date(at.date()), at.hour(), at.minute(), at.second())
}

/// `5 ngày làm việc`
pub fn working_days(n: i64) -> String {
    format!("{} ngày làm việc", n.unsigned_abs())
}

/// Official papers write counts under 10 with a zero: `01`, `12`.
pub fn two_digits(n: u64) -> String {
    format!("{n:02}")
}

/// `một`, `hai và ba`: a list as a sentence has it.
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} và {last}", first.join(", ")),
    }
}

/// The first letter as a capital.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date as day;

    #[test]
    fn every_audience_has_words_and_none_spells_out_a_person() {
        for word in Audience::WORDS {
            for role in [Role::Lead, Role::Coordinator] {
                assert!(!audience(word, role).contains('_'), "{word}");
            }
        }
        for named in ["person:0912", "email:an@x.example"] {
            assert_eq!(audience(named, Role::Lead), "người được chỉ định nhận thông tin");
        }
        assert_eq!(audience("agency_head", Role::Coordinator), "người đứng đầu cơ quan phối hợp");
    }

    #[test]
    fn every_state_has_words_and_an_offices_own_text_stays() {
        for known in TaskState::ALL {
            assert!(state_word(known.as_str()) != known.as_str());
        }
        assert_eq!(state_word("đang lấy ý kiến"), "đang lấy ý kiến");
    }

    #[test]
    fn dates_read_as_an_office_writes_them() {
        assert_eq!(date(day(2026, 2, 5)), "05/02/2026");
        assert_eq!(short_date(day(2026, 12, 15), 2026), "15/12");
        assert_eq!(short_date(day(2027, 1, 4), 2026), "04/01/2027");
        assert_eq!(moment(day(2026, 11, 25).at(8, 0, 2, 0)), "8 giờ 00 ngày 25/11/2026");
        assert_eq!(working_days(-5), "5 ngày làm việc");
    }
}
