//! Custody over HTTP.

use actix_web::web::{Data, Json, Path, ServiceConfig};
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::problem::Problem;
use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use endcheck_protocol::ledger::LedgerEntry;

use super::{CustodyAct, Deed, looked};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(of_visit))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/visits/{id}/custody").get(of_visit));
}

/// The ledger of a visit.
#[derive(Serialize, ToSchema)]
struct Custody {
    /// Entries, oldest first; those of the last seconds may still be missing.
    #[schema(value_type = Vec<Object>)]
    entries: Vec<LedgerEntry>,
}

/// Who did what with the evidence of a visit, and what was found in it.
#[utoipa::path(get, path = "/api/v1/visits/{id}/custody", params(("id" = VisitId, Path)),
    responses((status = 200, body = Custody), (status = 404, body = Problem)))]
async fn of_visit(app: Data<App>, actor: Actor, id: Path<VisitId>) -> Result<Json<Custody>> {
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let visit = id.clone();
    let lines = app
        .read(move |conn| match super::is_visit(conn, &visit)? {
            true => super::ledger(conn, &visit, u64::MAX),
            false => Err(Error::not_found("visit")),
        })
        .await?;
    let deed = Deed { act: CustodyAct::Viewed, visit: Some(&id), subject: None, why: "the ledger" };
    looked(&app, &actor, deed).await?;
    Ok(Json(Custody { entries: lines.into_iter().map(|line| line.entry).collect() }))
}
