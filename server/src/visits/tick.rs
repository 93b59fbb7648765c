//! What the clock does to visits: overdue ones are raised, silent ones count as interrupted.
//!
//! Each effect has a key of its own in the database, or is decided under the visit's lock, so that
//! the tick may run twice, or on two servers at once. What there is to do is found by reading; only
//! what is found is written.

use std::sync::Arc;

use chrono::TimeDelta;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitVerb;
use serde::Serialize;

use super::store;
use crate::app::App;
use crate::db::Conn;
use crate::error::Result;
use crate::log;

const BATCH: i64 = 500;

/// How much a tick found to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TickOutcome {
    pub raised_overdue: u64,
    pub interrupted: u64,
}

/// Raises what is overdue and interrupts what is silent, once each.
///
/// # Errors
/// When the database fails; what was done until then stays, the next tick takes up the rest.
pub async fn tick(app: &Arc<App>, grace_hours: u32, now: Timestamp) -> Result<TickOutcome> {
    let mut outcome = TickOutcome::default();
    let mut after: Option<(Timestamp, VisitId)> = None;
    loop {
        let from = after.take();
        let batch = app.read(move |conn| store::overdue_unraised(conn, now, from.as_ref(), BATCH)).await?;
        if batch.is_empty() {
            break;
        }
        after = batch.last().cloned();
        outcome.raised_overdue += app.write(move |conn| raise(conn, &batch, now)).await?;
    }
    let limit_at = now.plus(-TimeDelta::hours(i64::from(grace_hours)));
    let silent = app.read(move |conn| store::silent(conn, limit_at, None)).await?;
    if !silent.is_empty() {
        outcome.interrupted =
            app.write(move |conn| interrupt(conn, &silent, limit_at, grace_hours, now)).await?;
    }
    Ok(outcome)
}

fn raise(conn: &mut Conn, overdue: &[(Timestamp, VisitId)], now: Timestamp) -> Result<u64> {
    let mut raised = 0;
    for (due_at, visit) in overdue {
        let once = format!("overdue:{visit}:{due_at}");
        let detail = format!("due {due_at}");
        if store::add_event_once(conn, visit, "tick", "overdue", &detail, Some(&once), now)? {
            raised += 1;
        }
    }
    Ok(raised)
}

fn interrupt(
    conn: &mut Conn,
    silent: &[VisitId],
    limit_at: Timestamp,
    grace_hours: u32,
    now: Timestamp,
) -> Result<u64> {
    log::lock(conn)?;
    let mut interrupted = 0;
    for visit in silent {
        let current = super::lock(conn, visit, now)?;
        // It may have been heard of before it was locked.
        if store::silent(conn, limit_at, Some(visit))?.is_empty() {
            continue;
        }
        if let Ok(state) = current.state.after(VisitVerb::Interrupt) {
            store::update(conn, visit, current.version, store::Update::to(state, current.version))?;
            let detail = format!("no sync within {grace_hours} h of its window");
            store::add_event(conn, visit, "tick", "interrupt", &detail, None, now)?;
            interrupted += 1;
        }
    }
    Ok(interrupted)
}
