//! Jobs and runs as people and programs are shown them.

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::schedule::Schedule;
use super::store::{self, NewRun, RunRow, RunState};
use super::{Desk, JOBS, Job};
use crate::accounts::{Actor, name_of};
use crate::db::{self, Conn};
use crate::error::{Error, Result};

/// A run of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Run {
    /// The instant that the schedule named; for a run by hand, when it was asked for.
    pub tick_at: Timestamp,
    pub state: RunState,
    /// Who asked for it; nobody where the schedule did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// Ticks before it that no server was there for, and that it stands for.
    pub missed: i64,
    /// How often it was begun.
    pub attempts: i64,
    /// The server process that began it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// From the tick to the start of the last try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i64>,
    /// What came of it, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// A job with its times.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    pub name: &'static str,
    pub purpose: &'static str,
    /// Cron with seconds, UTC; absent where it is switched off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The same in words, where it is of a common form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_words: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// Runs that have not ended: under way, waiting, or to be tried again.
    pub under_way: Vec<Run>,
    /// The newest that ended, well or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Run>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success_at: Option<Timestamp>,
    /// For how long a tick has been due that did not end well.
    pub late_s: i64,
}

impl Run {
    fn of(conn: &mut Conn, row: RunRow) -> Result<Self> {
        let asked_by = row.asked_by.as_deref().map(|actor| name_of(conn, actor)).transpose()?;
        let span =
            |from: Option<Timestamp>, to: Option<Timestamp>| Some(to?.since(from?).num_milliseconds().max(0));
        Ok(Self {
            state: row.state(),
            late_ms: span(Some(row.tick_at), row.started_at),
            duration_ms: span(row.started_at, row.finished_at),
            tick_at: row.tick_at,
            asked_by,
            missed: row.missed,
            attempts: row.attempts,
            holder: row.holder,
            started_at: row.started_at,
            finished_at: row.finished_at,
            retry_at: row.retry_at,
            outcome: row.outcome,
        })
    }
}

/// For how long the first tick after the last one that ended well has been due.
fn late(schedule: Option<&Schedule>, settled_at: Option<Timestamp>, now: Timestamp) -> TimeDelta {
    let due = schedule.zip(settled_at).and_then(|(schedule, at)| schedule.next_after(at));
    due.map_or_else(TimeDelta::zero, |due| now.since(due).max(TimeDelta::zero()))
}

/// Every job as it stands.
///
/// # Errors
/// When the database fails.
pub fn all(conn: &mut Conn, desk: &Desk, offset: TimeDelta) -> Result<Vec<JobView>> {
    let now = db::clock(conn)?.plus(offset);
    JOBS.iter().map(|job| one(conn, desk, job, now)).collect()
}

fn one(conn: &mut Conn, desk: &Desk, job: &Job, now: Timestamp) -> Result<JobView> {
    let schedule = desk.schedule(job.name);
    let done = store::newest(conn, job.name, RunState::Done)?;
    let failed = store::newest(conn, job.name, RunState::Failed)?;
    let unfinished = store::unfinished(conn, Some(job.name))?;
    let last_tick_at = store::last_tick(conn, job.name)?;
    // Before any run ended the job counts from when it became known, which no run moved on from.
    let first_open = unfinished.first().map(|run| run.tick_at.plus(-TimeDelta::microseconds(1)));
    let settled_at = done.as_ref().map(|run| run.tick_at).or(first_open).or(last_tick_at);
    let last_success_at = done.as_ref().and_then(|run| run.finished_at);
    let last = [done, failed].into_iter().flatten().max_by_key(|run| run.tick_at);
    Ok(JobView {
        name: job.name,
        purpose: job.purpose,
        schedule: schedule.map(|schedule| schedule.text().to_owned()),
        schedule_words: schedule.and_then(Schedule::words),
        next_at: schedule.and_then(|schedule| schedule.next_after(now)),
        under_way: unfinished.into_iter().map(|row| Run::of(conn, row)).collect::<Result<_>>()?,
        last: last.map(|row| Run::of(conn, row)).transpose()?,
        last_success_at,
        late_s: late(schedule, settled_at, now).num_seconds(),
    })
}

/// Runs of a job, the newest first, before an instant.
///
/// # Errors
/// When the database fails.
pub fn runs(conn: &mut Conn, job: &Job, before: Option<Timestamp>, limit: i64) -> Result<Vec<Run>> {
    store::runs(conn, job.name, before, limit)?.into_iter().map(|row| Run::of(conn, row)).collect()
}

/// Asks for a run now; whoever asks while one waits is given that one.
///
/// # Errors
/// When the database fails.
pub fn ask(conn: &mut Conn, job: &Job, actor: &Actor, offset: TimeDelta) -> Result<Run> {
    let now = db::clock(conn)?.plus(offset);
    store::ensure(conn, job.name, now)?;
    store::lock(conn, job.name)?;
    let waiting =
        store::unfinished(conn, Some(job.name))?.into_iter().find(|run| run.state() == RunState::Waiting);
    if let Some(row) = waiting {
        return Run::of(conn, row);
    }
    let asked_by = actor.to_string();
    let run = NewRun {
        job: job.name,
        tick_at: now,
        asked_by: Some(&asked_by),
        missed: 0,
        state: RunState::Waiting.as_str(),
        attempts: 0,
    };
    if !store::insert(conn, &run)? {
        return Err(Error::database_busy());
    }
    let row = store::run(conn, job.name, now)?;
    Run::of(conn, row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_is_the_time_since_the_first_tick_that_did_not_end_well() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let minute = Schedule::parse("0 * * * * *").unwrap();
        let now = at("2026-01-01T00:10:30Z");
        for (settled, seconds) in [
            (Some("2026-01-01T00:10:00Z"), 0),
            (Some("2026-01-01T00:09:00Z"), 30),
            (Some("2026-01-01T00:00:00Z"), 570),
            (None, 0),
        ] {
            assert_eq!(late(Some(&minute), settled.map(at), now).num_seconds(), seconds, "{settled:?}");
        }
        assert_eq!(late(None, Some(at("2025-01-01T00:00:00Z")), now), TimeDelta::zero(), "switched off");
    }
}
