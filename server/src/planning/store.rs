//! Rows of rosters and plans, and what a case is gathered from.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, PartyId, PlanId, ShipmentId, SiteId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitState;
use serde::Serialize;

use super::case::Task;
use crate::db::schema::{
    checks, current_assessments, licence_lines, plan_decisions, plan_progress, plan_results, plans, rosters,
    selection_overrides, shipments, sites, users, visit_events, visits,
};
use crate::db::{Both, Conn, MultiBackend};
use crate::error::{Error, Result};

/// A roster, without its document.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, utoipa::ToSchema)]
#[diesel(table_name = rosters, check_for_backend(MultiBackend))]
pub struct HeldRoster {
    pub hash: Sha256,
    pub title: String,
    pub loaded_by: UserId,
    pub loaded_at: Timestamp,
}

/// Keeps a roster; one that is held already stays, and counts as loaded when it was first.
pub(super) fn insert_roster(conn: &mut Conn, held: &HeldRoster, document: &str) -> Result<()> {
    diesel::insert_into(rosters::table)
        .values((
            rosters::hash.eq(&held.hash),
            rosters::title.eq(&held.title),
            rosters::document.eq(document),
            rosters::loaded_by.eq(&held.loaded_by),
            rosters::loaded_at.eq(held.loaded_at),
        ))
        .execute(conn)?;
    Ok(())
}

/// The newest roster, with its document.
pub(super) fn newest_roster(conn: &mut Conn) -> Result<Option<(HeldRoster, String)>> {
    Ok(rosters::table
        .order((rosters::loaded_at.desc(), rosters::hash))
        .select((HeldRoster::as_select(), rosters::document))
        .first(conn)
        .optional()?)
}

pub(super) fn holds_roster(conn: &mut Conn, hash: &Sha256) -> Result<bool> {
    Ok(rosters::table.find(hash).select(rosters::title).first::<String>(conn).optional()?.is_some())
}

/// What was asked of the planner.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = plans, check_for_backend(MultiBackend))]
pub(super) struct PlanRow {
    pub id: PlanId,
    pub roster_hash: Sha256,
    pub note: String,
    pub case_document: String,
    pub seed: i64,
    pub seeds: i64,
    pub iterations: i64,
    pub asked_by: UserId,
    pub asked_at: Timestamp,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plan_progress, check_for_backend(MultiBackend))]
pub(super) struct ProgressRow {
    pub iterations_done: i64,
    pub failure: Option<String>,
    pub heard_at: Timestamp,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = plan_decisions, check_for_backend(MultiBackend))]
pub(super) struct DecisionRow {
    pub verdict: String,
    pub reason: String,
    pub decided_by: UserId,
    pub decided_at: Timestamp,
}

pub(super) fn insert_plan(conn: &mut Conn, row: &PlanRow) -> Result<()> {
    diesel::insert_into(plans::table).values(row).execute(conn)?;
    diesel::insert_into(plan_progress::table)
        .values((
            plan_progress::plan_id.eq(&row.id),
            plan_progress::iterations_done.eq(0),
            plan_progress::stop_asked.eq(false),
            plan_progress::heard_at.eq(row.asked_at),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn plan(conn: &mut Conn, id: &PlanId) -> Result<PlanRow> {
    let found = plans::table.find(id).select(PlanRow::as_select()).first(conn).optional()?;
    found.ok_or_else(|| Error::not_found("plan"))
}

/// One plan without what it is made from.
pub(super) type Listed = (
    PlanId,
    Sha256,
    String,
    i64,
    i64,
    i64,
    UserId,
    String,
    Timestamp,
    ProgressRow,
    Option<Timestamp>,
    Option<DecisionRow>,
);

/// The newest plans, or one of them.
pub(super) fn listed(conn: &mut Conn, only: Option<&PlanId>, limit: i64) -> Result<Vec<Listed>> {
    let mut query = plans::table
        .inner_join(plan_progress::table.on(plan_progress::plan_id.eq(plans::id)))
        .inner_join(users::table.on(users::id.eq(plans::asked_by)))
        .left_join(plan_results::table.on(plan_results::plan_id.eq(plans::id)))
        .left_join(plan_decisions::table.on(plan_decisions::plan_id.eq(plans::id)))
        .select((
            plans::id,
            plans::roster_hash,
            plans::note,
            plans::seed,
            plans::seeds,
            plans::iterations,
            plans::asked_by,
            users::name,
            plans::asked_at,
            ProgressRow::as_select(),
            plan_results::found_at.nullable(),
            Option::<DecisionRow>::as_select(),
        ))
        .into_boxed();
    if let Some(id) = only {
        query = query.filter(plans::id.eq(id));
    }
    Ok(query.order((plans::asked_at.desc(), plans::id.desc())).limit(limit).load(conn)?)
}

/// Notes how far the search is; answers whether it was asked to stop.
pub(super) fn heard(conn: &mut Conn, id: &PlanId, iterations_done: i64, now: Timestamp) -> Result<bool> {
    diesel::update(plan_progress::table.find(id))
        .set((plan_progress::iterations_done.eq(iterations_done), plan_progress::heard_at.eq(now)))
        .execute(conn)?;
    Ok(plan_progress::table.find(id).select(plan_progress::stop_asked).first(conn)?)
}

pub(super) fn failed(conn: &mut Conn, id: &PlanId, why: &str, now: Timestamp) -> Result<()> {
    diesel::update(plan_progress::table.find(id))
        .set((plan_progress::failure.eq(why), plan_progress::heard_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

pub(super) fn ask_to_stop(conn: &mut Conn, id: &PlanId) -> Result<()> {
    diesel::update(plan_progress::table.find(id)).set(plan_progress::stop_asked.eq(true)).execute(conn)?;
    Ok(())
}

pub(super) fn insert_result(
    conn: &mut Conn,
    id: &PlanId,
    (document, reasons): (&str, &str),
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(plan_results::table)
        .values((
            plan_results::plan_id.eq(id),
            plan_results::document.eq(document),
            plan_results::hash.eq(Sha256::of(document.as_bytes())),
            plan_results::reasons.eq(reasons),
            plan_results::found_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// What was found, and why what is left out is left out.
pub(super) fn result(conn: &mut Conn, id: &PlanId) -> Result<Option<(String, String)>> {
    let columns = (plan_results::document, plan_results::reasons);
    Ok(plan_results::table.find(id).select(columns).first(conn).optional()?)
}

/// Writes what was decided, unless something was; says whether it was written.
pub(super) fn decide(conn: &mut Conn, id: &PlanId, decision: &DecisionRow) -> Result<bool> {
    let written = Both(
        diesel::insert_into(plan_decisions::table)
            .values((
                plan_decisions::plan_id.eq(id),
                plan_decisions::verdict.eq(&decision.verdict),
                plan_decisions::reason.eq(&decision.reason),
                plan_decisions::decided_by.eq(&decision.decided_by),
                plan_decisions::decided_at.eq(decision.decided_at),
            ))
            .on_conflict(plan_decisions::plan_id)
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(written == 1)
}

/// What a task is made from besides the visit, if there is one.
#[derive(Debug, Queryable)]
pub(super) struct Subject {
    pub check: CheckId,
    pub due_at: Timestamp,
    pub shipment: ShipmentId,
    pub shipment_key: String,
    pub exporter: PartyId,
    pub consignee: PartyId,
    pub end_user: PartyId,
    /// A JSON list of ids.
    pub intermediates: String,
    pub control_entry: String,
    pub site: SiteId,
    pub site_key: String,
    pub site_name: String,
    pub country: String,
    pub time_zone: String,
    pub fence: Option<String>,
    pub host: PartyId,
    pub points: Option<i64>,
}

#[derive(Debug, Queryable)]
pub(super) struct OnCalendar {
    pub id: VisitId,
    pub version: i64,
    pub state: String,
    pub inspector: Option<UserId>,
    pub second: Option<UserId>,
    pub window_start_at: Timestamp,
    pub window_end_at: Timestamp,
}

macro_rules! subject {
    () => {
        (
            checks::id,
            checks::due_at,
            shipments::id,
            shipments::key,
            shipments::exporter_id,
            shipments::consignee_id,
            shipments::end_user_id,
            shipments::intermediates,
            licence_lines::control_entry,
            sites::id,
            sites::key,
            sites::name,
            sites::country,
            sites::time_zone,
            sites::fence,
            sites::party_id,
            current_assessments::points.nullable(),
        )
    };
}

/// Visits that may still be placed and begin within a span of time, or are over, or that nobody has; by due date.
pub(super) fn to_place(
    conn: &mut Conn,
    country: Option<&str>,
    ((from, to), now): ((Timestamp, Timestamp), Timestamp),
    limit: i64,
) -> Result<Vec<(OnCalendar, Subject)>> {
    let movable =
        [VisitState::Planned, VisitState::Announced, VisitState::Dispatched].map(VisitState::as_str);
    let mut query = visits::table
        .inner_join(checks::table.on(checks::id.eq(visits::check_id)))
        .inner_join(shipments::table.on(shipments::id.eq(checks::shipment_id)))
        .inner_join(licence_lines::table.on(licence_lines::id.eq(shipments::licence_line_id)))
        .inner_join(sites::table.on(sites::id.eq(visits::site_id)))
        .left_join(current_assessments::table.on(current_assessments::shipment_id.eq(shipments::id)))
        .filter(visits::finished_at.is_null().and(visits::state.eq_any(movable)))
        .filter(
            visits::inspector_id
                .is_null()
                .or(visits::window_end_at.lt(now))
                .or(visits::window_start_at.ge(from).and(visits::window_start_at.lt(to))),
        )
        .select((
            (
                visits::id,
                visits::version,
                visits::state,
                visits::inspector_id,
                visits::second_id,
                visits::window_start_at,
                visits::window_end_at,
            ),
            subject!(),
        ))
        .into_boxed();
    if let Some(country) = country {
        query = query.filter(sites::country.eq(country));
    }
    Ok(query.order((visits::due_at, visits::id)).limit(limit).load(conn)?)
}

/// Somebody's visit on the calendar.
#[derive(Debug, Queryable)]
pub(super) struct Booked {
    pub visit: VisitId,
    pub inspector: Option<UserId>,
    pub second: Option<UserId>,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
}

impl Booked {
    pub fn people(&self) -> impl Iterator<Item = &UserId> {
        [&self.inspector, &self.second].into_iter().flatten()
    }
}

/// A window that is longer says too little of when somebody is there.
const LONGEST_BOOKING_H: i64 = 36;

/// Unfinished visits that somebody has, whose windows touch a span of time, and that are none of these tasks.
pub(super) fn booked_elsewhere(
    conn: &mut Conn,
    (from, to): (Timestamp, Timestamp),
    tasks: &[Task],
) -> Result<Vec<Booked>> {
    let mut booked: Vec<Booked> = visits::table
        .filter(visits::finished_at.is_null().and(visits::inspector_id.is_not_null()))
        .filter(visits::window_start_at.lt(to).and(visits::window_end_at.gt(from)))
        .order(visits::id)
        .select((
            visits::id,
            visits::inspector_id,
            visits::second_id,
            visits::window_start_at,
            visits::window_end_at,
        ))
        .load(conn)?;
    let ours: BTreeSet<&VisitId> = tasks.iter().filter_map(|task| task.visit.as_ref()).collect();
    booked.retain(|one| {
        one.ends_at.since(one.starts_at) <= TimeDelta::hours(LONGEST_BOOKING_H) && !ours.contains(&one.visit)
    });
    Ok(booked)
}

/// Visits, unfinished, of which the host was told.
pub(super) fn announced(conn: &mut Conn) -> Result<BTreeSet<VisitId>> {
    let told = visits::table
        .inner_join(visit_events::table.on(visit_events::visit_id.eq(visits::id)))
        .filter(visits::finished_at.is_null().and(visit_events::verb.eq("announce")))
        .select(visits::id)
        .load(conn)?;
    Ok(told.into_iter().collect())
}

/// Checks that no visit stands for and that were not dropped from their draw, by due date.
pub(super) fn unvisited(conn: &mut Conn, country: Option<&str>, limit: i64) -> Result<Vec<Subject>> {
    let standing = visits::table
        .filter(visits::check_id.eq(checks::id).and(visits::state.ne(VisitState::Cancelled.as_str())));
    let dropped = selection_overrides::table
        .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
        .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
        .filter(selection_overrides::act.eq("drop"));
    let mut query = checks::table
        .inner_join(shipments::table.on(shipments::id.eq(checks::shipment_id)))
        .inner_join(licence_lines::table.on(licence_lines::id.eq(shipments::licence_line_id)))
        .inner_join(sites::table.on(sites::id.eq(shipments::site_id)))
        .left_join(current_assessments::table.on(current_assessments::shipment_id.eq(shipments::id)))
        .filter(diesel::dsl::not(diesel::dsl::exists(standing)))
        .filter(diesel::dsl::not(diesel::dsl::exists(dropped)))
        .select(subject!())
        .into_boxed();
    if let Some(country) = country {
        query = query.filter(sites::country.eq(country));
    }
    Ok(query.order((checks::due_at, checks::id)).limit(limit).load(conn)?)
}

/// Whether a check has a visit that stands.
pub(super) fn is_visited(conn: &mut Conn, check: &CheckId) -> Result<bool> {
    let found = visits::table
        .filter(visits::check_id.eq(check).and(visits::state.ne(VisitState::Cancelled.as_str())))
        .select(visits::version);
    Ok(found.first::<i64>(conn).optional()?.is_some())
}

/// The parties of a subject.
pub(super) fn concerned(subject: &Subject) -> Result<BTreeSet<PartyId>> {
    let mut parties: BTreeSet<PartyId> =
        serde_json::from_str(&subject.intermediates).map_err(|e| Error::Internal(e.into()))?;
    let named = [&subject.exporter, &subject.consignee, &subject.end_user, &subject.host];
    parties.extend(named.into_iter().cloned());
    Ok(parties)
}
