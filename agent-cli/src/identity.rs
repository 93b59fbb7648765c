//! Who the device is: its keys, its certificate and the authority it trusts.

use anyhow::{Context as _, ensure};
use ed25519_dalek::{SigningKey, VerifyingKey};
use endcheck_protocol::canonical;
use endcheck_protocol::envelope::{self, CERTIFICATE_TYPE, Envelope, RECEIPT_TYPE};
use endcheck_protocol::sync::{CERTIFICATE_SCHEMA, DeviceCertificate, Enrolment, Receipt};
use endcheck_protocol::tlog::VerifierKey;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroize as _;

/// Program and version, as records name it.
pub const AGENT: &str = concat!("endcheck ", env!("CARGO_PKG_VERSION"));

/// The keys of one enrolment and whom they are for; kept before the server is asked, so that a
/// repeated enrolment asks with the same keys.
#[derive(Serialize, Deserialize)]
pub struct EnrolmentKeys {
    /// Address of headquarters.
    pub server: String,
    pub ca_pem: Option<String>,
    pub name: String,
    sign_in_secret: String,
    record_secret: String,
}

impl Drop for EnrolmentKeys {
    fn drop(&mut self) {
        self.sign_in_secret.zeroize();
        self.record_secret.zeroize();
    }
}

/// What the store keeps of a finished enrolment.
#[derive(Serialize, Deserialize)]
pub struct IdentityDocument {
    keys: EnrolmentKeys,
    certificate: String,
    authority_key: String,
    log_key: String,
}

/// An enrolled device.
pub struct Identity {
    pub server: Url,
    pub ca_pem: Option<String>,
    /// Signs client assertions.
    pub sign_in_key: SigningKey,
    /// Signs records.
    pub record_key: SigningKey,
    pub certificate: DeviceCertificate,
    /// The certificate as it came, signed.
    pub certificate_envelope: String,
    /// Signs certificates and receipts; trusted since enrolment.
    pub authority: VerifyingKey,
    /// Signs checkpoints of headquarters' log; trusted since enrolment.
    pub log_key: VerifierKey,
}

impl EnrolmentKeys {
    /// Fresh keys for `server`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make(server: &Url, ca_pem: Option<String>, name: String) -> anyhow::Result<Self> {
        let secret = || crate::vault::random::<32>().map(hex::encode);
        Ok(Self {
            server: server.to_string(),
            ca_pem,
            name,
            sign_in_secret: secret()?,
            record_secret: secret()?,
        })
    }

    /// The key that signs client assertions.
    ///
    /// # Errors
    /// When the stored key is damaged.
    pub fn sign_in_key(&self) -> anyhow::Result<SigningKey> {
        key(&self.sign_in_secret)
    }

    /// The key that signs records.
    ///
    /// # Errors
    /// When the stored key is damaged.
    pub fn record_key(&self) -> anyhow::Result<SigningKey> {
        key(&self.record_secret)
    }
}

fn key(secret: &str) -> anyhow::Result<SigningKey> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(secret, &mut bytes).context("a key of the store is damaged")?;
    let key = SigningKey::from_bytes(&bytes);
    bytes.zeroize();
    Ok(key)
}

impl IdentityDocument {
    #[must_use]
    pub fn new(keys: EnrolmentKeys, enrolment: Enrolment) -> Self {
        Self {
            keys,
            certificate: enrolment.certificate,
            authority_key: enrolment.authority_key,
            log_key: enrolment.log_key,
        }
    }
}

impl Identity {
    /// Checks that the certificate is the authority's and about these keys.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn read(document: &IdentityDocument) -> anyhow::Result<Self> {
        let authority = envelope::public_key_from_base64(&document.authority_key)
            .context("the authority's key is not a key")?;
        let envelope = Envelope::read(document.certificate.as_bytes(), CERTIFICATE_TYPE)
            .context("the device certificate is not one")?;
        envelope.verify(&authority).context("the device certificate is not the authority's")?;
        let certificate: DeviceCertificate =
            canonical::read(&envelope.payload).context("the device certificate cannot be read")?;
        ensure!(
            certificate.schema == CERTIFICATE_SCHEMA,
            "the device certificate has schema {:?}, which this version does not know: update endcheck",
            certificate.schema
        );
        let sign_in_key = document.keys.sign_in_key()?;
        let record_key = document.keys.record_key()?;
        let record_fingerprint = envelope::fingerprint(&record_key.verifying_key());
        ensure!(
            certificate.sign_in_key == envelope::fingerprint(&sign_in_key.verifying_key())
                && certificate.record_keys.iter().any(|key| key.fingerprint == record_fingerprint),
            "the device certificate is about other keys than this device's"
        );
        ensure!(!certificate.recipients.is_empty(), "the device certificate names nobody to seal files to");
        crate::seal::recipients(&certificate.recipients)?;
        Ok(Self {
            server: document.keys.server.parse().context("the server's address in the store")?,
            ca_pem: document.keys.ca_pem.clone(),
            sign_in_key,
            record_key,
            certificate,
            certificate_envelope: document.certificate.clone(),
            authority,
            log_key: document.log_key.parse().context("the log's key")?,
        })
    }

    /// Reads a receipt that the authority signed for this device.
    ///
    /// # Errors
    /// When it is malformed, signed by somebody else or about another device.
    pub fn receipt(&self, envelope: &str) -> anyhow::Result<Receipt> {
        let read = Envelope::read(envelope.as_bytes(), RECEIPT_TYPE).context("a receipt is not one")?;
        read.verify(&self.authority).context("a receipt is not the authority's")?;
        let receipt: Receipt = canonical::read(&read.payload).context("a receipt cannot be read")?;
        let (Receipt::Record { device, .. } | Receipt::File { device, .. }) = &receipt;
        ensure!(*device == self.certificate.device, "a receipt is about device {device}, not this one");
        Ok(receipt)
    }
}
