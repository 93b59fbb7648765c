//! Accepting a plan or putting it aside. A plan goes onto the calendar whole, or not at all where anything changed since
//! it was gathered.

use std::collections::BTreeMap;

use endcheck_protocol::ids::PlanId;
use endcheck_protocol::time::Timestamp;

use super::case::{Case, Task};
use super::solve::Outcome;
use super::{PlanSummary, Stage, find, found, reasons, review, store};
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::visits::window::Window;
use crate::visits::{self, Placement};
use crate::{log, reason, selection};

pub(super) const ACCEPTED: &str = "accepted";
const DISMISSED: &str = "dismissed";

/// Puts a plan on the calendar: all of it, or nothing where any visit changed since it was gathered.
///
/// # Errors
/// 403; 404; 409 `plan-not-proposed`, `plan-decided`; 412 `plan-stale`, naming what changed; 422.
pub fn accept(
    conn: &mut Conn,
    actor: &Actor,
    id: &PlanId,
    why: String,
    now: Timestamp,
) -> Result<PlanSummary> {
    actor.require(Permission::ScheduleVisits)?;
    let why = reason::require(why)?;
    // Many visits are locked below: the log's lock comes first.
    log::lock(conn)?;
    let (case, outcome, _) = decidable(conn, id, now)?;
    decide(conn, actor, id, (ACCEPTED, &why), now)?;
    changed_since(conn, &case, now)?;
    let sent = review::sent(&case, &outcome);
    taken_since(conn, &case, &outcome, now)?;
    let starts: BTreeMap<u32, i32> = outcome.days.iter().flat_map(|day| day.stops.iter().copied()).collect();
    for (number, task) in (0..).zip(&case.tasks) {
        let people = sent.get(&number).map(Vec::as_slice).unwrap_or_default();
        place(conn, actor, &case, (id, task), (people, starts.get(&number).copied()), now)?;
    }
    find(conn, id, now)
}

/// Puts one task where the plan has it.
fn place(
    conn: &mut Conn,
    actor: &Actor,
    case: &Case,
    (plan, task): (&PlanId, &Task),
    (people, starts_at): (&[u32], Option<i32>),
    now: Timestamp,
) -> Result<()> {
    let before = task.placed.as_ref();
    let unchanged = match (before, starts_at) {
        (None, None) => true,
        (Some(before), Some(starts_at)) => {
            let mut were = before.inspectors.clone();
            were.sort_unstable();
            were == people && before.starts_at == starts_at && before.ends_at == starts_at + task.duration_min
        }
        _ => false,
    };
    if unchanged || (task.locked && starts_at.is_none()) {
        return Ok(());
    }
    // Whoever led it before goes on to lead it.
    let lead = before.and_then(|before| before.inspectors.iter().find(|one| people.contains(*one))).copied();
    let mut users = lead
        .into_iter()
        .chain(people.iter().copied().filter(|one| Some(*one) != lead))
        .filter_map(|number| case.inspectors.get(number as usize).map(|person| person.user.clone()));
    let reason = match starts_at {
        Some(_) => format!("plan {plan}"),
        None => format!("plan {plan}: left out"),
    };
    let placement = Placement { inspector: users.next(), second: users.next(), reason };
    let window = starts_at.map(|starts_at| Window {
        start_at: case.instant(starts_at),
        end_at: case.instant(starts_at + task.duration_min),
    });
    match (&task.visit, task.version, window) {
        (Some(visit), Some(version), window) => {
            visits::place(conn, actor, (visit, version), window, placement, now)
        }
        (_, _, Some(window)) => {
            visits::schedule_at(conn, actor, (&task.check, &task.site), window, placement, now).map(drop)
        }
        _ => Ok(()),
    }
}

/// Refuses when any visit of the case changed since.
fn changed_since(conn: &mut Conn, case: &Case, now: Timestamp) -> Result<()> {
    let mut changed = Vec::new();
    for task in &case.tasks {
        let same = match (&task.visit, task.version) {
            (Some(visit), Some(version)) => {
                let visit = visits::lock(conn, visit, now)?;
                visit.version == version && task.state.as_deref() == Some(visit.state.as_str())
            }
            _ => {
                // Nobody schedules a visit for it, or drops it, from here on.
                match selection::hold(conn, &task.check) {
                    Ok(_) => !store::is_visited(conn, &task.check)?,
                    Err(Error::Refused(problem)) if problem.code == "check-dropped" => false,
                    Err(error) => return Err(error),
                }
            }
        };
        if !same {
            changed.push(format!("{} at {}", task.shipment_key, task.site_name));
        }
    }
    if changed.is_empty() { Ok(()) } else { Err(stale(changed)) }
}

/// Refuses when somebody got another visit meanwhile at the time of one of the plan's, or a time of the plan is over.
fn taken_since(conn: &mut Conn, case: &Case, outcome: &Outcome, now: Timestamp) -> Result<()> {
    let mut taken = Vec::new();
    let end = case.instant((case.days + 2) * 24 * 60);
    let others = store::booked_elsewhere(conn, (case.instant(-24 * 60), end), &case.tasks)?;
    for day in &outcome.days {
        let person = case.inspector_days.get(day.day as usize);
        let user = person.and_then(|day| case.inspectors.get(day.inspector as usize)).map(|it| &it.user);
        for (number, starts_at) in &day.stops {
            let Some(task) = case.tasks.get(*number as usize) else { continue };
            let (from, to) = (case.instant(*starts_at), case.instant(starts_at + task.duration_min));
            let busy = others.iter().any(|other| {
                let theirs = other.people().any(|it| Some(it) == user);
                theirs && other.starts_at < to && from < other.ends_at
            });
            if busy || from < now {
                taken.push(format!("{} at {}", task.shipment_key, task.site_name));
            }
        }
    }
    if taken.is_empty() { Ok(()) } else { Err(stale(taken)) }
}

fn stale(changed: Vec<String>) -> Error {
    let more = changed.len().saturating_sub(5);
    let named = changed.into_iter().take(5).collect::<Vec<_>>().join(", ");
    let and = if more > 0 { format!(" and {more} more") } else { String::new() };
    Error::with_status(
        412,
        "plan-stale",
        "Visits were changed meanwhile",
        format!(
            "Since the plan was made these changed, or their inspector got another visit, or their time is over: \
             {named}{and}. Nothing was put on the calendar; ask for a new plan."
        ),
    )
}

/// Puts a plan aside.
///
/// # Errors
/// 403; 404; 409 `plan-not-proposed`, `plan-decided`.
pub fn dismiss(
    conn: &mut Conn,
    actor: &Actor,
    id: &PlanId,
    why: String,
    now: Timestamp,
) -> Result<PlanSummary> {
    actor.require(Permission::ScheduleVisits)?;
    let why = reason::require(why)?;
    decidable(conn, id, now)?;
    decide(conn, actor, id, (DISMISSED, &why), now)?;
    find(conn, id, now)
}

fn decidable(conn: &mut Conn, id: &PlanId, now: Timestamp) -> Result<(Case, Outcome, Vec<reasons::LeftOut>)> {
    let stage = find(conn, id, now)?.stage;
    match found(conn, id)? {
        Some(found) if stage == Stage::Proposed => Ok(found),
        Some(_) => Err(decided()),
        None => Err(Error::conflict("plan-not-proposed", "There is no plan to decide about yet.")),
    }
}

fn decide(
    conn: &mut Conn,
    actor: &Actor,
    id: &PlanId,
    (verdict, why): (&str, &str),
    now: Timestamp,
) -> Result<()> {
    let decision = store::DecisionRow {
        verdict: verdict.to_owned(),
        reason: why.to_owned(),
        decided_by: actor.user.clone(),
        decided_at: now,
    };
    if store::decide(conn, id, &decision)? { Ok(()) } else { Err(decided()) }
}

fn decided() -> Error {
    Error::conflict("plan-decided", "The plan was accepted or dismissed already.")
}
