//! What every command needs first: the settings, the rules, the store; and how its answer goes out.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::{
    clock::Clock,
    config::{
        load::{OfficeFiles, load_all},
        problem::Problems,
        settings::Settings,
        settings_file::{environment, load_settings},
    },
    engine::policy::Policy,
    message::texts::Texts,
    store::{self, Address, Opened},
};

/// Exit codes that scripts depend on.
pub mod exit {
    /// done
    pub const DONE: u8 = 0;
    /// it failed; one line says what and what to do
    pub const FAILED: u8 = 1;
    /// the call is wrong, or a settings file is
    pub const USAGE: u8 = 2;
    /// done, but something needs a person
    pub const NEEDS_A_PERSON: u8 = 3;
}

/// A command that ends with a code of its own; what there was to say has been said.
#[derive(Debug, thiserror::Error)]
#[error("exit {0}")]
pub struct Exit(pub u8);

/// A call that is wrong in a way that only the command itself can see: exit code 2, like a flag that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongCall(pub String);

/// What stands behind every command.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: PathBuf,
    pub json: bool,
    pub clock: Clock,
}

impl Context {
    /// Whether colours and bars may be shown on stdout.
    pub fn terminal(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }

    /// Settings, rules and calendar; faults go to stderr and end the command with exit code 2.
    pub fn office(&self) -> anyhow::Result<OfficeFiles> {
        match load_all(&self.config, environment()) {
            Ok((office, warnings)) => {
                for warning in warnings.iter() {
                    tracing::warn!("{}", one_line(warning));
                }
                Ok(office)
            }
            Err(faults) => {
                show_faults(&faults);
                Err(Exit(exit::USAGE).into())
            }
        }
    }

    /// The settings alone, for what must answer even while the rules are at fault.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        match load_settings(&self.config, environment()) {
            Ok((settings, _)) => Ok(settings),
            Err(faults) => {
                show_faults(&faults);
                Err(Exit(exit::USAGE).into())
            }
        }
    }

    /// The policy of those files.
    pub fn policy(&self, office: OfficeFiles) -> anyhow::Result<Policy> {
        policy_of(office)
    }

    /// Opens the store of the settings.
    pub async fn store(&self, settings: &Settings) -> anyhow::Result<Arc<dyn Opened>> {
        let store = store::open(&Self::address(settings)).await?;
        let asked = self.clock.boot_time();
        if let Some(heard) = store.time().await? {
            self.clock.follow(heard, asked);
        }
        Ok(store)
    }

    /// Opens it to look only; `None` where there is no file yet.
    pub async fn look(settings: &Settings) -> store::Result<Option<Arc<dyn Opened>>> {
        let address = Self::address(settings);
        match &address {
            Address::File(path) if !path.is_file() => Ok(None),
            address => store::open_read_only(address).await.map(Some),
        }
    }

    /// Where the settings say that the ledger is.
    pub fn address(settings: &Settings) -> Address {
        match settings.store_url.strip_prefix("sqlite:") {
            Some(path) => Address::File(path.into()),
            None => Address::Server {
                url: settings.store_url.clone(),
                password: settings.store_password.as_ref().map(|password| password.expose().to_owned()),
            },
        }
    }

    /// The database file, for the lock and the socket beside it. For a server a name beside the notices' folder, of this
    /// machine's and these settings' own: others that send from the same database have theirs.
    pub fn database(settings: &Settings) -> PathBuf {
        match Self::address(settings) {
            Address::File(path) => path,
            Address::Server { url, .. } => {
                let mut own = DefaultHasher::new();
                let machine = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
                (url, &settings.file, machine).hash(&mut own);
                settings.notices.directory.with_file_name(format!("dondoc-{:016x}", own.finish()))
            }
        }
    }

    /// Rings whoever works on this database: what was changed is worked off at once. Those of other machines through the
    /// database they share, and the daemon of this machine, if one runs: answers whether it does. That nobody heard is no
    /// fault of the command: they look by themselves.
    pub async fn ring(settings: &Settings, store: &dyn Opened) -> bool {
        if let Err(error) = store.ring().await {
            tracing::debug!(%error, "nobody could be rung through the database");
        }
        crate::doorbell::ring(&crate::doorbell::socket_path(&Self::database(settings))).await
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The policy that an office's files come to.
pub fn policy_of(office: OfficeFiles) -> anyhow::Result<Policy> {
    let texts = match &office.settings.files.templates {
        Some(folder) => own_texts(folder)?,
        None => Texts::built_in(),
    };
    Ok(Policy {
        rules: office.rules.rules,
        calendar: office.calendar.calendar,
        texts,
        settings: office.settings,
        known: Default::default(),
    })
}

/// An office's own templates in force: any fault that `check` would call an error refuses all of them.
pub fn own_texts(folder: &Path) -> anyhow::Result<Texts> {
    let own = super::templates::read(folder);
    if let Some(first) = own.problems.iter().next() {
        anyhow::bail!("{}: {} [{}]", first.file, first.message, first.code);
    }
    Texts::with_overrides(&own.overrides).with_context(|| format!("templates of {}", folder.display()))
}

/// Faults of files, to stderr.
pub fn show_faults(faults: &Problems) {
    let mut err = std::io::stderr();
    let terminal = err.is_terminal();
    // A closed stderr is nobody's to tell.
    let _ = writeln!(err, "{}", faults.render(terminal).trim_end());
}

fn one_line(problem: &crate::config::problem::Problem) -> String {
    problem.render(false).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A local day or moment as it is typed: `2026-12-10`, `2026-12-10T08:00`.
pub fn read_moment(text: &str, calendar: &crate::planning::calendar::WorkCalendar) -> anyhow::Result<Timestamp> {
    if let Ok(moment) = text.parse::<jiff::civil::DateTime>()
        && text.contains(['T', ' '])
    {
        return Ok(calendar.instant(moment.date(), moment.time()));
    }
    let day: jiff::civil::Date =
        text.parse().map_err(|_| WrongCall(format!("`{text}` is not a day: write 2026-12-10 or 2026-12-10T08:00")))?;
    Ok(calendar.instant(day, jiff::civil::Time::midnight()))
}

/// An instant as JSON shows it: local with its offset.
pub fn stamp(at: Timestamp, calendar: &crate::planning::calendar::WorkCalendar) -> String {
    stamp_in(at, calendar.zone())
}

/// [`stamp`], by a zone alone.
pub fn stamp_in(at: Timestamp, zone: &jiff::tz::TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// An instant as people read it: `15/12/2026 08:00`.
pub fn told(at: Timestamp, calendar: &crate::planning::calendar::WorkCalendar) -> String {
    calendar.local(at).strftime("%d/%m/%Y %H:%M").to_string()
}
