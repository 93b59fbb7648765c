//! Why a task is not in a plan, in sentences. Whatever change is named was tried: with it the visit fits.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use endcheck_planner::visits::Obstacle;
use endcheck_planner::visits::why::{Change, Reason, Time, easiest, obstacles, why_not};
use endcheck_planner::visits::{Plan, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::case::Case;
use super::solve::Outcome;

/// Why a task is left out, over all inspector-days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    pub task: u32,
    /// Each reason with the number of inspector-days on which it stands in the way, the most frequent first.
    pub counts: Vec<(String, u32)>,
    /// The smallest changes that would let it in, the easiest first; each was tried.
    pub easiest: Vec<String>,
    /// False where there were too many to work out; ask for them one by one.
    pub worked_out: bool,
}

/// Why a task is not on one inspector-day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DayReason {
    pub inspector: String,
    /// The day, as the inspector's calendar has it.
    pub date: String,
    /// Everything that stands in the way, each by itself.
    pub obstacles: Vec<String>,
    /// All that would have to be done, together; nothing where this day cannot be helped.
    pub remedy: Option<String>,
}

const OUT_OF_REACH: &str = "it is out of reach: too far for a day, or the site is closed";
/// How many reasons are worked out for one plan at most: each is a day of an inspector for one task.
const MOST_REASONS: usize = 200_000;
/// How many changes are named for one task.
const EASIEST: usize = 3;

/// The reasons of all that a plan leaves out, the riskiest first. `heard` is called between tasks.
#[must_use]
pub fn left_out(case: &Case, problem: &Problem, outcome: &Outcome, mut heard: impl FnMut()) -> Vec<LeftOut> {
    let plan = outcome.plan();
    let risk = |task: u32| case.tasks.get(task as usize).map_or(0, |task| task.risk);
    let mut tasks = outcome.unplanned.clone();
    tasks.sort_by_key(|task| (std::cmp::Reverse(risk(*task)), *task));
    let most = MOST_REASONS / problem.days.len().max(1);
    let one = |(number, task): (usize, u32)| {
        heard();
        if number >= most {
            return LeftOut { task, counts: Vec::new(), easiest: Vec::new(), worked_out: false };
        }
        let reasons = why_not(problem, &plan, task);
        let easiest = easiest_told(case, problem, &plan, (task, &reasons));
        LeftOut { task, counts: counts(&reasons), easiest, worked_out: true }
    };
    tasks.into_iter().enumerate().map(one).collect()
}

/// The smallest changes that would let a task in; where no change of one day would, the nights that do.
fn easiest_told(
    case: &Case,
    problem: &Problem,
    plan: &Plan,
    (task, reasons): (u32, &[Reason]),
) -> Vec<String> {
    let easiest = easiest(reasons).into_iter().take(EASIEST);
    let told: Vec<String> = easiest.map(|(day, changes)| remedy(case, day, &changes)).collect();
    if !told.is_empty() {
        return told;
    }
    let nights = nights_near(problem, plan, task).into_iter().take(EASIEST).map(|day| {
        format!(
            "{}, {}: nights near the site before and after, written into the roster",
            who(case, day),
            date(case, day)
        )
    });
    nights.collect()
}

/// The first day of each inspector on which a task fits once they sleep beside the site before and after, whoever
/// lives nearest first; each was tried.
fn nights_near(problem: &Problem, plan: &Plan, task: u32) -> Vec<u32> {
    let Some(place) = problem.visits.get(task as usize).map(|visit| visit.place) else { return Vec::new() };
    let mut near = problem.clone();
    for day in &mut near.days {
        (day.from, day.to) = (place, place);
    }
    let mut first: BTreeMap<u32, (i32, u32)> = BTreeMap::new();
    for reason in why_not(&near, plan, task) {
        let Some(day) = problem.days.get(reason.day as usize) else { continue };
        if reason.obstacles.is_empty() && reason.time == Time::Fits {
            let minutes = problem.ways.minutes(day.from, place);
            first.entry(day.inspector).or_insert((minutes, reason.day));
        }
    }
    let mut days: Vec<(i32, u32)> = first.into_values().collect();
    days.sort_unstable();
    days.into_iter().map(|(_, day)| day).collect()
}

/// Why a task is on none of the inspector-days, one by one; and the smallest changes that would let it in.
#[must_use]
pub fn by_day(case: &Case, problem: &Problem, outcome: &Outcome, task: u32) -> (Vec<DayReason>, Vec<String>) {
    let plan = outcome.plan();
    let reasons = why_not(problem, &plan, task);
    let told = reasons.iter().map(|reason| {
        let mut obstacles: Vec<String> =
            reason.obstacles.iter().map(|obstacle| obstacle_told(case, reason.day, *obstacle)).collect();
        match &reason.time {
            Time::Fits => {}
            Time::Lacks(changes) if changes.is_empty() => obstacles.push(OUT_OF_REACH.to_owned()),
            Time::Lacks(_) => {
                obstacles.push("there is no time for it among that day's visits and ways".to_owned())
            }
            Time::NoSecond => obstacles.push("nobody else is free to come along".to_owned()),
        }
        let changes = reason.remedy().or_else(|| reason.one_more());
        DayReason {
            inspector: who(case, reason.day),
            date: date(case, reason.day),
            obstacles,
            remedy: changes.map(|changes| remedy(case, reason.day, &changes)),
        }
    });
    (told.collect(), easiest_told(case, problem, &plan, (task, &reasons)))
}

/// What keeps a task from being made on the days of those who were announced, in a few words.
#[must_use]
pub fn why_not_as_announced(case: &Case, problem: &Problem, task: u32) -> Vec<String> {
    let Some(placed) = case.tasks.get(task as usize).and_then(|task| task.placed.as_ref()) else {
        return Vec::new();
    };
    let announced = (0..).zip(&case.inspector_days).filter(|(_, day)| {
        placed.inspectors.contains(&day.inspector)
            && (day.starts_at..=day.ends_at).contains(&placed.starts_at)
    });
    let told = announced.flat_map(|(day, _)| {
        obstacles(problem, task, day).into_iter().map(move |obstacle| obstacle_told(case, day, obstacle))
    });
    let mut told: Vec<String> = told.collect();
    told.dedup();
    told
}

fn counts(reasons: &[Reason]) -> Vec<(String, u32)> {
    let mut counts: BTreeMap<&'static str, u32> = BTreeMap::new();
    for reason in reasons {
        for obstacle in &reason.obstacles {
            *counts.entry(kind(obstacle)).or_default() += 1;
        }
        match &reason.time {
            Time::Fits => {}
            Time::Lacks(changes) if changes.is_empty() => *counts.entry("out of reach").or_default() += 1,
            Time::Lacks(_) => *counts.entry("no time").or_default() += 1,
            Time::NoSecond => *counts.entry("nobody to come along").or_default() += 1,
        }
    }
    let mut counts: Vec<(String, u32)> =
        counts.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts
}

fn kind(obstacle: &Obstacle) -> &'static str {
    match obstacle {
        Obstacle::Unavailable => "away",
        Obstacle::Competence { .. } => "not competent",
        Obstacle::CompetenceExpired { .. } => "competence over",
        Obstacle::Language => "language",
        Obstacle::Conflict { .. } => "conflict of interest",
        Obstacle::Entry { .. } => "may not enter",
        Obstacle::Locked => "locked",
    }
}

fn obstacle_told(case: &Case, day: u32, obstacle: Obstacle) -> String {
    match obstacle {
        Obstacle::Unavailable => "cannot be sent on that day".to_owned(),
        Obstacle::Competence { category } => {
            format!("is not competent for {}", word(&case.categories, category))
        }
        Obstacle::CompetenceExpired { category, expired_at } => format!(
            "competence for {} ends on {}",
            word(&case.categories, category),
            // The instant is the end of the day after the last one that counts.
            local(case, day, expired_at - 2 * DAY_MIN).format("%Y-%m-%d")
        ),
        Obstacle::Language => "speaks none of the languages that are needed there".to_owned(),
        Obstacle::Conflict { party } => {
            format!("has a conflict of interest with {}", word(&case.parties, party))
        }
        Obstacle::Entry { country } => format!("may not enter {}", word(&case.countries, country)),
        Obstacle::Locked => "what was announced is locked".to_owned(),
    }
}

/// All of a remedy in one sentence.
fn remedy(case: &Case, day: u32, changes: &[Change]) -> String {
    let real = changes.iter().any(|change| !matches!(change, Change::Second { .. }));
    let mut told = format!("{}, {}", who(case, day), date(case, day));
    let (mut on, mut next) = (day, ": ");
    for change in changes {
        match change {
            Change::Second { day, meet_at } => {
                on = *day;
                let at = local(case, on, *meet_at).format("%H:%M");
                told.push_str(&format!("; together with {}, from {at}", who(case, on)));
                next = ": ";
            }
            change => {
                told.push_str(next);
                told.push_str(&change_told(case, on, change));
                next = ", and ";
            }
        }
    }
    if !real {
        told.push_str(": there is room for it; plan again");
    }
    told
}

fn change_told(case: &Case, day: u32, change: &Change) -> String {
    match change {
        Change::LongerDay { by_min } => format!("a working day longer by {}", span(*by_min)),
        Change::ClosesLater { by_min } => format!("the site closes later by {}", span(*by_min)),
        Change::OpensEarlier { by_min } => format!("the site opens earlier by {}", span(*by_min)),
        Change::ShorterNotice { by_min } => format!("the host accepts a notice shorter by {}", span(*by_min)),
        Change::LaterBreak { by_min } => format!("the break comes later by {}", span(*by_min)),
        Change::Displaces { visit } => match case.tasks.get(*visit as usize) {
            Some(task) => format!("displaces {} at {}", task.shipment_key, task.site_name),
            None => "displaces another visit".to_owned(),
        },
        Change::RenewCompetence { category } => {
            format!("competence for {} renewed", word(&case.categories, *category))
        }
        Change::AddCompetence { category } => {
            format!("made competent for {}", word(&case.categories, *category))
        }
        Change::AddLanguage { language } => {
            format!("an interpreter for {}", word(&case.languages, *language))
        }
        Change::AllowEntry { country } => format!("a visa for {}", word(&case.countries, *country)),
        Change::MakeAvailable => "can be sent after all".to_owned(),
        Change::Unlock => "what was announced may change".to_owned(),
        Change::OneMore { language: None } => format!("one more inspector like {}", who(case, day)),
        Change::OneMore { language: Some(language) } => {
            format!("one more inspector, who speaks {}", word(&case.languages, *language))
        }
        Change::Second { .. } => String::new(),
    }
}

fn span(minutes: i32) -> String {
    match (minutes / (24 * 60), minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, 0) => format!("{days} days"),
        (days, hours, _) => format!("{days} days {hours} h"),
    }
}

const DAY_MIN: i32 = 1_440;

fn word(words: &[String], number: u32) -> &str {
    words.get(number as usize).map_or("what is not known", String::as_str)
}

/// Whose day it is.
#[must_use]
pub fn who(case: &Case, day: u32) -> String {
    let person =
        case.inspector_days.get(day as usize).and_then(|day| case.inspectors.get(day.inspector as usize));
    person.map_or_else(String::new, |person| person.name.clone())
}

/// The date of a day, where the inspector is based.
#[must_use]
pub fn date(case: &Case, day: u32) -> String {
    let starts_at = case.inspector_days.get(day as usize).map_or(0, |day| day.starts_at);
    local(case, day, starts_at).format("%Y-%m-%d").to_string()
}

/// A minute by the clock where a day's inspector is based.
fn local(case: &Case, day: u32, minute: i32) -> chrono::DateTime<Tz> {
    let person =
        case.inspector_days.get(day as usize).and_then(|day| case.inspectors.get(day.inspector as usize));
    let zone = person.and_then(|person| person.time_zone.parse().ok()).unwrap_or(Tz::UTC);
    case.instant(minute).utc().with_timezone(&zone)
}
