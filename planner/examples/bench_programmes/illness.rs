//! One inspector falls ill: what of the announced visits moves. Forced are those that name the ill inspector on a day
//! on which they are ill: they cannot be made as announced. Counted here from the announcement alone, not by the
//! planner.

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::check::check;
use endcheck_planner::visits::generate::{Size, programme};
use endcheck_planner::visits::replan::{Disturbance, announce, disturb, hold, moves};
use endcheck_planner::visits::{Plan, Problem, plan, plan_from, schedule};

const DAY_MIN: i32 = 1_440;

pub fn error(refusal: endcheck_planner::visits::Refusal) -> String {
    refusal.to_string()
}

/// Who is ill, and from when to when.
#[derive(Debug, Clone, Copy)]
struct Ill {
    inspector: u32,
    from: i32,
    to: i32,
}

/// What moved.
#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    announced: usize,
    forced: usize,
    unforced: usize,
    dropped: usize,
    /// Only who comes is another.
    same_time: usize,
}

impl Moved {
    fn percent(&self) -> f64 {
        100.0 * (self.forced + self.unforced) as f64 / self.announced.max(1) as f64
    }
}

fn count(told: &Problem, found: &Plan, ill: Ill) -> Moved {
    let mut moved = Moved {
        announced: told.visits.iter().filter(|visit| visit.announced.is_some()).count(),
        ..Moved::default()
    };
    for it in moves(told, found) {
        let Some(said) = told.visits.get(it.visit as usize).and_then(|visit| visit.announced.as_ref()) else {
            continue;
        };
        if said.inspectors.contains(&ill.inspector) && (ill.from..ill.to).contains(&said.starts_at) {
            moved.forced += 1;
        } else {
            moved.unforced += 1;
        }
        match it.to {
            None => moved.dropped += 1,
            Some((_, starts_at)) if starts_at == said.starts_at => moved.same_time += 1,
            Some(_) => {}
        }
    }
    moved
}

/// The problem as announced, with somebody ill.
fn told(problem: &Problem, before: &Plan, ill: Ill) -> Problem {
    let mut told = problem.clone();
    announce(&mut told, before, 0);
    disturb(&mut told, &Disturbance::Ill { inspector: ill.inspector, from: ill.from, to: ill.to });
    told
}

fn held(told: &Problem, before: &Plan, iterations: u64) -> Result<Plan, String> {
    let mut held = told.clone();
    hold(&mut held);
    plan_from(&held, before, 2, &schedule(iterations), &mut Unwatched).map_err(error)
}

/// Prints what moves when the busiest inspector is ill for the whole time, or on the day on which they have most to do.
pub fn print(name: &str, problem: &Problem, before: &Plan, iterations: u64) -> Result<(), String> {
    let of = |day: u32| problem.days.get(day as usize);
    let stops = |inspector: u32| -> usize {
        let days = before.days.iter().filter(|it| of(it.day).is_some_and(|day| day.inspector == inspector));
        days.map(|it| it.stops.len()).sum()
    };
    let inspectors = problem.inspectors.len() as u32;
    let busiest = (0..inspectors).max_by_key(|inspector| stops(*inspector)).unwrap_or(0);
    let theirs = before.days.iter().filter(|it| of(it.day).is_some_and(|day| day.inspector == busiest));
    let fullest = theirs.max_by_key(|it| it.stops.len()).and_then(|it| of(it.day));
    let from = fullest.map_or(0, |day| day.starts_at.div_euclid(DAY_MIN) * DAY_MIN);
    for (when, ill) in [
        ("a day", Ill { inspector: busiest, from, to: from + DAY_MIN }),
        ("all days", Ill { inspector: busiest, from: 0, to: i32::MAX }),
    ] {
        let told = told(problem, before, ill);
        let mut forgetful = told.clone();
        forgetful.visits.iter_mut().for_each(|visit| visit.announced = None);
        let gentle = held(&told, before, iterations / 2)?;
        let warm = plan_from(&told, before, 2, &schedule(iterations / 2), &mut Unwatched).map_err(error)?;
        let cold = plan(&forgetful, 2, &schedule(iterations), &mut Unwatched).map_err(error)?;
        println!(
            "{name}\tbusiest ill {when}\tannounced\tforced\tunforced\tmoved\tof these dropped\tonly another person\trisk\tlate h\ttravel min\tpassed"
        );
        for (how, found) in [("held", &gentle), ("free", &warm), ("cold", &cold)] {
            let moved = count(&told, found, ill);
            let passed = check(if how == "cold" { &forgetful } else { &told }, found).is_empty();
            println!(
                "{name}\t{how}\t{}\t{}\t{}\t{:.1} %\t{}\t{}\t{}\t{}\t{}\t{passed}",
                moved.announced,
                moved.forced,
                moved.unforced,
                moved.percent(),
                moved.dropped,
                moved.same_time,
                found.score.unserved_risk,
                found.score.late_hours,
                found.score.travel_min,
            );
        }
    }
    Ok(())
}

/// Lets every inspector of programmes of many seeds fall ill in turn, for the whole time; what was announced is held.
pub fn try_many(size: Size, seeds: u64, iterations: u64) -> Result<(), String> {
    println!("seed\tillnesses\tannounced\tforced\tunforced\tmean moved\tmost moved\tall passed");
    for seed in 1..=seeds {
        let problem = programme(size, seed).map_err(error)?;
        let before = plan(&problem, seed, &schedule(iterations), &mut Unwatched).map_err(error)?;
        let (mut forced, mut unforced, mut percents, mut passed) = (0, 0, Vec::new(), true);
        let mut announced = 0;
        for inspector in 0..size.inspectors as u32 {
            let ill = Ill { inspector, from: 0, to: i32::MAX };
            let told = told(&problem, &before, ill);
            let after = held(&told, &before, iterations / 2)?;
            let moved = count(&told, &after, ill);
            (forced, unforced) = (forced + moved.forced, unforced + moved.unforced);
            passed &= check(&told, &after).is_empty();
            announced = moved.announced;
            percents.push(moved.percent());
        }
        let mean = percents.iter().sum::<f64>() / percents.len().max(1) as f64;
        let most = percents.iter().copied().fold(0.0, f64::max);
        println!(
            "{seed}\t{}\t{announced}\t{forced}\t{unforced}\t{mean:.1} %\t{most:.1} %\t{passed}",
            percents.len()
        );
    }
    Ok(())
}
