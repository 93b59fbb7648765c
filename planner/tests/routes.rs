//! The core against instances of the literature and made ones, judged by the checker, which shares no code with it.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use endcheck_planner::random::Random;
use endcheck_planner::sisr::Unwatched;
use endcheck_planner::vrptw::check::check;
use endcheck_planner::vrptw::{read, schedule, solve};
use std::fmt::Write;
use std::path::Path;

/// A made instance: customers anywhere, windows of many widths.
fn made(seed: u64, customers: usize, vehicles: usize) -> String {
    let mut random = Random::new(seed);
    let mut text = format!(
        "M{seed}\n\nVEHICLE\nNUMBER CAPACITY\n{vehicles} 100\n\nCUSTOMER\nCUST NO. XCOORD. YCOORD. DEMAND READY TIME DUE DATE SERVICE TIME\n\n0 50 50 0 0 1000 0\n"
    );
    for customer in 1..=customers {
        let (x, y) = (random.below(101), random.below(101));
        let ready = random.below(700);
        let due = ready + 80 + random.below(200);
        writeln!(text, "{customer} {x} {y} {} {ready} {due} 10", 1 + random.below(30)).unwrap();
    }
    text
}

#[test]
fn routes_are_as_the_instance_demands_and_the_same_for_the_same_seed() {
    for seed in 1..=20 {
        let text = made(seed, 40, 20);
        let instance = read(&text).unwrap();
        let found = solve(&instance, seed, &schedule(2_000), &mut Unwatched);
        let verdict = check(&text, &found.routes);
        assert_eq!(verdict.faults, [], "seed {seed}");
        assert_eq!(found, solve(&instance, seed, &schedule(2_000), &mut Unwatched), "seed {seed}");
        let brief = solve(&instance, seed, &schedule(20), &mut Unwatched);
        assert!(
            verdict.distance < check(&text, &brief.routes).distance,
            "seed {seed}: more work is no better"
        );
    }
}

#[test]
fn who_cannot_be_served_is_named_and_the_rest_is_served() {
    let text = made(1, 40, 3);
    let instance = read(&text).unwrap();
    let found = solve(&instance, 1, &schedule(2_000), &mut Unwatched);
    let served: usize = found.routes.iter().map(Vec::len).sum();
    assert!(!found.unserved.is_empty() && found.routes.len() == 3);
    assert_eq!(served + found.unserved.len(), 40);
    // Nothing but those who are named is missing.
    assert_eq!(check(&text, &found.routes).faults.len(), found.unserved.len());
}

#[test]
fn solomon_s_instances_are_solved_to_within_two_percent_in_a_moment() {
    let folder = std::env::var("ENDCHECK_TEST_DATA").unwrap_or_default();
    let folder = Path::new(&folder).join("vrptw");
    let Ok(table) = std::fs::read_to_string(folder.join("best_known.tsv")) else {
        println!("skipped: no instances under ENDCHECK_TEST_DATA");
        return;
    };
    for name in ["C208", "R110", "R208", "RC106"] {
        let text = std::fs::read_to_string(folder.join("solomon").join(format!("{name}.txt"))).unwrap();
        let found = solve(&read(&text).unwrap(), 1, &schedule(60_000), &mut Unwatched);
        let verdict = check(&text, &found.routes);
        assert_eq!(verdict.faults, [], "{name}");
        let row: Vec<&str> =
            table.lines().find(|line| line.starts_with(&format!("{name}\t"))).unwrap().split('\t').collect();
        let best: f64 = row[7].parse().unwrap();
        assert!(verdict.distance < best * 1.02, "{name}: {} beside {best}", verdict.distance);
    }
}
