//! What a plan leaves alone, and what keeps one from being made or accepted.

use std::sync::Barrier;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use serde_json::{Value, json};

use crate::office::{Office, text};
use crate::planning::{
    HEAD, accept, checks, day, fields, inspector, load, office, plan, refused, request, stops, visits,
};
use crate::selection::{default_policy, drawn, put_into_force};

/// The visits that a plan moves.
fn moved(plan: &Value) -> Vec<String> {
    plan["review"]["moves"].as_array().unwrap().iter().map(|one| text(one, "/visit")).collect()
}

/// Puts a visit of that inspector on the calendar, by the clock at the site.
fn schedule(office: &Office, shipment: &str, inspector: &str, from: &str, to: &str) -> String {
    let visit = json!({ "check": office.check(shipment), "inspector": inspector, "window_start": from,
        "window_end": to });
    text(&office.manager().post("/api/v1/visits", &visit).expect_json(201), "/id")
}

#[test]
fn a_visit_belongs_to_the_day_that_the_clock_at_its_site_shows() {
    let office = office(&format!("{HEAD}{}", inspector("tomas", "SG", "")));
    let (first, second) = (day(&office, 2), day(&office, 3));
    // In Singapore it is the first day already, in Greenwich still the day before; nobody works at that hour.
    let visit = schedule(
        &office,
        "SH-2026-0121",
        &office.tomas.id,
        &format!("{first}T00:30"),
        &format!("{first}T01:30"),
    );
    let from = |day: chrono::NaiveDate| {
        let mut asked = request(&office);
        asked["first_day"] = json!(day);
        plan(&office.manager(), &asked)
    };
    let found = from(first);
    assert_eq!(moved(&found), [visit], "{:#}", found["review"]);
    // Of the period from the next day on it is none.
    assert!(moved(&from(second)).is_empty());

    // To move it within that day costs less than to put it on the day before, though that is its day in Greenwich.
    let to = text(&from(day(&office, 1)), "/review/moves/0/to/starts_at");
    let local = chrono::DateTime::parse_from_rfc3339(&to).unwrap().with_timezone(&chrono_tz::Asia::Singapore);
    assert_eq!(local.date_naive(), first, "{to}");
}

#[test]
fn what_is_locked_stays_on_the_calendar_though_nobody_can_make_it() {
    let office = office(&format!("{HEAD}{}{}", inspector("iris", "DE", ""), inspector("tomas", "DE", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101", "SH-2026-0102"]);
    let first = plan(&manager, &request(&office));
    assert_eq!(accept(&manager, &first).status, 200);
    let before = visits(&manager);
    let mut asked = request(&office);
    asked["locked"] = json!([before[0]["id"]]);
    asked["away"] = json!(
        ["iris", "tomas"]
            .map(|login| { json!({ "inspector": login, "from": day(&office, 0), "to": day(&office, 10) }) })
    );
    let replanned = plan(&manager, &asked);
    assert_eq!(accept(&manager, &replanned).status, 200);
    for (before, after) in before.iter().zip(&visits(&manager)) {
        let same =
            ["id", "inspector", "window_start_at", "window_end_at"].map(|key| before[key] == after[key]);
        let locked = before["id"] == asked["locked"][0];
        assert_eq!(same.iter().all(|same| *same), locked, "{before:#}\n{after:#}");
    }
}

#[test]
fn whoever_keeps_a_locked_visit_against_the_rules_is_sent_nowhere_else() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let manager = office.manager();
    let that_day = day(&office, 2);
    // The site closes at six.
    let (from, to) = (format!("{that_day}T17:30"), format!("{that_day}T18:30"));
    let visit = schedule(&office, "SH-2026-0101", &office.iris.id, &from, &to);
    checks(&office, &["SH-2026-0102"]);
    let before = visits(&manager);
    let mut asked = request(&office);
    asked["first_day"] = json!(that_day);
    asked["days"] = json!(1);
    asked["locked"] = json!([visit]);
    let found = plan(&manager, &asked);
    assert!(stops(&found).is_empty(), "{:#}", found["review"]);
    assert!(text(&found, "/review/moves/0/why").contains("It is locked and stays"), "{:#}", found["review"]);
    assert_eq!(accept(&manager, &found).status, 200);
    assert_eq!(visits(&manager), before);
}

#[test]
fn a_plan_that_waited_too_long_for_its_host_or_past_a_newer_roster_is_not_accepted() {
    let head = HEAD.replace("duration_min = 60", "duration_min = 60\nnotice_days = 2");
    let roster = format!("{head}{}", inspector("iris", "DE", ""));
    let office = office(&roster);
    checks(&office, &["SH-2026-0101"]);
    let found = plan(&office.manager(), &request(&office));
    let starts_at = text(&found, "/review/days/0/stops/0/starts_at");
    let starts_at: endcheck_protocol::time::Timestamp = starts_at.parse().unwrap();
    // 23 hours before, of the two days a host must have.
    let clock = office.server.clock();
    clock.advance(starts_at.since(clock.now()) - TimeDelta::hours(23));
    let told = refused(&accept(&office.manager(), &found), 412, "plan-stale");
    assert!(text(&told, "/detail").contains("SH-2026-0101"), "{told:#}");

    let found = plan(&office.manager(), &request(&office));
    assert_eq!(load(&office, &roster.replace("Two posts", "Newer")).status, 201);
    let told = refused(&accept(&office.manager(), &found), 412, "plan-stale");
    assert!(text(&told, "/detail").contains("the roster"), "{told:#}");
    assert!(visits(&office.manager()).is_empty());
}

#[test]
fn a_visit_that_has_begun_is_left_as_it_is() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let visit = office.schedule("SH-2026-0101", Some(&office.iris));
    let mut asked = request(&office);
    asked["first_day"] = json!(day(&office, 0).pred_opt().unwrap());
    let found = plan(&office.manager(), &asked);
    assert_eq!(text(&found, "/review/apart/0/visit"), visit);
    assert!(text(&found, "/review/apart/0/reason").contains("has begun"), "{:#}", found["review"]);
    assert!(stops(&found).is_empty());
}

#[test]
fn of_two_who_ask_at_once_one_is_told_to_wait() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    checks(&office, &["SH-2026-0101"]);
    let mut asked = request(&office);
    asked["iterations"] = json!(50_000_000);
    let together = Barrier::new(4);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let manager = office.manager();
                    together.wait();
                    manager.post("/api/v1/plans", &asked).status
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let of = |status: u16| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((of(201), of(409)), (1, 3), "{statuses:?}");
    let plans = office.manager().get("/api/v1/plans").expect_json(200);
    let path = format!("/api/v1/plans/{}/stop", text(&plans, "/0/id"));
    assert_eq!(office.manager().post(&path, &json!({})).status, 200);
}

#[test]
fn a_plan_for_a_check_that_was_dropped_meanwhile_names_it() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    put_into_force(&office, &default_policy());
    let selection = drawn(&office, 2);
    let manager = office.manager();
    let found = plan(&manager, &request(&office));
    let held = manager.get("/api/v1/checks?limit=100").expect_json(200);
    let drop = json!({ "shipment": held["items"][0]["shipment"], "act": "drop", "reason": "Not now." });
    let path = format!("/api/v1/selections/{}/overrides", text(&selection, "/id"));
    assert_eq!(manager.post(&path, &drop).status, 200);
    let told = refused(&accept(&manager, &found), 412, "plan-stale");
    let shipment = manager.get(&format!("/api/v1/shipments/{}", text(&held, "/items/0/shipment")));
    let key = text(&shipment.expect_json(200), "/key");
    assert!(text(&told, "/detail").contains(&key), "{key}: {told:#}");
    assert!(visits(&manager).is_empty());
}

#[test]
fn a_hundred_thousand_checks_are_refused_with_advice_and_one_country_of_them_is_planned() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    checks(&office, &["SH-2026-0101", "SH-2026-0121"]);
    let sql = "insert into checks (id, shipment_id, kind, cause, reason, due_at, opened_by, opened_at) \
        select id || '-' || number, shipment_id, kind, cause, reason, due_at, opened_by, opened_at from checks, numbers";
    let numbers = "with recursive numbers (number) as \
        (select 1 union all select number + 1 from numbers where number < 99999)";
    let of = |key: &str| format!("{numbers} {sql} where shipment_id = '{}'", office.shipment(key));
    office.server.app().connection().unwrap().batch_execute(&of("SH-2026-0121")).unwrap();
    let manager = office.manager();
    let mut asked = request(&office);
    asked["iterations"] = json!(10);
    let told = refused(&manager.post("/api/v1/plans", &asked), 422, "cannot-be-planned");
    assert!(text(&told, "/detail").contains("plan by country"), "{told:#}");
    asked["country"] = json!("DE");
    assert_eq!(stops(&plan(&manager, &asked)), [("iris".to_owned(), "SH-2026-0101".to_owned())]);
}

#[test]
fn hours_that_are_split_are_refused_for_inspectors() {
    let office = Office::with_programme();
    let split = inspector("iris", "DE", "").replace("\"07:00-19:00\"", "\"07:00-11:00\", \"13:00-19:00\"");
    let told = refused(&load(&office, &format!("{HEAD}{split}")), 422, "invalid-fields");
    assert_eq!(fields(&told), ["inspectors[0].hours"]);
    assert!(text(&told, "/errors/0/reason").contains("breaks are planned"), "{told:#}");
}

#[test]
fn work_at_a_time_that_is_over_is_planned_anew() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let visit = office.schedule("SH-2026-0101", Some(&office.iris));
    office.server.clock().advance(TimeDelta::days(3));
    let found = plan(&office.manager(), &request(&office));
    assert_eq!(stops(&found).len(), 1, "{:#}", found["review"]);
    assert_eq!(accept(&office.manager(), &found).status, 200);
    let after = visits(&office.manager()).remove(0);
    assert_eq!(after["id"], json!(visit));
    assert!(text(&after, "/window_start_at") > office.server.clock().now().to_string(), "{after:#}");
}
