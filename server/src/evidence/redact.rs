//! Redactions: files that somebody made from an original to hide parts of it. They stand beside it and
//! name it; the original stays as it is.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path, Payload, Query, ServiceConfig};
use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ids::VisitId;
use endcheck_protocol::problem::Problem;
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::store::{self, FileState};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body;
use crate::custody::{self, CustodyAct, Deed};
use crate::db::schema::{derived_files, evidence_files};
use crate::db::{Both, Conn, MultiBackend};
use crate::error::{Error, Result};
use crate::log::{self, EntryKind};
use crate::reason;
use crate::resource::resource;

/// Bytes of a redacted file at most.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What a redacted file may be.
const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "application/pdf"];

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/api/v1/records/{hash}/redactions").post(derive));
}

/// A file made from an original.
#[derive(Debug, Clone, Serialize, ToSchema, Queryable, Selectable)]
#[diesel(table_name = derived_files, check_for_backend(MultiBackend))]
pub struct DerivedFile {
    pub sha256: Sha256,
    /// The record that names the original.
    #[diesel(column_name = parent_record)]
    pub parent: Sha256,
    pub name: String,
    pub mime: String,
    pub size_bytes: i64,
    pub why: String,
    pub created_at: Timestamp,
    pub log_index: i64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Redaction {
    /// What is hidden, and why.
    why: String,
}

/// Store a redacted file made from the original of a record. The body is the file.
#[utoipa::path(post, path = "/api/v1/records/{hash}/redactions", params(("hash" = Sha256, Path), Redaction),
    request_body(content = Vec<u8>, content_type = "image/jpeg"),
    responses((status = 201, body = DerivedFile), (status = 404, body = Problem), (status = 415, body = Problem)))]
pub(super) async fn derive(
    app: Data<App>,
    actor: Actor,
    hash: Path<Sha256>,
    request: HttpRequest,
    query: Query<Redaction>,
    payload: Payload,
) -> Result<HttpResponse> {
    actor.require(Permission::Determine)?;
    let why = reason::require(query.into_inner().why)?;
    let mime = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(mime) = TYPES.into_iter().find(|known| *known == mime) else {
        return Err(Error::with_status(
            415,
            "not-a-redaction",
            "A redacted file is a picture or a document",
            format!("Send it as one of {}.", TYPES.join(", ")),
        ));
    };
    let bytes = body::read(payload, MAX_BYTES).await?;
    let app = app.into_inner();
    let parent = app.read(move |conn| store::file(conn, &hash)).await?;
    let sha256 = Sha256::of(&bytes);
    if bytes.is_empty() || sha256 == parent.sha256 {
        return Err(Error::invalid_field("body", "it is empty, or the original itself"));
    }
    if !looks_like(mime, &bytes) {
        return Err(Error::invalid_field("body", format!("it does not begin as {mime} does")));
    }
    if parent.state != FileState::Stored {
        return Err(Error::conflict("file-not-stored", "The original is not here (yet): see the visit."));
    }
    let now = app.clock.now();
    let files = app.files.clone();
    let runtime = tokio::runtime::Handle::current();
    let (named, size_bytes) = (sha256.clone(), bytes.len() as u64);
    actix_web::web::block(move || files.put(&named, bytes.as_ref(), &runtime))
        .await
        .map_err(|_| Error::Internal(anyhow::anyhow!("the storing was cancelled")))?
        .map_err(|e| Error::Internal(e.into()))?;
    let stored = app
        .write(move |conn| {
            let visit = parent.visit.as_ref();
            let derived = keep(
                conn,
                &actor,
                visit,
                &parent.record,
                &Kept { sha256, mime, name: &parent.name, size_bytes, why: &why },
                now,
            )?;
            let deed = Deed { act: CustodyAct::Redacted, visit, subject: Some(&parent.record), why: &why };
            custody::by_person(conn, &actor, &deed, now)?;
            Ok(derived)
        })
        .await?;
    Ok(HttpResponse::Created().json(stored))
}

/// Whether the bytes begin as that type does: what people open must be what it says.
fn looks_like(mime: &str, bytes: &[u8]) -> bool {
    match mime {
        "image/jpeg" => bytes.starts_with(&[0xff, 0xd8, 0xff]),
        "image/png" => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        "image/webp" => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP".as_slice()),
        "application/pdf" => bytes.starts_with(b"%PDF-"),
        _ => false,
    }
}

struct Kept<'a> {
    sha256: Sha256,
    mime: &'a str,
    name: &'a str,
    size_bytes: u64,
    why: &'a str,
}

fn keep(
    conn: &mut Conn,
    actor: &Actor,
    visit: Option<&VisitId>,
    parent: &Sha256,
    file: &Kept<'_>,
    now: Timestamp,
) -> Result<DerivedFile> {
    log::lock(conn)?;
    if let Some(held) = derived(conn, parent, &file.sha256)? {
        return Ok(held);
    }
    let subject = endcheck_protocol::bag::derived_subject(parent, &file.sha256);
    let logged = log::append(conn, EntryKind::Custody, &subject, now)?;
    Both(diesel::insert_into(derived_files::table).values((
        derived_files::sha256.eq(&file.sha256),
        derived_files::parent_record.eq(parent),
        derived_files::visit_id.eq(visit),
        derived_files::name.eq(file.name),
        derived_files::mime.eq(file.mime),
        derived_files::size_bytes.eq(i64::try_from(file.size_bytes).unwrap_or(i64::MAX)),
        derived_files::made_by.eq(&actor.user),
        derived_files::why.eq(file.why),
        derived_files::created_at.eq(now),
        derived_files::log_index.eq(logged.index),
    )))
    .execute(conn)?;
    derived(conn, parent, &file.sha256)?.ok_or_else(|| Error::not_found("redaction"))
}

fn derived(conn: &mut Conn, parent: &Sha256, sha256: &Sha256) -> Result<Option<DerivedFile>> {
    Ok(derived_files::table.find((parent, sha256)).select(DerivedFile::as_select()).first(conn).optional()?)
}

/// The redacted files of a visit that were logged before position `end`.
///
/// # Errors
/// When the database fails.
pub fn derived_of(conn: &mut Conn, visit: &VisitId, end: i64) -> Result<Vec<DerivedFile>> {
    Ok(derived_files::table
        .filter(derived_files::visit_id.eq(visit).and(derived_files::log_index.lt(end)))
        .order(derived_files::log_index)
        .select(DerivedFile::as_select())
        .load(conn)?)
}

/// The hashes of all originals of which a redacted file was made by now, whichever records name them.
///
/// # Errors
/// When the database fails.
pub fn redacted_bytes(conn: &mut Conn) -> Result<BTreeSet<Sha256>> {
    let redacted: Vec<Sha256> = derived_files::table
        .inner_join(evidence_files::table.on(evidence_files::record_hash.eq(derived_files::parent_record)))
        .select(evidence_files::sha256)
        .load(conn)?;
    Ok(redacted.into_iter().collect())
}
