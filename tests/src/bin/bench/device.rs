//! A device made of keys alone: enrolled and signed in as the agent is, but its records are made in
//! memory, so that a measurement of the server is not one of the agent.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{self, CERTIFICATE_TYPE, Envelope, RECORD_TYPE};
use endcheck_protocol::record::{Act, ClockReadings, FileFacts, Record, SCHEMA, Task};
use endcheck_protocol::sync::{
    DeviceCertificate, EnrolDevice, Enrolment, MAX_RECORDS, PROTOCOL_HEADER, PROTOCOL_VERSION, ReceiptPage,
    RecordAnswers, RecordOutcome,
};
use endcheck_tests::Http;
use serde_json::json;

use crate::measure::now;

/// An enrolled device, signed in.
pub struct Device {
    pub http: Http,
    certificate: DeviceCertificate,
    record_key: SigningKey,
    seq: u64,
    prev: Option<Sha256>,
    receipts_from: i64,
}

/// A file sealed to the certificate's recipients, in memory.
pub struct Sealed {
    pub bytes: Vec<u8>,
    pub facts: FileFacts,
}

impl Device {
    /// Enrols a device and signs it in.
    ///
    /// # Errors
    /// When an answer is not what the protocol says.
    pub fn enrol(server: &Http, code: String) -> anyhow::Result<Self> {
        let mut random = fastrand::Rng::new();
        let mut key = || SigningKey::from_bytes(&std::array::from_fn(|_| random.u8(..)));
        let (sign_in_key, record_key) = (key(), key());
        let request = EnrolDevice {
            code,
            name: "measuring".to_owned(),
            sign_in_key: envelope::public_key_to_base64(&sign_in_key.verifying_key()),
            record_keys: vec![envelope::public_key_to_base64(&record_key.verifying_key())],
            agent: "bench".to_owned(),
        };
        let enrolment: Enrolment = serde_json::from_value(
            server.post("/api/v1/devices/enrol", &serde_json::to_value(&request)?).expect_json(200),
        )?;
        let certificate = Envelope::read(enrolment.certificate.as_bytes(), CERTIFICATE_TYPE)?;
        let certificate: DeviceCertificate = serde_json::from_slice(&certificate.payload)?;
        let granted = server
            .post(
                "/api/v1/auth/device-token",
                &json!({
                    "grant_type": "client_credentials",
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": assertion(&certificate, &sign_in_key),
                }),
            )
            .expect_json(200);
        let token =
            granted.get("access_token").and_then(|token| token.as_str()).context("an access token")?;
        let http = server.with_token(token).with_header(PROTOCOL_HEADER, &PROTOCOL_VERSION.to_string());
        Ok(Self { http, certificate, record_key, seq: 0, prev: None, receipts_from: 0 })
    }

    /// Seals `plaintext` as the agent does.
    ///
    /// # Errors
    /// When the certificate's recipients are none.
    pub fn seal(&self, name: &str, plaintext: &[u8]) -> anyhow::Result<Sealed> {
        let recipients: Vec<age::x25519::Recipient> = self
            .certificate
            .recipients
            .iter()
            .map(|text| text.parse().map_err(|error| anyhow::anyhow!("{text}: {error}")))
            .collect::<anyhow::Result<_>>()?;
        let encryptor =
            age::Encryptor::with_recipients(recipients.iter().map(|one| one as &dyn age::Recipient))?;
        let mut bytes = Vec::with_capacity(plaintext.len() + plaintext.len() / 1000);
        let mut writer = encryptor.wrap_output(&mut bytes)?;
        std::io::Write::write_all(&mut writer, plaintext)?;
        writer.finish()?;
        let facts = FileFacts {
            name: name.to_owned(),
            size_bytes: plaintext.len() as u64,
            mime: "application/octet-stream".to_owned(),
            sha256: Sha256::of(plaintext),
            sealed_sha256: Sha256::of(&bytes),
            sealed_size_bytes: bytes.len() as u64,
        };
        Ok(Sealed { bytes, facts })
    }

    /// Hands in a record for each file; all must be accepted.
    ///
    /// # Errors
    /// When one is not.
    pub fn hand_in(&mut self, files: &[Sealed]) -> anyhow::Result<()> {
        for batch in files.chunks(MAX_RECORDS) {
            let mut lines = Vec::new();
            for file in batch {
                let act = Act::Document { file: file.facts.clone(), purpose: None, caption: None };
                lines.extend(self.record(act)?);
                lines.push(b'\n');
            }
            let headers = [("Content-Type", "application/x-ndjson")];
            let answer = self.http.send("POST", "/api/v1/sync/records", &headers, Some(&lines));
            let answers: RecordAnswers = serde_json::from_value(answer.expect_json(200))?;
            let accepted = answers.answers.iter().filter(|answer| answer.outcome == RecordOutcome::Accepted);
            anyhow::ensure!(accepted.count() == batch.len(), "a record was not accepted: {answers:?}");
        }
        Ok(())
    }

    fn record(&mut self, act: Act) -> anyhow::Result<Vec<u8>> {
        let record = Record {
            schema: SCHEMA.to_owned(),
            org: self.certificate.org.clone(),
            device: self.certificate.device.clone(),
            agent: "bench".to_owned(),
            seq: self.seq,
            prev: self.prev.clone(),
            boot: "bench".to_owned(),
            monotonic_ns: self.seq.to_string(),
            clock: ClockReadings { device_at: now().into(), gnss_at: None, server: None },
            place: None,
            anchor: None,
            task: Task::default(),
            replaces: None,
            act,
        };
        let bytes = envelope::sign(RECORD_TYPE, &record, &self.record_key)?;
        self.seq += 1;
        self.prev = Some(Sha256::of(&bytes));
        Ok(bytes)
    }

    /// Fetches what receipts there are since the last time; answers how many.
    ///
    /// # Errors
    /// When an answer is not what the protocol says.
    pub fn fetch_receipts(&mut self) -> anyhow::Result<usize> {
        let mut count = 0;
        loop {
            let path = format!("/api/v1/sync/receipts?cursor={}", self.receipts_from);
            let page: ReceiptPage = serde_json::from_value(self.http.get(&path).expect_json(200))?;
            count += page.receipts.len();
            self.receipts_from = page.cursor;
            if !page.more {
                return Ok(count);
            }
        }
    }
}

/// A client assertion (RFC 7523 §3).
fn assertion(certificate: &DeviceCertificate, key: &SigningKey) -> String {
    let encode = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let claims = json!({
        "iss": certificate.device, "sub": certificate.device, "aud": certificate.org,
        "exp": now().timestamp() + 240, "jti": format!("{:032x}", fastrand::u128(..)),
    });
    let signed = format!("{}.{}", encode(json!({ "alg": "EdDSA", "typ": "JWT" })), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    format!("{signed}.{signature}")
}
