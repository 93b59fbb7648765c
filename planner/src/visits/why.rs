//! Why a visit is not in a plan: for each day of each inspector, every constraint by itself, and the smallest change
//! that would let it in. Whatever is said here was tried: a change is named only if the visit fits once it is made.

use super::day::Stop;
use super::fit::{Obstacle, about_people, held_by_lock, latest_start, walks};
use super::{InspectorDay, MEETING_STEP_MIN, Plan, Problem, Visit};

/// What would let a visit into a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The inspector is told this much later than planned to be back, and may be on duty for that much longer.
    LongerDay { by_min: i32 },
    /// The site closes later.
    ClosesLater { by_min: i32 },
    /// The site opens earlier.
    OpensEarlier { by_min: i32 },
    /// The host agrees to a shorter notice.
    ShorterNotice { by_min: i32 },
    /// The inspector agrees to a later break.
    LaterBreak { by_min: i32 },
    /// Another visit leaves the day.
    Displaces { visit: u32 },
    /// The inspector's competence is renewed until the end of the day.
    RenewCompetence { category: u32 },
    /// The inspector becomes competent.
    AddCompetence { category: u32 },
    /// Somebody who speaks this language.
    AddLanguage { language: u32 },
    /// The inspector may enter the country.
    AllowEntry { country: u32 },
    /// The inspector can be sent after all.
    MakeAvailable,
    /// What was announced may be changed.
    Unlock,
}

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
    /// All that has to be done, the least of what would do; `None` where this day cannot be helped.
    #[must_use]
    pub fn remedy(&self) -> Option<Vec<Change>> {
        let mut changes = self.people.clone()?;
        match &self.time {
            Time::Fits => {}
            Time::Lacks(alternatives) => changes.push(*alternatives.first()?),
            Time::NoSecond => return None,
        }
        Some(changes)
    }
}

/// The longest that any limit is stretched in search of a remedy.
const MOST_MIN: i32 = 720;

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
        alone(problem, visit, it, &stops, &mut reasons);
    }
    reasons
}

/// The reasons with a remedy, the easiest first: the fewest changes, then the smallest.
#[must_use]
pub fn easiest(reasons: &[Reason]) -> Vec<(u32, Vec<Change>)> {
    let mut remedies: Vec<(u32, Vec<Change>)> =
        reasons.iter().filter_map(|reason| Some((reason.day, reason.remedy()?))).collect();
    remedies.sort_by_key(|(day, changes)| (changes.len(), changes.iter().copied().max(), *day));
    remedies
}

/// Makes changes in a problem and a plan, for a visit and a day.
pub fn make(problem: &mut Problem, plan: &mut Plan, visit: u32, day: u32, changes: &[Change]) {
    for change in changes {
        if let Change::Displaces { visit: other } = change {
            for planned in &mut plan.days {
                planned.stops.retain(|stop| stop.visit != *other);
            }
            plan.unplanned.push(*other);
            continue;
        }
        let inspector = problem.days.get(day as usize).map(|day| day.inspector);
        let (Some(it), Some(on)) =
            (problem.visits.get_mut(visit as usize), problem.days.get_mut(day as usize))
        else {
            continue;
        };
        apply(it, on, *change);
        let Some(person) = inspector.and_then(|inspector| problem.inspectors.get_mut(inspector as usize))
        else {
            continue;
        };
        match change {
            Change::RenewCompetence { category } | Change::AddCompetence { category } => {
                let competence = super::Competence { category: *category, expires_at: on.competent_until() };
                person.competences.push(competence);
            }
            Change::AllowEntry { country } => person.barred.retain(|barred| barred != country),
            Change::AddLanguage { language } => person.languages.push(*language),
            _ => {}
        }
    }
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
    let people = obstacles.iter().map(|obstacle| lifted(it, *obstacle)).collect();
    let unlocked = obstacles.contains(&Obstacle::Locked).then(|| Visit { announced: None, ..it.clone() });
    let time = time(problem, visit, unlocked.as_ref().unwrap_or(it), on, stops);
    Reason { day, obstacles, people, time }
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
fn fits(
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
    let kinds: [fn(i32) -> Change; 4] = [
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
        found.extend(least(works).map(|by_min| (by_min, kind(by_min))));
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
    for stop in stops {
        let locked =
            problem.visits.get(stop.visit as usize).is_some_and(|other| held_by_lock(other).is_some());
        let others: Vec<Stop> = stops.iter().filter(|other| other.visit != stop.visit).copied().collect();
        if !locked && fits(problem, visit, it, on, &others, held_at) {
            // To give up a visit is more than any number of minutes here.
            found.push((MOST_MIN + 1, Change::Displaces { visit: stop.visit }));
        }
    }
    found.sort();
    Time::Lacks(found.into_iter().map(|(_, change)| change).collect())
}

/// The least number of minutes that works. A stretched limit that works mostly works when stretched further, too; what
/// the halving finds was tried, and one minute less does not do.
fn least(works: impl Fn(i32) -> bool) -> Option<i32> {
    if !works(MOST_MIN) {
        return None;
    }
    let (mut fails, mut good) = (0, MOST_MIN);
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

/// Makes a change of a visit or a day.
fn apply(visit: &mut Visit, day: &mut InspectorDay, change: Change) {
    match change {
        Change::LongerDay { by_min } => {
            day.ends_at += by_min;
            day.most_duty_min += by_min;
        }
        Change::ClosesLater { by_min } => stretch(visit, 0, by_min),
        Change::OpensEarlier { by_min } => stretch(visit, by_min, 0),
        Change::ShorterNotice { by_min } => visit.not_before -= by_min,
        Change::LaterBreak { by_min } => day.most_without_break_min += by_min,
        Change::MakeAvailable => day.available = true,
        Change::Unlock => visit.announced = None,
        Change::Displaces { .. }
        | Change::RenewCompetence { .. }
        | Change::AddCompetence { .. }
        | Change::AddLanguage { .. }
        | Change::AllowEntry { .. } => {}
    }
}

/// Makes every window longer; those that meet become one.
fn stretch(visit: &mut Visit, earlier_min: i32, later_min: i32) {
    let mut windows: Vec<(i32, i32)> = Vec::with_capacity(visit.windows.len());
    for (open, close) in &visit.windows {
        let (open, close) = (open - earlier_min, close + later_min);
        match windows.last_mut() {
            Some((_, last)) if *last >= open => *last = close.max(*last),
            _ => windows.push((open, close)),
        }
    }
    visit.windows = windows;
}

/// For a visit of two: where there is time for one, is there anybody else at the same instant?
fn alone(problem: &Problem, visit: u32, it: &Visit, stops: &[Vec<Stop>], reasons: &mut [Reason]) {
    let instants = |reason: &Reason| -> Vec<i32> {
        let (Some(on), Some(stops)) = (problem.days.get(reason.day as usize), stops.get(reason.day as usize))
        else {
            return Vec::new();
        };
        if !reason.obstacles.is_empty() || reason.time != Time::Fits {
            return Vec::new();
        }
        let grid = held_by_lock(it).map_or_else(
            || (on.starts_at..=on.ends_at).filter(|at| at.rem_euclid(MEETING_STEP_MIN) == 0).collect(),
            |held_at| vec![held_at],
        );
        grid.into_iter().filter(|at| fits(problem, visit, it, on, stops, Some(*at))).collect()
    };
    let all: Vec<Vec<i32>> = reasons.iter().map(instants).collect();
    let inspector = |reason: &Reason| problem.days.get(reason.day as usize).map(|day| day.inspector);
    let met: Vec<bool> = reasons
        .iter()
        .zip(&all)
        .map(|(reason, mine)| {
            reasons.iter().zip(&all).any(|(other, theirs)| {
                inspector(other) != inspector(reason) && mine.iter().any(|at| theirs.contains(at))
            })
        })
        .collect();
    for (reason, met) in reasons.iter_mut().zip(met) {
        if reason.time == Time::Fits && !met {
            reason.time = Time::NoSecond;
        }
    }
}
