//! The search: a case, seeds and iterations in, an outcome out; and the same made again.
//!
//! Pure but for the stopwatch that turns seconds into iterations.

use std::time::{Duration, Instant};

use endcheck_planner::sisr::Unwatched;
use endcheck_planner::visits::{
    self, Plan, PlannedDay, PlannedStop, Problem, Refusal, Run, Score, plan_from, plan_seeds, schedule,
};
use endcheck_protocol::canonical;
use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::error::{Error, Result};

/// How much is searched, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub seed: u64,
    /// How many runs there are, with this seed and those after it.
    pub seeds: u64,
    /// Of each run.
    pub iterations: u64,
}

/// What was found: in canonical form, the same bytes for the same case and budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub days: Vec<OutcomeDay>,
    /// Tasks that are in no day.
    pub unplanned: Vec<u32>,
    pub score: OutcomeScore,
    /// The seed that found it.
    pub seed: String,
    /// How many iterations each run made.
    pub iterations_done: Vec<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeDay {
    /// Its number in the case.
    pub day: u32,
    pub leaves_at: i32,
    pub returns_at: i32,
    pub breaks_at: Vec<i32>,
    /// Tasks in order, each with its start.
    pub stops: Vec<(u32, i32)>,
}

/// What a plan costs, the weightiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OutcomeScore {
    /// The sum of the risks of what is not in the plan.
    pub unserved_risk: i64,
    /// Hours past legal deadlines.
    pub late_hours: i64,
    /// What was announced and is changed, weighed by the notice given.
    pub disruption: i64,
    /// Minutes on the way.
    pub travel_min: i64,
    /// How unevenly the work is spread.
    pub spread: i64,
}

/// Iterations that a stopwatch is held to.
const TRIAL: u64 = 256;
const MOST_ITERATIONS: f64 = 50_000_000.0;

/// How many iterations take about that long on this machine.
///
/// # Errors
/// What in the case cannot be planned with.
pub fn calibrate(case: &Case, seconds: u32) -> Result<u64> {
    let problem = case.problem().map_err(refused)?;
    let started = Instant::now();
    match case.before() {
        Some(before) => plan_from(&problem, &before, 1, &schedule(TRIAL), &mut Unwatched),
        None => visits::plan(&problem, 1, &schedule(TRIAL), &mut Unwatched),
    }
    .map_err(refused)?;
    let each = started.elapsed().max(Duration::from_micros(1)).as_secs_f64() / TRIAL as f64;
    let iterations = (f64::from(seconds) / each).clamp(TRIAL as f64, MOST_ITERATIONS);
    Ok(iterations as u64)
}

/// Searches. The watch is told how many iterations are done over all runs, and ends the search by saying `false`.
///
/// # Errors
/// What in the case cannot be planned with.
pub fn solve(case: &Case, budget: &Budget, watch: &(impl Fn(u64) -> bool + Sync)) -> Result<Outcome> {
    let runs: Vec<Run> = (0..budget.seeds).map(|more| Run::whole(budget.seed.wrapping_add(more))).collect();
    run(case, &runs, budget.iterations, watch)
}

/// Makes an outcome again: the same runs, each ended where it was then.
///
/// # Errors
/// What in the case cannot be planned with.
pub fn solve_again(case: &Case, budget: &Budget, outcome: &Outcome) -> Result<Outcome> {
    let runs: Vec<Run> = (0..budget.seeds)
        .zip(&outcome.iterations_done)
        .map(|(more, done)| Run { seed: budget.seed.wrapping_add(more), stop_after: Some(*done) })
        .collect();
    run(case, &runs, budget.iterations, &|_| true)
}

fn run(case: &Case, runs: &[Run], iterations: u64, watch: &(impl Fn(u64) -> bool + Sync)) -> Result<Outcome> {
    let problem = case.problem().map_err(refused)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let before = case.before();
    let found = plan_seeds(&problem, before.as_ref(), runs, threads, &schedule(iterations), watch)
        .map_err(refused)?;
    Ok(Outcome::of(found.plan, found.seed, found.iterations_done))
}

/// What the planner refuses, as an answer.
pub fn refused(refusal: Refusal) -> Error {
    Error::with_status(422, "cannot-be-planned", "There is nothing to plan with", format!("{refusal}."))
}

impl Outcome {
    fn of(plan: Plan, seed: u64, iterations_done: Vec<u64>) -> Self {
        let days = plan.days.into_iter().map(|day| OutcomeDay {
            day: day.day,
            leaves_at: day.leaves_at,
            returns_at: day.returns_at,
            breaks_at: day.breaks_at,
            stops: day.stops.into_iter().map(|stop| (stop.visit, stop.starts_at)).collect(),
        });
        let Score { unserved_risk, late_hours, disruption, travel_min, spread } = plan.score;
        Self {
            days: days.collect(),
            unplanned: plan.unplanned,
            score: OutcomeScore { unserved_risk, late_hours, disruption, travel_min, spread },
            seed: seed.to_string(),
            iterations_done,
        }
    }

    /// The planner's own plan.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let days = self.days.iter().map(|day| PlannedDay {
            day: day.day,
            leaves_at: day.leaves_at,
            stops: day
                .stops
                .iter()
                .map(|(visit, starts_at)| PlannedStop { visit: *visit, starts_at: *starts_at })
                .collect(),
            breaks_at: day.breaks_at.clone(),
            returns_at: day.returns_at,
        });
        let OutcomeScore { unserved_risk, late_hours, disruption, travel_min, spread } = self.score;
        Plan {
            days: days.collect(),
            unplanned: self.unplanned.clone(),
            score: Score { unserved_risk, late_hours, disruption, travel_min, spread },
        }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be written, which does not happen.
    pub fn document(&self) -> Result<String> {
        let bytes = canonical::write(self).map_err(|e| Error::Internal(anyhow::anyhow!("{e}")))?;
        String::from_utf8(bytes).map_err(|e| Error::Internal(e.into()))
    }

    /// Reads its bytes.
    ///
    /// # Errors
    /// When they are none of ours.
    pub fn read(document: &str) -> Result<Self> {
        serde_json::from_str(document).map_err(|e| Error::Internal(e.into()))
    }
}

/// Whether the independent checker passes an outcome.
#[must_use]
pub fn holds(problem: &Problem, outcome: &Outcome) -> bool {
    visits::check::check(problem, &outcome.plan()).is_empty()
}
