//! Several runs of one problem on several threads, watched together, and the best plan of them. Neither the number of
//! threads nor which of them is ahead has a say in the plan: only how many iterations each run makes has, and that is
//! told, so that what was cancelled can be made again.

use super::state::State;
use super::{Plan, Problem, Refusal, refuse, starting_from_a_plan};
use crate::sisr::{Schedule, Watch, run_until};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// One of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// Ends it after as many iterations, of the same schedule: to make again what was cancelled there.
    pub stop_after: Option<u64>,
}

impl Run {
    /// A run to the end of the schedule.
    #[must_use]
    pub fn whole(seed: u64) -> Self {
        Self { seed, stop_after: None }
    }
}

/// What several runs found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The best plan, of equals that of the first run.
    pub plan: Plan,
    /// The seed that found it.
    pub seed: u64,
    /// How many iterations each run made, in the order of the runs.
    pub iterations_done: Vec<u64>,
}

/// Makes as many runs on as many threads, and gives the best plan. With `before` each run starts from that plan, as in
/// [`plan_from`](super::plan_from).
///
/// The watch is told from time to time how many iterations are done over all runs, by any of the threads; once it
/// says `false`, every run ends with its best so far, and those that have not begun are not made. The same problem,
/// `before`, schedule, and runs that each [stop after](Run::stop_after) what [`Found::iterations_done`] tells make the
/// same plan again, on any number of threads.
///
/// # Errors
///
/// What in the problem cannot be planned with, by name; or that there are no runs.
pub fn plan_seeds(
    problem: &Problem,
    before: Option<&Plan>,
    runs: &[Run],
    threads: usize,
    schedule: &Schedule,
    watch: &(impl Fn(u64) -> bool + Sync),
) -> Result<Found, Refusal> {
    refuse(problem)?;
    let first = runs.first().ok_or(Refusal::NoSeeds)?;
    let schedule = before.map_or(*schedule, |_| starting_from_a_plan(schedule));
    let make = |run: &Run, stop_after: u64, watch: &mut _| {
        run_until(State::new(problem, before), run.seed, &schedule, stop_after, watch)
    };
    let (next, done, cancelled) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let made: Mutex<Vec<(Option<Plan>, u64)>> = Mutex::new(vec![(None, 0); runs.len()]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(run) = runs.get(number) else { break };
            let stop_after = run.stop_after.unwrap_or(u64::MAX);
            let mut shared = Shared { told: 0, done: &done, cancelled: &cancelled, watch };
            if stop_after == 0 || cancelled.load(Ordering::Relaxed) {
                continue;
            }
            let (plan, iterations) = make(run, stop_after, &mut shared);
            shared.goes_on(iterations);
            // A run that was ended before it began is as one that was not made: its first plan does not count.
            let mut made = made.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(made) = made.get_mut(number) {
                *made = ((iterations > 0).then_some(plan), iterations);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(runs.len()) {
            scope.spawn(work);
        }
        work();
    });
    let made = made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let iterations_done = made.iter().map(|(_, iterations)| *iterations).collect();
    // `min_by_key` gives the first of equals.
    let plans = runs.iter().zip(made).filter_map(|(run, (plan, _))| Some((plan?, run.seed)));
    let (plan, seed) = plans.min_by_key(|(plan, _)| plan.score).unwrap_or_else(|| {
        // Cancelled at once: what can be had without an iteration.
        let (plan, _) = make(first, 0, &mut Shared { told: 0, done: &done, cancelled: &cancelled, watch });
        (plan, first.seed)
    });
    Ok(Found { plan, seed, iterations_done })
}

/// Makes a plan for each seed on as many threads, and gives the best; of equals the first. The number of threads has
/// no influence on the result.
///
/// # Errors
///
/// What in the problem cannot be planned with, by name.
pub fn plan_best_of(
    problem: &Problem,
    seeds: &[u64],
    threads: usize,
    schedule: &Schedule,
) -> Result<Option<Plan>, Refusal> {
    let runs: Vec<Run> = seeds.iter().copied().map(Run::whole).collect();
    match plan_seeds(problem, None, &runs, threads, schedule, &|_| true) {
        Ok(found) => Ok(Some(found.plan)),
        Err(Refusal::NoSeeds) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// What a run of several is asked between iterations.
struct Shared<'a, W> {
    /// How many of its own iterations it has added to `done`.
    told: u64,
    done: &'a AtomicU64,
    cancelled: &'a AtomicBool,
    watch: &'a W,
}

impl<W: Fn(u64) -> bool> Watch for Shared<'_, W> {
    fn goes_on(&mut self, iterations_done: u64) -> bool {
        let more = iterations_done - self.told;
        self.told = iterations_done;
        let all = self.done.fetch_add(more, Ordering::Relaxed) + more;
        if !self.cancelled.load(Ordering::Relaxed) && !(self.watch)(all) {
            self.cancelled.store(true, Ordering::Relaxed);
        }
        !self.cancelled.load(Ordering::Relaxed)
    }
}
