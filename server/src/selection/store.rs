//! Rows of draws.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, ItemId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;

use super::document::{KeptOut, OVERRIDE_SCHEMA, OverrideDocument, SelectionDocument};
use super::{Override, OverrideAct, SelectionSummary};
use crate::db::schema::{
    checks, current_assessments, determinations, selection_draws, selection_overrides, selections,
    shipment_items, shipments, visits,
};
use crate::db::{CHUNK, Conn, MultiBackend};
use crate::error::{Error, Result};
use crate::risk::draw::Candidate;
use crate::risk::policy::Band;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = selections, check_for_backend(MultiBackend))]
pub(super) struct SelectionRow {
    pub id: SelectionId,
    pub policy_hash: Sha256,
    pub capacity: i64,
    pub note: String,
    pub seed: String,
    pub committed_by: UserId,
    pub committed_at: Timestamp,
    pub document: String,
    pub log_index: i64,
}

pub(super) fn insert(conn: &mut Conn, row: &SelectionRow) -> Result<()> {
    diesel::insert_into(selections::table).values(row).execute(conn)?;
    Ok(())
}

pub(super) fn find(conn: &mut Conn, id: &SelectionId) -> Result<Option<SelectionRow>> {
    Ok(selections::table.find(id).select(SelectionRow::as_select()).first(conn).optional()?)
}

/// Draws before an id, newest first, without their documents.
pub(super) fn list(
    conn: &mut Conn,
    before: Option<&SelectionId>,
    limit: i64,
) -> Result<Vec<SelectionSummary>> {
    type Row = (SelectionId, String, i64, Sha256, UserId, Timestamp, i64, Option<(Timestamp, i64, i64)>);
    let mut query = selections::table
        .left_join(selection_draws::table.on(selection_draws::selection_id.eq(selections::id)))
        .order(selections::id.desc())
        .limit(limit)
        .select((
            selections::id,
            selections::note,
            selections::capacity,
            selections::policy_hash,
            selections::committed_by,
            selections::committed_at,
            selections::log_index,
            (selection_draws::drawn_at, selection_draws::pool_size, selection_draws::chosen).nullable(),
        ))
        .into_boxed();
    if let Some(before) = before {
        query = query.filter(selections::id.lt(before));
    }
    let rows: Vec<Row> = query.load(conn)?;
    let ids: Vec<&SelectionId> = rows.iter().map(|row| &row.0).collect();
    let departures: Vec<(SelectionId, i64)> = selection_overrides::table
        .filter(selection_overrides::selection_id.eq_any(ids))
        .group_by(selection_overrides::selection_id)
        .select((selection_overrides::selection_id, diesel::dsl::count_star()))
        .load(conn)?;
    let departures: HashMap<SelectionId, i64> = departures.into_iter().collect();
    let told =
        |(id, note, capacity, policy, committed_by, committed_at, seed_index, drawn): Row| SelectionSummary {
            overrides: departures.get(&id).copied().unwrap_or(0),
            drawn_at: drawn.map(|(at, ..)| at),
            pool_size: drawn.map(|(_, size, _)| size),
            chosen: drawn.map(|(.., chosen)| chosen),
            id,
            note,
            capacity,
            policy,
            committed_by,
            committed_at,
            seed_index,
        };
    Ok(rows.into_iter().map(told).collect())
}

/// The document of a draw that was made, and where the log commits to it.
pub(super) fn drawn(conn: &mut Conn, id: &SelectionId) -> Result<Option<(String, i64)>> {
    Ok(selection_draws::table
        .find(id)
        .select((selection_draws::document, selection_draws::log_index))
        .first(conn)
        .optional()?)
}

pub(super) fn insert_drawn(
    conn: &mut Conn,
    id: &SelectionId,
    by: &UserId,
    drawn: &SelectionDocument,
    document: &str,
    log_index: i64,
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(selection_draws::table)
        .values((
            selection_draws::selection_id.eq(id),
            selection_draws::drawn_by.eq(by),
            selection_draws::drawn_at.eq(now),
            selection_draws::document.eq(document),
            selection_draws::log_index.eq(log_index),
            selection_draws::pool_sha256.eq(&drawn.pool_sha256),
            selection_draws::pool_size.eq(i64::try_from(drawn.pool_size).unwrap_or(i64::MAX)),
            selection_draws::chosen.eq(i64::try_from(drawn.chosen.len()).unwrap_or(i64::MAX)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Checks that are under way: none of their visits has a determination, and they were not dropped. Routine checks do
/// not count: every shipment has one.
macro_rules! under_way {
    () => {{
        let determined = visits::table
            .inner_join(determinations::table.on(determinations::visit_id.eq(visits::id)))
            .filter(visits::check_id.eq(checks::id));
        let dropped = selection_overrides::table
            .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
            .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
            .filter(selection_overrides::act.eq(OverrideAct::Drop.as_str()));
        checks::table
            .filter(checks::kind.ne("routine"))
            .filter(diesel::dsl::not(diesel::dsl::exists(determined)))
            .filter(diesel::dsl::not(diesel::dsl::exists(dropped)))
    }};
}

/// Whether a check of the shipment is under way.
pub(super) fn is_under_way(conn: &mut Conn, shipment: &ShipmentId) -> Result<bool> {
    let checks = under_way!().filter(checks::shipment_id.eq(shipment));
    Ok(diesel::select(diesel::dsl::exists(checks)).get_result(conn)?)
}

/// Checks that a person opened by hand and that keep a shipment out of the pool, in the order of their ids.
pub(super) fn kept_out(conn: &mut Conn, policy: &Sha256, arrived_by: &str) -> Result<Vec<KeptOut>> {
    let assessed = current_assessments::table
        .filter(current_assessments::shipment_id.eq(checks::shipment_id))
        .filter(current_assessments::policy_hash.eq(policy));
    let arrived = shipments::table
        .filter(shipments::id.eq(checks::shipment_id))
        .filter(shipments::arrived_on.le(arrived_by));
    let key = shipments::table.filter(shipments::id.eq(checks::shipment_id)).select(shipments::key);
    type Row = (CheckId, Timestamp, Option<UserId>, String, Option<String>);
    let rows: Vec<Row> = under_way!()
        .filter(checks::opened_by.is_not_null())
        .filter(diesel::dsl::exists(assessed))
        .filter(diesel::dsl::exists(arrived))
        .order(checks::id)
        .select((checks::id, checks::opened_at, checks::opened_by, checks::reason, key.single_value()))
        .load(conn)?;
    let told =
        |(check, opened_at, opened_by, reason, shipment): (_, _, Option<UserId>, _, Option<String>)| {
            Some(KeptOut { check, opened_at, opened_by: opened_by?, reason, shipment: shipment? })
        };
    Ok(rows.into_iter().filter_map(told).collect())
}

/// Whether a draw's check was dropped from it.
pub(super) fn is_dropped(conn: &mut Conn, check: &CheckId) -> Result<bool> {
    let dropped = selection_overrides::table
        .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
        .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
        .filter(selection_overrides::act.eq(OverrideAct::Drop.as_str()));
    let found = checks::table.filter(checks::id.eq(check)).filter(diesel::dsl::exists(dropped));
    Ok(diesel::select(diesel::dsl::exists(found)).get_result(conn)?)
}

/// Shipments that arrived, have no check under way and were assessed by the policy, sorted by key.
pub(super) fn pool(
    conn: &mut Conn,
    policy: &Sha256,
    arrived_by: &str,
) -> Result<Vec<(ShipmentId, Candidate)>> {
    let under_way = under_way!().filter(checks::shipment_id.eq(shipments::id));
    let rows: Vec<(ShipmentId, String, Sha256, String, i64)> = shipments::table
        .inner_join(current_assessments::table.on(current_assessments::shipment_id.eq(shipments::id)))
        .filter(current_assessments::policy_hash.eq(policy))
        .filter(shipments::arrived_on.le(arrived_by))
        .filter(diesel::dsl::not(diesel::dsl::exists(under_way)))
        .order(shipments::key)
        .select((
            shipments::id,
            shipments::key,
            current_assessments::assessment_hash,
            current_assessments::band,
            current_assessments::points,
        ))
        .load(conn)?;
    let candidate = |(id, shipment, assessment, band, points): (_, _, _, String, _)| {
        let band = Band::parse(&band).unwrap_or(Band::Low);
        (id, Candidate { shipment, assessment, band, points })
    };
    let mut pool: Vec<_> = rows.into_iter().map(candidate).collect();
    // Databases sort text each in its own way.
    pool.sort_by(|a, b| a.1.shipment.cmp(&b.1.shipment));
    Ok(pool)
}

/// The items of shipments, each with its id and key, in their order.
pub(super) fn items(
    conn: &mut Conn,
    ids: &[&ShipmentId],
) -> Result<HashMap<ShipmentId, Vec<(ItemId, String)>>> {
    let mut found: HashMap<ShipmentId, Vec<(ItemId, String)>> = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let rows: Vec<(ShipmentId, ItemId, String)> = shipment_items::table
            .filter(shipment_items::shipment_id.eq_any(some.iter().copied()))
            .order((shipment_items::shipment_id, shipment_items::position))
            .select((shipment_items::shipment_id, shipment_items::id, shipment_items::key))
            .load(conn)?;
        for (shipment, id, key) in rows {
            found.entry(shipment).or_default().push((id, key));
        }
    }
    Ok(found)
}

/// The checks that a draw opened: shipment's key, check.
pub(super) fn opened(conn: &mut Conn, id: &SelectionId) -> Result<HashMap<String, CheckId>> {
    let rows: Vec<(String, CheckId)> = checks::table
        .inner_join(shipments::table.on(shipments::id.eq(checks::shipment_id)))
        .filter(checks::selection_id.eq(id))
        .select((shipments::key, checks::id))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}

pub(super) fn insert_override(
    conn: &mut Conn,
    document: &OverrideDocument,
    text: &str,
    log_index: i64,
) -> Result<()> {
    diesel::insert_into(selection_overrides::table)
        .values((
            selection_overrides::id.eq(&document.id),
            selection_overrides::selection_id.eq(&document.selection),
            selection_overrides::shipment_id.eq(&document.shipment),
            selection_overrides::act.eq(document.act.as_str()),
            selection_overrides::reason.eq(&document.reason),
            selection_overrides::author_id.eq(&document.author),
            selection_overrides::noted_at.eq(document.noted_at),
            selection_overrides::document.eq(text),
            selection_overrides::log_index.eq(log_index),
        ))
        .execute(conn)?;
    Ok(())
}

/// An override as its row says it, with the exact bytes that the log commits to, and where.
pub(super) type LoggedOverride = (OverrideDocument, Option<String>, Option<i64>);

/// Every override with what the log commits to.
pub(super) fn logged_overrides(conn: &mut Conn) -> Result<Vec<LoggedOverride>> {
    type Row =
        (String, SelectionId, ShipmentId, String, String, UserId, Timestamp, Option<String>, Option<i64>);
    let rows: Vec<Row> = selection_overrides::table
        .order(selection_overrides::id)
        .select((
            selection_overrides::id,
            selection_overrides::selection_id,
            selection_overrides::shipment_id,
            selection_overrides::act,
            selection_overrides::reason,
            selection_overrides::author_id,
            selection_overrides::noted_at,
            selection_overrides::document,
            selection_overrides::log_index,
        ))
        .load(conn)?;
    let told = |(id, selection, shipment, act, reason, author, noted_at, document, log_index): Row| {
        let act = read_act(&act)?;
        let schema = OVERRIDE_SCHEMA.to_owned();
        let says = OverrideDocument { act, author, id, noted_at, reason, schema, selection, shipment };
        Ok((says, document, log_index))
    };
    rows.into_iter().map(told).collect()
}

/// The overrides of a draw, in their order.
pub(super) fn overrides(conn: &mut Conn, id: &SelectionId) -> Result<Vec<Override>> {
    let rows: Vec<(String, String, String, UserId, Timestamp)> = selection_overrides::table
        .inner_join(shipments::table.on(shipments::id.eq(selection_overrides::shipment_id)))
        .filter(selection_overrides::selection_id.eq(id))
        .order(selection_overrides::id)
        .select((
            shipments::key,
            selection_overrides::act,
            selection_overrides::reason,
            selection_overrides::author_id,
            selection_overrides::noted_at,
        ))
        .load(conn)?;
    let told = |(shipment, act, reason, author, noted_at): (_, String, _, _, _)| {
        Ok(Override { shipment, act: read_act(&act)?, reason, author, noted_at })
    };
    rows.into_iter().map(told).collect()
}

fn read_act(word: &str) -> Result<OverrideAct> {
    OverrideAct::parse(word).ok_or_else(|| Error::Internal(anyhow::anyhow!("{word:?} is no departure")))
}

/// Whether a visit of the check was planned and not cancelled.
pub(super) fn has_visit(conn: &mut Conn, check: &CheckId) -> Result<bool> {
    let planned = visits::table.filter(visits::check_id.eq(check).and(visits::state.ne("cancelled")));
    Ok(diesel::select(diesel::dsl::exists(planned)).get_result(conn)?)
}

pub(super) fn is_pool(conn: &mut Conn, sha256: &Sha256) -> Result<bool> {
    let drawn = selection_draws::table.filter(selection_draws::pool_sha256.eq(sha256));
    Ok(diesel::select(diesel::dsl::exists(drawn)).get_result(conn)?)
}

/// The pools of draws, by name, after one.
pub(super) fn pools(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<Sha256>> {
    Ok(selection_draws::table
        .filter(selection_draws::pool_sha256.gt(after))
        .select(selection_draws::pool_sha256)
        .distinct()
        .order(selection_draws::pool_sha256)
        .limit(limit)
        .load(conn)?)
}

pub(super) fn count_pools(conn: &mut Conn) -> Result<i64> {
    Ok(selection_draws::table
        .select(diesel::dsl::count(selection_draws::pool_sha256).aggregate_distinct())
        .first(conn)?)
}
