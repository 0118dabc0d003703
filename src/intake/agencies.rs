//! Which agency a typed name means. Exactly one, or a reason why a person must say it: never the first that fits.
//!
//! A name that one active agency bears today wins over other agencies' former names. A former name leads to its single
//! successor, or to nobody.

use std::collections::HashMap;

use crate::{
    planning::{
        fold::fold,
        task::{AgencyId, Block},
    },
    store::intake::{Directory, NameKind},
};

/// What a typed name led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    One(AgencyId),
    /// No agency bears or bore it.
    Unknown,
    /// Several could be meant: their names.
    Ambiguous(Vec<String>),
    /// The agency no longer exists and has no single successor.
    Ended,
}

/// What a cell with several names led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Several {
    pub found: Vec<AgencyId>,
    /// `các sở, ngành liên quan`: nobody in particular.
    pub collective: Vec<String>,
    /// What led to no agency, and why.
    pub faulty: Vec<(String, Match)>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    block: Block,
    kind: String,
    active: bool,
}

/// All names of all agencies.
#[derive(Debug, Default)]
pub struct Agencies {
    by_name: HashMap<String, Vec<(AgencyId, NameKind)>>,
    entries: HashMap<AgencyId, Entry>,
    codes: HashMap<AgencyId, String>,
}

impl Agencies {
    /// Builds the index of a directory.
    pub fn new(directory: &Directory) -> Self {
        let mut by_name: HashMap<String, Vec<(AgencyId, NameKind)>> = HashMap::new();
        for name in &directory.names {
            by_name.entry(key(&name.folded)).or_default().push((name.agency, name.kind));
        }
        let entries = directory
            .agencies
            .iter()
            .map(|a| (a.id, Entry { name: a.name.clone(), block: a.block, kind: a.kind.clone(), active: a.active }))
            .collect();
        let codes = directory.agencies.iter().filter_map(|a| Some((a.id, a.code.clone()?))).collect();
        Self { by_name, entries, codes }
    }

    /// Its name, for show.
    pub fn name(&self, id: AgencyId) -> &str {
        self.entries.get(&id).map_or("", |entry| &entry.name)
    }

    /// What the rules ask about it.
    pub fn facts(&self, id: AgencyId) -> Option<crate::planning::task::AgencyFacts> {
        let entry = self.entries.get(&id)?;
        let code = self.codes.get(&id).unwrap_or(&entry.name).clone();
        Some(crate::planning::task::AgencyFacts {
            id,
            code,
            name: entry.name.clone(),
            block: entry.block,
            kind: entry.kind.clone(),
        })
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The agency of one name.
    pub fn find(&self, typed: &str) -> Match {
        let Some(hits) = self.by_name.get(&key(&fold(typed))) else { return Match::Unknown };
        let active = |id: &AgencyId| self.entries.get(id).is_some_and(|entry| entry.active);
        let of = |former: bool| {
            let mut ids: Vec<AgencyId> = hits
                .iter()
                .filter(|(id, kind)| active(id) && (*kind == NameKind::Former) == former)
                .map(|(id, _)| *id)
                .collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let current = of(false);
        let chosen = if current.is_empty() { of(true) } else { current };
        match chosen.as_slice() {
            [] => Match::Ended,
            [one] => Match::One(*one),
            several => Match::Ambiguous(several.iter().map(|id| self.name(*id).to_owned()).collect()),
        }
    }

    /// The agencies of a cell that may name several: pieces between `;` and line breaks, and between commas where the
    /// whole piece is no name itself (names may contain commas).
    pub fn find_several(&self, typed: &str) -> Several {
        let mut several = Several::default();
        if is_nothing(typed) {
            return several;
        }
        match self.find(typed) {
            Match::One(id) => several.found.push(id),
            Match::Unknown => {
                for piece in typed.split([';', '\n', '\r']).filter(|piece| !is_nothing(piece)) {
                    self.piece(piece, &mut several);
                }
            }
            other => several.faulty.push((typed.to_owned(), other)),
        }
        let mut seen = std::collections::HashSet::new();
        several.found.retain(|id| seen.insert(*id));
        several
    }

    /// Longest names first: `Sở A, Ban B, C, Sở D` where `Ban B, C` is one agency.
    fn piece(&self, piece: &str, several: &mut Several) {
        let parts: Vec<&str> = piece.split(',').collect();
        let mut start = 0;
        while start < parts.len() {
            let longest = (start + 1..=parts.len()).rev().find_map(|end| {
                let name = parts[start..end].join(",");
                match self.find(&name) {
                    // `các sở, ngành liên quan` may span commas; it never swallows an agency, known or not.
                    Match::Unknown
                        if is_collective(&name)
                            && (end == start + 1 || says_every(parts[start]))
                            && parts[start..end].iter().all(|part| self.find(part) == Match::Unknown) =>
                    {
                        Some((end, name, None))
                    }
                    Match::Unknown => None,
                    found => Some((end, name, Some(found))),
                }
            });
            match longest {
                Some((end, _, Some(Match::One(id)))) => {
                    several.found.push(id);
                    start = end;
                }
                Some((end, name, Some(other))) => {
                    several.faulty.push((name, other));
                    start = end;
                }
                Some((end, name, None)) => {
                    several.collective.push(name);
                    start = end;
                }
                None => {
                    if !is_nothing(parts[start]) {
                        several.faulty.push((parts[start].trim().to_owned(), Match::Unknown));
                    }
                    start += 1;
                }
            }
        }
    }
}

/// A folded name without what people leave around it.
fn key(folded: &str) -> String {
    folded.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ',' | ';' | ':' | '-' | '*')).to_owned()
}

/// Empty, or a sign that stands for it.
pub(crate) fn is_nothing(typed: &str) -> bool {
    let folded = fold(typed);
    key(&folded).is_empty() || folded == "không" || folded == "không có"
}

/// `các sở, ngành liên quan`, `UBND các xã, phường`: nobody in particular, so nobody is reminded.
fn is_collective(name: &str) -> bool {
    says_every(name) || fold(name).ends_with(&fold(" liên quan"))
}

/// `các …`, `UBND các …`.
fn says_every(name: &str) -> bool {
    let folded = fold(name);
    let mut words = folded.split(' ').filter(|word| !word.is_empty());
    let every = |word: Option<&str>| word.is_some_and(|word| [fold("các"), fold("những")].iter().any(|w| w == word));
    every(words.next()) || every(words.next())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::intake::{AgencyName, AgencyRow};

    fn agencies() -> Agencies {
        let mut directory = Directory::default();
        let mut add = |id: i64, name: &str, active: bool, names: &[(&str, NameKind)]| {
            directory.agencies.push(AgencyRow {
                id: AgencyId(id),
                code: None,
                identifier: String::new(),
                name: name.into(),
                short_name: String::new(),
                block: Block::State,
                kind: String::new(),
                superior: String::new(),
                active,
                status_note: String::new(),
            });
            for (typed, kind) in names.iter().chain(&[(name, NameKind::Name)]) {
                directory.names.push(AgencyName {
                    agency: AgencyId(id),
                    kind: *kind,
                    folded: fold(typed),
                    typed: (*typed).into(),
                });
            }
        };
        add(1, "Sở Nội vụ", true, &[("SNV", NameKind::Code), ("Sở Lao động", NameKind::Former)]);
        add(2, "Sở Du lịch", true, &[("Sở DL", NameKind::Alias), ("Sở Văn hóa cũ", NameKind::Former)]);
        add(3, "Sở Thể thao", true, &[("Sở Văn hóa cũ", NameKind::Former), ("Sở DL", NameKind::Former)]);
        add(4, "UBND quận Ba Đình", false, &[]);
        add(5, "Ban Điện, nước và khí đốt", true, &[("Trung tâm", NameKind::Alias)]);
        add(6, "Ban Nhà ở", true, &[("Trung tâm", NameKind::Alias)]);
        Agencies::new(&directory)
    }

    #[test]
    fn a_name_leads_to_one_agency_or_to_a_reason() {
        let agencies = agencies();
        let check = |typed: &str, expected: Match| assert_eq!(agencies.find(typed), expected, "{typed}");
        check(" SỞ NỘI\u{a0}VỤ. ", Match::One(AgencyId(1)));
        check("snv", Match::One(AgencyId(1)));
        check("Sở lao động", Match::One(AgencyId(1)));
        // Borne today by one, formerly by another.
        check("Sở DL", Match::One(AgencyId(2)));
        check("Sở Văn hoá cũ", Match::Ambiguous(vec!["Sở Du lịch".into(), "Sở Thể thao".into()]));
        check("Trung tâm", Match::Ambiguous(vec!["Ban Điện, nước và khí đốt".into(), "Ban Nhà ở".into()]));
        check("UBND quận Ba Đình", Match::Ended);
        check("Sở Nội vu", Match::Unknown);
    }

    #[test]
    fn several_names_are_told_apart_and_commas_inside_names_kept() {
        let agencies = agencies();
        let several =
            agencies.find_several("Sở Nội vụ, Ban Điện, nước và khí đốt;\nSở DL, các sở, ngành liên quan\r\nsnv");
        assert_eq!(several.found, [1, 5, 2].map(AgencyId));
        assert_eq!(several.collective, ["các sở, ngành liên quan".to_owned()].map(|s| format!(" {s}")));
        assert_eq!(several.faulty, []);
        let several =
            agencies.find_several("Sở Lạ, Sở Nội vụ, các đơn vị liên quan; Trung tâm; Sở Xa, đơn vị liên quan");
        assert_eq!(several.found, [AgencyId(1)]);
        let faulty: Vec<&str> = several.faulty.iter().map(|(name, _)| name.trim()).collect();
        assert_eq!(faulty, ["Sở Lạ", "Trung tâm", "Sở Xa"]);
        assert_eq!(agencies.find_several(" - "), Several::default());
    }
}
