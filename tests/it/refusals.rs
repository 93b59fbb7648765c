//! What a server refuses before any slice is asked.

use endcheck_tests::TestServer;

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
