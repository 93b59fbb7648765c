//! One visit from the plan to the determination, as people live through it.

use serde_json::{Value, json};

use crate::office::{Office, PASSWORD, fixture, fixture_json, text};
use crate::tablet::Tablet;
use endcheck::ExitStatus;

const SHIPMENT: &str = "SH-2026-0101";

fn list<'a>(value: &'a Value, pointer: &str) -> &'a Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no list at {pointer}"))
}

#[test]
fn a_check_goes_from_a_shipment_to_a_determination() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let announced = office.manager().post(&format!("/api/v1/visits/{visit}/announce"), &json!({}));
    assert_eq!(text(&announced.expect_json(200), "/state"), "announced");

    let tablet = Tablet::enrolled(&office, &office.iris);
    let pulled = tablet.line(&["pull"]);
    assert_eq!((&pulled["visits"], &pulled["withdrawn"]), (&json!(1), &json!(0)));
    assert_eq!(office.state(&visit), "dispatched");
    let taken_along = tablet.line(&["visits"]);
    assert_eq!(taken_along["visit"], visit.as_str());
    assert_eq!(taken_along["items"], 2);

    tablet.record_visit(&visit, "access-list");
    let why = tablet.refused(&["close", "completed"]);
    assert!(why.contains("cannot be closed as completed: 1 missing"), "{why}");
    assert!(why.contains("access"), "the missing evidence is not named: {why}");

    // Headquarters knows nothing of all this yet.
    assert_eq!(office.dossier(&visit)["record_count"], 0);
    let copies = tablet.sealed_copies();
    assert_eq!(copies, 24);
    let first = tablet.line(&["sync"]);
    assert_eq!(first["files_sent"], 24, "{first:#}");
    assert_eq!(first["files_confirmed"], 24, "{first:#}");
    assert_eq!(tablet.sealed_copies(), 0, "a receipt for each file lets the device delete its copy");
    assert_eq!(office.state(&visit), "open");

    // Nothing favourable before the visit is closed and the list is here.
    let favourable = json!({ "outcome": "favourable", "reason": "Seen as licensed." });
    let refused = office.determine(&visit, &favourable);
    refused.expect_problem(409, "required-missing");
    let reasons = refused.json()["errors"].to_string();
    assert!(reasons.contains("access"), "{reasons}");

    let captures = fixture_json("visit/captures.json");
    let forgotten = captures.as_array().unwrap().iter().find(|one| one["purpose"] == "access-list");
    tablet.capture(forgotten.unwrap());
    let closed = tablet.done(&["close", "completed"]);
    assert!(closed.contains("closed as completed"), "{closed}");
    assert_eq!(tablet.sealed_copies(), 1);
    tablet.line(&["sync"]);
    assert_eq!(tablet.sealed_copies(), 0);

    let log_size = office.server.check();
    let before = office.dossier(&visit);
    let again = tablet.line(&["sync"]);
    assert_eq!((&again["records_sent"], &again["files_sent"]), (&json!(0), &json!(0)));
    assert_eq!(office.server.check(), log_size, "another sync changes nothing");
    assert_eq!(office.dossier(&visit), before);

    office.tick();
    let dossier = office.dossier(&visit);
    assert_dossier(&dossier);
    assert_photos(&office, &dossier);
    let log_size = office.server.check();

    let made = office.determine(&visit, &favourable).expect_json(201);
    assert_eq!((&made["counts"], &made["log_index"]), (&json!(true), &json!(log_size)));
    assert_eq!(office.state(&visit), "reviewed");
    assert_changed_by_two_people(&office, &visit, &text(&made, "/id"));
}

fn assert_dossier(dossier: &Value) {
    assert_eq!(text(dossier, "/visit/state"), "closed");
    assert_eq!(text(dossier, "/visit/outcome"), "completed");
    for (item, serial) in list(dossier, "/items").iter().zip(["NVA-26-004417", "NVA-26-004418"]) {
        assert_eq!(text(item, "/status"), "sighted");
        assert_eq!((&item["serial_seen"], &item["serial_matches"]), (&json!(serial), &json!(true)));
    }
    let answers = list(dossier, "/answers");
    assert!(answers.len() > 34, "34 questions, some for each item: {}", answers.len());
    assert!(answers.iter().all(|answer| list(answer, "/missing").is_empty()));
    assert_eq!(list(dossier, "/statements").len(), 1);
    let devices = list(dossier, "/devices");
    assert_eq!(devices.len(), 1);
    assert!(list(&devices[0], "/gaps").is_empty(), "{:#}", devices[0]["gaps"]);
    assert!(list(dossier, "/obstacles").is_empty(), "{:#}", dossier["obstacles"]);
    assert!(list(dossier, "/quarantined").is_empty());
}

fn assert_photos(office: &Office, dossier: &Value) {
    let files = list(dossier, "/files");
    assert_eq!(files.len(), 25);
    assert!(files.iter().all(|file| file["state"] == "stored"));
    let photo = |name: &str| files.iter().find(|file| file["name"] == name).unwrap();
    let verdict = |name: &str| text(photo(name), "/photo_position/verdict_text");
    assert!(verdict("02-sign.jpg").contains("inside"), "{}", verdict("02-sign.jpg"));
    assert!(verdict("03-mast-outside-fence.jpg").contains("outside"));
    let unplaced = photo("06-reception-no-position.jpg");
    assert_eq!(unplaced["photo_position"]["position"], Value::Null);
    assert!(!text(unplaced, "/photo_position/source").is_empty());
    assert!(text(unplaced, "/device_position/verdict_text").contains("inside"));
    // The camera's clock, the satellites' and the device's stand beside each other.
    let yard = &photo("07-yard-dawn-clock-off.jpg")["clocks"];
    assert!(yard["camera_minus_device_s"].is_i64(), "{yard:#}");
    assert!(files.iter().any(|file| file["clocks"]["gnss_minus_device_s"].is_i64()));

    let sign = photo("02-sign.jpg");
    assert_eq!(sign["thumbnail"], true);
    let record = text(sign, "/record");
    let original = office.investigator().get(&format!("/api/v1/records/{record}/original")).expect(200);
    assert_eq!(original.body, std::fs::read(fixture("photos/02-sign.jpg")).unwrap());
    assert_eq!(original.header("content-type"), "image/jpeg");
    let small = office.investigator().get(&format!("/api/v1/records/{record}/thumbnail")).expect(200);
    assert!(small.body.starts_with(b"\xff\xd8"));
}

/// A second determination names the first, and counts once somebody else approved it.
fn assert_changed_by_two_people(office: &Office, visit: &str, first: &str) {
    let changed = json!({ "outcome": "unverified", "reason": "The mast may stand elsewhere." });
    office.determine(visit, &changed).expect_problem(409, "determination-exists");
    let mut named = changed;
    named["replaces"] = first.into();
    let second = office.determine(visit, &named).expect_json(201);
    assert_eq!(second["counts"], false);
    let approval = format!("/api/v1/determinations/{}/approve", text(&second, "/id"));
    office.investigator().post(&approval, &json!({})).expect_problem(403, "own-determination");
    office.as_person(&office.iris).post(&approval, &json!({})).expect_problem(403, "not-permitted");
    let approved = office.as_person(&office.omar).post(&approval, &json!({})).expect_json(200);
    assert_eq!((&approved["counts"], &approved["approved_by"]), (&json!(true), &json!("Omar Faye")));
    let kept = office.dossier(visit);
    assert_eq!(list(&kept, "/determinations").len(), 2, "the first stays on record");
}

#[test]
fn a_copy_stays_on_the_device_while_headquarters_holds_only_its_record() {
    // Headquarters takes the records but not the file: it is larger than this server allows.
    let office = Office::open_with(|config| config.max_upload_bytes = 1000);
    office.import_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["capture", &fixture("photos/02-sign.jpg").display().to_string()]);
    for _ in 0..2 {
        let said = tablet.run(&["sync"]);
        assert_eq!(said.status, ExitStatus::Partly, "{}{}", said.output, said.errors);
        assert!(said.output.contains("Not sent:") && said.output.contains("kept here"), "{}", said.output);
        assert_eq!(tablet.sealed_copies(), 1, "no file receipt, no deletion");
        let status = tablet.line(&["status"]);
        assert_eq!(status["records"]["unsent"], 0, "{status:#}");
        assert_eq!(status["files_without_receipt"]["files"], 1, "{status:#}");
    }
    assert_eq!(office.dossier(&visit)["files"][0]["state"], "awaited");
}

#[test]
fn people_sign_in_with_their_password() {
    let office = Office::open();
    let login = |password: &str| {
        office.server.post("/api/v1/auth/login", &json!({ "login": "Vera", "password": password }))
    };
    login("not it").expect_problem(401, "bad-credentials");
    let tokens = login(PASSWORD).expect_json(200);
    let me = office.server.with_token(&text(&tokens, "/access_token")).get("/api/v1/me").expect_json(200);
    assert_eq!(text(&me, "/name"), "Vera Lund");
}
