//! End-use checks: why a shipment is to be verified, and by when.
//!
//! A check is opened by a person or, as routine, by the tick; it is carried out by visits.

mod http;
mod store;

use endcheck_protocol::ids::{CheckId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::shipments;

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

/// Longest reason, in characters.
const MAX_REASON_CHARS: usize = 4000;

/// Opens a check on a shipment.
///
/// # Errors
/// 403 without the right; 404 for an unknown shipment; 422 without a reason.
pub fn open(conn: &mut Conn, actor: &Actor, command: OpenCheck, now: Timestamp) -> Result<Check> {
    actor.require(Permission::ScheduleVisits)?;
    shipments::get(conn, &command.shipment)?;
    let check = Check {
        id: CheckId::mint(),
        shipment: command.shipment,
        kind: command.kind,
        trigger: command.trigger,
        reason: require_reason(command.reason)?,
        due_at: command.due_at,
        opened_by: Some(actor.user.clone()),
        opened_at: now,
    };
    store::insert_once(conn, &check, None)?;
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
    let origin = match round {
        None => format!("routine:{shipment}"),
        Some(round) => format!("routine:{shipment}:{round}"),
    };
    Ok(store::insert_once(conn, &check, Some(&origin))?.then_some(check))
}

/// A check by its id.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &CheckId) -> Result<Check> {
    store::find(conn, id)?.ok_or_else(|| Error::not_found("check"))
}

/// A reason that says something.
///
/// # Errors
/// 422 when it is empty, beyond all measure, or has control characters other than line ends and tabs.
pub fn require_reason(reason: String) -> Result<String> {
    // A browser sends line ends as CR LF.
    let reason = reason.trim().replace("\r\n", "\n");
    if let Some(control) = reason.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Error::invalid_field(
            "reason",
            format!(
                "holds the control character U+{:04X}; only line ends and tabs may stand in it",
                u32::from(control)
            ),
        ));
    }
    if reason.is_empty() {
        return Err(Error::invalid_field(
            "reason",
            "say why; the reason is kept and may have to be defended",
        ));
    }
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(Error::invalid_field("reason", format!("may have {MAX_REASON_CHARS} characters")));
    }
    Ok(reason)
}
