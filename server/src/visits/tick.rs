//! What the clock does to visits: overdue ones are raised, silent ones count as interrupted.
//!
//! Each effect has a key of its own in the database, so that the tick may run twice, or on two
//! servers at once.

use chrono::TimeDelta;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitVerb;
use serde::Serialize;

use super::store;
use crate::db::Conn;
use crate::error::Result;

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
/// When the database fails; nothing of this call is kept then.
pub fn tick(conn: &mut Conn, grace_hours: u32, now: Timestamp) -> Result<TickOutcome> {
    let mut outcome = TickOutcome::default();
    let mut after = None;
    loop {
        let batch = store::overdue(conn, now, after.as_ref(), BATCH)?;
        for (due_at, visit) in &batch {
            let once = format!("overdue:{visit}:{due_at}");
            let detail = format!("due {due_at}");
            if store::add_event_once(conn, visit, "tick", "overdue", &detail, Some(&once), now)? {
                outcome.raised_overdue += 1;
            }
        }
        match batch.last() {
            Some(last) if i64::try_from(batch.len()) == Ok(BATCH) => after = Some(last.clone()),
            _ => break,
        }
    }
    for visit in store::silent(conn, now.plus(-TimeDelta::hours(i64::from(grace_hours))))? {
        let current = super::get(conn, &visit, now)?;
        if let Ok(state) = current.state.after(VisitVerb::Interrupt)
            && store::update(conn, &visit, current.version, store::Update::to(state, current.version))?
        {
            let detail = format!("no sync within {grace_hours} h of its window");
            store::add_event(conn, &visit, "tick", "interrupt", &detail, None, now)?;
            outcome.interrupted += 1;
        }
    }
    Ok(outcome)
}
