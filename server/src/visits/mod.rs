//! Visits: who goes where, when, and how far each visit has come.
//!
//! Every change follows the one state table, `protocol::visit::VisitState::after`. Records are
//! taken in whatever state a visit is in; here they only move it along.

mod http;
mod pull;
mod remind;
mod store;
mod tick;
pub mod window;

use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, SiteId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{RefusedTransition, Visit, VisitState, VisitVerb};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{self, Actor, Permission};
use crate::checks;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::parties::{self, Happening};
use crate::{reason, selection, serials, shipments, sites};

pub use http::{ApiDoc, ListVisits, routes};
pub use pull::pull;
pub use remind::{Occasion, Reminder, to_remind};
pub use store::Event;
pub use tick::{TickOutcome, tick};

/// A visit to be planned.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleVisit {
    pub check: CheckId,
    /// Where the shipment's serials stand when absent; the declared site of one without serials.
    pub site: Option<SiteId>,
    /// May be assigned later.
    pub inspector: Option<UserId>,
    /// The second person, of a visit of two.
    #[serde(default)]
    pub second: Option<UserId>,
    /// Local time at the site, such as `2026-11-23T08:30`.
    pub window_start: String,
    pub window_end: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReassignVisit {
    /// Nobody when absent.
    pub inspector: Option<UserId>,
    /// The second person, of a visit of two; nobody when absent.
    #[serde(default)]
    pub second: Option<UserId>,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RescheduleVisit {
    /// Local time at the site.
    pub window_start: String,
    pub window_end: String,
    pub reason: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelVisit {
    pub reason: String,
}

/// What a manager does to a visit.
#[derive(Debug, Clone)]
pub enum Change {
    Announce,
    Reassign(ReassignVisit),
    Reschedule(RescheduleVisit),
    Cancel(CancelVisit),
}

/// Puts a visit on the calendar.
///
/// # Errors
/// 403, 404 for an unknown check or site, 409 `check-dropped`, 409
/// `sites-differ` where no site is named and serials stand at several, 422 for a bad window or somebody who is no inspector.
pub fn schedule(conn: &mut Conn, actor: &Actor, command: ScheduleVisit, now: Timestamp) -> Result<Visit> {
    actor.require(Permission::ScheduleVisits)?;
    let check = selection::hold(conn, &command.check)?;
    let site_id = match command.site {
        Some(site) => site,
        None => serials::site_of(conn, &check.shipment)?,
    };
    let site = sites::get(conn, &site_id)?;
    let window =
        window::read(&command.window_start, &command.window_end, &site.time_zone).map_err(Error::invalid)?;
    let placement = Placement { inspector: command.inspector, second: command.second, reason: String::new() };
    schedule_placed(conn, actor, check, site_id, window, placement, now)
}

/// Puts a visit on the calendar as a plan says.
///
/// # Errors
/// 403; 404 for an unknown check; 409 `check-dropped`; 422 for somebody who is no inspector.
pub fn schedule_at(
    conn: &mut Conn,
    actor: &Actor,
    (check, site): (&CheckId, &SiteId),
    window: window::Window,
    placement: Placement,
    now: Timestamp,
) -> Result<Visit> {
    actor.require(Permission::ScheduleVisits)?;
    let check = selection::hold(conn, check)?;
    schedule_placed(conn, actor, check, site.clone(), window, placement, now)
}

fn schedule_placed(
    conn: &mut Conn,
    actor: &Actor,
    check: checks::Check,
    site_id: SiteId,
    window: window::Window,
    placement: Placement,
    now: Timestamp,
) -> Result<Visit> {
    require_inspectors(conn, placement.inspector.as_ref(), placement.second.as_ref())?;
    let id = VisitId::mint();
    let row = store::NewVisit {
        id: id.clone(),
        check_id: check.id,
        site_id,
        inspector_id: placement.inspector,
        second_id: placement.second,
        state: VisitState::Planned.as_str(),
        version: 1,
        window_start_at: window.start_at,
        window_end_at: window.end_at,
        due_at: check.due_at,
        change_no: store::next_change(conn)?,
        created_at: now,
    };
    store::insert(conn, &row)?;
    store::add_event(conn, &id, &actor.to_string(), "schedule", &placement.reason, None, now)?;
    get(conn, &id, now)
}

/// Takes the calendar's lock: from here to the commit nobody else's visit is made or changed. Whoever also locks visits
/// does that first.
///
/// # Errors
/// When the database fails.
pub fn lock_calendar(conn: &mut Conn) -> Result<()> {
    store::next_change(conn).map(drop)
}

/// Announces, reassigns, moves or cancels a visit. `if_version` refuses when somebody else changed
/// it since.
///
/// # Errors
/// 403; 404; 409 `visit-state` naming verb and state; 412 `visit-changed`; 422.
pub fn change(
    conn: &mut Conn,
    actor: &Actor,
    id: &VisitId,
    change: Change,
    if_version: Option<i64>,
    now: Timestamp,
) -> Result<Visit> {
    actor.require(Permission::ScheduleVisits)?;
    let visit = lock(conn, id, now)?;
    if let Some(version) = if_version {
        unchanged(&visit, version)?;
    }
    let (verb, name) = match &change {
        Change::Announce => (VisitVerb::Announce, "announce"),
        Change::Reassign(_) => (VisitVerb::Reassign, "reassign"),
        Change::Reschedule(_) => (VisitVerb::Reschedule, "reschedule"),
        Change::Cancel(_) => (VisitVerb::Cancel, "cancel"),
    };
    let state = visit.state.after(verb).map_err(refused)?;
    let mut update = store::Update::to(state, visit.version + 1);
    update.change_no = Some(store::next_change(conn)?);
    let detail = match change {
        Change::Announce => String::new(),
        Change::Reassign(command) => {
            require_inspectors(conn, command.inspector.as_ref(), command.second.as_ref())?;
            update.inspector_id = Some(command.inspector);
            update.second_id = Some(command.second);
            reason::require(command.reason)?
        }
        Change::Reschedule(command) => {
            let window = window::read(&command.window_start, &command.window_end, &visit.time_zone)
                .map_err(Error::invalid)?;
            update.window_start_at = Some(window.start_at);
            update.window_end_at = Some(window.end_at);
            reason::require(command.reason)?
        }
        Change::Cancel(command) => {
            let reason = reason::require(command.reason)?;
            update.reason = Some(Some(reason.clone()));
            update.finished_at = Some(Some(now));
            reason
        }
    };
    store::update(conn, id, visit.version, update)?;
    store::add_event(conn, id, &actor.to_string(), name, &detail, None, now)?;
    get(conn, id, now)
}

/// Who is sent, and why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Nobody where the plan leaves the visit out.
    pub inspector: Option<UserId>,
    pub second: Option<UserId>,
    pub reason: String,
}

/// Places a visit as a plan says, in its window as it was where no other is given; `if_version` is the version
/// that the plan was made from.
///
/// # Errors
/// 403; 404; 409 `visit-state`; 412 `visit-changed`; 422 when somebody is no inspector any more.
pub fn place(
    conn: &mut Conn,
    actor: &Actor,
    (id, if_version): (&VisitId, i64),
    window: Option<window::Window>,
    placement: Placement,
    now: Timestamp,
) -> Result<()> {
    actor.require(Permission::ScheduleVisits)?;
    let visit = lock(conn, id, now)?;
    unchanged(&visit, if_version)?;
    require_inspectors(conn, placement.inspector.as_ref(), placement.second.as_ref())?;
    let state = visit.state.after(VisitVerb::Reschedule).map_err(refused)?;
    let mut update = store::Update::to(state, visit.version + 1);
    update.change_no = Some(store::next_change(conn)?);
    update.inspector_id = Some(placement.inspector);
    update.second_id = Some(placement.second);
    if let Some(window) = window {
        update.window_start_at = Some(window.start_at);
        update.window_end_at = Some(window.end_at);
    }
    store::update(conn, id, visit.version, update)?;
    store::add_event(conn, id, &actor.to_string(), "place", &placement.reason, None, now)
}

fn unchanged(visit: &Visit, version: i64) -> Result<()> {
    if version == visit.version {
        return Ok(());
    }
    Err(Error::with_status(
        412,
        "visit-changed",
        "The visit was changed meanwhile",
        format!(
            "The visit {} is at version {} now: read it again, then decide again.",
            visit.id, visit.version
        ),
    ))
}

/// A visit by its id.
///
/// # Errors
/// 404 when there is none.
pub fn get(conn: &mut Conn, id: &VisitId, now: Timestamp) -> Result<Visit> {
    store::find(conn, id)?.map(|row| row.into_visit(now)).ok_or_else(|| Error::not_found("visit"))
}

/// A visit that nobody else moves until the commit. Every mover of a visit reads it this way; one
/// that locks a second visit in the same transaction takes the log's lock before the first.
///
/// # Errors
/// 404 when there is none.
pub fn lock(conn: &mut Conn, id: &VisitId, now: Timestamp) -> Result<Visit> {
    store::lock_named(conn, id).map(|row| row.into_visit(now))
}

/// What happened to a visit, oldest first.
///
/// # Errors
/// When the database fails.
pub fn events(conn: &mut Conn, id: &VisitId) -> Result<Vec<Event>> {
    store::events(conn, id)
}

/// The hash of the visit's frozen checklist, once an inspector pulled it.
///
/// # Errors
/// 404 when there is no such visit.
pub fn checklist_hash(conn: &mut Conn, id: &VisitId) -> Result<Option<Sha256>> {
    store::checklist_hash(conn, id)
}

/// What a record did to its visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Opened,
    Closed(VisitOutcome),
    /// Any other record: the device was heard of.
    Heard,
}

/// Whether that person is the visit's inspector, or was when a device of theirs took it along.
///
/// # Errors
/// When the database fails.
pub fn was_assigned(conn: &mut Conn, id: &VisitId, user: &UserId) -> Result<bool> {
    Ok(store::is_assigned(conn, id, user)? || store::was_pulled_by(conn, id, user)?)
}

/// Moves a visit along after a record came in. A state that does not allow it stays as it is and is
/// returned, for the caller to make a finding of.
///
/// # Errors
/// When the database fails.
pub fn progress(
    conn: &mut Conn,
    id: &VisitId,
    progress: Progress,
    actor: &str,
    now: Timestamp,
) -> Result<Option<RefusedTransition>> {
    let visit = lock(conn, id, now)?;
    let (verb, name) = match progress {
        Progress::Heard => {
            store::heard(conn, id, now)?;
            return Ok(None);
        }
        Progress::Opened => (VisitVerb::Open, "open"),
        Progress::Closed(_) => (VisitVerb::Close, "close"),
    };
    let state = match visit.state.after(verb) {
        Ok(state) => state,
        Err(refused) => return Ok(Some(refused)),
    };
    let mut update = store::Update::to(state, visit.version);
    update.last_sync_at = Some(Some(now));
    let mut detail = String::new();
    if let Progress::Closed(outcome) = progress {
        update.outcome = Some(Some(outcome.as_str().to_owned()));
        update.finished_at = Some(Some(now));
        detail = outcome.as_str().to_owned();
    }
    store::update(conn, id, visit.version, update)?;
    store::add_event(conn, id, actor, name, &detail, None, now)?;
    if let Progress::Closed(outcome) = progress
        && outcome.is_denial()
    {
        let check = checks::get(conn, &visit.check)?;
        let happening = Happening {
            key: format!("denied:{id}"),
            visit: id,
            happened: outcome.as_str(),
            parties: shipments::receivers(conn, &check.shipment)?,
        };
        parties::remember(conn, &happening, now)?;
    }
    Ok(None)
}

/// Marks a visit as reviewed, after a determination.
///
/// # Errors
/// 409 `visit-state` when the visit is not closed.
pub fn reviewed(conn: &mut Conn, id: &VisitId, actor: &Actor, outcome: &str, now: Timestamp) -> Result<()> {
    let visit = lock(conn, id, now)?;
    let state = visit.state.after(VisitVerb::Determine).map_err(refused)?;
    store::update(conn, id, visit.version, store::Update::to(state, visit.version))?;
    store::add_event(conn, id, &actor.to_string(), "determine", outcome, None, now)
}

fn refused(refused: RefusedTransition) -> Error {
    Error::conflict("visit-state", format!("{refused}."))
}

fn require_inspectors(conn: &mut Conn, first: Option<&UserId>, second: Option<&UserId>) -> Result<()> {
    if second.is_some() && (first.is_none() || first == second) {
        return Err(Error::invalid_field(
            "second",
            "is somebody else than the inspector, who must be named too",
        ));
    }
    for (field, user) in [("inspector", first), ("second", second)] {
        let Some(user) = user else { continue };
        if !accounts::is_active_inspector(conn, user)? {
            return Err(Error::invalid_field(field, format!("{user} is not an active inspector")));
        }
    }
    Ok(())
}
