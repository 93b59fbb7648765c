//! Who runs a tick, and how it ends: claims with a lease, and the fence that keeps a late holder out.
//!
//! All instants here are the database's, so servers whose clocks differ agree on them. A clock that jumps can
//! cost a run its lease; it cannot double an effect, because every write of a run asks first whether the run
//! is still its own.

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;

use super::schedule::Schedule;
use super::store::{self, Ending, NewRun, RunRow, RunState};
use crate::db::Conn;
use crate::error::{Error, Result};

/// Tries of a tick before it is given up; the next tick starts afresh.
pub const MAX_ATTEMPTS: i64 = 5;

/// A server process, as it takes runs.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Tells processes apart, also after a restart.
    pub name: String,
    /// How long a run stays its own unless it is prolonged.
    pub lease: TimeDelta,
}

/// A run that a process took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub job: String,
    /// The instant that the schedule named; for a run by hand, when it was asked for.
    pub tick_at: Timestamp,
    /// Which holder of the tick this is, from 1.
    pub attempt: i64,
    /// Ticks before it that nobody took up.
    pub missed: i64,
    /// When it was taken, by the database's clock.
    pub now: Timestamp,
}

/// Takes what is to be run of a job, if anything is and nobody is at it. Call it as the whole of a write.
///
/// In this order: a run whose holder was not heard of within its lease; a run by hand; the newest tick that
/// is due; a run whose next try is due. Two ticks of one job never run side by side.
///
/// # Errors
/// When the database fails.
pub fn claim(
    conn: &mut Conn,
    job: &str,
    schedule: Option<&Schedule>,
    holder: &Holder,
    now: Timestamp,
) -> Result<Option<Claim>> {
    store::lock(conn, job)?;
    let Some(last_tick_at) = store::last_tick(conn, job)? else {
        store::ensure(conn, job, now)?;
        return Ok(None);
    };
    let unfinished = store::unfinished(conn, Some(job))?;
    let take = |conn: &mut Conn, run: &RunRow| {
        let taken = store::take(conn, run, holder, now)?;
        Ok(taken.then(|| Claim {
            job: job.to_owned(),
            tick_at: run.tick_at,
            attempt: run.attempts + 1,
            missed: run.missed,
            now,
        }))
    };
    for run in unfinished.iter().filter(|run| run.state() == RunState::Running) {
        if run.lease_until.is_some_and(|until| until > now) {
            return Ok(None);
        }
        let claim = take(conn, run)?;
        if claim.is_none() || run.attempts < MAX_ATTEMPTS {
            return Ok(claim);
        }
        // Taken once more, to be given up: its holder cannot come back to it now.
        let outcome =
            format!("given up: {} servers in a row were not heard of while they ran it", run.attempts);
        let ending = Ending { state: RunState::Failed, outcome: &outcome, retry_at: None, now };
        store::end(conn, job, run.tick_at, &ending)?;
    }
    if let Some(run) = unfinished.iter().find(|run| run.state() == RunState::Waiting) {
        return take(conn, run);
    }
    let retrying = unfinished.iter().filter(|run| run.state() == RunState::Retrying);
    if let Some(due) = schedule.and_then(|schedule| schedule.due(last_tick_at, now)) {
        store::set_last_tick(conn, job, due.at)?;
        let run = NewRun {
            job,
            tick_at: due.at,
            asked_by: None,
            missed: due.missed,
            state: RunState::Waiting.as_str(),
            attempts: 0,
        };
        if !store::insert(conn, &run)? {
            return Ok(None);
        }
        for run in retrying {
            let why = run.outcome.as_deref().unwrap_or_default();
            let outcome = format!("{why} (left to the next tick)");
            let ending = Ending { state: RunState::Failed, outcome: &outcome, retry_at: None, now };
            store::end(conn, job, run.tick_at, &ending)?;
        }
        let run = store::run(conn, job, due.at)?;
        return take(conn, &run);
    }
    for run in retrying {
        if run.retry_at.is_none_or(|at| at <= now) {
            return take(conn, run);
        }
    }
    Ok(None)
}

/// The fence: prolongs the lease, or refuses because the run has another holder by now. Whatever a run writes
/// stands in the same transaction behind this.
///
/// # Errors
/// [`lost`] when the run is no longer this claim's.
pub fn hold(conn: &mut Conn, claim: &Claim, lease: TimeDelta, now: Timestamp) -> Result<()> {
    if store::prolong(conn, claim, now.plus(lease))? { Ok(()) } else { Err(lost(claim)) }
}

/// Ends a run well, in one transaction with its last effects.
///
/// # Errors
/// [`lost`] when the run is no longer this claim's; whatever `effect` answers.
pub fn finish(
    conn: &mut Conn,
    claim: &Claim,
    now: Timestamp,
    effect: impl FnOnce(&mut Conn) -> Result<String>,
) -> Result<String> {
    hold(conn, claim, TimeDelta::zero(), now)?;
    let outcome = effect(conn)?;
    let ending = Ending { state: RunState::Done, outcome: &outcome, retry_at: None, now };
    store::end(conn, &claim.job, claim.tick_at, &ending)?;
    Ok(outcome)
}

/// Notes that a run failed: to be tried again a little later, or given up.
///
/// # Errors
/// [`lost`] when the run is no longer this claim's.
pub fn fail(conn: &mut Conn, claim: &Claim, why: &str, now: Timestamp) -> Result<()> {
    hold(conn, claim, TimeDelta::zero(), now)?;
    let retry_at = retry_after(claim.attempt).map(|wait| now.plus(wait));
    let state = if retry_at.is_some() { RunState::Retrying } else { RunState::Failed };
    store::end(conn, &claim.job, claim.tick_at, &Ending { state, outcome: why, retry_at, now })
}

/// From a failed try to the next; nothing when no more are made.
fn retry_after(attempt: i64) -> Option<TimeDelta> {
    let doublings = u32::try_from(attempt - 1).ok()?;
    (attempt < MAX_ATTEMPTS).then(|| TimeDelta::seconds(30 * 2_i64.pow(doublings.min(10))))
}

const LOST: &str = "run-lost";

/// Another server holds the run by now; nothing of what was under way counts.
#[must_use]
pub fn lost(claim: &Claim) -> Error {
    Error::conflict(LOST, format!("The run of {} at {} has another holder by now.", claim.job, claim.tick_at))
}

#[must_use]
pub fn is_lost(error: &Error) -> bool {
    error.code() == LOST
}
