//! What a server refuses before any slice is asked.

use std::collections::BTreeSet;

use endcheck_protocol::sync::MAX_RECORDS_BYTES;
use endcheck_tests::TestServer;
use serde_json::Value;

use crate::hand::HandDevice;
use crate::office::{Browser, Office};

/// A path that reads a body before it asks who sends it.
const LOGIN: &str = "/api/v1/auth/login";

#[test]
fn an_unknown_page_is_a_problem_document() {
    let server = TestServer::start();
    for path in ["/nowhere", "/api/v1/nowhere", "/api/v1/../../etc/passwd", "/%00", "/api/v1/%2e%2e/x"] {
        server.get(path).expect_problem(404, "not-found");
    }
    server.send("PROPFIND", "/nowhere", &[], None).expect_problem(404, "not-found");
    assert_eq!(server.get("/nowhere").header("x-content-type-options"), "nosniff");
    assert_eq!(server.check(), 0);
}

#[test]
fn a_browser_is_refused_with_a_page_and_a_program_with_a_problem_document() {
    let office = Office::open();
    let browser = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = office.server.send("GET", "/nowhere", &[browser], None);
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(
        page.text().contains("<h1>Not found</h1>") && page.text().contains("href=\"/visits\""),
        "{}",
        page.text()
    );
    assert!(!page.header("content-security-policy").is_empty());
    office.server.send("GET", "/nowhere", &[("Accept", "*/*")], None).expect_problem(404, "not-found");
    office.server.send("GET", "/api/v1/nowhere", &[browser], None).expect_problem(404, "not-found");
    // One who is signed in, with a form that is not from our page, and one whose field is twice there.
    let ada = Browser::signed_in(&office.server, "ada");
    for (body, status, told) in [
        ("csrf_token=x&capacity=1&note=n", 403, "<h1>"),
        ("csrf_token=x&csrf_token=y&capacity=1&note=n", 400, "duplicate field"),
    ] {
        let headers =
            [browser, ("Cookie", ada.cookie()), ("Content-Type", "application/x-www-form-urlencoded")];
        let refused = office.server.send("POST", "/selections", &headers, Some(body.as_bytes()));
        assert_eq!((refused.status, refused.header("content-type")), (status, "text/html; charset=utf-8"));
        assert!(refused.text().contains(told), "{}", refused.text());
    }
}

#[test]
fn a_server_says_that_it_is_well() {
    let server = TestServer::start();
    assert_eq!(server.get("/healthz").expect(200).text(), "ok\n");
}

#[test]
fn a_body_that_is_no_json_changes_nothing() {
    let server = TestServer::start();
    for body in ["", "{", "[1,2", "nonsense", "{\"login\": \"a\", \"login\": ", "\u{0}"] {
        let answer =
            server.send("POST", LOGIN, &[("Content-Type", "application/json")], Some(body.as_bytes()));
        answer.expect_problem(400, "malformed-json");
    }
    let wrong_type = server.send("POST", LOGIN, &[("Content-Type", "text/plain")], Some(b"{}"));
    wrong_type.expect_problem(415, "not-json");
    let large = vec![b' '; 17 * 1024 * 1024];
    let answer = server.try_send("POST", LOGIN, &[("Content-Type", "application/json")], Some(&large));
    // A client that is still sending when it is refused may find the connection closed instead.
    if let Some(answer) = answer {
        answer.expect_problem(413, "body-too-large");
    }
    for body in [
        serde_json::json!({ "login": 7, "password": "x" }),
        serde_json::json!({ "login": "a", "password": "x", "role": "admin" }),
    ] {
        server.post(LOGIN, &body).expect_problem(400, "malformed-json");
    }
    server.get(LOGIN).expect_problem(405, "method-not-allowed");
}

/// Pages and what else the description does not list.
const PAGES: [(&str, &str); 12] = [
    ("/healthz", "GET, HEAD"),
    ("/readyz", "GET, HEAD"),
    ("/api/openapi.json", "GET, HEAD"),
    ("/", "GET, HEAD"),
    ("/static/console.css", "GET, HEAD"),
    ("/static/icon.svg", "GET, HEAD"),
    ("/login", "GET, HEAD, POST"),
    ("/logout", "POST"),
    ("/visits", "GET, HEAD"),
    ("/visits/x", "GET, HEAD"),
    ("/visits/x/determination", "POST"),
    ("/determinations/x/approval", "POST"),
];

#[test]
fn a_wrong_method_is_named_with_the_right_ones_on_every_path() {
    let server = TestServer::start();
    let document = server.get("/api/openapi.json").expect_json(200);
    let methods = |described: &Value| {
        let names = described.as_object().unwrap().keys().map(|name| name.to_uppercase());
        let mut names: BTreeSet<String> = names.collect();
        if names.contains("GET") {
            names.insert("HEAD".to_owned());
        }
        names
    };
    let mut paths: Vec<(String, BTreeSet<String>)> = Vec::new();
    for (path, described) in document["paths"].as_object().unwrap() {
        // tus has rules of its own, and tests of its own.
        if !path.starts_with("/api/v1/files") {
            let path: Vec<&str> =
                path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            paths.push((path.join("/"), methods(described)));
        }
    }
    assert!(paths.len() > 30);
    for (path, allowed) in PAGES {
        paths.push((path.to_owned(), allowed.split(", ").map(str::to_owned).collect()));
    }
    for (path, allowed) in paths {
        for wrong in ["GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"] {
            if allowed.contains(wrong) {
                continue;
            }
            let refused = server.send(wrong, &path, &[], None);
            assert_eq!(refused.status, 405, "{wrong} {path}: {}", refused.text());
            refused.expect_problem(405, "method-not-allowed");
            let told: BTreeSet<String> = refused.header("allow").split(", ").map(str::to_owned).collect();
            assert_eq!(told, allowed, "{wrong} {path}");
        }
    }
}

#[test]
fn head_is_answered_wherever_get_is() {
    let office = Office::open();
    let manager = office.manager();
    for path in [
        "/healthz",
        "/readyz",
        "/api/openapi.json",
        "/login",
        "/api/v1/visits",
        "/api/v1/parties",
        "/api/v1/me",
    ] {
        let answer = manager.send("HEAD", path, &[("Accept-Encoding", "identity")], None);
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{path}");
        assert_eq!(answer.header("content-type"), manager.get(path).header("content-type"), "{path}");
    }
}

#[test]
fn a_body_of_too_many_records_is_refused_by_name_and_only_to_a_device() {
    let office = Office::open();
    let device = HandDevice::enrolled(&office, &office.iris);
    let person = office.as_person(&office.iris).with_header("endcheck-protocol", "1");
    let large = vec![b'x'; MAX_RECORDS_BYTES + 1];
    for (http, status, code) in [(device.http(), 413, "body-too-large"), (person, 403, "device-required")] {
        // A client that is still sending when it is refused may find the connection closed instead.
        if let Some(answer) = http.try_send("POST", "/api/v1/sync/records", &[], Some(&large)) {
            answer.expect_problem(status, code);
        }
    }
}

#[test]
fn two_servers_start_at_once_on_one_database() {
    use endcheck_server::{app::App, clock::Clock};
    let server = TestServer::start();
    let config = server.app().config.clone();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let config = config.clone();
            std::thread::spawn(move || {
                App::open(config, Clock::default()).map(|app| app.keys.tokens.to_bytes())
            })
        })
        .collect();
    for start in starts {
        assert_eq!(start.join().unwrap().unwrap(), server.app().keys.tokens.to_bytes());
    }
}
