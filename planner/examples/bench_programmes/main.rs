//! Plans made programmes of three sizes and prints, for each number of iterations: what the plan costs, whether the
//! checker passes it, how long it took and how much memory the program has used so far; then one inspector falls
//! ill, and what moves of what was announced, beside a plan made anew.
//!
//! `growth [SVG]` prints and draws time and memory as programmes grow; `ill` lets each inspector of many programmes fall
//! ill in turn. With `export VISITS INSPECTORS DAYS SEED` it prints a programme as JSON with what other engines know of
//! it, and with `shared VISITS INSPECTORS DAYS SEED ITERATIONS` it plans just that.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::check::check;
use endcheck_planner::visits::generate::{Size, programme};
use endcheck_planner::visits::{Problem, plan, schedule};
use illness::error;
use std::process::ExitCode;

mod growth;
mod illness;

const USAGE: &str = "usage: bench_programmes
       bench_programmes growth [SVG]
       bench_programmes ill VISITS INSPECTORS DAYS SEEDS ITERATIONS
       bench_programmes export VISITS INSPECTORS DAYS SEED
       bench_programmes shared VISITS INSPECTORS DAYS SEED ITERATIONS";

fn size(visits: u64, inspectors: u64, days: u64) -> Size {
    Size { visits: visits as usize, inspectors: inspectors as usize, days: days as i32 }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = arguments.iter().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    let done = match (arguments.first().map(String::as_str), numbers.as_slice()) {
        (None, _) => all(),
        (Some("growth"), _) => growth::growth(arguments.get(1).map(String::as_str)),
        (Some("ill"), &[visits, inspectors, days, seeds, iterations]) => {
            illness::try_many(size(visits, inspectors, days), seeds, iterations)
        }
        (Some("measure"), &[visits, inspectors, days]) => growth::measure(size(visits, inspectors, days)),
        (Some("export"), &[visits, inspectors, days, seed]) => {
            shared(visits, inspectors, days, seed).map(|problem| export(&problem))
        }
        (Some("shared"), &[visits, inspectors, days, seed, iterations]) => {
            shared(visits, inspectors, days, seed).and_then(|problem| beside(&problem, seed, iterations))
        }
        _ => Err(USAGE.to_owned()),
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
    for (size, budgets) in sizes {
        let problem = programme(size, 1).map_err(error)?;
        let name = format!("{}x{}x{}", size.visits, size.inspectors, size.days);
        println!("size\titerations\tseconds\tMiB\tunplanned\trisk\tlate h\ttravel min\tpassed");
        let mut before = None;
        for iterations in budgets {
            let started = growth::processor_seconds()?;
            let found = plan(&problem, 1, &schedule(iterations), &mut Unwatched).map_err(error)?;
            let seconds = growth::processor_seconds()? - started;
            let passed = check(&problem, &found).is_empty();
            println!(
                "{name}\t{iterations}\t{seconds:.1}\t{}\t{}\t{}\t{}\t{}\t{passed}",
                growth::peak_mebibytes(),
                found.unplanned.len(),
                found.score.unserved_risk,
                found.score.late_hours,
                found.score.travel_min,
            );
            before = Some((iterations, found));
        }
        if let Some((iterations, before)) = before {
            illness::print(&name, &problem, &before, iterations)?;
        }
    }
    Ok(())
}

/// A programme with only what other engines know, too: windows, shifts, who may and can, priorities.
fn shared(visits: u64, inspectors: u64, days: u64, seed: u64) -> Result<Problem, String> {
    let mut problem = programme(size(visits, inspectors, days), seed).map_err(error)?;
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
    let started = growth::processor_seconds()?;
    let found = plan(problem, seed, &schedule(iterations), &mut Unwatched).map_err(error)?;
    println!(
        "{:.1} s\trisk {}\ttravel {}\tunplanned {}\tpassed {}",
        growth::processor_seconds()? - started,
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
