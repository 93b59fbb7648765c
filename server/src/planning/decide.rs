//! Accepting a plan or putting it aside. A plan goes onto the calendar whole, or not at all where anything changed since
//! it was gathered.

use std::collections::BTreeMap;

use endcheck_protocol::ids::PlanId;
use endcheck_protocol::time::Timestamp;

use super::case::{Case, Task};
use super::solve::Outcome;
use super::{PlanSummary, Stage, find, found, reasons, review, solve, store};
use crate::accounts::{Actor, Permission};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::visits::window::Window;
use crate::visits::{self, Placement};
use crate::{log, reason, selection, serials};

pub(super) const ACCEPTED: &str = "accepted";
const DISMISSED: &str = "dismissed";

/// Puts a plan on the calendar: all of it, or nothing where any visit changed since it was gathered.
///
/// # Errors
/// 403; 404; 409 `plan-not-proposed`, `plan-decided`, `plan-does-not-hold`; 412 `plan-stale`, naming what changed; 422.
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
    if !solve::holds(&case.problem().map_err(solve::refused)?, &outcome) {
        let why = "The checker finds the plan against the rules, so it cannot be put on the calendar; ask for a new one.";
        return Err(Error::conflict("plan-does-not-hold", why));
    }
    decide(conn, actor, id, (ACCEPTED, &why), now)?;
    let newest = store::newest_roster(conn)?.map(|(held, _)| held.hash);
    if newest != Some(store::plan(conn, id)?.roster_hash) {
        return Err(stale(vec!["the roster".to_owned()]));
    }
    changed_since(conn, &case, now)?;
    // After the visits, as whoever moves one does: from here to the commit nobody else gets onto the calendar.
    visits::lock_calendar(conn)?;
    let sent = review::sent(&case, &outcome);
    taken_since(conn, &case, &outcome, &sent, now)?;
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
    if stays(task, people, starts_at) || (task.locked && starts_at.is_none()) {
        return Ok(());
    }
    let before = task.placed.as_ref();
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

/// Whether a task is where it was: the same people at the same time, or nowhere still. Its window may be longer than
/// the visit takes.
fn stays(task: &Task, people: &[u32], starts_at: Option<i32>) -> bool {
    match (&task.placed, starts_at) {
        (None, None) => true,
        (Some(before), Some(starts_at)) => {
            let mut were = before.inspectors.clone();
            were.sort_unstable();
            were == people && before.starts_at == starts_at
        }
        _ => false,
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
                    Ok(_) => !store::is_visited(conn, &task.check)? && stands_there(conn, task)?,
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

/// Whether the goods are still where the plan sends somebody.
fn stands_there(conn: &mut Conn, task: &Task) -> Result<bool> {
    match serials::site_of(conn, &task.shipment) {
        Ok(site) => Ok(site == task.site),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whole days of notice are kept by a plan that is accepted on the day after it was made.
const DECIDING_MIN: i64 = 24 * 60;

/// Refuses when what the plan makes new or moves is not possible any more: somebody got another visit meanwhile on a day
/// of theirs, would have had to leave already, or the host would be told too late.
fn taken_since(
    conn: &mut Conn,
    case: &Case,
    outcome: &Outcome,
    sent: &BTreeMap<u32, Vec<u32>>,
    now: Timestamp,
) -> Result<()> {
    let mut taken = Vec::new();
    let end = case.instant((case.days + 2) * 24 * 60);
    let others = store::booked_elsewhere(conn, (case.instant(-24 * 60), end), &case.tasks)?;
    let passed_min = now.since(case.now_at).num_minutes();
    for day in &outcome.days {
        let Some(of) = case.inspector_days.get(day.day as usize) else { continue };
        let user = case.inspectors.get(of.inspector as usize).map(|it| &it.user);
        let (from, to) = (case.instant(of.starts_at), case.instant(of.ends_at));
        let busy = others.iter().any(|other| {
            let theirs = other.people().any(|it| Some(it) == user);
            theirs && other.starts_at < to && from < other.ends_at
        });
        let gone = case.instant(day.leaves_at) < now;
        for (number, starts_at) in &day.stops {
            let Some(task) = case.tasks.get(*number as usize) else { continue };
            let people = sent.get(number).map(Vec::as_slice).unwrap_or_default();
            if stays(task, people, Some(*starts_at)) {
                continue;
            }
            let unannounced = i64::from(*starts_at) < i64::from(task.not_before) + passed_min - DECIDING_MIN;
            if busy || gone || unannounced {
                taken.push(format!("{} at {}", task.shipment_key, task.site_name));
            }
        }
    }
    taken.sort_unstable();
    taken.dedup();
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
            "Since the plan was made these changed, or their inspector got another visit that day or would have left \
             already, or their host would be told too late: {named}{and}. Nothing was put on the calendar; ask for a \
             new plan."
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
