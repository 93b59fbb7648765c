//! What every page shares: its frame, its style sheet, and how it becomes a response.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use actix_web::web::ServiceConfig;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use endcheck_protocol::ids::UserId;
use endcheck_protocol::problem::Problem;

use crate::accounts::{PageSession, Permission};
use crate::error::{Error, Result};
use crate::resource::resource;

/// The frame around a page.
pub struct Shell {
    pub title: String,
    pub user: UserId,
    pub user_name: String,
    pub csrf_token: String,
    /// Whether the page of the jobs is theirs to see.
    pub watches_jobs: bool,
}

impl Shell {
    #[must_use]
    pub fn of(session: &PageSession, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            user: session.actor.user.clone(),
            user_name: session.actor.name.clone(),
            csrf_token: session.csrf_token.clone(),
            watches_jobs: session.actor.may(Permission::WatchJobs),
        }
    }
}

/// A page as a response that no cache keeps.
///
/// # Errors
/// When the template cannot be written.
pub fn html(page: &impl Template) -> Result<HttpResponse> {
    let text = page.render().map_err(|e| Error::Internal(e.into()))?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CACHE_CONTROL, "no-store"))
        // A page holds a secret beside what its reader typed: compressed, its size would tell on it.
        .insert_header((CONTENT_ENCODING, "identity"))
        .body(text))
}

/// Text that no markup comes out of.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    problem: &'a Problem,
}

/// A refusal as a page, where a browser asked one of the pages. Programs get the problem document.
#[must_use]
pub fn refused(request: &HttpRequest, problem: &Problem) -> Option<HttpResponse> {
    let accepts = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let is_page = !["/api/", "/log/"].iter().any(|prefix| request.path().starts_with(prefix));
    if !is_page || !accepts.contains("text/html") {
        return None;
    }
    let mut page = html(&RefusedPage { problem }).ok()?;
    *page.status_mut() = status(problem.status);
    Some(page)
}

#[must_use]
pub fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/static/icon.svg").get(async || {
            HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, "image/svg+xml"))
                .insert_header((CACHE_CONTROL, "max-age=3600"))
                .body(include_str!("../static/icon.svg"))
        }))
        .service(
            resource("/")
                .get(async || HttpResponse::SeeOther().insert_header((LOCATION, "/visits")).finish()),
        )
        .service(resource("/static/console.css").get(async || {
            HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, "text/css; charset=utf-8"))
                .insert_header((CACHE_CONTROL, "max-age=3600"))
                .body(include_str!("../static/console.css"))
        }));
}
