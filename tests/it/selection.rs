//! Choosing what is verified: a policy comes into force by two people, everything is assessed, a draw is committed to,
//! made, and repeated by a program that shares nothing with the server.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use endcheck_server::jobs;
use endcheck_tests::{Http, workspace_root};
use serde_json::{Value, json};

use crate::office::{Browser, Office, Person, text};
use crate::python::{python, run};
use crate::tablet::Tablet;

pub fn default_policy() -> String {
    std::fs::read_to_string(workspace_root().join("server/policies/default.toml")).unwrap()
}

/// Another manager, beside Ada.
pub fn bea(office: &Office) -> Person {
    let mut conn = office.server.app().connection().unwrap();
    let now = office.server.clock().now();
    crate::office::add_user(&mut conn, "bea", "Bea Moreau", &[endcheck_server::accounts::Role::Manager], now)
}

pub fn load(http: &Http, document: &str) -> endcheck_tests::Answer {
    http.send("POST", "/api/v1/policies", &[("Content-Type", "application/toml")], Some(document.as_bytes()))
}

/// Puts a policy into force and assesses every shipment by it.
pub fn put_into_force(office: &Office, document: &str) -> String {
    let hash = text(&load(&office.manager(), document).expect_json(201), "/hash");
    let path = format!("/api/v1/policies/{hash}");
    assert_eq!(office.manager().post(&format!("{path}/shadow"), &json!({})).status, 200);
    let approval = json!({ "reason": "Agreed in the panel." });
    let second = bea(office);
    assert_eq!(office.manager().post(&format!("{path}/approvals"), &approval).status, 200);
    let state = office.as_person(&second).post(&format!("{path}/approvals"), &approval).expect_json(200);
    assert_eq!(state["active"], true);
    office.tick();
    let walk = office.manager().get("/api/v1/rescorings").expect_json(200);
    assert!(!walk["finished_at"].is_null(), "{walk:#}");
    hash
}

/// Commits to a draw and makes it.
pub fn drawn(office: &Office, capacity: u64) -> Value {
    let command = json!({ "capacity": capacity, "note": "First quarter" });
    let committed = office.manager().post("/api/v1/selections", &command).expect_json(201);
    assert!(committed["drawn"].is_null() && committed["seed"]["seed"].is_null(), "the seed stays secret");
    let path = format!("/api/v1/selections/{}/draw", text(&committed, "/id"));
    office.manager().post(&path, &json!({})).expect_json(200)
}

/// What the command line exports for whoever repeats it.
fn exported(office: &Office, folder: &Path) -> PathBuf {
    let out = folder.join("decisions");
    let done = office.server.run_program(&["policy", "export", out.to_str().unwrap()]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out
}

#[test]
fn a_policy_comes_into_force_by_two_people_after_a_shadow_run() {
    let office = Office::with_programme();
    let manager = office.manager();
    let capacity = json!({ "capacity": 3, "note": "First quarter" });
    manager.post("/api/v1/selections", &capacity).expect_problem(409, "no-policy");
    let held = load(&manager, &default_policy()).expect_json(201);
    assert_eq!(load(&manager, &default_policy()).expect_json(201), held, "loading again changes nothing");
    let path = format!("/api/v1/policies/{}", text(&held, "/hash"));
    let approval = json!({ "reason": "Agreed." });
    manager.post(&format!("{path}/approvals"), &approval).expect_problem(409, "no-shadow-run");
    let report = manager.post(&format!("{path}/shadow"), &json!({})).expect_json(200);
    let shipments =
        manager.get("/api/v1/shipments?limit=500").expect_json(200)["items"].as_array().unwrap().len();
    assert_eq!(report["shipments"], shipments);
    for _ in 0..2 {
        let state = manager.post(&format!("{path}/approvals"), &approval).expect_json(200);
        assert_eq!(
            (&state["active"], state["approvals"].as_array().unwrap().len()),
            (&json!(false), 1),
            "one person is one"
        );
    }
    office.investigator().post(&format!("{path}/approvals"), &approval).expect_problem(403, "not-permitted");
    let second = bea(&office);
    let state = office.as_person(&second).post(&format!("{path}/approvals"), &approval).expect_json(200);
    assert_eq!(state["active"], true);

    // A newer version: its shadow run says who would move and why.
    let stricter =
        default_policy().replacen("version = 1", "version = 2", 1).replacen("high = 50", "high = 26", 1);
    let stricter = stricter.split("# Examples").next().unwrap().to_owned();
    load(&manager, &stricter.replacen("version = 2", "version = 1", 1))
        .expect_problem(409, "policy-version-exists");
    let newer = text(&load(&manager, &stricter).expect_json(201), "/hash");
    load(&manager, &format!("{}# again", default_policy())).expect_problem(409, "policy-version-old");
    let report = manager.post(&format!("/api/v1/policies/{newer}/shadow"), &json!({})).expect_json(200);
    let moved: u64 = report["moves"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(way, _)| *way == "medium → high")
        .map(|(_, count)| count.as_u64().unwrap())
        .sum();
    assert_eq!(report["moved"].as_array().unwrap().len() as u64, moved, "{report:#}");
    assert!(moved > 0, "{report:#}");
}

#[test]
fn a_policy_that_cannot_be_used_is_refused_with_line_rule_and_reason() {
    let office = Office::open();
    for (from, to, line, field, part) in [
        ("when = \"item_tier == 1\"", "when = \"item_tier / 0 == 1\"", 260, "rule goods-tier-1", "not zero"),
        ("when = \"item_tier == 1\"", "when = \"item_teir == 1\"", 260, "rule goods-tier-1", "no fact"),
        ("points = 8\nband = \"low\"", "points = 9\nband = \"low\"", 0, "case", "instead of 9"),
    ] {
        let document = default_policy();
        let at = document.find(from).unwrap_or_else(|| panic!("{from}"));
        let expected_line =
            if line == 0 { Value::Null } else { json!(1 + document[..at].matches('\n').count()) };
        let refused = load(&office.manager(), &document.replacen(from, to, 1));
        refused.expect_problem(422, "invalid-fields");
        let error = refused.json()["errors"][0].clone();
        assert!(text(&error, "/reason").contains(part), "{error}");
        assert_eq!((&error["line"], text(&error, "/field").as_str()), (&expected_line, field), "{error}");
    }
    load(&office.investigator(), &default_policy()).expect_problem(403, "not-permitted");
}

#[test]
fn a_draw_is_committed_to_made_once_and_repeated_by_another_program() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    // One is already under check; it is in no pool.
    office.check("SH-2026-0101");
    let selection = drawn(&office, 4);
    let document = &selection["drawn"];
    let chosen = document["chosen"].as_array().unwrap();
    assert!(chosen.len() >= 4, "{selection:#}");
    assert!(chosen.iter().all(|one| one["chosen"]["shipment"] != "SH-2026-0101"));
    assert!(selection["seed_index"].as_i64() < selection["drawn_index"].as_i64());
    let path = format!("/api/v1/selections/{}/draw", text(&selection, "/id"));
    assert_eq!(office.manager().post(&path, &json!({})).expect_json(200), selection, "drawn once");

    // Each has its check, with the reason in words.
    let checks = office.manager().get("/api/v1/checks?limit=100").expect_json(200);
    let reasons: Vec<String> =
        checks["items"].as_array().unwrap().iter().map(|check| text(check, "/reason")).collect();
    for one in chosen {
        let way = match text(one, "/chosen/way").as_str() {
            "random" => "Drawn at random on",
            "risk" => "Chosen for its risk:",
            _ => "Always checked:",
        };
        assert!(reasons.iter().any(|reason| reason.starts_with(way)), "{way}: {reasons:#?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = exported(&office, folder.path());
    let Some(python) = python() else { return };
    let repeated =
        || run(Command::new(&python).arg(workspace_root().join("tests/judges/replay.py")).arg(&out));
    let said = repeated().unwrap();
    assert!(said.contains("and 1 draws come out the same"), "{said}");
    // What was bent shows.
    let assessments = out.join("assessments.ndjson");
    let honest = std::fs::read_to_string(&assessments).unwrap();
    std::fs::write(&assessments, honest.replacen("\"item_tier\":2", "\"item_tier\":3", 1)).unwrap();
    assert!(repeated().unwrap_err().contains("comes out otherwise"));
    std::fs::write(&assessments, &honest).unwrap();
    let seed = std::fs::read_dir(out.join("draws"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with("selection.json"))
        .unwrap();
    let drawn = std::fs::read_to_string(&seed).unwrap();
    let other = text(document, "/seed").chars().rev().collect::<String>();
    std::fs::write(&seed, drawn.replace(&text(document, "/seed"), &other)).unwrap();
    assert!(repeated().unwrap_err().contains("another seed than was committed to"));

    let again = office.server.run_program(&["policy", "replay"]);
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(again.status.success() && said.contains("come out the same, byte for byte"), "{said}");
}

#[test]
fn whoever_departs_from_a_draw_says_why_and_is_counted() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 2);
    let path = format!("/api/v1/selections/{}/overrides", text(&selection, "/id"));
    let chosen: Vec<String> = selection["drawn"]["chosen"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "/chosen/shipment"))
        .collect();
    let all = office.manager().get("/api/v1/shipments?limit=500").expect_json(200);
    let arrived = |shipment: &&Value| !shipment["arrived_on"].is_null();
    let other = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(arrived)
        .find(|shipment| !chosen.contains(&text(shipment, "/key")))
        .expect("one that was not drawn");
    let command = |shipment: &str, act: &str, reason: &str| json!({ "shipment": shipment, "act": act, "reason": reason });
    let id = text(other, "/id");
    office.manager().post(&path, &command(&id, "add", " ")).expect_problem(422, "invalid-fields");
    office.manager().post(&path, &command(&id, "drop", "No.")).expect_problem(409, "not-chosen");
    let added =
        office.manager().post(&path, &command(&id, "add", "A partner asked for it.")).expect_json(200);
    assert_eq!(added["overrides"][0]["reason"], "A partner asked for it.");
    office.manager().post(&path, &command(&id, "add", "Again.")).expect_problem(409, "overridden");
    let first = office.shipment(&chosen[0]);
    office.manager().post(&path, &command(&first, "add", "Why not.")).expect_problem(409, "chosen-already");
    let dropped =
        office.manager().post(&path, &command(&first, "drop", "The site burnt down.")).expect_json(200);
    assert_eq!(dropped["overrides"].as_array().unwrap().len(), 2);
    // The one that was dropped can be drawn again.
    let next = drawn(&office, 50);
    let again = next["drawn"]["chosen"].as_array().unwrap();
    assert!(again.iter().any(|one| text(one, "/chosen/shipment") == chosen[0]), "{next:#}");
}

#[test]
fn a_policy_is_approved_and_a_draw_departed_from_at_the_pages() {
    let office = Office::with_programme();
    let hash = text(&load(&office.manager(), &default_policy()).expect_json(201), "/hash");
    let _ = bea(&office);
    let [ada, bea, iris] = ["ada", "bea", "iris"].map(|login| Browser::signed_in(&office.server, login));
    let (shadow, approvals) =
        (format!("/risk/policies/{hash}/shadow"), format!("/risk/policies/{hash}/approvals"));
    let approve = |by: &Browser<'_>, run: &str| {
        by.post(&approvals, &[("reason", "Agreed in the panel."), ("shadow_run", run)])
    };
    assert_eq!([iris.post(&shadow, &[]).status, approve(&iris, "").status], [403, 403]);
    let refused = approve(&ada, "");
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("shadow run"), "{}", refused.text());
    let run = || {
        assert_eq!(ada.post(&shadow, &[]).status, 303);
        let state = office.manager().get(&format!("/api/v1/policies/{hash}")).expect_json(200);
        text(&state, "/shadow_run")
    };
    let offered = |by: &Browser<'_>| by.get("/risk").contains("Approve what the run shows");
    let first = run();
    assert!(offered(&ada));
    let newest = run();
    let refused = approve(&ada, &first);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("run anew since you looked"), "{}", refused.text());
    assert_eq!(approve(&ada, &newest).status, 303);
    assert!(!offered(&ada) && offered(&bea), "nobody approves twice");
    assert!(bea.get("/risk").contains("Agreed in the panel."), "who approved, and why, is shown");
    assert_eq!(approve(&bea, &newest).status, 303);
    let state = office.manager().get(&format!("/api/v1/policies/{hash}")).expect_json(200);
    assert_eq!(state["active"], true);
    assert!(!offered(&ada) && !offered(&bea), "there is nothing left to approve");
    office.tick();

    let selection = drawn(&office, 2);
    let page = format!("/selections/{}", text(&selection, "/id"));
    let overrides = format!("{page}/overrides");
    let key = text(&selection, "/drawn/chosen/0/chosen/shipment");
    let departure = [("act", "drop"), ("shipment", key.as_str()), ("reason", "The site burnt down.")];
    assert_eq!(iris.post(&overrides, &departure).status, 403);
    let vera = Browser::signed_in(&office.server, "vera");
    assert!(!vera.get(&page).contains("Depart from the draw"), "nothing is offered that is refused");
    let refused = ada.post(&overrides, &[("act", "add"), departure[1], departure[2]]);
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("The site burnt down."), "what was typed stays");
    assert_eq!(ada.post(&overrides, &[departure[0], ("shipment", "SH-0"), departure[2]]).status, 422);
    assert_eq!(ada.post(&overrides, &departure).status, 303);
    let shown = bea.get(&page);
    assert!(shown.contains("not checked: see departures"), "in the list of what was drawn, too");
    assert!(shown.contains("not checked although it was drawn") && shown.contains("The site burnt down."));
}

#[test]
fn outcomes_and_signals_move_points_and_unknown_facts_are_named() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let shipment = office.shipment("SH-2026-0101");
    let path = format!("/api/v1/shipments/{shipment}/assessments");
    let newest = || office.manager().get(&path).expect_json(200)[0].clone();
    let before = newest();
    let missing: Vec<&Value> = before["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|reason| reason["missing"].as_array().unwrap())
        .collect();
    assert!(
        missing.contains(&&json!("months_since_sighting")),
        "never seen is said, not guessed: {before:#}"
    );
    let signal = json!({ "kind": "red_flag", "code": "vague_delivery", "note": "Told on the phone.", "shipment": shipment });
    office
        .investigator()
        .post(
            "/api/v1/signals",
            &json!({ "kind": "red_flag", "code": "odd", "note": "x", "shipment": shipment }),
        )
        .expect_problem(422, "invalid-fields");
    let flag = office.investigator().post("/api/v1/signals", &signal).expect_json(201);
    let rescore = || {
        assert_eq!(office.manager().post("/api/v1/rescorings", &json!({})).status, 202);
        office.tick();
    };
    rescore();
    let flagged = newest();
    let points = |of: &Value| of["assessment"]["points"].as_i64().unwrap();
    assert_eq!(points(&flagged), points(&before) + 15, "{flagged:#}");
    let mut back = signal.clone();
    back["withdraws"] = flag["id"].clone();
    assert_eq!(office.investigator().post("/api/v1/signals", &back).status, 201);
    office.investigator().post("/api/v1/signals", &back).expect_problem(409, "signal-withdrawn");
    rescore();
    assert_eq!(points(&newest()), points(&before));

    // The outcome of a visit is part of its parties' history.
    let visit = office.schedule("SH-2026-0101", Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.record_visit(&visit, "");
    tablet.done(&["close", "completed"]);
    tablet.line(&["sync"]);
    let determination =
        json!({ "outcome": "unfavourable", "reasons": ["discrepancy"], "reason": "Other serials." });
    assert_eq!(office.determine(&visit, &determination).status, 201);
    rescore();
    let after = newest();
    assert_eq!(after["assessment"]["facts"]["end_user_unfavourable"], 1);
    assert!(points(&after) > points(&before), "{after:#}");
}

/// What is changed behind the program's back, and what the audit says of it.
#[test]
fn what_somebody_changes_in_the_rows_of_risk_is_found_out() {
    let mut office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 4);
    let shipment = office.shipment(&text(&selection, "/drawn/chosen/0/chosen/shipment"));
    let signal = json!({ "kind": "tip", "code": "hotline", "note": "A caller.", "shipment": shipment });
    assert_eq!(office.investigator().post("/api/v1/signals", &signal).status, 201);
    let drop = json!({ "shipment": shipment, "act": "drop", "reason": "It burnt down." });
    let path = format!("/api/v1/selections/{}/overrides", text(&selection, "/id"));
    assert_eq!(office.manager().post(&path, &drop).status, 200);
    office.server.damaged();
    assert!(office.server.audit().holds(), "{}", office.server.audit().told());
    let guarded = office.server.database();
    let mut conn = guarded.connect();
    guarded.remove_guards(&mut conn);
    conn.batch_execute(
        "create table kept_policy as select document as o, substr(document, 2) as shorter from policies",
    )
    .unwrap();
    for (undo, change, said) in [
        (
            "update policies set document = (select o from kept_policy)",
            "update policies set document = (select shorter from kept_policy)",
            "is not the bytes that its name says",
        ),
        (
            "update policy_activations set document = replace(document, '\"approved_by\":[],\"was\":', '\"approved_by\":')",
            "update policy_activations set document = replace(document, '\"approved_by\":', '\"approved_by\":[],\"was\":')",
            "activation 1 of a policy is not what entry",
        ),
        (
            "update assessments set points = points - 1",
            "update assessments set points = points + 1",
            "is not the document that its name says",
        ),
        (
            "update assessments set document = replace(document, '\"tips\":7', '\"tips\":0')",
            "update assessments set document = replace(document, '\"tips\":0', '\"tips\":7')",
            "is not the document that its name says",
        ),
        (
            "update selections set capacity = capacity - 1",
            "update selections set capacity = capacity + 1",
            "is not the one that was committed to",
        ),
        (
            "update selections set seed = replace(seed, 'x', '')",
            "update selections set seed = seed || 'x'",
            "is not the one that was committed to",
        ),
        (
            "update selection_draws set document = replace(document, '\"pool_size\":9', '\"pool_size\":')",
            "update selection_draws set document = replace(document, '\"pool_size\":', '\"pool_size\":9')",
            "draw",
        ),
        (
            "update selection_draws set pool_size = pool_size - 1",
            "update selection_draws set pool_size = pool_size + 1",
            "the list says other things of draw",
        ),
        (
            "update risk_signals set note = 'A caller.'",
            "update risk_signals set note = 'Nobody.'",
            "says other things than its document",
        ),
        (
            "update risk_signals set log_index = log_index + 1000",
            "update risk_signals set log_index = log_index - 1000",
            "is not what entry",
        ),
        (
            "update selection_overrides set reason = 'It burnt down.'",
            "update selection_overrides set reason = 'Cancelled.'",
            "says other things than its document",
        ),
        (
            "update checks set selection_id = (select id from selections) where assessment_hash is not null",
            "update checks set selection_id = null",
            "are not those that it chose",
        ),
    ] {
        conn.batch_execute(change).unwrap_or_else(|error| panic!("{change}: {error}"));
        let told = office.server.audit().told();
        assert!(told.contains(said), "{change}:\n{told}");
        conn.batch_execute(undo).unwrap_or_else(|error| panic!("{undo}: {error}"));
        assert!(office.server.audit().holds(), "{undo}:\n{}", office.server.audit().told());
    }
}

#[test]
fn a_policy_past_its_review_draws_nothing_and_those_who_approve_are_told_once() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let command = json!({ "capacity": 2, "note": "Too late" });
    let committed = office.manager().post("/api/v1/selections", &command).expect_json(201);
    let days = (chrono::NaiveDate::from_ymd_opt(2027, 12, 1).unwrap() - office.server.clock().now().day())
        .num_days();
    office.server.clock().advance(TimeDelta::days(days));
    let path = format!("/api/v1/selections/{}/draw", text(&committed, "/id"));
    office.manager().post(&path, &json!({})).expect_problem(409, "policy-expired");
    office.manager().post("/api/v1/selections", &command).expect_problem(409, "policy-expired");
    for _ in 0..2 {
        let ran = office.manager().post("/api/v1/jobs/policy-expiry/run", &json!({}));
        assert!(ran.status < 300, "{}", ran.text());
        let job = jobs::find("policy-expiry").unwrap();
        actix_web::rt::System::new().block_on(jobs::attend(office.server.app(), job)).unwrap();
        office.server.clock().advance(TimeDelta::minutes(1));
    }
    let notices = office.manager().get("/api/v1/notices").expect_json(200).to_string();
    assert_eq!(notices.matches("has expired: nothing is drawn").count(), 1, "{notices}");
}

#[test]
fn a_check_for_which_a_visit_is_planned_is_not_dropped_and_another_policy_voids_the_seed() {
    let office = Office::with_programme();
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 2);
    let checks = office.manager().get("/api/v1/checks?limit=100").expect_json(200);
    let day = office.server.clock().now().day();
    let visit = json!({ "check": checks["items"][0]["id"], "inspector": null,
        "window_start": format!("{day}T00:00"), "window_end": format!("{}T23:59", day.succ_opt().unwrap()) });
    assert_eq!(office.manager().post("/api/v1/visits", &visit).status, 201);
    let drop = json!({ "shipment": checks["items"][0]["shipment"], "act": "drop", "reason": "Not now." });
    let path = format!("/api/v1/selections/{}/overrides", text(&selection, "/id"));
    office.manager().post(&path, &drop).expect_problem(409, "visit-planned");

    let command = json!({ "capacity": 2, "note": "Next" });
    let committed = office.manager().post("/api/v1/selections", &command).expect_json(201);
    let newer = default_policy().replacen("version = 1", "version = 2", 1);
    let hash = text(&load(&office.manager(), &newer).expect_json(201), "/hash");
    let of_policy = format!("/api/v1/policies/{hash}");
    assert_eq!(office.manager().post(&format!("{of_policy}/shadow"), &json!({})).status, 200);
    let mut conn = office.server.app().connection().unwrap();
    let now = office.server.clock().now();
    let roles = [endcheck_server::accounts::Role::Manager];
    let third = crate::office::add_user(&mut conn, "cleo", "Cleo Roux", &roles, now);
    std::mem::drop(conn);
    for person in [&office.ada, &third] {
        let approval = json!({ "reason": "Agreed." });
        assert_eq!(office.as_person(person).post(&format!("{of_policy}/approvals"), &approval).status, 200);
    }
    let path = format!("/api/v1/selections/{}/draw", text(&committed, "/id"));
    office.manager().post(&path, &json!({})).expect_problem(409, "policy-changed");
}
