//! Syncs against a headquarters that answers as a test says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ed25519_dalek::SigningKey;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, Envelope, RECEIPT_TYPE};
use endcheck_protocol::merkle::{CompactRange, leaf_hash};
use endcheck_protocol::sync::{Receipt, RecordAnswer, RecordOutcome, SyncHead};
use endcheck_protocol::tlog::{Checkpoint, LogSigner};
use serde_json::{Value, json};

use super::lost_some;
use crate::refusal::ExitStatus;
use crate::store::Counts;
use crate::testing::{self, Device};

type Answers = Arc<Mutex<BTreeMap<String, Value>>>;
type Asked = Arc<Mutex<Vec<String>>>;

/// Headquarters: answers by `METHOD path`, else 404; goes away after `farewell` was asked for.
fn headquarters(farewell: &'static str) -> (String, Answers, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answers = Answers::new(Mutex::new(BTreeMap::from([
        ("POST /api/v1/auth/device-token".to_owned(), json!({ "access_token": "t", "expires_in": 900 })),
        ("PUT /api/v1/devices/me/inventory".to_owned(), json!({})),
        ("GET /api/v1/sync/head".to_owned(), head(0)),
        ("GET /api/v1/sync/receipts?cursor=0".to_owned(), page(&[], 0)),
    ])));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (known, heard) = (Arc::clone(&answers), Arc::clone(&asked));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            lines.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                match line.trim().to_lowercase().split_once(": ") {
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).unwrap();
            let call = first.trim().trim_end_matches(" HTTP/1.1");
            let call = call.split(['?', '&']).filter(|part| !part.starts_with("log_size="));
            let call = call.collect::<Vec<_>>().join("?");
            let answer = match call.as_str() {
                "POST /api/v1/sync/records" => Some(accepted(&body)),
                call => known.lock().unwrap().get(call).cloned(),
            };
            let status = if answer.is_some() { "200 OK" } else { "404 Not Found" };
            let answer = answer.unwrap_or(Value::Null).to_string();
            let length = answer.len();
            let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
            heard.lock().unwrap().push(call.clone());
            if call == farewell {
                drop(listener);
                stream.write_all((head + &answer).as_bytes()).unwrap();
                return;
            }
            stream.write_all((head + &answer).as_bytes()).unwrap();
        }
    });
    (url, answers, asked)
}

fn head(records_held: u64) -> Value {
    json!({ "server_at": "2026-11-23T08:00:00Z", "records_held": records_held, "newest": null,
        "awaited": [], "unreadable": [], "uploads": [], "log": log(None) })
}

/// A page of receipts of an empty log.
fn page(receipts: &[String], cursor: i64) -> Value {
    page_of(&log(None), receipts, cursor)
}

/// A page of receipts whose log has one entry at most.
fn page_of(log: &Value, receipts: &[String], cursor: i64) -> Value {
    let paths: Vec<[u8; 0]> = receipts.iter().map(|_| []).collect();
    json!({ "receipts": receipts, "cursor": cursor, "more": false, "log": log, "hashes": [], "paths": paths })
}

/// The state of an empty log, or of one that holds the entry of a receipt.
fn log(receipt: Option<&str>) -> Value {
    let mut range = CompactRange::default();
    if let Some(receipt) = receipt {
        let envelope = Envelope::read(receipt.as_bytes(), RECEIPT_TYPE).unwrap();
        let receipt: Receipt = canonical::read(&envelope.payload).unwrap();
        range.push(leaf_hash(&receipt.logged().unwrap().1.entry.to_bytes().unwrap()));
    }
    let checkpoint = Checkpoint::signed(range.size(), range.root(), &testing::log_signer());
    json!({ "checkpoint": checkpoint, "consistency": [] })
}

fn accepted(body: &[u8]) -> Value {
    let lines = zstd::stream::decode_all(body).unwrap();
    let answers: Vec<Value> = lines
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| json!({ "hash": Sha256::of(line), "outcome": "accepted", "log_index": 0 }))
        .collect();
    json!({ "server_at": "2026-11-23T08:00:00Z", "answers": answers })
}

/// Marks everything as answered by headquarters, as an earlier sync did.
fn answered(device: &Device, outcome: RecordOutcome) {
    let mut store = device.store();
    let unsent = store.unsent_records().unwrap();
    let answers: Vec<RecordAnswer> = unsent
        .into_iter()
        .map(|record| RecordAnswer { hash: record.hash, outcome, log_index: 0, quarantine: None })
        .collect();
    store.keep_answers(&answers).unwrap();
}

fn file_receipt(device: &Device) -> String {
    let mut store = device.store();
    let waiting = store.waiting_files().unwrap().remove(0);
    let held = store.record(&waiting.record).unwrap().unwrap().record;
    let file = held.act.file().unwrap();
    let receipt = Receipt::File {
        device: held.device.clone(),
        record: waiting.record,
        sha256: file.sha256.clone(),
        sealed_sha256: file.sealed_sha256.clone(),
        size_bytes: file.size_bytes,
        stored_at: "2026-11-23T08:00:00Z".parse().unwrap(),
        log_index: 0,
        salt: "00".repeat(32),
    };
    String::from_utf8(envelope::sign(RECEIPT_TYPE, &receipt, &testing::authority()).unwrap()).unwrap()
}

#[test]
fn records_are_lost_when_fewer_are_held_than_were_answered_for() {
    let counts = |held, quarantined| Counts { unsent: 5, held, quarantined };
    for (confirmed, records_held, lost) in [
        (counts(3, 0), 3, false),
        (counts(3, 0), 2, true),
        (counts(3, 2), 5, false),
        (counts(3, 2), 4, true),
        (counts(0, 0), 0, false),
        (counts(0, 0), 9, false),
    ] {
        let head: SyncHead = serde_json::from_value(head(records_held)).unwrap();
        assert_eq!(lost_some(&confirmed, &head), lost, "{confirmed:?} {records_held}");
    }
}

#[test]
fn receipts_that_were_passed_by_are_sought_once_from_the_first() {
    let (url, answers, asked) = headquarters("");
    let device = Device::enrolled_at(&url);
    device.json(&["open", device.visit.as_str()]);
    device.json(&["capture", &device.photo("a.png")]);
    answered(&device, RecordOutcome::Accepted);
    device.store().set(crate::store::RECEIPT_CURSOR, &100).unwrap();
    let told = |call: &str, answer: Value| answers.lock().unwrap().insert(call.to_owned(), answer);
    told("GET /api/v1/sync/head", head(2));
    told("GET /api/v1/sync/receipts?cursor=100", page(&[], 100));
    // There is none: sought once, and not again for this file.
    for searches in [1, 1] {
        let (status, printed, complained) = device.run(&["sync"]);
        assert_eq!(status, ExitStatus::Partly, "{printed}{complained}");
        let first = |call: &&String| call.ends_with("cursor=0");
        assert_eq!(asked.lock().unwrap().iter().filter(first).count(), searches);
        device.store().set(crate::store::RECEIPT_CURSOR, &100).unwrap();
    }
    // Headquarters begins its numbers anew: so do we.
    told("GET /api/v1/sync/receipts?cursor=100", page(&[], 50));
    let receipt = file_receipt(&device);
    let after = log(Some(&receipt));
    told("GET /api/v1/sync/receipts?cursor=8", page_of(&after, &[], 8));
    told("GET /api/v1/sync/receipts?cursor=0", page_of(&after, &[receipt], 8));
    let summary = device.json(&["sync"]);
    assert_eq!(
        (&summary[0]["files_confirmed"], &summary[0]["files_waiting"]["files"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(std::fs::read_dir(device.environment.home.join("sealed")).unwrap().count(), 0);
}

#[test]
fn a_dead_server_is_not_tried_for_every_file() {
    let (url, answers, _) = headquarters("POST /api/v1/sync/records");
    answers.lock().unwrap().remove("GET /api/v1/sync/receipts?cursor=0");
    let device = Device::enrolled_at(&url);
    device.json(&["open", device.visit.as_str()]);
    for _ in 0..9 {
        device.json(&["capture", &device.photo("a.png")]);
    }
    let begun = Instant::now();
    let (status, printed, complained) = device.run(&["sync"]);
    assert_eq!(status, ExitStatus::Partly, "{printed}{complained}");
    assert!(printed.contains("more files were not tried"), "{printed}");
    assert!(complained.contains("try 2 of 5 follows"), "{complained}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    let held = device.json(&["status"]);
    assert_eq!(held[0]["files_without_receipt"]["files"], 9);
}

#[test]
fn files_of_records_that_were_set_aside_are_told_apart() {
    let (url, answers, _) = headquarters("");
    let device = Device::enrolled_at(&url);
    device.json(&["open", device.visit.as_str()]);
    device.json(&["capture", &device.photo("a.png")]);
    answered(&device, RecordOutcome::Quarantined);
    answers.lock().unwrap().insert("GET /api/v1/sync/head".to_owned(), head(2));
    let (status, printed, complained) = device.run(&["sync"]);
    assert_eq!(status, ExitStatus::Success, "{printed}{complained}");
    assert!(printed.contains("1 file belongs") && !printed.contains("sync again"), "{printed}");
    assert_eq!(device.json(&["status"])[0]["files_set_aside"]["files"], 1);
}

#[test]
fn a_log_that_does_not_continue_the_one_known_stops_the_sync_until_it_is_accepted() {
    let (url, answers, asked) = headquarters("");
    let device = Device::enrolled_at(&url);
    device.json(&["open", device.visit.as_str()]);
    device.json(&["capture", &device.photo("a.png")]);
    let receipt = file_receipt(&device);
    let with_log = |log: Value| {
        let mut head = head(0);
        head["log"] = log.clone();
        let mut answers = answers.lock().unwrap();
        answers.insert("GET /api/v1/sync/head".to_owned(), head);
        answers.insert("GET /api/v1/sync/receipts?cursor=0".to_owned(), page_of(&log, &[], 0));
    };
    let handed_in = || asked.lock().unwrap().iter().filter(|call| call.contains("sync/records")).count();
    with_log(log(Some(&receipt)));
    device.run(&["sync"]);
    assert_eq!(handed_in(), 1);
    device.json(&["note", "after the first sync"]);

    let other = {
        let mut range = CompactRange::default();
        range.push(leaf_hash(b"rewritten"));
        let checkpoint = Checkpoint::signed(1, range.root(), &testing::log_signer());
        json!({ "checkpoint": checkpoint, "consistency": [] })
    };
    let mut forged = other.clone();
    let by_another = LogSigner::new("log.example.org", SigningKey::from_bytes(&[7; 32])).unwrap();
    forged["checkpoint"] = Checkpoint::signed(1, leaf_hash(b"x"), &by_another).into();
    for (offered, why) in [
        (other.clone(), "do not continue"),
        (log(None), "0 entries, and had 1"),
        (forged, "nobody who is trusted"),
    ] {
        with_log(offered);
        for _ in 0..2 {
            let (status, _, complained) = device.run(&["sync"]);
            assert_eq!(status, ExitStatus::Refused, "{complained}");
            assert!(complained.contains(why) && complained.contains("--accept-log"), "{complained}");
        }
    }
    assert_eq!(handed_in(), 1, "nothing was handed in");
    let status = &device.json(&["status"])[0];
    let conflicts = status["log_conflicts"].as_array().unwrap();
    assert_eq!(conflicts.len(), 3, "each is kept once, with both checkpoints: {conflicts:#?}");
    assert!(conflicts.iter().all(|one| one["held"] != one["offered"] && one["held"] != ""));

    with_log(other);
    let (_, _, complained) = device.run(&["sync", "--accept-log"]);
    assert!(complained.contains("both checkpoints are kept"), "{complained}");
    assert_eq!(handed_in(), 2);
    assert_eq!(device.json(&["status"])[0]["log_conflicts"].as_array().unwrap().len(), 3);
}

#[test]
fn a_receipt_that_is_not_in_the_log_lets_nothing_go() {
    let (url, answers, _) = headquarters("");
    let device = Device::enrolled_at(&url);
    device.json(&["open", device.visit.as_str()]);
    device.json(&["capture", &device.photo("a.png")]);
    answered(&device, RecordOutcome::Accepted);
    let receipt = file_receipt(&device);
    let mut elsewhere = log(None);
    elsewhere["checkpoint"] = Checkpoint::signed(1, leaf_hash(b"other"), &testing::log_signer()).into();
    let mut answers = answers.lock().unwrap();
    answers.insert("GET /api/v1/sync/head".to_owned(), head(2));
    answers.insert("GET /api/v1/sync/receipts?cursor=0".to_owned(), page_of(&elsewhere, &[receipt], 1));
    answers.insert("GET /api/v1/sync/receipts?cursor=1".to_owned(), page_of(&elsewhere, &[], 1));
    drop(answers);
    let (status, _, complained) = device.run(&["sync"]);
    assert_eq!(status, ExitStatus::Partly);
    assert!(complained.contains("not in headquarters' log"), "{complained}");
    assert_eq!(std::fs::read_dir(device.environment.home.join("sealed")).unwrap().count(), 1);
}
