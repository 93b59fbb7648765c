//! The routes of sites.

use std::sync::Arc;

use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use endcheck_protocol::ids::SiteId;
use endcheck_protocol::problem::Problem;

use super::{Site, SiteFeature, SiteProperties};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::error::Result;
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{ListQuery, Page, entity};
use crate::resource::resource;
use crate::rows;

/// This slice's piece of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(list, get, create), components(schemas(Site, SiteFeature, SiteProperties)))]
pub struct Api;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/sites").get(list).post(create))
        .service(resource("/api/v1/sites/{id}").get(get));
}

/// Sites in the order of their keys.
#[utoipa::path(get, path = "/api/v1/sites", tag = "programme", params(ListQuery),
    responses((status = 200, body = Page<Site>), (status = 422, body = Problem)))]
async fn list(app: Data<App>, actor: Actor, query: Query<ListQuery>) -> Result<Json<Page<Site>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| super::list(conn, &query)).await.map(Json)
}

/// One site.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "programme", params(("id" = SiteId, Path)),
    responses((status = 200, body = Site), (status = 304), (status = 404, body = Problem)))]
async fn get(request: HttpRequest, app: Data<App>, actor: Actor, id: Path<SiteId>) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let site = app.into_inner().read(move |conn| super::get(conn, &id)).await?;
    entity(&request, &site)
}

/// Adds a site, given as a GeoJSON feature.
#[utoipa::path(post, path = "/api/v1/sites", tag = "programme", request_body = SiteFeature,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Site), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::EditProgramme)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let app: Arc<App> = app.into_inner();
    let now = app.clock.now();
    app.read(move |conn| {
        let site = rows::read_one(&body, &super::SHAPE, super::parse)?;
        conn.write(|conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                Answer::created(&super::create(conn, &actor, site, now)?)
            })
        })
    })
    .await
    .map(HttpResponse::from)
}
