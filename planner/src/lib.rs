//! Who goes where: the planner of visits.
//!
//! Pure: no file, no clock, no database, no thread of its own accord. The same input, seed and number of iterations
//! give the same plan, byte for byte, on any machine: integers for all that is compared, and `libm` for the few
//! functions that a platform's own library would round in its own way.
//!
//! - [`sisr`]: the search, which knows neither visits nor distances.
//! - [`visits`]: inspectors, their days, visits, and plans of them.
//! - [`vrptw`]: vehicles and time windows as the literature has them, to be measured against others.

pub mod random;
pub mod sisr;
pub mod visits;
pub mod vrptw;
