//! The working plan as the search sees it, and the plan that is handed out.
#![expect(
    clippy::indexing_slicing,
    reason = "visits, days and inspectors are numbered, and `refuse` has looked at them"
)]

use super::day::{Stop, Walk};
use super::fit::held_by_lock;
use super::state::{LOOSE, STRICT, Seen, State};
use super::{Plan, PlannedDay, PlannedStop, Score};
use crate::random::Random;
use crate::sisr::{Cut, Model};

impl Model for State<'_> {
    type Best = Plan;

    fn jobs(&self) -> usize {
        self.routes_of.len()
    }

    fn near(&self, job: u32) -> &[u32] {
        &self.near[job as usize]
    }

    fn route_of(&self, job: u32) -> Option<u32> {
        self.routes_of[job as usize][0]
    }

    fn routes(&self) -> usize {
        self.routes.len()
    }

    fn length(&self, route: u32) -> usize {
        self.routes[route as usize].stops.len()
    }

    fn mean_length(&self) -> f64 {
        self.totals.stops.max(1) as f64 / self.totals.used.max(1) as f64
    }

    fn position(&self, route: u32, job: u32) -> usize {
        self.routes[route as usize].stops.iter().position(|stop| stop.visit == job).unwrap_or(0)
    }

    fn cut(&mut self, route: u32, string: Cut) {
        let stops = &self.routes[route as usize].stops;
        let gone = |at: usize| {
            (string.from..string.to).contains(&at) && !(string.keep_from..string.keep_to).contains(&at)
        };
        let free = |visit: &u32| held_by_lock(&self.problem.visits[*visit as usize]).is_none();
        let visits: Vec<u32> = stops
            .iter()
            .enumerate()
            .filter(|(at, _)| gone(*at))
            .map(|(_, stop)| stop.visit)
            .filter(free)
            .collect();
        for visit in visits {
            for number in self.leave(visit).into_iter().flatten().filter(|number| *number != route) {
                self.settle(number);
            }
        }
        self.settle(route);
    }

    fn absent(&self, jobs: &mut Vec<u32>) {
        jobs.extend_from_slice(&self.absent);
    }

    fn orders(&self) -> &[(u32, Vec<u32>)] {
        &self.orders
    }

    fn insert(&mut self, job: u32, random: &mut Random) {
        if self.problem.visits[job as usize].people == 2 {
            self.insert_two(job, random);
        } else {
            self.insert_one(job, random);
        }
    }

    fn cost(&self) -> i64 {
        self.totals.energy(&self.weights)
    }

    fn keep(&mut self) {
        for (number, route) in self.before.drain(..) {
            self.routes[number as usize].touched = false;
            self.spare.push(route);
        }
        self.recount();
        self.kept.0 = self.totals;
        self.kept.1.clone_from(&self.absent);
    }

    fn take_back(&mut self) {
        let mut before = std::mem::take(&mut self.before);
        for (number, mut route) in before.drain(..) {
            std::mem::swap(&mut self.routes[number as usize], &mut route);
            let back = self.routes[number as usize].part;
            self.account(number, route.part, back);
            self.spare.push(route);
        }
        self.before = before;
        self.totals = self.kept.0;
        self.absent.clone_from(&self.kept.1);
        self.rejoin();
    }

    fn improve(&mut self) -> bool {
        let score = self.totals.score;
        if self.best.as_ref().is_some_and(|(best, _)| *best <= score) {
            return false;
        }
        let mut stops = self.best.take().map_or_else(Vec::new, |(_, stops)| stops);
        stops.resize_with(self.routes.len(), Vec::new);
        for (best, route) in stops.iter_mut().zip(&self.routes) {
            best.clone_from(&route.stops);
        }
        self.best = Some((score, stops));
        true
    }

    fn return_to_best(&mut self) {
        if let Some((score, stops)) = self.best.take() {
            self.lay(&stops);
            self.keep();
            self.best = Some((score, stops));
        }
    }

    fn round(&mut self, number: u32, rounds: u32) {
        self.weights = if number + 1 >= rounds { STRICT } else { LOOSE };
        // What is remembered of places was weighed otherwise.
        self.seen.fill(Seen { version: u64::MAX, place: None });
    }

    fn into_best(mut self) -> Plan {
        self.weights = STRICT;
        // A last look without blinks, so that nothing is left out that would fit as it is.
        self.return_to_best();
        self.blink = 0;
        let mut random = Random::new(0);
        loop {
            let left = self.absent.clone();
            for visit in &left {
                self.insert(*visit, &mut random);
            }
            if self.absent.len() == left.len() {
                break;
            }
        }
        let stops: Vec<Vec<Stop>> = self.routes.iter().map(|route| route.stops.clone()).collect();
        self.planned(&stops, self.totals.score)
    }
}

impl State<'_> {
    /// Instants and breaks of a plan.
    fn planned(&self, stops: &[Vec<Stop>], score: Score) -> Plan {
        let mut days = Vec::new();
        let mut served = vec![false; self.problem.visits.len()];
        for ((number, day), stops) in (0..).zip(&self.problem.days).zip(stops) {
            let mut walk = Walk::morning(day);
            let mut planned = PlannedDay {
                day: number,
                leaves_at: day.starts_at,
                stops: Vec::with_capacity(stops.len()),
                breaks_at: Vec::new(),
                returns_at: day.starts_at,
            };
            for stop in stops {
                let visit = &self.problem.visits[stop.visit as usize];
                let Some(step) = walk.visit(self.problem, day, visit, stop.held_at) else { continue };
                walk = step.walk;
                planned.stops.push(PlannedStop { visit: stop.visit, starts_at: step.starts_at });
                planned.breaks_at.splice(0..0, step.rested_at);
                planned.breaks_at.extend(step.break_at);
                served[stop.visit as usize] = true;
            }
            let Some(back) = walk.back(self.problem, day).filter(|_| !planned.stops.is_empty()) else {
                continue;
            };
            planned.leaves_at = back.left_at;
            planned.returns_at = back.returns_at;
            planned.breaks_at.splice(0..0, back.rested_at);
            planned.breaks_at.extend(back.break_at);
            days.push(planned);
        }
        let unplanned = (0..).zip(&served).filter(|(_, served)| !**served).map(|(visit, _)| visit).collect();
        Plan { days, unplanned, score }
    }
}
