//! End-use checks: why a shipment is to be verified, and by when.
//!
//! A check is opened by a person or, as routine, by the tick; it is carried out by visits.

mod http;
mod store;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, ItemId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::{reason, shipments};

pub use http::{ApiDoc, routes};

/// What kind of check it is, after the programmes that make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    PreLicence,
    PostLicencePreShipment,
    PostShipment,
    Routine,
    Enhanced,
    ComplianceAssessment,
    VirtualAssessment,
    DeliveryVerification,
}

/// What set it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Risk,
    Random,
    LicenceCondition,
    Tip,
    FollowUp,
    Anniversary,
    /// Somebody departed from a draw, with a reason.
    Override,
}

/// Where a check comes from, when nobody simply opened it.
#[derive(Debug, Default)]
pub(crate) struct Origin<'a> {
    /// No two checks have the same.
    pub key: Option<String>,
    pub selection: Option<&'a SelectionId>,
    pub assessment: Option<&'a Sha256>,
    /// JSON list of the ids of the items to be seen; all of them when absent.
    pub item_sample: Option<String>,
}

/// A check to be opened.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenCheck {
    pub shipment: ShipmentId,
    pub kind: CheckKind,
    pub trigger: Trigger,
    /// Why this shipment, in a sentence that the party could be shown.
    pub reason: String,
    /// When the law or the programme wants it done.
    pub due_at: Timestamp,
}

/// A check as stored and returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    pub id: CheckId,
    pub shipment: ShipmentId,
    pub kind: CheckKind,
    pub trigger: Trigger,
    pub reason: String,
    pub due_at: Timestamp,
    /// Absent where the tick opened it.
    pub opened_by: Option<UserId>,
    pub opened_at: Timestamp,
}

/// Days ahead that a check may be due.
const MAX_DAYS_AHEAD: i64 = 3_660;

/// Opens a check on a shipment.
///
/// # Errors
/// 403 without the right; 404 for an unknown shipment; 422 without a reason, for a trigger that only a draw sets, or
/// when it would be due more than ten years ahead.
pub fn open(conn: &mut Conn, actor: &Actor, command: OpenCheck, now: Timestamp) -> Result<Check> {
    actor.require(Permission::ScheduleVisits)?;
    if matches!(command.trigger, Trigger::Random | Trigger::Risk | Trigger::Override) {
        return Err(Error::invalid_field(
            "trigger",
            "is set by a draw alone: draw (POST /api/v1/selections), or name what else set the check off",
        ));
    }
    if command.due_at > now.plus(TimeDelta::days(MAX_DAYS_AHEAD)) {
        return Err(Error::invalid_field("due_at", format!("lies more than {MAX_DAYS_AHEAD} days ahead")));
    }
    shipments::get(conn, &command.shipment)?;
    let check = Check {
        id: CheckId::mint(),
        shipment: command.shipment,
        kind: command.kind,
        trigger: command.trigger,
        reason: reason::require(command.reason)?,
        due_at: command.due_at,
        opened_by: Some(actor.user.clone()),
        opened_at: now,
    };
    store::insert_once(conn, &check, &Origin::default())?;
    Ok(check)
}

/// Opens the routine check of a shipment unless it was opened before. Returns it when it is new.
///
/// # Errors
/// When the database fails.
pub fn open_routine(
    conn: &mut Conn,
    shipment: &ShipmentId,
    due_at: Timestamp,
    reason: String,
    now: Timestamp,
) -> Result<Option<Check>> {
    open_routine_for(conn, shipment, None, due_at, reason, now)
}

/// As [`open_routine`]; `round` tells the routine checks of one shipment from each other, such as by the day on
/// which they fall due. The first has none.
///
/// # Errors
/// When the database fails.
pub fn open_routine_for(
    conn: &mut Conn,
    shipment: &ShipmentId,
    round: Option<&str>,
    due_at: Timestamp,
    reason: String,
    now: Timestamp,
) -> Result<Option<Check>> {
    let check = Check {
        id: CheckId::mint(),
        shipment: shipment.clone(),
        kind: CheckKind::Routine,
        trigger: Trigger::Anniversary,
        reason,
        due_at,
        opened_by: None,
        opened_at: now,
    };
    let key = match round {
        None => format!("routine:{shipment}"),
        Some(round) => format!("routine:{shipment}:{round}"),
    };
    let origin = Origin { key: Some(key), ..Origin::default() };
    Ok(store::insert_once(conn, &check, &origin)?.then_some(check))
}

/// Opens a check that comes from somewhere, unless one of that origin is open. Whether it is new.
pub(crate) fn insert(conn: &mut Conn, check: &Check, origin: &Origin<'_>) -> Result<bool> {
    store::insert_once(conn, check, origin)
}

/// Opens checks that come from somewhere; none of their origins may be open.
pub(crate) fn insert_new(conn: &mut Conn, checks: &[(Check, Origin<'_>)]) -> Result<()> {
    store::insert_new(conn, checks)
}

/// Keeps a check as it is until the commit: whoever plans a visit for it and whoever drops it wait for each other.
///
/// # Errors
/// 404 when there is none.
pub fn lock(conn: &mut Conn, id: &CheckId) -> Result<Check> {
    store::lock(conn, id)?;
    get(conn, id)
}

/// A check by its id.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &CheckId) -> Result<Check> {
    store::find(conn, id)?.ok_or_else(|| Error::not_found("check"))
}

/// The items that a check asks to be seen; `None` for all of them.
///
/// # Errors
/// 404 when there is no such check.
pub fn item_sample(conn: &mut Conn, id: &CheckId) -> Result<Option<BTreeSet<ItemId>>> {
    match store::item_sample(conn, id)? {
        Some(sample) => serde_json::from_str(&sample).map(Some).map_err(|e| Error::Internal(e.into())),
        None => Ok(None),
    }
}

/// The checks of a shipment, newest first.
///
/// # Errors
/// When the database fails.
pub fn of_shipment(conn: &mut Conn, shipment: &ShipmentId) -> Result<Vec<Check>> {
    store::list(conn, Some(shipment), None, 100)
}
