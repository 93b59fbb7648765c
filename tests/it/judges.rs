//! Independent judges: programs that others wrote agree with what ours says.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::hand::HandDevice;
use crate::office::Office;
use crate::tablet::Tablet;
use endcheck_tests::workspace_root;

const SHIPMENT: &str = "SH-2026-0101";

/// Runs the Go program of `tests/judges` on a log; answers what it printed.
pub fn go_says(arguments: &[&str]) -> Result<String, String> {
    let ran = Command::new("go")
        .arg("run")
        .arg(workspace_root().join("tests/judges/log.go"))
        .args(arguments)
        // Debian's golang-golang-x-mod-dev; nothing is fetched.
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "-mod=mod")])
        .output()
        .expect("go runs: install golang-go and golang-golang-x-mod-dev");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
}

pub fn kept(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_go_checksum_database_s_code_accepts_the_log_its_proofs_and_its_growth() {
    let office = Office::with_programme();
    let folder = tempfile::tempdir().unwrap();
    let get = |path: &str| office.server.get(path).expect(200);
    let key = get("/log/policy").text().lines().find_map(|line| Some(line.strip_prefix("log ")?.to_owned()));
    let key = key.unwrap();
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    device.pull();
    let mut arguments = vec![format!("{}/log", office.server.base_url()), key];
    let mut hashes = Vec::new();
    // Past one full tile.
    for batch in 0..3 {
        let old = kept(folder.path(), &format!("old-{batch}"), &get("/log/checkpoint").text());
        arguments.extend(["-old".to_owned(), old]);
        let envelopes: Vec<Vec<u8>> = (0..100).map(|at| device.note(&visit, &format!("note {at}"))).collect();
        hashes.push(endcheck_protocol::digest::Sha256::of(&envelopes[57]));
        device.accepted(&envelopes.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let investigator = office.investigator();
    for hash in &hashes {
        let proof = investigator.get(&format!("/api/v1/records/{hash}/proof")).expect(200).text();
        arguments.push(kept(folder.path(), &format!("{hash}.tlog-proof"), &proof));
    }
    let tablet = Tablet::enrolled(&office, &office.tomas);
    let visit = office.schedule(SHIPMENT, Some(&office.tomas));
    tablet.done(&["pull"]);
    tablet.done(&["open", &visit]);
    tablet.done(&["note", "By the agent."]);
    tablet.done(&["sync"]);
    let receipts = folder.path().join("receipts");
    tablet.done(&["receipts", &receipts.display().to_string()]);
    let mut receipts: Vec<_> =
        std::fs::read_dir(&receipts).unwrap().map(|entry| entry.unwrap().path()).collect();
    receipts.retain(|path| path.extension().is_some_and(|end| end == "tlog-proof"));
    assert_eq!(receipts.len(), 2, "{receipts:?}");
    arguments.extend(receipts.iter().map(|path| path.display().to_string()));

    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let size = office.server.check();
    assert_eq!(go_says(&arguments), Ok(format!("entries {size}, proofs 5, older checkpoints 3")));

    let proof = std::fs::read_to_string(&receipts[0]).unwrap();
    let forged = kept(folder.path(), "forged", &proof.replacen("index ", "index 1", 1));
    assert!(go_says(&[arguments[0], arguments[1], &forged]).is_err(), "the judge can say no");
}

#[test]
fn the_log_is_there_for_everybody_and_nothing_else_is_in_it() {
    let office = Office::with_programme();
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    device.pull();
    let note = device.note(&visit, "Not for everybody.");
    device.accepted(&[&note]);
    let checkpoint = office.server.get("/log/checkpoint").expect(200);
    assert_eq!(checkpoint.header("content-type"), "text/plain; charset=utf-8");
    let size: u64 = checkpoint.text().lines().nth(1).unwrap().parse().unwrap();
    let bundle = office.server.get(&format!("/log/tile/entries/000.p/{size}")).expect(200);
    let entries = String::from_utf8_lossy(&bundle.body).into_owned();
    for secret in [visit.as_str(), device.id().as_str(), "Not for everybody", "iris"] {
        assert!(!entries.contains(secret), "{secret}");
    }
    assert!(bundle.header("cache-control").contains("immutable"));
    for path in ["0/001", "0/000.p/255", "entries/0", "1/000.p/1", "x", ""] {
        office.server.get(&format!("/log/tile/{path}")).expect_problem(404, "not-found");
    }
    let hashes = office.server.get(&format!("/log/tile/0/000.p/{size}")).expect(200);
    assert_eq!(hashes.body.len() as u64, size * 32);
}

#[test]
fn a_record_made_after_a_log_that_is_not_ours_is_a_finding() {
    let office = Office::with_programme();
    let mut device = HandDevice::enrolled(&office, &office.iris);
    let visit = office.schedule(SHIPMENT, Some(&office.iris));
    device.pull();
    let anchored = |device: &mut HandDevice, size: u64, root: &str| {
        let act = endcheck_protocol::record::Act::Note { text: "x".to_owned() };
        let mut record = device.record(crate::hand::task(&visit), act);
        record.anchor = Some(endcheck_protocol::record::Anchor { size, root: root.parse().unwrap() });
        let envelope = device.signed(&record);
        device.follow(&envelope);
        device.accepted(&[&envelope]);
    };
    let found = || {
        let dossier = office.dossier(&visit);
        let findings = dossier["findings"].as_array().unwrap();
        findings.iter().filter(|finding| finding["signal"] == "anchor-not-in-log").count()
    };
    let head = device.head();
    let checkpoint = head["log"]["checkpoint"].as_str().unwrap();
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let root =
        office.server.app().connection().map(|mut conn| endcheck_server::log::root_at(&mut conn, size));
    anchored(&mut device, size, root.unwrap().unwrap().as_str());
    assert_eq!(found(), 0, "{head:#?}");
    anchored(&mut device, size, &"0".repeat(64));
    anchored(&mut device, size + 1000, &"0".repeat(64));
    assert_eq!(found(), 2);
    assert!(matches!(head["log"]["consistency"], Value::Array(_)));
}
