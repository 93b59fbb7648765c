//! The pages of plans: the list with the form that asks for one, the review, and why a task is left out.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Form, Path, ServiceConfig};
use askama::Template;
use bytes::Bytes;
use chrono::{Datelike as _, Days, Weekday};
use endcheck_protocol::ids::PlanId;
use endcheck_protocol::time::Timestamp;
use serde::Deserialize;

use super::review::{Review, ReviewDay};
use super::timeline::MOST_LINES;
use super::{Away, Closed, PlanSummary, ProposePlan, Stage, TaskReasons, VisaRefused, map, store, timeline};
use crate::accounts::{PageSession, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::idempotency::OnceKey;
use crate::pages::{self, Shell};
use crate::resource::resource;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/plans").get(list).post(propose))
        .service(resource("/plans/{id}").get(show))
        .service(resource("/plans/{id}/stop").post(stop))
        .service(resource("/plans/{id}/accept").post(accept))
        .service(resource("/plans/{id}/dismiss").post(dismiss))
        .service(resource("/plans/{id}/reasons/{task}").get(reasons));
}

#[derive(Template)]
#[template(path = "plans.html")]
struct PlansPage {
    shell: Shell,
    roster: Option<store::HeldRoster>,
    inspectors: Vec<String>,
    plans: Vec<PlanSummary>,
    may_plan: bool,
    form: ProposeForm,
    refusal: Option<String>,
}

/// What the form asks for, as it is typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ProposeForm {
    csrf_token: String,
    first_day: String,
    days: String,
    note: String,
    country: String,
    seconds: String,
    hold: Option<String>,
    away: String,
    away_from: String,
    away_to: String,
    closed: String,
    closed_from: String,
    closed_to: String,
    refused: String,
    refused_country: String,
}

impl ProposeForm {
    /// As it stands before anybody typed: the next working week.
    fn blank(now: Timestamp) -> Self {
        let today = now.day();
        let monday = (1..=7)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .find(|day| day.weekday() == Weekday::Mon);
        Self {
            first_day: monday.unwrap_or(today).to_string(),
            days: "5".to_owned(),
            seconds: "5".to_owned(),
            ..Self::default()
        }
    }

    fn command(&self) -> Result<ProposePlan> {
        let number = |name: &str, text: &str| {
            let read = text.trim().parse().ok();
            read.ok_or_else(|| Error::invalid_field(name, format!("{text:?} is not a whole number")))
        };
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let upper = |text: &str| given(text).map(|text| text.to_uppercase());
        let away = given(&self.away).map(|inspector| Away {
            inspector,
            from: self.away_from.trim().to_owned(),
            to: self.away_to.trim().to_owned(),
        });
        let closed = upper(&self.closed).map(|country| Closed {
            country,
            from: self.closed_from.trim().to_owned(),
            to: self.closed_to.trim().to_owned(),
        });
        let refused = given(&self.refused).map(|inspector| VisaRefused {
            inspector,
            country: upper(&self.refused_country).unwrap_or_default(),
        });
        Ok(ProposePlan {
            first_day: self.first_day.trim().to_owned(),
            days: number("days", &self.days)?,
            note: self.note.clone(),
            country: upper(&self.country),
            seconds: Some(u32::try_from(number("seconds", &self.seconds)?).unwrap_or(0)),
            iterations: None,
            seed: None,
            seeds: None,
            away: away.into_iter().collect(),
            closed: closed.into_iter().collect(),
            refused: refused.into_iter().collect(),
            urgent: Vec::new(),
            locked: Vec::new(),
            hold: self.hold.is_some(),
        })
    }
}

async fn list(app: Data<App>, session: PageSession) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let form = ProposeForm::blank(app.clock.now());
    plans_page(app, &session, form, None).await
}

async fn plans_page(
    app: Data<App>,
    session: &PageSession,
    form: ProposeForm,
    refusal: Option<String>,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    let shell = Shell::of(session, "Plans");
    let may_plan = session.actor.may(Permission::ScheduleVisits);
    let page = app
        .into_inner()
        .read(move |conn| {
            let held = store::newest_roster(conn)?;
            let inspectors = match &held {
                Some((_, text)) => {
                    super::read_roster(text)?.inspectors.into_iter().map(|one| one.login).collect()
                }
                None => Vec::new(),
            };
            Ok(PlansPage {
                shell,
                roster: held.map(|(held, _)| held),
                inspectors,
                plans: super::list(conn, now)?,
                may_plan,
                form,
                refusal,
            })
        })
        .await?;
    let mut response = pages::html(&page)?;
    if page.refusal.is_some() {
        *response.status_mut() = pages::status(409);
    }
    Ok(response)
}

async fn propose(app: Data<App>, session: PageSession, form: Form<ProposeForm>) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ScheduleVisits)?;
    let shared = app.clone().into_inner();
    let form = form.into_inner();
    let made = match form.command() {
        Ok(command) => {
            let once = OnceKey::new(None, "/plans".to_owned())?;
            super::propose(&shared, &session.actor, command, (once, Bytes::new())).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(id) => Ok(to_plan(&id)),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => plans_page(app, &session, form, Some(refusal.told().to_string())).await,
    }
}

fn to_plan(id: &PlanId) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((LOCATION, format!("/plans/{id}"))).finish()
}

/// What the page shows of a plan that was found.
struct Found {
    review: Review,
    map: String,
    timeline: String,
    /// Days that the timeline leaves out.
    not_drawn: usize,
}

impl Found {
    /// One of these for each inspector: colour, name, days, stops, hours on the way.
    fn legend(&self) -> Vec<(String, String, usize, usize, i32)> {
        let mut lines: Vec<(&ReviewDay, usize, usize, i32)> = Vec::new();
        for day in &self.review.days {
            match lines.last_mut() {
                Some((first, days, stops, travel)) if first.login == day.login => {
                    *days += 1;
                    *stops += day.stops.len();
                    *travel += day.travel_min;
                }
                _ => lines.push((day, 1, day.stops.len(), day.travel_min)),
            }
        }
        lines
            .into_iter()
            .map(|(day, days, stops, travel)| {
                (day.colour.clone(), day.inspector.clone(), days, stops, (travel + 30) / 60)
            })
            .collect()
    }

    fn stops(&self) -> usize {
        self.review
            .days
            .iter()
            .flat_map(|day| &day.stops)
            .map(|stop| stop.task)
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    }

    /// Begun days that all visits together are past their deadlines.
    fn late_days(&self) -> i64 {
        (self.review.score.late_hours + 23) / 24
    }

    fn late_stops(&self) -> usize {
        self.review.days.iter().flat_map(|day| &day.stops).filter(|stop| stop.late).count()
    }

    fn travel_hours(&self) -> i64 {
        (self.review.score.travel_min + 30) / 60
    }

    /// Moves that could have been left alone, of what was announced.
    fn free_moves(&self) -> usize {
        self.review.moves.iter().filter(|one| one.announced && !one.forced).count()
    }
}

#[derive(Template)]
#[template(path = "plan.html")]
struct PlanPage {
    shell: Shell,
    plan: PlanSummary,
    found: Option<Found>,
    may_decide: bool,
    percent: i64,
    refusal: Option<String>,
}

async fn show(app: Data<App>, session: PageSession, id: Path<PlanId>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    plan_page(app, &session, id.into_inner(), None).await
}

async fn plan_page(
    app: Data<App>,
    session: &PageSession,
    id: PlanId,
    refusal: Option<String>,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    let shell = Shell::of(session, "Plan");
    let may_decide = session.actor.may(Permission::ScheduleVisits);
    let page = app
        .into_inner()
        .read(move |conn| {
            let super::PlanDetail { summary, review } = super::detail(conn, &id, now)?;
            let found = match (review, super::found(conn, &id)?) {
                (Some(review), Some((case, outcome, _))) => Some(Found {
                    map: map::draw(&case, &outcome),
                    timeline: timeline::draw(&review.days),
                    not_drawn: review.days.len().saturating_sub(MOST_LINES),
                    review,
                }),
                _ => None,
            };
            let whole = (summary.iterations * summary.seeds).max(1);
            let percent = (summary.iterations_done * 100 / whole).clamp(0, 100);
            Ok(PlanPage { shell, plan: summary, found, may_decide, percent, refusal })
        })
        .await?;
    let mut response = pages::html(&page)?;
    if page.refusal.is_some() {
        *response.status_mut() = pages::status(409);
    }
    Ok(response)
}

#[derive(Deserialize)]
struct DecideForm {
    csrf_token: String,
    #[serde(default)]
    reason: String,
}

/// Does something with a plan and goes back to its page, with the refusal if there is one.
async fn act(
    app: Data<App>,
    session: PageSession,
    id: PlanId,
    form: DecideForm,
    deed: fn(
        &mut crate::db::Conn,
        &crate::accounts::Actor,
        &PlanId,
        String,
        Timestamp,
    ) -> Result<PlanSummary>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    session.actor.require(Permission::ScheduleVisits)?;
    let now = app.clock.now();
    let (shared, actor, of) = (app.clone().into_inner(), session.actor.clone(), id.clone());
    match shared.write(move |conn| deed(conn, &actor, &of, form.reason, now)).await {
        Ok(_) => Ok(to_plan(&id)),
        Err(error @ Error::Internal(_)) => Err(error),
        Err(refusal) => plan_page(app, &session, id, Some(refusal.told().to_string())).await,
    }
}

async fn stop(
    app: Data<App>,
    session: PageSession,
    id: Path<PlanId>,
    form: Form<DecideForm>,
) -> Result<HttpResponse> {
    let stop = |conn: &mut _, actor: &_, id: &_, _, now| super::stop(conn, actor, id, now);
    act(app, session, id.into_inner(), form.into_inner(), stop).await
}

async fn accept(
    app: Data<App>,
    session: PageSession,
    id: Path<PlanId>,
    form: Form<DecideForm>,
) -> Result<HttpResponse> {
    act(app, session, id.into_inner(), form.into_inner(), super::accept).await
}

async fn dismiss(
    app: Data<App>,
    session: PageSession,
    id: Path<PlanId>,
    form: Form<DecideForm>,
) -> Result<HttpResponse> {
    act(app, session, id.into_inner(), form.into_inner(), super::dismiss).await
}

#[derive(Template)]
#[template(path = "plan_reasons.html")]
struct ReasonsPage {
    shell: Shell,
    plan: PlanId,
    task: TaskReasons,
}

async fn reasons(app: Data<App>, session: PageSession, path: Path<(PlanId, u32)>) -> Result<HttpResponse> {
    session.actor.require(Permission::ReadVisits)?;
    let (id, task) = path.into_inner();
    let shell = Shell::of(&session, "Why not");
    let page = app
        .into_inner()
        .read(move |conn| {
            let task = super::day_reasons(conn, &id, task)?;
            Ok(ReasonsPage { shell, plan: id, task })
        })
        .await?;
    pages::html(&page)
}
