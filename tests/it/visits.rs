//! Planning: who may move a visit where, what a device is told, and what time alone does.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use endcheck_protocol::checklist::{Template, VisitOutcome};
use endcheck_protocol::record::{Act, VerificationMethod};
use endcheck_server::app::App;
use endcheck_server::db::Conn;
use endcheck_tests::{Answer, Http};
use serde_json::{Value, json};

use crate::hand::{HandDevice, task};
use crate::office::{Office, text, tick};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";

/// Asks for `verb` as the manager, with a body that fits it.
fn change(office: &Office, visit: &str, verb: &str) -> Answer {
    change_as(&office.manager(), office, visit, verb)
}

fn change_as(http: &Http, office: &Office, visit: &str, verb: &str) -> Answer {
    let body = match verb {
        "announce" => json!({}),
        "reassign" => json!({ "inspector": office.tomas.id, "reason": "Iris is ill." }),
        "reschedule" => json!({ "window_start": "2026-12-01T08:30", "window_end": "2026-12-01T12:00",
            "reason": "The host asked for it." }),
        "cancel" => json!({ "reason": "The goods went back." }),
        other => panic!("{other}"),
    };
    http.post(&format!("/api/v1/visits/{visit}/{verb}"), &body)
}

const CLOSED: Act =
    Act::VisitClose { outcome: VisitOutcome::Partial, missing: Vec::new(), note: None, contents: None };
const OPENED: Act = Act::VisitOpen { method: VerificationMethod::InPerson };

#[test]
fn a_manager_moves_a_visit_only_as_the_table_says() {
    let office = Office::with_programme();
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let verbs = ["announce", "reassign", "reschedule", "cancel"];
    for (state, refused) in [
        ("planned", &[][..]),
        ("announced", &["announce"]),
        ("dispatched", &["announce"]),
        ("open", &verbs),
        ("closed", &verbs),
        ("reviewed", &verbs),
        ("cancelled", &verbs),
    ] {
        for verb in verbs {
            let visit = visit_in(&office, &mut device, state);
            let before = office.dossier(&visit);
            let answer = change(&office, &visit, verb);
            if refused.contains(&verb) {
                answer.expect_problem(409, "visit-state");
                let detail = text(&answer.json(), "/detail");
                let participle = match verb {
                    "announce" => "announced",
                    "cancel" => "cancelled",
                    other => &format!("{other}{}", if other.ends_with('e') { "d" } else { "ed" }),
                };
                assert!(detail.contains(state) && detail.contains(participle), "{state} {verb}: {detail}");
                assert_eq!(office.dossier(&visit), before, "{state} {verb}: nothing changes");
            } else {
                let changed = answer.expect_json(200);
                let expected = match verb {
                    "announce" => "announced",
                    "cancel" => "cancelled",
                    _ => state,
                };
                assert_eq!(text(&changed, "/state"), expected, "{state} {verb}");
                let version = before["visit"]["version"].as_i64().unwrap();
                assert_eq!(changed["version"], version + 1, "{state} {verb}");
            }
        }
    }
}

/// A fresh visit of Iris's, brought to that state.
fn visit_in(office: &Office, device: &mut HandDevice, state: &str) -> String {
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let steps = ["planned", "announced", "dispatched", "open", "closed", "reviewed"];
    let far = steps.iter().position(|step| *step == state);
    match far {
        None => drop(change(office, &visit, "cancel").expect(200)),
        Some(1) => drop(change(office, &visit, "announce").expect(200)),
        Some(far) => {
            if far >= 2 {
                device.pull();
            }
            if far >= 3 {
                let opened = device.add(task(&visit), OPENED);
                device.accepted(&[&opened]);
            }
            if far >= 4 {
                let closed = device.add(task(&visit), CLOSED);
                device.accepted(&[&closed]);
            }
            if far >= 5 {
                let found = json!({ "outcome": "unverified", "reason": "Nothing was seen." });
                let _ = office.determine(&visit, &found).expect(201);
            }
        }
    }
    assert_eq!(office.state(&visit), state);
    visit
}

#[test]
fn a_stale_change_is_refused_and_a_reason_is_asked_for() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let etag = office.manager().get(&format!("/api/v1/visits/{visit}")).header("etag").to_owned();
    let manager = office.manager().with_header("If-Match", &etag);
    let _ = change_as(&manager, &office, &visit, "reschedule").expect(200);
    change_as(&manager, &office, &visit, "cancel").expect_problem(412, "visit-changed");
    assert_eq!(office.state(&visit), "planned");
    let unmotivated =
        office.manager().post(&format!("/api/v1/visits/{visit}/cancel"), &json!({ "reason": " " }));
    unmotivated.expect_problem(422, "invalid-fields");
    let nobody = office.manager().post(
        &format!("/api/v1/visits/{visit}/reassign"),
        &json!({ "inspector": office.vera.id, "reason": "She is an investigator." }),
    );
    nobody.expect_problem(422, "invalid-fields");
    change_as(&office.as_person(&office.iris), &office, &visit, "cancel")
        .expect_problem(403, "not-permitted");
}

#[test]
fn windows_are_read_by_the_clock_on_the_site_s_wall() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, None);
    let moved = change(&office, &visit, "reschedule").expect_json(200);
    assert_eq!(text(&moved, "/time_zone"), "Europe/Berlin");
    assert_eq!(text(&moved, "/window_start_at"), "2026-12-01T07:30:00Z");
    assert_eq!(text(&moved, "/window_end_at"), "2026-12-01T11:00:00Z");
    let skipped =
        json!({ "window_start": "2027-03-28T02:30", "window_end": "2027-03-28T09:00", "reason": "x" });
    let refused = office.manager().post(&format!("/api/v1/visits/{visit}/reschedule"), &skipped);
    refused.expect_problem(422, "invalid-fields");
    assert_eq!(text(&refused.json(), "/errors/0/field"), "window_start");
}

#[test]
fn a_change_with_a_key_is_done_once() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let manager = office.manager();
    for (verb, version) in [("announce", 1), ("reassign", 2), ("reschedule", 3), ("cancel", 4)] {
        let keyed = manager.with_header("Idempotency-Key", verb);
        let keyed = keyed.with_header("If-Match", &format!("\"{version}\""));
        let first = change_as(&keyed, &office, &visit, verb).expect(200);
        let again = change_as(&keyed, &office, &visit, verb).expect(200);
        assert_eq!((first.json(), first.header("etag")), (again.json(), again.header("etag")), "{verb}");
    }
    let events = office.dossier(&visit)["events"].as_array().unwrap().len();
    assert_eq!(events, 5, "one for each of schedule, announce, reassign, reschedule, cancel");
}

#[test]
fn a_create_with_a_key_is_done_once() {
    let office = Office::with_programme();
    let check = office.check(SHIPMENT);
    let manager = office.manager().with_header("Idempotency-Key", "plan-1");
    let visit =
        json!({ "check": check, "window_start": "2026-12-01T08:30", "window_end": "2026-12-01T12:00" });
    let first = manager.post("/api/v1/visits", &visit).expect(201);
    let again = manager.post("/api/v1/visits", &visit).expect(201);
    assert_eq!(first.body, again.body);
    let listed = office.manager().get("/api/v1/visits?all=true").expect_json(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let mut other = visit.clone();
    other["window_end"] = "2026-12-01T13:00".into();
    manager.post("/api/v1/visits", &other).expect_problem(409, "idempotency-key-reused");
    // A refused request does not use its key up.
    let fresh = office.manager().with_header("Idempotency-Key", "plan-2");
    other["window_end"] = "never".into();
    fresh.post("/api/v1/visits", &other).expect_problem(422, "invalid-fields");
    let _ = fresh.post("/api/v1/visits", &visit).expect(201);
}

#[test]
fn a_device_is_told_of_a_visit_that_was_taken_away_and_its_records_are_kept() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    let _ = change(&office, &visit, "reassign").expect(200);
    let told = tablet.line(&["pull"]);
    assert_eq!(told, json!({ "visits": 1, "withdrawn": 1 }));
    assert_eq!(tablet.line(&["visits"])["withdrawn"], true);
    assert_eq!(tablet.line(&["pull"])["visits"], 0);

    let other = Tablet::enrolled(&office, &office.tomas);
    assert_eq!(other.line(&["pull"]), json!({ "visits": 1, "withdrawn": 0 }));

    // What Iris did before she was told counts as done by somebody else, and is kept.
    tablet.done(&["note", "The gate was open."]);
    tablet.done(&["sync"]);
    assert_eq!(office.state(&visit), "open");
    assert!(office.signals(&visit).contains(&"not-assigned".to_owned()));
    assert_eq!(office.dossier(&visit)["notes"], json!(["The gate was open."]));
}

#[test]
fn records_of_a_cancelled_visit_are_kept_with_a_finding() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["note", "Nobody told me."]);
    let _ = change(&office, &visit, "cancel").expect(200);
    let summary = tablet.line(&["sync"]);
    assert_eq!(summary["quarantined"], json!([]));
    let dossier = office.dossier(&visit);
    assert_eq!((&dossier["visit"]["state"], &dossier["record_count"]), (&json!("cancelled"), &json!(2)));
    assert!(office.signals(&visit).contains(&"visit-over".to_owned()));
    assert_eq!(tablet.line(&["pull"])["withdrawn"], 1);
}

fn events<'a>(dossier: &'a Value, verb: &str) -> Vec<&'a Value> {
    dossier["events"].as_array().unwrap().iter().filter(|event| event["verb"] == verb).collect()
}

#[test]
fn time_raises_interrupts_and_opens_once_on_two_servers_at_once() {
    let office = Office::with_programme();
    let device = HandDevice::enrolled(&office, &office.iris);
    let planned = office.schedule(SHIPMENT, None);
    let dispatched = office.schedule(SHIPMENT, Some(&office.iris));
    device.pull();
    let routine = || {
        let page = office.manager().get("/api/v1/checks?limit=200").expect_json(200);
        page["items"].as_array().unwrap().iter().filter(|check| check["kind"] == "routine").count()
    };
    assert_eq!(routine(), 0);

    office.server.clock().advance(TimeDelta::days(30));
    let twin = App::open(office.server.app().config.clone(), office.server.clock().clone()).unwrap();
    let ticks: Vec<_> = [office.server.app().clone(), twin.clone(), office.server.app().clone(), twin]
        .into_iter()
        .map(|app| std::thread::spawn(move || tick(&app)))
        .collect();
    let ticked: Vec<_> = ticks.into_iter().map(|tick| tick.join().unwrap()).collect();
    let sum = |count: fn(&endcheck_server::jobs::Ticked) -> u64| ticked.iter().map(count).sum::<u64>();
    assert_eq!(sum(|ticked| ticked.visits.raised_overdue), 2, "{ticked:?}");
    assert_eq!(sum(|ticked| ticked.visits.interrupted), 1, "{ticked:?}");
    let opened = sum(|ticked| ticked.routine_checks_opened);
    assert!(opened > 0);
    assert_eq!(routine() as u64, opened);

    let dossier = office.dossier(&planned);
    assert_eq!(dossier["visit"]["overdue"], true);
    assert_eq!(events(&dossier, "overdue").len(), 1);
    assert_eq!(office.state(&planned), "planned");
    assert_eq!(events(&office.dossier(&dispatched), "interrupt").len(), 1);
    assert_eq!(office.state(&dispatched), "interrupted");
    assert_eq!(office.tick(), endcheck_server::jobs::Ticked::default(), "a later tick finds nothing to do");
    let overdue = office.manager().get("/api/v1/visits?overdue=true").expect_json(200);
    assert_eq!(overdue["items"].as_array().unwrap().len(), 2);

    // A late record reopens what was interrupted.
    let mut device = device;
    let opened = device.add(task(&dispatched), OPENED);
    device.accepted(&[&opened]);
    assert_eq!(office.state(&dispatched), "open");
}

#[test]
fn what_was_raised_once_is_not_written_again() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, None);
    office.server.clock().advance(TimeDelta::days(30));
    assert_eq!(office.tick().visits.raised_overdue, 1);
    // From here on any try to write an event fails, even one that would change nothing.
    let mut conn = office.server.app().connection().unwrap();
    let refuse = match &mut *conn {
        Conn::Sqlite(_) => {
            "create trigger no_events before insert on visit_events begin select raise(fail, 'no'); end"
        }
        Conn::Postgres(_) => {
            "create function no_events() returns trigger language plpgsql as \
             $$ begin raise exception 'no'; end $$; \
             create trigger no_events before insert on visit_events for each row execute function no_events()"
        }
    };
    conn.batch_execute(refuse).unwrap();
    drop(conn);
    assert_eq!(office.tick().visits.raised_overdue, 0);
    assert_eq!(events(&office.dossier(&visit), "overdue").len(), 1);
}

#[test]
fn an_instant_that_cannot_be_written_is_refused_and_stops_no_pull() {
    let office = Office::with_programme();
    let check = office.check(SHIPMENT);
    for (start, end) in [
        ("+262142-01-01T00:00", "+262142-01-02T00:00"),
        ("-0001-01-01T00:00", "-0001-01-02T00:00"),
        ("26-11-23T08:30", "26-11-23T12:00"),
        ("2026-11-23T08:30:60", "2026-11-23T12:00:60"),
    ] {
        let visit = json!({ "check": check, "inspector": office.iris.id, "window_start": start,
            "window_end": end });
        let refused = office.manager().post("/api/v1/visits", &visit);
        refused.expect_problem(422, "invalid-fields");
        assert_eq!(text(&refused.json(), "/errors/0/field"), "window_start", "{start}");
    }
    for due_at in ["0000-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-12-31T23:59:60Z"] {
        let check = json!({ "shipment": office.shipment(SHIPMENT), "kind": "post_shipment",
            "trigger": "tip", "reason": "Chosen for the quarter.", "due_at": due_at });
        let refused = office.manager().post("/api/v1/checks", &check);
        refused.expect_problem(400, "malformed-json");
        assert!(text(&refused.json(), "/detail").contains("years 1 to 9999"), "{}", refused.text());
    }
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    assert_eq!(tablet.line(&["pull"])["visits"], 1);
    assert_eq!(office.state(&visit), "dispatched");
}

/// The newest template as a new version with one question more.
fn template_with(question: &str, version: u32) -> Template {
    let mut template = Template::default_end_use().unwrap();
    let mut added = template.questions[0].clone();
    added.id = question.parse().unwrap();
    added.number = None;
    template.questions.push(added);
    template.version = version;
    template
}

#[test]
fn a_template_leaves_the_names_of_licence_conditions_alone() {
    let office = Office::with_programme();
    let template = template_with("condition-c1", 90);
    let refused = office.manager().post("/api/v1/checklist-templates", &json!(template));
    refused.expect_problem(422, "invalid-fields");
    assert!(text(&refused.json(), "/detail").contains("condition-c1"), "{}", refused.text());
}

#[test]
fn a_visit_whose_checklist_cannot_be_frozen_keeps_no_other_back() {
    let office = Office::with_programme();
    // A template from before names were reserved; one licence has a fourth condition, c4.
    let template = json!(template_with("condition-c4", 90)).to_string().replace('\'', "''");
    let mut conn = office.server.app().connection().unwrap();
    conn.batch_execute(&format!(
        "insert into checklist_templates (id, version, document, hash, created_at) \
         values ('end-use-visit', 90, '{template}', '{:064}', '2026-01-01 00:00:00')",
        0
    ))
    .unwrap();
    drop(conn);
    let stuck = office.schedule("SH-2026-0111", Some(&office.iris));
    let fine = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    assert_eq!(tablet.line(&["pull"])["visits"], 1);
    assert_eq!(tablet.line(&["pull"])["visits"], 0);
    assert_eq!(office.state(&fine), "dispatched");
    let dossier = office.dossier(&stuck);
    assert_eq!(text(&dossier, "/visit/state"), "planned");
    let noted = events(&dossier, "cannot-dispatch");
    assert_eq!(noted.len(), 1, "the manager is told, once");
    assert!(text(noted[0], "/detail").contains("condition-c4"), "{noted:?}");
    // Once there is a template that fits, the visit comes along.
    let mended = json!(template_with("another-name", 91));
    let _ = office.manager().post("/api/v1/checklist-templates", &mended).expect(201);
    assert_eq!(tablet.line(&["pull"])["visits"], 1);
    assert_eq!(office.state(&stuck), "dispatched");
}

#[test]
fn a_list_ends_where_it_says_and_refuses_a_limit_out_of_range() {
    let office = Office::with_programme();
    for _ in 0..4 {
        office.schedule(SHIPMENT, None);
    }
    for list in ["visits", "checks", "parties", "sites"] {
        for limit in [-3, 0, 501, 999] {
            let refused = office.manager().get(&format!("/api/v1/{list}?limit={limit}"));
            refused.expect_problem(422, "invalid-fields");
            assert_eq!(text(&refused.json(), "/errors/0/field"), "limit");
        }
    }
    for list in ["visits", "checks"] {
        let whole = office.manager().get(&format!("/api/v1/{list}?limit=4")).expect_json(200);
        assert_eq!(whole["items"].as_array().unwrap().len(), 4);
        assert_eq!(whole.get("next_cursor"), None, "{list}: a full last page is the last");
        let first = office.manager().get(&format!("/api/v1/{list}?limit=2")).expect_json(200);
        let cursor = text(&first, "/next_cursor");
        let second =
            office.manager().get(&format!("/api/v1/{list}?limit=2&cursor={cursor}")).expect_json(200);
        let both = [first["items"].as_array().unwrap().clone(), second["items"].as_array().unwrap().clone()];
        assert_eq!(json!(both.concat()), whole["items"]);
        assert_eq!(second.get("next_cursor"), None, "{list}");
    }
}

#[test]
fn a_former_inspector_is_told_once_and_nothing_of_the_successor() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let device = HandDevice::enrolled(&office, &office.iris);
    let pull =
        |cursor: &str| device.http().get(&format!("/api/v1/sync/pull?cursor={cursor}")).expect_json(200);
    let mine = pull("");
    let _ = change(&office, &visit, "reassign").expect(200);
    let _ = change(&office, &visit, "reschedule").expect(200);
    let taken = pull(&text(&mine, "/cursor"));
    let packet = &taken["visits"][0];
    assert_eq!(packet["withdrawn"], true);
    let said = taken.to_string();
    assert!(!said.contains(&office.tomas.id) && !said.contains(&office.tomas.name), "{said}");
    for key in ["id", "version", "inspector", "window_start_at", "window_end_at"] {
        assert_eq!(packet["visit"][key], mine["visits"][0]["visit"][key], "{key}");
    }
    // Whatever becomes of it now is not theirs to hear; a lost answer is given again as it was.
    let successor = HandDevice::enrolled(&office, &office.tomas);
    successor.pull();
    let _ = change(&office, &visit, "cancel").expect(200);
    assert_eq!(pull(&text(&taken, "/cursor"))["visits"], json!([]));
    assert_eq!(pull(&text(&mine, "/cursor"))["visits"], taken["visits"]);
}

#[test]
fn a_visit_that_comes_back_to_its_first_inspector_is_told_in_full() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    let _ = change(&office, &visit, "reassign").expect(200);
    assert_eq!(tablet.line(&["pull"])["withdrawn"], 1);
    let back = json!({ "inspector": office.iris.id, "reason": "She is well again." });
    let _ = office.manager().post(&format!("/api/v1/visits/{visit}/reassign"), &back).expect(200);
    let _ = change(&office, &visit, "reschedule").expect(200);
    assert_eq!(tablet.line(&["pull"]), json!({ "visits": 1, "withdrawn": 0 }));
    let held = tablet.line(&["visits"]);
    assert_eq!(
        (&held["withdrawn"], &held["window_start_at"]),
        (&json!(false), &json!("2026-12-01T07:30:00Z"))
    );
    let _ = change(&office, &visit, "reassign").expect(200);
    assert_eq!(tablet.line(&["pull"])["withdrawn"], 1, "and taken away again");
}
