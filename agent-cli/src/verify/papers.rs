//! The files that are verified: read, told apart by content and never by name, nothing believed yet.

use std::collections::{BTreeMap, HashMap};

use ed25519_dalek::VerifyingKey;
use endcheck_protocol::canonical;
use endcheck_protocol::determination::{self, ApprovalDocument, DeterminationDocument};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{
    self, CERTIFICATE_TYPE, Envelope, EnvelopeError, RECEIPT_TYPE, RECORD_TYPE,
};
use endcheck_protocol::ledger::{self, LedgerLine};
use endcheck_protocol::record::{self, Record};
use endcheck_protocol::sync::{
    CERTIFICATE_SCHEMA, DeviceCertificate, DeviceRevocation, REVOCATION_SCHEMA, Receipt,
};
use endcheck_protocol::tlog::{Opening, TlogProof};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A signed document, its signature not yet checked.
pub struct Signed<T> {
    pub file: String,
    pub envelope: Envelope,
    pub content: T,
}

/// A document that the log commits to by its bytes.
pub struct Committed<T> {
    pub file: String,
    pub subject: Sha256,
    pub content: T,
}

/// A proof of inclusion and what it is about, neither yet checked.
pub struct Proof {
    pub file: String,
    pub tlog: TlogProof,
    pub opening: Opening,
}

/// The public keys of a device: a certificate names them by fingerprint only.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceKeys {
    /// Ed25519, base64.
    pub record_keys: Vec<String>,
}

/// All files together.
#[derive(Default)]
pub struct Papers {
    pub records: Vec<Signed<Record>>,
    pub receipts: Vec<Signed<Receipt>>,
    pub certificates: Vec<Signed<DeviceCertificate>>,
    pub proofs: Vec<Proof>,
    pub determinations: Vec<Committed<DeterminationDocument>>,
    pub approvals: Vec<Committed<ApprovalDocument>>,
    pub revocations: Vec<Committed<DeviceRevocation>>,
    /// The ledger, as its file has it.
    pub ledger: Vec<(String, LedgerLine)>,
    /// By fingerprint, which is their hash: nobody can put another key in their place.
    pub keys: BTreeMap<Sha256, VerifyingKey>,
    /// Files that are none of these, and why.
    pub unknown: Vec<(String, String)>,
    records_by_hash: HashMap<Sha256, usize>,
    proofs_by_subject: HashMap<Sha256, Vec<usize>>,
}

impl Papers {
    /// Takes in a file.
    pub fn add(&mut self, file: String, bytes: &[u8]) {
        if let Err(why) = self.take(&file, bytes) {
            self.unknown.push((file, why));
        }
    }

    fn take(&mut self, file: &str, bytes: &[u8]) -> Result<(), String> {
        if let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with("c2sp.org/")) {
            let proof = read_proof(file, text)?;
            let position = self.proofs.len();
            self.proofs_by_subject.entry(proof.opening.subject.clone()).or_default().push(position);
            self.proofs.push(proof);
            return Ok(());
        }
        if let Ok(keys) = serde_json::from_slice::<DeviceKeys>(bytes) {
            let keys = keys.record_keys.iter().filter_map(|text| envelope::public_key_from_base64(text).ok());
            self.keys.extend(keys.map(|key| (envelope::fingerprint(&key), key)));
            return Ok(());
        }
        match schema(bytes).as_deref() {
            Some(determination::SCHEMA) => self.determinations.push(committed(file, bytes)?),
            Some(determination::APPROVAL_SCHEMA) => self.approvals.push(committed(file, bytes)?),
            Some(REVOCATION_SCHEMA) => self.revocations.push(committed(file, bytes)?),
            _ => self.take_signed(file, bytes)?,
        }
        Ok(())
    }

    fn take_signed(&mut self, file: &str, bytes: &[u8]) -> Result<(), String> {
        match Envelope::read(bytes, RECORD_TYPE) {
            Ok(envelope) => {
                let record: Signed<Record> = signed(file, envelope)?;
                known(&record.content.schema, record::SCHEMA)?;
                self.records_by_hash.insert(record.envelope.hash.clone(), self.records.len());
                self.records.push(record);
            }
            Err(EnvelopeError::OtherType { found, .. }) if found == RECEIPT_TYPE => {
                self.receipts.push(signed(file, envelope_of(bytes, RECEIPT_TYPE)?)?);
            }
            Err(EnvelopeError::OtherType { found, .. }) if found == CERTIFICATE_TYPE => {
                let certificate: Signed<DeviceCertificate> =
                    signed(file, envelope_of(bytes, CERTIFICATE_TYPE)?)?;
                known(&certificate.content.schema, CERTIFICATE_SCHEMA)?;
                self.certificates.push(certificate);
            }
            Err(error) => return Err(format!("neither a log proof nor a signed document: {error}")),
        }
        Ok(())
    }

    /// Takes in a ledger: a line for each entry.
    pub fn add_ledger(&mut self, file: &str, bytes: &[u8]) {
        for (at, line) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let place = format!("{file}:{}", at + 1);
            match canonical::read::<LedgerLine>(line) {
                Ok(line) => match known(&line.entry.schema, ledger::SCHEMA) {
                    Ok(()) => self.ledger.push((place, line)),
                    Err(why) => self.unknown.push((place, why)),
                },
                Err(error) => self.unknown.push((place, format!("it is no entry of a ledger: {error}"))),
            }
        }
    }

    /// The record of that name.
    #[must_use]
    pub fn record(&self, hash: &Sha256) -> Option<&Signed<Record>> {
        self.records_by_hash.get(hash).and_then(|at| self.records.get(*at))
    }

    /// Where the proofs about `subject` stand in [`Self::proofs`].
    #[must_use]
    pub fn proofs_about(&self, subject: &Sha256) -> &[usize] {
        self.proofs_by_subject.get(subject).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Reads a proof and what it is about.
///
/// # Errors
/// Says what cannot be read.
pub fn read_proof(file: &str, text: &str) -> Result<Proof, String> {
    let tlog = TlogProof::read(text).map_err(|error| error.to_string())?;
    let extra = tlog.extra.as_deref().ok_or("the proof does not say what it is about")?;
    let opening =
        canonical::read(extra).map_err(|error| format!("what the proof is about cannot be read: {error}"))?;
    Ok(Proof { file: file.to_owned(), tlog, opening })
}

/// Refuses a schema that means something that this version does not know.
pub(super) fn known(schema: &str, expected: &str) -> Result<(), String> {
    if schema == expected {
        Ok(())
    } else {
        Err(format!("it is of the schema {schema:?}; this version reads {expected:?}"))
    }
}

/// The schema that a document says it has.
fn schema(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    serde_json::from_slice::<Named>(bytes).ok().map(|named| named.schema)
}

fn envelope_of(bytes: &[u8], payload_type: &'static str) -> Result<Envelope, String> {
    Envelope::read(bytes, payload_type).map_err(|error| error.to_string())
}

fn signed<T: Serialize + DeserializeOwned>(file: &str, envelope: Envelope) -> Result<Signed<T>, String> {
    let content = canonical::read(&envelope.payload).map_err(|error| error.to_string())?;
    Ok(Signed { file: file.to_owned(), envelope, content })
}

fn committed<T: Serialize + DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<Committed<T>, String> {
    let content = canonical::read(bytes).map_err(|error| error.to_string())?;
    Ok(Committed { file: file.to_owned(), subject: Sha256::of(bytes), content })
}
