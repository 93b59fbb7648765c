//! What headquarters observes about records: each finding with its values, how far off they may be, and how it
//! can be innocent. Nothing is refused and nothing is taken back.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::TimeDelta;
use endcheck_protocol::checklist::{ItemStatus, VisitOutcome};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts};
use endcheck_protocol::place::{Fix, Position, Provider};
use endcheck_protocol::record::{Act, FileFacts, ItemSighting, SerialEntry, VerificationMethod};
use endcheck_server::accounts;
use endcheck_tests::{test_data, workspace_root};
use serde_json::{Value, json};

use crate::hand::{HandDevice, file_facts, task};
use crate::office::{Office, fixture, text};

const SHIPMENT: &str = "SH-2026-0101";

fn dispatched() -> (Office, String, HandDevice) {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    (office, visit, device)
}

/// The findings of that signal.
fn found(office: &Office, visit: &str, signal: &str) -> Vec<Value> {
    let dossier = office.dossier(visit);
    let findings = dossier["findings"].as_array().unwrap().iter();
    findings.filter(|finding| finding["signal"] == signal).cloned().collect()
}

fn open() -> Act {
    Act::VisitOpen { method: VerificationMethod::InPerson }
}

fn close() -> Act {
    Act::VisitClose {
        outcome: VisitOutcome::Partial,
        missing: Vec::new(),
        note: Some("x".to_owned()),
        contents: None,
    }
}

/// Signs the next record, at a place.
fn placed(device: &mut HandDevice, visit: &str, lat: f64, lon: f64, act: Act) -> Vec<u8> {
    let mut record = device.record(task(visit), act);
    let position = Position::from_degrees(lat, lon).unwrap();
    record.place = Some(Fix { accuracy_mm: Some(8_000), ..Fix::bare(position, Provider::Gpsd) });
    let envelope = device.signed(&record);
    device.follow(&envelope);
    envelope
}

fn read(serial: &str) -> Act {
    Act::Item(ItemSighting {
        status: ItemStatus::Sighted,
        method: VerificationMethod::InPerson,
        serial: Some(serial.to_owned()),
        serial_entry: Some(SerialEntry::KeyedTwice),
        quantity: None,
        note: None,
    })
}

fn note() -> Act {
    Act::Note { text: "x".to_owned() }
}

#[test]
fn a_finding_carries_its_values_and_how_far_off_they_may_be() {
    let (office, visit, mut device) = dispatched();
    let envelope = placed(&mut device, &visit, 51.70, 8.36, note());
    device.accepted(&[&envelope]);
    let findings = found(&office, &visit, "device-outside-fence");
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((&finding["weight"], &finding["method"]), (&json!("look"), &json!("intake-2")));
    assert_eq!(finding["values"]["accuracy_mm"], 8_000);
    assert!(finding["values"]["distance_mm"].as_i64().unwrap() > 8_000_000, "{finding:#}");
    assert!(text(finding, "/uncertainty").starts_with("accuracy 8 m"), "{finding:#}");
    assert!(!text(finding, "/explanations").is_empty());
    let now = office.server.clock().now();
    let vera = office.vera.id.parse().unwrap();
    let secret = office.server.write(|conn| accounts::start_session(conn, &vera, now)).unwrap();
    let browser = office.server.with_header("Cookie", &format!("{}={secret}", accounts::SESSION_COOKIE));
    let page = browser.get(&format!("/visits/{visit}")).expect(200).text();
    assert!(page.contains("accuracy 8 m") && page.contains("distance mm"), "the page shows both");
}

#[test]
fn missing_records_are_named_at_the_close_and_their_arrival_is_added() {
    let (office, visit, mut device) = dispatched();
    let opened = device.add(task(&visit), open());
    let notes: Vec<Vec<u8>> = (0..3).map(|n| device.note(&visit, &format!("note {n}"))).collect();
    let closed = device.add(task(&visit), close());
    device.accepted(&[&opened, &notes[0], &closed]);
    let missing = found(&office, &visit, "records-missing");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0]["values"]["missing"], json!([[2, 3]]));
    device.accepted(&[&notes[2]]);
    assert_eq!(found(&office, &visit, "record-arrived-late").len(), 1);
    device.accepted(&[&notes[1]]);
    assert_eq!(found(&office, &visit, "record-arrived-late").len(), 2);
    assert_eq!(found(&office, &visit, "chain-gap-filled").len(), 2);
    // What was said stays said, beside what came after it.
    assert_eq!(found(&office, &visit, "records-missing")[0], missing[0]);
    let size = office.server.check();
    let before = office.dossier(&visit)["findings"].clone();
    let _ = device.send(&[&opened, &notes[0], &notes[1], &notes[2], &closed]).expect(200);
    assert_eq!(
        (office.server.check(), &office.dossier(&visit)["findings"]),
        (size, &before),
        "a retry adds nothing"
    );
}

#[test]
fn travel_that_cannot_be_is_told_for_a_device_and_for_its_inspector() {
    let (office, visit, mut device) = dispatched();
    let mut second = HandDevice::enrolled(&office, &office.iris);
    let mut stranger = HandDevice::enrolled(&office, &office.tomas);
    let envelope = placed(&mut device, &visit, 51.778, 8.366, note());
    device.accepted(&[&envelope]);
    office.server.clock().advance(TimeDelta::minutes(30));
    let envelope = placed(&mut device, &visit, 51.779, 8.367, note());
    device.accepted(&[&envelope]);
    assert!(found(&office, &visit, "travel-too-fast").is_empty());
    // Milan is 700 km away.
    let envelope = placed(&mut stranger, &visit, 45.5, 9.11, note());
    stranger.accepted(&[&envelope]);
    assert!(
        found(&office, &visit, "inspector-travel-too-fast").is_empty(),
        "two people may be at two places"
    );
    let envelope = placed(&mut second, &visit, 45.5, 9.11, note());
    second.accepted(&[&envelope]);
    let by_inspector = found(&office, &visit, "inspector-travel-too-fast");
    assert_eq!(by_inspector.len(), 1, "{by_inspector:#?}");
    assert_eq!(by_inspector[0]["weight"], "contradiction");
    assert_eq!(by_inspector[0]["values"]["other_device"], json!(device.id()));
    office.server.clock().advance(TimeDelta::minutes(80));
    let envelope = placed(&mut device, &visit, 45.5, 9.11, note());
    device.accepted(&[&envelope]);
    let by_device = found(&office, &visit, "travel-too-fast");
    assert_eq!((by_device.len(), &by_device[0]["weight"]), (1, &json!("look")), "{by_device:#?}");
    assert!(by_device[0]["values"]["least_speed_kmh"].as_i64().unwrap() > 400, "{by_device:#?}");
}

#[test]
fn a_place_as_wide_as_a_country_hides_no_journey() {
    let (office, visit, mut device) = dispatched();
    let here = placed(&mut device, &visit, 51.778, 8.366, note());
    let mut record = device.record(task(&visit), note());
    let between = Position::from_degrees(48.6, 8.8).unwrap();
    record.place = Some(Fix { accuracy_mm: Some(500_000_000), ..Fix::bare(between, Provider::Manual) });
    let wide = device.signed(&record);
    device.follow(&wide);
    office.server.clock().advance(TimeDelta::minutes(2));
    let there = placed(&mut device, &visit, 45.5, 9.11, note());
    device.accepted(&[&here, &wide, &there]);
    let told = found(&office, &visit, "travel-too-fast");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["values"]["other_record"], json!(Sha256::of(&here)));
}

#[test]
fn a_clock_that_goes_back_between_two_records_is_told() {
    let (office, visit, mut device) = dispatched();
    let first = device.note(&visit, "first");
    let mut record = device.record(task(&visit), note());
    record.clock.device_at = record.clock.device_at.plus(TimeDelta::minutes(-10));
    let back = device.signed(&record);
    device.follow(&back);
    device.accepted(&[&first, &back]);
    assert_eq!(found(&office, &visit, "clock-rollback").len(), 1);
}

#[test]
fn a_serial_read_at_two_sites_is_told_at_both() {
    let (office, visit, mut device) = dispatched();
    let elsewhere = office.schedule("SH-2026-0103", Some(&office.iris));
    let again = office.schedule("SH-2026-0102", Some(&office.iris));
    device.pull();
    let envelope = placed(&mut device, &visit, 51.778, 8.366, read("NVA-26 004417"));
    device.accepted(&[&envelope]);
    office.server.clock().advance(TimeDelta::days(1));
    let envelope = placed(&mut device, &again, 51.778, 8.366, read("nva26004417"));
    device.accepted(&[&envelope]);
    let none = [&visit, &again].map(|visit| found(&office, visit, "serial-seen-elsewhere").len());
    assert_eq!(none, [0, 0], "the same site may be visited twice");
    office.server.clock().advance(TimeDelta::days(1));
    let envelope = placed(&mut device, &elsewhere, 45.5, 9.11, read("NVA-26-004417"));
    device.accepted(&[&envelope]);
    let there = found(&office, &elsewhere, "serial-seen-elsewhere");
    assert_eq!(there.len(), 2, "{there:#?}");
    let here = found(&office, &visit, "serial-seen-elsewhere");
    let [here] = here.as_slice() else { panic!("{here:#?}") };
    let distance_m = here["values"]["distance_m"].as_i64().unwrap();
    assert!((695_000..705_000).contains(&distance_m), "{here:#}");
    assert_eq!(here["values"]["other_visit"], json!(elsewhere));
    let envelope = device.add(task(&elsewhere), read("X1"));
    device.accepted(&[&envelope]);
    assert_eq!(found(&office, &elsewhere, "serial-seen-elsewhere").len(), 2, "too short to be compared");
}

#[test]
fn photos_are_held_against_the_cameras_of_their_device() {
    let (office, visit, mut device) = dispatched();
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let facts = photo::read(&bytes).unwrap();
    let (make, model) = (facts.make.clone().unwrap(), facts.model.clone().unwrap());
    for name in ["a.jpg", "b.jpg"] {
        let (envelope, _) = device.photo(&visit, name, &bytes, facts.clone());
        device.accepted(&[&envelope]);
    }
    assert_eq!(found(&office, &visit, "camera-not-checked").len(), 1, "once for a device and visit");
    let path = format!("/api/v1/devices/{}/cameras", device.id());
    let other = json!({ "make": "Nokia", "model": "3310" });
    office.investigator().post(&path, &other).expect_problem(403, "not-permitted");
    device.http().get(&path).expect_problem(403, "not-permitted");
    let bad = json!({ "make": " ", "model": "x", "width_px": 0 });
    office.manager().post(&path, &bad).expect_problem(422, "invalid-fields");
    let nobody = "/api/v1/devices/0190b3c8-5f4e-7c1a-9d2e-3f4a5b6c7d8e/cameras";
    office.manager().post(nobody, &other).expect_problem(404, "not-found");
    let first = office.manager().post(&path, &other).expect_json(201);
    assert_eq!(office.manager().post(&path, &other).expect_json(201), first, "again is the same");
    let (envelope, _) = device.photo(&visit, "c.jpg", &bytes, facts.clone());
    device.accepted(&[&envelope]);
    let strange = found(&office, &visit, "camera-not-enrolled");
    assert_eq!((strange.len(), &strange[0]["values"]["model"]), (1, &json!(model)));
    assert_eq!(strange[0]["values"]["enrolled"][0]["model"], "3310");
    let _ = office.manager().post(&path, &json!({ "make": make, "model": model })).expect_json(201);
    let (envelope, _) = device.photo(&visit, "d.jpg", &bytes, facts);
    device.accepted(&[&envelope]);
    assert_eq!(found(&office, &visit, "camera-not-enrolled").len(), 1);
    assert_eq!(office.investigator().get(&path).expect_json(200).as_array().unwrap().len(), 2);
}

#[test]
fn daylight_in_the_night_is_told_and_tables_are_held_against_the_camera() {
    let (office, visit, mut device) = dispatched();
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let facts = photo::read(&bytes).unwrap();
    let tables = photo::metadata(&bytes).unwrap().tables.digest().unwrap();
    let path = format!("/api/v1/devices/{}/cameras", device.id());
    let camera = |quantisation: Value| json!({ "make": facts.make, "model": facts.model, "quantisation": quantisation });
    let bad = camera(json!(["not a hash"]));
    office.manager().post(&path, &bad).expect_problem(400, "malformed-json");
    let held = office.manager().post(&path, &camera(json!([]))).expect_json(201);
    assert_eq!(held["quantisation"], json!([]));
    // Taken at the same place, at night by satellites: hours are numbers with a denominator.
    let numbers = |hours: u32| [hours, 1, 44, 1, 7, 1].map(u32::to_be_bytes).concat();
    let by_night = replaced(&bytes, &numbers(6), &numbers(23));
    let mut sent = |name: &str, bytes: &[u8]| {
        let (record, sealed) = device.photo(&visit, name, bytes, photo::read(bytes).unwrap());
        device.accepted(&[&record]);
        let _ = device.upload(&sealed, name).expect(201);
        office.tick();
        json!(Sha256::of(&record))
    };
    sent("day.jpg", &bytes);
    assert!(found(&office, &visit, "bright-at-night").is_empty());
    sent("again.jpg", &bytes);
    assert_eq!(found(&office, &visit, "quantisation-not-checked").len(), 1, "once for a device and visit");
    let night = sent("night.jpg", &by_night);
    let told = found(&office, &visit, "bright-at-night");
    let [told] = told.as_slice() else { panic!("{told:#?}") };
    assert_eq!((&told["record"], &told["weight"]), (&night, &json!("look")));
    let height = told["values"]["sun_degrees"].as_i64().unwrap();
    assert!((-70..-12).contains(&height), "{told:#}");

    let other = Sha256::of(b"other tables");
    let _ = office.manager().post(&path, &camera(json!([other]))).expect_json(201);
    let strange = sent("strange.jpg", &bytes);
    let differs = found(&office, &visit, "quantisation-differs");
    assert_eq!((differs.len(), &differs[0]["record"]), (1, &strange));
    assert_eq!(differs[0]["values"]["quantisation"], json!(tables));
    let _ = office.manager().post(&path, &camera(json!([tables]))).expect_json(201);
    sent("known.jpg", &bytes);
    assert_eq!(found(&office, &visit, "quantisation-differs").len(), 1);
}

/// `bytes` with every `old` in it written over by `new` of the same length.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut changed = bytes.to_vec();
    let places: Vec<usize> =
        (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "{old:?} is not in the file");
    for at in places {
        changed[at..at + new.len()].copy_from_slice(new);
    }
    changed
}

#[test]
fn the_clocks_of_a_visit_are_one_finding_whatever_the_number_of_photos() {
    let (office, visit, mut device) = dispatched();
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let taken_in = office.server.clock().now();
    let behind = PhotoFacts {
        // A camera a day behind its own satellite time.
        taken_at: Some(format!("{}T12:00:00Z", taken_in.day().pred_opt().unwrap())),
        gps_at: format!("{}T12:00:05Z", taken_in.day()).parse().ok(),
        ..photo::read(&bytes).unwrap()
    };
    let opened = device.add(task(&visit), open());
    let photos: Vec<_> = (0..9).map(|_| device.photo(&visit, "p.jpg", &bytes, behind.clone()).0).collect();
    let closed = device.add(task(&visit), close());
    let all: Vec<&[u8]> =
        std::iter::once(&opened).chain(&photos).chain([&closed]).map(Vec::as_slice).collect();
    device.accepted(&all);
    let offsets = found(&office, &visit, "clock-offsets");
    let [offset] = offsets.as_slice() else { panic!("{offsets:#?}") };
    assert_eq!(offset["weight"], "look");
    let measured = &offset["values"]["cameras"][0]["against_satellites"];
    assert_eq!(
        measured,
        &json!({ "count": 9, "median_s": -86_405, "least_s": -86_405, "greatest_s": -86_405 })
    );
    assert!(found(&office, &visit, "photo-clock-differs").is_empty());
}

/// Takes photos in as the agent would and has each looked into; their findings by file name.
fn looked_into(
    office: &Office,
    visit: &str,
    device: &mut HandDevice,
    files: &[PathBuf],
) -> BTreeMap<String, Vec<Value>> {
    let mut names = BTreeMap::new();
    for path in files {
        let bytes = std::fs::read(path).unwrap();
        let Ok(facts) = photo::read(&bytes) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (record, sealed) = device.photo(visit, &name, &bytes, facts);
        device.accepted(&[&record]);
        let _ = device.upload(&sealed, &name).expect(201);
        names.insert(Sha256::of(&record).to_string(), name);
    }
    // A tick ends when everything that is stored was looked into.
    office.tick();
    let mut found: BTreeMap<String, Vec<Value>> =
        names.values().map(|name| (name.clone(), Vec::new())).collect();
    for finding in office.dossier(visit)["findings"].as_array().unwrap() {
        if let Some(name) = finding["record"].as_str().and_then(|record| names.get(record)) {
            found.get_mut(name).unwrap().push(finding.clone());
        }
    }
    found
}

fn says(findings: &[Value], signal: &str) -> bool {
    findings.iter().any(|finding| finding["signal"] == signal)
}

#[test]
fn moved_shifted_and_stripped_photos_raise_what_is_asked() {
    let Some(folder) = test_data("photos/tamper") else { return };
    let (office, visit, mut device) = dispatched();
    let table = std::fs::read_to_string(folder.join("expect_shared.tsv")).unwrap();
    let altered = ["__gps_moved.jpg", "__date_shifted.jpg", "__stripped.jpg"];
    let named: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    let files: Vec<PathBuf> = named
        .iter()
        .filter(|name| altered.iter().any(|change| name.ends_with(change)))
        .map(|name| folder.join("shared").join(name))
        .collect();
    let found = looked_into(&office, &visit, &mut device, &files);
    assert_eq!(found.len(), files.len());
    for (name, findings) in &found {
        let expected: &[&str] = match name.rsplit_once("__").unwrap().1 {
            "gps_moved.jpg" => &["photo-outside-fence"],
            "date_shifted.jpg" => &["capture-time-vs-gps-time"],
            _ => &["position-missing", "capture-time-missing"],
        };
        for signal in expected {
            assert!(says(findings, signal), "{name}: no {signal} in {findings:#?}");
        }
    }
}

#[test]
fn untouched_photos_contradict_nothing() {
    let Some(folder) = test_data("photos/shared") else { return };
    let (office, visit, mut device) = dispatched();
    let files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let found = looked_into(&office, &visit, &mut device, &files);
    assert!(found.len() > 25, "{}", found.len());
    let mut counted: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (name, findings) in &found {
        for finding in findings {
            assert_ne!(finding["weight"], "contradiction", "{name}: {finding:#}");
            *counted.entry((text(finding, "/weight"), text(finding, "/signal"))).or_default() += 1;
        }
    }
    for ((weight, signal), count) in counted {
        println!("{count:3} of {} photos: {signal} ({weight})", found.len());
    }
}

#[test]
fn a_track_places_photos_and_shows_what_is_off_it_whatever_came_first() {
    let (office, visit, mut device) = dispatched();
    let start = office.server.clock().now();
    let point = |minute: i64| {
        let at = start.plus(TimeDelta::minutes(minute));
        format!("<trkpt lat='{:.4}' lon='8.366'><time>{at}</time></trkpt>", 51.778 + minute as f64 / 1000.0)
    };
    let points: String = (0..=10).map(point).collect();
    let gpx = format!("<gpx><trk><trkseg>{points}</trkseg></trk></gpx>").into_bytes();
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let read = photo::read(&bytes).unwrap();
    // The record says what the photo would say without its position, taken in the fifth minute.
    let at = start.plus(TimeDelta::seconds(330));
    let blind = PhotoFacts { position: None, taken_at: Some(at.to_string()), gps_at: None, ..read };
    let (photo, _) = device.photo(&visit, "blind.jpg", &bytes, blind);
    let sealed = device.seal(&gpx);
    let file = FileFacts { mime: "application/gpx+xml".to_owned(), ..file_facts("walk.gpx", &gpx, &sealed) };
    let track = device.add(task(&visit), Act::Track { file });
    device.accepted(&[&photo, &track]);
    assert!(found(&office, &visit, "track-read").is_empty());
    let _ = device.upload(&sealed, "walk.gpx").expect(201);
    office.tick();
    let on = found(&office, &visit, "position-from-track");
    let [on] = on.as_slice() else { panic!("{on:#?}") };
    assert_eq!(on["record"], json!(Sha256::of(&photo)));
    assert_eq!(on["values"]["position"], json!({ "lat_e7": 517_835_000, "lon_e7": 83_660_000 }));
    assert_eq!(found(&office, &visit, "track-read")[0]["values"]["points"], 11);
    let files = office.dossier(&visit)["files"].clone();
    assert_eq!(files[0]["photo_position"]["position"], Value::Null, "it is never merged: {files:#}");
    // A record that comes after its track is compared as well.
    office.server.clock().advance(TimeDelta::minutes(9));
    let near = placed(&mut device, &visit, 51.787, 8.366, note());
    let far = placed(&mut device, &visit, 51.9, 8.366, note());
    device.accepted(&[&near, &far]);
    office.tick();
    let off = found(&office, &visit, "off-track");
    let [off] = off.as_slice() else { panic!("{off:#?}") };
    assert_eq!(off["record"], json!(Sha256::of(&far)));
    assert_eq!(found(&office, &visit, "track-read").len(), 1, "said once");
}

/// Everything in double quotes in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

#[test]
fn every_signal_is_described() {
    let documented = std::fs::read_to_string(workspace_root().join("docs/api.md")).unwrap();
    let mut folders = vec![workspace_root().join("server/src/evidence")];
    let mut signals: Vec<String> = photo::PhotoFlag::ALL.iter().map(|flag| flag.code().to_owned()).collect();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let lines = source.lines().filter_map(|line| line.split_once("signal: "));
            signals.extend(lines.flat_map(|(_, line)| quoted(line)).map(str::to_owned));
        }
    }
    assert!(signals.len() > 40, "{signals:?}");
    let missing: Vec<_> =
        signals.iter().filter(|signal| !documented.contains(&format!("`{signal}`"))).collect();
    assert!(missing.is_empty(), "docs/api.md describes no {missing:?}");
}
