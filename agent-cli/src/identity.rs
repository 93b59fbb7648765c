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
/// repeated enrolment asks with the same keys. The record keys are taken out when it is done.
#[derive(Serialize, Deserialize)]
pub struct EnrolmentKeys {
    /// Address of headquarters.
    pub server: String,
    pub ca_pem: Option<String>,
    pub name: String,
    sign_in_secret: String,
    /// The one record key that earlier versions made for the whole term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    record_secret: Option<String>,
    /// Record keys, in the order of their days.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    record_secrets: Vec<Secret>,
}

/// 32 bytes of a signing key, in hex; gone from memory when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make() -> anyhow::Result<Self> {
        crate::vault::random::<32>().map(|bytes| Self(hex::encode(bytes)))
    }

    /// The key.
    ///
    /// # Errors
    /// When the stored key is damaged.
    pub fn key(&self) -> anyhow::Result<SigningKey> {
        key(&self.0)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
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
    /// Certificates of renewals, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    renewed: Vec<String>,
}

/// An enrolled device.
pub struct Identity {
    pub server: Url,
    pub ca_pem: Option<String>,
    /// Signs client assertions.
    pub sign_in_key: SigningKey,
    /// The newest certificate.
    pub certificate: DeviceCertificate,
    /// Every certificate with its text as it came, signed; oldest first.
    pub certificates: Vec<(DeviceCertificate, String)>,
    /// Signs certificates and receipts; trusted since enrolment.
    pub authority: VerifyingKey,
    /// Signs checkpoints of headquarters' log; trusted since enrolment.
    pub log_key: VerifierKey,
}

impl EnrolmentKeys {
    /// Fresh keys for `server`, with a record key for each of so many days.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn make(server: &Url, ca_pem: Option<String>, name: String, days: usize) -> anyhow::Result<Self> {
        Ok(Self {
            server: server.to_string(),
            ca_pem,
            name,
            sign_in_secret: crate::vault::random::<32>().map(hex::encode)?,
            record_secret: None,
            record_secrets: (0..days).map(|_| Secret::make()).collect::<anyhow::Result<_>>()?,
        })
    }

    /// The key that signs client assertions.
    ///
    /// # Errors
    /// When the stored key is damaged.
    pub fn sign_in_key(&self) -> anyhow::Result<SigningKey> {
        key(&self.sign_in_secret)
    }

    /// The record keys that are still here, in the order of their days.
    #[must_use]
    pub fn record_secrets(&self) -> Vec<Secret> {
        self.record_secret
            .iter()
            .map(|secret| Secret(secret.clone()))
            .chain(self.record_secrets.clone())
            .collect()
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
            renewed: Vec::new(),
        }
    }

    /// Takes out the record keys, which the store keeps one by one, so that each can be erased.
    pub fn take_record_secrets(&mut self) -> Vec<Secret> {
        let secrets = self.keys.record_secrets();
        self.keys.record_secret.zeroize();
        self.keys.record_secret = None;
        self.keys.record_secrets.clear();
        secrets
    }

    /// Adds the certificate of a renewal.
    pub fn add_certificate(&mut self, certificate: String) {
        if self.certificate != certificate && !self.renewed.contains(&certificate) {
            self.renewed.push(certificate);
        }
    }
}

impl Identity {
    /// Checks that the certificates are the authority's and about this device's sign-in key.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn read(document: &IdentityDocument) -> anyhow::Result<Self> {
        let authority = envelope::public_key_from_base64(&document.authority_key)
            .context("the authority's key is not a key")?;
        let sign_in_key = document.keys.sign_in_key()?;
        let sign_in_fingerprint = envelope::fingerprint(&sign_in_key.verifying_key());
        let mut certificates = Vec::new();
        for text in std::iter::once(&document.certificate).chain(&document.renewed) {
            let certificate = read_certificate(text, &authority)?;
            ensure!(
                certificate.sign_in_key == sign_in_fingerprint,
                "the device certificate is about other keys than this device's"
            );
            ensure!(
                !certificate.recipients.is_empty(),
                "the device certificate names nobody to seal files to"
            );
            crate::seal::recipients(&certificate.recipients)?;
            certificates.push((certificate, text.clone()));
        }
        let (certificate, _) = certificates.last().cloned().context("there is no certificate")?;
        Ok(Self {
            server: document.keys.server.parse().context("the server's address in the store")?,
            ca_pem: document.keys.ca_pem.clone(),
            sign_in_key,
            certificate,
            certificates,
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

fn read_certificate(text: &str, authority: &VerifyingKey) -> anyhow::Result<DeviceCertificate> {
    let envelope =
        Envelope::read(text.as_bytes(), CERTIFICATE_TYPE).context("the device certificate is not one")?;
    envelope.verify(authority).context("the device certificate is not the authority's")?;
    let certificate: DeviceCertificate =
        canonical::read(&envelope.payload).context("the device certificate cannot be read")?;
    ensure!(
        certificate.schema == CERTIFICATE_SCHEMA,
        "the device certificate has schema {:?}, which this version does not know: update endcheck",
        certificate.schema
    );
    Ok(certificate)
}
