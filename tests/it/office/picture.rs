//! A ladder drawn in letters of one width, from the rule itself: the picture in README.vi.md cannot say anything else.

use dondoc::planning::rules::{Audience, ChannelKind, Filing, Offset, Rule, Step, Unit};

fn audience(audience: &Audience) -> String {
    let word = match audience {
        Audience::Handler => "chuyên viên thụ lý",
        Audience::AgencyHead => "người đứng đầu",
        Audience::AgencyDeputy => "cấp phó phụ trách",
        Audience::AgencyContact => "đầu mối của cơ quan",
        Audience::AgencyBox => "văn thư",
        Audience::Monitor => "người theo dõi",
        Audience::SuperiorHead => "lãnh đạo cấp trên",
        Audience::AssignerOffice => "văn phòng cấp giao",
        Audience::Inspection => "cơ quan kiểm tra",
        other => return other.to_string(),
    };
    word.to_owned()
}

fn when(due: Offset) -> String {
    let unit = match due.unit {
        Unit::WorkingDays | Unit::Days => "ngày",
        Unit::Hours => "giờ",
    };
    match due.n {
        0 => "ĐÚNG NGÀY HẠN".to_owned(),
        n if n < 0 => format!("trước hạn {} {unit}", -n),
        n => format!("quá hạn {n} {unit}"),
    }
}

fn row(cells: [&str; 5]) -> String {
    let widths = [18, 15, 52, 10, 0];
    let mut line = String::from(" ");
    for (cell, width) in cells.into_iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', usize::max(width, cell.chars().count() + 1) - cell.chars().count()));
    }
    line.trim_end().to_owned()
}

fn step_row(rule: &Rule, n: usize, step: &Step) -> String {
    let before: &[Audience] = if n == 0 { &[] } else { &rule.steps[n - 1].audiences };
    let earlier: Vec<&Audience> = rule.steps[..n].iter().flat_map(|step| &step.audiences).collect();
    let names =
        |one: &dyn Fn(&&Audience) -> bool| -> Vec<String> { step.audiences.iter().filter(one).map(audience).collect() };
    let only = before.iter().any(|one| !step.audiences.contains(one));
    let back = step.audiences.iter().any(|one| earlier.contains(&one) && !before.contains(one));
    let (mark, added) = if only {
        ("chỉ ", names(&|_| true))
    } else if back && earlier.iter().all(|one| step.audiences.contains(one)) {
        ("lại đủ cả, thêm ", names(&|one| !earlier.contains(one)))
    } else {
        ("", names(&|one| !before.contains(one)))
    };
    let branch = match (n, n + 1 == rule.steps.len(), added.is_empty()) {
        (0, ..) => "┌",
        (_, true, _) => "└",
        (_, _, true) => "│",
        _ => "├",
    };
    let channel = |kind: &ChannelKind| match kind {
        ChannelKind::Email => "thư",
        ChannelKind::Zalo => "Zalo",
    };
    let via: Vec<&str> = step.via.iter().map(channel).collect();
    let mut record = Vec::new();
    if step.urging {
        record.push("đôn đốc");
    }
    if step.files.contains(&Filing::Notice) {
        record.push("PHIẾU BÁO");
    }
    let mut when = when(step.due);
    if step.at != rule.at {
        when = format!("   {:02} giờ {:02}", step.at.hour(), step.at.minute());
    }
    row([&when, &step.id, &format!("{branch} {mark}{}", added.join(", ")), &via.join(", "), &record.join(", ")])
}

/// The rule's ladder, a line for each step.
pub fn draw(rule: &Rule) -> String {
    let mut lines = vec![row(["khi nào", "bước", "thêm ai nhận", "gửi bằng", "ghi sổ"])];
    lines.push(format!(" {}", "─".repeat(112)));
    for (n, step) in rule.steps.iter().enumerate() {
        if step.due.n > 0 && n > 0 && rule.steps[n - 1].due.n < 0 {
            lines.push(row(["GIỜ HẠN", "", "│", "", ""]));
        }
        lines.push(step_row(rule, n, step));
        if let Some(repeat) = step.repeat {
            let every = if repeat.every.unit == Unit::Hours { "giờ" } else { "ngày" };
            let text = format!("rồi cứ {} {every} một lần nữa, thêm {} lần", repeat.every.n, repeat.times);
            lines.push(row(["", "", &format!("  {text}"), "", ""]));
        }
    }
    lines.join("\n")
}
