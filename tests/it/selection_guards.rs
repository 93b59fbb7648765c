//! What keeps a draw honest: who may ask for one, what it waits for, what is told of whoever goes around it, and that
//! one bad row keeps nobody else waiting.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::Text;
use endcheck_server::accounts::Role;
use endcheck_server::jobs;
use serde_json::{Value, json};

use crate::office::{Office, PASSWORD, Person, add_user, text};
use crate::selection::{default_policy, drawn, load, put_into_force};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[derive(QueryableByName)]
struct Token {
    #[diesel(sql_type = Text)]
    csrf_token: String,
}

/// Signs in at the page; the cookie, and the token that forms carry.
fn browser(office: &Office, login: &str) -> (String, String) {
    let fields = [("login", login), ("password", PASSWORD), ("next", "/visits")];
    let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signed_in = office.server.send("POST", "/login", &[FORM], Some(body.as_bytes())).expect(303);
    let cookie = signed_in.header("set-cookie").split_once(';').unwrap().0.to_owned();
    let mut conn = office.server.app().connection().unwrap();
    let query = "select csrf_token from page_sessions order by created_at desc limit 1";
    let token = diesel::sql_query(query).get_result::<Token>(&mut *conn).unwrap().csrf_token;
    (cookie, token)
}

fn run(office: &Office, sql: &str) {
    office.server.app().connection().unwrap().batch_execute(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

fn rescore(office: &Office) -> Value {
    assert_eq!(office.manager().post("/api/v1/rescorings", &json!({})).status, 202);
    office.tick();
    let walk = office.manager().get("/api/v1/rescorings").expect_json(200);
    assert!(!walk["finished_at"].is_null(), "{walk:#}");
    walk
}

fn arrived(office: &Office) -> Vec<Value> {
    let all = office.manager().get("/api/v1/shipments?limit=500").expect_json(200);
    all["items"].as_array().unwrap().iter().filter(|one| !one["arrived_on"].is_null()).cloned().collect()
}

#[test]
fn an_inspector_can_neither_commit_to_a_draw_nor_make_one_on_the_pages() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let command = json!({ "capacity": 2, "note": "First quarter" });
    let committed = office.manager().post("/api/v1/selections", &command).expect_json(201);
    let (cookie, token) = browser(&office, "iris");
    let draw = format!("/selections/{}/draw", text(&committed, "/id"));
    for (path, body) in [
        ("/selections", format!("csrf_token={token}&capacity=2&note=Mine")),
        ("/selections", format!("csrf_token={token}&capacity=many&note=Mine")),
        (draw.as_str(), format!("csrf_token={token}")),
        ("/risk/rescorings", format!("csrf_token={token}")),
    ] {
        let answer = office.server.send("POST", path, &[FORM, ("Cookie", &cookie)], Some(body.as_bytes()));
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        for told in ["First quarter", "Shipments by band", text(&committed, "/seed/seed_sha256").as_str()] {
            assert!(!answer.text().contains(told), "{path} tells {told:?}");
        }
    }
    let listed = office.manager().get("/api/v1/selections").expect_json(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed:#}");
    assert!(listed["items"][0]["drawn_at"].is_null());
}

#[test]
fn a_form_without_its_page_s_token_does_nothing() {
    let office = Office::with_programme();
    let policy = put_into_force(&office, &default_policy());
    let newer = default_policy().replacen("version = 1", "version = 2", 1);
    let newer = text(&load(&office.manager(), &newer).expect_json(201), "/hash");
    let selection = drawn(&office, 1);
    let draw = format!("/selections/{}", text(&selection, "/id"));
    let shipment = text(&selection, "/drawn/chosen/0/chosen/shipment");
    let sheet = office.manager().get("/api/v1/serials").expect_json(200);
    let serial = format!("/serials/{}/events", text(&sheet, "/items/0/id"));
    let (cookie, _) = browser(&office, "ada");
    for (path, fields) in [
        ("/selections", "capacity=2&note=Mine".to_owned()),
        (&*format!("{draw}/draw"), String::new()),
        (&*format!("{draw}/overrides"), format!("act=drop&shipment={shipment}&reason=Mine")),
        ("/risk/rescorings", String::new()),
        (&*format!("/risk/policies/{newer}/shadow"), String::new()),
        (&*format!("/risk/policies/{newer}/approvals"), "reason=Mine&shadow_run=x".to_owned()),
        (&*serial, "kind=loss&what=lost&day=2026-01-01&circumstances=Mine&proof=Mine".to_owned()),
    ] {
        for token in ["", "0123456789abcdef0123456789abcdef"] {
            let body = format!("csrf_token={token}&{fields}");
            let answer =
                office.server.send("POST", path, &[FORM, ("Cookie", &cookie)], Some(body.as_bytes()));
            assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        }
    }
    let manager = office.manager();
    assert_eq!(manager.get(&format!("/api/v1{draw}")).expect_json(200), selection);
    assert_eq!(manager.get("/api/v1/selections").expect_json(200)["items"].as_array().unwrap().len(), 1);
    assert_eq!(manager.get("/api/v1/serials").expect_json(200), sheet);
    assert!(manager.get(&format!("/api/v1/policies/{newer}")).expect_json(200)["shadow"].is_null());
    assert_eq!(manager.get(&format!("/api/v1/policies/{policy}")).expect_json(200)["active"], true);
}

#[test]
fn a_draw_waits_until_what_came_in_as_a_signal_or_an_outcome_was_assessed() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let command = json!({ "capacity": 2, "note": "First quarter" });
    let committed = office.manager().post("/api/v1/selections", &command).expect_json(201);
    let path = format!("/api/v1/selections/{}/draw", text(&committed, "/id"));
    let signal = json!({ "kind": "red_flag", "code": "vague_delivery", "note": "Told on the phone.",
        "shipment": office.shipment("SH-2026-0101") });
    let flag = office.investigator().post("/api/v1/signals", &signal).expect_json(201);
    let refused = office.manager().post(&path, &json!({}));
    refused.expect_problem(409, "assessments-unfinished");
    let detail = text(&refused.json(), "/detail");
    assert!(detail.contains("1 signals or outcomes") && detail.contains("/api/v1/rescorings"), "{detail}");
    // An hour later the job does so of itself.
    office.server.clock().advance(TimeDelta::minutes(61));
    let job = jobs::find("re-scoring").unwrap();
    let asked = office.manager().post("/api/v1/jobs/re-scoring/run", &json!({}));
    assert_eq!(asked.status, 201, "{}", asked.text());
    actix_web::rt::System::new().block_on(jobs::attend(office.server.app(), job)).unwrap();
    let walk = office.manager().get("/api/v1/rescorings").expect_json(200);
    assert_eq!(text(&walk, "/cause"), "signals or outcomes came in");
    // Taking it back is another signal.
    let mut back = signal;
    back["withdraws"] = flag["id"].clone();
    assert_eq!(office.investigator().post("/api/v1/signals", &back).status, 201);
    office.manager().post(&path, &json!({})).expect_problem(409, "assessments-unfinished");
    rescore(&office);
    assert!(office.manager().post(&path, &json!({})).expect_json(200)["drawn"].is_object());
}

#[test]
fn one_shipment_that_cannot_be_read_keeps_no_other_waiting_and_is_told() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let bad = arrived(&office).iter().map(|one| text(one, "/key")).min().unwrap();
    run(&office, &format!("create table was as select intermediates from shipments where key = '{bad}'"));
    run(&office, &format!("update shipments set intermediates = 'not a list' where key = '{bad}'"));
    let walk = rescore(&office);
    assert_eq!((&walk["failed"], &walk["done"]), (&json!(1), &walk["total"]), "{walk:#}");
    let selection = drawn(&office, 50);
    let pool = arrived(office_after(&office, &bad)).len();
    assert_eq!(selection["drawn"]["pool_size"].as_u64().unwrap() as usize, pool - 1, "all others are in it");
    run(&office, &format!("update shipments set intermediates = 'not a list' where key = '{bad}'"));
    let (cookie, _) = browser(&office, "ada");
    let page = office.server.send("GET", "/risk", &[("Cookie", &cookie)], None).expect(200).text();
    assert!(page.contains("1 shipments could not be assessed") && page.contains(&bad), "{page}");

    // Nor does it fail the shadow run of the next version: it is counted on both sides.
    let newer = default_policy().replacen("version = 1", "version = 2", 1);
    let hash = text(&load(&office.manager(), &newer).expect_json(201), "/hash");
    let report =
        office.manager().post(&format!("/api/v1/policies/{hash}/shadow"), &json!({})).expect_json(200);
    assert_eq!((&report["failed"], &report["failed_before"]), (&json!(1), &json!(1)), "{report:#}");
    assert!(text(&report, "/failures/0").contains(&bad), "{report:#}");
    assert_eq!(report["changes"], json!(["~ version: 1 → 2"]));
    office_after(&office, &bad);
    run(&office, "drop table was");
    assert_eq!(rescore(&office)["failed"], 0);
}

/// Puts the row right again.
fn office_after<'a>(office: &'a Office, bad: &str) -> &'a Office {
    let was = "(select intermediates from was)";
    run(office, &format!("update shipments set intermediates = {was} where key = '{bad}'"));
    office
}

#[test]
fn approvals_count_for_one_shadow_run_by_people_who_may_to_this_day_and_versions_only_go_up() {
    let office = Office::with_programme();
    let old = text(&load(&office.manager(), &default_policy()).expect_json(201), "/hash");
    put_into_force(&office, &default_policy());
    let second = Person { roles: vec![Role::Manager], ..person(&office, "bea") };
    let mut conn = office.server.app().connection().unwrap();
    let now = office.server.clock().now();
    let cleo = add_user(&mut conn, "cleo", "Cleo Roux", &[Role::Manager], now);
    let root = add_user(&mut conn, "root", "Root Admin", &[Role::Admin], now);
    drop(conn);
    let version = |number: i64| {
        let text_of = default_policy().replacen("version = 1", &format!("version = {number}"), 1);
        text(&load(&office.manager(), &text_of).expect_json(201), "/hash")
    };
    let (two, three) = (version(2), version(3));
    let shadow = |hash: &str| {
        let path = format!("/api/v1/policies/{hash}/shadow");
        assert_eq!(office.manager().post(&path, &json!({})).status, 200);
    };
    let approve = |by: &Person, hash: &str| {
        let path = format!("/api/v1/policies/{hash}/approvals");
        office.as_person(by).post(&path, &json!({ "reason": "Agreed." }))
    };
    let standing = |state: &Value| (state["active"].as_bool(), state["approvals"].as_array().map(Vec::len));
    shadow(&three);
    assert_eq!(standing(&approve(&office.ada, &three).expect_json(200)), (Some(false), Some(1)));
    // A newer run shows something else: what was approved was the old one.
    shadow(&three);
    assert_eq!(standing(&approve(&second, &three).expect_json(200)), (Some(false), Some(1)));
    // Whoever may no longer approve has not approved.
    let path = format!("/api/v1/users/{}/disable", second.id);
    assert_eq!(office.as_person(&root).post(&path, &json!({})).status, 200);
    assert_eq!(standing(&approve(&office.ada, &three).expect_json(200)), (Some(false), Some(1)));
    assert_eq!(approve(&cleo, &three).expect_json(200)["active"], true);
    // What is older does not come back.
    shadow(&two);
    approve(&office.ada, &two).expect_problem(409, "policy-version-old");
    approve(&office.ada, &old).expect_problem(409, "policy-superseded");
    office.tick();
}

fn person(office: &Office, login: &str) -> Person {
    let users = office.manager().get("/api/v1/users").expect_json(200);
    let all = users["items"].as_array().or_else(|| users.as_array()).unwrap().clone();
    let found =
        all.iter().find(|user| user["login"] == login).unwrap_or_else(|| panic!("{login}: {users:#}"));
    Person { id: text(found, "/id"), name: text(found, "/name"), roles: Vec::new() }
}

#[test]
fn a_draw_s_triggers_are_its_own_and_checks_opened_by_hand_are_told_with_it() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let key = text(&arrived(&office)[0], "/key");
    let now = office.server.clock().now();
    let check = |trigger: &str, days: i64| {
        json!({ "shipment": office.shipment(&key), "kind": "post_shipment", "trigger": trigger,
            "reason": "I would rather not have it drawn.", "due_at": now.plus(TimeDelta::days(days)) })
    };
    for (trigger, days, field) in [
        ("risk", 7, "trigger"),
        ("random", 7, "trigger"),
        ("override", 7, "trigger"),
        ("tip", 3_661, "due_at"),
    ] {
        let refused = office.manager().post("/api/v1/checks", &check(trigger, days));
        refused.expect_problem(422, "invalid-fields");
        assert_eq!(text(&refused.json(), "/errors/0/field"), field, "{trigger}");
    }
    let opened = office.manager().post("/api/v1/checks", &check("tip", 3_659)).expect_json(201);
    let selection = drawn(&office, 2);
    let kept_out = selection["drawn"]["kept_out"].as_array().unwrap();
    assert_eq!(kept_out.len(), 1, "{selection:#}");
    for (told, known) in [
        ("check", &opened["id"]),
        ("opened_by", &json!(office.ada.id)),
        ("reason", &opened["reason"]),
        ("shipment", &json!(key)),
    ] {
        assert_eq!(&kept_out[0][told], known, "{told}");
    }
    let (cookie, _) = browser(&office, "ada");
    let path = format!("/selections/{}", text(&selection, "/id"));
    let page = office.server.send("GET", &path, &[("Cookie", &cookie)], None).expect(200).text();
    assert!(page.contains("Kept out of the pool by hand") && page.contains("I would rather not"), "{page}");
}

#[test]
fn a_check_that_was_dropped_is_not_visited_and_departures_look_before_they_add() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 2);
    let id = text(&selection, "/id");
    let path = format!("/api/v1/selections/{id}/overrides");
    let checks = office.manager().get("/api/v1/checks?limit=100").expect_json(200);
    let first = &checks["items"][0];
    let drop = json!({ "shipment": first["shipment"], "act": "drop", "reason": "Not now." });
    let once = office.manager().with_header("Idempotency-Key", "drop-1");
    let dropped = once.post(&path, &drop).expect(200);
    assert_eq!(
        once.post(&path, &drop).expect(200).body,
        dropped.body,
        "a retry is answered as the first time"
    );
    let metrics = office.manager().get("/api/v1/programme/metrics").expect_json(200);
    let departures =
        metrics["metrics"].as_array().unwrap().iter().find(|one| one["id"] == "departures-from-draws");
    assert_eq!(
        departures.unwrap()["figures"]["rows"],
        json!([{ "group": "added", "count": 0 }, { "group": "dropped", "count": 1 }])
    );
    let day = office.server.clock().now().day();
    let visit = json!({ "check": first["id"], "inspector": null,
        "window_start": format!("{day}T00:00"), "window_end": format!("{}T23:59", day.succ_opt().unwrap()) });
    office.manager().post("/api/v1/visits", &visit).expect_problem(409, "check-dropped");

    let add = |shipment: &str, even_so: bool| {
        let add = json!({ "shipment": shipment, "act": "add", "reason": "Asked for.", "even_so": even_so });
        office.manager().post(&path, &add)
    };
    let chosen = selection["drawn"]["chosen"].to_string();
    let others: Vec<Value> =
        arrived(&office).into_iter().filter(|one| !chosen.contains(&text(one, "/key"))).collect();
    let busy = text(&others[0], "/id");
    office.check(&text(&others[0], "/key"));
    add(&busy, false).expect_problem(409, "check-under-way");
    assert_eq!(add(&busy, true).status, 200);
    let all = office.manager().get("/api/v1/shipments?limit=500").expect_json(200);
    let travelling = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["arrived_on"].is_null())
        .expect("one on its way");
    add(&text(travelling, "/id"), false).expect_problem(409, "not-arrived");
    assert_eq!(add(&text(travelling, "/id"), true).status, 200);
}

#[test]
fn the_pool_of_a_draw_is_hashed_again_with_the_other_files_and_is_no_orphan() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 2);
    let pool = text(&selection, "/drawn/pool_sha256");
    let health = || office.manager().get("/api/v1/jobs/store").expect_json(200);
    assert_eq!(health()["named_files"], 1);
    let scrub = || {
        office.server.clock().advance(TimeDelta::days(40));
        let _ = office.manager().post("/api/v1/jobs/scrub/run", &json!({}));
        let job = jobs::find("scrub").unwrap();
        actix_web::rt::System::new().block_on(jobs::attend(office.server.app(), job)).unwrap();
    };
    scrub();
    assert_eq!((&health()["scrubbed_files"], &health()["faults"]), (&json!(1), &json!([])));
    let file = walkdir(&office.server.app().config.data, &pool);
    std::fs::remove_file(&file).unwrap();
    scrub();
    assert_eq!(health()["faults"][0]["sha256"], json!(pool), "{:#}", health());
}

fn walkdir(folder: &std::path::Path, name: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().replace('/', "").ends_with(name) {
                return path;
            }
        }
    }
    panic!("{name} is not kept");
}

#[test]
fn draws_are_listed_page_by_page_without_what_they_chose() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let first = drawn(&office, 1);
    for note in ["Second", "Third"] {
        let command = json!({ "capacity": 2, "note": note });
        let _ = office.manager().post("/api/v1/selections", &command).expect_json(201);
    }
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = office.manager().get(&format!("/api/v1/selections?limit=2{next}")).expect_json(200);
        found.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    let notes: Vec<String> = found.iter().map(|one| text(one, "/note")).collect();
    assert_eq!(notes, ["Third", "Second", "First quarter"]);
    assert_eq!(found[2]["pool_size"], first["drawn"]["pool_size"]);
    assert_eq!(
        found[2]["chosen"].as_u64().unwrap() as usize,
        first["drawn"]["chosen"].as_array().unwrap().len()
    );
    assert!(found.iter().all(|one| one.get("drawn").is_none() && one.get("seed").is_none()));
}

#[test]
fn whoever_has_read_enough_of_an_answer_ends_the_command_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let policy = endcheck_tests::workspace_root().join("server/policies/default.toml");
    let done = std::process::Command::new(endcheck_tests::process::program("endcheck-server"))
        .args(["policy", "check"])
        .arg(policy)
        .stdout(writer)
        .output()
        .unwrap();
    assert!(done.status.success() && done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
}
