//! Why a visit is not in a plan: for each day of each inspector, every constraint by itself, and the smallest change
//! that would let it in. Whatever is said here was tried: a change is named only if the visit fits once it is made.

pub use super::change::{Change, make};
use super::change::{InMinutes, apply, size};
use super::day::Stop;
use super::fit::{Obstacle, about_people, held_by_lock, latest_start, walks};
use super::together::meet;
use super::{InspectorDay, Plan, Problem, Visit};

/// What keeps a visit out of one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// The day.
    pub day: u32,
    /// What has nothing to do with time: each stands in the way by itself.
    pub obstacles: Vec<Obstacle>,
    /// What would let it in, all of it together, once the time fits; `None` where nothing can, as with a conflict of
    /// interest.
    pub people: Option<Vec<Change>>,
    /// Is there time for it among the visits of that day?
    pub time: Time,
    /// What would do with the inspectors there are.
    pub(super) remedy: Option<Vec<Change>>,
    /// What would do with one more inspector, where that is less.
    pub(super) one_more: Option<Vec<Change>>,
}

/// Is there time for a visit in a day?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// There is.
    Fits,
    /// There is not; each of these changes alone would make it, the smallest first. None: no single change would.
    Lacks(Vec<Change>),
    /// There is for one person, but nobody can come with them at any instant.
    NoSecond,
}

impl Reason {
    /// All that has to be done, the least of what would do with the inspectors there are; `None` where this day cannot be
    /// helped. For a visit of two it names who [comes along](Change::Second).
    #[must_use]
    pub fn remedy(&self) -> Option<Vec<Change>> {
        self.remedy.clone()
    }

    /// What would do with [one more](Change::OneMore) inspector, where that is less than the remedy or there is none.
    #[must_use]
    pub fn one_more(&self) -> Option<Vec<Change>> {
        self.one_more.clone()
    }
}

/// The longest that any limit is stretched in search of a remedy.
pub(super) const MOST_MIN: i32 = 720;

/// Why a visit is not on any of the days, one reason for each.
#[must_use]
pub fn why_not(problem: &Problem, plan: &Plan, visit: u32) -> Vec<Reason> {
    let Some(it) = problem.visits.get(visit as usize) else { return Vec::new() };
    let stops = stops_by_day(problem, plan);
    let mut reasons: Vec<Reason> = (0..)
        .zip(&problem.days)
        .zip(&stops)
        .map(|((day, on), stops)| reason(problem, visit, it, day, on, stops))
        .collect();
    if it.people == 2 {
        meet(problem, visit, it, &stops, &mut reasons);
    }
    for reason in &mut reasons {
        let less = |more: &Vec<Change>| reason.remedy.as_ref().is_none_or(|own| size(more) < size(own));
        reason.one_more = reason.one_more.take().filter(less);
    }
    reasons
}

/// What keeps a visit out of a day that has nothing to do with time.
#[must_use]
pub fn obstacles(problem: &Problem, visit: u32, day: u32) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    if let (Some(it), Some(on)) = (problem.visits.get(visit as usize), problem.days.get(day as usize)) {
        about_people(problem, it, on, &mut obstacles);
    }
    obstacles
}

/// The remedies of each day, the easiest first: the fewest changes, then the smallest. One more inspector is named once,
/// on the day where that is the least.
#[must_use]
pub fn easiest(reasons: &[Reason]) -> Vec<(u32, Vec<Change>)> {
    let mut remedies: Vec<(u32, Vec<Change>)> =
        reasons.iter().filter_map(|reason| Some((reason.day, reason.remedy()?))).collect();
    let newcomers = reasons.iter().filter_map(|reason| Some((reason.day, reason.one_more()?)));
    remedies.extend(newcomers.min_by_key(|(day, changes)| (size(changes), *day)));
    remedies.sort_by_key(|(day, changes)| (size(changes), *day));
    remedies
}

/// The stops of each day, held where they must not move.
fn stops_by_day(problem: &Problem, plan: &Plan) -> Vec<Vec<Stop>> {
    let mut stops = vec![Vec::new(); problem.days.len()];
    for planned in &plan.days {
        let Some(here) = stops.get_mut(planned.day as usize) else { continue };
        for stop in &planned.stops {
            let Some(visit) = problem.visits.get(stop.visit as usize) else { continue };
            let told = visit.announced.as_ref().is_some_and(|told| told.starts_at == stop.starts_at);
            let held_at = (told || visit.people == 2).then_some(stop.starts_at);
            here.push(Stop { visit: stop.visit, held_at });
        }
    }
    stops
}

fn reason(problem: &Problem, visit: u32, it: &Visit, day: u32, on: &InspectorDay, stops: &[Stop]) -> Reason {
    let mut obstacles = Vec::new();
    about_people(problem, it, on, &mut obstacles);
    let people: Option<Vec<Change>> = obstacles.iter().map(|obstacle| lifted(it, *obstacle)).collect();
    let unlocked = obstacles.contains(&Obstacle::Locked).then(|| Visit { announced: None, ..it.clone() });
    let time = time(problem, visit, unlocked.as_ref().unwrap_or(it), on, stops);
    let remedy = people.clone().and_then(|mut changes| {
        if let Time::Lacks(alternatives) = &time {
            changes.push(*alternatives.first()?);
        }
        Some(changes)
    });
    let free = held_by_lock(it).is_none() && fits(problem, visit, it, on, &[], None);
    let one_more = free.then(|| vec![newcomer(it)]);
    Reason { day, obstacles, people, time, remedy, one_more }
}

/// One more inspector who suits a visit.
pub(super) fn newcomer(visit: &Visit) -> Change {
    Change::OneMore { language: visit.languages.first().copied() }
}

/// What lifts an obstacle that has nothing to do with time.
fn lifted(visit: &Visit, obstacle: Obstacle) -> Option<Change> {
    match obstacle {
        Obstacle::Unavailable => Some(Change::MakeAvailable),
        Obstacle::Competence { category } => Some(Change::AddCompetence { category }),
        Obstacle::CompetenceExpired { category, .. } => Some(Change::RenewCompetence { category }),
        Obstacle::Language => visit.languages.first().map(|&language| Change::AddLanguage { language }),
        Obstacle::Entry { country } => Some(Change::AllowEntry { country }),
        Obstacle::Locked => Some(Change::Unlock),
        Obstacle::Conflict { .. } => None,
    }
}

/// Is there a place for the visit among the stops?
pub(super) fn fits(
    problem: &Problem,
    visit: u32,
    it: &Visit,
    on: &InspectorDay,
    stops: &[Stop],
    held_at: Option<i32>,
) -> bool {
    (0..=stops.len()).any(|at| {
        let (before, after) = stops.split_at(at);
        let new = Stop { visit, held_at };
        walks(problem, on, (visit, it), before.iter().chain([&new]).chain(after).copied())
    })
}

fn time(problem: &Problem, visit: u32, it: &Visit, on: &InspectorDay, stops: &[Stop]) -> Time {
    let held_at = held_by_lock(it);
    if fits(problem, visit, it, on, stops, held_at) {
        return Time::Fits;
    }
    // A site that is not open within half a day of this one is no matter of minutes.
    let near = it
        .windows
        .iter()
        .any(|(open, close)| *open <= on.ends_at + MOST_MIN && *close >= on.starts_at - MOST_MIN);
    if !near {
        return Time::Lacks(Vec::new());
    }
    let mut found: Vec<(i32, Change)> = Vec::new();
    let kinds: [InMinutes; 4] = [
        |by_min| Change::LongerDay { by_min },
        |by_min| Change::ClosesLater { by_min },
        |by_min| Change::OpensEarlier { by_min },
        |by_min| Change::LaterBreak { by_min },
    ];
    for kind in kinds {
        let works = |by_min: i32| {
            let (mut it, mut on) = (it.clone(), on.clone());
            apply(&mut it, &mut on, kind(by_min));
            fits(problem, visit, &it, &on, stops, held_at)
        };
        found.extend(least(MOST_MIN, works).map(|by_min| (by_min, kind(by_min))));
    }
    if it.not_before > on.starts_at {
        let told = Visit { not_before: i32::MIN / 2, ..it.clone() };
        if fits(problem, visit, &told, on, stops, held_at) {
            let latest = latest_start(on, |not_before| {
                let later = Visit { not_before, ..it.clone() };
                fits(problem, visit, &later, on, stops, held_at)
            });
            let by_min = it.not_before - latest;
            found.push((by_min, Change::ShorterNotice { by_min }));
        }
    }
    // To give up a visit is more than any number of minutes here.
    let displaced = displaceable(problem, visit, it, on, stops, held_at);
    found.extend(displaced.map(|visit| (MOST_MIN + 1, Change::Displaces { visit })));
    found.sort();
    Time::Lacks(found.into_iter().map(|(_, change)| change).collect())
}

/// The visits of a day each of which would leave room enough.
pub(super) fn displaceable<'a>(
    problem: &'a Problem,
    visit: u32,
    it: &'a Visit,
    on: &'a InspectorDay,
    stops: &'a [Stop],
    held_at: Option<i32>,
) -> impl Iterator<Item = u32> + 'a {
    stops.iter().map(|stop| stop.visit).filter(move |other| {
        let locked = problem.visits.get(*other as usize).is_some_and(|other| held_by_lock(other).is_some());
        let others: Vec<Stop> = stops.iter().filter(|stop| stop.visit != *other).copied().collect();
        !locked && fits(problem, visit, it, on, &others, held_at)
    })
}

/// The least number of minutes that works, up to the most. A stretched limit that works mostly works when stretched further, too; what
/// the halving finds was tried, and one minute less does not do.
pub(super) fn least(most: i32, works: impl Fn(i32) -> bool) -> Option<i32> {
    if most <= 0 || !works(most) {
        return None;
    }
    let (mut fails, mut good) = (0, most);
    while good - fails > 1 {
        let middle = fails + (good - fails) / 2;
        if works(middle) {
            good = middle;
        } else {
            fails = middle;
        }
    }
    Some(good)
}
