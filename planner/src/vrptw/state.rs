//! The working solution: routes with what is needed to judge an insertion in constant time, and a way back.
#![expect(
    clippy::indexing_slicing,
    reason = "the inner loop of the search; nodes and routes are numbered by this module, and a route always holds \
              the depot at both ends"
)]

use super::{Instance, Solution};
use crate::random::Random;
use crate::sisr::{Cut, Model};

/// In no route.
const NOWHERE: u32 = u32::MAX;
/// Of 65,536: how often a place that would be taken is not looked at.
const BLINK: u64 = 655;
/// What a customer in no route costs, in units: more than any detour.
const UNSERVED: i64 = 1 << 40;

/// One stop of a route.
#[derive(Debug, Clone, Copy)]
struct Stop {
    node: u32,
    /// When the vehicle leaves at the earliest.
    departs: i32,
    /// When service may start at the latest for all that follows to be in time.
    latest: i32,
    /// The way to the next stop.
    leg: i32,
}

/// A route, the depot at both ends.
#[derive(Debug, Clone)]
struct Route {
    stops: Vec<Stop>,
    load: i64,
    length: i64,
    /// Changed since the last `keep` or `take_back`.
    touched: bool,
    /// No two contents of a route have the same.
    version: u64,
}

/// The best place for a customer in a route of a version.
#[derive(Debug, Clone, Copy)]
struct Seen {
    version: u64,
    place: Place,
}

pub(super) struct State<'a> {
    instance: &'a Instance,
    near: Vec<Vec<u32>>,
    orders: Vec<(u32, Vec<u32>)>,
    routes: Vec<Route>,
    /// No route from here on is in use.
    span: usize,
    route_of: Vec<u32>,
    absent: Vec<u32>,
    /// By customer, then by route: most routes are as they were when the customer was last inserted.
    seen: Vec<Seen>,
    versions: u64,
    cost: i64,
    /// The state before the last change: cost, and the routes that were touched.
    kept_cost: i64,
    kept_absent: Vec<u32>,
    before: Vec<(usize, Route)>,
    spare: Vec<Route>,
    best_cost: i64,
    best: Vec<Vec<u32>>,
}

impl<'a> State<'a> {
    pub(super) fn new(instance: &'a Instance) -> Self {
        let nodes = instance.nodes() as u32;
        let distance = |from: u32, to: u32| instance.distance[(from * nodes + to) as usize];
        let near = (1..nodes)
            .map(|node| {
                let mut others: Vec<u32> = (1..nodes).collect();
                others.sort_by_key(|&other| (other != node, distance(node, other), other));
                others.iter().map(|other| other - 1).collect()
            })
            .collect();
        let span = |node: usize| instance.due[node] - instance.ready[node];
        let order = |weight: u32, key: &dyn Fn(usize) -> i64| {
            let mut jobs: Vec<u32> = (0..nodes - 1).collect();
            jobs.sort_by_key(|&job| (key(job as usize + 1), job));
            let mut ranks = vec![0; jobs.len()];
            for (rank, job) in (0..).zip(&jobs) {
                ranks[*job as usize] = rank;
            }
            (weight, ranks)
        };
        let orders = vec![
            order(4, &|node| -instance.demand[node]),
            order(2, &|node| -i64::from(instance.distance[node])),
            order(1, &|node| i64::from(instance.distance[node])),
            order(2, &|node| i64::from(span(node))),
            order(2, &|node| i64::from(instance.ready[node])),
            order(2, &|node| -i64::from(instance.due[node])),
        ];
        let depot = |departs, latest| Stop { node: 0, departs, latest, leg: 0 };
        let empty = Route {
            stops: vec![depot(instance.ready[0], instance.due[0]), depot(instance.due[0], instance.due[0])],
            load: 0,
            length: 0,
            touched: false,
            version: 0,
        };
        let never = Seen { version: u64::MAX, place: Place::NONE };
        let absent: Vec<u32> = (0..nodes - 1).collect();
        let cost = UNSERVED * i64::from(nodes - 1);
        Self {
            instance,
            near,
            orders,
            routes: vec![empty; instance.vehicles],
            span: 0,
            route_of: vec![NOWHERE; absent.len()],
            seen: vec![never; absent.len() * instance.vehicles],
            versions: 0,
            cost,
            kept_cost: cost,
            kept_absent: absent.clone(),
            absent,
            before: Vec::new(),
            spare: Vec::new(),
            best_cost: i64::MAX,
            best: Vec::new(),
        }
    }

    /// Keeps a copy of a route that is about to change.
    fn touch(&mut self, route: usize) {
        if !self.routes[route].touched {
            let copy = match self.spare.pop() {
                Some(mut spare) => {
                    spare.clone_from(&self.routes[route]);
                    spare
                }
                None => self.routes[route].clone(),
            };
            self.versions += 1;
            self.routes[route].touched = true;
            self.routes[route].version = self.versions;
            self.before.push((route, copy));
        }
    }

    /// Brings times and ways up to date after a change between two positions.
    fn refresh(&mut self, route: usize, from: usize, to: usize) {
        let nodes = self.instance.nodes();
        let Route { stops, .. } = &mut self.routes[route];
        let distance = |from: u32, to: u32| self.instance.distance[from as usize * nodes + to as usize];
        for at in from..stops.len() - 1 {
            let leg = distance(stops[at].node, stops[at + 1].node);
            stops[at].leg = leg;
            let node = stops[at + 1].node as usize;
            let starts = (stops[at].departs + leg).max(self.instance.ready[node]);
            let departs = starts + self.instance.service[node];
            if at >= to && stops[at + 1].departs == departs {
                break;
            }
            stops[at + 1].departs = departs;
        }
        for at in (0..=to).rev() {
            let node = stops[at].node as usize;
            let next = stops[at + 1];
            let latest =
                (next.latest - stops[at].leg - self.instance.service[node]).min(self.instance.due[node]);
            if at < from && stops[at].latest == latest {
                break;
            }
            stops[at].latest = latest;
        }
    }

    /// The best place for a customer within a route, but for the place `missed`. Without a branch that depends on
    /// the customer: those are what a processor guesses wrong.
    #[inline]
    fn place(&self, route: &Route, node: usize, missed: usize) -> Place {
        let nodes = self.instance.nodes();
        let row = &self.instance.distance[node * nodes..(node + 1) * nodes];
        let (ready, due, service) =
            (self.instance.ready[node], self.instance.due[node], self.instance.service[node]);
        let mut least = Place::NONE;
        let mut from = route.stops[0];
        let mut before = row[from.node as usize];
        for (at, to) in (1u32..).zip(&route.stops[1..]) {
            if from.departs > due {
                break;
            }
            let after = row[to.node as usize];
            let more = before + after - from.leg;
            let starts = (from.departs + before).max(ready);
            let fits = (starts <= due) & (starts + service + after <= to.latest) & (at as usize != missed);
            least = least.min(Place::new(more, at, fits));
            from = *to;
            before = after;
        }
        least
    }

    /// The cheapest of a route and of what was found before it, unless a blink hides it.
    #[inline]
    fn cheaper(&self, number: usize, node: usize, place: Place, than: &mut Chosen, random: &mut Random) {
        if place.more() < than.place.more() {
            let place =
                if random.chance(BLINK) { self.place(&self.routes[number], node, place.at()) } else { place };
            if place.more() < than.place.more() {
                *than = Chosen { place, route: number };
            }
        }
    }
}

/// What an insertion adds to a route's length, and where it is made; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64);

impl Place {
    const NONE: Self = Self(u64::MAX);
    /// Keeps the order of numbers below zero.
    const OFFSET: i32 = 1 << 30;

    #[inline]
    fn new(more: i32, at: u32, fits: bool) -> Self {
        let key = (u64::from((more + Self::OFFSET) as u32) << 32) | u64::from(at);
        Self(key | u64::from(!fits).wrapping_neg())
    }

    #[inline]
    fn more(self) -> i64 {
        (self.0 >> 32) as i64 - i64::from(Self::OFFSET)
    }

    #[inline]
    fn at(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

/// A place in a route.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    place: Place,
    route: usize,
}

impl Model for State<'_> {
    type Best = Solution;

    fn jobs(&self) -> usize {
        self.route_of.len()
    }

    fn near(&self, job: u32) -> &[u32] {
        &self.near[job as usize]
    }

    fn route_of(&self, job: u32) -> Option<u32> {
        Some(self.route_of[job as usize]).filter(|route| *route != NOWHERE)
    }

    fn routes(&self) -> usize {
        self.routes.len()
    }

    fn length(&self, route: u32) -> usize {
        self.routes[route as usize].stops.len() - 2
    }

    fn mean_length(&self) -> f64 {
        let used = self.routes[..self.span].iter().filter(|route| route.stops.len() > 2).count();
        (self.route_of.len() - self.absent.len()).max(1) as f64 / used.max(1) as f64
    }

    fn position(&self, route: u32, job: u32) -> usize {
        let stops = &self.routes[route as usize].stops;
        stops.iter().position(|stop| stop.node == job + 1).map_or(0, |at| at - 1)
    }

    fn cut(&mut self, route: u32, string: Cut) {
        let route = route as usize;
        self.touch(route);
        let nodes = self.instance.nodes();
        let Route { stops, load, length, .. } = &mut self.routes[route];
        let mut at = 0;
        let mut before = 0;
        for stop in &stops[string.from..=string.to] {
            before += i64::from(stop.leg);
        }
        stops.retain(|stop| {
            let position = at;
            at += 1;
            // Positions count from the first customer, stops from the depot.
            let is_cut = (string.from < position && position <= string.keep_from)
                || (string.keep_to < position && position <= string.to);
            if is_cut {
                *load -= self.instance.demand[stop.node as usize];
                self.route_of[stop.node as usize - 1] = NOWHERE;
                self.absent.push(stop.node - 1);
                self.cost += UNSERVED;
            }
            !is_cut
        });
        let kept = string.keep_to - string.keep_from;
        let mut after = 0;
        for pair in stops[string.from..=string.from + kept + 1].windows(2) {
            after += i64::from(self.instance.distance[pair[0].node as usize * nodes + pair[1].node as usize]);
        }
        *length += after - before;
        self.cost += after - before;
        self.refresh(route, string.from, string.from + kept);
    }

    fn absent(&self, jobs: &mut Vec<u32>) {
        jobs.extend_from_slice(&self.absent);
    }

    fn orders(&self) -> &[(u32, Vec<u32>)] {
        &self.orders
    }

    fn insert(&mut self, job: u32, random: &mut Random) {
        let node = job as usize + 1;
        let demand = self.instance.demand[node];
        let mut chosen = Chosen { place: Place::NONE, route: 0 };
        let mut seen_empty = false;
        let reach = (self.span + 1).min(self.routes.len());
        for number in 0..reach {
            let route = &self.routes[number];
            if route.load + demand > self.instance.capacity
                || (route.stops.len() == 2 && std::mem::replace(&mut seen_empty, true))
            {
                continue;
            }
            let index = job as usize * self.routes.len() + number;
            let mut seen = self.seen[index];
            if seen.version != route.version {
                seen = Seen { version: route.version, place: self.place(route, node, 0) };
                if !route.touched {
                    self.seen[index] = seen;
                }
            }
            self.cheaper(number, node, seen.place, &mut chosen, random);
        }
        if chosen.place == Place::NONE {
            return;
        }
        let (number, at, more) = (chosen.route, chosen.place.at(), chosen.place.more());
        self.touch(number);
        self.span = self.span.max(number + 1);
        let route = &mut self.routes[number];
        route.stops.insert(at, Stop { node: node as u32, departs: 0, latest: 0, leg: 0 });
        route.load += demand;
        route.length += more;
        self.cost += more - UNSERVED;
        self.route_of[job as usize] = number as u32;
        if let Some(index) = self.absent.iter().position(|absent| *absent == job) {
            self.absent.swap_remove(index);
        }
        self.refresh(number, at - 1, at);
    }

    fn cost(&self) -> i64 {
        self.cost
    }

    fn keep(&mut self) {
        self.kept_cost = self.cost;
        self.kept_absent.clone_from(&self.absent);
        for (number, route) in self.before.drain(..) {
            self.routes[number].touched = false;
            self.spare.push(route);
        }
        while self.span > 0 && self.routes[self.span - 1].stops.len() == 2 {
            self.span -= 1;
        }
    }

    fn take_back(&mut self) {
        while let Some((number, mut route)) = self.before.pop() {
            std::mem::swap(&mut self.routes[number], &mut route);
            for stop in &self.routes[number].stops {
                if stop.node > 0 {
                    self.route_of[stop.node as usize - 1] = number as u32;
                }
            }
            self.spare.push(route);
        }
        self.cost = self.kept_cost;
        self.absent.clone_from(&self.kept_absent);
        for job in &self.absent {
            self.route_of[*job as usize] = NOWHERE;
        }
        while self.span > 0 && self.routes[self.span - 1].stops.len() == 2 {
            self.span -= 1;
        }
    }

    fn improve(&mut self) -> bool {
        if self.cost >= self.best_cost {
            return false;
        }
        self.best_cost = self.cost;
        self.best.resize_with(self.routes.len(), Vec::new);
        for (best, route) in self.best.iter_mut().zip(&self.routes) {
            best.clear();
            best.extend(route.stops.iter().map(|stop| stop.node).filter(|node| *node > 0));
        }
        true
    }

    fn return_to_best(&mut self) {
        self.absent = (0..self.route_of.len() as u32).collect();
        self.route_of.fill(NOWHERE);
        self.cost = UNSERVED * self.route_of.len() as i64;
        let nodes = self.instance.nodes();
        for number in 0..self.routes.len() {
            let route = &mut self.routes[number];
            let customers = &self.best[number];
            let last = route.stops.len() - 1;
            route.stops.drain(1..last);
            let stops = customers.iter().map(|node| Stop { node: *node, departs: 0, latest: 0, leg: 0 });
            route.stops.splice(1..1, stops);
            route.load = customers.iter().map(|node| self.instance.demand[*node as usize]).sum();
            let leg = |pair: &[Stop]| {
                i64::from(self.instance.distance[pair[0].node as usize * nodes + pair[1].node as usize])
            };
            route.length = route.stops.windows(2).map(leg).sum();
            self.versions += 1;
            route.version = self.versions;
            self.cost += route.length - UNSERVED * customers.len() as i64;
            for node in customers {
                self.route_of[*node as usize - 1] = number as u32;
            }
            self.refresh(number, 0, customers.len());
        }
        self.absent.retain(|job| self.route_of[*job as usize] == NOWHERE);
        self.span = self.routes.len();
        self.keep();
    }

    fn into_best(self) -> Solution {
        let mut unserved: Vec<u32> = (1..self.instance.nodes() as u32).collect();
        let routes: Vec<Vec<u32>> = self.best.into_iter().filter(|route| !route.is_empty()).collect();
        unserved.retain(|node| !routes.iter().any(|route| route.contains(node)));
        Solution { routes, unserved }
    }
}
