//! Rosters and plans over HTTP.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Payload, ServiceConfig};
use endcheck_protocol::ids::PlanId;
use endcheck_protocol::problem::Problem;
use endcheck_protocol::time::Timestamp;
use serde::Deserialize;
use utoipa::{OpenApi, ToSchema};

use super::roster::MAX_ROSTER_BYTES;
use super::{DayReason, HeldRoster, PlanDetail, PlanSummary, ProposePlan};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(load, document, propose, list, find, reasons, stop, accept, dismiss))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/rosters").post(load))
        .service(resource("/api/v1/rosters/newest").get(document))
        .service(resource("/api/v1/plans").post(propose).get(list))
        .service(resource("/api/v1/plans/{id}").get(find))
        .service(resource("/api/v1/plans/{id}/reasons/{task}").get(reasons))
        .service(resource("/api/v1/plans/{id}/stop").post(stop))
        .service(resource("/api/v1/plans/{id}/accept").post(accept))
        .service(resource("/api/v1/plans/{id}/dismiss").post(dismiss))
        .configure(super::page::routes);
}

/// Load a roster, a TOML document: who may be sent, when and where to. The newest counts.
#[utoipa::path(post, path = "/api/v1/rosters", request_body(content = String, content_type = "application/toml"),
    responses((status = 201, body = HeldRoster), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn load(app: Data<App>, actor: Actor, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_ROSTER_BYTES).await?;
    let text = String::from_utf8(body.to_vec())
        .map_err(|_| Error::malformed("not-text", "The roster is not UTF-8 text."))?;
    let app = app.into_inner();
    let now = app.clock.now();
    let held = app.write(move |conn| super::load_roster(conn, &actor, &text, now)).await?;
    Ok(HttpResponse::Created().json(held))
}

/// The roster that counts, as it was loaded.
#[utoipa::path(get, path = "/api/v1/rosters/newest",
    responses((status = 200, body = String, content_type = "application/toml"), (status = 409, body = Problem)))]
async fn document(app: Data<App>, actor: Actor) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let (_, text) = app.into_inner().read(super::roster).await?;
    Ok(HttpResponse::Ok().content_type("application/toml").body(text))
}

/// Ask for a plan. It is searched for meanwhile; nothing on the calendar changes before it is accepted.
#[utoipa::path(post, path = "/api/v1/plans", request_body = ProposePlan,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = PlanDetail), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn propose(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: ProposePlan = body::json(&body)?;
    let app = app.into_inner();
    let id = super::propose(&app, &actor, command, (key, body)).await?;
    let now = app.clock.now();
    let plan = app.read(move |conn| super::detail(conn, &id, now)).await?;
    Ok(HttpResponse::Created().json(plan))
}

/// The newest plans.
#[utoipa::path(get, path = "/api/v1/plans", responses((status = 200, body = Vec<PlanSummary>)))]
async fn list(app: Data<App>, actor: Actor) -> Result<Json<Vec<PlanSummary>>> {
    actor.require(Permission::ReadVisits)?;
    let now = app.clock.now();
    app.into_inner().read(move |conn| super::list(conn, now)).await.map(Json)
}

/// One plan, with all that is looked at before it is accepted.
#[utoipa::path(get, path = "/api/v1/plans/{id}", params(("id" = PlanId, Path)),
    responses((status = 200, body = PlanDetail), (status = 404, body = Problem)))]
async fn find(app: Data<App>, actor: Actor, id: Path<PlanId>) -> Result<Json<PlanDetail>> {
    actor.require(Permission::ReadVisits)?;
    let now = app.clock.now();
    app.into_inner().read(move |conn| super::detail(conn, &id, now)).await.map(Json)
}

/// Why one task is on none of the inspector-days: each with everything that stands in the way, and what would do.
#[utoipa::path(get, path = "/api/v1/plans/{id}/reasons/{task}",
    params(("id" = PlanId, Path), ("task" = u32, Path)),
    responses((status = 200, body = Vec<DayReason>), (status = 404, body = Problem)))]
async fn reasons(app: Data<App>, actor: Actor, path: Path<(PlanId, u32)>) -> Result<Json<Vec<DayReason>>> {
    actor.require(Permission::ReadVisits)?;
    let (id, task) = path.into_inner();
    let reasons = app.into_inner().read(move |conn| super::day_reasons(conn, &id, task)).await?.days;
    Ok(Json(reasons))
}

/// End a search with the best so far.
#[utoipa::path(post, path = "/api/v1/plans/{id}/stop", params(("id" = PlanId, Path)),
    responses((status = 200, body = PlanSummary), (status = 409, body = Problem)))]
async fn stop(app: Data<App>, actor: Actor, id: Path<PlanId>) -> Result<Json<PlanSummary>> {
    let now = app.clock.now();
    app.into_inner().write(move |conn| super::stop(conn, &actor, &id, now)).await.map(Json)
}

/// What is decided about a plan, with the reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DecidePlan {
    reason: String,
}

/// Decides about a plan, once for the key.
async fn decide(
    app: Data<App>,
    actor: Actor,
    id: PlanId,
    (key, payload): (OnceKey, Payload),
    deed: fn(&mut Conn, &Actor, &PlanId, String, Timestamp) -> Result<PlanSummary>,
) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: DecidePlan = body::json(&body)?;
    let now = app.clock.now();
    app.into_inner()
        .write(move |conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                Answer::done(&deed(conn, &actor, &id, command.reason, now)?)
            })
        })
        .await
        .map(HttpResponse::from)
}

/// Put a plan on the calendar: all of it, or nothing where any visit changed since it was gathered.
#[utoipa::path(post, path = "/api/v1/plans/{id}/accept",
    params(("id" = PlanId, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = DecidePlan,
    responses((status = 200, body = PlanSummary), (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn accept(
    app: Data<App>,
    actor: Actor,
    id: Path<PlanId>,
    key: OnceKey,
    payload: Payload,
) -> Result<HttpResponse> {
    decide(app, actor, id.into_inner(), (key, payload), super::accept).await
}

/// Put a plan aside.
#[utoipa::path(post, path = "/api/v1/plans/{id}/dismiss",
    params(("id" = PlanId, Path), ("Idempotency-Key" = Option<String>, Header)), request_body = DecidePlan,
    responses((status = 200, body = PlanSummary), (status = 409, body = Problem)))]
async fn dismiss(
    app: Data<App>,
    actor: Actor,
    id: Path<PlanId>,
    key: OnceKey,
    payload: Payload,
) -> Result<HttpResponse> {
    decide(app, actor, id.into_inner(), (key, payload), super::dismiss).await
}
