//! The case: all that one plan is made from, in the office's words and the planner's numbers.
//!
//! Pure. A case is stored with its plan as text; the planner's problem is always made from that text, so that the
//! same text, seeds and iterations give the same plan wherever it is made again.

use endcheck_planner::visits::replan::{self, Disturbance};
use endcheck_planner::visits::ways::{Mode, Position};
use endcheck_planner::visits::{
    Announced, Competence, Inspector, InspectorDay, Plan, PlannedDay, PlannedStop, Problem, Refusal, Score,
    Visit, Ways,
};
use endcheck_protocol::ids::{CheckId, ShipmentId, SiteId, UserId, VisitId};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

/// All that a plan is made from. Instants without a zone are minutes from `origin_at`; whatever is numbered is numbered
/// from 0.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Case {
    pub origin_at: Timestamp,
    /// When it was gathered.
    pub now_at: Timestamp,
    /// `YYYY-MM-DD`.
    pub first_day: String,
    pub days: i32,
    pub inspectors: Vec<Person>,
    pub inspector_days: Vec<PersonDay>,
    pub places: Vec<Place>,
    pub ways: WaysOf,
    /// Control-list entries, languages, countries: what the numbers stand for.
    pub categories: Vec<String>,
    pub languages: Vec<String>,
    pub countries: Vec<String>,
    /// Keys of those parties that a conflict of interest names.
    pub parties: Vec<String>,
    pub tasks: Vec<Task>,
    /// What of the period cannot be planned with, each with the reason.
    pub apart: Vec<Apart>,
    pub events: Vec<Event>,
    /// Whether all that was announced stays where it can.
    pub hold: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Person {
    pub user: UserId,
    pub login: String,
    pub name: String,
    /// IANA zone in which their days are told.
    pub time_zone: String,
    /// Categories, each until an instant.
    pub competences: Vec<(u32, i32)>,
    pub languages: Vec<u32>,
    pub conflicts: Vec<u32>,
    pub barred: Vec<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonDay {
    pub inspector: u32,
    pub starts_at: i32,
    pub ends_at: i32,
    pub from: u32,
    pub to: u32,
    pub most_duty_min: i32,
    pub most_without_break_min: i32,
    pub break_min: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    pub name: String,
    pub latitude: f64,
    pub longitude: f64,
}

/// How long it takes from place to place.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaysOf {
    /// By great circle and mode.
    Modes(Vec<ModeOf>),
    /// By the operator's table, row by row.
    Table(Vec<i64>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModeOf {
    pub up_to_km: f64,
    pub detour: f64,
    pub kilometres_per_hour: f64,
    pub overhead_min: f64,
}

/// Something to be placed: a visit, or a check that has none yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub visit: Option<VisitId>,
    /// The visit's version that the plan is made from.
    pub version: Option<i64>,
    /// As the visit's state is named.
    pub state: Option<String>,
    pub check: CheckId,
    pub shipment: ShipmentId,
    pub shipment_key: String,
    pub site: SiteId,
    pub site_name: String,
    pub time_zone: String,
    pub place: u32,
    pub country: u32,
    pub duration_min: i32,
    pub windows: Vec<(i32, i32)>,
    pub not_before: i32,
    pub due_at: i32,
    pub categories: Vec<u32>,
    pub languages: Vec<u32>,
    pub parties: Vec<u32>,
    pub people: u8,
    pub risk: i64,
    /// Where it is now.
    pub placed: Option<Placed>,
    /// What a change of that costs.
    pub weight: Option<i64>,
    /// Whether the host was told of it.
    pub told: bool,
    pub locked: bool,
    /// Asked for as urgent.
    pub urgent: bool,
}

/// Where a visit is on the calendar.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Placed {
    pub inspectors: Vec<u32>,
    pub starts_at: i32,
    pub ends_at: i32,
    /// The day of that, by the clock at the site. Plans of earlier versions went by the clock of the origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<(i32, i32)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Apart {
    pub visit: Option<VisitId>,
    pub check: CheckId,
    pub shipment_key: String,
    pub site_name: String,
    pub reason: String,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    Away { inspector: u32, from: i32, to: i32, told: String },
    BorderClosed { country: u32, from: i32, to: i32, told: String },
    VisaRefused { inspector: u32, country: u32, told: String },
}

impl Event {
    /// As a person said it.
    #[must_use]
    pub fn told(&self) -> &str {
        match self {
            Self::Away { told, .. } | Self::BorderClosed { told, .. } | Self::VisaRefused { told, .. } => {
                told
            }
        }
    }
}

impl Case {
    /// The instant of a minute.
    #[must_use]
    pub fn instant(&self, minute: i32) -> Timestamp {
        self.origin_at.plus(chrono::TimeDelta::minutes(i64::from(minute)))
    }

    /// What the planner plans.
    ///
    /// # Errors
    /// What cannot be planned with.
    pub fn problem(&self) -> Result<Problem, Refusal> {
        let inspectors = self.inspectors.iter().map(|person| Inspector {
            competences: person
                .competences
                .iter()
                .map(|(category, expires_at)| Competence { category: *category, expires_at: *expires_at })
                .collect(),
            languages: person.languages.clone(),
            conflicts: person.conflicts.clone(),
            barred: person.barred.clone(),
        });
        let days = self.inspector_days.iter().map(|day| InspectorDay {
            inspector: day.inspector,
            available: true,
            starts_at: day.starts_at,
            ends_at: day.ends_at,
            from: day.from,
            to: day.to,
            most_duty_min: day.most_duty_min,
            most_without_break_min: day.most_without_break_min,
            break_min: day.break_min,
        });
        let mut problem = Problem {
            inspectors: inspectors.collect(),
            days: days.collect(),
            visits: self.tasks.iter().map(visit).collect(),
            ways: self.ways()?,
        };
        for event in &self.events {
            let disturbance = match event {
                Event::Away { inspector, from, to, .. } => {
                    Disturbance::Ill { inspector: *inspector, from: *from, to: *to }
                }
                Event::BorderClosed { country, from, to, .. } => {
                    Disturbance::BorderClosed { country: *country, from: *from, to: *to }
                }
                Event::VisaRefused { inspector, country, .. } => {
                    Disturbance::VisaRefused { inspector: *inspector, country: *country }
                }
            };
            replan::disturb(&mut problem, &disturbance);
        }
        if self.hold {
            replan::hold(&mut problem);
        }
        self.keep_locked(&mut problem);
        Ok(problem)
    }

    /// A visit that a manager locked stays on the calendar though the rules would not have it there: whoever makes it is
    /// sent nowhere else that day.
    fn keep_locked(&self, problem: &mut Problem) {
        let nowhere = Plan { days: Vec::new(), unplanned: Vec::new(), score: Score::default() };
        for one in replan::moves(problem, &nowhere).into_iter().filter(|one| one.forced) {
            let task = self.tasks.get(one.visit as usize).filter(|task| task.locked);
            let Some(placed) = task.and_then(|task| task.placed.as_ref()) else { continue };
            let theirs = problem.days.iter_mut().filter(|day| placed.inspectors.contains(&day.inspector));
            for day in theirs.filter(|day| day.starts_at < placed.ends_at && placed.starts_at < day.ends_at) {
                day.available = false;
            }
        }
    }

    fn ways(&self) -> Result<Ways, Refusal> {
        match &self.ways {
            WaysOf::Modes(modes) => {
                let positions: Vec<Position> = self
                    .places
                    .iter()
                    .map(|place| Position { latitude: place.latitude, longitude: place.longitude })
                    .collect();
                let modes: Vec<Mode> = modes
                    .iter()
                    .map(|mode| Mode {
                        up_to_km: mode.up_to_km,
                        detour: mode.detour,
                        kilometres_per_hour: mode.kilometres_per_hour,
                        overhead_min: mode.overhead_min,
                    })
                    .collect();
                Ways::by_great_circle(&positions, &modes)
            }
            WaysOf::Table(minutes) => {
                let table: Vec<Option<i64>> = minutes.iter().copied().map(Some).collect();
                Ways::from_table(self.places.len(), &table)
            }
        }
    }

    /// The plan that is on the calendar now; nothing where nothing is.
    #[must_use]
    pub fn before(&self) -> Option<Plan> {
        let mut days: Vec<PlannedDay> = Vec::new();
        for (number, day) in (0..).zip(&self.inspector_days) {
            let mut stops: Vec<PlannedStop> = (0..)
                .zip(&self.tasks)
                .filter_map(|(visit, task)| {
                    let placed = task.placed.as_ref()?;
                    let here = (day.starts_at..=day.ends_at).contains(&placed.starts_at)
                        && placed.inspectors.contains(&day.inspector);
                    here.then_some(PlannedStop { visit, starts_at: placed.starts_at })
                })
                .collect();
            stops.sort_by_key(|stop| (stop.starts_at, stop.visit));
            if !stops.is_empty() {
                let (leaves_at, returns_at) = (day.starts_at, day.ends_at);
                days.push(PlannedDay { day: number, leaves_at, stops, breaks_at: Vec::new(), returns_at });
            }
        }
        let planned = |visit: u32| days.iter().any(|day| day.stops.iter().any(|stop| stop.visit == visit));
        let unplanned =
            (0..).zip(&self.tasks).map(|(visit, _)| visit).filter(|visit| !planned(*visit)).collect();
        (!days.is_empty()).then_some(Plan { unplanned, days, score: Score::default() })
    }
}

fn visit(task: &Task) -> Visit {
    let announced = task.placed.as_ref().zip(task.weight).map(|(placed, weight)| Announced {
        inspectors: placed.inspectors.clone(),
        starts_at: placed.starts_at,
        day: placed.day.unwrap_or_else(|| replan::day_of(placed.starts_at)),
        weight,
        locked: task.locked,
    });
    Visit {
        place: task.place,
        country: task.country,
        duration_min: task.duration_min,
        windows: task.windows.clone(),
        not_before: task.not_before,
        due_at: Some(task.due_at),
        categories: task.categories.clone(),
        languages: task.languages.clone(),
        parties: task.parties.clone(),
        people: task.people,
        risk: task.risk,
        announced,
    }
}
