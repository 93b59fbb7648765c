//! What each job does: one call of a slice, or a few.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use super::{Outcome, RunState, Tick, store};
use crate::app::App;
use crate::error::Result;
use crate::shipments::{self, Arrival};
use crate::visits::{self, TickOutcome};
use crate::{checks, custody, evidence, idempotency, log};

/// What one tick of everything did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ticked {
    pub visits: TickOutcome,
    pub routine_checks_opened: u64,
    pub uploads_expired: u64,
}

/// All that is due at once, without schedule or lease: every effect has a key of its own, so it may run twice,
/// or on two servers at once.
///
/// # Errors
/// When the database or the staging folder fails; the next tick takes up what is left.
pub async fn tick(app: &Arc<App>) -> Result<Ticked> {
    let now = app.clock.now();
    let visits = visits::tick(app, app.config.grace_hours, now).await?;
    let routine_checks_opened = open_routine_checks(app, now).await?;
    let uploads_expired = expire(app, now).await?;
    evidence::sweep(app).await?;
    evidence::examine_due(app).await?;
    app.write(move |conn| custody::commit(conn, now)).await?;
    Ok(Ticked { visits, routine_checks_opened, uploads_expired })
}

pub(super) async fn overdue(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let TickOutcome { raised_overdue, interrupted } =
        visits::tick(&app, app.config.grace_hours, tick.now).await?;
    Outcome::done(format!("{raised_overdue} raised as overdue, {interrupted} interrupted"))
}

pub(super) async fn routine_checks(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let opened = open_routine_checks(&app, tick.now).await?;
    Outcome::done(format!("{opened} checks opened"))
}

pub(super) async fn evidence(app: Arc<App>, _: Tick) -> Result<Outcome> {
    evidence::sweep(&app).await?;
    evidence::examine_due(&app).await?;
    Outcome::done("nothing waits")
}

/// How long runs that ended are kept, in days.
const RUNS_KEPT_DAYS: i64 = 7;

pub(super) async fn expiry(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let now = tick.now;
    let uploads = expire(&app, now).await?;
    let names = app.jobs.names();
    Outcome::in_commit(move |conn| {
        let mut newest = Vec::new();
        for job in names {
            if let Some(run) = store::newest(conn, job, RunState::Done)? {
                newest.push((run.job, run.tick_at));
            }
        }
        let runs = store::forget_before(conn, now.plus(-TimeDelta::days(RUNS_KEPT_DAYS)), &newest)?;
        Ok(format!("{uploads} uploads expired, {runs} old runs forgotten"))
    })
}

async fn expire(app: &Arc<App>, now: Timestamp) -> Result<u64> {
    app.uploads.sweep().await?;
    let expired = app.uploads.expire(now).await? as u64;
    app.write(move |conn| idempotency::forget_before(conn, now.plus(-TimeDelta::days(1)))).await?;
    Ok(expired)
}

pub(super) async fn custody(_: Arc<App>, tick: Tick) -> Result<Outcome> {
    Outcome::in_commit(move |conn| {
        let notes = custody::commit(conn, tick.now)?;
        Ok(format!("{notes} notes committed"))
    })
}

pub(super) async fn checkpoint(app: Arc<App>, _: Tick) -> Result<Outcome> {
    let words = app.clone().read(move |conn| log::told(conn, &app.witnesses)).await?;
    Outcome::done(words)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routine_check_falls_due_at_the_end_of_its_day() {
        let arrived = NaiveDate::from_ymd_opt(2026, 8, 1).unwrap();
        assert_eq!(due_after(arrived, 90).to_string(), "2026-10-30T23:59:59Z");
    }
}
