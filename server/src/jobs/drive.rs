//! Looking for ticks, and running what this server got: the part that waits.

use std::sync::Arc;
use std::time::Duration;

use tokio_cron_scheduler::{Job as CronJob, JobScheduler};

use super::runs::{self, Claim};
use super::store::{self, RunState};
use super::{JOBS, Job, Outcome, Tick};
use crate::app::App;
use crate::db::{self, Conn};
use crate::error::Result;
use crate::{evidence, log, outbox};

/// From one look at all jobs to the next: for ticks that nobody was there for, runs whose server ended, and
/// runs by hand that were asked for elsewhere. The scheduler wakes a job at its own ticks.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Runs whatever is to be run of a job, until nothing is.
///
/// # Errors
/// When the database fails, or the run was lost; whoever looks next takes it up.
pub async fn attend(app: &Arc<App>, job: &'static Job) -> Result<()> {
    while let Some(claim) = take(app, job).await? {
        carry_out(app, job, claim).await?;
    }
    Ok(())
}

async fn take(app: &Arc<App>, job: &'static Job) -> Result<Option<Claim>> {
    let shared = Arc::clone(app);
    // Reading costs nobody anything; most looks find nothing.
    if !app.read(move |conn| is_wanted(conn, &shared, job)).await? {
        return Ok(None);
    }
    let shared = Arc::clone(app);
    app.write(move |conn| {
        let now = db::clock(conn)?.plus(shared.clock.offset());
        runs::claim(conn, job.name, shared.jobs.schedule(job.name), &shared.jobs.holder, now)
    })
    .await
}

fn is_wanted(conn: &mut Conn, app: &App, job: &Job) -> Result<bool> {
    let now = db::clock(conn)?.plus(app.clock.offset());
    let Some(last_tick_at) = store::last_tick(conn, job.name)? else { return Ok(true) };
    let unfinished = store::unfinished(conn, Some(job.name))?;
    if let Some(run) = unfinished.iter().find(|run| run.state() == RunState::Running) {
        return Ok(run.lease_until.is_none_or(|until| until <= now));
    }
    let waits = unfinished.iter().any(|run| run.retry_at.is_none_or(|at| at <= now));
    let due = app.jobs.schedule(job.name).and_then(|schedule| schedule.next_after(last_tick_at));
    Ok(waits || due.is_some_and(|at| at <= now))
}

/// Runs a claimed tick, keeping its lease, and writes how it ended.
async fn carry_out(app: &Arc<App>, job: &'static Job, claim: Claim) -> Result<()> {
    let lease = app.jobs.holder.lease;
    let tick = Tick { at: claim.tick_at, now: claim.now, claim: claim.clone(), lease };
    if claim.attempt > 1 {
        tracing::warn!(job = job.name, tick = %claim.tick_at, attempt = claim.attempt, "taking up a run again");
    }
    // A task of its own: a panic ends it, not the server.
    let mut work = tokio::spawn((job.run)(Arc::clone(app), tick));
    let beat = lease.to_std().unwrap_or(WATCH_EVERY) / 3;
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            () = tokio::time::sleep(beat) => {
                let mine = claim.clone();
                let shared = Arc::clone(app);
                let held = app.write(move |conn| {
                    let now = db::clock(conn)?.plus(shared.clock.offset());
                    runs::hold(conn, &mine, lease, now)
                });
                match held.await {
                    Ok(()) => {}
                    Err(error) if runs::is_lost(&error) => {
                        work.abort();
                        return Err(error);
                    }
                    Err(error) => tracing::warn!(job = job.name, %error, "the lease was not prolonged"),
                }
            }
        }
    };
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(panic) => Err(crate::error::Error::Internal(anyhow::anyhow!("the job broke off: {panic}"))),
    };
    let ended = match outcome {
        Ok(outcome) => end(app, &claim, outcome).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(words) => {
            tracing::debug!(job = job.name, tick = %claim.tick_at, outcome = words, "ran");
            Ok(())
        }
        Err(error) if runs::is_lost(&error) => Err(error),
        Err(error) => {
            tracing::error!(job = job.name, tick = %claim.tick_at, %error, "a run failed");
            let why = error.to_string();
            let shared = Arc::clone(app);
            app.write(move |conn| {
                let now = db::clock(conn)?.plus(shared.clock.offset());
                runs::fail(conn, &claim, &why, now)
            })
            .await
        }
    }
}

async fn end(app: &Arc<App>, claim: &Claim, outcome: Outcome) -> Result<String> {
    let (shared, claim) = (Arc::clone(app), claim.clone());
    app.write(move |conn| {
        let now = db::clock(conn)?.plus(shared.clock.offset());
        runs::finish(conn, &claim, now, |conn| match outcome {
            Outcome::Done(words) => Ok(words),
            Outcome::InCommit(work) => work(conn),
        })
    })
    .await
}

async fn attended(app: Arc<App>, job: &'static Job) {
    match attend(&app, job).await {
        Ok(()) => {}
        Err(error) if runs::is_lost(&error) => {
            tracing::warn!(job = job.name, %error, "lost the run to another server");
        }
        Err(error) => tracing::error!(job = job.name, %error, "the job cannot be looked after"),
    }
}

/// Starts the scheduler, the watch over all jobs, the outbox, the examiner and the rounds of the witnesses; they end with
/// the process.
///
/// # Errors
/// When the scheduler or the witnesses cannot be started.
pub async fn start(app: &Arc<App>) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await?;
    for job in JOBS {
        let Some(schedule) = app.jobs.schedule(job.name) else { continue };
        let shared = Arc::clone(app);
        let wake =
            CronJob::new_async(schedule.text(), move |_, _| Box::pin(attended(Arc::clone(&shared), job)))?;
        scheduler.add(wake).await?;
    }
    scheduler.start().await?;
    log::start_witnesses(app)?;
    outbox::start(app);
    let shared = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            for job in JOBS {
                // A long run must not keep the others from being seen.
                tokio::spawn(attended(Arc::clone(&shared), job));
            }
            tokio::select! {
                () = shared.jobs.wake.notified() => {}
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
        }
    });
    let shared = Arc::clone(app);
    // Photos are looked into as soon as they are stored; what a crash leaves, the job takes up.
    tokio::spawn(async move {
        loop {
            shared.examiner.notified().await;
            if let Err(error) = evidence::examine_due(&shared).await {
                tracing::error!(%error, "photos wait for the next tick");
            }
        }
    });
    Ok(scheduler)
}
