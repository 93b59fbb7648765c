//! Plans made programmes of three sizes and prints, for each number of iterations: what the plan costs, whether the
//! checker passes it, how long it took and how much memory the program has used so far; then one inspector falls
//! ill, and what moves of what was announced, beside a plan made anew. `make bench-plan-programmes` calls it.
//!
//! With `export VISITS INSPECTORS DAYS SEED` it prints a programme as JSON with what other engines know of it, and with
//! `shared VISITS INSPECTORS DAYS SEED ITERATIONS` it plans just that.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::check::check;
use endcheck_planner::visits::generate::{Size, programme};
use endcheck_planner::visits::replan::{Disturbance, announce, disturb, hold, moves};
use endcheck_planner::visits::{Problem, plan, plan_from, schedule};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let done = match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (None, _) => all(),
        (Some("export"), &[visits, inspectors, days, seed]) => {
            shared(visits, inspectors, days, seed).map(|problem| export(&problem))
        }
        (Some("shared"), &[visits, inspectors, days, seed, iterations]) => {
            shared(visits, inspectors, days, seed).and_then(|problem| beside(&problem, seed, iterations))
        }
        _ => Err("usage: bench_programmes [export VISITS INSPECTORS DAYS SEED]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<(), String> {
    let sizes = [
        (Size { visits: 50, inspectors: 5, days: 5 }, [1_000, 10_000, 50_000]),
        (Size { visits: 300, inspectors: 30, days: 10 }, [1_000, 5_000, 20_000]),
        (Size { visits: 2_000, inspectors: 120, days: 20 }, [250, 1_000, 4_000]),
    ];
    println!("size\titerations\tseconds\tMiB\tunplanned\trisk\tlate h\ttravel min\tpassed");
    for (size, budgets) in sizes {
        let problem = programme(size, 1).map_err(|error| error.to_string())?;
        let name = format!("{}x{}x{}", size.visits, size.inspectors, size.days);
        let mut before = None;
        for iterations in budgets {
            let started = Instant::now();
            let found = plan(&problem, 1, &schedule(iterations), &mut Unwatched)
                .map_err(|error| error.to_string())?;
            let seconds = started.elapsed().as_secs_f64();
            let passed = check(&problem, &found).is_empty();
            println!(
                "{name}\t{iterations}\t{seconds:.1}\t{}\t{}\t{}\t{}\t{}\t{passed}",
                peak_mib(),
                found.unplanned.len(),
                found.score.unserved_risk,
                found.score.late_hours,
                found.score.travel_min,
            );
            before = Some((iterations, found));
        }
        let Some((iterations, before)) = before else { continue };
        // The one with the most stops, for the whole time.
        let stops = |inspector: u32| -> usize {
            let days = before
                .days
                .iter()
                .filter(|it| problem.days.get(it.day as usize).is_some_and(|day| day.inspector == inspector));
            days.map(|it| it.stops.len()).sum()
        };
        let busiest = (0..size.inspectors as u32).max_by_key(|inspector| stops(*inspector)).unwrap_or(0);
        let mut told = problem.clone();
        announce(&mut told, &before, 0);
        disturb(&mut told, &Disturbance::Ill { inspector: busiest, from: 0, to: i32::MAX });
        let announced = told.visits.iter().filter(|visit| visit.announced.is_some()).count();
        let mut forgetful = told.clone();
        forgetful.visits.iter_mut().for_each(|visit| visit.announced = None);
        let error = |error: endcheck_planner::visits::Refusal| error.to_string();
        let warm = plan_from(&told, &before, 2, &schedule(iterations / 2), &mut Unwatched).map_err(error)?;
        let cold = plan(&forgetful, 2, &schedule(iterations), &mut Unwatched).map_err(error)?;
        let mut held = told.clone();
        hold(&mut held);
        let gentle =
            plan_from(&held, &before, 2, &schedule(iterations / 2), &mut Unwatched).map_err(error)?;
        println!("{name}\tone ill, {announced} announced\tmoved\tforced\trisk\tlate h\ttravel min\tpassed");
        for (how, found) in [("held", &gentle), ("free", &warm), ("cold", &cold)] {
            let moved = moves(&told, found);
            let forced = moved.iter().filter(|it| it.forced).count();
            let passed = check(if how == "cold" { &forgetful } else { &told }, found).is_empty();
            println!(
                "{name}\t{how}\t{}\t{forced}\t{}\t{}\t{}\t{passed}",
                moved.len(),
                found.score.unserved_risk,
                found.score.late_hours,
                found.score.travel_min,
            );
        }
    }
    Ok(())
}

/// A programme with only what other engines know, too: windows, shifts, who may and can, priorities.
fn shared(visits: u64, inspectors: u64, days: u64, seed: u64) -> Result<Problem, String> {
    let size = Size { visits: visits as usize, inspectors: inspectors as usize, days: days as i32 };
    let mut problem = programme(size, seed).map_err(|error| error.to_string())?;
    for visit in &mut problem.visits {
        visit.people = 1;
        visit.due_at = None;
        let not_before = std::mem::replace(&mut visit.not_before, 0);
        visit.windows = visit
            .windows
            .iter()
            .map(|(open, close)| ((*open).max(not_before), *close))
            .filter(|(open, close)| open + visit.duration_min <= *close)
            .collect();
    }
    for day in &mut problem.days {
        day.most_duty_min = 100_000;
        day.most_without_break_min = 100_000;
    }
    Ok(problem)
}

fn beside(problem: &Problem, seed: u64, iterations: u64) -> Result<(), String> {
    let started = Instant::now();
    let found =
        plan(problem, seed, &schedule(iterations), &mut Unwatched).map_err(|error| error.to_string())?;
    println!(
        "{:.1} s\trisk {}\ttravel {}\tunplanned {}\tpassed {}",
        started.elapsed().as_secs_f64(),
        found.score.unserved_risk,
        found.score.travel_min,
        found.unplanned.len(),
        check(problem, &found).is_empty()
    );
    Ok(())
}

fn export(problem: &Problem) {
    let ways: Vec<Vec<i32>> = (0..problem.ways.places() as u32)
        .map(|from| (0..problem.ways.places() as u32).map(|to| problem.ways.minutes(from, to)).collect())
        .collect();
    let days: Vec<String> = problem
        .days
        .iter()
        .filter_map(|day| {
            let inspector = problem.inspectors.get(day.inspector as usize)?;
            // Whatever may stand in the way becomes a skill that the day has or lacks.
            let holds = |category: u32| {
                inspector
                    .competences
                    .iter()
                    .any(|it| it.category == category && it.expires_at >= day.starts_at + 1_440)
            };
            let mut skills: Vec<u32> = (0..5).filter(|category| holds(*category)).collect();
            skills.extend(inspector.languages.iter().map(|language| 100 + language));
            skills.extend(
                (0..40).filter(|party| !inspector.conflicts.contains(party)).map(|party| 1_000 + party),
            );
            skills.extend(
                (0..50).filter(|country| !inspector.barred.contains(country)).map(|country| 2_000 + country),
            );
            Some(format!("[{},{},{},{},{skills:?}]", day.starts_at, day.ends_at, day.from, day.to))
        })
        .collect();
    let visits: Vec<String> = problem
        .visits
        .iter()
        .map(|visit| {
            let mut skills = visit.categories.clone();
            skills.extend(visit.languages.iter().map(|language| 100 + language));
            skills.extend(visit.parties.iter().map(|party| 1_000 + party));
            skills.push(2_000 + visit.country);
            let windows: Vec<[i32; 2]> =
                visit.windows.iter().map(|(open, close)| [*open, close - visit.duration_min]).collect();
            format!("[{},{},{windows:?},{skills:?},{}]", visit.place, visit.duration_min, visit.risk)
        })
        .collect();
    println!("{{\"ways\":{ways:?},\"days\":[{}],\"visits\":[{}]}}", days.join(","), visits.join(","));
}

/// The most memory that this program has held.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|word| word.parse::<u64>().ok());
    kib.unwrap_or(0) / 1_024
}
