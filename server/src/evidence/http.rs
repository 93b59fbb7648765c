//! Evidence over HTTP: what devices hand in, and what reviewers look at.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
};
use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::package::{self, SEALED_RECORDS_TYPE};
use endcheck_protocol::problem::Problem;
use endcheck_protocol::sync::{
    HeldRecord, MAX_RECORDS, MAX_RECORDS_BYTES, PROTOCOL_HEADER, PROTOCOL_VERSION, ReceiptPage,
    RecordAnswers, SyncHead, UnreadableFile,
};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::carried::{self, Carried};
use super::store::{self, FileState};
use super::{intake, redact, sealed, settle};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body;
use crate::custody::{self, CustodyAct, Deed};
use crate::error::{Error, Result};
use crate::log;
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(head, records, receipts, brought, envelope, proof, original, small, redact::derive))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/sync/head").get(head))
        .service(resource(RECORDS_PATH).post(records))
        .service(resource("/api/v1/sync/receipts").get(receipts))
        .service(resource("/api/v1/carried").get(brought))
        .service(resource("/api/v1/records/{hash}/envelope").get(envelope))
        .service(resource("/api/v1/records/{hash}/proof").get(proof))
        .service(resource("/api/v1/records/{hash}/original").get(original))
        .service(resource("/api/v1/records/{hash}/thumbnail").get(small))
        .configure(redact::routes);
}

/// Where devices hand in records; the one path that takes a packed body.
pub const RECORDS_PATH: &str = "/api/v1/sync/records";

/// How the ledger tells of records that a device handed in itself.
const BY_NETWORK: &str = "its record arrived, signed by the device";
const RECEIPT_PAGE: i64 = 200;

/// Refuses an agent that speaks an older wire, or a newer one.
fn require_protocol(request: &HttpRequest) -> Result<()> {
    let spoken = request.headers().get(PROTOCOL_HEADER).and_then(|value| value.to_str().ok());
    match spoken.map(str::parse::<u32>) {
        Some(Ok(PROTOCOL_VERSION)) => Ok(()),
        Some(Ok(older)) if older < PROTOCOL_VERSION => Err(Error::with_status(
            426,
            "agent-too-old",
            "The agent is too old",
            format!(
                "This server speaks version {PROTOCOL_VERSION} of the sync protocol: update endcheck and sync again; nothing is lost."
            ),
        )),
        Some(Ok(_)) => Err(Error::malformed(
            "agent-too-new",
            format!(
                "This server speaks version {PROTOCOL_VERSION} of the sync protocol: ask for the server to be updated; keep the records until then."
            ),
        )),
        _ => Err(Error::malformed(
            "protocol-missing",
            format!("Say which sync protocol you speak: {PROTOCOL_HEADER}: {PROTOCOL_VERSION}."),
        )),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct KnownLog {
    /// Entries of the log in the newest checkpoint that the device holds; 0 or absent for none.
    log_size: Option<u64>,
}

/// What headquarters holds of this device.
#[utoipa::path(get, path = "/api/v1/sync/head", params(KnownLog), responses((status = 200, body = SyncHead)))]
async fn head(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    known: Query<KnownLog>,
) -> Result<Json<SyncHead>> {
    require_protocol(&request)?;
    actor.require(Permission::Inspect)?;
    let device = actor.require_device()?.clone();
    let app = app.into_inner();
    let now = app.clock.now();
    let shared = Arc::clone(&app);
    app.read(move |conn| {
        let uploads = shared.uploads.open_of(&actor.to_string())?;
        let (held, newest) = store::newest(conn, &device)?;
        let awaited = store::files_in_state(conn, &device, FileState::Awaited)?;
        let unreadable = store::files_in_state(conn, &device, FileState::Unreadable)?;
        Ok(SyncHead {
            server_at: now,
            records_held: u64::try_from(held).unwrap_or(0),
            newest: newest.map(|(seq, hash)| HeldRecord { seq: u64::try_from(seq).unwrap_or(0), hash }),
            awaited: awaited.into_iter().map(|file| file.sealed_sha256).collect(),
            unreadable: unreadable
                .into_iter()
                .map(|file| UnreadableFile {
                    record: file.record,
                    sealed_sha256: file.sealed_sha256,
                    problem: file.problem.unwrap_or_default(),
                })
                .collect(),
            uploads,
            log: log::state(conn, &shared.keys.log, &shared.witnesses, known.log_size.unwrap_or(0), 0)?.1,
        })
    })
    .await
    .map(Json)
}

/// Hand in records: their exact envelopes, one a line, at most 200, compressed with zstd or not; or such lines
/// packed and sealed to headquarters, several packages each preceded by its length.
#[utoipa::path(
    post,
    path = "/api/v1/sync/records",
    request_body(content((String = "application/x-ndjson"), (Vec<u8> = "application/vnd.endcheck.sealed-records"))),
    responses((status = 200, body = RecordAnswers), (status = 413, body = Problem), (status = 422, body = Problem))
)]
async fn records(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    payload: Payload,
) -> Result<Json<RecordAnswers>> {
    require_protocol(&request)?;
    actor.require(Permission::Inspect)?;
    let device = actor.require_device()?.clone();
    let encoding = request.headers().get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let sealed = request.content_type() == SEALED_RECORDS_TYPE;
    let body = body::read(payload, MAX_RECORDS_BYTES).await?;
    let app = app.into_inner();
    let envelopes = if sealed {
        let opener = Arc::clone(&app);
        actix_web::web::block(move || sealed::open(&body, &opener.keys.identity))
            .await
            .map_err(|_| Error::Internal(anyhow::anyhow!("the opening was cancelled")))??
    } else {
        read_envelopes(&body, encoding)?
    };
    let now = app.clock.now();
    let shared = Arc::clone(&app);
    let taken = app
        .write(move |conn| {
            let rules = intake::Rules::of(&shared);
            intake::take_in(conn, &device, &rules, (&envelopes, BY_NETWORK), now)
        })
        .await?;
    if taken.look_again {
        app.examiner.notify_one();
    }
    if !taken.named.is_empty() {
        let app = Arc::clone(&app);
        // The records are in; bytes that came before them need no one to wait for them.
        actix_web::rt::spawn(async move {
            if let Err(error) = settle::named(&app, taken.named).await {
                tracing::error!(%error, "files that came before their records wait for the next tick");
            }
        });
    }
    Ok(Json(RecordAnswers { server_at: now, answers: taken.answers }))
}

/// Splits a body into envelopes without ever unpacking more than the limit.
fn read_envelopes(body: &[u8], encoding: Option<&str>) -> Result<Vec<Vec<u8>>> {
    let plain = match encoding {
        None | Some("identity") => body.to_vec(),
        Some("zstd") => {
            let mut plain = Vec::new();
            let decoder = zstd::stream::read::Decoder::new(body).map_err(Error::from)?;
            decoder
                .take(MAX_RECORDS_BYTES as u64 + 1)
                .read_to_end(&mut plain)
                .map_err(|e| Error::malformed("malformed-zstd", format!("The body is not zstd: {e}.")))?;
            plain
        }
        Some(other) => {
            return Err(Error::with_status(
                415,
                "unknown-encoding",
                "The body's encoding is not known",
                format!("{other:?} is not accepted: send the body as it is, or with Content-Encoding: zstd."),
            ));
        }
    };
    if plain.len() > MAX_RECORDS_BYTES {
        return Err(sealed::too_large());
    }
    let lines: Vec<Vec<u8>> = package::split(&plain).map(<[u8]>::to_vec).collect();
    if lines.len() > MAX_RECORDS { Err(sealed::too_large()) } else { Ok(lines) }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ReceiptCursor {
    /// As the last page gave it; 0 or absent for all.
    cursor: Option<i64>,
    /// As for `/api/v1/sync/head`.
    log_size: Option<u64>,
}

/// Signed receipts for what this device handed in, oldest first.
#[utoipa::path(get, path = "/api/v1/sync/receipts", params(ReceiptCursor), responses((status = 200, body = ReceiptPage)))]
async fn receipts(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    query: Query<ReceiptCursor>,
) -> Result<Json<ReceiptPage>> {
    require_protocol(&request)?;
    actor.require(Permission::Inspect)?;
    let device = actor.require_device()?.clone();
    let from = query.cursor.unwrap_or(0);
    let app = app.into_inner();
    let shared = Arc::clone(&app);
    app.read(move |conn| {
        let found = store::receipts(conn, &device, from, RECEIPT_PAGE)?;
        let indexes: Vec<u64> = found.iter().map(|(index, _)| u64::try_from(*index).unwrap_or(0)).collect();
        let covers = indexes.last().map_or(0, |index| index + 1);
        let (size, log) =
            log::state(conn, &shared.keys.log, &shared.witnesses, query.log_size.unwrap_or(0), covers)?;
        let (hashes, paths) = shared_hashes(log::prove(conn, &indexes, size)?);
        Ok(Json(ReceiptPage {
            cursor: found.last().map_or(from, |(index, _)| index + 1),
            more: i64::try_from(found.len()) == Ok(RECEIPT_PAGE),
            receipts: found.into_iter().map(|(_, envelope)| envelope).collect(),
            log,
            hashes,
            paths,
        }))
    })
    .await
}

/// Proofs near each other have most hashes in common: each is sent once.
pub(super) fn shared_hashes(proofs: Vec<Vec<Sha256>>) -> (Vec<Sha256>, Vec<Vec<usize>>) {
    let mut places: BTreeMap<Sha256, usize> = BTreeMap::new();
    let mut hashes = Vec::new();
    let mut place = |hash: Sha256| {
        *places.entry(hash.clone()).or_insert_with(|| {
            hashes.push(hash);
            hashes.len() - 1
        })
    };
    let paths = proofs.into_iter().map(|proof| proof.into_iter().map(&mut place).collect()).collect();
    (hashes, paths)
}

/// What came by hand, newest first: who brought which package, and what was in it.
#[utoipa::path(get, path = "/api/v1/carried", responses((status = 200, body = [Carried])))]
async fn brought(app: Data<App>, actor: Actor) -> Result<Json<Vec<Carried>>> {
    actor.require(Permission::ReadVisits)?;
    app.into_inner().read(carried::list).await.map(Json)
}

/// A proof that the record is in the log, for anybody to check offline: C2SP tlog-proof, its extra data
/// being what opens the entry.
#[utoipa::path(get, path = "/api/v1/records/{hash}/proof", params(("hash" = Sha256, Path)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem)))]
async fn proof(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<HttpResponse> {
    if !actor.may(Permission::ReadVisits) {
        return Err(Error::not_found("record"));
    }
    let app = app.into_inner();
    let shared = Arc::clone(&app);
    let proof = app
        .read(move |conn| {
            let stored = store::record(conn, &hash)?;
            log::proof(conn, &shared.keys.log, &shared.witnesses, stored.log_index)
        })
        .await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(proof.text()))
}

/// What somebody asks for, if they may see the visit that it belongs to; to others it does not exist, and
/// that they asked is noted.
async fn seen(
    app: &Arc<App>,
    actor: &Actor,
    act: CustodyAct,
    (visit, record): (Option<&VisitId>, &Sha256),
    why: &str,
) -> Result<()> {
    let may = actor.may(Permission::ReadVisits);
    let act = if may { act } else { CustodyAct::Refused };
    custody::looked(app, actor, Deed { act, visit, subject: Some(record), why }).await?;
    if may { Ok(()) } else { Err(Error::not_found("record")) }
}

/// The exact bytes that the device signed.
#[utoipa::path(get, path = "/api/v1/records/{hash}/envelope", params(("hash" = Sha256, Path)),
    responses((status = 200, body = String), (status = 404, body = Problem)))]
async fn envelope(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<HttpResponse> {
    let app = app.into_inner();
    let name = hash.clone();
    let (bytes, visit) = app.read(move |conn| store::envelope(conn, &name)).await?;
    seen(&app, &actor, CustodyAct::Copied, (visit.as_ref(), &hash), "the signed record").await?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(bytes))
}

/// Types that a browser may show as what they are; anything else is downloaded.
const SHOWN: [&str; 6] =
    ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/heic", "application/pdf"];

/// The original file, byte for byte as the camera wrote it.
#[utoipa::path(get, path = "/api/v1/records/{hash}/original", params(("hash" = Sha256, Path)),
    responses((status = 200, body = [u8]), (status = 404, body = Problem)))]
async fn original(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<HttpResponse> {
    let app = app.into_inner();
    let file = app.read(move |conn| store::file(conn, &hash)).await?;
    let what = (file.visit.as_ref(), &file.record);
    seen(&app, &actor, CustodyAct::Copied, what, "the original file").await?;
    if file.state != FileState::Stored {
        return Err(Error::conflict(
            "file-not-stored",
            "The file's bytes are not here (yet): see the visit.",
        ));
    }
    let mime =
        if SHOWN.contains(&file.mime.as_str()) { file.mime.as_str() } else { "application/octet-stream" };
    serve(&app, &file.sha256, mime, &disposition(&file.name)).await
}

/// A small picture of a photo.
#[utoipa::path(get, path = "/api/v1/records/{hash}/thumbnail", params(("hash" = Sha256, Path)),
    responses((status = 200, body = [u8], content_type = "image/jpeg"), (status = 404, body = Problem)))]
async fn small(app: Data<App>, actor: Actor, hash: Path<Sha256>) -> Result<HttpResponse> {
    let app = app.into_inner();
    let file = app.read(move |conn| store::file(conn, &hash)).await?;
    let what = (file.visit.as_ref(), &file.record);
    seen(&app, &actor, CustodyAct::Viewed, what, "the small picture").await?;
    let thumbnail = file.thumbnail_sha256.ok_or_else(|| Error::not_found("small picture"))?;
    serve(&app, &thumbnail, "image/jpeg", "inline").await
}

async fn serve(app: &Arc<App>, sha256: &Sha256, mime: &str, disposition: &str) -> Result<HttpResponse> {
    let (size_bytes, content) = app.files.stream(sha256).await.map_err(|e| Error::Internal(e.into()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, mime))
        .insert_header((CONTENT_LENGTH, size_bytes))
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header((CONTENT_DISPOSITION, disposition))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"))
        .insert_header((CACHE_CONTROL, "private, max-age=3600, immutable"))
        .no_chunking(size_bytes)
        .streaming(content.map_err(Error::from_store)))
}

/// A `Content-Disposition` that no file name can break out of (RFC 6266, RFC 8187).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .take(120)
        .collect();
    let encoded: String = name
        .bytes()
        .take(360)
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_split_into_lines_and_never_unpacked_past_the_limit() {
        assert_eq!(read_envelopes(b"a\nb\n", None).unwrap(), [b"a".to_vec(), b"b".to_vec()]);
        let packed = zstd::encode_all(&b"a\nb"[..], 3).unwrap();
        assert_eq!(read_envelopes(&packed, Some("zstd")).unwrap().len(), 2);
        let bomb = zstd::encode_all(std::io::repeat(b'0').take(1 << 30), 3).unwrap();
        assert_eq!(read_envelopes(&bomb, Some("zstd")).unwrap_err().code(), "body-too-large");
        assert_eq!(read_envelopes(b"nonsense", Some("zstd")).unwrap_err().code(), "malformed-zstd");
        assert_eq!(read_envelopes(b"", Some("br")).unwrap_err().code(), "unknown-encoding");
        let many = b"x\n".repeat(MAX_RECORDS + 1);
        assert_eq!(read_envelopes(&many, None).unwrap_err().code(), "body-too-large");
    }

    #[test]
    fn a_file_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("a\"; x=\r\nSet-Cookie: é.jpg"),
            "inline; filename=\"a__ x___Set-Cookie_ _.jpg\"; \
             filename*=UTF-8''a%22%3B%20x%3D%0D%0ASet-Cookie%3A%20%C3%A9.jpg"
        );
    }
}
