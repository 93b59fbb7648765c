//! DSSE envelopes: who signed exactly which bytes.
//!
//! The signature covers the payload bytes as they stand (DSSE v1 pre-authentication encoding), so
//! nobody ever has to write a document again to check it. An envelope is identified by the SHA-256
//! of its own bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Sha256;

pub const RECORD_TYPE: &str = "application/vnd.endcheck.record+json";
pub const RECEIPT_TYPE: &str = "application/vnd.endcheck.receipt+json";
pub const CERTIFICATE_TYPE: &str = "application/vnd.endcheck.device-certificate+json";

/// The largest envelope that is taken in, in bytes.
pub const MAX_ENVELOPE_BYTES: usize = 96 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    payload: String,
    #[serde(rename = "payloadType")]
    payload_type: String,
    signatures: Vec<WireSignature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: Sha256,
    sig: String,
}

/// Why bytes are not an envelope, or not one signed as expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the envelope has {0} bytes, over the limit of {MAX_ENVELOPE_BYTES}")]
    TooLarge(usize),
    #[error("the envelope is malformed: {0}")]
    Malformed(String),
    #[error("the envelope holds {found:?}, not {expected:?}")]
    OtherType { found: String, expected: &'static str },
    #[error("the signature by key {keyid} does not verify")]
    BadSignature { keyid: Sha256 },
}

/// An envelope taken apart, its signature not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// SHA-256 of the envelope's bytes: its name.
    pub hash: Sha256,
    pub payload: Vec<u8>,
    /// Fingerprint of the key that claims to have signed.
    pub keyid: Sha256,
    payload_type: String,
    signature: ed25519_dalek::Signature,
}

/// The name of a public key: SHA-256 of its 32 raw bytes.
#[must_use]
pub fn fingerprint(key: &VerifyingKey) -> Sha256 {
    Sha256::of(key.as_bytes())
}

/// Reads a public key from its 32 bytes in base64.
///
/// # Errors
/// When the text is not base64 of a point on the curve.
pub fn public_key_from_base64(text: &str) -> Result<VerifyingKey, EnvelopeError> {
    let malformed = || EnvelopeError::Malformed("a public key is 32 bytes in base64".to_owned());
    let bytes: [u8; 32] = BASE64.decode(text).ok().and_then(|b| b.try_into().ok()).ok_or_else(malformed)?;
    VerifyingKey::from_bytes(&bytes).map_err(|_| malformed())
}

#[must_use]
pub fn public_key_to_base64(key: &VerifyingKey) -> String {
    BASE64.encode(key.as_bytes())
}

/// Signs `document` in canonical form and returns the envelope's bytes.
///
/// # Errors
/// When the document has no canonical form.
pub fn sign<T: Serialize>(
    payload_type: &'static str,
    document: &T,
    key: &SigningKey,
) -> Result<Vec<u8>, canonical::CanonicalError> {
    let payload = canonical::write(document)?;
    let signature = key.sign(&pre_authentication(payload_type, &payload));
    canonical::write(&Wire {
        payload: BASE64.encode(&payload),
        payload_type: payload_type.to_owned(),
        signatures: vec![WireSignature {
            keyid: fingerprint(&key.verifying_key()),
            sig: BASE64.encode(signature.to_bytes()),
        }],
    })
}

impl Envelope {
    /// Takes an envelope of the expected type apart.
    ///
    /// # Errors
    /// When it is too large, malformed, of another type, or signed by other than one key.
    pub fn read(bytes: &[u8], expected: &'static str) -> Result<Self, EnvelopeError> {
        if bytes.len() > MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge(bytes.len()));
        }
        let wire: Wire = canonical::read(bytes).map_err(|e| EnvelopeError::Malformed(e.to_string()))?;
        if wire.payload_type != expected {
            return Err(EnvelopeError::OtherType { found: wire.payload_type, expected });
        }
        let [signature] = wire.signatures.as_slice() else {
            return Err(EnvelopeError::Malformed(format!(
                "{} signatures instead of one",
                wire.signatures.len()
            )));
        };
        let malformed =
            |what: &str| EnvelopeError::Malformed(format!("{what} is not base64 of the right length"));
        let payload = BASE64.decode(&wire.payload).map_err(|_| malformed("the payload"))?;
        let signature_bytes: [u8; 64] = BASE64
            .decode(&signature.sig)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| malformed("the signature"))?;
        Ok(Self {
            hash: Sha256::of(bytes),
            payload,
            keyid: signature.keyid.clone(),
            payload_type: wire.payload_type,
            signature: ed25519_dalek::Signature::from_bytes(&signature_bytes),
        })
    }

    /// Checks the signature against the key whose fingerprint the envelope names.
    ///
    /// # Errors
    /// When the key is another one or the signature is not its own (strict verification).
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), EnvelopeError> {
        let bad = || EnvelopeError::BadSignature { keyid: self.keyid.clone() };
        if fingerprint(key) != self.keyid {
            return Err(bad());
        }
        key.verify_strict(&pre_authentication(&self.payload_type, &self.payload), &self.signature)
            .map_err(|_| bad())
    }
}

/// DSSE v1 PAE: `DSSEv1 SP len(type) SP type SP len(payload) SP payload`.
pub(crate) fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {} {} ", payload_type.len(), payload_type, payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    #[test]
    fn an_envelope_verifies_with_its_own_key_and_type_only() {
        let bytes = sign(RECORD_TYPE, &serde_json::json!({"a": 1}), &key(1)).unwrap();
        let envelope = Envelope::read(&bytes, RECORD_TYPE).unwrap();
        assert_eq!(envelope.payload, br#"{"a":1}"#);
        envelope.verify(&key(1).verifying_key()).unwrap();
        assert!(envelope.verify(&key(2).verifying_key()).is_err());
        assert!(matches!(Envelope::read(&bytes, RECEIPT_TYPE), Err(EnvelopeError::OtherType { .. })));
    }

    #[test]
    fn no_single_bit_can_change_unnoticed() {
        let bytes = sign(RECORD_TYPE, &serde_json::json!({"a": "evidence"}), &key(1)).unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                let accepted = Envelope::read(&changed, RECORD_TYPE)
                    .is_ok_and(|envelope| envelope.verify(&key(1).verifying_key()).is_ok());
                assert!(!accepted, "bit {bit} of byte {at}");
            }
        }
    }
}
