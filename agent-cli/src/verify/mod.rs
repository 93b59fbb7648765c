//! The offline verifier: what signed records, receipts and log proofs establish, for somebody who trusts
//! neither headquarters nor the device, but only the keys of a policy of their own.
//!
//! Every check says what it looked at. What could not be checked is said to be so; it never counts as
//! passed. Knows nothing of the store.

mod papers;

use endcheck_protocol::digest::Sha256;
use endcheck_protocol::merkle::{leaf_hash, verify_inclusion};
use endcheck_protocol::record::Record;
use endcheck_protocol::sync::Receipt;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::Policy;
use serde::Serialize;

pub use papers::{DeviceKeys, Papers};
use papers::{Document, Proof, Signed};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Holds,
    NotChecked,
    Failed,
}

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
    let mut verifier = Verifier { papers, policy, checks: Vec::new() };
    for document in &papers.documents {
        verifier.document(document);
    }
    verifier.checks
}

/// The worst outcome; nothing checked is not checked.
#[must_use]
pub fn verdict(checks: &[Check]) -> Outcome {
    checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::NotChecked)
}

struct Verifier<'a> {
    papers: &'a Papers,
    policy: &'a Policy,
    checks: Vec<Check>,
}

impl Verifier<'_> {
    fn say(&mut self, file: &str, check: &'static str, (outcome, evidence): (Outcome, String)) {
        self.checks.push(Check { file: file.to_owned(), check, outcome, evidence });
    }

    fn document(&mut self, document: &Document) {
        match document {
            Document::Certificate(signed) => {
                let found = self.by_authority(signed);
                self.say(&signed.file, "certificate-signature", found);
            }
            Document::Receipt(signed) => {
                let found = self.by_authority(signed);
                self.say(&signed.file, "receipt-signature", found);
                let found = self.receipt_record(&signed.content);
                self.say(&signed.file, "receipt-record", found);
            }
            Document::Record(signed) => self.record(signed),
            Document::Proof(proof) => self.proof(proof),
            Document::Unknown { file, why } => {
                self.say(file, "readable", (Outcome::Failed, why.clone()));
            }
        }
    }

    /// Whether an authority of the policy signed it.
    fn by_authority<T>(&self, signed: &Signed<T>) -> (Outcome, String) {
        if self.policy.authorities.is_empty() {
            return (Outcome::NotChecked, "the policy names no authority".to_owned());
        }
        match self.policy.authorities.iter().find(|(_, key)| signed.envelope.verify(key).is_ok()) {
            Some((name, _)) => (Outcome::Holds, format!("signed by the authority {name} of the policy")),
            None => (
                Outcome::Failed,
                format!("no authority of the policy signed it; it claims key {}", signed.envelope.keyid),
            ),
        }
    }

    fn receipt_record(&self, receipt: &Receipt) -> (Outcome, String) {
        let (Receipt::Record { record, .. } | Receipt::File { record, .. }) = receipt;
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

    fn record(&mut self, signed: &Signed<Record>) {
        let found = self.record_signature(signed);
        self.say(&signed.file, "record-signature", found);
        let found = self.in_log(&signed.envelope.hash);
        self.say(&signed.file, "record-in-log", found);
        if let Some(prev) = &signed.content.prev {
            let found = match self.papers.record(prev) {
                None => {
                    (Outcome::NotChecked, format!("the record before it, {prev}, is not among the files"))
                }
                Some(before) => follows(&before.content, &signed.content),
            };
            self.say(&signed.file, "record-order", found);
        }
    }

    fn record_signature(&self, signed: &Signed<Record>) -> (Outcome, String) {
        let (device, keyid) = (&signed.content.device, &signed.envelope.keyid);
        let certified = self.papers.certificates().find(|certificate| {
            certificate.content.device == *device && self.by_authority(certificate).0 == Outcome::Holds
        });
        let Some(certificate) = certified else {
            let why = format!("no certificate of device {device} that the policy's authority signed is here");
            return (Outcome::NotChecked, why);
        };
        let listed = certificate.content.record_keys.iter().find(|key| key.fingerprint == *keyid);
        let Some(listed) = listed else {
            return (Outcome::Failed, format!("the key {keyid} is not one of device {device}"));
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
        let who = &certificate.content.inspector_name;
        (Outcome::Holds, format!("signed by device {device} of {who}; by its clock at {made_at}"))
    }

    /// Whether a proof that holds, against a checkpoint that the policy trusts, is about `subject`.
    fn in_log(&self, subject: &Sha256) -> (Outcome, String) {
        let about = self.papers.proofs().filter(|proof| proof.opening.subject == *subject);
        let best = about.map(|proof| self.proved(proof)).min_by_key(|(outcome, _)| *outcome);
        best.unwrap_or_else(|| {
            (Outcome::NotChecked, "no proof that it is in the log is among the files".to_owned())
        })
    }

    fn proved(&self, proof: &Proof) -> (Outcome, String) {
        let (trusted, seen) = self.checkpoint(proof);
        if trusted != Outcome::Holds {
            return (trusted, seen);
        }
        self.inclusion(proof)
    }

    fn checkpoint(&self, proof: &Proof) -> (Outcome, String) {
        let trusted = match self.policy.judge(&proof.tlog.checkpoint) {
            Err(error) => return (Outcome::Failed, error.to_string()),
            Ok(trusted) => trusted,
        };
        if !trusted.quorum_reached {
            let seen: Vec<&str> = trusted.witnessed.iter().map(|(name, _)| name.as_str()).collect();
            let by = if seen.is_empty() {
                "no witness of the policy cosigned it".to_owned()
            } else {
                format!("of the policy's witnesses only {} cosigned it", seen.join(", "))
            };
            let asked = self.policy.asks_for().unwrap_or_default();
            return (
                Outcome::Failed,
                format!("{by}, and the policy asks for {asked}: the log may show others another history"),
            );
        }
        let checkpoint = &trusted.signed.checkpoint;
        let seen: String = trusted
            .witnessed
            .iter()
            .map(|(name, at_s)| format!("; seen by {name} at {}", instant(*at_s)))
            .collect();
        (Outcome::Holds, format!("log {} with {} entries{seen}", checkpoint.origin, checkpoint.size))
    }

    fn proof(&mut self, proof: &Proof) {
        let found = self.checkpoint(proof);
        self.say(&proof.file, "checkpoint", found);
        let found = self.inclusion(proof);
        self.say(&proof.file, "inclusion", found);
        let found = self.subject(proof);
        self.say(&proof.file, "subject", found);
    }

    fn inclusion(&self, proof: &Proof) -> (Outcome, String) {
        let Ok(trusted) = self.policy.judge(&proof.tlog.checkpoint) else {
            return (Outcome::Failed, "no log of the policy signed the checkpoint".to_owned());
        };
        if !proof.opening.holds() {
            return (Outcome::Failed, "the entry does not commit to what it is said to be about".to_owned());
        }
        let Ok(entry) = proof.opening.entry.to_bytes() else {
            return (Outcome::Failed, "the entry has no canonical form".to_owned());
        };
        let (tlog, checkpoint) = (&proof.tlog, &trusted.signed.checkpoint);
        let leaf = leaf_hash(&entry);
        match verify_inclusion(&leaf, tlog.index, checkpoint.size, &tlog.hashes, &checkpoint.root) {
            Err(error) => (Outcome::Failed, error.to_string()),
            Ok(()) => {
                let at = proof.opening.entry.logged_at;
                let place = format!("entry {} of {}", tlog.index, checkpoint.size);
                (Outcome::Holds, format!("{place} of log {}, which says {at}", checkpoint.origin))
            }
        }
    }

    fn subject(&self, proof: &Proof) -> (Outcome, String) {
        let subject = &proof.opening.subject;
        if let Some(record) = self.papers.record(subject) {
            return (Outcome::Holds, format!("it is about the record {}", record.file));
        }
        let receipt = self.papers.receipts().find(|receipt| {
            receipt
                .content
                .logged()
                .is_some_and(|(index, opening)| index == proof.tlog.index && opening == proof.opening)
        });
        match receipt {
            Some(receipt) => (Outcome::Holds, format!("it is about the receipt {}", receipt.file)),
            None => (Outcome::NotChecked, format!("what it is about, {subject}, is not among the files")),
        }
    }
}

/// A witness's time as people read it; the number where no calendar has it.
fn instant(at_s: u64) -> String {
    let micros = i64::try_from(at_s).ok().and_then(|at_s| at_s.checked_mul(1_000_000));
    micros.and_then(Timestamp::from_unix_micros).map_or_else(|| at_s.to_string(), |at| at.to_string())
}

fn follows(before: &Record, record: &Record) -> (Outcome, String) {
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
