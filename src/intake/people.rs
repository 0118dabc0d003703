//! Which person of the directory a name or an address in a task file means. Never the first of several.

use std::collections::HashMap;

use jiff::civil::Date;

use crate::{
    planning::{
        fold::fold,
        task::{AgencyId, PersonId},
    },
    store::intake::Directory,
};

/// People as tasks name them.
pub(super) struct People {
    by_email: HashMap<String, Vec<(PersonId, String)>>,
    by_agency: HashMap<(AgencyId, String), Vec<PersonId>>,
    monitors: HashMap<String, Vec<PersonId>>,
}

impl People {
    /// Those who hold a post today or later; `monitors` are the focal offices.
    pub(super) fn new(directory: &Directory, monitors: &[AgencyId], today: Date) -> Self {
        let mut people = Self { by_email: HashMap::new(), by_agency: HashMap::new(), monitors: HashMap::new() };
        let folded: HashMap<PersonId, &str> =
            directory.people.iter().map(|person| (person.id, person.folded.as_str())).collect();
        for person in directory.people.iter().filter(|person| !person.email.is_empty()) {
            people.by_email.entry(person.email.to_lowercase()).or_default().push((person.id, person.folded.clone()));
        }
        for post in directory.posts.iter().filter(|post| post.valid_to.is_none_or(|to| today <= to)) {
            let Some(name) = folded.get(&post.person) else { continue };
            let add = |list: &mut Vec<PersonId>| {
                if !list.contains(&post.person) {
                    list.push(post.person);
                }
            };
            add(people.by_agency.entry((post.agency, (*name).to_owned())).or_default());
            if monitors.contains(&post.agency) {
                add(people.monitors.entry((*name).to_owned()).or_default());
            }
        }
        people
    }

    /// By e-mail, else by name in the agency. `Err`: several.
    pub(super) fn find(&self, name: &str, email: &str, agency: Option<AgencyId>) -> Result<Option<PersonId>, ()> {
        let folded = fold(name);
        if let Some(found) = self.by_email.get(&email.to_lowercase()) {
            match found.as_slice() {
                [(one, _)] => return Ok(Some(*one)),
                several => {
                    if let Some((one, _)) = several.iter().find(|(_, of)| *of == folded) {
                        return Ok(Some(*one));
                    }
                }
            }
        }
        let Some(agency) = agency else { return Ok(None) };
        one(self.by_agency.get(&(agency, folded)))
    }

    /// By name among the people of the focal offices. `Err`: several.
    pub(super) fn monitor(&self, name: &str) -> Result<Option<PersonId>, ()> {
        one(self.monitors.get(&fold(name)))
    }
}

fn one(found: Option<&Vec<PersonId>>) -> Result<Option<PersonId>, ()> {
    match found.map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([one]) => Ok(Some(*one)),
        Some(_) => Err(()),
    }
}
