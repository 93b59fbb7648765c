//! An authority at work: the server of a test, its people, and the programme of `fixtures/`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use chrono::TimeDelta;
use ed25519_dalek::{Signer as _, SigningKey};
use endcheck_protocol::envelope::fingerprint;
use endcheck_protocol::time::Timestamp;
use endcheck_server::accounts::{self, Role};
use endcheck_server::app::App;
use endcheck_server::config::Config;
use endcheck_server::db::Conn;
use endcheck_server::jobs::{self, Ticked};
use endcheck_tests::{Answer, Http, TestServer, workspace_root};
use serde_json::{Value, json};

pub const PASSWORD: &str = "four words of a test";

/// A person with an account.
#[derive(Debug, Clone)]
pub struct Person {
    pub id: String,
    pub name: String,
    pub roles: Vec<Role>,
}

/// A server with people: a manager, two investigators, two inspectors.
pub struct Office {
    pub server: TestServer,
    pub ada: Person,
    pub vera: Person,
    pub omar: Person,
    pub iris: Person,
    pub tomas: Person,
}

impl Office {
    pub fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(change);
        let now = server.clock().now();
        let mut conn = server.app().connection().unwrap();
        let mut add = |login: &str, name: &str, roles: &[Role]| add_user(&mut conn, login, name, roles, now);
        let ada = add("ada", "Ada Brandt", &[Role::Manager]);
        let vera = add("vera", "Vera Lund", &[Role::Investigator]);
        let omar = add("omar", "Omar Faye", &[Role::Investigator]);
        let iris = add("iris", "Iris Holm", &[Role::Inspector]);
        let tomas = add("tomas", "Tomás Reyl", &[Role::Inspector]);
        drop(conn);
        Self { server, ada, vera, omar, iris, tomas }
    }

    /// An office whose programme is that of `fixtures/`.
    pub fn with_programme() -> Self {
        let office = Self::open();
        office.import_programme();
        office
    }

    pub fn import_programme(&self) {
        import_programme(&self.manager());
    }

    /// A client signed in as that person for the next 15 minutes of the server's clock.
    pub fn as_person(&self, person: &Person) -> Http {
        self.server.with_token(&jwt(
            &access_header(self.server.app()),
            &self.claims(person),
            self.token_key(),
        ))
    }

    pub fn manager(&self) -> Http {
        self.as_person(&self.ada)
    }

    pub fn investigator(&self) -> Http {
        self.as_person(&self.vera)
    }

    pub fn token_key(&self) -> &SigningKey {
        &self.server.app().keys.tokens
    }

    /// What a good access token of that person says now.
    pub fn claims(&self, person: &Person) -> Value {
        let org = &self.server.app().config.org;
        let now_s = self.server.clock().now().unix_seconds();
        json!({ "iss": org, "aud": org, "sub": person.id, "name": person.name, "roles": person.roles,
                "iat": now_s, "exp": now_s + 900 })
    }

    /// A one-time code for a device of that person.
    pub fn code(&self, person: &Person) -> String {
        code(&self.manager(), &person.id)
    }

    /// The id of a shipment of the programme.
    pub fn shipment(&self, key: &str) -> String {
        shipment(&self.manager(), key)
    }

    /// Opens a check on a shipment, due in a week.
    pub fn check(&self, shipment: &str) -> String {
        check(&self.manager(), shipment, self.server.clock().now())
    }

    /// Schedules a visit whose window is yesterday to tomorrow.
    pub fn schedule(&self, shipment: &str, inspector: Option<&Person>) -> String {
        let inspector = inspector.map(|person| person.id.as_str());
        schedule(&self.manager(), shipment, inspector, self.server.clock().now())
    }

    pub fn dossier(&self, visit: &str) -> Value {
        self.investigator().get(&format!("/api/v1/visits/{visit}")).expect_json(200)
    }

    pub fn state(&self, visit: &str) -> String {
        text(&self.dossier(visit), "/visit/state")
    }

    /// The signals of the findings about a visit, sorted, each once.
    pub fn signals(&self, visit: &str) -> Vec<String> {
        let dossier = self.dossier(visit);
        let findings = dossier["findings"].as_array().unwrap();
        let mut signals: Vec<String> = findings.iter().map(|finding| text(finding, "/signal")).collect();
        signals.sort();
        signals.dedup();
        signals
    }

    pub fn determine(&self, visit: &str, determination: &Value) -> Answer {
        self.investigator().post(&format!("/api/v1/visits/{visit}/determinations"), determination)
    }

    /// What the scheduler does every minute.
    pub fn tick(&self) -> Ticked {
        tick(self.server.app())
    }
}

pub fn tick(app: &std::sync::Arc<App>) -> Ticked {
    actix_web::rt::System::new().block_on(jobs::tick(app)).unwrap()
}

pub fn import_programme(manager: &Http) {
    for (kind, file, media_type) in [
        ("parties", "parties.csv", "text/csv"),
        ("sites", "sites.geojson", "application/geo+json"),
        ("licences", "licences.json", "application/json"),
        ("shipments", "shipments.json", "application/json"),
    ] {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let path = format!("/api/v1/import/{kind}");
        let said = manager.send("POST", &path, &[("Content-Type", media_type)], Some(&bytes)).expect(200);
        assert!(said.json()["added"].as_u64().unwrap() > 0, "{kind}");
    }
}

pub fn code(manager: &Http, person: &str) -> String {
    let path = format!("/api/v1/users/{person}/enrolment-codes");
    text(&manager.post(&path, &json!({})).expect_json(201), "/code")
}

pub fn shipment(manager: &Http, key: &str) -> String {
    let page = manager.get("/api/v1/shipments?limit=100").expect_json(200);
    let found = page["items"].as_array().unwrap().iter().find(|shipment| shipment["key"] == key);
    text(found.unwrap_or_else(|| panic!("{key} is not in the programme")), "/id")
}

pub fn check(manager: &Http, shipment_key: &str, now: Timestamp) -> String {
    let check = json!({ "shipment": shipment(manager, shipment_key), "kind": "post_shipment",
        "trigger": "tip", "reason": "Chosen for the quarter.", "due_at": now.plus(TimeDelta::days(7)) });
    text(&manager.post("/api/v1/checks", &check).expect_json(201), "/id")
}

pub fn schedule(manager: &Http, shipment_key: &str, inspector: Option<&str>, now: Timestamp) -> String {
    let visit = json!({
        "check": check(manager, shipment_key, now), "inspector": inspector,
        "window_start": format!("{}T00:00", now.day().pred_opt().unwrap()),
        "window_end": format!("{}T23:59", now.day().succ_opt().unwrap()),
    });
    text(&manager.post("/api/v1/visits", &visit).expect_json(201), "/id")
}

/// Opens an account in the database itself, as the command line does.
pub fn add_user(conn: &mut Conn, login: &str, name: &str, roles: &[Role], now: Timestamp) -> Person {
    let user = accounts::add_user(conn, login, name, PASSWORD, roles, now).unwrap();
    Person { id: user.id.to_string(), name: name.to_owned(), roles: roles.to_vec() }
}

/// A client that signed in with the password.
pub fn signed_in(http: &Http, login: &str) -> Http {
    let tokens = http.post("/api/v1/auth/login", &json!({ "login": login, "password": PASSWORD }));
    http.with_token(&text(&tokens.expect_json(200), "/access_token"))
}

/// Somebody at the pages, with a cookie.
pub struct Browser<'a> {
    http: &'a Http,
    cookie: String,
}

impl<'a> Browser<'a> {
    pub fn signed_in(http: &'a Http, login: &str) -> Self {
        let form = [("login", login), ("password", PASSWORD), ("next", "/visits")];
        let answer = send_form(http, "/login", &[], &form).expect(303);
        let cookie = answer.header("set-cookie").split_once(';').unwrap().0.to_owned();
        Self { http, cookie }
    }

    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// A page, as its text.
    pub fn get(&self, path: &str) -> String {
        self.http.send("GET", path, &[("Cookie", &self.cookie)], None).expect(200).text()
    }

    /// Sends a form of a page, with the token that the page carries.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let page = self.get("/visits");
        let token = page.split_once("name=\"csrf_token\" value=\"").unwrap().1.split_once('"').unwrap().0;
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf_token", token)]).collect();
        send_form(self.http, path, &[("Cookie", &self.cookie)], &fields)
    }
}

fn send_form(http: &Http, path: &str, headers: &[(&str, &str)], fields: &[(&str, &str)]) -> Answer {
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let headers: Vec<(&str, &str)> =
        headers.iter().copied().chain([("Content-Type", "application/x-www-form-urlencoded")]).collect();
    http.send("POST", path, &headers, Some(body.as_bytes()))
}

/// A file of `fixtures/`.
pub fn fixture(path: &str) -> PathBuf {
    workspace_root().join("fixtures").join(path)
}

pub fn fixture_json(path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(path)).unwrap()).unwrap()
}

/// The text at a JSON pointer.
#[track_caller]
pub fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} in {value:#}")).to_owned()
}

pub fn access_header(app: &App) -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": fingerprint(&app.keys.tokens.verifying_key()) })
}

/// A token that says whatever it is told to, signed by `key`.
pub fn jwt(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
    let signature = key.sign(signed.as_bytes()).to_bytes();
    format!("{signed}.{}", BASE64URL.encode(signature))
}

/// Waits for what the server does after it answered.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if holds() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{what} did not come about");
}
