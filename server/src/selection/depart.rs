//! Departing from a draw: adding and dropping with a reason, on record and in the log.

use chrono::TimeDelta;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, SelectionId};
use endcheck_protocol::time::Timestamp;

use super::document::OverrideDocument;
use super::{Override, OverrideAct, OverrideSelection, Selection, get, store};
use crate::accounts::{Actor, Permission};
use crate::checks::{self, Check, CheckKind, Origin, Trigger};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::risk;
use crate::shipments::{self, Shipment};

/// Departs from a draw that was made: checks a shipment that it did not choose, or drops one that it chose and for
/// which no visit is planned.
///
/// # Errors
/// 403; 404; 409 `not-drawn`, `overridden` for a shipment that was overridden in this draw before, `chosen-already`,
/// `not-chosen`, `visit-planned`; `not-arrived` and `check-under-way` unless it is to be added even so; 422 without a
/// reason.
pub fn depart(
    conn: &mut Conn,
    actor: &Actor,
    id: &SelectionId,
    command: OverrideSelection,
    now: Timestamp,
) -> Result<Selection> {
    actor.require(Permission::ScheduleVisits)?;
    log::lock(conn)?;
    let selection = get(conn, id)?;
    let shipment = shipments::get(conn, &command.shipment)?;
    let Some(drawn) = &selection.drawn else {
        return Err(Error::conflict(
            "not-drawn",
            "The draw was not made yet; there is nothing to depart from.",
        ));
    };
    if selection.overrides.iter().any(|made| made.shipment == shipment.key) {
        return Err(Error::conflict("overridden", "This shipment was overridden in this draw already."));
    }
    let why = reason::require(command.reason)?;
    let chosen = drawn.chosen.iter().any(|selected| selected.chosen.shipment == shipment.key);
    match (command.act, chosen) {
        (OverrideAct::Add, true) => {
            return Err(Error::conflict("chosen-already", "The draw chose this shipment."));
        }
        (OverrideAct::Drop, false) => {
            return Err(Error::conflict("not-chosen", "The draw did not choose this shipment."));
        }
        (OverrideAct::Add, false) => {
            if !command.even_so {
                require_drawable(conn, &shipment, now)?;
            }
            let policy = risk::held(conn, &drawn.policy)?;
            let check = Check {
                id: CheckId::mint(),
                shipment: command.shipment.clone(),
                kind: CheckKind::PostShipment,
                trigger: Trigger::Override,
                reason: why.clone(),
                due_at: now.plus(TimeDelta::days(i64::from(policy.due_days.medium))),
                opened_by: Some(actor.user.clone()),
                opened_at: now,
            };
            let origin = Origin {
                key: Some(format!("selection:{id}:{}", command.shipment)),
                selection: Some(id),
                assessment: None,
                item_sample: None,
            };
            checks::insert(conn, &check, &origin)?;
        }
        (OverrideAct::Drop, true) => {
            if let Some(check) = store::opened(conn, id)?.get(&shipment.key) {
                // Whoever plans a visit for it meanwhile waits here, and is refused.
                checks::lock(conn, check)?;
                if store::has_visit(conn, check)? {
                    return Err(Error::conflict(
                        "visit-planned",
                        "A visit is planned for it: cancel that first.",
                    ));
                }
            }
        }
    }
    let made = Override {
        shipment: shipment.key,
        act: command.act,
        reason: why,
        author: actor.user.clone(),
        noted_at: now,
    };
    let number = uuid::Uuid::now_v7().to_string();
    let document = OverrideDocument::of(&number, id, &command.shipment, &made);
    let bytes = canonical::write(&document).map_err(|e| Error::Internal(e.into()))?;
    let logged = log::append(conn, EntryKind::SelectionOverride, &Sha256::of(&bytes), now)?;
    let text = String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))?;
    store::insert_override(conn, &document, &text, logged.index)?;
    get(conn, id)
}

/// That a draw could have chosen it: it arrived, and no check but a routine one is under way.
fn require_drawable(conn: &mut Conn, shipment: &Shipment, now: Timestamp) -> Result<()> {
    let today = now.day().to_string();
    if shipment.arrived_on.as_ref().is_none_or(|day| *day > today) {
        return Err(Error::conflict(
            "not-arrived",
            "The shipment has not arrived: no draw would choose it. Say \"even so\" (even_so) to have it checked anyway.",
        ));
    }
    if store::is_under_way(conn, &shipment.id)? {
        return Err(Error::conflict(
            "check-under-way",
            "A check of this shipment is under way. Say \"even so\" (even_so) to have another one beside it.",
        ));
    }
    Ok(())
}

/// Every departure against what the log commits to: what must be in the log, and what does not agree.
///
/// # Errors
/// When the database fails.
pub fn verify_overrides(conn: &mut Conn) -> Result<(Vec<risk::Committed>, Vec<String>)> {
    let (mut committed, mut faults) = (Vec::new(), Vec::new());
    for (says, document, log_index) in store::logged_overrides(conn)? {
        let what = format!("departure {} from draw {}", says.id, says.selection);
        let text = document.unwrap_or_default();
        let read: Option<OverrideDocument> = canonical::read(text.as_bytes()).ok();
        if read.is_none_or(|document| document != says) {
            faults.push(format!("{what} says other things than its document"));
        }
        // One that is nowhere in the log claims no entry of it.
        committed.push((what, log_index.unwrap_or(-1), Some(Sha256::of(text.as_bytes()))));
    }
    Ok((committed, faults))
}
