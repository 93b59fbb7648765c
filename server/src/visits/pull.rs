//! What a device takes along: the inspector's visits with all that is needed on site.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::sync::PullPage;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{Visit, VisitPacket, VisitState, VisitVerb};

use super::store;
use crate::accounts::{Actor, Permission};
use crate::checks::{self, Check};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log;
use crate::shipments::{self, Shipment};
use crate::{checklists, sites};

const PAGE: i64 = 20;
/// Visits left out of earlier pulls that are tried again at once, at most.
const LEFT_OUT: i64 = 200;

/// The visits that changed for this device since `cursor`. A visit that the device fetches for the
/// first time is dispatched, and its checklist frozen. One whose checklist cannot be frozen is left
/// out, with an event that says why; it is tried again with the last page of each pull.
///
/// # Errors
/// 400 `malformed-cursor`; 403 without the right or a device.
pub fn pull(conn: &mut Conn, actor: &Actor, cursor: Option<&str>, now: Timestamp) -> Result<PullPage> {
    actor.require(Permission::Inspect)?;
    let device = actor.require_device()?.clone();
    let after: i64 = match cursor {
        None | Some("") => 0,
        Some(text) => text.parse().map_err(|_| {
            Error::malformed(
                "malformed-cursor",
                "The cursor is not one that this server gave. Pull without one.",
            )
        })?,
    };
    let mut found = store::changed_for(conn, &actor.user, &device, after, PAGE)?;
    let more = i64::try_from(found.len()) == Ok(PAGE);
    let last = found.last().map_or(after, |named| named.row.change_no);
    if !more {
        found.extend(store::left_out(conn, &actor.user, after, LEFT_OUT)?);
    }
    if found.iter().any(|named| named.row.checklist_hash.is_none()) {
        // Some are to be dispatched: those are read anew, each under its lock.
        log::lock(conn)?;
        for named in found.iter_mut().filter(|named| named.row.checklist_hash.is_none()) {
            *named = store::lock_named(conn, &named.row.id)?;
        }
    }
    let mut packets = Vec::with_capacity(found.len());
    for named in found {
        let known = named.row.checklist_hash.clone();
        let change_no = named.row.change_no;
        let visit = named.into_visit(now);
        let mine = visit.is_for(&actor.user);
        let withdrawn = !mine || visit.state == VisitState::Cancelled;
        if withdrawn && known.is_none() {
            continue;
        }
        let check = checks::get(conn, &visit.check)?;
        let shipment = shipments::get(conn, &check.shipment)?;
        let visit = if withdrawn {
            visit
        } else {
            let id = visit.id.clone();
            match dispatch(conn, visit, &shipment, known.as_ref(), actor, now) {
                Err(Error::Refused(problem)) if problem.code == checklists::CANNOT_BE_FROZEN => {
                    leave_out(conn, &id, &problem.detail, actor, now)?;
                    continue;
                }
                dispatched => dispatched?,
            }
        };
        let visit = if mine {
            store::add_pull(conn, &visit, &device, now)?;
            visit
        } else if let Some(told) = store::withdraw(conn, &visit.id, &device, change_no)? {
            as_last_told(visit, &told, actor)
        } else {
            continue;
        };
        packets.push(packet(conn, visit, &check, shipment, withdrawn)?);
    }
    Ok(PullPage { server_at: now, visits: packets, cursor: last.to_string(), more })
}

/// A visit that is somebody else's now, as its former inspector knows it: nothing of who has it or
/// how it goes on.
fn as_last_told(visit: Visit, told: &store::Told, actor: &Actor) -> Visit {
    Visit {
        state: VisitState::Dispatched,
        version: told.version,
        inspector: Some(actor.user.clone()),
        inspector_name: Some(actor.name.clone()),
        second: None,
        second_name: None,
        window_start_at: told.window_start_at.unwrap_or(told.pulled_at),
        window_end_at: told.window_end_at.unwrap_or(told.pulled_at),
        overdue: false,
        outcome: None,
        reason: None,
        ..visit
    }
}

/// Notes, once for each cause, that the visit could not go along.
fn leave_out(conn: &mut Conn, visit: &VisitId, why: &str, actor: &Actor, now: Timestamp) -> Result<()> {
    tracing::warn!(%visit, why, "a visit is left out of a pull: its checklist cannot be frozen");
    let once = format!("cannot-dispatch:{visit}:{}", Sha256::of(why.as_bytes()));
    let detail = format!("the checklist cannot be frozen: {why}");
    let noted =
        store::add_event_once(conn, visit, &actor.to_string(), "cannot-dispatch", &detail, Some(&once), now);
    noted.map(drop)
}

/// Dispatches the visit unless it is under way or done already.
fn dispatch(
    conn: &mut Conn,
    visit: Visit,
    shipment: &Shipment,
    known: Option<&Sha256>,
    actor: &Actor,
    now: Timestamp,
) -> Result<Visit> {
    let fresh = matches!(visit.state, VisitState::Planned | VisitState::Announced);
    if !fresh && known.is_some() {
        return Ok(visit);
    }
    let state = visit.state.after(VisitVerb::Pull).unwrap_or(visit.state);
    let sample = checks::item_sample(conn, &visit.check)?;
    let (hash, _) = checklists::freeze(conn, shipment, sample.as_ref(), now)?;
    let mut update = store::Update::to(state, visit.version);
    update.checklist_hash = Some(Some(hash));
    store::update(conn, &visit.id, visit.version, update)?;
    store::add_event(conn, &visit.id, &actor.to_string(), "dispatch", "", None, now)?;
    super::get(conn, &visit.id, now)
}

fn packet(
    conn: &mut Conn,
    visit: Visit,
    check: &Check,
    shipment: Shipment,
    withdrawn: bool,
) -> Result<VisitPacket> {
    let site = sites::get(conn, &visit.site)?;
    let hash = store::checklist_hash(conn, &visit.id)?.ok_or_else(|| Error::not_found("checklist"))?;
    Ok(VisitPacket {
        check_reason: check.reason.clone(),
        check_kind: serde_json::to_value(check.kind)
            .ok()
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default(),
        site_address: site.address,
        fence: site.fence,
        shipment: shipment.summary(),
        items: shipment.expected_items(),
        checklist: checklists::get(conn, &hash)?,
        withdrawn,
        visit,
    })
}
