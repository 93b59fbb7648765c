//! Risk: which shipments are to be verified, by a policy that two people put into force, and a draw that anybody
//! can repeat.
//!
//! A score chooses where to look. It decides nothing about anybody.

pub mod assess;
pub mod commands;
pub mod draw;
pub mod facts;
mod force;
mod gather;
mod http;
pub mod language;
pub mod policy;
mod rescoring;
pub mod sample;
mod signals;
mod store;

use std::collections::HashMap;

use endcheck_protocol::digest::Sha256;
use serde::Serialize;

use crate::db::Conn;
use crate::error::{Error, Result};
use assess::Assessment;
pub use force::{
    ActivationDocument, ApprovePolicy, PolicyState, ShadowReport, approve, approve_and_assess, compare, held,
    in_force, load, read, shadow, shadow_run, state,
};
pub use http::{ApiDoc, routes};
pub use rescoring::{
    begin_daily, by_hand as rescore_by_hand, failures as rescoring_failures, go_on as rescore,
    newest as newest_rescoring, unfinished,
};
pub use signals::{Committed, NoteSignal, RED_FLAGS, Signal, SignalKind, verify as verify_signals};
pub use store::{HeldPolicy, Rescoring};

use policy::Policy;

/// The policy that comes with the program; it is in force only once two people put it there.
pub const DEFAULT_POLICY: &[u8] = include_bytes!("../../policies/default.toml");

/// The examples of a policy that do not come out as it says, each in a sentence.
#[must_use]
pub fn failing_cases(policy: &Policy) -> Vec<String> {
    let assessor = assess::Assessor::new(policy);
    let mut failing = Vec::new();
    for case in &policy.cases {
        let outcome = facts::Facts::from_named(&case.facts)
            .and_then(|facts| assessor.assess(&case.name, &facts, policy.review_by));
        match outcome {
            Ok(assessment) if (assessment.points, assessment.band) == (case.points, case.band) => {}
            Ok(assessment) => {
                let rules: Vec<String> =
                    assessment.rules.iter().map(|rule| format!("{} {}", rule.id, rule.points)).collect();
                failing.push(format!(
                    "{:?} comes to {} points, {}, instead of {}, {}: {}",
                    case.name,
                    assessment.points,
                    assessment.band.as_str(),
                    case.points,
                    case.band.as_str(),
                    rules.join(", ")
                ));
            }
            Err(error) => failing.push(format!("{:?}: {error}", case.name)),
        }
    }
    failing
}

/// An assessment by the SHA-256 of its document.
///
/// # Errors
/// 404 when there is none.
pub fn assessment(conn: &mut Conn, hash: &Sha256) -> Result<Assessment> {
    let row = store::assessment(conn, hash)?.ok_or_else(|| Error::not_found("assessment"))?;
    serde_json::from_str(&row.document).map_err(|e| Error::Internal(e.into()))
}

/// Assessments by the SHA-256 of their documents; those that are not there are left out.
///
/// # Errors
/// When the database fails.
pub fn assessments(conn: &mut Conn, hashes: &[&Sha256]) -> Result<HashMap<Sha256, Assessment>> {
    let rows = store::assessments_by_hash(conn, hashes)?.into_iter();
    rows.map(|(hash, text)| Ok((hash, serde_json::from_str(&text).map_err(|e| Error::Internal(e.into()))?)))
        .collect()
}

/// Why an assessment came to its points, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reason {
    pub rule: String,
    pub points: i64,
    pub sentence: String,
    /// Whether the sentence may leave headquarters.
    pub shown: bool,
    /// Facts that were not known, for which the rule was not evaluated.
    pub missing: Vec<String>,
}

/// The reasons of an assessment, what counted most first.
#[must_use]
pub fn reasons(policy: &Policy, assessment: &Assessment) -> Vec<Reason> {
    let told = assessment.rules.iter().filter_map(|result| {
        let rule = policy.rules.iter().find(|rule| rule.id == result.id)?;
        Some(Reason {
            rule: result.id.clone(),
            points: result.points,
            sentence: policy::fill(&rule.reason, &assessment.facts),
            shown: rule.shown,
            missing: result.missing.clone(),
        })
    });
    let mut reasons: Vec<Reason> = told.filter(|reason| reason.points != 0).collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.points));
    reasons
}

/// Every policy held, as its bytes.
///
/// # Errors
/// When the database fails.
pub fn documents(conn: &mut Conn) -> Result<Vec<(Sha256, Vec<u8>)>> {
    store::documents(conn)
}

/// Assessments after a hash, in the order of their hashes, as their documents.
///
/// # Errors
/// When the database fails.
pub fn assessment_documents(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<(Sha256, String)>> {
    let rows = store::assessments_after(conn, after, limit)?;
    Ok(rows.into_iter().map(|row| (row.hash, row.document)).collect())
}

/// The newest assessments of a shipment, newest first.
///
/// # Errors
/// When the database fails.
pub fn assessments_of(
    conn: &mut Conn,
    shipment: &endcheck_protocol::ids::ShipmentId,
) -> Result<Vec<(Sha256, Assessment)>> {
    let rows = store::assessments_of(conn, shipment, 50)?;
    rows.into_iter()
        .map(|row| {
            let read = serde_json::from_str(&row.document).map_err(|e| Error::Internal(e.into()))?;
            Ok((row.hash, read))
        })
        .collect()
}

/// How many shipments are in each band by a policy.
///
/// # Errors
/// When the database fails.
pub fn band_counts(conn: &mut Conn, policy: &Sha256) -> Result<Vec<(String, i64)>> {
    store::band_counts(conn, policy)
}

/// A policy's row.
///
/// # Errors
/// 404 when there is none.
pub fn held_policy(conn: &mut Conn, hash: &Sha256) -> Result<HeldPolicy> {
    store::held_policy(conn, hash)?.ok_or_else(|| Error::not_found("policy"))
}

/// The row of the policy in force.
///
/// # Errors
/// 409 `no-policy` when there is none.
pub fn active_held(conn: &mut Conn) -> Result<HeldPolicy> {
    match store::active(conn)? {
        Some(hash) => held_policy(conn, &hash),
        None => Err(force::no_policy()),
    }
}

/// The policy in force, if any.
///
/// # Errors
/// When the database fails.
pub fn active(conn: &mut Conn) -> Result<Option<(HeldPolicy, Policy)>> {
    match store::active(conn)? {
        Some(hash) => Ok(Some((held_policy(conn, &hash)?, held(conn, &hash)?))),
        None => Ok(None),
    }
}

/// All policies with how far they are, the last loaded first.
///
/// # Errors
/// When the database fails.
pub fn states(conn: &mut Conn) -> Result<Vec<PolicyState>> {
    store::held_policies(conn)?.into_iter().map(|held| state(conn, &held.hash)).collect()
}
