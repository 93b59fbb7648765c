//! What time alone brings about: ticks call one slice function each.
//!
//! The scheduler says when; that an effect happens once is the database's business, by unique keys,
//! so that two servers may tick together.

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::app::App;
use crate::error::Result;
use crate::shipments::{self, Arrival};
use crate::visits::{self, TickOutcome};
use crate::{checks, custody, evidence, idempotency, log, risk};

/// What one tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ticked {
    pub visits: TickOutcome,
    pub routine_checks_opened: u64,
    pub uploads_expired: u64,
}

/// Everything that time alone brings about. May run twice, or on two servers at once.
///
/// # Errors
/// When the database or the staging folder fails; the next tick takes up what is left.
pub async fn tick(app: &Arc<App>) -> Result<Ticked> {
    let now = app.clock.now();
    let grace_hours = app.config.grace_hours;
    let visits = visits::tick(app, grace_hours, now).await?;
    let routine_checks_opened = open_routine_checks(app, now).await?;
    app.uploads.sweep().await?;
    let uploads_expired = app.uploads.expire(now).await? as u64;
    app.write(move |conn| idempotency::forget_before(conn, now.plus(-TimeDelta::days(1)))).await?;
    evidence::sweep(app).await?;
    evidence::examine_due(app).await?;
    app.write(move |conn| custody::commit(conn, now)).await?;
    risk::rescore(app).await?;
    Ok(Ticked { visits, routine_checks_opened, uploads_expired })
}

const BATCH: i64 = 500;

/// Opens a routine check for each shipment that arrived and has none, due so many days later.
async fn open_routine_checks(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    let days = app.config.routine_days;
    if days == 0 {
        return Ok(0);
    }
    let mut opened = 0;
    let mut after: Option<Arrival> = None;
    loop {
        let from = after.take();
        let until = now.day().to_string();
        let (count, last) = app
            .write(move |conn| {
                let arrived = shipments::arrived_without_routine(conn, &until, from.as_ref(), BATCH)?;
                let mut count = 0;
                for shipment in &arrived {
                    let Ok(arrived_on) = shipment.arrived_on.parse::<NaiveDate>() else { continue };
                    let reason = format!(
                        "Routine: the shipment arrived on {arrived_on}; it is to be seen within {days} days."
                    );
                    let due_at = due_after(arrived_on, days);
                    if checks::open_routine(conn, &shipment.id, due_at, reason, now)?.is_some() {
                        count += 1;
                    }
                }
                Ok((count, arrived.last().cloned()))
            })
            .await?;
        opened += count;
        after = last;
        if after.is_none() {
            return Ok(opened);
        }
    }
}

/// The end of the day, in UTC, so many days after arrival.
fn due_after(arrived_on: NaiveDate, days: u32) -> Timestamp {
    let end = arrived_on.and_hms_opt(23, 59, 59).unwrap_or_default().and_utc();
    Timestamp::from(end).plus(TimeDelta::days(i64::from(days)))
}

/// How long nobody may have written to a part of a stored file before it is taken for left behind;
/// also the time from one look to the next.
const PART_LEFT_AFTER: Duration = Duration::from_secs(3600);

/// From one batch of custody notes to the next.
const CUSTODY_EVERY: Duration = Duration::from_secs(5);

/// Starts the scheduler, the examiner, the batches of custody, the sweep of the file store and the rounds of
/// the witnesses; they end with the process.
///
/// # Errors
/// When the cron expression of the tick is not one.
pub async fn start(app: &Arc<App>) -> anyhow::Result<JobScheduler> {
    let scheduler = JobScheduler::new().await?;
    let shared = Arc::clone(app);
    let job = Job::new_async(app.config.tick.as_str(), move |_, _| {
        let app = Arc::clone(&shared);
        Box::pin(async move {
            match tick(&app).await {
                Ok(ticked) if ticked == Ticked::default() => {}
                Ok(ticked) => tracing::info!(?ticked, "ticked"),
                Err(error) => tracing::error!(%error, "the tick failed; the next one takes it up"),
            }
        })
    })
    .map_err(|e| {
        anyhow::anyhow!("the tick {:?} is not a cron expression with seconds: {e}", app.config.tick)
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    log::start_witnesses(app)?;
    let shared = Arc::clone(app);
    // Photos are looked into as soon as they are stored; what a crash leaves, the tick takes up.
    tokio::spawn(async move {
        loop {
            shared.examiner.notified().await;
            if let Err(error) = evidence::examine_due(&shared).await {
                tracing::error!(%error, "photos wait for the next tick");
            }
        }
    });
    let shared = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            let files = shared.files.clone();
            match tokio::task::spawn_blocking(move || files.sweep(PART_LEFT_AFTER)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(parts)) => tracing::info!(parts, "removed what a killed server left of files"),
                Ok(Err(error)) => tracing::error!(%error, "the file store cannot be swept"),
                Err(error) => tracing::error!(%error, "the sweep of the file store ended"),
            }
            tokio::time::sleep(PART_LEFT_AFTER).await;
        }
    });
    let shared = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CUSTODY_EVERY).await;
            let now = shared.clock.now();
            if let Err(error) = shared.write(move |conn| custody::commit(conn, now)).await {
                tracing::error!(%error, "notes of custody wait for the next batch");
            }
        }
    });
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routine_check_falls_due_at_the_end_of_its_day() {
        let arrived = NaiveDate::from_ymd_opt(2026, 8, 1).unwrap();
        assert_eq!(due_after(arrived, 90).to_string(), "2026-10-30T23:59:59Z");
    }
}
