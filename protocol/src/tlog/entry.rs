//! What an entry of our log says: that something of a kind was there by a time, and no more; and what
//! opens it to the one who may know.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, CanonicalError};
use crate::digest::Sha256;
use crate::time::Timestamp;

/// The one schema of entries that this version writes and reads.
const SCHEMA: &str = "endcheck-log-entry-1";

/// What kind of thing an entry commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    Record,
    FileReceipt,
    Determination,
    KeyEvent,
    Export,
    Custody,
    /// A risk policy put into force.
    Policy,
    /// What a draw will be made with, before it is made.
    Seed,
    /// The outcome of a draw.
    Selection,
    /// A loss, a transfer or a review that a person reported of a serial.
    SerialEvent,
    /// What somebody noted of a shipment or party for its risk, or took back.
    RiskSignal,
    /// A departure from a draw.
    SelectionOverride,
}

impl EntryKind {
    /// The kind as written in the entry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::FileReceipt => "file-receipt",
            Self::Determination => "determination",
            Self::KeyEvent => "key-event",
            Self::Export => "export",
            Self::Custody => "custody",
            Self::Policy => "policy",
            Self::Seed => "seed",
            Self::Selection => "selection",
            Self::SerialEvent => "serial-event",
            Self::RiskSignal => "risk-signal",
            Self::SelectionOverride => "selection-override",
        }
    }
}

/// An entry of the log. Written in canonical form it is the leaf's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    schema: String,
    pub kind: EntryKind,
    pub logged_at: Timestamp,
    /// SHA-256(salt ‖ subject), the subject being a 32-byte SHA-256: says nothing without the salt.
    pub commitment: Sha256,
}

impl LogEntry {
    /// The entry that commits to `subject`.
    #[must_use]
    pub fn new(kind: EntryKind, logged_at: Timestamp, salt: &[u8; 32], subject: &Sha256) -> Self {
        let commitment = Sha256::of_parts(&[salt, &subject.to_bytes()]);
        Self { schema: SCHEMA.to_owned(), kind, logged_at, commitment }
    }

    /// The leaf's bytes.
    ///
    /// # Errors
    /// None that this type can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::write(self)
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// When it is not an entry of a schema that is known here.
    pub fn read(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let entry: Self = canonical::read(bytes)?;
        if entry.schema == SCHEMA {
            Ok(entry)
        } else {
            Err(CanonicalError::Shape(format!("the schema {:?} is not known here", entry.schema)))
        }
    }
}

/// What shows that an entry commits to a thing: given with a proof, to whom the thing may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    pub entry: LogEntry,
    /// 32 bytes in hex.
    pub salt: String,
    /// SHA-256 of the thing, such as a record's envelope.
    pub subject: Sha256,
}

impl Opening {
    /// Whether the entry commits to the subject.
    #[must_use]
    pub fn holds(&self) -> bool {
        Self::of(self.entry.kind, self.entry.logged_at, &self.salt, &self.subject).as_ref() == Some(self)
    }

    /// What opens the entry of that kind, time and subject. `None` where the salt is not 64 lower-case hex
    /// digits: one way to write it, so that no other text means the same.
    #[must_use]
    pub fn of(kind: EntryKind, logged_at: Timestamp, salt: &str, subject: &Sha256) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(salt, &mut bytes).ok().filter(|()| hex::encode(bytes) == salt)?;
        let entry = LogEntry::new(kind, logged_at, &bytes, subject);
        Some(Self { entry, salt: salt.to_owned(), subject: subject.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_opened_by_one_salt_in_one_spelling() {
        let at = "2026-11-23T08:00:00Z".parse().unwrap();
        let subject = Sha256::of(b"record");
        let opening = Opening::of(EntryKind::Record, at, &"ab".repeat(32), &subject).unwrap();
        assert!(opening.holds());
        assert_eq!(LogEntry::read(&opening.entry.to_bytes().unwrap()).unwrap(), opening.entry);
        for salt in ["AB".repeat(32), "ac".repeat(32), "ab".repeat(31), String::new()] {
            assert!(!Opening { salt, ..opening.clone() }.holds());
        }
        assert!(!Opening { subject: Sha256::of(b"another"), ..opening }.holds());
    }
}
