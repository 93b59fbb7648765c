//! Rows of templates and frozen checklists.

use diesel::prelude::*;
use endcheck_protocol::checklist::{Checklist, Template};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use crate::db::schema::{checklist_templates, checklists};
use crate::db::{Both, Conn};
use crate::error::{Error, Result};

/// Whether the stored version is now this very template.
pub(super) fn insert_template_once(conn: &mut Conn, template: &Template, now: Timestamp) -> Result<bool> {
    let document = serde_json::to_string(template).map_err(|e| Error::Internal(e.into()))?;
    let hash = Sha256::of(document.as_bytes());
    let id = template.id.to_string();
    let version = i64::from(template.version);
    Both(
        diesel::insert_into(checklist_templates::table)
            .values((
                checklist_templates::id.eq(&id),
                checklist_templates::version.eq(version),
                checklist_templates::document.eq(&document),
                checklist_templates::hash.eq(&hash),
                checklist_templates::created_at.eq(now),
            ))
            .on_conflict((checklist_templates::id, checklist_templates::version))
            .do_nothing(),
    )
    .execute(conn)?;
    let stored: Sha256 = checklist_templates::table
        .filter(checklist_templates::id.eq(&id).and(checklist_templates::version.eq(version)))
        .select(checklist_templates::hash)
        .first(conn)?;
    Ok(stored == hash)
}

pub(super) fn newest_template(conn: &mut Conn, id: &str) -> Result<Template> {
    let document: String = checklist_templates::table
        .filter(checklist_templates::id.eq(id))
        .order(checklist_templates::version.desc())
        .select(checklist_templates::document)
        .first(conn)?;
    serde_json::from_str(&document).map_err(|e| Error::Internal(e.into()))
}

/// Id, version and hash of every template, newest first.
pub(super) fn templates(conn: &mut Conn) -> Result<Vec<(String, i64, Sha256)>> {
    Ok(checklist_templates::table
        .order((checklist_templates::id, checklist_templates::version.desc()))
        .select((checklist_templates::id, checklist_templates::version, checklist_templates::hash))
        .load(conn)?)
}

pub(super) fn insert_checklist_once(
    conn: &mut Conn,
    hash: &Sha256,
    frozen: &Checklist,
    now: Timestamp,
) -> Result<()> {
    let document = serde_json::to_string(frozen).map_err(|e| Error::Internal(e.into()))?;
    Both(
        diesel::insert_into(checklists::table)
            .values((
                checklists::hash.eq(hash),
                checklists::document.eq(document),
                checklists::frozen_at.eq(now),
            ))
            .on_conflict(checklists::hash)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

pub(super) fn checklist(conn: &mut Conn, hash: &Sha256) -> Result<Checklist> {
    let document: Option<String> =
        checklists::table.find(hash).select(checklists::document).first(conn).optional()?;
    let document = document.ok_or_else(|| Error::not_found("checklist"))?;
    serde_json::from_str(&document).map_err(|e| Error::Internal(e.into()))
}
