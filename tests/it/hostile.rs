//! Files, names and bodies made to do harm, from the folder that `ENDCHECK_TEST_DATA` names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use endcheck::ExitStatus;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts};
use endcheck_server::accounts::{self, Role, SESSION_COOKIE};
use endcheck_server::clock::Clock;
use endcheck_tests::{Http, ServerProcess, test_data};
use serde_json::Value;

use crate::hand::{HandDevice, answers};
use crate::office::{Office, add_user, code, fixture, import_programme, schedule, signed_in, text, until};
use crate::tablet::{Tablet, files_below};

const SHIPMENT: &str = "SH-2026-0101";
/// What the whole server may have held in memory at any time.
const MAX_RESIDENT_KIB: u64 = 512 * 1024;

/// The folder of hostile files.
fn hostile() -> Option<PathBuf> {
    test_data("hostile")
}

/// The paths below `built/shared` in these folders with what must happen to each.
fn expectations(hostile: &Path, folders: &[&str]) -> Vec<(PathBuf, String)> {
    let table = std::fs::read_to_string(hostile.join("EXPECT_shared.tsv")).unwrap();
    let rows: Vec<(PathBuf, String)> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let wanted =
                folders.iter().any(|folder| fields[0].starts_with(&format!("built/shared/{folder}/")));
            wanted.then(|| (hostile.join(fields[0]), fields[4].trim_matches('"').to_owned()))
        })
        .collect();
    assert!(rows.len() >= folders.len(), "the table has no rows for {folders:?}");
    rows
}

/// What a table row allows: `Some(true)` acceptance, `Some(false)` refusal, `None` either.
fn demanded(what_must_happen: &str) -> Option<bool> {
    let says = |words: &str| what_must_happen.contains(words);
    if says("ACCEPT or REJECT") || says("or ACCEPT") || says("or accept") || says("may be accepted") {
        return None;
    }
    Some(what_must_happen.starts_with("ACCEPT"))
}

#[test]
fn capture_takes_and_refuses_each_hostile_photo_as_stated() {
    let Some(hostile) = hostile() else { return };
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    let (mut taken, mut refused) = (0, 0);
    for (path, must) in expectations(&hostile, &["png", "exif", "jpeg", "polyglot"]) {
        let before = (tablet.sealed_copies(), tablet.line(&["status"])["records"].clone());
        let source = std::fs::read(&path).unwrap();
        let said = tablet.run(&["capture", path.to_str().unwrap()]);
        let name = path.file_name().unwrap().to_str().unwrap();
        let accepted = said.status == ExitStatus::Success;
        assert_eq!(std::fs::read(&path).unwrap(), source, "{name}: the source stays as it is");
        if let Some(demanded) = demanded(&must) {
            assert_eq!(accepted, demanded, "{name}: {must}\n{}{}", said.output, said.errors);
        }
        if accepted {
            taken += 1;
            assert_eq!(tablet.sealed_copies(), before.0 + 1, "{name}");
            assert_flagged(name, &must, &said.output);
        } else {
            refused += 1;
            assert_eq!(said.status, ExitStatus::Refused, "{name}");
            let after = (tablet.sealed_copies(), tablet.line(&["status"])["records"].clone());
            assert_eq!(after, before, "{name}: nothing of it is kept");
            assert!(said.errors.contains(name), "{name}: {}", said.errors);
            assert_refused_clearly(name, &must, &said.errors);
        }
    }
    assert!(taken > 20 && refused > 8, "{taken} taken, {refused} refused");
    // What was taken in arrives and is looked into like any other photo.
    let summary = tablet.line(&["sync"]);
    assert_eq!(summary["files_confirmed"], taken, "{summary:#}");
    office.tick();
    let dossier = office.dossier(&visit);
    assert!(dossier["files"].as_array().unwrap().iter().all(|file| file["state"] == "stored"));
    let page = page(&office, &visit);
    assert!(!page.contains("<script>alert"), "text of a photo is escaped");
}

/// What the table names is said in words.
fn assert_flagged(name: &str, must: &str, output: &str) {
    for (demand, flag) in [
        ("trailing data", "trailing"),
        ("null island", "null-island"),
        ("conflicting positions", "conflict"),
        ("in the future", "future"),
    ] {
        if must.contains(demand) {
            assert!(output.contains(flag), "{name}: {must}: {output}");
        }
    }
    assert!(!output.chars().any(|c| c.is_control() && c != '\n'), "{name}: {output:?}");
}

fn assert_refused_clearly(name: &str, must: &str, errors: &str) {
    let words = if must.contains("names the limit") {
        "over the limit of"
    } else if must.contains("damaged/truncated") {
        "damaged"
    } else if must.contains("not an image") {
        "not an image"
    } else if must.contains("type not allowed") {
        "SVG"
    } else {
        return;
    };
    assert!(errors.contains(words), "{name}: {must}: {errors}");
}

fn names(hostile: &Path) -> Vec<String> {
    let table = std::fs::read(hostile.join("built/shared/filenames.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&table).unwrap();
    assert_eq!(rows.len(), 34);
    rows.iter().map(|row| text(row, "/name")).collect()
}

/// The page of a visit as a signed-in investigator's browser gets it.
fn page(office: &Office, visit: &str) -> String {
    let user = office.vera.id.parse().unwrap();
    let now = office.server.clock().now();
    let secret = office.server.write(|conn| accounts::start_session(conn, &user, now)).unwrap();
    let browser = office.server.with_header("Cookie", &format!("{SESSION_COOKIE}={secret}"));
    browser.get(&format!("/visits/{visit}")).expect(200).text()
}

#[test]
fn a_file_name_stays_a_name_on_the_device() {
    let Some(hostile) = hostile() else { return };
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let camera = tempfile::tempdir().unwrap();
    let mut captured = 0;
    for name in names(&hostile) {
        let path = camera.path().join(&name);
        let one_component = path.parent() == Some(camera.path()) && path.file_name().is_some();
        let there = one_component && std::fs::write(&path, &bytes).is_ok();
        let said = tablet.run(&["capture", &path.to_string_lossy()]);
        if there {
            assert_eq!(said.status, ExitStatus::Success, "{name:?}: {}", said.errors);
            captured += 1;
        } else {
            // Not a photo of this camera: a folder, a path out of it, nothing at all.
            assert_eq!(said.status, ExitStatus::Refused, "{name:?}: {}", said.output);
        }
        for words in [&said.output, &said.errors] {
            assert!(!words.chars().any(|c| c.is_control() && c != '\n'), "{name:?}: {words:?}");
        }
    }
    assert!(captured >= 24, "{captured}");
    tablet.done(&["sync"]);
    assert_only_stores(&office, &tablet.home());
    let shown: BTreeSet<String> =
        office.dossier(&visit)["files"].as_array().unwrap().iter().map(|file| text(file, "/name")).collect();
    for kept in ["фото.jpg", "صورة.jpg", "现场照片.jpg", "🛰️.jpg", "photo.JPG", "-rf.jpg"] {
        assert!(shown.contains(kept), "{kept} is not among {shown:?}");
    }
    assert!(shown.iter().all(|name| !name.contains(['/', '\\', '\n', '\r', '\u{202e}'])), "{shown:?}");
}

#[test]
fn a_file_name_stays_a_name_at_headquarters() {
    let Some(hostile) = hostile() else { return };
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let facts = photo::read(&bytes).unwrap();
    let names = names(&hostile);
    for (number, name) in names.iter().enumerate() {
        // Each a photo of its own: the page shows the same picture once.
        let bytes = [&bytes[..], &[u8::try_from(number).unwrap()]].concat();
        let (record, sealed) = device.photo(&visit, name, &bytes, facts.clone());
        device.accepted(&[&record]);
        let _ = device.upload(&sealed, name).expect(201);
    }
    assert_only_stores(&office, Path::new(""));
    let dossier = office.dossier(&visit);
    let files = dossier["files"].as_array().unwrap();
    assert_eq!(files.len(), names.len());
    for file in files {
        assert_eq!(file["state"], "stored");
        let path = format!("/api/v1/records/{}/original", text(file, "/record"));
        let original = office.investigator().get(&path).expect(200);
        let disposition = original.header("content-disposition");
        let name = text(file, "/name");
        assert!(disposition.starts_with("inline; filename=\""), "{name:?}: {disposition}");
        let quoted = disposition.split('"').nth(1).unwrap();
        assert_eq!(disposition.matches('"').count(), 2, "{name:?}: {disposition}");
        assert!(!quoted.contains(['/', '\\', '<', '%', ';', '\r', '\n']), "{name:?}: {disposition}");
        assert_eq!(original.header("x-header"), "", "{name:?}");
        assert_eq!(original.header("x-content-type-options"), "nosniff");
        assert_eq!(original.header("content-type"), "image/jpeg");
    }
    let page = page(&office, &visit);
    assert!(!page.contains("<img src=x"), "a name is markup on the page");
    assert!(page.contains("img src=x onerror=1"), "the name is not shown");
    assert!(!page.contains("\"quote\".jpg"), "a name ends an attribute");
}

/// Below the data folder and the device's there is nothing but what the stores put there.
fn assert_only_stores(office: &Office, home: &Path) {
    let data = office.server.data_folder();
    for path in files_below(data) {
        let inside: Vec<&str> =
            path.strip_prefix(data).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
        assert!(["files", "keys", "staging"].contains(&inside[0]), "{}", path.display());
        if inside[0] == "files" {
            assert!(inside.len() == 3 && inside[2].parse::<Sha256>().is_ok(), "{}", path.display());
        }
    }
    for path in files_below(home) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c));
        assert!(plain && !name.contains(".."), "{}", path.display());
    }
}

#[test]
fn bodies_that_are_no_json_are_refused_and_nothing_is_written() {
    let Some(hostile) = hostile() else { return };
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let before = (office.dossier(&visit), office.server.check());
    let manager = office.manager();
    let rows = expectations(&hostile, &["json"]);
    for (path, _) in &rows {
        let body = std::fs::read(path).unwrap();
        for endpoint in [
            "/api/v1/auth/login",
            "/api/v1/auth/device-token",
            "/api/v1/devices/enrol",
            "/api/v1/users",
            "/api/v1/checks",
            "/api/v1/visits",
            &format!("/api/v1/visits/{visit}/cancel"),
            &format!("/api/v1/visits/{visit}/reassign"),
        ] {
            let answer = manager.send("POST", endpoint, &[("Content-Type", "application/json")], Some(&body));
            let name = path.display();
            assert_eq!(answer.status, 400, "{name} to {endpoint}: {}", answer.text());
            answer.expect_problem(400, "malformed-json");
        }
        for kind in ["parties", "sites", "licences", "shipments"] {
            let endpoint = format!("/api/v1/import/{kind}");
            let answer =
                manager.send("POST", &endpoint, &[("Content-Type", "application/json")], Some(&body));
            assert!([400, 422].contains(&answer.status), "{} {}", answer.status, answer.text());
            answer.expect_problem(answer.status, &text(&answer.json(), "/code"));
        }
    }
    assert_eq!((office.dossier(&visit), office.server.check()), before);
    // As a record such a body is kept, and set aside.
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let note = device.note(&visit, "goes on");
    let bodies: Vec<Vec<u8>> = rows
        .iter()
        .map(|(path, _)| std::fs::read(path).unwrap().into_iter().filter(|byte| *byte != b'\n').collect())
        .collect();
    let mut sent: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    sent.push(&note);
    let answered = answers(&device.send(&sent));
    let (last, set_aside) = answered.split_last().unwrap();
    assert!(set_aside.iter().all(|answer| answer["quarantine"]["code"] == "malformed-envelope"));
    assert_eq!(last["outcome"], "accepted");
}

/// A server process with the programme, a visit, and the device of its inspector.
struct Siege {
    server: ServerProcess,
    manager: Http,
    visit: String,
    device: HandDevice,
}

impl Siege {
    fn lay() -> Self {
        let server = ServerProcess::start();
        let clock = Clock::default();
        let mut conn = server.database().connect();
        add_user(&mut conn, "ada", "Ada Brandt", &[Role::Manager], clock.now());
        let iris = add_user(&mut conn, "iris", "Iris Holm", &[Role::Inspector], clock.now());
        drop(conn);
        let manager = signed_in(&server, "ada");
        import_programme(&manager);
        let visit = schedule(&manager, SHIPMENT, Some(&iris.id), clock.now());
        let device = HandDevice::enrol(&server, &code(&manager, &iris.id), clock);
        device.pull();
        Self { server, manager, visit, device }
    }

    /// The most memory that the process ever held.
    fn most_resident_kib(&self) -> u64 {
        self.server.most_resident_kib()
    }
}

#[test]
fn a_packed_body_is_refused_within_little_memory() {
    let Some(hostile) = hostile() else { return };
    let siege = Siege::lay();
    let before_kib = siege.most_resident_kib();
    let bomb = std::fs::read(hostile.join("built/shared/archive/body_gzip_bomb_1GB.gz")).unwrap();
    for endpoint in [
        "/api/v1/auth/login",
        "/api/v1/users",
        "/api/v1/checks",
        "/api/v1/import/parties",
        "/api/v1/sync/records",
    ] {
        let http = if endpoint.contains("sync") { siege.device.http() } else { siege.manager.clone() };
        let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
        let answer = http.send("POST", endpoint, &headers, Some(&bomb));
        assert!([413, 415].contains(&answer.status), "{endpoint}: {} {}", answer.status, answer.text());
        answer.expect_problem(answer.status, &text(&answer.json(), "/code"));
    }
    let more_kib = siege.most_resident_kib() - before_kib;
    assert!(more_kib < 64 * 1024, "{more_kib} KiB more");
}

#[test]
fn a_server_that_is_handed_every_hostile_file_keeps_them_all_within_its_memory() {
    let Some(hostile) = hostile() else { return };
    let mut siege = Siege::lay();
    let files: Vec<PathBuf> = [
        "built/shared/png",
        "built/shared/exif",
        "built/shared/jpeg",
        "built/shared/polyglot",
        "corpus/shared",
    ]
    .iter()
    .flat_map(|folder| files_below(&hostile.join(folder)))
    .collect();
    assert!(files.len() > 200, "{}", files.len());
    // The records say that each is this photo, so that capture's refusals are passed by.
    let facts: PhotoFacts = photo::read(&std::fs::read(fixture("photos/02-sign.jpg")).unwrap()).unwrap();
    let mut handed_in = Vec::new();
    for path in &files {
        let bytes = std::fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let (record, sealed) = siege.device.photo(&siege.visit, &name, &bytes, facts.clone());
        handed_in.push((Sha256::of(&record), record, sealed, photo::read(&bytes).is_ok()));
    }
    for batch in handed_in.chunks(50) {
        siege.device.accepted(&batch.iter().map(|(_, record, _, _)| record.as_slice()).collect::<Vec<_>>());
    }
    for (_, _, sealed, _) in &handed_in {
        let _ = siege.device.upload(sealed, "hostile").expect(201);
    }
    let visit = format!("/api/v1/visits/{}", siege.visit);
    let examined = |dossier: &Value| -> BTreeSet<String> {
        let findings = dossier["findings"].as_array().unwrap().iter();
        findings
            .filter(|finding| finding["method"] == "examine-1")
            .map(|finding| text(finding, "/record"))
            .collect()
    };
    let manager = &siege.manager;
    until("a look into every file", || {
        examined(&manager.get(&visit).expect_json(200)).len() == handed_in.len()
    });
    let dossier = manager.get(&visit).expect_json(200);
    assert!(dossier["files"].as_array().unwrap().iter().all(|file| file["state"] == "stored"));
    let said: BTreeSet<(String, String)> = dossier["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (text(finding, "/record"), text(finding, "/signal")))
        .collect();
    for ((hash, _, _, readable), path) in handed_in.iter().zip(&files) {
        let signal = if *readable { "facts-differ" } else { "photo-does-not-decode" };
        assert!(said.contains(&(hash.to_string(), signal.to_owned())), "{}: no {signal}", path.display());
        let original = manager.get(&format!("/api/v1/records/{hash}/original")).expect(200);
        assert_eq!(original.body, std::fs::read(path).unwrap(), "{}", path.display());
        assert_eq!(original.header("x-content-type-options"), "nosniff");
    }
    let most_kib = siege.most_resident_kib();
    println!("{} files, {} MiB at most", files.len(), most_kib / 1024);
    assert!(most_kib <= MAX_RESIDENT_KIB, "{most_kib} KiB");
    let _ = siege.server.get("/readyz").expect(200);
}
