//! Rows of policies, signals, assessments and draws.

use std::collections::HashMap;

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{PartyId, ShipmentId, SignalId, UserId};
use endcheck_protocol::time::Timestamp;

use super::assess;
use super::policy::Policy;
use super::signals::{Signal, SignalKind};
use crate::db::schema::{
    assessments, current_assessments, party_history, policies, policy_activations, policy_approvals,
    policy_shadows, rescoring_failures, rescorings, risk_signals, shipments,
};
use crate::db::{Both, CHUNK, Conn, MultiBackend, insert_rows};
use crate::error::Result;

/// A policy as kept, without its document.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, utoipa::ToSchema)]
#[diesel(table_name = policies, check_for_backend(MultiBackend))]
pub struct HeldPolicy {
    #[schema(value_type = String)]
    pub hash: Sha256,
    pub id: String,
    pub version: i64,
    pub title: String,
    /// The last day on which it selects, `YYYY-MM-DD`.
    pub review_by: String,
    pub loaded_by: UserId,
    pub loaded_at: Timestamp,
}

impl HeldPolicy {
    /// Whether it may no longer select on this day.
    #[must_use]
    pub fn is_expired(&self, on: chrono::NaiveDate) -> bool {
        self.review_by.parse().map_or(true, |last: chrono::NaiveDate| on > last)
    }
}

pub(super) fn insert_policy(
    conn: &mut Conn,
    policy: &Policy,
    document: &[u8],
    by: &UserId,
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(policies::table)
        .values((
            policies::hash.eq(&policy.hash),
            policies::id.eq(&policy.id),
            policies::version.eq(policy.version),
            policies::title.eq(&policy.title),
            policies::review_by.eq(policy.review_by.to_string()),
            policies::document.eq(document),
            policies::loaded_by.eq(by),
            policies::loaded_at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

pub(super) fn held_policies(conn: &mut Conn) -> Result<Vec<HeldPolicy>> {
    Ok(policies::table
        .order((policies::loaded_at.desc(), policies::hash))
        .select(HeldPolicy::as_select())
        .load(conn)?)
}

pub(super) fn held_policy(conn: &mut Conn, hash: &Sha256) -> Result<Option<HeldPolicy>> {
    Ok(policies::table.find(hash).select(HeldPolicy::as_select()).first(conn).optional()?)
}

/// The newest version of a policy id.
pub(super) fn newest_version(conn: &mut Conn, id: &str) -> Result<Option<(i64, Sha256)>> {
    Ok(policies::table
        .filter(policies::id.eq(id))
        .order(policies::version.desc())
        .select((policies::version, policies::hash))
        .first(conn)
        .optional()?)
}

pub(super) fn document(conn: &mut Conn, hash: &Sha256) -> Result<Option<Vec<u8>>> {
    Ok(policies::table.find(hash).select(policies::document).first(conn).optional()?)
}

/// Every policy's bytes.
pub(super) fn documents(conn: &mut Conn) -> Result<Vec<(Sha256, Vec<u8>)>> {
    Ok(policies::table.order(policies::hash).select((policies::hash, policies::document)).load(conn)?)
}

/// The policy in force.
pub(super) fn active(conn: &mut Conn) -> Result<Option<Sha256>> {
    Ok(policy_activations::table
        .order(policy_activations::number.desc())
        .select(policy_activations::policy_hash)
        .first(conn)
        .optional()?)
}

pub(super) fn is_activated(conn: &mut Conn, hash: &Sha256) -> Result<bool> {
    let activated = policy_activations::table.filter(policy_activations::policy_hash.eq(hash));
    Ok(diesel::select(diesel::dsl::exists(activated)).get_result(conn)?)
}

pub(super) fn insert_activation(
    conn: &mut Conn,
    hash: &Sha256,
    document: &str,
    log_index: i64,
    now: Timestamp,
) -> Result<()> {
    let last: Option<i64> = policy_activations::table
        .order(policy_activations::number.desc())
        .select(policy_activations::number)
        .first(conn)
        .optional()?;
    diesel::insert_into(policy_activations::table)
        .values((
            policy_activations::number.eq(last.unwrap_or(0) + 1),
            policy_activations::policy_hash.eq(hash),
            policy_activations::activated_at.eq(now),
            policy_activations::document.eq(document),
            policy_activations::log_index.eq(log_index),
        ))
        .execute(conn)?;
    Ok(())
}

/// The highest version of a policy id that ever came into force.
pub(super) fn highest_activated(conn: &mut Conn, id: &str) -> Result<Option<i64>> {
    Ok(policy_activations::table
        .inner_join(policies::table.on(policies::hash.eq(policy_activations::policy_hash)))
        .filter(policies::id.eq(id))
        .select(diesel::dsl::max(policies::version))
        .first(conn)?)
}

/// Who approved a policy after whichever shadow run, with the reason, earliest first.
pub(super) fn approvals(conn: &mut Conn, hash: &Sha256) -> Result<Vec<(UserId, String, Timestamp)>> {
    Ok(policy_approvals::table
        .filter(policy_approvals::policy_hash.eq(hash))
        .order(policy_approvals::approved_at)
        .select((policy_approvals::user_id, policy_approvals::reason, policy_approvals::approved_at))
        .load(conn)?)
}

/// Who approved a policy as that shadow run shows it, with the reason, earliest first.
pub(super) fn approvals_of(conn: &mut Conn, shadow: &str) -> Result<Vec<(UserId, String, Timestamp)>> {
    Ok(policy_approvals::table
        .filter(policy_approvals::shadow_id.eq(shadow))
        .order(policy_approvals::approved_at)
        .select((policy_approvals::user_id, policy_approvals::reason, policy_approvals::approved_at))
        .load(conn)?)
}

pub(super) fn insert_approval(
    conn: &mut Conn,
    hash: &Sha256,
    shadow: &str,
    user: &UserId,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    Both(
        diesel::insert_into(policy_approvals::table)
            .values((
                policy_approvals::policy_hash.eq(hash),
                policy_approvals::shadow_id.eq(shadow),
                policy_approvals::user_id.eq(user),
                policy_approvals::reason.eq(reason),
                policy_approvals::approved_at.eq(now),
            ))
            .on_conflict((policy_approvals::shadow_id, policy_approvals::user_id))
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(())
}

pub(super) fn insert_shadow(
    conn: &mut Conn,
    hash: &Sha256,
    against: Option<&Sha256>,
    report: &str,
    now: Timestamp,
) -> Result<()> {
    diesel::insert_into(policy_shadows::table)
        .values((
            policy_shadows::id.eq(uuid::Uuid::now_v7().to_string()),
            policy_shadows::policy_hash.eq(hash),
            policy_shadows::against_hash.eq(against),
            policy_shadows::run_at.eq(now),
            policy_shadows::report.eq(report),
        ))
        .execute(conn)?;
    Ok(())
}

/// A shadow run.
#[derive(Queryable)]
pub(super) struct ShadowRow {
    pub id: String,
    /// The policy that it was compared with.
    pub against: Option<Sha256>,
    /// JSON.
    pub report: String,
}

/// The newest shadow run of a policy.
pub(super) fn shadow(conn: &mut Conn, hash: &Sha256) -> Result<Option<ShadowRow>> {
    Ok(policy_shadows::table
        .filter(policy_shadows::policy_hash.eq(hash))
        .order((policy_shadows::run_at.desc(), policy_shadows::id.desc()))
        .select((policy_shadows::id, policy_shadows::against_hash, policy_shadows::report))
        .first(conn)
        .optional()?)
}

pub(super) fn insert_signal(conn: &mut Conn, signal: &Signal, document: &str, log_index: i64) -> Result<()> {
    diesel::insert_into(risk_signals::table)
        .values((
            risk_signals::id.eq(&signal.id),
            risk_signals::kind.eq(kind_word(signal.kind)),
            risk_signals::code.eq(&signal.code),
            risk_signals::note.eq(&signal.note),
            risk_signals::shipment_id.eq(&signal.shipment),
            risk_signals::party_id.eq(&signal.party),
            risk_signals::author_id.eq(&signal.author),
            risk_signals::noted_at.eq(signal.noted_at),
            risk_signals::withdraws.eq(&signal.withdraws),
            risk_signals::document.eq(document),
            risk_signals::log_index.eq(log_index),
        ))
        .execute(conn)?;
    Ok(())
}

fn kind_word(kind: SignalKind) -> &'static str {
    match kind {
        SignalKind::RedFlag => "red_flag",
        SignalKind::Tip => "tip",
        SignalKind::Screening => "screening",
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = risk_signals, check_for_backend(MultiBackend))]
struct SignalRow {
    id: SignalId,
    kind: String,
    code: String,
    note: String,
    shipment_id: Option<ShipmentId>,
    party_id: Option<PartyId>,
    author_id: UserId,
    noted_at: Timestamp,
    withdraws: Option<SignalId>,
}

fn told(rows: Vec<SignalRow>) -> Vec<Signal> {
    let withdrawn: std::collections::HashSet<SignalId> =
        rows.iter().filter_map(|row| row.withdraws.clone()).collect();
    let signal = |row: SignalRow| Signal {
        withdrawn: withdrawn.contains(&row.id),
        kind: match row.kind.as_str() {
            "red_flag" => SignalKind::RedFlag,
            "tip" => SignalKind::Tip,
            _ => SignalKind::Screening,
        },
        id: row.id,
        code: row.code,
        note: row.note,
        shipment: row.shipment_id,
        party: row.party_id,
        author: row.author_id,
        noted_at: row.noted_at,
        withdraws: row.withdraws,
    };
    rows.into_iter().map(signal).collect()
}

/// A signal with the exact bytes that the log commits to, and where.
pub(super) type LoggedSignal = (Signal, Option<String>, Option<i64>);

/// Every signal with what the log commits to.
pub(super) fn logged_signals(conn: &mut Conn) -> Result<Vec<LoggedSignal>> {
    let rows: Vec<(SignalRow, Option<String>, Option<i64>)> = risk_signals::table
        .order(risk_signals::id)
        .select((SignalRow::as_select(), risk_signals::document, risk_signals::log_index))
        .load(conn)?;
    let alone = |(row, document, index)| Some((told(vec![row]).pop()?, document, index));
    Ok(rows.into_iter().filter_map(alone).collect())
}

/// A signal by its id.
pub(super) fn signal(conn: &mut Conn, id: &SignalId) -> Result<Option<Signal>> {
    let rows = risk_signals::table
        .filter(risk_signals::id.eq(id).or(risk_signals::withdraws.eq(id)))
        .select(SignalRow::as_select())
        .load(conn)?;
    Ok(told(rows).into_iter().find(|signal| signal.id == *id))
}

/// All signals about these shipments and parties, taken back or not, in their order.
pub(super) fn signals(
    conn: &mut Conn,
    shipments: &[&ShipmentId],
    parties: &[&PartyId],
) -> Result<Vec<Signal>> {
    let mut rows: Vec<SignalRow> = Vec::new();
    for some in shipments.chunks(CHUNK) {
        let about = risk_signals::shipment_id.eq_any(some.iter().copied());
        rows.extend(
            risk_signals::table.filter(about).select(SignalRow::as_select()).load::<SignalRow>(conn)?,
        );
    }
    for some in parties.chunks(CHUNK) {
        let about = risk_signals::party_id.eq_any(some.iter().copied());
        rows.extend(
            risk_signals::table.filter(about).select(SignalRow::as_select()).load::<SignalRow>(conn)?,
        );
    }
    let mut signals = told(rows);
    signals.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(signals)
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = assessments, check_for_backend(MultiBackend), treat_none_as_default_value = false)]
pub(super) struct AssessmentRow {
    pub hash: Sha256,
    pub shipment_id: ShipmentId,
    pub policy_hash: Sha256,
    pub assessed_at: Timestamp,
    pub band: String,
    pub points: i64,
    pub document: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = current_assessments, check_for_backend(MultiBackend), treat_none_as_default_value = false)]
pub(super) struct CurrentRow {
    pub shipment_id: ShipmentId,
    pub assessment_hash: Sha256,
    pub policy_hash: Sha256,
    pub band: String,
    pub points: i64,
}

/// Keeps assessments, those that are kept already once, and makes them the newest of their shipments; but one that
/// says what the newest says, on another day, so that a walk on which nothing changed leaves nothing behind. How many
/// were new.
pub(super) fn keep_assessments(conn: &mut Conn, rows: Vec<AssessmentRow>) -> Result<u64> {
    let mut fresh_count = 0;
    for rows in rows.chunks(CHUNK) {
        let newest = newest_documents(conn, rows)?;
        let repeats = |row: &AssessmentRow| {
            newest.get(&row.shipment_id).is_some_and(|held| assess::says_the_same(held, &row.document))
        };
        let rows: Vec<AssessmentRow> = rows.iter().filter(|row| !repeats(row)).cloned().collect();
        let hashes: Vec<&Sha256> = rows.iter().map(|row| &row.hash).collect();
        let held: std::collections::HashSet<Sha256> = assessments::table
            .filter(assessments::hash.eq_any(hashes))
            .select(assessments::hash)
            .load::<Sha256>(conn)?
            .into_iter()
            .collect();
        let fresh: Vec<AssessmentRow> =
            rows.iter().filter(|row| !held.contains(&row.hash)).cloned().collect();
        fresh_count += fresh.len() as u64;
        insert_rows!(conn, assessments::table, &fresh);
        let shipments: Vec<&ShipmentId> = rows.iter().map(|row| &row.shipment_id).collect();
        let current: Vec<CurrentRow> = rows
            .iter()
            .map(|row| CurrentRow {
                shipment_id: row.shipment_id.clone(),
                assessment_hash: row.hash.clone(),
                policy_hash: row.policy_hash.clone(),
                band: row.band.clone(),
                points: row.points,
            })
            .collect();
        diesel::delete(current_assessments::table.filter(current_assessments::shipment_id.eq_any(shipments)))
            .execute(conn)?;
        insert_rows!(conn, current_assessments::table, &current);
    }
    Ok(fresh_count)
}

/// The documents of the newest assessments of the shipments that these rows are about.
fn newest_documents(conn: &mut Conn, rows: &[AssessmentRow]) -> Result<HashMap<ShipmentId, String>> {
    let found: Vec<(ShipmentId, String)> = current_assessments::table
        .inner_join(assessments::table.on(assessments::hash.eq(current_assessments::assessment_hash)))
        .filter(current_assessments::shipment_id.eq_any(rows.iter().map(|row| &row.shipment_id)))
        .select((current_assessments::shipment_id, assessments::document))
        .load(conn)?;
    Ok(found.into_iter().collect())
}

/// The documents of assessments.
pub(super) fn assessments_by_hash(conn: &mut Conn, hashes: &[&Sha256]) -> Result<Vec<(Sha256, String)>> {
    let mut found = Vec::with_capacity(hashes.len());
    for some in hashes.chunks(CHUNK) {
        let rows: Vec<(Sha256, String)> = assessments::table
            .filter(assessments::hash.eq_any(some.iter().copied()))
            .select((assessments::hash, assessments::document))
            .load(conn)?;
        found.extend(rows);
    }
    Ok(found)
}

pub(super) fn assessment(conn: &mut Conn, hash: &Sha256) -> Result<Option<AssessmentRow>> {
    Ok(assessments::table.find(hash).select(AssessmentRow::as_select()).first(conn).optional()?)
}

/// A shipment's assessments: the one that holds now, then the others, newest first. An assessment that comes out
/// as an earlier one did is that one.
pub(super) fn assessments_of(
    conn: &mut Conn,
    shipment: &ShipmentId,
    limit: i64,
) -> Result<Vec<AssessmentRow>> {
    let current: Option<Sha256> = current_assessments::table
        .find(shipment)
        .select(current_assessments::assessment_hash)
        .first(conn)
        .optional()?;
    let mut rows: Vec<AssessmentRow> = assessments::table
        .filter(assessments::shipment_id.eq(shipment))
        .order((assessments::assessed_at.desc(), assessments::hash))
        .limit(limit)
        .select(AssessmentRow::as_select())
        .load(conn)?;
    rows.sort_by_key(|row| Some(&row.hash) != current.as_ref());
    Ok(rows)
}

/// Assessments after a hash, in the order of their hashes.
pub(super) fn assessments_after(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<AssessmentRow>> {
    Ok(assessments::table
        .filter(assessments::hash.gt(after))
        .order(assessments::hash)
        .limit(limit)
        .select(AssessmentRow::as_select())
        .load(conn)?)
}

/// How many shipments are in each band by a policy's newest assessments.
pub(super) fn band_counts(conn: &mut Conn, policy: &Sha256) -> Result<Vec<(String, i64)>> {
    Ok(current_assessments::table
        .filter(current_assessments::policy_hash.eq(policy))
        .group_by(current_assessments::band)
        .select((current_assessments::band, diesel::dsl::count_star()))
        .load(conn)?)
}

/// A walk over all shipments.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, utoipa::ToSchema)]
#[diesel(table_name = rescorings, check_for_backend(MultiBackend))]
pub struct Rescoring {
    #[serde(skip)]
    pub id: String,
    #[schema(value_type = String)]
    pub policy_hash: Sha256,
    pub cause: String,
    pub started_at: Timestamp,
    #[serde(skip)]
    pub after_shipment: String,
    /// Shipments assessed so far.
    pub done: i64,
    /// Of them those whose assessment is new.
    pub changed: i64,
    /// Shipments when it began.
    pub total: i64,
    pub finished_at: Option<Timestamp>,
    /// Signals and outcomes of visits that were on record when it began.
    #[serde(skip)]
    pub inputs: i64,
    /// Shipments that could not be assessed.
    pub failed: i64,
}

pub(super) fn newest_rescoring(conn: &mut Conn) -> Result<Option<Rescoring>> {
    Ok(rescorings::table
        .order((rescorings::started_at.desc(), rescorings::id.desc()))
        .select(Rescoring::as_select())
        .first(conn)
        .optional()?)
}

/// How many signals and outcomes of visits are on record. Neither is ever removed.
pub(super) fn inputs(conn: &mut Conn) -> Result<i64> {
    let signals: i64 = risk_signals::table.count().get_result(conn)?;
    let outcomes: i64 = party_history::table.count().get_result(conn)?;
    Ok(signals + outcomes)
}

pub(super) fn begin_rescoring(conn: &mut Conn, policy: &Sha256, cause: &str, now: Timestamp) -> Result<()> {
    // Waits for a step of an older walk that is being kept; a later one finds this walk and is thrown away.
    diesel::update(rescorings::table.filter(rescorings::finished_at.is_null()))
        .set(rescorings::failed.eq(rescorings::failed))
        .execute(conn)?;
    let total: i64 = shipments::table.count().get_result(conn)?;
    let inputs = inputs(conn)?;
    diesel::insert_into(rescorings::table)
        .values((
            rescorings::id.eq(uuid::Uuid::now_v7().to_string()),
            rescorings::policy_hash.eq(policy),
            rescorings::cause.eq(cause),
            rescorings::started_at.eq(now),
            rescorings::after_shipment.eq(""),
            rescorings::done.eq(0),
            rescorings::changed.eq(0),
            rescorings::total.eq(total),
            rescorings::inputs.eq(inputs),
            rescorings::failed.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// Moves a walk on from where it was found; false when somebody else moved it meanwhile.
pub(super) fn advance_rescoring(
    conn: &mut Conn,
    from: &Rescoring,
    after: &str,
    done: i64,
    finished_at: Option<Timestamp>,
) -> Result<bool> {
    let found = rescorings::table
        .filter(rescorings::id.eq(&from.id).and(rescorings::after_shipment.eq(&from.after_shipment)))
        .filter(rescorings::finished_at.is_null());
    let moved = diesel::update(found)
        .set((
            rescorings::after_shipment.eq(after),
            rescorings::done.eq(rescorings::done + done),
            rescorings::finished_at.eq(finished_at),
        ))
        .execute(conn)?;
    Ok(moved == 1)
}

/// Shipments that no assessment by the policy is the newest of, but those that a walk could not assess.
pub(super) fn unassessed(conn: &mut Conn, policy: &Sha256, walk: &str) -> Result<i64> {
    let assessed = current_assessments::table
        .filter(current_assessments::shipment_id.eq(shipments::id))
        .filter(current_assessments::policy_hash.eq(policy));
    let failed = rescoring_failures::table
        .filter(rescoring_failures::shipment_id.eq(shipments::id))
        .filter(rescoring_failures::rescoring_id.eq(walk));
    Ok(shipments::table
        .filter(diesel::dsl::not(diesel::dsl::exists(assessed)))
        .filter(diesel::dsl::not(diesel::dsl::exists(failed)))
        .count()
        .get_result(conn)?)
}

/// Notes shipments that a walk could not assess. What was made of them before does not hold any more.
pub(super) fn keep_failures(conn: &mut Conn, id: &str, failures: &[(ShipmentId, String)]) -> Result<()> {
    let rows: Vec<_> = failures
        .iter()
        .map(|(shipment, error)| {
            (
                rescoring_failures::rescoring_id.eq(id),
                rescoring_failures::shipment_id.eq(shipment),
                rescoring_failures::error.eq(error),
            )
        })
        .collect();
    insert_rows!(conn, rescoring_failures::table, &rows);
    for some in failures.chunks(CHUNK) {
        let shipments = some.iter().map(|(shipment, _)| shipment);
        diesel::delete(current_assessments::table.filter(current_assessments::shipment_id.eq_any(shipments)))
            .execute(conn)?;
    }
    diesel::update(rescorings::table.find(id))
        .set(rescorings::failed.eq(rescorings::failed + i64::try_from(failures.len()).unwrap_or(i64::MAX)))
        .execute(conn)?;
    Ok(())
}

/// The first shipments that a walk could not assess, by their keys, with the reason.
pub(super) fn failures(conn: &mut Conn, id: &str, limit: i64) -> Result<Vec<(String, String)>> {
    Ok(rescoring_failures::table
        .inner_join(shipments::table.on(shipments::id.eq(rescoring_failures::shipment_id)))
        .filter(rescoring_failures::rescoring_id.eq(id))
        .order(rescoring_failures::shipment_id)
        .limit(limit)
        .select((shipments::key, rescoring_failures::error))
        .load(conn)?)
}

pub(super) fn count_changed(conn: &mut Conn, id: &str, changed: i64) -> Result<()> {
    diesel::update(rescorings::table.find(id))
        .set(rescorings::changed.eq(rescorings::changed + changed))
        .execute(conn)?;
    Ok(())
}
