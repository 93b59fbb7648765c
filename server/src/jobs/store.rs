//! Rows of jobs, their runs and their totals.

use diesel::prelude::*;
use endcheck_protocol::time::Timestamp;

use super::runs::{Claim, Holder};
use crate::db::schema::{job_runs, job_states, job_totals};
use crate::db::{Both, Conn, MultiBackend};
use crate::error::Result;

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// Somebody asked for it; a server takes it up soon.
    Waiting,
    Running,
    /// It failed and is tried again.
    Retrying,
    Done,
    Failed,
}

impl RunState {
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Retrying, Self::Done, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.as_str() == text).unwrap_or(Self::Failed)
    }
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = job_runs, check_for_backend(MultiBackend))]
pub(super) struct RunRow {
    pub job: String,
    pub tick_at: Timestamp,
    pub asked_by: Option<String>,
    pub missed: i64,
    state: String,
    pub holder: Option<String>,
    pub attempts: i64,
    pub started_at: Option<Timestamp>,
    pub lease_until: Option<Timestamp>,
    pub retry_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub outcome: Option<String>,
}

impl RunRow {
    pub fn state(&self) -> RunState {
        RunState::parse(&self.state)
    }
}

#[derive(Insertable)]
#[diesel(table_name = job_runs)]
pub(super) struct NewRun<'a> {
    pub job: &'a str,
    pub tick_at: Timestamp,
    pub asked_by: Option<&'a str>,
    pub missed: i64,
    pub state: &'static str,
    pub attempts: i64,
}

/// Makes a job known from now on, unless it is.
pub(super) fn ensure(conn: &mut Conn, job: &str, now: Timestamp) -> Result<()> {
    let row = (job_states::job.eq(job), job_states::last_tick_at.eq(now));
    Both(diesel::insert_into(job_states::table).values(row).on_conflict(job_states::job).do_nothing())
        .execute(conn)?;
    Ok(())
}

/// Locks the job until the commit: of two servers that look at it at once the second waits, and sees what
/// the first did.
pub(super) fn lock(conn: &mut Conn, job: &str) -> Result<()> {
    diesel::update(job_states::table.filter(job_states::job.eq(job)))
        .set(job_states::last_tick_at.eq(job_states::last_tick_at))
        .execute(conn)?;
    Ok(())
}

pub(super) fn last_tick(conn: &mut Conn, job: &str) -> Result<Option<Timestamp>> {
    let last = job_states::table.find(job).select(job_states::last_tick_at).first(conn).optional()?;
    Ok(last)
}

pub(super) fn set_last_tick(conn: &mut Conn, job: &str, at: Timestamp) -> Result<()> {
    diesel::update(job_states::table.filter(job_states::job.eq(job)))
        .set(job_states::last_tick_at.eq(at))
        .execute(conn)?;
    Ok(())
}

/// Runs that have not ended, the oldest tick first; of one job, or of all.
pub(super) fn unfinished(conn: &mut Conn, job: Option<&str>) -> Result<Vec<RunRow>> {
    let mut query = job_runs::table
        .filter(job_runs::finished_at.is_null())
        .select(RunRow::as_select())
        .order(job_runs::tick_at)
        .into_boxed();
    if let Some(job) = job {
        query = query.filter(job_runs::job.eq(job));
    }
    Ok(query.load(conn)?)
}

/// Inserts a run unless the tick has one.
pub(super) fn insert(conn: &mut Conn, run: &NewRun<'_>) -> Result<bool> {
    let inserted = Both(
        diesel::insert_into(job_runs::table)
            .values(run)
            .on_conflict((job_runs::job, job_runs::tick_at))
            .do_nothing(),
    )
    .execute(conn)?;
    Ok(inserted == 1)
}

/// Makes `holder` the one who runs it, if it still stands as `seen`: its holder may have come back and ended it, or
/// prolonged its lease, since it was read.
pub(super) fn take(conn: &mut Conn, seen: &RunRow, holder: &Holder, now: Timestamp) -> Result<bool> {
    let same = job_runs::table
        .filter(job_runs::job.eq(&seen.job).and(job_runs::tick_at.eq(seen.tick_at)))
        .filter(job_runs::state.eq(&seen.state).and(job_runs::attempts.eq(seen.attempts)))
        .filter(job_runs::lease_until.is_null().or(job_runs::lease_until.le(now)));
    let taken = diesel::update(same)
        .set((
            job_runs::state.eq(RunState::Running.as_str()),
            job_runs::holder.eq(Some(&holder.name)),
            job_runs::attempts.eq(seen.attempts + 1),
            job_runs::started_at.eq(Some(now)),
            job_runs::lease_until.eq(Some(now.plus(holder.lease))),
            job_runs::retry_at.eq(None::<Timestamp>),
        ))
        .execute(conn)?;
    Ok(taken == 1)
}

/// Prolongs the lease if the run is still held as `claim` says. Its row stays locked until the commit.
pub(super) fn prolong(conn: &mut Conn, claim: &Claim, until: Timestamp) -> Result<bool> {
    let mine = job_runs::table
        .filter(job_runs::job.eq(&claim.job).and(job_runs::tick_at.eq(claim.tick_at)))
        .filter(job_runs::attempts.eq(claim.attempt))
        .filter(job_runs::state.eq(RunState::Running.as_str()));
    let kept = diesel::update(mine).set(job_runs::lease_until.eq(Some(until))).execute(conn)?;
    Ok(kept == 1)
}

/// Where a run goes from running.
pub(super) struct Ending<'a> {
    pub state: RunState,
    pub outcome: &'a str,
    pub retry_at: Option<Timestamp>,
    pub now: Timestamp,
}

/// Ends a run, or leaves it to be tried again; counts it where it ended.
pub(super) fn end(conn: &mut Conn, job: &str, tick_at: Timestamp, ending: &Ending<'_>) -> Result<()> {
    let finished_at = ending.retry_at.is_none().then_some(ending.now);
    diesel::update(job_runs::table.find((job, tick_at)))
        .set((
            job_runs::state.eq(ending.state.as_str()),
            job_runs::outcome.eq(Some(ending.outcome)),
            job_runs::retry_at.eq(ending.retry_at),
            job_runs::finished_at.eq(finished_at),
            job_runs::lease_until.eq(None::<Timestamp>),
        ))
        .execute(conn)?;
    if finished_at.is_some() {
        count(conn, job, ending.state.as_str())?;
    }
    Ok(())
}

fn count(conn: &mut Conn, job: &str, outcome: &str) -> Result<()> {
    let row = (job_totals::job.eq(job), job_totals::outcome.eq(outcome), job_totals::runs.eq(0));
    Both(
        diesel::insert_into(job_totals::table)
            .values(row)
            .on_conflict((job_totals::job, job_totals::outcome))
            .do_nothing(),
    )
    .execute(conn)?;
    diesel::update(job_totals::table.find((job, outcome)))
        .set(job_totals::runs.eq(job_totals::runs + 1))
        .execute(conn)?;
    Ok(())
}

/// Runs of a job, the newest tick first.
pub(super) fn runs(conn: &mut Conn, job: &str, before: Option<Timestamp>, limit: i64) -> Result<Vec<RunRow>> {
    let mut query = job_runs::table.filter(job_runs::job.eq(job)).select(RunRow::as_select()).into_boxed();
    if let Some(before) = before {
        query = query.filter(job_runs::tick_at.lt(before));
    }
    Ok(query.order(job_runs::tick_at.desc()).limit(limit).load(conn)?)
}

pub(super) fn run(conn: &mut Conn, job: &str, tick_at: Timestamp) -> Result<RunRow> {
    Ok(job_runs::table.find((job, tick_at)).select(RunRow::as_select()).first(conn)?)
}

/// The newest run of a job that ended so.
pub(super) fn newest(conn: &mut Conn, job: &str, state: RunState) -> Result<Option<RunRow>> {
    Ok(job_runs::table
        .filter(job_runs::job.eq(job).and(job_runs::state.eq(state.as_str())))
        .select(RunRow::as_select())
        .order(job_runs::tick_at.desc())
        .first(conn)
        .optional()?)
}

/// Job, outcome, how many ever.
pub(super) fn totals(conn: &mut Conn) -> Result<Vec<(String, String, i64)>> {
    Ok(job_totals::table
        .select((job_totals::job, job_totals::outcome, job_totals::runs))
        .order((job_totals::job, job_totals::outcome))
        .load(conn)?)
}

/// Forgets runs that ended before an instant, but the newest done one of each job.
pub(super) fn forget_before(
    conn: &mut Conn,
    before: Timestamp,
    keep: &[(String, Timestamp)],
) -> Result<usize> {
    let mut forgotten = 0;
    for (job, newest) in keep {
        forgotten += diesel::delete(
            job_runs::table
                .filter(job_runs::job.eq(job).and(job_runs::tick_at.lt(newest)))
                .filter(job_runs::finished_at.lt(before)),
        )
        .execute(conn)?;
    }
    Ok(forgotten)
}
