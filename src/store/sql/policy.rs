//! The accepted texts: one row each time they changed.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{Database, DbRow, rows::instant};
use crate::store::{
    Result,
    policy::{AcceptedPolicy, PolicyStore},
};

/// The texts in force at an instant. Of several accepted within one millisecond, and after a clock was set back, the
/// one written last.
pub(super) const AT: &str = "\
    SELECT accepted_at, digest, rules, calendar FROM policy WHERE accepted_at <= $1 ORDER BY accepted_at DESC, id DESC LIMIT 1";

/// The texts accepted last.
pub(super) const IN_FORCE: &str = "SELECT accepted_at, digest, rules, calendar FROM policy ORDER BY id DESC LIMIT 1";

#[async_trait]
impl PolicyStore for Database {
    async fn accept_policy(&self, policy: &AcceptedPolicy) -> Result<bool> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "INSERT INTO policy(accepted_at, digest, rules, calendar) SELECT $1, $2, $3, $4 \
             WHERE $2 IS DISTINCT FROM (SELECT digest FROM policy ORDER BY id DESC LIMIT 1)",
        )
        .bind(policy.accepted_at.as_millisecond())
        .bind(&policy.digest)
        .bind(&policy.rules)
        .bind(&policy.calendar)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn policy_in_force(&self) -> Result<Option<AcceptedPolicy>> {
        sqlx::query(IN_FORCE).fetch_optional(self.reading()).await?.as_ref().map(accepted).transpose()
    }

    async fn policy_at(&self, at: Timestamp) -> Result<Option<AcceptedPolicy>> {
        let row = sqlx::query(AT).bind(at.as_millisecond()).fetch_optional(self.reading()).await?;
        row.as_ref().map(accepted).transpose()
    }
}

fn accepted(row: &DbRow) -> Result<AcceptedPolicy> {
    Ok(AcceptedPolicy {
        accepted_at: instant(row, "accepted_at")?,
        digest: row.try_get("digest")?,
        rules: row.try_get("rules")?,
        calendar: row.try_get("calendar")?,
    })
}
