//! The documents of a bag for people: the report, how to verify, and the draft of a certificate.

use askama::Template;
use endcheck_protocol::bag::Bundle;
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::ledger::{LedgerLine, Note};
use endcheck_protocol::selftest::SelfTest;
use endcheck_protocol::time::Timestamp;

use crate::app::App;
use crate::error::{Error, Result};
use crate::log;
use crate::reviews::Dossier;

/// What the documents tell of.
pub(super) struct Facts<'a> {
    pub app: &'a App,
    pub bundle: &'a Bundle,
    pub dossier: &'a Dossier,
    pub ledger: &'a [LedgerLine],
    /// When the last entry was logged that the bag shows.
    pub closed_at: Timestamp,
}

fn rendered(template: &impl Template) -> Result<String> {
    template.render().map_err(|e| Error::Internal(e.into()))
}

#[derive(Template)]
#[template(path = "report.html")]
struct Report<'a> {
    org: &'a str,
    bundle: &'a Bundle,
    dossier: &'a Dossier,
    ledger: &'a [LedgerLine],
    closed_at: Timestamp,
}

impl Report<'_> {
    fn path_of(&self, record: &Sha256) -> Option<&str> {
        let original = self.bundle.originals.iter().find(|original| original.record == *record)?;
        // The report lies in `data` itself.
        original.path.as_deref()?.strip_prefix("data/")
    }

    fn absent(&self, record: &Sha256) -> Option<&str> {
        self.bundle.originals.iter().find(|original| original.record == *record)?.absent.as_deref()
    }
}

/// The report: what was found, for reading and printing.
pub(super) fn report(facts: &Facts<'_>) -> Result<String> {
    rendered(&Report {
        org: &facts.app.config.org,
        bundle: facts.bundle,
        dossier: facts.dossier,
        ledger: facts.ledger,
        closed_at: facts.closed_at,
    })
}

#[derive(Template)]
#[template(path = "VERIFY.md")]
struct Verify<'a> {
    org: &'a str,
    log: String,
    log_key: String,
    authority: String,
    bundle: &'a Bundle,
}

/// How to verify the bag with tools that others wrote.
pub(super) fn verify(facts: &Facts<'_>) -> Result<String> {
    let policy = log::policy_text(facts.app);
    let word = |line: &str, at: usize| {
        policy
            .lines()
            .find(|text| text.starts_with(line))
            .and_then(|text| text.split(' ').nth(at))
            .unwrap_or_default()
            .to_owned()
    };
    let log_key = word("log ", 1);
    rendered(&Verify {
        org: &facts.app.config.org,
        log: log_key.split('+').next().unwrap_or_default().to_owned(),
        log_key,
        authority: word("authority ", 2),
        bundle: facts.bundle,
    })
}

#[derive(Template)]
#[template(path = "CERTIFICATE-draft.md")]
struct Certificate<'a> {
    org: &'a str,
    version: &'static str,
    bundle: &'a Bundle,
    dossier: &'a Dossier,
    tests: &'a [SelfTest],
    files: Vec<(String, Sha256, u64)>,
    closed_at: Timestamp,
}

/// The draft of a certificate under the Federal Rules of Evidence 902(13) and (14), for a qualified person
/// to complete and sign.
pub(super) fn certificate(
    facts: &Facts<'_>,
    tests: &[SelfTest],
    files: Vec<(String, Sha256, u64)>,
) -> Result<String> {
    rendered(&Certificate {
        org: &facts.app.config.org,
        version: env!("CARGO_PKG_VERSION"),
        bundle: facts.bundle,
        dossier: facts.dossier,
        tests,
        files,
        closed_at: facts.closed_at,
    })
}
