//! Which rule applies to an obligation, and why each one before it does not: every condition that failed, with what was
//! found and what was asked for.

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;

use crate::{
    message::words,
    planning::{
        fold::fold,
        rules::{Rule, Rules, When},
        task::{Block, Obligation, Role, Secrecy, Task, Urgency},
    },
};

/// A condition that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The key of `when`.
    pub key: &'static str,
    /// The same in words: `độ khẩn của nhiệm vụ`.
    pub about: &'static str,
    pub found: String,
    pub wanted: String,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub rule: String,
    pub applies: bool,
    /// Why not; empty where it applies.
    pub mismatches: Vec<Mismatch>,
    /// The whole as a sentence.
    pub text: String,
}

/// The rules of the obligation's clock in file order, up to the one that applies.
pub(super) fn verdicts(rules: &Rules, task: &Task, obligation: &Obligation) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for rule in rules.rules.iter().filter(|rule| rule.clock == obligation.clock) {
        let mismatches = mismatches(&rule.when, task, obligation);
        let applies = rule.when.matches(task, obligation.role, &obligation.agency).is_ok();
        verdicts.push(Verdict { rule: rule.id.clone(), applies, text: text(rule, applies, &mismatches), mismatches });
        if applies {
            break;
        }
    }
    verdicts
}

fn text(rule: &Rule, applies: bool, mismatches: &[Mismatch]) -> String {
    if applies {
        let asked = asked(&rule.when);
        let what =
            if asked.is_empty() { "quy tắc này không đặt điều kiện".to_owned() } else { asked.join(", ") };
        let basis = rule.basis.as_deref().map(|basis| format!("; căn cứ {basis}")).unwrap_or_default();
        return format!("{}: áp dụng, vì {what}{basis}", rule.id);
    }
    // Another part in the task says it all; the rest stands in the JSON.
    if let Some(role) = mismatches.iter().find(|one| one.key == "role") {
        return format!("{}: không, vì dành cho cơ quan {}, cơ quan này {}", rule.id, role.wanted, role.found);
    }
    let why: Vec<String> = mismatches
        .iter()
        .map(|one| {
            let found = if one.found.is_empty() { "để trống" } else { one.found.as_str() };
            format!("{} là {found}, quy tắc cần {}", one.about, one.wanted)
        })
        .collect();
    format!("{}: không, vì {}", rule.id, why.join("; "))
}

fn either(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<String> = texts.into_iter().collect();
    match texts.as_slice() {
        [first @ .., last] if !first.is_empty() => format!("{} hoặc {last}", first.join(", ")),
        _ => texts.concat(),
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Lead => "chủ trì",
        Role::Coordinator => "phối hợp",
    }
}

fn block(block: Block) -> &'static str {
    match block {
        Block::State => "khối chính quyền",
        Block::Party => "khối đảng",
        Block::Enterprise => "doanh nghiệp nhà nước",
    }
}

/// độ mật as it is stamped.
pub(super) fn secrecy(secrecy: Secrecy) -> &'static str {
    match secrecy {
        Secrecy::Open => "không mật",
        Secrecy::Confidential => "mật",
        Secrecy::Secret => "tối mật",
        Secrecy::TopSecret => "tuyệt mật",
    }
}

/// Every condition of a rule: its key, what it is about, what it asks for; those that ask for nothing left out.
fn conditions(when: &When) -> Vec<(&'static str, &'static str, String)> {
    let words = |list: &[&'static str]| either(list.iter().map(|word| (*word).to_owned()));
    let texts = |list: &[String]| either(list.iter().map(|text| format!("“{}”", text.nfc())));
    let roles: Vec<_> = when.role.iter().map(|one| role(*one)).collect();
    let blocks: Vec<_> = when.block.iter().map(|one| block(*one)).collect();
    let urgencies: Vec<_> = when.urgency.iter().map(|one: &Urgency| words::urgency(*one)).collect();
    let levels: Vec<_> = when.secrecy.iter().map(|one| secrecy(*one)).collect();
    let all = [
        ("role", "vai trò của cơ quan", words(&roles)),
        ("block", "khối của cơ quan", words(&blocks)),
        ("urgency", "độ khẩn của nhiệm vụ", words(&urgencies)),
        ("secrecy", "độ mật của nhiệm vụ", words(&levels)),
        ("assigner", "cấp giao", texts(&when.assigner)),
        ("document_kind", "loại văn bản", texts(&when.document_kind)),
        ("agency", "cơ quan", texts(&when.agency)),
        ("agency_kind", "cấp của cơ quan", texts(&when.agency_kind)),
        ("field", "lĩnh vực", texts(&when.field)),
        ("priority", "trọng tâm", texts(&when.priority)),
    ];
    all.into_iter().filter(|(_, _, wanted)| !wanted.is_empty()).collect()
}

fn asked(when: &When) -> Vec<String> {
    conditions(when).into_iter().map(|(_, about, wanted)| format!("{about} là {wanted}")).collect()
}

fn mismatches(when: &When, task: &Task, obligation: &Obligation) -> Vec<Mismatch> {
    let agency = &obligation.agency;
    let any = |list: &[String], text: &str| list.contains(&fold(text));
    let found = |key: &str| -> (bool, String) {
        match key {
            "role" => (when.role.contains(&obligation.role), role(obligation.role).to_owned()),
            "block" => (when.block.contains(&agency.block), block(agency.block).to_owned()),
            "urgency" => (when.urgency.contains(&task.urgency), words::urgency(task.urgency).to_owned()),
            "secrecy" => (when.secrecy.contains(&task.secrecy), secrecy(task.secrecy).to_owned()),
            "assigner" => (any(&when.assigner, &task.assigner), task.assigner.clone()),
            "document_kind" => (any(&when.document_kind, &task.document_kind), task.document_kind.clone()),
            "agency" => (any(&when.agency, &agency.code) || any(&when.agency, &agency.name), agency.name.clone()),
            "agency_kind" => (any(&when.agency_kind, &agency.kind), agency.kind.clone()),
            "field" => (any(&when.field, &task.field), task.field.clone()),
            _ => (any(&when.priority, &task.priority), task.priority.clone()),
        }
    };
    let failed = conditions(when).into_iter().filter_map(|(key, about, wanted)| {
        let (holds, found) = found(key);
        (!holds).then_some(Mismatch { key, about, found, wanted })
    });
    failed.collect()
}
