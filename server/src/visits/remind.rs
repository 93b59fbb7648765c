//! Which visits an inspector is to be reminded of.

use chrono::TimeDelta;
use diesel::prelude::*;
use endcheck_protocol::ids::{UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::VisitState;

use crate::db::Conn;
use crate::db::schema::{sites, visits};
use crate::error::Result;

/// Why somebody is reminded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// The window begins soon, or has begun.
    Window,
    /// The check falls due soon.
    Due,
}

/// A visit that its inspector is to be reminded of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    pub visit: VisitId,
    pub inspector: UserId,
    pub site_name: String,
    pub time_zone: String,
    pub occasion: Occasion,
    /// When the window begins, or the check is due.
    pub at: Timestamp,
}

impl Reminder {
    /// The same for the same inspector and instant: whoever moves a visit or gives it to another brings about a
    /// reminder of its own.
    #[must_use]
    pub fn key(&self) -> String {
        let occasion = match self.occasion {
            Occasion::Window => "window",
            Occasion::Due => "due",
        };
        format!("remind:{occasion}:{}:{}:{}", self.visit, self.at, self.inspector)
    }
}

/// Visits whose window begins within `window_ahead` and is not over, and that nobody has opened; and unfinished
/// visits that fall due within `due_ahead`. Told already or not.
///
/// # Errors
/// When the database fails.
pub fn to_remind(
    conn: &mut Conn,
    now: Timestamp,
    window_ahead: TimeDelta,
    due_ahead: TimeDelta,
) -> Result<Vec<Reminder>> {
    let unopened =
        [VisitState::Planned, VisitState::Announced, VisitState::Dispatched].map(VisitState::as_str);
    let mut reminders = Vec::new();
    type Row = (VisitId, Option<UserId>, Option<UserId>, String, String, Timestamp);
    let window: Vec<Row> = visits::table
        .inner_join(sites::table.on(sites::id.eq(visits::site_id)))
        .filter(visits::finished_at.is_null().and(visits::state.eq_any(unopened)))
        .filter(visits::window_start_at.le(now.plus(window_ahead)).and(visits::window_end_at.gt(now)))
        .select((
            visits::id,
            visits::inspector_id,
            visits::second_id,
            sites::name,
            sites::time_zone,
            visits::window_start_at,
        ))
        .order(visits::id)
        .load(conn)?;
    let due: Vec<Row> = visits::table
        .inner_join(sites::table.on(sites::id.eq(visits::site_id)))
        .filter(visits::finished_at.is_null())
        .filter(visits::due_at.gt(now).and(visits::due_at.le(now.plus(due_ahead))))
        .select((
            visits::id,
            visits::inspector_id,
            visits::second_id,
            sites::name,
            sites::time_zone,
            visits::due_at,
        ))
        .order(visits::id)
        .load(conn)?;
    for (occasion, rows) in [(Occasion::Window, window), (Occasion::Due, due)] {
        for (visit, first, second, site_name, time_zone, at) in rows {
            for inspector in [first, second].into_iter().flatten() {
                let (visit, site_name, time_zone) = (visit.clone(), site_name.clone(), time_zone.clone());
                reminders.push(Reminder { visit, inspector, site_name, time_zone, occasion, at });
            }
        }
    }
    Ok(reminders)
}
