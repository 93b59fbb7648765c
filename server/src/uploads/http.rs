//! The requests of tus 1.0: read the headers, call, answer.

use std::time::SystemTime;

use actix_web::body::BoxBody;
use actix_web::dev::{Service as _, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    self, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, HttpDate, TRANSFER_ENCODING,
};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use futures_util::future::{Either, ready};

use super::protocol::{self, Check};
use super::receive::{self, too_long};
use super::staging::{Found, Info};
use super::{MAX_OPEN, PATH, Uploads, blocking, key, storage_failed};
use crate::error::{Error, Result};

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const VERSION: HeaderName = HeaderName::from_static("tus-version");
const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// What a page of another origin may read of an answer.
const EXPOSED: &str = "Location,Tus-Version,Tus-Resumable,Tus-Max-Size,Tus-Extension,Tus-Checksum-Algorithm,\
    Upload-Offset,Upload-Length,Upload-Defer-Length,Upload-Metadata,Upload-Expires";
/// What a page of another origin may send.
const SENDABLE: &str = "Authorization,Content-Type,Tus-Resumable,Upload-Offset,Upload-Length,\
    Upload-Defer-Length,Upload-Metadata,Upload-Checksum,X-HTTP-Method-Override,X-Request-ID,X-Requested-With";

#[derive(utoipa::OpenApi)]
#[openapi(paths(create, head, patch, terminate))]
pub struct ApiDoc;

/// The routes of uploads. They need `Data<Uploads>` among the application's data.
pub fn routes(config: &mut ServiceConfig) {
    let scope = web::scope(PATH)
        .wrap_fn(|mut request, service| {
            let answer = match frame(&mut request) {
                Ok(()) => Either::Left(service.call(request)),
                Err(refused) => Either::Right(ready(Ok(request.into_response(refused.error_response())))),
            };
            async move { answer.await.map(sign) }
        })
        .service(
            web::resource(["", "/"])
                .route(web::method(Method::OPTIONS).to(options))
                .route(web::post().to(create))
                .default_service(web::to(|| async { not_allowed("OPTIONS, POST") })),
        )
        .service(
            web::resource("/{id}")
                .route(web::method(Method::OPTIONS).to(options))
                .route(web::head().to(head))
                .route(web::patch().to(patch))
                .route(web::delete().to(terminate))
                .default_service(web::to(|| async { not_allowed("OPTIONS, HEAD, PATCH, DELETE") })),
        );
    config.service(scope);
}

/// Applies a method that the client could not send itself, and refuses other versions of tus.
fn frame(request: &mut ServiceRequest) -> Result<()> {
    if let Some(method) = text(request.headers(), &OVERRIDE)? {
        let method = method.to_ascii_uppercase().parse().map_err(|_| {
            Error::malformed("malformed-header", format!("{OVERRIDE}: {method:?} is not a method."))
        })?;
        request.head_mut().method = method;
    }
    if request.method() == Method::OPTIONS || text(request.headers(), &RESUMABLE)? == Some(protocol::VERSION)
    {
        return Ok(());
    }
    Err(Error::with_status(
        412,
        "tus-version",
        "Another version of tus is spoken here",
        format!("Send Tus-Resumable: {}, the only version offered.", protocol::VERSION),
    ))
}

/// Puts on every answer, refusals too, what tus and browsers ask for.
fn sign(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let foreign_page = response.request().headers().contains_key(header::ORIGIN);
    let other_version = response.status().as_u16() == 412;
    let headers = response.headers_mut();
    headers.insert(RESUMABLE, HeaderValue::from_static(protocol::VERSION));
    if other_version {
        headers.insert(VERSION, HeaderValue::from_static(protocol::VERSION));
    }
    if foreign_page {
        // Any origin, but without cookies: a page must hold a token of its own to get anywhere.
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response
}

fn not_allowed(methods: &'static str) -> HttpResponse {
    let refused = Error::with_status(
        405,
        "method-not-allowed",
        "This is not done here",
        format!("This path takes {methods}."),
    );
    let mut response = refused.error_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

async fn options(uploads: Data<Uploads>, request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::NoContent();
    response
        .insert_header((VERSION, protocol::VERSION))
        .insert_header(("Tus-Extension", protocol::EXTENSIONS))
        .insert_header(("Tus-Max-Size", uploads.setup.max_bytes.to_string()))
        .insert_header(("Tus-Checksum-Algorithm", protocol::CHECKSUM_ALGORITHMS));
    if request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        response
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "OPTIONS,POST,HEAD,PATCH,DELETE"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, SENDABLE))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, "86400"));
    }
    response.finish()
}

/// Begins an upload; its first bytes, or all of them, may come with it.
#[utoipa::path(
    post, path = "/api/v1/files", tag = "uploads",
    params(
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Length" = Option<u64>, Header, description = "bytes of the whole"),
        ("Upload-Metadata" = Option<String>, Header, description = "may name sealed_sha256, in hex"),
    ),
    responses(
        (status = 201, description = "Location is the path of the upload"),
        (status = 413, description = "larger than Tus-Max-Size"),
        (status = 422, description = "complete, but not the bytes that sealed_sha256 named"),
        (status = 429, description = "too many open uploads"),
        (status = 460, description = "the body is not what Upload-Checksum says"),
    ),
)]
pub(crate) async fn create(
    uploads: Data<Uploads>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let uploads = uploads.into_inner();
    let headers = request.headers();
    let owner = uploads.owner(&request).await?;
    if headers.contains_key(CONCAT) {
        return Err(Error::malformed(
            "concatenation-not-offered",
            "Upload-Concat is not offered: send the file as one upload.",
        ));
    }
    let size_bytes = protocol::length(text(headers, &LENGTH)?, text(headers, &DEFER_LENGTH)?)?;
    let metadata = text(headers, &METADATA)?;
    let named_sha256 = metadata.map(protocol::sealed_sha256_of).transpose()?.flatten();
    let body = body_of(headers)?;
    let check = match body {
        Some(_) => text(headers, &CHECKSUM)?.map(Check::parse).transpose()?,
        None => None,
    };
    let limit_bytes = size_bytes.unwrap_or(uploads.setup.max_bytes);
    let coming_bytes = body.flatten().unwrap_or(0);
    if limit_bytes > uploads.setup.max_bytes || coming_bytes > limit_bytes {
        return Err(too_long(uploads.setup.max_bytes.min(limit_bytes)));
    }
    let info = Info {
        id: uuid::Uuid::now_v7().hyphenated().to_string(),
        owner,
        size_bytes,
        metadata: metadata.map(ToOwned::to_owned),
        named_sha256,
        touched_at: uploads.setup.clock.now(),
        completed: None,
    };
    let hold = uploads.holds.take(&info.key()).await?;
    // When all comes at once, the 201 is also the last answer, and what it promises is made durable
    // at the end.
    let all_at_once = size_bytes == Some(coming_bytes);
    let staging = uploads.staging.clone();
    let mut found = blocking(move || {
        if staging.count_open(&info.owner)? >= MAX_OPEN {
            return Err(too_many());
        }
        staging.create(info, !all_at_once).map_err(storage_failed)
    })
    .await?;
    let location = format!("{PATH}/{}", found.info.id);
    let mut answer = HttpResponse::Created();
    answer.insert_header((header::LOCATION, location));
    let mut hold = hold;
    let mut hasher = None;
    if body.is_some() {
        let (owner, id) = (found.info.owner.clone(), found.info.id.clone());
        let appended = receive::append(&uploads, hold, found, check, limit_bytes, payload).await;
        let (held, longer, running) = match appended {
            // The client was never told where this upload is, and nothing of it is here.
            Err(error) if matches!(error.problem().status, 413 | 460) => {
                let hold = uploads.holds.take(&key(&owner, &id)).await?;
                uploads.remove(&hold, &owner, &id).await?;
                return Err(error);
            }
            other => other?,
        };
        (hold, found, hasher) = (held, longer, Some(running));
        answer.insert_header((OFFSET, found.offset_bytes));
    }
    if found.is_full() {
        uploads.settle(hold, found, hasher).await?;
    } else {
        answer.insert_header((EXPIRES, uploads.expires(&found)));
    }
    Ok(answer.finish())
}

/// How much of an upload is here.
#[utoipa::path(
    head, path = "/api/v1/files/{id}", tag = "uploads",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 200, description = "Upload-Offset is what is here, Upload-Length the whole"),
        (status = 404, description = "no such upload, or another's"),
        (status = 410, description = "expired"),
    ),
)]
pub(crate) async fn head(
    uploads: Data<Uploads>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let uploads = uploads.into_inner();
    let owner = uploads.owner(&request).await?;
    uploads.find(&owner, &id)?;
    let hold = uploads.holds.take(&key(&owner, &id)).await?;
    let found = uploads.find(&owner, &id)?;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CACHE_CONTROL, "no-store")).insert_header((OFFSET, found.offset_bytes));
    match found.info.size_bytes {
        Some(size_bytes) => answer.insert_header((LENGTH, size_bytes)),
        None => answer.insert_header((DEFER_LENGTH, "1")),
    };
    if let Some(metadata) = found.info.metadata.as_deref().filter(|metadata| !metadata.is_empty()) {
        answer.insert_header((METADATA, metadata));
    }
    if found.info.completed.is_none() {
        if found.is_full() {
            // To the client a full offset means done: let it be so before saying it.
            uploads.settle(hold, found, None).await?;
        } else {
            answer.insert_header((EXPIRES, uploads.expires(&found)));
        }
    }
    Ok(answer.finish())
}

/// Appends to an upload.
#[utoipa::path(
    patch, path = "/api/v1/files/{id}", tag = "uploads",
    params(
        ("id" = String, Path),
        ("Tus-Resumable" = String, Header, description = "1.0.0"),
        ("Upload-Offset" = u64, Header, description = "bytes that are here, as HEAD answers"),
        ("Upload-Checksum" = Option<String>, Header, description = "sha1 or sha256, and the digest in Base64"),
    ),
    responses(
        (status = 204, description = "Upload-Offset is what is here now"),
        (status = 404, description = "no such upload, or another's"),
        (status = 409, description = "Upload-Offset is not what is here"),
        (status = 410, description = "expired"),
        (status = 413, description = "more than Upload-Length"),
        (status = 415, description = "not application/offset+octet-stream"),
        (status = 422, description = "complete, but not the bytes that sealed_sha256 named"),
        (status = 460, description = "the body is not what Upload-Checksum says"),
        (status = 507, description = "the disk is full"),
    ),
)]
pub(crate) async fn patch(
    uploads: Data<Uploads>,
    request: HttpRequest,
    id: web::Path<String>,
    payload: web::Payload,
) -> Result<HttpResponse> {
    let uploads = uploads.into_inner();
    let headers = request.headers();
    let owner = uploads.owner(&request).await?;
    uploads.find(&owner, &id)?;
    if !is_chunk(headers) {
        return Err(not_a_chunk());
    }
    let offset = text(headers, &OFFSET)?.ok_or_else(|| {
        Error::malformed("offset-missing", "Say with Upload-Offset where these bytes belong.")
    })?;
    let offset_bytes = protocol::byte_count("Upload-Offset", offset)?;
    let length =
        text(headers, &LENGTH)?.map(|text| protocol::byte_count("Upload-Length", text)).transpose()?;
    let check = text(headers, &CHECKSUM)?.map(Check::parse).transpose()?;
    let coming_bytes = content_length(headers)?;

    let hold = uploads.holds.take(&key(&owner, &id)).await?;
    let mut found = uploads.find(&owner, &id)?;
    if found.offset_bytes != offset_bytes {
        return Err(Error::conflict(
            "offset-mismatch",
            format!("{} bytes are here, not {offset_bytes}: go on from there.", found.offset_bytes),
        ));
    }
    let info_changed = uploads.take_note(&mut found, length)?;
    let limit_bytes = found.info.size_bytes.unwrap_or(uploads.setup.max_bytes);
    if offset_bytes.saturating_add(coming_bytes.unwrap_or(0)) > limit_bytes {
        return Err(too_long(limit_bytes));
    }
    if found.info.completed.is_some() {
        // A repeat of the last request, without bytes: as it was answered the first time.
        return Ok(HttpResponse::NoContent().insert_header((OFFSET, offset_bytes)).finish());
    }
    if info_changed {
        let (place, info) = (found.place.clone(), found.info.clone());
        blocking(move || place.write_info(&info).map_err(storage_failed)).await?;
    }
    let (hold, found, hasher) = receive::append(&uploads, hold, found, check, limit_bytes, payload).await?;
    let mut answer = HttpResponse::NoContent();
    answer.insert_header((OFFSET, found.offset_bytes));
    if found.is_full() {
        uploads.settle(hold, found, Some(hasher)).await?;
    } else {
        answer.insert_header((EXPIRES, uploads.expires(&found)));
    }
    Ok(answer.finish())
}

/// Gives an upload up.
#[utoipa::path(
    delete, path = "/api/v1/files/{id}", tag = "uploads",
    params(("id" = String, Path), ("Tus-Resumable" = String, Header, description = "1.0.0")),
    responses(
        (status = 204, description = "gone"),
        (status = 404, description = "no such upload, or another's"),
    ),
)]
pub(crate) async fn terminate(
    uploads: Data<Uploads>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let uploads = uploads.into_inner();
    let owner = uploads.owner(&request).await?;
    uploads.find(&owner, &id)?;
    let hold = uploads.holds.take(&key(&owner, &id)).await?;
    uploads.find(&owner, &id)?;
    uploads.remove(&hold, &owner, &id).await?;
    Ok(HttpResponse::NoContent().finish())
}

impl Uploads {
    /// An upload of `owner` that has not expired.
    fn find(&self, owner: &str, id: &str) -> Result<Found> {
        // Only ids that were made here: nothing else becomes part of a path.
        let made_here = uuid::Uuid::try_parse(id).is_ok_and(|uuid| uuid.hyphenated().to_string() == id);
        let found = if made_here { self.staging.find(owner, id)? } else { None };
        let found = found.ok_or_else(|| Error::not_found("upload"))?;
        if self.expires_at(&found.info) <= self.setup.clock.now() {
            return Err(Error::with_status(
                410,
                "upload-expired",
                "The upload has expired",
                "Its bytes are no longer kept: create it anew.",
            ));
        }
        Ok(found)
    }

    fn expires(&self, found: &Found) -> HttpDate {
        HttpDate::from(SystemTime::from(self.expires_at(&found.info).utc()))
    }

    /// Notes the length, if it comes only now, and that someone goes on with the upload. Answers
    /// whether that is worth writing down.
    fn take_note(&self, found: &mut Found, length: Option<u64>) -> Result<bool> {
        let mut changed = false;
        match (found.info.size_bytes, length) {
            (Some(known), Some(said)) if known != said => {
                return Err(Error::malformed(
                    "length-changed",
                    format!("The upload has {known} bytes; its length cannot become {said}."),
                ));
            }
            (None, Some(said)) if said > self.setup.max_bytes => return Err(too_long(self.setup.max_bytes)),
            (None, Some(said)) if said < found.offset_bytes => {
                return Err(Error::malformed(
                    "length-too-small",
                    format!("{} bytes are here already; the length cannot be {said}.", found.offset_bytes),
                ));
            }
            (None, Some(said)) => {
                found.info.size_bytes = Some(said);
                changed = true;
            }
            _ => {}
        }
        let now = self.setup.clock.now();
        if now.since(found.info.touched_at) > chrono::TimeDelta::hours(1) {
            found.info.touched_at = now;
            changed = true;
        }
        Ok(changed)
    }
}

/// The text of a header that may be there once.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name);
    let Some(value) = values.next() else { return Ok(None) };
    let malformed = |what: &str| Error::malformed("malformed-header", format!("{name}: {what}."));
    if values.next().is_some() {
        return Err(malformed("sent more than once"));
    }
    value.to_str().map(|text| Some(text.trim())).map_err(|_| malformed("not plain ASCII"))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>> {
    text(headers, &CONTENT_LENGTH)?.map(|text| protocol::byte_count("Content-Length", text)).transpose()
}

fn is_chunk(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(protocol::CHUNK_TYPE)
}

/// Whether first bytes come with a creation, and how many if that is known.
fn body_of(headers: &HeaderMap) -> Result<Option<Option<u64>>> {
    let coming_bytes = content_length(headers)?;
    if is_chunk(headers) {
        return Ok(Some(coming_bytes));
    }
    if coming_bytes.unwrap_or(0) > 0 || headers.contains_key(TRANSFER_ENCODING) {
        return Err(not_a_chunk());
    }
    Ok(None)
}

fn not_a_chunk() -> Error {
    Error::with_status(
        415,
        "not-a-chunk",
        "Another media type is expected",
        format!("Send the bytes as Content-Type: {}.", protocol::CHUNK_TYPE),
    )
}

fn too_many() -> Error {
    Error::with_status(
        429,
        "too-many-uploads",
        "Too many uploads are open",
        format!(
            "{MAX_OPEN} uploads may be open at a time: finish or delete some, or wait until they expire."
        ),
    )
}
