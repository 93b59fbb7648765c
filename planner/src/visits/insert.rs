//! Where a visit is put: the cheapest place of one person, or of two who meet.
#![expect(
    clippy::indexing_slicing,
    reason = "the inner loop of the search; visits, days and inspectors are numbered, and `refuse` has looked at them"
)]

use super::day::Stop;
use super::fit::held_by_lock;
use super::state::{Place, Seen, State};
use super::{MEETING_STEP_MIN, disruption, late_hours};
use crate::random::Random;

/// How many instants are tried for two people.
const MEETINGS: usize = 8;

/// Where and when two people meet: a route and a position for each.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    more: i64,
    held_at: i32,
    places: [(u32, usize); 2],
}

impl State<'_> {
    /// What an insertion adds, were it the only change; `None` where it does not fit.
    fn try_at(&self, number: u32, visit: u32, at: usize, held_at: Option<i32>, limit: i64) -> Option<i64> {
        let problem = self.problem;
        let day = &problem.days[number as usize];
        let route = &self.routes[number as usize];
        let it = &problem.visits[visit as usize];
        let place = |at: usize| route.stops.get(at).map(|stop| problem.visits[stop.visit as usize].place);
        let before = if at == 0 { day.from } else { place(at - 1)? };
        let after = place(at).unwrap_or(day.to);
        let skipped = if route.stops.is_empty() { 0 } else { problem.ways.minutes(before, after) };
        let ways = problem.ways.minutes(before, it.place) + problem.ways.minutes(it.place, after) - skipped;
        let busy = self.busy[day.inspector as usize];
        let added = i64::from(ways) + i64::from(it.duration_min);
        let mut more = i64::from(ways) * self.weights.travel_min
            + (2 * busy + added) * added / self.weights.spread_share;
        if more >= limit {
            return None;
        }
        let step = route.walks[at].visit(problem, day, it, held_at)?;
        more += late_hours(it, step.starts_at) * self.weights.late_hour
            + disruption(it, day.inspector, step.starts_at) * self.weights.disruption;
        if more >= limit {
            return None;
        }
        let mut walk = step.walk;
        for (index, stop) in route.stops.iter().enumerate().skip(at) {
            let next = &problem.visits[stop.visit as usize];
            walk = walk.visit(problem, day, next, stop.held_at)?.walk;
            if walk == route.walks[index + 1] {
                return Some(more);
            }
        }
        walk.back(problem, day)?;
        Some(more)
    }

    /// The best place of a visit in a route, but for the place `missed`.
    fn place(&self, number: u32, visit: u32, missed: Option<u16>) -> Option<Place> {
        let it = &self.problem.visits[visit as usize];
        let day = &self.problem.days[number as usize];
        let told =
            it.announced.as_ref().filter(|told| (day.starts_at..=day.ends_at).contains(&told.starts_at));
        let locked = held_by_lock(it).is_some();
        let mut best: Option<Place> = None;
        for at in 0..=self.routes[number as usize].stops.len() as u16 {
            if missed == Some(at) {
                continue;
            }
            for held in [true, false] {
                let held_at = told.map(|told| told.starts_at).filter(|_| held);
                if held != held_at.is_some() || (locked && !held) {
                    continue;
                }
                let limit = best.map_or(i64::MAX, |best| best.more);
                if let Some(more) = self.try_at(number, visit, at.into(), held_at, limit) {
                    best = Some(Place { more, at, held });
                }
            }
        }
        best
    }

    pub(super) fn insert_one(&mut self, visit: u32, random: &mut Random) {
        let mut chosen: Option<(u32, Place)> = None;
        for index in 0..self.possible[visit as usize].len() {
            let number = self.possible[visit as usize][index];
            let route = &self.routes[number as usize];
            let (version, touched) = (route.version, route.touched);
            let entry = visit as usize * self.routes.len() + number as usize;
            let place = match self.seen.get(entry) {
                Some(seen) if seen.version == version => seen.place,
                _ => {
                    let place = self.place(number, visit, None);
                    if let Some(seen) = self.seen.get_mut(entry).filter(|_| !touched) {
                        *seen = Seen { version, place };
                    }
                    place
                }
            };
            let better = |place: &Place| chosen.is_none_or(|(_, chosen)| place.more < chosen.more);
            let Some(mut place) = place.filter(better) else { continue };
            if random.chance(self.blink) {
                let Some(other) = self.place(number, visit, Some(place.at)).filter(better) else { continue };
                place = other;
            }
            chosen = Some((number, place));
        }
        let Some((number, place)) = chosen else { return };
        let told = self.problem.visits[visit as usize].announced.as_ref().map(|told| told.starts_at);
        self.put(number, visit, place.at.into(), told.filter(|_| place.held));
        self.settle(number);
    }

    fn put(&mut self, number: u32, visit: u32, at: usize, held_at: Option<i32>) {
        self.touch(number);
        self.routes[number as usize].stops.insert(at, Stop { visit, held_at });
        self.enter(visit, number);
    }

    /// Instants at which two people could meet: what was announced, and some others.
    fn meetings(&self, visit: u32, random: &mut Random) -> Vec<i32> {
        let it = &self.problem.visits[visit as usize];
        if let Some(held_at) = held_by_lock(it) {
            return vec![held_at];
        }
        let mut instants: Vec<i32> = it.announced.iter().map(|told| told.starts_at).collect();
        let days = &self.possible[visit as usize];
        if self.blink == 0 {
            // The last look: every instant.
            let from = days.iter().map(|day| self.problem.days[*day as usize].starts_at).min().unwrap_or(0);
            let to = days.iter().map(|day| self.problem.days[*day as usize].ends_at).max().unwrap_or(0);
            instants.extend((from..=to).filter(|at| at.rem_euclid(MEETING_STEP_MIN) == 0));
            return instants;
        }
        for _ in 0..MEETINGS {
            let Some(number) = days.get(random.below(days.len())) else { break };
            let day = &self.problem.days[*number as usize];
            // A window of that day, and an instant of it.
            let open = it.windows.iter().map(|(from, to)| {
                ((*from).max(day.starts_at).max(it.not_before), (*to).min(day.ends_at) - it.duration_min)
            });
            let open: Vec<(i32, i32)> = open.filter(|(from, to)| from <= to).collect();
            let Some((from, to)) = open.get(random.below(open.len())) else { continue };
            let steps = (to - from) / MEETING_STEP_MIN;
            let first = from + (-from).rem_euclid(MEETING_STEP_MIN);
            instants.push(first + MEETING_STEP_MIN * random.below(steps as usize + 1) as i32);
        }
        instants
    }

    pub(super) fn insert_two(&mut self, visit: u32, random: &mut Random) {
        let mut chosen: Option<Meeting> = None;
        for held_at in self.meetings(visit, random) {
            // The two cheapest of different inspectors.
            let mut two: [Option<(i64, u32, usize)>; 2] = [None; 2];
            for &number in &self.possible[visit as usize] {
                let day = &self.problem.days[number as usize];
                if !(day.starts_at..=day.ends_at).contains(&held_at) {
                    continue;
                }
                let mut best: Option<(i64, u32, usize)> = None;
                for at in 0..=self.routes[number as usize].stops.len() {
                    let limit = best.map_or(i64::MAX, |best| best.0);
                    if let Some(more) = self.try_at(number, visit, at, Some(held_at), limit) {
                        best = Some((more, number, at));
                    }
                }
                let Some(best) = best.filter(|_| !random.chance(self.blink)) else { continue };
                let inspector = |number: u32| self.problem.days[number as usize].inspector;
                match two {
                    [Some(first), _] if inspector(first.1) == inspector(number) => {
                        if best.0 < first.0 {
                            two[0] = Some(best);
                        }
                    }
                    [Some(first), second] if best.0 < first.0 => {
                        two = [Some(best), second.filter(|it| it.0 < first.0).or(Some(first))];
                    }
                    [None, _] => two[0] = Some(best),
                    [Some(_), second] => {
                        if second.is_none_or(|second| best.0 < second.0) {
                            two[1] = Some(best);
                        }
                    }
                }
            }
            let [Some(first), Some(second)] = two else { continue };
            let inspector = |number: u32| self.problem.days[number as usize].inspector;
            let both = first.0 + second.0;
            if inspector(first.1) != inspector(second.1)
                && chosen.as_ref().is_none_or(|chosen| both < chosen.more)
            {
                let places = [(first.1, first.2), (second.1, second.2)];
                chosen = Some(Meeting { more: both, held_at, places });
            }
        }
        let Some(Meeting { held_at, places, .. }) = chosen else { return };
        for (number, at) in places {
            self.put(number, visit, at, Some(held_at));
        }
        for (number, _) in places {
            self.settle(number);
        }
    }
}
