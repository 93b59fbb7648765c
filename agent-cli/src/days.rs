//! Record keys of a device over the days, without a server.

use diesel::prelude::*;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{Envelope, RECORD_TYPE, public_key_from_base64};
use serde_json::Value;

use crate::refusal::ExitStatus;
use crate::store::schema::{day_keys, settings};
use crate::testing::{self, Device};

const DAYS: [(&str, &str); 4] = [
    ("2026-02-28", "2026-03-01"),
    ("2026-03-02", "2026-03-02"),
    ("2026-03-03", "2026-03-03"),
    ("2026-03-04", "2026-03-04"),
];

fn device(clock: &str) -> Device {
    let mut device = Device::enrolled_with("http://127.0.0.1:9/", &DAYS);
    device.set_clock(clock);
    device
}

fn database(device: &Device) -> SqliteConnection {
    SqliteConnection::establish(device.environment.home.join("endcheck.db").to_str().unwrap()).unwrap()
}

/// The sealed secrets of all keys, by their days.
fn secrets(device: &Device) -> Vec<Vec<u8>> {
    let query = day_keys::table.order(day_keys::last_day).select(day_keys::sealed_secret);
    query.load(&mut database(device)).unwrap()
}

/// The last day of the key that signed the newest record.
fn signed_by(device: &Device) -> String {
    let mut store = device.store();
    let envelope = Envelope::read(device.envelopes().last().unwrap(), RECORD_TYPE).unwrap();
    let key = store.public_keys(std::slice::from_ref(&envelope.keyid)).unwrap().pop().unwrap();
    envelope.verify(&public_key_from_base64(&key).unwrap()).unwrap();
    let query = day_keys::table.find(envelope.keyid.as_str()).select(day_keys::last_day);
    query.first(&mut database(device)).unwrap()
}

#[test]
fn the_key_of_a_day_that_has_closed_is_in_no_file_of_the_store() {
    let mut device = device("2026-03-01T23:59:00Z");
    device.json(&["open", device.visit.clone().as_str()]);
    assert_eq!(signed_by(&device), "2026-03-01");
    let before = secrets(&device);
    assert!(before.iter().all(|secret| secret.len() > 64 && device.holds(secret)));
    // Another agent's open connection must not keep the write-ahead log alive.
    let mut other = database(&device);
    let _: i64 = day_keys::table.count().get_result(&mut other).unwrap();
    device.set_clock("2026-03-03T00:00:01Z");
    device.json(&["note", "the third"]);
    assert_eq!(signed_by(&device), "2026-03-03");
    let held: Vec<bool> = before.iter().map(|secret| device.holds(secret)).collect();
    assert_eq!(held, [false, false, true, true]);
    assert!(secrets(&device)[0].is_empty());
    let status = device.json(&["status"]);
    assert_eq!(status[0]["record_keys"]["days_left"], 2);
    let (_, _, complained) = device.run(&["status"]);
    assert!(complained.contains("record keys for 2 more days"), "{complained}");
}

#[test]
fn a_clock_set_back_or_run_out_keys_never_stop_the_recording() {
    let mut device = device("2026-03-03T08:00:00Z");
    device.json(&["open", device.visit.clone().as_str()]);
    for (clock, signs, told) in [
        ("2026-03-01T08:00:00Z", "2026-03-03", "the key of that day is erased"),
        ("2026-03-09T08:00:00Z", "2026-03-04", "keys ended on 2026-03-04"),
        ("2026-03-03T08:00:00Z", "2026-03-04", "Set the clock right"),
    ] {
        device.set_clock(clock);
        let (status, _, complained) = device.run(&["note", "on it goes"]);
        assert!(status == ExitStatus::Success && complained.contains(told), "{complained}");
        assert_eq!(signed_by(&device), signs, "{clock}");
    }
    let (_, _, complained) = device.run(&["status"]);
    assert!(complained.contains("no record key for today"), "{complained}");
}

#[test]
fn keys_that_were_kept_together_are_taken_apart_and_leave_no_trace() {
    let mut device = device("2026-03-01T08:00:00Z");
    diesel::delete(day_keys::table).execute(&mut database(&device)).unwrap();
    let recipient = device.hq.to_public().to_string();
    let document = testing::identity_document("http://127.0.0.1:9/", vec![recipient], &testing::ALL_DAYS);
    // As earlier versions kept it: one key, beside the one that signs in.
    let mut document = serde_json::to_value(&document).unwrap();
    let secret = document["keys"]["record_secrets"][0].take();
    document["keys"].as_object_mut().unwrap().remove("record_secrets");
    document["keys"]["record_secret"] = secret;
    device.store().set("identity", &document).unwrap();
    let query = settings::table.find("identity").select(settings::sealed_value);
    let together: Vec<u8> = query.first(&mut database(&device)).unwrap();
    assert!(device.holds(&together));

    device.json(&["open", device.visit.clone().as_str()]);
    assert_eq!(signed_by(&device), "2099-12-31");
    assert!(!device.holds(&together));
    let kept: Value = device.store().setting("identity").unwrap().unwrap();
    assert!(kept["keys"].get("record_secret").is_none() && kept["keys"].get("record_secrets").is_none());
    device.set_clock("2026-03-02T08:00:00Z");
    device.json(&["note", "the next day"]);
    assert_eq!(signed_by(&device), "2099-12-31");
}

#[test]
fn keys_to_be_certified_are_for_days_without_one_and_the_same_until_they_are() {
    let device = device("2026-03-03T08:00:00Z");
    let mut store = device.store();
    let days = |keys: &[crate::store::FreshKey]| -> Vec<String> {
        keys.iter().map(|key| key.day.to_string()).collect()
    };
    let fingerprints = |keys: &[crate::store::FreshKey]| -> Vec<Sha256> {
        let public = |key: &crate::store::FreshKey| key.secret.key().unwrap().verifying_key();
        keys.iter().map(|key| Sha256::of(public(key).as_bytes())).collect()
    };
    let today = "2026-03-03".parse().unwrap();
    let asked = store.keys_to_certify(today, 4).unwrap();
    assert_eq!(days(&asked), ["2026-03-05", "2026-03-06"]);
    let again = store.keys_to_certify("2026-03-04".parse().unwrap(), 90).unwrap();
    assert_eq!(fingerprints(&again), fingerprints(&asked));
    let later = store.keys_to_certify("2026-03-08".parse().unwrap(), 2).unwrap();
    assert_eq!(days(&later), ["2026-03-08", "2026-03-09"], "keys for days that are over are of no use");
}
