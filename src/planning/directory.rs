//! Who holds which post, and whom a slot leads to on a given day. The person is looked up when a message is made, never
//! copied into the task, so a head who was replaced yesterday gets nothing today.

use std::collections::{BTreeMap, HashMap};

use jiff::civil::Date;

use super::{
    fold::fold,
    rules::{Audience, ChannelKind},
    task::{AgencyId, Block, PersonId, Role, Secrecy, word_enum},
};

word_enum!(/// What a person is in an agency.
    PostRole { /// người đứng đầu
        Head = "head", /// cấp phó
        Deputy = "deputy", /// chuyên viên
        Handler = "handler", /// đầu mối
        Contact = "contact", /// văn thư: its address is the agency's shared mailbox
        Registry = "registry" });

/// An agency as recipients are looked up in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    pub id: AgencyId,
    /// Empty where it has none.
    pub code: String,
    pub name: String,
    pub block: Block,
    pub kind: String,
    /// The superior agency's name as typed.
    pub superior: String,
    pub active: bool,
}

/// A person and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    pub name: String,
    pub honorific: String,
    pub email: String,
    /// `84…`
    pub phone: String,
    pub zalo_user_id: String,
    pub takes_zalo: bool,
}

/// A dated post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub agency: AgencyId,
    pub person: PersonId,
    pub role: PostRole,
    pub title: String,
    pub from: Option<Date>,
    pub to: Option<Date>,
}

impl Post {
    fn held_on(&self, day: Date) -> bool {
        self.from.is_none_or(|from| from <= day) && self.to.is_none_or(|to| day <= to)
    }
}

/// The directory on hand, with the settings that name its special agencies.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    agencies: HashMap<AgencyId, Agency>,
    by_name: HashMap<String, Vec<AgencyId>>,
    people: HashMap<PersonId, Person>,
    posts: HashMap<AgencyId, Vec<Post>>,
    /// The agencies in which a person has or had a post.
    homes: HashMap<PersonId, Vec<AgencyId>>,
    focal: BTreeMap<Block, AgencyId>,
    inspection: Option<AgencyId>,
    allowed_domains: Vec<String>,
}

/// What is needed of a task to look its people up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TaskPeople {
    pub role: Role,
    /// The agency that is reminded.
    pub agency: AgencyId,
    pub handler: Option<PersonId>,
    pub monitor: Option<PersonId>,
    pub assigner_block: Block,
    pub secrecy: Secrecy,
}

/// Where a slot leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    pub address: String,
    pub person: Option<PersonId>,
    pub name: String,
    pub honorific: String,
    pub title: String,
    pub agency: AgencyId,
    /// The audience that has no living address and in whose place this one gets it.
    pub stands_in_for: Option<Audience>,
}

/// A slot that leads to nobody on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The person does not take Zalo, or has no number: the next channel.
    NoZalo,
    /// Neither the post, nor the agency's box, nor the monitor has a living address.
    Nobody,
    /// A classified task goes to a named official's own address or nowhere.
    NoFallback,
}

impl Unreachable {
    /// The stable word for the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Unreachable::NoZalo => "no_zalo",
            Unreachable::Nobody => "nobody_reachable",
            Unreachable::NoFallback => "no_fallback",
        }
    }
}

impl Directory {
    /// Builds the directory. `names` are the folded names of agencies; `focal` and `inspection` are names or codes
    /// from the settings and are looked up here; domains allow their subdomains too.
    pub fn new(
        agencies: impl IntoIterator<Item = Agency>,
        names: impl IntoIterator<Item = (String, AgencyId)>,
        people: impl IntoIterator<Item = Person>,
        posts: impl IntoIterator<Item = Post>,
        focal: &BTreeMap<Block, String>,
        inspection: &str,
        allowed_domains: &[String],
    ) -> Self {
        let mut directory = Directory {
            agencies: agencies.into_iter().map(|agency| (agency.id, agency)).collect(),
            people: people.into_iter().map(|person| (person.id, person)).collect(),
            allowed_domains: allowed_domains.iter().map(|domain| domain.to_lowercase()).collect(),
            ..Directory::default()
        };
        for (name, agency) in names {
            let entry = directory.by_name.entry(name).or_default();
            if !entry.contains(&agency) {
                entry.push(agency);
            }
        }
        for post in posts {
            let homes = directory.homes.entry(post.person).or_default();
            if !homes.contains(&post.agency) {
                homes.push(post.agency);
            }
            directory.posts.entry(post.agency).or_default().push(post);
        }
        directory.focal = focal.iter().filter_map(|(block, name)| Some((*block, directory.find(name)?))).collect();
        directory.inspection = directory.find(inspection);
        directory
    }

    /// The one active agency of a name, code or alias; `None` where there is none or more than one.
    pub fn find(&self, name: &str) -> Option<AgencyId> {
        let found = self.by_name.get(&fold(name))?;
        let mut active = found.iter().filter(|id| self.agencies.get(id).is_some_and(|agency| agency.active));
        match (active.next(), active.next()) {
            (Some(one), None) => Some(*one),
            _ => None,
        }
    }

    /// An agency by its number.
    pub fn agency(&self, id: AgencyId) -> Option<&Agency> {
        self.agencies.get(&id)
    }

    /// Every agency, in no order.
    pub fn agencies(&self) -> impl Iterator<Item = &Agency> {
        self.agencies.values()
    }

    /// A person by number.
    pub fn person(&self, id: PersonId) -> Option<&Person> {
        self.people.get(&id)
    }

    /// The days on which somebody takes up a post or has left one, ascending: from one to the next, everybody is
    /// reached as on the first.
    pub fn changes(&self) -> Vec<Date> {
        let begins = |post: &Post| [post.from, post.to.and_then(|last| last.tomorrow().ok())];
        let mut days: Vec<Date> = self.posts.values().flatten().flat_map(begins).flatten().collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// Whether anyone anywhere holds such a post.
    pub fn any_post(&self, role: PostRole) -> bool {
        self.posts.values().flatten().any(|post| post.role == role)
    }

    /// Whether `person:ID` names somebody, by number or e-mail address.
    pub fn knows_person(&self, id: &str) -> bool {
        id.parse().is_ok_and(|id| self.people.contains_key(&PersonId(id)))
            || self.people.values().any(|person| person.email.eq_ignore_ascii_case(id))
    }

    /// The focal office of a block.
    pub fn focal(&self, block: Block) -> Option<AgencyId> {
        self.focal.get(&block).copied()
    }

    /// The agency that inspects.
    pub fn inspection(&self) -> Option<AgencyId> {
        self.inspection
    }

    /// Who holds a post on a day: of several the one appointed last.
    pub fn holder(&self, agency: AgencyId, role: PostRole, day: Date) -> Option<(&Person, &Post)> {
        let held = self.posts.get(&agency)?.iter().filter(|post| post.role == role && post.held_on(day));
        let post = held.max_by_key(|post| (post.from, post.person))?;
        Some((self.people.get(&post.person)?, post))
    }

    /// The agency in which a person holds a post on a day: of several the one taken up last.
    pub fn home_of(&self, person: PersonId, day: Date) -> Option<AgencyId> {
        let held = self.posts_of(person).filter(|post| post.held_on(day));
        held.max_by_key(|post| post.from).map(|post| post.agency)
    }

    /// Every post of a person, held or left. Asked for each letter: it must not go through all posts there are.
    fn posts_of(&self, person: PersonId) -> impl Iterator<Item = &Post> {
        let homes = self.homes.get(&person).into_iter().flatten();
        homes.filter_map(|agency| self.posts.get(agency)).flatten().filter(move |post| post.person == person)
    }

    fn may_mail(&self, address: &str) -> bool {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        let domain = domain.to_lowercase();
        !local.is_empty()
            && address.is_ascii()
            && self
                .allowed_domains
                .iter()
                .any(|allowed| domain == *allowed || domain.strip_suffix(allowed).is_some_and(|sub| sub.ends_with('.')))
    }

    fn address(&self, person: &Person, channel: ChannelKind) -> Option<String> {
        match channel {
            ChannelKind::Email => self.may_mail(&person.email).then(|| person.email.clone()),
            ChannelKind::Zalo if !person.takes_zalo => None,
            ChannelKind::Zalo => {
                [&person.zalo_user_id, &person.phone].into_iter().find(|text| !text.is_empty()).cloned()
            }
        }
    }

    fn reach(&self, person: &Person, title: &str, agency: AgencyId, channel: ChannelKind) -> Option<Reached> {
        Some(Reached {
            address: self.address(person, channel)?,
            person: Some(person.id),
            name: person.name.clone(),
            honorific: person.honorific.clone(),
            title: title.to_owned(),
            agency,
            stands_in_for: None,
        })
    }

    fn reach_post(&self, agency: AgencyId, role: PostRole, day: Date, channel: ChannelKind) -> Option<Reached> {
        let (person, post) = self.holder(agency, role, day)?;
        let mut reached = self.reach(person, &post.title, agency, channel)?;
        if role == PostRole::Registry {
            // A shared mailbox is addressed as the agency, whoever keeps it.
            reached.name.clear();
            reached.title.clear();
        }
        Some(reached)
    }

    fn reach_person(&self, id: PersonId, day: Date, channel: ChannelKind) -> Option<Reached> {
        let person = self.people.get(&id)?;
        let post = self.posts_of(id).max_by_key(|post| (post.held_on(day), post.from));
        match post {
            Some(post) if post.held_on(day) => self.reach(person, &post.title, post.agency, channel),
            // A person whose every post ended is not there any more.
            Some(_) => None,
            None => self.reach(person, "", AgencyId(0), channel),
        }
    }

    /// Whether somebody who is in office on a day reads mail at this address.
    pub fn is_read(&self, address: &str, day: Date) -> bool {
        let mut people = self.people.values().filter(|person| person.email == address);
        people.any(|person| self.reach_person(person.id, day, ChannelKind::Email).is_some())
    }

    /// The head of the superior agency; where that is not in the directory, of the block's focal office.
    fn superior(&self, agency: AgencyId) -> Option<AgencyId> {
        let agency = self.agencies.get(&agency)?;
        self.find(&agency.superior).or_else(|| self.focal(agency.block))
    }

    /// Looks a slot up. Without a living address it falls to the box of the agency it belongs to, then to the monitor;
    /// of a classified task it falls nowhere.
    pub fn resolve(
        &self,
        task: &TaskPeople,
        audience: &Audience,
        channel: ChannelKind,
        day: Date,
    ) -> Result<Reached, Unreachable> {
        let home = self.home(task, audience);
        if let Some(reached) = self.direct(task, audience, home, channel, day) {
            return Ok(reached);
        }
        if task.secrecy.is_classified() {
            return Err(Unreachable::NoFallback);
        }
        if channel == ChannelKind::Zalo {
            return Err(Unreachable::NoZalo);
        }
        let boxed = home.and_then(|home| self.reach_post(home, PostRole::Registry, day, channel));
        let fallback = boxed.or_else(|| task.monitor.and_then(|monitor| self.reach_person(monitor, day, channel)));
        fallback.map(|reached| Reached { stands_in_for: Some(audience.clone()), ..reached }).ok_or(Unreachable::Nobody)
    }

    /// The agency an audience belongs to.
    fn home(&self, task: &TaskPeople, audience: &Audience) -> Option<AgencyId> {
        match audience {
            Audience::Handler
            | Audience::AgencyHead
            | Audience::AgencyDeputy
            | Audience::AgencyContact
            | Audience::AgencyBox => Some(task.agency),
            Audience::Monitor | Audience::AssignerOffice => self.focal(task.assigner_block),
            Audience::SuperiorHead => self.superior(task.agency),
            Audience::Inspection => self.inspection,
            Audience::BoxOf(owner) => self.home(task, owner),
            Audience::Person(_) | Audience::Email(_) => None,
        }
    }

    fn direct(
        &self,
        task: &TaskPeople,
        audience: &Audience,
        home: Option<AgencyId>,
        channel: ChannelKind,
        day: Date,
    ) -> Option<Reached> {
        let post = |role| home.and_then(|home| self.reach_post(home, role, day, channel));
        match audience {
            // The task names the lead's handler; a coordinating agency is spoken to through its contact.
            Audience::Handler if task.role == Role::Lead => {
                task.handler.and_then(|id| self.reach_person(id, day, channel))
            }
            Audience::Handler | Audience::AgencyContact => post(PostRole::Contact),
            Audience::AgencyHead | Audience::SuperiorHead => post(PostRole::Head),
            Audience::AgencyDeputy => post(PostRole::Deputy),
            Audience::AgencyBox | Audience::BoxOf(_) => post(PostRole::Registry),
            Audience::Monitor => task.monitor.and_then(|id| self.reach_person(id, day, channel)),
            // Offices take duty mail in their box; of a classified task only a named official may hear.
            Audience::AssignerOffice | Audience::Inspection if task.secrecy.is_classified() => post(PostRole::Head),
            Audience::AssignerOffice | Audience::Inspection => {
                post(PostRole::Registry).or_else(|| post(PostRole::Contact))
            }
            Audience::Person(id) => {
                let by_number = id.parse().ok().map(PersonId).filter(|id| self.people.contains_key(id));
                let by_mail =
                    || self.people.values().find(|person| person.email.eq_ignore_ascii_case(id)).map(|p| p.id);
                by_number.or_else(by_mail).and_then(|id| self.reach_person(id, day, channel))
            }
            Audience::Email(address) => (channel == ChannelKind::Email && self.may_mail(address)).then(|| Reached {
                address: address.clone(),
                person: None,
                name: String::new(),
                honorific: String::new(),
                title: String::new(),
                agency: AgencyId(0),
                stands_in_for: None,
            }),
        }
    }
}
