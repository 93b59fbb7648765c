//! Serials over HTTP, and as lists for spreadsheets.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use actix_web::web::{Bytes, Data, Json, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use endcheck_protocol::ids::ItemId;
use endcheck_protocol::problem::Problem;
use endcheck_protocol::time::Timestamp;
use futures_util::stream;
use utoipa::OpenApi;

use super::overdue::Overdue;
use super::report::ReportSerialEvent;
use super::view::{ListSerials, Serial, SerialHistory};
use super::{page, store};
use crate::accounts::{Actor, Permission};
use crate::app::App;
use crate::body::{self, MAX_THING_BYTES};
use crate::error::Result;
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::{MAX_LIMIT, Page};
use crate::resource::resource;
use crate::sheet;

#[derive(OpenApi)]
#[openapi(paths(list, sheet_of, overdue, overdue_sheet, find, report))]
pub struct ApiDoc;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/v1/serials").get(list))
        .service(resource("/api/v1/serials.csv").get(sheet_of))
        .service(resource("/api/v1/serials/overdue").get(overdue))
        .service(resource("/api/v1/serials/overdue.csv").get(overdue_sheet))
        .service(resource("/api/v1/serials/{id}").get(find))
        .service(resource("/api/v1/serials/{id}/events").post(report))
        .configure(page::routes);
}

/// Serials in the order of their due dates, the most overdue first; with `Accept: text/csv` all of them as a
/// list for a spreadsheet.
#[utoipa::path(get, path = "/api/v1/serials", tag = "serials", params(ListSerials),
    responses((status = 200, body = Page<Serial>), (status = 422, body = Problem)))]
async fn list(
    request: HttpRequest,
    app: Data<App>,
    actor: Actor,
    query: Query<ListSerials>,
) -> Result<HttpResponse> {
    if sheet::is_wanted(&request) {
        return sheet_of(app, actor, query).await;
    }
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let (now, rules) = (app.clock.now(), app.serial_rules.clone());
    let page = app.read(move |conn| super::list(conn, &rules, &query, now)).await?;
    Ok(HttpResponse::Ok().json(page))
}

/// All serials that the query asks for, as a list for a spreadsheet.
#[utoipa::path(get, path = "/api/v1/serials.csv", tag = "serials", params(ListSerials),
    responses((status = 200, content_type = "text/csv"), (status = 422, body = Problem)))]
async fn sheet_of(app: Data<App>, actor: Actor, query: Query<ListSerials>) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    let first = ListSerials { limit: Some(MAX_LIMIT), ..query.into_inner() };
    // The first page is read before the answer begins, so that what is wrong with the query can be said.
    let (begin, next) = lines(&app, first, now).await?;
    let head = sheet::line(COLUMNS);
    let begun = Some(Step { lines: head + &begin, next });
    let body = stream::try_unfold(begun, move |step| {
        let app = Arc::clone(&app);
        async move {
            let Some(step) = step else { return Ok::<_, crate::error::Error>(None) };
            let after = match step.next {
                None => None,
                Some(query) => {
                    let (lines, next) = lines(&app, query, now).await?;
                    Some(Step { lines, next })
                }
            };
            Ok(Some((Bytes::from(step.lines), after)))
        }
    });
    Ok(sheet_answer("serials.csv").streaming(body))
}

struct Step {
    lines: String,
    next: Option<ListSerials>,
}

async fn lines(app: &Arc<App>, query: ListSerials, now: Timestamp) -> Result<(String, Option<ListSerials>)> {
    let rules = app.serial_rules.clone();
    app.read(move |conn| {
        let page = super::list(conn, &rules, &query, now)?;
        let lines = page.items.iter().map(line).collect::<Result<String>>()?;
        let next = page.next_cursor.map(|cursor| ListSerials { cursor: Some(cursor), ..query });
        Ok((lines, next))
    })
    .await
}

const COLUMNS: [&str; 19] = [
    "serial",
    "status",
    "due_at",
    "overdue_days",
    "due_why",
    "tier",
    "control_entry",
    "host_key",
    "host",
    "site",
    "country",
    "arrived_on",
    "last_seen_at",
    "seen_method",
    "seen_site",
    "said",
    "loss_is_late",
    "shipment",
    "id",
];

fn line(serial: &Serial) -> Result<String> {
    let instant = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.to_string());
    let said = serial.said.map(|said| said.as_str().to_owned());
    Ok(sheet::line([
        serial.serial.clone(),
        serial.status.as_str().to_owned(),
        instant(serial.due_at),
        serial.overdue_days.to_string(),
        serial.due_why.clone().unwrap_or_default(),
        serial.tier.to_string(),
        serial.control_entry.clone(),
        serial.host.key.clone(),
        serial.host.name.clone(),
        serial.site_name.clone(),
        serial.country.clone(),
        serial.arrived_on.clone().unwrap_or_default(),
        instant(serial.last_seen_at),
        serial.seen_method.as_ref().map(store::word).transpose()?.unwrap_or_default(),
        serial.seen_site_name.clone().unwrap_or_default(),
        said.unwrap_or_default(),
        serial.loss_is_late.to_string(),
        serial.shipment_key.clone(),
        serial.id.to_string(),
    ]))
}

fn sheet_answer(name: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, sheet::MEDIA_TYPE))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .insert_header((CACHE_CONTROL, "no-store"));
    answer
}

/// How many serials are past their due date, by age, tier and host.
#[utoipa::path(get, path = "/api/v1/serials/overdue", tag = "serials", responses((status = 200, body = Overdue)))]
async fn overdue(request: HttpRequest, app: Data<App>, actor: Actor) -> Result<HttpResponse> {
    if sheet::is_wanted(&request) {
        return overdue_sheet(app, actor).await;
    }
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    let counted = app.read(move |conn| super::overdue(conn, now)).await?;
    Ok(HttpResponse::Ok().json(counted))
}

/// The same as a list for a spreadsheet: a line for each tier and each host.
#[utoipa::path(get, path = "/api/v1/serials/overdue.csv", tag = "serials",
    responses((status = 200, content_type = "text/csv")))]
async fn overdue_sheet(app: Data<App>, actor: Actor) -> Result<HttpResponse> {
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let now = app.clock.now();
    let counted = app.read(move |conn| super::overdue(conn, now)).await?;
    let head = ["by".to_owned(), "key".to_owned(), "name".to_owned(), "country".to_owned()];
    let ages = counted.ages.iter().map(super::overdue::Age::told);
    let mut lines =
        sheet::line(head.into_iter().chain(ages).chain(["overdue".to_owned(), "serials".to_owned()]));
    let numbers = |ages: &[i64]| ages.iter().map(ToString::to_string).collect::<Vec<_>>();
    for tier in &counted.by_tier {
        let name = ["tier".to_owned(), tier.tier.to_string(), format!("tier {}", tier.tier), String::new()];
        let end = [tier.overdue.to_string(), tier.serials.to_string()];
        lines += &sheet::line(name.into_iter().chain(numbers(&tier.ages)).chain(end));
    }
    for one in &counted.by_host {
        let host = &one.host;
        let name = ["host".to_owned(), host.key.clone(), host.name.clone(), host.country.clone()];
        let end = [one.overdue.to_string(), String::new()];
        lines += &sheet::line(name.into_iter().chain(numbers(&one.ages)).chain(end));
    }
    Ok(sheet_answer("serials-overdue.csv").body(lines))
}

/// A serial with everything that happened to it.
#[utoipa::path(get, path = "/api/v1/serials/{id}", tag = "serials", params(("id" = ItemId, Path)),
    responses((status = 200, body = SerialHistory), (status = 404, body = Problem)))]
async fn find(app: Data<App>, actor: Actor, id: Path<ItemId>) -> Result<Json<SerialHistory>> {
    actor.require(Permission::ReadVisits)?;
    let app = app.into_inner();
    let (now, rules) = (app.clock.now(), app.serial_rules.clone());
    app.read(move |conn| super::get(conn, &rules, &id, now)).await.map(Json)
}

/// Put a loss, a find, a transfer, a review or a withdrawal on record; answers the serial after it.
#[utoipa::path(post, path = "/api/v1/serials/{id}/events", tag = "serials", request_body = ReportSerialEvent,
    params(("id" = ItemId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = SerialHistory), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn report(
    app: Data<App>,
    actor: Actor,
    id: Path<ItemId>,
    key: OnceKey,
    payload: Payload,
) -> Result<HttpResponse> {
    actor.require(Permission::ReportSerials)?;
    let body = body::read(payload, MAX_THING_BYTES).await?;
    let command: ReportSerialEvent = body::json(&body)?;
    let app = app.into_inner();
    let (now, rules) = (app.clock.now(), app.serial_rules.clone());
    app.write(move |conn| {
        once(conn, &actor, &key, &body, now, |conn| {
            Answer::created(&super::report(conn, &actor, &rules, &id, command, now)?)
        })
    })
    .await
    .map(HttpResponse::from)
}
