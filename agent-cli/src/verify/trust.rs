//! What the policy vouches for: checkpoints, the entries that they cover, and the authority's signatures.
//! Each is worked out once, however many papers lean on it.

use std::cell::RefCell;
use std::collections::HashMap;

use endcheck_protocol::bag::{AnchorProof, Bundle, derived_subject};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::Envelope;
use endcheck_protocol::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use endcheck_protocol::record::Anchor;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{Checkpoint, LogEntry, Opening, Policy};

use super::papers::{Papers, Proof};
use super::{Found, Outcome};

/// A checkpoint that was judged: what it says, where a log of the policy signed it, and what is to be said.
type Judged = (Option<Checkpoint>, Found);

pub(super) struct Trust<'a> {
    papers: &'a Papers,
    policy: &'a Policy,
    checkpoints: RefCell<HashMap<String, Judged>>,
    inclusions: RefCell<HashMap<usize, Found>>,
    authorities: RefCell<HashMap<Sha256, Found>>,
    /// What the log's entries are about beside records and receipts, with its file.
    elsewhere: HashMap<Sha256, String>,
    /// The file of each receipt, by where the log holds it, and what opens that entry.
    receipts: HashMap<u64, (Opening, String)>,
}

impl<'a> Trust<'a> {
    pub(super) fn new(papers: &'a Papers, policy: &'a Policy) -> Self {
        let mut elsewhere = HashMap::new();
        for one in &papers.determinations {
            elsewhere.insert(one.subject.clone(), one.file.clone());
        }
        for one in &papers.approvals {
            elsewhere.insert(one.subject.clone(), one.file.clone());
        }
        for (_, line) in &papers.ledger {
            elsewhere.insert(line.batch.root.clone(), "a batch of the ledger".to_owned());
        }
        let receipts = papers.receipts.iter().filter_map(|receipt| {
            let (index, opening) = receipt.content.logged()?;
            Some((index, (opening, receipt.file.clone())))
        });
        Self {
            receipts: receipts.collect(),
            papers,
            policy,
            checkpoints: RefCell::default(),
            inclusions: RefCell::default(),
            authorities: RefCell::default(),
            elsewhere,
        }
    }

    /// What else in a bag the log's entries are about.
    pub(super) fn know(&mut self, bundle: &Bundle, bag: &Sha256) {
        self.elsewhere.insert(bag.clone(), "this bag".to_owned());
        for one in &bundle.derived {
            self.elsewhere.insert(derived_subject(&one.record, &one.sha256), one.path.clone());
        }
    }

    pub(super) fn committed_elsewhere(&self, subject: &Sha256) -> Option<&str> {
        self.elsewhere.get(subject).map(String::as_str)
    }

    /// The file of the receipt that tells of the proof's entry.
    pub(super) fn receipt_of(&self, proof: &Proof) -> Option<&str> {
        let (opening, file) = self.receipts.get(&proof.tlog.index)?;
        (*opening == proof.opening).then_some(file)
    }

    /// Whether an authority of the policy signed it.
    pub(super) fn by_authority(&self, envelope: &Envelope) -> Found {
        if let Some(found) = self.authorities.borrow().get(&envelope.hash) {
            return found.clone();
        }
        let found = if self.policy.authorities.is_empty() {
            (Outcome::NotChecked, "the policy names no authority".to_owned())
        } else {
            match self.policy.authorities.iter().find(|(_, key)| envelope.verify(key).is_ok()) {
                Some((name, _)) => (Outcome::Holds, format!("signed by the authority {name} of the policy")),
                None => (
                    Outcome::Failed,
                    format!("no authority of the policy signed it; it claims key {}", envelope.keyid),
                ),
            }
        };
        self.authorities.borrow_mut().insert(envelope.hash.clone(), found.clone());
        found
    }

    /// Whether the policy trusts the checkpoint.
    pub(super) fn checkpoint(&self, text: &str) -> Found {
        self.judged(text).1
    }

    fn judged(&self, text: &str) -> Judged {
        if let Some(judged) = self.checkpoints.borrow().get(text) {
            return judged.clone();
        }
        let judged = self.judge(text);
        self.checkpoints.borrow_mut().insert(text.to_owned(), judged.clone());
        judged
    }

    fn judge(&self, text: &str) -> Judged {
        let trusted = match self.policy.judge(text) {
            Err(error) => return (None, (Outcome::Failed, error.to_string())),
            Ok(trusted) => trusted,
        };
        let checkpoint = trusted.signed.checkpoint;
        if !trusted.quorum_reached {
            let seen: Vec<&str> = trusted.witnessed.iter().map(|(name, _)| name.as_str()).collect();
            let by = if seen.is_empty() {
                "no witness of the policy cosigned it".to_owned()
            } else {
                format!("of the policy's witnesses only {} cosigned it", seen.join(", "))
            };
            let asked = self.policy.asks_for().unwrap_or_default();
            let few =
                format!("{by}, and the policy asks for {asked}: the log may show others another history");
            return (Some(checkpoint), (Outcome::Failed, few));
        }
        let seen: String = trusted
            .witnessed
            .iter()
            .map(|(name, at_s)| format!("; seen by {name} at {}", instant(*at_s)))
            .collect();
        let holds = format!("log {} with {} entries{seen}", checkpoint.origin, checkpoint.size);
        (Some(checkpoint), (Outcome::Holds, holds))
    }

    /// Whether the proof at that place leads to a checkpoint that the policy trusts.
    pub(super) fn inclusion(&self, at: usize) -> Found {
        if let Some(found) = self.inclusions.borrow().get(&at) {
            return found.clone();
        }
        let found = match self.papers.proofs.get(at) {
            Some(proof) => self.included(proof),
            None => (Outcome::NotChecked, "there is no proof".to_owned()),
        };
        self.inclusions.borrow_mut().insert(at, found.clone());
        found
    }

    /// Whether the proof leads to a checkpoint that the policy trusts.
    pub(super) fn included(&self, proof: &Proof) -> Found {
        let (checkpoint, said) = self.judged(&proof.tlog.checkpoint);
        let checkpoint = match (checkpoint, said.0) {
            (Some(checkpoint), Outcome::Holds) => checkpoint,
            _ => return said,
        };
        if !proof.opening.holds() {
            return (Outcome::Failed, "the entry does not commit to what it is said to be about".to_owned());
        }
        let Ok(entry) = proof.opening.entry.to_bytes() else {
            return (Outcome::Failed, "the entry has no canonical form".to_owned());
        };
        let (tlog, leaf) = (&proof.tlog, leaf_hash(&entry));
        match verify_inclusion(&leaf, tlog.index, checkpoint.size, &tlog.hashes, &checkpoint.root) {
            Err(error) => (Outcome::Failed, error.to_string()),
            Ok(()) => {
                let at = proof.opening.entry.logged_at;
                let place = format!("entry {} of {}", tlog.index, checkpoint.size);
                (Outcome::Holds, format!("{place} of log {}, which says {at}", checkpoint.origin))
            }
        }
    }

    /// Whether a proof that holds is about `subject`.
    pub(super) fn in_log(&self, subject: &Sha256) -> Found {
        let proofs = self.papers.proofs_about(subject);
        let best = proofs.iter().map(|at| self.inclusion(*at)).min_by_key(|(outcome, _)| *outcome);
        best.unwrap_or_else(|| {
            (Outcome::NotChecked, "no proof that it is in the log is among the files".to_owned())
        })
    }

    /// Where in the log `subject` stands and when it was logged, where a proof holds.
    pub(super) fn logged(&self, subject: &Sha256) -> Option<(u64, Timestamp)> {
        let at =
            self.papers.proofs_about(subject).iter().find(|at| self.inclusion(**at).0 == Outcome::Holds)?;
        let proof = self.papers.proofs.get(*at)?;
        Some((proof.tlog.index, proof.opening.entry.logged_at))
    }

    /// When the log was as `anchor` says, at the earliest: its last entry's time. The proof leads to
    /// the checkpoint `text`.
    pub(super) fn anchored(
        &self,
        text: &str,
        anchor: &Anchor,
        proof: &AnchorProof,
    ) -> Result<Timestamp, String> {
        let (Some(checkpoint), (Outcome::Holds, _)) = self.judged(text) else {
            return Err("the bag's checkpoint is not trusted".to_owned());
        };
        let later = (checkpoint.size, &checkpoint.root);
        verify_consistency((anchor.size, &anchor.root), later, &proof.consistency).map_err(|error| {
            format!("the state of the log that it names is no earlier state of it: {error}")
        })?;
        let entry = proof.last_entry.as_bytes();
        let Some(index) = anchor.size.checked_sub(1) else {
            return Err("an empty log says no time".to_owned());
        };
        verify_inclusion(&leaf_hash(entry), index, checkpoint.size, &proof.inclusion, &checkpoint.root)
            .map_err(|error| format!("the last entry then is not in the log: {error}"))?;
        LogEntry::read(entry).map(|entry| entry.logged_at).map_err(|error| error.to_string())
    }
}

/// A witness's time as people read it; the number where no calendar has it.
fn instant(at_s: u64) -> String {
    let micros = i64::try_from(at_s).ok().and_then(|at_s| at_s.checked_mul(1_000_000));
    micros.and_then(Timestamp::from_unix_micros).map_or_else(|| at_s.to_string(), |at| at.to_string())
}
