//! Checks over HTTP.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use endcheck_protocol::ids::{CheckId, ShipmentId};
use endcheck_protocol::problem::Problem;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::{Check, OpenCheck, store};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::error::Result;
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{self, Page};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(open, list, find))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/checks").post(open).get(list))
        .service(resource("/api/v1/checks/{id}").get(find));
}

/// Open a check on a shipment.
#[utoipa::path(
    post,
    path = "/api/v1/checks",
    request_body = OpenCheck,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Check), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn open(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: OpenCheck = body::json(&body)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::created(&super::open(conn, &actor, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListChecks {
    shipment: Option<ShipmentId>,
    cursor: Option<CheckId>,
    /// 1 to 500, 50 by default.
    limit: Option<i64>,
}

/// Checks, the newest first.
#[utoipa::path(get, path = "/api/v1/checks", params(ListChecks), responses((status = 200, body = Page<Check>)))]
async fn list(app: Data<App>, actor: Actor, query: Query<ListChecks>) -> Result<Json<Page<Check>>> {
    actor.require(Permission::ReadVisits)?;
    let limit = listing::limit(query.limit)?;
    let checks = app
        .into_inner()
        .read(move |conn| store::list(conn, query.shipment.as_ref(), query.cursor.as_ref(), limit + 1))
        .await?;
    Ok(Json(Page::cut_at(checks, limit, |check| check.id.to_string())))
}

/// One check.
#[utoipa::path(
    get,
    path = "/api/v1/checks/{id}",
    params(("id" = CheckId, Path)),
    responses((status = 200, body = Check), (status = 404, body = Problem))
)]
async fn find(app: Data<App>, actor: Actor, id: Path<CheckId>) -> Result<Json<Check>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| super::get(conn, &id)).await.map(Json)
}
