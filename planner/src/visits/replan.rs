//! What happens to a plan that was announced: somebody falls ill, a border closes, a visa is refused, a new visit cannot
//! wait. Announcing and disturbing change the problem; [`super::plan_from`] then makes the plan that keeps most of
//! what was said; here is told what of it moved.

use super::{Announced, DAY_MIN, Plan, Problem, Visit};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disturbance {
    /// An inspector cannot be sent on days that start within this time.
    Ill { inspector: u32, from: i32, to: i32 },
    /// Nobody gets to the sites of a country within this time.
    BorderClosed { country: u32, from: i32, to: i32 },
    /// An inspector may not enter a country.
    VisaRefused { inspector: u32, country: u32 },
    /// A visit that was not known.
    Urgent(Box<Visit>),
}

/// An announced visit that a plan moves, or drops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// Which.
    pub visit: u32,
    /// Who and when it is now; nobody where it is dropped.
    pub to: Option<(Vec<u32>, i32)>,
    /// Did it have to, because it cannot be made as announced whatever one does?
    pub forced: bool,
}

/// What a change of an announcement weighs by the notice that is left: a point a day under two weeks, and one.
#[must_use]
pub fn notice_weight(now: i32, starts_at: i32) -> i64 {
    1 + i64::from((14 - (starts_at - now).div_euclid(DAY_MIN)).clamp(0, 14))
}

/// The day of an instant by the clock of the origin.
#[must_use]
pub fn day_of(instant: i32) -> (i32, i32) {
    let from = instant.div_euclid(DAY_MIN) * DAY_MIN;
    (from, from + DAY_MIN)
}

/// Notes everything in a plan as announced, for days by the clock of the origin; locks stay where they are.
pub fn announce(problem: &mut Problem, plan: &Plan, now: i32) {
    for visit in &mut problem.visits {
        visit.announced = visit.announced.take().filter(|told| told.locked);
    }
    for planned in &plan.days {
        let Some(inspector) = problem.days.get(planned.day as usize).map(|day| day.inspector) else {
            continue;
        };
        for stop in &planned.stops {
            let Some(visit) = problem.visits.get_mut(stop.visit as usize) else { continue };
            let told = visit.announced.get_or_insert_with(|| Announced {
                inspectors: Vec::new(),
                starts_at: stop.starts_at,
                day: day_of(stop.starts_at),
                weight: notice_weight(now, stop.starts_at),
                locked: false,
            });
            if !told.inspectors.contains(&inspector) {
                told.inspectors.push(inspector);
            }
        }
    }
}

/// Notes in a problem what happened.
pub fn disturb(problem: &mut Problem, disturbance: &Disturbance) {
    match disturbance {
        Disturbance::Ill { inspector, from, to } => {
            let days = problem.days.iter_mut().filter(|day| day.inspector == *inspector);
            for day in days.filter(|day| (*from..*to).contains(&day.starts_at)) {
                day.available = false;
            }
        }
        Disturbance::BorderClosed { country, from, to } => {
            for visit in problem.visits.iter_mut().filter(|visit| visit.country == *country) {
                let around = visit.windows.iter().flat_map(|(open, close)| {
                    // What is left of a window before and after.
                    [(*open, (*close).min(*from)), ((*open).max(*to), *close)]
                });
                visit.windows = around.filter(|(open, close)| open < close).collect();
            }
        }
        Disturbance::VisaRefused { inspector, country } => {
            if let Some(inspector) = problem.inspectors.get_mut(*inspector as usize) {
                inspector.barred.push(*country);
            }
        }
        Disturbance::Urgent(visit) => problem.visits.push((**visit).clone()),
    }
}

/// Locks whatever of what was announced can stay, so that a plan moves only what has to move, at the price of what a
/// freer plan would save in risk and lateness. A manager sees both and chooses.
pub fn hold(problem: &mut Problem) {
    let can_stay: Vec<bool> = (0..)
        .zip(&problem.visits)
        .map(|(number, visit)| {
            visit.announced.as_ref().is_some_and(|told| !forced(problem, number, visit, told))
        })
        .collect();
    for (visit, can_stay) in problem.visits.iter_mut().zip(can_stay) {
        if let Some(told) = visit.announced.as_mut().filter(|_| can_stay) {
            told.locked = true;
        }
    }
}

/// Which announced visits a plan moves.
#[must_use]
pub fn moves(problem: &Problem, plan: &Plan) -> Vec<Move> {
    let mut made: Vec<Option<(Vec<u32>, i32)>> = vec![None; problem.visits.len()];
    for planned in &plan.days {
        let Some(inspector) = problem.days.get(planned.day as usize).map(|day| day.inspector) else {
            continue;
        };
        for stop in &planned.stops {
            if let Some(made) = made.get_mut(stop.visit as usize) {
                made.get_or_insert_with(|| (Vec::new(), stop.starts_at)).0.push(inspector);
            }
        }
    }
    let mut moves = Vec::new();
    for ((number, visit), made) in (0..).zip(&problem.visits).zip(made) {
        let Some(told) = &visit.announced else { continue };
        let kept = made.as_ref().is_some_and(|(who, starts_at)| {
            *starts_at == told.starts_at && who.iter().all(|who| told.inspectors.contains(who))
        });
        if !kept {
            moves.push(Move { visit: number, to: made, forced: forced(problem, number, visit, told) });
        }
    }
    moves
}

/// Can one of those who were announced not come then, even with nothing else to do?
fn forced(problem: &Problem, number: u32, visit: &Visit, told: &Announced) -> bool {
    let locked = Visit { announced: Some(Announced { locked: true, ..told.clone() }), ..visit.clone() };
    !told.inspectors.iter().all(|inspector| {
        let mut days = problem.days.iter().filter(|day| day.inspector == *inspector);
        days.any(|day| super::fit::possible(problem, number, &locked, day))
    })
}
