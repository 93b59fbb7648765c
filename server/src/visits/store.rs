//! Rows of visits and of what happened to them.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, DeviceId, SiteId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{Visit, VisitState};
use serde::Serialize;

use super::http::ListVisits;
use crate::db::schema::{devices, sites, users, visit_events, visit_pulls, visits};
use crate::db::{self, Both, Conn, MultiBackend};
use crate::error::{Error, Result};

#[derive(Insertable)]
#[diesel(table_name = visits)]
pub(super) struct NewVisit {
    pub id: VisitId,
    pub check_id: CheckId,
    pub site_id: SiteId,
    pub inspector_id: Option<UserId>,
    pub second_id: Option<UserId>,
    pub state: &'static str,
    pub version: i64,
    pub window_start_at: Timestamp,
    pub window_end_at: Timestamp,
    pub due_at: Timestamp,
    pub change_no: i64,
    pub created_at: Timestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = visits, check_for_backend(MultiBackend))]
pub(super) struct VisitRow {
    pub id: VisitId,
    pub check_id: CheckId,
    pub site_id: SiteId,
    pub inspector_id: Option<UserId>,
    pub second_id: Option<UserId>,
    pub state: String,
    pub version: i64,
    pub window_start_at: Timestamp,
    pub window_end_at: Timestamp,
    pub due_at: Timestamp,
    pub checklist_hash: Option<Sha256>,
    pub outcome: Option<String>,
    pub reason: Option<String>,
    pub finished_at: Option<Timestamp>,
    pub change_no: i64,
}

/// A visit with the names that a reader wants beside the ids.
pub(super) struct NamedVisit {
    pub row: VisitRow,
    site_name: String,
    country: String,
    time_zone: String,
    inspector_name: Option<String>,
    second_name: Option<String>,
}

/// What changes; `None` leaves a column as it is.
#[derive(AsChangeset)]
#[diesel(table_name = visits)]
pub(super) struct Update {
    state: String,
    version: i64,
    /// Set where devices must hear of it with their next pull.
    pub change_no: Option<i64>,
    pub inspector_id: Option<Option<UserId>>,
    pub second_id: Option<Option<UserId>>,
    pub window_start_at: Option<Timestamp>,
    pub window_end_at: Option<Timestamp>,
    pub checklist_hash: Option<Option<Sha256>>,
    pub outcome: Option<Option<String>>,
    pub reason: Option<Option<String>>,
    pub last_sync_at: Option<Option<Timestamp>>,
    pub finished_at: Option<Option<Timestamp>>,
}

impl Update {
    pub fn to(state: VisitState, version: i64) -> Self {
        Self {
            state: state.as_str().to_owned(),
            version,
            change_no: None,
            inspector_id: None,
            second_id: None,
            window_start_at: None,
            window_end_at: None,
            checklist_hash: None,
            outcome: None,
            reason: None,
            last_sync_at: None,
            finished_at: None,
        }
    }
}

/// Something that happened to a visit.
#[derive(Debug, Clone, Queryable, Serialize, utoipa::ToSchema)]
pub struct Event {
    pub at: Timestamp,
    /// `user:…`, `device:…` or `tick`.
    pub actor: String,
    pub verb: String,
    pub detail: String,
}

pub(super) fn next_change(conn: &mut Conn) -> Result<i64> {
    db::next_value(conn, "visit_changes")
}

pub(super) fn insert(conn: &mut Conn, row: &NewVisit) -> Result<()> {
    diesel::insert_into(visits::table).values(row).execute(conn)?;
    Ok(())
}

/// Locks the visit's row until the commit, so that what is read after this stays so. A visit that
/// does not exist is left to the read.
pub(super) fn lock(conn: &mut Conn, id: &VisitId) -> Result<()> {
    diesel::update(visits::table.filter(visits::id.eq(id)))
        .set(visits::version.eq(visits::version))
        .execute(conn)?;
    Ok(())
}

/// The visit, locked as by [`lock`].
pub(super) fn lock_named(conn: &mut Conn, id: &VisitId) -> Result<NamedVisit> {
    lock(conn, id)?;
    find(conn, id)?.ok_or_else(|| Error::not_found("visit"))
}

/// Writes what was decided about a visit that is locked and was read at `version`.
pub(super) fn update(conn: &mut Conn, id: &VisitId, version: i64, update: Update) -> Result<()> {
    let changed = diesel::update(visits::table.filter(visits::id.eq(id).and(visits::version.eq(version))))
        .set(&update)
        .execute(conn)?;
    if changed == 1 {
        Ok(())
    } else {
        Err(Error::Internal(anyhow::anyhow!("the visit {id} left version {version} while it was locked")))
    }
}

pub(super) fn heard(conn: &mut Conn, id: &VisitId, now: Timestamp) -> Result<()> {
    diesel::update(visits::table.filter(visits::id.eq(id)))
        .set(visits::last_sync_at.eq(now))
        .execute(conn)?;
    Ok(())
}

pub(super) fn checklist_hash(conn: &mut Conn, id: &VisitId) -> Result<Option<Sha256>> {
    visits::table
        .find(id)
        .select(visits::checklist_hash)
        .first(conn)
        .optional()?
        .ok_or_else(|| Error::not_found("visit"))
}

/// Writes an event; one with the same `once_key` is written once. Says whether it was.
pub(super) fn add_event_once(
    conn: &mut Conn,
    id: &VisitId,
    actor: &str,
    verb: &str,
    detail: &str,
    once_key: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let added = Both(
        diesel::insert_into(visit_events::table)
            .values((
                visit_events::id.eq(uuid::Uuid::now_v7().to_string()),
                visit_events::visit_id.eq(id),
                visit_events::at.eq(now),
                visit_events::actor.eq(actor),
                visit_events::verb.eq(verb),
                visit_events::detail.eq(detail),
                visit_events::once_key.eq(once_key),
            ))
            .on_conflict(visit_events::once_key)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(added == 1)
}

pub(super) fn add_event(
    conn: &mut Conn,
    id: &VisitId,
    actor: &str,
    verb: &str,
    detail: &str,
    once_key: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    add_event_once(conn, id, actor, verb, detail, once_key, now).map(|_| ())
}

pub(super) fn events(conn: &mut Conn, id: &VisitId) -> Result<Vec<Event>> {
    Ok(visit_events::table
        .filter(visit_events::visit_id.eq(id))
        .order((visit_events::at, visit_events::id))
        .select((visit_events::at, visit_events::actor, visit_events::verb, visit_events::detail))
        .load(conn)?)
}

diesel::alias!(users as inspectors: Inspectors, users as seconds: Seconds);

type Names = (VisitRow, String, String, String, Option<String>, Option<String>);

macro_rules! named {
    () => {
        visits::table
            .inner_join(sites::table.on(sites::id.eq(visits::site_id)))
            .left_join(inspectors.on(inspectors.field(users::id).nullable().eq(visits::inspector_id)))
            .left_join(seconds.on(seconds.field(users::id).nullable().eq(visits::second_id)))
            .select((
                VisitRow::as_select(),
                sites::name,
                sites::country,
                sites::time_zone,
                inspectors.field(users::name).nullable(),
                seconds.field(users::name).nullable(),
            ))
    };
}

/// Visits to which that person is sent, alone or as one of two.
#[diesel::dsl::auto_type(no_type_alias)]
fn is_for(user: &UserId) -> _ {
    visits::inspector_id.eq(user).or(visits::second_id.eq(user))
}

pub(super) fn find(conn: &mut Conn, id: &VisitId) -> Result<Option<NamedVisit>> {
    let found: Option<Names> = named!().filter(visits::id.eq(id)).first(conn).optional()?;
    Ok(found.map(NamedVisit::from))
}

/// One page by due date, after `cursor`.
pub(super) fn list(
    conn: &mut Conn,
    filter: &ListVisits,
    cursor: Option<&(Timestamp, VisitId)>,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<NamedVisit>> {
    let mut query = named!().into_boxed();
    match filter.state {
        Some(state) => query = query.filter(visits::state.eq(state.as_str())),
        None if !filter.all => query = query.filter(visits::finished_at.is_null()),
        None => {}
    }
    if let Some(inspector) = &filter.inspector {
        query = query.filter(is_for(inspector));
    }
    if filter.unassigned {
        query = query.filter(visits::inspector_id.is_null());
    }
    if let Some(site) = &filter.site {
        query = query.filter(visits::site_id.eq(site));
    }
    if let Some(country) = &filter.country {
        query = query.filter(sites::country.eq(country));
    }
    if filter.overdue {
        query = query.filter(visits::due_at.lt(now).and(visits::finished_at.is_null()));
    }
    if let Some((due_at, id)) = cursor {
        // The outer bound is what the index can start from.
        query =
            query.filter(visits::due_at.ge(*due_at)).filter(visits::due_at.gt(*due_at).or(visits::id.gt(id)));
    }
    let rows: Vec<Names> = query.order((visits::due_at, visits::id)).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(NamedVisit::from).collect())
}

/// Visits that changed after `after` and are this inspector's, or were pulled by this device, which
/// was not told by then that they are taken away.
pub(super) fn changed_for(
    conn: &mut Conn,
    inspector: &UserId,
    device: &DeviceId,
    after: i64,
    limit: i64,
) -> Result<Vec<NamedVisit>> {
    let untold = visit_pulls::withdrawn_change_no.is_null().or(visit_pulls::withdrawn_change_no.gt(after));
    let pulled = visit_pulls::table
        .filter(visit_pulls::device_id.eq(device).and(untold.assume_not_null()))
        .select(visit_pulls::visit_id);
    let rows: Vec<Names> = named!()
        .filter(visits::change_no.gt(after))
        .filter(is_for(inspector).or(visits::id.eq_any(pulled).assume_not_null()))
        .order(visits::change_no)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(NamedVisit::from).collect())
}

/// Whether that person is sent to the visit now.
pub(super) fn is_assigned(conn: &mut Conn, visit: &VisitId, user: &UserId) -> Result<bool> {
    let found = visits::table.filter(visits::id.eq(visit)).filter(is_for(user)).select(visits::version);
    Ok(found.first::<i64>(conn).optional()?.is_some())
}

/// Whether a device of that person ever pulled the visit.
pub(super) fn was_pulled_by(conn: &mut Conn, visit: &VisitId, user: &UserId) -> Result<bool> {
    let theirs = visit_pulls::table
        .inner_join(devices::table.on(devices::id.eq(visit_pulls::device_id)))
        .filter(visit_pulls::visit_id.eq(visit).and(devices::user_id.eq(user)));
    Ok(theirs.select(visit_pulls::version).first::<i64>(conn).optional()?.is_some())
}

/// Visits of this inspector up to `change_no` that wait to be dispatched: an earlier pull left them
/// out.
pub(super) fn left_out(
    conn: &mut Conn,
    inspector: &UserId,
    change_no: i64,
    limit: i64,
) -> Result<Vec<NamedVisit>> {
    let waiting = [VisitState::Planned.as_str(), VisitState::Announced.as_str()];
    let rows: Vec<Names> = named!()
        .filter(is_for(inspector).and(visits::change_no.le(change_no)))
        .filter(visits::state.eq_any(waiting).and(visits::checklist_hash.is_null()))
        .order(visits::change_no)
        .limit(limit)
        .load(conn)?;
    Ok(rows.into_iter().map(NamedVisit::from).collect())
}

/// Notes what the device was told of a visit that is its inspector's.
pub(super) fn add_pull(conn: &mut Conn, visit: &Visit, device: &DeviceId, now: Timestamp) -> Result<()> {
    let told = (
        visit_pulls::version.eq(visit.version),
        visit_pulls::pulled_at.eq(now),
        visit_pulls::window_start_at.eq(Some(visit.window_start_at)),
        visit_pulls::window_end_at.eq(Some(visit.window_end_at)),
        visit_pulls::withdrawn_change_no.eq(None::<i64>),
    );
    Both(
        diesel::insert_into(visit_pulls::table)
            .values((visit_pulls::visit_id.eq(&visit.id), visit_pulls::device_id.eq(device), told))
            .on_conflict((visit_pulls::visit_id, visit_pulls::device_id))
            .do_update()
            .set(told),
    )
    .execute(conn)?;
    Ok(())
}

/// What a device was last told of a visit while it was its inspector's.
#[derive(Queryable, Selectable)]
#[diesel(table_name = visit_pulls, check_for_backend(MultiBackend))]
pub(super) struct Told {
    pub version: i64,
    pub window_start_at: Option<Timestamp>,
    pub window_end_at: Option<Timestamp>,
    pub pulled_at: Timestamp,
}

/// Notes that the device was told, at that change of the visit, that the visit is taken away; the
/// first time counts. Answers what it was told before, if it ever pulled the visit.
pub(super) fn withdraw(
    conn: &mut Conn,
    visit: &VisitId,
    device: &DeviceId,
    change_no: i64,
) -> Result<Option<Told>> {
    diesel::update(
        visit_pulls::table.find((visit, device)).filter(visit_pulls::withdrawn_change_no.is_null()),
    )
    .set(visit_pulls::withdrawn_change_no.eq(change_no))
    .execute(conn)?;
    Ok(visit_pulls::table.find((visit, device)).select(Told::as_select()).first(conn).optional()?)
}

/// Unfinished visits whose check was due before `now` and that no tick raised yet, a batch after
/// `after`.
pub(super) fn overdue_unraised(
    conn: &mut Conn,
    now: Timestamp,
    after: Option<&(Timestamp, VisitId)>,
    limit: i64,
) -> Result<Vec<(Timestamp, VisitId)>> {
    let mut query = visits::table
        .filter(visits::finished_at.is_null().and(visits::due_at.lt(now)))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            visit_events::table
                .filter(visit_events::visit_id.eq(visits::id).and(visit_events::verb.eq("overdue"))),
        )))
        .select((visits::due_at, visits::id))
        .into_boxed();
    if let Some((due_at, id)) = after {
        query =
            query.filter(visits::due_at.ge(*due_at)).filter(visits::due_at.gt(*due_at).or(visits::id.gt(id)));
    }
    Ok(query.order((visits::due_at, visits::id)).limit(limit).load(conn)?)
}

/// Visits under way whose window, and whose last sync, ended before `limit_at`; all, or whether
/// that one is.
pub(super) fn silent(conn: &mut Conn, limit_at: Timestamp, only: Option<&VisitId>) -> Result<Vec<VisitId>> {
    let mut query = visits::table
        .filter(visits::state.eq_any([VisitState::Dispatched.as_str(), VisitState::Open.as_str()]))
        .filter(visits::window_end_at.lt(limit_at))
        .filter(visits::last_sync_at.is_null().or(visits::last_sync_at.lt(limit_at)))
        .select(visits::id)
        .into_boxed();
    if let Some(id) = only {
        query = query.filter(visits::id.eq(id));
    }
    Ok(query.order(visits::id).limit(1000).load(conn)?)
}

impl From<Names> for NamedVisit {
    fn from((row, site_name, country, time_zone, inspector_name, second_name): Names) -> Self {
        Self { row, site_name, country, time_zone, inspector_name, second_name }
    }
}

impl NamedVisit {
    pub fn into_visit(self, now: Timestamp) -> Visit {
        let state = VisitState::parse(&self.row.state).unwrap_or(VisitState::Planned);
        Visit {
            id: self.row.id,
            check: self.row.check_id,
            site: self.row.site_id,
            site_name: self.site_name,
            country: self.country,
            state,
            version: self.row.version,
            inspector: self.row.inspector_id,
            inspector_name: self.inspector_name,
            second: self.row.second_id,
            second_name: self.second_name,
            window_start_at: self.row.window_start_at,
            window_end_at: self.row.window_end_at,
            time_zone: self.time_zone,
            due_at: self.row.due_at,
            overdue: self.row.finished_at.is_none() && self.row.due_at < now,
            outcome: self.row.outcome.and_then(|name| serde_json::from_value(name.into()).ok()),
            reason: self.row.reason,
        }
    }
}
