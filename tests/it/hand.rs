//! A device made by hand: it signs whatever a test wants said, which the field agent would not.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{CERTIFICATE_TYPE, Envelope, RECORD_TYPE, public_key_to_base64, sign};
use endcheck_protocol::ids::DeviceId;
use endcheck_protocol::photo::PhotoFacts;
use endcheck_protocol::record::{Act, ClockReadings, FileFacts, Record, SCHEMA, Task};
use endcheck_protocol::sync::{DeviceCertificate, Enrolment};
use endcheck_protocol::time::Timestamp;
use endcheck_server::clock::Clock;
use endcheck_tests::{Answer, Http};
use serde_json::{Value, json};

use crate::office::{Office, Person, jwt, text};

pub struct HandDevice {
    pub certificate: DeviceCertificate,
    pub sign_in_key: SigningKey,
    pub record_key: SigningKey,
    http: Http,
    clock: Clock,
    /// A signed-in client, and until when it is good.
    signed_in: RefCell<Option<(Timestamp, Http)>>,
    chain: Vec<Sha256>,
}

impl HandDevice {
    pub fn enrolled(office: &Office, person: &Person) -> Self {
        Self::enrol(&office.server, &office.code(person), office.server.clock().clone())
    }

    pub fn enrol(http: &Http, code: &str, clock: Clock) -> Self {
        let key = || SigningKey::from_bytes(&std::array::from_fn(|_| fastrand::u8(..)));
        let (sign_in_key, record_key) = (key(), key());
        let public = |key: &SigningKey| public_key_to_base64(&key.verifying_key());
        let asked = json!({ "code": code, "name": "by hand", "agent": "hand 1",
            "sign_in_key": public(&sign_in_key), "record_keys": [public(&record_key)] });
        let enrolment: Enrolment =
            serde_json::from_value(http.post("/api/v1/devices/enrol", &asked).expect_json(200)).unwrap();
        let envelope = Envelope::read(enrolment.certificate.as_bytes(), CERTIFICATE_TYPE).unwrap();
        let certificate = canonical::read(&envelope.payload).unwrap();
        Self {
            certificate,
            sign_in_key,
            record_key,
            http: http.clone(),
            clock,
            signed_in: RefCell::default(),
            chain: Vec::new(),
        }
    }

    pub fn id(&self) -> &DeviceId {
        &self.certificate.device
    }

    /// The answer to signing in with a fresh assertion.
    pub fn sign_in(&self) -> Answer {
        let claims = json!({ "iss": self.id(), "sub": self.id(), "aud": self.certificate.org,
            "exp": self.clock.now().unix_seconds() + 120, "jti": format!("{:032x}", fastrand::u128(..)) });
        let assertion = jwt(&json!({ "alg": "EdDSA", "typ": "JWT" }), &claims, &self.sign_in_key);
        self.http.post(
            "/api/v1/auth/device-token",
            &json!({ "grant_type": "client_credentials",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion }),
        )
    }

    pub fn token(&self) -> String {
        text(&self.sign_in().expect_json(200), "/access_token")
    }

    /// A signed-in client that speaks the sync protocol.
    pub fn http(&self) -> Http {
        let now = self.clock.now();
        let mut kept = self.signed_in.borrow_mut();
        if kept.as_ref().is_none_or(|(until, _)| *until < now) {
            let http = self.http.with_token(&self.token()).with_header("endcheck-protocol", "1");
            *kept = Some((now.plus(chrono::TimeDelta::minutes(10)), http));
        }
        kept.as_ref().unwrap().1.clone()
    }

    /// Fetches every visit that there is for this device.
    pub fn pull(&self) {
        let mut cursor = String::new();
        loop {
            let page = self.http().get(&format!("/api/v1/sync/pull?cursor={cursor}")).expect_json(200);
            cursor = text(&page, "/cursor");
            if page["more"] != true {
                break;
            }
        }
    }

    /// The next record of the chain about `act`, not yet part of it.
    pub fn record(&self, task: Task, act: Act) -> Record {
        let device_at: Timestamp = self.clock.now();
        Record {
            schema: SCHEMA.to_owned(),
            org: self.certificate.org.clone(),
            device: self.id().clone(),
            agent: "hand 1".to_owned(),
            seq: self.chain.len() as u64,
            prev: self.chain.last().cloned(),
            boot: "b".to_owned(),
            monotonic_ns: "1".to_owned(),
            clock: ClockReadings { device_at, gnss_at: None, server: None },
            place: None,
            anchor: None,
            task,
            replaces: None,
            act,
        }
    }

    /// Signs anything as if it were a record; it is not part of the chain.
    pub fn signed(&self, payload: &impl serde::Serialize) -> Vec<u8> {
        sign(RECORD_TYPE, payload, &self.record_key).unwrap()
    }

    /// Signs the next record of the chain.
    pub fn add(&mut self, task: Task, act: Act) -> Vec<u8> {
        let envelope = self.signed(&self.record(task, act));
        self.follow(&envelope);
        envelope
    }

    pub fn note(&mut self, visit: &str, words: &str) -> Vec<u8> {
        self.add(task(visit), Act::Note { text: words.to_owned() })
    }

    /// Lets the chain go on after an envelope, whatever is in it.
    pub fn follow(&mut self, envelope: &[u8]) {
        self.chain.push(Sha256::of(envelope));
    }

    /// Goes back: the next record takes the place of the last.
    pub fn forget_last(&mut self) {
        self.chain.pop();
    }

    /// A photo record about `plaintext`, and the sealed bytes that it names.
    pub fn photo(
        &mut self,
        visit: &str,
        name: &str,
        plaintext: &[u8],
        facts: PhotoFacts,
    ) -> (Vec<u8>, Vec<u8>) {
        let sealed = self.seal(plaintext);
        let envelope = self.add(
            task(visit),
            Act::Photo {
                file: file_facts(name, plaintext, &sealed),
                purpose: None,
                caption: None,
                facts: Box::new(facts),
            },
        );
        (envelope, sealed)
    }

    /// Seals to headquarters and escrow.
    pub fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let recipient: age::x25519::Recipient = self.certificate.recipients[0].parse().unwrap();
        age::encrypt(&recipient, plaintext).unwrap()
    }

    /// Hands in envelopes, one a line.
    pub fn send(&self, envelopes: &[&[u8]]) -> Answer {
        let mut body = envelopes.join(&b'\n');
        body.push(b'\n');
        let headers = [("Content-Type", "application/x-ndjson")];
        self.http().send("POST", "/api/v1/sync/records", &headers, Some(&body))
    }

    /// Hands in envelopes that must all be accepted.
    #[track_caller]
    pub fn accepted(&self, envelopes: &[&[u8]]) {
        for answer in answers(&self.send(envelopes)) {
            assert_eq!(answer["outcome"], "accepted", "{answer:#}");
        }
    }

    pub fn head(&self) -> Value {
        self.http().get("/api/v1/sync/head").expect_json(200)
    }

    /// Uploads bytes in one request, under a name.
    pub fn upload(&self, sealed: &[u8], name: &str) -> Answer {
        let metadata = format!(
            "sealed_sha256 {},filename {}",
            BASE64.encode(Sha256::of(sealed).as_str()),
            BASE64.encode(name)
        );
        let length = sealed.len().to_string();
        let headers = [
            ("Tus-Resumable", "1.0.0"),
            ("Upload-Length", length.as_str()),
            ("Upload-Metadata", metadata.as_str()),
            ("Content-Type", "application/offset+octet-stream"),
        ];
        self.http().send("POST", "/api/v1/files", &headers, Some(sealed))
    }
}

pub fn task(visit: &str) -> Task {
    Task { visit: Some(visit.parse().unwrap()), ..Task::default() }
}

pub fn file_facts(name: &str, plaintext: &[u8], sealed: &[u8]) -> FileFacts {
    FileFacts {
        name: name.to_owned(),
        size_bytes: plaintext.len() as u64,
        mime: "image/jpeg".to_owned(),
        sha256: Sha256::of(plaintext),
        sealed_sha256: Sha256::of(sealed),
        sealed_size_bytes: sealed.len() as u64,
    }
}

#[track_caller]
pub fn answers(answer: &Answer) -> Vec<Value> {
    let body = answer.clone().expect_json(200);
    body["answers"].as_array().unwrap().clone()
}
