//! How many items of a shipment are to be seen, and which. Pure.
//!
//! The size is exact: the smallest number of items such that, were so many of them not as declared, at least one
//! of those would be among the seen with the confidence asked for (hypergeometric, without replacement). One that is not
//! as declared ends the sample: then all are to be seen.

use endcheck_protocol::digest::Sha256;
use num_bigint::BigUint;

use super::draw::{Seed, ticket};

/// The smallest sample of `population` items that shows at least one of `defects` with a confidence of so many
/// percent. All of them where there is none to find or the confidence is 100 and more.
#[must_use]
pub fn sample_size(population: u64, defects: u64, confidence_percent: u64) -> u64 {
    if defects == 0 || confidence_percent >= 100 {
        return population;
    }
    let defects = defects.min(population);
    // With `n` seen all `defects` are missed with the chance C(population - n, defects) / C(population, defects).
    let all = product(population, defects) * (100 - confidence_percent);
    let enough = |seen: u64| product(population - seen, defects) * 100_u64 <= all;
    let (mut too_few, mut enough_at) = (0, population);
    if enough(0) {
        return 0;
    }
    while enough_at - too_few > 1 {
        let middle = too_few + (enough_at - too_few) / 2;
        if enough(middle) {
            enough_at = middle;
        } else {
            too_few = middle;
        }
    }
    enough_at
}

/// `from * (from - 1) * …`, so many factors; zero where they run out.
fn product(from: u64, factors: u64) -> BigUint {
    if factors > from {
        return BigUint::ZERO;
    }
    (from - factors + 1..=from).map(BigUint::from).product()
}

/// How many items not as declared a sample is to find: that share of them, rounded down, at least one.
#[must_use]
pub fn defects_to_find(population: u64, percent: u64) -> u64 {
    (population.saturating_mul(percent) / 100).max(1)
}

/// The items to be seen: those whose tickets come first. In the order of `items`.
#[must_use]
pub fn sample<'a>(seed: &Seed, shipment: &str, items: &'a [String], size: u64) -> Vec<&'a str> {
    let mut tickets: Vec<(Sha256, usize)> = items
        .iter()
        .enumerate()
        .map(|(place, item)| (ticket(seed, &format!("{shipment}/{item}")), place))
        .collect();
    tickets.sort_unstable();
    tickets.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let mut places: Vec<usize> = tickets.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|place| items.get(place).map(String::as_str)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sizes_are_those_of_the_tables() {
        for (population, defects, size) in
            [(200, 10, 51), (50, 5, 22), (20, 1, 19), (30, 3, 19), (1, 1, 1), (2, 1, 2), (5, 5, 1), (0, 1, 0)]
        {
            assert_eq!(sample_size(population, defects, 95), size, "{population} with {defects}");
        }
        assert_eq!(sample_size(40, 0, 95), 40);
        assert_eq!(sample_size(40, 2, 100), 40);
        assert_eq!(sample_size(40, 2, 0), 0);
        assert_eq!(sample_size(10_000, 500, 95), 59);
    }

    /// One fewer would not do, one more would.
    #[test]
    fn a_size_is_the_smallest_that_is_enough() {
        for population in 1..60_u64 {
            for defects in 1..=population {
                let size = sample_size(population, defects, 95);
                let missed = |seen: u64| -> f64 {
                    (0..defects)
                        .map(|j| (population - j) as f64)
                        .zip((0..defects).map(|j| (population as f64 - seen as f64 - j as f64).max(0.0)))
                        .map(|(all, left)| left / all)
                        .product()
                };
                assert!(missed(size) <= 0.05 + 1e-9, "{population} {defects} {size}");
                assert!(size == 0 || missed(size - 1) > 0.05 - 1e-9, "{population} {defects} {size}");
            }
        }
    }

    #[test]
    fn a_sample_depends_on_seed_shipment_and_item_alone() {
        let items: Vec<String> = (1..=20).map(|n| format!("i{n}")).collect();
        let seed = Seed([9; 32]);
        let chosen = sample(&seed, "SH-1", &items, 7);
        assert_eq!(chosen.len(), 7);
        let mut turned = items.clone();
        turned.reverse();
        let mut again = sample(&seed, "SH-1", &turned, 7);
        again.reverse();
        assert_eq!(chosen, again);
        assert_ne!(chosen, sample(&seed, "SH-2", &items, 7));
        assert_ne!(chosen, sample(&Seed([8; 32]), "SH-1", &items, 7));
        assert_eq!(sample(&seed, "SH-1", &items, 99).len(), 20);
    }
}
