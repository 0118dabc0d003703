//! `dondoc check --against-store`: the files against the real tasks, and against the rules in force.
//!
//! It reads the database and changes nothing in it. A database that is not there, or was made by an older version, is a
//! note and no fault: a fresh installation must be able to check its files.

use jiff::Timestamp;

use super::{
    consequences::{InForce, Teller, weigh},
    context::Context,
    reload::digest_of,
};
use crate::{
    config::{load::OfficeFiles, problem::Problems},
    store::Opened,
};

/// What was found there.
#[derive(Debug, Clone, Default)]
pub struct AgainstStore {
    pub problems: Problems,
    /// What was compared with what, and what could not be.
    pub notes: Vec<String>,
}

impl AgainstStore {
    fn note(text: impl Into<String>) -> Self {
        Self { problems: Problems::default(), notes: vec![text.into()] }
    }
}

/// Compares. Errors of the database become notes.
pub async fn against_store(office: &OfficeFiles, now: Timestamp) -> AgainstStore {
    let store = match Context::look(&office.settings).await {
        Ok(Some(store)) => store,
        Ok(None) => return AgainstStore::note("chưa có cơ sở dữ liệu: chưa so được với nhiệm vụ thật"),
        Err(error) => return AgainstStore::note(format!("chưa so được với nhiệm vụ thật: {error}")),
    };
    let found = compare(&*store, office, now).await;
    store.close().await;
    found.unwrap_or_else(|error| AgainstStore::note(format!("chưa so được với nhiệm vụ thật: {error}")))
}

async fn compare(store: &dyn Opened, office: &OfficeFiles, now: Timestamp) -> crate::store::Result<AgainstStore> {
    let calendar = &office.calendar.calendar;
    let mut notes = Vec::new();
    // An older database has no such table; its tasks can be looked at all the same.
    let accepted = match store.policy_in_force().await {
        Ok(accepted) => accepted,
        Err(_) => {
            notes.push("cơ sở dữ liệu của phiên bản cũ: chưa so được với quy tắc đang áp dụng".to_owned());
            None
        }
    };
    let old = match &accepted {
        Some(accepted) => match InForce::read(accepted, calendar.zone()) {
            Ok(old) => Some(old),
            Err(_) => {
                notes.push("quy tắc đang áp dụng do phiên bản khác ghi, không đọc lại được: chưa so được".to_owned());
                None
            }
        },
        None if notes.is_empty() => {
            notes.push("dịch vụ chưa nhận quy tắc nào: mới xem các nhiệm vụ thật, chưa so được".to_owned());
            None
        }
        None => None,
    };
    if let Some(old) = &old {
        let since = calendar.local(old.accepted_at).strftime("%H:%M ngày %d/%m/%Y");
        let same = if old.digest == digest_of(office) { ": không khác" } else { "" };
        notes.push(format!("so với quy tắc và lịch nhận lúc {since}{same}"));
    }
    let found = weigh(store, office, old.as_ref(), now, &|| ()).await?;
    notes.push(format!("{} nhiệm vụ đang mở đã xem", found.tasks));
    let known = store.steps_known().await?.0;
    Ok(AgainstStore { problems: Teller::new(office, &known).tell(&found, old.as_ref()), notes })
}
