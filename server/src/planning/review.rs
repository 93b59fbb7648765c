//! What a person looks at before a plan is accepted: each inspector's days, what moves and why, what is left out and
//! what would let it in. Pure: worked out from the case and what was found.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use endcheck_planner::visits::Problem;
use endcheck_planner::visits::replan;
use endcheck_protocol::ids::{CheckId, VisitId};
use endcheck_protocol::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::case::{Apart, Case, Task};
use super::map;
use super::reasons::{self, LeftOut};
use super::solve::{Outcome, OutcomeScore};

/// A plan as it is reviewed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Review {
    pub score: OutcomeScore,
    pub days: Vec<ReviewDay>,
    pub moves: Vec<ReviewMove>,
    pub left_out: Vec<ReviewLeftOut>,
    pub apart: Vec<ReviewApart>,
    /// What happened that the plan takes into account.
    pub events: Vec<String>,
    /// Whether a checker that shares no code with the search finds nothing wrong.
    pub checked: bool,
}

/// One inspector's day.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewDay {
    /// Its number among the days that could be planned.
    pub day: u32,
    pub login: String,
    /// Of the inspector on the map.
    pub colour: String,
    pub inspector: String,
    /// IANA zone of the inspector.
    pub time_zone: String,
    /// `YYYY-MM-DD`, as the inspector's calendar has it.
    pub date: String,
    pub from: String,
    pub to: String,
    pub leaves_at: Timestamp,
    pub returns_at: Timestamp,
    pub breaks_at: Vec<Timestamp>,
    pub break_min: i32,
    pub travel_min: i32,
    pub stops: Vec<ReviewStop>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewStop {
    pub task: u32,
    pub visit: Option<VisitId>,
    pub check: CheckId,
    pub shipment_key: String,
    pub site_name: String,
    pub country: String,
    pub starts_at: Timestamp,
    pub ends_at: Timestamp,
    pub due_at: Timestamp,
    pub late: bool,
    /// `new`, `moved` or `stays`.
    pub change: &'static str,
    /// Who comes along, of a visit of two.
    pub with: Option<String>,
}

/// Something on the calendar that the plan moves.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewMove {
    pub task: u32,
    pub visit: Option<VisitId>,
    pub shipment_key: String,
    pub site_name: String,
    /// Whether the host was told of it.
    pub announced: bool,
    pub from: ReviewPlacing,
    /// Nothing where the plan leaves it out.
    pub to: Option<ReviewPlacing>,
    /// Whether it cannot stay as it is, whatever one does.
    pub forced: bool,
    pub why: String,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewPlacing {
    pub inspectors: Vec<String>,
    pub starts_at: Timestamp,
    /// IANA zone of the site.
    pub time_zone: String,
}

impl ReviewPlacing {
    /// In one line, by the clock at the site, which is the host's.
    #[must_use]
    pub fn told(&self) -> String {
        let zone: Tz = self.time_zone.parse().unwrap_or(Tz::UTC);
        let starts_at = self.starts_at.utc().with_timezone(&zone);
        format!("{}, {} ({zone})", self.inspectors.join(" and "), starts_at.format("%a %-d %b %H:%M"))
    }
}

/// Something that the plan leaves out.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewLeftOut {
    pub task: u32,
    pub visit: Option<VisitId>,
    pub check: CheckId,
    pub shipment_key: String,
    pub site_name: String,
    pub country: String,
    pub due_at: Timestamp,
    pub risk: i64,
    /// Each reason with the number of inspector-days on which it stands in the way.
    pub counts: Vec<(String, u32)>,
    pub easiest: Vec<String>,
    pub worked_out: bool,
}

/// Something that cannot be planned with at all.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReviewApart {
    pub visit: Option<VisitId>,
    pub check: CheckId,
    pub shipment_key: String,
    pub site_name: String,
    pub reason: String,
}

/// Works out what is to be looked at.
#[must_use]
pub fn review(case: &Case, problem: &Problem, outcome: &Outcome, left_out: &[LeftOut]) -> Review {
    let plan = outcome.plan();
    let moves = replan::moves(problem, &plan);
    let moved: BTreeMap<u32, bool> = moves.iter().map(|one| (one.visit, one.forced)).collect();
    let sent = sent(case, outcome);
    let days = outcome.days.iter().filter_map(|day| {
        let of = case.inspector_days.get(day.day as usize)?;
        let person = case.inspectors.get(of.inspector as usize)?;
        let place =
            |number: u32| case.places.get(number as usize).map_or_else(String::new, |it| it.name.clone());
        let stops = day.stops.iter().filter_map(|(number, starts_at)| {
            let task = case.tasks.get(*number as usize)?;
            let others = sent.get(number).into_iter().flatten().filter(|other| **other != of.inspector);
            let with = others
                .filter_map(|other| case.inspectors.get(*other as usize))
                .map(|it| it.name.clone())
                .next();
            Some(ReviewStop {
                task: *number,
                visit: task.visit.clone(),
                check: task.check.clone(),
                shipment_key: task.shipment_key.clone(),
                site_name: task.site_name.clone(),
                country: country(case, task),
                starts_at: case.instant(*starts_at),
                ends_at: case.instant(starts_at + task.duration_min),
                due_at: case.instant(task.due_at),
                late: starts_at + task.duration_min > task.due_at,
                change: match task.placed {
                    None => "new",
                    Some(_) if moved.contains_key(number) => "moved",
                    Some(_) => "stays",
                },
                with,
            })
        });
        Some(ReviewDay {
            day: day.day,
            login: person.login.clone(),
            colour: map::colour(of.inspector).to_owned(),
            inspector: person.name.clone(),
            time_zone: person.time_zone.clone(),
            date: reasons::date(case, day.day),
            from: place(of.from),
            to: place(of.to),
            leaves_at: case.instant(day.leaves_at),
            returns_at: case.instant(day.returns_at),
            breaks_at: day.breaks_at.iter().map(|at| case.instant(*at)).collect(),
            break_min: of.break_min,
            travel_min: travel(case, problem, day.day, &day.stops),
            stops: stops.collect(),
        })
    });
    let mut days: Vec<ReviewDay> = days.collect();
    days.sort_by(|a, b| (&a.inspector, &a.login, a.leaves_at).cmp(&(&b.inspector, &b.login, b.leaves_at)));
    Review {
        score: outcome.score,
        days,
        moves: moves.iter().filter_map(|one| moved_told(case, problem, one)).collect(),
        left_out: left_out.iter().filter_map(|one| left_out_told(case, one)).collect(),
        apart: case.apart.iter().map(apart_told).collect(),
        events: case.events.iter().map(|event| event.told().to_owned()).collect(),
        checked: super::solve::holds(problem, outcome),
    }
}

/// Who is sent to each task, by their numbers, in the order of the numbers.
pub fn sent(case: &Case, outcome: &Outcome) -> BTreeMap<u32, Vec<u32>> {
    let mut sent: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for day in &outcome.days {
        let Some(of) = case.inspector_days.get(day.day as usize) else { continue };
        for (task, _) in &day.stops {
            sent.entry(*task).or_default().push(of.inspector);
        }
    }
    for people in sent.values_mut() {
        people.sort_unstable();
    }
    sent
}

fn travel(case: &Case, problem: &Problem, day: u32, stops: &[(u32, i32)]) -> i32 {
    let Some(of) = case.inspector_days.get(day as usize) else { return 0 };
    let mut at = of.from;
    let mut minutes = 0;
    for place in
        stops.iter().filter_map(|(task, _)| Some(case.tasks.get(*task as usize)?.place)).chain([of.to])
    {
        minutes += problem.ways.minutes(at, place);
        at = place;
    }
    minutes
}

fn country(case: &Case, task: &Task) -> String {
    case.countries.get(task.country as usize).cloned().unwrap_or_default()
}

fn moved_told(case: &Case, problem: &Problem, one: &replan::Move) -> Option<ReviewMove> {
    let task = case.tasks.get(one.visit as usize)?;
    let placed = task.placed.as_ref()?;
    let named = |people: &[u32]| -> Vec<String> {
        let people = people.iter().filter_map(|number| case.inspectors.get(*number as usize));
        people.map(|person| person.name.clone()).collect()
    };
    let why = if task.locked && one.to.is_none() {
        "It is locked and stays on the calendar, though the rules would not have it there; its inspectors are sent \
         nowhere else that day."
            .to_owned()
    } else if one.forced {
        let told = reasons::why_not_as_announced(case, problem, one.visit);
        if told.is_empty() {
            "It cannot be made at that time: hours, ways or notice do not allow it.".to_owned()
        } else {
            format!("It cannot stay: {}.", told.join("; "))
        }
    } else if one.to.is_none() {
        "It gives way to what weighs more.".to_owned()
    } else {
        "It could stay; it makes room for what weighs more than moving it.".to_owned()
    };
    Some(ReviewMove {
        task: one.visit,
        visit: task.visit.clone(),
        shipment_key: task.shipment_key.clone(),
        site_name: task.site_name.clone(),
        announced: task.told,
        from: ReviewPlacing {
            inspectors: named(&placed.inspectors),
            starts_at: case.instant(placed.starts_at),
            time_zone: task.time_zone.clone(),
        },
        to: one.to.as_ref().map(|(people, starts_at)| ReviewPlacing {
            inspectors: named(people),
            starts_at: case.instant(*starts_at),
            time_zone: task.time_zone.clone(),
        }),
        forced: one.forced,
        why,
    })
}

fn left_out_told(case: &Case, one: &LeftOut) -> Option<ReviewLeftOut> {
    let task = case.tasks.get(one.task as usize)?;
    Some(ReviewLeftOut {
        task: one.task,
        visit: task.visit.clone(),
        check: task.check.clone(),
        shipment_key: task.shipment_key.clone(),
        site_name: task.site_name.clone(),
        country: country(case, task),
        due_at: case.instant(task.due_at),
        risk: task.risk,
        counts: one.counts.clone(),
        easiest: one.easiest.clone(),
        worked_out: one.worked_out,
    })
}

fn apart_told(one: &Apart) -> ReviewApart {
    ReviewApart {
        visit: one.visit.clone(),
        check: one.check.clone(),
        shipment_key: one.shipment_key.clone(),
        site_name: one.site_name.clone(),
        reason: one.reason.clone(),
    }
}
