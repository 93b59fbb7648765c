//! Assessing every shipment anew, in the background: many short steps, each of which says how far it came.

use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::ShipmentId;
use endcheck_protocol::time::Timestamp;

use super::assess::{Assessment, Assessor};
use super::force;
use super::gather::{self, Gathered};
use super::policy::Policy;
use super::store::{self, AssessmentRow, Rescoring};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::log;

/// Shipments of one step: few enough that nobody who writes waits long.
const STEP: i64 = 250;

/// Begins to assess every shipment by the policy in force, unless that is under way with all that is known by now.
/// A walk that it overtakes is left where it is.
///
/// # Errors
/// 409 `no-policy`; when the database fails.
pub fn begin(conn: &mut Conn, cause: &str, now: Timestamp) -> Result<()> {
    // What comes in as a signal or an outcome holds it, too: it is either before this walk or after it.
    log::lock(conn)?;
    let policy = store::active(conn)?.ok_or_else(force::no_policy)?;
    match store::newest_rescoring(conn)? {
        Some(newest)
            if newest.finished_at.is_none()
                && newest.policy_hash == policy
                && newest.inputs == store::inputs(conn)? =>
        {
            Ok(())
        }
        _ => store::begin_rescoring(conn, &policy, cause, now),
    }
}

/// Begins the day's walk, where a policy is in force and none was begun within a day; within an hour, where signals
/// or outcomes came in since. Whether it began one.
///
/// # Errors
/// When the database fails.
pub fn begin_daily(conn: &mut Conn, now: Timestamp) -> Result<bool> {
    let Some(policy) = store::active(conn)? else { return Ok(false) };
    let Some(newest) = store::newest_rescoring(conn)? else {
        store::begin_rescoring(conn, &policy, "the first walk", now)?;
        return Ok(true);
    };
    let cause = if newest.started_at <= now.plus(-TimeDelta::days(1)) {
        "the day's walk"
    } else if newest.finished_at.is_some() && newest.started_at <= now.plus(-TimeDelta::hours(1)) {
        log::lock(conn)?;
        if newest.inputs == store::inputs(conn)? {
            return Ok(false);
        }
        "signals or outcomes came in"
    } else {
        return Ok(false);
    };
    log::lock(conn)?;
    store::begin_rescoring(conn, &policy, cause, now)?;
    Ok(true)
}

/// Why nothing can be drawn by what was assessed; `None` where it can: every shipment was assessed by the policy,
/// but those that cannot be, with every signal and outcome that is on record.
///
/// # Errors
/// When the database fails.
pub fn unfinished(conn: &mut Conn, policy: &Sha256) -> Result<Option<String>> {
    let walk = store::newest_rescoring(conn)?.filter(|walk| walk.policy_hash == *policy);
    let Some(walk) = walk else {
        return Ok(Some("no shipment was assessed by the policy in force yet".to_owned()));
    };
    if walk.finished_at.is_none() {
        return Ok(Some(format!("{} of {} shipments are assessed so far", walk.done, walk.total)));
    }
    let since = store::inputs(conn)? - walk.inputs;
    if since != 0 {
        return Ok(Some(format!(
            "{since} signals or outcomes of visits came in since shipments were assessed on {}",
            walk.started_at.day()
        )));
    }
    let missing = store::unassessed(conn, policy, &walk.id)?;
    Ok((missing > 0).then(|| format!("{missing} shipments came in since and are not assessed yet")))
}

/// The first shipments that a walk could not assess, by their keys, with the reason.
///
/// # Errors
/// When the database fails.
pub fn failures(conn: &mut Conn, walk: &Rescoring) -> Result<Vec<(String, String)>> {
    store::failures(conn, &walk.id, 20)
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
        let step = app.read(move |conn| assess(conn, &shared, &reading.after_shipment, now)).await?;
        assessed += step.rows.len() as u64;
        app.write(move |conn| keep(conn, &from, step, now)).await?;
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

/// What a step came to.
struct Step {
    rows: Vec<AssessmentRow>,
    /// Shipments that could not be assessed, and why: nothing that is wrong with one keeps the others waiting.
    failures: Vec<(ShipmentId, String)>,
    /// The last shipment looked at.
    last: Option<ShipmentId>,
}

fn assess(conn: &mut Conn, policy: &Policy, after: &str, now: Timestamp) -> Result<Step> {
    let assessor = Assessor::new(policy);
    let on = now.day();
    let batch = gather::after(conn, after, STEP)?;
    let mut step =
        Step { rows: Vec::with_capacity(batch.len()), failures: Vec::new(), last: batch.last().cloned() };
    for Gathered { id, key, facts } in batch.facts(policy, on) {
        match facts.and_then(|facts| assessor.assess(&key, &facts, on)) {
            Ok(assessment) => step.rows.push(row(id, policy, &assessment, now)?),
            Err(why) => {
                tracing::error!(shipment = key, why, "a shipment cannot be assessed");
                step.failures.push((id, why));
            }
        }
    }
    Ok(step)
}

fn row(
    shipment_id: ShipmentId,
    policy: &Policy,
    assessment: &Assessment,
    now: Timestamp,
) -> Result<AssessmentRow> {
    let document = assessment.to_bytes().map_err(|e| Error::Internal(e.into()))?;
    Ok(AssessmentRow {
        hash: Sha256::of(&document),
        shipment_id,
        policy_hash: policy.hash.clone(),
        assessed_at: now,
        band: assessment.band.as_str().to_owned(),
        points: assessment.points,
        document: String::from_utf8(document).map_err(|e| Error::Internal(e.into()))?,
    })
}

fn keep(conn: &mut Conn, from: &Rescoring, step: Step, now: Timestamp) -> Result<()> {
    let done = i64::try_from(step.rows.len() + step.failures.len()).unwrap_or(i64::MAX);
    let finished_at = (done < STEP).then_some(now);
    let after = step.last.map_or_else(|| from.after_shipment.clone(), |last| last.to_string());
    // First of all, so that two servers that made the same step wait for each other here, and a new walk for this step.
    let moved = store::advance_rescoring(conn, from, &after, done, finished_at)?;
    // What an overtaken walk read may be older than what the newest one wrote.
    if moved && store::newest_rescoring(conn)?.is_some_and(|newest| newest.id == from.id) {
        let fresh = store::keep_assessments(conn, step.rows)?;
        store::count_changed(conn, &from.id, i64::try_from(fresh).unwrap_or(i64::MAX))?;
        store::keep_failures(conn, &from.id, &step.failures)?;
    }
    Ok(())
}

/// Begins a walk because somebody asked for it, and goes on in the background. Answers the newest walk.
///
/// # Errors
/// As `begin`.
pub async fn by_hand(app: &Arc<App>, now: Timestamp) -> Result<Option<Rescoring>> {
    let walk = app
        .write(move |conn| {
            begin(conn, "asked for by hand", now)?;
            newest(conn)
        })
        .await?;
    spawn(app);
    Ok(walk)
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
