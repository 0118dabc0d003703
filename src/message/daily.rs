//! The daily list of those who could not be reached: to the operator about all of them, to each monitor about their own
//! tasks. It names duties, reasons and tasks' codes; no person's full address, and nothing of a classified task.

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::{
    clean::{clause, one_line},
    facts::Recipient,
    phrases, view, words,
};
use crate::planning::task::Role;

/// One duty that leads to nobody, or only to somebody else's box, with the tasks it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreachedFacts {
    pub agency: String,
    /// An audience's word.
    pub audience: String,
    pub role: Role,
    /// A channel's word.
    pub channel: String,
    /// A reason's word: `refused`, `nobody_reachable`, `no_living_address` …
    pub why: String,
    /// The day on which the first of its tasks met it.
    pub since: Date,
    /// Codes of open tasks.
    pub tasks: Vec<String>,
    /// Of a refusal: the address, masked, and what the server said.
    pub address: String,
    pub reply: String,
}

/// Everything the list says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyFacts {
    pub office: String,
    pub recipient: Recipient,
    pub as_of: DateTime,
    /// To the operator: all of them. Otherwise those of the tasks that the recipient follows.
    pub operator: bool,
    /// None: everybody can be reached again.
    pub groups: Vec<UnreachedFacts>,
    /// Slots of classified tasks: only their number is told.
    pub hidden: u32,
}

/// Groups that a letter shows; the rest is counted.
const SHOWN: usize = 150;

/// Codes that a group shows; the rest is counted.
const CODES: usize = 30;

/// The list as its templates see it.
#[derive(Debug, Serialize)]
pub struct Daily {
    pub subject: String,
    pub office: String,
    pub to: view::To,
    pub greeting: String,
    pub closing: String,
    pub notes: Vec<String>,
    /// What the list is, in a sentence or two.
    pub opening: String,
    pub groups: Vec<Group>,
    /// Classified tasks, and what found no room; may be empty.
    pub hidden: String,
    pub why: String,
}

/// One group of the list.
#[derive(Debug, Serialize)]
pub struct Group {
    pub n: usize,
    pub agency: String,
    /// `Người đứng đầu cơ quan chủ trì`
    pub duty: String,
    /// `thư điện tử`
    pub way: String,
    pub reason: String,
    /// `20/11/2026`
    pub since: String,
    /// `NV26-000123, NV26-000124`
    pub tasks: String,
    pub advice: String,
}

fn reason(facts: &UnreachedFacts) -> String {
    let (address, reply) = (one_line(&facts.address, 80), clause(&facts.reply, 160));
    match facts.why.as_str() {
        "refused" if reply.is_empty() => format!("máy chủ thư từ chối địa chỉ {address}"),
        "refused" => format!("máy chủ thư từ chối địa chỉ {address}: {reply}"),
        "nobody_reachable" => {
            "không có địa chỉ nhận nào: chưa có người giữ vai này hoặc chưa có địa chỉ, hộp thư chung của \
                               cơ quan và người theo dõi cũng không"
                .to_owned()
        }
        "no_living_address" => {
            "chưa có người giữ vai này, hoặc chưa có địa chỉ; thư đang gửi thay vào hộp thư chung".to_owned()
        }
        "no_zalo" => "không dùng Zalo".to_owned(),
        other => clause(other, 120),
    }
}

fn advice(facts: &UnreachedFacts, operator: bool) -> String {
    let mend = if operator {
        "sửa trong danh bạ rồi nhập lại (dondoc import directory)"
    } else {
        "báo bộ phận vận hành để sửa danh bạ"
    };
    match facts.why.as_str() {
        "refused" if operator => format!(
            "Hỏi cơ quan địa chỉ đúng, {mend}; thư đã bị từ chối thì xem dondoc outbox list và cho gửi lại bằng dondoc outbox \
             retry. Nhắc việc đang gửi vào hộp thư chung của cơ quan."
        ),
        "refused" => {
            format!("Đề nghị hỏi cơ quan địa chỉ đúng và {mend}. Nhắc việc đang gửi vào hộp thư chung của cơ quan.")
        }
        "nobody_reachable" => {
            format!("Nhắc việc KHÔNG tới ai. Gọi điện cho cơ quan ngay hôm nay; bổ sung ít nhất hộp thư chung: {mend}.")
        }
        _ => format!("Hỏi cơ quan ai đang giữ vai này và địa chỉ thư; {mend}."),
    }
}

/// `3 trường hợp, 12 nhiệm vụ`
fn tally(facts: &DailyFacts) -> String {
    let mut codes: Vec<&str> = facts.groups.iter().flat_map(|group| &group.tasks).map(String::as_str).collect();
    codes.sort_unstable();
    codes.dedup();
    let cases = facts.groups.len() + usize::try_from(facts.hidden).unwrap_or_default();
    if codes.is_empty() {
        format!("{cases} trường hợp")
    } else {
        format!("{cases} trường hợp, {} nhiệm vụ", codes.len())
    }
}

fn opening(facts: &DailyFacts) -> String {
    let whose = if facts.operator { "" } else { " trong các nhiệm vụ được giao theo dõi" };
    if facts.groups.is_empty() && facts.hidden == 0 {
        return format!(
            "Đến {}, không còn ai{whose} mà hệ thống không liên hệ được: các trường hợp nêu trong danh sách trước đã có địa \
             chỉ nhận, hoặc nhiệm vụ đã xong.",
            words::moment(facts.as_of)
        );
    }
    format!(
        "Đến {}, có {}{whose} mà nhắc việc, đôn đốc không tới được đúng người. Chưa sửa thì người có trách nhiệm có thể \
         không biết việc đến hạn.",
        words::moment(facts.as_of),
        tally(facts)
    )
}

fn hidden(facts: &DailyFacts) -> String {
    let mut said = Vec::new();
    if facts.groups.len() > SHOWN {
        said.push(format!("Còn {} trường hợp nữa không nêu hết ở đây.", facts.groups.len() - SHOWN));
    }
    if facts.hidden > 0 {
        let whom = if facts.operator {
            "xem dondoc status tại máy chủ"
        } else {
            "hỏi trực tiếp bộ phận vận hành"
        };
        said.push(format!("Ngoài ra có {} trường hợp không nêu trong thư: {whom}.", facts.hidden));
    }
    said.join(" ")
}

/// The list as its templates see it; greeting and closing come from theirs.
pub fn view(facts: &DailyFacts) -> Daily {
    let to = view::to(&facts.recipient);
    let day = words::date(facts.as_of.date());
    let clear = facts.groups.is_empty() && facts.hidden == 0;
    let group = |(n, group): (usize, &UnreachedFacts)| {
        let shown: Vec<String> = group.tasks.iter().take(CODES).map(|code| one_line(code, 40)).collect();
        let more = group.tasks.len().saturating_sub(CODES);
        let tasks = shown.join(", ");
        Group {
            n: n + 1,
            agency: one_line(&group.agency, 160),
            duty: words::capital(&words::audience(&group.audience, group.role)),
            way: words::form(&group.channel),
            reason: reason(group),
            since: words::date(group.since),
            tasks: if more > 0 { format!("{tasks} và {more} nhiệm vụ khác") } else { tasks },
            advice: advice(group, facts.operator),
        }
    };
    Daily {
        subject: match clear {
            true => format!("[Không liên hệ được] Đã liên hệ lại được với tất cả, {day}"),
            false => format!("[Không liên hệ được] {}, {day}", tally(facts)),
        },
        office: one_line(&facts.office, 120),
        greeting: String::new(),
        closing: String::new(),
        notes: Vec::new(),
        opening: opening(facts),
        groups: facts.groups.iter().take(SHOWN).enumerate().map(group).collect(),
        hidden: hidden(facts),
        why: match facts.operator {
            true => "Gửi tới địa chỉ vận hành (email.operator trong dondoc.toml), mỗi ngày làm việc một thư khi có trường hợp.".to_owned(),
            false => {
                let you = phrases::you(&facts.recipient);
                format!("Gửi tới {you} vì là người theo dõi các nhiệm vụ trên; mỗi ngày làm việc một thư khi có trường hợp.")
            }
        },
        to,
    }
}
