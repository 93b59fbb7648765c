//! Day keys between devices and headquarters: renewal, running out, one long key, a copied store.

use chrono::TimeDelta;
use ed25519_dalek::SigningKey;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{CERTIFICATE_TYPE, Envelope, public_key_to_base64};
use endcheck_protocol::sync::{DeviceCertificate, Renewal};
use endcheck_server::clock::Clock;
use serde_json::{Value, json};

use crate::hand::{HandDevice, answers, task};
use crate::office::{Office, text};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";

/// An office, a visit in it, and a clock for the device beside the server's.
fn story() -> (Office, String, Tablet) {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    (office, visit, tablet)
}

fn days(office: &Office, days: i64) {
    office.server.clock().advance(TimeDelta::days(days));
}

fn device(tablet: &Tablet) -> String {
    text(&tablet.line(&["status"]), "/device")
}

fn certificates(office: &Office, device: &str) -> Vec<(String, DeviceCertificate)> {
    let listed = office.investigator().get(&format!("/api/v1/devices/{device}/papers")).expect_json(200);
    let read = |issued: &Value| {
        let envelope = text(issued, "/certificate");
        let payload = Envelope::read(envelope.as_bytes(), CERTIFICATE_TYPE).unwrap().payload;
        (envelope, canonical::read(&payload).unwrap())
    };
    listed["certificates"].as_array().unwrap().iter().map(read).collect()
}

/// What the log's key events commit to, oldest first.
fn key_events(office: &Office) -> Vec<String> {
    use diesel::prelude::*;
    use endcheck_server::db::schema::log_entries;
    let mut conn = office.server.app().connection().unwrap();
    log_entries::table
        .filter(log_entries::kind.eq("key-event"))
        .order(log_entries::idx)
        .select(log_entries::subject)
        .load(&mut conn)
        .unwrap()
}

#[test]
fn a_device_renews_its_keys_in_time_and_every_certificate_stays() {
    let (office, visit, tablet) = story();
    let keys = |tablet: &Tablet| tablet.line(&["status"])["record_keys"].clone();
    assert_eq!(keys(&tablet)["days_left"], 90);
    assert!(tablet.line(&["sync"])["keys_until"].is_null(), "there is time");
    days(&office, 40);
    tablet.done(&["note", "On the fortieth day."]);
    let last = office.server.clock().now().day() + TimeDelta::days(89);
    assert_eq!(text(&tablet.line(&["sync"]), "/keys_until"), last.to_string());
    assert_eq!(keys(&tablet)["days_left"], 90);
    days(&office, 85);
    let noted = tablet.line(&["note", "By a renewed key."]);
    tablet.done(&["sync"]);
    let signals = office.signals(&visit);
    assert!(
        !signals.iter().any(|signal| signal.contains("key-of") || signal.contains("expired")),
        "{signals:?}"
    );

    let issued = certificates(&office, &device(&tablet));
    assert_eq!(issued.len(), 3);
    assert_eq!(issued[0].1.record_keys.len(), 90);
    assert_eq!(issued[1].1.record_keys.len(), 40, "no day has two keys");
    let envelope =
        office.investigator().get(&format!("/api/v1/records/{}/envelope", text(&noted, "/record")));
    let keyid =
        Envelope::read(&envelope.expect(200).body, endcheck_protocol::envelope::RECORD_TYPE).unwrap().keyid;
    assert!(issued[1].1.record_keys.iter().any(|key| key.fingerprint == keyid));
    let hashes: Vec<String> =
        issued.iter().map(|(text, _)| Sha256::of(text.as_bytes()).to_string()).collect();
    assert_eq!(key_events(&office), hashes, "each is logged, and its text opens the entry");

    let folder = tempfile::tempdir().unwrap();
    let (papers, policy) = (folder.path().join("papers"), folder.path().join("policy"));
    std::fs::write(&policy, office.server.get("/log/policy").expect(200).text()).unwrap();
    tablet.done(&["receipts", &papers.display().to_string()]);
    let said =
        tablet.done(&["verify", &papers.display().to_string(), "--policy", &policy.display().to_string()]);
    assert!(said.contains("Everything holds"), "{said}");
}

#[test]
fn a_device_that_ran_out_of_keys_records_on_and_headquarters_sees_it() {
    let (office, visit, tablet) = story();
    days(&office, 120);
    let said = tablet.run(&["note", "Far away."]);
    assert!(said.errors.contains("headquarters will see that"), "{}", said.errors);
    tablet.done(&["sync"]);
    let signals = office.signals(&visit);
    for expected in ["key-of-another-day", "certificate-expired"] {
        assert!(signals.contains(&expected.to_owned()), "{signals:?}");
    }
    let said = tablet.run(&["note", "Back again."]);
    assert!(!said.errors.contains("headquarters will see that"), "{}", said.errors);
    tablet.done(&["sync"]);
    assert_eq!(office.signals(&visit).iter().filter(|signal| *signal == "key-of-another-day").count(), 1);
}

#[test]
fn a_copied_store_forks_the_chain_and_both_branches_are_kept() {
    let (office, visit, tablet) = story();
    tablet.done(&["sync"]);
    let thief = tablet.copied(Clock::default());
    days(&office, 1);
    tablet.done(&["note", "What was seen on the second day."]);
    tablet.done(&["sync"]);
    // The copy still has the first day's key, which the device has erased.
    thief.done(&["note", "What somebody wants to have been seen on the first."]);
    let thief = thief.copied(office.server.clock().clone());
    thief.done(&["sync"]);
    let dossier = office.dossier(&visit);
    assert_eq!(dossier["notes"].as_array().unwrap().len(), 2, "{dossier:#}");
    let signals = office.signals(&visit);
    assert!(signals.contains(&"chain-fork".to_owned()), "{signals:?}");
    assert!(!signals.contains(&"key-of-another-day".to_owned()), "{signals:?}");

    // Copied after the day had closed, it cannot be dated back unnoticed.
    let late = tablet.copied(Clock::default());
    let said = late.run(&["note", "Dated back."]);
    assert!(said.errors.contains("the key of that day is erased"), "{}", said.errors);
    let late = late.copied(office.server.clock().clone());
    late.done(&["sync"]);
    assert!(office.signals(&visit).contains(&"key-of-another-day".to_owned()));
}

fn asked(keys: &[(&SigningKey, chrono::NaiveDate)]) -> Value {
    let key = |(key, day): &(&SigningKey, chrono::NaiveDate)| json!({ "day": day, "key": public_key_to_base64(&key.verifying_key()) });
    json!({ "record_keys": keys.iter().map(key).collect::<Vec<_>>() })
}

#[test]
fn a_device_with_one_long_key_renews_to_day_keys_and_both_stay_good() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    let before = device.note(&visit, "By the long key.");
    let today = office.server.clock().now().day();
    let fresh: Vec<SigningKey> = (1..=4).map(|seed| SigningKey::from_bytes(&[seed; 32])).collect();
    let week_ago = today - TimeDelta::days(7);
    let too_late = today + TimeDelta::days(400);
    let request = asked(&[
        (&fresh[0], today),
        (&fresh[1], today + TimeDelta::days(1)),
        (&fresh[2], week_ago),
        (&fresh[3], too_late),
    ]);
    let renew = |request: &Value| device.http().post("/api/v1/devices/me/renew", request);
    let answer = renew(&request).expect_json(200);
    let size = office.server.check();
    assert_eq!(renew(&request).expect_json(200), answer, "a retry answers as the first did");
    assert_eq!(office.server.check(), size);
    let renewal: Renewal = serde_json::from_value(answer).unwrap();
    let envelope = Envelope::read(renewal.certificate.as_bytes(), CERTIFICATE_TYPE).unwrap();
    let certificate: DeviceCertificate = canonical::read(&envelope.payload).unwrap();
    let listed: Vec<_> = certificate.record_keys.iter().map(|key| (key.first_day, key.last_day)).collect();
    assert_eq!(listed, [(today, today), (today + TimeDelta::days(1), today + TimeDelta::days(1))]);

    renew(&asked(&[(&fresh[2], week_ago)])).expect_problem(422, "invalid-fields");
    renew(&asked(&[(&fresh[0], today), (&fresh[2], today + TimeDelta::days(2))]))
        .expect_problem(409, "key-enrolled");
    office
        .as_person(&office.iris)
        .post("/api/v1/devices/me/renew", &request)
        .expect_problem(403, "device-required");
    assert_eq!(certificates(&office, device.id().as_str()).len(), 2);

    let long = std::mem::replace(&mut device.record_key, fresh[1].clone());
    let wrong_day = device.note(&visit, "By tomorrow's key.");
    device.record_key = fresh[0].clone();
    let right_day = device.note(&visit, "By today's key.");
    device.record_key = long;
    let after = device
        .add(task(&visit), endcheck_protocol::record::Act::Note { text: "By the long key again.".into() });
    for answer in answers(&device.send(&[&before, &wrong_day, &right_day, &after])) {
        assert_eq!(answer["outcome"], "accepted", "{answer:#}");
    }
    let dossier = office.dossier(&visit);
    let marked: Vec<String> = dossier["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["signal"] == "key-of-another-day")
        .map(|finding| text(finding, "/record"))
        .collect();
    assert_eq!(marked, [Sha256::of(&wrong_day).to_string()]);

    let path = format!("/api/v1/devices/{}/revoke", device.id());
    let _ = office.manager().post(&path, &json!({ "reason": "lost" })).expect_json(200);
    device.http().post("/api/v1/devices/me/renew", &request).expect_problem(403, "device-revoked");
    let papers =
        office.investigator().get(&format!("/api/v1/devices/{}/papers", device.id())).expect_json(200);
    let revocation = text(&papers, "/revocation");
    assert!(revocation.contains("lost"), "{revocation}");
    assert_eq!(key_events(&office).last(), Some(&Sha256::of(revocation.as_bytes()).to_string()));
}
