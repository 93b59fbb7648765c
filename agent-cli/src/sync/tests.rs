//! Syncs against a headquarters that answers as a test says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, RECEIPT_TYPE};
use endcheck_protocol::sync::{Receipt, RecordAnswer, RecordOutcome, SyncHead};
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
            let call = first.trim().trim_end_matches(" HTTP/1.1").to_owned();
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
        "awaited": [], "unreadable": [], "uploads": [] })
}

fn page(receipts: &[String], cursor: i64) -> Value {
    json!({ "receipts": receipts, "cursor": cursor, "more": false })
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
        log_index: 7,
        salt: "00".to_owned(),
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
    told("GET /api/v1/sync/receipts?cursor=0", page(&[file_receipt(&device)], 8));
    told("GET /api/v1/sync/receipts?cursor=8", page(&[], 8));
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
