//! What each job does: one call of a slice, or a few.

use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;
use serde::Serialize;

use super::{Outcome, RunState, Tick, store};
use crate::accounts::{self, Permission};
use crate::app::App;
use crate::error::Result;
use crate::notices::{self, Tell};
use crate::visits::{self, TickOutcome};
use crate::{custody, evidence, idempotency, log, risk, serials};

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
    let routine_checks_opened = serials::sweep(app, now).await?.checks_opened;
    let uploads_expired = expire(app, now).await?;
    evidence::sweep(app).await?;
    evidence::examine_due(app).await?;
    app.write(move |conn| custody::commit(conn, now)).await?;
    risk::rescore(app).await?;
    Ok(Ticked { visits, routine_checks_opened, uploads_expired })
}

pub(super) async fn overdue(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let TickOutcome { raised_overdue, interrupted } =
        visits::tick(&app, app.config.grace_hours, tick.now).await?;
    Outcome::done(format!("{raised_overdue} raised as overdue, {interrupted} interrupted"))
}

pub(super) async fn routine_checks(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let swept = serials::sweep(&app, tick.now).await?;
    Outcome::done(format!(
        "{} serials followed, {} records of items caught up with, {} checks opened",
        swept.followed, swept.records, swept.checks_opened
    ))
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

/// Assesses every shipment anew once a day, and goes on with what was begun.
pub(super) async fn rescoring(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let begun = tick.write(&app, move |conn| risk::begin_daily(conn, tick.now)).await?;
    let assessed = risk::rescore(&app).await?;
    Outcome::done(match (begun, assessed) {
        (_, 0) => "nothing to assess".to_owned(),
        (true, _) => format!("the day's walk: {assessed} shipments assessed"),
        (false, _) => format!("{assessed} shipments assessed"),
    })
}

/// Tells those who approve policies that the one in force is to be reviewed, a month ahead and once it has expired.
pub(super) async fn policy_expiry(app: Arc<App>, tick: Tick) -> Result<Outcome> {
    let by_mail = app.mailer.is_some();
    Outcome::in_commit(move |conn| {
        let Some((held, policy)) = risk::active(conn)? else { return Ok("no policy is in force".to_owned()) };
        let days = (policy.review_by - tick.now.day()).num_days();
        let (stage, subject) = match days {
            ..0 => (
                "expired",
                format!("The risk policy {} {} has expired: nothing is drawn", held.id, held.version),
            ),
            0..=30 => ("soon", format!("The risk policy {} {} is to be reviewed", held.id, held.version)),
            _ => return Ok(format!("to be reviewed in {days} days")),
        };
        let body = format!(
            "It was to be reviewed by {}. Past that day it selects nothing until a new version is in force.",
            policy.review_by
        );
        let mut told = 0;
        for user in accounts::holders(conn, Permission::ApprovePolicy)? {
            let tell = Tell {
                once_key: format!("policy-{stage}:{}:{user}", held.hash),
                user,
                visit: None,
                kind: "policy-review",
                title: subject.clone(),
                body: body.clone(),
            };
            told += u64::from(notices::tell(conn, &tell, by_mail, tick.now)?);
        }
        Ok(format!("{subject}: {told} people told"))
    })
}
