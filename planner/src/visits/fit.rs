//! Each constraint between a visit and an inspector's day by itself: what stands in the way, were nothing else to do
//! on that day.

use super::day::{Stop, Walk};
use super::{InspectorDay, Problem, Visit};

/// What stands in the way of a visit on an inspector's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The inspector cannot be sent on that day.
    Unavailable,
    /// The inspector is not competent for a category.
    Competence { category: u32 },
    /// The inspector was, until this instant.
    CompetenceExpired { category: u32, expired_at: i32 },
    /// The inspector speaks none of the languages.
    Language,
    /// A conflict of interest with a party.
    Conflict { party: u32 },
    /// The inspector may not enter the country.
    Entry { country: u32 },
    /// The host was told otherwise, and that must not change.
    Locked,
}

/// Everything but time, each by itself.
pub(super) fn about_people(problem: &Problem, visit: &Visit, day: &InspectorDay, found: &mut Vec<Obstacle>) {
    if !day.available {
        found.push(Obstacle::Unavailable);
    }
    let Some(inspector) = problem.inspectors.get(day.inspector as usize) else { return };
    for &category in &visit.categories {
        let until =
            inspector.competences.iter().filter(|it| it.category == category).map(|it| it.expires_at).max();
        match until {
            None => found.push(Obstacle::Competence { category }),
            Some(expired_at) if expired_at < day.competent_until() => {
                found.push(Obstacle::CompetenceExpired { category, expired_at });
            }
            Some(_) => {}
        }
    }
    if !visit.languages.is_empty() && !visit.languages.iter().any(|it| inspector.languages.contains(it)) {
        found.push(Obstacle::Language);
    }
    for &party in visit.parties.iter().filter(|party| inspector.conflicts.contains(party)) {
        found.push(Obstacle::Conflict { party });
    }
    if inspector.barred.contains(&visit.country) {
        found.push(Obstacle::Entry { country: visit.country });
    }
    if let Some(announced) = visit.announced.as_ref().filter(|announced| announced.locked) {
        let same_day = announced.starts_at >= day.starts_at && announced.starts_at <= day.ends_at;
        if !announced.inspectors.contains(&day.inspector) || !same_day {
            found.push(Obstacle::Locked);
        }
    }
}

/// A locked visit is held where it was announced.
pub(super) fn held_by_lock(visit: &Visit) -> Option<i32> {
    visit.announced.as_ref().filter(|announced| announced.locked).map(|announced| announced.starts_at)
}

/// The latest instant of a day for which something still fits that fits from its start.
pub(super) fn latest_start(day: &InspectorDay, fits_from: impl Fn(i32) -> bool) -> i32 {
    let (mut fits, mut fails) = (day.starts_at, day.ends_at + 1);
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        if fits_from(middle) {
            fits = middle;
        } else {
            fails = middle;
        }
    }
    fits
}

/// Does nothing but other visits stand in the way?
pub(super) fn possible(problem: &Problem, number: u32, visit: &Visit, day: &InspectorDay) -> bool {
    let mut found = Vec::new();
    about_people(problem, visit, day, &mut found);
    let alone = Stop { visit: number, held_at: held_by_lock(visit) };
    found.is_empty() && walks(problem, day, (number, visit), std::iter::once(alone))
}

/// Can these visits be made in this order, the one with this number as it is given?
pub(super) fn walks(
    problem: &Problem,
    day: &InspectorDay,
    (number, given): (u32, &Visit),
    stops: impl Iterator<Item = Stop>,
) -> bool {
    let mut walk = Walk::morning(day);
    for stop in stops {
        let visit = if stop.visit == number { Some(given) } else { problem.visits.get(stop.visit as usize) };
        let step = visit.and_then(|visit| walk.visit(problem, day, visit, stop.held_at));
        let Some(step) = step else { return false };
        walk = step.walk;
    }
    walk.back(problem, day).is_some()
}
