//! The directory's tables: reading them whole, writing what changed.

use jiff::civil::Date;
use serde_json::{Value, json};
use sqlx::Row;

use super::{Database, DbRow};
use crate::{
    planning::{
        fold::fold,
        task::{AgencyId, Block, PersonId},
    },
    store::{
        Result, StoreError,
        intake::{
            AgencyName, AgencyRow, Directory, DirectoryChanges, NameKind, NewPerson, PersonRow, PostRole, PostRow,
        },
        policy::{LOOKING_UNDER, PLANNED_UNDER},
    },
};

fn damaged(table: &'static str, what: &str) -> StoreError {
    StoreError::Damaged { table, what: what.to_owned() }
}

pub(super) fn date(row: &DbRow, column: &str, table: &'static str) -> Result<Option<Date>> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| text.parse().map_err(|_| damaged(table, column))).transpose()
}

pub(super) async fn read(store: &Database) -> Result<Directory> {
    let mut directory = Directory::default();
    let pool = store.reading();
    for row in sqlx::query("SELECT * FROM agency ORDER BY id").fetch_all(pool).await? {
        directory.agencies.push(AgencyRow {
            id: AgencyId(row.try_get("id")?),
            code: row.try_get("code")?,
            identifier: row.try_get("identifier")?,
            name: row.try_get("name")?,
            short_name: row.try_get("short_name")?,
            block: Block::from_word(row.try_get("block")?).ok_or_else(|| damaged("agency", "block"))?,
            kind: row.try_get("kind")?,
            superior: row.try_get("superior")?,
            active: row.try_get("active")?,
            status_note: row.try_get("status_note")?,
        });
    }
    for row in sqlx::query("SELECT * FROM agency_name ORDER BY folded, agency, kind").fetch_all(pool).await? {
        directory.names.push(AgencyName {
            agency: AgencyId(row.try_get("agency")?),
            kind: NameKind::from_word(row.try_get("kind")?).ok_or_else(|| damaged("agency_name", "kind"))?,
            folded: row.try_get("folded")?,
            typed: row.try_get("typed")?,
        });
    }
    for row in sqlx::query("SELECT * FROM person ORDER BY id").fetch_all(pool).await? {
        directory.people.push(PersonRow {
            id: PersonId(row.try_get("id")?),
            name: row.try_get("name")?,
            folded: row.try_get("folded")?,
            honorific: row.try_get("honorific")?,
            email: row.try_get("email")?,
            phone: row.try_get("phone")?,
            zalo_user_id: row.try_get("zalo_user_id")?,
            takes_zalo: row.try_get("takes_zalo")?,
        });
    }
    for row in sqlx::query("SELECT * FROM post ORDER BY id").fetch_all(pool).await? {
        directory.posts.push(PostRow {
            id: row.try_get("id")?,
            agency: AgencyId(row.try_get("agency")?),
            person: PersonId(row.try_get("person")?),
            role: PostRole::from_word(row.try_get("role")?).ok_or_else(|| damaged("post", "role"))?,
            title: row.try_get("title")?,
            valid_from: date(&row, "valid_from", "post")?,
            valid_to: date(&row, "valid_to", "post")?,
        });
    }
    Ok(directory)
}

pub(super) async fn write(store: &Database, changes: &DirectoryChanges) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let mut tx = store.begin().await?;
    let another = becomes_another(&mut tx, &changes.agencies).await?;
    for agency in &changes.agencies {
        sqlx::query(
            "INSERT INTO agency (id, code, identifier, name, short_name, block, kind, superior, active, status_note)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (id) DO UPDATE SET code = excluded.code, identifier = excluded.identifier,
               name = excluded.name, short_name = excluded.short_name, block = excluded.block, kind = excluded.kind,
               superior = excluded.superior, active = excluded.active, status_note = excluded.status_note",
        )
        .bind(agency.id.0)
        .bind(agency.code.as_deref())
        .bind(&agency.identifier)
        .bind(&agency.name)
        .bind(&agency.short_name)
        .bind(agency.block.as_str())
        .bind(&agency.kind)
        .bind(&agency.superior)
        .bind(agency.active)
        .bind(&agency.status_note)
        .execute(&mut *tx)
        .await?;
    }
    for agency in &changes.renamed {
        sqlx::query("DELETE FROM agency_name WHERE agency = $1").bind(agency.0).execute(&mut *tx).await?;
    }
    for name in &changes.names {
        sqlx::query("INSERT INTO agency_name (folded, agency, kind, typed) VALUES ($1, $2, $3, $4)")
            .bind(&name.folded)
            .bind(name.agency.0)
            .bind(name.kind.as_str())
            .bind(&name.typed)
            .execute(&mut *tx)
            .await?;
    }
    for person in &changes.people {
        sqlx::query(
            "INSERT INTO person (id, name, folded, honorific, email, phone, zalo_user_id, takes_zalo)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
               honorific = excluded.honorific, email = excluded.email, phone = excluded.phone,
               zalo_user_id = excluded.zalo_user_id, takes_zalo = excluded.takes_zalo",
        )
        .bind(person.id.0)
        .bind(&person.name)
        .bind(&person.folded)
        .bind(&person.honorific)
        .bind(&person.email)
        .bind(&person.phone)
        .bind(&person.zalo_user_id)
        .bind(person.takes_zalo)
        .execute(&mut *tx)
        .await?;
    }
    for post in &changes.posts {
        sqlx::query(
            "INSERT INTO post (id, agency, person, role, title, valid_from, valid_to)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET title = excluded.title, valid_from = excluded.valid_from,
               valid_to = excluded.valid_to",
        )
        .bind(post.id)
        .bind(post.agency.0)
        .bind(post.person.0)
        .bind(post.role.as_str())
        .bind(&post.title)
        .bind(post.valid_from.map(|day| day.to_string()))
        .bind(post.valid_to.map(|day| day.to_string()))
        .execute(&mut *tx)
        .await?;
    }
    if another {
        // Nobody says any more under what the tasks were planned: the daemon looks at each, page by page; a look that is
        // under way, and may have read the earlier directory, does not end it.
        sqlx::query("DELETE FROM mark WHERE name IN ($1, $2)")
            .bind(PLANNED_UNDER)
            .bind(LOOKING_UNDER)
            .execute(&mut *tx)
            .await?;
    }
    bump_revision(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether what rules ask of an agency (their `when`) changes for one of these: other rules may be its tasks' now.
async fn becomes_another(tx: &mut super::Conn, agencies: &[AgencyRow]) -> Result<bool> {
    let rows: Vec<_> = agencies
        .iter()
        .map(|agency| {
            json!([agency.id.0, agency.block.as_str(), agency.kind, agency.name, agency.code.as_deref().unwrap_or("")])
        })
        .collect();
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM json_each($1) AS j JOIN agency a ON a.id = CAST(j.value->>0 AS BIGINT) \
         WHERE a.block <> j.value->>1 OR a.kind <> j.value->>2 OR a.name <> j.value->>3 \
         OR coalesce(a.code, '') <> j.value->>4)",
    )
    .bind(Value::from(rows).to_string())
    .fetch_one(tx)
    .await?)
}

/// Says that the directory changed: what was composed from the earlier one is looked up again before it is sent.
async fn bump_revision(tx: &mut super::Conn) -> Result<()> {
    sqlx::query(
        "INSERT INTO mark(name, value) VALUES ('directory_revision', 1) ON CONFLICT(name) DO UPDATE SET value = mark.value + 1",
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn add_people(store: &Database, people: &[NewPerson]) -> Result<Vec<PersonId>> {
    if people.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    let mut ids = Vec::with_capacity(people.len());
    for person in people {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO person (id, name, folded, email, phone) \
                 SELECT coalesce(max(id), 0) + 1, $1, $2, $3, $4 FROM person RETURNING id",
        )
        .bind(&person.name)
        .bind(fold(&person.name))
        .bind(&person.email)
        .bind(&person.phone)
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO post (id, agency, person, role) SELECT coalesce(max(id), 0) + 1, $1, $2, 'handler' FROM post",
        )
        .bind(person.agency.0)
        .bind(id)
        .execute(&mut *tx)
        .await?;
        ids.push(PersonId(id));
    }
    bump_revision(&mut tx).await?;
    tx.commit().await?;
    Ok(ids)
}
