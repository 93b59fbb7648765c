//! What a bag holds, and that it comes out the same.

use ed25519_dalek::SigningKey;
use endcheck::ExitStatus;
use endcheck_protocol::envelope::{RECORD_TYPE, sign};
use endcheck_protocol::record::Act;
use serde_json::{Value, json};

use super::{Case, unpack};
use crate::hand::{HandDevice, answers, task};
use crate::office::{Office, text};
use crate::tablet::{Tablet, files_below};

#[test]
fn a_bag_holds_the_case_and_everything_in_it_verifies() {
    let case = Case::new();
    let answer = case.exported("");
    assert_eq!(answer.header("content-type"), "application/x-tar");
    let archive = case.folder.path().join("case.tar");
    std::fs::write(&archive, &answer.body).unwrap();
    let said = case.verify(&archive);
    assert_eq!(said.status, ExitStatus::Success, "{}{}", said.output, said.errors);
    for check in [
        "bag-whole",
        "bag-in-log",
        "record-visit",
        "record-time",
        "original",
        "record-signature",
        "record-order",
        "nothing-left-out",
        "what-was-considered",
        "approval-in-log",
        "ledger-entry",
        "ledger-order",
        "checklist",
    ] {
        assert!(said.output.contains(check), "{check} is not among the checks: {}", said.output);
    }
    assert!(said.output.contains("made after") && said.output.contains("and before"), "{}", said.output);
    let bag = unpack(&answer.body, &case.folder.path().join("bag"));
    case.holds(&bag);
    for path in [
        "data/report.html",
        "data/VERIFY.md",
        "data/CERTIFICATE-draft.md",
        "data/custody.jsonl",
        "data/findings.json",
        "data/log/checkpoint",
        "data/log/policy",
        "data/bundle.json",
        "bag.tlog-proof",
    ] {
        assert!(bag.join(path).is_file(), "{path}");
    }
    assert_eq!(files_below(&bag.join("data/original")).len(), 2);
    let certificate = std::fs::read_to_string(bag.join("data/CERTIFICATE-draft.md")).unwrap();
    assert!(certificate.contains("RFC 8032") && !certificate.contains("FAILED"), "{certificate}");
    let report = std::fs::read_to_string(bag.join("data/report.html")).unwrap();
    assert!(report.contains("Another serial.") && report.contains("The gate was open."));
    assert!(!report.contains("<script"));
    let findings: Value =
        serde_json::from_slice(&std::fs::read(bag.join("data/findings.json")).unwrap()).unwrap();
    assert!(findings.as_array().unwrap().iter().any(|finding| finding["signal"] == "photo-outside-fence"));
}

#[test]
fn the_same_state_gives_the_same_bytes_and_later_acts_do_not_change_it() {
    let case = Case::new();
    let visit = &case.visit;
    let otherwise = |reason: &str| {
        let all = case.office.dossier(visit)["determinations"].as_array().unwrap().clone();
        let again =
            json!({ "outcome": "unverified", "reason": reason, "replaces": all.last().unwrap()["id"] });
        text(&case.office.determine(visit, &again).expect_json(201), "/id")
    };
    let waiting = otherwise("Once more.");
    let first = case.exported("");
    let size = first.header("endcheck-log-size").to_owned();
    case.office.server.clock().advance(chrono::TimeDelta::days(3));
    // Now another one counts than did then.
    let approval = format!("/api/v1/determinations/{waiting}/approve");
    let _approved = case.office.as_person(&case.office.omar).post(&approval, &json!({})).expect(200);
    let _later = otherwise("And again.");
    case.office.tick();
    let same = case.exported(&format!("&as_of={size}"));
    assert_eq!(same.header("endcheck-bag-sha256"), first.header("endcheck-bag-sha256"));
    assert!(same.body == first.body, "the archives differ");
    case.office.tick();
    let ledger = case.office.investigator().get(&format!("/api/v1/visits/{visit}/custody")).expect(200);
    assert!(ledger.text().contains(&format!("as the log of {size} entries shows it")), "{}", ledger.text());
    let later = case.exported("");
    assert_ne!(later.header("endcheck-bag-sha256"), first.header("endcheck-bag-sha256"));
    let path = format!("/api/v1/visits/{visit}/bundle?why=x&as_of=999999");
    case.office.investigator().get(&path).expect_problem(422, "invalid-fields");
    case.office
        .investigator()
        .get(&format!("/api/v1/visits/{visit}/bundle?why="))
        .expect_problem(422, "invalid-fields");
}

#[test]
fn what_the_device_did_not_sign_spoils_no_bag() {
    let office = Office::with_programme();
    let tablet = Tablet::enrolled(&office, &office.iris);
    let visit = office.schedule(super::SHIPMENT, Some(&office.iris));
    let mut device = HandDevice::enrolled(&office, &office.iris);
    device.pull();
    let honest = device.note(&visit, "first");
    let forged = |device: &HandDevice, words: &str| {
        let record = device.record(task(&visit), Act::Note { text: words.to_owned() });
        sign(RECORD_TYPE, &record, &SigningKey::from_bytes(&[7; 32])).unwrap()
    };
    // Ahead of the record whose number it takes, and behind it.
    let ahead = forged(&device, "by anybody, ahead");
    let next = device.note(&visit, "second");
    let outcomes = answers(&device.send(&[&honest, &ahead, &next, &forged(&device, "by anybody, behind")]));
    let outcomes: Vec<String> = outcomes.iter().map(|answer| text(answer, "/outcome")).collect();
    assert_eq!(outcomes, ["accepted", "quarantined", "accepted", "quarantined"]);
    office.tick();
    assert!(!office.signals(&visit).iter().any(|signal| signal.starts_with("chain-")));
    assert_eq!(office.dossier(&visit)["quarantined"].as_array().unwrap().len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let bag = unpack(&super::export(&office, &visit, "").body, &folder.path().join("bag"));
    assert_eq!(files_below(&bag.join("data/records")).len(), 2);
    let policy = folder.path().join("policy");
    std::fs::write(&policy, office.server.get("/log/policy").expect(200).text()).unwrap();
    let said = tablet.run(&["verify", &bag.display().to_string(), "--policy", &policy.display().to_string()]);
    // Nobody closed the visit; nothing else is wrong with the bag.
    assert_eq!(said.status, ExitStatus::VERIFY_NOT_CHECKED, "{}", said.output);
    assert!(!said.output.contains("FAILED"), "{}", said.output);
}

#[test]
fn what_is_done_with_the_evidence_stands_in_the_ledger() {
    let case = Case::new();
    let dossier = case.office.dossier(&case.visit);
    let photo = text(&dossier, "/files/0/record");
    let investigator = case.office.investigator();
    for what in ["thumbnail", "original"] {
        let _seen = investigator.get(&format!("/api/v1/records/{photo}/{what}")).expect(200);
    }
    // Somebody who has no business with the visit learns nothing, and is remembered.
    let stranger = case.office.as_person(&case.office.tomas);
    for path in [
        format!("/api/v1/visits/{}", case.visit),
        format!("/api/v1/visits/{}/bundle?why=x", case.visit),
        format!("/api/v1/records/{photo}/original"),
        format!("/api/v1/records/{photo}/envelope"),
    ] {
        stranger.get(&path).expect_problem(404, "not-found");
    }
    case.exported("");
    let path = format!("/api/v1/visits/{}/custody", case.visit);
    let entries = investigator.get(&path).expect_json(200)["entries"].as_array().unwrap().clone();
    let acts: Vec<String> = entries
        .iter()
        .filter(|entry| entry["note"]["kind"] == "custody")
        .map(|entry| text(entry, "/note/act"))
        .collect();
    for act in
        ["captured", "sealed", "received", "verified", "released", "viewed", "copied", "exported", "refused"]
    {
        assert!(acts.iter().any(|found| found == act), "nobody noted {act}: {acts:?}");
    }
    assert_eq!(acts.iter().filter(|act| *act == "refused").count(), 4);
    let refused = entries.iter().find(|entry| entry["note"]["act"] == "refused").unwrap();
    assert_eq!(text(refused, "/note/name"), case.office.tomas.name);
    let exported = entries.iter().find(|entry| entry["note"]["act"] == "exported").unwrap();
    assert!(text(exported, "/note/why").contains("For the court."));
    let numbers: Vec<u64> = entries.iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>());
    // Whoever looked at the ledger and then at the visit looked at both; at either again, once an hour.
    let omar = case.office.as_person(&case.office.omar);
    for path in [&path, &format!("/api/v1/visits/{}", case.visit), &path] {
        assert_eq!(omar.get(path).status, 200);
    }
    case.office.tick();
    let entries = investigator.get(&path).expect_json(200)["entries"].as_array().unwrap().clone();
    let theirs = entries.iter().filter(|entry| entry["note"]["name"] == *case.office.omar.name);
    assert_eq!(theirs.filter(|entry| entry["note"]["act"] == "viewed").count(), 2, "{entries:#?}");
}

#[test]
fn a_redaction_stands_beside_its_original_or_in_its_place_and_names_it() {
    let case = Case::new();
    let size = case.exported("").header("endcheck-log-size").to_owned();
    let dossier = case.office.dossier(&case.visit);
    let files = dossier["files"].as_array().unwrap();
    let photo = files.iter().find(|file| file["name"] == "03-mast-outside-fence.jpg").unwrap();
    let path = format!("/api/v1/records/{}/redactions?why=A+face+is+hidden.", text(photo, "/record"));
    let redacted = std::fs::read(crate::office::fixture("photos/02-sign.jpg")).unwrap();
    let send = |media_type: &str, body: &[u8]| {
        case.office.investigator().send("POST", &path, &[("Content-Type", media_type)], Some(body))
    };
    let made = send("image/jpeg", &redacted).expect_json(201);
    assert_eq!(send("image/jpeg", &redacted).expect_json(201), made, "a retry changes nothing");
    send("text/html", &redacted).expect_problem(415, "not-a-redaction");
    send("image/png", &redacted).expect_problem(422, "invalid-fields");
    send("image/jpeg", b"").expect_problem(422, "invalid-fields");

    let beside = unpack(&case.exported("").body, &case.folder.path().join("beside"));
    case.holds(&beside);
    assert_eq!(files_below(&beside.join("data/original")).len(), 2);
    assert_eq!(files_below(&beside.join("data/derived")).len(), 1);
    let instead = unpack(&case.exported("&redacted=true").body, &case.folder.path().join("instead"));
    assert_eq!(files_below(&instead.join("data/original")).len(), 1);
    let derived = files_below(&instead.join("data/derived"));
    assert_eq!(std::fs::read(&derived[0]).unwrap(), redacted);
    let said = case.verify(&instead);
    assert_eq!(said.status as u8, 2, "{}", said.output);
    let complaints = case.complaints(&instead);
    assert!(
        complaints.iter().all(|one| one.contains("a redacted file stands in its place")),
        "{complaints:?}"
    );
    std::fs::write(&derived[0], b"another").unwrap();
    assert_eq!(case.verify(&instead).status, ExitStatus::Refused);

    // A state from before the redaction gives the face away no more than the present one.
    let before = unpack(
        &case.exported(&format!("&redacted=true&as_of={size}")).body,
        &case.folder.path().join("before"),
    );
    assert_eq!(files_below(&before.join("data/original")).len(), 1);
    let complaints = case.complaints(&before);
    assert!(!complaints.is_empty());
    assert!(
        complaints.iter().all(|one| one.contains("of the same bytes in another visit or later")),
        "{complaints:?}"
    );
}

#[test]
fn the_command_line_exports_and_audits_as_the_interface_does() {
    let case = Case::new();
    let out = case.folder.path().join("case.tar");
    let said = case.office.server.run_program(&[
        "export",
        &case.visit,
        "--why",
        "For the court.",
        "--out",
        &out.display().to_string(),
    ]);
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    case.holds(&out);
    let again = case.office.server.run_program(&[
        "export",
        &case.visit,
        "--why",
        "Again.",
        "--out",
        &out.display().to_string(),
    ]);
    assert!(!again.status.success(), "an existing file is never overwritten");
    let audit = case.office.server.run_program(&["verify"]);
    assert!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stdout));
}

#[test]
fn redacted_bytes_stay_out_whichever_record_names_them() {
    let office = crate::office::Office::with_programme();
    let tablet = crate::tablet::Tablet::enrolled(&office, &office.iris);
    let visit = office.schedule(super::SHIPMENT, Some(&office.iris));
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    let photo = crate::office::fixture("photos/03-mast-outside-fence.jpg");
    for _ in 0..2 {
        tablet.done(&["capture", &photo.display().to_string()]);
    }
    tablet.done(&["sync"]);
    office.tick();
    let files = office.dossier(&visit)["files"].as_array().unwrap().clone();
    assert_eq!(files.len(), 2);
    let redacted = |of: &Value, with: &str| {
        let path = format!("/api/v1/records/{}/redactions?why=A+face.", text(of, "/record"));
        let body = std::fs::read(crate::office::fixture(with)).unwrap();
        let sent = office.investigator().send("POST", &path, &[("Content-Type", "image/jpeg")], Some(&body));
        let _made = sent.expect(201);
    };
    let folder = tempfile::tempdir().unwrap();
    let bag = |name: &str| {
        unpack(&super::export(&office, &visit, "&redacted=true").body, &folder.path().join(name))
    };
    redacted(&files[0], "photos/02-sign.jpg");
    assert!(!bag("one").join("data/original").exists(), "the other record's original is the same photo");
    // One redaction for both records: each has its own proof.
    redacted(&files[1], "photos/02-sign.jpg");
    let both = bag("both");
    assert_eq!(files_below(&both.join("data/derived")).len(), 1);
    let policy = folder.path().join("policy");
    std::fs::write(&policy, office.server.get("/log/policy").expect(200).text()).unwrap();
    let said =
        tablet.run(&["verify", &both.display().to_string(), "--policy", &policy.display().to_string()]);
    assert_eq!(said.status, ExitStatus::VERIFY_NOT_CHECKED, "{}", said.output);
    assert!(said.output.contains("no device closed the visit"), "{}", said.output);
}

#[test]
fn an_export_that_is_refused_is_no_export_and_an_unknown_visit_has_no_ledger() {
    let case = Case::new();
    let bundle = format!("/api/v1/visits/{}/bundle?why=x&as_of=999999", case.visit);
    let investigator = case.office.investigator();
    investigator.get(&bundle).expect_problem(422, "invalid-fields");
    case.office.tick();
    let path = format!("/api/v1/visits/{}/custody", case.visit);
    let entries = investigator.get(&path).expect_json(200);
    let acts = entries["entries"].as_array().unwrap().iter().map(|entry| &entry["note"]["act"]);
    assert_eq!(acts.filter(|act| *act == "exported").count(), 0);
    let unknown = "/api/v1/visits/01a2093b-72bc-73d3-abdf-ebce4065b684/custody";
    investigator.get(unknown).expect_problem(404, "not-found");
}

#[test]
fn a_stored_file_that_was_damaged_breaks_the_export_off() {
    let mut case = Case::new();
    case.office.server.damaged();
    let dossier = case.office.dossier(&case.visit);
    let sha256 = text(&dossier, "/files/0/sha256");
    let stored = files_below(case.office.server.data_folder())
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(&sha256))
        .unwrap();
    let mut bytes = std::fs::read(&stored).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&stored, bytes).unwrap();
    let out = case.folder.path().join("damaged.tar");
    let said = case.office.server.run_program(&[
        "export",
        &case.visit,
        "--why",
        "x",
        "--out",
        &out.display().to_string(),
    ]);
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && errors.contains("other bytes in the store"), "{errors}");
    assert!(!out.exists());
}
