//! Programmes made from a seed, to try and to measure with: sites in clusters around a few capitals, inspectors based
//! there, working weeks, and every constraint that a real programme has, on a share of the visits.

use super::ways::{DRIVE_AND_FLY, Position};
use super::{Competence, DAY_MIN, Inspector, InspectorDay, Problem, Refusal, Visit, Ways};
use crate::random::Random;

/// How large a programme is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// How many visits.
    pub visits: usize,
    /// How many inspectors.
    pub inspectors: usize,
    /// How many days, the weekends among them.
    pub days: i32,
}

/// Of a hundred: is it so?
fn percent(random: &mut Random, share: usize) -> bool {
    random.below(100) < share
}

/// Makes a programme; nothing is announced yet.
///
/// # Errors
///
/// A programme that is larger than a plan may be.
pub fn programme(size: Size, seed: u64) -> Result<Problem, Refusal> {
    let mut random = Random::new(seed);
    let centres = 2 + size.inspectors / 15;
    let around = |centre: usize, spread_e4: usize, random: &mut Random| {
        // Clusters a few hundred kilometres apart.
        let (row, column) = (centre / 4, centre % 4);
        let jitter = |random: &mut Random| (random.below(2 * spread_e4 + 1) as f64 - spread_e4 as f64) / 1e4;
        Position {
            latitude: 42.0 + 3.0 * row as f64 + jitter(random),
            longitude: 10.0 + 5.0 * column as f64 + jitter(random),
        }
    };
    let mut positions = Vec::new();
    let mut inspectors = Vec::new();
    for number in 0..size.inspectors {
        positions.push(around(number % centres, 1_000, &mut random));
        let horizon = size.days * DAY_MIN;
        let expires = |random: &mut Random| {
            if percent(random, 10) { random.below(horizon.max(1) as usize) as i32 } else { horizon + DAY_MIN }
        };
        let mut competences = Vec::new();
        for category in 0..5 {
            if percent(&mut random, 60) {
                competences.push(Competence { category, expires_at: expires(&mut random) });
            }
        }
        let mut languages = vec![(number % centres) as u32];
        if percent(&mut random, 40) {
            languages.push(random.below(centres) as u32);
        }
        let conflicts = if percent(&mut random, 20) { vec![random.below(40) as u32] } else { Vec::new() };
        let barred = if percent(&mut random, 10) { vec![random.below(centres) as u32] } else { Vec::new() };
        inspectors.push(Inspector { competences, languages, conflicts, barred });
    }
    let mut days = Vec::new();
    for inspector in 0..size.inspectors as u32 {
        let leave = random.below(size.days.max(1) as usize * 3) as i32;
        for day in (0..size.days).filter(|day| day % 7 < 5 && *day != leave) {
            days.push(InspectorDay {
                inspector,
                available: true,
                starts_at: day * DAY_MIN + 7 * 60,
                ends_at: day * DAY_MIN + 19 * 60,
                from: inspector,
                to: inspector,
                most_duty_min: 600,
                most_without_break_min: 300,
                break_min: 30,
            });
        }
    }
    let visits = (0..size.visits).map(|number| {
        let centre = random.below(centres);
        positions.push(around(centre, 9_000, &mut random));
        visit((size.inspectors + number) as u32, centre as u32, size.days, &mut random)
    });
    let visits = visits.collect();
    Ok(Problem { inspectors, days, visits, ways: Ways::by_great_circle(&positions, &DRIVE_AND_FLY)? })
}

fn visit(place: u32, centre: u32, days: i32, random: &mut Random) -> Visit {
    let windows = (0..days)
        .filter(|_| percent(random, 75))
        .flat_map(|day| {
            let noon = [(9 * 60, 12 * 60), (13 * 60, 17 * 60)];
            noon.map(|(from, to)| (day * DAY_MIN + from, day * DAY_MIN + to))
        })
        .collect::<Vec<_>>();
    let some_day = |random: &mut Random| random.below(days.max(1) as usize) as i32 * DAY_MIN;
    Visit {
        place,
        country: centre,
        duration_min: [60, 90, 120, 180].get(random.below(4)).copied().unwrap_or(60),
        windows,
        not_before: if percent(random, 40) { some_day(random) / 2 } else { 0 },
        due_at: percent(random, 50).then(|| some_day(random) + DAY_MIN),
        categories: if percent(random, 70) { vec![random.below(5) as u32] } else { Vec::new() },
        languages: if percent(random, 50) { vec![centre] } else { Vec::new() },
        parties: vec![random.below(40) as u32],
        people: if percent(random, 8) { 2 } else { 1 },
        risk: 1 + random.below(100) as i64,
        announced: None,
    }
}
