//! What one request may cost the others: no body blocks a server, no writer makes another fail
//! without a name, no file takes all the memory.

use std::fmt::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use endcheck_server::accounts::Role;
use endcheck_server::clock::Clock;
use endcheck_server::db::Conn;
use endcheck_tests::{Http, ServerProcess};
use serde_json::{Value, json};

use crate::office::{Office, add_user, signed_in};

const THINGS: [&str; 4] = ["/api/v1/parties", "/api/v1/sites", "/api/v1/licences", "/api/v1/shipments"];
const PARTIES: &str = "key,name,aliases,kind,address,country,registration_no";
const MAX_ROWS: usize = 100_000;
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

#[test]
fn an_object_of_very_many_members_is_refused_while_others_are_answered() {
    let office = Office::open();
    let manager = office.manager();
    let members: serde_json::Map<String, Value> =
        (0..90_000).map(|number| (format!("m{number}"), json!(1))).collect();
    let feature = json!({ "type": "Feature", "geometry": null, "properties": members });
    let whole = Value::Object(members);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for path in THINGS {
            let (manager, bodies) = (&manager, [&whole, &feature]);
            scope.spawn(move || {
                for body in bodies {
                    let refused = manager.post(path, body);
                    refused.expect_problem(422, "invalid-fields");
                    assert!(refused.text().contains("200 fields") || body["type"] == "Feature", "{path}");
                }
            });
        }
        for _ in 0..10 {
            let asked = Instant::now();
            let _ = office.server.get("/healthz").expect(200);
            assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        }
    });
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn what_is_no_json_is_told_apart_from_fields_that_are_wrong() {
    let office = Office::open();
    let manager = office.manager();
    for path in THINGS {
        let import = path.replace("/v1/", "/v1/import/");
        for body in ["", "{", "[1,2", "nonsense", "[{\"key\": \"A\",}]", "{\"key\": \"\u{1}\"}", "\u{0}"] {
            manager.send("POST", path, &JSON, Some(body.as_bytes())).expect_problem(400, "malformed-json");
            manager.send("POST", &import, &JSON, Some(body.as_bytes())).expect_problem(400, "malformed-json");
        }
        manager.send("POST", path, &JSON, Some(b"{\"key\":\"\xff\"}")).expect_problem(400, "malformed-json");
        manager.post(path, &json!([1])).expect_problem(422, "invalid-fields");
        manager.post(path, &json!({ "key": 7 })).expect_problem(422, "invalid-fields");
        manager.post(&import, &json!([{ "key": 7 }])).expect_problem(422, "invalid-fields");
    }
}

#[test]
fn a_writer_that_waits_too_long_is_told_that_the_database_is_busy() {
    let office = Office::open();
    let manager = office.manager();
    let party = json!({ "key": "P-1", "name": "Acme", "kind": "company", "address": "S", "country": "DE" });
    let (locked, is_locked) = mpsc::channel();
    let (done, is_done) = mpsc::channel::<()>();
    let mut other = office.server.database().connect();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let held = other.write(|conn| {
                if matches!(conn, Conn::Postgres(_)) {
                    conn.batch_execute("lock table parties in exclusive mode")?;
                }
                locked.send(()).unwrap();
                let _ = is_done.recv();
                Ok(())
            });
            held.unwrap();
        });
        is_locked.recv().unwrap();
        let refused = manager.post("/api/v1/parties", &party);
        drop(done);
        refused.expect_problem(503, "database-busy");
        assert!(refused.text().contains("again"), "{}", refused.text());
    });
    let _ = manager.post("/api/v1/parties", &party).expect(201);
}

fn import(manager: &Http, media_type: &str, body: &[u8]) -> endcheck_tests::Answer {
    manager.send("POST", "/api/v1/import/parties", &[("Content-Type", media_type)], Some(body))
}

#[test]
fn an_import_is_bounded_in_rows_bytes_and_memory() {
    let server = ServerProcess::start();
    let mut conn = server.database().connect();
    add_user(&mut conn, "ada", "Ada Brandt", &[Role::Manager], Clock::default().now());
    drop(conn);
    let manager = signed_in(&server, "ada");

    let mut rows = format!("{PARTIES}\n");
    for number in 0..=MAX_ROWS {
        writeln!(rows, "P-{number},Name of number {number},,company,{},DE,", "Street ".repeat(14)).unwrap();
    }
    let refused = import(&manager, "text/csv", rows.as_bytes());
    refused.expect_problem(422, "invalid-fields");
    assert!(refused.text().contains("more than 100000 rows"), "{}", refused.text());
    let nulls = format!("[{}null]", "null,".repeat(MAX_ROWS));
    let refused = import(&manager, "application/json", nulls.as_bytes());
    refused.expect_problem(422, "invalid-fields");
    assert!(refused.text().contains("more than 100000 rows"), "{}", refused.text());
    // The most values that fit, in one row and in many.
    let crowded = format!("[{{\"key\":[{}0]}}]", "0,".repeat(8_000_000));
    import(&manager, "application/json", crowded.as_bytes()).expect_problem(422, "invalid-fields");
    let crowd = format!("[{{\"a\":[{}0]}}", "0,".repeat(70));
    let crowd = format!("{crowd}{}]", format!(",{}", &crowd[1..]).repeat(99_000));
    assert!(crowd.len() < 16 * 1024 * 1024);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                import(&manager, "application/json", crowd.as_bytes()).expect_problem(422, "invalid-fields");
                import(&manager, "application/json", crowded.as_bytes())
                    .expect_problem(422, "invalid-fields");
            });
        }
    });
    let large = vec![b'x'; 16 * 1024 * 1024 + 1];
    // A client that is still sending when it is refused may find the connection closed instead.
    if let Some(answer) =
        manager.try_send("POST", "/api/v1/import/parties", &[("Content-Type", "text/csv")], Some(&large))
    {
        answer.expect_problem(413, "body-too-large");
    }
    let most_kib = server.most_resident_kib();
    println!("{} MiB at most", most_kib / 1024);
    assert!(most_kib < 512 * 1024, "{most_kib} KiB");
}
