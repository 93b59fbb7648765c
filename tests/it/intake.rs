//! Taking in: whatever a device hands in is kept, answered the same way again, and judged by people.

use chrono::TimeDelta;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::photo::{self, PhotoFacts};
use endcheck_protocol::record::{Act, Task};
use serde_json::{Value, json};

use crate::hand::{HandDevice, answers, file_facts, task};
use crate::office::{Office, fixture, text, until};

const SHIPMENT: &str = "SH-2026-0101";

/// An office, a visit of Iris's and her device, which pulled it.
fn dispatched() -> (Office, String, HandDevice) {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    (office, visit, device)
}

fn sign() -> (Vec<u8>, PhotoFacts) {
    let bytes = std::fs::read(fixture("photos/02-sign.jpg")).unwrap();
    let facts = photo::read(&bytes).unwrap();
    (bytes, facts)
}

fn file(office: &Office, visit: &str) -> Value {
    office.dossier(visit)["files"][0].clone()
}

#[test]
fn a_retry_answers_as_the_first_time_and_changes_nothing() {
    let (office, visit, mut device) = dispatched();
    let records: Vec<Vec<u8>> = (0..5).map(|n| device.note(&visit, &format!("note {n}"))).collect();
    let all: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let first = answers(&device.send(&all[..3]));
    assert!(first.iter().all(|answer| answer["outcome"] == "accepted"));
    let size = office.server.check();
    let again = answers(&device.send(&all[..3]));
    assert!(again.iter().all(|answer| answer["outcome"] == "held"));
    let places = |answers: &[Value]| -> Vec<(Value, Value)> {
        answers.iter().map(|answer| (answer["hash"].clone(), answer["log_index"].clone())).collect()
    };
    assert_eq!(places(&again), places(&first));
    assert_eq!(office.server.check(), size);
    // A batch that is part old, part new, part twice the same.
    let mixed = answers(&device.send(&[all[2], all[3], all[3], all[4]]));
    let outcomes: Vec<&str> = mixed.iter().map(|answer| answer["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[0], "held");
    assert_eq!((outcomes[1], outcomes[3]), ("accepted", "accepted"));
    assert_eq!(mixed[1]["log_index"], mixed[2]["log_index"]);
    assert_eq!(office.server.check(), size + 2);
    assert_eq!(office.dossier(&visit)["record_count"], 5);
    let head = device.head();
    assert_eq!((&head["records_held"], &head["newest"]["seq"]), (&json!(5), &json!(4)));
    // Receipts are the same bytes each time, one for each record.
    let receipts = || device.http().get("/api/v1/sync/receipts?cursor=0").expect_json(200);
    assert_eq!(receipts(), receipts());
    assert_eq!(receipts()["receipts"].as_array().unwrap().len(), 5);
}

#[test]
fn what_cannot_be_accepted_is_kept_byte_for_byte_and_blocks_nothing() {
    let (office, visit, mut device) = dispatched();
    let other = HandDevice::enrolled(&office, &office.tomas);
    let first = device.note(&visit, "first");
    let forged = {
        let honest = device.signed(&device.record(task(&visit), Act::Note { text: "x".to_owned() }));
        let text = String::from_utf8(honest.clone()).unwrap();
        let at = text.find("\"sig\":\"").unwrap() + 8;
        let mut forged = honest;
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        forged
    };
    device.follow(&forged);
    let changed = |device: &HandDevice, pointer: &str, value: Value| {
        let record = device.record(task(&visit), Act::Note { text: "x".to_owned() });
        let mut record = serde_json::to_value(record).unwrap();
        *record.pointer_mut(pointer).unwrap() = value;
        device.signed(&record)
    };
    let newer = changed(&device, "/schema", json!("endcheck-record-9"));
    device.follow(&newer);
    let dream = changed(&device, "/act/kind", json!("dream"));
    device.follow(&dream);
    let foreign = changed(&device, "/device", json!(other.id()));
    device.follow(&foreign);
    let stranger = other.signed(&device.record(task(&visit), Act::Note { text: "x".to_owned() }));
    device.follow(&stranger);
    let noise = b"{\"not\": \"an envelope\"}".to_vec();
    let last = device.note(&visit, "last");

    let sent =
        [&first, &forged, &newer, &dream, &foreign, &stranger, &noise, &last].map(|bytes| bytes.as_slice());
    let answered = answers(&device.send(&sent));
    let codes: Vec<Option<&str>> =
        answered.iter().map(|answer| answer.pointer("/quarantine/code").and_then(Value::as_str)).collect();
    let expected = [
        None,
        Some("bad-signature"),
        Some("unknown-schema"),
        Some("malformed-record"),
        Some("other-device"),
        Some("unknown-key"),
        Some("malformed-envelope"),
        None,
    ];
    assert_eq!(codes, expected);
    let detail = |index: usize| text(&answered[index], "/quarantine/detail");
    assert!(detail(2).contains("endcheck-record-9"), "{}", detail(2));
    assert!(detail(3).contains("dream"), "{}", detail(3));
    for (bytes, answer) in sent.iter().zip(&answered) {
        let hash = text(answer, "/hash");
        assert_eq!(hash, Sha256::of(bytes).as_str());
        let kept = office.investigator().get(&format!("/api/v1/records/{hash}/envelope")).expect(200);
        assert_eq!(&kept.body, bytes, "the exact bytes are kept");
    }
    let dossier = office.dossier(&visit);
    assert_eq!(dossier["notes"], json!(["first", "last"]));
    assert_eq!(
        dossier["devices"][0]["gaps"],
        json!([
            { "kind": "missing", "first_seq": 1, "last_seq": 1, "unreadable": 5 },
            { "kind": "missing", "first_seq": 3, "last_seq": 5, "unreadable": 5 },
        ]),
        "what the device did not sign is told of, and hides no hole"
    );
    let aside = dossier["quarantined"].as_array().unwrap();
    let codes: Vec<&str> = aside.iter().map(|one| one["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["bad-signature", "unknown-schema", "other-device", "unknown-key"]);
    assert_eq!(device.head()["records_held"], 8);
    assert_eq!(answers(&device.send(&sent))[1]["quarantine"], answered[1]["quarantine"], "told again");
}

#[test]
fn a_character_that_a_database_cannot_hold_keeps_no_record_out() {
    let (office, visit, mut device) = dispatched();
    let note = device.note(&visit, "a\0b");
    let kind = {
        let mut record = serde_json::to_value(device.record(
            task(&visit),
            Act::CheckIn { status: endcheck_protocol::record::CheckInStatus::Well, note: None },
        ))
        .unwrap();
        record["act"]["kind"] = "dr\0eam".into();
        device.signed(&record)
    };
    device.follow(&kind);
    let (bytes, facts) = sign();
    let (photo, sealed) = device.photo(&visit, "photo.jpg\0.exe", &bytes, facts);
    let answered = answers(&device.send(&[&note, &kind, &photo]));
    let outcomes: Vec<&str> = answered.iter().map(|answer| answer["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["accepted", "quarantined", "accepted"]);
    let _ = device.upload(&sealed, "photo.jpg\0.exe").expect(201);
    assert_eq!(text(&file(&office, &visit), "/state"), "stored");
    // People's own words are refused with the reason, alike on both databases.
    for control in ['\0', '\u{1b}', '\u{7f}', '\u{85}'] {
        let reason = format!("because{control}of it");
        let reassign = json!({ "reason": reason, "inspector": office.tomas.id });
        let answer = office.manager().post(&format!("/api/v1/visits/{visit}/reassign"), &reassign);
        answer.expect_problem(422, "invalid-fields");
        assert_eq!(text(&answer.json(), "/errors/0/field"), "reason");
        let check = json!({ "shipment": office.shipment(SHIPMENT), "kind": "post_shipment", "trigger": "tip",
            "reason": reason, "due_at": office.server.clock().now() });
        office.manager().post("/api/v1/checks", &check).expect_problem(422, "invalid-fields");
    }
    let lines = json!({ "reason": "One line,\r\n\tand another.", "inspector": office.tomas.id });
    let _ = office.manager().post(&format!("/api/v1/visits/{visit}/reassign"), &lines).expect(200);
}

#[test]
fn forks_and_gaps_of_a_chain_become_findings() {
    let (office, visit, mut device) = dispatched();
    let first = device.note(&visit, "first");
    let second = device.note(&visit, "second");
    device.forget_last();
    let branch = device.note(&visit, "second, on a copy of the device");
    device.accepted(&[&first, &second, &branch]);
    assert_eq!(office.signals(&visit), ["chain-fork"]);
    let _lost = device.note(&visit, "never arrives");
    let after = device.note(&visit, "after the gap");
    device.accepted(&[&after]);
    assert_eq!(office.signals(&visit), ["chain-fork", "chain-gap"]);
    let gaps = office.dossier(&visit)["devices"][0]["gaps"].clone();
    let kinds: Vec<String> = gaps.as_array().unwrap().iter().map(|gap| text(gap, "/kind")).collect();
    assert!(kinds.contains(&"fork".to_owned()) && kinds.contains(&"missing".to_owned()), "{gaps:#}");
    assert_eq!(office.dossier(&visit)["notes"].as_array().unwrap().len(), 4, "both branches are kept");
}

#[test]
fn noise_hides_no_hole_in_a_chain() {
    let (office, visit, mut device) = dispatched();
    let chain: Vec<Vec<u8>> = (0..12).map(|n| device.note(&visit, &format!("note {n}"))).collect();
    let noise: Vec<Vec<u8>> = (0..5).map(|n| format!("{{\"noise\": {n}}}").into_bytes()).collect();
    let sent = [0, 1, 6, 7, 11].map(|seq: usize| chain[seq].as_slice());
    let sent: Vec<&[u8]> = sent.into_iter().chain(noise.iter().map(Vec::as_slice)).collect();
    assert_eq!(answers(&device.send(&sent)).len(), 10);
    let missing = |first: u64, last: u64| json!({ "kind": "missing", "first_seq": first, "last_seq": last, "unreadable": 5 });
    assert_eq!(office.dossier(&visit)["devices"][0]["gaps"], json!([missing(2, 5), missing(8, 10)]));
}

#[test]
fn a_file_may_come_before_its_record_or_after_it() {
    let (office, visit, mut device) = dispatched();
    let (bytes, facts) = sign();
    let (record, sealed) = device.photo(&visit, "after.jpg", &bytes, facts.clone());
    device.accepted(&[&record]);
    assert_eq!(text(&file(&office, &visit), "/state"), "awaited");
    assert_eq!(device.head()["awaited"], json!([Sha256::of(&sealed)]));
    let _ = device.upload(&sealed, "after.jpg").expect(201);
    assert_eq!(text(&file(&office, &visit), "/state"), "stored");

    let (record, sealed) = device.photo(&visit, "before.jpg", &bytes, facts);
    let _ = device.upload(&sealed, "before.jpg").expect(201);
    device.accepted(&[&record]);
    let stored =
        || office.dossier(&visit)["files"].as_array().unwrap().iter().all(|f| f["state"] == "stored");
    until("the file of the later record", stored);
    assert_eq!(device.head()["awaited"], json!([]));
    office.tick();
    assert_eq!(office.dossier(&visit)["files"][1]["thumbnail"], true);
}

#[test]
fn bytes_that_nobody_names_expire() {
    let (office, visit, mut device) = dispatched();
    let sealed = device.seal(b"nobody names this");
    let _ = device.upload(&sealed, "x").expect(201);
    office.server.clock().advance(TimeDelta::hours(169));
    assert_eq!(office.tick().uploads_expired, 1);
    let record =
        device.add(task(&visit), Act::Track { file: file_facts("x", b"nobody names this", &sealed) });
    device.accepted(&[&record]);
    assert_eq!(device.head()["awaited"], json!([Sha256::of(&sealed)]), "it is asked for again");
}

#[test]
fn a_file_that_does_not_open_to_what_was_signed_is_kept_and_told() {
    let (office, visit, mut device) = dispatched();
    let (bytes, facts) = sign();
    // Not sealed at all, though its digest is the one signed.
    let loose = b"these bytes were never sealed".to_vec();
    let act = |file| Act::Photo { file, purpose: None, caption: None, facts: Box::new(facts.clone()) };
    let first = device.add(task(&visit), act(file_facts("loose.jpg", &bytes, &loose)));
    // Sealed, but to another plaintext than signed.
    let swapped = device.seal(b"another photo");
    let second = device.add(task(&visit), act(file_facts("swapped.jpg", &bytes, &swapped)));
    // Sealed to somebody else.
    let elsewhere = age::encrypt(&age::x25519::Identity::generate().to_public(), &bytes).unwrap();
    let third = device.add(task(&visit), act(file_facts("elsewhere.jpg", &bytes, &elsewhere)));
    device.accepted(&[&first, &second, &third]);
    for sealed in [&loose, &swapped, &elsewhere] {
        let _ = device.upload(sealed, "x").expect(201);
        let kept = office.server.data_folder().join("files");
        let name = Sha256::of(sealed);
        let path = kept.join(&name.as_str()[..2]).join(name.as_str());
        assert_eq!(&std::fs::read(path).unwrap(), sealed, "the bytes are kept as they came");
    }
    let dossier = office.dossier(&visit);
    for file in dossier["files"].as_array().unwrap() {
        assert_eq!(text(file, "/state"), "unreadable");
        assert!(!text(file, "/problem").is_empty());
        let original = format!("/api/v1/records/{}/original", text(file, "/record"));
        office.investigator().get(&original).expect_problem(409, "file-not-stored");
    }
    assert!(office.signals(&visit).contains(&"file-does-not-open".to_owned()));
    let head = device.head();
    assert_eq!(head["awaited"], json!([]), "sending them again would change nothing");
    let unreadable = head["unreadable"].as_array().unwrap();
    assert_eq!(unreadable.len(), 3);
    assert!(unreadable.iter().all(|file| !text(file, "/problem").is_empty()));
    let receipts = device.http().get("/api/v1/sync/receipts").expect_json(200);
    assert_eq!(
        receipts["receipts"].as_array().unwrap().len(),
        3,
        "no file receipt: the device keeps its copies"
    );
}

#[test]
fn a_stored_file_that_cannot_be_read_holds_no_other_up() {
    let (office, visit, mut device) = dispatched();
    let (bytes, facts) = sign();
    let (first, first_sealed) = device.photo(&visit, "lost.jpg", &bytes[..bytes.len() - 1], facts.clone());
    let (second, second_sealed) = device.photo(&visit, "whole.jpg", &bytes, facts);
    device.accepted(&[&first, &second]);
    let _ = device.upload(&first_sealed, "lost.jpg").expect(201);
    let name = Sha256::of(&bytes[..bytes.len() - 1]);
    let path = office.server.data_folder().join("files").join(&name.as_str()[..2]).join(name.as_str());
    std::fs::remove_file(path).unwrap();
    let _ = device.upload(&second_sealed, "whole.jpg").expect(201);
    office.tick();
    let dossier = office.dossier(&visit);
    let of = |record: &[u8]| Sha256::of(record);
    let files = dossier["files"].as_array().unwrap();
    let file = |record: &[u8]| files.iter().find(|file| file["record"] == of(record).as_str()).unwrap();
    assert_eq!(file(&second)["thumbnail"], true, "{files:#?}");
    assert_eq!(file(&first)["thumbnail"], false);
    let found =
        dossier["findings"].as_array().unwrap().iter().any(|finding| {
            finding["record"] == of(&first).as_str() && finding["signal"] == "pixels-not-checked"
        });
    assert!(found, "{:#}", dossier["findings"]);
    office.tick();
}

#[test]
fn a_photo_that_does_not_decode_is_kept_with_a_finding() {
    let (office, visit, mut device) = dispatched();
    let (whole, facts) = sign();
    let cut = &whole[..whole.len() / 2];
    let (first, first_sealed) = device.photo(&visit, "cut.jpg", cut, facts.clone());
    let (second, second_sealed) = device.photo(&visit, "words.jpg", b"<html>not a photo</html>", facts);
    device.accepted(&[&first, &second]);
    for sealed in [&first_sealed, &second_sealed] {
        let _ = device.upload(sealed, "x").expect(201);
    }
    office.tick();
    let signals = office.signals(&visit);
    assert!(signals.contains(&"photo-does-not-decode".to_owned()), "{signals:?}");
    let dossier = office.dossier(&visit);
    for (file, bytes) in dossier["files"].as_array().unwrap().iter().zip([cut, b"<html>not a photo</html>"]) {
        assert_eq!(text(file, "/state"), "stored", "{file:#}");
        let path = format!("/api/v1/records/{}/original", text(file, "/record"));
        assert_eq!(office.investigator().get(&path).expect(200).body, bytes);
    }
    let found = |record: &[u8]| {
        let hash = Sha256::of(record);
        dossier["findings"].as_array().unwrap().iter().any(|finding| {
            finding["record"] == hash.as_str()
                && text(finding, "/signal").ends_with("-not-decode")
                && !text(finding, "/explanations").is_empty()
        })
    };
    assert!(found(&first) && found(&second), "{:#}", dossier["findings"]);
}

#[test]
fn a_body_is_never_unpacked_past_the_limit() {
    let (office, _, mut device) = dispatched();
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        device.http().send("POST", "/api/v1/sync/records", headers, Some(body))
    };
    let bomb = zstd::encode_all(std::io::Read::take(std::io::repeat(b'0'), 1 << 30), 3).unwrap();
    assert!(bomb.len() < 200_000);
    send(&[("Content-Encoding", "zstd")], &bomb).expect_problem(413, "body-too-large");
    send(&[("Content-Encoding", "zstd")], b"not packed").expect_problem(400, "malformed-zstd");
    send(&[("Content-Encoding", "br")], b"x").expect_problem(415, "unknown-encoding");
    send(&[], "{}\n".repeat(201).as_bytes()).expect_problem(413, "body-too-large");
    assert_eq!(device.head()["records_held"], 0);
    let size = office.server.check();
    let note = device.add(Task::default(), Act::Note { text: "packed".to_owned() });
    let packed = zstd::encode_all(note.as_slice(), 3).unwrap();
    let http = device.http();
    let sent = http.send("POST", "/api/v1/sync/records", &[("Content-Encoding", "zstd")], Some(&packed));
    assert_eq!(answers(&sent)[0]["outcome"], "accepted");
    assert_eq!(office.server.check(), size + 1);
}

#[test]
fn an_agent_of_another_protocol_is_told_plainly() {
    let (office, visit, mut device) = dispatched();
    let note = device.note(&visit, "x");
    let http = office.server.with_token(&device.token());
    let send = |http: &endcheck_tests::Http| http.send("POST", "/api/v1/sync/records", &[], Some(&note));
    for path in ["/api/v1/sync/head", "/api/v1/sync/receipts"] {
        http.get(path).expect_problem(400, "protocol-missing");
    }
    send(&http).expect_problem(400, "protocol-missing");
    let older = send(&http.with_header("endcheck-protocol", "0"));
    older.expect_problem(426, "agent-too-old");
    assert!(text(&older.json(), "/detail").contains("update endcheck"));
    send(&http.with_header("endcheck-protocol", "2")).expect_problem(400, "agent-too-new");
    send(&http.with_header("endcheck-protocol", "one")).expect_problem(400, "protocol-missing");
    assert_eq!(device.head()["records_held"], 0);
}
