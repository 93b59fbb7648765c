//! One HTTP exchange with a witness: bounded in time and size, whatever answers.

use std::sync::Arc;
use std::time::Duration;

use endcheck_protocol::tlog::SIZE_MEDIA_TYPE;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};
use url::Url;

const CONNECT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last one read.
const WHOLE: Duration = Duration::from_secs(10);
/// Room for many signature lines, post-quantum ones included.
const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// Where systems keep the certificates they trust: Debian, Fedora, Alpine.
const SYSTEM_BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answered {
    /// Signature lines, unchecked.
    Lines(String),
    /// It holds a checkpoint of another size, or another one of this size.
    Holds(u64),
    /// Anything else, in words.
    Refused(String),
}

pub(super) struct Client {
    agent: Agent,
}

impl Client {
    pub(super) fn new() -> Self {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::Specific(Arc::new(system_roots())))
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("endcheck-server/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WHOLE))
            .build()
            .new_agent();
        Self { agent }
    }

    /// Posts a request body to `add-checkpoint`.
    ///
    /// # Errors
    /// Why no answer came, in words.
    pub(super) fn add_checkpoint(&self, prefix: &Url, body: &str) -> Result<Answered, String> {
        let url = prefix.join("add-checkpoint").map_err(|error| error.to_string())?;
        let answer = self
            .agent
            .post(url.as_str())
            .content_type("text/plain; charset=utf-8")
            .send(body)
            .map_err(|error| format!("no answer: {error}"))?;
        let (head, body) = answer.into_parts();
        let text = body
            .into_with_config()
            .limit(MAX_ANSWER_BYTES)
            .read_to_string()
            .map_err(|error| format!("the answer cannot be read: {error}"))?;
        let is_size = head
            .headers
            .get("content-type")
            .is_some_and(|value| value.as_bytes().starts_with(SIZE_MEDIA_TYPE.as_bytes()));
        Ok(match (head.status.as_u16(), text.strip_suffix('\n').unwrap_or(&text).parse()) {
            (200, _) => Answered::Lines(text),
            (409, Ok(size)) if is_size => Answered::Holds(size),
            (status, _) => {
                let said: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
                Answered::Refused(format!("it answered {status}: {said}"))
            }
        })
    }
}

/// None on a system without certificates: then no witness is reached over TLS, and its status says so.
fn system_roots() -> Vec<Certificate<'static>> {
    let bundle = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    parse_pem(&bundle)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}
