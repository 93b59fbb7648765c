//! Slack induction by string removals: strings of neighbouring stops are cut out of neighbouring routes, and put back
//! greedily, with blinks; simulated annealing says what is kept (Christiaens and Vanden Berghe, Transportation
//! Science 54(2), 2020). This module holds the search alone: what a route is, and what it costs, the [`Model`] says.
//!
//! It asks no clock. A run is determined by its model, its seed and its [`Schedule`].

use crate::random::Random;

/// What can be searched: a working solution that can be ruined, recreated, kept or taken back.
pub trait Model {
    /// What the search hands back.
    type Best;

    /// How many jobs there are; they are numbered from 0.
    fn jobs(&self) -> usize;
    /// A job's neighbours, nearest first, itself at the head.
    fn near(&self, job: u32) -> &[u32];
    /// The route that a job is in.
    fn route_of(&self, job: u32) -> Option<u32>;
    /// How many routes there are; they are numbered from 0.
    fn routes(&self) -> usize;
    /// How many stops a route has.
    fn length(&self, route: u32) -> usize;
    /// The mean number of stops of the routes in use, at least 1.
    fn mean_length(&self) -> f64;
    /// Where in its route a job is, from 0.
    fn position(&self, route: u32, job: u32) -> usize;
    /// Cuts stops out of a route; their jobs are absent then.
    fn cut(&mut self, route: u32, string: Cut);
    /// Appends the jobs that are in no route.
    fn absent(&self, jobs: &mut Vec<u32>);
    /// The orders to insert in, each with its weight: a job with a smaller rank comes first.
    fn orders(&self) -> &[(u32, Vec<u32>)];
    /// Puts a job where it costs least, or leaves it out where that costs less.
    fn insert(&mut self, job: u32, random: &mut Random);
    /// What the working solution costs, in the unit of the temperature.
    fn cost(&self) -> i64;
    /// Keeps what was changed since the last `keep` or `take_back`.
    fn keep(&mut self);
    /// Undoes it.
    fn take_back(&mut self);
    /// Is the working solution better than the best one? If so, remembers it.
    fn improve(&mut self) -> bool;
    /// Goes back to the best solution.
    fn return_to_best(&mut self);
    /// Told at the start of each round; costs may be weighed in another way from here on.
    fn round(&mut self, _number: u32, _rounds: u32) {}
    /// The best solution.
    fn into_best(self) -> Self::Best;
}

/// Which stops of a route to cut out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The first position of the string.
    pub from: usize,
    /// One past its last.
    pub to: usize,
    /// The first position of what stays in the midst of it.
    pub keep_from: usize,
    /// One past the last that stays.
    pub keep_to: usize,
}

/// How the search proceeds. All of it is part of a run's identity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// How many times to ruin and recreate.
    pub iterations: u64,
    /// How often the temperature starts again from above.
    pub rounds: u32,
    /// The first temperature, in units of cost.
    pub start_temperature: f64,
    /// The last temperature.
    pub end_temperature: f64,
    /// How many jobs are removed at a time, on average.
    pub mean_removed: f64,
    /// The longest string.
    pub longest_string: f64,
    /// The longest string of half of the ruins, where that is more: what lies wrong along a long route is cut out at
    /// once.
    pub longest_string_of_half: f64,
}

/// What a run is asked between iterations.
pub trait Watch {
    /// Told from time to time how many iterations are done; `false` ends the run with the best so far.
    fn goes_on(&mut self, iterations_done: u64) -> bool;
}

/// Nobody watches: the run goes on to its end.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn goes_on(&mut self, _: u64) -> bool {
        true
    }
}

/// Between two questions to the watch.
const WATCH_EVERY: u64 = 64;
/// Of 65,536: how often strings may be the longer ones.
const LONG_CHANCE: u64 = 32_768;
/// Of 65,536: how often a string is split.
const SPLIT_CHANCE: u64 = 32_768;
/// Of 65,536: how often what stays within a split string does not grow further.
const SPLIT_STOP: u64 = 655;

/// Searches, and hands back the best that was found.
pub fn run<M: Model>(model: M, seed: u64, schedule: &Schedule, watch: &mut impl Watch) -> M::Best {
    run_until(model, seed, schedule, u64::MAX, watch).0
}

/// Searches, and hands back the best that was found and how many iterations were made: those of the schedule, or
/// `stop_after` if that is less, or fewer where the watch ended the run. To stop at a number makes what a watch makes
/// that stops there: so a run that was ended can be made again.
pub fn run_until<M: Model>(
    mut model: M,
    seed: u64,
    schedule: &Schedule,
    stop_after: u64,
    watch: &mut impl Watch,
) -> (M::Best, u64) {
    let mut random = Random::new(seed);
    let mut ruin = Ruin { absent: Vec::new(), ruined: vec![0; model.routes()], stamp: 0 };
    let rounds = schedule.rounds.max(1);
    model.round(0, rounds);
    // What is absent at first, mostly everything, is put in by the first recreation.
    recreate(&mut model, &mut ruin, &mut random);
    model.keep();
    model.improve();
    let mut current = model.cost();
    let per_round = (schedule.iterations / u64::from(rounds)).max(1);
    let ratio = schedule.end_temperature / schedule.start_temperature;
    let cooling = libm::pow(ratio, 1.0 / per_round as f64);
    let mut temperature = schedule.start_temperature;
    let until = if model.jobs() == 0 { 0 } else { schedule.iterations.min(stop_after) };
    let mut done = 0;
    while done < until {
        if done % WATCH_EVERY == 0 && !watch.goes_on(done) {
            break;
        }
        if done > 0 && done % per_round == 0 {
            model.round((done / per_round) as u32, rounds);
            model.return_to_best();
            current = model.cost();
            temperature = schedule.start_temperature;
        }
        ruin_once(&mut model, &mut ruin, schedule, &mut random);
        recreate(&mut model, &mut ruin, &mut random);
        let cost = model.cost();
        // The same cost is the same solution, nearly always; to take it back keeps what is known of its routes.
        if cost != current && (cost < current || cost < current + heat(temperature, &mut random)) {
            model.keep();
            current = cost;
            model.improve();
        } else {
            model.take_back();
        }
        temperature *= cooling;
        done += 1;
    }
    (model.into_best(), done)
}

/// How much worse is still taken at a temperature.
fn heat(temperature: f64, random: &mut Random) -> i64 {
    (-temperature * libm::log(1.0 - random.unit())) as i64
}

/// What a ruin needs from one iteration to the next.
struct Ruin {
    absent: Vec<u32>,
    ruined: Vec<u64>,
    stamp: u64,
}

/// Cuts strings out of routes around a random job.
#[expect(clippy::indexing_slicing, reason = "`ruined` has an entry for each route of the model")]
fn ruin_once<M: Model>(model: &mut M, ruin: &mut Ruin, schedule: &Schedule, random: &mut Random) {
    ruin.stamp += 1;
    let mean_length = model.mean_length();
    let long = schedule.longest_string_of_half > schedule.longest_string && random.chance(LONG_CHANCE);
    let longest = if long { schedule.longest_string_of_half } else { schedule.longest_string };
    let longest = longest.min(mean_length);
    let most_strings = 4.0 * schedule.mean_removed / (1.0 + longest) - 1.0;
    let strings = (random.unit() * most_strings + 1.0) as usize;
    let seed = random.below(model.jobs()) as u32;
    let mut done = 0;
    for at in 0..model.near(seed).len() {
        if done == strings {
            break;
        }
        let Some(&job) = model.near(seed).get(at) else { break };
        let Some(route) = model.route_of(job) else { continue };
        if ruin.ruined[route as usize] == ruin.stamp {
            continue;
        }
        ruin.ruined[route as usize] = ruin.stamp;
        done += 1;
        let length = model.length(route);
        let longest_here = longest.min(length as f64);
        let count = (random.unit() * longest_here + 1.0) as usize;
        let position = model.position(route, job);
        let string = string(position, count.min(length).max(1), length, random);
        model.cut(route, string);
    }
}

/// A string of `count` stops that has the stop at `position` in it, whole or split.
fn string(position: usize, count: usize, length: usize, random: &mut Random) -> Cut {
    let mut kept = 0;
    if count > 1 && count < length && random.chance(SPLIT_CHANCE) {
        kept = 1;
        while count + kept < length && !random.chance(SPLIT_STOP) {
            kept += 1;
        }
    }
    let span = count + kept;
    let least = (position + 1).saturating_sub(span);
    let most = position.min(length - span);
    let from = least + random.below(most - least + 1);
    let to = from + span;
    if kept == 0 {
        return Cut { from, to, keep_from: to, keep_to: to };
    }
    // Any place within the string, its ends left to be cut.
    let keep_from = from + 1 + random.below(span - kept - 1);
    Cut { from, to, keep_from, keep_to: keep_from + kept }
}

/// Puts back what was cut, in one of the model's orders or at random.
fn recreate<M: Model>(model: &mut M, ruin: &mut Ruin, random: &mut Random) {
    let mut jobs = std::mem::take(&mut ruin.absent);
    jobs.clear();
    model.absent(&mut jobs);
    let orders = model.orders();
    let random_weight = orders.first().map_or(1, |(weight, _)| *weight);
    let total: u32 = random_weight + orders.iter().map(|(weight, _)| weight).sum::<u32>();
    let mut pick = random.below(total as usize) as u32;
    let mut chosen = None;
    for (weight, ranks) in orders {
        if pick < *weight {
            chosen = Some(ranks);
            break;
        }
        pick -= weight;
    }
    match chosen {
        Some(ranks) => jobs.sort_unstable_by_key(|job| ranks.get(*job as usize).copied()),
        None => random.shuffle(&mut jobs),
    }
    for &job in &jobs {
        model.insert(job, random);
    }
    ruin.absent = jobs;
}

#[cfg(test)]
mod tests {
    use super::{Cut, string};
    use crate::random::Random;

    #[test]
    fn a_string_holds_its_stop_or_keeps_it_and_never_leaves_the_route() {
        let mut random = Random::new(3);
        for _ in 0..100_000 {
            let length = 1 + random.below(12);
            let position = random.below(length);
            let count = 1 + random.below(length);
            let Cut { from, to, keep_from, keep_to } = string(position, count, length, &mut random);
            assert!(from <= position && position < to && to <= length);
            assert!(from <= keep_from && keep_from <= keep_to && keep_to <= to);
            assert_eq!(to - from - (keep_to - keep_from), count);
        }
    }
}
