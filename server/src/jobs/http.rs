//! Jobs over HTTP.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Query, ServiceConfig};
use endcheck_protocol::problem::Problem;
use endcheck_protocol::time::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::metrics::metrics;
use super::scrub::{self, StoreHealth};
use super::view::{self, JobView, Run};
use super::{Job, find};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{self, Page};
use crate::outbox::{self, OutboxStatus};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(list, runs, run, store_health, outbox_status, try_again))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/jobs").get(list))
        .service(resource("/api/v1/jobs/{name}/runs").get(runs))
        .service(resource("/api/v1/jobs/{name}/run").post(run))
        .service(resource("/api/v1/jobs/store").get(store_health))
        .service(resource("/api/v1/outbox").get(outbox_status))
        .service(resource("/api/v1/outbox/{id}/retry").post(try_again))
        .service(resource("/metrics").get(metrics))
        .configure(super::page::routes);
}

pub(super) fn known(name: &str) -> Result<&'static Job> {
    find(name).ok_or_else(|| Error::not_found("job"))
}

/// What the server does by the clock, and how it went.
#[utoipa::path(get, path = "/api/v1/jobs", responses((status = 200, body = Vec<JobView>)))]
async fn list(app: Data<App>, actor: Actor) -> Result<Json<Vec<JobView>>> {
    actor.require(Permission::WatchJobs)?;
    let app = app.into_inner();
    app.clone().read(move |conn| view::all(conn, &app.jobs, app.clock.offset())).await.map(Json)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListRuns {
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<Timestamp>,
    /// 1 to 500, 50 by default.
    limit: Option<i64>,
}

/// Runs of a job, the newest first; those that ended are kept for some days.
#[utoipa::path(get, path = "/api/v1/jobs/{name}/runs", params(("name" = String, Path), ListRuns),
    responses((status = 200, body = Page<Run>), (status = 404, body = Problem)))]
async fn runs(
    app: Data<App>,
    actor: Actor,
    name: Path<String>,
    query: Query<ListRuns>,
) -> Result<Json<Page<Run>>> {
    actor.require(Permission::WatchJobs)?;
    let job = known(&name)?;
    let limit = listing::limit(query.limit)?;
    let runs = app.into_inner().read(move |conn| view::runs(conn, job, query.cursor, limit + 1)).await?;
    Ok(Json(Page::cut_at(runs, limit, |run| run.tick_at.to_string())))
}

/// Have a job run now, on whichever server comes first. Whoever asks while a run waits is answered with that one.
#[utoipa::path(post, path = "/api/v1/jobs/{name}/run",
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Run), (status = 404, body = Problem)))]
async fn run(app: Data<App>, actor: Actor, key: OnceKey, name: Path<String>) -> Result<HttpResponse> {
    actor.require(Permission::RunJobs)?;
    let job = known(&name)?;
    let app = app.into_inner();
    let (now, offset) = (app.clock.now(), app.clock.offset());
    let answer = app
        .write(move |conn| {
            once(conn, &actor, &key, &[], now, |conn| Answer::created(&view::ask(conn, job, &actor, offset)?))
        })
        .await?;
    app.jobs.wake.notify_one();
    Ok(answer.into())
}

/// Whether the stored files are what was received, as far as they were hashed again.
#[utoipa::path(get, path = "/api/v1/jobs/store", responses((status = 200, body = StoreHealth)))]
async fn store_health(app: Data<App>, actor: Actor) -> Result<Json<StoreHealth>> {
    actor.require(Permission::WatchJobs)?;
    app.into_inner().read(scrub::health).await.map(Json)
}

/// Letters that wait, and those that could not be delivered.
#[utoipa::path(get, path = "/api/v1/outbox", responses((status = 200, body = OutboxStatus)))]
async fn outbox_status(app: Data<App>, actor: Actor) -> Result<Json<OutboxStatus>> {
    actor.require(Permission::WatchJobs)?;
    app.into_inner().read(outbox::status).await.map(Json)
}

/// Have a letter that was given up tried again.
#[utoipa::path(post, path = "/api/v1/outbox/{id}/retry", params(("id" = String, Path)),
    responses((status = 200, body = OutboxStatus), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn try_again(app: Data<App>, actor: Actor, id: Path<String>) -> Result<Json<OutboxStatus>> {
    actor.require(Permission::RunJobs)?;
    let app = app.into_inner();
    let offset = app.clock.offset();
    app.write(move |conn| {
        let now = crate::db::clock(conn)?.plus(offset);
        outbox::try_again(conn, &actor, &id, now)
    })
    .await
    .map(Json)
}
