//! Chance that can be repeated.

/// Names the variable that repeats a run.
pub const SEED_VARIABLE: &str = "ENDCHECK_TEST_SEED";

/// A generator for one test, seeded anew each time unless [`SEED_VARIABLE`] says otherwise. The seed
/// is printed, and test runners show it when the test fails.
#[must_use]
pub fn generator(test: &str) -> fastrand::Rng {
    let seed = number_from(SEED_VARIABLE).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("{test}: repeat with {SEED_VARIABLE}={seed}");
    fastrand::Rng::with_seed(seed)
}

/// How often a fault test strikes: few times in `make test`, many in `make drill`, which sets
/// `ENDCHECK_DRILL_KILLS`.
#[must_use]
pub fn strikes(few: u64) -> u64 {
    number_from("ENDCHECK_DRILL_KILLS").unwrap_or(few)
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a whole number")))
}
