//! Exports over HTTP.

use std::io::{self, Write};
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web::{Data, Path, Query, ServiceConfig};
use bytes::Bytes;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::problem::Problem;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::{IntoParams, OpenApi};

use super::{ExportVisit, Exporter, Prepared};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::custody::{self, CustodyAct, Deed};
use crate::error::{Error, Result};
use crate::resource::resource;
use crate::visits;

#[derive(OpenApi)]
#[openapi(paths(bundle))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/visits/{id}/bundle").get(bundle));
}

/// Names the bag: the SHA-256 of its tag manifest, which the log holds.
const BAG_HEADER: &str = "endcheck-bag-sha256";
/// How many entries of the log the bag shows: the `as_of` that gives the same bag again.
const LOG_SIZE_HEADER: &str = "endcheck-log-size";
/// Why the bag will not pass under the published policy; only where that is so.
const WARNING_HEADER: &str = "endcheck-warning";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Why it is exported; goes into the ledger.
    #[serde(default)]
    why: String,
    /// What the first so many entries of the log commit to; by default everything until now.
    as_of: Option<u64>,
    /// Redacted files in place of the originals that have one.
    #[serde(default)]
    redacted: bool,
    /// age recipients to seal the archive to, with commas between them.
    recipient: Option<String>,
}

/// The evidence of a visit as a BagIt bag in a tar archive, sealed with age where recipients are named.
#[utoipa::path(get, path = "/api/v1/visits/{id}/bundle", params(("id" = VisitId, Path), Wanted),
    responses((status = 200, body = [u8], content_type = "application/x-tar"), (status = 404, body = Problem),
        (status = 422, body = Problem)))]
async fn bundle(
    app: Data<App>,
    actor: Actor,
    id: Path<VisitId>,
    wanted: Query<Wanted>,
) -> Result<HttpResponse> {
    let app = app.into_inner();
    if !actor.may(Permission::ReadVisits) {
        let deed = Deed { act: CustodyAct::Refused, visit: Some(&id), subject: None, why: "the bag" };
        let (known, now) = (id.clone(), app.clock.now());
        app.read(move |conn| visits::get(conn, &known, now)).await?;
        custody::looked(&app, &actor, deed).await?;
        return Err(Error::not_found("visit"));
    }
    let wanted = wanted.into_inner();
    // An empty name is no recipient: who asked for sealing must not get an open archive.
    let recipients = wanted.recipient.iter().flat_map(|some| some.split(',')).map(str::to_owned).collect();
    let command = ExportVisit {
        visit: id.into_inner(),
        why: wanted.why,
        as_of: wanted.as_of,
        redacted: wanted.redacted,
        recipients,
    };
    let now = app.clock.now();
    let shared = Arc::clone(&app);
    let prepared = {
        let _turn = app.exports.acquire().await.map_err(|_| anyhow::anyhow!("nobody closes the exports"))?;
        app.read(move |conn| super::prepare(conn, &shared, Exporter::Person(&actor), &command, now)).await?
    };
    let mime = if prepared.is_sealed() { "application/octet-stream" } else { "application/x-tar" };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, mime))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", prepared.file_name())))
        .insert_header((BAG_HEADER, prepared.sha256.as_str()))
        .insert_header((LOG_SIZE_HEADER, prepared.log_size));
    if let Some(uncosigned) = prepared.uncosigned {
        response.insert_header((WARNING_HEADER, uncosigned.to_string()));
    }
    Ok(response.streaming(streamed(app, prepared)))
}

/// The archive as it is written, never whole in memory. A fault breaks the answer off.
fn streamed(app: Arc<App>, prepared: Prepared) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(4);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let target = io::BufWriter::with_capacity(1 << 18, Pieces(sender.clone()));
        if let Err(error) = prepared.write(&app, &runtime, target) {
            tracing::error!(%error, "an export broke off");
            // The reader may be gone already.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    })
}

/// Hands on what is written, and waits while the reader is slow.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader is gone"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
