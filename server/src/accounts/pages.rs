//! The sign-in page. Forms of other sites are refused; whoever is signed in is sent on.

use actix_web::http::header;
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::session::{PageRefusal, PageSession, SESSION_COOKIE, cookie};
use super::{http, sign_in};
use crate::app::App;
use crate::client::Client;
use crate::error::{Error, Result};

#[derive(Template)]
#[template(path = "accounts/login.html")]
struct LoginPage<'a> {
    org: &'a str,
    login: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct LoginQuery {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginForm {
    login: String,
    password: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogoutForm {
    csrf_token: String,
}

/// Where to go after signing in: a path of this server, never another host.
fn next_path(asked: &str) -> &str {
    let plain = asked.starts_with('/')
        && !asked.starts_with("//")
        && !asked.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace());
    if plain { asked } else { "/" }
}

fn page(app: &App, status: u16, login: &str, next: &str, problem: Option<&str>) -> Result<HttpResponse> {
    let html = LoginPage { org: &app.config.org, login, next: next_path(next), problem }
        .render()
        .map_err(|e| Error::Internal(e.into()))?;
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or_default();
    Ok(HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/html; charset=utf-8")
        .body(html))
}

fn see_other(path: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::SeeOther();
    response.insert_header((header::LOCATION, path)).insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

pub(super) async fn show_login(
    app: Data<App>,
    query: Query<LoginQuery>,
    session: Result<PageSession, PageRefusal>,
) -> Result<HttpResponse> {
    match session {
        Ok(_) => Ok(see_other(next_path(&query.next)).finish()),
        Err(_) => page(&app, 200, "", &query.next, None),
    }
}

/// Refuses a form that a browser says another site has sent: signing somebody in unasked is a trick.
fn refuse_other_sites(request: &HttpRequest) -> Result<()> {
    let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    match site {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => Err(Error::forbidden("csrf", "Sign in on this server's own page.")),
    }
}

pub(super) async fn login(
    request: HttpRequest,
    app: Data<App>,
    form: Form<LoginForm>,
) -> Result<HttpResponse> {
    refuse_other_sites(&request)?;
    let form = form.into_inner();
    let now = app.clock.now();
    let from = Client::of(&request, &app.config.trusted_proxy);
    match http::password_sign_in(&app, from, &form.login, form.password, now).await {
        Ok(user) => {
            let secret = app.write(move |conn| sign_in::start_session(conn, &user, now)).await?;
            Ok(see_other(next_path(&form.next)).cookie(cookie(&app, from, secret)).finish())
        }
        Err(http::SignInRefusal::Wait { wait_s }) => {
            let problem = format!("Too many attempts. Try again in {wait_s} seconds.");
            let mut response = page(&app, 429, &form.login, &form.next, Some(&problem))?;
            response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
            Ok(response)
        }
        Err(http::SignInRefusal::Refused(Error::Refused(problem))) => {
            page(&app, problem.status, &form.login, &form.next, Some(&problem.detail))
        }
        Err(http::SignInRefusal::Refused(internal)) => Err(internal),
    }
}

pub(super) async fn logout(
    request: HttpRequest,
    app: Data<App>,
    session: PageSession,
    form: Form<LogoutForm>,
) -> Result<HttpResponse> {
    session.check_csrf(&form.csrf_token)?;
    if let Some(held) = request.cookie(SESSION_COOKIE) {
        let secret = held.value().to_owned();
        app.write(move |conn| sign_in::end_session(conn, &secret)).await?;
    }
    let from = Client::of(&request, &app.config.trusted_proxy);
    Ok(see_other("/login").cookie(cookie(&app, from, String::new())).finish())
}

#[cfg(test)]
mod tests {
    use super::next_path;

    #[test]
    fn the_way_on_never_leaves_this_server() {
        assert_eq!(next_path("/visits?state=open"), "/visits?state=open");
        for elsewhere in ["", "//evil.example", "https://evil.example", "/\\evil", "visits", "/\tx", "/a b"] {
            assert_eq!(next_path(elsewhere), "/", "{elsewhere:?}");
        }
    }
}
