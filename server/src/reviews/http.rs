//! Reviews over HTTP: the dossier and its determination.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use actix_web::web::{Data, Path, Payload, ServiceConfig};
use endcheck_protocol::ids::{DeterminationId, VisitId};
use endcheck_protocol::problem::Problem;
use utoipa::OpenApi;

use super::{Determination, Determine, Dossier, page};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::custody::{self, CustodyAct, Deed};
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::resource::resource;
use crate::visits;

#[derive(OpenApi)]
#[openapi(paths(dossier, determine, approve))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/visits/{id}").get(dossier))
        .service(resource("/api/v1/visits/{id}/determinations").post(determine))
        .service(resource("/api/v1/determinations/{id}/approve").post(approve))
        .configure(page::routes);
}

/// Everything known of a visit.
#[utoipa::path(get, path = "/api/v1/visits/{id}", params(("id" = VisitId, Path)),
    responses((status = 200, body = Dossier), (status = 404, body = Problem)))]
async fn dossier(app: Data<App>, actor: Actor, id: Path<VisitId>) -> Result<HttpResponse> {
    let now = app.clock.now();
    let app = app.into_inner();
    let asked = id.clone();
    let visit = app.read(move |conn| visits::get(conn, &asked, now)).await?;
    // An inspector may read their own visits; to others they do not exist.
    let own = actor.may(Permission::Inspect) && visit.is_for(&actor.user);
    let may = own || actor.may(Permission::ReadVisits);
    let act = if may { CustodyAct::Viewed } else { CustodyAct::Refused };
    let deed = Deed { act, visit: Some(&id), subject: None, why: "the dossier" };
    custody::looked(&app, &actor, deed).await?;
    if !may {
        return Err(Error::not_found("visit"));
    }
    let dossier = app.read(move |conn| super::dossier(conn, &id, now)).await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", dossier.visit.version))).json(dossier))
}

/// Record a determination.
#[utoipa::path(post, path = "/api/v1/visits/{id}/determinations",
    params(("id" = VisitId, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Determine, responses((status = 201, body = Determination), (status = 409, body = Problem)))]
async fn determine(
    app: Data<App>,
    actor: Actor,
    id: Path<VisitId>,
    key: OnceKey,
    payload: Payload,
) -> Result<HttpResponse> {
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: Determine = body::json(&body)?;
    let now = app.clock.now();
    app.into_inner()
        .write(move |conn| {
            once(conn, &actor, &key, &body, now, |conn| {
                Answer::created(&super::determine(conn, &actor, &id, command, now)?)
            })
        })
        .await
        .map(HttpResponse::from)
}

/// Approve a changed determination.
#[utoipa::path(post, path = "/api/v1/determinations/{id}/approve",
    params(("id" = DeterminationId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Determination), (status = 409, body = Problem)))]
async fn approve(
    app: Data<App>,
    actor: Actor,
    id: Path<DeterminationId>,
    key: OnceKey,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    app.into_inner()
        .write(move |conn| {
            once(conn, &actor, &key, b"", now, |conn| Answer::done(&super::approve(conn, &actor, &id, now)?))
        })
        .await
        .map(HttpResponse::from)
}
