//! What the tests of this crate share: an enrolled device without a server.

use std::sync::{Arc, Mutex};

use endcheck_protocol::envelope::{self, CERTIFICATE_TYPE, fingerprint, public_key_to_base64};
use endcheck_protocol::ids::{DeviceId, ItemId, UserId, VisitId};
use endcheck_protocol::sync::{CERTIFICATE_SCHEMA, DeviceCertificate, Enrolment, RecordKey};

use endcheck_protocol::tlog::LogSigner;
use endcheck_protocol::visit::VisitPacket;

use crate::environment::{ClockReading, Environment, PassphraseCost};
use crate::identity::{EnrolmentKeys, Identity, IdentityDocument};
use crate::refusal::ExitStatus;
use crate::store::{Database, Store};
use crate::ui::Ui;
use crate::vault;

/// The clocks at `device_at`, so many seconds after the boot.
pub fn reading(device_at: &str, since_boot_s: u64) -> ClockReading {
    ClockReading {
        device_at: device_at.parse().unwrap(),
        boot: "b1".to_owned(),
        monotonic_ns: since_boot_s * 1_000_000_000,
    }
}

/// What enrolment would have written, signed by an authority made up here.
pub fn identity_document(server: &str, recipients: Vec<String>, days: &[(&str, &str)]) -> IdentityDocument {
    let keys = EnrolmentKeys::make(&server.parse().unwrap(), None, "test".to_owned(), days.len()).unwrap();
    let authority = authority();
    let certificate = DeviceCertificate {
        schema: CERTIFICATE_SCHEMA.to_owned(),
        org: "test authority".to_owned(),
        device: DeviceId::mint(),
        name: "test".to_owned(),
        inspector: UserId::mint(),
        inspector_name: "Iris Holm".to_owned(),
        sign_in_key: fingerprint(&keys.sign_in_key().unwrap().verifying_key()),
        record_keys: keys
            .record_secrets()
            .iter()
            .zip(days)
            .map(|(secret, (first_day, last_day))| RecordKey {
                fingerprint: fingerprint(&secret.key().unwrap().verifying_key()),
                first_day: first_day.parse().unwrap(),
                last_day: last_day.parse().unwrap(),
            })
            .collect(),
        issued_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        expires_at: "2027-12-31T00:00:00Z".parse().unwrap(),
        recipients,
    };
    let envelope = envelope::sign(CERTIFICATE_TYPE, &certificate, &authority).unwrap();
    IdentityDocument::new(
        keys,
        Enrolment {
            certificate: String::from_utf8(envelope).unwrap(),
            authority_key: public_key_to_base64(&authority.verifying_key()),
            log_key: log_signer().verifier().to_string(),
        },
    )
}

/// One key for every day of these tests.
pub const ALL_DAYS: [(&str, &str); 1] = [("2026-01-01", "2099-12-31")];

/// The key of the authority.
pub fn authority() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[9; 32])
}

/// Who signs the log's checkpoints in tests.
pub fn log_signer() -> LogSigner {
    LogSigner::new("log.example.org", ed25519_dalek::SigningKey::from_bytes(&[8; 32])).unwrap()
}

/// Where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9/";

/// An enrolled device.
pub fn identity() -> Identity {
    let recipient = age::x25519::Identity::generate().to_public().to_string();
    Identity::read(&identity_document(NOWHERE, vec![recipient], &ALL_DAYS)).unwrap()
}

/// A device with a visit to make, in a folder of its own.
pub struct Device {
    pub folder: tempfile::TempDir,
    pub hq: age::x25519::Identity,
    pub environment: Environment,
    pub visit: VisitId,
    printed: Arc<Mutex<Vec<u8>>>,
    complained: Arc<Mutex<Vec<u8>>>,
}

#[derive(Clone)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Device {
    /// Enrolled, with one visit of two items pulled.
    pub fn enrolled() -> Self {
        Self::enrolled_at(NOWHERE)
    }

    /// The same, by headquarters at this address.
    pub fn enrolled_at(server: &str) -> Self {
        Self::enrolled_with(server, &ALL_DAYS)
    }

    /// The same, with a record key for each of these spans of days.
    pub fn enrolled_with(server: &str, days: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (printed, complained) = (Arc::default(), Arc::default());
        let environment = Environment {
            home: folder.path().join("home"),
            passphrase: Some("correct horse".to_owned().into()),
            keyring: false,
            passphrase_cost: PassphraseCost { memory_kib: 64, passes: 1 },
            clock: Environment::from_process().clock,
            ends_after: false,
            interactive: false,
            progress: false,
            input: Mutex::new(Box::new(std::io::empty())),
            output: Mutex::new(Box::new(Sink(Arc::clone(&printed)))),
            errors: Mutex::new(Box::new(Sink(Arc::clone(&complained)))),
        };
        let hq = age::x25519::Identity::generate();
        let escrow = age::x25519::Identity::generate().to_public().to_string();
        let packet = packet();
        let visit = packet.visit.id.clone();
        let mut database = Database::create(&environment.home).unwrap();
        vault::create(&mut database.conn, "correct horse", environment.passphrase_cost).unwrap();
        let ui = Ui::new(&environment, false);
        let mut store = database.unlock(&environment, &ui).unwrap();
        let recipients = vec![hq.to_public().to_string(), escrow];
        store.enrolled(identity_document(server, recipients, days)).unwrap();
        store.keep_visits(&[packet], "1").unwrap();
        Self { folder, hq, environment, visit, printed, complained }
    }

    /// Runs a command line; answers how it ended, what it printed and what it complained of.
    pub fn run(&self, line: &[&str]) -> (ExitStatus, String, String) {
        let status = crate::run(["endcheck"].iter().chain(line), &self.environment);
        let take = |bytes: &Arc<Mutex<Vec<u8>>>| {
            String::from_utf8(std::mem::take(&mut *bytes.lock().unwrap())).unwrap()
        };
        (status, take(&self.printed), take(&self.complained))
    }

    /// Runs a command line that must succeed, with `--json`; answers its objects.
    pub fn json(&self, line: &[&str]) -> Vec<serde_json::Value> {
        let (status, printed, complained) = self.run(&[line, &["--json"]].concat());
        assert_eq!(status, ExitStatus::Success, "{line:?}: {printed}{complained}");
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The unlocked store.
    pub fn store(&self) -> Store {
        let ui = Ui::new(&self.environment, false);
        Database::open(&self.environment.home).unwrap().unlock(&self.environment, &ui).unwrap()
    }

    /// Every envelope of the chain that waits to be handed in, oldest first; what is sealed is opened as
    /// headquarters would.
    pub fn envelopes(&self) -> Vec<Vec<u8>> {
        let mut store = self.store();
        let mut found: Vec<(u64, Vec<u8>)> = Vec::new();
        for unsent in store.unsent_records().unwrap() {
            found.push((unsent.seq, store.envelope(&unsent.hash).unwrap().unwrap()));
        }
        for package in store.unsent_packages().unwrap() {
            let (sealed, hashes) = store.package(&package.hash).unwrap();
            let lines = zstd::decode_all(age::decrypt(&self.hq, &sealed).unwrap().as_slice()).unwrap();
            let envelopes = endcheck_protocol::package::split(&lines).map(<[u8]>::to_vec);
            let numbered = (package.first_seq..).zip(envelopes).collect::<Vec<_>>();
            assert_eq!(numbered.len(), hashes.len());
            for ((_, envelope), hash) in numbered.iter().zip(&hashes) {
                assert_eq!(endcheck_protocol::digest::Sha256::of(envelope), *hash);
            }
            found.extend(numbered);
        }
        found.sort_by_key(|(seq, _)| *seq);
        found.into_iter().map(|(_, envelope)| envelope).collect()
    }

    /// Sets the device's clock; it stands still.
    pub fn set_clock(&mut self, device_at: &str) {
        let reading = reading(device_at, 0);
        self.environment.clock = Arc::new(move || reading.clone());
    }

    /// Whether these bytes, or a good part of them, are in any file of the store.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        let part = 24.min(bytes.len());
        let mut folders = vec![self.environment.home.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let raw = std::fs::read(path).unwrap();
                let known: std::collections::HashSet<&[u8]> = raw.windows(part).collect();
                if bytes.windows(part).any(|window| known.contains(window)) {
                    return true;
                }
            }
        }
        false
    }

    /// A small valid PNG in the device's folder.
    pub fn photo(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, PNG).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// One grey pixel.
const PNG: &[u8] = b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\x9c\x63\x68\x00\x00\x00\x82\x00\x81\x77\xcd\x72\xb6\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82";

/// A visit of two items.
pub fn packet() -> VisitPacket {
    let items = [ItemId::mint(), ItemId::mint()];
    let checklist = serde_json::json!({
        "template": {"id": "short", "version": 1},
        "title": {"en": "Short"},
        "languages": ["en"],
        "skip_reasons": [{"code": "no-time", "text": {"en": "no time"}}],
        "questions": [
            {"id": "host", "number": "1", "scope": "visit", "required": true, "text": {"en": "Who received you?"}, "answer": "text"},
            {"id": "use-matches", "number": "2", "scope": "visit", "required": true, "text": {"en": "Is the use as declared?"},
             "answer": "yes-no-unknown", "skip_reasons": ["no-time"],
             "evidence": [{"kind": "photo", "purpose": "use", "at_least": 1}]},
            {"id": "serial-read", "number": "3", "scope": "item", "required": false, "text": {"en": "Serial?"}, "answer": "serial",
             "evidence": [{"kind": "photo", "purpose": "plate", "at_least": 1}]}
        ],
        "items": items.iter().zip(["SN-1", "SN-2"]).map(|(id, serial)| serde_json::json!({"id": id, "description": "amplifier", "serial": serial})).collect::<Vec<_>>(),
        "facts": {}
    });
    serde_json::from_value(serde_json::json!({
        "visit": {
            "id": VisitId::mint(), "check": endcheck_protocol::ids::CheckId::mint(),
            "site": endcheck_protocol::ids::SiteId::mint(), "site_name": "Relay yard", "country": "DE",
            "state": "dispatched", "version": 1, "inspector": null, "inspector_name": null,
            "window_start_at": "2026-11-23T06:00:00Z", "window_end_at": "2026-11-23T18:00:00Z",
            "time_zone": "Europe/Berlin", "due_at": "2026-11-30T00:00:00Z", "overdue": false,
            "outcome": null, "reason": null
        },
        "check_reason": "routine", "check_kind": "post-shipment", "site_address": "Yard 1", "fence": null,
        "shipment": {"key": "SH-1", "licence_number": "L-1", "control_entry": "3A001", "exporter": "E", "consignee": "C",
            "end_user": "U", "declared_use": "relay", "hs6": "854370", "shipped_on": null, "arrived_on": null},
        "items": items.iter().zip([("i1", "SN-1"), ("i2", "SN-2")]).map(|(id, (key, serial))| serde_json::json!({
            "id": id, "key": key, "description": "amplifier", "manufacturer": "M", "part_number": "P",
            "serial": serial, "lot": null, "quantity": "1", "unit": "piece"})).collect::<Vec<_>>(),
        "checklist": checklist,
        "withdrawn": false
    }))
    .unwrap()
}
