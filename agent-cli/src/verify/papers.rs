//! The files that are verified: read, told apart by content and never by name, nothing believed yet.

use std::collections::BTreeMap;

use ed25519_dalek::VerifyingKey;
use endcheck_protocol::canonical;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::{
    self, CERTIFICATE_TYPE, Envelope, EnvelopeError, RECEIPT_TYPE, RECORD_TYPE,
};
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::{DeviceCertificate, Receipt};
use endcheck_protocol::tlog::{Opening, TlogProof};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A signed document, its signature not yet checked.
pub struct Signed<T> {
    pub file: String,
    pub envelope: Envelope,
    pub content: T,
}

/// A proof of inclusion and what it is about, neither yet checked.
pub struct Proof {
    pub file: String,
    pub tlog: TlogProof,
    pub opening: Opening,
}

/// One file.
pub enum Document {
    Record(Box<Signed<Record>>),
    Receipt(Box<Signed<Receipt>>),
    Certificate(Box<Signed<DeviceCertificate>>),
    Proof(Box<Proof>),
    /// None of these.
    Unknown {
        file: String,
        why: String,
    },
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
    pub documents: Vec<Document>,
    /// By fingerprint, which is their hash: nobody can put another key in their place.
    pub keys: BTreeMap<Sha256, VerifyingKey>,
}

impl Papers {
    /// Takes in a file.
    pub fn add(&mut self, file: String, bytes: &[u8]) {
        if let Ok(keys) = serde_json::from_slice::<DeviceKeys>(bytes) {
            let keys = keys.record_keys.iter().filter_map(|text| envelope::public_key_from_base64(text).ok());
            self.keys.extend(keys.map(|key| (envelope::fingerprint(&key), key)));
            return;
        }
        let document = read(file.clone(), bytes).unwrap_or_else(|why| Document::Unknown { file, why });
        self.documents.push(document);
    }

    /// The record of that name.
    #[must_use]
    pub fn record(&self, hash: &Sha256) -> Option<&Signed<Record>> {
        self.documents.iter().find_map(|document| match document {
            Document::Record(signed) if signed.envelope.hash == *hash => Some(signed.as_ref()),
            _ => None,
        })
    }

    pub fn certificates(&self) -> impl Iterator<Item = &Signed<DeviceCertificate>> {
        self.documents.iter().filter_map(|document| match document {
            Document::Certificate(signed) => Some(signed.as_ref()),
            _ => None,
        })
    }

    pub fn receipts(&self) -> impl Iterator<Item = &Signed<Receipt>> {
        self.documents.iter().filter_map(|document| match document {
            Document::Receipt(signed) => Some(signed.as_ref()),
            _ => None,
        })
    }

    pub fn proofs(&self) -> impl Iterator<Item = &Proof> {
        self.documents.iter().filter_map(|document| match document {
            Document::Proof(proof) => Some(proof.as_ref()),
            _ => None,
        })
    }
}

fn read(file: String, bytes: &[u8]) -> Result<Document, String> {
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with("c2sp.org/")) {
        let tlog = TlogProof::read(text).map_err(|error| error.to_string())?;
        let extra = tlog.extra.as_deref().ok_or("the proof does not say what it is about")?;
        let opening = canonical::read(extra)
            .map_err(|error| format!("what the proof is about cannot be read: {error}"))?;
        return Ok(Document::Proof(Box::new(Proof { file, tlog, opening })));
    }
    match Envelope::read(bytes, RECORD_TYPE) {
        Ok(envelope) => Ok(Document::Record(Box::new(signed(file, envelope)?))),
        Err(EnvelopeError::OtherType { found, .. }) if found == RECEIPT_TYPE => {
            let envelope = Envelope::read(bytes, RECEIPT_TYPE).map_err(|error| error.to_string())?;
            Ok(Document::Receipt(Box::new(signed(file, envelope)?)))
        }
        Err(EnvelopeError::OtherType { found, .. }) if found == CERTIFICATE_TYPE => {
            let envelope = Envelope::read(bytes, CERTIFICATE_TYPE).map_err(|error| error.to_string())?;
            Ok(Document::Certificate(Box::new(signed(file, envelope)?)))
        }
        Err(error) => Err(format!("neither a log proof nor a signed document: {error}")),
    }
}

fn signed<T: Serialize + DeserializeOwned>(file: String, envelope: Envelope) -> Result<Signed<T>, String> {
    let content = canonical::read(&envelope.payload).map_err(|error| error.to_string())?;
    Ok(Signed { file, envelope, content })
}
