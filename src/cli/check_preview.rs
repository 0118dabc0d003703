//! `dondoc check --preview DIR`: what the office's rules and texts would send, as files to look at.
//!
//! It writes into a new or empty folder, or over an earlier preview of its own, and never over anything else.

use std::{
    fs, io,
    path::{Component, Path},
};

use anyhow::Context as _;
use jiff::{Timestamp, ToSpan, civil::Date};

use super::{context::Context, templates::reason};
use crate::{
    engine::policy::Policy,
    message::{
        facts::{Contact, ItemFacts, LetterFacts, Nearness, NextStep, Recipient, Why},
        preview::{self, File, Ladder, Letter, Preview, sample_contact, slug},
        sample, words,
    },
    planning::{
        calendar::{Uncovered, WorkCalendar},
        plan::{Occurrence, ladder},
        rules::{Audience, ChannelKind, Filing, Rule, Unit, When},
        task::{AgencyFacts, AgencyId, ArmedBy, Block, Clock, Deadline, Obligation, Role, Secrecy, Urgency},
    },
};

/// The file by which an earlier preview is known: a line for each file it wrote.
const MARKER: &str = ".dondoc-preview";

/// Days from now to the invented task's deadline.
const AHEAD: i64 = 14;

/// Writes the preview; the line that says where it is.
pub fn run(context: &Context, folder: &Path) -> anyhow::Result<String> {
    let policy = context.policy(context.office()?)?;
    let files = files(&policy, context.now())?;
    write(folder, &files)?;
    let shown = folder.join("index.html");
    Ok(format!("Đã viết {} tệp xem trước; mở {} bằng trình duyệt.", files.len(), shown.display()))
}

/// Every file of the preview of these rules and texts as of `now`.
pub fn files(policy: &Policy, now: Timestamp) -> anyhow::Result<Vec<File>> {
    let mut preview = Preview {
        texts: &policy.texts,
        office: &policy.settings.office.name,
        from: &policy.settings.email.from,
        reply_to: policy.settings.email.reply_to.as_deref(),
        zone: policy.calendar.zone().clone(),
        now,
        ladders: Vec::new(),
    };
    let contact = sample_contact(&preview);
    preview.ladders = policy.rules.rules.iter().map(|rule| climb(policy, rule, &contact, now)).collect();
    Ok(preview::files(&preview)?)
}

/// A rule's letters for an invented task whose deadline lies [`AHEAD`].
fn climb(policy: &Policy, rule: &Rule, contact: &Contact, now: Timestamp) -> Ladder {
    let mut shown = Ladder { rule: rule.id.clone(), about: about(rule), note: None, letters: Vec::new() };
    let secrecy = rule.when.secrecy.first().copied().unwrap_or(Secrecy::Open);
    if secrecy > Secrecy::Confidential {
        shown.note = Some("Không gửi gì bằng điện tử; chỉ vào danh sách in cho người giữ tài liệu mật".to_owned());
        return shown;
    }
    if rule.when.secrecy.iter().any(|secrecy| *secrecy > Secrecy::Confidential) {
        shown.note = Some("Dưới đây là thư về việc mật; việc tối mật, tuyệt mật không gửi gì bằng điện tử".to_owned());
    }
    if let Err(uncovered) = letters(policy, rule, secrecy, contact, now, &mut shown) {
        shown.note = Some(format!("Chưa xem được hết: lịch chưa có năm {}", uncovered.0));
    }
    shown
}

fn letters(
    policy: &Policy,
    rule: &Rule,
    secrecy: Secrecy,
    contact: &Contact,
    now: Timestamp,
    shown: &mut Ladder,
) -> Result<(), Uncovered> {
    let calendar = &policy.calendar;
    let today = calendar.date_of(now);
    let deadline = calendar.roll(today.saturating_add(AHEAD.days()))?;
    let obligation = obligation(rule, deadline, now);
    let climbed = ladder(calendar, rule, &obligation)?;
    let mut urged = 0;
    for (n, occurrence) in climbed.occurrences.iter().enumerate() {
        urged += u32::from(occurrence.step.urging);
        // A repeat reads as the one before, with a higher number: one of them is enough to see.
        if occurrence.number > 2 {
            continue;
        }
        // Told as of the moment at which it may leave: a step at night waits for its hours.
        let sent = calendar.send_at(occurrence.at, &rule.hours, rule.at)?;
        let rung = Rung { occurrence, sent, next: climbed.occurrences.get(n + 1), urged };
        let item = item(policy, rule, &obligation, secrecy, &rung)?;
        let at = calendar.local(sent);
        for audience in &occurrence.step.audiences {
            let item = ItemFacts {
                why: Why { audience: audience.to_string(), ..item.why.clone() },
                also: vec![Why { audience: audience.to_string(), ..item.why.clone() }],
                ..item.clone()
            };
            let again = if occurrence.number > 1 { ", lần lặp đầu" } else { "" };
            let who = words::audience(&audience.to_string(), obligation.role);
            let facts = LetterFacts {
                office: policy.settings.office.name.clone(),
                recipient: recipient(audience, &obligation.agency, &policy.settings.office.name),
                as_of: at,
                items: vec![item],
                contact: contact.clone(),
                calendar_notes: Vec::new(),
                maybe_received_on: None,
                part: Default::default(),
                classified: secrecy.is_classified(),
                can_reply: policy.settings.email.reply_to.is_some(),
            };
            // A classified letter goes to nobody but a named official.
            let sayable = !facts.classified || !facts.recipient.name.is_empty();
            let via = |kind| sayable && occurrence.step.via.contains(&kind);
            shown.letters.push(Letter {
                slug: format!(
                    "{:02}-{}-{}{}",
                    n + 1,
                    slug(&occurrence.step.id),
                    slug(audience.to_string().split(':').next().unwrap_or_default()),
                    if occurrence.number > 1 { "-lap" } else { "" }
                ),
                label: format!("{}{again}, {} → {who}", occurrence.step.id, at.strftime("%d/%m/%Y %H:%M")),
                email: via(ChannelKind::Email),
                zalo: via(ChannelKind::Zalo) && !facts.classified,
                facts,
            });
        }
    }
    match climbed.uncovered {
        Some(uncovered) => Err(uncovered),
        None => Ok(()),
    }
}

/// An occurrence of a step, when it may leave, what follows it, and how often was urged with it.
struct Rung<'a> {
    occurrence: &'a Occurrence<'a>,
    sent: Timestamp,
    next: Option<&'a Occurrence<'a>>,
    urged: u32,
}

/// The invented task at this rung.
fn item(
    policy: &Policy,
    rule: &Rule,
    obligation: &Obligation,
    secrecy: Secrecy,
    rung: &Rung<'_>,
) -> Result<ItemFacts, Uncovered> {
    let calendar = &policy.calendar;
    let Rung { occurrence, sent, next, urged } = *rung;
    let today = calendar.date_of(sent);
    let deadline = obligation.deadline.map_or(today, |deadline| deadline.date);
    let effective = calendar.effective(Deadline { date: deadline, time: None })?;
    let left = calendar.working_between(today, effective)?;
    let classified = secrecy.is_classified();
    let base = sample::item();
    Ok(ItemFacts {
        code: "NV-MAU-000123".to_owned(),
        work: if classified { String::new() } else { base.work.clone() },
        document: if classified { Default::default() } else { base.document.clone() },
        secrecy,
        urgency: rule.when.urgency.first().copied().unwrap_or(Urgency::Normal),
        lead: if obligation.role == Role::Lead {
            obligation.agency.name.clone()
        } else {
            "Sở Nội vụ (mẫu)".to_owned()
        },
        coordinators: match obligation.role {
            Role::Lead => vec!["Sở Tài chính (mẫu)".to_owned()],
            Role::Coordinator => vec![obligation.agency.name.clone()],
        },
        role: obligation.role,
        agency: obligation.agency.name.clone(),
        clock: rule.clock,
        deadline,
        deadline_time: None,
        effective,
        rolled_because: String::new(),
        working_days_left: left,
        nearness: match effective.cmp(&today) {
            std::cmp::Ordering::Less => Nearness::Overdue,
            std::cmp::Ordering::Equal => Nearness::DueToday,
            std::cmp::Ordering::Greater => Nearness::Upcoming,
        },
        urging: occurrence.step.urging.then_some(urged),
        why: Why {
            audience: String::new(),
            rule: rule.id.clone(),
            step: occurrence.step.id.clone(),
            occurrence: occurrence.number,
        },
        next: next.map(|next| next_step(calendar, occurrence, next)),
        answer_by: next
            .and_then(|next| calendar.add_working(calendar.date_of(next.at), -1).ok())
            .filter(|day| *day > today),
        reasoning: vec![reasoning(occurrence, effective)],
        link: policy
            .settings
            .web
            .public_url
            .as_deref()
            .filter(|_| !classified)
            .map(|base| format!("{}/n/NV-MAU-000123", base.trim_end_matches('/'))),
        due_at: occurrence.at,
        late_since: None,
        corrected_from: None,
        ..base
    })
}

/// `bước qua-han-1 là 1 ngày làm việc sau hạn 07/12/2026`
fn reasoning(occurrence: &Occurrence<'_>, effective: Date) -> String {
    let due = occurrence.step.due;
    let unit = match due.unit {
        Unit::WorkingDays => "ngày làm việc",
        Unit::Days => "ngày",
        Unit::Hours => "giờ",
    };
    let how = match due.n {
        0 => "đúng hạn".to_owned(),
        n if n < 0 => format!("là {} {unit} trước hạn", n.unsigned_abs()),
        n => format!("là {n} {unit} sau hạn"),
    };
    let again = if occurrence.number > 1 { ", lần lặp đầu" } else { "" };
    format!("bước {} {how} {}{again}", occurrence.step.id, words::date(effective))
}

fn next_step(calendar: &WorkCalendar, present: &Occurrence<'_>, next: &Occurrence<'_>) -> NextStep {
    let adds = next.step.audiences.iter().filter(|audience| !present.step.audiences.contains(audience));
    NextStep {
        on: calendar.date_of(next.at),
        step: next.step.id.clone(),
        adds: adds.map(ToString::to_string).collect(),
        files_notice: next.step.files.contains(&Filing::Notice),
        urging: next.step.urging,
    }
}

fn obligation(rule: &Rule, deadline: Date, now: Timestamp) -> Obligation {
    let block = rule.when.block.first().copied().unwrap_or(Block::State);
    let name = match block {
        Block::State => "Sở Nội vụ (mẫu)",
        Block::Party => "Ban Tổ chức Thành ủy (mẫu)",
        Block::Enterprise => "Công ty Thoát nước (mẫu)",
    };
    Obligation {
        role: rule.when.role.first().copied().unwrap_or(Role::Lead),
        agency: AgencyFacts {
            id: AgencyId(0),
            code: "MAU".to_owned(),
            name: name.to_owned(),
            block,
            kind: rule.when.agency_kind.first().cloned().unwrap_or_default(),
        },
        clock: rule.clock,
        deadline: Some(Deadline { date: deadline, time: None }),
        arming: 1,
        armed_at: now,
        armed_by: ArmedBy::Entered,
        overdue_from: None,
        bound: None,
        acknowledged_until: None,
        ended: false,
    }
}

/// An invented holder of a post.
fn recipient(audience: &Audience, agency: &AgencyFacts, office: &str) -> Recipient {
    let (head, deputy) = match agency.block {
        Block::State => ("Giám đốc", "Phó Giám đốc"),
        Block::Party => ("Trưởng ban", "Phó Trưởng ban"),
        Block::Enterprise => ("Tổng Giám đốc", "Phó Tổng Giám đốc"),
    };
    let enterprise = agency.block == Block::Enterprise;
    let person = |name: &str, title: &str, home: &str, enterprise| Recipient {
        honorific: "ông".to_owned(),
        name: format!("{name} (mẫu)"),
        title: title.to_owned(),
        agency: home.to_owned(),
        enterprise,
        stands_in_for: String::new(),
    };
    let mailbox = |home: &str| Recipient { agency: home.to_owned(), ..Recipient::default() };
    match audience {
        Audience::Handler => person("Nguyễn Văn An", "Chuyên viên", &agency.name, enterprise),
        Audience::AgencyHead => person("Vũ Văn Đạt", head, &agency.name, enterprise),
        Audience::AgencyDeputy => person("Lê Minh Quân", deputy, &agency.name, enterprise),
        Audience::AgencyContact => person("Phạm Văn Hải", "Đầu mối", &agency.name, enterprise),
        Audience::AgencyBox => Recipient { enterprise, ..mailbox(&agency.name) },
        Audience::Monitor => person("Hoàng Văn Thắng", "Chuyên viên", office, false),
        Audience::SuperiorHead => person("Đỗ Văn Minh", "Chủ tịch", "UBND Thành phố", false),
        Audience::AssignerOffice => mailbox(office),
        Audience::Inspection => mailbox("Cơ quan kiểm tra"),
        // Never written into a rule: a refused letter's stand-in.
        Audience::BoxOf(owner) => mailbox(&recipient(owner, agency, office).agency),
        Audience::Person(_) | Audience::Email(_) => person("Người được chỉ định", "", "", false),
    }
}

/// For whom a rule is, in words.
fn about(rule: &Rule) -> String {
    let When { role, block, urgency, secrecy, .. } = &rule.when;
    let mut said: Vec<String> = Vec::new();
    let mut list = |words: Vec<&str>| {
        if !words.is_empty() {
            said.push(words.join(", "));
        }
    };
    list(role.iter().map(|role| if *role == Role::Lead { "chủ trì" } else { "phối hợp" }).collect());
    list(
        block
            .iter()
            .map(|block| match block {
                Block::State => "khối chính quyền",
                Block::Party => "khối đảng",
                Block::Enterprise => "khối doanh nghiệp nhà nước",
            })
            .collect(),
    );
    list(urgency.iter().map(|urgency| words::urgency(*urgency)).collect());
    list(
        secrecy
            .iter()
            .map(|secrecy| match secrecy {
                Secrecy::Open => "không mật",
                Secrecy::Confidential => "mật",
                Secrecy::Secret => "tối mật",
                Secrecy::TopSecret => "tuyệt mật",
            })
            .collect(),
    );
    said.push(words::clock(rule.clock).to_owned());
    if rule.clock == Clock::Report {
        said.push("nhắc việc gửi báo cáo".to_owned());
    }
    words::capital(&said.join("; "))
}

/// Writes the files into a new or empty folder, or in the place of an earlier preview.
pub fn write(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    let failed =
        |what: &Path, error: io::Error| anyhow::anyhow!("không viết được {}: {}", what.display(), reason(&error));
    match fs::read_dir(folder) {
        Ok(mut entries) => {
            let marker = folder.join(MARKER);
            if marker.is_file() {
                clear(folder, &marker)?;
            } else if entries.next().is_some() {
                anyhow::bail!(
                    "thư mục {} đã có tệp khác: chọn một thư mục mới hoặc trống (chỉ ghi đè lên bản xem trước do dondoc viết)",
                    folder.display()
                );
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        Err(error) => return Err(failed(folder, error)),
    }
    // First what will be written, so that a preview broken off half-way can be cleared too.
    let list: String = files.iter().map(|(path, _)| format!("{path}\n")).collect();
    let marker = folder.join(MARKER);
    fs::write(&marker, list).map_err(|error| failed(&marker, error))?;
    for (path, bytes) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        }
        // A file that somebody put there since stays; it is told.
        let made = fs::OpenOptions::new().write(true).create_new(true).open(&path);
        made.and_then(|mut file| io::Write::write_all(&mut file, bytes)).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                anyhow::anyhow!("tệp {} không phải của bản xem trước: chuyển nó đi rồi chạy lại", path.display())
            }
            _ => failed(&path, error),
        })?;
    }
    Ok(())
}

/// Takes away what an earlier preview wrote, and nothing else.
fn clear(folder: &Path, marker: &Path) -> anyhow::Result<()> {
    let list = fs::read_to_string(marker).with_context(|| format!("không đọc được {}", marker.display()))?;
    for line in list.lines() {
        let inside = Path::new(line).components().all(|part| matches!(part, Component::Normal(_)));
        if inside && !line.is_empty() {
            let path = folder.join(line);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    anyhow::bail!("không xóa được {}: {}", path.display(), reason(&error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
