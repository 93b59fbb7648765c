//! Imports into a real database, with the demo programme and with faults.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use endcheck_protocol::ids::{CheckId, UserId};
use endcheck_protocol::place::Fence;

use super::*;
use crate::accounts::{Actor, Role};
use crate::clock::Clock;
use crate::db::{self, PooledConn, schema};
use crate::idempotency::{Answer, OnceKey, once};
use crate::listing::ListQuery;
use crate::rows::{MAX_LISTED, read_one};

fn database() -> (tempfile::TempDir, PooledConn) {
    let folder = tempfile::tempdir().unwrap();
    let pool = db::open(&format!("sqlite:{}", folder.path().join("test.db").display()), 1).unwrap();
    let mut conn = pool.get().unwrap();
    db::migrate(&mut conn).unwrap();
    (folder, conn)
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

const DEMO: [(Kind, &str); 4] = [
    (Kind::Parties, "parties.csv"),
    (Kind::Sites, "sites.geojson"),
    (Kind::Licences, "licences.json"),
    (Kind::Shipments, "shipments.json"),
];

fn demo() -> (tempfile::TempDir, PooledConn) {
    let (folder, mut conn) = database();
    for (kind, name) in DEMO {
        file(&mut conn, kind, &fixtures().join(name), Clock::default().now()).unwrap();
    }
    (folder, conn)
}

fn manager() -> Actor {
    Actor { user: UserId::mint(), name: "Mara".to_owned(), roles: vec![Role::Manager], device: None }
}

fn all() -> ListQuery {
    ListQuery { limit: Some(500), ..ListQuery::default() }
}

#[test]
fn the_demo_programme_comes_in_once_in_either_form() {
    let (_folder, mut conn) = demo();
    let now = Clock::default().now();
    let samples = [
        (Kind::Parties, "samples/parties.json"),
        (Kind::Licences, "samples/licences.csv"),
        (Kind::Shipments, "samples/shipments.csv"),
    ];
    for (kind, name) in DEMO.into_iter().chain(samples) {
        let told = file(&mut conn, kind, &fixtures().join(name), now).unwrap();
        assert!(told.starts_with("0 added, 0 changed, "), "{name}: {told}");
        assert!(!told.ends_with(" 0 unchanged"), "{name}: {told}");
    }
    let listed = shipments::list(&mut conn, &all()).unwrap().items;
    assert!(listed.len() >= 30);
    for shipment in &listed {
        let whole = shipments::get(&mut conn, &shipment.id).unwrap();
        assert_eq!(whole.expected_items().len(), whole.items.len());
        assert_eq!(whole.licence_conditions().len(), whole.conditions.len());
        assert_eq!(whole.summary().end_user, shipment.end_user.name);
        let site = sites::get(&mut conn, &whole.site).unwrap();
        assert!(site.fence.as_ref().is_none_or(|fence| Fence::from_geojson(fence).is_ok()));
    }
}

#[test]
fn a_changed_row_is_updated_and_keeps_its_ids() {
    let (_folder, mut conn) = demo();
    let now = Clock::default().now();
    let before = shipments::list(&mut conn, &all()).unwrap().items.remove(0);
    let items_before = shipments::get(&mut conn, &before.id).unwrap().items;
    let text = std::fs::read_to_string(fixtures().join("shipments.json")).unwrap();
    let text = text.replacen(&items_before[0].part_number, "OTHER-1", 1);
    let told = run(&mut conn, Kind::Shipments, Format::Json, text.as_bytes(), now).unwrap();
    assert_eq!((told.added, told.changed), (0, 1), "{told:?}");
    assert_eq!(told.changes[0].fields, ["items"]);
    let after = shipments::get(&mut conn, &before.id).unwrap();
    assert_eq!((&after.items[0].id, after.items[0].part_number.as_str()), (&items_before[0].id, "OTHER-1"));
}

#[test]
fn one_bad_row_keeps_the_whole_file_out_and_every_bad_row_is_listed() {
    let (folder, mut conn) = database();
    let now = Clock::default().now();
    let path = folder.path().join("parties.csv");
    let header = "key,name,aliases,kind,address,country,registration_no";
    std::fs::write(
        &path,
        format!("{header}\nP-1,A,,company,S,DE,\nP-1,B,,company,S,QQ,\nP-1,C,,company,S,FR,\n"),
    )
    .unwrap();
    let told = file(&mut conn, Kind::Parties, &path, now).unwrap_err().to_string();
    assert!(told.contains("2 faults"), "{told}");
    assert!(told.contains("parties.csv:3: country: \"QQ\" is not one of"), "{told}");
    assert!(told.contains("parties.csv:4: key: P-1 stands in this file already on line 2"), "{told}");
    assert_eq!(parties::list(&mut conn, &all()).unwrap().items.len(), 0);

    let mut many = format!("{header}\n");
    for number in 0..1500 {
        writeln!(many, "P-{number},,,company,S,DE,").unwrap();
    }
    std::fs::write(&path, many).unwrap();
    let told = file(&mut conn, Kind::Parties, &path, now).unwrap_err().to_string();
    assert!(told.contains("1500 faults; the first 1000"), "{told}");
    assert_eq!(told.lines().count(), MAX_LISTED + 1);
}

#[test]
fn references_that_lead_nowhere_are_named() {
    let (_folder, mut conn) = demo();
    let now = Clock::default().now();
    let text = std::fs::read_to_string(fixtures().join("shipments.json")).unwrap();
    for (from, to, field, reason) in [
        (
            "\"exporter\": \"P-0001\"",
            "\"exporter\": \"P-9\"",
            "exporter",
            "no party with key P-9; import parties first",
        ),
        ("\"site\": \"S-0001\"", "\"site\": \"S-9\"", "site", "no site with key S-9; import sites first"),
        ("\"licence\": \"L-2026-0031\"", "\"licence\": \"L-9\"", "licence", "import licences first"),
        ("\"line\": 1,", "\"line\": 99,", "line", "has no line 99"),
    ] {
        assert!(text.contains(from), "{from}");
        let bad = text.replacen(from, to, 1);
        let Err(Error::Refused(problem)) = run(&mut conn, Kind::Shipments, Format::Json, bad.as_bytes(), now)
        else {
            panic!("{to} was accepted")
        };
        let fault = &problem.errors[0];
        assert_eq!(fault.field, format!("[0].{field}"));
        assert!(fault.reason.contains(reason), "{fault:?}");
    }
}

#[test]
fn what_others_stand_on_is_not_taken_away() {
    let (_folder, mut conn) = demo();
    let now = Clock::default().now();
    let text = std::fs::read_to_string(fixtures().join("licences.json")).unwrap();
    let first = shipments::list(&mut conn, &all()).unwrap().items.remove(0);
    let shipment = shipments::get(&mut conn, &first.id).unwrap();
    let mut licences: serde_json::Value = serde_json::from_str(&text).unwrap();
    let licence =
        licences.as_array_mut().unwrap().iter_mut().find(|l| l["key"] == shipment.licence_key.as_str());
    licence.unwrap()["lines"][0]["line"] = serde_json::json!(77);
    let bytes = serde_json::to_vec(&licences).unwrap();
    let Err(Error::Refused(problem)) = run(&mut conn, Kind::Licences, Format::Json, &bytes, now) else {
        panic!()
    };
    assert!(problem.errors[0].reason.contains("shipments stand on it"), "{problem:?}");
}

#[test]
fn arrivals_without_a_routine_check_come_in_pages() {
    let (_folder, mut conn) = demo();
    let now = Clock::default().now();
    let mut seen = Vec::new();
    loop {
        let page = shipments::arrived_without_routine(&mut conn, "2026-12-31", seen.last(), 7).unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page);
    }
    let arrived =
        shipments::list(&mut conn, &all()).unwrap().items.into_iter().filter(|s| s.arrived_on.is_some());
    assert_eq!(seen.len(), arrived.count());
    assert!(seen.is_sorted_by_key(|arrival| arrival.arrived_on.clone()));
    let first = seen[0].clone();
    use schema::checks as t;
    diesel::insert_into(t::table)
        .values((
            t::id.eq(CheckId::mint()),
            t::shipment_id.eq(&first.id),
            t::kind.eq("routine"),
            t::cause.eq("schedule"),
            t::reason.eq("r"),
            t::due_at.eq(now),
            t::opened_at.eq(now),
            t::origin_key.eq(format!("routine:{}", first.id)),
        ))
        .execute(&mut *conn)
        .unwrap();
    let left = shipments::arrived_without_routine(&mut conn, "2026-12-31", None, 500).unwrap();
    assert_eq!(left, seen[1..]);
    let early = shipments::arrived_without_routine(&mut conn, "2020-01-01", None, 500).unwrap();
    assert_eq!(early, []);
}

#[test]
fn lists_come_in_pages_and_are_filtered() {
    let (_folder, mut conn) = demo();
    let whole = parties::list(&mut conn, &all()).unwrap();
    assert_eq!(whole.next_cursor, None);
    let mut query = ListQuery { limit: Some(10), ..ListQuery::default() };
    let mut keys = Vec::new();
    loop {
        let page = parties::list(&mut conn, &query).unwrap();
        keys.extend(page.items.into_iter().map(|party| party.key));
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
    }
    assert_eq!(keys, whole.items.iter().map(|party| party.key.clone()).collect::<Vec<_>>());
    let found = |q: &str, country: Option<&str>, conn: &mut Conn| {
        let query = ListQuery { q: Some(q.to_owned()), country: country.map(str::to_owned), ..all() };
        (parties::list(conn, &query).unwrap().items.len(), sites::list(conn, &query).unwrap().items.len())
    };
    assert_eq!(found("NORVALE", Some("US"), &mut conn).0, 1);
    assert_eq!(found("norvale", Some("DE"), &mut conn).0, 0);
    assert_eq!(found("%", None, &mut conn).0, 0);
    assert_eq!(found("hammoor", Some("DE"), &mut conn).1, 1);
    assert!(!shipments::list_licences(&mut conn, &all()).unwrap().items.is_empty());
    let wrong = ListQuery { limit: Some(0), ..ListQuery::default() };
    assert_eq!(parties::list(&mut conn, &wrong).unwrap_err().code(), "invalid-fields");
    let wrong = ListQuery { cursor: Some("!".to_owned()), ..ListQuery::default() };
    assert_eq!(parties::list(&mut conn, &wrong).unwrap_err().code(), "malformed-cursor");
}

#[test]
fn a_create_that_is_sent_again_answers_as_the_first_did() {
    let (_folder, mut conn) = database();
    let (actor, now) = (manager(), Clock::default().now());
    let body = br#"{"key":"P-1","name":"Acme","kind":"company","address":"S","country":"DE"}"#;
    let key = OnceKey::new(Some("k-1"), "POST /api/v1/parties".to_owned()).unwrap();
    let send = |conn: &mut Conn, key: &OnceKey, body: &[u8]| {
        let party = read_one(body, &parties::SHAPE, parties::parse)?;
        conn.write(|conn| {
            once(conn, &actor, key, body, now, |conn| {
                Answer::created(&parties::create(conn, &actor, party, now)?)
            })
        })
    };
    let first = send(&mut conn, &key, body).unwrap();
    assert_eq!(first.status, 201);
    assert_eq!(send(&mut conn, &key, body).unwrap(), first);
    let other = br#"{"key":"P-2","name":"Other","kind":"company","address":"S","country":"DE"}"#;
    assert_eq!(send(&mut conn, &key, other).unwrap_err().code(), "idempotency-key-reused");
    let fresh = OnceKey::new(None, String::new()).unwrap();
    assert_eq!(send(&mut conn, &fresh, body).unwrap_err().code(), "key-taken");
    assert_eq!(parties::list(&mut conn, &all()).unwrap().items.len(), 1);
    let later = now.plus(chrono::TimeDelta::days(1));
    assert_eq!(crate::idempotency::forget_before(&mut conn, later).unwrap(), 1);
    let inspector = Actor { roles: vec![Role::Inspector], ..manager() };
    let party = read_one(other, &parties::SHAPE, parties::parse).unwrap();
    let refused = conn.write(|conn| parties::create(conn, &inspector, party, now)).unwrap_err();
    assert_eq!(refused.code(), "not-permitted");
}
