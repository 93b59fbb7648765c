//! Visits, inspectors and their days: what a plan has to respect, what it costs, and a plan itself.
//!
//! Instants are minutes from an origin that the caller chooses; zones, holidays and leave have become windows and
//! days before they come here. Places are numbers into [`Ways`].

mod bounds;
pub mod calendar;
mod change;
pub mod check;
mod day;
mod fit;
pub mod generate;
mod insert;
pub mod replan;
mod search;
mod seeds;
mod state;
mod together;
pub mod ways;
pub mod why;

use crate::sisr::{Schedule, Watch, run};
pub use bounds::{Refusal, refuse};
pub use fit::Obstacle;
pub use seeds::{Found, Run, plan_best_of, plan_seeds};
use state::State;
pub use ways::Ways;

/// Who may be sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspector {
    /// What they are competent for, each until an instant.
    pub competences: Vec<Competence>,
    /// The languages they speak.
    pub languages: Vec<u32>,
    /// Parties they must not visit: a conflict of interest.
    pub conflicts: Vec<u32>,
    /// Countries they may not enter.
    pub barred: Vec<u32>,
}

/// A competence for a category of items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Competence {
    /// The category.
    pub category: u32,
    /// It counts on days of which the 24 hours from the start are over by then.
    pub expires_at: i32,
}

/// A day of an inspector: one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectorDay {
    /// Whose day.
    pub inspector: u32,
    /// False where they cannot be sent after all: ill, or no visa.
    pub available: bool,
    /// Not to leave before.
    pub starts_at: i32,
    /// To be back by then.
    pub ends_at: i32,
    /// Where they start, at home or where they slept.
    pub from: u32,
    /// Where they must be at the end.
    pub to: u32,
    /// The longest time from leaving to being back.
    pub most_duty_min: i32,
    /// The longest time without a break.
    pub most_without_break_min: i32,
    /// How long a break is.
    pub break_min: i32,
}

impl InspectorDay {
    /// Until when a competence must last to count on this day.
    pub(crate) fn competent_until(&self) -> i32 {
        self.starts_at + DAY_MIN
    }
}

/// What is to be done at one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Where.
    pub place: u32,
    /// In which country.
    pub country: u32,
    /// How long.
    pub duration_min: i32,
    /// When the site is open to us: the visit lies within one of them, whole. In order, apart from each other.
    pub windows: Vec<(i32, i32)>,
    /// Not before: the notice that the host must be given.
    pub not_before: i32,
    /// The legal deadline for its end.
    pub due_at: Option<i32>,
    /// Competences that everyone sent must have.
    pub categories: Vec<u32>,
    /// Languages of which everyone sent must speak one; none means that any will do.
    pub languages: Vec<u32>,
    /// The parties it is about.
    pub parties: Vec<u32>,
    /// One person or two.
    pub people: u8,
    /// What is lost if it is not made, from 1 to 10,000.
    pub risk: i64,
    /// What the host was told.
    pub announced: Option<Announced>,
}

/// What was said to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Who comes.
    pub inspectors: Vec<u32>,
    /// When.
    pub starts_at: i32,
    /// The day that was named, by the clock at the site: from its first instant until its last is over.
    pub day: (i32, i32),
    /// What a change of it costs: the shorter the notice, the more.
    pub weight: i64,
    /// It must not be changed at all.
    pub locked: bool,
}

/// All that a plan is made from.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Who there is.
    pub inspectors: Vec<Inspector>,
    /// Their days.
    pub days: Vec<InspectorDay>,
    /// What is to be visited.
    pub visits: Vec<Visit>,
    /// How long it takes from place to place.
    pub ways: Ways,
}

/// What a plan costs, the weightiest first; less is better, compared in this order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    /// The sum of the risks of visits that are not in the plan.
    pub unserved_risk: i64,
    /// Hours past legal deadlines, begun hours counted whole, for each person.
    pub late_hours: i64,
    /// What was announced and is changed: weight × (1 for another inspector, 1 for another time, 2 for another day).
    pub disruption: i64,
    /// Minutes on the way.
    pub travel_min: i64,
    /// The sum of the squares of each inspector's minutes on the way and at sites.
    pub spread: i64,
}

/// Who goes where, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The days on which somebody is sent, by their number in the problem.
    pub days: Vec<PlannedDay>,
    /// The visits that are in no day.
    pub unplanned: Vec<u32>,
    /// What it costs.
    pub score: Score,
}

/// One inspector's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedDay {
    /// Its number in [`Problem::days`].
    pub day: u32,
    /// When to leave.
    pub leaves_at: i32,
    /// The visits, in order.
    pub stops: Vec<PlannedStop>,
    /// When breaks start.
    pub breaks_at: Vec<i32>,
    /// When to be back.
    pub returns_at: i32,
}

/// One visit of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedStop {
    /// Its number in [`Problem::visits`].
    pub visit: u32,
    /// When it starts.
    pub starts_at: i32,
}

/// What one move of an announced visit costs, before its weight.
pub(crate) const OTHER_INSPECTOR: i64 = 1;
pub(crate) const OTHER_TIME: i64 = 1;
pub(crate) const OTHER_DAY: i64 = 2;
/// Two people meet at whole multiples of this, unless something else was announced.
pub(crate) const MEETING_STEP_MIN: i32 = 15;
/// Minutes of a day.
pub(crate) const DAY_MIN: i32 = 1_440;

/// The schedule that plans are made with: one round that weighs loosely, one that weighs as the score does. Its
/// temperatures fit the weights in `state`.
#[must_use]
pub fn schedule(iterations: u64) -> Schedule {
    Schedule {
        iterations,
        rounds: 2,
        start_temperature: 3_000.0,
        end_temperature: 30.0,
        mean_removed: 10.0,
        longest_string: 10.0,
        // Days are short.
        longest_string_of_half: 10.0,
    }
}

/// Makes a plan. It depends on the problem, the seed and the schedule alone.
///
/// # Errors
///
/// What in the problem cannot be planned with, by name.
pub fn plan(
    problem: &Problem,
    seed: u64,
    schedule: &Schedule,
    watch: &mut impl Watch,
) -> Result<Plan, Refusal> {
    refuse(problem)?;
    Ok(run(State::new(problem, None), seed, schedule, watch))
}

/// Makes a plan that starts from another one: what of it still fits is kept at first, and what was announced is moved
/// only for something that weighs more. There is one round, which weighs as the score does.
///
/// # Errors
///
/// What in the problem cannot be planned with, by name.
pub fn plan_from(
    problem: &Problem,
    before: &Plan,
    seed: u64,
    schedule: &Schedule,
    watch: &mut impl Watch,
) -> Result<Plan, Refusal> {
    refuse(problem)?;
    Ok(run(State::new(problem, Some(before)), seed, &starting_from_a_plan(schedule), watch))
}

/// A schedule of one round, which weighs as the score does: so little moves of what was there.
fn starting_from_a_plan(schedule: &Schedule) -> Schedule {
    Schedule { rounds: 1, ..*schedule }
}

/// What a visit costs beyond the way, if one person makes it at an instant.
pub(crate) fn late_hours(visit: &Visit, starts_at: i32) -> i64 {
    let over = visit.due_at.map_or(0, |due_at| (starts_at + visit.duration_min - due_at).max(0));
    i64::from(over).div_euclid(60) + i64::from(over % 60 > 0)
}

/// What is changed of what was announced, if one person makes a visit at an instant.
pub(crate) fn disruption(visit: &Visit, inspector: u32, starts_at: i32) -> i64 {
    let Some(announced) = &visit.announced else { return 0 };
    let mut points = 0;
    if !announced.inspectors.contains(&inspector) {
        points += OTHER_INSPECTOR;
    }
    if !(announced.day.0..announced.day.1).contains(&starts_at) {
        points += OTHER_DAY;
    } else if announced.starts_at != starts_at {
        points += OTHER_TIME;
    }
    points * announced.weight
}
