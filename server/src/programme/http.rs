//! The metrics over HTTP.

use actix_web::web::{Data, Json, Query, ServiceConfig};
use endcheck_protocol::problem::Problem;
use utoipa::OpenApi;

use super::{Metrics, Period, page};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::error::Result;
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/programme/metrics").get(metrics)).configure(page::routes);
}

/// The metrics of the programme, each with its definition, formula and version.
#[utoipa::path(get, path = "/api/v1/programme/metrics", tag = "programme", params(Period),
    responses((status = 200, body = Metrics), (status = 422, body = Problem)))]
async fn metrics(app: Data<App>, actor: Actor, period: Query<Period>) -> Result<Json<Metrics>> {
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.read(move |conn| super::metrics(conn, &period, now)).await.map(Json)
}
