//! Plans of visits: who goes where and when, proposed by the planner, reviewed and accepted by a person.
//!
//! What goes into a plan is gathered into a case and kept; the search works on the case alone. Nothing on the calendar
//! changes until somebody accepts, and then everything or nothing does. Decides nothing about a visit but its time
//! and its people.

mod case;
pub mod commands;
mod decide;
mod gather;
mod http;
mod map;
mod page;
mod reasons;
mod review;
mod roster;
mod solve;
mod store;
mod timeline;
mod work;
mod zones;

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use endcheck_planner::visits::{Refusal, refuse};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::{CheckId, PlanId, UserId, VisitId};
use endcheck_protocol::problem::FieldProblem;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{self, Actor, Permission};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::{log, parties, reason, sites};

use case::Case;
pub use decide::{accept, dismiss};
pub use http::{ApiDoc, routes};
pub use reasons::DayReason;
pub use review::Review;
use roster::Roster;
use solve::{Budget, Outcome};
pub use store::HeldRoster;

/// What a plan is asked for.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposePlan {
    /// `YYYY-MM-DD`.
    pub first_day: String,
    /// 1 to 60.
    pub days: i32,
    /// What the plan is for.
    pub note: String,
    /// Only sites of this country, ISO 3166-1 alpha-2.
    #[serde(default)]
    pub country: Option<String>,
    /// About how long to search, 1 to 600; becomes a number of iterations. 5 by default.
    #[serde(default)]
    pub seconds: Option<u32>,
    /// How much to search instead of `seconds`: the same number gives the same plan again.
    #[serde(default)]
    pub iterations: Option<u64>,
    /// 1 by default.
    #[serde(default)]
    pub seed: Option<u32>,
    /// How many searches to make, each with a seed of its own, 1 to 16; the best counts. 2 by default.
    #[serde(default)]
    pub seeds: Option<u64>,
    /// People who cannot be sent after all.
    #[serde(default)]
    pub away: Vec<Away>,
    /// Countries that nobody gets into.
    #[serde(default)]
    pub closed: Vec<Closed>,
    /// Visas that were refused.
    #[serde(default)]
    pub refused: Vec<VisaRefused>,
    /// Checks that cannot wait.
    #[serde(default)]
    pub urgent: Vec<CheckId>,
    /// Visits that must stay as they are.
    #[serde(default)]
    pub locked: Vec<VisitId>,
    /// Whether everything that has a time stays as it is wherever that is possible.
    #[serde(default)]
    pub hold: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Away {
    /// The login.
    pub inspector: String,
    /// First and last day.
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Closed {
    pub country: String,
    pub from: String,
    pub to: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VisaRefused {
    /// The login.
    pub inspector: String,
    pub country: String,
}

/// How far a plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Being searched for.
    Searching,
    /// Found, and waiting to be reviewed.
    Proposed,
    Accepted,
    Dismissed,
    /// The search failed, or the server that searched is gone.
    Failed,
}

impl Stage {
    /// In words.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Searching => "being searched for",
            Self::Proposed => "to be reviewed",
            Self::Accepted => "accepted",
            Self::Dismissed => "dismissed",
            Self::Failed => "no plan",
        }
    }

    /// The class of its tag.
    fn tone(self) -> &'static str {
        match self {
            Self::Searching | Self::Dismissed => "",
            Self::Proposed => "look",
            Self::Accepted => "good",
            Self::Failed => "bad",
        }
    }
}

/// A plan, without what it is made of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanSummary {
    pub id: PlanId,
    pub stage: Stage,
    pub note: String,
    pub roster: Sha256,
    /// What makes it again: the first seed, how many, and iterations of each.
    pub seed: i64,
    pub seeds: i64,
    pub iterations: i64,
    /// Over all seeds.
    pub iterations_done: i64,
    /// Why there is no plan.
    pub failure: Option<String>,
    pub asked_by: UserId,
    pub asked_by_name: String,
    pub asked_at: Timestamp,
    pub found_at: Option<Timestamp>,
    pub decision: Option<Decision>,
}

/// What was decided about a plan.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Decision {
    /// `accepted` or `dismissed`.
    pub verdict: String,
    pub reason: String,
    pub by: UserId,
    pub at: Timestamp,
}

/// A plan with all that is looked at before it is accepted.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanDetail {
    #[serde(flatten)]
    pub summary: PlanSummary,
    /// Once it is found.
    pub review: Option<Review>,
}

/// A search of which nothing was heard for so long is over.
const SILENT: TimeDelta = TimeDelta::seconds(30);
const SECONDS: u32 = 5;
const SEEDS: u64 = 2;
/// Plans that are listed.
const LISTED: i64 = 100;
const MOST_ITERATIONS: u64 = 50_000_000;

impl Budget {
    fn of(row: &store::PlanRow) -> Self {
        let number = |value: i64| u64::try_from(value).unwrap_or(0);
        Self { seed: number(row.seed), seeds: number(row.seeds), iterations: number(row.iterations) }
    }
}

impl Case {
    /// Reads a case as it is stored.
    fn read(document: &str) -> Result<Self> {
        serde_json::from_str(document).map_err(|e| Error::Internal(e.into()))
    }
}

/// Loads a roster; from here on plans are made with it.
///
/// # Errors
/// 403; 409 `roster-held` for the one that is held already; 422 with everything that is wrong, by path.
pub fn load_roster(conn: &mut Conn, actor: &Actor, text: &str, now: Timestamp) -> Result<HeldRoster> {
    actor.require(Permission::ScheduleVisits)?;
    let roster = read_roster(text)?;
    known(conn, &roster)?;
    let held = HeldRoster {
        hash: Sha256::of(text.as_bytes()),
        title: roster.title,
        loaded_by: actor.user.clone(),
        loaded_at: now,
    };
    if store::holds_roster(conn, &held.hash)? {
        return Err(Error::conflict(
            "roster-held",
            "This very roster was loaded before. Change what is to change.",
        ));
    }
    store::insert_roster(conn, &held, text)?;
    Ok(held)
}

/// The roster that counts, with its document.
///
/// # Errors
/// 409 `no-roster` when none was loaded.
pub fn roster(conn: &mut Conn) -> Result<(HeldRoster, String)> {
    store::newest_roster(conn)?.ok_or_else(|| {
        Error::conflict(
            "no-roster",
            "No roster is loaded: who may be sent, when and where to. Load one with \
             `endcheck-server plan roster FILE` or POST /api/v1/rosters.",
        )
    })
}

fn read_roster(text: &str) -> Result<Roster> {
    Roster::read(text).map_err(|faults| {
        let problem =
            |fault: roster::Fault| FieldProblem { line: None, field: fault.path, reason: fault.reason };
        Error::invalid(faults.into_iter().map(problem).collect())
    })
}

/// Looks up whatever a roster names.
fn known(conn: &mut Conn, roster: &Roster) -> Result<()> {
    let mut faults = Vec::new();
    let mut fault = |field: String, reason: String| faults.push(FieldProblem { line: None, field, reason });
    let inspectors = accounts::inspectors(conn)?;
    let conflicts: Vec<&str> =
        roster.inspectors.iter().flat_map(|one| &one.conflicts).map(String::as_str).collect();
    let parties = parties::ids_by_key(conn, conflicts)?;
    for (number, one) in roster.inspectors.iter().enumerate() {
        if !inspectors.contains_key(&one.login) {
            let reason = format!("{:?} is not the login of an active inspector", one.login);
            fault(format!("inspectors[{number}].login"), reason);
        }
        for key in one.conflicts.iter().filter(|key| !parties.contains_key(*key)) {
            fault(format!("inspectors[{number}].conflicts"), format!("{key:?} is the key of no party"));
        }
    }
    let sites = sites::ids_by_key(conn, roster.site_keys())?;
    for key in roster.site_keys().filter(|key| !sites.contains_key(*key)) {
        fault(format!("sites.{key}"), "is the key of no site".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
}

/// Gathers what a plan is made from; nothing is written.
///
/// # Errors
/// 403; 409 `no-roster`; 422.
fn prepare(conn: &mut Conn, actor: &Actor, command: ProposePlan, now: Timestamp) -> Result<store::PlanRow> {
    actor.require(Permission::ScheduleVisits)?;
    let note = reason::require(command.note.clone())?;
    let seeds = command.seeds.unwrap_or(SEEDS);
    let seconds = command.seconds.unwrap_or(SECONDS);
    if !(1..=16).contains(&seeds) {
        return Err(Error::invalid_field("seeds", "is from 1 to 16"));
    }
    if !(1..=600).contains(&seconds) {
        return Err(Error::invalid_field("seconds", "is from 1 to 600"));
    }
    if command.iterations.is_some_and(|iterations| !(1..=MOST_ITERATIONS).contains(&iterations)) {
        return Err(Error::invalid_field("iterations", format!("is from 1 to {MOST_ITERATIONS}")));
    }
    let (held, text) = roster(conn)?;
    let roster = read_roster(&text)?;
    let case = gather::gather(conn, &roster, &command, now)?;
    let document = serde_json::to_string(&case).map_err(|e| Error::Internal(e.into()))?;
    let case = Case::read(&document)?;
    let problem = case.problem().map_err(|refusal| refused(&case, &refusal))?;
    refuse(&problem).map_err(|refusal| refused(&case, &refusal))?;
    let iterations = match command.iterations {
        Some(iterations) => iterations,
        None => solve::calibrate(&case, seconds)?,
    };
    Ok(store::PlanRow {
        id: PlanId::mint(),
        roster_hash: held.hash,
        note,
        case_document: document,
        seed: i64::from(command.seed.unwrap_or(1)),
        seeds: i64::try_from(seeds).unwrap_or(1),
        iterations: i64::try_from(iterations).unwrap_or(i64::MAX),
        asked_by: actor.user.clone(),
        asked_at: now,
    })
}

/// Keeps what a plan is made from; the search is to begin.
///
/// # Errors
/// 409 `planner-busy` while another plan is searched for.
fn ask(conn: &mut Conn, row: &store::PlanRow, now: Timestamp) -> Result<()> {
    // One after the other, also on a database that lets several write.
    log::lock(conn)?;
    let under_way = list(conn, now)?.into_iter().find(|plan| plan.stage == Stage::Searching);
    if let Some(other) = under_way {
        return Err(Error::conflict(
            "planner-busy",
            format!("{} has a plan searched for: wait for it, or stop it.", other.asked_by_name),
        ));
    }
    store::insert_plan(conn, row)
}

/// What the planner refuses, told in the office's words.
fn refused(case: &Case, refusal: &Refusal) -> Error {
    let place = |number: usize| case.places.get(number).map_or("a place", |place| place.name.as_str());
    let told = match refusal {
        Refusal::Way { from, to, what } => format!("the way from {} to {}: {what}", place(*from), place(*to)),
        Refusal::Visit { visit, what } => {
            let site = case.tasks.get(*visit).map_or("a visit", |task| task.site_name.as_str());
            format!("{site}: {what}")
        }
        other => other.to_string(),
    };
    Error::with_status(422, "cannot-be-planned", "There is nothing to plan with", format!("{told}."))
}

/// Asks for a plan and begins to search for it.
///
/// # Errors
/// 403; 409 `no-roster`, or `planner-busy` while another plan is searched for; 422.
pub async fn propose(
    app: &Arc<App>,
    actor: &Actor,
    command: ProposePlan,
    (key, body): (OnceKey, Bytes),
) -> Result<PlanId> {
    let now = app.clock.now();
    let asking = actor.clone();
    let row = app.read(move |conn| prepare(conn, &asking, command, now)).await?;
    let (fresh, actor) = (row.id.clone(), actor.clone());
    let answer = app
        .write(move |conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                ask(conn, &row, now)?;
                Answer::created(&row.id)
            })
        })
        .await?;
    let id: PlanId = serde_json::from_str(&answer.body).map_err(|e| Error::Internal(e.into()))?;
    // A repetition is answered with the plan that is there.
    if id == fresh {
        work::start(app, fresh)?;
    }
    Ok(id)
}

/// The newest plans.
///
/// # Errors
/// When the database fails.
pub fn list(conn: &mut Conn, now: Timestamp) -> Result<Vec<PlanSummary>> {
    Ok(store::listed(conn, None, LISTED)?.into_iter().map(|row| summary(row, now)).collect())
}

fn summary(row: store::Listed, now: Timestamp) -> PlanSummary {
    let (
        id,
        roster,
        note,
        seed,
        seeds,
        iterations,
        asked_by,
        asked_by_name,
        asked_at,
        progress,
        found_at,
        decision,
    ) = row;
    let stage = match (&decision, found_at) {
        (Some(decision), _) if decision.verdict == decide::ACCEPTED => Stage::Accepted,
        (Some(_), _) => Stage::Dismissed,
        (None, Some(_)) => Stage::Proposed,
        (None, None) if progress.failure.is_some() || now.since(progress.heard_at) > SILENT => Stage::Failed,
        (None, None) => Stage::Searching,
    };
    let gone = || "The server that searched is gone. Ask for the plan again.".to_owned();
    PlanSummary {
        id,
        stage,
        note,
        roster,
        seed,
        seeds,
        iterations,
        iterations_done: progress.iterations_done,
        failure: progress.failure.or_else(|| (stage == Stage::Failed).then(gone)),
        asked_by,
        asked_by_name,
        asked_at,
        found_at,
        decision: decision.map(|row| Decision {
            verdict: row.verdict,
            reason: row.reason,
            by: row.decided_by,
            at: row.decided_at,
        }),
    }
}

fn find(conn: &mut Conn, id: &PlanId, now: Timestamp) -> Result<PlanSummary> {
    let found = store::listed(conn, Some(id), 1)?.pop();
    found.map(|row| summary(row, now)).ok_or_else(|| Error::not_found("plan"))
}

/// A plan to be reviewed.
///
/// # Errors
/// 404 when there is none.
pub fn detail(conn: &mut Conn, id: &PlanId, now: Timestamp) -> Result<PlanDetail> {
    let summary = find(conn, id, now)?;
    let review = match found(conn, id)? {
        None => None,
        Some((case, outcome, reasons)) => {
            let problem = case.problem().map_err(solve::refused)?;
            Some(review::review(&case, &problem, &outcome, &reasons))
        }
    };
    Ok(PlanDetail { summary, review })
}

fn found(conn: &mut Conn, id: &PlanId) -> Result<Option<(Case, Outcome, Vec<reasons::LeftOut>)>> {
    let Some((document, reasons)) = store::result(conn, id)? else { return Ok(None) };
    let case = Case::read(&store::plan(conn, id)?.case_document)?;
    let reasons = serde_json::from_str(&reasons).map_err(|e| Error::Internal(e.into()))?;
    Ok(Some((case, Outcome::read(&document)?, reasons)))
}

/// Why a task is not in a plan.
#[derive(Debug)]
pub struct TaskReasons {
    /// Where and of which shipment.
    pub name: String,
    /// One for each day of each inspector.
    pub days: Vec<DayReason>,
    /// The smallest changes that would let it in, the easiest first; each was tried.
    pub easiest: Vec<String>,
}

/// Why one task is on none of the inspector-days.
///
/// # Errors
/// 404 when there is no such plan or task, or nothing was found yet.
pub fn day_reasons(conn: &mut Conn, id: &PlanId, task: u32) -> Result<TaskReasons> {
    let (case, outcome, _) = found(conn, id)?.ok_or_else(|| Error::not_found("plan"))?;
    let problem = case.problem().map_err(solve::refused)?;
    let of = case.tasks.get(task as usize).ok_or_else(|| Error::not_found("task"))?;
    let name = format!("{}, {}", of.site_name, of.shipment_key);
    let (days, easiest) = reasons::by_day(&case, &problem, &outcome, task);
    Ok(TaskReasons { name, days, easiest })
}

/// Ends a search with the best so far.
///
/// # Errors
/// 403; 404; 409 `plan-found` when the search is over.
pub fn stop(conn: &mut Conn, actor: &Actor, id: &PlanId, now: Timestamp) -> Result<PlanSummary> {
    actor.require(Permission::ScheduleVisits)?;
    let summary = find(conn, id, now)?;
    if summary.stage != Stage::Searching {
        return Err(Error::conflict("plan-found", "The search is over."));
    }
    store::ask_to_stop(conn, id)?;
    Ok(summary)
}

/// Makes a plan again from what is kept, and says whether every byte is the same.
///
/// # Errors
/// 404 when there is no such plan, or nothing was found.
pub fn replay(conn: &mut Conn, id: &PlanId) -> Result<bool> {
    let row = store::plan(conn, id)?;
    let (document, _) = store::result(conn, id)?.ok_or_else(|| Error::not_found("plan"))?;
    let (case, outcome) = (Case::read(&row.case_document)?, Outcome::read(&document)?);
    Ok(solve::solve_again(&case, &Budget::of(&row), &outcome)?.document()? == document)
}
