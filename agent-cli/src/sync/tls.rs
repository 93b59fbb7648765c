//! Whom the agent believes to be headquarters: the certificates of `--ca`, else the system's.

use std::sync::Arc;

use anyhow::Context as _;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::refusal::refuse;

/// Where systems keep the certificates they trust: Debian, Fedora, Alpine, Termux.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/data/data/com.termux/files/usr/etc/tls/cert.pem",
];

/// TLS by rustls.
///
/// # Errors
/// When there are no certificates to trust.
pub(super) fn config(ca_pem: Option<&str>) -> anyhow::Result<TlsConfig> {
    let roots = match ca_pem {
        Some(pem) => certificates(pem.as_bytes()).context("the file given with --ca")?,
        None => system()?,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build())
}

fn system() -> anyhow::Result<Vec<Certificate<'static>>> {
    match SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()) {
        Some(pem) => certificates(&pem),
        None => Err(refuse(
            "this system has no certificates to trust",
            "Install ca-certificates, or enrol with --ca and the authority's certificate.",
        )),
    }
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.context("it is not PEM")? {
            found.push(certificate);
        }
    }
    anyhow::ensure!(!found.is_empty(), "it holds no certificate in PEM form");
    Ok(found)
}
