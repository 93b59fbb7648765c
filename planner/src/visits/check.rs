//! Says of a plan whether it is as the problem demands, and what it costs. Shares no code with the search: every rule
//! is written down here a second time, from the instants that the plan names.

use super::{Plan, PlannedDay, Problem, Score, Visit};

/// One thing that is not as demanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A number that is not there, or a day that is planned twice.
    Unknown,
    /// A visit is made by as many people, not by as many as it needs; or listed and made.
    People { visit: u32, people: usize },
    /// Two people do not meet, or are one.
    Meeting { visit: u32 },
    /// A visit lies in no window of its site.
    Window { visit: u32 },
    /// The host is not told in time.
    Notice { visit: u32 },
    /// The inspector may not or cannot.
    Inspector { visit: u32, inspector: u32 },
    /// What was locked is changed.
    Locked { visit: u32 },
    /// The inspector cannot be there in time.
    Way { day: u32, visit: Option<u32> },
    /// The day is longer than it may be.
    Hours { day: u32 },
    /// A break is missing, or lies where there is no time for it.
    Break { day: u32 },
    /// The score that the plan names is not what it costs.
    Score { costs: Score },
}

/// Checks a plan.
#[must_use]
pub fn check(problem: &Problem, plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut made: Vec<Vec<(u32, i32)>> = vec![Vec::new(); problem.visits.len()];
    let mut busy = vec![0i64; problem.inspectors.len()];
    let mut costs = Score::default();
    let mut last = None;
    for planned in &plan.days {
        if last.is_some_and(|last| last >= planned.day) || planned.stops.is_empty() {
            faults.push(Fault::Unknown);
        }
        last = Some(planned.day);
        if day(problem, planned, &mut faults, &mut costs, &mut busy, &mut made).is_none() {
            faults.push(Fault::Unknown);
        }
    }
    for ((number, visit), made) in (0..).zip(&problem.visits).zip(&made) {
        let listed = plan.unplanned.contains(&number);
        if (listed && !made.is_empty()) || (!listed && made.len() != usize::from(visit.people)) {
            faults.push(Fault::People { visit: number, people: made.len() });
        }
        if let [first, second] = made.as_slice()
            && (first.0 == second.0 || first.1 != second.1)
        {
            faults.push(Fault::Meeting { visit: number });
        }
        if made.is_empty() {
            costs.unserved_risk += visit.risk;
        }
    }
    costs.spread = busy.iter().map(|minutes| minutes * minutes).sum();
    if costs != plan.score {
        faults.push(Fault::Score { costs });
    }
    faults
}

fn day(
    problem: &Problem,
    planned: &PlannedDay,
    faults: &mut Vec<Fault>,
    costs: &mut Score,
    busy: &mut [i64],
    made: &mut [Vec<(u32, i32)>],
) -> Option<()> {
    let it = problem.days.get(planned.day as usize)?;
    let inspector = problem.inspectors.get(it.inspector as usize)?;
    if !it.available
        || planned.leaves_at < it.starts_at
        || planned.returns_at > it.ends_at
        || planned.returns_at - planned.leaves_at > it.most_duty_min
    {
        faults.push(Fault::Hours { day: planned.day });
    }
    let (mut place, mut free_at) = (it.from, planned.leaves_at);
    let mut breaks = planned.breaks_at.clone();
    let (mut travelled, mut worked) = (0, 0);
    for stop in &planned.stops {
        let visit = problem.visits.get(stop.visit as usize)?;
        let way = problem.ways.minutes(place, visit.place);
        if !reaches(free_at, stop.starts_at, way, it.break_min, &mut breaks) {
            faults.push(Fault::Way { day: planned.day, visit: Some(stop.visit) });
        }
        travelled += i64::from(way);
        worked += i64::from(visit.duration_min);
        free_at = stop.starts_at + visit.duration_min;
        place = visit.place;
        if !visit.windows.iter().any(|window| window.0 <= stop.starts_at && free_at <= window.1) {
            faults.push(Fault::Window { visit: stop.visit });
        }
        if stop.starts_at < visit.not_before {
            faults.push(Fault::Notice { visit: stop.visit });
        }
        let able = visit.categories.iter().all(|category| {
            inspector
                .competences
                .iter()
                .any(|it_has| it_has.category == *category && it_has.expires_at >= it.starts_at + 1_440)
        });
        let understood =
            visit.languages.is_empty() || inspector.languages.iter().any(|one| visit.languages.contains(one));
        let impartial = !inspector.conflicts.iter().any(|party| visit.parties.contains(party));
        let admitted = inspector.barred.iter().all(|country| *country != visit.country);
        if !(able && understood && impartial && admitted) {
            faults.push(Fault::Inspector { visit: stop.visit, inspector: it.inspector });
        }
        told(visit, stop.visit, it.inspector, stop.starts_at, faults, costs);
        made.get_mut(stop.visit as usize)?.push((it.inspector, stop.starts_at));
    }
    let way = problem.ways.minutes(place, it.to);
    travelled += i64::from(way);
    if !reaches(free_at, planned.returns_at, way, it.break_min, &mut breaks) {
        faults.push(Fault::Way { day: planned.day, visit: None });
    }
    // No stretch between leaving, breaks and being back is too long; every break found its place.
    let mut stretch_from = planned.leaves_at;
    let mut rested = breaks.is_empty();
    for break_at in &planned.breaks_at {
        rested &= break_at - stretch_from <= it.most_without_break_min && *break_at >= stretch_from;
        stretch_from = break_at + it.break_min;
    }
    if !rested || planned.returns_at - stretch_from > it.most_without_break_min {
        faults.push(Fault::Break { day: planned.day });
    }
    costs.travel_min += travelled;
    *busy.get_mut(it.inspector as usize)? += travelled + worked;
    Some(())
}

/// Can one be there in time, with the breaks that lie on the way? Takes those out of the list.
fn reaches(from: i32, to: i32, way: i32, break_min: i32, breaks: &mut Vec<i32>) -> bool {
    let here: Vec<i32> = breaks.iter().copied().filter(|at| from <= *at && at + break_min <= to).collect();
    breaks.retain(|at| !here.contains(at));
    match here.as_slice() {
        [] => from + way <= to,
        // Before the way, or after it.
        [at] => at + break_min + way <= to || from + way <= *at,
        _ => false,
    }
}

/// What the host was told, and what it costs to be late or to change it.
fn told(
    visit: &Visit,
    number: u32,
    inspector: u32,
    starts_at: i32,
    faults: &mut Vec<Fault>,
    costs: &mut Score,
) {
    if let Some(due_at) = visit.due_at {
        let late = (starts_at + visit.duration_min - due_at).max(0);
        costs.late_hours += i64::from((late + 59) / 60);
    }
    let Some(announced) = &visit.announced else { return };
    let same_person = announced.inspectors.contains(&inspector);
    if announced.locked && !(same_person && announced.starts_at == starts_at) {
        faults.push(Fault::Locked { visit: number });
    }
    let same_day = announced.day.0 <= starts_at && starts_at < announced.day.1;
    let moved = if !same_day { 2 } else { i64::from(announced.starts_at != starts_at) };
    costs.disruption += (moved + i64::from(!same_person)) * announced.weight;
}
