//! Visits over HTTP.

use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::web::{Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use endcheck_protocol::ids::{SiteId, UserId, VisitId};
use endcheck_protocol::problem::Problem;
use endcheck_protocol::sync::PullPage;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::visit::{Visit, VisitState};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};

use super::{CancelVisit, Change, ReassignVisit, RescheduleVisit, ScheduleVisit, store};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{self, Page};
use crate::resource::resource;

#[derive(OpenApi)]
#[openapi(paths(schedule, list, announce, reassign, reschedule, cancel, pull))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/visits").post(schedule).get(list))
        .service(resource("/api/v1/visits/{id}/announce").post(announce))
        .service(resource("/api/v1/visits/{id}/reassign").post(reassign))
        .service(resource("/api/v1/visits/{id}/reschedule").post(reschedule))
        .service(resource("/api/v1/visits/{id}/cancel").post(cancel))
        .service(resource("/api/v1/sync/pull").get(pull));
}

/// Put a visit on the calendar.
#[utoipa::path(
    post,
    path = "/api/v1/visits",
    request_body = ScheduleVisit,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = Visit), (status = 404, body = Problem), (status = 422, body = Problem))
)]
async fn schedule(app: Data<App>, actor: Actor, key: OnceKey, payload: Payload) -> Result<HttpResponse> {
    actor.require(Permission::ScheduleVisits)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: ScheduleVisit = body::json(&body)?;
    let app = app.into_inner();
    let now = app.clock.now();
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::created(&super::schedule(conn, &actor, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}

/// Which visits to list. By default those that are not finished, by due date.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
pub struct ListVisits {
    pub state: Option<VisitState>,
    pub inspector: Option<UserId>,
    pub unassigned: bool,
    pub site: Option<SiteId>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    pub overdue: bool,
    /// Finished ones too.
    pub all: bool,
    pub cursor: Option<String>,
    /// 1 to 500, 50 by default.
    pub limit: Option<i64>,
}

impl ListVisits {
    /// One page of what the actor may see: inspectors see their own.
    ///
    /// # Errors
    /// 400 `malformed-cursor`; 403; 422 for a limit out of range.
    pub fn page(mut self, conn: &mut Conn, actor: &Actor, now: Timestamp) -> Result<Page<Visit>> {
        if !actor.may(Permission::ReadVisits) {
            actor.require(Permission::Inspect)?;
            self.inspector = Some(actor.user.clone());
        }
        let limit = listing::limit(self.limit)?;
        let cursor = self.cursor.as_deref().map(read_cursor).transpose()?;
        let rows = store::list(conn, &self, cursor.as_ref(), limit + 1, now)?;
        let page = Page::cut_at(rows, limit, |last| write_cursor(last.row.due_at, &last.row.id));
        let items = page.items.into_iter().map(|row| row.into_visit(now)).collect();
        Ok(Page { items, next_cursor: page.next_cursor })
    }
}

fn write_cursor(due_at: Timestamp, id: &VisitId) -> String {
    format!("{}.{id}", due_at.unix_micros())
}

fn read_cursor(text: &str) -> Result<(Timestamp, VisitId)> {
    let read = || {
        let (micros, id) = text.split_once('.')?;
        Some((Timestamp::from_unix_micros(micros.parse().ok()?)?, id.parse().ok()?))
    };
    read().ok_or_else(|| {
        Error::malformed("malformed-cursor", "The cursor is not one that this server gave. List without one.")
    })
}

/// Visits by due date.
#[utoipa::path(get, path = "/api/v1/visits", params(ListVisits), responses((status = 200, body = Page<Visit>)))]
async fn list(app: Data<App>, actor: Actor, query: Query<ListVisits>) -> Result<Json<Page<Visit>>> {
    let now = app.clock.now();
    let filter = query.into_inner();
    app.into_inner().read(move |conn| filter.page(conn, &actor, now)).await.map(Json)
}

async fn change(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    id: VisitId,
    change: Change,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    let if_version = match request.headers().get(IF_MATCH) {
        None => None,
        Some(value) => Some(
            value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok()).ok_or_else(|| {
                Error::malformed("malformed-if-match", "If-Match takes the ETag of the visit, such as \"3\".")
            })?,
        ),
    };
    let visit =
        app.into_inner().write(move |conn| super::change(conn, &actor, &id, change, if_version, now)).await?;
    Ok(HttpResponse::Ok().insert_header((ETAG, format!("\"{}\"", visit.version))).json(visit))
}

/// Announce the visit to its host.
#[utoipa::path(post, path = "/api/v1/visits/{id}/announce", params(("id" = VisitId, Path)),
    responses((status = 200, body = Visit), (status = 409, body = Problem)))]
async fn announce(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    id: Path<VisitId>,
) -> Result<HttpResponse> {
    change(app, actor, request, id.into_inner(), Change::Announce).await
}

/// Give the visit to another inspector.
#[utoipa::path(post, path = "/api/v1/visits/{id}/reassign", params(("id" = VisitId, Path)),
    request_body = ReassignVisit, responses((status = 200, body = Visit), (status = 409, body = Problem)))]
async fn reassign(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    id: Path<VisitId>,
    body: Json<ReassignVisit>,
) -> Result<HttpResponse> {
    change(app, actor, request, id.into_inner(), Change::Reassign(body.into_inner())).await
}

/// Move the visit to another window.
#[utoipa::path(post, path = "/api/v1/visits/{id}/reschedule", params(("id" = VisitId, Path)),
    request_body = RescheduleVisit, responses((status = 200, body = Visit), (status = 409, body = Problem)))]
async fn reschedule(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    id: Path<VisitId>,
    body: Json<RescheduleVisit>,
) -> Result<HttpResponse> {
    change(app, actor, request, id.into_inner(), Change::Reschedule(body.into_inner())).await
}

/// Call the visit off.
#[utoipa::path(post, path = "/api/v1/visits/{id}/cancel", params(("id" = VisitId, Path)),
    request_body = CancelVisit, responses((status = 200, body = Visit), (status = 409, body = Problem)))]
async fn cancel(
    app: Data<App>,
    actor: Actor,
    request: HttpRequest,
    id: Path<VisitId>,
    body: Json<CancelVisit>,
) -> Result<HttpResponse> {
    change(app, actor, request, id.into_inner(), Change::Cancel(body.into_inner())).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Cursor {
    cursor: Option<String>,
}

/// The inspector's visits with all that is needed on site; dispatches those fetched for the first time.
#[utoipa::path(get, path = "/api/v1/sync/pull", params(Cursor), responses((status = 200, body = PullPage)))]
async fn pull(app: Data<App>, actor: Actor, query: Query<Cursor>) -> Result<Json<PullPage>> {
    let now = app.clock.now();
    app.into_inner()
        .write(move |conn| super::pull(conn, &actor, query.cursor.as_deref(), now))
        .await
        .map(Json)
}
