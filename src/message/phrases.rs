//! The sentences of a reminder: how near the deadline is, what is asked of whom, what comes next, and why it came.
//!
//! Chosen by audience and nearness, so they are code and not template; a template may still say it its own way, for the
//! facts behind each sentence are handed to it too. Every function gives whole sentences or clauses of plain
//! administrative Vietnamese, with the form of address already in them.

use jiff::civil::Date;

use super::{
    clean::{clause, one_line},
    facts::{ItemFacts, LetterFacts, Nearness, NextStep, Recipient, Why},
    words,
};
use crate::planning::{
    rules::Audience,
    task::{Clock, Role},
};

/// How the reader is addressed within a sentence: `đồng chí`; `Ông`, `Bà` or `Ông/Bà` for enterprises; a shared
/// mailbox stands for its agency.
pub fn you(to: &Recipient) -> &'static str {
    match (to.name.trim().is_empty(), to.enterprise, to.honorific.trim().to_lowercase().as_str()) {
        (true, true, _) => "quý đơn vị",
        (true, false, _) => "quý cơ quan",
        (false, false, _) => "đồng chí",
        (false, true, "ông") => "Ông",
        (false, true, "bà") => "Bà",
        (false, true, _) => "Ông/Bà",
    }
}

/// Title and agency after the name: `Giám đốc Sở Nội vụ`, the agency only once.
pub fn office_of(to: &Recipient) -> String {
    let (title, agency) = (one_line(&to.title, 120), one_line(&to.agency, 160));
    if title.is_empty() || title.to_lowercase().contains(&agency.to_lowercase()) && !agency.is_empty() {
        if title.is_empty() { agency } else { title }
    } else if agency.is_empty() {
        title
    } else if title.split_whitespace().count() <= 3 {
        // Giám đốc Sở Nội vụ, Chủ tịch UBND phường Ba Đình; a longer title has its own part of the house in it.
        format!("{title} {agency}")
    } else {
        format!("{title}, {agency}")
    }
}

/// `Quá hạn 5 ngày làm việc`, `Đến hạn hôm nay`, `Còn 3 ngày làm việc` …
pub fn nearness(item: &ItemFacts) -> String {
    match item.nearness {
        Nearness::Overdue if item.working_days_left == 0 => "Đã quá hạn".to_owned(),
        Nearness::Overdue => format!("Quá hạn {}", words::working_days(item.working_days_left)),
        Nearness::DueToday => "Đến hạn hôm nay".to_owned(),
        Nearness::Upcoming if item.working_days_left <= 0 => "Sắp đến hạn".to_owned(),
        Nearness::Upcoming => format!("Còn {}", words::working_days(item.working_days_left)),
        Nearness::Confirm => "Đã trình, chờ xác nhận".to_owned(),
        Nearness::Returned => "Bị trả lại, chờ phân công lại".to_owned(),
    }
}

/// The deadline with its hour and, where it fell on a day off, the day it rolled to and why.
pub fn deadline(item: &ItemFacts) -> String {
    let mut text = match item.deadline_time {
        Some(hour) => format!("{} ngày {}", words::time(hour), words::date(item.deadline)),
        None => words::date(item.deadline),
    };
    if item.effective != item.deadline {
        text.push_str(&format!(", tính đến hết ngày {}", words::date(item.effective)));
        let why = clause(&item.rolled_because, 200);
        if !why.is_empty() {
            text.push_str(&format!(" ({why})"));
        }
    }
    text
}

/// `Thông báo số 311/TB-VP ngày 02/10/2026 của Văn phòng UBND Thành phố`; what is not known is left out.
pub fn document(item: &ItemFacts) -> String {
    paper(&item.document.kind, &item.document.number, item.document.date, &item.document.issuer)
}

/// The same from its parts; empty if nothing is known of it.
pub fn paper(kind: &str, number: &str, date: Option<Date>, issuer: &str) -> String {
    let (kind, number, issuer) = (one_line(kind, 60), one_line(number, 60), one_line(issuer, 160));
    let mut parts = Vec::new();
    match (kind.is_empty(), number.is_empty()) {
        (false, false) => parts.push(format!("{} số {number}", words::capital(&kind))),
        (true, false) => parts.push(format!("Văn bản số {number}")),
        (false, true) => parts.push(words::capital(&kind)),
        (true, true) => {}
    }
    let bare = parts.is_empty();
    if let Some(date) = date {
        parts.push(format!("{} {}", if bare { "Văn bản ngày" } else { "ngày" }, words::date(date)));
    }
    if !issuer.is_empty() {
        parts.push(format!("{} {issuer}", if parts.is_empty() { "Văn bản của" } else { "của" }));
    }
    parts.join(" ")
}

/// `chậm nhất ngày 01/12`: that day included, as "trước ngày" would not be.
pub fn by(item: &ItemFacts, year: i16) -> Option<String> {
    item.answer_by.map(|day| format!("chậm nhất ngày {}", words::short_date(day, year)))
}

/// What is asked of this reader now, one sentence: by audience, nearness, and how often it was urged.
pub fn ask(item: &ItemFacts, year: i16) -> String {
    // "… vướng mắc, báo cáo." would ask nobody for anything: without a day it is at once.
    let report_by = by(item, year).map_or_else(|| " ngay".to_owned(), |by| format!(" {by}"));
    let by = by(item, year).map(|by| format!(", {by}")).unwrap_or_default();
    let agency = one_line(&item.agency, 120);
    let agency = if agency.is_empty() { "cơ quan thực hiện".to_owned() } else { agency };
    let report = item.clock == Clock::Report;
    let part = if item.role == Role::Coordinator { " phần việc phối hợp" } else { "" };
    let finish = if report { "gửi báo cáo".to_owned() } else { format!("hoàn thành{part}") };
    let hard = item.urging.is_some_and(|n| n >= 3);
    // A box that stands in is asked what its owner would be.
    let who = Audience::from_ledger_word(&item.why.audience).map(|audience| audience.owner().clone());
    match item.nearness {
        Nearness::Confirm => {
            return format!("Đề nghị xác nhận kết quả do {agency} trình, hoặc nêu rõ nội dung cần bổ sung{by}.");
        }
        Nearness::Returned => {
            return format!("{agency} đã trả lại nhiệm vụ. Đề nghị xem xét lý do và phân công lại{by}.");
        }
        _ => {}
    }
    match (who, item.nearness) {
        (Some(Audience::AgencyHead | Audience::AgencyDeputy), Nearness::Upcoming) => {
            format!("Đề nghị chỉ đạo {finish} đúng hạn; nếu có khó khăn, vướng mắc, báo cáo{report_by}.")
        }
        (Some(Audience::AgencyHead | Audience::AgencyDeputy), Nearness::DueToday) => {
            format!("Đề nghị chỉ đạo {finish} và cập nhật kết quả trong ngày.")
        }
        (Some(Audience::AgencyHead | Audience::AgencyDeputy), _) if hard => {
            format!(
                "Đề nghị trực tiếp chỉ đạo, giải trình rõ nguyên nhân, trách nhiệm và cam kết thời điểm {finish}; báo cáo{report_by}."
            )
        }
        (Some(Audience::AgencyHead | Audience::AgencyDeputy), _) => {
            format!("Đề nghị trực tiếp chỉ đạo, làm rõ nguyên nhân và báo cáo{report_by}.")
        }
        (Some(Audience::AgencyContact | Audience::AgencyBox), Nearness::Upcoming) => {
            "Đề nghị chuyển đến người thụ lý và theo dõi việc cập nhật tiến độ.".to_owned()
        }
        (Some(Audience::AgencyContact | Audience::AgencyBox), Nearness::DueToday) => {
            format!("Đề nghị chuyển ngay đến người thụ lý để {finish} và cập nhật kết quả trong ngày.")
        }
        (Some(Audience::AgencyContact | Audience::AgencyBox), _) => {
            format!("Đề nghị báo cáo lãnh đạo cơ quan, chuyển người thụ lý {finish} và phản hồi{report_by}.")
        }
        (Some(Audience::Monitor), Nearness::Upcoming) => {
            format!("Đề nghị nắm tiến độ của {agency}, hỗ trợ khi có vướng mắc.")
        }
        (Some(Audience::Monitor), Nearness::DueToday) => {
            format!("Đề nghị kiểm tra việc cập nhật kết quả của {agency} trong ngày.")
        }
        (Some(Audience::Monitor), _) => {
            format!("Đề nghị liên hệ {agency}, làm rõ nguyên nhân và ghi nhận kết quả đôn đốc{by}.")
        }
        (Some(Audience::SuperiorHead), Nearness::Overdue) => {
            format!("Đề nghị chỉ đạo {agency} {finish}, làm rõ nguyên nhân, trách nhiệm và thông báo kết quả{by}.")
        }
        (Some(Audience::SuperiorHead), _) => format!("Đề nghị quan tâm chỉ đạo {agency} {finish} đúng hạn."),
        (Some(Audience::AssignerOffice), Nearness::Overdue) => {
            let urged = item.urging.map(|n| format!(" {agency} được đôn đốc lần {n}.")).unwrap_or_default();
            format!("Kính báo để theo dõi, báo cáo cấp giao nhiệm vụ.{urged}")
        }
        (Some(Audience::Inspection), _) => {
            "Kính báo để ghi nhận, xem xét đưa vào nội dung theo dõi, kiểm tra.".to_owned()
        }
        (Some(Audience::AssignerOffice | Audience::Person(_) | Audience::Email(_) | Audience::BoxOf(_)), _) => {
            "Kính báo để theo dõi.".to_owned()
        }
        // The handler; and a word of a later version, which surely means somebody who works on it.
        (Some(Audience::Handler) | None, Nearness::Upcoming) => {
            let what = if report { "chuẩn bị, gửi báo cáo đúng hạn và " } else { "" };
            format!("Đề nghị {what}cập nhật tiến độ{part}; nếu có khó khăn, vướng mắc, báo cáo{report_by}.")
        }
        (Some(Audience::Handler) | None, Nearness::DueToday) => {
            format!("Đề nghị {finish}, cập nhật kết quả trong ngày; nếu không kịp, báo cáo ngay lý do.")
        }
        (Some(Audience::Handler) | None, _) => {
            format!("Đề nghị khẩn trương {finish}, cập nhật kết quả và giải trình nguyên nhân{by}.")
        }
    }
}

/// Whether its reader is asked for progress, results or reasons: those of the agency that has the task.
pub fn reports(item: &ItemFacts) -> bool {
    matches!(
        Audience::from_ledger_word(&item.why.audience).as_ref().map(Audience::owner),
        Some(
            Audience::Handler
                | Audience::AgencyHead
                | Audience::AgencyDeputy
                | Audience::AgencyContact
                | Audience::AgencyBox
        )
    ) && !matches!(item.nearness, Nearness::Confirm | Nearness::Returned)
}

/// What the link under an item is called.
pub fn action(item: &ItemFacts) -> &'static str {
    let works = !matches!(
        Audience::from_ledger_word(&item.why.audience).as_ref().map(Audience::owner),
        Some(Audience::Inspection | Audience::AssignerOffice | Audience::Person(_) | Audience::Email(_))
    );
    match item.nearness {
        Nearness::Overdue if works => "Báo cáo, giải trình",
        Nearness::DueToday | Nearness::Upcoming if works => "Cập nhật tiến độ",
        Nearness::Confirm => "Xem và xác nhận",
        Nearness::Returned => "Xem và phân công lại",
        _ => "Mở nhiệm vụ",
    }
}

/// `Nếu chưa hoàn thành, ngày 02/12 sẽ đôn đốc lần tiếp theo, đồng thời báo cáo …`
pub fn next(item: &ItemFacts, next: &NextStep, year: i16) -> String {
    let unless = match (item.nearness, item.clock) {
        (Nearness::Confirm, _) => "Nếu chưa xác nhận",
        (Nearness::Returned, _) => "Nếu chưa phân công lại",
        (_, Clock::Report) => "Nếu chưa gửi báo cáo",
        (_, Clock::Completion) => "Nếu chưa hoàn thành",
    };
    let mut does = Vec::new();
    does.push(match (next.urging, item.urging) {
        (true, Some(_)) => "đôn đốc lần tiếp theo".to_owned(),
        (true, None) => "đôn đốc".to_owned(),
        (false, _) => "nhắc lại".to_owned(),
    });
    let adds: Vec<String> = next.adds.iter().map(|word| words::audience(word, item.role)).collect();
    if !adds.is_empty() {
        does.push(format!("đồng thời gửi {}", words::list(&adds)));
    }
    if next.files_notice {
        does.push("lập phiếu báo nhiệm vụ quá hạn phục vụ kiểm tra".to_owned());
    }
    format!("{unless}, ngày {} sẽ {}.", words::short_date(next.on, year), does.join(", "))
}

/// Steps by the part the reader plays and the rule that names them: `là người đứng đầu cơ quan chủ trì (quy tắc
/// ubnd-chu-tri, các bước qua-han-1, qua-han-5)`. In the order of the items, each once.
pub fn reasons(facts: &LetterFacts) -> Vec<String> {
    let mut groups: Vec<(String, String, Vec<String>)> = Vec::new();
    for item in &facts.items {
        for Why { audience, rule, step, occurrence } in std::iter::once(&item.why).chain(&item.also) {
            let (who, rule) = (words::audience(audience, item.role), one_line(rule, 60));
            let again = if *occurrence > 1 { format!(" (lần {occurrence})") } else { String::new() };
            let step = format!("{}{again}", one_line(step, 60));
            match groups.iter_mut().find(|(a, r, _)| *a == who && *r == rule) {
                Some((_, _, steps)) if steps.contains(&step) => {}
                Some((_, _, steps)) => steps.push(step),
                None => groups.push((who, rule, vec![step])),
            }
        }
    }
    groups
        .into_iter()
        .map(|(who, rule, steps)| {
            let steps = if steps.len() == 1 {
                format!("bước {}", steps[0])
            } else {
                format!("các bước {}", steps.join(", "))
            };
            format!("là {who} ({steps} của quy tắc {rule})")
        })
        .collect()
}

/// The first line of a letter's reasoning. Of one task with how its step was counted; of several that stands with each.
pub fn why(facts: &LetterFacts, you: &str) -> String {
    let counted = match facts.items.as_slice() {
        [item] => item.reasoning.first().map(|line| clause(line, 240)).filter(|line| !line.is_empty()),
        _ => None,
    };
    let counted = counted.map(|line| format!("; {line}")).unwrap_or_default();
    format!("Vì sao {you} nhận thư này: {}{counted}.", reasons(facts).join("; "))
}

/// The second line of a letter's reasoning: what comes next and how much higher it goes. Of several tasks the nearest,
/// with how many there are.
pub fn after(facts: &LetterFacts) -> String {
    let line = |item: &ItemFacts| item.reasoning.get(1).map(|line| clause(line, 240)).unwrap_or_default();
    match facts.items.as_slice() {
        [item] => match line(item) {
            next if next.is_empty() => String::new(),
            next => format!("Tiếp theo, nếu chưa xong: {next}."),
        },
        items => {
            let coming = items.iter().filter(|item| !line(item).is_empty());
            let nearest = coming.filter_map(|item| Some((item.next.as_ref()?.on, item))).min_by_key(|(on, _)| *on);
            nearest.map_or_else(String::new, |(_, item)| {
                format!("Tiếp theo, gần nhất: {}, {}.", one_line(&item.code, 40), line(item))
            })
        }
    }
}

/// How many of each: `3 quá hạn, 2 đến hạn hôm nay, 7 sắp đến hạn`; what is none is left out.
pub fn tally(facts: &LetterFacts) -> String {
    SECTIONS
        .iter()
        .filter_map(|(nearness, word)| {
            let n = facts.items.iter().filter(|item| item.nearness == *nearness).count();
            (n > 0).then(|| format!("{n} {word}"))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// `phần 2/19`; `None` where the letter was not divided.
pub fn part(facts: &LetterFacts) -> Option<String> {
    (facts.part.of > 1).then(|| format!("phần {}/{}", facts.part.n, facts.part.of))
}

/// A letter's sections in their order, in lower case.
pub const SECTIONS: [(Nearness, &str); 5] = [
    (Nearness::Overdue, "quá hạn"),
    (Nearness::DueToday, "đến hạn hôm nay"),
    (Nearness::Upcoming, "sắp đến hạn"),
    (Nearness::Confirm, "chờ xác nhận"),
    (Nearness::Returned, "bị trả lại"),
];

/// The subject in the office's fixed forms.
pub fn subject(facts: &LetterFacts) -> String {
    let [item] = facts.items.as_slice() else {
        // First, for an inbox shows some forty characters.
        let part = part(facts).map(|part| format!("{}, ", words::capital(&part))).unwrap_or_default();
        return format!("[Nhắc việc] {part}{} nhiệm vụ: {}", facts.items.len(), tally(facts));
    };
    let code = one_line(&item.code, 40);
    let limit = words::date(item.effective);
    let days = words::working_days(item.working_days_left);
    match item.nearness {
        Nearness::Overdue => {
            let head = item.urging.map_or_else(|| "[Quá hạn]".to_owned(), |n| format!("[Quá hạn, đôn đốc lần {n}]"));
            if item.working_days_left == 0 {
                format!("{head} {code}: đã quá hạn {limit}")
            } else {
                format!("{head} {code}: quá hạn {days}")
            }
        }
        Nearness::DueToday => match item.deadline_time {
            Some(hour) => format!("[Đến hạn hôm nay] {code}: hạn {} ngày {limit}", words::time(hour)),
            None => format!("[Đến hạn hôm nay] {code}: hạn {limit}"),
        },
        Nearness::Upcoming if item.working_days_left <= 0 => format!("[Nhắc việc] {code}: sắp đến hạn {limit}"),
        Nearness::Upcoming => format!("[Nhắc việc] {code}: còn {days}, hạn {limit}"),
        Nearness::Confirm => format!("[Chờ xác nhận] {code}: đã trình, hạn {limit}"),
        Nearness::Returned => format!("[Trả lại] {code}: chờ phân công lại, hạn {limit}"),
    }
}
