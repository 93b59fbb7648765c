//! Random and deliberate changes of a bag, by somebody who merely changes it and by somebody who makes its
//! manifests anew: none that means something else passes. `make drill` makes many, `make test` some.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use endcheck::ExitStatus;
use endcheck_protocol::bag;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, Envelope, RECORD_TYPE, public_key_to_base64};
use endcheck_protocol::merkle::leaf_hash;
use endcheck_protocol::record::{Act, Record};
use endcheck_protocol::sync::{DeviceCertificate, RecordKey};
use endcheck_protocol::tlog::{Checkpoint, EntryKind, Opening, TlogProof};
use serde_json::Value;

use super::{Case, export, unpack, visited};
use crate::tablet::files_below;

/// Rounds, each of some fifty changes; the drill makes more.
fn rounds() -> usize {
    let asked: Option<usize> =
        std::env::var("ENDCHECK_DRILL_CHANGES").ok().and_then(|text| text.parse().ok());
    asked.map_or(6, |changes| (changes / 5).max(1))
}

/// What stands beside the bag and is about it: without the one the other is needed no more.
const BESIDE: [&str; 2] = [bag::PROOF, bag::CONTINUES];

/// What is only told and signed by nobody: the bag's hash in the log covers it, and nothing else does.
const TOLD: [&str; 8] = [
    "data/report.html",
    "data/VERIFY.md",
    "data/CERTIFICATE-draft.md",
    "data/findings.json",
    "data/bundle.json",
    "data/log/policy",
    "bag-info.txt",
    "bagit.txt",
];

/// Makes the manifests of an unpacked bag anew, as a forger would.
pub fn remake_manifests(folder: &Path) {
    let hashes = |paths: Vec<PathBuf>| -> BTreeMap<String, Sha256> {
        paths
            .into_iter()
            .map(|path| {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                (name, Sha256::of(&std::fs::read(path).unwrap()))
            })
            .collect()
    };
    let write = |name: &str, files: &BTreeMap<String, Sha256>| {
        let text = bag::manifest(files.iter().map(|(path, hash)| (path.as_str(), hash)));
        std::fs::write(folder.join(name), text).unwrap();
    };
    write(bag::MANIFEST, &hashes(files_below(&folder.join("data"))));
    let tags = [bag::DECLARATION, bag::INFO, bag::MANIFEST].map(|name| folder.join(name));
    write(bag::TAG_MANIFEST, &hashes(tags.to_vec()));
}

/// An unpacked bag that is changed, judged, and put back.
struct Forger<'a> {
    case: &'a Case,
    folder: PathBuf,
    whole: BTreeMap<PathBuf, Vec<u8>>,
    caught: BTreeMap<&'static str, usize>,
}

impl<'a> Forger<'a> {
    fn new(case: &'a Case) -> Self {
        let folder = case.unpacked("forged");
        let whole = files_below(&folder).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap()));
        Self { case, whole: whole.collect(), folder, caught: BTreeMap::new() }
    }

    fn below(&self, prefix: &str) -> Vec<PathBuf> {
        let under = |path: &&PathBuf| self.name(path).starts_with(prefix);
        self.whole.keys().filter(under).cloned().collect()
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap().display().to_string()
    }

    fn write(&self, path: &Path, content: &[u8]) {
        std::fs::write(path, content).unwrap();
    }

    fn restore(&self) {
        for path in files_below(&self.folder) {
            if !self.whole.contains_key(&path) {
                std::fs::remove_file(path).unwrap();
            }
        }
        for (path, content) in &self.whole {
            if std::fs::read(path).ok().as_ref() != Some(content) {
                std::fs::write(path, content).unwrap();
            }
        }
    }

    /// A plain change must not pass; nor the same with manifests made anew and the bag's own proof taken out,
    /// unless it concerns only what is told.
    #[track_caller]
    fn try_change(&mut self, kind: &'static str, told: bool, change: impl Fn(&Self)) {
        change(self);
        let said = self.case.verify(&self.folder);
        assert_ne!(said.status, ExitStatus::Success, "{kind}: {}", said.output);
        remake_manifests(&self.folder);
        let said = self.case.verify(&self.folder);
        assert_ne!(said.status, ExitStatus::Success, "{kind}, manifests made anew: {}", said.output);
        let _ = std::fs::remove_file(self.folder.join(bag::PROOF));
        let complaints = self.case.complaints(&self.folder);
        let beyond = complaints.iter().filter(|one| !one.starts_with("bag-in-log")).count();
        assert!(told || beyond > 0, "{kind}: only the missing proof of the bag is told: {complaints:#?}");
        *self.caught.entry(kind).or_default() += 1;
        self.restore();
    }

    fn is_told(&self, path: &Path) -> bool {
        TOLD.contains(&self.name(path).as_str())
    }
}

#[test]
fn no_change_of_a_bag_that_means_something_else_passes() {
    let case = Case::new();
    let mut forger = Forger::new(&case);
    let all: Vec<PathBuf> = forger
        .whole
        .keys()
        .filter(|path| !forger.name(path).ends_with("manifest-sha256.txt"))
        .cloned()
        .collect();
    for _ in 0..rounds() {
        for path in &all {
            let whole = forger.whole[path].clone();
            let at = fastrand::usize(..whole.len());
            let bit = 1 << fastrand::u8(..8);
            let (told, proof) = (forger.is_told(path), BESIDE.contains(&forger.name(path).as_str()));
            forger.try_change("bits flipped", told || proof, |forger| {
                let mut bytes = whole.clone();
                bytes[at] ^= bit;
                forger.write(path, &bytes);
            });
        }
        let two = |paths: &[PathBuf]| {
            let first = fastrand::usize(..paths.len());
            (paths[first].clone(), paths[(first + 1) % paths.len()].clone())
        };
        for folder in ["data/records/", "data/original/", "data/proofs/", "data/determinations/"] {
            let (one, other) = two(&forger.below(folder));
            forger.try_change("files swapped", folder == "data/proofs/", |forger| {
                forger.write(&one, &forger.whole[&other]);
                forger.write(&other, &forger.whole[&one]);
            });
            forger.try_change("files put in another's place", false, |forger| {
                forger.write(&one, &forger.whole[&other]);
            });
        }
        for folder in ["data/records/", "data/original/", "data/certificates/", "data/determinations/"] {
            let dropped = forger.below(folder);
            let dropped = dropped[fastrand::usize(..dropped.len())].clone();
            forger.try_change("files dropped", false, |_| std::fs::remove_file(&dropped).unwrap());
        }
        let ledger = forger.folder.join(bag::LEDGER);
        let lines: Vec<Vec<u8>> =
            forger.whole[&ledger].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = fastrand::usize(..lines.len());
        forger.try_change("ledger entries dropped", false, |forger| {
            let mut fewer = lines.clone();
            fewer.remove(at);
            forger.write(&ledger, &fewer.concat());
        });
        forger.try_change("ledger entries reordered", false, |forger| {
            let mut mixed = lines.clone();
            mixed.swap(at, (at + 1) % lines.len());
            forger.write(&ledger, &mixed.concat());
        });
        forger.try_change("ledger cut off", false, |forger| {
            forger.write(&ledger, &lines[..lines.len() - 1 - at.min(lines.len() - 2)].concat());
        });
        let cut = all[fastrand::usize(..all.len())].clone();
        let told = forger.is_told(&cut) || BESIDE.contains(&forger.name(&cut).as_str());
        forger.try_change("files cut off", told, |forger| {
            let whole = &forger.whole[&cut];
            forger.write(&cut, &whole[..whole.len() / 2]);
        });
    }
    deliberate(&mut forger);
    let total: usize = forger.caught.values().sum();
    println!(
        "caught, each also with manifests made anew and the bag's proof taken out: {total}: {:?}",
        forger.caught
    );
}

fn record_of(forger: &Forger<'_>, wanted: fn(&Act) -> bool) -> (PathBuf, Record) {
    let found = forger.below("data/records/").into_iter().find_map(|path| {
        let envelope = Envelope::read(&forger.whole[&path], RECORD_TYPE).unwrap();
        let record: Record = canonical::read(&envelope.payload).unwrap();
        wanted(&record.act).then_some((path, record))
    });
    found.unwrap()
}

/// What a forger would try who knows what he is doing.
fn deliberate(forger: &mut Forger<'_>) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (note, mut record) = record_of(forger, |act| matches!(act, Act::Note { .. }));
    record.act = Act::Note { text: "The gate was closed.".to_owned() };
    let resigned = envelope::sign(RECORD_TYPE, &record, &key).unwrap();
    forger.try_change("a record signed by another key", false, |forger| forger.write(&note, &resigned));
    let keys = forger
        .below("data/certificates/")
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with(".keys.json"));
    let keys = keys.unwrap();
    forger.try_change("a record signed by another key that is put beside the certificate", false, |forger| {
        let mut listed: Value = serde_json::from_slice(&forger.whole[&keys]).unwrap();
        listed["record_keys"].as_array_mut().unwrap().push(public_key_to_base64(&key.verifying_key()).into());
        forger.write(&keys, &serde_json::to_vec(&listed).unwrap());
        forger.write(&note, &resigned);
    });
    let certificate = forger
        .below("data/certificates/")
        .into_iter()
        .find(|path| path.to_string_lossy().ends_with("dsse.json"));
    let certificate = certificate.unwrap();
    let text = String::from_utf8(forger.whole[&certificate].clone()).unwrap();
    let parsed: Value = serde_json::from_str(&text).unwrap();
    let payload = Envelope::read(text.as_bytes(), envelope::CERTIFICATE_TYPE).unwrap().payload;
    let content: Value = serde_json::from_slice(&payload).unwrap();
    let forged = envelope::sign(envelope::CERTIFICATE_TYPE, &content, &key).unwrap();
    assert_ne!(serde_json::from_slice::<Value>(&forged).unwrap(), parsed);
    forger.try_change("a certificate by another authority", false, |forger| {
        forger.write(&certificate, &forged)
    });

    // A log of our own making, of the same name and size.
    let signer =
        endcheck_protocol::tlog::LogSigner::new("a.forged/log", SigningKey::from_bytes(&[9; 32])).unwrap();
    let forged = endcheck_protocol::tlog::Checkpoint::signed(1, Sha256::of(b"x"), &signer);
    let checkpoint = forger.folder.join("data/log/checkpoint");
    forger.try_change("a checkpoint by another log", false, |forger| {
        forger.write(&checkpoint, forged.as_bytes())
    });
    let proof = forger.below("data/proofs/").remove(0);
    let text = String::from_utf8(forger.whole[&proof].clone()).unwrap();
    forger.try_change("a proof under a checkpoint by another log", false, |forger| {
        let (head, _) = text.split_once("\n\n").unwrap();
        forger.write(&proof, format!("{head}\n\n{forged}").as_bytes());
    });
    let older = {
        let mut conn = forger.case.office.server.app().connection().unwrap();
        endcheck_server::log::checkpoint_at(&mut conn, &forger.case.office.server.app().keys.log, 2).unwrap()
    };
    forger.try_change("the log cut back to an older checkpoint", false, |forger| {
        for proof in forger.below("data/proofs/") {
            let text = String::from_utf8(forger.whole[&proof].clone()).unwrap();
            let (head, _) = text.split_once("\n\n").unwrap();
            forger.write(&proof, format!("{head}\n\n{older}").as_bytes());
        }
        forger.write(&checkpoint, older.as_bytes());
    });

    // Another visit of the same device, with all that proves it.
    let other = visited(&forger.case.office, &forger.case.tablet, "Another visit.");
    let other =
        unpack(&export(&forger.case.office, &other, "").body, &forger.case.folder.path().join("other"));
    forger.try_change("records of another visit put in", false, |forger| {
        for folder in ["data/records", "data/proofs", "data/receipts"] {
            for path in files_below(&other.join(folder)) {
                forger.write(
                    &forger.folder.join(folder).join(path.file_name().unwrap()),
                    &std::fs::read(path).unwrap(),
                );
            }
        }
    });
    forger.try_change("the ledger of another visit", false, |forger| {
        forger.write(&forger.folder.join(bag::LEDGER), &std::fs::read(other.join(bag::LEDGER)).unwrap());
        for path in files_below(&other.join("data/proofs")) {
            let name = path.file_name().unwrap();
            forger.write(&forger.folder.join("data/proofs").join(name), &std::fs::read(&path).unwrap());
        }
    });
    // A whole record left out, and everything that tells of it.
    let name = note.file_name().unwrap().to_string_lossy().replace(".dsse.json", "");
    let leave_out = |forger: &Forger<'_>| {
        for path in forger.whole.keys().filter(|path| path.to_string_lossy().contains(&name)) {
            std::fs::remove_file(path).unwrap();
        }
    };
    forger.try_change("a record left out with all that tells of it", false, leave_out);
    // Both the device's close and the determination say so, each by itself.
    leave_out(forger);
    remake_manifests(&forger.folder);
    let complaints = forger.case.complaints(&forger.folder);
    for check in ["nothing-left-out", "what-was-considered"] {
        assert!(complaints.iter().any(|one| one.starts_with(check)), "{check}: {complaints:#?}");
    }
    forger.restore();
    of_a_dishonest_authority(forger);
    let dropped = forger.below("data/determinations/");
    forger.try_change("every determination and approval left out", false, |_| {
        for path in &dropped {
            std::fs::remove_file(path).unwrap();
        }
    });
}

/// The proof of the only entry of a log that never was, but that our log's key signed.
fn forged_alone(forger: &Forger<'_>, kind: EntryKind, subject: &Sha256) -> String {
    let server = &forger.case.office.server;
    let opening = Opening::of(kind, server.clock().now(), &"ab".repeat(32), subject).unwrap();
    let root = leaf_hash(&opening.entry.to_bytes().unwrap());
    let checkpoint = Checkpoint::signed(1, root, &server.app().keys.log);
    let extra = Some(canonical::write(&opening).unwrap());
    TlogProof { extra, index: 0, hashes: Vec::new(), checkpoint }.text()
}

/// What somebody would try who holds the keys of the authority and of the log.
fn of_a_dishonest_authority(forger: &mut Forger<'_>) {
    let complains = |forger: &Forger<'_>, check: &str, words: &str| {
        remake_manifests(&forger.folder);
        let complaints = forger.case.complaints(&forger.folder);
        let told = complaints.iter().any(|one| one.starts_with(check) && one.contains(words));
        assert!(told, "{check}: {words}: {complaints:#?}");
        forger.restore();
    };
    let server = &forger.case.office.server;
    let keys = &server.app().keys;

    // A determination that is left out with its proof; the ledger still tells of it.
    for path in forger.whole.keys().filter(|path| path.to_string_lossy().contains(".determination.")) {
        std::fs::remove_file(path).unwrap();
    }
    complains(forger, "ledger-concluded", "left out");

    // Two states of one size under the log's own signature.
    let checkpoint = std::fs::read_to_string(forger.folder.join("data/log/checkpoint")).unwrap();
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    let other = Checkpoint::signed(size, Sha256::of(b"another"), &keys.log);
    let proof = forger.below("data/proofs/").remove(0);
    let text = String::from_utf8(forger.whole[&proof].clone()).unwrap();
    let (head, _) = text.split_once("\n\n").unwrap();
    forger.write(&proof, format!("{head}\n\n{other}").as_bytes());
    complains(forger, "record-in-log", "signed two different states");

    // A proof that holds, but in a state of its own.
    let record = forger.below("data/records/").remove(0);
    let hash = Sha256::of(&forger.whole[&record]);
    let alone = forged_alone(forger, EntryKind::Record, &hash);
    let path = forger.folder.join(format!("data/proofs/{hash}.record.tlog-proof"));
    assert!(forger.whole.contains_key(&path));
    forger.write(&path, alone.as_bytes());
    complains(forger, "one-state", "another checkpoint than the bag's");
    forger.write(&forger.folder.join("data/proofs/again.tlog-proof"), alone.as_bytes());
    complains(forger, "record-in-log", "holds it twice");
    let name = Sha256::of(&std::fs::read(forger.folder.join(bag::TAG_MANIFEST)).unwrap());
    let alone = forged_alone(forger, EntryKind::Export, &name);
    forger.write(&forger.folder.join(bag::PROOF), alone.as_bytes());
    let complaints = forger.case.complaints(&forger.folder);
    assert!(complaints.iter().any(|one| one.starts_with("log-continues")), "{complaints:#?}");
    forger.restore();

    // A thing that was logged as something else.
    let mut document = forger.below("data/determinations/").into_iter();
    let document = document.rfind(|path| path.to_string_lossy().ends_with("determination.json")).unwrap();
    let alone = forged_alone(forger, EntryKind::Record, &Sha256::of(&forger.whole[&document]));
    let proof = forger.name(&document).replace("data/determinations", "data/proofs");
    let proof = forger.folder.join(proof.replace(".json", ".tlog-proof"));
    assert!(forger.whole.contains_key(&proof));
    forger.write(&proof, alone.as_bytes());
    complains(forger, "determination-in-log", "something else than a determination");

    // A key of our own, certified afterwards.
    let certificate = forger.below("data/certificates/");
    let certificate =
        certificate.into_iter().find(|path| path.to_string_lossy().ends_with("dsse.json")).unwrap();
    let payload = Envelope::read(&forger.whole[&certificate], envelope::CERTIFICATE_TYPE).unwrap().payload;
    let honest: DeviceCertificate = canonical::read(&payload).unwrap();
    let key = SigningKey::from_bytes(&[5; 32]);
    let (note, mut content) = record_of(forger, |act| matches!(act, Act::Note { .. }));
    content.act = Act::Note { text: "The gate was closed.".to_owned() };
    let day = content.clock.device_at.day();
    let forge = |forger: &Forger<'_>, change: &dyn Fn(&mut DeviceCertificate)| {
        let mut forged = honest.clone();
        forged.record_keys = vec![RecordKey {
            fingerprint: envelope::fingerprint(&key.verifying_key()),
            first_day: day,
            last_day: day,
        }];
        change(&mut forged);
        let forged = envelope::sign(envelope::CERTIFICATE_TYPE, &forged, &keys.authority).unwrap();
        let folder = forger.folder.join("data/certificates");
        forger.write(&folder.join("forged.dsse.json"), &forged);
        let public = serde_json::json!({ "record_keys": [public_key_to_base64(&key.verifying_key())] });
        forger.write(&folder.join("forged.keys.json"), public.to_string().as_bytes());
        forger.write(&note, &envelope::sign(RECORD_TYPE, &content, &key).unwrap());
    };
    forge(forger, &|_| {});
    complains(forger, "record-signature", "two keys for");
    forge(forger, &|forged| forged.issued_at = "2099-01-01T00:00:00Z".parse().unwrap());
    complains(forger, "record-signature", "was certified later");
    forge(forger, &|forged| forged.org = "Somebody else".to_owned());
    complains(forger, "record-signature", "under a certificate of");
    forge(forger, &|forged| forged.schema = "endcheck-device-certificate-9".to_owned());
    complains(forger, "readable", "of the schema");
    forge(forger, &|_| std::fs::remove_file(&certificate).unwrap());
    complains(forger, "certificate-in-log", "no proof that it is in the log");
}
