//! Who is asking, read from a request: a bearer token, or the cookie of a page session.

use std::pin::Pin;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::{StatusCode, header};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, dev::Payload};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::time::Timestamp;

use super::{Actor, sign_in, tokens};
use crate::app::App;
use crate::client::Client;
use crate::error::{Error, Result};

/// Name of the cookie that holds the secret of a page session.
pub const SESSION_COOKIE: &str = "endcheck_session";
/// Header in which a script of ours proves that it is not another site's.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// A person who signed in on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSession {
    pub actor: Actor,
    /// Goes into every form as a hidden field.
    pub csrf_token: String,
}

impl PageSession {
    /// Whether a form was made by a page of this session.
    ///
    /// # Errors
    /// 403 `csrf` when not.
    pub fn check_csrf(&self, form_token: &str) -> Result<()> {
        // Digests are compared, so the time taken says nothing about the token.
        if Sha256::of(form_token.as_bytes()) == Sha256::of(self.csrf_token.as_bytes()) {
            Ok(())
        } else {
            Err(Error::forbidden(
                "csrf",
                "The request does not come from a page of this session. Load the page again and repeat it.",
            ))
        }
    }
}

/// Why a page is not shown: somebody has to sign in first, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum PageRefusal {
    #[error("sign in first, then go to {next}")]
    SignIn { next: String },
    #[error(transparent)]
    Refused(#[from] Error),
}

impl ResponseError for PageRefusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::Refused(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::SignIn { next } => {
                let query: String =
                    url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
                HttpResponse::SeeOther()
                    .insert_header((header::LOCATION, format!("/login?{query}")))
                    .insert_header((header::CACHE_CONTROL, "no-store"))
                    .finish()
            }
            Self::Refused(error) => error.error_response(),
        }
    }
}

/// The cookie that carries `secret`; an empty secret ends it.
pub(super) fn cookie(app: &App, from: Client, secret: String) -> Cookie<'static> {
    let ends = secret.is_empty();
    let mut cookie = Cookie::build(SESSION_COOKIE, secret)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(app.config.tls_cert.is_some() || from.https)
        .finish();
    if ends {
        cookie.make_removal();
    }
    cookie
}

/// The application behind a request.
fn app_of(request: &HttpRequest) -> Result<Data<App>> {
    request
        .app_data::<Data<App>>()
        .cloned()
        .ok_or_else(|| Error::Internal(anyhow::anyhow!("the request reaches no application")))
}

/// The bearer token of a request.
fn bearer(request: &HttpRequest) -> Option<Result<String>> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    Some(token.ok_or_else(|| {
        Error::unauthenticated(
            "token-invalid",
            "The Authorization header must be: Bearer and an access token.",
        )
    }))
}

fn session_secret(request: &HttpRequest) -> Option<String> {
    request.cookie(SESSION_COOKIE).map(|cookie| cookie.value().to_owned()).filter(|value| !value.is_empty())
}

async fn by_token(app: &Data<App>, token: String, now: Timestamp) -> Result<Actor> {
    if let Some(actor) = app.sessions.get(&token, now) {
        return Ok(actor);
    }
    let claims = tokens::read_access(&app.keys, &app.config.org, &token, now)?;
    let revocations = app.sessions.revocations();
    let expires_at = Timestamp::from_unix_micros(claims.exp.saturating_mul(1_000_000)).unwrap_or(now);
    let actor = app.read(move |conn| sign_in::actor_of(conn, &claims.sub, claims.device.as_ref())).await?;
    app.sessions.remember(&token, actor.clone(), expires_at, now, revocations);
    Ok(actor)
}

async fn by_cookie(app: &Data<App>, secret: String, now: Timestamp) -> Result<Option<PageSession>> {
    app.read(move |conn| sign_in::find_session(conn, &secret, now)).await
}

type Extracted<T, E> = Pin<Box<dyn Future<Output = Result<T, E>>>>;

impl FromRequest for Actor {
    type Error = Error;
    type Future = Extracted<Self, Error>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = app_of(&request)?;
            let now = app.clock.now();
            if let Some(token) = bearer(&request) {
                return by_token(&app, token?, now).await;
            }
            let nobody = || {
                Error::unauthenticated(
                    "not-signed-in",
                    "Send an access token as Authorization: Bearer …; POST /api/v1/auth/login gives one.",
                )
            };
            let secret = session_secret(&request).ok_or_else(nobody)?;
            let session = by_cookie(&app, secret, now).await?.ok_or_else(nobody)?;
            if !request.method().is_safe() {
                let given = request.headers().get(CSRF_HEADER).and_then(|value| value.to_str().ok());
                session.check_csrf(given.unwrap_or_default())?;
            }
            Ok(session.actor)
        })
    }
}

impl FromRequest for PageSession {
    type Error = PageRefusal;
    type Future = Extracted<Self, PageRefusal>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let app = app_of(&request)?;
            let session = match session_secret(&request) {
                Some(secret) => by_cookie(&app, secret, app.clock.now()).await?,
                None => None,
            };
            session.ok_or_else(|| {
                let safe = request.method().is_safe();
                let asked = request.uri().path_and_query().map_or("/", |path| path.as_str());
                PageRefusal::SignIn { next: if safe { asked } else { "/" }.to_owned() }
            })
        })
    }
}
