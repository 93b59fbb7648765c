//! Rows of checks.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;

use super::{Check, Origin};
use crate::db::schema::checks;
use crate::db::{Both, Conn, MultiBackend, insert_rows};
use crate::error::{Error, Result};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = checks, check_for_backend(MultiBackend))]
struct CheckRow {
    id: CheckId,
    shipment_id: ShipmentId,
    kind: String,
    cause: String,
    reason: String,
    due_at: Timestamp,
    opened_by: Option<UserId>,
    opened_at: Timestamp,
    origin_key: Option<String>,
    selection_id: Option<SelectionId>,
    assessment_hash: Option<Sha256>,
    item_sample: Option<String>,
}

impl CheckRow {
    fn of(check: &Check, origin: &Origin<'_>) -> Result<Self> {
        Ok(Self {
            id: check.id.clone(),
            shipment_id: check.shipment.clone(),
            kind: name(&check.kind)?,
            cause: name(&check.trigger)?,
            reason: check.reason.clone(),
            due_at: check.due_at,
            opened_by: check.opened_by.clone(),
            opened_at: check.opened_at,
            origin_key: origin.key.clone(),
            selection_id: origin.selection.cloned(),
            assessment_hash: origin.assessment.cloned(),
            item_sample: origin.item_sample.clone(),
        })
    }
}

pub(super) fn insert_new(conn: &mut Conn, checks: &[(Check, Origin<'_>)]) -> Result<()> {
    let rows: Vec<CheckRow> =
        checks.iter().map(|(check, origin)| CheckRow::of(check, origin)).collect::<Result<_>>()?;
    insert_rows!(conn, checks::table, &rows);
    Ok(())
}

/// Locks a row as an update would, and changes nothing.
pub(super) fn lock(conn: &mut Conn, id: &CheckId) -> Result<()> {
    diesel::update(checks::table.find(id)).set(checks::due_at.eq(checks::due_at)).execute(conn)?;
    Ok(())
}

/// Whether the check is new; one with the same origin is not opened twice.
pub(super) fn insert_once(conn: &mut Conn, check: &Check, origin: &Origin<'_>) -> Result<bool> {
    let row = CheckRow::of(check, origin)?;
    let inserted =
        Both(diesel::insert_into(checks::table).values(&row).on_conflict(checks::origin_key).do_nothing())
            .execute(conn)?;
    Ok(inserted == 1)
}

pub(super) fn find(conn: &mut Conn, id: &CheckId) -> Result<Option<Check>> {
    let row: Option<CheckRow> =
        checks::table.find(id).select(CheckRow::as_select()).first(conn).optional()?;
    row.map(Check::try_from).transpose()
}

pub(super) fn item_sample(conn: &mut Conn, id: &CheckId) -> Result<Option<String>> {
    let found: Option<Option<String>> =
        checks::table.find(id).select(checks::item_sample).first(conn).optional()?;
    found.ok_or_else(|| Error::not_found("check"))
}

/// Newest first, those opened before `before` only.
pub(super) fn list(
    conn: &mut Conn,
    shipment: Option<&ShipmentId>,
    before: Option<&CheckId>,
    limit: i64,
) -> Result<Vec<Check>> {
    let mut query = checks::table.select(CheckRow::as_select()).into_boxed();
    if let Some(shipment) = shipment {
        query = query.filter(checks::shipment_id.eq(shipment));
    }
    if let Some(before) = before {
        query = query.filter(checks::id.lt(before));
    }
    let rows: Vec<CheckRow> = query.order(checks::id.desc()).limit(limit).load(conn)?;
    rows.into_iter().map(Check::try_from).collect()
}

impl TryFrom<CheckRow> for Check {
    type Error = Error;
    fn try_from(row: CheckRow) -> Result<Self> {
        Ok(Self {
            id: row.id,
            shipment: row.shipment_id,
            kind: value(&row.kind)?,
            trigger: value(&row.cause)?,
            reason: row.reason,
            due_at: row.due_at,
            opened_by: row.opened_by,
            opened_at: row.opened_at,
        })
    }
}

fn name(value: &impl serde::Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(Error::Internal(anyhow::anyhow!("{other:?} is not a name"))),
    }
}

fn value<T: serde::de::DeserializeOwned>(name: &str) -> Result<T> {
    serde_json::from_value(name.into()).map_err(|e| Error::Internal(e.into()))
}
