//! The API of this slice: parse, call, answer.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, ResponseError as _};
use endcheck_protocol::ids::{DeviceId, UserId};
use endcheck_protocol::problem::Problem;
use endcheck_protocol::sync::{EnrolDevice, Enrolment, Inventory, RenewDevice, Renewal};
use endcheck_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificates::{self, DevicePapers};
use super::devices::{self, Device, EnrolmentCode, RevokeDevice};
use super::sign_in::{self, RefreshToken, SignIn, Tokens};
use super::users::{self, AddUser, SetMail, User};
use super::{Actor, Permission, Role, store, throttle, tokens};
use crate::app::App;
use crate::client::Client;
use crate::error::{Error, Result};

/// The only assertion type there is (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Signs a device in: a client assertion, as RFC 7523 §2.2 and RFC 6749 §4.4 write it, in JSON.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceSignIn {
    /// `client_credentials`.
    pub grant_type: String,
    /// `urn:ietf:params:oauth:client-assertion-type:jwt-bearer`.
    pub client_assertion_type: String,
    /// An EdDSA JWT by the device's sign-in key: `iss` and `sub` are the device's id, `aud` is the
    /// authority's name as in the device certificate (`org`), `exp` is at most five minutes away,
    /// `jti` is used once.
    pub client_assertion: String,
}

/// Who is asking.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Me {
    pub id: UserId,
    pub name: String,
    pub roles: Vec<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

#[derive(utoipa::OpenApi)]
#[openapi(paths(
    login,
    refresh,
    logout,
    device_token,
    jwks,
    me,
    add_user,
    list_users,
    disable_user,
    set_mail,
    make_code,
    enrol,
    renew,
    list_devices,
    show_papers,
    revoke_device,
    super::cameras::list_cameras,
    super::cameras::add_camera,
    set_inventory
))]
struct ApiDoc;

/// The description of this slice's part of the API.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    <ApiDoc as utoipa::OpenApi>::openapi()
}

/// Why a password was not enough.
pub(super) enum SignInRefusal {
    Wait { wait_s: i64 },
    Refused(Error),
}

impl From<Error> for SignInRefusal {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// Checks a login and a password. The try is counted before the slow part, so that many at once gain
/// nothing: first for this login and address, then for this login from everywhere. Success clears both.
pub(super) async fn password_sign_in(
    app: &Data<App>,
    from: Client,
    login: &str,
    password: String,
    now: Timestamp,
) -> Result<UserId, SignInRefusal> {
    let login = sign_in::normal_login(login);
    let from_here = sign_in::attempt_key("login-from", &format!("{} {login}", from.network()));
    let overall = sign_in::attempt_key("login", &login);
    let keys = [from_here, overall];
    let [here, everywhere] = keys.clone();
    app.write(move |conn| match sign_in::begin_attempt(conn, &here, throttle::FREE_SIGN_INS, now)? {
        Ok(()) => sign_in::begin_attempt(conn, &everywhere, throttle::FREE_SIGN_INS_OVERALL, now),
        wait => Ok(wait),
    })
    .await?
    .map_err(|wait_s| SignInRefusal::Wait { wait_s })?;
    let user = app.read(move |conn| sign_in::check_password(conn, &login, &password)).await?;
    app.write(move |conn| keys.iter().try_for_each(|key| store::clear_attempts(conn, key))).await?;
    Ok(user.id)
}

fn too_many_attempts(wait_s: i64) -> HttpResponse {
    let mut response = Error::with_status(
        429,
        "too-many-attempts",
        "Too many attempts",
        format!("Try again in {wait_s} seconds."),
    )
    .error_response();
    response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    response
}

/// Tokens are for one reader, once (RFC 6749 §5.1).
fn tokens_answer(tokens: &Tokens) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(tokens)
}

#[utoipa::path(post, path = "/api/v1/auth/login", tag = "accounts", request_body = SignIn, responses(
    (status = 200, body = Tokens), (status = 401, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn login(request: HttpRequest, app: Data<App>, body: Json<SignIn>) -> Result<HttpResponse> {
    let now = app.clock.now();
    let from = Client::of(&request, &app.config.trusted_proxy);
    let SignIn { login, password } = body.into_inner();
    let user = match password_sign_in(&app, from, &login, password, now).await {
        Ok(user) => user,
        Err(SignInRefusal::Wait { wait_s }) => return Ok(too_many_attempts(wait_s)),
        Err(SignInRefusal::Refused(error)) => return Err(error),
    };
    let inner = app.clone();
    let tokens = app.write(move |conn| sign_in::issue(conn, &inner, &user, now)).await?;
    Ok(tokens_answer(&tokens))
}

#[utoipa::path(post, path = "/api/v1/auth/refresh", tag = "accounts", request_body = RefreshToken, responses(
    (status = 200, body = Tokens), (status = 401, body = Problem)))]
pub(super) async fn refresh(app: Data<App>, body: Json<RefreshToken>) -> Result<HttpResponse> {
    let now = app.clock.now();
    let inner = app.clone();
    let tokens = app.write(move |conn| sign_in::refresh(conn, &inner, &body.refresh_token, now)).await??;
    Ok(tokens_answer(&tokens))
}

/// The access token stays good for the rest of its 15 minutes.
#[utoipa::path(post, path = "/api/v1/auth/logout", tag = "accounts", request_body = RefreshToken,
    responses((status = 204)))]
pub(super) async fn logout(app: Data<App>, body: Json<RefreshToken>) -> Result<HttpResponse> {
    let now = app.clock.now();
    app.write(move |conn| sign_in::sign_out(conn, &body.refresh_token, now)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(post, path = "/api/v1/auth/device-token", tag = "accounts", request_body = DeviceSignIn,
    responses((status = 200, body = Tokens), (status = 401, body = Problem), (status = 403, body = Problem)))]
pub(super) async fn device_token(app: Data<App>, body: Json<DeviceSignIn>) -> Result<HttpResponse> {
    let body = body.into_inner();
    for (field, given, expected) in [
        ("grant_type", &body.grant_type, "client_credentials"),
        ("client_assertion_type", &body.client_assertion_type, ASSERTION_TYPE),
    ] {
        if given != expected {
            return Err(Error::invalid_field(field, format!("must be {expected}")));
        }
    }
    let now = app.clock.now();
    let inner = app.clone();
    let tokens = app.write(move |conn| devices::sign_in(conn, &inner, &body.client_assertion, now)).await?;
    Ok(tokens_answer(&tokens))
}

#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "accounts",
    responses((status = 200, description = "A JWK set (RFC 7517)")))]
pub(super) async fn jwks(app: Data<App>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .json(tokens::jwks(&app.keys))
}

#[utoipa::path(get, path = "/api/v1/me", tag = "accounts", responses(
    (status = 200, body = Me), (status = 401, body = Problem)))]
pub(super) async fn me(actor: Actor) -> Json<Me> {
    Json(Me { id: actor.user, name: actor.name, roles: actor.roles, device: actor.device })
}

#[utoipa::path(post, path = "/api/v1/users", tag = "accounts", request_body = AddUser, responses(
    (status = 201, body = User), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(super) async fn add_user(app: Data<App>, actor: Actor, body: Json<AddUser>) -> Result<HttpResponse> {
    actor.require_role(Role::Admin)?;
    let now = app.clock.now();
    // Hashes first and opens its own write transaction after that.
    let user = app
        .read(move |conn| users::add_user(conn, &body.login, &body.name, &body.password, &body.roles, now))
        .await?;
    Ok(HttpResponse::Created().json(user))
}

#[utoipa::path(get, path = "/api/v1/users", tag = "accounts", responses(
    (status = 200, body = [User]), (status = 403, body = Problem)))]
pub(super) async fn list_users(app: Data<App>, actor: Actor) -> Result<Json<Vec<User>>> {
    app.read(move |conn| users::list(conn, &actor)).await.map(Json)
}

/// Says where a person is written to.
#[utoipa::path(put, path = "/api/v1/users/{id}/mail", tag = "accounts", params(("id" = UserId, Path)),
    request_body = SetMail, responses((status = 200, body = User), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn set_mail(
    app: Data<App>,
    actor: Actor,
    id: Path<UserId>,
    body: Json<SetMail>,
) -> Result<Json<User>> {
    actor.require_role(Role::Admin)?;
    app.write(move |conn| users::set_mail(conn, &id, body.mail.as_deref())).await.map(Json)
}

#[utoipa::path(post, path = "/api/v1/users/{id}/disable", tag = "accounts", params(("id" = UserId, Path)),
    responses((status = 200, body = User), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 409, body = Problem)))]
pub(super) async fn disable_user(app: Data<App>, actor: Actor, id: Path<UserId>) -> Result<Json<User>> {
    let now = app.clock.now();
    let user = app.write(move |conn| users::disable(conn, &actor, &id, now)).await?;
    app.sessions.forget_user(&user.id);
    Ok(Json(user))
}

/// With an `Idempotency-Key`, a repeated request answers with the same code.
#[utoipa::path(post, path = "/api/v1/users/{id}/enrolment-codes", tag = "accounts",
    params(("id" = UserId, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = EnrolmentCode), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn make_code(
    request: HttpRequest,
    app: Data<App>,
    actor: Actor,
    id: Path<UserId>,
) -> Result<HttpResponse> {
    let retry_key = match request.headers().get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=200).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => {
            return Err(Error::malformed(
                "malformed-idempotency-key",
                "Idempotency-Key is 1 to 200 ASCII characters.",
            ));
        }
    };
    let now = app.clock.now();
    let inner = app.clone();
    let code = app
        .write(move |conn| devices::make_code(conn, &inner, &actor, &id, retry_key.as_deref(), now))
        .await?;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(code))
}

#[utoipa::path(post, path = "/api/v1/devices/enrol", tag = "accounts", request_body = EnrolDevice, responses(
    (status = 200, body = Enrolment), (status = 401, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn enrol(
    request: HttpRequest,
    app: Data<App>,
    body: Json<EnrolDevice>,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    let from = Client::of(&request, &app.config.trusted_proxy);
    let key = sign_in::attempt_key("enrol", &from.network());
    let begun = key.clone();
    let begun =
        app.write(move |conn| sign_in::begin_attempt(conn, &begun, throttle::FREE_ENROLMENTS, now)).await?;
    if let Err(wait_s) = begun {
        return Ok(too_many_attempts(wait_s));
    }
    let inner = app.clone();
    let enrolment = app
        .write(move |conn| {
            store::clear_attempts(conn, &key)?;
            devices::enrol(conn, &inner, &body, now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(enrolment))
}

/// Certifies more day keys of the asking device. The same keys repeat the answer.
#[utoipa::path(post, path = "/api/v1/devices/me/renew", tag = "accounts", request_body = RenewDevice, responses(
    (status = 200, body = Renewal), (status = 403, body = Problem), (status = 409, body = Problem),
    (status = 422, body = Problem)))]
pub(super) async fn renew(app: Data<App>, actor: Actor, body: Json<RenewDevice>) -> Result<Json<Renewal>> {
    actor.require(Permission::Inspect)?;
    let now = app.clock.now();
    let inner = app.clone();
    app.write(move |conn| certificates::renew(conn, &inner, &actor, &body, now)).await.map(Json)
}

/// The certificates of a device and its revocation: what the log's key events about it are about.
#[utoipa::path(get, path = "/api/v1/devices/{id}/papers", tag = "accounts",
    params(("id" = DeviceId, Path)), responses((status = 200, body = DevicePapers),
    (status = 403, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn show_papers(
    app: Data<App>,
    actor: Actor,
    id: Path<DeviceId>,
) -> Result<Json<DevicePapers>> {
    app.read(move |conn| certificates::show(conn, &actor, &id)).await.map(Json)
}

#[utoipa::path(get, path = "/api/v1/devices", tag = "accounts", responses(
    (status = 200, body = [Device]), (status = 403, body = Problem)))]
pub(super) async fn list_devices(app: Data<App>, actor: Actor) -> Result<Json<Vec<Device>>> {
    app.read(move |conn| devices::list(conn, &actor)).await.map(Json)
}

#[utoipa::path(post, path = "/api/v1/devices/{id}/revoke", tag = "accounts", params(("id" = DeviceId, Path)),
    request_body = RevokeDevice, responses((status = 200, body = Device), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn revoke_device(
    app: Data<App>,
    actor: Actor,
    id: Path<DeviceId>,
    body: Json<RevokeDevice>,
) -> Result<Json<Device>> {
    let now = app.clock.now();
    let device = app.write(move |conn| devices::revoke(conn, &actor, &id, &body, now)).await?;
    app.sessions.forget_device(&device.id);
    Ok(Json(device))
}

#[utoipa::path(put, path = "/api/v1/devices/me/inventory", tag = "accounts", request_body = Inventory,
    responses((status = 204), (status = 403, body = Problem)))]
pub(super) async fn set_inventory(
    app: Data<App>,
    actor: Actor,
    body: Json<Inventory>,
) -> Result<HttpResponse> {
    let now = app.clock.now();
    app.write(move |conn| devices::set_inventory(conn, &actor, &body, now)).await?;
    Ok(HttpResponse::NoContent().finish())
}
