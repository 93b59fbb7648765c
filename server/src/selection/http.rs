//! Draws over HTTP.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use endcheck_protocol::ids::SelectionId;
use endcheck_protocol::problem::Problem;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::{CommitSelection, OverrideSelection, Selection, SelectionSummary};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::error::Result;
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{self, Page};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(commit, list, find, draw, depart))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/selections").post(commit).get(list))
        .service(resource("/api/v1/selections/{id}").get(find))
        .service(resource("/api/v1/selections/{id}/draw").post(draw))
        .service(resource("/api/v1/selections/{id}/overrides").post(depart))
        .configure(super::page::routes);
}

/// Commit to a draw of shipments to be checked.
#[utoipa::path(post, path = "/api/v1/selections", request_body = CommitSelection,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Selection), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn commit(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: CommitSelection = body::json(&body)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::created(&super::commit(conn, &actor, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListSelections {
    /// Where the page before ended: its `next_cursor`.
    cursor: Option<SelectionId>,
    /// 1 to 500, 50 by default.
    limit: Option<i64>,
}

/// Draws, newest first, without what they chose.
#[utoipa::path(get, path = "/api/v1/selections", params(ListSelections),
    responses((status = 200, body = Page<SelectionSummary>)))]
async fn list(
    app: Data<App>,
    actor: Actor,
    query: Query<ListSelections>,
) -> Result<Json<Page<SelectionSummary>>> {
    actor.require(Permission::ReadVisits)?;
    let limit = listing::limit(query.limit)?;
    let query = query.into_inner();
    let rows = app.into_inner().read(move |conn| super::list(conn, query.cursor.as_ref(), limit + 1)).await?;
    Ok(Json(Page::cut_at(rows, limit, |row| row.id.to_string())))
}

/// One draw.
#[utoipa::path(get, path = "/api/v1/selections/{id}", params(("id" = SelectionId, Path)),
    responses((status = 200, body = Selection), (status = 404, body = Problem)))]
async fn find(app: Data<App>, actor: Actor, id: Path<SelectionId>) -> Result<Json<Selection>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| super::get(conn, &id)).await.map(Json)
}

/// Make a draw that was committed to, and open its checks. Made twice it answers as the first time.
#[utoipa::path(post, path = "/api/v1/selections/{id}/draw", params(("id" = SelectionId, Path)),
    responses((status = 200, body = Selection), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn draw(app: Data<App>, actor: Actor, id: Path<SelectionId>) -> Result<Json<Selection>> {
    super::draw(&app.into_inner(), &actor, &id).await.map(Json)
}

/// Depart from a draw, with a reason.
#[utoipa::path(post, path = "/api/v1/selections/{id}/overrides",
    params(("id" = SelectionId, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = OverrideSelection,
    responses((status = 200, body = Selection), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn depart(
    app: Data<App>,
    actor: Actor,
    key: OnceKey,
    id: Path<SelectionId>,
    payload: Payload,
) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: OverrideSelection = body::json(&body)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::done(&super::depart(conn, &actor, &id, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}
