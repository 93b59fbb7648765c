//! The ledger of a visit: what headquarters itself noted of it, who did what with the evidence, what was
//! found and what was concluded, numbered, each entry naming the one before.
//!
//! Entries are committed to the log in batches: one leaf for the root over many entries. An entry that is
//! shown later comes with its path to that root, so that the others need not be shown.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256;
use crate::ids::{DeterminationId, DeviceId, NoteId, VisitId};
use crate::merkle::{ProofError, leaf_hash, verify_inclusion};
use crate::time::Timestamp;

/// The one schema of ledger entries that this version writes and reads.
pub const SCHEMA: &str = "endcheck-ledger-1";

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    pub schema: String,
    /// Also what keeps an entry from being guessed from its hash: it holds randomness.
    pub id: NoteId,
    /// Absent where it concerns no visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visit: Option<VisitId>,
    /// From 0 among the entries of the visit.
    pub number: u64,
    /// SHA-256 of the entry before it, in canonical form; absent at 0 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev: Option<Sha256>,
    pub noted_at: Timestamp,
    pub note: Note,
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Note {
    /// Somebody did something with the evidence.
    Custody {
        act: CustodyAct,
        /// `user:…`, `device:…` or `headquarters`.
        by: String,
        name: String,
        /// The record, file or bag that it was done with; absent for the visit as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject: Option<Sha256>,
        why: String,
    },
    /// Headquarters noticed something.
    Finding {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        record: Option<Sha256>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<DeviceId>,
        signal: String,
        weight: String,
        summary: String,
        /// The values, a JSON text as it was stored.
        values: String,
        /// How far off the values may be.
        uncertainty: String,
        explanations: String,
        /// Method and version that found it.
        method: String,
    },
    /// A person concluded: made a determination, or approved one. Without this entry it could vanish from the
    /// ledger's reader unnoticed.
    Concluded {
        determination: DeterminationId,
        /// SHA-256 of the document, as the log's entry about it commits to.
        subject: Sha256,
        /// An approval of that determination, not the determination itself.
        approval: bool,
    },
}

/// What was done with a piece of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CustodyAct {
    /// The device took it in.
    Captured,
    /// The device sealed it to headquarters and escrow.
    Sealed,
    /// Its sealed bytes arrived.
    Received,
    /// Headquarters opened it and found what was signed.
    Verified,
    /// Headquarters gave the receipt that lets the device delete its copy.
    Released,
    /// Somebody looked at it.
    Viewed,
    /// Somebody took the original.
    Copied,
    /// Somebody made a derived file of it with parts hidden.
    Redacted,
    /// Somebody took the whole case as a bag.
    Exported,
    /// Somebody without need to know asked for it and was told that it does not exist.
    Refused,
}

impl CustodyAct {
    /// The act as written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Sealed => "sealed",
            Self::Received => "received",
            Self::Verified => "verified",
            Self::Released => "released",
            Self::Viewed => "viewed",
            Self::Copied => "copied",
            Self::Redacted => "redacted",
            Self::Exported => "exported",
            Self::Refused => "refused",
        }
    }
}

impl LedgerEntry {
    /// The bytes that are committed to.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::write(self)
    }

    /// The name of the entry: what the next one's `prev` says.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn hash(&self) -> Result<Sha256, CanonicalError> {
        Ok(Sha256::of(&self.to_bytes()?))
    }
}

/// Where an entry stands in what the log commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batched {
    /// The log's entry whose subject is the root over the batch.
    pub log_index: u64,
    pub position: u64,
    /// Entries in the batch.
    pub size: u64,
    pub root: Sha256,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Sha256>,
}

/// An entry with its place: one line of `custody.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerLine {
    pub entry: LedgerEntry,
    pub batch: Batched,
}

impl LedgerLine {
    /// Whether the batch's root commits to the entry.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn holds(&self) -> Result<(), ProofError> {
        let bytes = self.entry.to_bytes().map_err(|_| ProofError::OtherRoot)?;
        let Batched { position, size, root, path, .. } = &self.batch;
        verify_inclusion(&leaf_hash(&bytes), *position, *size, path, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::Tree;

    #[test]
    fn a_line_holds_for_its_own_entry_only() {
        let entry = |number: u64| LedgerEntry {
            schema: SCHEMA.to_owned(),
            id: NoteId::mint(),
            visit: None,
            number,
            prev: None,
            noted_at: "2026-11-23T08:00:00Z".parse().unwrap(),
            note: Note::Custody {
                act: CustodyAct::Viewed,
                by: "headquarters".to_owned(),
                name: String::new(),
                subject: None,
                why: String::new(),
            },
        };
        let entries: Vec<LedgerEntry> = (0..5).map(entry).collect();
        let mut tree: Tree = entries.iter().map(|entry| leaf_hash(&entry.to_bytes().unwrap())).collect();
        let line = |tree: &mut Tree, at: u64, entry: &LedgerEntry| LedgerLine {
            entry: entry.clone(),
            batch: Batched {
                log_index: 7,
                position: at,
                size: 5,
                root: tree.root(),
                path: tree.path(at).unwrap(),
            },
        };
        for (at, entry) in entries.iter().enumerate() {
            let at = at as u64;
            let good = line(&mut tree, at, entry);
            good.holds().unwrap();
            let text = serde_json::to_string(&good).unwrap();
            assert_eq!(serde_json::from_str::<LedgerLine>(&text).unwrap(), good);
            assert!(line(&mut tree, (at + 1) % 5, entry).holds().is_err());
        }
    }
}
