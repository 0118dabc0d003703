//! Invented facts on which an office's own templates are tried before they are taken, and which the tests use.

use jiff::{
    Timestamp, ToSpan,
    civil::{Date, Time, date, time},
};

pub mod kinds;

use super::daily::{DailyFacts, UnreachedFacts};
use super::facts::{
    Contact, DocumentFacts, ExtensionFacts, ItemFacts, LetterFacts, Letterhead, Nearness, NextStep, NoticeFacts,
    NoticeSeal, Recipient, UrgingFacts, Why,
};
use crate::planning::task::{Block, Clock, Role, Secrecy, Urgency};

fn why(audience: &str, step: &str) -> Why {
    Why { audience: audience.into(), rule: "ubnd-chu-tri".into(), step: step.into(), occurrence: 1 }
}

/// A daily list to the operator: a refused address, a vacant post, and one that leads to nobody at all.
pub fn daily() -> DailyFacts {
    let unreached = |agency: &str, audience: &str, why: &str, since, tasks: &[&str]| UnreachedFacts {
        agency: agency.into(),
        audience: audience.into(),
        role: Role::Lead,
        channel: "email".into(),
        why: why.into(),
        since,
        tasks: tasks.iter().map(|code| (*code).to_owned()).collect(),
        address: String::new(),
        reply: String::new(),
    };
    DailyFacts {
        office: "Văn phòng UBND Thành phố".into(),
        recipient: Recipient { agency: "Bộ phận vận hành".into(), ..Recipient::default() },
        as_of: date(2026, 11, 25).at(9, 0, 0, 0),
        operator: true,
        groups: vec![
            unreached("UBND phường Yên Hòa", "agency_head", "nobody_reachable", date(2026, 11, 20), &["NV26-000307"]),
            UnreachedFacts {
                address: "h***@hanoi.gov.vn.example".into(),
                reply: "550 5.1.1 mailbox unavailable".into(),
                ..unreached("Sở Nội vụ", "handler", "refused", date(2026, 11, 23), &["NV26-000123", "NV26-000124"])
            },
            unreached("Sở Tài chính", "agency_contact", "no_living_address", date(2026, 11, 25), &["NV26-000511"]),
        ],
        hidden: 1,
    }
}

/// A task with everything said about it: overdue by five working days, urged for the second time.
pub fn item() -> ItemFacts {
    ItemFacts {
        code: "NV26-000123".into(),
        work: "Kế hoạch kiểm tra công vụ quý IV".into(),
        document: document("Thông báo", "311/TB-VP", date(2026, 10, 2), "Văn phòng UBND Thành phố"),
        secrecy: Secrecy::Open,
        urgency: Urgency::Normal,
        lead: "Sở Nội vụ".into(),
        coordinators: vec!["Sở Tài chính".into(), "Công an Thành phố".into()],
        role: Role::Lead,
        agency: "Sở Nội vụ".into(),
        clock: Clock::Completion,
        deadline: date(2026, 11, 17),
        deadline_time: None,
        effective: date(2026, 11, 17),
        rolled_because: String::new(),
        working_days_left: -5,
        nearness: Nearness::Overdue,
        urging: Some(2),
        why: why("agency_head", "qua-han-5"),
        also: vec![why("agency_head", "qua-han-1")],
        next: Some(NextStep {
            on: date(2026, 12, 2),
            step: "qua-han-10".into(),
            adds: vec!["inspection".into()],
            files_notice: true,
            urging: true,
        }),
        answer_by: Some(date(2026, 12, 1)),
        corrected_from: None,
        reasoning: vec![
            "bước qua-han-5 là 5 ngày làm việc sau hạn 17/11/2026, không tính 24/11 (Ngày Văn hóa Việt Nam)".into(),
            "08:00 thứ Tư 02/12/2026, bước qua-han-10: đôn đốc, gửi thêm cơ quan kiểm tra, lập phiếu báo nhiệm vụ quá hạn"
                .into(),
        ],
        link: Some("https://dondoc.office.example/n/NV26-000123".into()),
        due_at: Timestamp::constant(1_795_568_400, 0),
        late_since: None,
    }
}

fn document(kind: &str, number: &str, day: Date, issuer: &str) -> DocumentFacts {
    DocumentFacts {
        number: number.into(),
        date: Some(day),
        kind: kind.into(),
        issuer: issuer.into(),
        signer: String::new(),
        subject: String::new(),
    }
}

fn upcoming(code: &str, work: &str, deadline: Date, left: i64, step: &str) -> ItemFacts {
    ItemFacts {
        code: code.into(),
        work: work.into(),
        document: document("Công văn", "2812/UBND-NC", date(2026, 11, 3), "UBND Thành phố"),
        deadline,
        effective: deadline,
        working_days_left: left,
        nearness: Nearness::Upcoming,
        urging: None,
        why: why("agency_head", step),
        also: Vec::new(),
        next: Some(NextStep {
            on: deadline.saturating_sub(1.day()),
            step: "truoc-1".into(),
            adds: Vec::new(),
            files_notice: false,
            urging: false,
        }),
        answer_by: Some(deadline.saturating_sub(2.days())),
        reasoning: vec![
            format!("bước {step} là {left} ngày làm việc trước hạn {}", crate::message::words::date(deadline)),
            format!(
                "08:00 ngày {}, bước truoc-1: nhắc lại",
                crate::message::words::date(deadline.saturating_sub(1.day()))
            ),
        ],
        link: Some(format!("https://dondoc.office.example/n/{code}")),
        coordinators: Vec::new(),
        ..item()
    }
}

/// A letter on one overdue task to the head of its lead agency.
pub fn single() -> LetterFacts {
    LetterFacts {
        office: "Văn phòng UBND Thành phố".into(),
        recipient: Recipient {
            honorific: "ông".into(),
            name: "Vũ Văn Đạt".into(),
            title: "Giám đốc".into(),
            agency: "Sở Nội vụ".into(),
            enterprise: false,
            stands_in_for: String::new(),
        },
        as_of: date(2026, 11, 25).at(8, 0, 0, 0),
        items: vec![item()],
        contact: Contact {
            name: "Hoàng Thu Hạnh".into(),
            honorific: "bà".into(),
            agency: "Văn phòng UBND Thành phố".into(),
            phone: "0572 000 000".into(),
            email: String::new(),
        },
        calendar_notes: vec!["24/11 là ngày nghỉ".into()],
        maybe_received_on: None,
        part: Default::default(),
        classified: false,
        can_reply: true,
    }
}

/// A letter on one task with three working days left, to the person who works on it.
pub fn ahead() -> LetterFacts {
    let item = ItemFacts {
        deadline: date(2026, 11, 29),
        effective: date(2026, 11, 30),
        rolled_because: "29/11 là Chủ nhật".into(),
        why: why("handler", "truoc-3"),
        coordinators: vec!["Sở Tài chính".into()],
        ..upcoming("NV26-000160", "Đề án sắp xếp đơn vị sự nghiệp", date(2026, 11, 30), 3, "truoc-3")
    };
    let mut letter = single();
    letter.recipient.title = "Chuyên viên".into();
    letter.recipient.name = "Nguyễn Văn An".into();
    letter.items = vec![item];
    letter
}

/// A morning's six tasks: two overdue, one due today, three ahead.
pub fn digest() -> LetterFacts {
    let first = item();
    let second = ItemFacts {
        code: "NV26-000140".into(),
        work: "Rà soát vị trí việc làm các phường Ba Đình, Hoàn Kiếm, Ngọc Hà".into(),
        document: document("Công văn", "2812/UBND-NC", date(2026, 11, 3), "UBND Thành phố"),
        deadline: date(2026, 11, 23),
        effective: date(2026, 11, 23),
        working_days_left: -1,
        urging: Some(1),
        why: why("agency_head", "qua-han-1"),
        also: Vec::new(),
        coordinators: vec!["Sở Tài chính".into()],
        link: Some("https://dondoc.office.example/n/NV26-000140".into()),
        next: Some(NextStep {
            on: date(2026, 12, 1),
            step: "qua-han-5".into(),
            adds: vec!["monitor".into(), "superior_head".into()],
            files_notice: false,
            urging: true,
        }),
        answer_by: Some(date(2026, 11, 30)),
        reasoning: vec![
            "bước qua-han-1 là 1 ngày làm việc sau hạn 23/11/2026, không tính 24/11 (Ngày Văn hóa Việt Nam)".into(),
            "08:00 thứ Ba 01/12/2026, bước qua-han-5: đôn đốc, gửi thêm người theo dõi nhiệm vụ và lãnh đạo cơ quan cấp trên"
                .into(),
        ],
        ..item()
    };
    let today = ItemFacts {
        document: document("Công văn", "509/UBND-KSTTHC", date(2026, 9, 14), "UBND Thành phố"),
        deadline_time: Some(time(17, 0, 0, 0)),
        nearness: Nearness::DueToday,
        urgency: Urgency::VeryUrgent,
        clock: Clock::Report,
        next: Some(NextStep {
            on: date(2026, 11, 26),
            step: "qua-han-1".into(),
            adds: vec!["handler".into()],
            files_notice: false,
            urging: true,
        }),
        reasoning: vec![
            "bước den-han là đúng hạn 25/11/2026".into(),
            "08:00 thứ Năm 26/11/2026, bước qua-han-1: đôn đốc, gửi thêm chuyên viên thụ lý".into(),
        ],
        ..upcoming("NV26-000151", "Báo cáo kết quả cải cách hành chính tháng 11", date(2026, 11, 25), 0, "den-han")
    };
    let third = ItemFacts {
        role: Role::Coordinator,
        lead: "Sở Tư pháp".into(),
        coordinators: vec!["Sở Nội vụ".into()],
        why: Why { rule: "phoi-hop".into(), ..why("agency_contact", "truoc-5") },
        ..upcoming("NV26-000162", "Góp ý dự thảo Quy chế làm việc", date(2026, 12, 2), 5, "truoc-5")
    };
    let items = vec![
        first,
        second,
        today,
        upcoming(
            "NV26-000160",
            "Đề án sắp xếp đơn vị sự nghiệp công lập trực thuộc Sở giai đoạn 2026-2030",
            date(2026, 11, 30),
            3,
            "truoc-3",
        ),
        third,
        upcoming("NV26-000171", "Tổng kết công tác thi đua năm 2026", date(2027, 1, 4), 27, "truoc-10"),
    ];
    LetterFacts { items, ..single() }
}

/// A letter of which hardly anything is known: no name, no document, no link, nothing next.
pub fn bare() -> LetterFacts {
    let item = ItemFacts {
        work: String::new(),
        document: DocumentFacts::default(),
        lead: String::new(),
        coordinators: Vec::new(),
        urging: None,
        also: Vec::new(),
        next: None,
        answer_by: None,
        reasoning: Vec::new(),
        link: None,
        ..item()
    };
    LetterFacts {
        recipient: Recipient { agency: "Sở Nội vụ".into(), ..Recipient::default() },
        items: vec![item],
        contact: Contact::default(),
        calendar_notes: Vec::new(),
        can_reply: false,
        ..single()
    }
}

/// A notice with an extension and four urgings.
pub fn notice() -> NoticeFacts {
    let urging = |n, day: Date, at: Time, form: &str, to: &[&str], outcome: &str| UrgingFacts {
        n,
        at: day.to_datetime(at),
        form: form.into(),
        recipients: to.iter().map(|word| (*word).to_owned()).collect(),
        outcome: outcome.into(),
    };
    NoticeFacts {
        number: "0007/2026".into(),
        office: "Văn phòng".into(),
        letterhead: Letterhead {
            block: Block::State,
            parent: "Ủy ban nhân dân thành phố Hà Nội".into(),
            place: "Hà Nội".into(),
        },
        inspection: "Sở Nội vụ (Đoàn kiểm tra công vụ)".into(),
        task: "NV26-000123".into(),
        secrecy: Secrecy::Open,
        agency: "Sở Quy hoạch - Kiến trúc".into(),
        agency_code: "SQHKT".into(),
        role: Role::Lead,
        clock: Clock::Completion,
        head: Recipient { name: "Bùi Hoàng Long".into(), title: "Giám đốc".into(), ..Recipient::default() },
        document: DocumentFacts {
            signer: "Trần Ngọc Hạnh".into(),
            ..document("Thông báo", "311/TB-VP", date(2026, 10, 2), "Văn phòng UBND Thành phố")
        },
        work: "Hoàn thành rà soát quy hoạch phân khu; báo cáo UBND Thành phố".into(),
        assigner: "Chủ tịch UBND Thành phố".into(),
        original_deadline: Some(date(2026, 10, 30)),
        extensions: vec![ExtensionFacts {
            from: Some(date(2026, 10, 30)),
            to: Some(date(2026, 11, 10)),
            decided_on: Some(date(2026, 10, 28)),
            paper: "Công văn số 4120/UBND-ĐT".into(),
            approver: "Phó Chủ tịch UBND Thành phố".into(),
        }],
        deadline: date(2026, 11, 10),
        deadline_time: None,
        effective: date(2026, 11, 10),
        deadline_basis: "ngày cố định, là ngày làm việc".into(),
        days_overdue: 15,
        working_days_overdue: 10,
        calendar_notes: vec!["24/11 là ngày nghỉ".into()],
        urgings: vec![
            urging(1, date(2026, 11, 11), time(8, 0, 4, 0), "email", &["handler", "agency_head"], "250 2.0.0 Ok"),
            urging(2, date(2026, 11, 17), time(8, 0, 3, 0), "email, zalo", &["agency_head", "monitor"], "accepted"),
            urging(
                3,
                date(2026, 11, 19),
                time(14, 20, 0, 0),
                "telephone",
                &["agency_contact"],
                "hẹn báo cáo trong tuần",
            ),
            urging(
                4,
                date(2026, 11, 25),
                time(8, 0, 2, 0),
                "email, zalo",
                &["agency_head", "superior_head"],
                "accepted",
            ),
        ],
        imported_urgings: 0,
        explanation: String::new(),
        state: "in_progress".into(),
        last_update: Some(date(2026, 11, 3)),
        report_deadline: Some(date(2026, 11, 12)),
        rule: "ubnd-chu-tri".into(),
        rule_basis: None,
        step: "qua-han-10".into(),
        occurrence: 1,
        due_at: date(2026, 11, 25).at(8, 0, 0, 0),
        filed_at: date(2026, 11, 25).at(8, 0, 2, 0),
        agency_overdue: 7,
        drawn_up_by: "dondoc 0.1.0".into(),
    }
}

/// A notice of which hardly anything is known.
pub fn bare_notice() -> NoticeFacts {
    NoticeFacts {
        letterhead: Letterhead::default(),
        inspection: String::new(),
        head: Recipient::default(),
        document: DocumentFacts::default(),
        work: String::new(),
        assigner: String::new(),
        original_deadline: None,
        extensions: Vec::new(),
        deadline_basis: String::new(),
        calendar_notes: Vec::new(),
        urgings: Vec::new(),
        state: String::new(),
        last_update: None,
        report_deadline: None,
        ..notice()
    }
}

/// A seal.
pub fn seal() -> NoticeSeal {
    NoticeSeal { seq: 4183, hash: "9f2c".repeat(16), prev: "41bd".repeat(16), facts_hash: "03ab".repeat(16) }
}
