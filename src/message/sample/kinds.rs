//! Letters and notices of every kind that can leave the house, on invented facts: what an office's own templates are
//! tried on, and what `check --preview` shows.

use jiff::{ToSpan, civil::time};

use super::{ahead, bare, bare_notice, digest, document, item, notice, single, why};
use crate::{
    message::daily::DailyFacts,
    message::facts::{Contact, ItemFacts, LetterFacts, Nearness, NextStep, NoticeFacts, Recipient},
    planning::bundle::Part,
    planning::task::{Block, Clock, Role, Secrecy, Urgency},
};

/// One kind of letter.
#[derive(Debug, Clone)]
pub struct Kind {
    /// Fit for a file's name: ASCII, lower case.
    pub slug: &'static str,
    /// What it is, in Vietnamese.
    pub label: &'static str,
    pub facts: LetterFacts,
}

/// One kind of notice.
#[derive(Debug, Clone)]
pub struct NoticeKind {
    pub slug: &'static str,
    pub label: &'static str,
    pub facts: NoticeFacts,
    /// Why it was withdrawn, where it was.
    pub withdrawn: Option<&'static str>,
}

fn with(mut facts: LetterFacts, change: impl FnOnce(&mut LetterFacts)) -> LetterFacts {
    change(&mut facts);
    facts
}

fn one(change: impl FnOnce(&mut ItemFacts)) -> LetterFacts {
    with(single(), |facts| change(&mut facts.items[0]))
}

/// Letters on open tasks.
pub fn letters() -> Vec<Kind> {
    let kind = |slug, label, facts| Kind { slug, label, facts };
    let due = digest().items[2].clone();
    let mut kinds = vec![
        kind("truoc-han", "một nhiệm vụ, còn 3 ngày, gửi chuyên viên", ahead()),
        kind(
            "den-han",
            "một nhiệm vụ, đến hạn hôm nay lúc 17 giờ, thời hạn báo cáo, thượng khẩn",
            with(single(), |facts| facts.items[0] = due.clone()),
        ),
        kind(
            "den-han-ca-ngay",
            "một nhiệm vụ, đến hạn hôm nay, không ghi giờ",
            with(single(), |facts| {
                facts.items[0] = ItemFacts { deadline_time: None, clock: Clock::Completion, ..due.clone() };
            }),
        ),
        kind("qua-han-lan-1", "một nhiệm vụ, quá hạn, đôn đốc lần 1", one(|item| item.urging = Some(1))),
        kind("qua-han-lan-2", "một nhiệm vụ, quá hạn, đôn đốc lần 2, gửi người đứng đầu", single()),
        kind("qua-han-lan-4", "một nhiệm vụ, quá hạn, đôn đốc lần 4", one(|item| item.urging = Some(4))),
        kind("qua-han-khong-don-doc", "một nhiệm vụ, quá hạn, bước không đôn đốc", one(|item| item.urging = None)),
        kind(
            "qua-han-trong-ngay",
            "một nhiệm vụ, đã quá giờ trong ngày đến hạn",
            one(|item| (item.working_days_left, item.deadline_time) = (0, Some(time(7, 30, 0, 0)))),
        ),
        kind(
            "phoi-hop",
            "một nhiệm vụ, gửi cơ quan phối hợp",
            one(|item| {
                item.role = Role::Coordinator;
                item.agency = "Sở Tài chính".into();
                item.why = why("agency_contact", "qua-han-1");
            }),
        ),
        kind(
            "bao-cao",
            "một nhiệm vụ, thời hạn báo cáo, còn 3 ngày",
            with(ahead(), |facts| facts.items[0].clock = Clock::Report),
        ),
        kind("bao-cao-qua-han", "một nhiệm vụ, thời hạn báo cáo, quá hạn", one(|item| item.clock = Clock::Report)),
        kind(
            "hoa-toc",
            "một nhiệm vụ hỏa tốc, còn một ngày",
            with(ahead(), |facts| {
                facts.items[0].urgency = Urgency::Flash;
                facts.items[0].working_days_left = 1;
                facts.items[0].deadline_time = Some(time(10, 0, 0, 0));
            }),
        ),
        kind(
            "han-lui",
            "một nhiệm vụ, hạn rơi vào ngày nghỉ nên tính sang ngày làm việc sau",
            one(|item| {
                item.deadline = item.effective.saturating_sub(2.days());
                item.rolled_because = "15/11 là Chủ nhật".into();
            }),
        ),
        kind(
            "dieu-chinh-han",
            "một nhiệm vụ, thời hạn được điều chỉnh sớm hơn",
            one(|item| item.corrected_from = Some(item.deadline.saturating_add(9.days()))),
        ),
        kind(
            "gui-tre",
            "một nhiệm vụ, bước gửi trễ vì dịch vụ dừng",
            one(|item| item.late_since = Some(item.deadline.saturating_add(2.days()))),
        ),
        kind(
            "lap-lai",
            "một nhiệm vụ, lần lặp thứ 3 của một bước",
            one(|item| (item.why.occurrence, item.urging) = (3, Some(5))),
        ),
        kind("khong-buoc-tiep", "một nhiệm vụ, không còn bước tiếp theo", one(|item| item.next = None)),
        kind(
            "gui-thay",
            "một nhiệm vụ, gửi hộp thư chung vì người cần gửi chưa có địa chỉ",
            with(single(), |facts| {
                facts.recipient = Recipient {
                    agency: "Sở Nội vụ".into(),
                    stands_in_for: "người đứng đầu cơ quan chưa có địa chỉ nhận thư".into(),
                    ..Recipient::default()
                };
            }),
        ),
        kind(
            "co-the-da-nhan",
            "một nhiệm vụ, thư có thể đã nhận hôm trước",
            with(single(), |facts| facts.maybe_received_on = Some(facts.as_of.date().saturating_sub(1.day()))),
        ),
        kind("da-trinh", "đã trình, đề nghị người theo dõi xác nhận", one(|item| state(item, Nearness::Confirm))),
        kind("tra-lai", "bị trả lại, đề nghị phân công lại", one(|item| state(item, Nearness::Returned))),
    ];
    for (slug, label, honorific, name) in [
        ("doanh-nghiep-ong", "doanh nghiệp nhà nước, gửi Ông", "ông", "Vũ Văn Đạt"),
        ("doanh-nghiep-ba", "doanh nghiệp nhà nước, gửi Bà", "bà", "Lê Thị Hà"),
        ("doanh-nghiep", "doanh nghiệp nhà nước, chưa rõ Ông hay Bà", "", "Lê Hà"),
        ("doanh-nghiep-hop-thu", "doanh nghiệp nhà nước, hộp thư chung", "", ""),
    ] {
        kinds.push(kind(
            slug,
            label,
            with(single(), |facts| {
                facts.recipient = Recipient {
                    honorific: honorific.into(),
                    name: name.into(),
                    title: "Tổng Giám đốc".into(),
                    agency: "Công ty TNHH MTV Thoát nước".into(),
                    enterprise: true,
                    stands_in_for: String::new(),
                };
            }),
        ));
    }
    kinds.extend([
        kind(
            "khoi-dang",
            "khối đảng, một nhiệm vụ quá hạn",
            with(single(), |facts| {
                facts.office = "Văn phòng Thành ủy".into();
                facts.recipient.agency = "Ban Tổ chức Thành ủy".into();
                facts.recipient.title = "Trưởng ban".into();
                let item = &mut facts.items[0];
                item.document = document("Kết luận", "41-KL/TU", item.deadline, "Thường trực Thành ủy");
                (item.lead, item.agency) = ("Ban Tổ chức Thành ủy".into(), "Ban Tổ chức Thành ủy".into());
            }),
        ),
        kind("thu-gop", "thư gộp sáu nhiệm vụ", digest()),
        kind(
            "thu-gop-moi-muc",
            "thư gộp đủ năm mục, có việc chờ xác nhận và bị trả lại",
            with(digest(), |facts| {
                for (near, code) in [(Nearness::Confirm, "NV26-000181"), (Nearness::Returned, "NV26-000182")] {
                    let mut item = ItemFacts { code: code.into(), ..item() };
                    state(&mut item, near);
                    facts.items.push(item);
                }
            }),
        ),
        kind(
            "thu-gop-lon",
            "thư gộp 200 nhiệm vụ",
            with(digest(), |facts| {
                let each = facts.items.clone();
                let code = |n: usize| format!("NV26-{n:06}");
                facts.items = (0..200).map(|n| ItemFacts { code: code(n), ..each[n % each.len()].clone() }).collect();
            }),
        ),
        kind("it-du-kien", "gần như không có dữ kiện nào ngoài mã và hạn", bare()),
        kind("dai-nhat", "mọi dữ kiện dài nhất còn hợp lý", longest()),
        kind("thu-gop-dai-nhat", "thư gộp, mọi dữ kiện dài nhất còn hợp lý", longest_digest()),
    ]);
    kinds
}

fn state(item: &mut ItemFacts, near: Nearness) {
    (item.nearness, item.urging, item.next) = (near, None, None);
    item.why = why("monitor", "cho-xac-nhan");
}

/// Letters on classified tasks: all of them neutral.
pub fn classified() -> Vec<Kind> {
    let secret = |change: fn(&mut LetterFacts)| {
        with(single(), |facts| {
            facts.classified = true;
            facts.items[0].secrecy = Secrecy::Confidential;
            change(facts);
        })
    };
    vec![
        Kind { slug: "mat", label: "việc mật, gửi chính người được giao", facts: secret(|_| ()) },
        Kind {
            slug: "mat-co-the-da-nhan",
            label: "việc mật, thư có thể đã nhận",
            facts: secret(|facts| facts.maybe_received_on = Some(facts.as_of.date().saturating_sub(1.day()))),
        },
        Kind {
            slug: "mat-doanh-nghiep",
            label: "việc mật, doanh nghiệp nhà nước",
            facts: secret(|facts| facts.recipient.enterprise = true),
        },
    ]
}

/// Daily lists: the operator's, a monitor's, of classified tasks only, and the one that says that all is well again.
pub fn daily() -> Vec<(&'static str, DailyFacts)> {
    let with = |change: fn(&mut DailyFacts)| {
        let mut facts = super::daily();
        change(&mut facts);
        facts
    };
    vec![
        ("danh sách không liên hệ được, gửi bộ phận vận hành", super::daily()),
        (
            "danh sách không liên hệ được, gửi người theo dõi",
            with(|facts| {
                facts.operator = false;
                facts.recipient = single().recipient;
                facts.groups.truncate(1);
                facts.hidden = 0;
            }),
        ),
        ("danh sách không liên hệ được, chỉ có việc không nêu tên", with(|facts| facts.groups.clear())),
        (
            "danh sách không liên hệ được, đã liên hệ lại được với tất cả",
            with(|facts| {
                facts.groups.clear();
                facts.hidden = 0;
            }),
        ),
    ]
}

/// One task whose every fact is as long as an office's real ones get.
pub fn longest() -> LetterFacts {
    let agency = "Ban Quản lý dự án đầu tư xây dựng công trình dân dụng và công nghiệp Thành phố".to_owned();
    let item = ItemFacts {
        code: "NV26-CTHD-TTHC-000123/2026".into(),
        work: "Chủ trì, phối hợp với các sở, ban, ngành và Ủy ban nhân dân các phường, xã có liên quan rà soát, tổng hợp, \
               đề xuất phương án sắp xếp, xử lý các cơ sở nhà, đất dôi dư sau sắp xếp đơn vị hành chính; báo cáo Ủy ban \
               nhân dân Thành phố xem xét, quyết định theo thẩm quyền và tổ chức thực hiện sau khi được phê duyệt"
            .into(),
        document: crate::message::facts::DocumentFacts {
            signer: "Công Tằng Tôn Nữ Hoàng Thị Minh Nguyệt".into(),
            subject: "Về việc triển khai thực hiện Nghị quyết của Hội đồng nhân dân Thành phố về kế hoạch phát triển kinh \
                      tế - xã hội 5 năm 2026-2030"
                .into(),
            ..document("Thông báo kết luận", "15234/TB-UBND-KSTTHC-CĐS", item().deadline, "Ủy ban nhân dân Thành phố")
        },
        lead: agency.clone(),
        agency: agency.clone(),
        coordinators: vec![agency.clone(), "Sở Quy hoạch - Kiến trúc".into(), "Ủy ban nhân dân phường Văn Miếu".into()],
        urgency: Urgency::VeryUrgent,
        deadline: item().deadline.saturating_sub(2.days()),
        deadline_time: Some(time(16, 30, 0, 0)),
        rolled_because: "15/11 là Chủ nhật, 16/11 nghỉ bù Ngày Văn hóa Việt Nam theo thông báo của Bộ Nội vụ".into(),
        working_days_left: -120,
        urging: Some(12),
        next: item().next.map(|next| NextStep {
            adds: ["superior_head", "assigner_office", "inspection"].map(str::to_owned).into(),
            ..next
        }),
        link: Some("https://dondoc.vanphong.thanhpho.example/nhiem-vu/NV26-CTHD-TTHC-000123-2026?tu=thu".into()),
        ..item()
    };
    LetterFacts {
        office: "Văn phòng Đoàn đại biểu Quốc hội, Hội đồng nhân dân và Ủy ban nhân dân Thành phố".into(),
        recipient: Recipient {
            name: "Công Tằng Tôn Nữ Hoàng Thị Minh Nguyệt".into(),
            title: "Phó Giám đốc phụ trách, điều hành".into(),
            agency,
            ..single().recipient
        },
        contact: Contact {
            name: "Nguyễn Phúc Hoàng Thị Bảo Châu".into(),
            email: "phong.kiemsoat.thutuc.hanhchinh@vanphong.thanhpho.example".into(),
            ..single().contact
        },
        items: vec![item],
        ..single()
    }
}

fn longest_digest() -> LetterFacts {
    let mut facts = longest();
    let item = facts.items[0].clone();
    facts.items = (0..120).map(|n| ItemFacts { code: format!("NV26-CTHD-TTHC-{n:06}/2026"), ..item.clone() }).collect();
    facts.part = Part { n: 12, of: 19 };
    facts
}

/// Notices: with every part, with hardly any, of each block, withdrawn, late.
pub fn notices() -> Vec<NoticeKind> {
    let with = |change: fn(&mut NoticeFacts)| {
        let mut facts = notice();
        change(&mut facts);
        facts
    };
    let kind = |slug, label, facts| NoticeKind { slug, label, facts, withdrawn: None };
    vec![
        kind("phieu", "phiếu báo có gia hạn và bốn lần đôn đốc", notice()),
        kind("phieu-it-du-kien", "phiếu báo gần như không có dữ kiện", bare_notice()),
        kind(
            "phieu-dang",
            "phiếu báo khối đảng",
            with(|facts| {
                facts.letterhead.block = Block::Party;
                facts.letterhead.parent = "Thành ủy Hà Nội".into();
                facts.office = "Văn phòng".into();
            }),
        ),
        kind(
            "phieu-doanh-nghiep",
            "phiếu báo doanh nghiệp nhà nước",
            with(|facts| {
                facts.letterhead.block = Block::Enterprise;
                (facts.head.enterprise, facts.head.honorific) = (true, "ông".into());
                (facts.agency, facts.agency_code) = ("Công ty TNHH MTV Thoát nước".into(), "CTTN".into());
            }),
        ),
        kind(
            "phieu-phoi-hop",
            "phiếu báo cơ quan phối hợp, thời hạn báo cáo có giờ",
            with(|facts| {
                (facts.role, facts.clock) = (Role::Coordinator, Clock::Report);
                facts.deadline_time = Some(time(17, 0, 0, 0));
            }),
        ),
        kind(
            "phieu-giai-trinh",
            "phiếu báo có giải trình, căn cứ, hạn được lùi, số liệu nhập từ trước",
            with(|facts| {
                facts.explanation = "Đơn vị chờ ý kiến của Bộ chuyên ngành; đã có văn bản đề nghị gia hạn".into();
                facts.rule_basis = Some("Quyết định 202/QĐ-UBND".into());
                facts.imported_urgings = 2;
                facts.effective = facts.deadline.saturating_add(1.day());
                facts.due_at = facts.filed_at.saturating_sub(3.days());
            }),
        ),
        NoticeKind {
            withdrawn: Some("Lý do: nhiệm vụ đã hoàn thành trước hạn (Công văn số 88/SQHKT-VP ngày 26/11/2026)."),
            ..kind("phieu-rut", "phiếu báo đã rút", notice())
        },
    ]
}
