//! The witness over HTTP: `add-checkpoint`, and a page that shows what was cosigned.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::web::{self, Data, Payload};
use actix_web::{App, HttpResponse, HttpServer};
use endcheck_protocol::tlog::SIZE_MEDIA_TYPE;

use super::{Answer, Witness};
use crate::body;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::resource::resource;

/// A note of 64 KiB, a proof, and the size.
const MAX_BODY_BYTES: usize = 72 * 1024;
const PLAIN: &str = "text/plain; charset=utf-8";

/// Starts to listen, and answers until the returned server is awaited to its end or stopped.
///
/// # Errors
/// When the address is taken, or the TLS files cannot be used.
pub fn listen(
    witness: Witness,
    config: &Config,
) -> anyhow::Result<(actix_web::dev::Server, std::net::SocketAddr)> {
    let witness = Data::from(Arc::new(witness));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(witness.clone())
            .wrap(actix_web::middleware::DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .service(resource("/").get(cosigned))
            .service(resource("/healthz").get(async || "ok\n"))
            .service(resource("/add-checkpoint").post(add_checkpoint))
            .default_service(web::to(|| async { Err::<&str, _>(Error::not_found("page")) }))
    })
    .tcp_nodelay(true)
    .workers(2)
    .keep_alive(std::time::Duration::from_secs(75))
    .client_request_timeout(std::time::Duration::from_secs(10))
    .shutdown_timeout(10)
    .disable_signals();
    let server = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => {
            server.bind_rustls_0_23(config.listen, crate::tls::server_config(cert, key)?)?
        }
        (None, None) => server.bind(config.listen)?,
        _ => anyhow::bail!("TLS needs both --tls-cert and --tls-key"),
    };
    let address = *server.addrs().first().ok_or_else(|| anyhow::anyhow!("no address was bound"))?;
    Ok((server.run(), address))
}

async fn add_checkpoint(witness: Data<Witness>, payload: Payload) -> Result<HttpResponse> {
    let body = body::read(payload, MAX_BODY_BYTES).await?;
    let witness = witness.into_inner();
    let answer = web::block(move || match std::str::from_utf8(&body) {
        Ok(body) => witness.add_checkpoint(body).map_err(Error::Internal),
        Err(_) => Err(Error::malformed("not-utf-8", "The body is not UTF-8.")),
    })
    .await
    .map_err(|_| Error::Internal(anyhow::anyhow!("the work was cancelled")))??;
    Ok(match answer {
        Answer::Cosigned(line) => HttpResponse::Ok().insert_header((CONTENT_TYPE, PLAIN)).body(line),
        Answer::Refused(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let mut answer = HttpResponse::build(status);
            match refusal.held_size() {
                Some(size) => answer.insert_header((CONTENT_TYPE, SIZE_MEDIA_TYPE)).body(format!("{size}\n")),
                None => answer.insert_header((CONTENT_TYPE, PLAIN)).body(format!("{refusal}\n")),
            }
        }
    })
}

/// The key of this witness, and the newest checkpoint of each log with its cosignature: for anybody who
/// wants to compare it with what a log shows them.
async fn cosigned(witness: Data<Witness>) -> HttpResponse {
    let mut page = format!("{}\n", witness.verifier());
    for note in witness.cosigned() {
        page.push('\n');
        page.push_str(&note);
    }
    HttpResponse::Ok().insert_header((CONTENT_TYPE, PLAIN)).body(page)
}
