//! Visits whose records come in sealed, since the device was closed before it could sync.

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::package;
use serde_json::json;

use crate::hand::{HandDevice, answers};
use crate::office::{Office, fixture, text};
use crate::tablet::Tablet;

const SHIPMENT: &str = "SH-2026-0101";

#[test]
fn a_visit_that_was_closed_before_the_sync_comes_in_whole() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.record_visit(&visit, "");
    tablet.done(&["close", "completed"]);
    let status = tablet.line(&["status"]);
    let records = status["records"]["unsent"].clone();
    let files = status["files_without_receipt"]["files"].clone();
    let summary = tablet.line(&["sync"]);
    assert_eq!((&summary["records_sent"], &summary["files_confirmed"]), (&records, &files), "{summary:#}");
    assert_eq!(tablet.sealed_copies(), 0, "receipts fit records that the device can no longer read");
    let dossier = office.dossier(&visit);
    assert_eq!(text(&dossier, "/visit/state"), "closed");
    assert_eq!(dossier["record_count"], records);
    assert!(dossier["obstacles"].as_array().unwrap().is_empty(), "{:#}", dossier["obstacles"]);
    assert!(dossier["devices"][0]["gaps"].as_array().unwrap().is_empty());
    assert!(
        !office.signals(&visit).iter().any(|signal| signal.starts_with("chain")),
        "{:?}",
        office.signals(&visit)
    );
    let size = office.server.check();
    let again = tablet.line(&["sync"]);
    assert_eq!((&again["records_sent"], &again["files_sent"]), (&json!(0), &json!(0)));
    assert_eq!(office.server.check(), size);
}

#[test]
fn two_visits_at_once_come_in_in_the_order_of_the_chain() {
    let office = Office::with_programme();
    let visits = [0, 1].map(|_| office.schedule(SHIPMENT, Some(&office.iris)));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    for visit in &visits {
        tablet.done(&["open", visit]);
    }
    for number in 0..6 {
        tablet.done(&["note", &format!("Note {number}."), "--visit", &visits[number % 2]]);
    }
    tablet.done(&["close", "partial", "--visit", &visits[0]]);
    tablet.done(&["check-in"]);
    tablet.done(&["note", "Added later.", "--visit", &visits[0]]);
    let summary = tablet.line(&["sync"]);
    assert_eq!(summary["records_sent"], 11, "{summary:#}");
    tablet.done(&["note", "Seven.", "--visit", &visits[1]]);
    tablet.done(&["close", "partial", "--visit", &visits[1]]);
    tablet.done(&["sync"]);
    for visit in &visits {
        let signals = office.signals(visit);
        assert!(!signals.iter().any(|signal| signal.starts_with("chain")), "{signals:?}");
        assert_eq!(office.dossier(visit)["notes"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn receipts_are_written_out_without_records_that_are_sealed() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let tablet = Tablet::enrolled(&office, &office.iris);
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["capture", &fixture("photos/02-sign.jpg").display().to_string()]);
    tablet.done(&["sync"]);
    tablet.done(&["close", "partial"]);
    tablet.done(&["sync"]);
    assert_eq!(tablet.line(&["status"])["records"]["held"], 3);
    let folder = tempfile::tempdir().unwrap();
    let papers = folder.path().join("papers");
    tablet.done(&["receipts", &papers.display().to_string()]);
    let names: Vec<String> = std::fs::read_dir(&papers)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let count = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    assert_eq!((count("-receipt.dsse.json"), count(".tlog-proof")), (4, 4), "{names:?}");
    assert_eq!(count(".dsse.json"), 4, "the records themselves cannot be read any more: {names:?}");
}

#[test]
fn sealed_records_are_answered_as_if_they_were_sent_openly() {
    let office = Office::with_programme();
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    let notes: Vec<Vec<u8>> = (0..4).map(|number| device.note(&visit, &format!("Note {number}."))).collect();
    let seal = |envelopes: &[&[u8]]| {
        let lines = package::lines(envelopes.iter().copied());
        device.seal(&zstd::encode_all(lines.as_slice(), 3).unwrap())
    };
    let send = |packages: &[&[u8]]| {
        let body = package::frame(packages.iter().copied()).unwrap();
        let headers = [("Content-Type", package::SEALED_RECORDS_TYPE)];
        device.http().send("POST", "/api/v1/sync/records", &headers, Some(&body))
    };
    let forged = b"no envelope".as_slice();
    let (first, second) = (seal(&[&notes[0], forged]), seal(&[&notes[1], &notes[2]]));
    let answered = answers(&send(&[&first, &second]));
    let outcomes: Vec<&str> = answered.iter().map(|answer| answer["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["accepted", "quarantined", "accepted", "accepted"]);
    assert_eq!(answered[0]["hash"], Sha256::of(&notes[0]).as_str());
    let size = office.server.check();
    let held = |answers: Vec<serde_json::Value>| answers.iter().all(|answer| answer["outcome"] == "held");
    assert!(held(answers(&send(&[&second, &first]))), "a retry changes nothing");
    assert!(held(answers(&device.send(&[&notes[0], &notes[1]]))), "nor does sending them openly");
    assert_eq!(office.server.check(), size);

    let stranger = age::encrypt(&office.server.escrow().to_public(), b"to escrow alone").unwrap();
    let third = seal(&[&notes[3]]);
    send(&[&third, &stranger]).expect_problem(422, "sealed-records-do-not-open");
    send(&[&third[..third.len() - 1]]).expect_problem(422, "sealed-records-do-not-open");
    let cut = package::frame([third.as_slice()]).unwrap();
    let headers = [("Content-Type", package::SEALED_RECORDS_TYPE)];
    device
        .http()
        .send("POST", "/api/v1/sync/records", &headers, Some(&cut[..cut.len() - 1]))
        .expect_problem(400, "malformed-packages");
    assert_eq!(office.server.check(), size, "what is refused leaves nothing behind");
    assert_eq!(answers(&send(&[&third]))[0]["outcome"], "accepted");
}
