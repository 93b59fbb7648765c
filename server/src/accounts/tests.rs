//! The slice through its routes, on SQLite in a folder of its own.

use std::sync::Arc;

use actix_web::cookie::Cookie;
use actix_web::dev::{Service as _, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::LOCATION;
use actix_web::test::{TestRequest, init_service, read_body};
use actix_web::web::Data;
use chrono::TimeDelta;
use diesel::prelude::*;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use endcheck_protocol::envelope::{CERTIFICATE_TYPE, Envelope, fingerprint, public_key_to_base64};
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::sync::DeviceCertificate;
use serde_json::{Value, json};

use super::{AccessClaims, AssertionClaims, Role, add_user, tokens};
use crate::app::{self, App};
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::schema;

const PASSWORD: &str = "a long enough password";

struct Office {
    app: Arc<App>,
    _folder: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            data: Some(folder.path().to_owned()),
            org: Some("Authority".into()),
            escrow_recipient: Some(age::x25519::Identity::generate().to_public().to_string()),
            ..Settings::default()
        };
        let app = App::open(settings.over(Settings::default()), Clock::default()).unwrap();
        let office = Self { app, _folder: folder };
        let now = office.app.clock.now();
        let mut conn = office.app.connection().unwrap();
        add_user(&mut conn, "Boss", "Bo Ss", PASSWORD, &[Role::Admin], now).unwrap();
        add_user(&mut conn, "ines", "Ines Pector", PASSWORD, &[Role::Inspector, Role::Manager], now).unwrap();
        drop(conn);
        office
    }

    fn advance(&self, seconds: i64) {
        self.app.clock.advance(TimeDelta::seconds(seconds));
    }

    fn rows(&self) -> [i64; 5] {
        let mut conn = self.app.connection().unwrap();
        [
            schema::users::table.count().get_result(&mut *conn).unwrap(),
            schema::refresh_tokens::table.count().get_result(&mut *conn).unwrap(),
            schema::devices::table.count().get_result(&mut *conn).unwrap(),
            schema::log_entries::table.count().get_result(&mut *conn).unwrap(),
            schema::used_assertions::table.count().get_result(&mut *conn).unwrap(),
        ]
    }
}

/// One request against a fresh service over the same office.
async fn send(office: &Office, request: TestRequest) -> ServiceResponse {
    let service = init_service(
        actix_web::App::new().app_data(Data::from(Arc::clone(&office.app))).configure(app::routes),
    )
    .await;
    let request = request.peer_addr("127.0.0.1:4000".parse().unwrap()).to_request();
    match service.call(request).await {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => {
            let request = TestRequest::default().to_http_request();
            ServiceResponse::new(request, error.error_response())
        }
    }
}

async fn call(office: &Office, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
    let mut request = TestRequest::default().method(method).uri(path);
    if !token.is_empty() {
        request = request.insert_header(("Authorization", format!("Bearer {token}")));
    }
    if !body.is_null() {
        request = request.set_json(body);
    }
    let response = send(office, request).await;
    let status = response.status().as_u16();
    let body = read_body(response).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn post(office: &Office, path: &str, token: &str, body: Value) -> (u16, Value) {
    call(office, Method::POST, path, token, body).await
}

async fn sign_in(office: &Office, login: &str) -> Value {
    let body = json!({"login": login, "password": PASSWORD});
    let (status, tokens) = post(office, "/api/v1/auth/login", "", body).await;
    assert_eq!(status, 200, "{tokens}");
    tokens
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}")).to_owned()
}

fn refusal(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or("no code"))
}

#[actix_web::test]
async fn a_login_gives_tokens_and_wrong_ones_wait_ever_longer() {
    let office = Office::open();
    let token = text(&sign_in(&office, " BOSS ").await, "access_token");
    let (status, me) = call(&office, Method::GET, "/api/v1/me", &token, Value::Null).await;
    assert_eq!((status, text(&me, "name"), &me["roles"]), (200, "Bo Ss".into(), &json!(["admin"])));

    let before = office.rows();
    let wrong = |login: &str| json!({"login": login, "password": "not the password"});
    let unknown = post(&office, "/api/v1/auth/login", "", wrong("nobody")).await;
    let known = post(&office, "/api/v1/auth/login", "", wrong("boss")).await;
    assert_eq!(refusal(&unknown), (401, "bad-credentials"));
    assert_eq!(unknown, known, "the answer does not tell whether the login exists");
    for _ in 0..4 {
        post(&office, "/api/v1/auth/login", "", wrong("boss")).await;
    }
    let request = TestRequest::post().uri("/api/v1/auth/login").set_json(wrong("boss"));
    let blocked = send(&office, request).await;
    assert_eq!(blocked.status().as_u16(), 429);
    assert!(blocked.headers().contains_key("retry-after"));
    let right = json!({"login": "boss", "password": PASSWORD});
    let answer = post(&office, "/api/v1/auth/login", "", right.clone()).await;
    assert_eq!(refusal(&answer), (429, "too-many-attempts"));
    office.advance(60);
    assert_eq!(post(&office, "/api/v1/auth/login", "", right).await.0, 200);
    assert_eq!(office.rows()[0], before[0]);
    let unknown_field = json!({"login": "boss", "password": PASSWORD, "admin": true});
    let answer = post(&office, "/api/v1/auth/login", "", unknown_field).await;
    assert_eq!(refusal(&answer), (400, "malformed-json"));
}

#[actix_web::test]
async fn tries_from_everywhere_have_a_cap_of_their_own() {
    let office = Office::open();
    let key = super::sign_in::attempt_key("login", "boss");
    let free = super::throttle::FREE_SIGN_INS_OVERALL;
    for _ in 0..free + 3 {
        office.advance(20);
        let now = office.app.clock.now();
        let mut conn = office.app.connection().unwrap();
        let begun = conn.write(|conn| super::sign_in::begin_attempt(conn, &key, free, now)).unwrap();
        assert_eq!(begun, Ok(()));
    }
    let right = json!({"login": "boss", "password": PASSWORD});
    let answer = post(&office, "/api/v1/auth/login", "", right.clone()).await;
    assert_eq!(refusal(&answer), (429, "too-many-attempts"));
    office.advance(20);
    assert_eq!(post(&office, "/api/v1/auth/login", "", right).await.0, 200);
}

#[actix_web::test]
async fn a_refresh_rotates_repeats_its_answer_and_betrays_a_thief() {
    let office = Office::open();
    let first = text(&sign_in(&office, "boss").await, "refresh_token");
    let refresh = |token: &str| json!({"refresh_token": token});
    let (_, answer) = post(&office, "/api/v1/auth/refresh", "", refresh(&first)).await;
    let second = text(&answer, "refresh_token");
    assert_ne!(first, second);
    office.advance(29);
    let (status, again) = post(&office, "/api/v1/auth/refresh", "", refresh(&first)).await;
    assert_eq!((status, text(&again, "refresh_token")), (200, second.clone()));
    assert_eq!(office.rows()[1], 2, "a repeat writes no further token");
    office.advance(2);
    let stolen = post(&office, "/api/v1/auth/refresh", "", refresh(&first)).await;
    assert_eq!(refusal(&stolen), (401, "refresh-reused"));
    let after = post(&office, "/api/v1/auth/refresh", "", refresh(&second)).await;
    assert_eq!(refusal(&after), (401, "refresh-revoked"));
    let unknown = post(&office, "/api/v1/auth/refresh", "", refresh("guess")).await;
    assert_eq!(refusal(&unknown), (401, "refresh-invalid"));

    let other = text(&sign_in(&office, "boss").await, "refresh_token");
    assert_eq!(post(&office, "/api/v1/auth/logout", "", refresh(&other)).await.0, 204);
    let ended = post(&office, "/api/v1/auth/refresh", "", refresh(&other)).await;
    assert_eq!(refusal(&ended), (401, "refresh-revoked"));
}

#[actix_web::test]
async fn tokens_that_do_not_hold_are_named_and_write_nothing() {
    let office = Office::open();
    let before = office.rows();
    let user = json!({"login": "x", "name": "X", "password": PASSWORD, "roles": ["admin"]});
    let good = text(&sign_in(&office, "boss").await, "access_token");
    let claims = tokens::read_access(&office.app.keys, "Authority", &good, office.app.clock.now()).unwrap();
    let signed = |key: &SigningKey, claims: &AccessClaims| {
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        header.typ = Some("at+jwt".into());
        header.kid = Some(fingerprint(&office.app.keys.tokens.verifying_key()).to_string());
        let der = key.to_pkcs8_der().unwrap();
        jsonwebtoken::encode(&header, claims, &jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes()))
            .unwrap()
    };
    let own = &office.app.keys.tokens;
    let body = good.split('.').nth(1).unwrap();
    let expired = AccessClaims { exp: claims.iat, ..claims.clone() };
    let other_aud = AccessClaims { aud: "Elsewhere".into(), ..claims.clone() };
    for (token, code) in [
        (String::new(), "not-signed-in"),
        (signed(own, &expired), "token-expired"),
        (signed(own, &other_aud), "token-invalid"),
        (signed(&SigningKey::from_bytes(&[9; 32]), &claims), "token-invalid"),
        // {"alg":"none","typ":"at+jwt"}
        (format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}."), "token-invalid"),
        (format!("{good}x"), "token-invalid"),
        ("x".repeat(5000), "token-invalid"),
    ] {
        let answer = post(&office, "/api/v1/users", &token, user.clone()).await;
        assert_eq!(refusal(&answer), (401, code), "{token}");
    }
    let inspector = text(&sign_in(&office, "ines").await, "access_token");
    let answer = post(&office, "/api/v1/users", &inspector, user.clone()).await;
    assert_eq!(refusal(&answer), (403, "not-permitted"));
    let mut after = office.rows();
    after[1] -= 2; // the two sign-ins
    assert_eq!(after, before);
    let (status, made) = post(&office, "/api/v1/users", &good, user.clone()).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(post(&office, "/api/v1/users", &good, user).await, (201, made), "a retry answers the same");
    let other = json!({"login": "X", "name": "Y", "password": PASSWORD, "roles": ["admin"]});
    assert_eq!(refusal(&post(&office, "/api/v1/users", &good, other).await), (409, "login-taken"));
}

#[actix_web::test]
async fn a_disabled_account_stops_at_once() {
    let office = Office::open();
    let boss = text(&sign_in(&office, "boss").await, "access_token");
    let ines = sign_in(&office, "ines").await;
    let token = text(&ines, "access_token");
    let (_, me) = call(&office, Method::GET, "/api/v1/me", &token, Value::Null).await;
    let path = format!("/api/v1/users/{}/disable", text(&me, "id"));
    assert_eq!(post(&office, &path, &boss, Value::Null).await.0, 200);
    let answer = call(&office, Method::GET, "/api/v1/me", &token, Value::Null).await;
    assert_eq!(refusal(&answer), (401, "account-disabled"));
    let refresh = json!({"refresh_token": text(&ines, "refresh_token")});
    assert_eq!(post(&office, "/api/v1/auth/refresh", "", refresh).await.0, 401);
    let again = json!({"login": "ines", "password": PASSWORD});
    let answer = post(&office, "/api/v1/auth/login", "", again).await;
    assert_eq!(refusal(&answer), (401, "bad-credentials"));
}

fn enrolment(code: &str, seed: u8) -> Value {
    let key = |seed| public_key_to_base64(&SigningKey::from_bytes(&[seed; 32]).verifying_key());
    json!({
        "code": code, "name": "Phone 7", "sign_in_key": key(seed), "record_keys": [key(seed + 100)],
        "agent": "endcheck 0.1.0",
    })
}

fn assertion(seed: u8, device: &DeviceId, aud: &str, exp: i64, jti: &str) -> Value {
    let claims = AssertionClaims {
        iss: device.clone(),
        sub: device.clone(),
        aud: aud.to_owned(),
        exp,
        jti: jti.to_owned(),
    };
    let der = SigningKey::from_bytes(&[seed; 32]).to_pkcs8_der().unwrap();
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    let key = jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes());
    json!({
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jsonwebtoken::encode(&header, &claims, &key).unwrap(),
    })
}

async fn code_for_ines(office: &Office, boss: &str, retry_key: &str) -> Value {
    let (_, users) = call(office, Method::GET, "/api/v1/users", boss, Value::Null).await;
    let ines = users.as_array().unwrap().iter().find(|user| user["login"] == "ines").unwrap();
    let request = TestRequest::post()
        .uri(&format!("/api/v1/users/{}/enrolment-codes", text(ines, "id")))
        .insert_header(("Authorization", format!("Bearer {boss}")))
        .insert_header(("Idempotency-Key", retry_key));
    let response = send(office, request).await;
    assert_eq!(response.status().as_u16(), 201);
    serde_json::from_slice(&read_body(response).await).unwrap()
}

#[actix_web::test]
async fn a_device_is_enrolled_signs_in_by_its_key_and_is_revoked() {
    let office = Office::open();
    let boss = text(&sign_in(&office, "boss").await, "access_token");
    let code = code_for_ines(&office, &boss, "one").await;
    assert_eq!(code_for_ines(&office, &boss, "one").await, code, "a retry answers the same");
    let code = text(&code, "code");

    let before = office.rows();
    let wrong = post(&office, "/api/v1/devices/enrol", "", enrolment("0000-0000-0000-0000", 1)).await;
    assert_eq!(refusal(&wrong), (401, "code-invalid"));
    assert_eq!(office.rows(), before);

    let (status, enrolled) =
        post(&office, "/api/v1/devices/enrol", "", enrolment(&code.to_lowercase(), 1)).await;
    assert_eq!(status, 200, "{enrolled}");
    let certificate = text(&enrolled, "certificate");
    let envelope = Envelope::read(certificate.as_bytes(), CERTIFICATE_TYPE).unwrap();
    envelope.verify(&office.app.keys.authority.verifying_key()).unwrap();
    let certificate: DeviceCertificate = serde_json::from_slice(&envelope.payload).unwrap();
    assert_eq!((certificate.inspector_name.as_str(), certificate.recipients.len()), ("Ines Pector", 2));
    let known = super::enrolled_device(&mut office.app.connection().unwrap(), &certificate.device).unwrap();
    assert!(known.public_key(&certificate.record_keys[0].fingerprint).is_some());
    let after = office.rows();
    assert_eq!((after[2], after[3]), (before[2] + 1, before[3] + 1));
    let again = post(&office, "/api/v1/devices/enrol", "", enrolment(&code, 1)).await;
    assert_eq!(again, (200, enrolled), "the same keys repeat the answer");
    let others = post(&office, "/api/v1/devices/enrol", "", enrolment(&code, 2)).await;
    assert_eq!(refusal(&others), (409, "code-used"));
    let fresh = text(&code_for_ines(&office, &boss, "two").await, "code");
    let taken = post(&office, "/api/v1/devices/enrol", "", enrolment(&fresh, 1)).await;
    assert_eq!(refusal(&taken), (409, "key-enrolled"));
    assert_eq!(office.rows(), after);
    office.advance(25 * 3600);
    let late = post(&office, "/api/v1/devices/enrol", "", enrolment(&fresh, 3)).await;
    assert_eq!(refusal(&late), (401, "code-expired"));

    let device = certificate.device;
    let now_s = office.app.clock.now().unix_seconds();
    let before = office.rows();
    for (wrong, code) in [
        (assertion(2, &device, "Authority", now_s + 60, "a"), "assertion-invalid"),
        (assertion(1, &device, "Elsewhere", now_s + 60, "a"), "assertion-invalid"),
        (assertion(1, &device, "Authority", now_s + 3600, "a"), "assertion-invalid"),
        (assertion(1, &device, "Authority", now_s - 3600, "a"), "assertion-expired"),
        (assertion(1, &DeviceId::mint(), "Authority", now_s + 60, "a"), "assertion-invalid"),
    ] {
        let answer = post(&office, "/api/v1/auth/device-token", "", wrong).await;
        assert_eq!(refusal(&answer), (401, code), "{answer:?}");
    }
    assert_eq!(office.rows(), before);
    let good = assertion(1, &device, "Authority", now_s + 60, "a");
    let (status, tokens) = post(&office, "/api/v1/auth/device-token", "", good.clone()).await;
    assert_eq!(status, 200, "{tokens}");
    let replayed = post(&office, "/api/v1/auth/device-token", "", good).await;
    assert_eq!(refusal(&replayed), (401, "assertion-replayed"));
    let token = text(&tokens, "access_token");
    let (_, me) = call(&office, Method::GET, "/api/v1/me", &token, Value::Null).await;
    assert_eq!((&me["roles"], text(&me, "device")), (&json!(["inspector"]), device.to_string()));

    let unsent = json!({"unsent_records": 3, "unsent_files": 2, "unsent_bytes": 4096});
    let inventory = "/api/v1/devices/me/inventory";
    assert_eq!(call(&office, Method::PUT, inventory, &token, unsent.clone()).await.0, 204);
    let boss = text(&sign_in(&office, "boss").await, "access_token");
    let answer = call(&office, Method::PUT, inventory, &boss, unsent.clone()).await;
    assert_eq!(refusal(&answer), (403, "device-required"));
    let path = format!("/api/v1/devices/{device}/revoke");
    let (status, revoked) = post(&office, &path, &boss, json!({"reason": "seized at the border"})).await;
    assert_eq!((status, &revoked["unsent"]), (200, &unsent));
    let logged = office.rows()[3];
    let again = post(&office, &path, &boss, json!({"reason": "another"})).await;
    assert_eq!((again, office.rows()[3]), ((200, revoked), logged), "a second time changes nothing");
    let (_, devices) = call(&office, Method::GET, "/api/v1/devices", &boss, Value::Null).await;
    assert_eq!(devices[0]["revoke_reason"], "seized at the border");
    let answer = call(&office, Method::PUT, inventory, &token, unsent).await;
    assert_eq!(refusal(&answer), (403, "device-revoked"));
    let answer =
        post(&office, "/api/v1/auth/device-token", "", assertion(1, &device, "Authority", now_s + 60, "b"))
            .await;
    assert_eq!(refusal(&answer), (403, "device-revoked"));
    crate::log::verify(&mut office.app.connection().unwrap()).unwrap();
}

async fn form(
    office: &Office,
    path: &str,
    cookie: Option<&Cookie<'static>>,
    fields: &[(&str, &str)],
) -> ServiceResponse {
    let mut request = TestRequest::post().uri(path).set_form(fields);
    if let Some(cookie) = cookie {
        request = request.cookie(cookie.clone());
    }
    send(office, request).await
}

#[actix_web::test]
async fn pages_use_a_strict_cookie_and_forms_need_their_token() {
    let office = Office::open();
    let page = send(&office, TestRequest::get().uri("/login?next=/visits?a=1%22%3E")).await;
    let html = String::from_utf8(read_body(page).await.to_vec()).unwrap();
    assert!(html.contains("Authority") && html.contains("/static/console.css"), "{html}");
    assert!(!html.contains("\">\"") && !html.contains("a=1\">"), "{html}");

    let wrong = form(&office, "/login", None, &[("login", "boss"), ("password", "wrong")]).await;
    assert_eq!((wrong.status().as_u16(), wrong.response().cookies().count()), (401, 0));
    let other_site = TestRequest::post()
        .uri("/login")
        .insert_header(("sec-fetch-site", "cross-site"))
        .set_form([("login", "boss"), ("password", PASSWORD)]);
    assert_eq!(send(&office, other_site).await.status().as_u16(), 403);

    let fields = [("login", "boss"), ("password", PASSWORD), ("next", "//evil.example")];
    let answer = form(&office, "/login", None, &fields).await;
    assert_eq!(answer.status().as_u16(), 303);
    assert_eq!(answer.headers().get(LOCATION).unwrap(), "/");
    let cookie = answer.response().cookies().next().unwrap().into_owned();
    let shown = cookie.to_string();
    assert!(shown.contains("HttpOnly") && shown.contains("SameSite=Strict"), "{shown}");

    let me = send(&office, TestRequest::get().uri("/api/v1/me").cookie(cookie.clone())).await;
    assert_eq!(me.status().as_u16(), 200);
    let secret = cookie.value().to_owned();
    let now = office.app.clock.now();
    let session =
        super::sign_in::find_session(&mut office.app.connection().unwrap(), &secret, now).unwrap().unwrap();
    let make = |csrf: &str| {
        TestRequest::post()
            .uri("/api/v1/users")
            .cookie(cookie.clone())
            .insert_header(("x-csrf-token", csrf.to_owned()))
            .set_json(json!({"login": "y", "name": "Y", "password": PASSWORD, "roles": ["auditor"]}))
    };
    assert_eq!(send(&office, make("")).await.status().as_u16(), 403);
    assert_eq!(send(&office, make("guess")).await.status().as_u16(), 403);
    assert_eq!(send(&office, make(&session.csrf_token)).await.status().as_u16(), 201);

    let forged = form(&office, "/logout", Some(&cookie), &[("csrf_token", "guess")]).await;
    assert_eq!(forged.status().as_u16(), 403);
    let out = form(&office, "/logout", Some(&cookie), &[("csrf_token", &session.csrf_token)]).await;
    assert_eq!(out.status().as_u16(), 303);
    let gone = form(&office, "/logout", Some(&cookie), &[("csrf_token", &session.csrf_token)]).await;
    assert_eq!(gone.headers().get(LOCATION).unwrap(), "/login?next=%2F");
    let me = send(&office, TestRequest::get().uri("/api/v1/me").cookie(cookie)).await;
    assert_eq!(me.status().as_u16(), 401);
}

#[actix_web::test]
async fn the_key_set_verifies_tokens_and_every_path_is_described() {
    let office = Office::open();
    let (_, set) = call(&office, Method::GET, "/.well-known/jwks.json", "", Value::Null).await;
    let token = text(&sign_in(&office, "boss").await, "access_token");
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(set).unwrap();
    let kid = jsonwebtoken::decode_header(&token).unwrap().kid.unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    validation.set_audience(&["Authority"]);
    jsonwebtoken::decode::<AccessClaims>(&token, &key, &validation).unwrap();
    assert_eq!(super::openapi().paths.paths.len(), 17);
}
