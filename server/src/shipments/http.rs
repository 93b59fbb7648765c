//! The routes of shipments and licences.

use std::sync::Arc;

use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use endcheck_protocol::ids::{LicenceId, ShipmentId};
use endcheck_protocol::problem::Problem;

use super::{Item, Licence, LicenceLine, ListedShipment, Money, NewItem, NewLicence, NewShipment, Shipment};
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
#[openapi(
    paths(list, get, create, list_licences, get_licence, create_licence),
    components(schemas(
        Shipment,
        ListedShipment,
        NewShipment,
        Item,
        NewItem,
        Licence,
        NewLicence,
        LicenceLine,
        Money,
        super::Condition
    ))
)]
pub struct Api;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/shipments").get(list).post(create))
        .service(resource("/api/v1/shipments/{id}").get(get))
        .service(resource("/api/v1/licences").get(list_licences).post(create_licence))
        .service(resource("/api/v1/licences/{id}").get(get_licence));
}

/// Shipments in the order of their keys; `country` is the site's.
#[utoipa::path(get, path = "/api/v1/shipments", tag = "programme", params(ListQuery),
    responses((status = 200, body = Page<ListedShipment>), (status = 422, body = Problem)))]
async fn list(app: Data<App>, actor: Actor, query: Query<ListQuery>) -> Result<Json<Page<ListedShipment>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| super::list(conn, &query)).await.map(Json)
}

/// One shipment with its licence line, conditions, parties and items.
#[utoipa::path(get, path = "/api/v1/shipments/{id}", tag = "programme", params(("id" = ShipmentId, Path)),
    responses((status = 200, body = Shipment), (status = 304), (status = 404, body = Problem)))]
async fn get(
    request: HttpRequest,
    app: Data<App>,
    actor: Actor,
    id: Path<ShipmentId>,
) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let shipment = app.into_inner().read(move |conn| super::get(conn, &id)).await?;
    entity(&request, &shipment)
}

/// Adds a shipment with its items.
#[utoipa::path(post, path = "/api/v1/shipments", tag = "programme", request_body = NewShipment,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Shipment), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::EditProgramme)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let app: Arc<App> = app.into_inner();
    let now = app.clock.now();
    app.read(move |conn| {
        let shipment = rows::read_one(&body, &super::SHAPE, super::parse)?;
        conn.write(|conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                Answer::created(&super::create(conn, &actor, shipment, now)?)
            })
        })
    })
    .await
    .map(HttpResponse::from)
}

/// Licences in the order of their keys; `country` is the exporter's.
#[utoipa::path(get, path = "/api/v1/licences", tag = "programme", params(ListQuery),
    responses((status = 200, body = Page<Licence>), (status = 422, body = Problem)))]
async fn list_licences(app: Data<App>, actor: Actor, query: Query<ListQuery>) -> Result<Json<Page<Licence>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(move |conn| super::list_licences(conn, &query)).await.map(Json)
}

/// One licence with its lines and conditions.
#[utoipa::path(get, path = "/api/v1/licences/{id}", tag = "programme", params(("id" = LicenceId, Path)),
    responses((status = 200, body = Licence), (status = 304), (status = 404, body = Problem)))]
async fn get_licence(
    request: HttpRequest,
    app: Data<App>,
    actor: Actor,
    id: Path<LicenceId>,
) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let licence = app.into_inner().read(move |conn| super::licence(conn, &id)).await?;
    entity(&request, &licence)
}

/// Adds a licence with its lines and conditions.
#[utoipa::path(post, path = "/api/v1/licences", tag = "programme", request_body = NewLicence,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Licence), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_licence(
    app: Data<App>,
    actor: Actor,
    key: OnceKey,
    payload: Payload,
) -> Result<HttpResponse> {
    actor.require(Permission::EditProgramme)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let app: Arc<App> = app.into_inner();
    let now = app.clock.now();
    app.read(move |conn| {
        let licence = rows::read_one(&body, &super::LICENCE_SHAPE, super::parse_licence)?;
        conn.write(|conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                Answer::created(&super::create_licence(conn, &actor, licence, now)?)
            })
        })
    })
    .await
    .map(HttpResponse::from)
}
