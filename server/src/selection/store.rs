//! Rows of draws.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, ItemId, SelectionId, ShipmentId, UserId};
use endcheck_protocol::time::Timestamp;

use super::{Override, OverrideAct};
use crate::db::schema::{
    checks, current_assessments, determinations, selection_draws, selection_overrides, selections,
    shipment_items, shipments, visits,
};
use crate::db::{CHUNK, Conn, MultiBackend};
use crate::error::Result;
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

/// All draws, newest first.
pub(super) fn list(conn: &mut Conn) -> Result<Vec<SelectionRow>> {
    Ok(selections::table.order(selections::id.desc()).select(SelectionRow::as_select()).load(conn)?)
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
        ))
        .execute(conn)?;
    Ok(())
}

/// Shipments that arrived, have no check under way and were assessed by the policy, sorted by key. A check is under
/// way until one of its visits has a determination, or it was dropped. Routine checks do not count: every shipment
/// has one.
pub(super) fn pool(
    conn: &mut Conn,
    policy: &Sha256,
    arrived_by: &str,
) -> Result<Vec<(ShipmentId, Candidate)>> {
    let determined = visits::table
        .inner_join(determinations::table.on(determinations::visit_id.eq(visits::id)))
        .filter(visits::check_id.eq(checks::id));
    let dropped = selection_overrides::table
        .filter(selection_overrides::selection_id.nullable().eq(checks::selection_id))
        .filter(selection_overrides::shipment_id.eq(checks::shipment_id))
        .filter(selection_overrides::act.eq(OverrideAct::Drop.as_str()));
    let under_way = checks::table
        .filter(checks::shipment_id.eq(shipments::id))
        .filter(checks::kind.ne("routine"))
        .filter(diesel::dsl::not(diesel::dsl::exists(determined)))
        .filter(diesel::dsl::not(diesel::dsl::exists(dropped)));
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
    id: &SelectionId,
    made: &Override,
    shipment: &ShipmentId,
) -> Result<()> {
    diesel::insert_into(selection_overrides::table)
        .values((
            selection_overrides::id.eq(uuid::Uuid::now_v7().to_string()),
            selection_overrides::selection_id.eq(id),
            selection_overrides::shipment_id.eq(shipment),
            selection_overrides::act.eq(made.act.as_str()),
            selection_overrides::reason.eq(&made.reason),
            selection_overrides::author_id.eq(&made.author),
            selection_overrides::noted_at.eq(made.noted_at),
        ))
        .execute(conn)?;
    Ok(())
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
    let told = |(shipment, act, reason, author, noted_at): (_, String, _, _, _)| Override {
        shipment,
        act: if act == "add" { OverrideAct::Add } else { OverrideAct::Drop },
        reason,
        author,
        noted_at,
    };
    Ok(rows.into_iter().map(told).collect())
}

/// Whether a visit of the check was planned and not cancelled.
pub(super) fn has_visit(conn: &mut Conn, check: &CheckId) -> Result<bool> {
    let planned = visits::table.filter(visits::check_id.eq(check).and(visits::state.ne("cancelled")));
    Ok(diesel::select(diesel::dsl::exists(planned)).get_result(conn)?)
}

pub(super) fn is_pool(conn: &mut Conn, sha256: &Sha256) -> Result<bool> {
    let named = format!("%\"pool_sha256\":\"{sha256}\"%");
    let drawn = selection_draws::table.filter(selection_draws::document.like(named));
    Ok(diesel::select(diesel::dsl::exists(drawn)).get_result(conn)?)
}
