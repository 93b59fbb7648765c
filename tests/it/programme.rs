//! The metrics of the programme, from visits that were planned, made and judged.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use endcheck_protocol::checklist::VisitOutcome;
use endcheck_protocol::record::{Act, Denial, DeniedBy, VerificationMethod};
use serde_json::{Value, json};

use crate::hand::{HandDevice, task};
use crate::office::{Office, PASSWORD, text};

/// A visit of Iris's for a check with that trigger; for `risk` and `random` as if that draw had opened it.
fn visit(office: &Office, trigger: &str, draw: &str) -> String {
    let now = office.server.clock().now();
    let check = json!({ "shipment": office.shipment("SH-2026-0101"), "kind": "post_shipment",
        "trigger": "tip", "reason": "Chosen.", "due_at": now.plus(TimeDelta::days(2)) });
    let check = text(&office.manager().post("/api/v1/checks", &check).expect_json(201), "/id");
    let mut conn = office.server.app().connection().unwrap();
    if trigger != "tip" {
        let some = "(select assessment_hash from current_assessments where band <> 'mandatory' limit 1)";
        conn.batch_execute(&format!(
            "update checks set cause = '{trigger}', selection_id = '{draw}', assessment_hash = {some} where id = '{check}'"
        ))
        .unwrap();
    }
    drop(conn);
    let visit = json!({ "check": check, "inspector": office.iris.id,
        "window_start": format!("{}T00:00", now.day()), "window_end": format!("{}T23:59", now.day()) });
    text(&office.manager().post("/api/v1/visits", &visit).expect_json(201), "/id")
}

fn metric<'a>(metrics: &'a Value, id: &str) -> &'a Value {
    let all = metrics["metrics"].as_array().unwrap();
    all.iter().find(|metric| metric["id"] == id).unwrap_or_else(|| panic!("no metric {id}"))
}

fn shares(metric: &Value) -> Vec<(String, i64, i64)> {
    let rows = metric["figures"]["rows"].as_array().unwrap();
    let number = |row: &Value, name: &str| row[name].as_i64().unwrap();
    rows.iter().map(|row| (text(row, "/group"), number(row, "hits"), number(row, "n"))).collect()
}

#[test]
fn each_metric_counts_what_is_on_record() {
    // No routine checks beside those of the test.
    let mut office = Office::open_with(|config| config.routine_days = 0);
    office.import_programme();
    office.server.damaged();
    crate::selection::put_into_force(&office, &crate::selection::default_policy());
    let draw = text(&crate::selection::drawn(&office, 1), "/id");
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let close = |outcome, missing: &[&str]| Act::VisitClose {
        outcome,
        missing: missing.iter().map(|text| (*text).to_owned()).collect(),
        note: None,
        contents: None,
    };
    let visits: Vec<String> =
        ["risk", "risk", "random", "tip"].iter().map(|trigger| visit(&office, trigger, &draw)).collect();
    device.pull();
    office.server.clock().advance(TimeDelta::days(1));
    for (visit, method) in visits.iter().zip([
        VerificationMethod::InPerson,
        VerificationMethod::Virtual,
        VerificationMethod::InPerson,
        VerificationMethod::InPerson,
    ]) {
        let opened = device.add(task(visit), Act::VisitOpen { method });
        device.accepted(&[&opened]);
    }
    let now = office.server.clock().now();
    let denied = device.add(
        task(&visits[1]),
        Act::Denied(Denial {
            by: DeniedBy::HostGovernment,
            who: "An official".to_owned(),
            at: now,
            words: "Not today.".to_owned(),
            scope: "the site".to_owned(),
        }),
    );
    device.accepted(&[&denied]);
    let closes = [
        close(VisitOutcome::Completed, &[]),
        close(VisitOutcome::AccessDeniedState, &[]),
        close(VisitOutcome::Completed, &["the access list"]),
    ];
    for (number, (visit, close)) in visits.iter().zip(closes).enumerate() {
        // The third comes when its check is overdue.
        if number == 2 {
            office.server.clock().advance(TimeDelta::days(3));
        }
        let closed = device.add(task(visit), close);
        device.accepted(&[&closed]);
    }
    let judged = [
        (&visits[0], json!({ "outcome": "unfavourable", "reasons": ["discrepancy"], "reason": "Seen." })),
        (&visits[1], json!({ "outcome": "unverified", "reason": "Nobody got in." })),
        (&visits[2], json!({ "outcome": "unverified", "reason": "Papers are missing." })),
    ];
    for (visit, judgement) in judged {
        let _ = office.determine(visit, &judgement).expect(201);
    }
    // A change that nobody approved does not count.
    let first = text(&office.dossier(&visits[0]), "/determinations/0/id");
    let change = json!({ "outcome": "unverified", "reason": "Perhaps not.", "replaces": first });
    let _ = office.determine(&visits[0], &change).expect(201);

    let found = office.investigator().get("/api/v1/programme/metrics").expect_json(200);
    assert_eq!(shares(metric(&found, "on-time")), [("checks due".to_owned(), 2, 4)]);
    assert_eq!(shares(metric(&found, "complete-at-first")), [("visits closed".to_owned(), 1, 3)]);
    assert_eq!(
        shares(metric(&found, "favourable-by-method")),
        [("in-person".to_owned(), 0, 2), ("virtual".to_owned(), 0, 1)]
    );
    let hits = metric(&found, "hit-rate");
    assert_eq!(shares(hits), [("chosen by risk".to_owned(), 1, 2), ("chosen by chance".to_owned(), 0, 1)]);
    let difference = &hits["figures"]["difference"];
    assert_eq!(difference["difference"], 0.5);
    assert!(difference["low"].as_f64() < Some(0.0) && difference["high"].as_f64() > Some(0.5));
    let caveats = hits["caveats"].to_string();
    assert!(caveats.contains("Fewer than 5") && caveats.contains("holds zero"), "{caveats}");
    assert!(caveats.contains("not determined yet") && hits["version"] == 2, "{caveats}");
    let denials = &metric(&found, "denials-by-actor")["figures"]["rows"];
    assert_eq!(denials, &json!([{ "group": "host-government", "count": 1 }]));
    let spans = &metric(&found, "request-visit-close")["figures"]["rows"];
    let days = |row: usize, name: &str| spans[row][name].as_f64().unwrap().round();
    assert_eq!((&spans[0]["n"], days(0, "median_days")), (&json!(3), 1.0));
    assert_eq!((days(1, "median_days"), days(1, "p90_days")), (0.0, 3.0));
    for one in found["metrics"].as_array().unwrap() {
        assert!(one["version"].as_i64() >= Some(1));
        assert!(!text(one, "/definition").is_empty() && !text(one, "/formula").is_empty());
    }

    // Another period holds none of it, and one that is none is refused.
    let before =
        office.manager().get("/api/v1/programme/metrics?from=2020-01-01&to=2020-12-31").expect_json(200);
    assert_eq!(metric(&before, "on-time")["n"], 0);
    assert_eq!(metric(&before, "hit-rate")["figures"]["rows"][0]["share"], Value::Null);
    let refused = office.manager().get("/api/v1/programme/metrics?from=2026-02-30");
    refused.expect_problem(422, "invalid-fields");
    let inspector = office.as_person(&office.iris).get("/api/v1/programme/metrics");
    inspector.expect_problem(403, "not-permitted");
    the_page_shows_them(&office);
}

/// Cancelling a visit does not take its check out of what was to be done in time; dropping the check does.
#[test]
fn a_check_whose_visits_were_cancelled_was_due_and_one_that_was_dropped_was_not() {
    let office = Office::with_programme();
    crate::selection::put_into_force(&office, &crate::selection::default_policy());
    let cancelled = visit(&office, "tip", "");
    let selection = crate::selection::drawn(&office, 2);
    office.server.clock().advance(TimeDelta::days(400));
    let due = || {
        let found = office.investigator().get("/api/v1/programme/metrics?from=2020-01-01").expect_json(200);
        let on_time = metric(&found, "on-time");
        assert_eq!(on_time["version"], 2);
        shares(on_time)[0].2
    };
    let before = due();
    let path = format!("/api/v1/visits/{cancelled}/cancel");
    assert_eq!(office.manager().post(&path, &json!({ "reason": "No time." })).status, 200);
    assert_eq!(due(), before, "what was not done was due all the same");
    let dropped = office.shipment(&text(&selection, "/drawn/chosen/0/chosen/shipment"));
    let drop = json!({ "shipment": dropped, "act": "drop", "reason": "It burnt down." });
    let path = format!("/api/v1/selections/{}/overrides", text(&selection, "/id"));
    assert_eq!(office.manager().post(&path, &drop).status, 200);
    assert_eq!(due(), before - 1);
}

fn the_page_shows_them(office: &Office) {
    let login: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("login", "vera"), ("password", PASSWORD), ("next", "/programme")])
        .finish();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let signed_in = office.server.send("POST", "/login", &[form], Some(login.as_bytes())).expect(303);
    let cookie = signed_in.header("set-cookie").split_once(';').unwrap().0.to_owned();
    let page = office.server.send("GET", "/programme", &[("Cookie", &cookie)], None).expect(200).text();
    assert!(page.contains("<svg role=\"img\"") && page.contains("<desc id=\"hit-rate-desc\">"), "{page}");
    assert!(page.contains("What risk finds") && !page.contains("style=") && !page.contains("<script"));
}
