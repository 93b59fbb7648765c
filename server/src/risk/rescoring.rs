//! Assessing every shipment anew, in the background: many short steps, each of which says how far it came.

use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use super::assess::Assessor;
use super::policy::Policy;
use super::store::{self, AssessmentRow, Rescoring};
use super::{force, gather};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};

/// Shipments of one step: few enough that nobody who writes waits long.
const STEP: i64 = 250;

/// Begins to assess every shipment by the policy in force, unless that is under way.
///
/// # Errors
/// 409 `no-policy`; when the database fails.
pub fn begin(conn: &mut Conn, cause: &str, now: Timestamp) -> Result<()> {
    let policy = force::in_force(conn)?;
    match store::newest_rescoring(conn)? {
        Some(newest) if newest.finished_at.is_none() && newest.policy_hash == policy.hash => Ok(()),
        _ => store::begin_rescoring(conn, &policy.hash, cause, now),
    }
}

/// Begins the day's walk, where a policy is in force and none was begun within a day. Whether it began one.
///
/// # Errors
/// When the database fails.
pub fn begin_daily(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    let Some(policy) = store::active(conn)? else { return Ok(false) };
    let recent = store::newest_rescoring(conn)?
        .is_some_and(|newest| newest.started_at > now.plus(-TimeDelta::days(1)));
    if recent {
        return Ok(false);
    }
    store::begin_rescoring(conn, &policy, "the day's walk", now)?;
    Ok(true)
}

/// The newest walk over all shipments.
///
/// # Errors
/// When the database fails.
pub fn newest(conn: &mut Conn) -> Result<Option<Rescoring>> {
    store::newest_rescoring(conn)
}

/// Goes on with what was begun until it is done. May run on two servers at once: a step that another one made
/// meanwhile is thrown away. How many shipments were assessed here.
///
/// # Errors
/// When the database fails; the next call goes on where this one came to.
pub async fn go_on(app: &Arc<App>) -> Result<u64> {
    let mut assessed = 0;
    let mut policy: Option<Arc<Policy>> = None;
    loop {
        let known = policy.clone();
        let step = app.read(move |conn| next_step(conn, known)).await?;
        let Some((held, from)) = step else { return Ok(assessed) };
        let now = app.clock.now();
        let (shared, reading) = (Arc::clone(&held), from.clone());
        let rows = app.read(move |conn| assess(conn, &shared, &reading.after_shipment, now)).await?;
        assessed += rows.len() as u64;
        app.write(move |conn| keep(conn, &from, rows, now)).await?;
        policy = Some(held);
    }
}

/// The walk under way, with its policy.
fn next_step(conn: &mut Conn, known: Option<Arc<Policy>>) -> Result<Option<(Arc<Policy>, Rescoring)>> {
    let Some(from) = store::newest_rescoring(conn)?.filter(|walk| walk.finished_at.is_none()) else {
        return Ok(None);
    };
    let policy = match known.filter(|policy| policy.hash == from.policy_hash) {
        Some(policy) => policy,
        None => Arc::new(force::held(conn, &from.policy_hash)?),
    };
    Ok(Some((policy, from)))
}

fn assess(conn: &mut Conn, policy: &Policy, after: &str, now: Timestamp) -> Result<Vec<AssessmentRow>> {
    let assessor = Assessor::new(policy);
    let on = now.day();
    gather::after(conn, after, STEP)?
        .facts(policy, on)?
        .into_iter()
        .map(|shipment| {
            let assessment = assessor
                .assess(&shipment.key, &shipment.facts, on)
                .map_err(|e| Error::Internal(anyhow::anyhow!("{}: {e}", shipment.key)))?;
            let document = assessment.to_bytes().map_err(|e| Error::Internal(e.into()))?;
            Ok(AssessmentRow {
                hash: Sha256::of(&document),
                shipment_id: shipment.id,
                policy_hash: policy.hash.clone(),
                assessed_at: now,
                band: assessment.band.as_str().to_owned(),
                points: assessment.points,
                document: String::from_utf8(document).map_err(|e| Error::Internal(e.into()))?,
            })
        })
        .collect()
}

fn keep(conn: &mut Conn, from: &Rescoring, rows: Vec<AssessmentRow>, now: Timestamp) -> Result<()> {
    let last = rows.last().map(|row| row.shipment_id.to_string());
    let done = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let finished_at = (done < STEP).then_some(now);
    let after = last.unwrap_or_else(|| from.after_shipment.clone());
    // First of all, so that two servers that made the same step wait for each other here.
    if store::advance_rescoring(conn, from, &after, done, finished_at)? {
        let fresh = store::keep_assessments(conn, rows)?;
        store::count_changed(conn, &from.id, i64::try_from(fresh).unwrap_or(i64::MAX))?;
    }
    Ok(())
}

/// Goes on in the background.
pub fn spawn(app: &Arc<App>) {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        match go_on(&app).await {
            Ok(assessed) => tracing::info!(assessed, "assessed shipments anew"),
            Err(error) => tracing::error!(%error, "assessing shipments anew waits for the next tick"),
        }
    });
}
