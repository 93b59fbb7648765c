//! A programme of five years, played by three ways of choosing what is checked: as Endcheck does, at random only, and
//! by the most points only. Shows how many planted diversions each finds, whom it reaches, and how far its own hit rate
//! misleads about the whole. Seeded: the same seed gives the same figures and the same picture.
//!
//! usage: simulate [OUT.svg]

mod picture;
mod world;

use std::io::Write as _;

use endcheck_server::risk::DEFAULT_POLICY;
use endcheck_server::risk::policy::Policy;

use world::{Method, World, Year};

/// Shipments of each year; checks that can be made in it.
const SHIPMENTS: usize = 24_000;
const CAPACITY: u64 = 1_200;
const YEARS: usize = 5;

fn main() -> anyhow::Result<()> {
    let policy = Policy::read(DEFAULT_POLICY).map_err(|faults| {
        anyhow::anyhow!("{}", faults.first().map(ToString::to_string).unwrap_or_default())
    })?;
    let mut all = Vec::new();
    for method in Method::ALL {
        let years = World::new(2026).play(&policy, method, YEARS, SHIPMENTS, CAPACITY)?;
        all.push((method, years));
    }
    let mut said = format!(
        "{SHIPMENTS} shipments a year for {YEARS} years, {CAPACITY} checks a year, policy {}\n{}",
        policy.hash,
        table(&all)
    );
    if let Some(path) = std::env::args_os().nth(1) {
        std::fs::write(&path, picture::svg(&all))?;
        said.push_str(&format!("{} written\n", std::path::Path::new(&path).display()));
    }
    std::io::stdout().write_all(said.as_bytes())?;
    Ok(())
}

/// The figures, a line for each way.
fn table(all: &[(Method, Vec<Year>)]) -> String {
    let mut text = String::from(
        "| Way of choosing | Checks | Diversions found | Hit rate | Found of all | New patterns found | Parties reached | Estimate of the rate among all | True rate |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for (method, years) in all {
        let sum = |of: fn(&Year) -> usize| years.iter().map(of).sum::<usize>();
        let (checks, found, diverted) = (sum(|y| y.checks), sum(|y| y.found), sum(|y| y.diverted));
        let estimate = years.iter().filter_map(|year| year.estimate).sum::<f64>() / years.len() as f64;
        text.push_str(&format!(
            "| {} | {checks} | {found} | {:.1} % | {:.1} % | {} of {} | {:.0} % | {:.2} % | {:.2} % |\n",
            method.name(),
            100.0 * found as f64 / checks as f64,
            100.0 * found as f64 / diverted as f64,
            sum(|y| y.found_new),
            sum(|y| y.diverted_new),
            100.0 * years.last().map_or(0.0, |year| year.reached),
            100.0 * estimate,
            100.0 * diverted as f64 / (SHIPMENTS * years.len()) as f64,
        ));
    }
    text
}
