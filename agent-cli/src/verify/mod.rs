//! The offline verifier: what signed records, receipts, log proofs and whole bags establish, for somebody
//! who trusts neither headquarters nor the device, but only the keys of a policy of their own.
//!
//! Every check says what it looked at. What could not be checked is said to be so; it never counts as
//! passed. Knows nothing of the store.

mod archive;
mod bag;
mod case;
mod papers;
mod trust;
mod whole;

use endcheck_protocol::bag::Bundle;
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::{DeviceCertificate, Receipt, RecordKey};
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{EntryKind, Policy};
use serde::Serialize;

pub use bag::{Bag, is_bag};
pub use papers::{DeviceKeys, Papers};
use papers::{Proof, Signed};
use trust::Trust;

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Holds,
    NotChecked,
    Failed,
}

/// What came of a check, and its evidence in words.
type Found = (Outcome, String);

/// One check, with its evidence in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The file that was looked at.
    pub file: String,
    pub check: &'static str,
    pub outcome: Outcome,
    pub evidence: String,
}

/// Everything that can be said of `papers` under `policy`.
#[must_use]
pub fn verify(papers: &Papers, policy: &Policy) -> Vec<Check> {
    let mut verifier = Verifier::new(papers, policy);
    verifier.trust.compare(&[]);
    verifier.papers();
    verifier.checks
}

/// Everything that can be said of a bag under `policy`: of its papers, of its files, and that nothing was
/// left out.
#[must_use]
pub fn verify_bag(bag: &Bag, policy: &Policy) -> Vec<Check> {
    let papers = &bag.papers;
    let mut verifier = Verifier::new(papers, policy);
    verifier.bag(bag);
    verifier.papers();
    verifier.checks
}

/// The worst outcome; nothing checked is not checked.
#[must_use]
pub fn verdict(checks: &[Check]) -> Outcome {
    checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::NotChecked)
}

struct Verifier<'a> {
    papers: &'a Papers,
    trust: Trust<'a>,
    checks: Vec<Check>,
    /// What the bag says it is, where the papers are those of a bag.
    bundle: Option<Bundle>,
}

impl<'a> Verifier<'a> {
    fn new(papers: &'a Papers, policy: &'a Policy) -> Self {
        Self { papers, trust: Trust::new(papers, policy), checks: Vec::new(), bundle: None }
    }

    fn say(&mut self, file: &str, check: &'static str, (outcome, evidence): Found) {
        self.checks.push(Check { file: file.to_owned(), check, outcome, evidence });
    }

    fn papers(&mut self) {
        let papers = self.papers;
        for signed in &papers.certificates {
            let found = self.trust.by_authority(&signed.envelope);
            self.say(&signed.file, "certificate-signature", found);
            // Beside a bag the log must tell of each; a device's own papers hold no such proof.
            if self.bundle.is_some() {
                let found = self.trust.in_log(EntryKind::KeyEvent, &signed.envelope.hash);
                self.say(&signed.file, "certificate-in-log", found);
            }
        }
        for one in &papers.revocations {
            let found = self.trust.in_log(EntryKind::KeyEvent, &one.subject);
            self.say(&one.file, "revocation-in-log", found);
        }
        if self.bundle.is_some() {
            let found = self.trust.times();
            self.say("data/proofs", "log-times", found);
        }
        let committed = whole::committed(papers, &self.trust);
        for signed in &papers.records {
            self.record(signed, &committed);
        }
        for signed in &papers.receipts {
            let found = self.trust.by_authority(&signed.envelope);
            self.say(&signed.file, "receipt-signature", found);
            let found = self.receipt_record(&signed.content);
            self.say(&signed.file, "receipt-record", found);
            if let (Receipt::File { .. }, Some((_, opening))) = (&signed.content, signed.content.logged()) {
                let found = self.trust.in_log(EntryKind::FileReceipt, &opening.subject);
                self.say(&signed.file, "receipt-in-log", found);
            }
        }
        self.contents();
        self.conclusions();
        self.ledger();
        for (at, proof) in papers.proofs.iter().enumerate() {
            let found = self.trust.checkpoint(&proof.tlog.checkpoint);
            self.say(&proof.file, "checkpoint", found);
            let found = self.trust.inclusion(at);
            self.say(&proof.file, "inclusion", found);
            let found = self.subject(proof);
            self.say(&proof.file, "subject", found);
        }
        for (file, why) in &papers.unknown {
            self.say(file, "readable", (Outcome::Failed, why.clone()));
        }
    }

    fn receipt_record(&self, receipt: &Receipt) -> Found {
        let (Receipt::Record { record, .. } | Receipt::File { record, .. }) = receipt;
        let Some((index, opening)) = receipt.logged() else {
            return (Outcome::Failed, "its salt is malformed: it opens no entry of the log".to_owned());
        };
        let kind = opening.entry.kind;
        if let Some(place) = self.trust.logged(kind, &opening.subject)
            && !self.trust.is_entry(index, &opening)
        {
            let why = format!("it says entry {index}; the log holds it as another, {}", place.index);
            return (Outcome::Failed, why);
        }
        let Some(signed) = self.papers.record(record) else {
            return (Outcome::NotChecked, format!("the record {record} is not among the files"));
        };
        let Receipt::File { sha256, sealed_sha256, size_bytes, stored_at, .. } = receipt else {
            return (Outcome::Holds, format!("it is about {}, which is here", signed.file));
        };
        let fits = signed.content.act.file().is_some_and(|file| {
            file.sha256 == *sha256 && file.sealed_sha256 == *sealed_sha256 && file.size_bytes == *size_bytes
        });
        if fits {
            let at = format!("headquarters held the {size_bytes} bytes with SHA-256 {sha256} at {stored_at}");
            (Outcome::Holds, at)
        } else {
            (Outcome::Failed, format!("it names another file than {}", signed.file))
        }
    }

    fn record(&mut self, signed: &'a Signed<Record>, committed: &whole::Committed) {
        let found = self.record_signature(signed);
        self.say(&signed.file, "record-signature", found);
        let found = self.trust.in_log(EntryKind::Record, &signed.envelope.hash);
        self.say(&signed.file, "record-in-log", found);
        if let Some(prev) = &signed.content.prev {
            let found = match self.papers.record(prev) {
                Some(before) => follows(&before.content, &signed.content),
                None if committed.holds(&signed.envelope.hash) => (
                    Outcome::Holds,
                    format!(
                        "number {} of the device; the record before it is no part of what the device's \
                         visit-close commits to",
                        signed.content.seq
                    ),
                ),
                None => {
                    (Outcome::NotChecked, format!("the record before it, {prev}, is not among the files"))
                }
            };
            self.say(&signed.file, "record-order", found);
        } else if signed.content.seq > 0 {
            let why = format!("number {} of the device names none before it", signed.content.seq);
            self.say(&signed.file, "record-order", (Outcome::Failed, why));
        }
    }

    fn record_signature(&self, signed: &Signed<Record>) -> Found {
        let (device, keyid) = (&signed.content.device, &signed.envelope.keyid);
        let certified = self.papers.certificates.iter().filter(|certificate| {
            certificate.content.device == *device
                && self.trust.by_authority(&certificate.envelope).0 == Outcome::Holds
        });
        let mut any = false;
        // Renewals bring certificates of their own; each stays good for its days.
        let listed = certified.inspect(|_| any = true).find_map(|certificate| {
            let key = certificate.content.record_keys.iter().find(|key| key.fingerprint == *keyid)?;
            Some((certificate, key))
        });
        let Some((certificate, listed)) = listed else {
            return if any {
                (Outcome::Failed, format!("the key {keyid} is not one of device {device}"))
            } else {
                let why =
                    format!("no certificate of device {device} that the policy's authority signed is here");
                (Outcome::NotChecked, why)
            };
        };
        let Some(key) = self.papers.keys.get(keyid) else {
            return (Outcome::NotChecked, format!("the public key {keyid} is not among the files"));
        };
        if signed.envelope.verify(key).is_err() {
            return (Outcome::Failed, format!("the signature by {keyid} does not verify"));
        }
        let made_at = signed.content.clock.device_at;
        if !(listed.first_day..=listed.last_day).contains(&made_at.day()) {
            let days = format!("{} to {}", listed.first_day, listed.last_day);
            return (Outcome::Failed, format!("dated {made_at}, but the key is for {days}"));
        }
        if let Err(why) = self.certified(signed, certificate, listed) {
            return (Outcome::Failed, why);
        }
        let who = &certificate.content.inspector_name;
        let mut evidence = format!("signed by device {device} of {who}; by its clock at {made_at}");
        for one in self.papers.revocations.iter().filter(|one| one.content.device == *device) {
            let record = self.trust.logged(EntryKind::Record, &signed.envelope.hash);
            let revoked = self.trust.logged(EntryKind::KeyEvent, &one.subject);
            let when = match (record, revoked) {
                (Some(record), Some(revoked)) if record.is_before(&revoked) => "after",
                _ => "before",
            };
            let at = one.content.revoked_at;
            evidence.push_str(&format!("; the device was revoked at {at}, {when} this was logged"));
        }
        (Outcome::Holds, evidence)
    }

    /// Whether the certificate could vouch for the key on that day: issued no later than it, by and for the same
    /// authority, the only key of the device for that day, and in the log before what the key signed.
    fn certified(
        &self,
        signed: &Signed<Record>,
        certificate: &Signed<DeviceCertificate>,
        listed: &RecordKey,
    ) -> Result<(), String> {
        let (content, record) = (&certificate.content, &signed.content);
        if content.org != record.org {
            return Err(format!("a record of {:?} under a certificate of {:?}", record.org, content.org));
        }
        let day = record.clock.device_at.day();
        // When it says that it was issued, or when the log took it in: whichever is later.
        let issued_at = self.issued_at(certificate);
        // Enrolment certifies from the day before on: the device's clock may be behind.
        if day < issued_at.day().pred_opt().unwrap_or(issued_at.day()) {
            return Err(format!("dated {day}, but the key was certified later, at {issued_at}"));
        }
        let another = self.papers.certificates.iter().any(|other| {
            other.content.device == content.device
                && self.trust.by_authority(&other.envelope).0 == Outcome::Holds
                && other.content.record_keys.iter().any(|key| {
                    key.fingerprint != listed.fingerprint
                        && (key.first_day..=key.last_day).contains(&day)
                        && !self.gives_way((certificate, listed), (other, key))
                })
        });
        if another {
            return Err(format!(
                "the device has two keys for {day}: which of them is its own, nobody can say"
            ));
        }
        let (Some(record), Some(_)) =
            (self.trust.logged(EntryKind::Record, &signed.envelope.hash), &self.bundle)
        else {
            return Ok(());
        };
        match self.trust.logged(EntryKind::KeyEvent, &certificate.envelope.hash) {
            Some(certified) if certified.is_before(&record) => Ok(()),
            Some(certified) => Err(format!(
                "the certificate is entry {} of the log, after the record, which is entry {}",
                certified.index, record.index
            )),
            None => Err("nothing proves that the certificate was in the log before the record".to_owned()),
        }
    }

    /// When a certificate was issued, by its own word, and not before the log took it in.
    fn issued_at(&self, certificate: &Signed<DeviceCertificate>) -> Timestamp {
        let logged = self.trust.logged(EntryKind::KeyEvent, &certificate.envelope.hash);
        let said = certificate.content.issued_at;
        logged.map_or(said, |place| place.logged_at.max(said))
    }

    /// Whether one of two keys for a day is the single key for many days that a device was enrolled with, and the
    /// other the key for the day that took its place later. Both stay good: the device may learn of it late.
    fn gives_way(
        &self,
        one: (&Signed<DeviceCertificate>, &RecordKey),
        other: (&Signed<DeviceCertificate>, &RecordKey),
    ) -> bool {
        let is_long = |key: &RecordKey| key.last_day.signed_duration_since(key.first_day).num_days() > 1;
        let earlier = |a: &Signed<DeviceCertificate>, b: &Signed<DeviceCertificate>| {
            let place = |of: &Signed<_>| self.trust.logged(EntryKind::KeyEvent, &of.envelope.hash);
            let logged = place(a).zip(place(b)).is_none_or(|(a, b)| a.is_before(&b));
            logged && a.content.issued_at < b.content.issued_at
        };
        match (is_long(one.1), is_long(other.1)) {
            (true, false) => earlier(one.0, other.0),
            (false, true) => earlier(other.0, one.0),
            _ => false,
        }
    }

    /// What a proof is about, as far as it is here.
    fn subject(&self, proof: &Proof) -> Found {
        let subject = &proof.opening.subject;
        if let Some(record) = self.papers.record(subject) {
            return (Outcome::Holds, format!("it is about the record {}", record.file));
        }
        if let Some(receipt) = self.trust.receipt_of(proof) {
            return (Outcome::Holds, format!("it is about the receipt {receipt}"));
        }
        match self.trust.committed_elsewhere(subject) {
            Some(file) => (Outcome::Holds, format!("it is about {file}")),
            None => (Outcome::NotChecked, format!("what it is about, {subject}, is not among the files")),
        }
    }
}

fn follows(before: &Record, record: &Record) -> Found {
    if before.device == record.device && before.seq.checked_add(1) == Some(record.seq) {
        (Outcome::Holds, format!("number {} of the device, right after {}", record.seq, before.seq))
    } else {
        (Outcome::Failed, format!("number {} names number {} as the one before it", record.seq, before.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_outweighs_all_and_nothing_checked_is_not_passed() {
        let check = |outcome| Check { file: String::new(), check: "x", outcome, evidence: String::new() };
        assert_eq!(verdict(&[]), Outcome::NotChecked);
        assert_eq!(verdict(&[check(Outcome::Holds)]), Outcome::Holds);
        assert_eq!(verdict(&[check(Outcome::Holds), check(Outcome::NotChecked)]), Outcome::NotChecked);
        assert_eq!(verdict(&[check(Outcome::Failed), check(Outcome::NotChecked)]), Outcome::Failed);
    }
}
