//! Checklists over HTTP.

use actix_web::web::{Data, Json, Path, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use endcheck_protocol::checklist::{Checklist, Template};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::problem::Problem;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use super::store;
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::error::Result;
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(templates, add_template, checklist), components(schemas(TemplateVersion, Problem)))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/checklist-templates").get(templates).post(add_template))
        .service(resource("/api/v1/checklists/{hash}").get(checklist));
}

/// A version of a template.
#[derive(Serialize, ToSchema)]
struct TemplateVersion {
    id: String,
    version: i64,
    hash: Sha256,
}

/// Every version of every template.
#[utoipa::path(get, path = "/api/v1/checklist-templates", responses((status = 200, body = [TemplateVersion])))]
async fn templates(app: Data<App>, _actor: Actor) -> Result<impl Responder> {
    let versions = app.into_inner().read(store::templates).await?;
    Ok(Json(
        versions
            .into_iter()
            .map(|(id, version, hash)| TemplateVersion { id, version, hash })
            .collect::<Vec<_>>(),
    ))
}

/// Add a version of a template; a version never changes.
#[utoipa::path(
    post,
    path = "/api/v1/checklist-templates",
    request_body = Object,
    responses((status = 201), (status = 409, body = Problem), (status = 422, body = Problem))
)]
async fn add_template(app: Data<App>, actor: Actor, body: Json<Template>) -> Result<impl Responder> {
    actor.require(Permission::ScheduleVisits)?;
    let now = app.clock.now();
    app.into_inner().write(move |conn| super::add_template(conn, &body, now)).await?;
    Ok(HttpResponse::Created().finish())
}

/// A frozen checklist by its hash.
#[utoipa::path(
    get,
    path = "/api/v1/checklists/{hash}",
    params(("hash" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem))
)]
async fn checklist(app: Data<App>, _actor: Actor, hash: Path<Sha256>) -> Result<Json<Checklist>> {
    app.into_inner().read(move |conn| super::get(conn, &hash)).await.map(Json)
}
