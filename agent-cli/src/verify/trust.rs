//! What the policy vouches for: checkpoints, the entries that they cover, and the authority's signatures.
//! Each is worked out once, however many papers lean on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use chrono::TimeDelta;
use endcheck_protocol::bag::{AnchorProof, Bundle, derived_subject};
use endcheck_protocol::digest::Sha256;
use endcheck_protocol::envelope::Envelope;
use endcheck_protocol::merkle::{leaf_hash, verify_consistency, verify_inclusion};
use endcheck_protocol::record::Anchor;
use endcheck_protocol::time::Timestamp;
use endcheck_protocol::tlog::{Checkpoint, EntryKind, LogEntry, Opening, Policy};

use super::papers::{Papers, Proof};
use super::{Found, Outcome};

/// A checkpoint that was judged: what it says, where a log of the policy signed it, and what is to be said.
type Judged = (Option<Checkpoint>, Found);

/// How far the clocks of headquarters' servers may be apart.
pub(super) const CLOCKS_APART: TimeDelta = TimeDelta::minutes(10);

pub(super) struct Trust<'a> {
    papers: &'a Papers,
    policy: &'a Policy,
    checkpoints: RefCell<HashMap<String, Judged>>,
    inclusions: RefCell<HashMap<usize, Found>>,
    authorities: RefCell<HashMap<Sha256, Found>>,
    /// What the log's entries are about beside records and receipts, with its file.
    elsewhere: HashMap<Sha256, String>,
    /// The file of each receipt, by where the log holds it, and what opens that entry.
    receipts: HashMap<(u64, Sha256), (Opening, String)>,
    /// Logs that signed two states of one size, and what is to be said of them.
    forked: BTreeMap<String, String>,
}

/// Where a thing stands in a log, and since when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub origin: String,
    pub index: u64,
    pub logged_at: Timestamp,
}

impl Place {
    /// Whether both are in one log, and this one earlier.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        self.origin == other.origin && self.index < other.index
    }
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
        for one in &papers.certificates {
            elsewhere.insert(one.envelope.hash.clone(), one.file.clone());
        }
        for one in &papers.revocations {
            elsewhere.insert(one.subject.clone(), one.file.clone());
        }
        for (_, line) in &papers.ledger {
            elsewhere.insert(line.batch.root.clone(), "a batch of the ledger".to_owned());
        }
        let receipts = papers.receipts.iter().filter_map(|receipt| {
            let (index, opening) = receipt.content.logged()?;
            Some(((index, opening.subject.clone()), (opening, receipt.file.clone())))
        });
        Self {
            receipts: receipts.collect(),
            papers,
            policy,
            checkpoints: RefCell::default(),
            inclusions: RefCell::default(),
            authorities: RefCell::default(),
            elsewhere,
            forked: BTreeMap::new(),
        }
    }

    /// Compares every checkpoint among the papers, and these: a log that signed two states of one size shows
    /// different people different histories, and nothing under it holds.
    pub(super) fn compare(&mut self, more: &[&str]) {
        let mut roots: BTreeMap<(String, u64), Sha256> = BTreeMap::new();
        let papers = self.papers;
        let texts = papers.proofs.iter().map(|proof| proof.tlog.checkpoint.as_str());
        for text in texts.chain(more.iter().copied()) {
            let Some(Checkpoint { origin, size, root }) = self.judged(text).0 else { continue };
            let first = roots.entry((origin.clone(), size)).or_insert_with(|| root.clone());
            if *first != root {
                let why = format!("the log {origin} signed two different states of {size} entries");
                self.forked.insert(origin, why);
            }
        }
    }

    /// What the checkpoint says, where a log of the policy signed it.
    pub(super) fn state(&self, text: &str) -> Option<Checkpoint> {
        self.judged(text).0
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
        let key = (proof.tlog.index, proof.opening.subject.clone());
        let (opening, file) = self.receipts.get(&key)?;
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
        let known = self.checkpoints.borrow().get(text).cloned();
        let judged = known.unwrap_or_else(|| {
            let judged = self.judge(text);
            self.checkpoints.borrow_mut().insert(text.to_owned(), judged.clone());
            judged
        });
        match &judged.0 {
            Some(checkpoint) => match self.forked.get(&checkpoint.origin) {
                Some(why) => (judged.0, (Outcome::Failed, why.clone())),
                None => judged,
            },
            None => judged,
        }
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

    /// Whether a proof that holds says that `subject` is in the log, as that kind of entry, and once.
    pub(super) fn in_log(&self, kind: EntryKind, subject: &Sha256) -> Found {
        let proofs: Vec<(usize, &Proof)> = self
            .papers
            .proofs_about(subject)
            .iter()
            .filter_map(|at| Some((*at, self.papers.proofs.get(*at)?)))
            .collect();
        let of_kind: Vec<usize> =
            proofs.iter().filter(|(_, proof)| proof.opening.entry.kind == kind).map(|(at, _)| *at).collect();
        let places = self.places(kind, subject);
        if let Some((first, other)) = places.iter().enumerate().find_map(|(at, one)| {
            let twice = |other: &&Place| other.origin == one.origin && other.index != one.index;
            Some((one, places.iter().skip(at).find(twice)?))
        }) {
            let twice = format!(
                "the log {} holds it twice, as entries {} and {}",
                first.origin, first.index, other.index
            );
            return (Outcome::Failed, twice);
        }
        match of_kind.iter().map(|at| self.inclusion(*at)).min_by_key(|(outcome, _)| *outcome) {
            Some(best) => best,
            None if proofs.is_empty() => {
                (Outcome::NotChecked, "no proof that it is in the log is among the files".to_owned())
            }
            None => {
                let why = format!("the log holds it as something else than a {}", kind.as_str());
                (Outcome::Failed, why)
            }
        }
    }

    /// Every place, once, where a proof that holds puts `subject` as that kind of entry.
    fn places(&self, kind: EntryKind, subject: &Sha256) -> Vec<Place> {
        let proofs = self.papers.proofs_about(subject).iter();
        let mut places: Vec<Place> = proofs
            .filter(|at| self.inclusion(**at).0 == Outcome::Holds)
            .filter_map(|at| {
                let proof = self.papers.proofs.get(*at)?;
                let origin = self.judged(&proof.tlog.checkpoint).0?.origin;
                let entry = &proof.opening.entry;
                let place = Place { origin, index: proof.tlog.index, logged_at: entry.logged_at };
                (entry.kind == kind).then_some(place)
            })
            .collect();
        // Many copies of one proof cost no more than the one.
        places.sort();
        places.dedup();
        places
    }

    /// Whether the times that the log's entries say go forward as their places do.
    pub(super) fn times(&self) -> Found {
        let mut entries: Vec<(String, u64, Timestamp)> = Vec::new();
        for (at, proof) in self.papers.proofs.iter().enumerate() {
            if self.inclusion(at).0 == Outcome::Holds
                && let Some(Checkpoint { origin, .. }) = self.judged(&proof.tlog.checkpoint).0
            {
                entries.push((origin, proof.tlog.index, proof.opening.entry.logged_at));
            }
        }
        if entries.is_empty() {
            return (Outcome::NotChecked, "no proof here leads to a log of the policy".to_owned());
        }
        entries.sort();
        // The one that says the latest time so far.
        let mut latest: Option<&(String, u64, Timestamp)> = None;
        for entry in &entries {
            if let Some(before) = latest.filter(|before| before.0 == entry.0) {
                if before.2.since(entry.2) > CLOCKS_APART {
                    let why = format!(
                        "entry {} says {}, and entry {} before it {}: somebody dated back, or the clock of \
                         headquarters was put back",
                        entry.1, entry.2, before.1, before.2
                    );
                    return (Outcome::Failed, why);
                }
                if before.2 > entry.2 {
                    continue;
                }
            }
            latest = Some(entry);
        }
        (Outcome::Holds, format!("the times of {} entries go forward as their places do", entries.len()))
    }

    /// Where `subject` stands in the log as that kind of entry, where a proof holds.
    pub(super) fn logged(&self, kind: EntryKind, subject: &Sha256) -> Option<Place> {
        self.places(kind, subject).into_iter().next()
    }

    /// Whether a proof that holds is of the very entry that a receipt names.
    pub(super) fn is_entry(&self, index: u64, opening: &Opening) -> bool {
        self.papers.proofs_about(&opening.subject).iter().any(|at| {
            self.inclusion(*at).0 == Outcome::Holds
                && self
                    .papers
                    .proofs
                    .get(*at)
                    .is_some_and(|proof| proof.tlog.index == index && proof.opening == *opening)
        })
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
