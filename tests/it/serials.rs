//! Serials: clocks that run from arrival and from sightings, losses and transfers on record, lists.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use endcheck_protocol::checklist::ItemStatus;
use endcheck_protocol::record::{Act, ItemSighting, Task, VerificationMethod};
use endcheck_server::app::App;
use endcheck_server::config::serial_rules::{SerialClock, SerialRules};
use endcheck_server::db::Conn;
use endcheck_server::serials::{self, Swept};
use endcheck_tests::Http;
use serde_json::{Value, json};

use crate::hand::{HandDevice, task};
use crate::office::{Office, PASSWORD, text};

const SHIPMENT: &str = "SH-2026-0101";

fn sweep(app: &std::sync::Arc<App>) -> Swept {
    let now = app.clock.now();
    actix_web::rt::System::new().block_on(serials::sweep(app, now)).unwrap()
}

pub fn office() -> Office {
    let office = Office::with_programme();
    sweep(office.server.app());
    office
}

fn all(http: &Http, query: &str) -> Vec<Value> {
    let page = http.get(&format!("/api/v1/serials?limit=500&{query}")).expect_json(200);
    page["items"].as_array().unwrap().clone()
}

pub fn serial(office: &Office, serial: &str) -> Value {
    let found = all(&office.manager(), "").into_iter().find(|one| one["serial"] == serial);
    found.unwrap_or_else(|| panic!("{serial} is not listed"))
}

pub fn history(office: &Office, item: &str) -> Value {
    office.manager().get(&format!("/api/v1/serials/{item}")).expect_json(200)
}

fn due(value: &Value) -> String {
    text(value, "/due_at")[..10].to_owned()
}

fn sighting(
    device: &mut HandDevice,
    visit: &str,
    item: &Value,
    method: VerificationMethod,
    read: Option<&str>,
) -> Vec<u8> {
    let act = Act::Item(ItemSighting {
        status: ItemStatus::Sighted,
        method,
        serial: read.map(str::to_owned),
        serial_entry: None,
        quantity: None,
        note: None,
    });
    let task = Task { item: Some(text(item, "/id").parse().unwrap()), ..task(visit) };
    device.add(task, act)
}

fn checks(office: &Office, shipment: &str) -> Vec<Value> {
    let id = office.shipment(shipment);
    let page = office.manager().get(&format!("/api/v1/checks?shipment={id}&limit=100")).expect_json(200);
    let checks = page["items"].as_array().unwrap().clone();
    checks.into_iter().filter(|check| check["kind"] == "routine").collect()
}

#[test]
fn the_clock_runs_from_arrival_and_only_who_saw_a_serial_sets_it_anew() {
    let office = office();
    let (first, second) = (serial(&office, "NVA-26-004417"), serial(&office, "NVA-26-004418"));
    assert_eq!((text(&first, "/status"), due(&first)), ("in-place".into(), "2026-06-22".into()));
    assert_eq!(first["due_why"], "90 days after arrival on 2026-03-24");
    assert!(first["overdue_days"].as_i64().unwrap() > 0);
    let routine = checks(&office, SHIPMENT);
    assert_eq!(routine.len(), 1);
    assert_eq!(due(&routine[0]), "2026-06-22");
    assert!(text(&routine[0], "/reason").contains("all 2 serials"), "{:#}", routine[0]);

    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let by_host =
        sighting(&mut device, &visit, &first, VerificationMethod::HostSelfReport, Some("NVA-26-004417"));
    let seen = sighting(&mut device, &visit, &second, VerificationMethod::InPerson, Some("nva 26 004418"));
    device.accepted(&[&by_host, &seen]);
    let today = office.server.clock().now().day();
    let (first, second) = (serial(&office, "NVA-26-004417"), serial(&office, "NVA-26-004418"));
    assert_eq!((due(&first), &first["last_seen_at"]), ("2026-06-22".into(), &Value::Null));
    assert_eq!(due(&second), (today + TimeDelta::days(365)).to_string());
    assert_eq!((text(&second, "/seen_method"), text(&second, "/seen_visit")), ("in-person".into(), visit));
    let said = history(&office, &text(&first, "/id"));
    assert!(text(&said, "/history/1/not_seen").contains("never count as seen"), "{said:#}");
    assert!(text(&said, "/basis").len() > 20);

    // A retry, and a sweep that comes by the same records, change nothing.
    let before = (history(&office, &text(&second, "/id")), office.server.check());
    let _ = device.send(&[&by_host, &seen]).expect(200);
    sweep(office.server.app());
    assert_eq!((history(&office, &text(&second, "/id")), office.server.check()), before);
    assert_eq!(checks(&office, SHIPMENT).len(), 1, "the one that is open is for the other serial");

    // When it falls due again, a check of its own is opened, once.
    office.server.clock().advance(TimeDelta::days(270));
    assert_eq!(sweep(office.server.app()).checks_opened, 0, "there are 95 days left");
    office.server.clock().advance(TimeDelta::days(10));
    assert_eq!(sweep(office.server.app()).checks_opened, 1);
    let routine = checks(&office, SHIPMENT);
    assert_eq!((routine.len(), due(&routine[0])), (2, (today + TimeDelta::days(365)).to_string()));
    let reason = text(&routine[0], "/reason");
    assert!(
        reason.contains("serial NVA-26-004418 of the shipment's 2") && reason.contains("last seen"),
        "{reason}"
    );
    assert_eq!(sweep(office.server.app()), Swept::default());
}

#[test]
fn a_sweep_opens_each_routine_check_once_on_two_servers_and_for_what_has_no_serial_too() {
    let office = Office::with_programme();
    let app = office.server.app();
    let twin = App::open(app.config.clone(), office.server.clock().clone()).unwrap();
    let sweeps: Vec<_> = [app.clone(), twin.clone(), app.clone(), twin]
        .into_iter()
        .map(|app| std::thread::spawn(move || sweep(&app)))
        .collect();
    let swept: Vec<Swept> = sweeps.into_iter().map(|sweep| sweep.join().unwrap()).collect();
    let opened: u64 = swept.iter().map(|swept| swept.checks_opened).sum();
    let page = office.manager().get("/api/v1/checks?limit=500").expect_json(200);
    assert_eq!(page["items"].as_array().unwrap().len() as u64, opened, "{swept:?}");
    // SH-2026-0103 comes in lots: its check is due as it always was.
    let lots = checks(&office, "SH-2026-0103");
    assert_eq!((lots.len(), due(&lots[0])), (1, "2026-05-27".into()));
    assert!(text(&lots[0], "/reason").contains("within 90 days"));
    // The tick as it is opens nothing beside them.
    assert_eq!(office.tick().routine_checks_opened, 0);
}

#[test]
fn each_authority_s_programme_runs_by_its_own_clock_and_says_on_what_basis() {
    let standard = SerialRules::new(&[], &[]).unwrap().serial_clock.pop().unwrap();
    let of = |authority: &str, first_days| SerialClock {
        name: authority.to_owned(),
        authorities: vec![authority.to_owned()],
        first_days,
        basis: format!("Programme of {authority}, article 4."),
        ..standard.clone()
    };
    let clocks = vec![
        of("Another Office", 10),
        of("Strategic Trade Control Office (fictitious)", 30),
        standard.clone(),
    ];
    let office = Office::open_with(|config| config.serial_clock = clocks);
    office.import_programme();
    sweep(office.server.app());
    let one = serial(&office, "NVA-26-004417");
    let arrived: chrono::NaiveDate = text(&one, "/arrived_on").parse().unwrap();
    assert_eq!(due(&one), (arrived + TimeDelta::days(30)).to_string());
    let told = history(&office, &text(&one, "/id"));
    assert!(text(&told, "/basis").contains("Strategic Trade Control Office"), "{told:#}");
    office.server.check();
}

#[test]
fn visits_from_before_are_caught_up_with() {
    let office = office();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let item = serial(&office, "NVA-26-004417");
    let seen = sighting(&mut device, &visit, &item, VerificationMethod::InPerson, Some("NVA-26-004417"));
    device.accepted(&[&seen]);
    let before = serial(&office, "NVA-26-004417");
    // As a database is that was made before serials were followed.
    let mut conn = office.server.app().connection().unwrap();
    let (without, with) = match &mut *conn {
        Conn::Sqlite(_) => (
            "drop trigger serial_events_no_delete",
            "create trigger serial_events_no_delete before delete on serial_events begin select raise(abort, 'x'); end",
        ),
        Conn::Postgres(_) => (
            "alter table serial_events disable trigger serial_events_kept",
            "alter table serial_events enable trigger serial_events_kept",
        ),
    };
    conn.batch_execute(&format!(
        "{without}; delete from serial_states; delete from serial_events; {with}; \
         update counters set value = 0 where name = 'serials_records'; \
         update counters set value = -1 where name = 'serials_programme'"
    ))
    .unwrap();
    drop(conn);
    assert!(all(&office.manager(), "").is_empty());
    let swept = sweep(office.server.app());
    assert_eq!(swept.records, 1, "{swept:?}");
    assert_eq!(serial(&office, "NVA-26-004417"), before);
    assert_eq!(sweep(office.server.app()), Swept::default());
}

fn report(http: &Http, item: &str, event: &Value) -> endcheck_tests::Answer {
    http.post(&format!("/api/v1/serials/{item}/events"), event)
}

#[test]
fn a_loss_needs_a_second_person_and_a_transfer_opens_a_new_clock() {
    let office = office();
    let item = text(&serial(&office, "NVA-26-004502"), "/id");
    let before = serial(&office, "NVA-26-004502");
    let (manager, vera) = (office.manager(), office.investigator());
    let today = office.server.clock().now().day();
    let lost_on = (today - TimeDelta::days(40)).to_string();
    let loss = json!({ "kind": "loss", "what": "destroyed", "lost_on": lost_on,
        "circumstances": "Lightning struck the mast.", "proof": "Report of the fire brigade, file 12." });
    report(&office.as_person(&office.iris), &item, &loss).expect_problem(403, "not-permitted");
    let mut future = loss.clone();
    future["lost_on"] = json!((today + TimeDelta::days(2)).to_string());
    report(&manager, &item, &future).expect_problem(422, "invalid-fields");
    let mut unproved = loss.clone();
    unproved["proof"] = json!(" ");
    report(&manager, &item, &unproved).expect_problem(422, "invalid-fields");
    for (field, wrong) in [
        ("lost_on", "-0001-01-01"),
        ("lost_on", "0001-01-01"),
        ("proof", "\u{200b}\u{a0}"),
        ("circumstances", "It \u{202e}is gone."),
    ] {
        let mut faulty = loss.clone();
        faulty[field] = json!(wrong);
        report(&manager, &item, &faulty).expect_problem(422, "invalid-fields");
    }
    assert_eq!(serial(&office, "NVA-26-004502"), before);

    let once = manager.with_header("Idempotency-Key", "loss-1");
    let reported = report(&once, &item, &loss).expect(201);
    assert_eq!(report(&once, &item, &loss).expect(201).body, reported.body);
    let reported = reported.json();
    assert_eq!((text(&reported, "/status"), due(&reported)), ("loss-reported".into(), due(&before)));
    assert_eq!(reported["loss_is_late"], true, "30 days are allowed");
    report(&manager, &item, &loss).expect_problem(409, "serial-state");
    let id = text(&reported, "/history/1/id");
    let review =
        json!({ "kind": "loss-review", "loss": id, "accepted": true, "reason": "The remains were seen." });
    report(&manager, &item, &review).expect_problem(403, "own-report");
    let gone = report(&vera, &item, &review).expect_json(201);
    assert_eq!((text(&gone, "/status"), &gone["due_at"]), ("gone".into(), &Value::Null));
    report(&vera, &item, &review).expect_problem(409, "serial-state");
    // The reporter cannot take the other's word back either.
    let word = gone["history"].as_array().unwrap().last().unwrap();
    let undo = json!({ "kind": "withdraw", "event": word["id"], "reason": "I disagree." });
    report(&manager, &item, &undo).expect_problem(403, "own-report");
    let early = json!({ "kind": "found", "found_on": (today - TimeDelta::days(41)).to_string(),
        "circumstances": "In a rack." });
    report(&manager, &item, &early).expect_problem(422, "invalid-fields");

    let withdraw = json!({ "kind": "withdraw", "event": id, "reason": "It was another unit." });
    let back = report(&vera, &item, &withdraw).expect_json(201);
    assert_eq!((text(&back, "/status"), due(&back)), ("in-place".into(), due(&before)));
    report(&vera, &item, &withdraw).expect_problem(409, "serial-state");

    let other = serial(&office, "HX9L030551");
    let transfer = json!({ "kind": "transfer", "transferred_on": today.to_string(),
        "losing_office": "Office Berlin", "gaining_office": "Office Abroad",
        "gaining_party": other["host"]["id"], "gaining_site": other["site"], "consent": null });
    let mut nowhere = transfer.clone();
    nowhere["gaining_party"] = before["host"]["id"].clone();
    nowhere["gaining_site"] = before["site"].clone();
    report(&manager, &item, &nowhere).expect_problem(422, "invalid-fields");
    let moved = report(&manager, &item, &transfer).expect_json(201);
    assert_eq!(moved["host"], other["host"]);
    assert_eq!((&moved["site"], &moved["country"]), (&other["site"], &other["country"]));
    // The due date moves away only once somebody else accepted it.
    let later = (today + TimeDelta::days(90)).to_string();
    assert!(due(&before) < later);
    assert_eq!(due(&moved), due(&before));
    let reported = moved["history"].as_array().unwrap().last().unwrap();
    let accept = json!({ "kind": "review", "event": reported["id"], "accepted": true, "reason": "Both offices confirm it." });
    report(&manager, &item, &accept).expect_problem(403, "own-report");
    let accepted = report(&vera, &item, &accept).expect_json(201);
    assert_eq!(due(&accepted), later);
    report(&vera, &item, &accept).expect_problem(409, "serial-state");
    let told = moved["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&told["losing_party"], &told["losing_site"]), (&before["host"]["id"], &before["site"]));
    assert_eq!(
        all(&manager, &format!("host={}", text(&other, "/host/id")))
            .iter()
            .filter(|one| one["id"] == item.as_str())
            .count(),
        1
    );
    report(&manager, &text(&office.dossier(&office.schedule(SHIPMENT, None)), "/visit/id"), &transfer)
        .expect_problem(404, "not-found");
    office.server.check();
}

/// Why the last sighting in a serial's history does not count; the day on which it is due.
fn last_told(office: &Office, serial_no: &str) -> (Option<String>, String) {
    let told = history(office, &text(&serial(office, serial_no), "/id"));
    let last =
        told["history"].as_array().unwrap().iter().rfind(|one| one["kind"] == "sighting").unwrap().clone();
    (last["not_seen"].as_str().map(str::to_owned), due(&told))
}

#[test]
fn only_who_was_sent_and_saw_it_where_it_should_be_moves_its_due_date() {
    let office = office();
    let number = "NVA-26-004417";
    let item = serial(&office, number);
    let before = due(&item);
    let see = |device: &mut HandDevice, visit: &str| {
        let seen = sighting(device, visit, &item, VerificationMethod::InPerson, Some(number));
        device.accepted(&[&seen]);
        last_told(&office, number)
    };
    let mut iris = HandDevice::enrolled(&office, &office.iris);
    let mut tomas = HandDevice::enrolled(&office, &office.tomas);
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    assert_eq!(
        see(&mut tomas, &visit),
        (Some("whoever recorded it was not sent there".to_owned()), before.clone())
    );
    let cancelled = office.schedule(SHIPMENT, Some(&office.iris));
    let path = format!("/api/v1/visits/{cancelled}/cancel");
    assert_eq!(office.manager().post(&path, &json!({ "reason": "The road is closed." })).status, 200);
    assert_eq!(see(&mut iris, &cancelled), (Some("the visit was cancelled".to_owned()), before.clone()));
    let now = office.server.clock().now();
    let day = now.day();
    let elsewhere = json!({ "check": office.check(SHIPMENT), "inspector": office.iris.id,
        "site": serial(&office, "HX9L030551")["site"],
        "window_start": format!("{day}T00:00"), "window_end": format!("{day}T23:59") });
    let elsewhere = text(&office.manager().post("/api/v1/visits", &elsewhere).expect_json(201), "/id");
    assert_eq!(see(&mut iris, &elsewhere), (Some("it was seen elsewhere".to_owned()), before));
    // Who was sent and had it with them is who was sent, whoever goes now.
    iris.pull();
    let path = format!("/api/v1/visits/{visit}/reassign");
    let reassign = json!({ "inspector": office.tomas.id, "reason": "Iris fell ill." });
    assert_eq!(office.manager().post(&path, &reassign).status, 200);
    assert_eq!(see(&mut iris, &visit), (None, (day + TimeDelta::days(365)).to_string()));
    sweep(office.server.app());
    assert!(office.server.audit().holds(), "{}", office.server.audit().told());
}

#[test]
fn a_visit_goes_where_the_serials_stand_and_says_so_where_they_stand_apart() {
    let office = office();
    let manager = office.manager();
    let there = serial(&office, "HX9L030551");
    let (shipment, today) = (office.shipment(SHIPMENT), office.server.clock().now().day());
    let items = all(&manager, &format!("shipment={shipment}"));
    assert_eq!(items.len(), 2);
    let transfer = json!({ "kind": "transfer", "transferred_on": today.to_string(),
        "losing_office": "Office Berlin", "gaining_office": "Office Abroad",
        "gaining_party": there["host"]["id"], "gaining_site": there["site"], "consent": null });
    let plan = || {
        let visit = json!({ "check": office.check(SHIPMENT), "inspector": office.iris.id,
            "window_start": format!("{today}T00:00"), "window_end": format!("{today}T23:59") });
        office.manager().post("/api/v1/visits", &visit)
    };
    assert_eq!(plan().expect_json(201)["site"], items[0]["site"]);
    let _ = report(&manager, &text(&items[0], "/id"), &transfer).expect(201);
    let apart = plan();
    apart.expect_problem(409, "sites-differ");
    let detail = text(&apart.json(), "/detail");
    for told in [&items[0]["serial"], &items[1]["serial"], &there["site"], &items[1]["site"]] {
        assert!(detail.contains(told.as_str().unwrap()), "{detail}");
    }
    let _ = report(&manager, &text(&items[1], "/id"), &transfer).expect(201);
    assert_eq!(plan().expect_json(201)["site"], there["site"]);
}

#[test]
fn a_serial_is_awaited_until_the_day_that_the_papers_name_has_come() {
    let office = office();
    let today = office.server.clock().now().day();
    let ahead = today + TimeDelta::days(10);
    let mut shipments: Value = crate::office::fixture_json("shipments.json");
    let changed =
        shipments.as_array_mut().unwrap().iter_mut().find(|one| one["key"] == "SH-2026-0102").unwrap();
    changed["arrived_on"] = json!(ahead.to_string());
    let bytes = shipments.to_string();
    let headers = [("Content-Type", "application/json")];
    let _ = office
        .manager()
        .send("POST", "/api/v1/import/shipments", &headers, Some(bytes.as_bytes()))
        .expect(200);
    sweep(office.server.app());
    let waiting = serial(&office, "NVA-26-004502");
    assert_eq!((text(&waiting, "/status"), &waiting["due_at"]), ("awaited".into(), &Value::Null));
    assert_eq!(sweep(office.server.app()).followed, 0);
    office.server.clock().advance(TimeDelta::days(10));
    assert_eq!(sweep(office.server.app()).followed, 4);
    let arrived = serial(&office, "NVA-26-004502");
    assert_eq!(text(&arrived, "/status"), "in-place");
    assert_eq!(due(&arrived), (ahead + TimeDelta::days(90)).to_string());
    assert_eq!(sweep(office.server.app()).followed, 0);
}

#[test]
fn what_somebody_changes_in_the_rows_of_serials_is_found_out() {
    for (change, told) in [
        (
            "update serial_states set due_at = '2030-01-01 00:00:00', due_order = '2030-01-01 00:00:00' where serial = 'NVA-26-004502'",
            "does not follow from its events",
        ),
        (
            "update serial_events set detail = replace(detail, 'brigade', 'office') where kind = 'loss'",
            "says other things than its document",
        ),
        ("delete from serial_events where kind = 'loss'", "commits to something that is not here any more"),
        (
            "update serial_events set happened_at = '2026-09-01 00:00:00' where kind = 'sighting'",
            "says other things than its record",
        ),
        ("delete from serial_events where kind = 'sighting'", "has no event of its serial"),
    ] {
        let mut office = office();
        let item = text(&serial(&office, "NVA-26-004502"), "/id");
        let loss = json!({ "kind": "loss", "what": "lost", "lost_on": "2026-11-01",
            "circumstances": "Not found.", "proof": "Report of the fire brigade." });
        let _ = report(&office.manager(), &item, &loss).expect(201);
        let visit = office.schedule(SHIPMENT, Some(&office.iris));
        let mut device = HandDevice::enrolled(&office, &office.iris);
        let seen = sighting(
            &mut device,
            &visit,
            &serial(&office, "NVA-26-004417"),
            VerificationMethod::InPerson,
            None,
        );
        device.accepted(&[&seen]);
        sweep(office.server.app());
        assert!(office.server.audit().holds());
        let mut conn = office.server.app().connection().unwrap();
        let without = match &mut *conn {
            Conn::Sqlite(_) => "drop trigger serial_events_no_delete; drop trigger serial_events_no_update",
            Conn::Postgres(_) => "alter table serial_events disable trigger serial_events_kept",
        };
        conn.batch_execute(&format!("{without}; {change}")).unwrap();
        drop(conn);
        let faults = office.server.audit().faults.join("\n");
        assert!(faults.contains(told), "{change}: {faults}");
        office.server.damaged();
    }
}

#[test]
fn lists_come_page_by_page_by_filter_and_as_a_sheet_without_formulas() {
    let office = Office::with_programme();
    let manager = office.manager();
    let mut shipment =
        manager.get(&format!("/api/v1/shipments/{}", office.shipment("SH-2026-0105"))).expect_json(200);
    let first = &mut shipment["items"][0];
    first["serial"] = json!("=HYPERLINK(\"http://x\")");
    let items: Vec<Value> = shipment["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let mut item = item.clone();
            item.as_object_mut().unwrap().remove("id");
            item
        })
        .collect();
    let new = json!({ "key": "SH-F", "licence": shipment["licence_key"], "line": shipment["line"]["line"],
        "exporter": shipment["exporter"]["key"], "consignee": shipment["consignee"]["key"],
        "end_user": shipment["end_user"]["key"], "site": shipment["site_key"], "hs6": shipment["hs6"],
        "arrived_on": "2026-01-02", "declared_use": "x", "items": items });
    let _ = manager.post("/api/v1/shipments", &new).expect(201);
    sweep(office.server.app());

    let whole = all(&manager, "");
    assert!(whole.len() > 30, "{}", whole.len());
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = manager.get(&format!("/api/v1/serials?limit=7{next}")).expect_json(200);
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(paged, whole);
    let dues: Vec<String> = whole.iter().filter(|one| one["due_at"].is_string()).map(due).collect();
    assert!(dues.is_sorted());
    for (query, fits) in [
        ("overdue=true", &(|one: &Value| one["overdue_days"].as_i64() > Some(0)) as &dyn Fn(&Value) -> bool),
        ("country=DE", &|one| one["country"] == "DE"),
        ("tier=2&overdue=true", &|one| one["tier"] == 2 && one["overdue_days"].as_i64() > Some(0)),
        ("status=awaited", &|one| one["status"] == "awaited"),
        ("due_before=2026-06-01", &|one| one["due_at"].is_string() && due(one).as_str() < "2026-06-01"),
    ] {
        let expected: Vec<&Value> = whole.iter().filter(|one| fits(one)).collect();
        assert!(expected.len() < whole.len(), "{query}");
        assert_eq!(all(&manager, query).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    manager.get("/api/v1/serials?cursor=x").expect_problem(400, "malformed-cursor");
    manager.get("/api/v1/serials?colour=red").expect_problem(400, "malformed-query");
    office.as_person(&office.iris).get("/api/v1/serials").expect_problem(403, "not-permitted");

    let sheet = manager.with_header("Accept", "text/csv").get("/api/v1/serials").expect(200);
    assert!(sheet.header("content-type").starts_with("text/csv"));
    assert_eq!(sheet.text().lines().count(), whole.len() + 1);
    assert!(sheet.text().contains("\"'=HYPERLINK(\"\"http://x\"\")\""), "{}", sheet.text());
    assert_eq!(manager.get("/api/v1/serials.csv").expect(200).body, sheet.body);

    let counted = manager.get("/api/v1/serials/overdue").expect_json(200);
    let overdue = all(&manager, "overdue=true");
    assert_eq!(counted["overdue"].as_u64().unwrap() as usize, overdue.len());
    let hosts: BTreeSet<String> = overdue.iter().map(|one| text(one, "/host/key")).collect();
    assert_eq!(counted["by_host"].as_array().unwrap().len(), hosts.len());
    let lines = manager.get("/api/v1/serials/overdue.csv").expect(200).text();
    assert_eq!(lines.lines().count(), 1 + hosts.len() + counted["by_tier"].as_array().unwrap().len());
    pages_show_them(&office, &text(&whole[0], "/id"));
}

fn pages_show_them(office: &Office, item: &str) {
    let login: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("login", "vera"), ("password", PASSWORD), ("next", "/serials")])
        .finish();
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let signed_in = office.server.send("POST", "/login", &[form], Some(login.as_bytes())).expect(303);
    let cookie = signed_in.header("set-cookie").split_once(';').unwrap().0.to_owned();
    for (path, shows) in [
        ("/serials", "=HYPERLINK(&#34;http://x&#34;)"),
        ("/serials?overdue=true&tier=2", "days over"),
        ("/serials/overdue", "Share overdue"),
        (&format!("/serials/{item}"), "days after arrival"),
    ] {
        let page = office.server.send("GET", path, &[("Cookie", &cookie)], None).expect(200).text();
        assert!(page.contains(shows), "{path}: {page}");
        assert!(!page.contains("style=") && !page.contains("<script"), "{path}");
    }
}

#[test]
fn a_correction_of_the_papers_moves_the_clock_and_stays_on_record() {
    let office = office();
    let item = text(&serial(&office, "NVA-26-004502"), "/id");
    let mut shipments: Value = crate::office::fixture_json("shipments.json");
    let changed =
        shipments.as_array_mut().unwrap().iter_mut().find(|one| one["key"] == "SH-2026-0102").unwrap();
    changed["arrived_on"] = json!("2026-09-11");
    let bytes = shipments.to_string();
    let headers = [("Content-Type", "application/json")];
    let _ = office
        .manager()
        .send("POST", "/api/v1/import/shipments", &headers, Some(bytes.as_bytes()))
        .expect(200);
    assert_eq!(sweep(office.server.app()).followed, 4);
    let told = history(&office, &item);
    assert_eq!((due(&told), text(&told, "/arrived_on")), ("2026-12-10".into(), "2026-09-11".into()));
    assert_eq!((&told["history"][0]["counts"], &told["history"][1]["counts"]), (&json!(false), &json!(true)));
    assert_eq!(told["history"][1]["corrects"], told["history"][0]["id"]);
}
