//! Plans of visits: asked for, reviewed, accepted whole or not at all, and made again.

use chrono::{Days, NaiveDate, TimeDelta};
use endcheck_tests::{Answer, Http};
use serde_json::{Value, json};

use crate::office::{Browser, Office, text, until};
use crate::tablet::Tablet;

/// The yard in Germany and the laboratory in Singapore; open every day, so that any day of the year will do.
pub const HEAD: &str =
    "title = \"Two posts\"\n[defaults]\nduration_min = 60\nhours = { mon-sun = [\"08:00-18:00\"] }\n";

pub fn inspector(login: &str, base: &str, more: &str) -> String {
    let (zone, country, latitude, longitude) = match base {
        "DE" => ("Europe/Berlin", "DE", 51.514, 7.466),
        _ => ("Asia/Singapore", "SG", 1.29, 103.852),
    };
    format!(
        "[[inspectors]]\nlogin = \"{login}\"\ncountry = \"{country}\"\ntime_zone = \"{zone}\"\n\
         base = {{ name = \"{base} post\", latitude = {latitude}, longitude = {longitude} }}\n\
         hours = {{ mon-sun = [\"07:00-19:00\"] }}\ncompetences = [{{ entry = \"2\" }}, {{ entry = \"3\" }}, \
         {{ entry = \"5\" }}, {{ entry = \"6\" }}]\n{more}\n"
    )
}

/// An office with a roster and nothing on the calendar.
pub fn office(roster: &str) -> Office {
    let office = Office::with_programme();
    assert_eq!(load(&office, roster).status, 201);
    office
}

pub fn load(office: &Office, roster: &str) -> Answer {
    office.manager().send("POST", "/api/v1/rosters", &[], Some(roster.as_bytes()))
}

/// A refusal, as it is told.
pub fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    answer.expect_problem(status, code);
    answer.json()
}

pub fn fields(refused: &Value) -> Vec<String> {
    refused["errors"].as_array().unwrap().iter().map(|error| text(error, "/field")).collect()
}

/// A day from today on.
pub fn day(office: &Office, days: u64) -> NaiveDate {
    office.server.clock().now().day().checked_add_days(Days::new(days)).unwrap()
}

/// A request for a plan of five days from tomorrow.
pub fn request(office: &Office) -> Value {
    json!({ "first_day": day(office, 1), "days": 5, "note": "Next week", "iterations": 2000, "seeds": 2 })
}

/// Asks for a plan and waits until it is found.
pub fn plan(manager: &Http, request: &Value) -> Value {
    let asked = manager.post("/api/v1/plans", request).expect_json(201);
    let path = format!("/api/v1/plans/{}", text(&asked, "/id"));
    until("the plan", || manager.get(&path).expect_json(200)["stage"] != "searching");
    let found = manager.get(&path).expect_json(200);
    assert_eq!(found["stage"], "proposed", "{found:#}");
    assert_eq!(found["review"]["checked"], true, "the checker passes it");
    found
}

pub fn accept(manager: &Http, plan: &Value) -> Answer {
    manager.post(&format!("/api/v1/plans/{}/accept", text(plan, "/id")), &json!({ "reason": "Looks right." }))
}

/// Checks of these shipments, due in a week.
pub fn checks(office: &Office, shipments: &[&str]) -> Vec<String> {
    shipments.iter().map(|key| office.check(key)).collect()
}

pub fn visits(manager: &Http) -> Vec<Value> {
    manager.get("/api/v1/visits?all=true&limit=500").expect_json(200)["items"].as_array().unwrap().clone()
}

pub fn stops(plan: &Value) -> Vec<(String, String)> {
    let days = plan["review"]["days"].as_array().unwrap();
    let stops = days.iter().flat_map(|day| {
        let stops = day["stops"].as_array().unwrap();
        stops.iter().map(|stop| (text(day, "/login"), text(stop, "/shipment_key")))
    });
    let mut stops: Vec<(String, String)> = stops.collect();
    stops.sort();
    stops
}

#[test]
fn a_plan_is_proposed_reviewed_accepted_and_pulled() {
    let office = office(&format!("{HEAD}{}{}", inspector("iris", "DE", ""), inspector("tomas", "SG", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101", "SH-2026-0102", "SH-2026-0121"]);
    let found = plan(&manager, &request(&office));
    let expected = [("iris", "SH-2026-0101"), ("iris", "SH-2026-0102"), ("tomas", "SH-2026-0121")];
    assert_eq!(stops(&found), expected.map(|(who, what)| (who.to_owned(), what.to_owned())));
    assert!(visits(&manager).is_empty(), "nothing is on the calendar before somebody accepts");

    let accepted = accept(&manager, &found).expect_json(200);
    assert_eq!(
        (&accepted["stage"], &accepted["decision"]["reason"]),
        (&"accepted".into(), &"Looks right.".into())
    );
    let on_calendar = visits(&manager);
    assert_eq!(on_calendar.len(), 3);
    for visit in &on_calendar {
        assert_eq!(visit["state"], "planned");
        let stop = found["review"]["days"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|day| day["stops"].as_array().unwrap());
        let mut stop = stop.filter(|stop| stop["check"] == visit["check"]);
        let stop = stop.next().unwrap();
        assert_eq!(
            (&visit["window_start_at"], &visit["window_end_at"]),
            (&stop["starts_at"], &stop["ends_at"]),
            "{visit:#}"
        );
    }
    let tablet =
        Tablet::enrol(office.server.base_url(), &office.code(&office.iris), office.server.clock().clone());
    assert_eq!(tablet.line(&["pull"])["visits"], 2, "the inspector's device takes along what is theirs");
    accept(&manager, &found).expect_problem(409, "plan-decided");
    // With a key, a repetition is answered as the first time.
    let keyed = manager.with_header("Idempotency-Key", "the-second");
    let asked = request(&office);
    let first = text(&keyed.post("/api/v1/plans", &asked).expect_json(201), "/id");
    assert_eq!(text(&keyed.post("/api/v1/plans", &asked).expect_json(201), "/id"), first);
    until("the plan", || {
        manager.get(&format!("/api/v1/plans/{first}")).expect_json(200)["stage"] == "proposed"
    });
    let path = format!("/api/v1/plans/{first}/dismiss");
    let keyed = manager.with_header("Idempotency-Key", "put-aside");
    let put_aside = [(); 2].map(|()| keyed.post(&path, &json!({ "reason": "As before." })).expect_json(200));
    assert_eq!(put_aside[0], put_aside[1]);
    // What is planned is made again as it is: another plan moves nothing.
    let again = plan(&manager, &request(&office));
    assert_eq!(again["review"]["moves"], json!([]), "{:#}", again["review"]);
    assert_eq!(stops(&again), stops(&found));
}

#[test]
fn a_plan_is_accepted_whole_or_not_at_all() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let manager = office.manager();
    let visit = office.schedule("SH-2026-0101", None);
    checks(&office, &["SH-2026-0102"]);
    let found = plan(&manager, &request(&office));
    assert_eq!(stops(&found).len(), 2);
    let reassign = json!({ "inspector": office.tomas.id, "reason": "Iris knows them." });
    assert_eq!(manager.post(&format!("/api/v1/visits/{visit}/reassign"), &reassign).status, 200);
    let before = visits(&manager);
    let told = refused(&accept(&manager, &found), 412, "plan-stale");
    assert!(text(&told, "/detail").contains("SH-2026-0101"), "{told:#}");
    assert_eq!(visits(&manager), before, "nothing was put on the calendar");
    let path = format!("/api/v1/plans/{}", text(&found, "/id"));
    assert_eq!(manager.get(&path).expect_json(200)["stage"], "proposed", "nothing was decided either");

    // A check that got a visit meanwhile makes a plan stale, too.
    let found = plan(&manager, &request(&office));
    office.schedule_check(&found, "SH-2026-0102");
    accept(&manager, &found).expect_problem(412, "plan-stale");
    let dismissed = manager
        .post(&format!("/api/v1/plans/{}/dismiss", text(&found, "/id")), &json!({ "reason": "Late." }));
    assert_eq!(dismissed.expect_json(200)["stage"], "dismissed");
    accept(&manager, &found).expect_problem(409, "plan-decided");
}

#[test]
fn whoever_falls_ill_is_replaced_and_nothing_else_moves() {
    let office = office(&format!("{HEAD}{}{}", inspector("iris", "DE", ""), inspector("tomas", "DE", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101", "SH-2026-0102"]);
    let found = plan(&manager, &request(&office));
    assert_eq!(accept(&manager, &found).status, 200);
    for visit in visits(&manager) {
        let id = text(&visit, "/id");
        assert_eq!(manager.post(&format!("/api/v1/visits/{id}/announce"), &json!({})).status, 200);
    }
    let who = stops(&found).remove(0).0;
    let ill = json!({ "inspector": who, "from": day(&office, 0), "to": day(&office, 10) });
    let mut asked = request(&office);
    asked["away"] = json!([ill]);
    let replanned = plan(&manager, &asked);
    assert_eq!(
        replanned["review"]["events"][0],
        format!("{who} is away from {} to {}", day(&office, 0), day(&office, 10))
    );
    let theirs = stops(&found).iter().filter(|(login, _)| *login == who).count();
    let moves = replanned["review"]["moves"].as_array().unwrap();
    assert_eq!(moves.len(), theirs, "{moves:#?}");
    for one in moves {
        assert_eq!((&one["announced"], &one["forced"]), (&true.into(), &true.into()), "{one:#}");
        assert!(text(one, "/why").contains("cannot be sent on that day"), "{one:#}");
        assert_eq!(one["to"]["starts_at"], one["from"]["starts_at"], "the host's time is kept: {one:#}");
    }
    assert!(stops(&replanned).iter().all(|(login, _)| *login != who));
    assert_eq!(accept(&manager, &replanned).status, 200);
    let named: Vec<String> = visits(&manager).iter().map(|visit| text(visit, "/inspector_name")).collect();
    let well = if who == "iris" { &office.tomas.name } else { &office.iris.name };
    assert!(named.iter().all(|name| name == well), "{named:?}");
}

#[test]
fn nobody_is_sent_to_two_places_and_what_is_not_ours_to_move_is_left_alone() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101"]);
    let first = plan(&manager, &request(&office));
    // Another country's plan knows of the visits that it does not hold.
    let in_germany = |days: i64| {
        let mut asked = request(&office);
        (asked["country"], asked["days"]) = (json!("SG"), json!(days));
        asked
    };
    assert_eq!(accept(&manager, &first).status, 200);
    let visit = visits(&manager).remove(0);
    let taken = text(&visit, "/window_start_at")[..10].to_owned();
    checks(&office, &["SH-2026-0121"]);
    let elsewhere = plan(&manager, &in_germany(5));
    let path = format!("/api/v1/plans/{}/reasons/0", text(&elsewhere, "/id"));
    let reasons = manager.get(&path).expect_json(200);
    assert!(
        reasons.as_array().unwrap().iter().all(|reason| reason["date"] != taken),
        "{taken} is taken: {reasons:#}"
    );
    assert_eq!(reasons.as_array().unwrap().len(), 4);

    // Somebody who is not on the roster keeps what they have, and a lock or a country that is none is refused.
    let reassign = json!({ "inspector": office.tomas.id, "reason": "Tomás knows them." });
    let path = format!("/api/v1/visits/{}/reassign", text(&visit, "/id"));
    assert_eq!(manager.post(&path, &reassign).status, 200);
    let again = plan(&manager, &request(&office));
    assert!(stops(&again).is_empty(), "{:#}", again["review"]);
    assert!(text(&again["review"], "/apart/0/reason").contains("not on the roster"));
    for (field, value) in
        [("locked", json!([visit["id"]])), ("urgent", json!([visit["id"]])), ("country", json!("fr"))]
    {
        let mut asked = request(&office);
        asked[field] = value;
        let told = refused(&manager.post("/api/v1/plans", &asked), 422, "invalid-fields");
        assert_eq!(fields(&told), [field]);
    }
}

#[test]
fn a_time_that_is_taken_or_over_meanwhile_keeps_the_plan_away() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101"]);
    let found = plan(&manager, &request(&office));
    let stop = &found["review"]["days"][0]["stops"][0];
    let at = |pointer: &str| text(stop, pointer)[..16].to_owned();
    // The manager sends the same person somewhere else then, by hand.
    let other = office.check("SH-2026-0126");
    let local = |time: String| {
        let utc = chrono::NaiveDateTime::parse_from_str(&time, "%Y-%m-%dT%H:%M").unwrap().and_utc();
        utc.with_timezone(&chrono_tz::Europe::Belgrade).format("%Y-%m-%dT%H:%M").to_string()
    };
    let visit = json!({ "check": other, "inspector": office.iris.id, "window_start": local(at("/starts_at")),
        "window_end": local(at("/ends_at")) });
    let visit = manager.post("/api/v1/visits", &visit).expect_json(201);
    let told = refused(&accept(&manager, &found), 412, "plan-stale");
    assert!(text(&told, "/detail").contains("SH-2026-0101"), "{told:#}");
    let cancel = |visit: &Value| {
        let path = format!("/api/v1/visits/{}/cancel", text(visit, "/id"));
        assert_eq!(manager.post(&path, &json!({ "reason": "By mistake." })).status, 200);
    };
    cancel(&visit);
    // At another hour of that day nobody knows whether both can be reached.
    let day = &at("/starts_at")[..10];
    let visit = json!({ "check": office.check("SH-2026-0127"), "inspector": office.iris.id,
        "window_start": format!("{day}T18:40"), "window_end": format!("{day}T19:40") });
    let visit = manager.post("/api/v1/visits", &visit).expect_json(201);
    let told = refused(&accept(&manager, &found), 412, "plan-stale");
    assert!(text(&told, "/detail").contains("SH-2026-0101"), "{told:#}");
    cancel(&visit);
    office.server.clock().advance(TimeDelta::days(6));
    accept(&office.manager(), &found).expect_problem(412, "plan-stale");
}

#[test]
fn two_go_together_both_take_it_along_and_neither_judges_it() {
    let both = format!("{}{}", inspector("iris", "DE", ""), inspector("tomas", "DE", ""));
    let office = office(&format!("{HEAD}[sites.S-0001]\npeople = 2\n{both}"));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101"]);
    let found = plan(&manager, &request(&office));
    let pair = stops(&found);
    assert_eq!(pair.iter().map(|stop| stop.0.as_str()).collect::<Vec<_>>(), ["iris", "tomas"]);
    assert_eq!(accept(&manager, &found).status, 200);
    let visit = visits(&manager).remove(0);
    let sent = [&visit["inspector"], &visit["second"]].map(|one| one.as_str().unwrap().to_owned());
    assert!(sent.contains(&office.iris.id) && sent.contains(&office.tomas.id), "{visit:#}");
    let clock = office.server.clock();
    for person in [&office.iris, &office.tomas] {
        let tablet = Tablet::enrol(office.server.base_url(), &office.code(person), clock.clone());
        assert_eq!(tablet.line(&["pull"])["visits"], 1, "{}", person.name);
        tablet.done(&["open", &text(&visit, "/id")]);
        tablet.done(&["note", "Seen from the gate."]);
        tablet.done(&["sync"]);
    }
    let dossier = office.dossier(&text(&visit, "/id"));
    assert_eq!(dossier["notes"].as_array().unwrap().len(), 2);
    assert!(!office.signals(&text(&visit, "/id")).contains(&"not-assigned".to_owned()), "both were sent");
}

#[test]
fn what_is_left_out_says_why_and_the_named_change_lets_it_in() {
    let until = |office: &Office| day(office, 0).pred_opt().unwrap().to_string();
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "conflicts = [\"P-0018\"]")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0121", "SH-2026-0101"]);
    let found = plan(&manager, &request(&office));
    let left_out = found["review"]["left_out"].as_array().unwrap();
    let of = |key: &str| {
        left_out.iter().find(|one| one["shipment_key"] == key).unwrap_or_else(|| panic!("{left_out:#?}"))
    };
    let far = of("SH-2026-0121");
    assert_eq!(far["counts"][0], json!(["out of reach", 5]));
    assert!(text(far, "/easiest/0").contains("nights near the site"), "{far:#}");
    let path = format!("/api/v1/plans/{}/reasons/{}", text(&found, "/id"), far["task"]);
    let reasons = manager.get(&path).expect_json(200);
    assert_eq!(reasons.as_array().unwrap().len(), 5, "one for each day: {reasons:#}");
    assert!(text(&reasons, "/0/obstacles/0").contains("out of reach"));

    // With the nights that were named, it is in.
    let nights: Vec<String> = (0..7)
        .map(|days| {
            format!(
                "{{ date = \"{}\", name = \"Hotel\", latitude = 1.3, longitude = 103.85 }}",
                day(&office, days)
            )
        })
        .collect();
    let nights = format!("nights = [{}]", nights.join(", "));
    assert_eq!(load(&office, &format!("{HEAD}{}", inspector("iris", "DE", &nights))).status, 201);
    let found = plan(&manager, &request(&office));
    assert!(stops(&found).contains(&("iris".to_owned(), "SH-2026-0121".to_owned())), "{:#}", found["review"]);

    // A competence that is over, and what renews it.
    let over = inspector("iris", "DE", "")
        .replace("competences = [", &format!("# ends {}\ncompetences = [", until(&office)));
    let over = over.replace("\"6\" }", &format!("\"6\", until = \"{}\" }}", until(&office)));
    let over = over.replace("\"2\" }", &format!("\"2\", until = \"{}\" }}", until(&office)));
    let over = over.replace("\"3\" }", &format!("\"3\", until = \"{}\" }}", until(&office)));
    let over = over.replace("\"5\" }", &format!("\"5\", until = \"{}\" }}", until(&office)));
    assert_eq!(load(&office, &format!("{HEAD}{over}")).status, 201);
    let found = plan(&manager, &request(&office));
    let left_out = found["review"]["left_out"].as_array().unwrap();
    let near = left_out.iter().find(|one| one["shipment_key"] == "SH-2026-0101").unwrap();
    assert_eq!(near["counts"][0], json!(["competence over", 5]));
    assert!(text(near, "/easiest/0").contains("renewed"), "{near:#}");
    let path = format!("/api/v1/plans/{}/reasons/{}", text(&found, "/id"), near["task"]);
    let reasons = manager.get(&path).expect_json(200);
    assert!(text(&reasons, "/0/obstacles/0").contains(&format!("ends on {}", until(&office))), "{reasons:#}");
}

#[test]
fn what_cannot_be_planned_with_is_refused_by_name() {
    let office = Office::with_programme();
    let manager = office.manager();
    manager.post("/api/v1/plans", &request(&office)).expect_problem(409, "no-roster");
    let nobody = inspector("nobody", "DE", "conflicts = [\"P-9999\"]");
    let told = refused(&load(&office, &format!("{HEAD}[sites.S-9999]\n{nobody}")), 422, "invalid-fields");
    assert_eq!(fields(&told), ["inspectors[0].login", "inspectors[0].conflicts", "sites.S-9999"]);
    assert_eq!(load(&office, &format!("{HEAD}{}", inspector("iris", "DE", ""))).status, 201);
    let same = load(&office, &format!("{HEAD}{}", inspector("iris", "DE", "")));
    same.expect_problem(409, "roster-held");
    let cases = [
        ("first_day", json!("2026-02-30")),
        ("days", json!(0)),
        ("days", json!(61)),
        ("seeds", json!(0)),
        ("seconds", json!(601)),
        ("iterations", json!(0)),
        ("note", json!("")),
        ("away", json!([{ "inspector": "omar", "from": "2026-12-01", "to": "2026-12-02" }])),
        ("away", json!([{ "inspector": "iris", "from": "2026-12-02", "to": "2026-12-01" }])),
        ("closed", json!([{ "country": "Germany", "from": "2026-12-01", "to": "2026-12-02" }])),
        ("refused", json!([{ "inspector": "iris", "country": "XX" }])),
    ];
    for (field, value) in cases {
        let mut asked = request(&office);
        asked[field] = value;
        let told = refused(&manager.post("/api/v1/plans", &asked), 422, "invalid-fields");
        let expected = if field == "note" { "reason" } else { field };
        assert!(fields(&told).iter().all(|named| named.starts_with(expected)), "{field}: {told:#}");
    }
    // Over before it begins: nobody has a day.
    let mut asked = request(&office);
    asked["first_day"] = json!("2020-01-01");
    manager.post("/api/v1/plans", &asked).expect_problem(422, "cannot-be-planned");
    let inspector = office.as_person(&office.iris);
    assert_eq!(inspector.post("/api/v1/plans", &request(&office)).status, 403);
    assert_eq!(inspector.get("/api/v1/plans").status, 403);
    assert_eq!(office.investigator().post("/api/v1/plans", &request(&office)).status, 403);
}

#[test]
fn a_search_can_be_stopped_and_is_made_again_to_the_byte() {
    let office = office(&format!("{HEAD}{}{}", inspector("iris", "DE", ""), inspector("tomas", "SG", "")));
    let manager = office.manager();
    checks(&office, &["SH-2026-0101", "SH-2026-0102", "SH-2026-0121", "SH-2026-0122"]);
    let mut asked = request(&office);
    asked["iterations"] = json!(50_000_000);
    let long = manager.post("/api/v1/plans", &asked).expect_json(201);
    let path = format!("/api/v1/plans/{}", text(&long, "/id"));
    manager.post("/api/v1/plans", &request(&office)).expect_problem(409, "planner-busy");
    until("the search is under way", || manager.get(&path).expect_json(200)["iterations_done"] != 0);
    assert_eq!(manager.post(&format!("{path}/stop"), &json!({})).status, 200);
    until("the best so far", || manager.get(&path).expect_json(200)["stage"] == "proposed");
    let stopped = manager.get(&path).expect_json(200);
    assert!(stopped["iterations_done"].as_u64().unwrap() < 100_000_000, "{:#}", stopped["iterations_done"]);
    assert_eq!(stops(&stopped).len(), 4);
    manager.post(&format!("{path}/stop"), &json!({})).expect_problem(409, "plan-found");

    let short = plan(&manager, &request(&office));
    for id in [text(&long, "/id"), text(&short, "/id")] {
        let told = office.server.run_program(&["plan", "replay", &id]);
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        assert!(String::from_utf8_lossy(&told.stdout).contains("byte for byte"));
    }
}

#[test]
fn the_pages_show_the_plan_and_take_the_decision() {
    let office = office(&format!("{HEAD}{}", inspector("iris", "DE", "")));
    checks(&office, &["SH-2026-0101", "SH-2026-0121"]);
    let found = plan(&office.manager(), &request(&office));
    let page = Browser::signed_in(&office.server, "ada");
    let path = format!("/plans/{}", text(&found, "/id"));
    let shown = page.get(&path);
    for part in
        ["<svg", "Hammoor radio relay yard", "out of reach", "nights near the site", "Accept the plan"]
    {
        assert!(shown.contains(part), "{part} is not on the page:\n{shown}");
    }
    assert!(page.get("/plans").contains("Ask for a plan"));
    let task = &found["review"]["left_out"][0]["task"];
    let why = page.get(&format!("{path}/reasons/{task}"));
    assert!(
        why.contains("Why not: Kallang") && why.contains("nights near the site before and after"),
        "{why}"
    );
    page.post(&format!("{path}/accept"), &[("reason", "Good.")]);
    assert!(page.get(&path).contains("accepted"));
    assert_eq!(visits(&office.manager()).len(), 1);
}

impl Office {
    /// Puts a visit on the calendar for the check of that shipment in a plan.
    fn schedule_check(&self, plan: &Value, shipment_key: &str) {
        let days = plan["review"]["days"].as_array().unwrap();
        let mut stops = days.iter().flat_map(|day| day["stops"].as_array().unwrap());
        let stop = stops.find(|stop| stop["shipment_key"] == shipment_key).unwrap();
        let now = self.server.clock().now();
        let at = |hours: i64| now.plus(TimeDelta::hours(hours)).utc().format("%Y-%m-%dT%H:%M").to_string();
        let visit = json!({ "check": stop["check"], "window_start": at(24), "window_end": at(48) });
        assert_eq!(self.manager().post("/api/v1/visits", &visit).status, 201);
    }
}
