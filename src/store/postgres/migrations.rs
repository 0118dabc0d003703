//! The schema's history on PostgreSQL, applied under a lock in one transaction: all of it or nothing.

use sqlx::{
    PgPool,
    migrate::{Migration, MigrationType, Migrator},
};

use crate::store::{Result, StoreError};

/// Held while the schema is looked at and changed, so that two programs started together do not both create it.
const LOCK: &str = "SET LOCAL lock_timeout = '120s'; SELECT pg_advisory_xact_lock(8246310512)";

/// Every step, oldest first: version, name, words.
pub(super) const STEPS: &[(i64, &str, &str)] = &[
    (1, "ledger", include_str!("../migrations/postgres/0001_ledger.sql")),
    (2, "policy", include_str!("../migrations/postgres/0002_policy.sql")),
    (3, "instance", include_str!("../migrations/postgres/0003_instance.sql")),
    (4, "scale", include_str!("../migrations/postgres/0004_scale.sql")),
    (5, "clock", include_str!("../migrations/postgres/0005_clock.sql")),
    (7, "letter", include_str!("../migrations/postgres/0007_letter.sql")),
    (8, "revision", include_str!("../migrations/postgres/0008_revision.sql")),
    (9, "part", include_str!("../migrations/postgres/0009_part.sql")),
    (10, "sender", include_str!("../migrations/postgres/0010_sender.sql")),
];

/// The newest schema this program knows.
fn newest() -> i64 {
    STEPS.last().map_or(0, |(version, ..)| *version)
}

fn migrator() -> Migrator {
    let step = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    };
    let mut migrator = Migrator::with_migrations(STEPS.iter().map(step).collect());
    // Its own lock is a session's, and would leak where a pooler stands between.
    migrator.set_locking(false);
    migrator
}

/// Brings the schema up to this program's.
pub(super) async fn run(pool: &PgPool) -> Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::raw_sql(LOCK).execute(&mut *tx).await?;
    let stands = applied(&mut tx).await?;
    refuse_newer(stands)?;
    if stands != Some(newest()) {
        migrator().run_direct(None, &mut *tx, false).await?;
    }
    Ok(tx.commit().await?)
}

/// For looking only: the schema must be this program's already.
pub(super) async fn assert_known(pool: &PgPool) -> Result<()> {
    let stands = applied(&mut *pool.acquire().await?).await?;
    refuse_newer(stands)?;
    match stands {
        Some(stands) if stands == newest() => Ok(()),
        Some(stands) => Err(StoreError::Refused(format!(
            "the database's schema is version {stands}, this program's {}: start `dondoc run` of this version once, it brings the \
             database up to date",
            newest()
        ))),
        None => Err(StoreError::Refused("it has no register; is it a database of this program?".into())),
    }
}

/// The version that stands; `None` in a database without any.
async fn applied(conn: &mut super::Conn) -> Result<Option<i64>> {
    let known: bool =
        sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL").fetch_one(&mut *conn).await?;
    if !known {
        return Ok(None);
    }
    Ok(sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(conn).await?)
}

fn refuse_newer(stands: Option<i64>) -> Result<()> {
    match stands {
        Some(stands) if stands > newest() => Err(StoreError::Refused(format!(
            "the database's schema is version {stands}, newer than this program's {}: install the program that wrote it, \
             or a newer one",
            newest()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    /// The files of a folder of migrations: version and name.
    fn files(of: &str) -> BTreeSet<(i64, String)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(of);
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let parts = |name: String| {
            let (version, rest) = name.split_once('_').unwrap();
            (version.parse().unwrap(), rest.trim_end_matches(".sql").to_owned())
        };
        std::fs::read_dir(folder).unwrap().map(name).map(parts).collect()
    }

    #[test]
    fn every_step_of_sqlite_s_schema_has_its_like_and_every_file_is_applied() {
        assert_eq!(files("postgres"), files("sqlite"));
        let applied = STEPS.iter().map(|(version, name, _)| (*version, (*name).to_owned())).collect();
        assert_eq!(files("postgres"), applied);
        assert!(STEPS.is_sorted_by_key(|(version, ..)| *version));
    }

    #[test]
    fn a_newer_schema_is_refused_with_both_versions_named() {
        let refused = refuse_newer(Some(newest() + 1)).unwrap_err().to_string();
        assert!(refused.contains(&(newest() + 1).to_string()) && refused.contains(&newest().to_string()), "{refused}");
        refuse_newer(Some(newest())).unwrap();
        refuse_newer(None).unwrap();
    }
}
