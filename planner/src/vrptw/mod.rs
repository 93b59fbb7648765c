//! Vehicle routing with time windows, one depot, like vehicles, the sum of distances as cost: the model that the
//! literature's instances are in, and the bare form of what the search does for visits.
//!
//! Distances are whole numbers of [`UNITS_PER_DISTANCE`], rounded up, so that whatever is in time here is in time
//! when it is computed exactly.

pub mod check;
pub mod read;
mod state;

use crate::sisr::{Schedule, Watch, run};
pub use read::{Instance, ReadError, read};
use state::State;

/// How many units of cost and time one unit of the instance's distance has.
pub const UNITS_PER_DISTANCE: f64 = 10_000.0;

/// The routes that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The customers of each route that is used, by their numbers in the instance.
    pub routes: Vec<Vec<u32>>,
    /// Customers that are in no route: there are some only where no way was found to serve all.
    pub unserved: Vec<u32>,
}

/// The schedule that the figures in `docs/figures.md` were measured with.
#[must_use]
pub fn schedule(iterations: u64) -> Schedule {
    Schedule {
        iterations,
        rounds: 1,
        start_temperature: 100.0 * UNITS_PER_DISTANCE,
        end_temperature: 0.5 * UNITS_PER_DISTANCE,
        mean_removed: 10.0,
        longest_string: 10.0,
        longest_string_of_half: 30.0,
    }
}

/// Searches for short routes. The result depends on the instance, the seed and the schedule alone.
pub fn solve(instance: &Instance, seed: u64, schedule: &Schedule, watch: &mut impl Watch) -> Solution {
    run(State::new(instance), seed, schedule, watch)
}
