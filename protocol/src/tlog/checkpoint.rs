//! Checkpoints (C2SP tlog-checkpoint): a size and root of the log, signed by it.

use super::note::{LogSigner, NoteError, SignedNote, VerifierKey};
use super::{decimal, hash_from_base64, hash_to_base64};
use crate::digest::Sha256;

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Entries in it.
    pub size: u64,
    pub root: Sha256,
}

/// Why a text is no checkpoint, or not one to rely on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("the checkpoint is of log {found:?}, not of {expected:?}")]
    OtherLog { found: String, expected: String },
}

/// A checkpoint with the note it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    pub checkpoint: Checkpoint,
    pub note: SignedNote,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, hash_to_base64(&self.root))
    }

    /// The checkpoint of the signer's log, as a note.
    #[must_use]
    pub fn signed(size: u64, root: Sha256, signer: &LogSigner) -> String {
        let origin = signer.verifier().name.clone();
        signer.sign(&Self { origin, size, root }.text())
    }

    fn read(text: &str) -> Result<Self, CheckpointError> {
        let (checkpoint, extended) = Self::read_extended(text)?;
        if extended {
            return Err(CheckpointError::Malformed("it has extension lines, which our logs never write"));
        }
        Ok(checkpoint)
    }

    /// As other logs may write it; and whether extension lines follow.
    fn read_extended(text: &str) -> Result<(Self, bool), CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let mut lines = text.lines();
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed("it has fewer than three lines"));
        };
        let mut extended = false;
        for line in lines {
            if line.is_empty() {
                return Err(malformed("it has an empty line"));
            }
            extended = true;
        }
        let size = decimal(size).ok_or(malformed("the size is no number"))?;
        let root = hash_from_base64(root).ok_or(malformed("the root is no hash"))?;
        Ok((Self { origin: origin.to_owned(), size, root }, extended))
    }
}

impl SignedCheckpoint {
    /// Reads a checkpoint that one of `logs` signed, with whatever extension lines it has: a witness of
    /// other logs cosigns those, too.
    ///
    /// # Errors
    /// When it is malformed, of no log that is known, or signed by none of them.
    pub fn read_extended(note: &str, logs: &[VerifierKey]) -> Result<Self, CheckpointError> {
        let note = SignedNote::read(note)?;
        let (checkpoint, _) = Checkpoint::read_extended(&note.text)?;
        let known: Vec<&VerifierKey> = logs.iter().filter(|log| log.name == checkpoint.origin).collect();
        if known.is_empty() {
            let expected = logs.iter().map(|log| log.name.as_str()).collect::<Vec<_>>().join(" or ");
            return Err(CheckpointError::OtherLog { found: checkpoint.origin, expected });
        }
        let mut signed = false;
        for log in known {
            signed |= note.signed_by(log)?.is_some();
        }
        if signed { Ok(Self { checkpoint, note }) } else { Err(NoteError::Unsigned.into()) }
    }

    /// Reads a checkpoint that the witness cosigned, whatever its log.
    ///
    /// # Errors
    /// When it is malformed or not cosigned by this witness.
    pub fn read_cosigned(note: &str, witness: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = SignedNote::read(note)?;
        note.signed_by(witness)?.ok_or(NoteError::Unsigned)?;
        let (checkpoint, _) = Checkpoint::read_extended(&note.text)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a checkpoint that `log` signed.
    ///
    /// # Errors
    /// When it is malformed, of another log, or not signed by this one.
    pub fn read(note: &str, log: &VerifierKey) -> Result<Self, CheckpointError> {
        let note = SignedNote::read(note)?;
        let checkpoint = Checkpoint::read(&note.text)?;
        if checkpoint.origin != log.name {
            return Err(CheckpointError::OtherLog { found: checkpoint.origin, expected: log.name.clone() });
        }
        note.signed_by(log)?.ok_or(NoteError::Unsigned)?;
        Ok(Self { checkpoint, note })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn a_checkpoint_is_read_only_as_its_log_signed_it() {
        let signer = LogSigner::new("example.org/log", SigningKey::from_bytes(&[1; 32])).unwrap();
        let note = Checkpoint::signed(20_852_163, Sha256::of(b"root"), &signer);
        let read = SignedCheckpoint::read(&note, signer.verifier()).unwrap();
        assert_eq!((read.checkpoint.size, read.checkpoint.root), (20_852_163, Sha256::of(b"root")));
        let elsewhere = LogSigner::new("example.org/other", SigningKey::from_bytes(&[1; 32])).unwrap();
        assert!(matches!(
            SignedCheckpoint::read(&note, elsewhere.verifier()),
            Err(CheckpointError::OtherLog { .. })
        ));
        let imposter = LogSigner::new("example.org/log", SigningKey::from_bytes(&[2; 32])).unwrap();
        assert_eq!(
            SignedCheckpoint::read(&note, imposter.verifier()),
            Err(CheckpointError::Note(NoteError::Unsigned))
        );
        for text in ["o\n1\n", "o\n01\nAAAA\n", "o\n+1\nAAAA\n", "o\n1\nAAAA\n"] {
            assert!(matches!(Checkpoint::read(text), Err(CheckpointError::Malformed(_))), "{text:?}");
        }
        let extended = format!("{}extension\n", read.note.text);
        assert!(Checkpoint::read(&extended).is_err());
    }
}
