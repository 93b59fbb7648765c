//! The route of imports.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{Data, Json, Path, Payload, ServiceConfig};
use endcheck_protocol::problem::Problem;
use tokio::sync::Semaphore;

use super::Kind;
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body;
use crate::error::{Error, Result};
use crate::resource::resource;
use crate::rows::{Change, Format, Imported};

/// A file sent over the API is held in memory, so it may be smaller than one on the command line.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Rows take many times the memory of their text, so one file is read at a time; others wait.
static READING: Semaphore = Semaphore::const_new(1);

/// This module's piece of the OpenAPI document.
#[derive(utoipa::OpenApi)]
#[openapi(paths(import), components(schemas(Kind, Imported, Change)))]
pub struct Api;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/import/{kind}").post(import));
}

/// Imports a file of parties, sites, licences or shipments, all or nothing. The same file again
/// changes nothing, so no `Idempotency-Key` is needed.
#[utoipa::path(post, path = "/api/v1/import/{kind}", tag = "programme", params(("kind" = Kind, Path)),
    request_body(content((String = "text/csv"), (Vec<Object> = "application/json"), (Object = "application/geo+json"))),
    responses((status = 200, body = Imported), (status = 413, body = Problem), (status = 415, body = Problem),
        (status = 422, body = Problem, description = "every bad row, the first thousand listed under errors")))]
async fn import(
    request: HttpRequest,
    app: Data<App>,
    actor: Actor,
    kind: Path<Kind>,
    payload: Payload,
) -> Result<Json<Imported>> {
    actor.require(Permission::EditProgramme)?;
    use actix_web::HttpMessage as _;
    let format = format(request.content_type())?;
    let body = body::read(payload, MAX_BYTES).await?;
    let _turn = READING.acquire().await.map_err(|e| Error::Internal(e.into()))?;
    let app: Arc<App> = app.into_inner();
    let now = app.clock.now();
    app.read(move |conn| super::run(conn, *kind, format, &body, now)).await.map(Json)
}

fn format(content_type: &str) -> Result<Format> {
    match content_type {
        "text/csv" => Ok(Format::Csv),
        "application/json" | "application/geo+json" => Ok(Format::Json),
        _ => Err(Error::with_status(
            415,
            "unknown-file-type",
            "Another media type is expected",
            "Send text/csv, application/json or application/geo+json.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_apart() {
        assert_eq!(format("text/csv").unwrap(), Format::Csv);
        assert_eq!(format("application/geo+json").unwrap(), Format::Json);
        assert_eq!(format("application/xml").unwrap_err().code(), "unknown-file-type");
    }
}
