//! The working plan: each inspector's day a route, with a way back.
#![expect(
    clippy::indexing_slicing,
    reason = "the inner loop of the search; visits, days and inspectors are numbered, and `refuse` has looked at them"
)]

use super::day::{Stop, Walk};
use super::fit::{held_by_lock, possible};
use super::{Plan, Problem, Score, disruption, late_hours};
use crate::random::Random;
use crate::sisr::Model;

/// What the parts of a score weigh while searching. The best plan is chosen by the score itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights {
    pub(super) risk: i64,
    pub(super) late_hour: i64,
    pub(super) disruption: i64,
    pub(super) travel_min: i64,
    /// Squares of minutes for one unit.
    pub(super) spread_share: i64,
}

/// Near to each other, so that the search may give up a visit for a while to find room for two others.
pub(super) const LOOSE: Weights =
    Weights { risk: 100, late_hour: 100, disruption: 1_000, travel_min: 10, spread_share: 20_000 };
/// So far apart that the search prefers what the score prefers.
pub(super) const STRICT: Weights = Weights {
    risk: 10_000_000_000,
    late_hour: 10_000_000,
    disruption: 100_000,
    travel_min: 100,
    spread_share: 2_000,
};

/// Of 65,536: how often a place is not looked at while searching.
pub(super) const BLINK: u64 = 655;
/// How many neighbours are known of a visit.
const NEAR: usize = 256;
/// The most places that are remembered.
const MOST_SEEN: usize = 6_000_000;

/// What a day costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    pub(super) late_hours: i64,
    pub(super) disruption: i64,
    pub(super) travel_min: i64,
    pub(super) busy_min: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) stops: Vec<Stop>,
    /// How far the day is before each stop, and after the last.
    pub(super) walks: Vec<Walk>,
    pub(super) part: Part,
    pub(super) touched: bool,
    pub(super) version: u64,
}

/// The best place of a visit in a route of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) more: i64,
    pub(super) at: u16,
    pub(super) held: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) place: Option<Place>,
}

pub(super) struct State<'a> {
    pub(super) problem: &'a Problem,
    pub(super) near: Vec<Vec<u32>>,
    pub(super) orders: Vec<(u32, Vec<u32>)>,
    /// The days on which each visit is possible.
    pub(super) possible: Vec<Vec<u32>>,
    pub(super) routes: Vec<Route>,
    /// The one or two routes of each visit.
    pub(super) routes_of: Vec<[Option<u32>; 2]>,
    pub(super) absent: Vec<u32>,
    pub(super) totals: Totals,
    pub(super) busy: Vec<i64>,
    pub(super) seen: Vec<Seen>,
    pub(super) versions: u64,
    pub(super) before: Vec<(u32, Route)>,
    pub(super) spare: Vec<Route>,
    pub(super) kept: (Totals, Vec<u32>),
    pub(super) best: Option<(Score, Vec<Vec<Stop>>)>,
    /// Of 65,536: how often a place that would be taken is not looked at.
    pub(super) blink: u64,
    pub(super) weights: Weights,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) score: Score,
    pub(super) used: usize,
    pub(super) stops: usize,
}

impl Totals {
    pub(super) fn energy(&self, weights: &Weights) -> i64 {
        let Score { unserved_risk, late_hours, disruption, travel_min, spread } = self.score;
        unserved_risk * weights.risk
            + late_hours * weights.late_hour
            + disruption * weights.disruption
            + travel_min * weights.travel_min
            + spread / weights.spread_share
    }
}

/// The order in which things are inserted, as ranks.
fn order(count: usize, weight: u32, key: &dyn Fn(usize) -> i64) -> (u32, Vec<u32>) {
    let mut jobs: Vec<usize> = (0..count).collect();
    jobs.sort_by_key(|&job| (key(job), job));
    let mut ranks = vec![0; count];
    for (rank, job) in (0..).zip(jobs) {
        ranks[job] = rank;
    }
    (weight, ranks)
}

impl<'a> State<'a> {
    pub(super) fn new(problem: &'a Problem, from: Option<&Plan>) -> Self {
        let visits = &problem.visits;
        let count = visits.len();
        let near = (0..count)
            .map(|visit| {
                let way =
                    |other: u32| problem.ways.minutes(visits[visit].place, visits[other as usize].place);
                let mut others: Vec<u32> = (0..count as u32).collect();
                let by = |other: &u32| (*other as usize != visit, way(*other), *other);
                if others.len() > NEAR {
                    others.select_nth_unstable_by_key(NEAR - 1, by);
                    others.truncate(NEAR);
                }
                others.sort_unstable_by_key(by);
                others
            })
            .collect();
        let possible: Vec<Vec<u32>> = (0..)
            .zip(visits)
            .map(|(own, visit)| {
                let days = (0..).zip(&problem.days);
                days.filter(|(_, day)| possible(problem, own, visit, day)).map(|(number, _)| number).collect()
            })
            .collect();
        let open =
            |visit: usize| visits[visit].windows.iter().map(|(from, to)| i64::from(to - from)).sum::<i64>();
        let orders = vec![
            order(count, 4, &|visit| -visits[visit].risk),
            order(count, 3, &|visit| possible[visit].len() as i64),
            order(count, 2, &|visit| visits[visit].due_at.map_or(i64::MAX, i64::from)),
            order(count, 2, &|visit| -i64::from(visits[visit].duration_min)),
            order(count, 2, &|visit| open(visit)),
            order(count, 4, &|visit| {
                let it = &visits[visit];
                -it.announced.as_ref().map_or(i64::from(it.people), |told| 10 + told.weight)
            }),
        ];
        let route = |day| Route {
            stops: Vec::new(),
            walks: vec![Walk::morning(day)],
            part: Part::default(),
            touched: false,
            version: 0,
        };
        let seen = if count.saturating_mul(problem.days.len()) <= MOST_SEEN {
            count * problem.days.len()
        } else {
            0
        };
        let risk = visits.iter().map(|visit| visit.risk).sum();
        let mut state = Self {
            problem,
            near,
            orders,
            possible,
            routes: problem.days.iter().map(route).collect(),
            routes_of: vec![[None; 2]; count],
            absent: (0..count as u32).collect(),
            totals: Totals { score: Score { unserved_risk: risk, ..Score::default() }, used: 0, stops: 0 },
            busy: vec![0; problem.inspectors.len()],
            seen: vec![Seen { version: u64::MAX, place: None }; seen],
            versions: 0,
            before: Vec::new(),
            spare: Vec::new(),
            kept: (Totals::default(), Vec::new()),
            best: None,
            blink: BLINK,
            weights: STRICT,
        };
        if let Some(plan) = from {
            state.follow(plan);
        }
        state.enter_locked();
        state.keep();
        state
    }

    /// What is locked goes in first, and is never cut out.
    fn enter_locked(&mut self) {
        let blink = std::mem::take(&mut self.blink);
        let mut random = Random::new(0);
        for visit in self.absent.clone() {
            if held_by_lock(&self.problem.visits[visit as usize]).is_some() {
                self.insert(visit, &mut random);
            }
        }
        self.blink = blink;
    }

    /// Takes over what still fits of a plan. What was announced, and meetings, are held at their instants.
    fn follow(&mut self, plan: &Plan) {
        let mut stops: Vec<Vec<Stop>> = vec![Vec::new(); self.routes.len()];
        for day in plan.days.iter().filter(|day| (day.day as usize) < self.routes.len()) {
            for stop in day.stops.iter().filter(|stop| (stop.visit as usize) < self.problem.visits.len()) {
                let visit = &self.problem.visits[stop.visit as usize];
                let told = visit.announced.as_ref().is_some_and(|told| told.starts_at == stop.starts_at);
                let holds = visit.people == 2 || told;
                if self.possible[stop.visit as usize].contains(&day.day) {
                    stops[day.day as usize]
                        .push(Stop { visit: stop.visit, held_at: holds.then_some(stop.starts_at) });
                }
            }
        }
        self.lay(&stops);
    }

    /// Makes every route anew from its stops, and leaves out what does not fit.
    pub(super) fn lay(&mut self, stops: &[Vec<Stop>]) {
        for number in 0..self.routes.len() as u32 {
            self.touch(number);
            self.routes[number as usize].stops.clear();
        }
        for visit in 0..self.routes_of.len() as u32 {
            if self.routes_of[visit as usize][0].is_some() {
                self.routes_of[visit as usize] = [None; 2];
                self.absent.push(visit);
                self.totals.score.unserved_risk += self.problem.visits[visit as usize].risk;
            }
        }
        for (number, stops) in (0..).zip(stops) {
            for stop in stops {
                self.routes[number as usize].stops.push(*stop);
                self.enter(stop.visit, number);
            }
        }
        // A meeting of one is none.
        for visit in 0..self.routes_of.len() as u32 {
            let there = self.routes_of[visit as usize].iter().flatten().count();
            if there > 0 && there < usize::from(self.problem.visits[visit as usize].people) {
                self.leave(visit);
            }
        }
        for number in 0..self.routes.len() as u32 {
            self.settle(number);
        }
    }

    /// Keeps a copy of a route that is about to change.
    pub(super) fn touch(&mut self, number: u32) {
        let route = &mut self.routes[number as usize];
        if !route.touched {
            let copy = match self.spare.pop() {
                Some(mut spare) => {
                    spare.clone_from(route);
                    spare
                }
                None => route.clone(),
            };
            self.versions += 1;
            route.touched = true;
            route.version = self.versions;
            self.before.push((number, copy));
        } else {
            self.versions += 1;
            route.version = self.versions;
        }
    }

    /// Notes that a visit is in a route.
    pub(super) fn enter(&mut self, visit: u32, number: u32) {
        let routes = &mut self.routes_of[visit as usize];
        if routes[0].is_none() {
            routes[0] = Some(number);
            self.totals.score.unserved_risk -= self.problem.visits[visit as usize].risk;
            if let Some(index) = self.absent.iter().position(|absent| *absent == visit) {
                self.absent.swap_remove(index);
            }
        } else {
            routes[1] = Some(number);
        }
    }

    /// Takes a visit out of its routes, and gives those whose day has to be walked anew.
    pub(super) fn leave(&mut self, visit: u32) -> [Option<u32>; 2] {
        let routes = std::mem::take(&mut self.routes_of[visit as usize]);
        if routes[0].is_none() {
            return routes;
        }
        for number in routes.into_iter().flatten() {
            self.touch(number);
            self.routes[number as usize].stops.retain(|stop| stop.visit != visit);
        }
        self.absent.push(visit);
        self.totals.score.unserved_risk += self.problem.visits[visit as usize].risk;
        routes
    }

    /// Walks a day anew. What does not fit any more, because a way became longer, is left out.
    pub(super) fn settle(&mut self, number: u32) {
        let mut pending = vec![number];
        while let Some(number) = pending.pop() {
            if let Err(visit) = self.walk(number) {
                let routes = self.leave(visit);
                pending.extend(routes.into_iter().flatten());
            }
        }
    }

    /// Walks a day; gives the visit at which it does not go on.
    pub(super) fn walk(&mut self, number: u32) -> Result<(), u32> {
        let problem = self.problem;
        let day = &problem.days[number as usize];
        let inspector = day.inspector;
        let route = &mut self.routes[number as usize];
        route.walks.clear();
        let mut walk = Walk::morning(day);
        route.walks.push(walk);
        let mut part = Part::default();
        let mut place = day.from;
        for stop in &route.stops {
            let visit = &problem.visits[stop.visit as usize];
            let step = walk.visit(problem, day, visit, stop.held_at).ok_or(stop.visit)?;
            part.late_hours += late_hours(visit, step.starts_at);
            part.disruption += disruption(visit, inspector, step.starts_at);
            part.travel_min += i64::from(problem.ways.minutes(place, visit.place));
            part.busy_min += i64::from(visit.duration_min);
            place = visit.place;
            walk = step.walk;
            route.walks.push(walk);
        }
        if let Some(last) = route.stops.last() {
            walk.back(problem, day).ok_or(last.visit)?;
            part.travel_min += i64::from(problem.ways.minutes(place, day.to));
        }
        part.busy_min += part.travel_min;
        let old = std::mem::replace(&mut route.part, part);
        self.account(number, old, part);
        Ok(())
    }

    /// Brings totals up to date after a day changed.
    pub(super) fn account(&mut self, number: u32, old: Part, new: Part) {
        let score = &mut self.totals.score;
        score.late_hours += new.late_hours - old.late_hours;
        score.disruption += new.disruption - old.disruption;
        score.travel_min += new.travel_min - old.travel_min;
        let busy = &mut self.busy[self.problem.days[number as usize].inspector as usize];
        score.spread -= *busy * *busy;
        *busy += new.busy_min - old.busy_min;
        score.spread += *busy * *busy;
    }

    pub(super) fn recount(&mut self) {
        self.totals.used = self.routes.iter().filter(|route| !route.stops.is_empty()).count();
        self.totals.stops = self.routes.iter().map(|route| route.stops.len()).sum();
    }

    /// Notes anew which routes each visit is in.
    pub(super) fn rejoin(&mut self) {
        for routes in &mut self.routes_of {
            *routes = [None; 2];
        }
        for (number, route) in (0..).zip(&self.routes) {
            for stop in &route.stops {
                let routes = &mut self.routes_of[stop.visit as usize];
                if routes[0].is_none() {
                    routes[0] = Some(number);
                } else {
                    routes[1] = Some(number);
                }
            }
        }
    }
}
