//! The log for everybody, without an account: C2SP tlog-tiles under `/log/`.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Json, Path, ServiceConfig};
use endcheck_protocol::envelope::{fingerprint, public_key_to_base64};
use endcheck_protocol::tlog::{Tile, TileKind};

use super::store;
use super::witnesses::WitnessStatus;
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::error::{Error, Result};
use crate::resource::resource;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(paths(witnesses))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/log/checkpoint").get(checkpoint))
        .service(resource("/log/policy").get(policy))
        .service(resource("/api/v1/log/witnesses").get(witnesses))
        .service(resource("/log/tile/{path:.*}").get(tile));
}

/// The present checkpoint.
async fn checkpoint(app: Data<App>) -> Result<HttpResponse> {
    let app = app.into_inner();
    let shared = app.clone();
    let note = app.read(move |conn| super::checkpoint(conn, &shared.keys.log)).await?;
    Ok(text(note))
}

/// The keys of this server as a C2SP tlog-policy: to be compared with what the authority published in
/// another way before anybody relies on it.
async fn policy(app: Data<App>) -> HttpResponse {
    text(policy_text(&app))
}

/// The policy's text.
pub fn policy_text(app: &App) -> String {
    let authority = app.keys.authority.verifying_key();
    let name: String = fingerprint(&authority).as_str().chars().take(16).collect();
    let log = app.keys.log.verifier();
    let witnesses = app.witnesses.policy();
    format!("log {log}\nauthority {name} {}\n{witnesses}", public_key_to_base64(&authority))
}

/// How the witnesses of the log fare.
#[utoipa::path(get, path = "/api/v1/log/witnesses", responses((status = 200, body = [WitnessStatus])))]
async fn witnesses(app: Data<App>, actor: Actor) -> Result<Json<Vec<WitnessStatus>>> {
    if !actor.may(Permission::ReadVisits) {
        actor.require(Permission::ManageAccounts)?;
    }
    let app = app.into_inner();
    let shared = app.clone();
    app.read(move |conn| shared.witnesses.status(conn)).await.map(Json)
}

fn text(body: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(body)
}

/// Hashes or entries of the log. What a tile holds never changes.
async fn tile(app: Data<App>, path: Path<String>) -> Result<HttpResponse> {
    let tile = Tile::from_path(&path).ok_or_else(|| Error::not_found("tile"))?;
    let bound = |position: u64| i64::try_from(position).map_err(|_| Error::not_found("tile"));
    let positions = tile.positions();
    let (start, end) = (bound(positions.start)?, bound(positions.end)?);
    let parts: Vec<Vec<u8>> = app
        .into_inner()
        .read(move |conn| {
            Ok(match tile.kind {
                TileKind::Hashes { level } => store::hashes(conn, level, start, end)?
                    .into_iter()
                    .map(|hash| hash.to_bytes().to_vec())
                    .collect(),
                TileKind::Entries => store::bytes(conn, start, end)?
                    .into_iter()
                    .map(|entry| {
                        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
                        [length.to_be_bytes().as_slice(), &entry].concat()
                    })
                    .collect(),
            })
        })
        .await?;
    if parts.len() as u64 != tile.width {
        return Err(Error::not_found("tile"));
    }
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/octet-stream"))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(parts.concat()))
}
