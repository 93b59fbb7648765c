//! Runs a folder of Solomon-format instances and prints `instance<TAB>seed<TAB>distance<TAB>vehicles<TAB>feasible` a
//! line, each result judged by the independent checker. `make bench-plan` calls it.
//!
//! The limit in seconds, of processor time of the one thread, only chooses how many iterations to make, from the speed
//! of short runs with the same schedule, whose time counts; what was used is said on standard error. With `judge` it
//! reads routes of others, `instance<TAB>seed<TAB>routes` a line as `peers/peers.py` prints them, and judges those.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::vrptw::check::{Verdict, check};
use endcheck_planner::vrptw::{read, schedule, solve};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: bench_plan FOLDER SECONDS SEEDS [NAME…]\n       bench_plan judge FOLDER < ROUTES";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [verb, folder] if verb == "judge" => judge(Path::new(folder)),
        [folder, seconds, seeds, names @ ..] => match (seconds.parse(), seeds.parse()) {
            (Ok(seconds), Ok(seeds)) => bench(folder, seconds, seeds, names),
            _ => Err(format!("SECONDS and SEEDS are numbers\n{USAGE}")),
        },
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

/// Judges routes that others found.
fn judge(folder: &Path) -> Result<(), String> {
    for line in std::io::stdin().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let mut fields = line.split('\t');
        let (Some(name), Some(seed), Some(routes)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("{line:?}: instance, seed and routes were expected, with tabs"));
        };
        let file = folder.join(format!("{name}.txt"));
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let routes: Result<Vec<Vec<u32>>, _> =
            routes.split(' ').map(|route| route.split(',').map(str::parse).collect()).collect();
        let routes = routes.map_err(|error| format!("{line:?}: {error}"))?;
        report(name, seed, &check(&text, &routes));
    }
    Ok(())
}

fn report(name: &str, seed: &str, verdict: &Verdict) {
    let feasible = verdict.faults.is_empty();
    println!("{name}\t{seed}\t{:.2}\t{}\t{feasible}", verdict.distance, verdict.vehicles);
}

fn bench(folder: &str, seconds: f64, seeds: u64, names: &[String]) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("txt"))
            || !(names.is_empty() || names.contains(&name))
        {
            continue;
        }
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let instance = read(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        for seed in 1..=seeds {
            let from = processor_seconds()?;
            let mut iterations = 500;
            let speed = loop {
                let start = processor_seconds()?;
                solve(&instance, seed, &schedule(iterations), &mut Unwatched);
                let took = processor_seconds()? - start;
                if took > seconds * 0.04 {
                    break iterations as f64 / took;
                }
                iterations *= 2;
            };
            let left = seconds - (processor_seconds()? - from);
            let budget = (speed * left.max(0.0)) as u64;
            let solution = solve(&instance, seed, &schedule(budget), &mut Unwatched);
            let used = processor_seconds()? - from;
            report(&name, &seed.to_string(), &check(&text, &solution.routes));
            eprintln!("{name}\t{seed}\t{budget} iterations\t{used:.2} s of processor time");
        }
    }
    Ok(())
}

/// Processor time of this thread.
fn processor_seconds() -> Result<f64, String> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.map(|nanoseconds| nanoseconds / 1e9).ok_or_else(|| format!("{path}: not a number"))
}
