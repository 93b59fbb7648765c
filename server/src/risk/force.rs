//! Putting a policy into force: somebody loads it, a shadow run over all shipments shows who would move and why,
//! and two people approve. What is in force never changes; a newer policy takes its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::assess::{Assessment, Assessor};
use super::gather::{self, Gathered};
use super::policy::{Band, Policy};
use super::store::{self, HeldPolicy};
use super::{failing_cases, rescoring};
use crate::accounts::{self, Actor, Permission};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;

/// Shipments that a report names one by one at most; all are counted.
const MAX_MOVED: usize = 500;
/// Shipments that could not be assessed and are named one by one; all are counted.
const MAX_FAILURES: usize = 20;
const BATCH: i64 = 500;

/// What a shadow run found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowReport {
    pub shipments: u64,
    /// Shipments by the band that they are in and the one that they would be in, such as `low → high`.
    pub moves: BTreeMap<String, u64>,
    /// Those that would move, the largest changes first; at most 500.
    pub moved: Vec<Moved>,
    /// Where the documents differ, a line each.
    #[serde(default)]
    pub changes: Vec<String>,
    /// Shipments that this policy could not assess; they are in no band.
    #[serde(default)]
    pub failed: u64,
    /// Shipments that the policy compared with could not assess.
    #[serde(default)]
    pub failed_before: u64,
    /// Which shipment failed, by which policy and why; the first 20.
    #[serde(default)]
    pub failures: Vec<String>,
}

/// A shipment that would be in another band.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Moved {
    pub shipment: String,
    pub from: Option<Band>,
    pub to: Band,
    pub points_before: Option<i64>,
    pub points: i64,
    /// What makes the difference: a rule and its points, with its sign.
    pub because: Vec<String>,
}

/// How far a policy is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PolicyState {
    pub policy: HeldPolicy,
    pub active: bool,
    /// It was in force, and a newer one took its place.
    pub superseded: bool,
    /// Those that count: about the shadow run below, of people who may approve to this day. Of a policy that came into
    /// force all that were ever given.
    pub approvals: Vec<Approval>,
    /// The newest shadow run, if it was against the policy now in force.
    pub shadow: Option<ShadowReport>,
    /// The id of that run: an approval may say that it is about this one.
    pub shadow_run: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Approval {
    pub user: UserId,
    pub reason: String,
    pub approved_at: Timestamp,
}

/// An approval to be given.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovePolicy {
    pub reason: String,
    /// The shadow run that it is about; where it is not the newest any more, nothing is approved.
    #[serde(default)]
    pub shadow_run: Option<String>,
}

/// The document that the log commits to when a policy comes into force. Fields in alphabetical order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationDocument {
    pub activated_at: Timestamp,
    pub approved_by: Vec<UserId>,
    pub policy: Sha256,
    pub schema: String,
}

/// Reads a policy document.
///
/// # Errors
/// 422 with everything that is wrong: the line, the rule and the reason; or the examples that do not come out.
pub fn read(document: &[u8]) -> Result<Policy> {
    let policy = Policy::read(document).map_err(|faults| {
        let named = faults.into_iter().map(|fault| FieldProblem {
            line: u64::try_from(fault.line).ok(),
            field: fault.rule.map_or_else(|| "policy".to_owned(), |rule| format!("rule {rule}")),
            reason: fault.message,
        });
        Error::invalid(named.collect())
    })?;
    let failing = failing_cases(&policy);
    if failing.is_empty() {
        return Ok(policy);
    }
    let named =
        failing.into_iter().map(|reason| FieldProblem { line: None, field: "case".to_owned(), reason });
    Err(Error::invalid(named.collect()))
}

/// Loads a policy that was [`read`] from `document`: keeps its bytes. One that is held already changes nothing.
///
/// # Errors
/// 403; 409 `policy-version-exists` when the version is held with other bytes, `policy-version-old` when a newer one
/// is held.
pub fn load(
    conn: &mut Conn,
    actor: &Actor,
    policy: &Policy,
    document: &[u8],
    now: Timestamp,
) -> Result<HeldPolicy> {
    actor.require(Permission::EditPolicy)?;
    if let Some(held) = store::held_policy(conn, &policy.hash)? {
        return Ok(held);
    }
    match store::newest_version(conn, &policy.id)? {
        Some((version, _)) if version == policy.version => {
            return Err(Error::conflict(
                "policy-version-exists",
                format!(
                    "{} version {version} is held with other bytes; a version never changes: give this one the next number.",
                    policy.id
                ),
            ));
        }
        Some((version, _)) if version > policy.version => {
            return Err(Error::conflict(
                "policy-version-old",
                format!(
                    "{} version {version} is held; version {} is older: give it the next number.",
                    policy.id, policy.version
                ),
            ));
        }
        _ => {}
    }
    store::insert_policy(conn, policy, document, &actor.user, now)?;
    store::held_policy(conn, &policy.hash)?.ok_or_else(|| Error::not_found("policy"))
}

/// A policy that is held.
///
/// # Errors
/// 404 when there is none of that hash.
pub fn held(conn: &mut Conn, hash: &Sha256) -> Result<Policy> {
    let document = store::document(conn, hash)?.ok_or_else(|| Error::not_found("policy"))?;
    Policy::read(&document).map_err(|faults| {
        let first = faults.first().map(ToString::to_string).unwrap_or_default();
        Error::Internal(anyhow::anyhow!("policy {hash} is held and cannot be read: {first}"))
    })
}

/// The policy in force.
///
/// # Errors
/// 409 `no-policy` when there is none.
pub fn in_force(conn: &mut Conn) -> Result<Policy> {
    match store::active(conn)? {
        Some(hash) => held(conn, &hash),
        None => Err(no_policy()),
    }
}

pub(super) fn no_policy() -> Error {
    Error::conflict(
        "no-policy",
        "No risk policy is in force: load one, make a shadow run, and let two people approve it.",
    )
}

/// How far a policy is.
///
/// # Errors
/// 404 when there is none of that hash.
pub fn state(conn: &mut Conn, hash: &Sha256) -> Result<PolicyState> {
    let policy = store::held_policy(conn, hash)?.ok_or_else(|| Error::not_found("policy"))?;
    let active = store::active(conn)?;
    let is_active = active.as_ref() == Some(hash);
    let superseded = !is_active && store::is_activated(conn, hash)?;
    let in_use = store::shadow(conn, hash)?.filter(|run| is_active || superseded || run.against == active);
    let approvals = match &in_use {
        Some(run) if !is_active && !superseded => counting(conn, &run.id)?,
        _ => store::approvals(conn, hash)?,
    };
    let approvals = approvals
        .into_iter()
        .map(|(user, reason, approved_at)| Approval { user, reason, approved_at })
        .collect();
    let (shadow, shadow_run) = match in_use {
        Some(run) => {
            let report = serde_json::from_str(&run.report).map_err(|e| Error::Internal(e.into()))?;
            (Some(report), Some(run.id))
        }
        None => (None, None),
    };
    Ok(PolicyState { policy, active: is_active, superseded, approvals, shadow, shadow_run })
}

/// The approvals of a shadow run that count: of people who may approve to this day.
fn counting(conn: &mut Conn, shadow: &str) -> Result<Vec<(UserId, String, Timestamp)>> {
    let holders = accounts::holders(conn, Permission::ApprovePolicy)?;
    let mut approvals = store::approvals_of(conn, shadow)?;
    approvals.retain(|(user, _, _)| holders.contains(user));
    Ok(approvals)
}

/// Runs a policy over every shipment beside the one in force, and keeps the report.
///
/// # Errors
/// 403; 404 for an unknown policy; when the database fails.
pub async fn shadow(app: &Arc<App>, actor: &Actor, hash: &Sha256) -> Result<ShadowReport> {
    let now = app.clock.now();
    let (hash, actor) = (hash.clone(), actor.clone());
    app.read(move |conn| shadow_run(conn, &actor, &hash, now)).await
}

/// As [`shadow`], on a connection that is not in a transaction.
///
/// # Errors
/// As [`shadow`].
pub fn shadow_run(conn: &mut Conn, actor: &Actor, hash: &Sha256, now: Timestamp) -> Result<ShadowReport> {
    actor.require(Permission::EditPolicy)?;
    let policy = held(conn, hash)?;
    let against = match store::active(conn)? {
        Some(active) if active != *hash => Some(held(conn, &active)?),
        _ => None,
    };
    let report = compare(conn, &policy, against.as_ref(), now.day())?;
    let text = serde_json::to_string(&report).map_err(|e| Error::Internal(e.into()))?;
    let against = against.map(|policy| policy.hash);
    conn.write(|conn| store::insert_shadow(conn, hash, against.as_ref(), &text, now))?;
    Ok(report)
}

/// Assesses every shipment by two policies. Writes nothing. A shipment that one of them cannot assess is counted and
/// told.
///
/// # Errors
/// When the database fails.
pub fn compare(
    conn: &mut Conn,
    policy: &Policy,
    against: Option<&Policy>,
    on: NaiveDate,
) -> Result<ShadowReport> {
    let mut report = ShadowReport::default();
    let assessor = Assessor::new(policy);
    let other = against.map(Assessor::new);
    let mut after = String::new();
    loop {
        let batch = gather::after(conn, &after, BATCH)?;
        let Some(last) = batch.last() else { break };
        after = last.to_string();
        // Tiers and groups are the policy's own.
        let beside = against.map(|against| batch.facts(against, on));
        for (place, shipment) in batch.facts(policy, on).iter().enumerate() {
            let before = match (&other, beside.as_ref().and_then(|all| all.get(place))) {
                (Some(other), Some(shipment)) => match assessed(other, shipment, on) {
                    Ok(before) => Some(before),
                    Err(why) => {
                        report.failed_before += 1;
                        report.note(format!("{} by the policy in force: {why}", shipment.key));
                        None
                    }
                },
                _ => None,
            };
            match assessed(&assessor, shipment, on) {
                Ok(assessment) => report.add(before.as_ref(), &assessment),
                Err(why) => {
                    report.shipments += 1;
                    report.failed += 1;
                    report.note(format!("{}: {why}", shipment.key));
                }
            }
        }
    }
    report.keep_largest();
    report.changes = against.map(|against| super::policy::differences(against, policy)).unwrap_or_default();
    Ok(report)
}

fn assessed(assessor: &Assessor<'_>, shipment: &Gathered, on: NaiveDate) -> Result<Assessment, String> {
    assessor.assess(&shipment.key, shipment.facts.as_ref().map_err(Clone::clone)?, on)
}

impl ShadowReport {
    fn note(&mut self, failure: String) {
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(failure);
        }
    }

    fn add(&mut self, before: Option<&Assessment>, after: &Assessment) {
        self.shipments += 1;
        let from = before.map(|before| before.band);
        let named = from.map_or("none", Band::as_str);
        *self.moves.entry(format!("{named} → {}", after.band.as_str())).or_default() += 1;
        if from.is_some() && from != Some(after.band) {
            self.moved.push(Moved {
                shipment: after.shipment.clone(),
                from,
                to: after.band,
                points_before: before.map(|before| before.points),
                points: after.points,
                because: differences(before, after),
            });
            if self.moved.len() >= 2 * MAX_MOVED {
                self.keep_largest();
            }
        }
    }

    /// Sorts those that would move by how far, and keeps the first.
    fn keep_largest(&mut self) {
        let change = |moved: &Moved| (moved.points - moved.points_before.unwrap_or(0)).abs();
        self.moved.sort_by_key(|moved| std::cmp::Reverse(change(moved)));
        self.moved.truncate(MAX_MOVED);
    }
}

/// The rules whose points differ, with the difference.
fn differences(before: Option<&Assessment>, after: &Assessment) -> Vec<String> {
    let mut points: BTreeMap<&str, i64> = BTreeMap::new();
    for rule in &after.rules {
        *points.entry(&rule.id).or_default() += rule.points;
    }
    for rule in before.map(|before| before.rules.as_slice()).unwrap_or_default() {
        *points.entry(&rule.id).or_default() -= rule.points;
    }
    points
        .into_iter()
        .filter(|(_, points)| *points != 0)
        .map(|(rule, points)| format!("{rule} {points:+}"))
        .collect()
}

/// As [`approve`]; what comes into force begins to assess every shipment in the background.
///
/// # Errors
/// As [`approve`].
pub async fn approve_and_assess(
    app: &Arc<App>,
    actor: &Actor,
    hash: &Sha256,
    command: ApprovePolicy,
) -> Result<PolicyState> {
    let now = app.clock.now();
    let (hash, actor) = (hash.clone(), actor.clone());
    let state = app.write(move |conn| approve(conn, &actor, &hash, command, now)).await?;
    if state.active {
        rescoring::spawn(app);
    }
    Ok(state)
}

/// Approves a policy as its newest shadow run shows it; the second person's approval of that run puts it into force.
///
/// # Errors
/// 403; 404; 409 `no-shadow-run` without one against what is in force, `shadow-run-old` where the command names another
/// than the newest; 409 `policy-superseded` for one that was in
/// force before; 409 `policy-version-old` when that version or a newer one of the same id was in force; 409
/// `policy-expired`; 422 without a reason.
pub fn approve(
    conn: &mut Conn,
    actor: &Actor,
    hash: &Sha256,
    command: ApprovePolicy,
    now: Timestamp,
) -> Result<PolicyState> {
    actor.require(Permission::ApprovePolicy)?;
    log::lock(conn)?;
    let why = reason::require(command.reason)?;
    let found = state(conn, hash)?;
    if found.active {
        return Ok(found);
    }
    let held = &found.policy;
    if found.superseded {
        return Err(Error::conflict(
            "policy-superseded",
            "It was in force before; to return to it, load it again as a new version.",
        ));
    }
    if let Some(highest) =
        store::highest_activated(conn, &held.id)?.filter(|highest| *highest >= held.version)
    {
        return Err(Error::conflict(
            "policy-version-old",
            format!(
                "Version {highest} of {} was put into force; version {} is older: load it again as the next one.",
                held.id, held.version
            ),
        ));
    }
    if held.is_expired(now.day()) {
        return Err(Error::conflict(
            "policy-expired",
            format!("It was to be reviewed by {}: review it and load it as a new version.", held.review_by),
        ));
    }
    let against = store::active(conn)?;
    let Some(shadow) = store::shadow(conn, hash)?.filter(|run| run.against == against) else {
        return Err(Error::conflict(
            "no-shadow-run",
            "Make a shadow run against what is in force first, so that it is known who would move and why.",
        ));
    };
    if command.shadow_run.is_some_and(|read| read != shadow.id) {
        return Err(Error::conflict(
            "shadow-run-old",
            "The policy was run anew since you looked: read what the newest run shows, and approve that.",
        ));
    }
    store::insert_approval(conn, hash, &shadow.id, &actor.user, &why, now)?;
    let approved_by: Vec<UserId> = counting(conn, &shadow.id)?.into_iter().map(|(user, _, _)| user).collect();
    if approved_by.len() >= 2 {
        let document = ActivationDocument {
            activated_at: now,
            approved_by,
            policy: hash.clone(),
            schema: "endcheck/activation/1".to_owned(),
        };
        let text = serde_json::to_string(&document).map_err(|e| Error::Internal(e.into()))?;
        let logged = log::append(conn, EntryKind::Policy, &Sha256::of(text.as_bytes()), now)?;
        store::insert_activation(conn, hash, &text, logged.index, now)?;
        rescoring::begin(conn, "a policy came into force", now)?;
    }
    state(conn, hash)
}
