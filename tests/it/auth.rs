//! Who is let in: every refusal is a problem document, and nothing is written.

use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use endcheck_tests::Http;
use serde_json::json;

use crate::hand::HandDevice;
use crate::office::{Office, PASSWORD, access_header, fixture, jwt, text};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";
const WRITES: [&str; 4] = ["/api/v1/checks", "/api/v1/visits", "/api/v1/users", "/api/v1/parties"];

#[test]
fn a_token_that_is_not_ours_opens_nothing() {
    let office = Office::open();
    let app = office.server.app();
    let (key, header, claims) = (office.token_key(), access_header(app), office.claims(&office.ada));
    let with = |field: &str, value: serde_json::Value| {
        let mut changed = claims.clone();
        changed[field] = value;
        changed
    };
    let header_with = |field: &str, value: &str| {
        let mut changed = header.clone();
        changed[field] = value.into();
        changed
    };
    let good = jwt(&header, &claims, key);
    let (signed, _) = good.rsplit_once('.').unwrap();
    let now_s = office.server.clock().now().unix_seconds();
    let stranger = SigningKey::from_bytes(&[7; 32]);
    let unsigned = jwt(&json!({ "alg": "none", "typ": "at+jwt", "kid": header["kid"] }), &claims, key);
    let cases = [
        ("expired", jwt(&header, &with("exp", json!(now_s - 1)), key), "token-expired"),
        ("signed by a stranger", jwt(&header, &claims, &stranger), "token-invalid"),
        ("alg none, no signature", format!("{}.", unsigned.rsplit_once('.').unwrap().0), "token-invalid"),
        ("alg none, our signature", unsigned.clone(), "token-invalid"),
        ("alg HS256", jwt(&header_with("alg", "HS256"), &claims, key), "token-invalid"),
        ("another type", jwt(&header_with("typ", "JWT"), &claims, key), "token-invalid"),
        ("another key id", jwt(&header_with("kid", "0"), &claims, key), "token-invalid"),
        ("another audience", jwt(&header, &with("aud", json!("elsewhere")), key), "token-invalid"),
        ("another issuer", jwt(&header, &with("iss", json!("elsewhere")), key), "token-invalid"),
        ("no expiry", jwt(&header, &with("exp", json!(null)), key), "token-invalid"),
        ("no signature", format!("{signed}."), "token-invalid"),
        ("a word", "token".to_owned(), "token-invalid"),
    ];
    for (name, token, code) in cases {
        for path in WRITES {
            let refused = office.server.with_token(&token).post(path, &json!({}));
            assert_eq!(refused.status, 401, "{name}: {path}: {}", refused.text());
            refused.expect_problem(401, code);
            assert_eq!(refused.header("www-authenticate"), "Bearer");
        }
        office.server.with_token(&token).get("/api/v1/visits").expect_problem(401, code);
    }
    // What the token says of roles counts for nothing: the account is asked.
    let mut promoted = office.claims(&office.iris);
    promoted["roles"] = json!(["admin", "manager"]);
    let promoted = office.server.with_token(&jwt(&header, &promoted, key));
    promoted.get("/api/v1/users").expect_problem(403, "not-permitted");
    let _ = office.server.with_token(&good).get("/api/v1/users").expect(200);
    for path in WRITES {
        assert_eq!(office.server.post(path, &json!({})).status, 401, "{path} without a token");
    }
    office.server.clock().advance(TimeDelta::minutes(16));
    office.server.with_token(&good).get("/api/v1/users").expect_problem(401, "token-expired");
    assert_eq!(office.server.check(), 0, "nothing was written");
}

#[test]
fn an_inspector_sees_and_does_an_inspector_s_part() {
    let office = Office::with_programme();
    let mine = office.schedule(SHIPMENT, Some(&office.iris));
    let other = office.schedule(SHIPMENT, Some(&office.tomas));
    let iris = office.as_person(&office.iris);
    let _ = iris.get(&format!("/api/v1/visits/{mine}")).expect(200);
    iris.get(&format!("/api/v1/visits/{other}")).expect_problem(404, "not-found");
    let listed = iris.get("/api/v1/visits?all=true").expect_json(200);
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|visit| text(visit, "/id")).collect();
    assert_eq!(ids, std::slice::from_ref(&mine));
    // Asking for somebody else's does not show them either.
    let asked = iris.get(&format!("/api/v1/visits?all=true&inspector={}", office.tomas.id)).expect_json(200);
    assert_eq!(asked["items"].as_array().unwrap().len(), 1);

    let before = (office.dossier(&mine), office.server.check());
    let check = text(&before.0, "/check/id");
    let shipment = office.shipment(SHIPMENT);
    let plan =
        json!({ "check": check, "window_start": "2026-12-01T08:30", "window_end": "2026-12-01T12:00" });
    let open = json!({ "shipment": shipment, "kind": "routine", "trigger": "tip", "reason": "x",
        "due_at": "2027-01-01T00:00:00Z" });
    let user = json!({ "login": "x", "name": "X", "password": "four more words here", "roles": ["admin"] });
    for (path, body) in [
        ("/api/v1/visits".to_owned(), plan),
        ("/api/v1/checks".to_owned(), open),
        ("/api/v1/users".to_owned(), user),
        (format!("/api/v1/users/{}/enrolment-codes", office.iris.id), json!({})),
        (format!("/api/v1/visits/{mine}/announce"), json!({})),
        (format!("/api/v1/visits/{mine}/cancel"), json!({ "reason": "x" })),
        (format!("/api/v1/visits/{mine}/reassign"), json!({ "inspector": null, "reason": "x" })),
        (format!("/api/v1/visits/{mine}/determinations"), json!({ "outcome": "unverified", "reason": "x" })),
        ("/api/v1/import/parties".to_owned(), json!([])),
    ] {
        iris.post(&path, &body).expect_problem(403, "not-permitted");
    }
    for path in ["/api/v1/users", "/api/v1/devices", "/api/v1/shipments", "/api/v1/checks"] {
        iris.get(path).expect_problem(403, "not-permitted");
    }
    iris.get(&format!("/api/v1/records/{}/envelope", "0".repeat(64))).expect_problem(404, "not-found");
    assert_eq!((office.dossier(&mine), office.server.check()), before, "nothing was written");
    // A person is not a device: only a device hands records in.
    let person = iris.with_header("endcheck-protocol", "1");
    person.get("/api/v1/sync/head").expect_problem(403, "device-required");
    person.send("POST", "/api/v1/sync/records", &[], Some(b"{}")).expect_problem(403, "device-required");
}

#[test]
fn a_revoked_device_is_refused_and_what_it_holds_is_shown() {
    // Its file is larger than this server allows, so that the device goes on holding it.
    let office = Office::open_with(|config| config.max_upload_bytes = 1000);
    office.import_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["sync"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["capture", &fixture("photos/02-sign.jpg").display().to_string()]);
    let _ = tablet.run(&["sync"]);
    let devices = || office.manager().get("/api/v1/devices").expect_json(200);
    let id = text(&devices(), "/0/id");
    let revoke = |http: &Http, reason: &str| {
        http.post(&format!("/api/v1/devices/{id}/revoke"), &json!({ "reason": reason }))
    };
    revoke(&office.as_person(&office.iris), "x").expect_problem(403, "not-permitted");
    revoke(&office.manager(), " ").expect_problem(422, "invalid-fields");
    let revoked = revoke(&office.manager(), "Lost at the airport").expect_json(200);
    assert_eq!(text(&revoked, "/revoke_reason"), "Lost at the airport");
    assert_eq!(
        (&revoked["unsent"]["unsent_records"], &revoked["unsent"]["unsent_files"]),
        (&json!(0), &json!(1))
    );
    assert!(revoked["unsent"]["unsent_bytes"].as_u64().unwrap() > 10_000);

    tablet.done(&["note", "Written after the revocation."]);
    let before = (office.dossier(&visit), office.server.check());
    let why = tablet.refused(&["sync"]);
    assert!(why.contains("revoked") && why.contains("erase nothing"), "{why}");
    tablet.refused(&["pull"]);
    assert_eq!((office.dossier(&visit), office.server.check()), before, "nothing was written");
    assert_eq!(tablet.line(&["status"])["records"]["unsent"], 1, "the device keeps what it has");
}

#[test]
fn an_assertion_counts_once_and_only_from_its_own_device() {
    let office = Office::open();
    let device = HandDevice::enrolled(&office, &office.iris);
    let other = HandDevice::enrolled(&office, &office.tomas);
    let now_s = office.server.clock().now().unix_seconds();
    let ask = |assertion: &str| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        office.server.post(
            "/api/v1/auth/device-token",
            &json!({ "grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": assertion }),
        )
    };
    let claims = |exp: i64| json!({ "iss": device.id(), "sub": device.id(), "aud": device.certificate.org, "exp": exp, "jti": "once" });
    let header = json!({ "alg": "EdDSA", "typ": "JWT" });
    ask(&jwt(&header, &claims(now_s - 600), &device.sign_in_key)).expect_problem(401, "assertion-expired");
    ask(&jwt(&header, &claims(now_s + 86_400), &device.sign_in_key)).expect_problem(401, "assertion-invalid");
    ask(&jwt(&header, &claims(now_s + 60), &other.sign_in_key)).expect_problem(401, "assertion-invalid");
    ask(&jwt(&header, &claims(now_s + 60), &device.record_key)).expect_problem(401, "assertion-invalid");
    ask(&jwt(&json!({ "alg": "none" }), &claims(now_s + 60), &device.sign_in_key))
        .expect_problem(401, "assertion-invalid");
    let good = jwt(&header, &claims(now_s + 60), &device.sign_in_key);
    let _ = ask(&good).expect(200);
    ask(&good).expect_problem(401, "assertion-replayed");
}

#[test]
fn a_stranger_who_guesses_does_not_keep_a_person_out() {
    let office = Office::open_with(|config| config.trusted_proxy = vec![[127, 0, 0, 1].into()]);
    let from = |address: &str| office.server.with_header("x-forwarded-for", address);
    let sign_in = |http: &Http, password: &str| {
        http.post("/api/v1/auth/login", &json!({ "login": "ada", "password": password }))
    };
    // What a client says of itself stands left of what the proxy says.
    let stranger = from("198.51.100.7, 203.0.113.9");
    for _ in 0..8 {
        office.server.clock().advance(TimeDelta::seconds(20));
        sign_in(&stranger, "a guess").expect_problem(401, "bad-credentials");
    }
    sign_in(&stranger, PASSWORD).expect_problem(429, "too-many-attempts");
    sign_in(&from("203.0.113.9"), PASSWORD).expect_problem(429, "too-many-attempts");
    let _ = sign_in(&from("198.51.100.7"), PASSWORD).expect(200);
}

#[test]
fn a_page_s_cookie_is_secure_behind_a_proxy_that_speaks_tls() {
    let cookie = |trusted: bool, protocol: &str| {
        let office = Office::open_with(|config| {
            if trusted {
                config.trusted_proxy = vec![[127, 0, 0, 1].into()];
            }
        });
        let form = format!("login=ada&password={}", PASSWORD.replace(' ', "+"));
        let headers = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("X-Forwarded-For", "198.51.100.7"),
            ("X-Forwarded-Proto", protocol),
        ];
        let answer = office.server.send("POST", "/login", &headers, Some(form.as_bytes())).expect(303);
        answer.header("set-cookie").to_owned()
    };
    assert!(cookie(true, "https").contains("Secure"));
    assert!(!cookie(true, "http").contains("Secure"));
    assert!(!cookie(false, "https").contains("Secure"), "anybody can send the header");
}

#[test]
fn only_an_inspector_gets_an_enrolment_code() {
    let office = Office::open();
    for person in [&office.ada, &office.vera] {
        let path = format!("/api/v1/users/{}/enrolment-codes", person.id);
        let refused = office.manager().post(&path, &json!({}));
        refused.expect_problem(409, "no-inspector");
        assert!(refused.text().contains(&person.name), "{}", refused.text());
    }
    assert!(!office.code(&office.iris).is_empty());
}
